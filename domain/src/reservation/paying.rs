//! Paying for a hold: an attempt begins, is confirmed, is declined, or its money is lost.

use super::command::Refusal;
use super::event::{
    CancelReason, CancelledBy, Event, ExtensionReason, HoldReleaseReason, LateReason, OnDecline,
    Status,
};
use super::{Attempt, State};
use crate::payment::Flow;
use crate::{By, ReservationId, Timestamp};

impl State {
    pub(super) fn request_payment(
        &self,
        id: &ReservationId,
        by: &By,
        gateway: &str,
        flow: Flow,
        extend_to: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        self.for_its_own(by)?;
        match self.status {
            Status::None => Err(Refusal::NotFound),
            Status::Hold | Status::AwaitingPayment => {
                if now >= self.deadline() {
                    return Err(self.hold_expired(now));
                }
                if let Some(open) = self.payments.last()
                    && self.payment_open
                {
                    return Err(Refusal::PaymentInProgress {
                        payment_id: open.payment_id,
                        attempt: open.attempt,
                    });
                }
                let Some(amount) = self.total else { return Err(Refusal::NotFound) };
                let last = self.payments.last().map_or(0, |attempt| attempt.attempt);
                let mut events = Vec::with_capacity(2);
                events.extend(self.extension(extend_to));
                events.push(Event::PaymentRequested {
                    payment_id: id.payment_id(),
                    attempt: last.saturating_add(1),
                    amount,
                    gateway: gateway.to_owned(),
                    flow,
                });
                Ok(events)
            }
            Status::Reacquiring => Err(Refusal::Reacquiring),
            Status::Confirmed | Status::InUse | Status::Completed => Err(Refusal::AlreadyPaid),
            Status::HoldFailed | Status::HoldExpired => Err(self.hold_expired(now)),
            Status::Cancelled => Err(Refusal::Cancelled),
        }
    }

    /// R3: once, when a payment starts, and only to a later moment; never beyond the cap.
    fn extension(&self, extend_to: Option<Timestamp>) -> Option<Event> {
        let old_expires_at = self.deadline();
        let new_expires_at = extend_to?.min(self.absolute_deadline);
        (!self.extension_used && new_expires_at > old_expires_at).then_some(Event::HoldExtended {
            old_expires_at,
            new_expires_at,
            reason: ExtensionReason::PaymentStarted,
        })
    }

    /// The gateway says that the attempt is authorized or paid: two facts of one payment, so the
    /// second always finds the first decided.
    pub(super) fn confirm(&self, paid: Attempt, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        match self.status {
            Status::None => Err(Refusal::NotFound),
            Status::Hold | Status::AwaitingPayment => {
                if self.is_decided(paid) {
                    Ok(vec![])
                } else if now < self.deadline() {
                    Ok(vec![Event::Confirmed {
                        payment_id: paid.payment_id,
                        attempt: paid.attempt,
                        confirmed_at: now,
                        claim_epoch: self.claim_epoch,
                    }])
                } else {
                    Ok(vec![self.expiry(), self.too_late(paid)])
                }
            }
            // Everything is taken again for one attempt; the money of any other goes back.
            Status::Reacquiring => self.same_or_duplicate(paid, self.late),
            Status::Confirmed | Status::InUse | Status::Completed => {
                self.same_or_duplicate(paid, self.paid_by)
            }
            Status::HoldFailed | Status::HoldExpired => {
                if self.is_decided(paid) {
                    Ok(vec![])
                } else {
                    Ok(vec![self.too_late(paid)])
                }
            }
            // Never resurrected. What had confirmed it went back with the cancellation.
            Status::Cancelled => {
                if self.is_decided(paid) {
                    Ok(vec![])
                } else {
                    Ok(vec![Event::LatePaymentRejected {
                        payment_id: paid.payment_id,
                        attempt: paid.attempt,
                        reason: LateReason::Cancelled,
                    }])
                }
            }
        }
    }

    fn same_or_duplicate(
        &self,
        paid: Attempt,
        expected: Option<Attempt>,
    ) -> Result<Vec<Event>, Refusal> {
        if expected == Some(paid) || self.is_decided(paid) {
            Ok(vec![])
        } else {
            Err(Refusal::DuplicatePayment { payment_id: paid.payment_id, attempt: paid.attempt })
        }
    }

    /// Whether the fate of this attempt's money is settled already.
    fn is_decided(&self, paid: Attempt) -> bool {
        self.paid_by == Some(paid) || self.decided_late.contains(&paid) || self.lost.contains(&paid)
    }

    /// The gateway declined an attempt. Only the latest counts: an older one has been replaced.
    pub(super) fn declined(&self, attempt: Attempt) -> Result<Vec<Event>, Refusal> {
        match self.status {
            Status::None => Err(Refusal::NotFound),
            Status::AwaitingPayment if self.is_open(attempt) => match self.policies.on_decline {
                OnDecline::Release => {
                    Ok(vec![Event::HoldReleased { reason: HoldReleaseReason::PaymentFailed }])
                }
                OnDecline::KeepHold => Ok(vec![Event::PaymentDeclined {
                    payment_id: attempt.payment_id,
                    attempt: attempt.attempt,
                }]),
            },
            Status::Hold
            | Status::AwaitingPayment
            | Status::Reacquiring
            | Status::Confirmed
            | Status::InUse
            | Status::Completed
            | Status::HoldFailed
            | Status::HoldExpired
            | Status::Cancelled => Ok(vec![]),
        }
    }

    fn is_open(&self, attempt: Attempt) -> bool {
        self.payment_open && self.payments.last() == Some(&attempt)
    }

    /// Money that was authorized is gone. Where the attempt has not decided anything yet, that is
    /// remembered: its ConfirmPaid may still be waiting in a dead letter.
    pub(super) fn money_lost(&self, attempt: Attempt) -> Result<Vec<Event>, Refusal> {
        let mine = self.paid_by == Some(attempt);
        match self.status {
            Status::None => Err(Refusal::NotFound),
            Status::Hold | Status::AwaitingPayment => {
                let mut events = self.remember_lost(attempt);
                if self.is_open(attempt) && self.policies.on_decline == OnDecline::Release {
                    events.push(Event::HoldReleased { reason: HoldReleaseReason::PaymentFailed });
                }
                Ok(events)
            }
            Status::Reacquiring if self.late == Some(attempt) => {
                Ok(vec![Event::LatePaymentRejected {
                    payment_id: attempt.payment_id,
                    attempt: attempt.attempt,
                    reason: LateReason::MoneyLost,
                }])
            }
            Status::Reacquiring | Status::HoldFailed | Status::HoldExpired => {
                Ok(self.remember_lost(attempt))
            }
            Status::Confirmed if mine => Ok(vec![Event::Cancelled {
                by: CancelledBy::System,
                reason: CancelReason::MoneyLost,
                refund: None,
            }]),
            // The vehicle is out, or back: nothing can be taken away. A person has to see to it.
            Status::InUse if mine => Err(Refusal::InUse),
            Status::Completed if mine => Err(Refusal::Completed),
            Status::Confirmed | Status::InUse | Status::Completed | Status::Cancelled => Ok(vec![]),
        }
    }

    fn remember_lost(&self, attempt: Attempt) -> Vec<Event> {
        if self.is_decided(attempt) {
            vec![]
        } else {
            vec![Event::MoneyLost { payment_id: attempt.payment_id, attempt: attempt.attempt }]
        }
    }
}
