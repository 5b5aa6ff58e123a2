//! The index in memory of a segment that is written, or is sealed and not yet indexed on the disk:
//! stream → versions → positions → frames.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use super::frame::Frame;
use super::index::FrameAt;
use super::scan::Segment;
use crate::StreamId;

/// A segment and what was appended to it.
pub(crate) struct Live {
    pub(crate) segment: Segment,
    frames: Vec<FrameAt>,
    streams: HashMap<StreamId, Here>,
    /// Position of its last event; that of the one before its first when it has none.
    last: u64,
}

/// A stream's events in this segment.
struct Here {
    first_version: u64,
    /// Counted from the segment's first position.
    positions: Vec<u32>,
}

/// A run of frames to read, in one segment.
pub(crate) struct Plan {
    pub(crate) segment: Segment,
    pub(crate) frames: Vec<FrameAt>,
    /// The hash that the first of them must name.
    pub(crate) previous_hash: u32,
}

impl Live {
    pub(crate) fn new(segment: Segment) -> Self {
        let last = segment.header.first_position - 1;
        Self { segment, frames: Vec::new(), streams: HashMap::new(), last }
    }

    pub(crate) fn first(&self) -> u64 {
        self.segment.header.first_position
    }

    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// Takes in the frame at `offset`; gives how many streams begin in it. Says what is wrong when
    /// the frame or one of its streams does not go on where it ended.
    pub(crate) fn add(&mut self, offset: u64, frame: &Frame) -> Result<u64, &'static str> {
        if frame.first != self.last + 1 {
            return Err("the frame belongs to another position");
        }
        let (base, mut begun) = (self.first(), 0);
        for (position, entry) in (frame.first..).zip(&frame.entries) {
            let position = (position - base) as u32;
            match self.streams.get_mut(&entry.stream) {
                Some(here) => {
                    if here.first_version + here.positions.len() as u64 != entry.version {
                        return Err("a stream does not go on at its next version");
                    }
                    here.positions.push(position);
                }
                None => {
                    begun += u64::from(entry.version == 0);
                    let here = Here { first_version: entry.version, positions: vec![position] };
                    self.streams.insert(entry.stream.clone(), here);
                }
            }
        }
        self.frames.push(FrameAt {
            first: frame.first,
            offset: offset as u32,
            len: frame.bytes.len() as u32,
            hash: frame.hash,
        });
        self.last = frame.last();
        Ok(begun)
    }

    /// The versions that a stream has here, up to position `visible`.
    pub(crate) fn versions(&self, stream: &StreamId, visible: u64) -> Option<RangeInclusive<u64>> {
        let here = self.streams.get(stream)?;
        let count = if self.last <= visible {
            here.positions.len()
        } else {
            let base = self.first();
            here.positions.partition_point(|position| base + u64::from(*position) <= visible)
        };
        let last = here.first_version + (count as u64).checked_sub(1)?;
        Some(here.first_version..=last)
    }

    /// The positions of those versions of a stream that stand here.
    pub(crate) fn positions(
        &self,
        stream: &StreamId,
        versions: &RangeInclusive<u64>,
    ) -> impl Iterator<Item = u64> {
        let here = self.streams.get(stream);
        let (first, positions) = here.map_or((0, &[][..]), |h| (h.first_version, &h.positions[..]));
        let from = versions.start().saturating_sub(first) as usize;
        let until = (versions.end() + 1).saturating_sub(first) as usize;
        let until = until.min(positions.len());
        let base = self.first();
        positions[from.min(until)..until].iter().map(move |position| base + u64::from(*position))
    }

    /// The index of the frame that holds a position of this segment.
    fn frame_at(&self, position: u64) -> usize {
        self.frames.partition_point(|frame| frame.first <= position) - 1
    }

    /// The frame that holds a position of this segment, and the position of its last event.
    pub(crate) fn frame(&self, position: u64) -> (FrameAt, u64) {
        let at = self.frame_at(position);
        let last = self.frames.get(at + 1).map_or(self.last, |next| next.first - 1);
        (self.frames[at], last)
    }

    /// The frames from the one that holds `position` on, up to position `visible`, as many as
    /// `limit` bytes hold; one at least.
    pub(crate) fn plan(&self, position: u64, visible: u64, limit: u64) -> Plan {
        let at = self.frame_at(position);
        let mut bytes = 0;
        let frames = self.frames[at..].iter().take_while(|frame| {
            bytes += u64::from(frame.len);
            frame.first <= visible && (bytes <= limit || bytes == u64::from(frame.len))
        });
        let previous = at.checked_sub(1).map(|before| self.frames[before].hash);
        Plan {
            frames: frames.copied().collect(),
            previous_hash: previous.unwrap_or(self.segment.header.hash),
            segment: self.segment.clone(),
        }
    }
}
