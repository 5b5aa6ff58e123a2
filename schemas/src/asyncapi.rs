//! The AsyncAPI 3 document of what goes over MQTT: written from the payloads' own types, published as
//! `asyncapi/vehicles.v1.json`, and held to by a test that validates what is really sent against it.

use schemars::JsonSchema;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Value, json};

use crate::mqtt::{
    Answer, Command, Connection, MAX_PAYLOAD_BYTES, Notice, PREFIX, Telemetry, Topic,
};

/// The document.
pub fn asyncapi_document() -> Value {
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Holdfast: vehicles",
            "version": "1.0.0",
            "description": format!("What vehicles and Holdfast say to each other over MQTT 5 (3.1.1 is \
                accepted). A vehicle's client id and user name are its id; it may use topics below its \
                own prefix only. `mac` is the lower-case hex of HMAC-SHA256 under the vehicle's key over \
                the UTF-8 text `cmd\\ncommand_id\\nexp` for a command and `status\\ncommand_id\\nseq` for \
                an answer, each as it stands in the JSON. Payloads longer than {MAX_PAYLOAD_BYTES} bytes \
                are refused. Set TCP_NODELAY on every socket."),
            "license": { "name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0" }
        },
        "defaultContentType": "application/json",
        "servers": {
            "embedded": {
                "host": "127.0.0.1:1883",
                "protocol": "mqtt",
                "protocolVersion": "5.0",
                "description": "The broker inside `holdfast serve`, for demonstrations and tests; \
                    otherwise any MQTT 5 broker, over TLS.",
                "security": [{ "$ref": "#/components/securitySchemes/vehicle" }]
            }
        },
        "channels": {
            "command": channel(&["cmd/unlock", "cmd/lock"], "Command", "What a vehicle is asked to do."),
            "answer": channel(&["rsp/unlock", "rsp/lock"], "Answer", "What came of a command."),
            "telemetry": channel(&[Topic::Telemetry.suffix()], "Telemetry", "What sensors say."),
            "notice": channel(&[Topic::Notice.suffix()], "Notice", "Doors, tampering, trips."),
            "connection": channel(&[Topic::Connection.suffix()], "Connection",
                "Whether a vehicle is connected; its Last Will speaks here too, 10 s after it is lost.")
        },
        "operations": {
            "command": operation("send", "command", 1, false, json!({
                "summary": "Ask a vehicle to unlock or lock. Never retained; the message expires with \
                    `exp`, the response topic is the `rsp/…` beside it, the correlation data the id of \
                    the command as text. The vehicle refuses after `exp`, and answers a command_id that \
                    it has seen again without acting.",
                "reply": { "channel": { "$ref": "#/channels/answer" } }
            })),
            "answer": operation("receive", "answer", 1, false, json!({
                "summary": "A vehicle's answer. Retained ones, and those without a valid `mac`, change \
                    nothing."
            })),
            "telemetry": operation("receive", "telemetry", 0, false, json!({
                "summary": "Sensors' values; kept raw in files for analysts, sampled into the \
                    vehicle's stream."
            })),
            "notice": operation("receive", "notice", 1, false, json!({
                "summary": "What has happened to the vehicle."
            })),
            "connection": operation("receive", "connection", 1, true, json!({
                "summary": "Published by the vehicle when it has connected, and by the broker as its \
                    Last Will."
            }))
        },
        "components": {
            "securitySchemes": {
                "vehicle": {
                    "type": "userPassword",
                    "description": "The user is the vehicle's id; `holdfast vehicle credentials ID` \
                        prints the password and the key."
                }
            },
            "messages": {
                "Command": message("Command", "A command to a vehicle"),
                "Answer": message("Answer", "A vehicle's answer"),
                "Telemetry": message("Telemetry", "What sensors say"),
                "Notice": message("Notice", "What has happened"),
                "Connection": message("Connection", "Whether it is connected")
            },
            "schemas": schemas()
        }
    })
}

/// The schema of a topic's payload by its name under `#/components/schemas`.
pub fn asyncapi_schema_of(topic: Topic) -> &'static str {
    match topic {
        Topic::Command(_) => "Command",
        Topic::Answer(_) => "Answer",
        Topic::Telemetry => "Telemetry",
        Topic::Notice => "Notice",
        Topic::Connection => "Connection",
    }
}

fn channel(suffixes: &[&str], message: &str, description: &str) -> Value {
    let messages = json!({ message: { "$ref": format!("#/components/messages/{message}") } });
    let vehicle = json!({ "description": "The vehicle's id: [A-Za-z0-9._@:-]{1,64}." });
    match suffixes {
        [suffix] => json!({
            "address": format!("{PREFIX}{{vehicleId}}/{suffix}"),
            "description": description,
            "parameters": { "vehicleId": vehicle },
            "messages": messages
        }),
        several => {
            let kind = several[0].split('/').next().unwrap_or_default();
            let actions: Vec<&str> =
                several.iter().filter_map(|suffix| suffix.split('/').nth(1)).collect();
            json!({
                "address": format!("{PREFIX}{{vehicleId}}/{kind}/{{action}}"),
                "description": description,
                "parameters": { "vehicleId": vehicle, "action": { "enum": actions } },
                "messages": messages
            })
        }
    }
}

fn operation(action: &str, channel: &str, qos: u8, retain: bool, more: Value) -> Value {
    let mut operation = json!({
        "action": action,
        "channel": { "$ref": format!("#/channels/{channel}") },
        "bindings": { "mqtt": { "qos": qos, "retain": retain, "bindingVersion": "0.2.0" } }
    });
    if let (Some(operation), Value::Object(more)) = (operation.as_object_mut(), more) {
        operation.extend(more);
    }
    operation
}

fn message(name: &str, title: &str) -> Value {
    json!({
        "name": name,
        "title": title,
        "contentType": "application/json",
        "payload": { "$ref": format!("#/components/schemas/{name}") },
        "bindings": { "mqtt": {
            "payloadFormatIndicator": 1,
            "contentType": "application/json",
            "bindingVersion": "0.2.0"
        } }
    })
}

fn schemas() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    named::<Command>(&mut generator);
    named::<Answer>(&mut generator);
    named::<Telemetry>(&mut generator);
    named::<Notice>(&mut generator);
    named::<Connection>(&mut generator);
    Value::Object(generator.take_definitions(true))
}

fn named<T: JsonSchema>(generator: &mut SchemaGenerator) {
    generator.subschema_for::<T>();
}
