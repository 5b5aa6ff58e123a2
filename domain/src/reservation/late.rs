//! Money that comes too late, and claims that are found gone: taking everything again, once, at the
//! next epoch, and what then becomes of the reservation.

use super::command::{Reacquired, Refusal};
use super::event::{CancelReason, CancelledBy, Event, LatePayment, LateReason, Status};
use super::{Attempt, State};
use crate::{Epoch, VehicleId};

impl State {
    /// Money for a hold that has ended: everything is taken again, or it goes back.
    pub(super) fn too_late(&self, paid: Attempt) -> Event {
        let Attempt { payment_id, attempt } = paid;
        match self.policies.late_payment {
            LatePayment::TryReacquire => Event::LatePaymentReceived {
                payment_id,
                attempt,
                claim_epoch: self.claim_epoch.saturating_add(1),
            },
            LatePayment::Refund => {
                Event::LatePaymentRejected { payment_id, attempt, reason: LateReason::Policy }
            }
        }
    }

    /// How taking everything again went. Two runs of one fact may see different outcomes: the first
    /// that is recorded counts, and only while claims are being taken again at that very epoch.
    pub(super) fn reacquired(
        &self,
        epoch: Epoch,
        outcome: Reacquired,
    ) -> Result<Vec<Event>, Refusal> {
        let current = epoch == self.claim_epoch;
        match self.status {
            Status::None => Err(Refusal::NotFound),
            Status::Reacquiring if current => {
                let Some(Attempt { payment_id, attempt }) = self.late else { return Ok(vec![]) };
                Ok(vec![match outcome {
                    Reacquired::Taken => {
                        Event::LatePaymentAccepted { payment_id, attempt, claim_epoch: epoch }
                    }
                    Reacquired::Refused => {
                        let reason = LateReason::Gone;
                        Event::LatePaymentRejected { payment_id, attempt, reason }
                    }
                }])
            }
            Status::Confirmed if current && self.claims_lost => Ok(vec![match outcome {
                Reacquired::Taken => Event::ClaimsRetaken { claim_epoch: epoch },
                Reacquired::Refused => Event::Cancelled {
                    by: CancelledBy::System,
                    reason: CancelReason::Oversold,
                    refund: None,
                },
            }]),
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

    /// A claim was gone when it was to be committed. The reservation decides that all are taken
    /// again; doing so straight from the refusal would race with a cancellation.
    pub(super) fn claim_lost(&self, epoch: Epoch) -> Result<Vec<Event>, Refusal> {
        match self.status {
            Status::None => Err(Refusal::NotFound),
            Status::Confirmed
                if epoch == self.claim_epoch && !self.finalized && !self.claims_lost =>
            {
                Ok(vec![Event::ClaimsLost { claim_epoch: epoch.saturating_add(1) }])
            }
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

    /// Every claim of that epoch is committed. A rental may have started by then.
    pub(super) fn finalized(
        &self,
        epoch: Epoch,
        vehicle_id: Option<&VehicleId>,
    ) -> Result<Vec<Event>, Refusal> {
        match self.status {
            Status::None => Err(Refusal::NotFound),
            Status::Confirmed | Status::InUse
                if epoch == self.claim_epoch && !self.finalized && !self.claims_lost =>
            {
                Ok(vec![Event::Finalized { vehicle_id: vehicle_id.cloned() }])
            }
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
}
