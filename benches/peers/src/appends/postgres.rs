//! PostgreSQL with its own settings: one insert, one transaction, unique by stream and version.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use crate::common::{Round, produce};
use crate::servers::Cluster;

/// How many connections there are at most; more producers share them.
const CONNECTIONS: usize = 64;

pub(crate) async fn round(
    cluster: &Cluster,
    producers: usize,
    span: Duration,
    data: Bytes,
) -> Round {
    let admin = cluster.connect().await;
    admin
        .batch_execute(
            "DROP TABLE IF EXISTS events;
             CREATE TABLE events (
                 position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, stream text NOT NULL,
                 version bigint NOT NULL, id bytea NOT NULL, kind text NOT NULL,
                 metadata text NOT NULL, data bytea NOT NULL, UNIQUE (stream, version))",
        )
        .await
        .expect("a table");
    let mut connections = Vec::new();
    for _ in 0..producers.min(CONNECTIONS) {
        let client = cluster.connect().await;
        let insert = client
            .prepare(
                "INSERT INTO events (stream, version, id, kind, metadata, data) \
                 VALUES ($1,$2,$3,$4,$5,$6) RETURNING position",
            )
            .await
            .expect("a statement");
        connections.push(Arc::new((client, insert)));
    }
    produce(producers, span, move |producer, version, ()| {
        let connection = Arc::clone(&connections[producer % connections.len()]);
        let data = data.clone();
        async move {
            let (client, insert) = &*connection;
            let id = Uuid::from_u128((producer as u128) << 64 | u128::from(version));
            let (stream, version) = (format!("bench-{producer}"), version as i64);
            client
                .query_one(
                    insert,
                    &[
                        &stream,
                        &version,
                        &&id.as_bytes()[..],
                        &super::KIND,
                        &super::METADATA,
                        &&data[..],
                    ],
                )
                .await
                .expect("the version is the next one");
        }
    })
    .await
}
