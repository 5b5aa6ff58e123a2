//! What a process manager may ask for.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::payment::Flow;
use crate::vehicle::{CommandKind, FailCode};
use crate::{
    Decider, Epoch, InspectionId, LimitId, LockId, Money, NotificationId, PaymentId, RefundId,
    ReservationId, SeatMapId, Sku, TicketId, Timestamp, VehicleId, inspection, inventory, item,
    limit, notification, payment, reservation, seatmap, ticket, vehicle,
};

/// A command together with the aggregate that it is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "one variant an aggregate")]
pub enum Command {
    Reservation(ReservationId, reservation::Command),
    Payment(PaymentId, payment::Command),
    SeatMap(SeatMapId, seatmap::Command),
    Inventory(Sku, inventory::Command),
    Limit(LimitId, limit::Command),
    Item(Sku, item::Command),
    Ticket(TicketId, ticket::Command),
    Notification(NotificationId, notification::Command),
    Vehicle(VehicleId, vehicle::Command),
    Inspection(InspectionId, inspection::Command),
}

impl Command {
    /// The stream of the aggregate that it is for.
    pub fn stream(&self) -> String {
        fn name<D: Decider>(id: &D::Id) -> String {
            format!("{}-{id}", D::CATEGORY)
        }
        match self {
            Self::Reservation(id, _) => name::<reservation::State>(id),
            Self::Payment(id, _) => name::<payment::State>(id),
            Self::SeatMap(id, _) => name::<seatmap::State>(id),
            Self::Inventory(id, _) => name::<inventory::State>(id),
            Self::Limit(id, _) => name::<limit::State>(id),
            Self::Item(id, _) => name::<item::State>(id),
            Self::Ticket(id, _) => name::<ticket::State>(id),
            Self::Notification(id, _) => name::<notification::State>(id),
            Self::Vehicle(id, _) => name::<vehicle::State>(id),
            Self::Inspection(id, _) => name::<inspection::State>(id),
        }
    }
}

/// A refusal together with the kind of aggregate that it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[expect(missing_docs, reason = "one variant an aggregate")]
pub enum Refusal {
    #[error(transparent)]
    Reservation(#[from] reservation::Refusal),
    #[error(transparent)]
    Payment(#[from] payment::Refusal),
    #[error(transparent)]
    SeatMap(#[from] seatmap::Refusal),
    #[error(transparent)]
    Inventory(#[from] inventory::Refusal),
    #[error(transparent)]
    Limit(#[from] limit::Refusal),
    #[error(transparent)]
    Item(#[from] item::Refusal),
    #[error(transparent)]
    Ticket(#[from] ticket::Refusal),
    #[error(transparent)]
    Notification(#[from] notification::Refusal),
    #[error(transparent)]
    Vehicle(#[from] vehicle::Refusal),
    #[error(transparent)]
    Inspection(#[from] inspection::Refusal),
}

/// Names a timer; a later wake of the same name takes the place of an earlier one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TimerKey {
    /// The deadline of a hold.
    Hold(ReservationId),
    /// The deadline of a claim in a pool.
    Pool(Sku, ReservationId),
    /// The deadline of a claim on a limit.
    Limit(LimitId, ReservationId),
    /// The deadline of a reservation's seats.
    Seats(SeatMapId, ReservationId),
    /// The deadline of a bare lock.
    SeatLock(SeatMapId, LockId),
    /// When to ask the gateway about an attempt: the n-th time.
    Poll(PaymentId, u16, u16),
    /// When to ask for a capture, void or refund again.
    Again(PaymentId, u16, String),
    /// When an authorization must be captured.
    Capture(PaymentId, u16),
    /// The deadline of a claim on a vehicle.
    Vehicle(VehicleId, ReservationId),
    /// When a rental's period begins, then when it ends.
    Period(ReservationId),
    /// When a vehicle's command is sent again, by the attempt that is then due; 0: its deadline.
    VehicleCommand(VehicleId, Uuid, u8),
    /// When a vehicle that is not known to be locked is locked again.
    VehicleLock(VehicleId),
    /// When somebody should hear that a vehicle is silent.
    VehicleSilence(VehicleId),
}

impl std::fmt::Display for TimerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Hold(reservation) => write!(f, "hold:{reservation}"),
            Self::Pool(sku, reservation) => write!(f, "pool:{sku}:{reservation}"),
            Self::Limit(limit, reservation) => write!(f, "limit:{limit}:{reservation}"),
            Self::Seats(map, reservation) => write!(f, "seats:{map}:{reservation}"),
            Self::SeatLock(map, lock) => write!(f, "lock:{map}:{lock}"),
            Self::Poll(payment, attempt, nth) => write!(f, "poll:{payment}:{attempt}:{nth}"),
            Self::Again(payment, attempt, what) => write!(f, "again:{payment}:{attempt}:{what}"),
            Self::Capture(payment, attempt) => write!(f, "capture:{payment}:{attempt}"),
            Self::Vehicle(vehicle, reservation) => write!(f, "vehicle:{vehicle}:{reservation}"),
            Self::Period(reservation) => write!(f, "period:{reservation}"),
            Self::VehicleCommand(vehicle, command, attempt) => {
                write!(f, "command:{vehicle}:{command}:{attempt}")
            }
            Self::VehicleLock(vehicle) => write!(f, "relock:{vehicle}"),
            Self::VehicleSilence(vehicle) => write!(f, "silence:{vehicle}"),
        }
    }
}

/// A call to a payment gateway; what it answers becomes `payment::Command::Record`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each variant's line explains its fields")]
pub enum GatewayCall {
    /// Create the attempt's intent or session.
    Create {
        payment_id: PaymentId,
        attempt: u16,
        gateway: String,
        key: String,
        amount: Money,
        flow: Flow,
        reservation_id: ReservationId,
        /// Without the customer: on the means of this earlier intent of the same gateway.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        again_of: Option<String>,
    },
    /// Ask what became of the attempt, by its key and metadata. When nothing is known: nothing said.
    Query { payment_id: PaymentId, attempt: u16, gateway: String, key: String },
    /// Take authorized money.
    Capture {
        payment_id: PaymentId,
        attempt: u16,
        gateway: String,
        key: String,
        gateway_ref: String,
        amount: Money,
        r#try: u16,
    },
    /// Cancel what is not captured. Without a known reference, `create` is sent again under its own key
    /// first (so that the key is spent), then what that returns is cancelled.
    Void {
        payment_id: PaymentId,
        attempt: u16,
        gateway: String,
        key: String,
        gateway_ref: Option<String>,
        create: Box<GatewayCall>,
        r#try: u16,
    },
    /// Give captured money back.
    Refund {
        payment_id: PaymentId,
        attempt: u16,
        gateway: String,
        key: String,
        gateway_ref: String,
        refund_id: RefundId,
        amount: Money,
        r#try: u16,
    },
}

/// One attempt at a command to a vehicle's lock, as it goes over the wire; the vehicle's key signs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VehicleCall {
    /// To which vehicle.
    pub vehicle_id: VehicleId,
    /// What it should do.
    pub kind: CommandKind,
    /// The command's name; the vehicle acts on it once.
    pub command_id: Uuid,
    /// For which reservation.
    pub reservation_id: Option<ReservationId>,
    /// The command's number among the vehicle's.
    pub seq: u64,
    /// Which attempt, from 1.
    pub attempt: u8,
    /// When this attempt was asked for.
    pub iat: Timestamp,
    /// From when on the vehicle itself must refuse it.
    pub exp: Timestamp,
}

/// Something more to charge on the means by which a reservation was paid, without its customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// The payment that it is; its own, so that the reservation's stays as it is.
    pub payment_id: PaymentId,
    /// On whose means.
    pub reservation_id: ReservationId,
    /// Whose damage; none: an extra.
    pub inspection_id: Option<InspectionId>,
    /// How much.
    pub amount: Money,
    /// Which attempt at it, from 1.
    pub attempt: u16,
}

impl Charge {
    /// The command, once it is known what the reservation was paid by: `payment::State::means` of
    /// [`ReservationId::payment_id`].
    pub fn on(&self, means: Option<payment::Means>) -> Command {
        let charge = payment::Command::ChargeLater {
            reservation_id: self.reservation_id,
            inspection_id: self.inspection_id,
            amount: self.amount,
            attempt: self.attempt,
            means,
            tenant: super::TENANT.to_owned(),
        };
        Command::Payment(self.payment_id, charge)
    }
}

/// Something that a person should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each variant's line explains its fields")]
pub enum Alarm {
    /// A confirmed reservation could not be delivered.
    Oversold { reservation_id: ReservationId },
    /// The money of a confirmed reservation is gone.
    MoneyLost { reservation_id: ReservationId },
    /// The gateway told of other money than was asked for.
    AmountMismatch { payment_id: PaymentId, attempt: u16 },
    /// The gateway keeps refusing.
    GatewayRefuses { payment_id: PaymentId, attempt: u16, code: String },
    /// The bank took money back.
    Chargeback { payment_id: PaymentId, attempt: u16 },
    /// A vehicle unlocked late, for somebody who is not entitled any more; it is being locked again.
    VehicleUnlockedByNobody { vehicle_id: VehicleId, command_id: Uuid },
    /// A vehicle that nobody may have open is not known to be locked.
    VehicleLockFailed { vehicle_id: VehicleId, code: FailCode },
    /// A paid rental begins and no vehicle of its class is free.
    NoVehicle { reservation_id: ReservationId },
    /// A vehicle has not been heard of for a day.
    VehicleSilent { vehicle_id: VehicleId },
    /// Somebody answers in a vehicle's name without its key, or to what was never asked.
    SpoofedAnswer { vehicle_id: VehicleId },
    /// A vehicle was unlocked for a reservation that may not have it any more; it is being locked again.
    UnlockedInVain { vehicle_id: VehicleId, reservation_id: ReservationId },
    /// A damage or an extra could not be charged; what is owed stays owed.
    ChargeFailed { payment_id: PaymentId, code: String },
    /// A vehicle tells of fewer metres than it has driven.
    OdometerAnomaly { vehicle_id: VehicleId, known_m: u64, told_m: u64 },
}

/// What a process manager asks for. Asks of one fact are performed in order; each on its own, except
/// for [`Ask::Steps`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// A command; when refused, `refused` says what follows.
    Do(Command),
    /// Commands in order: the first that is refused ends them, and `refused` says what follows instead.
    Steps(Vec<Command>),
    /// At that moment, ask that. Durable.
    Wake {
        /// A later wake of the same name takes its place.
        key: TimerKey,
        /// When.
        at: Timestamp,
        /// What.
        then: Box<Ask>,
    },
    /// Nobody needs to be woken any more.
    Forget(TimerKey),
    /// Call the gateway and record what it says.
    Gateway(GatewayCall),
    /// Find out by what the reservation was paid, and charge more on it: [`Charge::on`].
    Charge(Charge),
    /// Send a command to a vehicle; its answer comes by itself.
    Vehicle(VehicleCall),
    /// Choose a free vehicle of the reservation's class and ask it to be the reservation's, at the
    /// epoch of its claims; none is free: cancel the reservation as oversold.
    Assign {
        /// Whose period begins.
        reservation_id: ReservationId,
        /// Of its claims.
        epoch: Epoch,
    },
    /// Tell a person.
    Alarm(Alarm),
}
