//! The mirrored tail: every frame is written a second time, into the slot that does not hold the
//! frame before it, and one sync makes both copies durable. So what one of them loses the other
//! tells, and gives back (`restore`).
//!
//! ```text
//!   write copy ─► write frame ─► write the slot's header ─► sync ─► answer     it goes into a slot
//!   write frame ─► sync ─► write the slot's header ─► sync ─► answer      it is too long for one
//! ```
//!
//! The copy goes first, so that a disk without room is met before there is a frame: then nothing was
//! recorded, and whoever waits can be told so. A whole frame cannot be taken back, readers beside the
//! writer may have shown it. The header goes behind it: what a slot names, the segment has. By then
//! there is room for it, as it lies in the page into which the copy was just written.
//!
//! Only commits are mirrored. A seal or a header page carries nothing that anybody was answered for:
//! the events before it are durable without it, and none stand behind it yet. Once something does,
//! the chain proves it.

use std::io;

use super::log::WriteError;
use super::scan::Segment;
use super::slot::{SLOT_HEADER_LEN, Slot, SlotHeader, fits, slot_at};
use super::twins::{Twin, Twins};

/// Which slot comes next.
pub(crate) struct Mirror {
    next: usize,
    twins: Twins,
}

impl Mirror {
    /// Goes on behind what the slots of the last segment hold.
    pub(crate) fn new(found: &[Slot; 2], twins: Twins) -> Self {
        let newest = (0..2).max_by_key(|slot| found[*slot].header().map(|header| header.offset));
        let next = newest.filter(|slot| found[*slot].header().is_some()).map_or(0, |slot| 1 - slot);
        Self { next, twins }
    }

    /// A segment begins: both its slots are blank.
    pub(crate) fn begin_segment(&mut self) {
        self.next = 0;
    }

    /// Writes the copy of a frame, where it fits. Without its header it is none yet: that of an older
    /// copy, which still stands before it, names other checksums.
    pub(crate) fn write_copy(&self, segment: &Segment, frame: &[u8]) -> Result<(), WriteError> {
        if !fits(&segment.header, frame.len()) {
            return Ok(());
        }
        let at = slot_at(&segment.header, self.next) + SLOT_HEADER_LEN as u64;
        match segment.file.write_at(frame, at) {
            Err(e) if e.kind() == io::ErrorKind::StorageFull => Err(WriteError::Full),
            written => written.map_err(|e| self.failed("write", segment, e)),
        }
    }

    /// Writes the slot's header. The caller syncs, and then says [`Mirror::done`].
    pub(crate) fn write_header(
        &self,
        segment: &Segment,
        header: &SlotHeader,
    ) -> Result<(), WriteError> {
        let at = slot_at(&segment.header, self.next);
        // The frame is in the segment by now: that there is no room comes too late for "full".
        segment.file.write_at(&header.encode(), at).map_err(|e| self.failed("name", segment, e))
    }

    fn failed(&self, what: &str, segment: &Segment, error: io::Error) -> WriteError {
        let (slot, name) = (self.next, segment.name());
        WriteError::Failed(format!("cannot {what} the copy in slot {slot} of {name}: {error}"))
    }

    /// The copy is durable: the next one goes into the other slot.
    pub(crate) fn done(&mut self) {
        if !self.twins.on(Twin::MirrorOneSlot) {
            self.next = 1 - self.next;
        }
    }

    /// Writes the copy of the log's last frame before anything is served, into the slot that has it
    /// already, with the same bytes, or else over the older one. The caller syncs.
    pub(crate) fn settle(
        &mut self,
        segment: &Segment,
        header: &SlotHeader,
        frame: &[u8],
        found: &[Slot; 2],
    ) -> Result<(), WriteError> {
        if let Some(same) = (0..2).find(|slot| found[*slot].header() == Some(header)) {
            self.next = same;
        }
        self.write_copy(segment, frame)?;
        self.write_header(segment, header)?;
        self.done();
        Ok(())
    }
}
