//! The swarm: each seed is a small world in which the store lives some lives on a disk that lies,
//! with another mixture of faults and work each time; a judge looks at all that it answers.
//!
//! ```text
//!   seed ─► plan (kinds of faults, sizes, work) ─► lives ─► quiet last life
//!                                                   │ every opening, answer and read
//!                                                   ▼
//!                                    ledger: P1, P2, P3, P4, P4b ─► well, or what is wrong
//! ```
//!
//! `HOLDFAST_SEEDS=n` runs n seeds, `HOLDFAST_SEED=n` runs one and shows its last operations,
//! `HOLDFAST_TWIN=name` with one of them takes a protection away.

mod damage;
mod gate;
pub(super) mod ledger;
mod plan;
mod steps;
mod table;
pub(super) mod world;

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::runtime::Runtime;

use super::super::twins::{Twin, Twins};
use world::{Tally, World};

/// How many seeds run in every test run.
const SEEDS: u64 = 2_000;
/// How many threads share them.
const THREADS: usize = 2;
/// After so many failing seeds no more are run.
const ENOUGH_FAILURES: usize = 12;

/// A seed in which something does not hold.
struct Failure {
    seed: u64,
    twin: Option<Twin>,
    what: String,
    plan: String,
    trace: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, twin, what, plan, trace } = self;
        writeln!(f, "seed {seed}: {what}\n\n{plan}\n\nthe last operations:\n{trace}")?;
        writeln!(f, "seed {seed}: {what}\nagain:")?;
        if let Some(twin) = twin {
            write!(f, "HOLDFAST_TWIN={twin:?} ")?;
        }
        write!(f, "HOLDFAST_SEED={seed} cargo test -p holdfast-store --lib swarm -- --nocapture")
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

fn twins(twin: Option<Twin>) -> Twins {
    twin.map_or_else(Twins::default, Twins::without)
}

/// Runs one seed. What panics is a failure like any other.
fn run_seed(runtime: &Runtime, seed: u64, twin: Option<Twin>) -> Result<(Tally, u32), Failure> {
    let mut world = World::new(runtime, seed, twins(twin));
    let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.run()));
    let what = match ran {
        Ok(Ok(())) => return Ok((world.tally, world.disk.digest())),
        Ok(Err(what)) => what,
        Err(panic) => {
            let said = panic.downcast_ref::<String>().cloned();
            let said = said.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            format!("panic: {}", said.unwrap_or_default())
        }
    };
    let plan = format!("{:#?}", world.plan);
    Err(Failure { seed, twin, what, plan, trace: world.disk.trace() })
}

/// Runs seeds below `seeds`, until some have failed; the first of these is told in full.
fn run_seeds(seeds: u64) -> Result<Tally, String> {
    let (next, failures) = (AtomicU64::new(0), Mutex::new(Vec::<Failure>::new()));
    let total = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let (runtime, mut tally) = (runtime(), Tally::default());
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        break;
                    }
                    match run_seed(&runtime, seed, None) {
                        Ok((one, _)) => tally.add(&one),
                        Err(failure) => {
                            let mut failures = failures.lock().unwrap();
                            failures.push(failure);
                            if failures.len() == ENOUGH_FAILURES {
                                next.store(seeds, Ordering::Relaxed);
                            }
                        }
                    }
                }
                total.lock().unwrap().add(&tally);
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort_by_key(|failure| failure.seed);
    match failures.first() {
        None => Ok(total.into_inner().unwrap()),
        Some(first) => {
            let others = failures[1..].iter().map(|f| format!("\nand seed {}: {}", f.seed, f.what));
            Err(format!("{first}{}", others.collect::<String>()))
        }
    }
}

/// A number from the environment.
fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|n| n.parse().ok())
}

/// P1, P2, P3, P4, P4b under all kinds of faults of PROMISES.md's disk rows.
#[test]
fn no_seed_loses_halves_reorders_or_serves_what_was_not_written() {
    if let Some(seed) = asked("HOLDFAST_SEED") {
        let twin = std::env::var("HOLDFAST_TWIN").ok();
        let twin = twin.map(|name| gate::named(&name).expect("a twin of that name"));
        match run_seed(&runtime(), seed, twin) {
            Ok((tally, digest)) => println!("seed {seed} holds: {tally:?}, digest {digest:08x}"),
            Err(failure) => panic!("{failure}"),
        }
        return;
    }
    let seeds = asked("HOLDFAST_SEEDS").unwrap_or(SEEDS);
    let begun = std::time::Instant::now();
    let tally = run_seeds(seeds).unwrap_or_else(|failure| panic!("{failure}"));
    println!("{seeds} seeds in {:.1} s: {tally:?}", begun.elapsed().as_secs_f64());
    // A swarm in which nothing happens proves nothing.
    if seeds >= 500 {
        let Tally { lives, acknowledged, conflicts, unknown, full, stopped, torn, .. } = tally;
        let often = [lives / 2, acknowledged / 4, conflicts, unknown * 5, full * 5, stopped * 5];
        assert!(often.iter().all(|n| *n > seeds / 2), "{tally:?}");
        let now_and_then = [torn, tally.told, tally.harmless, tally.crashed_in_recovery];
        assert!(now_and_then.iter().all(|n| *n > seeds / 50), "{tally:?}");
        assert!(tally.segments > tally.lives, "{tally:?}");
    }
}

/// What a seed does it does again: otherwise nothing could be replayed.
#[test]
fn a_seed_does_the_same_each_time() {
    let (one, other) = (runtime(), runtime());
    for seed in 0..60 {
        let digest = |runtime| match run_seed(runtime, seed, None) {
            Ok((_, digest)) => digest,
            Err(failure) => panic!("{failure}"),
        };
        assert_eq!(digest(&one), digest(&other), "seed {seed}");
    }
}
