//! Opening the log to write: find its end (sealed segments are taken at the word of their index,
//! which their own header and seal confirm), give back what the mirror has of it, cut what was torn,
//! refuse what is damaged, make durable what is found, and only then serve. Running it again, or
//! crashing in the middle of it, changes nothing.

use std::sync::Arc;

use super::archive::Archive;
use super::disk::{Access, Disk, DiskLock, read_up_to};
use super::format::{
    FORMAT_VERSION, FRAME_HEADER_LEN, FrameHeader, HEADER_LEN, SegmentHeader, check_trailer,
    segment_number,
};
use super::index;
use super::indexer::Indexer;
use super::log::{Log, WriteError, adopt_prepared};
use super::marker::Marker;
use super::mirror::Mirror;
use super::prepare::{Preparer, UNFINISHED};
use super::restore::{Restored, agree, proofs, restore, settle, to_restore};
use super::scan::{Met, Place, Segment, Stop, check_names, walk_unless};
use super::slot::{Proofs, SlotHeader};
use super::tail::{Tail, begun_without_seal, judge_tail};
use super::twins::{Twin, Twins};
use super::view::View;
use super::{OpenError, OpenProgress, Options, Progress};
use crate::Position;

/// What was found when the log was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// How many events are there.
    pub events: u64,
    /// Of how many sealed segments the index was missing, stale or damaged, and was made anew.
    pub indexes_made: u64,
    /// The write that was cut off, if there was one.
    pub torn: Option<Torn>,
    /// What was written back from the mirrored tail, if something was.
    pub restored: Option<Restored>,
}

/// A write that the last run did not finish. Nobody was answered for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// File name of the segment.
    pub segment: String,
    /// Where it began.
    pub offset: u64,
    /// The position that its first event would have had.
    pub position: Position,
    /// How many bytes were cut.
    pub bytes: u64,
    /// The file beside the segment that they are kept in.
    pub kept_in: String,
}

/// The log, open to write.
pub(crate) struct Opened {
    pub(crate) log: Log,
    pub(crate) view: Arc<View>,
    pub(crate) indexer: Indexer,
    pub(crate) lock: DiskLock,
    pub(crate) recovery: Recovery,
}

pub(crate) fn recover(disk: &Arc<dyn Disk>, options: &Options) -> Result<Opened, OpenError> {
    let twins = options.lab.twins;
    disk.make_dir()?;
    let lock = disk.lock()?.ok_or(OpenError::InUse)?;
    let listed = disk.list()?;
    let unfinished = |name: &str| name.ends_with(UNFINISHED) || name.ends_with(index::UNFINISHED);
    for name in listed.iter().filter(|name| unfinished(name)) {
        disk.remove(name)?;
    }

    let archive = Archive::new(Arc::clone(disk), options.index_cache_bytes, true, twins);
    let view = Arc::new(View::new(archive, options.cache_bytes, options.prepare_in_background));
    let proofs = proofs(&**disk, twins)?;
    let mut restored = None;
    let mut place = Place::start();
    let mut told = Told::new(options.progress.clone(), &listed);
    let stop = loop {
        let walked = walk_unless(
            &**disk,
            Access::ReadWrite,
            &mut place,
            twins,
            &mut |segment| {
                let end = view.add_sealed(segment)?;
                told.segment(&view);
                Ok(end)
            },
            &mut |met| match met {
                Met::Segment(segment) => {
                    view.add_segment(segment.clone());
                    Ok(())
                }
                Met::Frame(segment, offset, frame) => {
                    let first = frame.first;
                    view.add(offset, &Arc::new(frame), false)
                        .map_err(|what| segment.damage(offset, first, what))
                }
            },
        );
        match to_restore(&walked, &proofs, &place, restored.as_ref()) {
            Some(mirrored) => restore(&**disk, &place, mirrored, &mut restored)?,
            None => break walked?,
        }
    };
    check_names(&listed, &place)?;
    told.end();
    agree(&**disk, &proofs, &place)?;

    let torn = match (&stop, place.segment.clone()) {
        (Stop::Open | Stop::Broken(_), Some(segment)) => {
            if let Some(damage) = begun_without_seal(&**disk, &place)? {
                return Err(damage.into());
            }
            cut_tail(&**disk, &segment, &place, &stop, twins)?
        }
        (Stop::Unbegun | Stop::Missing, _) | (Stop::Open | Stop::Broken(_), None) => None,
    };
    let (mut mirror, mut marker) = (Mirror::new(&proofs.slots, twins), Marker::new(disk));
    if !twins.on(Twin::RecoveryWithoutSync) {
        let last = make_durable(&**disk, &place, &mut mirror, &proofs, twins)?;
        last.iter().for_each(|last| marker.set(last));
    }

    let mut preparer = Preparer::new(
        Arc::clone(disk),
        options.segment_bytes(),
        options.prepare_in_background,
        twins,
    );
    if let Some(file) = adopt_prepared(&**disk, place.next_number(), options.segment_bytes())? {
        preparer.adopt(file);
    }
    // A segment of an older version is sealed as it is: what comes is written as today's.
    let today = place.segment.as_ref().is_some_and(|s| s.header.version == FORMAT_VERSION);
    let begun = today && !place.sealed;
    let (clock, entropy) = (options.clock.clone(), options.entropy.clone());
    let mut log = Log::new(place, preparer, mirror, marker, clock, entropy, twins);
    if begun {
        log.preparer.start(log.place.next_number());
    } else {
        let segment = log.roll().map_err(WriteError::into_io)?;
        view.add_segment(segment);
    }
    let (events, indexes_made) = (view.visible(), view.indexes_made());
    let recovery = Recovery { events, indexes_made, torn, restored };
    tracing::info!(
        events = recovery.events,
        segments = view.segments().0,
        indexes_made = recovery.indexes_made,
        "the log is open"
    );
    let indexer = Indexer::new(Arc::clone(&view), options.prepare_in_background);
    indexer.wake();
    Ok(Opened { log, view, indexer, lock, recovery })
}

/// Tells how far opening has come.
struct Told {
    progress: Option<Progress>,
    now: OpenProgress,
}

impl Told {
    fn new(progress: Option<Progress>, listed: &[String]) -> Self {
        let segments = listed.iter().filter(|name| segment_number(name).is_some()).count();
        let segments_total = segments as u64;
        let now = OpenProgress { segments_total, segments_done: 0, indexes_made: 0 };
        Self { progress, now }
    }

    /// One that is prepared and has not begun is not walked.
    fn end(&mut self) {
        if let Some(progress) = &self.progress {
            self.now.segments_done = self.now.segments_total;
            progress.tell(self.now);
        }
    }

    fn segment(&mut self, view: &View) {
        if let Some(progress) = &self.progress {
            self.now.segments_done += 1;
            self.now.indexes_made = view.indexes_made();
            progress.tell(self.now);
        }
    }
}

/// Cuts what a crash has left behind the last whole frame; refuses what no crash leaves.
fn cut_tail(
    disk: &dyn Disk,
    segment: &Segment,
    place: &Place,
    stop: &Stop,
    twins: Twins,
) -> Result<Option<Torn>, OpenError> {
    let from = place.offset;
    let end = match judge_tail(segment, from)? {
        Tail::Clean => return Ok(None),
        Tail::Torn(end) => end,
        Tail::Damaged(_) if twins.on(Twin::DamageTakenForTail) => segment.header.frames_end(),
        Tail::Damaged(what) => {
            let found = match stop {
                Stop::Broken(found) => format!("{found}: {what}"),
                Stop::Open | Stop::Unbegun | Stop::Missing => what,
            };
            return Err(segment.damage(from, place.chain.next, found).into());
        }
    };
    let bytes = read_up_to(&*segment.file, from, (end - from) as usize)?;
    let kept_in = keep_aside(disk, &format!("{}.torn", segment.name()), &bytes)?;
    if !twins.on(Twin::TailNotCut) {
        segment.file.write_at(&vec![0; bytes.len()], from)?;
        segment.file.sync_data()?;
    }
    let torn = Torn {
        segment: segment.name(),
        offset: from,
        position: Position(place.chain.next),
        bytes: bytes.len() as u64,
        kept_in,
    };
    tracing::warn!(
        segment = torn.segment,
        offset = torn.offset,
        position = torn.position.0,
        bytes = torn.bytes,
        kept_in = torn.kept_in,
        "cut off a write that the last run did not finish; nobody was answered for it"
    );
    Ok(Some(torn))
}

/// Keeps bytes in a file of this name, or a numbered name beside it when that is taken.
pub(super) fn keep_aside(disk: &dyn Disk, plain: &str, bytes: &[u8]) -> std::io::Result<String> {
    let numbered = (2..).map(|n| format!("{plain}-{n}"));
    for name in std::iter::once(plain.to_owned()).chain(numbered) {
        match disk.create(&name) {
            Ok(file) => {
                file.write_at(bytes, 0)?;
                file.sync_data()?;
                disk.sync_dir()?;
                return Ok(name);
            }
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                // A recovery that was itself cut short has kept the same bytes.
                let file = disk.open(&name, Access::Read)?;
                if file.len_bytes()? == bytes.len() as u64
                    && read_up_to(&*file, 0, bytes.len())? == bytes
                {
                    file.sync_data()?;
                    disk.sync_dir()?;
                    return Ok(name);
                }
            }
            Err(e) => return Err(e),
        }
    }
    unreachable!("numbers do not end")
}

/// Makes the end of the log durable. The last run may have been killed between a write and its
/// sync; or its sync failed, and the cache holds as clean what the disk never got: so the last
/// thing that was written is written again, with its copy, and then synced. Gives the last frame's
/// place.
fn make_durable(
    disk: &dyn Disk,
    place: &Place,
    mirror: &mut Mirror,
    proofs: &Proofs,
    twins: Twins,
) -> Result<Option<SlotHeader>, OpenError> {
    let mut last = None;
    if let Some(segment) = &place.segment {
        let (at, len) = match place.last_frame {
            Some(at) => {
                let head = read_up_to(&*segment.file, at, FRAME_HEADER_LEN)?;
                (
                    at,
                    FrameHeader::decode(segment.header.seed(), &head).map(|head| head.len as usize),
                )
            }
            None => (0, Ok(HEADER_LEN)),
        };
        let reread = |what| segment.damage(at, place.chain.next, what);
        let len = len.map_err(reread)?;
        let bytes = read_up_to(&*segment.file, at, len)?;
        // What is read a second time may come back with a wrong bit, and must not be written so.
        let found = match place.last_frame {
            _ if bytes.len() < len => None,
            Some(_) => check_trailer(segment.header.seed(), &bytes).ok(),
            None => SegmentHeader::decode(&bytes).ok().map(|header| header.hash),
        };
        if found != Some(place.chain.hash) && !twins.on(Twin::RewrittenUnchecked) {
            return Err(reread("it reads differently the second time").into());
        }
        segment.file.write_at(&bytes, at)?;
        // Durable before its copy is touched: one of the two is whole at all times.
        segment.file.sync_data()?;
        last = settle(mirror, place, &bytes, &proofs.slots)?;
        segment.file.sync_data()?;
    }
    disk.sync_dir()?;
    Ok(last)
}
