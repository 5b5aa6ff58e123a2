//! A small world around one booking: streams, processes, timers, a gateway with a ledger, a clock.
#![expect(clippy::wildcard_enum_match_arm, reason = "a world names what it looks for")]

mod furnish;
mod gateway;
mod people;
mod verdict;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use gateway::Gateway;
use holdfast_domain::process::{Ask, Command, Fact, Process, Refusal, Settings, TimerKey, What};
use holdfast_domain::{
    Currency, Decider, LimitId, Money, ReservationId, SeatId, SeatMapId, Sku, TicketId, Timestamp,
    UserId, derive, inventory, limit, payment, reservation, seatmap, ticket,
};

/// What the customer does.
#[derive(Clone, Debug)]
pub(crate) struct Customer {
    pub(crate) requests_at_minute: u64,
    pub(crate) pays_after_minutes: Option<u64>,
    pub(crate) declined_first: bool,
    pub(crate) hosted: bool,
    pub(crate) keeps_hold: bool,
    pub(crate) cancels_at_minute: Option<u64>,
    pub(crate) rival_at_minute: Option<u64>,
}

/// A recorded event with the state just after it, where processes look at it.
#[derive(Clone, Debug)]
enum Recorded {
    Reservation(ReservationId, reservation::Event, reservation::State),
    Payment(holdfast_domain::PaymentId, payment::Event, payment::State),
    SeatMap(SeatMapId, seatmap::Event),
    Inventory(Sku, inventory::Event),
    Limit(LimitId, limit::Event),
    Ticket(TicketId, ticket::Event),
}

/// What somebody still has to do.
struct Task {
    process: Process,
    ask: Ask,
}

pub(crate) struct World {
    now: Timestamp,
    customer: Customer,
    id: ReservationId,
    reservation: reservation::State,
    payment: payment::State,
    map: seatmap::State,
    pools: BTreeMap<Sku, inventory::State>,
    limit: limit::State,
    tickets: BTreeMap<TicketId, ticket::State>,
    gateway: Gateway,
    log: Vec<(Timestamp, Recorded)>,
    /// Asks of facts, in order for each process; and those of facts that were delivered again.
    lanes: BTreeMap<Process, VecDeque<Task>>,
    again: VecDeque<Task>,
    timers: BTreeMap<TimerKey, (Timestamp, Process, Ask)>,
    /// Words of the gateway on their way.
    words: Vec<Command>,
    told: Vec<Command>,
    requested: u16,
    cancelled: bool,
    rival_tried: bool,
}

const START: Timestamp = Timestamp::from_secs(1_795_000_000);
const HOLD: Duration = Duration::from_secs(15 * 60);
const GRACE: Duration = Duration::from_secs(60);
const EXTENSION: Duration = Duration::from_secs(10 * 60);

/// How many cases a property is tried with: a few here, more by `HOLDFAST_CASES`.
pub(crate) fn cases(few: u32) -> proptest::test_runner::Config {
    #[expect(clippy::disallowed_methods, reason = "a setting of the test, not of a rule")]
    let asked = std::env::var("HOLDFAST_CASES").ok().and_then(|cases| cases.parse().ok());
    proptest::test_runner::Config {
        cases: asked.unwrap_or(few),
        rng_seed: proptest::test_runner::RngSeed::Fixed(15),
        failure_persistence: None,
        ..proptest::test_runner::Config::default()
    }
}

fn minute(minutes: u64) -> Timestamp {
    START.plus(Duration::from_secs(60 * minutes))
}

fn eur(amount_minor: i64) -> Money {
    Money::new(amount_minor, Currency::new("EUR").expect("a currency"))
}

fn ada() -> UserId {
    UserId::new("ada").expect("a user")
}

fn sku(name: &str) -> Sku {
    Sku::new(name).expect("a sku")
}

fn hall() -> SeatMapId {
    SeatMapId::new("hall").expect("a map")
}

fn seats() -> Vec<SeatId> {
    ["A-1-1", "A-1-2"].map(|seat| SeatId::new(seat).expect("a seat")).to_vec()
}

fn ada_limit() -> LimitId {
    LimitId { sku: sku("concert"), user_id: ada() }
}

impl World {
    pub(crate) fn new(customer: Customer) -> Self {
        let mut world = Self {
            now: START,
            customer,
            id: ReservationId(derive(&["ada's"])),
            reservation: reservation::State::default(),
            payment: payment::State::default(),
            map: seatmap::State::default(),
            pools: BTreeMap::new(),
            limit: limit::State::default(),
            tickets: BTreeMap::new(),
            gateway: Gateway::default(),
            log: Vec::new(),
            lanes: BTreeMap::new(),
            again: VecDeque::new(),
            timers: BTreeMap::new(),
            words: Vec::new(),
            told: Vec::new(),
            requested: 0,
            cancelled: false,
            rival_tried: false,
        };
        world.furnish();
        world.hold();
        world
    }

    // ── one step ──

    /// Something happens; the choice says what.
    pub(crate) fn step(&mut self, choice: u8) {
        let nth = usize::from(choice >> 3);
        match choice & 7 {
            0 | 1 => self.pass(Duration::from_secs(20 * (1 + nth as u64))),
            2 => self.work(Process::Booking),
            3 => self.work(Process::Payment),
            4 => self.work(Process::Tickets),
            5 => self.hear(nth),
            6 => self.redeliver(nth),
            _ => self.work_again(),
        }
    }

    /// Everything that must happen happens, for three hours.
    pub(crate) fn settle(&mut self) {
        let end = START.plus(Duration::from_secs(3 * 3_600));
        loop {
            while self.is_busy() {
                for process in [Process::Booking, Process::Payment, Process::Tickets] {
                    self.work(process);
                }
                self.work_again();
                self.hear(0);
            }
            if self.now >= end {
                break;
            }
            self.pass(Duration::from_secs(20));
        }
    }

    fn is_busy(&self) -> bool {
        self.lanes.values().any(|lane| !lane.is_empty())
            || !self.again.is_empty()
            || !self.words.is_empty()
    }

    /// Time passes: the customer, the rival and the timers do what they do then.
    fn pass(&mut self, span: Duration) {
        self.now = self.now.plus(span);
        self.customers();
        let due: Vec<_> = self
            .timers
            .iter()
            .filter(|(_, (at, _, _))| *at <= self.now)
            .map(|(key, _)| key.clone())
            .collect();
        for key in due {
            if let Some((_, process, ask)) = self.timers.remove(&key) {
                self.again.push_back(Task { process, ask });
            }
        }
    }

    /// The gateway's nth word on its way arrives; or, when there is none, an old one comes again.
    fn hear(&mut self, nth: usize) {
        let word = if self.words.is_empty() {
            match self.told.get(nth) {
                Some(word) => word.clone(),
                None => return,
            }
        } else {
            let word = self.words.remove(nth % self.words.len());
            self.told.push(word.clone());
            word
        };
        if self.perform(&word).is_err() {
            // No such attempt yet: parked and told again.
            self.words.push(word);
        }
    }

    /// A process sees an old fact once more.
    fn redeliver(&mut self, nth: usize) {
        if self.log.is_empty() || self.again.len() > 200 {
            return;
        }
        let (at, recorded) = self.log[self.log.len() - 1 - nth % self.log.len()].clone();
        for process in [Process::Booking, Process::Payment, Process::Tickets] {
            for ask in react(process, at, &recorded) {
                self.again.push_back(Task { process, ask });
            }
        }
    }

    fn work(&mut self, process: Process) {
        let Some(task) = self.lanes.entry(process).or_default().pop_front() else { return };
        let mut follow = self.act(task);
        while let Some(task) = follow.pop() {
            self.lanes.entry(process).or_default().push_front(task);
        }
    }

    fn work_again(&mut self) {
        let Some(task) = self.again.pop_front() else { return };
        let mut follow = self.act(task);
        while let Some(task) = follow.pop() {
            self.again.push_front(task);
        }
    }

    /// Performs an ask; what follows at once comes back.
    fn act(&mut self, task: Task) -> Vec<Task> {
        let Task { process, ask } = task;
        let follow = match ask {
            Ask::Do(command) => match self.perform(&command) {
                Ok(()) => vec![],
                Err(refusal) => process.refused(&command, &refusal),
            },
            Ask::Steps(mut steps) => {
                let command = steps.remove(0);
                match self.perform(&command) {
                    Ok(()) if steps.is_empty() => vec![],
                    Ok(()) => vec![Ask::Steps(steps)],
                    Err(refusal) => process.refused(&command, &refusal),
                }
            }
            Ask::Wake { key, at, then } => {
                self.timers.insert(key, (at, process, *then));
                vec![]
            }
            Ask::Forget(key) => {
                self.timers.remove(&key);
                vec![]
            }
            Ask::Gateway(call) => {
                let now = self.now;
                self.words.extend(self.gateway.answer(&call, now));
                vec![]
            }
            // Nothing here is rented.
            Ask::Vehicle(_) | Ask::Assign { .. } | Ask::Charge(_) | Ask::Alarm(_) => vec![],
        };
        follow.into_iter().map(|ask| Task { process, ask }).collect()
    }

    // ── streams ──

    fn must(&mut self, command: Command) {
        if let Err(refusal) = self.perform(&command) {
            panic!("{command:?}: {refusal}");
        }
    }

    fn perform(&mut self, command: &Command) -> Result<(), Refusal> {
        let now = self.now;
        let mut recorded = Vec::new();
        match command {
            Command::Reservation(id, command) => {
                for event in self.reservation.decide(id, command, now)? {
                    self.reservation.evolve(&event);
                    recorded.push(Recorded::Reservation(*id, event, self.reservation.clone()));
                }
            }
            Command::Payment(id, command) => {
                for event in self.payment.decide(id, command, now)? {
                    self.payment.evolve(&event);
                    recorded.push(Recorded::Payment(*id, event, self.payment.clone()));
                }
            }
            Command::SeatMap(id, command) => {
                for event in self.map.decide(id, command, now)? {
                    self.map.evolve(&event);
                    recorded.push(Recorded::SeatMap(id.clone(), event));
                }
            }
            Command::Inventory(id, command) => {
                let pool = self.pools.entry(id.clone()).or_default();
                for event in pool.decide(id, command, now)? {
                    pool.evolve(&event);
                    recorded.push(Recorded::Inventory(id.clone(), event));
                }
            }
            Command::Limit(id, command) => {
                for event in self.limit.decide(id, command, now)? {
                    self.limit.evolve(&event);
                    recorded.push(Recorded::Limit(id.clone(), event));
                }
            }
            Command::Ticket(id, command) => {
                let ticket = self.tickets.entry(*id).or_default();
                for event in ticket.decide(id, command, now)? {
                    ticket.evolve(&event);
                    recorded.push(Recorded::Ticket(*id, event));
                }
            }
            Command::Item(..)
            | Command::Notification(..)
            | Command::Vehicle(..)
            | Command::Inspection(..) => {}
        }
        for recorded in recorded {
            for process in [Process::Booking, Process::Payment, Process::Tickets] {
                let lane = self.lanes.entry(process).or_default();
                let asks = react(process, now, &recorded);
                lane.extend(asks.into_iter().map(|ask| Task { process, ask }));
            }
            self.log.push((now, recorded));
        }
        Ok(())
    }
}

fn react(process: Process, at: Timestamp, recorded: &Recorded) -> Vec<Ask> {
    let what = match recorded {
        Recorded::Reservation(id, event, state) => What::Reservation(id, event, state),
        Recorded::Payment(id, event, state) => What::Payment(id, event, state),
        Recorded::SeatMap(id, event) => What::SeatMap(id, event),
        Recorded::Inventory(id, event) => What::Inventory(id, event),
        Recorded::Limit(id, event) => What::Limit(id, event),
        Recorded::Ticket(id, event) => What::Ticket(id, event),
    };
    process.react(&Fact { at, what }, &Settings::default())
}
