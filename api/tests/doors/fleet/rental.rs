//! S0: from the booking to the damage, and what a booking may not say.

use holdfast_api::token::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{INSPECTED, available, seen, world};

// S0-01 … S0-07, S0-10 … S0-12, S0-19 … S0-22, S0-30 … S0-37, S1-05
#[tokio::test]
async fn a_rental_from_booking_to_damage_as_s0_draws_it() {
    let world = world().await;
    let (ada, operator) = (world.token("ada", Role::Customer), world.token("op", Role::Operator));
    assert_eq!(available(&world).await, json!([1, 0, 0]));

    let booked = world.post("/bookings", &ada, "b", json!({"vehicle_type": "compact"})).await;
    assert_eq!(booked.status, StatusCode::CREATED, "{booked:?}");
    assert_eq!(booked.header("etag"), Some("\"1\""));
    let body = booked.json();
    assert_eq!((&body["status"], &body["version"]), (&json!("HOLD"), &json!(1)));
    assert!(body["hold_expires_at"].is_string());
    assert_eq!(body["vehicle_id"], "car-1", "S1-01: a vehicle before the payment");
    assert_eq!(available(&world).await, json!([0, 1, 0]));
    // S0-02: a repeat, also with the key in the body, is 200 and the same, and records nothing.
    let head = world.head();
    let again = world.post("/bookings", &ada, "b", json!({"vehicle_type": "compact"})).await;
    assert_eq!((again.status, &again.text), (StatusCode::OK, &booked.text));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!((world.head(), again.position()), (head, booked.position()));
    let lines = json!([{"sku": "compact", "quantity": 1}]);
    let input = json!({"idempotencyKey": "b", "lines": lines});
    let wanted =
        "... on ReservationSuccess { replayed reservation { id } } ... on Refusal { code }";
    let same = world.mutate(&ada, "createReservation", input, wanted).await;
    assert_eq!(
        (&same["reservation"]["id"], &same["replayed"]),
        (&body["reservation_id"], &json!(true))
    );
    // Nobody else gets it.
    let bob = world.token("bob", Role::Customer);
    let none = world.post("/bookings", &bob, "b", json!({"vehicle_type": "compact"})).await;
    assert_eq!((none.status.as_u16(), &none.json()["code"]), (409, &json!("OUT_OF_STOCK")));

    let id = body["reservation_id"].as_str().unwrap();
    let pay = json!({"reservation_id": id, "payment_method": "tok_approve"});
    let paid = world.post("/payments", &ada, "p", pay).await;
    assert_eq!(paid.status, StatusCode::OK, "{paid:?}");
    assert_eq!(paid.json()["reservation_status"], "CONFIRMED");
    assert_eq!(paid.json()["status"], "AUTHORIZED", "captured when the rental ends");
    world.engine.quiet().await;
    assert_eq!(available(&world).await, json!([0, 0, 1]), "S0-22: not lowered twice");
    let car = seen(&world, &operator, "car-1").await;
    assert_eq!((&car["status"], &car["lock"]), (&json!("RESERVED"), &json!("LOCKED")), "{car}");

    // Not before it has begun.
    let back = |km: Value, fuel: Value| json!({"odometer_end": km, "fuel_level": fuel});
    let path = format!("/rentals/{id}/return");
    let early = world.post(&path, &ada, "r0", back(json!(12_400), json!(60))).await;
    assert_eq!((early.status.as_u16(), &early.json()["code"]), (409, &json!("NOT_STARTED")));

    let page = format!("/reservations/{id}");
    let before = world.get(&page, Some(&ada)).await.header("etag").unwrap().to_owned();

    let unlocked = world.post("/unlock", &ada, "u", json!({"reservation_id": id})).await;
    assert_eq!(unlocked.status, StatusCode::OK, "{unlocked:?}");
    let body = unlocked.json();
    assert_eq!((&body["status"], &body["lock"]), (&json!("SUCCESS"), &json!("UNLOCKED")));
    assert_eq!(
        (&body["vehicle_id"], &body["reservation_status"]),
        (&json!("car-1"), &json!("IN_USE"))
    );
    // The same key is answered again, and nothing is sent again.
    let again = world.post("/unlock", &ada, "u", json!({"reservation_id": id})).await;
    assert_eq!((again.status, &again.text), (StatusCode::OK, &unlocked.text));
    assert_eq!(world.garage.sent_to("car-1").len(), 1);

    // The version is the same, and yet it is not "unchanged"; what was read still guards a command.
    world.settled().await;
    let again = world.request(Method::GET, &page).bearer_auth(&ada);
    let again = world.send(again.header("if-none-match", &before)).await;
    assert_eq!(
        (again.status.as_u16(), &again.json()["status"]),
        (200, &json!("IN_USE")),
        "{again:?}"
    );
    let cancel = world.request(Method::PATCH, &format!("/orders/{id}/cancel")).bearer_auth(&ada);
    let cancel = cancel.header("idempotency-key", "c").header("if-match", &before);
    let cancelled = world.send(cancel).await;
    assert_eq!((cancelled.status.as_u16(), &cancelled.json()["code"]), (409, &json!("IN_USE")));

    for (key, km, fuel, status, code) in [
        ("r1", json!(12_344), json!(60), 422, "ODOMETER_DECREASED"),
        ("r2", json!(-1), json!(60), 422, "INVALID_INPUT"),
        ("r3", json!(12_400), json!(101), 422, "INVALID_INPUT"),
        ("r4", json!("12400"), json!(60), 400, "MALFORMED"),
    ] {
        let refused = world.post(&path, &ada, key, back(km, fuel)).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.json()["code"]),
            (status, &json!(code)),
            "{key}"
        );
    }
    let returned = world.post(&path, &ada, "r", back(json!(12_400.5), json!(60))).await;
    assert_eq!(returned.status, StatusCode::OK, "{returned:?}");
    let body = returned.json();
    assert_eq!((&body["status"], &body["version"]), (&json!("COMPLETED"), &json!(3)), "{body}");
    world.engine.quiet().await;
    assert_eq!(available(&world).await, json!([1, 0, 0]), "S0-33");
    let car = seen(&world, &operator, "car-1").await;
    assert_eq!(
        json!([car["status"], car["lock"], car["odometerMetres"], car["fuelPercent"]]),
        json!(["AVAILABLE", "LOCKED", "12400500", 60]),
        "{car}"
    );
    let auditor = world.token("audit", Role::Auditor);
    let bare = id.trim_start_matches("res_");
    let events =
        world.get(&format!("/events?stream=reservation-{bare}"), Some(&auditor)).await.text;
    assert!(events.contains("\"distance_m\":55500"), "S0-31: {events}");
    let payment = paid.json()["payment_id"].as_str().unwrap().to_owned();
    let payment = world.get(&format!("/payments/{payment}"), Some(&ada)).await.json();
    assert_eq!(payment["status"], "SUCCEEDED", "captured at completion: {payment}");

    // S0-34 … S0-37
    let photo = json!({"sha256": "ab".repeat(32), "media_type": "image/jpeg", "url": "https://p.example/1"});
    let report = json!({"reservation_id": id, "damage_description": "a scratch\non the door",
        "photos": [photo], "estimate": {"amount_minor": 9000, "currency": "EUR"}});
    let reported = world.post("/inspections", &ada, "i", report.clone()).await;
    assert_eq!(reported.status, StatusCode::CREATED, "{reported:?}");
    let inspection = reported.json()["inspection_id"].as_str().unwrap().to_owned();
    assert!(inspection.starts_with("ins_"), "{inspection}");
    assert_eq!(reported.json()["claim_status"], "PENDING");
    let again = world.post("/inspections", &ada, "i", report).await;
    assert_eq!((again.status, &again.text), (StatusCode::CREATED, &reported.text));
    let decide = |key: &str| {
        json!({"idempotencyKey": key, "inspectionId": inspection, "approve": true,
        "amount": {"amountMinor": "7000", "currency": "EUR"}})
    };
    let approved = world.mutate(&operator, "decideDamageClaim", decide("d"), INSPECTED).await;
    assert_eq!(approved["__typename"], "InspectionSuccess", "{approved}");
    assert_eq!(approved["inspection"]["amount"]["amountMinor"], "7000");
    let twice = world.mutate(&operator, "decideDamageClaim", decide("d"), INSPECTED).await;
    assert_eq!(twice["__typename"], "InspectionSuccess", "{twice}");
    world.engine.quiet().await;
    world.settled().await;
    let query = "query($i: ID!, $r: ID!) { inspection(id: $i) { claimStatus description } \
                 node(id: $i) { __typename id } \
                 reservation(id: $r) { vehicle { id } payments { kind status amount { amountMinor } } } }";
    let shown = world.graphql(Some(&ada), query, json!({"i": inspection, "r": id})).await;
    let shown = &shown["data"];
    assert_eq!(shown["inspection"]["claimStatus"], "CHARGED", "{shown}");
    assert_eq!(shown["node"], json!({"__typename": "Inspection", "id": inspection}));
    let mut charges: Vec<_> = shown["reservation"]["payments"].as_array().unwrap().clone();
    charges.retain(|payment| payment["kind"] == "DAMAGE_CHARGE");
    let charge =
        json!({"kind": "DAMAGE_CHARGE", "status": "SUCCEEDED", "amount": {"amountMinor": "7000"}});
    assert_eq!(charges, [charge], "one charge, however often it was decided (D36)");
}

// S0-03
#[tokio::test]
async fn an_unknown_vehicle_type_is_an_input_that_cannot_be() {
    let world = world().await.with_hall().await;
    let ada = world.token("ada", Role::Customer);
    let head = world.head();
    let day = |n: u32| format!("2027-01-{n:02}T12:00:00Z");
    for (body, status, code) in [
        (json!({"vehicle_type": "tank"}), 422, "INVALID_INPUT"),
        (json!({"vehicle_type": "no such name"}), 422, "INVALID_INPUT"),
        (json!({"vehicle_type": "hall-ticket"}), 422, "INVALID_INPUT"),
        (json!({"vehicle_type": "compact", "from": day(1)}), 422, "INVALID_INPUT"),
        (json!({"vehicle_type": "compact", "from": day(2), "until": day(2)}), 422, "INVALID_INPUT"),
        (json!({"vehicle_type": "compact", "from": day(2), "until": day(1)}), 422, "INVALID_INPUT"),
        (json!({"vehicle_type": "compact", "from": "soon", "until": day(1)}), 400, "MALFORMED"),
        (json!({}), 400, "MALFORMED"),
    ] {
        let refused = world.post("/bookings", &ada, "k", body.clone()).await;
        let told = (refused.status.as_u16(), refused.json()["code"].clone());
        assert_eq!(told, (status, json!(code)), "{body}");
        assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    }
    assert_eq!(world.head(), head, "nothing was recorded");
    let anew = world.post("/bookings", &ada, "k", json!({"vehicle_type": "compact"})).await;
    assert_eq!(anew.status, StatusCode::CREATED, "a refusal binds no key: {anew:?}");
}
