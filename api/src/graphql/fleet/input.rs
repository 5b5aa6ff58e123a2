//! Inputs of the fleet's mutations, and what they mean to the engine.

use async_graphql::{ID, InputObject};
use holdfast_domain::VehicleId;
use holdfast_domain::inspection::Photo;
use holdfast_engine::{SubmitInspection, VehicleRegistration};

use crate::graphql::common::MoneyInput;
use crate::graphql::input;
use crate::names;
use crate::no::No;
use crate::ops;

#[derive(InputObject)]
pub(crate) struct RegisterVehicleInput {
    pub(crate) idempotency_key: String,
    id: ID,
    vin: String,
    sku: ID,
    odometer_metres: String,
    fuel_percent: Option<i32>,
}

impl RegisterVehicleInput {
    pub(crate) fn read(self) -> Result<ops::RegisterVehicle, No> {
        let id = VehicleId::new(self.id.0).map_err(|error| No::invalid(error.to_string()))?;
        let about = VehicleRegistration {
            vin: self.vin,
            sku: input::item_sku(&self.sku)?,
            odometer_m: metres("odometerMetres", &self.odometer_metres)?,
            fuel_pct: self.fuel_percent.map(percent).transpose()?,
        };
        Ok(ops::RegisterVehicle(id, about))
    }
}

#[derive(InputObject)]
pub(crate) struct VehicleServiceInput {
    pub(crate) idempotency_key: String,
    id: ID,
    in_service: bool,
    reason: Option<String>,
}

impl VehicleServiceInput {
    pub(crate) fn read(self) -> Result<ops::SetVehicleService, No> {
        let vehicle_id = VehicleId::new(self.id.0).map_err(|_| No::absent("vehicle"))?;
        let Self { in_service, reason, .. } = self;
        Ok(ops::SetVehicleService { vehicle_id, in_service, reason })
    }
}

#[derive(InputObject)]
pub(crate) struct VehicleCommandInput {
    pub(crate) idempotency_key: String,
    pub(crate) reservation_id: ID,
}

#[derive(InputObject)]
pub(crate) struct CompleteRentalInput {
    pub(crate) idempotency_key: String,
    reservation_id: ID,
    odometer_end_metres: String,
    fuel_percent: i32,
}

impl CompleteRentalInput {
    pub(crate) fn read(self) -> Result<ops::CompleteRental, No> {
        Ok(ops::CompleteRental {
            reservation_id: input::reservation_id(&self.reservation_id)?,
            odometer_end_m: metres("odometerEndMetres", &self.odometer_end_metres)?,
            fuel_pct: percent(self.fuel_percent)?,
            location: None,
        })
    }
}

#[derive(InputObject)]
pub(crate) struct PhotoInput {
    sha256: String,
    media_type: String,
    url: String,
}

impl From<PhotoInput> for Photo {
    fn from(PhotoInput { sha256, media_type, url }: PhotoInput) -> Self {
        Self { sha256, media_type, url }
    }
}

#[derive(InputObject)]
pub(crate) struct SubmitInspectionInput {
    pub(crate) idempotency_key: String,
    reservation_id: ID,
    damage_description: String,
    photos: Vec<PhotoInput>,
    estimate: Option<MoneyInput>,
}

impl SubmitInspectionInput {
    pub(crate) fn read(self) -> Result<SubmitInspection, No> {
        let reservation = input::reservation_id(&self.reservation_id)?;
        let photos = self.photos.into_iter().map(Photo::from).collect();
        let estimate = self.estimate.map(|estimate| estimate.read()).transpose()?;
        ops::inspect(reservation, self.damage_description, photos, estimate)
    }
}

#[derive(InputObject)]
pub(crate) struct DecideDamageClaimInput {
    pub(crate) idempotency_key: String,
    inspection_id: ID,
    approve: bool,
    amount: Option<MoneyInput>,
}

impl DecideDamageClaimInput {
    pub(crate) fn read(self) -> Result<ops::DecideDamageClaim, No> {
        let id = names::read_inspection(&self.inspection_id);
        Ok(ops::DecideDamageClaim {
            inspection_id: id.ok_or_else(|| No::absent("inspection"))?,
            approve: self.approve,
            amount: self.amount.map(|amount| amount.read()).transpose()?,
        })
    }
}

/// Whole metres, as text since GraphQL's Int has 32 bits.
fn metres(what: &str, text: &str) -> Result<u64, No> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let read = if digits { text.parse().ok() } else { None };
    read.ok_or_else(|| No::invalid(format!("{what} is a whole number of metres")))
}

fn percent(number: i32) -> Result<u8, No> {
    let percent = u8::try_from(number).ok().filter(|percent| *percent <= 100);
    percent.ok_or_else(|| No::invalid("fuelPercent is from 0 to 100"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metres_are_whole_and_percents_go_to_a_hundred() {
        assert_eq!(metres("x", "12345678901"), Ok(12_345_678_901));
        for text in ["", "-1", "+1", "1.5", "1e3", "99999999999999999999"] {
            assert!(metres("x", text).is_err(), "{text}");
        }
        assert_eq!((percent(0), percent(100)), (Ok(0), Ok(100)));
        assert!(percent(-1).is_err() && percent(101).is_err());
    }
}
