//! What stands behind damage: frames that are still whole each for itself, though nothing proves any
//! more that they belong where they are. They tell what a cut would lose.

use std::collections::BTreeMap;
use std::io;

use super::super::disk::{Access, Disk, DiskFile, read_up_to};
use super::super::format::{
    FRAME_ALIGN, FRAME_HEADER_LEN, FRAME_MAGIC, FrameHeader, FrameKind, HEADER_LEN, Seed,
    SegmentHeader, segment_name, u32_at,
};
use super::super::frame::Frame;
use crate::Position;

/// So many streams are named.
const NAMED_STREAMS: usize = 10_000;
const CHUNK_BYTES: usize = 1 << 20;

/// What goes with a cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The first position that goes.
    pub first: Position,
    /// The last position that anything behind the damage speaks of; there may have been more.
    pub last_known: Option<Position>,
    /// Frames behind the damage that are whole each for itself.
    pub frames: u64,
    /// Events in them: these can still be read from what is kept aside.
    pub events: u64,
    /// Their streams, by name, at most ten thousand of them.
    pub streams: BTreeMap<String, LostStream>,
    /// More streams than are named here.
    pub more_streams: bool,
}

/// What one stream loses, as far as it can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostStream {
    /// The first of its versions that goes, as far as known.
    pub first_version: u64,
    /// How many of its events are known to go.
    pub events: u64,
}

/// Looks at what stands from `offset` of segment `number` on, and in the segments behind: all that
/// is at position `first` or later goes.
pub(super) fn behind(
    disk: &dyn Disk,
    number: u64,
    offset: u64,
    later: &[String],
    first: u64,
) -> io::Result<Lost> {
    let mut lost = Lost {
        first: Position(first),
        last_known: None,
        frames: 0,
        events: 0,
        streams: BTreeMap::new(),
        more_streams: false,
    };
    let cut = segment_name(number);
    let files = std::iter::once((&cut, offset)).chain(later.iter().map(|name| (name, 0)));
    for (name, from) in files {
        match disk.open(name, Access::Read) {
            Ok(file) => segment(&*file, from, &mut lost)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(lost)
}

fn segment(file: &dyn DiskFile, from: u64, lost: &mut Lost) -> io::Result<()> {
    let page = read_up_to(file, 0, HEADER_LEN)?;
    let (seed, align, end) = match SegmentHeader::decode(&page) {
        Ok(header) => {
            // The events before it were recorded before it was begun.
            lost.spoken_of(header.first_position - 1);
            (header.seed(), u64::from(header.frame_align), header.frames_end())
        }
        // Where the page was changed its checksum may not have been, and that is the seed.
        Err(_) if page.len() == HEADER_LEN => {
            (Seed::new(u32_at(&page, HEADER_LEN - 4)), u64::from(FRAME_ALIGN), u64::MAX)
        }
        Err(_) => return Ok(()),
    };
    let mut at = from.max(HEADER_LEN as u64).next_multiple_of(align);
    let (mut chunk, mut chunk_at) = (Vec::new(), at);
    while at < end {
        let inside = (at - chunk_at) as usize;
        if inside + FRAME_HEADER_LEN > chunk.len() {
            (chunk, chunk_at) = (read_up_to(file, at, CHUNK_BYTES)?, at);
            if chunk.len() < FRAME_HEADER_LEN {
                return Ok(());
            }
            continue;
        }
        let head = &chunk[inside..];
        let header = head.starts_with(&FRAME_MAGIC).then(|| FrameHeader::decode(seed, head));
        let Some(Ok(header)) = header else {
            at += align;
            continue;
        };
        lost.spoken_of(
            header.first_position.saturating_add(u64::from(header.events)).saturating_sub(1),
        );
        let len = header.len as usize;
        let bytes = match head.get(..len) {
            Some(bytes) => bytes.to_vec(),
            None => read_up_to(file, at, len)?,
        };
        let whole = match header.kind {
            FrameKind::Commit => Frame::decode(seed, bytes.into()).ok(),
            FrameKind::Seal => None,
        };
        // A frame of before the damage that stands here once more is nothing that goes.
        at += match whole.filter(|frame| frame.first >= lost.first.0) {
            Some(frame) => {
                lost.add(&frame);
                u64::from(header.len)
            }
            None => align,
        };
        at = at.next_multiple_of(align);
    }
    Ok(())
}

impl Lost {
    fn spoken_of(&mut self, position: u64) {
        if position >= self.first.0 {
            self.last_known = self.last_known.max(Some(Position(position)));
        }
    }

    fn add(&mut self, frame: &Frame) {
        self.frames += 1;
        self.events += frame.entries.len() as u64;
        for entry in &frame.entries {
            if let Some(stream) = self.streams.get_mut(entry.stream.as_str()) {
                stream.events += 1;
                stream.first_version = stream.first_version.min(entry.version);
            } else if self.streams.len() < NAMED_STREAMS {
                let new = LostStream { first_version: entry.version, events: 1 };
                self.streams.insert(entry.stream.as_str().to_owned(), new);
            } else {
                self.more_streams = true;
            }
        }
    }
}
