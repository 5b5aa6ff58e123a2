//! Bytes that change under the log are told or do no harm; nothing is served that was not written.

use std::sync::Arc;
use std::time::Duration;

use super::super::format::{
    FRAME_HEADER_LEN, FrameHeader, HEADER_LEN, SegmentHeader, segment_name, u32_at,
};
use super::super::sim::SimDisk;
use super::super::{Embedded, OpenError, Options, verify_on};
use super::{Story, is_told, open, run, seeds, tiny};
use crate::contract::{batch, everything};
use crate::{Direction, EventStore, Expected, Filter, Position, ReadError, StreamId};

const SEGMENT: u64 = 8 << 10;

fn options() -> Options {
    tiny(SEGMENT)
}

/// A log of a few segments, and what is in it.
fn log() -> (Story, SimDisk) {
    let disk = SimDisk::new();
    let mut story = Story::default();
    let store = open(&disk, options());
    story.tell(&store, 9);
    assert!(store.info().segments >= 3, "{:?}", store.info());
    drop(store);
    (story, disk)
}

/// A disk with one file changed.
fn changed(disk: &SimDisk, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> SimDisk {
    let copy = SimDisk::new();
    for other in disk.names() {
        let mut bytes = disk.contents(&other).unwrap();
        if other == name {
            change(&mut bytes);
            copy.put(&other, bytes);
            return rest(disk, copy, &other);
        }
        copy.put(&other, bytes);
    }
    panic!("no file {name}");
}

fn rest(disk: &SimDisk, copy: SimDisk, after: &str) -> SimDisk {
    for other in disk.names().into_iter().filter(|name| name.as_str() > after) {
        copy.put(&other, disk.contents(&other).unwrap());
    }
    copy
}

/// Told at opening or by the read that meets it, or nothing is missing and nothing is changed.
fn told_or_harmless(story: &Story, disk: &SimDisk) -> Result<bool, String> {
    let report = verify_on(Arc::new(disk.clone()), Duration::ZERO, &mut |_| {});
    match Embedded::open_on(Arc::new(disk.clone()), options()) {
        Err(error) if is_told(&error) => match report {
            Ok(report) if report.offence.is_none() => {
                Err(format!("opening says {error}, verify says nothing"))
            }
            Ok(_) | Err(_) => Ok(true),
        },
        Err(error) => Err(format!("told as something else: {error}")),
        // A sealed segment is not read before somebody asks for what is in it.
        Ok(store) => match run(store.read_all(Position::FIRST, &Filter::All, usize::MAX)) {
            Err(ReadError::Damaged { .. }) => match report {
                Ok(report) if report.offence.is_none() => Err("verify says nothing".to_owned()),
                Ok(_) | Err(_) => Ok(true),
            },
            Err(other) => Err(format!("told as something else: {other}")),
            // What the mirrored tail gives back is told, too.
            Ok(_) => story.check(&store).map(|()| store.recovery().restored.is_some()),
        },
    }
}

/// Where frames stand in a segment.
fn frames(bytes: &[u8]) -> Vec<(usize, usize)> {
    let header = SegmentHeader::decode(&bytes[..HEADER_LEN]).unwrap();
    let (mut at, mut frames) = (HEADER_LEN, Vec::new());
    while let Some(head) = bytes.get(at..at + FRAME_HEADER_LEN)
        && let Ok(frame) = FrameHeader::decode(header.seed(), head)
    {
        frames.push((at, frame.len as usize));
        at = header.align((at + frame.len as usize) as u64) as usize;
    }
    frames
}

/// Faults 15 to 17, P2: one bit of every byte of every file; all eight with `HOLDFAST_ALL_BITS`.
#[test]
fn every_flipped_byte_is_told_or_harmless() {
    let (story, disk) = log();
    let all_bits = std::env::var_os("HOLDFAST_ALL_BITS").is_some();
    let (mut told, mut harmless) = (0, 0);
    for name in disk.names().into_iter().filter(|name| name.ends_with(".seg")) {
        let bytes = disk.contents(&name).unwrap();
        let used = match SegmentHeader::decode(&bytes[..HEADER_LEN]) {
            Ok(_) => frames(&bytes).last().map_or(HEADER_LEN, |(at, len)| at + len),
            Err(_) => 0,
        };
        for at in 0..bytes.len() {
            for bit in 0..8 {
                if !all_bits && bit != at % 8 {
                    continue;
                }
                let flipped = changed(&disk, &name, |bytes| bytes[at] ^= 1 << bit);
                match told_or_harmless(&story, &flipped) {
                    Ok(true) => told += 1,
                    Ok(false) if at < used && bytes[at..used].iter().any(|b| *b != 0) => {
                        // Only the few bytes between two frames mean nothing.
                        let gap = frames(&bytes)
                            .windows(2)
                            .any(|w| (w[0].0 + w[0].1..w[1].0).contains(&at));
                        assert!(gap, "{name}, byte {at}, bit {bit} went unnoticed");
                        harmless += 1;
                    }
                    Ok(false) => harmless += 1,
                    Err(what) => panic!("{name}, byte {at}, bit {bit}: {what}"),
                }
            }
        }
    }
    assert!(told > 10_000, "told {told}, harmless {harmless}");
}

/// P2: a file that is shorter than it was made is never the work of a crash.
#[test]
fn every_truncation_is_told_or_harmless() {
    let (story, disk) = log();
    for name in disk.names().into_iter().filter(|name| name.ends_with(".seg")) {
        let begun = SegmentHeader::decode(&disk.contents(&name).unwrap()).is_ok();
        for len in 0..SEGMENT as usize {
            let cut = changed(&disk, &name, |bytes| bytes.truncate(len));
            match told_or_harmless(&story, &cut) {
                Ok(told) => assert_eq!(told, begun, "{name} cut to {len}"),
                Err(what) => panic!("{name} cut to {len}: {what}"),
            }
        }
    }
}

/// Fault 18: a frame that stands where another should.
#[test]
fn every_pair_of_frames_swapped_is_told() {
    let disk = SimDisk::new();
    let store = open(&disk, tiny(64 << 10));
    run(async {
        for i in 0..12 {
            store.append(vec![batch(&format!("s-{i:02}"), Expected::Any, 1)]).await.unwrap();
        }
    });
    drop(store);
    let name = segment_name(1);
    let frames = frames(&disk.contents(&name).unwrap());
    assert_eq!(frames.len(), 12);
    for a in 0..frames.len() {
        for b in 0..a {
            let ((a_at, len), (b_at, b_len)) = (frames[a], frames[b]);
            assert_eq!(len, b_len, "frames of one length can be swapped");
            let swapped = changed(&disk, &name, |bytes| {
                let kept = bytes[a_at..a_at + len].to_vec();
                bytes.copy_within(b_at..b_at + len, a_at);
                bytes[b_at..b_at + len].copy_from_slice(&kept);
            });
            let opened = Embedded::open_on(Arc::new(swapped), options());
            if b + 2 == frames.len() {
                // The last two: the mirror has both.
                let store = opened.unwrap();
                let restored = store.recovery().restored.clone().unwrap();
                assert_eq!((restored.offset, restored.events), (b_at as u64, 2));
                assert_eq!(store.head().0, frames.len() as u64);
                continue;
            }
            let error = opened.err().unwrap();
            let OpenError::Damaged(damage) = error else { panic!("{error}") };
            assert_eq!((damage.offset, damage.position.0), (b_at as u64, b as u64 + 1));
        }
    }
}

/// Fault 19: missing, renamed, foreign, older copies: refused, with the name.
#[test]
fn segments_that_do_not_belong_are_refused_by_name() {
    let (_, disk) = log();
    let (_, other) = log();
    let segments = disk.names().into_iter().filter(|name| name.ends_with(".seg")).count() as u64;
    let refused = |disk: SimDisk, name: String| {
        let error = Embedded::open_on(Arc::new(disk.clone()), options()).err().unwrap();
        let OpenError::Damaged(damage) = &error else { panic!("{name}: {error}") };
        assert_eq!(damage.segment, name, "{error}");
        let report = verify_on(Arc::new(disk), Duration::ZERO, &mut |_| {});
        assert!(report.is_ok_and(|r| r.offence.is_some()), "verify sees it too: {error}");
    };
    let copy = |disk: &SimDisk| changed(disk, &segment_name(1), |_| {});
    for number in 1..segments {
        let missing = copy(&disk);
        missing.lose(&segment_name(number));
        if number + 1 < segments || number > 1 {
            refused(missing, segment_name(number));
        }
        let foreign = copy(&disk);
        foreign.put(&segment_name(number), other.contents(&segment_name(number)).unwrap());
        // The first segment says what store this is, so the next one is the stranger then.
        refused(foreign, segment_name(if number == 1 { 2 } else { number }));
    }
    let renamed = copy(&disk);
    renamed.put(&segment_name(2), disk.contents(&segment_name(1)).unwrap());
    refused(renamed, segment_name(2));
    let extra = copy(&disk);
    extra.put(&segment_name(segments + 1), vec![0; SEGMENT as usize]);
    refused(extra, segment_name(segments + 1));
    let empty = copy(&disk);
    empty.put(&segment_name(1), Vec::new());
    refused(empty, segment_name(1));
    let blank = copy(&disk);
    blank.put(&segment_name(1), vec![0; SEGMENT as usize]);
    refused(blank, segment_name(1));
}

/// Fault 20, as far as one directory can tell: an old copy of a segment that has gone on since.
#[test]
fn an_older_copy_of_a_segment_is_refused() {
    let disk = SimDisk::new();
    let store = open(&disk, options());
    let mut story = Story::default();
    story.tell(&store, 2);
    let old = disk.contents(&segment_name(1)).unwrap();
    story.tell(&store, 8);
    drop(store);
    disk.put(&segment_name(1), old);
    let error = Embedded::open_on(Arc::new(disk), options()).err().unwrap();
    assert!(is_told(&error), "{error}");
}

/// P20: what a newer version has written is not guessed at.
#[test]
fn a_newer_format_is_refused_as_such() {
    let (_, disk) = log();
    let newer = changed(&disk, &segment_name(1), |bytes| {
        bytes[8] = 3;
        let hash = crc32c::crc32c(&bytes[..HEADER_LEN - 4]);
        bytes[HEADER_LEN - 4..HEADER_LEN].copy_from_slice(&hash.to_le_bytes());
        assert_eq!(u32_at(bytes, 8), 3);
    });
    let error = Embedded::open_on(Arc::new(newer), options()).err().unwrap();
    assert!(matches!(error, OpenError::NewerFormat { found: 3, .. }), "{error}");
}

/// P2: damage under a running store is told by the read that touches it, with its place; the rest
/// can be read, and appends stop.
#[test]
fn damage_under_a_running_store_is_told_by_the_read_that_meets_it() {
    let disk = SimDisk::new();
    let store = open(&disk, Options { cache_bytes: 0, ..tiny(64 << 10) });
    run(async {
        for i in 0..6 {
            store.append(vec![batch(&format!("s-{i}"), Expected::Any, 1)]).await.unwrap();
        }
        let name = segment_name(1);
        let bytes = disk.contents(&name).unwrap();
        let (at, len) = frames(&bytes)[3];
        disk.scribble(&name, (at + len - 20) as u64, b"!");
        let read = async |i: u64| {
            let id = StreamId::new(format!("s-{i}"));
            store.read_stream(&id, 0, Direction::Forward, 10).await
        };
        for i in [0, 1, 2, 4, 5] {
            assert_eq!(read(i).await.unwrap().len(), 1);
        }
        let error = read(3).await.unwrap_err();
        let ReadError::Damaged { segment, offset, position, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!((segment, *offset, position.0), (&name, at as u64, 4));
        assert!(store.read_all(Position(1), &Filter::All, 10).await.is_err());
        assert!(store.trouble().unwrap().contains("damaged"));
        let refused = store.append(vec![batch("s-0", Expected::Any, 1)]).await;
        assert!(matches!(refused, Err(crate::AppendError::Stopped(_))), "{refused:?}");
        assert_eq!(read(0).await.unwrap().len(), 1);
    });
}

/// A frame whose payload looks like frames is still only one frame.
#[test]
fn a_payload_that_looks_like_a_frame_is_a_payload() {
    for seed in seeds(8) {
        let disk = SimDisk::new();
        let store = open(&disk, tiny(64 << 10));
        run(store.append(vec![batch("s-1", Expected::Any, 2)])).unwrap();
        let bytes = disk.contents(&segment_name(1)).unwrap();
        let (at, len) = frames(&bytes)[0];
        let mut payload = vec![b'x'; seed as usize];
        for _ in 0..4 {
            payload.extend_from_slice(&bytes[at..at + len]);
        }
        let mut fake = batch("s-2", Expected::Any, 1);
        fake.events[0].data = payload.into();
        run(store.append(vec![fake])).unwrap();
        let before = run(everything(&store));
        drop(store);
        let store = open(&disk, tiny(64 << 10));
        assert_eq!(run(everything(&store)), before);
    }
}
