//! S3 and S4: orders, in snake_case.

use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use holdfast_domain::reservation::Channel;
use holdfast_engine::LineRequest;
use serde_json::json;

use super::answer::{Said, once};
use super::booking::view;
use super::input::{self, Asked, Nothing, OrderBody};
use super::read::money;
use crate::door::Door;
use crate::names;
use crate::no::No;
use crate::ops;
use crate::view::{ReservationView, word};
use crate::who::Who;

/// `POST /orders`
pub(crate) async fn create(
    State(door): State<Arc<Door>>,
    Extension(who): Extension<Who>,
    Asked { how, body }: Asked<OrderBody>,
) -> Response {
    let op =
        line(body).map(|line| ops::CreateReservation { lines: vec![line], channel: Channel::Rest });
    let say = |made: &_| Ok(shown(StatusCode::CREATED, &view(made)?));
    once(&door, &who, &how, op, say).await
}

fn line(body: OrderBody) -> Result<LineRequest, No> {
    let OrderBody { ticket_id, qty, seat_ids, section } = body;
    let Some(ticket) = ticket_id else {
        return Err(No::invalid("name a ticket_id and a qty; there are no carts yet"));
    };
    let seat_ids = seat_ids.map(input::seats).transpose()?.unwrap_or_default();
    let qty = qty.map(input::quantity).transpose()?;
    let quantity = match (qty, seat_ids.len()) {
        (Some(qty), 0) => qty,
        (Some(qty), seats) if qty as usize == seats => qty,
        (None, seats) if seats > 0 => u32::try_from(seats).unwrap_or(u32::MAX),
        (Some(_), _) => return Err(No::invalid("qty is the number of seat_ids")),
        (None, _) => return Err(No::invalid("name a qty")),
    };
    if section.is_some() && !seat_ids.is_empty() {
        return Err(No::invalid("name seat_ids or a section, not both"));
    }
    Ok(LineRequest::Item { sku: input::sku(&ticket)?, quantity, seat_ids, section, period: None })
}

fn shown(status: StatusCode, view: &ReservationView) -> Said {
    let seats: Vec<_> = view.lines.iter().flat_map(|line| &line.seat_ids).collect();
    let body = json!({
        "order_id": names::reservation(&view.id),
        "status": word(&view.status),
        "version": view.version,
        "expires_at": view.hold_expires_at,
        "total": money(view.total),
        "seat_ids": seats,
    });
    Said::new(status, body).version(view.version)
}

/// `PATCH /orders/{id}/cancel`
pub(crate) async fn cancel(
    State(door): State<Arc<Door>>,
    Extension(who): Extension<Who>,
    Path(id): Path<String>,
    Asked { how, .. }: Asked<Nothing>,
) -> Response {
    let op = input::reservation(&id).map(ops::CancelReservation);
    once(&door, &who, &how, op, |made| Ok(shown(StatusCode::OK, &view(made)?))).await
}
