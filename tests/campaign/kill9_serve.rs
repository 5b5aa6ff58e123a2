//! Kill -9 in the middle of a booking storm, and start again: what was acknowledged is there, every
//! hold ends, and no money is lost or kept for nothing.
//!
//! One kill here for every ten of `kill9` (`HOLDFAST_KILLS`).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use reqwest::Method;
use serde_json::json;

use crate::Clock;
use crate::bench::count;
use crate::support::*;

/// What the clients were told: by the position, the reservation.
#[derive(Default)]
struct Told {
    positions: Mutex<Vec<u64>>,
    booked: Mutex<HashMap<String, u64>>,
    requests: AtomicU64,
}

impl Told {
    /// Every acknowledged position is there, and means what was told; the log is dense and breaks no
    /// invariant at any moment.
    async fn hold_in(&self, house: &House) {
        let events = recorded(house).await;
        let head = events.last().map_or(0, |event| event.position.0);
        for (at, event) in events.iter().enumerate() {
            assert_eq!(event.position.0, at as u64 + 1, "dense");
        }
        for position in &*self.positions.lock().expect("no panic") {
            assert!(*position <= head, "{position} was acknowledged and is lost (head {head})");
        }
        let made: HashMap<String, u64> = events
            .iter()
            .filter(|event| event.kind == "reservation.hold-created")
            .map(|event| (format!("res_{}", event.stream.key()), event.position.0))
            .collect();
        for (id, position) in &*self.booked.lock().expect("no panic") {
            let at = made.get(id).unwrap_or_else(|| panic!("{id} was acknowledged and is lost"));
            assert!(at <= position, "{id} is at {at}, and was told to be true at {position}");
        }
        judge_log(house).await;
    }
}

/// Books and pays, again and again, until the server is gone.
async fn buy(person: Person, told: Arc<Told>, offset: usize) {
    for round in 0_usize.. {
        let (row, number) = ((offset + round) % 20 + 1, (offset * 7 + round * 3) % 20 + 1);
        let seats = json!({ "seatMapId": "hall", "seatIds": [format!("A-{row}-{number}")] });
        let key = format!("{}-{round}", person.user);
        let sent = person.send(Method::POST, "/api/v1/bookings", &key, seats).await;
        told.requests.fetch_add(1, Ordering::Relaxed);
        let Ok(answer) = sent else { return };
        if answer.status != 201 {
            continue;
        }
        told.positions.lock().expect("no panic").push(answer.position());
        let id = answer.text_of("/bookingId");
        told.booked.lock().expect("no panic").insert(id.clone(), answer.position());
        let method = ["tok_approve", "tok_decline", "tok_approve", "none"][round % 4];
        if method == "none" {
            continue;
        }
        let body = json!({ "order_id": id, "payment_method": method });
        let paid =
            person.send(Method::POST, "/payments/confirm", &format!("{key}-pay"), body).await;
        let Ok(answer) = paid else { return };
        if answer.status == 200 {
            told.positions.lock().expect("no panic").push(answer.position());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_that_is_cut_off_comes_to_rest_after_a_restart() {
    let _clock = Clock::start();
    let settings = [
        ("HOLDS__HOLD_TTL", "3s"),
        ("HOLDS__PAYMENT_EXTENSION", "2s"),
        // What a crash leaves of an acquisition lapses by itself, this long after the deadline.
        ("HOLDS__CLAIM_GRACE", "1s"),
        ("TIMERS__TICK", "50ms"),
        ("PAYMENTS__POLLS", "1s,1s,2s"),
        ("LIMITS__LIVE_HOLDS_PER_CUSTOMER", "100000"),
        ("LOG__SEGMENT_BYTES", "1MiB"),
    ];
    let mut house = House::start(&settings).await;
    publish_hall(&house.admin(), Hall { id: "hall", sku: None, rows: 20, seats: 20 }).await;
    let told = Arc::new(Told::default());
    // Again and again, so that a recovered log is cut off again.
    let mut random = StdRng::seed_from_u64(seed());
    for round in 0..count("HOLDFAST_KILLS", 100).div_ceil(10) {
        let storm: Vec<_> = (0..24)
            .map(|n| {
                let person = house.customer(&format!("user-{round}-{n}"));
                tokio::spawn(buy(person, told.clone(), n))
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(random.random_range(1..1_200))).await;
        house.kill9();
        for client in storm {
            client.await.expect("the client survives its server");
        }
        told.hold_in(&house).await;
        house = house.again().await;
    }
    assert!(told.positions.lock().expect("no panic").len() > 20, "the storm was no storm");

    told.hold_in(&house).await;

    // Every hold ends in time; then nothing is under way any more.
    let auditor = house.auditor();
    eventually("every reservation has come to rest", || async {
        let mut after = None::<String>;
        loop {
            let query = "query($after: String) { reservations(first: 100, after: $after) { edges { node { status payments { status } } } pageInfo { hasNextPage endCursor } } }";
            let page = auditor.query(query, json!({ "after": after })).await;
            let page = &page["reservations"];
            let restless = page["edges"].as_array().expect("edges").iter().any(|edge| {
                let status = edge["node"]["status"].as_str().expect("a status");
                let payments = edge["node"]["payments"].as_array().expect("payments");
                let paying = payments.iter().any(|payment| {
                    ["PENDING", "REQUIRES_ACTION", "AUTHORIZED", "VOID_REQUESTED", "REFUND_PENDING"]
                        .contains(&payment["status"].as_str().expect("a status"))
                });
                paying || ["HOLD", "AWAITING_PAYMENT", "REACQUIRING"].contains(&status)
            });
            if restless {
                return None;
            }
            if page["pageInfo"]["hasNextPage"] != true {
                return Some(());
            }
            after = page["pageInfo"]["endCursor"].as_str().map(Into::into);
        }
    })
    .await;

    eventually("what the crashes left behind has lapsed", || async {
        (judge_log(&house).await.seats_locked == 0).then_some(())
    })
    .await;

    let findings = judge_log(&house).await;
    let sums = findings.money.get("EUR").copied().unwrap_or_default();
    assert_eq!(sums.under_way, 0);
    assert_eq!(sums.captured, sums.kept + sums.refunded);
    let confirmed = findings.reservations.get("CONFIRMED").copied().unwrap_or(0);
    assert_eq!(sums.kept, 4_500 * i64::try_from(confirmed).expect("few"));
    assert_eq!(findings.seats_booked, confirmed);
    // The gateway's own books say the same.
    let ledger = Ledger::of(&house.operator()).await;
    assert_eq!(ledger.sum("captured"), sums.captured);
    assert_eq!(ledger.sum("refunded"), sums.refunded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_stop_ends_with_zero_and_loses_nothing() {
    let _clock = Clock::start();
    let mut house = House::start(&[]).await;
    publish_hall(&house.admin(), Hall { id: "hall", sku: None, rows: 20, seats: 20 }).await;
    let told = Arc::new(Told::default());
    let storm: Vec<_> = (0..8)
        .map(|n| tokio::spawn(buy(house.customer(&format!("user-{n}")), told.clone(), n)))
        .collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(house.stop().code(), Some(0));
    for client in storm {
        client.await.expect("the client survives its server");
    }
    let house = house.again().await;
    let head = recorded(&house).await.len() as u64;
    let positions = told.positions.lock().expect("no panic").clone();
    assert!(positions.iter().all(|position| *position <= head));
}
