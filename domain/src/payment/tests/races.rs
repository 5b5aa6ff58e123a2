//! Races, by the names of DOMAIN.md section D.

use super::*;

fn refused(r#try: u16) -> Word {
    Word::VoidRefused { code: "busy".into(), r#try }
}

fn superseded() -> State {
    given(&[initiate(1), said(1, declined()), initiate(2)])
}

/// D5, the aggregate's part: however often a webhook comes, money is recorded once.
#[test]
fn webhook_times_n() {
    let mut state = given(&[initiate(1), said(1, authorized()), capture(1)]);
    let webhook = told("evt_1", 1, succeeded());
    assert_eq!(then(&mut state, &webhook), "Succeeded 1");
    let once = state.clone();
    for _ in 0..4 {
        assert_eq!(then(&mut state, &webhook), "Ignored 1 DUPLICATE");
    }
    assert_eq!(state.attempts, once.attempts);
    assert_eq!((state.version, state.ignored), (once.version, 4));
}

/// D7.
#[test]
fn stale_decline() {
    let mut state = superseded();
    assert_eq!(then(&mut state, &told("evt_1", 1, declined())), "Ignored 1 STALE_ATTEMPT");
    assert_eq!(state.status(), Status::Pending);
}

/// A declined intent can still be paid: the next attempt voids it, and whatever comes of it is
/// given back without asking anybody.
#[test]
fn superseded_attempt_is_voided() {
    let mut state = given(&[initiate(1), said(1, declined())]);
    assert_eq!(then(&mut state, &initiate(2)), "Initiated 2, VoidRequested 1 SUPERSEDED");
    let mut paid = state.clone();
    let both = "Succeeded 1 not kept, RefundRequested 1 4500 SUPERSEDED";
    assert_eq!(then(&mut paid, &told("evt_1", 1, succeeded())), both);
    assert_eq!(then(&mut state, &told("evt_2", 1, cancelled())), "Voided 1 SUPERSEDED");
    assert_eq!((state.status(), paid.status()), (Status::Pending, Status::Pending));
}

/// The void is asked for before anybody knows the intent; the create call lands, is authorized, and
/// the void goes on. Nothing is called voided before the gateway said so.
#[test]
fn void_before_create_lands() {
    let mut state = given(&[initiate(1)]);
    let wanted = soft_void(BackReason::Expired);
    assert_eq!(then(&mut state, &wanted), "Closed EXPIRED, VoidRequested 1 EXPIRED");
    assert_eq!(then(&mut state, &said(1, session(None))), "SessionCreated 1");
    assert_eq!(then(&mut state, &told("evt_1", 1, authorized())), "-");
    assert_eq!(state.status(), Status::VoidRequested);
    assert_eq!(then(&mut state, &said(1, cancelled())), "Voided 1 EXPIRED");
}

#[test]
fn decline_after_authorize_is_stale() {
    let mut state = given(&[initiate(1), said(1, authorized())]);
    assert_eq!(then(&mut state, &told("evt_1", 1, declined())), "Ignored 1 STALE");
    assert_eq!(state.status(), Status::Authorized);
}

/// The hold expired, its void was asked for, and the payer was faster: the money is kept, and its
/// own fact asks the reservation. Given back for a harder reason, it is not.
#[test]
fn captured_while_voiding_expired() {
    let voiding = given(&[initiate_hosted(1), soft_void(BackReason::Expired)]);
    let mut kept = voiding.clone();
    assert_eq!(then(&mut kept, &told("evt_1", 1, succeeded())), "Succeeded 1");
    assert!(kept.current().expect("an attempt").kept);
    let mut returned = voiding;
    let harder = give_back(BackReason::Cancelled);
    assert_eq!(then(&mut returned, &harder), "VoidRequested 1 CANCELLED");
    let both = "Succeeded 1 not kept, RefundRequested 1 4500 CANCELLED";
    assert_eq!(then(&mut returned, &told("evt_1", 1, succeeded())), both);
}

#[test]
fn declined_intent_is_voided() {
    let mut state = given(&[initiate(1), said(1, declined())]);
    let wanted = soft_void(BackReason::Released);
    assert_eq!(then(&mut state, &wanted), "Closed RELEASED, VoidRequested 1 RELEASED");
    // Another decline is no "cancelled": the intent is still open.
    assert_eq!(then(&mut state, &told("evt_1", 1, declined())), "Ignored 1 STALE");
    assert_eq!(state.status(), Status::VoidRequested);
    assert_eq!(then(&mut state, &said(1, cancelled())), "Voided 1 RELEASED");
}

/// Gateways replay refusals by key: a void refused under one try is asked for under the next, and
/// never under the next while the outcome of the present one is unknown.
#[test]
fn refused_void_gets_a_new_try() {
    let mut state = given(&[initiate(1), give_back(BackReason::Cancelled)]);
    let again = Command::Retry { attempt: 1, what: Retry::Void };
    assert_eq!(then(&mut state, &again), "-");
    assert_eq!(then(&mut state, &said(1, refused(1))), "VoidFailed 1");
    assert_eq!(state.status(), Status::VoidRequested, "a failed void is not a success");
    assert_eq!(then(&mut state, &said(1, refused(1))), "-", "the replay of a refusal");
    assert_eq!(then(&mut state, &again), "VoidRequested 1 CANCELLED try 2");
    assert_eq!(then(&mut state, &again), "-");
    assert_eq!(then(&mut state, &said(1, refused(2))), "VoidFailed 1");
    assert_eq!(then(&mut state, &again), "VoidRequested 1 CANCELLED try 3");
}

#[test]
fn unknown_refund_keeps_its_key() {
    let mut state =
        given(&[initiate_hosted(1), said(1, succeeded()), give_back(BackReason::Oversold)]);
    let wanted = state.attempts[0].refunds[0].clone();
    let again = Command::Retry { attempt: 1, what: Retry::Refund { refund_id: wanted.refund_id } };
    assert_eq!(then(&mut state, &again), "-", "no answer is no refusal");
    assert_eq!(state.attempts[0].refunds[0].r#try, 1);
    let refused = |r#try| {
        said(
            1,
            Word::RefundRefused {
                refund_id: wanted.refund_id,
                failure: "insufficient balance".into(),
                r#try,
            },
        )
    };
    assert_eq!(then(&mut state, &refused(1)), "RefundFailed 1");
    assert_eq!(then(&mut state, &again), "RefundRequested 1 4500 OVERSOLD try 2");
    assert_eq!(then(&mut state, &refused(1)), "-", "the refusal of an older try");
    assert_eq!(state.attempts[0].refunds.len(), 1);
}

#[test]
fn redriven_initiate_of_ended() {
    let mut state = given(&[give_back(BackReason::Cancelled)]);
    assert_eq!(decide(&state, &initiate(1)), Err(Refusal::Closed));
    assert_eq!(then(&mut state, &give_back(BackReason::Cancelled)), "-");
    let soft = given(&[soft_void(BackReason::Expired)]);
    assert_eq!(decide(&soft, &initiate(1)), Err(Refusal::Closed));
    // Also an attempt that was named and had not begun.
    let one = Command::GiveBack { attempt: Some(2), reason: BackReason::Duplicate };
    let second = given(&[initiate(1), said(1, declined()), one]);
    assert_eq!(decide(&second, &initiate(2)), Err(Refusal::Closed));
    assert_eq!(second.status(), Status::Failed, "another attempt is left alone");
}

/// The payment's part: money that cannot be captured is lost for the reservation, and what still
/// lives at the gateway is voided, not called voided.
#[test]
fn capture_refused_cancels() {
    let mut state = given(&[initiate(1), said(1, authorized()), capture(1)]);
    let word = Word::CaptureRefused { code: "expired_card".into(), retryable: false, r#try: 1 };
    let facts = "CaptureFailed 1, VoidRequested 1 MONEY_LOST, MoneyLost 1 CAPTURE_REFUSED";
    assert_eq!(then(&mut state, &said(1, word)), facts);
    assert_eq!(state.status(), Status::VoidRequested);
    let mut paid = state.clone();
    let both = "Succeeded 1 not kept, RefundRequested 1 4500 MONEY_LOST";
    assert_eq!(then(&mut paid, &told("evt_1", 1, succeeded())), both);
    assert_eq!(then(&mut state, &said(1, cancelled())), "Voided 1 MONEY_LOST");
}

#[test]
fn cancel_during_partial_refund() {
    let partly = Command::Refund {
        refund_id: refund_id("some"),
        amount: Some(eur(500)),
        reason: BackReason::Operator,
    };
    let mut state = given(&[initiate_hosted(1), said(1, succeeded()), partly]);
    let rest = "Closed CANCELLED, RefundRequested 1 4000 CANCELLED";
    assert_eq!(then(&mut state, &give_back(BackReason::Cancelled)), rest);
    assert_eq!(then(&mut state, &give_back(BackReason::Cancelled)), "-");
    for wanted in state.attempts[0].refunds.clone() {
        assert_eq!(state.status(), Status::RefundPending);
        let word = Word::Refunded { refund_id: wanted.refund_id, amount: wanted.amount };
        then(&mut state, &said(1, word));
    }
    assert_eq!(state.status(), Status::Refunded);
    assert_eq!(state.refunded(), state.captured());
}

/// D38, the payment's part.
#[test]
fn refund_dup() {
    let mut state = given(&[initiate_hosted(1), said(1, succeeded())]);
    let cancel = give_back(BackReason::Cancelled);
    assert_eq!(then(&mut state, &cancel), "Closed CANCELLED, RefundRequested 1 4500 CANCELLED");
    assert_eq!(then(&mut state, &cancel), "-");
    let wanted = state.attempts[0].refunds[0].clone();
    let word = Word::Refunded { refund_id: wanted.refund_id, amount: wanted.amount };
    assert_eq!(then(&mut state, &told("evt_1", 1, word.clone())), "RefundSucceeded 1");
    assert_eq!(then(&mut state, &told("evt_2", 1, word.clone())), "-");
    assert_eq!(then(&mut state, &said(1, word)), "-");
    assert_eq!(state.refunded(), Some(eur(PRICE)));
}

/// P5: other money than was asked for is recorded, changes nothing, and is recorded once.
#[test]
fn other_money_than_was_asked_for_changes_nothing() {
    let mut state = given(&[initiate(1)]);
    let less =
        Word::Succeeded { gateway_ref: "pi_1".into(), amount: eur(PRICE - 1), approval_code: None };
    let word = Word::Authorized {
        gateway_ref: "pi_1".into(),
        approval_code: "ok".into(),
        amount: Money::new(PRICE, Currency::new("USD").expect("a currency")),
        authorization_expires_at: None,
    };
    assert_eq!(then(&mut state, &told("evt_1", 1, less.clone())), "Ignored 1 AMOUNT_MISMATCH");
    assert_eq!(then(&mut state, &said(1, word.clone())), "Ignored 1 AMOUNT_MISMATCH");
    assert_eq!(then(&mut state, &said(1, word)), "-");
    assert_eq!(then(&mut state, &told("evt_1", 1, less)), "Ignored 1 DUPLICATE");
    assert_eq!(state.status(), Status::Pending);
    let other = |amount| {
        let mut command = initiate(2);
        if let Command::Initiate { amount: asked, .. } = &mut command {
            *asked = amount;
        }
        command
    };
    let declined = given(&[initiate(1), said(1, declined())]);
    assert_eq!(decide(&declined, &other(eur(1))), Err(Refusal::AmountMismatch));
    assert_eq!(decide(&declined, &initiate(3)), Err(Refusal::WrongAttempt { last: 1 }));
}

/// Only a hosted payment arrives as paid without an authorization; then both are recorded at once.
#[test]
fn a_hosted_payment_that_arrives_as_paid_was_authorized_too() {
    let mut state = given(&[initiate_hosted(1), said(1, session(Some(Action::Redirect)))]);
    assert_eq!(then(&mut state, &told("evt_1", 1, succeeded())), "Authorized 1, Succeeded 1");
    assert_eq!(state.version, 3);
    assert_eq!(state.seen.len(), 1);
}

/// A refund that nobody here asked for, and a bank that takes money back before the capture is known.
#[test]
fn words_that_overtake_the_capture_count_when_it_is_known() {
    let mut state = given(&[initiate_hosted(1)]);
    let stranger = Word::Refunded { refund_id: refund_id("stranger"), amount: eur(1) };
    assert_eq!(then(&mut state, &told("evt_1", 1, stranger)), "Ignored 1 UNKNOWN_REF");
    let bank = told("evt_2", 1, Word::Chargeback { amount: eur(PRICE) });
    assert_eq!(then(&mut state, &bank), "ChargebackOpened 1");
    assert_eq!(state.status(), Status::Pending);
    then(&mut state, &told("evt_3", 1, succeeded()));
    assert_eq!(state.status(), Status::Disputed);
    // The bank has it already: giving back would pay twice.
    assert_eq!(then(&mut state, &give_back(BackReason::Cancelled)), "Closed CANCELLED");
}

#[test]
fn the_memory_of_gateway_events_is_bounded() {
    let mut state = given(&[initiate(1), said(1, authorized())]);
    for n in 0..SEEN + 10 {
        then(&mut state, &told(&format!("evt_{n}"), 1, declined()));
    }
    assert_eq!(state.seen.len(), SEEN);
    assert!(!state.seen.contains(&"evt_0".to_owned()));
}
