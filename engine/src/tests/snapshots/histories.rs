//! For every kind of aggregate: histories at random, kept anywhere, tell what all their events tell.
//!
//! The histories are made of the golden samples of all stored events, with names, numbers and moments
//! from small ranges, so that facts meet each other. They need not be sensible: a state takes whatever
//! has happened.

use std::fs;
use std::path::Path;

use holdfast_domain::{
    Timestamp, inspection, inventory, item, limit, notification, payment, reservation, seatmap,
    ticket, vehicle,
};
use holdfast_schemas::StoredEvent;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use serde_json::Value;
use uuid::Uuid;

use super::{Lab, memory, same};
use crate::hosted::Hosted;
use crate::{Snapshots, letters};

/// One event of a history: which sample, and what its names and numbers become.
type Pick = (prop::sample::Index, Vec<u8>);

/// Every stored event of an aggregate, as its golden sample has it.
fn samples<D: Hosted>() -> Vec<(String, Value)> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/golden");
    let mut paths: Vec<_> = fs::read_dir(golden)
        .expect("golden samples")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    let read = |path: &std::path::PathBuf| -> Value {
        serde_json::from_slice(&fs::read(path).expect("a sample")).expect("a sample is JSON")
    };
    let samples: Vec<_> = paths
        .iter()
        .map(read)
        .map(|sample| (sample["kind"].as_str().expect("a kind").into(), sample["data"].clone()))
        .filter(|(kind, _): &(String, _)| kind.split('.').next() == Some(D::CATEGORY))
        .collect();
    assert_eq!(samples.len(), D::Event::NAMES.len(), "a sample of every event of {}", D::CATEGORY);
    samples
}

/// Another event of the same kind: names of three, small numbers, moments within two weeks.
fn varied(value: &mut Value, by: &mut impl Iterator<Item = u8>) {
    match value {
        Value::String(text) => {
            let Some(chance) = by.next() else { return };
            if text.parse::<Uuid>().is_ok() {
                *text = Uuid::from_u128(u128::from(chance % 3) + 1).to_string();
            } else if let Ok(moment) = text.parse::<Timestamp>() {
                let later = std::time::Duration::from_secs(u64::from(chance) * 5_000);
                *text = moment.plus(later).to_string();
            } else if text.starts_with("A-") {
                *text = format!("A-{}-{}", chance % 2 + 1, chance / 2 % 3 + 1);
            }
        }
        Value::Number(number) => {
            if let (Some(chance), true) = (by.next(), number.as_i64().is_some_and(|n| n < 100)) {
                *number = (i64::from(chance % 4) + 1).into();
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| varied(value, by)),
        Value::Object(fields) => fields.values_mut().for_each(|value| varied(value, by)),
        Value::Null | Value::Bool(_) => {}
    }
}

fn history<D: Hosted>(samples: &[(String, Value)], picks: &[Pick]) -> Vec<D::Event> {
    let read = |kind: &str, data: &Value| {
        D::Event::decode(kind, 1, &serde_json::to_vec(data).expect("JSON is written"))
    };
    picks
        .iter()
        .map(|(which, chances)| {
            let (kind, sample) = which.get(samples);
            let mut data = sample.clone();
            varied(&mut data, &mut chances.iter().copied().cycle().take(64));
            read(kind, &data).or_else(|_| read(kind, sample)).expect("a sample is an event")
        })
        .collect()
}

/// Keeps the state at two places of each history, and compares what is loaded with what all events
/// tell.
fn kept_anywhere<D: Hosted>(id: &D::Id) {
    let samples = samples::<D>();
    let config = Config {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(40),
        rng_seed: RngSeed::Fixed(11),
        failure_persistence: None,
        ..Config::default()
    };
    let picks = prop::collection::vec(
        (any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 8)),
        1..60,
    );
    let cases = (picks, 1..4usize, any::<prop::sample::Index>(), any::<prop::sample::Index>());
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    TestRunner::new(config)
        .run(&cases, |(picks, together, one, other)| {
            let events = history::<D>(&samples, &picks);
            let (one, other) = (one.index(events.len()) + 1, other.index(events.len()) + 1);
            let (early, late) = (one.min(other), one.max(other));
            runtime.block_on(async {
                let directory = tempfile::tempdir().expect("a directory");
                let lab = Lab::new(memory(), Snapshots::open(&directory));
                lab.record::<D>(id, &events[..early], together).await;
                lab.keep::<D>(id).await;
                lab.record::<D>(id, &events[early..late], together).await;
                lab.keep::<D>(id).await;
                lab.record::<D>(id, &events[late..], together).await;
                let kept = lab.load::<D>(id).await;
                let told = lab.and(Snapshots::none()).load::<D>(id).await;
                let figures = lab.house.snapshots.figures();
                prop_assert_eq!((figures.failed, figures.ignored), (0, 0));
                prop_assert_eq!((figures.taken, figures.used), (1 + u64::from(late > early), 2));
                prop_assert_eq!(figures.folded, events.len() as u64);
                prop_assert!(
                    same(&kept, &told),
                    "{:?}\nis not\n{:?}",
                    kept.aggregate,
                    told.aggregate
                );
                Ok(())
            })
        })
        .unwrap_or_else(|failure| panic!("{}: {failure}", D::CATEGORY));
}

fn uuid<T>(name: fn(Uuid) -> T) -> T {
    name(Uuid::from_u128(9))
}

#[test]
fn a_reservation_kept_anywhere_is_what_its_events_tell() {
    kept_anywhere::<reservation::State>(&uuid(holdfast_domain::ReservationId));
}

#[test]
fn a_payment_kept_anywhere_is_what_its_events_tell() {
    kept_anywhere::<payment::State>(&uuid(holdfast_domain::PaymentId));
}

#[test]
fn a_seat_map_kept_anywhere_is_what_its_events_tell() {
    kept_anywhere::<seatmap::State>(&"hall".parse().expect("a name"));
}

#[test]
fn a_pool_kept_anywhere_is_what_its_events_tell() {
    kept_anywhere::<inventory::State>(&"gala".parse().expect("a name"));
}

#[test]
fn a_limit_kept_anywhere_is_what_its_events_tell() {
    kept_anywhere::<limit::State>(&"gala/ann".parse().expect("a name"));
}

#[test]
fn an_item_kept_anywhere_is_what_its_events_tell() {
    kept_anywhere::<item::State>(&"gala".parse().expect("a name"));
}

#[test]
fn a_ticket_kept_anywhere_is_what_its_events_tell() {
    kept_anywhere::<ticket::State>(&uuid(holdfast_domain::TicketId));
}

#[test]
fn a_notice_kept_anywhere_is_what_its_events_tell() {
    kept_anywhere::<notification::State>(&uuid(holdfast_domain::NotificationId));
}

#[test]
fn a_vehicle_kept_anywhere_is_what_its_events_tell() {
    kept_anywhere::<vehicle::State>(&"van-7".parse().expect("a name"));
}

#[test]
fn an_inspection_kept_anywhere_is_what_its_events_tell() {
    kept_anywhere::<inspection::State>(&uuid(holdfast_domain::InspectionId));
}

#[test]
fn dead_letters_kept_anywhere_are_what_their_events_tell() {
    kept_anywhere::<letters::State>(&"booking".into());
}
