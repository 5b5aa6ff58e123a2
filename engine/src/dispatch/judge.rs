//! One command on one state: what is clear without the rules, and what the rules decide.

use bytes::Bytes;
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use holdfast_domain::Timestamp;
use holdfast_schemas::StoredEvent;
use holdfast_store::{Expected, NewEvent};

use super::context::event_id;
use super::load::Hot;
use super::memory::Recorded;
use super::{Context, House};
use crate::Rejection;
use crate::hosted::{Asked, Hosted};

/// What needs no judgement.
pub(super) enum Settled {
    /// The same command has recorded this before.
    Recorded(Recorded),
    /// Its key stands for something else, or the thing has changed since its asker looked.
    Rejected(Rejection),
}

/// What the rules have decided: the facts, and the same as they are stored. None: it is already so.
pub(super) struct Decided<D: Hosted> {
    pub(super) facts: Vec<D::Event>,
    pub(super) stored: Vec<NewEvent>,
}

impl House {
    /// Repeats and guards.
    pub(super) fn settled<D: Hosted>(&self, hot: &Hot<D>, context: &Context) -> Option<Settled> {
        if self.protections.command_memory
            && let Some(recorded) = hot.memory.get(&context.command_id)
        {
            let same = recorded.fingerprint.as_deref() == context.fingerprint();
            let reused = Settled::Rejected(Rejection::KeyReused);
            return Some(if same { Settled::Recorded(recorded.clone()) } else { reused });
        }
        let actual = hot.aggregate.0.version();
        let expected = context.if_version.filter(|expected| *expected != actual)?;
        Some(Settled::Rejected(Rejection::VersionConflict { expected, actual }))
    }

    /// Asks the rules; what they decide is taken into `hot` at once. A refusal changes nothing.
    pub(super) async fn decide<D: Hosted>(
        &self,
        id: &D::Id,
        hot: &mut Hot<D>,
        command: &D::Command,
        context: &Context,
        now: Timestamp,
    ) -> Result<Decided<D>, D::Refusal> {
        let asked = Asked { id: id.clone(), command: command.clone(), now };
        let sink = EventSink::default();
        hot.aggregate.handle(asked, &(), &sink).await?;
        let facts: Vec<D::Event> = sink.collect().await.into_iter().map(|event| event.0).collect();
        let stored = |(index, fact): (usize, &D::Event)| {
            let about = D::about(id, &hot.aggregate.0, fact);
            let metadata = context.metadata(&self.settings.tenant, now, about);
            NewEvent {
                id: event_id(context.command_id, index),
                kind: fact.kind().into(),
                schema_version: fact.schema_version(),
                metadata: Bytes::from(metadata),
                data: Bytes::from(fact.encode()),
            }
        };
        let stored = facts.iter().enumerate().map(stored).collect();
        Ok(Decided { facts, stored })
    }

    /// What an append to a stream that was last seen at `version` says of it.
    pub(super) fn expected(&self, version: Option<u64>) -> Expected {
        if !self.protections.expected_version {
            return Expected::Any;
        }
        version.map_or(Expected::NoStream, Expected::Exact)
    }
}
