//! Holdfast beside its peers, in one run on one machine, as ratios.
//!
//! ```sh
//! benches/peers.sh                       # installs what can be had, builds, measures everything
//! benches/peers.sh --quick               # small sizes: does it run, roughly how do they stand
//! benches/peers.sh --only appends --producers 64,256
//! ```
//!
//! Rounds of all contestants alternate and medians count, so that a slow minute of a shared disk is
//! everybody's. Absolute figures are the machine's; the ratios are what is promised.

mod appends;
#[path = "../../../store/benches/common/mod.rs"]
mod common;
mod counter;
mod rebuild;
mod replay;
mod report;
mod servers;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use report::Report;
use servers::{Cluster, Uma};

/// Measures Holdfast beside its peers and prints tables in Markdown.
#[derive(Parser)]
struct Args {
    /// Small sizes and short rounds.
    #[arg(long)]
    quick: bool,
    /// Only this work; may be given several times.
    #[arg(long, value_enum)]
    only: Vec<Work>,
    /// How long one contestant's round lasts, in milliseconds.
    #[arg(long, env = "HOLDFAST_PEERS_MILLIS")]
    millis: Option<u64>,
    /// How many rounds; the median counts.
    #[arg(long, env = "HOLDFAST_PEERS_ROUNDS")]
    rounds: Option<usize>,
    /// How many events are replayed and rebuilt from.
    #[arg(long, env = "HOLDFAST_PEERS_EVENTS")]
    events: Option<u64>,
    /// Numbers of producers of the appends.
    #[arg(long, value_delimiter = ',', default_value = "1,8,64,256")]
    producers: Vec<usize>,
    /// Where to write; on the disk that is to be measured.
    #[arg(long, env = "HOLDFAST_PEERS_DIR")]
    dir: Option<PathBuf>,
    /// The program of the UmaDB server.
    #[arg(long, env = "HOLDFAST_PEERS_UMADB", default_value = "umadb")]
    umadb: PathBuf,
}

/// What can be measured.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Work {
    /// Durable guarded appends, and one of them against one sync.
    Appends,
    /// One pool that everybody wants.
    Counter,
    /// The whole log to a follower.
    Replay,
    /// The availability projection from the log.
    Rebuild,
}

/// Sizes of the run.
struct Plan {
    span: Duration,
    rounds: usize,
    events: u64,
    producers: Vec<usize>,
}

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    let args = Args::parse();
    let (millis, rounds, events) =
        if args.quick { (200, 1, 20_000) } else { (2_000, 5, 1_000_000) };
    let plan = Plan {
        span: Duration::from_millis(args.millis.unwrap_or(millis)),
        rounds: args.rounds.unwrap_or(rounds).max(1),
        events: args.events.unwrap_or(events).max(1_000),
        producers: args.producers,
    };
    let wanted = |work: Work| args.only.is_empty() || args.only.contains(&work);
    let root = args.dir.unwrap_or_else(std::env::temp_dir);
    let dir = tempfile::Builder::new()
        .prefix("holdfast-peers-")
        .tempdir_in(&root)
        .expect("a directory to write to");
    servers::passable(dir.path());

    let mut report = Report::default();
    println!(
        "{} rounds of {} ms, {} events, load {} at the start",
        plan.rounds,
        plan.span.as_millis(),
        plan.events,
        report::load()
    );
    let cluster = if wanted(Work::Appends) || wanted(Work::Counter) {
        present(Cluster::start(dir.path()), &report)
    } else {
        None
    };
    let uma = if wanted(Work::Appends) {
        present(Uma::start(&args.umadb, dir.path()).await, &report)
    } else {
        None
    };
    if wanted(Work::Appends) {
        appends::run(&plan, dir.path(), cluster.as_ref(), uma.as_ref(), &mut report).await;
    }
    drop(uma);
    if wanted(Work::Counter) {
        counter::run(&plan, dir.path(), cluster.as_ref(), &mut report).await;
    }
    drop(cluster);
    if wanted(Work::Replay) {
        replay::run(&plan, dir.path(), &mut report).await;
    }
    if wanted(Work::Rebuild) {
        rebuild::run(&plan, dir.path(), &mut report).await;
    }
    report.end();
}

/// A peer that cannot be had is left out, and the report says so.
fn present<T>(peer: Result<T, String>, report: &Report) -> Option<T> {
    peer.map_err(|why| report.note(&format!("left out: {why}"))).ok()
}
