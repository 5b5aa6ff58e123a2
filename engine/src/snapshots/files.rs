//! One file a stream, in a directory that belongs to one code.
//!
//! ```text
//!   snapshots/
//!     3f0c…(32 hex digits of the code's hash)/
//!       9a41…(32 hex digits of the hash of the stream's name).snapshot
//!       9a41….tmp            one that is being written, or was when the process died
//! ```

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use holdfast_store::StreamId;
use sha2::{Digest, Sha256};

/// The largest snapshot that is written or read, in bytes.
pub(super) const MOST_BYTES: u64 = 1 << 30;
/// How many hex digits of a hash stand in a name.
const DIGITS: usize = 32;

#[derive(Clone)]
pub(super) struct Files {
    root: Arc<Path>,
    /// The directory of this code.
    own: Arc<Path>,
    code: Arc<str>,
}

impl Files {
    pub(super) fn new(root: &Path, code: &str) -> Self {
        let own = root.join(code.get(..DIGITS).unwrap_or(code));
        Self { root: root.into(), own: own.into(), code: code.into() }
    }

    /// The hash of the code that they are of.
    pub(super) fn code(&self) -> &str {
        &self.code
    }

    /// Makes the directory; deletes what other code has left, and what was not finished.
    pub(super) fn prepare(&self) -> io::Result<()> {
        fs::create_dir_all(&self.own)?;
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            let named = entry.file_name().to_str().is_some_and(is_hash);
            if named && entry.file_type()?.is_dir() && entry.path() != *self.own {
                fs::remove_dir_all(entry.path())?;
            }
        }
        for entry in fs::read_dir(&self.own)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "tmp") {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// A stream's bytes; none when there are none.
    pub(super) fn read(&self, stream: &StreamId) -> io::Result<Option<Vec<u8>>> {
        let file = match fs::File::open(self.path(stream)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let len = file.metadata()?.len();
        if len > MOST_BYTES {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "too large for a snapshot"));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or_default());
        // No more than it was a moment ago: it may be anything.
        file.take(len).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Puts a stream's bytes in the place of those before, wholly or not at all.
    pub(super) fn write(&self, stream: &StreamId, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(stream);
        let unfinished = path.with_extension("tmp");
        let write = || fs::write(&unfinished, bytes).and_then(|()| fs::rename(&unfinished, &path));
        let written = match write() {
            // Somebody tidied up: the directory may go at any time.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(&self.own).and_then(|()| write())
            }
            written => written,
        };
        if written.is_err() {
            // On a full disk the room is wanted elsewhere; what cannot be deleted goes at the next start.
            let _ = fs::remove_file(&unfinished);
        }
        written
    }

    /// Deletes a stream's bytes.
    pub(super) fn remove(&self, stream: &StreamId) -> io::Result<()> {
        match fs::remove_file(self.path(stream)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn path(&self, stream: &StreamId) -> PathBuf {
        let hash = Sha256::digest(stream.as_str().as_bytes());
        let mut name: String =
            hash.iter().take(DIGITS / 2).map(|byte| format!("{byte:02x}")).collect();
        name.push_str(".snapshot");
        self.own.join(name)
    }
}

fn is_hash(name: &str) -> bool {
    name.len() == DIGITS && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
