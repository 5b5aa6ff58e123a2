//! Webhooks, as Stripe sends them: how they look, how they are signed and checked, how they are
//! delivered.
//!
//! ```text
//!   POST /api/v1/payments/webhook/sandbox
//!   Stripe-Signature: t=1795264826,v1=5257a8…        hex(HMAC-SHA256(secret, "1795264826." + body))
//!
//!   {"id":"evt_sandbox_1…","object":"event","type":"payment_intent.succeeded","created":1795264826,
//!    "data":{"object":{"id":"pi_sandbox_…","amount":4500,"currency":"eur","status":"succeeded",
//!     "metadata":{"payment_id":"…","attempt":"1","reservation_id":"…"}}}}
//! ```
//!
//! A webhook that was not taken (2xx) is sent again, later and later, also after a restart.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use holdfast_domain::payment::{LostWhy, Word};
use holdfast_domain::{Currency, Money, RefundId, Timestamp};
use holdfast_engine::ports::{WebhookError, WebhookWord};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use tokio::sync::watch;

use super::Sandbox;
use super::intent::Intent;

/// The header that carries the signature; looked up in lower case.
pub(super) const HEADER: &str = "stripe-signature";

/// The first wait after a webhook was not taken; each next one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How long the door may take.
const DOOR_TAKES: Duration = Duration::from_secs(10);
/// How many are on their way at once.
const AT_ONCE: usize = 16;

/// One webhook that is to be delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Webhook {
    /// Its place among all of them, from 1.
    pub(super) number: u64,
    /// The event's id, for who takes it.
    pub(super) id: String,
    pub(super) body: String,
}

/// The parts of an event that mean something to us.
#[derive(Debug, Serialize, Deserialize)]
struct Envelope {
    id: String,
    object: String,
    r#type: String,
    created: i64,
    data: Data,
}

#[derive(Debug, Serialize, Deserialize)]
struct Data {
    object: Object,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Object {
    id: String,
    amount: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount_received: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount_refunded: Option<i64>,
    currency: String,
    status: String,
    approval_code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_payment_error: Option<PaymentError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_expires_at: Option<Timestamp>,
    metadata: HashMap<String, String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct PaymentError {
    code: String,
    decline_code: Option<String>,
}

impl Webhook {
    /// Tells how an intent stands.
    pub(super) fn about(intent: &Intent, kind: &str, number: u64, now: Timestamp) -> Self {
        let id = format!("evt_sandbox_{number}_{}", &intent.id[intent.id.len() - 12..]);
        let last_payment_error = (kind == "payment_intent.payment_failed").then(|| {
            let (code, decline_code) = intent.decline();
            PaymentError { code: code.into(), decline_code: decline_code.map(Into::into) }
        });
        let status = serde_json::to_value(intent.status).ok();
        let envelope = Envelope {
            id: id.clone(),
            object: "event".into(),
            r#type: kind.into(),
            created: now.micros() / 1_000_000,
            data: Data {
                object: Object {
                    id: intent.id.clone(),
                    amount: intent.amount.amount_minor,
                    amount_received: (intent.captured_minor > 0).then_some(intent.captured_minor),
                    amount_refunded: None,
                    currency: intent.amount.currency.code().to_lowercase(),
                    status: status.and_then(|s| s.as_str().map(Into::into)).unwrap_or_default(),
                    approval_code: intent.approval_code.clone(),
                    last_payment_error,
                    authorization_expires_at: Some(intent.authorization_expires_at()),
                    metadata: HashMap::from([
                        ("payment_id".into(), intent.payment_id.to_string()),
                        ("attempt".into(), intent.attempt.to_string()),
                        ("reservation_id".into(), intent.reservation_id.to_string()),
                    ]),
                },
            },
        };
        let body = serde_json::to_string(&envelope).expect("an envelope is plain data");
        Self { number, id, body }
    }
}

/// HMAC-SHA256.
pub(super) fn mac(secret: &[u8], message: &[u8]) -> Vec<u8> {
    keyed(secret).chain_update(message).finalize().into_bytes().to_vec()
}

fn keyed(secret: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(secret).expect("HMAC takes keys of any length")
}

/// The signature header of a body.
pub(super) fn sign(secret: &[u8], body: &[u8], now: Timestamp) -> String {
    let t = now.micros() / 1_000_000;
    let signed = [t.to_string().as_bytes(), b".", body].concat();
    format!("t={t},v1={}", HEXLOWER.encode(&mac(secret, &signed)))
}

/// Whether any current secret signed the raw body, and lately. Compared in constant time.
pub(super) fn check(
    signature: &str,
    body: &[u8],
    now: Timestamp,
    tolerance: Duration,
    secrets: &[Vec<u8>],
) -> Result<(), WebhookError> {
    let mut t = None;
    let mut given: Vec<Vec<u8>> = Vec::new();
    for part in signature.split(',') {
        match part.trim().split_once('=') {
            Some(("t", text)) => t = text.parse::<i64>().ok().map(|secs| (secs, text)),
            Some(("v1", text)) => given.extend(HEXLOWER.decode(text.as_bytes())),
            _ => {}
        }
    }
    let (secs, text) = t.ok_or(WebhookError::BadSignature)?;
    let moment = Timestamp::from_secs(secs);
    if now.since(moment) > tolerance || moment.since(now) > tolerance {
        return Err(WebhookError::BadSignature);
    }
    let signed = [text.as_bytes(), b".", body].concat();
    let good = secrets.iter().any(|secret| {
        given.iter().any(|mac| keyed(secret).chain_update(&signed).verify_slice(mac).is_ok())
    });
    if good { Ok(()) } else { Err(WebhookError::BadSignature) }
}

/// What a webhook says, once its signature is good.
pub(super) fn read(body: &[u8]) -> Result<WebhookWord, WebhookError> {
    let malformed = |what: String| WebhookError::Malformed(what);
    let envelope: Envelope =
        serde_json::from_slice(body).map_err(|error| malformed(error.to_string()))?;
    let object = &envelope.data.object;
    let metadata = |name: &str| object.metadata.get(name).map(String::as_str);
    let money = |amount_minor| {
        Currency::new(&object.currency.to_uppercase())
            .map(|currency| Money::new(amount_minor, currency))
            .map_err(|error| malformed(error.to_string()))
    };
    let word = match envelope.r#type.as_str() {
        "payment_intent.succeeded" => Some(Word::Succeeded {
            gateway_ref: object.id.clone(),
            amount: money(object.amount_received.unwrap_or(object.amount))?,
            approval_code: Some(object.approval_code.clone()).filter(|code| !code.is_empty()),
        }),
        "payment_intent.amount_capturable_updated" => Some(Word::Authorized {
            gateway_ref: object.id.clone(),
            approval_code: object.approval_code.clone(),
            amount: money(object.amount)?,
            authorization_expires_at: object.authorization_expires_at,
        }),
        "payment_intent.payment_failed" => {
            let error = object.last_payment_error.as_ref();
            Some(Word::Declined {
                code: error.map_or_else(|| "card_declined".into(), |error| error.code.clone()),
                decline_code: error.and_then(|error| error.decline_code.clone()),
                retryable: true,
            })
        }
        "payment_intent.canceled" => Some(Word::Cancelled { lost: LostWhy::CancelledByGateway }),
        "charge.refunded" => match metadata("refund_id").and_then(|id| id.parse().ok()) {
            Some(id) => Some(Word::Refunded {
                refund_id: RefundId(id),
                amount: money(object.amount_refunded.unwrap_or(object.amount))?,
            }),
            None => None,
        },
        "charge.dispute.created" => Some(Word::Chargeback { amount: money(object.amount)? }),
        _ => None,
    };
    // As stored, or as the doors show it.
    let payment_id =
        metadata("payment_id").and_then(|id| id.strip_prefix("pay_").unwrap_or(id).parse().ok());
    let attempt = metadata("attempt").and_then(|attempt| attempt.parse().ok());
    Ok(WebhookWord { gateway_event_id: envelope.id, payment_id, attempt, word })
}

/// Brings webhooks to the door, and lets late payments succeed when their time has come.
pub(super) struct Courier {
    sandbox: Arc<Sandbox>,
    door: String,
    client: reqwest::Client,
}

/// How often the courier looks by itself; it is told of news at once.
const LOOK: Duration = Duration::from_millis(200);

impl Courier {
    pub(super) fn new(sandbox: Arc<Sandbox>, door: String) -> Self {
        let client = reqwest::Client::builder()
            .timeout(DOOR_TAKES)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client without TLS can always be built");
        Self { sandbox, door, client }
    }

    pub(super) async fn run(self, mut stop: watch::Receiver<bool>) {
        // By number: how often it was tried, and when it may be tried again.
        let mut tried: HashMap<u64, (u32, tokio::time::Instant)> = HashMap::new();
        while !*stop.borrow() {
            self.late_ones().await;
            let now = tokio::time::Instant::now();
            let due: Vec<Webhook> = {
                let book = self.sandbox.book();
                let waits = |webhook: &&Webhook| {
                    tried.get(&webhook.number).is_none_or(|(_, again)| *again <= now)
                };
                book.undelivered().filter(waits).take(AT_ONCE).cloned().collect()
            };
            let all = due.len() == AT_ONCE;
            let sent = futures::future::join_all(due.iter().map(|one| self.send(one))).await;
            for (webhook, taken) in due.iter().zip(sent) {
                if taken {
                    tried.remove(&webhook.number);
                } else {
                    let times = tried.get(&webhook.number).map_or(0, |(times, _)| *times);
                    let wait = FIRST_WAIT.saturating_mul(1 << times.min(10)).min(LONGEST_WAIT);
                    tried.insert(webhook.number, (times + 1, now + wait));
                }
            }
            if all {
                continue;
            }
            tokio::select! {
                () = self.sandbox.news.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
                _ = stop.changed() => {}
            }
        }
    }

    async fn late_ones(&self) {
        let due = self.sandbox.book().next_late().is_some_and(|at| at <= self.sandbox.now());
        if due
            && let Err(error) =
                self.sandbox.change(|book, now| book.let_late_ones_succeed(now)).await
        {
            tracing::error!(%error, "late payments could not be written down");
        }
    }

    /// Whether the door took it, and that is written down.
    async fn send(&self, webhook: &Webhook) -> bool {
        let settings = &self.sandbox.settings;
        let body = webhook.body.as_bytes();
        let answer = self
            .client
            .post(&self.door)
            .header(HEADER, sign(settings.signing_secret(), body, self.sandbox.now()))
            .header("content-type", "application/json")
            .body(webhook.body.clone())
            .send()
            .await;
        match answer {
            Ok(answer) if answer.status().is_success() => {
                self.sandbox.change(|book, _| book.delivered(&webhook.id)).await.is_ok()
            }
            Ok(answer) => {
                tracing::warn!(webhook = webhook.id, status = %answer.status(), "a webhook was not taken; it is sent again");
                false
            }
            Err(error) => {
                tracing::warn!(webhook = webhook.id, %error, "a webhook could not be delivered; it is sent again");
                false
            }
        }
    }
}
