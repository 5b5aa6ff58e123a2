//! Which events a reader of the whole log wants.

use crate::{RecordedEvent, StreamId};

/// What a reader of the whole log wants to see. Cheap to test: no payload is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Filter {
    /// Everything.
    #[default]
    All,
    /// Streams of these categories (`reservation`, `payment`).
    Categories(Vec<String>),
    /// One stream.
    Stream(StreamId),
    /// Events with these stored names.
    Kinds(Vec<String>),
}

impl Filter {
    /// Whether an event is wanted.
    pub fn wants(&self, event: &RecordedEvent) -> bool {
        self.wants_named(&event.stream, &event.kind)
    }

    /// Whether an event of this stream and stored name is wanted.
    pub fn wants_named(&self, stream: &StreamId, kind: &str) -> bool {
        match self {
            Self::All => true,
            Self::Categories(wanted) => wanted.iter().any(|c| c == stream.category()),
            Self::Stream(wanted) => wanted == stream,
            Self::Kinds(wanted) => wanted.iter().any(|k| k == kind),
        }
    }
}
