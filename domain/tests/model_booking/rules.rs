//! The real aggregates and the real booking process, behind tables: each different state, command and
//! list of asks is decided once and has a number from then on. What twins do without is taken away in
//! `without.rs`.

use std::rc::Rc;

use holdfast_domain::payment::{self, BackReason};
use holdfast_domain::process::{Ask, Command, Fact, Process, Refusal, Settings, TimerKey, What};
use holdfast_domain::reservation::{self, CancelReason, Status};
use holdfast_domain::{
    Decider, PaymentId, ReservationId, Sku, Timestamp, VehicleId, derive, inventory, vehicle,
};

use super::actions::Action;
use super::scenario::{Rule, Scenario};
use super::world::{N, NONE};
use crate::support::interned::{Interned, Table};

/// What performing a command comes to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// The aggregate's state afterwards.
    pub(crate) state: N,
    /// How it said no.
    pub(crate) refusal: Option<N>,
    /// Facts that somebody answers: the asks that follow from each.
    pub(crate) facts: Vec<N>,
    /// The hold's timer afterwards, where that changes.
    pub(crate) timer: Option<Option<(u8, N)>>,
    /// Whether it was confirmed by this.
    pub(crate) confirmed: bool,
    /// Whether it was cancelled by this, since a unit was gone.
    pub(crate) oversold: bool,
}

/// What customers and timers ask for; the command is made once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Wish {
    Hold { who: usize, attempt: usize, pool: usize, until: u8 },
    Withdraw { who: usize, attempt: usize, pool: usize },
    Place { who: usize, deadline: u8 },
    Extend { who: usize, pool: usize, until: u8 },
    Request { who: usize, until: Option<u8> },
    Cancel { who: usize },
    Drop { who: usize, pool: usize },
}

/// What stands first in a list of asks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Head {
    /// A command; `then` is the list without it.
    Command { command: N, then: N },
    /// The timer of the hold is set or forgotten.
    Timer { timer: Option<(u8, N)>, then: N },
    /// Nothing that this world knows of.
    Nothing { then: N },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Reservation,
    Payment,
    Pool,
    Car,
}

/// The tables.
pub(crate) struct Rules {
    pub(crate) scenario: Scenario,
    pub(crate) ids: [ReservationId; 2],
    pub(crate) skus: [Sku; 2],
    reservations: Interned<reservation::State>,
    payments: Interned<payment::State>,
    pools: Interned<inventory::State>,
    cars: Interned<vehicle::State>,
    commands: Interned<Command>,
    refusals: Interned<Refusal>,
    asks: Interned<Vec<Ask>>,
    outcomes: Table<(Kind, N, N, u8), Outcome>,
    heads: Table<N, Head>,
    answers: Table<(N, N), N>,
    wishes: Table<Wish, N>,
    words: Table<N, Rc<[(Action, N)]>>,
}

/// The moment of a tick.
pub(crate) fn at(tick: u8) -> Timestamp {
    Timestamp::from_secs(1_795_000_000 + i64::from(tick))
}

fn tick(moment: Timestamp) -> u8 {
    u8::try_from(moment.since(at(0)).as_secs()).expect("a short story")
}

fn small(number: u32) -> N {
    N::try_from(number).expect("fewer than 65,536 different values")
}

impl Rules {
    pub(crate) fn new(scenario: Scenario) -> Self {
        let mut rules = Self {
            scenario,
            ids: ["first", "second"].map(|name| ReservationId(derive(&[name]))),
            skus: ["p0", "p1"].map(|name| Sku::new(name).expect("a sku")),
            reservations: Interned::default(),
            payments: Interned::default(),
            pools: Interned::default(),
            cars: Interned::default(),
            commands: Interned::default(),
            refusals: Interned::default(),
            asks: Interned::default(),
            outcomes: Table::default(),
            heads: Table::default(),
            answers: Table::default(),
            wishes: Table::default(),
            words: Table::default(),
        };
        assert_eq!(rules.asks(Vec::new()), NONE);
        rules
    }

    /// The number of a reservation, and of a payment, of which nothing is known.
    pub(crate) fn nothing(&mut self) -> (N, N) {
        let reservation = small(self.reservations.number(reservation::State::default()));
        (reservation, small(self.payments.number(payment::State::default())))
    }

    /// The number of a pool with one unit.
    pub(crate) fn pool_of_one(&mut self) -> N {
        let mut pool = inventory::State::default();
        let by = holdfast_domain::UserId::new("olga").expect("a user");
        pool.evolve(&inventory::Event::Received { qty: 1, by });
        small(self.pools.number(pool))
    }

    /// The number of a car that is nobody's.
    pub(crate) fn a_car(&mut self) -> N {
        let mut car = vehicle::State::default();
        car.evolve(&vehicle::Event::Registered {
            vin_ref: "VIN".into(),
            type_pool: self.skus[1].clone(),
            odometer_m: 0,
            fuel_pct: None,
        });
        small(self.cars.number(car))
    }

    pub(crate) fn reservation(&self, number: N) -> &reservation::State {
        self.reservations.get(number.into())
    }

    pub(crate) fn payment(&self, number: N) -> &payment::State {
        self.payments.get(number.into())
    }

    pub(crate) fn pool(&self, number: N) -> &inventory::State {
        self.pools.get(number.into())
    }

    pub(crate) fn car(&self, number: N) -> &vehicle::State {
        self.cars.get(number.into())
    }

    /// What the car is called.
    pub(crate) fn car_id(&self) -> VehicleId {
        VehicleId::new("car").expect("a vehicle")
    }

    pub(crate) fn command(&self, number: N) -> &Command {
        self.commands.get(number.into())
    }

    pub(crate) fn number(&mut self, command: Command) -> N {
        small(self.commands.number(command))
    }

    /// The command of a wish.
    pub(crate) fn wish(&mut self, wish: Wish) -> N {
        if let Some(number) = self.wishes.get(&wish) {
            return *number;
        }
        let command = self.command_of(wish);
        let number = self.number(command);
        self.wishes.insert(wish, number);
        number
    }

    /// What the gateway may say to a payment.
    pub(crate) fn words(&mut self, who: usize, payment: N) -> Rc<[(Action, N)]> {
        if let Some(words) = self.words.get(&payment) {
            return Rc::clone(words);
        }
        let words = self.words_to(who, payment);
        let words: Rc<[_]> =
            words.into_iter().map(|(action, command)| (action, self.number(command))).collect();
        self.words.insert(payment, Rc::clone(&words));
        words
    }

    fn asks(&mut self, asks: Vec<Ask>) -> N {
        small(self.asks.number(asks))
    }

    /// What stands first in a list of asks that is not empty.
    pub(crate) fn head(&mut self, list: N) -> Head {
        if let Some(head) = self.heads.get(&list) {
            return *head;
        }
        let mut asks = self.asks.get(list.into()).clone();
        let head = match asks.remove(0) {
            Ask::Do(command) => {
                Head::Command { command: self.number(command), then: self.asks(asks) }
            }
            Ask::Steps(mut steps) => {
                let command = steps.remove(0);
                if !steps.is_empty() {
                    asks.insert(0, Ask::Steps(steps));
                }
                Head::Command { command: self.number(command), then: self.asks(asks) }
            }
            Ask::Wake { key: TimerKey::Hold(_), at, then } => {
                let Ask::Do(command) = *then else { panic!("a hold's timer asks one command") };
                let command = self.number(command);
                Head::Timer { timer: Some((tick(at), command)), then: self.asks(asks) }
            }
            Ask::Forget(TimerKey::Hold(_)) => Head::Timer { timer: None, then: self.asks(asks) },
            // Claims are dropped when they have lapsed, whoever remembers to.
            Ask::Wake { .. }
            | Ask::Forget(_)
            | Ask::Alarm(_)
            | Ask::Gateway(_)
            | Ask::Charge(_)
            | Ask::Vehicle(_)
            | Ask::Assign { .. } => Head::Nothing { then: self.asks(asks) },
        };
        self.heads.insert(list, head);
        head
    }

    /// The first ask of a list, on its own, and the rest.
    pub(crate) fn first_alone(&mut self, list: N) -> (N, N) {
        let mut asks = self.asks.get(list.into()).clone();
        let first = asks.remove(0);
        (self.asks(vec![first]), self.asks(asks))
    }

    /// The list of asks once its first command was refused: the steps that it begins end, and what the
    /// process says to that stands in front of the rest.
    pub(crate) fn refused(&mut self, list: N, command: N, refusal: N) -> N {
        if let Some(answer) = self.answers.get(&(list, refusal)) {
            return *answer;
        }
        let asked = self.command(command).clone();
        let said = self.refusals.get(refusal.into()).clone();
        let mut asks = self.asks.get(list.into()).clone();
        let mut first = asks.remove(0);
        let mut answer = self.answer(&asked, &said);
        if self.goes_on(&asked)
            && let Ask::Steps(steps) = &mut first
        {
            steps.remove(0);
            answer = vec![first];
        }
        answer.append(&mut asks);
        let answer = self.asks(answer);
        self.answers.insert((list, refusal), answer);
        answer
    }

    /// What the booking process says to a refusal, on its own.
    pub(crate) fn answer_alone(&mut self, command: N, refusal: N) -> N {
        let asked = self.command(command).clone();
        let said = self.refusals.get(refusal.into()).clone();
        let answer = self.answer(&asked, &said);
        self.asks(answer)
    }

    /// Asks a reservation.
    pub(crate) fn ask_reservation(&mut self, state: N, command: N, now: u8) -> Outcome {
        let key = (Kind::Reservation, state, command, now);
        if let Some(outcome) = self.outcomes.get(&key) {
            return outcome.clone();
        }
        let Command::Reservation(id, asked) = self.command(command).clone() else {
            panic!("a command to a reservation")
        };
        let mut after = self.reservation(state).clone();
        let mut now_there = at(now);
        let confirms = matches!(asked, reservation::Command::ConfirmPaid { .. });
        if confirms
            && self.scenario.without == Some(Rule::DeadlineAtConfirmation)
            && let Some(deadline) = after.hold_expires_at
        {
            now_there = now_there.min(deadline.minus(std::time::Duration::from_secs(1)));
        }
        let mut outcome = Outcome { state, ..Outcome::default() };
        match after.decide(&id, &asked, now_there) {
            Err(refusal) => {
                outcome.refusal = Some(small(self.refusals.number(refusal.into())));
            }
            Ok(events) => {
                for event in events {
                    after.evolve(&event);
                    match self.scenario.without {
                        Some(Rule::MemoryOfLatePayments) => after.decided_late.clear(),
                        Some(Rule::MemoryOfLostMoney) => after.lost.clear(),
                        _ => {}
                    }
                    match &event {
                        reservation::Event::Confirmed { .. } => outcome.confirmed = true,
                        reservation::Event::Cancelled {
                            reason: CancelReason::Oversold, ..
                        } => {
                            outcome.oversold = true;
                        }
                        _ => {}
                    }
                    let what = What::Reservation(&id, &event, &after);
                    let mut asks = react(what, now);
                    if self.scenario.without == Some(Rule::ReleaseOnLateRejected)
                        && matches!(event, reservation::Event::LatePaymentRejected { .. })
                    {
                        let to_a_unit = |ask: &Ask| {
                            matches!(ask, Ask::Do(Command::Inventory(..) | Command::Vehicle(..)))
                        };
                        asks.retain(|ask| !to_a_unit(ask));
                    }
                    self.follow(asks, &mut outcome);
                }
                outcome.state = small(self.reservations.number(after));
            }
        }
        self.outcomes.insert(key, outcome.clone());
        outcome
    }

    /// Asks a payment.
    pub(crate) fn ask_payment(&mut self, state: N, command: N, now: u8) -> Outcome {
        let key = (Kind::Payment, state, command, now);
        if let Some(outcome) = self.outcomes.get(&key) {
            return outcome.clone();
        }
        let Command::Payment(id, mut asked) = self.command(command).clone() else {
            panic!("a command to a payment")
        };
        if self.scenario.without == Some(Rule::SoftVoidSparesPaid)
            && let payment::Command::SoftVoid { attempt, .. } = asked
        {
            asked = payment::Command::GiveBack { attempt, reason: BackReason::Late };
        }
        let mut after = self.payment(state).clone();
        let mut outcome = Outcome { state, ..Outcome::default() };
        match after.decide(&id, &asked, at(now)) {
            Err(refusal) => {
                outcome.refusal = Some(small(self.refusals.number(refusal.into())));
            }
            Ok(events) => {
                for event in events {
                    after.evolve(&event);
                    let asks = react(What::Payment(&id, &event, &after), now);
                    self.follow(asks, &mut outcome);
                }
                outcome.state = small(self.payments.number(after));
            }
        }
        self.outcomes.insert(key, outcome.clone());
        outcome
    }

    /// Asks a pool.
    pub(crate) fn ask_pool(&mut self, state: N, command: N, now: u8) -> Outcome {
        let key = (Kind::Pool, state, command, now);
        if let Some(outcome) = self.outcomes.get(&key) {
            return outcome.clone();
        }
        let Command::Inventory(sku, mut asked) = self.command(command).clone() else {
            panic!("a command to a pool")
        };
        let mut after = self.pool(state).clone();
        self.rewrite(&after, &mut asked);
        let mut outcome = Outcome { state, ..Outcome::default() };
        match after.decide(&sku, &asked, at(now)) {
            Err(refusal) => {
                outcome.refusal = Some(small(self.refusals.number(refusal.into())));
            }
            Ok(events) => {
                for event in events {
                    if let Some(event) = self.recorded(&after, event) {
                        after.evolve(&event);
                    }
                }
                outcome.state = small(self.pools.number(after));
            }
        }
        self.outcomes.insert(key, outcome.clone());
        outcome
    }

    /// Asks a car.
    pub(crate) fn ask_car(&mut self, state: N, command: N, now: u8) -> Outcome {
        let key = (Kind::Car, state, command, now);
        if let Some(outcome) = self.outcomes.get(&key) {
            return outcome.clone();
        }
        let Command::Vehicle(id, mut asked) = self.command(command).clone() else {
            panic!("a command to a car")
        };
        let mut after = self.car(state).clone();
        self.rewrite_for_a_car(&after, &mut asked);
        let mut outcome = Outcome { state, ..Outcome::default() };
        match after.decide(&id, &asked, at(now)) {
            Err(refusal) => {
                outcome.refusal = Some(small(self.refusals.number(refusal.into())));
            }
            Ok(events) => {
                for event in events {
                    if self.is_recorded_by_a_car(&event) {
                        after.evolve(&event);
                    }
                }
                outcome.state = small(self.cars.number(after));
            }
        }
        self.outcomes.insert(key, outcome.clone());
        outcome
    }

    /// Takes note of what follows from a fact. Timers alone are set at once.
    fn follow(&mut self, asks: Vec<Ask>, outcome: &mut Outcome) {
        if asks.is_empty() {
            return;
        }
        let only_timers =
            asks.iter().all(|ask| matches!(ask, Ask::Wake { .. } | Ask::Forget(_) | Ask::Alarm(_)));
        let mut list = self.asks(asks);
        if !only_timers {
            outcome.facts.push(list);
            return;
        }
        while list != NONE {
            list = match self.head(list) {
                Head::Timer { timer, then } => {
                    outcome.timer = Some(timer);
                    then
                }
                Head::Nothing { then } | Head::Command { then, .. } => then,
            };
        }
    }

    /// Whose payment it is.
    pub(crate) fn payment_id(&self, who: usize) -> PaymentId {
        self.ids[who].payment_id()
    }
}

fn react(what: What<'_>, now: u8) -> Vec<Ask> {
    Process::Booking.react(&Fact { at: at(now), what }, &Settings::default())
}

/// Whether a reservation has ended unpaid or was cancelled.
pub(crate) fn has_ended(status: Status) -> bool {
    match status {
        Status::HoldFailed | Status::HoldExpired | Status::Cancelled => true,
        Status::None
        | Status::Hold
        | Status::AwaitingPayment
        | Status::Reacquiring
        | Status::Confirmed
        | Status::InUse
        | Status::Completed => false,
    }
}
