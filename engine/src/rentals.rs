//! What the doors hand in and get back where vehicles are concerned, and what vehicles say.

use holdfast_domain::inspection::{self, Photo};
use holdfast_domain::vehicle::{self, Answer, CommandKind};
use holdfast_domain::{InspectionId, Money, ReservationId, Sku, Timestamp, VehicleId, reservation};
use uuid::Uuid;

use crate::Done;

/// A vehicle that joins the fleet (`registerVehicle`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VehicleRegistration {
    /// What names it on paper.
    pub vin: String,
    /// Its class.
    pub sku: Sku,
    /// Metres driven so far.
    pub odometer_m: u64,
    /// Percent of fuel or charge, when it is known.
    pub fuel_pct: Option<u8>,
}

/// A vehicle and its reservation as the log has them, once a command to its lock has ended well.
#[derive(Clone, Debug)]
pub struct VehicleAnswer {
    /// Which vehicle.
    pub vehicle_id: VehicleId,
    /// Its state.
    pub vehicle: vehicle::State,
    /// Which reservation.
    pub reservation_id: ReservationId,
    /// Its state.
    pub reservation: reservation::State,
    /// Where all of it is true, and whether this key had asked for it before.
    pub done: Done,
}

/// A vehicle's answer to a command, checked against its key by whoever hands it in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VehicleAnswerIn {
    /// To which kind of command, by the topic that it came on.
    pub kind: CommandKind,
    /// What it says.
    pub answer: Answer,
    /// To which command.
    pub command_id: Uuid,
    /// By the vehicle's clock.
    pub device_time: Timestamp,
    /// Metres driven, if it says so.
    pub odometer_m: Option<u64>,
    /// Percent of fuel or charge, if it says so.
    pub fuel_pct: Option<u8>,
}

/// What was seen after a rental (`submitInspection`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubmitInspection {
    /// After which rental.
    pub reservation_id: ReservationId,
    /// What was seen; a damage, unless it is empty and nothing is estimated.
    pub description: String,
    /// Pictures, by their content.
    pub photos: Vec<Photo>,
    /// What the damage may cost.
    pub estimate: Option<Money>,
}

/// An inspection as the log has it now.
#[derive(Clone, Debug)]
pub struct InspectionAnswer {
    /// Which.
    pub id: InspectionId,
    /// Its state.
    pub state: inspection::State,
    /// What was recorded.
    pub done: Done,
}
