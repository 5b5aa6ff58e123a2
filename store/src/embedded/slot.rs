//! The bytes of the mirrored tail, as `store/FORMAT.md` draws them: two files that hold the last two
//! frames once more.
//!
//! ```text
//! tail-0:  [ header 64 ][ a copy of frame n, n + 2, … ][ what older copies left, zeros ]
//! tail-1:  [ header 64 ][ a copy of frame n + 1, … ]
//! ```
//!
//! A slot is whole when its header's checksum and all that a frame proves of itself hold. While one is
//! written the other stays as it is, so the copy of the last durable frame is whole at all times.

use std::io;
use std::sync::Arc;

use uuid::Uuid;

use super::OpenError;
use super::disk::{Access, Disk, DiskFile, read_up_to};
use super::format::{bytes_at, put, u32_at, u64_at};
use super::frame::Frame;

/// The two files.
pub(crate) const SLOT_NAMES: [&str; 2] = ["tail-0", "tail-1"];
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
    /// The checksum of the frame's header, and the one behind its body. A power cut can leave the
    /// slot's header, the frame's header and its body from two copies of the same length, and each of
    /// them is sound for itself: the frame's checksum does not depend on its header, since a CRC over
    /// something and its own CRC is always the same. So the three are bound to each other here.
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

    fn decode(header: &[u8]) -> Result<Self, BadSlot> {
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

enum BadSlot {
    Broken,
    Newer(u32),
}

/// A whole slot.
#[derive(Clone, Debug)]
pub(crate) struct MirroredFrame {
    /// Which of the two files it is.
    pub(crate) slot: usize,
    pub(crate) header: SlotHeader,
    pub(crate) frame: Arc<Frame>,
}

/// What one of the two files holds.
#[derive(Clone, Debug)]
pub(crate) enum Slot {
    /// The file is not there.
    Missing,
    /// Nothing was mirrored in it yet.
    Blank,
    /// A copy that never ended, or is not what was written.
    Broken,
    Whole(MirroredFrame),
}

impl Slot {
    pub(crate) fn whole(&self) -> Option<&MirroredFrame> {
        match self {
            Self::Whole(mirrored) => Some(mirrored),
            Self::Missing | Self::Blank | Self::Broken => None,
        }
    }
}

/// Reads both slots.
pub(crate) fn read_slots(disk: &dyn Disk) -> Result<[Slot; 2], OpenError> {
    Ok([read_slot(disk, 0)?, read_slot(disk, 1)?])
}

fn read_slot(disk: &dyn Disk, slot: usize) -> Result<Slot, OpenError> {
    let name = SLOT_NAMES[slot];
    let file = match disk.open(name, Access::Read) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Slot::Missing),
        Err(e) => return Err(e.into()),
    };
    let head = read_up_to(&*file, 0, SLOT_HEADER_LEN)?;
    if head.iter().all(|b| *b == 0) {
        return Ok(Slot::Blank);
    }
    match SlotHeader::decode(&head) {
        Ok(header) => Ok(read_frame(&*file, &header)?.map_or(Slot::Broken, |frame| {
            Slot::Whole(MirroredFrame { slot, header, frame: Arc::new(frame) })
        })),
        Err(BadSlot::Broken) => Ok(Slot::Broken),
        Err(BadSlot::Newer(found)) => {
            Err(OpenError::NewerFormat { segment: name.to_owned(), found })
        }
    }
}

fn read_frame(file: &dyn DiskFile, header: &SlotHeader) -> io::Result<Option<Frame>> {
    let len = u64::from(header.frame_len);
    // Asked first: a length is not believed before there are as many bytes.
    if file.len_bytes()?.saturating_sub(SLOT_HEADER_LEN as u64) < len {
        return Ok(None);
    }
    let bytes = read_up_to(file, SLOT_HEADER_LEN as u64, len as usize)?;
    let frame = Frame::decode(header.seed, bytes.into()).ok();
    Ok(frame.filter(|frame| {
        (frame.header_hash(), frame.hash) == (header.frame_header_hash, header.frame_hash)
    }))
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
