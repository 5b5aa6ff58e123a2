//! Deadlines in memory, in the order in which they are due. The rows in the side file are the same,
//! and both are derived: replaying the log makes them again.

use std::collections::BTreeSet;
use std::sync::Arc;

use holdfast_domain::Timestamp;

use crate::side::{ByTimer, TimerName, TimerRow};

/// The timers of one process.
#[derive(Default)]
pub(super) struct Timers {
    by_key: ByTimer<Entry>,
    waiting: BTreeSet<(Timestamp, TimerName)>,
}

struct Entry {
    row: Arc<TimerRow>,
    /// Being performed just now: not fired again meanwhile.
    firing: bool,
}

impl Timers {
    pub(super) fn load(rows: Vec<TimerRow>) -> Self {
        let mut timers = Self::default();
        for row in rows {
            timers.set(Arc::new(row));
        }
        timers
    }

    /// A timer of that name from now on; an earlier one is gone.
    pub(super) fn set(&mut self, row: Arc<TimerRow>) {
        self.forget(&row.key);
        self.waiting.insert((row.due, row.key.clone()));
        self.by_key.insert(row.key.clone(), Entry { row, firing: false });
    }

    /// Puts a row back that memory has lost.
    pub(super) fn restore(&mut self, row: TimerRow) {
        if !self.by_key.contains_key(&row.key) {
            self.set(Arc::new(row));
        }
    }

    /// No timer of that name; true when there was one.
    pub(super) fn forget(&mut self, key: &TimerName) -> bool {
        let Some(entry) = self.by_key.remove(key) else { return false };
        self.waiting.remove(&(entry.row.due, entry.row.key.clone()));
        true
    }

    /// It was performed; a later one of the same name stays. True when it is gone.
    pub(super) fn done(&mut self, key: &TimerName, due: Timestamp) -> bool {
        let same = self.by_key.get(key).is_some_and(|entry| entry.firing && entry.row.due == due);
        same && self.forget(key)
    }

    /// What is due, the oldest first, at most `max`; each is handed out once.
    pub(super) fn due(&mut self, now: Timestamp, max: usize) -> Vec<Arc<TimerRow>> {
        let mut due = Vec::new();
        while due.len() < max
            && let Some((at, _)) = self.waiting.first()
            && *at <= now
            && let Some((_, key)) = self.waiting.pop_first()
        {
            if let Some(entry) = self.by_key.get_mut(&key) {
                entry.firing = true;
                due.push(entry.row.clone());
            }
        }
        due
    }

    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.waiting.first().map(|(due, _)| *due)
    }
}

#[cfg(test)]
mod tests {
    use holdfast_domain::process::{Alarm, Ask};
    use holdfast_domain::{PaymentId, ReservationId};
    use uuid::Uuid;

    use super::*;

    fn row(key: &str, due: i64) -> TimerRow {
        let alarm = Alarm::Chargeback { payment_id: PaymentId(Uuid::nil()), attempt: 1 };
        TimerRow {
            key: key.into(),
            due: Timestamp::from_secs(due),
            lane: ReservationId(Uuid::nil()).to_string(),
            event_id: Uuid::nil(),
            ask: Ask::Alarm(alarm),
        }
    }

    fn keys(rows: &[Arc<TimerRow>]) -> Vec<&str> {
        rows.iter().map(|row| &*row.key).collect()
    }

    #[test]
    fn what_is_due_fires_oldest_first_in_batches_and_once() {
        let mut timers = Timers::load(vec![row("c", 3), row("a", 1), row("b", 2), row("z", 99)]);
        let now = Timestamp::from_secs(10);
        assert_eq!(keys(&timers.due(now, 2)), ["a", "b"]);
        assert_eq!(keys(&timers.due(now, 2)), ["c"]);
        assert!(timers.due(now, 2).is_empty());
        assert!(timers.done(&"a".into(), Timestamp::from_secs(1)));
        assert_eq!(timers.len(), 3);
    }

    #[test]
    fn a_later_timer_of_the_same_name_takes_the_place_and_survives_the_earlier_one() {
        let mut timers = Timers::load(vec![row("a", 1)]);
        assert_eq!(timers.due(Timestamp::from_secs(1), 9).len(), 1);
        timers.set(Arc::new(row("a", 5)));
        assert!(!timers.done(&"a".into(), Timestamp::from_secs(1)));
        assert_eq!(timers.next_due(), Some(Timestamp::from_secs(5)));
    }
}
