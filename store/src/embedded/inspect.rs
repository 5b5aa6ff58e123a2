//! Looking at segments one by one, without walking them: the header page in front, the seal at the
//! end. What the tools lean on that answer quickly.
//!
//! ```text
//!   [ header page ][ frame ] … [ frame ][ seal ][ zeros … ]
//!     ▲ number, first position          ▲ found from the end: the last byte that is not zero
//!                                         is the seal's; it says how many frames and events
//! ```

use std::io;
use std::sync::Arc;

use super::disk::{Access, Disk, DiskFile, read_up_to};
use super::format::{
    BadHeader, FRAME_HEADER_LEN, FrameHeader, FrameKind, HEADER_LEN, SEAL_LEN, SegmentHeader,
    check_trailer, segment_name, segment_number, u64_at,
};
use super::scan::{Chain, Place, Segment};

/// How much is read at once, from the end.
const CHUNK_BYTES: u64 = 64 << 10;

/// What a seal says of its segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seal {
    /// Where it stands: how many bytes header page and frames take.
    pub(crate) offset: u64,
    pub(crate) frames: u64,
    pub(crate) events: u64,
    /// Position of the first event in the next segment.
    pub(crate) next_position: u64,
    pub(crate) recorded_at_micros: i64,
}

/// The numbers of the segments that are there, in order.
pub(crate) fn segment_numbers(listed: &[String]) -> Vec<u64> {
    let mut numbers: Vec<u64> = listed.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    numbers
}

/// A segment by its number. The inner error says why its header page is none.
pub(crate) fn open_segment(
    disk: &dyn Disk,
    number: u64,
    access: Access,
) -> io::Result<Result<Segment, BadHeader>> {
    let file = disk.open(&segment_name(number), access)?;
    let page = read_up_to(&*file, 0, HEADER_LEN)?;
    Ok(SegmentHeader::decode(&page).map(|header| Segment { header: Arc::new(header), file }))
}

/// The place at which the walk of a segment begins, when nothing is known but the segment itself.
pub(crate) fn front_of(segment: Segment) -> Place {
    let header = Arc::clone(&segment.header);
    Place {
        store_id: Some(header.store_id),
        offset: header.align(HEADER_LEN as u64),
        last_frame: None,
        sealed: false,
        frames: 0,
        chain: Chain {
            next: header.first_position,
            hash: header.hash,
            recorded_at_micros: i64::MIN,
        },
        segment: Some(segment),
    }
}

/// The seal of a segment; `None` where no whole one ends it.
pub(crate) fn find_seal(segment: &Segment) -> io::Result<Option<Seal>> {
    let Some(end) = end_of_bytes(&*segment.file)? else {
        return Ok(None);
    };
    let Some(offset) = end.checked_sub(SEAL_LEN as u64) else {
        return Ok(None);
    };
    let seed = segment.header.hash;
    let bytes = read_up_to(&*segment.file, offset, SEAL_LEN)?;
    let Ok(header) = FrameHeader::decode(seed, &bytes) else {
        return Ok(None);
    };
    let whole = header.kind == FrameKind::Seal
        && header.len as usize == SEAL_LEN
        && check_trailer(seed, &bytes).is_ok();
    Ok(whole.then(|| Seal {
        offset,
        frames: u64_at(&bytes, FRAME_HEADER_LEN),
        events: u64_at(&bytes, FRAME_HEADER_LEN + 8),
        next_position: header.first_position,
        recorded_at_micros: header.recorded_at_micros,
    }))
}

/// When the first event of a segment was recorded, if its first frame's header is whole.
pub(crate) fn first_recorded(segment: &Segment) -> io::Result<Option<i64>> {
    let at = segment.header.align(HEADER_LEN as u64);
    let head = read_up_to(&*segment.file, at, FRAME_HEADER_LEN)?;
    Ok(FrameHeader::decode(segment.header.hash, &head).ok().map(|head| head.recorded_at_micros))
}

/// Where the last byte ends that is not zero. A frame's last byte never is.
pub(crate) fn end_of_bytes(file: &dyn DiskFile) -> io::Result<Option<u64>> {
    let mut end = file.len_bytes()?;
    while end > 0 {
        let at = end.saturating_sub(CHUNK_BYTES);
        let chunk = read_up_to(file, at, (end - at) as usize)?;
        if let Some(last) = chunk.iter().rposition(|b| *b != 0) {
            return Ok(Some(at + last as u64 + 1));
        }
        end = at;
    }
    Ok(None)
}
