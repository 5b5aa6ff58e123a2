//! Dead letters: what a consumer could not do, parked as facts of its own in `deadletter-{consumer}`,
//! so that nothing is dropped, nothing is tried for ever, and every redrive is on record.
//!
//! ```text
//!   Park ─► parked ──Redrive (an operator)──► redriven ──done after all──► settled (forgotten)
//!             ▲                                  │
//!             └──────────── failed again ────────┘
//! ```

use std::collections::BTreeMap;

use holdfast_domain::process::{self, Ask};
use holdfast_domain::{Decider, ReservationId, Timestamp};
use holdfast_schemas::DeadLetterEvent;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Rejection;
use crate::dispatch::{AllSlots, Slots};
use crate::hosted::Hosted;

/// A letter that is not settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// Position of the event that it came from.
    pub position: u64,
    /// That event.
    pub event_id: Uuid,
    /// What could not be done; none when the event itself could not be read.
    #[serde(with = "holdfast_domain::kept::as_stored")]
    pub ask: Option<Box<Ask>>,
    /// What went wrong last.
    pub error: String,
    /// How often it was tried.
    pub attempts: u32,
    /// The lane that it was taken out of.
    pub lane: Option<String>,
    /// Whether somebody asked for it again since it was parked.
    pub redriven: bool,
    /// In which order letters were parked.
    pub nth: u64,
}

/// All dead letters of one consumer that are not settled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// By id.
    pub letters: BTreeMap<Uuid, Letter>,
    count: u64,
}

/// What may be asked of them.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "fields are named as in the event")]
pub enum Command {
    /// Put it aside.
    Park {
        id: Uuid,
        position: u64,
        event_id: Uuid,
        ask: Option<Box<Ask>>,
        error: String,
        attempts: u32,
        first_failed_at: Timestamp,
        lane: Option<String>,
    },
    /// Do it again.
    Redrive { id: Uuid, by: String },
    /// It is done.
    Settle { id: Uuid },
}

/// How they say no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Never parked here, or settled.
    #[error("there is no such dead letter")]
    NotFound,
}

impl Decider for State {
    const CATEGORY: &'static str = "deadletter";
    type Id = String;
    type Command = Command;
    type Event = DeadLetterEvent;
    type Refusal = Refusal;

    fn decide(
        &self,
        _: &String,
        command: &Command,
        now: Timestamp,
    ) -> Result<Vec<DeadLetterEvent>, Refusal> {
        match command {
            Command::Park {
                id,
                position,
                event_id,
                ask,
                error,
                attempts,
                first_failed_at,
                lane,
            } => {
                let parked = self.letters.get(id).is_some_and(|letter| !letter.redriven);
                if parked {
                    return Ok(Vec::new());
                }
                Ok(vec![DeadLetterEvent::Parked {
                    id: *id,
                    position: *position,
                    event_id: *event_id,
                    ask: ask.clone(),
                    error: error.clone(),
                    attempts: *attempts,
                    first_failed_at: *first_failed_at,
                    last_failed_at: now,
                    correlation_id: lane.clone(),
                }])
            }
            Command::Redrive { id, by } => {
                self.letters.get(id).ok_or(Refusal::NotFound)?;
                Ok(vec![DeadLetterEvent::Redriven { id: *id, by: by.clone() }])
            }
            Command::Settle { id } => {
                let known = self.letters.contains_key(id);
                Ok(if known { vec![DeadLetterEvent::Settled { id: *id }] } else { Vec::new() })
            }
        }
    }

    fn evolve(&mut self, event: &DeadLetterEvent) {
        match event {
            DeadLetterEvent::Parked {
                id,
                position,
                event_id,
                ask,
                error,
                attempts,
                first_failed_at: _,
                last_failed_at: _,
                correlation_id,
            } => {
                self.count += 1;
                let nth = self.letters.get(id).map_or(self.count, |letter| letter.nth);
                let letter = Letter {
                    position: *position,
                    event_id: *event_id,
                    ask: ask.clone(),
                    error: error.clone(),
                    attempts: *attempts,
                    lane: correlation_id.clone(),
                    redriven: false,
                    nth,
                };
                self.letters.insert(*id, letter);
            }
            DeadLetterEvent::Redriven { id, .. } => {
                if let Some(letter) = self.letters.get_mut(id) {
                    letter.redriven = true;
                }
            }
            DeadLetterEvent::Settled { id } => {
                self.letters.remove(id);
            }
        }
    }
}

impl Hosted for State {
    fn slots(all: &AllSlots) -> &Slots<Self> {
        &all.letters
    }

    fn about(_: &String, _: &Self, event: &DeadLetterEvent) -> Option<ReservationId> {
        match event {
            DeadLetterEvent::Parked { correlation_id, .. } => correlation_id.as_ref()?.parse().ok(),
            DeadLetterEvent::Redriven { .. } | DeadLetterEvent::Settled { .. } => None,
        }
    }

    fn refusal(refusal: Refusal) -> Result<process::Refusal, Rejection> {
        match refusal {
            Refusal::NotFound => Err(Rejection::NotFound("dead letter")),
        }
    }
}
