//! Refusals as values: the interface `Refusal` and its types. The unions that hold them are in
//! [`super::outcome`].

use async_graphql::{Enum, ID, Interface, SimpleObject};

use super::reservation::Reservation;
use super::scalars::{DateTime, Position};
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
    VehicleUnreachable(VehicleUnreachable),
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

/// The vehicle is offline (nothing was sent), or has not answered in time.
#[derive(SimpleObject)]
pub(crate) struct VehicleUnreachable {
    code: RefusalCode,
    message: String,
    /// After which time it makes sense to ask again.
    retry_after_ms: Option<i32>,
}

/// A refusal, sorted by what it says besides; the unions pick what they hold.
pub(crate) enum Sorted {
    OutOfStock(OutOfStock),
    SeatsTaken(SeatsTaken),
    LimitExceeded(LimitExceeded),
    HoldExpired(HoldExpired),
    VehicleUnreachable(VehicleUnreachable),
    Refused(Refused),
}

impl Sorted {
    /// The refusal as a value, or the error that it is instead.
    pub(crate) fn of(no: No) -> Result<Self, No> {
        let Some(code) = RefusalCode::of(no.code) else { return Err(no) };
        let No { message, more, as_of, retry_after, .. } = no;
        if matches!(code, RefusalCode::VehicleOffline | RefusalCode::VehicleTimeout) {
            let retry_after_ms = retry_after.and_then(|after| after.as_millis().try_into().ok());
            let no = VehicleUnreachable { code, message, retry_after_ms };
            return Ok(Self::VehicleUnreachable(no));
        }
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
    pub(super) fn plain(self) -> Refused {
        let (code, message) = match self {
            Self::OutOfStock(no) => (no.code, no.message),
            Self::SeatsTaken(no) => (no.code, no.message),
            Self::LimitExceeded(no) => (no.code, no.message),
            Self::HoldExpired(no) => (no.code, no.message),
            Self::VehicleUnreachable(no) => (no.code, no.message),
            Self::Refused(no) => (no.code, no.message),
        };
        Refused { code, message }
    }
}
