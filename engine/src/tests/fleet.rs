//! Vehicles join the fleet, leave the service, come back: one append each with the class's count. And the
//! process may die anywhere in a whole rental.

use std::future::Future;

use holdfast_domain::reservation::Status;
use holdfast_domain::vehicle::Rental;
use holdfast_domain::{ReservationId, VehicleId};

use super::cars::{COMPACT, METRES, RENT, car, one};
use super::link::Manner;
use super::world::{Mortal, World, eur, operator, secs, settings, sku};
use crate::settings::Protections;
use crate::{Rejection, VehicleRegistration};

async fn until_death<T>(world: &World, work: impl Future<Output = T>) -> bool {
    let store = world.store.clone();
    tokio::select! {
        () = store.died() => true,
        _ = async { work.await; world.quiet().await; } => false,
    }
}

/// A vehicle is registered by a process that dies at append `n`, before or after it was recorded; its
/// operator repeats. How many vehicles there are, and how many the class counts.
async fn registered_by_the_dying(
    protections: Protections,
    append: i64,
    after: bool,
) -> (bool, usize, u32) {
    let mut world = World::with(settings(), protections).await;
    world.class_of(&[], true).await;
    world.quiet().await;
    let mortal = Mortal::dying_at(world.log.clone(), append, after);
    world.restart_on(mortal).await;
    let died = until_death(&world, world.register("1", "a")).await;
    world.restart().await;
    world.register("1", "a").await.expect("the same request");
    world.register("2", "a").await.expect("already so");
    world.quiet().await;
    let kinds = world.kinds("vehicle-a").await;
    let there = kinds.iter().filter(|kind| *kind == "vehicle.registered").count();
    (died, there, world.pool(COMPACT).await.total())
}

#[tokio::test]
async fn register_is_atomic_under_crashes() {
    for after in [false, true] {
        for append in 0.. {
            let (died, vehicles, counted) =
                registered_by_the_dying(Protections::default(), append, after).await;
            assert_eq!((vehicles, counted), (1, 1), "append {append}, after {after}");
            if !died {
                assert_eq!(append, 1, "one append is all there is");
                break;
            }
        }
    }
}

#[tokio::test]
async fn twin_two_appends_leave_a_vehicle_that_its_class_does_not_count() {
    let off = Protections { one_append: false, ..Protections::default() };
    let (died, vehicles, counted) = registered_by_the_dying(off, 0, true).await;
    assert_eq!((died, vehicles, counted), (true, 1, 0));
}

#[tokio::test]
async fn an_append_whose_answer_is_lost_is_found_again() {
    let world = World::new().await;
    world.class_of(&[], true).await;
    world.store.lose_answers(1);
    world.register("1", "a").await.expect("looked up");
    assert_eq!(world.kinds("vehicle-a").await, ["vehicle.registered"]);
    assert_eq!(world.pool(COMPACT).await.total(), 1);
    world.store.fill(true);
    let refused = world.register("2", "b").await.expect_err("no room");
    assert_eq!(refused.code(), "UNAVAILABLE");
    world.store.fill(false);
    world.register("2", "b").await.expect("room again");
    assert_eq!(world.pool(COMPACT).await.total(), 2);
}

#[tokio::test]
async fn two_nodes_that_register_at_once_count_each_vehicle_once() {
    let world = World::new().await;
    world.class_of(&["a"], true).await;
    let (other, _running) = world.second_node().await;
    let _ = other.load::<holdfast_domain::inventory::State>(&sku(COMPACT)).await;
    let registration = |name: &str| VehicleRegistration {
        vin: name.into(),
        sku: sku(COMPACT),
        odometer_m: METRES,
        fuel_pct: None,
    };
    for n in 0..20 {
        let (here, there) = (format!("h{n}"), format!("t{n}"));
        let elsewhere = operator("registerVehicle", &there);
        let (one, two) = tokio::join!(
            world.register(&here, &here),
            other.register_vehicle(&elsewhere, car(&there), registration(&there)),
        );
        one.expect("registered");
        two.expect("registered");
    }
    assert_eq!(world.pool(COMPACT).await.total(), 41);
}

#[tokio::test]
async fn what_is_no_vehicle_of_a_class_is_not_registered() {
    let world = World::new().await;
    world.class_of(&["a"], true).await;
    world.shirts(1).await;
    let refused = async |name: &str, class: &str, vin: &str| {
        let registration = VehicleRegistration {
            vin: vin.into(),
            sku: sku(class),
            odometer_m: METRES,
            fuel_pct: Some(50),
        };
        let asked = operator("registerVehicle", &format!("{name}{class}{vin}"));
        let registered = world.engine.register_vehicle(&asked, car(name), registration);
        registered.await.expect_err("not like this").code()
    };
    let head = world.log.head();
    assert_eq!(refused("b", "shirt", "VIN").await, "INVALID_INPUT");
    assert_eq!(refused("b", "nothing", "VIN").await, "NOT_FOUND");
    assert_eq!(refused("b", COMPACT, " ").await, "INVALID_INPUT");
    assert_eq!(refused("a", COMPACT, "another").await, "VERSION_CONFLICT");
    assert_eq!(world.log.head(), head, "nothing is half recorded");
    let stock = operator("receiveStock", COMPACT);
    let stocked = world.engine.receive_stock(&stock, sku(COMPACT), 1).await;
    assert_eq!(stocked.expect_err("its vehicles count").code(), "INVALID_INPUT");
}

#[tokio::test]
async fn out_of_service_and_back_counts_in_the_class() {
    let world = World::new().await;
    world.fleet_of(&["a", "b"]).await;
    let serve = async |key: &str, in_service: bool| {
        let asked = operator("setVehicleService", key);
        world.engine.set_vehicle_service(&asked, car("a"), in_service, None).await
    };
    serve("1", false).await.expect("an operator");
    assert_eq!(world.pool(COMPACT).await.total(), 1);
    assert_eq!(world.vehicle("a").await.rental(), Rental::NonOperational);
    assert!(serve("1", false).await.expect("the same").replayed);
    serve("2", false).await.expect("already so");
    assert_eq!(world.pool(COMPACT).await.total(), 1);
    let made = world.reserve("ann", "1", one()).await.expect("the other one");
    assert_eq!(made.state.vehicle_id, Some(car("b")));
    serve("3", true).await.expect("repaired");
    world.quiet().await;
    assert_eq!(world.pool(COMPACT).await.total(), 2);
    assert_eq!(world.vehicle("a").await.rental(), Rental::Available);
    let nobody = operator("setVehicleService", "4");
    let nobody: Result<_, Rejection> =
        world.engine.set_vehicle_service(&nobody, car("nobody"), false, None).await;
    assert_eq!(nobody.expect_err("no such vehicle").code(), "NOT_FOUND");
}

#[tokio::test]
async fn the_fleet_is_known_after_a_restart_and_after_its_rows_are_lost() {
    let mut world = World::new().await;
    world.fleet_of(&["a", "b"]).await;
    let id = world.hire("ann", "1", one()).await;
    let taken = world.reservation(id).await.vehicle_id.expect("a vehicle");
    let rows = |world: &World| {
        let mut rows = world.engine.fleet().of_class(&sku(COMPACT));
        rows.sort_by(|(a, _), (b, _)| a.cmp(b));
        rows
    };
    let before = rows(&world);
    assert_eq!(before.len(), 2);
    world.stop().await;
    assert_eq!(world.side.fleet().await.expect("readable").len(), 2, "it is written down");
    world.restart().await;
    world.quiet().await;
    assert_eq!(rows(&world), before);
    world.restart_without_side().await;
    world.quiet().await;
    assert_eq!(rows(&world), before);
    let of = |rows: &[(VehicleId, crate::FleetVehicle)]| {
        rows.iter().find(|(id, _)| *id == taken).and_then(|(_, row)| row.reservation)
    };
    assert_eq!(of(&rows(&world)), Some(id));
}

/// Registered, hired, paid, opened, given back, with keys that stay the same.
async fn whole_rental(world: &World) -> Result<ReservationId, Rejection> {
    world.register("a", "a").await?;
    let id = world.reserve("ann", "reserve", one()).await?.id;
    world.pay("ann", "pay", id, "approve").await?;
    world.unlock("ann", "unlock", id).await?;
    world.give_back("ann", "return", id, 9_000).await?;
    Ok(id)
}

// D20, D21, fault 43
#[tokio::test]
async fn crash_matrix_of_a_rental() {
    let mut deaths = 0;
    for after in [false, true] {
        for lose_side in [false, true] {
            for append in 0.. {
                let mut world = World::new().await;
                world.class_of(&[], true).await;
                world.link.behave(Manner::Obedient);
                world.quiet().await;
                let mortal = Mortal::dying_at(world.log.clone(), append, after);
                world.restart_on(mortal).await;
                let died = until_death(&world, whole_rental(&world)).await;
                if lose_side {
                    world.restart_without_side().await;
                } else {
                    world.restart().await;
                }
                let told = format!("append {append}, after {after}, side lost {lose_side}");
                let id = whole_rental(&world).await.unwrap_or_else(|no| panic!("{told}: {no}"));
                world.quiet().await;
                is_over(&world, id, &told).await;
                if !died {
                    break;
                }
                deaths += 1;
            }
        }
    }
    assert!(deaths > 60, "only {deaths} deaths");
}

async fn is_over(world: &World, id: ReservationId, told: &str) {
    let state = world.reservation(id).await;
    assert_eq!((state.status, state.vehicle_id), (Status::Completed, Some(car("a"))), "{told}");
    let a = world.vehicle("a").await;
    assert_eq!((a.rental(), a.odometer_m()), (Rental::Available, METRES + 9_000), "{told}");
    assert_eq!(world.pool(COMPACT).await.total(), 1, "{told}");
    assert_eq!(world.pool(COMPACT).await.available(), 1, "{told}");
    assert_eq!(world.bank.kept(), RENT, "{told}");
    world.bank.nothing_was_done_twice();
    for kind in ["vehicle.registered", "vehicle.unlocked", "vehicle.trip-ended"] {
        assert_eq!(world.times("a", kind).await, 1, "{told}: {kind}");
    }
    let letters = world.engine.health().consumers;
    assert!(letters.iter().all(|consumer| consumer.dead_letters == 0), "{told}");
}

#[tokio::test]
async fn a_fuel_charge_is_a_payment_of_its_own() {
    let mut charging = settings();
    charging.process.fuel_charge_minor_per_percent = 100;
    let world = World::with(charging, Protections::default()).await;
    world.fleet_of(&["a"]).await;
    world.link.behave(Manner::Obedient);
    let id = world.hire("ann", "1", one()).await;
    world.unlock("ann", "2", id).await.expect("hers");
    world.give_back("ann", "3", id, 1_000).await.expect("back");
    world.pass(secs(1)).await;
    let extra = world.payment(id.extra_payment_id("fuel")).await;
    assert_eq!(extra.amount(), Some(eur(2_000)), "80 % became 60 %");
    assert_eq!(world.bank.kept(), RENT + 2_000);
}
