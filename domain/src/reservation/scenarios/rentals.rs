//! A vehicle goes out and comes back.

use super::*;

#[test]
fn what_was_driven_is_the_difference_of_two_readings() {
    let back = ask(&in_use(), 4_600, &complete()).unwrap();
    let [Event::RentalCompleted { distance_m: 42_000, duration_s: 3_600, .. }] = back[..] else {
        panic!("{back:?}")
    };
}

#[test]
fn an_odometer_does_not_run_backwards_and_fuel_is_a_percentage() {
    let returned = |end_m, fuel| Command::Complete {
        by: owner(),
        odometer_end_m: end_m,
        fuel_end_pct: fuel,
        location: None,
        without_unlock: None,
    };
    let decreased = Refusal::OdometerDecreased { start_m: 10_000, end_m: 9_999 };
    assert_eq!(ask(&in_use(), 2_000, &returned(9_999, 1)), Err(decreased));
    assert_eq!(ask(&in_use(), 2_000, &returned(10_000, 101)), Err(Refusal::InvalidFuel(101)));
    row(&in_use(), &[(2_000, returned(10_000, 100), "RentalCompleted")]);
    let started = Command::StartRental {
        vehicle_id: VehicleId::new("car-7").unwrap(),
        odometer_start_m: 1,
        fuel_start_pct: 101,
        at: at(30),
    };
    assert_eq!(ask(&confirmed(), 30, &started), Err(Refusal::InvalidFuel(101)));
}

#[test]
fn a_reservation_without_a_vehicle_hands_none_over() {
    let mut place = place();
    if let Command::PlaceHold { lines, .. } = &mut place {
        lines.remove(0);
    }
    let state = given(&[(0, place), (10, request()), (20, confirm(1))]);
    row(&state, &[(30, start(), "E:NoVehicle"), (30, complete_without_unlock(), "E:NoVehicle")]);
}

#[test]
fn without_a_remote_unlock_the_rental_begins_with_its_period() {
    let mut place = place();
    if let Command::PlaceHold { lines, .. } = &mut place {
        lines[0].period = Some(crate::Period { from: at(1_000), until: at(9_000) });
    }
    let state = given(&[(0, place), (10, request()), (20, confirm(1))]);
    let events = ask(&state, 4_600, &complete_without_unlock()).unwrap();
    let [Event::RentalStarted { .. }, Event::RentalCompleted { duration_s: 3_600, .. }] =
        events[..]
    else {
        panic!("{events:?}")
    };
}

/// Two runs may have reserved two vehicles: the first that is recorded is the customer's.
#[test]
fn the_first_vehicle_that_is_assigned_counts() {
    row(&finalized(), &[(30, assign("car-7", 1), "VehicleAssigned")]);
    let assigned = with_car();
    row(
        &assigned,
        &[
            (30, assign("car-7", 1), "idem"),
            (30, assign("car-8", 1), "E:OtherVehicle"),
            (30, start(), "RentalStarted"),
        ],
    );
    let other = Command::StartRental {
        vehicle_id: car("car-8"),
        odometer_start_m: 1,
        fuel_start_pct: 1,
        at: at(30),
    };
    row(&assigned, &[(30, other, "E:OtherVehicle")]);
    row(&in_use(), &[(40, assign("car-7", 1), "idem"), (40, assign("car-8", 1), "E:OtherVehicle")]);
}

/// Its claims may still be lost, or taken again at another epoch.
#[test]
fn no_vehicle_is_assigned_before_every_claim_is_committed_or_after_the_end() {
    for (state, expected) in [
        (State::default(), "E:NotFound"),
        (hold(), "E:NotConfirmed"),
        (awaiting(), "E:NotConfirmed"),
        (confirmed(), "E:Reacquiring"),
        (claims_lost(), "E:Reacquiring"),
        (reacquiring(), "E:Reacquiring"),
        (expired(), "E:NotConfirmed"),
        (failed(), "E:NotConfirmed"),
        (completed(), "E:Completed"),
        (cancelled_while_paying(), "E:Cancelled"),
        (cancelled_after_confirmation(), "E:Cancelled"),
    ] {
        row(&state, &[(2_000, assign("car-7", 1), expected)]);
    }
    row(&finalized(), &[(30, assign("car-7", 2), "E:Reacquiring")]);
}

#[test]
fn a_vehicle_that_the_hold_has_claimed_is_its_own_until_the_end() {
    let mut place = place();
    if let Command::PlaceHold { lines, claims, .. } = &mut place {
        lines[0].vehicle_id = Some(car("car-7"));
        claims.push(Claim::Vehicle { r#ref: car("car-7") });
    }
    let held = given(&[(0, place.clone())]);
    assert_eq!(held.vehicle_id, Some(car("car-7")));
    row(&held, &[(1, assign("car-7", 1), "idem"), (1, assign("car-8", 1), "E:NotConfirmed")]);
    let paid = given(&[(0, place.clone()), (10, request()), (20, confirm(1)), (21, finalize(1))]);
    row(
        &paid,
        &[
            (30, assign("car-7", 1), "idem"),
            (30, assign("car-8", 1), "E:OtherVehicle"),
            // No other will do: a person has to see to it.
            (30, withdraw("car-7"), "E:NoVehicle"),
        ],
    );
    let over = given(&[(0, place), (10, request()), (LATE, expire(1))]);
    row(&over, &[(2_000, assign("car-7", 1), "E:NotConfirmed")]);
}

#[test]
fn a_vehicle_that_is_withdrawn_makes_room_for_another() {
    row(
        &with_car(),
        &[(30, withdraw("car-8"), "idem"), (30, withdraw("car-7"), "VehicleWithdrawn")],
    );
    row(&in_use(), &[(40, withdraw("car-7"), "idem")]);
    let mut state = with_car();
    for event in ask(&state, 30, &withdraw("car-7")).unwrap() {
        state.evolve(&event);
    }
    row(&state, &[(31, withdraw("car-7"), "idem"), (31, assign("car-8", 1), "VehicleAssigned")]);
}

/// The vehicle's own stream has given it up, so nobody can unlock it for this any more.
#[test]
fn nobody_came_and_the_rental_is_over() {
    let state = with_car();
    row(&state, &[(40, no_show("car-8"), "idem"), (40, no_show("car-7"), "NoShow")]);
    row(&in_use(), &[(40, no_show("car-7"), "idem")]);
    let mut over = state;
    for event in ask(&over, 40, &no_show("car-7")).unwrap() {
        over.evolve(&event);
    }
    assert_eq!((over.status, over.version), (Status::Completed, 3));
    row(
        &over,
        &[
            (50, no_show("car-7"), "idem"),
            (50, start(), "E:Completed"),
            (50, cancel(), "E:Completed"),
            (50, lose_money(1), "E:Completed"),
        ],
    );
}

fn with_car() -> State {
    given(&[
        (0, place()),
        (10, request()),
        (20, confirm(1)),
        (21, finalize(1)),
        (22, assign("car-7", 1)),
    ])
}
