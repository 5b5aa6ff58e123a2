//! Scenarios of claims and their fence.

use super::testing::{at, reservation};
use super::*;

const ATTEMPT: AttemptId = AttemptId(Uuid::from_u128(1));
const WEEK: i64 = 7 * 86_400;

#[test]
fn a_tombstone_outlives_every_late_duplicate_and_is_then_forgotten() {
    let mut ledger = Ledger::<()>::default();
    ledger.fenced(reservation(1), 1);
    // The clock stood still for a month before this hold: the tombstone is as young as it.
    ledger.held(reservation(2), (), Some(at(30 * 86_400)), 1, Some(ATTEMPT));
    assert_eq!(ledger.last_epoch(&reservation(1)), 1);
    ledger.held(reservation(3), (), Some(at(30 * 86_400 + WEEK)), 1, Some(ATTEMPT));
    assert_eq!(ledger.last_epoch(&reservation(1)), 1);
    ledger.held(reservation(4), (), Some(at(31 * 86_400 + WEEK)), 1, Some(ATTEMPT));
    assert_eq!(ledger.last_epoch(&reservation(1)), 0);
    assert!(ledger.fence.is_empty());
}

#[test]
fn a_tombstone_that_was_raised_again_is_as_young_as_its_last_rise() {
    let mut ledger = Ledger::<()>::default();
    ledger.fenced(reservation(1), 1);
    ledger.held(reservation(2), (), Some(at(WEEK)), 1, Some(ATTEMPT));
    ledger.fenced(reservation(1), 2);
    ledger.held(reservation(3), (), Some(at(3 * WEEK)), 1, Some(ATTEMPT));
    assert_eq!(ledger.last_epoch(&reservation(1)), 2);
    ledger.held(reservation(4), (), Some(at(5 * WEEK)), 1, Some(ATTEMPT));
    assert_eq!(ledger.last_epoch(&reservation(1)), 0);
}

#[test]
fn a_paused_attempt_takes_off_only_its_own_name() {
    let retry = AttemptId(Uuid::from_u128(2));
    let mut ledger = Ledger::<()>::default();
    ledger.held(reservation(1), (), Some(at(10)), 1, Some(ATTEMPT));
    let raise = Take::Raise { expires_at: at(10), attempt: Some(retry) };
    assert_eq!(ledger.take(&reservation(1), 1, at(9), retry, at(1)), Ok(raise));
    ledger.raised(reservation(1), at(10), 1, Some(retry));
    assert_eq!(ledger.withdraw(&reservation(1), &ATTEMPT), Withdraw::Name);
    ledger.withdrawn(&reservation(1), &ATTEMPT);
    assert_eq!(ledger.withdraw(&reservation(1), &ATTEMPT), Withdraw::Already);
    assert_eq!(ledger.withdraw(&reservation(1), &retry), Withdraw::Last);
}

#[test]
fn a_deadline_is_raised_and_never_lowered() {
    let mut ledger = Ledger::<()>::default();
    ledger.held(reservation(1), (), Some(at(10)), 1, Some(ATTEMPT));
    ledger.raised(reservation(1), at(5), 1, None);
    assert_eq!(ledger.get(&reservation(1)).and_then(Claim::expires_at), Some(at(10)));
    assert_eq!(ledger.extend(&reservation(1), 1, at(7), at(1)), Ok(None));
    assert_eq!(ledger.extend(&reservation(1), 1, at(12), at(11)), Ok(Some(at(12))));
    assert_eq!(ledger.extend(&reservation(1), 1, at(12), at(12)), Err(No::TooLate));
    ledger.raised(reservation(1), at(12), 1, None);
    assert_eq!(ledger.lapsed(at(11)).count(), 0);
    assert_eq!(ledger.lapsed(at(12)).count(), 1);
}
