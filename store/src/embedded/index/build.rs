//! Making an index: walk the segment as recovery would, believing nothing, and write down what is
//! met. The same segment always gives the same bytes.

use std::collections::HashMap;
use std::io;

use bytes::Bytes;

use super::super::OpenError;
use super::super::format::{SEAL_LEN, put};
use super::super::frame::Frame;
use super::super::scan::{Damage, Met, Place, SealedEnd, Segment, read_seal, walk_segment};
use super::super::twins::Twins;
use super::bloom::{BLOCK_LEN, bits_of, block_of, blocks_for, name_hash};
use super::{
    EVENT_LEN, EVENTS_PER_PAGE, EventAt, FRAME_LEN, FRAMES_PAGE, FRAMES_PER_PAGE, Facts, FrameAt,
    LIST_HEADER_LEN, PAGE_BODY_LEN, PAGE_LEN, event_hash, page_hash,
};
use crate::StreamId;

/// Blocks of the filter in a page.
pub(super) const BLOCKS_PER_PAGE: u32 = (PAGE_BODY_LEN / BLOCK_LEN) as u32;

/// An index that was just made.
pub(crate) struct Built {
    pub(crate) facts: Facts,
    /// The whole file.
    pub(crate) bytes: Bytes,
    pub(crate) end: SealedEnd,
    /// The hashes of the names of its streams.
    pub(crate) hashes: Vec<u64>,
}

/// Makes the index of a segment; `None` when the segment has no seal, or is too long to be indexed.
/// Ends early with "interrupted" when `go_on` says no.
pub(crate) fn build(
    segment: &Segment,
    twins: Twins,
    go_on: &dyn Fn() -> bool,
) -> Result<Option<Built>, OpenError> {
    if u32::try_from(segment.header.segment_bytes).is_err() {
        return Ok(None);
    }
    let mut collected = Collected::default();
    let mut stopped = false;
    let mut place = Place::at(segment);
    let walked = walk_segment(&mut place, twins, &mut |met| match met {
        Met::Segment(_) => Ok(()),
        Met::Frame(segment, offset, frame) => {
            if !go_on() {
                stopped = true;
                return Err(segment.damage(offset, frame.first, "given up"));
            }
            collected.add(segment, offset, &frame)
        }
    });
    if stopped {
        return Err(io::Error::from(io::ErrorKind::Interrupted).into());
    }
    if walked?.is_some() {
        return Ok(None);
    }
    let seal_at = place.last_frame.expect("a segment that is sealed has a last frame");
    debug_assert_eq!(place.offset, segment.header.align(seal_at + SEAL_LEN as u64));
    let end = read_seal(segment, seal_at)?;
    Ok(end.map(|end| collected.finish(segment, end)))
}

/// What is written down of a segment while it is walked.
#[derive(Default)]
pub(super) struct Collected {
    frames: Vec<FrameAt>,
    /// As they stand in the log, each with its stream.
    events: Vec<(u32, EventAt)>,
    streams: Vec<Stream>,
    by_name: HashMap<StreamId, u32>,
}

struct Stream {
    name: StreamId,
    first_version: u64,
    count: u32,
}

impl Collected {
    pub(super) fn add(
        &mut self,
        segment: &Segment,
        offset: u64,
        frame: &Frame,
    ) -> Result<(), Damage> {
        let header = &segment.header;
        self.frames.push(FrameAt {
            first: frame.first,
            offset: offset as u32,
            len: frame.bytes.len() as u32,
            hash: frame.hash,
        });
        for (position, entry) in (frame.first..).zip(&frame.entries) {
            let at = match self.by_name.get(&entry.stream) {
                Some(at) => *at,
                None => {
                    let at = self.streams.len() as u32;
                    self.by_name.insert(entry.stream.clone(), at);
                    let (name, first_version) = (entry.stream.clone(), entry.version);
                    self.streams.push(Stream { name, first_version, count: 0 });
                    at
                }
            };
            let stream = &mut self.streams[at as usize];
            if stream.first_version + u64::from(stream.count) != entry.version {
                let what = "a stream does not go on at its next version";
                return Err(segment.damage(offset, frame.first, what));
            }
            stream.count += 1;
            let range = frame.range(position);
            let (name, recorded) = (entry.stream.as_str(), frame.recorded_at_micros);
            let bytes = &frame.bytes[range.clone()];
            let event = EventAt {
                position: (position - header.first_position) as u32,
                offset: (offset + range.start as u64) as u32,
                len: range.len() as u32,
                hash: event_hash(header.hash, name, entry.version, position, recorded, bytes),
                recorded_at_micros: recorded,
            };
            self.events.push((at, event));
        }
        Ok(())
    }

    pub(super) fn finish(mut self, segment: &Segment, end: SealedEnd) -> Built {
        self.by_name = HashMap::new();
        // Where each stream's events begin when the streams stand in the order of their names.
        let mut order: Vec<u32> = (0..self.streams.len() as u32).collect();
        order.sort_unstable_by(|a, b| {
            self.streams[*a as usize].name.cmp(&self.streams[*b as usize].name)
        });
        let mut begin = vec![0; self.streams.len()];
        let mut next = 0;
        for at in &order {
            begin[*at as usize] = next;
            next += self.streams[*at as usize].count;
        }

        let mut file = Writer { bytes: vec![0; PAGE_LEN] };
        for frames in self.frames.chunks(FRAMES_PER_PAGE as usize) {
            let page = file.page();
            for (at, frame) in (0..).step_by(FRAME_LEN).zip(frames) {
                let first = (frame.first - segment.header.first_position) as u32;
                for (i, number) in [first, frame.offset, frame.len, frame.hash].iter().enumerate() {
                    put(page, at + 4 * i, &number.to_le_bytes());
                }
            }
        }
        let events_page = file.pages();
        let mut sorted = vec![None; self.events.len()];
        let mut filled = begin.clone();
        for (stream, event) in &self.events {
            let at = &mut filled[*stream as usize];
            sorted[*at as usize] = Some(event);
            *at += 1;
        }
        for events in sorted.chunks(EVENTS_PER_PAGE as usize) {
            let page = file.page();
            for (at, event) in (0..).step_by(EVENT_LEN).zip(events.iter().flatten()) {
                let numbers = [event.position, event.offset, event.len, event.hash];
                for (i, number) in numbers.iter().enumerate() {
                    put(page, at + 4 * i, &number.to_le_bytes());
                }
                put(page, at + 16, &event.recorded_at_micros.to_le_bytes());
            }
        }

        let streams_page = file.pages();
        let mut list = List::default();
        for at in &order {
            let stream = &self.streams[*at as usize];
            let mut rest = [0; 16];
            put(&mut rest, 0, &stream.first_version.to_le_bytes());
            put(&mut rest, 8, &stream.count.to_le_bytes());
            put(&mut rest, 12, &begin[*at as usize].to_le_bytes());
            list.push(&mut file, stream.name.as_str(), &rest);
        }
        let mut fences = list.finish(&mut file);
        let stream_pages = file.pages() - streams_page;
        // The names that pages begin with, and so on until one page holds them all.
        let mut levels = 1;
        while fences.len() > 1 {
            let mut list = List::default();
            for (name, page) in &fences {
                list.push(&mut file, name, &page.to_le_bytes());
            }
            fences = list.finish(&mut file);
            levels += 1;
        }
        let root_page = fences.first().map_or(streams_page, |(_, page)| *page);

        let filter_page = file.pages();
        let hashes: Vec<u64> = self.streams.iter().map(|s| name_hash(s.name.as_str())).collect();
        let filter_blocks = blocks_for(hashes.len() as u64);
        for _ in 0..filter_blocks.div_ceil(BLOCKS_PER_PAGE) {
            file.page();
        }
        for hash in &hashes {
            let block = block_of(*hash, filter_blocks);
            let page = (filter_page + block / BLOCKS_PER_PAGE) as usize * PAGE_LEN;
            let at = page + (block % BLOCKS_PER_PAGE) as usize * BLOCK_LEN;
            for bit in bits_of(*hash) {
                file.bytes[at + bit / 8] |= 1 << (bit % 8);
            }
        }

        let header = &segment.header;
        let facts = Facts {
            store_id: header.store_id,
            number: header.number,
            first_position: header.first_position,
            segment_hash: header.hash,
            seal_hash: end.chain.hash,
            seal_at: end.seal_at,
            seal_header_hash: end.header_hash,
            frames: self.frames.len() as u32,
            events: self.events.len() as u32,
            streams: self.streams.len() as u32,
            new_streams: self.streams.iter().filter(|s| s.first_version == 0).count() as u32,
            events_page,
            streams_page,
            stream_pages,
            root_page,
            levels,
            filter_page,
            filter_blocks,
            pages: file.pages(),
            hash: 0,
        };
        let (facts, bytes) = file.finish(facts);
        Built { facts, bytes, end, hashes }
    }
}

/// The file that grows, page by page.
struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn pages(&self) -> u32 {
        (self.bytes.len() / PAGE_LEN) as u32
    }

    /// A new page of zeros.
    fn page(&mut self) -> &mut [u8] {
        let at = self.bytes.len();
        self.bytes.resize(at + PAGE_LEN, 0);
        &mut self.bytes[at..]
    }

    /// Puts the header in front and a checksum behind each page.
    fn finish(mut self, mut facts: Facts) -> (Facts, Bytes) {
        debug_assert_eq!(FRAMES_PAGE, 1);
        let header = facts.encode();
        put(&mut self.bytes, 0, &header);
        for (number, page) in (0..).zip(self.bytes.chunks_mut(PAGE_LEN)).skip(1) {
            let hash = page_hash(facts.hash, number, &page[..PAGE_BODY_LEN]);
            put(page, PAGE_BODY_LEN, &hash.to_le_bytes());
        }
        (facts, self.bytes.into())
    }
}

/// Names in order, each with something behind it, packed into pages.
#[derive(Default)]
struct List {
    page: Vec<u8>,
    count: u16,
    /// The first name of each page, and the page's number.
    fences: Vec<(String, u32)>,
    first: String,
}

impl List {
    fn push(&mut self, file: &mut Writer, name: &str, rest: &[u8]) {
        if LIST_HEADER_LEN + self.page.len() + 1 + name.len() + rest.len() > PAGE_BODY_LEN {
            self.flush(file);
        }
        if self.count == 0 {
            name.clone_into(&mut self.first);
        }
        self.count += 1;
        self.page.push(name.len() as u8);
        self.page.extend_from_slice(name.as_bytes());
        self.page.extend_from_slice(rest);
    }

    fn flush(&mut self, file: &mut Writer) {
        self.fences.push((std::mem::take(&mut self.first), file.pages()));
        let page = file.page();
        put(page, 0, &self.count.to_le_bytes());
        put(page, LIST_HEADER_LEN, &self.page);
        self.page.clear();
        self.count = 0;
    }

    fn finish(mut self, file: &mut Writer) -> Vec<(String, u32)> {
        if self.count > 0 {
            self.flush(file);
        }
        self.fences
    }
}
