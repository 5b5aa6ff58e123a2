//! What readers see: only what is durable. An index in memory of the segment that is written, the
//! indexes of the sealed ones on the disk, and the last frames as they were written, so that
//! followers at the head do not touch the disk. Everything here is derived from the segments.
//!
//! ```text
//!   sealed, indexed ……………… sealed, being indexed │ written          ◄── publish
//!   (archive: O(1) in memory each)   (live: in memory as a whole)
//! ```

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::OpenError;
use super::archive::{Archive, Sealed};
use super::chunks::Chunks;
use super::frame::Frame;
use super::index::name_hash;
use super::live::Live;
use super::scan::{Damage, SealedEnd, Segment};
use crate::{ReadError, StreamId};

/// Of how many streams whose last event stands in a sealed segment the version is kept at hand.
const VERSIONS_KEPT: usize = 1 << 16;

#[derive(Default)]
pub(super) struct Index {
    /// The older segments, first to last.
    pub(super) sealed: Arc<Vec<Arc<Sealed>>>,
    /// The newer ones; the last one is written.
    pub(super) live: Vec<Live>,
    pub(super) head: u64,
    /// Up to here readers see; what lies between here and the head is not known to be durable.
    pub(super) visible: u64,
    /// The newest frames, oldest first, without a gap up to the head.
    pub(super) recent: VecDeque<Arc<Frame>>,
    recent_bytes: usize,
    streams: u64,
    bytes: u64,
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
    Stopped(Stopped),
}

/// Why nothing is appended any more before the log is opened again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// A write or a sync has failed, or the store was closed. Opening the log again finds out what was
    /// recorded.
    #[error("{0}")]
    Failed(String),
    /// The log is not what was written. Opening it again does not help: verify and repair it, or
    /// restore a backup.
    #[error("damaged: {0}")]
    Damaged(Damage),
}

/// The durable log, as readers see it.
pub(crate) struct View {
    index: RwLock<Index>,
    pub(super) archive: Archive,
    pub(super) chunks: Chunks,
    /// Whether chunks are read ahead in another thread.
    pub(super) reads_ahead: bool,
    versions: Mutex<Versions>,
    trouble: Mutex<Option<Trouble>>,
    recent_limit: usize,
}

/// Versions that were looked up in sealed segments, each with how many of these there were then.
/// Two generations: when the younger is full, the older is forgotten.
#[derive(Default)]
struct Versions {
    young: HashMap<StreamId, (usize, Option<u64>)>,
    old: HashMap<StreamId, (usize, Option<u64>)>,
}

impl Versions {
    fn get(&self, stream: &StreamId) -> Option<(usize, Option<u64>)> {
        self.young.get(stream).or_else(|| self.old.get(stream)).copied()
    }

    fn put(&mut self, stream: &StreamId, known: (usize, Option<u64>)) {
        if self.young.len() >= VERSIONS_KEPT / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(stream.clone(), known);
    }
}

impl View {
    pub(crate) fn new(archive: Archive, recent_limit: usize, reads_ahead: bool) -> Self {
        Self {
            index: RwLock::default(),
            archive,
            chunks: Chunks::default(),
            reads_ahead,
            versions: Mutex::default(),
            trouble: Mutex::default(),
            recent_limit,
        }
    }

    pub(super) fn index(&self) -> std::sync::RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn index_mut(&self) -> std::sync::RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A segment begins, behind the last one.
    pub(crate) fn add_segment(&self, segment: Segment) {
        let mut index = self.index_mut();
        index.bytes += segment.header.segment_bytes;
        index.live.push(Live::new(segment));
    }

    /// Shows a sealed segment, behind the last one, if its index is good; makes the index when it is
    /// not and the segment surely has its seal. Gives how the segment ends.
    pub(crate) fn add_sealed(&self, segment: &Segment) -> Result<Option<SealedEnd>, OpenError> {
        // Segments in memory stand behind all others.
        if !self.index().live.is_empty() {
            return Ok(None);
        }
        let known = match self.archive.open(segment)? {
            Some(known) => Some(known),
            None if self.archive.next_has_begun(segment)? => match self.archive.make(segment) {
                Ok(made) => made,
                // The walk that comes now tells it.
                Err(OpenError::Damaged(_)) => None,
                Err(other) => return Err(other),
            },
            None => None,
        };
        let Some((sealed, end)) = known else {
            return Ok(None);
        };
        let facts = &sealed.index().facts;
        let mut index = self.index_mut();
        index.bytes += segment.header.segment_bytes;
        index.streams += u64::from(facts.new_streams);
        index.head = facts.last_position();
        index.visible = index.head;
        Arc::make_mut(&mut index.sealed).push(sealed);
        Ok(Some(end))
    }

    /// Indexes what is sealed and still in memory, and does what could not be done before.
    pub(crate) fn tidy(&self) {
        self.archive.catch_up();
        loop {
            let segment = match &self.index().live[..] {
                [oldest, _, ..] => oldest.segment.clone(),
                [] | [_] => return,
            };
            let number = segment.header.number;
            match self.archive.make(&segment) {
                Ok(Some((sealed, _))) => {
                    let freed = self.index_mut().take_sealed(sealed);
                    // Not under the lock: that takes a while.
                    drop(freed);
                }
                Ok(None) => return,
                Err(OpenError::Damaged(damage)) => return self.stop(Stopped::Damaged(damage)),
                // The segment stays in memory until the next try.
                Err(error) => {
                    return tracing::warn!(number, %error, "a segment is not indexed yet");
                }
            }
        }
    }

    /// As [`View::tidy`], for those who may not write: takes the indexes that the writer has made.
    pub(crate) fn adopt_indexes(&self) -> Result<(), OpenError> {
        loop {
            let segment = match &self.index().live[..] {
                [oldest, _, ..] => oldest.segment.clone(),
                [] | [_] => return Ok(()),
            };
            match self.archive.open(&segment)? {
                Some((sealed, _)) => {
                    let freed = self.index_mut().take_sealed(sealed);
                    drop(freed);
                }
                None => return Ok(()),
            }
        }
    }

    /// Of how many segments the index was made here.
    pub(crate) fn indexes_made(&self) -> u64 {
        self.archive.made()
    }

    /// Shows a durable frame, which stands at `offset` of the newest segment. `recent` keeps it at
    /// hand. Says what is wrong when its streams do not go on where they ended.
    pub(crate) fn add(
        &self,
        offset: u64,
        frame: &Arc<Frame>,
        recent: bool,
    ) -> Result<(), &'static str> {
        let mut index = self.index_mut();
        index.add(offset, frame)?;
        index.visible = index.head;
        if recent {
            index.keep_at_hand(frame, self.recent_limit);
        }
        Ok(())
    }

    /// Notes a frame that is not known to be durable: [`View::let_go`] shows it.
    pub(crate) fn hold_back(&self, offset: u64, frame: &Arc<Frame>) -> Result<(), &'static str> {
        self.index_mut().add(offset, frame)
    }

    /// Shows what was held back.
    pub(crate) fn let_go(&self) {
        let mut index = self.index_mut();
        index.visible = index.head;
    }

    /// Position of the last event that readers see.
    pub(crate) fn visible(&self) -> u64 {
        self.index().visible
    }

    /// How many streams there are.
    pub(crate) fn streams(&self) -> u64 {
        self.index().streams
    }

    /// Segments and the bytes of their files.
    pub(crate) fn segments(&self) -> (u64, u64) {
        let index = self.index();
        ((index.sealed.len() + index.live.len()) as u64, index.bytes)
    }

    /// The version of a stream's last event, from the indexes only. Waits for the disk where a stream
    /// has not moved for a while.
    pub(crate) fn version(&self, stream: &StreamId) -> Result<Option<u64>, ReadError> {
        let sealed = {
            let index = self.index();
            let newest = index.live.iter().rev();
            let version = newest.filter_map(|live| live.versions(stream, index.visible)).next();
            if let Some(versions) = version {
                return Ok(Some(*versions.end()));
            }
            Arc::clone(&index.sealed)
        };
        if sealed.is_empty() {
            return Ok(None);
        }
        let hash = name_hash(stream.as_str());
        if !self.archive.may_hold(hash) {
            return Ok(None);
        }
        let versions = || self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        let (looked, mut version) = versions().get(stream).unwrap_or((0, None));
        for segment in sealed.iter().skip(looked).rev() {
            if let Some(extent) = self.archive.find(segment, stream, hash)? {
                version = Some(extent.end() - 1);
                break;
            }
        }
        versions().put(stream, (sealed.len(), version));
        Ok(version)
    }

    pub(crate) fn trouble(&self) -> Option<Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes no more appends since something went wrong; the first reason stays.
    pub(crate) fn stop(&self, reason: Stopped) {
        if self.take_no_more(reason.clone()) {
            tracing::error!(%reason, "the store takes no more appends");
        }
    }

    /// Takes no more appends since it is wanted so.
    pub(crate) fn close(&self) {
        if self.take_no_more(Stopped::Failed("it was closed".to_owned())) {
            tracing::debug!("the store is closed");
        }
    }

    /// Whether it took appends until now.
    fn take_no_more(&self, reason: Stopped) -> bool {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let first = !matches!(*trouble, Some(Trouble::Stopped(_)));
        if first {
            *trouble = Some(Trouble::Stopped(reason));
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
}

impl Index {
    fn add(&mut self, offset: u64, frame: &Frame) -> Result<(), &'static str> {
        if frame.first != self.head + 1 {
            return Err("the frame belongs to another position");
        }
        let newest = self.live.last_mut().expect("a frame stands in a segment that has begun");
        self.streams += newest.add(offset, frame)?;
        self.head = frame.last();
        Ok(())
    }

    /// Puts the oldest live segment, which is indexed now, to the sealed ones; gives what was kept
    /// of it in memory.
    fn take_sealed(&mut self, sealed: Arc<Sealed>) -> Live {
        let freed = self.live.remove(0);
        debug_assert_eq!(freed.segment.header, sealed.header);
        Arc::make_mut(&mut self.sealed).push(sealed);
        freed
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

    /// Which of the frames at hand holds a position at or below the head.
    pub(super) fn recent_at(&self, position: u64) -> Option<usize> {
        self.recent.partition_point(|frame| frame.first <= position).checked_sub(1)
    }

    /// The live segment that holds a position.
    pub(super) fn live_at(&self, position: u64) -> Option<&Live> {
        self.live.iter().rev().find(|live| (live.first()..=live.last()).contains(&position))
    }

    /// The sealed segment that holds a position.
    pub(super) fn sealed_at(&self, position: u64) -> Option<&Arc<Sealed>> {
        let at = self.sealed.partition_point(|sealed| sealed.first() <= position);
        self.sealed.get(at.checked_sub(1)?)
    }
}
