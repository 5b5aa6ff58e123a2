//! What a seat map answers. DOMAIN.md C.4, cell by cell.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::{Hall, MOST_SEATS, SeatIx};
use super::wanted::Wanted;
use super::{
    Attached, Command, Event, InvalidPlan, MOST_SEATS_AT_ONCE, Owner, Plan, Refusal, ReleaseReason,
    Seats, Slot, State,
};
use crate::claim::{Commit, No, Release, Retake, Take, Withdraw};
use crate::{AttemptId, By, Epoch, LockId, ReservationId, SeatId, Timestamp, UserId};

impl From<No> for Refusal {
    fn from(no: No) -> Self {
        match no {
            No::NoClaim => Self::NotHeld,
            No::StaleEpoch => Self::StaleEpoch,
            No::TooLate => Self::TooLate,
        }
    }
}

/// A reservation that asks for seats, in whatever way.
#[derive(Clone, Copy)]
struct Asker<'a> {
    reservation_id: ReservationId,
    user_id: &'a UserId,
    epoch: Epoch,
}

impl State {
    pub(super) fn judge(&self, command: &Command, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        if let Command::Publish { plan } = command {
            return self.publish(plan, now);
        }
        let hall = self.hall.as_deref().ok_or(Refusal::NotFound)?;
        match command {
            Command::Publish { plan } => self.publish(plan, now),
            Command::Lock { lock_id, user_id, seats, expires_at } => {
                self.lock_seats(hall, *lock_id, user_id, seats, *expires_at, now)
            }
            Command::ReleaseLock { lock_id, by } => Ok(self.release_lock(hall, *lock_id, by)),
            Command::Attach { reservation_id, user_id, seats, expires_at, epoch, attempt } => {
                let asker = Asker { reservation_id: *reservation_id, user_id, epoch: *epoch };
                self.attach_seats(hall, asker, seats, *expires_at, *attempt, now)
            }
            Command::Withdraw { reservation_id, attempt } => {
                Ok(self.withdraw(hall, *reservation_id, *attempt, now))
            }
            &Command::Extend { reservation_id, expires_at, epoch } => {
                let later = self.claims.extend(&reservation_id, epoch, expires_at, now)?;
                let extended = |expires_at| Event::SeatLockExtended {
                    reservation_id,
                    expires_at,
                    epoch,
                    attempt: None,
                };
                Ok(later.map(extended).into_iter().collect())
            }
            &Command::Confirm { reservation_id, epoch } => {
                match self.claims.commit(&reservation_id, epoch)? {
                    Commit::Already => Ok(vec![]),
                    Commit::Now => {
                        let seat_ids = self.seats_of(Owner::Reservation(reservation_id));
                        Ok(vec![Event::SeatsBooked { reservation_id, seat_ids, epoch }])
                    }
                }
            }
            &Command::Release { reservation_id, epoch, reason } => {
                Ok(self.release(reservation_id, epoch, reason))
            }
            Command::Reacquire { reservation_id, user_id, seat_ids, epoch } => {
                let asker = Asker { reservation_id: *reservation_id, user_id, epoch: *epoch };
                self.reacquire(hall, asker, seat_ids, now)
            }
            &Command::DropLapsed { owner } if self.has_lapsed(owner, now) => {
                Ok(vec![self.expired(hall, owner)])
            }
            Command::DropLapsed { .. } => Ok(vec![]),
            Command::Block { seat_ids, reason } => self.block(hall, seat_ids, reason, now),
            Command::Unblock { seat_ids } => {
                let mut seats = self.numbered(hall, seat_ids, MOST_SEATS)?;
                seats.retain(|seat| self.slots[*seat as usize] == Slot::Blocked);
                if seats.is_empty() {
                    return Ok(vec![]);
                }
                Ok(vec![Event::SeatsUnblocked { seat_ids: hall.ids(seats) }])
            }
        }
    }

    fn publish(&self, plan: &Plan, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        plan.check().map_err(Refusal::InvalidPlan)?;
        let Some(old) = self.hall.as_deref() else {
            return Ok(vec![Event::Published { plan: plan.clone() }]);
        };
        if old.plan == *plan {
            return Ok(vec![]);
        }
        let new = Hall::new(plan.clone());
        let is_removed = |seat: &SeatIx| new.find(&old.id(*seat)).is_none();
        let removed: Vec<_> = (0..old.size()).filter(is_removed).collect();
        let (mut in_use, mut lapsed) = (Vec::new(), BTreeSet::new());
        for &seat in &removed {
            let slot = self.slots[seat as usize];
            match slot.owner() {
                None if slot == Slot::Free => {}
                Some(owner) if self.has_lapsed(owner, now) => drop(lapsed.insert(owner)),
                None | Some(_) => in_use.push(seat),
            }
        }
        if !in_use.is_empty() {
            return Err(Refusal::SeatsInUse(old.ids(in_use)));
        }
        if old.plan.sku != plan.sku {
            let locks = self.locks.keys().map(|lock| Owner::Lock(*lock));
            let claims = self.claims.iter().map(|(id, _)| Owner::Reservation(*id));
            for owner in locks.chain(claims) {
                if !self.has_lapsed(owner, now) {
                    return Err(Refusal::InvalidPlan(InvalidPlan::Sku));
                }
                lapsed.insert(owner);
            }
        }
        let mut events = self.expirations(old, &lapsed);
        events.push(Event::Changed { plan: plan.clone(), removed_seats: old.ids(removed) });
        Ok(events)
    }

    fn lock_seats(
        &self,
        hall: &Hall,
        lock_id: LockId,
        user_id: &UserId,
        seats: &Seats,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        if let Some(lock) = self.locks.get(&lock_id).filter(|lock| now < lock.expires_at) {
            let same = match seats {
                Seats::Named(ids) => self.numbered(hall, ids, MOST_SEATS_AT_ONCE)? == lock.seats,
                Seats::Best(pick) => pick.quantity as usize == lock.seats.len(),
                Seats::OfLock(_) => false,
            };
            let mine = same && lock.user_id == *user_id;
            return if mine { Ok(vec![]) } else { Err(Refusal::NotHeld) };
        }
        let wanted = match seats {
            Seats::Named(ids) => {
                let seats = self.numbered(hall, ids, MOST_SEATS_AT_ONCE)?;
                self.sorted(&seats, None, None, now)
            }
            Seats::Best(pick) => self.chosen(hall, pick, now)?,
            Seats::OfLock(_) => return Err(Refusal::NotHeld),
        };
        if expires_at <= now {
            return Err(Refusal::TooLate);
        }
        wanted.check(hall)?;
        let mut lapsed = wanted.lapsed;
        if self.locks.contains_key(&lock_id) {
            // Its earlier life is over, whatever seats that was about.
            lapsed.insert(Owner::Lock(lock_id));
        }
        let mut events = self.expirations(hall, &lapsed);
        events.push(Event::SeatsLocked {
            lock_id: Some(lock_id),
            reservation_id: None,
            user_id: user_id.clone(),
            seat_ids: hall.ids(wanted.free),
            expires_at: Some(expires_at),
            epoch: 0,
            attempt: None,
        });
        Ok(events)
    }

    /// A lock that is not there, or another customer's, is left alone without a word: releasing it has
    /// been done, or is none of the asker's business.
    fn release_lock(&self, hall: &Hall, lock_id: LockId, by: &By) -> Vec<Event> {
        match self.locks.get(&lock_id) {
            Some(lock) if by.may_act_for(&lock.user_id) => vec![Event::SeatsReleased {
                owner: Owner::Lock(lock_id),
                seat_ids: hall.ids(lock.seats.iter().copied()),
                reason: ReleaseReason::User,
                epoch: None,
            }],
            Some(_) | None => vec![],
        }
    }

    fn attach_seats(
        &self,
        hall: &Hall,
        asker: Asker<'_>,
        seats: &Seats,
        expires_at: Timestamp,
        attempt: AttemptId,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        let Asker { reservation_id, user_id, epoch } = asker;
        let take = self.claims.take(&reservation_id, epoch, expires_at, attempt, now)?;
        if let Some(claim) = self.claims.get(&reservation_id) {
            let same = match seats {
                Seats::Named(ids) => {
                    self.numbered(hall, ids, MOST_SEATS_AT_ONCE)? == claim.what.seats
                }
                Seats::Best(pick) => pick.quantity as usize == claim.what.seats.len(),
                Seats::OfLock(lock) => claim.what.origins.iter().any(|it| it.lock_id == *lock),
            };
            if !same || claim.what.user_id != *user_id {
                return Err(Refusal::NotHeld);
            }
        }
        match take {
            Take::Already => return Ok(vec![]),
            Take::Raise { expires_at, attempt } => {
                return Ok(vec![Event::SeatLockExtended {
                    reservation_id,
                    expires_at,
                    epoch,
                    attempt,
                }]);
            }
            Take::Anew => {}
        }
        let wanted = match seats {
            Seats::Named(ids) => {
                let seats = self.numbered(hall, ids, MOST_SEATS_AT_ONCE)?;
                self.sorted(&seats, Some(user_id), None, now)
            }
            Seats::Best(pick) => self.chosen(hall, pick, now)?,
            Seats::OfLock(lock_id) => {
                let lock = self.locks.get(lock_id);
                let mine = lock.filter(|lock| lock.user_id == *user_id && now < lock.expires_at);
                let seats = mine.ok_or(Refusal::NotHeld)?.seats.clone();
                Wanted { own_locks: BTreeMap::from([(*lock_id, seats)]), ..Wanted::default() }
            }
        };
        wanted.check(hall)?;
        let mut events = self.expirations(hall, &wanted.lapsed);
        for (lock_id, seats) in wanted.own_locks {
            let owner = Owner::Lock(lock_id);
            let rest = self.owned(owner).iter().filter(|seat| !seats.contains(seat));
            let rest = hall.ids(rest.copied());
            events.push(Event::SeatsAttached {
                lock_id,
                reservation_id,
                user_id: user_id.clone(),
                seat_ids: hall.ids(seats),
                expires_at,
                epoch,
                attempt,
            });
            // The lock is finished: what the customer does not want of it is free.
            if !rest.is_empty() {
                let reason = ReleaseReason::User;
                events.push(Event::SeatsReleased { owner, seat_ids: rest, reason, epoch: None });
            }
        }
        if !wanted.free.is_empty() {
            events.push(Event::SeatsLocked {
                lock_id: None,
                reservation_id: Some(reservation_id),
                user_id: user_id.clone(),
                seat_ids: hall.ids(wanted.free),
                expires_at: Some(expires_at),
                epoch,
                attempt: Some(attempt),
            });
        }
        Ok(events)
    }

    fn withdraw(
        &self,
        hall: &Hall,
        reservation_id: ReservationId,
        attempt: AttemptId,
        now: Timestamp,
    ) -> Vec<Event> {
        match self.claims.withdraw(&reservation_id, &attempt) {
            Withdraw::Already => vec![],
            Withdraw::Name => vec![Event::AttemptWithdrawn { reservation_id, attempt }],
            Withdraw::Last => {
                let attached = self.claims.get(&reservation_id).map(|claim| &claim.what);
                attached.map_or_else(Vec::new, |it| self.give_up(hall, reservation_id, it, now))
            }
        }
    }

    /// The last attempt was refused elsewhere: bare locks go back to their customer while their time
    /// lasts, the rest is free.
    fn give_up(
        &self,
        hall: &Hall,
        reservation_id: ReservationId,
        attached: &Attached,
        now: Timestamp,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        let mut rest = attached.seats.clone();
        for origin in &attached.origins {
            // A late repeat may have made a new lock of the finished id; that one is left alone.
            let finished = !self.locks.contains_key(&origin.lock_id);
            if now < origin.expires_at && finished {
                rest.retain(|seat| origin.seats.binary_search(seat).is_err());
                events.push(Event::LockRestored {
                    lock_id: origin.lock_id,
                    reservation_id,
                    user_id: attached.user_id.clone(),
                    seat_ids: hall.ids(origin.seats.iter().copied()),
                    expires_at: origin.expires_at,
                });
            }
        }
        if !rest.is_empty() {
            events.push(Event::SeatsReleased {
                owner: Owner::Reservation(reservation_id),
                seat_ids: hall.ids(rest),
                reason: ReleaseReason::Refused,
                epoch: None,
            });
        }
        events
    }

    fn release(
        &self,
        reservation_id: ReservationId,
        epoch: Epoch,
        reason: ReleaseReason,
    ) -> Vec<Event> {
        let owner = Owner::Reservation(reservation_id);
        // A rental that is over frees its vehicle; what was sold beside it stays sold.
        let ends_commitment = reason.ends_commitment() && reason != ReleaseReason::Completed;
        let seat_ids = match self.claims.release(&reservation_id, epoch, ends_commitment) {
            Release::Already => return vec![],
            Release::Free => self.seats_of(owner),
            Release::FenceOnly => vec![],
        };
        vec![Event::SeatsReleased { owner, seat_ids, reason, epoch: Some(epoch) }]
    }

    fn reacquire(
        &self,
        hall: &Hall,
        asker: Asker<'_>,
        seat_ids: &[SeatId],
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        let Asker { reservation_id, user_id, epoch } = asker;
        if self.claims.retake(&reservation_id, epoch)? == Retake::Already {
            return Ok(vec![]);
        }
        let seats = self.numbered(hall, seat_ids, MOST_SEATS)?;
        let wanted = self.sorted(&seats, None, Some(reservation_id), now);
        wanted.check(hall)?;
        let mut events = self.expirations(hall, &wanted.lapsed);
        events.push(Event::SeatsLocked {
            lock_id: None,
            reservation_id: Some(reservation_id),
            user_id: user_id.clone(),
            seat_ids: hall.ids(seats),
            expires_at: None,
            epoch,
            attempt: None,
        });
        Ok(events)
    }

    fn block(
        &self,
        hall: &Hall,
        seat_ids: &[SeatId],
        reason: &str,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        let seats = self.numbered(hall, seat_ids, MOST_SEATS)?;
        let wanted = self.sorted(&seats, None, None, now);
        if !wanted.taken.is_empty() {
            return Err(Refusal::SeatsTaken(hall.ids(wanted.taken)));
        }
        if wanted.free.is_empty() {
            return Ok(vec![]);
        }
        let mut events = self.expirations(hall, &wanted.lapsed);
        events.push(Event::SeatsBlocked {
            seat_ids: hall.ids(wanted.free),
            reason: reason.to_owned(),
        });
        Ok(events)
    }

    fn expired(&self, hall: &Hall, owner: Owner) -> Event {
        Event::SeatsReleased {
            owner,
            seat_ids: hall.ids(self.owned(owner).iter().copied()),
            reason: ReleaseReason::Expired,
            epoch: None,
        }
    }

    fn expirations(&self, hall: &Hall, owners: &BTreeSet<Owner>) -> Vec<Event> {
        owners.iter().map(|owner| self.expired(hall, *owner)).collect()
    }
}
