//! A backup opens at any moment, is a prefix of the log, and holds what was acknowledged before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::super::backup::copy;
use super::super::format::{HEADER_LEN, segment_name};
use super::super::marker::MARK_FILE;
use super::super::sim::{Faults, Leaves, SimDisk};
use super::super::twins::{Twin, Twins};
use super::super::{
    BackupError, BackupReport, Embedded, Lab, LogStat, OpenError, Options, RealDisk, backup, stat,
    verify,
};
use super::{Story, open, run, tiny, with_slots};
use crate::contract::{batch, everything};
use crate::{EventStore, Expected, RecordedEvent};

const SEGMENT: u64 = 8 << 10;

fn options() -> Options {
    tiny(SEGMENT)
}

fn take(source: &SimDisk, target: &SimDisk) -> Result<BackupReport, BackupError> {
    take_without(source, target, Twins::default())
}

fn take_without(
    source: &SimDisk,
    target: &SimDisk,
    twins: Twins,
) -> Result<BackupReport, BackupError> {
    copy(source, target, Duration::ZERO, twins, &mut |_| {})
}

fn duplicate(disk: &SimDisk) -> SimDisk {
    let copy = SimDisk::new();
    for name in disk.names() {
        copy.put(&name, disk.contents(&name).unwrap());
    }
    copy
}

/// What a copy of a disk holds when it is opened.
fn held(disk: &SimDisk) -> Result<Vec<RecordedEvent>, OpenError> {
    let store = Embedded::open_on(Arc::new(duplicate(disk)), options())?;
    Ok(run(everything(&store)))
}

/// The log as it grows, and what is in it each time.
fn stages() -> Vec<(SimDisk, Vec<RecordedEvent>)> {
    let disk = SimDisk::new();
    let mut story = Story::default();
    let store = open(&disk, options());
    let mut stages = vec![(duplicate(&disk), Vec::new())];
    for rounds in [1, 2, 1, 5, 9] {
        story.tell(&store, rounds);
        stages.push((duplicate(&disk), run(everything(&store))));
    }
    assert!(store.info().segments >= 5, "{:?}", store.info());
    stages
}

#[test]
fn each_backup_holds_what_the_log_held_and_copies_only_what_is_new() {
    let target = SimDisk::new();
    let mut kept = Vec::new();
    for (log, events) in stages() {
        let report = take(&log, &target).unwrap();
        assert_eq!(report.head.0, events.len() as u64);
        assert_eq!(held(&target).unwrap(), events);
        kept.push(report.kept_segments);
        let again = take(&log, &target).unwrap();
        assert_eq!((again.head, again.head_hash), (report.head, report.head_hash));
        assert_eq!(
            again.written_bytes,
            with_slots(SEGMENT),
            "only the last segment is copied again"
        );
        assert_eq!(again.kept_segments, again.segments - 1);
    }
    assert!(kept.is_sorted() && *kept.last().unwrap() >= 1, "{kept:?}");
}

/// Each step of each backup, cut off there by a power cut: what the backup held it holds, and what
/// it holds is a prefix of the log.
fn crashes(twins: Twins) -> Result<(), String> {
    let stages = stages();
    let target = SimDisk::new();
    let mut before = 0;
    for (stage, (log, events)) in stages.iter().enumerate() {
        let clean = duplicate(&target);
        take_without(log, &clean, twins).map_err(|e| e.to_string())?;
        for step in 0..clean.operations() {
            for leaves in
                [Leaves::Nothing, Leaves::Everything, Leaves::Some(step), Leaves::Prefix(step)]
            {
                let place = format!("stage {stage}, operation {step}, {leaves:?}");
                let going = duplicate(&target);
                going.set_faults(Faults { cut_at: Some(step), ..Faults::default() });
                if take_without(log, &going, twins).is_ok() {
                    return Err(format!("{place}: a backup without power"));
                }
                let after = going.after_power_cut(leaves);
                let found = held(&after).map_err(|error| format!("{place}: {error}"))?;
                if found.len() < before || found != events[..found.len()] {
                    return Err(format!("{place}: {} of {before} events", found.len()));
                }
                take(log, &after).map_err(|error| format!("{place}, again: {error}"))?;
                if held(&after).map_err(|error| format!("{place}, again: {error}"))? != *events {
                    return Err(format!("{place}: again, it is not what the log holds"));
                }
            }
        }
        take(log, &target).map_err(|e| e.to_string())?;
        before = events.len();
    }
    Ok(())
}

#[test]
fn a_backup_that_is_cut_short_still_opens_and_can_be_taken_again() {
    crashes(Twins::default()).unwrap();
}

/// The twin: a seal with nothing behind it looks like a log whose next segment was lost.
#[test]
fn a_backup_that_seals_too_soon_does_not_open_after_a_power_cut() {
    let harm = crashes(Twins::without(Twin::BackupSealedTooSoon)).unwrap_err();
    assert!(harm.contains("missing"), "{harm}");
}

/// What is written and not durable may be gone tomorrow: a backup waits for it.
#[test]
fn a_backup_never_knows_more_than_its_log_after_a_power_cut() {
    let ahead = |twins: Twins| {
        let disk = SimDisk::new();
        let lab = Lab { twins: Twins::without(Twin::AckBeforeSync), ..options().lab };
        let store = open(&disk, Options { lab, ..options() });
        run(async {
            for _ in 0..3 {
                store.append(vec![batch("a-1", Expected::Any, 1)]).await.unwrap();
            }
        });
        let target = SimDisk::new();
        let report = take_without(&disk, &target, twins).unwrap();
        // The mark would tell that this log has lost what it had acknowledged.
        disk.lose(MARK_FILE);
        let after = held(&disk.after_power_cut(Leaves::Nothing)).unwrap();
        report.head.0 > after.len() as u64
    };
    assert!(!ahead(Twins::default()));
    assert!(ahead(Twins::without(Twin::BackupOfUnsynced)));
}

#[test]
fn what_is_not_a_backup_of_this_log_is_refused_and_left_alone() {
    let stages = stages();
    let (log, _) = &stages[4];
    let refused = |log: &SimDisk, target: &SimDisk| {
        let before: Vec<_> = target.names().iter().map(|name| target.contents(name)).collect();
        let error = take(log, target).unwrap_err();
        let after: Vec<_> = target.names().iter().map(|name| target.contents(name)).collect();
        assert!(before == after, "{error}");
        error
    };
    // Another store's.
    let other = SimDisk::new();
    take(&super::backup::stages()[2].0, &other).unwrap();
    assert!(matches!(refused(log, &other), BackupError::OtherStore { .. }));
    // One that was opened and has gone on by itself.
    let gone_on = SimDisk::new();
    take(&stages[1].0, &gone_on).unwrap();
    Story::default().tell(&open(&gone_on, options()), 1);
    let names: Vec<_> = gone_on.names();
    assert!(matches!(take(log, &gone_on).unwrap_err(), BackupError::Diverged(_)));
    assert!(names.iter().all(|name| gone_on.contents(name).is_some()));
    // A log that was set back.
    let ahead = SimDisk::new();
    take(&stages[5].0, &ahead).unwrap();
    assert!(matches!(refused(log, &ahead), BackupError::Diverged(_)));
    // Damage is not copied.
    for at in [HEADER_LEN as u64 + 100, 20] {
        let damaged = duplicate(&stages[5].0);
        damaged.scribble(&segment_name(2), at, b"!!");
        let error = take(&damaged, &SimDisk::new()).unwrap_err();
        assert!(matches!(error, BackupError::Source(OpenError::Damaged(_))), "{error}");
    }
    let full = SimDisk::new();
    full.set_faults(Faults { capacity_bytes: Some(2 * with_slots(SEGMENT)), ..Faults::default() });
    assert!(matches!(take(&stages[5].0, &full), Err(BackupError::NoRoom { .. })));
}

/// Fault 72, on a real disk: again and again while somebody writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn backups_beside_a_busy_writer_open_and_hold_what_was_acknowledged_before() {
    let directory = tempfile::tempdir().unwrap();
    let (data, target) = (directory.path().join("data"), directory.path().join("backup"));
    let disk = Arc::new(RealDisk::new(data.join("log")));
    let lab = Lab { least_segment_bytes: 4096, ..Lab::default() };
    let options = Options { segment_bytes: 32 << 10, lab, ..Options::default() };
    let store = Arc::new(Embedded::open_on(disk, options.clone()).unwrap());
    let acknowledged = Arc::new(AtomicU64::new(0));
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let writers: Vec<_> = (0..4)
        .map(|n| {
            let (store, acknowledged) = (Arc::clone(&store), Arc::clone(&acknowledged));
            let stopped = stopped.clone();
            tokio::spawn(async move {
                while !*stopped.borrow() {
                    let batches = vec![batch(&format!("w-{n}"), Expected::Any, 3)];
                    let done = store.append(batches).await.unwrap();
                    acknowledged.fetch_max(done.last.0, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let mut heads = Vec::new();
    while heads.len() < 12 {
        let before = acknowledged.load(Ordering::SeqCst);
        let (from, to) = (data.clone(), target.clone());
        let report =
            tokio::task::spawn_blocking(move || backup(from, to, &mut |_| {})).await.unwrap();
        let report = report.unwrap();
        assert!(report.head.0 >= before, "{report:?}, acknowledged {before}");
        let walked = verify(&target, &mut |_| {}).unwrap();
        assert_eq!((walked.head, walked.offence, walked.torn), (report.head, None, None));
        heads.push(report.head.0);
    }
    stop.send_replace(true);
    for writer in writers {
        writer.await.unwrap();
    }
    let all = everything(&*store).await;
    store.close().await;
    assert!(heads.is_sorted() && heads[0] < *heads.last().unwrap(), "{heads:?}");
    let note: serde_json::Value =
        serde_json::from_slice(&std::fs::read(target.join("backup.json")).unwrap()).unwrap();
    assert_eq!(note["head"], *heads.last().unwrap());
    let LogStat { head, .. } = stat(&target, super::super::Counting::Quick).unwrap();
    assert_eq!(head.0, *heads.last().unwrap());
    // Restored: it opens to write, and is a prefix.
    let disk = Arc::new(RealDisk::new(target.join("log")));
    let restored = Embedded::open_on(disk, options).unwrap();
    let events = everything(&restored).await;
    assert_eq!(events, all[..events.len()]);
    assert_eq!(events.len() as u64, *heads.last().unwrap());
    restored.append(vec![batch("w-0", Expected::Any, 1)]).await.unwrap();
    restored.close().await;
}

#[test]
fn a_directory_that_holds_something_else_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (data, other) = (directory.path().join("data"), directory.path().join("other"));
    let none = backup(&data, &other, &mut |_| {});
    assert!(matches!(none, Err(BackupError::Source(OpenError::NoLog))), "{none:?}");
    let options = Options { segment_bytes: 1 << 20, ..Options::default() };
    drop(Embedded::open(&data, options.clone()).unwrap());
    let itself = backup(&data, &data, &mut |_| {});
    assert!(matches!(itself, Err(BackupError::Itself(_))), "{itself:?}");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("photo.jpg"), b"!").unwrap();
    let taken = backup(&data, &other, &mut |_| {});
    assert!(matches!(taken, Err(BackupError::NotABackup(_))), "{taken:?}");
    drop(Embedded::open(directory.path().join("third"), options).unwrap());
    let taken = backup(&data, directory.path().join("third"), &mut |_| {});
    assert!(matches!(taken, Err(BackupError::NotABackup(_))), "a log that is nobody's backup");
    // An empty one will do, and a first backup that was cut short is gone on with.
    let fresh = directory.path().join("fresh");
    std::fs::create_dir_all(fresh.join("log.part")).unwrap();
    backup(&data, &fresh, &mut |_| {}).unwrap();
    assert!(fresh.join("log").is_dir() && !fresh.join("log.part").exists());
}
