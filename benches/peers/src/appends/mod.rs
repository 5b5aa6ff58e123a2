//! Durable guarded appends: one event of 256 bytes at a time, answered when it is on the disk.
//!
//! Every contestant is told at which version (or position) the producer saw its stream last, and each
//! producer has a stream of its own: the guard is always asked and never refuses. Rounds alternate, so
//! that a slow minute of the disk is everybody's.

mod ours;
mod postgres;
mod sqlite;
mod tephra;
mod umadb;

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;

pub(crate) use ours::prepared;

use crate::common::{PAYLOAD_BYTES, Round, bare_writer};
use crate::report::{Line, Report, Verdict};
use crate::servers::{Cluster, Uma};
use crate::{Plan, common};

/// What every event is called.
const KIND: &str = "bench.happened";
/// What every event is accompanied by, where there is room for it.
const METADATA: &str = r#"{"actor":"system:bench"}"#;

/// Who is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Contestant {
    Ours,
    Bare,
    SqliteOne,
    SqliteBatch,
    Tephra,
    UmaDb,
    Postgres,
}

use Contestant::{Bare, Ours, Postgres, SqliteBatch, SqliteOne, Tephra, UmaDb};

impl Contestant {
    const ALL: [Self; 7] = [Ours, Bare, SqliteBatch, SqliteOne, Tephra, UmaDb, Postgres];

    fn name(self) -> &'static str {
        match self {
            Ours => "Holdfast",
            Bare => "bare writer thread",
            SqliteOne => "SQLite WAL FULL, 1 event a transaction",
            SqliteBatch => "SQLite WAL FULL, up to 100 a transaction",
            Tephra => "tephra 0.4",
            UmaDb => "UmaDB 0.7 (server)",
            Postgres => "PostgreSQL 15 (server)",
        }
    }

    /// Those of which the best is to be left behind.
    fn is_rival(self) -> bool {
        match self {
            SqliteOne | Tephra | UmaDb | Postgres => true,
            Ours | Bare | SqliteBatch => false,
        }
    }
}

/// Runs the row for each number of producers, and the one that holds a single append against one sync.
pub(crate) async fn run(
    plan: &Plan,
    home: &Path,
    cluster: Option<&Cluster>,
    uma: Option<&Uma>,
    report: &mut Report,
) {
    let data = Bytes::from(vec![b'x'; PAYLOAD_BYTES]);
    for &producers in &plan.producers {
        let mut rounds: Vec<(Contestant, Vec<Round>)> =
            Contestant::ALL.map(|it| (it, Vec::new())).into();
        let mut syncs = Vec::new();
        for number in 0..plan.rounds {
            let home = home.join(format!("appends-{producers}-{number}"));
            std::fs::create_dir_all(&home).expect("a directory");
            if producers == 1 {
                syncs.push(common::bare_syncs(&home.join("sync"), plan.span));
            }
            for (contestant, rounds) in &mut rounds {
                let it = *contestant;
                let home = home.join(format!("{}", it as u8));
                let round = one(it, &home, producers, plan.span, &data, cluster, uma).await;
                rounds.extend(round);
            }
            std::fs::remove_dir_all(&home).expect("the directory goes");
            report.progress(&format!("appends, {producers} producers, round {}", number + 1));
        }
        let medians: Vec<(Contestant, Round)> = rounds
            .into_iter()
            .filter(|(_, rounds)| !rounds.is_empty())
            .map(|(it, rounds)| (it, Round::median(rounds)))
            .collect();
        tell(producers, &medians, (!syncs.is_empty()).then(|| Round::median(syncs)), report);
    }
}

async fn one(
    contestant: Contestant,
    home: &Path,
    producers: usize,
    span: Duration,
    data: &Bytes,
    cluster: Option<&Cluster>,
    uma: Option<&Uma>,
) -> Option<Round> {
    let data = data.clone();
    Some(match contestant {
        Ours => ours::round(home, producers, span, data).await,
        Bare => bare_writer(home, producers, span).await,
        SqliteOne => sqlite::round(home, producers, span, data, 1).await,
        SqliteBatch => sqlite::round(home, producers, span, data, 100).await,
        Tephra => tephra::round(home, producers, span, data).await,
        UmaDb => umadb::round(uma?, producers, span, data).await,
        Postgres => postgres::round(cluster?, producers, span, data).await,
    })
}

fn tell(
    producers: usize,
    medians: &[(Contestant, Round)],
    sync: Option<Round>,
    report: &mut Report,
) {
    let of = |wanted: Contestant| medians.iter().find(|(it, _)| *it == wanted).map(|(_, it)| *it);
    let Some(ours) = of(Ours) else { return };
    let mut lines: Vec<Line> = medians
        .iter()
        .map(|(it, round)| Line::of(it.name(), *round, Some(ours.per_second / round.per_second)))
        .collect();
    if let Some(sync) = sync {
        lines.push(Line::of("fdatasync of 512 B, nothing else", sync, None));
    }
    report.table(&format!("Durable guarded appends, {producers} producers"), "appends", &lines);

    if let Some(sync) = sync {
        report.verdict(Verdict::at_most(
            "1 producer, p50 / one bare fdatasync",
            ours.p50 / sync.p50,
            1.6,
        ));
    }
    if producers == 64 || producers == 256 {
        if let Some(bare) = of(Bare) {
            let ratio = ours.per_second / bare.per_second;
            let what = format!("appends, {producers} producers / bare writer thread");
            report.verdict(Verdict::at_least(what, ratio, 0.7));
        }
        if let Some(batch) = of(SqliteBatch) {
            let ratio = ours.per_second / batch.per_second;
            let what = format!("appends, {producers} producers / batching SQLite writer");
            report.verdict(Verdict::at_least(what, ratio, 1.0));
        }
    }
    let best = medians
        .iter()
        .filter(|(it, _)| it.is_rival())
        .max_by(|(_, a), (_, b)| a.per_second.total_cmp(&b.per_second));
    if producers == 64
        && let Some((rival, round)) = best
    {
        let what = format!("appends, 64 producers / best other ({})", rival.name());
        report.verdict(Verdict::at_least(what, ours.per_second / round.per_second, 5.0));
    }
}
