//! Holds: each ends, none before its time, and nothing happens to what has ended. R2, R3, R5, P7.

use std::collections::HashMap;

use holdfast_domain::reservation::{CancelReason, Capture, Claim, Event, ExtensionReason};
use holdfast_domain::{Money, PaymentId, ReservationId, SeatId, SeatMapId, Sku, Timestamp};
use holdfast_store::Position;

use super::{End, Findings, Report, Seen};

/// Where a reservation stands, as far as this reading needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stands {
    Hold,
    AwaitingPayment,
    Reacquiring,
    Confirmed,
    HoldFailed,
    HoldExpired,
    Cancelled,
    InUse,
    Completed,
}

impl Stands {
    fn name(self) -> &'static str {
        match self {
            Self::Hold => "HOLD",
            Self::AwaitingPayment => "AWAITING_PAYMENT",
            Self::Reacquiring => "REACQUIRING",
            Self::Confirmed => "CONFIRMED",
            Self::HoldFailed => "HOLD_FAILED",
            Self::HoldExpired => "HOLD_EXPIRED",
            Self::Cancelled => "CANCELLED",
            Self::InUse => "IN_USE",
            Self::Completed => "COMPLETED",
        }
    }

    /// Whether its customer still has what it asked for, or may still get it.
    pub(super) fn has_money(self) -> bool {
        match self {
            Self::Confirmed | Self::InUse | Self::Completed => true,
            Self::Hold
            | Self::AwaitingPayment
            | Self::Reacquiring
            | Self::HoldFailed
            | Self::HoldExpired
            | Self::Cancelled => false,
        }
    }
}

/// What is known of one reservation.
pub(super) struct Hold {
    pub(super) stands: Stands,
    /// Since when it stands like that.
    pub(super) since: Timestamp,
    pub(super) position: Position,
    /// The attempt that confirmed it.
    pub(super) paid_by: Option<(PaymentId, u16)>,
    /// What a cancellation gives back; all of it when nothing is said.
    pub(super) gives_back: Option<Money>,
    pub(super) capture: Capture,
    pub(super) total: Money,
    deadline: Timestamp,
    absolute_deadline: Timestamp,
    extended: bool,
    before_late: Stands,
    claims: Vec<Claim>,
    finalized: Option<Position>,
    expired_late_by: Option<(Timestamp, Timestamp)>,
}

/// Every reservation.
#[derive(Default)]
pub(super) struct Holds {
    holds: HashMap<ReservationId, Hold>,
}

impl Holds {
    pub(super) fn get(&self, id: ReservationId) -> Option<&Hold> {
        self.holds.get(&id)
    }

    /// When it ended unpaid or was cancelled; none while its claims may stand.
    pub(super) fn ended_at(&self, id: ReservationId) -> Option<Timestamp> {
        self.end_of(id).map(|(at, _)| at)
    }

    pub(super) fn end_of(&self, id: ReservationId) -> Option<(Timestamp, Position)> {
        let hold = self.holds.get(&id)?;
        match hold.stands {
            Stands::HoldFailed | Stands::HoldExpired | Stands::Cancelled => {
                Some((hold.since, hold.position))
            }
            Stands::Hold
            | Stands::AwaitingPayment
            | Stands::Reacquiring
            | Stands::Confirmed
            | Stands::InUse
            | Stands::Completed => None,
        }
    }

    fn finalized(&self) -> impl Iterator<Item = (ReservationId, &Hold, Position)> {
        self.holds
            .iter()
            .filter(|(_, hold)| hold.stands == Stands::Confirmed)
            .filter_map(|(id, hold)| hold.finalized.map(|position| (*id, hold, position)))
    }

    /// What must be booked: reservation, map, seats, and the event that says so.
    pub(super) fn finalized_seats(
        &self,
    ) -> impl Iterator<Item = (ReservationId, &SeatMapId, &[SeatId], Position)> {
        self.finalized().flat_map(|(id, hold, position)| {
            hold.claims.iter().filter_map(move |claim| match claim {
                Claim::SeatMap { r#ref, seat_ids } => Some((id, r#ref, &seat_ids[..], position)),
                Claim::Limit { .. } | Claim::Inventory { .. } | Claim::Vehicle { .. } => None,
            })
        })
    }

    /// What must be committed: reservation, pool, quantity, whether consumed, and the event.
    pub(super) fn finalized_pools(
        &self,
    ) -> impl Iterator<Item = (ReservationId, &Sku, u32, bool, Position)> {
        self.finalized().flat_map(|(id, hold, position)| {
            hold.claims.iter().filter_map(move |claim| match claim {
                Claim::Inventory { r#ref, quantity, consumed, .. } => {
                    Some((id, r#ref, *quantity, *consumed, position))
                }
                Claim::Limit { .. } | Claim::SeatMap { .. } | Claim::Vehicle { .. } => None,
            })
        })
    }

    pub(super) fn is_finalized(&self, id: ReservationId) -> bool {
        self.holds.get(&id).is_some_and(|hold| hold.finalized.is_some())
    }

    pub(super) fn see(
        &mut self,
        seen: Seen,
        id: ReservationId,
        event: &Event,
        report: &mut Report,
    ) {
        for what in self.take(seen, id, event) {
            report.offence(seen.position, format!("reservation {id}: {what}"));
        }
    }

    /// Takes an event in; gives what is wrong with it.
    fn take(&mut self, seen: Seen, id: ReservationId, event: &Event) -> Vec<String> {
        use Stands::{
            AwaitingPayment, Cancelled, Completed, Confirmed, HoldExpired, HoldFailed, InUse,
            Reacquiring,
        };
        let mut wrong = Vec::new();
        if let Event::HoldCreated {
            claims,
            total,
            hold_expires_at,
            absolute_deadline,
            policies,
            ..
        } = event
        {
            if hold_expires_at > absolute_deadline {
                wrong.push("its deadline lies behind the one that no extension passes".into());
            }
            let hold = Hold {
                stands: Stands::Hold,
                since: seen.at,
                position: seen.position,
                paid_by: None,
                gives_back: None,
                capture: policies.capture,
                total: *total,
                deadline: *hold_expires_at,
                absolute_deadline: *absolute_deadline,
                extended: false,
                before_late: HoldExpired,
                claims: claims.clone(),
                finalized: None,
                expired_late_by: None,
            };
            if self.holds.insert(id, hold).is_some() {
                wrong.push("was made twice".into());
            }
            return wrong;
        }
        let Some(hold) = self.holds.get_mut(&id) else {
            return vec!["something happened to it before it was made".into()];
        };
        let from = hold.stands;
        let ended = matches!(from, HoldFailed | HoldExpired | Cancelled);
        let goes = |hold: &mut Hold, to: Stands, allowed: &[Stands]| {
            (hold.stands, hold.since, hold.position) = (to, seen.at, seen.position);
            let odd = !allowed.contains(&from);
            odd.then(|| format!("went from {} to {}", from.name(), to.name()))
        };
        match event {
            // What the reservation remembers of its attempts; what follows is told by other facts.
            Event::HoldCreated { .. } | Event::PaymentDeclined { .. } | Event::MoneyLost { .. } => {
            }
            Event::VehicleAssigned { .. } | Event::VehicleWithdrawn { .. } => {
                if from != Confirmed {
                    wrong.push(format!("was given a vehicle, or another, while {}", from.name()));
                }
            }
            Event::NoShow { .. } => wrong.extend(goes(hold, Completed, &[Confirmed])),
            Event::HoldExtended { new_expires_at, reason, .. } => {
                if *reason == ExtensionReason::PaymentStarted && hold.extended {
                    wrong.push("was extended twice".into());
                }
                hold.extended |= *reason == ExtensionReason::PaymentStarted;
                if *new_expires_at > hold.absolute_deadline {
                    wrong.push("was extended beyond the deadline that no extension passes".into());
                }
                hold.deadline = *new_expires_at;
            }
            Event::PaymentRequested { .. } => {
                wrong.extend(goes(hold, AwaitingPayment, &[Stands::Hold, AwaitingPayment]));
            }
            Event::Confirmed { payment_id, attempt, confirmed_at, .. } => {
                if *confirmed_at >= hold.deadline {
                    wrong.push(format!("was confirmed at {confirmed_at}, after {}", hold.deadline));
                }
                hold.paid_by = Some((*payment_id, *attempt));
                wrong.extend(goes(hold, Confirmed, &[Stands::Hold, AwaitingPayment]));
            }
            Event::ClaimsLost { .. } | Event::ClaimsRetaken { .. } => {
                if from != Confirmed {
                    wrong.push("lost claims that it had not been promised".into());
                }
            }
            Event::Finalized { .. } => {
                if !matches!(from, Confirmed | InUse | Completed) {
                    wrong.push(format!("was finalized while {}", from.name()));
                }
                hold.finalized = Some(seen.position);
            }
            Event::HoldReleased { .. } => {
                wrong.extend(goes(hold, HoldFailed, &[Stands::Hold, AwaitingPayment]));
            }
            Event::HoldExpired { expired_at, .. } => {
                if *expired_at < hold.deadline {
                    wrong.push(format!("expired at {expired_at}, before {}", hold.deadline));
                }
                hold.expired_late_by = Some((hold.deadline, seen.at));
                wrong.extend(goes(hold, HoldExpired, &[Stands::Hold, AwaitingPayment]));
            }
            Event::LatePaymentReceived { .. } => {
                hold.before_late = from;
                wrong.extend(goes(hold, Reacquiring, &[HoldFailed, HoldExpired]));
            }
            Event::LatePaymentAccepted { payment_id, attempt, .. } => {
                hold.paid_by = Some((*payment_id, *attempt));
                wrong.extend(goes(hold, Confirmed, &[Reacquiring]));
            }
            Event::LatePaymentRejected { .. } => {
                if from == Reacquiring {
                    let back = hold.before_late;
                    wrong.extend(goes(hold, back, &[Reacquiring]));
                } else if !ended {
                    wrong.push(format!("turned late money away while {}", from.name()));
                }
            }
            Event::Cancelled { refund, reason, .. } => {
                hold.gives_back = match reason {
                    CancelReason::User | CancelReason::Operator => *refund,
                    CancelReason::Oversold | CancelReason::MoneyLost => None,
                };
                wrong.extend(goes(
                    hold,
                    Cancelled,
                    &[Stands::Hold, AwaitingPayment, Reacquiring, Confirmed],
                ));
            }
            Event::RentalStarted { .. } => wrong.extend(goes(hold, InUse, &[Confirmed])),
            Event::RentalCompleted { .. } => wrong.extend(goes(hold, Completed, &[InUse])),
        }
        wrong
    }

    pub(super) fn finish(&self, end: &End<'_>, report: &mut Report, findings: &mut Findings) {
        for (id, hold) in &self.holds {
            *findings.reservations.entry(hold.stands.name()).or_default() += 1;
            let open = matches!(hold.stands, Stands::Hold | Stands::AwaitingPayment);
            if open && end.overdue(hold.deadline) {
                report.offence(
                    hold.position,
                    format!(
                        "reservation {id}: still open, although its time was up at {}",
                        hold.deadline
                    ),
                );
            }
            if hold.stands == Stands::Reacquiring && end.settled(hold.since) {
                report.offence(
                    hold.position,
                    format!(
                        "reservation {id}: has been taking everything again since {}",
                        hold.since
                    ),
                );
            }
            let unfinished = hold.stands == Stands::Confirmed && hold.finalized.is_none();
            if unfinished && end.settled(hold.since) {
                report.offence(
                    hold.position,
                    format!("reservation {id}: confirmed at {} and never finalized", hold.since),
                );
            }
            if let Some((deadline, at)) = hold.expired_late_by
                && let Some(up) = end.up_after(deadline)
            {
                findings.latest_expiry = findings.latest_expiry.max(at.since(up));
            }
        }
    }
}
