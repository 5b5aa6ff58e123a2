//! D12 and D13: keys.

use holdfast_api::token::Role;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn idem_matrix() {
    let world = World::start().await.with_hall().await;
    let (ada, bob) = (world.token("ada", Role::Customer), world.token("bob", Role::Customer));
    let seats = world.seats("hall").await;
    let lock = |n: usize| json!({"seatMapId": "hall", "seatIds": [seats[n]]});
    let path = "/api/v1/seats/lock";

    // Missing.
    let missing =
        world.send(world.request(Method::POST, path).bearer_auth(&ada).json(&lock(0))).await;
    assert_eq!(
        (missing.status.as_u16(), &missing.json()["code"]),
        (400, &json!("IDEMPOTENCY_KEY_MISSING"))
    );

    // Once, and again: the same status and body, no new event.
    let first = world.post(path, &ada, "k", lock(0)).await;
    assert_eq!(first.status, StatusCode::OK, "{first:?}");
    assert_eq!(first.header("idempotent-replayed"), None);
    let head = world.head();
    for key_in_body in [false, true] {
        let again = if key_in_body {
            let mut body = lock(0);
            body["idempotencyKey"] = "k".into();
            world.send(world.request(Method::POST, path).bearer_auth(&ada).json(&body)).await
        } else {
            world.post(path, &ada, "k", lock(0)).await
        };
        assert_eq!((again.status, &again.text), (first.status, &first.text));
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
        assert_eq!(again.position(), first.position());
    }
    assert_eq!(world.head(), head);

    // Through the other door it is the same request.
    let input = json!({"idempotencyKey": "k", "seatMapId": "hall", "seatIds": [seats[0]]});
    let wanted = "... on LockSeatsSuccess { position lock { lockId } } ... on Refused { code }";
    let other_door = world.mutate(&ada, "lockSeats", input, wanted).await;
    assert_eq!(other_door["lock"]["lockId"], first.json()["lockId"], "{other_door}");
    assert_eq!(world.head(), head);

    // The same key with something else.
    let reused = world.post(path, &ada, "k", lock(1)).await;
    assert_eq!(
        (reused.status.as_u16(), &reused.json()["code"]),
        (422, &json!("IDEMPOTENCY_KEY_REUSED"))
    );

    // The same key of somebody else, and of another operation, are other keys.
    let his = world.post(path, &bob, "k", lock(1)).await;
    assert_eq!(his.status, StatusCode::OK, "{his:?}");
    let order = json!({"ticket_id": "hall-ticket", "qty": 1, "seat_ids": [seats[2]]});
    let order = world.post("/orders", &ada, "k", order).await;
    assert_eq!(order.status, StatusCode::CREATED, "{order:?}");

    // Fifty at once: one is done; the others are given its answer, or told to wait.
    let body = lock(5);
    let many = (0..50).map(|_| world.post(path, &ada, "many", body.clone()));
    let head = world.head();
    let answers = futures::future::join_all(many).await;
    assert_eq!(world.head().0, head.0 + 1, "one lock was recorded");
    for answer in &answers {
        match answer.status.as_u16() {
            200 => {}
            409 => {
                assert_eq!(answer.json()["code"], "REQUEST_IN_FLIGHT");
                assert!(answer.header("retry-after").is_some());
            }
            other => panic!("{other}: {answer:?}"),
        }
    }
    assert!(answers.iter().any(|answer| answer.status == StatusCode::OK));
}

#[tokio::test]
async fn idem_failure() {
    let world = World::start().await.with_hall().await;
    let (ada, bob) = (world.token("ada", Role::Customer), world.token("bob", Role::Customer));
    let seats = world.seats("hall").await;
    let lock = json!({"seatMapId": "hall", "seatIds": [seats[0]]});
    let path = "/api/v1/seats/lock";

    // A refusal binds no key: the same request is decided anew.
    let hers = world.post(path, &ada, "k", lock.clone()).await.json();
    let refused = world.post(path, &bob, "k", lock.clone()).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert_eq!(refused.json()["taken_seat_ids"], json!([seats[0]]));
    let lock_id = hers["lockId"].as_str().unwrap();
    let released =
        world.rest(Method::DELETE, &format!("{path}/{lock_id}"), &ada, "r", json!({})).await;
    assert_eq!(released.status, StatusCode::OK, "{released:?}");
    let anew = world.post(path, &bob, "k", lock).await;
    assert_eq!(anew.status, StatusCode::OK, "{anew:?}");

    // A declined payment is recorded, and said again.
    let order = json!({"ticket_id": "hall-ticket", "qty": 1, "seat_ids": [seats[1]]});
    let order = world.post("/orders", &ada, "o", order).await.json();
    let pay = json!({"order_id": order["order_id"], "payment_method": "tok_decline"});
    let declined = world.post("/payments", &ada, "p", pay.clone()).await;
    assert_eq!(declined.status, StatusCode::PAYMENT_REQUIRED, "{declined:?}");
    assert_eq!(declined.header("content-type"), Some("application/problem+json"));
    let body = declined.json();
    assert_eq!(body["code"], "PAYMENT_DECLINED");
    assert_eq!(body["decline_code"], "insufficient_funds");
    assert_eq!(body["reservation_status"], "HOLD_FAILED", "{body}");
    // What follows from the decline (claims released, a notice) comes to its end first.
    world.engine.quiet().await;
    let head = world.head();
    let again = world.post("/payments", &ada, "p", pay).await;
    world.engine.quiet().await;
    assert_eq!((again.status, &again.text), (declined.status, &declined.text));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(world.head(), head);
}

#[tokio::test]
async fn a_repeated_mutation_is_answered_as_it_was_at_first() {
    let world = World::start().await.with_hall().await;
    let token = world.token("ada", Role::Customer);
    let wanted = "__typename ... on ReservationSuccess { position replayed \
                  reservation { id status version sagaState holdExpiresAt } }";
    let hold = json!({"idempotencyKey": "hold", "lines": [{"sku": "hall-ticket", "quantity": 1}]});
    let first = world.mutate(&token, "createReservation", hold.clone(), wanted).await;
    assert_eq!(first["replayed"], false, "{first}");
    let id = first["reservation"]["id"].as_str().unwrap();
    let cancel = json!({"idempotencyKey": "cancel", "reservationId": id});
    let gone = world.mutate(&token, "cancelReservation", cancel, wanted).await;
    assert_eq!(gone["reservation"]["status"], "CANCELLED", "{gone}");
    let mut again = world.mutate(&token, "createReservation", hold, wanted).await;
    assert_eq!(again["replayed"], true, "{again}");
    again["replayed"] = false.into();
    assert_eq!(again, first);

    // An id is known without its prefix, as a node and as a stream.
    let auditor = world.token("admin", Role::Admin);
    let bare = id.trim_start_matches("res_");
    let node = "query Q($id: ID!) { node(id: $id) { __typename id } }";
    let node = world.graphql(Some(&token), node, json!({"id": bare})).await;
    assert_eq!(node["data"]["node"], json!({"__typename": "Reservation", "id": id}), "{node}");
    for stream in [id, bare, &format!("reservation-{bare}")] {
        let events = world.get(&format!("/events?stream={stream}"), Some(&auditor)).await;
        assert!(events.text.contains("reservation.hold-created"), "{stream}: {events:?}");
    }
    let lock = world.get(&format!("/events?stream=lck_{bare}-hall"), Some(&auditor)).await;
    assert_eq!(lock.status.as_u16(), 422, "{lock:?}");
}
