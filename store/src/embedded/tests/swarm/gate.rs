//! The gate: with each protection taken away in turn the swarm finds harm, within so many seeds. One
//! that it cannot find it would not find in the store either (PROMISES.md, lesson 7).

use super::super::super::twins::Twin;
use super::{Failure, asked, run_seed, runtime};

/// Within how many seeds the swarm must find what a missing protection does. About ten times what
/// it takes, so that a change of the plan does not fail for bad luck. None: it is no matter of the disk,
/// and found elsewhere.
fn budget(twin: Twin) -> Option<u64> {
    match twin {
        Twin::AckBeforeSync => Some(500),
        Twin::NoPreviousHash => Some(500),
        Twin::RecoveryWithoutSync => Some(500),
        Twin::NoDirectorySync => Some(500),
        Twin::SyncRetried => Some(500),
        Twin::TailNotCut => Some(500),
        Twin::DamageTakenForTail => Some(500),
        // By the tests of repair and backup.
        Twin::CutBeforeKeptAside | Twin::BackupOfUnsynced | Twin::BackupSealedTooSoon => None,
        // By shuttle, in tests/shuttled.
        Twin::WakesOneProducer
        | Twin::PlaceNotGivenBack
        | Twin::SleepsWithoutLooking
        | Twin::HeadBeforeIndex
        | Twin::RefusalBeforeDurable => None,
    }
}

/// The twin of this name.
pub(super) fn named(name: &str) -> Option<Twin> {
    Twin::ALL.iter().copied().find(|twin| format!("{twin:?}") == name)
}

/// The first seed that shows the harm.
fn found(twin: Twin, seeds: u64) -> Option<Failure> {
    let runtime = runtime();
    (0..seeds).find_map(|seed| run_seed(&runtime, seed, Some(twin)).err())
}

#[test]
fn every_planted_bug_is_found_within_its_seeds() {
    if asked("HOLDFAST_SEED").is_some() {
        return;
    }
    let mut missed = Vec::new();
    for twin in Twin::ALL.iter().copied() {
        let Some(seeds) = budget(twin) else { continue };
        match found(twin, seeds) {
            Some(Failure { seed, what, .. }) => println!("{twin:?}: seed {seed}: {what}"),
            None => missed.push(twin),
        }
    }
    assert!(missed.is_empty(), "not found within their seeds: {missed:?}");
}
