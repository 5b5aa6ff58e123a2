//! Sealed segments: read through their indexes, which are made, trusted no further than they can be
//! checked, made anew when they break, and written when there is room.
//!
//! ```text
//!   opening:   index good? ──yes──► its seal, checked, is the end of the segment
//!                 │ no: walk the segment, make the index, write it
//!   reading:   page good? event good? ──yes──► serve
//!                 │ no: walk the segment ─┬─ whole: make the index anew, in memory; ask again
//!                 │                       └─ not whole: damage, told with its place
//! ```

use std::io;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;

use super::OpenError;
use super::disk::{Access, Disk, read_up_to};
use super::files::{Files, Part};
use super::format::{HEADER_LEN, SegmentHeader, segment_name};
use super::frame::{Frame, single_event};
use super::index::{
    self, Broken, Built, Extent, FrameAt, Index, NotOurs, Pages, Seen, Source, event_hash,
    index_name,
};
use super::live::Plan;
use super::scan::{SealedEnd, Segment};
use super::twins::{Twin, Twins};
use crate::{Position, ReadError, RecordedEvent, StreamId};

/// Events that are no further apart than this are read at once.
const GAP_BYTES: u64 = 4 << 10;
/// How much is read at once.
const RUN_BYTES: u64 = 1 << 20;
/// How much of an index is written at once, and how much before it is synced, so that the writer's
/// own syncs never wait for many bytes.
const WRITE_BYTES: usize = 1 << 20;

/// A sealed segment, in a hundred or two bytes.
pub(crate) struct Sealed {
    pub(crate) header: Arc<SegmentHeader>,
    index: RwLock<Arc<Index>>,
    /// Held while the index is made anew.
    remaking: Mutex<()>,
    /// The segment itself was found damaged: walking it again tells nothing new.
    condemned: AtomicBool,
}

impl Sealed {
    fn new(segment: &Segment, index: Index) -> Arc<Self> {
        Arc::new(Self {
            header: Arc::clone(&segment.header),
            index: RwLock::new(Arc::new(index)),
            remaking: Mutex::default(),
            condemned: AtomicBool::new(false),
        })
    }

    pub(crate) fn index(&self) -> Arc<Index> {
        Arc::clone(&self.index.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set_index(&self, index: Index) -> Arc<Index> {
        let index = Arc::new(index);
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&index);
        index
    }

    pub(crate) fn first(&self) -> u64 {
        self.header.first_position
    }
}

/// What all sealed segments share.
pub(crate) struct Archive {
    files: Files,
    pages: Pages,
    twins: Twins,
    /// Over all streams of sealed segments; readers have none.
    seen: Option<Seen>,
    /// Whether indexes are written, or only read.
    writes: bool,
    /// Names for [`Source::File`].
    names: AtomicU64,
    /// How many indexes were made here.
    made: AtomicU64,
    /// Their index is in memory until there is room to write it.
    unwritten: Mutex<Vec<Arc<Sealed>>>,
    /// Their streams are not yet in `seen`.
    unseen: Mutex<Vec<Arc<Sealed>>>,
    /// Told to end what takes long.
    stop: AtomicBool,
}

impl Archive {
    /// `cache_bytes` hold pages, and where indexes are written, the filter over all of them.
    pub(crate) fn new(disk: Arc<dyn Disk>, cache_bytes: usize, writes: bool, twins: Twins) -> Self {
        let seen = writes.then(|| Seen::new(cache_bytes / 4));
        let page_bytes = if writes { cache_bytes - cache_bytes / 4 } else { cache_bytes };
        Self {
            files: Files::new(disk),
            pages: Pages::new(page_bytes, twins),
            twins,
            seen,
            writes,
            names: AtomicU64::new(0),
            made: AtomicU64::new(0),
            unwritten: Mutex::default(),
            unseen: Mutex::default(),
            stop: AtomicBool::new(false),
        }
    }

    /// Ends what takes long, soon.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Which protections are missing.
    pub(crate) fn twins(&self) -> Twins {
        self.twins
    }

    /// How many indexes were made here.
    pub(crate) fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// The segment whose index stands beside it, with its end; `None` when there is no good one.
    pub(crate) fn open(&self, segment: &Segment) -> io::Result<Option<(Arc<Sealed>, SealedEnd)>> {
        self.files.forget(segment.header.number, Part::Index);
        let name = self.names.fetch_add(1, Ordering::Relaxed);
        match Index::open(&self.files, segment, name, self.twins)? {
            Ok((index, end)) => {
                let sealed = Sealed::new(segment, index);
                if self.seen.is_some() {
                    lock(&self.unseen).push(Arc::clone(&sealed));
                }
                Ok(Some((sealed, end)))
            }
            Err(NotOurs::Missing) => Ok(None),
            Err(NotOurs::Unusable(why)) => {
                let index = index_name(segment.header.number);
                tracing::warn!(index, why, "an index cannot be used: it is made anew");
                Ok(None)
            }
        }
    }

    /// Makes the index of a segment by walking it, and writes it if it may; `None` when the segment
    /// is not whole, or has no seal.
    pub(crate) fn make(
        &self,
        segment: &Segment,
    ) -> Result<Option<(Arc<Sealed>, SealedEnd)>, OpenError> {
        let Some(built) = index::build(segment, self.twins, &|| self.goes_on())? else {
            return Ok(None);
        };
        self.made.fetch_add(1, Ordering::Relaxed);
        let sealed = Sealed::new(segment, Index::of(&built));
        if let Some(seen) = &self.seen {
            built.hashes.iter().for_each(|hash| seen.insert(*hash));
        }
        let Built { bytes, end, .. } = built;
        self.write(&sealed, &bytes);
        Ok(Some((sealed, end)))
    }

    /// Whether the segment behind this one has begun, so that this one has its seal.
    pub(crate) fn next_has_begun(&self, segment: &Segment) -> io::Result<bool> {
        let name = segment_name(segment.header.number + 1);
        let file = match self.files.disk().open(&name, Access::Read) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(e) => return Err(e),
        };
        Ok(SegmentHeader::decode(&read_up_to(&*file, 0, HEADER_LEN)?).is_ok())
    }

    /// Writes what could not be written before, and completes the filter over all segments.
    pub(crate) fn catch_up(&self) {
        // Each lock is let go before anything else is asked for.
        let unwritten = std::mem::take(&mut *lock(&self.unwritten));
        for sealed in unwritten {
            if let Source::Memory(bytes) = &sealed.index().source {
                self.write(&sealed, bytes);
            }
        }
        let Some(seen) = &self.seen else {
            return;
        };
        loop {
            let next = lock(&self.unseen).pop();
            let Some(sealed) = next else {
                break;
            };
            let noted = self.goes_on()
                && self
                    .ask(&sealed, |index| {
                        index.each_hash(&self.pages, &self.files, &mut |hash| seen.insert(hash))
                    })
                    .is_ok();
            if !noted {
                // As long as one is missing the filter says nothing, and each index is asked.
                lock(&self.unseen).push(sealed);
                return;
            }
        }
        seen.set_complete();
    }

    /// Puts an index beside its segment. When that fails it stays in memory, until the next try.
    fn write(&self, sealed: &Arc<Sealed>, bytes: &Bytes) {
        if !self.writes {
            return;
        }
        let number = sealed.header.number;
        match self.write_file(number, bytes) {
            Ok(()) => {
                self.files.forget(number, Part::Index);
                let name = self.names.fetch_add(1, Ordering::Relaxed);
                let facts = sealed.index().facts.clone();
                sealed.set_index(Index { facts, source: Source::File(name) });
            }
            Err(error) => {
                let index = index_name(number);
                tracing::warn!(index, %error, "an index is not written yet, it stays in memory");
                lock(&self.unwritten).push(Arc::clone(sealed));
            }
        }
    }

    /// The directory is not synced: an index whose name is lost is made anew, and a sync that fails
    /// must be told to those who depend on it, not to us.
    fn write_file(&self, number: u64, bytes: &[u8]) -> io::Result<()> {
        let disk = self.files.disk();
        // Asked first, so that a full disk is not filled to the brim at each try.
        if disk.free_bytes()? < bytes.len() as u64 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let name = index_name(number);
        let unfinished = name.replace(".idx", index::UNFINISHED);
        match disk.remove(&unfinished) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            Ok(()) | Err(_) => {}
        }
        let file = disk.create(&unfinished)?;
        let mut at = 0;
        let mut write = |piece: &[u8]| {
            if !self.goes_on() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            file.write_at(piece, at)?;
            at += piece.len() as u64;
            file.sync_data()
        };
        let written = bytes.chunks(WRITE_BYTES).try_for_each(&mut write);
        let named = written.and_then(|()| disk.rename(&unfinished, &name));
        if named.is_err() {
            let _ = disk.remove(&unfinished);
        }
        named
    }

    /// Asks an index; when it breaks makes it anew and asks that.
    fn ask<T>(
        &self,
        sealed: &Arc<Sealed>,
        question: impl Fn(&Index) -> Result<T, Broken>,
    ) -> Result<T, ReadError> {
        let index = sealed.index();
        let broken = match question(&index) {
            Ok(answer) => return Ok(answer),
            Err(broken) => broken,
        };
        let anew = self.remake(sealed, &index, &broken)?;
        let name = index_name(sealed.header.number);
        question(&anew).map_err(|broken| ReadError::Io(format!("{name}: {broken}")))
    }

    /// Makes an index anew, in memory; it is written at the next chance.
    fn remake(
        &self,
        sealed: &Arc<Sealed>,
        used: &Arc<Index>,
        broken: &Broken,
    ) -> Result<Arc<Index>, ReadError> {
        let _one = lock(&sealed.remaking);
        let now = sealed.index();
        if !Arc::ptr_eq(&now, used) {
            return Ok(now);
        }
        let name = index_name(sealed.header.number);
        tracing::warn!(index = name, %broken, "an index cannot be used: it is made anew");
        let segment = self.segment(sealed)?;
        let built = index::build(&segment, self.twins, &|| self.goes_on());
        let built = match built {
            Ok(built) => built,
            Err(OpenError::Damaged(damage)) => {
                sealed.condemned.store(true, Ordering::Relaxed);
                return Err(damage.into());
            }
            Err(other) => return Err(ReadError::Io(other.to_string())),
        };
        // The chain from header to seal was checked at opening; another end is another segment.
        let same = built.filter(|built| {
            let trusted = self.twins.on(Twin::StaleIndexTrusted);
            built.facts.seal_header_hash == now.facts.seal_header_hash || trusted
        });
        let Some(built) = same else {
            sealed.condemned.store(true, Ordering::Relaxed);
            let what = "the segment is no longer whole up to its seal";
            return Err(segment.damage(0, sealed.first(), what).into());
        };
        if self.writes {
            lock(&self.unwritten).push(Arc::clone(sealed));
        }
        self.made.fetch_add(1, Ordering::Relaxed);
        Ok(sealed.set_index(Index::of(&built)))
    }

    /// The segment with its file.
    fn segment(&self, sealed: &Sealed) -> Result<Segment, ReadError> {
        let header = Arc::clone(&sealed.header);
        match self.files.get(header.number, Part::Segment) {
            Ok(file) => Ok(Segment { header, file }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(ReadError::Damaged {
                segment: segment_name(header.number),
                offset: 0,
                position: Position(sealed.first()),
                what: "the segment is missing".to_owned(),
            }),
            Err(e) => Err(ReadError::Io(format!("{}: {e}", segment_name(header.number)))),
        }
    }

    /// Whether any sealed segment may hold the stream; "no" is sure.
    pub(crate) fn may_hold(&self, hash: u64) -> bool {
        self.seen.as_ref().is_none_or(|seen| seen.may_hold(hash))
    }

    /// A stream's versions in a segment, if it has any there.
    pub(crate) fn find(
        &self,
        sealed: &Arc<Sealed>,
        stream: &StreamId,
        hash: u64,
    ) -> Result<Option<Extent>, ReadError> {
        self.ask(sealed, |index| {
            if index.may_hold(&self.pages, &self.files, hash)? {
                index.find(&self.pages, &self.files, stream)
            } else {
                Ok(None)
            }
        })
    }

    /// The events of a stream with these versions, oldest first. `extent` is where they are.
    pub(crate) fn events(
        &self,
        sealed: &Arc<Sealed>,
        stream: &StreamId,
        extent: &Extent,
        versions: &RangeInclusive<u64>,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let used = sealed.index();
        let (position, why) = match self.try_events(sealed, stream, extent, versions)? {
            Ok(events) => return Ok(events),
            Err(bad) => bad,
        };
        // Is it the event, or did the index lead us astray? The frame knows.
        let frame = self.frame_of(sealed, position)?;
        let segment = self.segment(sealed)?;
        read_frames(Plan { segment, frames: vec![frame], previous_hash: frame.hash }, false)?;
        self.remake(sealed, &used, &Broken(why.to_owned()))?;
        let again = self.find(sealed, stream, index::name_hash(stream.as_str()))?;
        match again.map(|extent| self.try_events(sealed, stream, &extent, versions)) {
            Some(Ok(Ok(events))) => Ok(events),
            Some(Err(error)) => Err(error),
            Some(Ok(Err(_))) | None => Err(ReadError::Io(format!("{stream}: {why}"))),
        }
    }

    /// As [`Archive::events`]; the position of the first that is not what the index says.
    fn try_events(
        &self,
        sealed: &Arc<Sealed>,
        stream: &StreamId,
        extent: &Extent,
        versions: &RangeInclusive<u64>,
    ) -> Result<Result<Vec<RecordedEvent>, (u64, &'static str)>, ReadError> {
        let from = extent.first_event + (versions.start() - extent.first_version) as u32;
        let until = extent.first_event + (versions.end() + 1 - extent.first_version) as u32;
        let places =
            self.ask(sealed, |index| index.events(&self.pages, &self.files, from..until))?;
        let segment = self.segment(sealed)?;
        let header = &sealed.header;
        let mut events = Vec::with_capacity(places.len());
        let mut rest = &places[..];
        while let Some(first) = rest.first() {
            // As many as stand close together.
            let start = u64::from(first.offset);
            let mut end = start + u64::from(first.len);
            let close = rest[1..].iter().take_while(|next| {
                let (at, len) = (u64::from(next.offset), u64::from(next.len));
                let joins = at >= end && at - end <= GAP_BYTES && at + len - start <= RUN_BYTES;
                end = if joins { at + len } else { end };
                joins
            });
            let (run, behind) = rest.split_at(1 + close.count());
            rest = behind;
            // What an index says is no length to set memory aside for.
            end = end.min(header.segment_bytes).max(start);
            let bytes: Bytes = read_up_to(&*segment.file, start, (end - start) as usize)
                .map_err(|e| {
                    let position = header.first_position + u64::from(first.position);
                    let name = segment.name();
                    ReadError::Io(format!("{name}, offset {start}, position {position}: {e}"))
                })?
                .into();
            for place in run {
                let version = versions.start() + events.len() as u64;
                let position = header.first_position + u64::from(place.position);
                let at = (u64::from(place.offset) - start) as usize;
                let Some(bytes) =
                    bytes.get(at..at + place.len as usize).map(|b| bytes.slice_ref(b))
                else {
                    return Ok(Err((position, "the event does not lie in its segment")));
                };
                let recorded = place.recorded_at_micros;
                let hash =
                    event_hash(header.hash, stream.as_str(), version, position, recorded, &bytes);
                if hash != place.hash && !self.twins.on(Twin::EventChecksumIgnored) {
                    return Ok(Err((position, "the event's checksum does not match")));
                }
                match single_event(&bytes, position, stream, version, recorded) {
                    Some(event) => events.push(event),
                    None => return Ok(Err((position, "the event's content makes no sense"))),
                }
            }
        }
        Ok(Ok(events))
    }

    /// The frame that holds a position of a segment.
    pub(crate) fn frame_of(
        &self,
        sealed: &Arc<Sealed>,
        position: u64,
    ) -> Result<FrameAt, ReadError> {
        self.ask(sealed, |index| {
            let at = index.frame_at(&self.pages, &self.files, position)?;
            index.frame(&self.pages, &self.files, at)
        })
    }

    /// The frames from the one that holds `position` on, as many as `limit` bytes hold; one at least.
    fn plan(&self, sealed: &Arc<Sealed>, position: u64, limit: u64) -> Result<Plan, ReadError> {
        let (frames, previous) = self.ask(sealed, |index| {
            let frame = |at| index.frame(&self.pages, &self.files, at);
            let first = index.frame_at(&self.pages, &self.files, position)?;
            let previous = first.checked_sub(1).map(frame).transpose()?;
            let (mut frames, mut bytes) = (Vec::new(), 0);
            for at in first..index.facts.frames {
                let next = frame(at)?;
                bytes += u64::from(next.len);
                if !frames.is_empty() && bytes > limit {
                    break;
                }
                frames.push(next);
            }
            Ok((frames, previous))
        })?;
        let previous_hash = previous.map_or(sealed.header.hash, |frame| frame.hash);
        Ok(Plan { segment: self.segment(sealed)?, frames, previous_hash })
    }

    /// Reads and checks the frames from the one that holds `position` on.
    pub(crate) fn frames(
        &self,
        sealed: &Arc<Sealed>,
        position: u64,
        limit: u64,
    ) -> Result<Vec<Frame>, ReadError> {
        let used = sealed.index();
        let chained = !self.twins.on(Twin::NoPreviousHash);
        let damaged = match read_frames(self.plan(sealed, position, limit)?, chained) {
            Err(damaged @ ReadError::Damaged { .. }) => damaged,
            other => return other,
        };
        // Once more, in case it was the index that named a wrong place.
        let known = sealed.condemned.load(Ordering::Relaxed);
        if known || self.remake(sealed, &used, &Broken("a frame is not there".to_owned())).is_err()
        {
            return Err(damaged);
        }
        read_frames(self.plan(sealed, position, limit)?, chained)
    }
}

/// Reads frames that stand in a row, and makes sure that each is the one which was written there;
/// with `chained`, that each names the one before it.
pub(crate) fn read_frames(plan: Plan, chained: bool) -> Result<Vec<Frame>, ReadError> {
    let Plan { segment, frames, mut previous_hash } = plan;
    let (Some(first), Some(last)) = (frames.first(), frames.last()) else {
        return Ok(Vec::new());
    };
    let start = u64::from(first.offset);
    let end = (u64::from(last.offset) + u64::from(last.len)).min(segment.header.segment_bytes);
    let bytes: Bytes = read_up_to(&*segment.file, start, end.saturating_sub(start) as usize)
        .map_err(|e| {
            let (name, position) = (segment.name(), first.first);
            ReadError::Io(format!("{name}, offset {start}, position {position}: {e}"))
        })?
        .into();
    let mut read = Vec::with_capacity(frames.len());
    for place in &frames {
        let damage = |what: &str| -> ReadError {
            segment.damage(u64::from(place.offset), place.first, what).into()
        };
        let at = (u64::from(place.offset).saturating_sub(start)) as usize;
        let Some(here) = bytes.get(at..at + place.len as usize).map(|b| bytes.slice_ref(b)) else {
            return Err(damage("the file ends before the frame does"));
        };
        let frame = Frame::decode(segment.header.hash, here).map_err(damage)?;
        if frame.hash != place.hash || frame.first != place.first {
            return Err(damage("another frame stands here"));
        }
        if chained && frame.previous_hash != previous_hash {
            return Err(damage("the frame does not follow the one before it"));
        }
        previous_hash = frame.hash;
        read.push(frame);
    }
    Ok(read)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
