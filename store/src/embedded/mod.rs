//! The embedded store: our own segmented append-only log in a directory. `store/FORMAT.md` draws
//! every byte of it.
//!
//! ```text
//!   append ─► queue ─► writer thread ─► segment files        (writer, log, prepare)
//!                          │ publish
//!   reads  ◄─ view ◄───────┘        (recent frames, live: in memory, archive: indexes on the disk)
//!   open   ─► recovery ─► scan                (walk the end, cut the torn, refuse damage)
//!   roll   ─► indexer ─► index                (a sealed segment leaves the memory)
//! ```

mod archive;
mod backup;
mod chunks;
mod disk;
mod encode;
mod files;
mod format;
mod frame;
mod group;
mod index;
mod indexer;
mod inspect;
mod live;
mod log;
mod marker;
mod mirror;
mod options;
mod page;
mod prepare;
mod queue;
mod reader;
mod reads;
mod recovery;
mod repair;
mod restore;
mod scan;
pub mod sim;
mod slot;
mod stat;
mod tail;
mod twins;
mod verify;
mod view;
mod writer;

/// What threads and tasks meet at. The queue and the writer name it here, so that a test can put
/// shuttle's in its place.
mod sync {
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

    pub(crate) use tokio::sync::{oneshot, watch};
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests;

use std::hash::RandomState;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use async_trait::async_trait;
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

pub use backup::{BACKUP_FILE, BackupError, BackupProgress, BackupReport, backup};
pub use disk::{Access, Disk, DiskFile, DiskLock, RealDisk};
pub use options::{
    DEFAULT_INDEX_CACHE_BYTES, DEFAULT_SEGMENT_BYTES, Entropy, LEAST_SEGMENT_BYTES, Lab,
    MOST_SEGMENT_BYTES, OpenError, OpenProgress, Options, Progress,
};
pub use reader::Reader;
pub use recovery::{Recovery, Torn};
pub use repair::{CutPlan, Lost, LostStream, RepairError, Repaired, repair, repair_on};
pub use restore::Restored;
pub use scan::Damage;
pub use stat::{
    CopyStat, Counted, Counting, IndexStat, LogStat, SegmentStat, TailStat, stat, stat_on,
};
pub use verify::{VerifyOptions, VerifyProgress, VerifyReport, verify, verify_on, verify_with};
pub use view::Stopped;

use crate::{
    AppendError, Appended, Direction, EventStore, Filter, Page, Position, ReadError, RecordedEvent,
    StreamAppend, StreamId, limits,
};
use encode::Encoded;
use group::Group;
use queue::Producers;
use view::{Trouble, View};
use writer::{Order, Writer, stopped};

/// Where the segments are, under the data directory.
pub const LOG_DIR: &str = "log";

/// How many appends wait at most; who comes then waits for a place in the queue. As many again are in
/// the writer's hands.
const QUEUE_APPENDS: usize = 4096;

/// The embedded store, open to write. One process at a time has it; others may read beside it with
/// [`Reader`].
pub struct Embedded {
    view: Arc<View>,
    head: watch::Receiver<Position>,
    /// Taken when the store is dropped, so that the writer sees the end.
    queue: Option<Producers<Order>>,
    /// What streams' names are hashed with while they are in the writer's hands.
    hash_key: RandomState,
    writer: Option<JoinHandle<()>>,
    closed: AtomicBool,
    disk: Arc<dyn Disk>,
    store_id: Uuid,
    recovery: Recovery,
}

/// What a store is and holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreInfo {
    /// Given to the store when it was made; it stands in every segment.
    pub store_id: Uuid,
    /// How many segments have begun.
    pub segments: u64,
    /// The bytes of their files, which are set aside whole.
    pub bytes: u64,
    /// How many streams there are.
    pub streams: u64,
    /// Position of the last durable event: how many events there are.
    pub head: Position,
    /// How many bytes still fit on the disk, where that is known.
    pub free_bytes: Option<u64>,
}

impl Embedded {
    /// Opens the log in `log/` under the data directory and makes both when they are not there.
    /// Everything that is found is checked before anything is served; waits for the disk.
    pub fn open(data_dir: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        Self::open_on(Arc::new(RealDisk::new(data_dir.as_ref().join(LOG_DIR))), options)
    }

    /// Opens the log in the directory that `disk` is.
    pub fn open_on(disk: Arc<dyn Disk>, options: Options) -> Result<Self, OpenError> {
        let recovery::Opened { log, view, indexer, lock, recovery } =
            recovery::recover(&disk, &options)?;
        let store_id = log.place.store_id.expect("an open log has an id");
        let (told, head) = watch::channel(Position(view.visible()));
        let (queue, orders) = queue::queue(QUEUE_APPENDS, options.lab.twins);
        let writer = Writer {
            log,
            view: Arc::clone(&view),
            head: told,
            queue: orders,
            segment_bytes: options.segment_bytes(),
            group: Group::default(),
            twins: options.lab.twins,
            indexer,
            lock,
        };
        let thread = std::thread::Builder::new().name("holdfast-writer".into());
        let writer = Some(thread.spawn(move || writer.run())?);
        let (queue, closed) = (Some(queue), AtomicBool::new(false));
        let hash_key = RandomState::new();
        Ok(Self { view, head, queue, hash_key, writer, closed, disk, store_id, recovery })
    }

    /// What was found at opening.
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// What the store is and holds.
    pub fn info(&self) -> StoreInfo {
        info(self.store_id, &self.view, &*self.disk)
    }

    /// Where an event stands on the disk: the file name of its segment, the offset of its frame.
    pub fn locate(&self, position: Position) -> Option<(String, u64)> {
        self.view.locate(position.0)
    }

    /// Why nothing will be appended any more before the log is opened again: a write or a sync has
    /// failed, or damage was met. None while all is well, and while the disk is merely full.
    pub fn stopped(&self) -> Option<Stopped> {
        match self.view.trouble()? {
            Trouble::Full | Trouble::NoRoom { .. } => None,
            Trouble::Stopped(reason) => Some(reason),
        }
    }

    /// Ends the store: appends that wait are done and answered, later ones are refused, the
    /// directory is free when this returns. Dropping the store does the same.
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if let Some(queue) = &self.queue
            && queue.push(Order::Close(done)).await.is_ok()
        {
            let _ = closed.await;
        }
        self.closed.store(true, Ordering::Release);
    }

    fn open_to_read(&self) -> Result<(), ReadError> {
        if self.closed.load(Ordering::Acquire) { Err(ReadError::Closed) } else { Ok(()) }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the log's writer ended in a panic");
        }
    }
}

fn info(store_id: Uuid, view: &View, disk: &dyn Disk) -> StoreInfo {
    let (segments, bytes) = view.segments();
    StoreInfo {
        store_id,
        segments,
        bytes,
        streams: view.streams(),
        head: Position(view.visible()),
        free_bytes: disk.free_bytes().ok(),
    }
}

#[async_trait]
impl EventStore for Embedded {
    /// An append that is given up while it waits may still be recorded, whole.
    async fn append(&self, batches: Vec<StreamAppend>) -> Result<Appended, AppendError> {
        limits::check(&batches)?;
        let Some(queue) = &self.queue else {
            return Err(stopped(&self.view));
        };
        writer::append(queue, &self.view, Encoded::new(batches, &self.hash_key)).await
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        from: u64,
        direction: Direction,
        max: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.open_to_read()?;
        self.view.read_stream(stream, from, direction, max).await
    }

    async fn read_all(
        &self,
        from: Position,
        filter: &Filter,
        max: usize,
    ) -> Result<Page, ReadError> {
        self.open_to_read()?;
        self.view.read_all(from, filter, max).await
    }

    fn head(&self) -> Position {
        *self.head.borrow()
    }

    fn watch_head(&self) -> watch::Receiver<Position> {
        let mut head = self.head.clone();
        head.mark_unchanged();
        head
    }

    fn trouble(&self) -> Option<String> {
        // Looked at anew: who is told that there is no room sends nothing that would find it out.
        if let Some(Trouble::NoRoom { bytes }) = self.view.trouble()
            && self.disk.free_bytes().is_ok_and(|free| free >= bytes)
        {
            return None;
        }
        trouble(&self.view)
    }
}

fn trouble(view: &View) -> Option<String> {
    match view.trouble()? {
        Trouble::Full | Trouble::NoRoom { .. } => {
            Some("the disk is full: free some space, appends go on by themselves".into())
        }
        Trouble::Stopped(reason) => Some(reason.to_string()),
    }
}
