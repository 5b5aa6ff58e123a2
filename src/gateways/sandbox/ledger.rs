//! Where the sandbox's book is kept: a line of JSON a change, durable before anybody is answered.
//!
//! ```text
//!   {"records":[{"intent":{…}},{"key":{…}},{"entry":{…}}]}\n       one line = one change, whole or not at all
//! ```
//!
//! The trait is there so that the book can live in PostgreSQL when the log does.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use async_trait::async_trait;
use futures::future::{BoxFuture, FutureExt as _};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::book::Record;

/// What is written together, or not at all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Change(pub(super) Vec<Record>);

/// Why the book could not be kept.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// It cannot be opened.
    #[error("the sandbox's ledger {path} cannot be opened: {error}")]
    Open {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: String,
    },
    /// A line is not one of ours.
    #[error("the sandbox's ledger {path} is damaged in line {line}: {error}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        error: String,
    },
    /// Writing failed: the outcome is unknown until the next start.
    #[error("the sandbox's ledger could not be written; restart the server to find out: {0}")]
    Write(String),
}

/// Keeps changes in the order in which they are handed over.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// Everything that was kept.
    async fn load(&self) -> Result<Vec<Change>, LedgerError>;

    /// Keeps a change; what comes back resolves when it, and everything before it, is durable.
    fn submit(&self, change: Change) -> BoxFuture<'static, Result<(), LedgerError>>;
}

/// Keeps nothing beyond the process: for `--store memory:`.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryLedger;

#[async_trait]
impl Ledger for MemoryLedger {
    async fn load(&self) -> Result<Vec<Change>, LedgerError> {
        Ok(Vec::new())
    }

    fn submit(&self, _: Change) -> BoxFuture<'static, Result<(), LedgerError>> {
        futures::future::ready(Ok(())).boxed()
    }
}

/// A line that waits to be written, and who waits for it.
struct Waiting {
    line: Vec<u8>,
    told: oneshot::Sender<Result<(), LedgerError>>,
}

/// How many lines may wait for the disk.
const WAITING: usize = 4_096;

/// An append-only file, written by one thread: lines that wait share one sync.
pub struct FileLedger {
    path: PathBuf,
    found: std::sync::Mutex<Vec<Change>>,
    lines: mpsc::SyncSender<Waiting>,
}

impl FileLedger {
    /// Opens or makes the file. A last line that was never finished was never answered: it is cut off.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let fail = |error: std::io::Error| LedgerError::Open {
            path: path.into(),
            error: error.to_string(),
        };
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).map_err(fail)?;
        }
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .open(path)
            .map_err(fail)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(fail)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let mut found = Vec::new();
        for (at, line) in bytes[..whole].split(|byte| *byte == b'\n').enumerate() {
            if line.is_empty() {
                continue;
            }
            found.push(serde_json::from_slice(line).map_err(|error| LedgerError::Damaged {
                path: path.into(),
                line: at + 1,
                error: error.to_string(),
            })?);
        }
        file.set_len(whole as u64).map_err(fail)?;
        file.seek(SeekFrom::End(0)).map_err(fail)?;
        file.sync_all().map_err(fail)?;
        if let Some(directory) = path.parent() {
            File::open(directory).and_then(|directory| directory.sync_all()).map_err(fail)?;
        }
        let (lines, waiting) = mpsc::sync_channel(WAITING);
        std::thread::Builder::new()
            .name("sandbox-ledger".into())
            .spawn(move || write_lines(file, &waiting))
            .map_err(fail)?;
        Ok(Self { path: path.into(), found: std::sync::Mutex::new(found), lines })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The writer: takes all lines that wait, writes them, syncs once, tells everyone. After a failure
/// nothing is written any more, since nobody knows what reached the disk.
fn write_lines(mut file: File, waiting: &mpsc::Receiver<Waiting>) {
    let mut failed: Option<LedgerError> = None;
    while let Ok(first) = waiting.recv() {
        let mut batch = vec![first];
        batch.extend(waiting.try_iter().take(WAITING));
        if failed.is_none() {
            let bytes: Vec<u8> = batch.iter().flat_map(|one| one.line.iter().copied()).collect();
            let written = if bytes.is_empty() {
                Ok(())
            } else {
                file.write_all(&bytes).and_then(|()| file.sync_data())
            };
            failed = written.err().map(|error| LedgerError::Write(error.to_string()));
        }
        for one in batch {
            // Who has gone away does not need to be told.
            let _ = one.told.send(failed.clone().map_or(Ok(()), Err));
        }
    }
}

#[async_trait]
impl Ledger for FileLedger {
    async fn load(&self) -> Result<Vec<Change>, LedgerError> {
        let mut found = self.found.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok(std::mem::take(&mut *found))
    }

    fn submit(&self, change: Change) -> BoxFuture<'static, Result<(), LedgerError>> {
        let mut line = Vec::new();
        if !change.0.is_empty() {
            line = serde_json::to_vec(&change).expect("records are plain data");
            line.push(b'\n');
        }
        let (told, hear) = oneshot::channel();
        let stopped = || LedgerError::Write("its writer has stopped".into());
        // Waits for room when the disk is slow: a change that the book has seen must not be lost.
        if self.lines.send(Waiting { line, told }).is_err() {
            return futures::future::ready(Err(stopped())).boxed();
        }
        async move { hear.await.unwrap_or_else(|_| Err(stopped())) }.boxed()
    }
}
