//! What a log is made of, for people: segments, frames, events, bytes, times. Quick: of each sealed
//! segment only header page and seal are read, and the last one is walked. Works beside a running
//! server. It is no verification: [`super::verify`] looks at every byte.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use super::disk::{Access, Disk, RealDisk};
use super::format::{BadHeader, HEADER_LEN, SEAL_LEN, segment_name};
use super::inspect::{find_seal, first_recorded, open_segment, segment_numbers};
use super::scan::{Met, Place, walk_segment};
use super::twins::Twins;
use super::{LOG_DIR, OpenError};
use crate::Position;

/// What is counted beside that which headers and seals say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Counting {
    /// Nothing: what takes reading everything is left out.
    #[default]
    Quick,
    /// Streams, and events by category and by stored name. Reads the whole log.
    Everything,
}

/// What a log is made of. All figures are exact; what was not counted is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogStat {
    /// The store's id.
    pub store_id: Uuid,
    /// Position of the last event: how many events there are.
    pub head: Position,
    /// Group commits, each one `fdatasync`.
    pub frames: u64,
    /// Bytes of header pages, frames and seals.
    pub used_bytes: u64,
    /// Bytes of all segment files, prepared ones too.
    pub file_bytes: u64,
    /// Bytes that still fit on the disk, where that is known.
    pub free_bytes: Option<u64>,
    /// When the first event was recorded: microseconds since 1970-01-01 UTC.
    pub first_recorded_micros: Option<i64>,
    /// When the last event was recorded: microseconds since 1970-01-01 UTC.
    pub last_recorded_micros: Option<i64>,
    /// The segments that have begun, in order.
    pub segments: Vec<SegmentStat>,
    /// Files of segments that are prepared and not begun.
    pub prepared: Vec<String>,
    /// Files that recovery has kept aside, with their length: writes that never ended.
    pub torn: Vec<(String, u64)>,
    /// What `repair --cut` has kept aside: directories in the log's.
    pub cut: Vec<String>,
    /// What was counted by reading everything.
    pub counted: Option<Counted>,
}

/// One segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentStat {
    /// Its file name.
    pub name: String,
    /// Position of its first event.
    pub first: Position,
    /// Events in it.
    pub events: u64,
    /// Frames in it, without the seal.
    pub frames: u64,
    /// Bytes of header page, frames and seal.
    pub used_bytes: u64,
    /// Length of the file in bytes.
    pub file_bytes: u64,
    /// Whether it is full, and ends in a seal.
    pub sealed: bool,
    /// When it was begun: microseconds since 1970-01-01 UTC.
    pub created_at_micros: i64,
}

/// What takes reading everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// How many streams there are.
    pub streams: u64,
    /// Events by category (what stands before the first `-` of a stream's name).
    pub by_category: BTreeMap<String, u64>,
    /// Events by stored name.
    pub by_kind: BTreeMap<String, u64>,
}

/// Looks at the log in `log/` under the data directory. Waits for the disk.
pub fn stat(data_dir: impl AsRef<Path>, counting: Counting) -> Result<LogStat, OpenError> {
    stat_on(&(Arc::new(RealDisk::new(data_dir.as_ref().join(LOG_DIR))) as Arc<dyn Disk>), counting)
}

/// Looks at the log in the directory that `disk` is.
pub fn stat_on(disk: &Arc<dyn Disk>, counting: Counting) -> Result<LogStat, OpenError> {
    let listed = match disk.list() {
        Ok(listed) => listed,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(OpenError::NoLog),
        Err(e) => return Err(e.into()),
    };
    let mut stat = LogStat { free_bytes: disk.free_bytes().ok(), ..LogStat::default() };
    let mut counter = Counter::default();
    for number in segment_numbers(&listed) {
        segment(&**disk, number, counting, &mut counter, &mut stat)?;
    }
    if stat.segments.is_empty() {
        return Err(OpenError::NoLog);
    }
    aside(&**disk, listed, &mut stat)?;
    stat.counted = (counting == Counting::Everything).then(|| counter.counted());
    Ok(stat)
}

/// Adds one segment: by its seal, or where it has none by walking it.
fn segment(
    disk: &dyn Disk,
    number: u64,
    counting: Counting,
    counter: &mut Counter,
    stat: &mut LogStat,
) -> Result<(), OpenError> {
    let name = segment_name(number);
    let segment = match open_segment(disk, number, Access::Read)? {
        Ok(segment) => segment,
        Err(BadHeader::Newer(found)) => {
            return Err(OpenError::NewerFormat { segment: name, found });
        }
        // Prepared, or beside a running server just being begun; damage is for `verify` to tell.
        Err(BadHeader::Blank | BadHeader::Broken(_)) => {
            stat.file_bytes += disk.open(&name, Access::Read)?.len_bytes()?;
            stat.prepared.push(name);
            return Ok(());
        }
    };
    let header = Arc::clone(&segment.header);
    if stat.segments.is_empty() {
        stat.store_id = header.store_id;
        stat.first_recorded_micros = first_recorded(&segment)?;
    }
    let seal = find_seal(&segment)?;
    let mut one = SegmentStat {
        name,
        first: Position(header.first_position),
        events: 0,
        frames: 0,
        used_bytes: HEADER_LEN as u64,
        file_bytes: segment.file.len_bytes()?,
        sealed: seal.is_some(),
        created_at_micros: header.created_at_micros,
    };
    if let Some(seal) = &seal {
        one.events = seal.chain.next - header.first_position;
        one.frames = seal.frames;
        one.used_bytes = seal.seal_at + SEAL_LEN as u64;
        stat.last_recorded_micros = Some(seal.chain.recorded_at_micros);
        stat.head = Position(seal.chain.next - 1);
    }
    if seal.is_none() || counting == Counting::Everything {
        let mut place = Place::at(&segment);
        walk_segment(&mut place, Twins::default(), &mut |met| {
            counter.see(met, counting);
            Ok(())
        })?;
        (one.events, one.frames) = (place.chain.next - header.first_position, place.frames);
        one.used_bytes = place.offset;
        if place.last_frame.is_some() {
            stat.last_recorded_micros = Some(place.chain.recorded_at_micros);
        }
        stat.head = Position(place.chain.next - 1);
    }
    stat.frames += one.frames;
    stat.used_bytes += one.used_bytes;
    stat.file_bytes += one.file_bytes;
    stat.segments.push(one);
    Ok(())
}

/// What stands beside the segments.
fn aside(disk: &dyn Disk, mut listed: Vec<String>, stat: &mut LogStat) -> Result<(), OpenError> {
    listed.sort_unstable();
    for name in listed {
        if name.contains(".seg.torn") {
            let len = disk.open(&name, Access::Read)?.len_bytes()?;
            stat.torn.push((name, len));
        } else if name.starts_with("cut-") {
            stat.cut.push(name);
        }
    }
    Ok(())
}

#[derive(Default)]
struct Counter {
    streams: HashSet<crate::StreamId>,
    by_category: BTreeMap<String, u64>,
    by_kind: BTreeMap<String, u64>,
}

impl Counter {
    fn see(&mut self, met: Met<'_>, counting: Counting) {
        let (Met::Frame(_, _, frame), Counting::Everything) = (met, counting) else { return };
        for entry in &frame.entries {
            if !self.streams.contains(&entry.stream) {
                self.streams.insert(entry.stream.clone());
            }
            add(&mut self.by_category, entry.stream.category());
            add(&mut self.by_kind, frame.kind(entry));
        }
    }

    fn counted(self) -> Counted {
        let Self { streams, by_category, by_kind } = self;
        Counted { streams: streams.len() as u64, by_category, by_kind }
    }
}

fn add(counts: &mut BTreeMap<String, u64>, name: &str) {
    match counts.get_mut(name) {
        Some(count) => *count += 1,
        None => {
            counts.insert(name.to_owned(), 1);
        }
    }
}
