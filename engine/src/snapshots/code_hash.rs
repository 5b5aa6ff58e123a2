//! The name of the code that folds events into states: a hash over its sources.
//!
//! Run by the build script, so that the hash is a constant of the program, and by its own tests. The
//! same sources give the same hash on every machine and in every checkout: paths count from the
//! house's root and are sorted, and line ends count as `\n` whatever the checkout made of them. Tests
//! and comments count too: a snapshot that is dropped for nothing costs one slow load, a stale one
//! would cost the truth.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

/// What decides what a state is, from the house's root: rules and states, the stored words and their
/// upcasters, the states that live in the engine, the memory of commands, and the encoding.
pub(crate) const PARTS: &[&str] = &[
    "domain/src",
    "schemas/src",
    "engine/src/dispatch/load.rs",
    "engine/src/dispatch/memory.rs",
    "engine/src/hosted.rs",
    "engine/src/letters.rs",
    "engine/src/snapshots",
];

/// The hash of all Rust sources of those parts, in hex.
pub(crate) fn of(root: &Path, parts: &[&str]) -> io::Result<String> {
    let mut sources = BTreeMap::new();
    for part in parts {
        gather(root, part, &mut sources)?;
    }
    let mut hash = Sha256::new();
    for (path, text) in &sources {
        // Lengths first: no name and text can be taken for another name and text.
        hash.update((path.len() as u64).to_le_bytes());
        hash.update(path);
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Reads `path`, a file or a directory, with `/` between its parts on every system.
fn gather(root: &Path, path: &str, into: &mut BTreeMap<String, Vec<u8>>) -> io::Result<()> {
    let place = root.join(path);
    let told = |error: io::Error| io::Error::new(error.kind(), format!("{path}: {error}"));
    if place.is_dir() {
        for entry in std::fs::read_dir(&place).map_err(told)? {
            let name = entry?.file_name();
            // A name that is no Unicode is none of our sources.
            if let Some(name) = name.to_str() {
                gather(root, &format!("{path}/{name}"), into)?;
            }
        }
    } else if path.ends_with(".rs") {
        let mut text = std::fs::read(&place).map_err(told)?;
        text.retain(|byte| *byte != b'\r');
        into.insert(path.into(), text);
    }
    Ok(())
}
