//! Power cuts, from what the binary really asks of the kernel: every system call of a run is written
//! down, every disk that a cut may leave can be rebuilt (`states`), and the log is opened on it. All
//! that had been acknowledged before the cut is there, whole, and nothing is called damage.
//!
//! `HOLDFAST_DISK_STATES=20000` rebuilds twenty thousand disks.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use holdfast_store::embedded::{OpenError, verify};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tempfile::TempDir;

use crate::Clock;
use crate::bench::{Ground, count, in_lanes, judge_recovered};
use crate::states::{State, draw};
use crate::strace::may_trace;
use crate::support::seed;
use crate::trace::{CALLS, Op, Step, Trace, read};

/// A run that was written down.
struct Recorded {
    name: &'static str,
    root: PathBuf,
    trace: Trace,
}

/// Runs the bench under strace and reads the record. What the ground holds already is taken for durable.
fn record(name: &'static str, ground: &mut Ground, args: &[&str]) -> Recorded {
    let root = ground.data().parent().expect("a directory").to_owned();
    let mut before = Vec::new();
    files(&ground.data(), &mut before);
    let record = root.join("record");
    let mut tracer: Vec<String> =
        ["strace", "-f", "-qq", "--seccomp-bpf", "-xx", "-s", "20000000", "-e", "signal=none"]
            .map(Into::into)
            .into();
    tracer.extend(["-e".into(), format!("trace={CALLS}"), "-o".into()]);
    tracer.push(record.display().to_string());
    let told_before = ground.told.clone();
    let (ended, acks) = ground.run(&tracer, args);
    assert!(ended.success() && acks > 0, "{name}: {ended}, {}", ground.errors());
    let text = std::fs::read_to_string(&record).expect("strace writes ASCII");
    let mut trace = read(&text, &root, before, told_before);
    // What is told, and what strace itself keeps there, is not on the disk that is cut.
    trace.steps.retain(|step| {
        if let Op::MakeDir { path } | Op::Create { path, .. } = &step.op {
            path.starts_with(ground.data())
        } else {
            true
        }
    });
    let tells = trace.steps.iter().filter(|step| matches!(step.op, Op::Tell { .. })).count();
    assert!(tells >= acks, "{name}: {tells} lines were written down, {acks} were read");
    eprintln!(
        "{name}: {} MB of record, {} calls, {acks} acknowledgements ({} before)",
        text.len() >> 20,
        trace.steps.len(),
        trace.told_before.acks.len(),
    );
    Recorded { name, root, trace }
}

/// All files of a directory, with what is in them.
fn files(directory: &Path, into: &mut Vec<(PathBuf, Arc<[u8]>)>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, into);
        } else {
            let bytes = std::fs::read(&path).expect("a file");
            into.push((path, bytes.into()));
        }
    }
}

/// A directory in memory where there is one: nothing here is to be durable.
fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = TempDir::with_prefix_in("holdfast-states-", memory);
    made.or_else(|_| TempDir::with_prefix("holdfast-states-")).expect("a directory")
}

/// Opens the log on a disk and compares it with what was told.
fn open_on(recorded: &Recorded, state: &State, directory: &Path) -> Result<(), String> {
    state.write(&recorded.root, directory);
    let data = directory.join("data");
    match verify(&data, &mut |_| ()) {
        Ok(report) => {
            if let Some(damage) = report.offence {
                return Err(format!("a power cut is called damage: {damage}"));
            }
        }
        Err(OpenError::NoLog) => {}
        Err(error) => return Err(format!("it cannot be verified: {error}")),
    }
    judge_recovered(&data, &state.told)?;
    // Recovery has an end: the second opening finds nothing more to do.
    judge_recovered(&data, &state.told)?;
    Ok(())
}

/// The first of so many disks on which the log breaks its word.
fn search(recorded: &Recorded, seeds: std::ops::Range<u64>) -> Option<String> {
    seeds.into_iter().find_map(|seed| {
        let state = draw(&recorded.trace, &recorded.root, &mut StdRng::seed_from_u64(seed));
        let directory = scratch();
        let told = open_on(recorded, &state, directory.path()).err()?;
        let kept = directory.keep();
        Some(format!(
            "{}, seed {seed}, cut at line {}: {told}\nthe disk is kept in {}",
            recorded.name,
            state.cut,
            kept.display()
        ))
    })
}

/// A small log, without a second segment.
fn small() -> Recorded {
    let args = ["--producers", "4", "--appends", "60", "--event-bytes", "400", "--events", "2"];
    record("a new log", &mut Ground::new(), &args)
}

/// Rolls from segment to segment.
fn rolling() -> Recorded {
    let args = ["--producers", "6", "--appends", "220", "--event-bytes", "12000"];
    record("rolling", &mut Ground::new(), &args)
}

/// Goes on where a killed run has left off.
fn recovering(seed: u64) -> Recorded {
    let mut ground = Ground::new();
    for cycle in 0..3 {
        let run = ground.begin(&[], &["--producers", "8", "--event-bytes", "5000"]);
        std::thread::sleep(std::time::Duration::from_millis(60 + (seed + cycle) % 50));
        run.kill9();
        ground.hear();
    }
    let args = ["--producers", "4", "--appends", "120", "--event-bytes", "9000"];
    record("going on after kill -9", &mut ground, &args)
}

#[test]
fn every_disk_that_a_power_cut_leaves_holds_what_was_acknowledged() {
    let _clock = Clock::start();
    if !may_trace("power cuts, rebuilt from system calls") {
        return;
    }
    let seed = seed();
    let records = [small(), rolling(), recovering(seed)];
    let each = count("HOLDFAST_DISK_STATES", 500).div_ceil(records.len() as u64);
    const PIECE: u64 = 10;
    let pieces: Vec<(usize, u64)> = (0..records.len())
        .flat_map(|record| (0..each.div_ceil(PIECE)).map(move |piece| (record, piece)))
        .collect();
    in_lanes(&pieces, |(record, piece)| {
        let from = seed.wrapping_mul(1_000_000_007).wrapping_add(piece * PIECE);
        match search(&records[*record], from..from + PIECE.min(each - piece * PIECE)) {
            None => 0,
            Some(offence) => panic!("{offence}"),
        }
    });
}

/// How many disks it may take until a missing protection shows.
const SOON: u64 = 300;

/// The same record without some of its steps: what a binary would have left that does not take them.
fn without(mut recorded: Recorded, step: impl Fn(&Step) -> bool) -> String {
    recorded.trace.steps.retain(|one| !step(one));
    let found = search(&recorded, 0..SOON).expect("a missing protection shows");
    // What was meant to be found is not looked at.
    if let Some((_, kept)) = found.rsplit_once("kept in ") {
        let _ = std::fs::remove_dir_all(kept);
    }
    found
}

#[test]
fn a_log_that_did_not_sync_its_frames_is_found_out() {
    let _clock = Clock::start();
    if !may_trace("whether missing syncs are found out") {
        return;
    }
    let log = small();
    let told = |step: &&Step| matches!(step.op, Op::Tell { .. });
    let first = log.trace.steps.iter().find(told).expect("somebody was told").begin;
    let found = without(log, |step| matches!(step.op, Op::SyncFile { .. }) && step.begin > first);
    // Lost, or damaged: later frames stand behind one that never arrived.
    assert!(found.contains("is lost") || found.contains("damage"), "{found}");
}

#[test]
fn a_log_that_did_not_sync_its_directory_is_found_out() {
    let _clock = Clock::start();
    if !may_trace("whether missing syncs of directories are found out") {
        return;
    }
    without(rolling(), |step| matches!(step.op, Op::SyncDir { .. }));
}
