//! Diagram S2, item by item: seat selection, payment, ticket. (SEED_CHECKLIST.md, B.2)

use std::time::Duration;

use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::support::*;

const QUICK: [(&str, &str); 4] = [
    ("HOLDS__HOLD_TTL", "2s"),
    ("HOLDS__SEAT_LOCK_TTL", "2s"),
    ("HOLDS__PAYMENT_EXTENSION", "0s"),
    ("TIMERS__TICK", "50ms"),
];

async fn with_hall(settings: &[(&str, &str)]) -> House {
    let house = House::start(settings).await;
    publish_hall(&house.admin(), Hall { id: "hall", sku: None, rows: 4, seats: 10 }).await;
    house
}

async fn lock(person: &Person, seats: &[&str]) -> Answer {
    person.post("/api/v1/seats/lock", json!({ "seatMapId": "hall", "seatIds": seats })).await
}

/// Locks seats and makes a booking of them; its id.
async fn book(person: &Person, seats: &[&str]) -> String {
    let lock_id = lock(person, seats).await.expect(200).text_of("/lockId");
    let booking = person.post("/api/v1/bookings", json!({ "lockId": lock_id })).await.expect(201);
    booking.text_of("/bookingId")
}

async fn pay(person: &Person, booking: &str, body: Value) -> Answer {
    person.post(&format!("/api/v1/bookings/{booking}/pay"), body).await
}

const RESERVATION: &str = "query($id: ID!) { reservation(id: $id) { id status sagaState version \
    holdExpiresAt total { amountMinor currency } payments { id status captured { amountMinor } refunded { amountMinor } } \
    tickets { id status seatId qrPayload qrSvg } } }";

async fn reservation(person: &Person, id: &str) -> Value {
    person.query(RESERVATION, json!({ "id": id })).await["reservation"].clone()
}

/// Waits until a reservation has that status.
async fn stands(person: &Person, id: &str, status: &str) -> Value {
    eventually(&format!("{id} is {status}"), || async {
        Some(reservation(person, id).await).filter(|seen| seen["status"] == status)
    })
    .await
}

async fn seat_status(person: &Person, seat: &str) -> String {
    let query = "{ seatMap(id: \"hall\") { seats { id status } } }";
    let map = person.query(query, json!({})).await;
    let seats = map["seatMap"]["seats"].as_array().expect("seats");
    let found = seats.iter().find(|one| one["id"] == seat).expect("the seat is there");
    found["status"].as_str().expect("a status").to_owned()
}

async fn seat_becomes(person: &Person, seat: &str, status: &str) {
    eventually(&format!("{seat} is {status}"), || async {
        (seat_status(person, seat).await == status).then_some(())
    })
    .await;
}

async fn published(auditor: &Person, topic: &str, subject: &str) -> Value {
    eventually(&format!("{topic} about {subject}"), || async {
        let events = auditor.topic(topic).await;
        events.into_iter().find(|event| {
            event["subject"] == subject
                || event["correlationid"].as_str().is_some_and(|id| subject.contains(id))
        })
    })
    .await
}

/// The id without its prefix, as events carry it.
fn bare(id: &str) -> String {
    id.split_once('_').map_or(id, |(_, bare)| bare).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_map_to_the_ticket() {
    let house = with_hall(&[]).await;
    let (ada, bob, auditor) = (house.customer("ada"), house.stranger(), house.auditor());

    // S2-01: the map can be drawn.
    let query = "{ seatMap(id: \"hall\") { name seats { id label section row x y category status price { amountMinor } } counts { free } } }";
    let map = bob.query(query, json!({})).await;
    let seats = map["seatMap"]["seats"].as_array().expect("seats");
    assert_eq!(seats.len(), 40);
    let mut places = std::collections::BTreeSet::new();
    for seat in seats {
        assert!(seat["x"].is_number() && seat["y"].is_number(), "{seat}");
        assert_eq!((&seat["section"], &seat["status"]), (&json!("A"), &json!("FREE")));
        assert!(seat["label"].is_string() && seat["row"].is_string());
        places.insert(format!("{} {}", seat["x"], seat["y"]));
    }
    assert_eq!(places.len(), 40, "no two seats are drawn in one place");

    // S2-05: everybody watches.
    let mut watching = seats_socket(&bob, "hall").await;
    let snapshot = watching.next().await.expect("a snapshot");
    assert_eq!(snapshot["type"], "SNAPSHOT");
    assert_eq!(snapshot["seats"]["A-1-1"], "FREE");

    // S2-02, S2-04: a lock with its id, its seats, and ten minutes.
    let before = chrono_free_now();
    let locked = lock(&ada, &["A-1-1", "A-1-2"]).await.expect(200);
    let lock_id = locked.text_of("/lockId");
    assert_eq!(locked.body["seatIds"], json!(["A-1-1", "A-1-2"]));
    let expires = micros(&locked.text_of("/expiresAt"));
    let ttl = expires - before;
    assert!((600_000_000..=603_000_000).contains(&ttl), "{ttl} µs");
    let change = watching.next().await.expect("a change");
    assert_eq!((&change["type"], &change["seatMapId"]), (&json!("SEAT_LOCKED"), &json!("hall")));
    assert_eq!(change["seatIds"], json!(["A-1-1", "A-1-2"]));
    assert!(change.get("userId").is_none() && !change.to_string().contains("ada"));

    // S2-03: all or none; the refusal names what is taken.
    let eve = house.customer("eve");
    let refused = lock(&eve, &["A-1-2", "A-1-3"]).await.problem(409, "SEATS_TAKEN");
    assert_eq!(refused.body["taken_seat_ids"], json!(["A-1-2"]));
    assert_eq!(seat_status(&eve, "A-1-3").await, "FREE");

    // S2-06, S2-07, S2-08: a booking; the same key again is the same booking.
    let body = json!({ "lockId": lock_id });
    let booking = ada.post_as("/api/v1/bookings", "book-1", body.clone()).await.expect(201);
    let again = ada.post_as("/api/v1/bookings", "book-1", body).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.body, booking.body);
    let id = booking.text_of("/bookingId");
    assert_eq!(booking.body["sagaState"], "SEATS_LOCKED");
    let seen = stands(&ada, &id, "HOLD").await;
    assert_eq!(seen["sagaState"], "SEATS_LOCKED");
    published(&auditor, "booking.created", &bare(&id)).await;

    // S2-09, S2-10, S2-11, S2-12: payment on the gateway's page.
    let unknown = pay(&ada, &id, json!({ "gateway": "bank-of-nowhere" })).await;
    assert_eq!(unknown.status, 422, "{}", unknown.text);
    let paying = pay(&ada, &id, json!({ "gateway": "sandbox" })).await.expect(202);
    let page = paying.text_of("/redirectUrl");
    let seen = stands(&ada, &id, "AWAITING_PAYMENT").await;
    assert_eq!(seen["sagaState"], "PAYMENT_PENDING");
    published(&auditor, "booking.requested", &bare(&id)).await;
    published(&auditor, "payment.initiate", &bare(&id)).await;

    // S2-13: the hosted page; S2-14, S2-15: the webhook comes by itself.
    let shown = bob.get(&page).await.expect(200);
    assert!(shown.text.contains("Approve") && shown.text.contains("EUR 90.00"), "{}", shown.text);
    let pressed = bob.post(&format!("{page}/approve"), json!({})).await;
    assert_eq!(pressed.status, 303);

    // S2-16, S2-17, S2-19, S2-20, S2-22.
    let seen = stands(&ada, &id, "CONFIRMED").await;
    assert!(["PAYMENT_COMPLETED", "DONE"].contains(&seen["sagaState"].as_str().expect("text")));
    published(&auditor, "payment.success", &bare(&id)).await;
    published(&auditor, "booking.confirmed", &bare(&id)).await;
    seat_becomes(&ada, "A-1-1", "BOOKED").await;
    seat_becomes(&ada, "A-1-2", "BOOKED").await;
    published(&auditor, "seats.confirm", &bare(&id)).await;
    published(&auditor, "SEAT_BOOKED", "hall").await;
    let counts =
        ada.query("{ seatMap(id: \"hall\") { counts { free locked booked } } }", json!({})).await;
    assert_eq!(counts["seatMap"]["counts"], json!({ "free": 38, "locked": 0, "booked": 2 }));

    // S2-21: those who watch see it.
    loop {
        let change = watching.next().await.expect("a change");
        if change["type"] == "SEAT_BOOKED" {
            assert_eq!(change["seatIds"], json!(["A-1-1", "A-1-2"]));
            break;
        }
    }

    // S2-18: tickets with a picture and a payload that can be verified.
    let seen = eventually("tickets", || async {
        let seen = reservation(&ada, &id).await;
        Some(seen).filter(|seen| seen["tickets"].as_array().is_some_and(|all| all.len() == 2))
    })
    .await;
    assert_eq!(seen["sagaState"], "DONE");
    for ticket in seen["tickets"].as_array().expect("tickets") {
        let payload = ticket["qrPayload"].as_str().expect("a payload");
        assert!(payload.starts_with("HF1."), "{payload}");
        assert!(ticket["qrSvg"].as_str().expect("a picture").contains("<svg"));
    }

    // S2-25: an in-app notice. (S2-23 and S2-24, e-mail and push, come later.)
    eventually("a notice", || async {
        let query = "{ notifications(first: 10) { edges { node { channel subject } } } }";
        let seen = ada.query(query, json!({})).await;
        let edges = seen["notifications"]["edges"].as_array().cloned().unwrap_or_default();
        edges.into_iter().find(|edge| edge["node"]["channel"] == "IN_APP")
    })
    .await;

    // S2-32: nothing is told twice.
    let events = auditor.events("").await;
    let ids: std::collections::BTreeSet<_> =
        events.iter().map(|event| event["id"].to_string()).collect();
    assert_eq!(ids.len(), events.len());
    let positions: Vec<u64> = events
        .iter()
        .map(|event| event["position"].as_str().expect("text").parse().expect("a number"))
        .collect();
    assert!(positions.windows(2).all(|pair| pair[1] == pair[0] + 1), "dense and in order");

    let findings = judge_log(&house).await;
    assert_eq!(findings.seats_booked, 2);
    eventually("the money is captured", || async {
        let ledger = Ledger::of(&house.operator()).await;
        (ledger.sum("captured") == 9_000 && ledger.sum("refunded") == 0).then_some(())
    })
    .await;
}

fn micros(moment: &str) -> i64 {
    moment.parse::<holdfast_domain::Timestamp>().expect("a moment").micros()
}

fn chrono_free_now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.expect("after 1970").as_micros()).expect("soon enough")
}

// S2-14
#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_the_gateway_has_not_signed_changes_nothing() {
    let house = with_hall(&[]).await;
    let body = json!({ "id": "evt_1", "object": "event", "type": "payment_intent.succeeded",
        "created": 1, "data": { "object": { "id": "pi_1", "amount": 1, "currency": "eur" } } });
    let stranger = house.stranger();
    for path in ["/api/v1/payments/webhook/sandbox", "/payments/webhook"] {
        let headers = [("stripe-signature", "t=1,v1=00"), ("content-type", "application/json")];
        let sent = Some(body.to_string().into_bytes());
        let answer = stranger.ask(reqwest::Method::POST, path, &headers, sent).await;
        answer.expect("the door answers").problem(400, "BAD_SIGNATURE");
    }
    let nowhere = stranger.post("/api/v1/payments/webhook/nowhere", body).await;
    assert!([400, 404].contains(&nowhere.status), "{}", nowhere.text);
}

// S2-15: the customer's page asks, and the gateway is asked again.
#[tokio::test(flavor = "multi_thread")]
async fn a_payment_whose_answer_was_lost_is_found_when_the_customer_asks_again() {
    let house = with_hall(&[("PAYMENTS__ANSWER_WAIT", "1s")]).await;
    let ada = house.customer("ada");
    let id = book(&ada, &["A-1-1"]).await;
    let waiting = pay(&ada, &id, json!({ "payment_method": "tok_timeout" })).await.expect(202);
    let payment = waiting.text_of("/payment_id");
    let fields = "... on PaymentSuccess { payment { status } reservation { status } } ... on Refused { code message }";
    let asked = ada
        .mutate("confirmPayment", "ConfirmPaymentInput", json!({ "paymentId": payment }), fields)
        .await;
    assert_eq!(asked["reservation"]["status"], "CONFIRMED", "{asked}");
    judge_log(&house).await;
}

// S2-26, S2-27: the customer opens the gateway's page and never pays.
#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_never_comes_gives_the_seats_back() {
    let house = with_hall(&QUICK).await;
    let (ada, auditor) = (house.customer("ada"), house.auditor());
    let id = book(&ada, &["A-1-1"]).await;
    let paying = pay(&ada, &id, json!({})).await.expect(202);
    let page = paying.text_of("/redirectUrl");
    let ended = stands(&ada, &id, "HOLD_EXPIRED").await;
    assert_eq!(ended["sagaState"], "COMPENSATED");
    seat_becomes(&ada, "A-1-1", "FREE").await;
    published(&auditor, "seats.release", &bare(&id)).await;
    published(&auditor, "booking.failed", &bare(&id)).await;
    // The page is over too: the intent was cancelled.
    eventually("the intent is cancelled", || async {
        let ledger = Ledger::of(&house.operator()).await;
        (ledger.count("voided") == 1).then_some(())
    })
    .await;
    let pressed = ada.post(&format!("{page}/approve"), json!({})).await;
    assert_eq!(pressed.status, 303);
    assert_eq!(Ledger::of(&house.operator()).await.sum("captured"), 0);
    judge_log(&house).await;
}

// S2-28
#[tokio::test(flavor = "multi_thread")]
async fn a_declined_payment_gives_the_seats_back() {
    let house = with_hall(&[]).await;
    let (ada, auditor) = (house.customer("ada"), house.auditor());
    let id = book(&ada, &["A-1-1"]).await;
    let body = json!({ "payment_method": "tok_decline" });
    let declined = pay(&ada, &id, body).await.problem(402, "PAYMENT_DECLINED");
    assert!(declined.header("holdfast-position").is_some());
    let ended = stands(&ada, &id, "HOLD_FAILED").await;
    assert_eq!(ended["sagaState"], "COMPENSATED");
    seat_becomes(&ada, "A-1-1", "FREE").await;
    for topic in ["payment.failed", "booking.failed", "seats.release"] {
        published(&auditor, topic, &bare(&id)).await;
    }
    assert_eq!(Ledger::of(&house.operator()).await.sum("captured"), 0);
    judge_log(&house).await;
}

// S2-29
#[tokio::test(flavor = "multi_thread")]
async fn locks_and_holds_that_nobody_pays_for_lapse() {
    let house = with_hall(&QUICK).await;
    let (ada, bob, auditor) = (house.customer("ada"), house.customer("bob"), house.auditor());
    lock(&ada, &["A-1-1"]).await.expect(200);
    let id = book(&bob, &["A-2-1"]).await;
    stands(&bob, &id, "HOLD_EXPIRED").await;
    for seat in ["A-1-1", "A-2-1"] {
        seat_becomes(&ada, seat, "FREE").await;
    }
    let released = auditor.events("?stream=seatmap-hall").await;
    let expired = released.iter().filter(|event| {
        event["type"] == "seatmap.seats-released" && event["data"]["reason"] == "EXPIRED"
    });
    assert_eq!(expired.count(), 2);
    published(&auditor, "booking.failed", &bare(&id)).await;
    judge_log(&house).await;
}

// S2-02
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_its_owner_gives_back_is_free_for_the_next() {
    let house = with_hall(&[]).await;
    let (ada, bob) = (house.customer("ada"), house.customer("bob"));
    let lock_id = lock(&ada, &["A-1-1"]).await.expect(200).text_of("/lockId");
    let path = format!("/api/v1/seats/lock/{lock_id}");
    // Another's lock is answered like one that is not there: nothing changes.
    bob.delete(&path).await;
    lock(&bob, &["A-1-1"]).await.problem(409, "SEATS_TAKEN");
    ada.delete(&path).await.expect(200);
    lock(&bob, &["A-1-1"]).await.expect(200);
    judge_log(&house).await;
}

// S2-30
#[tokio::test(flavor = "multi_thread")]
async fn a_hold_ends_in_time_although_the_server_was_killed() {
    let mut house = with_hall(&QUICK).await;
    let ada = house.customer("ada");
    let id = book(&ada, &["A-1-1"]).await;
    lock(&ada, &["A-1-2"]).await.expect(200);
    house.kill9();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let house = house.again().await;
    let ada = house.customer("ada");
    stands(&ada, &id, "HOLD_EXPIRED").await;
    seat_becomes(&ada, "A-1-1", "FREE").await;
    seat_becomes(&ada, "A-1-2", "FREE").await;
    judge_log(&house).await;
}

// S2-31
#[tokio::test(flavor = "multi_thread")]
async fn a_command_on_a_version_that_is_no_more_is_refused() {
    let house = with_hall(&[]).await;
    let ada = house.customer("ada");
    let id = book(&ada, &["A-1-1"]).await;
    let path = format!("/api/v1/bookings/{id}/pay");
    let body = json!({ "payment_method": "tok_approve" }).to_string().into_bytes();
    let ask = async |version: &str, key: &str| {
        let headers =
            [("idempotency-key", key), ("content-type", "application/json"), ("if-match", version)];
        let asked = ada.ask(reqwest::Method::POST, &path, &headers, Some(body.clone()));
        asked.await.expect("the door answers")
    };
    ask("\"7\"", "guarded-1").await.problem(409, "VERSION_CONFLICT");
    assert_eq!(stands(&ada, &id, "HOLD").await["version"], 1);
    ask("\"1\"", "guarded-2").await.expect(200);
    assert_eq!(stands(&ada, &id, "CONFIRMED").await["version"], 2);
}

// S2-33
#[tokio::test(flavor = "multi_thread")]
async fn what_has_ended_does_not_begin_again() {
    let house = with_hall(&[]).await;
    let (ada, eve) = (house.customer("ada"), house.customer("eve"));
    let id = book(&ada, &["A-1-1"]).await;
    // Another's booking is not there at all.
    pay(&eve, &id, json!({ "payment_method": "tok_approve" })).await.problem(404, "NOT_FOUND");
    let paid = pay(&ada, &id, json!({ "payment_method": "tok_approve" })).await.expect(200);
    assert_eq!(paid.body["reservation_status"], "CONFIRMED");
    pay(&ada, &id, json!({ "payment_method": "tok_approve" })).await.problem(409, "ALREADY_PAID");
    let fields =
        "... on ReservationSuccess { reservation { status } replayed } ... on Refused { code }";
    let cancel = async || {
        ada.mutate("cancelReservation", "ReservationInput", json!({ "reservationId": id }), fields)
            .await
    };
    assert_eq!(cancel().await["reservation"]["status"], "CANCELLED");
    assert_eq!(cancel().await["reservation"]["status"], "CANCELLED", "already so");
    pay(&ada, &id, json!({ "payment_method": "tok_approve" })).await.problem(409, "CANCELLED");
    eventually("the money goes back", || async {
        let ledger = Ledger::of(&house.operator()).await;
        (ledger.sum("captured") == ledger.sum("refunded")).then_some(())
    })
    .await;
    seat_becomes(&ada, "A-1-1", "FREE").await;
    // A declined one cannot be paid either.
    let id = book(&ada, &["A-1-2"]).await;
    pay(&ada, &id, json!({ "payment_method": "tok_decline" }))
        .await
        .problem(402, "PAYMENT_DECLINED");
    pay(&ada, &id, json!({ "payment_method": "tok_approve" })).await.problem(410, "HOLD_EXPIRED");
    judge_log(&house).await;
}
