//! What a gateway's word about one attempt changes. **Belief only rises**: created < declined <
//! authorized < captured or cancelled < refunded; a word that ranks no higher changes nothing, so
//! that words may come twice, late and in any order.

mod calls;

use super::back::refund_all;
use super::decide::row;
use super::{
    Action, Attempt, BackReason, Event, Flow, IgnoredWhy, LostWhy, Refusal, State, Status, Via,
    Word,
};
use crate::{Money, PaymentId};

/// A word together with how it reached us.
struct Heard<'a> {
    state: &'a State,
    id: &'a PaymentId,
    row: &'a Attempt,
    via: Via,
    event_id: Option<&'a str>,
}

/// Refused only when there is no such attempt yet: then the word is parked and told again.
pub(super) fn record(
    state: &State,
    id: &PaymentId,
    attempt: u16,
    via: Via,
    event_id: Option<&str>,
    word: &Word,
) -> Result<Vec<Event>, Refusal> {
    let heard = Heard { state, id, row: row(state, attempt)?, via, event_id };
    if event_id.is_some_and(|event_id| state.seen.iter().any(|seen| seen == event_id)) {
        return Ok(heard.ignored(IgnoredWhy::Duplicate));
    }
    Ok(match word {
        Word::Session { gateway_ref, redirect_url, expires_at, action } => {
            let redirect_url = redirect_url.as_deref();
            heard.session(gateway_ref, redirect_url, *expires_at, *action)
        }
        Word::Authorized { gateway_ref, approval_code, amount, authorization_expires_at } => {
            let fact = Event::Authorized {
                attempt,
                gateway_ref: gateway_ref.clone(),
                approval_code: approval_code.clone(),
                amount: *amount,
                authorization_expires_at: *authorization_expires_at,
                via,
                gateway_event_id: event_id.map(str::to_owned),
            };
            heard.authorized(*amount, fact)
        }
        Word::Succeeded { gateway_ref, amount, approval_code } => {
            heard.succeeded(gateway_ref, *amount, approval_code.as_deref())
        }
        Word::Declined { code, decline_code, retryable } => heard.declined(Event::Failed {
            attempt,
            code: code.clone(),
            decline_code: decline_code.clone(),
            retryable: *retryable,
        }),
        Word::Cancelled { lost } => heard.cancelled(*lost),
        Word::CaptureRefused { code, retryable, r#try } => {
            heard.capture_refused(code, *retryable, *r#try)
        }
        Word::VoidRefused { code, r#try } => heard.void_refused(code, *r#try),
        Word::Refunded { refund_id, amount } => heard.refunded(*refund_id, *amount),
        Word::RefundRefused { refund_id, failure, r#try } => {
            heard.refund_refused(*refund_id, failure, *r#try)
        }
        Word::Chargeback { amount } => heard.chargeback(*amount),
    })
}

impl Heard<'_> {
    fn session(
        &self,
        gateway_ref: &str,
        redirect_url: Option<&str>,
        expires_at: Option<crate::Timestamp>,
        action: Option<Action>,
    ) -> Vec<Event> {
        let row = self.row;
        let known = row.gateway_ref.as_deref() == Some(gateway_ref)
            && (redirect_url.is_none() || row.redirect_url.as_deref() == redirect_url);
        let session = || Event::SessionCreated {
            attempt: row.attempt,
            gateway_ref: gateway_ref.to_owned(),
            redirect_url: redirect_url.map(str::to_owned),
            client_secret_ref: None,
            expires_at,
        };
        let required = |action| Event::ActionRequired {
            attempt: row.attempt,
            action,
            url: redirect_url.or(row.redirect_url.as_deref()).unwrap_or_default().to_owned(),
        };
        match row.status {
            Status::Pending => {
                (!known).then(session).into_iter().chain(action.map(required)).collect()
            }
            // So that a void can name what it cancels.
            Status::Failed | Status::VoidRequested if row.gateway_ref.is_none() => vec![session()],
            Status::None
            | Status::RequiresAction
            | Status::Failed
            | Status::VoidRequested
            | Status::Authorized
            | Status::CaptureRequested
            | Status::Succeeded
            | Status::Voided
            | Status::RefundPending
            | Status::PartiallyRefunded
            | Status::Refunded
            | Status::Disputed => Vec::new(),
        }
    }

    fn authorized(&self, amount: Money, fact: Event) -> Vec<Event> {
        if amount != self.row.amount {
            return self.mismatch("authorized", amount);
        }
        match self.row.status {
            // A decline is the gateway's earlier word; this is its later one.
            Status::Pending | Status::RequiresAction | Status::Failed => vec![fact],
            // A void that is under way goes on.
            Status::Authorized | Status::CaptureRequested | Status::VoidRequested => Vec::new(),
            Status::None
            | Status::Succeeded
            | Status::Voided
            | Status::RefundPending
            | Status::PartiallyRefunded
            | Status::Refunded
            | Status::Disputed => self.stale(),
        }
    }

    fn succeeded(&self, gateway_ref: &str, amount: Money, approval: Option<&str>) -> Vec<Event> {
        let row = self.row;
        if amount != row.amount {
            return self.mismatch("succeeded", amount);
        }
        let gateway_event_id = self.event_id.map(str::to_owned);
        let succeeded = |kept| Event::Succeeded {
            attempt: row.attempt,
            amount,
            gateway_ref: gateway_ref.to_owned(),
            via: self.via,
            gateway_event_id: gateway_event_id.clone(),
            kept,
        };
        // Money that nobody may keep is on its way back in the append that records it: were it asked
        // about first, a reservation could be confirmed with it. What a bank took is back already.
        let returned = |reason| {
            let left = amount.amount_minor.saturating_sub(row.disputed.amount_minor);
            let back = (left > 0)
                .then(|| refund_all(self.id, row, Money::new(left, amount.currency), reason));
            [succeeded(false)].into_iter().chain(back).collect()
        };
        match row.status {
            Status::Pending | Status::RequiresAction | Status::Failed => match row.flow {
                Flow::Direct => vec![succeeded(true)],
                Flow::Hosted => {
                    let authorized = Event::Authorized {
                        attempt: row.attempt,
                        gateway_ref: gateway_ref.to_owned(),
                        approval_code: approval.unwrap_or_default().to_owned(),
                        amount,
                        authorization_expires_at: None,
                        via: self.via,
                        gateway_event_id: gateway_event_id.clone(),
                    };
                    vec![authorized, succeeded(true)]
                }
            },
            Status::Authorized | Status::CaptureRequested => vec![succeeded(true)],
            Status::VoidRequested => match row.void_reason {
                Some(reason) if !reason.is_soft() => returned(reason),
                Some(_) | None => vec![succeeded(true)],
            },
            Status::Voided => returned(row.void_reason.unwrap_or(BackReason::CancelledByGateway)),
            Status::Succeeded => Vec::new(),
            Status::None
            | Status::RefundPending
            | Status::PartiallyRefunded
            | Status::Refunded
            | Status::Disputed => self.stale(),
        }
    }

    fn declined(&self, fact: Event) -> Vec<Event> {
        if self.row.attempt != self.state.last() {
            return self.stale();
        }
        match self.row.status {
            Status::Pending | Status::RequiresAction => vec![fact],
            Status::Failed | Status::Voided => Vec::new(),
            // Also while it is voided: a declined intent is still open, so this is no "cancelled".
            Status::None
            | Status::Authorized
            | Status::CaptureRequested
            | Status::Succeeded
            | Status::VoidRequested
            | Status::RefundPending
            | Status::PartiallyRefunded
            | Status::Refunded
            | Status::Disputed => self.stale(),
        }
    }

    fn cancelled(&self, why: LostWhy) -> Vec<Event> {
        let attempt = self.row.attempt;
        match self.row.status {
            Status::Pending | Status::RequiresAction | Status::Failed => {
                vec![Event::Voided { attempt, reason: BackReason::CancelledByGateway }]
            }
            Status::Authorized | Status::CaptureRequested => {
                let reason = BackReason::MoneyLost;
                vec![Event::Voided { attempt, reason }, Event::MoneyLost { attempt, why }]
            }
            Status::VoidRequested => {
                let reason = self.row.void_reason.unwrap_or(BackReason::CancelledByGateway);
                vec![Event::Voided { attempt, reason }]
            }
            Status::Voided => Vec::new(),
            Status::None
            | Status::Succeeded
            | Status::RefundPending
            | Status::PartiallyRefunded
            | Status::Refunded
            | Status::Disputed => self.stale(),
        }
    }

    fn chargeback(&self, amount: Money) -> Vec<Event> {
        if amount.currency != self.row.amount.currency {
            return self.mismatch("chargeback", amount);
        }
        let gateway_event_id = self.named("chargeback", amount);
        if self.state.seen.contains(&gateway_event_id) {
            return Vec::new();
        }
        vec![Event::ChargebackOpened { attempt: self.row.attempt, amount, gateway_event_id }]
    }

    /// Other money than was asked for: recorded also when our own call told of it, for it needs a
    /// person (P5).
    fn mismatch(&self, what: &str, amount: Money) -> Vec<Event> {
        let gateway_event_id = self.named(what, amount);
        if self.state.seen.contains(&gateway_event_id) {
            return Vec::new();
        }
        let why = IgnoredWhy::AmountMismatch;
        vec![Event::GatewayEventIgnored { attempt: self.row.attempt, gateway_event_id, why }]
    }

    /// The gateway's name of the event, or, for the answer to our own call, what it says.
    fn named(&self, what: &str, amount: Money) -> String {
        let own = || format!("{what}:{}:{amount}", self.row.attempt);
        self.event_id.map_or_else(own, str::to_owned)
    }

    fn stale(&self) -> Vec<Event> {
        let older = self.row.attempt != self.state.last();
        self.ignored(if older { IgnoredWhy::StaleAttempt } else { IgnoredWhy::Stale })
    }

    /// Kept for the audit when the gateway told it by itself; the answer to our own call is no event.
    fn ignored(&self, why: IgnoredWhy) -> Vec<Event> {
        let attempt = self.row.attempt;
        let fact =
            |id: &str| Event::GatewayEventIgnored { attempt, gateway_event_id: id.to_owned(), why };
        self.event_id.map(fact).into_iter().collect()
    }
}
