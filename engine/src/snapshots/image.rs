//! The bytes of a snapshot.
//!
//! ```text
//!   offset  bytes
//!   0       8      "HFSNAP1\n"
//!   8       4      CRC-32C of everything behind it, little-endian
//!   12      …      postcard: code hash, stream, last event (version, id, position, recorded at),
//!                  the memory of commands, the state
//! ```
//!
//! Nothing here has to last: another version of the code ignores it (`code_hash.rs`). It is read all
//! or not at all.

use holdfast_store::{RecordedEvent, StreamId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::dispatch::Memory;
use crate::hosted::Hosted;

const MAGIC: &[u8; 8] = b"HFSNAP1\n";
const SUM_AT: usize = MAGIC.len();
const BODY_AT: usize = SUM_AT + 4;

/// The last event that a snapshot has folded, as the log had it. A log that has another event there
/// is not the log that the snapshot is of. The moment of recording is the store's own: a log that was
/// rolled back and grew again has another one even where a customer's retry has the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastEvent {
    pub(crate) version: u64,
    id: Uuid,
    pub(crate) position: u64,
    recorded_at_micros: i64,
}

impl LastEvent {
    pub(crate) fn of(event: &RecordedEvent) -> Self {
        Self {
            version: event.stream_version,
            id: event.id,
            position: event.position.0,
            recorded_at_micros: event.recorded_at_micros,
        }
    }
}

/// What a snapshot says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Image<D> {
    pub(crate) last: LastEvent,
    pub(crate) memory: Memory,
    pub(crate) state: D,
}

/// Why bytes are no snapshot that can be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("it does not begin like a snapshot")]
    Magic,
    #[error("its checksum is wrong")]
    Checksum,
    #[error("it cannot be read: {0}")]
    Encoding(#[from] postcard::Error),
    #[error("other code wrote it")]
    Code,
    #[error("it is of stream {0}")]
    Stream(String),
    #[error("bytes are left over")]
    TooLong,
    #[error("the log has another event where it ends")]
    OtherLog,
    #[error("its file cannot be read: {0}")]
    File(#[from] std::io::Error),
}

/// Writes a snapshot down.
pub(super) fn encode<D: Hosted>(
    code: &str,
    stream: &StreamId,
    image: &Image<D>,
) -> Result<Vec<u8>, postcard::Error> {
    let mut bytes = [MAGIC.as_slice(), &[0; 4]].concat();
    let Image { last, memory, state } = image;
    bytes = postcard::to_extend(&(code, stream.as_str(), last, memory, state), bytes)?;
    let sum = crc32c::crc32c(&bytes[BODY_AT..]);
    bytes[SUM_AT..BODY_AT].copy_from_slice(&sum.to_le_bytes());
    Ok(bytes)
}

/// Reads a snapshot of that stream by that code. `check`: whether its checksum counts; only a twin
/// says no.
pub(super) fn decode<D: Hosted>(
    code: &str,
    stream: &StreamId,
    bytes: &[u8],
    check: bool,
) -> Result<Image<D>, Unusable> {
    let rest = bytes.strip_prefix(MAGIC).ok_or(Unusable::Magic)?;
    let (sum, body) = rest.split_first_chunk::<4>().ok_or(Unusable::Checksum)?;
    if check && u32::from_le_bytes(*sum) != crc32c::crc32c(body) {
        return Err(Unusable::Checksum);
    }
    let ((by, of), rest): ((&str, &str), _) = postcard::take_from_bytes(body)?;
    if by != code {
        return Err(Unusable::Code);
    }
    if of != stream.as_str() {
        return Err(Unusable::Stream(of.into()));
    }
    let ((last, memory, state), rest) = postcard::take_from_bytes(rest)?;
    if !rest.is_empty() {
        return Err(Unusable::TooLong);
    }
    Ok(Image { last, memory, state })
}
