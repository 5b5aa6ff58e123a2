//! All that the log asks of a disk: a few verbs on one directory, so that a simulation
//! ([`super::sim::SimDisk`]) can stand in and lie, tear and fail.

use std::any::Any;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Name of the lock file.
pub(crate) const LOCK_FILE: &str = "lock";

/// Held as long as the log is open for writing; the operating system lets go of it when the process
/// ends, however it ends.
pub type DiskLock = Box<dyn Any + Send + Sync>;

/// A directory. Names are plain file names in it, or `directory/file` where one was made with
/// [`Disk::make_sub_dir`].
pub trait Disk: Send + Sync + 'static {
    /// Makes the directory, durably, if it is not there.
    fn make_dir(&self) -> io::Result<()>;
    /// Takes the lock; `None` when somebody else has it.
    fn lock(&self) -> io::Result<Option<DiskLock>>;
    /// The names of the files there, in any order.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Opens a file that is there.
    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn DiskFile>>;
    /// Makes a new empty file; fails when the name is taken.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Gives a file another name, taking that name from whoever has it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Gives a file a second name; fails when that is taken, and with [`io::ErrorKind::Unsupported`]
    /// where a file has only one.
    fn link(&self, _from: &str, _to: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Takes a name away.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes all that was done to names durable.
    fn sync_dir(&self) -> io::Result<()>;
    /// Makes a directory in this one, durably, if it is not there. A file in it is named
    /// `directory/file`. Where names are plain keys, as on a simulated disk, nothing is to be done.
    fn make_sub_dir(&self, _name: &str) -> io::Result<()> {
        Ok(())
    }
    /// Makes durable what was done to names in such a directory.
    fn sync_sub_dir(&self, _name: &str) -> io::Result<()> {
        self.sync_dir()
    }
    /// How many bytes still fit.
    fn free_bytes(&self) -> io::Result<u64>;
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only to read.
    Read,
    /// To read and write.
    ReadWrite,
}

/// An open file.
pub trait DiskFile: Send + Sync + 'static {
    /// Its length in bytes.
    fn len_bytes(&self) -> io::Result<u64>;
    /// Reads as much as there is, at most `buf`.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Reads as much as there is behind what `buf` holds, at most `room` bytes; gives how many. A disk
    /// that can leaves out filling the room with zeros first.
    fn read_more(&self, buf: &mut Vec<u8>, room: usize, offset: u64) -> io::Result<usize> {
        let begun = buf.len();
        buf.resize(begun + room, 0);
        let read = self.read_at(&mut buf[begun..], offset);
        buf.truncate(begun + read.as_ref().map_or(0, |read| *read));
        read
    }
    /// Writes all of `buf`. After an error any part of it may have been written.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;
    /// Makes what was written durable, and the length.
    fn sync_data(&self) -> io::Result<()>;
}

/// Reads exactly `len` bytes, or fewer where the file ends.
pub(crate) fn read_up_to(file: &dyn DiskFile, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut buf = Vec::with_capacity(len);
    while buf.len() < len {
        let (room, at) = (len - buf.len(), offset + buf.len() as u64);
        match file.read_more(&mut buf, room, at) {
            Ok(0) => break,
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(buf)
}

/// The disk of this machine.
pub struct RealDisk {
    dir: PathBuf,
}

impl RealDisk {
    /// The directory `dir`, which need not be there yet.
    pub fn new(dir: impl AsRef<Path>) -> Self {
        Self { dir: dir.as_ref().to_owned() }
    }
}

/// Makes the entries of a directory durable.
fn sync_path(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

impl Disk for RealDisk {
    fn make_dir(&self) -> io::Result<()> {
        // A new directory is an entry in its parent: each level that was made is made durable there.
        let mut missing = Vec::new();
        let mut level = self.dir.as_path();
        while !level.as_os_str().is_empty() && !level.try_exists()? {
            missing.push(level);
            match level.parent() {
                Some(parent) => level = parent,
                None => break,
            }
        }
        std::fs::create_dir_all(&self.dir)?;
        for made in missing {
            match made.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => sync_path(parent)?,
                Some(_) => sync_path(Path::new("."))?,
                None => {}
            }
        }
        Ok(())
    }

    fn lock(&self) -> io::Result<Option<DiskLock>> {
        let path = self.dir.join(LOCK_FILE);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(e)) => return Err(e),
        }
        // For people only: who holds it. On a full disk it stays as it was.
        let told = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        if let Err(error) = told {
            tracing::debug!(%error, "the lock file does not say who holds it");
        }
        Ok(Some(Box::new(file)))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.dir)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let write = access == Access::ReadWrite;
        let file = OpenOptions::new().read(true).write(write).open(self.dir.join(name))?;
        Ok(Arc::new(file))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let path = self.dir.join(name);
        Ok(Arc::new(OpenOptions::new().read(true).write(true).create_new(true).open(path)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.dir.join(from), self.dir.join(to))
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        match std::fs::hard_link(self.dir.join(from), self.dir.join(to)) {
            // Some file systems say it this way.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                Err(io::Error::new(io::ErrorKind::Unsupported, e))
            }
            linked => linked,
        }
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.dir.join(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        sync_path(&self.dir)
    }

    fn make_sub_dir(&self, name: &str) -> io::Result<()> {
        match std::fs::create_dir(self.dir.join(name)) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            Ok(()) | Err(_) => {}
        }
        self.sync_dir()
    }

    fn sync_sub_dir(&self, name: &str) -> io::Result<()> {
        sync_path(&self.dir.join(name))
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.dir)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

impl DiskFile for File {
    fn len_bytes(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buf, offset)
    }

    fn read_more(&self, buf: &mut Vec<u8>, room: usize, offset: u64) -> io::Result<usize> {
        let begun = buf.len();
        buf.reserve(room);
        rustix::io::pread(self, rustix::buffer::spare_capacity(buf), offset)?;
        // There may have been more room than was asked for.
        buf.truncate(begun + room);
        Ok(buf.len() - begun)
    }

    // The standard library writes on after a short or interrupted write.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, buf, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }
}
