//! The indexes of sealed segments: whatever happens to them, the answers stay the same.

use std::sync::{Arc, Mutex};

use super::super::format::{HEADER_LEN, segment_name};
use super::super::index::{PAGE_LEN, index_name};
use super::super::sim::{Faults, Leaves, SimDisk};
use super::super::twins::{Twin, Twins};
use super::super::{Embedded, Options, Progress, Reader, Stopped};
use super::{Story, open, run, seeds, tiny};
use crate::contract::{batch, event, everything};
use crate::{
    AppendError, Direction, EventStore, Expected, Filter, Position, ReadError, RecordedEvent,
    StreamId,
};

const SEGMENT: u64 = 12 << 10;

/// Nothing is kept at hand, and of the indexes two pages.
fn options() -> Options {
    Options { cache_bytes: 0, index_cache_bytes: 3 * PAGE_LEN, ..tiny(SEGMENT) }
}

fn without(twin: Twin) -> Options {
    let mut options = options();
    options.lab.twins = Twins::without(twin);
    options
}

/// A log of some segments, on a disk, and all that is in it.
fn log(rounds: usize) -> (SimDisk, Vec<RecordedEvent>) {
    let disk = SimDisk::new();
    let store = open(&disk, options());
    Story::default().tell(&store, rounds);
    let all = run(everything(&store));
    assert!(store.info().segments >= 3, "{:?}", store.info());
    (disk, all)
}

/// How many segments have an index.
fn indexes(disk: &SimDisk) -> Vec<String> {
    disk.names().into_iter().filter(|name| name.ends_with(".idx")).collect()
}

/// Says where a store's answers are not those of the log that is `all`: each stream forward, backward
/// and from the middle, the whole log from some places, and what the guard believes.
fn compare(store: &dyn EventStore, all: &[RecordedEvent]) -> Result<(), String> {
    let mut streams: Vec<&StreamId> = all.iter().map(|e| &e.stream).collect();
    streams.sort();
    streams.dedup();
    run(async {
        let said = |what: &str, error: &ReadError| format!("{what}: {error}");
        for stream in streams {
            let mine: Vec<_> = all.iter().filter(|e| e.stream == *stream).cloned().collect();
            for (from, max) in [(0, usize::MAX), (0, 1), (1, 2), (mine.len() as u64 / 2, 3)] {
                let expected: Vec<_> = mine.iter().skip(from as usize).take(max).cloned().collect();
                let read = store.read_stream(stream, from, Direction::Forward, max).await;
                let read = read.map_err(|e| said(stream.as_str(), &e))?;
                if read != expected {
                    let (read, expected) = (read.len(), expected.len());
                    return Err(format!(
                        "{stream} forward from {from}, at most {max}: {read} events, not {expected}"
                    ));
                }
            }
            for (from, max) in [(u64::MAX, usize::MAX), (u64::MAX, 1), (1, 5)] {
                let upto = from.saturating_add(1).min(mine.len() as u64) as usize;
                let expected: Vec<_> = mine[..upto].iter().rev().take(max).cloned().collect();
                let read = store.read_stream(stream, from, Direction::Backward, max).await;
                if read.map_err(|e| said(stream.as_str(), &e))? != expected {
                    return Err(format!("{stream} backward from {from}, at most {max}"));
                }
            }
        }
        for from in (1..=all.len() as u64).step_by(7) {
            let page = store.read_all(Position(from), &Filter::All, 5).await;
            let page = page.map_err(|e| said("the log", &e))?;
            let upto = page.next.0 as usize - 1;
            if page.next.0 <= from || page.events != all[from as usize - 1..upto] {
                return Err(format!("the log from {from}"));
            }
        }
        let none = StreamId::new("nobody-1");
        match store.read_stream(&none, 0, Direction::Forward, 9).await {
            Ok(events) if events.is_empty() => Ok(()),
            other => Err(format!("a stream that is not there: {other:?}")),
        }
    })
}

/// The guard knows each stream's version.
fn guard(store: &Embedded, all: &[RecordedEvent]) -> Result<(), String> {
    let mut last = std::collections::BTreeMap::new();
    for event in all {
        last.insert(event.stream.as_str(), event.stream_version);
    }
    for (stream, version) in last {
        let wrong = vec![batch(stream, Expected::Exact(version + 7), 1)];
        match run(store.append(wrong)) {
            Err(AppendError::Conflict { actual, .. }) if actual == Some(version) => {}
            other => return Err(format!("{stream} is at {version}: {other:?}")),
        }
    }
    Ok(())
}

fn check(disk: &SimDisk, options: Options, all: &[RecordedEvent]) -> Result<u64, String> {
    let store = Embedded::open_on(Arc::new(disk.clone()), options).map_err(|e| e.to_string())?;
    compare(&store, all)?;
    guard(&store, all)?;
    Ok(store.recovery().indexes_made)
}

/// A disk with the same files.
fn copy(disk: &SimDisk) -> SimDisk {
    let copy = SimDisk::new();
    disk.names().iter().for_each(|name| copy.put(name, disk.contents(name).unwrap()));
    copy
}

#[test]
fn sealed_segments_are_indexed_and_not_read_when_the_log_is_opened() {
    let (disk, all) = log(40);
    let sealed = indexes(&disk).len();
    assert!(sealed >= 3, "{:?}", disk.names());
    // Every byte of their frames is damaged: opening does not notice, reading does.
    for number in 1..=sealed as u64 {
        disk.scribble(&segment_name(number), HEADER_LEN as u64 + 60, b"damaged");
    }
    let store = open(&disk, options());
    assert_eq!((store.head().0, store.recovery().indexes_made), (all.len() as u64, 0));
    let error = run(store.read_all(Position(1), &Filter::All, 1)).unwrap_err();
    assert!(matches!(error, ReadError::Damaged { offset: 4096, .. }), "{error}");
    let streams: std::collections::BTreeSet<_> = all.iter().map(|e| &e.stream).collect();
    assert_eq!(store.info().streams, streams.len() as u64);
    assert_eq!(store.locate(Position(1)), Some((segment_name(1), 4096)));
}

#[test]
fn answers_are_the_same_with_indexes_and_without() {
    let (disk, all) = log(40);
    assert_eq!(check(&disk, options(), &all), Ok(0));
    let sealed = indexes(&disk);
    let before: Vec<_> = sealed.iter().map(|name| disk.contents(name)).collect();
    let reader = Reader::open_on(Arc::new(disk.clone())).unwrap();
    compare(&reader, &all).unwrap();
    sealed.iter().for_each(|name| disk.lose(name));
    let reader = Reader::open_on(Arc::new(disk.clone())).unwrap();
    compare(&reader, &all).unwrap();
    assert!(indexes(&disk).is_empty(), "a reader writes nothing");
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let progress = Progress::new(move |p| tell.lock().unwrap().push(p));
    let options = Options { progress: Some(progress), ..options() };
    assert_eq!(check(&disk, options, &all), Ok(sealed.len() as u64));
    let told = told.lock().unwrap();
    assert!(told.is_sorted_by_key(|p| p.segments_done), "{told:?}");
    let last = told.last().unwrap();
    assert_eq!(last.segments_done, last.segments_total);
    assert_eq!(last.indexes_made, sealed.len() as u64);
    let after: Vec<_> = sealed.iter().map(|name| disk.contents(name)).collect();
    assert_eq!(before, after, "the same segment has the same index");
}

/// Fault 22: one bit of every byte of an index; all eight with `HOLDFAST_ALL_BITS`.
#[test]
fn every_flipped_byte_of_an_index_is_noticed_or_harmless() {
    let (disk, all) = log(14);
    let all_bits = std::env::var_os("HOLDFAST_ALL_BITS").is_some();
    let name = index_name(1);
    let bytes = disk.contents(&name).unwrap();
    for at in 0..bytes.len() {
        for bit in (0..8).filter(|bit| all_bits || *bit == at % 8) {
            // The middle of what a page leaves empty is like the rest of it.
            if !all_bits && bytes[at] == 0 && at % 5 != 0 {
                continue;
            }
            let flipped = copy(&disk);
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << bit;
            flipped.put(&name, bytes);
            let store = open(&flipped, options());
            compare(&store, &all).unwrap_or_else(|what| panic!("byte {at}, bit {bit}: {what}"));
        }
    }
}

#[test]
fn an_index_cut_at_any_length_is_noticed() {
    let (disk, all) = log(14);
    let name = index_name(1);
    let bytes = disk.contents(&name).unwrap();
    for len in (0..bytes.len()).step_by(97).chain([bytes.len() - 1]) {
        let cut = copy(&disk);
        cut.put(&name, bytes[..len].to_vec());
        assert_eq!(check(&cut, options(), &all), Ok(1), "cut to {len}");
        assert_eq!(cut.contents(&name).as_ref(), Some(&bytes), "made anew");
    }
}

/// Fault 19 and 22: another store's, another segment's.
#[test]
fn an_index_of_another_segment_or_store_is_made_anew() {
    let (disk, all) = log(40);
    let (other, _) = log(40);
    let name = index_name(1);
    for foreign in [disk.contents(&index_name(2)).unwrap(), other.contents(&name).unwrap()] {
        let mixed = copy(&disk);
        mixed.put(&name, foreign);
        assert_eq!(check(&mixed, options(), &all), Ok(1));
    }
}

/// Two histories of one segment, from one beginning: (disk, all that is in it), twice.
fn fork() -> [(SimDisk, Vec<RecordedEvent>); 2] {
    let disk = SimDisk::new();
    drop(open(&disk, options()));
    let other = copy(&disk);
    [(disk, "here"), (other, "there")].map(|(disk, category)| {
        let store = open(&disk, options());
        run(async {
            for i in 0..30 {
                let mut given = batch(&format!("{category}-{i}"), Expected::NoStream, 2);
                given.events[0].data = vec![b'x'; 400].into();
                store.append(vec![given]).await.unwrap();
            }
        });
        let all = run(everything(&store));
        drop(store);
        (disk, all)
    })
}

/// Fault 20 of an index: it is of this very segment, header and all, but of another history of it.
#[test]
fn a_stale_index_is_made_anew_and_would_hide_what_is_there_if_it_were_trusted() {
    let [(disk, all), (other, _)] = fork();
    let name = index_name(1);
    assert_eq!(
        disk.contents(&segment_name(1)).unwrap()[..HEADER_LEN],
        other.contents(&segment_name(1)).unwrap()[..HEADER_LEN]
    );
    disk.put(&name, other.contents(&name).unwrap());
    let trusting = copy(&disk);
    assert_eq!(check(&disk, options(), &all), Ok(1));
    let harm = check(&trusting, without(Twin::StaleIndexTrusted), &all).unwrap_err();
    assert!(harm.contains("here-"), "{harm}");
}

#[test]
fn an_index_whose_checksums_are_not_looked_at_hides_what_is_there() {
    let [(disk, all), _] = fork();
    let name = index_name(1);
    // The filter stands at the end: without its bits nobody is here.
    let end = disk.contents(&name).unwrap().len();
    disk.scribble(&name, (end - PAGE_LEN) as u64, &vec![0; PAGE_LEN - 4]);
    let trusting = copy(&disk);
    compare(&open(&disk, options()), &all).unwrap();
    let harm = check(&trusting, without(Twin::IndexChecksumIgnored), &all).unwrap_err();
    assert!(harm.contains("here-"), "{harm}");
}

#[test]
fn an_event_that_is_read_alone_and_not_checked_is_served_changed() {
    let [(disk, all), _] = fork();
    let name = segment_name(1);
    let at = disk.contents(&name).unwrap().windows(9).position(|w| w == b"xxxxxxxxx").unwrap();
    disk.scribble(&name, at as u64, b"y");
    let read = |options| {
        let store = open(&disk, options);
        let hurt = run(store.read_stream(&all[0].stream, 0, Direction::Forward, 9));
        let other = run(store.read_stream(&all[2].stream, 0, Direction::Forward, 9));
        assert_eq!(other.unwrap(), all[2..4], "other streams can be read");
        (hurt, store.stopped())
    };
    let (served, _) = read(without(Twin::EventChecksumIgnored));
    assert_ne!(served.unwrap(), all[..2], "what was never written");
    let (told, stopped) = read(options());
    let error = told.unwrap_err();
    let ReadError::Damaged { segment, offset, position, .. } = &error else { panic!("{error}") };
    assert_eq!((segment.as_str(), *offset, position.0), (name.as_str(), 4096, 1));
    let Some(Stopped::Damaged(damage)) = stopped else { panic!("{stopped:?}") };
    assert_eq!((damage.segment.as_str(), damage.offset), (name.as_str(), 4096));
}

/// The power goes off at every step of a story with many rolls; what is left of the indexes is right
/// or made anew.
#[test]
fn a_power_cut_at_any_step_of_writing_an_index_does_no_harm() {
    for operation in 0.. {
        let disk = SimDisk::new();
        disk.set_faults(Faults { cut_at: Some(operation), ..Faults::default() });
        let mut story = Story::default();
        if let Ok(store) = Embedded::open_on(Arc::new(disk.clone()), options()) {
            story.tell(&store, 14);
        }
        for leaves in [Leaves::Everything, Leaves::Some(operation), Leaves::Prefix(operation)] {
            let after = disk.after_power_cut(leaves);
            let store = open(&after, options());
            story.check(&store).unwrap_or_else(|what| panic!("{operation}, {leaves:?}: {what}"));
            let all = run(everything(&store));
            compare(&store, &all).unwrap_or_else(|what| panic!("{operation}, {leaves:?}: {what}"));
            drop(store);
            let unfinished: Vec<_> =
                after.names().into_iter().filter(|name| name.ends_with(".idx.new")).collect();
            assert!(unfinished.is_empty(), "{unfinished:?}");
        }
        if !disk.is_off() {
            assert!(operation > 50, "the story has {operation} steps");
            break;
        }
    }
}

/// Fault 13 and 10: an index that cannot be written stays in memory, and is written at a later roll.
#[test]
fn an_index_that_finds_no_room_is_written_when_there_is_some() {
    let disk = SimDisk::new();
    let store = open(&disk, options());
    let mut story = Story::default();
    story.tell(&store, 1);
    for round in 0..60 {
        // The third index at the latest: each of its writes and syncs fails once.
        let operation = disk.operations() + round % 9;
        let faults = if round % 2 == 0 {
            Faults { fail_write_at: Some(operation), ..Faults::default() }
        } else {
            Faults { fail_sync_at: Some(operation), ..Faults::default() }
        };
        let trial = disk.after_kill();
        let store = open(&trial, options());
        trial.set_faults(faults);
        let mut told = story.clone();
        told.tell(&store, 12);
        let all = run(everything(&store));
        compare(&store, &all).unwrap();
        if store.stopped().is_none() {
            trial.set_faults(Faults::default());
            told.tell(&store, 12);
            let info = store.info();
            let sealed = info.segments as usize - 1;
            assert_eq!(indexes(&trial).len(), sealed, "round {round}: {:?}", trial.names());
        }
        drop(store);
        told.check_disk(&trial, options()).unwrap();
    }
}

/// An index that breaks while the store runs is made anew by the read that meets it.
#[test]
fn an_index_that_is_lost_or_damaged_while_the_store_runs_is_made_anew() {
    for damage in 0..3 {
        let (disk, all) = log(40);
        let store = open(&disk, options());
        for name in indexes(&disk) {
            let len = disk.contents(&name).unwrap().len();
            match damage {
                0 => disk.lose(&name),
                1 => disk.scribble(&name, PAGE_LEN as u64, &vec![7; len - PAGE_LEN]),
                _ => disk.scribble(&name, 0, &vec![0; len]),
            }
        }
        compare(&store, &all).unwrap();
        guard(&store, &all).unwrap();
        Story::default().tell(&store, 20);
        drop(store);
        let store = open(&disk, options());
        if damage > 0 {
            // What is lost is not missed as long as it is open.
            assert_eq!(store.recovery().indexes_made, 0, "written at the next roll");
        }
        compare(&store, &run(everything(&store))).unwrap();
    }
}

/// The guard's memory of versions does not outlive what it saw: a stream moves on, and the segment in
/// which it moved is sealed.
#[test]
fn the_guard_sees_streams_that_moved_in_segments_sealed_since_it_last_looked() {
    let disk = SimDisk::new();
    let store = open(&disk, options());
    run(async {
        let fill = async || {
            let mut filler = batch("filler-1", Expected::Any, 1);
            filler.events[0] = event("test.filler", vec![b'f'; 5000]);
            for _ in 0..4 {
                store.append(vec![filler.clone()]).await.unwrap();
            }
        };
        for version in 0..6 {
            let expected =
                if version == 0 { Expected::NoStream } else { Expected::Exact(version - 1) };
            store.append(vec![batch("s-1", expected, 1)]).await.unwrap();
            fill().await;
            for _ in 0..2 {
                let wrong = store.append(vec![batch("s-1", Expected::NoStream, 1)]).await;
                let Err(AppendError::Conflict { actual, .. }) = wrong else { panic!("{wrong:?}") };
                assert_eq!(actual, Some(version));
            }
        }
    });
}

/// Beside a writer with all its threads, on a real disk.
#[test]
fn readers_of_old_streams_see_the_same_while_segments_are_sealed_and_indexed() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        segment_bytes: 1 << 20,
        cache_bytes: 64 << 10,
        index_cache_bytes: 64 << 10,
        ..Options::default()
    };
    let store = Embedded::open(dir.path(), options.clone()).unwrap();
    run(async {
        for round in 0..200u64 {
            let appends = (0..8u64).map(|i| {
                let n = round * 8 + i;
                let mut given = batch(&format!("s-{}", n % 97), Expected::Any, 1);
                given.events[0].data = vec![b'x'; 4000].into();
                store.append(vec![given])
            });
            for answer in futures::future::join_all(appends).await {
                answer.unwrap();
            }
            let id = StreamId::new(format!("s-{}", round % 97));
            let events = store.read_stream(&id, 0, Direction::Forward, 9999).await.unwrap();
            for (version, event) in (0..).zip(&events) {
                assert_eq!((event.stream_version, &event.stream), (version, &id));
            }
        }
    });
    let all = run(everything(&store));
    compare(&store, &all).unwrap();
    assert!(store.info().segments > 5);
    run(store.close());
    drop(store);
    let store = Embedded::open(dir.path(), options).unwrap();
    compare(&store, &all).unwrap();
    guard(&store, &all).unwrap();
}

/// Random faults, one life after the other: [`compare`] after each.
#[test]
fn one_power_cut_after_the_other_leaves_indexes_that_are_right_or_made_anew() {
    for seed in seeds(12) {
        let mut disk = SimDisk::new();
        for life in 0..5 {
            let cut = (seed * 37 + life * 19) % 90 + 10;
            disk.set_faults(Faults { cut_at: Some(cut), ..Faults::default() });
            if let Ok(store) = Embedded::open_on(Arc::new(disk.clone()), options()) {
                Story::default().tell(&store, 14);
            }
            disk = disk.after_power_cut(Leaves::Some(seed * 10 + life));
            let store = open(&disk, options());
            let all = run(everything(&store));
            let found = compare(&store, &all).and_then(|()| guard(&store, &all));
            found.unwrap_or_else(|what| panic!("seed {seed}, life {life}: {what}"));
            drop(store);
            disk = disk.after_kill();
        }
    }
}
