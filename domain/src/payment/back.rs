//! Whatever sends money back. DOMAIN.md C.3.
//!
//! A *soft* void (the hold expired or was released) spares what is authorized or paid: that money's own
//! fact asks the reservation, which decides. *Give back* is unconditional and never refused, since
//! nobody could answer the refusal: each attempt is voided or refunded, whichever it needs.

use super::decide::void;
use super::{Attempt, BackReason, Event, Refusal, State, Status};
use crate::{Money, PaymentId, RefundId, derive};

pub(super) fn soft_void(
    state: &State,
    attempt: Option<u16>,
    reason: BackReason,
) -> Result<Vec<Event>, Refusal> {
    let spared = match attempt {
        Some(number) => state.attempt(number),
        // Older attempts are on their way back already; the latest one is the customer's payment.
        None => state.current(),
    };
    if spared.is_some_and(is_paid) {
        return Err(Refusal::Paid);
    }
    let mut facts = close(state, attempt, reason);
    for row in rows(state, attempt) {
        match row.status {
            Status::Pending | Status::RequiresAction | Status::Failed => {
                facts.push(void(row, reason));
            }
            Status::None
            | Status::Authorized
            | Status::CaptureRequested
            | Status::Succeeded
            | Status::VoidRequested
            | Status::Voided
            | Status::RefundPending
            | Status::PartiallyRefunded
            | Status::Refunded
            | Status::Disputed => {}
        }
    }
    Ok(facts)
}

fn is_paid(row: &Attempt) -> bool {
    match row.status {
        Status::Authorized | Status::CaptureRequested | Status::Succeeded | Status::Disputed => {
            true
        }
        Status::None
        | Status::Pending
        | Status::RequiresAction
        | Status::Failed
        | Status::VoidRequested
        | Status::Voided
        | Status::RefundPending
        | Status::PartiallyRefunded
        | Status::Refunded => false,
    }
}

pub(super) fn give_back(
    state: &State,
    id: &PaymentId,
    attempt: Option<u16>,
    reason: BackReason,
) -> Vec<Event> {
    let mut facts = close(state, attempt, reason);
    for row in rows(state, attempt) {
        match row.status {
            // Also what is authorized: the uncaptured is voided, never refunded. While a capture is
            // under way the gateway lets one of the two win, and its word tells which.
            Status::Pending
            | Status::RequiresAction
            | Status::Failed
            | Status::Authorized
            | Status::CaptureRequested => facts.push(void(row, reason)),
            Status::VoidRequested => {
                if row.void_reason.is_none_or(BackReason::is_soft) {
                    facts.push(void(row, reason));
                }
            }
            // What is left, also while an operator's refund is pending.
            Status::Succeeded
            | Status::RefundPending
            | Status::PartiallyRefunded
            | Status::Refunded
            | Status::Disputed => {
                let left = row.left();
                if left.amount_minor > 0 {
                    facts.push(refund_all(id, row, left, reason));
                }
            }
            Status::None | Status::Voided => {}
        }
    }
    facts
}

/// The refund of all that is left of an attempt. There is one such refund per attempt, so its name
/// follows from the attempt: asked for twice, it pays back once.
pub(super) fn refund_all(
    id: &PaymentId,
    row: &Attempt,
    amount: Money,
    reason: BackReason,
) -> Event {
    let name = derive(&["refund", &id.to_string(), &row.attempt.to_string(), "all"]);
    let refund_id = RefundId(name);
    Event::RefundRequested { attempt: row.attempt, refund_id, amount, reason, r#try: 1 }
}

/// An operator's refund, of the latest attempt.
pub(super) fn refund(
    state: &State,
    refund_id: RefundId,
    amount: Option<Money>,
    reason: BackReason,
) -> Result<Vec<Event>, Refusal> {
    if state.attempts.iter().any(|row| row.refund(refund_id).is_some()) {
        return Ok(Vec::new());
    }
    let row = state.current().ok_or(Refusal::NotFound)?;
    let left = row.left();
    let amount = amount.unwrap_or(left);
    let whole = 1..=left.amount_minor;
    if amount.currency != left.currency || !whole.contains(&amount.amount_minor) {
        return Err(Refusal::NotRefundable { left });
    }
    Ok(vec![Event::RefundRequested { attempt: row.attempt, refund_id, amount, reason, r#try: 1 }])
}

/// The attempts that are meant.
fn rows(state: &State, attempt: Option<u16>) -> impl Iterator<Item = &Attempt> {
    state.attempts.iter().filter(move |row| attempt.is_none_or(|number| row.attempt == number))
}

/// Ends the payment, when all of it is meant or when the attempt that is meant has not begun: without
/// this memory a redriven Initiate would begin a charge that nobody waits for.
fn close(state: &State, attempt: Option<u16>, reason: BackReason) -> Vec<Event> {
    let ends = attempt.is_none_or(|number| state.attempt(number).is_none());
    if ends && state.closed.is_none() { vec![Event::Closed { reason }] } else { Vec::new() }
}
