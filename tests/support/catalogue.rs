//! Things to sell.

use serde_json::{Value, json};

use super::Person;

/// A hall of one section `A`: `rows` rows of `seats` seats at EUR 45.
pub(crate) struct Hall<'a> {
    pub(crate) id: &'a str,
    pub(crate) sku: Option<&'a str>,
    pub(crate) rows: u32,
    pub(crate) seats: u32,
}

/// The position of what was accepted, once the read models have seen it.
pub(super) async fn accepted(admin: &Person, result: &Value) {
    assert_eq!(result["__typename"], "Accepted", "{result}");
    let query = "query($at: Position) { seatMap(id: \"none\", minPosition: $at) { id } }";
    admin.query(query, json!({ "at": result["position"] })).await;
}

const OPERATOR_RESULT: &str = "... on Accepted { position } ... on Refused { code message }";

pub(crate) async fn publish_hall(admin: &Person, hall: Hall<'_>) {
    let price = json!({ "amountMinor": "4500", "currency": "EUR" });
    let mut input = json!({
        "id": hall.id, "name": "The hall",
        "categories": [{ "name": "all", "price": price }],
        "sections": [{ "name": "A", "category": "all", "rows": hall.rows, "seatsPerRow": hall.seats }],
    });
    if let Some(sku) = hall.sku {
        input["sku"] = sku.into();
    }
    publish_map(admin, input).await;
}

async fn publish_map(admin: &Person, input: Value) {
    let result =
        admin.mutate("publishSeatMap", "PublishSeatMapInput", input, OPERATOR_RESULT).await;
    accepted(admin, &result).await;
}

pub(crate) async fn create_item(admin: &Person, input: Value) {
    let result = admin.mutate("createItem", "CreateItemInput", input, OPERATOR_RESULT).await;
    accepted(admin, &result).await;
}

pub(crate) async fn receive_stock(admin: &Person, sku: &str, quantity: u32) {
    let input = json!({ "sku": sku, "quantity": quantity });
    let result = admin.mutate("receiveStock", "StockInput", input, OPERATOR_RESULT).await;
    accepted(admin, &result).await;
}
