//! A pool: how many there are of something, and who has claimed how many, optionally over time.
//!
//! ```text
//!            Held             Locked              Sold              Returned
//!   (none) ───────► HELD ───────────► COMMITTED ────────► sold ───────────────► (none)
//!      ▲             │   Reacquired ─────▲  │   (total less)    (total more)
//!      └─────────────┴── Released ──────────┘
//! ```
//!
//! `available = total − reserved`, and what has lapsed counts as reserved until somebody needs it: then
//! it is released in the same append as the claim that takes its room. [`crate::claim`] has the rules
//! about epochs, names and deadlines. A claim without a period counts always; one with a period
//! counts within it, and room is looked for at the busiest moment.

mod command;
mod decide;
mod event;
mod evolve;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
mod timeline;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use command::{Command, PeriodErrorText, Refusal};
pub use event::{Event, ReleaseReason};

use crate::claim::{Claim, Ledger};
use crate::{Epoch, Period, ReservationId, Timestamp};
use timeline::Timeline;

/// How many of the pool a reservation has claimed, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Units {
    /// How many.
    pub qty: u32,
    /// When; without it always.
    pub period: Option<Period>,
}

/// What a reservation has consumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Sold {
    /// How many.
    pub qty: u32,
    /// The epoch of the claim that was consumed.
    pub epoch: Epoch,
}

/// All that is known of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct State {
    /// How many there are. Below zero when more was sold than somebody counted later.
    total: i64,
    closed: bool,
    claims: Ledger<Units>,
    /// What was consumed and may come back.
    #[serde(with = "crate::kept::entries")]
    sold: BTreeMap<ReservationId, Sold>,
    /// Units of claims that count always.
    always: i64,
    /// Units of claims with a period, at each moment.
    over_time: Timeline,
    held: u64,
    committed: u64,
    oversubscribed: u32,
}

impl State {
    /// How many there are, claimed or not.
    pub fn total(&self) -> u32 {
        as_count(self.total)
    }

    /// Units that are held and not paid for, those that have lapsed and still lie there included.
    pub fn held(&self) -> u64 {
        self.held
    }

    /// Units that are paid for and not consumed.
    pub fn committed(&self) -> u64 {
        self.committed
    }

    /// How many are claimed at the busiest moment.
    pub fn reserved(&self) -> u32 {
        as_count(self.always + self.over_time.highest())
    }

    /// How many could be claimed for good. For pools over time: at their busiest moment ever; ask
    /// [`Self::available_in`] for the time that matters.
    pub fn available(&self) -> u32 {
        as_count(self.total - self.always - self.over_time.highest())
    }

    /// How many could be claimed throughout a period.
    pub fn available_in(&self, period: Period) -> u32 {
        as_count(self.total - self.always - self.over_time.peak(period))
    }

    /// How many could be claimed for good from `now` on, what has lapsed by then counted as free.
    pub fn available_at(&self, now: Timestamp) -> u32 {
        match self.room(u32::MAX, None, now) {
            Ok(_) => u32::MAX,
            Err(available) => available,
        }
    }

    /// Whether new claims are taken.
    pub fn is_open(&self) -> bool {
        !self.closed
    }

    /// By how many the total lay below the claims when somebody lowered it last.
    pub fn oversubscribed(&self) -> u32 {
        self.oversubscribed
    }

    /// What a reservation has claimed.
    pub fn claim(&self, reservation: &ReservationId) -> Option<&Claim<Units>> {
        self.claims.get(reservation)
    }

    /// Every claim that is held or committed, by reservation.
    pub fn claims(&self) -> impl Iterator<Item = (&ReservationId, &Claim<Units>)> {
        self.claims.iter()
    }

    /// What a reservation has consumed.
    pub fn sold(&self, reservation: &ReservationId) -> Option<Sold> {
        self.sold.get(reservation).copied()
    }

    /// The highest epoch of a reservation that a release has ended here; 0 when there was none.
    pub fn last_epoch(&self, reservation: &ReservationId) -> Epoch {
        self.claims.last_epoch(reservation)
    }
}

/// A count that people see: never below zero.
fn as_count(units: i64) -> u32 {
    u32::try_from(units.max(0)).unwrap_or(u32::MAX)
}

impl crate::Decider for State {
    const CATEGORY: &'static str = "inventory";
    type Id = crate::Sku;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(
        &self,
        _: &crate::Sku,
        command: &Command,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        self.judge(command, now)
    }

    fn evolve(&mut self, event: &Event) {
        self.take_in(event);
    }
}
