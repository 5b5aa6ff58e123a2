//! Vehicles, and what becomes of an order to one.

use async_graphql::{Enum, ID, SimpleObject};
use holdfast_domain::vehicle;

use super::scalars::DateTime;
use crate::view::VehicleView;

/// MDS's states of a car-share vehicle; NON_CONTACTABLE covers all else while it is offline.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "vehicle::Reported")]
pub(crate) enum VehicleStatus {
    Available,
    Reserved,
    Stopped,
    OnTrip,
    NonOperational,
    Removed,
    NonContactable,
}

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "vehicle::LockState")]
pub(crate) enum LockState {
    Locked,
    Unlocking,
    Unlocked,
    Locking,
    Unknown,
}

#[derive(SimpleObject, Clone)]
pub(crate) struct Vehicle {
    #[graphql(owned)]
    pub(crate) id: ID,
    vin: String,
    sku: ID,
    status: VehicleStatus,
    lock: LockState,
    online: bool,
    odometer_metres: String,
    fuel_percent: Option<u8>,
    last_seen: Option<DateTime>,
}

impl From<VehicleView> for Vehicle {
    fn from(view: VehicleView) -> Self {
        Self {
            id: view.id.as_str().into(),
            vin: view.vin,
            sku: view.sku.as_str().into(),
            status: view.status.into(),
            lock: view.lock.into(),
            online: view.online,
            odometer_metres: view.odometer_m.to_string(),
            fuel_percent: view.fuel_pct,
            last_seen: view.last_seen.map(DateTime),
        }
    }
}
