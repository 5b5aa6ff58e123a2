//! Deadlines: late timers, sleeping machines, clocks that leap and go back.

use std::time::Duration;

use holdfast_domain::reservation::{self, Status};

use super::world::{NOON, SHIRT, World, past, seats, secs, settings, some};
use crate::Settings;
use crate::ports::Clock;
use crate::settings::Protections;

const TTL: Duration = Duration::from_secs(900);

#[tokio::test]
async fn a_hold_ends_at_its_deadline_and_everything_is_free_again() {
    let world = World::new().await;
    world.open_the_hall(10, Some(4)).await;
    let id = world.reserve("ann", "1", seats(&["L-1-1"])).await.expect("free").id;
    world.pass(TTL - secs(1)).await;
    assert_eq!(world.status(id).await, Status::Hold);
    world.pass(secs(2)).await;
    assert_eq!(world.status(id).await, Status::HoldExpired);
    assert_eq!(world.map().await.counts().locked, 0);
    assert_eq!(world.pool("concert").await.held(), 0);
    assert_eq!(world.taken_of("concert", "ann").await.taken(), 0);
    let health = world.engine.health();
    let booking = health.consumers.iter().find(|it| it.name == "booking").expect("listed");
    assert!(booking.timers <= 1, "{booking:?}");
}

/// D22
#[tokio::test]
async fn sleep_wake() {
    let world = World::with(
        Settings { live_holds_per_customer: u32::MAX, expiry_batch: 50, ..settings() },
        Protections::default(),
    )
    .await;
    world.shirts(1_000).await;
    let mut ids = Vec::new();
    for n in 0..200 {
        ids.push(
            world.reserve("ann", &n.to_string(), vec![some(SHIRT, 1)]).await.expect("free").id,
        );
    }
    // The machine sleeps for hours: every timer is late.
    world.pass(secs(6 * 3_600)).await;
    for id in &ids {
        let kinds = world.kinds_of::<reservation::State>(id).await;
        assert_eq!(kinds, ["reservation.hold-created", "reservation.hold-expired"]);
    }
    assert_eq!(world.pool(SHIRT).await.held(), 0);
    assert_eq!(world.pool(SHIRT).await.available(), 1_000);
}

#[tokio::test]
async fn nobody_pays_after_the_deadline_even_when_the_timer_is_late() {
    let world = World::new().await;
    world.open_the_hall(10, None).await;
    let id = world.reserve("ann", "1", seats(&["L-1-1"])).await.expect("free").id;
    world.quiet().await;
    world.store.stall(Some("reservation.hold-expired"));
    world.sim.advance(past(TTL));
    let refused = tokio::select! {
        refused = world.pay("ann", "2", id, "approve") => refused,
        // The stalled expiry may come first to the stream: then it goes on.
        () = async { tokio::task::yield_now().await; world.store.stall(None);
            std::future::pending::<()>().await } => unreachable!(),
    };
    assert_eq!(refused.expect_err("too late").code(), "HOLD_EXPIRED");
    assert!(world.bank.tokens().is_empty());
}

/// D23
#[tokio::test]
async fn clock_jump() {
    let world = World::new().await;
    world.open_the_hall(10, None).await;
    let id = leap(&world).await;
    assert_eq!(world.status(id).await, Status::Hold, "no early expiry");
    assert!(world.engine.health().clock_trouble.is_some(), "an alarm");
    // It lasts: believed after the grace, and then the hold ends.
    world.pass(secs(61)).await;
    world.pass(secs(1)).await;
    assert_eq!(world.status(id).await, Status::HoldExpired);
    assert!(world.engine.health().clock_trouble.is_none());
}

#[tokio::test]
async fn twin_a_clock_that_is_believed_at_once_ends_holds_early() {
    let off = Protections { steady_clock: false, ..Protections::default() };
    let world = World::with(settings(), off).await;
    world.open_the_hall(10, None).await;
    let id = leap(&world).await;
    assert_eq!(world.status(id).await, Status::HoldExpired, "after two seconds");
}

/// Somebody sets the wall clock an hour forward.
async fn leap(world: &World) -> holdfast_domain::ReservationId {
    let id = world.reserve("ann", "1", seats(&["L-1-1"])).await.expect("free").id;
    world.quiet().await;
    world.sim.set_wall(world.sim.wall().plus(secs(3_600)));
    world.pass(secs(2)).await;
    id
}

#[tokio::test]
async fn a_clock_that_goes_back_extends_no_hold() {
    let mut world = World::new().await;
    world.open_the_hall(10, None).await;
    let id = world.reserve("ann", "1", seats(&["L-1-1"])).await.expect("free").id;
    world.quiet().await;
    world.sim.set_wall(NOON.minus(secs(3_600)));
    world.pass(secs(600)).await;
    // Also not when the process is started again: never before the last recorded event.
    world.restart().await;
    assert!(world.engine.now() >= NOON);
    world.pass(past(TTL)).await;
    assert_eq!(world.status(id).await, Status::HoldExpired);
}

/// D24
#[tokio::test]
async fn sweep_and_lazy() {
    let world = World::new().await;
    world.open_the_hall(10, None).await;
    let id = world.reserve("ann", "1", seats(&["L-1-1"])).await.expect("free").id;
    world.quiet().await;
    // Nobody's timer has fired yet: past the deadline and its grace the next taker gets the seat.
    world.sim.advance(TTL + secs(61));
    let bob =
        world.reserve("bob", "1", seats(&["L-1-1"])).await.expect("free to the next taker").id;
    world.pass(secs(61)).await;
    let kinds = world.kinds_of::<reservation::State>(&id).await;
    assert_eq!(kinds, ["reservation.hold-created", "reservation.hold-expired"], "once");
    assert_eq!(world.status(bob).await, Status::Hold);
    assert_eq!(world.map().await.counts().locked, 1);
    assert_eq!(world.pool("concert").await.held(), 1);
}

#[tokio::test]
async fn timers_are_made_again_from_the_log_when_the_side_file_is_lost() {
    let mut world = World::new().await;
    world.open_the_hall(10, None).await;
    let id = world.reserve("ann", "1", seats(&["L-1-1"])).await.expect("free").id;
    world.quiet().await;
    world.restart_without_side().await;
    world.pass(past(TTL)).await;
    assert_eq!(world.status(id).await, Status::HoldExpired);
    assert_eq!(world.map().await.counts().locked, 0);
}

#[tokio::test]
async fn a_hold_lasts_exactly_its_time_from_the_moment_on_record_however_slow_its_claims_were() {
    let world = World::new().await;
    world.open_the_hall(10, None).await;
    world.quiet().await;
    let before = world.events("inventory-concert").await.len();
    world.store.stall(Some("seatmap.seats-locked"));
    let making = world.reserve("ann", "1", seats(&["L-1-1"]));
    let delay = async {
        while world.events("inventory-concert").await.len() == before {
            tokio::task::yield_now().await;
        }
        world.sim.advance(secs(3));
        world.store.stall(None);
    };
    let (made, ()) = tokio::join!(making, delay);
    let made = made.expect("free");
    let created = &world.events(&format!("reservation-{}", made.id)).await[0];
    let metadata = holdfast_schemas::Metadata::decode(&created.metadata).expect("readable");
    assert_eq!(made.state.hold_expires_at, Some(metadata.occurred_at.plus(TTL)));
}

#[tokio::test]
async fn an_operator_gives_a_hold_its_whole_time_again_and_claims_follow() {
    let world = World::new().await;
    world.open_the_hall(10, None).await;
    let id = world.reserve("ann", "1", seats(&["L-1-1"])).await.expect("free").id;
    world.pass(secs(800)).await;
    let request = super::world::operator("extendHold", "1");
    let extended = world.engine.extend_hold(&request, id).await.expect("in time");
    assert_eq!(extended.state.hold_expires_at, Some(NOON.plus(secs(1_700))));
    world.pass(secs(400)).await;
    assert_eq!(world.status(id).await, Status::Hold);
    let taken = world.lock("bob", "1", &["L-1-1"]).await.expect_err("still ann's");
    assert_eq!(taken.code(), "SEATS_TAKEN");
    world.pass(past(secs(500))).await;
    assert_eq!(world.status(id).await, Status::HoldExpired);
    assert_eq!(world.map().await.counts().locked, 0);
}
