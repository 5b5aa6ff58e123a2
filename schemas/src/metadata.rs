//! What is known of an event besides what happened: who, when, because of what.
//!
//! Stored as one JSON object whose values are all strings, since that is what every backend can carry
//! (KurrentDB's multi-append asks for it).

use holdfast_domain::Timestamp;
use serde::{Deserialize, Serialize};
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
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
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

impl From<Actor> for String {
    fn from(actor: Actor) -> String {
        actor.to_string()
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// The event (or command) that led to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<String>,
    /// The customer's key, when there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// What was asked for under that key: hash of operation and input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// W3C trace context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

impl Metadata {
    /// As it is stored.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings always make JSON")
    }

    /// From what was stored.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        serde_json::from_slice(bytes).map_err(|error| DecodeError::Payload {
            kind: "metadata".into(),
            version: 1,
            error: error.to_string(),
        })
    }
}
