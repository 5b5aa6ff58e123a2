//! A cold stream of 100,000 events: how many are folded in the suite, how long it takes when asked.
//!
//! ```sh
//! cargo test --release -p holdfast-engine --lib snapshots::measure -- --ignored --nocapture
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_domain::seatmap::{self, Category, Plan, Section};
use holdfast_domain::{AttemptId, Decider, LockId, ReservationId, SeatId, UserId, inventory};
use holdfast_store::embedded::{Embedded, Options};
use uuid::Uuid;

use super::super::world::{NOON, eur, secs};
use super::{Lab, memory, same};
use crate::Snapshots;
use crate::hosted::Hosted;

/// What a pool has been asked in its life: it sells out, one unit a customer; of ten holds one is
/// given back, and half of the rest is paid for.
fn sold_out(count: usize) -> Vec<inventory::Event> {
    use inventory::Command as C;
    let sku = "gala".parse().expect("a sku");
    let mut state = inventory::State::default();
    let mut events = Vec::with_capacity(count + 2);
    let mut ask = |command: C, events: &mut Vec<inventory::Event>| {
        for event in state.decide(&sku, &command, NOON).expect("room") {
            state.evolve(&event);
            events.push(event);
        }
    };
    ask(C::Receive { qty: 1_000_000, by: UserId::new("olga").expect("a name") }, &mut events);
    for n in 0u128.. {
        let reservation_id = ReservationId(Uuid::from_u128(spread(n)));
        let expires_at = NOON.plus(secs(960) + Duration::from_millis(n as u64));
        let attempt = AttemptId(Uuid::from_u128(n));
        let epoch = 1;
        let qty = 1;
        ask(C::Hold { reservation_id, qty, expires_at, epoch, attempt, period: None }, &mut events);
        if n % 10 == 0 {
            let reason = inventory::ReleaseReason::User;
            ask(C::Release { reservation_id, epoch, reason }, &mut events);
        } else if n % 2 == 0 {
            ask(C::Commit { reservation_id, epoch }, &mut events);
        }
        if events.len() >= count {
            events.truncate(count);
            return events;
        }
    }
    unreachable!("numbers do not end")
}

/// A stadium of 50,000 seats, all of which are locked; then each is given back and locked again.
fn stadium(count: usize) -> Vec<seatmap::Event> {
    let plan = Plan {
        name: "Stadium".into(),
        sku: None,
        categories: vec![Category { name: "A".into(), price: eur(4_500) }],
        sections: (0..25)
            .map(|n| Section {
                name: format!("S{n}"),
                category: "A".into(),
                rows: 40,
                seats_per_row: 50,
            })
            .collect(),
    };
    let seats: Vec<SeatId> = plan.seats().map(|seat| seat.id).collect();
    assert_eq!(seats.len(), 50_000);
    let lock = |n: usize, seat: &SeatId| seatmap::Event::SeatsLocked {
        lock_id: Some(LockId(Uuid::from_u128(spread(n as u128)))),
        reservation_id: None,
        user_id: UserId::new(format!("user-{n}")).expect("a name"),
        seat_ids: vec![seat.clone()],
        expires_at: Some(NOON.plus(secs(600) + Duration::from_millis(n as u64))),
        epoch: 1,
        attempt: None,
    };
    let release = |n: usize, seat: &SeatId| seatmap::Event::SeatsReleased {
        owner: seatmap::Owner::Lock(LockId(Uuid::from_u128(spread(n as u128)))),
        seat_ids: vec![seat.clone()],
        reason: seatmap::ReleaseReason::User,
        epoch: None,
    };
    let mut events = vec![seatmap::Event::Published { plan }];
    events.extend(seats.iter().enumerate().map(|(n, seat)| lock(n, seat)));
    for (n, seat) in seats.iter().enumerate() {
        events.push(release(n, seat));
        events.push(lock(seats.len() + n, seat));
    }
    events.truncate(count);
    events
}

/// Names as UUIDs are: in no order.
fn spread(n: u128) -> u128 {
    (n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)
}

#[tokio::test]
async fn a_cold_stream_folds_no_more_events_than_lie_between_two_snapshots() {
    let directory = tempfile::tempdir().expect("a directory");
    let id = "gala".parse().expect("a sku");
    let lab = Lab::new(memory(), Snapshots::open(&directory));
    let events = sold_out(5_300);
    lab.record::<inventory::State>(&id, &events[..5_000], 1).await;
    lab.keep::<inventory::State>(&id).await;
    lab.record::<inventory::State>(&id, &events[5_000..], 1).await;
    let before = lab.house.snapshots.figures();
    assert_eq!((before.folded, before.taken), (5_000, 1));

    let cold = lab.and(Snapshots::open(&directory));
    let hot = cold.load::<inventory::State>(&id).await;
    let figures = cold.house.snapshots.figures();
    assert_eq!((figures.used, figures.folded), (1, 300), "not one more than came since");
    assert!(same(&hot, &lab.and(Snapshots::none()).load(&id).await));
}

/// Loads a stream cold: from the embedded log and a directory that only the page cache knows.
async fn measured<D: Hosted>(
    name: &str,
    id: &D::Id,
    events: &[D::Event],
    since: usize,
) -> Duration {
    let directory = tempfile::tempdir().expect("a directory");
    let kept = directory.path().join("snapshots");
    let open = || {
        let log = Embedded::open(directory.path(), Options::default()).expect("a log");
        Arc::new(log)
    };
    let log = open();
    let lab = Lab::new(log.clone(), Snapshots::open(&kept));
    let (first, rest) = events.split_at(events.len() - since);
    lab.record::<D>(id, first, 1).await;
    let begun = Instant::now();
    let hot = lab.load::<D>(id).await;
    let without = begun.elapsed();
    let begun = Instant::now();
    drop((hot.aggregate.clone(), hot.memory.clone()));
    let copied = begun.elapsed();
    drop(hot);
    lab.keep::<D>(id).await;
    lab.record::<D>(id, rest, 1).await;
    let told = lab.load::<D>(id).await;
    drop(lab);
    log.close().await;

    let log = open();
    let mut times = Vec::new();
    for _ in 0..11 {
        let cold = Lab::new(log.clone(), Snapshots::open(&kept));
        let begun = Instant::now();
        let hot = cold.load::<D>(id).await;
        times.push(begun.elapsed());
        assert!(same(&hot, &told));
        let figures = cold.house.snapshots.figures();
        assert_eq!((figures.used, figures.folded), (1, since as u64));
    }
    times.sort();
    let files = std::fs::read_dir(&kept).expect("it is there").flatten();
    let len: u64 = files
        .flat_map(|code| std::fs::read_dir(code.path()).expect("a directory").flatten())
        .map(|file| file.metadata().expect("a file").len())
        .sum();
    println!(
        "{name}: {} events, {since} since the snapshot of {len} bytes; loaded in {:?} (median of \
         11, worst {:?}), without a snapshot {without:?}; a copy and its end {copied:?}",
        events.len(),
        times[5],
        times[10]
    );
    log.close().await;
    times[5]
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: run it with --release"]
async fn a_cold_stream_of_100_000_events_loads_in_under_50_ms() {
    let pool = "gala".parse().expect("a sku");
    let hall = "stadium".parse().expect("a name");
    let limit = Duration::from_millis(50);
    let mut worst = Duration::ZERO;
    for since in [0, 999, 8_500] {
        let name = "a pool of 62,500 claims";
        let took = measured::<inventory::State>(name, &pool, &sold_out(100_000), since).await;
        worst = worst.max(took);
        let name = "a stadium of 50,000 seats";
        let took = measured::<seatmap::State>(name, &hall, &stadium(100_000), since).await;
        worst = worst.max(took);
    }
    assert!(worst < limit, "{worst:?}");
}
