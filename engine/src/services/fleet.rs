//! The fleet: vehicles join it, leave the service and come back. Each change counts in the vehicle's class
//! at once: its pool's total is the number of vehicles in service, in one append with the vehicle's fact.

use holdfast_domain::{Period, Sku, VehicleId, inventory, item, vehicle};

use super::catalogue::user_of;
use super::target;
use crate::dispatch::{Context, Part};
use crate::{Done, Engine, Rejection, Request, VehicleRegistration};

impl Engine {
    /// Puts a vehicle into the fleet; its class has one more from then on.
    pub async fn register_vehicle(
        &self,
        request: &Request,
        id: VehicleId,
        registration: VehicleRegistration,
    ) -> Result<Done, Rejection> {
        let stream = target::<vehicle::State>(&id);
        let (engine, asked) = (self.clone(), request.clone());
        let work = self.to_its_end(async move {
            let entered = engine.enter(&asked).await?;
            if let Some(row) = &entered.bound {
                return Ok(Done::before(row));
            }
            let VehicleRegistration { vin, sku, odometer_m, fuel_pct } = registration;
            if engine.kind_of(&sku).await? != item::Kind::VehicleClass {
                let why = format!("{sku} is no class of vehicles");
                return Err(Rejection::InvalidInput(why));
            }
            let command = vehicle::Command::Register {
                vin_ref: vin,
                type_pool: sku.clone(),
                odometer_m,
                fuel_pct,
            };
            let by = user_of(&asked.caller);
            let counted = inventory::Command::Receive { qty: 1, by };
            engine.of_the_fleet(&asked, id, command, |_| Some((sku.clone(), counted.clone()))).await
        });
        self.noted(request, stream, work).await
    }

    /// Takes a vehicle out of service, or puts it back; its class has one fewer, or one more.
    pub async fn set_vehicle_service(
        &self,
        request: &Request,
        id: VehicleId,
        in_service: bool,
        reason: Option<String>,
    ) -> Result<Done, Rejection> {
        let stream = target::<vehicle::State>(&id);
        let (engine, asked) = (self.clone(), request.clone());
        let work = self.to_its_end(async move {
            let entered = engine.enter(&asked).await?;
            if let Some(row) = &entered.bound {
                return Ok(Done::before(row));
            }
            let by = asked.caller.by.clone();
            let reason = reason.unwrap_or_else(|| default_reason(in_service).into());
            let command = if in_service {
                vehicle::Command::ReturnToService { by }
            } else {
                vehicle::Command::SetOutOfService { by, reason: reason.clone() }
            };
            let (delta, by) = (if in_service { 1 } else { -1 }, user_of(&asked.caller));
            let counted = inventory::Command::Adjust { delta, reason, by };
            engine
                .of_the_fleet(&asked, id, command, |state| {
                    Some((state.type_pool()?.clone(), counted.clone()))
                })
                .await
        });
        self.noted(request, stream, work).await
    }

    async fn of_the_fleet(
        &self,
        request: &Request,
        id: VehicleId,
        command: vehicle::Command,
        counted: impl Fn(&vehicle::State) -> Option<(Sku, inventory::Command)> + Send + Sync,
    ) -> Result<Done, Rejection> {
        let first = Part::<vehicle::State> { id, command, context: Context::of(request) };
        let recording = self
            .record_both::<vehicle::State, inventory::State>(request, first, |state| {
                let (sku, command) = counted(state)?;
                let context = Context::step(request, &["pool", sku.as_str()]);
                Some(Part { id: sku, command, context })
            })
            .await?;
        Ok(Done { position: recording.position, replayed: recording.replayed })
    }

    /// How many of an item could be had throughout a period, as its pool has it now.
    pub async fn available_in(&self, sku: &Sku, period: Period) -> Result<u32, Rejection> {
        period
            .checked(Period::LONGEST)
            .map_err(|error| Rejection::InvalidInput(error.to_string()))?;
        self.kind_of(sku).await?;
        self.look::<inventory::State, _>(sku, move |pool| pool.available_in(period)).await
    }
}

fn default_reason(in_service: bool) -> &'static str {
    if in_service { "back in service" } else { "out of service" }
}
