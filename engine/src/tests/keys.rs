//! Keys: the same request twice takes effect once, and is answered as it was.

use holdfast_domain::item::Kind;
use holdfast_domain::reservation::Status;

use super::world::{
    CONCERT, SHIRT, World, hall, ids, operator, past, request, seats, secs, settings, sku, some,
};
use crate::settings::Protections;
use crate::{LockSeats, Rejection, Request};

/// D12, the engine's part.
#[tokio::test]
async fn idem_matrix() {
    let world = World::new().await;
    world.open_the_hall(100, None).await;
    let first = world.reserve("ann", "k", seats(&["L-1-1"])).await.expect("free");
    let again = world.reserve("ann", "k", seats(&["L-1-1"])).await.expect("replayed");
    assert!(again.done.replayed && !first.done.replayed);
    assert_eq!((first.id, first.done.position), (again.id, again.done.position));
    let changed =
        Request { fingerprint: "other".into(), ..request("ann", "createReservation", "k") };
    let reused = world
        .engine
        .create_reservation(
            &changed,
            seats(&["L-1-2"]),
            holdfast_domain::reservation::Channel::Rest,
        )
        .await;
    assert_eq!(reused.expect_err("another body").code(), "IDEMPOTENCY_KEY_REUSED");
    let other = world.reserve("bob", "k", seats(&["L-1-2"])).await.expect("keys are each caller's");
    assert_ne!(other.id, first.id);
    // A lock's answer is given again as it was, also when the lock is long gone.
    let locked = world.lock("ann", "k", &["R-1-1", "R-1-2"]).await.expect("free");
    world.pass(past(secs(600))).await;
    let told = world.lock("ann", "k", &["R-1-1", "R-1-2"]).await.expect("replayed");
    assert_eq!(told.seat_ids, locked.seat_ids);
    assert_eq!(told.expires_at, locked.expires_at);
    assert!(told.done.replayed);
    assert_eq!(
        world.map().await.seats_of(holdfast_domain::seatmap::Owner::Lock(locked.lock_id)),
        []
    );
}

#[tokio::test]
async fn the_first_request_of_a_key_is_still_running() {
    let world = World::new().await;
    world.shirts(5).await;
    world.store.stall(Some("inventory.received"));
    let engine = world.engine.clone();
    let running = tokio::spawn(async move {
        engine.receive_stock(&operator("receiveStock", "slow"), sku(SHIRT), 7).await
    });
    while !world.engine.core().index.keys.is_running(operator("receiveStock", "slow").command_id())
    {
        tokio::task::yield_now().await;
    }
    let request = operator("receiveStock", "slow");
    let second = world.engine.receive_stock(&request, sku(SHIRT), 7).await;
    assert_eq!(second, Err(Rejection::InFlight));
    let changed = Request { fingerprint: "other".into(), ..request };
    let second = world.engine.receive_stock(&changed, sku(SHIRT), 8).await;
    assert_eq!(second, Err(Rejection::KeyReused));
    world.store.stall(None);
    assert!(!running.await.expect("no panic").expect("recorded").replayed);
}

#[tokio::test]
async fn who_goes_away_while_it_is_recorded_finds_it_recorded_once() {
    let world = World::new().await;
    world.shirts(5).await;
    world.quiet().await;
    world.store.stall(Some("inventory.received"));
    let request = operator("receiveStock", "gone");
    let keys = &world.engine.core().index.keys;
    {
        let leaving = world.engine.receive_stock(&request, sku(SHIRT), 7);
        tokio::pin!(leaving);
        while !keys.is_running(request.command_id()) {
            let soon = std::time::Duration::from_millis(1);
            tokio::time::timeout(soon, &mut leaving).await.expect_err("the append hangs");
        }
    }
    let meanwhile = world.engine.receive_stock(&request, sku(SHIRT), 7).await;
    assert_eq!(meanwhile, Err(Rejection::InFlight), "its key is still taken");
    world.store.stall(None);
    while keys.is_running(request.command_id()) {
        tokio::task::yield_now().await;
    }
    let again = world.engine.receive_stock(&request, sku(SHIRT), 7).await.expect("recorded");
    assert!(again.replayed);
    assert_eq!(world.kinds("inventory-shirt").await.len(), 2);
}

#[tokio::test]
async fn keys_that_cannot_be_written_down_are_written_later() {
    let world = World::new().await;
    world.shirts(5).await;
    world.quiet().await;
    world.side.refuse_keys(true).await;
    let request = operator("receiveStock", "k");
    for replayed in [false, true] {
        let done = world.engine.receive_stock(&request, sku(SHIRT), 7).await.expect("known");
        assert_eq!(done.replayed, replayed);
        world.pass(secs(100)).await;
    }
    world.side.refuse_keys(false).await;
    while world.side.key(request.command_id()).await.expect("readable").0.is_none() {
        world.pass(secs(30)).await;
    }
}

/// A full side file once made every booking wait a second: the keys' writer tried again, its queue filled
/// up, and the follower of the log waited for it. Here time does not pass at all meanwhile. Fault 11, P5.
#[tokio::test]
async fn a_side_file_without_room_makes_nobody_wait_and_forgets_no_key() {
    let world = World::new().await;
    assert!(again_while_nothing_is_written(&world).await, "the first key is still bound");
    let told = world.engine.health().side_troubles;
    assert!(told.iter().any(|it| it.starts_with("keys: not written down")), "{told:?}");
    let keys = &world.engine.core().index.keys;
    assert!(keys.evicted_any());
    let stranger = operator("receiveStock", "stranger");
    let unbound = keys.bound(stranger.command_id(), &stranger.fingerprint).await;
    assert_eq!(unbound, Ok(None));
    let changed = Request { fingerprint: "other".into(), ..operator("receiveStock", "1") };
    let reused = world.engine.receive_stock(&changed, sku(SHIRT), 1).await;
    assert_eq!(reused, Err(Rejection::KeyReused));
    // There is room again: what is still in memory and what is only in the log is written down.
    world.side.refuse_keys(false).await;
    while keys.evicted_any() || keys.unwritten() > 0 {
        world.pass(secs(30)).await;
    }
    for n in 0..MANY {
        let id = operator("receiveStock", &n.to_string()).command_id();
        assert!(world.side.key(id).await.expect("readable").0.is_some(), "{n}");
    }
    assert_eq!(world.engine.health().side_troubles, Vec::<String>::new());
}

#[tokio::test]
async fn twin_without_looking_into_the_log_an_evicted_key_takes_effect_again() {
    let off = Protections { evicted_keys: false, ..Protections::default() };
    let world = World::with(settings(), off).await;
    assert!(!again_while_nothing_is_written(&world).await);
}

/// More commands than their stream remembers.
const MANY: u64 = 1_200;

/// Repeats the first of many requests while the side file takes no keys and few are kept in memory;
/// whether it was known.
async fn again_while_nothing_is_written(world: &World) -> bool {
    world.shirts(5).await;
    world.quiet().await;
    world.engine.core().index.keys.keep(8);
    world.side.refuse_keys(true).await;
    for n in 0..MANY {
        let request = operator("receiveStock", &n.to_string());
        let done = world.engine.receive_stock(&request, sku(SHIRT), 1).await.expect("taken");
        assert!(!done.replayed);
    }
    let head = world.engine.store().head();
    let at_most = std::time::Duration::from_secs(60);
    assert!(world.engine.core().index.seen(head, at_most).await, "the follower goes on");
    let again = world.engine.receive_stock(&operator("receiveStock", "0"), sku(SHIRT), 1).await;
    again.expect("known or taken").replayed
}

#[tokio::test]
async fn answers_wait_for_room_in_the_side_file_and_nobody_waits_for_them() {
    let directory = tempfile::tempdir().expect("a directory");
    let side = crate::side::Side::open(directory.path().join("side.sqlite")).await.expect("a file");
    side.fill_once().await;
    let id = operator("setSales", "k").command_id();
    let kept = crate::side::StoredAnswer {
        fingerprint: "f".into(),
        status: 200,
        body: "long".repeat(100_000),
        headers: vec![],
        position: 7,
        at: holdfast_domain::Timestamp::default(),
    };
    side.keep_answer(id, kept.clone());
    let told = loop {
        match side.troubles().pop() {
            Some(told) => break told,
            None => tokio::task::yield_now().await,
        }
    };
    assert!(told.starts_with("answers: not written down, side.sqlite: "), "{told}");
    // Neither a reader nor the end of the process waits for what cannot be written.
    side.flush().await;
    assert_eq!(side.rejected(None, None, 10).await, vec![]);
    assert_eq!(side.answer(id).await, Some(kept.clone()));
    while !side.troubles().is_empty() {
        tokio::task::yield_now().await;
    }
    side.flush().await;
    assert!(side.fresh_answer(id).is_none(), "it is in the file");
    assert_eq!(side.answer(id).await, Some(kept));
}

/// P5
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_identical_requests_record_one_event() {
    let world = World::new().await;
    world.item(SHIRT, Kind::Stock, None).await;
    assert_eq!(fifty(&world).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twin_without_memory_the_same_request_takes_effect_again() {
    let off = Protections { command_memory: false, ..Protections::default() };
    let world = World::with(settings(), off).await;
    world.item(SHIRT, Kind::Stock, None).await;
    assert!(fifty(&world).await > 1);
}

async fn fifty(world: &World) -> usize {
    let before = world.kinds("inventory-shirt").await.len();
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let engine = world.engine.clone();
            tokio::spawn(async move {
                let request = operator("receiveStock", "again");
                engine.receive_stock(&request, sku(SHIRT), 1).await
            })
        })
        .collect();
    for task in tasks {
        match task.await.expect("no panic") {
            Ok(_) | Err(Rejection::InFlight) => {}
            Err(other) => panic!("{other}"),
        }
    }
    // And once more, alone.
    let request = operator("receiveStock", "again");
    world.engine.receive_stock(&request, sku(SHIRT), 1).await.expect("replayed or done");
    world.kinds("inventory-shirt").await.len() - before
}

#[tokio::test]
async fn a_key_is_bound_across_a_restart_and_far_behind_a_streams_memory() {
    let mut world = World::with(
        crate::Settings { live_holds_per_customer: u32::MAX, ..settings() },
        Protections::default(),
    )
    .await;
    world.open_the_hall(100, None).await;
    let first = world.lock("ann", "old", &["L-1-1"]).await.expect("free");
    for n in 0..300 {
        let lock = world.lock("bob", &n.to_string(), &["R-1-1"]).await.expect("free");
        let request = request("bob", "releaseSeatLock", &n.to_string());
        world.engine.release_seat_lock(&request, hall(), lock.lock_id).await.expect("his");
    }
    for lose in [false, true] {
        if lose {
            world.restart_without_side().await;
        } else {
            world.restart().await;
        }
        let again = world.lock("ann", "old", &["L-1-1"]).await.expect("replayed");
        assert!(again.done.replayed);
        assert_eq!(again.done.position, first.done.position);
        let wish = LockSeats {
            seat_map_id: hall(),
            seats: holdfast_domain::seatmap::Seats::Named(ids(&["L-1-2"])),
            suggest: false,
        };
        let changed = Request { fingerprint: "other".into(), ..request("ann", "lockSeats", "old") };
        let reused = world.engine.lock_seats(&changed, wish).await;
        assert_eq!(reused.expect_err("another body"), Rejection::KeyReused);
    }
}

#[tokio::test]
async fn a_guarded_command_is_refused_at_another_version() {
    let world = World::new().await;
    world.open_the_hall(100, None).await;
    let id = world.reserve("ann", "1", seats(&["L-1-1"])).await.expect("free").id;
    let guarded = |key: &str, version| Request {
        if_version: Some(version),
        ..request("ann", "cancelReservation", key)
    };
    let refused = world.engine.cancel_reservation(&guarded("2", 7), id).await;
    assert_eq!(
        refused.expect_err("it is at 1"),
        Rejection::VersionConflict { expected: 7, actual: 1 }
    );
    let done = world.engine.cancel_reservation(&guarded("3", 1), id).await.expect("at 1");
    assert_eq!(done.state.status, Status::Cancelled);
}

#[tokio::test]
async fn an_answer_that_was_kept_is_seen_at_once_and_binds_its_key() {
    let world = World::new().await;
    world.shirts(1).await;
    let request = operator("setSales", "k");
    let kept = crate::side::StoredAnswer {
        fingerprint: request.fingerprint.clone(),
        status: 200,
        body: "{}".into(),
        headers: vec![("Holdfast-Position".into(), "7".into())],
        position: 7,
        at: world.engine.now(),
    };
    world.side.keep_answer(request.command_id(), kept.clone());
    assert_eq!(world.side.answer(request.command_id()).await, Some(kept.clone()));
    world.side.flush().await;
    assert_eq!(world.side.answer(request.command_id()).await, Some(kept));
    let changed = Request { fingerprint: "other".into(), ..request };
    let reused = world.engine.set_sales(&changed, sku(SHIRT), false).await;
    assert_eq!(reused, Err(Rejection::KeyReused));
}

#[tokio::test]
async fn a_full_disk_refuses_and_the_same_key_goes_through_later() {
    let world = World::new().await;
    world.shirts(5).await;
    world.store.fill(true);
    let refused = world.reserve("ann", "1", vec![some(SHIRT, 1)]).await.expect_err("full");
    assert_eq!(refused.code(), "UNAVAILABLE");
    world.store.fill(false);
    world.reserve("ann", "1", vec![some(SHIRT, 1)]).await.expect("there is room again");
    assert_eq!(world.pool(SHIRT).await.held(), 1);
    let noted = world.side.rejected(None, None, 10).await;
    assert_eq!(noted.len(), 1, "an aborted write is noted");
}

#[tokio::test]
async fn the_events_say_who_and_why() {
    let world = World::new().await;
    world.open_the_hall(100, None).await;
    let made = world.reserve("ann", "1", seats(&["L-1-1"])).await.expect("free");
    world.pay("ann", "2", made.id, "approve").await.expect("in time");
    world.quiet().await;
    let about = made.id.to_string();
    for stream in [format!("reservation-{about}"), format!("payment-{}", made.id.payment_id())] {
        for event in world.events(&stream).await {
            let metadata = holdfast_schemas::Metadata::decode(&event.metadata).expect("readable");
            assert_eq!(metadata.correlation_id.as_ref(), Some(&about), "{}", event.kind);
            assert!(metadata.causation_id.is_some(), "{}", event.kind);
        }
    }
    let held = &world.events(&format!("inventory-{CONCERT}")).await[1];
    let metadata = holdfast_schemas::Metadata::decode(&held.metadata).expect("readable");
    assert_eq!((held.kind.as_str(), metadata.correlation_id), ("inventory.held", Some(about)));
    assert_eq!(metadata.actor.to_string(), "user:ann");
}

#[tokio::test]
async fn an_append_whose_answer_was_lost_is_found_again_and_counts_once() {
    let world = World::new().await;
    world.shirts(5).await;
    world.quiet().await;
    world.store.lose_answers(2);
    let made = world.reserve("ann", "1", vec![some(SHIRT, 2)]).await.expect("recorded");
    assert_eq!(
        world.kinds(&format!("reservation-{}", made.id)).await,
        ["reservation.hold-created"]
    );
    assert_eq!(world.pool(SHIRT).await.held(), 2);
    assert_eq!(world.kinds("inventory-shirt").await.len(), 2);
}

#[tokio::test]
async fn after_a_try_of_unknown_outcome_a_full_store_promises_nothing() {
    let world = World::new().await;
    world.shirts(5).await;
    world.quiet().await;
    world.store.fill_vaguely();
    let request = operator("receiveStock", "k");
    let outcome = world.engine.receive_stock(&request, sku(SHIRT), 7).await;
    assert_eq!(outcome.expect_err("full").code(), "OUTCOME_UNKNOWN");
    world.store.fill(false);
    assert!(!world.engine.receive_stock(&request, sku(SHIRT), 7).await.expect("room").replayed);
}

#[tokio::test]
async fn a_booking_needs_no_more_memory_than_a_few_streams() {
    let few = crate::Settings { hot_streams: 1, ..settings() };
    let world = World::with(few, Protections::default()).await;
    world.open_the_hall(100, Some(9)).await;
    for n in 1..=9 {
        let seat = format!("L-1-{n}");
        let made = world.reserve("ann", &seat, seats(&[&seat])).await.expect("free");
        let paid = world.pay("ann", &seat, made.id, "approve").await.expect("in time");
        assert_eq!(paid.reservation.status, Status::Confirmed);
    }
    world.quiet().await;
    assert_eq!(world.map().await.counts().booked, 9);
}

#[tokio::test]
async fn a_reservation_is_told_as_it_was() {
    let world = World::new().await;
    world.shirts(5).await;
    let made = world.reserve("ann", "1", vec![some(SHIRT, 2)]).await.expect("free");
    world.cancel("ann", "2", made.id).await.expect("hers");
    let then = crate::AsOf::Position(made.done.position);
    let state = world
        .engine
        .load_as_of::<holdfast_domain::reservation::State>(&made.id, then)
        .await
        .expect("readable")
        .expect("it was there");
    assert_eq!(state.state.status, Status::Hold);
    let before = crate::AsOf::Position(holdfast_store::Position(1));
    let none =
        world.engine.load_as_of::<holdfast_domain::reservation::State>(&made.id, before).await;
    assert!(none.expect("readable").is_none());
}
