//! The mirrored tail: what a segment has lost of its end is given back, what cannot be given back is
//! told, and nothing that one file says alone is believed against the other.

use std::sync::Arc;

use super::super::format::{HEADER_LEN, SegmentHeader, segment_name};
use super::super::marker::MARK_FILE;
use super::super::sim::{Faults, Leaves, SimDisk};
use super::super::slot::{SLOT_HEADER_LEN, Slot, read_slots, slot_at};
use super::super::twins::{Twin, Twins};
use super::super::{
    CutPlan, Embedded, OpenError, Options, Repaired, VerifyOptions, repair_on, verify_on,
};
use super::{Story, is_told, open, run, seeds, tiny};
use crate::contract::{batch, everything};
use crate::{AppendError, EventStore, Expected};

const SEGMENT: u64 = 12 << 10;

fn options() -> Options {
    tiny(SEGMENT)
}

fn without(twin: Twin) -> Options {
    let mut options = options();
    options.lab.twins = Twins::without(twin);
    options
}

/// A copy of a disk, as it stands.
fn copy(disk: &SimDisk) -> SimDisk {
    disk.after_power_cut(Leaves::Nothing)
}

/// A log of one segment with `frames` frames, each one event of one length.
fn short(frames: usize) -> (Story, SimDisk) {
    let disk = SimDisk::new();
    let mut story = Story::default();
    let store = open(&disk, options());
    for _ in 0..frames {
        tell_one(&mut story, &store);
    }
    (story, disk)
}

fn tell_one(story: &mut Story, store: &Embedded) {
    let one = batch("s-1", Expected::Any, 1);
    let ids = one.events.iter().map(|e| e.id).collect();
    let answer = run(store.append(vec![one]));
    story.appends.push((ids, answer.ok().map(|a| a.first)));
}

/// Where the slots of segment 1 stand.
fn slots_at(disk: &SimDisk) -> [u64; 2] {
    let page = disk.contents(&segment_name(1)).unwrap();
    let header = SegmentHeader::decode(&page[..HEADER_LEN]).unwrap();
    [slot_at(&header, 0), slot_at(&header, 1)]
}

/// Where the last frame of segment 1 stands, by what the slots say.
fn last_frame(disk: &SimDisk) -> (u64, usize) {
    let slots = read_slots(disk).unwrap();
    let newest = slots.iter().filter_map(|s| s.whole()).max_by_key(|m| m.frame.first).unwrap();
    (newest.header.offset, newest.frame.bytes.len())
}

fn refused(disk: &SimDisk) -> super::super::Damage {
    let before: Vec<_> = disk.names().iter().map(|n| disk.contents(n)).collect();
    match Embedded::open_on(Arc::new(disk.clone()), options()) {
        Err(OpenError::Damaged(damage)) => {
            let after: Vec<_> = disk.names().iter().map(|n| disk.contents(n)).collect();
            assert_eq!(before[..], after[..before.len()], "nothing is changed");
            damage
        }
        Err(other) => panic!("{other}"),
        Ok(store) => panic!("served, with {:?}", store.recovery()),
    }
}

/// P2, fault 16: zeroed, flipped, gone as a whole: the last frame comes back, once, and what stood
/// there is kept.
#[test]
fn a_last_frame_that_its_segment_has_lost_comes_back() {
    let (story, disk) = short(5);
    let (at, len) = last_frame(&disk);
    let name = segment_name(1);
    let damages: [(&str, u64, Vec<u8>); 4] = [
        ("all of it is gone", at, vec![0; len]),
        ("its end is gone", at + 40, vec![0; len - 40]),
        ("a byte is another", at + 60, vec![b'!']),
        ("its header is another", at, vec![b'?'; 48]),
    ];
    for (what, from, bytes) in damages {
        let damaged = copy(&disk);
        damaged.scribble(&name, from, &bytes);
        let stood = damaged.contents(&name).unwrap()[at as usize..at as usize + len].to_vec();
        let store = open(&damaged, options());
        let restored = store.recovery().restored.clone().unwrap();
        assert_eq!((&restored.segment, restored.offset), (&name, at), "{what}");
        assert_eq!((restored.position.0, restored.events), (5, 1), "{what}");
        assert_eq!(store.recovery().torn, None, "{what}");
        if stood.iter().all(|b| *b == 0) {
            assert_eq!(restored.kept_in, Vec::<String>::new());
        } else {
            assert_eq!(restored.kept_in, [format!("{name}.replaced")]);
            assert_eq!(damaged.contents(&restored.kept_in[0]).unwrap(), stood);
        }
        story.check(&store).unwrap_or_else(|lost| panic!("{what}: {lost}"));
        drop(store);
        let again = damaged.after_power_cut(Leaves::Nothing);
        assert_eq!(open(&again, options()).recovery().restored, None, "once");
        story.check_disk(&again, options()).unwrap();
    }
}

/// The frame before the last is mirrored too, since its copy is what is left while the next one is
/// being written.
#[test]
fn two_frames_come_back_and_a_third_is_told() {
    let (story, disk) = short(6);
    let (at, _) = last_frame(&disk);
    let frame = at - 4096;
    assert_eq!(frame % 5, 0, "all frames are of one length");
    let frame = frame / 5;
    for lost in 1..=3 {
        let damaged = copy(&disk);
        let from = at - (lost - 1) * frame;
        damaged.scribble(&segment_name(1), from, &vec![0; (lost * frame) as usize]);
        if lost < 3 {
            let store = open(&damaged, options());
            let restored = store.recovery().restored.clone().unwrap();
            assert_eq!((restored.offset, restored.events), (from, lost));
            story.check(&store).unwrap();
        } else {
            let damage = refused(&damaged);
            assert_eq!((damage.segment, damage.offset), (segment_name(1), from));
            assert_eq!(damage.position.0, 4);
            assert!(damage.what.contains("the log ends here"), "{}", damage.what);
        }
    }
}

/// Fault 20 for one file: an older copy of the segment that is written, at any age, also from before
/// it had begun. Slots and all are old; the mark beside them knows better.
#[test]
fn an_older_copy_of_the_last_segment_is_told() {
    let disk = SimDisk::new();
    let mut story = Story::default();
    let store = open(&disk, options());
    let mut copies = Vec::new();
    while store.info().segments < 3 {
        copies.push([2, 3].map(|n| disk.contents(&segment_name(n))));
        tell_one(&mut story, &store);
    }
    for _ in 0..5 {
        copies.push([2, 3].map(|n| disk.contents(&segment_name(n))));
        tell_one(&mut story, &store);
    }
    drop(store);
    let (mut told, mut silent) = (0, 0);
    for (age, old) in copies.iter().rev().enumerate() {
        let Some(old) = &old[1] else { continue };
        let damaged = copy(&disk);
        damaged.put(&segment_name(3), old.clone());
        let unmarked = copy(&damaged);
        match Embedded::open_on(Arc::new(damaged), options()) {
            Ok(_) => panic!("{age} frames ago"),
            Err(error) => {
                told += 1;
                assert!(is_told(&error), "{error}");
            }
        }
        let opened = Embedded::open_on(Arc::new(unmarked), without(Twin::RollbackNotSeen));
        silent += u32::from(opened.is_ok_and(|store| story.check(&store).is_err()));
    }
    assert!(told > 10, "told {told} times");
    assert!(silent > 3, "without the mark nobody notices: {silent} times");
}

#[test]
fn a_directory_whose_segments_are_all_gone_is_not_begun_anew() {
    let (_, disk) = short(3);
    for name in disk.names().into_iter().filter(|name| name.ends_with(".seg")) {
        disk.lose(&name);
    }
    let damage = refused(&disk);
    assert_eq!((damage.segment, damage.position.0), (segment_name(1), 1));
}

#[test]
fn another_stores_mark_is_refused_by_name() {
    let (_, disk) = short(3);
    let (_, other) = short(4);
    disk.put(MARK_FILE, other.contents(MARK_FILE).unwrap());
    let damage = refused(&disk);
    assert_eq!(damage.segment, MARK_FILE);
    assert!(damage.what.contains("another store"), "{}", damage.what);
}

/// Two histories of one log, as when a backup is gone on with and then files are mixed.
#[test]
fn a_mark_of_another_history_is_refused() {
    let (mut story, disk) = short(3);
    let fork = copy(&disk);
    let store = open(&disk, options());
    (0..4).for_each(|_| tell_one(&mut story, &store));
    drop(store);
    let store = open(&fork, options());
    (0..2).for_each(|_| tell_one(&mut Story::default(), &store));
    drop(store);
    disk.put(MARK_FILE, fork.contents(MARK_FILE).unwrap());
    let damage = refused(&disk);
    assert!(damage.what.contains("another history"), "{}", damage.what);
}

/// Slots and a mark that are damaged, missing or old: the frames are whole, and what is missing is
/// made anew.
#[test]
fn proofs_that_are_missing_damaged_or_old_are_made_anew() {
    let (mut story, disk) = short(2);
    let name = segment_name(1);
    let (old, mark) = (disk.contents(&name).unwrap(), disk.contents(MARK_FILE).unwrap());
    let store = open(&disk, options());
    (0..5).for_each(|_| tell_one(&mut story, &store));
    drop(store);
    let slots = slots_at(&disk);
    type Spoil<'a> = &'a dyn Fn(&SimDisk, u64);
    let spoils: [Spoil<'_>; 4] = [
        &|disk, at| disk.scribble(&name, at, &[0; 512]),
        &|disk, at| disk.scribble(&name, at + 80, b"!!!"),
        &|disk, at| disk.scribble(&name, at + 3, b"?"),
        &|disk, at| disk.scribble(&name, at, &old[at as usize..at as usize + 512]),
    ];
    for (i, spoil) in spoils.iter().enumerate() {
        for (j, spoilt) in [&slots[..1], &slots[1..], &slots[..]].into_iter().enumerate() {
            let spoiled = copy(&disk);
            spoilt.iter().for_each(|at| spoil(&spoiled, *at));
            match j {
                0 => spoiled.lose(MARK_FILE),
                1 => spoiled.put(MARK_FILE, mark.clone()),
                _ => spoiled.scribble(MARK_FILE, 20, b"??"),
            }
            story.check_disk(&spoiled, options()).unwrap_or_else(|e| panic!("{i} {j}: {e}"));
            // From now on it protects again.
            let (at, len) = last_frame(&spoiled);
            spoiled.scribble(&name, at, &vec![0; len]);
            let store = open(&spoiled, options());
            assert!(store.recovery().restored.is_some(), "{i} {j}");
            story.check(&store).unwrap();
        }
    }
}

#[test]
fn a_newer_slot_is_refused_as_such() {
    let (_, disk) = short(2);
    let at = slots_at(&disk)[0];
    let mut head = disk.contents(&segment_name(1)).unwrap()[at as usize..at as usize + 64].to_vec();
    head[8] = 2;
    let hash = crc32c::crc32c(&head[..60]);
    head[60..64].copy_from_slice(&hash.to_le_bytes());
    disk.scribble(&segment_name(1), at, &head);
    let error = Embedded::open_on(Arc::new(disk), options()).err().unwrap();
    assert!(matches!(error, OpenError::NewerFormat { found: 2, .. }), "{error}");
}

/// A power cut left the header of one copy before the body of another, both of one length and each
/// with a sound checksum: a crash simulation found that this passed for a whole frame.
#[test]
fn a_slot_mixed_from_two_copies_of_one_length_is_not_whole() {
    let (story, disk) = short(4);
    let name = segment_name(1);
    let segment = disk.contents(&name).unwrap();
    let old = &segment[4096..4096 + last_frame(&disk).1];
    for (slot, at) in slots_at(&disk).into_iter().enumerate() {
        for border in [SLOT_HEADER_LEN, SLOT_HEADER_LEN + 48] {
            let mixed = copy(&disk);
            mixed.scribble(&name, at + border as u64, &old[border - SLOT_HEADER_LEN..]);
            assert!(read_slots(&mixed).unwrap()[slot].whole().is_none(), "border at {border}");
            story.check_disk(&mixed, options()).unwrap();
        }
    }
}

/// Fault 6: giving back can be cut off at any step, and begun again.
#[test]
fn a_power_cut_at_any_step_of_giving_back_changes_nothing() {
    let (story, disk) = short(5);
    let (at, len) = last_frame(&disk);
    for seed in seeds(20) {
        for step in 0.. {
            let damaged = copy(&disk);
            let damage = if seed % 2 == 0 { vec![0; len] } else { vec![b'x'; len / 2] };
            damaged.scribble(&segment_name(1), at, &damage);
            damaged.set_faults(Faults { cut_at: Some(step), ..Faults::default() });
            drop(Embedded::open_on(Arc::new(damaged.clone()), options()));
            for leaves in [Leaves::Nothing, Leaves::Some(seed), Leaves::Prefix(seed)] {
                let after = damaged.after_power_cut(leaves);
                if let Err(what) = story.check_disk(&after, options()) {
                    panic!("cut at {step}, {leaves:?}, seed {seed}: {what}");
                }
            }
            if !damaged.is_off() {
                break;
            }
        }
    }
}

/// Lesson 5: a copy that fails is a frame that fails.
#[test]
fn a_copy_that_fails_stops_the_store_and_the_outcome_is_unknown() {
    let mut seen = 0;
    for ahead in 0..8 {
        let (mut story, disk) = short(2);
        let store = open(&disk, options());
        let fail_write_at = Some(disk.operations() + ahead);
        disk.set_faults(Faults { fail_write_at, ..Faults::default() });
        let one = batch("s-1", Expected::Any, 1);
        let ids = one.events.iter().map(|e| e.id).collect();
        let answer = run(store.append(vec![one]));
        story.appends.push((ids, answer.as_ref().ok().map(|a| a.first)));
        if let Err(AppendError::Unknown(reason)) = &answer
            && reason.contains("the copy in slot")
        {
            seen += 1;
            let later = run(store.append(vec![batch("s-1", Expected::Any, 1)]));
            assert!(matches!(later, Err(AppendError::Stopped(_))), "{later:?}");
            assert_eq!(run(everything(&store)).len(), 2, "what is not durable is not shown");
        }
        drop(store);
        story.check_disk(&disk.after_power_cut(Leaves::Nothing), options()).unwrap();
        story.check_disk(&disk.after_kill(), options()).unwrap();
    }
    assert!(seen > 0);
}

/// A third frame, of which the write number `ahead` finds no room: whether that was refused, if what is
/// there then agrees with the answer.
fn without_room(ahead: u64, options: &Options) -> Result<bool, String> {
    let (mut story, disk) = short(2);
    let store = open(&disk, options.clone());
    let no_room_at = Some(disk.operations() + ahead);
    disk.set_faults(Faults { no_room_at, ..Faults::default() });
    let one = batch("s-1", Expected::Any, 1);
    let ids = one.events.iter().map(|e| e.id).collect();
    let answer = run(store.append(vec![one]));
    assert_eq!(run(everything(&store)).len(), 2, "what is not durable is not shown");
    let full = answer == Err(AppendError::Full);
    if full {
        story.check_disk(&disk.after_power_cut(Leaves::Everything), options.clone())?;
        story.check_disk(&disk.after_kill(), options.clone())?;
        story.tell(&store, 3);
        story.check(&store)?;
    } else {
        assert!(matches!(answer, Err(AppendError::Unknown(_))), "{answer:?}");
        story.appends.push((ids, None));
    }
    drop(store);
    story.check_disk(&disk.after_power_cut(Leaves::Nothing), options.clone())?;
    story.check_disk(&disk.after_kill(), options.clone())?;
    Ok(full)
}

/// Fault 10: what finds no room is refused, and nothing of it is recorded; unless it is the header that
/// names the copy, which lies in a page that the copy has just been written to.
#[test]
fn a_copy_without_room_is_refused_before_there_is_a_frame() {
    for (ahead, refused) in [(0, true), (1, true), (2, false)] {
        assert_eq!(without_room(ahead, &options()), Ok(refused), "write {ahead}");
    }
    // Behind the frame it comes too late: refused, and there after the next start.
    let twin = without(Twin::CopyBehindFrame);
    assert!((0..3).any(|ahead| without_room(ahead, &twin).is_err()));
}

fn long() -> crate::StreamAppend {
    let mut long = batch("long-1", Expected::Any, 1);
    long.events[0].data = vec![b'x'; 3 << 10].into();
    long
}

/// A frame that does not go into a slot cannot be given back; but that it was durable is known.
#[test]
fn a_long_frame_that_is_lost_is_told() {
    let (mut story, disk) = short(2);
    let store = open(&disk, options());
    let given = long();
    let ids = given.events.iter().map(|e| e.id).collect();
    let first = run(store.append(vec![given])).unwrap().first;
    story.appends.push((ids, Some(first)));
    drop(store);
    let slots = read_slots(&disk).unwrap();
    let mark = slots.iter().find(|slot| matches!(slot, Slot::Mark(_))).unwrap().header().unwrap();
    let (at, len) = (mark.offset, mark.frame_len as usize);
    disk.lose(MARK_FILE);
    story.check_disk(&copy(&disk), options()).unwrap();
    for damage in [vec![0; len], vec![0; 512]] {
        let lost = copy(&disk);
        lost.scribble(&segment_name(1), at + (len - damage.len()) as u64, &damage);
        let damage = refused(&lost);
        assert_eq!((damage.offset, damage.position.0), (at, 3));
    }
}

/// The watermark before the data: a power cut between the two is told as damage, and nobody can open
/// a log that is as it should be.
#[test]
fn marking_a_long_frame_before_it_is_durable_turns_a_power_cut_into_damage() {
    let opens = |options: &Options| {
        (0..12).all(|ahead| {
            let (story, disk) = short(2);
            let store = open(&disk, options.clone());
            let cut_at = Some(disk.operations() + ahead);
            disk.set_faults(Faults { cut_at, ..Faults::default() });
            let _ = run(store.append(vec![long()]));
            drop(store);
            let after = disk.after_power_cut(Leaves::Nothing);
            Embedded::open_on(Arc::new(after), options.clone()).is_ok_and(|s| s.head().0 >= 2)
                && story.acknowledged() == 2
        })
    };
    assert!(!opens(&without(Twin::MarkBeforeData)));
    assert!(opens(&options()));
}

/// A segment of the first version has no slots: it is read as it is, sealed, and what comes is
/// protected.
#[test]
fn a_log_of_the_first_version_goes_on_in_a_segment_of_todays() {
    let files = super::golden::v1();
    let disk = SimDisk::new();
    for (name, bytes) in &files {
        disk.put(name, bytes.clone());
    }
    let store = open(&disk, options());
    let before = run(everything(&store));
    assert!(before.len() > 3);
    let segments = store.info().segments;
    run(store.append(vec![batch("new-1", Expected::NoStream, 2)])).unwrap();
    drop(store);
    let store = open(&disk.after_power_cut(Leaves::Nothing), options());
    let after = run(everything(&store));
    assert_eq!(after[..before.len()], before[..]);
    assert_eq!(after.len(), before.len() + 2);
    assert_eq!(store.info().segments, segments, "one more, once");
}

/// On the real file system, with many producers and rolling segments.
#[test]
fn a_real_log_gives_back_its_last_frame() {
    let dir = tempfile::tempdir().unwrap();
    let options = || Options { segment_bytes: 1 << 20, ..Options::default() };
    let mut events = 0;
    for life in 0..3 {
        let store = Embedded::open(dir.path(), options()).unwrap();
        assert_eq!(store.recovery().restored.is_some(), life > 0);
        assert_eq!(store.head().0, events);
        run(async {
            for round in 0..40 {
                let appends = (0..8).map(|i| {
                    let mut given = batch(&format!("s-{i}"), Expected::Any, 1);
                    given.events[0].data = vec![b'x'; (round * 977) % 10_000].into();
                    store.append(vec![given])
                });
                for answer in futures::future::join_all(appends).await {
                    events = events.max(answer.unwrap().last.0);
                }
            }
        });
        drop(store);
        let log = super::super::RealDisk::new(dir.path().join("log"));
        let slots = read_slots(&log).unwrap();
        let newest = slots.iter().filter_map(|s| s.whole()).max_by_key(|m| m.frame.first).unwrap();
        let path = dir.path().join("log").join(segment_name(newest.header.segment));
        let mut bytes = std::fs::read(&path).unwrap();
        assert!(SegmentHeader::decode(&bytes[..HEADER_LEN]).is_ok());
        let at = newest.header.offset as usize;
        bytes[at..at + newest.frame.bytes.len()].fill(0);
        std::fs::write(&path, bytes).unwrap();
    }
}

/// What the mirror gives back is neither an offence nor cut off; what it cannot give back is, and the
/// mirror moves aside with the rest, so that the log opens again.
#[test]
fn verify_and_repair_ask_the_mirror() {
    let (_, disk) = short(6);
    let (at, len) = last_frame(&disk);
    let frame = (at - 4096) / 5;
    let verified = |disk: &SimDisk| {
        verify_on(Arc::new(disk.clone()), std::time::Duration::ZERO, &mut |_| {}).unwrap()
    };
    let (options, yes) = (VerifyOptions::default(), &mut |_: &CutPlan| true);
    let report = verified(&disk);
    assert_eq!((report.offence, report.torn, report.mirrored), (None, None, None));

    for byte in [0, b'!'] {
        let lost = copy(&disk);
        lost.scribble(&segment_name(1), at, &vec![byte; len]);
        let report = verified(&lost);
        assert_eq!((report.offence, report.torn), (None, None));
        assert_eq!(report.mirrored, Some((segment_name(1), at)));
        assert_eq!(report.head.0, 5);
        let repaired = repair_on(Arc::new(lost.clone()), &options, &mut |_| {}, yes).unwrap();
        assert!(matches!(repaired, Repaired::Whole(_)), "{repaired:?}");
        assert_eq!(open(&lost, tiny(SEGMENT)).head().0, 6);
    }

    let cut = at - 2 * frame;
    disk.scribble(&segment_name(1), cut, &vec![0; 3 * frame as usize]);
    let report = verified(&disk);
    assert_eq!(report.offence.map(|d| (d.offset, d.position.0)), Some((cut, 4)));
    let repaired = repair_on(Arc::new(disk.clone()), &options, &mut |_| {}, yes).unwrap();
    assert!(matches!(repaired, Repaired::Cut(_)), "{repaired:?}");
    assert_eq!(open(&disk, tiny(SEGMENT)).head().0, 3);
}

/// The power goes off while a frame is written, and the sector of the one before it is lost: an
/// acknowledged frame that looks torn. What is left in the end, or whether it opens at all.
fn cut_and_lose(options: &Options, ahead: u64, leaves: Leaves) -> Result<(), String> {
    let disk = SimDisk::new();
    let mut story = Story::default();
    let store = open(&disk, options.clone());
    (0..4).for_each(|_| tell_one(&mut story, &store));
    disk.set_faults(Faults { cut_at: Some(disk.operations() + ahead), ..Faults::default() });
    tell_one(&mut story, &store);
    drop(store);
    let after = disk.after_power_cut(leaves);
    let segment = after.contents(&segment_name(1)).unwrap();
    let acknowledged = story.acknowledged() as u64;
    let step = last_frame_len(&segment);
    let at = 4096 + (acknowledged - 1) * step;
    after.scribble(&segment_name(1), at, &vec![0; step as usize]);
    story.check_disk(&after, options.clone())
}

/// How far apart the frames of one length stand.
fn last_frame_len(segment: &[u8]) -> u64 {
    let len = super::super::format::u32_at(segment, 4096 + 8);
    u64::from(len).next_multiple_of(8)
}

/// All that goes wrong, at each step of writing a frame.
fn harm(options: &Options) -> Vec<String> {
    let steps = (0..48).flat_map(|seed| {
        let ahead = seed / 6;
        [Leaves::Nothing, Leaves::Some(seed), Leaves::Prefix(seed)].map(|leaves| (ahead, leaves))
    });
    steps.filter_map(|(ahead, leaves)| cut_and_lose(options, ahead, leaves).err()).collect()
}

fn lost(options: &Options) -> bool {
    harm(options).iter().any(|what| what.contains("is lost"))
}

#[test]
fn recovery_that_does_not_ask_the_mirror_loses_what_looks_torn() {
    assert!(lost(&without(Twin::AckedTailTakenForTorn)));
    assert_eq!(harm(&options()), Vec::<String>::new());
}

#[test]
fn a_mirror_that_is_not_waited_for_gives_nothing_back() {
    assert!(lost(&without(Twin::MirrorNotAwaited)));
}

/// With one slot the copy of the last acknowledged frame is torn by the next one.
#[test]
fn a_mirror_with_one_slot_loses_the_copy_while_it_writes_the_next() {
    assert!(lost(&without(Twin::MirrorOneSlot)));
}
