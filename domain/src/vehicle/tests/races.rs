//! The races of DOMAIN.md D: answers that are lost, late, repeated, forged; vehicles out of reach.

use super::*;

fn ignored(events: &[Event]) -> IgnoredWhy {
    match events {
        [Event::AnswerIgnored { why, .. }] => *why,
        other => panic!("not ignored: {other:?}"),
    }
}

/// Unlocked for nobody, and what follows.
fn taken_back(events: &[Event]) -> bool {
    let [
        Event::Unlocked { accepted: false, .. },
        Event::LateUnlockCompensated { .. },
        Event::LockRequested { reason: LockReason::LateUnlock, .. },
    ] = events
    else {
        return false;
    };
    true
}

/// D29: refused at once; nothing is sent that would wait for it.
#[test]
fn unlock_offline() {
    let mut state = paid();
    yes(&mut state, &Command::ConnectionLost { last_seen: at(50), boot: 1 }, 60);
    assert_eq!(no(&state, &unlock(1, 1, 100), 100), Refusal::Offline);
    yes(&mut state, &Command::ConnectionRestored { boot: 1 }, 110);
    yes(&mut state, &unlock(1, 1, 111), 111);
}

/// One that was never seen is not offline: nobody has said so.
#[test]
fn a_vehicle_that_was_never_seen_is_asked() {
    let mut state = State::default();
    yes(&mut state, &register(), 0);
    assert!(!state.is_online() && !state.is_offline());
    assert_eq!(state.reported(), Some(Reported::Available));
    yes(&mut state, &reserve(1, 960), 1);
    yes(&mut state, &confirm(1), 2);
    yes(&mut state, &unlock(1, 1, 10), 10);
}

/// D30: the same answer again is recorded once and changes nothing.
#[test]
fn unlock_dup() {
    let mut state = stopped();
    let before = (state.rental(), state.lock());
    assert_eq!(ignored(&told(&mut state, &unlocked(1), 102)), IgnoredWhy::Duplicate);
    assert_eq!(told(&mut state, &unlocked(1), 103), [], "once for each command");
    assert_eq!((state.rental(), state.lock()), before);
    // Nor after the return (fault 41).
    let mut state = returned();
    let id = under_way(&state);
    told(&mut state, &locked(id), 501);
    assert_eq!(ignored(&told(&mut state, &unlocked(1), 600)), IgnoredWhy::Duplicate);
    assert_eq!((state.rental(), state.lock()), (Rental::Available, LockState::Locked));
}

/// D31, the one half: within the grace, and still entitled.
#[test]
fn late_ack() {
    for (timer_first, secs) in [(true, 121), (true, 149), (false, 120), (false, 149)] {
        let mut state = unlocking();
        if timer_first {
            yes(&mut state, &timed_out(command(1)), 120);
        }
        let events = told(&mut state, &unlocked(1), secs);
        assert!(matches!(events[..], [Event::Unlocked { late: true, accepted: true, .. }]));
        assert_eq!((state.rental(), state.lock()), (Rental::Stopped, LockState::Unlocked));
        assert!(state.command().is_none());
        let outcome = CommandOutcome::Unlocked { late: true, accepted: true };
        assert_eq!(state.outcome(&command(1)), Some(outcome));
        assert_eq!(ignored(&told(&mut state, &unlocked(1), secs)), IgnoredWhy::Duplicate);
    }
}

/// D31, the other: too late, or nobody is entitled any more.
#[test]
fn a_late_unlock_that_nobody_is_entitled_to_is_locked_again() {
    // After the grace.
    for timer_first in [true, false] {
        let mut state = unlocking();
        if timer_first {
            yes(&mut state, &timed_out(command(1)), 120);
        }
        let events = told(&mut state, &unlocked(1), 150);
        assert!(taken_back(&events), "{events:?}");
        assert_eq!((state.rental(), state.lock()), (Rental::Reserved, LockState::Locking));
    }
    // After a cancellation.
    let mut state = unlocking();
    yes(&mut state, &timed_out(command(1)), 120);
    let released = yes(&mut state, &release(1, ReleaseReason::Cancelled), 121);
    assert!(is_lock_requested(&released[1], LockReason::Secure), "it may stand open");
    let secure = under_way(&state);
    told(&mut state, &locked(secure), 122);
    assert_eq!(state.rental(), Rental::Available);
    let events = told(&mut state, &unlocked(1), 125);
    assert!(taken_back(&events), "{events:?}");
    assert_eq!(state.rental(), Rental::NonOperational, "nobody gets it before it is locked");
    let back = under_way(&state);
    told(&mut state, &locked(back), 126);
    assert_eq!(state.rental(), Rental::Available);
}

/// A lock and the late unlock may have met the vehicle in either order: the lock is asked for once
/// more, after the one that is under way.
#[test]
fn a_late_unlock_beside_a_lock_under_way_is_locked_after_it() {
    let mut state = unlocking();
    yes(&mut state, &timed_out(command(1)), 120);
    yes(&mut state, &release(1, ReleaseReason::Cancelled), 121);
    let first = under_way(&state);
    let events = told(&mut state, &unlocked(1), 122);
    let [Event::Unlocked { accepted: false, .. }, Event::LateUnlockCompensated { .. }] = events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(under_way(&state), first, "one at a time");
    // A further attempt of the first is not the lock that is owed.
    yes(&mut state, &Command::RetryCommand { command_id: first, attempt: 2 }, 126);
    let events = told(&mut state, &locked(first), 127);
    let [Event::Locked { .. }, second] = &events[..] else { panic!("{events:?}") };
    assert!(is_lock_requested(second, LockReason::LateUnlock));
    assert_eq!(state.rental(), Rental::NonOperational);
    let second = under_way(&state);
    told(&mut state, &locked(second), 128);
    assert_eq!(state.rental(), Rental::Available);
}

/// The customer has locked it since; what opened it late is taken back, also in use.
#[test]
fn a_late_unlock_does_not_undo_a_lock() {
    let mut state = driving();
    yes(&mut state, &unlock(1, 2, 200), 200);
    yes(&mut state, &timed_out(command(2)), 220);
    yes(&mut state, &lock(1, 3, 222), 222);
    told(&mut state, &locked(command(3)), 223);
    let events = told(&mut state, &unlocked(2), 225);
    assert!(taken_back(&events), "{events:?}");
    assert_eq!(state.rental(), Rental::OnTrip);
}

/// Who is on the way already is not locked out by an old answer, however late.
#[test]
fn a_late_unlock_of_the_same_trip_is_accepted() {
    let mut state = unlocking();
    yes(&mut state, &timed_out(command(1)), 120);
    yes(&mut state, &unlock(1, 2, 130), 130);
    let mut waiting = state.clone();
    told(&mut state, &unlocked(2), 131);
    for state in [&mut state, &mut waiting] {
        let events = told(state, &unlocked(1), 300);
        assert!(matches!(events[..], [Event::Unlocked { late: true, accepted: true, .. }]));
    }
    assert_eq!(state.lock(), LockState::Unlocked);
    assert_eq!(waiting.lock(), LockState::Unlocking, "its own answer is still to come");
}

/// Nor is the next customer, who has opened it since.
#[test]
fn a_late_unlock_of_the_one_before_leaves_an_open_vehicle_to_the_next() {
    let mut state = unlocking();
    yes(&mut state, &timed_out(command(1)), 120);
    yes(&mut state, &release(1, ReleaseReason::Cancelled), 121);
    let secure = under_way(&state);
    told(&mut state, &locked(secure), 122);
    yes(&mut state, &assign(2, 0, 9_000), 123);
    let mut shut = state.clone();
    yes(&mut state, &unlock(2, 2, 124), 124);
    told(&mut state, &unlocked(2), 125);
    assert_eq!(ignored(&told(&mut state, &unlocked(1), 126)), IgnoredWhy::NotEntitled);
    assert_eq!(state.lock(), LockState::Unlocked);
    // If the next has not come yet, it is locked again, and then still the next one's.
    assert!(taken_back(&told(&mut shut, &unlocked(1), 126)));
    assert_eq!(shut.reservation().unwrap().reservation_id, reservation(2));
    assert_eq!(shut.trip, None);
}

/// D32: the vehicle's stream decides. While the unlock is under way nothing is taken away; then the
/// answer wins, or the timeout does and it can be cancelled.
#[test]
fn cancel_vs_unlock() {
    let busy = Refusal::UnlockInProgress { command_id: command(1) };
    assert_eq!(no(&unlocking(), &release(1, ReleaseReason::Cancelled), 110), busy);
    let mut acked = unlocking();
    told(&mut acked, &unlocked(1), 110);
    assert_eq!(no(&acked, &release(1, ReleaseReason::Cancelled), 111), Refusal::InUse);
    let mut silent = unlocking();
    yes(&mut silent, &timed_out(command(1)), 120);
    yes(&mut silent, &release(1, ReleaseReason::Cancelled), 121);
    assert_eq!(no(&silent, &unlock(1, 2, 122), 122), Refusal::NotFound, "and nobody unlocks it");
    let mut cancelled = paid();
    yes(&mut cancelled, &release(1, ReleaseReason::Cancelled), 50);
    assert_eq!(no(&cancelled, &unlock(1, 1, 51), 51), Refusal::NotFound);
}

/// D33: what is returned out of reach is nobody's until it has said that it is locked.
#[test]
fn offline_return() {
    let mut state = driving();
    yes(&mut state, &Command::ConnectionLost { last_seen: at(400), boot: 1 }, 410);
    let events = yes(&mut state, &end_trip(1), 500);
    assert!(is_lock_requested(&events[2], LockReason::Return));
    let first = under_way(&state);
    let failed = yes(&mut state, &timed_out(first), 520);
    assert!(matches!(failed[..], [Event::LockFailed { code: FailCode::Offline, .. }]));
    assert_eq!(state.rental(), Rental::NonOperational);
    let secure = Command::Secure { command_id: command(77) };
    assert_eq!(no(&state, &secure, 600), Refusal::Offline);
    let events = yes(&mut state, &Command::ConnectionRestored { boot: 2 }, 900);
    assert!(is_lock_requested(&events[1], LockReason::Secure));
    let second = under_way(&state);
    told(&mut state, &locked(second), 901);
    assert_eq!(state.rental(), Rental::Available);
}

/// The return comes while the customer unlocks once more: whatever the vehicle answers, it is locked.
#[test]
fn a_return_beside_an_unlock_is_locked_after_it() {
    for word in [Some(Answer::Unlocked), Some(Answer::Rejected), None] {
        let mut state = driving();
        yes(&mut state, &lock(1, 2, 200), 200);
        told(&mut state, &locked(command(2)), 201);
        yes(&mut state, &unlock(1, 3, 300), 300);
        let events = yes(&mut state, &end_trip(1), 301);
        assert_eq!(events.len(), 2, "the lock waits: {events:?}");
        assert_eq!(state.rental(), Rental::NonOperational);
        let events = match word {
            Some(word) => told(&mut state, &answer(command(3), CommandKind::Unlock, word), 302),
            None => yes(&mut state, &timed_out(command(3)), 320),
        };
        let lock = events.last().unwrap();
        assert!(matches!(lock, Event::LockRequested { .. }), "{events:?}");
        let id = under_way(&state);
        told(&mut state, &locked(id), 330);
        assert_eq!(state.rental(), Rental::Available);
    }
}

/// D35, V3: what nobody asked for, or nobody signed, changes nothing and is told.
#[test]
fn spoof() {
    let mut state = fleet();
    assert_eq!(ignored(&told(&mut state, &unlocked(5), 10)), IgnoredWhy::UnknownCommand);
    let forged = Command::IgnoreAnswer {
        command_id: Some(command(1)),
        status: "UNLOCKED".into(),
        why: IgnoredWhy::BadMac,
    };
    let mut state = unlocking();
    assert_eq!(ignored(&told(&mut state, &forged, 101)), IgnoredWhy::BadMac);
    assert_eq!(state.lock(), LockState::Unlocking);
    assert_eq!(told(&mut state, &forged, 102), []);
    told(&mut state, &unlocked(1), 103);
    assert_eq!(state.lock(), LockState::Unlocked);
}

/// Whoever forges must not fill the log.
#[test]
fn forged_answers_are_recorded_in_small_numbers() {
    let mut state = fleet();
    let mut recorded = 0;
    for n in 0..1_000 {
        let forged = Command::IgnoreAnswer {
            command_id: Some(command(10_000 + n)),
            status: "UNLOCKED\u{7}".repeat(50),
            why: IgnoredWhy::BadMac,
        };
        for event in told(&mut state, &forged, 10 + i64::try_from(n / 100).unwrap()) {
            recorded += 1;
            let Event::AnswerIgnored { status, .. } = event else { panic!("{event:?}") };
            assert!(status.len() <= 32 && !status.contains('\u{7}'));
        }
    }
    assert_eq!(recorded, 10);
    let later =
        Command::IgnoreAnswer { command_id: None, status: "?".into(), why: IgnoredWhy::BadMac };
    assert_eq!(told(&mut state, &later, 100).len(), 1, "a minute later it is told again");
    assert_eq!(told(&mut state, &later, 101), []);
    assert_eq!(told(&mut state, &later, 161).len(), 1);
}
