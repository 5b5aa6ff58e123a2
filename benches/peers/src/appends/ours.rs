//! Holdfast's embedded log, as the product opens it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use holdfast_store::embedded::{Embedded, Options};
use holdfast_store::{EventStore, Expected, NewEvent, StreamAppend, StreamId};
use uuid::Uuid;

use crate::common::{Round, produce};

pub(crate) async fn round(home: &Path, producers: usize, span: Duration, data: Bytes) -> Round {
    let store = Arc::new(Embedded::open(home, Options::default()).expect("a log"));
    prepared(home).await;
    let appender = Arc::clone(&store);
    let streams: Vec<_> = (0..producers).map(|it| StreamId::new(format!("bench-{it}"))).collect();
    let round = produce(producers, span, move |producer, version, ()| {
        let event = NewEvent {
            id: Uuid::from_u128((producer as u128) << 64 | u128::from(version)),
            kind: super::KIND.into(),
            schema_version: 1,
            metadata: Bytes::from_static(super::METADATA.as_bytes()),
            data: data.clone(),
        };
        let expected = version.checked_sub(1).map_or(Expected::NoStream, Expected::Exact);
        let batch =
            StreamAppend { stream: streams[producer].clone(), expected, events: vec![event] };
        let store = Arc::clone(&appender);
        async move {
            store.append(vec![batch]).await.expect("an append");
        }
    })
    .await;
    store.close().await;
    round
}

/// Waits until the second segment is there: what is measured is the steady state, not the start.
pub(crate) async fn prepared(home: &Path) {
    let until = Instant::now() + Duration::from_secs(30);
    while !home.join("log/0000000002.seg").exists() && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
