//! A cqrs-es aggregate on the embedded log: `cargo run -p holdfast-store --example cqrs_es_aggregate`.
//!
//! Each run opens the turnstile once more; the count is what the log says.

use std::sync::Arc;

use cqrs_es::event_sink::EventSink;
use cqrs_es::{Aggregate, CqrsFramework, DomainEvent, EventStore as _};
use holdfast_store::EventStore;
use holdfast_store::cqrs::CqrsLog;
use holdfast_store::embedded::{Embedded, Options};
use serde::{Deserialize, Serialize};

#[derive(Default, Serialize, Deserialize)]
struct Turnstile {
    passed: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct PersonPassed {}

impl DomainEvent for PersonPassed {
    fn event_type(&self) -> String {
        "turnstile.person-passed".to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}

struct Pass;

#[derive(Debug, thiserror::Error)]
#[error("the hall is full")]
struct Full;

impl Aggregate for Turnstile {
    const TYPE: &'static str = "turnstile";
    type Command = Pass;
    type Event = PersonPassed;
    type Error = Full;
    type Services = ();

    async fn handle(&mut self, _: Pass, (): &(), sink: &EventSink<Self>) -> Result<(), Full> {
        if self.passed == 2000 {
            return Err(Full);
        }
        sink.write(PersonPassed {}, self).await;
        Ok(())
    }

    fn apply(&mut self, _: PersonPassed) {
        self.passed += 1;
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "holdfast-example".to_owned());
    let store: Arc<dyn EventStore> = Arc::new(Embedded::open(&dir, Options::default())?);
    let log = CqrsLog::<Turnstile>::new(store);
    let hall = CqrsFramework::new(log.clone(), vec![], ());
    hall.execute("north", Pass).await?;
    println!("{} have passed", log.load_events("north").await?.len());
    Ok(())
}
