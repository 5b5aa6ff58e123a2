//! A copy of the log, taken while it is written: a consistent prefix that opens like any other log.
//!
//! ```text
//!   DIR/
//!     backup.json        what it is, and up to which position it holds; written when that is durable
//!     log/               opens with --data-dir DIR
//!     log.part/          instead of log/, until the first backup is whole
//! ```
//!
//! Taken again into the same directory only what is new is copied. A crash in between leaves the
//! backup that was there, or more of it: each file gets its name when it is whole and durable, and
//! segments are sealed in the order in which the log itself does it ([`copy`]).
//!
//! The log alone is in it. Read models are made anew from it. Keys are left out on purpose: whoever
//! holds log and keys holds everything, and what is erased by destroying a key must not come back
//! with a backup.

mod copy;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use uuid::Uuid;

use super::disk::{Disk, RealDisk};
use super::twins::Twins;
use super::verify::SETTLE;
use super::{Damage, LOG_DIR, OpenError};
use crate::Position;

pub(crate) use copy::copy;

/// What a backup says of itself, in its directory.
pub const BACKUP_FILE: &str = "backup.json";
/// The log of a first backup, while it is not whole.
const UNFINISHED_LOG: &str = "log.part";

/// How far a backup is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupProgress {
    /// Bytes of the segment files that are looked at.
    pub bytes_total: u64,
    /// Bytes of them that are done.
    pub bytes_done: u64,
}

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupReport {
    /// The store's id.
    pub store_id: Uuid,
    /// The last event that it holds.
    pub head: Position,
    /// The checksum that the next frame would name: of the last frame, or the header page before
    /// the first of a segment.
    pub head_hash: u32,
    /// How many segments there are.
    pub segments: u64,
    /// How many of them were there already, whole.
    pub kept_segments: u64,
    /// How many bytes were written.
    pub written_bytes: u64,
}

/// Why there is no new backup. The one that was there, if there was one, still opens.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The log cannot be read, or is damaged: see to it first. What is damaged is not copied.
    #[error("the log cannot be backed up: {0}")]
    Source(#[source] OpenError),
    /// The directory holds something else.
    #[error("{0} is not empty and holds no backup: name a new directory")]
    NotABackup(PathBuf),
    /// The directory is the log's own.
    #[error("{0} is the data directory itself: name another one")]
    Itself(PathBuf),
    /// The directory holds a backup of another store.
    #[error("the backup is of store {found}, this is {ours}: name another directory")]
    OtherStore {
        /// The store in the backup.
        found: Uuid,
        /// The store to be backed up.
        ours: Uuid,
    },
    /// The directory holds a copy of this store that has gone another way, or is damaged.
    #[error(
        "the backup is no prefix of this log ({0}): one of them was restored, cut or damaged since. \
         Keep it, and name a new directory"
    )]
    Diverged(Damage),
    /// Another process has the backup open.
    #[error("the backup's directory is in use by another process")]
    InUse,
    /// It does not fit.
    #[error("{needed} more bytes are needed for the backup, {free} are free")]
    NoRoom {
        /// What the next segment takes.
        needed: u64,
        /// What is there.
        free: u64,
    },
    /// The backup cannot be read or written.
    #[error("the backup cannot be written: {0}")]
    Io(#[from] io::Error),
}

/// Copies the log in `log/` under the data directory into `dir`, or what is new of it since the last
/// time. Holds at least all that was acknowledged before it was called. Waits for the disk.
pub fn backup(
    data_dir: impl AsRef<Path>,
    dir: impl AsRef<Path>,
    progress: &mut dyn FnMut(BackupProgress),
) -> Result<BackupReport, BackupError> {
    let (data_dir, dir) = (data_dir.as_ref(), dir.as_ref());
    let log = data_dir.join(LOG_DIR);
    if !log.is_dir() {
        return Err(BackupError::Source(OpenError::NoLog));
    }
    if dir.exists() && data_dir.canonicalize()? == dir.canonicalize()? {
        return Err(BackupError::Itself(dir.to_owned()));
    }
    let (whole, part) = (dir.join(LOG_DIR), dir.join(UNFINISHED_LOG));
    let again = whole.is_dir() && dir.join(BACKUP_FILE).is_file();
    if !again && !part.is_dir() && dir.exists() && dir.read_dir()?.next().is_some() {
        return Err(BackupError::NotABackup(dir.to_owned()));
    }
    if !again && whole.exists() {
        return Err(BackupError::NotABackup(dir.to_owned()));
    }
    let source: Arc<dyn Disk> = Arc::new(RealDisk::new(&log));
    let target: Arc<dyn Disk> = Arc::new(RealDisk::new(if again { &whole } else { &part }));
    target.make_dir()?;
    let lock = target.lock()?.ok_or(BackupError::InUse)?;
    let report = copy(&*source, &*target, SETTLE, Twins::default(), progress)?;
    // What it says is true before it is said; only then a first one gets its name.
    write_note(dir, &report)?;
    if !again {
        std::fs::rename(&part, &whole)?;
        std::fs::File::open(dir)?.sync_all()?;
    }
    drop(lock);
    Ok(report)
}

fn write_note(dir: &Path, report: &BackupReport) -> io::Result<()> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let text = serde_json::json!({
        "backup": 1,
        "store_id": report.store_id,
        "head": report.head.0,
        "head_hash": format!("{:08x}", report.head_hash),
        "segments": report.segments,
        "taken_at_micros": u64::try_from(since.as_micros()).unwrap_or(u64::MAX),
    });
    let unfinished = dir.join(format!("{BACKUP_FILE}.new"));
    let mut file = std::fs::File::create(&unfinished)?;
    writeln!(file, "{text:#}")?;
    file.sync_all()?;
    std::fs::rename(&unfinished, dir.join(BACKUP_FILE))?;
    std::fs::File::open(dir)?.sync_all()
}
