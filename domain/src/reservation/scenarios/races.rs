//! The races of DOMAIN.md D, as far as the reservation's own stream decides them.

use super::*;
use Reacquired::{Refused, Taken};

/// Who may see it.
fn stranger() -> By {
    By::Owner(UserId::new("mallory").unwrap())
}

/// D1.
#[test]
fn late_payment_reacquires() {
    let state = reacquiring();
    assert_eq!((state.claim_epoch, state.late), (2, Some(attempt(1))));
    let accepted = given(&[
        (0, place()),
        (10, request()),
        (LATE, expire(1)),
        (1_000, confirm(1)),
        (1_001, reacquired(2, Taken)),
    ]);
    assert_eq!((accepted.status, accepted.paid_by), (Status::Confirmed, Some(attempt(1))));
    assert_eq!((accepted.hold_expires_at, accepted.late), (None, None));
    row(
        &accepted,
        &[
            (1_002, confirm(1), "idem"),
            (1_002, reacquired(2, Refused), "idem"),
            (1_002, finalize(2), "Finalized"),
            (1_002, finalize(1), "idem"),
        ],
    );
}

/// D2. A second success of the same money finds it decided: once it went back, no seat for nothing.
#[test]
fn late_payment_refunds() {
    for (ended, status) in
        [((LATE, expire(1)), Status::HoldExpired), ((20, decline(1)), Status::HoldFailed)]
    {
        let rejected = given(&[
            (0, place()),
            (10, request()),
            ended,
            (1_000, confirm(1)),
            (1_001, reacquired(2, Refused)),
        ]);
        assert_eq!((rejected.status, rejected.late), (status, None));
        row(
            &rejected,
            &[
                (1_002, confirm(1), "idem"),
                (1_002, reacquired(2, Taken), "idem"),
                (1_002, lose_money(1), "idem"),
                (1_002, confirm(2), "LatePaymentReceived"),
            ],
        );
    }
}

/// D3, this stream's part: what an old epoch's owner still has to say is not heard.
#[test]
fn stale_epochs_are_not_heard() {
    let accepted = given(&[
        (0, place()),
        (10, request()),
        (LATE, expire(1)),
        (1_000, confirm(1)),
        (1_001, reacquired(2, Taken)),
    ]);
    row(
        &accepted,
        &[(1_002, lose_claim(1), "idem"), (1_002, finalize(1), "idem"), (9_000, expire(1), "idem")],
    );
}

/// D4: whichever is recorded first wins, and the other decides anew on what is there.
#[test]
fn expire_confirm_linearizable() {
    row(&expired(), &[(LATE, confirm(1), "LatePaymentReceived")]);
    row(&confirmed(), &[(LATE, expire(1), "idem")]);
    // At the deadline itself ConfirmPaid comes too late, even when it comes first.
    row(
        &awaiting(),
        &[
            (IN_TIME, confirm(1), "Confirmed"),
            (LATE, confirm(1), "HoldExpired + LatePaymentReceived"),
            (LATE, expire(1), "HoldExpired"),
        ],
    );
}

/// D7, this stream's part.
#[test]
fn stale_decline() {
    let policies = Policies { on_decline: OnDecline::KeepHold, ..Policies::default() };
    let second =
        given(&[(0, place_with(policies)), (10, request()), (20, decline(1)), (30, request())]);
    row(
        &second,
        &[
            (31, decline(1), "idem"),
            (31, request(), "E:PaymentInProgress"),
            (31, confirm(2), "Confirmed"),
        ],
    );
    row(&confirmed(), &[(31, decline(1), "idem")]);
}

/// D8.
#[test]
fn cancel_while_paying() {
    let state = cancelled_while_paying();
    let late = ask(&state, 30, &confirm(1)).unwrap();
    let [Event::LatePaymentRejected { attempt: 1, reason: LateReason::Cancelled, .. }] = &late[..]
    else {
        panic!("{late:?}")
    };
    let after = given(&[(0, place()), (10, request()), (20, cancel()), (30, confirm(1))]);
    assert_eq!(after.status, Status::Cancelled);
    row(&after, &[(31, confirm(1), "idem"), (31, reacquired(2, Taken), "idem")]);
}

/// D8, while late money is being dealt with.
#[test]
fn a_cancellation_beats_taking_everything_again() {
    let state = given(&[
        (0, place()),
        (10, request()),
        (LATE, expire(1)),
        (1_000, confirm(1)),
        (1_001, cancel()),
    ]);
    assert_eq!((state.status, state.claim_epoch), (Status::Cancelled, 2));
    row(
        &state,
        &[
            (1_002, reacquired(2, Taken), "idem"),
            (1_002, reacquired(2, Refused), "idem"),
            (1_002, confirm(1), "idem"),
        ],
    );
}

/// D19: once, at the start of a payment, to a later moment, and never beyond the cap.
#[test]
fn lock_vs_window() {
    let policies = Policies { on_decline: OnDecline::KeepHold, ..Policies::default() };
    let extended = [(0, place_with(policies)), (800, request_until(Some(at(1_400))))];
    let state = given(&extended);
    assert_eq!((state.hold_expires_at, state.extension_used), (Some(at(1_400)), true));
    row(
        &state,
        &[
            (1_399, confirm(1), "Confirmed"),
            (1_399, expire(1), "E:NotDue"),
            (1_400, confirm(1), "HoldExpired + LatePaymentReceived"),
        ],
    );
    let [place, request] = extended;
    let again = given(&[place, request, (900, decline(1))]);
    row(&again, &[(1_300, request_until(Some(at(1_900))), "PaymentRequested")]);
    // A prompt payment costs no extension.
    row(&hold(), &[(10, request_until(Some(at(610))), "PaymentRequested")]);
    // The cap stands above it.
    let capped = given(&[(0, super::place()), (10, request_until(Some(at(9_000))))]);
    assert_eq!(capped.hold_expires_at, Some(at(CAP_SECS)));
}

/// D22: a timer that comes hours late, or twice, or after a later deadline was set.
#[test]
fn sleep_wake() {
    row(&awaiting(), &[(20_000, expire(1), "HoldExpired")]);
    row(&expired(), &[(20_000, expire(1), "idem")]);
    row(&finalized(), &[(20_000, expire(1), "idem")]);
    let extended = given(&[(0, place()), (1, extend(2_000))]);
    let early = ask(&extended, 950, &expire(1));
    assert_eq!(early, Err(Refusal::NotDue { until: at(2_000) }));
}

/// D23: the moment only comes in with the command, so a clock that goes back expires nothing early,
/// and what has expired stays expired.
#[test]
fn clock_jump() {
    row(&awaiting(), &[(0, expire(1), "E:NotDue"), (0, confirm(1), "Confirmed")]);
    row(&expired(), &[(0, request(), "E:HoldExpired"), (0, confirm(1), "LatePaymentReceived")]);
}

/// D24.
#[test]
fn sweep_and_lazy() {
    row(&expired(), &[(LATE, expire(1), "idem"), (LATE, confirm(1), "LatePaymentReceived")]);
    row(&reacquiring(), &[(1_001, expire(1), "idem")]);
}

/// Money that is lost before its own ConfirmPaid came (it waits in a dead letter, say) never confirms.
#[test]
fn lost_money_confirms_nothing() {
    let released = given(&[(0, place()), (10, request()), (20, lose_money(1))]);
    assert_eq!(released.status, Status::HoldFailed);
    row(&released, &[(30, confirm(1), "idem"), (30, lose_money(1), "idem")]);

    let policies = Policies { on_decline: OnDecline::KeepHold, ..Policies::default() };
    let kept = given(&[(0, place_with(policies)), (10, request()), (20, lose_money(1))]);
    row(
        &kept,
        &[
            (30, confirm(1), "idem"),
            (30, lose_money(1), "idem"),
            (30, request(), "PaymentRequested"),
        ],
    );
    let late = given(&[(0, place()), (10, request()), (LATE, expire(1)), (950, lose_money(1))]);
    row(&late, &[(951, confirm(1), "idem"), (951, confirm(2), "LatePaymentReceived")]);
}

#[test]
fn money_that_is_lost_takes_its_confirmation_along() {
    let lost = ask(&finalized(), 30, &lose_money(1)).unwrap();
    let expected =
        Event::Cancelled { by: CancelledBy::System, reason: CancelReason::MoneyLost, refund: None };
    assert_eq!(lost, [expected]);
    let rejected = ask(&reacquiring(), 1_001, &lose_money(1)).unwrap();
    assert!(
        matches!(rejected[..], [Event::LatePaymentRejected { reason: LateReason::MoneyLost, .. }]),
        "{rejected:?}"
    );
}

#[test]
fn anothers_reservation_answers_as_an_absent_one() {
    for state in
        [hold(), awaiting(), confirmed(), in_use(), completed(), expired(), State::default()]
    {
        let mut asked = [request(), cancel(), extend(1_000), complete()];
        for command in &mut asked {
            match command {
                Command::RequestPayment { by, .. }
                | Command::Cancel { by, .. }
                | Command::ExtendHold { by, .. }
                | Command::Complete { by, .. } => *by = stranger(),
                _ => unreachable!("only these are asked"),
            }
            assert_eq!(ask(&state, 20, command), Err(Refusal::NotFound), "{command:?}");
        }
    }
}

#[test]
fn a_refund_is_a_part_of_what_was_paid() {
    let refund = |money| Command::Cancel {
        by: By::Operator(UserId::new("olga").unwrap()),
        reason: CancelReason::Operator,
        refund: Some(money),
    };
    row(
        &confirmed(),
        &[
            (30, refund(eur(3_000)), "Cancelled"),
            (30, refund(eur(1)), "Cancelled"),
            (30, refund(eur(3_001)), "E:InvalidRefund"),
            (30, refund(eur(0)), "E:InvalidRefund"),
            (30, refund(eur(-1)), "E:InvalidRefund"),
            (30, refund(Money::new(1, Currency::new("USD").unwrap())), "E:InvalidRefund"),
        ],
    );
    // Before anything was kept, whatever comes goes back whole.
    let cancelled = ask(&awaiting(), 30, &refund(eur(1))).unwrap();
    assert!(matches!(cancelled[..], [Event::Cancelled { refund: None, .. }]), "{cancelled:?}");
}
