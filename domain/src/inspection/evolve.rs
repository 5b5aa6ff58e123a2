//! What each fact does to the state. Total: a fact has happened, whatever the state looks like.

use super::{ClaimStatus, Event, State};

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
            Event::DamageAssessed {
                claim_id,
                reservation_id: _,
                user_id: _,
                amount_estimate,
                auto_charge,
            } => {
                self.claim_id = Some(*claim_id);
                self.estimate = *amount_estimate;
                self.status = ClaimStatus::Pending;
                if *auto_charge {
                    self.status = ClaimStatus::Approved;
                    self.amount = *amount_estimate;
                    self.charging = true;
                }
            }
            Event::ClaimApproved { amount, by: _ } => {
                self.amount = Some(*amount);
                // After a dispute of what is paid already there is nothing more to charge.
                let paid = self.charged.is_some();
                self.status = if paid { ClaimStatus::Charged } else { ClaimStatus::Approved };
                self.charging = !paid;
            }
            Event::ClaimRejected { by: _, reason: _ } => self.status = ClaimStatus::Rejected,
            Event::ClaimDisputed { by: _, reason: _ } => self.status = ClaimStatus::Disputed,
            Event::ClaimWaived { by: _, reason: _ } => self.status = ClaimStatus::Waived,
            Event::ClaimCharged { payment_id: _, amount } => {
                self.charged = Some(*amount);
                self.charging = false;
                if self.status == ClaimStatus::Approved {
                    self.status = ClaimStatus::Charged;
                }
            }
            Event::ChargeFailed { payment_id: _, attempt, code: _ } => {
                self.failures = self.failures.max(attempt.unwrap_or(0));
                self.charging = false;
            }
        }
    }
}
