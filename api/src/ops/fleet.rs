//! What can be asked about vehicles: booking a class, unlocking, locking, returning, inspecting; and what
//! operators do with the fleet.
//!
//! ```text
//!   unlockVehicle ─► engine ─► the vehicle's stream ─► MQTT ─► the car
//!        └──────────── waits (≤ 20 s) for its own acknowledgement ◄──┘
//! ```
//!
//! The wait is the asker's alone: whoever goes away takes nothing along, the command goes on in the log,
//! and the same key finds what became of it.

use holdfast_domain::inspection::{self, Photo};
use holdfast_domain::{
    InspectionId, Money, Period, ReservationId, Sku, VehicleId, item, reservation, vehicle,
};
use holdfast_engine::{
    AsOf, Done, Engine, InspectionAnswer, LineRequest, Rejection, Request, ReservationAnswer,
    SubmitInspection, VehicleAnswer, VehicleRegistration,
};
use holdfast_store::Position;
use serde_json::{Value, json};

use super::{CreateReservation, Operation, REASON_LEN, Recorded};
use crate::no::No;

const VIN_LEN: usize = 64;
const URL_LEN: usize = 2_048;
const LOCATION_LEN: usize = 200;

/// `POST /bookings`: one vehicle of a class, now or for a period (S0, S1). The same request as
/// createReservation with that one line.
pub(crate) struct BookVehicle {
    pub(crate) sku: Sku,
    pub(crate) period: Option<Period>,
}

impl BookVehicle {
    fn reservation(self) -> CreateReservation {
        let line = LineRequest::Item {
            sku: self.sku,
            quantity: 1,
            seat_ids: Vec::new(),
            section: None,
            period: self.period,
        };
        CreateReservation { lines: vec![line], channel: reservation::Channel::Rest }
    }
}

impl Operation for BookVehicle {
    const NAME: &'static str = CreateReservation::NAME;
    const PHASE: &'static str = CreateReservation::PHASE;
    const HOLDS: bool = CreateReservation::HOLDS;
    type Answer = ReservationAnswer;

    fn canonical(&self) -> Value {
        Self { sku: self.sku.clone(), period: self.period }.reservation().canonical()
    }

    async fn ask(self, engine: &Engine, request: &Request) -> Result<ReservationAnswer, Rejection> {
        // S0-03: a class that there is not is an input that cannot be, not a page that is missing.
        let refuse = Rejection::InvalidInput(format!("there is no vehicle type {}", self.sku));
        let item = engine.load::<item::State>(&self.sku).await?.state.description;
        if item.is_some_and(|item| item.kind != item::Kind::VehicleClass) {
            return Err(refuse);
        }
        let made = self.reservation().ask(engine, request).await;
        made.map_err(|no| if let Rejection::NotFound(_) = no { refuse } else { no })
    }
}

/// unlockVehicle. `vehicle_id`: the path named the vehicle, so it has to be the reservation's own.
pub(crate) struct UnlockVehicle {
    pub(crate) reservation_id: ReservationId,
    pub(crate) vehicle_id: Option<VehicleId>,
}

impl Operation for UnlockVehicle {
    const NAME: &'static str = "unlockVehicle";
    const PHASE: &'static str = "operate";
    type Answer = VehicleAnswer;

    fn canonical(&self) -> Value {
        json!({"reservation": self.reservation_id, "vehicle": self.vehicle_id})
    }

    async fn ask(self, engine: &Engine, request: &Request) -> Result<VehicleAnswer, Rejection> {
        let Some(vehicle) = self.vehicle_id else {
            return engine.unlock_vehicle(request, self.reservation_id).await;
        };
        is_of(engine, &self.reservation_id, &vehicle).await?;
        engine.unlock_vehicle(request, self.reservation_id).await.map_err(no_vehicle)
    }
}

/// lockVehicle. `vehicle_id`: as of an unlock.
pub(crate) struct LockVehicle {
    pub(crate) reservation_id: ReservationId,
    pub(crate) vehicle_id: Option<VehicleId>,
}

impl Operation for LockVehicle {
    const NAME: &'static str = "lockVehicle";
    const PHASE: &'static str = "operate";
    type Answer = VehicleAnswer;

    fn canonical(&self) -> Value {
        json!({"reservation": self.reservation_id, "vehicle": self.vehicle_id})
    }

    async fn ask(self, engine: &Engine, request: &Request) -> Result<VehicleAnswer, Rejection> {
        let Some(vehicle) = self.vehicle_id else {
            return engine.lock_vehicle(request, self.reservation_id).await;
        };
        is_of(engine, &self.reservation_id, &vehicle).await?;
        engine.lock_vehicle(request, self.reservation_id).await.map_err(no_vehicle)
    }
}

/// Whether a reservation's vehicle is the one that the path names.
async fn is_of(engine: &Engine, id: &ReservationId, vehicle: &VehicleId) -> Result<(), Rejection> {
    let state = engine.load::<reservation::State>(id).await?.state;
    if state.vehicle_id.as_ref() == Some(vehicle) {
        Ok(())
    } else {
        Err(Rejection::NotFound("vehicle"))
    }
}

/// Another's reservation sounds like another vehicle: nobody learns which of the two was wrong.
fn no_vehicle(rejection: Rejection) -> Rejection {
    if let Rejection::NotFound(_) = rejection { Rejection::NotFound("vehicle") } else { rejection }
}

impl Recorded for VehicleAnswer {
    fn done(&self) -> Done {
        self.done.clone()
    }

    async fn given(mut self, engine: &Engine, position: Position) -> Result<Self, Rejection> {
        self.done.position = position;
        let then = AsOf::Position(position);
        if let Some(loaded) = engine.load_as_of::<vehicle::State>(&self.vehicle_id, then).await? {
            self.vehicle = loaded.state;
        }
        let id = self.reservation_id;
        if let Some(loaded) = engine.load_as_of::<reservation::State>(&id, then).await? {
            self.reservation = loaded.state;
        }
        Ok(self)
    }
}

pub(crate) struct CompleteRental {
    pub(crate) reservation_id: ReservationId,
    pub(crate) odometer_end_m: u64,
    pub(crate) fuel_pct: u8,
    pub(crate) location: Option<String>,
}

impl Operation for CompleteRental {
    const NAME: &'static str = "completeRental";
    const PHASE: &'static str = "operate";
    type Answer = ReservationAnswer;

    fn canonical(&self) -> Value {
        json!({
            "reservation": self.reservation_id, "odometer_m": self.odometer_end_m,
            "fuel_pct": self.fuel_pct, "location": self.location,
        })
    }

    fn texts(&self) -> Vec<(&'static str, &str, usize)> {
        self.location.iter().map(|text| ("a place", text.as_str(), LOCATION_LEN)).collect()
    }

    async fn ask(self, engine: &Engine, request: &Request) -> Result<ReservationAnswer, Rejection> {
        let Self { reservation_id, odometer_end_m, fuel_pct, location } = self;
        engine.complete_rental(request, reservation_id, odometer_end_m, fuel_pct, location).await
    }
}

/// What somebody found at a vehicle. How much a report may have, its rules say.
pub(crate) fn inspect(
    reservation_id: ReservationId,
    description: String,
    photos: Vec<Photo>,
    estimate: Option<Money>,
) -> Result<SubmitInspection, No> {
    let strange = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    if description.chars().any(strange) {
        return Err(No::invalid("a description has no control characters but line breaks"));
    }
    Ok(SubmitInspection { reservation_id, description, photos, estimate })
}

/// submitInspection; see [`inspect`].
impl Operation for SubmitInspection {
    const NAME: &'static str = "submitInspection";
    const PHASE: &'static str = "operate";
    type Answer = InspectionAnswer;

    fn canonical(&self) -> Value {
        let photos = self.photos.iter().map(|p| json!([p.sha256, p.media_type, p.url]));
        json!({
            "reservation": self.reservation_id, "description": self.description,
            "photos": photos.collect::<Vec<_>>(), "estimate": self.estimate,
        })
    }

    fn texts(&self) -> Vec<(&'static str, &str, usize)> {
        let photos = self.photos.iter().flat_map(|photo| {
            [
                ("a photo's sha256", photo.sha256.as_str(), 64),
                ("a photo's media type", photo.media_type.as_str(), 64),
                ("a photo's address", photo.url.as_str(), URL_LEN),
            ]
        });
        photos.collect()
    }

    async fn ask(self, engine: &Engine, request: &Request) -> Result<InspectionAnswer, Rejection> {
        engine.submit_inspection(request, self).await
    }
}

impl Recorded for InspectionAnswer {
    fn done(&self) -> Done {
        self.done.clone()
    }

    async fn given(mut self, engine: &Engine, position: Position) -> Result<Self, Rejection> {
        self.done.position = position;
        let then = AsOf::Position(position);
        if let Some(loaded) = engine.load_as_of::<inspection::State>(&self.id, then).await? {
            self.state = loaded.state;
        }
        Ok(self)
    }
}

pub(crate) struct DecideDamageClaim {
    pub(crate) inspection_id: InspectionId,
    pub(crate) approve: bool,
    pub(crate) amount: Option<Money>,
}

impl Operation for DecideDamageClaim {
    const NAME: &'static str = "decideDamageClaim";
    const PHASE: &'static str = "operate";
    type Answer = InspectionAnswer;

    fn canonical(&self) -> Value {
        json!({"inspection": self.inspection_id, "approve": self.approve, "amount": self.amount})
    }

    async fn ask(self, engine: &Engine, request: &Request) -> Result<InspectionAnswer, Rejection> {
        engine.decide_damage_claim(request, self.inspection_id, self.approve, self.amount).await
    }
}

pub(crate) struct RegisterVehicle(pub(crate) VehicleId, pub(crate) VehicleRegistration);

impl Operation for RegisterVehicle {
    const NAME: &'static str = "registerVehicle";
    const PHASE: &'static str = "operate";
    type Answer = Done;

    fn canonical(&self) -> Value {
        let about = &self.1;
        json!([self.0, about.vin, about.sku, about.odometer_m, about.fuel_pct])
    }

    fn texts(&self) -> Vec<(&'static str, &str, usize)> {
        vec![("a VIN", self.1.vin.as_str(), VIN_LEN)]
    }

    async fn ask(self, engine: &Engine, request: &Request) -> Result<Done, Rejection> {
        engine.register_vehicle(request, self.0, self.1).await
    }
}

pub(crate) struct SetVehicleService {
    pub(crate) vehicle_id: VehicleId,
    pub(crate) in_service: bool,
    pub(crate) reason: Option<String>,
}

impl Operation for SetVehicleService {
    const NAME: &'static str = "setVehicleService";
    const PHASE: &'static str = "operate";
    type Answer = Done;

    fn canonical(&self) -> Value {
        json!([self.vehicle_id, self.in_service, self.reason])
    }

    fn texts(&self) -> Vec<(&'static str, &str, usize)> {
        self.reason.iter().map(|text| ("a reason", text.as_str(), REASON_LEN)).collect()
    }

    async fn ask(self, engine: &Engine, request: &Request) -> Result<Done, Rejection> {
        let Self { vehicle_id, in_service, reason } = self;
        engine.set_vehicle_service(request, vehicle_id, in_service, reason).await
    }
}
