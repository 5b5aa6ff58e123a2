//! A small world for rentals: one customer, one reservation of a class that has two cars, a gateway that
//! says what it is told to, and the real aggregates and processes. Each process goes on at its own pace,
//! may die between two asks and then asks all of that fact again; timers fire when the clock says so.

#![allow(dead_code, reason = "each test binary uses its own part of it")]

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use holdfast_domain::inventory;
use holdfast_domain::payment::{self, Flow, LostWhy, Via, Word};
use holdfast_domain::process::{
    Alarm, Ask, Command, Fact, GatewayCall, Process, Refusal, Settings, VehicleCall, What, rental,
};
use holdfast_domain::reservation::{
    self, CancelReason, Capture, Channel, Claim, Line, LineKind, Policies, Status,
};
use holdfast_domain::vehicle::{self, Answer, CommandKind};
use holdfast_domain::{
    AttemptId, By, Currency, Decider, Money, NotificationId, PaymentId, Period, ReservationId, Sku,
    Timestamp, UserId, VehicleId, derive,
};
use uuid::Uuid;

/// When the story begins; the period begins an hour later and lasts two.
pub(crate) const START: Timestamp = Timestamp::from_secs(1_795_000_000);
pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
/// What the rental costs, in cents.
pub(crate) const PRICE: i64 = 9_000;

/// A rule that a twin does without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A vehicle that is not the reservation's is given back.
    GivesBackOthers,
    /// Who cancels asks the vehicle first.
    AsksTheVehicleFirst,
    /// A vehicle that lets go for a cancellation cancels.
    FinishesCancelling,
    /// An unlock that the reservation refuses is locked again.
    LocksAgain,
    /// What could not be released while it was unlocked is released afterwards.
    CatchesUp,
}

/// How a story is set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// Whether the rental is for a period; else it is a walk-up that claims the first car.
    pub(crate) period: bool,
    /// Whether the cars have a lock that we turn.
    pub(crate) remote_unlock: bool,
    /// What a missing percent of fuel costs.
    pub(crate) fuel: i64,
    /// The rule that is taken away.
    pub(crate) without: Option<Rule>,
}

impl Setting {
    pub(crate) const PERIOD: Setting =
        Setting { period: true, remote_unlock: true, fuel: 0, without: None };
    pub(crate) const WALK_UP: Setting = Setting { period: false, ..Self::PERIOD };
}

/// What one process still has to do.
#[derive(Clone, Debug, Default)]
struct Desk {
    facts: VecDeque<Vec<Ask>>,
    /// The fact that is being answered, and what is left of it.
    answering: Vec<Ask>,
    left: VecDeque<Ask>,
}

#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) setting: Setting,
    pub(crate) settings: Settings,
    pub(crate) now: Timestamp,
    pub(crate) reservation: reservation::State,
    pub(crate) payment: payment::State,
    pub(crate) extras: BTreeMap<PaymentId, payment::State>,
    pub(crate) pool: inventory::State,
    pub(crate) cars: [vehicle::State; 2],
    desks: BTreeMap<Process, Desk>,
    timers: BTreeMap<String, (Timestamp, Process, Ask)>,
    pub(crate) alarms: Vec<Alarm>,
    pub(crate) sent: Vec<VehicleCall>,
    pub(crate) gateway: Vec<GatewayCall>,
    pub(crate) notices: BTreeMap<NotificationId, String>,
    /// How often a command was given a name.
    named: u32,
}

pub(crate) fn id() -> ReservationId {
    ReservationId(derive(&["a rental"]))
}

pub(crate) fn ada() -> UserId {
    UserId::new("ada").expect("a user")
}

pub(crate) fn class() -> Sku {
    Sku::new("compact").expect("a sku")
}

pub(crate) fn car(number: usize) -> VehicleId {
    VehicleId::new(format!("car-{number}")).expect("a vehicle")
}

pub(crate) fn eur(minor: i64) -> Money {
    Money::new(minor, Currency::new("EUR").expect("a currency"))
}

pub(crate) fn period() -> Period {
    Period { from: START.plus(HOUR), until: START.plus(3 * HOUR) }
}

const PROCESSES: [Process; 6] = [
    Process::Booking,
    Process::Payment,
    Process::Rental,
    Process::Unlock,
    Process::Damage,
    Process::Notices,
];

impl World {
    /// Two cars, connected, nobody's; nothing is reserved.
    pub(crate) fn new(setting: Setting) -> Self {
        let settings =
            Settings { fuel_charge_minor_per_percent: setting.fuel, ..Settings::default() };
        let mut world = Self {
            setting,
            settings,
            now: START,
            reservation: reservation::State::default(),
            payment: payment::State::default(),
            extras: BTreeMap::new(),
            pool: inventory::State::default(),
            cars: Default::default(),
            desks: PROCESSES.map(|process| (process, Desk::default())).into(),
            timers: BTreeMap::new(),
            alarms: Vec::new(),
            sent: Vec::new(),
            gateway: Vec::new(),
            notices: BTreeMap::new(),
            named: 0,
        };
        let by = UserId::new("olga").expect("a user");
        world.pool.evolve(&inventory::Event::Received { qty: 2, by });
        for number in 0..2 {
            let register = vehicle::Command::Register {
                vin_ref: format!("VIN-{number}"),
                type_pool: class(),
                odometer_m: 10_000,
                fuel_pct: Some(90),
            };
            world.order(car(number), register);
            if setting.remote_unlock {
                world.order(car(number), vehicle::Command::ConnectionRestored { boot: 1 });
            }
        }
        world.settle();
        world
    }

    /// Booked, paid and finalized.
    pub(crate) fn confirmed(setting: Setting) -> Self {
        let mut world = Self::new(setting);
        world.book();
        world.pay();
        world.settle();
        world
    }

    /// Confirmed, and the period has begun: the car is the customer's.
    pub(crate) fn ready(setting: Setting) -> Self {
        let mut world = Self::confirmed(setting);
        world.pass(HOUR);
        world
    }

    /// Claims, in the order of taking, then the hold.
    pub(crate) fn book(&mut self) {
        let attempt = AttemptId(derive(&["attempt"]));
        let period = self.setting.period.then(period);
        let vehicle_id = (!self.setting.period).then(|| car(0));
        let expires_at = self.now.plus(Duration::from_secs(960));
        let hold = inventory::Command::Hold {
            reservation_id: id(),
            qty: 1,
            expires_at,
            epoch: 1,
            attempt,
            period,
        };
        self.must(Command::Inventory(class(), hold));
        let mut claims =
            vec![Claim::Inventory { r#ref: class(), quantity: 1, period, consumed: false }];
        if let Some(vehicle) = &vehicle_id {
            let reserve = vehicle::Command::Reserve {
                reservation_id: id(),
                user_id: ada(),
                epoch: 1,
                expires_at: Some(expires_at),
                attempt,
                period: None,
                confirmed: false,
            };
            self.must(Command::Vehicle(vehicle.clone(), reserve));
            claims.push(Claim::Vehicle { r#ref: vehicle.clone() });
        }
        let place = reservation::Command::PlaceHold {
            user_id: ada(),
            lines: vec![Line {
                line_id: 1,
                kind: LineKind::Vehicle,
                sku: Some(class()),
                quantity: 1,
                seat_map_id: None,
                seat_ids: vec![],
                period,
                vehicle_id,
                unit_price: eur(PRICE),
            }],
            claims,
            hold_expires_at: self.now.plus(Duration::from_secs(900)),
            absolute_deadline: self.now.plus(Duration::from_secs(7_200)),
            channel: Channel::Other,
            policies: Policies {
                capture: Capture::OnCompletion,
                remote_unlock: self.setting.remote_unlock,
                ..Policies::default()
            },
        };
        self.must(Command::Reservation(id(), place));
    }

    /// Asks for a payment; the gateway authorizes it.
    pub(crate) fn pay(&mut self) {
        self.begin_to_pay();
        self.told(Word::Authorized {
            gateway_ref: "pi_rental".into(),
            approval_code: "ok".into(),
            amount: eur(PRICE),
            authorization_expires_at: Some(self.now.plus(Duration::from_secs(7 * 86_400))),
        });
    }

    pub(crate) fn begin_to_pay(&mut self) {
        let request = reservation::Command::RequestPayment {
            by: By::Owner(ada()),
            gateway: "sandbox".into(),
            flow: Flow::Direct,
            extend_to: None,
        };
        self.must(Command::Reservation(id(), request));
        self.settle();
    }

    /// Money for a hold that has ended while its payment was under way: faster than the void.
    pub(crate) fn pay_late(&mut self) {
        self.captured();
        self.settle();
    }

    /// The gateway's word about the rental's money.
    pub(crate) fn told(&mut self, word: Word) {
        let record =
            payment::Command::Record { attempt: 1, via: Via::Sync, gateway_event_id: None, word };
        self.must(Command::Payment(id().payment_id(), record));
    }

    pub(crate) fn captured(&mut self) {
        let gateway_ref = "pi_rental".into();
        self.told(Word::Succeeded { gateway_ref, amount: eur(PRICE), approval_code: None });
    }

    pub(crate) fn money_vanishes(&mut self) {
        self.told(Word::Cancelled { lost: LostWhy::CancelledByGateway });
    }

    // ── the customer, and the engine's services ──

    /// A new name for a command to a lock.
    pub(crate) fn name(&mut self) -> Uuid {
        self.named += 1;
        derive(&["command", &self.named.to_string()])
    }

    /// As the engine does: only what is finalized, only its own vehicle.
    pub(crate) fn unlock(&mut self) -> Result<Uuid, Refusal> {
        let state = &self.reservation;
        let refused = |no: reservation::Refusal| Err(no.into());
        match state.status {
            Status::Confirmed if state.finalized => {}
            Status::InUse => {}
            Status::Cancelled => return refused(reservation::Refusal::Cancelled),
            Status::Completed => return refused(reservation::Refusal::Completed),
            Status::None
            | Status::Hold
            | Status::AwaitingPayment
            | Status::Reacquiring
            | Status::Confirmed
            | Status::HoldFailed
            | Status::HoldExpired => return refused(reservation::Refusal::NotConfirmed),
        }
        let Some(vehicle_id) = state.vehicle_id.clone() else {
            return refused(reservation::Refusal::NotStarted);
        };
        let command_id = self.name();
        let unlock = vehicle::Command::RequestUnlock {
            command_id,
            reservation_id: id(),
            by: By::Owner(ada()),
            deadline: self.now.plus(self.settings.unlock_deadline),
        };
        self.ask(&Command::Vehicle(vehicle_id, unlock)).map(|()| command_id)
    }

    /// What must be done before a cancellation.
    pub(crate) fn before_cancel(&self) -> Option<Command> {
        if self.setting.without == Some(Rule::AsksTheVehicleFirst) {
            return None;
        }
        rental::before_cancel(&id(), &self.reservation)
    }

    pub(crate) fn cancel_now(&mut self) -> Result<(), Refusal> {
        let cancel = reservation::Command::Cancel {
            by: By::Owner(ada()),
            reason: CancelReason::User,
            refund: None,
        };
        self.ask(&Command::Reservation(id(), cancel))
    }

    /// As the engine does.
    pub(crate) fn cancel(&mut self) -> Result<(), Refusal> {
        if let Some(first) = self.before_cancel() {
            self.ask(&first)?;
        }
        self.cancel_now()
    }

    pub(crate) fn bring_back(&mut self, odometer_m: u64, fuel_pct: u8) -> Result<(), Refusal> {
        let start = self.reservation.vehicle_id.clone().filter(|_| !self.setting.remote_unlock);
        let complete = reservation::Command::Complete {
            by: By::Owner(ada()),
            odometer_end_m: odometer_m,
            fuel_end_pct: fuel_pct,
            location: None,
            without_unlock: start.map(|vehicle_id| reservation::StartedBefore {
                vehicle_id,
                odometer_start_m: 10_000,
                fuel_start_pct: 90,
            }),
        };
        self.ask(&Command::Reservation(id(), complete))
    }

    /// A car answers.
    pub(crate) fn answers(&mut self, number: usize, command_id: Uuid, answer: Answer) {
        let kind = self.sent.iter().find(|call| call.command_id == command_id);
        let kind = kind.map_or(CommandKind::Unlock, |call| call.kind);
        let told = vehicle::Command::Answer {
            command_id,
            kind,
            answer,
            device_time: self.now,
            odometer_m: Some(10_000),
            fuel_pct: Some(90),
            grace: self.settings.late_grace,
        };
        self.order(car(number), told);
    }

    /// It obeys every lock that was sent and that it has not obeyed yet.
    pub(crate) fn obeys_locks(&mut self, number: usize) {
        let locks = self.sent.iter().filter(|call| {
            call.kind == CommandKind::Lock
                && call.vehicle_id == car(number)
                && self.cars[number].outcome(&call.command_id).is_none()
        });
        let locks: Vec<Uuid> = locks.map(|call| call.command_id).collect();
        for command_id in locks {
            self.answers(number, command_id, Answer::Locked);
        }
    }

    pub(crate) fn order(&mut self, vehicle: VehicleId, command: vehicle::Command) {
        self.must(Command::Vehicle(vehicle, command));
    }

    // ── the house ──

    /// Time passes; what is due happens, in order, and everything that follows.
    pub(crate) fn pass(&mut self, span: Duration) {
        let until = self.now.plus(span);
        self.settle();
        while let Some(due) =
            self.timers.values().map(|(at, ..)| *at).min().filter(|at| *at <= until)
        {
            self.now = self.now.max(due);
            self.fire();
            self.settle();
        }
        self.now = until;
    }

    /// Lets the first timer that is due fire. False: none is.
    pub(crate) fn fire(&mut self) -> bool {
        let due = self.timers.iter().filter(|(_, (at, ..))| *at <= self.now);
        let first = due.min_by_key(|(key, (at, ..))| (*at, (*key).clone()));
        let Some(key) = first.map(|(key, _)| key.clone()) else { return false };
        let Some((_, process, ask)) = self.timers.remove(&key) else { return false };
        self.perform(process, &ask);
        true
    }

    /// When the next timer fires.
    pub(crate) fn next_timer(&self) -> Option<Timestamp> {
        self.timers.values().map(|(at, ..)| *at).min()
    }

    /// Every process does all that it has to do.
    pub(crate) fn settle(&mut self) {
        while PROCESSES.into_iter().any(|process| self.step(process)) {}
    }

    /// Whether a process has something to do.
    pub(crate) fn is_busy(&self, process: Process) -> bool {
        let desk = &self.desks[&process];
        !desk.left.is_empty() || !desk.facts.is_empty()
    }

    /// One ask of one process. False: it has nothing to do.
    pub(crate) fn step(&mut self, process: Process) -> bool {
        let desk = self.desks.get_mut(&process).expect("a desk for each");
        if desk.left.is_empty() {
            let Some(asks) = desk.facts.pop_front() else { return false };
            desk.left = asks.iter().cloned().collect();
            desk.answering = asks;
        }
        let Some(ask) = desk.left.pop_front() else { return true };
        self.perform(process, &ask);
        true
    }

    /// It dies, and begins again with the fact that it was at: also with one that it had just done.
    pub(crate) fn crash(&mut self, process: Process) {
        let desk = self.desks.get_mut(&process).expect("a desk for each");
        desk.left = desk.answering.iter().cloned().collect();
    }

    pub(crate) fn perform(&mut self, process: Process, ask: &Ask) {
        match ask {
            Ask::Do(command) => {
                self.do_it(process, command);
            }
            Ask::Steps(commands) => {
                for command in commands {
                    if !self.do_it(process, command) {
                        break;
                    }
                }
            }
            Ask::Wake { key, at, then } => {
                self.timers.insert(key.to_string(), (*at, process, (**then).clone()));
            }
            Ask::Forget(key) => {
                self.timers.remove(&key.to_string());
            }
            Ask::Gateway(call) => self.gateway.push(call.clone()),
            Ask::Vehicle(call) => self.sent.push(call.clone()),
            Ask::Alarm(alarm) => self.alarms.push(alarm.clone()),
            Ask::Charge(charge) => {
                let command = charge.on(self.payment.means());
                self.do_it(process, &command);
            }
            Ask::Assign { .. } => self.assign(process),
        }
    }

    /// As the engine does: the first car that lets itself be reserved.
    fn assign(&mut self, process: Process) {
        match rental::wants(&self.reservation, self.now) {
            rental::Wants::Nothing => {}
            rental::Wants::One { user_id, period, epoch, .. } => {
                for number in 0..2 {
                    if self.reserve_for_good(number, &user_id, period, epoch).is_ok() {
                        return;
                    }
                }
                self.no_vehicle(process);
            }
            rental::Wants::TooLate => self.no_vehicle(process),
        }
    }

    fn no_vehicle(&mut self, process: Process) {
        for ask in rental::no_vehicle(&id()) {
            self.perform(process, &ask);
        }
    }

    pub(crate) fn reserve_for_good(
        &mut self,
        number: usize,
        user_id: &UserId,
        period: Period,
        epoch: u32,
    ) -> Result<(), Refusal> {
        let reserve = vehicle::Command::Reserve {
            reservation_id: id(),
            user_id: user_id.clone(),
            epoch,
            expires_at: None,
            attempt: AttemptId(derive(&["assigned"])),
            period: Some(period),
            confirmed: true,
        };
        self.ask(&Command::Vehicle(car(number), reserve))
    }

    /// False: refused, and what then follows is done.
    fn do_it(&mut self, process: Process, command: &Command) -> bool {
        let Err(refusal) = self.ask(command) else { return true };
        let mut answer = process.refused(command, &refusal);
        if self.forgets(command) {
            answer.clear();
        }
        for ask in answer {
            self.perform(process, &ask);
        }
        false
    }

    /// Whether a twin has no answer to that refusal.
    fn forgets(&self, command: &Command) -> bool {
        use reservation::Command as C;
        match command {
            Command::Reservation(_, C::AssignVehicle { .. }) => {
                self.setting.without == Some(Rule::GivesBackOthers)
            }
            Command::Reservation(_, C::StartRental { .. }) => {
                self.setting.without == Some(Rule::LocksAgain)
            }
            _ => false,
        }
    }

    fn must(&mut self, command: Command) {
        if let Err(refusal) = self.ask(&command) {
            panic!("{command:?}: {refusal}");
        }
    }

    /// Decides, records, and puts what follows on the desks.
    pub(crate) fn ask(&mut self, command: &Command) -> Result<(), Refusal> {
        let now = self.now;
        match command {
            Command::Reservation(of, command) => {
                for event in self.reservation.decide(of, command, now)? {
                    self.reservation.evolve(&event);
                    let state = self.reservation.clone();
                    self.follow(What::Reservation(of, &event, &state));
                }
            }
            Command::Vehicle(of, command) => {
                let number = (0..2).find(|number| car(*number) == *of).expect("one of ours");
                for event in self.cars[number].decide(of, command, now)? {
                    self.cars[number].evolve(&event);
                    let state = self.cars[number].clone();
                    self.follow(What::Vehicle(of, &event, &state));
                }
            }
            Command::Payment(of, command) if *of == id().payment_id() => {
                for event in self.payment.decide(of, command, now)? {
                    self.payment.evolve(&event);
                    let state = self.payment.clone();
                    self.follow(What::Payment(of, &event, &state));
                }
            }
            Command::Payment(of, command) => {
                let mut state = self.extras.remove(of).unwrap_or_default();
                let decided = state.decide(of, command, now);
                for event in decided.clone().unwrap_or_default() {
                    state.evolve(&event);
                    self.follow(What::Payment(of, &event, &state));
                }
                self.extras.insert(*of, state);
                decided?;
            }
            Command::Inventory(of, command) => {
                for event in self.pool.decide(of, command, now)? {
                    self.pool.evolve(&event);
                    self.follow(What::Inventory(of, &event));
                }
            }
            Command::Notification(of, command) => {
                let holdfast_domain::notification::Command::Request { about, .. } = command;
                self.notices.insert(*of, format!("{about:?}"));
            }
            other => panic!("nobody here asks {other:?}"),
        }
        Ok(())
    }

    fn follow(&mut self, what: What<'_>) {
        for process in PROCESSES {
            let mut asks = process.react(&Fact { at: self.now, what }, &self.settings);
            if process == Process::Rental && self.ignores(what) {
                asks.clear();
            }
            if !asks.is_empty() {
                self.desks.get_mut(&process).expect("a desk for each").facts.push_back(asks);
            }
        }
    }

    /// Whether a twin's rental process does not see that fact.
    fn ignores(&self, what: What<'_>) -> bool {
        let What::Vehicle(_, event, _) = what else { return false };
        match event {
            vehicle::Event::ReservationReleased {
                reason: vehicle::ReleaseReason::Cancelled,
                ..
            } => self.setting.without == Some(Rule::FinishesCancelling),
            vehicle::Event::UnlockFailed { .. }
            | vehicle::Event::Unlocked { accepted: false, .. } => {
                self.setting.without == Some(Rule::CatchesUp)
            }
            _ => false,
        }
    }

    // ── what is looked at ──

    /// Which car is the reservation's, as the cars say.
    pub(crate) fn holders(&self) -> Vec<usize> {
        let mine = |number: &usize| {
            self.cars[*number].reservation().is_some_and(|claim| claim.reservation_id == id())
        };
        (0..2).filter(mine).collect()
    }

    pub(crate) fn captures(&self) -> usize {
        let capture = |call: &&GatewayCall| matches!(call, GatewayCall::Capture { .. });
        self.gateway.iter().filter(capture).count()
    }

    pub(crate) fn is_noticed(&self, about: &str) -> bool {
        self.notices.values().any(|notice| notice == about)
    }
}
