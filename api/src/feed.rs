//! One follower of the log for all open pages: each event is read and decoded once, then shared.
//!
//! ```text
//!   store ──► follower ──► broadcast (bounded) ──┬──► seat page 1     reads slowly? it falls behind the
//!              decodes once                      ├──► seat page 2     bound and is sent away; nobody
//!                                                └──► subscription    else notices
//! ```
//!
//! **No gap.** Whoever joins subscribes first and then asks [`Feed::position`]: everything up to there
//! may have gone by, everything behind it will come. A snapshot taken at or behind that position,
//! followed by the events behind the snapshot, misses nothing and repeats nothing.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use holdfast_schemas::{AnyEvent, Metadata, decode_any};
use holdfast_store::{EventStore, Filter, Position, RecordedEvent, Subscription};
use tokio::sync::broadcast::{self, error::RecvError};

use crate::seats::SeatChange;

/// An event, decoded once for everybody.
#[derive(Debug)]
pub(crate) struct Fact {
    pub(crate) event: RecordedEvent,
    pub(crate) metadata: Metadata,
    /// What happened; none when this program does not know it.
    pub(crate) what: Option<AnyEvent>,
    /// What it means for a seat map's page, with the message already written.
    pub(crate) seats: Option<SeatChange>,
}

impl Fact {
    /// Decodes an event; none when not even its metadata can be read (said once, here).
    pub(crate) fn of(event: RecordedEvent) -> Option<Self> {
        let metadata = Metadata::decode(&event.metadata)
            .inspect_err(|error| {
                tracing::error!(position = event.position.0, %error, "an event cannot be shown");
            })
            .ok()?;
        let (stream, kind) = (event.stream.as_str(), event.kind.as_str());
        let what = decode_any(stream, kind, event.schema_version, &event.data).ok();
        let seats = match &what {
            Some(AnyEvent::SeatMap(map, what)) => SeatChange::of(map, what, event.position),
            _ => None,
        };
        Some(Self { event, metadata, what, seats })
    }
}

/// Facts that were recorded together or shortly after each other.
pub(crate) type Batch = Arc<Vec<Arc<Fact>>>;

/// Nothing more comes: the log cannot be followed any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log has stopped")]
pub(crate) struct Stopped;

/// The follower; it starts with the first reader.
pub(crate) struct Feed {
    store: Arc<dyn EventStore>,
    queue: usize,
    shared: Mutex<Option<Arc<Running>>>,
}

struct Running {
    sender: broadcast::Sender<Batch>,
    /// Raised *before* a batch is sent: see the module's promise.
    position: AtomicU64,
    task: Mutex<Option<tokio::task::AbortHandle>>,
}

impl Drop for Feed {
    fn drop(&mut self) {
        let shared = self.shared.get_mut().unwrap_or_else(PoisonError::into_inner);
        let task = shared
            .as_ref()
            .and_then(|r| r.task.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(task) = task {
            task.abort();
        }
    }
}

impl Feed {
    /// A feed of `store` that keeps `queue` batches for a reader that falls behind.
    pub(crate) fn new(store: Arc<dyn EventStore>, queue: usize) -> Self {
        Self { store, queue: queue.max(1), shared: Mutex::new(None) }
    }

    /// Everything that is recorded from now on, and the position up to which it may have gone by.
    pub(crate) fn join(&self) -> (broadcast::Receiver<Batch>, Position) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let running = match &*shared {
            // A follower that has ended (the store failed) has dropped its end: begin anew.
            Some(running) if !running.ended() => running.clone(),
            _ => {
                let running = self.start();
                *shared = Some(running.clone());
                running
            }
        };
        let receiver = running.sender.subscribe();
        let position = Position(running.position.load(Ordering::SeqCst));
        (receiver, position)
    }

    fn start(&self) -> Arc<Running> {
        let head = self.store.head();
        let running = Arc::new(Running {
            sender: broadcast::channel(self.queue).0,
            position: AtomicU64::new(head.0),
            task: Mutex::new(None),
        });
        let follower = follow(self.store.clone(), head, Arc::downgrade(&running));
        let task = tokio::spawn(follower).abort_handle();
        *running.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        running
    }

    /// Events that match, from `from` (inclusive) or from now on; catches up from the log itself, and
    /// again whenever this reader falls behind: it may be slow, it misses nothing.
    pub(crate) fn follow(self: &Arc<Self>, from: Option<Position>, filter: Filter) -> Follower {
        let (receiver, gone_by) = self.join();
        let next = from.map_or(gone_by.next(), |from| from.max(Position::FIRST));
        Follower {
            feed: self.clone(),
            receiver,
            filter,
            next,
            upto: gone_by,
            ready: VecDeque::new(),
        }
    }
}

impl Running {
    fn ended(&self) -> bool {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        task.as_ref().is_some_and(tokio::task::AbortHandle::is_finished)
    }
}

async fn follow(store: Arc<dyn EventStore>, head: Position, running: std::sync::Weak<Running>) {
    let mut log = Subscription::new(store, head.next(), Filter::All);
    loop {
        let events = match log.next().await {
            Ok(events) => events,
            Err(error) => {
                tracing::error!(%error, "open pages get no more changes");
                break;
            }
        };
        let Some(running) = running.upgrade() else { break };
        let last = events.last().map_or(0, |event| event.position.0);
        let facts: Vec<_> = events.into_iter().filter_map(Fact::of).map(Arc::new).collect();
        running.position.store(last, Ordering::SeqCst);
        // Nobody listens: nothing is lost, whoever comes next starts behind `position`.
        let _ = running.sender.send(Arc::new(facts));
    }
    // The receivers must learn of the end; the sender lives in `Running`, which `Feed` still holds,
    // so an empty batch wakes them to look.
    if let Some(running) = running.upgrade() {
        let _ = running.sender.send(Arc::new(Vec::new()));
    }
}

/// A reader of its own pace.
pub(crate) struct Follower {
    feed: Arc<Feed>,
    receiver: broadcast::Receiver<Batch>,
    filter: Filter,
    /// The next position to hand out.
    next: Position,
    /// Up to here (inclusive) the log is read, not the broadcast.
    upto: Position,
    ready: VecDeque<Arc<Fact>>,
}

impl Follower {
    /// How many events are read from the log at once.
    const PAGE: usize = 256;

    /// The next event that matches; waits for it. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Arc<Fact>, Stopped> {
        loop {
            if let Some(fact) = self.ready.pop_front() {
                return Ok(fact);
            }
            if self.next <= self.upto {
                self.catch_up().await?;
            } else {
                self.live().await?;
            }
        }
    }

    async fn catch_up(&mut self) -> Result<(), Stopped> {
        let page = self.feed.store.read_all(self.next, &self.filter, Self::PAGE).await;
        let page = page.map_err(|error| {
            tracing::error!(%error, "a reader cannot catch up");
            Stopped
        })?;
        self.ready.extend(page.events.into_iter().filter_map(Fact::of).map(Arc::new));
        self.next = page.next;
        Ok(())
    }

    async fn live(&mut self) -> Result<(), Stopped> {
        match self.receiver.recv().await {
            Ok(batch) if batch.is_empty() => Err(Stopped),
            Ok(batch) => {
                for fact in batch.iter() {
                    let at = fact.event.position;
                    if at >= self.next {
                        self.next = at.next();
                        if self.filter.wants(&fact.event) {
                            self.ready.push_back(fact.clone());
                        }
                    }
                }
                Ok(())
            }
            Err(RecvError::Lagged(_)) => {
                // What was dropped is in the log.
                let (receiver, gone_by) = self.feed.join();
                self.receiver = receiver;
                self.upto = gone_by;
                Ok(())
            }
            Err(RecvError::Closed) => Err(Stopped),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_domain::Timestamp;
    use holdfast_schemas::Actor;
    use holdfast_store::memory::Memory;
    use holdfast_store::{Expected, NewEvent, StreamAppend, StreamId};

    async fn record(store: &Arc<dyn EventStore>, stream: &str, count: usize) {
        for _ in 0..count {
            let metadata = Metadata {
                occurred_at: Timestamp::from_secs(1),
                command_id: uuid::Uuid::nil(),
                actor: Actor::system("test"),
                tenant_id: "default".into(),
                correlation_id: None,
                causation_id: None,
                idempotency_key: None,
                fingerprint: None,
                traceparent: None,
            };
            let event = NewEvent {
                id: uuid::Uuid::now_v7(),
                kind: "inventory.opened".into(),
                schema_version: 1,
                metadata: metadata.encode().into(),
                data: b"{}".as_slice().into(),
            };
            let stream = StreamId::new(stream);
            let append = StreamAppend { stream, expected: Expected::Any, events: vec![event] };
            store.append(vec![append]).await.expect("the memory store takes it");
        }
    }

    fn feed(queue: usize) -> (Arc<dyn EventStore>, Arc<Feed>) {
        let store: Arc<dyn EventStore> = Arc::new(Memory::new());
        let feed = Arc::new(Feed::new(store.clone(), queue));
        (store, feed)
    }

    #[tokio::test]
    async fn history_then_live_without_gap_or_double() {
        let (store, feed) = feed(8);
        record(&store, "inventory-a", 5).await;
        let mut reader = feed.follow(Some(Position(2)), Filter::All);
        record(&store, "inventory-a", 5).await;
        for expected in 2..=10 {
            let fact = reader.next().await.expect("it comes");
            assert_eq!(fact.event.position, Position(expected));
        }
    }

    #[tokio::test]
    async fn a_reader_that_fell_behind_reads_on_from_the_log() {
        let (store, feed) = feed(2);
        let mut reader = feed.follow(None, Filter::All);
        let (_keep, _) = feed.join();
        record(&store, "inventory-a", 50).await;
        tokio::task::yield_now().await;
        for expected in 1..=50 {
            let fact = reader.next().await.expect("it comes");
            assert_eq!(fact.event.position, Position(expected));
        }
    }

    #[tokio::test]
    async fn a_filter_is_kept_in_history_and_live() {
        let (store, feed) = feed(64);
        record(&store, "inventory-a", 1).await;
        record(&store, "inventory-b", 1).await;
        let filter = Filter::Stream(StreamId::new("inventory-b"));
        let mut reader = feed.follow(Some(Position(1)), filter);
        record(&store, "inventory-a", 1).await;
        record(&store, "inventory-b", 1).await;
        assert_eq!(reader.next().await.expect("it comes").event.position, Position(2));
        assert_eq!(reader.next().await.expect("it comes").event.position, Position(4));
    }

    /// Lets the one follower see the log to its end.
    async fn followed(feed: &Feed, upto: u64) {
        while feed.join().1 < Position(upto) {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn whoever_joins_before_looking_misses_nothing() {
        let (store, feed) = feed(8);
        drop(feed.join());
        record(&store, "inventory-a", 1).await;
        let (mut changes, gone_by) = feed.join();
        record(&store, "inventory-a", 1).await;
        // The look: everything up to here is in the picture.
        let shown = store.head();
        assert!(shown >= gone_by);
        record(&store, "inventory-a", 1).await;
        let mut behind = Vec::new();
        while behind.last() != Some(&Position(3)) {
            let batch = changes.recv().await.expect("it comes");
            behind.extend(batch.iter().map(|fact| fact.event.position).filter(|at| *at > shown));
        }
        assert_eq!(behind, [Position(3)]);
    }

    /// The twin: the other way round, what is recorded between the look and the joining is lost.
    #[tokio::test]
    async fn whoever_looks_before_joining_misses_what_comes_between() {
        let (store, feed) = feed(8);
        drop(feed.join());
        record(&store, "inventory-a", 1).await;
        let shown = store.head();
        record(&store, "inventory-a", 1).await;
        followed(&feed, 2).await;
        let (mut changes, _) = feed.join();
        record(&store, "inventory-a", 1).await;
        let batch = changes.recv().await.expect("it comes");
        let first = batch.iter().map(|fact| fact.event.position).find(|at| *at > shown);
        assert_eq!(first, Some(Position(3)), "position 2 is in neither");
    }
}
