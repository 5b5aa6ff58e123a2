//! S0 and S1: a vehicle is booked, unlocked, driven, returned and looked at, in snake_case.
//!
//! ```text
//!   POST /bookings → POST /payments → POST /unlock → … → POST /rentals/{id}/return → POST /inspections
//! ```

use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use holdfast_domain::inspection::Photo;
use holdfast_domain::{Currency, Money, Sku, Timestamp, VehicleId};
use holdfast_engine::{InspectionAnswer, ReservationAnswer, SubmitInspection, VehicleAnswer};
use serde::Deserialize;
use serde_json::{Number, Value, json};

use super::answer::{Said, once};
use super::booking::view;
use super::input::{self, Asked};
use super::read::money;
use crate::door::Door;
use crate::names;
use crate::no::No;
use crate::ops;
use crate::view::{InspectionView, VehicleView, word};
use crate::who::Who;

/// `POST /bookings`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RentBody {
    vehicle_type: String,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
}

/// `POST /bookings`. A repeat is answered with 200 (S0-02).
pub(crate) async fn book(
    State(door): State<Arc<Door>>,
    Extension(who): Extension<Who>,
    Asked { how, body }: Asked<RentBody>,
) -> Response {
    once(&door, &who, &how, wish(body), |made| Ok(booked(made)?.replayed_as(StatusCode::OK))).await
}

fn wish(body: RentBody) -> Result<ops::BookVehicle, No> {
    let period = input::period(body.from, body.until)?;
    // S0-03
    let sku = Sku::new(&body.vehicle_type).map_err(|error| No::invalid(error.to_string()))?;
    Ok(ops::BookVehicle { sku, period })
}

fn booked(made: &ReservationAnswer) -> Result<Said, No> {
    let view = view(made)?;
    let line = view.lines.first();
    let body = json!({
        "reservation_id": names::reservation(&view.id),
        "status": word(&view.status),
        "version": view.version,
        "hold_expires_at": view.hold_expires_at,
        "vehicle_type": line.and_then(|line| line.sku.as_ref()),
        "vehicle_id": view.vehicle_id,
        "period": line.and_then(|line| line.period),
        "total": money(view.total),
    });
    Ok(Said::new(StatusCode::CREATED, body).version(view.version))
}

/// `POST /unlock`, `POST /lock` and the two under `/vehicles/{id}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommandBody {
    #[serde(alias = "booking_id")]
    reservation_id: String,
}

/// `POST /unlock`
pub(crate) async fn unlock(
    State(door): State<Arc<Door>>,
    Extension(who): Extension<Who>,
    Asked { how, body }: Asked<CommandBody>,
) -> Response {
    let op = input::reservation(&body.reservation_id)
        .map(|reservation_id| ops::UnlockVehicle { reservation_id, vehicle_id: None });
    once(&door, &who, &how, op, obeyed).await
}

/// `POST /lock`
pub(crate) async fn lock(
    State(door): State<Arc<Door>>,
    Extension(who): Extension<Who>,
    Asked { how, body }: Asked<CommandBody>,
) -> Response {
    let op = input::reservation(&body.reservation_id)
        .map(|reservation_id| ops::LockVehicle { reservation_id, vehicle_id: None });
    once(&door, &who, &how, op, obeyed).await
}

/// `POST /vehicles/{id}/unlock`
pub(crate) async fn unlock_this(
    State(door): State<Arc<Door>>,
    Extension(who): Extension<Who>,
    Path(id): Path<String>,
    Asked { how, body }: Asked<CommandBody>,
) -> Response {
    let op = named(&id, &body).map(|(reservation_id, vehicle)| ops::UnlockVehicle {
        reservation_id,
        vehicle_id: Some(vehicle),
    });
    once(&door, &who, &how, op, obeyed).await
}

/// `POST /vehicles/{id}/lock`
pub(crate) async fn lock_this(
    State(door): State<Arc<Door>>,
    Extension(who): Extension<Who>,
    Path(id): Path<String>,
    Asked { how, body }: Asked<CommandBody>,
) -> Response {
    let op = named(&id, &body).map(|(reservation_id, vehicle)| ops::LockVehicle {
        reservation_id,
        vehicle_id: Some(vehicle),
    });
    once(&door, &who, &how, op, obeyed).await
}

fn named(id: &str, body: &CommandBody) -> Result<(holdfast_domain::ReservationId, VehicleId), No> {
    let absent = || No::absent("vehicle");
    let vehicle = VehicleId::new(id).map_err(|_| absent())?;
    Ok((names::read_reservation(&body.reservation_id).ok_or_else(absent)?, vehicle))
}

/// Said only once the vehicle itself has said so.
fn obeyed(done: &VehicleAnswer) -> Result<Said, No> {
    let vehicle = VehicleView::of_state(done.vehicle_id.clone(), &done.vehicle);
    let vehicle = vehicle.ok_or_else(|| No::absent("vehicle"))?;
    let body = json!({
        "status": "SUCCESS",
        "reservation_id": names::reservation(&done.reservation_id),
        "reservation_status": word(&done.reservation.status),
        "vehicle_id": vehicle.id,
        "lock": word(&vehicle.lock),
    });
    Ok(Said::new(StatusCode::OK, body))
}

/// `POST /rentals/{id}/return`: kilometres and percent, as the dashboard shows them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReturnBody {
    odometer_end: Number,
    fuel_level: Number,
    location: Option<String>,
}

/// `POST /rentals/{id}/return`
pub(crate) async fn give_back(
    State(door): State<Arc<Door>>,
    Extension(who): Extension<Who>,
    Path(id): Path<String>,
    Asked { how, body }: Asked<ReturnBody>,
) -> Response {
    once(&door, &who, &how, returned(&id, body), |made| {
        let view = view(made)?;
        let body = json!({
            "reservation_id": names::reservation(&view.id),
            "status": word(&view.status),
            "version": view.version,
            "vehicle_id": view.vehicle_id,
        });
        Ok(Said::new(StatusCode::OK, body).version(view.version))
    })
    .await
}

fn returned(id: &str, body: ReturnBody) -> Result<ops::CompleteRental, No> {
    Ok(ops::CompleteRental {
        reservation_id: input::reservation(id)?,
        odometer_end_m: metres(&body.odometer_end)?,
        fuel_pct: percent(&body.fuel_level)?,
        location: body.location,
    })
}

/// Metres of a reading in kilometres, which may have decimals.
fn metres(km: &Number) -> Result<u64, No> {
    /// No car gets there; beyond it doubles would lose metres.
    const MOST_KM: f64 = 1e9;
    let metres = match km.as_u64() {
        Some(km) => km.checked_mul(1_000),
        None => km
            .as_f64()
            .filter(|km| (0.0..MOST_KM).contains(km))
            .map(|km| (km * 1_000.0).round() as u64),
    };
    metres.ok_or_else(|| No::invalid("odometer_end is a reading in kilometres"))
}

/// A whole percentage.
fn percent(level: &Number) -> Result<u8, No> {
    let level = level.as_f64().filter(|level| (0.0..=100.0).contains(level));
    level
        .map(|level| level.round() as u8)
        .ok_or_else(|| No::invalid("fuel_level is a percentage, from 0 to 100"))
}

/// `POST /inspections`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InspectionBody {
    #[serde(alias = "booking_id")]
    reservation_id: String,
    damage_description: String,
    #[serde(default)]
    photos: Vec<PhotoBody>,
    estimate: Option<MoneyBody>,
}

/// A photo that lies elsewhere; its hash is what is recorded.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PhotoBody {
    sha256: String,
    #[serde(alias = "mediaType")]
    media_type: String,
    url: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MoneyBody {
    amount_minor: i64,
    currency: String,
}

/// `POST /inspections`
pub(crate) async fn inspect(
    State(door): State<Arc<Door>>,
    Extension(who): Extension<Who>,
    Asked { how, body }: Asked<InspectionBody>,
) -> Response {
    once(&door, &who, &how, report(body), shown_inspection).await
}

fn report(body: InspectionBody) -> Result<SubmitInspection, No> {
    let photo =
        |PhotoBody { sha256, media_type, url }: PhotoBody| Photo { sha256, media_type, url };
    let estimate = body.estimate.map(|MoneyBody { amount_minor, currency }| {
        let currency = Currency::new(&currency).map_err(|error| No::invalid(error.to_string()))?;
        Ok::<_, No>(Money::new(amount_minor, currency))
    });
    let reservation = input::reservation(&body.reservation_id)?;
    let photos = body.photos.into_iter().map(photo).collect();
    ops::inspect(reservation, body.damage_description, photos, estimate.transpose()?)
}

fn shown_inspection(done: &InspectionAnswer) -> Result<Said, No> {
    let view = InspectionView::of_answer(done).ok_or_else(|| No::absent("inspection"))?;
    let body = json!({
        "inspection_id": names::inspection(&view.id),
        "reservation_id": names::reservation(&view.reservation_id),
        "claim_status": word(&view.claim_status),
        "amount": view.amount.map_or(Value::Null, money),
    });
    Ok(Said::new(StatusCode::CREATED, body))
}

/// `GET /vehicles/{id}`: see [`VehicleView`] for who sees it.
pub(crate) fn shown_vehicle(view: &VehicleView) -> Value {
    json!({
        "id": view.id, "vehicle_id": view.id, "vin": view.vin, "sku": view.sku,
        "vehicle_type": view.sku, "status": word(&view.status), "lock": word(&view.lock),
        "online": view.online, "odometer_m": view.odometer_m,
        "odometer_km": view.odometer_m as f64 / 1_000.0, "fuel_level": view.fuel_pct,
        "last_seen": view.last_seen,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        serde_json::from_str(text).expect("a number")
    }

    #[test]
    fn kilometres_become_metres_and_nonsense_does_not() {
        for (km, m) in [("0", 0), ("12345", 12_345_000), ("12345.678", 12_345_678), ("0.1", 100)] {
            assert_eq!(metres(&number(km)), Ok(m), "{km}");
        }
        for km in ["-1", "-0.5", "1e300", "18446744073709551615"] {
            assert!(metres(&number(km)).is_err(), "{km}");
        }
    }

    #[test]
    fn a_fuel_level_is_a_percentage() {
        for (level, pct) in [("0", 0), ("100", 100), ("62.4", 62), ("62.5", 63)] {
            assert_eq!(percent(&number(level)), Ok(pct), "{level}");
        }
        for level in ["-1", "100.1", "101", "1e9"] {
            assert!(percent(&number(level)).is_err(), "{level}");
        }
    }
}
