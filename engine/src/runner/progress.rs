//! How far a process has come. The checkpoint is the lowest unfinished position less one: after a
//! crash everything behind it is done again, and nothing is skipped.

use std::collections::{BTreeSet, HashMap, HashSet};

use holdfast_domain::PaymentId;
use holdfast_store::Position;

use crate::side::{Progress, TimerRow};

/// What is under way, and what is done but not written down.
pub(super) struct Pending {
    looked: Position,
    unfinished: BTreeSet<Position>,
    written: Position,
    timers: HashMap<String, Option<TimerRow>>,
    payments: HashMap<PaymentId, bool>,
    open: HashSet<PaymentId>,
    after_asks: bool,
}

impl Pending {
    pub(super) fn new(position: Position, open: Vec<PaymentId>, after_asks: bool) -> Self {
        Self {
            looked: position,
            unfinished: BTreeSet::new(),
            written: position,
            timers: HashMap::new(),
            payments: HashMap::new(),
            open: open.into_iter().collect(),
            after_asks,
        }
    }

    /// Everything up to here was looked at.
    pub(super) fn looked(&self) -> Position {
        self.looked
    }

    pub(super) fn look(&mut self, upto: Position) {
        self.looked = self.looked.max(upto);
    }

    pub(super) fn begin(&mut self, position: Position) {
        self.unfinished.insert(position);
        self.looked = self.looked.max(position);
    }

    pub(super) fn finish(&mut self, position: Position) {
        self.unfinished.remove(&position);
    }

    /// Everything up to here is done.
    pub(super) fn checkpoint(&self) -> Position {
        match self.unfinished.first() {
            Some(lowest) if self.after_asks => Position(lowest.0 - 1),
            Some(_) | None => self.looked,
        }
    }

    pub(super) fn timer(&mut self, key: String, row: Option<TimerRow>) {
        self.timers.insert(key, row);
    }

    /// Whether a timer's row is about to change.
    pub(super) fn changes(&self, key: &str) -> bool {
        self.timers.contains_key(key)
    }

    pub(super) fn payment(&mut self, payment: PaymentId, open: bool) {
        let changed = if open { self.open.insert(payment) } else { self.open.remove(&payment) };
        if changed {
            self.payments.insert(payment, open);
        }
    }

    pub(super) fn open_payments(&self) -> Vec<PaymentId> {
        self.open.iter().copied().collect()
    }

    /// What is to be written down, if anything is.
    pub(super) fn take(&mut self) -> Option<Progress> {
        let position = self.checkpoint();
        if position == self.written && self.timers.is_empty() && self.payments.is_empty() {
            return None;
        }
        self.written = position;
        Some(Progress {
            position,
            timers: std::mem::take(&mut self.timers),
            payments: std::mem::take(&mut self.payments),
        })
    }

    /// It could not be written down; what has changed since is newer.
    pub(super) fn put_back(&mut self, progress: Progress) {
        self.written = Position::ZERO;
        for (key, row) in progress.timers {
            self.timers.entry(key).or_insert(row);
        }
        for (payment, open) in progress.payments {
            self.payments.entry(payment).or_insert(open);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checkpoint_never_passes_what_is_unfinished() {
        let mut pending = Pending::new(Position(10), Vec::new(), true);
        for position in 11..=14 {
            pending.begin(Position(position));
        }
        pending.look(Position(20));
        pending.finish(Position(12));
        assert_eq!(pending.checkpoint(), Position(10));
        pending.finish(Position(11));
        assert_eq!(pending.checkpoint(), Position(12));
        pending.finish(Position(13));
        pending.finish(Position(14));
        assert_eq!(pending.checkpoint(), Position(20));
    }
}
