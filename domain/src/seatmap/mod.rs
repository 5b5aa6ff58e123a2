//! A seat map: who holds which seat.

mod command;
mod event;

pub use command::{Command, InvalidPlan, Pick, Refusal, Seats};
pub use event::{Category, Event, Owner, Plan, ReleaseReason, Section};

use crate::{SeatMapId, Timestamp};

/// All that is known of a seat map.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The plan, once published.
    pub plan: Option<Plan>,
}

impl crate::Decider for State {
    const CATEGORY: &'static str = "seatmap";
    type Id = crate::SeatMapId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(
        &self,
        _: &crate::SeatMapId,
        _: &Command,
        _: crate::Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        unimplemented!("to be written next")
    }

    fn evolve(&mut self, _: &Event) {
        unimplemented!("to be written next")
    }
}
