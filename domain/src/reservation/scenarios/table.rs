//! DOMAIN.md C.2, cell by cell: one test for each row of its table.

use super::*;
use Reacquired::{Refused, Taken};

#[test]
fn what_does_not_exist_answers_not_found_and_has_nothing_to_expire() {
    row(
        &State::default(),
        &[
            (0, place(), "HoldCreated"),
            (0, request(), "E:NotFound"),
            (0, confirm(1), "E:NotFound"),
            (0, decline(1), "E:NotFound"),
            (0, lose_money(1), "E:NotFound"),
            (LATE, expire(1), "idem"),
            (0, cancel(), "E:NotFound"),
            (0, extend(1_000), "E:NotFound"),
            (0, reacquired(2, Taken), "E:NotFound"),
            (0, lose_claim(1), "E:NotFound"),
            (0, finalize(1), "E:NotFound"),
            (0, start(), "E:NotFound"),
            (0, complete(), "E:NotFound"),
        ],
    );
}

#[test]
fn a_hold_may_be_paid_until_its_deadline() {
    row(
        &hold(),
        &[
            (1, place(), "idem"),
            (IN_TIME, request(), "PaymentRequested"),
            (IN_TIME, request_until(Some(at(1_500))), "HoldExtended + PaymentRequested"),
            (LATE, request(), "E:HoldExpired"),
            (IN_TIME, confirm(1), "Confirmed"),
            (LATE, confirm(1), "HoldExpired + LatePaymentReceived"),
            (IN_TIME, decline(1), "idem"),
            (IN_TIME, lose_money(1), "MoneyLost"),
            (IN_TIME, expire(1), "E:NotDue"),
            (LATE, expire(1), "HoldExpired"),
            (LATE, expire(2), "E:NotDue"),
            (IN_TIME, cancel(), "Cancelled"),
            (LATE, cancel(), "Cancelled"),
            (IN_TIME, extend(1_000), "HoldExtended"),
            (IN_TIME, extend(HOLD_SECS), "idem"),
            (IN_TIME, extend(CAP_SECS + 1), "E:BeyondCap"),
            (LATE, extend(1_000), "E:HoldExpired"),
            (1, reacquired(1, Taken), "idem"),
            (1, lose_claim(1), "idem"),
            (1, finalize(1), "idem"),
            (1, start(), "E:NotConfirmed"),
            (1, complete(), "E:NotConfirmed"),
            (1, complete_without_unlock(), "E:NotConfirmed"),
        ],
    );
}

#[test]
fn a_payment_that_is_under_way_confirms_in_time_and_blocks_another() {
    row(
        &awaiting(),
        &[
            (11, place(), "idem"),
            (IN_TIME, request(), "E:PaymentInProgress"),
            (LATE, request(), "E:HoldExpired"),
            (IN_TIME, confirm(1), "Confirmed"),
            (LATE, confirm(1), "HoldExpired + LatePaymentReceived"),
            (IN_TIME, decline(1), "HoldReleased"),
            (IN_TIME, decline(7), "idem"),
            (IN_TIME, lose_money(1), "MoneyLost + HoldReleased"),
            (IN_TIME, lose_money(7), "MoneyLost"),
            (IN_TIME, expire(1), "E:NotDue"),
            (LATE, expire(1), "HoldExpired"),
            (LATE, expire(2), "E:NotDue"),
            (IN_TIME, cancel(), "Cancelled"),
            (IN_TIME, extend(1_000), "HoldExtended"),
            (LATE, extend(1_000), "E:HoldExpired"),
            (11, reacquired(1, Refused), "idem"),
            (11, lose_claim(1), "idem"),
            (11, finalize(1), "idem"),
            (11, start(), "E:NotConfirmed"),
            (11, complete(), "E:NotConfirmed"),
        ],
    );
}

#[test]
fn a_kept_hold_survives_a_decline_and_takes_a_second_attempt() {
    let policies = Policies { on_decline: OnDecline::KeepHold, ..Policies::default() };
    row(
        &awaiting_with(policies),
        &[
            (IN_TIME, decline(1), "PaymentDeclined"),
            (IN_TIME, decline(2), "idem"),
            (IN_TIME, lose_money(1), "MoneyLost"),
        ],
    );
    let history = [(0, place_with(policies)), (10, request()), (20, decline(1))];
    let declined = given(&history);
    row(
        &declined,
        &[
            (30, decline(1), "idem"),
            (30, request(), "PaymentRequested"),
            (LATE, request(), "E:HoldExpired"),
            // A declined intent may be paid after all.
            (30, confirm(1), "Confirmed"),
        ],
    );
    let second = ask(&declined, 30, &request()).unwrap();
    assert!(matches!(second[0], Event::PaymentRequested { attempt: 2, .. }), "{second:?}");
}

#[test]
fn late_money_that_the_policy_refuses_goes_back_at_once() {
    let policies = Policies { late_payment: LatePayment::Refund, ..Policies::default() };
    row(&awaiting_with(policies), &[(LATE, confirm(1), "HoldExpired + LatePaymentRejected")]);
    let history = [(0, place_with(policies)), (10, request()), (LATE, expire(1))];
    row(&given(&history), &[(LATE, confirm(1), "LatePaymentRejected")]);
}

#[test]
fn while_everything_is_taken_again_only_its_outcome_or_a_cancellation_counts() {
    row(
        &reacquiring(),
        &[
            (1_001, place(), "idem"),
            (1_001, request(), "E:Reacquiring"),
            (1_001, confirm(1), "idem"),
            (1_001, confirm(2), "E:DuplicatePayment"),
            (1_001, decline(1), "idem"),
            (1_001, lose_money(1), "LatePaymentRejected"),
            (1_001, lose_money(2), "MoneyLost"),
            (1_001, expire(1), "idem"),
            (1_001, expire(2), "idem"),
            (1_001, cancel(), "Cancelled"),
            (1_001, extend(2_000), "E:Reacquiring"),
            (1_001, reacquired(2, Taken), "LatePaymentAccepted"),
            (1_001, reacquired(2, Refused), "LatePaymentRejected"),
            (1_001, reacquired(1, Taken), "idem"),
            (1_001, reacquired(3, Refused), "idem"),
            (1_001, lose_claim(2), "idem"),
            (1_001, finalize(2), "idem"),
            (1_001, start(), "E:Reacquiring"),
            (1_001, complete(), "E:Reacquiring"),
        ],
    );
}

#[test]
fn a_confirmed_reservation_is_neither_expired_nor_paid_twice() {
    row(
        &confirmed(),
        &[
            (30, place(), "idem"),
            (30, request(), "E:AlreadyPaid"),
            (30, confirm(1), "idem"),
            (30, confirm(2), "E:DuplicatePayment"),
            (30, decline(1), "idem"),
            (30, lose_money(1), "Cancelled"),
            (30, lose_money(2), "idem"),
            (LATE, expire(1), "idem"),
            (30, cancel(), "Cancelled"),
            (30, extend(2_000), "E:AlreadyPaid"),
            (30, reacquired(1, Refused), "idem"),
            (30, lose_claim(1), "ClaimsLost"),
            (30, lose_claim(2), "idem"),
            (30, finalize(1), "Finalized"),
            (30, finalize(2), "idem"),
            (30, start(), "RentalStarted"),
            (30, complete(), "E:NotStarted"),
            (30, complete_without_unlock(), "RentalStarted + RentalCompleted"),
        ],
    );
}

#[test]
fn confirmed_claims_that_are_gone_are_taken_again_once_and_decided_once() {
    let state = claims_lost();
    row(
        &state,
        &[
            (30, lose_claim(1), "idem"),
            (30, lose_claim(2), "idem"),
            (30, finalize(1), "idem"),
            (30, finalize(2), "idem"),
            (30, reacquired(1, Taken), "idem"),
            (30, reacquired(2, Taken), "ClaimsRetaken"),
            (30, reacquired(2, Refused), "Cancelled"),
            (30, cancel(), "Cancelled"),
            (30, lose_money(1), "Cancelled"),
            (30, start(), "E:Reacquiring"),
            (30, complete_without_unlock(), "E:Reacquiring"),
        ],
    );
    let oversold = ask(&state, 30, &reacquired(2, Refused)).unwrap();
    assert!(
        matches!(&oversold[..], [Event::Cancelled { reason: CancelReason::Oversold, .. }]),
        "{oversold:?}"
    );
    let retaken = given(&[
        (0, place()),
        (10, request()),
        (20, confirm(1)),
        (21, lose_claim(1)),
        (22, reacquired(2, Taken)),
    ]);
    row(
        &retaken,
        &[
            (30, reacquired(2, Refused), "idem"),
            (30, finalize(1), "idem"),
            (30, finalize(2), "Finalized"),
            (30, lose_claim(2), "ClaimsLost"),
        ],
    );
}

#[test]
fn what_is_finalized_loses_no_claims_any_more() {
    row(
        &finalized(),
        &[
            (30, finalize(1), "idem"),
            (30, lose_claim(1), "idem"),
            (30, reacquired(2, Refused), "idem"),
            (30, cancel(), "Cancelled"),
            (30, lose_money(1), "Cancelled"),
        ],
    );
}

#[test]
fn a_rental_that_is_under_way_can_only_be_completed() {
    row(
        &in_use(),
        &[
            (2_000, place(), "idem"),
            (2_000, request(), "E:AlreadyPaid"),
            (2_000, confirm(1), "idem"),
            (2_000, confirm(2), "E:DuplicatePayment"),
            (2_000, decline(1), "idem"),
            (2_000, lose_money(1), "E:InUse"),
            (2_000, lose_money(2), "idem"),
            (2_000, expire(1), "idem"),
            (2_000, cancel(), "E:InUse"),
            (2_000, extend(3_000), "E:AlreadyPaid"),
            (2_000, reacquired(1, Refused), "idem"),
            (2_000, lose_claim(1), "idem"),
            (2_000, finalize(1), "idem"),
            (2_000, start(), "idem"),
            (2_000, complete(), "RentalCompleted"),
            (2_000, complete_without_unlock(), "RentalCompleted"),
        ],
    );
}

#[test]
fn a_rental_may_start_before_the_last_claim_is_committed() {
    let state = given(&[(0, place()), (10, request()), (20, confirm(1)), (30, start())]);
    row(&state, &[(31, finalize(1), "Finalized"), (31, lose_claim(1), "idem")]);
}

#[test]
fn an_ended_hold_only_looks_at_late_money() {
    for state in [expired(), failed()] {
        row(
            &state,
            &[
                (1_000, place(), "idem"),
                (1_000, request(), "E:HoldExpired"),
                (1_000, confirm(1), "LatePaymentReceived"),
                (1_000, decline(1), "idem"),
                (1_000, lose_money(1), "MoneyLost"),
                (1_000, expire(1), "idem"),
                (1_000, cancel(), "idem"),
                (1_000, extend(2_000), "E:HoldExpired"),
                (1_000, reacquired(1, Taken), "idem"),
                (1_000, reacquired(2, Taken), "idem"),
                (1_000, lose_claim(1), "idem"),
                (1_000, finalize(1), "idem"),
                (1_000, start(), "E:NotConfirmed"),
                (1_000, complete(), "E:HoldExpired"),
            ],
        );
    }
}

#[test]
fn a_cancelled_reservation_is_never_resurrected() {
    let cells = |confirm_1, lose_1| {
        [
            (1_000, place(), "idem"),
            (1_000, request(), "E:Cancelled"),
            (1_000, confirm(1), confirm_1),
            (1_000, confirm(2), "LatePaymentRejected"),
            (1_000, decline(1), "idem"),
            (1_000, lose_money(1), lose_1),
            (1_000, expire(1), "idem"),
            (1_000, cancel(), "idem"),
            (1_000, extend(2_000), "E:Cancelled"),
            (1_000, reacquired(1, Taken), "idem"),
            (1_000, lose_claim(1), "idem"),
            (1_000, finalize(1), "idem"),
            (1_000, start(), "E:Cancelled"),
            (1_000, complete(), "E:Cancelled"),
        ]
    };
    row(&cancelled_while_paying(), &cells("LatePaymentRejected", "idem"));
    // What had confirmed it went back with the cancellation, which also says how much of it.
    row(&cancelled_after_confirmation(), &cells("idem", "idem"));
}

#[test]
fn a_rental_that_is_over_stays_as_it_is() {
    row(
        &completed(),
        &[
            (9_000, place(), "idem"),
            (9_000, request(), "E:AlreadyPaid"),
            (9_000, confirm(1), "idem"),
            (9_000, confirm(2), "E:DuplicatePayment"),
            (9_000, decline(1), "idem"),
            (9_000, lose_money(1), "E:Completed"),
            (9_000, lose_money(2), "idem"),
            (9_000, expire(1), "idem"),
            (9_000, cancel(), "E:Completed"),
            (9_000, extend(9_900), "E:Completed"),
            (9_000, reacquired(1, Taken), "idem"),
            (9_000, lose_claim(1), "idem"),
            (9_000, finalize(1), "idem"),
            (9_000, start(), "E:Completed"),
            (9_000, complete(), "idem"),
        ],
    );
}

#[test]
fn the_saga_is_named_as_the_second_diagram_names_it() {
    let names = [
        (State::default(), "NONE"),
        (hold(), "HELD"),
        (awaiting(), "PAYMENT_PENDING"),
        (reacquiring(), "FINALIZING"),
        (confirmed(), "PAYMENT_COMPLETED"),
        (claims_lost(), "PAYMENT_COMPLETED"),
        (finalized(), "DONE"),
        (in_use(), "DONE"),
        (completed(), "DONE"),
        (expired(), "COMPENSATED"),
        (failed(), "COMPENSATED"),
        (cancelled_while_paying(), "COMPENSATED"),
    ];
    for (state, name) in names {
        assert_eq!(state.saga_state(), name, "{:?}", state.status);
    }
}

#[test]
fn the_customers_version_counts_what_customers_notice() {
    let versions = [
        (hold(), 1),
        (awaiting(), 1),
        (confirmed(), 2),
        (finalized(), 2),
        (in_use(), 2),
        (completed(), 3),
        (expired(), 2),
        (failed(), 2),
        (reacquiring(), 2),
        (cancelled_while_paying(), 2),
        (cancelled_after_confirmation(), 3),
    ];
    for (state, version) in versions {
        assert_eq!(state.version(), version, "{:?}", state.status);
    }
}
