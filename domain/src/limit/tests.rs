//! Scenarios of a limit.

use super::{Command, Event, Refusal, State};
use crate::LimitId;
use crate::claim::testing::{ask, at, attempt, reservation};
use crate::seatmap::ReleaseReason;

fn id() -> LimitId {
    "tickets/anna".parse().expect("a limit's id")
}

fn take(number: u128, qty: u32, max: u32, until: i64) -> Command {
    Command::Take {
        reservation_id: reservation(number),
        qty,
        max,
        expires_at: at(until),
        epoch: 1,
        attempt: attempt(number),
    }
}

fn release(number: u128, epoch: u32, reason: ReleaseReason) -> Command {
    Command::Release { reservation_id: reservation(number), epoch, reason }
}

#[test]
fn limit_parallel() {
    // D25: what one customer orders in parallel reaches one stream, one after another.
    let mut limit = State::default();
    let mut kept = 0;
    for number in 1..=100 {
        match ask(&mut limit, &id(), &take(number, 3, 10, 900), at(0)) {
            Ok(_) => kept += 3,
            Err(refusal) => {
                assert_eq!(refusal, Refusal::LimitExceeded { max: 10, already: 9 });
            }
        }
    }
    assert_eq!((kept, limit.taken()), (9, 9));
}

#[test]
fn what_has_lapsed_makes_room_only_when_it_is_needed() {
    let mut limit = State::default();
    ask(&mut limit, &id(), &take(1, 2, 4, 10), at(0)).expect("room");
    let none_needed = ask(&mut limit, &id(), &take(2, 2, 4, 90), at(20)).expect("room");
    assert_eq!(none_needed.len(), 1);
    let one_needed = ask(&mut limit, &id(), &take(3, 1, 4, 90), at(20)).expect("lapsed");
    assert!(matches!(
        one_needed[..],
        [
            Event::Released { qty: 2, reason: ReleaseReason::Expired, epoch: None, .. },
            Event::Taken { qty: 1, .. }
        ]
    ));
    assert_eq!(limit.taken(), 3);
}

#[test]
fn what_was_bought_counts_for_good_and_comes_back_only_by_a_fact_that_ends_it() {
    let mut limit = State::default();
    ask(&mut limit, &id(), &take(1, 2, 2, 10), at(0)).expect("room");
    let keep = Command::Keep { reservation_id: reservation(1), epoch: 1 };
    ask(&mut limit, &id(), &keep, at(20)).expect("lapsed, but nobody took it");
    let full = Refusal::LimitExceeded { max: 2, already: 2 };
    assert_eq!(ask(&mut limit, &id(), &take(2, 1, 2, 90), at(30)), Err(full));
    ask(&mut limit, &id(), &release(1, 1, ReleaseReason::Expired), at(30)).expect("a fence");
    assert_eq!(limit.taken(), 2);
    ask(&mut limit, &id(), &release(1, 1, ReleaseReason::Cancelled), at(30)).expect("freed");
    assert_eq!(limit.taken(), 0);
    assert_eq!(ask(&mut limit, &id(), &take(1, 1, 2, 90), at(30)), Err(Refusal::StaleEpoch));
}

#[test]
fn late_money_takes_the_limit_again_if_it_still_fits() {
    let mut limit = State::default();
    let again = |number, epoch| Command::Reacquire {
        reservation_id: reservation(number),
        qty: 2,
        max: 3,
        epoch,
    };
    ask(&mut limit, &id(), &take(1, 2, 3, 10), at(0)).expect("room");
    ask(&mut limit, &id(), &release(1, 1, ReleaseReason::Expired), at(11)).expect("freed");
    ask(&mut limit, &id(), &again(1, 2), at(12)).expect("room");
    ask(&mut limit, &id(), &release(1, 1, ReleaseReason::Cancelled), at(13)).expect("too old");
    assert_eq!(limit.taken(), 2);
    let full = Refusal::LimitExceeded { max: 3, already: 2 };
    assert_eq!(ask(&mut limit, &id(), &again(2, 2), at(14)), Err(full));
}
