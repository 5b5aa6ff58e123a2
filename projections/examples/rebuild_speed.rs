//! How fast rows follow from events, beside what SQLite itself needs for the same rows.
//!
//! ```text
//! cargo run --release -p holdfast-projections --example rebuild_speed [events]
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_domain::seatmap::{Category, Plan, Section};
use holdfast_domain::{
    AttemptId, Currency, Money, ReservationId, Sku, Timestamp, UserId, derive, inventory, seatmap,
};
use holdfast_projections::{Projection, ReadModels};
use holdfast_schemas::{Actor, Metadata, StoredEvent};
use holdfast_store::memory::Memory;
use holdfast_store::{EventStore, Expected, NewEvent, StreamAppend, StreamId};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

const SKUS: u64 = 100;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let events: u64 = std::env::args().nth(1).map_or(Ok(1_000_000), |it| it.parse())?;
    let folder = tempfile::tempdir()?;

    let store = Arc::new(Memory::new());
    let claims = fill(&store, events).await?;
    println!("{events} events: {claims} claims stay, {SKUS} pools");

    let path = folder.path().join("read.sqlite");
    let reads = ReadModels::open(&path).await?;
    let log = Arc::clone(&store) as Arc<dyn EventStore>;
    let began = Instant::now();
    reads.rebuild(Arc::clone(&log), &[Projection::Availability], |_| {}).await?;
    told("rebuild of availability", events, began.elapsed());

    let began = Instant::now();
    reads.runner(Arc::clone(&log)).catch_up().await?;
    told("catching up, all projections", events, began.elapsed());

    let began = Instant::now();
    insert(&folder.path().join("plain.sqlite"), claims).await?;
    told("plain batched insert of as many claims as stay", claims, began.elapsed());
    let began = Instant::now();
    insert(&folder.path().join("plain2.sqlite"), events).await?;
    told("plain batched insert of one row an event", events, began.elapsed());

    let stadium = Arc::new(Memory::new());
    publish(&stadium).await?;
    let reads = ReadModels::open(&folder.path().join("stadium.sqlite")).await?;
    let began = Instant::now();
    reads.runner(stadium).catch_up().await?;
    told("publishing a stadium, seats", 50_000, began.elapsed());
    let map = "stadium".parse()?;
    let began = Instant::now();
    let seats = reads.seats(&map, Some("S7")).await?.len() as u64;
    told("reading one section, seats", seats, began.elapsed());
    let began = Instant::now();
    let seats = reads.seat_snapshot(&map).await?.map_or(0, |it| it.seats.len()) as u64;
    told("reading every seat's status, seats", seats, began.elapsed());
    Ok(())
}

fn told(what: &str, count: u64, took: Duration) {
    let each = count as f64 / took.as_secs_f64();
    println!("{what}: {count} in {:.3} s, {each:.0} a second", took.as_secs_f64());
}

fn written(event: &impl StoredEvent, number: u64) -> NewEvent {
    let metadata = Metadata {
        occurred_at: Timestamp::from_secs(1_795_000_000),
        command_id: derive(&["command"]),
        actor: Actor::user("ada"),
        tenant_id: "main".into(),
        correlation_id: None,
        causation_id: None,
        idempotency_key: None,
        fingerprint: None,
        traceparent: None,
    };
    NewEvent {
        id: uuid::Uuid::from_u128(u128::from(number)),
        kind: event.kind().into(),
        schema_version: event.schema_version(),
        metadata: metadata.encode().into(),
        data: event.encode().into(),
    }
}

/// Holds, of which every second is released a while later.
async fn fill(store: &Memory, events: u64) -> Result<u64, Box<dyn std::error::Error>> {
    let user = UserId::new("ada")?;
    let mut appends: Vec<StreamAppend> = Vec::new();
    let mut claims = 0;
    for number in 0..events {
        let sku = Sku::new(format!("item-{}", number % SKUS))?;
        let reservation = |number: u64| ReservationId(uuid::Uuid::from_u128(number.into()));
        let event = if number < SKUS {
            inventory::Event::Received { qty: 1_000_000, by: user.clone() }
        } else if number % (2 * SKUS) < SKUS && number >= 3 * SKUS {
            claims -= 1;
            inventory::Event::Released {
                reservation_id: reservation(number - SKUS),
                qty: 1,
                reason: inventory::ReleaseReason::Expired,
                epoch: Some(1),
            }
        } else {
            claims += 1;
            inventory::Event::Held {
                reservation_id: reservation(number),
                qty: 1,
                remaining: 1,
                expires_at: Timestamp::from_secs(1_795_000_900),
                epoch: 1,
                attempt: AttemptId(derive(&["attempt"])),
                period: None,
            }
        };
        appends.push(StreamAppend {
            stream: StreamId::new(format!("inventory-{sku}")),
            expected: Expected::Any,
            events: vec![written(&event, number)],
        });
        if appends.len() as u64 == SKUS || number + 1 == events {
            store.append(std::mem::take(&mut appends)).await?;
        }
    }
    Ok(claims)
}

async fn publish(store: &Memory) -> Result<(), Box<dyn std::error::Error>> {
    let section = |number: u32| Section {
        name: format!("S{number}"),
        category: "any".into(),
        rows: 50,
        seats_per_row: 50,
    };
    let price = Money::new(3_000, Currency::new("EUR")?);
    let plan = Plan {
        name: "The stadium".into(),
        sku: None,
        categories: vec![Category { name: "any".into(), price }],
        sections: (1..=20).map(section).collect(),
    };
    let event = written(&seatmap::Event::Published { plan }, 1);
    let stream = StreamId::new("seatmap-stadium");
    store
        .append(vec![StreamAppend { stream, expected: Expected::Any, events: vec![event] }])
        .await?;
    Ok(())
}

/// What SQLite needs at least: the same columns, prepared, 128 rows a statement, one transaction.
async fn insert(path: &std::path::Path, rows: u64) -> Result<(), sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal);
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await?;
    sqlx::query(
        "CREATE TABLE claims (sku TEXT NOT NULL, reservation_id TEXT NOT NULL, qty INTEGER NOT NULL, \
         state TEXT NOT NULL, expires_at TEXT, epoch INTEGER NOT NULL, period_from TEXT, \
         period_until TEXT, PRIMARY KEY (sku, reservation_id)) STRICT, WITHOUT ROWID",
    )
    .execute(&pool)
    .await?;
    let mut tx = pool.begin().await?;
    let sql = format!("INSERT INTO claims VALUES {}", ["(?,?,?,?,?,?,?,?)"; 128].join(","));
    for chunk in 0..rows / 128 {
        let mut query = sqlx::query(&sql);
        for number in chunk * 128..(chunk + 1) * 128 {
            query = query
                .bind(format!("item-{}", number % SKUS))
                .bind(uuid::Uuid::from_u128(number.into()).to_string())
                .bind(1_i64)
                .bind("HELD")
                .bind("2026-11-21T12:00:00.000000Z")
                .bind(1_i64)
                .bind(None::<String>)
                .bind(None::<String>);
        }
        query.execute(&mut *tx).await?;
    }
    tx.commit().await?;
    pool.close().await;
    Ok(())
}
