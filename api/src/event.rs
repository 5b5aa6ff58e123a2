//! One recorded event as an auditor reads it: over GraphQL, as a line of `/events`, in `holdfast replay`.

use holdfast_domain::Timestamp;
use holdfast_schemas::{DecodeError, Metadata};
use holdfast_store::{Position, RecordedEvent};
use serde::Serialize;
use serde_json::value::RawValue;

/// An event with its metadata read. Serializes to the line that CONTRACT.md describes.
#[derive(Clone, Debug)]
pub struct EventView {
    /// The event's own id.
    pub id: uuid::Uuid,
    /// Its place in the log.
    pub position: Position,
    /// Its stream.
    pub stream: String,
    /// Its place in the stream, from 0.
    pub stream_version: u64,
    /// Its stored name.
    pub kind: String,
    /// The version of its shape.
    pub schema_version: u16,
    /// When it was decided.
    pub occurred_at: Timestamp,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// Who asked.
    pub actor: String,
    /// The reservation that all this is about.
    pub correlation_id: Option<String>,
    /// What led to it.
    pub causation_id: Option<String>,
    /// The payload, as it is stored.
    pub data: Box<RawValue>,
}

impl EventView {
    /// Reads what is stored.
    pub fn of(event: &RecordedEvent) -> Result<Self, DecodeError> {
        let metadata = Metadata::decode(&event.metadata)?;
        Self::with(event, &metadata)
    }

    /// The same, when the metadata has been read already.
    pub(crate) fn with(event: &RecordedEvent, metadata: &Metadata) -> Result<Self, DecodeError> {
        let data = serde_json::from_slice(&event.data).map_err(|error| DecodeError::Payload {
            kind: event.kind.to_string(),
            version: event.schema_version,
            error: error.to_string(),
        })?;
        Ok(Self {
            id: event.id,
            position: event.position,
            stream: event.stream.to_string(),
            stream_version: event.stream_version,
            kind: event.kind.to_string(),
            schema_version: event.schema_version,
            occurred_at: metadata.occurred_at,
            recorded_at: Timestamp::from_micros(event.recorded_at_micros),
            actor: metadata.actor.to_string(),
            correlation_id: metadata.correlation_id.clone(),
            causation_id: metadata.causation_id.clone(),
            data,
        })
    }

    /// The event as one line of JSON, without the end of the line.
    pub fn line(&self) -> String {
        let line = Line {
            id: self.id,
            position: self.position.to_string(),
            stream: &self.stream,
            stream_version: self.stream_version,
            kind: &self.kind,
            schema_version: self.schema_version,
            occurred_at: self.occurred_at,
            recorded_at: self.recorded_at,
            actor: &self.actor,
            correlation_id: self.correlation_id.as_deref(),
            causation_id: self.causation_id.as_deref(),
            data: &self.data,
        };
        serde_json::to_string(&line).expect("plain data makes JSON")
    }
}

/// The names that CONTRACT.md fixes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    id: uuid::Uuid,
    position: String,
    stream: &'a str,
    stream_version: u64,
    #[serde(rename = "type")]
    kind: &'a str,
    schema_version: u16,
    occurred_at: Timestamp,
    recorded_at: Timestamp,
    actor: &'a str,
    correlation_id: Option<&'a str>,
    causation_id: Option<&'a str>,
    data: &'a RawValue,
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_schemas::Actor;
    use holdfast_store::StreamId;

    #[test]
    fn a_line_has_the_names_that_auditors_rely_on() {
        let metadata = Metadata {
            occurred_at: Timestamp::from_secs(1),
            command_id: uuid::Uuid::from_u128(2),
            actor: Actor::user("ada"),
            tenant_id: "default".into(),
            correlation_id: None,
            causation_id: Some("c".into()),
            idempotency_key: None,
            fingerprint: None,
            traceparent: None,
        };
        let event = RecordedEvent {
            position: Position(12),
            stream: StreamId::new("inventory-lamp"),
            stream_version: 0,
            recorded_at_micros: 1_500_000,
            id: uuid::Uuid::from_u128(3),
            kind: "inventory.received".into(),
            schema_version: 1,
            metadata: metadata.encode().into(),
            data: br#"{"qty":3,"by":"ada"}"#.as_slice().into(),
        };
        let line = EventView::of(&event).expect("readable").line();
        assert_eq!(
            line,
            "{\"id\":\"00000000-0000-0000-0000-000000000003\",\"position\":\"12\",\
             \"stream\":\"inventory-lamp\",\"streamVersion\":0,\"type\":\"inventory.received\",\
             \"schemaVersion\":1,\"occurredAt\":\"1970-01-01T00:00:01.000000Z\",\
             \"recordedAt\":\"1970-01-01T00:00:01.500000Z\",\"actor\":\"user:ada\",\
             \"correlationId\":null,\"causationId\":\"c\",\"data\":{\"qty\":3,\"by\":\"ada\"}}"
        );
    }
}
