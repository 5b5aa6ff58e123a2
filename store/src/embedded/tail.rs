//! Telling a torn write from damage, at the end of the log: see "What a crash can leave" in
//! `store/FORMAT.md`.

use std::io;

use super::disk::{Access, Disk, read_up_to};
use super::format::{
    END_MARK, FrameHeader, HEADER_LEN, SECTOR, SegmentHeader, check_trailer, segment_name,
};
use super::scan::{Damage, Place, Segment};

/// What stands behind the last whole frame of an unsealed segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Zeros.
    Clean,
    /// A write that never ended, up to this offset; nobody was answered for it.
    Torn(u64),
    /// Something that no torn write leaves.
    Damaged(String),
}

/// Tells a torn write from damage: see "what a crash can leave" in `store/FORMAT.md`.
///
/// Segments are zeros before they are written, a frame is written only when the one before it is
/// durable, and every frame ends in a mark without zeros. So what was torn shows zeros, and has no
/// frame behind it.
pub(crate) fn judge_tail(segment: &Segment, from: u64) -> io::Result<Tail> {
    let len = segment.header.frames_end().saturating_sub(from) as usize;
    let bytes = read_up_to(&*segment.file, from, len)?;
    let Some(last) = bytes.iter().rposition(|b| *b != 0) else {
        return Ok(Tail::Clean);
    };
    let junk = &bytes[..=last];
    let step = segment.header.frame_align as usize;
    for at in (step..junk.len()).step_by(step) {
        if FrameHeader::decode(segment.header.seed(), &junk[at..]).is_ok() {
            let offset = from + at as u64;
            return Ok(Tail::Damaged(format!(
                "no whole frame stands here, but a later one begins at offset {offset}"
            )));
        }
    }
    if let Ok(header) = FrameHeader::decode(segment.header.seed(), junk)
        && let Some(frame) = junk.get(..header.len as usize)
        && check_trailer(segment.header.seed(), frame).is_ok()
    {
        // The walk saw it broken: the disk reads one way and then another.
        return Ok(Tail::Damaged("it reads differently the second time".to_owned()));
    }
    let end = from + junk.len() as u64;
    // Where the header came through it says where the end would be, whatever stands behind that. The
    // mark itself may have been changed, but a mark that was not written to its end ends in a zero.
    let (ended, frame) = match FrameHeader::decode(segment.header.seed(), junk) {
        Ok(header) => {
            let frame = &bytes[..bytes.len().min(header.len as usize)];
            (frame.last().is_some_and(|b| *b != 0), frame)
        }
        Err(_) => (junk.ends_with(&END_MARK), junk),
    };
    if !ended || has_blank_sector(frame, from) {
        return Ok(Tail::Torn(end));
    }
    Ok(Tail::Damaged(
        "a frame stands here whole, but its bytes are not what was written".to_owned(),
    ))
}

/// Whether a sector's share of `junk`, which stands at `from`, is all zeros.
fn has_blank_sector(junk: &[u8], from: u64) -> bool {
    let mut at = 0;
    while at < junk.len() {
        let border = (SECTOR - (from + at as u64) % SECTOR) as usize;
        let end = (at + border).min(junk.len());
        if junk[at..end].iter().all(|b| *b == 0) {
            return true;
        }
        at = end;
    }
    false
}

/// Whether the segment behind an unsealed one has begun, which no crash brings about: a header is
/// written only when the seal before it is durable.
pub(crate) fn begun_without_seal(disk: &dyn Disk, place: &Place) -> io::Result<Option<Damage>> {
    let (Some(segment), false) = (&place.segment, place.sealed) else {
        return Ok(None);
    };
    let file = match disk.open(&segment_name(place.next_number()), Access::Read) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let page = read_up_to(&*file, 0, HEADER_LEN)?;
    Ok(SegmentHeader::decode(&page).is_ok().then(|| {
        let what = "the segment ends without a seal, but the next one has begun";
        segment.damage(place.offset, place.chain.next, what)
    }))
}
