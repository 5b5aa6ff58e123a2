//! A ticket: the right to enter once, its check-ins, its revocation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ReservationId, SeatId, SeatMapId, Sku, UserId};

/// What may have happened to a ticket. Stored as `ticket.{kebab}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "each variant's line explains its fields")]
pub enum Event {
    /// It is the customer's. `unit` is the seat's id or `{sku}#{number}`.
    Issued {
        reservation_id: ReservationId,
        user_id: UserId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sku: Option<Sku>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seat_map_id: Option<SeatMapId>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seat_id: Option<SeatId>,
        unit: String,
    },
    /// Somebody entered with it.
    CheckedIn {
        nonce: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gate: Option<String>,
    },
    /// It is worth nothing any more.
    Revoked,
}

/// What may be asked of a ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each variant's line explains its fields")]
pub enum Command {
    /// Give it out.
    Issue {
        reservation_id: ReservationId,
        user_id: UserId,
        sku: Option<Sku>,
        seat_map_id: Option<SeatMapId>,
        seat_id: Option<SeatId>,
        unit: String,
    },
    /// Let somebody in: the same nonce again is the same entry.
    CheckIn { nonce: String, gate: Option<String> },
    /// Its reservation was cancelled. A ticket that comes to be issued later stays revoked.
    Revoke,
}

/// How a ticket says no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum Refusal {
    #[error("there is no such ticket")]
    NotFound,
    #[error("this ticket was already used")]
    AlreadyRedeemed,
    #[error("this ticket was revoked")]
    Revoked,
    #[error("a nonce has 1 to 255 characters")]
    InvalidNonce,
}

/// All that is known of it.
#[derive(Clone, Debug, Default)]
pub struct State {}

impl crate::Decider for State {
    const CATEGORY: &'static str = "ticket";
    type Id = crate::TicketId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(
        &self,
        _: &crate::TicketId,
        _: &Command,
        _: crate::Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        unimplemented!("to be written next")
    }

    fn evolve(&mut self, _: &Event) {
        unimplemented!("to be written next")
    }
}
