//! Classes of vehicles: periods that touch and overlap, vehicles that come and go.

use holdfast_api::token::Role;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{available, seen, world};

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
