//! Events that are not Holdfast's, in a log of its format: what `holdfast log bench` has appended, or a
//! program of its own over the store. Tools that only read take them as they are.
//!
//! ```text
//! 12  2026-11-21T12:40:26.000001Z  bench-5f…#2  bench.appended  (not Holdfast's)
//!      metadata {}
//!     {"append":"…","index":0,"of":1,"fill":"…"}
//! ```

use holdfast_domain::{
    Decider as _, Timestamp, inspection, inventory, item, limit, notification, payment,
    reservation, seatmap, ticket, vehicle,
};
use holdfast_store::RecordedEvent;
use serde_json::{Value, json};

/// What stands before the first `-` of the streams that the product writes.
const OURS: [&str; 11] = [
    reservation::State::CATEGORY,
    payment::State::CATEGORY,
    seatmap::State::CATEGORY,
    inventory::State::CATEGORY,
    limit::State::CATEGORY,
    item::State::CATEGORY,
    ticket::State::CATEGORY,
    notification::State::CATEGORY,
    vehicle::State::CATEGORY,
    inspection::State::CATEGORY,
    "deadletter",
];

/// Whether an event is none that the product writes. One of its own in a stream that it gives no name to
/// is not foreign but wrong.
pub(crate) fn is_foreign(event: &RecordedEvent) -> bool {
    is_none_of_ours(event.stream.category(), &event.kind)
}

fn is_none_of_ours(category: &str, kind: &str) -> bool {
    let of_kind = kind.split('.').next().unwrap_or(kind);
    !OURS.contains(&category) && !OURS.contains(&of_kind)
}

/// The event in one line of JSON: named as in `GET /events`, with metadata and data as they are.
pub(crate) fn line(event: &RecordedEvent) -> String {
    json!({
        "id": event.id,
        "position": event.position.to_string(),
        "stream": event.stream.as_str(),
        "streamVersion": event.stream_version,
        "type": &*event.kind,
        "schemaVersion": event.schema_version,
        "recordedAt": Timestamp::from_micros(event.recorded_at_micros),
        "metadata": as_is(&event.metadata),
        "data": as_is(&event.data),
    })
    .to_string()
}

/// The event in an envelope without the attributes that only Holdfast's own metadata tells.
pub(crate) fn envelope(event: &RecordedEvent) -> String {
    json!({
        "specversion": "1.0",
        "id": event.id,
        "source": format!("/holdfast/{}", event.stream.category()),
        "type": &*event.kind,
        "subject": event.stream.key(),
        "time": Timestamp::from_micros(event.recorded_at_micros),
        "datacontenttype": "application/json",
        "sequence": format!("{:020}", event.position.0),
        "data": as_is(&event.data),
    })
    .to_string()
}

/// For people.
pub(crate) fn text(event: &RecordedEvent, out: &mut String) {
    use std::fmt::Write as _;
    let at = Timestamp::from_micros(event.recorded_at_micros);
    let RecordedEvent { position, stream, stream_version, kind, metadata, data, .. } = event;
    let _ = write!(
        out,
        "{position}  {at}  {stream}#{stream_version}  {kind}  (not Holdfast's)\n     metadata {}\n    {}",
        readable(metadata),
        readable(data)
    );
}

/// JSON stays JSON; anything else is told as text.
fn as_is(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|_| readable(bytes).into())
}

/// Text without what would move a terminal's cursor; bytes that are none become `\x…`.
fn readable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            if letter.is_control() {
                text.extend(letter.escape_default());
            } else {
                text.push(letter);
            }
        }
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_schemas::DecodeError;

    /// The list stands beside the one in `schemas/`: they have to agree.
    #[test]
    fn what_the_schemas_know_is_ours() {
        for (name, _) in holdfast_schemas::all_names() {
            assert!(!is_none_of_ours("melon", name), "{name}");
        }
        for category in OURS {
            assert!(!is_none_of_ours(category, "bench.appended"));
            let stream = format!("{category}-{}", uuid::Uuid::nil());
            let read = holdfast_schemas::decode_any(&stream, "none", 1, b"{}");
            let known = matches!(read, Err(DecodeError::Unknown { .. }));
            assert!(known || category == "limit", "{category}: {read:?}");
        }
        assert!(is_none_of_ours(crate::synthetic::CATEGORY, crate::synthetic::KIND));
    }

    #[test]
    fn bytes_without_a_meaning_are_readable() {
        assert_eq!(readable(b"caf\xc3\xa9 \x1b[2J \xff"), "café \\u{1b}[2J \\xff");
        assert_eq!(as_is(b"{\"a\":1}"), json!({"a": 1}));
        assert_eq!(as_is(b"a"), json!("a"));
    }
}
