//! What is appended and what is read back: bytes with a name, never a meaning.

use bytes::Bytes;
use uuid::Uuid;

use crate::Position;

/// The name of a stream, `{category}-{id}`: 1 to 255 bytes of printable ASCII without spaces.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(std::sync::Arc<str>);

impl StreamId {
    /// Takes a name as it is; [`crate::AppendError::Invalid`] tells at the append when it is no good.
    pub fn new(name: impl AsRef<str>) -> Self {
        Self(name.as_ref().into())
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the first `-`: `reservation` in `reservation-018f…`.
    pub fn category(&self) -> &str {
        self.0.split_once('-').map_or(&*self.0, |(category, _)| category)
    }

    /// What stands behind the first `-`.
    pub fn key(&self) -> &str {
        self.0.split_once('-').map_or("", |(_, key)| key)
    }
}

impl std::fmt::Display for StreamId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// An event that wants to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// Names the event for ever; also how an append whose outcome is unknown is found again.
    pub id: Uuid,
    /// The stored name, `{aggregate}.{event-in-kebab}`; 1 to 128 bytes of printable ASCII.
    pub kind: String,
    /// The version of the payload's shape, from 1.
    pub schema_version: u16,
    /// A JSON object whose values are strings (KurrentDB asks for just that).
    pub metadata: Bytes,
    /// The payload, opaque here.
    pub data: Bytes,
}

/// An event that is recorded: durable, numbered, never changed again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedEvent {
    /// Its place in the whole log: dense, from 1.
    pub position: Position,
    /// The stream that it belongs to.
    pub stream: StreamId,
    /// Its place in that stream: dense, from 0.
    pub stream_version: u64,
    /// When the store recorded it: microseconds since 1970-01-01 UTC, never less than before.
    pub recorded_at_micros: i64,
    /// As given in [`NewEvent`].
    pub id: Uuid,
    /// As given in [`NewEvent`].
    pub kind: String,
    /// As given in [`NewEvent`].
    pub schema_version: u16,
    /// As given in [`NewEvent`].
    pub metadata: Bytes,
    /// As given in [`NewEvent`].
    pub data: Bytes,
}
