//! Which rows a table certainly does not hold: a Bloom filter over the keys that were let go.
//!
//! A rebuild fills its tables from nothing, so a key that it never wrote has no row, and asking the
//! database would cost more than all the rest. The filter never forgets and errs to one side only: what it
//! does not know is not there; what it knows perhaps is, and is looked up.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Bits of the filter (8 MiB): with seven million keys one of a hundred lookups is for nothing.
const BITS: u32 = 1 << 26;
/// Bits of each key.
const PROBES: u32 = 6;

/// The keys that may have a row in the table.
pub(super) struct Sieve(Vec<u64>);

impl Sieve {
    pub(super) fn new() -> Self {
        Self(vec![0; BITS as usize / 64])
    }

    pub(super) fn add(&mut self, key: &impl Hash) {
        for (word, bit) in probes(key) {
            self.0[word] |= bit;
        }
    }

    /// False: no such key was ever added.
    pub(super) fn may_hold(&self, key: &impl Hash) -> bool {
        probes(key).all(|(word, bit)| self.0[word] & bit != 0)
    }
}

/// Two halves of one hash give all probes (Kirsch and Mitzenmacher).
fn probes(key: &impl Hash) -> impl Iterator<Item = (usize, u64)> {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    let hash = hasher.finish();
    let (first, step) = (hash as u32, (hash >> 32) as u32 | 1);
    (0..PROBES).map(move |probe| {
        let bit = first.wrapping_add(probe.wrapping_mul(step)) % BITS;
        ((bit / 64) as usize, 1 << (bit % 64))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_always_known_and_little_else() {
        let mut sieve = Sieve::new();
        (0..100_000_u64).for_each(|key| sieve.add(&("item", key)));
        assert!((0..100_000_u64).all(|key| sieve.may_hold(&("item", key))));
        let wrong = (100_000..200_000_u64).filter(|key| sieve.may_hold(&("item", *key))).count();
        assert!(wrong < 100, "{wrong} of 100,000 are taken for known");
    }
}
