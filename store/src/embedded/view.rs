//! What readers see: only what is durable. An index in memory (stream → versions → positions →
//! frames) and the last frames as they were written, so that followers at the head do not touch
//! the disk. Everything here is derived from the segments.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;

use super::disk::read_up_to;
use super::frame::Frame;
use super::scan::{Damage, Segment};
use crate::{Direction, Filter, Page, Position, ReadError, RecordedEvent, StreamId};

/// How many bytes of frames one page of the whole log looks at, at most (one frame always goes).
const PAGE_SCAN_BYTES: u64 = 4 << 20;
/// How many bytes are read from the disk at once, where frames follow each other.
const READ_AHEAD_BYTES: u64 = 1 << 20;

/// Where a frame stands.
#[derive(Clone, Copy, Debug)]
struct FrameRef {
    first: u64,
    /// Index into [`Index::segments`].
    segment: u32,
    offset: u32,
    len: u32,
    hash: u32,
}

#[derive(Default)]
struct Index {
    segments: Vec<Segment>,
    frames: Vec<FrameRef>,
    /// For each stream the positions of its events; the one of version `v` stands at `v`.
    streams: HashMap<StreamId, Vec<u64>>,
    head: u64,
    /// Up to here readers see; what lies between here and the head is not known to be durable.
    visible: u64,
    /// The newest frames, oldest first.
    recent: VecDeque<Arc<Frame>>,
    recent_bytes: usize,
}

/// What has gone wrong, if something has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// There was no room for a frame; that may pass.
    Full,
    /// There is no room for a segment of so many bytes, and the next append that does not fit into
    /// this one is refused; that may pass.
    NoRoom {
        /// What it takes.
        bytes: u64,
    },
    /// Nothing is appended any more.
    Stopped(String),
}

/// The durable log, as readers see it.
pub(crate) struct View {
    index: RwLock<Index>,
    trouble: Mutex<Option<Trouble>>,
    recent_limit: usize,
}

/// A frame to read from: here, or on the disk.
enum Source {
    Recent(Arc<Frame>),
    /// With the position of the frame's last event.
    Disk(Segment, FrameRef, u64),
}

impl View {
    pub(crate) fn new(recent_limit: usize) -> Self {
        Self { index: RwLock::default(), trouble: Mutex::default(), recent_limit }
    }

    fn index(&self) -> std::sync::RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add_segment(&self, segment: Segment) {
        self.index.write().unwrap_or_else(PoisonError::into_inner).segments.push(segment);
    }

    /// Shows a durable frame, which stands at `offset` of the newest segment. `recent` keeps it at
    /// hand. Says what is wrong when its streams do not go on where they ended.
    pub(crate) fn add(
        &self,
        offset: u64,
        frame: &Arc<Frame>,
        recent: bool,
    ) -> Result<(), &'static str> {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        index.add(offset, frame)?;
        index.visible = index.head;
        if recent {
            index.keep_at_hand(frame, self.recent_limit);
        }
        Ok(())
    }

    /// Notes a frame that is not known to be durable: [`View::let_go`] shows it.
    pub(crate) fn hold_back(&self, offset: u64, frame: &Arc<Frame>) -> Result<(), &'static str> {
        self.index.write().unwrap_or_else(PoisonError::into_inner).add(offset, frame)
    }

    /// Shows what was held back.
    pub(crate) fn let_go(&self) {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        index.visible = index.head;
    }

    /// Position of the last event that readers see.
    pub(crate) fn visible(&self) -> u64 {
        self.index().visible
    }

    /// How many streams there are.
    pub(crate) fn streams(&self) -> u64 {
        self.index().streams.len() as u64
    }

    /// Segments and the bytes of their files.
    pub(crate) fn segments(&self) -> (u64, u64) {
        let index = self.index();
        let bytes = index.segments.iter().map(|s| s.header.segment_bytes).sum();
        (index.segments.len() as u64, bytes)
    }

    /// The version of a stream's last event.
    /// The segment and the offset of the frame that holds a position.
    pub(crate) fn locate(&self, position: u64) -> Option<(String, u64)> {
        let index = self.index();
        if position == 0 || position > index.head {
            return None;
        }
        let frame = &index.frames[index.frame_at(position)];
        Some((index.segments[frame.segment as usize].name(), u64::from(frame.offset)))
    }

    pub(crate) fn version(&self, stream: &StreamId) -> Option<u64> {
        (self.index().versions(stream).len() as u64).checked_sub(1)
    }

    pub(crate) fn trouble(&self) -> Option<Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes no more appends since something went wrong; the first reason stays.
    pub(crate) fn stop(&self, reason: String) {
        if self.take_no_more(&reason) {
            tracing::error!(reason, "the store takes no more appends");
        }
    }

    /// Takes no more appends since it is wanted so.
    pub(crate) fn close(&self) {
        if self.take_no_more("it was closed") {
            tracing::debug!("the store is closed");
        }
    }

    /// Whether it took appends until now.
    fn take_no_more(&self, reason: &str) -> bool {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let first = !matches!(*trouble, Some(Trouble::Stopped(_)));
        if first {
            *trouble = Some(Trouble::Stopped(reason.to_owned()));
        }
        first
    }

    /// Notes that the disk is full, or no longer is.
    pub(crate) fn set_full(&self, full: bool) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*trouble, full) {
            (None, true) => {
                tracing::warn!("the disk is full: appends are refused until there is room");
                *trouble = Some(Trouble::Full);
            }
            (Some(Trouble::Full), false) => {
                tracing::info!("the disk has room again: appends go on");
                *trouble = None;
            }
            // A short frame that still fits into this segment makes no room for the next one.
            (Some(Trouble::NoRoom { .. } | Trouble::Stopped(_)), _)
            | (None, false)
            | (Some(Trouble::Full), true) => {}
        }
    }

    /// Notes that a segment of so many bytes does not fit, or that the next segment has begun.
    pub(crate) fn set_no_room(&self, bytes: Option<u64>) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*trouble, bytes) {
            (Some(Trouble::Stopped(_)), _) => {}
            (Some(Trouble::NoRoom { .. }), Some(_)) | (None, None) => {}
            (Some(Trouble::Full) | None, Some(bytes)) => {
                tracing::warn!(bytes, "the disk has no room for the next segment");
                *trouble = Some(Trouble::NoRoom { bytes });
            }
            (Some(Trouble::Full | Trouble::NoRoom { .. }), None) => {
                tracing::info!("the disk has room again: appends go on");
                *trouble = None;
            }
        }
    }

    /// At most `max` events of a stream.
    pub(crate) async fn read_stream(
        self: &Arc<Self>,
        stream: &StreamId,
        from: u64,
        direction: Direction,
        max: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let mut plan: Vec<(Source, Vec<u64>)> = Vec::new();
        {
            let index = self.index();
            let versions = index.versions(stream);
            let from = usize::try_from(from).unwrap_or(usize::MAX);
            let mut add = |position: u64| match plan.last_mut() {
                Some((source, positions)) if source.holds(position) => positions.push(position),
                Some(_) | None => plan.push((index.source(position), vec![position])),
            };
            match direction {
                Direction::Forward => versions.iter().skip(from).take(max).for_each(|p| add(*p)),
                Direction::Backward => {
                    let upto = from.saturating_add(1).min(versions.len());
                    versions[..upto].iter().rev().take(max).for_each(|p| add(*p));
                }
            }
        }
        let at_hand = plan.iter().all(|(source, _)| matches!(source, Source::Recent(_)));
        self.answer(at_hand, move || {
            let mut events = Vec::new();
            for (source, positions) in plan {
                let frame = source.load()?;
                events.extend(positions.iter().map(|p| frame.event(*p)));
            }
            Ok(events)
        })
        .await
    }

    /// Events of the whole log from `from` on.
    pub(crate) async fn read_all(
        self: &Arc<Self>,
        from: Position,
        filter: &Filter,
        max: usize,
    ) -> Result<Page, ReadError> {
        let from = from.max(Position::FIRST);
        let mut sources = Vec::new();
        {
            let index = self.index();
            if from.0 > index.visible || max == 0 {
                return Ok(Page { events: Vec::new(), next: from });
            }
            // Without a filter no more frames are needed than hold `max` events.
            let enough = match filter {
                Filter::All => max as u64,
                Filter::Categories(_) | Filter::Stream(_) | Filter::Kinds(_) => u64::MAX,
            };
            let mut bytes = 0;
            let behind = index.frame_at(index.visible) + 1;
            for at in index.frame_at(from.0)..behind {
                let frame = &index.frames[at];
                let looked = frame.first.saturating_sub(from.0);
                if at_limit(bytes, frame.len) || looked >= enough {
                    break;
                }
                bytes += u64::from(frame.len);
                sources.push(index.source_at(at));
            }
        }
        let at_hand = sources.iter().all(|source| matches!(source, Source::Recent(_)));
        let filter = filter.clone();
        self.answer(at_hand, move || {
            let (mut events, mut next) = (Vec::new(), from);
            let mut rest = &sources[..];
            while let Some((frames, behind)) = load_run(rest)? {
                rest = behind;
                for frame in frames {
                    while next.0 <= frame.last() {
                        if events.len() == max {
                            return Ok(Page { events, next });
                        }
                        if frame.wanted(&filter, next.0) {
                            events.push(frame.event(next.0));
                        }
                        next = next.next();
                    }
                }
            }
            Ok(Page { events, next })
        })
        .await
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
        if let Err(error @ ReadError::Damaged { .. }) = &answer {
            self.stop(error.to_string());
        }
        answer
    }
}

fn at_limit(bytes: u64, more: u32) -> bool {
    bytes > 0 && bytes + u64::from(more) > PAGE_SCAN_BYTES
}

impl Index {
    fn add(&mut self, offset: u64, frame: &Frame) -> Result<(), &'static str> {
        if frame.first != self.head + 1 {
            return Err("the frame belongs to another position");
        }
        for (position, entry) in (frame.first..).zip(&frame.entries) {
            let versions = match self.streams.get_mut(&entry.stream) {
                Some(versions) => versions,
                None => self.streams.entry(entry.stream.clone()).or_default(),
            };
            if versions.len() as u64 != entry.version {
                return Err("a stream does not go on at its next version");
            }
            versions.push(position);
        }
        self.frames.push(FrameRef {
            first: frame.first,
            segment: self.segments.len() as u32 - 1,
            offset: offset as u32,
            len: frame.bytes.len() as u32,
            hash: frame.hash,
        });
        self.head = frame.last();
        Ok(())
    }

    /// Keeps the newest frame at hand, and lets older ones go when there are too many.
    fn keep_at_hand(&mut self, frame: &Arc<Frame>, limit: usize) {
        self.recent_bytes += frame.bytes.len();
        self.recent.push_back(Arc::clone(frame));
        while self.recent_bytes > limit
            && let Some(old) = self.recent.pop_front()
        {
            self.recent_bytes -= old.bytes.len();
        }
    }

    /// The positions of a stream's events, as far as they are shown.
    fn versions(&self, stream: &StreamId) -> &[u64] {
        let versions = self.streams.get(stream).map_or(&[][..], Vec::as_slice);
        if self.visible == self.head {
            return versions;
        }
        &versions[..versions.partition_point(|position| *position <= self.visible)]
    }

    /// The index of the frame that holds a position at or below the head.
    fn frame_at(&self, position: u64) -> usize {
        self.frames.partition_point(|frame| frame.first <= position) - 1
    }

    fn source(&self, position: u64) -> Source {
        self.source_at(self.frame_at(position))
    }

    fn source_at(&self, at: usize) -> Source {
        // `recent` is the end of `frames`.
        let older = self.frames.len() - self.recent.len();
        match at.checked_sub(older).and_then(|i| self.recent.get(i)) {
            Some(frame) => Source::Recent(Arc::clone(frame)),
            None => {
                let frame = self.frames[at];
                let last = self.frames.get(at + 1).map_or(self.head, |next| next.first - 1);
                Source::Disk(self.segments[frame.segment as usize].clone(), frame, last)
            }
        }
    }
}

impl Source {
    /// Whether a position lies in this frame.
    fn holds(&self, position: u64) -> bool {
        match self {
            Self::Recent(frame) => (frame.first..=frame.last()).contains(&position),
            Self::Disk(_, frame, last) => (frame.first..=*last).contains(&position),
        }
    }

    fn load(self) -> Result<Arc<Frame>, ReadError> {
        match self {
            Self::Recent(frame) => Ok(frame),
            Self::Disk(segment, frame, _) => {
                let bytes = read(&segment, u64::from(frame.offset), frame.len as usize, &frame)?;
                Ok(Arc::new(check(&segment, &frame, bytes)?))
            }
        }
    }
}

/// Loads the first frames of `sources`: one at hand, or as many from the disk as one read gives.
#[expect(clippy::type_complexity, reason = "the frames, and the sources behind them")]
fn load_run(sources: &[Source]) -> Result<Option<(Vec<Arc<Frame>>, &[Source])>, ReadError> {
    let (segment, start) = match sources {
        [] => return Ok(None),
        [Source::Recent(frame), rest @ ..] => return Ok(Some((vec![Arc::clone(frame)], rest))),
        [Source::Disk(segment, start, _), ..] => (segment, start),
    };
    let (mut run, mut end) = (0, u64::from(start.offset));
    for source in sources {
        match source {
            Source::Disk(_, frame, _) if frame.segment == start.segment => {
                let frame_end = u64::from(frame.offset) + u64::from(frame.len);
                if run > 0 && frame_end - u64::from(start.offset) > READ_AHEAD_BYTES {
                    break;
                }
                (run, end) = (run + 1, frame_end);
            }
            Source::Disk(..) | Source::Recent(_) => break,
        }
    }
    let from = u64::from(start.offset);
    let bytes = read(segment, from, (end - from) as usize, start)?;
    let (here, rest) = sources.split_at(run);
    let mut frames = Vec::with_capacity(run);
    for source in here {
        if let Source::Disk(segment, frame, _) = source {
            let at = (u64::from(frame.offset) - from) as usize;
            let bytes = bytes.slice(at..at + frame.len as usize);
            frames.push(Arc::new(check(segment, frame, bytes)?));
        }
    }
    Ok(Some((frames, rest)))
}

fn read(segment: &Segment, at: u64, len: usize, frame: &FrameRef) -> Result<Bytes, ReadError> {
    let place = || format!("{}, offset {at}, position {}", segment.name(), frame.first);
    let bytes = read_up_to(&*segment.file, at, len)
        .map_err(|e| ReadError::Io(format!("{}: {e}", place())))?;
    if bytes.len() < len {
        return Err(segment.damage(at, frame.first, "the file ends before the frame does").into());
    }
    Ok(bytes.into())
}

/// Takes a frame apart and makes sure that it is the one which was written there.
fn check(segment: &Segment, frame: &FrameRef, bytes: Bytes) -> Result<Frame, ReadError> {
    let damage = |what: &str| -> ReadError {
        let damage: Damage = segment.damage(u64::from(frame.offset), frame.first, what);
        damage.into()
    };
    let read = Frame::decode(segment.header.hash, bytes).map_err(damage)?;
    if read.hash != frame.hash || read.first != frame.first {
        return Err(damage("another frame stands here"));
    }
    Ok(read)
}
