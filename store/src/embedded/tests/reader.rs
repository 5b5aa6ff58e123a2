//! Reading and verifying beside a running writer, and on what a crash has left.

use std::sync::Arc;
use std::time::Duration;

use super::super::format::{HEADER_LEN, SegmentHeader, segment_name};
use super::super::marker::MARK_FILE;
use super::super::sim::{Faults, Leaves, SimDisk};
use super::super::slot::read_slots;
use super::super::twins::{Twin, Twins};
use super::super::{Damage, Embedded, OpenError, Options, Reader, verify, verify_on};
use super::{Story, open, run, tiny};
use crate::contract::{batch, everything};
use crate::{AppendError, EventStore, Expected, Filter, Position, Subscription};

const SEGMENT: u64 = 12 << 10;

#[test]
fn a_reader_sees_what_was_there_and_what_comes_when_it_looks_again() {
    let disk = SimDisk::new();
    let none = Reader::open_on(Arc::new(disk.clone())).err().unwrap();
    assert!(matches!(none, OpenError::NoLog), "{none}");
    let store = open(&disk, tiny(SEGMENT));
    let mut story = Story::default();
    story.tell(&store, 2);
    let reader = Reader::open_on(Arc::new(disk)).unwrap();
    story.check(&reader).unwrap();
    for _ in 0..6 {
        story.tell(&store, 4);
        let head = run(reader.refresh()).unwrap();
        assert_eq!(head, store.head());
        story.check(&reader).unwrap();
    }
    assert_eq!(reader.info().store_id, store.info().store_id);
    assert_eq!(reader.info().segments, store.info().segments);
    let refused = run(reader.append(vec![batch("s-1", Expected::Any, 1)]));
    assert!(matches!(refused, Err(AppendError::Stopped(_))), "{refused:?}");
}

/// A torn tail is where the reader stops; it cuts nothing.
#[test]
fn a_reader_stops_at_the_last_whole_frame_and_changes_nothing() {
    for operation in 20..90 {
        let disk = SimDisk::new();
        disk.set_faults(Faults { cut_at: Some(operation), ..Faults::default() });
        let mut story = Story::default();
        if let Ok(store) = Embedded::open_on(Arc::new(disk.clone()), tiny(SEGMENT)) {
            story.tell(&store, 14);
        }
        let torn = disk.after_power_cut(Leaves::Some(operation));
        let before: Vec<_> = torn.names().iter().map(|n| torn.contents(n)).collect();
        match Reader::open_on(Arc::new(torn.clone())) {
            Ok(reader) => story.check(&reader).unwrap(),
            Err(OpenError::NoLog) => assert_eq!(story.acknowledged(), 0),
            Err(other) => panic!("cut at {operation}: {other}"),
        }
        let after: Vec<_> = torn.names().iter().map(|n| torn.contents(n)).collect();
        assert_eq!(before, after);
    }
}

fn read_with(disk: &SimDisk, twins: Twins) -> Result<Reader, OpenError> {
    Reader::open_with(Arc::new(disk.clone()), Duration::ZERO, twins)
}

fn refused(disk: &SimDisk) -> Damage {
    match read_with(disk, Twins::default()) {
        Err(OpenError::Damaged(damage)) => damage,
        Err(other) => panic!("{other}"),
        Ok(reader) => panic!("served up to {}", reader.head()),
    }
}

/// A log of one segment with five frames of one event each; where the last one stands.
fn five_frames() -> (SimDisk, u64) {
    let disk = SimDisk::new();
    let store = open(&disk, tiny(SEGMENT));
    for _ in 0..5 {
        run(store.append(vec![batch("s-1", Expected::Any, 1)])).unwrap();
    }
    drop(store);
    let slots = read_slots(&disk).unwrap();
    let newest = slots.iter().filter_map(|slot| slot.header()).map(|header| header.offset).max();
    (disk, newest.unwrap())
}

/// Takes both slots of segment 1 away.
fn without_slots(disk: &SimDisk) -> SimDisk {
    let disk = disk.after_kill();
    let mut bytes = disk.contents(&segment_name(1)).unwrap();
    let end = SegmentHeader::decode(&bytes[..HEADER_LEN]).unwrap().frames_end() as usize;
    bytes[end..].fill(0);
    disk.put(&segment_name(1), bytes);
    disk
}

/// P2: what was acknowledged, and stands whole nowhere any more, is not the end of the log.
#[test]
fn an_acknowledged_end_that_is_damaged_is_told_and_not_taken_for_the_end() {
    let (disk, last) = five_frames();
    let flipped = without_slots(&disk);
    flipped.scribble(&segment_name(1), last + 60, b"!");
    let gone = without_slots(&disk);
    gone.scribble(&segment_name(1), last, &[0; 512]);
    for damaged in [&flipped, &gone] {
        let damage = refused(damaged);
        assert_eq!((damage.segment.as_str(), damage.offset), (&*segment_name(1), last));
        assert_eq!(damage.position, Position(5), "{damage}");
        let harm = read_with(damaged, Twins::without(Twin::ReaderEndNotJudged)).unwrap();
        assert_eq!(run(everything(&harm)).len(), 4, "served shorter, and nobody is told");
    }
    // Nobody knows better than the segment when the mark is away too: then it was torn.
    gone.lose(MARK_FILE);
    assert_eq!(read_with(&gone, Twins::default()).unwrap().head(), Position(4));
    assert_eq!(refused(&flipped).position, Position(5));
}

/// What opening the log gives back is no damage; a reader, which writes nothing, ends before it.
#[test]
fn an_end_that_is_whole_in_its_copy_alone_is_no_damage() {
    let (disk, last) = five_frames();
    disk.scribble(&segment_name(1), last + 60, b"!");
    let reader = read_with(&disk, Twins::default()).unwrap();
    assert_eq!(reader.head(), Position(4));
    assert_eq!(run(reader.refresh()).unwrap(), Position(4));
    drop(open(&disk, tiny(SEGMENT)));
    assert_eq!(run(reader.refresh()).unwrap(), Position(5));
    assert_eq!(run(everything(&reader)).len(), 5);
}

/// Damage that comes while the log is followed ends the following; what stands before it is read on.
#[test]
fn a_look_tells_damage_and_shows_what_stands_before_it() {
    let disk = SimDisk::new();
    let store = open(&disk, tiny(SEGMENT));
    run(store.append(vec![batch("s-1", Expected::Any, 1)])).unwrap();
    let reader = read_with(&disk, Twins::default()).unwrap();
    for _ in 0..4 {
        run(store.append(vec![batch("s-1", Expected::Any, 1)])).unwrap();
    }
    drop(store);
    let (from, last) = {
        let all = read_with(&disk, Twins::default()).unwrap();
        (all.locate(Position(2)).unwrap().1, all.locate(Position(3)).unwrap().1)
    };
    let whole = disk.contents(&segment_name(1)).unwrap();
    disk.scribble(&segment_name(1), last + 60, b"!");
    for _ in 0..2 {
        match run(reader.refresh()) {
            Err(OpenError::Damaged(damage)) => assert_eq!(damage.offset, last),
            other => panic!("{other:?}"),
        }
        assert_eq!(reader.head(), Position(2));
        assert_eq!(run(everything(&reader)).len(), 2);
        assert_eq!(reader.locate(Position(2)), Some((segment_name(1), from)));
    }
    disk.scribble(&segment_name(1), last + 60, &whole[last as usize + 60..][..1]);
    assert_eq!(run(reader.refresh()).unwrap(), Position(5));
}

/// P2: wherever a byte is changed, opening to read and `verify` agree on what is lost. Without indexes,
/// so that opening reads everything.
#[test]
fn opening_to_read_and_verify_agree_on_every_changed_byte() {
    let disk = SimDisk::new();
    Story::default().tell(&open(&disk, tiny(SEGMENT)), 14);
    for name in disk.names().into_iter().filter(|name| name.ends_with(".idx")) {
        disk.lose(&name);
    }
    let mut told = 0;
    for name in disk.names() {
        let bytes = disk.contents(&name).unwrap();
        for at in (0..bytes.len()).step_by(61) {
            let changed = disk.after_kill();
            changed.scribble(&name, at as u64, &[bytes[at] ^ 0x10]);
            let what = format!("{name} at {at}");
            let verified = verify_on(Arc::new(changed.clone()), Duration::ZERO, &mut |_| {});
            match (read_with(&changed, Twins::default()), verified) {
                (Ok(reader), Ok(report)) => {
                    assert_eq!(report.offence, None, "{what}: served");
                    assert_eq!(reader.head(), report.head, "{what}");
                }
                (Err(OpenError::Damaged(damage)), Ok(report)) => {
                    assert_eq!(Some(damage), report.offence, "{what}");
                    told += 1;
                }
                (Err(error), Err(same)) => assert_eq!(error.to_string(), same.to_string()),
                (Err(error), Ok(report)) => panic!("{what}: {error}, but {report:?}"),
                (Ok(_), Err(error)) => panic!("{what}: served, but {error}"),
            }
        }
    }
    assert!(told > 100, "{told}");
}

/// Beside a writer at full speed nothing looks like damage, to those who open and to who looks again.
#[test]
fn readers_beside_a_busy_writer_raise_no_false_alarm() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { segment_bytes: 1 << 20, ..Options::default() };
    let store = Embedded::open(dir.path(), options).unwrap();
    let path = dir.path().to_owned();
    run(async {
        let reading = std::thread::spawn(move || {
            for _ in 0..12 {
                let reader = Reader::open(&path).unwrap();
                let mut head = reader.head();
                run(async {
                    for _ in 0..25 {
                        let next = reader.refresh().await.unwrap();
                        assert!(next >= head);
                        head = next;
                    }
                });
            }
        });
        let mut n = 0usize;
        while !reading.is_finished() {
            n += 1;
            let appends = (0..1 + n % 4).map(|i| {
                let mut given = batch(&format!("s-{i}"), Expected::Any, 1);
                given.events[0].data = vec![b'x'; (n * 977) % 20_000].into();
                store.append(vec![given])
            });
            for answer in futures::future::join_all(appends).await {
                answer.unwrap();
            }
        }
        reading.join().unwrap();
    });
    assert!(store.info().segments > 1);
}

/// On a real directory, with followers in another part of the house.
#[test]
fn a_reader_follows_a_writer_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { segment_bytes: 1 << 20, ..Options::default() };
    let store = Embedded::open(dir.path(), options).unwrap();
    let reader = Arc::new(Reader::open(dir.path()).unwrap());
    run(async {
        let follower = Arc::clone(&reader);
        let following =
            tokio::spawn(async move { follower.follow(Duration::from_millis(1)).await });
        let mut seen = 0;
        let mut subscription = Subscription::new(reader, Position::ZERO, Filter::All);
        for _ in 0..40 {
            let mut big = batch("s-1", Expected::Any, 5);
            big.events[0].data = vec![b'x'; 100 << 10].into();
            store.append(vec![big]).await.unwrap();
            while seen < store.head().0 {
                for event in subscription.next().await.unwrap() {
                    seen += 1;
                    assert_eq!(event.position.0, seen);
                }
            }
        }
        following.abort();
    });
    assert!(store.info().segments > 2);
}

#[test]
fn verify_counts_what_is_there() {
    let disk = SimDisk::new();
    let store = open(&disk, tiny(SEGMENT));
    let mut story = Story::default();
    story.tell(&store, 20);
    let mut told = Vec::new();
    let report = verify_on(Arc::new(disk.clone()), Duration::ZERO, &mut |p| told.push(p)).unwrap();
    assert_eq!((&report.offence, &report.torn), (&None, &None));
    assert_eq!(Some(store.info().store_id), report.store_id);
    assert_eq!((report.head, report.events), (store.head(), store.head().0));
    assert_eq!(report.segments, store.info().segments);
    assert_eq!(report.streams, store.info().streams);
    assert!(report.frames >= 20 && report.bytes > 4096);
    assert!(told.windows(2).all(|w| w[0].bytes_done <= w[1].bytes_done));
    assert_eq!(
        told.last().map(|p| (p.bytes_done, p.events)),
        Some((told[0].bytes_total, report.events))
    );
    drop(store);
    disk.scribble(&segment_name(2), 4096 + 60, b"!");
    let report = verify_on(Arc::new(disk), Duration::ZERO, &mut |_| {}).unwrap();
    let offence = report.offence.unwrap();
    assert_eq!((offence.segment, offence.offset), (segment_name(2), 4096));
    assert_eq!(offence.position, report.head.next());
}

/// Beside a writer at full speed nothing looks like damage.
#[test]
fn verify_beside_a_busy_writer_finds_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { segment_bytes: 1 << 20, ..Options::default() };
    let store = Embedded::open(dir.path(), options).unwrap();
    let path = dir.path().to_owned();
    run(async {
        let verifying = std::thread::spawn(move || {
            let mut head = Position::ZERO;
            for _ in 0..20 {
                match verify(&path, &mut |_| {}) {
                    Ok(report) => {
                        assert_eq!(report.offence, None);
                        assert!(report.head >= head);
                        head = report.head;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        });
        let mut n = 0usize;
        while !verifying.is_finished() {
            n += 1;
            let appends = (0..8).map(|i| {
                let mut given = batch(&format!("s-{i}"), Expected::Any, 1);
                given.events[0].data = vec![b'x'; (n * 977) % 20_000].into();
                store.append(vec![given])
            });
            for answer in futures::future::join_all(appends).await {
                answer.unwrap();
            }
        }
        verifying.join().unwrap();
    });
}
