//! What is sold: its name, kind, price, limits and policies. The catalogue, one item a stream.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::reservation::{LatePayment, OnDecline};
use crate::{Decider, Money, SeatMapId, Sku, Timestamp};

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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// What the catalogue says; none before it is created.
    #[serde(with = "crate::kept::as_stored")]
    pub description: Option<Description>,
    /// The map whose seats claim it.
    pub seat_map_id: Option<SeatMapId>,
}

impl Decider for State {
    const CATEGORY: &'static str = "item";
    type Id = Sku;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(&self, _: &Sku, command: &Command, _: Timestamp) -> Result<Vec<Event>, Refusal> {
        match (command, &self.description) {
            (Command::Create { description }, None) => {
                description.checked()?;
                Ok(vec![Event::Created { description: description.clone() }])
            }
            (Command::Create { description }, Some(known)) if description == known => Ok(vec![]),
            (Command::Create { .. }, Some(_)) => Err(Refusal::AlreadyExists),
            (Command::AttachSeatMap { .. }, None) => Err(Refusal::NotFound),
            (Command::AttachSeatMap { seat_map_id }, Some(known)) => match &self.seat_map_id {
                Some(map) if map == seat_map_id => Ok(vec![]),
                Some(map) => Err(Refusal::OtherSeatMap(map.clone())),
                None => match known.kind {
                    Kind::Ticket => Ok(vec![Event::Changed {
                        description: known.clone(),
                        seat_map_id: Some(seat_map_id.clone()),
                    }]),
                    Kind::Stock | Kind::VehicleClass => Err(Refusal::NotATicket),
                },
            },
        }
    }

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Created { description } => self.description = Some(description.clone()),
            Event::Changed { description, seat_map_id } => {
                self.description = Some(description.clone());
                self.seat_map_id.clone_from(seat_map_id);
            }
        }
    }
}

impl Description {
    const NAME_LEN: usize = 200;
    const CATEGORY_LEN: usize = 64;

    fn checked(&self) -> Result<(), Refusal> {
        let named = !self.name.trim().is_empty() && self.name.chars().count() <= Self::NAME_LEN;
        let category = self.category.as_ref().is_none_or(|category| {
            !category.trim().is_empty() && category.chars().count() <= Self::CATEGORY_LEN
        });
        if !named || !category {
            Err(Refusal::InvalidName)
        } else if self.price.amount_minor < 0 {
            Err(Refusal::InvalidPrice)
        } else if self.max_per_user == Some(0) {
            Err(Refusal::InvalidLimit)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "what a test builds is well formed")]
mod tests {
    use super::*;
    use crate::Currency;

    fn description(kind: Kind) -> Description {
        Description {
            name: "Concert".into(),
            kind,
            category: None,
            price: Money::new(4_500, Currency::new("EUR").unwrap()),
            max_per_user: None,
            on_decline: OnDecline::Release,
            late_payment: LatePayment::TryReacquire,
            remote_unlock: false,
        }
    }

    fn ask(state: &State, command: Command) -> Result<Vec<Event>, Refusal> {
        state.decide(&Sku::new("concert").unwrap(), &command, Timestamp::default())
    }

    fn create(description: &Description) -> Command {
        Command::Create { description: description.clone() }
    }

    fn attach(map: &str) -> Command {
        Command::AttachSeatMap { seat_map_id: SeatMapId::new(map).unwrap() }
    }

    fn after(kind: Kind, commands: Vec<Command>) -> State {
        let mut state = State::default();
        for command in std::iter::once(create(&description(kind))).chain(commands) {
            ask(&state, command).unwrap().iter().for_each(|event| state.evolve(event));
        }
        state
    }

    #[test]
    fn an_item_is_created_once_and_the_same_may_be_asked_again() {
        let item = after(Kind::Ticket, vec![]);
        assert_eq!(ask(&item, create(&description(Kind::Ticket))), Ok(vec![]));
        let dearer = Description {
            price: Money::new(9_900, Currency::new("EUR").unwrap()),
            ..description(Kind::Ticket)
        };
        assert_eq!(ask(&item, create(&dearer)), Err(Refusal::AlreadyExists));
        let mapped = after(Kind::Ticket, vec![attach("hall")]);
        assert_eq!(ask(&mapped, create(&description(Kind::Ticket))), Ok(vec![]));
    }

    #[test]
    fn nonsense_is_not_put_into_the_catalogue() {
        let wrong = |change: fn(&mut Description)| {
            let mut description = description(Kind::Stock);
            change(&mut description);
            ask(&State::default(), create(&description)).expect_err("refused")
        };
        assert_eq!(wrong(|d| d.name = " ".into()), Refusal::InvalidName);
        assert_eq!(wrong(|d| d.name = "n".repeat(201)), Refusal::InvalidName);
        assert_eq!(wrong(|d| d.category = Some("c".repeat(65))), Refusal::InvalidName);
        assert_eq!(wrong(|d| d.price.amount_minor = -1), Refusal::InvalidPrice);
        assert_eq!(wrong(|d| d.max_per_user = Some(0)), Refusal::InvalidLimit);
    }

    #[test]
    fn a_ticket_belongs_to_one_seat_map() {
        let mapped = after(Kind::Ticket, vec![attach("hall")]);
        assert_eq!(ask(&mapped, attach("hall")), Ok(vec![]));
        let hall = SeatMapId::new("hall").unwrap();
        assert_eq!(ask(&mapped, attach("stadium")), Err(Refusal::OtherSeatMap(hall)));
    }

    #[test]
    fn only_tickets_that_exist_belong_to_a_seat_map() {
        assert_eq!(ask(&State::default(), attach("hall")), Err(Refusal::NotFound));
        assert_eq!(ask(&after(Kind::Stock, vec![]), attach("hall")), Err(Refusal::NotATicket));
    }
}
