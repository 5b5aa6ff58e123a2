//! Booking: what follows a hold until it is somebody's or nobody's. DOMAIN.md C.8, rows of `booking`.
//!
//! | fact | asks | when refused or too late |
//! |---|---|---|
//! | hold created, extended | wake at the deadline → Expire | not due: wake again then |
//! | a claim or lock with a deadline | wake then → drop it if it has lapsed | – |
//! | payment requested | Payment.Initiate | in progress: nothing |
//! | authorized, succeeded (kept) | ConfirmPaid | duplicate payment: give that attempt back |
//! | failed, voided | PaymentDeclined | – |
//! | money lost | RecordMoneyLost | the rental is under way or over: alarm |
//! | confirmed, late payment accepted, claims retaken | commit every claim, RecordFinalized; capture, unless on completion | a claim is gone: RecordClaimLost |
//! | hold released, expired | soft void; release every claim in reverse | paid: nothing |
//! | cancelled | give back; release or return every claim in reverse | – |
//! | late payment received, claims lost | take every claim again, RecordReacquired(taken) | RecordReacquired(refused) |
//! | late payment rejected | give back; release every claim, also those never taken | – |
//!
//! A refused ask is answered by a command to the reservation and by no other effect: two runs of one
//! fact may see different refusals, and the reservation's stream decides which one counts. Giving a
//! duplicate payment back is the exception, since there it has decided already.

mod claims;
mod refusals;
#[cfg(test)]
mod tests;

pub use refusals::refused;

use super::{Alarm, Ask, Command, Fact, TENANT, TimerKey, What};
use crate::payment::{self, BackReason, Kind};
use crate::reservation::{
    self, CancelReason, Capture, Event, HoldReleaseReason, LateReason, Reacquired, State,
};
use crate::seatmap::ReleaseReason;
use crate::{AttemptNo, Epoch, Money, PaymentId, RefundId, ReservationId, Timestamp, derive};

/// What follows from a fact.
pub fn react(fact: &Fact<'_>) -> Vec<Ask> {
    match fact.what {
        What::Reservation(id, event, state) => reservation(id, event, state),
        What::Payment(id, event, state) => paid(*id, event, state),
        What::SeatMap(map, event) => claims::seats(map, event),
        What::Inventory(sku, event) => claims::pool(sku, event),
        What::Limit(limit, event) => claims::limit(limit, event),
        What::Vehicle(vehicle, event, _) => claims::vehicle(vehicle, event),
        What::Item(..) | What::Ticket(..) | What::Notification(..) | What::Inspection(..) => vec![],
    }
}

fn reservation(id: &ReservationId, event: &Event, state: &State) -> Vec<Ask> {
    let hold_over = || Ask::Forget(TimerKey::Hold(*id));
    match event {
        Event::HoldCreated { hold_expires_at, claim_epoch, .. } => {
            vec![expire_at(id, *hold_expires_at, *claim_epoch)]
        }
        Event::HoldExtended { new_expires_at, .. } => {
            vec![expire_at(id, *new_expires_at, state.claim_epoch)]
        }
        Event::PaymentRequested { payment_id, attempt, amount, gateway, flow } => {
            vec![Ask::Do(Command::Payment(
                *payment_id,
                payment::Command::Initiate {
                    reservation_id: *id,
                    kind: Kind::Reservation,
                    amount: *amount,
                    gateway: gateway.clone(),
                    attempt: *attempt,
                    flow: *flow,
                    tenant: TENANT.to_owned(),
                },
            ))]
        }
        Event::Confirmed { payment_id, attempt, claim_epoch, .. }
        | Event::LatePaymentAccepted { payment_id, attempt, claim_epoch } => {
            let mut asks = vec![finalize(id, state, *claim_epoch)];
            match state.policies.capture {
                Capture::OnConfirm => asks.push(Ask::Do(Command::Payment(
                    *payment_id,
                    payment::Command::Capture { attempt: *attempt },
                ))),
                Capture::OnCompletion => {}
            }
            asks.push(hold_over());
            asks
        }
        Event::ClaimsRetaken { claim_epoch } => vec![finalize(id, state, *claim_epoch)],
        Event::LatePaymentReceived { claim_epoch, .. } | Event::ClaimsLost { claim_epoch } => {
            let mut steps = claims::reacquire(id, state, *claim_epoch);
            let outcome = Reacquired::Taken;
            steps.push(told(
                id,
                reservation::Command::RecordReacquired { epoch: *claim_epoch, outcome },
            ));
            vec![Ask::Steps(steps)]
        }
        Event::HoldReleased { reason } => {
            let reason = match reason {
                HoldReleaseReason::PaymentFailed => ReleaseReason::PaymentFailed,
                HoldReleaseReason::User => ReleaseReason::User,
                HoldReleaseReason::Operator => ReleaseReason::Cancelled,
            };
            let mut asks = vec![hold_over()];
            asks.extend(soft_void(state, BackReason::Released));
            asks.extend(claims::release(id, state, reason));
            asks
        }
        Event::HoldExpired { .. } => {
            let mut asks = vec![hold_over()];
            asks.extend(soft_void(state, BackReason::Expired));
            asks.extend(claims::release(id, state, ReleaseReason::Expired));
            asks
        }
        Event::Cancelled { reason, refund, .. } => {
            let mut asks = vec![hold_over()];
            asks.extend(cancelled(id, state, *reason, *refund));
            asks
        }
        Event::LatePaymentRejected { payment_id, attempt, reason } => {
            let why = match reason {
                LateReason::Policy | LateReason::Gone => BackReason::Late,
                LateReason::Cancelled => BackReason::Cancelled,
                LateReason::MoneyLost => BackReason::MoneyLost,
            };
            let mut asks = vec![give_back(*payment_id, Some(*attempt), why)];
            // Also what was never taken: the fence then keeps a late Reacquire out.
            asks.extend(claims::release(id, state, ReleaseReason::LateRejected));
            asks
        }
        // Nothing to do, or a matter of the rental's process and of the tickets'.
        Event::PaymentDeclined { .. }
        | Event::MoneyLost { .. }
        | Event::Finalized { .. }
        | Event::VehicleAssigned { .. }
        | Event::VehicleWithdrawn { .. }
        | Event::NoShow { .. }
        | Event::RentalStarted { .. }
        | Event::RentalCompleted { .. } => vec![],
    }
}

/// Commits every claim, then says so; the first that is gone ends it, and `refused` says what follows.
fn finalize(id: &ReservationId, state: &State, epoch: Epoch) -> Ask {
    let mut steps = claims::commit(id, state, epoch);
    let vehicle_id = state.vehicle_id.clone();
    steps.push(told(id, reservation::Command::RecordFinalized { epoch, vehicle_id }));
    Ask::Steps(steps)
}

fn cancelled(
    id: &ReservationId,
    state: &State,
    reason: CancelReason,
    refund: Option<Money>,
) -> Vec<Ask> {
    let (back, release) = match reason {
        CancelReason::User | CancelReason::Operator => {
            (BackReason::Cancelled, ReleaseReason::Cancelled)
        }
        CancelReason::Oversold => (BackReason::Oversold, ReleaseReason::Oversold),
        CancelReason::MoneyLost => (BackReason::MoneyLost, ReleaseReason::Cancelled),
    };
    let mut asks = Vec::new();
    if let Some(last) = state.payments.last() {
        let payment_id = last.payment_id;
        let part = refund.filter(|refund| state.total != Some(*refund));
        asks.push(match part {
            None => give_back(payment_id, None, back),
            Some(amount) => Ask::Do(Command::Payment(
                payment_id,
                payment::Command::Refund {
                    refund_id: RefundId(derive(&["refund", &id.to_string(), "cancelled"])),
                    amount: Some(amount),
                    reason: back,
                },
            )),
        });
    }
    if state.was_confirmed() {
        asks.extend(claims::give_up(id, state, release));
    } else {
        asks.extend(claims::release(id, state, release));
    }
    match reason {
        CancelReason::User | CancelReason::Operator => {}
        CancelReason::Oversold => {
            asks.push(Ask::Alarm(Alarm::Oversold { reservation_id: *id }));
        }
        CancelReason::MoneyLost => {
            asks.push(Ask::Alarm(Alarm::MoneyLost { reservation_id: *id }));
        }
    }
    asks
}

/// What the reservation must hear of its payment.
fn paid(payment_id: PaymentId, event: &payment::Event, state: &payment::State) -> Vec<Ask> {
    let id = match (state.kind, state.reservation_id) {
        (Kind::Reservation, Some(id)) => id,
        (Kind::Reservation, None) | (Kind::DamageCharge | Kind::Extra, _) => return vec![],
    };
    let tell = |command| vec![Ask::Do(told(&id, command))];
    match event {
        payment::Event::Authorized { attempt, .. }
        | payment::Event::Succeeded { attempt, kept: true, .. } => {
            tell(reservation::Command::ConfirmPaid { payment_id, attempt: *attempt })
        }
        // An open attempt that the gateway cancelled counts as declined.
        payment::Event::Failed { attempt, .. } | payment::Event::Voided { attempt, .. } => {
            tell(reservation::Command::PaymentDeclined { payment_id, attempt: *attempt })
        }
        payment::Event::MoneyLost { attempt, .. } => {
            tell(reservation::Command::RecordMoneyLost { payment_id, attempt: *attempt })
        }
        payment::Event::Succeeded { kept: false, .. }
        | payment::Event::Initiated { .. }
        | payment::Event::SessionCreated { .. }
        | payment::Event::ActionRequired { .. }
        | payment::Event::CaptureRequested { .. }
        | payment::Event::CaptureFailed { .. }
        | payment::Event::VoidRequested { .. }
        | payment::Event::VoidFailed { .. }
        | payment::Event::RefundRequested { .. }
        | payment::Event::RefundSucceeded { .. }
        | payment::Event::RefundFailed { .. }
        | payment::Event::ChargebackOpened { .. }
        | payment::Event::Closed { .. }
        | payment::Event::DamageChargeCreated { .. }
        | payment::Event::GatewayEventIgnored { .. } => vec![],
    }
}

fn told(id: &ReservationId, command: reservation::Command) -> Command {
    Command::Reservation(*id, command)
}

fn expire_at(id: &ReservationId, at: Timestamp, epoch: Epoch) -> Ask {
    let then = Ask::Do(told(id, reservation::Command::Expire { epoch }));
    Ask::Wake { key: TimerKey::Hold(*id), at, then: Box::new(then) }
}

fn give_back(payment_id: PaymentId, attempt: Option<AttemptNo>, reason: BackReason) -> Ask {
    Ask::Do(Command::Payment(payment_id, payment::Command::GiveBack { attempt, reason }))
}

/// Spares what is authorized or paid: its own fact asks ConfirmPaid, which decides. A hold that
/// nobody began to pay has no payment.
fn soft_void(state: &State, reason: BackReason) -> Option<Ask> {
    let last = state.payments.last()?;
    let command = payment::Command::SoftVoid { attempt: None, reason };
    Some(Ask::Do(Command::Payment(last.payment_id, command)))
}
