//! What the doors hand in and what they get back. Doors translate; they decide nothing.

use holdfast_domain::seatmap::{Pick, Seats};
use holdfast_domain::{
    By, LockId, PaymentId, Period, ReservationId, SeatId, SeatMapId, Sku, Timestamp, UserId,
    payment, process, reservation,
};
use holdfast_schemas::Actor;
use holdfast_store::Position;
use uuid::Uuid;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// As the events will say.
    pub actor: Actor,
    /// Whose word it is, for the rules.
    pub by: By,
    /// The user that things are made for and owned by.
    pub user_id: UserId,
}

/// One mutation: who asks, and under which key. The door makes it, the engine fills events with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who asks.
    pub caller: Caller,
    /// The operation's name, as in GraphQL (`lockSeats`); REST paths use the same names.
    pub operation: &'static str,
    /// The customer's idempotency key.
    pub key: String,
    /// Hash of operation and canonical input: the same key with another one is refused.
    pub fingerprint: String,
    /// `If-Match` / `expectedVersion`.
    pub if_version: Option<u32>,
    /// W3C trace context, if the caller sent one.
    pub traceparent: Option<String>,
}

impl Request {
    /// The command id: follows from caller, operation and key, so a retry has the same.
    pub fn command_id(&self) -> Uuid {
        holdfast_domain::derive(&[
            "command",
            &self.caller.actor.to_string(),
            self.operation,
            &self.key,
        ])
    }
}

/// What was recorded, or had been before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The position at which the answer is true (of its last event, or where it was already so).
    pub position: Position,
    /// Whether this key had recorded it before.
    pub replayed: bool,
}

/// A wish for seats (`lockSeats`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockSeats {
    /// Where.
    pub seat_map_id: SeatMapId,
    /// Which: named or best.
    pub seats: Seats,
    /// Whether to suggest others when these are taken.
    pub suggest: bool,
}

/// Seats that are locked now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locked {
    /// The lock.
    pub lock_id: LockId,
    /// Where.
    pub seat_map_id: SeatMapId,
    /// Which.
    pub seat_ids: Vec<SeatId>,
    /// Until when.
    pub expires_at: Timestamp,
    /// What was recorded.
    pub done: Done,
}

/// One wished-for line, as the contract's table of lines allows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in the contract's ReservationLineInput")]
pub enum LineRequest {
    /// The seats of the caller's lock.
    Lock { seat_map_id: SeatMapId, lock_id: LockId },
    /// These seats.
    Seats { seat_map_id: SeatMapId, seat_ids: Vec<SeatId> },
    /// The best seats.
    Best { seat_map_id: SeatMapId, pick: Pick },
    /// A number of an item; a ticket whose item a map names gets seats: `seat_ids` when given (their
    /// number must be the quantity), else chosen ones, in `section` when given.
    Item {
        sku: Sku,
        quantity: u32,
        seat_ids: Vec<SeatId>,
        section: Option<String>,
        period: Option<Period>,
    },
}

/// A reservation as the log has it now.
#[derive(Clone, Debug)]
pub struct ReservationAnswer {
    /// Which.
    pub id: ReservationId,
    /// Its state.
    pub state: reservation::State,
    /// What was recorded.
    pub done: Done,
}

/// A wish to pay (`startPayment`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartPayment {
    /// For which reservation.
    pub reservation_id: ReservationId,
    /// Over which gateway; the configured one when absent.
    pub gateway: Option<String>,
    /// A gateway's token; never stored in an event.
    pub method: Option<String>,
    /// Whether the customer wants the gateway's own page.
    pub hosted: bool,
}

/// How a payment stands when the customer is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaymentOutcome {
    /// Authorized or paid, and the reservation has decided (confirmed, or late).
    Settled,
    /// The gateway declined.
    Declined {
        /// The gateway's own word.
        decline_code: Option<String>,
        /// Whether another try makes sense.
        retryable: bool,
    },
    /// The customer must go there.
    ActionRequired {
        /// `REDIRECT` or `THREE_DS`.
        kind: String,
        /// Where.
        url: Option<String>,
    },
    /// Not known yet; the reservation's page will tell.
    Pending,
}

/// A payment and its reservation as the log has them now.
#[derive(Clone, Debug)]
pub struct PaymentAnswer {
    /// Which payment.
    pub payment_id: PaymentId,
    /// Its state.
    pub payment: payment::State,
    /// Which reservation.
    pub reservation_id: ReservationId,
    /// Its state.
    pub reservation: reservation::State,
    /// How it stands.
    pub outcome: PaymentOutcome,
    /// What was recorded.
    pub done: Done,
}

/// Somebody at a gate (`checkInTicket`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckIn {
    /// Which ticket; the door has checked the signature.
    pub ticket_id: holdfast_domain::TicketId,
    /// Names the scan: the same again is the same entry.
    pub nonce: String,
    /// Which gate.
    pub gate: Option<String>,
}

/// Why a request was not done. The door's one table maps it to codes and statuses.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Rejection {
    /// The rules refuse. `sku` names the item when the refusal is a pool's or limit's.
    #[error("{refusal}")]
    Refused {
        /// How the aggregate said no.
        refusal: Box<process::Refusal>,
        /// The item or map that refused, for messages.
        target: String,
        /// The position at which this was true.
        as_of: Position,
        /// Seats that could be had instead, when asked for.
        suggested: Vec<SeatId>,
    },
    /// There is no such thing, or it is somebody else's.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The request cannot mean anything.
    #[error("{0}")]
    InvalidInput(String),
    /// The customer holds too much that is unpaid (abuse control).
    #[error("at most {limit} live holds for each customer; {already} are held")]
    TooManyHolds {
        /// How many may be held.
        limit: u32,
        /// How many are.
        already: u32,
    },
    /// `If-Match` did not match.
    #[error("the version is {actual}, not {expected}; read it again")]
    VersionConflict {
        /// What the caller believed.
        expected: u32,
        /// What it is.
        actual: u32,
    },
    /// The vehicle cannot be reached, or did not do what it was told.
    #[error("{failure}")]
    Vehicle {
        /// What it did instead.
        failure: VehicleFailure,
        /// When it makes sense to ask again.
        retry_after: Option<std::time::Duration>,
    },
    /// The key was used with another input.
    #[error("this idempotency key was used with another request; choose a new key")]
    KeyReused,
    /// The first request with this key is still running.
    #[error("the first request with this idempotency key is still running; ask again in a moment")]
    InFlight,
    /// Nothing was recorded; try again later.
    #[error("not now: {0}")]
    Unavailable(String),
    /// It may or may not have been recorded; repeat with the same key to find out.
    #[error("outcome unknown: {0}; repeat with the same key to find out")]
    OutcomeUnknown(String),
}

/// Why a vehicle did not do what it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VehicleFailure {
    /// Nobody can reach it; nothing was sent, or nothing arrived.
    #[error("this vehicle cannot be reached; try again in a moment")]
    Offline,
    /// It did not answer by the deadline; it may have obeyed all the same.
    #[error("this vehicle did not answer in time; its doors may or may not have moved")]
    Timeout,
    /// It says that its lock is stuck.
    #[error("the lock of this vehicle is stuck; ask for help")]
    Jammed,
    /// It says no.
    #[error("this vehicle refuses; ask for help")]
    Refused,
}

impl VehicleFailure {
    /// How long a vehicle that is gone stays so at the least: its Last Will waits for ten seconds.
    const BACK: std::time::Duration = std::time::Duration::from_secs(10);
}

impl From<VehicleFailure> for Rejection {
    fn from(failure: VehicleFailure) -> Self {
        let retry_after = match failure {
            VehicleFailure::Offline => Some(VehicleFailure::BACK),
            VehicleFailure::Timeout | VehicleFailure::Jammed | VehicleFailure::Refused => None,
        };
        Self::Vehicle { failure, retry_after }
    }
}
