//! Events without a meaning that tell, byte by byte, whether they are what was appended: what
//! `holdfast log bench` writes, and what its judge and the campaigns of `tests/` read.
//!
//! ```text
//!   append `name`, 3 events ──►  id: name          {"append":name,"index":0,"of":3,"fill":"qhx…"}
//!                                id: v5(name, 1)   {"append":name,"index":1,"of":3,"fill":"mze…"}
//!                                id: v5(name, 2)   {"append":name,"index":2,"of":3,"fill":"bba…"}
//! ```
//!
//! The filling follows from the event's id, so that a byte of another event, or of an older block,
//! shows. It has no zero bytes: what a torn write leaves cannot be mistaken for it.

mod told;

pub use told::{Findings, Told, judge};

use holdfast_store::{NewEvent, RecordedEvent, StreamId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The category of the streams that synthetic events go to.
pub const CATEGORY: &str = "bench";
/// Their stored name.
pub const KIND: &str = "bench.appended";

/// The stream of one producer of one run.
pub fn stream(run: Uuid, producer: usize) -> StreamId {
    StreamId::new(format!("{CATEGORY}-{}-{producer}", run.simple()))
}

/// Which event of which append this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The append: the id of its first event.
    pub append: Uuid,
    /// Which of its events, from 0.
    pub index: u32,
    /// How many it has.
    pub of: u32,
}

#[derive(Serialize, Deserialize)]
struct Payload<'a> {
    #[serde(flatten)]
    part: Part,
    fill: &'a str,
}

impl Part {
    /// The id of this event.
    pub fn id(self) -> Uuid {
        match self.index {
            0 => self.append,
            index => Uuid::new_v5(&self.append, &index.to_le_bytes()),
        }
    }

    /// Its payload, `fill` letters long and what is around them.
    fn payload(self, fill: usize) -> Vec<u8> {
        // The letters follow from all that it says of itself: a changed `of` shows in them.
        let fill = letters(Uuid::new_v5(&self.id(), &self.of.to_le_bytes()), fill);
        serde_json::to_vec(&Payload { part: self, fill: &fill }).expect("plain data is JSON")
    }
}

/// The events of one append; the payload of each has `bytes` bytes, or as many as it takes.
pub fn events(append: Uuid, of: u32, bytes: usize) -> Vec<NewEvent> {
    let event = |index| {
        let part = Part { append, index, of };
        let bare = part.payload(0).len();
        NewEvent {
            id: part.id(),
            kind: KIND.into(),
            schema_version: 1,
            metadata: "{}".into(),
            data: part.payload(bytes.saturating_sub(bare)).into(),
        }
    };
    (0..of).map(event).collect()
}

/// Which event this is, if every byte of it is as it was appended.
pub fn recognise(event: &RecordedEvent) -> Result<Part, &'static str> {
    if event.stream.category() != CATEGORY || event.kind != KIND || event.schema_version != 1 {
        return Err("it is no synthetic event");
    }
    let payload: Payload<'_> =
        serde_json::from_slice(&event.data).map_err(|_| "its payload is not what was appended")?;
    let part = payload.part;
    if part.id() != event.id || part.index >= part.of || event.metadata != "{}" {
        return Err("it is not the event that it says it is");
    }
    if part.payload(payload.fill.len()) != event.data {
        return Err("its payload is not what was appended");
    }
    Ok(part)
}

/// So many letters that follow from an id (splitmix64).
fn letters(id: Uuid, count: usize) -> String {
    let (high, low) = id.as_u64_pair();
    let mut state = high ^ low.rotate_left(32);
    let mut fill = String::with_capacity(count + 8);
    while fill.len() < count {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^= word >> 31;
        fill.extend(word.to_le_bytes().iter().map(|byte| char::from(b'a' + byte % 26)));
    }
    fill.truncate(count);
    fill
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_store::Position;

    fn recorded(event: NewEvent) -> RecordedEvent {
        RecordedEvent {
            position: Position(1),
            stream: stream(Uuid::nil(), 0),
            stream_version: 0,
            recorded_at_micros: 0,
            id: event.id,
            kind: event.kind.into(),
            schema_version: event.schema_version,
            metadata: event.metadata,
            data: event.data,
        }
    }

    #[test]
    fn an_event_has_the_wished_length_and_is_recognised() {
        let append = Uuid::from_u128(7);
        for (index, event) in events(append, 3, 300).into_iter().enumerate() {
            assert_eq!(event.data.len(), 300);
            let part = recognise(&recorded(event)).expect("whole");
            assert_eq!(part, Part { append, index: index as u32, of: 3 });
        }
    }

    #[test]
    fn a_changed_byte_shows() {
        let event = events(Uuid::from_u128(7), 1, 200).remove(0);
        for at in 0..event.data.len() {
            let mut data = event.data.to_vec();
            data[at] ^= 2;
            let changed = recorded(NewEvent { data: data.into(), ..event.clone() });
            recognise(&changed).expect_err("one byte is another");
        }
    }
}
