//! Beginning an attempt: the reservation's own, which its customer pays, and a later charge on the same
//! means, which nobody has to confirm.
//!
//! Each attempt has its own intent at the gateway. A declined one can still be paid there, so the next
//! attempt voids it. Money is charged once for each number: asked again with a number that was used,
//! an attempt is already so.

use super::decide::void;
use super::{Attempt, BackReason, Event, Flow, Kind, Operation, Refusal, State, Status, key};
use crate::{InspectionId, Money, PaymentId, ReservationId};

/// What is to begin.
pub(super) struct Wish<'a> {
    pub reservation_id: ReservationId,
    pub kind: Kind,
    pub amount: Money,
    pub gateway: &'a str,
    pub attempt: u16,
    pub flow: Flow,
    pub tenant: &'a str,
    pub again_of: Option<&'a String>,
}

impl Wish<'_> {
    fn key(&self, id: &PaymentId) -> String {
        let create = match self.flow {
            Flow::Direct => Operation::Auth,
            Flow::Hosted => Operation::Session,
        };
        key(self.tenant, id, self.attempt, create, 1)
    }

    fn begin(&self, state: &State, id: &PaymentId) -> Result<Event, Refusal> {
        if self.attempt != state.last().saturating_add(1) {
            return Err(Refusal::WrongAttempt { last: state.last() });
        }
        // A reservation has one price; a damage may be approved again for less.
        let other = state.amount().is_some_and(|asked| match self.kind {
            Kind::Reservation => asked != self.amount,
            Kind::DamageCharge | Kind::Extra => asked.currency != self.amount.currency,
        });
        if self.amount.amount_minor < 0 || other {
            return Err(Refusal::AmountMismatch);
        }
        Ok(Event::Initiated {
            reservation_id: self.reservation_id,
            kind: self.kind,
            amount: self.amount,
            gateway: self.gateway.to_owned(),
            attempt: self.attempt,
            gateway_idempotency_key: self.key(id),
            flow: self.flow,
            tenant: self.tenant.to_owned(),
            again_of: self.again_of.cloned(),
        })
    }
}

pub(super) fn initiate(
    state: &State,
    id: &PaymentId,
    wish: &Wish<'_>,
) -> Result<Vec<Event>, Refusal> {
    let Some(last) = state.current() else {
        // A Void that came before any attempt is remembered, or a redriven Initiate would revive it.
        return match state.closed {
            Some(_) => Err(Refusal::Closed),
            None => Ok(vec![wish.begin(state, id)?]),
        };
    };
    match last.status {
        Status::Pending | Status::RequiresAction => {
            let same = wish.attempt == last.attempt;
            if same { Ok(Vec::new()) } else { Err(Refusal::InProgress { attempt: last.attempt }) }
        }
        Status::Authorized | Status::CaptureRequested => Err(Refusal::Paid),
        Status::Succeeded | Status::Disputed => Err(Refusal::AlreadyPaid),
        Status::Failed if state.closed.is_none() => {
            // A declined intent can still be paid at the gateway: the new attempt takes its place.
            Ok(vec![wish.begin(state, id)?, void(last, BackReason::Superseded)])
        }
        Status::Voided if state.closed.is_none() && leaves_room(state, last) => {
            Ok(vec![wish.begin(state, id)?])
        }
        Status::None
        | Status::Failed
        | Status::VoidRequested
        | Status::Voided
        | Status::RefundPending
        | Status::PartiallyRefunded
        | Status::Refunded => Err(Refusal::Closed),
    }
}

/// A damage, an extra. A fact that is seen twice names the same attempt, and charges once (S0-37).
pub(super) fn charge_later(
    state: &State,
    id: &PaymentId,
    inspection_id: Option<InspectionId>,
    wish: &Wish<'_>,
) -> Result<Vec<Event>, Refusal> {
    if wish.amount.amount_minor <= 0 {
        return Err(Refusal::AmountMismatch);
    }
    if let Some(begun) = state.attempt(wish.attempt) {
        let same = begun.amount == wish.amount;
        return if same { Ok(Vec::new()) } else { Err(Refusal::AmountMismatch) };
    }
    let mut events = initiate(state, id, wish)?;
    if let (Some(InspectionId(inspection_id)), None) = (inspection_id, state.current()) {
        let created = Event::DamageChargeCreated {
            inspection_id,
            amount: wish.amount,
            gateway_idempotency_key: wish.key(id),
        };
        events.insert(0, created);
    }
    Ok(events)
}

/// Whether another attempt may follow a voided one: its money was lost, or the gateway cancelled it
/// before it was paid and not at our wish, which for the customer is a decline.
fn leaves_room(state: &State, row: &Attempt) -> bool {
    state.money_lost || row.void_reason == Some(BackReason::CancelledByGateway)
}
