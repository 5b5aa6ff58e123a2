//! Who asks for a command, under which name, because of what.

use holdfast_domain::{Epoch, ReservationId, Timestamp, derive};
use holdfast_schemas::{Actor, MetadataRef};
use uuid::Uuid;

use crate::Request;

/// All about a command but the command.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// Names the command; a repeat of it is known by this.
    pub(crate) command_id: Uuid,
    /// Who asks.
    pub(crate) actor: Actor,
    /// The reservation that it is about, when the event itself does not tell.
    pub(crate) correlation: Option<ReservationId>,
    /// What led to it.
    pub(crate) causation_id: Option<String>,
    /// The customer's key, and what was asked for under it.
    pub(crate) key: Option<(String, String)>,
    /// `If-Match`.
    pub(crate) if_version: Option<u32>,
    /// W3C trace context.
    pub(crate) traceparent: Option<String>,
    /// The moment that it is judged by, when its asker has reckoned with one; else that of its turn.
    pub(crate) moment: Option<Timestamp>,
    /// Whether a part of the house asks: it is never told to come back later.
    pub(crate) internal: bool,
}

impl Context {
    /// The command that is what a request is about: bound to its key.
    pub(crate) fn of(request: &Request) -> Self {
        Self {
            command_id: request.command_id(),
            actor: request.caller.actor.clone(),
            correlation: None,
            causation_id: None,
            key: Some((request.key.clone(), request.fingerprint.clone())),
            if_version: request.if_version,
            traceparent: request.traceparent.clone(),
            moment: None,
            internal: false,
        }
    }

    /// A further command on account of a request; `step` tells it from the others.
    pub(crate) fn step(request: &Request, step: &[&str]) -> Self {
        let command = request.command_id().to_string();
        let mut parts = vec!["step", command.as_str()];
        parts.extend_from_slice(step);
        Self {
            command_id: derive(&parts),
            causation_id: Some(command.clone()),
            key: None,
            if_version: None,
            ..Self::of(request)
        }
    }

    /// A command that a part of the house asks for, with the name that follows from its cause.
    pub(crate) fn system(name: &str, command_id: Uuid, cause: Option<String>) -> Self {
        Self {
            command_id,
            actor: Actor::system(name),
            correlation: None,
            causation_id: cause,
            key: None,
            if_version: None,
            traceparent: None,
            moment: None,
            internal: true,
        }
    }

    /// The same, about that reservation.
    pub(crate) fn about(self, reservation: Option<ReservationId>) -> Self {
        Self { correlation: reservation, ..self }
    }

    /// The same, judged as of that moment.
    pub(crate) fn at(self, moment: Timestamp) -> Self {
        Self { moment: Some(moment), ..self }
    }

    /// What was asked for under the customer's key.
    pub(crate) fn fingerprint(&self) -> Option<&str> {
        self.key.as_ref().map(|(_, fingerprint)| fingerprint.as_str())
    }

    /// What is stored beside an event of this command, as it is stored.
    pub(crate) fn metadata(
        &self,
        tenant: &str,
        now: Timestamp,
        about: Option<ReservationId>,
    ) -> Vec<u8> {
        let (mut correlation, mut causation) = (Uuid::encode_buffer(), Uuid::encode_buffer());
        let about = about.or(self.correlation);
        let about = about.map(|id| &*id.0.hyphenated().encode_lower(&mut correlation));
        let cause = match &self.causation_id {
            Some(cause) => cause,
            None => &*self.command_id.hyphenated().encode_lower(&mut causation),
        };
        let (idempotency_key, fingerprint) = self.key.as_ref().map(|(k, f)| (&**k, &**f)).unzip();
        let metadata = MetadataRef {
            occurred_at: now,
            command_id: self.command_id,
            actor: &self.actor,
            tenant_id: tenant,
            correlation_id: about,
            causation_id: Some(cause),
            idempotency_key,
            fingerprint,
            traceparent: self.traceparent.as_deref(),
        };
        metadata.encode()
    }
}

/// The name of a command's n-th event: an append whose outcome is unknown is found again by it.
pub(crate) fn event_id(command_id: Uuid, index: usize) -> Uuid {
    let mut text = Uuid::encode_buffer();
    let command: &str = command_id.hyphenated().encode_lower(&mut text);
    derive(&["event", command, &index.to_string()])
}

/// Epoch of the claims that a first acquisition takes.
pub(crate) const FIRST_EPOCH: Epoch = 1;
