//! How many seats the doors lock in a second, and how fast read models come back from the log.
//!
//! ```sh
//! cargo bench --bench doors             # builds the release binary and judges it
//! ```
//!
//! The clients run beside the server on the same machine, so the figures are what the machine does for
//! both together. Each figure is the median of [`ROUNDS`] rounds; `benches/README.md` keeps them.

#[expect(dead_code, unused_imports, reason = "the tests' house, of which a bench needs a part")]
#[path = "../tests/support/mod.rs"]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use support::{Answer, Hall, House, Person, publish_hall};

/// Connections that are open at once.
const CONNECTIONS: usize = 64;
/// How many people share a connection, one after another.
const PEOPLE: usize = 100;
/// How long one round lasts.
const ROUND: Duration = Duration::from_secs(4);
/// How many rounds are run; the median counts.
const ROUNDS: usize = 5;
/// Rows of the hall of each round, and seats in each: more than a round locks.
const ROWS: u32 = 200;
const SEATS: u32 = 200;

/// What came of one round.
struct Round {
    per_second: f64,
    p50: Duration,
    p99: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Door {
    Rest,
    GraphQl,
}

async fn lock(person: &Person, door: Door, hall: &str, seat: usize) -> bool {
    let (row, number) = (seat / SEATS as usize + 1, seat % SEATS as usize + 1);
    let seat = format!("A-{row}-{number}");
    match door {
        Door::Rest => {
            let body = json!({ "seatMapId": hall, "seatIds": [seat] });
            person.post("/api/v1/seats/lock", body).await.status == 200
        }
        Door::GraphQl => {
            let query = "mutation($input: LockSeatsInput!) { lockSeats(input: $input) { \
                         ... on LockSeatsSuccess { lock { lockId expiresAt } position } } }";
            let key = format!("{hall}-{seat}");
            let input = json!({ "idempotencyKey": key, "seatMapId": hall, "seatIds": [seat] });
            let Answer { body, .. } = person.graphql(query, json!({ "input": input })).await;
            body["data"]["lockSeats"]["lock"]["lockId"].is_string()
        }
    }
}

/// Every client locks one free seat of a hall after another.
async fn round(house: &House, door: Door, hall: &str) -> Round {
    let next = Arc::new(AtomicUsize::new(0));
    // Nobody holds more than a few seats: an on-sale is many people, not sixty-four greedy ones.
    let crowds: Vec<Vec<Person>> = (0..CONNECTIONS)
        .map(|n| (0..PEOPLE).map(|m| house.customer(&format!("user-{n}-{m}"))).collect())
        .collect();
    let began = Instant::now();
    let mut clients = Vec::new();
    for crowd in crowds {
        let (next, hall) = (next.clone(), hall.to_owned());
        clients.push(tokio::spawn(async move {
            let mut took = Vec::new();
            for person in crowd.iter().cycle() {
                if began.elapsed() >= ROUND {
                    break;
                }
                let seat = next.fetch_add(1, Ordering::Relaxed);
                assert!(seat < (ROWS * SEATS) as usize, "the hall is too small for this machine");
                let asked = Instant::now();
                assert!(lock(person, door, &hall, seat).await, "seat {seat} was free");
                took.push(asked.elapsed());
            }
            took
        }));
    }
    let mut took: Vec<Duration> = Vec::new();
    for client in clients {
        took.extend(client.await.expect("the client ends"));
    }
    let per_second = took.len() as f64 / began.elapsed().as_secs_f64();
    took.sort();
    Round { per_second, p50: took[took.len() / 2], p99: took[took.len() * 99 / 100] }
}

fn median(mut rounds: Vec<Round>) -> Round {
    rounds.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    rounds.remove(rounds.len() / 2)
}

fn tell(what: &str, round: &Round) {
    println!(
        "| {what} | {:.0} | {:.1} ms | {:.1} ms |",
        round.per_second,
        round.p50.as_secs_f64() * 1e3,
        round.p99.as_secs_f64() * 1e3
    );
}

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    // Only `cargo bench` measures; whoever runs all targets as tests is not kept waiting.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    let settings = [("HOLDS__SEAT_LOCK_TTL", "1h"), ("LIMITS__LIVE_HOLDS_PER_CUSTOMER", "100000")];
    let house = House::start(&settings).await;
    println!(
        "| {CONNECTIONS} connections | a second (median of {ROUNDS}) | p50 | p99 |\n|---|---|---|---|"
    );
    for (what, door) in
        [("seat locks over REST", Door::Rest), ("seat locks over GraphQL", Door::GraphQl)]
    {
        let mut rounds = Vec::new();
        for n in 0..=ROUNDS {
            let hall = format!("{}-{n}", if door == Door::Rest { "rest" } else { "graphql" });
            let plan = Hall { id: &hall, sku: None, rows: ROWS, seats: SEATS };
            publish_hall(&house.admin(), plan).await;
            let round = round(&house, door, &hall).await;
            // The first round warms up and is not counted.
            if n > 0 {
                rounds.push(round);
            }
        }
        tell(what, &median(rounds));
    }
    rebuild(house);
}

/// Read models of the log that the locks have left, made again by the binary.
fn rebuild(mut house: House) {
    assert_eq!(house.stop().code(), Some(0));
    let mut figures = Vec::new();
    for _ in 0..3 {
        let began = Instant::now();
        let output = house.command(&["rebuild", "--all"]).output().expect("the binary runs");
        let took = began.elapsed();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout);
        let position = text.rsplit(' ').next().and_then(|word| word.trim().parse::<f64>().ok());
        let events = position.expect("rebuild tells up to which position");
        figures.push((events / took.as_secs_f64(), events, took));
    }
    figures.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (per_second, events, took) = figures[figures.len() / 2];
    println!(
        "\nrebuild --all: {per_second:.0} events a second ({events:.0} events in {:.2} s, opening the log included)",
        took.as_secs_f64()
    );
}
