//! The sandbox's rules: what each call does to the book. Pure; told the time.
//!
//! A key is spent by its first call: the same call again is answered as the first time, refusals
//! included, and another call under the same key is an error. That is what real gateways do, and
//! what makes our retries safe.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use data_encoding::HEXLOWER;
use holdfast_domain::payment::{Flow, LostWhy, Word};
use holdfast_domain::process::GatewayCall;
use holdfast_domain::{Money, PaymentId, RefundId, ReservationId, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::intent::{Intent, Status};
use super::webhooks::{self, Webhook};

/// What a call is answered with.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    /// Something definite.
    Said(Vec<Word>),
    /// A query for something that is not there.
    NothingKnown,
    /// No answer at all.
    Silence,
    /// The key was used with other parameters.
    KeyReused,
}

/// One row of the ledger that people with the permission may read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) payment_id: PaymentId,
    /// `authorize`, `capture`, `void`, `refund`.
    pub(super) kind: String,
    /// `requires_action`, `processing`, `declined`, `authorized`, `captured`, `voided`, `refunded`.
    pub(super) state: String,
    pub(super) amount_minor: i64,
    pub(super) currency: String,
    pub(super) at: Timestamp,
}

/// What a change writes down. Names are stored: they never change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Record {
    /// An intent, as it stands from now on.
    Intent(Box<Intent>),
    /// A key is spent.
    Key {
        /// The key.
        key: String,
        /// What was asked for under it.
        asked: String,
        /// What was answered; none for silence.
        said: Option<Vec<Word>>,
    },
    /// A row of the ledger; takes the place of an earlier one of the same key and kind.
    Entry(Entry),
    /// A webhook is to be delivered.
    Webhook(Webhook),
    /// It was.
    Delivered {
        /// Which.
        id: String,
    },
}

struct Spent {
    asked: String,
    said: Option<Vec<Word>>,
}

/// The whole book.
pub(super) struct Book {
    late_after: Duration,
    session_key: Vec<u8>,
    intents: HashMap<String, Intent>,
    by_key: HashMap<String, String>,
    by_session: HashMap<String, String>,
    by_attempt: HashMap<(PaymentId, u16), String>,
    /// Late intents by the moment of their success.
    late: BTreeMap<(Timestamp, String), ()>,
    spent: HashMap<String, Spent>,
    entries: Vec<Entry>,
    entry_at: HashMap<(String, String), usize>,
    /// Undelivered, oldest first.
    webhooks: BTreeMap<u64, Webhook>,
    webhook_count: u64,
    records: Vec<Record>,
}

impl Book {
    pub(super) fn new(late_after: Duration, session_key: Vec<u8>) -> Self {
        Self {
            late_after,
            session_key,
            intents: HashMap::new(),
            by_key: HashMap::new(),
            by_session: HashMap::new(),
            by_attempt: HashMap::new(),
            late: BTreeMap::new(),
            spent: HashMap::new(),
            entries: Vec::new(),
            entry_at: HashMap::new(),
            webhooks: BTreeMap::new(),
            webhook_count: 0,
            records: Vec::new(),
        }
    }

    /// What has changed since it was asked last.
    pub(super) fn take_records(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.records)
    }

    /// Takes a written record in.
    pub(super) fn apply(&mut self, record: &Record) {
        match record {
            Record::Intent(intent) => {
                let id = intent.id.clone();
                self.by_key.insert(intent.key.clone(), id.clone());
                self.by_attempt.insert((intent.payment_id, intent.attempt), id.clone());
                if let Some(session) = &intent.session {
                    self.by_session.insert(session.clone(), id.clone());
                }
                if let Some(at) = intent.succeeds_at {
                    if intent.status == Status::Processing {
                        self.late.insert((at, id.clone()), ());
                    } else {
                        self.late.remove(&(at, id.clone()));
                    }
                }
                self.intents.insert(id, (**intent).clone());
            }
            Record::Key { key, asked, said } => {
                let spent = Spent { asked: asked.clone(), said: said.clone() };
                self.spent.insert(key.clone(), spent);
            }
            Record::Entry(entry) => {
                let place = (entry.key.clone(), entry.kind.clone());
                match self.entry_at.get(&place) {
                    Some(&at) => self.entries[at] = entry.clone(),
                    None => {
                        self.entry_at.insert(place, self.entries.len());
                        self.entries.push(entry.clone());
                    }
                }
            }
            Record::Webhook(webhook) => {
                self.webhook_count = self.webhook_count.max(webhook.number);
                self.webhooks.insert(webhook.number, webhook.clone());
            }
            Record::Delivered { id } => self.webhooks.retain(|_, webhook| webhook.id != *id),
        }
    }

    fn record(&mut self, record: Record) {
        self.apply(&record);
        self.records.push(record);
    }

    /// The ledger, oldest key first.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Webhooks that are not delivered yet.
    pub(super) fn undelivered(&self) -> impl Iterator<Item = &Webhook> {
        self.webhooks.values()
    }

    /// The intent of a page.
    pub(super) fn of_session(&self, session: &str) -> Option<&Intent> {
        self.intents.get(self.by_session.get(session)?)
    }

    /// When the next late payment succeeds.
    pub(super) fn next_late(&self) -> Option<Timestamp> {
        self.late.keys().next().map(|(at, _)| *at)
    }

    /// Does one call.
    pub(super) fn call(
        &mut self,
        call: &GatewayCall,
        method: Option<&str>,
        public_url: &str,
        now: Timestamp,
    ) -> Answer {
        match call {
            GatewayCall::Create {
                payment_id,
                attempt,
                key,
                amount,
                flow,
                reservation_id,
                again_of,
                gateway: _,
            } => {
                let wish = Wish {
                    payment_id: *payment_id,
                    attempt: *attempt,
                    key,
                    amount: *amount,
                    flow: *flow,
                    reservation_id: *reservation_id,
                    again_of: again_of.as_deref(),
                };
                self.create(&wish, method, public_url, now)
            }
            GatewayCall::Query { payment_id, attempt, key, .. } => {
                let by_attempt = self.by_attempt.get(&(*payment_id, *attempt));
                match self.by_key.get(key).or(by_attempt) {
                    Some(id) => Answer::Said(self.intents[id].words(now, public_url)),
                    None => Answer::NothingKnown,
                }
            }
            GatewayCall::Capture { key, gateway_ref, amount, r#try, .. } => {
                let asked = format!("capture {gateway_ref} {amount}");
                self.once(key, asked, |book| book.capture(key, gateway_ref, *amount, *r#try, now))
            }
            GatewayCall::Void { key, gateway_ref, create, r#try, .. } => {
                self.void(key, gateway_ref.as_deref(), create, *r#try, public_url, now)
            }
            GatewayCall::Refund { key, gateway_ref, refund_id, amount, r#try, .. } => {
                let asked = format!("refund {gateway_ref} {refund_id} {amount}");
                self.once(key, asked, |book| {
                    book.refund(key, gateway_ref, *refund_id, *amount, *r#try, now)
                })
            }
        }
    }

    /// Does something under a key at most once; a repeat is answered as the first time.
    fn once(
        &mut self,
        key: &str,
        asked: String,
        act: impl FnOnce(&mut Self) -> Vec<Word>,
    ) -> Answer {
        if let Some(answer) = self.answered(key, &asked) {
            return answer;
        }
        let said = act(self);
        self.record(Record::Key { key: key.into(), asked, said: Some(said.clone()) });
        Answer::Said(said)
    }

    fn answered(&self, key: &str, asked: &str) -> Option<Answer> {
        let spent = self.spent.get(key)?;
        Some(match &spent.said {
            _ if spent.asked != asked => Answer::KeyReused,
            Some(words) => Answer::Said(words.clone()),
            None => Answer::Silence,
        })
    }

    fn create(
        &mut self,
        wish: &Wish<'_>,
        method: Option<&str>,
        public_url: &str,
        now: Timestamp,
    ) -> Answer {
        let asked = wish.asked();
        if let Some(answer) = self.answered(wish.key, &asked) {
            // A repeat may come without the token, which is forgotten once used; another token is
            // another request.
            let first = self.by_key.get(wish.key).and_then(|id| self.intents[id].method.as_deref());
            let other = matches!((first, method), (Some(first), Some(now)) if first != now);
            return if other { Answer::KeyReused } else { answer };
        }
        let again = wish
            .again_of
            .map(|id| self.intents.get(id).is_some_and(|earlier| earlier.may_be_charged_again()));
        let status = match (wish.flow, method) {
            _ if again == Some(true) => Status::RequiresCapture,
            _ if again == Some(false) => Status::RequiresMethod,
            (Flow::Hosted, _) | (Flow::Direct, Some("tok_requires_action")) => {
                Status::RequiresAction
            }
            (Flow::Direct, Some("tok_approve" | "tok_timeout" | "tok_approve_once")) => {
                Status::RequiresCapture
            }
            (Flow::Direct, Some("tok_late")) => Status::Processing,
            (Flow::Direct, _) => Status::RequiresMethod,
        };
        let name = HEXLOWER.encode(&Sha256::digest(wish.key.as_bytes()));
        let intent = Intent {
            id: format!("pi_sandbox_{}", &name[..24]),
            key: wish.key.into(),
            payment_id: wish.payment_id,
            attempt: wish.attempt,
            reservation_id: wish.reservation_id,
            amount: wish.amount,
            flow: wish.flow,
            method: method.filter(|_| wish.flow == Flow::Direct && again.is_none()).map(Into::into),
            again_of: wish.again_of.map(Into::into),
            status,
            approval_code: name[58..64].to_uppercase(),
            session: (status == Status::RequiresAction).then(|| self.session_name(wish.key)),
            captured_minor: 0,
            refunded_minor: 0,
            created_at: now,
            authorized_at: (status == Status::RequiresCapture).then_some(now),
            succeeds_at: (status == Status::Processing).then(|| now.plus(self.late_after)),
        };
        let state = match status {
            Status::RequiresMethod => "declined",
            Status::RequiresAction => "requires_action",
            Status::Processing => "processing",
            Status::RequiresCapture => "authorized",
            Status::Succeeded | Status::Canceled => unreachable!("no intent begins like that"),
        };
        let said = (method != Some("tok_timeout")).then(|| intent.words(now, public_url));
        self.entry(&intent, wish.key, "authorize", state, intent.amount, now);
        self.record(Record::Intent(Box::new(intent)));
        self.record(Record::Key { key: wish.key.into(), asked, said: said.clone() });
        said.map_or(Answer::Silence, Answer::Said)
    }

    fn session_name(&self, key: &str) -> String {
        HEXLOWER.encode(&webhooks::mac(&self.session_key, key.as_bytes())[..16])
    }

    fn capture(
        &mut self,
        key: &str,
        id: &str,
        amount: Money,
        r#try: u16,
        now: Timestamp,
    ) -> Vec<Word> {
        let refused = |code: &str, retryable| {
            vec![Word::CaptureRefused { code: code.into(), retryable, r#try }]
        };
        let Some(mut intent) = self.intents.get(id).cloned() else {
            return refused("no_such_intent", false);
        };
        match intent.status(now) {
            Status::RequiresCapture if amount.currency != intent.amount.currency => {
                refused("currency_mismatch", false)
            }
            Status::RequiresCapture
                if amount.amount_minor > intent.amount.amount_minor || amount.amount_minor < 0 =>
            {
                refused("amount_too_large", false)
            }
            Status::RequiresCapture => {
                intent.captured_minor = amount.amount_minor;
                intent.status = Status::Succeeded;
                self.entry(&intent, key, "capture", "captured", amount, now);
                let said = vec![intent.succeeded()];
                self.record(Record::Intent(Box::new(intent)));
                said
            }
            // The refusal of a second capture carries the intent, as Stripe's does.
            Status::Succeeded => vec![intent.succeeded()],
            Status::Canceled => intent.words(now, ""),
            Status::RequiresMethod | Status::RequiresAction | Status::Processing => {
                refused("not_authorized", false)
            }
        }
    }

    fn void(
        &mut self,
        key: &str,
        id: Option<&str>,
        create: &GatewayCall,
        r#try: u16,
        public_url: &str,
        now: Timestamp,
    ) -> Answer {
        let id = match (id, create) {
            (Some(id), _) => id.to_owned(),
            (None, GatewayCall::Create { key: create_key, .. }) => {
                // The create call may still be on its way: spend its key, then cancel what it made.
                if self.call(create, None, public_url, now) == Answer::KeyReused {
                    return Answer::KeyReused;
                }
                self.by_key[create_key].clone()
            }
            (None, _) => return Answer::NothingKnown,
        };
        let asked = format!("void {id}");
        self.once(key, asked, |book| book.cancel(key, &id, r#try, now))
    }

    fn cancel(&mut self, key: &str, id: &str, r#try: u16, now: Timestamp) -> Vec<Word> {
        let refused = |code: &str| vec![Word::VoidRefused { code: code.into(), r#try }];
        let Some(mut intent) = self.intents.get(id).cloned() else {
            return refused("no_such_intent");
        };
        match intent.status(now) {
            Status::RequiresMethod | Status::RequiresAction | Status::RequiresCapture => {
                intent.status = Status::Canceled;
                self.entry(&intent, key, "void", "voided", intent.amount, now);
                self.record(Record::Intent(Box::new(intent)));
                vec![Word::Cancelled { lost: LostWhy::CancelledByGateway }]
            }
            Status::Canceled => intent.words(now, ""),
            Status::Processing => refused("processing_cannot_be_cancelled"),
            // Captured money is not cancelled; the refusal carries the intent, as Stripe's does.
            Status::Succeeded => vec![intent.succeeded()],
        }
    }

    fn refund(
        &mut self,
        key: &str,
        id: &str,
        refund_id: RefundId,
        amount: Money,
        r#try: u16,
        now: Timestamp,
    ) -> Vec<Word> {
        let refused =
            |failure: &str| vec![Word::RefundRefused { refund_id, failure: failure.into(), r#try }];
        let Some(mut intent) = self.intents.get(id).cloned() else {
            return refused("no_such_intent");
        };
        if intent.status(now) != Status::Succeeded {
            return refused("not_captured");
        }
        if amount.currency != intent.amount.currency
            || amount.amount_minor <= 0
            || amount.amount_minor > intent.refundable_minor()
        {
            return refused("amount_too_large");
        }
        intent.refunded_minor += amount.amount_minor;
        self.entry(&intent, key, "refund", "refunded", amount, now);
        self.record(Record::Intent(Box::new(intent)));
        vec![Word::Refunded { refund_id, amount }]
    }

    /// The customer presses a button of the page. Whether it still counted.
    pub(super) fn press(&mut self, session: &str, approve: bool, now: Timestamp) -> bool {
        let Some(mut intent) = self.of_session(session).cloned() else { return false };
        if intent.status(now) != Status::RequiresAction {
            return false;
        }
        if !approve {
            intent.status = Status::RequiresMethod;
            let key = intent.key.clone();
            self.entry(&intent, &key, "authorize", "declined", intent.amount, now);
            self.tell("payment_intent.payment_failed", &intent, now);
        } else if intent.flow == Flow::Direct {
            intent.status = Status::RequiresCapture;
            intent.authorized_at = Some(now);
            let key = intent.key.clone();
            self.entry(&intent, &key, "authorize", "authorized", intent.amount, now);
            self.tell("payment_intent.amount_capturable_updated", &intent, now);
        } else {
            self.take_all(&mut intent, now);
        }
        self.record(Record::Intent(Box::new(intent)));
        true
    }

    /// Lets late payments that are due succeed; how many did.
    pub(super) fn let_late_ones_succeed(&mut self, now: Timestamp) -> usize {
        let due: Vec<String> =
            self.late.keys().take_while(|(at, _)| *at <= now).map(|(_, id)| id.clone()).collect();
        for id in &due {
            let mut intent = self.intents[id].clone();
            self.take_all(&mut intent, now);
            self.record(Record::Intent(Box::new(intent)));
        }
        due.len()
    }

    /// Authorized and captured in one go, and told by webhook.
    fn take_all(&mut self, intent: &mut Intent, now: Timestamp) {
        intent.status = Status::Succeeded;
        intent.authorized_at = Some(now);
        intent.captured_minor = intent.amount.amount_minor;
        let key = intent.key.clone();
        self.entry(intent, &key, "authorize", "authorized", intent.amount, now);
        self.entry(intent, &key, "capture", "captured", intent.amount, now);
        self.tell("payment_intent.succeeded", intent, now);
    }

    fn tell(&mut self, kind: &str, intent: &Intent, now: Timestamp) {
        let number = self.webhook_count + 1;
        let webhook = Webhook::about(intent, kind, number, now);
        self.record(Record::Webhook(webhook));
    }

    /// A webhook was taken.
    pub(super) fn delivered(&mut self, id: &str) {
        self.record(Record::Delivered { id: id.into() });
    }

    fn entry(
        &mut self,
        intent: &Intent,
        key: &str,
        kind: &str,
        state: &str,
        amount: Money,
        at: Timestamp,
    ) {
        self.record(Record::Entry(Entry {
            key: key.into(),
            payment_id: intent.payment_id,
            kind: kind.into(),
            state: state.into(),
            amount_minor: amount.amount_minor,
            currency: amount.currency.code().into(),
            at,
        }));
    }
}

/// What a create call asks for.
struct Wish<'a> {
    payment_id: PaymentId,
    attempt: u16,
    key: &'a str,
    amount: Money,
    flow: Flow,
    reservation_id: ReservationId,
    again_of: Option<&'a str>,
}

impl Wish<'_> {
    fn asked(&self) -> String {
        let asked = format!(
            "create {} {} {} {:?} {}",
            self.payment_id, self.attempt, self.amount, self.flow, self.reservation_id
        );
        self.again_of.map_or_else(|| asked.clone(), |id| format!("{asked} again of {id}"))
    }
}
