//! What a stream remembers of the commands that it has recorded: the last 256, and for ever the one
//! that created it. Rebuilt from the events' metadata, so a restart forgets nothing.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use holdfast_store::Position;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How many commands a stream remembers beside its first.
const REMEMBERED: usize = 256;

/// What a command has recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// What was asked for under its key.
    pub(crate) fingerprint: Option<Arc<str>>,
    /// The stream's version of its first event.
    pub(crate) first: u64,
    /// The stream's version of its last event.
    pub(crate) last: u64,
    /// The position of its last event.
    pub(crate) position: Position,
}

/// The commands that one stream remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Kept", from = "Kept")]
pub(crate) struct Memory {
    by_id: HashMap<Uuid, Recorded>,
    order: VecDeque<Uuid>,
    first: Option<Uuid>,
}

/// A memory as a snapshot keeps it.
#[derive(Serialize, Deserialize)]
struct Kept {
    first: Option<KeptCommand>,
    /// The others, oldest first.
    order: Vec<KeptCommand>,
}

#[derive(Serialize, Deserialize)]
struct KeptCommand {
    id: Uuid,
    fingerprint: Option<String>,
    first: u64,
    last: u64,
    position: u64,
}

impl From<Memory> for Kept {
    fn from(memory: Memory) -> Self {
        let kept = |id: &Uuid| {
            let Recorded { fingerprint, first, last, position } = memory.get(id)?;
            Some(KeptCommand {
                id: *id,
                fingerprint: fingerprint.as_deref().map(Into::into),
                first: *first,
                last: *last,
                position: position.0,
            })
        };
        Self {
            first: memory.first.as_ref().and_then(kept),
            order: memory.order.iter().filter_map(kept).collect(),
        }
    }
}

impl From<Kept> for Memory {
    fn from(kept: Kept) -> Self {
        let mut memory = Self::default();
        for KeptCommand { id, fingerprint, first, last, position } in
            kept.first.into_iter().chain(kept.order)
        {
            let fingerprint = fingerprint.map(Arc::from);
            let position = Position(position);
            memory.add(id, Recorded { fingerprint, first, last, position });
        }
        memory
    }
}

impl Memory {
    /// What that command has recorded, as far as it is remembered.
    pub(crate) fn get(&self, command: &Uuid) -> Option<&Recorded> {
        self.by_id.get(command)
    }

    /// Takes in one event of a loaded stream.
    pub(crate) fn load(
        &mut self,
        command: Uuid,
        fingerprint: Option<String>,
        version: u64,
        position: Position,
    ) {
        if let Some(known) = self.by_id.get_mut(&command) {
            known.last = version;
            known.position = position;
        } else {
            let fingerprint = fingerprint.map(Arc::from);
            self.add(command, Recorded { fingerprint, first: version, last: version, position });
        }
    }

    /// Takes in what a command has recorded just now.
    pub(crate) fn add(&mut self, command: Uuid, recorded: Recorded) {
        if self.first.is_none() {
            self.first = Some(command);
            self.by_id.insert(command, recorded);
            return;
        }
        if self.by_id.insert(command, recorded).is_none() {
            self.order.push_back(command);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(version: u64) -> Recorded {
        Recorded { fingerprint: None, first: version, last: version, position: Position(version) }
    }

    #[test]
    fn the_first_command_is_remembered_for_ever_and_the_last_256() {
        let mut memory = Memory::default();
        let ids: Vec<Uuid> = (1..=300).map(Uuid::from_u128).collect();
        for (version, id) in (0..).zip(&ids) {
            memory.add(*id, recorded(version));
        }
        assert!(memory.get(&ids[0]).is_some());
        assert!(memory.get(&ids[43]).is_none());
        assert!(memory.get(&ids[44]).is_some());
        assert!(memory.get(&ids[299]).is_some());
    }

    #[test]
    fn the_events_of_one_command_are_one_memory() {
        let mut memory = Memory::default();
        let id = Uuid::from_u128(7);
        memory.load(id, Some("f".into()), 3, Position(10));
        memory.load(id, Some("f".into()), 4, Position(11));
        let known = memory.get(&id).expect("it was taken in");
        assert_eq!((known.first, known.last, known.position), (3, 4, Position(11)));
    }
}
