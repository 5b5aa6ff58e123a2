//! Looking at segments one by one, without walking them: the header page in front, the seal at the
//! end. What the tools lean on that answer quickly.
//!
//! ```text
//!   [ header page ][ frame ] … [ frame ][ seal ][ zeros … ][ slots ]
//!     ▲ number, first position          ▲ found from where slots begin: the last byte that is not
//!                                         zero is the seal's; it says how many frames and events
//! ```

use std::io;
use std::sync::Arc;

use super::disk::{Access, Disk, DiskFile, read_up_to};
use super::format::{
    BadHeader, FRAME_HEADER_LEN, FrameHeader, HEADER_LEN, SEAL_LEN, SegmentHeader, segment_name,
    segment_number,
};
use super::scan::{SealedEnd, Segment, read_seal};

/// How much is read at once, from the end.
const CHUNK_BYTES: u64 = 64 << 10;

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

/// The seal of a segment; `None` where no whole one ends it.
pub(crate) fn find_seal(segment: &Segment) -> io::Result<Option<SealedEnd>> {
    let end = end_of_bytes(&*segment.file, segment.header.frames_end())?.unwrap_or(0);
    match end.checked_sub(SEAL_LEN as u64) {
        Some(offset) => read_seal(segment, offset),
        None => Ok(None),
    }
}

/// When the first event of a segment was recorded, if its first frame's header is whole.
pub(crate) fn first_recorded(segment: &Segment) -> io::Result<Option<i64>> {
    let at = segment.header.align(HEADER_LEN as u64);
    let head = read_up_to(&*segment.file, at, FRAME_HEADER_LEN)?;
    Ok(FrameHeader::decode(segment.header.seed(), &head).ok().map(|head| head.recorded_at_micros))
}

/// Where the last byte before `end` ends that is not zero. A frame's last byte never is; slots stand
/// behind the frames.
fn end_of_bytes(file: &dyn DiskFile, end: u64) -> io::Result<Option<u64>> {
    let mut end = file.len_bytes()?.min(end);
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
