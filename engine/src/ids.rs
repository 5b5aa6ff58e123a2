//! New names for what no key names.

use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Uuid;

use crate::ports::Ids;

/// UUIDv7 from the machine's clock and randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemIds;

impl Ids for SystemIds {
    fn fresh(&self) -> Uuid {
        Uuid::now_v7()
    }
}

/// Names that follow from a seed: the same run twice gives the same names.
#[derive(Debug, Default)]
pub struct SeededIds {
    seed: u64,
    count: AtomicU64,
}

impl SeededIds {
    /// Names of that seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, count: AtomicU64::new(0) }
    }
}

impl Ids for SeededIds {
    fn fresh(&self) -> Uuid {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        holdfast_domain::derive(&["seeded", &self.seed.to_string(), &count.to_string()])
    }
}
