//! What a log is made of, for people: segments, frames, events, bytes, times. Quick: of each sealed
//! segment only header page and seal are read, and the last one is walked. Works beside a running
//! server. It is no verification: [`super::verify`] looks at every byte.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use super::disk::{Access, Disk, RealDisk};
use super::files::Files;
use super::format::{BadHeader, HEADER_LEN, SEAL_LEN, segment_name};
use super::index::{Index, NotOurs};
use super::inspect::{find_seal, first_recorded, open_segment, segment_numbers};
use super::restore::stands;
use super::scan::{Met, Place, walk_segment};
use super::slot::{Proofs, Slot, SlotHeader};
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
    /// How many streams there are, by the indexes of the sealed segments; `None` where one has none.
    pub streams: Option<u64>,
    /// What slots and mark say of the last frames.
    pub tail: TailStat,
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
    /// The format version that it is written in.
    pub version: u32,
    /// Its index, when it is sealed.
    pub index: Option<IndexStat>,
}

/// The index of a sealed segment, by its header; `verify` looks at all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexStat {
    /// It is there, and of this segment.
    Good,
    /// There is none: it is made when the log is opened, or soon after the segment was sealed.
    Missing,
    /// It is not used, for this reason, and made anew when the log is opened.
    Rebuilt(&'static str),
}

/// What stands beside the last frames to prove them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TailStat {
    /// The two slots at the end of the last segment.
    pub slots: [CopyStat; 2],
    /// The mark of what was acknowledged.
    pub mark: CopyStat,
}

/// What a slot or the mark says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CopyStat {
    /// Nothing: it is blank, or not there.
    #[default]
    None,
    /// It is not whole.
    Broken,
    /// Its frame stands at its place in the segments.
    Agrees,
    /// Its frame belongs behind the last whole one: opening writes it back, or tells what was lost.
    Ahead,
    /// Another frame stands at its place.
    Differs,
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
    // Before the segments: what is said here stands there by then, also beside a writer.
    let proofs = Proofs::read(&**disk)?;
    let files = Files::new(Arc::clone(disk));
    stat.streams = Some(0);
    for number in segment_numbers(&listed) {
        segment(&files, number, counting, &mut counter, &mut stat)?;
    }
    if stat.segments.is_empty() {
        return Err(OpenError::NoLog);
    }
    stat.tail = tail(&**disk, &proofs, &stat)?;
    aside(&**disk, listed, &mut stat)?;
    stat.counted = (counting == Counting::Everything).then(|| counter.counted());
    Ok(stat)
}

/// Adds one segment: by its seal, or where it has none by walking it.
fn segment(
    files: &Files,
    number: u64,
    counting: Counting,
    counter: &mut Counter,
    stat: &mut LogStat,
) -> Result<(), OpenError> {
    let (disk, name) = (&**files.disk(), segment_name(number));
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
        version: header.version,
        index: None,
    };
    if let Some(seal) = &seal {
        one.events = seal.chain.next - header.first_position;
        one.frames = seal.frames;
        one.used_bytes = seal.seal_at + SEAL_LEN as u64;
        stat.last_recorded_micros = Some(seal.chain.recorded_at_micros);
        stat.head = Position(seal.chain.next - 1);
        // Nothing is read through it, so its name in the cache does not matter.
        let (index, new_streams) = match Index::open(files, &segment, 0, Twins::default())? {
            Ok((index, _)) => (IndexStat::Good, Some(u64::from(index.facts.new_streams))),
            Err(NotOurs::Missing) => (IndexStat::Missing, None),
            Err(NotOurs::Unusable(why)) => (IndexStat::Rebuilt(why), None),
        };
        one.index = Some(index);
        stat.streams = stat.streams.zip(new_streams).map(|(all, new)| all + new);
    }
    let mut new_streams = 0;
    if seal.is_none() || counting == Counting::Everything {
        let mut place = Place::at(&segment);
        walk_segment(&mut place, Twins::default(), &mut |met| {
            if let Met::Frame(_, _, frame) = &met {
                new_streams += frame.entries.iter().filter(|entry| entry.version == 0).count();
            }
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
    if seal.is_none() {
        stat.streams = stat.streams.map(|all| all + new_streams as u64);
    }
    stat.frames += one.frames;
    stat.used_bytes += one.used_bytes;
    stat.file_bytes += one.file_bytes;
    stat.segments.push(one);
    Ok(())
}

/// Compares slots and mark with the segments.
fn tail(disk: &dyn Disk, proofs: &Proofs, stat: &LogStat) -> Result<TailStat, OpenError> {
    // Segments are numbered from 1, and looked at in order.
    let end = (stat.segments.len() as u64, stat.segments.last().map_or(0, |one| one.used_bytes));
    let said = |proof: &SlotHeader| -> Result<CopyStat, OpenError> {
        Ok(if proof.store_id != stat.store_id {
            CopyStat::Differs
        } else if (proof.segment, proof.offset) >= end {
            CopyStat::Ahead
        } else if stands(disk, proof)? {
            CopyStat::Agrees
        } else {
            CopyStat::Differs
        })
    };
    let slot = |slot: &Slot| match slot {
        Slot::Blank => Ok(CopyStat::None),
        Slot::Broken => Ok(CopyStat::Broken),
        Slot::Mark(header) => said(header),
        Slot::Whole(mirrored) => said(&mirrored.header),
    };
    let [one, other] = &proofs.slots;
    Ok(TailStat { slots: [slot(one)?, slot(other)?], mark: slot(&proofs.mark)? })
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
