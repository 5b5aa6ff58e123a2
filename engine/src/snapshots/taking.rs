//! When a snapshot is taken, and how: behind the answers, from a copy, on another thread.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use holdfast_store::{Direction, EventStore, Position, ReadError, StreamId};

use super::files::{Files, MOST_BYTES};
use super::image::{self, Image, LastEvent, Unusable};
use super::{Place, Snapshots};
use crate::dispatch::{Hot, Memory};
use crate::hosted::Hosted;

/// How many are under way at a time; other streams ask again with their next batch.
const MOST_UNDER_WAY: usize = 4;
/// Large states are written more seldom: on the average about this many bytes for each event, or a
/// pool of a hundred thousand claims would write more into its snapshots than into the log, and spend
/// more on them than on its customers (2,048 took a third of all processor time of a hot pool).
const BYTES_AN_EVENT: u64 = 512;
/// Up to this many bytes a state is small: it is written as often as the settings say.
const SMALL: u64 = 64 << 10;

/// Up to where a stream's snapshot goes, as far as its slot knows.
#[derive(Debug, Default)]
pub(crate) struct Mark {
    /// The number of events behind it, tried or taken.
    events: u64,
    /// Its size, once it is written.
    bytes: Arc<AtomicU64>,
}

impl Mark {
    /// Of a snapshot that was loaded.
    pub(crate) fn loaded(version: u64, bytes: u64) -> Self {
        Self { events: version + 1, bytes: Arc::new(AtomicU64::new(bytes)) }
    }

    fn is_due(&self, version: u64, every: u64) -> bool {
        let large = self.bytes.load(Ordering::Relaxed).saturating_sub(SMALL);
        let apart = every.max(large / BYTES_AN_EVENT);
        (version + 1).saturating_sub(self.events) >= apart
    }
}

/// A copy of what a slot holds.
struct Copied<D> {
    version: u64,
    position: Position,
    memory: Memory,
    state: D,
}

/// Why a snapshot was not taken.
#[derive(Debug, thiserror::Error)]
enum Untaken {
    #[error("the log does not answer: {0}")]
    Log(#[from] ReadError),
    #[error("the log does not have its last event")]
    NotInLog,
    #[error("the state cannot be written down: {0}")]
    Encoding(#[from] postcard::Error),
    #[error("it cannot be read back: {0}")]
    Unreadable(#[from] Unusable),
    #[error("what is read back is another state: a field of it is not written down as it is")]
    Differs,
    #[error("{0} bytes are too many")]
    TooLarge(u64),
    #[error("its file cannot be written: {0}")]
    File(#[from] std::io::Error),
    #[error("writing it panicked")]
    Panicked,
}

impl Snapshots {
    /// Takes a snapshot if enough has been recorded since the last one and few others are under way.
    /// What `hot` holds must be durable.
    pub(crate) fn consider<D: Hosted>(
        &self,
        store: &Arc<dyn EventStore>,
        every: u64,
        stream: impl FnOnce() -> StreamId,
        hot: &mut Hot<D>,
    ) {
        let (Some(files), Some(version)) = (&self.0.files, hot.version) else { return };
        if !hot.mark.is_due(version, every) {
            return;
        }
        let stream = stream();
        let Some(turn) = Turn::take(&self.0, &stream) else { return };
        // Also when it fails: a full disk is not to be tried at every command.
        hot.mark.events = version + 1;
        let copied = Copied {
            version,
            position: hot.position,
            memory: hot.memory.clone(),
            state: hot.aggregate.0.clone(),
        };
        let (store, files, bytes) = (store.clone(), files.clone(), hot.mark.bytes.clone());
        tokio::spawn(async move {
            let outcome = match take(&*store, files, &stream, copied).await {
                Ok(written) => {
                    bytes.store(written, Ordering::Relaxed);
                    turn.place.tally.taken.fetch_add(1, Ordering::Relaxed);
                    tracing::debug!(%stream, version, bytes = written, "a snapshot was taken");
                    "taken"
                }
                Err(why) => {
                    turn.place.tally.failed.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(%stream, version, %why, "no snapshot was taken");
                    "failed"
                }
            };
            metrics::counter!("holdfast_snapshots_total", "outcome" => outcome).increment(1);
        });
    }
}

async fn take<D: Hosted>(
    store: &dyn EventStore,
    files: Files,
    stream: &StreamId,
    copied: Copied<D>,
) -> Result<u64, Untaken> {
    let Copied { version, position, memory, state } = copied;
    // As the log has it: what the slot believes is not enough to bind a snapshot to.
    let events = store.read_stream(stream, version, Direction::Forward, 1).await?;
    let last = events.first().map(LastEvent::of);
    let last = last.filter(|last| last.version == version && last.position == position.0);
    let image = Image { last: last.ok_or(Untaken::NotInLog)?, memory, state };
    let stream = stream.clone();
    let written = tokio::task::spawn_blocking(move || write(&files, &stream, &image)).await;
    written.unwrap_or(Err(Untaken::Panicked))
}

/// Asserts on the way that what is read back will be what is written down.
fn write<D: Hosted>(files: &Files, stream: &StreamId, image: &Image<D>) -> Result<u64, Untaken> {
    let bytes = image::encode(files.code(), stream, image)?;
    let len = bytes.len() as u64;
    if len > MOST_BYTES {
        return Err(Untaken::TooLarge(len));
    }
    let back: Image<D> = image::decode(files.code(), stream, &bytes, true)?;
    if back != *image {
        return Err(Untaken::Differs);
    }
    files.write(stream, &bytes)?;
    Ok(len)
}

/// The right to take a stream's snapshot, given back when dropped.
struct Turn {
    place: Arc<Place>,
    stream: StreamId,
}

impl Turn {
    fn take(place: &Arc<Place>, stream: &StreamId) -> Option<Self> {
        let enter = |under_way: &mut BTreeSet<StreamId>| {
            under_way.len() < MOST_UNDER_WAY && under_way.insert(stream.clone())
        };
        let entered = place.under_way.send_if_modified(enter);
        entered.then(|| Self { place: place.clone(), stream: stream.clone() })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.place.under_way.send_modify(|under_way| {
            under_way.remove(&self.stream);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_due_after_so_many_events_and_later_where_the_state_is_large() {
        let mark = Mark::default();
        assert!(!mark.is_due(998, 1_000));
        assert!(mark.is_due(999, 1_000), "the thousandth event has version 999");
        let small = Mark::loaded(999, SMALL);
        assert!(!small.is_due(999, 1));
        assert!(small.is_due(1_000, 1));
        let middling = Mark::loaded(999, 500_000);
        assert!(!middling.is_due(1_998, 1_000));
        assert!(middling.is_due(1_999, 1_000));
        let large = Mark::loaded(999, SMALL + 1_024_000);
        assert!(!large.is_due(2_998, 1_000));
        assert!(large.is_due(2_999, 1_000), "2,000 events for 1 MB");
    }
}
