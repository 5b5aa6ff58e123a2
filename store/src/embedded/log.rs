//! The end of the log that is written: one frame after the other, each durable before the next.
//!
//! ```text
//!   write copy ──► write frame ──► name the copy ──► sync ──► mark ──► (caller publishes and answers)
//!   segment full: seal ──sync──► header of the next, prepared segment ──sync──► go on there
//! ```
//!
//! After a failed write or sync nobody knows what is on the disk: nothing is tried again, the log is
//! over until the process starts anew and recovery looks.

use std::io;
use std::sync::Arc;

use super::Entropy;
use super::disk::{Access, Disk, DiskFile, read_up_to};
use super::format::{
    FORMAT_VERSION, FRAME_ALIGN, HEADER_LEN, SEAL_LEN, SegmentHeader, frames_end, seal,
    segment_name, slot_len,
};
use super::frame::{Frame, FrameBuilder, frame_len};
use super::marker::Marker;
use super::mirror::Mirror;
use super::prepare::Preparer;
use super::scan::{Chain, Place, Segment, is_zero};
use super::slot::{SlotHeader, fits};
use super::twins::{Twin, Twins};
use crate::Clock;

/// Why nothing was written.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// No room; the log is as it was and may be asked again.
    Full,
    /// Nobody knows what is on the disk; the log is over.
    Failed(String),
}

impl WriteError {
    /// As an error of opening the log.
    pub(crate) fn into_io(self) -> io::Error {
        match self {
            Self::Full => io::ErrorKind::StorageFull.into(),
            Self::Failed(why) => io::Error::other(why),
        }
    }
}

/// The end of the log.
pub(crate) struct Log {
    /// Where the next frame goes. `segment` is always there once the log is open.
    pub(crate) place: Place,
    /// Up to here an earlier write, cut short by a full disk, may have left bytes.
    dirty_until: u64,
    /// A write or sync has failed.
    over: bool,
    pub(crate) preparer: Preparer,
    mirror: Mirror,
    marker: Marker,
    pub(crate) clock: Clock,
    pub(crate) entropy: Entropy,
    twins: Twins,
}

impl Log {
    pub(crate) fn new(
        place: Place,
        preparer: Preparer,
        mirror: Mirror,
        marker: Marker,
        clock: Clock,
        entropy: Entropy,
        twins: Twins,
    ) -> Self {
        Self { place, dirty_until: 0, over: false, preparer, mirror, marker, clock, entropy, twins }
    }

    /// The longest frame that still goes into this segment.
    pub(crate) fn room(&self) -> usize {
        match &self.place.segment {
            Some(segment) if !self.place.sealed => {
                room(segment.header.frames_end(), self.place.offset)
            }
            Some(_) | None => 0,
        }
    }

    /// Whether a frame with so long a body goes into an empty segment.
    pub(crate) fn could_hold(&self, body_len: usize, segment_bytes: u64) -> bool {
        let frames_end = frames_end(segment_bytes, slot_len(segment_bytes));
        frame_len(body_len) <= room(frames_end, HEADER_LEN as u64)
    }

    /// Puts a frame at its place in the chain, without writing it.
    pub(crate) fn finish(&self, frame: &mut FrameBuilder) -> Frame {
        let chain = &self.place.chain;
        let now = self.clock.now_micros().max(chain.recorded_at_micros);
        frame.finish(self.segment().header.seed(), chain.hash, chain.next, now)
    }

    fn segment(&self) -> &Segment {
        self.place.segment.as_ref().expect("an open log has a segment")
    }

    /// Writes a frame and makes it durable, twice; gives its offset.
    pub(crate) fn write(&mut self, frame: &Frame) -> Result<u64, WriteError> {
        let written = self.write_frame(frame);
        self.over |= matches!(written, Err(WriteError::Failed(_)));
        written
    }

    fn write_frame(&mut self, frame: &Frame) -> Result<u64, WriteError> {
        assert!(!self.over, "nothing is written once the log is over");
        assert_eq!(frame.first, self.place.chain.next, "a frame goes behind the one before it");
        assert_eq!(frame.previous_hash, self.place.chain.hash, "a frame names the one before it");
        assert!(frame.bytes.len() <= self.room(), "a frame never crosses segments");
        assert!(self.segment().header.slot_len > 0, "what is written is of today's version");
        let offset = self.place.offset;
        let copy = self.place.mirrored(offset, &frame.bytes);
        if fits(&self.segment().header, frame.bytes.len()) {
            self.write_with_copy(&copy, &frame.bytes)?;
        } else {
            self.write_and_name(&copy, &frame.bytes)?;
        }
        self.mirror.done();
        self.marker.set(&copy);
        self.advance(frame.bytes.len(), frame.hash);
        self.place.chain.next = frame.last() + 1;
        self.place.chain.recorded_at_micros = frame.recorded_at_micros;
        self.place.frames += 1;
        Ok(offset)
    }

    /// A frame and its copy, under one sync.
    fn write_with_copy(&mut self, copy: &SlotHeader, frame: &[u8]) -> Result<(), WriteError> {
        if self.twins.on(Twin::MirrorNotAwaited) {
            self.put(frame)?;
            self.sync()?;
            self.mirror.write_copy(self.segment(), frame)?;
            return self.mirror.write_header(self.segment(), copy);
        }
        if self.twins.on(Twin::CopyBehindFrame) {
            self.put(frame)?;
            self.mirror.write_copy(self.segment(), frame)?;
        } else {
            self.mirror.write_copy(self.segment(), frame)?;
            self.put(frame)?;
        }
        self.mirror.write_header(self.segment(), copy)?;
        self.sync_commit()
    }

    /// A frame that is too long to be copied. The slot's header alone says that it was durable, so it
    /// waits until it is.
    fn write_and_name(&mut self, copy: &SlotHeader, frame: &[u8]) -> Result<(), WriteError> {
        if self.twins.on(Twin::MarkBeforeData) {
            self.mirror.write_header(self.segment(), copy)?;
            self.sync()?;
            self.put(frame)?;
            return self.sync();
        }
        self.put(frame)?;
        self.sync_commit()?;
        self.mirror.write_header(self.segment(), copy)?;
        if self.twins.on(Twin::MirrorNotAwaited) { Ok(()) } else { self.sync_commit() }
    }

    /// What an acknowledgement waits for.
    fn sync_commit(&self) -> Result<(), WriteError> {
        if self.twins.on(Twin::AckBeforeSync) { Ok(()) } else { self.sync() }
    }

    /// Seals the segment and begins the next. After [`WriteError::Full`] it can be called again and
    /// goes on where it was.
    pub(crate) fn roll(&mut self) -> Result<Segment, WriteError> {
        assert!(!self.over, "nothing is written once the log is over");
        let rolled = self.seal_and_begin();
        self.over |= matches!(rolled, Err(WriteError::Failed(_)));
        rolled
    }

    fn seal_and_begin(&mut self) -> Result<Segment, WriteError> {
        let number = self.place.next_number();
        let file = match self.preparer.take(number) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::StorageFull => return Err(WriteError::Full),
            Err(e) => {
                return Err(WriteError::Failed(format!("cannot prepare segment {number}: {e}")));
            }
        };
        let rolled = self.seal().and_then(|()| self.begin(number, &file));
        match rolled {
            Ok(segment) => {
                self.preparer.start(number + 1);
                Ok(segment)
            }
            Err(WriteError::Full) => {
                self.preparer.give_back(file);
                Err(WriteError::Full)
            }
            Err(failed @ WriteError::Failed(_)) => Err(failed),
        }
    }

    fn seal(&mut self) -> Result<(), WriteError> {
        let Some(segment) = self.place.segment.as_ref().filter(|_| !self.place.sealed) else {
            return Ok(());
        };
        let (header, chain) = (Arc::clone(&segment.header), &self.place.chain);
        let events = chain.next - header.first_position;
        let (frame, hash) = seal(
            header.seed(),
            chain.hash,
            chain.next,
            chain.recorded_at_micros,
            self.place.frames,
            events,
        );
        self.put(&frame)?;
        if !self.twins.on(Twin::SealNotSynced) {
            self.sync()?;
        }
        self.advance(frame.len(), hash);
        self.place.sealed = true;
        Ok(())
    }

    /// Writes the header of a prepared segment and goes on behind it.
    fn begin(&mut self, number: u64, file: &Arc<dyn DiskFile>) -> Result<Segment, WriteError> {
        let failed = |what: &str, e: io::Error| {
            WriteError::Failed(format!("{what} of segment {number}: {e}"))
        };
        let random = |_| WriteError::Failed("the machine gives no random numbers".to_owned());
        let store_id = match self.place.store_id {
            Some(id) => id,
            None => {
                uuid::Builder::from_random_bytes(self.entropy.bytes().map_err(random)?).into_uuid()
            }
        };
        let chain = &self.place.chain;
        let segment_bytes = file.len_bytes().map_err(|e| failed("cannot ask the length", e))?;
        let mut header = SegmentHeader {
            version: FORMAT_VERSION,
            store_id,
            number,
            first_position: chain.next,
            previous_hash: chain.hash,
            frame_align: FRAME_ALIGN,
            segment_bytes,
            slot_len: slot_len(segment_bytes),
            salt: u64::from_le_bytes(self.entropy.bytes().map_err(random)?),
            created_at_micros: self.clock.now_micros().max(chain.recorded_at_micros),
            hash: 0,
        };
        let page = header.encode();
        match file.write_at(&page, 0) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::StorageFull => return Err(WriteError::Full),
            Err(e) => return Err(failed("cannot write the header", e)),
        }
        file.sync_data().map_err(|e| failed("cannot sync the header", e))?;
        self.dirty_until = 0;
        self.mirror.begin_segment();
        let chain = Chain { hash: header.hash, ..self.place.chain.clone() };
        let offset = header.align(HEADER_LEN as u64);
        let segment = Segment { header: Arc::new(header), file: Arc::clone(file) };
        self.place = Place {
            store_id: Some(store_id),
            segment: Some(segment.clone()),
            offset,
            last_frame: None,
            sealed: false,
            frames: 0,
            chain,
        };
        Ok(segment)
    }

    /// Writes bytes at the end, over whatever an unfinished write has left there.
    fn put(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let offset = self.place.offset;
        let end = offset + bytes.len() as u64;
        let file = Arc::clone(&self.segment().file);
        let written = if self.twins.on(Twin::LeavingsNotCleaned) && self.dirty_until > end {
            let mut bytes = bytes.to_vec();
            bytes.resize((self.dirty_until - offset) as usize, 0);
            file.write_at(&bytes, offset).map(|()| self.dirty_until = 0)
        } else {
            self.clean(&*file, offset)?.and_then(|()| file.write_at(bytes, offset))
        };
        match written {
            Ok(()) => Ok(()),
            // Not all of it was written, so there is no whole frame, and nobody was answered.
            Err(e) if e.kind() == io::ErrorKind::StorageFull => {
                self.dirty_until = self.dirty_until.max(end);
                Err(WriteError::Full)
            }
            Err(e) => Err(WriteError::Failed(format!(
                "cannot write to {} at offset {offset}: {e}",
                self.segment().name()
            ))),
        }
    }

    /// Takes away what a write that found no room has left at the end, durably, before the next frame
    /// goes there. Else that one, torn over it, would not show the zeros by which a torn write is
    /// known; or be whole with the disk full behind it, when the answer is that nothing was recorded.
    fn clean(&mut self, file: &dyn DiskFile, offset: u64) -> Result<io::Result<()>, WriteError> {
        let dirty = self.dirty_until.saturating_sub(offset) as usize;
        if dirty > 0 {
            if let Err(error) = file.write_at(&vec![0; dirty], offset) {
                return Ok(Err(error));
            }
            self.sync()?;
        }
        self.dirty_until = 0;
        Ok(Ok(()))
    }

    fn sync(&self) -> Result<(), WriteError> {
        let segment = self.segment();
        match segment.file.sync_data() {
            Ok(()) => Ok(()),
            // What could not be synced may be forgotten, and the next sync says that all is well.
            Err(_) if self.twins.on(Twin::SyncRetried) && segment.file.sync_data().is_ok() => {
                Ok(())
            }
            Err(e) => Err(WriteError::Failed(format!("cannot sync {}: {e}", segment.name()))),
        }
    }

    fn advance(&mut self, len: usize, hash: u32) {
        let at = self.place.offset;
        self.place.offset = self.segment().header.align(at + len as u64);
        self.place.last_frame = Some(at);
        self.place.chain.hash = hash;
    }
}

/// What fits between `offset` and the end, with room for the seal behind it.
fn room(frames_end: u64, offset: u64) -> usize {
    let kept = SEAL_LEN as u64 + u64::from(FRAME_ALIGN);
    frames_end.saturating_sub(offset + kept) as usize
}

/// Opens a prepared segment of an earlier run, if it is what this run would prepare. It has not
/// begun (the caller has made sure), so at most its header was torn, and that is written over whole.
/// One that does not fit is left: the next one takes its name, and there is no moment without any.
pub(crate) fn adopt_prepared(
    disk: &dyn Disk,
    number: u64,
    segment_bytes: u64,
) -> io::Result<Option<Arc<dyn DiskFile>>> {
    let file = match disk.open(&segment_name(number), Access::ReadWrite) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    if file.len_bytes()? != segment_bytes {
        return Ok(None);
    }
    let blank = read_up_to(&*file, 0, HEADER_LEN)?.iter().all(|b| *b == 0);
    Ok((blank || is_zero(&*file, HEADER_LEN as u64)?).then_some(file))
}
