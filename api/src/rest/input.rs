//! Bodies and headers of requests that change something.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRef, FromRequest, Request};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use holdfast_domain::{Period, ReservationId, SeatId, SeatMapId, Sku, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::door::{Door, How};
use crate::front::IDEMPOTENCY_KEY;
use crate::no::{Code, No};
use crate::{ask, graphql, json, names};

/// Seats of one request.
const MOST_SEATS: usize = 50;

/// A body with its key, taken apart.
pub(crate) struct Asked<T> {
    pub(crate) how: How,
    pub(crate) body: T,
}

impl<S, T> FromRequest<S> for Asked<T>
where
    S: Send + Sync,
    Arc<Door>: FromRef<S>,
    T: DeserializeOwned,
{
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let headers = request.headers().clone();
        let body =
            Bytes::from_request(request, state).await.map_err(IntoResponse::into_response)?;
        read(&Arc::<Door>::from_ref(state), &headers, &body).map_err(IntoResponse::into_response)
    }
}

/// Reads a request: JSON without unknown fields, and a key in the header or in the body.
fn read<T: DeserializeOwned>(
    door: &Door,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Asked<T>, No> {
    if !body.is_empty() && !graphql::http::is_json(headers) {
        return Err(No::new(Code::UnsupportedMediaType, "send application/json"));
    }
    let mut fields: serde_json::Map<String, Value> = match body.as_ref() {
        b"" => serde_json::Map::new(),
        body => json::read(body, door.config.limits.json_depth)?,
    };
    let key = key(headers, &mut fields)?;
    let if_version = headers.get(header::IF_MATCH).map(|value| {
        let refuse = |_| No::malformed("If-Match is a version in quotes, such as \"2\"");
        ask::if_match(value.to_str().map_err(refuse)?)
    });
    let body = serde_json::from_value(Value::Object(fields))
        .map_err(|error| No::malformed(format!("the body: {error}")))?;
    let how =
        How { key, if_version: if_version.transpose()?, traceparent: super::traceparent(headers) };
    Ok(Asked { how, body })
}

/// The key: from the header, or from the body as the diagrams write it; not two different ones.
fn key(headers: &HeaderMap, fields: &mut serde_json::Map<String, Value>) -> Result<String, No> {
    let mut found: Option<String> = None;
    let mut take = |key: String| match &found {
        Some(other) if *other != key => {
            Err(No::malformed("the header and the body name different idempotency keys"))
        }
        _ => {
            found = Some(key);
            Ok(())
        }
    };
    for value in headers.get_all(IDEMPOTENCY_KEY) {
        let refuse = |_| No::malformed("an idempotency key is text");
        take(value.to_str().map_err(refuse)?.to_owned())?;
    }
    for name in ["idempotency_key", "idempotencyKey"] {
        match fields.remove(name) {
            None => {}
            Some(Value::String(key)) => take(key)?,
            Some(_) => return Err(No::malformed(format!("{name} is a text"))),
        }
    }
    let missing = || No::new(Code::IdempotencyKeyMissing, "send an Idempotency-Key");
    let key = found.ok_or_else(missing)?;
    if key.is_empty() {
        return Err(missing());
    }
    ask::checked_key(&key).map_err(|no| No::malformed(no.message))?;
    Ok(key)
}

/// A body without fields besides its key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// `POST /api/v1/seats/lock`
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LockBody {
    pub(crate) seat_map_id: String,
    pub(crate) seat_ids: Option<Vec<String>>,
    pub(crate) auto_assign: Option<PickBody>,
    #[serde(default)]
    pub(crate) suggest: bool,
}

/// "Choose for me."
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PickBody {
    pub(crate) quantity: i64,
    pub(crate) section: Option<String>,
    pub(crate) category: Option<String>,
}

/// `POST /api/v1/bookings`
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct BookingBody {
    pub(crate) lock_id: Option<String>,
    pub(crate) seat_map_id: Option<String>,
    pub(crate) seat_ids: Option<Vec<String>>,
    pub(crate) auto_assign: Option<PickBody>,
}

/// `POST /orders`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrderBody {
    pub(crate) ticket_id: Option<String>,
    pub(crate) qty: Option<i64>,
    pub(crate) seat_ids: Option<Vec<String>>,
    pub(crate) section: Option<String>,
}

/// `POST /payments`, `POST /payments/confirm` and the two `…/pay`: the reservation stands in the body or
/// in the path, in the words of either diagram.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PayBody {
    #[serde(
        alias = "order_id",
        alias = "booking_id",
        alias = "bookingId",
        alias = "reservationId"
    )]
    #[serde(alias = "orderId")]
    pub(crate) reservation_id: Option<String>,
    #[serde(alias = "paymentId")]
    pub(crate) payment_id: Option<String>,
    #[serde(alias = "paymentMethod")]
    pub(crate) payment_method: Option<String>,
    pub(crate) gateway: Option<String>,
}

/// `PATCH /inventory/{sku}/stock`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StockBody {
    pub(crate) delta: i64,
    #[serde(default)]
    pub(crate) reason: String,
}

/// Seats by their names; one that cannot be named so does not exist.
pub(crate) fn seats(ids: Vec<String>) -> Result<Vec<SeatId>, No> {
    if ids.is_empty() || ids.len() > MOST_SEATS {
        return Err(No::invalid(format!("name 1 to {MOST_SEATS} seats")));
    }
    ids.into_iter().map(|id| SeatId::new(id).map_err(|_| No::absent("seat"))).collect()
}

/// A quantity that can be one; how many are too many, the rules say.
pub(crate) fn quantity(quantity: i64) -> Result<u32, No> {
    u32::try_from(quantity)
        .ok()
        .filter(|quantity| *quantity > 0)
        .ok_or_else(|| No::invalid(format!("a quantity is from 1 to {}", u32::MAX)))
}

pub(crate) fn seat_map(id: &str) -> Result<SeatMapId, No> {
    SeatMapId::new(id).map_err(|_| No::absent("seat map"))
}

pub(crate) fn sku(id: &str) -> Result<Sku, No> {
    Sku::new(id).map_err(|_| No::absent("item"))
}

/// A period, of both its ends or of neither.
pub(crate) fn period(
    from: Option<Timestamp>,
    until: Option<Timestamp>,
) -> Result<Option<Period>, No> {
    match (from, until) {
        (None, None) => Ok(None),
        (Some(from), Some(until)) => {
            let period = Period::new(from, until, Period::LONGEST);
            period.map(Some).map_err(|error| No::invalid(error.to_string()))
        }
        (Some(_), None) | (None, Some(_)) => {
            Err(No::invalid("name both from and until, or neither for now"))
        }
    }
}

pub(crate) fn reservation(id: &str) -> Result<ReservationId, No> {
    names::read_reservation(id).ok_or_else(|| No::absent("reservation"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn with(header: Option<&str>, body: Value) -> Result<String, No> {
        let mut headers = HeaderMap::new();
        if let Some(key) = header {
            headers.insert(IDEMPOTENCY_KEY, HeaderValue::from_str(key).expect("a header"));
        }
        let Value::Object(mut fields) = body else { panic!("an object") };
        let key = key(&headers, &mut fields)?;
        assert!(!fields.contains_key("idempotency_key") && !fields.contains_key("idempotencyKey"));
        Ok(key)
    }

    #[test]
    fn a_key_comes_from_the_header_or_from_either_spelling_in_the_body() {
        use serde_json::json;
        assert_eq!(with(Some("k"), json!({})), Ok("k".into()));
        assert_eq!(with(None, json!({"idempotency_key": "k"})), Ok("k".into()));
        assert_eq!(with(None, json!({"idempotencyKey": "k"})), Ok("k".into()));
        assert_eq!(with(Some("k"), json!({"idempotencyKey": "k"})), Ok("k".into()));
    }

    #[test]
    fn no_key_and_two_keys_are_refused() {
        use serde_json::json;
        let code = |result: Result<String, No>| result.expect_err("refused").code;
        assert_eq!(code(with(None, json!({}))), Code::IdempotencyKeyMissing);
        assert_eq!(code(with(None, json!({"idempotency_key": ""}))), Code::IdempotencyKeyMissing);
        assert_eq!(code(with(Some("a"), json!({"idempotency_key": "b"}))), Code::Malformed);
        assert_eq!(code(with(None, json!({"idempotency_key": 1}))), Code::Malformed);
        assert_eq!(code(with(Some(&"k".repeat(256)), json!({}))), Code::Malformed);
    }
}
