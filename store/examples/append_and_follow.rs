//! Appends to the embedded log and follows it: `cargo run -p holdfast-store --example append_and_follow`.
//!
//! The second run with the same directory goes on where the first one ended.

use std::sync::Arc;

use holdfast_store::embedded::{Embedded, Options};
use holdfast_store::{
    AppendError, EventStore, Expected, Filter, NewEvent, Position, StreamAppend, StreamId,
    subscribe,
};
use uuid::Uuid;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "holdfast-example".to_owned());
    let store = Arc::new(Embedded::open(&dir, Options::default())?);
    println!("{} events are in {dir}", store.recovery().events);

    let log: Arc<dyn EventStore> = Arc::clone(&store) as Arc<dyn EventStore>;
    let mut follower = subscribe(&log, Position::ZERO, Filter::Categories(vec!["seat".into()]));

    // Two people want the same seat, and both have seen that it is free.
    let seat = StreamId::new(format!("seat-{}", Uuid::now_v7()));
    for person in ["ann", "bob"] {
        let taken = NewEvent {
            id: Uuid::now_v7(),
            kind: "seat.taken".to_owned(),
            schema_version: 1,
            metadata: format!(r#"{{"actor":"user:{person}"}}"#).into(),
            data: format!(r#"{{"by":"{person}"}}"#).into(),
        };
        let batch = StreamAppend {
            stream: seat.clone(),
            expected: Expected::NoStream,
            events: vec![taken],
        };
        match log.append(vec![batch]).await {
            Ok(appended) => println!("{person} has it, at position {}", appended.last),
            Err(AppendError::Conflict { .. }) => println!("{person} was too late"),
            Err(other) => return Err(other.into()),
        }
    }

    while follower.position() <= log.head() {
        for event in follower.next().await? {
            println!(
                "{} {} {}",
                event.position,
                event.stream,
                String::from_utf8_lossy(&event.data)
            );
        }
    }
    store.close().await;
    Ok(())
}
