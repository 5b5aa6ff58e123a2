//! The engine as the desk that vehicles' words are taken to.

use async_trait::async_trait;
use holdfast_domain::vehicle::{self, CommandKind, Telemetry};
use holdfast_domain::{Timestamp, VehicleId};
use holdfast_engine::{Engine, Rejection, VehicleAnswerIn};
use holdfast_schemas::mqtt::{Status, Word};
use uuid::Uuid;

use crate::{AnswerIn, Desk, IgnoredWhy, SampleIn, Trouble};

#[async_trait]
impl Desk for Engine {
    async fn answered(&self, vehicle: &VehicleId, answer: AnswerIn) -> Result<(), Trouble> {
        let kind = match answer.word {
            Word::Unlock => CommandKind::Unlock,
            Word::Lock => CommandKind::Lock,
        };
        let told = VehicleAnswerIn {
            kind,
            answer: match answer.status {
                Status::Unlocked => vehicle::Answer::Unlocked,
                Status::Locked => vehicle::Answer::Locked,
                Status::Jammed => vehicle::Answer::Jammed,
                Status::Rejected => vehicle::Answer::Rejected,
                Status::Expired => vehicle::Answer::Expired,
            },
            command_id: answer.command_id,
            device_time: answer.device_time,
            odometer_m: answer.odometer_m,
            fuel_pct: answer.fuel_pct,
        };
        self.vehicle_answered(vehicle.clone(), told).await.map_err(trouble)
    }

    async fn answer_ignored(
        &self,
        vehicle: &VehicleId,
        command_id: Option<Uuid>,
        status: Status,
        why: IgnoredWhy,
    ) -> Result<(), Trouble> {
        let why = match why {
            IgnoredWhy::BadMac => vehicle::IgnoredWhy::BadMac,
        };
        let status = status.as_str().to_owned();
        let told = self.vehicle_answer_ignored(vehicle.clone(), command_id, status, why);
        told.await.map_err(trouble)
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
        // A will that names no boot is about whichever was there last.
        let boot = boot.unwrap_or(u64::MAX);
        self.vehicle_lost(vehicle.clone(), boot, last_seen).await.map_err(trouble)
    }

    async fn sampled(&self, vehicle: &VehicleId, sample: SampleIn) -> Result<(), Trouble> {
        let telemetry = Telemetry {
            boot: sample.boot,
            seq: sample.seq,
            odometer_m: sample.odometer_m,
            fuel_pct: sample.fuel_pct,
            is_locked: sample.is_locked,
            latitude_udeg: sample.position_microdeg.map(|(latitude, _)| latitude),
            longitude_udeg: sample.position_microdeg.map(|(_, longitude)| longitude),
            speed_kmh: sample.speed_kmh,
            device_time: sample.at,
        };
        self.vehicle_telemetry(vehicle.clone(), telemetry).await.map_err(trouble)
    }
}

/// What the store cannot take now it may take later; what the rules refuse they refuse again.
fn trouble(rejection: Rejection) -> Trouble {
    let told = rejection.to_string();
    match rejection {
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
