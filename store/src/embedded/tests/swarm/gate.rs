//! The gate: with each protection taken away in turn the swarm finds harm, within so many seeds. One
//! that it cannot find it would not find in the store either (PROMISES.md, lesson 7).

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::super::twins::Twin;
use super::{Failure, THREADS, asked, run_seed, runtime};

/// Who finds what a missing protection does.
pub(super) enum Finder {
    /// The swarm, within so many seeds: about ten times what it takes, so that a change of the plan
    /// does not fail for bad luck.
    Swarm(u64),
    /// A test of its own, as it lies where the swarm does not come: in the queue's order of threads,
    /// in tools that are run by hand.
    OwnTest,
}

pub(super) fn finder(twin: Twin) -> Finder {
    match twin {
        Twin::AckBeforeSync
        | Twin::NoDirectorySync
        | Twin::DamageTakenForTail
        | Twin::RecoveryWithoutSync
        | Twin::GuardIgnored => Finder::Swarm(500),
        Twin::NoPreviousHash | Twin::PositionNotChecked | Twin::EventChecksumIgnored => {
            Finder::Swarm(10_000)
        }
        Twin::RewrittenUnchecked
        | Twin::SyncRetried
        | Twin::ZerosNotSynced
        | Twin::SealNotSynced
        | Twin::BatchNotAtomic
        | Twin::TailNotCut => Finder::Swarm(2_000),
        // Mostly it is the copy before the frame that finds no room.
        Twin::StaleIndexTrusted | Twin::LeavingsNotCleaned => Finder::Swarm(20_000),
        Twin::IndexChecksumIgnored => Finder::Swarm(2_000),
        Twin::AckedTailTakenForTorn
        | Twin::MirrorNotAwaited
        | Twin::MarkBeforeData
        | Twin::RollbackNotSeen => Finder::Swarm(2_000),
        Twin::HeadBeforeIndex
        | Twin::MirrorOneSlot
        | Twin::CopyBehindFrame
        | Twin::RefusalBeforeDurable
        | Twin::ReaderEndNotJudged
        | Twin::CutBeforeKeptAside
        | Twin::BackupOfUnsynced
        | Twin::BackupSealedTooSoon
        | Twin::WakesOneProducer
        | Twin::PlaceNotGivenBack
        | Twin::SleepsWithoutLooking => Finder::OwnTest,
    }
}

/// The twin of this name.
pub(super) fn named(name: &str) -> Option<Twin> {
    Twin::ALL.iter().copied().find(|twin| format!("{twin:?}") == name)
}

/// The first of so many seeds that shows the harm, and shows none where nothing is missing.
fn found(twin: Twin, seeds: u64) -> Option<Failure> {
    let runtime = runtime();
    (0..seeds).find_map(|seed| {
        let failure = run_seed(&runtime, seed, Some(twin)).err()?;
        run_seed(&runtime, seed, None).is_ok().then_some(failure)
    })
}

/// Whether a test outside the swarm takes this protection away.
fn has_own_test(twin: Twin) -> bool {
    let named = format!("Twin::{twin:?}");
    let mut directories =
        vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/embedded/tests")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("swarm") {
                directories.push(path);
            } else if path.is_file() && std::fs::read_to_string(path).unwrap().contains(&named) {
                return true;
            }
        }
    }
    false
}

#[test]
fn every_planted_bug_is_found_within_its_seeds() {
    if asked("HOLDFAST_SEED").is_some() {
        return;
    }
    let only = std::env::var("HOLDFAST_TWIN").ok().and_then(|name| named(&name));
    let (next, missed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(twin) = Twin::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if only.is_some_and(|only| only != *twin) {
                        continue;
                    }
                    let seen = match finder(*twin) {
                        Finder::OwnTest => has_own_test(*twin),
                        Finder::Swarm(seeds) => match found(*twin, seeds) {
                            Some(Failure { seed, what, .. }) => {
                                println!("{twin:?}: seed {seed}: {what}");
                                true
                            }
                            None => false,
                        },
                    };
                    if !seen {
                        missed.lock().unwrap().push(*twin);
                    }
                }
            });
        }
    });
    let missed = missed.into_inner().unwrap();
    assert!(missed.is_empty(), "not found within their seeds: {missed:?}");
}
