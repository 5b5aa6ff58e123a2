//! The seats that somebody wants, and what stands in the way of each.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::{Hall, SeatIx};
use super::{MOST_SEATS_AT_ONCE, Owner, Pick, Refusal, Slot, State, assign};
use crate::{LockId, ReservationId, SeatId, Timestamp, UserId};

/// The seats that somebody wants, by what stands in the way.
#[derive(Default)]
pub(super) struct Wanted {
    /// Nobody's, or of a lock or claim that has lapsed.
    pub(super) free: Vec<SeatIx>,
    /// The asking reservation's own.
    pub(super) mine: Vec<SeatIx>,
    /// Of live bare locks of the asking customer.
    pub(super) own_locks: BTreeMap<LockId, Vec<SeatIx>>,
    /// Whose lapsed locks and claims must go.
    pub(super) lapsed: BTreeSet<Owner>,
    pub(super) taken: Vec<SeatIx>,
    pub(super) blocked: Vec<SeatIx>,
}

impl Wanted {
    pub(super) fn check(&self, hall: &Hall) -> Result<(), Refusal> {
        if !self.taken.is_empty() {
            Err(Refusal::SeatsTaken(hall.ids(self.taken.iter().copied())))
        } else if !self.blocked.is_empty() {
            Err(Refusal::NotForSale(hall.ids(self.blocked.iter().copied())))
        } else {
            Ok(())
        }
    }
}

impl State {
    /// The numbers of named seats, sorted; refused when one is unknown or stands twice.
    pub(super) fn numbered(
        &self,
        hall: &Hall,
        ids: &[SeatId],
        most: usize,
    ) -> Result<Vec<SeatIx>, Refusal> {
        if ids.is_empty() || ids.len() > most {
            return Err(Refusal::SeatCount { most });
        }
        let unknown: Vec<_> = ids.iter().filter(|id| hall.find(id).is_none()).cloned().collect();
        if !unknown.is_empty() {
            return Err(Refusal::UnknownSeats(unknown));
        }
        let mut seats: Vec<_> = ids.iter().filter_map(|id| hall.find(id)).collect();
        seats.sort_unstable();
        if seats.windows(2).any(|two| two[0] == two[1]) {
            return Err(Refusal::SeatCount { most });
        }
        Ok(seats)
    }

    /// What stands in the way of each seat: for a customer who may take its own bare locks over, or
    /// for a reservation that may keep what it has.
    pub(super) fn sorted(
        &self,
        seats: &[SeatIx],
        user: Option<&UserId>,
        reservation: Option<ReservationId>,
        now: Timestamp,
    ) -> Wanted {
        let mut wanted = Wanted::default();
        for &seat in seats {
            let slot = self.slots[seat as usize];
            match (slot, slot.owner()) {
                (Slot::Free, _) => wanted.free.push(seat),
                (Slot::Blocked, _) => wanted.blocked.push(seat),
                (Slot::Held(holder), _) if reservation == Some(holder) => wanted.mine.push(seat),
                (_, Some(owner)) if self.has_lapsed(owner, now) => {
                    wanted.lapsed.insert(owner);
                    wanted.free.push(seat);
                }
                (Slot::Locked(lock), _)
                    if user.is_some() && self.locks.get(&lock).map(|it| &it.user_id) == user =>
                {
                    wanted.own_locks.entry(lock).or_default().push(seat);
                }
                (Slot::Locked(_) | Slot::Held(_) | Slot::Booked(_), _) => wanted.taken.push(seat),
            }
        }
        wanted
    }

    pub(super) fn chosen(
        &self,
        hall: &Hall,
        pick: &Pick,
        now: Timestamp,
    ) -> Result<Wanted, Refusal> {
        if pick.quantity == 0 || pick.quantity as usize > MOST_SEATS_AT_ONCE {
            return Err(Refusal::SeatCount { most: MOST_SEATS_AT_ONCE });
        }
        let seats = self.choose(hall, pick, now).ok_or(Refusal::NoSeats)?;
        Ok(self.sorted(&seats, None, None, now))
    }

    /// The best seats for a wish among those that are free or have lapsed.
    pub(super) fn choose(&self, hall: &Hall, pick: &Pick, now: Timestamp) -> Option<Vec<SeatIx>> {
        let locks = self.lock_deadlines.iter().take_while(|(until, _)| *until <= now);
        let locks = locks.map(|(_, lock)| Owner::Lock(*lock));
        let claims = self.claims.lapsed(now).map(|(id, _)| Owner::Reservation(*id));
        let lapsed: BTreeSet<SeatIx> =
            locks.chain(claims).flat_map(|owner| self.owned(owner)).copied().collect();
        assign::assign(hall, pick, |seat| {
            self.slots[seat as usize] == Slot::Free || lapsed.contains(&seat)
        })
    }

    pub(super) fn has_lapsed(&self, owner: Owner, now: Timestamp) -> bool {
        match owner {
            Owner::Lock(lock) => self.locks.get(&lock).is_some_and(|lock| lock.expires_at <= now),
            Owner::Reservation(id) => {
                self.claims.get(&id).is_some_and(|claim| claim.has_lapsed(now))
            }
        }
    }
}
