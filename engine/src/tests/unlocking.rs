//! Races about a vehicle's lock: DOMAIN.md D28 to D33, faults 38 to 43. What the vehicle's own rules decide
//! is tested with them; here the customer's answer, the messages that are really sent, and what a crash
//! leaves.

use std::time::Duration;

use holdfast_domain::process::Alarm;
use holdfast_domain::reservation::Status;
use holdfast_domain::vehicle::{Answer, IgnoredWhy, LockState, Rental, Telemetry};

use super::cars::{METRES, car, during, one};
use super::link::{Manner, obeyed};
use super::world::{NOON, World, request, secs, settings};
use crate::settings::Protections;
use crate::{Rejection, VehicleFailure};

async fn with_car(protections: Protections) -> World {
    let world = World::with(settings(), protections).await;
    world.fleet_of(&["van"]).await;
    world
}

fn alarms(world: &World) -> Vec<Alarm> {
    world.engine.health().alarms.into_iter().map(|(_, alarm)| alarm).collect()
}

// S1-05, S1-06, S1-07, S0-30, S0-32, S0-33
#[tokio::test]
async fn a_vehicle_is_rented_unlocked_driven_locked_and_given_back() {
    let world = with_car(Protections::default()).await;
    world.link.behave(Manner::Obedient);
    let id = world.hire("ann", "1", one()).await;
    assert_eq!(world.vehicle("van").await.rental(), Rental::Reserved);
    let open = world.unlock("ann", "2", id).await.expect("hers");
    assert_eq!((open.vehicle_id, open.reservation.status), (car("van"), Status::InUse));
    assert_eq!(open.vehicle.lock(), LockState::Unlocked);
    let events = world.events(&format!("reservation-{id}")).await;
    let started = events.iter().find(|it| it.kind == "reservation.rental-started");
    assert!(started.expect("recorded").position <= open.done.position, "read your writes");
    world.quiet().await;
    assert_eq!(world.vehicle("van").await.rental(), Rental::OnTrip);
    let closed = world.engine.lock_vehicle(&request("ann", "lockVehicle", "3"), id).await;
    let closed = closed.expect("hers");
    assert_eq!(
        (closed.vehicle.lock(), closed.reservation.status),
        (LockState::Locked, Status::InUse)
    );
    world.unlock("ann", "4", id).await.expect("still hers");
    let back = world.give_back("ann", "5", id, 12_000).await.expect("back");
    assert_eq!((back.state.status, back.state.version), (Status::Completed, 3));
    world.quiet().await;
    let van = world.vehicle("van").await;
    assert_eq!((van.rental(), van.lock()), (Rental::Available, LockState::Locked));
    assert_eq!(van.odometer_m(), METRES + 12_000);
    assert_eq!(world.pool("compact").await.available(), 1);
    assert_eq!(world.bank.deeds("capture"), 1);
    let late = world.unlock("ann", "6", id).await.expect_err("over");
    assert_eq!(late.code(), "COMPLETED");
    let mine = world.give_back("bob", "7", id, 12_000).await.expect_err("not his");
    assert_eq!(mine.code(), "NOT_FOUND");
}

/// D28
#[tokio::test]
async fn unlock_early() {
    let world = with_car(Protections::default()).await;
    let id = world.reserve("ann", "1", one()).await.expect("one is free").id;
    assert_eq!(world.unlock("ann", "2", id).await.expect_err("unpaid").code(), "NOT_CONFIRMED");
    assert_eq!(world.unlock("bob", "3", id).await.expect_err("not his").code(), "NOT_FOUND");
    world.quiet().await;
    assert!(world.link.sent().is_empty(), "nothing is published");
    assert_eq!(world.times("van", "vehicle.unlock-requested").await, 0);
}

#[tokio::test]
async fn an_unlock_right_behind_the_payment_waits_for_the_claims_to_be_committed() {
    let world = with_car(Protections::default()).await;
    world.link.behave(Manner::Obedient);
    let id = world.reserve("ann", "1", one()).await.expect("one is free").id;
    world.store.stall(Some("inventory.locked"));
    world.pay("ann", "2", id, "approve").await.expect("money");
    assert!(world.is(id, Status::Confirmed).await);
    let unlocking = world.unlocking("ann", "3", id);
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert!(!unlocking.is_finished());
    world.store.stall(None);
    unlocking.await.expect("no panic").expect("committed");
}

/// D29
#[tokio::test]
async fn unlock_offline() {
    let world = with_car(Protections::default()).await;
    let id = world.hire("ann", "1", one()).await;
    world.engine.vehicle_lost(car("van"), 1, NOON).await.expect("recorded");
    let head = world.log.head();
    let refused = world.unlock("ann", "2", id).await.expect_err("offline");
    let Rejection::Vehicle { failure, retry_after } = refused else { panic!("{refused}") };
    assert_eq!((failure, refused_code(&failure)), (VehicleFailure::Offline, "VEHICLE_OFFLINE"));
    assert!(retry_after.is_some());
    world.pass(secs(60)).await;
    assert!(world.link.sent().is_empty(), "it is never queued");
    assert_eq!(world.log.head(), head, "and nothing is recorded");
    // The same key again, when it is back: nothing was bound.
    world.engine.vehicle_connected(car("van"), 2).await.expect("recorded");
    world.link.behave(Manner::Obedient);
    assert!(!world.unlock("ann", "2", id).await.expect("there").done.replayed);
}

fn refused_code(failure: &VehicleFailure) -> &'static str {
    Rejection::from(*failure).code()
}

/// D30
#[tokio::test]
async fn unlock_dup() {
    let world = with_car(Protections::default()).await;
    let id = world.hire("ann", "1", one()).await;
    let unlocking = world.unlocking("ann", "2", id);
    let first = world.link.nth(1).await;
    world.pass(secs(5)).await;
    let second = world.link.nth(2).await;
    assert_eq!((first.command_id, first.seq), (second.command_id, second.seq));
    assert_eq!((first.attempt, second.attempt, first.exp), (1, 2, second.exp));
    world.obey(&first).await;
    let open = unlocking.await.expect("no panic").expect("open");
    assert_eq!(open.reservation.status, Status::InUse);
    // The answer to the second message, and to the second delivery of the first.
    world.obey(&second).await;
    world.obey(&first).await;
    assert_eq!(world.times("van", "vehicle.unlocked").await, 1);
    assert_eq!(world.times("van", "vehicle.answer-ignored").await, 1, "recorded once");
    let again = world.unlock("ann", "2", id).await.expect("the same request");
    assert!(again.done.replayed);
    world.pass(secs(60)).await;
    assert_eq!(world.link.sent().len(), 2, "no second unlock from a retry");
    assert_eq!(world.link.acted(), 1);
}

#[tokio::test]
async fn whoever_asks_while_an_unlock_is_under_way_joins_it() {
    let world = with_car(Protections::default()).await;
    let id = world.hire("ann", "1", one()).await;
    let first = world.unlocking("ann", "2", id);
    let call = world.link.nth(1).await;
    let same_key = world.unlock("ann", "2", id).await.expect_err("the first is still running");
    assert_eq!(same_key, Rejection::InFlight);
    let other_key = world.unlocking("ann", "3", id);
    // The asker goes away; its retry joins what it has begun.
    first.abort();
    let _ = first.await;
    let retry = world.unlocking("ann", "2", id);
    world.waited_for("van", 2).await;
    world.obey(&call).await;
    assert!(other_key.await.expect("no panic").is_ok());
    assert!(retry.await.expect("no panic").expect("the same command").done.replayed);
    assert_eq!(world.link.sent().len(), 1);
    assert_eq!(world.times("van", "vehicle.unlock-requested").await, 1);
}

/// D31, the reservation still entitles.
#[tokio::test]
async fn late_ack() {
    let world = with_car(Protections::default()).await;
    let id = world.hire("ann", "1", one()).await;
    let call = times_out(&world, id).await;
    assert_eq!(world.link.sent().len(), 3, "three attempts");
    let again = world.unlock("ann", "2", id).await.expect_err("it has failed");
    assert_eq!(again.code(), "VEHICLE_TIMEOUT", "the same key, the same outcome");
    world.pass(secs(10)).await;
    world.obey(&call).await;
    assert!(world.is(id, Status::InUse).await, "late, and accepted");
    let now = world.unlock("ann", "2", id).await.expect("open after all");
    assert!(now.done.replayed);
    assert!(alarms(&world).is_empty());
}

/// D31, nobody is entitled any more.
#[tokio::test]
async fn a_late_unlock_that_nobody_is_entitled_to_is_locked_again() {
    let world = with_car(Protections::default()).await;
    let id = world.hire("ann", "1", one()).await;
    let call = times_out(&world, id).await;
    world.cancel("ann", "3", id).await.expect("nothing is under way");
    world.quiet().await;
    let secured = world.link.sent().pop().expect("nobody knows whether it is open");
    world.obey(&secured).await;
    assert_eq!(world.vehicle("van").await.rental(), Rental::Available);
    world.obey(&call).await;
    let events = world.events("vehicle-van").await;
    let at = |kind: &str| events.iter().rev().find(|it| it.kind == kind).expect("recorded");
    let open = at("vehicle.unlocked");
    assert_eq!(at("vehicle.late-unlock-compensated").position.0, open.position.0 + 1);
    assert_eq!(at("vehicle.lock-requested").position.0, open.position.0 + 2, "in one append");
    let (vehicle_id, command_id) = (car("van"), call.command_id);
    let nobody = Alarm::VehicleUnlockedByNobody { vehicle_id, command_id };
    assert!(alarms(&world).contains(&nobody));
    let lock = world.link.sent().pop().expect("it is told to lock");
    world.obey(&lock).await;
    assert_eq!(world.vehicle("van").await.rental(), Rental::Available);
    assert!(world.is(id, Status::Cancelled).await);
}

/// Nobody answers until the deadline.
async fn times_out(
    world: &World,
    id: holdfast_domain::ReservationId,
) -> holdfast_domain::process::VehicleCall {
    let unlocking = world.unlocking("ann", "2", id);
    let call = world.link.nth(1).await;
    world.pass_slowly(secs(21)).await;
    let failed = unlocking.await.expect("no panic").expect_err("silence");
    assert_eq!(failed, VehicleFailure::Timeout.into());
    call
}

/// D32
#[tokio::test]
async fn cancel_vs_unlock() {
    let world = with_car(Protections::default()).await;
    let id = world.hire("ann", "1", one()).await;
    let unlocking = world.unlocking("ann", "2", id);
    let call = world.link.nth(1).await;
    let refused = world.cancel("ann", "3", id).await.expect_err("it may be open any moment");
    assert_eq!(refused.code(), "UNLOCK_IN_PROGRESS");
    assert!(world.is(id, Status::Confirmed).await);
    world.obey(&call).await;
    assert!(unlocking.await.expect("no panic").is_ok(), "the answer wins");
    let refused = world.cancel("ann", "4", id).await.expect_err("she has it");
    assert_eq!(refused.code(), "IN_USE");
}

/// D32: with the silence the cancellation is free to go.
#[tokio::test]
async fn a_reservation_whose_unlock_came_to_nothing_can_be_cancelled() {
    let world = with_car(Protections::default()).await;
    let id = world.hire("ann", "1", one()).await;
    times_out(&world, id).await;
    world.cancel("ann", "3", id).await.expect("nothing is under way");
    world.quiet().await;
    assert!(world.is(id, Status::Cancelled).await);
    assert_eq!(world.bank.kept(), 0);
    let refused = world.unlock("ann", "4", id).await.expect_err("given up");
    assert_eq!(refused.code(), "CANCELLED");
    // Nobody knows whether it is open: it is locked before anybody else gets it.
    assert_eq!(world.vehicle("van").await.rental(), Rental::NonOperational);
    let lock = world.link.sent().pop().expect("told to lock");
    world.obey(&lock).await;
    assert_eq!(world.pool("compact").await.available(), 1);
    assert_eq!(world.vehicle("van").await.rental(), Rental::Available);
}

/// D32
#[tokio::test]
async fn twin_a_cancellation_that_does_not_ask_the_vehicle_is_overtaken_by_the_unlock() {
    let off = Protections { vehicle_lets_go: false, ..Protections::default() };
    let world = with_car(off).await;
    let id = world.hire("ann", "1", one()).await;
    let unlocking = world.unlocking("ann", "2", id);
    let call = world.link.nth(1).await;
    world.cancel("ann", "3", id).await.expect("nobody asks the vehicle");
    world.quiet().await;
    world.obey(&call).await;
    assert_eq!(unlocking.await.expect("no panic").expect_err("gone").code(), "CANCELLED");
    let in_vain = |alarm: &Alarm| matches!(alarm, Alarm::UnlockedInVain { .. });
    assert!(alarms(&world).iter().any(in_vain), "a car stood open for somebody without a rental");
}

/// Fault 43: the process dies between the publish and the checkpoint.
async fn dies_behind_the_publish(protections: Protections) -> World {
    let mut world = with_car(protections).await;
    let id = world.hire("ann", "1", one()).await;
    world.link.behave(Manner::Lethal);
    let unlocking = world.unlocking("ann", "2", id);
    world.link.nth(1).await;
    let unlock = world.engine.core().worker("unlock").expect("it runs");
    unlock.save().await;
    unlocking.abort();
    world.restart().await;
    world.quiet().await;
    world
}

#[tokio::test]
async fn crash_between_publish_and_checkpoint() {
    let world = dies_behind_the_publish(Protections::default()).await;
    let sent = world.link.sent();
    assert_eq!(sent.len(), 2, "it is sent again");
    assert_eq!((&sent[0], sent[0].command_id), (&sent[1], sent[1].command_id));
    assert_eq!(world.link.acted(), 1, "under the same name: the vehicle acts once");
    let id = sent[0].reservation_id.expect("of a rental");
    let retry = world.unlocking("ann", "2", id);
    world.waited_for("van", 1).await;
    world.obey(&sent[0]).await;
    assert!(retry.await.expect("no panic").expect("the same command").done.replayed);
    assert_eq!(world.times("van", "vehicle.unlock-requested").await, 1);
}

#[tokio::test]
async fn twin_a_checkpoint_before_the_publish_loses_the_command_without_a_word() {
    let off = Protections { checkpoint_after_asks: false, ..Protections::default() };
    let world = dies_behind_the_publish(off).await;
    assert_eq!(world.link.sent().len(), 1, "never sent again");
    world.pass_slowly(secs(30)).await;
    assert_eq!(world.times("van", "vehicle.unlock-failed").await, 0, "and nobody is told");
}

/// Fault 38, 39: the process was away until the command's time was over.
async fn comes_back_too_late(protections: Protections) -> usize {
    let mut world = with_car(protections).await;
    let id = world.hire("ann", "1", one()).await;
    world.link.behave(Manner::Stillborn);
    let unlocking = world.unlocking("ann", "2", id);
    world.link.tried(1).await;
    unlocking.abort();
    world.sim.advance(secs(25));
    world.restart().await;
    world.pass(secs(5)).await;
    assert_eq!(world.times("van", "vehicle.unlock-failed").await, 1, "and it is told");
    world.link.sent().iter().filter(|call| call.exp <= world.engine.now()).count()
}

#[tokio::test]
async fn a_command_whose_time_is_over_is_not_sent() {
    assert_eq!(comes_back_too_late(Protections::default()).await, 0);
}

#[tokio::test]
async fn twin_a_message_that_nobody_looks_at_again_unlocks_later() {
    let off = Protections { wanted_commands: false, ..Protections::default() };
    assert_eq!(comes_back_too_late(off).await, 1);
}

/// Fault 38
#[tokio::test]
async fn without_a_broker_the_customer_hears_of_it_at_the_deadline_and_nothing_is_unlocked_later() {
    let world = with_car(Protections::default()).await;
    let id = world.hire("ann", "1", one()).await;
    world.link.behave(Manner::Unconnected);
    let unlocking = world.unlocking("ann", "2", id);
    world.link.tried(1).await;
    world.pass_slowly(secs(10)).await;
    assert!(!unlocking.is_finished(), "it may come back");
    world.pass_slowly(secs(11)).await;
    let failed = unlocking.await.expect("no panic").expect_err("no broker");
    assert_eq!(failed.code(), "VEHICLE_TIMEOUT");
    world.link.behave(Manner::Obedient);
    world.pass(secs(600)).await;
    let unlocks = world.link.sent();
    let unlocks = unlocks.iter().filter(|call| call.reservation_id == Some(id));
    assert_eq!(unlocks.count(), 0, "no unlock later");
    assert!(world.engine.health().consumers.iter().all(|consumer| consumer.dead_letters == 0));
}

#[tokio::test]
async fn a_broker_that_comes_back_in_time_gets_the_next_attempt() {
    let world = with_car(Protections::default()).await;
    let id = world.hire("ann", "1", one()).await;
    world.link.behave(Manner::Unconnected);
    let unlocking = world.unlocking("ann", "2", id);
    world.link.tried(1).await;
    world.pass_slowly(secs(2)).await;
    world.link.behave(Manner::Obedient);
    world.pass_slowly(secs(4)).await;
    assert!(unlocking.await.expect("no panic").is_ok());
    assert_eq!(world.link.sent()[0].attempt, 2);
}

#[tokio::test]
async fn what_the_vehicle_says_instead_is_told() {
    for (answer, code) in [
        (Answer::Jammed, "VEHICLE_UNAVAILABLE"),
        (Answer::Rejected, "VEHICLE_UNAVAILABLE"),
        (Answer::Expired, "VEHICLE_TIMEOUT"),
    ] {
        let world = with_car(Protections::default()).await;
        let id = world.hire("ann", "1", one()).await;
        let unlocking = world.unlocking("ann", "2", id);
        let call = world.link.nth(1).await;
        world.answer(&call, answer).await;
        let failed = unlocking.await.expect("no panic").expect_err("it did not");
        assert_eq!(failed.code(), code, "{answer:?}");
        assert!(world.is(id, Status::Confirmed).await);
    }
}

/// D35: what came in its name without its key changes nothing, and is kept.
#[tokio::test]
async fn spoof() {
    let world = with_car(Protections::default()).await;
    let id = world.hire("ann", "1", one()).await;
    let unlocking = world.unlocking("ann", "2", id);
    let call = world.link.nth(1).await;
    let forged = Some(call.command_id);
    let ignored = world.engine.vehicle_answer_ignored(
        car("van"),
        forged,
        "UNLOCKED".into(),
        IgnoredWhy::BadMac,
    );
    ignored.await.expect("recorded");
    // And an answer to what was never asked.
    let mut unknown = obeyed(&call);
    unknown.command_id = holdfast_domain::derive(&["never asked"]);
    world.engine.vehicle_answered(car("van"), unknown).await.expect("recorded");
    world.quiet().await;
    assert!(!unlocking.is_finished());
    assert_eq!(world.times("van", "vehicle.answer-ignored").await, 2);
    assert!(alarms(&world).contains(&Alarm::SpoofedAnswer { vehicle_id: car("van") }));
    let stranger = world.engine.vehicle_answered(car("nobody"), obeyed(&call)).await;
    assert_eq!(stranger.expect_err("no such vehicle").code(), "NOT_FOUND");
    world.obey(&call).await;
    assert!(unlocking.await.expect("no panic").is_ok());
}

/// D33
#[tokio::test]
async fn offline_return() {
    let world = with_car(Protections::default()).await;
    world.link.behave(Manner::Obedient);
    let id = world.hire("ann", "1", one()).await;
    world.unlock("ann", "2", id).await.expect("hers");
    world.quiet().await;
    world.link.behave(Manner::Silent);
    world.engine.vehicle_lost(car("van"), 1, NOON).await.expect("recorded");
    world.give_back("ann", "3", id, 1_000).await.expect("the customer tells");
    world.quiet().await;
    assert!(world.is(id, Status::Completed).await);
    assert_eq!(world.vehicle("van").await.rental(), Rental::NonOperational);
    world.pass(secs(60)).await;
    world.link.behave(Manner::Obedient);
    world.engine.vehicle_connected(car("van"), 2).await.expect("recorded");
    world.quiet().await;
    assert_eq!(world.vehicle("van").await.rental(), Rental::Available, "a lock is confirmed");
}

/// D34, and the engine's part of it: what tells nothing new costs no write.
#[tokio::test]
async fn telemetry_order() {
    let world = with_car(Protections::default()).await;
    let tell = async |seq: u64, metres: u64| {
        let telemetry = Telemetry {
            boot: 1,
            seq,
            odometer_m: Some(METRES + metres),
            fuel_pct: Some(80),
            device_time: NOON,
            ..Telemetry::default()
        };
        world.engine.vehicle_telemetry(car("van"), telemetry).await.expect("registered");
    };
    tell(1, 100).await;
    let head = world.log.head();
    for seq in 2..60 {
        world.sim.advance(Duration::from_secs(1));
        tell(seq, 100 + seq).await;
    }
    assert_eq!(world.log.head(), head, "a minute of news is one event");
    tell(70, 5_000).await;
    tell(65, 1).await;
    assert_eq!(world.log.head().0, head.0 + 1);
    assert_eq!(world.vehicle("van").await.odometer_m(), METRES + 5_000);
}

#[tokio::test]
async fn a_key_whose_command_is_long_forgotten_is_answered_from_the_log() {
    let world = with_car(Protections::default()).await;
    world.link.behave(Manner::Obedient);
    let id = world.hire("ann", "1", one()).await;
    world.unlock("ann", "first", id).await.expect("hers");
    for n in 0..70 {
        world.unlock("ann", &format!("{n}"), id).await.expect("hers");
    }
    let again = world.unlock("ann", "first", id).await.expect("it was opened then");
    assert!(again.done.replayed);
}

#[tokio::test]
async fn a_rental_for_later_is_not_unlocked_before_its_time_nor_after_it() {
    let world = with_car(Protections::default()).await;
    world.link.behave(Manner::Obedient);
    let id = world.hire("ann", "1", during(3_600, 7_200)).await;
    assert_eq!(world.unlock("ann", "2", id).await.expect_err("early").code(), "NOT_STARTED");
    world.pass(secs(3_601)).await;
    world.unlock("ann", "3", id).await.expect("in time");
}
