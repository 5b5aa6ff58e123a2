//! The process dies at every append, before it was recorded or after; it is started again, and the
//! customer repeats with the same keys. The end must be right each time.

use std::future::Future;
use std::sync::Arc;

use holdfast_domain::ReservationId;
use holdfast_domain::reservation::{self, Status};

use super::world::{
    CONCERT, Mortal, PRICE, SHIRT, World, of_lock, past, seats, secs, settings, some,
};
use crate::Rejection;
use crate::settings::Protections;
use crate::{Settings, Snapshots};

/// What the customer wants, with keys that stay the same.
async fn book(world: &World) -> Result<ReservationId, Rejection> {
    let lock = world.lock("ann", "lock", &["L-1-1", "L-1-2"]).await?;
    let lines = [of_lock(lock.lock_id), vec![some(SHIRT, 2)]].concat();
    let id = world.reserve("ann", "reserve", lines).await?.id;
    world.pay("ann", "pay", id, "approve").await?;
    Ok(id)
}

async fn opened(protections: Protections) -> World {
    opened_with(settings(), protections).await
}

async fn opened_with(settings: Settings, protections: Protections) -> World {
    let world = World::with(settings, protections).await;
    world.open_the_hall(10, Some(4)).await;
    world.shirts(5).await;
    world.quiet().await;
    world
}

/// Does something on a store that dies at append `n`; true when it has died.
async fn until_death<T>(world: &World, work: impl Future<Output = T>) -> bool {
    let store = world.store.clone();
    tokio::select! {
        () = store.died() => true,
        _ = async { work.await; world.quiet().await; } => false,
    }
}

/// D20, D21
#[tokio::test]
async fn crash_matrix() {
    die_everywhere(settings(), |_| {}).await;
}

/// The same where every life begins with what snapshots the one before has left, of every event: each
/// append is followed by one, and the process dies in between.
#[tokio::test]
async fn crash_matrix_with_a_snapshot_of_every_event() {
    let directory = tempfile::tempdir().expect("a directory");
    let every = Settings { snapshot_every: 1, ..settings() };
    let (mut worlds, mut lives) = (0, Vec::new());
    die_everywhere(every, |world| {
        // Each world has a log of its own.
        worlds += usize::from(world.lives() == 1);
        world.snapshots = Snapshots::open(directory.path().join(worlds.to_string()));
        lives.push(world.snapshots.clone());
    })
    .await;
    let used: u64 = lives.iter().map(|snapshots| snapshots.figures().used).sum();
    assert!(used > 100, "snapshots were used {used} times only");
}

async fn die_everywhere(settings: Settings, mut before_each_life: impl FnMut(&mut World)) {
    let mut deaths = 0;
    for after in [false, true] {
        for lose_side in [false, true] {
            for append in 0.. {
                let mut world = opened_with(settings.clone(), Protections::default()).await;
                let mortal = Mortal::dying_at(world.log.clone(), append, after);
                before_each_life(&mut world);
                world.restart_on(mortal).await;
                let died = until_death(&world, book(&world)).await;
                before_each_life(&mut world);
                if lose_side {
                    world.restart_without_side().await;
                } else {
                    world.restart().await;
                }
                let told = format!("append {append}, after {after}, side lost {lose_side}");
                let id = book(&world).await.unwrap_or_else(|error| panic!("{told}: {error}"));
                world.quiet().await;
                all_is_well(&world, id, &told).await;
                if !died {
                    break;
                }
                deaths += 1;
            }
        }
    }
    assert!(deaths > 40, "only {deaths} deaths");
}

async fn all_is_well(world: &World, id: ReservationId, told: &str) {
    let state = world.reservation(id).await;
    assert_eq!((state.status, state.finalized), (Status::Confirmed, true), "{told}");
    assert_eq!(world.map().await.counts().booked, 2, "{told}");
    assert_eq!(world.map().await.counts().locked, 0, "{told}");
    assert_eq!(world.pool(CONCERT).await.committed(), 2, "{told}");
    assert_eq!(world.pool(CONCERT).await.held(), 0, "{told}");
    assert_eq!(world.pool(SHIRT).await.total(), 3, "{told}");
    assert_eq!(world.taken_of(CONCERT, "ann").await.taken(), 2, "{told}");
    assert_eq!(world.bank.kept(), 2 * PRICE + 2 * 2_000, "{told}");
    assert_eq!(world.bank.deeds("create"), 1, "{told}");
    world.bank.nothing_was_done_twice();
    for unit in ["L-1-1", "L-1-2"] {
        let stream = format!("ticket-{}", id.ticket_id(unit));
        assert_eq!(world.kinds(&stream).await, ["ticket.issued"], "{told}");
    }
    let kinds = world.kinds_of::<reservation::State>(&id).await;
    let mut once = kinds.clone();
    once.dedup();
    assert_eq!(kinds, once, "{told}");
}

/// The customer does not come back: what was held lapses by itself.
#[tokio::test]
async fn crash_matrix_of_a_customer_who_does_not_come_back() {
    for after in [false, true] {
        for append in 0.. {
            let mut world = opened(Protections::default()).await;
            let mortal = Mortal::dying_at(world.log.clone(), append, after);
            world.restart_on(mortal).await;
            let lines = [seats(&["L-1-1"]), vec![some(SHIRT, 2)]].concat();
            let died = until_death(&world, world.reserve("ann", "1", lines)).await;
            world.restart().await;
            world.pass(past(secs(960))).await;
            world.pass(secs(2)).await;
            let told = format!("append {append}, after {after}");
            assert_eq!(world.map().await.counts().locked, 0, "{told}");
            assert_eq!(world.pool(CONCERT).await.held(), 0, "{told}");
            assert_eq!(world.pool(SHIRT).await.held(), 0, "{told}");
            assert_eq!(world.taken_of(CONCERT, "ann").await.taken(), 0, "{told}");
            if !died {
                break;
            }
        }
    }
}

/// A paid reservation is cancelled, and the process dies on the way.
#[tokio::test]
async fn crash_matrix_of_a_cancellation() {
    for after in [false, true] {
        for append in 0.. {
            let mut world = opened(Protections::default()).await;
            let id = book(&world).await.expect("nothing dies yet");
            world.quiet().await;
            let mortal = Mortal::dying_at(world.log.clone(), append, after);
            world.restart_on(mortal).await;
            let died = until_death(&world, world.cancel("ann", "cancel", id)).await;
            world.restart().await;
            let told = format!("append {append}, after {after}");
            world.cancel("ann", "cancel", id).await.expect(&told);
            world.pass(secs(3_600)).await;
            assert_eq!(world.status(id).await, Status::Cancelled, "{told}");
            assert_eq!(world.bank.kept(), 0, "{told}");
            assert_eq!(world.bank.deeds("refund"), 1, "{told}");
            assert_eq!(world.map().await.counts().free, 100, "{told}");
            assert_eq!(world.pool(SHIRT).await.total(), 5, "{told}");
            assert_eq!(world.pool(CONCERT).await.available(), 10, "{told}");
            if !died {
                break;
            }
        }
    }
}

/// D20
#[tokio::test]
async fn crash_after_append() {
    let mut world = opened(Protections::default()).await;
    // limit, pool, pool, map, then the reservation itself.
    let mortal = Mortal::dying_at(world.log.clone(), 4, true);
    world.restart_on(mortal).await;
    let lines = || [seats(&["L-1-1"]), vec![some(SHIRT, 1)]].concat();
    assert!(until_death(&world, world.reserve("ann", "1", lines())).await);
    world.restart().await;
    let made = world.reserve("ann", "1", lines()).await.expect("the same one");
    assert!(made.done.replayed, "it was recorded before the crash");
    assert_eq!(world.kinds_of::<reservation::State>(&made.id).await, ["reservation.hold-created"]);
    assert_eq!(world.pool(SHIRT).await.held(), 1);
}

/// A fact is seen, the checkpoint moves, and the process dies before its asks are done.
async fn dies_between_checkpoint_and_asks(protections: Protections) -> Status {
    let mut world = opened(protections).await;
    let id = world.reserve("ann", "1", seats(&["L-1-1"])).await.expect("free").id;
    world.quiet().await;
    // What follows from the cancellation waits for the disk …
    world.store.stall(Some("seatmap.seats-released"));
    world.cancel("ann", "2", id).await.expect("hers");
    let cancelled = world.log.head();
    // … while progress is written down.
    let booking = world.engine.core().worker("booking").expect("it runs");
    for _ in 0..200 {
        if booking.looked_at(cancelled) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    booking.save().await;
    world.restart().await;
    world.quiet().await;
    let free = world.map().await.counts().locked == 0;
    if free { Status::Cancelled } else { Status::Hold }
}

#[tokio::test]
async fn a_step_that_was_seen_but_not_done_is_done_after_the_crash() {
    let done = dies_between_checkpoint_and_asks(Protections::default()).await;
    assert_eq!(done, Status::Cancelled);
}

#[tokio::test]
async fn twin_a_checkpoint_before_the_asks_loses_the_step() {
    let off = Protections { checkpoint_after_asks: false, ..Protections::default() };
    assert_eq!(dies_between_checkpoint_and_asks(off).await, Status::Hold);
}

#[tokio::test]
async fn a_log_that_was_rolled_back_is_not_served() {
    let world = opened(Protections::default()).await;
    world.quiet().await;
    for worker in world.engine.core().workers() {
        worker.save().await;
    }
    let empty: Arc<dyn holdfast_store::EventStore> =
        Arc::new(holdfast_store::memory::Memory::new());
    let parts = crate::Parts {
        store: empty,
        clock: Arc::new(world.sim.clone()),
        ids: Arc::new(crate::SeededIds::new(5)),
        gateways: vec![world.bank.clone()],
        vehicles: Arc::new(crate::ports::NoLink),
        side: world.side.clone(),
        snapshots: Snapshots::none(),
        settings: settings(),
    };
    let refused = crate::Engine::start(parts).await.err().expect("it is another log");
    assert!(matches!(refused, crate::StartError::CheckpointAhead { .. }), "{refused}");
}
