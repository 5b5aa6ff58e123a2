//! The rental of a vehicle line: it gets its vehicle when its period begins, starts with the unlock and
//! ends with the return; or with its period, when nobody came.

use super::State;
use super::command::{Refusal, StartedBefore};
use super::event::{Event, Line, Status};
use crate::{By, Epoch, Timestamp, VehicleId};

/// What is known when a vehicle comes back.
pub(super) struct Return<'a> {
    pub odometer_end_m: u64,
    pub fuel_end_pct: u8,
    pub location: Option<&'a String>,
    pub without_unlock: Option<&'a StartedBefore>,
}

impl State {
    /// A vehicle was reserved for it. Two runs may have reserved two: the first that is recorded
    /// counts, and whoever reserved the other gives it back. Also the answer to "is this one still
    /// wanted?": refused when it is not.
    pub(super) fn assign(
        &self,
        vehicle_id: &VehicleId,
        epoch: Epoch,
    ) -> Result<Vec<Event>, Refusal> {
        match self.status {
            Status::None => Err(Refusal::NotFound),
            // Claimed by the hold itself, not assigned to a period.
            Status::Hold
            | Status::AwaitingPayment
            | Status::Reacquiring
            | Status::Confirmed
            | Status::InUse
                if self.has_claimed(vehicle_id) =>
            {
                Ok(vec![])
            }
            Status::Confirmed | Status::InUse => match &self.vehicle_id {
                Some(mine) if mine == vehicle_id => Ok(vec![]),
                Some(mine) => Err(Refusal::OtherVehicle { vehicle_id: mine.clone() }),
                None => {
                    self.hands_over()?;
                    if epoch != self.claim_epoch || !self.finalized {
                        return Err(Refusal::Reacquiring);
                    }
                    Ok(vec![Event::VehicleAssigned { vehicle_id: vehicle_id.clone() }])
                }
            },
            Status::Hold | Status::AwaitingPayment | Status::HoldFailed | Status::HoldExpired => {
                Err(Refusal::NotConfirmed)
            }
            Status::Reacquiring => Err(Refusal::Reacquiring),
            Status::Completed => Err(Refusal::Completed),
            Status::Cancelled => Err(Refusal::Cancelled),
        }
    }

    /// Its vehicle is out of service. One that its hold has claimed is that one, and no other will do.
    pub(super) fn withdraw_vehicle(&self, vehicle_id: &VehicleId) -> Result<Vec<Event>, Refusal> {
        match self.status {
            Status::None => Err(Refusal::NotFound),
            Status::Confirmed if self.vehicle_id.as_ref() == Some(vehicle_id) => {
                if self.has_claimed(vehicle_id) {
                    return Err(Refusal::NoVehicle);
                }
                Ok(vec![Event::VehicleWithdrawn { vehicle_id: vehicle_id.clone() }])
            }
            Status::Hold
            | Status::AwaitingPayment
            | Status::Reacquiring
            | Status::Confirmed
            | Status::InUse
            | Status::Completed
            | Status::HoldFailed
            | Status::HoldExpired
            | Status::Cancelled => Ok(vec![]),
        }
    }

    /// The vehicle has been given up by its own stream, so nobody can unlock it for this any more.
    pub(super) fn no_show(
        &self,
        vehicle_id: &VehicleId,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        match self.status {
            Status::None => Err(Refusal::NotFound),
            Status::Confirmed if self.vehicle_id.as_ref() == Some(vehicle_id) => {
                Ok(vec![Event::NoShow { at: now }])
            }
            Status::Hold
            | Status::AwaitingPayment
            | Status::Reacquiring
            | Status::Confirmed
            | Status::InUse
            | Status::Completed
            | Status::HoldFailed
            | Status::HoldExpired
            | Status::Cancelled => Ok(vec![]),
        }
    }

    pub(super) fn start_rental(
        &self,
        vehicle_id: &VehicleId,
        odometer_start_m: u64,
        fuel_start_pct: u8,
        at: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        match self.status {
            Status::None => Err(Refusal::NotFound),
            Status::Hold | Status::AwaitingPayment => Err(Refusal::NotConfirmed),
            Status::HoldFailed | Status::HoldExpired => Err(Refusal::NotConfirmed),
            Status::Reacquiring => Err(Refusal::Reacquiring),
            Status::Confirmed => {
                self.hands_over()?;
                percent(fuel_start_pct)?;
                if let Some(mine) = self.vehicle_id.as_ref().filter(|mine| *mine != vehicle_id) {
                    return Err(Refusal::OtherVehicle { vehicle_id: mine.clone() });
                }
                let vehicle_id = vehicle_id.clone();
                Ok(vec![Event::RentalStarted { vehicle_id, odometer_start_m, fuel_start_pct, at }])
            }
            Status::InUse => Ok(vec![]),
            Status::Completed => Err(Refusal::Completed),
            Status::Cancelled => Err(Refusal::Cancelled),
        }
    }

    pub(super) fn complete(
        &self,
        by: &By,
        back: Return<'_>,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        self.for_its_own(by)?;
        match self.status {
            Status::None => Err(Refusal::NotFound),
            Status::Hold | Status::AwaitingPayment => Err(Refusal::NotConfirmed),
            Status::HoldFailed | Status::HoldExpired => Err(self.hold_expired(now)),
            Status::Reacquiring => Err(Refusal::Reacquiring),
            Status::Confirmed => {
                let line = self.hands_over()?;
                let Some(start) = back.without_unlock else { return Err(Refusal::NotStarted) };
                percent(start.fuel_start_pct)?;
                // Nobody saw it begin: with its period, or else now.
                let at = line.period.map_or(now, |period| period.from.min(now));
                let started = Event::RentalStarted {
                    vehicle_id: start.vehicle_id.clone(),
                    odometer_start_m: start.odometer_start_m,
                    fuel_start_pct: start.fuel_start_pct,
                    at,
                };
                Ok(vec![started, completed(start.odometer_start_m, at, &back, now)?])
            }
            Status::InUse => {
                let start_m = self.odometer_start_m.unwrap_or(0);
                let started_at = self.rental_started_at.unwrap_or(now);
                Ok(vec![completed(start_m, started_at, &back, now)?])
            }
            Status::Completed => Ok(vec![]),
            Status::Cancelled => Err(Refusal::Cancelled),
        }
    }

    /// The line whose vehicle may be handed over now: not while its claims are being taken again.
    fn hands_over(&self) -> Result<&Line, Refusal> {
        let line = self.vehicle_line().ok_or(Refusal::NoVehicle)?;
        if self.claims_lost { Err(Refusal::Reacquiring) } else { Ok(line) }
    }
}

fn completed(
    start_m: u64,
    started_at: Timestamp,
    back: &Return<'_>,
    now: Timestamp,
) -> Result<Event, Refusal> {
    let end_m = back.odometer_end_m;
    percent(back.fuel_end_pct)?;
    let distance_m =
        end_m.checked_sub(start_m).ok_or(Refusal::OdometerDecreased { start_m, end_m })?;
    Ok(Event::RentalCompleted {
        odometer_end_m: end_m,
        fuel_end_pct: back.fuel_end_pct,
        distance_m,
        duration_s: now.since(started_at).as_secs(),
        location: back.location.cloned(),
        at: now,
    })
}

fn percent(fuel: u8) -> Result<(), Refusal> {
    if fuel <= 100 { Ok(()) } else { Err(Refusal::InvalidFuel(fuel)) }
}
