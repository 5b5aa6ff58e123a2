//! What really goes over the wire is what the AsyncAPI document says.

use std::collections::BTreeSet;
use std::time::Duration;

use holdfast_domain::vehicle::CommandKind;
use holdfast_schemas::asyncapi_schema_of;
use holdfast_schemas::mqtt::Topic;
use serde_json::{Value, json};

use super::world::{World, car, handed};

fn document() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../schemas/asyncapi/vehicles.v1.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_payload_that_is_sent_keeps_the_published_schemas() {
    let document = document();
    let mut world = World::new();
    let mut onlooker = world.onlooker("hf/v1/v/#").await;
    let running = world.link().await;
    let vehicles = world.vehicles(3, |_| {}).await;
    for number in 1..=3 {
        let unlock = world.unlock(&car(number));
        handed(&running, &unlock).await;
        world.desk.answer(unlock.command_id).await;
        let mut lock = world.unlock(&car(number));
        lock.kind = CommandKind::Lock;
        handed(&running, &lock).await;
        world.desk.answer(lock.command_id).await;
    }
    vehicles.vanish(&car(1), Duration::from_secs(5)).await;
    let all: BTreeSet<Topic> = Topic::ALL.into_iter().collect();
    let (mut seen, mut wills) = (BTreeSet::new(), 0);
    while seen != all || wills == 0 {
        let publish = onlooker.hears().await;
        let topic = std::str::from_utf8(&publish.topic).unwrap();
        let (_, topic) = Topic::parse(topic).unwrap_or_else(|| panic!("{topic}"));
        let payload: Value = serde_json::from_slice(&publish.payload).unwrap();
        let reference = format!("#/components/schemas/{}", asyncapi_schema_of(topic));
        let schema = json!({ "$ref": reference, "components": document["components"] });
        let validator = jsonschema::options()
            .with_draft(jsonschema::Draft::Draft7)
            .should_validate_formats(true)
            .build(&schema)
            .unwrap();
        let errors: Vec<String> =
            validator.iter_errors(&payload).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{topic:?} {payload}: {errors:?}");
        wills += usize::from(topic == Topic::Connection && payload["online"] == false);
        seen.insert(topic);
    }
}
