//! SQLite in WAL mode with `synchronous = FULL`: one thread owns the connection, producers queue before
//! it. With one event a transaction it is what most would write; with up to a hundred it is the rival.
//!
//! Sixty-four connections of their own would be slower: SQLite has one writer, and those who do not get
//! their turn sleep and try again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rusqlite::{Connection, params};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::common::{Round, produce};

struct Order {
    stream: Arc<str>,
    version: i64,
    id: Uuid,
    data: Bytes,
    answer: oneshot::Sender<i64>,
}

pub(crate) async fn round(
    home: &Path,
    producers: usize,
    span: Duration,
    data: Bytes,
    each_transaction: usize,
) -> Round {
    std::fs::create_dir_all(home).expect("a directory");
    let path = home.join("events.sqlite");
    let (queue, orders) = mpsc::channel::<Order>(4096);
    let thread = std::thread::Builder::new().name("sqlite-writer".into());
    let writer = thread.spawn(move || write(path, orders, each_transaction)).expect("a thread");
    let streams: Vec<Arc<str>> = (0..producers).map(|it| format!("bench-{it}").into()).collect();
    let round = produce(producers, span, move |producer, version, ()| {
        let (answer, answered) = oneshot::channel();
        let order = Order {
            stream: Arc::clone(&streams[producer]),
            version: version as i64,
            id: Uuid::from_u128((producer as u128) << 64 | u128::from(version)),
            data: data.clone(),
            answer,
        };
        let queue = queue.clone();
        async move {
            queue.send(order).await.expect("a writer");
            answered.await.expect("an answer");
        }
    })
    .await;
    writer.join().expect("a writer that ends");
    round
}

fn write(path: PathBuf, mut orders: mpsc::Receiver<Order>, each_transaction: usize) {
    let connection = Connection::open(path).expect("SQLite opens");
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -65536;
             CREATE TABLE events (
                 position INTEGER PRIMARY KEY, stream TEXT NOT NULL, version INTEGER NOT NULL,
                 id BLOB NOT NULL, kind TEXT NOT NULL, metadata TEXT NOT NULL, data BLOB NOT NULL,
                 UNIQUE (stream, version)) STRICT;",
        )
        .expect("a table");
    let mut insert = connection
        .prepare(
            "INSERT INTO events (stream, version, id, kind, metadata, data) VALUES (?,?,?,?,?,?)",
        )
        .expect("a statement");
    let mut done = Vec::with_capacity(each_transaction);
    while let Some(first) = orders.blocking_recv() {
        connection.execute_batch("BEGIN IMMEDIATE").expect("a transaction");
        let mut next = Some(first);
        while let Some(Order { stream, version, id, data, answer }) = next {
            insert
                .execute(params![
                    &*stream,
                    version,
                    &id.as_bytes()[..],
                    super::KIND,
                    super::METADATA,
                    &*data
                ])
                .expect("the version is the next one");
            done.push((answer, connection.last_insert_rowid()));
            next = if done.len() < each_transaction { orders.try_recv().ok() } else { None };
        }
        connection.execute_batch("COMMIT").expect("a commit");
        for (answer, position) in done.drain(..) {
            let _ = answer.send(position);
        }
    }
}
