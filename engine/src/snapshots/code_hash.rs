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

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(sources: &[(&str, &str)]) -> String {
        let house = tempfile::tempdir().expect("a directory");
        for (path, text) in sources {
            let path = house.path().join(path);
            std::fs::create_dir_all(path.parent().expect("it has one")).expect("a directory");
            std::fs::write(path, text).expect("a file");
        }
        of(house.path(), &["rules", "one.rs"]).expect("sources")
    }

    #[test]
    fn the_same_sources_have_the_same_hash_in_every_checkout() {
        let here = [("rules/a.rs", "fn a() {}\n"), ("rules/b/c.rs", "fn c() {}\n"), ("one.rs", "")];
        let mut there = here;
        there.reverse();
        there[2].1 = "fn a() {}\r\n";
        assert_eq!(hash(&here), hash(&there));
        let beside = [here.as_slice(), &[("rules/notes.md", "x"), ("other/d.rs", "x")]].concat();
        assert_eq!(hash(&here), hash(&beside), "only sources of those parts count");
        assert_eq!(hash(&here).len(), 64);
    }

    #[test]
    fn another_text_or_name_or_place_is_another_hash() {
        let variants = [
            [("rules/a.rs", "fn a() {}"), ("one.rs", "")],
            [("rules/a.rs", "fn b() {}"), ("one.rs", "")],
            [("rules/b.rs", "fn a() {}"), ("one.rs", "")],
            [("rules/a.rs", ""), ("one.rs", "fn a() {}")],
            [("rules/x/a.rs", "fn a() {}"), ("one.rs", "")],
        ];
        let hashes: std::collections::BTreeSet<_> = variants.iter().map(|it| hash(it)).collect();
        assert_eq!(hashes.len(), variants.len());
    }

    #[test]
    fn the_program_carries_the_hash_of_its_sources() {
        let house = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it is a room");
        assert_eq!(of(house, PARTS).expect("the sources are here"), super::super::CODE);
    }

    #[test]
    fn a_part_that_is_not_there_is_told_by_name() {
        let house = tempfile::tempdir().expect("a directory");
        let told = of(house.path(), &["gone.rs"]).expect_err("it is not there").to_string();
        assert!(told.starts_with("gone.rs: "), "{told}");
    }
}
