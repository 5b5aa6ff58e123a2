//! Copying segment by segment, so that what is there opens at any moment.
//!
//! ```text
//!   for each segment, from the last one that the backup has begun:
//!     3.seg.new   header, frames, zeros ── sync ── rename to 3.seg         opens, up to here
//!     4.seg       blank, if 3 is sealed ── sync, its name too              opens: prepared, not begun
//!     3.seg       its seal, in place    ── sync                            torn or whole: opens
//! ```
//!
//! Every frame is checked on its way. Nothing is copied that is not durable in the log: a backup
//! that knew more than its log would be another history after a power cut.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::super::disk::{Access, Disk, DiskFile, read_up_to};
use super::super::format::{
    BadHeader, FrameHeader, HEADER_LEN, SEAL_LEN, check_trailer, segment_name,
};
use super::super::inspect::{open_segment, segment_numbers};
use super::super::prepare::UNFINISHED;
use super::super::restore::{Verdict, judge_mirror};
use super::super::scan::{Met, Place, Segment, next_segment, read_seal, walk_segment};
use super::super::slot::Proofs;
use super::super::twins::{Twin, Twins};
use super::super::verify::{End, judge};
use super::super::{Damage, OpenError};
use super::{BackupError, BackupProgress, BackupReport};
use crate::Position;

/// So much is written at once.
const CHUNK_BYTES: usize = 1 << 20;
/// A blank segment need only be longer than a header page.
const BLANK_BYTES: usize = 2 * HEADER_LEN;

/// Brings `target`, which is locked, as far as `source` is durable.
pub(crate) fn copy(
    source: &dyn Disk,
    target: &dyn Disk,
    settle: Duration,
    twins: Twins,
    progress: &mut dyn FnMut(BackupProgress),
) -> Result<BackupReport, BackupError> {
    let listed = target.list()?;
    for unfinished in listed.iter().filter(|name| name.ends_with(UNFINISHED)) {
        target.remove(unfinished)?;
    }
    // Before the walk, so that what is mirrored is met by it.
    let proofs = Proofs::read(source).map_err(BackupError::Source)?;
    let (until, bytes_total) = begun(source)?;
    let there = what_is_there(source, target, &listed)?;
    let mut place = match &there {
        Some(there) => there.before.clone(),
        None => Place::start(),
    };
    let kept_segments = place.segment.as_ref().map_or(0, |it| it.header.number);
    let mut job = Job { source, target, settle, twins, written_bytes: 0 };
    let mut bytes_done =
        kept_segments * place.segment.as_ref().map_or(0, |segment| segment.header.segment_bytes);
    let mut resumed = there.and_then(|it| it.unsealed);
    loop {
        match next_segment(source, Access::Read, &mut place).map_err(BackupError::Source)? {
            Ok(_) => {}
            // The seal was met before the next header: there is no more for now.
            Err(_) => break,
        }
        let segment = place.segment.clone().expect("a segment has just begun");
        let number = segment.header.number;
        job.segment(&mut place, resumed.take(), &mut |offset| {
            let bytes_done = (bytes_done + offset).min(bytes_total);
            progress(BackupProgress { bytes_total, bytes_done });
        })?;
        bytes_done += segment.header.segment_bytes;
        // What comes while it is copied is for the next time, so that there is an end.
        if !place.sealed || number >= until {
            break;
        }
        job.seal(&segment, &place)?;
    }
    progress(BackupProgress { bytes_total, bytes_done: bytes_total });
    let Some(segment) = &place.segment else {
        return Err(BackupError::Source(OpenError::NoLog));
    };
    nothing_missing(source, &proofs, &place).map_err(BackupError::Source)?;
    let head_hash = match place.last_frame.filter(|_| place.sealed) {
        Some(seal_at) => {
            let bytes = read_up_to(&*segment.file, seal_at, SEAL_LEN)?;
            let seal = FrameHeader::decode(segment.header.seed(), &bytes);
            seal.map_or(place.chain.hash, |seal| seal.previous_hash)
        }
        None => place.chain.hash,
    };
    Ok(BackupReport {
        store_id: segment.header.store_id,
        head: Position(place.chain.next - 1),
        head_hash,
        segments: segment.header.number,
        kept_segments,
        written_bytes: job.written_bytes,
    })
}

/// Asks the mirrored tail. Beside a running server, and after a proper end, it agrees.
fn nothing_missing(source: &dyn Disk, proofs: &Proofs, place: &Place) -> Result<(), OpenError> {
    match judge_mirror(source, proofs, place)? {
        Verdict::Agrees => Ok(()),
        Verdict::Refuses(damage) => Err(damage.into()),
        Verdict::Restores(mirrored) => {
            let what = "the last frame is whole only in its copy: start the server once, \
                        which writes it back, and back up then";
            Err(Damage {
                segment: segment_name(mirrored.header.segment),
                offset: mirrored.header.offset,
                position: Position(mirrored.frame.first),
                what: what.to_owned(),
            }
            .into())
        }
    }
}

/// The last segment of the log that has begun, and the bytes of all files up to it.
fn begun(source: &dyn Disk) -> Result<(u64, u64), BackupError> {
    let look = || -> io::Result<(u64, u64)> {
        let (mut until, mut bytes) = (0, 0);
        for number in segment_numbers(&source.list()?) {
            match open_segment(source, number, Access::Read)? {
                Ok(segment) => (until, bytes) = (number, bytes + segment.header.segment_bytes),
                Err(BadHeader::Blank | BadHeader::Broken(_) | BadHeader::Newer(_)) => {}
            }
        }
        Ok((until, bytes))
    };
    look().map_err(|error| BackupError::Source(error.into()))
}

/// What the backup has already.
struct There {
    /// In the log: behind the last segment that the backup has whole and sealed.
    before: Place,
    /// Where the backup's next segment ends, unsealed: what is copied has to pass there.
    unsealed: Option<Mark>,
}

/// A place in a segment that has to be passed with this checksum.
struct Mark {
    offset: u64,
    hash: u32,
    position: u64,
}

/// Compares the header pages of all segments (each names the checksum of all that stands before it)
/// and the end of the last.
fn what_is_there(
    source: &dyn Disk,
    target: &dyn Disk,
    listed: &[String],
) -> Result<Option<There>, BackupError> {
    let (mut before, mut last) = (Place::start(), None);
    for number in segment_numbers(listed) {
        let theirs = match open_segment(target, number, Access::Read)? {
            Ok(theirs) => theirs,
            Err(BadHeader::Blank) => break,
            Err(BadHeader::Broken(what)) => {
                return Err(diverged(number, 0, before.chain.next, what));
            }
            Err(BadHeader::Newer(_)) => {
                let what = "it was written by a newer version";
                return Err(diverged(number, 0, before.chain.next, what));
            }
        };
        let ours = match open_segment(source, number, Access::Read) {
            Ok(Ok(ours)) => ours,
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(BackupError::Source(e.into()));
            }
            Ok(Err(_)) | Err(_) => {
                let what = "the log does not have this segment";
                return Err(diverged(number, 0, theirs.header.first_position, what));
            }
        };
        let (found, store) = (theirs.header.store_id, ours.header.store_id);
        if found != store {
            return Err(BackupError::OtherStore { found, ours: store });
        }
        if theirs.header != ours.header {
            let what = "another segment stands here";
            return Err(diverged(number, 0, theirs.header.first_position, what));
        }
        if let Some((_, ours)) = last.replace((theirs, ours)) {
            before = Place::at(&ours);
        }
    }
    let Some((theirs, ours)) = last else {
        return Ok(None);
    };
    let mut end = Place::at(&theirs);
    walk_segment(&mut end, Twins::default(), &mut |_| Ok(())).map_err(|error| match error {
        OpenError::Damaged(damage) => BackupError::Diverged(damage),
        OpenError::Io(error) => BackupError::Io(error),
        other @ (OpenError::InUse | OpenError::NewerFormat { .. } | OpenError::NoLog) => {
            BackupError::Io(io::Error::other(other))
        }
    })?;
    let number = theirs.header.number;
    let whole = match end.last_frame.filter(|_| end.sealed) {
        Some(seal_at) => read_seal(&ours, seal_at).map_err(|e| BackupError::Source(e.into()))?,
        None => None,
    };
    if end.sealed && whole.as_ref().is_none_or(|seal| seal.chain.hash != end.chain.hash) {
        return Err(diverged(number, end.offset, end.chain.next, "another seal stands here"));
    }
    if let Some(seal) = whole {
        let mut before = Place::at(&ours);
        before.skip_to(&seal);
        return Ok(Some(There { before, unsealed: None }));
    }
    let mark = Mark { offset: end.offset, hash: end.chain.hash, position: end.chain.next };
    // The one before ends in the seal that this one's header names.
    let header = &ours.header;
    if before.segment.is_some() {
        before.sealed = true;
        before.chain.next = header.first_position;
        before.chain.hash = header.previous_hash;
    }
    Ok(Some(There { before, unsealed: Some(mark) }))
}

fn diverged(number: u64, offset: u64, position: u64, what: &str) -> BackupError {
    let (segment, position) = (segment_name(number), Position(position));
    BackupError::Diverged(Damage { segment, offset, position, what: what.to_owned() })
}

struct Job<'a> {
    source: &'a dyn Disk,
    target: &'a dyn Disk,
    settle: Duration,
    twins: Twins,
    written_bytes: u64,
}

impl Job<'_> {
    /// Copies the segment that `place` is at the front of, without its seal.
    fn segment(
        &mut self,
        place: &mut Place,
        mut mark: Option<Mark>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), BackupError> {
        let segment = place.segment.clone().expect("a segment has just begun");
        let (header, name) = (Arc::clone(&segment.header), segment.name());
        let free = self.target.free_bytes()?;
        if free < header.segment_bytes {
            return Err(BackupError::NoRoom { needed: header.segment_bytes, free });
        }
        let unfinished = name.replace(".seg", UNFINISHED);
        let file = self.target.create(&unfinished)?;
        let mut out = Out { file: &*file, at: 0, waiting: Vec::new() };
        let page =
            read_up_to(&*segment.file, 0, HEADER_LEN).map_err(|e| BackupError::Source(e.into()))?;
        out.put(&page, 0)?;
        let passes = |mark: &Mark, offset, hash| mark.offset == offset && mark.hash == hash;
        mark = mark.filter(|mark| !passes(mark, place.offset, place.chain.hash));
        let mut failed = None;
        let mut visit = |met: Met<'_>| {
            let Met::Frame(segment, offset, frame) = met else { return Ok(()) };
            let end = header.align(offset + frame.bytes.len() as u64);
            if mark.as_ref().is_some_and(|mark| passes(mark, end, frame.hash)) {
                mark = None;
            }
            progress(offset);
            out.put(&frame.bytes, offset).map_err(|error| {
                failed = Some(error);
                segment.damage(offset, frame.first, "the copy cannot be written")
            })
        };
        let walked = to_the_end(self.source, place, self.settle, &mut visit);
        if let Some(error) = failed {
            return Err(error.into());
        }
        walked.map_err(BackupError::Source)?;
        if let Some(Mark { offset, position, .. }) = mark {
            let what = "the log has another frame here";
            return Err(diverged(header.number, offset, position, what));
        }
        out.fill(header.segment_bytes)?;
        self.written_bytes += header.segment_bytes;
        file.sync_data()?;
        if !self.twins.on(Twin::BackupOfUnsynced) {
            segment.file.sync_data().map_err(|e| BackupError::Source(e.into()))?;
        }
        self.target.rename(&unfinished, &name)?;
        self.target.sync_dir()?;
        Ok(())
    }

    /// Seals the copy of a segment, when the next one has its name.
    fn seal(&mut self, segment: &Segment, place: &Place) -> Result<(), BackupError> {
        let at = place.last_frame.expect("a sealed segment ends in its seal");
        let seal =
            read_up_to(&*segment.file, at, SEAL_LEN).map_err(|e| BackupError::Source(e.into()))?;
        if seal.len() != SEAL_LEN
            || check_trailer(segment.header.seed(), &seal) != Ok(place.chain.hash)
        {
            let damage = segment.damage(at, place.chain.next, "the seal has changed");
            return Err(BackupError::Source(damage.into()));
        }
        if !self.twins.on(Twin::BackupSealedTooSoon) {
            self.blank(segment.header.number + 1)?;
        }
        let file = self.target.open(&segment.name(), Access::ReadWrite)?;
        file.write_at(&seal, at)?;
        file.sync_data()?;
        Ok(())
    }

    fn blank(&self, number: u64) -> io::Result<()> {
        let name = segment_name(number);
        match self.target.open(&name, Access::Read) {
            Ok(_) => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
        let unfinished = name.replace(".seg", UNFINISHED);
        let file = self.target.create(&unfinished)?;
        file.write_at(&[0; BLANK_BYTES], 0)?;
        file.sync_data()?;
        self.target.rename(&unfinished, &name)?;
        self.target.sync_dir()
    }
}

/// Walks the segment to its seal, or to where nothing whole stands; tells damage. A writer beside us
/// may be just about to finish a write.
fn to_the_end(
    disk: &dyn Disk,
    place: &mut Place,
    settle: Duration,
    visit: &mut dyn FnMut(Met<'_>) -> Result<(), Damage>,
) -> Result<(), OpenError> {
    let mut before = None;
    loop {
        let Some(stop) = walk_segment(place, Twins::default(), visit)? else {
            return Ok(());
        };
        match judge(disk, place, &stop)? {
            End::Clean => return Ok(()),
            End::Torn(_) if before == Some(place.offset) => return Ok(()),
            End::Damaged(damage) if before == Some(place.offset) => return Err(damage.into()),
            End::Torn(_) | End::Damaged(_) => {
                before = Some(place.offset);
                std::thread::sleep(settle);
            }
        }
    }
}

/// Writes a file from front to back, with zeros where nothing is put.
struct Out<'a> {
    file: &'a dyn DiskFile,
    /// Where `waiting` goes.
    at: u64,
    waiting: Vec<u8>,
}

impl Out<'_> {
    fn put(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.waiting.resize((offset - self.at) as usize, 0);
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() >= CHUNK_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_at(&self.waiting, self.at)?;
        self.at += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }

    /// Zeros up to `len`.
    fn fill(&mut self, len: u64) -> io::Result<()> {
        self.flush()?;
        while self.at < len {
            self.waiting.resize(CHUNK_BYTES.min((len - self.at) as usize), 0);
            self.flush()?;
        }
        Ok(())
    }
}
