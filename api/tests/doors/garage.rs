//! Vehicles without a broker: the engine's link hands each order to a car that behaves as it is told to.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use async_trait::async_trait;
use holdfast_domain::VehicleId;
use holdfast_domain::process::VehicleCall;
use holdfast_domain::vehicle::{Answer, CommandKind};
use holdfast_engine::ports::{Sent, VehicleLink};
use holdfast_engine::{Engine, VehicleAnswerIn};
use reqwest::StatusCode;
use serde_json::json;

use crate::world::World;
use holdfast_api::token::Role;

/// What a car does when it is sent something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As it is told, at once.
    #[default]
    Obeys,
    /// Nothing.
    Silent,
    /// Its lock is stuck.
    Jammed,
}

#[derive(Default)]
pub(crate) struct Garage {
    engine: OnceLock<Engine>,
    cars: Mutex<HashMap<VehicleId, Manner>>,
    sent: Mutex<Vec<VehicleCall>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Garage {
    pub(crate) fn opens(&self, engine: Engine) {
        assert!(self.engine.set(engine).is_ok(), "a garage has one engine");
    }

    pub(crate) fn behave(&self, car: &str, manner: Manner) {
        let id = VehicleId::new(car).unwrap();
        *locked(&self.cars).get_mut(&id).unwrap() = manner;
    }

    /// What was sent to a car so far.
    pub(crate) fn sent_to(&self, car: &str) -> Vec<VehicleCall> {
        let sent = locked(&self.sent);
        sent.iter().filter(|call| call.vehicle_id.as_str() == car).cloned().collect()
    }

    /// The car answers what it was sent last, late or again.
    pub(crate) async fn answers(&self, car: &str) {
        let call = self.sent_to(car).pop().unwrap();
        self.answer(&call, done(call.kind)).await;
    }

    async fn answer(&self, call: &VehicleCall, answer: Answer) {
        let engine = self.engine.get().unwrap();
        let told = VehicleAnswerIn {
            kind: call.kind,
            answer,
            command_id: call.command_id,
            device_time: engine.now(),
            odometer_m: None,
            fuel_pct: None,
        };
        engine.vehicle_answered(call.vehicle_id.clone(), told).await.unwrap();
    }
}

fn done(kind: CommandKind) -> Answer {
    match kind {
        CommandKind::Unlock => Answer::Unlocked,
        CommandKind::Lock => Answer::Locked,
    }
}

#[async_trait]
impl VehicleLink for Garage {
    async fn send(&self, call: &VehicleCall) -> Sent {
        locked(&self.sent).push(call.clone());
        let manner = locked(&self.cars).get(&call.vehicle_id).copied();
        match manner.unwrap_or(Manner::Silent) {
            Manner::Obeys => self.answer(call, done(call.kind)).await,
            Manner::Jammed => self.answer(call, Answer::Jammed).await,
            Manner::Silent => {}
        }
        Sent::Handed
    }
}

impl World {
    /// A class of vehicles, at 25 euros a rental.
    pub(crate) async fn class(&self, sku: &str) {
        let admin = self.token("admin", Role::Admin);
        let price = json!({"amountMinor": "2500", "currency": "EUR"});
        let item = json!({"idempotencyKey": format!("item-{sku}"), "sku": sku, "name": "A car",
            "kind": "VEHICLE_CLASS", "price": price});
        self.accepted(&admin, "createItem", item).await;
    }

    /// A car of a class, at 12,345 km, that is online and obeys.
    pub(crate) async fn car(&self, id: &str, sku: &str) {
        let operator = self.token("op", Role::Operator);
        let vehicle = json!({"idempotencyKey": format!("car-{id}"), "id": id, "vin": format!("VIN-{id}"),
            "sku": sku, "odometerMetres": "12345000", "fuelPercent": 80});
        self.accepted(&operator, "registerVehicle", vehicle).await;
        let name = VehicleId::new(id).unwrap();
        locked(&self.garage.cars).insert(name.clone(), Manner::Obeys);
        self.engine.vehicle_connected(name, 1).await.unwrap();
        self.settled().await;
    }

    /// A paid rental of a class from now on: the reservation and its car.
    pub(crate) async fn rented(&self, token: &str, key: &str, sku: &str) -> (String, String) {
        let booked = self.post("/bookings", token, key, json!({"vehicle_type": sku})).await;
        assert_eq!(booked.status, StatusCode::CREATED, "{booked:?}");
        let booked = booked.json();
        let id = booked["reservation_id"].as_str().unwrap().to_owned();
        let car = booked["vehicle_id"].as_str().unwrap().to_owned();
        let pay = json!({"reservation_id": id, "payment_method": "tok_approve"});
        let paid = self.post("/payments", token, &format!("pay-{key}"), pay).await;
        assert_eq!(paid.status, StatusCode::OK, "{paid:?}");
        self.engine.quiet().await;
        self.settled().await;
        (id, car)
    }
}
