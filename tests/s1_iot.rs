//! Diagram S1, item by item: reserve a vehicle, unlock it from the phone. (SEED_CHECKLIST.md, B.1)

use std::time::Duration;

use holdfast_iot::simulator::Temper;
use serde_json::{Value, json};

use crate::support::*;

/// Attempts and deadline of an unlock, in a hurry.
const HURRY: [(&str, &str); 3] =
    [("UNLOCK__ATTEMPT", "1s"), ("UNLOCK__DEADLINE", "3s"), ("TIMERS__TICK", "50ms")];

async fn booked(person: &Person) -> String {
    let booked = person.post("/bookings", json!({ "vehicle_type": "compact" })).await.expect(201);
    booked.text_of("/reservation_id")
}

async fn paid(person: &Person) -> String {
    let id = booked(person).await;
    let body = json!({ "reservation_id": id, "payment_method": "tok_approve" });
    let answer = person.post("/payments", body).await.expect(200);
    assert_eq!(answer.body["reservation_status"], "CONFIRMED");
    id
}

async fn unlock(person: &Person, id: &str) -> Answer {
    person.post("/unlock", json!({ "reservation_id": id })).await
}

async fn vehicle_events(auditor: &Person, car: &str, kind: &str) -> Vec<Value> {
    let events = auditor.events(&format!("?stream=vehicle-{car}")).await;
    events.into_iter().filter(|event| event["type"] == kind).collect()
}

async fn the_phone_opens_the_car(between: Between) {
    let road = Road::with(between, 2, &[]).await;
    let (ada, bob) = (road.house.customer("ada"), road.house.customer("bob"));
    let (operator, auditor) = (road.house.operator(), road.house.auditor());

    // S1-01: the vehicle is the customer's before it is paid for.
    let id = booked(&ada).await;
    let query =
        "query($id: ID!) { reservation(id: $id) { lines { vehicleId } vehicle { status } } }";
    let car = eventually("a vehicle", || async {
        let seen = ada.query(query, json!({ "id": id })).await["reservation"].clone();
        let car = seen["lines"][0]["vehicleId"].as_str()?;
        Some(car.trim_start_matches("veh_").to_owned())
    })
    .await;
    vehicle_is(&operator, &car, "RESERVED").await;

    // S1-10, D28 unlock_early: neither before it is paid, nor by anybody else, nor over the air.
    unlock(&ada, &id).await.problem(409, "NOT_CONFIRMED");
    unlock(&bob, &id).await.problem(404, "NOT_FOUND");
    assert!(vehicle_events(&auditor, &car, "vehicle.unlock-requested").await.is_empty());
    assert!(road.car(&car).acts.is_empty());

    // S1-02, S1-03: authorized, then confirmed, then told.
    let body = json!({ "reservation_id": id, "payment_method": "tok_approve" });
    let answer = ada.post("/payments", body).await.expect(200);
    assert_eq!(answer.body["reservation_status"], "CONFIRMED");
    let events = auditor.events("").await;
    let at = |kind: &str| events.iter().position(|event| event["type"] == kind).expect("an event");
    assert!(at("vehicle.reserved") < at("payment.authorized"));
    assert!(at("payment.authorized") < at("reservation.confirmed"));
    // S1-04
    assert!(!auditor.topic("booking.created").await.is_empty());
    unlock(&bob, &id).await.problem(404, "NOT_FOUND");

    // S1-05 … S1-07: the answer comes when the car has said so itself.
    let answer = ada.post_as("/unlock", "open", json!({ "reservation_id": id })).await.expect(200);
    assert_eq!(answer.body["status"], "SUCCESS");
    assert!(!road.car(&car).locked, "the car stands open");
    let unlocked = vehicle_events(&auditor, &car, "vehicle.unlocked").await;
    assert_eq!(unlocked.len(), 1);
    assert!(unlocked[0]["data"]["device_time"].is_string());
    assert_eq!(unlocked[0]["actor"], format!("vehicle:{car}"));
    let events = auditor.events("").await;
    assert!(events.iter().any(|event| event["type"] == "reservation.rental-started"));
    // S1-08
    assert!(!auditor.topic("vehicle.unlocked").await.is_empty());
    // The same key again: the same answer, and the car is asked nothing.
    let acts = road.car(&car).acts.len();
    let again = ada.post_as("/unlock", "open", json!({ "reservation_id": id })).await.expect(200);
    assert_eq!(again.body["status"], "SUCCESS");
    assert_eq!(road.car(&car).acts.len(), acts);

    // Locked for a coffee, and opened again.
    ada.post(&format!("/vehicles/{car}/lock"), json!({ "reservation_id": id })).await.expect(200);
    assert!(road.car(&car).locked);
    ada.post(&format!("/vehicles/{car}/unlock"), json!({ "reservation_id": id })).await.expect(200);
    assert!(!road.car(&car).locked);
    judge_log(&road.house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_phone_opens_the_car_over_the_embedded_broker() {
    the_phone_opens_the_car(Between::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_phone_opens_the_car_over_mosquitto() {
    the_phone_opens_the_car(Between::Mosquitto).await;
}

/// S1-11
#[tokio::test(flavor = "multi_thread")]
async fn a_car_that_does_not_answer_is_a_timeout_and_is_tried_again() {
    let road = Road::with(Between::Embedded, 1, &HURRY).await;
    let (ada, auditor) = (road.house.customer("ada"), road.house.auditor());
    let id = paid(&ada).await;
    let day = Duration::from_secs(24 * 3_600);
    road.temper("car-1", Temper { dawdles: 1_000, dawdle: day, ..Temper::obedient() }).await;
    unlock(&ada, &id).await.problem(504, "VEHICLE_TIMEOUT");
    let asked = vehicle_events(&auditor, "car-1", "vehicle.unlock-requested").await;
    assert!(asked.len() >= 2, "it was asked again: {asked:?}");
    let failed = vehicle_events(&auditor, "car-1", "vehicle.unlock-failed").await;
    assert_eq!(failed[0]["data"]["code"], "TIMEOUT");
    road.temper("car-1", Temper::obedient()).await;
    unlock(&ada, &id).await.expect(200);
    judge_log(&road.house).await;
}

/// D29 `unlock_offline`, through the doors.
#[tokio::test(flavor = "multi_thread")]
async fn a_car_that_is_known_to_be_away_is_told_at_once() {
    let road = Road::with(Between::Embedded, 1, &[]).await;
    let (ada, auditor) = (road.house.customer("ada"), road.house.auditor());
    let id = paid(&ada).await;
    road.vanish("car-1", Duration::from_secs(6)).await;
    road.online("car-1", false).await;
    let answer = unlock(&ada, &id).await.problem(503, "VEHICLE_OFFLINE");
    assert!(answer.header("retry-after").is_some());
    assert!(answer.took < Duration::from_secs(1), "{:?}", answer.took);
    assert!(vehicle_events(&auditor, "car-1", "vehicle.unlock-requested").await.is_empty());
    road.online("car-1", true).await;
    // Nothing was kept for it: it is opened when it is asked again.
    assert!(road.car("car-1").acts.is_empty());
    unlock(&ada, &id).await.expect(200);
    judge_log(&road.house).await;
}

/// Fault 38, through the doors: the command waits until its deadline, and nothing opens afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_is_told_and_opens_nothing_when_it_is_back() {
    let mut road = Road::with(Between::Mosquitto, 1, &HURRY).await;
    let Some(mut mosquitto) = road.mosquitto.take() else { return };
    let (ada, auditor) = (road.house.customer("ada"), road.house.auditor());
    let id = paid(&ada).await;
    mosquitto.kill();
    unlock(&ada, &id).await.problem(504, "VEHICLE_TIMEOUT");
    let failed = vehicle_events(&auditor, "car-1", "vehicle.unlock-failed").await;
    assert_eq!(failed.len(), 1);
    let connections = road.car("car-1").connections;
    mosquitto.start_again();
    eventually("the car has found its broker again", || async {
        let car = road.car("car-1");
        (car.online && car.connections > connections).then_some(())
    })
    .await;
    eventually("the engine has, too: the car opens when it is asked anew", || async {
        (unlock(&ada, &id).await.status == 200).then_some(())
    })
    .await;
    let unlocked = vehicle_events(&auditor, "car-1", "vehicle.unlocked").await;
    assert_eq!(unlocked.len(), 1, "only what was asked since has opened it: {unlocked:?}");
    assert_ne!(unlocked[0]["data"]["command_id"], failed[0]["data"]["command_id"]);
    judge_log(&road.house).await;
}

/// Fault 43, through the doors: killed with the command on its way; the customer's retry gets the outcome.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_leaves_no_car_open_for_nobody() {
    let mut road = Road::with(Between::Embedded, 1, &HURRY).await;
    let ada = road.house.customer("ada");
    let id = paid(&ada).await;
    road.temper(
        "car-1",
        Temper { dawdles: 1_000, dawdle: Duration::from_millis(600), ..Temper::obedient() },
    )
    .await;
    let asked = tokio::spawn({
        let (ada, id) = (ada.clone(), id.clone());
        async move {
            let headers = [("idempotency-key", "open"), ("content-type", "application/json")];
            let body = json!({ "reservation_id": id }).to_string().into_bytes();
            let _ = ada.ask(reqwest::Method::POST, "/unlock", &headers, Some(body)).await;
        }
    });
    let auditor = road.house.auditor();
    eventually("the command is recorded", || async {
        let asked = vehicle_events(&auditor, "car-1", "vehicle.unlock-requested").await;
        (!asked.is_empty()).then_some(())
    })
    .await;
    road.house.kill9();
    asked.await.expect("it ends");
    road.house = road.house.again().await;
    let ada = road.house.customer("ada");
    let events = road.house.auditor();
    // Its outcome, whichever it was, is one that the vehicle's stream tells.
    eventually("the command has ended", || async {
        let unlocked = vehicle_events(&events, "car-1", "vehicle.unlocked").await.len();
        let failed = vehicle_events(&events, "car-1", "vehicle.unlock-failed").await.len();
        (unlocked + failed > 0).then_some(())
    })
    .await;
    let again = ada.post_as("/unlock", "open", json!({ "reservation_id": id })).await;
    assert!(matches!(again.status, 200 | 504), "{}", again.text);
    judge_log(&road.house).await;
}
