//! Snapshots of aggregates: so that a stream of a hundred thousand events loads like a short one.
//!
//! ```text
//!   slot ── every so many events, behind the answers ──► a copy of the state
//!                                                           │ another thread
//!   {data}/snapshots/{code hash}/{stream's hash} ◄── encode, read back and compare, write, rename
//!          │
//!   load ──┴──► the log's event at that version is the very one? ──yes──► fold what came since
//!                                                          └──no──► ignore it, fold everything
//! ```
//!
//! A snapshot is never needed, and never believed on its own word: whatever does not fit (a flipped
//! bit, other code, another log, a log that ends before it) is ignored, deleted, and made again from
//! the events. No customer ever learns of trouble here; the process's log and figures do.
//!
//! *Files, not a database*: a load is one read, damage costs one stream, what is deleted is gone, and
//! nothing has to be compacted. *Not synced*: what a power cut leaves of one is told by its checksum,
//! and a sync would compete with the log's own.

#[cfg(test)]
mod code_hash;
mod files;
mod image;
mod taking;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use holdfast_store::StreamId;
use tokio::sync::watch;

use crate::hosted::Hosted;
use files::Files;
pub(crate) use image::{Image, LastEvent, Unusable};
pub(crate) use taking::Mark;

/// The code that this program folds with (`code_hash.rs`).
const CODE: &str = env!("HOLDFAST_CODE_HASH");

/// Where snapshots are kept. Clones are the same place.
#[derive(Clone)]
pub struct Snapshots(Arc<Place>);

struct Place {
    files: Option<Files>,
    /// Of which streams one is being taken.
    under_way: watch::Sender<BTreeSet<StreamId>>,
    tally: Tally,
}

/// What has happened since the start.
#[derive(Default)]
struct Tally {
    taken: AtomicU64,
    used: AtomicU64,
    ignored: AtomicU64,
    failed: AtomicU64,
    folded: AtomicU64,
}

/// What snapshots have done since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotFigures {
    /// How many were written.
    pub taken: u64,
    /// How many loads began with one.
    pub used: u64,
    /// How many were found that could not be used.
    pub ignored: u64,
    /// How many could not be written.
    pub failed: u64,
    /// How many events all loads together have folded.
    pub folded: u64,
}

impl Snapshots {
    /// None are taken, none are used.
    pub fn none() -> Self {
        Self::over(None)
    }

    /// Those in that directory, which is made when it is not there; those of other code are deleted.
    /// A directory that cannot be written is told in the process's log and costs no more than slow
    /// loads.
    pub fn open(directory: impl AsRef<Path>) -> Self {
        Self::open_as(directory, CODE)
    }

    /// The same as another code would.
    pub(crate) fn open_as(directory: impl AsRef<Path>, code: &str) -> Self {
        let files = Files::new(directory.as_ref(), code);
        if let Err(error) = files.prepare() {
            tracing::warn!(%error, "no snapshots can be written; long streams will load slowly");
        }
        Self::over(Some(files))
    }

    fn over(files: Option<Files>) -> Self {
        let under_way = watch::Sender::new(BTreeSet::new());
        Self(Arc::new(Place { files, under_way, tally: Tally::default() }))
    }

    /// A stream's snapshot, if there is one that this code wrote and that is whole, and its size.
    /// Whether it is of this log is still to be asked. `check`: whether its checksum counts.
    pub(crate) async fn find<D: Hosted>(
        &self,
        stream: &StreamId,
        check: bool,
    ) -> Option<(Image<D>, u64)> {
        let files = self.0.files.clone()?;
        let of = stream.clone();
        // A large one takes a while to read and to decode.
        let found = tokio::task::spawn_blocking(move || {
            let Some(bytes) = files.read(&of)? else { return Ok(None) };
            let image = image::decode::<D>(files.code(), &of, &bytes, check)?;
            Ok::<_, Unusable>(Some((image, bytes.len() as u64)))
        });
        match found.await {
            Ok(Ok(found)) => found,
            Ok(Err(unusable)) => {
                self.ignore(stream, &unusable).await;
                None
            }
            Err(fault) => {
                tracing::error!(%stream, %fault, "reading a snapshot panicked");
                self.forget(stream).await;
                None
            }
        }
    }

    /// A snapshot that was found and cannot be used: it is deleted.
    pub(crate) async fn ignore(&self, stream: &StreamId, why: &Unusable) {
        tracing::warn!(%stream, %why, "a snapshot is ignored; the stream is loaded from its events");
        self.0.tally.ignored.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("holdfast_snapshots_total", "outcome" => "ignored").increment(1);
        self.forget(stream).await;
    }

    /// Deletes a stream's snapshot, if there is one.
    pub(crate) async fn forget(&self, stream: &StreamId) {
        let Some(files) = self.0.files.clone() else { return };
        let of = stream.clone();
        let removed = tokio::task::spawn_blocking(move || files.remove(&of)).await;
        if let Ok(Err(error)) = removed {
            // It will be ignored again, or replaced.
            tracing::debug!(%stream, %error, "a snapshot could not be deleted");
        }
    }

    /// A stream was loaded, from a snapshot or not, and so many events were folded.
    pub(crate) fn loaded(&self, from_snapshot: bool, folded: u64) {
        self.0.tally.folded.fetch_add(folded, Ordering::Relaxed);
        metrics::counter!("holdfast_loaded_events_total").increment(folded);
        if from_snapshot {
            self.0.tally.used.fetch_add(1, Ordering::Relaxed);
            metrics::counter!("holdfast_snapshots_total", "outcome" => "used").increment(1);
        }
    }

    /// What has happened since the start.
    pub fn figures(&self) -> SnapshotFigures {
        let Tally { taken, used, ignored, failed, folded } = &self.0.tally;
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        SnapshotFigures {
            taken: of(taken),
            used: of(used),
            ignored: of(ignored),
            failed: of(failed),
            folded: of(folded),
        }
    }

    /// Ends when none is on its way.
    pub async fn settled(&self) {
        let mut under_way = self.0.under_way.subscribe();
        // An error means that the place is gone, and then nothing is on its way to it.
        let _ = under_way.wait_for(BTreeSet::is_empty).await;
    }
}
