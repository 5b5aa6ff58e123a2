//! What the embedded store promises, tried on a real disk and on one that lies.

mod contract;

use std::sync::Arc;

use super::sim::SimDisk;
use super::{Embedded, Options};

/// Options for a small log whose steps come in the same order each time.
pub(super) fn tiny(segment_bytes: u64) -> Options {
    Options {
        segment_bytes,
        least_segment_bytes: 4096,
        prepare_in_background: false,
        ..Options::default()
    }
}

pub(super) fn open(disk: &SimDisk, options: Options) -> Embedded {
    Embedded::open_on(Arc::new(disk.clone()), options).unwrap()
}
