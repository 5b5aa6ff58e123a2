//! Catch-up, then live, from one source: there is no hand-over in which an event could be lost or
//! doubled, since a follower always reads the log itself and only *waits* on the head.

use std::sync::Arc;

use tokio::sync::watch;

use crate::{EventStore, Filter, Position, ReadError, RecordedEvent};

/// How many events a follower reads at once.
const BATCH: usize = 512;

/// Follows `store` from position `from` (inclusive): everything that is there, then what comes.
pub fn subscribe(store: &Arc<dyn EventStore>, from: Position, filter: Filter) -> Subscription {
    Subscription::new(Arc::clone(store), from, filter)
}

/// One follower of the log.
pub struct Subscription {
    store: Arc<dyn EventStore>,
    filter: Filter,
    next: Position,
    head: watch::Receiver<Position>,
}

impl Subscription {
    /// Follows `store` from position `from` (inclusive).
    pub fn new(store: Arc<dyn EventStore>, from: Position, filter: Filter) -> Self {
        let head = store.watch_head();
        Self { store, filter, next: from.max(Position::FIRST), head }
    }

    /// Where it will read on: everything before was handed over, or not wanted.
    pub fn position(&self) -> Position {
        self.next
    }

    /// The next events, at least one; waits for them. Cancel safe.
    pub async fn next(&mut self) -> Result<Vec<RecordedEvent>, ReadError> {
        loop {
            let (events, _) = self.next_page().await?;
            if !events.is_empty() {
                return Ok(events);
            }
        }
    }

    /// What has come since, possibly nothing that is wanted, and the position up to which (inclusive)
    /// everything has been looked at: for followers that keep a checkpoint. Cancel safe.
    pub async fn next_page(&mut self) -> Result<(Vec<RecordedEvent>, Position), ReadError> {
        while *self.head.borrow_and_update() < self.next {
            self.head.changed().await.map_err(|_| ReadError::Closed)?;
        }
        let page = self.store.read_all(self.next, &self.filter, BATCH).await?;
        self.next = page.next;
        Ok((page.events, Position(page.next.0 - 1)))
    }
}
