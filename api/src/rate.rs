//! Rate limits, off unless they are set: requests of one address, holds of one customer.
//!
//! One bucket a name, refilled with time. The table is bounded: when it is full, buckets that are full
//! again are dropped first, and if that frees nothing the newcomer passes unjudged.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use holdfast_domain::UserId;

use crate::no::{Code, No};

/// How many names are remembered at once.
const MOST: usize = 100_000;

/// Both limits.
pub(crate) struct Rates {
    addresses: Buckets<IpAddr>,
    holds: Buckets<UserId>,
}

impl Rates {
    pub(crate) fn new(requests_per_minute: u32, holds_per_minute: u32) -> Self {
        Self {
            addresses: Buckets::new(requests_per_minute, Duration::from_secs(60)),
            holds: Buckets::new(holds_per_minute, Duration::from_secs(60)),
        }
    }

    /// One request of this address.
    pub(crate) fn request(&self, address: Option<IpAddr>) -> Result<(), No> {
        address.map_or(Ok(()), |address| self.addresses.take(address, Instant::now()))
    }

    /// One hold or lock of this customer.
    pub(crate) fn hold(&self, user: &UserId) -> Result<(), No> {
        self.holds.take(user.clone(), Instant::now())
    }
}

struct Buckets<K> {
    /// How much a bucket holds, and how long it takes to fill; 0 is no limit.
    size: u32,
    fill: Duration,
    left: Mutex<HashMap<K, (f64, Instant)>>,
}

impl<K: Hash + Eq> Buckets<K> {
    fn new(size: u32, fill: Duration) -> Self {
        Self { size, fill, left: Mutex::new(HashMap::new()) }
    }

    fn take(&self, key: K, now: Instant) -> Result<(), No> {
        if self.size == 0 {
            return Ok(());
        }
        let size = f64::from(self.size);
        let rate = size / self.fill.as_secs_f64();
        let full = |(left, at): &(f64, Instant)| {
            left + now.saturating_duration_since(*at).as_secs_f64() * rate >= size
        };
        let mut buckets = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MOST && !buckets.contains_key(&key) {
            buckets.retain(|_, bucket| !full(bucket));
            if buckets.len() >= MOST {
                return Ok(());
            }
        }
        let (left, at) = buckets.entry(key).or_insert((size, now));
        *left = (*left + now.saturating_duration_since(*at).as_secs_f64() * rate).min(size);
        *at = now;
        if *left >= 1.0 {
            *left -= 1.0;
            return Ok(());
        }
        let wait = Duration::from_secs_f64((1.0 - *left) / rate);
        let mut no = No::new(Code::RateLimited, "too many requests");
        no.retry_after = Some(wait);
        Err(no)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_fills_again_and_nobody_pays_for_another() {
        let buckets = Buckets::new(2, Duration::from_secs(1));
        let start = Instant::now();
        assert!(buckets.take("a", start).is_ok());
        assert!(buckets.take("a", start).is_ok());
        let no = buckets.take("a", start).expect_err("empty");
        assert_eq!(no.code, Code::RateLimited);
        assert!(buckets.take("b", start).is_ok());
        assert!(buckets.take("a", start + Duration::from_millis(600)).is_ok());
    }

    #[test]
    fn zero_is_no_limit() {
        let buckets = Buckets::new(0, Duration::from_secs(1));
        let start = Instant::now();
        assert!((0..1_000).all(|_| buckets.take("a", start).is_ok()));
    }
}
