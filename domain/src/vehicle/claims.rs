//! Whose the vehicle is: one claim at a time, by the rules of every claim ([`crate::claim`]).

use super::command::Refusal;
use super::event::{Event, LockReason, ReleaseReason};
use super::{Rental, State};
use crate::claim::{Commit, No, Release, Retake, Take, Withdraw};
use crate::{AttemptId, Epoch, Period, ReservationId, Timestamp, UserId, VehicleId};

/// For whom, and when.
pub(super) struct Wish {
    user_id: UserId,
    period: Option<Period>,
}

impl State {
    /// Held until `expires_at`, unpaid.
    pub(super) fn reserve(
        &self,
        wish: Wish,
        reservation_id: ReservationId,
        epoch: Epoch,
        expires_at: Timestamp,
        attempt: AttemptId,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        match self.claims.take(&reservation_id, epoch, expires_at, attempt, now)? {
            Take::Already => Ok(vec![]),
            Take::Raise { expires_at, attempt } => {
                Ok(vec![Event::ReservationExtended { reservation_id, expires_at, epoch, attempt }])
            }
            Take::Anew => {
                let mut events = self.room(now)?;
                events.push(Event::Reserved {
                    reservation_id,
                    user_id: wish.user_id,
                    epoch,
                    expires_at: Some(expires_at),
                    attempt: Some(attempt),
                    period: wish.period,
                    confirmed: false,
                });
                Ok(events)
            }
        }
    }

    /// For good: the period of a paid rental begins. A hold of the same epoch becomes it.
    pub(super) fn assign(
        &self,
        wish: Wish,
        reservation_id: ReservationId,
        epoch: Epoch,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        let own = self.held_by(&reservation_id);
        if own.is_some_and(|claim| claim.epoch == epoch) {
            return self.confirm(reservation_id, epoch);
        }
        self.reacquire(wish, reservation_id, epoch, now)
    }

    /// Taken again after late money, and kept.
    pub(super) fn reacquire(
        &self,
        wish: Wish,
        reservation_id: ReservationId,
        epoch: Epoch,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        let mut events = match self.claims.retake(&reservation_id, epoch)? {
            Retake::Already => return Ok(vec![]),
            Retake::Bump => vec![],
            Retake::Anew => self.room(now)?,
        };
        events.push(Event::Reserved {
            reservation_id,
            user_id: wish.user_id,
            epoch,
            expires_at: None,
            attempt: None,
            period: wish.period,
            confirmed: true,
        });
        Ok(events)
    }

    /// Whether the next taker may have it, and what must go first: a claim that has lapsed.
    fn room(&self, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        match self.rental() {
            Rental::None => Err(Refusal::NotFound),
            Rental::NonOperational | Rental::Removed => Err(Refusal::Unavailable),
            Rental::Available => Ok(vec![]),
            Rental::Stopped | Rental::OnTrip => Err(Refusal::Taken),
            Rental::Reserved => {
                let lapsed: Vec<Event> = self
                    .claims
                    .lapsed(now)
                    .map(|(reservation_id, _)| freed(*reservation_id, ReleaseReason::Expired, None))
                    .collect();
                // The lapsed claim was the only one (V1), and nobody has opened it since.
                if lapsed.is_empty() {
                    Err(Refusal::Taken)
                } else if self.is_secured() {
                    Ok(lapsed)
                } else {
                    Err(Refusal::Unavailable)
                }
            }
        }
    }

    pub(super) fn extend(
        &self,
        reservation_id: ReservationId,
        expires_at: Timestamp,
        epoch: Epoch,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        let later = self.claims.extend(&reservation_id, epoch, expires_at, now)?;
        let extended = |expires_at| Event::ReservationExtended {
            reservation_id,
            expires_at,
            epoch,
            attempt: None,
        };
        Ok(later.map(extended).into_iter().collect())
    }

    pub(super) fn withdraw(&self, reservation_id: ReservationId, attempt: AttemptId) -> Vec<Event> {
        match self.claims.withdraw(&reservation_id, &attempt) {
            Withdraw::Already => vec![],
            Withdraw::Name => vec![Event::AttemptWithdrawn { reservation_id, attempt }],
            Withdraw::Last => vec![freed(reservation_id, ReleaseReason::Refused, None)],
        }
    }

    pub(super) fn confirm(
        &self,
        reservation_id: ReservationId,
        epoch: Epoch,
    ) -> Result<Vec<Event>, Refusal> {
        match self.claims.commit(&reservation_id, epoch)? {
            Commit::Already => Ok(vec![]),
            Commit::Now => Ok(vec![Event::ReservationConfirmed { reservation_id, epoch }]),
        }
    }

    /// A fact of the reservation ends the claim. While an unlock is under way nobody knows whether its
    /// customer has it already: the vehicle's answer decides first (D32).
    pub(super) fn release(
        &self,
        id: &VehicleId,
        reservation_id: ReservationId,
        epoch: Epoch,
        reason: ReleaseReason,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        match self.claims.release(&reservation_id, epoch, reason.ends_commitment()) {
            Release::Already => Ok(vec![]),
            Release::FenceOnly => Ok(vec![Event::ReservationReleased {
                reservation_id,
                reason,
                epoch: Some(epoch),
                freed: false,
            }]),
            Release::Free => {
                match (self.unlocking(), reason) {
                    (_, ReleaseReason::Completed) => {}
                    (Some(command_id), _) => return Err(Refusal::UnlockInProgress { command_id }),
                    (None, _) if self.trip.is_some() => return Err(Refusal::InUse),
                    (None, _) => {}
                }
                let mut events = vec![freed(reservation_id, reason, Some(epoch))];
                if !self.is_secured() {
                    let why = LockReason::Secure;
                    events.extend(self.own_lock_now(id, Some(reservation_id), why, now));
                }
                Ok(events)
            }
        }
    }

    pub(super) fn drop_lapsed(&self, reservation_id: ReservationId, now: Timestamp) -> Vec<Event> {
        let lapsed = self.claims.lapsed_claim(&reservation_id, now);
        lapsed.map(|_| freed(reservation_id, ReleaseReason::Expired, None)).into_iter().collect()
    }
}

impl Wish {
    /// Of a command that takes.
    pub(super) fn new(user_id: &UserId, period: Option<Period>) -> Self {
        Self { user_id: user_id.clone(), period }
    }
}

pub(super) fn freed(
    reservation_id: ReservationId,
    reason: ReleaseReason,
    epoch: Option<Epoch>,
) -> Event {
    Event::ReservationReleased { reservation_id, reason, epoch, freed: true }
}

impl From<No> for Refusal {
    fn from(no: No) -> Self {
        match no {
            No::NoClaim => Self::NoClaim,
            No::StaleEpoch => Self::StaleEpoch,
            No::TooLate => Self::TooLate,
        }
    }
}
