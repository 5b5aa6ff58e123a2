//! A group commit in memory: built from appends on the way to the disk, taken apart on the way back.
//!
//! ```text
//! body:    append append …
//! append:  [ batches u32 ][ bytes that follow u32 ] batch batch …
//! batch:   [ first version u64 ][ events u32 ][ name length u8 ][ 0 0 0 ][ stream name ] event event …
//! event:   [ id 16 ][ schema version u16 ][ kind length u8 ][ flags 0 ][ metadata length u32 ]
//!          [ data length u32 ][ kind ][ metadata ][ data ]
//! ```

use std::cell::Cell;
use std::ops::Range;

use bytes::Bytes;
use uuid::Uuid;

use super::encode::Encoded;
use super::format::{
    FRAME_HEADER_LEN, FrameHeader, FrameKind, Seed, TRAILER_LEN, bytes_at, check_trailer, finish,
    u32_at, u64_at,
};
use crate::{Kind, Position, RecordedEvent, StreamId};

pub(crate) const APPEND_HEADER_LEN: usize = 8;
pub(crate) const BATCH_HEADER_LEN: usize = 16;
pub(crate) const EVENT_HEADER_LEN: usize = 28;

/// A whole frame whose checksum matches, and where its events stand in it.
#[derive(Debug)]
pub(crate) struct Frame {
    /// Position of its first event.
    pub(crate) first: u64,
    pub(crate) recorded_at_micros: i64,
    /// Its checksum, which the next frame names.
    pub(crate) hash: u32,
    pub(crate) previous_hash: u32,
    /// The frame as it stands on the disk, without padding.
    pub(crate) bytes: Bytes,
    pub(crate) entries: Vec<Entry>,
}

/// Where one event stands in its frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) stream: StreamId,
    pub(crate) version: u64,
    /// Offset of its header.
    pub(crate) at: u32,
}

/// What stands in the header of an event, and where the rest of it does.
pub(crate) struct Head {
    id: Uuid,
    schema_version: u16,
    /// Its name.
    pub(crate) kind: Range<usize>,
    data_at: usize,
    end: usize,
}

impl Frame {
    /// Position of its last event.
    pub(crate) fn last(&self) -> u64 {
        self.first + self.entries.len() as u64 - 1
    }

    /// The event at a position that lies in this frame. Its payload is a slice of the frame.
    pub(crate) fn event(&self, position: u64) -> RecordedEvent {
        let entry = &self.entries[(position - self.first) as usize];
        self.made(entry, &self.head(entry), position, self.kind(entry).into())
    }

    /// What stands in the header of one of its events.
    pub(crate) fn head(&self, entry: &Entry) -> Head {
        let at = entry.at as usize;
        let head = &self.bytes[at..at + EVENT_HEADER_LEN];
        let kind_at = at + EVENT_HEADER_LEN;
        let metadata_at = kind_at + head[18] as usize;
        let data_at = metadata_at + u32_at(head, 20) as usize;
        Head {
            id: Uuid::from_bytes(bytes_at(head, 0)),
            schema_version: u16::from_le_bytes(bytes_at(head, 16)),
            kind: kind_at..metadata_at,
            data_at,
            end: data_at + u32_at(head, 24) as usize,
        }
    }

    /// The event whose header that is. Its payload is a slice of the frame.
    pub(crate) fn made(
        &self,
        entry: &Entry,
        head: &Head,
        position: u64,
        kind: Kind,
    ) -> RecordedEvent {
        RecordedEvent {
            position: Position(position),
            stream: entry.stream.clone(),
            stream_version: entry.version,
            recorded_at_micros: self.recorded_at_micros,
            id: head.id,
            kind,
            schema_version: head.schema_version,
            metadata: self.bytes.slice(head.kind.end..head.data_at),
            data: self.bytes.slice(head.data_at..head.end),
        }
    }

    /// Where the bytes of the event at a position stand in this frame.
    pub(crate) fn range(&self, position: u64) -> Range<usize> {
        let at = self.entries[(position - self.first) as usize].at as usize;
        let len =
            event_len(&self.bytes[at..]).expect("lengths were checked when it was taken apart");
        at..at + len
    }

    pub(crate) fn kind(&self, entry: &Entry) -> &str {
        let at = entry.at as usize;
        let kind = &self.bytes[at + EVENT_HEADER_LEN..][..self.bytes[at + 18] as usize];
        std::str::from_utf8(kind).expect("names were checked when the frame was taken apart")
    }

    /// Takes a whole commit frame (header to end mark) apart, checking every byte of it first.
    pub(crate) fn decode(seed: Seed, bytes: Bytes) -> Result<Self, &'static str> {
        let header = FrameHeader::decode(seed, &bytes)?;
        if header.kind != FrameKind::Commit || header.len as usize != bytes.len() {
            return Err("another frame stands here");
        }
        let hash = check_trailer(seed, &bytes)?;
        Self::of(&header, hash, bytes)
    }

    /// Takes a commit frame apart whose header and checksum have been checked.
    pub(crate) fn of(header: &FrameHeader, hash: u32, bytes: Bytes) -> Result<Self, &'static str> {
        let entries = entries(header, &bytes).ok_or("the frame's content makes no sense")?;
        Ok(Self {
            first: header.first_position,
            recorded_at_micros: header.recorded_at_micros,
            hash,
            previous_hash: header.previous_hash,
            bytes,
            entries,
        })
    }
}

/// How long the event is that `bytes` begin with, from its header to the end of its data.
fn event_len(bytes: &[u8]) -> Option<usize> {
    let head = bytes.get(..EVENT_HEADER_LEN)?;
    let names = EVENT_HEADER_LEN + usize::from(head[18]);
    names.checked_add(u32_at(head, 20) as usize)?.checked_add(u32_at(head, 24) as usize)
}

/// Takes the bytes of one event apart, which were checked to be what was written; `None` when they
/// are not the bytes of just one event.
pub(crate) fn single_event(
    bytes: &Bytes,
    position: u64,
    stream: &StreamId,
    stream_version: u64,
    recorded_at_micros: i64,
) -> Option<RecordedEvent> {
    if event_len(bytes)? != bytes.len() {
        return None;
    }
    let metadata_at = EVENT_HEADER_LEN + usize::from(bytes[18]);
    let data_at = metadata_at + u32_at(bytes, 20) as usize;
    Some(RecordedEvent {
        position: Position(position),
        stream: stream.clone(),
        stream_version,
        recorded_at_micros,
        id: Uuid::from_bytes(bytes_at(bytes, 0)),
        kind: ascii(&bytes[EVENT_HEADER_LEN..metadata_at])?.into(),
        schema_version: u16::from_le_bytes(bytes_at(bytes, 16)),
        metadata: bytes.slice(metadata_at..data_at),
        data: bytes.slice(data_at..),
    })
}

/// Walks the body with every length checked against what is there.
fn entries(header: &FrameHeader, bytes: &[u8]) -> Option<Vec<Entry>> {
    let mut body = Walk { bytes, at: FRAME_HEADER_LEN, end: bytes.len().checked_sub(TRAILER_LEN)? };
    let room = body.end - body.at;
    // An event is never smaller than its header: a count that cannot be true reserves nothing.
    let mut entries = Vec::with_capacity((header.events as usize).min(room / EVENT_HEADER_LEN + 1));
    let mut names = NAMES.take();
    for _ in 0..header.appends {
        let head = body.take(APPEND_HEADER_LEN)?;
        let (batches, len) = (u32_at(head, 0), u32_at(head, 4) as usize);
        let end = body.at.checked_add(len)?;
        for _ in 0..batches {
            let head = body.take(BATCH_HEADER_LEN)?;
            let (first_version, events) = (u64_at(head, 0), u32_at(head, 8));
            let stream = names.of(body.take(head[12] as usize)?)?;
            for i in 0..u64::from(events) {
                let at = u32::try_from(body.at).ok()?;
                let head = body.take(EVENT_HEADER_LEN)?;
                name(body.take(head[18] as usize)?)?;
                body.take(u32_at(head, 20) as usize)?;
                body.take(u32_at(head, 24) as usize)?;
                let version = first_version.checked_add(i)?;
                entries.push(Entry { stream: stream.clone(), version, at });
            }
        }
        if body.at != end {
            return None;
        }
    }
    NAMES.set(names);
    let whole = body.at == body.end && entries.len() == header.events as usize;
    (whole && !entries.is_empty()).then_some(entries)
}

/// The bytes of a name, if they are one.
fn name(bytes: &[u8]) -> Option<&[u8]> {
    (bytes.is_ascii() && !bytes.is_empty()).then_some(bytes)
}

fn ascii(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(name(bytes)?).ok()
}

thread_local! {
    /// Those that were met last by a thread that reads.
    static NAMES: Cell<Names> = Cell::default();
}

/// Names of streams that were met, so that most are copied once.
#[derive(Default)]
struct Names(Vec<Option<StreamId>>);

impl Names {
    const PLACES: usize = 1 << 10;

    fn of(&mut self, name: &[u8]) -> Option<StreamId> {
        self.0.resize(Self::PLACES, None);
        let place = &mut self.0[crc32c::crc32c(name) as usize % Self::PLACES];
        match place {
            Some(stream) if stream.as_str().as_bytes() == name => Some(stream.clone()),
            Some(_) | None => Some(place.insert(StreamId::new(ascii(name)?)).clone()),
        }
    }
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Walk<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(len)?;
        if end > self.end {
            return None;
        }
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Some(taken)
    }
}

/// How many bytes a frame with so long a body takes.
pub(crate) fn frame_len(body_len: usize) -> usize {
    FRAME_HEADER_LEN + body_len + TRAILER_LEN
}

/// A frame that is being filled: the appends as they come, copied together when all are there.
#[derive(Default)]
pub(crate) struct FrameBuilder {
    appends: Vec<Encoded>,
    body_len: usize,
    events: usize,
}

impl FrameBuilder {
    pub(crate) fn is_empty(&self) -> bool {
        self.appends.is_empty()
    }

    pub(crate) fn appends(&self) -> &[Encoded] {
        &self.appends
    }

    /// What the frame's body comes to as it is.
    pub(crate) fn body_len(&self) -> usize {
        self.body_len
    }

    /// Adds an append of which it is said where its batches start.
    pub(crate) fn push(&mut self, append: Encoded) {
        self.body_len += append.len();
        self.events += append.events();
        self.appends.push(append);
    }

    /// The appends again, in order; the builder is empty and as good as new.
    pub(crate) fn drain(&mut self) -> std::vec::Drain<'_, Encoded> {
        (self.body_len, self.events) = (0, 0);
        self.appends.drain(..)
    }

    /// Closes the frame at its place in the chain. The appends stay, for their answers.
    pub(crate) fn finish(
        &mut self,
        seed: Seed,
        previous_hash: u32,
        first: u64,
        recorded_at_micros: i64,
    ) -> Frame {
        let len = frame_len(self.body_len);
        let header = FrameHeader {
            kind: FrameKind::Commit,
            len: len as u32,
            previous_hash,
            first_position: first,
            recorded_at_micros,
            appends: self.appends.len() as u32,
            events: self.events as u32,
        };
        let mut bytes = Vec::with_capacity(len);
        bytes.resize(FRAME_HEADER_LEN, 0);
        header.encode(seed, &mut bytes);
        let mut entries = Vec::with_capacity(self.events);
        for append in &mut self.appends {
            append.move_entries(bytes.len(), &mut entries);
            bytes.extend_from_slice(append.bytes());
        }
        let hash = finish(seed, &mut bytes);
        assert_eq!(bytes.len(), len, "what was promised is what is written");
        Frame { first, recorded_at_micros, hash, previous_hash, bytes: bytes.into(), entries }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use std::hash::RandomState;

    use super::super::format::put;
    use super::*;
    use crate::Expected;
    use crate::contract::{batch, event};

    fn sample() -> Frame {
        let mut builder = FrameBuilder::default();
        let mut one = batch("thing-1", Expected::Any, 2);
        one.events.push(event("odd kind", vec![0, 255, 10]));
        let appends =
            [vec![one, batch("thing-2", Expected::Any, 1)], vec![batch("x-1", Expected::Any, 1)]];
        let key = RandomState::new();
        for append in appends {
            let mut append = Encoded::new(append, &key);
            for start in [5, 0].into_iter().take(append.batches.len()) {
                append.start_at(start);
            }
            builder.push(append);
        }
        builder.finish(Seed::new(7), 8, 100, -3)
    }

    #[test]
    fn a_frame_comes_back_as_it_was_built() {
        let built = sample();
        let read = Frame::decode(Seed::new(7), built.bytes.clone()).unwrap();
        assert_eq!((read.first, read.last(), read.hash), (100, 104, built.hash));
        assert_eq!((read.previous_hash, read.recorded_at_micros), (8, -3));
        assert_eq!(read.entries, built.entries);
        for position in 100..=104 {
            assert_eq!(read.event(position), built.event(position));
        }
        assert_eq!(read.event(102).data, &[0, 255, 10][..]);
        assert_eq!(read.event(103).stream_version, 0);
    }

    #[test]
    fn every_flipped_bit_of_a_frame_is_noticed() {
        let built = sample();
        for at in 0..built.bytes.len() {
            for bit in 0..8 {
                let mut bytes = built.bytes.to_vec();
                bytes[at] ^= 1 << bit;
                assert!(Frame::decode(Seed::new(7), bytes.into()).is_err(), "byte {at}, bit {bit}");
            }
        }
        assert!(
            Frame::decode(Seed::new(6), built.bytes.clone()).is_err(),
            "another segment's frame"
        );
    }

    /// Lengths that a checksum vouches for may still lie: they are checked before they are used.
    #[test]
    fn lengths_that_lie_are_refused() {
        let built = sample();
        let content = built.bytes.len() - TRAILER_LEN;
        for at in FRAME_HEADER_LEN..content - 4 {
            let mut bytes = built.bytes[..content].to_vec();
            put(&mut bytes, at, &u32::MAX.to_le_bytes());
            finish(Seed::new(7), &mut bytes);
            let _ = Frame::decode(Seed::new(7), bytes.into());
        }
    }
}
