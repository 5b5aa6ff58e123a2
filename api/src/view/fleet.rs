//! Vehicles and inspections as people see them, from a row or from the log's own state.
//!
//! A vehicle is nobody's page: whoever has it reserved sees it as long as the claim stands; operators and
//! auditors see all; to everybody else it is not there (what is free to rent, GBFS tells).

use holdfast_domain::inspection::{self, ClaimStatus, Photo};
use holdfast_domain::vehicle::{self, LockState, Reported};
use holdfast_domain::{
    InspectionId, Money, PaymentId, ReservationId, Sku, Timestamp, UserId, VehicleId,
};
use holdfast_engine::InspectionAnswer;
use holdfast_projections::{InspectionRow, VehicleRow};

use crate::who::Who;

/// A vehicle as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VehicleView {
    pub(crate) id: VehicleId,
    pub(crate) vin: String,
    pub(crate) sku: Sku,
    /// In MDS's words; NON_CONTACTABLE covers all else while it is offline.
    pub(crate) status: Reported,
    pub(crate) lock: LockState,
    pub(crate) online: bool,
    pub(crate) odometer_m: u64,
    pub(crate) fuel_pct: Option<u8>,
    pub(crate) last_seen: Option<Timestamp>,
    /// For whom it is claimed.
    pub(crate) holder: Option<(ReservationId, UserId)>,
}

impl VehicleView {
    /// From the log's own state; none of a vehicle that there is not.
    pub(crate) fn of_state(id: VehicleId, state: &vehicle::State) -> Option<Self> {
        let holder = state.reservation();
        Some(Self {
            id,
            vin: state.vin_ref()?.to_owned(),
            sku: state.type_pool()?.clone(),
            status: state.reported()?,
            lock: state.lock(),
            online: state.is_online(),
            odometer_m: state.odometer_m(),
            fuel_pct: state.fuel_pct(),
            last_seen: state.last_seen(),
            holder: holder.map(|claim| (claim.reservation_id, claim.user_id.clone())),
        })
    }

    /// Whether this one may see it.
    pub(crate) fn shows_to(&self, who: &Who) -> bool {
        let holds = || who.user().is_some_and(|user| self.is_held_by(user));
        who.sees_everything() || holds()
    }

    /// Whether it is claimed for that reservation.
    pub(crate) fn is_of(&self, reservation: &ReservationId) -> bool {
        self.holder.as_ref().is_some_and(|(of, _)| of == reservation)
    }

    fn is_held_by(&self, user: &UserId) -> bool {
        self.holder.as_ref().is_some_and(|(_, holder)| holder == user)
    }
}

impl From<VehicleRow> for VehicleView {
    fn from(row: VehicleRow) -> Self {
        Self {
            id: row.id,
            vin: row.vin,
            sku: row.sku,
            status: row.status,
            lock: row.lock,
            online: row.online,
            odometer_m: row.odometer_m,
            fuel_pct: row.fuel_pct,
            last_seen: row.last_seen,
            holder: row.holder.map(|holder| (holder.reservation_id, holder.user_id)),
        }
    }
}

/// An inspection and the claim that came of it, as they are shown.
#[derive(Clone, Debug)]
pub(crate) struct InspectionView {
    pub(crate) id: InspectionId,
    pub(crate) reservation_id: ReservationId,
    pub(crate) description: String,
    pub(crate) photos: Vec<Photo>,
    pub(crate) claim_status: ClaimStatus,
    /// What the damage costs, as far as it is known: charged, else decided, else estimated.
    pub(crate) amount: Option<Money>,
    /// The payment, once it is charged.
    pub(crate) payment_id: Option<PaymentId>,
}

impl InspectionView {
    /// From the log's own state; none of an inspection that there is not.
    pub(crate) fn of_state(id: InspectionId, state: &inspection::State) -> Option<Self> {
        Some(Self {
            id,
            reservation_id: state.reservation_id?,
            description: state.description.clone(),
            photos: state.photos.clone(),
            claim_status: state.status,
            amount: state.charged.or(state.amount).or(state.estimate),
            payment_id: state.charged.and(state.payment_id(&id)),
        })
    }

    pub(crate) fn of_answer(answer: &InspectionAnswer) -> Option<Self> {
        Self::of_state(answer.id, &answer.state)
    }
}

impl From<InspectionRow> for InspectionView {
    fn from(row: InspectionRow) -> Self {
        Self {
            id: row.id,
            reservation_id: row.reservation_id,
            description: row.description,
            photos: row.photos,
            claim_status: row.claim_status,
            amount: row.amount.or(row.estimate),
            payment_id: row.payment_id,
        }
    }
}
