//! Many at once on few things. Judged from the log, from the read models and from the sandbox's
//! ledger: all three must tell the same story.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use holdfast::invariants::Findings;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use crate::support::*;

async fn pay(person: &Person, id: &str) -> Answer {
    let body = json!({ "order_id": id, "payment_method": "tok_approve" });
    person.post("/payments/confirm", body).await
}

async fn seats(person: &Person, position: u64) -> BTreeMap<String, String> {
    let query =
        "query($at: Position) { seatMap(id: \"hall\", minPosition: $at) { seats { id status } } }";
    let map = person.query(query, json!({ "at": position.to_string() })).await;
    let seats = map["seatMap"]["seats"].as_array().expect("seats").iter();
    seats
        .map(|seat| {
            (
                seat["id"].as_str().expect("id").into(),
                seat["status"].as_str().expect("status").into(),
            )
        })
        .collect()
}

/// The log, when it tells of that much captured money: the gateway knows a moment earlier.
async fn at_rest(house: &House, captured: i64) -> Findings {
    eventually("the log tells of every capture", || async {
        let findings = judge_log(house).await;
        let told = findings.money.get("EUR").map_or(0, |sums| sums.captured);
        (told == captured).then_some(findings)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_clients_and_one_seat() {
    let house = House::start(&[]).await;
    publish_hall(&house.admin(), Hall { id: "hall", sku: None, rows: 1, seats: 5 }).await;
    let attempts = (0..200).map(|n| {
        let person = house.customer(&format!("user-{n}"));
        async move {
            let body = json!({ "seatMapId": "hall", "seatIds": ["A-1-3"] });
            person.post("/api/v1/seats/lock", body).await
        }
    });
    let answers = join_all(attempts).await;
    let (won, lost): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!((won.len(), lost.len()), (1, 199));
    for answer in lost {
        let answer = answer.problem(409, "SEATS_TAKEN");
        assert_eq!(answer.body["taken_seat_ids"], json!(["A-1-3"]), "the refusal names the seat");
    }
    let locks =
        recorded(&house).await.into_iter().filter(|event| event.kind == "seatmap.seats-locked");
    assert_eq!(locks.count(), 1);
    let seen = seats(&house.stranger(), won[0].position()).await;
    assert_eq!(seen["A-1-3"], "LOCKED");
    judge_log(&house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_clients_and_overlapping_triples_of_thirty_seats() {
    let house = House::start(&[]).await;
    publish_hall(&house.admin(), Hall { id: "hall", sku: None, rows: 3, seats: 10 }).await;
    let mut random = StdRng::seed_from_u64(seed());
    let all: Vec<String> =
        (1..=3).flat_map(|row| (1..=10).map(move |n| format!("A-{row}-{n}"))).collect();
    let attempts = (0..100).map(|n| {
        let person = house.customer(&format!("user-{n}"));
        let triple: Vec<String> = all.choose_multiple(&mut random, 3).cloned().collect();
        let pays = random.random_bool(0.7);
        async move {
            let lines = json!({ "seatMapId": "hall", "seatIds": triple });
            let booked = person.post("/api/v1/bookings", lines).await;
            if booked.status != 201 {
                let taken = booked.problem(409, "SEATS_TAKEN").body["taken_seat_ids"].clone();
                let taken: Vec<String> = serde_json::from_value(taken).expect("seats");
                assert!(!taken.is_empty() && taken.iter().all(|seat| triple.contains(seat)));
                return None;
            }
            let id = booked.text_of("/bookingId");
            let paid = pays && pay(&person, &id).await.status == 200;
            Some((triple, paid, id))
        }
    });
    let won: Vec<(Vec<String>, bool, String)> =
        join_all(attempts).await.into_iter().flatten().collect();
    assert!(!won.is_empty());
    // What the clients were told: no seat twice, no partial triple.
    let mut owned = BTreeSet::new();
    for (triple, _, _) in &won {
        for seat in triple {
            assert!(owned.insert(seat.clone()), "{seat} was given to two");
        }
    }
    // What the read models say.
    let paid: Vec<_> = won.iter().filter(|(_, paid, _)| *paid).collect();
    let stranger = house.stranger();
    eventually("the map shows what was sold", || async {
        let seen = seats(&stranger, 0).await;
        let expected = all.iter().all(|seat| {
            let holder = won.iter().find(|(triple, _, _)| triple.contains(seat));
            let status = match holder {
                Some((_, true, _)) => "BOOKED",
                Some((_, false, _)) => "LOCKED",
                None => "FREE",
            };
            seen[seat] == status
        });
        expected.then_some(())
    })
    .await;
    // What the ledger says.
    let due = 3 * 4_500 * i64::try_from(paid.len()).expect("few");
    eventually("the money is captured", || async {
        (Ledger::of(&house.operator()).await.sum("captured") == due).then_some(())
    })
    .await;
    assert_eq!(Ledger::of(&house.operator()).await.sum("refunded"), 0);
    // What the log says, once it has heard of every capture.
    let findings = at_rest(&house, due).await;
    assert_eq!(findings.seats_booked, 3 * paid.len() as u64);
    let sums = findings.money["EUR"];
    assert_eq!((sums.captured, sums.kept, sums.refunded, sums.under_way), (due, due, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_of_ten_and_a_hundred_buyers() {
    let house = House::start(&[]).await;
    let admin = house.admin();
    let item = json!({ "sku": "party", "name": "The party", "kind": "TICKET", "maxPerUser": 10,
        "price": { "amountMinor": "2000", "currency": "EUR" } });
    create_item(&admin, item).await;
    receive_stock(&admin, "party", 10).await;
    let attempts = (0..100).map(|n| {
        let person = house.customer(&format!("user-{n}"));
        async move {
            let ordered = person.post("/orders", json!({ "ticket_id": "party", "qty": 1 })).await;
            if ordered.status != 201 {
                ordered.problem(409, "OUT_OF_STOCK");
                return false;
            }
            pay(&person, &ordered.text_of("/order_id")).await.expect(200);
            true
        }
    });
    let bought = join_all(attempts).await.into_iter().filter(|bought| *bought).count();
    assert_eq!(bought, 10);
    let stranger = house.stranger();
    eventually("ten are committed", || async {
        let query = "{ availability(sku: \"party\") { total held committed available } }";
        let seen = stranger.query(query, json!({})).await["availability"].clone();
        let expected: Value = json!({ "total": 10, "held": 0, "committed": 10, "available": 0 });
        (seen == expected).then_some(())
    })
    .await;
    eventually("ten are captured", || async {
        (Ledger::of(&house.operator()).await.count("captured") == 10).then_some(())
    })
    .await;
    let findings = at_rest(&house, 20_000).await;
    assert_eq!(findings.reservations.get("CONFIRMED"), Some(&10));
    assert_eq!(findings.money["EUR"].captured, 20_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_customer_in_a_hundred_tabs_gets_no_more_than_its_limit() {
    let house = House::start(&[("LIMITS__LIVE_HOLDS_PER_CUSTOMER", "1000")]).await;
    let admin = house.admin();
    let item = json!({ "sku": "party", "name": "The party", "kind": "TICKET", "maxPerUser": 10,
        "price": { "amountMinor": "2000", "currency": "EUR" } });
    create_item(&admin, item).await;
    receive_stock(&admin, "party", 1_000).await;
    let ada = house.customer("ada");
    let attempts = (0..100).map(|_| ada.post("/orders", json!({ "ticket_id": "party", "qty": 1 })));
    let answers = join_all(attempts).await;
    let (won, lost): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == 201);
    assert_eq!(won.len(), 10);
    for answer in lost {
        answer.problem(422, "LIMIT_EXCEEDED");
    }
    judge_log(&house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_in_fifty_requests_takes_effect_once() {
    let house = House::start(&[]).await;
    publish_hall(&house.admin(), Hall { id: "hall", sku: None, rows: 1, seats: 5 }).await;
    let ada = house.customer("ada");
    let body = json!({ "seatMapId": "hall", "seatIds": ["A-1-1"] });
    let same = (0..50).map(|_| ada.post_as("/api/v1/bookings", "the-one-key", body.clone()));
    let mut ids = BTreeSet::new();
    for answer in join_all(same).await {
        match answer.status {
            200 | 201 => {
                ids.insert(answer.text_of("/bookingId"));
            }
            409 => {
                assert!(answer.header("retry-after").is_some());
                answer.problem(409, "REQUEST_IN_FLIGHT");
            }
            _ => panic!("{}", answer.text),
        }
    }
    assert_eq!(ids.len(), 1);
    let made =
        recorded(&house).await.into_iter().filter(|event| event.kind == "reservation.hold-created");
    assert_eq!(made.count(), 1);
    let other = json!({ "seatMapId": "hall", "seatIds": ["A-1-2"] });
    let reused = ada.post_as("/api/v1/bookings", "the-one-key", other).await;
    reused.problem(422, "IDEMPOTENCY_KEY_REUSED");
    judge_log(&house).await;
}
