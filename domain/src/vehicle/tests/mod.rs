//! A vehicle's rules, by the cells of DOMAIN.md C.6 and by the races of D.

mod doors;
mod properties;
mod races;
mod signals;
mod table;

use std::time::Duration;

use uuid::Uuid;

use super::*;
use crate::claim::testing::{ask, at, attempt, reservation, user};
use crate::{By, Decider};

/// The late grace of the tests.
const GRACE: Duration = Duration::from_secs(30);

fn van() -> VehicleId {
    VehicleId::new("van-7").unwrap()
}

fn command(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// The customer of the n-th reservation.
fn customer(number: u128) -> UserId {
    user(&format!("customer-{number}"))
}

fn owner(number: u128) -> By {
    By::Owner(customer(number))
}

fn operator() -> By {
    By::Operator(user("olga"))
}

fn register() -> Command {
    Command::Register {
        vin_ref: "WVWZZZ1JZXW000001".into(),
        type_pool: Sku::new("van").unwrap(),
        odometer_m: 10_000,
        fuel_pct: Some(80),
    }
}

fn reserve(number: u128, until: i64) -> Command {
    Command::Reserve {
        reservation_id: reservation(number),
        user_id: customer(number),
        epoch: 1,
        expires_at: Some(at(until)),
        attempt: attempt(number),
        period: None,
        confirmed: false,
    }
}

fn assign(number: u128, from: i64, until: i64) -> Command {
    Command::Reserve {
        reservation_id: reservation(number),
        user_id: customer(number),
        epoch: 1,
        expires_at: None,
        attempt: attempt(number),
        period: Some(Period { from: at(from), until: at(until) }),
        confirmed: true,
    }
}

fn confirm(number: u128) -> Command {
    Command::ConfirmReservation { reservation_id: reservation(number), epoch: 1 }
}

fn release(number: u128, reason: ReleaseReason) -> Command {
    Command::ReleaseReservation { reservation_id: reservation(number), epoch: 1, reason }
}

/// An unlock that is asked for at `asked` and must be done 20 s later.
fn unlock(number: u128, id: u128, asked: i64) -> Command {
    Command::RequestUnlock {
        command_id: command(id),
        reservation_id: reservation(number),
        by: owner(number),
        deadline: at(asked + 20),
    }
}

fn lock(number: u128, id: u128, asked: i64) -> Command {
    Command::RequestLock {
        command_id: command(id),
        reservation_id: Some(reservation(number)),
        by: owner(number),
        deadline: at(asked + 20),
        reason: LockReason::User,
    }
}

fn answer(id: Uuid, kind: CommandKind, answer: Answer) -> Command {
    Command::Answer {
        command_id: id,
        kind,
        answer,
        device_time: at(7),
        odometer_m: None,
        fuel_pct: None,
        grace: GRACE,
    }
}

fn unlocked(id: u128) -> Command {
    answer(command(id), CommandKind::Unlock, Answer::Unlocked)
}

fn locked(id: Uuid) -> Command {
    answer(id, CommandKind::Lock, Answer::Locked)
}

fn timed_out(id: Uuid) -> Command {
    Command::CommandTimedOut { command_id: id }
}

fn end_trip(number: u128) -> Command {
    Command::EndTrip {
        reservation_id: reservation(number),
        odometer_m: 15_000,
        fuel_pct: 60,
        lock: true,
    }
}

/// What is asked, at which second.
fn decide(state: &State, command: &Command, secs: i64) -> Result<Vec<Event>, Refusal> {
    state.decide(&van(), command, at(secs))
}

/// Asks and takes the answer in. It must be granted, and a repeat must be "already so".
fn yes(state: &mut State, command: &Command, secs: i64) -> Vec<Event> {
    ask(state, &van(), command, at(secs)).unwrap_or_else(|no| panic!("{command:?}: {no}"))
}

/// The same for a vehicle's answer, whose repeat is a fact of its own.
fn told(state: &mut State, command: &Command, secs: i64) -> Vec<Event> {
    let events = decide(state, command, secs).unwrap();
    events.iter().for_each(|event| state.evolve(event));
    events
}

fn no(state: &State, command: &Command, secs: i64) -> Refusal {
    decide(state, command, secs).expect_err("refused")
}

/// A vehicle of the fleet, in reach.
fn fleet() -> State {
    let mut state = State::default();
    yes(&mut state, &register(), 0);
    yes(&mut state, &Command::ConnectionRestored { boot: 1 }, 0);
    state
}

/// Held by the first reservation until second 960, unpaid.
fn held() -> State {
    let mut state = fleet();
    yes(&mut state, &reserve(1, 960), 0);
    state
}

/// Paid for by the first reservation.
fn paid() -> State {
    let mut state = held();
    yes(&mut state, &confirm(1), 1);
    state
}

/// Being unlocked since second 100, for the first reservation, by command 1.
fn unlocking() -> State {
    let mut state = paid();
    yes(&mut state, &unlock(1, 1, 100), 100);
    state
}

/// Unlocked at second 101.
fn stopped() -> State {
    let mut state = unlocking();
    told(&mut state, &unlocked(1), 101);
    state
}

/// Under way.
fn driving() -> State {
    let mut state = stopped();
    yes(&mut state, &Command::StartTrip { reservation_id: reservation(1) }, 102);
    state
}

/// Returned at second 500, being locked.
fn returned() -> State {
    let mut state = driving();
    yes(&mut state, &end_trip(1), 500);
    state
}

/// Out of service.
fn in_the_workshop() -> State {
    let mut state = fleet();
    let out = Command::SetOutOfService { by: operator(), reason: "brakes".into() };
    yes(&mut state, &out, 1);
    state
}

fn is_lock_requested(event: &Event, why: LockReason) -> bool {
    matches!(event, Event::LockRequested { reason, attempt: 1, .. } if *reason == why)
}

/// The command that it is told to obey now.
fn under_way(state: &State) -> Uuid {
    state.command().expect("a command is under way").command_id
}
