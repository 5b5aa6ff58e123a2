//! Walking every frame of a log and telling the first that is not what was written. Works beside a
//! running server, and on a copy.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::disk::{Access, Disk, RealDisk};
use super::frame::Frame;
use super::scan::{Damage, Met, Place, Stop, check_names, walk};
use super::tail::{Tail, begun_without_seal, judge_tail};
use super::twins::Twins;
use super::{LOG_DIR, OpenError};
use crate::{Position, StreamId};

/// A writer takes microseconds to finish a write that was met half way.
const SETTLE: Duration = Duration::from_millis(20);

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
    /// The first thing that is not what was written. Nothing behind it was looked at.
    pub offence: Option<Damage>,
}

/// Verifies the log in `log/` under the data directory. Waits for the disk.
pub fn verify(
    data_dir: impl AsRef<Path>,
    progress: &mut dyn FnMut(VerifyProgress),
) -> Result<VerifyReport, OpenError> {
    verify_on(Arc::new(RealDisk::new(data_dir.as_ref().join(LOG_DIR))), SETTLE, progress)
}

/// Verifies the log in the directory that `disk` is. `settle` is how long a running writer may take
/// to finish a write that was met half way.
pub fn verify_on(
    disk: Arc<dyn Disk>,
    settle: Duration,
    progress: &mut dyn FnMut(VerifyProgress),
) -> Result<VerifyReport, OpenError> {
    let listed = match disk.list() {
        Ok(listed) => listed,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(OpenError::NoLog),
        Err(e) => return Err(e.into()),
    };
    let bytes_total = total(&*disk, &listed)?;
    let mut report = VerifyReport::default();
    let mut streams = HashMap::new();
    let mut place = Place::start();
    let mut behind = 0;
    let mut visit = |met: Met<'_>| {
        match met {
            Met::Segment(segment) => {
                report.segments += 1;
                behind = (segment.header.number - 1) * segment.header.segment_bytes;
            }
            Met::Frame(segment, offset, frame) => {
                check_versions(&mut streams, &frame)
                    .map_err(|what| segment.damage(offset, frame.first, what))?;
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
        let end = match walk(&*disk, Access::Read, &mut place, Twins::default(), &mut visit) {
            Ok(stop) => judge(&*disk, &place, &stop)?,
            Err(OpenError::Damaged(damage)) => break End::Damaged(damage),
            Err(other) => return Err(other),
        };
        if matches!(end, End::Clean) {
            break end;
        }
        // A writer beside us may be just about to finish this write.
        let before = place.offset;
        std::thread::sleep(settle);
        match walk(&*disk, Access::Read, &mut place, Twins::default(), &mut visit) {
            Ok(stop) if place.offset == before => break judge(&*disk, &place, &stop)?,
            Ok(_) => {}
            Err(OpenError::Damaged(damage)) => break End::Damaged(damage),
            Err(other) => return Err(other),
        }
    };
    match found {
        End::Clean => report.offence = check_names(&listed, &place).err(),
        End::Torn(segment) => report.torn = Some((segment, place.offset)),
        End::Damaged(damage) => report.offence = Some(damage),
    }
    if report.segments == 0 && report.offence.is_none() {
        return Err(OpenError::NoLog);
    }
    report.store_id = place.store_id;
    report.streams = streams.len() as u64;
    report.head = Position(place.chain.next - 1);
    progress(VerifyProgress { bytes_total, bytes_done: bytes_total, events: report.events });
    Ok(report)
}

enum End {
    Clean,
    Torn(String),
    Damaged(Damage),
}

fn judge(disk: &dyn Disk, place: &Place, stop: &Stop) -> Result<End, OpenError> {
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

fn check_versions(streams: &mut HashMap<StreamId, u64>, frame: &Frame) -> Result<(), &'static str> {
    for entry in &frame.entries {
        let next = match streams.get_mut(&entry.stream) {
            Some(next) => next,
            None => streams.entry(entry.stream.clone()).or_default(),
        };
        if *next != entry.version {
            return Err("a stream does not go on at its next version");
        }
        *next += 1;
    }
    Ok(())
}

fn total(disk: &dyn Disk, listed: &[String]) -> std::io::Result<u64> {
    let mut total = 0;
    for name in listed.iter().filter(|name| super::format::segment_number(name).is_some()) {
        total += disk.open(name, Access::Read)?.len_bytes()?;
    }
    Ok(total)
}
