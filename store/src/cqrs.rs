//! The log as a [`cqrs_es::EventStore`], so that a stock cqrs-es application lives on it, beside our
//! own streams and followed like them.
//!
//! An aggregate of type `account` with id `4711` is the stream `account-4711`; cqrs-es counts its
//! events from 1, the log from 0. Event types are stored as they are, versions by their leading
//! number (`"2.1"` is schema version 2). Commits are guarded: who was slower gets
//! [`AggregateError::AggregateConflict`].
//!
//! A newtype of our own is needed: the trait is cqrs-es's, and an `Arc` of a store nobody's (E0210).
//! cqrs-es's snapshot and aggregate modes are not offered; they apply each event twice.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use cqrs_es::{
    Aggregate, AggregateContext, AggregateError, DomainEvent, EventEnvelope,
    EventStore as CqrsEventStore,
};
use uuid::Uuid;

use crate::{
    AppendError, Direction, EventStore, Expected, NewEvent, ReadError, RecordedEvent, StreamAppend,
    StreamId,
};

/// How many events are read at once.
const PAGE: usize = 500;

/// Holdfast's log, for aggregates `A`.
pub struct CqrsLog<A> {
    store: Arc<dyn EventStore>,
    aggregate: PhantomData<fn() -> A>,
}

impl<A: Aggregate> CqrsLog<A> {
    /// Lets aggregates `A` live on `store`.
    pub fn new(store: Arc<dyn EventStore>) -> Self {
        Self { store, aggregate: PhantomData }
    }

    /// The stream of an aggregate.
    pub fn stream(aggregate_id: &str) -> StreamId {
        StreamId::new(format!("{}-{aggregate_id}", A::TYPE))
    }
}

impl<A> Clone for CqrsLog<A> {
    fn clone(&self) -> Self {
        Self { store: Arc::clone(&self.store), aggregate: PhantomData }
    }
}

/// An aggregate that was loaded, and how far.
pub struct Loaded<A> {
    aggregate_id: String,
    aggregate: A,
    /// How many events it has.
    sequence: usize,
}

impl<A: Aggregate> AggregateContext<A> for Loaded<A> {
    fn aggregate(&mut self) -> &mut A {
        &mut self.aggregate
    }
}

impl<A: Aggregate> CqrsEventStore<A> for CqrsLog<A> {
    type AC = Loaded<A>;

    async fn load_events(
        &self,
        aggregate_id: &str,
    ) -> Result<Vec<EventEnvelope<A>>, AggregateError<A::Error>> {
        let stream = Self::stream(aggregate_id);
        let (mut envelopes, mut from) = (Vec::new(), 0);
        loop {
            let page = self
                .store
                .read_stream(&stream, from, Direction::Forward, PAGE)
                .await
                .map_err(unread)?;
            let Some(last) = page.last() else {
                return Ok(envelopes);
            };
            from = last.stream_version + 1;
            for event in &page {
                envelopes.push(envelope(aggregate_id, event)?);
            }
        }
    }

    async fn load_aggregate(
        &self,
        aggregate_id: &str,
    ) -> Result<Self::AC, AggregateError<A::Error>> {
        let events = self.load_events(aggregate_id).await?;
        let sequence = events.len();
        let mut aggregate = A::default();
        for envelope in events {
            aggregate.apply(envelope.payload);
        }
        Ok(Loaded { aggregate_id: aggregate_id.to_owned(), aggregate, sequence })
    }

    async fn commit(
        &self,
        events: Vec<A::Event>,
        context: Self::AC,
        metadata: HashMap<String, String>,
    ) -> Result<Vec<EventEnvelope<A>>, AggregateError<A::Error>> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let Loaded { aggregate_id, sequence, .. } = context;
        let said: Bytes = json(&metadata)?;
        let expected =
            sequence.checked_sub(1).map_or(Expected::NoStream, |last| Expected::Exact(last as u64));
        let mut new_events = Vec::with_capacity(events.len());
        for event in &events {
            new_events.push(NewEvent {
                id: Uuid::now_v7(),
                kind: event.event_type(),
                schema_version: schema_version(&event.event_version()),
                metadata: said.clone(),
                data: json(event)?,
            });
        }
        let stream = Self::stream(&aggregate_id);
        let batch = StreamAppend { stream, expected, events: new_events };
        self.store.append(vec![batch]).await.map_err(unrecorded)?;
        let recorded = (sequence + 1..).zip(events).map(|(sequence, payload)| EventEnvelope {
            aggregate_id: aggregate_id.clone(),
            sequence,
            payload,
            metadata: metadata.clone(),
        });
        Ok(recorded.collect())
    }
}

fn envelope<A: Aggregate>(
    aggregate_id: &str,
    event: &RecordedEvent,
) -> Result<EventEnvelope<A>, AggregateError<A::Error>> {
    let unreadable = |e: serde_json::Error| AggregateError::DeserializationError(e.into());
    let metadata = if event.metadata.is_empty() {
        HashMap::new()
    } else {
        serde_json::from_slice(&event.metadata).map_err(unreadable)?
    };
    Ok(EventEnvelope {
        aggregate_id: aggregate_id.to_owned(),
        sequence: event.stream_version as usize + 1,
        payload: serde_json::from_slice(&event.data).map_err(unreadable)?,
        metadata,
    })
}

fn json<E: std::error::Error>(value: &impl serde::Serialize) -> Result<Bytes, AggregateError<E>> {
    let written = serde_json::to_vec(value);
    written.map(Bytes::from).map_err(|e| AggregateError::UnexpectedError(e.into()))
}

/// The leading number of a version such as `"1.0"`; 1 where there is none.
fn schema_version(version: &str) -> u16 {
    let digits = version.split(|c: char| !c.is_ascii_digit()).next().unwrap_or("");
    digits.parse().unwrap_or(1).max(1)
}

fn unread<E: std::error::Error>(error: ReadError) -> AggregateError<E> {
    AggregateError::DatabaseConnectionError(error.into())
}

fn unrecorded<E: std::error::Error>(error: AppendError) -> AggregateError<E> {
    match error {
        AppendError::Conflict { .. } => AggregateError::AggregateConflict,
        AppendError::Invalid(_) => AggregateError::UnexpectedError(error.into()),
        AppendError::Full | AppendError::Unknown(_) | AppendError::Stopped(_) => {
            AggregateError::DatabaseConnectionError(error.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_known_by_their_leading_number() {
        for (given, version) in
            [("1.0", 1), ("2", 2), ("3.1.4", 3), ("0.9", 1), ("", 1), ("v2", 1), ("99999999", 1)]
        {
            assert_eq!(schema_version(given), version, "{given}");
        }
    }
}
