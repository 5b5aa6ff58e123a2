//! A log of an on-sale: a hundred pools, and a hold after the other with the metadata that the engine
//! writes. Reservations have the random names that real ones have.

use std::collections::VecDeque;
use std::path::Path;

use bytes::Bytes;
use holdfast_domain::{AttemptId, ReservationId, Sku, Timestamp, UserId, derive, inventory};
use holdfast_schemas::{Actor, Metadata, StoredEvent};
use holdfast_store::embedded::{Embedded, Options};
use holdfast_store::{EventStore, Expected, NewEvent, StreamAppend, StreamId};

const POOLS: u64 = 100;
/// Events of each pool in one append.
const EACH: u64 = 10;
/// How many claims of each pool are held before the oldest of those that go is let go.
const LAG: usize = 100;
/// The moment of all of it.
const NOON: Timestamp = Timestamp::from_secs(1_795_262_400);

/// What the log is like.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    EveryClaimStays,
    EverySecondGoes,
}

impl Shape {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::EveryClaimStays => "every claim stays",
            Self::EverySecondGoes => "every second claim goes again",
        }
    }
}

/// A claim that stays, in the order in which the log makes them.
pub(super) struct Claim {
    pub(super) reservation: String,
}

/// Fills a log with stock for each pool and then `events` events; says which claims stay.
pub(super) async fn fill(home: &Path, events: u64, shape: Shape) -> Vec<Claim> {
    let store = Embedded::open(home, Options::default()).expect("a log");
    let user = UserId::new("ada").expect("a name");
    let pools: Vec<Sku> =
        (0..POOLS).map(|it| Sku::new(format!("item-{it}")).expect("a sku")).collect();
    let stock = pools
        .iter()
        .map(|sku| {
            let event = inventory::Event::Received { qty: 1_000_000, by: user.clone() };
            append(sku, vec![stored(&event, None, &["stock", sku.as_str()])])
        })
        .collect();
    store.append(stock).await.expect("an append");

    let mut stay = Vec::new();
    // The claims that are to go again, pool by pool.
    let mut going: Vec<VecDeque<ReservationId>> = vec![VecDeque::new(); pools.len()];
    let mut number = 0;
    while number < events {
        let mut batches = Vec::new();
        for (pool, sku) in pools.iter().enumerate() {
            let mut batch = Vec::new();
            for _ in 0..EACH.min(events - number) {
                let name = number.to_string();
                let due = number % 3 == 2 && going[pool].len() > LAG;
                let gone = if due { going[pool].pop_front() } else { None };
                let (event, about) = match gone {
                    Some(reservation_id) => (released(reservation_id), reservation_id),
                    None => {
                        let id = ReservationId(derive(&["reservation", &name]));
                        if shape == Shape::EverySecondGoes && number % 3 != 0 {
                            going[pool].push_back(id);
                        } else {
                            stay.push(Claim { reservation: id.to_string() });
                        }
                        (held(id), id)
                    }
                };
                batch.push(stored(&event, Some(about), &["command", &name]));
                number += 1;
            }
            if !batch.is_empty() {
                batches.push(append(sku, batch));
            }
        }
        store.append(batches).await.expect("an append");
    }
    // What was to go and has not yet, stays.
    stay.extend(going.into_iter().flatten().map(|id| Claim { reservation: id.to_string() }));
    store.close().await;
    stay
}

fn held(reservation_id: ReservationId) -> inventory::Event {
    inventory::Event::Held {
        reservation_id,
        qty: 1,
        remaining: 1_000,
        expires_at: Timestamp::from_secs(NOON.micros() / 1_000_000 + 960),
        epoch: 1,
        attempt: AttemptId(derive(&["attempt", &reservation_id.to_string()])),
        period: None,
    }
}

fn released(reservation_id: ReservationId) -> inventory::Event {
    let reason = inventory::ReleaseReason::Expired;
    inventory::Event::Released { reservation_id, qty: 1, reason, epoch: Some(1) }
}

fn append(sku: &Sku, events: Vec<NewEvent>) -> StreamAppend {
    let stream = StreamId::new(format!("inventory-{sku}"));
    StreamAppend { stream, expected: Expected::Any, events }
}

/// As the engine records it.
fn stored(event: &inventory::Event, about: Option<ReservationId>, command: &[&str]) -> NewEvent {
    let command_id = derive(command);
    let metadata = Metadata {
        occurred_at: NOON,
        command_id,
        actor: Actor::user("ada"),
        tenant_id: "main".into(),
        correlation_id: about.map(|id| id.to_string()),
        causation_id: Some(command_id.to_string()),
        idempotency_key: None,
        fingerprint: None,
        traceparent: None,
    };
    NewEvent {
        id: derive(&["event", &command_id.to_string()]),
        kind: event.kind().into(),
        schema_version: event.schema_version(),
        metadata: Bytes::from(metadata.encode()),
        data: Bytes::from(event.encode()),
    }
}
