//! Opening the log to write: find its end, give back what the mirror has of it, cut what was torn,
//! refuse what is damaged, make durable what is found, and only then serve. Running it again, or crashing in the middle of it, changes
//! nothing.

use std::sync::Arc;

use super::disk::{Access, Disk, DiskLock, read_up_to};
use super::format::{FRAME_HEADER_LEN, HEADER_LEN, u32_at};
use super::frame::Frame;
use super::log::{Log, WriteError, adopt_prepared};
use super::mirror::{Mirror, MirrorOptions};
use super::prepare::{Preparer, UNFINISHED};
use super::restore::{Restored, Verdict, judge_mirror, next_frame};
use super::scan::{Met, Place, Segment, Stop, check_names, walk};
use super::slot::{MirroredFrame, Slot, read_slots};
use super::tail::{Tail, begun_without_seal, judge_tail};
use super::twins::{Twin, Twins};
use super::view::View;
use super::{OpenError, Options};
use crate::Position;

/// What was found when the log was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// How many events are there.
    pub events: u64,
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
    pub(crate) lock: DiskLock,
    pub(crate) recovery: Recovery,
}

pub(crate) fn recover(disk: &Arc<dyn Disk>, options: &Options) -> Result<Opened, OpenError> {
    let twins = options.lab.twins;
    disk.make_dir()?;
    let lock = disk.lock()?.ok_or(OpenError::InUse)?;
    let listed = disk.list()?;
    for unfinished in listed.iter().filter(|name| name.ends_with(UNFINISHED)) {
        disk.remove(unfinished)?;
    }

    let view = Arc::new(View::new(options.cache_bytes));
    let slots = slots(&**disk, twins)?;
    let mut restored = None;
    let mut place = Place::start();
    let stop = loop {
        let walked = walk(&**disk, Access::ReadWrite, &mut place, twins, &mut |met| match met {
            Met::Segment(segment) => {
                view.add_segment(segment.clone());
                Ok(())
            }
            Met::Frame(segment, offset, frame) => {
                let first = frame.first;
                view.add(offset, &Arc::new(frame), false)
                    .map_err(|what| segment.damage(offset, first, what))
            }
        });
        match to_restore(&walked, &slots, &place, restored.as_ref()) {
            Some(mirrored) => restore(&**disk, &place, mirrored, &mut restored)?,
            None => break walked?,
        }
    };
    check_names(&listed, &place)?;
    match judge_mirror(&**disk, &slots, &place)? {
        Verdict::Agrees => {}
        Verdict::Refuses(damage) => return Err(damage.into()),
        Verdict::Restores(mirrored) => {
            let (offset, position) = (mirrored.header.offset, mirrored.frame.first);
            let what = "the frame was written back, and still is not there";
            let segment = place.segment.as_ref().expect("a frame stands in a segment");
            return Err(segment.damage(offset, position, what).into());
        }
    }

    let torn = match (&stop, place.segment.clone()) {
        (Stop::Open | Stop::Broken(_), Some(segment)) => {
            if let Some(damage) = begun_without_seal(&**disk, &place)? {
                return Err(damage.into());
            }
            cut_tail(&**disk, &segment, &place, &stop, twins)?
        }
        (Stop::Unbegun | Stop::Missing, _) | (Stop::Open | Stop::Broken(_), None) => None,
    };
    let durable = !twins.on(Twin::RecoveryWithoutSync);
    if durable {
        make_durable(&**disk, &place)?;
    }
    let mut mirror = Mirror::open(&**disk, mirror_options(options), &slots)?;
    if durable {
        settle_mirror(&mut mirror, &place, &slots)?;
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
    let begun = place.segment.is_some() && !place.sealed;
    let (clock, entropy) = (options.clock.clone(), options.entropy.clone());
    let mut log = Log::new(place, preparer, mirror, clock, entropy, twins);
    if begun {
        log.preparer.start(log.place.next_number());
    } else {
        let segment = log.roll().map_err(not_opened)?;
        view.add_segment(segment);
    }
    let recovery = Recovery { events: view.visible(), torn, restored };
    tracing::info!(events = recovery.events, segments = view.segments().0, "the log is open");
    Ok(Opened { log, view, lock, recovery })
}

fn not_opened(error: WriteError) -> std::io::Error {
    match error {
        WriteError::Full => std::io::ErrorKind::StorageFull.into(),
        WriteError::Failed(why) => std::io::Error::other(why),
    }
}

fn mirror_options(options: &Options) -> MirrorOptions {
    MirrorOptions {
        segment_bytes: options.segment_bytes(),
        in_background: options.prepare_in_background,
        order: options.lab.mirror_order,
        twins: options.lab.twins,
    }
}

fn slots(disk: &dyn Disk, twins: Twins) -> Result<[Slot; 2], OpenError> {
    if twins.on(Twin::AckedTailTakenForTorn) || twins.on(Twin::DamageTakenForTail) {
        return Ok([Slot::Broken, Slot::Broken]);
    }
    read_slots(disk)
}

/// The mirrored frame that stands where the walk has ended, if it is what is missing there. Two
/// frames are mirrored; no more are written back.
fn to_restore<'a>(
    walked: &Result<Stop, OpenError>,
    slots: &'a [Slot; 2],
    place: &Place,
    restored: Option<&Restored>,
) -> Option<&'a MirroredFrame> {
    let here = match (walked, &place.segment) {
        (Ok(_), _) => true,
        (Err(OpenError::Damaged(damage)), Some(segment)) => {
            (&damage.segment, damage.offset) == (&segment.name(), place.offset)
        }
        (Err(_), _) => false,
    };
    let mirrored = next_frame(slots, place).filter(|_| here)?;
    let again = restored.is_some_and(|r| r.position.0 + r.events > mirrored.frame.first);
    (!again).then_some(mirrored)
}

/// Writes a frame back to its segment. What stands behind it stays: that is judged when the walk has
/// come so far.
fn restore(
    disk: &dyn Disk,
    place: &Place,
    mirrored: &MirroredFrame,
    restored: &mut Option<Restored>,
) -> Result<(), OpenError> {
    let segment = place.segment.as_ref().expect("a frame stands in a segment");
    let (offset, frame) = (mirrored.header.offset, &mirrored.frame);
    let stood = read_up_to(&*segment.file, offset, frame.bytes.len())?;
    let kept_in = if stood.iter().any(|b| *b != 0) {
        Some(keep_aside(disk, &format!("{}.replaced", segment.name()), &stood)?)
    } else {
        None
    };
    segment.file.write_at(&frame.bytes, offset)?;
    segment.file.sync_data()?;
    tracing::warn!(
        segment = segment.name(),
        offset,
        position = frame.first,
        events = frame.entries.len(),
        kept_in,
        "the last frame was torn or damaged in its segment; it was written back from the mirror"
    );
    let restored = restored.get_or_insert_with(|| Restored {
        segment: segment.name(),
        offset,
        position: Position(frame.first),
        events: 0,
        kept_in: Vec::new(),
    });
    restored.events += frame.entries.len() as u64;
    restored.kept_in.extend(kept_in);
    Ok(())
}

/// Makes the mirror's copy of the last frame durable. Where the segment has none yet there is nothing
/// to copy: the frames before are proven by what stands behind them.
fn settle_mirror(mirror: &mut Mirror, place: &Place, slots: &[Slot; 2]) -> Result<(), OpenError> {
    let (Some(segment), Some(at), false) = (&place.segment, place.last_frame, place.sealed) else {
        return Ok(());
    };
    let bytes = last_written(segment, Some(at))?.1;
    let frame = Frame::decode(segment.header.hash, bytes.into())
        .map_err(|what| segment.damage(at, place.chain.next, what))?;
    let newest = slots.iter().filter_map(Slot::whole).map(|m| m.frame.last()).max();
    match newest {
        Some(last) if last + 1 < frame.first => tracing::warn!(
            last,
            position = frame.first,
            "the mirrored tail is older than the log: it was put back or has lost writes"
        ),
        None if frame.first > 1 => {
            tracing::warn!("the log had no mirrored tail: nothing could be told of its last frame");
        }
        Some(_) | None => {}
    }
    mirror.settle(&place.mirrored(at, &frame), &frame.bytes, slots).map_err(not_opened)?;
    Ok(())
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
        Tail::Damaged(_) if twins.on(Twin::DamageTakenForTail) => segment.header.segment_bytes,
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
fn keep_aside(disk: &dyn Disk, plain: &str, bytes: &[u8]) -> std::io::Result<String> {
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
/// thing that was written is written again, and then synced.
fn make_durable(disk: &dyn Disk, place: &Place) -> std::io::Result<()> {
    if let Some(segment) = &place.segment {
        let (at, bytes) = last_written(segment, place.last_frame)?;
        segment.file.write_at(&bytes, at)?;
        segment.file.sync_data()?;
    }
    disk.sync_dir()
}

/// The last thing that was written to a segment, and where: its last frame, or its header page.
fn last_written(segment: &Segment, last_frame: Option<u64>) -> std::io::Result<(u64, Vec<u8>)> {
    let (at, len) = match last_frame {
        Some(at) => {
            let head = read_up_to(&*segment.file, at, FRAME_HEADER_LEN)?;
            (at, u32_at(&head, 8) as usize)
        }
        None => (0, HEADER_LEN),
    };
    Ok((at, read_up_to(&*segment.file, at, len)?))
}
