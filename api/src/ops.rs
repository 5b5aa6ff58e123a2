//! What can be asked of the engine, once for both doors: each operation has its name, its canonical
//! input (for the fingerprint) and its call. REST and GraphQL differ only in how they are written.

mod fleet;

use std::future::Future;

use holdfast_domain::{
    LockId, Money, PaymentId, ReservationId, SeatId, SeatMapId, Sku, TicketId, item, payment,
    reservation, seatmap, ticket,
};
use holdfast_engine::{
    AsOf, CheckIn, Done, Engine, LineRequest, LockSeats, Locked, PaymentAnswer, PaymentOutcome,
    Rejection, Request, ReservationAnswer, StartPayment,
};
use holdfast_store::Position;
use serde_json::{Value, json};

pub(crate) use fleet::{
    BookVehicle, CompleteRental, DecideDamageClaim, LockVehicle, RegisterVehicle,
    SetVehicleService, UnlockVehicle, inspect,
};

/// One thing that can be asked.
pub(crate) trait Operation: Send {
    /// Its name in GraphQL; its rule is that of `Mutation.{NAME}`.
    const NAME: &'static str;
    /// The phase of the diagram to which it belongs (S4-29), for traces.
    const PHASE: &'static str;
    /// Whether it takes something away from others for a time: what the hold rate counts.
    const HOLDS: bool = false;
    /// What comes of it.
    type Answer: Send;

    /// What is asked, the same however it was written.
    fn canonical(&self) -> Value;

    /// The longest free text in it, judged before the engine is asked.
    fn texts(&self) -> Vec<(&'static str, &str, usize)> {
        Vec::new()
    }

    /// Asks.
    fn ask(
        self,
        engine: &Engine,
        request: &Request,
    ) -> impl Future<Output = Result<Self::Answer, Rejection>> + Send;
}

/// Answers that say where in the log they are true.
pub(crate) trait Recorded: Sized + Send {
    fn done(&self) -> Done;

    /// Whether this is the last word: a repeat is told the same, and does not look again.
    fn last(&self) -> bool {
        true
    }

    /// The same answer as it was given first, when the log stood at `first`.
    fn given(
        self,
        engine: &Engine,
        first: Position,
    ) -> impl Future<Output = Result<Self, Rejection>> + Send;
}

impl Recorded for Done {
    fn done(&self) -> Done {
        self.clone()
    }

    async fn given(self, _: &Engine, position: Position) -> Result<Self, Rejection> {
        Ok(Self { position, ..self })
    }
}

impl Recorded for Locked {
    fn done(&self) -> Done {
        self.done.clone()
    }

    async fn given(mut self, _: &Engine, position: Position) -> Result<Self, Rejection> {
        self.done.position = position;
        Ok(self)
    }
}

impl Recorded for ReservationAnswer {
    fn done(&self) -> Done {
        self.done.clone()
    }

    async fn given(mut self, engine: &Engine, position: Position) -> Result<Self, Rejection> {
        self.done.position = position;
        let then = AsOf::Position(position);
        if let Some(loaded) = engine.load_as_of::<reservation::State>(&self.id, then).await? {
            self.state = loaded.state;
        }
        Ok(self)
    }
}

impl Recorded for PaymentAnswer {
    fn done(&self) -> Done {
        self.done.clone()
    }

    fn last(&self) -> bool {
        matches!(self.outcome, PaymentOutcome::Settled | PaymentOutcome::Declined { .. })
    }

    async fn given(mut self, engine: &Engine, position: Position) -> Result<Self, Rejection> {
        self.done.position = position;
        let then = AsOf::Position(position);
        let id = self.reservation_id;
        if let Some(loaded) = engine.load_as_of::<reservation::State>(&id, then).await? {
            self.reservation = loaded.state;
        }
        let id = self.payment_id;
        if let Some(loaded) = engine.load_as_of::<payment::State>(&id, then).await? {
            self.payment = loaded.state;
        }
        Ok(self)
    }
}

impl Recorded for (TicketId, ticket::State, Done) {
    fn done(&self) -> Done {
        self.2.clone()
    }

    async fn given(mut self, _: &Engine, position: Position) -> Result<Self, Rejection> {
        self.2.position = position;
        Ok(self)
    }
}

const NAME_LEN: usize = 200;
const REASON_LEN: usize = 500;

/// lockSeats.
impl Operation for LockSeats {
    const NAME: &'static str = "lockSeats";
    const PHASE: &'static str = "1-reserve";
    const HOLDS: bool = true;
    type Answer = Locked;

    fn canonical(&self) -> Value {
        json!({"map": self.seat_map_id, "seats": self.seats, "suggest": self.suggest})
    }

    async fn ask(self, engine: &Engine, request: &Request) -> Result<Locked, Rejection> {
        engine.lock_seats(request, self).await
    }
}

pub(crate) struct ReleaseSeatLock(pub(crate) LockId, pub(crate) SeatMapId);

impl Operation for ReleaseSeatLock {
    const NAME: &'static str = "releaseSeatLock";
    const PHASE: &'static str = "1-reserve";
    type Answer = Done;

    fn canonical(&self) -> Value {
        json!([self.0, self.1])
    }

    async fn ask(self, engine: &Engine, request: &Request) -> Result<Done, Rejection> {
        engine.release_seat_lock(request, self.1, self.0).await
    }
}

pub(crate) struct CreateReservation {
    pub(crate) lines: Vec<LineRequest>,
    pub(crate) channel: reservation::Channel,
}

impl Operation for CreateReservation {
    const NAME: &'static str = "createReservation";
    const PHASE: &'static str = "1-reserve";
    const HOLDS: bool = true;
    type Answer = ReservationAnswer;

    fn canonical(&self) -> Value {
        self.lines.iter().map(canonical_line).collect()
    }

    async fn ask(self, engine: &Engine, request: &Request) -> Result<ReservationAnswer, Rejection> {
        engine.create_reservation(request, self.lines, self.channel).await
    }
}

fn canonical_line(line: &LineRequest) -> Value {
    match line {
        LineRequest::Lock { seat_map_id, lock_id } => json!({"lock": [lock_id, seat_map_id]}),
        LineRequest::Seats { seat_map_id, seat_ids } => {
            json!({"map": seat_map_id, "seats": seat_ids})
        }
        LineRequest::Best { seat_map_id, pick } => json!({"map": seat_map_id, "best": pick}),
        LineRequest::Item { sku, quantity, seat_ids, section, period } => json!({
            "sku": sku, "quantity": quantity, "seats": seat_ids, "section": section, "period": period,
        }),
    }
}

/// startPayment.
impl Operation for StartPayment {
    const NAME: &'static str = "startPayment";
    const PHASE: &'static str = "3-payment";
    type Answer = PaymentAnswer;

    fn canonical(&self) -> Value {
        // The token itself is a secret of a kind: only its hash enters, and only into a hash.
        json!({
            "reservation": self.reservation_id, "gateway": self.gateway, "method": self.method,
            "hosted": self.hosted,
        })
    }

    fn texts(&self) -> Vec<(&'static str, &str, usize)> {
        let method = self.method.iter().map(|text| ("a payment method", text.as_str(), 255));
        let gateway = self.gateway.iter().map(|text| ("a gateway's name", text.as_str(), 64));
        method.chain(gateway).collect()
    }

    async fn ask(self, engine: &Engine, request: &Request) -> Result<PaymentAnswer, Rejection> {
        engine.start_payment(request, self).await
    }
}

pub(crate) struct ConfirmPayment(pub(crate) PaymentId);

impl Operation for ConfirmPayment {
    const NAME: &'static str = "confirmPayment";
    const PHASE: &'static str = "3-payment";
    type Answer = PaymentAnswer;

    fn canonical(&self) -> Value {
        json!(self.0)
    }

    async fn ask(self, engine: &Engine, request: &Request) -> Result<PaymentAnswer, Rejection> {
        engine.confirm_payment(request, self.0).await
    }
}

pub(crate) struct CancelReservation(pub(crate) ReservationId);

impl Operation for CancelReservation {
    const NAME: &'static str = "cancelReservation";
    const PHASE: &'static str = "5-compensate";
    type Answer = ReservationAnswer;

    fn canonical(&self) -> Value {
        json!(self.0)
    }

    async fn ask(self, engine: &Engine, request: &Request) -> Result<ReservationAnswer, Rejection> {
        engine.cancel_reservation(request, self.0).await
    }
}

pub(crate) struct ExtendHold(pub(crate) ReservationId);

impl Operation for ExtendHold {
    const NAME: &'static str = "extendHold";
    const PHASE: &'static str = "operate";
    type Answer = ReservationAnswer;

    fn canonical(&self) -> Value {
        json!(self.0)
    }

    async fn ask(self, engine: &Engine, request: &Request) -> Result<ReservationAnswer, Rejection> {
        engine.extend_hold(request, self.0).await
    }
}

pub(crate) struct RefundPayment {
    pub(crate) payment_id: PaymentId,
    pub(crate) amount: Option<Money>,
    pub(crate) reason: Option<String>,
}

impl Operation for RefundPayment {
    const NAME: &'static str = "refundPayment";
    const PHASE: &'static str = "operate";
    type Answer = PaymentAnswer;

    fn canonical(&self) -> Value {
        json!({"payment": self.payment_id, "amount": self.amount, "reason": self.reason})
    }

    fn texts(&self) -> Vec<(&'static str, &str, usize)> {
        self.reason.iter().map(|text| ("a reason", text.as_str(), REASON_LEN)).collect()
    }

    async fn ask(self, engine: &Engine, request: &Request) -> Result<PaymentAnswer, Rejection> {
        engine.refund_payment(request, self.payment_id, self.amount, self.reason).await
    }
}

pub(crate) struct CreateItem(pub(crate) Sku, pub(crate) item::Description);

impl Operation for CreateItem {
    const NAME: &'static str = "createItem";
    const PHASE: &'static str = "operate";
    type Answer = Done;

    fn canonical(&self) -> Value {
        json!([self.0, self.1])
    }

    fn texts(&self) -> Vec<(&'static str, &str, usize)> {
        let category = self.1.category.iter().map(|text| ("a category", text.as_str(), 64));
        category.chain([("a name", self.1.name.as_str(), NAME_LEN)]).collect()
    }

    async fn ask(self, engine: &Engine, request: &Request) -> Result<Done, Rejection> {
        engine.create_item(request, self.0, self.1).await
    }
}

pub(crate) struct ReceiveStock(pub(crate) Sku, pub(crate) u32);

impl Operation for ReceiveStock {
    const NAME: &'static str = "receiveStock";
    const PHASE: &'static str = "operate";
    type Answer = Done;

    fn canonical(&self) -> Value {
        json!([self.0, self.1])
    }

    async fn ask(self, engine: &Engine, request: &Request) -> Result<Done, Rejection> {
        engine.receive_stock(request, self.0, self.1).await
    }
}

pub(crate) struct AdjustStock(pub(crate) Sku, pub(crate) i64, pub(crate) String);

impl Operation for AdjustStock {
    const NAME: &'static str = "adjustStock";
    const PHASE: &'static str = "operate";
    type Answer = Done;

    fn canonical(&self) -> Value {
        json!([self.0, self.1, self.2])
    }

    fn texts(&self) -> Vec<(&'static str, &str, usize)> {
        vec![("a reason", self.2.as_str(), REASON_LEN)]
    }

    async fn ask(self, engine: &Engine, request: &Request) -> Result<Done, Rejection> {
        engine.adjust_stock(request, self.0, self.1, self.2).await
    }
}

pub(crate) struct SetSales(pub(crate) Sku, pub(crate) bool);

impl Operation for SetSales {
    const NAME: &'static str = "setSales";
    const PHASE: &'static str = "operate";
    type Answer = Done;

    fn canonical(&self) -> Value {
        json!([self.0, self.1])
    }

    async fn ask(self, engine: &Engine, request: &Request) -> Result<Done, Rejection> {
        engine.set_sales(request, self.0, self.1).await
    }
}

pub(crate) struct PublishSeatMap(pub(crate) SeatMapId, pub(crate) seatmap::Plan);

impl Operation for PublishSeatMap {
    const NAME: &'static str = "publishSeatMap";
    const PHASE: &'static str = "operate";
    type Answer = Done;

    fn canonical(&self) -> Value {
        json!([self.0, self.1])
    }

    fn texts(&self) -> Vec<(&'static str, &str, usize)> {
        let categories = self.1.categories.iter().map(|c| ("a category", c.name.as_str(), 64));
        categories.chain([("a name", self.1.name.as_str(), NAME_LEN)]).collect()
    }

    async fn ask(self, engine: &Engine, request: &Request) -> Result<Done, Rejection> {
        engine.publish_seat_map(request, self.0, self.1).await
    }
}

pub(crate) struct BlockSeats(pub(crate) SeatMapId, pub(crate) Vec<SeatId>, pub(crate) String);

impl Operation for BlockSeats {
    const NAME: &'static str = "blockSeats";
    const PHASE: &'static str = "operate";
    type Answer = Done;

    fn canonical(&self) -> Value {
        json!([self.0, self.1, self.2])
    }

    fn texts(&self) -> Vec<(&'static str, &str, usize)> {
        vec![("a reason", self.2.as_str(), REASON_LEN)]
    }

    async fn ask(self, engine: &Engine, request: &Request) -> Result<Done, Rejection> {
        engine.block_seats(request, self.0, self.1, self.2).await
    }
}

pub(crate) struct UnblockSeats(pub(crate) SeatMapId, pub(crate) Vec<SeatId>);

impl Operation for UnblockSeats {
    const NAME: &'static str = "unblockSeats";
    const PHASE: &'static str = "operate";
    type Answer = Done;

    fn canonical(&self) -> Value {
        json!([self.0, self.1])
    }

    async fn ask(self, engine: &Engine, request: &Request) -> Result<Done, Rejection> {
        engine.unblock_seats(request, self.0, self.1).await
    }
}

/// checkInTicket; the door has checked the signature.
impl Operation for CheckIn {
    const NAME: &'static str = "checkInTicket";
    const PHASE: &'static str = "operate";
    type Answer = (TicketId, ticket::State, Done);

    fn canonical(&self) -> Value {
        json!([self.ticket_id, self.nonce, self.gate])
    }

    fn texts(&self) -> Vec<(&'static str, &str, usize)> {
        let gate = self.gate.iter().map(|text| ("a gate", text.as_str(), 64));
        gate.chain([("a nonce", self.nonce.as_str(), 255)]).collect()
    }

    async fn ask(self, engine: &Engine, request: &Request) -> Result<Self::Answer, Rejection> {
        engine.check_in(request, self).await
    }
}

pub(crate) struct Redrive(pub(crate) uuid::Uuid);

impl Operation for Redrive {
    const NAME: &'static str = "redriveDeadLetter";
    const PHASE: &'static str = "operate";
    type Answer = Done;

    fn canonical(&self) -> Value {
        json!(self.0)
    }

    async fn ask(self, engine: &Engine, request: &Request) -> Result<Done, Rejection> {
        engine.redrive(request, self.0).await
    }
}
