//! Walking the log from front to back, believing nothing: every frame's checksum, its place in the
//! chain, its position. Recovery, the read-only reader and `verify` all walk here; they differ in
//! what they do where the walk ends.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::OpenError;
use super::disk::{Access, Disk, DiskFile, read_up_to};
use super::format::{
    BadHeader, FRAME_HEADER_LEN, FrameHeader, FrameKind, HEADER_LEN, SEAL_LEN, SegmentHeader,
    TRAILER_LEN, check_trailer, segment_name, segment_number, u32_at, u64_at,
};
use super::frame::Frame;
use super::slot::SlotHeader;
use super::twins::{Twin, Twins};
use crate::{Position, ReadError};

/// How much is read at once.
const CHUNK_BYTES: usize = 1 << 20;

/// Bytes that are not what was written: where, and what was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("segment {segment}, offset {offset}, position {position}: {what}")]
pub struct Damage {
    /// File name of the segment.
    pub segment: String,
    /// Byte offset in it.
    pub offset: u64,
    /// First global position that is affected.
    pub position: Position,
    /// What was found.
    pub what: String,
}

impl Damage {
    /// What a read has told, if that was damage.
    pub(crate) fn told_by(error: &ReadError) -> Option<Self> {
        match error.clone() {
            ReadError::Damaged { segment, offset, position, what } => {
                Some(Self { segment, offset, position, what })
            }
            ReadError::Io(_) | ReadError::Closed => None,
        }
    }
}

impl From<Damage> for ReadError {
    fn from(damage: Damage) -> Self {
        let Damage { segment, offset, position, what } = damage;
        Self::Damaged { segment, offset, position, what }
    }
}

/// A segment whose header is whole, with its file.
#[derive(Clone)]
pub(crate) struct Segment {
    pub(crate) header: Arc<SegmentHeader>,
    pub(crate) file: Arc<dyn DiskFile>,
}

impl Segment {
    pub(crate) fn name(&self) -> String {
        segment_name(self.header.number)
    }

    pub(crate) fn damage(&self, offset: u64, position: u64, what: impl Into<String>) -> Damage {
        let position = Position(position);
        Damage { segment: self.name(), offset, position, what: what.into() }
    }
}

/// Where in the chain we are: what the next frame must say of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    /// Position of the next event.
    pub(crate) next: u64,
    /// Checksum of the frame before, or of the header page.
    pub(crate) hash: u32,
    pub(crate) recorded_at_micros: i64,
}

impl Chain {
    fn check(&self, header: &FrameHeader, twins: Twins) -> Result<(), &'static str> {
        if twins.on(Twin::PositionNotChecked) {
            Ok(())
        } else if header.first_position != self.next {
            Err("the frame belongs to another position")
        } else if header.previous_hash != self.hash && !twins.on(Twin::NoPreviousHash) {
            Err("the frame does not follow the one before it")
        } else if header.recorded_at_micros < self.recorded_at_micros {
            Err("the frame was recorded before the one before it")
        } else {
            Ok(())
        }
    }
}

/// Where a walk stands, and can go on later.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) store_id: Option<Uuid>,
    /// The segment that is walked; `None` before the first has begun.
    pub(crate) segment: Option<Segment>,
    /// Where its next frame stands.
    pub(crate) offset: u64,
    /// Where its last frame stands, if it has one.
    pub(crate) last_frame: Option<u64>,
    pub(crate) sealed: bool,
    /// Frames so far, in the segment.
    pub(crate) frames: u64,
    pub(crate) chain: Chain,
}

impl Place {
    pub(crate) fn start() -> Self {
        Self {
            store_id: None,
            segment: None,
            offset: 0,
            last_frame: None,
            sealed: false,
            frames: 0,
            chain: Chain { next: 1, hash: 0, recorded_at_micros: i64::MIN },
        }
    }

    /// At the first frame of a segment whose header is whole, for a walk of it alone: the chain
    /// begins with what the header says of what stands before it.
    pub(crate) fn at(segment: &Segment) -> Self {
        let header = &segment.header;
        Self {
            store_id: Some(header.store_id),
            segment: Some(segment.clone()),
            offset: header.align(HEADER_LEN as u64),
            last_frame: None,
            sealed: false,
            frames: 0,
            chain: Chain {
                next: header.first_position,
                hash: header.hash,
                recorded_at_micros: i64::MIN,
            },
        }
    }

    /// Goes to the end of a segment whose seal is known.
    pub(crate) fn skip_to(&mut self, end: &SealedEnd) {
        let header = &self.segment.as_ref().expect("a segment is skipped when it has begun").header;
        self.offset = header.align(end.seal_at + SEAL_LEN as u64);
        self.last_frame = Some(end.seal_at);
        self.sealed = true;
        self.frames = end.frames;
        self.chain = end.chain.clone();
    }

    /// What the mirror says of a whole frame of this segment.
    pub(crate) fn mirrored(&self, offset: u64, frame: &[u8]) -> SlotHeader {
        let header = &self.segment.as_ref().expect("a frame stands in a segment").header;
        SlotHeader {
            store_id: header.store_id,
            segment: header.number,
            offset,
            frame_len: frame.len() as u32,
            seed: header.hash,
            frame_header_hash: u32_at(frame, FRAME_HEADER_LEN - 4),
            frame_hash: u32_at(frame, frame.len() - TRAILER_LEN),
        }
    }

    /// The number of the segment that comes when this one is sealed.
    pub(crate) fn next_number(&self) -> u64 {
        self.segment.as_ref().map_or(1, |s| s.header.number + 1)
    }
}

/// Why a walk ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Nothing begins here: the segment is unsealed, and the next frame will stand here.
    Open,
    /// Something stands here that is no whole frame.
    Broken(&'static str),
    /// The next segment is there, prepared, and its header is blank or not whole.
    Unbegun,
    /// The next segment is not there.
    Missing,
}

/// How a sealed segment ends, checked against its seal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SealedEnd {
    /// Where the seal stands.
    pub(crate) seal_at: u64,
    /// The checksum of its header, which names the last frame.
    pub(crate) header_hash: u32,
    /// Frames before it.
    pub(crate) frames: u64,
    /// What the next segment must say of itself; the hash is the seal's.
    pub(crate) chain: Chain,
}

/// Reads a segment's seal at the offset where it is said to stand; `None` when none stands there.
pub(crate) fn read_seal(segment: &Segment, seal_at: u64) -> io::Result<Option<SealedEnd>> {
    let seed = segment.header.seed();
    let bytes = read_up_to(&*segment.file, seal_at, SEAL_LEN)?;
    let Ok(header) = FrameHeader::decode(seed, &bytes) else {
        return Ok(None);
    };
    if header.kind != FrameKind::Seal || header.len as usize != SEAL_LEN || bytes.len() != SEAL_LEN
    {
        return Ok(None);
    }
    let Ok(hash) = check_trailer(seed, &bytes) else {
        return Ok(None);
    };
    let (next, first) = (header.first_position, segment.header.first_position);
    if next.checked_sub(first) != Some(u64_at(&bytes, FRAME_HEADER_LEN + 8)) {
        return Ok(None);
    }
    Ok(Some(SealedEnd {
        seal_at,
        header_hash: u32_at(&bytes, FRAME_HEADER_LEN - 4),
        frames: u64_at(&bytes, FRAME_HEADER_LEN),
        chain: Chain { next, hash, recorded_at_micros: header.recorded_at_micros },
    }))
}

/// What a walk meets.
pub(crate) enum Met<'a> {
    /// A segment begins.
    Segment(&'a Segment),
    /// A commit whose checksum and place are right, at this offset.
    Frame(&'a Segment, u64, Frame),
}

/// Walks on from `place` to the end of what is whole.
pub(crate) fn walk(
    disk: &dyn Disk,
    access: Access,
    place: &mut Place,
    twins: Twins,
    visit: &mut dyn FnMut(Met<'_>) -> Result<(), Damage>,
) -> Result<Stop, OpenError> {
    walk_unless(disk, access, place, twins, &mut |_| Ok(None), visit)
}

/// As [`walk`], but asks of each segment that begins whether its end is known: then its frames are
/// not walked, and it is not visited.
pub(crate) fn walk_unless(
    disk: &dyn Disk,
    access: Access,
    place: &mut Place,
    twins: Twins,
    known: &mut dyn FnMut(&Segment) -> Result<Option<SealedEnd>, OpenError>,
    visit: &mut dyn FnMut(Met<'_>) -> Result<(), Damage>,
) -> Result<Stop, OpenError> {
    loop {
        if place.segment.is_some()
            && !place.sealed
            && let Some(stop) = walk_segment(place, twins, visit)?
        {
            return Ok(stop);
        }
        let before = place.clone();
        let segment = match next_segment(disk, access, place)? {
            Ok(segment) => segment,
            Err(stop) => return Ok(stop),
        };
        match known(&segment) {
            Ok(Some(end)) => place.skip_to(&end),
            Ok(None) => visit(Met::Segment(&segment))?,
            // Nobody was shown this segment: whoever walks on later has to meet it again.
            Err(error) => {
                *place = before;
                return Err(error);
            }
        }
    }
}

/// Walks on in the segment that `place` is in: to its seal (`None`), or to where nothing whole
/// stands. With [`Place::at`] this is a walk of one segment alone.
pub(crate) fn walk_segment(
    place: &mut Place,
    twins: Twins,
    visit: &mut dyn FnMut(Met<'_>) -> Result<(), Damage>,
) -> Result<Option<Stop>, OpenError> {
    let Some(segment) = place.segment.clone() else {
        return Ok(Some(Stop::Missing));
    };
    let mut frames = Frames { segment: &segment, chunk: Bytes::new(), chunk_at: 0 };
    frames.walk(place, twins, visit)
}

/// Steps into the next segment; says where it cannot, that is: why the walk ends.
pub(crate) fn next_segment(
    disk: &dyn Disk,
    access: Access,
    place: &mut Place,
) -> Result<Result<Segment, Stop>, OpenError> {
    let number = place.next_number();
    let name = segment_name(number);
    let damage = |offset, what: String| Damage {
        segment: name.clone(),
        offset,
        position: Position(place.chain.next),
        what,
    };
    let file = match disk.open(&name, access) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound && !place.sealed => {
            return Ok(Err(Stop::Missing));
        }
        // A seal is written only when the next segment is there, durably.
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(damage(0, "the segment is missing".into()).into());
        }
        Err(e) => return Err(e.into()),
    };
    let len = file.len_bytes()?;
    if len <= HEADER_LEN as u64 {
        // It gets its name only when it has its length.
        return Err(damage(0, format!("the file has only {len} bytes")).into());
    }
    let mut page = read_up_to(&*file, 0, HEADER_LEN)?;
    let header = loop {
        let what = match SegmentHeader::decode(&page) {
            Ok(header) => break header,
            Err(BadHeader::Newer(found)) => {
                return Err(OpenError::NewerFormat { segment: name, found });
            }
            Err(BadHeader::Blank) => "its header is blank, but something stands behind it",
            Err(BadHeader::Broken(what)) => what,
        };
        // A header is durable before the first frame behind it is written.
        if is_zero(&*file, HEADER_LEN as u64)? {
            return Ok(Err(Stop::Unbegun));
        }
        // Beside a running writer the header may have come between the two looks.
        let again = read_up_to(&*file, 0, HEADER_LEN)?;
        if again == page {
            return Err(damage(0, what.to_owned()).into());
        }
        page = again;
    };
    let wrong = if header.number != number {
        Some(format!("it is segment {} under another name", header.number))
    } else if place.store_id.is_some_and(|id| id != header.store_id) {
        Some(format!("it belongs to another store, {}", header.store_id))
    } else if header.first_position != place.chain.next {
        Some(format!("it begins at position {}", header.first_position))
    } else if header.previous_hash != place.chain.hash {
        Some("it does not follow the segment before it".to_owned())
    } else if header.segment_bytes != len {
        Some(format!("the file has {len} bytes, it should have {}", header.segment_bytes))
    } else {
        None
    };
    if let Some(what) = wrong {
        return Err(damage(0, what).into());
    }
    place.store_id = Some(header.store_id);
    place.offset = header.align(HEADER_LEN as u64);
    place.chain.hash = header.hash;
    place.last_frame = None;
    place.sealed = false;
    place.frames = 0;
    let segment = Segment { header: Arc::new(header), file };
    place.segment = Some(segment.clone());
    Ok(Ok(segment))
}

/// The frames of one segment.
struct Frames<'a> {
    segment: &'a Segment,
    chunk: Bytes,
    chunk_at: u64,
}

impl Frames<'_> {
    /// Walks to the seal (`None`), or to where nothing whole stands.
    fn walk(
        &mut self,
        place: &mut Place,
        twins: Twins,
        visit: &mut dyn FnMut(Met<'_>) -> Result<(), Damage>,
    ) -> Result<Option<Stop>, OpenError> {
        let header = Arc::clone(&self.segment.header);
        let seed = header.seed();
        loop {
            let at = place.offset;
            let Some(head) = self.bytes(at, FRAME_HEADER_LEN)? else {
                return Ok(Some(Stop::Open));
            };
            if head.iter().all(|b| *b == 0) {
                return Ok(Some(Stop::Open));
            }
            let frame_header = match FrameHeader::decode(seed, &head) {
                Ok(frame_header) => frame_header,
                Err(what) => return Ok(Some(Stop::Broken(what))),
            };
            let Some(bytes) = self.bytes(at, frame_header.len as usize)? else {
                return Ok(Some(Stop::Broken("the frame goes beyond its segment")));
            };
            let hash = match check_trailer(seed, &bytes) {
                Ok(hash) => hash,
                Err(what) => return Ok(Some(Stop::Broken(what))),
            };
            // From here on the bytes are what somebody wrote: what is wrong is damage, not a tear.
            let damage = |what: &str| self.segment.damage(at, place.chain.next, what);
            place.chain.check(&frame_header, twins).map_err(damage)?;
            match frame_header.kind {
                FrameKind::Commit => {
                    let frame = Frame::of(&frame_header, hash, bytes).map_err(damage)?;
                    place.chain.next = frame.last() + 1;
                    visit(Met::Frame(self.segment, at, frame))?;
                    place.frames += 1;
                }
                FrameKind::Seal => {
                    let events = place.chain.next - header.first_position;
                    let right = bytes.len() == SEAL_LEN
                        && u64_at(&bytes, FRAME_HEADER_LEN) == place.frames
                        && u64_at(&bytes, FRAME_HEADER_LEN + 8) == events;
                    if !right {
                        return Err(damage("the seal does not say what the segment holds").into());
                    }
                    place.sealed = true;
                }
            }
            place.chain.hash = hash;
            place.chain.recorded_at_micros = frame_header.recorded_at_micros;
            place.last_frame = Some(at);
            place.offset = header.align(at + u64::from(frame_header.len));
            if place.sealed {
                return Ok(None);
            }
        }
    }

    /// `len` bytes from `at`; `None` when the segment ends before.
    fn bytes(&mut self, at: u64, len: usize) -> io::Result<Option<Bytes>> {
        let end = at + len as u64;
        if end > self.segment.header.frames_end() {
            return Ok(None);
        }
        if at < self.chunk_at || end > self.chunk_at + self.chunk.len() as u64 {
            let room = self.segment.header.frames_end() - at;
            let want = len.max(CHUNK_BYTES.min(room as usize));
            self.chunk = read_up_to(&*self.segment.file, at, want)?.into();
            self.chunk_at = at;
            if self.chunk.len() < len {
                return Ok(None);
            }
        }
        let from = (at - self.chunk_at) as usize;
        Ok(Some(self.chunk.slice(from..from + len)))
    }
}

/// Whether a file holds nothing but zeros from `offset` on.
pub(crate) fn is_zero(file: &dyn DiskFile, mut offset: u64) -> io::Result<bool> {
    loop {
        let chunk = read_up_to(file, offset, CHUNK_BYTES)?;
        if chunk.is_empty() {
            return Ok(true);
        }
        if chunk.iter().any(|b| *b != 0) {
            return Ok(false);
        }
        offset += chunk.len() as u64;
    }
}

/// Refuses a directory whose segments have a gap, or more of them than the walk could reach.
/// `listed` was taken before the walk, so that a log that grows meanwhile is no offence.
pub(crate) fn check_names(listed: &[String], place: &Place) -> Result<(), Damage> {
    let mut numbers: Vec<u64> = listed.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    let position = Position(place.chain.next);
    for (expected, found) in (1..).zip(&numbers) {
        if *found != expected {
            let (segment, what) = if *found == 0 {
                (segment_name(0), "segments are numbered from 1")
            } else {
                (segment_name(expected), "the segment is missing, but later ones are there")
            };
            return Err(Damage { segment, offset: 0, position, what: what.to_owned() });
        }
    }
    // Behind the segment that is written one is prepared, never two.
    let (last, next) = (numbers.last().copied().unwrap_or(0), place.next_number());
    if last > next {
        let (number, what) = if place.segment.is_none() || place.sealed {
            (next, "the segment has not begun, but later ones are there")
        } else {
            (last, "the segment is there, but the log ends before it")
        };
        return Err(Damage {
            segment: segment_name(number),
            offset: 0,
            position,
            what: what.to_owned(),
        });
    }
    Ok(())
}
