//! Verifying in parallel says what walking from front to back says.

use std::sync::Arc;
use std::time::Duration;

use super::super::format::{HEADER_LEN, SegmentHeader, put, segment_name, u32_at};
use super::super::index::{PAGE_LEN, index_name};
use super::super::sim::SimDisk;
use super::super::{Disk, Embedded, OpenError, VerifyOptions, VerifyReport, verify_with};
use super::{Story, open, run, tiny};
use crate::contract::batch;
use crate::{EventStore, Expected};

const SEGMENT: u64 = 8 << 10;

fn log(rounds: usize) -> SimDisk {
    let disk = SimDisk::new();
    let store = open(&disk, tiny(SEGMENT));
    Story::default().tell(&store, rounds);
    drop(store);
    disk
}

fn copy(disk: &SimDisk) -> SimDisk {
    let copy = SimDisk::new();
    for name in disk.names() {
        copy.put(&name, disk.contents(&name).unwrap());
    }
    copy
}

fn report(disk: &SimDisk, threads: usize) -> Result<VerifyReport, OpenError> {
    let options = VerifyOptions { threads, settle: Duration::ZERO };
    verify_with(Arc::new(disk.clone()) as Arc<dyn Disk>, &options, &mut |_| {})
}

/// One thread and three say the same.
fn alike(disk: &SimDisk, what: &str) -> VerifyReport {
    let one = report(disk, 1).unwrap();
    assert_eq!(report(disk, 3).unwrap(), one, "{what}");
    one
}

/// One thread, three threads and opening the log agree; gives the report.
fn agreed(disk: &SimDisk, what: &str) -> VerifyReport {
    let one = alike(disk, what);
    // Without indexes opening reads everything, from front to back.
    let unindexed = copy(disk);
    for name in disk.names().into_iter().filter(|name| name.ends_with(".idx")) {
        unindexed.lose(&name);
    }
    let opened = Embedded::open_on(Arc::new(unindexed), tiny(SEGMENT));
    match (opened, &one.offence) {
        // What the mirrored tail gives back stands behind the head.
        (Ok(store), None) if one.mirrored.is_some() => assert!(store.head() > one.head, "{what}"),
        (Ok(store), None) => assert_eq!(store.head(), one.head, "{what}"),
        // Opening looks at the names before it judges the tail; the same position is affected.
        (Err(OpenError::Damaged(damage)), Some(offence)) => {
            assert_eq!(damage.position, offence.position, "{what}: {damage} or {offence}");
        }
        (Err(error), offence) => panic!("{what}: {error}, but verify says {offence:?}"),
        (Ok(_), Some(offence)) => panic!("{what}: it opens, but verify says {offence}"),
    }
    one
}

#[test]
fn a_whole_log_is_counted_alike_by_one_and_by_many() {
    let disk = log(30);
    let report = agreed(&disk, "whole");
    assert!(report.segments > 5 && report.offence.is_none(), "{report:?}");
    let store = open(&disk, tiny(SEGMENT));
    assert_eq!((report.streams, report.events), (store.info().streams, store.info().head.0));
}

/// Fault 22: an index that does not say what its segment says is told, and is no damage. The last is one
/// whose every checksum is right.
#[test]
fn an_index_that_is_wrong_is_told_and_is_no_damage() {
    let disk = log(30);
    let name = index_name(2);
    let whole = disk.contents(&name).unwrap();
    assert_eq!(alike(&disk, "whole").wrong_indexes, []);
    let wrong = |bytes: &[u8]| {
        let changed = copy(&disk);
        changed.put(&name, bytes.to_vec());
        let report = agreed(&changed, "a wrong index");
        let [(index, why)] = &report.wrong_indexes[..] else { panic!("{report:?}") };
        assert_eq!(index, &name);
        why.clone()
    };
    for at in (0..whole.len()).step_by(97) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        let (why, page) = (wrong(&bytes), at / PAGE_LEN);
        let said = if page == 0 { "header" } else { &*format!("checksum of its page {page}") };
        assert!(why.contains(said), "{at}: {why}");
    }
    assert!(wrong(&whole[..whole.len() - PAGE_LEN]).contains("bytes"));
    assert!(wrong(&disk.contents(&index_name(3)).unwrap()).contains("another segment"));
    assert!(wrong(b"").contains("header"));

    // The offset of an event; its page stands behind the header and the frames.
    let (page, mut bytes) = (u32_at(&whole, 84), whole.clone());
    let from = page as usize * PAGE_LEN;
    bytes[from + 4] ^= 1;
    let seed = u32_at(&whole, PAGE_LEN - 4);
    let hash = crc32c::crc32c_append(seed, &page.to_le_bytes());
    let hash = crc32c::crc32c_append(hash, &bytes[from..from + PAGE_LEN - 4]);
    put(&mut bytes, from + PAGE_LEN - 4, &hash.to_le_bytes());
    assert_eq!(wrong(&bytes), format!("its page {page} is not what the segment says"));

    let without = copy(&disk);
    without.lose(&name);
    assert_eq!(agreed(&without, "no index").wrong_indexes, []);
}

/// The first offence in the order of the log is told, also when a later one is found sooner.
#[test]
fn many_threads_tell_the_same_first_offence_as_one() {
    let disk = log(30);
    let segments: Vec<_> = disk.names().into_iter().filter(|name| name.ends_with(".seg")).collect();
    for (n, name) in segments.iter().enumerate() {
        for at in (0..SEGMENT).step_by(97) {
            let changed = copy(&disk);
            let bytes = disk.contents(name).unwrap();
            changed.scribble(name, at, &[bytes[at as usize] ^ 0x10]);
            if let Some(later) = segments.get(n + 2) {
                changed.scribble(later, HEADER_LEN as u64 + 60, b"and here");
            }
            agreed(&changed, &format!("{name} at {at}"));
        }
    }
}

/// Each segment is right in itself; only together they are wrong.
#[test]
fn segments_that_are_right_alone_and_wrong_together_are_told() {
    let (disk, other) = (log(30), log(30));
    for number in 1..6 {
        for foreign in [true, false] {
            let changed = copy(&disk);
            let from = if foreign { &other } else { &disk };
            let there = segment_name(if foreign { number } else { number + 1 });
            changed.put(&segment_name(number), from.contents(&there).unwrap());
            let report = agreed(&changed, &format!("segment {number}, foreign: {foreign}"));
            assert!(report.offence.is_some());
        }
        let changed = copy(&disk);
        changed.lose(&segment_name(number));
        assert!(agreed(&changed, &format!("without {number}")).offence.is_some());
    }
}

/// A segment that was made anew by somebody who knows the format, with a stream that leaves a
/// version out: only what the segments before it say tells that it is wrong.
#[test]
fn a_stream_that_leaves_a_version_out_between_segments_is_told() {
    let disk = SimDisk::new();
    let store = open(&disk, tiny(SEGMENT));
    run(async {
        for _ in 0..40 {
            store.append(vec![batch("a-1", Expected::Any, 3)]).await.unwrap();
        }
    });
    assert!(store.info().segments >= 3);
    drop(store);
    // Segment 1 anew, under the name of another stream: a-1 begins in segment 2 then.
    let name = segment_name(1);
    let mut bytes = disk.contents(&name).unwrap();
    let seed = SegmentHeader::decode(&bytes[..HEADER_LEN]).unwrap().seed();
    let (mut at, mut previous) = (HEADER_LEN, seed.crc);
    while let Ok(frame) = super::super::format::FrameHeader::decode(seed, &bytes[at..]) {
        let len = frame.len as usize;
        let mut content = bytes[at..at + len - 8].to_vec();
        if let Some(found) = content.windows(3).position(|it| it == b"a-1") {
            content[found..found + 3].copy_from_slice(b"b-1");
        }
        let header = super::super::format::FrameHeader { previous_hash: previous, ..frame };
        header.encode(seed, &mut content);
        previous = super::super::format::finish(seed, &mut content);
        bytes[at..at + len].copy_from_slice(&content);
        at = (at + len).next_multiple_of(8);
    }
    disk.put(&name, bytes);
    disk.lose(super::super::marker::MARK_FILE);
    // And the headers behind it, each naming the seal before.
    let mut number = 2;
    while let Some(mut bytes) = disk.contents(&segment_name(number)) {
        let Ok(mut header) = SegmentHeader::decode(&bytes[..HEADER_LEN]) else { break };
        let old = header.seed();
        header.previous_hash = previous;
        bytes[..HEADER_LEN].copy_from_slice(&header.encode());
        let (mut at, mut before) = (HEADER_LEN, header.hash);
        while let Ok(frame) = super::super::format::FrameHeader::decode(old, &bytes[at..]) {
            let len = frame.len as usize;
            let mut content = bytes[at..at + len - 8].to_vec();
            super::super::format::FrameHeader { previous_hash: before, ..frame }
                .encode(header.seed(), &mut content);
            before = super::super::format::finish(header.seed(), &mut content);
            bytes[at..at + len].copy_from_slice(&content);
            at = (at + len).next_multiple_of(8);
        }
        previous = before;
        // Without copies: they would tell of what was here before.
        let slots = header.frames_end() as usize;
        bytes[slots..].fill(0);
        disk.put(&segment_name(number), bytes);
        number += 1;
    }
    let report = alike(&disk, "renamed");
    let offence = report.offence.unwrap();
    assert_eq!(offence.segment, segment_name(2), "{offence}");
    assert!(offence.what.contains("next version"), "{offence}");
    assert_eq!(report.head.0, offence.position.0 - 1, "the head is what is right");
}
