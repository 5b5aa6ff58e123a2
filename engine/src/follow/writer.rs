//! Writes keys down in the side file, behind the follower's back.
//!
//! ```text
//!   follower ──rows──► run, at most ROWS_WAITING ──► one transaction: keys, checkpoint
//!        │                │ no room                       │ no: again, ever more slowly
//!        │                ▼                               ▼
//!        └─ goes on    dropped ── read again from the log, which has them all
//! ```
//!
//! The follower never waits for it: what finds no room here is read from the log later. So a side file
//! without room costs bounded memory and nobody's time, and it catches up by itself.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use holdfast_store::{Filter, Position, Subscription};
use tokio::sync::{oneshot, watch};

use super::{CONSUMER, Index, IndexError, note_key};
use crate::side::KeyRow;

/// The checkpoint is written at the latest after so many positions without a key.
const SPARSE: u64 = 4_096;
/// How long is waited before keys are written down again: first, and at the longest.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How many rows wait in memory to be written down, some 5 MiB: one transaction takes them all.
const ROWS_WAITING: usize = 16_384;
/// How it is called where it waits for the log's disk.
const READER: &str = "keys, to be written down,";

/// Rows of one part of the log, without a gap: all behind `after`, up to `upto`.
#[derive(Debug, Default)]
struct Run {
    after: Position,
    upto: Position,
    rows: Vec<KeyRow>,
}

/// What the follower has for the writer.
#[derive(Default)]
pub(super) struct Queue(Mutex<Run>);

/// What the writer does next.
enum Next {
    Write(Vec<KeyRow>, Position),
    /// Rows were dropped: the log has them.
    ReadAgain,
}

impl Queue {
    /// Offers the rows behind `after` up to `upto`. Never waits.
    pub(super) fn offer(&self, after: Position, rows: Vec<KeyRow>, upto: Position) {
        let mut run = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if run.upto == run.after {
            *run = Run { after, upto, rows };
        } else if run.upto == after && run.rows.len() + rows.len() <= ROWS_WAITING {
            run.rows.extend(rows);
            run.upto = upto;
        }
    }

    /// What comes behind `taken`.
    fn take(&self, taken: Position) -> Next {
        let mut run = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if run.upto <= taken {
            *run = Run::default();
            return Next::ReadAgain;
        }
        if run.after > taken {
            return Next::ReadAgain;
        }
        let mut run = std::mem::take(&mut *run);
        run.rows.retain(|row| row.position > taken);
        Next::Write(run.rows, run.upto)
    }
}

impl Index {
    /// Writes down what is bound behind `written`, until the follower has ended and all is written, or
    /// cannot be when it is stopped: what is missing is read from the log again after the next start.
    pub(super) async fn write(
        &self,
        written: Position,
        mut follower: oneshot::Receiver<()>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), IndexError> {
        let mut seen = self.position.subscribe();
        let (mut taken, mut checkpoint) = (written, written);
        let mut ended = false;
        loop {
            if !ended {
                tokio::select! {
                    _ = seen.wait_for(|seen| *seen > taken) => {}
                    _ = &mut follower => ended = true,
                }
            }
            if *seen.borrow_and_update() <= taken {
                if ended {
                    return Ok(());
                }
                continue;
            }
            let (rows, upto) = match self.queue.take(taken) {
                Next::Write(rows, upto) => (rows, upto),
                Next::ReadAgain => tokio::select! {
                    read = self.read_again(taken, &seen) => read?,
                    _ = stop.wait_for(|stop| *stop) => return Ok(()),
                },
            };
            taken = upto;
            if rows.is_empty() && upto.0 <= checkpoint.0 + SPARSE {
                continue;
            }
            if !self.save_keys(&rows, upto, &mut stop).await {
                return Ok(());
            }
            self.keys.written(upto);
            checkpoint = upto;
        }
    }

    /// Rows that were dropped, out of the log, for one transaction. There is a page at least, since the
    /// follower has seen more than is `taken`.
    async fn read_again(
        &self,
        taken: Position,
        seen: &watch::Receiver<Position>,
    ) -> Result<(Vec<KeyRow>, Position), IndexError> {
        let store = self.house.store.clone();
        let mut log = Subscription::new(store, taken.next(), Filter::All);
        let (mut rows, mut at) = (Vec::new(), taken);
        loop {
            let (events, upto) = self.house.next_page(READER, &mut log).await?;
            for event in &events {
                note_key(event, &mut rows);
            }
            at = at.max(upto);
            if rows.len() >= ROWS_WAITING || at >= *seen.borrow() || at.0 >= taken.0 + SPARSE {
                return Ok((rows, at));
            }
        }
    }

    /// Goes on until they are written down, since the house can do without that for a while; false when
    /// it is stopped meanwhile.
    async fn save_keys(
        &self,
        rows: &[KeyRow],
        upto: Position,
        stop: &mut watch::Receiver<bool>,
    ) -> bool {
        let mut wait = FIRST_WAIT;
        while let Err(error) = self.side.save_keys(CONSUMER, rows, upto).await {
            tracing::error!(%error, "keys were not written down; trying again");
            tokio::select! {
                () = self.house.clock.sleep(wait) => {}
                _ = stop.wait_for(|stop| *stop) => return false,
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_domain::Timestamp;
    use uuid::Uuid;

    fn rows(from: u64, upto: u64) -> Vec<KeyRow> {
        let row = |position| KeyRow {
            command_id: Uuid::from_u64_pair(0, position),
            fingerprint: String::new(),
            stream: String::new(),
            first: 0,
            last: 0,
            position: Position(position),
            at: Timestamp::default(),
        };
        (from..=upto).map(row).collect()
    }

    #[test]
    fn what_finds_no_room_is_read_again_and_what_follows_waits_once_more() {
        let queue = Queue::default();
        let offer = |from, upto| queue.offer(Position(from - 1), rows(from, upto), Position(upto));
        let taken = |at| match queue.take(Position(at)) {
            Next::Write(rows, upto) => Some((rows.len(), upto.0)),
            Next::ReadAgain => None,
        };
        for page in 0..40 {
            offer(page * 500 + 1, page * 500 + 500);
        }
        assert_eq!(taken(0), Some((16_000, 16_000)), "32 pages find room");
        offer(20_001, 20_010);
        assert_eq!(taken(16_000), None, "they were dropped");
        assert_eq!(taken(19_999), None);
        assert_eq!(taken(20_005), Some((5, 20_010)), "some of them were read again");
        assert_eq!(taken(20_010), None);
    }
}
