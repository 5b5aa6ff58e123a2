//! A gateway that never lies: one intent for each attempt, and a ledger of what it did.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use holdfast_domain::payment::{self, Flow, LostWhy, Via, Word};
use holdfast_domain::process::{Command, GatewayCall};
use holdfast_domain::{Money, PaymentId, Timestamp};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stands {
    Open,
    Authorized,
    Captured,
    Cancelled,
}

#[derive(Clone, Debug)]
struct Intent {
    payment_id: PaymentId,
    amount: Money,
    flow: Flow,
    since: Timestamp,
    stands: Stands,
    asked: bool,
    refunds: BTreeSet<String>,
    refunded: i64,
}

/// Intents by attempt.
#[derive(Debug, Default)]
pub(crate) struct Gateway {
    intents: BTreeMap<u16, Intent>,
}

impl Gateway {
    /// What is captured and did not go back.
    pub(crate) fn kept(&self) -> i64 {
        let captured = |intent: &&Intent| intent.stands == Stands::Captured;
        let kept = |intent: &Intent| intent.amount.amount_minor - intent.refunded;
        self.intents.values().filter(captured).map(kept).sum()
    }

    /// Whether some intent could still take money.
    pub(crate) fn may_still_charge(&self) -> bool {
        self.intents
            .values()
            .any(|intent| matches!(intent.stands, Stands::Open | Stands::Authorized))
    }

    /// The customer pays (or the bank declines the first attempt) so long after an attempt began.
    pub(crate) fn customer(
        &mut self,
        now: Timestamp,
        pays: Option<Duration>,
        declined_first: bool,
    ) -> Vec<Command> {
        let Some(pays) = pays else { return vec![] };
        let mut words = Vec::new();
        for (attempt, intent) in &mut self.intents {
            if intent.stands != Stands::Open || intent.asked || intent.since.plus(pays) > now {
                continue;
            }
            intent.asked = true;
            if *attempt == 1 && declined_first {
                let word = Word::Declined {
                    code: "card_declined".into(),
                    decline_code: None,
                    retryable: true,
                };
                words.push(record(intent.payment_id, *attempt, Via::Webhook, word));
                continue;
            }
            intent.stands = match intent.flow {
                Flow::Direct => Stands::Authorized,
                Flow::Hosted => Stands::Captured,
            };
            words.extend(
                intent.word().map(|it| record(intent.payment_id, *attempt, Via::Webhook, it)),
            );
        }
        words
    }

    /// Does what is asked, once for each key, and says how it stands.
    pub(crate) fn answer(&mut self, call: &GatewayCall, now: Timestamp) -> Vec<Command> {
        match call {
            GatewayCall::Create { payment_id, attempt, amount, flow, .. } => {
                let intent = self.intents.entry(*attempt).or_insert_with(|| Intent {
                    payment_id: *payment_id,
                    amount: *amount,
                    flow: *flow,
                    since: now,
                    stands: Stands::Open,
                    asked: false,
                    refunds: BTreeSet::new(),
                    refunded: 0,
                });
                let session = Word::Session {
                    gateway_ref: format!("intent-{attempt}"),
                    redirect_url: None,
                    expires_at: None,
                    action: None,
                };
                let word = intent.word().unwrap_or(session);
                vec![record(*payment_id, *attempt, Via::Sync, word)]
            }
            GatewayCall::Query { payment_id, attempt, .. } => self
                .intents
                .get(attempt)
                .and_then(Intent::word)
                .map(|word| record(*payment_id, *attempt, Via::Poll, word))
                .into_iter()
                .collect(),
            GatewayCall::Capture { payment_id, attempt, r#try, .. } => {
                let Some(intent) = self.intents.get_mut(attempt) else { return vec![] };
                if intent.stands == Stands::Authorized {
                    intent.stands = Stands::Captured;
                }
                let refused = Word::CaptureRefused {
                    code: "cancelled".into(),
                    retryable: false,
                    r#try: *r#try,
                };
                let word = match intent.stands {
                    Stands::Captured => intent.word().unwrap_or(refused),
                    Stands::Open | Stands::Authorized | Stands::Cancelled => refused,
                };
                vec![record(*payment_id, *attempt, Via::Sync, word)]
            }
            GatewayCall::Void { payment_id, attempt, create, .. } => {
                self.answer(create, now);
                let Some(intent) = self.intents.get_mut(attempt) else { return vec![] };
                if intent.stands != Stands::Captured {
                    intent.stands = Stands::Cancelled;
                }
                let word = intent.word();
                word.map(|it| record(*payment_id, *attempt, Via::Sync, it)).into_iter().collect()
            }
            GatewayCall::Refund { payment_id, attempt, key, refund_id, amount, .. } => {
                let Some(intent) = self.intents.get_mut(attempt) else { return vec![] };
                if intent.refunds.insert(key.clone()) {
                    intent.refunded += amount.amount_minor;
                }
                let word = Word::Refunded { refund_id: *refund_id, amount: *amount };
                vec![record(*payment_id, *attempt, Via::Sync, word)]
            }
        }
    }
}

impl Intent {
    fn word(&self) -> Option<Word> {
        let gateway_ref = "intent".to_owned();
        let amount = self.amount;
        match self.stands {
            Stands::Open => None,
            Stands::Authorized => Some(Word::Authorized {
                gateway_ref,
                approval_code: "ok".into(),
                amount,
                authorization_expires_at: None,
            }),
            Stands::Captured => {
                Some(Word::Succeeded { gateway_ref, amount, approval_code: Some("ok".into()) })
            }
            Stands::Cancelled => Some(Word::Cancelled { lost: LostWhy::CancelledByGateway }),
        }
    }
}

fn record(payment_id: PaymentId, attempt: u16, via: Via, word: Word) -> Command {
    let gateway_event_id = None;
    Command::Payment(payment_id, payment::Command::Record { attempt, via, gateway_event_id, word })
}
