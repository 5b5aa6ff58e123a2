//! What is appended and what is read back: bytes with a name, never a meaning.

use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use crate::Position;

/// The name of a stream, `{category}-{id}`: 1 to 255 bytes of printable ASCII without spaces.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(Arc<str>);

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

/// The stored name of a recorded event. There are few of them and many events, so that a clone is
/// a count and not a copy; used as a `str` everywhere.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind(Arc<str>);

impl Kind {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::ops::Deref for Kind {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Kind {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Kind {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&*self.0, f)
    }
}

impl From<&str> for Kind {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl From<String> for Kind {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl From<Kind> for String {
    fn from(kind: Kind) -> Self {
        kind.as_str().to_owned()
    }
}

impl PartialEq<str> for Kind {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl PartialEq<&str> for Kind {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == *other
    }
}

impl PartialEq<String> for Kind {
    fn eq(&self, other: &String) -> bool {
        &*self.0 == other.as_str()
    }
}

impl PartialEq<Kind> for str {
    fn eq(&self, other: &Kind) -> bool {
        self == &*other.0
    }
}

impl PartialEq<Kind> for &str {
    fn eq(&self, other: &Kind) -> bool {
        *self == &*other.0
    }
}

impl PartialEq<Kind> for String {
    fn eq(&self, other: &Kind) -> bool {
        self.as_str() == &*other.0
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
    pub kind: Kind,
    /// As given in [`NewEvent`].
    pub schema_version: u16,
    /// As given in [`NewEvent`].
    pub metadata: Bytes,
    /// As given in [`NewEvent`].
    pub data: Bytes,
}
