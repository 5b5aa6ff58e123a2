//! A small world around one booking: streams, processes, timers, a gateway with a ledger, a clock.
#![expect(clippy::wildcard_enum_match_arm, reason = "a world names what it looks for")]

mod gateway;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use gateway::Gateway;
use holdfast_domain::process::{Ask, Command, Fact, Process, Refusal, Settings, TimerKey, What};
use holdfast_domain::reservation::{
    self, CancelReason, Capture, Channel, Claim, LatePayment, Line, LineKind, OnDecline, Policies,
    Status,
};
use holdfast_domain::seatmap::{self, Category, Plan, Seats, Section};
use holdfast_domain::{
    AttemptId, By, Currency, Decider, LimitId, Money, ReservationId, SeatId, SeatMapId, Sku,
    TicketId, Timestamp, UserId, derive, inventory, limit, payment, ticket,
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

    fn furnish(&mut self) {
        let plan = Plan {
            name: "Hall".into(),
            sku: Some(sku("concert")),
            categories: vec![Category { name: "best".into(), price: eur(4_500) }],
            sections: vec![Section {
                name: "A".into(),
                category: "best".into(),
                rows: 1,
                seats_per_row: 2,
            }],
        };
        self.must(Command::SeatMap(hall(), seatmap::Command::Publish { plan }));
        for (name, qty) in [("concert", 2), ("poster", 1)] {
            let by = UserId::new("olga").expect("a user");
            let receive = inventory::Command::Receive { qty, by };
            self.must(Command::Inventory(sku(name), receive));
        }
    }

    /// Limit, pools, seats, then the hold.
    fn hold(&mut self) {
        let reservation_id = self.id;
        let attempt = AttemptId(derive(&["attempt"]));
        let deadline = self.now.plus(HOLD);
        let expires_at = deadline.plus(GRACE);
        let epoch = 1;
        self.must(Command::Limit(
            ada_limit(),
            limit::Command::Take { reservation_id, qty: 2, max: 2, expires_at, epoch, attempt },
        ));
        for (name, qty) in [("concert", 2), ("poster", 1)] {
            let period = None;
            self.must(Command::Inventory(
                sku(name),
                inventory::Command::Hold {
                    reservation_id,
                    qty,
                    expires_at,
                    epoch,
                    attempt,
                    period,
                },
            ));
        }
        self.must(Command::SeatMap(
            hall(),
            seatmap::Command::Attach {
                reservation_id,
                user_id: ada(),
                seats: Seats::Named(seats()),
                expires_at,
                epoch,
                attempt,
            },
        ));
        self.must(Command::Reservation(reservation_id, self.place(deadline)));
    }

    fn place(&self, deadline: Timestamp) -> reservation::Command {
        let line = |line_id, kind, name, quantity, price| Line {
            line_id,
            kind,
            sku: Some(sku(name)),
            quantity,
            seat_map_id: None,
            seat_ids: vec![],
            period: None,
            vehicle_id: None,
            unit_price: eur(price),
        };
        let pool = |name, quantity, consumed| Claim::Inventory {
            r#ref: sku(name),
            quantity,
            period: None,
            consumed,
        };
        reservation::Command::PlaceHold {
            user_id: ada(),
            lines: vec![
                Line {
                    seat_map_id: Some(hall()),
                    seat_ids: seats(),
                    ..line(1, LineKind::Seat, "concert", 2, 4_500)
                },
                line(2, LineKind::Stock, "poster", 1, 900),
            ],
            claims: vec![
                Claim::Limit { r#ref: ada_limit(), quantity: 2, max: 2 },
                pool("concert", 2, false),
                pool("poster", 1, true),
                Claim::SeatMap { r#ref: hall(), seat_ids: seats() },
            ],
            hold_expires_at: deadline,
            absolute_deadline: self.now.plus(reservation::LONGEST_HOLD),
            channel: Channel::Other,
            policies: Policies {
                on_decline: if self.customer.keeps_hold {
                    OnDecline::KeepHold
                } else {
                    OnDecline::Release
                },
                late_payment: LatePayment::TryReacquire,
                capture: Capture::OnConfirm,
            },
        }
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

    fn customers(&mut self) {
        let customer = self.customer.clone();
        let attempts = if customer.keeps_hold { 2 } else { 1 };
        if self.now >= minute(customer.requests_at_minute)
            && self.requested < attempts
            && !self.reservation.payment_open
        {
            self.request_payment();
        }
        if customer.cancels_at_minute.is_some_and(|at| self.now >= minute(at)) && !self.cancelled {
            self.cancelled = true;
            let cancel = reservation::Command::Cancel {
                by: By::Owner(ada()),
                reason: CancelReason::User,
                refund: None,
            };
            let _ = self.perform(&Command::Reservation(self.id, cancel));
        }
        if customer.rival_at_minute.is_some_and(|at| self.now >= minute(at)) && !self.rival_tried {
            self.rival_tried = true;
            let lock = seatmap::Command::Lock {
                lock_id: holdfast_domain::LockId(derive(&["rival"])),
                user_id: UserId::new("rival").expect("a user"),
                seats: Seats::Named(seats()[..1].to_vec()),
                expires_at: self.now.plus(Duration::from_secs(600)),
            };
            let _ = self.perform(&Command::SeatMap(hall(), lock));
        }
        // The customer's bank: so long after the attempt began.
        let pays = customer.pays_after_minutes.map(|minutes| Duration::from_secs(60 * minutes));
        for word in self.gateway.customer(self.now, pays, customer.declined_first) {
            self.words.push(word);
        }
    }

    /// As the engine does it: claims are extended first; if one cannot be, nothing is extended.
    fn request_payment(&mut self) {
        let reservation_id = self.id;
        let until = self.now.plus(EXTENSION);
        let expires_at = until.plus(GRACE);
        let epoch = 1;
        let mut extend_to = None;
        if self.reservation.hold_expires_at.is_some_and(|deadline| deadline < until) {
            let pool = inventory::Command::Extend { reservation_id, expires_at, epoch };
            let all = [
                Command::Limit(
                    ada_limit(),
                    limit::Command::Extend { reservation_id, expires_at, epoch },
                ),
                Command::Inventory(sku("concert"), pool.clone()),
                Command::Inventory(sku("poster"), pool),
                Command::SeatMap(
                    hall(),
                    seatmap::Command::Extend { reservation_id, expires_at, epoch },
                ),
            ];
            if all.iter().all(|extend| self.perform(extend).is_ok()) {
                extend_to = Some(until);
            }
        }
        let flow = if self.customer.hosted { payment::Flow::Hosted } else { payment::Flow::Direct };
        let request = reservation::Command::RequestPayment {
            by: By::Owner(ada()),
            gateway: "ledger".into(),
            flow,
            extend_to,
        };
        if self.perform(&Command::Reservation(self.id, request)).is_ok() {
            self.requested += 1;
        } else {
            self.requested = u16::MAX;
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
            Ask::Alarm(_) => vec![],
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
            Command::Item(..) | Command::Notification(..) => {}
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

    // ── the verdict ──

    pub(crate) fn ended_confirmed(&self) -> bool {
        self.reservation.status == Status::Confirmed
    }

    /// What happened, for a failure's message.
    pub(crate) fn story(&self) -> String {
        let line = |(at, recorded): &(Timestamp, Recorded)| {
            let what = match recorded {
                Recorded::Reservation(_, event, _) => format!("{event:?}"),
                Recorded::Payment(_, event, _) => format!("{event:?}"),
                other => format!("{other:?}"),
            };
            format!("  {:>5} s  {what}\n", at.since(START).as_secs())
        };
        self.log.iter().map(line).collect()
    }

    /// Either everything is there and paid once, or nothing is.
    pub(crate) fn verdict(&self) -> Result<(), String> {
        let reservation = &self.reservation;
        let id = &self.id;
        let kept = self.gateway.kept();
        let live = self.gateway.may_still_charge();
        let valid = self.tickets.values().filter(|it| it.user_id.is_some() && !it.revoked).count();
        let limit = self.limit.claim(id).is_some();
        let quota = self.pools[&sku("concert")].claim(id).map(|claim| claim.is_committed());
        let poster = self.pools[&sku("poster")].sold(id).is_some();
        let mine = self.map.seats_of(seatmap::Owner::Reservation(*id)).len();
        let expected = match reservation.status {
            Status::Confirmed if reservation.finalized => {
                (9_900, false, 2, true, Some(true), true, 2)
            }
            Status::HoldFailed | Status::HoldExpired | Status::Cancelled => {
                (0, false, 0, false, None, false, 0)
            }
            other => return Err(format!("it hangs in {other:?}")),
        };
        let found = (kept, live, valid, limit, quota, poster, mine);
        if found == expected {
            Ok(())
        } else {
            Err(format!(
                "{:?}: (kept, live, tickets, limit, quota, poster, seats) is {found:?} and not \
                 {expected:?}",
                reservation.status
            ))
        }
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
