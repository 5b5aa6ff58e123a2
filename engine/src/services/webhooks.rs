//! What gateways say by themselves. Answered 2xx only after it is durable: recorded by its payment, or,
//! when there is no such payment or attempt yet, put aside in `deadletter-webhooks` and told again.

use std::sync::Arc;

use holdfast_domain::payment::{Command, Refusal, Via};
use holdfast_domain::process::{self, Ask};
use holdfast_domain::{PaymentId, derive, payment};
use holdfast_schemas::Actor;
use uuid::Uuid;

use crate::dispatch::{Context, Failed};
use crate::engine::Core;
use crate::letters::{self, Letter};
use crate::ports::WebhookError;
use crate::{Engine, Rejection};

/// The consumer whose dead letters these are.
pub(crate) const WEBHOOKS: &str = "webhooks";

impl Engine {
    /// Takes a gateway's word in. `header` looks a request header up by its lower-case name. A word
    /// about a payment that is not there (yet) is put aside, and this is `Ok`: a gateway that is told
    /// 4xx repeats itself for ever (D6).
    pub async fn webhook(
        &self,
        gateway: &str,
        header: &(dyn Fn(&str) -> Option<String> + Sync),
        body: &[u8],
    ) -> Result<(), WebhookError> {
        let port = self.0.gateway(gateway).map_err(|_| WebhookError::UnknownGateway)?;
        // The gateway has signed by the wall clock.
        let signed_by = self.0.house.clock.wall();
        let heard = port.webhook(&|name| header(name), body, signed_by)?;
        let (Some(payment_id), Some(word)) = (heard.payment_id, heard.word) else { return Ok(()) };
        let record = Command::Record {
            attempt: heard.attempt.unwrap_or(1),
            via: Via::Webhook,
            gateway_event_id: Some(heard.gateway_event_id.clone()),
            word,
        };
        // A name of its own for each delivery: the payment itself tells a repeat by the gateway's id,
        // and records that it ignored it (D5).
        let context = Context {
            actor: Actor::gateway(gateway),
            // A gateway may be told to come back, as a customer may.
            internal: false,
            ..Context::system(
                gateway,
                self.0.house.ids.fresh(),
                Some(heard.gateway_event_id.clone()),
            )
        };
        let recorded =
            self.0.dispatch.order::<payment::State>(&payment_id, record.clone(), context).await;
        match recorded {
            Ok(_) => Ok(()),
            Err(Failed::Refused(process::Refusal::Payment(Refusal::NotFound), _)) => {
                self.put_aside(gateway, &heard.gateway_event_id, payment_id, record).await
            }
            Err(Failed::Refused(refusal, _)) => {
                tracing::warn!(gateway, payment = %payment_id, %refusal, "a webhook was refused");
                Ok(())
            }
            Err(Failed::Rejected(rejection) | Failed::Broken(rejection)) => {
                Err(WebhookError::Unavailable(rejection.to_string()))
            }
        }
    }

    async fn put_aside(
        &self,
        gateway: &str,
        event: &str,
        payment_id: PaymentId,
        record: Command,
    ) -> Result<(), WebhookError> {
        let id = derive(&["webhook", gateway, event]);
        let ask = Box::new(Ask::Do(process::Command::Payment(payment_id, record)));
        let now = self.now();
        let park = letters::Command::Park {
            id,
            // It comes from outside, from no event of the log.
            position: 0,
            event_id: id,
            ask: Some(ask.clone()),
            error: "there is no such payment or attempt yet".into(),
            attempts: 1,
            first_failed_at: now,
            lane: None,
        };
        let webhooks = WEBHOOKS.to_owned();
        let fresh = self.0.house.ids.fresh();
        let context = Context::system(WEBHOOKS, fresh, Some(event.to_owned()));
        let parked = self.0.dispatch.order::<letters::State>(&webhooks, park, context).await;
        let parked = parked
            .map_err(|failed| WebhookError::Unavailable(failed.rejection(WEBHOOKS).to_string()))?;
        if !parked.events.is_empty() {
            let letter = self
                .look::<letters::State, _>(&webhooks, move |state| state.letters.get(&id).cloned());
            if let Ok(Some(letter)) = letter.await {
                self.0.clone().retry_webhook(id, letter);
            }
        }
        Ok(())
    }
}

impl Core {
    /// Tells a word again that was put aside: at once when an operator asks, else after each wait.
    pub(crate) fn retry_webhook(self: Arc<Self>, id: Uuid, letter: Letter) {
        let core = self.clone();
        let mut halt = self.halt.subscribe();
        self.lanes.spawn(async move {
            tokio::select! {
                () = core.tell_again(id, &letter) => {}
                _ = halt.wait_for(|halt| *halt) => {}
            }
        });
    }

    /// After a start: what was put aside and not told often enough.
    pub(crate) async fn retry_webhooks(self: &Arc<Self>) {
        let webhooks = WEBHOOKS.to_owned();
        let open = self.dispatch.look::<letters::State, _>(&webhooks, |view| {
            view.state.letters.iter().map(|(id, letter)| (*id, letter.clone())).collect::<Vec<_>>()
        });
        match open.await {
            Ok(open) => {
                for (id, letter) in open {
                    self.clone().retry_webhook(id, letter);
                }
            }
            Err(error) => tracing::error!(%error, "words that were put aside could not be read"),
        }
    }

    async fn tell_again(&self, id: Uuid, letter: &Letter) {
        let Some(Ask::Do(command)) = letter.ask.as_deref() else { return };
        let mut wait = self.house.settings.retry_base;
        for round in 0..=self.house.settings.retries {
            if round > 0 || !letter.redriven {
                self.house.clock.sleep(self.house.about(wait)).await;
                wait *= 2;
            }
            let context = Context::system(WEBHOOKS, derive(&["told", &id.to_string()]), None);
            match self.dispatch.run(command, context).await {
                Ok(_) => {
                    self.settle(id).await;
                    return;
                }
                Err(Failed::Refused(process::Refusal::Payment(Refusal::NotFound), _)) => {}
                Err(failed) => {
                    tracing::warn!(letter = %id, ?failed, "a gateway's word was not recorded yet");
                }
            }
        }
        tracing::error!(letter = %id, "a gateway's word is about nothing we know; it stays put aside");
    }

    async fn settle(&self, id: Uuid) {
        let context = Context::system(WEBHOOKS, self.house.ids.fresh(), None);
        let webhooks = WEBHOOKS.to_owned();
        let settle = letters::Command::Settle { id };
        let settled = self.dispatch.order::<letters::State>(&webhooks, settle, context).await;
        if let Err(failed) = settled {
            tracing::error!(letter = %id, ?failed, "told, but not recorded as settled");
        }
    }
}

impl From<Rejection> for WebhookError {
    fn from(rejection: Rejection) -> Self {
        Self::Unavailable(rejection.to_string())
    }
}
