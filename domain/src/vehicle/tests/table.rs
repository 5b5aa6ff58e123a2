//! DOMAIN.md C.6, its table, cell by cell: a row is where the rental stands, a column what is asked.

use super::*;

#[test]
fn a_vehicle_is_registered_once_and_the_same_may_be_asked_again() {
    let mut state = State::default();
    assert_eq!(state.rental(), Rental::None);
    assert_eq!(state.reported(), None);
    yes(&mut state, &register(), 0);
    assert_eq!(state.rental(), Rental::Available);
    assert_eq!(state.vin_ref(), Some("WVWZZZ1JZXW000001"));
    assert_eq!(state.type_pool().map(Sku::as_str), Some("van"));
    let other = Command::Register {
        vin_ref: "another".into(),
        type_pool: Sku::new("van").unwrap(),
        odometer_m: 0,
        fuel_pct: None,
    };
    assert_eq!(no(&state, &other, 1), Refusal::AlreadyExists);
}

#[test]
fn nonsense_is_not_registered() {
    let wrong = |vin: &str, odometer_m, fuel_pct| {
        let type_pool = Sku::new("van").unwrap();
        let command = Command::Register { vin_ref: vin.into(), type_pool, odometer_m, fuel_pct };
        no(&State::default(), &command, 0)
    };
    let vin = Refusal::InvalidRegistration(InvalidRegistration::Vin);
    for text in ["", " ", "a\nb", &"x".repeat(65)] {
        assert_eq!(wrong(text, 0, None), vin);
    }
    let odometer = Refusal::InvalidRegistration(InvalidRegistration::Odometer);
    assert_eq!(wrong("vin", MOST_METRES + 1, None), odometer);
    assert_eq!(wrong("vin", 0, Some(101)), Refusal::InvalidFuel(101));
}

#[test]
fn what_does_not_exist_says_so() {
    let nothing = State::default();
    for command in [
        reserve(1, 9),
        confirm(1),
        release(1, ReleaseReason::Cancelled),
        unlock(1, 1, 0),
        lock(1, 1, 0),
        unlocked(1),
        end_trip(1),
        Command::ConnectionRestored { boot: 1 },
        Command::ReturnToService { by: operator() },
    ] {
        assert_eq!(no(&nothing, &command, 0), Refusal::NotFound, "{command:?}");
    }
}

// ── available ──

#[test]
fn an_available_vehicle_is_reserved() {
    let state = held();
    assert_eq!(state.rental(), Rental::Reserved);
    let assigned = state.reservation().unwrap();
    assert_eq!(assigned.reservation_id, reservation(1));
    assert_eq!((assigned.confirmed, assigned.expires_at), (false, Some(at(960))));
    assert_eq!(assigned.user_id, &customer(1));
}

#[test]
fn nobody_unlocks_or_returns_an_available_vehicle_and_its_release_only_raises_the_fence() {
    let mut state = fleet();
    assert_eq!(no(&state, &unlock(1, 1, 0), 0), Refusal::NotFound);
    assert_eq!(no(&state, &lock(1, 1, 0), 0), Refusal::NotFound);
    assert_eq!(no(&state, &end_trip(1), 0), Refusal::NotFound);
    assert_eq!(
        no(&state, &Command::StartTrip { reservation_id: reservation(1) }, 0),
        Refusal::NotFound
    );
    let released = yes(&mut state, &release(1, ReleaseReason::Cancelled), 1);
    assert!(matches!(released[..], [Event::ReservationReleased { freed: false, .. }]));
    assert_eq!(no(&state, &reserve(1, 960), 2), Refusal::StaleEpoch);
    assert_eq!(state.rental(), Rental::Available);
}

#[test]
fn a_lost_connection_hides_the_rental_and_gives_it_back() {
    for mut state in [fleet(), held(), driving(), in_the_workshop()] {
        let before = state.rental();
        let lost = Command::ConnectionLost { last_seen: at(150), boot: 1 };
        assert_eq!(yes(&mut state, &lost, 160), [Event::ConnectionLost { last_seen: at(150) }]);
        assert_eq!(state.reported(), Some(Reported::NonContactable));
        assert_eq!((state.rental(), state.is_online()), (before, false));
        yes(&mut state, &Command::ConnectionRestored { boot: 2 }, 170);
        assert_ne!(state.reported(), Some(Reported::NonContactable));
        assert_eq!(state.rental(), before);
        assert_eq!(state.last_seen(), Some(at(150)));
    }
}

// ── reserved, mine ──

#[test]
fn the_same_reservation_may_ask_again_and_only_raises_its_deadline() {
    let mut state = held();
    assert_eq!(yes(&mut state, &reserve(1, 960), 1), []);
    let later = yes(&mut state, &reserve(1, 990), 1);
    assert!(
        matches!(later[..], [Event::ReservationExtended { expires_at, .. }] if expires_at == at(990))
    );
    let extend = Command::ExtendReservation {
        reservation_id: reservation(1),
        expires_at: at(1_500),
        epoch: 1,
    };
    assert_eq!(yes(&mut state, &extend, 2).len(), 1);
    assert_eq!(state.reservation().unwrap().expires_at, Some(at(1_500)));
}

#[test]
fn a_confirmed_reservation_unlocks_and_stops() {
    let mut state = unlocking();
    assert_eq!((state.rental(), state.lock()), (Rental::Reserved, LockState::Unlocking));
    let events = told(&mut state, &unlocked(1), 103);
    let [Event::Unlocked { odometer_m, fuel_pct, device_time, latency_ms, late, accepted, .. }] =
        events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((odometer_m, fuel_pct, device_time), (10_000, 80, at(7)));
    assert_eq!((latency_ms, late, accepted), (3_000, false, true));
    assert_eq!((state.rental(), state.lock()), (Rental::Stopped, LockState::Unlocked));
    let outcome = CommandOutcome::Unlocked { late: false, accepted: true };
    assert_eq!(state.outcome(&command(1)), Some(outcome));
}

#[test]
fn another_unlock_of_the_same_reservation_joins_the_one_under_way() {
    let state = unlocking();
    assert_eq!(decide(&state, &unlock(1, 1, 100), 101), Ok(vec![]));
    assert_eq!(decide(&state, &unlock(1, 2, 101), 101), Ok(vec![]));
    assert_eq!(under_way(&state), command(1));
}

#[test]
fn a_reservation_that_ends_lets_the_vehicle_go() {
    for mut state in [held(), paid()] {
        let released = yes(&mut state, &release(1, ReleaseReason::Cancelled), 2);
        assert!(matches!(released[..], [Event::ReservationReleased { freed: true, .. }]));
        assert_eq!((state.rental(), state.reservation()), (Rental::Available, None));
        assert_eq!(no(&state, &reserve(1, 960), 3), Refusal::StaleEpoch);
    }
}

#[test]
fn a_reserved_vehicle_that_was_never_opened_does_not_come_back() {
    assert_eq!(no(&paid(), &end_trip(1), 3), Refusal::NotStarted);
}

// ── reserved, not yet confirmed ──

/// D28: S1-10.
#[test]
fn unlock_early() {
    let state = held();
    assert_eq!(no(&state, &unlock(1, 1, 1), 1), Refusal::NotConfirmed);
    assert_eq!(no(&state, &lock(1, 1, 1), 1), Refusal::NotConfirmed);
    let start = Command::StartTrip { reservation_id: reservation(1) };
    assert_eq!(no(&state, &start, 1), Refusal::NotConfirmed);
}

#[test]
fn an_expiry_never_takes_what_is_paid() {
    let mut state = paid();
    let expired = yes(&mut state, &release(1, ReleaseReason::Expired), 2);
    assert!(matches!(expired[..], [Event::ReservationReleased { freed: false, .. }]));
    assert!(state.reservation().unwrap().confirmed);
    assert_eq!(yes(&mut state, &Command::DropLapsed { reservation_id: reservation(1) }, 9_999), []);
}

// ── reserved by another ──

#[test]
fn another_gets_nothing_of_a_reserved_vehicle() {
    for state in [held(), paid(), stopped(), driving()] {
        assert_eq!(no(&state, &reserve(2, 960), 200), Refusal::Taken);
        assert_eq!(no(&state, &assign(2, 0, 900), 200), Refusal::Taken);
        assert_eq!(no(&state, &unlock(2, 9, 200), 200), Refusal::NotFound);
        let mut after = state.clone();
        let released = yes(&mut after, &release(2, ReleaseReason::Cancelled), 200);
        assert!(matches!(released[..], [Event::ReservationReleased { freed: false, .. }]));
        assert_eq!(after.reservation(), state.reservation());
    }
}

/// S1-10: neither does another customer who has found the reservation's id.
#[test]
fn a_foreign_customer_gets_the_answer_of_an_absent_one() {
    let foreign = |by| Command::RequestUnlock {
        command_id: command(9),
        reservation_id: reservation(1),
        by,
        deadline: at(220),
    };
    for state in [paid(), driving()] {
        assert_eq!(no(&state, &foreign(owner(2)), 200), Refusal::NotFound);
        assert!(decide(&state, &foreign(operator()), 200).is_ok());
    }
}

#[test]
fn a_lapsed_claim_goes_when_somebody_needs_the_vehicle() {
    let mut state = held();
    let events = yes(&mut state, &reserve(2, 2_000), 960);
    let [Event::ReservationReleased { freed: true, epoch: None, .. }, Event::Reserved { .. }] =
        &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(state.reservation().unwrap().reservation_id, reservation(2));
}

#[test]
fn a_timer_drops_only_what_has_lapsed() {
    let mut state = held();
    let drop = Command::DropLapsed { reservation_id: reservation(1) };
    assert_eq!(yes(&mut state, &drop, 959), []);
    assert_eq!(yes(&mut state, &drop, 960).len(), 1);
    assert_eq!(state.rental(), Rental::Available);
}

#[test]
fn an_attempt_takes_only_its_own_name_away() {
    let mut state = held();
    let again = Command::Reserve {
        reservation_id: reservation(1),
        user_id: customer(1),
        epoch: 1,
        expires_at: Some(at(960)),
        attempt: attempt(2),
        period: None,
        confirmed: false,
    };
    yes(&mut state, &again, 1);
    let withdraw = |n| Command::Withdraw { reservation_id: reservation(1), attempt: attempt(n) };
    assert!(matches!(yes(&mut state, &withdraw(1), 2)[..], [Event::AttemptWithdrawn { .. }]));
    assert_eq!(state.rental(), Rental::Reserved);
    yes(&mut state, &withdraw(2), 2);
    assert_eq!(state.rental(), Rental::Available);
    // No tombstone: the customer's retry may come again.
    yes(&mut state, &reserve(1, 960), 3);
}

#[test]
fn what_is_taken_again_is_confirmed_and_a_stale_release_leaves_it_alone() {
    let mut state = held();
    yes(&mut state, &release(1, ReleaseReason::Expired), 960);
    let again = Command::Reacquire {
        reservation_id: reservation(1),
        user_id: customer(1),
        epoch: 2,
        period: None,
    };
    yes(&mut state, &again, 970);
    assert!(state.reservation().unwrap().confirmed);
    assert_eq!(yes(&mut state, &release(1, ReleaseReason::Cancelled), 980), []);
    assert_eq!(state.reservation().unwrap().epoch, 2);
}

// ── with a period ──

#[test]
fn a_rental_with_a_period_is_unlocked_within_it() {
    let mut state = fleet();
    yes(&mut state, &assign(1, 1_000, 2_000), 990);
    assert_eq!(no(&state, &unlock(1, 1, 999), 999), Refusal::NotStarted);
    assert_eq!(no(&state, &unlock(1, 1, 2_000), 2_000), Refusal::Completed);
    yes(&mut state, &unlock(1, 1, 1_000), 1_000);
    told(&mut state, &unlocked(1), 1_001);
    // Late to come back: it opens all the same, or it could never be returned.
    yes(&mut state, &unlock(1, 2, 3_000), 3_000);
}

#[test]
fn an_assignment_of_what_is_held_confirms_it() {
    let mut state = held();
    let assign = Command::Reserve {
        reservation_id: reservation(1),
        user_id: customer(1),
        epoch: 1,
        expires_at: None,
        attempt: attempt(9),
        period: None,
        confirmed: true,
    };
    assert!(matches!(yes(&mut state, &assign, 5)[..], [Event::ReservationConfirmed { .. }]));
}

// ── stopped, on trip ──

#[test]
fn a_vehicle_in_use_is_not_taken_away() {
    for state in [stopped(), driving()] {
        assert_eq!(no(&state, &release(1, ReleaseReason::Cancelled), 200), Refusal::InUse);
        assert_eq!(decide(&state, &reserve(1, 960), 200), Ok(vec![]));
    }
}

#[test]
fn its_customer_gets_in_and_out_of_a_vehicle_in_use() {
    let mut state = driving();
    yes(&mut state, &lock(1, 2, 200), 200);
    assert_eq!(state.lock(), LockState::Locking);
    told(&mut state, &locked(command(2)), 201);
    assert_eq!((state.rental(), state.lock()), (Rental::OnTrip, LockState::Locked));
    yes(&mut state, &unlock(1, 3, 300), 300);
    told(&mut state, &unlocked(3), 301);
    assert_eq!((state.rental(), state.lock()), (Rental::OnTrip, LockState::Unlocked));
}

#[test]
fn a_return_ends_the_trip_locks_and_frees_the_vehicle_once_it_is_locked() {
    let mut state = driving();
    let events = yes(&mut state, &end_trip(1), 500);
    let [
        Event::TripEnded { odometer_m: 15_000, fuel_pct: 60, distance_m: 5_000, .. },
        Event::ReservationReleased { reason: ReleaseReason::Completed, freed: true, .. },
        lock,
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert!(is_lock_requested(lock, LockReason::Return));
    assert_eq!((state.rental(), state.lock()), (Rental::NonOperational, LockState::Locking));
    assert_eq!((state.odometer_m(), state.fuel_pct()), (15_000, Some(60)));
    assert_eq!(no(&state, &reserve(2, 960), 500), Refusal::Unavailable);
    let id = under_way(&state);
    told(&mut state, &locked(id), 501);
    assert_eq!((state.rental(), state.lock()), (Rental::Available, LockState::Locked));
    assert_eq!(yes(&mut state, &end_trip(1), 502), []);
    assert_eq!(yes(&mut state, &release(1, ReleaseReason::Completed), 502), []);
}

/// Items without a remote unlock: the rental starts and ends at the return, and nobody turns a lock.
#[test]
fn a_vehicle_without_a_remote_lock_is_driven_and_free_at_once() {
    let mut state = paid();
    yes(&mut state, &Command::StartTrip { reservation_id: reservation(1) }, 10);
    assert_eq!(state.rental(), Rental::OnTrip);
    let end = Command::EndTrip {
        reservation_id: reservation(1),
        odometer_m: 11_000,
        fuel_pct: 70,
        lock: false,
    };
    let events = yes(&mut state, &end, 500);
    assert_eq!(events.len(), 2, "no lock: {events:?}");
    assert_eq!(state.rental(), Rental::Available);
}

// ── non-operational ──

#[test]
fn a_vehicle_out_of_service_is_nobodys() {
    let state = in_the_workshop();
    assert_eq!((state.rental(), state.out_of_service()), (Rental::NonOperational, Some("brakes")));
    assert_eq!(no(&state, &reserve(1, 960), 2), Refusal::Unavailable);
    assert_eq!(no(&state, &unlock(1, 1, 2), 2), Refusal::NotFound);
    let mut reserved = paid();
    let out = Command::SetOutOfService { by: operator(), reason: "brakes".into() };
    yes(&mut reserved, &out, 2);
    assert_eq!(reserved.rental(), Rental::NonOperational);
    assert_eq!(no(&reserved, &unlock(1, 1, 2), 2), Refusal::Unavailable);
    let staff = Command::RequestUnlock {
        command_id: command(1),
        reservation_id: reservation(1),
        by: operator(),
        deadline: at(22),
    };
    assert!(decide(&reserved, &staff, 2).is_ok(), "staff may");
}

#[test]
fn only_the_fleets_own_people_decide_about_service() {
    let set = |by| Command::SetOutOfService { by, reason: "brakes".into() };
    assert_eq!(no(&fleet(), &set(owner(1)), 0), Refusal::NotFound);
    let back = Command::ReturnToService { by: owner(1) };
    assert_eq!(no(&in_the_workshop(), &back, 0), Refusal::NotFound);
    let mut state = in_the_workshop();
    assert_eq!(
        yes(&mut state, &Command::ReturnToService { by: operator() }, 3),
        [Event::ReturnedToService]
    );
    assert_eq!(state.rental(), Rental::Available);
}

#[test]
fn a_customer_under_way_keeps_a_vehicle_that_goes_out_of_service() {
    let mut state = driving();
    let out = Command::SetOutOfService { by: operator(), reason: "recall".into() };
    yes(&mut state, &out, 200);
    assert_eq!(state.rental(), Rental::OnTrip);
    yes(&mut state, &unlock(1, 2, 300), 300);
    told(&mut state, &unlocked(2), 301);
    yes(&mut state, &end_trip(1), 500);
    let id = under_way(&state);
    told(&mut state, &locked(id), 501);
    assert_eq!(state.rental(), Rental::NonOperational);
}

#[test]
fn a_vehicle_comes_back_into_service_locked() {
    let mut state = in_the_workshop();
    let telemetry = Telemetry { boot: 1, seq: 1, is_locked: Some(false), ..Telemetry::default() };
    let open = Command::ReportTelemetry { telemetry, low_fuel: 15 };
    assert_eq!(yes(&mut state, &open, 10).len(), 1, "those who work on it have it open");
    let events = yes(&mut state, &Command::ReturnToService { by: operator() }, 20);
    assert!(is_lock_requested(&events[1], LockReason::Operator));
    assert_eq!(state.rental(), Rental::NonOperational);
    let id = under_way(&state);
    told(&mut state, &locked(id), 21);
    assert_eq!(state.rental(), Rental::Available);
}
