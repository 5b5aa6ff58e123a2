//! Vehicles: where each stands, who has it, what it last told of itself.
//!
//! A vehicle's stream grows by a sample a minute for as long as it lives, so its state is not folded from
//! the stream's beginning when it is needed: the row itself remembers what the next event needs to know
//! (*memory*, the last columns), and `apply.rs` goes on from there. A test holds rows to what the domain's
//! own rules make of the same events.

mod apply;

use holdfast_domain::vehicle::{CommandKind, LockState, Rental, Reported};
use holdfast_domain::{Period, ReservationId, Sku, Timestamp, UserId, VehicleId};
use holdfast_store::Position;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::tables::{Column, Edition, Index, Kept, Row, Stored, Table, TableError, Value, word};
use crate::{Page, PageRequest, QueryError, ReadModels};

pub(crate) use apply::Vehicles;

/// Where a vehicle was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Location {
    /// Degrees north, WGS 84, to the sixth decimal.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// When it said so.
    pub at: Timestamp,
}

/// The reservation that has a vehicle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HolderRow {
    /// Which.
    pub reservation_id: ReservationId,
    /// Whose it is.
    pub user_id: UserId,
    /// Whether it is paid for; only then may it be opened.
    pub confirmed: bool,
    /// When it may be used, if it was booked for a time.
    pub period: Option<Period>,
}

/// A command that a vehicle has not answered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandRow {
    /// Its name.
    pub command_id: Uuid,
    /// What it should do.
    pub kind: CommandKind,
    /// From when on it has failed.
    pub deadline: Timestamp,
    reservation_id: Option<ReservationId>,
}

/// A vehicle.
#[derive(Clone, Debug, PartialEq)]
pub struct VehicleRow {
    /// Its name.
    pub id: VehicleId,
    /// What names it on paper.
    pub vin: String,
    /// Its class.
    pub sku: Sku,
    /// What feeds show: where the rental stands, or that nobody can reach it. MDS.
    pub status: Reported,
    /// Where the rental stands, reachable or not.
    pub rental: Rental,
    /// What its lock is doing, as far as is known.
    pub lock: LockState,
    /// Whether it is there.
    pub online: bool,
    /// How far it has driven, in metres.
    pub odometer_m: u64,
    /// How full its tank or battery is, in percent, once it is known.
    pub fuel_pct: Option<u8>,
    /// When it last told of itself.
    pub last_seen: Option<Timestamp>,
    /// Where it was last.
    pub location: Option<Location>,
    /// Who has it.
    pub holder: Option<HolderRow>,
    /// What it was told and has not answered.
    pub command: Option<CommandRow>,
    /// Why nobody may rent it, if an operator says so.
    pub out_of_service: Option<String>,
    /// How many trips have begun with it. Public ids follow from this number: another one after each trip.
    pub trips: u64,
    /// The version of its stream after the event that changed it last.
    pub stream_version: u64,
    /// The event that changed it last.
    pub position: Position,
    memory: Memory,
}

/// What the next event needs to know, as the domain's state does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Memory {
    contact: Contact,
    /// What its own signed answers say of the lock.
    bolt: Bolt,
    /// What telemetry said of the doors since.
    doors_locked: Option<bool>,
    trip: Trip,
    /// Whether a lock is due as soon as the command under way has ended.
    lock_owed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Contact {
    Never,
    Online,
    Offline,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Bolt {
    Locked,
    Unlocked,
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Trip {
    None,
    /// Its customer has opened it.
    Opened,
    Started,
}

pub(crate) const VEHICLES: Table = Table {
    name: "vehicles",
    about: "Vehicles: where each stands (MDS names), who has it, what it last told (metres, percent, degrees). One row a vehicle. The columns from `contact` on are the projection's own memory.",
    columns: &[
        Column::text("id"),
        Column::text("vin"),
        Column::text("sku"),
        Column::text("status"),
        Column::text("rental"),
        Column::text("lock"),
        Column::flag("online"),
        Column::int("odometer_m"),
        Column::int("fuel_pct").or_null(),
        Column::time("last_seen").or_null(),
        Column::real("latitude").or_null(),
        Column::real("longitude").or_null(),
        Column::time("located_at").or_null(),
        Column::text("reservation_id").or_null(),
        Column::text("user_id").or_null(),
        Column::flag("confirmed").or_null(),
        Column::time("period_from").or_null(),
        Column::time("period_until").or_null(),
        Column::text("command_id").or_null(),
        Column::text("command_kind").or_null(),
        Column::time("command_deadline").or_null(),
        Column::text("command_reservation_id").or_null(),
        Column::text("out_of_service").or_null(),
        Column::int("trips"),
        Column::int("stream_version"),
        Column::int("position"),
        Column::text("contact"),
        Column::text("bolt"),
        Column::flag("doors_locked").or_null(),
        Column::text("trip"),
        Column::flag("lock_owed"),
    ],
    key: 1,
    indexes: &[
        Index { name: "vehicles_by_class", columns: &["sku", "status", "id"], early: false },
        Index { name: "vehicles_by_status", columns: &["status", "id"], early: false },
        Index { name: "vehicles_by_user", columns: &["user_id", "id"], early: false },
        Index { name: "vehicles_by_reservation", columns: &["reservation_id"], early: false },
    ],
};

impl Stored for VehicleRow {
    const TABLE: &'static Table = &VEHICLES;
    type Key = VehicleId;

    fn key(&self) -> VehicleId {
        self.id.clone()
    }

    fn key_values(id: &VehicleId) -> Vec<Value> {
        vec![id.as_str().into()]
    }

    fn values(&self) -> Vec<Value> {
        let (holder, command, memory) = (self.holder.as_ref(), self.command.as_ref(), &self.memory);
        let period = holder.and_then(|holder| holder.period);
        vec![
            self.id.as_str().into(),
            self.vin.as_str().into(),
            self.sku.as_str().into(),
            Value::word(&self.status),
            Value::word(&self.rental),
            Value::word(&self.lock),
            self.online.into(),
            self.odometer_m.into(),
            self.fuel_pct.into(),
            self.last_seen.into(),
            self.location.map(|it| it.latitude).into(),
            self.location.map(|it| it.longitude).into(),
            self.location.map(|it| it.at).into(),
            Value::show_or_null(holder.map(|it| it.reservation_id)),
            Value::show_or_null(holder.map(|it| &it.user_id)),
            holder.map(|it| it.confirmed).into(),
            period.map(|it| it.from).into(),
            period.map(|it| it.until).into(),
            Value::show_or_null(command.map(|it| it.command_id)),
            command.map_or(Value::Null, |it| Value::word(&it.kind)),
            command.map(|it| it.deadline).into(),
            Value::show_or_null(command.and_then(|it| it.reservation_id)),
            self.out_of_service.clone().into(),
            self.trips.into(),
            self.stream_version.into(),
            self.position.into(),
            Value::word(&memory.contact),
            Value::word(&memory.bolt),
            memory.doors_locked.into(),
            Value::word(&memory.trip),
            memory.lock_owed.into(),
        ]
    }

    fn read(row: &mut Row) -> Result<Self, TableError> {
        Ok(Self {
            id: row.parse()?,
            vin: row.text()?,
            sku: row.parse()?,
            status: row.word()?,
            rental: row.word()?,
            lock: row.word()?,
            online: row.flag()?,
            odometer_m: row.int()?,
            fuel_pct: row.opt_int()?,
            last_seen: row.opt_time()?,
            location: location(row)?,
            holder: holder(row)?,
            command: command(row)?,
            out_of_service: row.opt_text()?,
            trips: row.int()?,
            stream_version: row.int()?,
            position: row.position()?,
            memory: Memory {
                contact: row.word()?,
                bolt: row.word()?,
                doors_locked: row.opt_flag()?,
                trip: row.word()?,
                lock_owed: row.flag()?,
            },
        })
    }
}

fn location(row: &mut Row) -> Result<Option<Location>, TableError> {
    let (latitude, longitude, at) = (row.opt_real()?, row.opt_real()?, row.opt_time()?);
    let Some((latitude, longitude)) = latitude.zip(longitude) else { return Ok(None) };
    Ok(at.map(|at| Location { latitude, longitude, at }))
}

fn holder(row: &mut Row) -> Result<Option<HolderRow>, TableError> {
    let (reservation_id, user_id) = (row.opt_parse()?, row.opt_parse()?);
    let confirmed = row.opt_flag()?.unwrap_or(false);
    let period = row.opt_time()?.zip(row.opt_time()?);
    let period = period.map(|(from, until)| Period { from, until });
    let holder = reservation_id.zip(user_id);
    Ok(holder.map(|(reservation_id, user_id)| HolderRow {
        reservation_id,
        user_id,
        confirmed,
        period,
    }))
}

fn command(row: &mut Row) -> Result<Option<CommandRow>, TableError> {
    let (command_id, kind) = (row.opt_parse()?, row.opt_word()?);
    let (deadline, reservation_id) = (row.opt_time()?, row.opt_parse()?);
    let (Some(command_id), Some(kind), Some(deadline)) = (command_id, kind, deadline) else {
        return Ok(None);
    };
    Ok(Some(CommandRow { command_id, kind, deadline, reservation_id }))
}

impl ReadModels {
    /// One vehicle.
    pub async fn vehicle(&self, id: &VehicleId) -> Result<Option<VehicleRow>, QueryError> {
        self.one(&format!("{} WHERE id = ?", VEHICLES.select()), vec![id.as_str().into()]).await
    }

    /// The vehicle that a reservation has at the moment.
    pub async fn vehicle_of(&self, id: &ReservationId) -> Result<Option<VehicleRow>, QueryError> {
        let sql = format!("{} WHERE reservation_id = ?", VEHICLES.select());
        self.one(&sql, vec![Value::show(id)]).await
    }

    /// The fleet by id, all of it or one class, in one status or any.
    pub async fn vehicles(
        &self,
        sku: Option<&Sku>,
        status: Option<Reported>,
        page: &PageRequest,
    ) -> Result<Page<VehicleRow>, QueryError> {
        self.some_vehicles(None, sku, status, page).await
    }

    /// The same, of those that a customer has at the moment.
    pub async fn vehicles_of(
        &self,
        user: &UserId,
        sku: Option<&Sku>,
        status: Option<Reported>,
        page: &PageRequest,
    ) -> Result<Page<VehicleRow>, QueryError> {
        self.some_vehicles(Some(user), sku, status, page).await
    }

    async fn some_vehicles(
        &self,
        user: Option<&UserId>,
        sku: Option<&Sku>,
        status: Option<Reported>,
        page: &PageRequest,
    ) -> Result<Page<VehicleRow>, QueryError> {
        let mut sql = format!("{} WHERE id > ?", VEHICLES.select());
        let mut values: Vec<Value> = vec![page.after.as_deref().unwrap_or("").into()];
        if let Some(user) = user {
            sql.push_str(" AND user_id = ?");
            values.push(user.as_str().into());
        }
        if let Some(sku) = sku {
            sql.push_str(" AND sku = ?");
            values.push(sku.as_str().into());
        }
        if let Some(status) = status {
            sql.push_str(" AND status = ?");
            values.push(word(&status).into());
        }
        sql.push_str(" ORDER BY id LIMIT ?");
        values.push(page.limit().into());
        let rows: Vec<VehicleRow> = self.many(&sql, values).await?;
        Ok(Page::of(rows.into_iter().map(|row| (row.id.to_string(), row)).collect(), page))
    }

    /// The vehicles that anybody may rent now (V6): available, online, with at least so much fuel where
    /// that matters. By class, fullest first; at most so many.
    pub async fn vehicles_to_rent(
        &self,
        least_fuel_pct: Option<u8>,
        most: usize,
    ) -> Result<Vec<VehicleRow>, QueryError> {
        let mut sql = format!("{} WHERE status = ? AND online = 1", VEHICLES.select());
        let mut values: Vec<Value> = vec![Value::word(&Reported::Available)];
        if let Some(least) = least_fuel_pct {
            sql.push_str(" AND fuel_pct >= ?");
            values.push(least.into());
        }
        sql.push_str(" ORDER BY sku, fuel_pct DESC, id LIMIT ?");
        values.push(i64::try_from(most).unwrap_or(i64::MAX).into());
        self.many(&sql, values).await
    }
}
