//! A small world: an engine on a memory store, a clock that is moved by hand, a bank, and customers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use holdfast_domain::item::{self, Kind};
use holdfast_domain::process::Process;
use holdfast_domain::reservation::{self, Channel, LatePayment, OnDecline, Status};
use holdfast_domain::seatmap::{self, Category, Plan, Seats, Section};
use holdfast_domain::{
    By, Currency, Decider, LockId, Money, PaymentId, ReservationId, SeatId, SeatMapId, Sku,
    Timestamp, UserId, inventory, limit, payment,
};
use holdfast_schemas::Actor;
use holdfast_store::memory::Memory;
use holdfast_store::{
    AppendError, Appended, Direction, EventStore, Filter, Page, Position, ReadError, RecordedEvent,
    StreamAppend, StreamId,
};
use tokio::sync::watch;

use super::bank::{Bank, Notice};
use super::link::SimLink;
use crate::clock::SimClock;
use crate::ports::Clock;
use crate::settings::Protections;
use crate::side::Side;
use crate::snapshots::Snapshots;
use crate::{
    Caller, Engine, LineRequest, LockSeats, Locked, Parts, PaymentAnswer, Rejection, Request,
    ReservationAnswer, Running, SeededIds, Settings, StartPayment,
};

pub(super) const NOON: Timestamp = Timestamp::from_secs(1_795_262_400);
pub(super) const HALL: &str = "hall";
pub(super) const CONCERT: &str = "concert";
pub(super) const SHIRT: &str = "shirt";
pub(super) const PRICE: i64 = 4_500;

/// A store that dies at a given append, before or after it was recorded. The dead do not answer.
pub(super) struct Mortal {
    inner: Arc<dyn EventStore>,
    left: AtomicI64,
    after: bool,
    dead: AtomicBool,
    died: watch::Sender<bool>,
    /// Appends fail with this while set, and nothing is recorded.
    full: AtomicBool,
    /// The next append is lost without a word, and the store is full from then on.
    vague: AtomicBool,
    /// The log as a whole is not read while this is set.
    unreadable: AtomicBool,
    /// The log as a whole is told to be damaged while this is set.
    damaged: AtomicBool,
    /// How many appends are recorded while their answer is lost.
    lost_answers: AtomicI64,
    /// Appends of this kind of event are refused while it is set.
    refused: watch::Sender<Option<&'static str>>,
    /// Appends of this kind of event wait while it is set.
    stalled: watch::Sender<Option<&'static str>>,
}

impl Mortal {
    pub(super) fn immortal(inner: Arc<dyn EventStore>) -> Arc<Self> {
        Self::dying_at(inner, i64::MAX, false)
    }

    pub(super) fn dying_at(inner: Arc<dyn EventStore>, append: i64, after: bool) -> Arc<Self> {
        Arc::new(Self {
            inner,
            left: AtomicI64::new(append),
            after,
            dead: AtomicBool::new(false),
            died: watch::Sender::new(false),
            full: AtomicBool::new(false),
            vague: AtomicBool::new(false),
            unreadable: AtomicBool::new(false),
            damaged: AtomicBool::new(false),
            lost_answers: AtomicI64::new(0),
            refused: watch::Sender::new(None),
            stalled: watch::Sender::new(None),
        })
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    pub(super) fn fill(&self, full: bool) {
        self.full.store(full, Ordering::SeqCst);
    }

    /// Appends with an event of that kind wait from now on; none: they go on.
    pub(super) fn stall(&self, kind: Option<&'static str>) {
        self.stalled.send_replace(kind);
    }

    /// Appends with an event of that kind are refused from now on; none: they are taken.
    pub(super) fn refuse(&self, kind: Option<&'static str>) {
        self.refused.send_replace(kind);
    }

    /// The next append is lost without a word, and the store is full from then on.
    pub(super) fn fill_vaguely(&self) {
        self.vague.store(true, Ordering::SeqCst);
    }

    /// From now on the disk does not answer those who read the whole log, or does so again.
    pub(super) fn unreadable(&self, unreadable: bool) {
        self.unreadable.store(unreadable, Ordering::SeqCst);
    }

    /// From now on whoever reads the whole log meets damage.
    pub(super) fn damage(&self) {
        self.damaged.store(true, Ordering::SeqCst);
    }

    /// The next appends are recorded, and their answers are lost on the way.
    pub(super) fn lose_answers(&self, count: i64) {
        self.lost_answers.store(count, Ordering::SeqCst);
    }

    pub(super) async fn died(&self) {
        let mut died = self.died.subscribe();
        let _ = died.wait_for(|died| *died).await;
    }

    async fn alive(&self) {
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
    }

    async fn die(&self) {
        self.dead.store(true, Ordering::SeqCst);
        self.died.send_replace(true);
        std::future::pending::<()>().await;
    }
}

#[async_trait]
impl EventStore for Mortal {
    async fn append(&self, batches: Vec<StreamAppend>) -> Result<Appended, AppendError> {
        self.alive().await;
        if self.vague.swap(false, Ordering::SeqCst) {
            self.fill(true);
            return Err(AppendError::Unknown("the connection broke".into()));
        }
        if self.full.load(Ordering::SeqCst) {
            return Err(AppendError::Full);
        }
        let of =
            |kind: &str| batches.iter().flat_map(|batch| &batch.events).any(|e| e.kind == kind);
        if self.refused.borrow().is_some_and(of) {
            return Err(AppendError::Invalid("not this one".into()));
        }
        let mut stalled = self.stalled.subscribe();
        let _ = stalled.wait_for(|kind| !kind.is_some_and(of)).await;
        let last = self.left.fetch_sub(1, Ordering::SeqCst) == 0;
        if last && !self.after {
            self.die().await;
        }
        let outcome = self.inner.append(batches).await;
        if last {
            self.die().await;
        }
        if self.lost_answers.fetch_sub(1, Ordering::SeqCst) > 0 {
            return Err(AppendError::Unknown("the connection broke".into()));
        }
        outcome
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        from: u64,
        direction: Direction,
        max: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.alive().await;
        self.inner.read_stream(stream, from, direction, max).await
    }

    async fn read_all(
        &self,
        from: Position,
        filter: &Filter,
        max: usize,
    ) -> Result<Page, ReadError> {
        self.alive().await;
        if self.unreadable.load(Ordering::SeqCst) {
            return Err(ReadError::Io("the disk does not answer".into()));
        }
        if self.damaged.load(Ordering::SeqCst) {
            return Err(ReadError::Damaged {
                segment: "00000000000000000001.log".into(),
                offset: 4_096,
                position: from,
                what: "a flipped bit".into(),
            });
        }
        self.inner.read_all(from, filter, max).await
    }

    fn head(&self) -> Position {
        self.inner.head()
    }

    fn watch_head(&self) -> watch::Receiver<Position> {
        self.inner.watch_head()
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}

pub(super) struct World {
    pub(super) sim: SimClock,
    pub(super) log: Arc<dyn EventStore>,
    pub(super) store: Arc<Mortal>,
    pub(super) bank: Arc<Bank>,
    pub(super) link: Arc<SimLink>,
    pub(super) side: Side,
    pub(super) snapshots: Snapshots,
    pub(super) settings: Settings,
    pub(super) protections: Protections,
    pub(super) engine: Engine,
    running: Option<Running>,
    lives: u64,
}

/// The numbers of these tests: the contract's, but no extension at payment unless a test wants it.
pub(super) fn settings() -> Settings {
    Settings { payment_extension: Duration::ZERO, ..Settings::default() }
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(settings(), Protections::default()).await
    }

    pub(super) async fn with(settings: Settings, protections: Protections) -> Self {
        let sim = SimClock::at(NOON);
        let wall = sim.clone();
        let clock = holdfast_store::Clock::new(move || wall.wall().micros());
        let log: Arc<dyn EventStore> = Arc::new(Memory::with_clock(clock));
        let store = Mortal::immortal(log.clone());
        let side = Side::in_memory().await.expect("memory");
        let bank = Arc::new(Bank::new());
        let link = Arc::new(SimLink::default());
        let parts = Parts {
            store: store.clone(),
            clock: Arc::new(sim.clone()),
            ids: Arc::new(SeededIds::new(1)),
            gateways: vec![bank.clone()],
            vehicles: link.clone(),
            side: side.clone(),
            snapshots: Snapshots::none(),
            settings: settings.clone(),
        };
        let (engine, running) = start(parts, protections).await;
        link.serves(&engine);
        Self {
            sim,
            log,
            store,
            bank,
            link,
            side,
            snapshots: Snapshots::none(),
            settings,
            protections,
            engine,
            running: Some(running),
            lives: 1,
        }
    }

    /// How often the process was started.
    pub(super) fn lives(&self) -> u64 {
        self.lives
    }

    /// The process dies and is started again; the log is as it is.
    pub(super) async fn restart(&mut self) {
        self.restart_on(Mortal::immortal(self.log.clone())).await;
    }

    /// Ends when a part of the engine has died.
    pub(super) async fn died(&mut self) -> crate::Died {
        self.running.as_mut().expect("it runs").failed().await
    }

    /// The process ends in good order.
    pub(super) async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
    }

    /// The same, and what is derived in the side file is lost with it.
    pub(super) async fn restart_without_side(&mut self) {
        self.running = None;
        self.lose_side().await;
        self.restart().await;
    }

    pub(super) async fn restart_on(&mut self, store: Arc<Mortal>) {
        self.running = None;
        self.lives += 1;
        self.store = store;
        let parts = Parts {
            store: self.store.clone(),
            clock: Arc::new(self.sim.clone()),
            ids: Arc::new(SeededIds::new(self.lives)),
            gateways: vec![self.bank.clone()],
            vehicles: self.link.clone(),
            side: self.side.clone(),
            snapshots: self.snapshots.clone(),
            settings: self.settings.clone(),
        };
        self.link.revive();
        let (engine, running) = start(parts, self.protections).await;
        self.link.serves(&engine);
        self.engine = engine;
        self.running = Some(running);
    }

    /// The side file's derived tables are lost.
    pub(super) async fn lose_side(&self) {
        self.side.lose_what_is_derived().await;
    }

    /// A second node on the same log, with its own memory; the processes' owner is the first.
    pub(super) async fn second_node(&self) -> (Engine, Running) {
        let side = Side::in_memory().await.expect("memory");
        let parts = Parts {
            store: self.log.clone(),
            clock: Arc::new(self.sim.clone()),
            ids: Arc::new(SeededIds::new(99)),
            gateways: vec![self.bank.clone()],
            vehicles: Arc::new(crate::ports::NoLink),
            side,
            snapshots: Snapshots::none(),
            settings: self.settings.clone(),
        };
        Engine::start_with(parts, self.protections, &[]).await.expect("a good start")
    }

    /// Time goes by, and what is due then happens.
    pub(super) async fn pass(&self, span: Duration) {
        self.engine.quiet().await;
        self.sim.advance(span);
        for _ in 0..400 {
            // The tick has been woken; it must have its turn before anything is called quiet.
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
            self.engine.quiet().await;
            let now = self.engine.now();
            let due = self
                .engine
                .health()
                .consumers
                .iter()
                .any(|consumer| consumer.next_due.is_some_and(|due| due <= now));
            if !due {
                return;
            }
            self.sim.advance(self.settings.tick);
        }
        panic!("something is due for ever: {:?}", self.engine.health().consumers);
    }

    pub(super) async fn quiet(&self) {
        self.engine.quiet().await;
    }

    /// A hall of two sections, 100 seats, whose sku is a concert; and shirts.
    pub(super) async fn open_the_hall(&self, quota: u32, max_per_user: Option<u32>) {
        self.item(CONCERT, Kind::Ticket, max_per_user).await;
        self.stock(CONCERT, quota).await;
        let section = |name: &str| Section {
            name: name.into(),
            category: "A".into(),
            rows: 5,
            seats_per_row: 10,
        };
        let plan = Plan {
            name: "Hall".into(),
            sku: Some(sku(CONCERT)),
            categories: vec![Category { name: "A".into(), price: eur(PRICE) }],
            sections: vec![section("L"), section("R")],
        };
        let request = operator("publishSeatMap", "hall");
        self.engine.publish_seat_map(&request, hall(), plan).await.expect("a good plan");
    }

    pub(super) async fn item(&self, name: &str, kind: Kind, max_per_user: Option<u32>) {
        let description = item::Description {
            name: name.into(),
            kind,
            category: None,
            price: eur(2_000),
            max_per_user,
            on_decline: OnDecline::Release,
            late_payment: LatePayment::TryReacquire,
            remote_unlock: false,
        };
        let request = operator("createItem", name);
        self.engine.create_item(&request, sku(name), description).await.expect("a good item");
    }

    pub(super) async fn stock(&self, name: &str, quantity: u32) {
        let request = operator("receiveStock", name);
        self.engine.receive_stock(&request, sku(name), quantity).await.expect("stock");
    }

    pub(super) async fn shirts(&self, quantity: u32) {
        self.item(SHIRT, Kind::Stock, None).await;
        self.stock(SHIRT, quantity).await;
    }

    pub(super) async fn lock(
        &self,
        who: &str,
        key: &str,
        seats: &[&str],
    ) -> Result<Locked, Rejection> {
        let wish =
            LockSeats { seat_map_id: hall(), seats: Seats::Named(ids(seats)), suggest: false };
        self.engine.lock_seats(&request(who, "lockSeats", key), wish).await
    }

    pub(super) async fn reserve(
        &self,
        who: &str,
        key: &str,
        lines: Vec<LineRequest>,
    ) -> Result<ReservationAnswer, Rejection> {
        let request = request(who, "createReservation", key);
        self.engine.create_reservation(&request, lines, Channel::Other).await
    }

    pub(super) async fn pay(
        &self,
        who: &str,
        key: &str,
        reservation: ReservationId,
        token: &str,
    ) -> Result<PaymentAnswer, Rejection> {
        self.pay_with(who, key, reservation, Some(token)).await
    }

    pub(super) async fn pay_with(
        &self,
        who: &str,
        key: &str,
        reservation: ReservationId,
        token: Option<&str>,
    ) -> Result<PaymentAnswer, Rejection> {
        let wish = StartPayment {
            reservation_id: reservation,
            gateway: None,
            method: token.map(Into::into),
            hosted: token.is_none(),
        };
        self.engine.start_payment(&request(who, "startPayment", key), wish).await
    }

    /// Starts a payment whose outcome nobody waits for.
    pub(super) async fn pay_and_leave(
        &self,
        who: &str,
        key: &str,
        reservation: ReservationId,
        token: &str,
    ) -> PaymentId {
        let wish = StartPayment {
            reservation_id: reservation,
            gateway: None,
            method: Some(token.into()),
            hosted: false,
        };
        let request = request(who, "startPayment", key);
        let engine = self.engine.clone();
        let waiting = tokio::spawn(async move { engine.start_payment(&request, wish).await });
        let payment = reservation.payment_id();
        let mut head = self.log.watch_head();
        while self
            .engine
            .look::<payment::State, _>(&payment, |state| state.attempts.is_empty())
            .await
            == Ok(true)
        {
            head.changed().await.expect("the log lives");
        }
        self.quiet().await;
        waiting.abort();
        payment
    }

    pub(super) async fn cancel(
        &self,
        who: &str,
        key: &str,
        reservation: ReservationId,
    ) -> Result<ReservationAnswer, Rejection> {
        let request = request(who, "cancelReservation", key);
        self.engine.cancel_reservation(&request, reservation).await
    }

    pub(super) async fn notice(&self, notice: &Notice) -> Result<(), crate::ports::WebhookError> {
        let body = serde_json::to_vec(notice).expect("plain data");
        let header = |name: &str| (name == "signature").then(|| "good".to_owned());
        self.engine.webhook("sandbox", &header, &body).await
    }

    pub(super) async fn reservation(&self, id: ReservationId) -> reservation::State {
        self.engine.load::<reservation::State>(&id).await.expect("readable").state
    }

    pub(super) async fn status(&self, id: ReservationId) -> Status {
        self.reservation(id).await.status
    }

    pub(super) async fn payment(&self, id: PaymentId) -> payment::State {
        self.engine.load::<payment::State>(&id).await.expect("readable").state
    }

    pub(super) async fn pool(&self, name: &str) -> inventory::State {
        self.engine.load::<inventory::State>(&sku(name)).await.expect("readable").state
    }

    pub(super) async fn taken_of(&self, name: &str, who: &str) -> limit::State {
        let id = holdfast_domain::LimitId { sku: sku(name), user_id: user(who) };
        self.engine.load::<limit::State>(&id).await.expect("readable").state
    }

    pub(super) async fn map(&self) -> seatmap::State {
        self.engine.load::<seatmap::State>(&hall()).await.expect("readable").state
    }

    pub(super) async fn events(&self, stream: &str) -> Vec<RecordedEvent> {
        let stream = StreamId::new(stream);
        self.log.read_stream(&stream, 0, Direction::Forward, 10_000).await.expect("readable")
    }

    pub(super) async fn kinds(&self, stream: &str) -> Vec<String> {
        self.events(stream).await.into_iter().map(|event| event.kind.into()).collect()
    }

    pub(super) async fn kinds_of<D: Decider>(&self, id: &D::Id) -> Vec<String> {
        self.kinds(&format!("{}-{id}", D::CATEGORY)).await
    }
}

async fn start(parts: Parts, protections: Protections) -> (Engine, Running) {
    Engine::start_with(parts, protections, &Process::ALL).await.expect("a good start")
}

pub(super) fn request(who: &str, operation: &'static str, key: &str) -> Request {
    Request {
        caller: Caller { actor: Actor::user(who), by: By::Owner(user(who)), user_id: user(who) },
        operation,
        key: key.into(),
        fingerprint: format!("{operation}/{key}"),
        if_version: None,
        traceparent: None,
    }
}

pub(super) fn operator(operation: &'static str, key: &str) -> Request {
    let by = By::Operator(user("olga"));
    Request {
        caller: Caller { by, ..request("olga", operation, key).caller },
        ..request("olga", operation, key)
    }
}

pub(super) fn user(name: &str) -> UserId {
    UserId::new(name).expect("a name")
}

pub(super) fn sku(name: &str) -> Sku {
    Sku::new(name).expect("a sku")
}

pub(super) fn hall() -> SeatMapId {
    SeatMapId::new(HALL).expect("a name")
}

pub(super) fn ids(seats: &[&str]) -> Vec<SeatId> {
    seats.iter().map(|seat| SeatId::new(*seat).expect("a seat")).collect()
}

pub(super) fn eur(minor: i64) -> Money {
    Money::new(minor, Currency::new("EUR").expect("a currency"))
}

pub(super) fn seats(seats: &[&str]) -> Vec<LineRequest> {
    vec![LineRequest::Seats { seat_map_id: hall(), seat_ids: ids(seats) }]
}

pub(super) fn of_lock(lock_id: LockId) -> Vec<LineRequest> {
    vec![LineRequest::Lock { seat_map_id: hall(), lock_id }]
}

pub(super) fn some(name: &str, quantity: u32) -> LineRequest {
    LineRequest::Item { sku: sku(name), quantity, seat_ids: vec![], section: None, period: None }
}

pub(super) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Just behind a deadline that is `span` away.
pub(super) fn past(span: Duration) -> Duration {
    span + Duration::from_secs(1)
}
