//! Damages: from a claim to its money, and back to the claim. DOMAIN.md C.7, C.8.
//!
//! | fact | asks | when refused |
//! |---|---|---|
//! | damage assessed within the limit, or claim approved | charge it, on the means of the rental | no such means, closed: the claim hears of it |
//! | its charge succeeded | Inspection.RecordCharged | – |
//! | its charge was declined, cancelled, lost | Inspection.RecordChargeFailed: the claim stays APPROVED | – |
//! | that is recorded | alarm | – |
//! | claim waived, rejected after an approval | give the charge back | – |
//! | the bank took it back | Inspection.Dispute | – |
//!
//! The charge is a payment of its own: whatever becomes of it, the reservation and its money stay as
//! they are. Its id follows from the reservation and the inspection, its number from the claim: a
//! fact that is seen twice charges once (S0-37).
//!
//! Extras (fuel) have nobody who remembers them but their payment: when one fails, a person hears of it.

#[cfg(test)]
mod tests;

use super::{Alarm, Ask, Charge, Command, Fact, Refusal, What};
use crate::inspection::{self, Event, State};
use crate::payment::{self, BackReason, Kind};
use crate::{By, InspectionId, Money, PaymentId};

/// What follows from a fact.
pub fn react(fact: &Fact<'_>) -> Vec<Ask> {
    match fact.what {
        What::Inspection(id, event, state) => of_a_claim(id, event, state),
        What::Payment(id, event, state) => match (state.kind, state.inspection_id) {
            (Kind::DamageCharge, Some(inspection)) => of_its_money(&inspection, *id, event),
            (Kind::DamageCharge, None) | (Kind::Extra, _) => of_an_extra(*id, event),
            (Kind::Reservation, _) => vec![],
        },
        What::Reservation(..)
        | What::SeatMap(..)
        | What::Inventory(..)
        | What::Limit(..)
        | What::Item(..)
        | What::Ticket(..)
        | What::Notification(..)
        | What::Vehicle(..) => vec![],
    }
}

fn of_a_claim(id: &InspectionId, event: &Event, state: &State) -> Vec<Ask> {
    match event {
        Event::DamageAssessed { auto_charge: true, amount_estimate: Some(amount), .. } => {
            charge(id, state, *amount)
        }
        // What is paid already is not charged again: a dispute of it was turned down.
        Event::ClaimApproved { amount, .. } if state.charging => charge(id, state, *amount),
        Event::ChargeFailed { payment_id, code, .. } => {
            let (payment_id, code) = (*payment_id, code.clone());
            vec![Ask::Alarm(Alarm::ChargeFailed { payment_id, code })]
        }
        Event::ClaimWaived { .. } | Event::ClaimRejected { .. } => give_back(id, state),
        Event::DamageAssessed { .. }
        | Event::ClaimApproved { .. }
        | Event::Submitted { .. }
        | Event::ClaimDisputed { .. }
        | Event::ClaimCharged { .. } => vec![],
    }
}

fn charge(id: &InspectionId, state: &State, amount: Money) -> Vec<Ask> {
    let Some(reservation_id) = state.reservation_id else { return vec![] };
    vec![Ask::Charge(Charge {
        payment_id: reservation_id.damage_payment_id(id),
        reservation_id,
        inspection_id: Some(*id),
        amount,
        attempt: state.attempt(),
    })]
}

/// Whatever was charged for it or may still be: also a charge that has not begun yet never does.
fn give_back(id: &InspectionId, state: &State) -> Vec<Ask> {
    let (Some(payment_id), Some(_)) = (state.payment_id(id), state.amount) else { return vec![] };
    let back = payment::Command::GiveBack { attempt: None, reason: BackReason::Operator };
    vec![Ask::Do(Command::Payment(payment_id, back))]
}

/// What the claim must hear of its payment.
fn of_its_money(id: &InspectionId, payment_id: PaymentId, event: &payment::Event) -> Vec<Ask> {
    let tell = |command| vec![Ask::Do(Command::Inspection(*id, command))];
    if let payment::Event::Succeeded { amount, kept: true, .. } = event {
        return tell(inspection::Command::RecordCharged { payment_id, amount: *amount });
    }
    if let payment::Event::ChargebackOpened { .. } = event {
        let reason = Some("chargeback".to_owned());
        return tell(inspection::Command::Dispute { by: By::System, reason });
    }
    match failure(event) {
        Some((attempt, code)) => {
            let attempt = Some(attempt);
            tell(inspection::Command::RecordChargeFailed { payment_id, attempt, code })
        }
        None => unattended(payment_id, event),
    }
}

fn of_an_extra(payment_id: PaymentId, event: &payment::Event) -> Vec<Ask> {
    match failure(event) {
        Some((_, code)) => vec![Ask::Alarm(Alarm::ChargeFailed { payment_id, code })],
        None => unattended(payment_id, event),
    }
}

/// The bank wants to see the customer, who is not there. It may still come to something; until then a
/// person should know.
fn unattended(payment_id: PaymentId, event: &payment::Event) -> Vec<Ask> {
    if let payment::Event::ActionRequired { .. } = event {
        let code = "action_required".to_owned();
        vec![Ask::Alarm(Alarm::ChargeFailed { payment_id, code })]
    } else {
        vec![]
    }
}

/// The attempt that came to nothing, and why. What we voided ourselves is no failure.
fn failure(event: &payment::Event) -> Option<(u16, String)> {
    match event {
        payment::Event::Failed { attempt, code, .. } => Some((*attempt, code.clone())),
        payment::Event::Voided { attempt, reason: BackReason::CancelledByGateway } => {
            Some((*attempt, "cancelled_by_gateway".to_owned()))
        }
        payment::Event::MoneyLost { attempt, .. } => Some((*attempt, "money_lost".to_owned())),
        payment::Event::Voided { .. }
        | payment::Event::Initiated { .. }
        | payment::Event::SessionCreated { .. }
        | payment::Event::ActionRequired { .. }
        | payment::Event::Authorized { .. }
        | payment::Event::CaptureRequested { .. }
        | payment::Event::Succeeded { .. }
        | payment::Event::VoidRequested { .. }
        | payment::Event::VoidFailed { .. }
        | payment::Event::CaptureFailed { .. }
        | payment::Event::RefundRequested { .. }
        | payment::Event::RefundSucceeded { .. }
        | payment::Event::RefundFailed { .. }
        | payment::Event::ChargebackOpened { .. }
        | payment::Event::Closed { .. }
        | payment::Event::DamageChargeCreated { .. }
        | payment::Event::GatewayEventIgnored { .. } => None,
    }
}

/// What follows when a command that it asked for is refused.
pub fn refused(command: &Command, refusal: &Refusal) -> Vec<Ask> {
    let Command::Payment(payment_id, payment::Command::ChargeLater { inspection_id, .. }) = command
    else {
        return vec![];
    };
    let Refusal::Payment(refusal) = refusal else { return vec![] };
    let code = match refusal {
        // It is charged: its own facts say so.
        payment::Refusal::Paid | payment::Refusal::AlreadyPaid => return vec![],
        payment::Refusal::NoMeans => "no_means",
        payment::Refusal::Closed => "closed",
        payment::Refusal::InProgress { .. } => "in_progress",
        payment::Refusal::AmountMismatch => "amount_mismatch",
        payment::Refusal::NotFound
        | payment::Refusal::NotAuthorized
        | payment::Refusal::NotRefundable { .. }
        | payment::Refusal::WrongAttempt { .. } => "refused",
    };
    let (payment_id, code) = (*payment_id, code.to_owned());
    vec![match inspection_id {
        Some(inspection) => Ask::Do(Command::Inspection(
            *inspection,
            inspection::Command::RecordChargeFailed { payment_id, attempt: None, code },
        )),
        None => Ask::Alarm(Alarm::ChargeFailed { payment_id, code }),
    }]
}
