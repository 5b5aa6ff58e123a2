//! Given a history, when a command comes, then these facts or this refusal.

mod placing;
mod properties;
mod races;
mod rentals;
mod table;

use super::*;
use crate::payment::Flow;
use crate::{By, Currency, Decider, Sku, derive};

/// When everything begins.
const START: Timestamp = Timestamp::from_secs(1_795_000_000);
const HOLD_SECS: u64 = 900;
const CAP_SECS: u64 = 7_200;

/// That many seconds after the start.
fn at(secs: u64) -> Timestamp {
    START.plus(std::time::Duration::from_secs(secs))
}

/// Before the deadline, and at it: the deadline itself is too late.
const IN_TIME: u64 = HOLD_SECS - 1;
const LATE: u64 = HOLD_SECS;

fn id() -> ReservationId {
    ReservationId(derive(&["reservation"]))
}

fn attempt(number: u16) -> Attempt {
    Attempt { payment_id: id().payment_id(), attempt: number }
}

fn eur(amount_minor: i64) -> Money {
    Money::new(amount_minor, Currency::new("EUR").unwrap())
}

fn ada() -> UserId {
    UserId::new("ada").unwrap()
}

fn owner() -> By {
    By::Owner(ada())
}

fn line(kind: LineKind, sku: &str, quantity: u32) -> Line {
    Line {
        line_id: 1,
        kind,
        sku: Some(Sku::new(sku).unwrap()),
        quantity,
        seat_map_id: None,
        seat_ids: vec![],
        period: None,
        vehicle_id: None,
        unit_price: eur(1_000),
    }
}

/// A car and two admissions: everything that the table speaks of.
fn place_with(policies: Policies) -> Command {
    Command::PlaceHold {
        user_id: ada(),
        lines: vec![line(LineKind::Vehicle, "car", 1), line(LineKind::Ticket, "fair", 2)],
        claims: vec![
            Claim::Inventory {
                r#ref: Sku::new("car").unwrap(),
                quantity: 1,
                period: None,
                consumed: false,
            },
            Claim::Inventory {
                r#ref: Sku::new("fair").unwrap(),
                quantity: 2,
                period: None,
                consumed: false,
            },
        ],
        hold_expires_at: at(HOLD_SECS),
        absolute_deadline: at(CAP_SECS),
        channel: Channel::Graphql,
        policies,
    }
}

fn place() -> Command {
    place_with(Policies::default())
}

fn request() -> Command {
    request_until(None)
}

fn request_until(extend_to: Option<Timestamp>) -> Command {
    Command::RequestPayment {
        by: owner(),
        gateway: "sandbox".into(),
        flow: Flow::Direct,
        extend_to,
    }
}

fn confirm(number: u16) -> Command {
    Command::ConfirmPaid { payment_id: id().payment_id(), attempt: number }
}

fn decline(number: u16) -> Command {
    Command::PaymentDeclined { payment_id: id().payment_id(), attempt: number }
}

fn lose_money(number: u16) -> Command {
    Command::RecordMoneyLost { payment_id: id().payment_id(), attempt: number }
}

fn expire(epoch: Epoch) -> Command {
    Command::Expire { epoch }
}

fn cancel() -> Command {
    Command::Cancel { by: owner(), reason: CancelReason::User, refund: None }
}

fn reacquired(epoch: Epoch, outcome: Reacquired) -> Command {
    Command::RecordReacquired { epoch, outcome }
}

fn lose_claim(epoch: Epoch) -> Command {
    Command::RecordClaimLost { epoch }
}

fn finalize(epoch: Epoch) -> Command {
    Command::RecordFinalized { epoch, vehicle_id: None }
}

fn car(name: &str) -> VehicleId {
    VehicleId::new(name).unwrap()
}

fn assign(vehicle: &str, epoch: Epoch) -> Command {
    Command::AssignVehicle { vehicle_id: car(vehicle), epoch }
}

fn withdraw(vehicle: &str) -> Command {
    Command::WithdrawVehicle { vehicle_id: car(vehicle) }
}

fn no_show(vehicle: &str) -> Command {
    Command::RecordNoShow { vehicle_id: car(vehicle) }
}

fn start() -> Command {
    Command::StartRental {
        vehicle_id: VehicleId::new("car-7").unwrap(),
        odometer_start_m: 10_000,
        fuel_start_pct: 80,
        at: at(1_000),
    }
}

fn complete() -> Command {
    Command::Complete {
        by: owner(),
        odometer_end_m: 52_000,
        fuel_end_pct: 40,
        location: None,
        without_unlock: None,
    }
}

fn complete_without_unlock() -> Command {
    Command::Complete {
        by: owner(),
        odometer_end_m: 52_000,
        fuel_end_pct: 40,
        location: None,
        without_unlock: Some(StartedBefore {
            vehicle_id: VehicleId::new("car-7").unwrap(),
            odometer_start_m: 10_000,
            fuel_start_pct: 80,
        }),
    }
}

fn extend(secs: u64) -> Command {
    let by = By::Operator(UserId::new("olga").unwrap());
    Command::ExtendHold { by, new_expires_at: at(secs) }
}

/// A reservation after a history of accepted commands, each at its second.
fn given(history: &[(u64, Command)]) -> State {
    let mut state = State::default();
    for (secs, command) in history {
        let events = state.decide(&id(), command, at(*secs)).expect("an accepted history");
        assert!(!events.is_empty(), "{command:?} changes nothing at {secs} s");
        events.iter().for_each(|event| state.evolve(event));
    }
    state
}

fn ask(state: &State, secs: u64, command: &Command) -> Result<Vec<Event>, Refusal> {
    state.decide(&id(), command, at(secs))
}

/// The facts by name, or `idem`, or `E:` and the refusal by name.
fn shown(answer: &Result<Vec<Event>, Refusal>) -> String {
    fn name(value: &impl std::fmt::Debug) -> String {
        let text = format!("{value:?}");
        text.split([' ', '(', '{']).next().unwrap_or_default().to_owned()
    }
    match answer {
        Ok(events) if events.is_empty() => "idem".into(),
        Ok(events) => events.iter().map(name).collect::<Vec<_>>().join(" + "),
        Err(refusal) => format!("E:{}", name(refusal)),
    }
}

/// Asks each command at its second and compares what is answered.
#[track_caller]
fn row(state: &State, cells: &[(u64, Command, &str)]) {
    for (secs, command, expected) in cells {
        let answer = ask(state, *secs, command);
        assert_eq!(shown(&answer), *expected, "{:?} × {command:?} at {secs} s", state.status);
    }
}

fn hold() -> State {
    given(&[(0, place())])
}

fn awaiting() -> State {
    awaiting_with(Policies::default())
}

fn awaiting_with(policies: Policies) -> State {
    given(&[(0, place_with(policies)), (10, request())])
}

fn confirmed() -> State {
    given(&[(0, place()), (10, request()), (20, confirm(1))])
}

fn claims_lost() -> State {
    given(&[(0, place()), (10, request()), (20, confirm(1)), (21, lose_claim(1))])
}

fn finalized() -> State {
    given(&[(0, place()), (10, request()), (20, confirm(1)), (21, finalize(1))])
}

fn in_use() -> State {
    given(&[(0, place()), (10, request()), (20, confirm(1)), (21, finalize(1)), (30, start())])
}

fn completed() -> State {
    given(&[
        (0, place()),
        (10, request()),
        (20, confirm(1)),
        (21, finalize(1)),
        (30, start()),
        (3_600, complete()),
    ])
}

fn expired() -> State {
    given(&[(0, place()), (10, request()), (LATE, expire(1))])
}

fn failed() -> State {
    given(&[(0, place()), (10, request()), (20, decline(1))])
}

fn reacquiring() -> State {
    given(&[(0, place()), (10, request()), (LATE, expire(1)), (1_000, confirm(1))])
}

fn cancelled_while_paying() -> State {
    given(&[(0, place()), (10, request()), (20, cancel())])
}

fn cancelled_after_confirmation() -> State {
    given(&[(0, place()), (10, request()), (20, confirm(1)), (30, cancel())])
}
