//! The mirrored tail: every frame is written a second time, into the slot that does not hold the
//! frame before it, and is acknowledged when both copies are durable. So what one of them loses the
//! other tells, and gives back (`restore`).
//!
//! ```text
//!   writer thread   write to the segment ─┬─ sync ──────────────┬─ both durable ─► answer
//!   mirror thread                         └─ write slot ─ sync ─┘
//! ```
//!
//! Only commits are mirrored. A seal or a header page carries nothing that anybody was answered for:
//! the events before it are durable without it, and none stand behind it yet. Once something does,
//! the chain proves it.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use bytes::Bytes;

use super::disk::{Access, Disk, DiskFile};
use super::log::WriteError;
use super::slot::{SLOT_HEADER_LEN, SLOT_NAMES, Slot, SlotHeader};
use super::twins::{Twin, Twins};

/// How long a slot is made: a whole group commit goes in. One long append makes it longer.
const SLOT_BYTES: u64 = (1 << 20) + 4096;
/// What the name of a slot that is being made ends in.
const UNFINISHED: &str = ".new";

/// In which order the two copies become durable where there is one thread for both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum MirrorOrder {
    #[default]
    SegmentFirst,
    #[cfg_attr(not(test), expect(dead_code, reason = "simulations try both"))]
    MirrorFirst,
}

/// How the mirror is run.
#[derive(Clone, Copy)]
pub(crate) struct MirrorOptions {
    /// No slot is longer than a segment when it is made.
    pub(crate) segment_bytes: u64,
    pub(crate) in_background: bool,
    pub(crate) order: MirrorOrder,
    pub(crate) twins: Twins,
}

/// The two slots, open to write.
pub(crate) struct Mirror {
    files: [Arc<dyn DiskFile>; 2],
    /// The slot that the next frame goes to.
    next: usize,
    hands: Hands,
    twins: Twins,
}

/// Who writes the copy.
enum Hands {
    /// The writer itself; with what is yet to do.
    Own(MirrorOrder, Option<Job>),
    Helper(Helper),
}

/// A copy to make.
struct Job {
    slot: usize,
    file: Arc<dyn DiskFile>,
    header: [u8; SLOT_HEADER_LEN],
    frame: Bytes,
    synced: bool,
}

impl Job {
    fn run(&self) -> Result<(), WriteError> {
        let failed = |what: &str, e: io::Error| {
            WriteError::Failed(format!("cannot {what} {}: {e}", SLOT_NAMES[self.slot]))
        };
        // The frame is in the segment by now: that there is no room here comes too late for "full".
        self.file.write_at(&self.header, 0).map_err(|e| failed("write to", e))?;
        self.file
            .write_at(&self.frame, SLOT_HEADER_LEN as u64)
            .map_err(|e| failed("write to", e))?;
        if self.synced {
            self.file.sync_data().map_err(|e| failed("sync", e))?;
        }
        Ok(())
    }
}

/// The mirror's thread. One job is on its way at a time.
struct Helper {
    jobs: Option<SyncSender<Job>>,
    done: Receiver<Result<(), WriteError>>,
    thread: Option<JoinHandle<()>>,
}

impl Helper {
    fn start() -> io::Result<Self> {
        let (jobs, todo) = sync_channel::<Job>(1);
        let (told, done) = sync_channel(1);
        let work = move || {
            for job in todo {
                if told.send(job.run()).is_err() {
                    break;
                }
            }
        };
        let thread = std::thread::Builder::new().name("holdfast-mirror".into()).spawn(work)?;
        Ok(Self { jobs: Some(jobs), done, thread: Some(thread) })
    }

    fn gone() -> WriteError {
        WriteError::Failed("the mirror's thread has ended".to_owned())
    }

    fn give(&self, job: Job) -> Result<(), WriteError> {
        let jobs = self.jobs.as_ref().expect("it is not dropped yet");
        jobs.send(job).map_err(|_| Self::gone())
    }

    fn wait(&self) -> Result<(), WriteError> {
        self.done.recv().unwrap_or_else(|_| Err(Self::gone()))
    }
}

impl Drop for Helper {
    /// Nothing goes on behind the back of whoever opens the directory next.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Mirror {
    /// Opens the two slots, making what is not there. `found` is what they hold.
    pub(crate) fn open(
        disk: &dyn Disk,
        options: MirrorOptions,
        found: &[Slot; 2],
    ) -> io::Result<Self> {
        let MirrorOptions { segment_bytes, in_background, order, twins } = options;
        let len = SLOT_BYTES.min(segment_bytes);
        let files = [open_slot(disk, 0, len)?, open_slot(disk, 1, len)?];
        if found.iter().any(|slot| matches!(slot, Slot::Missing)) {
            disk.sync_dir()?;
        }
        let newest = found.iter().filter_map(Slot::whole).max_by_key(|m| m.frame.first);
        let next = newest.map_or(0, |newest| 1 - newest.slot);
        let hands =
            if in_background { Hands::Helper(Helper::start()?) } else { Hands::Own(order, None) };
        Ok(Self { files, next, hands, twins })
    }

    /// Makes sure that a copy of so long a frame has room. Nothing of the frame is written yet, so a
    /// full disk can still be told as such.
    pub(crate) fn make_room(&self, frame_len: usize) -> Result<(), WriteError> {
        let name = SLOT_NAMES[self.next];
        grow(&*self.files[self.next], (SLOT_HEADER_LEN + frame_len) as u64).map_err(|e| {
            if e.kind() == io::ErrorKind::StorageFull {
                WriteError::Full
            } else {
                WriteError::Failed(format!("cannot lengthen {name}: {e}"))
            }
        })
    }

    /// Begins to copy a frame that was written to its segment and is about to be synced there.
    pub(crate) fn begin(&mut self, header: &SlotHeader, frame: &Bytes) -> Result<(), WriteError> {
        let job = Job {
            slot: self.next,
            file: Arc::clone(&self.files[self.next]),
            header: header.encode(),
            frame: frame.clone(),
            synced: !self.twins.on(Twin::MirrorNotAwaited) && !self.twins.on(Twin::AckBeforeSync),
        };
        match &mut self.hands {
            Hands::Helper(helper) => helper.give(job),
            Hands::Own(MirrorOrder::MirrorFirst, _) => job.run(),
            Hands::Own(MirrorOrder::SegmentFirst, waiting) => {
                *waiting = Some(job);
                Ok(())
            }
        }
    }

    /// Waits until the copy that was begun is durable.
    pub(crate) fn wait(&mut self) -> Result<(), WriteError> {
        match &mut self.hands {
            Hands::Helper(helper) => helper.wait()?,
            Hands::Own(_, waiting) => waiting.take().map_or(Ok(()), |job| job.run())?,
        }
        if !self.twins.on(Twin::MirrorOneSlot) {
            self.next = 1 - self.next;
        }
        Ok(())
    }

    /// Makes the copy of the log's last frame durable before anything is served: into the slot that
    /// has it already, with the same bytes, or else over the older one.
    pub(crate) fn settle(
        &mut self,
        header: &SlotHeader,
        frame: &Bytes,
        found: &[Slot; 2],
    ) -> Result<(), WriteError> {
        let mirrored = found.iter().filter_map(Slot::whole);
        let same = mirrored.into_iter().find(|m| m.header == *header && m.frame.bytes == *frame);
        if let Some(same) = same {
            self.next = same.slot;
        }
        self.make_room(frame.len())?;
        self.begin(header, frame)?;
        self.wait()
    }
}

/// Opens a slot, or makes it: filled with zeros, so that a sync has no books to keep.
fn open_slot(disk: &dyn Disk, slot: usize, len: u64) -> io::Result<Arc<dyn DiskFile>> {
    let name = SLOT_NAMES[slot];
    let made = match disk.open(name, Access::ReadWrite) {
        Ok(file) => grow(&*file, len).map(|()| file),
        Err(e) if e.kind() == io::ErrorKind::NotFound => make_slot(disk, name, len),
        Err(e) => Err(e),
    };
    made.map_err(|e| {
        if e.kind() != io::ErrorKind::StorageFull {
            return e;
        }
        let what = format!("no room for {name} ({len} bytes); free some space");
        io::Error::new(io::ErrorKind::StorageFull, what)
    })
}

fn make_slot(disk: &dyn Disk, name: &str, len: u64) -> io::Result<Arc<dyn DiskFile>> {
    let unfinished = format!("{name}{UNFINISHED}");
    match disk.remove(&unfinished) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        Ok(()) | Err(_) => {}
    }
    let file = disk.create(&unfinished)?;
    if let Err(error) = grow(&*file, len).and_then(|()| disk.rename(&unfinished, name)) {
        let _ = disk.remove(&unfinished);
        return Err(error);
    }
    Ok(file)
}

/// Lengthens a file with zeros to at least `len` bytes, durably.
fn grow(file: &dyn DiskFile, len: u64) -> io::Result<()> {
    let there = file.len_bytes()?;
    if there >= len {
        return Ok(());
    }
    file.write_at(&vec![0; (len - there) as usize], there)?;
    file.sync_data()
}
