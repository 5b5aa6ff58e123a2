//! Claims of a pool over time: how many are taken at each moment.
//!
//! ```text
//!   taken 3        ┌───┐
//!   taken 2    ┌───┘   └──┐          one claim for always, [10,13) and [11,14) beside it:
//!   taken 1 ───┘          └────►     10 +1, 11 +1, 13 −1, 14 −1
//! ```
//!
//! Levels change only where a claim begins or ends, so one walk over those moments, in order, answers for
//! any period; a class with ten thousand bookings is asked as often as one with ten.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

use holdfast_domain::{Period, Timestamp};

use super::{ClaimRow, ClaimState};

/// A stretch of time during which equally many are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreeSpan {
    /// Its first moment.
    pub from: Timestamp,
    /// The first moment after it; none when nothing that is known of ends it.
    pub until: Option<Timestamp>,
    /// How many a new claim could get at any moment of it.
    pub available: u32,
}

/// How many are held and committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Level {
    pub(super) held: i64,
    pub(super) committed: i64,
}

impl Level {
    fn of(claim: &ClaimRow) -> Self {
        let qty = i64::from(claim.qty);
        match claim.state {
            ClaimState::Held => Self { held: qty, committed: 0 },
            ClaimState::Committed => Self { held: 0, committed: qty },
        }
    }

    pub(super) fn taken(self) -> i64 {
        self.held + self.committed
    }

    fn plus(self, other: Self) -> Self {
        Self { held: self.held + other.held, committed: self.committed + other.committed }
    }

    fn minus(self, other: Self) -> Self {
        Self { held: self.held - other.held, committed: self.committed - other.committed }
    }
}

/// The claims of one pool, laid out in time.
pub(super) struct OverTime {
    /// What claims without a period take, at every moment.
    always: Level,
    /// What changes, and when.
    changes: BTreeMap<Timestamp, Level>,
}

impl OverTime {
    pub(super) fn of(claims: &[ClaimRow]) -> Self {
        let mut it = Self { always: Level::default(), changes: BTreeMap::new() };
        for claim in claims {
            let level = Level::of(claim);
            let Some(period) = claim.period else {
                it.always = it.always.plus(level);
                continue;
            };
            let begins = it.changes.entry(period.from).or_default();
            *begins = begins.plus(level);
            let ends = it.changes.entry(period.until).or_default();
            *ends = ends.minus(level);
        }
        it
    }

    /// The level just at a moment.
    fn at(&self, moment: Timestamp) -> Level {
        self.changes.range(..=moment).fold(self.always, |level, (_, change)| level.plus(*change))
    }

    /// The level at the moment (of `period`, or of all time) at which most is taken.
    pub(super) fn peak(&self, period: Option<&Period>) -> Level {
        let (first, after) = match period {
            Some(period) => (self.at(period.from), Excluded(period.from)),
            None => (self.always, Unbounded),
        };
        let within = self
            .changes
            .range((after, Unbounded))
            .take_while(|(moment, _)| period.is_none_or(|period| **moment < period.until));
        let (_, peak) = within.fold((first, first), |(level, peak), (_, change)| {
            let level = level.plus(*change);
            (level, if level.taken() > peak.taken() { level } else { peak })
        });
        peak
    }

    /// What is left of `total` from a moment on, without an end.
    pub(super) fn spans(&self, total: i64, from: Timestamp) -> Vec<FreeSpan> {
        let left = |level: Level| u32::try_from((total - level.taken()).max(0)).unwrap_or(u32::MAX);
        let mut level = self.at(from);
        let mut spans = vec![FreeSpan { from, until: None, available: left(level) }];
        for (moment, change) in self.changes.range((Excluded(from), Unbounded)) {
            level = level.plus(*change);
            let last = spans.last_mut().expect("there is always a first one");
            if last.available != left(level) {
                last.until = Some(*moment);
                spans.push(FreeSpan { from: *moment, until: None, available: left(level) });
            }
        }
        spans
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use holdfast_domain::{ReservationId, Sku, derive};

    use super::*;

    fn hour(hour: i64) -> Timestamp {
        Timestamp::from_secs(hour * 3_600)
    }

    fn period(from: i64, until: i64) -> Period {
        Period { from: hour(from), until: hour(until) }
    }

    fn claim(state: ClaimState, qty: u32, period: Option<Period>) -> ClaimRow {
        ClaimRow {
            sku: Sku::new("van").unwrap(),
            reservation_id: ReservationId(derive(&["any"])),
            qty,
            state,
            expires_at: None,
            epoch: 1,
            period,
        }
    }

    fn three() -> OverTime {
        OverTime::of(&[
            claim(ClaimState::Committed, 1, None),
            claim(ClaimState::Held, 1, Some(period(10, 13))),
            claim(ClaimState::Committed, 1, Some(period(11, 14))),
        ])
    }

    #[test]
    fn the_peak_is_that_of_the_period_and_touching_periods_do_not_add_up() {
        let it = three();
        assert_eq!(it.peak(None), Level { held: 1, committed: 2 });
        assert_eq!(it.peak(Some(&period(8, 10))), Level { held: 0, committed: 1 });
        assert_eq!(it.peak(Some(&period(8, 11))), Level { held: 1, committed: 1 });
        assert_eq!(it.peak(Some(&period(12, 13))), Level { held: 1, committed: 2 });
        assert_eq!(it.peak(Some(&period(13, 20))), Level { held: 0, committed: 2 });
        assert_eq!(it.peak(Some(&period(14, 20))), Level { held: 0, committed: 1 });
        let touching = OverTime::of(&[
            claim(ClaimState::Held, 1, Some(period(10, 12))),
            claim(ClaimState::Held, 1, Some(period(12, 14))),
        ]);
        assert_eq!(touching.peak(None).taken(), 1);
    }

    #[test]
    fn spans_follow_each_other_without_gap_and_the_last_has_no_end() {
        let span = |from, until: Option<i64>, available| FreeSpan {
            from: hour(from),
            until: until.map(hour),
            available,
        };
        // From 11 to 13 more is claimed than there is: nothing is left, never less than nothing.
        let told = [span(9, Some(10), 1), span(10, Some(14), 0), span(14, None, 1)];
        assert_eq!(three().spans(2, hour(9)), told);
        assert_eq!(three().spans(2, hour(20)), [span(20, None, 1)]);
    }
}
