//! What the doors may ask for. Each request is let in once at a time under its key, answered from what
//! the key has recorded before, or taken to its stream; a refusal is noted beside the log.

mod catalogue;
mod fleet;
mod gate;
mod inbound;
mod inspections;
mod letters;
mod outcome;
mod payments;
mod rentals;
mod reservations;
mod seats;
mod unlocking;
mod webhooks;

use std::future::Future;

use holdfast_domain::Decider;
use holdfast_store::StreamId;

use crate::dispatch::{Context, Failed, Part, Recording, stream_name};
use crate::follow::InFlight;
use crate::hosted::Hosted;
use crate::side::{KeyRow, RejectedCommand};
use crate::{Done, Engine, Rejection, Request};

pub(crate) use webhooks::WEBHOOKS;

/// A request that was let in; until this goes, another one with its key is told to wait.
pub(crate) struct Entered {
    _running: InFlight,
    /// What its key has recorded before.
    pub(crate) bound: Option<KeyRow>,
}

impl Engine {
    /// Lets a request in: one at a time under its key, and only with the input that the key is bound to.
    pub(crate) async fn enter(&self, request: &Request) -> Result<Entered, Rejection> {
        let keys = &self.0.index.keys;
        let command_id = request.command_id();
        let running = keys.enter(command_id, &request.fingerprint)?;
        let bound = if self.0.house.protections.command_memory {
            keys.bound(command_id, &request.fingerprint).await?
        } else {
            None
        };
        Ok(Entered { _running: running, bound })
    }

    /// Takes the command that a request is about to its stream, and binds its key to what it records.
    pub(crate) async fn record<D: Hosted>(
        &self,
        request: &Request,
        id: &D::Id,
        command: D::Command,
        context: Context,
    ) -> Result<Recording<D>, Rejection> {
        let ordered = self.0.dispatch.order::<D>(id, command, context).await;
        self.bind(request, id, ordered)
    }

    /// The same for a command that has a part in a second stream: all of it is recorded, or nothing.
    pub(crate) async fn record_both<A: Hosted, B: Hosted>(
        &self,
        request: &Request,
        first: Part<A>,
        then: impl Fn(&A) -> Option<Part<B>> + Send + Sync,
    ) -> Result<Recording<A>, Rejection> {
        let id = first.id.clone();
        let ordered = self.0.dispatch.both::<A, B>(first, then).await;
        self.bind(request, &id, ordered)
    }

    /// Binds a request's key to what was recorded.
    fn bind<D: Hosted>(
        &self,
        request: &Request,
        id: &D::Id,
        ordered: Result<Recording<D>, Failed>,
    ) -> Result<Recording<D>, Rejection> {
        let stream = stream_name::<D>(id);
        let recording = ordered.map_err(|failed| failed.rejection(stream.key()))?;
        if let Some((first, last)) = recording.versions {
            self.0.index.keys.note(&[KeyRow {
                command_id: request.command_id(),
                fingerprint: request.fingerprint.clone(),
                stream: stream.to_string(),
                first,
                last,
                position: recording.position,
                at: self.now(),
            }]);
        }
        Ok(recording)
    }

    /// The whole of an operator's mutation that is one command. It runs to its end: its key is taken until
    /// what was recorded is noted, whoever has gone away meanwhile.
    pub(crate) async fn one_command<D: Hosted>(
        &self,
        request: &Request,
        id: D::Id,
        command: D::Command,
    ) -> Result<Done, Rejection> {
        let (engine, request) = (self.clone(), request.clone());
        let work = async move {
            let entered = engine.enter(&request).await?;
            if let Some(row) = &entered.bound {
                return Ok(Done::before(row));
            }
            let context = Context::of(&request);
            let recording = engine.record::<D>(&request, &id, command, context).await?;
            Ok(Done { position: recording.position, replayed: recording.replayed })
        };
        self.to_its_end(work).await
    }

    /// Notes it when a request is refused, or could not be recorded.
    pub(crate) async fn noted<T>(
        &self,
        request: &Request,
        target: StreamId,
        work: impl Future<Output = Result<T, Rejection>>,
    ) -> Result<T, Rejection> {
        let outcome = work.await;
        if let Err(rejection) = &outcome {
            self.note(request, &target, rejection);
        }
        outcome
    }

    fn note(&self, request: &Request, target: &StreamId, rejection: &Rejection) {
        let as_of = match rejection {
            // The first request with the key is still being answered: nothing was refused.
            Rejection::InFlight => return,
            Rejection::Refused { as_of, .. } => *as_of,
            Rejection::NotFound(_)
            | Rejection::InvalidInput(_)
            | Rejection::TooManyHolds { .. }
            | Rejection::VersionConflict { .. }
            | Rejection::Vehicle { .. }
            | Rejection::KeyReused
            | Rejection::Unavailable(_)
            | Rejection::OutcomeUnknown(_) => self.store().head(),
        };
        let rejected = RejectedCommand {
            at: self.now(),
            actor: request.caller.actor.to_string(),
            command: request.operation.into(),
            target: target.to_string(),
            code: rejection.code().into(),
            message: rejection.to_string(),
            as_of,
        };
        self.0.side.reject_keeping(rejected, self.settings().rejected_kept);
    }

    /// Does something to its end even when its asker goes away.
    pub(crate) async fn to_its_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Rejection>> + Send + 'static,
    ) -> Result<T, Rejection> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        self.0.tasks.spawn(async move {
            // Who has gone away asks again with the same key.
            let _ = answer.send(work.await);
        });
        let gone = "the engine is stopping; repeat with the same key";
        answered.await.unwrap_or_else(|_| Err(Rejection::OutcomeUnknown(gone.into())))
    }
}

impl Done {
    /// What a key has recorded before.
    pub(crate) fn before(row: &KeyRow) -> Self {
        Self { position: row.position, replayed: true }
    }
}

/// The stream of an aggregate, as refusals name it.
pub(crate) fn target<D: Decider>(id: &D::Id) -> StreamId {
    StreamId::new(format!("{}-{id}", D::CATEGORY))
}
