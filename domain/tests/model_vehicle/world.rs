//! The world: real aggregates and processes in an engine that may die, a broker that may die, cars, and
//! a clock that jumps from one happening to the next.
//!
//! ```text
//!   people ──► engine: aggregates ──► facts ──► processes ──► asks ──► broker ──► cars
//!                  ▲                                 timers               │ lost, late, twice, forged
//!                  └──────────────── answers, telemetry, Last Wills ◄─────┘
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use holdfast_domain::process::{
    Ask, Command, Fact, Process, Refusal, Settings, VehicleCall, What, rental,
};
use holdfast_domain::vehicle::{self, Answer, CommandKind, IgnoredWhy, Telemetry};
use holdfast_domain::{
    By, Decider, ReservationId, Sku, Timestamp, UserId, VehicleId, derive, inventory, reservation,
};
use uuid::Uuid;

use crate::car::{Car, Key, Order, Reply, Verdict};
use crate::dice::Dice;
use crate::people::Person;
use crate::{Plan, Without};

pub(crate) const START: Timestamp = Timestamp::from_secs(1_795_000_000);
/// How many cars there are.
pub(crate) const CARS: usize = 2;
/// How long everything goes wrong.
pub(crate) const CHAOS: Duration = Duration::from_secs(20 * 60);
/// How long the world then has to come to rest.
pub(crate) const REST: Duration = Duration::from_secs(4 * 3_600);
const WILL_DELAY: Duration = Duration::from_secs(10);

const PROCESSES: [Process; 3] = [Process::Booking, Process::Rental, Process::Unlock];

/// What happens at a moment.
pub(crate) enum Happening {
    /// A person does the next thing that it wants.
    Person(usize),
    /// A process takes the next fact.
    Work(Process),
    /// A timer may be due.
    Timer(String),
    /// A command reaches a car.
    ToCar(usize, Order),
    /// A car does what it has put off.
    Act(usize, Order, u64),
    /// An answer reaches the engine.
    Answer(usize, Reply),
    /// What a car says of its doors reaches the engine.
    Telemetry(usize, Telemetry),
    /// A car tells of its doors.
    Senses(usize),
    /// The broker tells whether a car is there.
    Contact(usize, bool, u64),
    /// A Last Will is due.
    Will(usize, u64),
    /// A car comes back.
    Returns(usize),
    /// Something goes wrong.
    Trouble,
    /// The engine is there again.
    EngineUp,
    /// The broker is there again.
    BrokerUp,
}

/// What a process does, one fact after another.
#[derive(Default)]
struct Desk {
    facts: Vec<Rc<Vec<Ask>>>,
    done: usize,
    awake: bool,
}

pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) now: Timestamp,
    pub(crate) dice: Dice,
    settings: Settings,
    agenda: BTreeMap<(Timestamp, u64), Happening>,
    count: u64,
    pub(crate) reservations: BTreeMap<ReservationId, reservation::State>,
    pub(crate) pool: inventory::State,
    pub(crate) vehicles: Vec<vehicle::State>,
    pub(crate) cars: Vec<Car>,
    pub(crate) people: Vec<Person>,
    desks: BTreeMap<Process, Desk>,
    timers: BTreeMap<String, (Timestamp, Process, Ask)>,
    engine_up: bool,
    broker_up: bool,
    /// Messages that somebody has overheard.
    orders_heard: Vec<(usize, Order)>,
    replies_heard: Vec<(usize, Reply)>,
    /// Every fact of a vehicle, and when it was recorded.
    pub(crate) facts: Vec<(Timestamp, usize, vehicle::Event)>,
    /// What must never be, as soon as it is.
    pub(crate) wrong: Vec<String>,
    pub(crate) met: BTreeSet<&'static str>,
}

pub(crate) fn car_id(number: usize) -> VehicleId {
    VehicleId::new(format!("car-{number}")).expect("a vehicle")
}

pub(crate) fn class() -> Sku {
    Sku::new("compact").expect("a sku")
}

impl World {
    pub(crate) fn new(plan: Plan) -> Self {
        let mut world = Self {
            plan,
            now: START,
            dice: Dice::new(plan.seed),
            settings: Settings::default(),
            agenda: BTreeMap::new(),
            count: 0,
            reservations: BTreeMap::new(),
            pool: inventory::State::default(),
            vehicles: vec![vehicle::State::default(); CARS],
            cars: (0..CARS).map(Car::new).collect(),
            people: Vec::new(),
            desks: PROCESSES.map(|process| (process, Desk::default())).into(),
            timers: BTreeMap::new(),
            engine_up: true,
            broker_up: true,
            orders_heard: Vec::new(),
            replies_heard: Vec::new(),
            facts: Vec::new(),
            wrong: Vec::new(),
            met: BTreeSet::new(),
        };
        let by = UserId::new("olga").expect("a user");
        world.pool.evolve(&inventory::Event::Received { qty: 9, by });
        for number in 0..CARS {
            let register = vehicle::Command::Register {
                vin_ref: format!("VIN-{number}"),
                type_pool: class(),
                odometer_m: 10_000,
                fuel_pct: Some(90),
            };
            world.order(number, register).expect("a new vehicle");
            world.order(number, vehicle::Command::ConnectionRestored { boot: 1 }).expect("there");
            // Some clocks lie: by up to five minutes, ahead or behind.
            if plan.slow_clocks {
                world.cars[number].clock_off = -300_000_000;
            } else if world.dice.percent(30) {
                let off = i64::try_from(world.dice.below(600_000_000)).expect("small");
                world.cars[number].clock_off = off - 300_000_000;
            }
            if plan.sensors {
                world.after(Duration::from_secs(1), Happening::Senses(number));
            }
        }
        for number in 0..plan.people {
            let person = Person::new(number, &mut world.dice);
            let begins = person.begins();
            world.people.push(person);
            world.after(begins, Happening::Person(number));
        }
        world.after(Duration::from_secs(5), Happening::Trouble);
        world
    }

    /// Chaos, then rest.
    pub(crate) fn run(&mut self) {
        self.run_until(START.plus(CHAOS));
        self.calm();
        self.run_until(START.plus(CHAOS + REST));
    }

    fn run_until(&mut self, end: Timestamp) {
        while let Some(entry) = self.agenda.first_entry() {
            if entry.key().0 > end || !self.wrong.is_empty() {
                break;
            }
            let ((at, _), happening) = entry.remove_entry();
            self.now = at;
            self.happens(happening);
        }
        self.now = end;
    }

    /// From now on nothing goes wrong any more, and everybody who is late comes back.
    fn calm(&mut self) {
        for number in 0..CARS {
            self.cars[number].clock_off = 0;
            if !self.cars[number].online {
                self.returns(number);
            }
            self.back_in_service(number);
        }
    }

    fn back_in_service(&mut self, number: usize) {
        let back = vehicle::Command::ReturnToService { by: By::System };
        self.order(number, back).expect("it is ours");
    }

    pub(crate) fn is_chaos(&self) -> bool {
        self.now < START.plus(CHAOS)
    }

    pub(crate) fn after(&mut self, span: Duration, happening: Happening) {
        self.count += 1;
        self.agenda.insert((self.now.plus(span), self.count), happening);
    }

    fn happens(&mut self, happening: Happening) {
        match happening {
            Happening::Person(number) => self.person(number),
            Happening::Work(process) => self.work(process),
            Happening::Timer(key) => self.timer(&key),
            Happening::ToCar(number, order) => self.reaches(number, order),
            Happening::Act(number, order, gone) => self.acts(number, &order, gone),
            Happening::Answer(number, reply) => self.hears(number, reply),
            Happening::Telemetry(number, telemetry) => {
                if self.engine_up {
                    let low_fuel = self.settings.low_fuel;
                    let command = vehicle::Command::ReportTelemetry { telemetry, low_fuel };
                    let _ = self.order(number, command);
                }
            }
            Happening::Senses(number) => self.senses(number),
            Happening::Contact(number, online, boot) => self.contact(number, online, boot),
            Happening::Will(number, gone) => {
                if !self.cars[number].online && self.cars[number].gone == gone {
                    let boot = self.cars[number].boot;
                    self.tell(Happening::Contact(number, false, boot));
                }
            }
            Happening::Returns(number) => self.returns(number),
            Happening::Trouble => self.trouble(),
            Happening::EngineUp => self.engine_up(),
            Happening::BrokerUp => self.broker_up = true,
        }
    }

    // ── the engine ──

    pub(crate) fn is_serving(&self) -> bool {
        self.engine_up
    }

    pub(crate) fn order(
        &mut self,
        number: usize,
        command: vehicle::Command,
    ) -> Result<(), Refusal> {
        self.perform(&Command::Vehicle(car_id(number), command))
    }

    /// Takes a command to its stream; what it records is followed by the processes.
    pub(crate) fn perform(&mut self, command: &Command) -> Result<(), Refusal> {
        let now = self.now;
        match command {
            Command::Reservation(id, command) => {
                let state = self.reservations.entry(*id).or_default();
                for event in state.decide(id, command, now)? {
                    let state = self.reservations.get_mut(id).expect("it is there");
                    state.evolve(&event);
                    let state = state.clone();
                    self.recorded(&What::Reservation(id, &event, &state));
                }
            }
            Command::Vehicle(id, command) => {
                let number = (0..CARS).find(|number| car_id(*number) == *id).expect("our car");
                let mut events = self.vehicles[number].decide(id, command, now)?;
                if self.plan.without == Some(Without::Compensation) {
                    let for_nobody = |it: &vehicle::Event| {
                        matches!(it, vehicle::Event::Unlocked { accepted: false, .. })
                    };
                    if events.iter().any(for_nobody) {
                        events.retain(for_nobody);
                    }
                }
                for event in events {
                    self.judge_fact(number, &event);
                    self.vehicles[number].evolve(&event);
                    let state = self.vehicles[number].clone();
                    self.recorded(&What::Vehicle(id, &event, &state));
                    self.facts.push((now, number, event));
                }
            }
            Command::Inventory(sku, command) => {
                for event in self.pool.decide(sku, command, now)? {
                    self.pool.evolve(&event);
                    self.recorded(&What::Inventory(sku, &event));
                }
            }
            // Money, tickets and notices are other worlds' matter.
            Command::Payment(..)
            | Command::SeatMap(..)
            | Command::Limit(..)
            | Command::Item(..)
            | Command::Ticket(..)
            | Command::Notification(..)
            | Command::Inspection(..) => {}
        }
        Ok(())
    }

    fn recorded(&mut self, what: &What<'_>) {
        let fact = Fact { at: self.now, what: *what };
        for process in PROCESSES {
            let asks = process.react(&fact, &self.settings);
            if !asks.is_empty() {
                self.desks.entry(process).or_default().facts.push(Rc::new(asks));
                self.wake(process);
            }
        }
    }

    fn wake(&mut self, process: Process) {
        let desk = self.desks.entry(process).or_default();
        if !desk.awake && desk.done < desk.facts.len() {
            desk.awake = true;
            let soon = self.dice.millis(0, if self.is_chaos() { 40 } else { 2 });
            self.after(soon, Happening::Work(process));
        }
    }

    /// The next fact; now and then the engine dies on the way, and the fact comes again.
    fn work(&mut self, process: Process) {
        let desk = self.desks.entry(process).or_default();
        desk.awake = false;
        if !self.engine_up {
            return;
        }
        let Some(asks) = desk.facts.get(desk.done).cloned() else { return };
        let dies_at = (self.is_chaos() && self.dice.below(400) == 0)
            .then(|| usize::try_from(self.dice.below(asks.len() as u64 + 1)).expect("small"));
        for (index, ask) in asks.iter().enumerate() {
            if dies_at == Some(index) {
                return self.engine_dies();
            }
            self.ask(process, ask);
        }
        if dies_at.is_some() {
            return self.engine_dies();
        }
        self.desks.entry(process).or_default().done += 1;
        self.wake(process);
    }

    fn ask(&mut self, process: Process, ask: &Ask) {
        match ask {
            Ask::Do(command) => {
                if let Err(refusal) = self.perform(command) {
                    for ask in process.refused(command, &refusal) {
                        self.ask(process, &ask);
                    }
                }
            }
            Ask::Steps(commands) => {
                for command in commands {
                    if let Err(refusal) = self.perform(command) {
                        for ask in process.refused(command, &refusal) {
                            self.ask(process, &ask);
                        }
                        break;
                    }
                }
            }
            Ask::Wake { key, at, then } => {
                let name = format!("{}/{key}", process.name());
                self.timers.insert(name.clone(), (*at, process, (**then).clone()));
                self.after(at.since(self.now), Happening::Timer(name));
            }
            Ask::Forget(key) => {
                self.timers.remove(&format!("{}/{key}", process.name()));
            }
            Ask::Vehicle(call) => self.send(call),
            Ask::Assign { reservation_id, .. } => self.assign(process, *reservation_id),
            Ask::Gateway(_) | Ask::Charge(_) | Ask::Alarm(_) => {}
        }
    }

    fn timer(&mut self, key: &str) {
        if !self.engine_up {
            return;
        }
        let due = self.timers.get(key).is_some_and(|(at, ..)| *at <= self.now);
        if due && let Some((_, process, ask)) = self.timers.remove(key) {
            self.ask(process, &ask);
        }
    }

    /// As the engine does: the first free car of the class.
    fn assign(&mut self, process: Process, id: ReservationId) {
        let Some(state) = self.reservations.get(&id) else { return };
        match rental::wants(state, self.now) {
            rental::Wants::Nothing => {}
            rental::Wants::One { user_id, period, epoch, .. } => {
                let attempt = holdfast_domain::AttemptId(derive(&["assign", &id.to_string()]));
                for number in 0..CARS {
                    let reserve = vehicle::Command::Reserve {
                        reservation_id: id,
                        user_id: user_id.clone(),
                        epoch,
                        expires_at: None,
                        attempt,
                        period: Some(period),
                        confirmed: true,
                    };
                    if self.order(number, reserve).is_ok() {
                        return;
                    }
                }
                self.nothing_free(process, &id);
            }
            rental::Wants::TooLate => self.nothing_free(process, &id),
        }
    }

    fn nothing_free(&mut self, process: Process, id: &ReservationId) {
        for ask in rental::no_vehicle(id) {
            self.ask(process, &ask);
        }
    }

    /// What is not done yet is done again, and a little of what was.
    fn engine_dies(&mut self) {
        self.met.insert("engine restarted");
        self.engine_up = false;
        for process in PROCESSES {
            let back = usize::try_from(self.dice.below(6)).expect("small");
            let desk = self.desks.entry(process).or_default();
            desk.done = desk.done.saturating_sub(back);
            desk.awake = false;
        }
        let away = self.dice.millis(100, 8_000);
        self.after(away, Happening::EngineUp);
    }

    fn engine_up(&mut self) {
        self.engine_up = true;
        PROCESSES.into_iter().for_each(|process| self.wake(process));
        let due: Vec<String> = self.timers.keys().cloned().collect();
        due.iter().for_each(|key| self.timer(key));
    }

    // ── on the wire ──

    fn send(&mut self, call: &VehicleCall) {
        // As the engine does: what has ended meanwhile is not sent.
        let number = (0..CARS).find(|number| car_id(*number) == call.vehicle_id).expect("our car");
        let under_way = self.vehicles[number].command().map(|command| command.command_id);
        if under_way != Some(call.command_id) || call.exp <= self.now || !self.broker_up {
            return;
        }
        let order = Order {
            kind: call.kind,
            command_id: call.command_id,
            exp: call.exp,
            mac: Key::Of(number),
        };
        self.orders_heard.push((number, order.clone()));
        self.deliver(number, order);
    }

    /// Lost, late, twice; or simply delivered.
    fn deliver(&mut self, number: usize, order: Order) {
        if self.is_chaos() {
            if self.dice.percent(20) {
                return;
            }
            if self.dice.percent(15) {
                let late = self.dice.millis(0, 90_000);
                self.after(late, Happening::ToCar(number, order.clone()));
            }
        }
        let delay = self.delay();
        self.after(delay, Happening::ToCar(number, order));
    }

    fn delay(&mut self) -> Duration {
        if self.is_chaos() && self.dice.percent(15) {
            self.dice.millis(100, 60_000)
        } else {
            self.dice.millis(1, 200)
        }
    }

    fn reaches(&mut self, number: usize, order: Order) {
        if !self.cars[number].online {
            return;
        }
        match self.cars[number].judge(&order, self.now, self.plan.without) {
            Verdict::Silent => {}
            Verdict::Says(answer) => self.replies(number, &order, answer),
            Verdict::Obeys => {
                let mood = if self.is_chaos() { self.dice.below(100) } else { 50 };
                let gone = self.cars[number].gone;
                match mood {
                    0..4 => self.answers_for_good(number, &order, Answer::Jammed),
                    4..8 => self.answers_for_good(number, &order, Answer::Rejected),
                    8..20 => {
                        let dawdles = self.dice.millis(500, 30_000);
                        self.after(dawdles, Happening::Act(number, order, gone));
                    }
                    20..24 => self.vanishes(number),
                    _ => {
                        self.acts(number, &order, gone);
                        // It dies with its answer on its tongue; the turn is remembered.
                        if self.is_chaos() && self.dice.percent(4) {
                            self.vanishes(number);
                        }
                    }
                }
            }
        }
    }

    fn answers_for_good(&mut self, number: usize, order: &Order, answer: Answer) {
        self.cars[number].remember(order.command_id, answer);
        self.replies(number, order, answer);
    }

    fn acts(&mut self, number: usize, order: &Order, gone: u64) {
        if self.cars[number].gone != gone {
            return;
        }
        // Judged again at the moment of the act.
        match self.cars[number].judge(order, self.now, self.plan.without) {
            Verdict::Silent => {}
            Verdict::Says(answer) => self.replies(number, order, answer),
            Verdict::Obeys => {
                let entitled = self.is_entitled(number, &order.command_id);
                let answer = self.cars[number].turn(order, self.now, entitled);
                self.replies(number, order, answer);
            }
        }
    }

    /// Whether whoever asked for that unlock has the vehicle, as its own stream says.
    fn is_entitled(&self, number: usize, command_id: &Uuid) -> bool {
        let asked = self.facts.iter().find_map(|(_, of, event)| match event {
            vehicle::Event::UnlockRequested { command_id: id, reservation_id, .. }
                if *of == number && id == command_id =>
            {
                Some(*reservation_id)
            }
            _ => None,
        });
        let has = self.vehicles[number].reservation().filter(|it| it.confirmed);
        asked.is_some() && has.map(|it| it.reservation_id) == asked
    }

    /// An answer is sent until it arrives; a car without sensors keeps it through everything.
    fn replies(&mut self, number: usize, order: &Order, answer: Answer) {
        let reply = self.cars[number].reply(order, answer, self.now);
        self.replies_heard.push((number, reply.clone()));
        if self.is_chaos() {
            if self.dice.percent(15) {
                let again = self.dice.millis(100, 40_000);
                self.after(again, Happening::Answer(number, reply.clone()));
            }
            if self.plan.sensors && self.dice.percent(15) {
                return;
            }
        }
        let delay = self.delay();
        self.tell_in(delay, Happening::Answer(number, reply));
    }

    fn tell(&mut self, happening: Happening) {
        let delay = self.delay();
        self.tell_in(delay, happening);
    }

    fn tell_in(&mut self, delay: Duration, happening: Happening) {
        // A broker that is down takes it later.
        let wait = if self.broker_up { Duration::ZERO } else { Duration::from_secs(31) };
        self.after(delay + wait, happening);
    }

    /// The engine's session outlives it: what comes meanwhile waits.
    fn hears(&mut self, number: usize, reply: Reply) {
        if !self.engine_up {
            let later = self.dice.millis(500, 9_000);
            return self.after(later, Happening::Answer(number, reply));
        }
        let command = if reply.mac == Key::Of(number) {
            vehicle::Command::Answer {
                command_id: reply.command_id,
                kind: reply.kind,
                answer: reply.answer,
                device_time: reply.device_time,
                odometer_m: None,
                fuel_pct: None,
                grace: self.settings.late_grace,
            }
        } else {
            vehicle::Command::IgnoreAnswer {
                command_id: Some(reply.command_id),
                status: reply.answer.name().into(),
                why: IgnoredWhy::BadMac,
            }
        };
        if let Err(refusal) = self.order(number, command) {
            self.wrong.push(format!("an answer was refused: {refusal}"));
        }
    }

    fn senses(&mut self, number: usize) {
        self.after(Duration::from_secs(15), Happening::Senses(number));
        let car = &mut self.cars[number];
        if !car.online {
            return;
        }
        car.tel_seq += 1;
        let telemetry = Telemetry {
            boot: car.boot,
            seq: car.tel_seq,
            is_locked: Some(!car.open),
            device_time: car.clock(self.now),
            ..Telemetry::default()
        };
        if !(self.is_chaos() && self.dice.percent(20)) && self.broker_up {
            let delay = self.delay();
            self.after(delay, Happening::Telemetry(number, telemetry));
        }
    }

    fn contact(&mut self, number: usize, online: bool, boot: u64) {
        if !self.engine_up {
            let later = self.dice.millis(500, 9_000);
            return self.after(later, Happening::Contact(number, online, boot));
        }
        let command = if online {
            vehicle::Command::ConnectionRestored { boot }
        } else {
            vehicle::Command::ConnectionLost { last_seen: self.now, boot }
        };
        if let Err(refusal) = self.order(number, command) {
            self.wrong.push(format!("a connection was refused: {refusal}"));
        }
    }

    /// Out of reach, or starting anew: what it was about to do is forgotten.
    fn vanishes(&mut self, number: usize) {
        if !self.cars[number].online {
            return;
        }
        self.met.insert("vanished");
        self.cars[number].online = false;
        self.cars[number].gone += 1;
        let gone = self.cars[number].gone;
        self.after(WILL_DELAY, Happening::Will(number, gone));
        let away = self.dice.millis(1_000, 60_000);
        self.after(away, Happening::Returns(number));
    }

    fn returns(&mut self, number: usize) {
        if self.cars[number].online {
            return;
        }
        self.cars[number].online = true;
        self.cars[number].boot += 1;
        self.cars[number].tel_seq = 0;
        let boot = self.cars[number].boot;
        // The broker keeps the order of what it says of a connection, and retains the last.
        let delay = Duration::from_millis(50);
        self.tell_in(delay, Happening::Contact(number, true, boot));
    }

    /// Something goes wrong, every few seconds.
    fn trouble(&mut self) {
        if !self.is_chaos() {
            return;
        }
        let next = self.dice.millis(1_000, 15_000);
        self.after(next, Happening::Trouble);
        let number = usize::try_from(self.dice.below(CARS as u64)).expect("small");
        match self.dice.below(12) {
            0 => self.vanishes(number),
            1 => self.engine_dies_now(),
            2 if self.broker_up => {
                self.met.insert("broker down");
                self.broker_up = false;
                let away = self.dice.millis(1_000, 30_000);
                self.after(away, Happening::BrokerUp);
            }
            3..=5 => self.forges_an_order(number),
            6..=8 => self.forges_a_reply(number),
            9 => self.replays_an_order(),
            10 => self.replays_a_reply(number),
            _ if self.engine_up && self.dice.percent(30) => {
                self.met.insert("out of service");
                let reason = "brakes".into();
                let out = vehicle::Command::SetOutOfService { by: By::System, reason };
                let _ = self.order(number, out);
            }
            _ if self.engine_up => self.back_in_service(number),
            _ => {}
        }
    }

    fn engine_dies_now(&mut self) {
        if self.engine_up {
            self.engine_dies();
        }
    }

    fn forges_an_order(&mut self, number: usize) {
        let kind = if self.dice.percent(80) { CommandKind::Unlock } else { CommandKind::Lock };
        let command_id = derive(&["forged", &self.dice.roll().to_string()]);
        let exp = self.now.plus(Duration::from_secs(20));
        // Perhaps signed by another car's key.
        let mac = if self.dice.percent(50) { Key::Nobodys } else { Key::Of(number + 1) };
        self.after(
            Duration::from_millis(5),
            Happening::ToCar(number, Order { kind, command_id, exp, mac }),
        );
    }

    fn forges_a_reply(&mut self, number: usize) {
        let known =
            self.vehicles[number].command().map(|command| (command.command_id, command.kind));
        let unknown = derive(&["forged", &self.dice.roll().to_string()]);
        let (command_id, kind) = known.unwrap_or((unknown, CommandKind::Unlock));
        let answer = match kind {
            CommandKind::Unlock => Answer::Unlocked,
            CommandKind::Lock => Answer::Locked,
        };
        let mac = if self.dice.percent(50) { Key::Nobodys } else { Key::Of(number + 1) };
        let reply = Reply { kind, answer, command_id, device_time: self.now, mac };
        self.after(Duration::from_millis(5), Happening::Answer(number, reply));
    }

    fn replays_an_order(&mut self) {
        let Some(heard) = self.orders_heard.len().checked_sub(1) else { return };
        let which = heard - usize::try_from(self.dice.below(heard as u64 + 1)).expect("small");
        let (number, order) = self.orders_heard[which].clone();
        self.after(Duration::from_millis(5), Happening::ToCar(number, order));
    }

    /// To whom it was said, or to the other.
    fn replays_a_reply(&mut self, number: usize) {
        let Some(heard) = self.replies_heard.len().checked_sub(1) else { return };
        let which = heard - usize::try_from(self.dice.below(heard as u64 + 1)).expect("small");
        let (of, reply) = self.replies_heard[which].clone();
        let to = if self.dice.percent(70) { of } else { number };
        self.after(Duration::from_millis(5), Happening::Answer(to, reply));
    }
}
