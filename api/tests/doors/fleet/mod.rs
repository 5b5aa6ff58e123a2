//! S0 and S1 through the doors: booking a class, unlocking, driving, returning, damage; and who sees what.

mod classes;
mod orders;
mod rental;
mod sight;

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::World;

pub(crate) const VEHICLE: &str = "query($id: ID!) { vehicle(id: $id) { id vin sku status lock online \
    odometerMetres fuelPercent lastSeen } }";

pub(crate) const OBEYED: &str = "... on VehicleCommandSuccess { position vehicle { id status lock } \
    reservation { id status vehicle { id } } } \
    ... on VehicleUnreachable { code message retryAfterMs } ... on Refused { code message }";

pub(crate) const INSPECTED: &str = "... on InspectionSuccess { position inspection { id reservationId \
    description claimStatus amount { amountMinor } photos { sha256 } } } \
    ... on Refused { code message }";

/// A world with a class of one car, whose orders fail after a moment rather than 20 s.
pub(crate) async fn world() -> World {
    let world = World::tuned(|_, settings| {
        settings.process.unlock_attempt = Duration::from_millis(100);
        settings.process.unlock_deadline = Duration::from_millis(400);
        settings.tick = Duration::from_millis(10);
    })
    .await;
    world.class("compact").await;
    world.car("car-1", "compact").await;
    world
}

pub(crate) async fn available(world: &World) -> Value {
    let at = world.head();
    let stock = world.get(&format!("/inventory/compact?min_position={at}"), None).await.json();
    json!([stock["available"], stock["held"], stock["committed"]])
}

pub(crate) async fn seen(world: &World, token: &str, car: &str) -> Value {
    world.settled().await;
    world.graphql(Some(token), VEHICLE, json!({"id": car})).await["data"]["vehicle"].clone()
}
