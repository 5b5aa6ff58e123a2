//! One intent: what the gateway knows of one attempt at paying.
//!
//! ```text
//!                    ┌── approve ──► RequiresCapture ── capture ──► Succeeded ── refund …
//!   RequiresAction ──┤                    │ 7 days
//!        │ 24 h      └── decline ──► RequiresMethod        (hosted: approve ──► Succeeded)
//!        ▼                                │ cancel
//!     Canceled ◄──────────────────────────┘           Processing ── later ──► Succeeded
//! ```

use std::time::Duration;

use holdfast_domain::payment::{Action, Flow, LostWhy, Word};
use holdfast_domain::{Money, PaymentId, ReservationId, Timestamp};
use serde::{Deserialize, Serialize};

/// How long a hosted page waits for its customer.
pub(super) const SESSION_LASTS: Duration = Duration::from_secs(24 * 3_600);
/// How long an authorization can be captured: what cards usually grant.
pub(super) const AUTHORIZATION_LASTS: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Where an intent stands; Stripe's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    /// Declined, or no method given: may still be paid by another method until it is cancelled.
    RequiresMethod,
    /// The customer must press a button.
    RequiresAction,
    /// The bank is at it; nobody can cancel it now.
    Processing,
    /// Authorized.
    RequiresCapture,
    /// Captured.
    Succeeded,
    /// Over.
    Canceled,
}

/// All that is known of one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Intent {
    pub(super) id: String,
    /// The idempotency key of its create call.
    pub(super) key: String,
    pub(super) payment_id: PaymentId,
    pub(super) attempt: u16,
    pub(super) reservation_id: ReservationId,
    pub(super) amount: Money,
    pub(super) flow: Flow,
    pub(super) method: Option<String>,
    /// Charged without the customer, on the means of that earlier intent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) again_of: Option<String>,
    pub(super) status: Status,
    pub(super) approval_code: String,
    /// Names its page.
    pub(super) session: Option<String>,
    pub(super) captured_minor: i64,
    pub(super) refunded_minor: i64,
    pub(super) created_at: Timestamp,
    pub(super) authorized_at: Option<Timestamp>,
    /// When a late one succeeds.
    pub(super) succeeds_at: Option<Timestamp>,
}

impl Intent {
    /// Where it stands at that moment: what has lapsed is over, whether or not anybody looked.
    pub(super) fn status(&self, now: Timestamp) -> Status {
        let over = match self.status {
            Status::RequiresAction => now >= self.created_at.plus(SESSION_LASTS),
            Status::RequiresCapture => now >= self.authorization_expires_at(),
            Status::RequiresMethod | Status::Processing | Status::Succeeded | Status::Canceled => {
                false
            }
        };
        if over { Status::Canceled } else { self.status }
    }

    pub(super) fn authorization_expires_at(&self) -> Timestamp {
        self.authorized_at.unwrap_or(self.created_at).plus(AUTHORIZATION_LASTS)
    }

    /// Whether its means may be charged again without the customer: they paid once, and the bank does
    /// not object.
    pub(super) fn may_be_charged_again(&self) -> bool {
        self.authorized_at.is_some() && self.method.as_deref() != Some("tok_approve_once")
    }

    /// What is still there to be given back.
    pub(super) fn refundable_minor(&self) -> i64 {
        self.captured_minor - self.refunded_minor
    }

    /// What the gateway says when it is asked how this stands.
    pub(super) fn words(&self, now: Timestamp, public_url: &str) -> Vec<Word> {
        match self.status(now) {
            Status::RequiresMethod => vec![self.declined()],
            Status::RequiresAction => vec![self.session(public_url)],
            Status::Processing => vec![Word::Session {
                gateway_ref: self.id.clone(),
                redirect_url: None,
                expires_at: None,
                action: None,
            }],
            Status::RequiresCapture => vec![self.authorized()],
            Status::Succeeded => vec![self.succeeded()],
            Status::Canceled if self.status == Status::RequiresCapture => {
                vec![Word::Cancelled { lost: LostWhy::AuthorizationLapsed }]
            }
            Status::Canceled => vec![Word::Cancelled { lost: LostWhy::CancelledByGateway }],
        }
    }

    fn authorized(&self) -> Word {
        Word::Authorized {
            gateway_ref: self.id.clone(),
            approval_code: self.approval_code.clone(),
            amount: self.amount,
            authorization_expires_at: Some(self.authorization_expires_at()),
        }
    }

    pub(super) fn succeeded(&self) -> Word {
        Word::Succeeded {
            gateway_ref: self.id.clone(),
            amount: Money::new(self.captured_minor, self.amount.currency),
            approval_code: Some(self.approval_code.clone()),
        }
    }

    /// Why it is declined: the code, and the bank's own word.
    pub(super) fn decline(&self) -> (&'static str, Option<&'static str>) {
        match self.method.as_deref() {
            None if self.again_of.is_some() => ("card_declined", Some("do_not_honor")),
            None if self.flow == Flow::Direct => ("payment_method_missing", None),
            None => ("card_declined", Some("declined_by_customer")),
            Some("tok_decline") => ("card_declined", Some("insufficient_funds")),
            Some("tok_requires_action") => ("authentication_failed", Some("declined_by_customer")),
            Some(_) => ("invalid_token", Some("unknown_token")),
        }
    }

    fn declined(&self) -> Word {
        let (code, decline_code) = self.decline();
        Word::Declined {
            code: code.into(),
            decline_code: decline_code.map(Into::into),
            retryable: true,
        }
    }

    fn session(&self, public_url: &str) -> Word {
        let page = self.session.as_deref().map(|session| page_url(public_url, session));
        Word::Session {
            gateway_ref: self.id.clone(),
            redirect_url: page,
            expires_at: Some(self.created_at.plus(SESSION_LASTS)),
            action: Some(match self.flow {
                Flow::Direct => Action::ThreeDs,
                Flow::Hosted => Action::Redirect,
            }),
        }
    }
}

fn page_url(public_url: &str, session: &str) -> String {
    format!("{public_url}/sandbox/pay/{session}")
}
