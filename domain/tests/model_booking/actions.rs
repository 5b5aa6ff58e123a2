//! What may happen next: every customer, gateway, clock, process and former owner takes a step.

use holdfast_domain::process::Command;
use holdfast_domain::reservation::Status;

use super::Model;
use super::rules::{Head, Outcome, Wish};
use super::scenario::{Rule, Scenario};
use super::world::{Booking, N, NONE, World};

/// Everything that can happen in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Tick,
    /// Customer, attempt: the next pool, the hold, or a withdrawal.
    Acquire(usize, usize),
    /// The customer begins to pay, or goes on with it.
    Pay(usize),
    Cancel(usize),
    /// The gateway says of that attempt …
    Authorized(usize, u16),
    Succeeded(usize, u16),
    Declined(usize, u16),
    Cancelled(usize, u16),
    Refunded(usize, u16),
    CaptureRefused(usize, u16),
    /// The hold's timer fires.
    Timer(usize),
    /// A lapsed claim is dropped: of whom, where.
    Drop(usize, usize),
    /// The process performs its next ask.
    Process(usize),
    /// The process dies and begins with the fact again.
    Crash(usize),
    /// The next ask goes to the dead letters.
    Park(usize),
    /// A dead letter's next ask.
    Redrive(usize),
    /// A former owner wakes up with the asks of an old fact.
    Wake(usize, N),
    /// A former owner performs its next ask.
    Stale(usize),
}

/// An action in a world where the pools' clock may run ahead.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) action: Action,
    /// By how many ticks.
    pub(crate) ahead: u8,
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.ahead {
            0 => write!(f, "{:?}", self.action),
            ahead => write!(f, "{:?} (the pools' clock is {ahead} ahead)", self.action),
        }
    }
}

impl Model {
    /// Every action that makes a difference, with the world after it.
    pub(crate) fn all(&mut self, world: &World, out: &mut Vec<(Step, World)>) {
        let scenario = self.rules.scenario;
        for who in 0..usize::from(scenario.customers) {
            let booking = world.bookings[who];
            let attempts = 1 + usize::from(scenario.retry && who == 0);
            for attempt in 0..attempts {
                self.skewed(world, out, Action::Acquire(who, attempt), |model, world, ahead| {
                    model.acquire(world, who, attempt, ahead)
                });
            }
            self.skewed(world, out, Action::Pay(who), |model, world, ahead| {
                model.pay(world, who, ahead)
            });
            if booking.may_cancel {
                self.one(world, out, Action::Cancel(who), |model, world| model.cancel(world, who));
            }
            self.gateway(world, out, who);
            if booking.timer.is_some_and(|(at, _)| at <= world.now) {
                self.one(world, out, Action::Timer(who), |model, world| model.timer(world, who));
            }
            for pool in 0..2 {
                self.one(world, out, Action::Drop(who, pool), |model, world| {
                    model.drop_lapsed(world, who, pool)
                });
            }
            self.processes(world, out, who);
        }
        if world.now < scenario.last_tick && self.clock_may_go_on(world, &scenario) {
            let after = World { now: world.now + 1, ..*world };
            out.push((Step { action: Action::Tick, ahead: 0 }, after));
        }
    }

    fn processes(&mut self, world: &World, out: &mut Vec<(Step, World)>, who: usize) {
        let scenario = self.rules.scenario;
        let booking = world.bookings[who];
        self.skewed(world, out, Action::Process(who), |model, world, ahead| {
            model.process(world, who, ahead)
        });
        if scenario.crash && booking.answering != NONE && booking.left != booking.answering {
            self.one(world, out, Action::Crash(who), |model, world| {
                let skips = model.rules.scenario.without == Some(Rule::CheckpointAfterAsks);
                let booking = &mut world.bookings[who];
                booking.left = if skips { NONE } else { booking.answering };
                if skips {
                    booking.answering = NONE;
                }
                true
            });
        }
        if booking.dead_letters < scenario.dead_letters[who] && booking.parked == NONE {
            self.one(world, out, Action::Park(who), |model, world| {
                if !model.begins(world, who) {
                    return false;
                }
                let booking = &mut world.bookings[who];
                booking.dead_letters += 1;
                (booking.parked, booking.left) = model.rules.first_alone(booking.left);
                true
            });
        }
        if booking.parked != NONE {
            self.skewed(world, out, Action::Redrive(who), |model, world, ahead| {
                let list = world.bookings[who].parked;
                let left = model.perform(world, who, list, ahead);
                world.bookings[who].parked = left;
                true
            });
        }
        if booking.stale != NONE {
            self.skewed(world, out, Action::Stale(who), |model, world, ahead| {
                let list = world.bookings[who].stale;
                let left = model.perform(world, who, list, ahead);
                world.bookings[who].stale = left;
                true
            });
        } else if booking.stale_starts < scenario.stale[who] {
            for old in booking.old.iter() {
                self.one(world, out, Action::Wake(who, old), |_, world| {
                    world.bookings[who].stale = old;
                    world.bookings[who].stale_starts += 1;
                    true
                });
            }
        }
    }

    fn one(
        &mut self,
        world: &World,
        out: &mut Vec<(Step, World)>,
        action: Action,
        does: impl FnOnce(&mut Model, &mut World) -> bool,
    ) {
        let mut after = *world;
        if does(self, &mut after) && after != *world {
            out.push((Step { action, ahead: 0 }, after));
        }
    }

    fn skewed(
        &mut self,
        world: &World,
        out: &mut Vec<(Step, World)>,
        action: Action,
        does: impl Fn(&mut Model, &mut World, u8) -> bool,
    ) {
        for ahead in 0..=u8::from(self.rules.scenario.skew) {
            let mut after = *world;
            if does(self, &mut after, ahead) && after != *world {
                out.push((Step { action, ahead }, after));
            }
        }
    }

    /// With prompt commits the clock waits for whoever was confirmed.
    fn clock_may_go_on(&self, world: &World, scenario: &Scenario) -> bool {
        let Some(latency) = scenario.prompt else { return true };
        let waits = |booking: &Booking| {
            booking.confirmed_at.is_some_and(|since| world.now >= since + latency)
        };
        !world.bookings.iter().any(waits)
    }

    // ── the gateway ──

    fn gateway(&mut self, world: &World, out: &mut Vec<(Step, World)>, who: usize) {
        let words = self.rules.words(who, world.bookings[who].payment);
        for (action, command) in words.iter() {
            self.one(world, out, *action, |model, world| {
                model.ask(world, who, *command, 0);
                true
            });
        }
    }

    // ── timers ──

    fn timer(&mut self, world: &mut World, who: usize) -> bool {
        let Some((_, command)) = world.bookings[who].timer.take() else { return false };
        let outcome = self.ask(world, who, command, 0);
        if let Some(refusal) = outcome.refusal {
            let mut list = self.rules.answer_alone(command, refusal);
            while list != NONE {
                list = self.perform(world, who, list, 0);
            }
        }
        true
    }

    fn drop_lapsed(&mut self, world: &mut World, who: usize, pool: usize) -> bool {
        if !self.rules.has_lapsed(world, who, pool) {
            return false;
        }
        let command = self.rules.wish(Wish::Drop { who, pool });
        self.ask(world, who, command, 0);
        true
    }

    // ── the process ──

    /// Begins with the next fact, or goes on with the present one.
    fn process(&mut self, world: &mut World, who: usize, ahead: u8) -> bool {
        if !self.begins(world, who) {
            return false;
        }
        let list = world.bookings[who].left;
        let left = self.perform(world, who, list, ahead);
        let booking = &mut world.bookings[who];
        booking.left = left;
        if left == NONE {
            booking.answering = NONE;
        }
        true
    }

    /// Takes up the next fact, unless one is being answered. False when there is none.
    fn begins(&self, world: &mut World, who: usize) -> bool {
        let booking = &mut world.bookings[who];
        if booking.left == NONE {
            booking.answering = NONE;
            let Some(asks) = booking.facts.pop_front() else { return false };
            booking.answering = asks;
            booking.left = asks;
            if self.rules.scenario.stale[who] > 0 {
                booking.old.insert(asks);
            }
        }
        true
    }

    /// Performs the first ask of a list; what is left of it comes back.
    fn perform(&mut self, world: &mut World, who: usize, list: N, ahead: u8) -> N {
        match self.rules.head(list) {
            Head::Nothing { then } => then,
            Head::Timer { timer, then } => {
                world.bookings[who].timer = timer;
                then
            }
            Head::Command { command, then } => match self.ask(world, who, command, ahead).refusal {
                None => then,
                Some(refusal) => self.rules.refused(list, command, refusal),
            },
        }
    }

    pub(super) fn ask(&mut self, world: &mut World, who: usize, command: N, ahead: u8) -> Outcome {
        let pool = match self.rules.command(command) {
            Command::Inventory(sku, _) => self.rules.skus.iter().position(|known| known == sku),
            Command::Vehicle(..) => Some(1),
            _ => None,
        };
        let booking = &mut world.bookings[who];
        let outcome = match (pool, self.rules.command(command)) {
            (Some(car), Command::Vehicle(..)) => {
                let outcome = self.rules.ask_car(world.pools[car], command, world.now + ahead);
                world.pools[car] = outcome.state;
                outcome
            }
            (Some(pool), _) => {
                let outcome = self.rules.ask_pool(world.pools[pool], command, world.now + ahead);
                world.pools[pool] = outcome.state;
                outcome
            }
            (None, Command::Reservation(..)) => {
                let outcome = self.rules.ask_reservation(booking.reservation, command, world.now);
                booking.reservation = outcome.state;
                outcome
            }
            (None, Command::Payment(..)) => {
                let outcome = self.rules.ask_payment(booking.payment, command, world.now);
                booking.payment = outcome.state;
                outcome
            }
            (None, other) => unreachable!("nobody here asks {other:?}"),
        };
        for fact in &outcome.facts {
            booking.facts.push(*fact);
        }
        if let Some(timer) = outcome.timer {
            booking.timer = timer;
        }
        if self.rules.scenario.prompt.is_some() {
            if outcome.confirmed {
                booking.confirmed_at = Some(world.now);
            }
            let state = self.rules.reservation(booking.reservation);
            if state.finalized || state.status != Status::Confirmed {
                booking.confirmed_at = None;
            }
            world.oversold |= outcome.oversold;
        }
        outcome
    }
}
