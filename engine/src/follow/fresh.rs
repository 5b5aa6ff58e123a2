//! Keys that are bound and not yet written down: seen by repeats at once, however long the side file
//! has no room. What they take of memory is bounded.
//!
//! ```text
//!   position   written ──────────────────── evicted ──────────────────── newest
//!              │ only their ids, in a filter │ whole rows, at most ROWS_KEPT │
//!              │ found by reading the log    │ found at once                 │
//! ```
//!
//! The filter tells "surely not" of almost every key that is new; "perhaps" costs a walk through that
//! part of the log, and is never wrong. It is made when the first row is evicted and let go when all of
//! those are written down.

use std::collections::{BTreeMap, HashMap};

use holdfast_store::Position;
use uuid::Uuid;

use crate::side::KeyRow;

/// How many rows are kept whole: some 20 MiB, and a minute of bookings at a thousand a second.
pub(super) const ROWS_KEPT: usize = 1 << 16;
/// Bits of the filter: 8 MiB. Of keys that are new it takes one in a million for one that is bound
/// when a million are in it, one in twenty at ten million.
const FILTER_BITS: u64 = 1 << 26;
/// Bits of each id.
const PROBES: u64 = 7;

/// What is known of a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It is bound by this.
    Bound(KeyRow),
    /// It is perhaps bound by something in this part of the log, both ends inclusive.
    Perhaps(Position, Position),
    /// It is written down, or not bound.
    Unknown,
}

/// Keys that are bound and not yet written down.
#[derive(Default)]
pub(super) struct Fresh {
    at: HashMap<Uuid, Position>,
    rows: BTreeMap<Position, KeyRow>,
    /// Everything up to here is written down.
    written: Position,
    /// Up to here rows were evicted.
    evicted: Position,
    filter: Option<IdFilter>,
    /// Another number than [`ROWS_KEPT`].
    kept: Option<usize>,
}

impl Fresh {
    /// Takes a row in; one of the same command goes on where that one ended.
    pub(super) fn insert(&mut self, row: &KeyRow) {
        let mut row = row.clone();
        let known = self.at.get(&row.command_id).and_then(|at| self.rows.remove(at));
        if let Some(mut known) = known {
            if row.position > known.position {
                (known.last, known.position) = (row.last, row.position);
            }
            row = known;
        }
        if row.position <= self.written {
            // It was written down while its request was still being answered.
            self.at.remove(&row.command_id);
            return;
        }
        self.at.insert(row.command_id, row.position);
        self.rows.insert(row.position, row);
        while self.rows.len() > self.kept.unwrap_or(ROWS_KEPT) {
            let Some((position, oldest)) = self.rows.pop_first() else { break };
            self.at.remove(&oldest.command_id);
            self.filter.get_or_insert_with(IdFilter::new).insert(oldest.command_id);
            self.evicted = self.evicted.max(position);
        }
    }

    /// What is known of a key.
    pub(super) fn find(&self, id: Uuid) -> Known {
        if let Some(row) = self.at.get(&id).and_then(|at| self.rows.get(at)) {
            return Known::Bound(row.clone());
        }
        match &self.filter {
            Some(filter) if filter.has(id) => Known::Perhaps(self.written.next(), self.evicted),
            Some(_) | None => Known::Unknown,
        }
    }

    /// Everything up to there is written down.
    pub(super) fn written(&mut self, position: Position) {
        self.written = self.written.max(position);
        let left = self.rows.split_off(&position.next());
        for (_, row) in std::mem::replace(&mut self.rows, left) {
            self.at.remove(&row.command_id);
        }
        if self.evicted <= self.written {
            self.filter = None;
        }
    }

    /// How many whole rows are in memory.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    #[cfg(test)]
    pub(super) fn keep(&mut self, rows: usize) {
        self.kept = Some(rows);
    }

    #[cfg(test)]
    pub(super) fn evicted_any(&self) -> bool {
        self.filter.is_some()
    }
}

/// A Bloom filter of ids. Command ids are hashes already: their bits choose the places.
struct IdFilter(Vec<u64>);

impl IdFilter {
    fn new() -> Self {
        Self(vec![0; usize::try_from(FILTER_BITS / 64).expect("a few megabytes")])
    }

    fn places(id: Uuid) -> impl Iterator<Item = (usize, u64)> {
        let (first, second) = id.as_u64_pair();
        // Version and variant stand in fixed bits; a multiplication mixes them in. An odd step comes
        // by every place.
        let first = first.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let step = second.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20 | 1;
        (0..PROBES).map(move |n| {
            let bit = (first >> 20).wrapping_add(n.wrapping_mul(step)) % FILTER_BITS;
            (usize::try_from(bit / 64).expect("a few megabytes"), 1 << (bit % 64))
        })
    }

    fn insert(&mut self, id: Uuid) {
        for (word, bit) in Self::places(id) {
            self.0[word] |= bit;
        }
    }

    fn has(&self, id: Uuid) -> bool {
        Self::places(id).all(|(word, bit)| self.0[word] & bit != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_domain::{Timestamp, derive};

    fn row(n: u64, position: u64) -> KeyRow {
        KeyRow {
            command_id: derive(&["command", &n.to_string()]),
            fingerprint: n.to_string(),
            stream: "seatmap-hall".into(),
            first: position,
            last: position,
            position: Position(position),
            at: Timestamp::default(),
        }
    }

    #[test]
    fn what_is_evicted_is_perhaps_bound_until_it_is_written() {
        let mut fresh = Fresh { kept: Some(10), ..Fresh::default() };
        let id = |n| row(n, n).command_id;
        for n in 1..=100 {
            fresh.insert(&row(n, n));
        }
        assert_eq!(fresh.len(), 10);
        for n in 1..=90 {
            assert_eq!(fresh.find(id(n)), Known::Perhaps(Position(1), Position(90)));
        }
        assert_eq!(fresh.find(id(91)), Known::Bound(row(91, 91)));
        let strangers = (101..10_101).filter(|n| fresh.find(id(*n)) != Known::Unknown).count();
        assert_eq!(strangers, 0, "of ten thousand keys that are new");
        fresh.written(Position(50));
        assert_eq!(fresh.find(id(60)), Known::Perhaps(Position(51), Position(90)));
        fresh.written(Position(95));
        assert_eq!(fresh.find(id(60)), Known::Unknown);
        assert_eq!(fresh.find(id(96)), Known::Bound(row(96, 96)));
        assert_eq!(fresh.len(), 5);
        fresh.insert(&row(60, 60));
        assert_eq!(fresh.len(), 5, "what is written down is not taken in again");
    }

    #[test]
    fn a_command_that_goes_on_is_one_row() {
        let mut fresh = Fresh::default();
        fresh.insert(&row(1, 7));
        fresh.insert(&KeyRow { position: Position(9), ..row(1, 8) });
        fresh.insert(&row(1, 7));
        let whole = KeyRow { first: 7, last: 8, position: Position(9), ..row(1, 7) };
        assert_eq!(fresh.find(whole.command_id), Known::Bound(whole));
        assert_eq!(fresh.len(), 1);
    }

    #[test]
    fn many_ids_let_almost_every_stranger_pass() {
        let mut filter = IdFilter::new();
        let id = |n: u32| derive(&["command", &n.to_string()]);
        for n in 0..200_000 {
            filter.insert(id(n));
        }
        assert!((0..200_000).all(|n| filter.has(id(n))));
        let taken = (200_000..300_000).filter(|n| filter.has(id(*n))).count();
        assert!(taken < 10, "{taken}");
    }
}
