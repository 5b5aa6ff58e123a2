//! A world of one seat and two browser tabs, run by the real seat map, the real reservation and the
//! real booking process. Only the engine around them is a stand-in, the worst that is allowed: it may
//! crash between any two steps, run an attempt beside a paused one, fire timers late, and have a
//! process owner that wakes up and sends again whatever it had been about to send.

#![expect(clippy::disallowed_types, reason = "tables of a search, whose order nobody sees")]
#![expect(clippy::wildcard_enum_match_arm, reason = "the stand-in spoils one rule at a time")]

mod customers;
mod spoiled;

use std::collections::{BTreeMap, HashMap};

use holdfast_domain::payment::Flow;
use holdfast_domain::process::{Ask, Command, Fact, Process, Refusal, Settings, TimerKey, What};
use holdfast_domain::reservation::{
    self, CancelReason, Channel, Claim, Line, LineKind, Policies, Status,
};
use holdfast_domain::seatmap::{
    self, Category, Owner, Plan, ReleaseReason, SeatStatus, Seats, Section,
};
use holdfast_domain::{
    AttemptId, By, Currency, Decider, LockId, Money, ReservationId, SeatId, SeatMapId, Timestamp,
    UserId,
};

use crate::support::interned::{Interned, Number};
use crate::support::search::Model;

/// One rule that the world does without; each must lead to a violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Without {
    /// The rules as they are.
    Nothing,
    /// Nobody is woken when an attached seat lapses.
    TimerOfAttachedSeats,
    /// Nobody is woken when a bare lock lapses.
    TimerOfBareLocks,
    /// Attached seats may be taken over by another reservation of the same customer.
    TheOwnerGuard,
    /// Releasing the lock's id still frees the seat when a reservation has taken it over.
    InertLockRelease,
    /// The lock's own timer still frees the seat when a reservation has taken it over.
    InertLockTimer,
    /// A release leaves no fence.
    Tombstones,
    /// An attached seat keeps the time of the lock that it was.
    TheReservationsDeadline,
    /// Claims lapse at the very deadline of the reservation.
    Grace,
    /// A re-acquired seat lapses.
    FirmReacquisition,
    /// A retry leaves the claim's deadline as it was.
    RaisedDeadlines,
}

/// How large a world.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Whose the two tabs are.
    pub(crate) users: [&'static str; 2],
    /// How long a bare lock lives, in ticks.
    pub(crate) lock_ttl: u8,
    /// How long a hold lives.
    pub(crate) hold: u8,
    /// The last tick at which customers begin something.
    pub(crate) busy_until: u8,
    /// How often each reservation may be tried.
    pub(crate) attempts: [usize; 2],
    /// Whether the tabs begin with bare locks.
    pub(crate) locks: [bool; 2],
    /// Whether their customers cancel.
    pub(crate) cancels: [bool; 2],
    /// Whether confirmed claims are committed within a tick.
    pub(crate) prompt: bool,
    /// Whether the process owner may be a stale one.
    pub(crate) stale_owner: bool,
}

/// One try at acquiring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Attempt {
    NotYet,
    /// The seat is attached; the hold is to be recorded with that deadline.
    Attached(u8),
    /// Refused elsewhere; the seat is to be given back.
    Refused,
    /// Finished or crashed.
    Over,
}

/// One browser tab with its reservation, and how far the process has come with it.
#[derive(Clone, Debug, Hash)]
struct Tab {
    state: Number,
    /// The reservation's facts: a list of (event, state after it).
    facts: Number,
    /// Which fact is being handled, which of its asks, which command of that.
    at: (u8, u8, u8),
    /// Commands that follow from a refusal, before the next ask.
    pending: Vec<Number>,
    /// What a stale owner may send again, sorted.
    may_send: Vec<Number>,
    locked: bool,
    by_lock: Option<bool>,
    attempts: [Attempt; 2],
}

/// Everything at one moment.
#[derive(Clone, Debug, Hash)]
pub(crate) struct State {
    now: u8,
    map: Number,
    timers: Number,
    tabs: [Tab; 2],
}

/// What may happen.
#[derive(Clone, Debug)]
#[expect(dead_code, reason = "shown in the way to a violation")]
pub(crate) enum Action {
    Tick,
    Lock(usize),
    LeavePage(usize),
    Attach { tab: usize, attempt: usize, by_lock: bool },
    PlaceHold { tab: usize, attempt: usize },
    RefusedElsewhere { tab: usize, attempt: usize },
    Withdraw { tab: usize, attempt: usize },
    Crash { tab: usize, attempt: usize },
    Pay(usize),
    MoneyArrives(usize),
    Cancel(usize),
    Process { tab: usize, sends: Option<Command> },
    SendAgain { tab: usize, sends: Command },
    Timer(TimerKey),
}

type Timers = BTreeMap<TimerKey, (Timestamp, Number)>;
/// Lists of commands, and timers.
type Asks = (Vec<Vec<Number>>, Vec<Ask>);
type Facts = Vec<(reservation::Event, Number)>;
/// State, command, moment.
type AnswerKey = (Number, Number, u8);
type Answer<E, R> = Result<(Number, Vec<(E, Number)>), R>;

/// The world's rules and everything that was ever seen in it.
pub(crate) struct World {
    size: Size,
    without: Without,
    grace: u8,
    seat: SeatId,
    map_id: SeatMapId,
    maps: Interned<seatmap::State>,
    reservations: Interned<reservation::State>,
    facts: Interned<Facts>,
    timers: Interned<Timers>,
    commands: Interned<Command>,
    map_answers: HashMap<AnswerKey, Answer<seatmap::Event, seatmap::Refusal>>,
    answers: HashMap<AnswerKey, Answer<reservation::Event, reservation::Refusal>>,
    /// For each tab, list of facts, and fact in it: lists of commands, and timers to note.
    asks: HashMap<(usize, Number, u8), Asks>,
    /// What customers and attempts ask: what, tab, attempt, tick.
    known: HashMap<(&'static str, usize, usize, u8), Number>,
    fired: HashMap<(Number, TimerKey), Number>,
    facts_after: HashMap<(Number, AnswerKey), Number>,
    timers_after: HashMap<(Number, AnswerKey), Number>,
}

fn at(tick: u8) -> Timestamp {
    Timestamp::from_secs(i64::from(tick))
}

fn reservation_id(tab: usize) -> ReservationId {
    ReservationId(holdfast_domain::derive(&["reservation", &tab.to_string()]))
}

fn lock_id(tab: usize) -> LockId {
    LockId(holdfast_domain::derive(&["lock", &tab.to_string()]))
}

fn attempt_id(tab: usize, attempt: usize) -> AttemptId {
    AttemptId(holdfast_domain::derive(&["attempt", &tab.to_string(), &attempt.to_string()]))
}

impl World {
    pub(crate) fn new(size: Size, without: Without) -> Self {
        Self {
            size,
            without,
            grace: if without == Without::Grace { 0 } else { 1 },
            seat: SeatId::new("S-1-1").expect("a seat's id"),
            map_id: SeatMapId::new("hall").expect("a map's id"),
            maps: Interned::default(),
            reservations: Interned::default(),
            facts: Interned::default(),
            timers: Interned::default(),
            commands: Interned::default(),
            map_answers: HashMap::new(),
            answers: HashMap::new(),
            asks: HashMap::new(),
            known: HashMap::new(),
            fired: HashMap::new(),
            facts_after: HashMap::new(),
            timers_after: HashMap::new(),
        }
    }

    fn user(&self, tab: usize) -> UserId {
        UserId::new(self.size.users[tab]).expect("a user's id")
    }

    fn last_tick(&self) -> u8 {
        self.size.busy_until + self.size.lock_ttl.max(self.size.hold + 1) + 1
    }

    /// The number of a command that is always the same for a tab, an attempt and a tick.
    fn known(
        &mut self,
        (what, tab, attempt, tick): (&'static str, usize, usize, u8),
        command: impl FnOnce(&Self) -> Command,
    ) -> Number {
        if let Some(number) = self.known.get(&(what, tab, attempt, tick)) {
            return *number;
        }
        let number = self.commands.number(command(self));
        self.known.insert((what, tab, attempt, tick), number);
        number
    }

    /// Asks the seat map. Where a rule is left out, this is where.
    fn ask_map(&mut self, state: &mut State, command: Number) -> Result<(), seatmap::Refusal> {
        let key = (state.map, command, state.now);
        if !self.map_answers.contains_key(&key) {
            let answer = self.decide_map(state.map, command, at(state.now));
            self.map_answers.insert(key, answer);
        }
        let (map, events) = self.map_answers[&key].as_ref().map_err(Clone::clone)?;
        state.map = *map;
        if events.is_empty() {
            return Ok(());
        }
        let timers = (state.timers, key);
        if let Some(after) = self.timers_after.get(&timers) {
            state.timers = *after;
            return Ok(());
        }
        for (event, _) in events.clone() {
            self.note_timers(state, &event);
        }
        self.timers_after.insert(timers, state.timers);
        Ok(())
    }

    fn decide_map(
        &mut self,
        before: Number,
        command: Number,
        now: Timestamp,
    ) -> Answer<seatmap::Event, seatmap::Refusal> {
        let Command::SeatMap(id, command) = self.commands.get(command).clone() else {
            unreachable!("only asked with commands for the map")
        };
        let mut map = self.maps.get(before).clone();
        let mut recorded = Vec::new();
        for event in self.spoiled_before(&map, &command) {
            map.evolve(&event);
            recorded.push((event, 0));
        }
        for event in map.decide(&id, &command, now)? {
            if let Some(event) = self.spoiled(&map, event, now) {
                map.evolve(&event);
                recorded.push((event, 0));
            }
        }
        Ok((self.maps.number(map), recorded))
    }

    /// The booking process notes when to look again.
    fn note_timers(&mut self, state: &mut State, event: &seatmap::Event) {
        let map_id = self.map_id.clone();
        let fact = Fact { at: at(state.now), what: What::SeatMap(&map_id, event) };
        for ask in Process::Booking.react(&fact, &Settings::default()) {
            self.note(state, ask);
        }
    }

    fn note(&mut self, state: &mut State, ask: Ask) {
        let mut timers = self.timers.get(state.timers).clone();
        match ask {
            Ask::Wake { key, at, then } => {
                let left_out = match key {
                    TimerKey::Seats(..) => self.without == Without::TimerOfAttachedSeats,
                    TimerKey::SeatLock(..) => self.without == Without::TimerOfBareLocks,
                    _ => false,
                };
                let Ask::Do(command) = *then else { panic!("timers send one command") };
                if !left_out {
                    timers.insert(key, (at, self.commands.number(command)));
                }
            }
            Ask::Forget(key) => {
                // Without the rule the lock's own timer goes on.
                let kept = self.without == Without::InertLockTimer
                    && matches!(key, TimerKey::SeatLock(..));
                if !kept {
                    timers.remove(&key);
                }
            }
            Ask::Do(_)
            | Ask::Steps(_)
            | Ask::Gateway(_)
            | Ask::Vehicle(_)
            | Ask::Assign { .. }
            | Ask::Charge(_)
            | Ask::Alarm(_) => {}
        }
        state.timers = self.timers.number(timers);
    }

    fn ask_reservation(
        &mut self,
        state: &mut State,
        tab: usize,
        command: Number,
    ) -> Result<(), reservation::Refusal> {
        let key = (state.tabs[tab].state, command, state.now);
        if !self.answers.contains_key(&key) {
            let answer = self.decide_reservation(key.0, command, at(state.now));
            self.answers.insert(key, answer);
        }
        let (after, events) = self.answers[&key].as_ref().map_err(Clone::clone)?;
        let it = &mut state.tabs[tab];
        it.state = *after;
        if !events.is_empty() {
            let before = it.facts;
            it.facts = *self.facts_after.entry((before, key)).or_insert_with(|| {
                let mut facts = self.facts.get(before).clone();
                facts.extend(events.iter().cloned());
                self.facts.number(facts)
            });
        }
        Ok(())
    }

    fn decide_reservation(
        &mut self,
        before: Number,
        command: Number,
        now: Timestamp,
    ) -> Answer<reservation::Event, reservation::Refusal> {
        let Command::Reservation(id, command) = self.commands.get(command).clone() else {
            unreachable!("only asked with commands for a reservation")
        };
        let mut reservation = self.reservations.get(before).clone();
        let mut recorded = Vec::new();
        let mut number = before;
        for event in reservation.decide(&id, &command, now)? {
            reservation.evolve(&event);
            number = self.reservations.number(reservation.clone());
            recorded.push((event, number));
        }
        Ok((number, recorded))
    }

    /// Sends a command of the process; a refusal is answered by what must follow.
    fn send(&mut self, state: &mut State, command: Number) -> Result<(), Vec<Ask>> {
        let refusal = match self.commands.get(command) {
            Command::SeatMap(..) => self.ask_map(state, command).map_err(Refusal::from).err(),
            Command::Reservation(id, _) => {
                let tab = usize::from(*id == reservation_id(1));
                self.ask_reservation(state, tab, command).map_err(Refusal::from).err()
            }
            _ => None,
        };
        match refusal {
            None => Ok(()),
            Some(refusal) => Err(Process::Booking.refused(self.commands.get(command), &refusal)),
        }
    }

    /// The asks that follow from the n-th fact of a list: lists of commands for this world's
    /// aggregates, and timers.
    fn asks(&mut self, state: &State, tab: usize, nth: u8) -> &Asks {
        let key = (tab, state.tabs[tab].facts, nth);
        let Self { asks, facts, reservations, commands, .. } = self;
        asks.entry(key).or_insert_with(|| {
            let (event, after) = &facts.get(key.1)[usize::from(nth)];
            let id = reservation_id(tab);
            let what = What::Reservation(&id, event, reservations.get(*after));
            let fact = Fact { at: at(state.now), what };
            let (mut lists, mut timers) = (Vec::new(), Vec::new());
            for ask in Process::Booking.react(&fact, &Settings::default()) {
                match ask {
                    Ask::Do(command) => lists.push(vec![command]),
                    Ask::Steps(commands) => lists.push(commands),
                    Ask::Wake { .. } | Ask::Forget(_) => timers.push(ask),
                    Ask::Gateway(_)
                    | Ask::Vehicle(_)
                    | Ask::Assign { .. }
                    | Ask::Charge(_)
                    | Ask::Alarm(_) => {}
                }
            }
            let here = |it: &Command| matches!(it, Command::SeatMap(..) | Command::Reservation(..));
            let numbers = lists.into_iter().map(|list| {
                list.into_iter().filter(here).map(|it| commands.number(it)).collect::<Vec<_>>()
            });
            (numbers.filter(|list| !list.is_empty()).collect(), timers)
        })
    }

    /// The process takes its next step for a tab; none when it is done with all facts.
    fn process(&mut self, state: &State, tab: usize) -> Option<(Option<Command>, State)> {
        let mut next = state.clone();
        if let Some(&command) = next.tabs[tab].pending.first() {
            next.tabs[tab].pending.remove(0);
            self.sent(&mut next, tab, command, false);
            return Some((Some(self.commands.get(command).clone()), next));
        }
        let (fact, ask, step) = state.tabs[tab].at;
        if usize::from(fact) >= self.facts.get(state.tabs[tab].facts).len() {
            return None;
        }
        let (lists, timers) = self.asks(state, tab, fact).clone();
        if (ask, step) == (0, 0) {
            timers.into_iter().for_each(|ask| self.note(&mut next, ask));
        }
        let Some(list) = lists.get(usize::from(ask)) else {
            next.tabs[tab].at = (fact + 1, 0, 0);
            return Some((None, next));
        };
        let command = list[usize::from(step)];
        let last = usize::from(step) + 1 == list.len();
        next.tabs[tab].at = if last { (fact, ask + 1, 0) } else { (fact, ask, step + 1) };
        if !self.sent(&mut next, tab, command, true) {
            next.tabs[tab].at = (fact, ask + 1, 0);
        }
        Some((Some(self.commands.get(command).clone()), next))
    }

    /// Sends for the owner, or again for a stale one, and remembers what a stale one may send.
    fn sent(&mut self, state: &mut State, tab: usize, command: Number, owner: bool) -> bool {
        self.may_send(state, tab, command);
        match self.send(state, command) {
            Ok(()) => {
                // A paused run that had got this far goes on with the step behind it.
                for nth in 0..=state.tabs[tab].at.0 {
                    if usize::from(nth) >= self.facts.get(state.tabs[tab].facts).len() {
                        break;
                    }
                    let (lists, _) = self.asks(state, tab, nth);
                    let behind: Vec<_> = lists
                        .iter()
                        .filter_map(|list| list.windows(2).find(|two| two[0] == command))
                        .map(|two| two[1])
                        .collect();
                    for next in behind {
                        self.may_send(state, tab, next);
                    }
                }
                true
            }
            Err(asks) => {
                for ask in asks {
                    if let Ask::Do(follows) = ask {
                        let follows = self.commands.number(follows);
                        self.may_send(state, tab, follows);
                        if owner {
                            state.tabs[tab].pending.push(follows);
                        }
                    } else {
                        self.note(state, ask);
                    }
                }
                false
            }
        }
    }

    fn may_send(&mut self, state: &mut State, tab: usize, command: Number) {
        let may_send = &mut state.tabs[tab].may_send;
        if self.size.stale_owner
            && let Err(place) = may_send.binary_search(&command)
        {
            may_send.insert(place, command);
        }
    }

    fn may_tick(&self, state: &State) -> bool {
        let waits = |tab: &Tab| {
            let reservation = self.reservations.get(tab.state);
            let confirmed = self.facts.get(tab.facts).iter().find_map(|(event, _)| match event {
                reservation::Event::Confirmed { confirmed_at, .. } => Some(*confirmed_at),
                _ => None,
            });
            let unfinished = reservation.status == Status::Confirmed && !reservation.finalized;
            unfinished && confirmed.is_some_and(|since| at(state.now) > since)
        };
        state.now < self.last_tick() && !(self.size.prompt && state.tabs.iter().any(waits))
    }

    fn owner(&self, state: &State) -> (Option<Owner>, SeatStatus) {
        let seat = self.maps.get(state.map).seat(&self.seat).expect("the only seat");
        (seat.owner, seat.status)
    }

    /// Whether the process is done with a tab and no attempt is under way.
    fn is_settled(&self, tab: &Tab) -> bool {
        usize::from(tab.at.0) == self.facts.get(tab.facts).len()
            && tab.pending.is_empty()
            && tab.attempts.iter().all(|it| matches!(it, Attempt::NotYet | Attempt::Over))
    }

    fn tab_holds(&self, state: &State, tab: usize) -> Result<(), String> {
        let it = &state.tabs[tab];
        let reservation = self.reservations.get(it.state);
        let (owner, seat) = self.owner(state);
        let mine = owner == Some(Owner::Reservation(reservation_id(tab)));
        let facts = self.facts.get(it.facts);
        let has = |is: fn(&reservation::Event) -> bool| facts.iter().any(|(event, _)| is(event));
        let oversold = has(|event| {
            matches!(event, reservation::Event::Cancelled { reason: CancelReason::Oversold, .. })
        });
        let accepted_late =
            has(|event| matches!(event, reservation::Event::LatePaymentAccepted { .. }));
        if oversold && (self.size.prompt || accepted_late) {
            return Err(format!("tab {tab} has paid and its seat was oversold"));
        }
        let settled = self.is_settled(it);
        match reservation.status {
            Status::Hold | Status::AwaitingPayment => {
                let until = reservation.hold_expires_at.expect("a hold has a deadline");
                if at(state.now) < until && !mine {
                    return Err(format!("tab {tab} holds a seat that is not its own"));
                }
            }
            Status::Confirmed if reservation.finalized && !(mine && seat == SeatStatus::Booked) => {
                return Err(format!("tab {tab} has finalized a seat that is not its own"));
            }
            Status::HoldFailed | Status::HoldExpired | Status::Cancelled if settled && mine => {
                return Err(format!("tab {tab} has ended and its seat is kept for nobody"));
            }
            _ => {}
        }
        Ok(())
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn initial(&mut self) -> State {
        let euro = Currency::new("EUR").expect("a currency");
        let plan = Plan {
            name: "One seat".into(),
            sku: None,
            categories: vec![Category { name: "A".into(), price: Money::new(4_500, euro) }],
            sections: vec![Section {
                name: "S".into(),
                category: "A".into(),
                rows: 1,
                seats_per_row: 1,
            }],
        };
        let mut map = seatmap::State::default();
        map.evolve(&seatmap::Event::Published { plan });
        let tab = Tab {
            state: self.reservations.number(reservation::State::default()),
            facts: self.facts.number(Facts::new()),
            at: (0, 0, 0),
            pending: vec![],
            may_send: vec![],
            locked: false,
            by_lock: None,
            attempts: [Attempt::NotYet; 2],
        };
        let map = self.maps.number(map);
        let timers = self.timers.number(Timers::new());
        State { now: 0, map, timers, tabs: [tab.clone(), tab] }
    }

    fn successors(&mut self, state: &State, out: &mut Vec<(Action, State)>) {
        self.customers(state, out);
        for tab in 0..2 {
            if let Some((sends, next)) = self.process(state, tab) {
                out.push((Action::Process { tab, sends }, next));
            }
            for &command in &state.tabs[tab].may_send {
                let mut next = state.clone();
                self.sent(&mut next, tab, command, false);
                let sends = self.commands.get(command).clone();
                out.push((Action::SendAgain { tab, sends }, next));
            }
        }
        let timers = self.timers.get(state.timers).clone();
        for (key, (due, command)) in &timers {
            if *due <= at(state.now) {
                let mut next = state.clone();
                let fired = (state.timers, key.clone());
                next.timers = *self.fired.entry(fired).or_insert_with(|| {
                    let mut left = timers.clone();
                    left.remove(key);
                    self.timers.number(left)
                });
                if let Err(asks) = self.send(&mut next, *command) {
                    asks.into_iter().for_each(|ask| self.note(&mut next, ask));
                }
                out.push((Action::Timer(key.clone()), next));
            }
        }
        if self.may_tick(state) {
            out.push((Action::Tick, State { now: state.now + 1, ..state.clone() }));
        }
        // What changes nothing does not keep the world from coming to rest.
        let same = crate::support::search::fingerprint(state);
        out.retain(|(_, next)| crate::support::search::fingerprint(next) != same);
    }

    fn check(&mut self, state: &State) -> Result<(), String> {
        let finalized = |tab: &Tab| {
            let reservation = self.reservations.get(tab.state);
            reservation.status == Status::Confirmed && reservation.finalized
        };
        if state.tabs.iter().all(finalized) {
            return Err("one seat was sold twice".into());
        }
        (0..2).try_for_each(|tab| self.tab_holds(state, tab))?;
        // A customer who leaves without a word changes nothing any more, nor does anybody else.
        let over = state.now == self.last_tick()
            && self.timers.get(state.timers).is_empty()
            && state.tabs.iter().all(|tab| self.is_settled(tab));
        if over && self.owner(state).1 == SeatStatus::Locked {
            return self.check_at_rest(state);
        }
        Ok(())
    }

    fn check_at_rest(&mut self, state: &State) -> Result<(), String> {
        let (owner, seat) = self.owner(state);
        if seat == SeatStatus::Locked {
            return Err(format!("the seat is locked for {owner:?} for ever"));
        }
        for (tab, it) in state.tabs.iter().enumerate() {
            let reservation = self.reservations.get(it.state);
            match reservation.status {
                Status::None | Status::HoldFailed | Status::HoldExpired | Status::Cancelled => {}
                Status::Confirmed if reservation.finalized => {}
                status => return Err(format!("tab {tab} is {status:?} for ever")),
            }
        }
        Ok(())
    }
}
