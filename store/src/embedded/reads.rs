//! Reading: one stream through the indexes, event by event; the whole log frame by frame, from front
//! to back. Nothing is handed over that was not checked.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::archive::{Sealed, read_frames};
use super::chunks::{CHUNK_BYTES, Cell, Chunk};
use super::format::segment_name;
use super::frame::Frame;
use super::index::{Extent, FrameAt, name_hash};
use super::live::Plan;
use super::page::{Filling, PAGE_SCAN_BYTES};
use super::scan::{Damage, Segment};
use super::twins::Twin;
use super::view::{Stopped, View};
use crate::{Direction, Filter, Page, Position, ReadError, RecordedEvent, StreamId};

/// How many chunks are read ahead of whoever walks through the log.
const CHUNKS_AHEAD: u32 = 3;

/// Which versions of a stream are wanted.
#[derive(Clone, Copy)]
struct Wanted {
    from: u64,
    direction: Direction,
    max: u64,
}

impl Wanted {
    /// The versions, where the stream's last one is `last`; `None` when there are none of them.
    fn versions(self, last: u64) -> Option<RangeInclusive<u64>> {
        let more = self.max.checked_sub(1)?;
        let (low, high) = match self.direction {
            Direction::Forward => (self.from, self.from.saturating_add(more).min(last)),
            Direction::Backward => {
                let high = self.from.min(last);
                (high.saturating_sub(more), high)
            }
        };
        (low <= high).then_some(low..=high)
    }
}

/// Where some of a stream's events are: in a frame at hand, or in one on the disk.
enum Source {
    Recent(Arc<Frame>),
    /// With the position of the frame's last event.
    Disk(Segment, FrameAt, u64),
}

impl Source {
    fn holds(&self, position: u64) -> bool {
        match self {
            Self::Recent(frame) => (frame.first..=frame.last()).contains(&position),
            Self::Disk(_, frame, last) => (frame.first..=*last).contains(&position),
        }
    }

    fn events(self, positions: &[u64], events: &mut Vec<RecordedEvent>) -> Result<(), ReadError> {
        let mut take = |frame: &Frame| events.extend(positions.iter().map(|p| frame.event(*p)));
        match self {
            Self::Recent(frame) => take(&frame),
            Self::Disk(segment, frame, _) => {
                let plan = Plan { segment, frames: vec![frame], previous_hash: 0 };
                read_frames(plan, false)?.iter().for_each(take);
            }
        }
        Ok(())
    }
}

fn overlap(a: &RangeInclusive<u64>, b: &RangeInclusive<u64>) -> Option<RangeInclusive<u64>> {
    let (low, high) = (*a.start().max(b.start()), *a.end().min(b.end()));
    (low <= high).then_some(low..=high)
}

impl View {
    /// At most `max` events of a stream.
    pub(crate) async fn read_stream(
        self: &Arc<Self>,
        stream: &StreamId,
        from: u64,
        direction: Direction,
        max: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let wanted = Wanted { from, direction, max: max as u64 };
        if max == 0 {
            return Ok(Vec::new());
        }
        let mut plan: Vec<(Source, Vec<u64>)> = Vec::new();
        let (mut versions, mut begin) = (None, None);
        let sealed = {
            let index = self.index();
            let mut parts = Vec::new();
            for live in index.live.iter().rev() {
                let Some(here) = live.versions(stream, index.visible) else {
                    continue;
                };
                versions = Some(versions.unwrap_or_else(|| wanted.versions(*here.end())));
                begin = Some(*here.start());
                if let Some(Some(versions)) = &versions
                    && let Some(some) = overlap(versions, &here)
                {
                    parts.push((live, some));
                }
            }
            for (live, some) in parts.into_iter().rev() {
                for position in live.positions(stream, &some) {
                    match plan.last_mut() {
                        Some((source, positions)) if source.holds(position) => {
                            positions.push(position);
                        }
                        Some(_) | None => {
                            let source = match index.recent_at(position) {
                                Some(at) => Source::Recent(Arc::clone(&index.recent[at])),
                                None => {
                                    let (frame, last) = live.frame(position);
                                    Source::Disk(live.segment.clone(), frame, last)
                                }
                            };
                            plan.push((source, vec![position]));
                        }
                    }
                }
            }
            Arc::clone(&index.sealed)
        };
        // Whether all that is wanted stands in live segments.
        let complete = match (&versions, begin) {
            (Some(Some(versions)), Some(begin)) => begin <= *versions.start(),
            (Some(None), _) => true,
            (Some(Some(_)), None) | (None, _) => false,
        };
        let hash = name_hash(stream.as_str());
        let older =
            !complete && begin != Some(0) && !sealed.is_empty() && self.archive.may_hold(hash);
        let at_hand = !older && plan.iter().all(|(source, _)| matches!(source, Source::Recent(_)));
        let (view, stream) = (Arc::clone(self), stream.clone());
        self.answer(at_hand, move || {
            let mut events = Vec::new();
            if older {
                let live = begin.map(|begin| (begin, versions.flatten()));
                view.older_events(&sealed, &stream, hash, wanted, live, &mut events)?;
            }
            for (source, positions) in plan {
                source.events(&positions, &mut events)?;
            }
            if direction == Direction::Backward {
                events.reverse();
            }
            Ok(events)
        })
        .await
    }

    /// Those of the wanted events that stand in sealed segments, oldest first. `live` is the first
    /// version that stands behind them, and the versions that are wanted, where that is known.
    fn older_events(
        &self,
        sealed: &[Arc<Sealed>],
        stream: &StreamId,
        hash: u64,
        wanted: Wanted,
        live: Option<(u64, Option<RangeInclusive<u64>>)>,
        events: &mut Vec<RecordedEvent>,
    ) -> Result<(), ReadError> {
        let (mut begin, mut versions) = match live {
            Some((begin, versions)) => (Some(begin), versions),
            None => (None, None),
        };
        // Newest first, until the oldest that is wanted.
        let mut found: Vec<(&Arc<Sealed>, Extent, RangeInclusive<u64>)> = Vec::new();
        for segment in sealed.iter().rev() {
            if begin == Some(0)
                || begin.zip(versions.as_ref()).is_some_and(|(b, v)| b <= *v.start())
            {
                break;
            }
            let Some(extent) = self.archive.find(segment, stream, hash)? else {
                continue;
            };
            if let Some(begin) = begin
                && extent.end() != begin
            {
                return Err(hole(stream, extent.end(), begin, segment));
            }
            begin = Some(extent.first_version);
            if versions.is_none() {
                versions = match wanted.versions(extent.end() - 1) {
                    Some(versions) => Some(versions),
                    None => return Ok(()),
                };
            }
            if let Some(wanted) = &versions
                && let Some(some) = overlap(wanted, &(extent.first_version..=extent.end() - 1))
            {
                found.push((segment, extent, some));
            }
        }
        if let (Some(begin), Some(versions), Some(oldest)) = (begin, &versions, sealed.first())
            && begin > *versions.start()
        {
            return Err(hole(stream, *versions.start(), begin, oldest));
        }
        for (segment, extent, some) in found.iter().rev() {
            events.extend(self.archive.events(segment, stream, extent, some)?);
        }
        Ok(())
    }

    /// Events of the whole log from `from` on.
    pub(crate) async fn read_all(
        self: &Arc<Self>,
        from: Position,
        filter: &Filter,
        max: usize,
    ) -> Result<Page, ReadError> {
        let from = from.max(Position::FIRST);
        let (visible, recent) = {
            let index = self.index();
            if from.0 > index.visible || max == 0 {
                return Ok(Page { events: Vec::new(), next: from });
            }
            // Without a filter no more frames are needed than hold `max` events.
            let enough = if matches!(filter, Filter::All) { max as u64 } else { u64::MAX };
            let mut bytes = 0;
            let recent: Option<Vec<Arc<Frame>>> = index.recent_at(from.0).map(|at| {
                let newest = index.recent.range(at..).take_while(|frame| {
                    let go =
                        bytes == 0 || (bytes < PAGE_SCAN_BYTES && frame.first - from.0 < enough);
                    bytes += frame.bytes.len() as u64;
                    go && frame.first <= index.visible
                });
                newest.cloned().collect()
            });
            (index.visible, recent)
        };
        let mut page = Filling::new(from, filter, max, visible);
        if let Some(frames) = recent {
            for frame in &frames {
                page.take(frame);
            }
            return Ok(page.done());
        }
        // As much as is here already; the rest is another page.
        while page.wants_more()
            && let Some(cell) = self.chunks.find(page.next().0)
            && let Some(chunk) = cell.here()
        {
            page.take_all(&chunk);
            self.walk_on(&cell, &chunk, visible);
        }
        if page.next() > from {
            return Ok(page.done());
        }
        let (view, filter) = (Arc::clone(self), filter.clone());
        self.answer(false, move || {
            let mut page = Filling::new(from, &filter, max, visible);
            while page.wants_more() {
                let (cell, _) = view.chunks.find_or_add(page.next().0, false);
                let chunk = cell.get(|position| view.load(position))?;
                let before = page.next();
                page.take_all(&chunk);
                if page.next() == before {
                    return Err(ReadError::Io(format!("position {before} was not found")));
                }
                view.walk_on(&cell, &chunk, visible);
            }
            Ok(page.done())
        })
        .await
    }

    /// Reads the next chunks ahead, when somebody walks through the log here.
    fn walk_on(self: &Arc<Self>, cell: &Arc<Cell>, chunk: &Chunk, visible: u64) {
        if !cell.touch() || !self.reads_ahead {
            return;
        }
        let mut next = chunk.last() + 1;
        for ahead in 0..CHUNKS_AHEAD {
            if next > visible || self.index().recent_at(next).is_some() {
                return;
            }
            match self.chunks.find(next) {
                Some(cell) => match cell.here() {
                    Some(chunk) => next = chunk.last() + 1,
                    // Whoever reads it goes on.
                    None => return,
                },
                None => {
                    let view = Arc::clone(self);
                    drop(tokio::task::spawn_blocking(move || {
                        view.read_ahead(next, CHUNKS_AHEAD - ahead);
                    }));
                    return;
                }
            }
        }
    }

    /// Reads some chunks from a position on; what goes wrong is told to whoever asks for it.
    fn read_ahead(&self, mut next: u64, count: u32) {
        for _ in 0..count {
            let (cell, _) = self.chunks.find_or_add(next, true);
            let Ok(chunk) = cell.get(|position| self.load(position)) else {
                return;
            };
            next = chunk.last() + 1;
            if next > self.visible() || self.index().recent_at(next).is_some() {
                return;
            }
        }
    }

    /// Reads a chunk that begins with the frame that holds a position.
    fn load(&self, position: u64) -> Result<Vec<Frame>, ReadError> {
        enum Where {
            Live(Plan),
            Sealed(Arc<Sealed>),
        }
        let found = {
            let index = self.index();
            match index.live_at(position) {
                Some(live) => Some(Where::Live(live.plan(position, index.visible, CHUNK_BYTES))),
                None => index.sealed_at(position).cloned().map(Where::Sealed),
            }
        };
        match found {
            Some(Where::Live(plan)) => {
                read_frames(plan, !self.archive.twins().on(Twin::NoPreviousHash))
            }
            Some(Where::Sealed(sealed)) => self.archive.frames(&sealed, position, CHUNK_BYTES),
            None => Err(ReadError::Io(format!("position {position} is in no segment"))),
        }
    }

    /// The segment and the offset of the frame that holds a position.
    pub(crate) fn locate(&self, position: u64) -> Option<(String, u64)> {
        let sealed = {
            let index = self.index();
            if position == 0 || position > index.visible {
                return None;
            }
            if let Some(live) = index.live_at(position) {
                let (frame, _) = live.frame(position);
                return Some((live.segment.name(), u64::from(frame.offset)));
            }
            Arc::clone(index.sealed_at(position)?)
        };
        let frame = self.archive.frame_of(&sealed, position).ok()?;
        Some((segment_name(sealed.header.number), u64::from(frame.offset)))
    }

    /// Runs a read: here when nothing is asked of the disk, else where waiting is allowed. Damage
    /// stops the appends too.
    async fn answer<T: Send + 'static>(
        &self,
        at_hand: bool,
        read: impl FnOnce() -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let answer = if at_hand {
            read()
        } else {
            match tokio::task::spawn_blocking(read).await {
                Ok(answer) => answer,
                Err(gone) => Err(ReadError::Io(gone.to_string())),
            }
        };
        if let Some(damage) = answer.as_ref().err().and_then(Damage::told_by) {
            self.stop(Stopped::Damaged(damage));
        }
        answer
    }
}

/// Indexes that do not know of a version which must be there are not what they should be.
fn hole(stream: &StreamId, from: u64, to: u64, segment: &Sealed) -> ReadError {
    let name = segment_name(segment.header.number);
    ReadError::Io(format!(
        "no index knows the versions {from} to {to} of {stream}, {name} should: close the store, \
         delete the .idx files beside the segments, and open it again"
    ))
}
