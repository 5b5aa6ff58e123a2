//! What is known of an event besides what happened: who, when, because of what.
//!
//! Stored as one JSON object whose values are all strings, since that is what every backend can carry
//! (KurrentDB's multi-append asks for it).

use std::borrow::Cow;

use holdfast_domain::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use uuid::Uuid;

use crate::DecodeError;

/// What kind of actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActorKind {
    /// A person or a program with a token.
    User,
    /// A process manager or a timer.
    System,
    /// A vehicle.
    Vehicle,
    /// A payment gateway.
    Gateway,
}

/// Who asked; written `kind:id`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Actor {
    /// What kind.
    pub kind: ActorKind,
    /// Which one.
    pub id: String,
}

impl Actor {
    /// A person or program.
    pub fn user(id: impl Into<String>) -> Self {
        Self { kind: ActorKind::User, id: id.into() }
    }

    /// A part of Holdfast.
    pub fn system(id: impl Into<String>) -> Self {
        Self { kind: ActorKind::System, id: id.into() }
    }

    /// A vehicle.
    pub fn vehicle(id: impl Into<String>) -> Self {
        Self { kind: ActorKind::Vehicle, id: id.into() }
    }

    /// A payment gateway.
    pub fn gateway(id: impl Into<String>) -> Self {
        Self { kind: ActorKind::Gateway, id: id.into() }
    }
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind {
            ActorKind::User => "user",
            ActorKind::System => "system",
            ActorKind::Vehicle => "vehicle",
            ActorKind::Gateway => "gateway",
        };
        write!(f, "{kind}:{}", self.id)
    }
}

impl Serialize for Actor {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl TryFrom<String> for Actor {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("an actor is written kind:id, not {text:?}");
        let (kind, id) = text.split_once(':').ok_or_else(wrong)?;
        let kind = match kind {
            "user" => ActorKind::User,
            "system" => ActorKind::System,
            "vehicle" => ActorKind::Vehicle,
            "gateway" => ActorKind::Gateway,
            _ => return Err(wrong()),
        };
        Ok(Self { kind, id: id.into() })
    }
}

/// Who, when, because of what. DOMAIN.md C.0.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Metadata {
    /// The moment at which the decision was made.
    pub occurred_at: Timestamp,
    /// The command that caused it; a repeat of the command is known by it.
    pub command_id: Uuid,
    /// Who asked.
    pub actor: Actor,
    /// Whose house; one so far.
    pub tenant_id: String,
    /// The reservation that all this is about.
    #[serde(default)]
    pub correlation_id: Option<String>,
    /// The event (or command) that led to it.
    #[serde(default)]
    pub causation_id: Option<String>,
    /// The customer's key, when there was one.
    #[serde(default)]
    pub idempotency_key: Option<String>,
    /// What was asked for under that key: hash of operation and input.
    #[serde(default)]
    pub fingerprint: Option<String>,
    /// W3C trace context.
    #[serde(default)]
    pub traceparent: Option<String>,
}

/// [`Metadata`] as its writer has it at hand: nothing has to be copied to be written. Its fields are
/// stored in this order.
#[derive(Clone, Copy, Debug, Serialize)]
#[expect(missing_docs, reason = "as in Metadata")]
pub struct MetadataRef<'m> {
    pub occurred_at: Timestamp,
    pub command_id: Uuid,
    pub actor: &'m Actor,
    pub tenant_id: &'m str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<&'m str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<&'m str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<&'m str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<&'m str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<&'m str>,
}

impl MetadataRef<'_> {
    /// About as long as it is at most; longer ones grow.
    const LEN: usize = 512;

    /// As it is stored.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::LEN);
        serde_json::to_writer(&mut bytes, self).expect("strings always make JSON");
        bytes
    }
}

impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.borrowed().serialize(to)
    }
}

impl Metadata {
    fn borrowed(&self) -> MetadataRef<'_> {
        MetadataRef {
            occurred_at: self.occurred_at,
            command_id: self.command_id,
            actor: &self.actor,
            tenant_id: &self.tenant_id,
            correlation_id: self.correlation_id.as_deref(),
            causation_id: self.causation_id.as_deref(),
            idempotency_key: self.idempotency_key.as_deref(),
            fingerprint: self.fingerprint.as_deref(),
            traceparent: self.traceparent.as_deref(),
        }
    }

    /// As it is stored.
    pub fn encode(&self) -> Vec<u8> {
        self.borrowed().encode()
    }

    /// From what was stored.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        serde_json::from_slice(bytes).map_err(|error| unreadable(&error))
    }
}

/// As much of an event's metadata as followers of the whole log ask for; borrowed from it, since they
/// ask for it once an event. What they have no use for is not looked at: whoever does has the whole.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Origin<'m> {
    /// As in [`Metadata`].
    pub command_id: Uuid,
    #[serde(borrow, default)]
    correlation_id: Option<Text<'m>>,
    #[serde(borrow, default)]
    fingerprint: Option<Text<'m>>,
}

/// Borrowed where it stands there as it is; behind an `Option` a bare `Cow` would always be a copy.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
struct Text<'m>(#[serde(borrow)] Cow<'m, str>);

impl<'m> Origin<'m> {
    /// From what was stored.
    pub fn decode(bytes: &'m [u8]) -> Result<Self, DecodeError> {
        serde_json::from_slice(bytes).map_err(|error| unreadable(&error))
    }

    /// As in [`Metadata`].
    pub fn correlation_id(&self) -> Option<&str> {
        self.correlation_id.as_ref().map(|text| &*text.0)
    }

    /// As in [`Metadata`].
    pub fn fingerprint(&self) -> Option<&str> {
        self.fingerprint.as_ref().map(|text| &*text.0)
    }
}

fn unreadable(error: &serde_json::Error) -> DecodeError {
    DecodeError::Payload { kind: "metadata".into(), version: 1, error: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_says_what_the_metadata_says_and_copies_only_what_is_escaped() {
        let metadata = Metadata {
            occurred_at: Timestamp::default(),
            command_id: Uuid::from_u128(7),
            actor: Actor::user("a \"b\" c"),
            tenant_id: "main".into(),
            correlation_id: Some("r-1".into()),
            causation_id: None,
            idempotency_key: Some("k".into()),
            fingerprint: Some("with \"quotes\"".into()),
            traceparent: None,
        };
        let bytes = metadata.encode();
        assert_eq!(Metadata::decode(&bytes).as_ref(), Ok(&metadata));
        let origin = Origin::decode(&bytes).expect("it was just written");
        assert_eq!(origin.command_id, metadata.command_id);
        assert_eq!(origin.correlation_id(), metadata.correlation_id.as_deref());
        assert_eq!(origin.fingerprint(), metadata.fingerprint.as_deref());
        assert!(matches!(&origin.correlation_id, Some(Text(Cow::Borrowed(_)))));
        assert!(matches!(&origin.fingerprint, Some(Text(Cow::Owned(_)))));
        assert!(Origin::decode(&bytes[..bytes.len() - 1]).is_err());
        assert!(Origin::decode(br#"{"correlation_id":"r-1"}"#).is_err());
    }
}
