//! How long an unlock takes in the engine alone: a thousand vehicles tell of themselves once a second, and
//! answer at once. What the broker adds is measured with it (`benches/`).
//!
//! ```sh
//! cargo test --release -p holdfast-engine --lib latency -- --ignored --nocapture
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use holdfast_domain::ReservationId;
use holdfast_domain::item::{self, Kind};
use holdfast_domain::reservation::{Channel, LatePayment, OnDecline};
use holdfast_domain::vehicle::Telemetry;
use holdfast_store::embedded::{Embedded, Options};

use super::bank::Bank;
use super::cars::{COMPACT, METRES, car, one};
use super::link::{Manner, SimLink};
use super::world::{eur, operator, request, settings, sku};
use crate::clock::SystemClock;
use crate::side::Side;
use crate::{Engine, Parts, Settings, Snapshots, StartPayment, SystemIds, VehicleRegistration};

const VEHICLES: usize = 1_000;
const UNLOCKS: usize = 400;

async fn rented(engine: &Engine, n: usize) -> ReservationId {
    let who = format!("u{n}");
    let asked = request(&who, "createReservation", "1");
    let made = engine.create_reservation(&asked, one(), Channel::Other).await.expect("free");
    let wish = StartPayment {
        reservation_id: made.id,
        gateway: None,
        method: Some("approve".into()),
        hosted: false,
    };
    engine.start_payment(&request(&who, "startPayment", "1"), wish).await.expect("money");
    made.id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: run it with --release"]
async fn an_unlock_among_a_thousand_vehicles() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Embedded::open(directory.path(), Options::default()).expect("a new log");
    let link = Arc::new(SimLink::default());
    let parts = Parts {
        store: Arc::new(store),
        clock: Arc::new(SystemClock::default()),
        ids: Arc::new(SystemIds),
        gateways: vec![Arc::new(Bank::new())],
        vehicles: link.clone(),
        side: Side::open(directory.path().join("side.sqlite")).await.expect("a new file"),
        snapshots: Snapshots::none(),
        settings: Settings { live_holds_per_customer: u32::MAX, ..settings() },
    };
    let (engine, running) = Engine::start(parts).await.expect("a good start");
    link.serves(&engine);
    link.behave(Manner::Obedient);
    let description = item::Description {
        name: "Compact".into(),
        kind: Kind::VehicleClass,
        category: None,
        price: eur(9_000),
        max_per_user: None,
        on_decline: OnDecline::Release,
        late_payment: LatePayment::TryReacquire,
        remote_unlock: true,
    };
    let asked = operator("createItem", COMPACT);
    engine.create_item(&asked, sku(COMPACT), description).await.expect("a good item");
    for n in 0..VEHICLES {
        let name = format!("v{n}");
        let registration = VehicleRegistration {
            vin: name.clone(),
            sku: sku(COMPACT),
            odometer_m: METRES,
            fuel_pct: Some(80),
        };
        let asked = operator("registerVehicle", &name);
        engine.register_vehicle(&asked, car(&name), registration).await.expect("registered");
        engine.vehicle_connected(car(&name), 1).await.expect("recorded");
    }
    let mut rentals = Vec::new();
    for n in 0..UNLOCKS {
        rentals.push(rented(&engine, n).await);
    }
    let (over, told) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let talking: Vec<_> = (0..VEHICLES)
        .map(|n| {
            let (engine, over, told) = (engine.clone(), over.clone(), told.clone());
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_micros(n as u64 * 1_000)).await;
                let mut every = tokio::time::interval(Duration::from_secs(1));
                for seq in 1.. {
                    every.tick().await;
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                    let telemetry = Telemetry {
                        boot: 1,
                        seq,
                        odometer_m: Some(METRES + seq * 10),
                        fuel_pct: Some(80),
                        device_time: engine.now(),
                        ..Telemetry::default()
                    };
                    let id = car(&format!("v{n}"));
                    engine.vehicle_telemetry(id, telemetry).await.expect("registered");
                    told.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (begun, before) = (Instant::now(), told.load(Ordering::Relaxed));
    let mut took = Vec::new();
    for (n, id) in rentals.into_iter().enumerate() {
        tokio::time::sleep(Duration::from_millis(25)).await;
        let asked = request(&format!("u{n}"), "unlockVehicle", "1");
        let start = Instant::now();
        engine.unlock_vehicle(&asked, id).await.expect("open");
        took.push(start.elapsed());
    }
    let heard = told.load(Ordering::Relaxed) - before;
    let a_second = heard as f64 / begun.elapsed().as_secs_f64();
    over.store(true, Ordering::Relaxed);
    for task in talking {
        task.await.expect("no panic");
    }
    running.stop().await;
    took.sort();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    println!(
        "{UNLOCKS} unlocks, {VEHICLES} vehicles, {a_second:.0} messages a second: p50 {:?}, p90 {:?}, \
         p99 {:?}, most {:?}",
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0)
    );
    assert!(at(0.5) <= Duration::from_millis(5) && at(0.99) <= Duration::from_millis(50));
}
