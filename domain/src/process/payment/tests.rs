//! What is asked of the gateway, and when.

use super::*;
use crate::payment::{Action, BackReason, Flow, Kind, LostWhy, Via, Word};
use crate::{Currency, Decider, Money, RefundId, ReservationId, derive};

fn id() -> PaymentId {
    PaymentId(derive(&["a payment"]))
}

fn eur() -> Money {
    Money::new(4_500, Currency::new("EUR").expect("a currency"))
}

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn initiate(attempt: u16) -> Payment {
    Payment::Initiate {
        reservation_id: ReservationId(derive(&["a reservation"])),
        kind: Kind::Reservation,
        amount: eur(),
        gateway: "sandbox".into(),
        attempt,
        flow: Flow::Direct,
        tenant: "hall".into(),
    }
}

fn said(attempt: u16, word: Word) -> Payment {
    Payment::Record { attempt, via: Via::Sync, gateway_event_id: None, word }
}

fn authorized(lapses: Option<i64>) -> Payment {
    said(
        1,
        Word::Authorized {
            gateway_ref: "pi_1".into(),
            approval_code: "ok".into(),
            amount: eur(),
            authorization_expires_at: lapses.map(at),
        },
    )
}

fn succeeded() -> Payment {
    said(1, Word::Succeeded { gateway_ref: "pi_1".into(), amount: eur(), approval_code: None })
}

fn cancelled() -> Payment {
    said(1, Word::Cancelled { lost: LostWhy::CancelledByGateway })
}

fn session() -> Payment {
    said(
        1,
        Word::Session {
            gateway_ref: "pi_1".into(),
            redirect_url: None,
            expires_at: None,
            action: Some(Action::ThreeDs),
        },
    )
}

fn give_back() -> Payment {
    Payment::GiveBack { attempt: None, reason: BackReason::Cancelled }
}

/// Performs the commands at second 1,000; the state then, and what the last one's facts ask.
fn after(commands: &[Payment]) -> (State, Vec<Ask>) {
    let mut state = State::default();
    let mut asks = Vec::new();
    for command in commands {
        asks.clear();
        for event in state.decide(&id(), command, at(1_000)).expect("an accepted command") {
            state.evolve(&event);
            let fact = Fact { at: at(1_000), what: What::Payment(&id(), &event, &state) };
            asks.extend(react(&fact, &Settings::default()));
        }
    }
    (state, asks)
}

fn expected_key(operation: Operation, r#try: u16) -> String {
    key("hall", &id(), 1, operation, r#try)
}

fn calls(asks: &[Ask]) -> Vec<&GatewayCall> {
    asks.iter()
        .filter_map(|ask| if let Ask::Gateway(call) = ask { Some(call) } else { None })
        .collect()
}

fn wakes(asks: &[Ask]) -> Vec<(String, i64, &Ask)> {
    let secs = |at: &Timestamp| at.micros() / 1_000_000;
    asks.iter()
        .filter_map(|ask| {
            let Ask::Wake { key, at, then } = ask else { return None };
            Some((key.to_string(), secs(at), then.as_ref()))
        })
        .collect()
}

fn forgotten(asks: &[Ask]) -> Vec<String> {
    asks.iter()
        .filter_map(|ask| if let Ask::Forget(key) = ask { Some(key.to_string()) } else { None })
        .collect()
}

#[test]
fn an_attempt_is_created_and_asked_about_until_its_outcome_is_known() {
    let (state, asks) = after(&[initiate(1)]);
    let create = create(&id(), &state, &state.attempts[0]);
    assert_eq!(calls(&asks), [&create]);
    let query = query(&id(), &state.attempts[0]);
    let polls: Vec<_> = [(1, 1_030), (2, 1_120), (3, 1_600)]
        .map(|(nth, at)| (format!("poll:{}:1:{nth}", id()), at, &query))
        .into();
    assert_eq!(wakes(&asks), polls);
    let names: Vec<_> = polls.into_iter().map(|(name, ..)| name).collect();

    // A challenge is no outcome.
    assert_eq!(after(&[initiate(1), session()]).1, []);
    let declined =
        said(1, Word::Declined { code: "no".into(), decline_code: None, retryable: false });
    for outcome in [authorized(None), succeeded(), declined, cancelled()] {
        let asks = after(&[initiate(1), outcome]).1;
        assert_eq!(forgotten(&asks)[..3], names[..]);
    }
}

#[test]
fn a_second_attempt_has_its_own_create_and_the_first_is_voided() {
    let declined =
        said(1, Word::Declined { code: "no".into(), decline_code: None, retryable: false });
    let (state, asks) = after(&[initiate(1), declined, initiate(2)]);
    let [first, second] = &state.attempts[..] else { panic!("two attempts") };
    assert_ne!(first.key, second.key);
    assert_eq!(calls(&asks), [&create(&id(), &state, second), &void(&id(), &state, first)]);
}

#[test]
fn calls_carry_the_key_of_their_try() {
    let capture = Payment::Capture { attempt: 1 };
    let (_, asks) = after(&[initiate(1), authorized(None), capture]);
    let [GatewayCall::Capture { key, gateway_ref, amount, r#try: 1, .. }] = calls(&asks)[..] else {
        panic!("one capture: {asks:?}")
    };
    assert_eq!(*key, expected_key(Operation::Capture, 1));
    assert_eq!((gateway_ref.as_str(), *amount), ("pi_1", eur()));

    let (state, asks) = after(&[initiate(1), authorized(None), succeeded(), give_back()]);
    let wanted = &state.attempts[0].refunds[0];
    let [GatewayCall::Refund { key, refund_id, amount, r#try: 1, .. }] = calls(&asks)[..] else {
        panic!("one refund: {asks:?}")
    };
    assert_eq!(*key, expected_key(Operation::Refund(wanted.refund_id), 1));
    assert_eq!((*refund_id, *amount), (wanted.refund_id, eur()));
}

/// "No such intent" alone never means voided: the create is sent again under its own key, so that the
/// key is spent, and what it returns is cancelled.
#[test]
fn a_void_without_a_reference_carries_the_create_with_its_key() {
    let (state, asks) = after(&[initiate(1), give_back()]);
    let [GatewayCall::Void { key, gateway_ref: None, create, r#try: 1, .. }] = calls(&asks)[..]
    else {
        panic!("one void: {asks:?}")
    };
    assert_eq!(*key, expected_key(Operation::Void, 1));
    let GatewayCall::Create { key, .. } = create.as_ref() else { panic!("a create") };
    assert_eq!(*key, state.attempts[0].key);
}

#[test]
fn what_the_gateway_refused_is_asked_again_after_a_growing_wait_under_the_next_try() {
    let refused = |r#try| said(1, Word::VoidRefused { code: "busy".into(), r#try });
    let retry = Payment::Retry { attempt: 1, what: Retry::Void };
    let mut history = vec![initiate(1), give_back()];
    for (r#try, wait) in [(1, 1), (2, 5), (3, 30), (4, 300), (5, 3_600), (6, 3_600)] {
        history.push(refused(r#try));
        let asks = after(&history).1;
        let ask = Ask::Do(Command::Payment(id(), retry.clone()));
        assert_eq!(wakes(&asks), [(format!("again:{}:1:void", id()), 1_000 + wait, &ask)]);
        let alarmed =
            asks.iter().any(|ask| matches!(ask, Ask::Alarm(Alarm::GatewayRefuses { .. })));
        assert_eq!(alarmed, r#try >= 5, "a person hears of it when the waits grow no more");
        history.push(retry.clone());
        let asks = after(&history).1;
        let [GatewayCall::Void { key, r#try: next, .. }] = calls(&asks)[..] else {
            panic!("one void: {asks:?}")
        };
        assert_eq!((*next, key), (r#try + 1, &expected_key(Operation::Void, r#try + 1)));
    }
}

#[test]
fn an_authorization_is_captured_at_the_latest_a_day_before_it_lapses() {
    let week = 7 * 86_400;
    let capture = Ask::Do(Command::Payment(id(), Payment::Capture { attempt: 1 }));
    let name = format!("capture:{}:1", id());
    let asks = after(&[initiate(1), authorized(Some(1_000 + week))]).1;
    assert_eq!(wakes(&asks), [(name.clone(), 1_000 + week - 86_400, &capture)]);
    let asks = after(&[initiate(1), authorized(Some(1_600))]).1;
    assert_eq!(wakes(&asks), [(name.clone(), 1_300, &capture)]);
    let asks = after(&[initiate(1), authorized(Some(1_600)), succeeded()]).1;
    assert!(forgotten(&asks).contains(&name));
}

#[test]
fn a_person_hears_of_other_money_and_of_chargebacks() {
    let word = Word::Succeeded {
        gateway_ref: "pi_1".into(),
        amount: Money::new(1, eur().currency),
        approval_code: None,
    };
    let asks = after(&[initiate(1), said(1, word)]).1;
    assert_eq!(asks, [Ask::Alarm(Alarm::AmountMismatch { payment_id: id(), attempt: 1 })]);
    let asks = after(&[initiate(1), succeeded(), said(1, Word::Chargeback { amount: eur() })]).1;
    assert_eq!(asks, [Ask::Alarm(Alarm::Chargeback { payment_id: id(), attempt: 1 })]);
}

#[test]
fn reconciliation_asks_again_for_whatever_is_not_known() {
    let reconciled = |commands: &[Payment]| {
        let (state, _) = after(commands);
        let asks = reconcile(&id(), &state);
        (state, asks)
    };
    for open in [&[initiate(1)][..], &[initiate(1), session()]] {
        let (state, asks) = reconciled(open);
        assert_eq!(asks, [query(&id(), &state.attempts[0])]);
    }
    for known in [&[initiate(1), authorized(None)][..], &[initiate(1), cancelled()]] {
        assert_eq!(reconciled(known).1, []);
    }

    let capturing = [initiate(1), authorized(None), Payment::Capture { attempt: 1 }];
    let (state, asks) = reconciled(&capturing);
    let row = &state.attempts[0];
    assert_eq!(asks, [query(&id(), row), Ask::Gateway(capture(&id(), &state, row))]);
    let voiding = [initiate(1), give_back()];
    let (state, asks) = reconciled(&voiding);
    let row = &state.attempts[0];
    assert_eq!(asks, [query(&id(), row), Ask::Gateway(void(&id(), &state, row))]);
    let refunding = [initiate(1), authorized(None), succeeded(), give_back()];
    let (state, asks) = reconciled(&refunding);
    let row = &state.attempts[0];
    let wanted = &row.refunds[0];
    assert_eq!(asks, [query(&id(), row), Ask::Gateway(refund(&id(), &state, row, wanted))]);

    // Once the refusal is recorded: the next try.
    let refusals = [
        (&capturing[..], Retry::Capture, capture_refused()),
        (&voiding[..], Retry::Void, Word::VoidRefused { code: "no".into(), r#try: 1 }),
        (
            &refunding[..],
            Retry::Refund { refund_id: wanted.refund_id },
            refund_refused(wanted.refund_id),
        ),
    ];
    for (history, what, word) in refusals {
        let (state, asks) = reconciled(&[history, &[said(1, word)]].concat());
        let row = &state.attempts[0];
        assert_eq!(asks, [query(&id(), row), again(&id(), row, what)]);
    }
}

fn capture_refused() -> Word {
    Word::CaptureRefused { code: "no".into(), retryable: true, r#try: 1 }
}

fn refund_refused(refund_id: RefundId) -> Word {
    Word::RefundRefused { refund_id, failure: "no".into(), r#try: 1 }
}
