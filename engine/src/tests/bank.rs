//! A gateway that keeps books: what was authorized, captured, voided and refunded, by key. It does each
//! key's deed once, as a real one does, and does as the token says.
//!
//! | token | what it does |
//! |---|---|
//! | `approve` | authorizes |
//! | `decline` | declines |
//! | `timeout` | authorizes, but never answers the create; a query finds it |
//! | `late` | takes it in; paid only when the test says so; cannot be cancelled meanwhile |
//! | none | a hosted page |

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use holdfast_domain::payment::{Action, LostWhy, Word};
use holdfast_domain::process::GatewayCall;
use holdfast_domain::{Money, PaymentId, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::ports::{Gateway, GatewayAnswer, WebhookError, WebhookWord};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Open,
    Processing,
    Authorized,
    Captured,
    Cancelled,
    Declined,
}

#[derive(Clone, Debug)]
pub(super) struct Intent {
    pub(super) standing: Standing,
    pub(super) amount: Money,
    pub(super) refunded: i64,
}

#[derive(Default)]
struct Books {
    intents: BTreeMap<(PaymentId, u16), Intent>,
    said: HashMap<String, GatewayAnswer>,
    /// Every deed by kind and key: none may stand twice.
    deeds: Vec<(&'static str, String)>,
    tokens: Vec<Option<String>>,
    silent_voids: u32,
    refused_voids: u32,
    refused_captures: u32,
}

pub(super) struct Bank {
    books: Mutex<Books>,
    /// Calls wait here while the bank is slow.
    slow: Semaphore,
    /// The moment by which a notice's signature was judged last.
    judged_at: Mutex<Option<Timestamp>>,
}

/// What its webhooks say.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Notice {
    pub(super) id: String,
    pub(super) payment_id: PaymentId,
    pub(super) attempt: u16,
    pub(super) word: Word,
}

impl Bank {
    pub(super) fn new() -> Self {
        let slow = Semaphore::new(Semaphore::MAX_PERMITS);
        Self { books: Mutex::default(), slow, judged_at: Mutex::default() }
    }

    fn books(&self) -> std::sync::MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn judged_at(&self) -> Option<Timestamp> {
        *self.judged_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn intent(&self, payment: PaymentId, attempt: u16) -> Option<Intent> {
        self.books().intents.get(&(payment, attempt)).cloned()
    }

    /// Captured and not given back, over everything.
    pub(super) fn kept(&self) -> i64 {
        let captured = |intent: &Intent| {
            if intent.standing == Standing::Captured { intent.amount.amount_minor } else { 0 }
        };
        self.books().intents.values().map(|intent| captured(intent) - intent.refunded).sum()
    }

    /// Intents that could still be paid, or captured.
    pub(super) fn alive(&self) -> usize {
        let alive = |intent: &&Intent| {
            matches!(
                intent.standing,
                Standing::Open | Standing::Processing | Standing::Authorized | Standing::Declined
            )
        };
        self.books().intents.values().filter(alive).count()
    }

    pub(super) fn deeds(&self, kind: &str) -> usize {
        self.books().deeds.iter().filter(|(deed, _)| *deed == kind).count()
    }

    pub(super) fn tokens(&self) -> Vec<Option<String>> {
        self.books().tokens.clone()
    }

    pub(super) fn nothing_was_done_twice(&self) {
        let mut deeds = self.books().deeds.clone();
        deeds.sort();
        let all = deeds.len();
        deeds.dedup();
        assert_eq!(deeds.len(), all, "a deed was done twice: {deeds:?}");
    }

    /// The customer pays on the hosted page, or what was being processed goes through.
    pub(super) fn pay(&self, payment: PaymentId, attempt: u16) -> Word {
        let mut books = self.books();
        let intent = books.intents.get_mut(&(payment, attempt)).expect("it was created");
        assert!(
            matches!(intent.standing, Standing::Open | Standing::Processing | Standing::Declined),
            "cannot be paid: {intent:?}"
        );
        if intent.standing == Standing::Processing {
            intent.standing = Standing::Captured;
            paid(payment, attempt, intent.amount)
        } else {
            intent.standing = Standing::Authorized;
            authorized(payment, attempt, intent.amount)
        }
    }

    /// The next voids are not answered at all, though they are not done either.
    pub(super) fn be_silent_on_voids(&self, count: u32) {
        self.books().silent_voids = count;
    }

    pub(super) fn refuse_voids(&self, count: u32) {
        self.books().refused_voids = count;
    }

    pub(super) fn refuse_captures(&self, count: u32) {
        self.books().refused_captures = count;
    }

    /// No call is answered until [`Self::hurry`].
    pub(super) fn dawdle(&self) {
        self.slow.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub(super) fn hurry(&self) {
        self.slow.add_permits(1_000);
    }

    fn create(
        books: &mut Books,
        id: (PaymentId, u16),
        amount: Money,
        token: Option<&str>,
    ) -> GatewayAnswer {
        books.tokens.push(token.map(Into::into));
        let (standing, answer) = match token {
            None => {
                let session = Word::Session {
                    gateway_ref: reference(id),
                    redirect_url: Some(format!("https://bank.example/{}", reference(id))),
                    expires_at: None,
                    action: Some(Action::Redirect),
                };
                (Standing::Open, GatewayAnswer::Said(vec![session]))
            }
            Some("approve") => {
                (Standing::Authorized, GatewayAnswer::Said(vec![authorized(id.0, id.1, amount)]))
            }
            Some("decline") => (Standing::Declined, GatewayAnswer::Said(vec![declined()])),
            Some("timeout") => (Standing::Authorized, GatewayAnswer::Unknown("no answer".into())),
            Some("late") => {
                let session = Word::Session {
                    gateway_ref: reference(id),
                    redirect_url: None,
                    expires_at: None,
                    action: None,
                };
                (Standing::Processing, GatewayAnswer::Said(vec![session]))
            }
            Some(other) => panic!("no such token: {other}"),
        };
        books.intents.insert(id, Intent { standing, amount, refunded: 0 });
        answer
    }

    fn cancel(books: &mut Books, id: (PaymentId, u16), r#try: u16) -> GatewayAnswer {
        let intent = books.intents.get_mut(&id).expect("a void follows a create");
        GatewayAnswer::Said(vec![match intent.standing {
            Standing::Open | Standing::Authorized | Standing::Declined | Standing::Cancelled => {
                intent.standing = Standing::Cancelled;
                Word::Cancelled { lost: LostWhy::CancelledByGateway }
            }
            Standing::Processing => Word::VoidRefused { code: "processing".into(), r#try },
            Standing::Captured => paid(id.0, id.1, intent.amount),
        }])
    }

    fn query(books: &Books, id: (PaymentId, u16)) -> GatewayAnswer {
        let Some(intent) = books.intents.get(&id) else { return GatewayAnswer::NothingKnown };
        GatewayAnswer::Said(match intent.standing {
            Standing::Open | Standing::Processing => Vec::new(),
            Standing::Authorized => vec![authorized(id.0, id.1, intent.amount)],
            Standing::Captured => vec![paid(id.0, id.1, intent.amount)],
            Standing::Cancelled => vec![Word::Cancelled { lost: LostWhy::CancelledByGateway }],
            Standing::Declined => vec![declined()],
        })
    }
}

#[async_trait]
impl Gateway for Bank {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    async fn call(&self, call: &GatewayCall, method: Option<&str>) -> GatewayAnswer {
        let _turn = self.slow.acquire().await.expect("never closed");
        let mut books = self.books();
        match call {
            GatewayCall::Create { payment_id, attempt, key, amount, again_of, .. } => {
                if let Some(said) = books.said.get(key) {
                    return said.clone();
                }
                // On the means of an earlier payment: good while that was.
                let again = again_of.as_ref().map(|earlier| {
                    let of = |(id, _): (&(PaymentId, u16), &Intent)| reference(*id) == *earlier;
                    if books.intents.iter().any(of) { "approve" } else { "decline" }
                });
                let token = method.or(again);
                let said = Self::create(&mut books, (*payment_id, *attempt), *amount, token);
                books.deeds.push(("create", key.clone()));
                books.said.insert(key.clone(), said.clone());
                said
            }
            GatewayCall::Query { payment_id, attempt, .. } => {
                Self::query(&books, (*payment_id, *attempt))
            }
            GatewayCall::Capture { payment_id, attempt, key, amount, r#try, .. } => {
                if let Some(said) = books.said.get(key) {
                    return said.clone();
                }
                let id = (*payment_id, *attempt);
                let said = if books.refused_captures > 0 {
                    books.refused_captures -= 1;
                    refused_capture(true, *r#try)
                } else {
                    let intent = books.intents.get_mut(&id).expect("a capture follows a create");
                    if intent.standing == Standing::Authorized {
                        intent.standing = Standing::Captured;
                        books.deeds.push(("capture", key.clone()));
                        paid(id.0, id.1, *amount)
                    } else {
                        refused_capture(false, *r#try)
                    }
                };
                let said = GatewayAnswer::Said(vec![said]);
                books.said.insert(key.clone(), said.clone());
                said
            }
            GatewayCall::Void { payment_id, attempt, key, create, r#try, .. } => {
                let id = (*payment_id, *attempt);
                if books.silent_voids > 0 {
                    books.silent_voids -= 1;
                    return GatewayAnswer::Unknown("no answer".into());
                }
                if let Some(said) = books.said.get(key) {
                    return said.clone();
                }
                if books.refused_voids > 0 {
                    books.refused_voids -= 1;
                    let no = Word::VoidRefused { code: "busy".into(), r#try: *r#try };
                    let said = GatewayAnswer::Said(vec![no]);
                    books.said.insert(key.clone(), said.clone());
                    return said;
                }
                if !books.intents.contains_key(&id)
                    && let GatewayCall::Create { key, amount, .. } = &**create
                {
                    // The create's key is spent, so that it cannot come later.
                    let said = Self::create(&mut books, id, *amount, method);
                    books.deeds.push(("create", key.clone()));
                    books.said.insert(key.clone(), said);
                }
                let said = Self::cancel(&mut books, id, *r#try);
                books.deeds.push(("void", key.clone()));
                books.said.insert(key.clone(), said.clone());
                said
            }
            GatewayCall::Refund { payment_id, attempt, key, amount, refund_id, .. } => {
                if let Some(said) = books.said.get(key) {
                    return said.clone();
                }
                let id = (*payment_id, *attempt);
                let intent = books.intents.get_mut(&id).expect("a refund follows a capture");
                assert_eq!(intent.standing, Standing::Captured, "only captured money goes back");
                intent.refunded += amount.amount_minor;
                assert!(intent.refunded <= intent.amount.amount_minor, "more back than came");
                books.deeds.push(("refund", key.clone()));
                let refunded = Word::Refunded { refund_id: *refund_id, amount: *amount };
                let said = GatewayAnswer::Said(vec![refunded]);
                books.said.insert(key.clone(), said.clone());
                said
            }
        }
    }

    fn webhook(
        &self,
        header: &dyn Fn(&str) -> Option<String>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<WebhookWord, WebhookError> {
        *self.judged_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        if header("signature").as_deref() != Some("good") {
            return Err(WebhookError::BadSignature);
        }
        let notice: Notice = serde_json::from_slice(body)
            .map_err(|error| WebhookError::Malformed(error.to_string()))?;
        Ok(WebhookWord {
            gateway_event_id: notice.id,
            payment_id: Some(notice.payment_id),
            attempt: Some(notice.attempt),
            word: Some(notice.word),
        })
    }
}

fn reference((payment, attempt): (PaymentId, u16)) -> String {
    format!("in_{payment}_{attempt}")
}

pub(super) fn authorized(payment: PaymentId, attempt: u16, amount: Money) -> Word {
    Word::Authorized {
        gateway_ref: reference((payment, attempt)),
        approval_code: "OK".into(),
        amount,
        authorization_expires_at: None,
    }
}

pub(super) fn paid(payment: PaymentId, attempt: u16, amount: Money) -> Word {
    Word::Succeeded { gateway_ref: reference((payment, attempt)), amount, approval_code: None }
}

fn declined() -> Word {
    Word::Declined {
        code: "card_declined".into(),
        decline_code: Some("insufficient_funds".into()),
        retryable: true,
    }
}

fn refused_capture(retryable: bool, r#try: u16) -> Word {
    Word::CaptureRefused { code: "refused".into(), retryable, r#try }
}
