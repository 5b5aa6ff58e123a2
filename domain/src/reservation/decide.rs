//! Which file judges which command; and the commands about a hold's deadline and its end.

use super::command::{Command, Refusal};
use super::event::{CancelReason, CancelledBy, Event, ExtensionReason, Status};
use super::{Attempt, State};
use crate::{By, Epoch, Money, ReservationId, Timestamp};

impl State {
    /// DOMAIN.md C.2, its table.
    pub(super) fn judge(
        &self,
        id: &ReservationId,
        command: &Command,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        match command {
            Command::PlaceHold {
                user_id,
                lines,
                claims,
                hold_expires_at,
                absolute_deadline,
                channel,
                policies,
            } => self.place(
                super::placing::Wish {
                    user_id,
                    lines,
                    claims,
                    hold_expires_at: *hold_expires_at,
                    absolute_deadline: *absolute_deadline,
                    channel: *channel,
                    policies: *policies,
                },
                now,
            ),
            Command::ExtendHold { by, new_expires_at } => self.extend(by, *new_expires_at, now),
            Command::RequestPayment { by, gateway, flow, extend_to } => {
                self.request_payment(id, by, gateway, *flow, *extend_to, now)
            }
            Command::ConfirmPaid { payment_id, attempt } => {
                self.confirm(Attempt { payment_id: *payment_id, attempt: *attempt }, now)
            }
            Command::PaymentDeclined { payment_id, attempt } => {
                self.declined(Attempt { payment_id: *payment_id, attempt: *attempt })
            }
            Command::Expire { epoch } => self.expire(*epoch, now),
            Command::Cancel { by, reason, refund } => self.cancel(by, *reason, *refund),
            Command::RecordReacquired { epoch, outcome } => self.reacquired(*epoch, *outcome),
            Command::RecordClaimLost { epoch } => self.claim_lost(*epoch),
            Command::RecordFinalized { epoch, vehicle_id } => {
                self.finalized(*epoch, vehicle_id.as_ref())
            }
            Command::RecordMoneyLost { payment_id, attempt } => {
                self.money_lost(Attempt { payment_id: *payment_id, attempt: *attempt })
            }
            Command::AssignVehicle { vehicle_id, epoch } => self.assign(vehicle_id, *epoch),
            Command::WithdrawVehicle { vehicle_id } => self.withdraw_vehicle(vehicle_id),
            Command::RecordNoShow { vehicle_id } => self.no_show(vehicle_id, now),
            Command::StartRental { vehicle_id, odometer_start_m, fuel_start_pct, at } => {
                self.start_rental(vehicle_id, *odometer_start_m, *fuel_start_pct, *at)
            }
            Command::Complete { by, odometer_end_m, fuel_end_pct, location, without_unlock } => {
                self.complete(
                    by,
                    super::rental::Return {
                        odometer_end_m: *odometer_end_m,
                        fuel_end_pct: *fuel_end_pct,
                        location: location.as_ref(),
                        without_unlock: without_unlock.as_ref(),
                    },
                    now,
                )
            }
        }
    }

    /// An operator moves the deadline, as often as kindness asks, up to the cap.
    fn extend(
        &self,
        by: &By,
        new_expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        self.for_its_own(by)?;
        match self.status {
            Status::None => Err(Refusal::NotFound),
            Status::Hold | Status::AwaitingPayment => {
                let deadline = self.deadline();
                if now >= deadline {
                    Err(self.hold_expired(now))
                } else if new_expires_at > self.absolute_deadline {
                    Err(Refusal::BeyondCap { absolute_deadline: self.absolute_deadline })
                } else if new_expires_at <= deadline {
                    Ok(vec![])
                } else {
                    Ok(vec![Event::HoldExtended {
                        old_expires_at: deadline,
                        new_expires_at,
                        reason: ExtensionReason::Operator,
                    }])
                }
            }
            Status::Reacquiring => Err(Refusal::Reacquiring),
            Status::Confirmed | Status::InUse => Err(Refusal::AlreadyPaid),
            Status::Completed => Err(Refusal::Completed),
            Status::HoldFailed | Status::HoldExpired => Err(self.hold_expired(now)),
            Status::Cancelled => Err(Refusal::Cancelled),
        }
    }

    /// A timer, a sweep or a lazy look says that the deadline may have passed.
    fn expire(&self, epoch: Epoch, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        match self.status {
            Status::None => Ok(vec![]),
            Status::Hold | Status::AwaitingPayment => {
                let deadline = self.deadline();
                if now >= deadline && epoch == self.claim_epoch {
                    Ok(vec![self.expiry()])
                } else {
                    Err(Refusal::NotDue { until: deadline })
                }
            }
            Status::Reacquiring
            | Status::Confirmed
            | Status::InUse
            | Status::Completed
            | Status::HoldFailed
            | Status::HoldExpired
            | Status::Cancelled => Ok(vec![]),
        }
    }

    fn cancel(
        &self,
        by: &By,
        reason: CancelReason,
        refund: Option<Money>,
    ) -> Result<Vec<Event>, Refusal> {
        self.for_its_own(by)?;
        let by = match by {
            By::Owner(_) => CancelledBy::User,
            By::Operator(_) => CancelledBy::Operator,
            By::System => CancelledBy::System,
        };
        match self.status {
            Status::None => Err(Refusal::NotFound),
            // Nothing was kept yet: whatever comes or is on its way goes back whole.
            Status::Hold | Status::AwaitingPayment | Status::Reacquiring => {
                self.refundable(refund)?;
                Ok(vec![Event::Cancelled { by, reason, refund: None }])
            }
            Status::Confirmed => {
                self.refundable(refund)?;
                Ok(vec![Event::Cancelled { by, reason, refund }])
            }
            Status::InUse => Err(Refusal::InUse),
            Status::Completed => Err(Refusal::Completed),
            Status::HoldFailed | Status::HoldExpired | Status::Cancelled => Ok(vec![]),
        }
    }

    fn refundable(&self, refund: Option<Money>) -> Result<(), Refusal> {
        let (Some(refund), Some(total)) = (refund, self.total) else { return Ok(()) };
        let fits = refund.currency == total.currency
            && refund.amount_minor > 0
            && refund.amount_minor <= total.amount_minor;
        if fits { Ok(()) } else { Err(Refusal::InvalidRefund) }
    }

    /// Another's reservation answers as an absent one.
    pub(super) fn for_its_own(&self, by: &By) -> Result<(), Refusal> {
        match &self.user_id {
            Some(owner) if by.may_act_for(owner) => Ok(()),
            Some(_) | None => Err(Refusal::NotFound),
        }
    }

    /// The deadline of a hold; of anything else the last that it had.
    pub(super) fn deadline(&self) -> Timestamp {
        self.hold_expires_at.unwrap_or(self.last_deadline)
    }

    /// The fact that the deadline has passed.
    pub(super) fn expiry(&self) -> Event {
        Event::HoldExpired { expired_at: self.deadline(), was_status: self.status }
    }

    /// "The hold ended": at its deadline, or before it when it was released.
    pub(super) fn hold_expired(&self, now: Timestamp) -> Refusal {
        Refusal::HoldExpired { expired_at: self.deadline().min(now) }
    }
}
