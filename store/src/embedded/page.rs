//! A page of the whole log that is being filled, frame by frame.
//!
//! ```text
//!   a run of entries ──heads──► what stands in their headers ──make──► events
//! ```
//!
//! In two passes: a frame was mostly checked by another core, so that each first touch of a header
//! waits for the other core's cache. Headers alone are read side by side by the processor; the counts
//! that sharing a frame's bytes costs (each a barrier) would make it wait for them one by one.

use super::chunks::Chunk;
use super::frame::{Frame, Head};
use crate::{Filter, Kind, Page, Position, RecordedEvent};

/// How many bytes of frames one page of the whole log looks at, at most (one frame always goes).
pub(super) const PAGE_SCAN_BYTES: u64 = 4 << 20;
/// How many headers are read before their events are made.
const RUN: usize = 64;
/// The most events for which room is made at once.
const ROOM: usize = 512;

/// A page that is being filled.
pub(super) struct Filling<'a> {
    events: Vec<RecordedEvent>,
    next: Position,
    filter: &'a Filter,
    max: usize,
    /// Of the frames that were looked at.
    bytes: u64,
    visible: u64,
    heads: Vec<Wanted>,
    kinds: Kinds,
}

impl<'a> Filling<'a> {
    /// An empty page, from a position on, of at most `max` events up to `visible`.
    pub(super) fn new(next: Position, filter: &'a Filter, max: usize, visible: u64) -> Self {
        let (heads, kinds) = (Vec::new(), Kinds::default());
        Self { events: Vec::new(), next, filter, max, bytes: 0, visible, heads, kinds }
    }

    /// Where it goes on.
    pub(super) fn next(&self) -> Position {
        self.next
    }

    pub(super) fn wants_more(&self) -> bool {
        self.events.len() < self.max && self.bytes < PAGE_SCAN_BYTES && self.next.0 <= self.visible
    }

    pub(super) fn take_all(&mut self, chunk: &Chunk) {
        for frame in chunk.from(self.next.0) {
            if !self.wants_more() {
                return;
            }
            self.take(frame);
        }
    }

    pub(super) fn take(&mut self, frame: &Frame) {
        if self.events.len() >= self.max {
            return;
        }
        self.bytes += frame.bytes.len() as u64;
        let mut rest = &frame.entries[(self.next.0 - frame.first) as usize..];
        while !rest.is_empty() && self.events.len() < self.max {
            let room = self.max - self.events.len();
            let (run, behind) = rest.split_at(rest.len().min(room).min(RUN));
            self.heads.clear();
            for (nth, entry) in run.iter().enumerate() {
                let head = frame.head(entry);
                let kind = self.kinds.place(&frame.bytes[head.kind.clone()]);
                if self.filter.wants_named(&entry.stream, &self.kinds.met[kind]) {
                    self.heads.push(Wanted { nth, head, kind });
                }
            }
            if self.events.capacity() == self.events.len() {
                self.events.reserve(room.min(rest.len()).min(ROOM));
            }
            for Wanted { nth, head, kind } in &self.heads {
                let position = self.next.0 + *nth as u64;
                let kind = self.kinds.met[*kind].clone();
                self.events.push(frame.made(&run[*nth], head, position, kind));
            }
            self.next = Position(self.next.0 + run.len() as u64);
            rest = behind;
        }
    }

    pub(super) fn done(self) -> Page {
        Page { events: self.events, next: self.next }
    }
}

/// An event of a run that is wanted.
struct Wanted {
    /// Which entry of the run it is.
    nth: usize,
    head: Head,
    /// Its name's place among those that were met.
    kind: usize,
}

/// Names that were met on a page, so that each is copied once. There are few of them.
#[derive(Default)]
struct Kinds {
    met: Vec<Kind>,
    /// Which of them was met last, for each mixture of a name's bytes.
    last: [Option<usize>; Kinds::MIXTURES],
}

impl Kinds {
    const MIXTURES: usize = 32;

    /// The place of a name, which was checked when its frame was taken apart.
    fn place(&mut self, name: &[u8]) -> usize {
        // Any mixture will do: two names of one mixture only cost a copy.
        let mixed = name.len() * 7
            + usize::from(name[name.len() - 1]) * 5
            + usize::from(name[name.len() / 2]);
        let last = &mut self.last[mixed % Self::MIXTURES];
        match *last {
            Some(place) if self.met[place].as_str().as_bytes() == name => place,
            Some(_) | None => {
                let name = std::str::from_utf8(name).expect("names were checked as ASCII");
                self.met.push(name.into());
                *last.insert(self.met.len() - 1)
            }
        }
    }
}
