//! Asking an index: does a stream stand here, at which versions, where are its events, where is a
//! position. Each page was checked when it was read; what stands in it is still not used as a length
//! or a place before it is known to lie inside.

use std::io;
use std::ops::Range;

use bytes::Bytes;

use super::super::disk::read_up_to;
use super::super::files::{Files, Part};
use super::super::format::{bytes_at, u32_at, u64_at};
use super::super::scan::{SealedEnd, Segment, read_seal};
use super::super::twins::{Twin, Twins};
use super::bloom::{BLOCK_LEN, bits_of, block_of};
use super::build::{BLOCKS_PER_PAGE, Built};
use super::{
    Broken, EVENT_LEN, EVENTS_PER_PAGE, EventAt, FRAME_LEN, FRAMES_PAGE, FRAMES_PER_PAGE, Facts,
    FrameAt, LIST_HEADER_LEN, PAGE_LEN, Pages, Source, name_hash,
};
use crate::StreamId;

/// Pages of streams that are read at once when all of them are wanted.
const PAGES_AT_ONCE: u32 = 64;

/// An index: what its header says, and where its pages are. So much of it is in memory always.
#[derive(Clone)]
pub(crate) struct Index {
    pub(crate) facts: Facts,
    pub(crate) source: Source,
}

/// A stream's versions in one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) first_version: u64,
    pub(crate) count: u32,
    /// The first of its entries in the event table.
    pub(crate) first_event: u32,
}

impl Extent {
    /// The version behind its last.
    pub(crate) fn end(&self) -> u64 {
        self.first_version + u64::from(self.count)
    }
}

/// Why the file beside a segment is not used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotOurs {
    /// There is none.
    Missing,
    /// It is damaged, of another version, or of another segment.
    Unusable(&'static str),
}

impl Index {
    /// Opens the index beside a segment: it has to be of just this segment, with just this seal.
    /// Gives how the segment ends.
    pub(crate) fn open(
        files: &Files,
        segment: &Segment,
        name: u64,
        twins: Twins,
    ) -> io::Result<Result<(Self, SealedEnd), NotOurs>> {
        let number = segment.header.number;
        let read = files
            .get(number, Part::Index)
            .and_then(|file| Ok((read_up_to(&*file, 0, PAGE_LEN)?, file.len_bytes()?)));
        let (page, len) = match read {
            Ok(read) => read,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Err(NotOurs::Missing)),
            Err(_) => return Ok(Err(NotOurs::Unusable("it cannot be read"))),
        };
        let Some(facts) = Facts::decode(&page, !twins.on(Twin::IndexChecksumIgnored)) else {
            return Ok(Err(NotOurs::Unusable("its header is damaged, or of another version")));
        };
        if len != u64::from(facts.pages) * PAGE_LEN as u64 {
            return Ok(Err(NotOurs::Unusable("it is not as long as it should be")));
        }
        let Some(end) = read_seal(segment, facts.seal_at)? else {
            return Ok(Err(NotOurs::Unusable("no seal stands where it says")));
        };
        if !facts.binds(segment, &end) && !twins.on(Twin::StaleIndexTrusted) {
            return Ok(Err(NotOurs::Unusable("it is of another segment")));
        }
        Ok(Ok((Self { facts, source: Source::File(name) }, end)))
    }

    /// One that was just made.
    pub(crate) fn of(built: &Built) -> Self {
        Self { facts: built.facts.clone(), source: Source::Memory(built.bytes.clone()) }
    }

    fn page(&self, pages: &Pages, files: &Files, page: u32) -> Result<Bytes, Broken> {
        if page == 0 || page >= self.facts.pages {
            return Err(Broken::nonsense());
        }
        pages.get(files, self.facts.number, &self.source, self.facts.hash, page)
    }

    /// Whether the stream may stand here; "no" is sure.
    pub(crate) fn may_hold(&self, pages: &Pages, files: &Files, hash: u64) -> Result<bool, Broken> {
        let block = block_of(hash, self.facts.filter_blocks);
        let page = self.page(pages, files, self.facts.filter_page + block / BLOCKS_PER_PAGE)?;
        let at = (block % BLOCKS_PER_PAGE) as usize * BLOCK_LEN;
        let block = &page[at..at + BLOCK_LEN];
        Ok(bits_of(hash).all(|bit| block[bit / 8] >> (bit % 8) & 1 == 1))
    }

    /// The stream's versions here, if it has any.
    pub(crate) fn find(
        &self,
        pages: &Pages,
        files: &Files,
        stream: &StreamId,
    ) -> Result<Option<Extent>, Broken> {
        if self.facts.streams == 0 {
            return Ok(None);
        }
        let name = stream.as_str().as_bytes();
        let mut at = self.facts.root_page;
        for _ in 1..self.facts.levels {
            let page = self.page(pages, files, at)?;
            let mut child = None;
            for entry in Entries::of(&page, 4) {
                let (first, rest) = entry?;
                if first > name {
                    break;
                }
                child = Some(u32_at(rest, 0));
            }
            match child {
                Some(page) => at = page,
                None => return Ok(None),
            }
        }
        let page = self.page(pages, files, at)?;
        for entry in Entries::of(&page, 16) {
            let (found, rest) = entry?;
            if found == name {
                let extent = extent(rest);
                let inside = u64::from(extent.first_event) + u64::from(extent.count)
                    <= u64::from(self.facts.events);
                return if inside && extent.count > 0 {
                    Ok(Some(extent))
                } else {
                    Err(Broken::nonsense())
                };
            }
            if found > name {
                break;
            }
        }
        Ok(None)
    }

    /// Hands over the hash of each stream's name; nothing of it is kept in the cache.
    pub(crate) fn each_hash(
        &self,
        pages: &Pages,
        files: &Files,
        seen: &mut dyn FnMut(u64),
    ) -> Result<(), Broken> {
        // What the header says is not believed: a page that is not there is told when it is read.
        let end = self.facts.streams_page.saturating_add(self.facts.stream_pages);
        let mut at = self.facts.streams_page;
        while at < end {
            let count = PAGES_AT_ONCE.min(end - at);
            let read = match &self.source {
                Source::File(_) => {
                    pages.read(files, self.facts.number, self.facts.hash, at, count)?
                }
                Source::Memory(_) => (at..at + count)
                    .map(|p| self.page(pages, files, p))
                    .collect::<Result<_, _>>()?,
            };
            for page in read {
                for entry in Entries::of(&page, 16) {
                    let name = std::str::from_utf8(entry?.0).map_err(|_| Broken::nonsense())?;
                    seen(name_hash(name));
                }
            }
            at += count;
        }
        Ok(())
    }

    /// Entries of the event table.
    pub(crate) fn events(
        &self,
        pages: &Pages,
        files: &Files,
        range: Range<u32>,
    ) -> Result<Vec<EventAt>, Broken> {
        let mut events = Vec::with_capacity(range.len());
        let mut at = range.start;
        while at < range.end {
            let page = self.page(pages, files, self.facts.events_page + at / EVENTS_PER_PAGE)?;
            let until = range.end.min((at / EVENTS_PER_PAGE + 1) * EVENTS_PER_PAGE);
            for i in at..until {
                let entry = &page[(i % EVENTS_PER_PAGE) as usize * EVENT_LEN..][..EVENT_LEN];
                events.push(EventAt {
                    position: u32_at(entry, 0),
                    offset: u32_at(entry, 4),
                    len: u32_at(entry, 8),
                    hash: u32_at(entry, 12),
                    recorded_at_micros: i64::from_le_bytes(bytes_at(entry, 16)),
                });
            }
            at = until;
        }
        Ok(events)
    }

    /// An entry of the frame table.
    pub(crate) fn frame(&self, pages: &Pages, files: &Files, at: u32) -> Result<FrameAt, Broken> {
        let page = self.page(pages, files, FRAMES_PAGE + at / FRAMES_PER_PAGE)?;
        let entry = &page[(at % FRAMES_PER_PAGE) as usize * FRAME_LEN..][..FRAME_LEN];
        Ok(FrameAt {
            first: self.facts.first_position + u64::from(u32_at(entry, 0)),
            offset: u32_at(entry, 4),
            len: u32_at(entry, 8),
            hash: u32_at(entry, 12),
        })
    }

    /// Which entry of the frame table holds a position of this segment.
    pub(crate) fn frame_at(
        &self,
        pages: &Pages,
        files: &Files,
        position: u64,
    ) -> Result<u32, Broken> {
        // The first entry behind it lies in here.
        let (mut low, mut high) = (0, self.facts.frames);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.frame(pages, files, middle)?.first <= position {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low.checked_sub(1).ok_or_else(Broken::nonsense)
    }
}

fn extent(rest: &[u8]) -> Extent {
    Extent { first_version: u64_at(rest, 0), count: u32_at(rest, 8), first_event: u32_at(rest, 12) }
}

/// The entries of a page of streams or fences: a name, and so many bytes behind it.
struct Entries<'a> {
    left: u16,
    bytes: &'a [u8],
    rest_len: usize,
}

impl<'a> Entries<'a> {
    fn of(page: &'a [u8], rest_len: usize) -> Self {
        let left = u16::from_le_bytes(bytes_at(page, 0));
        Self { left, bytes: &page[LIST_HEADER_LEN..], rest_len }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let len = self.bytes.first().copied().map_or(0, usize::from);
        let Some((entry, behind)) = self.bytes.split_at_checked(1 + len + self.rest_len) else {
            self.left = 0;
            return Some(Err(Broken::nonsense()));
        };
        self.bytes = behind;
        Some(Ok(entry[1..].split_at(len)))
    }
}
