//! What can be done with vehicles.

use async_graphql::{Context, Object};
use holdfast_engine::{InspectionAnswer, VehicleAnswer};

use super::input::{
    CompleteRentalInput, DecideDamageClaimInput, RegisterVehicleInput, SubmitInspectionInput,
    VehicleCommandInput, VehicleServiceInput,
};
use crate::graphql::input::reservation_id;
use crate::graphql::inspection::Inspection;
use crate::graphql::mutation::{answer, operator, perform, success};
use crate::graphql::outcome::{
    InspectionResult, InspectionSuccess, OperatorResult, ReservationResult, VehicleCommandResult,
    VehicleCommandSuccess,
};
use crate::graphql::reservation::Reservation;
use crate::graphql::vehicle::Vehicle;
use crate::no::No;
use crate::ops;
use crate::view::{InspectionView, ReservationView, VehicleView};

type Answer<T> = async_graphql::Result<T>;

pub(crate) struct FleetMutation;

#[Object]
impl FleetMutation {
    /// Answers only after the vehicle's own acknowledgement (and, the first time, after the rental has
    /// started), or when it is known that none comes: within 20 s.
    async fn unlock_vehicle(
        &self,
        ctx: &Context<'_>,
        input: VehicleCommandInput,
    ) -> Answer<VehicleCommandResult> {
        let op = reservation_id(&input.reservation_id)
            .map(|reservation_id| ops::UnlockVehicle { reservation_id, vehicle_id: None });
        let done = perform(ctx, input.idempotency_key, None, op).await;
        answer(done.and_then(obeyed).map(VehicleCommandResult::Success))
    }

    /// Answers as unlockVehicle does.
    async fn lock_vehicle(
        &self,
        ctx: &Context<'_>,
        input: VehicleCommandInput,
    ) -> Answer<VehicleCommandResult> {
        let op = reservation_id(&input.reservation_id)
            .map(|reservation_id| ops::LockVehicle { reservation_id, vehicle_id: None });
        let done = perform(ctx, input.idempotency_key, None, op).await;
        answer(done.and_then(obeyed).map(VehicleCommandResult::Success))
    }

    /// The vehicle is back: the rental ends, and it is locked.
    async fn complete_rental(
        &self,
        ctx: &Context<'_>,
        input: CompleteRentalInput,
    ) -> Answer<ReservationResult> {
        let key = input.idempotency_key.clone();
        let done = perform(ctx, key, None, input.read()).await;
        answer(done.and_then(|done| success(&done)).map(ReservationResult::Success))
    }

    async fn submit_inspection(
        &self,
        ctx: &Context<'_>,
        input: SubmitInspectionInput,
    ) -> Answer<InspectionResult> {
        let key = input.idempotency_key.clone();
        let done = perform(ctx, key, None, input.read()).await;
        answer(done.and_then(inspected).map(InspectionResult::Success))
    }

    /// OPERATE. Without an amount the estimate is what is charged.
    async fn decide_damage_claim(
        &self,
        ctx: &Context<'_>,
        input: DecideDamageClaimInput,
    ) -> Answer<InspectionResult> {
        let key = input.idempotency_key.clone();
        let done = perform(ctx, key, None, input.read()).await;
        answer(done.and_then(inspected).map(InspectionResult::Success))
    }

    /// MANAGE_VEHICLES
    async fn register_vehicle(
        &self,
        ctx: &Context<'_>,
        input: RegisterVehicleInput,
    ) -> Answer<OperatorResult> {
        let key = input.idempotency_key.clone();
        operator(ctx, key, input.read()).await
    }

    /// MANAGE_VEHICLES
    async fn set_vehicle_service(
        &self,
        ctx: &Context<'_>,
        input: VehicleServiceInput,
    ) -> Answer<OperatorResult> {
        let key = input.idempotency_key.clone();
        operator(ctx, key, input.read()).await
    }
}

fn obeyed(done: VehicleAnswer) -> Result<VehicleCommandSuccess, No> {
    let position = done.done.position;
    let vehicle = VehicleView::of_state(done.vehicle_id, &done.vehicle);
    let reservation = ReservationView::of_state(done.reservation_id, &done.reservation, position);
    Ok(VehicleCommandSuccess {
        vehicle: vehicle.map(Vehicle::from).ok_or_else(|| No::absent("vehicle"))?,
        reservation: reservation.map(Reservation).ok_or_else(|| No::absent("reservation"))?,
        position: position.into(),
    })
}

fn inspected(done: InspectionAnswer) -> Result<InspectionSuccess, No> {
    let view = InspectionView::of_answer(&done).ok_or_else(|| No::absent("inspection"))?;
    Ok(InspectionSuccess {
        inspection: Inspection::from(view),
        position: done.done.position.into(),
    })
}
