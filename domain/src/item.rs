//! What is sold: its name, kind, price, limits and policies. The catalogue, one item a stream.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::reservation::{LatePayment, OnDecline};
use crate::{Money, SeatMapId};

/// What kind of thing an item is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Kind {
    /// Goods.
    Stock,
    /// Admissions, with or without seats.
    Ticket,
    /// Vehicles of one class.
    VehicleClass,
}

/// All that the catalogue says of an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "named as in the contract's CreateItemInput")]
pub struct Description {
    pub name: String,
    pub kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    pub price: Money,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_per_user: Option<u32>,
    pub on_decline: OnDecline,
    pub late_payment: LatePayment,
    pub remote_unlock: bool,
}

/// What may have happened to an item. Stored as `item.{kebab}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "each variant's line explains its fields")]
pub enum Event {
    /// It is in the catalogue.
    Created {
        #[serde(flatten)]
        description: Description,
    },
    /// Something of it changed: its description, or the map whose seats claim it.
    Changed {
        #[serde(flatten)]
        description: Description,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seat_map_id: Option<SeatMapId>,
    },
}

/// What may be asked of an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each variant's line explains its fields")]
pub enum Command {
    /// Put it into the catalogue.
    Create { description: Description },
    /// A seat map's seats claim it from now on; only one map may.
    AttachSeatMap { seat_map_id: SeatMapId },
}

/// How an item says no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum Refusal {
    #[error("there is no such item")]
    NotFound,
    #[error("there is already an item with this sku")]
    AlreadyExists,
    #[error("a name has 1 to 200 characters, a category at most 64")]
    InvalidName,
    #[error("a price must not be negative")]
    InvalidPrice,
    #[error("max_per_user is at least 1 when it is given")]
    InvalidLimit,
    #[error("only tickets belong to a seat map")]
    NotATicket,
    #[error("this item belongs to seat map {0}")]
    OtherSeatMap(SeatMapId),
}

/// All that is known of an item.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// What the catalogue says; none before it is created.
    pub description: Option<Description>,
    /// The map whose seats claim it.
    pub seat_map_id: Option<SeatMapId>,
}

impl crate::Decider for State {
    const CATEGORY: &'static str = "item";
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
