//! The bytes of the mirrored tail, as `store/FORMAT.md` draws them: two slots at the end of each
//! segment file that hold its last two frames once more.
//!
//! ```text
//! slot 0:  [ header 64 ][ a copy of frame n, n + 2, … ][ what older copies left, zeros ]
//! slot 1:  [ header 64 ][ a copy of frame n + 1, … ]
//! ```
//!
//! A slot is whole when its header's checksum and all that a frame proves of itself hold. While one is
//! written the other stays as it is, so the copy of the last durable frame is whole at all times. A
//! frame that does not go into a slot leaves its header there alone: it was durable, that says.

use std::io;
use std::sync::Arc;

use uuid::Uuid;

use super::OpenError;
use super::disk::{Access, Disk, read_up_to};
use super::format::{
    BadHeader, FRAME_HEADER_LEN, SegmentHeader, TRAILER_LEN, bytes_at, put, segment_name, u32_at,
    u64_at,
};
use super::frame::Frame;
use super::inspect::{open_segment, segment_numbers};
use super::marker::read_mark;
use super::scan::Segment;

/// First bytes of a slot.
const SLOT_MAGIC: [u8; 8] = *b"HFSTtail";
/// The version that this code writes, and the newest that it reads.
const SLOT_VERSION: u32 = 1;
/// Length of a slot's header; the frame stands behind it.
pub(crate) const SLOT_HEADER_LEN: usize = 64;
const CHECKSUM_AT: usize = SLOT_HEADER_LEN - 4;

/// Where the frame of a slot stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotHeader {
    pub(crate) store_id: Uuid,
    /// Number of the frame's segment.
    pub(crate) segment: u64,
    /// Where the frame stands in it.
    pub(crate) offset: u64,
    pub(crate) frame_len: u32,
    /// Checksum of the segment's header page, from which the frame's checksums go on.
    pub(crate) seed: u32,
    /// The checksum of the frame's header, and the one behind its body: a slot is written over an
    /// older one, so a power cut can leave the two headers and the body from different copies.
    pub(crate) frame_header_hash: u32,
    pub(crate) frame_hash: u32,
}

impl SlotHeader {
    pub(crate) fn encode(&self) -> [u8; SLOT_HEADER_LEN] {
        let mut header = [0; SLOT_HEADER_LEN];
        put(&mut header, 0, &SLOT_MAGIC);
        put(&mut header, 8, &SLOT_VERSION.to_le_bytes());
        put(&mut header, 12, &self.frame_len.to_le_bytes());
        put(&mut header, 16, self.store_id.as_bytes());
        put(&mut header, 32, &self.segment.to_le_bytes());
        put(&mut header, 40, &self.offset.to_le_bytes());
        put(&mut header, 48, &self.seed.to_le_bytes());
        put(&mut header, 52, &self.frame_header_hash.to_le_bytes());
        put(&mut header, 56, &self.frame_hash.to_le_bytes());
        let checksum = crc32c::crc32c(&header[..CHECKSUM_AT]);
        put(&mut header, CHECKSUM_AT, &checksum.to_le_bytes());
        header
    }

    /// Whether this is said of the frame whose bytes these are. They are not checked beyond that.
    pub(crate) fn is_of(&self, frame: &[u8]) -> bool {
        frame.len() == self.frame_len as usize
            && frame.len() >= FRAME_HEADER_LEN + TRAILER_LEN
            && u32_at(frame, FRAME_HEADER_LEN - 4) == self.frame_header_hash
            && u32_at(frame, frame.len() - TRAILER_LEN) == self.frame_hash
    }

    pub(crate) fn decode(header: &[u8]) -> Result<Self, BadSlot> {
        if header.len() < SLOT_HEADER_LEN
            || header[..8] != SLOT_MAGIC
            || crc32c::crc32c(&header[..CHECKSUM_AT]) != u32_at(header, CHECKSUM_AT)
        {
            return Err(BadSlot::Broken);
        }
        match u32_at(header, 8) {
            SLOT_VERSION => Ok(Self {
                frame_len: u32_at(header, 12),
                store_id: Uuid::from_bytes(bytes_at(header, 16)),
                segment: u64_at(header, 32),
                offset: u64_at(header, 40),
                seed: u32_at(header, 48),
                frame_header_hash: u32_at(header, 52),
                frame_hash: u32_at(header, 56),
            }),
            newer if newer > SLOT_VERSION => Err(BadSlot::Newer(newer)),
            _ => Err(BadSlot::Broken),
        }
    }
}

/// Why a slot's header is none.
#[derive(Clone, Copy, Debug)]
pub(crate) enum BadSlot {
    Broken,
    Newer(u32),
}

/// A whole slot.
#[derive(Clone, Debug)]
pub(crate) struct MirroredFrame {
    /// Which of the two it is.
    pub(crate) slot: usize,
    pub(crate) header: SlotHeader,
    pub(crate) frame: Arc<Frame>,
}

/// What one of the two slots holds, or the mark.
#[derive(Clone, Debug)]
pub(crate) enum Slot {
    /// Nothing was mirrored in it yet.
    Blank,
    /// A copy that never ended, or is not what was written.
    Broken,
    /// That a frame was durable; no copy of it.
    Mark(SlotHeader),
    Whole(MirroredFrame),
}

impl Slot {
    pub(crate) fn whole(&self) -> Option<&MirroredFrame> {
        match self {
            Self::Whole(mirrored) => Some(mirrored),
            Self::Blank | Self::Broken | Self::Mark(_) => None,
        }
    }

    /// What it says of its frame, if anything.
    pub(crate) fn header(&self) -> Option<&SlotHeader> {
        match self {
            Self::Whole(mirrored) => Some(&mirrored.header),
            Self::Mark(header) => Some(header),
            Self::Blank | Self::Broken => None,
        }
    }
}

/// What was written beside the frames to prove the last of them.
#[derive(Clone, Debug)]
pub(crate) struct Proofs {
    /// The slots of the last segment that has begun.
    pub(crate) slots: [Slot; 2],
    /// The mark: which frame was acknowledged. Blank where there is none.
    pub(crate) mark: Slot,
}

impl Proofs {
    /// Nothing that proves anything.
    pub(crate) const NONE: Proofs = Proofs { slots: [Slot::Blank, Slot::Blank], mark: Slot::Blank };

    /// Reads them all. Before the log is walked: what they say was there, a walk must meet, also
    /// beside a writer.
    pub(crate) fn read(disk: &dyn Disk) -> Result<Self, OpenError> {
        Ok(Self { mark: read_mark(disk)?, slots: read_slots(disk)? })
    }
}

/// Where a slot begins in its segment's file.
pub(crate) fn slot_at(segment: &SegmentHeader, slot: usize) -> u64 {
    segment.frames_end() + slot as u64 * u64::from(segment.slot_len)
}

/// Whether the copy of so long a frame goes into a slot.
pub(crate) fn fits(segment: &SegmentHeader, frame_len: usize) -> bool {
    SLOT_HEADER_LEN + frame_len <= segment.slot_len as usize
}

/// Reads both slots of the last segment that has begun; blank where there is none.
pub(crate) fn read_slots(disk: &dyn Disk) -> Result<[Slot; 2], OpenError> {
    for number in segment_numbers(&disk.list()?).into_iter().rev() {
        match open_segment(disk, number, Access::Read)? {
            Ok(segment) => return Ok([read_slot(&segment, 0)?, read_slot(&segment, 1)?]),
            Err(BadHeader::Blank | BadHeader::Broken(_)) => {}
            Err(BadHeader::Newer(found)) => {
                return Err(OpenError::NewerFormat { segment: segment_name(number), found });
            }
        }
    }
    Ok([Slot::Blank, Slot::Blank])
}

fn read_slot(segment: &Segment, slot: usize) -> Result<Slot, OpenError> {
    if segment.header.slot_len == 0 {
        return Ok(Slot::Blank);
    }
    let at = slot_at(&segment.header, slot);
    let head = read_up_to(&*segment.file, at, SLOT_HEADER_LEN)?;
    if head.iter().all(|b| *b == 0) {
        return Ok(Slot::Blank);
    }
    let header = match SlotHeader::decode(&head) {
        Ok(header) => header,
        Err(BadSlot::Broken) => return Ok(Slot::Broken),
        Err(BadSlot::Newer(found)) => {
            return Err(OpenError::NewerFormat { segment: segment.name(), found });
        }
    };
    let log = &segment.header;
    // A block that was written to another place, or by another store.
    if (header.store_id, header.segment, header.seed) != (log.store_id, log.number, log.hash) {
        return Ok(Slot::Broken);
    }
    if !fits(log, header.frame_len as usize) {
        return Ok(Slot::Mark(header));
    }
    let frame = read_frame(segment, at + SLOT_HEADER_LEN as u64, &header)?;
    Ok(frame.map_or(Slot::Broken, |frame| {
        Slot::Whole(MirroredFrame { slot, header, frame: Arc::new(frame) })
    }))
}

fn read_frame(segment: &Segment, at: u64, header: &SlotHeader) -> io::Result<Option<Frame>> {
    let bytes = read_up_to(&*segment.file, at, header.frame_len as usize)?;
    let frame = Frame::decode(segment.header.seed(), bytes.into()).ok();
    Ok(frame.filter(|frame| header.is_of(&frame.bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_back_as_it_was_and_every_flipped_bit_is_noticed() {
        let store_id = Uuid::from_u128(7);
        let header = SlotHeader {
            store_id,
            segment: 3,
            offset: 4096,
            frame_len: 99,
            seed: 5,
            frame_header_hash: 6,
            frame_hash: 7,
        };
        let bytes = header.encode();
        assert!(matches!(SlotHeader::decode(&bytes), Ok(same) if same == header));
        for bit in 0..SLOT_HEADER_LEN * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(SlotHeader::decode(&flipped).is_err(), "bit {bit}");
        }
    }
}
