//! The mirrored tail: every frame is written a second time, into the slot that does not hold the
//! frame before it, and one sync makes both copies durable. So what one of them loses the other
//! tells, and gives back (`restore`).
//!
//! ```text
//!   write frame ─► write slot ─► sync ─► answer                     it goes into a slot
//!   write frame ─► sync ─► write the slot's header ─► sync ─► answer      it is too long for one
//! ```
//!
//! Only commits are mirrored. A seal or a header page carries nothing that anybody was answered for:
//! the events before it are durable without it, and none stand behind it yet. Once something does,
//! the chain proves it.

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

    /// Writes the copy of a frame, or of its header alone where it does not fit. The caller syncs, and
    /// then says [`Mirror::done`].
    pub(crate) fn write(
        &self,
        segment: &Segment,
        header: &SlotHeader,
        frame: &[u8],
    ) -> Result<(), WriteError> {
        let at = slot_at(&segment.header, self.next);
        let mut written = segment.file.write_at(&header.encode(), at);
        if written.is_ok() && fits(&segment.header, frame.len()) {
            written = segment.file.write_at(frame, at + SLOT_HEADER_LEN as u64);
        }
        written.map_err(|e| {
            // The frame is in the segment by now: that there is no room comes too late for "full".
            let (slot, name) = (self.next, segment.name());
            WriteError::Failed(format!("cannot write to slot {slot} of {name}: {e}"))
        })
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
        self.write(segment, header, frame)?;
        self.done();
        Ok(())
    }
}
