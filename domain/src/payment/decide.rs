//! Which file judges which command; and what we ask of an attempt that has begun: take its money, ask
//! the gateway once more. Beginning one is judged in `begin.rs`, what the gateway says in `words.rs`,
//! what sends money back in `back.rs`.

use super::{
    Attempt, BackReason, Command, Event, Flow, Kind, Refusal, Retry, State, Status, back, begin,
    words,
};
use crate::PaymentId;

pub(super) fn decide(
    state: &State,
    id: &PaymentId,
    command: &Command,
) -> Result<Vec<Event>, Refusal> {
    match command {
        Command::Initiate { reservation_id, kind, amount, gateway, attempt, flow, tenant } => {
            let wish = begin::Wish {
                reservation_id: *reservation_id,
                kind: *kind,
                amount: *amount,
                gateway,
                attempt: *attempt,
                flow: *flow,
                tenant,
                again_of: None,
            };
            begin::initiate(state, id, &wish)
        }
        Command::ChargeLater { reservation_id, inspection_id, amount, attempt, means, tenant } => {
            let means = means.as_ref().ok_or(Refusal::NoMeans)?;
            let kind = inspection_id.map_or(Kind::Extra, |_| Kind::DamageCharge);
            let wish = begin::Wish {
                reservation_id: *reservation_id,
                kind,
                amount: *amount,
                gateway: &means.gateway,
                attempt: *attempt,
                flow: Flow::Direct,
                tenant,
                again_of: Some(&means.gateway_ref),
            };
            begin::charge_later(state, id, *inspection_id, &wish)
        }
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
