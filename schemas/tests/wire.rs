//! What is on disk and on the wire stays as it is: golden samples, JSON Schemas, envelopes.
//!
//! A sample or schema that differs from its file fails here. If the change is wanted (a new event, a new
//! version), run with `HOLDFAST_BLESS=1` and commit what it writes. Files of older versions are never
//! written again; they are read for ever.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test with its own samples")]

mod samples;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use holdfast_domain::{
    derive, inspection, inventory, item, limit, notification, payment, reservation, seatmap,
    ticket, vehicle,
};
use holdfast_schemas::{
    AnyEvent, CloudEvent, DeadLetterEvent, Metadata, Stored, StoredEvent, all_names, data_schema,
    decode_any, seed_topics,
};
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn pretty(value: &Value) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap();
    text.push('\n');
    text
}

/// The file says just this; when blessed, it does from now on.
fn as_published(path: &Path, value: &Value) {
    let text = pretty(value);
    if std::env::var_os("HOLDFAST_BLESS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let published = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        published == text,
        "{} is not what the program writes. What is published is for ever: add a version instead. \
         If this is a new event, run again with HOLDFAST_BLESS=1.\n--- the program writes\n{text}",
        path.display(),
    );
}

/// The files of a folder, by name.
fn files(name: &str) -> Vec<(String, Value)> {
    let mut all: Vec<_> = std::fs::read_dir(folder(name))
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "json"))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap())
        })
        .collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}

fn encode(event: &AnyEvent) -> Vec<u8> {
    match event {
        AnyEvent::Reservation(_, event) => event.encode(),
        AnyEvent::Payment(_, event) => event.encode(),
        AnyEvent::SeatMap(_, event) => event.encode(),
        AnyEvent::Inventory(_, event) => event.encode(),
        AnyEvent::Limit(_, event) => event.encode(),
        AnyEvent::Item(_, event) => event.encode(),
        AnyEvent::Ticket(_, event) => event.encode(),
        AnyEvent::Notification(_, event) => event.encode(),
        AnyEvent::Vehicle(_, event) => event.encode(),
        AnyEvent::Inspection(_, event) => event.encode(),
        AnyEvent::DeadLetter(_, event) => event.encode(),
    }
}

#[test]
fn every_event_has_a_golden_sample_that_the_program_still_writes() {
    let samples = samples::samples();
    let sampled: BTreeSet<_> = samples.iter().map(|it| (it.kind, it.schema_version)).collect();
    assert_eq!(sampled, all_names().collect::<BTreeSet<_>>(), "one sample of each event");
    for sample in &samples {
        let stored = json!({
            "id": derive(&["sample", sample.kind]),
            "position": 1,
            "stream": sample.stream,
            "stream_version": 0,
            "recorded_at_micros": samples::metadata().occurred_at.micros() + 81,
            "kind": sample.kind,
            "schema_version": sample.schema_version,
            "metadata": serde_json::from_slice::<Value>(&samples::metadata().encode()).unwrap(),
            "data": serde_json::from_slice::<Value>(&sample.data).unwrap(),
        });
        let file = format!("{}.v{}.json", sample.kind, sample.schema_version);
        as_published(&folder("golden").join(file), &stored);
    }
}

#[test]
fn every_golden_sample_of_every_version_is_read_and_todays_are_written_back_unchanged() {
    let today: BTreeSet<(String, u64)> =
        all_names().map(|(kind, version)| (kind.to_owned(), version.into())).collect();
    for (file, stored) in files("golden") {
        let (kind, version) = (stored["kind"].as_str().unwrap(), &stored["schema_version"]);
        let version = version.as_u64().unwrap();
        let data = serde_json::to_vec(&stored["data"]).unwrap();
        let stream = stored["stream"].as_str().unwrap();
        let read = decode_any(stream, kind, version as u16, &data);
        let read = read.unwrap_or_else(|error| panic!("{file}: {error}"));
        Metadata::decode(&serde_json::to_vec(&stored["metadata"]).unwrap()).unwrap();
        if today.contains(&(kind.to_owned(), version)) {
            let written: Value = serde_json::from_slice(&encode(&read)).unwrap();
            assert_eq!(written, stored["data"], "{file}");
        }
    }
}

/// The JSON Schema of each variant's inside, by stored name.
fn schemas_of<E: StoredEvent + JsonSchema>() -> Vec<(&'static str, u16, Value)> {
    let whole = serde_json::to_value(schemars::schema_for!(E)).unwrap();
    let definitions = whole.get("$defs").and_then(Value::as_object).cloned().unwrap_or_default();
    let variants = whole["oneOf"].as_array().cloned().unwrap_or_else(|| vec![whole.clone()]);
    let named = |variant: &Value, name: &str| -> Option<Value> {
        let inside = variant.get("properties").and_then(|it| it.get(name)).cloned();
        let bare = variant["const"] == name
            || variant["enum"].as_array().is_some_and(|names| names.contains(&json!(name)));
        inside.or_else(|| bare.then(|| json!({ "type": "object" })))
    };
    E::NAMES
        .iter()
        .zip(E::VARIANTS)
        .map(|((kind, version), variant)| {
            let found = variants.iter().find_map(|it| Some((it, named(it, variant)?)));
            let (variant, inside) = found.unwrap_or_else(|| panic!("no schema of {kind}"));
            let mut schema = Map::new();
            schema.insert("$schema".into(), whole["$schema"].clone());
            schema.insert("$id".into(), data_schema(kind, *version).into());
            schema.insert("title".into(), format!("{kind}, version {version}").into());
            if let Some(text) = variant.get("description") {
                schema.insert("description".into(), text.clone());
            }
            schema.extend(inside.as_object().cloned().unwrap());
            let used = used_definitions(&Value::Object(schema.clone()), &definitions);
            if !used.is_empty() {
                schema.insert("$defs".into(), Value::Object(used));
            }
            (*kind, *version, Value::Object(schema))
        })
        .collect()
}

/// Those definitions that a schema refers to, directly or not.
fn used_definitions(schema: &Value, all: &Map<String, Value>) -> Map<String, Value> {
    let mut used = Map::new();
    let mut open = vec![schema.clone()];
    while let Some(part) = open.pop() {
        for (name, definition) in all {
            let reference = json!(format!("#/$defs/{name}")).to_string();
            if !used.contains_key(name) && part.to_string().contains(&reference) {
                used.insert(name.clone(), definition.clone());
                open.push(definition.clone());
            }
        }
    }
    used
}

fn all_schemas() -> Vec<(&'static str, u16, Value)> {
    [
        schemas_of::<reservation::Event>(),
        schemas_of::<payment::Event>(),
        schemas_of::<seatmap::Event>(),
        schemas_of::<inventory::Event>(),
        schemas_of::<limit::Event>(),
        schemas_of::<item::Event>(),
        schemas_of::<ticket::Event>(),
        schemas_of::<notification::Event>(),
        schemas_of::<vehicle::Event>(),
        schemas_of::<inspection::Event>(),
        schemas_of::<DeadLetterEvent>(),
    ]
    .concat()
}

#[test]
fn every_event_has_a_published_schema_and_its_sample_keeps_it() {
    let schemas = all_schemas();
    assert_eq!(schemas.len(), all_names().count());
    for (kind, version, schema) in &schemas {
        let file = format!("{kind}.v{version}.schema.json");
        as_published(&folder("events").join(file), schema);
    }
    for (file, stored) in files("golden") {
        let schema = file.replace(".json", ".schema.json");
        let schema = std::fs::read(folder("events").join(&schema))
            .unwrap_or_else(|_| panic!("{schema} is missing: published schemas stay"));
        let schema: Value = serde_json::from_slice(&schema).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let errors: Vec<String> =
            validator.iter_errors(&stored["data"]).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{file}: {errors:?}");
    }
}

#[test]
fn a_schema_refuses_a_payload_without_what_it_needs() {
    let schemas = all_schemas();
    let (_, _, schema) = schemas.iter().find(|it| it.0 == "reservation.hold-created").unwrap();
    let validator = jsonschema::validator_for(schema).unwrap();
    assert!(!validator.is_valid(&json!({ "user_id": "ada" })));
}

/// CONTRACT.md's list, as far as it is about the aggregates that there are.
const CONTRACT: &str = "\
reservation.hold-created .hold-extended .payment-requested .confirmed .claims-lost .finalized \
.hold-released .hold-expired .late-payment-received .late-payment-accepted .late-payment-rejected \
.cancelled .rental-started .rental-completed \
payment.initiated .session-created .action-required .authorized .capture-requested .succeeded \
.failed .void-requested .voided .refund-requested .refund-succeeded .refund-failed \
.damage-charge-created .gateway-event-ignored .chargeback-opened .money-lost .closed .void-failed \
.capture-failed \
seatmap.published .changed .seats-locked .seats-attached .seat-lock-extended .seats-booked \
.seats-released .seats-blocked .seats-unblocked \
inventory.held .hold-extended .locked .released .reacquired .sold .returned .received .adjusted \
.closed .opened .oversubscription-detected \
limit.taken .kept .released item.created .changed ticket.issued .checked-in .revoked \
vehicle.registered .reserved .reservation-released .unlock-requested .unlocked .unlock-failed \
.lock-requested .locked .lock-failed .connection-lost .connection-restored .trip-started \
.trip-ended .telemetry-sampled .out-of-service .returned-to-service .late-unlock-compensated \
.odometer-anomaly inspection.submitted .damage-assessed";

#[test]
fn every_event_name_of_the_contract_is_stored() {
    let known: BTreeSet<&str> = all_names().map(|(kind, _)| kind).collect();
    let mut aggregate = "";
    for word in CONTRACT.split_whitespace() {
        let (before, event) = word.split_once('.').unwrap();
        if !before.is_empty() {
            aggregate = before;
        }
        let name = format!("{aggregate}.{event}");
        assert!(known.contains(name.as_str()), "{name}");
    }
}

/// CloudEvents 1.0's own JSON schema (cloudevents/formats/cloudevents.json), together with its rule
/// for the names of extensions.
fn cloudevents_rules() -> Value {
    let text = json!({ "type": "string", "minLength": 1 });
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
            "id": text, "source": { "type": "string", "format": "uri-reference", "minLength": 1 },
            "specversion": text, "type": text,
            "datacontenttype": { "type": ["string", "null"], "minLength": 1 },
            "dataschema": { "type": ["string", "null"], "format": "uri", "minLength": 1 },
            "subject": { "type": ["string", "null"], "minLength": 1 },
            "time": { "type": ["string", "null"], "format": "date-time", "minLength": 1 },
            "data": { "type": ["object", "string", "number", "array", "boolean", "null"] },
            "data_base64": { "type": ["string", "null"], "contentEncoding": "base64" },
        },
        "required": ["id", "source", "specversion", "type"],
        "propertyNames": { "anyOf": [{ "pattern": "^[a-z0-9]{1,20}$" }, { "const": "data_base64" }] },
    })
}

fn enveloped(stored: &Value, owner: Option<&str>) -> Vec<Value> {
    let metadata = serde_json::to_vec(&stored["metadata"]).unwrap();
    let data = serde_json::to_vec(&stored["data"]).unwrap();
    let event = Stored {
        id: stored["id"].as_str().unwrap().parse().unwrap(),
        position: 42,
        stream: stored["stream"].as_str().unwrap(),
        kind: stored["kind"].as_str().unwrap(),
        schema_version: stored["schema_version"].as_u64().unwrap() as u16,
        metadata: &metadata,
        data: &data,
    };
    let envelope = CloudEvent::of(&event, owner).unwrap();
    let aliases = seed_topics(event.stream, event.kind, &stored["data"]);
    let aliases = aliases.iter().map(|alias| envelope.under(alias));
    std::iter::once(envelope.clone())
        .chain(aliases)
        .map(|envelope| serde_json::to_value(envelope).unwrap())
        .collect()
}

#[test]
fn every_envelope_keeps_cloudevents_rules_and_the_contracts() {
    let validator =
        jsonschema::options().should_validate_formats(true).build(&cloudevents_rules()).unwrap();
    for (file, stored) in files("golden") {
        let kind = stored["kind"].as_str().unwrap();
        let aggregate = kind.split_once('.').unwrap().0;
        let subject = stored["stream"].as_str().unwrap().split_once('-').unwrap().1;
        for envelope in enveloped(&stored, Some("ada")) {
            let errors: Vec<String> =
                validator.iter_errors(&envelope).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{file}: {errors:?}");
            assert_eq!(envelope["id"], stored["id"]);
            assert_eq!(envelope["source"], format!("/holdfast/{aggregate}"));
            assert_eq!(envelope["subject"], subject);
            assert_eq!(envelope["sequence"], "00000000000000000042");
            assert_eq!(envelope["time"], stored["metadata"]["occurred_at"]);
            assert_eq!(envelope["correlationid"], stored["metadata"]["correlation_id"]);
            assert_eq!(envelope["causationid"], stored["metadata"]["causation_id"]);
            assert_eq!(envelope["traceparent"], stored["metadata"]["traceparent"]);
            assert_eq!(envelope["data"], stored["data"]);
            let full = format!("dev.holdfast.{kind}.v{}", stored["schema_version"]);
            let own = envelope.get("holdfasttype").unwrap_or(&envelope["type"]);
            assert_eq!(own, &full);
        }
    }
}

#[test]
fn what_a_customer_owns_is_partitioned_by_the_customer_and_the_rest_by_itself() {
    for (file, stored) in files("golden") {
        let keys: BTreeSet<String> = enveloped(&stored, Some("ada"))
            .iter()
            .map(|envelope| envelope["partitionkey"].as_str().unwrap().to_owned())
            .collect();
        let stream = stored["stream"].as_str().unwrap();
        let (category, subject) = stream.split_once('-').unwrap();
        let expected = match category {
            "reservation" | "payment" | "ticket" | "notification" | "limit" | "inspection" => "ada",
            _ => subject,
        };
        assert_eq!(keys, BTreeSet::from([expected.to_owned()]), "{file}");
    }
}

#[test]
fn an_event_says_whose_reservation_names_its_customer() {
    let metadata = samples::metadata().encode();
    let needed = |stream: &str, data: &str| {
        let (kind, schema_version) = ("any.event", 1);
        let id = derive(&["any"]);
        let (metadata, data) = (metadata.as_slice(), data.as_bytes());
        Stored { id, position: 1, stream, kind, schema_version, metadata, data }.owner_needed()
    };
    let ours = samples::reservation_id().to_string();
    assert_eq!(needed("reservation-r1", r#"{"reason":"USER"}"#), Some("r1".into()));
    assert_eq!(needed("reservation-r1", r#"{"user_id":"ada"}"#), None);
    assert_eq!(needed("payment-p1", r#"{"reservation_id":"r2"}"#), Some("r2".into()));
    assert_eq!(needed("payment-p1", "{}"), Some(ours));
    assert_eq!(needed("limit-gala/ada", "{}"), None);
    assert_eq!(needed("seatmap-hall", r#"{"reservation_id":"r2"}"#), None);
}
