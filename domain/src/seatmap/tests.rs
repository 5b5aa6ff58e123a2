//! Scenarios of a seat map: the races of DOMAIN.md D as one map sees them, and the table's cells.

use super::{
    Category, Command, Counts, Event, InvalidPlan, MOST_SEATS_AT_ONCE, Owner, Pick, Plan, Refusal,
    ReleaseReason, Seats, Section, State,
};
use crate::claim::testing::{ask, at, attempt, reservation, user};
use crate::{By, Currency, LockId, Money, SeatId, SeatMapId};
use uuid::Uuid;

fn id() -> SeatMapId {
    SeatMapId::new("hall").expect("a seat map's id")
}

fn plan(rows: u32, seats_per_row: u32) -> Plan {
    let euro = Currency::new("EUR").expect("a currency");
    Plan {
        name: "Small hall".into(),
        sku: None,
        categories: vec![Category { name: "A".into(), price: Money::new(4_500, euro) }],
        sections: vec![Section { name: "S".into(), category: "A".into(), rows, seats_per_row }],
    }
}

/// One section of one row of four seats: S-1-1 to S-1-4.
fn hall() -> State {
    let mut state = State::default();
    yes(&mut state, Command::Publish { plan: plan(1, 4) }, 0);
    state
}

fn seat(number: u32) -> SeatId {
    SeatId::new(format!("S-1-{number}")).expect("a seat's id")
}

fn named(numbers: &[u32]) -> Seats {
    Seats::Named(numbers.iter().copied().map(seat).collect())
}

fn lock_id(number: u128) -> LockId {
    LockId(Uuid::from_u128(0x10c0 + number))
}

fn lock(number: u128, who: &str, seats: &[u32], until: i64) -> Command {
    Command::Lock {
        lock_id: lock_id(number),
        user_id: user(who),
        seats: named(seats),
        expires_at: at(until),
    }
}

fn attach(number: u128, who: &str, seats: Seats, until: i64) -> Command {
    attach_as(number, number, who, seats, until)
}

fn attach_as(number: u128, name: u128, who: &str, seats: Seats, until: i64) -> Command {
    Command::Attach {
        reservation_id: reservation(number),
        user_id: user(who),
        seats,
        expires_at: at(until),
        epoch: 1,
        attempt: attempt(name),
    }
}

fn confirm(number: u128, epoch: u32) -> Command {
    Command::Confirm { reservation_id: reservation(number), epoch }
}

fn release(number: u128, epoch: u32, reason: ReleaseReason) -> Command {
    Command::Release { reservation_id: reservation(number), epoch, reason }
}

fn reacquire(number: u128, who: &str, seats: &[u32], epoch: u32) -> Command {
    Command::Reacquire {
        reservation_id: reservation(number),
        user_id: user(who),
        seat_ids: seats.iter().copied().map(seat).collect(),
        epoch,
    }
}

fn withdraw(number: u128, name: u128) -> Command {
    Command::Withdraw { reservation_id: reservation(number), attempt: attempt(name) }
}

fn drop_lock(number: u128) -> Command {
    Command::DropLapsed { owner: Owner::Lock(lock_id(number)) }
}

fn drop_claim(number: u128) -> Command {
    Command::DropLapsed { owner: Owner::Reservation(reservation(number)) }
}

fn release_lock(number: u128, who: &str) -> Command {
    Command::ReleaseLock { lock_id: lock_id(number), by: By::Owner(user(who)) }
}

#[track_caller]
fn yes(state: &mut State, command: Command, now: i64) -> Vec<Event> {
    let events = ask(state, &id(), &command, at(now)).expect("accepted");
    adds_up(state);
    events
}

#[track_caller]
fn no(state: &mut State, command: Command, now: i64) -> Refusal {
    let before = state.clone();
    let refusal = ask(state, &id(), &command, at(now)).expect_err("refused");
    assert_eq!(*state, before);
    refusal
}

/// S3, told by the seats themselves.
pub(super) fn adds_up(state: &State) {
    let mut counts = Counts::default();
    for view in state.seats() {
        *counts.of(view.status) += 1;
    }
    assert_eq!(counts, state.counts());
}

fn owner(state: &State, number: u32) -> Option<Owner> {
    state.seat(&seat(number)).expect("a seat of the plan").owner
}

const R1: Option<Owner> = Some(Owner::Reservation(crate::ReservationId(Uuid::from_u128(1))));

#[test]
fn partial_lock() {
    // D16: of four wanted seats one is taken: none is locked, and the answer names the taken one.
    let mut state = hall();
    yes(&mut state, lock(1, "anna", &[3], 600), 1);
    let refusal = no(&mut state, lock(2, "ben", &[1, 2, 3, 4], 600), 2);
    assert_eq!(refusal, Refusal::SeatsTaken(vec![seat(3)]));
    assert_eq!(state.counts(), Counts { free: 3, locked: 1, booked: 0, blocked: 0 });
    // The same question under another name is still about the same seat (S4).
    let refusal = no(&mut state, lock(3, "anna", &[3, 4], 600), 2);
    assert_eq!(refusal, Refusal::SeatsTaken(vec![seat(3)]));
}

#[test]
fn crossing_orders_at_one_map_end_with_one_winner() {
    // D18: {1,2} and {2,1} meet in one stream; whoever comes second is told of both seats.
    let mut state = hall();
    yes(&mut state, lock(1, "anna", &[1, 2], 600), 1);
    let refusal = no(&mut state, lock(2, "ben", &[2, 1], 600), 1);
    assert_eq!(refusal, Refusal::SeatsTaken(vec![seat(1), seat(2)]));
}

#[test]
fn sweep_and_lazy() {
    // D24: a lapsed lock goes by its timer or by the next taker, with all its seats, once.
    let mut state = hall();
    yes(&mut state, lock(1, "anna", &[1, 2], 10), 0);
    assert_eq!(yes(&mut state, drop_lock(1), 9), vec![]);
    let events = yes(&mut state, lock(2, "ben", &[2, 3], 600), 10);
    let [Event::SeatsReleased { owner, seat_ids, reason, epoch }, Event::SeatsLocked { .. }] =
        &events[..]
    else {
        panic!("released, then locked, not {events:?}")
    };
    assert_eq!((*owner, *reason, *epoch), (Owner::Lock(lock_id(1)), ReleaseReason::Expired, None));
    assert_eq!(*seat_ids, [seat(1), seat(2)], "a lock lapses whole");
    assert_eq!(yes(&mut state, drop_lock(1), 11), vec![]);
    assert_eq!(state.counts().free, 2);
}

#[test]
fn plan_change() {
    // D27 (audience1st#183): no seat that somebody holds vanishes from the plan.
    let mut state = hall();
    yes(&mut state, lock(1, "anna", &[4], 10), 0);
    yes(&mut state, attach(1, "ben", named(&[1]), 90), 0);
    yes(&mut state, confirm(1, 1), 1);
    let refusal = no(&mut state, Command::Publish { plan: plan(1, 3) }, 5);
    assert_eq!(refusal, Refusal::SeatsInUse(vec![seat(4)]));
    let events = yes(&mut state, Command::Publish { plan: plan(1, 3) }, 10);
    assert!(
        matches!(&events[..], [Event::SeatsReleased { .. }, Event::Changed { removed_seats, .. }]
        if *removed_seats == [seat(4)])
    );
    // Numbers inside the map have changed with the second row; owners have not.
    yes(&mut state, Command::Publish { plan: plan(2, 5) }, 11);
    assert_eq!(state.counts(), Counts { free: 9, locked: 0, booked: 1, blocked: 0 });
    assert_eq!(owner(&state, 1), R1);
    let refusal = no(&mut state, Command::Publish { plan: plan(0, 5) }, 12);
    assert_eq!(refusal, Refusal::InvalidPlan(InvalidPlan::Size));
    yes(&mut state, Command::Block { seat_ids: vec![seat(5)], reason: "broken".into() }, 13);
    let refusal = no(&mut state, Command::Publish { plan: plan(1, 4) }, 14);
    assert_eq!(refusal, Refusal::SeatsInUse(vec![seat(5)]));
}

#[test]
fn the_item_of_a_map_does_not_change_while_seats_are_taken() {
    let mut state = hall();
    yes(&mut state, lock(1, "anna", &[1], 10), 0);
    let with_sku = || {
        let sku = crate::Sku::new("concert").expect("a sku");
        Command::Publish { plan: Plan { sku: Some(sku), ..plan(1, 4) } }
    };
    assert_eq!(no(&mut state, with_sku(), 5), Refusal::InvalidPlan(InvalidPlan::Sku));
    yes(&mut state, with_sku(), 10);
    assert_eq!(state.counts().free, 4);
}

#[test]
fn attached_seat_of_a_crash_lapses() {
    // The engine died between the attach and the record of the hold: nobody will release the seat, so
    // its own deadline does, and leaves no fence for the customer's retry to stumble over.
    let mut state = hall();
    yes(&mut state, lock(1, "anna", &[1], 600), 0);
    yes(&mut state, attach(1, "anna", Seats::OfLock(lock_id(1)), 960), 1);
    assert_eq!(yes(&mut state, drop_lock(1), 600), vec![]);
    assert_eq!(owner(&state, 1), R1, "the lock's own time does not matter any more");
    assert_eq!(yes(&mut state, drop_claim(1), 959), vec![]);
    assert_eq!(yes(&mut state, drop_claim(1), 960).len(), 1);
    assert_eq!(owner(&state, 1), None);
    yes(&mut state, attach(1, "anna", named(&[1]), 1_900), 961);
}

#[test]
fn second_tab_cannot_steal() {
    // Two tabs of one customer, two reservations: what the first has attached or bought is not the
    // second's to take over, though the user is the same.
    let mut state = hall();
    yes(&mut state, lock(1, "anna", &[1], 600), 0);
    yes(&mut state, attach(1, "anna", named(&[1]), 960), 1);
    let taken = Refusal::SeatsTaken(vec![seat(1)]);
    assert_eq!(no(&mut state, attach(2, "anna", named(&[1]), 960), 2), taken);
    assert_eq!(
        no(&mut state, attach(2, "anna", Seats::OfLock(lock_id(1)), 960), 2),
        Refusal::NotHeld
    );
    yes(&mut state, confirm(1, 1), 3);
    assert_eq!(no(&mut state, attach(2, "anna", named(&[1]), 960), 4), taken);
}

#[test]
fn late_lock_release_is_inert() {
    // Leaving the page sends a release of the lock; it comes when a reservation has taken it over.
    let mut state = hall();
    yes(&mut state, lock(1, "anna", &[1], 600), 0);
    yes(&mut state, attach(1, "anna", Seats::OfLock(lock_id(1)), 960), 1);
    assert_eq!(yes(&mut state, release_lock(1, "anna"), 2), vec![]);
    assert_eq!(owner(&state, 1), R1);
    assert!(state.lock(&lock_id(1)).is_none());
}

#[test]
fn only_its_own_customer_releases_a_lock() {
    let mut state = hall();
    yes(&mut state, lock(1, "anna", &[1], 600), 0);
    assert_eq!(yes(&mut state, release_lock(1, "ben"), 1), vec![]);
    assert_eq!(yes(&mut state, release_lock(1, "anna"), 1).len(), 1);
    assert_eq!(yes(&mut state, release_lock(1, "anna"), 2), vec![]);
    assert_eq!(state.counts().free, 4);
}

#[test]
fn a_repeated_lock_is_the_same_lock() {
    let mut state = hall();
    yes(&mut state, lock(1, "anna", &[1, 2], 600), 0);
    assert_eq!(yes(&mut state, lock(1, "anna", &[2, 1], 700), 100), vec![]);
    assert_eq!(state.lock(&lock_id(1)).expect("live").expires_at, at(600), "and not a longer one");
    assert_eq!(no(&mut state, lock(1, "anna", &[3], 700), 100), Refusal::NotHeld);
}

#[test]
fn naming_seats_takes_over_own_locks_and_free_seats_in_one() {
    let mut state = hall();
    yes(&mut state, lock(1, "anna", &[1], 600), 0);
    yes(&mut state, lock(2, "anna", &[2, 4], 500), 0);
    let events = yes(&mut state, attach(1, "anna", named(&[1, 2, 3]), 960), 1);
    assert!(matches!(
        &events[..],
        [
            Event::SeatsAttached { .. },
            Event::SeatsAttached { .. },
            Event::SeatsReleased { owner: Owner::Lock(_), epoch: None, .. },
            Event::SeatsLocked { .. }
        ]
    ));
    assert_eq!(state.seats_of(Owner::Reservation(reservation(1))), [seat(1), seat(2), seat(3)]);
    assert_eq!(owner(&state, 4), None, "the lock is finished, with what was not wanted of it");
    // The acquisition is refused elsewhere: the locks are as before, what was free is free.
    yes(&mut state, withdraw(1, 1), 2);
    assert_eq!(state.lock(&lock_id(1)).expect("restored").seats, [seat(1)]);
    assert_eq!(state.lock(&lock_id(2)).expect("restored").seats, [seat(2)]);
    assert_eq!(state.lock(&lock_id(2)).expect("restored").expires_at, at(500));
    assert_eq!(owner(&state, 3), None);
    yes(&mut state, attach(1, "anna", named(&[1, 2, 3]), 960), 3);
}

#[test]
fn a_refused_acquisition_gives_no_lapsed_lock_back() {
    let mut state = hall();
    yes(&mut state, lock(1, "anna", &[1], 10), 0);
    yes(&mut state, attach(1, "anna", Seats::OfLock(lock_id(1)), 960), 1);
    let events = yes(&mut state, withdraw(1, 1), 10);
    assert!(matches!(
        &events[..],
        [Event::SeatsReleased { reason: ReleaseReason::Refused, epoch: None, .. }]
    ));
    assert!(state.lock(&lock_id(1)).is_none());
}

#[test]
fn an_attempt_that_wakes_up_late_takes_only_its_own_name_off() {
    let mut state = hall();
    yes(&mut state, attach_as(1, 1, "anna", named(&[1]), 900), 0);
    yes(&mut state, attach_as(1, 2, "anna", named(&[1]), 950), 1);
    assert_eq!(yes(&mut state, withdraw(1, 1), 2).len(), 1);
    assert_eq!(owner(&state, 1), R1);
    assert_eq!(state.seat(&seat(1)).expect("a seat").expires_at, Some(at(950)));
    yes(&mut state, confirm(1, 1), 3);
    assert_eq!(yes(&mut state, withdraw(1, 2), 4), vec![]);
}

#[test]
fn a_lock_by_id_must_be_live_and_the_callers_own() {
    let mut state = hall();
    yes(&mut state, lock(1, "anna", &[1], 10), 0);
    let of_lock = || Seats::OfLock(lock_id(1));
    assert_eq!(no(&mut state, attach(1, "ben", of_lock(), 960), 1), Refusal::NotHeld);
    assert_eq!(no(&mut state, attach(1, "anna", of_lock(), 960), 10), Refusal::NotHeld);
    assert_eq!(no(&mut state, attach(1, "anna", of_lock(), 10), 10), Refusal::TooLate);
    // By name the lapsed lock is in nobody's way.
    let events = yes(&mut state, attach(1, "anna", named(&[1]), 960), 10);
    assert!(matches!(events[..], [Event::SeatsReleased { .. }, Event::SeatsLocked { .. }]));
}

#[test]
fn a_lapsed_claim_that_nobody_took_is_still_booked() {
    let mut state = hall();
    yes(&mut state, attach(1, "anna", named(&[1]), 10), 0);
    assert_eq!(no(&mut state, confirm(1, 2), 50), Refusal::NotHeld);
    yes(&mut state, confirm(1, 1), 50);
    assert_eq!(yes(&mut state, confirm(1, 1), 51), vec![]);
    assert_eq!(no(&mut state, confirm(2, 1), 51), Refusal::NotHeld);
}

#[test]
fn stale_release_is_inert() {
    // D3, with seats: taken again at epoch 2, then the release of epoch 1 arrives.
    let mut state = hall();
    yes(&mut state, attach(1, "anna", named(&[1, 2]), 10), 0);
    yes(&mut state, drop_claim(1), 10);
    yes(&mut state, reacquire(1, "anna", &[1, 2], 2), 11);
    let events = yes(&mut state, release(1, 1, ReleaseReason::Expired), 12);
    assert!(matches!(&events[..], [Event::SeatsReleased { seat_ids, epoch: Some(1), .. }]
        if seat_ids.is_empty()));
    assert_eq!(
        yes(&mut state, drop_claim(1), 10_000),
        vec![],
        "what was taken again does not lapse"
    );
    yes(&mut state, confirm(1, 2), 13);
    yes(&mut state, release(1, 1, ReleaseReason::Cancelled), 14);
    assert_eq!(state.counts().booked, 2);
    yes(&mut state, release(1, 2, ReleaseReason::Completed), 15);
    assert_eq!(state.counts().booked, 2, "a rental beside it that is over frees no seat");
    yes(&mut state, release(1, 3, ReleaseReason::Refunded), 16);
    assert_eq!(state.counts().free, 4);
    assert_eq!(no(&mut state, reacquire(1, "anna", &[1, 2], 3), 17), Refusal::StaleEpoch);
}

#[test]
fn taking_again_is_all_or_none() {
    let mut state = hall();
    yes(&mut state, attach(1, "anna", named(&[1, 2]), 10), 0);
    yes(&mut state, lock(1, "ben", &[2], 600), 10);
    let taken = Refusal::SeatsTaken(vec![seat(2)]);
    assert_eq!(no(&mut state, reacquire(1, "anna", &[1, 2], 2), 11), taken);
    assert_eq!(owner(&state, 1), None);
}

#[test]
fn a_held_claim_is_bumped_when_it_is_taken_again() {
    let mut state = hall();
    yes(&mut state, attach(1, "anna", named(&[1, 2]), 10), 0);
    yes(&mut state, reacquire(1, "anna", &[1, 2], 2), 5);
    assert_eq!(state.seat(&seat(1)).expect("a seat").expires_at, None);
    assert_eq!(no(&mut state, confirm(1, 1), 6), Refusal::StaleEpoch);
    assert_eq!(no(&mut state, attach(1, "anna", named(&[1, 2]), 90), 6), Refusal::StaleEpoch);
    yes(&mut state, confirm(1, 2), 6);
}

#[test]
fn blocked_seats_are_not_for_sale_until_they_are_unblocked() {
    let mut state = hall();
    let block = || Command::Block { seat_ids: vec![seat(1), seat(2)], reason: "camera".into() };
    yes(&mut state, block(), 0);
    assert_eq!(state.seat(&seat(1)).expect("a seat").blocked_for, Some("camera"));
    let refusal = no(&mut state, lock(1, "anna", &[1, 3], 90), 1);
    assert_eq!(refusal, Refusal::NotForSale(vec![seat(1)]));
    yes(&mut state, Command::Unblock { seat_ids: vec![seat(1), seat(3)] }, 2);
    yes(&mut state, lock(1, "anna", &[1, 3], 90), 3);
    assert_eq!(no(&mut state, block(), 4), Refusal::SeatsTaken(vec![seat(1)]));
}

#[test]
fn a_lock_names_some_seats_of_the_map_each_once() {
    let mut state = hall();
    let count = Refusal::SeatCount { most: MOST_SEATS_AT_ONCE };
    assert_eq!(no(&mut state, lock(1, "anna", &[], 90), 0), count);
    assert_eq!(no(&mut state, lock(1, "anna", &[1, 1], 90), 0), count);
    let many: Vec<_> = (1..=51).collect();
    assert_eq!(no(&mut state, lock(1, "anna", &many, 90), 0), count);
    let refusal = no(&mut state, lock(1, "anna", &[1, 5, 0], 90), 0);
    assert_eq!(refusal, Refusal::UnknownSeats(vec![seat(5), seat(0)]));
    let odd = Seats::Named(vec![SeatId::new("S-1-01").expect("a seat's id")]);
    let lock_odd =
        Command::Lock { lock_id: lock_id(1), user_id: user("anna"), seats: odd, expires_at: at(9) };
    assert!(matches!(no(&mut state, lock_odd, 0), Refusal::UnknownSeats(_)), "one id a seat");
    assert_eq!(no(&mut state, lock(1, "anna", &[1], 5), 5), Refusal::TooLate);
    let mut nothing = State::default();
    assert_eq!(no(&mut nothing, lock(1, "anna", &[1], 5), 0), Refusal::NotFound);
}

#[test]
fn the_best_seats_are_locked_and_attached_like_named_ones() {
    let mut state = hall();
    let pick = |quantity| Seats::Best(Pick { quantity, section: None, category: None });
    yes(&mut state, lock(1, "anna", &[1, 2], 10), 0);
    yes(&mut state, attach(1, "ben", pick(2), 90), 1);
    assert_eq!(state.seats_of(Owner::Reservation(reservation(1))), [seat(3), seat(4)]);
    assert_eq!(no(&mut state, attach(2, "ben", pick(1), 90), 2), Refusal::NoSeats);
    let events = yes(&mut state, attach(2, "ben", pick(1), 90), 10);
    assert_eq!(events.len(), 2, "what has lapsed is chosen too");
}
