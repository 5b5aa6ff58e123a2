//! A crash at each point of a batch, and what becomes of a runner whose checkpoint is not in it.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use holdfast_domain::{Sku, Timestamp, UserId, derive, inventory};
use holdfast_schemas::{Actor, Metadata, StoredEvent};
use holdfast_store::memory::Memory;
use holdfast_store::{Expected, NewEvent, StreamAppend, StreamId};

use super::*;

fn scarf() -> Sku {
    Sku::new("scarf").unwrap()
}

/// A log in which ten scarves arrive, one by one.
async fn ten_scarves() -> Arc<dyn EventStore> {
    let store = Memory::new();
    let metadata = Metadata {
        occurred_at: Timestamp::from_secs(1_795_000_000),
        command_id: derive(&["command"]),
        actor: Actor::user("olga"),
        tenant_id: "main".into(),
        correlation_id: None,
        causation_id: None,
        idempotency_key: None,
        fingerprint: None,
        traceparent: None,
    };
    let event = inventory::Event::Received { qty: 1, by: UserId::new("olga").unwrap() };
    let new = |number: u32| NewEvent {
        id: derive(&["event", &number.to_string()]),
        kind: event.kind().into(),
        schema_version: event.schema_version(),
        metadata: metadata.encode().into(),
        data: event.encode().into(),
    };
    let stream = StreamId::new("inventory-scarf");
    let append =
        StreamAppend { stream, expected: Expected::Any, events: (0..10).map(new).collect() };
    store.append(vec![append]).await.unwrap();
    Arc::new(store)
}

async fn counted(reads: &ReadModels) -> u32 {
    reads.availability(&scarf()).await.unwrap().map_or(0, |row| row.total)
}

/// Writes the rows of the whole log, as a batch does, without its checkpoint.
async fn rows_only(reads: &ReadModels, store: &Arc<dyn EventStore>) -> Tx {
    let events = store.read_all(Position::FIRST, &Filter::All, 100).await.unwrap().events;
    let mut tx = reads.home().write().await.unwrap();
    let mut projecting = Projecting::new(Edition::Live);
    pass(&mut projecting, &mut tx, &**store, Batch::read(&events), |_, _| true).await.unwrap();
    projecting.flush(&mut tx, usize::MAX).await.unwrap();
    tx
}

#[tokio::test]
async fn a_kill_before_the_commit_leaves_neither_rows_nor_checkpoint() {
    let (store, reads) = (ten_scarves().await, ReadModels::in_memory().await.unwrap());
    drop(rows_only(&reads, &store).await);
    assert_eq!((counted(&reads).await, reads.position()), (0, Position::ZERO));
    reads.runner(Arc::clone(&store)).catch_up().await.unwrap();
    reads.runner(store).catch_up().await.unwrap();
    assert_eq!(counted(&reads).await, 10);
}

/// The twin: rows and checkpoint in two transactions. A kill between them counts everything twice.
#[tokio::test]
async fn without_one_transaction_a_kill_between_rows_and_checkpoint_counts_twice() {
    let (store, reads) = (ten_scarves().await, ReadModels::in_memory().await.unwrap());
    rows_only(&reads, &store).await.commit().await.unwrap();
    reads.runner(store).catch_up().await.unwrap();
    assert_eq!(counted(&reads).await, 20, "the race that the one transaction prevents");
}

#[tokio::test]
async fn rows_of_another_version_start_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("read.sqlite");
    let store = ten_scarves().await;
    let reads = ReadModels::open(&path).await.unwrap();
    reads.runner(Arc::clone(&store)).catch_up().await.unwrap();
    let mut tx = reads.home().write().await.unwrap();
    let older = "UPDATE checkpoints SET version = 0 WHERE name = 'availability'";
    tx.execute(older, vec![]).await.unwrap();
    tx.execute("UPDATE availability SET total = 99", vec![]).await.unwrap();
    tx.commit().await.unwrap();
    reads.close().await;

    let reads = ReadModels::open(&path).await.unwrap();
    assert_eq!((counted(&reads).await, reads.position()), (0, Position::ZERO));
    reads.runner(store).catch_up().await.unwrap();
    assert_eq!(counted(&reads).await, 10);
    let statuses = reads.statuses().await.unwrap();
    assert!(statuses.iter().all(|it| it.position == Position(10)));
}

#[tokio::test]
async fn events_that_an_older_program_could_not_read_are_taken_in_by_one_that_can() {
    let (store, reads) = (ten_scarves().await, ReadModels::in_memory().await.unwrap());
    reads.runner(Arc::clone(&store)).catch_up().await.unwrap();
    // As the older program left it: the event passed over, and parked.
    let mut tx = reads.home().write().await.unwrap();
    tx.execute("UPDATE availability SET total = 9", vec![]).await.unwrap();
    let parked = ParkedEvent {
        position: Position(4),
        event_id: derive(&["event", "3"]),
        stream: "inventory-scarf".into(),
        kind: "inventory.received".into(),
        schema_version: 1,
        error: "unknown".into(),
    };
    tx.upsert(&PARKED, Edition::Live, vec![parked.values()]).await.unwrap();
    tx.commit().await.unwrap();
    reads.runner(store).catch_up().await.unwrap();
    assert_eq!((counted(&reads).await, reads.parked_count().await.unwrap()), (10, 0));
}
