//! Diagram S4, item by item: reserve, pay, finalize, expire. (SEED_CHECKLIST.md, B.4)

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::*;

const SECRET: &str = "whsec_of_this_test_only_0123456789abcdef";

const QUICK: [(&str, &str); 3] =
    [("HOLDS__HOLD_TTL", "2s"), ("HOLDS__PAYMENT_EXTENSION", "0s"), ("TIMERS__TICK", "50ms")];

/// Tickets with a quota of 100, at most 4 a customer, for the seats of a hall of 4 × 10.
async fn with_show(settings: &[(&str, &str)]) -> House {
    let house = House::start(settings).await;
    let admin = house.admin();
    let item = json!({ "sku": "show", "name": "The show", "kind": "TICKET", "maxPerUser": 4,
        "price": { "amountMinor": "4500", "currency": "EUR" } });
    create_item(&admin, item).await;
    receive_stock(&admin, "show", 100).await;
    publish_hall(&admin, Hall { id: "hall", sku: Some("show"), rows: 4, seats: 10 }).await;
    // Admissions without seats.
    let item = json!({ "sku": "party", "name": "The party", "kind": "TICKET", "maxPerUser": 4,
        "price": { "amountMinor": "2000", "currency": "EUR" } });
    create_item(&admin, item).await;
    receive_stock(&admin, "party", 10).await;
    house
}

async fn order(person: &Person, body: Value) -> Answer {
    person.post("/orders", body).await
}

async fn confirm(person: &Person, order: &str, method: &str) -> Answer {
    person.post("/payments/confirm", json!({ "order_id": order, "payment_method": method })).await
}

fn bare(id: &str) -> String {
    id.split_once('_').map_or(id, |(_, bare)| bare).to_owned()
}

const RESERVATION: &str = "query($id: ID!) { reservation(id: $id) { status holdExpiresAt createdAt \
    lines { sku quantity seatIds } payments { id status attempt captured { amountMinor } } tickets { id } } }";

async fn stands(person: &Person, id: &str, status: &str) -> Value {
    eventually(&format!("{id} is {status}"), || async {
        let seen = person.query(RESERVATION, json!({ "id": id })).await["reservation"].clone();
        Some(seen).filter(|seen| seen["status"] == status)
    })
    .await
}

async fn available(person: &Person, sku: &str) -> Value {
    let query = "query($sku: ID!) { availability(sku: $sku) { total held committed available } }";
    person.query(query, json!({ "sku": sku })).await["availability"].clone()
}

async fn becomes(person: &Person, sku: &str, expected: Value) {
    eventually(&format!("{sku} is {expected}"), || async {
        (available(person, sku).await == expected).then_some(())
    })
    .await;
}

async fn of_order(auditor: &Person, order: &str) -> Vec<Value> {
    let bare = bare(order);
    let events = auditor.events("").await;
    let about = |event: &Value| event["correlationId"] == bare.as_str();
    events.into_iter().filter(about).collect()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["type"].as_str()).collect()
}

async fn published(auditor: &Person, topic: &str, order: &str) -> Value {
    let subject = bare(order);
    eventually(&format!("{topic} about {order}"), || async {
        let events = auditor.topic(topic).await;
        events.into_iter().find(|event| {
            event["subject"] == subject.as_str() || event["correlationid"] == subject.as_str()
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_order_to_its_completion() {
    let house = with_show(&[]).await;
    let (ada, auditor) = (house.customer("ada"), house.auditor());

    // S4-01, S4-02: an order with its time and its price; the quota is smaller by it.
    let body = json!({ "ticket_id": "show", "qty": 2, "seat_ids": ["A-1-1", "A-1-2"] });
    let ordered = order(&ada, body).await.expect(201);
    let id = ordered.text_of("/order_id");
    assert_eq!(ordered.body["status"], "HOLD");
    let seen = stands(&ada, &id, "HOLD").await;
    let micros = |field: &str| -> i64 {
        let text = seen[field].as_str().expect("a moment");
        text.parse::<holdfast_domain::Timestamp>().expect("a moment").micros()
    };
    // One moment goes into the deadline and into the hold, however long the claims took.
    let ttl = micros("holdExpiresAt") - micros("createdAt");
    assert_eq!(ttl, 900_000_000, "the deadline is to the microsecond (S0-07)");
    becomes(&ada, "show", json!({ "total": 100, "held": 2, "committed": 0, "available": 98 }))
        .await;
    let events = of_order(&auditor, &id).await;
    let held = events.iter().find(|event| event["type"] == "inventory.held").expect("a claim");
    assert_eq!((&held["data"]["qty"], &held["data"]["remaining"]), (&json!(2), &json!(98)));

    // S4-06: what is recorded is what is published; one append, one truth.
    let created = events.iter().filter(|event| event["type"] == "reservation.hold-created");
    assert_eq!(created.count(), 1);

    // S4-07: a CloudEvent with the customer's partition and the order's subject.
    let event = published(&auditor, "orders.order.created", &id).await;
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["source"], "/holdfast/reservation");
    assert_eq!(event["type"], "orders.order.created");
    assert_eq!(event["holdfasttype"], "dev.holdfast.reservation.hold-created.v1");
    assert_eq!(event["subject"], bare(&id).as_str());
    assert_eq!(event["partitionkey"], "ada");
    assert_eq!(event["correlationid"], bare(&id).as_str());
    let sequence = event["sequence"].as_str().expect("a text");
    assert_eq!(sequence.len(), 20, "{sequence}");
    assert!(event["dataschema"].is_string() && event["time"].is_string());

    // S4-10 … S4-14: the payment.
    let paid = confirm(&ada, &id, "tok_approve").await.expect(200);
    assert_eq!(paid.body["reservation_status"], "CONFIRMED");
    let seen = eventually("captured and ticketed", || async {
        let seen = stands(&ada, &id, "CONFIRMED").await;
        let done = seen["payments"][0]["status"] == "SUCCEEDED"
            && seen["tickets"].as_array().is_some_and(|all| all.len() == 2);
        Some(seen).filter(|_| done)
    })
    .await;
    assert_eq!(seen["payments"][0]["captured"]["amountMinor"], "9000");
    published(&auditor, "payments.payment.succeeded", &id).await;
    let ledger = Ledger::of(&house.operator()).await;
    let row = ledger.0.iter().find(|row| row["kind"] == "authorize").expect("one authorization");
    assert_eq!((&row["amount_minor"], &row["currency"]), (&json!(9000), &json!("EUR")));
    assert!(row["key"].as_str().is_some_and(|key| key.starts_with("hf_")), "{row}");
    assert_eq!((ledger.count("authorized"), ledger.count("captured")), (1, 1));

    // S4-16, S4-17, S4-18: finalized.
    becomes(&ada, "show", json!({ "total": 100, "held": 0, "committed": 2, "available": 98 }))
        .await;
    published(&auditor, "orders.order.completed", &id).await;
    let events = of_order(&auditor, &id).await;
    let kinds = kinds(&events);
    for kind in ["inventory.locked", "limit.kept", "seatmap.seats-booked", "reservation.finalized"]
    {
        assert!(kinds.contains(&kind), "{kind} in {kinds:?}");
    }
    judge_log(&house).await;
}

// S4-03
#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_more_than_one_customer_may_have() {
    let house = with_show(&[]).await;
    let ada = house.customer("ada");
    order(&ada, json!({ "ticket_id": "party", "qty": 3 })).await.expect(201);
    let refused = order(&ada, json!({ "ticket_id": "party", "qty": 2 })).await;
    refused.problem(422, "LIMIT_EXCEEDED");
    order(&ada, json!({ "ticket_id": "party", "qty": 1 })).await.expect(201);
    let bob = house.customer("bob");
    order(&bob, json!({ "ticket_id": "party", "qty": 4 })).await.expect(201);
    let eve = house.customer("eve");
    order(&eve, json!({ "ticket_id": "party", "qty": 3 })).await.problem(409, "OUT_OF_STOCK");
    becomes(&eve, "party", json!({ "total": 10, "held": 8, "committed": 0, "available": 2 })).await;
    judge_log(&house).await;
}

// S4-04
#[tokio::test(flavor = "multi_thread")]
async fn seats_that_somebody_else_has_locked_are_refused_and_one_s_own_are_taken_over() {
    let house = with_show(&[]).await;
    let (ada, bob) = (house.customer("ada"), house.customer("bob"));
    let lock = json!({ "seatMapId": "hall", "seatIds": ["A-1-1", "A-1-2"] });
    ada.post("/api/v1/seats/lock", lock).await.expect(200);
    let body = json!({ "ticket_id": "show", "qty": 2, "seat_ids": ["A-1-1", "A-1-2"] });
    let refused = order(&bob, body.clone()).await.problem(409, "SEATS_TAKEN");
    assert_eq!(refused.body["taken_seat_ids"], json!(["A-1-1", "A-1-2"]));
    // The quota that was taken first is given back.
    becomes(&bob, "show", json!({ "total": 100, "held": 0, "committed": 0, "available": 100 }))
        .await;
    order(&ada, body).await.expect(201);
    judge_log(&house).await;
}

// S4-05
#[tokio::test(flavor = "multi_thread")]
async fn seats_are_chosen_the_same_way_every_time() {
    let mut chosen = Vec::new();
    for _ in 0..2 {
        let house = with_show(&[]).await;
        let ada = house.customer("ada");
        let ordered = order(&ada, json!({ "ticket_id": "show", "qty": 3, "section": "A" })).await;
        let id = ordered.expect(201).text_of("/order_id");
        let seen = stands(&ada, &id, "HOLD").await;
        let seats: Vec<String> =
            serde_json::from_value(seen["lines"][0]["seatIds"].clone()).expect("seats");
        assert_eq!(seats.len(), 3);
        let rows: std::collections::BTreeSet<_> =
            seats.iter().map(|seat| seat.rsplit_once('-').map(|(row, _)| row.to_owned())).collect();
        assert_eq!(rows.len(), 1, "in one row: {seats:?}");
        chosen.push(seats);
    }
    assert_eq!(chosen[0], chosen[1]);
}

// S4-08, S4-20 … S4-25
#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_nobody_pays_ends_in_time_also_over_a_crash() {
    let mut house = with_show(&QUICK).await;
    let (ada, bob) = (house.customer("ada"), house.customer("bob"));
    let kept = order(&ada, json!({ "ticket_id": "party", "qty": 2 })).await.expect(201);
    let kept = kept.text_of("/order_id");
    // This one is on the gateway's page when its time is up.
    let paying = order(&bob, json!({ "ticket_id": "party", "qty": 1 })).await.expect(201);
    let paying = paying.text_of("/order_id");
    // S4-12: the customer learns what to do next.
    let answer = confirm(&bob, &paying, "tok_requires_action").await.expect(202);
    assert!(answer.text_of("/next_action/url").contains("/sandbox/pay/"));
    // S4-09: there is a pending payment.
    let seen = stands(&bob, &paying, "AWAITING_PAYMENT").await;
    assert_eq!(seen["payments"][0]["status"], "REQUIRES_ACTION");
    house.kill9();
    let house = house.again().await;
    let (ada, bob, auditor) = (house.customer("ada"), house.customer("bob"), house.auditor());
    stands(&ada, &kept, "HOLD_EXPIRED").await;
    stands(&bob, &paying, "HOLD_EXPIRED").await;
    becomes(&ada, "party", json!({ "total": 10, "held": 0, "committed": 0, "available": 10 }))
        .await;
    for id in [&kept, &paying] {
        published(&auditor, "expiration.order.expiration_complete", id).await;
        published(&auditor, "orders.order.cancelled", id).await;
        let events = of_order(&auditor, id).await;
        let released = events.iter().find(|event| event["type"] == "inventory.released");
        assert_eq!(released.expect("released")["data"]["reason"], "EXPIRED");
    }
    // S4-25: the intent is cancelled, since nothing was captured.
    eventually("the intent is cancelled", || async {
        let ledger = Ledger::of(&house.operator()).await;
        (ledger.count("voided") == 1 && ledger.sum("captured") == 0).then_some(())
    })
    .await;
    judge_log(&house).await;
}

// S4-20
#[tokio::test(flavor = "multi_thread")]
async fn holds_expire_within_two_seconds_of_their_deadline() {
    let mut settings = QUICK.to_vec();
    settings.push(("LIMITS__LIVE_HOLDS_PER_CUSTOMER", "1000"));
    let house = with_show(&settings).await;
    let auditor = house.auditor();
    for n in 0..5 {
        let person = house.customer(&format!("user-{n}"));
        order(&person, json!({ "ticket_id": "party", "qty": 2 })).await.expect(201);
    }
    let expired = eventually("five expire", || async {
        let events = auditor.events("").await;
        let expired: Vec<Value> = events
            .into_iter()
            .filter(|event| event["type"] == "reservation.hold-expired")
            .collect();
        (expired.len() == 5).then_some(expired)
    })
    .await;
    drop(expired);
    let findings = judge_log(&house).await;
    assert!(findings.latest_expiry < Duration::from_secs(2), "{:?}", findings.latest_expiry);
}

// S4-15
#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_comes_five_times_counts_once() {
    let house = with_show(&[("SANDBOX__WEBHOOK_SECRETS", SECRET)]).await;
    let (ada, auditor) = (house.customer("ada"), house.auditor());
    let id = order(&ada, json!({ "ticket_id": "party", "qty": 1 })).await.expect(201);
    let id = id.text_of("/order_id");
    let paying = ada.post(&format!("/orders/{id}/pay"), json!({})).await.expect(202);
    let payment = bare(&paying.text_of("/payment_id"));
    let event = json!({
        "id": "evt_five_times", "object": "event", "type": "payment_intent.succeeded", "created": 1,
        "data": { "object": { "id": "pi_of_the_test", "amount": 2000, "amount_received": 2000,
            "currency": "eur", "status": "succeeded",
            "metadata": { "payment_id": payment, "attempt": "1" } } },
    })
    .to_string();
    let signature = signed(&event);
    let deliver = || {
        let (event, signature) = (event.clone(), signature.clone());
        let stranger = house.stranger();
        async move {
            let headers =
                [("stripe-signature", signature.as_str()), ("content-type", "application/json")];
            let path = "/api/v1/payments/webhook/sandbox";
            let sent =
                stranger.ask(reqwest::Method::POST, path, &headers, Some(event.into_bytes()));
            sent.await.expect("the door answers").expect(200)
        }
    };
    for answer in futures::future::join_all((0..5).map(|_| deliver())).await {
        assert_eq!(answer.body["received"], true);
    }
    stands(&ada, &id, "CONFIRMED").await;
    let events = of_order(&auditor, &id).await;
    let succeeded = kinds(&events).into_iter().filter(|kind| *kind == "payment.succeeded").count();
    assert_eq!(succeeded, 1);
    let confirmed =
        kinds(&events).into_iter().filter(|kind| *kind == "reservation.confirmed").count();
    assert_eq!(confirmed, 1);
}

fn signed(body: &str) -> String {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let t = since.expect("after 1970").as_secs();
    let mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).expect("any key");
    let mac = mac.chain_update(format!("{t}.{body}")).finalize().into_bytes();
    format!("t={t},v1={}", data_encoding::HEXLOWER.encode(&mac))
}

// S4-12
#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_asks_for_an_action_goes_on_when_the_customer_has_done_it() {
    let house = with_show(&[]).await;
    let ada = house.customer("ada");
    for (decision, status) in [("approve", "CONFIRMED"), ("decline", "HOLD_FAILED")] {
        let id = order(&ada, json!({ "ticket_id": "party", "qty": 1 })).await.expect(201);
        let id = id.text_of("/order_id");
        let answer = confirm(&ada, &id, "tok_requires_action").await.expect(202);
        let page = answer.text_of("/next_action/url");
        // Another site cannot press the button with the customer's browser.
        let forged = [("origin", "https://elsewhere.example"), ("sec-fetch-site", "cross-site")];
        let path = format!("{page}/{decision}");
        let pressed = house.stranger().ask(reqwest::Method::POST, &path, &forged, None).await;
        pressed.expect("the door answers").expect(403);
        stands(&ada, &id, "AWAITING_PAYMENT").await;
        house.stranger().post(&path, json!({})).await.expect(303);
        stands(&ada, &id, status).await;
    }
    eventually("one of the two is captured", || async {
        (Ledger::of(&house.operator()).await.sum("captured") == 2_000).then_some(())
    })
    .await;
    judge_log(&house).await;
}

// S4-19, S4-22, S4-26
#[tokio::test(flavor = "multi_thread")]
async fn a_completed_order_is_left_alone_by_its_timer() {
    let house = with_show(&QUICK).await;
    let (ada, auditor) = (house.customer("ada"), house.auditor());
    let id = order(&ada, json!({ "ticket_id": "party", "qty": 1 })).await.expect(201);
    let id = id.text_of("/order_id");
    confirm(&ada, &id, "tok_approve").await.expect(200);
    tokio::time::sleep(Duration::from_secs(4)).await;
    stands(&ada, &id, "CONFIRMED").await;
    let events = of_order(&auditor, &id).await;
    assert!(!kinds(&events).contains(&"reservation.hold-expired"));
    let committed = json!({ "total": 10, "held": 0, "committed": 1, "available": 9 });
    becomes(&ada, "party", committed).await;
    judge_log(&house).await;
}

/// Late money is taken when everything is still free (D1) …
#[tokio::test(flavor = "multi_thread")]
async fn late_money_takes_everything_again_when_it_is_still_free() {
    let house = with_show(&QUICK).await;
    let ada = house.customer("ada");
    let id = order(&ada, json!({ "ticket_id": "show", "qty": 1, "seat_ids": ["A-1-1"] })).await;
    let id = id.expect(201).text_of("/order_id");
    let body = json!({ "order_id": id, "payment_method": "tok_late" });
    let (paying, ()) = tokio::join!(ada.post("/payments/confirm", body), async {
        stands(&ada, &id, "HOLD_EXPIRED").await;
    });
    assert!([200, 202].contains(&paying.status), "{}", paying.text);
    stands(&ada, &id, "CONFIRMED").await;
    eventually("everything is at rest", || async {
        let ledger = Ledger::of(&house.operator()).await;
        (ledger.sum("captured") == 4500 && ledger.sum("refunded") == 0).then_some(())
    })
    .await;
    judge_log(&house).await;
}

/// … and goes back when it is not (D2).
#[tokio::test(flavor = "multi_thread")]
async fn late_money_goes_back_when_somebody_else_has_the_seat() {
    let house = with_show(&QUICK).await;
    let (ada, bob) = (house.customer("ada"), house.customer("bob"));
    let body = json!({ "ticket_id": "show", "qty": 1, "seat_ids": ["A-1-1"] });
    let late = order(&ada, body.clone()).await.expect(201).text_of("/order_id");
    let paying = json!({ "order_id": late, "payment_method": "tok_late" });
    let (_, bobs) = tokio::join!(ada.post("/payments/confirm", paying), async {
        stands(&ada, &late, "HOLD_EXPIRED").await;
        let quick = eventually("the seat is free", || async {
            let answer = order(&bob, body.clone()).await;
            (answer.status == 201).then_some(answer)
        })
        .await;
        let id = quick.text_of("/order_id");
        confirm(&bob, &id, "tok_approve").await.expect(200);
        id
    });
    stands(&bob, &bobs, "CONFIRMED").await;
    eventually("the late money goes back", || async {
        let ledger = Ledger::of(&house.operator()).await;
        (ledger.sum("captured") == 9000 && ledger.sum("refunded") == 4500).then_some(())
    })
    .await;
    stands(&ada, &late, "HOLD_EXPIRED").await;
    judge_log(&house).await;
}
