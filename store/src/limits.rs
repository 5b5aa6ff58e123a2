//! What an append may look like, whichever store takes it.
//!
//! Every backend calls [`check`] before anything else, so that an append is refused everywhere for
//! the same reasons.

use std::collections::HashSet;

use crate::{AppendError, StreamAppend};

/// Longest name of a stream, in bytes.
pub const MAX_STREAM_BYTES: usize = 255;
/// Longest stored name of an event, in bytes.
pub const MAX_KIND_BYTES: usize = 128;
/// Most batches (that is: streams) in one append.
pub const MAX_BATCHES: usize = 4096;
/// Most bytes of names, metadata and payloads in one append, with [`EVENT_OVERHEAD_BYTES`] counted
/// for each event.
pub const MAX_APPEND_BYTES: usize = 8 << 20;
/// What is counted for an event beside its own bytes.
pub const EVENT_OVERHEAD_BYTES: usize = 64;

/// From how many batches on a set is cheaper than comparing each with each.
const SMALL: usize = 8;

/// Refuses what no store may take.
pub fn check(batches: &[StreamAppend]) -> Result<(), AppendError> {
    if batches.is_empty() {
        return refuse("it has no batch");
    }
    if batches.len() > MAX_BATCHES {
        return refuse(format!("it has {} batches, at most {MAX_BATCHES} go", batches.len()));
    }
    let mut bytes = 0usize;
    for batch in batches {
        let name = batch.stream.as_str();
        if !(1..=MAX_STREAM_BYTES).contains(&name.len())
            || !name.bytes().all(|b| b.is_ascii_graphic())
        {
            return refuse(format!(
                "stream name {name:?} is not 1 to {MAX_STREAM_BYTES} bytes of printable ASCII without spaces"
            ));
        }
        if batch.events.is_empty() {
            return refuse(format!("the batch for {name} has no event"));
        }
        for event in &batch.events {
            if !(1..=MAX_KIND_BYTES).contains(&event.kind.len())
                || !event.kind.bytes().all(|b| (0x20..0x7f).contains(&b))
            {
                return refuse(format!(
                    "event name {:?} is not 1 to {MAX_KIND_BYTES} bytes of printable ASCII",
                    event.kind
                ));
            }
            if event.schema_version == 0 {
                return refuse(format!("{}: schema versions start at 1", event.kind));
            }
            bytes = bytes
                .saturating_add(EVENT_OVERHEAD_BYTES)
                .saturating_add(event.kind.len() + event.metadata.len())
                .saturating_add(event.data.len());
        }
        bytes = bytes.saturating_add(name.len());
    }
    if bytes > MAX_APPEND_BYTES {
        return refuse(format!("it has {bytes} bytes, at most {MAX_APPEND_BYTES} go"));
    }
    match twice(batches) {
        Some(stream) => refuse(format!("stream {stream} stands in two batches")),
        None => Ok(()),
    }
}

/// A stream that stands in more than one batch.
fn twice(batches: &[StreamAppend]) -> Option<&str> {
    if batches.len() <= SMALL {
        return batches.iter().enumerate().find_map(|(i, batch)| {
            batches[..i].iter().any(|b| b.stream == batch.stream).then(|| batch.stream.as_str())
        });
    }
    let mut seen = HashSet::with_capacity(batches.len());
    batches.iter().map(|b| b.stream.as_str()).find(|name| !seen.insert(*name))
}

fn refuse(why: impl Into<String>) -> Result<(), AppendError> {
    Err(AppendError::Invalid(why.into()))
}
