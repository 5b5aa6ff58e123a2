//! S1: unlocking and locking, and every way in which it comes to nothing (D28, D29).

use std::time::Duration;

use holdfast_api::token::Role;
use holdfast_domain::VehicleId;
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{INSPECTED, OBEYED, seen, world};
use crate::garage::Manner;
use crate::world::World;

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
