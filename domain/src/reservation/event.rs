//! What may have happened to a reservation. Field names are stored: they never change.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::payment::Flow;
use crate::{
    Epoch, LimitId, Money, PaymentId, Period, SeatId, SeatMapId, Sku, Timestamp, UserId, VehicleId,
};

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LineKind {
    /// Goods: a paid line is consumed from its pool.
    Stock,
    /// Admissions from a quota, without a seat.
    Ticket,
    /// Seats of a map, of one price.
    Seat,
    /// A vehicle of a class; at most one such line, quantity 1.
    Vehicle,
}

/// One line of a reservation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// Its number in the reservation, from 1.
    pub line_id: u16,
    /// What it is about.
    pub kind: LineKind,
    /// The item; a seat of a map without one has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<Sku>,
    /// How many; for seats their number.
    pub quantity: u32,
    /// Where the seats are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seat_map_id: Option<SeatMapId>,
    /// Which seats, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seat_ids: Vec<SeatId>,
    /// When, for things that are rented for a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<Period>,
    /// The vehicle, when the hold already names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vehicle_id: Option<VehicleId>,
    /// The price of one, fixed when the hold was asked for.
    pub unit_price: Money,
}

/// What a reservation has claimed, and where; in the order in which claims are taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "resource", rename_all = "lowercase")]
pub enum Claim {
    /// A part of what its user may take of an item.
    Limit {
        /// Whose limit of what.
        r#ref: LimitId,
        /// How much of it.
        quantity: u32,
        /// The limit that stood when the hold was asked for.
        max: u32,
    },
    /// A number of a pool.
    Inventory {
        /// The pool.
        r#ref: Sku,
        /// How many.
        quantity: u32,
        /// When, for pools over time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        period: Option<Period>,
        /// Whether a paid claim is consumed (STOCK) or kept (TICKET, SEAT, VEHICLE).
        consumed: bool,
    },
    /// Seats of a map.
    SeatMap {
        /// The map.
        r#ref: SeatMapId,
        /// The seats, sorted.
        seat_ids: Vec<SeatId>,
    },
    /// A vehicle.
    Vehicle {
        /// Which.
        r#ref: VehicleId,
    },
}

/// Through which door it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Channel {
    /// GraphQL.
    Graphql,
    /// The REST paths of the diagrams.
    Rest,
    /// Anything that is not a door: imports, tests.
    Other,
}

/// What a declined payment does to the hold.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OnDecline {
    /// The customer may try again until the deadline.
    KeepHold,
    /// The hold ends (S0, S2). The stricter one.
    #[default]
    Release,
}

/// What happens to money that comes after the deadline.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LatePayment {
    /// Everything is taken again if all of it is still free; else the money goes back.
    #[default]
    TryReacquire,
    /// The money goes back. The stricter one.
    Refund,
}

/// When authorized money is captured.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Capture {
    /// Right after the confirmation: tickets, stock.
    #[default]
    OnConfirm,
    /// When the rental ends, at the latest 24 h before the authorization lapses: vehicles.
    OnCompletion,
}

/// The strictest policies of a reservation's items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Policies {
    /// What a declined payment does to the hold.
    pub on_decline: OnDecline,
    /// What happens to late money.
    pub late_payment: LatePayment,
    /// When money is captured.
    pub capture: Capture,
    /// Whether a vehicle is unlocked over the air; if not, it is handed over by a person and its rental
    /// starts at its return.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub remote_unlock: bool,
}

impl Default for Policies {
    fn default() -> Self {
        Self {
            on_decline: OnDecline::default(),
            late_payment: LatePayment::default(),
            capture: Capture::default(),
            remote_unlock: true,
        }
    }
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks it like this")]
fn is_yes(told: &bool) -> bool {
    *told
}

/// Why a deadline moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ExtensionReason {
    /// The customer began to pay; once.
    PaymentStarted,
    /// An operator was kind.
    Operator,
}

/// Why a hold ended as failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum HoldReleaseReason {
    /// The payment was declined and the policy is RELEASE.
    PaymentFailed,
    /// The customer gave it back.
    User,
    /// An operator took it back.
    Operator,
}

/// Why a reservation was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CancelReason {
    /// The customer did not want it any more.
    User,
    /// An operator's decision.
    Operator,
    /// What was confirmed could not be delivered.
    Oversold,
    /// The money that had confirmed it is gone.
    MoneyLost,
}

/// Who cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CancelledBy {
    /// Its owner.
    User,
    /// An operator.
    Operator,
    /// A process manager.
    System,
}

/// Why late money was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LateReason {
    /// The policy says REFUND.
    Policy,
    /// Something of it is sold to somebody else.
    Gone,
    /// The reservation was cancelled before, or while it was being taken again.
    Cancelled,
    /// The money vanished while everything was being taken again.
    MoneyLost,
}

/// What may have happened to a reservation. Stored as `reservation.{kebab}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(
    missing_docs,
    reason = "fields carry DOMAIN.md's names; each variant's line explains them"
)]
pub enum Event {
    /// Everything asked for is held until `hold_expires_at`.
    HoldCreated {
        user_id: UserId,
        lines: Vec<Line>,
        total: Money,
        claims: Vec<Claim>,
        claim_epoch: Epoch,
        hold_expires_at: Timestamp,
        absolute_deadline: Timestamp,
        channel: Channel,
        policies: Policies,
    },
    /// The deadline moved.
    HoldExtended { old_expires_at: Timestamp, new_expires_at: Timestamp, reason: ExtensionReason },
    /// The customer began to pay.
    PaymentRequested {
        payment_id: PaymentId,
        attempt: u16,
        amount: Money,
        gateway: String,
        flow: Flow,
    },
    /// The gateway declined the attempt, and the policy is KEEP_HOLD: the customer may try again.
    PaymentDeclined { payment_id: PaymentId, attempt: u16 },
    /// The money of an attempt is gone before it decided anything; that attempt never confirms.
    MoneyLost { payment_id: PaymentId, attempt: u16 },
    /// Paid in time: it is the customer's.
    Confirmed { payment_id: PaymentId, attempt: u16, confirmed_at: Timestamp, claim_epoch: Epoch },
    /// A confirmed claim was found gone; all are taken again at the new epoch.
    ClaimsLost { claim_epoch: Epoch },
    /// After `ClaimsLost`: all were taken again, finalization goes on.
    ClaimsRetaken { claim_epoch: Epoch },
    /// Every claim is committed.
    Finalized {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        vehicle_id: Option<VehicleId>,
    },
    /// The hold ended unpaid, before its deadline.
    HoldReleased { reason: HoldReleaseReason },
    /// The hold's deadline passed.
    HoldExpired { expired_at: Timestamp, was_status: Status },
    /// Money came too late; everything is being taken again at the new epoch.
    LatePaymentReceived { payment_id: PaymentId, attempt: u16, claim_epoch: Epoch },
    /// Everything could be taken again: confirmed.
    LatePaymentAccepted { payment_id: PaymentId, attempt: u16, claim_epoch: Epoch },
    /// Late money that goes back.
    LatePaymentRejected { payment_id: PaymentId, attempt: u16, reason: LateReason },
    /// Cancelled; `refund` is what goes back of captured money, all of it when absent.
    Cancelled {
        by: CancelledBy,
        reason: CancelReason,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refund: Option<Money>,
    },
    /// A paid rental's period has begun, and this is its vehicle.
    VehicleAssigned { vehicle_id: VehicleId },
    /// It cannot have that vehicle after all; another one is assigned.
    VehicleWithdrawn { vehicle_id: VehicleId },
    /// The rental's period went by and nobody came for the vehicle: it is over, and paid.
    NoShow { at: Timestamp },
    /// The rental began: odometer in metres, fuel in percent.
    RentalStarted {
        vehicle_id: VehicleId,
        odometer_start_m: u64,
        fuel_start_pct: u8,
        at: Timestamp,
    },
    /// The rental ended.
    RentalCompleted {
        odometer_end_m: u64,
        fuel_end_pct: u8,
        distance_m: u64,
        duration_s: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        location: Option<String>,
        at: Timestamp,
    },
}

/// Where a reservation stands. DOMAIN.md C.2.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// There is none of this id.
    #[default]
    None,
    /// Held, unpaid.
    Hold,
    /// The customer is paying.
    AwaitingPayment,
    /// Late money is there, everything is being taken again.
    Reacquiring,
    /// Paid.
    Confirmed,
    /// A rental that is under way.
    InUse,
    /// A rental that is over.
    Completed,
    /// Ended unpaid before the deadline.
    HoldFailed,
    /// Ended unpaid at the deadline.
    HoldExpired,
    /// Cancelled.
    Cancelled,
}
