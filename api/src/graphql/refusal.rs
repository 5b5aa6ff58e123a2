//! Refusals as values: the interface `Refusal`, its types, and the unions in which mutations answer.

use async_graphql::{Enum, ID, Interface, SimpleObject, Union};

use super::payment::{NextAction, Payment};
use super::reservation::Reservation;
use super::scalars::{DateTime, Position};
use super::seatmap::SeatLock;
use super::ticket::Ticket;
use crate::no::{Code, More, No};

macro_rules! refusal_codes {
    ($($name:ident),+ $(,)?) => {
        /// Every code with which the rules refuse.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
        pub(crate) enum RefusalCode { $($name),+ }

        impl RefusalCode {
            /// The refusal's code; none of what is no refusal but an error.
            pub(crate) fn of(code: Code) -> Option<Self> {
                match code {
                    $(Code::$name => Some(Self::$name),)+
                    Code::Malformed
                    | Code::IdempotencyKeyMissing
                    | Code::BadSignature
                    | Code::GraphqlInvalid
                    | Code::Unauthenticated
                    | Code::MethodNotAllowed
                    | Code::RequestTimeout
                    | Code::TooLarge
                    | Code::UnsupportedMediaType
                    | Code::RateLimited
                    | Code::Internal
                    | Code::StaleRead
                    | Code::Unavailable
                    | Code::OutcomeUnknown => None,
                }
            }
        }
    };
}

refusal_codes!(
    OutOfStock,
    SeatsTaken,
    NotForSale,
    LimitExceeded,
    SalesClosed,
    NotFound,
    InvalidInput,
    HoldExpired,
    NotHeld,
    AlreadyPaid,
    PaymentInProgress,
    PaymentDeclined,
    AmountMismatch,
    NotConfirmed,
    NotStarted,
    Completed,
    OdometerDecreased,
    VehicleOffline,
    VehicleTimeout,
    VehicleUnavailable,
    UnlockInProgress,
    InUse,
    Cancelled,
    VersionConflict,
    IdempotencyKeyReused,
    RequestInFlight,
    Forbidden,
    AlreadyRedeemed,
    EmailTaken,
    BadCredentials,
);

#[derive(Interface)]
#[graphql(field(name = "code", ty = "&RefusalCode"), field(name = "message", ty = "&String"))]
pub(crate) enum Refusal {
    Refused(Refused),
    OutOfStock(OutOfStock),
    SeatsTaken(SeatsTaken),
    LimitExceeded(LimitExceeded),
    HoldExpired(HoldExpired),
    PaymentDeclined(PaymentDeclined),
}

/// Every refusal that needs no further fields.
#[derive(SimpleObject)]
pub(crate) struct Refused {
    pub(crate) code: RefusalCode,
    pub(crate) message: String,
}

#[derive(SimpleObject)]
pub(crate) struct OutOfStock {
    code: RefusalCode,
    message: String,
    sku: ID,
    requested: u32,
    available: u32,
    /// The position at which so many were left.
    as_of: Option<Position>,
}

#[derive(SimpleObject)]
pub(crate) struct SeatsTaken {
    code: RefusalCode,
    message: String,
    taken_seat_ids: Vec<ID>,
    suggested_seat_ids: Vec<ID>,
}

#[derive(SimpleObject)]
pub(crate) struct LimitExceeded {
    code: RefusalCode,
    message: String,
    limit: u32,
    already_held: u32,
}

#[derive(SimpleObject)]
pub(crate) struct HoldExpired {
    code: RefusalCode,
    message: String,
    expired_at: DateTime,
}

#[derive(SimpleObject)]
pub(crate) struct PaymentDeclined {
    pub(crate) code: RefusalCode,
    pub(crate) message: String,
    pub(crate) decline_code: Option<String>,
    pub(crate) retryable: bool,
    pub(crate) reservation: Reservation,
}

#[derive(SimpleObject)]
pub(crate) struct LockSeatsSuccess {
    pub(crate) lock: SeatLock,
    pub(crate) position: Position,
}

#[derive(Union)]
pub(crate) enum LockSeatsResult {
    Success(LockSeatsSuccess),
    SeatsTaken(SeatsTaken),
    LimitExceeded(LimitExceeded),
    Refused(Refused),
}

#[derive(SimpleObject)]
pub(crate) struct ReservationSuccess {
    pub(crate) reservation: Reservation,
    pub(crate) position: Position,
    pub(crate) replayed: bool,
}

#[derive(Union)]
pub(crate) enum CreateReservationResult {
    Success(ReservationSuccess),
    OutOfStock(OutOfStock),
    SeatsTaken(SeatsTaken),
    LimitExceeded(LimitExceeded),
    Refused(Refused),
}

#[derive(Union)]
pub(crate) enum ReservationResult {
    Success(ReservationSuccess),
    HoldExpired(HoldExpired),
    Refused(Refused),
}

#[derive(SimpleObject)]
pub(crate) struct PaymentSuccess {
    pub(crate) payment: Payment,
    pub(crate) reservation: Reservation,
    pub(crate) next_action: Option<NextAction>,
    pub(crate) position: Position,
    pub(crate) replayed: bool,
}

#[derive(Union)]
#[expect(clippy::large_enum_variant, reason = "one of them exists at a time, for one answer")]
pub(crate) enum PaymentResult {
    Success(PaymentSuccess),
    PaymentDeclined(PaymentDeclined),
    HoldExpired(HoldExpired),
    Refused(Refused),
}

/// Answer of the operators' mutations.
#[derive(SimpleObject)]
pub(crate) struct Accepted {
    pub(crate) position: Position,
}

#[derive(Union)]
pub(crate) enum OperatorResult {
    Accepted(Accepted),
    Refused(Refused),
}

#[derive(SimpleObject)]
pub(crate) struct CheckInSuccess {
    pub(crate) ticket: Ticket,
    pub(crate) position: Position,
}

#[derive(Union)]
pub(crate) enum CheckInResult {
    Success(CheckInSuccess),
    Refused(Refused),
}

/// A refusal, sorted by what it says besides; the unions pick what they hold.
pub(crate) enum Sorted {
    OutOfStock(OutOfStock),
    SeatsTaken(SeatsTaken),
    LimitExceeded(LimitExceeded),
    HoldExpired(HoldExpired),
    Refused(Refused),
}

impl Sorted {
    /// The refusal as a value, or the error that it is instead.
    pub(crate) fn of(no: No) -> Result<Self, No> {
        let Some(code) = RefusalCode::of(no.code) else { return Err(no) };
        let No { message, more, as_of, .. } = no;
        let ids = |seats: Vec<holdfast_domain::SeatId>| {
            seats.into_iter().map(|seat| ID(seat.into())).collect()
        };
        Ok(match more {
            More::OutOfStock { sku, requested, available } => Self::OutOfStock(OutOfStock {
                code,
                message,
                sku: sku.into(),
                requested,
                available,
                as_of: as_of.map(Position),
            }),
            More::SeatsTaken { taken, suggested } => Self::SeatsTaken(SeatsTaken {
                code,
                message,
                taken_seat_ids: ids(taken),
                suggested_seat_ids: ids(suggested),
            }),
            More::LimitExceeded { limit, already_held } => {
                Self::LimitExceeded(LimitExceeded { code, message, limit, already_held })
            }
            More::HoldExpired { expired_at } => {
                Self::HoldExpired(HoldExpired { code, message, expired_at: expired_at.into() })
            }
            More::Nothing | More::PaymentInProgress { .. } => {
                Self::Refused(Refused { code, message })
            }
        })
    }

    /// The refusal without what it says besides, for unions that have no place for it.
    fn plain(self) -> Refused {
        let (code, message) = match self {
            Self::OutOfStock(no) => (no.code, no.message),
            Self::SeatsTaken(no) => (no.code, no.message),
            Self::LimitExceeded(no) => (no.code, no.message),
            Self::HoldExpired(no) => (no.code, no.message),
            Self::Refused(no) => (no.code, no.message),
        };
        Refused { code, message }
    }
}

impl From<Sorted> for LockSeatsResult {
    fn from(no: Sorted) -> Self {
        match no {
            Sorted::SeatsTaken(no) => Self::SeatsTaken(no),
            Sorted::LimitExceeded(no) => Self::LimitExceeded(no),
            Sorted::OutOfStock(_) | Sorted::HoldExpired(_) | Sorted::Refused(_) => {
                Self::Refused(no.plain())
            }
        }
    }
}

impl From<Sorted> for CreateReservationResult {
    fn from(no: Sorted) -> Self {
        match no {
            Sorted::OutOfStock(no) => Self::OutOfStock(no),
            Sorted::SeatsTaken(no) => Self::SeatsTaken(no),
            Sorted::LimitExceeded(no) => Self::LimitExceeded(no),
            Sorted::HoldExpired(_) | Sorted::Refused(_) => Self::Refused(no.plain()),
        }
    }
}

impl From<Sorted> for ReservationResult {
    fn from(no: Sorted) -> Self {
        match no {
            Sorted::HoldExpired(no) => Self::HoldExpired(no),
            Sorted::OutOfStock(_)
            | Sorted::SeatsTaken(_)
            | Sorted::LimitExceeded(_)
            | Sorted::Refused(_) => Self::Refused(no.plain()),
        }
    }
}

impl From<Sorted> for PaymentResult {
    fn from(no: Sorted) -> Self {
        match no {
            Sorted::HoldExpired(no) => Self::HoldExpired(no),
            Sorted::OutOfStock(_)
            | Sorted::SeatsTaken(_)
            | Sorted::LimitExceeded(_)
            | Sorted::Refused(_) => Self::Refused(no.plain()),
        }
    }
}

impl From<Sorted> for OperatorResult {
    fn from(no: Sorted) -> Self {
        Self::Refused(no.plain())
    }
}

impl From<Sorted> for CheckInResult {
    fn from(no: Sorted) -> Self {
        Self::Refused(no.plain())
    }
}
