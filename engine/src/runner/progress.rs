//! How far a process has come. The checkpoint is the lowest unfinished position less one: after a
//! crash everything behind it is done again, and nothing is skipped.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use holdfast_domain::PaymentId;
use holdfast_store::Position;

use crate::side::{ByTimer, Progress, TimerName, TimerNames, TimerRow};

/// What is under way, and what is done but not written down.
pub(super) struct Pending {
    looked: Position,
    unfinished: BTreeSet<Position>,
    written: Position,
    timers: ByTimer<Option<Arc<TimerRow>>>,
    /// Timers that are in the file, or on their way there. One that goes without having come there
    /// leaves nothing behind: while the file has no room, what waits for it is no more than what lives.
    in_file: TimerNames,
    payments: HashMap<PaymentId, bool>,
    open: HashSet<PaymentId>,
    after_asks: bool,
}

impl Pending {
    pub(super) fn new(
        position: Position,
        in_file: TimerNames,
        open: Vec<PaymentId>,
        after_asks: bool,
    ) -> Self {
        Self {
            looked: position,
            unfinished: BTreeSet::new(),
            written: position,
            timers: ByTimer::default(),
            in_file,
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

    pub(super) fn timer(&mut self, key: TimerName, row: Option<Arc<TimerRow>>) {
        if row.is_none() && !self.in_file.contains(&key) {
            self.timers.remove(&key);
        } else {
            self.timers.insert(key, row);
        }
    }

    /// Whether a timer's row is about to change.
    pub(super) fn changes(&self, key: &TimerName) -> bool {
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
        let timers = std::mem::take(&mut self.timers);
        let mut new_timers = TimerNames::default();
        for (key, row) in &timers {
            if row.is_none() {
                self.in_file.remove(key);
            } else if self.in_file.insert(key.clone()) {
                new_timers.insert(key.clone());
            }
        }
        Some(Progress {
            position,
            timers,
            new_timers,
            payments: std::mem::take(&mut self.payments),
        })
    }

    /// It could not be written down; what has changed since is newer.
    pub(super) fn put_back(&mut self, progress: Progress) {
        self.written = Position::ZERO;
        for (key, row) in progress.timers {
            let is_new = progress.new_timers.contains(&key);
            if is_new {
                self.in_file.remove(&key);
            } else {
                self.in_file.insert(key.clone());
            }
            let newest = self.timers.remove(&key).unwrap_or(row);
            if newest.is_some() || !is_new {
                self.timers.insert(key, newest);
            }
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
        let mut pending = Pending::new(Position(10), TimerNames::default(), Vec::new(), true);
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

    fn row(key: &str) -> TimerRow {
        TimerRow {
            key: key.into(),
            due: holdfast_domain::Timestamp::default(),
            lane: String::new(),
            event_id: uuid::Uuid::nil(),
            ask: holdfast_domain::process::Ask::Steps(Vec::new()),
        }
    }

    #[test]
    fn a_timer_that_never_came_to_the_file_leaves_nothing_behind() {
        let in_file = TimerNames::from_iter(["old".into()]);
        let mut pending = Pending::new(Position(10), in_file, Vec::new(), true);
        let set = |pending: &mut Pending, key: &str| {
            pending.timer(key.into(), Some(Arc::new(row(key))));
        };
        let gone = |pending: &mut Pending, key: &str| pending.timer(key.into(), None);
        // The file has no room: whatever is tried is put back.
        for n in 0..100 {
            let key = n.to_string();
            set(&mut pending, &key);
            let tried = pending.take().expect("something");
            if n % 2 == 0 {
                gone(&mut pending, &key);
                pending.put_back(tried);
            } else {
                pending.put_back(tried);
                gone(&mut pending, &key);
            }
        }
        set(&mut pending, "young");
        gone(&mut pending, "old");
        let written = pending.take().expect("something").timers;
        assert_eq!(written.len(), 2);
        assert!(written[&"old".into()].is_none() && written[&"young".into()].is_some());
        // It was written: now it has to be deleted there, and the other one is gone already.
        gone(&mut pending, "young");
        gone(&mut pending, "old");
        let written = pending.take().expect("something").timers;
        assert!(written.len() == 1 && written[&"young".into()].is_none());
    }

    #[test]
    fn a_timer_that_is_deleted_while_its_deletion_fails_is_deleted_later() {
        let in_file = TimerNames::from_iter(["old".into()]);
        let mut pending = Pending::new(Position(10), in_file, Vec::new(), true);
        pending.timer("old".into(), None);
        let tried = pending.take().expect("something");
        pending.timer("old".into(), Some(Arc::new(row("old"))));
        pending.timer("old".into(), None);
        pending.put_back(tried);
        assert!(pending.take().expect("something").timers[&"old".into()].is_none());
    }
}
