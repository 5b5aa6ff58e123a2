//! What may have happened to a payment. Field names are stored: they never change.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Money, RefundId, ReservationId, Timestamp};

/// What the money is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Kind {
    /// The reservation itself.
    #[default]
    Reservation,
    /// A damage found after a rental.
    DamageCharge,
    /// Fuel, tolls, lateness.
    Extra,
}

/// How the customer pays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Flow {
    /// With a token: authorized first, captured later (S0, S1, S4).
    #[default]
    Direct,
    /// On the gateway's own page (S2).
    Hosted,
}

/// How we learned of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Via {
    /// The answer to our own call.
    Sync,
    /// The gateway told us.
    Webhook,
    /// We asked.
    Poll,
}

/// What the customer must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Action {
    /// Pass a challenge.
    #[serde(rename = "THREE_DS")]
    ThreeDs,
    /// Follow a link to a hosted page.
    Redirect,
}

/// Why an attempt is voided, or money given back. DOMAIN.md C.3.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BackReason {
    /// Soft: the hold expired.
    Expired,
    /// Soft: the hold was released.
    Released,
    /// Give back: the reservation was cancelled.
    Cancelled,
    /// Give back: late money that was not taken.
    Late,
    /// Give back: what was sold could not be delivered.
    Oversold,
    /// Give back: another attempt had already paid.
    Duplicate,
    /// Give back: the authorization can no longer be captured.
    MoneyLost,
    /// Give back: a newer attempt took its place.
    Superseded,
    /// Give back: an operator's decision.
    Operator,
    /// Nobody here asked: the gateway cancelled the attempt, or let it lapse, before it was paid.
    CancelledByGateway,
}

impl BackReason {
    /// Whether a payment that succeeds all the same may be kept (its own fact asks ConfirmPaid).
    pub fn is_soft(self) -> bool {
        match self {
            Self::Expired | Self::Released => true,
            Self::Cancelled
            | Self::Late
            | Self::Oversold
            | Self::Duplicate
            | Self::MoneyLost
            | Self::Superseded
            | Self::Operator
            | Self::CancelledByGateway => false,
        }
    }
}

/// Why money that was believed in is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LostWhy {
    /// It was not captured in time.
    AuthorizationLapsed,
    /// The gateway cancelled the authorization.
    CancelledByGateway,
    /// The gateway refused the capture for good.
    CaptureRefused,
}

/// Why a gateway's word changed nothing; kept for the audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum IgnoredWhy {
    /// This gateway event was applied before.
    Duplicate,
    /// A newer attempt has taken its place, or the attempt is further already.
    Stale,
    /// It is about an older attempt than the current one.
    StaleAttempt,
    /// No such attempt.
    UnknownRef,
    /// Other amount or currency than was asked for.
    AmountMismatch,
}

/// What may have happened to a payment. Stored as `payment.{kebab}`. Every fact names its attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(
    missing_docs,
    reason = "fields carry DOMAIN.md's names; each variant's line explains them"
)]
pub enum Event {
    /// An attempt begins; its gateway call follows.
    Initiated {
        reservation_id: ReservationId,
        kind: Kind,
        amount: Money,
        gateway: String,
        attempt: u16,
        gateway_idempotency_key: String,
        flow: Flow,
        /// Part of the keys of the calls that follow, so that they can be derived from the log alone.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        tenant: String,
        /// Charged without the customer, on the means of this earlier intent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        again_of: Option<String>,
    },
    /// The gateway knows it under `gateway_ref`.
    SessionCreated {
        attempt: u16,
        gateway_ref: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        redirect_url: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_secret_ref: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Timestamp>,
    },
    /// The customer must do something at `url`.
    ActionRequired { attempt: u16, action: Action, url: String },
    /// The money is reserved at the gateway, not ours yet.
    Authorized {
        attempt: u16,
        gateway_ref: String,
        approval_code: String,
        amount: Money,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        authorization_expires_at: Option<Timestamp>,
        via: Via,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gateway_event_id: Option<String>,
    },
    /// We asked for the money.
    CaptureRequested { attempt: u16, amount: Money, r#try: u16 },
    /// The money is ours; `kept` is false when it is already on its way back.
    Succeeded {
        attempt: u16,
        amount: Money,
        gateway_ref: String,
        via: Via,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gateway_event_id: Option<String>,
        kept: bool,
    },
    /// The gateway declined.
    Failed {
        attempt: u16,
        code: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        decline_code: Option<String>,
        retryable: bool,
    },
    /// The attempt is to be cancelled at the gateway.
    VoidRequested { attempt: u16, reason: BackReason, r#try: u16 },
    /// The gateway says that the attempt is cancelled.
    Voided { attempt: u16, reason: BackReason },
    /// The gateway refused the void; asked again under the next try.
    VoidFailed { attempt: u16, code: String, r#try: u16 },
    /// The gateway refused the capture; asked again under the next try when `retryable`.
    CaptureFailed { attempt: u16, code: String, retryable: bool, r#try: u16 },
    /// Captured money is to go back.
    RefundRequested {
        attempt: u16,
        refund_id: RefundId,
        amount: Money,
        reason: BackReason,
        r#try: u16,
    },
    /// It went back.
    RefundSucceeded { attempt: u16, refund_id: RefundId, amount: Money },
    /// The gateway refused the refund; asked again under the next try.
    RefundFailed { attempt: u16, refund_id: RefundId, failure: String, r#try: u16 },
    /// The customer's bank took it back.
    ChargebackOpened { attempt: u16, amount: Money, gateway_event_id: String },
    /// Money that was believed in is gone.
    MoneyLost { attempt: u16, why: LostWhy },
    /// No attempt may begin any more.
    Closed { reason: BackReason },
    /// A damage is charged; like `Initiated`, for an inspection.
    DamageChargeCreated {
        inspection_id: uuid::Uuid,
        amount: Money,
        gateway_idempotency_key: String,
    },
    /// A gateway's word that changed nothing.
    GatewayEventIgnored { attempt: u16, gateway_event_id: String, why: IgnoredWhy },
}

/// Where a payment stands: where its latest attempt stands. DOMAIN.md C.3.
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
#[expect(missing_docs, reason = "the states of DOMAIN.md C.3")]
pub enum Status {
    #[default]
    None,
    Pending,
    RequiresAction,
    Authorized,
    CaptureRequested,
    Succeeded,
    Failed,
    VoidRequested,
    Voided,
    RefundPending,
    PartiallyRefunded,
    Refunded,
    Disputed,
}
