//! What can go wrong, said so that its holder knows what to do.

use crate::{Expected, Position, StreamId};

/// Why an append was not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Somebody was faster: load the stream again and decide again. Nothing was recorded.
    #[error(
        "stream {stream} is at {actual:?}, the append expected {expected:?}; reload and decide again"
    )]
    Conflict {
        /// The first stream whose guard failed.
        stream: StreamId,
        /// What the appender believed.
        expected: Expected,
        /// The version of its last event; `None` when it has none.
        actual: Option<u64>,
    },
    /// The append can never be recorded as it is. Nothing was recorded.
    #[error("the append is not valid: {0}")]
    Invalid(String),
    /// No room on the disk. Nothing was recorded; reads go on; free space and try again.
    #[error("the disk is full: nothing was recorded; free some space, appends go on by themselves")]
    Full,
    /// A write or sync failed: this append may or may not be recorded. The store takes no more
    /// appends; end the process and start it again, which finds out.
    #[error("outcome unknown: {0}; the store is stopped, restart it to find out")]
    Unknown(String),
    /// The store stopped earlier. Nothing of this append was recorded.
    #[error("the store takes no appends: {0}")]
    Stopped(String),
}

/// Why a read was not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The bytes are not what was written. Nothing of them is served.
    #[error("damaged: segment {segment}, offset {offset}, position {position}: {what}")]
    Damaged {
        /// File name of the segment.
        segment: String,
        /// Byte offset of the frame in it.
        offset: u64,
        /// First global position that is affected.
        position: Position,
        /// What was found.
        what: String,
    },
    /// The disk or the server did not answer; the same read may go through later.
    #[error("the read failed: {0}")]
    Io(String),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}
