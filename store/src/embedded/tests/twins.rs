//! Each protection is taken away once, and then the harm that it keeps off does happen. A test
//! that cannot see a planted fault proves nothing (PROMISES.md, lesson 7).

use std::sync::Arc;

use super::super::format::{HEADER_LEN, SegmentHeader, segment_name};
use super::super::sim::{Faults, Leaves, SimDisk};
use super::super::twins::{Twin, Twins};
use super::super::{Embedded, Options};
use super::{Story, open, run, tiny};
use crate::contract::{batch, everything};
use crate::{EventStore, Expected};

const SEGMENT: u64 = 12 << 10;

fn without(twin: Twin) -> Options {
    let mut options = tiny(SEGMENT);
    options.lab.twins = Twins::without(twin);
    options
}

fn with_all() -> Options {
    tiny(SEGMENT)
}

/// Tells a story up to a power cut, and says what is wrong with what is left.
fn power_cut(options: &Options, operation: u64, leaves: Leaves) -> Result<(), String> {
    let disk = SimDisk::new();
    disk.set_faults(Faults { cut_at: Some(operation), ..Faults::default() });
    let mut story = Story::default();
    if let Ok(store) = Embedded::open_on(Arc::new(disk.clone()), options.clone()) {
        story.tell(&store, 14);
    }
    story.check_disk(&disk.after_power_cut(leaves), options.clone())
}

/// Whether some power cut does harm.
fn harm(options: &Options) -> Option<String> {
    let cuts = (10..120).flat_map(|operation| {
        [Leaves::Nothing, Leaves::Some(operation), Leaves::Prefix(operation)]
            .map(|leaves| (operation, leaves))
    });
    cuts.into_iter().find_map(|(operation, leaves)| power_cut(options, operation, leaves).err())
}

#[test]
fn acknowledging_before_the_sync_loses_what_was_acknowledged() {
    let found = harm(&without(Twin::AckBeforeSync)).unwrap();
    assert!(found.contains("lost"), "{found}");
    assert_eq!(harm(&with_all()), None);
}

#[test]
fn a_segment_whose_name_is_not_durable_is_lost_with_all_that_is_in_it() {
    let found = harm(&without(Twin::NoDirectorySync)).unwrap();
    assert!(found.contains("lost") || found.contains("missing"), "{found}");
}

/// Torn bytes that stay mix with the next frames, and then look like damage.
#[test]
fn a_tail_that_is_not_cut_becomes_damage_later() {
    let opens_after = |options: Options| {
        let sized = |stream: &str, bytes: usize| {
            let mut sized = batch(stream, Expected::Any, 1);
            sized.events[0].data = vec![b'x'; bytes].into();
            vec![sized]
        };
        let disk = SimDisk::new();
        let store = open(&disk, options.clone());
        run(store.append(sized("first-1", 10))).unwrap();
        disk.set_faults(Faults { cut_at: Some(disk.operations()), ..Faults::default() });
        run(store.append(sized("torn-1", 3000))).unwrap_err();
        let disk = disk.after_power_cut(Leaves::Everything);
        disk.scribble(&segment_name(1), 4608, &[0; 512]);
        let store = open(&disk, options.clone());
        assert!(store.recovery().torn.is_some());
        run(store.append(sized("next-1", 1500))).unwrap();
        drop(store);
        Embedded::open_on(Arc::new(disk), options).map(|store| store.head().0)
    };
    let found = opens_after(without(Twin::TailNotCut)).err().unwrap();
    assert!(found.to_string().contains("damaged"), "{found}");
    assert_eq!(opens_after(with_all()).unwrap(), 2);
}

/// The process is killed between a write and its sync; the next one serves what the cache holds.
#[test]
fn recovery_that_does_not_sync_serves_what_is_lost_later() {
    let served_then_lost = |options: Options| {
        (0..120).any(|operation| {
            let disk = SimDisk::new();
            disk.set_faults(Faults { cut_at: Some(operation), ..Faults::default() });
            if let Ok(store) = Embedded::open_on(Arc::new(disk.clone()), with_all()) {
                Story::default().tell(&store, 14);
            }
            let killed = disk.after_kill();
            let served = open(&killed, options.clone()).head();
            let after =
                Embedded::open_on(Arc::new(killed.after_power_cut(Leaves::Nothing)), with_all());
            after.is_ok_and(|store| store.head() < served)
        })
    };
    assert!(served_then_lost(without(Twin::RecoveryWithoutSync)));
    assert!(!served_then_lost(with_all()));
}

/// The second sync says that all is well, because the cache has forgotten what it lost.
#[test]
fn a_sync_that_is_tried_again_loses_what_was_acknowledged() {
    let lost = |options: Options| {
        (10..120).find_map(|operation| {
            let disk = SimDisk::new();
            disk.set_faults(Faults { fail_sync_at: Some(operation), ..Faults::default() });
            let mut story = Story::default();
            if let Ok(store) = Embedded::open_on(Arc::new(disk.clone()), options.clone()) {
                story.tell(&store, 14);
            }
            story.check_disk(&disk.after_power_cut(Leaves::Nothing), options.clone()).err()
        })
    };
    let found = lost(without(Twin::SyncRetried)).unwrap();
    assert!(found.contains("lost") || found.contains("damaged"), "{found}");
    assert_eq!(lost(with_all()), None);
}

#[test]
fn damage_that_is_taken_for_a_torn_tail_loses_what_was_acknowledged() {
    let disk = SimDisk::new();
    let store = open(&disk, with_all());
    let mut story = Story::default();
    // The damage lies before what the mirror can give back.
    story.tell(&store, 4);
    drop(store);
    disk.scribble(&segment_name(1), 4096 + 100, b"?");
    let found = story.check_disk(&disk.after_kill(), with_all()).unwrap_err();
    assert!(found.contains("does not open"), "{found}");
    let found = story.check_disk(&disk, without(Twin::DamageTakenForTail)).unwrap_err();
    assert!(found.contains("lost"), "{found}");
}

/// Fault 18: a block of another time at the same place. It is whole, at the right position, and
/// follows the right frame; only the frame behind it knows that it is not the one.
#[test]
fn without_the_previous_hash_a_stale_frame_is_served() {
    let disk = SimDisk::new();
    let write = |disk: &SimDisk, stream: &str| {
        let store = open(disk, with_all());
        run(store.append(vec![batch(stream, Expected::Any, 1)])).unwrap();
    };
    write(&disk, "first-1");
    let fork = disk.after_power_cut(Leaves::Nothing);
    write(&disk, "stale-1");
    write(&fork, "truth-1");
    write(&fork, "truth-2");
    // Two more, so that the mirror no longer knows what stood there.
    write(&fork, "truth-3");
    write(&fork, "truth-4");
    // The two frames are of one length: the stale one lands on the true one.
    let stale = disk.contents(&segment_name(1)).unwrap();
    let truth = fork.contents(&segment_name(1)).unwrap();
    let at = stale.iter().zip(&truth).position(|(a, b)| a != b).unwrap();
    let frames_end = SegmentHeader::decode(&stale[..HEADER_LEN]).unwrap().frames_end() as usize;
    let end = stale[..frames_end].iter().rposition(|b| *b != 0).unwrap() + 1;
    fork.scribble(&segment_name(1), at as u64, &stale[at..end]);

    let served = open(&fork.after_kill(), without(Twin::NoPreviousHash));
    let streams: Vec<String> =
        run(everything(&served)).iter().map(|e| e.stream.to_string()).collect();
    let expected = ["first-1", "stale-1", "truth-2", "truth-3", "truth-4"];
    assert_eq!(streams, expected, "history that never was");
    let refused = Embedded::open_on(Arc::new(fork), with_all()).err().unwrap();
    assert!(refused.to_string().contains("does not follow"), "{refused}");
}
