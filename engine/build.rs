//! Names the code that folds events into states, so that a snapshot is read by the code that wrote it.

#[path = "src/snapshots/code_hash.rs"]
mod code_hash;

use std::path::Path;

fn main() {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the crate is");
    let house = Path::new(&manifest).parent().expect("the crate is a room of the house");
    for part in code_hash::PARTS {
        // Of a directory cargo watches everything within.
        println!("cargo::rerun-if-changed={}", house.join(part).display());
    }
    match code_hash::of(house, code_hash::PARTS) {
        Ok(hash) => println!("cargo::rustc-env=HOLDFAST_CODE_HASH={hash}"),
        Err(error) => println!("cargo::error=the code that folds states cannot be hashed: {error}"),
    }
}
