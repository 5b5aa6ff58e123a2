//! What each fact does to the state. Total: a fact has happened, whatever the state looks like.

use super::State;
use super::event::{ClaimStatus, Event};

impl State {
    pub(super) fn take_in(&mut self, event: &Event) {
        match event {
            Event::Submitted { reservation_id, user_id, description, photos, odometer_m } => {
                self.reservation_id = Some(*reservation_id);
                self.user_id = Some(user_id.clone());
                self.description.clone_from(description);
                self.photos.clone_from(photos);
                self.odometer_m = *odometer_m;
            }
            Event::DamageAssessed { claim_id, amount_estimate, .. } => {
                self.claim_id = Some(*claim_id);
                self.claim_status = ClaimStatus::Pending;
                self.estimate = *amount_estimate;
            }
            Event::ClaimApproved { amount, by: _ } => {
                self.claim_status = ClaimStatus::Approved;
                self.amount = Some(*amount);
            }
            Event::ClaimRejected { by: _, reason: _ } => self.claim_status = ClaimStatus::Rejected,
            Event::ClaimDisputed { by: _, reason: _ } => self.claim_status = ClaimStatus::Disputed,
            Event::ClaimWaived { by: _, reason: _ } => self.claim_status = ClaimStatus::Waived,
            Event::ClaimCharged { payment_id, amount } => {
                self.claim_status = ClaimStatus::Charged;
                self.amount = Some(*amount);
                self.payment_id = Some(*payment_id);
                self.charge_failure = None;
            }
            Event::ChargeFailed { payment_id: _, code } => {
                self.charge_failure = Some(code.clone());
            }
        }
    }
}
