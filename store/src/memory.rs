//! The smallest correct store: one vector behind one lock. It is the model that the other stores
//! are compared to, and what tests of other rooms run on. Nothing survives the process.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use async_trait::async_trait;
use tokio::sync::watch;

use crate::{
    AppendError, Appended, Clock, Direction, EventStore, Filter, Page, Position, ReadError,
    RecordedEvent, StreamAppend, StreamId, limits,
};

/// A store in memory.
pub struct Memory {
    log: RwLock<Log>,
    head: watch::Sender<Position>,
    clock: Clock,
}

#[derive(Default)]
struct Log {
    /// The event at position `p` stands at index `p - 1`.
    events: Vec<RecordedEvent>,
    /// For each stream the indexes of its events; the one of version `v` stands at `v`.
    streams: HashMap<StreamId, Vec<usize>>,
}

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        Self::with_clock(Clock::system())
    }

    /// An empty store whose time is told by `clock`.
    pub fn with_clock(clock: Clock) -> Self {
        Self { log: RwLock::default(), head: watch::Sender::new(Position::ZERO), clock }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Log {
    fn version(&self, stream: &StreamId) -> Option<u64> {
        self.streams.get(stream).map(|versions| versions.len() as u64 - 1)
    }

    /// Records all batches, or none.
    fn append(&mut self, batches: Vec<StreamAppend>, now: i64) -> Result<Appended, AppendError> {
        limits::check(&batches)?;
        for StreamAppend { stream, expected, .. } in &batches {
            let actual = self.version(stream);
            if !expected.holds(actual) {
                let (stream, expected) = (stream.clone(), *expected);
                return Err(AppendError::Conflict { stream, expected, actual });
            }
        }
        let last_time = self.events.last().map_or(i64::MIN, |event| event.recorded_at_micros);
        let recorded_at_micros = now.max(last_time);
        let first = Position(self.events.len() as u64 + 1);
        let mut stream_versions = Vec::with_capacity(batches.len());
        for StreamAppend { stream, events, .. } in batches {
            let versions = self.streams.entry(stream.clone()).or_default();
            for event in events {
                let stream_version = versions.len() as u64;
                versions.push(self.events.len());
                self.events.push(RecordedEvent {
                    position: Position(self.events.len() as u64 + 1),
                    stream: stream.clone(),
                    stream_version,
                    recorded_at_micros,
                    id: event.id,
                    kind: event.kind.into(),
                    schema_version: event.schema_version,
                    metadata: event.metadata,
                    data: event.data,
                });
            }
            stream_versions.push(versions.len() as u64 - 1);
        }
        let last = Position(self.events.len() as u64);
        Ok(Appended { first, last, recorded_at_micros, stream_versions })
    }
}

#[async_trait]
impl EventStore for Memory {
    async fn append(&self, batches: Vec<StreamAppend>) -> Result<Appended, AppendError> {
        let mut log = self.log.write().unwrap_or_else(PoisonError::into_inner);
        let appended = log.append(batches, self.clock.now_micros())?;
        // Told under the lock: heads must not overtake each other.
        self.head.send_replace(appended.last);
        Ok(appended)
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        from: u64,
        direction: Direction,
        max: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let log = self.log.read().unwrap_or_else(PoisonError::into_inner);
        let versions = log.streams.get(stream).map_or(&[][..], Vec::as_slice);
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let event = |index: &usize| log.events[*index].clone();
        Ok(match direction {
            Direction::Forward => versions.iter().skip(from).take(max).map(event).collect(),
            Direction::Backward => {
                let upto = from.saturating_add(1).min(versions.len());
                versions[..upto].iter().rev().take(max).map(event).collect()
            }
        })
    }

    async fn read_all(
        &self,
        from: Position,
        filter: &Filter,
        max: usize,
    ) -> Result<Page, ReadError> {
        let log = self.log.read().unwrap_or_else(PoisonError::into_inner);
        let mut next = from.max(Position::FIRST);
        let mut events = Vec::new();
        while events.len() < max
            && let Some(event) = log.events.get(next.0 as usize - 1)
        {
            next = next.next();
            if filter.wants(event) {
                events.push(event.clone());
            }
        }
        Ok(Page { events, next })
    }

    fn head(&self) -> Position {
        *self.head.borrow()
    }

    fn watch_head(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    crate::contract_tests!(async || Arc::new(Memory::new()) as Arc<dyn EventStore>);
}
