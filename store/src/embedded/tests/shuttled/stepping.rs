//! The simulated disk with a step around each write and sync.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use uuid::Uuid;

use super::super::super::sim::{Leaves, SimDisk};
use super::step;
use crate::embedded::{Access, Disk, DiskFile, DiskLock};

/// The simulated disk, with a step before and after each operation once it is `awake`.
#[derive(Clone)]
pub(super) struct Stepping {
    disk: SimDisk,
    awake: Arc<AtomicBool>,
}

struct SteppingFile {
    file: Arc<dyn DiskFile>,
    awake: Arc<AtomicBool>,
}

impl Stepping {
    pub(super) fn new() -> Self {
        Self { disk: SimDisk::new(), awake: Arc::default() }
    }

    /// From now on others may go on around each operation.
    pub(super) fn wake(&self) {
        self.awake.store(true, Ordering::Relaxed);
    }

    fn wrap(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(SteppingFile { file, awake: Arc::clone(&self.awake) })
    }

    /// Whether an event would be there after a power cut now: its id stands in what is durable.
    pub(super) fn is_durable(&self, id: Uuid) -> bool {
        let after = self.disk.after_power_cut(Leaves::Nothing);
        let names = after.list().expect("a list").into_iter();
        names.filter(|name| name.ends_with(".seg")).any(|name| {
            let file = after.open(&name, Access::Read).expect("a segment");
            let mut bytes = vec![0; file.len_bytes().expect("a length") as usize];
            file.read_at(&mut bytes, 0).expect("a read");
            bytes.windows(16).any(|window| window == id.as_bytes())
        })
    }
}

impl SteppingFile {
    fn around<T>(&self, operation: impl FnOnce() -> T) -> T {
        let steps = || self.awake.load(Ordering::Relaxed).then(step);
        steps();
        let result = operation();
        steps();
        result
    }
}

impl Disk for Stepping {
    fn make_dir(&self) -> io::Result<()> {
        self.disk.make_dir()
    }
    fn lock(&self) -> io::Result<Option<DiskLock>> {
        self.disk.lock()
    }
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }
    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(name, access).map(|file| self.wrap(file))
    }
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.create(name).map(|file| self.wrap(file))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }
    fn sync_dir(&self) -> io::Result<()> {
        self.disk.sync_dir()
    }
    fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes()
    }
}

impl DiskFile for SteppingFile {
    fn len_bytes(&self) -> io::Result<u64> {
        self.file.len_bytes()
    }
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.around(|| self.file.write_at(buf, offset))
    }
    fn sync_data(&self) -> io::Result<()> {
        self.around(|| self.file.sync_data())
    }
}
