//! How events change vehicles. What becomes of the lock and of the claim is what `domain/src/vehicle`
//! makes of the same events; `status`, `rental` and `lock` follow from the rest.

use holdfast_domain::vehicle::{CommandKind, Event, FailCode, LockState, Rental, Reported};
use holdfast_domain::{Timestamp, VehicleId};
use uuid::Uuid;

use super::{
    Bolt, CommandRow, Contact, Edition, HolderRow, Kept, Location, Memory, TableError, Trip,
    VehicleRow,
};
use crate::projecting::Seen;
use crate::tables::Tx;

/// How events change it.
pub(crate) struct Vehicles {
    pub(crate) rows: Kept<VehicleRow>,
}

impl Vehicles {
    pub(crate) fn new(edition: Edition) -> Self {
        Self { rows: Kept::new(edition) }
    }

    pub(crate) async fn apply(
        &mut self,
        tx: &mut Tx,
        id: &VehicleId,
        event: &Event,
        seen: Seen,
    ) -> Result<(), TableError> {
        if let Event::Registered { vin_ref, type_pool, odometer_m, fuel_pct } = event {
            self.rows.put(VehicleRow {
                id: id.clone(),
                vin: vin_ref.clone(),
                sku: type_pool.clone(),
                status: Reported::Available,
                rental: Rental::Available,
                lock: LockState::Locked,
                online: false,
                odometer_m: *odometer_m,
                fuel_pct: *fuel_pct,
                last_seen: None,
                location: None,
                holder: None,
                command: None,
                out_of_service: None,
                trips: 0,
                stream_version: seen.stream_version,
                position: seen.position,
                memory: Memory {
                    contact: Contact::Never,
                    bolt: Bolt::Locked,
                    doors_locked: None,
                    trip: Trip::None,
                    lock_owed: false,
                },
            });
            return Ok(());
        }
        // Without a first event that could be read there is nothing to show.
        let Some(row) = self.rows.edit(tx, id).await? else { return Ok(()) };
        row.take_in(event);
        row.follow();
        row.stream_version = seen.stream_version;
        row.position = seen.position;
        Ok(())
    }
}

impl VehicleRow {
    fn take_in(&mut self, event: &Event) {
        match event {
            Event::Registered { .. } => {}
            Event::Reserved { reservation_id, user_id, period, confirmed, .. } => {
                let (reservation_id, user_id) = (*reservation_id, user_id.clone());
                let (confirmed, period) = (*confirmed, *period);
                self.holder = Some(HolderRow { reservation_id, user_id, confirmed, period });
            }
            Event::ReservationConfirmed { reservation_id, .. } => {
                let holder = self.holder.as_mut();
                if let Some(holder) = holder.filter(|it| it.reservation_id == *reservation_id) {
                    holder.confirmed = true;
                }
            }
            Event::ReservationReleased { reservation_id, freed, .. } => {
                let has_it = |holder: &mut HolderRow| holder.reservation_id == *reservation_id;
                if *freed && self.holder.take_if(has_it).is_some() {
                    self.memory.trip = Trip::None;
                }
                self.owe_what_is_open();
            }
            Event::UnlockRequested { command_id, reservation_id, deadline, .. } => {
                self.command = Some(CommandRow {
                    command_id: *command_id,
                    kind: CommandKind::Unlock,
                    deadline: *deadline,
                    reservation_id: Some(*reservation_id),
                });
            }
            Event::LockRequested { command_id, reservation_id, deadline, attempt, .. } => {
                // A further attempt of a lock settles nothing that came after its first.
                self.memory.lock_owed &= *attempt != 1;
                self.command = Some(CommandRow {
                    command_id: *command_id,
                    kind: CommandKind::Lock,
                    deadline: *deadline,
                    reservation_id: *reservation_id,
                });
            }
            Event::Unlocked { command_id, reservation_id, odometer_m, accepted, .. } => {
                self.answered(command_id);
                self.memory.bolt = Bolt::Unlocked;
                self.memory.doors_locked = None;
                self.drove_to(*odometer_m);
                let entitled =
                    self.holder.as_ref().is_some_and(|it| it.reservation_id == *reservation_id);
                if *accepted && entitled && self.memory.trip == Trip::None {
                    self.memory.trip = Trip::Opened;
                }
            }
            Event::UnlockFailed { command_id, code, .. }
            | Event::LockFailed { command_id, code, .. } => {
                self.answered(command_id);
                match code {
                    FailCode::Timeout | FailCode::Offline | FailCode::Jammed => {
                        self.memory.bolt = Bolt::Unknown;
                    }
                    FailCode::Rejected | FailCode::Expired => {}
                }
            }
            Event::Locked { command_id, .. } => {
                self.answered(command_id);
                let owed = self.memory.lock_owed;
                self.memory.bolt = if owed { Bolt::Unknown } else { Bolt::Locked };
                self.memory.doors_locked = None;
            }
            Event::LateUnlockCompensated { .. } => self.memory.lock_owed = true,
            Event::ConnectionLost { last_seen } => {
                self.memory.contact = Contact::Offline;
                self.seen_at(*last_seen);
            }
            Event::ConnectionRestored { .. } => self.memory.contact = Contact::Online,
            Event::TripStarted { .. } => {
                self.memory.trip = Trip::Started;
                self.trips += 1;
            }
            Event::TripEnded { odometer_m, fuel_pct, .. } => {
                // A trip that nobody saw begin counts as well: the next one gets another public id.
                self.trips += u64::from(self.memory.trip != Trip::Started);
                self.memory.trip = Trip::None;
                self.drove_to(*odometer_m);
                self.fuel_pct = Some(*fuel_pct);
            }
            Event::TelemetrySampled {
                odometer_m,
                fuel_pct,
                is_locked,
                latitude_udeg,
                longitude_udeg,
                at,
                ..
            } => {
                self.drove_to(odometer_m.unwrap_or(0));
                self.fuel_pct = fuel_pct.or(self.fuel_pct);
                self.memory.doors_locked = is_locked.or(self.memory.doors_locked);
                if self.memory.contact == Contact::Never {
                    self.memory.contact = Contact::Online;
                }
                if let Some((latitude, longitude)) = latitude_udeg.zip(*longitude_udeg) {
                    self.location = located(latitude, longitude, *at).or(self.location);
                }
                self.seen_at(*at);
            }
            Event::OutOfService { reason } => self.out_of_service = Some(reason.clone()),
            Event::ReturnedToService => self.out_of_service = None,
            Event::ReservationExtended { .. }
            | Event::AttemptWithdrawn { .. }
            | Event::AnswerIgnored { .. }
            | Event::OdometerAnomaly { .. } => {}
        }
    }

    /// What follows from what is remembered.
    fn follow(&mut self) {
        let Memory { contact, bolt, doors_locked, trip, lock_owed } = self.memory;
        let under_way = self.command.map(|command| command.kind);
        let secured = bolt == Bolt::Locked
            && doors_locked != Some(false)
            && !lock_owed
            && under_way != Some(CommandKind::Unlock);
        let (rental, status) = match trip {
            Trip::Started => (Rental::OnTrip, Reported::OnTrip),
            Trip::Opened => (Rental::Stopped, Reported::Stopped),
            Trip::None if self.out_of_service.is_some() => {
                (Rental::NonOperational, Reported::NonOperational)
            }
            Trip::None if self.holder.is_some() => (Rental::Reserved, Reported::Reserved),
            Trip::None if !secured => (Rental::NonOperational, Reported::NonOperational),
            Trip::None => (Rental::Available, Reported::Available),
        };
        self.rental = rental;
        self.status = if contact == Contact::Offline { Reported::NonContactable } else { status };
        self.online = contact == Contact::Online;
        self.lock = match (under_way, bolt, doors_locked) {
            (Some(CommandKind::Unlock), _, _) => LockState::Unlocking,
            (Some(CommandKind::Lock), _, _) => LockState::Locking,
            (None, _, Some(false)) | (None, Bolt::Unlocked, None) => LockState::Unlocked,
            (None, _, Some(true)) | (None, Bolt::Locked, None) => LockState::Locked,
            (None, Bolt::Unknown, None) => LockState::Unknown,
        };
    }

    fn answered(&mut self, command_id: &Uuid) {
        self.command.take_if(|command| command.command_id == *command_id);
    }

    /// Somebody left while an unlock was under way, which may leave the vehicle open.
    fn owe_what_is_open(&mut self) {
        let Some(command) = self.command.filter(|it| it.kind == CommandKind::Unlock) else {
            return;
        };
        let holder = self.holder.as_ref().map(|holder| holder.reservation_id);
        if command.reservation_id.is_none() || command.reservation_id != holder {
            self.memory.lock_owed = true;
        }
    }

    fn drove_to(&mut self, odometer_m: u64) {
        self.odometer_m = self.odometer_m.max(odometer_m);
    }

    fn seen_at(&mut self, at: Timestamp) {
        self.last_seen = Some(self.last_seen.map_or(at, |known| known.max(at)));
    }
}

/// From millionths of a degree, each of which is a number of its own; what is no place on earth is none.
fn located(latitude: i64, longitude: i64, at: Timestamp) -> Option<Location> {
    let on_earth = latitude.abs() <= 90_000_000 && longitude.abs() <= 180_000_000;
    let degrees = |udeg: i64| udeg as f64 / 1e6;
    let (latitude, longitude) = (degrees(latitude), degrees(longitude));
    on_earth.then_some(Location { latitude, longitude, at })
}
