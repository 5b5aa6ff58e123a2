//! The tombstones: the highest epoch that was ended, for each reservation, for as long as it matters.
//!
//! They must outlive every late duplicate of a request to take: the longest hold (2 h) for holds, which
//! carry their own deadline, and the time in which a parked request to take again may be redriven. They
//! need not live longer, and a pool sells for years. Facts carry no moment of their own, but each hold
//! carries its deadline, and that is never more than the longest hold away from the moment at which it
//! was recorded: the latest deadline seen is the clock. A tombstone is stamped with the *next* deadline
//! that is seen after it (not the last one before it, which may be ages old) and dropped once the clock
//! is `Fence::KEPT_FOR` beyond the stamp. So replaying the same facts always forgets the same ones.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Epoch, ReservationId, Timestamp};

/// Which epochs of which reservations are over.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Fence {
    #[serde(with = "crate::kept::entries")]
    ended: BTreeMap<ReservationId, Tombstone>,
    clock: Timestamp,
    unstamped: Vec<ReservationId>,
    stamped: VecDeque<(Timestamp, ReservationId)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Tombstone {
    epoch: Epoch,
    stamp: Option<Timestamp>,
}

impl Fence {
    /// A week, in which parked requests may be redriven, and the longest hold with its grace.
    const KEPT_FOR: Duration = Duration::from_secs(7 * 86_400 + 7_200 + 60);

    pub(super) fn last(&self, reservation: &ReservationId) -> Epoch {
        self.ended.get(reservation).map_or(0, |tombstone| tombstone.epoch)
    }

    pub(super) fn raise(&mut self, reservation: ReservationId, epoch: Epoch) {
        if epoch > self.last(&reservation) {
            self.ended.insert(reservation, Tombstone { epoch, stamp: None });
            self.unstamped.push(reservation);
        }
    }

    pub(super) fn tick(&mut self, deadline: Timestamp) {
        if deadline <= self.clock {
            return;
        }
        self.clock = deadline;
        for reservation in self.unstamped.drain(..) {
            if let Some(tombstone) = self.ended.get_mut(&reservation) {
                tombstone.stamp = Some(deadline);
                self.stamped.push_back((deadline, reservation));
            }
        }
        while let Some(&(stamp, reservation)) = self.stamped.front() {
            if stamp.plus(Self::KEPT_FOR) >= deadline {
                break;
            }
            self.stamped.pop_front();
            // Raised again since: then it waits for its new stamp.
            if self.ended.get(&reservation).is_some_and(|it| it.stamp == Some(stamp)) {
                self.ended.remove(&reservation);
            }
        }
    }
}

impl Fence {
    /// Whether nothing is remembered.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.ended.is_empty() && self.stamped.is_empty() && self.unstamped.is_empty()
    }
}
