//! The runner and the rebuild among accidents: kills, damage, poison, another log, another process.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod world;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_domain::seatmap::{Category, Plan, Section};
use holdfast_domain::{Period, SeatMapId, seatmap};
use holdfast_projections::{
    AvailabilityReason, MovementKind, PageRequest, Projection, ProjectionState, ReadModels,
    RebuildError, SeatStatus,
};
use holdfast_store::memory::Memory;
use holdfast_store::{EventStore, NewEvent, Position};
use tokio::sync::watch;
use world::{Dice, START, World, euros, hall, sku, user};

const SOON: Duration = Duration::from_secs(20);

fn log(world: &World) -> Arc<dyn EventStore> {
    Arc::clone(&world.store) as Arc<dyn EventStore>
}

async fn followed(world: &World, path: &Path) -> ReadModels {
    let reads = ReadModels::open(path).await.unwrap();
    reads.runner(log(world)).catch_up().await.unwrap();
    reads
}

/// A runner at work, as a server has it.
struct Following {
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Following {
    fn start(reads: &ReadModels, store: Arc<dyn EventStore>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let runner = reads.runner(store);
        let task = tokio::spawn(async move { runner.run(stopped).await.unwrap() });
        Self { stop, task }
    }

    async fn end(self) {
        self.stop.send(true).unwrap();
        self.task.await.unwrap();
    }
}

/// A log that takes a rebuild several transactions: thousands of deliveries.
async fn long() -> World {
    let mut world = World::grown(6, 200).await;
    for _ in 0..12 {
        let received = holdfast_domain::inventory::Event::Received { qty: 1, by: user(0) };
        let events = (0..500).map(|_| world.written(&received)).collect();
        world.append("inventory-scarf".into(), events).await;
    }
    world
}

async fn scarves(reads: &ReadModels) -> u32 {
    reads.availability(&sku("scarf")).await.unwrap().map_or(0, |row| row.total)
}

#[tokio::test]
async fn whoever_asks_with_a_position_sees_its_own_change() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::grown(7, 100).await;
    let reads = ReadModels::open(&folder.path().join("read.sqlite")).await.unwrap();
    let following = Following::start(&reads, log(&world));
    let mut dice = Dice::new(8);
    for _ in 0..30 {
        world.live(&mut dice, 3).await;
        let head = world.store.head();
        reads.wait_for(head, SOON).await.unwrap();
        assert!(reads.position() >= head);
        let total = world.pools[&sku("scarf")].total();
        assert_eq!(scarves(&reads).await, total);
    }
    let beyond = world.store.head().next();
    let stale = reads.wait_for(beyond, Duration::from_millis(20)).await.unwrap_err();
    assert_eq!((stale.wanted, stale.at), (beyond, world.store.head()));
    let statuses = reads.statuses().await.unwrap();
    assert_eq!(statuses.len(), Projection::ALL.len());
    assert!(statuses.iter().all(|it| it.state == ProjectionState::Live && it.position == stale.at));
    following.end().await;
}

#[tokio::test]
async fn rows_in_memory_are_followed_and_rebuilt_as_those_in_a_file() {
    let world = World::grown(11, 300).await;
    let reads = ReadModels::in_memory().await.unwrap();
    reads.runner(log(&world)).catch_up().await.unwrap();
    let before = reads.seats(&hall(), None).await.unwrap();
    reads.rebuild(log(&world), &Projection::ALL, |_| {}).await.unwrap();
    assert_eq!(reads.seats(&hall(), None).await.unwrap(), before);
    assert_eq!(scarves(&reads).await, world.pools[&sku("scarf")].total());
}

/// P11: blue and green. The rebuild runs in "another process": its own connections to the same file.
#[tokio::test]
async fn old_rows_answer_while_another_process_rebuilds_beside_a_running_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("read.sqlite");
    let mut world = World::grown(3, 1_500).await;
    let reads = ReadModels::open(&path).await.unwrap();
    let following = Following::start(&reads, log(&world));
    reads.wait_for(world.store.head(), SOON).await.unwrap();

    let store = log(&world);
    let other = ReadModels::open(&path).await.unwrap();
    let rebuild = tokio::spawn(async move {
        let mut told = Vec::new();
        let end = other.rebuild(store, &Projection::ALL, |it| told.push(it.position)).await;
        (end.unwrap(), told)
    });
    let mut dice = Dice::new(4);
    while !rebuild.is_finished() {
        world.live(&mut dice, 2).await;
        reads.wait_for(world.store.head(), SOON).await.unwrap();
        assert_eq!(scarves(&reads).await, world.pools[&sku("scarf")].total());
        assert_eq!(
            reads.seats(&hall(), None).await.unwrap().len(),
            world.seat_maps[&hall()].seats().count()
        );
    }
    let (end, told) = rebuild.await.unwrap();
    assert!(told.is_sorted() && told.first() == Some(&Position::ZERO) && told.last() == Some(&end));

    // The server's runner goes on behind the new rows, without what it remembered of the old.
    world.live(&mut dice, 50).await;
    reads.wait_for(world.store.head(), SOON).await.unwrap();
    let whole = followed(&world, &folder.path().join("again.sqlite")).await;
    assert_eq!(
        reads.seats(&hall(), None).await.unwrap(),
        whole.seats(&hall(), None).await.unwrap()
    );
    for id in world.pools.keys() {
        assert_eq!(reads.availability(id).await.unwrap(), whole.availability(id).await.unwrap());
    }
    following.end().await;
}

#[tokio::test]
async fn the_later_of_two_rebuilds_takes_over_and_the_earlier_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("read.sqlite");
    let world = long().await;
    let reads = followed(&world, &path).await;
    let total = scarves(&reads).await;
    let second = ReadModels::open(&path).await.unwrap();
    let (begun, mut wait_begun) = watch::channel(0);
    let (store, first) = (log(&world), reads.clone());
    let first = tokio::spawn(async move {
        let which = [Projection::Availability];
        first.rebuild(store, &which, |_| begun.send_modify(|steps| *steps += 1)).await
    });
    wait_begun.wait_for(|steps| *steps > 0).await.unwrap();
    second.rebuild(log(&world), &Projection::ALL, |_| {}).await.unwrap();
    match first.await.unwrap() {
        // The first was through before the second began.
        Ok(_) => {}
        Err(error) => {
            assert!(matches!(error, RebuildError::Superseded(Projection::Availability)), "{error}");
        }
    }
    assert_eq!(scarves(&reads).await, total);
    let statuses = reads.statuses().await.unwrap();
    assert!(statuses.iter().all(|it| it.state != ProjectionState::Rebuilding));
}

#[tokio::test]
async fn a_rebuild_that_was_killed_leaves_nothing_in_the_way_of_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let world = long().await;
    let reads = followed(&world, &folder.path().join("read.sqlite")).await;
    let total = scarves(&reads).await;
    let (begun, mut wait_begun) = watch::channel(0);
    let (store, killed) = (log(&world), reads.clone());
    let killed = tokio::spawn(async move {
        let steps = |_| begun.send_modify(|steps| *steps += 1);
        killed.rebuild(store, &Projection::ALL, steps).await
    });
    wait_begun.wait_for(|steps| *steps > 1).await.unwrap();
    killed.abort();
    let _ = killed.await;
    assert_eq!(scarves(&reads).await, total);
    reads.rebuild(log(&world), &Projection::ALL, |_| {}).await.unwrap();
    assert_eq!(scarves(&reads).await, total);
    let statuses = reads.statuses().await.unwrap();
    assert!(statuses.iter().all(|it| it.state == ProjectionState::Live), "{statuses:?}");
}

/// P10, fault 57.
#[tokio::test]
async fn an_event_that_cannot_be_read_is_parked_and_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::grown(9, 50).await;
    let mut poison = world.written(&holdfast_domain::inventory::Event::Closed);
    poison.kind = "inventory.melted".into();
    world.append("inventory-scarf".into(), vec![poison.clone()]).await;
    poison.kind = "inventory.received".into();
    poison.id = holdfast_domain::derive(&["poison", "2"]);
    poison.data = b"{\"qty\":\"many\"}".as_slice().into();
    world.append("inventory-scarf".into(), vec![poison]).await;
    let mut dice = Dice::new(10);
    world.live(&mut dice, 100).await;

    let reads = followed(&world, &folder.path().join("read.sqlite")).await;
    assert_eq!(reads.position(), world.store.head());
    assert_eq!(scarves(&reads).await, world.pools[&sku("scarf")].total());
    let parked = reads.parked_events().await.unwrap();
    let kinds: Vec<&str> = parked.iter().map(|it| it.kind.as_str()).collect();
    assert_eq!(kinds, ["inventory.melted", "inventory.received"]);
    assert!(parked[0].error.contains("newer Holdfast"), "{}", parked[0].error);
    assert_eq!(reads.parked_count().await.unwrap(), 2);
}

#[tokio::test]
async fn a_damaged_or_deleted_file_is_simply_built_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("read.sqlite");
    let world = World::grown(13, 200).await;
    let reads = followed(&world, &path).await;
    let total = scarves(&reads).await;
    reads.close().await;

    std::fs::write(&path, b"no database, whatever its name says").unwrap();
    let reads = followed(&world, &path).await;
    assert_eq!(scarves(&reads).await, total);
    reads.close().await;

    std::fs::remove_file(&path).unwrap();
    let reads = followed(&world, &path).await;
    assert_eq!(scarves(&reads).await, total);
}

#[tokio::test]
async fn rows_of_another_log_are_not_taken_for_this_ones() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("read.sqlite");
    followed(&World::grown(1, 400).await, &path).await.close().await;

    // Shorter than the checkpoints, then longer: another event stands there.
    for (seed, steps) in [(2, 10), (3, 600)] {
        let other = World::grown(seed, steps).await;
        let reads = followed(&other, &path).await;
        assert_eq!(reads.position(), other.store.head());
        assert_eq!(scarves(&reads).await, other.pools[&sku("scarf")].total());
        reads.close().await;
    }
}

#[tokio::test]
async fn lists_are_read_page_by_page_without_gap_or_double() {
    let world = World::grown(17, 3_500).await;
    let reads = ReadModels::in_memory().await.unwrap();
    reads.runner(log(&world)).catch_up().await.unwrap();

    let mut seen = Vec::new();
    let mut page = PageRequest { first: 7, after: None };
    loop {
        let found = reads.stock_movements(None, &page).await.unwrap();
        assert_eq!(found.has_previous, page.after.is_some());
        seen.extend(found.rows.iter().map(|(_, row)| row.position));
        let Some((cursor, _)) = found.rows.last().filter(|_| found.has_next) else { break };
        page.after = Some(cursor.clone());
    }
    assert!(seen.is_sorted_by(|one, next| one > next), "newest first");
    let most = PageRequest { first: 1_000, after: None };
    let all = reads.stock_movements(None, &most).await.unwrap();
    assert_eq!(all.rows.len(), 100, "a page has at most 100 rows");
    assert!(
        seen.len() > 100 && all.rows.iter().zip(&seen).all(|((_, row), at)| row.position == *at)
    );
    let received = all.rows.iter().find(|(_, row)| row.kind == MovementKind::Reserved).unwrap();
    assert!(received.1.reservation_id.is_some());

    let names: Vec<String> = reads
        .items(None, None, &PageRequest::default())
        .await
        .unwrap()
        .rows
        .into_iter()
        .map(|(_, row)| row.sku.to_string())
        .collect();
    assert_eq!(names, ["gala", "scarf", "van"]);
    let fans = reads.items(Some("fans"), None, &PageRequest::default()).await.unwrap();
    assert_eq!(fans.rows.len(), 1);

    for number in 0..4 {
        let mine = reads.reservations(Some(&user(number)), None, &most).await.unwrap();
        assert!(mine.rows.iter().all(|(_, row)| row.user_id == user(number)));
        let notices = reads.notifications(&user(number), &most).await.unwrap();
        assert!(notices.rows.iter().all(|(_, row)| row.user_id == user(number)));
        assert!(notices.rows.iter().all(|(_, row)| !row.subject().is_empty()));
    }
    let wrong = PageRequest { first: 5, after: Some("'; DROP TABLE items; --".into()) };
    assert!(reads.stock_movements(None, &wrong).await.is_err());
    assert!(reads.items(None, None, &wrong).await.is_ok(), "any text may stand before a sku");
}

#[tokio::test]
async fn what_is_left_is_told_with_its_reason() {
    use holdfast_domain::inventory::Command as C;
    let mut world = World::new();
    world.open().await;
    let reads = ReadModels::in_memory().await.unwrap();
    let reason = async |world: &World| {
        reads.runner(log(world)).catch_up().await.unwrap();
        reads.availability(&sku("scarf")).await.unwrap().unwrap().reason()
    };
    let hold = |world: &World, number, qty| C::Hold {
        reservation_id: world::reservation_id(number),
        qty,
        expires_at: world.now.plus(Duration::from_secs(600)),
        epoch: 1,
        attempt: holdfast_domain::AttemptId(holdfast_domain::derive(&["a"])),
        period: None,
    };
    assert_eq!(reason(&world).await, AvailabilityReason::Ok);
    world.pool(sku("scarf"), C::Receive { qty: 2, by: user(0) }).await;
    let first = hold(&world, 1, 9);
    world.pool(sku("scarf"), first).await;
    assert_eq!(reason(&world).await, AvailabilityReason::Low);
    let last = hold(&world, 2, 1);
    world.pool(sku("scarf"), last).await;
    assert_eq!(reason(&world).await, AvailabilityReason::Reserved);
    for number in [1, 2] {
        let reservation_id = world::reservation_id(number);
        world.pool(sku("scarf"), C::Consume { reservation_id, epoch: 1 }).await;
    }
    assert_eq!(reason(&world).await, AvailabilityReason::Gone);
    world.pool(sku("scarf"), C::SetSales { open: false }).await;
    assert_eq!(reason(&world).await, AvailabilityReason::Closed);
    assert_eq!(reads.availability(&sku("nothing")).await.unwrap(), None);
}

/// What is available changes once in the life of a claim, and each change is one row of the ledger.
#[tokio::test]
async fn a_rented_vehicle_is_counted_once_from_its_hold_to_its_return() {
    use holdfast_domain::inventory::{Command as C, ReleaseReason};
    let mut world = World::new();
    world.open().await;
    let reads = ReadModels::in_memory().await.unwrap();
    let van = sku("van");
    let counts = async |world: &World| {
        reads.runner(log(world)).catch_up().await.unwrap();
        let row = reads.availability(&van).await.unwrap().unwrap();
        (row.available, row.held, row.committed)
    };
    let hold = |number, period| C::Hold {
        reservation_id: world::reservation_id(number),
        qty: 1,
        expires_at: START.plus(Duration::from_secs(900)),
        epoch: 1,
        attempt: holdfast_domain::AttemptId(holdfast_domain::derive(&["a"])),
        period,
    };
    let release = |number, reason| {
        let reservation_id = world::reservation_id(number);
        C::Release { reservation_id, epoch: 1, reason }
    };
    assert_eq!(counts(&world).await, (8, 0, 0));
    world.pool(van.clone(), hold(1, None)).await; // S0-10
    assert_eq!(counts(&world).await, (7, 1, 0));
    let reservation_id = world::reservation_id(1);
    world.pool(van.clone(), C::Commit { reservation_id, epoch: 1 }).await; // S0-22
    assert_eq!(counts(&world).await, (7, 0, 1));
    world.pool(van.clone(), release(1, ReleaseReason::Completed)).await; // S0-33
    assert_eq!(counts(&world).await, (8, 0, 0));
    world.pool(van.clone(), hold(2, None)).await;
    world.pool(van.clone(), release(2, ReleaseReason::PaymentFailed)).await; // S0-27
    assert_eq!(counts(&world).await, (8, 0, 0));

    let page = PageRequest::default();
    let told = reads.stock_movements(Some(&van), &page).await.unwrap().rows;
    let kinds: Vec<_> = told.iter().rev().map(|(_, row)| (row.kind, row.quantity)).collect();
    use MovementKind as M;
    let wanted =
        [(M::Received, 8), (M::Reserved, 1), (M::Returned, 1), (M::Reserved, 1), (M::Released, 1)];
    assert_eq!(kinds, wanted, "nothing moves when it is paid for");

    // Ahead of time: what one booking takes, it takes then and at no other time.
    let hours = |hours: u64| START.plus(Duration::from_secs(hours * 3_600));
    let period = |from, until| Period { from: hours(from), until: hours(until) };
    world.pool(van.clone(), hold(3, Some(period(10, 12)))).await;
    counts(&world).await;
    let left = async |from, until| {
        let row = reads.availability_in(&van, &period(from, until)).await.unwrap().unwrap();
        (row.available, row.held)
    };
    assert_eq!(left(8, 10).await, (8, 0), "back-to-back");
    assert_eq!(left(11, 13).await, (7, 1));
    assert_eq!(left(12, 14).await, (8, 0));
    let spans = reads.free_spans(&van, hours(0)).await.unwrap().unwrap();
    let spans: Vec<_> = spans.iter().map(|span| (span.from, span.until, span.available)).collect();
    let wanted =
        [(hours(0), Some(hours(10)), 8), (hours(10), Some(hours(12)), 7), (hours(12), None, 8)];
    assert_eq!(spans, wanted);
    world.pool(van.clone(), C::SetSales { open: false }).await;
    counts(&world).await;
    let spans = reads.free_spans(&van, hours(0)).await.unwrap().unwrap();
    assert_eq!(spans.iter().map(|span| span.available).collect::<Vec<_>>(), [0]);
    assert_eq!(reads.free_spans(&sku("nothing"), hours(0)).await.unwrap(), None);
}

#[tokio::test]
async fn the_fleet_is_read_page_by_page_by_class_and_by_status() {
    let world = World::grown(31, 1_500).await;
    let reads = ReadModels::in_memory().await.unwrap();
    reads.runner(log(&world)).catch_up().await.unwrap();
    let mut seen = Vec::new();
    let mut page = PageRequest { first: 3, after: None };
    loop {
        let found = reads.vehicles(Some(&sku("van")), None, &page).await.unwrap();
        seen.extend(found.rows.iter().map(|(_, row)| row.id.to_string()));
        let Some((cursor, _)) = found.rows.last().filter(|_| found.has_next) else { break };
        page.after = Some(cursor.clone());
    }
    assert_eq!(seen, ["van-1", "van-2", "van-3", "van-4"]);
    let all = PageRequest::default();
    assert!(reads.vehicles(Some(&sku("scarf")), None, &all).await.unwrap().rows.is_empty());
    let mut counted = 0;
    for id in world.vehicles.keys() {
        let row = reads.vehicle(id).await.unwrap().unwrap();
        let same = reads.vehicles(None, Some(row.status), &all).await.unwrap();
        assert!(same.rows.iter().all(|(_, other)| other.status == row.status));
        assert!(same.rows.iter().any(|(_, other)| *other == row));
        if let Some(holder) = &row.holder {
            let of = reads.vehicle_of(&holder.reservation_id).await.unwrap().unwrap();
            assert_eq!(of.holder.map(|it| it.reservation_id), Some(holder.reservation_id));
        }
        counted += row.trips;
    }
    assert!(counted > 0, "the world's vehicles drive");
}

#[tokio::test]
async fn a_snapshot_of_seats_belongs_to_its_position() {
    let mut world = World::grown(23, 200).await;
    let reads = ReadModels::in_memory().await.unwrap();
    assert_eq!(reads.seat_snapshot(&hall()).await.unwrap(), None);
    let mut dice = Dice::new(24);
    for _ in 0..20 {
        world.live(&mut dice, 10).await;
        reads.runner(log(&world)).catch_up().await.unwrap();
        let snapshot = reads.seat_snapshot(&hall()).await.unwrap().unwrap();
        assert_eq!(snapshot.as_of, world.store.head());
        let free = snapshot.seats.iter().filter(|(_, status)| *status == SeatStatus::Free).count();
        assert_eq!(free as u32, world.seat_maps[&hall()].counts().free);
    }
    let stalls = reads.seats(&hall(), Some("Balcony")).await.unwrap();
    assert_eq!(stalls.len(), 6);
    let ids: Vec<_> = stalls.iter().take(2).map(|row| row.id.clone()).collect();
    assert_eq!(reads.seats_named(&hall(), &ids).await.unwrap().len(), 2);
}

/// A stadium of 50,000 seats is shown soon after it is published; the figure is in the release build.
#[tokio::test]
async fn a_stadium_is_published_and_changed_in_one_transaction() {
    let section = |number: u32| Section {
        name: format!("S{number}"),
        category: "any".into(),
        rows: 50,
        seats_per_row: 50,
    };
    let plan = |sections: u32| Plan {
        name: "The stadium".into(),
        sku: None,
        categories: vec![Category { name: "any".into(), price: euros(3_000) }],
        sections: (1..=sections).map(section).collect(),
    };
    let stadium = SeatMapId::new("stadium").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new();
    world.seat_map(stadium.clone(), seatmap::Command::Publish { plan: plan(20) }).await;
    let began = Instant::now();
    let reads = followed(&world, &folder.path().join("read.sqlite")).await;
    println!("50,000 seats in {:?}", began.elapsed());
    let map = reads.seat_map(&stadium).await.unwrap().unwrap();
    assert_eq!((map.counts.free, map.counts.seats()), (50_000, 50_000));
    assert_eq!(reads.seats(&stadium, Some("S7")).await.unwrap().len(), 2_500);

    world.seat_map(stadium.clone(), seatmap::Command::Publish { plan: plan(8) }).await;
    reads.runner(log(&world)).catch_up().await.unwrap();
    assert_eq!(reads.seats(&stadium, None).await.unwrap().len(), 20_000);
    assert_eq!(reads.seats(&stadium, Some("S20")).await.unwrap().len(), 0);
}

/// A store that cannot be read for a while.
struct Fickle {
    inner: Arc<Memory>,
    broken: std::sync::atomic::AtomicBool,
}

#[async_trait::async_trait]
impl EventStore for Fickle {
    async fn append(
        &self,
        batches: Vec<holdfast_store::StreamAppend>,
    ) -> Result<holdfast_store::Appended, holdfast_store::AppendError> {
        self.inner.append(batches).await
    }
    async fn read_stream(
        &self,
        stream: &holdfast_store::StreamId,
        from: u64,
        direction: holdfast_store::Direction,
        max: usize,
    ) -> Result<Vec<holdfast_store::RecordedEvent>, holdfast_store::ReadError> {
        self.inner.read_stream(stream, from, direction, max).await
    }
    async fn read_all(
        &self,
        from: Position,
        filter: &holdfast_store::Filter,
        max: usize,
    ) -> Result<holdfast_store::Page, holdfast_store::ReadError> {
        if self.broken.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(holdfast_store::ReadError::Io("no answer".into()));
        }
        self.inner.read_all(from, filter, max).await
    }
    fn head(&self) -> Position {
        self.inner.head()
    }
    fn watch_head(&self) -> watch::Receiver<Position> {
        self.inner.watch_head()
    }
    fn trouble(&self) -> Option<String> {
        None
    }
}

#[tokio::test]
async fn trouble_stalls_the_rows_and_they_go_on_by_themselves_when_it_is_over() {
    let world = World::grown(29, 100).await;
    let broken = std::sync::atomic::AtomicBool::new(true);
    let store = Arc::new(Fickle { inner: Arc::clone(&world.store), broken });
    let reads = ReadModels::in_memory().await.unwrap();
    let following = Following::start(&reads, Arc::clone(&store) as Arc<dyn EventStore>);
    let stalled = async {
        loop {
            let statuses = reads.statuses().await.unwrap();
            if statuses.iter().all(|it| it.state == ProjectionState::Stalled) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, stalled).await.unwrap();
    store.broken.store(false, std::sync::atomic::Ordering::Relaxed);
    reads.wait_for(world.store.head(), SOON).await.unwrap();
    let statuses = reads.statuses().await.unwrap();
    assert!(statuses.iter().all(|it| it.state == ProjectionState::Live));
    following.end().await;
}

/// Events that are already in the rows are skipped, whatever is handed over.
#[tokio::test]
async fn nothing_is_counted_twice_by_runners_that_know_nothing_of_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("read.sqlite");
    let mut world = World::new();
    world.open().await;
    let receive = |world: &mut World| -> NewEvent {
        world.written(&holdfast_domain::inventory::Event::Received { qty: 1, by: user(0) })
    };
    let one = ReadModels::open(&path).await.unwrap();
    let two = ReadModels::open(&path).await.unwrap();
    let (first, second) =
        (Following::start(&one, log(&world)), Following::start(&two, log(&world)));
    for _ in 0..200 {
        let event = receive(&mut world);
        world.append("inventory-scarf".into(), vec![event]).await;
        tokio::task::yield_now().await;
    }
    one.wait_for(world.store.head(), SOON).await.unwrap();
    two.wait_for(world.store.head(), SOON).await.unwrap();
    assert_eq!(scarves(&one).await, 208);
    first.end().await;
    second.end().await;
}
