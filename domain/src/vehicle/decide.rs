//! Which file judges which command; and the fleet's own: registration and service.

use super::answers::Told;
use super::claims::Wish;
use super::command::{Command, InvalidRegistration, Refusal};
use super::event::{Event, LockReason};
use super::{MOST_METRES, State};
use crate::{By, Sku, Timestamp, VehicleId};

/// The longest VIN, or whatever names a vehicle on paper.
const VIN_LEN: usize = 64;

impl State {
    /// DOMAIN.md C.6, its table.
    pub(super) fn judge(
        &self,
        id: &VehicleId,
        command: &Command,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        if !self.is_registered() && !matches!(command, Command::Register { .. }) {
            return Err(Refusal::NotFound);
        }
        match command {
            Command::Register { vin_ref, type_pool, odometer_m, fuel_pct } => {
                self.register(vin_ref, type_pool, *odometer_m, *fuel_pct)
            }
            Command::Reserve {
                reservation_id,
                user_id,
                epoch,
                expires_at,
                attempt,
                period,
                confirmed,
            } => {
                let wish = Wish::new(user_id, *period);
                match (expires_at, confirmed) {
                    (Some(expires_at), false) => {
                        self.reserve(wish, *reservation_id, *epoch, *expires_at, *attempt, now)
                    }
                    (None, _) | (Some(_), true) => self.assign(wish, *reservation_id, *epoch, now),
                }
            }
            Command::ExtendReservation { reservation_id, expires_at, epoch } => {
                self.extend(*reservation_id, *expires_at, *epoch, now)
            }
            Command::Withdraw { reservation_id, attempt } => {
                Ok(self.withdraw(*reservation_id, *attempt))
            }
            Command::ConfirmReservation { reservation_id, epoch } => {
                self.confirm(*reservation_id, *epoch)
            }
            Command::Reacquire { reservation_id, user_id, epoch, period } => {
                let wish = Wish::new(user_id, *period);
                self.reacquire(wish, *reservation_id, *epoch, now)
            }
            Command::ReleaseReservation { reservation_id, epoch, reason } => {
                self.release(id, *reservation_id, *epoch, *reason, now)
            }
            Command::DropLapsed { reservation_id } => Ok(self.drop_lapsed(*reservation_id, now)),
            Command::RequestUnlock { command_id, reservation_id, by, deadline } => {
                self.unlock(*command_id, *reservation_id, by, *deadline, now)
            }
            Command::RequestLock { command_id, reservation_id, by, deadline, reason } => {
                self.lock_it(*command_id, *reservation_id, by, *deadline, *reason, now)
            }
            Command::Secure { command_id } => self.secure(*command_id, now),
            Command::RetryCommand { command_id, attempt } => {
                Ok(self.retry(*command_id, *attempt, now))
            }
            Command::CommandTimedOut { command_id } => self.timed_out(id, *command_id, now),
            Command::Answer {
                command_id,
                kind,
                answer,
                device_time,
                odometer_m,
                fuel_pct,
                grace,
            } => {
                let told = Told {
                    command_id: *command_id,
                    answer: *answer,
                    device_time: *device_time,
                    odometer_m: *odometer_m,
                    fuel_pct: *fuel_pct,
                    grace: *grace,
                };
                self.answer(id, *kind, &told, now)
            }
            Command::IgnoreAnswer { command_id, status, why } => {
                Ok(self.ignored(*command_id, status, *why, now))
            }
            Command::StartTrip { reservation_id } => self.start_trip(*reservation_id),
            Command::EndTrip { reservation_id, odometer_m, fuel_pct, lock } => {
                self.end_trip(id, *reservation_id, *odometer_m, *fuel_pct, *lock, now)
            }
            Command::ReportTelemetry { telemetry, low_fuel } => {
                self.telemetry(id, telemetry, *low_fuel, now)
            }
            Command::ConnectionLost { last_seen, boot } => Ok(self.lost(*last_seen, *boot, now)),
            Command::ConnectionRestored { boot } => Ok(self.restored(id, *boot, now)),
            Command::SetOutOfService { by, reason } => self.out_of_service_for(by, reason),
            Command::ReturnToService { by } => self.back_in_service(id, by, now),
        }
    }

    fn register(
        &self,
        vin_ref: &str,
        type_pool: &Sku,
        odometer_m: u64,
        fuel_pct: Option<u8>,
    ) -> Result<Vec<Event>, Refusal> {
        if let Some(known) = &self.registration {
            let same = known.vin_ref == vin_ref && known.type_pool == *type_pool;
            return if same { Ok(vec![]) } else { Err(Refusal::AlreadyExists) };
        }
        let letters = vin_ref.chars().count();
        if vin_ref.trim().is_empty() || letters > VIN_LEN || vin_ref.contains(char::is_control) {
            return Err(Refusal::InvalidRegistration(InvalidRegistration::Vin));
        }
        if odometer_m > MOST_METRES {
            return Err(Refusal::InvalidRegistration(InvalidRegistration::Odometer));
        }
        if let Some(fuel_pct) = fuel_pct {
            percent(fuel_pct)?;
        }
        let (vin_ref, type_pool) = (vin_ref.to_owned(), type_pool.clone());
        Ok(vec![Event::Registered { vin_ref, type_pool, odometer_m, fuel_pct }])
    }

    /// The customer of a rental that is under way keeps it to its end.
    fn out_of_service_for(&self, by: &By, reason: &str) -> Result<Vec<Event>, Refusal> {
        staff(by)?;
        if self.out_of_service.is_some() {
            return Ok(vec![]);
        }
        if let Some(command_id) = self.unlocking() {
            return Err(Refusal::UnlockInProgress { command_id });
        }
        Ok(vec![Event::OutOfService { reason: reason.to_owned() }])
    }

    /// A vehicle that somebody has worked on is locked before anybody may have it.
    fn back_in_service(
        &self,
        id: &VehicleId,
        by: &By,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        staff(by)?;
        if self.out_of_service.is_none() {
            return Ok(vec![]);
        }
        let mut events = vec![Event::ReturnedToService];
        if !self.is_secured() && self.trip.is_none() {
            events.extend(self.own_lock_now(id, None, LockReason::Operator, now));
        }
        Ok(events)
    }
}

/// Customers have no say in a fleet.
fn staff(by: &By) -> Result<(), Refusal> {
    match by {
        By::Owner(_) => Err(Refusal::NotFound),
        By::Operator(_) | By::System => Ok(()),
    }
}

pub(super) fn percent(fuel: u8) -> Result<(), Refusal> {
    if fuel <= 100 { Ok(()) } else { Err(Refusal::InvalidFuel(fuel)) }
}
