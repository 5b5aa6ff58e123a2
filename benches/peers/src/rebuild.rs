//! Rebuilding the availability projection from the log, beside SQLite alone taking the same rows.
//!
//! *The same rows* are those that stand in the rebuilt tables: read from them, column by column, compared
//! with them afterwards, and inserted in the order in which the log made them, in batches, by a prepared
//! statement, into the same tables with the same pragmas. The rebuild has to read the log, check it, take
//! the JSON apart and fold it on top of that. Beside it, as the least that SQLite can need, the same rows
//! sorted by their key beforehand: no log has them in that order. Two logs:
//!
//! * every event makes a claim that stays: as many rows as events, so both figures say the same;
//! * every second claim is released again: half as many rows, and the rebuild reads events that leave
//!   nothing behind.

mod log;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use holdfast_projections::{Projection, ReadModels};
use holdfast_store::EventStore;
use holdfast_store::embedded::{Embedded, Options};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::Plan;
use crate::common::{Cpu, Round};
use crate::report::{Line, Report, Verdict};

use log::Shape;

/// Rows of one transaction of the plain insert.
const BATCH: usize = 10_000;
/// Rounds at most: each of them writes the tables four times.
const MOST_ROUNDS: usize = 3;

pub(crate) async fn run(plan: &Plan, home: &Path, report: &mut Report) {
    for shape in [Shape::EveryClaimStays, Shape::EverySecondGoes] {
        let home = home.join("rebuild");
        std::fs::create_dir_all(&home).expect("a directory");
        let order = log::fill(&home, plan.events, shape).await;
        report.progress("rebuild: the log is filled");
        let store = Embedded::open(&home, Options::default()).expect("the log");
        let store: Arc<dyn EventStore> = Arc::new(store);
        one(plan, &home, store, &order, shape, report).await;
        std::fs::remove_dir_all(&home).expect("the directory goes");
    }
}

async fn one(
    plan: &Plan,
    home: &Path,
    store: Arc<dyn EventStore>,
    order: &[log::Claim],
    shape: Shape,
    report: &mut Report,
) {
    let events = store.head().0;
    let (mut ours, mut all) = (Vec::new(), Vec::new());
    let (mut plain, mut sorted, mut count) = (Vec::new(), Vec::new(), 0);
    for number in 0..plan.rounds.min(MOST_ROUNDS) {
        let file = home.join(format!("read-{number}.sqlite"));
        ours.push(rebuild(&file, &store, &[Projection::Availability]).await);
        let mut rows = Rows::of(&file, order);
        count = rows.claims.len() + rows.pools.len();
        let beside = home.join(format!("plain-{number}.sqlite"));
        plain.push(rows.insert(&beside));
        rows.compare(&beside);
        let beside = home.join(format!("sorted-{number}.sqlite"));
        rows.sort();
        sorted.push(rows.insert(&beside));
        rows.compare(&beside);
        all.push(rebuild(&file, &store, &Projection::ALL).await);
        report.progress(&format!("rebuild, round {}", number + 1));
    }
    let (ours, plain) = (Round::median(ours), Round::median(plain));
    let title = format!("Rebuild from {events} events, {}: {count} rows", shape.name());
    let ratio = plain.p50 / ours.p50;
    let beside = |who: &str, round: Round| {
        Line::of(who.to_owned(), round, Some(ours.per_second / round.per_second))
    };
    report.table(
        &title,
        "events or rows",
        &[
            Line::of("Holdfast, availability (events)", ours, None),
            beside("SQLite, the same rows in the log's order", plain),
            beside("SQLite, the same rows sorted beforehand", Round::median(sorted)),
            Line::of("Holdfast, all nine read models (events)", Round::median(all), None),
        ],
    );
    match shape {
        Shape::EveryClaimStays => report.verdict(Verdict::at_least(
            "rebuild of availability / SQLite insert of the same rows, by time",
            ratio,
            0.7,
        )),
        Shape::EverySecondGoes => {
            report.note(&format!(
                "rebuilding from a log whose every second claim goes again takes {:.2} × the time of \
                 inserting the rows that are left; by events against rows it does {:.2} × as many a second",
                1.0 / ratio,
                ours.per_second / plain.per_second
            ));
        }
    }
}

async fn rebuild(file: &Path, store: &Arc<dyn EventStore>, which: &[Projection]) -> Round {
    let reads = ReadModels::open(file).await.expect("tables");
    let (before, begun) = (Cpu::so_far(), Instant::now());
    let upto = reads.rebuild(Arc::clone(store), which, |_| {}).await.expect("a rebuild");
    let round = Round::whole(upto.0, begun.elapsed(), before);
    assert_eq!(upto, store.head());
    reads.close().await;
    round
}

/// What stands in the rebuilt tables.
struct Rows {
    schema: Vec<String>,
    claims: Vec<Vec<Value>>,
    pools: Vec<Vec<Value>>,
    prints: [u32; 2],
}

impl Rows {
    /// Reads them, and brings the claims into the order in which the log made them.
    fn of(file: &Path, order: &[log::Claim]) -> Self {
        let connection = Connection::open(file).expect("the rebuilt tables");
        let schema = connection
            .prepare("SELECT sql FROM sqlite_schema WHERE name IN ('claims', 'availability')")
            .and_then(|mut it| it.query_map([], |row| row.get(0))?.collect())
            .expect("two tables");
        let pools = all(&connection, "availability");
        let claims = all(&connection, "claims");
        assert_eq!(claims.len(), order.len(), "every claim that stays has its row");
        let mut places: std::collections::HashMap<&str, usize> =
            order.iter().enumerate().map(|(place, it)| (it.reservation.as_str(), place)).collect();
        let mut keyed: Vec<(usize, Vec<Value>)> = claims
            .into_iter()
            .map(|row| {
                let Value::Text(reservation) = &row[1] else {
                    panic!("a reservation's id is text")
                };
                (places.remove(reservation.as_str()).expect("a claim of the log"), row)
            })
            .collect();
        keyed.sort_by_key(|(place, _)| *place);
        let claims = keyed.into_iter().map(|(_, row)| row).collect();
        let prints = ["claims", "availability"].map(|table| print(&connection, table));
        Self { schema, claims, pools, prints }
    }

    /// Brings the claims into the order of their key.
    fn sort(&mut self) {
        let text = |value: &Value| match value {
            Value::Text(text) => text.clone(),
            Value::Null | Value::Integer(_) | Value::Real(_) | Value::Blob(_) => String::new(),
        };
        self.claims.sort_by_cached_key(|row| (text(&row[0]), text(&row[1])));
    }

    /// What SQLite needs for them.
    fn insert(&self, file: &Path) -> Round {
        let mut connection = Connection::open(file).expect("SQLite opens");
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; \
                 PRAGMA cache_size = -65536; PRAGMA temp_store = memory;",
            )
            .expect("pragmas");
        let (before, begun) = (Cpu::so_far(), Instant::now());
        for sql in &self.schema {
            connection.execute_batch(sql).expect("a table");
        }
        for (table, rows) in [("claims", &self.claims), ("availability", &self.pools)] {
            let Some(first) = rows.first() else { continue };
            let places = vec!["?"; first.len()].join(",");
            let sql = format!("INSERT INTO {table} VALUES ({places})");
            for batch in rows.chunks(BATCH) {
                let transaction = connection.transaction().expect("a transaction");
                {
                    let mut insert = transaction.prepare_cached(&sql).expect("a statement");
                    for row in batch {
                        insert.execute(params_from_iter(row)).expect("an insert");
                    }
                }
                transaction.commit().expect("a commit");
            }
        }
        Round::whole((self.claims.len() + self.pools.len()) as u64, begun.elapsed(), before)
    }

    /// The plain insert has made just those rows, or it would be no measure of them.
    fn compare(&self, file: &Path) {
        let connection = Connection::open(file).expect("SQLite opens");
        let prints = ["claims", "availability"].map(|table| print(&connection, table));
        assert_eq!(prints, self.prints, "the same rows");
    }
}

fn all(connection: &Connection, table: &str) -> Vec<Vec<Value>> {
    let mut select = connection.prepare(&format!("SELECT * FROM {table}")).expect("a table");
    let width = select.column_count();
    select
        .query_map([], |row| (0..width).map(|at| row.get(at)).collect())
        .and_then(Iterator::collect)
        .expect("its rows")
}

/// A checksum over all rows in the order of their keys.
fn print(connection: &Connection, table: &str) -> u32 {
    all(connection, table)
        .iter()
        .fold(0, |sum, row| crc32c::crc32c_append(sum, format!("{row:?}").as_bytes()))
}
