//! A pool: counts and claims, optionally over time.

mod command;
mod event;

pub use command::{Command, PeriodErrorText, Refusal};
pub use event::{Event, ReleaseReason};

use crate::{Sku, Timestamp};

/// All that is known of a pool.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// How many there are.
    pub total: u32,
}

impl crate::Decider for State {
    const CATEGORY: &'static str = "inventory";
    type Id = crate::Sku;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(
        &self,
        _: &crate::Sku,
        _: &Command,
        _: crate::Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        unimplemented!("to be written next")
    }

    fn evolve(&mut self, _: &Event) {
        unimplemented!("to be written next")
    }
}
