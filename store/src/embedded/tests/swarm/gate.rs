//! The gate: with each protection taken away in turn the swarm finds harm, within so many seeds. One
//! that it cannot find it would not find in the store either (PROMISES.md, lesson 7).

use super::super::super::twins::Twin;
use super::{Failure, asked, run_seed, runtime};

/// Within how many seeds the swarm must find what a missing protection does. About ten times what
/// it takes, so that a change of the plan does not fail for bad luck.
///
/// None for those that the swarm cannot meet: tests of their own show what they do.
fn budget(twin: Twin) -> u64 {
    match twin {
        Twin::AckBeforeSync => 500,
        Twin::NoPreviousHash => 500,
        Twin::RecoveryWithoutSync => 500,
        Twin::NoDirectorySync => 500,
        Twin::SyncRetried => 500,
        Twin::TailNotCut => 500,
        Twin::DamageTakenForTail => 500,
        Twin::AckedTailTakenForTorn => 0,
        Twin::MirrorNotAwaited => 0,
        Twin::MirrorOneSlot => 0,
        Twin::MirrorBeforeData => 0,
        Twin::StaleIndexTrusted => 0,
        Twin::IndexChecksumIgnored => 0,
        Twin::EventChecksumIgnored => 0,
        Twin::CutBeforeKeptAside => 0,
        Twin::BackupOfUnsynced => 0,
        Twin::BackupSealedTooSoon => 0,
        Twin::WakesOneProducer => 0,
        Twin::PlaceNotGivenBack => 0,
        Twin::SleepsWithoutLooking => 0,
        Twin::HeadBeforeIndex => 0,
        Twin::RefusalBeforeDurable => 0,
    }
}

/// The twin of this name.
pub(super) fn named(name: &str) -> Option<Twin> {
    Twin::ALL.iter().copied().find(|twin| format!("{twin:?}") == name)
}

/// The first seed that shows the harm.
fn found(twin: Twin) -> Option<Failure> {
    let runtime = runtime();
    (0..budget(twin)).find_map(|seed| run_seed(&runtime, seed, Some(twin)).err())
}

#[test]
fn every_planted_bug_is_found_within_its_seeds() {
    if asked("HOLDFAST_SEED").is_some() {
        return;
    }
    let mut missed = Vec::new();
    for twin in Twin::ALL.iter().copied().filter(|twin| budget(*twin) > 0) {
        match found(twin) {
            Some(Failure { seed, what, .. }) => println!("{twin:?}: seed {seed}: {what}"),
            None => missed.push(twin),
        }
    }
    assert!(missed.is_empty(), "not found within their seeds: {missed:?}");
}
