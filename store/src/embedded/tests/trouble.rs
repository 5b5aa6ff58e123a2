//! Disks that fail, fill up or are taken: what appenders are told, and that reads go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::super::sim::{Faults, Leaves, SimDisk};
use super::super::{Embedded, OpenError, Options};
use super::{Story, open, run, tiny, with_slots};
use crate::contract::{batch, everything};
use crate::{AppendError, Clock, EventStore, Expected};

const SEGMENT: u64 = 12 << 10;

/// Faults 12 and 14, lesson 5: whichever write or sync fails, nothing is tried again and nothing
/// that was acknowledged is lost.
#[test]
fn any_write_or_sync_that_fails_stops_the_store_and_loses_nothing() {
    let mut stopped = 0;
    for operation in 0..140 {
        for write in [true, false] {
            let disk = SimDisk::new();
            let faults = if write {
                Faults { fail_write_at: Some(operation), ..Faults::default() }
            } else {
                Faults { fail_sync_at: Some(operation), ..Faults::default() }
            };
            disk.set_faults(faults);
            let mut story = Story::default();
            if let Ok(store) = Embedded::open_on(Arc::new(disk.clone()), tiny(SEGMENT)) {
                story.tell(&store, 14);
                if let Some(reason) = store.trouble() {
                    stopped += 1;
                    assert!(reason.contains("failed"), "{reason}");
                    let later = run(store.append(vec![batch("late-1", Expected::Any, 1)]));
                    assert_eq!(later, Err(AppendError::Stopped(reason)));
                }
                story.check(&store).unwrap_or_else(|what| panic!("still served: {what}"));
            }
            for disk in [
                disk.after_power_cut(Leaves::Nothing),
                disk.after_power_cut(Leaves::Some(operation)),
                disk.after_kill(),
                // Recovered after a kill, then the power goes off: what the failed sync has dropped
                // from the cache was written again.
                {
                    let killed = disk.after_kill();
                    drop(Embedded::open_on(Arc::new(killed.clone()), tiny(SEGMENT)));
                    killed.after_power_cut(Leaves::Nothing)
                },
            ] {
                if let Err(what) = story.check_disk(&disk, tiny(SEGMENT)) {
                    panic!("operation {operation} fails (write: {write}): {what}");
                }
            }
        }
    }
    assert!(stopped > 20, "stopped {stopped} times");
}

/// Lesson 5: whoever waits for the failed sync is told that the outcome is unknown, whoever comes
/// later that nothing was recorded; reads go on.
#[test]
fn a_failed_sync_poisons_the_store() {
    let disk = SimDisk::new();
    let store = open(&disk, tiny(SEGMENT));
    run(async {
        store.append(vec![batch("s-1", Expected::NoStream, 1)]).await.unwrap();
        // The frame, the header of its copy, its copy.
        let sync = disk.operations() + 3;
        disk.set_faults(Faults { fail_sync_at: Some(sync), ..Faults::default() });
        let waiting = store.append(vec![batch("s-1", Expected::Any, 1)]).await;
        assert!(matches!(waiting, Err(AppendError::Unknown(_))), "{waiting:?}");
        let later = store.append(vec![batch("s-1", Expected::Any, 1)]).await;
        assert!(matches!(later, Err(AppendError::Stopped(_))), "{later:?}");
        assert!(store.trouble().unwrap().contains("cannot sync"));
        assert_eq!(everything(&store).await.len(), 1, "only what is durable is shown");
    });
}

/// Fault 10: no room for the next segment. Reads go on, appends are refused, and go on by
/// themselves when there is room again.
#[test]
fn a_full_disk_refuses_appends_until_there_is_room() {
    let disk = SimDisk::new();
    let room_for = |segments: u64| Faults {
        capacity_bytes: Some(segments * with_slots(SEGMENT) + 100),
        ..Faults::default()
    };
    disk.set_faults(room_for(2));
    let store = open(&disk, tiny(SEGMENT));
    run(async {
        let (mut taken, mut refused) = (0, 0);
        while refused < 3 {
            match store.append(vec![batch("s-1", Expected::Any, 3)]).await {
                Ok(_) => taken += 3,
                Err(AppendError::Full) => refused += 1,
                Err(other) => panic!("{other}"),
            }
            assert!(taken < 1000, "the disk does fill up");
        }
        assert!(store.trouble().unwrap().contains("full"));
        // What still fits into the last segment is taken, and hides nothing.
        if store.append(vec![batch("s-2", Expected::Any, 1)]).await.is_ok() {
            taken += 1;
        }
        assert!(store.trouble().unwrap().contains("full"));
        assert_eq!(everything(&store).await.len(), taken);
        let conflict = store.append(vec![batch("s-1", Expected::NoStream, 1)]).await;
        assert!(matches!(conflict, Err(AppendError::Conflict { .. })), "still judged");
        disk.set_faults(room_for(4));
        assert_eq!(store.trouble(), None, "there is room, whether anybody appends or not");
        for _ in 0..20 {
            store.append(vec![batch("s-1", Expected::Any, 3)]).await.unwrap();
        }
        assert_eq!(store.trouble(), None);
        drop(store);
        let store = open(&disk, tiny(SEGMENT));
        assert_eq!(everything(&store).await.len(), taken + 60);
    });
}

/// A disk that is full even where room was set aside (copy on write): the half-written frame is no
/// frame, and what it left is gone with the next one, whatever happens then.
#[test]
fn a_write_cut_short_by_a_full_disk_leaves_no_trace() {
    for crash in [false, true] {
        let disk = SimDisk::new();
        let mut story = Story::default();
        let store = open(&disk, tiny(SEGMENT));
        story.tell(&store, 1);
        run(async {
            disk.set_faults(Faults { full: true, ..Faults::default() });
            let mut big = batch("big-1", Expected::Any, 1);
            big.events[0].data = vec![b'x'; 4000].into();
            assert_eq!(store.append(vec![big]).await, Err(AppendError::Full));
            disk.set_faults(Faults::default());
        });
        if !crash {
            story.tell(&store, 3);
            story.check(&store).unwrap();
        }
        for leaves in [Leaves::Nothing, Leaves::Everything, Leaves::Some(1), Leaves::Prefix(2)] {
            story.check_disk(&disk.after_power_cut(leaves), tiny(SEGMENT)).unwrap();
        }
        drop(store);
        story.check_disk(&disk, tiny(SEGMENT)).unwrap();
    }
}

/// Fault 23, on the real file system.
#[test]
fn a_second_one_on_the_same_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let options = || Options { segment_bytes: 1 << 20, ..Options::default() };
    let store = Embedded::open(dir.path(), options()).unwrap();
    let second = Embedded::open(dir.path(), options()).err().unwrap();
    assert!(matches!(second, OpenError::InUse), "{second}");
    run(store.append(vec![batch("s-1", Expected::Any, 1)])).unwrap();
    drop(store);
    let store = Embedded::open(dir.path(), options()).unwrap();
    assert_eq!(store.head().0, 1);
    run(store.close());
    let third = Embedded::open(dir.path(), options()).unwrap();
    assert_eq!(third.info().head.0, 1, "closed is as good as dropped");
}

/// Fault 25: the wall clock goes back, and stands still.
#[test]
fn recorded_times_never_go_back_although_the_clock_does() {
    let disk = SimDisk::new();
    let now = Arc::new(AtomicI64::new(1_000));
    let clock = || {
        let now = Arc::clone(&now);
        Clock::new(move || now.load(Ordering::Relaxed))
    };
    for life in 0..2 {
        let store = open(&disk, Options { clock: clock(), ..tiny(SEGMENT) });
        for time in [5_000, 3_000, 3_000, 6_000 + life, -7] {
            now.store(time, Ordering::Relaxed);
            run(store.append(vec![batch("s-1", Expected::Any, 1)])).unwrap();
        }
    }
    let store = open(&disk, tiny(SEGMENT));
    let times: Vec<i64> = run(everything(&store)).iter().map(|e| e.recorded_at_micros).collect();
    assert_eq!(times, [5000, 5000, 5000, 6000, 6000, 6000, 6000, 6000, 6001, 6001]);
}

/// P20: what waits when the store is closed is done; what comes later is refused.
#[test]
fn closing_finishes_what_waits_and_refuses_what_comes() {
    let disk = SimDisk::new();
    let store = open(&disk, tiny(1 << 20));
    run(async {
        let append = |i: usize| store.append(vec![batch(&format!("s-{i}"), Expected::Any, 1)]);
        let mut waiting = futures::future::join_all((0..50).map(append));
        let _ = futures::poll!(&mut waiting);
        store.close().await;
        assert!(waiting.await.iter().all(Result::is_ok));
        let late = append(99).await;
        assert!(matches!(late, Err(AppendError::Stopped(_))), "{late:?}");
        let read = store.read_all(crate::Position(1), &crate::Filter::All, 1).await;
        assert_eq!(read, Err(crate::ReadError::Closed));
        assert!(store.watch_head().changed().await.is_err(), "followers are let go");
        store.close().await;
    });
    assert_eq!(open(&disk, tiny(1 << 20)).head().0, 50);
}

/// An append that fits into no segment is refused for good, not for now.
#[test]
fn what_fits_into_no_segment_is_not_valid() {
    let store = open(&SimDisk::new(), tiny(SEGMENT));
    let mut big = batch("s-1", Expected::Any, 1);
    big.events[0].data = vec![0; SEGMENT as usize].into();
    let refused = run(store.append(vec![big]));
    assert!(matches!(refused, Err(AppendError::Invalid(_))), "{refused:?}");
    run(store.append(vec![batch("s-1", Expected::Any, 1)])).unwrap();
}

/// Frames are not lost between a store of the real file system and its next life.
#[test]
fn a_real_directory_opens_again_with_all_that_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let options = || Options { segment_bytes: 1 << 20, ..Options::default() };
    let mut story = Story::default();
    for _ in 0..3 {
        let store = Embedded::open(dir.path().join("not/there/yet"), options()).unwrap();
        assert_eq!(store.recovery().torn, None);
        story.check(&store).unwrap();
        let mut big = batch("big-1", Expected::Any, 4);
        big.events[0].data = vec![b'x'; 600 << 10].into();
        story.appends.push((
            big.events.iter().map(|e| e.id).collect(),
            Some(run(store.append(vec![big])).unwrap().first),
        ));
        story.tell(&store, 9);
    }
    let store = Embedded::open(dir.path().join("not/there/yet"), options()).unwrap();
    story.check(&store).unwrap();
    assert!(store.info().segments >= 3);
}
