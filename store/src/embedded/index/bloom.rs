//! Filters that say of a stream "surely not here" or "perhaps": one in each index, and one in memory
//! over all sealed segments, so that a new stream costs one look and not one for each segment.
//!
//! Both are Bloom filters in blocks of 64 bytes, so that a look touches one block only.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Length of a block.
pub(super) const BLOCK_LEN: usize = 64;
/// How many bits there are for each stream.
const BITS_PER_STREAM: u64 = 10;
/// How many bits a stream sets.
const PROBES: u32 = 7;

/// What the filters and nothing else make of a stream's name: FNV-1a, then mixed (splitmix64).
pub(crate) fn name_hash(name: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in name.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// How many blocks a filter over so many streams has.
pub(super) fn blocks_for(streams: u64) -> u32 {
    (streams * BITS_PER_STREAM).div_ceil(8 * BLOCK_LEN as u64).max(1) as u32
}

/// The block that a name belongs to.
pub(super) fn block_of(hash: u64, blocks: u32) -> u32 {
    (((hash >> 32) * u64::from(blocks)) >> 32) as u32
}

/// The bits of the block that a name sets, 0 to 511.
pub(super) fn bits_of(hash: u64) -> impl Iterator<Item = usize> {
    let (from, step) = (hash as u32 & 511, (hash >> 9) as u32 & 511 | 1);
    (0..PROBES).map(move |i| ((from + i * step) & 511) as usize)
}

/// The filter in memory. It only ever grows; when it is too small for what it has seen it says
/// "perhaps" too often, which costs time and nothing else.
pub(crate) struct Seen {
    bytes: usize,
    /// Set aside when the first stream comes: a small log never needs it.
    words: OnceLock<Vec<AtomicU64>>,
    complete: AtomicBool,
}

impl Seen {
    /// An empty one of at most so many bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        Self { bytes, words: OnceLock::new(), complete: AtomicBool::new(false) }
    }

    fn blocks(&self) -> usize {
        (self.bytes / BLOCK_LEN).clamp(1, u32::MAX as usize)
    }

    /// Notes a stream that a sealed segment holds.
    pub(crate) fn insert(&self, hash: u64) {
        let words = self.words.get_or_init(|| {
            (0..self.blocks() * (BLOCK_LEN / 8)).map(|_| AtomicU64::new(0)).collect()
        });
        let at = block_of(hash, self.blocks() as u32) as usize * (BLOCK_LEN / 8);
        for bit in bits_of(hash) {
            words[at + bit / 64].fetch_or(1 << (bit % 64), Ordering::Relaxed);
        }
    }

    /// Says that all streams of all sealed segments are in it.
    pub(crate) fn set_complete(&self) {
        self.complete.store(true, Ordering::Release);
    }

    /// Whether some sealed segment may hold the stream. Until it is complete: yes.
    pub(crate) fn may_hold(&self, hash: u64) -> bool {
        if !self.complete.load(Ordering::Acquire) {
            return true;
        }
        let Some(words) = self.words.get() else {
            return false;
        };
        let at = block_of(hash, self.blocks() as u32) as usize * (BLOCK_LEN / 8);
        let mut bits = bits_of(hash);
        bits.all(|bit| words[at + bit / 64].load(Ordering::Relaxed) >> (bit % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_never_denied_and_little_else_is_granted() {
        let seen = Seen::new(blocks_for(10_000) as usize * BLOCK_LEN);
        let name = |i: u32| name_hash(&format!("reservation-{i:08x}"));
        assert!(seen.may_hold(name(3)), "until it is complete it knows nothing");
        (0..10_000).for_each(|i| seen.insert(name(i)));
        seen.set_complete();
        assert!((0..10_000).all(|i| seen.may_hold(name(i))));
        let wrong = (10_000..60_000).filter(|i| seen.may_hold(name(*i))).count();
        assert!(wrong < 1500, "{wrong} of 50,000");
    }
}
