//! The OpenAPI document of the REST door, made from the table of paths.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::access::Rule;
use crate::door::Door;
use crate::no::Code;
use crate::rest::{Route, routes};

/// `GET /openapi.json`
pub(crate) async fn get(State(door): State<Arc<Door>>) -> Response {
    Json(document(&door.config.version)).into_response()
}

/// The document, for a version of the program.
pub fn document(version: &str) -> Value {
    let mut paths = Map::new();
    for route in routes() {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_ascii_lowercase()] = operation(&route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Holdfast",
            "version": version,
            "summary": "Seats, vehicles and stock, sold exactly once.",
            "description": "The REST paths of the five diagrams. Each does what the GraphQL mutation of the same name does. \
                            A request that changes something carries an idempotency key, in the header Idempotency-Key or in \
                            its body as idempotency_key or idempotencyKey; a repeat gets the same answer. Errors are RFC 9457.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT (EdDSA, at+jwt)"}},
            "schemas": schemas(),
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut parameters: Vec<Value> = path_names(route.path)
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .collect();
    parameters.extend(
        route
            .query
            .iter()
            .map(|name| json!({"name": name, "in": "query", "schema": {"type": "string"}})),
    );
    if route.keyed {
        parameters.push(json!({"name": "Idempotency-Key", "in": "header",
            "description": "Needed here or in the body.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255}}));
        parameters.push(json!({"name": "If-Match", "in": "header", "description": "The version that you expect.",
            "schema": {"type": "string"}}));
    }
    let mut responses = Map::new();
    for status in route.succeeds {
        responses.insert(status.to_string(), succeeds(route, *status));
    }
    for (status, codes) in refusals(route) {
        responses.insert(status.to_string(), json!({
            "description": codes.iter().map(|code| code.name()).collect::<Vec<_>>().join(", "),
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }));
    }
    let mut operation = json!({
        "operationId": operation_id(route),
        "summary": route.summary,
        "responses": responses,
    });
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(body) = route.body {
        let content = json!({"application/json": {"schema": {"$ref": format!("#/components/schemas/{body}")}}});
        operation["requestBody"] = json!({"required": body != "Nothing", "content": content});
    }
    match route.rule {
        Rule::Anyone => operation["security"] = json!([{}, {"bearer": []}]),
        Rule::SignedIn => operation["security"] = json!([{"bearer": []}]),
        Rule::OneOf(permissions) => {
            operation["security"] = json!([{"bearer": []}]);
            operation["x-permissions"] =
                permissions.iter().map(|p| p.name()).collect::<Vec<_>>().into();
        }
    }
    operation
}

/// Unique, although several paths may do what one mutation does.
fn operation_id(route: &Route) -> String {
    let place = route.path.split('/').filter(|part| !part.is_empty() && !part.starts_with('{'));
    let place = place.collect::<Vec<_>>().join("_").replace(['.', '-'], "_");
    if place.is_empty() { route.name.into() } else { format!("{}_{place}", route.name) }
}

fn succeeds(route: &Route, status: u16) -> Value {
    match route.answer {
        "websocket" => json!({"description": "Switches to a WebSocket."}),
        kind if kind.contains('/') => {
            json!({"description": route.summary, "content": {kind: {"schema": {"type": "string"}}}})
        }
        schema => {
            let description =
                if status == 202 { "The outcome is still open." } else { route.summary };
            let content = json!({"application/json": {"schema": {"$ref": format!("#/components/schemas/{schema}")}}});
            let mut response = json!({"description": description, "content": content});
            if route.keyed {
                response["headers"] = json!({
                    "Holdfast-Position": {"description": "Where in the log this is true.", "schema": {"type": "string"}},
                    "Idempotent-Replayed": {"description": "true: this was said before.", "schema": {"type": "string"}},
                });
            }
            response
        }
    }
}

/// The refusals of a path by status.
fn refusals(route: &Route) -> Vec<(u16, Vec<Code>)> {
    let mut codes = Vec::new();
    if route.rule != Rule::Anyone {
        codes.push(Code::Unauthenticated);
    }
    if let Rule::OneOf(_) = route.rule {
        codes.push(Code::Forbidden);
    }
    if route.path.contains('{') {
        codes.push(Code::NotFound);
    }
    if route.keyed {
        codes.extend([
            Code::Malformed,
            Code::IdempotencyKeyMissing,
            Code::NotFound,
            Code::TooLarge,
            Code::InvalidInput,
            Code::IdempotencyKeyReused,
            Code::RequestInFlight,
            Code::OutcomeUnknown,
        ]);
    }
    if route.query.contains(&"min_position") {
        codes.extend([Code::Malformed, Code::StaleRead]);
    }
    codes.extend_from_slice(route.refuses);
    let mut by_status: std::collections::BTreeMap<u16, Vec<Code>> = Default::default();
    for code in codes {
        let listed = by_status.entry(code.status().as_u16()).or_default();
        if !listed.contains(&code) {
            listed.push(code);
        }
    }
    by_status.into_iter().collect()
}

fn path_names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn object(required: &[&str], properties: Value) -> Value {
    json!({"type": "object", "required": required, "properties": properties})
}

/// A body: names that are not listed are refused.
fn body(required: &[&str], mut properties: Value) -> Value {
    properties["idempotency_key"] = text();
    properties["idempotencyKey"] = text();
    json!({"type": "object", "required": required, "properties": properties, "additionalProperties": false})
}

fn text() -> Value {
    json!({"type": "string"})
}

fn texts() -> Value {
    json!({"type": "array", "items": {"type": "string"}})
}

fn number() -> Value {
    json!({"type": "integer"})
}

fn moment() -> Value {
    json!({"type": ["string", "null"], "format": "date-time"})
}

/// A number that may have decimals.
fn reading() -> Value {
    json!({"type": "number", "minimum": 0})
}

fn maybe_text() -> Value {
    json!({"type": ["string", "null"]})
}

fn of(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

fn schemas() -> Value {
    let pick = json!({"type": "object", "required": ["quantity"], "additionalProperties": false,
        "properties": {"quantity": number(), "section": text(), "category": text()}});
    let pay = json!({"payment_method": text(), "paymentMethod": text(), "gateway": text()});
    let mut pay_what = pay.clone();
    for name in [
        "reservation_id",
        "order_id",
        "booking_id",
        "bookingId",
        "reservationId",
        "orderId",
        "payment_id",
        "paymentId",
    ] {
        pay_what[name] = text();
    }
    let any = json!({"type": "object"});
    let photo = json!({"type": "object", "required": ["sha256", "media_type", "url"],
        "additionalProperties": false, "properties": {"media_type": text(), "url": text(),
            "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"}}});
    let estimate = json!({"type": "object", "required": ["amount_minor", "currency"],
        "additionalProperties": false, "properties": {"amount_minor": number(), "currency": text()}});
    let mut fuel = reading();
    fuel["maximum"] = 100.into();
    json!({
        "Problem": object(&["type", "title", "status", "code", "request_id"], json!({
            "type": text(), "title": text(), "status": number(), "detail": text(), "request_id": text(),
            "code": {"type": "string", "enum": Code::ALL.iter().map(|code| code.name()).collect::<Vec<_>>()},
        })),
        "Money": object(&["amount_minor", "currency", "formatted"],
            json!({"amount_minor": number(), "currency": text(), "formatted": text()})),
        "Nothing": body(&[], json!({})),
        "Raw": {"description": "The raw body, signed by the gateway."},
        "Received": object(&["received"], json!({"received": {"type": "boolean"}})),
        "LockSeats": body(&["seatMapId"], json!({"seatMapId": text(), "seatIds": texts(), "autoAssign": pick,
            "suggest": {"type": "boolean"}})),
        "SeatLock": object(&["lockId", "seatMapId", "seatIds", "expiresAt"],
            json!({"lockId": text(), "seatMapId": text(), "seatIds": texts(), "expiresAt": moment()})),
        "SeatLockReleased": object(&["lockId", "released"], json!({"lockId": text(), "released": {"type": "boolean"}})),
        "Booking": body(&[], json!({"lockId": text(), "seatMapId": text(), "seatIds": texts(), "autoAssign": pick})),
        "BookingMade": object(&["bookingId", "status", "sagaState"], json!({"bookingId": text(), "status": text(),
            "sagaState": text(), "version": number(), "expiresAt": moment(), "total": of("Money")})),
        "Pay": body(&[], pay),
        "PayWhat": body(&[], pay_what),
        "Paid": object(&["payment_id", "status", "reservation_status"], json!({"payment_id": text(), "status": text(),
            "reservation_id": text(), "reservation_status": text(), "amount": of("Money"),
            "next_action": any, "redirectUrl": {"type": ["string", "null"]}})),
        "BookingPaid": object(&["paymentId", "status", "bookingStatus"], json!({"paymentId": text(), "status": text(),
            "bookingId": text(), "bookingStatus": text(), "sagaState": text(), "amount": of("Money"),
            "next_action": any, "redirectUrl": {"type": ["string", "null"]}})),
        "Order": body(&[], json!({"ticket_id": text(), "qty": number(), "seat_ids": texts(), "section": text()})),
        "OrderMade": object(&["order_id", "status", "expires_at", "total"], json!({"order_id": text(), "status": text(),
            "version": number(), "expires_at": moment(), "total": of("Money"), "seat_ids": texts()})),
        "Rent": body(&["vehicle_type"], json!({"vehicle_type": text(),
            "from": {"type": "string", "format": "date-time"},
            "until": {"type": "string", "format": "date-time"}})),
        "RentMade": object(&["reservation_id", "status", "version", "hold_expires_at"],
            json!({"reservation_id": text(), "status": text(), "version": number(),
                "hold_expires_at": moment(), "vehicle_type": text(), "vehicle_id": maybe_text(),
                "period": {"type": ["object", "null"]}, "total": of("Money")})),
        "VehicleCommand": body(&["reservation_id"], json!({"reservation_id": text(), "booking_id": text()})),
        "VehicleObeyed": object(&["status"], json!({"status": {"const": "SUCCESS"}, "reservation_id": text(),
            "reservation_status": text(), "vehicle_id": text(), "lock": text()})),
        "Return": body(&["odometer_end", "fuel_level"], json!({"odometer_end": reading(), "fuel_level": fuel,
            "location": text()})),
        "Returned": object(&["reservation_id", "status", "version"], json!({"reservation_id": text(),
            "status": text(), "version": number(), "vehicle_id": maybe_text()})),
        "Inspect": body(&["reservation_id", "damage_description"], json!({"reservation_id": text(),
            "booking_id": text(), "damage_description": text(), "photos": {"type": "array", "items": photo},
            "estimate": estimate})),
        "Inspected": object(&["inspection_id", "claim_status"], json!({"inspection_id": text(),
            "reservation_id": text(), "claim_status": text(), "amount": {"anyOf": [of("Money"), {"type": "null"}]}})),
        "Vehicle": object(&["id", "sku", "status", "lock", "online", "odometer_m"], json!({"id": text(),
            "vehicle_id": text(), "vin": text(), "sku": text(), "vehicle_type": text(), "status": text(),
            "lock": text(), "online": {"type": "boolean"}, "odometer_m": number(), "odometer_km": reading(),
            "fuel_level": {"type": ["integer", "null"]}, "last_seen": moment()})),
        "Stock": body(&["delta"], json!({"delta": number(), "reason": text()})),
        "StockAdjusted": object(&["sku", "delta"], json!({"sku": text(), "delta": number()})),
        "Reservation": object(&["id", "status", "version", "saga_state", "total", "lines"], json!({"id": text(),
            "reservation_id": text(), "status": text(), "saga_state": text(), "version": number(), "created_at": moment(),
            "hold_expires_at": moment(), "total": of("Money"), "lines": {"type": "array", "items": any},
            "payments": {"type": "array", "items": of("Payment")}, "tickets": {"type": "array", "items": any},
            "vehicle_id": maybe_text(), "as_of_position": text()})),
        "Payment": object(&["id", "status", "version", "amount"], json!({"id": text(), "payment_id": text(),
            "reservation_id": text(), "kind": text(), "status": text(), "version": number(), "amount": of("Money"),
            "captured": of("Money"), "refunded": of("Money"), "gateway": text(),
            "approval_code": {"type": ["string", "null"]}, "attempt": number(), "next_action": any})),
        "Availability": object(&["sku", "total", "held", "committed", "available", "reason"], json!({"sku": text(),
            "total": number(), "held": number(), "committed": number(), "available": number(), "reason": text(),
            "period": {"type": "object"}, "as_of_position": text()})),
        "SeatMap": object(&["id", "name", "counts", "seats"], json!({"id": text(), "name": text(),
            "sku": {"type": ["string", "null"]}, "counts": any, "seats": {"type": "array", "items": any},
            "as_of_position": text()})),
        "Live": object(&["status"], json!({"status": text(), "version": text()})),
        "Ready": object(&["ready", "reasons"], json!({"ready": {"type": "boolean"}, "status": text(), "reasons": texts(),
            "position": text(), "read_models": any, "consumers": {"type": "array", "items": any}})),
        "TicketKeys": object(&["format", "keys"], json!({"format": text(), "layout": text(),
            "keys": {"type": "array", "items": any}})),
        "Document": any,
        "GraphQL": object(&["query"], json!({"query": text(), "variables": any, "operationName": text()})),
        "GraphQLAnswer": any,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_is_told_and_every_reference_leads_somewhere() {
        let document = document("1");
        for route in routes() {
            let told = &document["paths"][route.path][route.method.as_str().to_ascii_lowercase()];
            assert!(told.is_object(), "{} {}", route.method, route.path);
        }
        let text = document.to_string();
        let known = document["components"]["schemas"].as_object().expect("schemas");
        for part in text.split("#/components/schemas/").skip(1) {
            let name = part.split('"').next().expect("a name");
            assert!(known.contains_key(name), "{name}");
        }
    }

    #[test]
    fn operation_ids_are_unique() {
        let mut ids: Vec<_> = routes().iter().map(operation_id).collect();
        let all = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), all, "{ids:?}");
    }
}
