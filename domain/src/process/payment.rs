//! The payment process: calls to the gateway, until it says what became of the money.
//!
//! ```text
//!   Initiated ──────────► create, and polls at 30 s / 2 min / 10 min until the outcome is known
//!   …Requested ─────────► the call under the key of that try
//!   …Failed (refused) ──► wait ──► Payment.Retry ──► …Requested, next try
//!   Authorized ─────────► capture at the latest a day before the authorization lapses;
//!                         a damage's or an extra's at once: nobody has to confirm it
//! ```
//!
//! A call without an answer changes nothing: the runner sends it again under the same key, then
//! [`reconcile`] does, every hour and at each start. Only a recorded refusal moves the try on. Which
//! money facts concern the reservation is the booking process's business (`booking.rs`).

#[cfg(test)]
mod tests;

use std::time::Duration;

use super::{Alarm, Ask, Command, Fact, GatewayCall, Refusal, Settings, TimerKey, What};
use crate::payment::{
    Attempt, Command as Payment, Event, IgnoredWhy, Kind, Operation, Refund, Retry, State, Status,
    key,
};
use crate::{PaymentId, Timestamp};

/// What follows from a fact.
pub fn react(fact: &Fact<'_>, settings: &Settings) -> Vec<Ask> {
    match fact.what {
        What::Payment(id, event, state) => {
            of_payment(&About { id, state, at: fact.at, settings }, event)
        }
        What::Reservation(..)
        | What::SeatMap(..)
        | What::Inventory(..)
        | What::Limit(..)
        | What::Item(..)
        | What::Ticket(..)
        | What::Notification(..)
        | What::Vehicle(..)
        | What::Inspection(..) => Vec::new(),
    }
}

/// What follows when a command that it asked for is refused: nothing. A capture is refused when the
/// money is on its way back, a retry when there is no such attempt; both are as they should be.
pub fn refused(_command: &Command, _refusal: &Refusal) -> Vec<Ask> {
    Vec::new()
}

/// What is asked again, every hour and at each start, for whatever is not yet known: the question what
/// became of an attempt, the same call under the same key while its outcome is unknown, or the next
/// try after a refusal whose wait was lost. Whatever the dead letters say.
pub fn reconcile(id: &PaymentId, state: &State) -> Vec<Ask> {
    let mut asks = Vec::new();
    for row in &state.attempts {
        match row.status {
            Status::Pending | Status::RequiresAction => asks.push(query(id, row)),
            Status::CaptureRequested => {
                asks.push(query(id, row));
                asks.push(if row.capture_refused {
                    again(id, row, Retry::Capture)
                } else {
                    Ask::Gateway(capture(id, state, row))
                });
            }
            Status::VoidRequested => {
                asks.push(query(id, row));
                asks.push(if row.void_refused {
                    again(id, row, Retry::Void)
                } else {
                    Ask::Gateway(void(id, state, row))
                });
            }
            Status::None
            | Status::Authorized
            | Status::Succeeded
            | Status::Failed
            | Status::Voided
            | Status::RefundPending
            | Status::PartiallyRefunded
            | Status::Refunded
            | Status::Disputed => {}
        }
        if row.pending_refunds().next().is_some() {
            asks.push(query(id, row));
        }
        asks.extend(row.pending_refunds().map(|wanted| {
            if wanted.refused {
                again(id, row, Retry::Refund { refund_id: wanted.refund_id })
            } else {
                Ask::Gateway(refund(id, state, row, wanted))
            }
        }));
    }
    asks
}

/// What a fact is about.
struct About<'a> {
    id: &'a PaymentId,
    state: &'a State,
    at: Timestamp,
    settings: &'a Settings,
}

fn of_payment(about: &About<'_>, event: &Event) -> Vec<Ask> {
    let About { id, state, .. } = *about;
    let row = |attempt: &u16| state.attempt(*attempt);
    let call = |call: Option<GatewayCall>| call.map(Ask::Gateway).into_iter().collect();
    match event {
        Event::Initiated { attempt, .. } => row(attempt).map_or_else(Vec::new, |row| {
            let polls = (1u16..).zip(&about.settings.polls).map(|(nth, wait)| Ask::Wake {
                key: TimerKey::Poll(*id, *attempt, nth),
                at: about.at.plus(*wait),
                then: Box::new(query(id, row)),
            });
            [Ask::Gateway(create(id, state, row))].into_iter().chain(polls).collect()
        }),
        Event::CaptureRequested { attempt, .. } => {
            call(row(attempt).map(|row| capture(id, state, row)))
        }
        Event::VoidRequested { attempt, .. } => call(row(attempt).map(|row| void(id, state, row))),
        Event::RefundRequested { attempt, refund_id, .. } => {
            call(row(attempt).and_then(|row| {
                row.refund(*refund_id).map(|wanted| refund(id, state, row, wanted))
            }))
        }
        Event::CaptureFailed { attempt, code, retryable: true, r#try } => {
            about.try_again(*attempt, Retry::Capture, code, *r#try)
        }
        // The void that goes with it makes its own call; the reservation is told by MoneyLost.
        Event::CaptureFailed { retryable: false, .. } => Vec::new(),
        Event::VoidFailed { attempt, code, r#try } => {
            about.try_again(*attempt, Retry::Void, code, *r#try)
        }
        Event::RefundFailed { attempt, refund_id, failure, r#try } => {
            let what = Retry::Refund { refund_id: *refund_id };
            about.try_again(*attempt, what, failure, *r#try)
        }
        Event::Authorized { attempt, authorization_expires_at, .. } => {
            let mut asks = about.no_more_polls(*attempt);
            let capture = || Ask::Do(Command::Payment(*id, Payment::Capture { attempt: *attempt }));
            match state.kind {
                // Whoever captures it earlier, at the confirmation or at the return, makes this idle.
                Kind::Reservation => {
                    asks.extend(authorization_expires_at.map(|lapses| Ask::Wake {
                        key: TimerKey::Capture(*id, *attempt),
                        at: capture_at(about.at, lapses, about.settings.capture_margin),
                        then: Box::new(capture()),
                    }))
                }
                Kind::DamageCharge | Kind::Extra => asks.push(capture()),
            }
            asks
        }
        Event::Succeeded { attempt, .. } | Event::Voided { attempt, .. } => {
            let mut asks = about.no_more_polls(*attempt);
            asks.push(Ask::Forget(TimerKey::Capture(*id, *attempt)));
            asks.push(Ask::Forget(timer(id, *attempt, &Retry::Capture)));
            asks.push(Ask::Forget(timer(id, *attempt, &Retry::Void)));
            asks
        }
        Event::Failed { attempt, .. } => about.no_more_polls(*attempt),
        Event::RefundSucceeded { attempt, refund_id, .. } => {
            let what = Retry::Refund { refund_id: *refund_id };
            vec![Ask::Forget(timer(id, *attempt, &what))]
        }
        Event::GatewayEventIgnored { attempt, why, .. } => match why {
            IgnoredWhy::AmountMismatch => {
                vec![Ask::Alarm(Alarm::AmountMismatch { payment_id: *id, attempt: *attempt })]
            }
            IgnoredWhy::Duplicate
            | IgnoredWhy::Stale
            | IgnoredWhy::StaleAttempt
            | IgnoredWhy::UnknownRef => Vec::new(),
        },
        Event::ChargebackOpened { attempt, .. } => {
            vec![Ask::Alarm(Alarm::Chargeback { payment_id: *id, attempt: *attempt })]
        }
        // A damage's charge begins with the Initiated of the same append; lost money is told to the
        // reservation by the booking process.
        Event::SessionCreated { .. }
        | Event::ActionRequired { .. }
        | Event::MoneyLost { .. }
        | Event::Closed { .. }
        | Event::DamageChargeCreated { .. } => Vec::new(),
    }
}

impl About<'_> {
    /// Wakes after the wait of that try; a person hears of it once the waits do not grow any more.
    fn try_again(&self, attempt: u16, what: Retry, code: &str, r#try: u16) -> Vec<Ask> {
        let Some(row) = self.state.attempt(attempt) else { return Vec::new() };
        let waits = &self.settings.again;
        let nth = usize::from(r#try.max(1));
        let longest = waits.last().copied().unwrap_or(Duration::from_secs(3_600));
        let wait = waits.get(nth - 1).copied().unwrap_or(longest);
        let mut asks = vec![Ask::Wake {
            key: timer(self.id, attempt, &what),
            at: self.at.plus(wait),
            then: Box::new(again(self.id, row, what)),
        }];
        if nth >= waits.len() {
            let code = code.to_owned();
            asks.push(Ask::Alarm(Alarm::GatewayRefuses { payment_id: *self.id, attempt, code }));
        }
        asks
    }

    fn no_more_polls(&self, attempt: u16) -> Vec<Ask> {
        (1u16..)
            .zip(&self.settings.polls)
            .map(|(nth, _)| Ask::Forget(TimerKey::Poll(*self.id, attempt, nth)))
            .collect()
    }
}

/// `margin` before it lapses. One that lives no longer than that is captured at half its life: a
/// capture at once would take money before the reservation was asked.
fn capture_at(now: Timestamp, lapses: Timestamp, margin: Duration) -> Timestamp {
    let life = lapses.since(now);
    if life > margin { lapses.minus(margin) } else { now.plus(life / 2) }
}

fn timer(id: &PaymentId, attempt: u16, what: &Retry) -> TimerKey {
    let what = match what {
        Retry::Capture => "capture".into(),
        Retry::Void => "void".into(),
        Retry::Refund { refund_id } => format!("refund:{refund_id}"),
    };
    TimerKey::Again(*id, attempt, what)
}

fn again(id: &PaymentId, row: &Attempt, what: Retry) -> Ask {
    Ask::Do(Command::Payment(*id, Payment::Retry { attempt: row.attempt, what }))
}

fn query(id: &PaymentId, row: &Attempt) -> Ask {
    Ask::Gateway(GatewayCall::Query {
        payment_id: *id,
        attempt: row.attempt,
        gateway: row.gateway.clone(),
        key: row.key.clone(),
    })
}

fn create(id: &PaymentId, state: &State, row: &Attempt) -> GatewayCall {
    GatewayCall::Create {
        payment_id: *id,
        attempt: row.attempt,
        gateway: row.gateway.clone(),
        key: row.key.clone(),
        amount: row.amount,
        flow: row.flow,
        reservation_id: state.reservation_id.expect("an attempt names its reservation"),
        again_of: row.again_of.clone(),
    }
}

fn capture(id: &PaymentId, state: &State, row: &Attempt) -> GatewayCall {
    GatewayCall::Capture {
        payment_id: *id,
        attempt: row.attempt,
        gateway: row.gateway.clone(),
        key: key(&state.tenant, id, row.attempt, Operation::Capture, row.capture_try),
        gateway_ref: row.gateway_ref.clone().unwrap_or_default(),
        amount: row.authorized,
        r#try: row.capture_try,
    }
}

fn void(id: &PaymentId, state: &State, row: &Attempt) -> GatewayCall {
    GatewayCall::Void {
        payment_id: *id,
        attempt: row.attempt,
        gateway: row.gateway.clone(),
        key: key(&state.tenant, id, row.attempt, Operation::Void, row.void_try),
        gateway_ref: row.gateway_ref.clone(),
        create: Box::new(create(id, state, row)),
        r#try: row.void_try,
    }
}

fn refund(id: &PaymentId, state: &State, row: &Attempt, wanted: &Refund) -> GatewayCall {
    let operation = Operation::Refund(wanted.refund_id);
    GatewayCall::Refund {
        payment_id: *id,
        attempt: row.attempt,
        gateway: row.gateway.clone(),
        key: key(&state.tenant, id, row.attempt, operation, wanted.r#try),
        gateway_ref: row.gateway_ref.clone().unwrap_or_default(),
        refund_id: wanted.refund_id,
        amount: wanted.amount,
        r#try: wanted.r#try,
    }
}
