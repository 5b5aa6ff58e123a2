//! The mark: a file beside the segments that says which frame was acknowledged last. It is written
//! behind each sync and synced itself only at the end, so it costs nearly nothing, may be a little old
//! after a power cut, and never says too much. A log that ends before its mark has lost what was
//! acknowledged: an older copy of its last segment was put back, or both copies of a frame are gone.
//!
//! Its bytes are the header of a slot: see "The mirrored tail" in `store/FORMAT.md`.

use std::io;
use std::sync::Arc;

use super::disk::{Access, Disk, DiskFile, read_up_to};
use super::slot::{SLOT_HEADER_LEN, SlotHeader};

/// The name of the file.
pub(crate) const MARK_FILE: &str = "acked";

/// The mark, open to write. Where it cannot be kept the log does without.
pub(crate) struct Marker {
    file: Option<Arc<dyn DiskFile>>,
}

impl Marker {
    pub(crate) fn open(disk: &dyn Disk) -> Self {
        let file = match disk.open(MARK_FILE, Access::ReadWrite) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => disk.create(MARK_FILE),
            opened => opened,
        };
        let file = file.inspect_err(|error| tracing::warn!(%error, "{MARK_FILE} cannot be kept"));
        Self { file: file.ok() }
    }

    /// Notes a frame that is durable.
    pub(crate) fn set(&mut self, frame: &SlotHeader) {
        if let Some(file) = &self.file
            && let Err(error) = file.write_at(&frame.encode(), 0)
        {
            tracing::warn!(%error, "{MARK_FILE} is kept no longer");
            self.file = None;
        }
    }
}

impl Drop for Marker {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.file.as_ref().map(|file| file.sync_data()) {
            tracing::debug!(%error, "{MARK_FILE} may be a little old");
        }
    }
}

/// What the mark says, if it says anything.
pub(crate) fn read_mark(disk: &dyn Disk) -> io::Result<Option<SlotHeader>> {
    match disk.open(MARK_FILE, Access::Read) {
        Ok(file) => Ok(SlotHeader::decode(&read_up_to(&*file, 0, SLOT_HEADER_LEN)?).ok()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}
