//! The end of a rental: the customer says where the odometer stands, the processes do the rest.

use holdfast_domain::reservation::{self, StartedBefore, Status};
use holdfast_domain::{ReservationId, VehicleId, vehicle};

use super::target;
use crate::acquire::Assignment;
use crate::dispatch::Context;
use crate::{Done, Engine, Rejection, Request, ReservationAnswer};

impl Engine {
    /// The vehicle is back (S0-30). One without a remote lock was handed over by a person: its rental
    /// starts here, too.
    pub async fn complete_rental(
        &self,
        request: &Request,
        id: ReservationId,
        odometer_end_m: u64,
        fuel_end_pct: u8,
        location: Option<String>,
    ) -> Result<ReservationAnswer, Rejection> {
        let (engine, asked) = (self.clone(), request.clone());
        let work = self.to_its_end(async move {
            let entered = engine.enter(&asked).await?;
            let done = match &entered.bound {
                Some(row) => Done::before(row),
                None => {
                    let by = asked.caller.by.clone();
                    let state = engine.own_reservation(&by, &id).await?;
                    let without_unlock = engine.handed_over(&asked, &id, &state).await?;
                    let command = reservation::Command::Complete {
                        by,
                        odometer_end_m,
                        fuel_end_pct,
                        location,
                        without_unlock,
                    };
                    let context = Context::of(&asked);
                    let recording =
                        engine.record::<reservation::State>(&asked, &id, command, context).await?;
                    Done { position: recording.position, replayed: recording.replayed }
                }
            };
            engine.answer(id, done).await
        });
        self.noted(request, target::<reservation::State>(&id), work).await
    }

    /// What is known of a vehicle that a person has handed over; none for one that was unlocked, or was
    /// to be.
    async fn handed_over(
        &self,
        request: &Request,
        id: &ReservationId,
        state: &reservation::State,
    ) -> Result<Option<StartedBefore>, Rejection> {
        if state.status != Status::Confirmed || state.policies.remote_unlock {
            return Ok(None);
        }
        let vehicle_id = match &state.vehicle_id {
            Some(vehicle_id) => vehicle_id.clone(),
            None => match self.vehicle_of_period(request, id).await? {
                Some(vehicle_id) => vehicle_id,
                // The reservation itself says what is wrong.
                None => return Ok(None),
            },
        };
        let before = self.look::<vehicle::State, _>(&vehicle_id, |vehicle| {
            (vehicle.odometer_m(), vehicle.fuel_pct().unwrap_or(0))
        });
        let (odometer_start_m, fuel_start_pct) = before.await?;
        Ok(Some(StartedBefore { vehicle_id, odometer_start_m, fuel_start_pct }))
    }

    async fn vehicle_of_period(
        &self,
        request: &Request,
        id: &ReservationId,
    ) -> Result<Option<VehicleId>, Rejection> {
        let cause = request.command_id().to_string();
        let assigned = self.assign(id, &cause).await;
        Ok(match assigned.map_err(|failed| failed.rejection(&id.to_string()))? {
            Assignment::Vehicle(vehicle_id) => Some(vehicle_id),
            Assignment::Unwanted | Assignment::TooLate | Assignment::NoneFree => None,
        })
    }
}
