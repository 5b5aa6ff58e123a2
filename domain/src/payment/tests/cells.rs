//! The table of DOMAIN.md C.3, cell by cell.

use super::*;

/// One attempt in each row's state, by the way that leads there.
fn rows() -> Vec<(&'static str, State)> {
    let paid = [initiate(1), said(1, authorized()), capture(1), said(1, succeeded())];
    let paid_and = |more: &[Command]| given(&[&paid, more].concat());
    let partly = Command::Refund {
        refund_id: refund_id("some"),
        amount: Some(eur(500)),
        reason: BackReason::Operator,
    };
    let refunded = |name: &str, minor| {
        said(1, Word::Refunded { refund_id: refund_id(name), amount: eur(minor) })
    };
    let rest =
        Command::Refund { refund_id: refund_id("all"), amount: None, reason: BackReason::Operator };
    vec![
        ("none", State::default()),
        ("PENDING", given(&[initiate(1)])),
        ("REQUIRES_ACTION", given(&[initiate(1), said(1, session(Some(Action::ThreeDs)))])),
        ("AUTHORIZED", given(&[initiate(1), said(1, authorized())])),
        ("CAPTURE_REQUESTED", given(&[initiate(1), said(1, authorized()), capture(1)])),
        ("SUCCEEDED", paid_and(&[])),
        ("FAILED", given(&[initiate(1), said(1, declined())])),
        ("VOID_REQUESTED soft", given(&[initiate(1), soft_void(BackReason::Expired)])),
        ("VOID_REQUESTED", given(&[initiate(1), give_back(BackReason::Cancelled)])),
        ("VOIDED", given(&[initiate(1), give_back(BackReason::Cancelled), said(1, cancelled())])),
        ("VOIDED by the gateway", given(&[initiate(1), said(1, cancelled())])),
        ("VOIDED lost", given(&[initiate(1), said(1, authorized()), said(1, cancelled())])),
        ("REFUND_PENDING", paid_and(std::slice::from_ref(&partly))),
        ("PARTIALLY_REFUNDED", paid_and(&[partly, refunded("some", 500)])),
        ("REFUNDED", paid_and(&[rest, refunded("all", PRICE)])),
        ("DISPUTED", paid_and(&[told("dp_1", 1, Word::Chargeback { amount: eur(PRICE) })])),
    ]
}

/// Judges one command in every row's state; `expected` names the rows in order.
fn column(ask: impl Fn(&State) -> Command, expected: &[(&str, &str)]) {
    let rows = rows();
    assert_eq!(rows.len(), expected.len(), "one cell for each row");
    for ((row, state), (name, cell)) in rows.iter().zip(expected) {
        assert_eq!(row, name, "cells stand in the order of the rows");
        let decided = decide(state, &ask(state));
        assert_eq!(short(&decided), *cell, "in {row}");
    }
}

#[test]
fn rows_are_what_they_are_called() {
    for (row, state) in rows() {
        let status = word_of(state.status()).replace("NONE", "none");
        assert_eq!(row.split(' ').next(), Some(status.as_str()));
    }
}

#[test]
fn initiate_the_next_attempt() {
    column(
        |state| initiate(state.last() + 1),
        &[
            ("none", "Initiated 1"),
            ("PENDING", "E:InProgress"),
            ("REQUIRES_ACTION", "E:InProgress"),
            ("AUTHORIZED", "E:Paid"),
            ("CAPTURE_REQUESTED", "E:Paid"),
            ("SUCCEEDED", "E:AlreadyPaid"),
            ("FAILED", "Initiated 2, VoidRequested 1 SUPERSEDED"),
            ("VOID_REQUESTED soft", "E:Closed"),
            ("VOID_REQUESTED", "E:Closed"),
            ("VOIDED", "E:Closed"),
            ("VOIDED by the gateway", "Initiated 2"),
            ("VOIDED lost", "Initiated 2"),
            ("REFUND_PENDING", "E:Closed"),
            ("PARTIALLY_REFUNDED", "E:Closed"),
            ("REFUNDED", "E:Closed"),
            ("DISPUTED", "E:AlreadyPaid"),
        ],
    );
}

#[test]
fn initiate_the_same_attempt_again_is_already_so() {
    for (row, state) in rows().into_iter().filter(|(_, state)| state.open_attempt().is_some()) {
        assert_eq!(short(&decide(&state, &initiate(1))), "-", "in {row}");
    }
}

#[test]
fn the_gateway_says_authorized() {
    column(
        |_| told("evt", 1, authorized()),
        &[
            ("none", "E:NotFound"),
            ("PENDING", "Authorized 1"),
            ("REQUIRES_ACTION", "Authorized 1"),
            ("AUTHORIZED", "-"),
            ("CAPTURE_REQUESTED", "-"),
            ("SUCCEEDED", "Ignored 1 STALE"),
            ("FAILED", "Authorized 1"),
            ("VOID_REQUESTED soft", "-"),
            ("VOID_REQUESTED", "-"),
            ("VOIDED", "Ignored 1 STALE"),
            ("VOIDED by the gateway", "Ignored 1 STALE"),
            ("VOIDED lost", "Ignored 1 STALE"),
            ("REFUND_PENDING", "Ignored 1 STALE"),
            ("PARTIALLY_REFUNDED", "Ignored 1 STALE"),
            ("REFUNDED", "Ignored 1 STALE"),
            ("DISPUTED", "Ignored 1 STALE"),
        ],
    );
}

#[test]
fn the_gateway_says_succeeded() {
    column(
        |_| told("evt", 1, succeeded()),
        &[
            ("none", "E:NotFound"),
            ("PENDING", "Succeeded 1"),
            ("REQUIRES_ACTION", "Succeeded 1"),
            ("AUTHORIZED", "Succeeded 1"),
            ("CAPTURE_REQUESTED", "Succeeded 1"),
            ("SUCCEEDED", "-"),
            ("FAILED", "Succeeded 1"),
            ("VOID_REQUESTED soft", "Succeeded 1"),
            ("VOID_REQUESTED", "Succeeded 1 not kept, RefundRequested 1 4500 CANCELLED"),
            ("VOIDED", "Succeeded 1 not kept, RefundRequested 1 4500 CANCELLED"),
            (
                "VOIDED by the gateway",
                "Succeeded 1 not kept, RefundRequested 1 4500 CANCELLED_BY_GATEWAY",
            ),
            ("VOIDED lost", "Succeeded 1 not kept, RefundRequested 1 4500 MONEY_LOST"),
            ("REFUND_PENDING", "Ignored 1 STALE"),
            ("PARTIALLY_REFUNDED", "Ignored 1 STALE"),
            ("REFUNDED", "Ignored 1 STALE"),
            ("DISPUTED", "Ignored 1 STALE"),
        ],
    );
}

#[test]
fn the_gateway_says_declined() {
    column(
        |_| told("evt", 1, declined()),
        &[
            ("none", "E:NotFound"),
            ("PENDING", "Failed 1"),
            ("REQUIRES_ACTION", "Failed 1"),
            ("AUTHORIZED", "Ignored 1 STALE"),
            ("CAPTURE_REQUESTED", "Ignored 1 STALE"),
            ("SUCCEEDED", "Ignored 1 STALE"),
            ("FAILED", "-"),
            ("VOID_REQUESTED soft", "Ignored 1 STALE"),
            ("VOID_REQUESTED", "Ignored 1 STALE"),
            ("VOIDED", "-"),
            ("VOIDED by the gateway", "-"),
            ("VOIDED lost", "-"),
            ("REFUND_PENDING", "Ignored 1 STALE"),
            ("PARTIALLY_REFUNDED", "Ignored 1 STALE"),
            ("REFUNDED", "Ignored 1 STALE"),
            ("DISPUTED", "Ignored 1 STALE"),
        ],
    );
}

#[test]
fn the_gateway_says_cancelled_or_lapsed() {
    column(
        |_| told("evt", 1, cancelled()),
        &[
            ("none", "E:NotFound"),
            ("PENDING", "Voided 1 CANCELLED_BY_GATEWAY"),
            ("REQUIRES_ACTION", "Voided 1 CANCELLED_BY_GATEWAY"),
            ("AUTHORIZED", "Voided 1 MONEY_LOST, MoneyLost 1 CANCELLED_BY_GATEWAY"),
            ("CAPTURE_REQUESTED", "Voided 1 MONEY_LOST, MoneyLost 1 CANCELLED_BY_GATEWAY"),
            ("SUCCEEDED", "Ignored 1 STALE"),
            ("FAILED", "Voided 1 CANCELLED_BY_GATEWAY"),
            ("VOID_REQUESTED soft", "Voided 1 EXPIRED"),
            ("VOID_REQUESTED", "Voided 1 CANCELLED"),
            ("VOIDED", "-"),
            ("VOIDED by the gateway", "-"),
            ("VOIDED lost", "-"),
            ("REFUND_PENDING", "Ignored 1 STALE"),
            ("PARTIALLY_REFUNDED", "Ignored 1 STALE"),
            ("REFUNDED", "Ignored 1 STALE"),
            ("DISPUTED", "Ignored 1 STALE"),
        ],
    );
}

#[test]
fn a_soft_void_spares_what_is_authorized_or_paid() {
    column(
        |_| soft_void(BackReason::Released),
        &[
            ("none", "Closed RELEASED"),
            ("PENDING", "Closed RELEASED, VoidRequested 1 RELEASED"),
            ("REQUIRES_ACTION", "Closed RELEASED, VoidRequested 1 RELEASED"),
            ("AUTHORIZED", "E:Paid"),
            ("CAPTURE_REQUESTED", "E:Paid"),
            ("SUCCEEDED", "E:Paid"),
            ("FAILED", "Closed RELEASED, VoidRequested 1 RELEASED"),
            ("VOID_REQUESTED soft", "-"),
            ("VOID_REQUESTED", "-"),
            ("VOIDED", "-"),
            ("VOIDED by the gateway", "Closed RELEASED"),
            ("VOIDED lost", "Closed RELEASED"),
            ("REFUND_PENDING", "Closed RELEASED"),
            ("PARTIALLY_REFUNDED", "Closed RELEASED"),
            ("REFUNDED", "Closed RELEASED"),
            ("DISPUTED", "E:Paid"),
        ],
    );
}

#[test]
fn give_back_voids_or_refunds_whichever_is_needed() {
    column(
        |_| give_back(BackReason::Late),
        &[
            ("none", "Closed LATE"),
            ("PENDING", "Closed LATE, VoidRequested 1 LATE"),
            ("REQUIRES_ACTION", "Closed LATE, VoidRequested 1 LATE"),
            ("AUTHORIZED", "Closed LATE, VoidRequested 1 LATE"),
            ("CAPTURE_REQUESTED", "Closed LATE, VoidRequested 1 LATE"),
            ("SUCCEEDED", "Closed LATE, RefundRequested 1 4500 LATE"),
            ("FAILED", "Closed LATE, VoidRequested 1 LATE"),
            ("VOID_REQUESTED soft", "VoidRequested 1 LATE"),
            ("VOID_REQUESTED", "-"),
            ("VOIDED", "-"),
            ("VOIDED by the gateway", "Closed LATE"),
            ("VOIDED lost", "Closed LATE"),
            ("REFUND_PENDING", "Closed LATE, RefundRequested 1 4000 LATE"),
            ("PARTIALLY_REFUNDED", "Closed LATE, RefundRequested 1 4000 LATE"),
            ("REFUNDED", "Closed LATE"),
            ("DISPUTED", "Closed LATE"),
        ],
    );
}

#[test]
fn only_an_authorization_is_captured() {
    column(
        |_| capture(1),
        &[
            ("none", "E:NotFound"),
            ("PENDING", "E:NotAuthorized"),
            ("REQUIRES_ACTION", "E:NotAuthorized"),
            ("AUTHORIZED", "CaptureRequested 1"),
            ("CAPTURE_REQUESTED", "-"),
            ("SUCCEEDED", "-"),
            ("FAILED", "E:NotAuthorized"),
            ("VOID_REQUESTED soft", "E:NotAuthorized"),
            ("VOID_REQUESTED", "E:NotAuthorized"),
            ("VOIDED", "E:NotAuthorized"),
            ("VOIDED by the gateway", "E:NotAuthorized"),
            ("VOIDED lost", "E:NotAuthorized"),
            ("REFUND_PENDING", "E:NotAuthorized"),
            ("PARTIALLY_REFUNDED", "E:NotAuthorized"),
            ("REFUNDED", "E:NotAuthorized"),
            ("DISPUTED", "E:NotAuthorized"),
        ],
    );
}

#[test]
fn a_capture_refused_for_good_loses_the_money_and_voids_what_lives() {
    let refused = |retryable| Word::CaptureRefused { code: "no".into(), retryable, r#try: 1 };
    for (row, state) in rows().into_iter().skip(1) {
        let expected = if state.status() == Status::CaptureRequested {
            "CaptureFailed 1, VoidRequested 1 MONEY_LOST, MoneyLost 1 CAPTURE_REFUSED"
        } else {
            "Ignored 1 STALE"
        };
        assert_eq!(short(&decide(&state, &told("evt", 1, refused(false)))), expected, "in {row}");
    }
    let mut state = given(&[initiate(1), said(1, authorized()), capture(1)]);
    assert_eq!(then(&mut state, &said(1, refused(true))), "CaptureFailed 1");
    assert_eq!(then(&mut state, &said(1, refused(true))), "-");
    let again = Command::Retry { attempt: 1, what: Retry::Capture };
    assert_eq!(then(&mut state, &again), "CaptureRequested 1 try 2");
    assert_eq!(then(&mut state, &again), "-", "the outcome of try 2 is unknown");
}

#[test]
fn an_operator_refunds_at_most_what_is_left() {
    let refund = |name: &str, amount: Option<i64>| Command::Refund {
        refund_id: refund_id(name),
        amount: amount.map(eur),
        reason: BackReason::Operator,
    };
    let mut state = given(&[initiate_hosted(1), said(1, succeeded())]);
    for amount in [Some(0), Some(-1), Some(PRICE + 1), Some(i64::MAX)] {
        let left = eur(PRICE);
        assert_eq!(decide(&state, &refund("a", amount)), Err(Refusal::NotRefundable { left }));
    }
    assert_eq!(then(&mut state, &refund("a", Some(500))), "RefundRequested 1 500 OPERATOR");
    assert_eq!(then(&mut state, &refund("a", Some(500))), "-");
    let left = eur(4_000);
    assert_eq!(decide(&state, &refund("b", Some(4_001))), Err(Refusal::NotRefundable { left }));
    assert_eq!(then(&mut state, &refund("b", None)), "RefundRequested 1 4000 OPERATOR");
    let left = eur(0);
    assert_eq!(decide(&state, &refund("c", None)), Err(Refusal::NotRefundable { left }));
    assert_eq!(state.status(), Status::RefundPending);
    let unpaid = given(&[initiate(1), said(1, authorized())]);
    assert_eq!(decide(&unpaid, &refund("a", None)), Err(Refusal::NotRefundable { left }));
}

#[test]
fn a_session_is_recorded_once_and_a_late_one_still_names_what_a_void_cancels() {
    let mut state = given(&[initiate_hosted(1)]);
    assert_eq!(then(&mut state, &said(1, session(None))), "SessionCreated 1");
    assert_eq!(then(&mut state, &said(1, session(None))), "-");
    let action = said(1, session(Some(Action::Redirect)));
    assert_eq!(then(&mut state, &action), "ActionRequired 1");
    assert_eq!(then(&mut state, &action), "-");
    assert_eq!(state.status(), Status::RequiresAction);

    let mut state = given(&[initiate(1), give_back(BackReason::Cancelled)]);
    assert_eq!(then(&mut state, &said(1, session(None))), "SessionCreated 1");
    assert_eq!(state.status(), Status::VoidRequested);
}

#[test]
fn the_version_grows_with_each_word_about_the_money() {
    let mut state = given(&[initiate(1), said(1, session(Some(Action::ThreeDs)))]);
    assert_eq!(state.version, 1);
    for (command, version) in [
        (said(1, declined()), 2),
        (initiate(2), 2),
        (said(2, authorized()), 3),
        (capture(2), 3),
        (said(1, cancelled()), 4),
        (said(2, succeeded()), 5),
        (give_back(BackReason::Cancelled), 5),
    ] {
        then(&mut state, &command);
        assert_eq!(state.version, version, "after {command:?}");
    }
}
