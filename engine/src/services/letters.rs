//! Dead letters, done again on an operator's word; the word is on record.

use holdfast_domain::Decider;
use holdfast_domain::process::Process;
use uuid::Uuid;

use super::{WEBHOOKS, target};
use crate::dispatch::Context;
use crate::letters::{Command, State};
use crate::{Done, Engine, Rejection, Request};

impl Engine {
    /// Has a dead letter done again, under the names that it had; what was put behind it follows.
    pub async fn redrive(&self, request: &Request, dead_letter: Uuid) -> Result<Done, Rejection> {
        let stream = holdfast_store::StreamId::new(format!("{}-{dead_letter}", State::CATEGORY));
        let (engine, asked) = (self.clone(), request.clone());
        let work = self.to_its_end(async move { engine.redriven(&asked, dead_letter).await });
        self.noted(request, stream, work).await
    }

    async fn redriven(&self, request: &Request, id: Uuid) -> Result<Done, Rejection> {
        let entered = self.enter(request).await?;
        if let Some(row) = &entered.bound {
            return Ok(Done::before(row));
        }
        let names = Process::ALL.iter().map(|process| process.name()).chain([WEBHOOKS]);
        for consumer in names {
            let consumer = consumer.to_owned();
            let letter = self
                .look::<State, _>(&consumer, move |state| state.letters.get(&id).cloned())
                .await?;
            let Some(letter) = letter else { continue };
            let by = request.caller.actor.to_string();
            let command = Command::Redrive { id, by };
            let context = Context::of(request);
            let recording = self.record::<State>(request, &consumer, command, context).await?;
            match self.0.worker(&consumer) {
                Some(worker) => worker.redrive(id, letter).await,
                None => self.0.clone().retry_webhook(id, letter),
            }
            return Ok(Done { position: recording.position, replayed: recording.replayed });
        }
        tracing::debug!(stream = %target::<State>(&id.to_string()), "no such letter");
        Err(Rejection::NotFound("dead letter"))
    }
}
