//! Whom vehicles' words are taken to: the engine, or in tests somebody who writes them down.

use async_trait::async_trait;
use holdfast_domain::vehicle::{IgnoredWhy, Telemetry};
use holdfast_domain::{Timestamp, VehicleId};
use holdfast_engine::{Engine, Rejection, VehicleAnswerIn};
use holdfast_schemas::mqtt::Status;
use uuid::Uuid;

/// Why it was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Not now: the same again later.
    #[error("not now: {0}")]
    Passing(String),
    /// Not at all: there is no such vehicle, or it means nothing to it. Not to be repeated.
    #[error("refused: {0}")]
    Refused(String),
}

/// Whom vehicles' words are taken to. Each may come twice, and late: whoever takes them knows.
#[async_trait]
pub trait Desk: Send + Sync + 'static {
    /// A vehicle has answered; its `mac` was right.
    async fn answered(&self, vehicle: &VehicleId, answer: VehicleAnswerIn) -> Result<(), Trouble>;

    /// Somebody has answered in a vehicle's name; to be recorded, not believed.
    async fn answer_ignored(
        &self,
        vehicle: &VehicleId,
        command_id: Option<Uuid>,
        status: Status,
        why: IgnoredWhy,
    ) -> Result<(), Trouble>;

    /// A vehicle is connected.
    async fn connected(&self, vehicle: &VehicleId, boot: u64) -> Result<(), Trouble>;

    /// A vehicle's connection is lost. `boot` is the one that was lost; none when its will does not say.
    async fn lost(
        &self,
        vehicle: &VehicleId,
        boot: Option<u64>,
        last_seen: Timestamp,
    ) -> Result<(), Trouble>;

    /// A sample of what a vehicle's sensors say.
    async fn sampled(&self, vehicle: &VehicleId, telemetry: Telemetry) -> Result<(), Trouble>;
}

#[async_trait]
impl Desk for Engine {
    async fn answered(&self, vehicle: &VehicleId, answer: VehicleAnswerIn) -> Result<(), Trouble> {
        self.vehicle_answered(vehicle.clone(), answer).await.map_err(trouble)
    }

    async fn answer_ignored(
        &self,
        vehicle: &VehicleId,
        command_id: Option<Uuid>,
        status: Status,
        why: IgnoredWhy,
    ) -> Result<(), Trouble> {
        let status = status.as_str().to_owned();
        self.vehicle_answer_ignored(vehicle.clone(), command_id, status, why).await.map_err(trouble)
    }

    async fn connected(&self, vehicle: &VehicleId, boot: u64) -> Result<(), Trouble> {
        self.vehicle_connected(vehicle.clone(), boot).await.map_err(trouble)
    }

    async fn lost(
        &self,
        vehicle: &VehicleId,
        boot: Option<u64>,
        last_seen: Timestamp,
    ) -> Result<(), Trouble> {
        // A will that does not say is that of whatever connection was last.
        let boot = boot.unwrap_or(u64::MAX);
        self.vehicle_lost(vehicle.clone(), boot, last_seen).await.map_err(trouble)
    }

    async fn sampled(&self, vehicle: &VehicleId, telemetry: Telemetry) -> Result<(), Trouble> {
        self.vehicle_telemetry(vehicle.clone(), telemetry).await.map_err(trouble)
    }
}

/// Trouble of the engine's store passes; a refusal does not.
fn trouble(rejection: Rejection) -> Trouble {
    let told = rejection.to_string();
    match rejection {
        // Said again it takes effect once: whatever was recorded is known to the vehicle's stream.
        Rejection::Unavailable(_) | Rejection::OutcomeUnknown(_) | Rejection::InFlight => {
            Trouble::Passing(told)
        }
        Rejection::Refused { .. }
        | Rejection::NotFound(_)
        | Rejection::InvalidInput(_)
        | Rejection::TooManyHolds { .. }
        | Rejection::VersionConflict { .. }
        | Rejection::Vehicle { .. }
        | Rejection::KeyReused => Trouble::Refused(told),
    }
}
