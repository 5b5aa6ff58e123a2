//! Reading and verifying beside a running writer, and on what a crash has left.

use std::sync::Arc;
use std::time::Duration;

use super::super::format::segment_name;
use super::super::sim::{Faults, Leaves, SimDisk};
use super::super::{Embedded, OpenError, Options, Reader, verify, verify_on};
use super::{Story, open, run, tiny};
use crate::contract::batch;
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
