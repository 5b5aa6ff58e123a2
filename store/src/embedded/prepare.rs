//! Segments are made ahead: created, filled with zeros and made durable before anything is written
//! into them. Writing into blocks that are there needs no change to the file system's own books,
//! so a sync costs tens of microseconds instead of milliseconds; and a roll to the next segment
//! does not wait.
//!
//! ```text
//!   NNNNNNNNNN.seg.new ──zeros, sync──► NNNNNNNNNN.seg (rename, sync the directory) ──► begun
//! ```

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::disk::{Disk, DiskFile};
use super::format::segment_name;
use super::twins::{Twin, Twins};

/// How much is written at once.
const CHUNK_BYTES: usize = 1 << 20;
/// After so many bytes the zeros are synced, so that the writer's own syncs never wait for many.
const SYNC_EVERY_BYTES: u64 = 8 << 20;
/// What the name of an unfinished segment ends in.
pub(crate) const UNFINISHED: &str = ".seg.new";

type Prepared = io::Result<Arc<dyn DiskFile>>;

/// Makes the next segment.
pub(crate) struct Preparer {
    disk: Arc<dyn Disk>,
    segment_bytes: u64,
    twins: Twins,
    /// In a thread of its own; simulations want one thing after another.
    in_background: bool,
    state: State,
    stop: Arc<AtomicBool>,
}

enum State {
    Idle,
    Running(JoinHandle<Prepared>),
    Ready(Arc<dyn DiskFile>),
}

impl Preparer {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        segment_bytes: u64,
        in_background: bool,
        twins: Twins,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        Self { disk, segment_bytes, twins, in_background, state: State::Idle, stop }
    }

    /// A segment that was prepared by an earlier run.
    pub(crate) fn adopt(&mut self, file: Arc<dyn DiskFile>) {
        self.state = State::Ready(file);
    }

    /// Begins to prepare segment `number`, unless one is ready. What goes wrong shows in
    /// [`Preparer::take`].
    pub(crate) fn start(&mut self, number: u64) {
        if !matches!(self.state, State::Idle) {
            return;
        }
        let (disk, bytes, twins) = (Arc::clone(&self.disk), self.segment_bytes, self.twins);
        let stop = Arc::clone(&self.stop);
        let work = move || prepare(&*disk, number, bytes, twins, &stop);
        if self.in_background {
            let thread = std::thread::Builder::new().name("holdfast-prepare".into());
            match thread.spawn(work) {
                Ok(handle) => self.state = State::Running(handle),
                Err(error) => tracing::warn!(%error, "no thread to prepare a segment"),
            }
        } else if let Ok(file) = work() {
            self.state = State::Ready(file);
        }
    }

    /// Segment `number`, prepared: waits for it, and tries (once more) here if it is not there.
    pub(crate) fn take(&mut self, number: u64) -> Prepared {
        let ready = match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle => None,
            State::Ready(file) => Some(file),
            State::Running(thread) => match thread.join() {
                Ok(Ok(file)) => Some(file),
                Ok(Err(_)) | Err(_) => None,
            },
        };
        match ready {
            Some(file) => Ok(file),
            None => prepare(&*self.disk, number, self.segment_bytes, self.twins, &self.stop),
        }
    }

    /// Puts back what was taken and not used.
    pub(crate) fn give_back(&mut self, file: Arc<dyn DiskFile>) {
        self.state = State::Ready(file);
    }
}

impl Drop for Preparer {
    /// Nothing goes on behind the back of whoever opens the directory next.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let State::Running(thread) = std::mem::replace(&mut self.state, State::Idle) {
            let _ = thread.join();
        }
    }
}

fn prepare(disk: &dyn Disk, number: u64, bytes: u64, twins: Twins, stop: &AtomicBool) -> Prepared {
    // Asked first, so that a full disk is not filled to the brim at each try.
    if disk.free_bytes()? < bytes {
        return Err(io::ErrorKind::StorageFull.into());
    }
    let name = segment_name(number);
    let unfinished = name.replace(".seg", UNFINISHED);
    match disk.remove(&unfinished) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        Ok(()) | Err(_) => {}
    }
    let file = disk.create(&unfinished)?;
    let made = fill(&*file, bytes, twins, stop).and_then(|()| disk.rename(&unfinished, &name));
    if let Err(error) = made {
        let _ = disk.remove(&unfinished);
        return Err(error);
    }
    if !twins.on(Twin::NoDirectorySync) {
        disk.sync_dir()?;
    }
    Ok(file)
}

fn fill(file: &dyn DiskFile, bytes: u64, twins: Twins, stop: &AtomicBool) -> io::Result<()> {
    let zeros = vec![0; CHUNK_BYTES.min(bytes as usize)];
    let mut at = 0;
    while at < bytes {
        if stop.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let len = zeros.len().min((bytes - at) as usize);
        file.write_at(&zeros[..len], at)?;
        at += len as u64;
        let due = at % SYNC_EVERY_BYTES == 0 || at == bytes;
        if due && !twins.on(Twin::ZerosNotSynced) {
            file.sync_data()?;
        }
    }
    Ok(())
}
