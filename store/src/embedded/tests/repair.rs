//! Cutting damage off: what stands before it opens again, what goes is kept aside, and a crash in
//! between changes nothing.

use std::sync::Arc;
use std::time::Duration;

use super::super::format::{HEADER_LEN, SegmentHeader, segment_name};
use super::super::marker::MARK_FILE;
use super::super::repair::repair_without;
use super::super::sim::{Faults, Leaves, SimDisk};
use super::super::twins::{Twin, Twins};
use super::super::{
    CutPlan, Disk, Embedded, OpenError, RepairError, Repaired, VerifyOptions, repair_on,
};
use super::{Story, open, run, tiny, with_slots};
use crate::RecordedEvent;
use crate::contract::everything;

const SEGMENT: u64 = 8 << 10;

/// A log of several segments, and what is in it.
fn log() -> (SimDisk, Vec<RecordedEvent>) {
    let disk = SimDisk::new();
    let store = open(&disk, tiny(SEGMENT));
    Story::default().tell(&store, 16);
    let events = run(everything(&store));
    assert!(store.info().segments >= 5, "{:?}", store.info());
    drop(store);
    without_proofs(&disk);
    (disk, events)
}

/// Without the copies, which would give the last frames back instead, and without the mark.
fn without_proofs(disk: &SimDisk) {
    disk.lose(MARK_FILE);
    for name in disk.names().iter().filter(|name| name.ends_with(".seg")) {
        let bytes = disk.contents(name).unwrap();
        if let Ok(header) = SegmentHeader::decode(&bytes[..HEADER_LEN]) {
            let slots = header.frames_end();
            disk.scribble(name, slots, &vec![0; bytes.len() - slots as usize]);
        }
    }
}

fn copy(disk: &SimDisk) -> SimDisk {
    let copy = SimDisk::new();
    for name in disk.names() {
        copy.put(&name, disk.contents(&name).unwrap());
    }
    copy
}

/// The same without indexes: opening it reads everything.
fn unindexed(disk: &SimDisk) -> SimDisk {
    let copy = copy(disk);
    for name in disk.names().into_iter().filter(|name| name.ends_with(".idx")) {
        copy.lose(&name);
    }
    copy
}

fn flip(disk: &SimDisk, number: u64, at: u64) {
    let byte = disk.contents(&segment_name(number)).unwrap()[at as usize];
    disk.scribble(&segment_name(number), at, &[byte ^ 0x40]);
}

fn ask(disk: &SimDisk, yes: bool) -> Result<Repaired, RepairError> {
    ask_without(disk, yes, Twins::default())
}

fn ask_without(disk: &SimDisk, yes: bool, twins: Twins) -> Result<Repaired, RepairError> {
    let options = VerifyOptions { threads: 1, settle: Duration::ZERO };
    repair_without(Arc::new(disk.clone()), &options, twins, &mut |_| {}, &mut |_| yes)
}

fn planned(disk: &SimDisk) -> CutPlan {
    let before: Vec<_> = disk.names().iter().map(|name| disk.contents(name)).collect();
    let Repaired::Left(plan) = ask(disk, false).unwrap() else { panic!("it is damaged") };
    let after: Vec<_> = disk.names().iter().map(|name| disk.contents(name)).collect();
    assert!(before == after, "looking changes nothing");
    plan
}

/// The log opens, with just the first events of what was there.
fn is_prefix(disk: &SimDisk, events: &[RecordedEvent], head: u64) {
    let store = open(disk, tiny(SEGMENT));
    assert_eq!(run(everything(&store)), events[..head as usize]);
    // And it goes on from there.
    Story::default().tell(&store, 3);
}

/// Every segment's bytes are somewhere, as they were.
fn nothing_is_deleted(disk: &SimDisk, damaged: &SimDisk) -> Result<(), String> {
    let kept: Vec<_> = disk.names().iter().map(|name| disk.contents(name).unwrap()).collect();
    for name in damaged.names().into_iter().filter(|name| name.ends_with(".seg")) {
        let bytes = damaged.contents(&name).unwrap();
        if bytes.iter().any(|b| *b != 0) && !kept.contains(&bytes) {
            return Err(format!("{name} is gone"));
        }
    }
    Ok(())
}

/// Logs that are damaged in all ways, each with a name.
fn damaged() -> (Vec<(String, SimDisk)>, Vec<RecordedEvent>) {
    let (disk, events) = log();
    let mut logs = Vec::new();
    let mut add = |what: &str, change: &dyn Fn(&SimDisk)| {
        let copy = copy(&disk);
        change(&copy);
        logs.push((what.to_owned(), copy));
    };
    add("a frame in the middle", &|disk| flip(disk, 2, HEADER_LEN as u64 + 100));
    add("the first frame of all", &|disk| flip(disk, 1, HEADER_LEN as u64 + 60));
    add("a header page", &|disk| flip(disk, 3, 20));
    add("a header page's checksum", &|disk| flip(disk, 3, HEADER_LEN as u64 - 1));
    add("a missing segment", &|disk| disk.lose(&segment_name(3)));
    add("a segment under another name", &|disk| {
        disk.put(&segment_name(3), disk.contents(&segment_name(2)).unwrap());
    });
    add("a file that was cut short", &|disk| {
        let mut bytes = disk.contents(&segment_name(3)).unwrap();
        bytes.truncate(SEGMENT as usize - 2000);
        disk.put(&segment_name(3), bytes);
    });
    add("a file that is empty", &|disk| disk.put(&segment_name(2), Vec::new()));
    add("zeros where frames were", &|disk| {
        disk.scribble(&segment_name(2), HEADER_LEN as u64 + 200, &[0; 3000]);
    });
    add("a segment nobody made", &|disk| disk.put(&segment_name(0), vec![1; 5000]));
    add("many prepared ones", &|disk| {
        for number in 20..23 {
            disk.put(&segment_name(number), vec![0; SEGMENT as usize]);
        }
    });
    (logs, events)
}

#[test]
fn whatever_is_damaged_a_cut_leaves_a_prefix_that_opens_and_keeps_the_rest() {
    let (logs, events) = damaged();
    for (what, disk) in logs {
        let before = copy(&disk);
        assert!(Embedded::open_on(Arc::new(unindexed(&disk)), tiny(SEGMENT)).is_err(), "{what}");
        let plan = planned(&disk);
        let Repaired::Cut(done) = ask(&disk, true).unwrap() else { panic!("{what}") };
        assert_eq!(done, plan, "{what}: what was shown is what is done");
        nothing_is_deleted(&disk, &before).unwrap_or_else(|gone| panic!("{what}: {gone}"));
        assert!(plan.lost.first.0 > plan.head.0, "{what}: {plan:?}");
        is_prefix(&disk, &events, plan.head.0);
        assert!(matches!(ask(&disk, true), Ok(Repaired::Whole(_))), "{what}: done is done");
    }
}

/// Only what is behind the damage goes: as much of the damaged segment as is whole stays.
#[test]
fn a_cut_takes_no_more_than_it_must() {
    let (disk, events) = log();
    let store = open(&copy(&disk), tiny(SEGMENT));
    let all = events.len() as u64;
    drop(store);
    for position in 1..=all {
        let reader = super::super::Reader::open_on(Arc::new(disk.clone())).unwrap();
        let (segment, offset) = reader.locate(crate::Position(position)).unwrap();
        let first = (1..=position)
            .find(|it| reader.locate(crate::Position(*it)) == Some((segment.clone(), offset)))
            .unwrap();
        let changed = copy(&disk);
        let byte = disk.contents(&segment).unwrap()[offset as usize + 70];
        changed.scribble(&segment, offset + 70, &[!byte]);
        let plan = planned(&changed);
        assert_eq!((plan.head.0, plan.lost.first.0), (first - 1, first));
        assert_eq!(plan.lost.last_known.unwrap().0, all, "the header that is whole tells it too");
        let in_frame = all - plan.lost.events - plan.head.0;
        assert!((1..=12).contains(&in_frame), "only the damaged frame cannot be read: {plan:?}");
    }
}

/// A crash in the middle of a cut: the log is as damaged as before or cut, and asking again ends it.
#[test]
fn a_cut_that_is_cut_short_is_repeated() {
    let (logs, events) = damaged();
    for (what, disk) in logs {
        let head = planned(&disk).head.0;
        let clean = copy(&disk);
        ask(&clean, true).unwrap();
        let steps = clean.operations();
        assert!(steps > 3, "{what}");
        for step in 0..steps {
            for (n, leaves) in (0..).zip([
                Leaves::Nothing,
                Leaves::Everything,
                Leaves::Some(step),
                Leaves::Prefix(step),
            ]) {
                let place = format!("{what}, operation {step}, power cut {n}");
                let going = copy(&disk);
                going.set_faults(Faults { cut_at: Some(step), ..Faults::default() });
                assert!(ask(&going, true).is_err(), "{place}");
                let after = going.after_power_cut(leaves);
                nothing_is_deleted(&after, &disk).unwrap_or_else(|gone| panic!("{place}: {gone}"));
                match Embedded::open_on(Arc::new(unindexed(&after)), tiny(SEGMENT)) {
                    Ok(store) => assert_eq!(run(everything(&store)), events[..head as usize]),
                    Err(OpenError::Damaged(_)) => {}
                    Err(error) => panic!("{place}: {error}"),
                }
                ask(&after, true).unwrap_or_else(|error| panic!("{place}: {error}"));
                nothing_is_deleted(&after, &disk).unwrap_or_else(|gone| panic!("{place}: {gone}"));
                is_prefix(&after, &events, head);
            }
        }
    }
}

/// The twin: without waiting for the copy, a power cut takes what was cut off for good.
#[test]
fn a_cut_before_the_copy_is_durable_loses_what_was_cut() {
    let (disk, _) = log();
    flip(&disk, 2, HEADER_LEN as u64 + 100);
    let lost = |twins: Twins| {
        let clean = copy(&disk);
        ask_without(&clean, true, twins).unwrap();
        (0..clean.operations()).any(|step| {
            let going = copy(&disk);
            going.set_faults(Faults { cut_at: Some(step), ..Faults::default() });
            assert!(ask_without(&going, true, twins).is_err());
            nothing_is_deleted(&going.after_power_cut(Leaves::Nothing), &disk).is_err()
        })
    };
    assert!(!lost(Twins::default()));
    assert!(lost(Twins::without(Twin::CutBeforeKeptAside)));
}

#[test]
fn what_cannot_be_cut_is_refused_and_left_alone() {
    let (disk, _) = log();
    let front = copy(&disk);
    flip(&front, 1, 20);
    assert!(matches!(ask(&front, true), Err(RepairError::NothingLeft(_))));
    assert!(matches!(ask(&SimDisk::new(), true), Err(RepairError::Open(OpenError::NoLog))));
    assert!(matches!(ask(&disk, true), Ok(Repaired::Whole(_))));
    let long = copy(&disk);
    let mut bytes = disk.contents(&segment_name(2)).unwrap();
    bytes.extend_from_slice(b"more");
    long.put(&segment_name(2), bytes);
    let (found, should) = (with_slots(SEGMENT) + 4, with_slots(SEGMENT));
    assert!(matches!(
        ask(&long, true),
        Err(RepairError::OnlyLength { found: f, should: s, .. }) if (f, s) == (found, should)
    ));
    let store = open(&disk, tiny(SEGMENT));
    assert!(matches!(ask(&disk, true), Err(RepairError::Open(OpenError::InUse))));
    drop(store);
    let full = copy(&disk);
    flip(&full, 2, HEADER_LEN as u64 + 100);
    full.set_faults(Faults { capacity_bytes: Some(7 * SEGMENT), ..Faults::default() });
    let before = full.names();
    assert!(matches!(ask(&full, true), Err(RepairError::NoRoom { .. })));
    assert_eq!(full.names(), before);
}

/// On a real disk, with its directories.
#[test]
fn a_real_directory_is_cut_too() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let disk = Arc::new(super::super::RealDisk::new(&log));
    let store = Embedded::open_on(Arc::clone(&disk) as Arc<dyn Disk>, tiny(SEGMENT)).unwrap();
    Story::default().tell(&store, 16);
    let events = run(everything(&store));
    drop(store);
    let name = log.join(segment_name(2));
    let mut bytes = std::fs::read(&name).unwrap();
    bytes[HEADER_LEN + 100] ^= 1;
    std::fs::write(&name, &bytes).unwrap();
    let options = VerifyOptions::default();
    let done = repair_on(disk, &options, &mut |_| {}, &mut |_| true).unwrap();
    let Repaired::Cut(plan) = done else { panic!("{done:?}") };
    assert_eq!(std::fs::read(log.join("cut-1").join(segment_name(2))).unwrap(), bytes);
    assert!(log.join("cut-1/cut.json").exists());
    let disk = Arc::new(super::super::RealDisk::new(&log));
    let store = Embedded::open_on(disk, tiny(SEGMENT)).unwrap();
    assert_eq!(run(everything(&store)), events[..plan.head.0 as usize]);
}
