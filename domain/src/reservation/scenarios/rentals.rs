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
