//! Money: what was captured is kept for something, given back, or on its way back. P1, P2, P7.

use std::collections::HashMap;

use holdfast_domain::payment::{Event, Kind};
use holdfast_domain::reservation::Capture;
use holdfast_domain::{PaymentId, ReservationId, Timestamp};
use holdfast_store::Position;

use super::holds::Holds;
use super::{End, Findings, Report, Seen};

struct Attempt {
    reservation: ReservationId,
    kind: Kind,
    currency: &'static str,
    asked: i64,
    authorized: bool,
    captured: i64,
    refunded: i64,
    /// Refunds that were asked for and are not done, by their id.
    returning: HashMap<String, i64>,
    capturing: bool,
    voiding: bool,
    changed: Timestamp,
    position: Position,
}

/// Every attempt at paying.
#[derive(Default)]
pub(super) struct Money {
    attempts: HashMap<(PaymentId, u16), Attempt>,
}

impl Money {
    pub(super) fn see(&mut self, seen: Seen, id: PaymentId, event: &Event, report: &mut Report) {
        if let Event::Initiated { reservation_id, kind, amount, attempt, .. } = event {
            let new = Attempt {
                reservation: *reservation_id,
                kind: *kind,
                currency: amount.currency.code(),
                asked: amount.amount_minor,
                authorized: false,
                captured: 0,
                refunded: 0,
                returning: HashMap::new(),
                capturing: false,
                voiding: false,
                changed: seen.at,
                position: seen.position,
            };
            if self.attempts.insert((id, *attempt), new).is_some() {
                report
                    .offence(seen.position, format!("payment {id}: attempt {attempt} began twice"));
            }
            return;
        }
        let number = match event {
            Event::Initiated { attempt, .. }
            | Event::SessionCreated { attempt, .. }
            | Event::ActionRequired { attempt, .. }
            | Event::Authorized { attempt, .. }
            | Event::CaptureRequested { attempt, .. }
            | Event::Succeeded { attempt, .. }
            | Event::Failed { attempt, .. }
            | Event::VoidRequested { attempt, .. }
            | Event::Voided { attempt, .. }
            | Event::VoidFailed { attempt, .. }
            | Event::CaptureFailed { attempt, .. }
            | Event::RefundRequested { attempt, .. }
            | Event::RefundSucceeded { attempt, .. }
            | Event::RefundFailed { attempt, .. }
            | Event::ChargebackOpened { attempt, .. }
            | Event::MoneyLost { attempt, .. } => *attempt,
            // These say nothing of money.
            Event::Closed { .. }
            | Event::DamageChargeCreated { .. }
            | Event::GatewayEventIgnored { .. } => return,
        };
        let mut wrong = |what: String| {
            report.offence(seen.position, format!("payment {id}, attempt {number}: {what}"));
        };
        let Some(attempt) = self.attempts.get_mut(&(id, number)) else {
            return wrong("something happened to it before it began".into());
        };
        (attempt.changed, attempt.position) = (seen.at, seen.position);
        match event {
            Event::Authorized { amount, .. } => {
                attempt.authorized = true;
                if amount.amount_minor != attempt.asked {
                    wrong(format!("{amount} were authorized, {} were asked for", attempt.asked));
                }
            }
            Event::Succeeded { amount, .. } => {
                attempt.authorized = true;
                attempt.capturing = false;
                attempt.captured += amount.amount_minor;
                if attempt.captured > attempt.asked {
                    wrong(format!("{} were captured of {}", attempt.captured, attempt.asked));
                }
            }
            Event::CaptureRequested { .. } => attempt.capturing = true,
            Event::VoidRequested { .. } => attempt.voiding = true,
            Event::Voided { .. } => {
                attempt.voiding = false;
                attempt.authorized = false;
            }
            Event::RefundRequested { refund_id, amount, .. } => {
                attempt.returning.insert(refund_id.to_string(), amount.amount_minor);
            }
            Event::RefundSucceeded { refund_id, amount, .. } => {
                attempt.returning.remove(&refund_id.to_string());
                attempt.refunded += amount.amount_minor;
                if attempt.refunded > attempt.captured {
                    wrong(format!("{} went back of {}", attempt.refunded, attempt.captured));
                }
            }
            Event::Initiated { .. }
            | Event::SessionCreated { .. }
            | Event::ActionRequired { .. }
            | Event::Failed { .. }
            | Event::VoidFailed { .. }
            | Event::CaptureFailed { .. }
            | Event::RefundFailed { .. }
            | Event::ChargebackOpened { .. }
            | Event::MoneyLost { .. }
            | Event::Closed { .. }
            | Event::DamageChargeCreated { .. }
            | Event::GatewayEventIgnored { .. } => {}
        }
    }

    pub(super) fn finish(
        &self,
        end: &End<'_>,
        holds: &Holds,
        report: &mut Report,
        findings: &mut Findings,
    ) {
        for ((payment, number), attempt) in &self.attempts {
            let hold = holds.get(attempt.reservation);
            let mine = hold.is_some_and(|hold| hold.paid_by == Some((*payment, *number)));
            let net = attempt.captured - attempt.refunded;
            let returning: i64 = attempt.returning.values().sum();
            // What its reservation may keep of it.
            let keeps = match hold {
                // A damage or an extra is owed for itself, whatever became of the reservation's money.
                _ if attempt.kind != Kind::Reservation => net - returning,
                Some(hold) if mine && hold.stands.has_money() => net - returning,
                // A cancellation may give back less than everything.
                Some(hold) if mine => match hold.gives_back {
                    Some(back) => (attempt.captured - back.amount_minor).min(net - returning),
                    None => 0,
                },
                _ => 0,
            };
            let under_way = net - keeps;
            let sums = findings.money.entry(attempt.currency).or_default();
            sums.captured += attempt.captured;
            sums.refunded += attempt.refunded;
            sums.kept += keeps;
            sums.under_way += under_way;
            if under_way > returning && end.settled(attempt.changed) {
                report.offence(
                    attempt.position,
                    format!(
                        "payment {payment}, attempt {number}: {} {} of reservation {} are neither kept for it nor given back",
                        attempt.currency, under_way - returning, attempt.reservation
                    ),
                );
            }
            // Nobody gets anything for nothing.
            if let Some(hold) = hold.filter(|hold| mine && hold.stands.has_money()) {
                if !attempt.authorized && hold.total.amount_minor > 0 {
                    report.offence(
                        hold.position,
                        format!("reservation {} stands without its money", attempt.reservation),
                    );
                }
                let forgotten = hold.capture == Capture::OnConfirm
                    && attempt.captured == 0
                    && attempt.asked > 0
                    && !attempt.capturing
                    && end.settled(hold.since);
                if forgotten {
                    report.offence(
                        hold.position,
                        format!(
                            "reservation {} is confirmed and its money was never captured",
                            attempt.reservation
                        ),
                    );
                }
            }
        }
    }
}
