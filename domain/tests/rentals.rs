//! Rentals, told as stories on the real aggregates and processes: what happens in each race, by the
//! names of DOMAIN.md section D, and what happens when a rule is taken away.

#![expect(clippy::wildcard_enum_match_arm, reason = "a twin names the one thing that it changes")]

mod rental_world;

use std::time::Duration;

use holdfast_domain::payment::Status as Money;
use holdfast_domain::process::{Alarm, Command, Process, Refusal};
use holdfast_domain::reservation::{self, Status};
use holdfast_domain::vehicle::{self, Answer, LockState, Rental};
use holdfast_domain::{By, UserId};
use rental_world::{HOUR, PRICE, Rule, Setting, World, ada, car, eur, id, period};

const PERIOD: Setting = Setting::PERIOD;
const WALK_UP: Setting = Setting::WALK_UP;
const MINUTE: Duration = Duration::from_secs(60);

fn without(rule: Rule) -> Setting {
    Setting { without: Some(rule), ..PERIOD }
}

/// Unlocked and under way.
fn driving(setting: Setting) -> World {
    let mut world = World::ready(setting);
    let command = world.unlock().expect("unlocked");
    world.settle();
    world.answers(0, command, Answer::Unlocked);
    world.settle();
    assert_eq!((world.reservation.status, world.cars[0].rental()), (Status::InUse, Rental::OnTrip));
    world
}

fn unlock_in_progress(answer: &Result<(), Refusal>) -> bool {
    matches!(answer, Err(Refusal::Vehicle(vehicle::Refusal::UnlockInProgress { .. })))
}

// S0-21, S0-30 to S0-33, S1-05 to S1-07
#[test]
fn a_rental_from_its_confirmation_to_the_next_customer() {
    for setting in [PERIOD, WALK_UP] {
        let mut world = driving(setting);
        assert_eq!(world.captures(), 0, "authorized only");
        world.pass(HOUR);
        world.bring_back(52_000, 90).expect("back");
        world.settle();
        assert_eq!(world.reservation.status, Status::Completed);
        assert_eq!(
            (world.cars[0].rental(), world.cars[0].lock()),
            (Rental::NonOperational, LockState::Locking)
        );
        assert_eq!(world.cars[0].odometer_m(), 52_000);
        assert_eq!(world.captures(), 1);
        assert_eq!(world.pool.claim(&id()), None, "the class has one more to give");
        world.obeys_locks(0);
        world.settle();
        assert_eq!((world.cars[0].rental(), world.holders()), (Rental::Available, vec![]));
        assert_eq!(world.alarms, []);
    }
}

#[test]
fn a_vehicle_is_assigned_when_the_period_begins_and_not_before() {
    let mut world = World::confirmed(PERIOD);
    assert_eq!((world.holders(), world.reservation.vehicle_id.clone()), (vec![], None));
    world.pass(HOUR - Duration::from_secs(1));
    assert_eq!(world.holders(), Vec::<usize>::new());
    world.pass(Duration::from_secs(1));
    assert_eq!((world.holders(), world.reservation.vehicle_id.clone()), (vec![0], Some(car(0))));
    assert_eq!(world.cars[0].rental(), Rental::Reserved);
}

#[test]
fn a_walk_up_holds_its_vehicle_from_the_first_moment_and_lets_it_go_with_the_hold() {
    let mut world = World::new(WALK_UP);
    world.book();
    world.begin_to_pay();
    assert_eq!((world.holders(), world.cars[0].rental()), (vec![0], Rental::Reserved));
    world.pass(Duration::from_secs(900));
    assert_eq!((world.reservation.status, world.holders()), (Status::HoldExpired, vec![]));
    // Late money takes it again, at the next epoch.
    world.pay_late();
    assert_eq!((world.reservation.status, world.holders()), (Status::Confirmed, vec![0]));
    assert_eq!(world.cars[0].reservation().map(|claim| claim.epoch), Some(2));
    assert!(world.reservation.finalized);
}

/// D3: the release of the first epoch comes late.
#[test]
fn stale_release_is_inert() {
    let mut world = World::new(WALK_UP);
    world.book();
    world.begin_to_pay();
    world.pass(Duration::from_secs(900));
    world.pay_late();
    let late = vehicle::Command::ReleaseReservation {
        reservation_id: id(),
        epoch: 1,
        reason: vehicle::ReleaseReason::Expired,
    };
    world.order(car(0), late);
    world.settle();
    assert_eq!(world.holders(), [0]);
}

/// D28: no message goes out before the confirmation, and none before the period.
#[test]
fn unlock_early() {
    let mut held = World::new(WALK_UP);
    held.book();
    held.settle();
    assert_eq!(held.unlock(), Err(reservation::Refusal::NotConfirmed.into()));
    // Also the vehicle itself says no.
    let command_id = held.name();
    let unlock = vehicle::Command::RequestUnlock {
        command_id,
        reservation_id: id(),
        by: By::Owner(ada()),
        deadline: held.now.plus(MINUTE),
    };
    let answer = held.ask(&Command::Vehicle(car(0), unlock));
    assert_eq!(answer, Err(vehicle::Refusal::NotConfirmed.into()));
    let mut early = World::confirmed(PERIOD);
    assert_eq!(early.unlock(), Err(reservation::Refusal::NotStarted.into()));
    assert_eq!((held.sent.len(), early.sent.len()), (0, 0));
}

/// Two runs of the assignment choose two cars: the first that the reservation hears of is the
/// customer's, the other goes back.
#[test]
fn two_vehicles_for_one_rental() {
    let race = |setting| {
        let mut world = World::confirmed(setting);
        world.pass(HOUR - Duration::from_secs(1));
        world.now = world.now.plus(Duration::from_secs(1));
        for number in [1, 0] {
            world.reserve_for_good(number, &ada(), period(), 1).expect("reserved");
        }
        world.settle();
        world
    };
    let world = race(PERIOD);
    assert_eq!((world.holders(), world.reservation.vehicle_id.clone()), (vec![1], Some(car(1))));
    assert_eq!(world.cars[0].rental(), Rental::Available);
    assert_eq!(world.reservation.status, Status::Confirmed);
    // Without the rule both cars wait for one customer.
    assert_eq!(race(without(Rule::GivesBackOthers)).holders(), [0, 1]);
}

#[test]
fn a_rental_that_begins_without_a_free_vehicle_is_cancelled_and_paid_back() {
    let mut world = World::confirmed(PERIOD);
    for number in 0..2 {
        let olga = By::Operator(UserId::new("olga").expect("a user"));
        let out = vehicle::Command::SetOutOfService { by: olga, reason: "tyres".into() };
        world.order(car(number), out);
    }
    world.pass(HOUR);
    assert_eq!(world.reservation.status, Status::Cancelled);
    assert_eq!(world.payment.status(), Money::VoidRequested);
    assert!(world.alarms.contains(&Alarm::NoVehicle { reservation_id: id() }));
    assert_eq!(world.pool.claim(&id()), None);
}

/// The house was down for the whole period: whoever was kept from renting gets the money back.
#[test]
fn a_period_that_went_by_unnoticed_is_paid_back() {
    let mut world = World::confirmed(PERIOD);
    world.now = period().until;
    world.fire();
    world.settle();
    assert_eq!((world.reservation.status, world.holders()), (Status::Cancelled, vec![]));
}

#[test]
fn a_vehicle_that_goes_out_of_service_makes_room_for_another() {
    let mut world = World::ready(PERIOD);
    let olga = By::Operator(UserId::new("olga").expect("a user"));
    world.order(car(0), vehicle::Command::SetOutOfService { by: olga, reason: "dent".into() });
    world.settle();
    assert_eq!((world.holders(), world.reservation.vehicle_id.clone()), (vec![1], Some(car(1))));
    let command = world.unlock().expect("the other one");
    world.settle();
    world.answers(1, command, Answer::Unlocked);
    world.settle();
    assert_eq!(world.reservation.status, Status::InUse);
}

#[test]
fn nobody_came() {
    let mut world = World::ready(PERIOD);
    world.pass(2 * HOUR);
    assert_eq!((world.reservation.status, world.holders()), (Status::Completed, vec![]));
    assert_eq!((world.cars[0].rental(), world.pool.claim(&id())), (Rental::Available, None));
    assert_eq!(world.captures(), 1, "the vehicle was kept for them");
    assert!(world.is_noticed("NoShow"));
    assert_eq!(world.unlock(), Err(reservation::Refusal::Completed.into()));
    assert_eq!(world.cancel(), Err(reservation::Refusal::Completed.into()));
}

/// The period ends while the vehicle is being unlocked: its answer decides.
#[test]
fn nobody_came_or_perhaps_somebody_did() {
    let at_the_end = |setting| {
        let mut world = World::ready(setting);
        world.pass(2 * HOUR - Duration::from_secs(5));
        let command = world.unlock().expect("in time");
        world.pass(Duration::from_secs(5));
        assert_eq!((world.reservation.status, world.holders()), (Status::Confirmed, vec![0]));
        (world, command)
    };
    let (mut came, command) = at_the_end(PERIOD);
    came.answers(0, command, Answer::Unlocked);
    came.pass(HOUR);
    assert_eq!(came.reservation.status, Status::InUse);

    let (mut silent, _) = at_the_end(PERIOD);
    silent.pass(HOUR);
    silent.obeys_locks(0);
    silent.settle();
    assert_eq!((silent.reservation.status, silent.holders()), (Status::Completed, vec![]));
    // Without the rule the vehicle waits for ever.
    let (mut twin, _) = at_the_end(without(Rule::CatchesUp));
    twin.pass(24 * HOUR);
    assert_eq!(twin.holders(), [0]);
}

/// D32: the cancellation waits for the vehicle's answer.
#[test]
fn cancel_vs_unlock() {
    for setting in [PERIOD, WALK_UP] {
        let mut world = World::ready(setting);
        let command = world.unlock().expect("unlocked");
        world.settle();
        let answer = world.cancel();
        assert!(unlock_in_progress(&answer), "{answer:?}");
        assert_eq!(world.reservation.status, Status::Confirmed);
        // The acknowledgement wins: the rental has begun.
        let mut acked = world.clone();
        acked.answers(0, command, Answer::Unlocked);
        let at_once = acked.cancel();
        assert_eq!(at_once, Err(vehicle::Refusal::InUse.into()), "before anybody was told");
        acked.settle();
        assert_eq!(acked.cancel(), Err(reservation::Refusal::InUse.into()));
        assert_eq!(acked.reservation.status, Status::InUse);
        // Nothing comes: it can be cancelled.
        world.pass(MINUTE);
        world.cancel().expect("cancelled");
        world.settle();
        assert_eq!((world.reservation.status, world.holders()), (Status::Cancelled, vec![]));
        assert_eq!(world.payment.status(), Money::VoidRequested);
        // A late answer finds nobody entitled.
        world.answers(0, command, Answer::Unlocked);
        world.settle();
        assert_eq!(world.cars[0].lock(), LockState::Locking);
        assert_eq!(world.reservation.status, Status::Cancelled);
    }
}

/// Its twin: cancelled at once, the customer stands before an open car that is nobody's; only the lock
/// that follows the refused start of the rental helps.
#[test]
fn a_cancellation_that_does_not_ask_the_vehicle_first_opens_it_for_nobody() {
    let mut world = World::ready(without(Rule::AsksTheVehicleFirst));
    let command = world.unlock().expect("unlocked");
    world.settle();
    world.cancel().expect("cancelled at once");
    world.settle();
    world.answers(0, command, Answer::Unlocked);
    assert_eq!(
        world.cars[0].rental(),
        Rental::Stopped,
        "open, for a reservation that is cancelled"
    );
    world.settle();
    let alarm = Alarm::UnlockedInVain { vehicle_id: car(0), reservation_id: id() };
    assert!(world.alarms.contains(&alarm));
    assert_eq!((world.cars[0].lock(), world.holders()), (LockState::Locking, vec![]));
}

/// The engine stops between the vehicle and the reservation.
#[test]
fn a_cancellation_that_is_stopped_half_way_is_finished() {
    let half = |setting| {
        let mut world = World::ready(setting);
        let first = world.before_cancel().expect("the vehicle first");
        world.ask(&first).expect("it lets go");
        world.settle();
        world
    };
    let world = half(PERIOD);
    assert_eq!((world.reservation.status, world.holders()), (Status::Cancelled, vec![]));
    assert_eq!(world.payment.status(), Money::VoidRequested);
    // Without the rule it is confirmed, and has no vehicle.
    let twin = half(without(Rule::FinishesCancelling));
    assert_eq!((twin.reservation.status, twin.holders()), (Status::Confirmed, vec![]));
}

/// The money vanishes while the vehicle is being unlocked: the reservation is over at once, whatever
/// the vehicle answers.
#[test]
fn money_that_vanishes_during_an_unlock() {
    for setting in [PERIOD, WALK_UP] {
        let vanished = |setting| {
            let mut world = World::ready(setting);
            let command = world.unlock().expect("unlocked");
            world.settle();
            world.money_vanishes();
            world.settle();
            assert_eq!((world.reservation.status, world.holders()), (Status::Cancelled, vec![0]));
            (world, command)
        };
        let (mut opened, command) = vanished(setting);
        opened.answers(0, command, Answer::Unlocked);
        opened.settle();
        assert_eq!((opened.cars[0].lock(), opened.holders()), (LockState::Locking, vec![]));
        let (mut silent, _) = vanished(setting);
        silent.pass(MINUTE);
        assert_eq!(silent.holders(), Vec::<usize>::new());
        // Without the rules it stands open for nobody, or is nobody's for ever.
        let without = |rule| Setting { without: Some(rule), ..setting };
        let (mut open, command) = vanished(without(Rule::LocksAgain));
        open.answers(0, command, Answer::Unlocked);
        open.pass(24 * HOUR);
        assert_eq!((open.cars[0].lock(), open.holders()), (LockState::Unlocked, vec![0]));
        let (mut kept, _) = vanished(without(Rule::CatchesUp));
        kept.pass(24 * HOUR);
        assert_eq!(kept.holders(), [0]);
    }
}

/// D31: within the grace, and still entitled: the rental starts, and the customer is told.
#[test]
fn late_ack() {
    let mut world = World::ready(PERIOD);
    let command = world.unlock().expect("unlocked");
    world.pass(Duration::from_secs(25));
    assert_eq!(world.reservation.status, Status::Confirmed);
    world.answers(0, command, Answer::Unlocked);
    world.settle();
    assert_eq!(world.reservation.status, Status::InUse);
    assert!(world.is_noticed("LateUnlock"));
    // After it: locked again, and a person hears of it.
    let mut late = World::ready(PERIOD);
    let command = late.unlock().expect("unlocked");
    late.pass(MINUTE);
    late.answers(0, command, Answer::Unlocked);
    late.settle();
    assert_eq!(
        (late.reservation.status, late.cars[0].lock()),
        (Status::Confirmed, LockState::Locking)
    );
    let nobody = |alarm: &Alarm| matches!(alarm, Alarm::VehicleUnlockedByNobody { .. });
    assert!(late.alarms.iter().any(nobody));
}

/// D33: accepted with what the customer's phone says; nobody else gets the vehicle before it is locked.
#[test]
fn offline_return() {
    let mut world = driving(PERIOD);
    let last_seen = world.now;
    world.order(car(0), vehicle::Command::ConnectionLost { last_seen, boot: 1 });
    world.bring_back(52_000, 40).expect("accepted");
    world.pass(MINUTE);
    assert_eq!(world.reservation.status, Status::Completed);
    assert_eq!(world.cars[0].rental(), Rental::NonOperational);
    let failed = |alarm: &Alarm| matches!(alarm, Alarm::VehicleLockFailed { .. });
    assert!(world.alarms.iter().any(failed));
    world.order(car(0), vehicle::Command::ConnectionRestored { boot: 2 });
    world.settle();
    assert_eq!(world.cars[0].lock(), LockState::Locking);
    world.obeys_locks(0);
    world.settle();
    assert_eq!(world.cars[0].rental(), Rental::Available);
}

#[test]
fn a_vehicle_that_a_person_hands_over_is_rented_from_its_return() {
    let setting = Setting { remote_unlock: false, ..PERIOD };
    let mut world = World::ready(setting);
    assert_eq!(world.holders(), [0]);
    // It is out with the customer, and nothing tells of it: no "nobody came".
    world.pass(3 * HOUR);
    assert_eq!((world.reservation.status, world.holders()), (Status::Confirmed, vec![0]));
    world.bring_back(60_000, 80).expect("back");
    world.settle();
    assert_eq!((world.reservation.status, world.holders()), (Status::Completed, vec![]));
    assert_eq!((world.cars[0].rental(), world.cars[0].odometer_m()), (Rental::Available, 60_000));
    assert_eq!(world.sent, [], "there is no lock to turn");
    assert_eq!(world.captures(), 1);
}

/// Taken before its authorization lapses, and not again at the return.
#[test]
fn money_that_had_to_be_captured_early_is_captured_once() {
    let mut world = driving(WALK_UP);
    world.pass(Duration::from_secs(6 * 86_400));
    assert_eq!((world.captures(), world.payment.status()), (1, Money::CaptureRequested));
    world.captured();
    world.settle();
    world.bring_back(52_000, 90).expect("back");
    world.settle();
    assert_eq!((world.captures(), world.payment.captured()), (1, Some(eur(PRICE))));
    assert_eq!(world.reservation.status, Status::Completed);
    // Both at once: one call.
    let mut both = driving(WALK_UP);
    both.pass(Duration::from_secs(6 * 86_400) - MINUTE);
    both.bring_back(52_000, 90).expect("back");
    both.pass(HOUR);
    assert_eq!(both.captures(), 1);
}

#[test]
fn fuel_that_is_missing_is_a_payment_of_its_own() {
    let fuel = |fuel, end_pct| {
        let mut world = driving(Setting { fuel, ..PERIOD });
        world.bring_back(52_000, end_pct).expect("back");
        world.settle();
        world.crash(Process::Rental);
        world.settle();
        let charges = world.extras.values();
        charges.filter_map(|extra| extra.amount()).collect::<Vec<_>>()
    };
    assert_eq!(fuel(250, 40), [eur(12_500)], "50 percent, asked twice");
    assert_eq!(fuel(250, 90), []);
    assert_eq!(fuel(250, 100), []);
    assert_eq!(fuel(0, 40), []);
    // Declined: the rental and its money stay as they are.
    let mut world = driving(Setting { fuel: 250, ..PERIOD });
    world.bring_back(52_000, 40).expect("back");
    world.settle();
    world.captured();
    let extra = id().extra_payment_id("fuel");
    let declined = holdfast_domain::payment::Command::Record {
        attempt: 1,
        via: holdfast_domain::payment::Via::Sync,
        gateway_event_id: None,
        word: holdfast_domain::payment::Word::Declined {
            code: "card_declined".into(),
            decline_code: None,
            retryable: false,
        },
    };
    world.ask(&Command::Payment(extra, declined)).expect("recorded");
    world.settle();
    assert_eq!(
        (world.reservation.status, world.payment.status()),
        (Status::Completed, Money::Succeeded)
    );
    let code = "card_declined".to_owned();
    assert!(world.alarms.contains(&Alarm::ChargeFailed { payment_id: extra, code }));
}
