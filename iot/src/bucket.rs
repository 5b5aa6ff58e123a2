//! Buckets: so much of a thing for each vehicle at once, and one more each time a span has gone by. What
//! a vehicle says may become a fact for ever; one that says it a thousand times a second must not fill the
//! log.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use holdfast_domain::VehicleId;

/// How many vehicles are watched; then all are forgotten, and have full buckets again.
const MOST_WATCHED: usize = 200_000;

/// One bucket for each vehicle.
pub(crate) struct Buckets {
    at_once: u32,
    every: Duration,
    /// What is left, and since when that is counted.
    watched: Mutex<HashMap<VehicleId, (u32, Duration)>>,
}

impl Buckets {
    /// Full buckets of `at_once`, which gain one each `every`.
    pub(crate) fn new(at_once: u32, every: Duration) -> Self {
        Self { at_once, every, watched: Mutex::default() }
    }

    /// Takes one out at `now`, by any clock that goes forward; false when there is none.
    pub(crate) fn take(&self, vehicle: &VehicleId, now: Duration) -> bool {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if watched.len() >= MOST_WATCHED && !watched.contains_key(vehicle) {
            watched.clear();
        }
        let (left, since) = watched.entry(vehicle.clone()).or_insert((self.at_once, now));
        let earned = now.saturating_sub(*since).as_millis() / self.every.as_millis().max(1);
        if earned > 0 {
            let earned = u32::try_from(earned).unwrap_or(u32::MAX);
            *left = left.saturating_add(earned).min(self.at_once);
            *since = now;
        }
        let may = *left > 0;
        *left = left.saturating_sub(1);
        may
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use super::*;

    #[test]
    fn a_flood_gets_what_is_in_the_bucket_and_then_a_drop_at_a_time() {
        let every = Duration::from_secs(10);
        let buckets = Buckets::new(5, every);
        let car = VehicleId::new("car-1").unwrap();
        let taken = |now| (0..100).filter(|_| buckets.take(&car, now)).count();
        assert_eq!(taken(Duration::ZERO), 5);
        assert_eq!(taken(every - Duration::from_millis(1)), 0);
        assert_eq!(taken(every), 1);
        assert_eq!(taken(every * 100), 5);
        assert!(buckets.take(&VehicleId::new("car-2").unwrap(), Duration::ZERO), "each its own");
    }
}
