//! What each fact does to the state. Total: a fact has happened, whatever the state looks like.

use super::event::{Event, ExtensionReason, Status};
use super::{Attempt, State};
use crate::Timestamp;

impl State {
    pub(super) fn take_in(&mut self, event: &Event) {
        match event {
            Event::HoldCreated {
                user_id,
                lines,
                total,
                claims,
                claim_epoch,
                hold_expires_at,
                absolute_deadline,
                channel: _,
                policies,
            } => {
                self.status = Status::Hold;
                self.user_id = Some(user_id.clone());
                self.vehicle_id = lines.iter().find_map(|line| line.vehicle_id.clone());
                self.lines.clone_from(lines);
                self.total = Some(*total);
                self.claims.clone_from(claims);
                self.claim_epoch = *claim_epoch;
                self.absolute_deadline = *absolute_deadline;
                self.policies = *policies;
                self.version = 1;
                self.hold_until(*hold_expires_at);
            }
            Event::HoldExtended { old_expires_at: _, new_expires_at, reason } => {
                self.hold_until(*new_expires_at);
                match reason {
                    ExtensionReason::PaymentStarted => self.extension_used = true,
                    ExtensionReason::Operator => {}
                }
            }
            Event::PaymentRequested { payment_id, attempt, amount: _, gateway: _, flow: _ } => {
                self.status = Status::AwaitingPayment;
                self.payments.push(Attempt { payment_id: *payment_id, attempt: *attempt });
                self.payment_open = true;
            }
            Event::PaymentDeclined { payment_id, attempt } => {
                self.over(Attempt { payment_id: *payment_id, attempt: *attempt });
            }
            Event::MoneyLost { payment_id, attempt } => {
                let attempt = Attempt { payment_id: *payment_id, attempt: *attempt };
                self.lost.insert(attempt);
                self.over(attempt);
            }
            Event::Confirmed { payment_id, attempt, confirmed_at: _, claim_epoch: _ } => {
                self.confirmed_by(Attempt { payment_id: *payment_id, attempt: *attempt });
            }
            Event::ClaimsLost { claim_epoch } => {
                self.claim_epoch = *claim_epoch;
                self.claims_lost = true;
            }
            Event::ClaimsRetaken { claim_epoch } => {
                self.claim_epoch = *claim_epoch;
                self.claims_lost = false;
            }
            Event::Finalized { vehicle_id } => {
                self.finalized = true;
                if vehicle_id.is_some() {
                    self.vehicle_id.clone_from(vehicle_id);
                }
            }
            Event::HoldReleased { reason: _ } => self.ended(Status::HoldFailed),
            Event::HoldExpired { expired_at, was_status: _ } => {
                self.last_deadline = *expired_at;
                self.ended(Status::HoldExpired);
            }
            Event::LatePaymentReceived { payment_id, attempt, claim_epoch } => {
                let attempt = Attempt { payment_id: *payment_id, attempt: *attempt };
                self.ended_as = Some(self.status);
                self.status = Status::Reacquiring;
                self.late = Some(attempt);
                self.claim_epoch = *claim_epoch;
                self.decided_late.insert(attempt);
            }
            Event::LatePaymentAccepted { payment_id, attempt, claim_epoch } => {
                self.claim_epoch = *claim_epoch;
                self.confirmed_by(Attempt { payment_id: *payment_id, attempt: *attempt });
            }
            Event::LatePaymentRejected { payment_id, attempt, reason: _ } => {
                let attempt = Attempt { payment_id: *payment_id, attempt: *attempt };
                self.decided_late.insert(attempt);
                if let Some(ended_as) = self.ended_as.take_if(|_| self.late == Some(attempt)) {
                    self.status = ended_as;
                    self.late = None;
                }
            }
            Event::Cancelled { by: _, reason: _, refund: _ } => {
                self.claims_lost = false;
                self.ended(Status::Cancelled);
            }
            Event::VehicleAssigned { vehicle_id } => self.vehicle_id = Some(vehicle_id.clone()),
            Event::VehicleWithdrawn { vehicle_id: _ } => self.vehicle_id = None,
            Event::NoShow { at: _ } => {
                self.status = Status::Completed;
                self.version += 1;
            }
            Event::RentalStarted { vehicle_id, odometer_start_m, fuel_start_pct, at } => {
                self.status = Status::InUse;
                self.vehicle_id = Some(vehicle_id.clone());
                self.odometer_start_m = Some(*odometer_start_m);
                self.fuel_start_pct = Some(*fuel_start_pct);
                self.rental_started_at = Some(*at);
            }
            Event::RentalCompleted {
                odometer_end_m: _,
                fuel_end_pct: _,
                distance_m: _,
                duration_s: _,
                location: _,
                at: _,
            } => {
                self.status = Status::Completed;
                self.version += 1;
            }
        }
    }

    fn hold_until(&mut self, deadline: Timestamp) {
        self.hold_expires_at = Some(deadline);
        self.last_deadline = deadline;
    }

    fn over(&mut self, attempt: Attempt) {
        if self.payments.last() == Some(&attempt) {
            self.payment_open = false;
        }
    }

    /// R4: a confirmed reservation has no deadline.
    fn confirmed_by(&mut self, attempt: Attempt) {
        self.status = Status::Confirmed;
        self.paid_by = Some(attempt);
        self.no_longer_held();
    }

    fn ended(&mut self, status: Status) {
        self.status = status;
        self.no_longer_held();
    }

    fn no_longer_held(&mut self) {
        self.hold_expires_at = None;
        self.payment_open = false;
        self.late = None;
        self.ended_as = None;
        self.version += 1;
    }
}
