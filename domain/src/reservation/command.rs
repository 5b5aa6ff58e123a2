//! What may be asked of a reservation, and how it says no.

use serde::{Deserialize, Serialize};

use super::event::{CancelReason, Channel, Claim, Line, Policies};
use crate::payment::Flow;
use crate::{By, Epoch, Money, PaymentId, Timestamp, VehicleId};

/// How taking everything again went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reacquired {
    /// All of it is taken at that epoch.
    Taken,
    /// Something was refused.
    Refused,
}

/// What may be asked of a reservation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "fields carry DOMAIN.md's names; each variant's line explains them"
)]
pub enum Command {
    /// Everything is claimed: record the hold. Refused when the deadline has passed meanwhile.
    PlaceHold {
        user_id: crate::UserId,
        lines: Vec<Line>,
        claims: Vec<Claim>,
        hold_expires_at: Timestamp,
        absolute_deadline: Timestamp,
        channel: Channel,
        policies: Policies,
    },
    /// An operator moves the deadline (claims were extended first).
    ExtendHold { by: By, new_expires_at: Timestamp },
    /// The customer begins to pay. `extend_to`: the deadline that claims were already extended to.
    RequestPayment { by: By, gateway: String, flow: Flow, extend_to: Option<Timestamp> },
    /// The gateway says that this attempt is authorized or paid.
    ConfirmPaid { payment_id: PaymentId, attempt: u16 },
    /// The gateway declined this attempt.
    PaymentDeclined { payment_id: PaymentId, attempt: u16 },
    /// The deadline of that epoch may have passed.
    Expire { epoch: Epoch },
    /// Cancel it. `refund`: what goes back of captured money, all when absent.
    Cancel { by: By, reason: CancelReason, refund: Option<Money> },
    /// How taking everything again at that epoch went.
    RecordReacquired { epoch: Epoch, outcome: Reacquired },
    /// A claim of that epoch was found gone when it was to be committed.
    RecordClaimLost { epoch: Epoch },
    /// All claims of that epoch are committed.
    RecordFinalized { epoch: Epoch, vehicle_id: Option<VehicleId> },
    /// The money of this attempt is gone.
    RecordMoneyLost { payment_id: PaymentId, attempt: u16 },
    /// This vehicle is reserved for it, now that its period has begun. The first one counts.
    AssignVehicle { vehicle_id: VehicleId, epoch: Epoch },
    /// The vehicle that was assigned to it cannot be had any more: it waits for another one.
    WithdrawVehicle { vehicle_id: VehicleId },
    /// Its period is over, and its vehicle was never unlocked.
    RecordNoShow { vehicle_id: VehicleId },
    /// The vehicle was unlocked.
    StartRental { vehicle_id: VehicleId, odometer_start_m: u64, fuel_start_pct: u8, at: Timestamp },
    /// The vehicle was returned. `without_unlock`: the item has no remote unlock, so that the rental
    /// starts (with this odometer and fuel) and ends here.
    Complete {
        by: By,
        odometer_end_m: u64,
        fuel_end_pct: u8,
        location: Option<String>,
        without_unlock: Option<StartedBefore>,
    },
}

/// What is known of a vehicle that was handed over without a remote unlock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named as in RentalStarted")]
pub struct StartedBefore {
    pub vehicle_id: VehicleId,
    pub odometer_start_m: u64,
    pub fuel_start_pct: u8,
}

/// How a reservation says no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum Refusal {
    #[error("there is no such reservation")]
    NotFound,
    #[error("this reservation was already made, with other contents")]
    AlreadyExists,
    #[error("a reservation needs at least one line, one currency and at most one vehicle: {0}")]
    InvalidLines(InvalidLines),
    #[error("the hold ended at {expired_at}; make a new reservation")]
    HoldExpired { expired_at: Timestamp },
    #[error("the hold is not due before {until}")]
    NotDue { until: Timestamp },
    #[error("the hold cannot be extended beyond {absolute_deadline}")]
    BeyondCap { absolute_deadline: Timestamp },
    #[error("this reservation is already paid")]
    AlreadyPaid,
    #[error("a payment of this reservation is under way")]
    PaymentInProgress { payment_id: PaymentId, attempt: u16 },
    #[error("another payment has already paid for this reservation; this one goes back")]
    DuplicatePayment { payment_id: PaymentId, attempt: u16 },
    #[error("this reservation is not confirmed")]
    NotConfirmed,
    #[error("this rental has not started")]
    NotStarted,
    #[error("this rental is under way")]
    InUse,
    #[error("this rental is over")]
    Completed,
    #[error("this reservation was cancelled")]
    Cancelled,
    #[error("everything is being taken again for a late payment; ask again in a moment")]
    Reacquiring,
    #[error("the odometer stood at {start_m} m at the start and cannot stand at {end_m} m now")]
    OdometerDecreased { start_m: u64, end_m: u64 },
    #[error("fuel is a percentage from 0 to 100, not {0}")]
    InvalidFuel(u8),
    #[error("there is no vehicle in this reservation")]
    NoVehicle,
    #[error("this reservation has vehicle {vehicle_id}")]
    OtherVehicle { vehicle_id: VehicleId },
    #[error("a refund must be positive, of the reservation's currency and at most its total")]
    InvalidRefund,
}

/// What is wrong with the lines of a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum InvalidLines {
    #[error("there is no line")]
    None,
    #[error("there are more than 50 lines")]
    TooMany,
    #[error("a quantity is zero")]
    ZeroQuantity,
    #[error("lines have prices in different currencies")]
    MixedCurrencies,
    #[error("the total is too large or negative")]
    Total,
    #[error("more than one vehicle")]
    Vehicles,
    #[error("a line of goods, tickets or a vehicle names no item, or a line of seats no map")]
    Unnamed,
    #[error("a seat stands twice, or the quantity is not the number of seats")]
    Seats,
    #[error("the deadlines are not in order, or the hold is longer than 7,200 s")]
    Deadlines,
}
