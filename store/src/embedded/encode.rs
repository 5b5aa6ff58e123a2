//! An append as it will stand in a frame's body. Whoever appends does this work in their own task, so
//! that the one writer only judges, fills in the versions and copies.
//!
//! ```text
//! append:  [ batches u32 ][ bytes that follow u32 ] batch batch …
//! batch:   [ first version u64 ][ events u32 ][ name length u8 ][ 0 0 0 ][ stream name ] event event …
//!               └── the writer's
//! ```

use std::hash::{BuildHasher, RandomState};

use super::format::put;
use super::frame::{APPEND_HEADER_LEN, BATCH_HEADER_LEN, EVENT_HEADER_LEN, Entry};
use crate::{Expected, StreamAppend, StreamId};

/// A whole append, but for the versions at which its batches start.
pub(crate) struct Encoded {
    bytes: Vec<u8>,
    pub(crate) batches: Vec<EncodedBatch>,
    events: usize,
    /// Versions and offsets are counted from the batch's and the append's beginning.
    entries: Vec<Entry>,
    /// Room for the version of each batch.
    versions: Vec<u64>,
}

/// What the writer has to know of a batch.
pub(crate) struct EncodedBatch {
    pub(crate) stream: StreamId,
    /// Of the stream's name, with the key of this run.
    pub(crate) hash: u64,
    pub(crate) expected: Expected,
    pub(crate) events: usize,
    /// Where its first version goes.
    at: usize,
}

impl Encoded {
    /// Encodes an append that [`crate::limits::check`] has let through. `key` is the same for all.
    pub(crate) fn new(batches: Vec<StreamAppend>, key: &RandomState) -> Self {
        let mut bytes = Vec::with_capacity(encoded_len(&batches));
        let mut entries = Vec::with_capacity(batches.iter().map(|b| b.events.len()).sum());
        let versions = Vec::with_capacity(batches.len());
        bytes.extend_from_slice(&(batches.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        let encode = |StreamAppend { stream, expected, events }| {
            let (at, name) = (bytes.len(), StreamId::as_str(&stream));
            bytes.extend_from_slice(&[0; 8]);
            bytes.extend_from_slice(&(Vec::len(&events) as u32).to_le_bytes());
            bytes.extend_from_slice(&[name.len() as u8, 0, 0, 0]);
            bytes.extend_from_slice(name.as_bytes());
            for (version, event) in (0..).zip(&events) {
                let at = bytes.len() as u32;
                entries.push(Entry { stream: stream.clone(), version, at });
                let event: &crate::NewEvent = event;
                let mut head = [0; EVENT_HEADER_LEN];
                put(&mut head, 0, event.id.as_bytes());
                put(&mut head, 16, &event.schema_version.to_le_bytes());
                head[18] = event.kind.len() as u8;
                put(&mut head, 20, &(event.metadata.len() as u32).to_le_bytes());
                put(&mut head, 24, &(event.data.len() as u32).to_le_bytes());
                bytes.extend_from_slice(&head);
                bytes.extend_from_slice(event.kind.as_bytes());
                bytes.extend_from_slice(&event.metadata);
                bytes.extend_from_slice(&event.data);
            }
            let hash = key.hash_one(name);
            EncodedBatch { stream, hash, expected, events: events.len(), at }
        };
        let batches = batches.into_iter().map(encode).collect();
        let len = (bytes.len() - APPEND_HEADER_LEN) as u32;
        put(&mut bytes, 4, &len.to_le_bytes());
        let events = entries.len();
        Self { bytes, batches, events, entries, versions }
    }

    /// What it takes in a frame's body.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// How many events it has.
    pub(crate) fn events(&self) -> usize {
        self.events
    }

    /// The version of a batch's last event, once it is said where it starts.
    pub(crate) fn last_version(&self, batch: usize) -> u64 {
        self.versions[batch] + self.batches[batch].events as u64 - 1
    }

    /// Says at which version the next batch starts: once for each, in order.
    pub(crate) fn start_at(&mut self, version: u64) {
        let at = self.batches[self.versions.len()].at;
        put(&mut self.bytes, at, &version.to_le_bytes());
        self.versions.push(version);
    }

    /// Forgets where the batches start.
    pub(crate) fn start_anew(&mut self) {
        self.versions.clear();
    }

    /// The bytes, once it is said where each batch starts.
    pub(crate) fn bytes(&self) -> &[u8] {
        assert_eq!(self.versions.len(), self.batches.len(), "each batch starts somewhere");
        &self.bytes
    }

    /// Each batch as an append of its own, once it is said where each starts: for the twin that
    /// forgets what an append is.
    #[cfg(test)]
    pub(crate) fn apart(&self) -> Vec<Self> {
        let ends = self.batches.iter().skip(1).map(|batch| batch.at).chain([self.bytes.len()]);
        let mut rest = &self.entries[..];
        let mut apart = Vec::new();
        for ((batch, end), version) in self.batches.iter().zip(ends).zip(&self.versions) {
            let (here, behind) = rest.split_at(batch.events);
            rest = behind;
            let mut bytes = 1u32.to_le_bytes().to_vec();
            bytes.extend_from_slice(&((end - batch.at) as u32).to_le_bytes());
            bytes.extend_from_slice(&self.bytes[batch.at..end]);
            let moved = (batch.at - APPEND_HEADER_LEN) as u32;
            apart.push(Self {
                bytes,
                batches: vec![EncodedBatch {
                    stream: batch.stream.clone(),
                    hash: batch.hash,
                    expected: batch.expected,
                    events: batch.events,
                    at: APPEND_HEADER_LEN,
                }],
                events: batch.events,
                entries: here.iter().map(|e| Entry { at: e.at - moved, ..e.clone() }).collect(),
                versions: vec![*version],
            });
        }
        apart
    }

    /// Hands over the entries, for a body in which the append stands at `at`.
    pub(crate) fn move_entries(&mut self, at: usize, entries: &mut Vec<Entry>) {
        let starts = self.batches.iter().zip(&self.versions);
        let mut firsts =
            starts.flat_map(|(batch, first)| std::iter::repeat_n(*first, batch.events));
        entries.extend(self.entries.drain(..).map(|mut entry| {
            entry.version += firsts.next().expect("each event stands in a batch");
            entry.at += at as u32;
            entry
        }));
    }

    /// For each batch the version of its last event: what is answered.
    pub(crate) fn take_last_versions(&mut self) -> Vec<u64> {
        let mut versions = std::mem::take(&mut self.versions);
        for (version, batch) in versions.iter_mut().zip(&self.batches) {
            *version += batch.events as u64 - 1;
        }
        versions
    }
}

/// How many bytes an append takes in a frame's body.
fn encoded_len(batches: &[StreamAppend]) -> usize {
    let batch = |batch: &StreamAppend| {
        let events: usize = batch
            .events
            .iter()
            .map(|e| EVENT_HEADER_LEN + e.kind.len() + e.metadata.len() + e.data.len())
            .sum();
        BATCH_HEADER_LEN + batch.stream.as_str().len() + events
    };
    APPEND_HEADER_LEN + batches.iter().map(batch).sum::<usize>()
}
