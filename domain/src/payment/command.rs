//! What may be asked of a payment, and how it says no.

use serde::{Deserialize, Serialize};

use super::event::{Action, BackReason, Flow, Kind, LostWhy, Via};
use crate::{InspectionId, Money, RefundId, ReservationId, Timestamp};

/// What a gateway says of one attempt, whichever way it said it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "fields are named as in the events that follow")]
pub enum Word {
    /// It knows the attempt under this reference; nothing is paid yet.
    Session {
        gateway_ref: String,
        redirect_url: Option<String>,
        expires_at: Option<Timestamp>,
        action: Option<Action>,
    },
    /// Authorized, not captured.
    Authorized {
        gateway_ref: String,
        approval_code: String,
        amount: Money,
        authorization_expires_at: Option<Timestamp>,
    },
    /// Paid: captured. A hosted payment may arrive like this without an authorization.
    Succeeded { gateway_ref: String, amount: Money, approval_code: Option<String> },
    /// Declined; the intent may still be open.
    Declined { code: String, decline_code: Option<String>, retryable: bool },
    /// Cancelled at the gateway: by our void, by itself, or by lapse.
    Cancelled { lost: LostWhy },
    /// Our capture was refused.
    CaptureRefused { code: String, retryable: bool, r#try: u16 },
    /// Our void was refused for now.
    VoidRefused { code: String, r#try: u16 },
    /// A refund went through.
    Refunded { refund_id: RefundId, amount: Money },
    /// A refund was refused for now.
    RefundRefused { refund_id: RefundId, failure: String, r#try: u16 },
    /// The bank took money back.
    Chargeback { amount: Money },
}

/// By what an earlier charge was paid, as its gateway knows it: no card, no token.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Means {
    /// Which gateway.
    pub gateway: String,
    /// Its name for the attempt that paid.
    pub gateway_ref: String,
}

/// What may be asked of a payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "fields carry DOMAIN.md's names; each variant's line explains them"
)]
pub enum Command {
    /// Begin an attempt.
    Initiate {
        reservation_id: ReservationId,
        kind: Kind,
        amount: Money,
        gateway: String,
        attempt: u16,
        flow: Flow,
        /// Part of the gateway's idempotency keys.
        tenant: String,
    },
    /// Charge something more, without the customer, on the means by which its reservation was paid
    /// (none: it was paid by none): a damage, or else an extra such as fuel.
    ChargeLater {
        reservation_id: ReservationId,
        inspection_id: Option<InspectionId>,
        amount: Money,
        attempt: u16,
        means: Option<Means>,
        tenant: String,
    },
    /// A gateway's word about an attempt.
    Record { attempt: u16, via: Via, gateway_event_id: Option<String>, word: Word },
    /// A soft void of one attempt, or of every attempt: spares what is authorized or paid.
    SoftVoid { attempt: Option<u16>, reason: BackReason },
    /// Unconditional: void or refund, whichever each attempt needs. Never refused.
    GiveBack { attempt: Option<u16>, reason: BackReason },
    /// Take the authorized money.
    Capture { attempt: u16 },
    /// Ask again for what the gateway refused for now: the next try of its key.
    Retry { attempt: u16, what: Retry },
    /// An operator gives back `amount` (all that is left when absent).
    Refund { refund_id: RefundId, amount: Option<Money>, reason: BackReason },
}

/// What is asked of the gateway again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named as the calls")]
pub enum Retry {
    Capture,
    Void,
    Refund { refund_id: RefundId },
}

/// How a payment says no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum Refusal {
    #[error("there is no such payment, or no such attempt yet")]
    NotFound,
    #[error("this payment is closed")]
    Closed,
    #[error("attempt {attempt} is under way")]
    InProgress { attempt: u16 },
    #[error("this payment is already paid")]
    AlreadyPaid,
    #[error("this attempt is authorized or paid; its own fact decides what becomes of it")]
    Paid,
    #[error("there is nothing that could be captured")]
    NotAuthorized,
    #[error("amount and currency must be those that were asked for")]
    AmountMismatch,
    #[error("a refund must be positive and at most what is left: {left}")]
    NotRefundable { left: Money },
    #[error(
        "there is nothing that it could be charged on: its reservation was paid by no such means"
    )]
    NoMeans,
    #[error("the attempt's number does not follow the last one")]
    WrongAttempt { last: u16 },
}
