//! Scenarios of a pool: the races of DOMAIN.md D as one pool sees them, and the table's cells.

use super::{Command, Event, Refusal, ReleaseReason, State};
use crate::claim::testing::{ask, ask_once, at, attempt, reservation, user};
use crate::{Period, Sku};

fn id() -> Sku {
    Sku::new("mug").expect("a sku")
}

fn pool(total: u32) -> State {
    let mut state = State::default();
    let receive = Command::Receive { qty: total, by: user("olga") };
    ask_once(&mut state, &id(), &receive, at(0)).expect("received");
    state
}

fn hold(number: u128, qty: u32, until: i64) -> Command {
    Command::Hold {
        reservation_id: reservation(number),
        qty,
        expires_at: at(until),
        epoch: 1,
        attempt: attempt(number),
        period: None,
    }
}

fn rent(number: u128, from: i64, until: i64) -> Command {
    Command::Hold {
        reservation_id: reservation(number),
        qty: 1,
        expires_at: at(1_000),
        epoch: 1,
        attempt: attempt(number),
        period: Some(Period { from: at(from), until: at(until) }),
    }
}

fn release(number: u128, epoch: u32, reason: ReleaseReason) -> Command {
    Command::Release { reservation_id: reservation(number), epoch, reason }
}

fn reacquire(number: u128, qty: u32, epoch: u32) -> Command {
    Command::Reacquire { reservation_id: reservation(number), qty, epoch, period: None }
}

fn commit(number: u128, epoch: u32) -> Command {
    Command::Commit { reservation_id: reservation(number), epoch }
}

fn consume(number: u128, epoch: u32) -> Command {
    Command::Consume { reservation_id: reservation(number), epoch }
}

#[track_caller]
fn yes(state: &mut State, command: &Command, now: i64) -> Vec<Event> {
    ask(state, &id(), command, at(now)).expect("accepted")
}

#[track_caller]
fn no(state: &mut State, command: &Command, now: i64) -> Refusal {
    ask(state, &id(), command, at(now)).expect_err("refused")
}

#[test]
fn last_unit() {
    // D14: a thousand customers, one unit: one hold, and everybody else is told that none is left.
    let mut state = pool(1);
    let mut holds = 0;
    for number in 1..=1_000 {
        match ask(&mut state, &id(), &hold(number, 1, 900), at(1)) {
            Ok(_) => holds += 1,
            Err(refusal) => {
                assert_eq!(refusal, Refusal::OutOfStock { requested: 1, available: 0 });
            }
        }
    }
    assert_eq!((holds, state.held(), state.available()), (1, 1, 0));
}

#[test]
fn stale_release_is_inert() {
    // D3: the release of epoch 1 comes when late money has already taken the unit again.
    let mut state = pool(1);
    yes(&mut state, &hold(1, 1, 10), 0);
    yes(&mut state, &reacquire(1, 1, 2), 11);
    let events = yes(&mut state, &release(1, 1, ReleaseReason::Expired), 12);
    assert!(matches!(events[..], [Event::Released { qty: 0, epoch: Some(1), .. }]));
    assert_eq!(state.committed(), 1);
    assert_eq!(
        no(&mut state, &hold(2, 1, 900), 13),
        Refusal::OutOfStock { requested: 1, available: 0 }
    );
    yes(&mut state, &release(1, 2, ReleaseReason::LateRejected), 14);
    assert_eq!(state.available(), 1);
}

#[test]
fn without_the_epoch_on_the_release_the_unit_would_be_sold_twice() {
    // The twin of `stale_release_is_inert`: a release that names the newest epoch, as one without an
    // epoch would.
    let mut state = pool(1);
    yes(&mut state, &hold(1, 1, 10), 0);
    yes(&mut state, &reacquire(1, 1, 2), 11);
    yes(&mut state, &release(1, 2, ReleaseReason::Cancelled), 12);
    yes(&mut state, &hold(2, 1, 900), 13);
}

#[test]
fn shared_pool_lines() {
    // D15: two lines of one pool are asked for as one claim; line by line the second would come as a
    // repeat of the first, and both would be served with one unit.
    let mut state = pool(3);
    assert_eq!(
        no(&mut state, &hold(1, 2 + 2, 900), 1),
        Refusal::OutOfStock { requested: 4, available: 3 }
    );
    yes(&mut state, &hold(1, 2, 900), 1);
    assert_eq!(no(&mut state, &hold(1, 1, 900), 1), Refusal::OtherQuantity { claimed: 2 });
    assert_eq!(state.held(), 2);
}

#[test]
fn sweep_and_lazy() {
    // D24: the timer and the next taker both end a lapsed claim; whoever comes second changes nothing.
    let drop_lapsed = Command::DropLapsed { reservation_id: reservation(1) };
    let mut state = pool(1);
    yes(&mut state, &hold(1, 1, 10), 0);
    assert_eq!(yes(&mut state, &drop_lapsed, 9), vec![]);
    let taken = yes(&mut state, &hold(2, 1, 90), 10);
    assert!(matches!(
        taken[..],
        [
            Event::Released { qty: 1, reason: ReleaseReason::Expired, epoch: None, .. },
            Event::Held { qty: 1, remaining: 0, .. }
        ]
    ));
    assert_eq!(yes(&mut state, &drop_lapsed, 11), vec![]);

    let mut swept = pool(1);
    yes(&mut swept, &hold(1, 1, 10), 0);
    assert_eq!(yes(&mut swept, &drop_lapsed, 10).len(), 1);
    assert_eq!(yes(&mut swept, &hold(2, 1, 90), 10).len(), 1);
}

#[test]
fn a_lapsed_claim_that_is_not_in_the_way_is_left_alone_and_can_still_be_paid() {
    let mut state = pool(2);
    yes(&mut state, &hold(1, 1, 10), 0);
    assert_eq!(yes(&mut state, &hold(2, 1, 90), 20).len(), 1);
    assert_eq!(yes(&mut state, &commit(1, 1), 30).len(), 1);
}

#[test]
fn shrink() {
    // D26: the total is lowered below what is claimed: told, no new claims, the old ones stay.
    let mut state = pool(5);
    yes(&mut state, &hold(1, 4, 900), 1);
    let adjust = |delta| Command::Adjust { delta, reason: "count".into(), by: user("olga") };
    let events = ask_once(&mut state, &id(), &adjust(-3), at(2)).expect("accepted");
    assert!(matches!(
        events[..],
        [Event::Adjusted { delta: -3, .. }, Event::OversubscriptionDetected { by: 2 }]
    ));
    assert_eq!((state.total(), state.reserved(), state.available()), (2, 4, 0));
    assert_eq!(
        no(&mut state, &hold(2, 1, 900), 3),
        Refusal::OutOfStock { requested: 1, available: 0 }
    );
    yes(&mut state, &consume(1, 1), 4);
    assert_eq!(state.total(), 0, "four of two were sold");
    let back = Command::Return {
        reservation_id: reservation(1),
        epoch: 1,
        reason: ReleaseReason::Cancelled,
    };
    yes(&mut state, &back, 5);
    assert_eq!(state.total(), 2, "and came back");
    assert_eq!(ask_once(&mut state, &id(), &adjust(-3), at(6)), Err(Refusal::Total));
}

#[test]
fn a_release_without_a_claim_still_raises_the_fence() {
    let mut state = pool(1);
    let events = yes(&mut state, &release(1, 2, ReleaseReason::LateRejected), 1);
    assert!(matches!(events[..], [Event::Released { qty: 0, epoch: Some(2), .. }]));
    assert_eq!(no(&mut state, &reacquire(1, 1, 2), 2), Refusal::StaleEpoch);
    assert_eq!(no(&mut state, &hold(1, 1, 900), 2), Refusal::StaleEpoch);
    assert_eq!(yes(&mut state, &release(1, 1, ReleaseReason::Expired), 3), vec![]);
    yes(&mut state, &reacquire(1, 1, 3), 4);
}

#[test]
fn a_retry_raises_the_deadline_and_a_late_hold_is_refused() {
    let mut state = pool(1);
    yes(&mut state, &hold(1, 1, 10), 0);
    yes(&mut state, &hold(1, 1, 20), 5);
    assert_eq!(yes(&mut state, &hold(1, 1, 15), 5), vec![]);
    let claim = state.claim(&reservation(1)).expect("held");
    assert_eq!(claim.expires_at(), Some(at(20)));
    assert_eq!(no(&mut state, &hold(2, 1, 5), 5), Refusal::TooLate);
}

#[test]
fn a_withdrawal_leaves_no_fence_and_spares_other_attempts() {
    let mut state = pool(1);
    let as_attempt = |name| Command::Hold {
        reservation_id: reservation(1),
        qty: 1,
        expires_at: at(90),
        epoch: 1,
        attempt: attempt(name),
        period: None,
    };
    let withdraw =
        |name| Command::Withdraw { reservation_id: reservation(1), attempt: attempt(name) };
    yes(&mut state, &as_attempt(1), 0);
    yes(&mut state, &as_attempt(2), 0);
    assert_eq!(
        yes(&mut state, &withdraw(1), 1),
        [Event::AttemptWithdrawn { reservation_id: reservation(1), attempt: attempt(1) }]
    );
    assert!(matches!(
        yes(&mut state, &withdraw(2), 2)[..],
        [Event::Released { qty: 1, reason: ReleaseReason::Refused, epoch: None, .. }]
    ));
    yes(&mut state, &as_attempt(3), 3);
    yes(&mut state, &commit(1, 1), 4);
    assert_eq!(yes(&mut state, &withdraw(3), 5), vec![]);
}

#[test]
fn what_is_paid_for_is_consumed_once_and_comes_back_once() {
    let mut state = pool(3);
    yes(&mut state, &hold(1, 2, 90), 0);
    let events = yes(&mut state, &consume(1, 1), 1);
    assert!(matches!(events[..], [Event::Locked { qty: 2, .. }, Event::Sold { qty: 2, .. }]));
    assert_eq!((state.total(), state.reserved(), state.available()), (1, 0, 1));
    assert_eq!(yes(&mut state, &commit(1, 1), 2), vec![]);
    yes(&mut state, &release(1, 1, ReleaseReason::Cancelled), 2);
    assert_eq!(state.total(), 1, "a release does not bring back what was sold");
    assert_eq!(no(&mut state, &hold(1, 2, 90), 3), Refusal::StaleEpoch);
    assert_eq!(no(&mut state, &reacquire(1, 2, 2), 3), Refusal::StaleEpoch);
    let back = Command::Return {
        reservation_id: reservation(1),
        epoch: 1,
        reason: ReleaseReason::Cancelled,
    };
    yes(&mut state, &back, 4);
    assert_eq!((state.total(), state.available()), (3, 3));
    assert_eq!(no(&mut state, &consume(1, 1), 5), Refusal::NoClaim);
}

#[test]
fn a_commit_needs_the_exact_epoch() {
    let mut state = pool(1);
    assert_eq!(no(&mut state, &commit(1, 1), 0), Refusal::NoClaim);
    yes(&mut state, &hold(1, 1, 10), 0);
    assert_eq!(no(&mut state, &commit(1, 2), 1), Refusal::NoClaim);
    yes(&mut state, &commit(1, 1), 20);
    for reason in [ReleaseReason::Expired, ReleaseReason::PaymentFailed, ReleaseReason::User] {
        yes(&mut state, &release(1, 1, reason), 21);
        assert_eq!(state.committed(), 1, "{reason:?} does not end what is paid for");
    }
}

#[test]
fn an_extension_needs_a_live_claim_of_that_epoch() {
    let mut state = pool(1);
    let extend = |epoch, until| Command::Extend {
        reservation_id: reservation(1),
        expires_at: at(until),
        epoch,
    };
    assert_eq!(no(&mut state, &extend(1, 90), 0), Refusal::NoClaim);
    yes(&mut state, &hold(1, 1, 10), 0);
    assert_eq!(no(&mut state, &extend(2, 90), 1), Refusal::NoClaim);
    assert_eq!(yes(&mut state, &extend(1, 5), 1), vec![]);
    assert_eq!(yes(&mut state, &extend(1, 90), 1).len(), 1);
    assert_eq!(no(&mut state, &extend(1, 95), 99), Refusal::TooLate);
}

#[test]
fn closed_sales_take_no_new_claim_but_know_their_own() {
    let mut state = pool(2);
    yes(&mut state, &hold(1, 1, 90), 0);
    assert_eq!(yes(&mut state, &Command::SetSales { open: false }, 1), [Event::Closed]);
    assert_eq!(no(&mut state, &hold(2, 1, 90), 2), Refusal::SalesClosed);
    yes(&mut state, &hold(1, 1, 95), 2);
    yes(&mut state, &reacquire(3, 1, 2), 2);
    assert_eq!(yes(&mut state, &Command::SetSales { open: true }, 3), [Event::Opened]);
}

#[test]
fn back_to_back_rentals_share_one_vehicle_and_one_across_needs_another() {
    let mut state = pool(1);
    yes(&mut state, &rent(1, 10, 12), 0);
    yes(&mut state, &rent(2, 12, 14), 0);
    let none = Refusal::OutOfStock { requested: 1, available: 0 };
    assert_eq!(no(&mut state, &rent(3, 11, 13), 0), none);
    assert_eq!(no(&mut state, &hold(4, 1, 900), 0), none);
    let period = |from, until| Period { from: at(from), until: at(until) };
    assert_eq!(state.available_in(period(14, 20)), 1);
    assert_eq!(state.available_in(period(13, 15)), 0);
    // Once both rentals are over, a walk-up customer gets the vehicle although their claims still lie
    // there.
    yes(&mut state, &hold(5, 1, 900), 14);
}

#[test]
fn a_lapsed_rental_goes_only_when_it_is_in_the_way() {
    let mut state = pool(1);
    yes(&mut state, &rent(1, 2_000, 3_000), 0);
    yes(&mut state, &rent(2, 4_000, 5_000), 0);
    let again = |number, from, until| Command::Hold {
        reservation_id: reservation(number),
        qty: 1,
        expires_at: at(1_900),
        epoch: 1,
        attempt: attempt(number),
        period: Some(Period { from: at(from), until: at(until) }),
    };
    let events = yes(&mut state, &again(3, 4_500, 4_600), 1_500);
    assert_eq!(events.len(), 2);
    assert!(state.claim(&reservation(1)).is_some() && state.claim(&reservation(2)).is_none());
}

#[test]
fn wrong_quantities_and_periods_are_refused() {
    let mut state = pool(1);
    assert_eq!(no(&mut state, &hold(1, 0, 90), 0), Refusal::ZeroQuantity);
    assert!(matches!(no(&mut state, &rent(1, 5, 5), 0), Refusal::Period(_)));
    assert!(matches!(no(&mut state, &rent(1, 0, 367 * 86_400), 0), Refusal::Period(_)));
    let much = Command::Receive { qty: u32::MAX, by: user("olga") };
    assert_eq!(no(&mut state, &much, 0), Refusal::Total);
}
