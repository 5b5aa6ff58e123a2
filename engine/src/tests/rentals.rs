//! Whose vehicle: picked with the hold, assigned when a period begins, given back. DOMAIN.md C.5, C.6, V6.

use std::collections::BTreeSet;

use holdfast_domain::inspection::{ClaimStatus, Photo};
use holdfast_domain::process::Alarm;
use holdfast_domain::reservation::{Channel, Claim, Status};
use holdfast_domain::vehicle::Rental;
use holdfast_domain::{Money, ReservationId};

use super::cars::{COMPACT, METRES, RENT, car, during, one, span};
use super::link::Manner;
use super::world::{Mortal, World, eur, operator, past, request, secs, settings, sku};
use crate::settings::Protections;
use crate::{Settings, SubmitInspection};

fn greedy() -> Settings {
    Settings { live_holds_per_customer: u32::MAX, ..settings() }
}

// S0-01, S1-01: the vehicle is reserved before it is paid.
#[tokio::test]
async fn a_walk_up_hold_takes_one_of_the_class_and_the_vehicle_itself() {
    let world = World::new().await;
    world.fleet_of(&["a", "b"]).await;
    let made = world.reserve("ann", "1", one()).await.expect("two are free");
    let mine = made.state.vehicle_id.clone().expect("a vehicle");
    assert_eq!(made.state.lines[0].vehicle_id.as_ref(), Some(&mine));
    assert_eq!(made.state.claims.last(), Some(&Claim::Vehicle { r#ref: mine.clone() }));
    assert_eq!(world.pool(COMPACT).await.held(), 1);
    assert_eq!(world.vehicle(mine.as_str()).await.rental(), Rental::Reserved);
    // What is not paid lapses, the vehicle with it.
    world.pass(past(secs(960))).await;
    assert!(world.is(made.id, Status::HoldExpired).await);
    assert_eq!(world.vehicle(mine.as_str()).await.rental(), Rental::Available);
    assert_eq!(world.pool(COMPACT).await.available(), 2);
}

#[tokio::test]
async fn the_vehicle_is_held_as_long_as_its_hold_is_extended() {
    let extending = Settings { payment_extension: secs(600), ..settings() };
    let world = World::with(extending, Protections::default()).await;
    world.fleet_of(&["a"]).await;
    let id = world.reserve("ann", "1", one()).await.expect("free").id;
    world.pass(secs(600)).await;
    world.pay_and_leave("ann", "2", id, "late").await;
    let until = world.vehicle("a").await.reservation().expect("held").expires_at;
    let hold = world.reservation(id).await.hold_expires_at.expect("held");
    assert_eq!(until, Some(hold.plus(secs(60))), "the deadline and its grace");
    let asked = operator("extendHold", "3");
    world.engine.extend_hold(&asked, id).await.expect("before its deadline");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn last_vehicle() {
    let world = World::with(greedy(), Protections::default()).await;
    world.fleet_of(&["a"]).await;
    let won = race(&world, 100).await;
    assert_eq!(won.len(), 1);
    assert_eq!(world.pool(COMPACT).await.held(), 1);
    assert_eq!(world.vehicle("a").await.reservation().expect("taken").reservation_id, won[0]);
}

/// So many customers at once; those who got one.
async fn race(world: &World, customers: usize) -> Vec<ReservationId> {
    let tasks: Vec<_> = (0..customers)
        .map(|n| {
            let engine = world.engine.clone();
            let request = request(&format!("u{n}"), "createReservation", "1");
            let booking =
                async move { engine.create_reservation(&request, one(), Channel::Other).await };
            tokio::spawn(booking)
        })
        .collect();
    let mut won = Vec::new();
    for task in tasks {
        match task.await.expect("no panic") {
            Ok(made) => won.push(made.id),
            Err(rejection) => assert_eq!(rejection.code(), "OUT_OF_STOCK", "{rejection}"),
        }
    }
    won
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_many_at_once_gets_a_vehicle_of_its_own() {
    let world = World::with(greedy(), Protections::default()).await;
    let names: Vec<String> = (0..20).map(|n| format!("v{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    world.fleet_of(&names).await;
    let won = race(&world, 60).await;
    assert_eq!(won.len(), 20, "all are given out, none twice");
    let mut taken = BTreeSet::new();
    for id in won {
        taken.insert(world.reservation(id).await.vehicle_id.expect("a vehicle"));
    }
    assert_eq!(taken.len(), 20);
}

/// The process dies with the vehicle taken and the hold not recorded; the customer comes back.
async fn comes_back_for_it(protections: Protections) -> usize {
    let mut world = World::with(settings(), protections).await;
    world.fleet_of(&["a", "b", "c"]).await;
    // The pool, the vehicle; then the reservation itself.
    let mortal = Mortal::dying_at(world.log.clone(), 1, true);
    world.restart_on(mortal).await;
    let store = world.store.clone();
    tokio::select! {
        () = store.died() => {}
        _ = world.reserve("ann", "1", one()) => panic!("it dies before"),
    }
    world.restart().await;
    let made = world.reserve("ann", "1", one()).await.expect("her own");
    let mine = made.state.vehicle_id.expect("a vehicle");
    let mut reserved = 0;
    for name in ["a", "b", "c"] {
        reserved += usize::from(world.vehicle(name).await.rental() == Rental::Reserved);
    }
    assert_eq!(world.vehicle(mine.as_str()).await.rental(), Rental::Reserved);
    reserved
}

#[tokio::test]
async fn a_retry_of_the_same_reservation_gets_the_same_vehicle() {
    assert_eq!(comes_back_for_it(Protections::default()).await, 1);
}

#[tokio::test]
async fn twin_a_retry_that_does_not_look_for_its_own_takes_a_second_vehicle() {
    let off = Protections { same_vehicle: false, ..Protections::default() };
    assert_eq!(comes_back_for_it(off).await, 2);
}

/// V6, beside its unit test: an operator's choice of order is really taken.
#[tokio::test]
async fn one_that_is_out_of_reach_is_given_out_last() {
    let world = World::new().await;
    world.fleet_of(&["a", "b", "c"]).await;
    for name in ["a", "c"] {
        world.engine.vehicle_lost(car(name), 1, world.engine.now()).await.expect("recorded");
    }
    let made = world.reserve("ann", "1", one()).await.expect("free");
    assert_eq!(made.state.vehicle_id, Some(car("b")));
    let next = world.reserve("bob", "1", one()).await.expect("it counts all the same");
    assert_ne!(next.state.vehicle_id, Some(car("b")));
    let health = world.engine.health().vehicles;
    assert_eq!((health.registered, health.connected), (3, 1));
}

// C.5
#[tokio::test]
async fn back_to_back_periods_fit_and_overlaps_are_refused() {
    let world = World::new().await;
    world.fleet_of(&["a"]).await;
    let available = async |from, until| {
        world.engine.available_in(&sku(COMPACT), span(from, until)).await.expect("a class")
    };
    assert_eq!(available(0, 99_999).await, 1);
    world.reserve("ann", "1", during(10_000, 12_000)).await.expect("free");
    world.reserve("bob", "1", during(12_000, 14_000)).await.expect("behind hers");
    let between = world.reserve("cyd", "1", during(11_000, 13_000)).await.expect_err("both");
    assert_eq!(between.code(), "OUT_OF_STOCK");
    assert_eq!(available(11_000, 13_000).await, 0);
    assert_eq!(available(14_000, 15_000).await, 1);
    let walk_up = world.reserve("cyd", "2", one()).await.expect_err("it may not be back by then");
    assert_eq!(walk_up.code(), "OUT_OF_STOCK");
    for (from, until) in [(5, 5), (6, 5), (0, 367 * 86_400)] {
        let refused = world.reserve("cyd", &format!("{from}"), during(from, until)).await;
        assert_eq!(refused.expect_err("no period").code(), "INVALID_INPUT");
        let refused = world.engine.available_in(&sku(COMPACT), span(from, until)).await;
        assert_eq!(refused.expect_err("no period").code(), "INVALID_INPUT");
    }
    // A line for later claims the pool only.
    assert_eq!(world.vehicle("a").await.rental(), Rental::Available);
}

#[tokio::test]
async fn a_vehicle_is_assigned_when_the_period_begins() {
    let world = World::new().await;
    world.fleet_of(&["a", "b"]).await;
    world.link.behave(Manner::Obedient);
    let id = world.hire("ann", "1", during(3_600, 7_200)).await;
    assert_eq!(world.reservation(id).await.vehicle_id, None);
    world.pass(secs(3_601)).await;
    let mine = world.reservation(id).await.vehicle_id.expect("assigned");
    let claim = world.vehicle(mine.as_str()).await;
    let claim = claim.reservation().expect("reserved");
    assert_eq!((claim.reservation_id, claim.confirmed), (id, true));
    world.unlock("ann", "2", id).await.expect("its time has come");
    world.give_back("ann", "3", id, 1).await.expect("back");
    world.quiet().await;
    assert_eq!(world.vehicle(mine.as_str()).await.rental(), Rental::Available);
    let free = world.engine.available_in(&sku(COMPACT), span(3_600, 7_200)).await;
    assert_eq!(free, Ok(2), "its class has one more to give");
}

#[tokio::test]
async fn the_first_unlock_within_the_period_assigns_a_vehicle_when_none_is_assigned_yet() {
    let world = World::new().await;
    world.fleet_of(&["a", "b"]).await;
    world.link.behave(Manner::Obedient);
    let id = world.hire("ann", "1", during(0, 7_200)).await;
    // The wake for what has begun already fires with the next tick only.
    assert_eq!(world.reservation(id).await.vehicle_id, None);
    let open = world.unlock("ann", "2", id).await.expect("its time has come");
    assert_eq!(open.reservation.vehicle_id, Some(open.vehicle_id.clone()));
    world.pass(secs(2)).await;
    let mut reserved = 0;
    for name in ["a", "b"] {
        reserved += usize::from(world.vehicle(name).await.reservation().is_some());
    }
    assert_eq!(reserved, 1, "the wake finds that it has one");
}

/// Back to back on one vehicle: the one before is late, or its lock is not confirmed yet.
#[tokio::test]
async fn the_next_rental_waits_for_a_vehicle_that_is_late() {
    let world = World::new().await;
    world.fleet_of(&["a"]).await;
    world.link.behave(Manner::Obedient);
    let ann = world.hire("ann", "1", during(0, 3_600)).await;
    let bob = world.hire("bob", "1", during(3_600, 7_200)).await;
    world.unlock("ann", "2", ann).await.expect("hers");
    world.pass(secs(3_601)).await;
    let early = world.unlock("bob", "2", bob).await.expect_err("it is not back");
    assert_eq!(early.code(), "VEHICLE_UNAVAILABLE");
    assert!(world.is(bob, Status::Confirmed).await, "nothing is cancelled at once");
    world.pass(secs(300)).await;
    world.give_back("ann", "3", ann, 1).await.expect("late");
    world.pass(secs(20)).await;
    assert_eq!(world.reservation(bob).await.vehicle_id, Some(car("a")));
    world.unlock("bob", "3", bob).await.expect("his");
}

#[tokio::test]
async fn a_rental_for_which_there_is_no_vehicle_for_too_long_is_cancelled_and_paid_back() {
    let world = World::new().await;
    world.fleet_of(&["a"]).await;
    let bob = world.hire("bob", "1", during(3_600, 7_200)).await;
    let asked = operator("setVehicleService", "1");
    let done = world.engine.set_vehicle_service(&asked, car("a"), false, Some("flat tyre".into()));
    done.await.expect("an operator");
    world.pass(secs(3_601 + 900)).await;
    world.pass(secs(20)).await;
    assert!(world.is(bob, Status::Cancelled).await);
    assert_eq!(world.bank.kept(), 0);
    let alarms = world.engine.health().alarms;
    let none = Alarm::NoVehicle { reservation_id: bob };
    assert!(alarms.iter().any(|(_, alarm)| *alarm == none));
}

#[tokio::test]
async fn a_vehicle_without_a_remote_lock_begins_and_ends_its_rental_at_its_return() {
    let world = World::new().await;
    world.class_of(&["a"], false).await;
    world.quiet().await;
    let id = world.hire("ann", "1", one()).await;
    let refused = world.unlock("ann", "2", id).await.expect_err("by a person");
    assert_eq!(refused.code(), "INVALID_INPUT");
    let asked = request("ann", "completeRental", "3");
    let backwards = world.engine.complete_rental(&asked, id, METRES - 1, 50, None);
    assert_eq!(backwards.await.expect_err("V4").code(), "ODOMETER_DECREASED");
    world.give_back("ann", "4", id, 7_000).await.expect("back");
    world.quiet().await;
    assert!(world.is(id, Status::Completed).await);
    let a = world.vehicle("a").await;
    assert_eq!((a.rental(), a.odometer_m()), (Rental::Available, METRES + 7_000));
    assert!(world.link.sent().is_empty());
}

// S0-34 to S0-37, D36
#[tokio::test]
async fn a_damage_is_charged_once_on_the_means_of_the_rental() {
    let world = World::new().await;
    world.fleet_of(&["a"]).await;
    world.link.behave(Manner::Obedient);
    let id = world.hire("ann", "1", one()).await;
    let photo = Photo {
        sha256: "ab".repeat(32),
        media_type: "image/jpeg".into(),
        url: "https://photos.example/1".into(),
    };
    let seen = |estimate: Option<Money>| SubmitInspection {
        reservation_id: id,
        description: "a scratch".into(),
        photos: vec![photo.clone()],
        estimate,
    };
    let submit = async |who: &str, key: &str, seen: SubmitInspection| {
        let asked = request(who, "submitInspection", key);
        world.engine.submit_inspection(&asked, seen).await
    };
    let early = submit("ann", "1", seen(None)).await;
    assert_eq!(early.expect_err("nothing was driven").code(), "NOT_STARTED");
    world.unlock("ann", "2", id).await.expect("hers");
    world.give_back("ann", "3", id, 1).await.expect("back");
    let made = submit("ann", "4", seen(Some(eur(20_000)))).await.expect("hers");
    assert_eq!(made.state.status, ClaimStatus::Pending);
    let again = submit("ann", "4", seen(Some(eur(20_000)))).await;
    assert!(again.expect("the same").done.replayed);
    let other = submit("bob", "4", seen(None)).await;
    assert_eq!(other.expect_err("not his").code(), "NOT_FOUND");
    let decide = operator("decideDamageClaim", "5");
    for _ in 0..2 {
        let decided = world.engine.decide_damage_claim(&decide, made.id, true, None).await;
        decided.expect("an operator");
    }
    world.quiet().await;
    let state = world.engine.load::<holdfast_domain::inspection::State>(&made.id).await;
    let state = state.expect("readable").state;
    assert_eq!((state.status, state.charged), (ClaimStatus::Charged, Some(eur(20_000))));
    assert_eq!(world.bank.kept(), RENT + 20_000);
    world.bank.nothing_was_done_twice();
}
