//! What customers and operators do with vehicles, in short words.

use std::time::Duration;

use holdfast_domain::item::{self, Kind};
use holdfast_domain::process::VehicleCall;
use holdfast_domain::reservation::{LatePayment, OnDecline, Status};
use holdfast_domain::vehicle::{self, Answer};
use holdfast_domain::{Period, ReservationId, VehicleId};
use tokio::task::JoinHandle;

use super::link::{obeyed, says};
use super::world::{NOON, World, eur, operator, request, secs, sku};
use crate::{Done, LineRequest, Rejection, ReservationAnswer, VehicleAnswer, VehicleRegistration};

pub(super) const COMPACT: &str = "compact";
/// What one costs.
pub(super) const RENT: i64 = 9_000;
/// Where every odometer stands at first.
pub(super) const METRES: u64 = 50_000_000;

pub(super) fn car(name: &str) -> VehicleId {
    name.parse().expect("a name")
}

/// A vehicle of the class, now.
pub(super) fn one() -> Vec<LineRequest> {
    lines(None)
}

/// A vehicle of the class from one second after noon to another.
pub(super) fn during(from: u64, until: u64) -> Vec<LineRequest> {
    lines(Some(span(from, until)))
}

pub(super) fn span(from: u64, until: u64) -> Period {
    Period { from: NOON.plus(secs(from)), until: NOON.plus(secs(until)) }
}

fn lines(period: Option<Period>) -> Vec<LineRequest> {
    let (seat_ids, section) = (vec![], None);
    vec![LineRequest::Item { sku: sku(COMPACT), quantity: 1, seat_ids, section, period }]
}

impl World {
    /// A class, and vehicles of it that are connected.
    pub(super) async fn fleet_of(&self, names: &[&str]) {
        self.class_of(names, true).await;
        for name in names {
            self.engine.vehicle_connected(car(name), 1).await.expect("registered");
        }
        self.quiet().await;
    }

    /// A class, and vehicles of it that nobody has heard of yet.
    pub(super) async fn class_of(&self, names: &[&str], remote_unlock: bool) {
        let description = item::Description {
            name: "Compact".into(),
            kind: Kind::VehicleClass,
            category: None,
            price: eur(RENT),
            max_per_user: None,
            on_decline: OnDecline::Release,
            late_payment: LatePayment::TryReacquire,
            remote_unlock,
        };
        let asked = operator("createItem", COMPACT);
        self.engine.create_item(&asked, sku(COMPACT), description).await.expect("a good item");
        for name in names {
            self.register(name, name).await.expect("a good vehicle");
        }
    }

    pub(super) async fn register(&self, key: &str, name: &str) -> Result<Done, Rejection> {
        let registration = VehicleRegistration {
            vin: format!("VIN-{name}"),
            sku: sku(COMPACT),
            odometer_m: METRES,
            fuel_pct: Some(80),
        };
        let asked = operator("registerVehicle", key);
        self.engine.register_vehicle(&asked, car(name), registration).await
    }

    /// Held, paid, and committed.
    pub(super) async fn hire(
        &self,
        who: &str,
        key: &str,
        lines: Vec<LineRequest>,
    ) -> ReservationId {
        let id = self.reserve(who, key, lines).await.expect("one is free").id;
        self.pay(who, &format!("pay {key}"), id, "approve").await.expect("money");
        self.quiet().await;
        id
    }

    pub(super) async fn unlock(
        &self,
        who: &str,
        key: &str,
        id: ReservationId,
    ) -> Result<VehicleAnswer, Rejection> {
        self.engine.unlock_vehicle(&request(who, "unlockVehicle", key), id).await
    }

    /// Asks for an unlock and waits in the background.
    pub(super) fn unlocking(
        &self,
        who: &str,
        key: &str,
        id: ReservationId,
    ) -> JoinHandle<Result<VehicleAnswer, Rejection>> {
        let (engine, request) = (self.engine.clone(), request(who, "unlockVehicle", key));
        tokio::spawn(async move { engine.unlock_vehicle(&request, id).await })
    }

    /// Until so many wait for a vehicle's answer.
    pub(super) async fn waited_for(&self, name: &str, count: usize) {
        let stream = holdfast_store::StreamId::new(format!("vehicle-{name}"));
        let bells = &self.engine.core().index.bells;
        while bells.waiting_for(&stream) < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub(super) async fn give_back(
        &self,
        who: &str,
        key: &str,
        id: ReservationId,
        driven_m: u64,
    ) -> Result<ReservationAnswer, Rejection> {
        let request = request(who, "completeRental", key);
        self.engine.complete_rental(&request, id, METRES + driven_m, 60, None).await
    }

    /// The vehicle says that it has done as it was told.
    pub(super) async fn obey(&self, call: &VehicleCall) {
        let id = call.vehicle_id.clone();
        self.engine.vehicle_answered(id, obeyed(call)).await.expect("recorded");
        self.quiet().await;
    }

    pub(super) async fn answer(&self, call: &VehicleCall, answer: Answer) {
        let id = call.vehicle_id.clone();
        self.engine.vehicle_answered(id, says(call, answer)).await.expect("recorded");
        self.quiet().await;
    }

    pub(super) async fn vehicle(&self, name: &str) -> vehicle::State {
        self.engine.load::<vehicle::State>(&car(name)).await.expect("readable").state
    }

    /// How often a kind of event stands in a vehicle's stream.
    pub(super) async fn times(&self, name: &str, kind: &str) -> usize {
        let kinds = self.kinds(&format!("vehicle-{name}")).await;
        kinds.iter().filter(|it| *it == kind).count()
    }

    pub(super) async fn is(&self, id: ReservationId, status: Status) -> bool {
        self.status(id).await == status
    }

    /// Lets time go by in small steps, so that each timer meets its own moment.
    pub(super) async fn pass_slowly(&self, span: Duration) {
        let step = Duration::from_millis(500);
        for _ in 0..span.as_millis() / step.as_millis() {
            self.pass(step).await;
        }
    }
}
