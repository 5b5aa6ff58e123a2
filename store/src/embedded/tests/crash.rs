//! The power goes off at every step, and comes back to every kind of disk.

use super::super::sim::{Faults, Leaves, SimDisk};
use super::super::{Embedded, Options};
use super::{Story, open, seeds, tiny};
use std::sync::Arc;

const SEGMENT: u64 = 12 << 10;
const ROUNDS: usize = 14;

/// Tells a story on a disk whose power goes off at an operation.
fn cut_at(operation: u64, before: &SimDisk) -> (Story, SimDisk) {
    let mut story = Story::default();
    let disk = before.clone();
    disk.set_faults(Faults { cut_at: Some(operation), ..Faults::default() });
    if let Ok(store) = Embedded::open_on(Arc::new(disk.clone()), tiny(SEGMENT)) {
        story.tell(&store, ROUNDS);
    }
    (story, disk)
}

fn leftovers(seed: u64) -> impl Iterator<Item = Leaves> {
    [Leaves::Nothing, Leaves::Everything]
        .into_iter()
        .chain((0..4).flat_map(move |i| [Leaves::Some(seed * 4 + i), Leaves::Prefix(seed * 4 + i)]))
}

fn options() -> Options {
    tiny(SEGMENT)
}

/// P1, P3, faults 1 to 9: also while segments are made, sealed and begun.
#[test]
fn a_power_cut_at_any_step_loses_nothing_acknowledged_and_leaves_nothing_half() {
    let (mut acknowledged, mut operation) = (0, 0);
    loop {
        let (story, disk) = cut_at(operation, &SimDisk::new());
        for leaves in leftovers(operation) {
            let after = disk.after_power_cut(leaves);
            if let Err(what) = story.check_disk(&after, options()) {
                panic!("cut at {operation}, {leaves:?}: {what}");
            }
        }
        acknowledged = story.acknowledged().max(acknowledged);
        if !disk.is_off() {
            break;
        }
        operation += 1;
    }
    assert!(operation > 45, "the story has {operation} steps: it rolls some segments");
    assert!(acknowledged > 15);
}

/// Fault 6: recovery may be cut off as often as it likes.
#[test]
fn a_power_cut_at_any_step_of_recovery_changes_nothing() {
    for first in (0..140).step_by(7) {
        let (story, disk) = cut_at(first, &SimDisk::new());
        for seed in seeds(3) {
            let torn = disk.after_power_cut(Leaves::Some(seed));
            for step in 0.. {
                let again = torn.after_power_cut(Leaves::Nothing);
                again.set_faults(Faults { cut_at: Some(step), ..Faults::default() });
                drop(Embedded::open_on(Arc::new(again.clone()), options()));
                for leaves in [Leaves::Nothing, Leaves::Some(seed), Leaves::Prefix(seed)] {
                    let after = again.after_power_cut(leaves);
                    if let Err(what) = story.check_disk(&after, options()) {
                        panic!("cut at {first} and {step}, {leaves:?}, seed {seed}: {what}");
                    }
                }
                if !again.is_off() {
                    break;
                }
            }
        }
    }
}

/// Lesson 2: what a process that was killed has left in the cache is made durable before it is
/// served.
#[test]
fn what_was_served_after_a_kill_is_there_after_the_next_power_cut() {
    for operation in 0..140 {
        let (story, disk) = cut_at(operation, &SimDisk::new());
        let killed = disk.after_kill();
        let store = open(&killed, options());
        story.check(&store).unwrap();
        let served = crate::EventStore::head(&store);
        drop(store);
        let after = open(&killed.after_power_cut(Leaves::Nothing), options());
        assert_eq!(crate::EventStore::head(&after), served, "killed at {operation}");
        story.check(&after).unwrap();
    }
}

/// Faults 1 to 9 one after the other: each run goes on where the last one was cut off.
#[test]
fn one_power_cut_after_the_other_loses_nothing() {
    for seed in seeds(40) {
        let mut disk = SimDisk::new();
        let mut story = Story::default();
        for life in 0..6 {
            let cut = (seed * 31 + life * 17) % 70 + 3;
            disk.set_faults(Faults { cut_at: Some(cut), ..Faults::default() });
            if let Ok(store) = Embedded::open_on(Arc::new(disk.clone()), options())
                && !disk.is_off()
            {
                if let Err(what) = story.check(&store) {
                    panic!("seed {seed}, life {life}: {what}");
                }
                story.tell(&store, ROUNDS);
            }
            disk = disk.after_power_cut(if seed % 2 == 0 {
                Leaves::Some(seed * 10 + life)
            } else {
                Leaves::Prefix(seed * 10 + life)
            });
        }
        if let Err(what) = story.check_disk(&disk, options()) {
            panic!("seed {seed}: {what}");
        }
    }
}

/// What was cut is kept aside, and said.
#[test]
fn torn_bytes_are_kept_beside_the_segment() {
    let mut seen = 0;
    for operation in 20..80 {
        let (_, disk) = cut_at(operation, &SimDisk::new());
        for seed in 0..6 {
            let torn = disk.after_power_cut(Leaves::Prefix(seed));
            let before: Vec<_> = torn.names();
            let store = open(&torn, options());
            let Some(cut) = store.recovery().torn.clone() else {
                assert_eq!(torn.names().iter().filter(|n| n.contains("torn")).count(), 0);
                continue;
            };
            seen += 1;
            assert!(before.contains(&cut.segment));
            assert_eq!(cut.kept_in, format!("{}.torn", cut.segment));
            assert_eq!(cut.position.0, store.recovery().events + 1);
            let kept = torn.contents(&cut.kept_in).unwrap();
            assert_eq!(kept.len() as u64, cut.bytes);
            let (at, end) = (cut.offset as usize, (cut.offset + cut.bytes) as usize);
            let segment = torn.contents(&cut.segment).unwrap();
            assert!(segment[at..end].iter().all(|b| *b == 0), "cut where it stood");
            drop(store);
            assert_eq!(open(&torn, options()).recovery().torn, None, "once");
        }
    }
    assert!(seen > 5, "torn {seen} times");
}
