//! The log: an append-only store of events, guarded by expected versions.
//!
//! This page is all that the rest of the house knows of it. A store keeps bytes and knows no rule;
//! whoever appends says at which version they last saw each stream, and either all of an append is
//! recorded or nothing is. **Only what is durable is ever shown**, to its writer and to readers alike.
//!
//! ```text
//!   append ──► one writer ──► durable ──► acknowledged ──► visible to readers and subscribers
//!                 │ guard: expected versions                (positions 1, 2, 3 … without a gap)
//! ```

mod clock;
mod error;
mod event;
mod filter;
mod subscription;

pub mod contract;
pub mod cqrs;
pub mod embedded;
pub mod limits;
pub mod memory;

use async_trait::async_trait;
use tokio::sync::watch;

pub use clock::Clock;
pub use error::{AppendError, ReadError};
pub use event::{Kind, NewEvent, RecordedEvent, StreamId};
pub use filter::Filter;
pub use subscription::{Subscription, subscribe};

/// A place in the whole log. The first event has position 1; 0 is "before everything".
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct Position(pub u64);

impl Position {
    /// Before everything: the head of an empty log, the checkpoint of one who has seen nothing.
    pub const ZERO: Position = Position(0);
    /// Where the first event stands.
    pub const FIRST: Position = Position(1);

    /// The place behind this one: where one who has seen this goes on.
    pub fn next(self) -> Position {
        Position(self.0 + 1)
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What the appender believes of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It has no event yet.
    NoStream,
    /// Its last event has this version (from 0).
    Exact(u64),
    /// Whatever it has.
    Any,
}

impl Expected {
    /// Whether a stream whose last event has version `actual` is as expected.
    pub fn holds(self, actual: Option<u64>) -> bool {
        match self {
            Self::NoStream => actual.is_none(),
            Self::Exact(version) => actual == Some(version),
            Self::Any => true,
        }
    }
}

/// Events for one stream, guarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamAppend {
    /// Where they go.
    pub stream: StreamId,
    /// What must hold of the stream for the whole append to be recorded.
    pub expected: Expected,
    /// At least one.
    pub events: Vec<NewEvent>,
}

/// What an append has recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Position of the first event of the append; the others follow without a gap.
    pub first: Position,
    /// Position of its last event.
    pub last: Position,
    /// When it was recorded: microseconds since 1970-01-01 UTC.
    pub recorded_at_micros: i64,
    /// For each given batch, in order, the stream's version after it.
    pub stream_versions: Vec<u64>,
}

/// Which way a stream is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Oldest first.
    Forward,
    /// Newest first.
    Backward,
}

/// The append-only log. Five verbs; every backend passes the same contract suite
/// ([`crate::contract`]).
#[async_trait]
pub trait EventStore: Send + Sync + 'static {
    /// Records all batches in the order given, contiguously, or none of them. Answers when they are
    /// durable. A stream may stand in one batch only.
    async fn append(&self, batches: Vec<StreamAppend>) -> Result<Appended, AppendError>;

    /// At most `max` events of one stream, starting with version `from` (inclusive) and going in
    /// `direction`; from `u64::MAX` backward is "from the end". Empty for a stream that is not there.
    async fn read_stream(
        &self,
        stream: &StreamId,
        from: u64,
        direction: Direction,
        max: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError>;

    /// Events of the whole log that match, from position `from` (inclusive) on. May return fewer
    /// than `max` although more match: go on at [`Page::next`].
    async fn read_all(
        &self,
        from: Position,
        filter: &Filter,
        max: usize,
    ) -> Result<Page, ReadError>;

    /// The position of the last durable event; [`Position::ZERO`] when there is none.
    fn head(&self) -> Position;

    /// Told whenever the head moves; closed when the store is.
    fn watch_head(&self) -> watch::Receiver<Position>;

    /// Why the store has stopped taking appends, if it has (poisoned, disk full).
    fn trouble(&self) -> Option<String>;
}

/// Part of the whole log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The events that match, in order of position.
    pub events: Vec<RecordedEvent>,
    /// Where to read on; everything before it has been looked at, matching or not.
    pub next: Position,
}
