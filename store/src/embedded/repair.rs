//! What to do when a log is damaged and there is no better copy: cut it where the damage begins, so
//! that what stands before opens again. Nothing is ever deleted: all that is cut off is kept aside.
//!
//! ```text
//!   before:  1 ══════ 2 ══════ 3 ══╳═══ 4 ══════ 5 ═══          ╳ damage, at an offset of segment 3
//!   after:   1 ══════ 2 ══════ 3 ══00000                        opens, with a consistent prefix
//!            cut-1/            3 ══╳═══ 4 ══════ 5 ═══  cut.json
//! ```
//!
//! Each step is durable before the next, and until the last one is done the log refuses to open as
//! it did before. So a crash in between leaves a log that is still damaged, and the repair is asked
//! for again; it goes on where it was.

mod cut;
mod lost;

use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use super::disk::{Access, Disk, RealDisk, read_up_to};
use super::format::{BadHeader, HEADER_LEN, segment_name};
use super::inspect::{open_segment, segment_numbers};
use super::scan::{Damage, Met, Place, is_zero, walk_segment};
use super::twins::Twins;
use super::verify::{Survey, VerifyOptions, VerifyProgress, VerifyReport, survey};
use super::{LOG_DIR, OpenError};
use crate::Position;

pub use lost::{Lost, LostStream};

/// The files of the mirrored tail.
const MIRROR: [&str; 2] = ["tail-0", "tail-1"];
/// What the names of segments' indexes end in.
const INDEX: &str = ".idx";

/// What cutting a damaged log off would do, or has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutPlan {
    /// The store's id.
    pub store_id: Uuid,
    /// The first thing that is not what was written.
    pub damage: Damage,
    /// The last event that stays.
    pub head: Position,
    /// What goes, as far as it can still be read.
    pub lost: Lost,
    /// The segment that ends earlier afterwards, and where. At offset 0 all of it goes, and a blank
    /// one takes its place.
    pub cut: (String, u64),
    /// Whether that segment is written anew; otherwise nothing stands behind the offset.
    pub rewritten: bool,
    /// Files that are moved aside as they are: the segments behind, what is derived from them, and
    /// the mirrored tail, which would tell that frames are missing. The last is moved first.
    pub moved: Vec<String>,
    /// The directory beside the segments that they are kept in; it has a note, `cut.json`.
    pub directory: String,
    /// How many bytes of room it takes.
    pub needed_bytes: u64,
    segment_bytes: u64,
}

/// What came of a repair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repaired {
    /// The log is whole: nothing was to be done. A write that never ended is cut by opening it.
    Whole(VerifyReport),
    /// The log is damaged, and was left as it is.
    Left(CutPlan),
    /// The log was cut, and opens again.
    Cut(CutPlan),
}

/// Why nothing was repaired. The log is as it was, or as damaged as before: ask again.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// It cannot be looked at: in use, newer, not there, or the disk fails.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The damage is at the very front, and cutting would leave nothing, not even the store's name.
    #[error("nothing would be left: {0}. Restore the log from a backup")]
    NothingLeft(Damage),
    /// A file has not the length that its header says, but all its frames are there. Cutting would
    /// lose what stands behind it for nothing.
    #[error(
        "only the length of {segment} is wrong: it has {found} bytes and should have {should}; all \
         its frames are whole. Nothing need be cut: set its length (`truncate -s {should} {segment}`), \
         and verify again"
    )]
    OnlyLength {
        /// File name of the segment.
        segment: String,
        /// Its length in bytes.
        found: u64,
        /// What its header says.
        should: u64,
    },
    /// The copy of the damaged segment does not fit beside it.
    #[error("{needed} bytes are needed to keep the damaged segment aside, {free} are free")]
    NoRoom {
        /// What is needed.
        needed: u64,
        /// What is there.
        free: u64,
    },
}

impl From<std::io::Error> for RepairError {
    fn from(error: std::io::Error) -> Self {
        Self::Open(error.into())
    }
}

/// Looks for damage in the log in `log/` under the data directory, with the lock held; asks `decide`
/// whether to cut it off, and does so if the answer is yes. Waits for the disk.
pub fn repair(
    data_dir: impl AsRef<Path>,
    progress: &mut dyn FnMut(VerifyProgress),
    decide: &mut dyn FnMut(&CutPlan) -> bool,
) -> Result<Repaired, RepairError> {
    let disk = Arc::new(RealDisk::new(data_dir.as_ref().join(LOG_DIR)));
    repair_on(disk, &VerifyOptions::default(), progress, decide)
}

/// Repairs the log in the directory that `disk` is; see [`repair`].
pub fn repair_on(
    disk: Arc<dyn Disk>,
    options: &VerifyOptions,
    progress: &mut dyn FnMut(VerifyProgress),
    decide: &mut dyn FnMut(&CutPlan) -> bool,
) -> Result<Repaired, RepairError> {
    repair_without(disk, options, Twins::default(), progress, decide)
}

pub(crate) fn repair_without(
    disk: Arc<dyn Disk>,
    options: &VerifyOptions,
    twins: Twins,
    progress: &mut dyn FnMut(VerifyProgress),
    decide: &mut dyn FnMut(&CutPlan) -> bool,
) -> Result<Repaired, RepairError> {
    let listed = match disk.list() {
        Ok(listed) => listed,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(OpenError::NoLog.into()),
        Err(e) => return Err(e.into()),
    };
    if segment_numbers(&listed).is_empty() {
        return Err(OpenError::NoLog.into());
    }
    let _lock = disk.lock()?.ok_or(OpenError::InUse)?;
    let listed = disk.list()?;
    let found = survey(&disk, options, progress)?;
    let Some(damage) = found.report.offence.clone() else {
        return Ok(Repaired::Whole(found.report));
    };
    let plan = plan(&*disk, &listed, found, damage)?;
    if !decide(&plan) {
        return Ok(Repaired::Left(plan));
    }
    let free = disk.free_bytes()?;
    if free < plan.needed_bytes {
        return Err(RepairError::NoRoom { needed: plan.needed_bytes, free });
    }
    cut::cut(&*disk, &plan, twins)?;
    Ok(Repaired::Cut(plan))
}

/// Where the log will end, and what that moves out of the way.
fn plan(
    disk: &dyn Disk,
    listed: &[String],
    found: Survey,
    damage: Damage,
) -> Result<CutPlan, RepairError> {
    let Some(store_id) = found.place.store_id else {
        return Err(RepairError::NothingLeft(damage));
    };
    let place = end_of_sound(disk, found)?;
    let segment = place.segment.as_ref().expect("a store's id stands in a segment");
    let (number, offset) = match place.sealed {
        true => (place.next_number(), 0),
        false => (segment.header.number, place.offset),
    };
    let segment_bytes = segment.header.segment_bytes;
    let (mut rewritten, mut file_bytes) = (true, 0);
    match disk.open(&segment_name(number), Access::Read) {
        Ok(file) => {
            file_bytes = file.len_bytes()?;
            // A blank one may have any length that is more than a header's.
            let fits = match offset {
                0 => file_bytes > HEADER_LEN as u64,
                _ => file_bytes == segment_bytes,
            };
            rewritten = !fits || !is_zero(&*file, offset)?;
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && offset == 0 => {}
        Err(e) => return Err(e.into()),
    }
    let mut moved = Vec::new();
    for other in segment_numbers(listed) {
        // Behind a segment that is not sealed a prepared one may stand, as ever.
        let prepared = offset > 0 && other == number + 1 && is_blank(disk, other)?;
        if other == 0 || (other > number && !prepared) {
            moved.push(segment_name(other));
        }
    }
    let lost = lost::behind(disk, number, offset, &moved, place.chain.next)?;
    moved.splice(0..0, beside(listed, number, &moved));
    Ok(CutPlan {
        store_id,
        head: Position(place.chain.next - 1),
        lost,
        cut: (segment_name(number), offset),
        rewritten,
        moved,
        directory: cut::directory(disk, listed)?,
        needed_bytes: if rewritten { segment_bytes + file_bytes } else { 0 },
        segment_bytes,
        damage,
    })
}

/// What stands beside the segments that are cut, and says what would no longer be so.
fn beside(listed: &[String], number: u64, moved: &[String]) -> Vec<String> {
    let gone = |name: &String| {
        let segment = name.strip_suffix(INDEX).map(|stem| format!("{stem}.seg"));
        segment.is_some_and(|it| it == segment_name(number) || moved.contains(&it))
    };
    let mut beside: Vec<_> =
        listed.iter().filter(|it| MIRROR.contains(&it.as_str()) || gone(it)).cloned().collect();
    beside.sort_unstable();
    beside
}

/// The end of what is sound. Where only the length of the next segment's file is wrong, the frames
/// that are still in it count.
fn end_of_sound(disk: &dyn Disk, found: Survey) -> Result<Place, RepairError> {
    let Survey { place, mut streams, .. } = found;
    if !place.sealed {
        return Ok(place);
    }
    let segment = match open_segment(disk, place.next_number(), Access::Read) {
        Ok(Ok(segment)) => segment,
        Ok(Err(BadHeader::Newer(found))) => {
            let segment = segment_name(place.next_number());
            return Err(OpenError::NewerFormat { segment, found }.into());
        }
        Ok(Err(BadHeader::Blank | BadHeader::Broken(_))) => return Ok(place),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(place),
        Err(e) => return Err(e.into()),
    };
    let header = &segment.header;
    let follows = header.number == place.next_number()
        && Some(header.store_id) == place.store_id
        && header.first_position == place.chain.next
        && header.previous_hash == place.chain.hash;
    if !follows {
        return Ok(place);
    }
    let (name, should, found) = (segment.name(), header.segment_bytes, segment.file.len_bytes()?);
    let mut further = Place::at(&segment);
    further.chain.recorded_at_micros = place.chain.recorded_at_micros;
    let mut head = place.chain.next - 1;
    let walked = walk_segment(&mut further, Twins::default(), &mut |met| {
        if let Met::Frame(segment, offset, frame) = met {
            streams.see(&frame).map_err(|what| segment.damage(offset, frame.first, what))?;
            head = frame.last();
        }
        Ok(())
    });
    match walked {
        Ok(_) | Err(OpenError::Damaged(_)) => {}
        Err(other) => return Err(other.into()),
    }
    if further.sealed {
        return Err(RepairError::OnlyLength { segment: name, found, should });
    }
    further.chain.next = head + 1;
    Ok(further)
}

fn is_blank(disk: &dyn Disk, number: u64) -> Result<bool, RepairError> {
    let file = disk.open(&segment_name(number), Access::Read)?;
    let page = read_up_to(&*file, 0, HEADER_LEN)?;
    Ok(page.len() == HEADER_LEN
        && file.len_bytes()? > HEADER_LEN as u64
        && page.iter().all(|b| *b == 0)
        && is_zero(&*file, HEADER_LEN as u64)?)
}
