//! What is known of the vehicles that have spoken, in memory only: when they were last heard, in which
//! boot, and what their sensors said. The truth is in their streams.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use holdfast_domain::{Timestamp, VehicleId};

/// How many vehicles are remembered; then all are forgotten, and told anew by what they say next.
const MOST: usize = 200_000;

/// What is known of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) boot: Option<u64>,
    pub(crate) last_seen: Timestamp,
    pub(crate) odometer_m: Option<u64>,
    pub(crate) fuel_pct: Option<u8>,
}

/// The vehicles that have spoken.
#[derive(Default)]
pub(crate) struct Fleet(Mutex<HashMap<VehicleId, Known>>);

impl Fleet {
    /// What is known of a vehicle.
    pub(crate) fn get(&self, vehicle: &VehicleId) -> Known {
        self.lock().get(vehicle).copied().unwrap_or_default()
    }

    /// Takes in what a vehicle has said at `now`.
    pub(crate) fn heard(&self, vehicle: &VehicleId, now: Timestamp, said: impl FnOnce(&mut Known)) {
        let mut vehicles = self.lock();
        let known = match vehicles.get_mut(vehicle) {
            Some(known) => known,
            None => {
                if vehicles.len() >= MOST {
                    vehicles.clear();
                }
                vehicles.entry(vehicle.clone()).or_default()
            }
        };
        known.last_seen = known.last_seen.max(now);
        said(known);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<VehicleId, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
