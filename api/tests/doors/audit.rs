//! What auditors read.

use std::time::Duration;

use futures::StreamExt;
use holdfast_api::token::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::World;

async fn ordered(world: &World) -> Value {
    let ada = world.token("ada", Role::Customer);
    let order = world
        .post("/orders", &ada, "o", json!({"ticket_id": "hall-ticket", "qty": 1}))
        .await
        .json();
    let pay = json!({"order_id": order["order_id"], "payment_method": "tok_approve"});
    let paid = world.post("/payments", &ada, "p", pay).await;
    assert_eq!(paid.status, StatusCode::OK, "{paid:?}");
    world.engine.quiet().await;
    world.settled().await;
    order
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn the_log_is_told_line_by_line() {
    let world = World::start().await.with_hall().await;
    let order = ordered(&world).await;
    let auditor = world.token("audit", Role::Auditor);
    let all = world.get("/events", Some(&auditor)).await;
    assert_eq!(all.header("content-type"), Some("application/x-ndjson"));
    let all = lines(&all.text);
    assert_eq!(all.len() as u64, world.head().0);
    for (at, event) in all.iter().enumerate() {
        assert_eq!(event["position"], (at + 1).to_string());
        let names: Vec<_> = event.as_object().unwrap().keys().map(String::as_str).collect();
        let mut expected = [
            "id",
            "position",
            "stream",
            "streamVersion",
            "type",
            "schemaVersion",
            "occurredAt",
            "recordedAt",
            "actor",
            "correlationId",
            "causationId",
            "data",
        ];
        expected.sort_unstable();
        let mut names = names;
        names.sort_unstable();
        assert_eq!(names, expected);
    }
    let from = lines(&world.get("/events?from=3&to=5", Some(&auditor)).await.text);
    assert_eq!(
        from.iter().map(|e| e["position"].as_str().unwrap()).collect::<Vec<_>>(),
        ["3", "4", "5"]
    );
    let shown = order["order_id"].as_str().unwrap();
    let bare = shown.strip_prefix("res_").unwrap();
    for stream in [format!("reservation-{shown}"), format!("reservation-{bare}")] {
        let told =
            lines(&world.get(&format!("/events?stream={stream}"), Some(&auditor)).await.text);
        assert_eq!(told[0]["type"], "reservation.hold-created");
        assert_eq!(told[0]["stream"], format!("reservation-{bare}"));
        assert_eq!(told[0]["actor"], "user:ada");
    }
    let correlated =
        lines(&world.get(&format!("/events?correlation_id={shown}"), Some(&auditor)).await.text);
    assert!(correlated.iter().any(|e| e["type"] == "payment.succeeded"), "{correlated:?}");
    let kinds = lines(
        &world.get("/events?types=reservation.confirmed,ticket.issued", Some(&auditor)).await.text,
    );
    assert_eq!(kinds.len(), 2);

    let envelopes =
        lines(&world.get("/events?format=cloudevents&aliases=seeds", Some(&auditor)).await.text);
    let named = |name: &str| {
        envelopes.iter().find(|e| e["type"] == name).unwrap_or_else(|| panic!("no {name}"))
    };
    assert_eq!(named("booking.created")["specversion"], "1.0");
    assert_eq!(named("payment.success")["partitionkey"], "ada");
    assert_eq!(named("orders.order.created")["subject"], bare);
    named("dev.holdfast.reservation.confirmed.v1");

    for bad in ["from=x", "format=xml", "follow=perhaps", "aliases=seeds", "unknown=1"] {
        let refused = world.get(&format!("/events?{bad}"), Some(&auditor)).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{bad}");
        assert_eq!(refused.json()["code"], "MALFORMED", "{bad}");
    }
}

#[tokio::test]
async fn a_live_reader_goes_on_where_it_left_off() {
    let world = World::start().await.with_hall().await;
    let auditor = world.token("audit", Role::Auditor);
    let before = world.head().0;
    let response = world
        .request(Method::GET, "/events")
        .bearer_auth(&auditor)
        .header("accept", "text/event-stream")
        .header("last-event-id", (before - 1).to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut chunks = response.bytes_stream();
    ordered(&world).await;
    let mut text = String::new();
    while !text.contains(&format!("id: {}\n", before + 3)) {
        let chunk = tokio::time::timeout(Duration::from_secs(10), chunks.next()).await.unwrap();
        text += std::str::from_utf8(&chunk.unwrap().unwrap()).unwrap();
    }
    assert!(text.starts_with(&format!("id: {before}\n")), "{text}");
    let ids: Vec<u64> = text.lines().filter_map(|l| l.strip_prefix("id: ")?.parse().ok()).collect();
    assert!(ids.windows(2).all(|pair| pair[1] == pair[0] + 1), "{ids:?}");
    // The server's stop ends what would never end by itself.
    world.stop();
    let rest = async { while chunks.next().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(10), rest).await.expect("it ends");
}

#[tokio::test]
async fn events_refusals_and_the_past_are_told_over_graphql() {
    let world = World::start().await.with_hall().await;
    let order = ordered(&world).await;
    let auditor = world.token("audit", Role::Auditor);
    let ada = world.token("ada", Role::Customer);
    let id = order["order_id"].as_str().unwrap();
    let query = "query($c: String, $after: String) { events(correlationId: $c, first: 2, after: $after) { \
        edges { cursor node { position type actor causationId data } } pageInfo { hasNextPage endCursor } } }";
    let (mut after, mut seen) = (Value::Null, Vec::new());
    loop {
        let page = world.graphql(Some(&auditor), query, json!({"c": id, "after": after})).await;
        let page = &page["data"]["events"];
        seen.extend(
            page["edges"]
                .as_array()
                .unwrap()
                .iter()
                .map(|e| e["node"]["position"].as_str().unwrap().parse::<u64>().unwrap()),
        );
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
    assert!(seen.len() > 4 && seen.windows(2).all(|pair| pair[0] < pair[1]), "{seen:?}");

    // The reservation as it was when it was made, and as it is.
    let made =
        lines(&world.get(&format!("/events?stream=reservation-{id}"), Some(&auditor)).await.text);
    let query = "query($id: ID!, $at: Position, $t: DateTime) { reservationAsOf(id: $id, position: $at, at: $t) { status \
        payments { status } tickets { id } timeline { edges { node { type } } } } }";
    let then =
        world.graphql(Some(&auditor), query, json!({"id": id, "at": made[0]["position"]})).await;
    let then = &then["data"]["reservationAsOf"];
    assert_eq!(
        (&then["status"], &then["payments"], &then["tickets"]),
        (&json!("HOLD"), &json!([]), &json!([])),
        "{then}"
    );
    assert_eq!(then["timeline"]["edges"].as_array().unwrap().len(), 1);
    let now = world
        .graphql(Some(&auditor), query, json!({"id": id, "t": world.engine.now().to_string()}))
        .await;
    assert_eq!(now["data"]["reservationAsOf"]["status"], "CONFIRMED", "{now}");
    let before = world.graphql(Some(&auditor), query, json!({"id": id, "at": "1"})).await;
    assert_eq!(before["data"]["reservationAsOf"], Value::Null, "{before}");

    // Refusals stand beside the log.
    let refused =
        world.post("/orders", &ada, "x", json!({"ticket_id": "hall-ticket", "qty": 30})).await;
    assert!(refused.status.is_client_error());
    let query =
        "{ rejectedCommands { edges { node { actor command target code message asOf } } } }";
    let told = world.graphql(Some(&auditor), query, json!({})).await;
    let told = &told["data"]["rejectedCommands"]["edges"][0]["node"];
    assert_eq!(
        (&told["actor"], &told["command"]),
        (&json!("user:ada"), &json!("createReservation")),
        "{told}"
    );
}
