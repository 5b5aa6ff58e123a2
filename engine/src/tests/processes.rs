//! The runner: lanes, retries, dead letters, redrive.

use bytes::Bytes;
use holdfast_domain::reservation::Status;
use holdfast_domain::{ReservationId, derive};
use holdfast_schemas::{Actor, Metadata};
use holdfast_store::{Expected, NewEvent, StreamAppend, StreamId};

use super::world::{NOON, World, operator, past, seats, secs};

/// An event that no program of ours has written, in a reservation's stream.
async fn poison(world: &World, id: ReservationId) {
    let stream = StreamId::new(format!("reservation-{id}"));
    let name = derive(&["poison", &id.to_string()]);
    let metadata = Metadata {
        occurred_at: NOON,
        command_id: name,
        actor: Actor::system("test"),
        tenant_id: "default".into(),
        correlation_id: Some(id.to_string()),
        causation_id: None,
        idempotency_key: None,
        fingerprint: None,
        traceparent: None,
    };
    let event = NewEvent {
        id: name,
        kind: "reservation.melted".into(),
        schema_version: 1,
        metadata: Bytes::from(metadata.encode()),
        data: Bytes::from_static(b"{}"),
    };
    let append = StreamAppend { stream, expected: Expected::Any, events: vec![event] };
    world.log.append(vec![append]).await.expect("room");
}

/// D40
#[tokio::test]
async fn poison_is_parked_and_others_go_on() {
    let world = World::new().await;
    world.open_the_hall(10, None).await;
    let ann = world.reserve("ann", "1", seats(&["L-1-1"])).await.expect("free").id;
    let bob = world.reserve("bob", "1", seats(&["L-1-2"])).await.expect("free").id;
    world.quiet().await;
    poison(&world, ann).await;
    world.pay("bob", "2", bob, "approve").await.expect("nothing to do with ann's");
    world.quiet().await;
    assert_eq!(world.status(bob).await, Status::Confirmed);
    assert!(world.reservation(bob).await.finalized);
    let health = world.engine.health();
    for name in ["booking", "tickets", "notices"] {
        let consumer = health.consumers.iter().find(|it| it.name == name).expect("listed");
        assert_eq!((consumer.dead_letters, consumer.parked_lanes), (1, 1), "{name}");
        assert_eq!(consumer.lag, 0, "the checkpoint goes on: {name}");
    }
    let letters = world.events("deadletter-booking").await;
    assert_eq!(letters.len(), 1);
    let text = String::from_utf8_lossy(&letters[0].data).into_owned();
    assert!(text.contains("reservation.melted"), "{text}");
}

#[tokio::test]
async fn poison_stays_parked_across_a_restart_and_is_told_once() {
    let mut world = World::new().await;
    world.open_the_hall(10, None).await;
    let ann = world.reserve("ann", "1", seats(&["L-1-1"])).await.expect("free").id;
    world.quiet().await;
    poison(&world, ann).await;
    world.quiet().await;
    world.restart().await;
    world.quiet().await;
    assert_eq!(world.kinds("deadletter-booking").await, ["deadletter.parked"]);
    let health = world.engine.health();
    let booking = health.consumers.iter().find(|it| it.name == "booking").expect("listed");
    assert_eq!(booking.parked_lanes, 1);
}

#[tokio::test]
async fn what_came_before_the_poison_is_done_again_when_the_side_file_is_lost() {
    let mut world = World::new().await;
    world.open_the_hall(10, None).await;
    let ann = world.reserve("ann", "1", seats(&["L-1-1"])).await.expect("free").id;
    world.quiet().await;
    poison(&world, ann).await;
    world.quiet().await;
    world.restart_without_side().await;
    world.quiet().await;
    assert_eq!(world.kinds("deadletter-booking").await, ["deadletter.parked"], "told once");
    let health = world.engine.health();
    let booking = health.consumers.iter().find(|it| it.name == "booking").expect("listed");
    assert!(booking.timers > 0, "its deadline is known again");
}

#[tokio::test]
async fn a_redriven_letter_is_done_under_its_own_name_and_settled() {
    let world = World::new().await;
    world.open_the_hall(10, None).await;
    let ann = world.reserve("ann", "1", seats(&["L-1-1"])).await.expect("free").id;
    world.bank.be_silent_on_voids(9);
    world.pay_with("ann", "2", ann, None).await.expect("a page");
    world.cancel("ann", "3", ann).await.expect("hers");
    world.pass(secs(2)).await;
    world.pass(secs(3)).await;
    world.pass(secs(6)).await;
    assert_eq!(
        world.kinds("deadletter-payment").await,
        ["deadletter.parked"],
        "after 1, 2 and 4 s"
    );
    let letter = letter_of(&world, "payment").await;
    world.bank.be_silent_on_voids(0);
    for round in 0..2 {
        let done = world.engine.redrive(&operator("redriveDeadLetter", "1"), letter).await;
        assert_eq!(done.expect("it is there").replayed, round > 0);
        world.quiet().await;
    }
    assert_eq!(
        world.kinds("deadletter-payment").await,
        ["deadletter.parked", "deadletter.redriven", "deadletter.settled"]
    );
    assert_eq!(world.bank.alive(), 0);
    let again = world.engine.redrive(&operator("redriveDeadLetter", "2"), letter).await;
    assert_eq!(again.expect_err("settled").code(), "NOT_FOUND");
}

async fn letter_of(world: &World, consumer: &str) -> uuid::Uuid {
    let state = world.engine.load::<crate::letters::State>(&consumer.to_owned()).await;
    *state.expect("readable").state.letters.keys().next().expect("one letter")
}

#[tokio::test]
async fn a_store_that_takes_nothing_for_a_while_loses_no_step() {
    let world = World::new().await;
    world.open_the_hall(10, None).await;
    let ann = world.reserve("ann", "1", seats(&["L-1-1"])).await.expect("free").id;
    world.quiet().await;
    world.store.fill(true);
    world.pass(past(secs(900))).await;
    for _ in 0..20 {
        world.pass(secs(15)).await;
    }
    assert_eq!(world.status(ann).await, Status::Hold);
    world.store.fill(false);
    // Each step waits for the store anew at the longest.
    for _ in 0..4 {
        world.pass(secs(40)).await;
    }
    assert_eq!(world.status(ann).await, Status::HoldExpired);
    assert_eq!(world.map().await.counts().locked, 0);
    for consumer in world.engine.health().consumers {
        assert_eq!((consumer.dead_letters, consumer.parked_lanes), (0, 0), "{}", consumer.name);
    }
    assert!(world.kinds("deadletter-booking").await.is_empty(), "nothing was ever parked");
}

#[tokio::test]
async fn a_slow_gateway_holds_up_nobody_else() {
    let world = World::new().await;
    world.open_the_hall(10, None).await;
    let ann = world.reserve("ann", "1", seats(&["L-1-1"])).await.expect("free").id;
    let bob = world.reserve("bob", "1", seats(&["L-1-2"])).await.expect("free").id;
    world.quiet().await;
    world.bank.dawdle();
    let engine = world.engine.clone();
    let paying = tokio::spawn(async move {
        let wish = crate::StartPayment {
            reservation_id: ann,
            gateway: None,
            method: Some("approve".into()),
            hosted: false,
        };
        engine.start_payment(&super::world::request("ann", "startPayment", "2"), wish).await
    });
    let mut head = world.log.watch_head();
    while world.payment(ann.payment_id()).await.attempts.is_empty() {
        head.changed().await.expect("the log lives");
    }
    // Bob changes his mind while ann waits for the bank.
    world.cancel("bob", "2", bob).await.expect("his");
    while world.map().await.counts().locked > 1 {
        head.changed().await.expect("the log lives");
    }
    world.bank.hurry();
    let paid = paying.await.expect("no panic").expect("at last");
    assert_eq!(paid.reservation.status, Status::Confirmed);
}

#[tokio::test]
async fn a_crowded_process_keeps_no_timer_of_another_waiting_and_loses_none_of_its_own() {
    let world = World::new().await;
    world.open_the_hall(10, None).await;
    let ann = world.reserve("ann", "1", seats(&["L-1-1"])).await.expect("free").id;
    let bob = world.reserve("bob", "1", seats(&["L-1-2"])).await.expect("free").id;
    world.pay_with("bob", "2", bob, None).await.expect("a page");
    world.quiet().await;
    let worker = |name| world.engine.core().worker(name).expect("it runs");
    let crowded = worker("payment").crowd().await;
    world.sim.advance(past(secs(900)));
    let mut head = world.log.watch_head();
    while world.status(ann).await != Status::HoldExpired {
        head.changed().await.expect("the log lives");
    }
    drop(crowded);
    world.quiet().await;
    let eve = world.reserve("eve", "1", seats(&["L-1-3"])).await.expect("free").id;
    world.quiet().await;
    let crowded = worker("booking").crowd().await;
    for _ in 0..30 {
        world.sim.advance(secs(60));
        tokio::task::yield_now().await;
    }
    assert_eq!(world.status(eve).await, Status::Hold, "it has to wait");
    drop(crowded);
    world.pass(secs(2)).await;
    assert_eq!(world.status(eve).await, Status::HoldExpired);
}

#[tokio::test]
async fn a_deadline_needs_no_room_and_waits_only_for_what_is_under_way_in_its_lane() {
    let world = World::new().await;
    world.open_the_hall(10, None).await;
    world.quiet().await;
    let booking = world.engine.core().worker("booking").expect("it runs");
    let seen = async |position| {
        while !booking.looked_at(position) {
            tokio::task::yield_now().await;
        }
    };
    let crowded = booking.crowd().await;
    let ann = world.reserve("ann", "1", seats(&["L-1-1"])).await.expect("free").id;
    seen(world.log.head()).await;
    let (timers, _) = booking.pending_timers();
    assert!(timers >= 2, "of the hold and of its claims, not {timers}");
    assert!(booking.is_idle(), "nothing is left for a lane");
    drop(crowded);
    // What follows from the cancellation waits for the disk; that the pool is free again was recorded
    // behind it, and is noted behind it.
    world.store.stall(Some("seatmap.seats-released"));
    world.cancel("ann", "2", ann).await.expect("hers");
    seen(world.log.head()).await;
    assert!(!booking.is_idle());
    world.store.stall(None);
    world.quiet().await;
    assert_eq!(booking.pending_timers().0, 0);
}

/// D39
#[tokio::test]
async fn mail_down() {
    let world = World::new().await;
    world.open_the_hall(10, None).await;
    let ann = world.reserve("ann", "1", seats(&["L-1-1"])).await.expect("free").id;
    world.quiet().await;
    world.store.refuse(Some("notification.requested"));
    world.pay("ann", "2", ann, "approve").await.expect("a notice is no part of a booking");
    for _ in 0..4 {
        world.pass(secs(10)).await;
    }
    assert_eq!(world.status(ann).await, Status::Confirmed);
    assert!(world.reservation(ann).await.finalized);
    assert_eq!(world.kinds("deadletter-notices").await, ["deadletter.parked"]);
    world.store.refuse(None);
    let letter = letter_of(&world, "notices").await;
    world.engine.redrive(&operator("redriveDeadLetter", "1"), letter).await.expect("parked");
    world.quiet().await;
    let health = world.engine.health();
    let notices = health.consumers.iter().find(|it| it.name == "notices").expect("listed");
    assert_eq!((notices.dead_letters, notices.parked_lanes), (0, 0), "and those behind it");
}

#[tokio::test]
async fn stopping_waits_for_nobody_who_only_waits_to_try_again() {
    let mut world = World::new().await;
    world.open_the_hall(10, None).await;
    let ann = world.reserve("ann", "1", seats(&["L-1-1"])).await.expect("free").id;
    world.bank.be_silent_on_voids(9);
    world.pay_with("ann", "2", ann, None).await.expect("a page");
    world.cancel("ann", "3", ann).await.expect("hers");
    world.quiet().await;
    let started = std::time::Instant::now();
    world.stop().await;
    assert!(started.elapsed() < secs(5), "it did not wait for the retry");
    world.bank.be_silent_on_voids(0);
    world.restart().await;
    world.quiet().await;
    assert_eq!(world.bank.alive(), 0, "done after the start");
}
