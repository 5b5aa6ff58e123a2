//! The schemas of bodies and answers, as the OpenAPI document names them.

use serde_json::{Map, Value, json};

use crate::no::Code;

/// All of them by name.
pub(super) fn all() -> Map<String, Value> {
    let mut all = Map::new();
    for part in [shop(), fleet()] {
        let Value::Object(part) = part else { continue };
        all.extend(part);
    }
    all
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

/// Of what all paths share, and of S2 to S4.
fn shop() -> Value {
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

/// Of S0 and S1.
fn fleet() -> Value {
    let photo = json!({"type": "object", "required": ["sha256", "media_type", "url"],
        "additionalProperties": false, "properties": {"media_type": text(), "url": text(),
            "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"}}});
    let estimate = json!({"type": "object", "required": ["amount_minor", "currency"],
        "additionalProperties": false, "properties": {"amount_minor": number(), "currency": text()}});
    let mut fuel = reading();
    fuel["maximum"] = 100.into();
    json!({
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
    })
}
