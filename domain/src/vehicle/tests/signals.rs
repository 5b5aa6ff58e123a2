//! Telemetry and connections.

use super::*;

fn report(telemetry: Telemetry) -> Command {
    Command::ReportTelemetry { telemetry, low_fuel: 15 }
}

/// The n-th message since the first start: locked, at 10 km, with 80 %.
fn usual(seq: u64) -> Telemetry {
    Telemetry {
        boot: 1,
        seq,
        odometer_m: Some(10_000),
        fuel_pct: Some(80),
        is_locked: Some(true),
        ..Telemetry::default()
    }
}

/// A vehicle that has told of itself at second 10.
fn sampled() -> State {
    let mut state = fleet();
    assert_eq!(yes(&mut state, &report(usual(10)), 10).len(), 1);
    state
}

fn samples(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::TelemetrySampled { .. })).count()
}

#[test]
fn a_sample_is_kept_once_a_minute_and_whenever_a_threshold_is_crossed() {
    let kept = |change: fn(&mut Telemetry), secs| {
        let mut telemetry = usual(11);
        change(&mut telemetry);
        samples(&yes(&mut sampled(), &report(telemetry), secs))
    };
    assert_eq!(kept(|_| {}, 69), 0);
    assert_eq!(kept(|_| {}, 70), 1);
    assert_eq!(kept(|it| it.odometer_m = Some(10_999), 11), 0);
    assert_eq!(kept(|it| it.odometer_m = Some(11_000), 11), 1);
    assert_eq!(kept(|it| it.fuel_pct = Some(76), 11), 0);
    assert_eq!(kept(|it| it.fuel_pct = Some(75), 11), 1);
    assert_eq!(kept(|it| it.is_locked = Some(false), 11), 1);
    assert_eq!(kept(|it| it.is_locked = None, 11), 0);
    assert_eq!(kept(|it| it.speed_kmh = Some(80), 11), 0);
}

#[test]
fn a_tank_that_comes_to_the_line_is_told() {
    let mut state = fleet();
    let with = |seq, fuel| report(Telemetry { fuel_pct: Some(fuel), ..usual(seq) });
    assert_eq!(samples(&yes(&mut state, &with(1, 17), 10)), 1);
    assert_eq!(samples(&yes(&mut state, &with(2, 16), 11)), 0);
    assert_eq!(samples(&yes(&mut state, &with(3, 15), 12)), 1);
    assert_eq!(samples(&yes(&mut state, &with(4, 14), 13)), 0);
    assert_eq!(state.fuel_pct(), Some(15));
    assert_eq!(no(&state, &with(5, 101), 14), Refusal::InvalidFuel(101));
}

/// D34.
#[test]
fn telemetry_order() {
    let mut state = sampled();
    let old = Telemetry { seq: 9, odometer_m: Some(90_000), is_locked: Some(false), ..usual(9) };
    assert_eq!(yes(&mut state, &report(old.clone()), 200), []);
    assert_eq!(yes(&mut state, &report(usual(10)), 200), []);
    assert_eq!(state.odometer_m(), 10_000);
    // After a new start the count begins again, and what is left of the one before is old.
    yes(&mut state, &Command::ConnectionRestored { boot: 2 }, 201);
    assert_eq!(yes(&mut state, &report(Telemetry { seq: 99, ..old }), 202), []);
    let young = Telemetry { boot: 2, seq: 1, odometer_m: Some(12_000), ..usual(1) };
    assert_eq!(samples(&yes(&mut state, &report(young), 203)), 1);
    assert_eq!(state.odometer_m(), 12_000);
}

/// A start that nobody told of is known by its telemetry.
#[test]
fn a_new_start_is_heard_of_even_if_its_hello_was_lost() {
    let mut state = sampled();
    yes(&mut state, &Command::ConnectionLost { last_seen: at(20), boot: 1 }, 30);
    let same = yes(&mut state, &report(usual(11)), 80);
    assert_eq!((samples(&same), state.is_offline()), (1, true), "from before the connection broke");
    let restarted = yes(&mut state, &report(Telemetry { boot: 2, ..usual(1) }), 90);
    assert_eq!(restarted[0], Event::ConnectionRestored { boot: 2 });
    assert!(state.is_online());
    assert_eq!(state.boot(), 2);
}

/// Found by the model: its hello was overtaken by its telemetry, and nobody asked for the lock.
#[test]
fn a_vehicle_whose_telemetry_overtakes_its_hello_is_locked_all_the_same() {
    let mut state = returned();
    let id = under_way(&state);
    yes(&mut state, &Command::ConnectionLost { last_seen: at(505), boot: 1 }, 515);
    yes(&mut state, &timed_out(id), 520);
    let events = yes(&mut state, &report(Telemetry { boot: 2, ..usual(1) }), 900);
    assert!(is_lock_requested(events.last().unwrap(), LockReason::Secure), "{events:?}");
}

/// A hello from before is old; a vehicle that has lost count of its starts is believed once it was gone.
#[test]
fn a_lower_start_is_believed_after_a_last_will_only() {
    let mut state = fleet();
    yes(&mut state, &Command::ConnectionRestored { boot: 40 }, 1);
    assert_eq!(yes(&mut state, &report(usual(1)), 2), []);
    assert_eq!(yes(&mut state, &Command::ConnectionRestored { boot: 1 }, 3), []);
    yes(&mut state, &Command::ConnectionLost { last_seen: at(2), boot: 40 }, 3);
    yes(&mut state, &Command::ConnectionRestored { boot: 1 }, 3);
    assert_eq!(samples(&yes(&mut state, &report(usual(1)), 4)), 1);
}

/// V4.
#[test]
fn an_odometer_never_falls_and_a_claim_that_it_did_is_told_once_a_kilometre() {
    let mut state = sampled();
    let at_m = |seq, odometer_m| report(Telemetry { odometer_m: Some(odometer_m), ..usual(seq) });
    assert_eq!(yes(&mut state, &at_m(11, 9_500), 11), [], "rounding");
    let events = yes(&mut state, &at_m(12, 4_000), 12);
    assert_eq!(events, [Event::OdometerAnomaly { known_m: 10_000, told_m: 4_000, at: at(12) }]);
    assert_eq!(yes(&mut state, &at_m(13, 4_900), 13), []);
    assert_eq!(yes(&mut state, &at_m(14, 5_000), 14).len(), 1);
    let sample = yes(&mut state, &at_m(15, 5_000), 100);
    assert!(matches!(sample[..], [Event::TelemetrySampled { odometer_m: None, .. }]));
    assert_eq!(state.odometer_m(), 10_000);
    assert_eq!(yes(&mut state, &at_m(16, MOST_METRES + 1), 101), [], "nor does it leap");
}

/// Nobody signs telemetry: it can make us lock a door, never believe that one is locked.
#[test]
fn telemetry_alone_never_confirms_a_lock() {
    let mut state = returned();
    let id = under_way(&state);
    yes(&mut state, &timed_out(id), 520);
    let seen = yes(&mut state, &report(usual(1)), 521);
    assert_eq!(samples(&seen), 1);
    assert_eq!(state.lock(), LockState::Locked, "so it says");
    assert_eq!(state.rental(), Rental::NonOperational, "but nobody gets it for that");
    assert!(state.needs_lock());
}

#[test]
fn a_vehicle_that_stands_open_for_nobody_is_locked() {
    let open = |seq| report(Telemetry { is_locked: Some(false), ..usual(seq) });
    for mut state in [sampled(), held()] {
        let events = yes(&mut state, &open(50), 20);
        assert!(is_lock_requested(events.last().unwrap(), LockReason::Secure));
        assert_eq!(yes(&mut state, &open(51), 21), [], "once at a time");
        let id = under_way(&state);
        yes(&mut state, &timed_out(id), 40);
        assert_eq!(yes(&mut state, &open(52), 41).len(), 1, "and again");
    }
    for mut state in [paid(), stopped(), driving(), in_the_workshop()] {
        let events = yes(&mut state, &open(50), 200);
        assert_eq!((events.len(), samples(&events)), (1, 1), "{:?}", state.rental());
    }
}

/// Fault 44: whatever a flapping connection says, it concerns the connection alone.
#[test]
fn a_last_will_of_an_older_connection_is_no_loss() {
    let mut state = fleet();
    yes(&mut state, &Command::ConnectionRestored { boot: 2 }, 10);
    assert_eq!(yes(&mut state, &Command::ConnectionLost { last_seen: at(5), boot: 1 }, 11), []);
    assert!(state.is_online());
    let mut lost = state.clone();
    yes(&mut lost, &Command::ConnectionLost { last_seen: at(99), boot: 2 }, 12);
    assert_eq!(lost.last_seen(), Some(at(12)), "nobody was seen in the future");
    assert_eq!(yes(&mut lost, &Command::ConnectionLost { last_seen: at(5), boot: 2 }, 13), []);
}
