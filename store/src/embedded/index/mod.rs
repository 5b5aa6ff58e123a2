//! The index of a sealed segment, a file beside it: which streams it holds, at which versions, where
//! each event stands, and where each frame. `store/FORMAT.md` draws every byte of it.
//!
//! It is derived: whoever finds none, or one that is not of this very segment, or a page of it whose
//! checksum does not match, reads the segment and makes it anew.
//!
//! ```text
//!   0000000001.idx:  [ header ][ frames … ][ events … ][ streams … ][ fences … ][ filter … ]
//!                      pages of 4096 bytes, each ending in a checksum that is bound to the header
//!
//!   stream ──► filter: surely not here? ──► fences ──► streams: versions ──► events: offset, checksum
//!   position ──► frames: offset, length, hash
//! ```

mod bloom;
mod build;
mod check;
mod file;
mod pages;

pub(crate) use bloom::{Seen, name_hash};
pub(crate) use build::{Built, build};
pub(crate) use check::Check;
pub(crate) use file::{Extent, Index, NotOurs};
pub(crate) use pages::{Broken, Pages, Source};

use uuid::Uuid;

use super::format::{bytes_at, put, u32_at, u64_at};
use super::scan::{SealedEnd, Segment};

/// First bytes of every index.
const MAGIC: [u8; 8] = *b"HOLDFIDX";
/// The version that this code writes and reads; another one is made anew.
const VERSION: u32 = 1;
/// Length of a page.
pub(crate) const PAGE_LEN: usize = 4096;
/// What a page says, without its checksum.
const PAGE_BODY_LEN: usize = PAGE_LEN - 4;
/// Length of an entry of the frame table, and how many go into a page.
const FRAME_LEN: usize = 16;
const FRAMES_PER_PAGE: u32 = (PAGE_BODY_LEN / FRAME_LEN) as u32;
/// Length of an entry of the event table, and how many go into a page.
const EVENT_LEN: usize = 24;
const EVENTS_PER_PAGE: u32 = (PAGE_BODY_LEN / EVENT_LEN) as u32;
/// What stands before the entries of a page of streams or fences.
const LIST_HEADER_LEN: usize = 4;

const _: () = assert!(FRAMES_PER_PAGE == 255 && EVENTS_PER_PAGE == 170);

/// The name of a segment's index.
pub(crate) fn index_name(number: u64) -> String {
    format!("{number:010}.idx")
}

/// What the name of an unfinished index ends in.
pub(crate) const UNFINISHED: &str = ".idx.new";

/// What an index's header page says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) store_id: Uuid,
    pub(crate) number: u64,
    pub(crate) first_position: u64,
    /// The checksum of the segment's header page.
    pub(crate) segment_hash: u32,
    /// The checksum of its seal, and where that stands.
    pub(crate) seal_hash: u32,
    pub(crate) seal_at: u64,
    /// The checksum of the seal's header, which depends on the last frame and on its time. The one of
    /// the whole seal does not: a checksum over bytes that end in their own checksum is always the
    /// same, so that of a frame says nothing of its header.
    pub(crate) seal_header_hash: u32,
    pub(crate) frames: u32,
    pub(crate) events: u32,
    pub(crate) streams: u32,
    /// Streams whose version 0 is here: summed over all segments they count each stream once.
    pub(crate) new_streams: u32,
    /// Where the sections begin, in pages.
    pub(crate) events_page: u32,
    pub(crate) streams_page: u32,
    /// How many pages of streams there are; fences stand behind them.
    pub(crate) stream_pages: u32,
    /// The page where a search begins, and how many levels there are from it to the streams.
    pub(crate) root_page: u32,
    pub(crate) levels: u32,
    pub(crate) filter_page: u32,
    pub(crate) filter_blocks: u32,
    /// Pages of the whole file.
    pub(crate) pages: u32,
    /// Checksum of the header page: the seed of those of all others.
    pub(crate) hash: u32,
}

/// The frame table stands right behind the header.
const FRAMES_PAGE: u32 = 1;

impl Facts {
    /// Sets `hash`, and gives the page.
    fn encode(&mut self) -> Vec<u8> {
        let mut page = vec![0; PAGE_LEN];
        put(&mut page, 0, &MAGIC);
        put(&mut page, 8, &VERSION.to_le_bytes());
        put(&mut page, 12, &(PAGE_LEN as u32).to_le_bytes());
        put(&mut page, 16, self.store_id.as_bytes());
        put(&mut page, 32, &self.number.to_le_bytes());
        put(&mut page, 40, &self.first_position.to_le_bytes());
        put(&mut page, 48, &self.segment_hash.to_le_bytes());
        put(&mut page, 52, &self.seal_hash.to_le_bytes());
        put(&mut page, 56, &self.seal_at.to_le_bytes());
        let rest = [
            self.frames,
            self.events,
            self.streams,
            self.new_streams,
            FRAMES_PAGE,
            self.events_page,
            self.streams_page,
            self.stream_pages,
            self.root_page,
            self.levels,
            self.filter_page,
            self.filter_blocks,
            self.pages,
            self.seal_header_hash,
        ];
        for (at, number) in (64..).step_by(4).zip(rest) {
            put(&mut page, at, &number.to_le_bytes());
        }
        self.hash = crc32c::crc32c(&page[..PAGE_BODY_LEN]);
        put(&mut page, PAGE_BODY_LEN, &self.hash.to_le_bytes());
        page
    }

    /// Reads a header page; `None` when it is damaged or of another version.
    fn decode(page: &[u8], check: bool) -> Option<Self> {
        if page.len() != PAGE_LEN || page[..8] != MAGIC {
            return None;
        }
        let hash = u32_at(page, PAGE_BODY_LEN);
        let whole = !check || crc32c::crc32c(&page[..PAGE_BODY_LEN]) == hash;
        if !whole || u32_at(page, 8) != VERSION || u32_at(page, 12) as usize != PAGE_LEN {
            return None;
        }
        let number = |i: usize| u32_at(page, 64 + 4 * i);
        let facts = Self {
            store_id: Uuid::from_bytes(bytes_at(page, 16)),
            number: u64_at(page, 32),
            first_position: u64_at(page, 40),
            segment_hash: u32_at(page, 48),
            seal_hash: u32_at(page, 52),
            seal_at: u64_at(page, 56),
            frames: number(0),
            events: number(1),
            streams: number(2),
            new_streams: number(3),
            events_page: number(5),
            streams_page: number(6),
            stream_pages: number(7),
            root_page: number(8),
            levels: number(9),
            filter_page: number(10),
            filter_blocks: number(11),
            pages: number(12),
            seal_header_hash: number(13),
            hash,
        };
        (number(4) == FRAMES_PAGE).then_some(facts)
    }

    /// Whether this is the index of just this segment with just this seal.
    fn binds(&self, segment: &Segment, end: &SealedEnd) -> bool {
        let header = &segment.header;
        self.store_id == header.store_id
            && self.number == header.number
            && self.first_position == header.first_position
            && self.segment_hash == header.hash
            && self.seal_hash == end.chain.hash
            && self.seal_header_hash == end.header_hash
            && self.seal_at == end.seal_at
            && u64::from(self.frames) == end.frames
            && self.first_position + u64::from(self.events) == end.chain.next
    }

    /// Position of the last event; that of the one before the first when there is none.
    pub(crate) fn last_position(&self) -> u64 {
        self.first_position + u64::from(self.events) - 1
    }
}

/// The checksum of a page behind the header.
fn page_hash(seed: u32, page: u32, body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(seed, &page.to_le_bytes()), body)
}

/// Where a frame stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameAt {
    /// Position of its first event.
    pub(crate) first: u64,
    pub(crate) offset: u32,
    pub(crate) len: u32,
    pub(crate) hash: u32,
}

/// Where an event stands, and how to tell that it is the one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventAt {
    /// Its position, counted from the segment's first.
    pub(crate) position: u32,
    pub(crate) offset: u32,
    pub(crate) len: u32,
    /// See [`event_hash`].
    pub(crate) hash: u32,
    pub(crate) recorded_at_micros: i64,
}

/// The checksum of one event: over its bytes and over what stands elsewhere in its frame, so that a
/// single event can be read and judged alone.
pub(crate) fn event_hash(
    segment_hash: u32,
    stream: &str,
    version: u64,
    position: u64,
    recorded_at_micros: i64,
    event: &[u8],
) -> u32 {
    let mut head = [0; 25];
    put(&mut head, 0, &version.to_le_bytes());
    put(&mut head, 8, &position.to_le_bytes());
    put(&mut head, 16, &recorded_at_micros.to_le_bytes());
    head[24] = stream.len() as u8;
    let hash = crc32c::crc32c_append(segment_hash, &head);
    crc32c::crc32c_append(crc32c::crc32c_append(hash, stream.as_bytes()), event)
}
