//! Spans of time `[from, until)`: back-to-back rentals touch and do not overlap.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Why two moments are no period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeriodError {
    /// It must end after it begins.
    #[error("a period must end after it begins")]
    Empty,
    /// It is longer than allowed.
    #[error("a period may be at most {} days long", .0.as_secs() / 86_400)]
    TooLong(Duration),
}

/// A span of time that contains its beginning and not its end. DOMAIN.md C.5.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
pub struct Period {
    /// The first moment that belongs to it.
    pub from: Timestamp,
    /// The first moment that does not.
    pub until: Timestamp,
}

impl Period {
    /// The longest period unless a setting says otherwise.
    pub const LONGEST: Duration = Duration::from_secs(366 * 86_400);

    /// The period between two moments, at most `longest` long.
    pub fn new(from: Timestamp, until: Timestamp, longest: Duration) -> Result<Self, PeriodError> {
        let period = Self { from, until };
        period.checked(longest)?;
        Ok(period)
    }

    /// Whether it is one: not empty, not reversed, not over `longest`.
    pub fn checked(&self, longest: Duration) -> Result<(), PeriodError> {
        if self.until <= self.from {
            Err(PeriodError::Empty)
        } else if self.until.since(self.from) > longest {
            Err(PeriodError::TooLong(longest))
        } else {
            Ok(())
        }
    }

    /// Whether some moment belongs to both.
    pub fn overlaps(&self, other: &Period) -> bool {
        self.from < other.until && other.from < self.until
    }

    /// Whether `moment` belongs to it.
    pub fn contains(&self, moment: Timestamp) -> bool {
        self.from <= moment && moment < self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn period(from: i64, until: i64) -> Period {
        Period { from: Timestamp::from_secs(from), until: Timestamp::from_secs(until) }
    }

    #[test]
    fn back_to_back_periods_do_not_overlap() {
        assert!(!period(10, 12).overlaps(&period(12, 14)));
        assert!(period(11, 13).overlaps(&period(10, 12)));
        assert!(period(11, 13).overlaps(&period(12, 14)));
    }

    #[test]
    fn empty_reversed_and_over_long_periods_are_refused() {
        assert_eq!(period(1, 1).checked(Period::LONGEST), Err(PeriodError::Empty));
        assert_eq!(period(2, 1).checked(Period::LONGEST), Err(PeriodError::Empty));
        let year_and_more = period(0, 367 * 86_400).checked(Period::LONGEST);
        assert_eq!(year_and_more, Err(PeriodError::TooLong(Period::LONGEST)));
    }
}
