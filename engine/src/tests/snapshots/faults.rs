//! Damage, other code, other logs, full disks: a snapshot that does not fit is never used.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use holdfast_domain::{AttemptId, Decider, ReservationId, Sku, UserId, inventory};
use holdfast_store::memory::Memory;
use holdfast_store::{Clock, EventStore};
use uuid::Uuid;

use super::super::world::{NOON, World, secs, settings};
use super::{Lab, memory, same};
use crate::settings::Protections;
use crate::{Rejection, Settings, SnapshotFigures, Snapshots};

type Pool = inventory::State;

fn id() -> Sku {
    "gala".parse().expect("a sku")
}

/// A pool of a hundred, and one hold of so many units after the other.
fn holds(quantities: &[u32]) -> Vec<inventory::Event> {
    let mut events =
        vec![inventory::Event::Received { qty: 100, by: UserId::new("olga").expect("a name") }];
    for (n, qty) in (1u128..).zip(quantities) {
        events.push(inventory::Event::Held {
            reservation_id: ReservationId(Uuid::from_u128(n)),
            qty: *qty,
            remaining: 0,
            expires_at: NOON.plus(secs(960)),
            epoch: 1,
            attempt: AttemptId(Uuid::from_u128(n)),
            period: None,
        });
    }
    events
}

async fn log_of(events: &[inventory::Event]) -> Arc<dyn EventStore> {
    let log = memory();
    Lab::new(log.clone(), Snapshots::none()).record::<Pool>(&id(), events, 1).await;
    log
}

/// A directory with the snapshot of that log's pool.
async fn kept(log: &Arc<dyn EventStore>) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let lab = Lab::new(log.clone(), Snapshots::open(&directory));
    lab.keep::<Pool>(&id()).await;
    assert_eq!(lab.house.snapshots.figures().taken, 1);
    directory
}

/// The only snapshot of a directory.
fn only_file(directory: &Path) -> PathBuf {
    let mut files = snapshots_in(directory);
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

fn snapshots_in(directory: &Path) -> Vec<PathBuf> {
    let within = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten().map(|e| e.path());
    within(directory).flat_map(|code| within(&code).collect::<Vec<_>>()).collect()
}

/// How many units are held according to a load, and what became of the snapshot.
async fn loaded(
    log: &Arc<dyn EventStore>,
    directory: &Path,
    protections: Protections,
) -> (u64, SnapshotFigures) {
    let lab = Lab::with(log.clone(), Snapshots::open(directory), protections);
    let hot = lab.load::<Pool>(&id()).await;
    if protections.snapshot_binding && protections.snapshot_checksum {
        let told = lab.and(Snapshots::none()).load::<Pool>(&id()).await;
        assert!(same(&hot, &told), "{:?} is not {:?}", hot.aggregate, told.aggregate);
    }
    (hot.aggregate.0.held(), lab.house.snapshots.figures())
}

#[tokio::test]
async fn a_snapshot_with_a_flipped_bit_anywhere_is_ignored_and_deleted() {
    let log = log_of(&holds(&[1, 2, 3])).await;
    let directory = kept(&log).await;
    let path = only_file(directory.path());
    let good = fs::read(&path).expect("it is there");
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        fs::write(&path, &bad).expect("a file");
        let (held, figures) = loaded(&log, directory.path(), Protections::default()).await;
        assert_eq!((held, figures.ignored, figures.used), (6, 1, 0), "byte {at}");
        assert!(!path.exists(), "byte {at}");
    }
}

#[tokio::test]
async fn twin_without_a_checksum_a_flipped_bit_is_served() {
    let log = log_of(&holds(&[1, 2, 3])).await;
    let directory = kept(&log).await;
    let path = only_file(directory.path());
    let good = fs::read(&path).expect("it is there");
    let off = Protections { snapshot_checksum: false, ..Protections::default() };
    let lab = Lab::with(log, Snapshots::open(&directory), off);
    let told = lab.and(Snapshots::none()).load::<Pool>(&id()).await;
    let mut wrong = 0;
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        fs::write(&path, &bad).expect("a file");
        wrong += u32::from(!same(&lab.load::<Pool>(&id()).await, &told));
    }
    assert!(wrong > 0, "the checksum guards against nothing");
}

#[tokio::test]
async fn a_snapshot_that_is_cut_or_has_grown_is_ignored() {
    let log = log_of(&holds(&[1, 2, 3])).await;
    let directory = kept(&log).await;
    let path = only_file(directory.path());
    let good = fs::read(&path).expect("it is there");
    for len in 0..=good.len() + 1 {
        let mut bytes = good.clone();
        bytes.resize(len, 0);
        fs::write(&path, &bytes).expect("a file");
        let (held, figures) = loaded(&log, directory.path(), Protections::default()).await;
        let whole = u64::from(len == good.len());
        assert_eq!((held, figures.used, figures.ignored), (6, whole, 1 - whole), "{len} bytes");
    }
}

/// What a load says that finds the snapshot of another log.
async fn of_another_log(protections: Protections) -> (u64, SnapshotFigures) {
    let directory = kept(&log_of(&holds(&[1, 2, 3])).await).await;
    let other = log_of(&holds(&[1, 1, 1, 1, 1])).await;
    loaded(&other, directory.path(), protections).await
}

#[tokio::test]
async fn a_snapshot_of_another_log_is_ignored() {
    let (held, figures) = of_another_log(Protections::default()).await;
    assert_eq!((held, figures.used, figures.ignored), (5, 0, 1));
}

#[tokio::test]
async fn twin_unbound_a_snapshot_of_another_log_is_served() {
    let off = Protections { snapshot_binding: false, ..Protections::default() };
    let (held, figures) = of_another_log(off).await;
    assert_eq!((held, figures.used), (1 + 2 + 3 + 1 + 1, 1), "a wrong tail on a wrong state");
}

#[tokio::test]
async fn a_snapshot_ahead_of_its_log_is_ignored() {
    let events = holds(&[1, 2, 3]);
    let directory = kept(&log_of(&events).await).await;
    let rolled_back = log_of(&events[..3]).await;
    let (held, figures) = loaded(&rolled_back, directory.path(), Protections::default()).await;
    assert_eq!((held, figures.used, figures.ignored), (3, 0, 1));
    let empty = memory();
    let directory = kept(&log_of(&events).await).await;
    let (held, figures) = loaded(&empty, directory.path(), Protections::default()).await;
    assert_eq!((held, figures.used, figures.ignored), (0, 0, 1));
}

/// An older copy of the log was put back and has grown again: a customer's retry gave the last event
/// its old name, at its old place, but what lies before it is another story.
#[tokio::test]
async fn a_log_that_was_rolled_back_and_grew_again_is_another_log() {
    let time = Arc::new(AtomicI64::new(1));
    let log_in = |events: Vec<inventory::Event>| {
        let time = time.clone();
        let clock = Clock::new(move || time.fetch_add(1, Ordering::Relaxed));
        let log: Arc<dyn EventStore> = Arc::new(Memory::with_clock(clock));
        async move {
            let lab = Lab::new(log.clone(), Snapshots::none());
            lab.record::<Pool>(&id(), &events, 1).await;
            log
        }
    };
    let first = log_in(holds(&[1, 2, 3])).await;
    let mut again = holds(&[1, 1, 3]);
    again[1] = inventory::Event::Opened;
    let second = log_in(again).await;
    let last_of = async |log: &Arc<dyn EventStore>| {
        let stream = holdfast_store::StreamId::new("inventory-gala");
        let read = log.read_stream(&stream, 3, holdfast_store::Direction::Forward, 1).await;
        read.expect("it is there").remove(0)
    };
    let (old, new) = (last_of(&first).await, last_of(&second).await);
    assert_eq!((old.id, old.position, &old.data), (new.id, new.position, &new.data));
    let directory = kept(&first).await;
    let (held, figures) = loaded(&second, directory.path(), Protections::default()).await;
    assert_eq!((held, figures.used, figures.ignored), (4, 0, 1));
}

const OLD: &str = "0000000000000000000000000000000000000000000000000000000000000001";
const NEW: &str = "1111111111111111111111111111111111111111111111111111111111111111";

/// Code that folds otherwise has kept a state; what does that code's successor load?
async fn folded_by_other_code(old: &str, new: &str) -> (u64, usize) {
    let log = log_of(&holds(&[1, 2, 3])).await;
    let directory = tempfile::tempdir().expect("a directory");
    let lab = Lab::new(log.clone(), Snapshots::open_as(&directory, old));
    let mut hot = lab.load::<Pool>(&id()).await;
    hot.aggregate.0.evolve(&holds(&[50])[1]);
    let stream = || holdfast_store::StreamId::new("inventory-gala");
    lab.house.snapshots.consider(&log, 1, stream, &mut hot);
    lab.house.snapshots.settled().await;
    assert_eq!(snapshots_in(directory.path()).len(), 1);
    let lab = Lab::new(log, Snapshots::open_as(&directory, new));
    let left = snapshots_in(directory.path()).len();
    (lab.load::<Pool>(&id()).await.aggregate.0.held(), left)
}

#[tokio::test]
async fn what_other_code_has_kept_is_deleted_at_the_start() {
    assert_eq!(folded_by_other_code(OLD, NEW).await, (6, 0));
}

#[tokio::test]
async fn twin_under_one_hash_what_other_code_has_folded_is_served() {
    assert_eq!(folded_by_other_code(OLD, OLD).await, (55, 1));
}

#[tokio::test]
async fn a_snapshot_in_the_wrong_place_is_ignored() {
    let log = log_of(&holds(&[1, 2, 3])).await;
    let directory = kept(&log).await;
    let path = only_file(directory.path());
    // Renamed by hand: another code's, then another stream's.
    let elsewhere = Snapshots::open_as(directory.path().join("other"), NEW);
    let others = directory.path().join("other").join(&NEW[..32]);
    fs::copy(&path, others.join(path.file_name().expect("a name"))).expect("a copy");
    let lab = Lab::new(log.clone(), elsewhere);
    lab.load::<Pool>(&id()).await;
    assert_eq!(lab.house.snapshots.figures().ignored, 1);

    let other: Sku = "other".parse().expect("a sku");
    let lab = Lab::new(log, Snapshots::open(&directory));
    lab.record::<Pool>(&other, &holds(&[7])[..], 1).await;
    lab.keep::<Pool>(&other).await;
    let files = snapshots_in(directory.path());
    let others = files.iter().find(|file| file.is_file() && **file != path).expect("there are two");
    fs::rename(&path, others).expect("renamed");
    assert_eq!(lab.load::<Pool>(&other).await.aggregate.0.held(), 7);
    assert_eq!(lab.house.snapshots.figures().ignored, 1);
}

#[tokio::test]
async fn a_directory_that_is_deleted_is_made_again() {
    let log = log_of(&holds(&[1, 2, 3])).await;
    let directory = kept(&log).await;
    let lab = Lab::new(log, Snapshots::open(&directory));
    fs::remove_dir_all(directory.path()).expect("gone");
    assert_eq!(lab.keep::<Pool>(&id()).await.aggregate.0.held(), 6);
    let SnapshotFigures { taken, failed, ignored, .. } = lab.house.snapshots.figures();
    assert_eq!((taken, failed, ignored), (1, 0, 0));
    only_file(directory.path());
}

#[tokio::test]
async fn what_was_not_finished_when_the_process_died_is_deleted() {
    let log = log_of(&holds(&[1, 2, 3])).await;
    let directory = kept(&log).await;
    let path = only_file(directory.path());
    let unfinished = path.with_extension("tmp");
    fs::write(&unfinished, b"half").expect("a file");
    let (_, figures) = loaded(&log, directory.path(), Protections::default()).await;
    assert_eq!((figures.used, unfinished.exists()), (1, false));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_costs_only_the_snapshot() {
    let log = log_of(&holds(&[1, 2, 3])).await;
    let directory = kept(&log).await;
    let path = only_file(directory.path());
    let before = fs::read(&path).expect("it is there");
    let lab = Lab::new(log, Snapshots::open(&directory));
    std::os::unix::fs::symlink("/dev/full", path.with_extension("tmp")).expect("a link");
    lab.record::<Pool>(&id(), &[inventory::Event::Closed], 1).await;
    lab.keep::<Pool>(&id()).await;
    let SnapshotFigures { taken, failed, .. } = lab.house.snapshots.figures();
    assert_eq!((taken, failed), (0, 1));
    assert_eq!(fs::read(&path).expect("the old one stays"), before);
    assert_eq!(only_file(directory.path()), path, "nothing half done is left");
    assert!(!lab.load::<Pool>(&id()).await.aggregate.0.is_open());
}

#[tokio::test]
async fn where_nothing_can_be_written_everything_else_goes_on() {
    let log = log_of(&holds(&[1, 2, 3])).await;
    let directory = tempfile::tempdir().expect("a directory");
    let taken = directory.path().join("snapshots");
    fs::write(&taken, b"a file stands where the directory should be").expect("a file");
    let lab = Lab::new(log, Snapshots::open(&taken));
    assert_eq!(lab.keep::<Pool>(&id()).await.aggregate.0.held(), 6);
    let figures = lab.house.snapshots.figures();
    assert_eq!((figures.taken, figures.failed), (0, 1));
    assert_eq!(lab.load::<Pool>(&id()).await.aggregate.0.held(), 6);
}

#[tokio::test]
async fn a_state_that_the_log_does_not_bear_out_is_not_kept() {
    let log = log_of(&holds(&[1, 2, 3])).await;
    let shorter = log_of(&holds(&[1, 2])).await;
    let directory = tempfile::tempdir().expect("a directory");
    let lab = Lab::new(log, Snapshots::open(&directory));
    let mut hot = lab.load::<Pool>(&id()).await;
    let stream = || holdfast_store::StreamId::new("inventory-gala");
    lab.house.snapshots.consider(&shorter, 1, stream, &mut hot);
    lab.house.snapshots.settled().await;
    assert_eq!(lab.house.snapshots.figures().failed, 1);
    assert_eq!(snapshots_in(directory.path()), Vec::<PathBuf>::new());
}

/// On one thread nothing that is spawned runs before the test waits for it.
#[tokio::test]
async fn one_is_taken_of_a_stream_at_a_time_and_few_of_all() {
    let log = log_of(&holds(&[1, 2, 3])).await;
    let directory = tempfile::tempdir().expect("a directory");
    let lab = Lab::new(log.clone(), Snapshots::open(&directory));
    let snapshots = &lab.house.snapshots;
    for name in ["gala", "gala", "a", "b", "c", "d", "e"] {
        let id: Sku = name.parse().expect("a sku");
        if name != "gala" {
            lab.record::<Pool>(&id, &holds(&[1]), 1).await;
        }
    }
    let mut hots = Vec::new();
    for name in ["gala", "gala", "a", "b", "c", "d", "e"] {
        hots.push((name, lab.load::<Pool>(&name.parse().expect("a sku")).await));
    }
    for (name, hot) in &mut hots {
        let stream = || holdfast_store::StreamId::new(format!("inventory-{name}"));
        snapshots.consider(&log, 1, stream, hot);
    }
    snapshots.settled().await;
    assert_eq!(snapshots.figures().taken, 4, "gala once, and a, b, c");
    for (name, hot) in &mut hots {
        let stream = || holdfast_store::StreamId::new(format!("inventory-{name}"));
        snapshots.consider(&log, 1, stream, hot);
    }
    snapshots.settled().await;
    assert_eq!(snapshots.figures().taken, 7, "the others with their next batch");
}

fn every_event() -> Settings {
    Settings { snapshot_every: 1, ..settings() }
}

/// A state that makes a rule panic would keep its stream down for ever if it came back each time.
#[tokio::test]
async fn a_snapshot_that_makes_a_rule_panic_is_not_loaded_twice() {
    let unchecked = Protections { snapshot_checksum: false, ..Protections::default() };
    let mut world = World::with(every_event(), unchecked).await;
    let directory = tempfile::tempdir().expect("a directory");
    world.snapshots = Snapshots::open(&directory);
    world.restart().await;
    world.open_the_hall(10, None).await;
    world.quiet().await;
    world.snapshots.settled().await;
    // The plan of a hundred seats stays, the seats are gone.
    let seats = [&[100u8][..], &[0; 100]].concat();
    let spoilt = snapshots_in(directory.path()).into_iter().any(|path| {
        let mut bytes = fs::read(&path).expect("it is there");
        let at = bytes.windows(seats.len()).position(|window| window == seats);
        at.is_some_and(|at| {
            bytes.splice(at..at + seats.len(), [0]);
            fs::write(&path, bytes).is_ok()
        })
    });
    assert!(spoilt, "the hall was kept");
    world.restart().await;
    let first = world.lock("ann", "1", &["L-1-1"]).await;
    assert!(matches!(first, Err(Rejection::OutcomeUnknown(_))), "{first:?}");
    world.lock("ann", "1", &["L-1-1"]).await.expect("it was loaded from its events");
}

#[tokio::test]
async fn a_repeated_command_is_known_after_a_load_from_a_snapshot() {
    let mut world = World::with(every_event(), Protections::default()).await;
    let directory = tempfile::tempdir().expect("a directory");
    world.snapshots = Snapshots::open(&directory);
    world.restart().await;
    world.shirts(5).await;
    world.quiet().await;
    world.snapshots.settled().await;
    world.snapshots = Snapshots::open(&directory);
    world.restart().await;
    world.stock(super::super::world::SHIRT, 5).await;
    assert_eq!(world.pool(super::super::world::SHIRT).await.total(), 5, "received once");
    assert!(world.snapshots.figures().used > 0);
}

#[tokio::test]
async fn who_wants_none_has_none() {
    let none = Settings { snapshot_every: 0, ..settings() };
    let mut world = World::with(none, Protections::default()).await;
    let directory = tempfile::tempdir().expect("a directory");
    world.snapshots = Snapshots::open(&directory);
    world.restart().await;
    world.shirts(5).await;
    world.quiet().await;
    world.engine.snapshots().settled().await;
    assert_eq!(snapshots_in(directory.path()), Vec::<PathBuf>::new());
}
