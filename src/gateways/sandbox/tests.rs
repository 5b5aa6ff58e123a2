//! The sandbox, judged as a customer of a real gateway would judge it.

use std::sync::atomic::{AtomicI64, Ordering};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use holdfast_domain::payment::{Flow, Word};
use holdfast_domain::{Currency, Money, PaymentId, RefundId, ReservationId, derive};

use super::*;

/// A clock that stands still until it is moved.
#[derive(Default)]
struct Hand(AtomicI64);

impl Hand {
    fn go(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).expect("a short time");
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for Hand {
    fn wall(&self) -> Timestamp {
        Timestamp::from_micros(1_795_264_826_000_000 + self.0.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        futures::future::ready(()).boxed()
    }
}

struct House {
    sandbox: Arc<Sandbox>,
    clock: Arc<Hand>,
}

fn settings() -> Settings {
    Settings {
        public_url: "http://127.0.0.1:8080".into(),
        late_after: Duration::from_secs(5),
        tolerance: Duration::from_secs(300),
        secrets: vec![b"first".to_vec(), b"second".to_vec()],
    }
}

async fn house(ledger: impl Ledger) -> House {
    let clock = Arc::new(Hand::default());
    let sandbox = Sandbox::open(Arc::new(ledger), clock.clone(), settings()).await;
    House { sandbox: sandbox.expect("the book opens"), clock }
}

fn euros(amount_minor: i64) -> Money {
    Money::new(amount_minor, Currency::new("EUR").expect("a currency"))
}

fn payment() -> PaymentId {
    PaymentId(derive(&["test payment"]))
}

fn create(key: &str, flow: Flow, amount_minor: i64) -> GatewayCall {
    GatewayCall::Create {
        payment_id: payment(),
        attempt: 1,
        gateway: Sandbox::NAME.into(),
        key: key.into(),
        amount: euros(amount_minor),
        flow,
        reservation_id: ReservationId(derive(&["test reservation"])),
        again_of: None,
    }
}

/// A damage, charged on the means of an earlier intent.
fn create_again(key: &str, of: &str, amount_minor: i64) -> GatewayCall {
    GatewayCall::Create {
        payment_id: PaymentId(derive(&["test damage"])),
        attempt: 1,
        gateway: Sandbox::NAME.into(),
        key: key.into(),
        amount: euros(amount_minor),
        flow: Flow::Direct,
        reservation_id: ReservationId(derive(&["test reservation"])),
        again_of: Some(of.into()),
    }
}

fn capture(key: &str, gateway_ref: &str, amount_minor: i64) -> GatewayCall {
    GatewayCall::Capture {
        payment_id: payment(),
        attempt: 1,
        gateway: Sandbox::NAME.into(),
        key: key.into(),
        gateway_ref: gateway_ref.into(),
        amount: euros(amount_minor),
        r#try: 1,
    }
}

fn void(key: &str, gateway_ref: Option<&str>, create: GatewayCall) -> GatewayCall {
    GatewayCall::Void {
        payment_id: payment(),
        attempt: 1,
        gateway: Sandbox::NAME.into(),
        key: key.into(),
        gateway_ref: gateway_ref.map(Into::into),
        create: Box::new(create),
        r#try: 1,
    }
}

fn refund(key: &str, gateway_ref: &str, amount_minor: i64) -> GatewayCall {
    GatewayCall::Refund {
        payment_id: payment(),
        attempt: 1,
        gateway: Sandbox::NAME.into(),
        key: key.into(),
        gateway_ref: gateway_ref.into(),
        refund_id: RefundId(derive(&["test refund"])),
        amount: euros(amount_minor),
        r#try: 1,
    }
}

fn query(key: &str) -> GatewayCall {
    GatewayCall::Query {
        payment_id: payment(),
        attempt: 1,
        gateway: Sandbox::NAME.into(),
        key: key.into(),
    }
}

fn only(answer: GatewayAnswer) -> Word {
    let GatewayAnswer::Said(mut words) = answer else { panic!("nothing definite: {answer:?}") };
    assert_eq!(words.len(), 1, "one word was expected: {words:?}");
    words.remove(0)
}

fn reference(word: &Word) -> String {
    let (Word::Authorized { gateway_ref, .. }
    | Word::Succeeded { gateway_ref, .. }
    | Word::Session { gateway_ref, .. }) = word
    else {
        panic!("{word:?} has no reference")
    };
    gateway_ref.clone()
}

fn page_of(word: &Word) -> String {
    let Word::Session { redirect_url: Some(url), .. } = word else {
        panic!("{word:?} has no page")
    };
    url.rsplit('/').next().expect("a session").to_owned()
}

impl House {
    async fn call(&self, call: &GatewayCall, method: Option<&str>) -> GatewayAnswer {
        self.sandbox.call(call, method).await
    }

    fn ledger(&self) -> Vec<(String, String, i64)> {
        let book = self.sandbox.book();
        book.entries()
            .iter()
            .map(|entry| (entry.kind.clone(), entry.state.clone(), entry.amount_minor))
            .collect()
    }

    fn told(&self) -> Vec<WebhookWord> {
        let book = self.sandbox.book();
        let bodies = book.undelivered().map(|webhook| webhook.body.clone());
        bodies.map(|body| webhooks::read(body.as_bytes()).expect("our own webhook")).collect()
    }
}

fn rows(rows: &[(&str, &str, i64)]) -> Vec<(String, String, i64)> {
    rows.iter()
        .map(|(kind, state, amount)| (kind.to_string(), state.to_string(), *amount))
        .collect()
}

#[tokio::test]
async fn an_approved_token_is_authorized_and_captured_only_when_asked() {
    let house = house(MemoryLedger).await;
    let word = only(house.call(&create("k", Flow::Direct, 4500), Some("tok_approve")).await);
    assert!(matches!(&word, Word::Authorized { amount, .. } if *amount == euros(4500)));
    let captured = only(house.call(&capture("c", &reference(&word), 4500), None).await);
    assert!(matches!(captured, Word::Succeeded { amount, .. } if amount == euros(4500)));
    assert_eq!(
        house.ledger(),
        rows(&[("authorize", "authorized", 4500), ("capture", "captured", 4500)])
    );
}

#[tokio::test]
async fn declined_and_unknown_tokens_decline() {
    let house = house(MemoryLedger).await;
    for (key, method) in [("a", Some("tok_decline")), ("b", Some("4242424242424242")), ("c", None)]
    {
        let word = only(house.call(&create(key, Flow::Direct, 100), method).await);
        assert!(matches!(word, Word::Declined { .. }), "{method:?}: {word:?}");
    }
}

#[tokio::test]
async fn the_same_key_is_answered_as_the_first_time_and_another_request_under_it_is_an_error() {
    let house = house(MemoryLedger).await;
    let call = create("k", Flow::Direct, 100);
    let first = house.call(&call, Some("tok_approve")).await;
    assert_eq!(house.call(&call, Some("tok_approve")).await, first);
    assert_eq!(house.call(&call, None).await, first, "the token is forgotten once used");
    let other = house.call(&create("k", Flow::Direct, 101), Some("tok_approve")).await;
    assert!(matches!(other, GatewayAnswer::Unknown(_)), "{other:?}");
    let other = house.call(&call, Some("tok_decline")).await;
    assert!(matches!(other, GatewayAnswer::Unknown(_)), "{other:?}");
    assert_eq!(house.ledger().len(), 1);
}

#[tokio::test]
async fn a_refusal_is_replayed_by_its_key_and_another_key_is_decided_anew() {
    let house = house(MemoryLedger).await;
    let word = only(house.call(&create("k", Flow::Direct, 100), Some("tok_approve")).await);
    let gateway_ref = reference(&word);
    let refused = house.call(&refund("r1", &gateway_ref, 100), None).await;
    assert!(matches!(only(refused.clone()), Word::RefundRefused { .. }), "nothing is captured yet");
    house.call(&capture("c", &gateway_ref, 100), None).await;
    assert_eq!(house.call(&refund("r1", &gateway_ref, 100), None).await, refused);
    let word = only(house.call(&refund("r2", &gateway_ref, 100), None).await);
    assert!(matches!(word, Word::Refunded { .. }));
    let word = only(house.call(&refund("r3", &gateway_ref, 1), None).await);
    assert!(matches!(word, Word::RefundRefused { .. }), "nothing is left");
}

#[tokio::test]
async fn captured_money_is_not_cancelled_and_what_is_cancelled_is_not_captured() {
    let house = house(MemoryLedger).await;
    let first = create("k1", Flow::Direct, 100);
    let paid = reference(&only(house.call(&first, Some("tok_approve")).await));
    house.call(&capture("c1", &paid, 100), None).await;
    let word = only(house.call(&void("v1", Some(&paid), first), None).await);
    assert!(matches!(word, Word::Succeeded { .. }), "the refusal carries the intent: {word:?}");

    let second = create("k2", Flow::Direct, 100);
    let cancelled = reference(&only(house.call(&second, Some("tok_approve")).await));
    let word = only(house.call(&void("v2", Some(&cancelled), second), None).await);
    assert!(matches!(word, Word::Cancelled { .. }));
    let word = only(house.call(&capture("c2", &cancelled, 100), None).await);
    assert!(matches!(word, Word::Cancelled { .. }), "{word:?}");
    let captured: i64 = house
        .ledger()
        .iter()
        .filter(|(_, state, _)| state == "captured")
        .map(|(_, _, amount)| amount)
        .sum();
    assert_eq!(captured, 100);
}

#[tokio::test]
async fn a_void_without_a_reference_spends_the_key_of_the_create_that_may_still_come() {
    let house = house(MemoryLedger).await;
    let late = create("k", Flow::Direct, 100);
    let word = only(house.call(&void("v", None, late.clone()), None).await);
    assert!(matches!(word, Word::Cancelled { .. }));
    // The create call lands after all: its key is spent, nothing is charged.
    house.call(&late, Some("tok_approve")).await;
    let word = only(house.call(&query("k"), None).await);
    assert!(matches!(word, Word::Cancelled { .. }), "{word:?}");
    assert!(house.ledger().iter().all(|(_, state, _)| state != "authorized"));
}

#[tokio::test]
async fn a_timed_out_call_has_charged_and_is_found_by_its_key() {
    let house = house(MemoryLedger).await;
    let call = create("k", Flow::Direct, 100);
    for _ in 0..2 {
        let answer = house.call(&call, Some("tok_timeout")).await;
        assert!(matches!(answer, GatewayAnswer::Unknown(_)));
    }
    let word = only(house.call(&query("k"), None).await);
    assert!(matches!(word, Word::Authorized { .. }));
    assert_eq!(house.ledger(), rows(&[("authorize", "authorized", 100)]));
}

#[tokio::test]
async fn a_late_payment_cannot_be_cancelled_and_succeeds_by_webhook_in_its_own_time() {
    let house = house(MemoryLedger).await;
    let call = create("k", Flow::Direct, 100);
    let word = only(house.call(&call, Some("tok_late")).await);
    let refused = only(house.call(&void("v", Some(&reference(&word)), call), None).await);
    assert!(matches!(refused, Word::VoidRefused { .. }), "{refused:?}");
    house.clock.go(Duration::from_secs(4));
    let early = house.sandbox.change(|book, now| book.let_late_ones_succeed(now)).await;
    assert!(matches!(early, Ok(0)));
    house.clock.go(Duration::from_secs(1));
    let due = house.sandbox.change(|book, now| book.let_late_ones_succeed(now)).await;
    assert!(matches!(due, Ok(1)));
    let told = house.told();
    assert!(matches!(told[0].word, Some(Word::Succeeded { amount, .. }) if amount == euros(100)));
    assert_eq!((told[0].payment_id, told[0].attempt), (Some(payment()), Some(1)));
}

#[tokio::test]
async fn the_page_s_buttons_count_once() {
    let house = house(MemoryLedger).await;
    let word = only(house.call(&create("k", Flow::Hosted, 100), None).await);
    let session = page_of(&word);
    let press =
        async |approve| house.sandbox.change(|book, now| book.press(&session, approve, now)).await;
    assert!(matches!(press(true).await, Ok(true)));
    assert!(matches!(press(false).await, Ok(false)), "pressed already");
    let told = house.told();
    assert_eq!(told.len(), 1);
    assert!(matches!(told[0].word, Some(Word::Succeeded { .. })), "hosted money is captured");

    let word =
        only(house.call(&create("k2", Flow::Direct, 100), Some("tok_requires_action")).await);
    let session = page_of(&word);
    let pressed = house.sandbox.change(|book, now| book.press(&session, true, now)).await;
    assert!(matches!(pressed, Ok(true)));
    let told = house.told();
    assert!(matches!(told[1].word, Some(Word::Authorized { .. })), "a token's is authorized");
}

#[tokio::test]
async fn an_authorization_that_nobody_captures_lapses() {
    let house = house(MemoryLedger).await;
    let word = only(house.call(&create("k", Flow::Direct, 100), Some("tok_approve")).await);
    house.clock.go(intent::AUTHORIZATION_LASTS);
    let word = only(house.call(&capture("c", &reference(&word), 100), None).await);
    assert!(
        matches!(
            word,
            Word::Cancelled { lost: holdfast_domain::payment::LostWhy::AuthorizationLapsed }
        ),
        "{word:?}"
    );
}

#[tokio::test]
async fn the_book_survives_a_restart_and_a_line_that_was_never_finished_is_cut_off() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("sandbox/ledger.jsonl");
    let first = house(FileLedger::open(&path).expect("a new file")).await;
    let call = create("k", Flow::Hosted, 100);
    let answer = first.call(&call, None).await;
    let session = page_of(&only(answer.clone()));
    let pressed = first.sandbox.change(|book, now| book.press(&session, true, now)).await;
    assert!(matches!(pressed, Ok(true)));
    let ledger = first.ledger();
    drop(first);

    let mut bytes = std::fs::read(&path).expect("the file");
    bytes.extend_from_slice(b"[{\"intent\":{\"id\":\"torn");
    std::fs::write(&path, &bytes).expect("written");
    let again = house(FileLedger::open(&path).expect("a torn tail is cut")).await;
    assert_eq!(again.ledger(), ledger);
    assert_eq!(again.call(&call, None).await, answer, "the key is still spent");
    assert_eq!(again.told().len(), 1, "an undelivered webhook is still to be delivered");
    let whole = std::fs::read(&path).expect("the file");
    assert!(whole.ends_with(b"\n") && !whole.ends_with(b"torn\n"));
}

#[test]
fn damage_in_the_middle_of_the_book_is_told_with_its_line() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("ledger.jsonl");
    std::fs::write(&path, "[]\nnot json\n[]\n").expect("written");
    match FileLedger::open(&path) {
        Err(LedgerError::Damaged { line, .. }) => assert_eq!(line, 2),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("damage was not seen"),
    }
}

#[tokio::test]
async fn a_webhook_counts_only_when_a_current_secret_signed_just_these_bytes_lately() {
    let house = house(MemoryLedger).await;
    let now = house.clock.wall();
    let body = br#"{"id":"evt_1","object":"event","type":"payment_intent.succeeded","created":1,
        "data":{"object":{"id":"pi_1","amount":5,"currency":"eur"}}}"#;
    let judge = |signature: Option<String>, body: &[u8]| {
        let header = move |name: &str| signature.clone().filter(|_| name == "stripe-signature");
        house.sandbox.webhook(&header, body, now)
    };
    for secret in [b"first".as_slice(), b"second"] {
        assert!(judge(Some(webhooks::sign(secret, body, now)), body).is_ok());
    }
    let second = Duration::from_secs(1);
    let tolerance = Duration::from_secs(300);
    let bad = [
        None,
        Some(String::new()),
        Some("t=,v1=".into()),
        Some(webhooks::sign(b"third", body, now)),
        Some(webhooks::sign(b"first", b"other", now)),
        Some(webhooks::sign(b"first", body, now.minus(tolerance + second))),
        Some(webhooks::sign(b"first", body, now.plus(tolerance + second))),
    ];
    for signature in bad {
        assert_eq!(
            judge(signature.clone(), body),
            Err(WebhookError::BadSignature),
            "{signature:?}"
        );
    }
    for at in [now.minus(tolerance), now.plus(tolerance)] {
        assert!(judge(Some(webhooks::sign(b"first", body, at)), body).is_ok());
    }
    let nonsense = b"nonsense";
    let answer = judge(Some(webhooks::sign(b"first", nonsense, now)), nonsense);
    assert!(matches!(answer, Err(WebhookError::Malformed(_))));
}

#[tokio::test]
async fn a_webhook_of_a_kind_that_means_nothing_is_taken_without_a_word() {
    let body = br#"{"id":"evt_2","object":"event","type":"customer.created","created":1,
        "data":{"object":{"id":"cus_1"}}}"#;
    let word = webhooks::read(body).expect("well formed");
    assert_eq!((word.word, word.payment_id), (None, None));
}

/// A damage, fuel: charged later on the means of the rental, whatever became of its money.
#[tokio::test]
async fn what_once_paid_is_charged_again_without_its_customer() {
    let house = house(MemoryLedger).await;
    let paid = only(house.call(&create("rental", Flow::Direct, 9_000), Some("tok_approve")).await);
    let again = create_again("damage", &reference(&paid), 20_000);
    let word = only(house.call(&again, None).await);
    assert!(matches!(&word, Word::Authorized { amount, .. } if *amount == euros(20_000)));
    assert_ne!(reference(&word), reference(&paid), "an intent of its own");
    assert_eq!(only(house.call(&again, None).await), word, "the same key, the same charge");
    let captured = only(house.call(&capture("c", &reference(&word), 20_000), None).await);
    assert!(matches!(captured, Word::Succeeded { amount, .. } if amount == euros(20_000)));
    assert_eq!(
        house.ledger(),
        rows(&[
            ("authorize", "authorized", 9_000),
            ("authorize", "authorized", 20_000),
            ("capture", "captured", 20_000),
        ])
    );
}

#[tokio::test]
async fn what_never_paid_or_says_no_is_not_charged_again() {
    let house = house(MemoryLedger).await;
    let once = only(house.call(&create("a", Flow::Direct, 100), Some("tok_approve_once")).await);
    let page = only(house.call(&create("b", Flow::Hosted, 100), None).await);
    for (key, of) in [("c", reference(&once)), ("d", reference(&page)), ("e", "pi_none".into())] {
        let word = only(house.call(&create_again(key, &of, 100), None).await);
        assert!(matches!(word, Word::Declined { .. }), "{of}: {word:?}");
    }
    // Once its customer has paid on the page it may be.
    assert!(house.sandbox.book().press(&page_of(&page), true, house.sandbox.now()));
    let word = only(house.call(&create_again("f", &reference(&page), 100), None).await);
    assert!(matches!(word, Word::Authorized { .. }), "{word:?}");
}
