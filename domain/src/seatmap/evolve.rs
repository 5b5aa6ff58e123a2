//! What a seat map becomes by its facts. Total: seats that the plan does not have are passed over.

use std::sync::Arc;

use super::plan::{Hall, SeatIx};
use super::{Attached, BareLock, Counts, Event, Origin, Owner, Plan, Slot, State};
use crate::{LockId, ReservationId, SeatId, Timestamp, UserId};

impl State {
    pub(super) fn take_in(&mut self, event: &Event) {
        match event {
            Event::Published { plan } | Event::Changed { plan, .. } => self.rearrange(plan),
            Event::SeatsLocked {
                lock_id,
                reservation_id,
                user_id,
                seat_ids,
                expires_at,
                epoch,
                attempt,
            } => {
                let seats = self.numbers(seat_ids);
                match (*reservation_id, *lock_id, *expires_at) {
                    (Some(reservation), _, deadline) => {
                        let attached = self.attach(reservation, user_id, &seats, None);
                        match deadline {
                            Some(until) if self.claims.get(&reservation).is_some() => {
                                self.claims.raised(reservation, until, *epoch, *attempt);
                                self.replace(reservation, attached);
                            }
                            _ => {
                                self.claims.held(reservation, attached, deadline, *epoch, *attempt);
                            }
                        }
                    }
                    (None, Some(lock), Some(until)) => self.lock_up(lock, user_id, seats, until),
                    (None, Some(_), None) | (None, None, _) => {}
                }
            }
            Event::SeatsAttached {
                lock_id,
                reservation_id,
                user_id,
                seat_ids,
                expires_at,
                epoch,
                attempt,
            } => {
                let seats = self.numbers(seat_ids);
                let ttl = self.locks.get(lock_id).map_or(*expires_at, |lock| lock.expires_at);
                self.take_from(Owner::Lock(*lock_id), &seats);
                let origin = Origin { lock_id: *lock_id, expires_at: ttl, seats: seats.clone() };
                let attached = self.attach(*reservation_id, user_id, &seats, Some(origin));
                if self.claims.get(reservation_id).is_some() {
                    self.claims.raised(*reservation_id, *expires_at, *epoch, Some(*attempt));
                    self.replace(*reservation_id, attached);
                } else {
                    let deadline = Some(*expires_at);
                    self.claims.held(*reservation_id, attached, deadline, *epoch, Some(*attempt));
                }
            }
            &Event::SeatLockExtended { reservation_id, expires_at, epoch, attempt } => {
                self.claims.raised(reservation_id, expires_at, epoch, attempt);
            }
            &Event::SeatsBooked { reservation_id, epoch, .. } => {
                self.claims.committed(reservation_id, epoch);
                for seat in self.owned(Owner::Reservation(reservation_id)).to_vec() {
                    self.set(seat, Slot::Booked(reservation_id));
                }
            }
            Event::SeatsReleased { owner, seat_ids, epoch, .. } => {
                let seats = self.numbers(seat_ids);
                for &seat in &seats {
                    if self.slots[seat as usize].owner() == Some(*owner) {
                        self.set(seat, Slot::Free);
                    }
                }
                self.take_from(*owner, &seats);
                if let (Owner::Reservation(reservation), Some(epoch)) = (owner, epoch) {
                    self.claims.fenced(*reservation, *epoch);
                }
            }
            Event::AttemptWithdrawn { reservation_id, attempt } => {
                self.claims.withdrawn(reservation_id, attempt);
            }
            Event::LockRestored { lock_id, reservation_id, user_id, seat_ids, expires_at } => {
                let seats = self.numbers(seat_ids);
                self.take_from(Owner::Reservation(*reservation_id), &seats);
                self.lock_up(*lock_id, user_id, seats, *expires_at);
            }
            Event::SeatsBlocked { seat_ids, reason } => {
                for seat in self.numbers(seat_ids) {
                    self.set(seat, Slot::Blocked);
                    self.blocked_for.insert(seat, reason.clone());
                }
            }
            Event::SeatsUnblocked { seat_ids } => {
                for seat in self.numbers(seat_ids) {
                    self.set(seat, Slot::Free);
                    self.blocked_for.remove(&seat);
                }
            }
        }
    }

    fn numbers(&self, ids: &[SeatId]) -> Vec<SeatIx> {
        let Some(hall) = self.hall.as_deref() else { return Vec::new() };
        let mut seats: Vec<_> = ids.iter().filter_map(|id| hall.find(id)).collect();
        seats.sort_unstable();
        seats.dedup();
        seats
    }

    fn set(&mut self, seat: SeatIx, slot: Slot) {
        let before = std::mem::replace(&mut self.slots[seat as usize], slot);
        *self.counts.of(before.status()) -= 1;
        *self.counts.of(slot.status()) += 1;
    }

    /// Seats become a bare lock's, beside those that it has.
    fn lock_up(&mut self, id: LockId, user_id: &UserId, seats: Vec<SeatIx>, expires_at: Timestamp) {
        for &seat in &seats {
            self.set(seat, Slot::Locked(id));
        }
        let all = merged(self.owned(Owner::Lock(id)), &seats);
        let lock = BareLock { user_id: user_id.clone(), seats: all, expires_at };
        if let Some(before) = self.locks.insert(id, lock) {
            self.lock_deadlines.remove(&(before.expires_at, id));
        }
        self.lock_deadlines.insert((expires_at, id));
    }

    /// Seats become a reservation's, beside those that it has: what it has claimed then.
    fn attach(
        &mut self,
        id: ReservationId,
        user_id: &UserId,
        seats: &[SeatIx],
        origin: Option<Origin>,
    ) -> Attached {
        for &seat in seats {
            self.set(seat, Slot::Held(id));
        }
        let before = self.claims.get(&id).map(|claim| &claim.what);
        let mut origins = before.map_or_else(Vec::new, |before| before.origins.clone());
        origins.extend(origin);
        Attached {
            user_id: user_id.clone(),
            seats: merged(self.owned(Owner::Reservation(id)), seats),
            origins,
        }
    }

    fn replace(&mut self, reservation: ReservationId, attached: Attached) {
        if let Some(what) = self.claims.what_mut(&reservation) {
            *what = attached;
        }
    }

    /// Seats are not that owner's any more; without any left it is gone.
    fn take_from(&mut self, owner: Owner, seats: &[SeatIx]) {
        match owner {
            Owner::Lock(id) => {
                let Some(lock) = self.locks.get_mut(&id) else { return };
                lock.seats.retain(|seat| seats.binary_search(seat).is_err());
                if lock.seats.is_empty() {
                    self.lock_deadlines.remove(&(lock.expires_at, id));
                    self.locks.remove(&id);
                }
            }
            Owner::Reservation(id) => {
                let Some(attached) = self.claims.what_mut(&id) else { return };
                attached.seats.retain(|seat| seats.binary_search(seat).is_err());
                for origin in &mut attached.origins {
                    origin.seats.retain(|seat| seats.binary_search(seat).is_err());
                }
                attached.origins.retain(|origin| !origin.seats.is_empty());
                if attached.seats.is_empty() {
                    self.claims.freed(&id);
                }
            }
        }
    }

    /// A new plan: seats keep their owners by their ids, numbers follow the new plan.
    fn rearrange(&mut self, plan: &Plan) {
        let new = Arc::new(Hall::new(plan.clone()));
        let old = self.hall.replace(Arc::clone(&new));
        let mut slots = vec![Slot::Free; new.size() as usize];
        let moved = |seat: &SeatIx| old.as_ref().and_then(|old| new.find(&old.id(*seat)));
        for (seat, slot) in (0..).zip(&self.slots) {
            if *slot != Slot::Free
                && let Some(place) = moved(&seat)
            {
                slots[place as usize] = *slot;
            }
        }
        let renumber = |seats: &mut Vec<SeatIx>| {
            *seats = seats.iter().filter_map(moved).collect();
            seats.sort_unstable();
        };
        self.locks.values_mut().for_each(|lock| renumber(&mut lock.seats));
        for attached in self.claims.all_what_mut() {
            renumber(&mut attached.seats);
            attached.origins.iter_mut().for_each(|origin| renumber(&mut origin.seats));
        }
        let blocked = std::mem::take(&mut self.blocked_for).into_iter();
        self.blocked_for =
            blocked.filter_map(|(seat, reason)| Some((moved(&seat)?, reason))).collect();
        self.slots = slots;
        self.counts = Counts::default();
        for slot in &self.slots {
            *self.counts.of(slot.status()) += 1;
        }
    }
}

fn merged(some: &[SeatIx], more: &[SeatIx]) -> Vec<SeatIx> {
    let mut all = [some, more].concat();
    all.sort_unstable();
    all.dedup();
    all
}
