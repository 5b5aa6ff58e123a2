//! A gateway that does as the token says, once for each key.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use holdfast_domain::payment::{Action, LostWhy, Word};
use holdfast_domain::process::GatewayCall;
use holdfast_domain::{Money, PaymentId, Timestamp};
use holdfast_engine::ports::{Gateway, GatewayAnswer, WebhookError, WebhookWord};
use serde::{Deserialize, Serialize};

#[derive(Default)]
pub(crate) struct Till(Mutex<HashMap<String, GatewayAnswer>>);

/// What its webhooks say; signed with the header `x-till: honest`.
#[derive(Serialize, Deserialize)]
pub(crate) struct Notice {
    pub(crate) id: String,
    pub(crate) payment_id: PaymentId,
    pub(crate) attempt: u16,
    pub(crate) word: Word,
}

fn reference(id: &PaymentId) -> String {
    format!("till_{id}")
}

pub(crate) fn authorized(id: &PaymentId, amount: Money) -> Word {
    Word::Authorized {
        gateway_ref: reference(id),
        approval_code: "A1".into(),
        amount,
        authorization_expires_at: None,
    }
}

pub(crate) fn succeeded(id: &PaymentId, amount: Money) -> Word {
    Word::Succeeded { gateway_ref: reference(id), amount, approval_code: Some("A1".into()) }
}

fn create(id: &PaymentId, amount: Money, method: Option<&str>) -> GatewayAnswer {
    let session = |redirect_url: Option<String>| {
        let action = redirect_url.as_ref().map(|_| Action::Redirect);
        Word::Session { gateway_ref: reference(id), redirect_url, expires_at: None, action }
    };
    match method {
        Some("tok_approve") => GatewayAnswer::Said(vec![authorized(id, amount)]),
        Some("tok_decline") => GatewayAnswer::Said(vec![Word::Declined {
            code: "card_declined".into(),
            decline_code: Some("insufficient_funds".into()),
            retryable: true,
        }]),
        Some("tok_silent") => GatewayAnswer::Unknown("no answer".into()),
        _ => GatewayAnswer::Said(vec![session(Some(format!("https://till.example/{id}")))]),
    }
}

#[async_trait]
impl Gateway for Till {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    async fn call(&self, call: &GatewayCall, method: Option<&str>) -> GatewayAnswer {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match call {
            GatewayCall::Create { payment_id, key, amount, again_of, .. } => {
                // What was approved once is approved again without its owner.
                let method = again_of.as_ref().map_or(method, |_| Some("tok_approve"));
                said.entry(key.clone())
                    .or_insert_with(|| create(payment_id, *amount, method))
                    .clone()
            }
            GatewayCall::Query { .. } => GatewayAnswer::Unknown("no answer".into()),
            GatewayCall::Capture { payment_id, amount, .. } => {
                GatewayAnswer::Said(vec![succeeded(payment_id, *amount)])
            }
            GatewayCall::Void { .. } => {
                GatewayAnswer::Said(vec![Word::Cancelled { lost: LostWhy::CancelledByGateway }])
            }
            GatewayCall::Refund { refund_id, amount, .. } => {
                GatewayAnswer::Said(vec![Word::Refunded { refund_id: *refund_id, amount: *amount }])
            }
        }
    }

    fn webhook(
        &self,
        header: &dyn Fn(&str) -> Option<String>,
        body: &[u8],
        _: Timestamp,
    ) -> Result<WebhookWord, WebhookError> {
        if header("x-till").as_deref() != Some("honest") {
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
