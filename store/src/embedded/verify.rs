//! Walking every frame of a log and telling the first that is not what was written. Works beside a
//! running server, and on a copy.
//!
//! ```text
//!   sealed segments: in parallel, each alone (bulk) ──► put together in order (streams)
//!   the rest, and everything from where something does not fit: step by step, from there
//! ```

mod bulk;
mod streams;

use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::disk::{Access, Disk, RealDisk};
use super::format::segment_name;
use super::inspect::segment_numbers;
use super::restore::{Verdict, judge_mirror};
use super::scan::{Damage, Met, Place, Segment, Stop, check_names, walk};
use super::slot::{MirroredFrame, Proofs};
use super::tail::{Tail, begun_without_seal, judge_tail};
use super::twins::Twins;
use super::{LOG_DIR, OpenError};
use crate::Position;
pub(crate) use streams::NextVersions;

/// A writer takes microseconds to finish a write that was met half way.
pub(crate) const SETTLE: Duration = Duration::from_millis(20);

/// How far a verification has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifyProgress {
    /// Bytes of all segment files.
    pub bytes_total: u64,
    /// Bytes of them that were looked at.
    pub bytes_done: u64,
    /// Events that were looked at.
    pub events: u64,
}

/// What a verification has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// The store's id, if a segment has begun.
    pub store_id: Option<Uuid>,
    /// Segments that were walked.
    pub segments: u64,
    /// Frames, that is: group commits.
    pub frames: u64,
    /// Events.
    pub events: u64,
    /// Streams.
    pub streams: u64,
    /// Bytes of all frames.
    pub bytes: u64,
    /// Position of the last event that is whole.
    pub head: Position,
    /// A write that never ended stands behind the head (segment, offset): opening the log cuts it.
    pub torn: Option<(String, u64)>,
    /// The frame behind the head is torn, damaged or missing in its segment (segment, offset), but
    /// whole in the mirrored tail: opening the log writes it back.
    pub mirrored: Option<(String, u64)>,
    /// Indexes that do not say what their segment says, and why. No damage: an index is derived, is
    /// made anew where it is found wrong, and may be deleted.
    pub wrong_indexes: Vec<(String, String)>,
    /// The first thing that is not what was written. Nothing behind it was looked at.
    pub offence: Option<Damage>,
}

/// How a log is verified.
#[derive(Clone, Debug)]
pub struct VerifyOptions {
    /// How many segments are walked at the same time; 0 takes as many as the machine has threads.
    pub threads: usize,
    /// How long a running writer may take to finish a write that was met half way.
    pub settle: Duration,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        Self { threads: 0, settle: SETTLE }
    }
}

/// Verifies the log in `log/` under the data directory, with all threads. Waits for the disk.
pub fn verify(
    data_dir: impl AsRef<Path>,
    progress: &mut dyn FnMut(VerifyProgress),
) -> Result<VerifyReport, OpenError> {
    let disk = Arc::new(RealDisk::new(data_dir.as_ref().join(LOG_DIR)));
    verify_with(disk, &VerifyOptions::default(), progress)
}

/// Verifies the log in the directory that `disk` is, with one thread. `settle` is how long a running
/// writer may take to finish a write that was met half way.
pub fn verify_on(
    disk: Arc<dyn Disk>,
    settle: Duration,
    progress: &mut dyn FnMut(VerifyProgress),
) -> Result<VerifyReport, OpenError> {
    verify_with(disk, &VerifyOptions { threads: 1, settle }, progress)
}

/// Verifies the log in the directory that `disk` is.
pub fn verify_with(
    disk: Arc<dyn Disk>,
    options: &VerifyOptions,
    progress: &mut dyn FnMut(VerifyProgress),
) -> Result<VerifyReport, OpenError> {
    Ok(survey(&disk, options, progress)?.report)
}

/// A verification, and where it came to.
pub(crate) struct Survey {
    pub(crate) report: VerifyReport,
    /// Behind the last frame that is whole and at its place.
    pub(crate) place: Place,
    /// What streams go on with there.
    pub(crate) streams: NextVersions,
}

/// Walks the whole log: in parallel as far as all is well, from there on step by step.
pub(crate) fn survey(
    disk: &Arc<dyn Disk>,
    options: &VerifyOptions,
    progress: &mut dyn FnMut(VerifyProgress),
) -> Result<Survey, OpenError> {
    let listed = match disk.list() {
        Ok(listed) => listed,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(OpenError::NoLog),
        Err(e) => return Err(e.into()),
    };
    // Before the walk: a frame stands in its segment before it is mirrored, so what is found here a
    // walk meets, also beside a writer.
    let proofs = Proofs::read(&**disk)?;
    let bytes_total = total(&**disk, &listed)?;
    let mut streams = NextVersions::new();
    let mut place = Place::start();
    let last = segment_numbers(&listed).last().copied().unwrap_or(0);
    let threads = match options.threads {
        0 => std::thread::available_parallelism().map_or(1, NonZero::get),
        some => some,
    };
    let mut tell = |bytes: u64, events| {
        progress(VerifyProgress { bytes_total, bytes_done: bytes.min(bytes_total), events });
    };
    let threads = threads.min(usize::try_from(last).unwrap_or(usize::MAX));
    let counts = bulk::advance(disk, threads, last, &mut place, &mut streams, &mut tell)?;
    let mut report = VerifyReport {
        segments: counts.segments,
        frames: counts.frames,
        events: counts.events,
        bytes: counts.bytes,
        wrong_indexes: counts.wrong_indexes,
        ..VerifyReport::default()
    };
    let mut behind = bytes_total;
    let mut visit = |met: Met<'_>| {
        match met {
            Met::Segment(segment) => {
                report.segments += 1;
                behind = (segment.header.number - 1) * segment.header.segment_bytes;
            }
            Met::Frame(segment, offset, frame) => {
                streams.see(&frame).map_err(|what| segment.damage(offset, frame.first, what))?;
                report.frames += 1;
                report.events += frame.entries.len() as u64;
                report.bytes += frame.bytes.len() as u64;
                let bytes_done = (behind + offset).min(bytes_total);
                progress(VerifyProgress { bytes_total, bytes_done, events: report.events });
            }
        }
        Ok(())
    };
    let found = loop {
        let end = match walk(&**disk, Access::Read, &mut place, Twins::default(), &mut visit) {
            Ok(stop) => judge(&**disk, &place, &stop)?,
            Err(OpenError::Damaged(damage)) => break End::Damaged(damage),
            Err(other) => return Err(other),
        };
        if matches!(end, End::Clean) {
            break end;
        }
        // A writer beside us may be just about to finish this write.
        let before = place.offset;
        std::thread::sleep(options.settle);
        match walk(&**disk, Access::Read, &mut place, Twins::default(), &mut visit) {
            Ok(stop) if place.offset == before => break judge(&**disk, &place, &stop)?,
            Ok(_) => {}
            Err(OpenError::Damaged(damage)) => break End::Damaged(damage),
            Err(other) => return Err(other),
        }
    };
    let mut head = place.chain.next - 1;
    match conclude(&**disk, found, &proofs, &listed, &place)? {
        Conclusion::Whole => {}
        Conclusion::Torn(segment) => report.torn = Some((segment, place.offset)),
        Conclusion::Mirrored(segment, offset) => report.mirrored = Some((segment, offset)),
        Conclusion::Damaged(damage) => {
            // A frame that is whole, but not what should stand there, is behind the head.
            head = head.min(damage.position.0 - 1);
            report.offence = Some(damage);
        }
    }
    if report.segments == 0 && report.offence.is_none() {
        return Err(OpenError::NoLog);
    }
    report.store_id = place.store_id;
    report.streams = streams.len();
    report.head = Position(head);
    place.chain.next = head + 1;
    progress(VerifyProgress { bytes_total, bytes_done: bytes_total, events: report.events });
    Ok(Survey { report, place, streams })
}

/// What stands where a walk has ended.
pub(crate) enum End {
    Clean,
    Torn(String),
    Damaged(Damage),
}

impl End {
    /// Whether what was found stands at `place`, not somewhere before it.
    fn is_at(&self, place: &Place) -> bool {
        match self {
            Self::Clean | Self::Torn(_) => true,
            Self::Damaged(damage) => {
                let segment = place.segment.as_ref().map(Segment::name);
                (segment.as_ref(), place.offset) == (Some(&damage.segment), damage.offset)
            }
        }
    }
}

pub(crate) fn judge(disk: &dyn Disk, place: &Place, stop: &Stop) -> Result<End, OpenError> {
    let Some(segment) = &place.segment else {
        return Ok(End::Clean);
    };
    match stop {
        Stop::Unbegun | Stop::Missing => return Ok(End::Clean),
        Stop::Open | Stop::Broken(_) => {}
    }
    if let Some(damage) = begun_without_seal(disk, place)? {
        return Ok(End::Damaged(damage));
    }
    Ok(match judge_tail(segment, place.offset)? {
        Tail::Clean => End::Clean,
        Tail::Torn(_) => End::Torn(segment.name()),
        Tail::Damaged(what) => End::Damaged(segment.damage(place.offset, place.chain.next, what)),
    })
}

/// What a log is that was walked to its end.
pub(crate) enum Conclusion {
    Whole,
    /// A write that never ended stands behind the last whole frame, in this segment.
    Torn(String),
    /// Of the frame that comes next only its copy is whole (segment, offset).
    Mirrored(String, u64),
    Damaged(Damage),
}

/// Judges a whole log by what stands at its end, by slots and mark, and by its names. `proofs` and
/// `listed` were taken before the walk.
pub(crate) fn conclude(
    disk: &dyn Disk,
    end: End,
    proofs: &Proofs,
    listed: &[String],
    place: &Place,
) -> std::io::Result<Conclusion> {
    Ok(match (end, judge_mirror(disk, proofs, place)?) {
        (end, Verdict::Restores(MirroredFrame { header, .. })) if end.is_at(place) => {
            Conclusion::Mirrored(segment_name(header.segment), header.offset)
        }
        (End::Clean | End::Torn(_), Verdict::Refuses(damage)) => Conclusion::Damaged(damage),
        (End::Clean, _) => match check_names(listed, place) {
            Ok(()) => Conclusion::Whole,
            Err(damage) => Conclusion::Damaged(damage),
        },
        (End::Torn(segment), _) => Conclusion::Torn(segment),
        (End::Damaged(damage), _) => Conclusion::Damaged(damage),
    })
}

fn total(disk: &dyn Disk, listed: &[String]) -> std::io::Result<u64> {
    let mut total = 0;
    for name in listed.iter().filter(|name| super::format::segment_number(name).is_some()) {
        total += disk.open(name, Access::Read)?.len_bytes()?;
    }
    Ok(total)
}
