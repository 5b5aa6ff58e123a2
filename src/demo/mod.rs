//! The demo: a catalogue to play with and a token for each kind of user. Loaded once; every step has
//! a key of its own, and is left alone when what it makes is there.

pub(crate) mod vehicles;

use std::time::Duration;

use anyhow::Context as _;
use holdfast_api::token::{self, Role, TokenKey};
use holdfast_domain::reservation::{LatePayment, OnDecline};
use holdfast_domain::seatmap::{Category, Plan, Section};
use holdfast_domain::{By, Currency, Money, SeatMapId, Sku, UserId, inventory, item, seatmap};
use holdfast_engine::side::Side;
use holdfast_engine::{Caller, Done, Engine, Rejection, Request};
use holdfast_schemas::Actor;
use holdfast_store::Position;

use crate::keys;

/// Who loads it, as the log will say.
const LOADER: &str = "demo";
/// How long the users' tokens last: a day of playing.
const TOKENS_LAST: Duration = Duration::from_secs(24 * 3_600);

/// The users.
const USERS: [(&str, Role); 5] = [
    ("customer@demo", Role::Customer),
    ("operator@demo", Role::Operator),
    ("auditor@demo", Role::Auditor),
    ("analyst@demo", Role::Analyst),
    ("admin@demo", Role::Admin),
];

struct Thing {
    sku: &'static str,
    name: &'static str,
    kind: item::Kind,
    category: &'static str,
    price_minor: i64,
    max_per_user: Option<u32>,
    stock: u32,
}

/// What there is to buy.
const THINGS: [Thing; 8] = [
    Thing {
        sku: "concert",
        name: "Concert in the stadium",
        kind: item::Kind::Ticket,
        category: "tickets",
        price_minor: 6_500,
        max_per_user: Some(10),
        stock: 50_000,
    },
    Thing {
        sku: "festival",
        name: "Festival, day ticket",
        kind: item::Kind::Ticket,
        category: "tickets",
        price_minor: 8_900,
        max_per_user: Some(10),
        stock: 5_000,
    },
    Thing {
        sku: "keyboard",
        name: "Keyboard with loud keys",
        kind: item::Kind::Stock,
        category: "gaming",
        price_minor: 12_900,
        max_per_user: None,
        stock: 40,
    },
    Thing {
        sku: "headset",
        name: "Headset",
        kind: item::Kind::Stock,
        category: "gaming",
        price_minor: 7_900,
        max_per_user: None,
        stock: 25,
    },
    Thing {
        sku: "hoodie",
        name: "Tour hoodie",
        kind: item::Kind::Stock,
        category: "clothes",
        price_minor: 5_500,
        max_per_user: None,
        stock: 100,
    },
    Thing {
        sku: "poster",
        name: "Signed poster",
        kind: item::Kind::Stock,
        category: "prints",
        price_minor: 1_500,
        max_per_user: Some(2),
        stock: 10,
    },
    // Of vehicles there are as many as are registered.
    Thing {
        sku: "compact",
        name: "Compact car, a day",
        kind: item::Kind::VehicleClass,
        category: "vehicles",
        price_minor: 6_000,
        max_per_user: None,
        stock: 0,
    },
    Thing {
        sku: "van",
        name: "Van, a day",
        kind: item::Kind::VehicleClass,
        category: "vehicles",
        price_minor: 9_500,
        max_per_user: None,
        stock: 0,
    },
];

/// What was loaded, to be told.
pub(crate) struct Demo {
    /// The catalogue is there from this position on.
    pub(crate) position: Position,
    tokens: Vec<(&'static str, String)>,
}

impl Demo {
    /// Prints each user's token on standard error.
    pub(crate) fn tell(&self) {
        for (user, token) in &self.tokens {
            eprintln!("{user}  {token}");
        }
    }
}

/// Loads what is not there yet.
pub(crate) async fn load(engine: &Engine, key_file: &Side) -> anyhow::Result<Demo> {
    let mut position = engine.store().head();
    let mut loaded = |done: Result<Done, Rejection>| -> anyhow::Result<()> {
        let done = done.context("the demo catalogue cannot be loaded")?;
        position = position.max(done.position);
        Ok(())
    };
    for thing in &THINGS {
        let sku = Sku::new(thing.sku)?;
        if engine.load::<item::State>(&sku).await?.version.is_none() {
            let request = request("createItem", thing.sku)?;
            loaded(engine.create_item(&request, sku.clone(), describe(thing)?).await)?;
        }
        if thing.stock > 0 && engine.load::<inventory::State>(&sku).await?.version.is_none() {
            let request = request("receiveStock", thing.sku)?;
            loaded(engine.receive_stock(&request, sku, thing.stock).await)?;
        }
    }
    vehicles::register(engine, &mut loaded).await?;
    for (id, plan) in [("hall", hall()?), ("stadium", stadium()?)] {
        let map = SeatMapId::new(id)?;
        if engine.load::<seatmap::State>(&map).await?.version.is_none() {
            let request = request("publishSeatMap", id)?;
            loaded(engine.publish_seat_map(&request, map, plan).await)?;
        }
    }
    let key = TokenKey::from_seed(&keys::token_seed(key_file).await?);
    let mut tokens = Vec::new();
    for (user, role) in USERS {
        let id = UserId::new(user)?;
        tokens.push((user, token::issue(&key, &id, role, TOKENS_LAST, engine.now())));
    }
    Ok(Demo { position, tokens })
}

fn request(operation: &'static str, what: &str) -> anyhow::Result<Request> {
    let user_id = UserId::new(LOADER)?;
    Ok(Request {
        caller: Caller { actor: Actor::system(LOADER), by: By::Operator(user_id.clone()), user_id },
        operation,
        key: format!("demo:{what}"),
        fingerprint: format!("demo:{operation}:{what}"),
        if_version: None,
        traceparent: None,
    })
}

fn euros(amount_minor: i64) -> anyhow::Result<Money> {
    Ok(Money::new(amount_minor, Currency::new("EUR")?))
}

fn describe(thing: &Thing) -> anyhow::Result<item::Description> {
    Ok(item::Description {
        name: thing.name.into(),
        kind: thing.kind,
        category: Some(thing.category.into()),
        price: euros(thing.price_minor)?,
        max_per_user: thing.max_per_user,
        on_decline: OnDecline::default(),
        late_payment: LatePayment::default(),
        remote_unlock: true,
    })
}

fn categories(prices: &[(&str, i64)]) -> anyhow::Result<Vec<Category>> {
    let category =
        |(name, price): &(&str, i64)| Ok(Category { name: (*name).into(), price: euros(*price)? });
    prices.iter().map(category).collect()
}

fn section(name: &str, category: &str, rows: u32, seats_per_row: u32) -> Section {
    Section { name: name.into(), category: category.into(), rows, seats_per_row }
}

/// 2,000 seats, without an item: S2's hall.
fn hall() -> anyhow::Result<Plan> {
    Ok(Plan {
        name: "The hall".into(),
        sku: None,
        categories: categories(&[("gold", 9_500), ("silver", 6_500), ("bronze", 3_500)])?,
        sections: vec![
            section("Stalls", "gold", 25, 40),
            section("Circle", "silver", 20, 30),
            section("Balcony", "bronze", 10, 40),
        ],
    })
}

/// 50,000 seats, each of which also claims one of the concert's tickets: S4's stadium.
fn stadium() -> anyhow::Result<Plan> {
    let blocks = ["N", "E", "S", "W"].into_iter().flat_map(|side| {
        (1..=5).map(move |block| {
            let category = if block <= 2 { "lower" } else { "upper" };
            section(&format!("{side}{block}"), category, 50, 50)
        })
    });
    Ok(Plan {
        name: "The stadium".into(),
        sku: Some(Sku::new("concert")?),
        categories: categories(&[("lower", 9_500), ("upper", 6_500)])?,
        sections: blocks.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_halls_are_as_large_as_they_are_said_to_be() {
        let seats = |plan: Plan| -> u32 {
            plan.sections.iter().map(|section| section.rows * section.seats_per_row).sum()
        };
        assert_eq!(seats(hall().expect("a plan")), 2_000);
        assert_eq!(seats(stadium().expect("a plan")), 50_000);
    }
}
