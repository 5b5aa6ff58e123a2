//! Whom vehicles' words are taken to: the engine, or in tests somebody who writes them down.

use async_trait::async_trait;
use holdfast_domain::{Timestamp, VehicleId};
use holdfast_schemas::mqtt::{Status, Word};
use uuid::Uuid;

/// An answer that is the vehicle's own.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerIn {
    /// To which kind of command.
    pub word: Word,
    /// What came of it.
    pub status: Status,
    /// To which command.
    pub command_id: Uuid,
    /// When, by the vehicle's clock; when it came, if the vehicle does not say.
    pub device_time: Timestamp,
    /// The vehicle's count of its answers.
    pub seq: u64,
    /// The odometer, if the answer or a telemetry message has told it, in metres.
    pub odometer_m: Option<u64>,
    /// The tank, likewise, in percent.
    pub fuel_pct: Option<u8>,
}

/// Why an answer is only recorded, not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IgnoredWhy {
    /// It is not signed with the vehicle's key.
    BadMac,
}

/// What sensors said, sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleIn {
    /// In which boot; 0 when the vehicle has not told.
    pub boot: u64,
    /// The vehicle's count of its messages in this boot.
    pub seq: u64,
    /// In metres.
    pub odometer_m: Option<u64>,
    /// In percent.
    pub fuel_pct: Option<u8>,
    /// The driver's door.
    pub is_locked: Option<bool>,
    /// Latitude and longitude, in millionths of a degree.
    pub position_microdeg: Option<(i64, i64)>,
    /// In km/h.
    pub speed_kmh: Option<u16>,
    /// When, by the vehicle's clock; when it came, if the vehicle does not say.
    pub device_time: Timestamp,
    /// When it came.
    pub at: Timestamp,
}

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
    /// A vehicle has answered.
    async fn answered(&self, vehicle: &VehicleId, answer: AnswerIn) -> Result<(), Trouble>;

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
    async fn sampled(&self, vehicle: &VehicleId, sample: SampleIn) -> Result<(), Trouble>;
}
