//! A seat map: who holds which seat. DOMAIN.md C.4.
//!
//! ```text
//!            SeatsLocked                SeatsAttached                 SeatsBooked
//!    FREE ───────────────► LOCKED(lock) ─────────────► LOCKED(reservation) ───────► BOOKED
//!     ▲ ▲                    │     ▲                     │   │  ▲                     │
//!     │ └──── its time ──────┘     └──── LockRestored ───┘   │  │ SeatsLocked without │
//!     │       is up                                          │  │ a deadline: taken   │
//!     └────────────────── SeatsReleased ─────────────────────┘──┘ again               │
//!     └────────────────── SeatsReleased, by a fact of the reservation ────────────────┘
//!    FREE ◄── SeatsUnblocked ── SeatsBlocked ──► BLOCKED
//! ```
//!
//! * A *bare lock* (S2) is a customer's, before there is a reservation. It lapses at its own time.
//! * A reservation *attaches* seats: its claim follows [`crate::claim`]; a bare lock of the same
//!   customer is taken over and its id is finished, whatever still comes by that id.
//! * What has lapsed is free to the next taker, who releases it in the append that takes it. The
//!   whole lock or claim goes then, not only the seat that is wanted: locks are all or nothing.
//!
//! S1 one owner a seat · S2 all or nothing · S3 locked + booked + blocked + free = seats · S4 a seat is
//! found by its id alone, whoever asks.

mod assign;
mod command;
mod decide;
mod event;
mod evolve;
mod plan;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
mod wanted;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use command::{Command, InvalidPlan, Pick, Refusal, Seats};
pub use event::{Category, Event, Owner, Plan, ReleaseReason, Section};
pub use plan::{MOST_SEATS, SeatSpec};

use crate::claim::{Claim, Ledger};
use crate::{Epoch, LockId, Money, ReservationId, SeatId, Timestamp, UserId};
use plan::{Hall, SeatIx};

/// The most seats that one lock or one reservation takes at once (CONTRACT.md's limits table).
pub const MOST_SEATS_AT_ONCE: usize = 50;

/// Where a seat stands.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SeatStatus {
    /// Anybody's.
    Free,
    /// Held by a bare lock or a reservation.
    Locked,
    /// Sold.
    Booked,
    /// Not for sale.
    Blocked,
}

/// A seat, as somebody who asks sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeatView<'a> {
    /// Its id.
    pub id: SeatId,
    /// Where it stands. A lock that has lapsed still shows until somebody takes the seat.
    pub status: SeatStatus,
    /// Whose it is.
    pub owner: Option<Owner>,
    /// Which customer's.
    pub user_id: Option<&'a UserId>,
    /// Free to the next taker from then on.
    pub expires_at: Option<Timestamp>,
    /// Its price class.
    pub category: &'a str,
    /// What it costs.
    pub price: Money,
    /// Why it is not for sale.
    pub blocked_for: Option<&'a str>,
}

impl SeatView<'_> {
    /// Whether a new taker would get it.
    pub fn is_free_at(&self, now: Timestamp) -> bool {
        match self.status {
            SeatStatus::Free => true,
            SeatStatus::Locked => self.expires_at.is_some_and(|until| until <= now),
            SeatStatus::Booked | SeatStatus::Blocked => false,
        }
    }
}

/// A bare lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockView<'a> {
    /// Whose.
    pub user_id: &'a UserId,
    /// Its seats, in the plan's order.
    pub seats: Vec<SeatId>,
    /// Free to the next taker from then on.
    pub expires_at: Timestamp,
}

/// How many seats stand where; they add up to all seats (S3).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[expect(missing_docs, reason = "named as the states of a seat")]
pub struct Counts {
    pub free: u32,
    pub locked: u32,
    pub booked: u32,
    pub blocked: u32,
}

/// All that is known of a seat map.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Kept")]
pub struct State {
    /// The plan and what follows from it; shared, since it hardly ever changes.
    #[serde(with = "plan::kept")]
    hall: Option<Arc<Hall>>,
    /// Each seat's owner, by its number.
    slots: Vec<Slot>,
    counts: Counts,
    claims: Ledger<Attached>,
    #[serde(with = "crate::kept::entries")]
    locks: BTreeMap<LockId, BareLock>,
    #[serde(skip_serializing)]
    lock_deadlines: BTreeSet<(Timestamp, LockId)>,
    #[serde(with = "crate::kept::entries")]
    blocked_for: BTreeMap<SeatIx, String>,
}

/// What a snapshot keeps of a seat map: the rest follows.
#[derive(Deserialize)]
struct Kept {
    #[serde(with = "plan::kept")]
    hall: Option<Arc<Hall>>,
    slots: Vec<Slot>,
    counts: Counts,
    claims: Ledger<Attached>,
    #[serde(with = "crate::kept::entries")]
    locks: BTreeMap<LockId, BareLock>,
    #[serde(with = "crate::kept::entries")]
    blocked_for: BTreeMap<SeatIx, String>,
}

impl From<Kept> for State {
    fn from(kept: Kept) -> Self {
        let Kept { hall, slots, counts, claims, locks, blocked_for } = kept;
        let lock_deadlines = locks.iter().map(|(id, lock)| (lock.expires_at, *id)).collect();
        Self { hall, slots, counts, claims, locks, lock_deadlines, blocked_for }
    }
}

/// Who has a seat. The rest is said once a lock or claim, not once a seat.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
enum Slot {
    #[default]
    Free,
    Locked(LockId),
    Held(ReservationId),
    Booked(ReservationId),
    Blocked,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct BareLock {
    user_id: UserId,
    /// Sorted.
    seats: Vec<SeatIx>,
    expires_at: Timestamp,
}

/// What a reservation has claimed of the map.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Attached {
    user_id: UserId,
    /// Sorted.
    seats: Vec<SeatIx>,
    /// The bare locks that were taken over, to be given back when the acquisition is refused.
    origins: Vec<Origin>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Origin {
    lock_id: LockId,
    expires_at: Timestamp,
    seats: Vec<SeatIx>,
}

impl State {
    /// The plan, once published.
    pub fn plan(&self) -> Option<&Plan> {
        self.hall.as_deref().map(|hall| &hall.plan)
    }

    /// How a seat stands; none when there is no such seat.
    pub fn seat(&self, id: &SeatId) -> Option<SeatView<'_>> {
        let hall = self.hall.as_deref()?;
        Some(self.view(hall, hall.find(id)?))
    }

    /// Every seat, in the plan's order.
    pub fn seats(&self) -> impl Iterator<Item = SeatView<'_>> {
        let hall = self.hall.as_deref();
        hall.into_iter().flat_map(move |hall| (0..hall.size()).map(move |ix| self.view(hall, ix)))
    }

    /// What a seat costs.
    pub fn price_of(&self, id: &SeatId) -> Option<Money> {
        let hall = self.hall.as_deref()?;
        Some(hall.category(hall.find(id)?).price)
    }

    /// The seats of a lock or a reservation, in the plan's order.
    pub fn seats_of(&self, owner: Owner) -> Vec<SeatId> {
        let seats = self.owned(owner).iter().copied();
        self.hall.as_deref().map_or_else(Vec::new, |hall| hall.ids(seats))
    }

    /// A bare lock; none once it is released, attached or dropped.
    pub fn lock(&self, id: &LockId) -> Option<LockView<'_>> {
        let lock = self.locks.get(id)?;
        Some(LockView {
            user_id: &lock.user_id,
            seats: self.seats_of(Owner::Lock(*id)),
            expires_at: lock.expires_at,
        })
    }

    /// Whose the seats of a reservation are.
    pub fn user_of(&self, reservation: &ReservationId) -> Option<&UserId> {
        self.claims.get(reservation).map(|claim| &claim.what.user_id)
    }

    /// How many seats stand where; what has lapsed still counts as locked.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The seats that a wish would get now (see the module `assign`); none when it cannot be met.
    pub fn best(&self, pick: &Pick, now: Timestamp) -> Option<Vec<SeatId>> {
        let hall = self.hall.as_deref()?;
        Some(hall.ids(self.choose(hall, pick, now)?))
    }

    /// The highest epoch of a reservation that a release has ended here; 0 when there was none.
    pub fn last_epoch(&self, reservation: &ReservationId) -> Epoch {
        self.claims.last_epoch(reservation)
    }

    fn owned(&self, owner: Owner) -> &[SeatIx] {
        match owner {
            Owner::Lock(lock) => self.locks.get(&lock).map_or(&[], |lock| &lock.seats),
            Owner::Reservation(reservation) => {
                self.claims.get(&reservation).map_or(&[], |claim| &claim.what.seats)
            }
        }
    }

    fn view<'a>(&'a self, hall: &'a Hall, seat: SeatIx) -> SeatView<'a> {
        let slot = self.slots[seat as usize];
        let (owner, user_id, expires_at) = match slot {
            Slot::Free | Slot::Blocked => (None, None, None),
            Slot::Locked(id) => {
                let lock = self.locks.get(&id);
                let user_id = lock.map(|lock| &lock.user_id);
                (Some(Owner::Lock(id)), user_id, lock.map(|lock| lock.expires_at))
            }
            Slot::Held(id) | Slot::Booked(id) => {
                let claim = self.claims.get(&id);
                let user_id = claim.map(|claim| &claim.what.user_id);
                (Some(Owner::Reservation(id)), user_id, claim.and_then(Claim::expires_at))
            }
        };
        let category = hall.category(seat);
        SeatView {
            id: hall.id(seat),
            status: slot.status(),
            owner,
            user_id,
            expires_at,
            category: &category.name,
            price: category.price,
            blocked_for: self.blocked_for.get(&seat).map(String::as_str),
        }
    }
}

impl Slot {
    fn status(self) -> SeatStatus {
        match self {
            Self::Free => SeatStatus::Free,
            Self::Locked(_) | Self::Held(_) => SeatStatus::Locked,
            Self::Booked(_) => SeatStatus::Booked,
            Self::Blocked => SeatStatus::Blocked,
        }
    }

    fn owner(self) -> Option<Owner> {
        match self {
            Self::Locked(lock) => Some(Owner::Lock(lock)),
            Self::Held(reservation) | Self::Booked(reservation) => {
                Some(Owner::Reservation(reservation))
            }
            Self::Free | Self::Blocked => None,
        }
    }
}

impl Counts {
    fn of(&mut self, status: SeatStatus) -> &mut u32 {
        match status {
            SeatStatus::Free => &mut self.free,
            SeatStatus::Locked => &mut self.locked,
            SeatStatus::Booked => &mut self.booked,
            SeatStatus::Blocked => &mut self.blocked,
        }
    }
}

impl crate::Decider for State {
    const CATEGORY: &'static str = "seatmap";
    type Id = crate::SeatMapId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(
        &self,
        _: &crate::SeatMapId,
        command: &Command,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        self.judge(command, now)
    }

    fn evolve(&mut self, event: &Event) {
        self.take_in(event);
    }
}
