//! The files of sealed segments, opened when they are read: however many there are, only so many are
//! open at a time.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::disk::{Access, Disk, DiskFile, read_up_to};
use super::format::segment_name;
use super::index::index_name;

/// How many files of sealed segments are open at a time.
const OPEN_FILES: usize = 32;

/// Which file of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The segment itself.
    Segment,
    /// Its index.
    Index,
}

/// The open files, those asked for last in front.
pub(crate) struct Files {
    disk: Arc<dyn Disk>,
    open: Mutex<Vec<Open>>,
}

type Open = (u64, Part, Arc<dyn DiskFile>);

impl Files {
    pub(crate) fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, open: Mutex::default() }
    }

    pub(crate) fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// A file of a segment, to read.
    pub(crate) fn get(&self, segment: u64, part: Part) -> io::Result<Arc<dyn DiskFile>> {
        let open = || self.open.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut open = open();
            if let Some(at) = open.iter().position(|(s, p, _)| (*s, *p) == (segment, part)) {
                open[..=at].rotate_right(1);
                return Ok(Arc::clone(&open[0].2));
            }
        }
        let name = match part {
            Part::Segment => segment_name(segment),
            Part::Index => index_name(segment),
        };
        let file = self.disk.open(&name, Access::Read)?;
        let mut open = open();
        open.truncate(OPEN_FILES - 1);
        open.insert(0, (segment, part, Arc::clone(&file)));
        Ok(file)
    }

    /// Reads `len` bytes, or fewer where the file ends.
    pub(crate) fn read(
        &self,
        segment: u64,
        part: Part,
        at: u64,
        len: usize,
    ) -> io::Result<Vec<u8>> {
        read_up_to(&*self.get(segment, part)?, at, len)
    }

    /// Closes a file, whose name another one takes.
    pub(crate) fn forget(&self, segment: u64, part: Part) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(s, p, _)| (*s, *p) != (segment, part));
    }
}
