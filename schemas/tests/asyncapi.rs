//! The published AsyncAPI document is what the program writes, hangs together, and accepts the payloads
//! of the contract. That it accepts what is really sent is judged in `iot/tests/`.

#![allow(clippy::unwrap_used, reason = "a test")]

use holdfast_schemas::mqtt::{
    Answer, Command, CommandRef, Connection, Key, Moment, Notice, Signals, Status, Telemetry,
    Topic, Word, path,
};
use holdfast_schemas::{asyncapi_document, asyncapi_schema_of};
use serde_json::{Value, json};
use uuid::Uuid;

fn validator(document: &Value, topic: Topic) -> jsonschema::Validator {
    let reference = format!("#/components/schemas/{}", asyncapi_schema_of(topic));
    let schema = json!({ "$ref": reference, "components": document["components"] });
    jsonschema::options().with_draft(jsonschema::Draft::Draft7).build(&schema).unwrap()
}

#[test]
fn the_published_document_is_what_the_program_writes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/asyncapi/vehicles.v1.json");
    let text = serde_json::to_string_pretty(&asyncapi_document()).unwrap() + "\n";
    if std::env::var_os("HOLDFAST_BLESS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let published = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        published == text,
        "{path} is not what the program writes. Vehicles in the field hold to it: only add, never change. \
         If this is meant, run again with HOLDFAST_BLESS=1."
    );
}

#[test]
fn every_reference_in_the_document_leads_somewhere() {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let document = asyncapi_document();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 20, "{found:?}");
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn the_document_names_every_topic() {
    let document = asyncapi_document();
    let channels = document["channels"].as_object().unwrap();
    for topic in Topic::ALL {
        let matches = channels.values().any(|channel| {
            let address = channel["address"].as_str().unwrap();
            let mut actions =
                channel["parameters"]["action"]["enum"].as_array().cloned().unwrap_or_default();
            actions.push(json!(""));
            actions.iter().any(|action| {
                address
                    .replace("{vehicleId}", "+")
                    .replace("{action}", action.as_str().unwrap())
                    .eq(&topic.of_all())
            })
        });
        assert!(matches, "{topic:?}");
    }
}

#[test]
fn what_the_types_write_is_what_the_document_says() {
    let document = asyncapi_document();
    let key = Key::new([7; 32]);
    let id = Uuid::from_u128(0x018f_6c1a_0000_7000_8000_0000_0000_0001);
    let moment = "2026-11-21T12:40:26.25Z".parse().map(Moment).ok();
    let signals = Signals::default().with(path::ODOMETER, 12_345_678_u64).with(path::LOCKED, true);
    let answer = Answer::signed(Status::Unlocked, CommandRef::from(id), moment, 1, &key);
    let payloads = [
        (
            Topic::Command(Word::Unlock),
            Command::signed(Word::Unlock, id, None, 1, (10, 30), &key).write(),
        ),
        (Topic::Answer(Word::Unlock), Answer { signals: signals.clone(), ..answer }.write()),
        (
            Topic::Telemetry,
            Telemetry { t: moment, seq: 1, boot: None, signals: signals.clone() }.write(),
        ),
        (Topic::Notice, Notice { event: "TAMPER".into(), seq: 1, t: moment, signals }.write()),
        (Topic::Connection, Connection { online: true, boot: Some(1), t: moment }.write()),
        (Topic::Connection, br#"{"online":false}"#.to_vec()),
    ];
    for (topic, payload) in payloads {
        let payload: Value = serde_json::from_slice(&payload).unwrap();
        let validator = validator(&document, topic);
        let errors: Vec<String> =
            validator.iter_errors(&payload).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{topic:?} {payload}: {errors:?}");
    }
}

#[test]
fn the_document_refuses_what_the_reader_refuses() {
    let document = asyncapi_document();
    for (topic, payload) in [
        (Topic::Connection, json!({ "online": 1 })),
        (Topic::Answer(Word::Unlock), json!({ "status": "OPEN", "command_id": "x", "seq": 1 })),
        (Topic::Telemetry, json!({ "seq": 1, "signals": { "Vehicle.Speed": "fast" } })),
        (Topic::Telemetry, json!({ "seq": -1, "signals": {} })),
        (Topic::Notice, json!({ "seq": 1 })),
    ] {
        assert!(!validator(&document, topic).is_valid(&payload), "{topic:?} {payload}");
    }
}
