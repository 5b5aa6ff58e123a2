//! What can be read over REST: the read models, with `?min_position=` and `ETag`.

use std::sync::Arc;

use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use holdfast_domain::{Money, Timestamp, UserId, VehicleId};
use holdfast_projections::{AvailabilityReason, SeatRow};
use serde::Deserialize;
use serde_json::{Value, json};

use super::input;
use crate::door::{Door, trouble};
use crate::names;
use crate::no::No;
use crate::view::{PaymentView, word};
use crate::who::Who;
use crate::{ask, graphql};

/// What every read takes.
#[derive(Deserialize)]
pub(crate) struct Least {
    min_position: Option<String>,
    section: Option<String>,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Least {
    async fn seen(&self, door: &Door) -> Result<(), No> {
        let position = match &self.min_position {
            None => None,
            Some(text) => {
                let refuse = || No::malformed("min_position is a decimal number");
                Some(graphql::read_position(text).ok_or_else(refuse)?)
            }
        };
        door.seen(position).await
    }
}

/// Money as REST shows it.
pub(crate) fn money(money: Money) -> Value {
    json!({
        "amount_minor": money.amount_minor,
        "currency": money.currency.code(),
        "formatted": money.to_string(),
    })
}

/// The answer to a read: unchanged since `If-None-Match`, or the body.
fn found(headers: &HeaderMap, etag: &str, body: &Value) -> Response {
    let etag = HeaderValue::from_str(&format!("\"{etag}\""));
    let etag = etag.unwrap_or(HeaderValue::from_static("\"0\""));
    let known = headers.get_all(header::IF_NONE_MATCH).iter().any(|value| *value == etag);
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        axum::Json(body).into_response()
    };
    response.headers_mut().insert(header::ETAG, etag);
    response
}

/// The version, which `If-Match` takes, and what is shown: a rental that has begun, a page to go to or
/// a ticket that came raise no version, and a reader that asks again must not be told "unchanged".
fn tag(version: u32, body: &Value) -> String {
    format!("{version}-{}", &ask::fingerprint("read", body)[..12])
}

async fn answer(read: impl Future<Output = Result<Response, No>>) -> Response {
    read.await.unwrap_or_else(IntoResponse::into_response)
}

/// `GET /reservations/{id}`
pub(crate) async fn reservation(
    State(door): State<Arc<Door>>,
    Extension(who): Extension<Who>,
    Path(id): Path<String>,
    Query(least): Query<Least>,
    headers: HeaderMap,
) -> Response {
    answer(async {
        least.seen(&door).await?;
        let id = input::reservation(&id)?;
        let view = door.reservation(&who, &id).await?.ok_or_else(|| No::absent("reservation"))?;
        let lines: Vec<Value> = view
            .lines
            .iter()
            .map(|line| {
                json!({
                    "sku": line.sku, "quantity": line.quantity, "seat_map_id": line.seat_map_id,
                    "seat_ids": line.seat_ids, "period": line.period,
                    "unit_price": money(line.unit_price), "vehicle_id": line.vehicle_id,
                })
            })
            .collect();
        let payments = door.reads.payments_of(&id).await.map_err(trouble)?;
        let payments: Vec<Value> =
            payments.into_iter().map(|row| shown_payment(&row.into())).collect();
        let tickets = door.reads.tickets_of(&id).await.map_err(trouble)?;
        let tickets: Vec<Value> = tickets
            .iter()
            .map(|row| {
                json!({
                    "id": names::ticket(&row.id), "status": word(&row.status),
                    "seat_id": row.seat_id, "sku": row.sku,
                })
            })
            .collect();
        let shown = names::reservation(&view.id);
        let body = json!({
            "id": shown, "reservation_id": shown, "status": word(&view.status),
            "saga_state": view.saga_state, "version": view.version, "created_at": view.created_at,
            "hold_expires_at": view.hold_expires_at, "total": money(view.total), "lines": lines,
            "payments": payments, "tickets": tickets, "vehicle_id": view.vehicle_id,
            "as_of_position": view.as_of.to_string(),
        });
        Ok(found(&headers, &tag(view.version, &body), &body))
    })
    .await
}

fn shown_payment(view: &PaymentView) -> Value {
    let mut body = json!({
        "id": names::payment(&view.id), "payment_id": names::payment(&view.id),
        "reservation_id": names::reservation(&view.reservation_id), "kind": word(&view.kind),
        "status": word(&view.status), "version": view.version, "amount": money(view.amount),
        "captured": money(view.captured), "refunded": money(view.refunded),
        "gateway": view.gateway, "approval_code": view.approval_code, "attempt": view.attempt,
    });
    if let Some(url) = &view.redirect_url {
        body["next_action"] = json!({"url": url});
    }
    body
}

/// `GET /payments/{id}`
pub(crate) async fn payment(
    State(door): State<Arc<Door>>,
    Extension(who): Extension<Who>,
    Path(id): Path<String>,
    Query(least): Query<Least>,
    headers: HeaderMap,
) -> Response {
    answer(async {
        least.seen(&door).await?;
        let absent = || No::absent("payment");
        let id = names::read_payment(&id).ok_or_else(absent)?;
        let row = door.reads.payment(&id).await.map_err(trouble)?.ok_or_else(absent)?;
        let visible = |owner: &UserId| who.may_see(owner);
        if !row.user_id.as_ref().map_or(who.sees_everything(), visible) {
            return Err(absent());
        }
        let view = PaymentView::from(row);
        let body = shown_payment(&view);
        Ok(found(&headers, &tag(view.version, &body), &body))
    })
    .await
}

/// `GET /vehicles/{id}`
pub(crate) async fn vehicle(
    State(door): State<Arc<Door>>,
    Extension(who): Extension<Who>,
    Path(id): Path<String>,
    Query(least): Query<Least>,
    headers: HeaderMap,
) -> Response {
    answer(async {
        least.seen(&door).await?;
        let absent = || No::absent("vehicle");
        let id = VehicleId::new(id).map_err(|_| absent())?;
        let view = door.vehicle(&who, &id).await?.ok_or_else(absent)?;
        let body = super::fleet::shown_vehicle(&view);
        // A vehicle has no version that people may guard with: what is shown is what it stands for.
        let etag = &ask::fingerprint("vehicle", &body);
        Ok(found(&headers, etag, &body))
    })
    .await
}

/// `GET /inventory/{sku}?from=&until=`: now, or at the busiest moment of a period.
pub(crate) async fn inventory(
    State(door): State<Arc<Door>>,
    Path(sku): Path<String>,
    Query(least): Query<Least>,
    headers: HeaderMap,
) -> Response {
    answer(async {
        least.seen(&door).await?;
        let absent = || No::absent("item");
        let sku = input::sku(&sku)?;
        let period = input::period(least.from, least.until)?;
        let row = match &period {
            None => door.reads.availability(&sku).await,
            Some(period) => door.reads.availability_in(&sku, period).await,
        };
        let row = row.map_err(trouble)?.ok_or_else(absent)?;
        let mut body = json!({
            "sku": row.sku, "total": row.total, "held": row.held, "committed": row.committed,
            "available": row.available, "reason": reason(row.reason()),
            "as_of_position": row.as_of.to_string(),
        });
        if let Some(period) = period {
            body["period"] = json!(period);
        }
        Ok(found(&headers, &row.as_of.to_string(), &body))
    })
    .await
}

/// The word of a reason, as in GraphQL.
fn reason(reason: AvailabilityReason) -> &'static str {
    match reason {
        AvailabilityReason::Ok => "OK",
        AvailabilityReason::Low => "LOW",
        AvailabilityReason::Reserved => "RESERVED",
        AvailabilityReason::Gone => "GONE",
        AvailabilityReason::Closed => "CLOSED",
    }
}

/// `GET /seatmaps/{id}?section=`
pub(crate) async fn seat_map(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    Query(least): Query<Least>,
    headers: HeaderMap,
) -> Response {
    answer(async {
        least.seen(&door).await?;
        let absent = || No::absent("seat map");
        let id = input::seat_map(&id)?;
        let row = door.reads.seat_map(&id).await.map_err(trouble)?.ok_or_else(absent)?;
        let _hall = door.hall(true).await?;
        let seats = door.reads.seats(&id, least.section.as_deref()).await.map_err(trouble)?;
        let seats: Vec<Value> = seats.iter().map(shown_seat).collect();
        let body = json!({
            "id": row.id, "name": row.name, "sku": row.sku,
            "counts": {
                "free": row.counts.free, "locked": row.counts.locked, "booked": row.counts.booked,
                "blocked": row.counts.blocked,
            },
            "seats": seats, "as_of_position": row.as_of.to_string(),
        });
        Ok(found(&headers, &row.as_of.to_string(), &body))
    })
    .await
}

/// A seat, and never whose it is.
fn shown_seat(row: &SeatRow) -> Value {
    json!({
        "id": row.id, "label": row.label, "section": row.section, "row": row.row, "x": row.x,
        "y": row.y, "category": row.category, "status": row.status.as_str(),
        "price": money(row.price),
    })
}
