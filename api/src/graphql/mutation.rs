//! What can be done. Each field names its operation, reads its input, and shows what came of it;
//! what the rules refuse is a value of the union, what is no refusal is an error.

use async_graphql::{Context, Object};
use holdfast_domain::{reservation::Channel, ticket};
use holdfast_engine::side::StoredAnswer;
use holdfast_engine::{CheckIn, Done, PaymentAnswer, PaymentOutcome, Request, ReservationAnswer};
use holdfast_store::Position;

use super::common::{Asking, Highest, Traceparent, error};
use super::input::{
    self, CheckInTicketInput, ConfirmPaymentInput, CreateItemInput, CreateReservationInput,
    LockSeatsInput, PublishSeatMapInput, RedriveInput, RefundPaymentInput, ReleaseSeatLockInput,
    ReservationInput, SalesInput, SeatsInput, StartPaymentInput, StockInput,
};
use super::outcome::{
    Accepted, CheckInResult, CheckInSuccess, CreateReservationResult, LockSeatsResult,
    LockSeatsSuccess, OperatorResult, PaymentResult, PaymentSuccess, ReservationResult,
    ReservationSuccess,
};
use super::payment::{NextAction, Payment};
use super::refusal::{PaymentDeclined, RefusalCode, Sorted};
use super::reservation::Reservation;
use super::ticket::{Ticket, TicketStatus};
use crate::door::{Door, How, trouble};
use crate::names;
use crate::no::{Code, No};
use crate::ops::{self, Operation, Recorded};
use crate::view::{PaymentView, ReservationView};

type Answer<T> = async_graphql::Result<T>;

pub(crate) struct ShopMutation;

#[Object]
impl ShopMutation {
    async fn lock_seats(
        &self,
        ctx: &Context<'_>,
        input: LockSeatsInput,
    ) -> Answer<LockSeatsResult> {
        let key = input.idempotency_key.clone();
        answer(locked(ctx, key, input).await)
    }

    async fn release_seat_lock(
        &self,
        ctx: &Context<'_>,
        input: ReleaseSeatLockInput,
    ) -> Answer<OperatorResult> {
        let op = names::read_lock(&input.lock_id).ok_or_else(|| No::absent("seat lock"));
        let op = op.map(|(lock, map)| ops::ReleaseSeatLock(lock, map));
        operator(ctx, input.idempotency_key, op).await
    }

    async fn create_reservation(
        &self,
        ctx: &Context<'_>,
        input: CreateReservationInput,
    ) -> Answer<CreateReservationResult> {
        let key = input.idempotency_key.clone();
        let op =
            input.read().map(|lines| ops::CreateReservation { lines, channel: Channel::Graphql });
        let done = perform(ctx, key, None, op).await;
        answer(done.and_then(|done| success(&done)).map(CreateReservationResult::Success))
    }

    /// OPERATE
    async fn extend_hold(
        &self,
        ctx: &Context<'_>,
        input: ReservationInput,
    ) -> Answer<ReservationResult> {
        let op = input::reservation_id(&input.reservation_id).map(ops::ExtendHold);
        let done = perform(ctx, input.idempotency_key, input.expected_version, op).await;
        answer(done.and_then(|done| success(&done)).map(ReservationResult::Success))
    }

    async fn cancel_reservation(
        &self,
        ctx: &Context<'_>,
        input: ReservationInput,
    ) -> Answer<ReservationResult> {
        let op = input::reservation_id(&input.reservation_id).map(ops::CancelReservation);
        let done = perform(ctx, input.idempotency_key, input.expected_version, op).await;
        answer(done.and_then(|done| success(&done)).map(ReservationResult::Success))
    }

    /// Answers when the outcome is known, or after 10 s with the payment PENDING.
    async fn start_payment(
        &self,
        ctx: &Context<'_>,
        input: StartPaymentInput,
    ) -> Answer<PaymentResult> {
        let (key, version) = (input.idempotency_key.clone(), input.expected_version);
        answer(perform(ctx, key, version, input.read()).await.and_then(|done| paid(&done)))
    }

    async fn confirm_payment(
        &self,
        ctx: &Context<'_>,
        input: ConfirmPaymentInput,
    ) -> Answer<PaymentResult> {
        let op = input::payment_id(&input.payment_id).map(ops::ConfirmPayment);
        let done = perform(ctx, input.idempotency_key, None, op).await;
        answer(done.and_then(|done| paid(&done)))
    }

    /// OPERATE
    async fn refund_payment(
        &self,
        ctx: &Context<'_>,
        input: RefundPaymentInput,
    ) -> Answer<PaymentResult> {
        let amount = input.amount.map(|amount| amount.read()).transpose();
        let op = input::payment_id(&input.payment_id).and_then(|payment_id| {
            Ok(ops::RefundPayment { payment_id, amount: amount?, reason: input.reason })
        });
        let done = perform(ctx, input.idempotency_key, None, op).await;
        answer(done.and_then(|done| paid(&done)))
    }

    /// MANAGE_CATALOG
    async fn create_item(
        &self,
        ctx: &Context<'_>,
        input: CreateItemInput,
    ) -> Answer<OperatorResult> {
        let key = input.idempotency_key.clone();
        operator(ctx, key, input.read().map(|(sku, about)| ops::CreateItem(sku, about))).await
    }

    /// MANAGE_INVENTORY
    async fn receive_stock(&self, ctx: &Context<'_>, input: StockInput) -> Answer<OperatorResult> {
        let op = input::item_sku(&input.sku)
            .and_then(|sku| Ok(ops::ReceiveStock(sku, input::count(input.quantity)?)));
        operator(ctx, input.idempotency_key, op).await
    }

    /// MANAGE_INVENTORY; quantity may be negative
    async fn adjust_stock(&self, ctx: &Context<'_>, input: StockInput) -> Answer<OperatorResult> {
        let reason = input.reason.unwrap_or_default();
        let op = input::item_sku(&input.sku)
            .map(|sku| ops::AdjustStock(sku, i64::from(input.quantity), reason));
        operator(ctx, input.idempotency_key, op).await
    }

    /// MANAGE_SEATMAPS. On an id that exists it changes the plan: refused when a seat that would vanish
    /// is not free.
    async fn publish_seat_map(
        &self,
        ctx: &Context<'_>,
        input: PublishSeatMapInput,
    ) -> Answer<OperatorResult> {
        let key = input.idempotency_key.clone();
        operator(ctx, key, input.read().map(|(map, plan)| ops::PublishSeatMap(map, plan))).await
    }

    /// MANAGE_SEATMAPS
    async fn block_seats(&self, ctx: &Context<'_>, input: SeatsInput) -> Answer<OperatorResult> {
        let reason = input.reason.unwrap_or_default();
        let op = input::seat_map_id(&input.seat_map_id).and_then(|map| {
            Ok(ops::BlockSeats(map, input::seats_of_any_number(&input.seat_ids)?, reason))
        });
        operator(ctx, input.idempotency_key, op).await
    }

    /// MANAGE_SEATMAPS
    async fn unblock_seats(&self, ctx: &Context<'_>, input: SeatsInput) -> Answer<OperatorResult> {
        let op = input::seat_map_id(&input.seat_map_id).and_then(|map| {
            Ok(ops::UnblockSeats(map, input::seats_of_any_number(&input.seat_ids)?))
        });
        operator(ctx, input.idempotency_key, op).await
    }

    /// MANAGE_INVENTORY
    async fn set_sales(&self, ctx: &Context<'_>, input: SalesInput) -> Answer<OperatorResult> {
        let op = input::item_sku(&input.sku).map(|sku| ops::SetSales(sku, input.open));
        operator(ctx, input.idempotency_key, op).await
    }

    /// CHECK_IN
    async fn check_in_ticket(
        &self,
        ctx: &Context<'_>,
        input: CheckInTicketInput,
    ) -> Answer<CheckInResult> {
        answer(checked_in(ctx, input).await)
    }

    /// OPERATE
    async fn redrive_dead_letter(
        &self,
        ctx: &Context<'_>,
        input: RedriveInput,
    ) -> Answer<OperatorResult> {
        let op = names::read_dead_letter(&input.dead_letter_id)
            .ok_or_else(|| No::absent("dead letter"))
            .map(ops::Redrive);
        operator(ctx, input.idempotency_key, op).await
    }
}

/// A refusal becomes the union's value, a trouble an error.
pub(super) fn answer<T: From<Sorted>>(result: Result<T, No>) -> Answer<T> {
    match result {
        Ok(answer) => Ok(answer),
        Err(no) => Sorted::of(no).map(T::from).map_err(error),
    }
}

/// Judges the rule, then the input, then asks. Whoever may not ask learns nothing of the input.
pub(super) async fn perform<O: Operation<Answer: Recorded>>(
    ctx: &Context<'_>,
    key: String,
    expected_version: Option<i32>,
    op: Result<O, No>,
) -> Result<O::Answer, No> {
    ctx.who().passes_field(&format!("Mutation.{}", O::NAME))?;
    let op = op?;
    let how = How {
        key,
        if_version: input::expected(expected_version)?,
        traceparent: ctx.data_unchecked::<Traceparent>().0.clone(),
    };
    let request = ctx.door().request(ctx.who(), &how, &op)?;
    let answer = ctx.door().perform(&request, op).await?;
    let answer = as_first(ctx.door(), &request, answer).await?;
    ctx.data_unchecked::<Highest>().note(&answer.done());
    Ok(answer)
}

/// A repeat is answered as the request was at first. The body of the answer is not kept, since each
/// document asks for other fields; the position at which it was true is, and the log tells the rest.
async fn as_first<A: Recorded>(door: &Door, request: &Request, answer: A) -> Result<A, No> {
    let (id, side) = (request.command_id(), door.engine.side());
    let done = answer.done();
    if done.replayed {
        let kept = side.answer(id).await;
        let kept = kept.filter(|kept| kept.fingerprint == request.fingerprint && kept.position > 0);
        if let Some(kept) = kept {
            return Ok(answer.given(&door.engine, Position(kept.position)).await?);
        }
    }
    if answer.last() {
        let kept = StoredAnswer {
            fingerprint: request.fingerprint.clone(),
            status: 200,
            body: String::new(),
            headers: Vec::new(),
            position: done.position.0,
            at: door.engine.now(),
        };
        side.keep_answer(id, kept);
    }
    Ok(answer)
}

pub(super) async fn operator<O: Operation<Answer = Done>>(
    ctx: &Context<'_>,
    key: String,
    op: Result<O, No>,
) -> Answer<OperatorResult> {
    let done = perform(ctx, key, None, op).await;
    answer(done.map(|done| OperatorResult::Accepted(Accepted { position: done.position.into() })))
}

async fn locked(
    ctx: &Context<'_>,
    key: String,
    input: LockSeatsInput,
) -> Result<LockSeatsResult, No> {
    let lock = perform(ctx, key, None, input.read()).await?;
    let position = lock.done.position.into();
    Ok(LockSeatsResult::Success(LockSeatsSuccess { lock: lock.into(), position }))
}

pub(super) fn success(done: &ReservationAnswer) -> Result<ReservationSuccess, No> {
    Ok(ReservationSuccess {
        reservation: shown(ReservationView::of_answer(done))?,
        position: done.done.position.into(),
        replayed: done.done.replayed,
    })
}

fn shown(view: Option<ReservationView>) -> Result<Reservation, No> {
    view.map(Reservation).ok_or_else(|| No::absent("reservation"))
}

fn paid(done: &PaymentAnswer) -> Result<PaymentResult, No> {
    let view =
        ReservationView::of_state(done.reservation_id, &done.reservation, done.done.position);
    let reservation = shown(view)?;
    let next_action = match &done.outcome {
        PaymentOutcome::Declined { decline_code, retryable } => {
            return Ok(PaymentResult::PaymentDeclined(PaymentDeclined {
                code: RefusalCode::PaymentDeclined,
                message: Code::PaymentDeclined.title().into(),
                decline_code: decline_code.clone(),
                retryable: *retryable,
                reservation,
            }));
        }
        PaymentOutcome::ActionRequired { kind, url } => {
            Some(NextAction { kind: kind.clone(), url: url.clone() })
        }
        PaymentOutcome::Settled | PaymentOutcome::Pending => None,
    };
    let payment = PaymentView::of_answer(done).ok_or_else(|| No::absent("payment"))?;
    Ok(PaymentResult::Success(PaymentSuccess {
        payment: Payment::from(payment),
        reservation,
        next_action,
        position: done.done.position.into(),
        replayed: done.done.replayed,
    }))
}

async fn checked_in(ctx: &Context<'_>, input: CheckInTicketInput) -> Result<CheckInResult, No> {
    let op = ctx.door().config.tickets.verify(&input.qr_payload);
    let op = op.map_err(|error| No::invalid(error.to_string())).map(|code| CheckIn {
        ticket_id: code.ticket_id,
        nonce: input.nonce,
        gate: input.gate,
    });
    let (id, state, done) = perform(ctx, input.idempotency_key, None, op).await?;
    ctx.door().settle(done.position).await;
    let row = ctx.door().reads.ticket(&id).await.map_err(trouble)?;
    let row = row.ok_or_else(|| No::new(Code::StaleRead, "the ticket cannot be shown yet"))?;
    let ticket = Ticket::from(row).with_status(status(&state));
    let position = done.position.into();
    Ok(CheckInResult::Success(CheckInSuccess { ticket, position }))
}

fn status(state: &ticket::State) -> TicketStatus {
    if state.revoked {
        TicketStatus::Revoked
    } else if state.check_ins.is_empty() {
        TicketStatus::Valid
    } else {
        TicketStatus::CheckedIn
    }
}
