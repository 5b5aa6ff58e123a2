//! Reading a log beside the process that writes it: no lock is taken, nothing is written, and the
//! tail may move while it is read.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Mutex, watch};
use uuid::Uuid;

use super::archive::Archive;
use super::disk::{Access, Disk, RealDisk};
use super::scan::{Met, Place, Segment, Stop, check_names, walk_unless};
use super::twins::Twins;
use super::view::View;
use super::{DEFAULT_INDEX_CACHE_BYTES, LOG_DIR, OpenError, StoreInfo, info};
use crate::{
    AppendError, Appended, Direction, EventStore, Filter, Page, Position, ReadError, RecordedEvent,
    StreamAppend, StreamId,
};

/// How many bytes of the frames that came last stay in memory.
const RECENT_BYTES: usize = 4 << 20;

/// A log that is only read. It shows what was there when it was opened or last
/// [refreshed](Reader::refresh); what stands behind the last whole frame is not looked at.
pub struct Reader {
    disk: Arc<dyn Disk>,
    view: Arc<View>,
    store_id: Uuid,
    place: Mutex<Place>,
    head: watch::Sender<Position>,
}

impl Reader {
    /// Opens the log in `log/` under the data directory. Sealed segments whose index is missing or
    /// damaged are read once, and indexed in memory: a reader writes nothing. Waits for the disk.
    pub fn open(data_dir: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_on(Arc::new(RealDisk::new(data_dir.as_ref().join(LOG_DIR))))
    }

    /// Opens the log in the directory that `disk` is.
    pub fn open_on(disk: Arc<dyn Disk>) -> Result<Self, OpenError> {
        let listed = match disk.list() {
            Ok(listed) => listed,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(OpenError::NoLog),
            Err(e) => return Err(e.into()),
        };
        let archive =
            Archive::new(Arc::clone(&disk), DEFAULT_INDEX_CACHE_BYTES, false, Twins::default());
        let view = Arc::new(View::new(archive, RECENT_BYTES, true));
        let mut place = Place::start();
        step(&*disk, &view, &mut place)?;
        check_names(&listed, &place)?;
        let store_id = place.store_id.ok_or(OpenError::NoLog)?;
        let head = watch::Sender::new(Position(view.visible()));
        Ok(Self { disk, view, store_id, place: Mutex::new(place), head })
    }

    /// Looks for what was appended since; gives the new head.
    pub async fn refresh(&self) -> Result<Position, OpenError> {
        let mut place = self.place.lock().await;
        let (disk, view, mut next) =
            (Arc::clone(&self.disk), Arc::clone(&self.view), place.clone());
        let stepped = tokio::task::spawn_blocking(move || {
            let stepped = step(&*disk, &view, &mut next);
            (stepped, next)
        });
        let (stepped, next) = stepped.await.map_err(std::io::Error::other)?;
        *place = next;
        let head = Position(self.view.visible());
        self.head.send_if_modified(|told| std::mem::replace(told, head) != head);
        stepped.map(|()| head)
    }

    /// Refreshes again and again, for those who wait on the head; ends only with an error.
    pub async fn follow(&self, every: Duration) -> OpenError {
        loop {
            if let Err(error) = self.refresh().await {
                return error;
            }
            tokio::time::sleep(every).await;
        }
    }

    /// Where an event stands on the disk: the file name of its segment, the offset of its frame.
    pub fn locate(&self, position: Position) -> Option<(String, u64)> {
        self.view.locate(position.0)
    }

    /// What the store is and holds.
    pub fn info(&self) -> StoreInfo {
        info(self.store_id, &self.view, &*self.disk)
    }
}

/// Walks on and shows what is found, when it is durable.
fn step(disk: &dyn Disk, view: &View, place: &mut Place) -> Result<(), OpenError> {
    let mut newest: Option<Segment> = None;
    let walked = walk_unless(
        disk,
        Access::Read,
        place,
        Twins::default(),
        &mut |segment| view.add_sealed(segment),
        &mut |met| match met {
            Met::Segment(segment) => {
                view.add_segment(segment.clone());
                Ok(())
            }
            Met::Frame(segment, offset, frame) => {
                newest = Some(segment.clone());
                let first = frame.first;
                view.hold_back(offset, &Arc::new(frame))
                    .map_err(|what| segment.damage(offset, first, what))
            }
        },
    );
    // The writer shows only what is durable; what is seen here may still be on its way to the disk,
    // so it is sent there before it is shown. What stands before the last frame is durable already.
    if let Some(segment) = newest {
        segment.file.sync_data()?;
    }
    view.let_go();
    view.adopt_indexes()?;
    match walked? {
        // All of these are the end of what is whole; whether the rest is torn, damaged or just being
        // written is for recovery and `verify` to say.
        Stop::Open | Stop::Broken(_) | Stop::Unbegun | Stop::Missing => Ok(()),
    }
}

#[async_trait]
impl EventStore for Reader {
    async fn append(&self, _: Vec<StreamAppend>) -> Result<Appended, AppendError> {
        Err(AppendError::Stopped("it was opened to read only".to_owned()))
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        from: u64,
        direction: Direction,
        max: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.view.read_stream(stream, from, direction, max).await
    }

    async fn read_all(
        &self,
        from: Position,
        filter: &Filter,
        max: usize,
    ) -> Result<Page, ReadError> {
        self.view.read_all(from, filter, max).await
    }

    fn head(&self) -> Position {
        *self.head.borrow()
    }

    fn watch_head(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }

    fn trouble(&self) -> Option<String> {
        Some("it was opened to read only".to_owned())
    }
}
