//! A vehicle for a paid rental whose period has begun: picked, reserved for good, and told to the
//! reservation. By the rental process at `period.from`, and by the first unlock if that comes before.
//!
//! ```text
//!   reservation wants one? ─► the best of its class ─► Vehicle.Reserve ─► Reservation.AssignVehicle
//!                                   ▲    taken │                             │ it has another one
//!                                   └──────────┘                             └─► let this one go
//! ```
//!
//! Two runs may do this at once, and any of them may be stopped anywhere: the first vehicle that the
//! reservation records is its own, and the rental process lets every other one go.

use holdfast_domain::process::Refusal;
use holdfast_domain::process::rental::{self, Wants};
use holdfast_domain::vehicle::{self, ReleaseReason};
use holdfast_domain::{AttemptId, Epoch, ReservationId, VehicleId, reservation};

use super::vehicle::is_gone;
use crate::Engine;
use crate::dispatch::{Context, Failed};

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Assignment {
    /// This is its vehicle.
    Vehicle(VehicleId),
    /// It has one, takes none, is over, or its time has not come.
    Unwanted,
    /// Its period went by without one.
    TooLate,
    /// Nothing of its class can be had just now.
    NoneFree,
}

impl Engine {
    /// Gives a reservation its vehicle, if it wants one now. `cause`: on account of what.
    pub(crate) async fn assign(
        &self,
        id: &ReservationId,
        cause: &str,
    ) -> Result<Assignment, Failed> {
        let dispatch = &self.0.dispatch;
        let state = dispatch.try_look::<reservation::State, _>(id, |view| view.state.clone());
        let (sku, user_id, period, epoch) = match rental::wants(&state.await?, self.now()) {
            Wants::Nothing => return Ok(Assignment::Unwanted),
            Wants::TooLate => return Ok(Assignment::TooLate),
            Wants::One { sku, user_id, period, epoch } => (sku, user_id, period, epoch),
        };
        for vehicle in self.candidates(&sku, id).await? {
            let command = vehicle::Command::Reserve {
                reservation_id: *id,
                user_id: user_id.clone(),
                epoch,
                expires_at: None,
                attempt: AttemptId(self.0.house.ids.fresh()),
                period: Some(period),
                confirmed: true,
            };
            let context = self.rental_context(id, cause);
            match dispatch.order::<vehicle::State>(&vehicle, command, context).await {
                Ok(_) => return self.is_it_its_own(id, vehicle, epoch, cause).await,
                Err(Failed::Refused(refusal, _)) if is_gone(&refusal) => {}
                Err(failed) => return Err(failed),
            }
        }
        Ok(Assignment::NoneFree)
    }

    async fn is_it_its_own(
        &self,
        id: &ReservationId,
        vehicle: VehicleId,
        epoch: Epoch,
        cause: &str,
    ) -> Result<Assignment, Failed> {
        let vehicle_id = vehicle.clone();
        let command = reservation::Command::AssignVehicle { vehicle_id, epoch };
        let context = self.rental_context(id, cause);
        let dispatch = &self.0.dispatch;
        let refusal = match dispatch.order::<reservation::State>(id, command, context).await {
            Ok(_) => return Ok(Assignment::Vehicle(vehicle)),
            Err(Failed::Refused(refusal, _)) => refusal,
            Err(failed) => return Err(failed),
        };
        let reason = ReleaseReason::NotNeeded;
        let command = vehicle::Command::ReleaseReservation { reservation_id: *id, epoch, reason };
        let context = self.rental_context(id, cause);
        let released = dispatch.order::<vehicle::State>(&vehicle, command, context).await;
        if let Err(failed) = released {
            // The rental process asks the same on account of the vehicle's fact.
            tracing::warn!(reservation = %id, %vehicle, ?failed, "it is let go later");
        }
        if let Refusal::Reservation(reservation::Refusal::OtherVehicle { vehicle_id }) = refusal {
            return Ok(Assignment::Vehicle(vehicle_id));
        }
        Ok(Assignment::Unwanted)
    }

    /// A name of its own each time: a vehicle that was let go is not believed to be reserved because it
    /// once was. Asked twice, the claim itself tells.
    fn rental_context(&self, id: &ReservationId, cause: &str) -> Context {
        let fresh = self.0.house.ids.fresh();
        Context::system("rental", fresh, Some(cause.to_owned())).about(Some(*id))
    }
}
