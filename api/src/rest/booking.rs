//! S2: seats are locked, booked and paid for, in camelCase. And payments of every diagram.

use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use holdfast_domain::reservation::Channel;
use holdfast_domain::seatmap::{Pick, Seats};
use holdfast_engine::{
    LineRequest, LockSeats, Locked, PaymentAnswer, PaymentOutcome, ReservationAnswer, StartPayment,
};
use serde_json::{Value, json};

use super::answer::{Said, once, refusal};
use super::input::{self, Asked, BookingBody, LockBody, Nothing, PayBody, PickBody};
use super::read::money;
use crate::door::Door;
use crate::names;
use crate::no::{Code, No};
use crate::ops;
use crate::view::{PaymentView, ReservationView, word};
use crate::who::Who;

/// `POST /api/v1/seats/lock`
pub(crate) async fn lock(
    State(door): State<Arc<Door>>,
    Extension(who): Extension<Who>,
    Asked { how, body }: Asked<LockBody>,
) -> Response {
    once(&door, &who, &how, wish(body), |locked| Ok(shown_lock(locked))).await
}

fn wish(body: LockBody) -> Result<LockSeats, No> {
    let seats = match (body.seat_ids, body.auto_assign) {
        (Some(seats), None) => Seats::Named(input::seats(seats)?),
        (None, Some(wish)) => Seats::Best(pick(wish)?),
        (Some(_), Some(_)) | (None, None) => {
            return Err(No::invalid("name seatIds or ask for autoAssign, one of the two"));
        }
    };
    let seat_map_id = input::seat_map(&body.seat_map_id)?;
    Ok(LockSeats { seat_map_id, seats, suggest: body.suggest })
}

fn pick(wish: PickBody) -> Result<Pick, No> {
    let quantity = input::quantity(wish.quantity)?;
    Ok(Pick { quantity, section: wish.section, category: wish.category })
}

fn shown_lock(locked: &Locked) -> Said {
    let body = json!({
        "lockId": names::lock(&locked.lock_id, &locked.seat_map_id),
        "seatMapId": locked.seat_map_id,
        "seatIds": locked.seat_ids,
        "expiresAt": locked.expires_at,
    });
    Said::new(StatusCode::OK, body)
}

/// `DELETE /api/v1/seats/lock/{lockId}`
pub(crate) async fn release(
    State(door): State<Arc<Door>>,
    Extension(who): Extension<Who>,
    Path(lock): Path<String>,
    Asked { how, .. }: Asked<Nothing>,
) -> Response {
    let op = names::read_lock(&lock).ok_or_else(|| No::absent("seat lock"));
    let shown = op.as_ref().map(|(lock, map)| names::lock(lock, map)).unwrap_or_default();
    let op = op.map(|(lock, map)| ops::ReleaseSeatLock(lock, map));
    let said = json!({"lockId": shown, "released": true});
    once(&door, &who, &how, op, |_| Ok(Said::new(StatusCode::OK, said))).await
}

/// `POST /api/v1/bookings`
pub(crate) async fn book(
    State(door): State<Arc<Door>>,
    Extension(who): Extension<Who>,
    Asked { how, body }: Asked<BookingBody>,
) -> Response {
    let op =
        line(body).map(|line| ops::CreateReservation { lines: vec![line], channel: Channel::Rest });
    once(&door, &who, &how, op, |made| Ok(shown_booking(&view(made)?))).await
}

fn line(body: BookingBody) -> Result<LineRequest, No> {
    match (body.lock_id, body.seat_map_id, body.seat_ids, body.auto_assign) {
        (Some(lock), None, None, None) => {
            let (lock_id, seat_map_id) =
                names::read_lock(&lock).ok_or_else(|| No::absent("seat lock"))?;
            Ok(LineRequest::Lock { lock_id, seat_map_id })
        }
        (None, Some(map), Some(seats), None) => Ok(LineRequest::Seats {
            seat_map_id: input::seat_map(&map)?,
            seat_ids: input::seats(seats)?,
        }),
        (None, Some(map), None, Some(wish)) => {
            Ok(LineRequest::Best { seat_map_id: input::seat_map(&map)?, pick: pick(wish)? })
        }
        _ => Err(No::invalid("name a lockId; or a seatMapId with seatIds or autoAssign")),
    }
}

pub(crate) fn view(made: &ReservationAnswer) -> Result<ReservationView, No> {
    ReservationView::of_answer(made).ok_or_else(|| No::absent("reservation"))
}

fn shown_booking(view: &ReservationView) -> Said {
    let body = json!({
        "bookingId": names::reservation(&view.id),
        "status": word(&view.status),
        "sagaState": view.saga_state,
        "version": view.version,
        "expiresAt": view.hold_expires_at,
        "total": money(view.total),
    });
    Said::new(StatusCode::CREATED, body).version(view.version)
}

/// In whose words a payment is answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Words {
    /// S0, S3, S4.
    Snake,
    /// S2.
    Camel,
}

/// `POST /payments` and `POST /payments/confirm`: the reservation stands in the body. A body that names
/// a payment asks what became of it.
pub(crate) async fn pay(
    State(door): State<Arc<Door>>,
    Extension(who): Extension<Who>,
    asked: Asked<PayBody>,
) -> Response {
    start(&door, &who, asked, None, Words::Snake).await
}

/// `POST /orders/{id}/pay`
pub(crate) async fn pay_order(
    State(door): State<Arc<Door>>,
    Extension(who): Extension<Who>,
    Path(id): Path<String>,
    asked: Asked<PayBody>,
) -> Response {
    start(&door, &who, asked, Some(id), Words::Snake).await
}

/// `POST /api/v1/bookings/{id}/pay`
pub(crate) async fn pay_booking(
    State(door): State<Arc<Door>>,
    Extension(who): Extension<Who>,
    Path(id): Path<String>,
    asked: Asked<PayBody>,
) -> Response {
    start(&door, &who, asked, Some(id), Words::Camel).await
}

async fn start(
    door: &Door,
    who: &Who,
    asked: Asked<PayBody>,
    in_path: Option<String>,
    words: Words,
) -> Response {
    let Asked { how, body } = asked;
    match (in_path, body.reservation_id, body.payment_id) {
        (None, None, Some(payment)) => {
            if body.payment_method.is_some() || body.gateway.is_some() {
                let no = No::invalid("a payment that was begun is asked about by its id alone");
                return no.into_response();
            }
            let op = names::read_payment(&payment).ok_or_else(|| No::absent("payment"));
            let op = op.map(ops::ConfirmPayment);
            once(door, who, &how, op, |paid| shown_payment(paid, words)).await
        }
        (Some(id), None, None) | (None, Some(id), None) => {
            let hosted = body.payment_method.is_none();
            let op = input::reservation(&id).map(|reservation_id| StartPayment {
                reservation_id,
                gateway: body.gateway,
                method: body.payment_method,
                hosted,
            });
            once(door, who, &how, op, |paid| shown_payment(paid, words)).await
        }
        (_, _, _) => No::malformed("name the reservation (order_id), once").into_response(),
    }
}

fn shown_payment(paid: &PaymentAnswer, words: Words) -> Result<Said, No> {
    let absent = || No::absent("payment");
    let payment = PaymentView::of_answer(paid).ok_or_else(absent)?;
    let reservation =
        ReservationView::of_state(paid.reservation_id, &paid.reservation, paid.done.position)
            .ok_or_else(absent)?;
    if let PaymentOutcome::Declined { decline_code, retryable } = &paid.outcome {
        let no = No::new(Code::PaymentDeclined, Code::PaymentDeclined.title());
        return Ok(refusal(
            &no,
            &[
                ("decline_code", json!(decline_code)),
                ("retryable", json!(retryable)),
                ("payment_id", names::payment(&payment.id).into()),
                ("payment_status", word(&payment.status).into()),
                ("reservation_id", names::reservation(&reservation.id).into()),
                ("reservation_status", word(&reservation.status).into()),
            ],
        ));
    }
    let open = matches!(
        payment.status,
        holdfast_domain::payment::Status::Pending
            | holdfast_domain::payment::Status::RequiresAction
    );
    let status = if open { StatusCode::ACCEPTED } else { StatusCode::OK };
    let action = match &paid.outcome {
        PaymentOutcome::ActionRequired { kind, url } => Some((kind, url)),
        PaymentOutcome::Settled | PaymentOutcome::Declined { .. } | PaymentOutcome::Pending => None,
    };
    let id = names::payment(&payment.id);
    let reservation_id = names::reservation(&reservation.id);
    let (payment_word, reservation_word) = (word(&payment.status), word(&reservation.status));
    let mut body = match words {
        Words::Snake => json!({
            "payment_id": id, "status": payment_word, "reservation_id": reservation_id,
            "reservation_status": reservation_word, "amount": money(payment.amount),
        }),
        Words::Camel => json!({
            "paymentId": id, "status": payment_word, "bookingId": reservation_id,
            "bookingStatus": reservation_word, "sagaState": reservation.saga_state,
            "amount": money(payment.amount),
            // The contract's names stand beside the diagram's.
            "payment_id": id, "reservation_status": reservation_word,
        }),
    };
    if let Some((kind, url)) = action {
        body["next_action"] = json!({"kind": kind, "url": url});
        body["redirectUrl"] = url.clone().map_or(Value::Null, Value::from);
    }
    let mut said = Said::new(status, body).version(reservation.version);
    said.last = !open || action.is_some();
    Ok(said)
}
