//! Saying no in a useful way: one table from a code to its status, its title and what to do about it.
//!
//! The engine names the code of each refusal; here it becomes a value of GraphQL's `Refusal` or an
//! `application/problem+json` of REST. Nothing else in this crate chooses a status for a refusal.

use std::time::Duration;

use axum::http::StatusCode;
use holdfast_domain::{
    PaymentId, SeatId, Timestamp, inventory, limit, process, reservation, seatmap,
};
use holdfast_engine::Rejection;
use holdfast_store::Position;

macro_rules! codes {
    ($($(#[$doc:meta])* $code:ident $name:literal $status:ident $title:literal, $help:literal;)+) => {
        /// Every way of saying no.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "each row of the table below explains itself")]
        pub enum Code { $($code),+ }

        impl Code {
            /// All of them.
            pub const ALL: &'static [Code] = &[$(Self::$code),+];

            /// As it is written: CAPITALS_WITH_UNDERSCORES.
            pub fn name(self) -> &'static str {
                match self { $(Self::$code => $name),+ }
            }

            /// REST's status for it.
            pub fn status(self) -> StatusCode {
                match self { $(Self::$code => StatusCode::$status),+ }
            }

            /// A short title, the same for every occurrence.
            pub fn title(self) -> &'static str {
                match self { $(Self::$code => $title),+ }
            }

            /// What it means and what to do, for the page behind the problem's type.
            pub fn help(self) -> &'static str {
                match self { $(Self::$code => $help),+ }
            }

            /// The code of that name.
            pub fn of(name: &str) -> Option<Code> {
                Self::ALL.iter().copied().find(|code| code.name() == name)
            }
        }
    };
}

codes! {
    Malformed "MALFORMED" BAD_REQUEST "The request cannot be read",
        "The body is not the JSON that this path takes, a field is missing, unknown or of another kind, or a header cannot be read. The detail names what was found. Nothing was done.";
    IdempotencyKeyMissing "IDEMPOTENCY_KEY_MISSING" BAD_REQUEST "An idempotency key is needed",
        "Requests that change something carry a key of 1 to 255 characters, in the header Idempotency-Key or in the body as idempotency_key. Repeat a request with the same key when you are not sure that it arrived: it takes effect once.";
    BadSignature "BAD_SIGNATURE" BAD_REQUEST "The signature is wrong",
        "A webhook must be signed over its raw body with the current secret, at most 300 seconds ago.";
    GraphqlInvalid "GRAPHQL_INVALID" BAD_REQUEST "The GraphQL document cannot be taken",
        "It cannot be parsed, does not fit the schema, or is larger than documents may be: depth 12, complexity 1,000, 50 aliases, 20 directives, 16 KiB, 10 operations in a batch.";
    Unauthenticated "UNAUTHENTICATED" UNAUTHORIZED "A valid token is needed",
        "Send Authorization: Bearer and an access token that has not expired.";
    PaymentDeclined "PAYMENT_DECLINED" PAYMENT_REQUIRED "The payment was declined",
        "The gateway did not take the money. retryable tells whether another try makes sense; reservation_status tells whether what was held is still held.";
    Forbidden "FORBIDDEN" FORBIDDEN "Not allowed",
        "Your role lacks the permission that this needs.";
    NotFound "NOT_FOUND" NOT_FOUND "There is no such thing",
        "It does not exist, or it belongs to somebody else.";
    MethodNotAllowed "METHOD_NOT_ALLOWED" METHOD_NOT_ALLOWED "This path does not take this method",
        "See /openapi.json for what each path takes.";
    RequestTimeout "REQUEST_TIMEOUT" REQUEST_TIMEOUT "The request took too long to arrive",
        "A body must arrive within 30 seconds. Nothing was done.";
    OutOfStock "OUT_OF_STOCK" CONFLICT "Not enough is left",
        "Fewer are available than were asked for. available tells how many were left at as_of_position.";
    SeatsTaken "SEATS_TAKEN" CONFLICT "Seats are taken",
        "At least one of the seats is held or sold; none was locked. taken_seat_ids names those that are taken, suggested_seat_ids others when they were asked for. No taken ids: not enough seats are free for that wish.";
    NotForSale "NOT_FOR_SALE" CONFLICT "Not for sale",
        "The seats are blocked.";
    SalesClosed "SALES_CLOSED" CONFLICT "Sales are closed",
        "This item is not sold at present.";
    NotHeld "NOT_HELD" CONFLICT "Not held any more",
        "The lock or hold has ended, or is somebody else's. Take the seats again.";
    AlreadyPaid "ALREADY_PAID" CONFLICT "Already paid",
        "This reservation is paid; nothing more is due.";
    PaymentInProgress "PAYMENT_IN_PROGRESS" CONFLICT "A payment is under way",
        "Another attempt has not ended. Finish it (redirect_url, when there is a page for it), or wait.";
    NotConfirmed "NOT_CONFIRMED" CONFLICT "Not confirmed",
        "This can be done with a confirmed reservation only.";
    NotStarted "NOT_STARTED" CONFLICT "Not started",
        "The rental has not begun: its period lies ahead, or the vehicle was not unlocked yet.";
    InUse "IN_USE" CONFLICT "In use", "A rental that is under way can be returned, not cancelled.";
    Cancelled "CANCELLED" CONFLICT "Cancelled", "It was cancelled. Make a new reservation.";
    Completed "COMPLETED" CONFLICT "Completed", "It is over.";
    VehicleUnavailable "VEHICLE_UNAVAILABLE" CONFLICT "No vehicle",
        "The vehicle cannot be used at present: it is out of service, or it refused. Ask for another.";
    UnlockInProgress "UNLOCK_IN_PROGRESS" CONFLICT "An unlock is under way",
        "The vehicle has not answered yet; it does, or fails, within 20 seconds. Ask again then.";
    VersionConflict "VERSION_CONFLICT" CONFLICT "It has changed meanwhile",
        "The version that you expected is not the present one, or the thing exists already. Read it again and decide again.";
    AlreadyRedeemed "ALREADY_REDEEMED" CONFLICT "Already used",
        "Somebody has entered with this ticket. A repeat of the same scan, with the same nonce, is no second entry.";
    EmailTaken "EMAIL_TAKEN" CONFLICT "This address is taken", "Log in instead.";
    RequestInFlight "REQUEST_IN_FLIGHT" CONFLICT "The first request is still running",
        "A request with this idempotency key has not ended. Repeat it after Retry-After seconds to get its answer.";
    HoldExpired "HOLD_EXPIRED" GONE "The hold has ended",
        "The time to pay is over (expired_at). Make a new reservation.";
    TooLarge "TOO_LARGE" PAYLOAD_TOO_LARGE "The request is too large",
        "A body has at most 1 MiB. Nothing was done.";
    UnsupportedMediaType "UNSUPPORTED_MEDIA_TYPE" UNSUPPORTED_MEDIA_TYPE "Not this kind of body",
        "Send application/json.";
    InvalidInput "INVALID_INPUT" UNPROCESSABLE_ENTITY "This cannot mean anything",
        "Each field can be read, but what they say together cannot be done. The detail says why.";
    LimitExceeded "LIMIT_EXCEEDED" UNPROCESSABLE_ENTITY "More than one customer may have",
        "limit tells how many one customer may have, already_held how many are held or bought.";
    OdometerDecreased "ODOMETER_DECREASED" UNPROCESSABLE_ENTITY "The odometer cannot go back",
        "The reading is less than at the start of the rental.";
    AmountMismatch "AMOUNT_MISMATCH" UNPROCESSABLE_ENTITY "Another amount",
        "Amount or currency are not those that were asked for.";
    IdempotencyKeyReused "IDEMPOTENCY_KEY_REUSED" UNPROCESSABLE_ENTITY "This key was used before",
        "The idempotency key stands for another request of yours. Choose a new key.";
    BadCredentials "BAD_CREDENTIALS" UNAUTHORIZED "Wrong address or password", "Try again.";
    RateLimited "RATE_LIMITED" TOO_MANY_REQUESTS "Too many requests",
        "Ask again after Retry-After seconds.";
    Internal "INTERNAL" INTERNAL_SERVER_ERROR "Something is wrong here",
        "It is our fault; the request id finds it in our log. Repeat the request with the same idempotency key to learn what became of it.";
    VehicleOffline "VEHICLE_OFFLINE" SERVICE_UNAVAILABLE "The vehicle is offline",
        "It cannot be reached at present, and nothing was sent: nothing will happen to its doors later. Ask again after Retry-After seconds.";
    StaleRead "STALE_READ" SERVICE_UNAVAILABLE "Not there yet",
        "What you want to read has not arrived in the read models within the wait. Ask again.";
    Unavailable "UNAVAILABLE" SERVICE_UNAVAILABLE "Not now",
        "Nothing was recorded. Ask again later.";
    OutcomeUnknown "OUTCOME_UNKNOWN" SERVICE_UNAVAILABLE "The outcome is unknown",
        "It may or may not have been recorded. Repeat the request with the same idempotency key to find out.";
    VehicleTimeout "VEHICLE_TIMEOUT" GATEWAY_TIMEOUT "The vehicle does not answer",
        "It was asked several times and has not answered in time; its doors may or may not have moved. Should its answer come late, it is locked again unless you may still use it. Repeat with the same key to learn what became of it, with a new one to ask anew.";
}

impl Code {
    /// The last part of the problem's type: `out-of-stock`.
    pub fn kebab(self) -> String {
        self.name().to_ascii_lowercase().replace('_', "-")
    }

    /// After which time it makes sense to ask again, for what passes by itself.
    fn retry_after(self) -> Option<Duration> {
        let soon = matches!(self, Self::RequestInFlight | Self::StaleRead | Self::RateLimited);
        let later = matches!(self, Self::Unavailable | Self::OutcomeUnknown);
        // A command's attempt; and as long as a Last Will waits before it says that a car is gone.
        let answered = matches!(self, Self::UnlockInProgress | Self::VehicleTimeout);
        let back = self == Self::VehicleOffline;
        let secs = [(soon, 1), (later, 2), (answered, 5), (back, 10)];
        secs.into_iter().find(|(is, _)| *is).map(|(_, secs)| Duration::from_secs(secs))
    }
}

/// What some refusals say besides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum More {
    #[default]
    Nothing,
    OutOfStock {
        sku: String,
        requested: u32,
        available: u32,
    },
    SeatsTaken {
        taken: Vec<SeatId>,
        suggested: Vec<SeatId>,
    },
    LimitExceeded {
        limit: u32,
        already_held: u32,
    },
    HoldExpired {
        expired_at: Timestamp,
    },
    PaymentInProgress {
        payment_id: PaymentId,
        redirect_url: Option<String>,
    },
}

/// A no on its way out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", .code.name())]
pub(crate) struct No {
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) more: More,
    /// The position at which it was true.
    pub(crate) as_of: Option<Position>,
    pub(crate) retry_after: Option<Duration>,
}

impl No {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        let retry_after = code.retry_after();
        Self { code, message: message.into(), more: More::Nothing, as_of: None, retry_after }
    }

    /// Absent, or somebody else's: nobody can tell which.
    pub(crate) fn absent(what: &'static str) -> Self {
        Self::new(Code::NotFound, format!("there is no such {what}"))
    }

    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::new(Code::Malformed, message)
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidInput, message)
    }
}

impl From<Rejection> for No {
    fn from(rejection: Rejection) -> Self {
        let code = Code::of(rejection.code()).unwrap_or(Code::Internal);
        let mut no = Self::new(code, rejection.to_string());
        match rejection {
            Rejection::Refused { refusal, target, as_of, suggested } => {
                no.as_of = Some(as_of);
                no.more = more(&refusal, target, suggested);
            }
            Rejection::TooManyHolds { limit, already } => {
                no.more = More::LimitExceeded { limit, already_held: already };
            }
            // The engine may know better than the table when it makes sense to ask again.
            Rejection::Vehicle { failure: _, retry_after } => {
                no.retry_after = retry_after.or(no.retry_after);
            }
            Rejection::NotFound(_)
            | Rejection::InvalidInput(_)
            | Rejection::VersionConflict { .. }
            | Rejection::KeyReused
            | Rejection::InFlight
            | Rejection::Unavailable(_)
            | Rejection::OutcomeUnknown(_) => {}
        }
        no
    }
}

fn more(refusal: &process::Refusal, target: String, suggested: Vec<SeatId>) -> More {
    use process::Refusal as R;
    match refusal {
        R::Inventory(inventory::Refusal::OutOfStock { requested, available }) => {
            let sku = target.strip_prefix("inventory-").unwrap_or(&target).to_owned();
            More::OutOfStock { sku, requested: *requested, available: *available }
        }
        R::SeatMap(seatmap::Refusal::SeatsTaken(taken) | seatmap::Refusal::SeatsInUse(taken)) => {
            More::SeatsTaken { taken: taken.clone(), suggested }
        }
        R::SeatMap(seatmap::Refusal::NoSeats) => More::SeatsTaken { taken: Vec::new(), suggested },
        R::Limit(limit::Refusal::LimitExceeded { max, already }) => {
            More::LimitExceeded { limit: *max, already_held: *already }
        }
        R::Reservation(reservation::Refusal::HoldExpired { expired_at }) => {
            More::HoldExpired { expired_at: *expired_at }
        }
        R::Reservation(reservation::Refusal::PaymentInProgress { payment_id, .. }) => {
            More::PaymentInProgress { payment_id: *payment_id, redirect_url: None }
        }
        R::Reservation(_)
        | R::Payment(_)
        | R::SeatMap(_)
        | R::Inventory(_)
        | R::Limit(_)
        | R::Item(_)
        | R::Ticket(_)
        | R::Vehicle(_)
        | R::Inspection(_)
        | R::Notification(_) => More::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_the_status_that_the_contract_gives_it() {
        let table = [
            (400, "MALFORMED BAD_SIGNATURE"),
            (402, "PAYMENT_DECLINED"),
            (403, "FORBIDDEN"),
            (404, "NOT_FOUND"),
            (409, "OUT_OF_STOCK SEATS_TAKEN NOT_FOR_SALE SALES_CLOSED NOT_HELD ALREADY_PAID"),
            (409, "PAYMENT_IN_PROGRESS NOT_CONFIRMED NOT_STARTED IN_USE CANCELLED COMPLETED"),
            (409, "VEHICLE_UNAVAILABLE UNLOCK_IN_PROGRESS VERSION_CONFLICT ALREADY_REDEEMED"),
            (409, "EMAIL_TAKEN REQUEST_IN_FLIGHT"),
            (410, "HOLD_EXPIRED"),
            (422, "INVALID_INPUT LIMIT_EXCEEDED ODOMETER_DECREASED AMOUNT_MISMATCH"),
            (422, "IDEMPOTENCY_KEY_REUSED"),
            (503, "VEHICLE_OFFLINE STALE_READ OUTCOME_UNKNOWN"),
            (504, "VEHICLE_TIMEOUT"),
        ];
        for (status, names) in table {
            for name in names.split(' ') {
                let code = Code::of(name).unwrap_or_else(|| panic!("no code {name}"));
                assert_eq!(code.status().as_u16(), status, "{name}");
            }
        }
    }

    #[test]
    fn what_passes_by_itself_says_when_to_ask_again() {
        for code in Code::ALL {
            let told = No::new(*code, "").retry_after.is_some();
            // RFC 9110, 15.6.4 has it for 503; the others are waits of ours.
            let passes = code.status() == StatusCode::SERVICE_UNAVAILABLE
                || matches!(
                    code,
                    Code::RequestInFlight
                        | Code::RateLimited
                        | Code::UnlockInProgress
                        | Code::VehicleTimeout
                );
            assert_eq!(told, passes, "{code:?}");
        }
    }

    #[test]
    fn a_refusal_names_the_item_that_is_gone() {
        let no = No::from(Rejection::Refused {
            refusal: Box::new(process::Refusal::Inventory(inventory::Refusal::OutOfStock {
                requested: 3,
                available: 1,
            })),
            target: "inventory-lamp".into(),
            as_of: Position(9),
            suggested: vec![],
        });
        assert_eq!(no.code, Code::OutOfStock);
        assert_eq!(no.as_of, Some(Position(9)));
        assert_eq!(no.more, More::OutOfStock { sku: "lamp".into(), requested: 3, available: 1 });
    }
}
