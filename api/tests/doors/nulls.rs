//! An error stands where the specification of GraphQL wants it, and what did not fail stands beside it.

use holdfast_api::token::Role;
use serde_json::{Value, json};

use crate::world::World;

#[tokio::test]
async fn a_root_field_that_failed_is_null_and_the_others_are_there() {
    let world = World::start().await.with_hall().await;
    let alone = world.graphql(None, "{ reservation(id: \"x\") { id } }", json!({})).await;
    assert_eq!(alone["data"], json!({"reservation": null}), "{alone}");
    assert_eq!(alone["errors"][0]["path"], json!(["reservation"]));

    let query = "{ a: reservation(id: \"x\") { id } ...More item(sku: \"hall-ticket\") { id } } \
                 fragment More on Query { reservationAsOf(id: \"x\") { id } }";
    let beside = world.graphql(None, query, json!({})).await;
    let is = json!({"a": null, "reservationAsOf": null, "item": {"id": "hall-ticket"}});
    assert_eq!(beside["data"], is, "{beside}");
    assert_eq!(beside["errors"].as_array().map(Vec::len), Some(2));

    let query = "{ availability(sku: \"hall-ticket\", minPosition: \"999999\") { total } \
                 item(sku: \"hall-ticket\") { id } }";
    let stale = world.graphql(None, query, json!({})).await;
    assert_eq!(stale["errors"][0]["extensions"]["code"], "STALE_READ", "{stale}");
    assert_eq!(stale["data"], json!({"availability": null, "item": {"id": "hall-ticket"}}));
}

#[tokio::test]
async fn a_field_that_may_not_be_null_takes_its_parent_along() {
    let world = World::start().await.with_hall().await;
    let query = "{ item(sku: \"hall-ticket\") { id } reservations { pageInfo { hasNextPage } } }";
    let answer = world.graphql(None, query, json!({})).await;
    assert_eq!(answer["data"], Value::Null, "{answer}");
    let token = world.token("ada", Role::Customer);
    let fine = world.graphql(Some(&token), query, json!({})).await;
    assert_eq!(fine["data"]["item"]["id"], "hall-ticket", "{fine}");
    assert!(fine.get("errors").is_none());
}

#[tokio::test]
async fn a_batch_keeps_each_operations_own_nulls() {
    let world = World::start().await;
    let many = json!([
        {"query": "query A { node(id: \"x\") { id } } query B { reservation(id: \"x\") { id } }", "operationName": "B"},
        {"query": "{ me { id } }"},
    ]);
    let request = world.request(reqwest::Method::POST, "/graphql").json(&many);
    let answers = world.send(request).await.json();
    assert_eq!(answers[0]["data"], json!({"reservation": null}), "{answers}");
    assert_eq!(answers[1]["data"], json!({"me": null}));
}
