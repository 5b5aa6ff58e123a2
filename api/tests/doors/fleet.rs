//! S0 and S1 through the doors: booking a class, unlocking, driving, returning, damage; and who sees what.

use std::time::Duration;

use holdfast_api::token::Role;
use holdfast_domain::VehicleId;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::garage::Manner;
use crate::sockets::Talk;
use crate::world::World;

const VEHICLE: &str = "query($id: ID!) { vehicle(id: $id) { id vin sku status lock online \
    odometerMetres fuelPercent lastSeen } }";

const OBEYED: &str = "... on VehicleCommandSuccess { position vehicle { id status lock } \
    reservation { id status vehicle { id } } } \
    ... on VehicleUnreachable { code message retryAfterMs } ... on Refused { code message }";

const INSPECTED: &str = "... on InspectionSuccess { position inspection { id reservationId \
    description claimStatus amount { amountMinor } photos { sha256 } } } \
    ... on Refused { code message }";

/// A world with a class of one car, whose orders fail after a moment rather than 20 s.
async fn world() -> World {
    let world = World::tuned(|_, settings| {
        settings.process.unlock_attempt = Duration::from_millis(100);
        settings.process.unlock_deadline = Duration::from_millis(400);
        settings.tick = Duration::from_millis(10);
    })
    .await;
    world.class("compact").await;
    world.car("car-1", "compact").await;
    world
}

async fn available(world: &World) -> Value {
    let at = world.head();
    let stock = world.get(&format!("/inventory/compact?min_position={at}"), None).await.json();
    json!([stock["available"], stock["held"], stock["committed"]])
}

async fn seen(world: &World, token: &str, car: &str) -> Value {
    world.settled().await;
    world.graphql(Some(token), VEHICLE, json!({"id": car})).await["data"]["vehicle"].clone()
}

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

// D28, S1-10
#[tokio::test]
async fn unlock_early() {
    let world = world().await;
    let (ada, bob) = (world.token("ada", Role::Customer), world.token("bob", Role::Customer));
    let booked =
        world.post("/bookings", &ada, "b", json!({"vehicle_type": "compact"})).await.json();
    let body = json!({"reservation_id": booked["reservation_id"]});
    for path in ["/unlock", "/vehicles/car-1/unlock"] {
        let early = world.post(path, &ada, "u", body.clone()).await;
        assert_eq!((early.status.as_u16(), &early.json()["code"]), (409, &json!("NOT_CONFIRMED")));
        assert_eq!(early.json()["type"], "/problems/not-confirmed");
    }
    let input = json!({"idempotencyKey": "g", "reservationId": booked["reservation_id"]});
    let early = world.mutate(&ada, "unlockVehicle", input.clone(), OBEYED).await;
    assert_eq!(
        (&early["__typename"], &early["code"]),
        (&json!("Refused"), &json!("NOT_CONFIRMED"))
    );
    // Another's, another vehicle, and none at all sound the same.
    let nobodys = json!({"reservation_id": "res_00000000-0000-0000-0000-000000000001"});
    let mut told = Vec::new();
    for (token, path, body) in [
        (&bob, "/vehicles/car-1/unlock", &body),
        (&bob, "/vehicles/car-2/unlock", &body),
        (&ada, "/vehicles/car-2/unlock", &body),
        (&ada, "/vehicles/car-1/lock", &nobodys),
    ] {
        let absent = world.post(path, token, "x", body.clone()).await;
        assert_eq!(absent.status, StatusCode::NOT_FOUND, "{path}: {absent:?}");
        told.push(absent.json()["detail"].clone());
    }
    told.dedup();
    assert_eq!(told.len(), 1, "{told:?}");
    let absent = world.post("/unlock", &bob, "x", body).await;
    assert_eq!(absent.status, StatusCode::NOT_FOUND, "{absent:?}");
    assert_eq!(world.mutate(&bob, "unlockVehicle", input, OBEYED).await["code"], "NOT_FOUND");
    assert!(world.garage.sent_to("car-1").is_empty(), "nothing was sent");
}

// D29
#[tokio::test]
async fn unlock_offline() {
    let world = world().await;
    let ada = world.token("ada", Role::Customer);
    let (id, car) = world.rented(&ada, "b", "compact").await;
    let name = VehicleId::new(&car).unwrap();
    let now = world.engine.now();
    world.engine.vehicle_lost(name.clone(), 1, now).await.unwrap();
    let offline = world.post("/unlock", &ada, "u", json!({"reservation_id": id})).await;
    assert_eq!(
        (offline.status.as_u16(), &offline.json()["code"]),
        (503, &json!("VEHICLE_OFFLINE"))
    );
    let after: u64 = offline.header("retry-after").unwrap().parse().unwrap();
    assert!(after > 0);
    let input = json!({"idempotencyKey": "g", "reservationId": id});
    let told = world.mutate(&ada, "unlockVehicle", input.clone(), OBEYED).await;
    assert_eq!(told["__typename"], "VehicleUnreachable", "{told}");
    assert_eq!(
        (&told["code"], &told["retryAfterMs"]),
        (&json!("VEHICLE_OFFLINE"), &json!(after * 1_000))
    );
    let shown = seen(&world, &ada, &car).await;
    assert_eq!(json!([shown["status"], shown["online"]]), json!(["NON_CONTACTABLE", false]));
    assert!(world.garage.sent_to(&car).is_empty(), "nothing was sent, nothing is queued");
    // It comes back: the same request, with the same key, is decided anew.
    world.engine.vehicle_connected(name, 2).await.unwrap();
    let opened = world.mutate(&ada, "unlockVehicle", input, OBEYED).await;
    assert_eq!(opened["__typename"], "VehicleCommandSuccess", "{opened}");
    assert_eq!(opened["reservation"]["vehicle"]["id"], car.as_str());
}

// S1-11
#[tokio::test]
async fn a_vehicle_that_does_not_answer_is_a_timeout_and_the_next_try_is_a_new_one() {
    let world = world().await;
    let ada = world.token("ada", Role::Customer);
    let (id, car) = world.rented(&ada, "b", "compact").await;
    world.garage.behave(&car, Manner::Silent);
    let silent = world.post("/unlock", &ada, "u", json!({"reservation_id": id})).await;
    assert_eq!((silent.status.as_u16(), &silent.json()["code"]), (504, &json!("VEHICLE_TIMEOUT")));
    assert_eq!(silent.json()["type"], "/problems/vehicle-timeout");
    let tries = world.garage.sent_to(&car);
    assert!((2..=3).contains(&tries.len()), "{tries:?}");
    assert!(tries.iter().all(|call| call.command_id == tries[0].command_id), "{tries:?}");
    let input = json!({"idempotencyKey": "g", "reservationId": id});
    let told = world.mutate(&ada, "unlockVehicle", input, OBEYED).await;
    assert_eq!(
        (&told["__typename"], &told["code"]),
        (&json!("VehicleUnreachable"), &json!("VEHICLE_TIMEOUT"))
    );
    // A recorded failure is told again; a new key asks anew.
    world.garage.behave(&car, Manner::Obeys);
    let sent = world.garage.sent_to(&car).len();
    let again = world.post("/unlock", &ada, "u", json!({"reservation_id": id})).await;
    assert_eq!(again.status, StatusCode::GATEWAY_TIMEOUT, "{again:?}");
    assert_eq!(world.garage.sent_to(&car).len(), sent);
    let path = format!("/vehicles/{car}/unlock");
    let opened = world.post(&path, &ada, "v", json!({"reservation_id": id})).await;
    assert_eq!(opened.status, StatusCode::OK, "{opened:?}");
    let path = format!("/vehicles/{car}/lock");
    let closed = world.post(&path, &ada, "w", json!({"reservation_id": id})).await;
    assert_eq!(
        (closed.status.as_u16(), &closed.json()["lock"]),
        (200, &json!("LOCKED")),
        "{closed:?}"
    );
    world.garage.behave(&car, Manner::Jammed);
    let stuck = world.post("/unlock", &ada, "y", json!({"reservation_id": id})).await;
    assert_eq!(
        (stuck.status.as_u16(), &stuck.json()["code"]),
        (409, &json!("VEHICLE_UNAVAILABLE"))
    );
}

/// A phone loses its network while the car is asked. The order goes on, and the same key finds it.
#[tokio::test]
async fn a_client_that_goes_away_takes_nothing_along() {
    let world = World::tuned(|_, settings| {
        settings.tick = Duration::from_millis(10);
    })
    .await;
    world.class("compact").await;
    world.car("car-1", "compact").await;
    let ada = world.token("ada", Role::Customer);
    let (id, car) = world.rented(&ada, "b", "compact").await;
    world.garage.behave(&car, Manner::Silent);
    let body = json!({"reservation_id": id});
    let gone = world
        .request(Method::POST, "/unlock")
        .bearer_auth(&ada)
        .header("idempotency-key", "u")
        .json(&body)
        .timeout(Duration::from_millis(300))
        .send()
        .await;
    assert!(gone.is_err_and(|error| error.is_timeout()));
    assert_eq!(world.garage.sent_to(&car).len(), 1, "it was sent");
    // It asks again and waits with the rest; other requests are answered meanwhile.
    let waiting = world.post("/unlock", &ada, "u", body.clone());
    let answering = async {
        let begun = std::time::Instant::now();
        assert_eq!(world.get("/inventory/compact", None).await.status, StatusCode::OK);
        assert!(
            begun.elapsed() < Duration::from_secs(2),
            "nobody waits for a car of somebody else"
        );
        world.garage.answers(&car).await;
    };
    let (waited, ()) = tokio::join!(waiting, answering);
    let done = match waited.status {
        StatusCode::OK => waited,
        // The key was still taken by the request that went away.
        StatusCode::CONFLICT => {
            assert_eq!(waited.json()["code"], "REQUEST_IN_FLIGHT");
            world.post("/unlock", &ada, "u", body).await
        }
        other => panic!("{other}: {waited:?}"),
    };
    assert_eq!(
        (done.status.as_u16(), &done.json()["status"]),
        (200, &json!("SUCCESS")),
        "{done:?}"
    );
    assert_eq!(world.garage.sent_to(&car).len(), 1, "no second unlock from a retry");
}

// DOMAIN.md C.7
#[tokio::test]
async fn a_vehicle_is_seen_by_who_has_it_and_by_who_runs_the_fleet() {
    let world = world().await;
    world.car("car-2", "compact").await;
    let (ada, bob) = (world.token("ada", Role::Customer), world.token("bob", Role::Customer));
    let (id, car) = world.rented(&ada, "b", "compact").await;
    let other = if car == "car-1" { "car-2" } else { "car-1" };
    let list = "{ vehicles { edges { node { id } } } }";
    let ids = |list: &Value| -> Vec<String> {
        let edges = list["data"]["vehicles"]["edges"].as_array().unwrap();
        edges.iter().map(|edge| edge["node"]["id"].as_str().unwrap().to_owned()).collect()
    };
    let node = "query($id: ID!) { node(id: $id) { __typename id } }";
    // She sees hers, and not the other.
    assert_eq!(seen(&world, &ada, &car).await["status"], "RESERVED");
    assert_eq!(seen(&world, &ada, other).await, Value::Null);
    assert_eq!(ids(&world.graphql(Some(&ada), list, json!({})).await), [car.as_str()]);
    let found = world.graphql(Some(&ada), node, json!({"id": car})).await;
    assert_eq!(found["data"]["node"], json!({"__typename": "Vehicle", "id": car}));
    let page = world.get(&format!("/vehicles/{car}"), Some(&ada)).await;
    assert_eq!((page.status, &page.json()["odometer_km"]), (StatusCode::OK, &json!(12345.0)));
    // A stranger sees none; it is as if there were none.
    for stranger in [&bob, &world.token("ann", Role::Analyst)] {
        assert_eq!(seen(&world, stranger, &car).await, Value::Null);
        assert_eq!(
            world.graphql(Some(stranger), node, json!({"id": car})).await["data"]["node"],
            Value::Null
        );
        assert!(ids(&world.graphql(Some(stranger), list, json!({})).await).is_empty());
        let his = world.get(&format!("/vehicles/{car}"), Some(stranger)).await;
        let none = world.get("/vehicles/nothing", Some(stranger)).await;
        assert_eq!(
            (his.status, &his.json()["detail"]),
            (StatusCode::NOT_FOUND, &none.json()["detail"])
        );
    }
    assert_eq!(world.get(&format!("/vehicles/{car}"), None).await.status, StatusCode::UNAUTHORIZED);
    for reader in [Role::Operator, Role::Auditor, Role::Admin] {
        let token = world.token("someone", reader);
        let all = ids(&world.graphql(Some(&token), list, json!({})).await);
        assert_eq!(all.len(), 2, "{reader:?}");
        let query =
            "{ vehicles(sku: \"compact\", status: RESERVED, first: 1) { edges { node { id } } } }";
        assert_eq!(ids(&world.graphql(Some(&token), query, json!({})).await), [car.as_str()]);
    }
    // With the rental ends what she sees of it; the reservation still tells which one it was.
    world.post("/unlock", &ada, "u", json!({"reservation_id": id})).await;
    let back = json!({"odometer_end": 12_400, "fuel_level": 60});
    world.post(&format!("/rentals/{id}/return"), &ada, "r", back).await;
    world.engine.quiet().await;
    assert_eq!(seen(&world, &ada, &car).await, Value::Null);
    let query =
        "query($id: ID!) { reservation(id: $id) { status vehicle { id } lines { vehicleId } } }";
    let shown = world.graphql(Some(&ada), query, json!({"id": id})).await;
    let was = json!({"status": "COMPLETED", "vehicle": null, "lines": [{"vehicleId": car}]});
    assert_eq!(shown["data"]["reservation"], was);
    // An inspection is seen by its customer and by operators and auditors.
    let input = json!({"idempotencyKey": "i", "reservationId": id, "damageDescription": "a dent", "photos": []});
    let report = world.mutate(&ada, "submitInspection", input.clone(), INSPECTED).await;
    let inspection = report["inspection"]["id"].clone();
    assert!(inspection.is_string(), "{report}");
    world.settled().await;
    let query = "query($id: ID!) { inspection(id: $id) { claimStatus } }";
    for (token, sees) in [(&ada, true), (&bob, false), (&world.token("aud", Role::Auditor), true)] {
        let shown = world.graphql(Some(token), query, json!({"id": inspection})).await;
        assert_eq!(shown["data"]["inspection"].is_object(), sees, "{shown}");
    }
    let his = world.mutate(&bob, "submitInspection", input, INSPECTED).await;
    assert_eq!(his["code"], "NOT_FOUND", "{his}");
}

#[tokio::test]
async fn a_vehicle_is_followed_until_the_rental_ends() {
    let world = world().await;
    let (ada, bob) = (world.token("ada", Role::Customer), world.token("bob", Role::Customer));
    let (id, car) = world.rented(&ada, "b", "compact").await;
    let query =
        format!("subscription {{ vehicleChanged(id: \"{car}\") {{ id status lock online }} }}");
    let mut stranger = Talk::open(&world, Some(&bob)).await;
    stranger.subscribe("1", &query).await;
    let refused = stranger.next().await;
    assert_eq!(refused["payload"]["errors"][0]["extensions"]["code"], "NOT_FOUND", "{refused}");

    let mut talk = Talk::open(&world, Some(&ada)).await;
    talk.subscribe("1", &query).await;
    talk.subscribe("2", "{ me { id } }").await;
    while talk.next().await["type"] != "complete" {}
    world.post("/unlock", &ada, "u", json!({"reservation_id": id})).await;
    let back = json!({"odometer_end": 12_400, "fuel_level": 60});
    let returned = world.post(&format!("/rentals/{id}/return"), &ada, "r", back).await;
    assert_eq!(returned.status, StatusCode::OK, "{returned:?}");
    let mut told = Vec::new();
    loop {
        let message = talk.next().await;
        match message["type"].as_str() {
            Some("next") => told.push(message["payload"]["data"]["vehicleChanged"].clone()),
            Some("complete") => break,
            _ => panic!("{message}"),
        }
    }
    let locks: Vec<_> = told.iter().map(|vehicle| vehicle["lock"].as_str().unwrap()).collect();
    assert!(locks.contains(&"UNLOCKING") && locks.contains(&"UNLOCKED"), "{told:?}");
    assert!(told.iter().all(|vehicle| vehicle["id"] == car.as_str()));
    assert!(told.iter().any(|vehicle| vehicle["status"] == "ON_TRIP"), "{told:?}");
}

// DOMAIN.md C.5, *Pools over time*
#[tokio::test]
async fn back_to_back_rentals_fit_and_overlaps_are_refused() {
    let world = world().await;
    let (ada, bob) = (world.token("ada", Role::Customer), world.token("bob", Role::Customer));
    let at = |hour: u32| format!("2027-03-01T{hour:02}:00:00.000000Z");
    let rent = |from: u32, until: u32| json!({"vehicle_type": "compact", "from": at(from), "until": at(until)});
    for (token, key, from, until) in [(&ada, "a", 10, 12), (&bob, "b", 12, 14)] {
        let booked = world.post("/bookings", token, key, rent(from, until)).await;
        assert_eq!(booked.status, StatusCode::CREATED, "{booked:?}");
        assert_eq!(booked.json()["period"]["from"], json!(at(from)));
        assert_eq!(booked.json()["vehicle_id"], Value::Null, "assigned when the period begins");
    }
    let clash = world.post("/bookings", &bob, "c", rent(11, 13)).await;
    assert_eq!((clash.status.as_u16(), &clash.json()["code"]), (409, &json!("OUT_OF_STOCK")));
    let left = "query($from: DateTime!, $until: DateTime!, $at: Position) { availability(sku: \"compact\", \
                period: {from: $from, until: $until}, minPosition: $at) { total available held } }";
    let head = world.head().to_string();
    for (from, until, available) in [(10, 11, 0), (11, 13, 0), (14, 15, 1), (8, 10, 1)] {
        let ask = json!({"from": at(from), "until": at(until), "at": head});
        let shown = world.graphql(None, left, ask).await;
        assert_eq!(shown["data"]["availability"]["available"], available, "{from}: {shown}");
    }
    let reversed = world.graphql(None, left, json!({"from": at(12), "until": at(10)})).await;
    assert_eq!(reversed["errors"][0]["extensions"]["code"], "INVALID_INPUT", "{reversed}");
    // Over GraphQL too; and too long is refused as a value.
    let line = |from: &str, until: &str| json!([{"sku": "compact", "quantity": 1, "period": {"from": from, "until": until}}]);
    let wanted = "... on ReservationSuccess { reservation { id lines { period { from } } vehicle { id } } } \
                  ... on Refusal { code }";
    let input = json!({"idempotencyKey": "g", "lines": line(&at(14), &at(16))});
    let made = world.mutate(&ada, "createReservation", input, wanted).await;
    assert_eq!(made["reservation"]["lines"][0]["period"]["from"], json!(at(14)), "{made}");
    assert_eq!(made["reservation"]["vehicle"], Value::Null);
    let input = json!({"idempotencyKey": "h", "lines": line("2027-01-01T00:00:00Z", "2029-01-01T00:00:00Z")});
    assert_eq!(
        world.mutate(&ada, "createReservation", input, wanted).await["code"],
        "INVALID_INPUT"
    );
    // Before its time nothing is unlocked.
    let id = made["reservation"]["id"].as_str().unwrap();
    let pay = json!({"reservation_id": id, "payment_method": "tok_approve"});
    assert_eq!(world.post("/payments", &ada, "p", pay).await.status, StatusCode::OK);
    let early = world.post("/unlock", &ada, "u", json!({"reservation_id": id})).await;
    assert_eq!((early.status.as_u16(), &early.json()["code"]), (409, &json!("NOT_STARTED")));
}

#[tokio::test]
async fn operators_run_the_fleet() {
    let world = world().await;
    let operator = world.token("op", Role::Operator);
    let wanted = "... on Accepted { position } ... on Refused { code message }";
    let register = |key: &str, id: &str, more: Value| {
        let mut input = json!({"idempotencyKey": key, "id": id, "vin": "V", "sku": "compact",
            "odometerMetres": "1", "fuelPercent": 50});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        world.mutate_owned(operator.clone(), "registerVehicle", input, wanted)
    };
    for (key, id, more, code) in [
        ("1", "no name", json!({}), "INVALID_INPUT"),
        ("2", "car-9", json!({"odometerMetres": "far"}), "INVALID_INPUT"),
        ("3", "car-9", json!({"odometerMetres": "-1"}), "INVALID_INPUT"),
        ("4", "car-9", json!({"fuelPercent": 101}), "INVALID_INPUT"),
        ("5", "car-9", json!({"vin": ""}), "INVALID_INPUT"),
        ("6", "car-9", json!({"sku": "nothing"}), "NOT_FOUND"),
        ("7", "car-1", json!({}), "VERSION_CONFLICT"),
    ] {
        assert_eq!(register(key, id, more).await["code"], code, "{key}");
    }
    let made = register("8", "car-9", json!({})).await;
    assert_eq!(made["__typename"], "Accepted", "{made}");
    let head = world.head();
    assert_eq!(register("8", "car-9", json!({})).await, made, "a repeat records nothing");
    assert_eq!(world.head(), head);
    assert_eq!(available(&world).await, json!([2, 0, 0]));
    // A class has as many as there are vehicles in service.
    let stock = json!({"idempotencyKey": "s", "sku": "compact", "quantity": 5});
    let refused = world.mutate(&operator, "receiveStock", stock, wanted).await;
    assert_eq!(refused["code"], "INVALID_INPUT", "{refused}");
    for (key, on, left, status) in
        [("off", false, 1, "NON_OPERATIONAL"), ("on", true, 2, "AVAILABLE")]
    {
        let service =
            json!({"idempotencyKey": key, "id": "car-1", "inService": on, "reason": "tyres"});
        world.accepted(&operator, "setVehicleService", service).await;
        assert_eq!(available(&world).await[0], left);
        assert_eq!(seen(&world, &operator, "car-1").await["status"], status);
    }
    let none = json!({"idempotencyKey": "n", "id": "car-77", "inService": false});
    let none = world.mutate(&operator, "setVehicleService", none, wanted).await;
    assert_eq!(none["code"], "NOT_FOUND", "{none}");
}

#[tokio::test]
async fn an_operator_acts_for_a_customer() {
    let world = world().await;
    let (ada, operator) = (world.token("ada", Role::Customer), world.token("op", Role::Operator));
    let (id, car) = world.rented(&ada, "b", "compact").await;
    let report = json!({"idempotencyKey": "i0", "reservationId": id, "damageDescription": "a dent",
        "photos": []});
    let early = world.mutate(&ada, "submitInspection", report, INSPECTED).await;
    assert_eq!(early["code"], "NOT_STARTED", "nobody has driven it: {early}");
    let input = |key: &str| json!({"idempotencyKey": key, "reservationId": id});
    let opened = world.mutate(&operator, "unlockVehicle", input("u"), OBEYED).await;
    let stands = json!([opened["vehicle"]["id"], opened["vehicle"]["lock"]]);
    assert_eq!(stands, json!([car, "UNLOCKED"]), "{opened}");
    // The customer's own key of the same name is another key.
    let again = world.mutate(&ada, "unlockVehicle", input("u"), OBEYED).await;
    assert_eq!(again["reservation"]["status"], "IN_USE", "{again}");
    let wanted = "... on ReservationSuccess { replayed reservation { status version } } \
                  ... on Refusal { code }";
    let back = |key: &str, metres: &str, fuel: i32| {
        json!({"idempotencyKey": key, "reservationId": id, "odometerEndMetres": metres,
            "fuelPercent": fuel})
    };
    for (key, metres, fuel, code) in [
        ("r1", "12344999", 60, "ODOMETER_DECREASED"),
        ("r2", "far", 60, "INVALID_INPUT"),
        ("r3", "12400000", 101, "INVALID_INPUT"),
    ] {
        let refused = world.mutate(&operator, "completeRental", back(key, metres, fuel), wanted);
        assert_eq!(refused.await["code"], code, "{key}");
    }
    let done = world.mutate(&operator, "completeRental", back("r", "12400000", 60), wanted).await;
    assert_eq!(done["reservation"], json!({"status": "COMPLETED", "version": 3}), "{done}");
    let over = world.mutate(&ada, "unlockVehicle", input("late"), OBEYED).await;
    assert_eq!(over["code"], "COMPLETED", "{over}");
    // Nobody decides on a claim of its own.
    let decide = json!({"idempotencyKey": "d", "inspectionId": "ins_x", "approve": true});
    assert_eq!(
        world.mutate(&ada, "decideDamageClaim", decide.clone(), INSPECTED).await["code"],
        "FORBIDDEN"
    );
    assert_eq!(
        world.mutate(&operator, "decideDamageClaim", decide, INSPECTED).await["code"],
        "NOT_FOUND"
    );
}
