//! What vehicles say by themselves. Signatures are checked by whoever hands it in; that a thing is said
//! twice, late, or by nobody in particular, the vehicle's own state tells.
//!
//! Most telemetry records nothing: it is judged on the state in memory and let go.

use holdfast_domain::vehicle::{Command, IgnoredWhy, State, Telemetry};
use holdfast_domain::{Timestamp, VehicleId};
use holdfast_schemas::Actor;
use uuid::Uuid;

use crate::dispatch::Context;
use crate::{Engine, Rejection, VehicleAnswerIn};

impl Engine {
    /// A vehicle has answered a command. `Ok` when that is durable, or changed nothing.
    pub async fn vehicle_answered(
        &self,
        id: VehicleId,
        answer: VehicleAnswerIn,
    ) -> Result<(), Rejection> {
        let VehicleAnswerIn { kind, answer, command_id, device_time, odometer_m, fuel_pct } =
            answer;
        let grace = self.settings().process.late_grace;
        let told =
            Command::Answer { command_id, kind, answer, device_time, odometer_m, fuel_pct, grace };
        self.told(id, told, Some(command_id)).await
    }

    /// Something came in a vehicle's name that is no answer of it: kept for the audit (D35).
    pub async fn vehicle_answer_ignored(
        &self,
        id: VehicleId,
        command_id: Option<Uuid>,
        status: String,
        why: IgnoredWhy,
    ) -> Result<(), Rejection> {
        self.told(id, Command::IgnoreAnswer { command_id, status, why }, command_id).await
    }

    /// A vehicle is there, since its `boot`-th start.
    pub async fn vehicle_connected(&self, id: VehicleId, boot: u64) -> Result<(), Rejection> {
        self.told(id, Command::ConnectionRestored { boot }, None).await
    }

    /// Its Last Will says that it is gone; `boot`: since which start it had been there.
    pub async fn vehicle_lost(
        &self,
        id: VehicleId,
        boot: u64,
        last_seen: Timestamp,
    ) -> Result<(), Rejection> {
        self.told(id, Command::ConnectionLost { last_seen, boot }, None).await
    }

    /// A vehicle tells of itself.
    pub async fn vehicle_telemetry(
        &self,
        id: VehicleId,
        telemetry: Telemetry,
    ) -> Result<(), Rejection> {
        let low_fuel = self.settings().process.low_fuel;
        self.told(id, Command::ReportTelemetry { telemetry, low_fuel }, None).await
    }

    /// Each delivery is a command of its own, as a gateway's webhooks are.
    async fn told(
        &self,
        id: VehicleId,
        command: Command,
        about: Option<Uuid>,
    ) -> Result<(), Rejection> {
        let cause = about.map(|command| command.to_string());
        let context = Context {
            actor: Actor::vehicle(id.as_str()),
            ..Context::system("vehicle", self.0.house.ids.fresh(), cause)
        };
        let told = self.0.dispatch.order::<State>(&id, command, context).await;
        told.map(drop).map_err(|failed| failed.rejection(id.as_str()))
    }
}
