//! The appends that go into one frame, and who waits for them. Guards are judged by what the log says
//! **and** by what stands before them in the same frame.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::encode::{Encoded, EncodedBatch};
use super::frame::FrameBuilder;
use super::sync::oneshot;
use crate::{AppendError, Appended};

/// How many bytes one frame takes, unless a single append is longer.
const GROUP_BYTES: usize = 1 << 20;
/// How many appends one frame takes.
const GROUP_APPENDS: usize = 1024;

/// An append that waits for its answer.
pub(crate) struct Waiting {
    pub(crate) append: Encoded,
    pub(crate) answer: Answer,
}

/// What an appender is told. The append goes back with it: memory is cheapest let go where it was
/// taken, and not in the one writer.
pub(crate) struct Answered {
    pub(crate) outcome: Result<Appended, AppendError>,
    pub(crate) _spent: Option<Encoded>,
}

/// The way back to who waits.
pub(crate) struct Answer(pub(crate) oneshot::Sender<Answered>);

impl Answer {
    /// Whoever no longer waits is not told.
    pub(crate) fn give(self, outcome: Result<Appended, AppendError>, spent: Option<Encoded>) {
        let _ = self.0.send(Answered { outcome, _spent: spent });
    }
}

/// A frame on its way, and who waits for it. Used again for the next one.
#[derive(Default)]
pub(crate) struct Group {
    pub(crate) frame: FrameBuilder,
    /// One for each append of the frame.
    pub(crate) answers: Vec<Answer>,
    /// Refused because of what stands in this same frame: told when that is durable.
    pub(crate) refused: Vec<(Answer, AppendError)>,
    /// By the hash of a stream's name: the last append and batch of this frame that is for it.
    latest: HashMap<u64, (u32, u32), BuildHasherDefault<AsItIs>>,
}

impl Group {
    /// The version to which this frame brings the batch's stream, if it changes it.
    pub(crate) fn version(&self, batch: &EncodedBatch) -> Option<u64> {
        let (append, at) = *self.latest.get(&batch.hash)?;
        let append = &self.frame.appends()[append as usize];
        let found = &append.batches[at as usize];
        if found.stream == batch.stream {
            Some(append.last_version(at as usize))
        } else {
            self.search(batch)
        }
    }

    /// Two names of one hash: rare enough to look through all.
    fn search(&self, batch: &EncodedBatch) -> Option<u64> {
        self.frame.appends().iter().rev().find_map(|append| {
            let at = append.batches.iter().position(|found| found.stream == batch.stream)?;
            Some(append.last_version(at))
        })
    }

    /// Whether no more than this fits beside what is there.
    pub(crate) fn is_full(&self, append: &Encoded) -> bool {
        self.answers.len() == GROUP_APPENDS || self.frame.body_len() + append.len() > GROUP_BYTES
    }

    /// Adds an append whose guards hold, and of which it is said where its batches start.
    pub(crate) fn push(&mut self, Waiting { append, answer }: Waiting) {
        let number = self.frame.appends().len() as u32;
        self.latest.extend((0..).zip(&append.batches).map(|(at, b)| (b.hash, (number, at))));
        self.frame.push(append);
        self.answers.push(answer);
    }

    /// Makes room for the next group, once all are answered.
    pub(crate) fn clear(&mut self) {
        self.latest.clear();
        drop(self.frame.drain());
        self.answers.clear();
        self.refused.clear();
    }
}

/// For keys that are hashes already.
#[derive(Default)]
pub(crate) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use std::hash::RandomState;

    use super::*;
    use crate::Expected;
    use crate::contract::batch;

    /// Names whose hashes are the same are told apart.
    #[test]
    fn streams_are_not_mixed_up_when_their_hashes_are() {
        let (key, mut group) = (RandomState::new(), Group::default());
        let encoded = |name: &str, first: u64| {
            let mut append = Encoded::new(vec![batch(name, Expected::Any, 2)], &key);
            append.batches[0].hash = 7;
            append.start_at(first);
            append
        };
        for (name, first) in [("a-1", 10), ("b-1", 20), ("a-1", 12)] {
            let (answer, _) = oneshot::channel();
            group.push(Waiting { append: encoded(name, first), answer: Answer(answer) });
        }
        let version = |name| group.version(&encoded(name, 0).batches[0]);
        assert_eq!((version("a-1"), version("b-1"), version("c-1")), (Some(13), Some(21), None));
    }
}
