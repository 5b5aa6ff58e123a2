//! The diagrams, walked through the real doors.

use holdfast_api::token::Role;
use holdfast_domain::{Currency, Money, PaymentId};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::till::{Notice, succeeded};
use crate::world::World;

const RESERVATION: &str = "query($id: ID!, $at: Position) { reservation(id: $id, minPosition: $at) { id status version \
    sagaState createdAt holdExpiresAt total { amountMinor currency formatted } lines { sku quantity seatMapId seatIds \
    unitPrice { amountMinor } } payments { id status captured { amountMinor } attempt } \
    tickets { id status seatId qrPayload qrSvg } timeline(first: 50) { edges { cursor node { type streamVersion } } \
    pageInfo { hasNextPage } } } }";

fn payment_id(shown: &Value) -> PaymentId {
    shown.as_str().unwrap().strip_prefix("pay_").unwrap().parse().unwrap()
}

async fn status(world: &World, map: &str, seat: &str) -> String {
    let map =
        world.get(&format!("/seatmaps/{map}?min_position={}", world.head()), None).await.json();
    let seats = map["seats"].as_array().unwrap();
    let found = seats.iter().find(|s| s["id"] == seat).unwrap();
    found["status"].as_str().unwrap().to_owned()
}

// S2-01 … S2-21
#[tokio::test]
async fn seats_from_lock_to_ticket_as_s2_draws_it() {
    let world = World::start().await.with_hall().await;
    let ada = world.token("ada", Role::Customer);
    let seats = world.seats("hall").await;
    let wanted = json!([seats[0], seats[1]]);
    let lock = world
        .post("/api/v1/seats/lock", &ada, "l", json!({"seatMapId": "hall", "seatIds": wanted}))
        .await;
    assert_eq!(lock.status, StatusCode::OK, "{lock:?}");
    let lock = lock.json();
    assert!(lock["lockId"].as_str().unwrap().starts_with("lck_"));
    assert_eq!(lock["seatIds"], wanted);
    assert_eq!(status(&world, "hall", &seats[0]).await, "LOCKED");

    let booking =
        world.post("/api/v1/bookings", &ada, "b", json!({"lockId": lock["lockId"]})).await;
    assert_eq!(booking.status, StatusCode::CREATED, "{booking:?}");
    assert_eq!(booking.header("etag"), Some("\"1\""));
    let booking = booking.json();
    assert_eq!(
        (&booking["status"], &booking["sagaState"]),
        (&json!("HOLD"), &json!("SEATS_LOCKED"))
    );
    let id = booking["bookingId"].as_str().unwrap();

    // Without a payment method the gateway's own page takes over.
    let paying = world.post(&format!("/api/v1/bookings/{id}/pay"), &ada, "p", json!({})).await;
    assert_eq!(paying.status, StatusCode::ACCEPTED, "{paying:?}");
    let paying = paying.json();
    assert!(
        paying["redirectUrl"].as_str().unwrap().starts_with("https://till.example/"),
        "{paying}"
    );
    assert_eq!(paying["sagaState"], "PAYMENT_PENDING");

    // A second tab is led to the same page (D11).
    let second = world.post(&format!("/api/v1/bookings/{id}/pay"), &ada, "p2", json!({})).await;
    assert_eq!(second.status, StatusCode::CONFLICT);
    assert_eq!(second.json()["code"], "PAYMENT_IN_PROGRESS");
    assert_eq!(second.json()["redirect_url"], paying["redirectUrl"]);

    // The gateway tells us; five times, and once with a wrong signature.
    let payment = payment_id(&paying["paymentId"]);
    let amount = Money::new(9_000, Currency::new("EUR").unwrap());
    let notice = |id: &str| Notice {
        id: id.into(),
        payment_id: payment,
        attempt: 1,
        word: succeeded(&payment, amount),
    };
    let hook = |notice: Notice, honest: &'static str| {
        world
            .request(Method::POST, "/api/v1/payments/webhook/sandbox")
            .header("x-till", honest)
            .json(&notice)
    };
    let forged = world.send(hook(notice("e1"), "crooked")).await;
    assert_eq!((forged.status.as_u16(), &forged.json()["code"]), (400, &json!("BAD_SIGNATURE")));
    for _ in 0..5 {
        let taken = world.send(hook(notice("e1"), "honest")).await;
        assert_eq!((taken.status.as_u16(), taken.json()), (200, json!({"received": true})));
    }
    let default = world
        .request(Method::POST, "/payments/webhook")
        .header("x-till", "honest")
        .json(&notice("e1"));
    assert_eq!(world.send(default).await.status, StatusCode::OK);
    let unknown = Notice { payment_id: PaymentId(uuid::Uuid::from_u128(9)), ..notice("e9") };
    assert_eq!(world.send(hook(unknown, "honest")).await.status, StatusCode::OK);
    let nowhere =
        world.request(Method::POST, "/api/v1/payments/webhook/nobody").json(&notice("e1"));
    assert_eq!(world.send(nowhere).await.status, StatusCode::NOT_FOUND);

    world.engine.quiet().await;
    let at = world.head().to_string();
    let seen = world.graphql(Some(&ada), RESERVATION, json!({"id": id, "at": at})).await;
    let seen = &seen["data"]["reservation"];
    assert_eq!(
        (&seen["status"], &seen["sagaState"], &seen["version"]),
        (&json!("CONFIRMED"), &json!("DONE"), &json!(2)),
        "{seen}"
    );
    assert_eq!(seen["holdExpiresAt"], Value::Null);
    assert_eq!(seen["total"]["formatted"], "EUR 90.00");
    assert_eq!(seen["payments"][0]["status"], "SUCCEEDED");
    assert_eq!(seen["payments"][0]["captured"]["amountMinor"], "9000");
    assert_eq!(seen["tickets"].as_array().unwrap().len(), 2, "{seen}");
    assert!(seen["tickets"][0]["qrSvg"].as_str().unwrap().starts_with("<svg"));
    assert_eq!(status(&world, "hall", &seats[0]).await, "BOOKED");
    let told: Vec<_> = seen["timeline"]["edges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["node"]["type"].as_str().unwrap())
        .collect();
    assert_eq!(told.first(), Some(&"reservation.hold-created"));
    assert!(told.contains(&"reservation.confirmed"), "{told:?}");
    // One success, however often it was told.
    let auditor = world.token("audit", Role::Auditor);
    let lines = world.get(&format!("/events?stream=payment-{payment}"), Some(&auditor)).await.text;
    assert_eq!(lines.matches("payment.succeeded").count(), 1, "{lines}");

    check_in(&world, &seen["tickets"][0]).await;
}

async fn check_in(world: &World, ticket: &Value) {
    let gate = world.token("gate", Role::Operator);
    let wanted = "... on CheckInSuccess { ticket { id status } } ... on Refused { code }";
    let scan = |key: &str, payload: &Value, nonce: &str| {
        world.mutate_owned(
            gate.clone(),
            "checkInTicket",
            json!({"idempotencyKey": key, "qrPayload": payload, "nonce": nonce, "gate": "north"}),
            wanted,
        )
    };
    let payload = &ticket["qrPayload"];
    let entered = scan("c1", payload, "n1").await;
    assert_eq!(entered["ticket"]["status"], "CHECKED_IN", "{entered}");
    assert_eq!(
        scan("c2", payload, "n1").await["ticket"]["id"],
        ticket["id"],
        "the same scan is the same entry"
    );
    assert_eq!(scan("c3", payload, "n2").await["code"], "ALREADY_REDEEMED");
    let mut forged = payload.as_str().unwrap().to_owned();
    let last = forged.pop().unwrap();
    forged.push(if last == 'A' { 'Q' } else { 'A' });
    assert_eq!(scan("c4", &json!(forged), "n3").await["code"], "INVALID_INPUT");
    let keys = world.get("/.well-known/holdfast-tickets.json", None).await.json();
    assert_eq!(keys["keys"][0]["alg"], "Ed25519");
}

// S4-01 … S4-18, S0-11, S3-24
#[tokio::test]
async fn an_order_with_chosen_seats_is_paid_and_cancelled_as_s4_and_s3_draw_it() {
    let world = World::start().await.with_hall().await;
    let ada = world.token("ada", Role::Customer);
    let order = json!({"ticket_id": "hall-ticket", "qty": 2, "section": "S"});
    let order = world.post("/orders", &ada, "o", order).await;
    assert_eq!(order.status, StatusCode::CREATED, "{order:?}");
    let order = order.json();
    assert_eq!(order["seat_ids"].as_array().unwrap().len(), 2);
    assert_eq!(
        order["total"],
        json!({"amount_minor": 9000, "currency": "EUR", "formatted": "EUR 90.00"})
    );
    assert!(order["expires_at"].is_string());
    let paid = world
        .post(
            "/payments/confirm",
            &ada,
            "p",
            json!({"order_id": order["order_id"], "payment_method": "tok_approve"}),
        )
        .await;
    assert_eq!(paid.status, StatusCode::OK, "{paid:?}");
    assert_eq!(paid.json()["reservation_status"], "CONFIRMED");
    // Asked about by its payment.
    let asked = world
        .post("/payments/confirm", &ada, "q", json!({"payment_id": paid.json()["payment_id"]}))
        .await;
    assert!(asked.status.is_success(), "{asked:?}");
    let twice = world
        .post(
            "/payments",
            &ada,
            "p3",
            json!({"order_id": order["order_id"], "payment_method": "tok_approve"}),
        )
        .await;
    assert_eq!(twice.json()["code"], "ALREADY_PAID");

    world.engine.quiet().await;
    let at = world.head();
    let stock = world.get(&format!("/inventory/hall-ticket?min_position={at}"), None).await.json();
    assert_eq!((&stock["available"], &stock["committed"]), (&json!(18), &json!(2)), "{stock}");

    let id = order["order_id"].as_str().unwrap();
    let seen = world.get(&format!("/reservations/{id}"), Some(&ada)).await;
    let etag = seen.header("etag").unwrap().to_owned();
    let unchanged = world
        .request(Method::GET, &format!("/reservations/{id}"))
        .bearer_auth(&ada)
        .header("if-none-match", &etag);
    assert_eq!(world.send(unchanged).await.status, StatusCode::NOT_MODIFIED);
    let cancel = |key: &str, version: &str| {
        world
            .request(Method::PATCH, &format!("/orders/{id}/cancel"))
            .bearer_auth(&ada)
            .header("idempotency-key", key)
            .header("if-match", version)
    };
    let stale = world.send(cancel("c", "\"1\"")).await;
    assert_eq!((stale.status.as_u16(), &stale.json()["code"]), (409, &json!("VERSION_CONFLICT")));
    let junk = world.send(cancel("c", "\"one\"")).await;
    assert_eq!(junk.status, StatusCode::BAD_REQUEST);
    let cancelled = world.send(cancel("c", "\"2\"")).await;
    assert_eq!(
        (cancelled.status.as_u16(), &cancelled.json()["status"]),
        (200, &json!("CANCELLED")),
        "{cancelled:?}"
    );
    world.engine.quiet().await;
    world.settled().await;
    let payment = world
        .get(&format!("/payments/{}", paid.json()["payment_id"].as_str().unwrap()), Some(&ada))
        .await
        .json();
    assert_eq!(payment["status"], "REFUNDED", "{payment}");
    let stock = world.get("/inventory/hall-ticket", None).await.json();
    assert_eq!(stock["available"], 20);
}

// D37
#[tokio::test]
async fn read_your_writes() {
    let world = World::start().await.with_hall().await;
    let ada = world.token("ada", Role::Customer);
    for n in 0..10 {
        let order = world
            .post("/orders", &ada, &format!("o{n}"), json!({"ticket_id": "hall-ticket", "qty": 1}))
            .await;
        let (at, id) = (order.position(), order.json()["order_id"].as_str().unwrap().to_owned());
        let seen = world.get(&format!("/reservations/{id}?min_position={at}"), Some(&ada)).await;
        assert_eq!(seen.status, StatusCode::OK, "{seen:?}");
        let query = "query($id: ID!, $at: Position) { reservation(id: $id, minPosition: $at) { id } \
                     availability(sku: \"hall-ticket\", minPosition: $at) { available asOf } }";
        let seen = world.graphql(Some(&ada), query, json!({"id": id, "at": at.to_string()})).await;
        assert_eq!(seen["data"]["reservation"]["id"], id, "{seen}");
        assert_eq!(seen["data"]["availability"]["available"], 19 - n);
    }
    // A refusal says what was left, and when.
    let refused =
        world.post("/orders", &ada, "many", json!({"ticket_id": "hall-ticket", "qty": 30})).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{refused:?}");
    let body = refused.json();
    assert!(body["as_of_position"].is_string(), "{body}");
    // What has not been recorded is not waited for without end.
    let future = world.head().0 + 1_000;
    let stale = world.get(&format!("/inventory/hall-ticket?min_position={future}"), None).await;
    assert_eq!((stale.status.as_u16(), &stale.json()["code"]), (503, &json!("STALE_READ")));
    assert!(stale.header("retry-after").is_some());
    let query = format!(
        "{{ availability(sku: \"hall-ticket\", minPosition: \"{future}\") {{ available }} }}"
    );
    let stale = world.graphql(None, &query, json!({})).await;
    let error = &stale["errors"][0]["extensions"];
    assert_eq!(error["code"], "STALE_READ");
    assert!(error["retryAfterMs"].is_u64());
}

#[tokio::test]
async fn what_the_rules_refuse_is_a_value() {
    let world = World::start().await.with_hall().await;
    let (ada, bob) = (world.token("ada", Role::Customer), world.token("bob", Role::Customer));
    let seats = world.seats("hall").await;
    let wanted = "... on LockSeatsSuccess { lock { lockId seatIds } } ... on SeatsTaken { code takenSeatIds suggestedSeatIds } \
                  ... on Refused { code message }";
    let lock = |token: &str, key: &str, more: Value| {
        let mut input = json!({"idempotencyKey": key, "seatMapId": "hall"});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        world.mutate_owned(token.to_owned(), "lockSeats", input, wanted)
    };
    assert_eq!(
        lock(&ada, "1", json!({"seatIds": [seats[0]]})).await["__typename"],
        "LockSeatsSuccess"
    );
    let taken = lock(&bob, "1", json!({"seatIds": [seats[0], seats[1]], "suggest": true})).await;
    assert_eq!(
        (&taken["__typename"], &taken["code"]),
        (&json!("SeatsTaken"), &json!("SEATS_TAKEN")),
        "{taken}"
    );
    assert_eq!(taken["takenSeatIds"], json!([seats[0]]));
    assert_eq!(taken["suggestedSeatIds"].as_array().unwrap().len(), 2);
    let none = lock(&bob, "2", json!({"autoAssign": {"quantity": 30}})).await;
    assert!(matches!(none["code"].as_str(), Some("SEATS_TAKEN" | "INVALID_INPUT")), "{none}");
    let best = lock(&bob, "3", json!({"autoAssign": {"quantity": 3, "section": "S"}})).await;
    assert_eq!(best["lock"]["seatIds"].as_array().unwrap().len(), 3, "{best}");
    for (key, more, code) in [
        ("", json!({"seatIds": [seats[5]]}), "INVALID_INPUT"),
        ("4", json!({}), "INVALID_INPUT"),
        ("5", json!({"seatIds": []}), "INVALID_INPUT"),
        ("6", json!({"seatIds": ["S-99-99"]}), "NOT_FOUND"),
        ("7", json!({"autoAssign": {"quantity": 0}}), "INVALID_INPUT"),
        ("8", json!({"autoAssign": {"quantity": -1}}), "INVALID_INPUT"),
    ] {
        let refused = lock(&bob, key, more).await;
        assert_eq!(refused["code"], code, "{key}: {refused}");
    }
    // Lines that mean nothing.
    let wanted = "... on Refusal { code message }";
    for line in [
        json!({}),
        json!({"sku": "hall-ticket"}),
        json!({"quantity": 1}),
        json!({"sku": "hall-ticket", "quantity": 0}),
        json!({"sku": "hall-ticket", "quantity": 1, "seatMapId": "hall"}),
        json!({"seatMapId": "hall"}),
        json!({"seatMapId": "hall", "seatIds": [seats[6]], "quantity": 1}),
        json!({"sku": "hall-ticket", "quantity": 1, "period": {"from": "2026-11-21T12:00:00Z", "until": "2026-11-21T12:00:00Z"}}),
    ] {
        let input = json!({"idempotencyKey": "k", "lines": [line]});
        let refused = world.mutate(&bob, "createReservation", input, wanted).await;
        assert_eq!(refused["code"], "INVALID_INPUT", "{line}: {refused}");
    }
    let input = json!({"idempotencyKey": "k", "lines": [{"sku": "nothing", "quantity": 1}]});
    assert_eq!(world.mutate(&bob, "createReservation", input, wanted).await["code"], "NOT_FOUND");
    let input = json!({"idempotencyKey": "k", "lines": [{"lockId": "lck_junk"}]});
    assert_eq!(world.mutate(&bob, "createReservation", input, wanted).await["code"], "NOT_FOUND");
}

#[tokio::test]
async fn operators_run_the_shop() {
    let world = World::start().await.with_hall().await;
    let (operator, ada) = (world.token("op", Role::Operator), world.token("ada", Role::Customer));
    let seats = world.seats("hall").await;
    world.accepted(&operator, "blockSeats", json!({"idempotencyKey": "b", "seatMapId": "hall", "seatIds": [seats[0]], "reason": "broken"})).await;
    let blocked = world
        .post("/api/v1/seats/lock", &ada, "1", json!({"seatMapId": "hall", "seatIds": [seats[0]]}))
        .await;
    assert_eq!(
        (blocked.status.as_u16(), &blocked.json()["code"]),
        (409, &json!("NOT_FOR_SALE")),
        "{blocked:?}"
    );
    world
        .accepted(
            &operator,
            "unblockSeats",
            json!({"idempotencyKey": "u", "seatMapId": "hall", "seatIds": [seats[0]]}),
        )
        .await;
    world.accepted(&operator, "adjustStock", json!({"idempotencyKey": "a", "sku": "hall-ticket", "quantity": -1, "reason": "counted"})).await;
    let adjusted = world
        .rest(
            Method::PATCH,
            "/inventory/hall-ticket/stock",
            &operator,
            "s",
            json!({"delta": 1, "reason": "found"}),
        )
        .await;
    assert_eq!(adjusted.status, StatusCode::OK, "{adjusted:?}");
    world
        .accepted(
            &operator,
            "setSales",
            json!({"idempotencyKey": "c", "sku": "hall-ticket", "open": false}),
        )
        .await;
    let closed =
        world.post("/orders", &ada, "2", json!({"ticket_id": "hall-ticket", "qty": 1})).await;
    assert_eq!((closed.status.as_u16(), &closed.json()["code"]), (409, &json!("SALES_CLOSED")));
    world
        .accepted(
            &operator,
            "setSales",
            json!({"idempotencyKey": "o", "sku": "hall-ticket", "open": true}),
        )
        .await;
    let order = world
        .post("/orders", &ada, "3", json!({"ticket_id": "hall-ticket", "qty": 1}))
        .await
        .json();
    let wanted = "... on ReservationSuccess { replayed reservation { status holdExpiresAt } } ... on Refusal { code message }";
    let input = json!({"idempotencyKey": "x", "reservationId": order["order_id"]});
    let extended = world.mutate(&operator, "extendHold", input, wanted).await;
    assert_eq!(extended["__typename"], "ReservationSuccess", "{extended}");
    let pay = json!({"order_id": order["order_id"], "payment_method": "tok_approve"});
    let paid = world.post("/payments", &ada, "p", pay).await.json();
    world.engine.quiet().await;
    let wanted = "... on PaymentSuccess { payment { status refunded { amountMinor } } } ... on Refusal { code message }";
    let input = json!({"idempotencyKey": "r", "paymentId": paid["payment_id"], "amount": {"amountMinor": "1000", "currency": "EUR"}, "reason": "kind"});
    let refunded = world.mutate(&operator, "refundPayment", input, wanted).await;
    assert_eq!(refunded["__typename"], "PaymentSuccess", "{refunded}");
    let too_much = json!({"idempotencyKey": "r2", "paymentId": paid["payment_id"], "amount": {"amountMinor": "900000", "currency": "EUR"}});
    assert_eq!(
        world.mutate(&operator, "refundPayment", too_much, wanted).await["code"],
        "INVALID_INPUT"
    );
    let letter =
        json!({"idempotencyKey": "d", "deadLetterId": "dlq_00000000-0000-0000-0000-000000000001"});
    let none =
        world.mutate(&operator, "redriveDeadLetter", letter, "... on Refused { code }").await;
    assert_eq!(none["code"], "NOT_FOUND", "{none}");
    world.settled().await;
    let items = world.graphql(None, "{ items(kind: TICKET) { edges { node { sku price { formatted } availability { total reason } } } } \
        item(sku: \"hall-ticket\") { name } node(id: \"hall-ticket\") { __typename id } }", json!({})).await;
    assert_eq!(items["data"]["items"]["edges"][0]["node"]["availability"]["total"], 20, "{items}");
    assert_eq!(items["data"]["node"]["__typename"], "Item");
    let analyst = world.token("ann", Role::Analyst);
    let figures = world
        .graphql(
            Some(&analyst),
            "{ stockMovements(sku: \"hall-ticket\") { edges { node { kind quantity actor } } } \
        projections { name position lag state } }",
            json!({}),
        )
        .await;
    assert!(figures["data"]["stockMovements"]["edges"].as_array().unwrap().len() >= 3, "{figures}");
    assert!(!figures["data"]["projections"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn health_tells_the_truth() {
    let world = World::start().await.with_hall().await;
    assert_eq!(world.get("/health/live", None).await.json()["status"], "ok");
    world.engine.quiet().await;
    let ready = world.get("/health/ready", None).await;
    assert_eq!((ready.status.as_u16(), &ready.json()["reasons"]), (200, &json!([])), "{ready:?}");
    let metrics = world.get("/metrics", None).await;
    assert!(metrics.text.contains("holdfast_http_requests_total"), "{}", metrics.text);
    let ill = World::tuned(|config, _| {
        config.unready = Some(std::sync::Arc::new(|| vec!["the disk is nearly full".into()]));
    })
    .await;
    let ready = ill.get("/health/ready", None).await;
    assert_eq!(
        (ready.status.as_u16(), &ready.json()["reasons"]),
        (503, &json!(["the disk is nearly full"]))
    );
}
