//! Which version of each stream comes next, in little memory: of a name only a keyed 128-bit hash
//! is kept, so that ten million streams take some 400 MiB however long their names are. The keys are
//! random: nobody can choose two names that meet.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};

use super::super::frame::Frame;

/// The maps are many and small, so that never more than one of them grows at a time.
const SHARDS: usize = 256;

/// What is kept of a stream's name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Name(u64, u64);

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0);
    }
}

/// Takes a hash for what it is.
#[derive(Default)]
pub(super) struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only names are hashed, and they write one number");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

type Map<T> = HashMap<Name, T, BuildHasherDefault<AsIs>>;

/// Makes names; all that are compared come from the same one.
#[derive(Clone, Default)]
pub(super) struct Names(RandomState, RandomState);

impl Names {
    fn of(&self, stream: &str) -> Name {
        Name(self.0.hash_one(stream), self.1.hash_one(stream))
    }
}

/// What one segment says of its streams: from which version to before which.
#[derive(Default)]
pub(super) struct Spans(Map<(u64, u64)>);

impl Spans {
    /// Notes a frame's events; false where a stream does not go on at its next version.
    #[must_use]
    pub(super) fn see(&mut self, names: &Names, frame: &Frame) -> bool {
        for (stream, from, to) in runs(frame) {
            match self.0.entry(names.of(stream)) {
                std::collections::hash_map::Entry::Vacant(new) => {
                    new.insert((from, to));
                }
                std::collections::hash_map::Entry::Occupied(mut known) => {
                    if std::mem::replace(&mut known.get_mut().1, to) != from {
                        return false;
                    }
                }
            }
        }
        // Within a run versions were counted by whoever took the frame apart.
        true
    }
}

/// The events of a frame, in runs of one stream: name, first version, the one behind the last.
fn runs(frame: &Frame) -> impl Iterator<Item = (&str, u64, u64)> {
    frame
        .entries
        .chunk_by(|a, b| a.stream == b.stream && b.version == a.version + 1)
        .map(|run| (run[0].stream.as_str(), run[0].version, run[0].version + run.len() as u64))
}

/// The version that comes next, of every stream so far.
pub(crate) struct NextVersions {
    names: Names,
    shards: Vec<Map<u64>>,
}

impl NextVersions {
    pub(super) fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Map::default()).collect();
        Self { names: Names::default(), shards }
    }

    pub(super) fn names(&self) -> Names {
        self.names.clone()
    }

    /// How many streams there are.
    pub(super) fn len(&self) -> u64 {
        self.shards.iter().map(|shard| shard.len() as u64).sum()
    }

    /// Goes on with what the next segment says. When a stream does not go on at its next version
    /// nothing is changed, and the answer is false.
    #[must_use]
    pub(super) fn go_on(&mut self, spans: &Spans) -> bool {
        for (done, (name, (from, to))) in spans.0.iter().enumerate() {
            if !self.step(*name, *from, *to) {
                for (name, (from, _)) in spans.0.iter().take(done) {
                    self.put_back(*name, *from);
                }
                return false;
            }
        }
        true
    }

    /// Goes on with one frame.
    pub(crate) fn see(&mut self, frame: &Frame) -> Result<(), &'static str> {
        for (stream, from, to) in runs(frame) {
            if !self.step(self.names.of(stream), from, to) {
                return Err("a stream does not go on at its next version");
            }
        }
        Ok(())
    }

    fn step(&mut self, name: Name, from: u64, to: u64) -> bool {
        let shard = &mut self.shards[name.1 as usize % SHARDS];
        match shard.get_mut(&name) {
            Some(next) if *next == from => *next = to,
            None if from == 0 => {
                shard.insert(name, to);
            }
            Some(_) | None => return false,
        }
        true
    }

    fn put_back(&mut self, name: Name, next: u64) {
        let shard = &mut self.shards[name.1 as usize % SHARDS];
        if next == 0 {
            shard.remove(&name);
        } else {
            shard.insert(name, next);
        }
    }
}
