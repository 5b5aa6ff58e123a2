//! How long to wait before the next try: twice as long each time, up to a most, by chance up to half
//! shorter, so that a fleet that lost its broker together does not come back together.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

/// Waits between tries.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
    chance: StdRng,
}

impl Backoff {
    pub(crate) fn new(first: Duration, longest: Duration, seed: u64) -> Self {
        Self { first, longest, next: first, chance: StdRng::seed_from_u64(seed) }
    }

    /// How long to wait now.
    pub(crate) fn wait(&mut self) -> Duration {
        let whole = self.next.min(self.longest);
        self.next = whole.saturating_mul(2).min(self.longest);
        whole.mul_f64(self.chance.random_range(0.5..=1.0))
    }

    /// It went well: the next wait is the first again.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}

/// A seed that nobody chose.
pub(crate) fn any_seed() -> u64 {
    getrandom::u64().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest_and_start_anew() {
        let (first, longest) = (Duration::from_millis(100), Duration::from_secs(5));
        let mut backoff = Backoff::new(first, longest, 1);
        let waits: Vec<Duration> = (0..12).map(|_| backoff.wait()).collect();
        assert!((first / 2..=first).contains(&waits[0]), "{waits:?}");
        assert!((longest / 2..=longest).contains(&waits[11]), "{waits:?}");
        backoff.reset();
        assert!(backoff.wait() <= first);
    }

    #[test]
    fn two_that_fail_together_do_not_come_back_together() {
        let mut one = Backoff::new(Duration::from_secs(1), Duration::from_secs(9), 1);
        let mut other = Backoff::new(Duration::from_secs(1), Duration::from_secs(9), 2);
        assert_ne!(one.wait(), other.wait());
    }
}
