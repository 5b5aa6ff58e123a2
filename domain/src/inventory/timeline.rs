//! How much is claimed at each moment, for pools over time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Period, Timestamp};

/// A step function over time: each key begins a level that lasts until the next key. Before the first
/// key the level is zero, and it is zero again from the last.
///
/// ```text
///   level 2        ┌───┐
///   level 1    ┌───┘   └──┐        [10,13) and [11,14) claimed: 10→1, 11→2, 13→1, 14→0
///   ───────────┴───┴───┴──┴─────►
/// ```
///
/// Adding a claim and asking for the peak of a period cost O(log n + steps within the period).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Timeline {
    #[serde(with = "crate::kept::entries")]
    steps: BTreeMap<Timestamp, i64>,
}

impl Timeline {
    /// Whether nothing is claimed at any time.
    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Claims `units` more (or fewer, when negative) during a period.
    pub(super) fn add(&mut self, period: Period, units: i64) {
        if period.until <= period.from {
            return;
        }
        self.cut(period.from);
        self.cut(period.until);
        for (_, level) in self.steps.range_mut(period.from..period.until) {
            *level += units;
        }
        self.mend(period.from);
        self.mend(period.until);
    }

    /// The highest level within a period.
    pub(super) fn peak(&self, period: Period) -> i64 {
        let within = self.steps.range(period.from..period.until.max(period.from));
        within.map(|(_, level)| *level).fold(self.at(period.from), i64::max)
    }

    /// The highest level ever.
    pub(super) fn highest(&self) -> i64 {
        self.steps.values().copied().fold(0, i64::max)
    }

    /// Only what lies within a period.
    pub(super) fn within(&self, period: Period) -> Timeline {
        let mut steps: BTreeMap<_, _> =
            self.steps.range(period.from..period.until).map(|(at, level)| (*at, *level)).collect();
        steps.insert(period.from, self.at(period.from));
        steps.insert(period.until, 0);
        Timeline { steps }
    }

    fn at(&self, moment: Timestamp) -> i64 {
        self.steps.range(..=moment).next_back().map_or(0, |(_, level)| *level)
    }

    fn cut(&mut self, moment: Timestamp) {
        let level = self.at(moment);
        self.steps.entry(moment).or_insert(level);
    }

    fn mend(&mut self, moment: Timestamp) {
        let before = self.steps.range(..moment).next_back().map_or(0, |(_, level)| *level);
        if self.steps.get(&moment) == Some(&before) {
            self.steps.remove(&moment);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn period(from: i64, until: i64) -> Period {
        Period { from: Timestamp::from_secs(from), until: Timestamp::from_secs(until) }
    }

    #[test]
    fn back_to_back_claims_do_not_pile_up_and_one_across_sees_both() {
        let mut timeline = Timeline::default();
        timeline.add(period(10, 12), 1);
        timeline.add(period(12, 14), 1);
        assert_eq!(timeline.peak(period(10, 14)), 1);
        timeline.add(period(11, 13), 1);
        assert_eq!(timeline.peak(period(10, 11)), 1);
        assert_eq!(timeline.peak(period(11, 12)), 2);
        assert_eq!(timeline.peak(period(0, 10)), 0);
        assert_eq!(timeline.highest(), 2);
        for gone in [period(11, 13), period(10, 12), period(12, 14)] {
            timeline.add(gone, -1);
        }
        assert!(timeline.is_empty());
    }
}
