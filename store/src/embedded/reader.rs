//! Reading a log beside the process that writes it: no lock is taken, nothing is written, and the
//! tail may move while it is read. The end is judged as `verify` judges it:
//!
//! ```text
//!   slots, mark, names ─► walk ─► end of the log?
//!                                  ├─ yes, or torn and never acknowledged ─► show what stands before
//!                                  ├─ only its copy is whole ─► warn; show what stands before
//!                                  └─ looks damaged ─► wait, walk again ─┬─ moved: it was being written
//!                                                                        └─ did not: damage
//! ```

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Mutex, watch};
use uuid::Uuid;

use super::archive::Archive;
use super::disk::{Access, Disk, RealDisk};
use super::scan::{Damage, Met, Place, Segment, Stop, walk_unless};
use super::slot::Proofs;
use super::tail::begun_without_seal;
use super::twins::{Twin, Twins};
use super::verify::{Conclusion, End, SETTLE, conclude, judge};
use super::view::View;
use super::{DEFAULT_INDEX_CACHE_BYTES, LOG_DIR, OpenError, StoreInfo, info};
use crate::{
    AppendError, Appended, Direction, EventStore, Filter, Page, Position, ReadError, RecordedEvent,
    StreamAppend, StreamId,
};

/// How many bytes of the frames that came last stay in memory.
const RECENT_BYTES: usize = 4 << 20;

/// A log that is only read. It shows what was there when it was opened or last
/// [refreshed](Reader::refresh), up to the last whole frame. A log that lost what stood behind that is
/// refused; a write that never ended, or is just being written, is not.
pub struct Reader {
    looker: Arc<Looker>,
    store_id: Uuid,
    at: Mutex<At>,
    head: watch::Sender<Position>,
}

/// How far a reader has come.
#[derive(Clone)]
struct At {
    place: Place,
    /// What stands behind this place was looked at as a whole, and is no damage.
    judged: Option<(u64, u64)>,
    /// Of the frame at this place only the copy is whole, and that was told.
    told: Option<(u64, u64)>,
}

impl Reader {
    /// Opens the log in `log/` under the data directory. Sealed segments whose index is missing or
    /// damaged are read once, and indexed in memory: a reader writes nothing. Waits for the disk.
    pub fn open(data_dir: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_on(Arc::new(RealDisk::new(data_dir.as_ref().join(LOG_DIR))))
    }

    /// Opens the log in the directory that `disk` is.
    pub fn open_on(disk: Arc<dyn Disk>) -> Result<Self, OpenError> {
        Self::open_with(disk, SETTLE, Twins::default())
    }

    /// As [`Reader::open_on`]; `settle` is how long a running writer may take to finish a write that
    /// was met half way.
    pub(crate) fn open_with(
        disk: Arc<dyn Disk>,
        settle: Duration,
        twins: Twins,
    ) -> Result<Self, OpenError> {
        let archive =
            Archive::new(Arc::clone(&disk), DEFAULT_INDEX_CACHE_BYTES, false, Twins::default());
        let view = Arc::new(View::new(archive, RECENT_BYTES, true));
        let looker = Arc::new(Looker { disk, view, settle, twins });
        let mut at = At { place: Place::start(), judged: None, told: None };
        looker.look(&mut at, true)?;
        let store_id = at.place.store_id.ok_or(OpenError::NoLog)?;
        let head = watch::Sender::new(Position(looker.view.visible()));
        Ok(Self { looker, store_id, at: Mutex::new(at), head })
    }

    /// Looks for what was appended since; gives the new head. What is whole is shown also where damage
    /// is told behind it.
    pub async fn refresh(&self) -> Result<Position, OpenError> {
        let mut at = self.at.lock().await;
        let (looker, mut next) = (Arc::clone(&self.looker), at.clone());
        let looked = tokio::task::spawn_blocking(move || {
            let looked = looker.look(&mut next, false);
            (looked, next)
        });
        let (looked, next) = looked.await.map_err(std::io::Error::other)?;
        *at = next;
        let head = Position(self.looker.view.visible());
        self.head.send_if_modified(|told| std::mem::replace(told, head) != head);
        looked.map(|()| head)
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
        self.looker.view.locate(position.0)
    }

    /// What the store is and holds.
    pub fn info(&self) -> StoreInfo {
        info(self.store_id, &self.looker.view, &*self.looker.disk)
    }
}

/// What a reader looks with.
struct Looker {
    disk: Arc<dyn Disk>,
    view: Arc<View>,
    settle: Duration,
    twins: Twins,
}

impl Looker {
    /// Walks on, shows what is whole, and judges what is not. `thorough` looks at all that stands
    /// behind the end, as opening does; else only where something stands right there. Slots and mark
    /// are asked each time.
    fn look(&self, at: &mut At, thorough: bool) -> Result<(), OpenError> {
        let mut suspected: Option<(Option<(u64, u64)>, Damage)> = None;
        loop {
            let listed = match self.disk.list() {
                Ok(listed) => listed,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(OpenError::NoLog),
                Err(e) => return Err(e.into()),
            };
            // Before the walk: what is found here a walk meets, also beside a writer.
            let proofs = Proofs::read(&*self.disk)?;
            let walked = step(&*self.disk, &self.view, &mut at.place);
            if self.twins.on(Twin::ReaderEndNotJudged) {
                return walked.map(|_| ());
            }
            let here = place_of(&at.place);
            let thorough = thorough || suspected.is_some();
            let end = match walked {
                Ok(stop) => self.end(at, &stop, thorough)?,
                Err(OpenError::Damaged(damage)) => End::Damaged(damage),
                Err(other) => return Err(other),
            };
            let damage = match conclude(&*self.disk, end, &proofs, &listed, &at.place)? {
                Conclusion::Whole | Conclusion::Torn(_) => return Ok(()),
                Conclusion::Mirrored(segment, offset) => {
                    if at.told != here {
                        tracing::warn!(
                            segment,
                            offset,
                            "the end of the log is only whole in its copy, and not shown: opening the \
                             log writes it back"
                        );
                        at.told = here;
                    }
                    return Ok(());
                }
                Conclusion::Damaged(damage) => damage,
            };
            match suspected {
                // It has not moved since it was first found wrong, and is wrong still.
                Some((place, damage)) if place == here => return Err(damage.into()),
                Some(_) | None => suspected = Some((here, damage)),
            }
            std::thread::sleep(self.settle);
        }
    }

    /// What stands at the end of a walk. All of a segment is read for that only where it has to be: a
    /// follower asks many times a second.
    fn end(&self, at: &mut At, stop: &Stop, thorough: bool) -> Result<End, OpenError> {
        let here = place_of(&at.place);
        let known = here.is_some() && at.judged == here;
        let blank = !thorough && *stop == Stop::Open;
        if known || blank {
            let begun = begun_without_seal(&*self.disk, &at.place)?;
            return Ok(begun.map_or(End::Clean, End::Damaged));
        }
        let end = judge(&*self.disk, &at.place, stop)?;
        if matches!(end, End::Clean | End::Torn(_)) {
            at.judged = here;
        }
        Ok(end)
    }
}

/// Segment and offset.
fn place_of(place: &Place) -> Option<(u64, u64)> {
    place.segment.as_ref().map(|segment| (segment.header.number, place.offset))
}

/// Walks on and shows what is found, when it is durable.
fn step(disk: &dyn Disk, view: &View, place: &mut Place) -> Result<Stop, OpenError> {
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
    walked
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
        self.looker.view.read_stream(stream, from, direction, max).await
    }

    async fn read_all(
        &self,
        from: Position,
        filter: &Filter,
        max: usize,
    ) -> Result<Page, ReadError> {
        self.looker.view.read_all(from, filter, max).await
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
