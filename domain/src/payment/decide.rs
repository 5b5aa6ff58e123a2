//! What we may ask of a payment: begin an attempt, take its money, ask a gateway once more. What the
//! gateway says is judged in `words.rs`, what sends money back in `back.rs`.

use super::{
    Attempt, BackReason, Command, Event, Flow, Operation, Refusal, Retry, State, Status, back, key,
    words,
};
use crate::PaymentId;

pub(super) fn decide(
    state: &State,
    id: &PaymentId,
    command: &Command,
) -> Result<Vec<Event>, Refusal> {
    match command {
        Command::Initiate { .. } => initiate(state, id, command),
        Command::Record { attempt, via, gateway_event_id, word } => {
            words::record(state, id, *attempt, *via, gateway_event_id.as_deref(), word)
        }
        Command::SoftVoid { attempt, reason } => back::soft_void(state, *attempt, *reason),
        Command::GiveBack { attempt, reason } => Ok(back::give_back(state, id, *attempt, *reason)),
        Command::Capture { attempt } => capture(row(state, *attempt)?),
        Command::Retry { attempt, what } => Ok(retry(row(state, *attempt)?, what)),
        Command::Refund { refund_id, amount, reason } => {
            back::refund(state, *refund_id, *amount, *reason)
        }
    }
}

pub(super) fn row(state: &State, attempt: u16) -> Result<&Attempt, Refusal> {
    state.attempt(attempt).ok_or(Refusal::NotFound)
}

fn initiate(state: &State, id: &PaymentId, command: &Command) -> Result<Vec<Event>, Refusal> {
    let Command::Initiate { reservation_id, kind, amount, gateway, attempt, flow, tenant } =
        command
    else {
        return Ok(Vec::new());
    };
    let next = state.last().saturating_add(1);
    let create = match flow {
        Flow::Direct => Operation::Auth,
        Flow::Hosted => Operation::Session,
    };
    let begin = || {
        if *attempt != next {
            return Err(Refusal::WrongAttempt { last: state.last() });
        }
        if amount.amount_minor < 0 || state.amount().is_some_and(|asked| asked != *amount) {
            return Err(Refusal::AmountMismatch);
        }
        Ok(Event::Initiated {
            reservation_id: *reservation_id,
            kind: *kind,
            amount: *amount,
            gateway: gateway.clone(),
            attempt: *attempt,
            gateway_idempotency_key: key(tenant, id, *attempt, create, 1),
            flow: *flow,
            tenant: tenant.clone(),
        })
    };
    let Some(last) = state.current() else {
        // A Void that came before any attempt is remembered, or a redriven Initiate would revive it.
        return if state.closed.is_some() { Err(Refusal::Closed) } else { Ok(vec![begin()?]) };
    };
    match last.status {
        Status::Pending | Status::RequiresAction => {
            let same = *attempt == last.attempt;
            if same { Ok(Vec::new()) } else { Err(Refusal::InProgress { attempt: last.attempt }) }
        }
        Status::Authorized | Status::CaptureRequested => Err(Refusal::Paid),
        Status::Succeeded | Status::Disputed => Err(Refusal::AlreadyPaid),
        Status::Failed if state.closed.is_none() => {
            // A declined intent can still be paid at the gateway: the new attempt takes its place.
            Ok(vec![begin()?, void(last, BackReason::Superseded)])
        }
        Status::Voided if state.closed.is_none() && leaves_room(state, last) => Ok(vec![begin()?]),
        Status::None
        | Status::Failed
        | Status::VoidRequested
        | Status::Voided
        | Status::RefundPending
        | Status::PartiallyRefunded
        | Status::Refunded => Err(Refusal::Closed),
    }
}

/// Whether another attempt may follow a voided one: its money was lost, or the gateway cancelled it
/// before it was paid and not at our wish, which for the customer is a decline.
fn leaves_room(state: &State, row: &Attempt) -> bool {
    state.money_lost || row.void_reason == Some(BackReason::CancelledByGateway)
}

/// A void under the try of its key that is current, or the first.
pub(super) fn void(row: &Attempt, reason: BackReason) -> Event {
    Event::VoidRequested { attempt: row.attempt, reason, r#try: row.void_try.max(1) }
}

fn capture(row: &Attempt) -> Result<Vec<Event>, Refusal> {
    match row.status {
        // Never more than is authorized (P1).
        Status::Authorized => Ok(vec![Event::CaptureRequested {
            attempt: row.attempt,
            amount: row.authorized,
            r#try: 1,
        }]),
        Status::CaptureRequested | Status::Succeeded => Ok(Vec::new()),
        Status::None
        | Status::Pending
        | Status::RequiresAction
        | Status::Failed
        | Status::VoidRequested
        | Status::Voided
        | Status::RefundPending
        | Status::PartiallyRefunded
        | Status::Refunded
        | Status::Disputed => Err(Refusal::NotAuthorized),
    }
}

/// The next try of a call whose refusal is recorded. While the outcome of the present try is unknown
/// nothing new begins: a second key would pay, or pay back, twice.
fn retry(row: &Attempt, what: &Retry) -> Vec<Event> {
    let attempt = row.attempt;
    match what {
        Retry::Capture if row.status == Status::CaptureRequested && row.capture_refused => {
            let r#try = row.capture_try.saturating_add(1);
            vec![Event::CaptureRequested { attempt, amount: row.authorized, r#try }]
        }
        Retry::Void if row.status == Status::VoidRequested && row.void_refused => {
            let reason = row.void_reason.unwrap_or(BackReason::Operator);
            let r#try = row.void_try.saturating_add(1);
            vec![Event::VoidRequested { attempt, reason, r#try }]
        }
        Retry::Capture | Retry::Void => Vec::new(),
        Retry::Refund { refund_id } => row
            .pending_refunds()
            .filter(|refund| refund.refund_id == *refund_id && refund.refused)
            .map(|refund| Event::RefundRequested {
                attempt,
                refund_id: refund.refund_id,
                amount: refund.amount,
                reason: refund.reason,
                r#try: refund.r#try.saturating_add(1),
            })
            .collect(),
    }
}
