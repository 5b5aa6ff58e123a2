//! How a log is opened, and why it may not be.

use std::io;
use std::sync::Arc;

use super::scan::Damage;
use super::twins::Twins;
use crate::Clock;

/// How long a segment is unless somebody says otherwise.
pub const DEFAULT_SEGMENT_BYTES: u64 = 64 << 20;
/// The shortest segment.
pub const LEAST_SEGMENT_BYTES: u64 = 1 << 20;
/// The longest segment.
pub const MOST_SEGMENT_BYTES: u64 = 1 << 30;
/// How many bytes of recent frames are kept at hand unless somebody says otherwise.
const DEFAULT_CACHE_BYTES: usize = 32 << 20;
/// How many bytes of the indexes of sealed segments are kept at hand unless somebody says otherwise.
pub const DEFAULT_INDEX_CACHE_BYTES: usize = 32 << 20;

/// How a log is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long new segments are, from [`LEAST_SEGMENT_BYTES`] to [`MOST_SEGMENT_BYTES`]; what lies
    /// outside is brought to the nearer end. Segments that are there keep their length. An append
    /// has to fit into one segment.
    pub segment_bytes: u64,
    /// How many bytes of the newest frames stay in memory for those who follow the log.
    pub cache_bytes: usize,
    /// How many bytes of the indexes of sealed segments stay in memory, however many segments there
    /// are. A quarter of them is a filter that knows which streams are new.
    pub index_cache_bytes: usize,
    /// Whom to tell how far opening has come, where it takes long: indexes that are missing or
    /// damaged are made anew, each from its segment.
    pub progress: Option<Progress>,
    /// What `recorded_at` is taken from.
    pub clock: Clock,
    /// Where the store's id and the segments' salts come from.
    pub entropy: Entropy,
    /// Whether segments are prepared, indexed and read ahead, in threads of their
    /// own. A simulation, which wants the same order of operations each time, says no.
    pub prepare_in_background: bool,
    /// For the log's own tests.
    #[doc(hidden)]
    pub lab: Lab,
}

/// What only the log's own tests may change.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct Lab {
    pub(crate) least_segment_bytes: u64,
    pub(crate) twins: Twins,
}

impl Default for Lab {
    fn default() -> Self {
        Self { least_segment_bytes: LEAST_SEGMENT_BYTES, twins: Twins::default() }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: DEFAULT_SEGMENT_BYTES,
            cache_bytes: DEFAULT_CACHE_BYTES,
            index_cache_bytes: DEFAULT_INDEX_CACHE_BYTES,
            progress: None,
            clock: Clock::system(),
            entropy: Entropy::system(),
            prepare_in_background: true,
            lab: Lab::default(),
        }
    }
}

impl Options {
    pub(crate) fn segment_bytes(&self) -> u64 {
        self.segment_bytes.clamp(self.lab.least_segment_bytes, MOST_SEGMENT_BYTES)
    }
}

/// How far opening a log has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenProgress {
    /// How many segments there are.
    pub segments_total: u64,
    /// How many of them are looked at.
    pub segments_done: u64,
    /// Of how many the index was made anew.
    pub indexes_made: u64,
}

type Tell = dyn Fn(OpenProgress) + Send + Sync;

/// Whom to tell how far opening has come: called for each segment, by the thread that opens.
#[derive(Clone)]
pub struct Progress(Arc<Tell>);

impl Progress {
    /// Tells this function.
    pub fn new(tell: impl Fn(OpenProgress) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    pub(crate) fn tell(&self, progress: OpenProgress) {
        (self.0)(progress);
    }
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Progress")
    }
}

type Fill = dyn Fn(&mut [u8]) -> io::Result<()> + Send + Sync;

/// A source of random bytes.
#[derive(Clone)]
pub struct Entropy(Arc<Fill>);

impl Entropy {
    /// The operating system's.
    pub fn system() -> Self {
        Self::new(|bytes| getrandom::fill(bytes).map_err(|e| io::Error::other(e.to_string())))
    }

    /// One that a simulation repeats.
    pub fn new(fill: impl Fn(&mut [u8]) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self(Arc::new(fill))
    }

    pub(crate) fn bytes<const N: usize>(&self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        (self.0)(&mut bytes)?;
        Ok(bytes)
    }
}

impl std::fmt::Debug for Entropy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entropy")
    }
}

/// Why a log was not opened. Nothing was changed, except that a torn tail may have been cut.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the directory: stop it first, or open read-only.
    #[error("the data directory is in use by another process; stop it first")]
    InUse,
    /// The log is not what was written. Restore it from a backup; nothing of it was changed.
    #[error("the log is damaged: {0}")]
    Damaged(#[from] Damage),
    /// A newer version of Holdfast wrote this: open it with that one.
    #[error("segment {segment} has format {found}, which is newer than this program")]
    NewerFormat {
        /// File name of the segment.
        segment: String,
        /// Its format version.
        found: u32,
    },
    /// There is no log to read.
    #[error("there is no log in this directory")]
    NoLog,
    /// The disk did not do what it was asked.
    #[error("the log cannot be opened: {0}")]
    Io(#[from] io::Error),
}
