//! The mark: a file beside the segments that says which frame was acknowledged last. It is written
//! behind each sync, and synced itself only when it is made, when the log is opened and at the end: so
//! it costs nearly nothing, may be old after a power cut, and never says too much. A log that ends before its mark has lost what was
//! acknowledged: an older copy of its last segment was put back, or both copies of a frame are gone.
//!
//! Its bytes are the header of a slot: see "The mirrored tail" in `store/FORMAT.md`.

use std::io;
use std::sync::Arc;

use super::disk::{Access, Disk, DiskFile, read_up_to};
use super::slot::{SLOT_HEADER_LEN, Slot, SlotHeader};

/// The name of the file.
pub(crate) const MARK_FILE: &str = "acked";

/// The mark, open to write. Where it cannot be kept the log does without.
pub(crate) struct Marker {
    disk: Arc<dyn Disk>,
    state: State,
}

enum State {
    /// The file is there, or will be with the first frame: where it is, there were frames.
    Closed,
    Open(Arc<dyn DiskFile>),
    /// It is kept no longer.
    Lost,
}

impl Marker {
    pub(crate) fn new(disk: &Arc<dyn Disk>) -> Self {
        Self { disk: Arc::clone(disk), state: State::Closed }
    }

    /// Notes a frame that is durable.
    pub(crate) fn set(&mut self, frame: &SlotHeader) {
        let written = match &self.state {
            State::Open(file) => file.write_at(&frame.encode(), 0),
            State::Closed => open(&*self.disk, frame).map(|file| self.state = State::Open(file)),
            State::Lost => Ok(()),
        };
        if let Err(error) = written {
            tracing::warn!(%error, "{MARK_FILE} is kept no longer");
            self.state = State::Lost;
        }
    }
}

/// Opens or makes the file, with what it is to say, durably.
fn open(disk: &dyn Disk, frame: &SlotHeader) -> io::Result<Arc<dyn DiskFile>> {
    let (file, made) = match disk.open(MARK_FILE, Access::ReadWrite) {
        Ok(file) => (file, false),
        Err(e) if e.kind() == io::ErrorKind::NotFound => (disk.create(MARK_FILE)?, true),
        Err(e) => return Err(e),
    };
    file.write_at(&frame.encode(), 0)?;
    file.sync_data()?;
    if made {
        disk.sync_dir()?;
    }
    Ok(file)
}

impl Drop for Marker {
    fn drop(&mut self) {
        if let State::Open(file) = &self.state
            && let Err(error) = file.sync_data()
        {
            tracing::debug!(%error, "{MARK_FILE} may be a little old");
        }
    }
}

/// What the mark says; broken where it is not whole. Where there is one there were frames.
pub(crate) fn read_mark(disk: &dyn Disk) -> io::Result<Slot> {
    match disk.open(MARK_FILE, Access::Read) {
        Ok(file) => {
            let header = SlotHeader::decode(&read_up_to(&*file, 0, SLOT_HEADER_LEN)?);
            Ok(header.map_or(Slot::Broken, Slot::Mark))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Slot::Blank),
        Err(e) => Err(e),
    }
}
