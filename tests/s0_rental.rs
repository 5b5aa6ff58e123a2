//! Diagram S0, item by item: book, pay, drive, return, inspect. (SEED_CHECKLIST.md, B.0)

use serde_json::{Value, json};

use crate::support::*;

const RESERVATION: &str = "query($id: ID!) { reservation(id: $id) { status version sagaState \
    createdAt holdExpiresAt lines { sku vehicleId period { from until } } \
    payments { id kind status version attempt approvalCode amount { amountMinor } \
    captured { amountMinor } refunded { amountMinor } } vehicle { id status } } }";

async fn book(person: &Person, key: &str) -> Answer {
    person.post_as("/bookings", key, json!({ "vehicle_type": "compact" })).await
}

async fn pay(person: &Person, key: &str, reservation: &str, method: &str) -> Answer {
    let body = json!({ "reservation_id": reservation, "payment_method": method });
    person.post_as("/payments", key, body).await
}

async fn seen(person: &Person, id: &str) -> Value {
    person.query(RESERVATION, json!({ "id": id })).await["reservation"].clone()
}

async fn stands(person: &Person, id: &str, status: &str) -> Value {
    eventually(&format!("{id} is {status}"), || async {
        let seen = seen(person, id).await;
        (seen["status"] == status).then_some(seen)
    })
    .await
}

async fn available(person: &Person, expected: Value) {
    let query = "{ availability(sku: \"compact\") { total held committed available } }";
    eventually(&format!("compact is {expected}"), || async {
        let seen = person.query(query, json!({})).await["availability"].clone();
        (seen == expected).then_some(())
    })
    .await;
}

async fn about(auditor: &Person, reservation: &str) -> Vec<Value> {
    let bare = reservation.trim_start_matches("res_");
    let events = auditor.events("").await;
    events.into_iter().filter(|event| event["correlationId"] == bare).collect()
}

fn of_kind<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["type"] == kind).collect()
}

async fn notices(person: &Person) -> Vec<String> {
    let query = "{ notifications(first: 50) { edges { node { subject body } } } }";
    let seen = person.query(query, json!({})).await;
    let edges = seen["notifications"]["edges"].as_array().expect("a list").clone();
    edges.iter().map(|edge| edge["node"].to_string().to_lowercase()).collect()
}

async fn is_told(person: &Person, word: &str) {
    eventually(&format!("{} is told: {word}", person.user), || async {
        notices(person).await.iter().any(|notice| notice.contains(word)).then_some(())
    })
    .await;
}

async fn from_the_booking_to_the_damage(between: Between) {
    let road = Road::with(between, 3, &[]).await;
    let house = &road.house;
    let (ada, operator, auditor) = (house.customer("ada"), house.operator(), house.auditor());
    available(&ada, json!({ "total": 3, "held": 0, "committed": 0, "available": 3 })).await;

    // S0-01, S0-04 … S0-07: a hold with its time.
    let booked = book(&ada, "book-1").await.expect(201);
    let id = booked.text_of("/reservation_id");
    assert_eq!((&booked.body["status"], &booked.body["version"]), (&json!("HOLD"), &json!(1)));
    let first = stands(&ada, &id, "HOLD").await;
    let micros = |field: &str| -> i64 {
        let text = first[field].as_str().expect("a moment");
        text.parse::<holdfast_domain::Timestamp>().expect("a moment").micros()
    };
    assert_eq!(micros("holdExpiresAt") - micros("createdAt"), 900_000_000);

    // S0-02: the same key again is the same answer, and nothing more is recorded.
    let before = about(&auditor, &id).await.len();
    let again = book(&ada, "book-1").await.expect(200);
    assert_eq!(again.body, booked.body);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(about(&auditor, &id).await.len(), before);

    // S0-03: what nobody rents out is told, and leaves nothing behind.
    let head = auditor.events("").await.len();
    let wrong = ada.post("/bookings", json!({ "vehicle_type": "spaceship" })).await;
    assert_eq!(wrong.status, 422, "{}", wrong.text);
    assert_eq!(auditor.events("").await.len(), head);

    // S0-05: guarded by a version that is no longer there.
    let fields = "... on Refused { code }";
    let input = json!({ "reservationId": id, "expectedVersion": 9 });
    let stale = ada.mutate("cancelReservation", "ReservationInput", input, fields).await;
    assert_eq!(stale["code"], "VERSION_CONFLICT");

    // S0-08, S0-10: in the log, on the feed, and one fewer to be had.
    let events = about(&auditor, &id).await;
    assert_eq!(of_kind(&events, "reservation.hold-created").len(), 1);
    assert!(!auditor.topic("booking.created").await.is_empty());
    available(&ada, json!({ "total": 3, "held": 1, "committed": 0, "available": 2 })).await;

    // S0-11, S0-12: paid once, however often it is sent.
    pay(&ada, "pay-1", &id, "tok_approve").await.expect(200);
    pay(&ada, "pay-1", &id, "tok_approve").await.expect(200);
    let confirmed = stands(&ada, &id, "CONFIRMED").await;
    let ledger = Ledger::of(&operator).await;
    assert_eq!(ledger.0.len(), 1, "{:?}", ledger.0);
    // S0-15: the gateway was given a key of ours.
    assert!(ledger.0[0]["key"].as_str().is_some_and(|key| key.starts_with("hf_")));

    // S0-13, S0-17 … S0-20: authorized, and not yet taken.
    let payment = &confirmed["payments"][0];
    assert_eq!((&payment["status"], &payment["version"]), (&json!("AUTHORIZED"), &json!(2)));
    assert!(payment["approvalCode"].is_string());
    assert_eq!((&confirmed["version"], &confirmed["holdExpiresAt"]), (&json!(2), &Value::Null));
    let events = about(&auditor, &id).await;
    for kind in ["payment.initiated", "payment.authorized", "reservation.confirmed"] {
        assert_eq!(of_kind(&events, kind).len(), 1, "{kind}");
    }
    // S0-16: the token stands nowhere.
    assert!(events.iter().all(|event| !event.to_string().contains("tok_approve")));

    // S0-21 … S0-24.
    let car = confirmed["lines"][0]["vehicleId"].as_str().expect("a vehicle").to_owned();
    let car = car.trim_start_matches("veh_").to_owned();
    vehicle_is(&operator, &car, "RESERVED").await;
    available(&ada, json!({ "total": 3, "held": 0, "committed": 1, "available": 2 })).await;
    eventually("the pool's claim is committed", || async {
        (of_kind(&about(&auditor, &id).await, "inventory.locked").len() == 1).then_some(())
    })
    .await;
    is_told(&ada, "confirmed").await;

    // It is opened and driven; then S0-32: nobody drives backwards.
    ada.post("/unlock", json!({ "reservation_id": id })).await.expect(200);
    vehicle_is(&operator, &car, "ON_TRIP").await;
    let back = |kilometres: u64| json!({ "odometer_end": kilometres, "fuel_level": 60 });
    let returned = format!("/rentals/{id}/return");
    ada.post(&returned, back(12_000)).await.problem(422, "ODOMETER_DECREASED");

    // S0-30, S0-31.
    ada.post(&returned, back(12_445)).await.expect(200);
    let completed = stands(&ada, &id, "COMPLETED").await;
    assert_eq!(completed["version"], 3);
    let events = about(&auditor, &id).await;
    let over = of_kind(&events, "reservation.rental-completed");
    let distance = over[0]["data"]["distance_m"].as_u64().expect("metres");
    assert!((90_000..=100_000).contains(&distance), "{distance}");

    // S0-33: once its doors are known to be locked, the next customer may have it.
    let car_now = vehicle_is(&operator, &car, "AVAILABLE").await;
    assert_eq!(car_now["lock"], "LOCKED");
    let metres: u64 =
        car_now["odometerMetres"].as_str().and_then(|m| m.parse().ok()).expect("metres");
    assert!(metres >= 12_445_000, "{metres}");
    available(&ada, json!({ "total": 3, "held": 0, "committed": 0, "available": 3 })).await;
    assert!(road.car(&car).locked);

    // The authorized money is taken when the rental is over (B.6, 5).
    eventually("captured", || async {
        let payment = seen(&ada, &id).await["payments"][0].clone();
        (payment["status"] == "SUCCEEDED" && payment["captured"]["amountMinor"] == "6000")
            .then_some(())
    })
    .await;

    // S0-34 … S0-36.
    let body = json!({ "reservation_id": id, "damage_description": "A scratch on the left door",
        "photos": [{ "sha256": "ab".repeat(32), "media_type": "image/jpeg", "url": "https://example.org/1.jpg" }] });
    let inspected = ada.post("/inspections", body).await.expect(201);
    assert_eq!(inspected.body["claim_status"], "PENDING");
    let inspection = inspected.text_of("/inspection_id");
    let events = about(&auditor, &id).await;
    assert_eq!(of_kind(&events, "inspection.damage-assessed").len(), 1);

    // S0-37: charged once, as a payment of its own.
    let input = json!({ "inspectionId": inspection, "approve": true,
        "amount": { "amountMinor": "25000", "currency": "EUR" } });
    let fields = "... on InspectionSuccess { inspection { claimStatus amount { amountMinor } } } ... on Refused { code message }";
    let decided =
        operator.mutate("decideDamageClaim", "DecideDamageClaimInput", input.clone(), fields).await;
    assert_eq!(decided["inspection"]["amount"]["amountMinor"], "25000", "{decided}");
    eventually("charged", || async {
        let query = "query($id: ID!) { inspection(id: $id) { claimStatus } }";
        let seen = ada.query(query, json!({ "id": inspection })).await;
        (seen["inspection"]["claimStatus"] == "CHARGED").then_some(())
    })
    .await;
    operator.mutate("decideDamageClaim", "DecideDamageClaimInput", input, fields).await;
    let ledger = Ledger::of(&operator).await;
    let charges =
        ledger.0.iter().filter(|row| row["amount_minor"] == 25_000 && row["state"] == "captured");
    assert_eq!(charges.count(), 1, "{:?}", ledger.0);
    let payments = eventually("both payments", || async {
        let payments = seen(&ada, &id).await["payments"].as_array().cloned()?;
        (payments.len() == 2).then_some(payments)
    })
    .await;
    assert!(payments.iter().any(|payment| payment["kind"] == "DAMAGE_CHARGE"), "{payments:?}");

    // S0-09: there is no way to change what is recorded.
    for method in [reqwest::Method::PUT, reqwest::Method::DELETE, reqwest::Method::PATCH] {
        let answer = auditor.ask(method, "/events", &[], None).await.expect("an answer");
        assert!(matches!(answer.status, 404 | 405), "{}", answer.status);
    }
    judge_log(house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_booking_to_the_damage_over_the_embedded_broker() {
    from_the_booking_to_the_damage(Between::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_booking_to_the_damage_over_mosquitto() {
    from_the_booking_to_the_damage(Between::Mosquitto).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_payment_gives_the_vehicle_back() {
    let road = Road::with(Between::Embedded, 1, &[]).await;
    let (ada, operator, auditor) =
        (road.house.customer("ada"), road.house.operator(), road.house.auditor());
    let id = book(&ada, "book").await.expect(201).text_of("/reservation_id");
    vehicle_is(&operator, "car-1", "RESERVED").await;
    // S0-29
    pay(&ada, "pay", &id, "tok_decline").await.problem(402, "PAYMENT_DECLINED");
    // S0-25 … S0-28
    let failed = stands(&ada, &id, "HOLD_FAILED").await;
    // Declined, and then voided: a declined intent can still be paid (DOMAIN C.3).
    let status = failed["payments"][0]["status"].as_str().expect("a status").to_owned();
    assert!(matches!(&*status, "FAILED" | "VOID_REQUESTED" | "VOIDED"), "{status}");
    let events = about(&auditor, &id).await;
    assert_eq!(of_kind(&events, "payment.failed").len(), 1);
    assert_eq!(of_kind(&events, "reservation.hold-released").len(), 1);
    available(&ada, json!({ "total": 1, "held": 0, "committed": 0, "available": 1 })).await;
    vehicle_is(&operator, "car-1", "AVAILABLE").await;
    is_told(&ada, "declined").await;
    judge_log(&road.house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_nobody_pays_for_expires() {
    let settings =
        [("HOLDS__HOLD_TTL", "2s"), ("HOLDS__PAYMENT_EXTENSION", "0s"), ("TIMERS__TICK", "50ms")];
    let road = Road::with(Between::Embedded, 2, &settings).await;
    let (ada, operator, auditor) =
        (road.house.customer("ada"), road.house.operator(), road.house.auditor());
    let mut ids = Vec::new();
    for key in ["one", "two"] {
        ids.push(book(&ada, key).await.expect(201).text_of("/reservation_id"));
    }
    // The last one is gone.
    book(&ada, "three").await.problem(409, "OUT_OF_STOCK");
    // S0-38 … S0-40
    for id in &ids {
        stands(&ada, id, "HOLD_EXPIRED").await;
        let events = about(&auditor, id).await;
        assert_eq!(of_kind(&events, "reservation.hold-expired").len(), 1);
    }
    available(&ada, json!({ "total": 2, "held": 0, "committed": 0, "available": 2 })).await;
    for car in ["car-1", "car-2"] {
        vehicle_is(&operator, car, "AVAILABLE").await;
    }
    judge_log(&road.house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn back_to_back_rentals_fit_and_overlapping_ones_are_refused() {
    let road = Road::with(Between::Embedded, 1, &[]).await;
    let (ada, bob) = (road.house.customer("ada"), road.house.customer("bob"));
    let asked = |from: &str, until: &str| {
        json!({ "vehicle_type": "compact", "from": format!("2031-05-01T{from}:00Z"),
            "until": format!("2031-05-01T{until}:00Z") })
    };
    ada.post("/bookings", asked("10:00", "12:00")).await.expect(201);
    bob.post("/bookings", asked("11:00", "13:00")).await.problem(409, "OUT_OF_STOCK");
    bob.post("/bookings", asked("12:00", "14:00")).await.expect(201);
    for (from, until) in [("12:00", "12:00"), ("12:00", "10:00")] {
        bob.post("/bookings", asked(from, until)).await.problem(422, "INVALID_INPUT");
    }
    let query = "query($from: DateTime!, $until: DateTime!) { availability(sku: \"compact\", \
        period: { from: $from, until: $until }) { available } }";
    for (from, until, free) in [("08:00", "10:00", 1), ("09:00", "11:00", 0), ("14:00", "18:00", 1)]
    {
        let variables = json!({ "from": format!("2031-05-01T{from}:00Z"),
            "until": format!("2031-05-01T{until}:00Z") });
        eventually(&format!("{free} free from {from} until {until}"), || async {
            let seen = ada.query(query, variables.clone()).await;
            (seen["availability"]["available"] == free).then_some(())
        })
        .await;
    }
    judge_log(&road.house).await;
}
