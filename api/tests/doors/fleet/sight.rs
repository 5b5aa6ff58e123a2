//! Who sees which vehicle, and until when.

use holdfast_api::token::Role;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{INSPECTED, seen, world};
use crate::sockets::Talk;

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
