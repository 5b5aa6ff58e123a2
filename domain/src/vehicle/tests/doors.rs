//! Commands: attempts, deadlines, answers of every kind.

use super::*;

#[test]
fn a_command_is_sent_again_under_the_same_name_and_number() {
    let mut state = unlocking();
    let retry = |attempt| Command::RetryCommand { command_id: command(1), attempt };
    assert_eq!(yes(&mut state, &retry(1), 105), [], "it was sent once already");
    assert_eq!(yes(&mut state, &retry(3), 105), [], "the second comes first");
    let events = yes(&mut state, &retry(2), 105);
    let [Event::UnlockRequested { command_id, seq, deadline, attempt: 2, at: then, user_id, .. }] =
        &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((*command_id, *seq, *deadline, *then), (command(1), 1, at(120), at(105)));
    assert_eq!(*user_id, Some(customer(1)));
    assert_eq!(state.command().unwrap().requested_at, at(100), "latency counts from the first");
    assert_eq!(yes(&mut state, &retry(3), 120), [], "too late to be obeyed");
}

#[test]
fn a_retry_of_what_has_ended_sends_nothing() {
    let mut state = stopped();
    let retry = Command::RetryCommand { command_id: command(1), attempt: 2 };
    assert_eq!(yes(&mut state, &retry, 105), []);
}

/// S1-11.
#[test]
fn silence_until_the_deadline_fails_the_command() {
    let mut state = unlocking();
    assert_eq!(no(&state, &timed_out(command(1)), 119), Refusal::NotDue { until: at(120) });
    let failed = yes(&mut state, &timed_out(command(1)), 120);
    assert!(matches!(failed[..], [Event::UnlockFailed { code: FailCode::Timeout, .. }]));
    assert_eq!((state.rental(), state.lock()), (Rental::Reserved, LockState::Unknown));
    assert_eq!(state.outcome(&command(1)), Some(CommandOutcome::Failed(FailCode::Timeout)));
    // Another command is another try.
    yes(&mut state, &unlock(1, 2, 130), 130);
    assert_eq!(state.command().unwrap().seq, 2);
}

/// Fault 44: a Last Will alone ends no command; at the deadline it is known why.
#[test]
fn a_connection_that_is_lost_meanwhile_names_the_failure() {
    let mut state = unlocking();
    yes(&mut state, &Command::ConnectionLost { last_seen: at(100), boot: 1 }, 110);
    assert_eq!(state.lock(), LockState::Unlocking);
    let failed = yes(&mut state, &timed_out(command(1)), 120);
    assert!(matches!(failed[..], [Event::UnlockFailed { code: FailCode::Offline, .. }]));
}

#[test]
fn a_vehicle_that_says_no_has_failed_at_once() {
    for (word, code, lock) in [
        (Answer::Jammed, FailCode::Jammed, LockState::Unknown),
        (Answer::Rejected, FailCode::Rejected, LockState::Locked),
        (Answer::Expired, FailCode::Expired, LockState::Locked),
    ] {
        let mut state = unlocking();
        let events = told(&mut state, &answer(command(1), CommandKind::Unlock, word), 102);
        assert!(matches!(events[..], [Event::UnlockFailed { code: was, .. }] if was == code));
        assert_eq!((state.lock(), state.rental()), (lock, Rental::Reserved));
        let again = told(&mut state, &answer(command(1), CommandKind::Unlock, word), 103);
        assert!(matches!(again[..], [Event::AnswerIgnored { why: IgnoredWhy::Duplicate, .. }]));
    }
}

#[test]
fn a_lock_that_fails_leaves_nobody_sure() {
    for (word, code) in [(Answer::Jammed, FailCode::Jammed), (Answer::Rejected, FailCode::Rejected)]
    {
        let mut state = returned();
        let id = under_way(&state);
        let events = told(&mut state, &answer(id, CommandKind::Lock, word), 502);
        assert!(matches!(events[..], [Event::LockFailed { code: was, .. }] if was == code));
        assert!(state.needs_lock());
        assert_eq!((state.rental(), state.lock_failures()), (Rental::NonOperational, 1));
        let secure = Command::Secure { command_id: command(77) };
        let events = yes(&mut state, &secure, 560);
        assert!(is_lock_requested(&events[0], LockReason::Secure));
        told(&mut state, &locked(command(77)), 561);
        assert_eq!((state.rental(), state.lock_failures()), (Rental::Available, 0));
    }
}

#[test]
fn what_is_locked_or_in_use_is_not_secured_again() {
    let secure = Command::Secure { command_id: command(77) };
    for state in [fleet(), held(), paid(), stopped(), driving(), returned(), in_the_workshop()] {
        assert_eq!(decide(&state, &secure, 900), Ok(vec![]), "{:?}", state.rental());
    }
}

#[test]
fn one_command_at_a_time() {
    let state = unlocking();
    let busy = Refusal::UnlockInProgress { command_id: command(1) };
    assert_eq!(no(&state, &lock(1, 2, 101), 101), busy);
    let out = Command::SetOutOfService { by: operator(), reason: "brakes".into() };
    assert_eq!(no(&state, &out, 101), busy);
    let mut state = driving();
    yes(&mut state, &lock(1, 2, 200), 200);
    assert_eq!(decide(&state, &lock(1, 3, 200), 200), Ok(vec![]), "a second lock joins the first");
    let busy = Refusal::UnlockInProgress { command_id: command(2) };
    assert_eq!(no(&state, &unlock(1, 3, 200), 200), busy);
}

#[test]
fn an_answer_of_the_other_kind_is_no_answer() {
    for (kind, word) in [
        (CommandKind::Unlock, Answer::Locked),
        (CommandKind::Lock, Answer::Locked),
        (CommandKind::Lock, Answer::Unlocked),
        (CommandKind::Lock, Answer::Jammed),
    ] {
        let mut state = unlocking();
        let events = told(&mut state, &answer(command(1), kind, word), 101);
        let [Event::AnswerIgnored { why: IgnoredWhy::UnknownCommand, .. }] = events[..] else {
            panic!("{events:?}")
        };
        assert_eq!(state.lock(), LockState::Unlocking);
    }
}

#[test]
fn a_late_locked_counts_unless_something_was_asked_since() {
    let mut state = returned();
    let first = under_way(&state);
    yes(&mut state, &timed_out(first), 520);
    assert_eq!(state.lock(), LockState::Unknown);
    let mut since = state.clone();
    let events = told(&mut state, &locked(first), 600);
    assert!(matches!(events[..], [Event::Locked { late: true, .. }]));
    assert_eq!(state.rental(), Rental::Available);

    yes(&mut since, &Command::Secure { command_id: command(77) }, 580);
    let events = told(&mut since, &locked(first), 600);
    assert!(matches!(events[..], [Event::AnswerIgnored { why: IgnoredWhy::Stale, .. }]));
    assert_eq!(since.lock(), LockState::Locking);
}

#[test]
fn an_operator_locks_what_no_customer_asks_for() {
    let ask = |by| Command::RequestLock {
        command_id: command(5),
        reservation_id: None,
        by,
        deadline: at(620),
        reason: LockReason::Operator,
    };
    assert_eq!(no(&driving(), &ask(owner(1)), 600), Refusal::NotFound);
    assert_eq!(decide(&driving(), &ask(operator()), 600).map(|events| events.len()), Ok(1));
}

#[test]
fn a_deadline_that_has_passed_is_not_begun() {
    assert_eq!(no(&paid(), &unlock(1, 1, 80), 100), Refusal::TooLate);
}

/// S0-32: the customer reads the odometer; whole kilometres are close enough, the vehicle's own word
/// stands, and a claim of much less is told.
#[test]
fn a_return_never_turns_the_odometer_back() {
    let end = |odometer_m| Command::EndTrip {
        reservation_id: reservation(1),
        odometer_m,
        fuel_pct: 60,
        lock: true,
    };
    let driven = Telemetry { boot: 1, seq: 1, odometer_m: Some(20_700), ..Telemetry::default() };
    let mut state = driving();
    yes(&mut state, &Command::ReportTelemetry { telemetry: driven, low_fuel: 15 }, 300);
    let mut rounded = state.clone();
    assert_eq!(yes(&mut rounded, &end(20_000), 500).len(), 3);
    assert_eq!(rounded.odometer_m(), 20_700);
    let events = yes(&mut state, &end(12_000), 500);
    let anomaly = Event::OdometerAnomaly { known_m: 20_700, told_m: 12_000, at: at(500) };
    assert!(events.contains(&anomaly));
    assert_eq!(state.odometer_m(), 20_700);
    let fuel = Command::EndTrip {
        reservation_id: reservation(1),
        odometer_m: 1,
        fuel_pct: 101,
        lock: true,
    };
    assert_eq!(no(&driving(), &fuel, 500), Refusal::InvalidFuel(101));
}

#[test]
fn what_is_remembered_of_commands_is_bounded() {
    let mut state = paid();
    for n in 0..(2 * ENDED_KEPT as u128) {
        let secs = 100 + 30 * i64::try_from(n).unwrap();
        yes(&mut state, &unlock(1, 1_000 + n, secs), secs);
        yes(&mut state, &timed_out(command(1_000 + n)), secs + 20);
    }
    assert_eq!(state.ended.len(), ENDED_KEPT);
    assert_eq!(state.outcome(&command(1_000)), None);
    assert_eq!(state.next_seq(), 2 * ENDED_KEPT as u64 + 1);
}
