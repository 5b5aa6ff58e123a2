//! A small world of real aggregates, driven by dice: every event in its log was decided by the domain.
//!
//! Commands are asked at random, also stale, repeated and impossible ones; what the domain refuses is
//! not recorded. Reservations, seats, pools and payments are asked each on their own, without process
//! managers between them, so that histories are wilder than those of a shop.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part of the world")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use holdfast_domain::notification::About;
use holdfast_domain::process::Ask;
use holdfast_domain::reservation::{
    CancelReason, Capture, Channel, LatePayment, Line, LineKind, OnDecline, Policies, Reacquired,
};
use holdfast_domain::seatmap::{Category, Owner, Pick, Plan, ReleaseReason, Seats, Section};
use holdfast_domain::{
    AttemptId, By, Currency, Decider, InspectionId, LimitId, LockId, Money, NotificationId,
    PaymentId, Period, RefundId, ReservationId, SeatId, SeatMapId, Sku, TicketId, Timestamp,
    UserId, VehicleId, derive, inspection, inventory, item, limit, notification, payment,
    reservation, seatmap, ticket, vehicle,
};
use holdfast_schemas::{Actor, DeadLetterEvent, Metadata, StoredEvent};
use holdfast_store::memory::Memory;
use holdfast_store::{EventStore, Expected, NewEvent, StreamAppend, StreamId};
use uuid::Uuid;

mod vehicles;

/// Where the world's clock begins.
pub const START: Timestamp = Timestamp::from_secs(1_795_000_000);

/// Aggregates of one kind, as the domain has them.
pub type Kind<D> = BTreeMap<<D as Decider>::Id, D>;

/// The world.
pub struct World {
    pub store: Arc<Memory>,
    pub now: Timestamp,
    pub reservations: Kind<reservation::State>,
    pub payments: Kind<payment::State>,
    pub seat_maps: Kind<seatmap::State>,
    pub pools: Kind<inventory::State>,
    pub limits: Kind<limit::State>,
    pub items: Kind<item::State>,
    pub tickets: Kind<ticket::State>,
    pub notifications: Kind<notification::State>,
    pub vehicles: Kind<vehicle::State>,
    pub inspections: Kind<inspection::State>,
    /// Every dead letter that was parked.
    pub dead_letters: Vec<Uuid>,
    events: u64,
    locks: u64,
    /// Every command that a vehicle was given, so that answers may come late.
    commands: Vec<Uuid>,
}

/// Numbers that follow from one.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// splitmix64.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, sides: u64) -> u64 {
        self.roll() % sides
    }

    pub fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }
}

pub fn sku(name: &str) -> Sku {
    Sku::new(name).unwrap()
}

pub fn user(number: u64) -> UserId {
    UserId::new(format!("user-{number}")).unwrap()
}

pub fn hall() -> SeatMapId {
    SeatMapId::new("hall").unwrap()
}

pub fn reservation_id(number: u64) -> ReservationId {
    ReservationId(derive(&["reservation", &number.to_string()]))
}

pub fn euros(minor: i64) -> Money {
    Money::new(minor, Currency::new("EUR").unwrap())
}

pub fn van(number: u64) -> VehicleId {
    VehicleId::new(format!("van-{number}")).unwrap()
}

pub const SKUS: [&str; 3] = ["scarf", "gala", "van"];

/// A hall of `rows` rows of six in the stalls and one row of six on the balcony.
pub fn plan(rows: u32) -> Plan {
    let section = |name: &str, category: &str, rows| Section {
        name: name.into(),
        category: category.into(),
        rows,
        seats_per_row: 6,
    };
    Plan {
        name: "The hall".into(),
        sku: Some(sku("gala")),
        categories: vec![
            Category { name: "best".into(), price: euros(9_000) },
            Category { name: "cheap".into(), price: euros(2_500) },
        ],
        sections: vec![section("Stalls", "best", rows), section("Balcony", "cheap", 1)],
    }
}

impl World {
    pub fn new() -> Self {
        Self {
            store: Arc::new(Memory::new()),
            now: START,
            reservations: Kind::new(),
            payments: Kind::new(),
            seat_maps: Kind::new(),
            pools: Kind::new(),
            limits: Kind::new(),
            items: Kind::new(),
            tickets: Kind::new(),
            notifications: Kind::new(),
            vehicles: Kind::new(),
            inspections: Kind::new(),
            dead_letters: Vec::new(),
            events: 0,
            locks: 0,
            commands: Vec::new(),
        }
    }

    /// A world that has seen that many steps.
    pub async fn grown(seed: u64, steps: usize) -> Self {
        let mut world = Self::new();
        world.open().await;
        let mut dice = Dice::new(seed);
        world.live(&mut dice, steps).await;
        world
    }

    pub async fn live(&mut self, dice: &mut Dice, steps: usize) {
        for _ in 0..steps {
            self.step(dice).await;
        }
    }

    /// Items, stock and a hall: what every world begins with.
    pub async fn open(&mut self) {
        for (name, kind) in
            SKUS.into_iter().zip([item::Kind::Stock, item::Kind::Ticket, item::Kind::VehicleClass])
        {
            let description = item::Description {
                name: format!("The {name}"),
                kind,
                category: (name == "scarf").then(|| "fans".into()),
                price: euros(1_200),
                max_per_user: (name == "gala").then_some(4),
                on_decline: OnDecline::Release,
                late_payment: LatePayment::TryReacquire,
                remote_unlock: kind == item::Kind::VehicleClass,
            };
            self.item(sku(name), item::Command::Create { description }).await;
            let by = user(0);
            self.pool(sku(name), inventory::Command::Receive { qty: 8, by }).await;
        }
        self.seat_map(hall(), seatmap::Command::Publish { plan: plan(2) }).await;
        self.item(sku("gala"), item::Command::AttachSeatMap { seat_map_id: hall() }).await;
        self.open_fleet().await;
    }

    async fn step(&mut self, dice: &mut Dice) {
        self.now = self.now.plus(Duration::from_millis(dice.below(120_000)));
        match dice.below(26) {
            0..=4 => self.step_seats(dice).await,
            5..=8 => self.step_pool(dice).await,
            9..=12 => self.step_reservation(dice).await,
            13..=16 => self.step_payment(dice).await,
            17 => self.step_limit(dice).await,
            18 => self.step_ticket(dice).await,
            19..=23 => self.step_vehicle(dice).await,
            24 => self.step_inspection(dice).await,
            _ => self.step_other(dice).await,
        }
    }

    fn until(&self, dice: &mut Dice) -> Timestamp {
        self.now.plus(Duration::from_secs(60 + dice.below(900)))
    }

    async fn step_seats(&mut self, dice: &mut Dice) {
        let rows = self.seat_maps[&hall()].plan().map_or(2, |plan| plan.sections[0].rows);
        let mut seats: Vec<SeatId> = (0..=dice.below(3))
            .map(|_| {
                let row = 1 + dice.below(u64::from(rows));
                let name = format!("Stalls-{row}-{}", 1 + dice.below(6));
                let name = if dice.chance(5) { "Balcony-1-1".into() } else { name };
                SeatId::new(name).unwrap()
            })
            .collect();
        seats.sort();
        seats.dedup();
        let number = dice.below(12);
        let (reservation_id, user_id) = (reservation_id(number), user(number % 4));
        // One of the last locks: an id is never given to another lock.
        let lock_id = |number: u64| LockId(derive(&["lock", &number.to_string()]));
        let fresh = lock_id(self.locks + 1);
        let lock_id = lock_id(self.locks.saturating_sub(dice.below(4)));
        let epoch = 1 + (dice.below(8) / 6) as u32;
        let attempt = AttemptId(derive(&["attempt", &dice.below(3).to_string()]));
        let expires_at = self.until(dice);
        let wish = match dice.below(6) {
            0 => Seats::OfLock(lock_id),
            1 => {
                let quantity = 1 + dice.below(3) as u32;
                Seats::Best(Pick { quantity, section: None, category: None })
            }
            _ => Seats::Named(seats.clone()),
        };
        use seatmap::Command as C;
        let command = match dice.below(22) {
            0..=3 => {
                let user_id = user(dice.below(4));
                let seats = match wish {
                    Seats::OfLock(_) => Seats::Named(seats),
                    wish @ (Seats::Named(_) | Seats::Best(_)) => wish,
                };
                self.locks += 1;
                C::Lock { lock_id: fresh, user_id, seats, expires_at }
            }
            4 => C::ReleaseLock { lock_id, by: By::System },
            5..=10 => {
                C::Attach { reservation_id, user_id, seats: wish, expires_at, epoch, attempt }
            }
            11 => C::Withdraw { reservation_id, attempt },
            12 | 13 => C::Extend { reservation_id, expires_at, epoch },
            14 | 15 => C::Confirm { reservation_id, epoch },
            16 => {
                let reasons =
                    [ReleaseReason::Cancelled, ReleaseReason::Expired, ReleaseReason::Refunded];
                C::Release { reservation_id, epoch, reason: *dice.one(&reasons) }
            }
            17 => {
                let owner = Owner::Reservation(reservation_id);
                let mine = self.seat_maps[&hall()].seats_of(owner);
                let seat_ids = if mine.is_empty() { seats } else { mine };
                C::Reacquire { reservation_id, user_id, seat_ids, epoch: epoch + 1 }
            }
            18 => C::DropLapsed { owner: Owner::Reservation(reservation_id) },
            19 => C::DropLapsed { owner: Owner::Lock(lock_id) },
            20 if dice.chance(2) => C::Block { seat_ids: seats, reason: "a pillar".into() },
            20 => C::Unblock { seat_ids: seats },
            _ => C::Publish { plan: plan(1 + dice.below(4) as u32) },
        };
        self.seat_map(hall(), command).await;
    }

    async fn step_pool(&mut self, dice: &mut Dice) {
        let name = *dice.one(&SKUS);
        let reservation_id = reservation_id(dice.below(12));
        let epoch = 1 + (dice.below(8) / 6) as u32;
        let attempt = AttemptId(derive(&["attempt", &dice.below(3).to_string()]));
        let expires_at = self.until(dice);
        let qty = 1 + dice.below(3) as u32;
        let period = (name == "van" && !dice.chance(4)).then(|| {
            let from = START.plus(Duration::from_secs(3_600 * (24 + dice.below(48))));
            Period { from, until: from.plus(Duration::from_secs(3_600 * (1 + dice.below(24)))) }
        });
        use inventory::Command as C;
        let command = match dice.below(20) {
            0..=5 => C::Hold { reservation_id, qty, expires_at, epoch, attempt, period },
            6 => C::Withdraw { reservation_id, attempt },
            7 => C::Extend { reservation_id, expires_at, epoch },
            8 | 9 => C::Commit { reservation_id, epoch },
            10 => C::Consume { reservation_id, epoch },
            11 | 12 => {
                let reasons = [
                    ReleaseReason::Cancelled,
                    ReleaseReason::Expired,
                    ReleaseReason::PaymentFailed,
                ];
                C::Release { reservation_id, epoch, reason: *dice.one(&reasons) }
            }
            13 => C::Reacquire { reservation_id, qty, epoch: epoch + 1, period },
            14 => C::Return { reservation_id, epoch, reason: ReleaseReason::Cancelled },
            15 | 16 => C::DropLapsed { reservation_id },
            17 => C::Receive { qty, by: user(0) },
            18 => {
                let delta = 2 - dice.below(5) as i64;
                C::Adjust { delta, reason: "counted".into(), by: user(0) }
            }
            _ => C::SetSales { open: !dice.chance(4) },
        };
        self.pool(sku(name), command).await;
    }

    async fn step_reservation(&mut self, dice: &mut Dice) {
        let number = dice.below(12);
        let id = reservation_id(number);
        let by = By::Owner(user(number % 4));
        let payment_id = id.payment_id();
        let attempt = 1 + dice.below(2) as u16;
        let epoch = 1 + dice.below(2) as u32;
        use reservation::Command as C;
        let command = match dice.below(19) {
            0..=3 => {
                let hold_expires_at = self.until(dice);
                let quantity = 1 + number as u32 % 2;
                let line = Line {
                    line_id: 1,
                    kind: LineKind::Stock,
                    sku: Some(sku("scarf")),
                    quantity,
                    seat_map_id: None,
                    seat_ids: vec![],
                    period: None,
                    vehicle_id: None,
                    unit_price: euros(1_200),
                };
                let seat_ids = vec![SeatId::new("Stalls-1-1").unwrap()];
                let seat = Line {
                    line_id: 2,
                    kind: LineKind::Seat,
                    quantity: 1,
                    seat_map_id: Some(hall()),
                    seat_ids,
                    unit_price: euros(9_000),
                    ..line.clone()
                };
                let van = Line {
                    kind: LineKind::Vehicle,
                    sku: Some(sku("van")),
                    quantity: 1,
                    vehicle_id: dice.chance(2).then(|| van(1)),
                    ..line.clone()
                };
                let lines = match number % 3 {
                    0 => vec![line, seat],
                    1 => vec![van],
                    _ => vec![line],
                };
                let policies = Policies {
                    on_decline: *dice.one(&[OnDecline::Release, OnDecline::KeepHold]),
                    late_payment: *dice.one(&[LatePayment::TryReacquire, LatePayment::Refund]),
                    capture: Capture::OnConfirm,
                    remote_unlock: !dice.chance(3),
                };
                C::PlaceHold {
                    user_id: user(number % 4),
                    lines,
                    claims: vec![],
                    hold_expires_at,
                    absolute_deadline: self.now.plus(Duration::from_secs(7_200)),
                    channel: Channel::Rest,
                    policies,
                }
            }
            4..=6 => C::RequestPayment {
                by,
                gateway: "sandbox".into(),
                flow: payment::Flow::Direct,
                extend_to: None,
            },
            7 | 8 => C::ConfirmPaid { payment_id, attempt },
            9 => C::PaymentDeclined { payment_id, attempt },
            10 => C::Expire { epoch },
            11 => C::Cancel { by, reason: CancelReason::User, refund: None },
            12 => {
                let outcome = *dice.one(&[Reacquired::Taken, Reacquired::Refused]);
                C::RecordReacquired { epoch, outcome }
            }
            13 => C::RecordClaimLost { epoch },
            14 => C::RecordFinalized { epoch, vehicle_id: None },
            15 | 16 => C::StartRental {
                vehicle_id: van(1 + dice.below(2)),
                odometer_start_m: dice.below(1_000_000),
                fuel_start_pct: dice.below(101) as u8,
                at: self.now,
            },
            17 => C::Complete {
                by,
                odometer_end_m: 1_000_000 + dice.below(1_000_000),
                fuel_end_pct: dice.below(101) as u8,
                location: dice.chance(2).then(|| "the yard".into()),
                without_unlock: None,
            },
            _ => C::ExtendHold { by: By::System, new_expires_at: self.until(dice) },
        };
        self.reservation(id, command).await;
    }

    async fn step_payment(&mut self, dice: &mut Dice) {
        let number = dice.below(12);
        let reservation_id = reservation_id(number);
        let id = reservation_id.payment_id();
        let amount = euros(1_200);
        let attempt = 1 + dice.below(2) as u16;
        let refund_id = RefundId(derive(&["refund", &dice.below(3).to_string()]));
        use payment::{BackReason, Command as C, LostWhy, Via, Word};
        let gateway_ref = format!("ref-{number}-{attempt}");
        let word = match dice.below(9) {
            0 => Word::Session {
                gateway_ref,
                redirect_url: dice.chance(2).then(|| "https://pay.example/1".into()),
                expires_at: None,
                action: dice.chance(2).then_some(payment::Action::Redirect),
            },
            1 | 2 => Word::Authorized {
                gateway_ref,
                approval_code: "ok".into(),
                amount,
                authorization_expires_at: None,
            },
            3 | 4 => Word::Succeeded { gateway_ref, amount, approval_code: None },
            5 => Word::Declined {
                code: "card_declined".into(),
                decline_code: dice.chance(2).then(|| "insufficient_funds".into()),
                retryable: dice.chance(2),
            },
            6 => Word::Cancelled { lost: LostWhy::CancelledByGateway },
            7 => Word::Refunded { refund_id, amount },
            _ => Word::Chargeback { amount },
        };
        let command = match dice.below(14) {
            0..=3 => C::Initiate {
                reservation_id,
                kind: payment::Kind::Reservation,
                amount,
                gateway: "sandbox".into(),
                attempt,
                flow: *dice.one(&[payment::Flow::Direct, payment::Flow::Hosted]),
                tenant: "main".into(),
            },
            4..=8 => {
                let gateway_event_id = dice.chance(2).then(|| format!("evt-{}", dice.below(40)));
                C::Record { attempt, via: Via::Sync, gateway_event_id, word }
            }
            9 | 10 => C::Capture { attempt },
            11 => C::SoftVoid { attempt: None, reason: BackReason::Expired },
            12 => C::GiveBack { attempt: None, reason: BackReason::Cancelled },
            _ => {
                let amount = dice.chance(2).then(|| euros(500));
                C::Refund { refund_id, amount, reason: BackReason::Operator }
            }
        };
        self.payment(id, command).await;
    }

    async fn step_limit(&mut self, dice: &mut Dice) {
        let id: LimitId = format!("gala/{}", user(dice.below(4))).parse().unwrap();
        let reservation_id = reservation_id(dice.below(12));
        let attempt = AttemptId(derive(&["attempt", "1"]));
        let (expires_at, epoch) = (self.until(dice), 1);
        use limit::Command as C;
        let command = match dice.below(3) {
            0 | 1 => C::Take { reservation_id, qty: 1, max: 4, expires_at, epoch, attempt },
            _ => C::Release { reservation_id, epoch, reason: ReleaseReason::Cancelled },
        };
        self.limit(id, command).await;
    }

    async fn step_ticket(&mut self, dice: &mut Dice) {
        let number = dice.below(12);
        let reservation_id = reservation_id(number);
        let unit = format!("scarf#{}", 1 + dice.below(2));
        let id = reservation_id.ticket_id(&unit);
        use ticket::Command as C;
        let command = match dice.below(5) {
            0..=2 => C::Issue {
                reservation_id,
                user_id: user(number % 4),
                sku: Some(sku("scarf")),
                seat_map_id: None,
                seat_id: None,
                unit,
            },
            3 => {
                let gate = dice.chance(2).then(|| "north".into());
                C::CheckIn { nonce: format!("n{}", dice.below(3)), gate }
            }
            _ => C::Revoke,
        };
        self.ticket(id, command).await;
    }

    async fn step_other(&mut self, dice: &mut Dice) {
        let number = dice.below(12);
        let reservation_id = reservation_id(number);
        if dice.chance(2) {
            let id = NotificationId(derive(&["notice", &dice.roll().to_string()]));
            let abouts = [About::Confirmed, About::HoldExpired, About::LatePaymentRejected];
            let command = notification::Command::Request {
                user_id: user(number % 4),
                channel: notification::Channel::InApp,
                about: *dice.one(&abouts),
                reservation_id,
                amount: dice.chance(2).then(|| euros(1_200)),
            };
            self.notification(id, command).await;
            return;
        }
        let known = (!self.dead_letters.is_empty()).then(|| *dice.one(&self.dead_letters));
        let event = match (dice.below(3), known) {
            (0, Some(id)) => DeadLetterEvent::Redriven { id, by: "user:operator".into() },
            (1, Some(id)) => DeadLetterEvent::Settled { id },
            _ => {
                let id = known
                    .filter(|_| dice.chance(3))
                    .unwrap_or_else(|| derive(&["letter", &dice.roll().to_string()]));
                self.dead_letters.push(id);
                DeadLetterEvent::Parked {
                    id,
                    position: 1 + dice.below(5),
                    event_id: derive(&["event", &dice.roll().to_string()]),
                    ask: Some(Box::new(Ask::Alarm(holdfast_domain::process::Alarm::Oversold {
                        reservation_id,
                    }))),
                    error: "the gateway does not answer".into(),
                    attempts: 3,
                    first_failed_at: self.now,
                    last_failed_at: self.now,
                    correlation_id: Some(reservation_id.to_string()),
                }
            }
        };
        let stream = format!("deadletter-{}", dice.one(&["booking", "payment"]));
        let new = self.written(&event);
        self.append(stream, vec![new]).await;
    }

    /// Records events that were decided elsewhere, as they are.
    pub async fn append(&mut self, stream: String, events: Vec<NewEvent>) {
        let append =
            StreamAppend { stream: StreamId::new(stream), expected: Expected::Any, events };
        self.store.append(vec![append]).await.expect("memory takes it");
    }

    /// An event as it is stored.
    pub fn written(&mut self, event: &impl StoredEvent) -> NewEvent {
        self.events += 1;
        let metadata = Metadata {
            occurred_at: self.now,
            command_id: derive(&["command", &self.events.to_string()]),
            actor: Actor::user(format!("user-{}", self.events % 4)),
            tenant_id: "main".into(),
            correlation_id: None,
            causation_id: None,
            idempotency_key: None,
            fingerprint: None,
            traceparent: None,
        };
        NewEvent {
            id: derive(&["event-id", &self.events.to_string()]),
            kind: event.kind().into(),
            schema_version: event.schema_version(),
            metadata: metadata.encode().into(),
            data: event.encode().into(),
        }
    }
}

macro_rules! ask {
    ($name:ident, $field:ident, $state:ty, $id:ty) => {
        impl World {
            /// Asks the domain, and records what it decides.
            pub async fn $name(&mut self, id: $id, command: <$state as Decider>::Command) {
                let state = self.$field.entry(id.clone()).or_default();
                let Ok(events) = state.decide(&id, &command, self.now) else { return };
                if events.is_empty() {
                    return;
                }
                for event in &events {
                    state.evolve(event);
                }
                let events = events.iter().map(|event| self.written(event)).collect();
                self.append(format!("{}-{id}", <$state as Decider>::CATEGORY), events).await;
            }
        }
    };
}
ask!(reservation, reservations, reservation::State, ReservationId);
ask!(payment, payments, payment::State, PaymentId);
ask!(seat_map, seat_maps, seatmap::State, SeatMapId);
ask!(pool, pools, inventory::State, Sku);
ask!(limit, limits, limit::State, LimitId);
ask!(item, items, item::State, Sku);
ask!(ticket, tickets, ticket::State, TicketId);
ask!(notification, notifications, notification::State, NotificationId);
ask!(vehicle, vehicles, vehicle::State, VehicleId);
ask!(inspection, inspections, inspection::State, InspectionId);
