//! From stored bytes to states.

use holdfast_domain::Timestamp;
use holdfast_schemas::{Metadata, StoredEvent};
use holdfast_store::{Direction, Position, ReadError, RecordedEvent, StreamId};
use uuid::Uuid;

use super::memory::Memory;
use super::{House, stream_name};
use crate::Rejection;
use crate::hosted::{Hosted, HostedAggregate};
use crate::snapshots::{LastEvent, Mark, Unusable};

/// How many events are read at once.
const PAGE: usize = 512;

/// Up to where a stream is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsOf {
    /// Including the event at that position.
    Position(Position),
    /// Including what was recorded at that moment.
    Time(Timestamp),
}

/// An aggregate as the log tells it.
#[derive(Clone, Debug)]
pub struct Loaded<D> {
    /// Its state.
    pub state: D,
    /// The version of its last event; none when it has none.
    pub version: Option<u64>,
    /// The position of its last event.
    pub position: Position,
}

/// Why a stream could not be asked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Unreached {
    /// It goes by: the store does not answer, or too many are waiting. Ask again later.
    Passing(Rejection),
    /// It stays: what is recorded cannot be read, or a rule panicked. Somebody has to look.
    Broken(Rejection),
}

impl From<Unreached> for Rejection {
    fn from(unreached: Unreached) -> Self {
        match unreached {
            Unreached::Passing(rejection) | Unreached::Broken(rejection) => rejection,
        }
    }
}

/// An aggregate that is kept in memory.
pub(crate) struct Hot<D> {
    pub(crate) aggregate: HostedAggregate<D>,
    pub(crate) version: Option<u64>,
    pub(crate) position: Position,
    pub(crate) memory: Memory,
    /// Where its snapshot stands.
    pub(crate) mark: Mark,
}

impl<D: Hosted> Hot<D> {
    /// From the stream's snapshot, if there is one that fits, and the events behind it.
    pub(crate) async fn load(house: &House, id: &D::Id) -> Result<Self, Unreached> {
        let stream = stream_name::<D>(id);
        let found = Self::from_snapshot(house, &stream).await?;
        let from_snapshot = found.is_some();
        let (mut hot, mut folded, mut more) = match found {
            Some((hot, page)) => (hot, page.saturating_sub(1), page == PAGE),
            None => (Self::empty(), 0, true),
        };
        while more {
            let from = hot.version.map_or(0, |version| version + 1);
            let events = read(house, &stream, from, PAGE).await.map_err(Unreached::Passing)?;
            for event in &events {
                hot.take_in(event).map_err(Unreached::Broken)?;
            }
            folded += events.len();
            more = events.len() == PAGE;
        }
        house.snapshots.loaded(from_snapshot, folded as u64);
        Ok(hot)
    }

    fn empty() -> Self {
        Self {
            aggregate: HostedAggregate::default(),
            version: None,
            position: Position::ZERO,
            memory: Memory::default(),
            mark: Mark::default(),
        }
    }

    /// The snapshot with the first page of events from its last one on, and how many those are. That
    /// event is read again to see that the log still has it.
    async fn from_snapshot(
        house: &House,
        stream: &StreamId,
    ) -> Result<Option<(Self, usize)>, Unreached> {
        let checked = house.protections.snapshot_checksum;
        let Some((image, bytes)) = house.snapshots.find::<D>(stream, checked).await else {
            return Ok(None);
        };
        let version = image.last.version;
        let page = read(house, stream, version, PAGE).await.map_err(Unreached::Passing)?;
        let is_same = page.first().is_some_and(|event| LastEvent::of(event) == image.last);
        if !is_same && house.protections.snapshot_binding {
            house.snapshots.ignore(stream, &Unusable::OtherLog).await;
            return Ok(None);
        }
        let mut hot = Self {
            aggregate: HostedAggregate(image.state),
            version: Some(version),
            position: Position(image.last.position),
            memory: image.memory,
            mark: Mark::loaded(version, bytes),
        };
        for event in page.iter().skip(1) {
            hot.take_in(event).map_err(Unreached::Broken)?;
        }
        Ok(Some((hot, page.len())))
    }

    fn take_in(&mut self, event: &RecordedEvent) -> Result<(), Rejection> {
        self.aggregate.0.evolve(&decode::<D>(event)?);
        let metadata =
            Metadata::decode(&event.metadata).map_err(|error| unreadable(event, &error))?;
        self.memory.load(
            metadata.command_id,
            metadata.fingerprint,
            event.stream_version,
            event.position,
        );
        self.version = Some(event.stream_version);
        self.position = event.position;
        Ok(())
    }
}

/// The events of a stream between two versions.
pub(crate) async fn decode_stream<D: Hosted>(
    house: &House,
    id: &D::Id,
    first: u64,
    last: u64,
) -> Result<Vec<D::Event>, Rejection> {
    let count = usize::try_from(last.saturating_sub(first)).unwrap_or(PAGE).saturating_add(1);
    let events = read(house, &stream_name::<D>(id), first, count).await?;
    events.iter().map(decode::<D>).collect()
}

/// All recorded events of a stream.
pub(crate) async fn stream_of(
    house: &House,
    stream: &StreamId,
) -> Result<Vec<RecordedEvent>, Rejection> {
    let mut all: Vec<RecordedEvent> = Vec::new();
    loop {
        let from = all.last().map_or(0, |event| event.stream_version + 1);
        let mut events = read(house, stream, from, PAGE).await?;
        let full = events.len() == PAGE;
        all.append(&mut events);
        if !full {
            return Ok(all);
        }
    }
}

/// An aggregate as it was; none when it had no event yet.
pub(crate) async fn fold<D: Hosted>(
    house: &House,
    id: &D::Id,
    upto: AsOf,
) -> Result<Option<Loaded<D>>, Rejection> {
    let mut loaded = Loaded { state: D::default(), version: None, position: Position::ZERO };
    for event in stream_of(house, &stream_name::<D>(id)).await? {
        let belongs = match upto {
            AsOf::Position(position) => event.position <= position,
            AsOf::Time(time) => event.recorded_at_micros <= time.micros(),
        };
        if !belongs {
            break;
        }
        loaded.state.evolve(&decode::<D>(&event)?);
        loaded.version = Some(event.stream_version);
        loaded.position = event.position;
    }
    Ok(loaded.version.is_some().then_some(loaded))
}

async fn read(
    house: &House,
    stream: &StreamId,
    from: u64,
    max: usize,
) -> Result<Vec<RecordedEvent>, Rejection> {
    house
        .store
        .read_stream(stream, from, Direction::Forward, max)
        .await
        .map_err(|error: ReadError| Rejection::Unavailable(error.to_string()))
}

fn decode<D: Hosted>(event: &RecordedEvent) -> Result<D::Event, Rejection> {
    D::Event::decode(&event.kind, event.schema_version, &event.data)
        .map_err(|error| unreadable(event, &error))
}

fn unreadable(event: &RecordedEvent, error: &dyn std::error::Error) -> Rejection {
    Rejection::Unavailable(format!(
        "event {} of stream {} at position {}: {error}",
        event.stream_version, event.stream, event.position
    ))
}

/// The command that recorded an event, as far as its metadata can be read.
pub(crate) fn command_of(event: &RecordedEvent) -> Option<Uuid> {
    Metadata::decode(&event.metadata).ok().map(|metadata| metadata.command_id)
}
