//! V1–V5, and that nobody has it open who may not: whatever is asked in whatever order.

#![expect(clippy::wildcard_enum_match_arm, reason = "a property names what it looks for")]

use proptest::prelude::*;

use super::*;
use crate::claim::testing::{cases, kept};

/// Something that is asked, and how much later.
fn asked() -> impl Strategy<Value = (Command, i64)> {
    let r = || 1..4u128;
    let epoch = || 1..3u32;
    let id = |number| reservation(number);
    let command = prop_oneof![
        (r(), epoch(), 1..400i64, any::<bool>(), any::<bool>()).prop_map(
            move |(n, epoch, until, confirmed, timed)| Command::Reserve {
                reservation_id: id(n),
                user_id: customer(n),
                epoch,
                expires_at: (!confirmed).then(|| at(until * 5)),
                attempt: attempt(n),
                period: timed.then(|| Period { from: at(until * 4), until: at(until * 4 + 300) }),
                confirmed,
            }
        ),
        (r(), epoch()).prop_map(move |(n, epoch)| Command::ConfirmReservation {
            reservation_id: id(n),
            epoch
        }),
        (r(), epoch()).prop_map(move |(n, epoch)| Command::Reacquire {
            reservation_id: id(n),
            user_id: customer(n),
            epoch,
            period: None,
        }),
        (r(), epoch(), 0..10usize).prop_map(move |(n, epoch, reason)| {
            use ReleaseReason as R;
            let reasons = [
                R::Expired,
                R::Cancelled,
                R::PaymentFailed,
                R::User,
                R::Refunded,
                R::LateRejected,
                R::Oversold,
                R::Completed,
                R::Refused,
                R::NoShow,
            ];
            let reason = reasons[reason];
            Command::ReleaseReservation { reservation_id: id(n), epoch, reason }
        }),
        (r(), 1..12u128, 1..3_000i64).prop_map(|(n, c, asked)| unlock(n, c, asked)),
        (r(), 1..12u128, 1..3_000i64).prop_map(|(n, c, asked)| lock(n, c, asked)),
        (1..12u128).prop_map(|c| Command::Secure { command_id: command(50 + c) }),
        r().prop_map(move |n| Command::StartTrip { reservation_id: id(n) }),
        (r(), 0..40_000u64, any::<bool>()).prop_map(move |(n, odometer_m, lock)| {
            Command::EndTrip { reservation_id: id(n), odometer_m, fuel_pct: 50, lock }
        }),
        (0..3u64, 0..30u64, prop::option::of(0..40_000u64), any::<Option<bool>>()).prop_map(
            |(boot, seq, odometer_m, is_locked)| Command::ReportTelemetry {
                telemetry: Telemetry { boot, seq, odometer_m, is_locked, ..Telemetry::default() },
                low_fuel: 15,
            }
        ),
        (0..3u64).prop_map(|boot| Command::ConnectionRestored { boot }),
        (0..3u64).prop_map(|boot| Command::ConnectionLost { last_seen: at(3), boot }),
        Just(Command::SetOutOfService { by: operator(), reason: "brakes".into() }),
        Just(Command::ReturnToService { by: operator() }),
        (1..12u128, 0..3usize).prop_map(|(c, why)| {
            let why = [IgnoredWhy::BadMac, IgnoredWhy::UnknownCommand, IgnoredWhy::Stale][why];
            Command::IgnoreAnswer { command_id: Some(command(c)), status: "?".into(), why }
        }),
        r().prop_map(move |n| Command::DropLapsed { reservation_id: id(n) }),
    ];
    (command, prop_oneof![4 => Just(0i64), 4 => 1..8i64, 1 => 8..60i64])
}

/// What the vehicle, or the unlock process, does about one of the commands that there were.
#[derive(Clone, Debug)]
enum Echo {
    Answers(prop::sample::Index, Answer, i64),
    Retries(prop::sample::Index, u8),
    TimesOut(prop::sample::Index),
    Asks(Box<Command>, i64),
}

fn echo() -> impl Strategy<Value = Echo> {
    let index = any::<prop::sample::Index>;
    let words =
        [Answer::Unlocked, Answer::Locked, Answer::Jammed, Answer::Rejected, Answer::Expired];
    prop_oneof![
        5 => asked().prop_map(|(command, wait)| Echo::Asks(Box::new(command), wait)),
        4 => (index(), 0..8usize, 0..30i64).prop_map(move |(which, word, wait)| {
            // Mostly what it was told to do.
            Echo::Answers(which, words.get(word).copied().unwrap_or(Answer::Unlocked), wait)
        }),
        2 => (index(), 2..4u8).prop_map(|(which, attempt)| Echo::Retries(which, attempt)),
        1 => index().prop_map(Echo::TimesOut),
    ]
}

/// What must hold of one decision, and of the state after it.
fn judge(before: &State, events: &[Event], after: &State, now: i64) -> Result<(), String> {
    let mut state = before.clone();
    for event in events {
        let next = {
            let mut next = state.clone();
            next.evolve(event);
            next
        };
        match event {
            // V2.
            Event::UnlockRequested { command_id, attempt, reservation_id, .. } => {
                let other = state.command().is_some_and(|it| it.command_id != *command_id);
                if other || (*attempt == 1 && state.command().is_some()) {
                    return Err("two commands at a time".into());
                }
                let assigned = state.reservation().map(|it| (it.reservation_id, it.confirmed));
                if *attempt == 1 && assigned != Some((*reservation_id, true)) {
                    return Err("an unlock for nobody".into());
                }
            }
            Event::LockRequested { command_id, attempt, .. } => {
                let other = state.command().is_some_and(|it| it.command_id != *command_id);
                if other || (*attempt == 1 && state.command().is_some()) {
                    return Err("two commands at a time".into());
                }
            }
            Event::Unlocked { reservation_id, accepted: true, .. } => {
                let assigned = state.reservation().map(|it| (it.reservation_id, it.confirmed));
                if assigned != Some((*reservation_id, true)) {
                    return Err("accepted for somebody who may not".into());
                }
            }
            // D31: taken back in one append, at once or after the command that is under way.
            Event::Unlocked { accepted: false, .. } => {
                let locking = after.command().is_some_and(|it| it.kind == CommandKind::Lock);
                let compensated =
                    events.iter().any(|it| matches!(it, Event::LateUnlockCompensated { .. }));
                if !compensated || !(locking || after.owed.is_some()) {
                    return Err("open for nobody, and no lock follows".into());
                }
            }
            // Who leaves it open is followed by a lock.
            // Only an unpaid claim may go like this: somebody else has found the vehicle open.
            Event::ReservationReleased { freed: true, .. }
                if !after.is_secured()
                    && after.command().is_none()
                    && after.owed.is_none()
                    && state.reservation().is_some_and(|it| it.confirmed) =>
            {
                return Err("left open, and no lock follows".into());
            }
            _ => {}
        }
        // V4.
        if next.odometer_m() < state.odometer_m() {
            return Err("the odometer fell".into());
        }
        state = next;
    }
    // V1.
    if after.claims.iter().count() > 1 {
        return Err("two reservations".into());
    }
    // V5.
    if after.rental() == Rental::Available && !after.is_secured() {
        return Err("available, and not known to be locked".into());
    }
    // A lock that is owed waits for a command, and for nothing else.
    if after.owed.is_some() && after.command().is_none() {
        return Err("a lock is owed and nothing is under way".into());
    }
    if after.trip.is_some() && after.reservation().is_none() {
        return Err("a trip of nobody".into());
    }
    if after.ended.len() > ENDED_KEPT || after.ignored.len() > 64 {
        return Err("it remembers too much".into());
    }
    let open = after.lock() == LockState::Unlocked || after.lock() == LockState::Unknown;
    let held = after.reservation().is_some_and(|it| it.confirmed);
    if open && after.is_offline() && held && after.reported() != Some(Reported::NonContactable) {
        return Err("out of reach, and not shown so".into());
    }
    let _ = now;
    Ok(())
}

proptest! {
    #![proptest_config(cases(1_500))]

    #[test]
    fn nobody_has_it_open_who_may_not(steps in prop::collection::vec(echo(), 1..80)) {
        let mut state = fleet();
        let mut now = 0;
        let mut sent: Vec<(Uuid, CommandKind)> = Vec::new();
        for step in steps {
            let nth = |which: &prop::sample::Index| {
                // Rather a late one: those are the ones that are awaited.
                sent.get(which.index(sent.len().max(1))).copied()
            };
            let command = match &step {
                Echo::Asks(command, wait) => {
                    now += wait;
                    Some((**command).clone())
                }
                Echo::Answers(which, word, wait) => {
                    now += wait / 6;
                    nth(which).map(|(id, kind)| {
                        let word = match (*word, kind) {
                            (Answer::Unlocked, CommandKind::Lock) => Answer::Locked,
                            (word, _) => word,
                        };
                        answer(id, kind, word)
                    })
                }
                Echo::Retries(which, attempt) => nth(which)
                    .map(|(command_id, _)| Command::RetryCommand { command_id, attempt: *attempt }),
                Echo::TimesOut(which) => nth(which).map(|(command_id, _)| timed_out(command_id)),
            };
            let Some(command) = command else { continue };
            // What customers ask for, they ask for now.
            let command = match command {
                Command::RequestUnlock { command_id, reservation_id, by, .. } => {
                    let deadline = at(now + 20);
                    Command::RequestUnlock { command_id, reservation_id, by, deadline }
                }
                Command::RequestLock { command_id, reservation_id, by, reason, .. } => {
                    let deadline = at(now + 20);
                    Command::RequestLock { command_id, reservation_id, by, deadline, reason }
                }
                other => other,
            };
            let Ok(events) = decide(&state, &command, now) else { continue };
            let mut after = state.clone();
            for event in &events {
                let was = after.clone();
                after.evolve(event);
                prop_assert!(after != was, "{event:?} changes nothing");
                match event {
                    Event::UnlockRequested { command_id, attempt: 1, .. } => {
                        sent.push((*command_id, CommandKind::Unlock));
                    }
                    Event::LockRequested { command_id, attempt: 1, .. } => {
                        sent.push((*command_id, CommandKind::Lock));
                    }
                    _ => {}
                }
            }
            if let Err(what) = judge(&state, &events, &after, now) {
                prop_assert!(false, "{what}: {command:?} at {now} gives {events:?} on {state:?}");
            }
            prop_assert_eq!(&kept(&after), &after, "as a snapshot keeps it");
            state = after;
        }
    }
}
