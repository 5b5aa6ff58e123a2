//! Frames that were read from the disk for those who walk through the log, a megabyte at a time: a
//! page of events is smaller than that, and the next page finds the rest here. While one chunk is
//! handed over the next is read ahead.
//!
//! ```text
//!   read_all ──► chunk here? ──yes──► events           first touch of a chunk that was read ahead,
//!                  │ no: read, check                   or second of any: read the next one ahead
//! ```

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::frame::Frame;
use crate::ReadError;

/// How much is read at once, unless one frame is longer.
pub(crate) const CHUNK_BYTES: u64 = 1 << 20;
/// How many bytes of chunks are kept.
const KEPT_BYTES: u64 = 16 << 20;
/// How many chunks are kept.
const KEPT: usize = 64;

/// Checked frames that stand in a row.
pub(crate) struct Chunk {
    pub(crate) frames: Vec<Frame>,
    bytes: u64,
}

impl Chunk {
    pub(crate) fn new(frames: Vec<Frame>) -> Self {
        let bytes = frames.iter().map(|frame| frame.bytes.len() as u64).sum();
        Self { frames, bytes }
    }

    /// The frames from the one on that holds a position; none when the position lies elsewhere.
    pub(crate) fn from(&self, position: u64) -> &[Frame] {
        let begun = self.frames.partition_point(|frame| frame.first <= position);
        let at = begun.saturating_sub(1);
        match self.frames.get(at) {
            Some(frame) if (frame.first..=frame.last()).contains(&position) => &self.frames[at..],
            Some(_) | None => &[],
        }
    }

    /// Position of its last event.
    pub(crate) fn last(&self) -> u64 {
        self.frames.last().map_or(0, Frame::last)
    }
}

/// A chunk that is here, or on its way: whoever comes meanwhile waits for it.
pub(crate) struct Cell {
    /// The position that it was asked for.
    start: u64,
    chunk: OnceLock<Result<Arc<Chunk>, ReadError>>,
    /// Whether the next touch shows that somebody walks on from here.
    walked: AtomicBool,
}

impl Cell {
    /// The chunk; `load` reads it if nobody has yet.
    pub(crate) fn get(
        &self,
        load: impl FnOnce(u64) -> Result<Vec<Frame>, ReadError>,
    ) -> Result<Arc<Chunk>, ReadError> {
        let load = || load(self.start).map(|frames| Arc::new(Chunk::new(frames)));
        self.chunk.get_or_init(load).clone()
    }

    /// The chunk, if it is here.
    pub(crate) fn here(&self) -> Option<Arc<Chunk>> {
        self.chunk.get()?.as_ref().ok().cloned()
    }

    /// Whether somebody seems to walk through the log here; from the second time on.
    pub(crate) fn touch(&self) -> bool {
        self.walked.swap(true, Ordering::Relaxed)
    }
}

/// The chunks that were read last.
#[derive(Default)]
pub(crate) struct Chunks(Mutex<VecDeque<Arc<Cell>>>);

impl Chunks {
    fn cells(&self) -> std::sync::MutexGuard<'_, VecDeque<Arc<Cell>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The chunk that holds a position, or will.
    pub(crate) fn find(&self, position: u64) -> Option<Arc<Cell>> {
        let holds = |cell: &Arc<Cell>| match cell.chunk.get() {
            Some(Ok(chunk)) => !chunk.from(position).is_empty(),
            Some(Err(_)) => false,
            None => cell.start == position,
        };
        self.cells().iter().rev().find(|cell| holds(cell)).cloned()
    }

    /// As [`Chunks::find`]; a new cell where there is none, and whether it is new.
    pub(crate) fn find_or_add(&self, position: u64, ahead: bool) -> (Arc<Cell>, bool) {
        if let Some(found) = self.find(position) {
            return (found, false);
        }
        let walked = AtomicBool::new(ahead);
        let cell = Arc::new(Cell { start: position, chunk: OnceLock::new(), walked });
        let mut cells = self.cells();
        // What failed is asked for again, by whoever comes next.
        cells.retain(|cell| !matches!(cell.chunk.get(), Some(Err(_))));
        cells.push_back(Arc::clone(&cell));
        let size = |cell: &Arc<Cell>| cell.here().map_or(CHUNK_BYTES, |chunk| chunk.bytes);
        let mut bytes: u64 = cells.iter().map(size).sum();
        while cells.len() > KEPT || (bytes > KEPT_BYTES && cells.len() > 2) {
            bytes -= cells.pop_front().map_or(0, |old| size(&old));
        }
        (cell, true)
    }
}
