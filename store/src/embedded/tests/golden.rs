//! Directories that earlier versions have written, kept under `tests/golden`: every later version
//! opens them and finds in them what they were said to hold (P20).
//!
//! `HOLDFAST_BLESS=1` makes those that are not there yet. One that is there is never made anew: its
//! bytes are what some released version wrote.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::format::{HEADER_LEN, SegmentHeader, segment_name};
use super::super::marker::MARK_FILE;
use super::super::{Disk, Embedded, Options, Reader, RealDisk, verify};
use super::{run, tiny};
use crate::contract::{batch, event, everything};
use crate::{EventStore, Expected, Position, RecordedEvent};

/// What this version adds: name, and how it comes about.
type Make = fn(&Path);
const MADE: [(&str, Make); 3] =
    [("v2-segments", segments), ("v2-unindexed", unindexed), ("v2-torn", torn)];
const EXPECTED: &str = "expected.json";

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden")
}

fn small() -> Options {
    tiny(8 << 10)
}

fn disk(directory: &Path) -> Arc<dyn Disk> {
    Arc::new(RealDisk::new(directory.join("log")))
}

/// Several streams in several segments, appends of one and of two streams, odd bytes.
fn segments(directory: &Path) {
    let store = Embedded::open_on(disk(directory), small()).unwrap();
    run(async {
        for round in 0..12u8 {
            let mut one = batch(&format!("seatmap-{}", round % 3), Expected::Any, 2);
            one.events.push(event("odd kind", vec![round, 0, 255, b'\n']));
            let two = batch(&format!("reservation-{round}"), Expected::NoStream, 1);
            let mut big = batch("inventory-mug", Expected::Any, 1);
            big.events[0].data = vec![b'0' + round; 900].into();
            let both = store.append(vec![one, two]);
            let (both, big) = tokio::join!(both, store.append(vec![big]));
            both.unwrap();
            big.unwrap();
        }
    });
    assert!(store.info().segments >= 3, "{:?}", store.info());
}

/// The same without what is derived.
fn unindexed(directory: &Path) {
    segments(directory);
    remove(directory, |name| name.ends_with(".idx") || name == MARK_FILE);
}

/// The same with a last write that never ended, in either copy.
fn torn(directory: &Path) {
    unindexed(directory);
    let end = verify(directory, &mut |_| {}).unwrap();
    assert!(end.offence.is_none() && end.torn.is_none(), "{end:?}");
    let log = directory.join("log");
    let store = Embedded::open_on(disk(directory), small()).unwrap();
    let mut last = batch("reservation-torn", Expected::NoStream, 1);
    last.events[0].data = vec![b'x'; 1500].into();
    run(store.append(vec![last])).unwrap();
    drop(store);
    let reader = Reader::open_on(disk(directory)).unwrap();
    let (segment, offset) = reader.locate(Position(end.head.0 + 1)).unwrap();
    let mut bytes = std::fs::read(log.join(&segment)).unwrap();
    assert!(SegmentHeader::decode(&bytes[..HEADER_LEN]).is_ok());
    // Its second sector and all that comes behind it never reached the disk.
    bytes[offset as usize + 600..].fill(0);
    std::fs::write(log.join(&segment), bytes).unwrap();
    remove(directory, |name| name.ends_with(".idx") || name == MARK_FILE);
}

fn remove(directory: &Path, which: impl Fn(&str) -> bool) {
    for name in disk(directory).list().unwrap().into_iter().filter(|name| which(name)) {
        std::fs::remove_file(directory.join("log").join(name)).unwrap();
    }
}

fn told(event: &RecordedEvent) -> Value {
    json!({
        "position": event.position.0,
        "stream": event.stream.as_str(),
        "version": event.stream_version,
        "id": event.id,
        "kind": event.kind.to_string(),
        "schema_version": event.schema_version,
        "recorded_at_micros": event.recorded_at_micros,
        "metadata_crc32c": format!("{:08x}", crc32c::crc32c(&event.metadata)),
        "data_crc32c": format!("{:08x}", crc32c::crc32c(&event.data)),
        "data_bytes": event.data.len(),
    })
}

/// What a directory holds, without opening it to write.
fn found(directory: &Path) -> Value {
    let report = verify(directory, &mut |_| {}).unwrap();
    assert_eq!(report.offence, None, "{}", directory.display());
    let reader = Reader::open_on(disk(directory)).unwrap();
    let events: Vec<Value> = run(everything(&reader)).iter().map(told).collect();
    let torn = report.torn.map(|(segment, offset)| json!({ "segment": segment, "offset": offset }));
    json!({
        "store_id": report.store_id, "segments": report.segments, "frames": report.frames,
        "streams": report.streams, "torn": torn, "events": events,
    })
}

/// The files of a log that the first version wrote.
pub(super) fn v1() -> Vec<(String, Vec<u8>)> {
    let log = golden().join("v1-unindexed/log");
    let file = |entry: std::fs::DirEntry| {
        (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
    };
    std::fs::read_dir(log).unwrap().map(|entry| file(entry.unwrap())).collect()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != "lock" {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

fn bless() {
    for (name, make) in MADE {
        let kept = golden().join(name);
        if kept.exists() {
            continue;
        }
        let made = tempfile::tempdir().unwrap();
        make(made.path());
        copy(&made.path().join("log"), &kept.join("log"));
        let text = format!("{:#}\n", found(made.path()));
        std::fs::write(kept.join(EXPECTED), text).unwrap();
    }
}

#[test]
fn every_directory_that_was_ever_written_opens_and_holds_what_it_held() {
    if std::env::var_os("HOLDFAST_BLESS").is_some() {
        bless();
    }
    let mut names: Vec<_> =
        std::fs::read_dir(golden()).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.join(EXPECTED).exists());
    names.sort();
    assert!(names.len() >= MADE.len() + 3, "{names:?}: HOLDFAST_BLESS=1 makes what is missing");
    for kept in names {
        let what = kept.display();
        let text = std::fs::read_to_string(kept.join(EXPECTED)).unwrap();
        let expected: Value = serde_json::from_str(&text).unwrap();
        let directory = tempfile::tempdir().unwrap();
        copy(&kept.join("log"), &directory.path().join("log"));
        assert_eq!(found(directory.path()), expected, "{what}, beside its writer");

        let store = Embedded::open_on(disk(directory.path()), small()).unwrap();
        let torn = store.recovery().torn.as_ref();
        let cut = torn.map(|torn| json!({ "segment": torn.segment, "offset": torn.offset }));
        assert_eq!(json!(cut), expected["torn"], "{what}");
        let events: Vec<Value> = run(everything(&store)).iter().map(told).collect();
        assert_eq!(json!(events), expected["events"], "{what}");
        run(store.append(vec![batch("reservation-0", Expected::Any, 1)])).unwrap();
        drop(store);
        let store = Embedded::open_on(disk(directory.path()), small()).unwrap();
        assert_eq!(store.head().0, events.len() as u64 + 1, "{what}: it goes on");
        assert!(directory.path().join("log").join(segment_name(1)).exists());
    }
}
