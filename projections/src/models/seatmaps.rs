//! Seat maps: each seat's place, price and owner, and the counts of the hall.

mod apply;

use holdfast_domain::seatmap::{Owner, Plan};
use holdfast_domain::{LockId, Money, ReservationId, SeatId, SeatMapId, Sku, Timestamp, UserId};
use holdfast_store::Position;
use serde::{Deserialize, Serialize};

use crate::tables::{Column, Index, Row, Stored, Table, TableError, Value};
use crate::{QueryError, ReadModels};

pub(crate) use apply::SeatMaps;

/// Whose a seat is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SeatStatus {
    /// Nobody's.
    Free,
    /// Somebody's for a time.
    Locked,
    /// Sold.
    Booked,
    /// Not for sale.
    Blocked,
}

impl SeatStatus {
    /// Its word, in tables and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Free => "FREE",
            Self::Locked => "LOCKED",
            Self::Booked => "BOOKED",
            Self::Blocked => "BLOCKED",
        }
    }
}

/// How many seats of a map are whose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeatCounts {
    /// Nobody's.
    pub free: u32,
    /// Somebody's for a time.
    pub locked: u32,
    /// Sold.
    pub booked: u32,
    /// Not for sale.
    pub blocked: u32,
}

impl SeatCounts {
    /// All seats of the map.
    pub fn seats(&self) -> u32 {
        self.free + self.locked + self.booked + self.blocked
    }

    fn of(&mut self, status: SeatStatus) -> &mut u32 {
        match status {
            SeatStatus::Free => &mut self.free,
            SeatStatus::Locked => &mut self.locked,
            SeatStatus::Booked => &mut self.booked,
            SeatStatus::Blocked => &mut self.blocked,
        }
    }
}

/// A seat map.
#[derive(Clone, Debug, PartialEq)]
pub struct SeatMapRow {
    /// Its name in addresses.
    pub id: SeatMapId,
    /// The hall's name.
    pub name: String,
    /// Quota and limit item that each seat also claims.
    pub sku: Option<Sku>,
    /// How many seats are whose.
    pub counts: SeatCounts,
    /// What the hall looks like.
    pub plan: Plan,
    /// The event that changed it last.
    pub position: Position,
    /// The place in the log up to which this was counted.
    pub as_of: Position,
}

/// A seat.
#[derive(Clone, Debug, PartialEq)]
pub struct SeatRow {
    /// Of which map.
    pub seat_map_id: SeatMapId,
    /// Its name.
    pub id: SeatId,
    /// Its place in the plan, from 0: nearest the stage first.
    pub ordinal: u32,
    /// What stands on it.
    pub label: String,
    /// Its section.
    pub section: String,
    /// Its row.
    pub row: String,
    /// Where it is drawn.
    pub x: f64,
    /// Where it is drawn.
    pub y: f64,
    /// Its price class.
    pub category: String,
    /// What it costs.
    pub price: Money,
    /// Whose it is.
    pub status: SeatStatus,
    /// The bare lock that has it.
    pub lock_id: Option<LockId>,
    /// The reservation that has it.
    pub reservation_id: Option<ReservationId>,
    /// Who has it.
    pub user_id: Option<UserId>,
    /// Until when; none for a seat that does not lapse.
    pub expires_at: Option<Timestamp>,
    /// Why it is not for sale.
    pub blocked_reason: Option<String>,
    /// The event that changed it last.
    pub position: Position,
}

impl SeatRow {
    /// The lock or the reservation that has it.
    pub fn owner(&self) -> Option<Owner> {
        let reservation = self.reservation_id.map(Owner::Reservation);
        reservation.or(self.lock_id.map(Owner::Lock))
    }
}

/// Every seat's status at one place in the log: what a page shows before it follows the changes.
#[derive(Clone, Debug, PartialEq)]
pub struct SeatSnapshot {
    /// The place in the log: changes behind it are not in here, all others are.
    pub as_of: Position,
    /// Every seat, nearest the stage first.
    pub seats: Vec<(SeatId, SeatStatus)>,
}

pub(crate) const SEAT_MAPS: Table = Table {
    name: "seat_maps",
    about: "Seat maps with the counts of their seats and their plan.",
    columns: &[
        Column::text("id"),
        Column::text("name"),
        Column::text("sku").or_null(),
        Column::int("free"),
        Column::int("locked"),
        Column::int("booked"),
        Column::int("blocked"),
        Column::json("plan"),
        Column::int("position"),
    ],
    key: 1,
    indexes: &[],
};

impl Stored for SeatMapRow {
    const TABLE: &'static Table = &SEAT_MAPS;
    type Key = SeatMapId;

    fn key(&self) -> SeatMapId {
        self.id.clone()
    }

    fn key_values(id: &SeatMapId) -> Vec<Value> {
        vec![id.as_str().into()]
    }

    fn values(&self) -> Vec<Value> {
        vec![
            self.id.as_str().into(),
            self.name.as_str().into(),
            Value::show_or_null(self.sku.as_ref()),
            self.counts.free.into(),
            self.counts.locked.into(),
            self.counts.booked.into(),
            self.counts.blocked.into(),
            Value::json(&self.plan),
            self.position.into(),
        ]
    }

    fn read(row: &mut Row) -> Result<Self, TableError> {
        Ok(Self {
            id: row.parse()?,
            name: row.text()?,
            sku: row.opt_parse()?,
            counts: SeatCounts {
                free: row.int()?,
                locked: row.int()?,
                booked: row.int()?,
                blocked: row.int()?,
            },
            plan: row.json()?,
            position: row.position()?,
            as_of: Position::ZERO,
        })
    }
}

pub(crate) const SEATS: Table = Table {
    name: "seats",
    about: "Seats: place, price, status, owner. One row a seat; x and y in seat widths.",
    columns: &[
        Column::text("seat_map_id"),
        Column::text("id"),
        Column::int("ordinal"),
        Column::text("label"),
        Column::text("section"),
        Column::text("row"),
        Column::real("x"),
        Column::real("y"),
        Column::text("category"),
        Column::int("price_minor"),
        Column::text("currency"),
        Column::text("status"),
        Column::text("lock_id").or_null(),
        Column::text("reservation_id").or_null(),
        Column::text("user_id").or_null(),
        Column::time("expires_at").or_null(),
        Column::text("blocked_reason").or_null(),
        Column::int("position"),
    ],
    key: 2,
    indexes: &[
        Index {
            name: "seats_by_section",
            columns: &["seat_map_id", "section", "ordinal"],
            early: false,
        },
        Index { name: "seats_by_reservation", columns: &["reservation_id"], early: true },
    ],
};

impl Stored for SeatRow {
    const TABLE: &'static Table = &SEATS;
    type Key = (SeatMapId, SeatId);

    fn key(&self) -> (SeatMapId, SeatId) {
        (self.seat_map_id.clone(), self.id.clone())
    }

    fn key_values((map, id): &(SeatMapId, SeatId)) -> Vec<Value> {
        vec![map.as_str().into(), id.as_str().into()]
    }

    fn values(&self) -> Vec<Value> {
        vec![
            self.seat_map_id.as_str().into(),
            self.id.as_str().into(),
            self.ordinal.into(),
            self.label.as_str().into(),
            self.section.as_str().into(),
            self.row.as_str().into(),
            self.x.into(),
            self.y.into(),
            self.category.as_str().into(),
            Value::minor(self.price),
            self.price.currency.code().into(),
            self.status.as_str().into(),
            Value::show_or_null(self.lock_id),
            Value::show_or_null(self.reservation_id),
            Value::show_or_null(self.user_id.as_ref()),
            self.expires_at.into(),
            self.blocked_reason.clone().into(),
            self.position.into(),
        ]
    }

    fn read(row: &mut Row) -> Result<Self, TableError> {
        Ok(Self {
            seat_map_id: row.parse()?,
            id: row.parse()?,
            ordinal: row.int()?,
            label: row.text()?,
            section: row.text()?,
            row: row.text()?,
            x: row.real()?,
            y: row.real()?,
            category: row.text()?,
            price: row.money()?,
            status: row.word()?,
            lock_id: row.opt_parse()?,
            reservation_id: row.opt_parse()?,
            user_id: row.opt_parse()?,
            expires_at: row.opt_time()?,
            blocked_reason: row.opt_text()?,
            position: row.position()?,
        })
    }
}

impl ReadModels {
    /// One seat map with its counts.
    pub async fn seat_map(&self, id: &SeatMapId) -> Result<Option<SeatMapRow>, QueryError> {
        let sql = format!(
            "SELECT {}, (SELECT position FROM checkpoints WHERE name = 'seat_maps') \
             FROM seat_maps WHERE id = ?",
            SEAT_MAPS.list(),
        );
        let rows = self.home().rows(&SEAT_MAPS, &sql, vec![id.as_str().into()]).await?;
        let Some(mut row) = rows.into_iter().next() else { return Ok(None) };
        let map = SeatMapRow::read(&mut row)?;
        Ok(Some(SeatMapRow { as_of: row.position()?, ..map }))
    }

    /// How many seats of a map are whose.
    pub async fn seat_counts(&self, id: &SeatMapId) -> Result<Option<SeatCounts>, QueryError> {
        Ok(self.seat_map(id).await?.map(|map| map.counts))
    }

    /// The seats of a map or of one of its sections, nearest the stage first.
    pub async fn seats(
        &self,
        map: &SeatMapId,
        section: Option<&str>,
    ) -> Result<Vec<SeatRow>, QueryError> {
        let mut sql = format!("{} WHERE seat_map_id = ?", SEATS.select());
        let mut values: Vec<Value> = vec![map.as_str().into()];
        if let Some(section) = section {
            sql.push_str(" AND section = ?");
            values.push(section.into());
        }
        sql.push_str(" ORDER BY ordinal");
        self.many(&sql, values).await
    }

    /// Some seats of a map, by their names; those that it does not have are left out.
    pub async fn seats_named(
        &self,
        map: &SeatMapId,
        ids: &[SeatId],
    ) -> Result<Vec<SeatRow>, QueryError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let marks = vec!["?"; ids.len()].join(",");
        let sql = format!(
            "{} WHERE seat_map_id = ? AND id IN ({marks}) ORDER BY ordinal",
            SEATS.select()
        );
        let mut values: Vec<Value> = vec![map.as_str().into()];
        values.extend(ids.iter().map(|id| id.as_str().into()));
        self.many(&sql, values).await
    }

    /// Every seat's status, and the place in the log at which that was so.
    pub async fn seat_snapshot(&self, map: &SeatMapId) -> Result<Option<SeatSnapshot>, QueryError> {
        // One statement is one view of the database: seats and position belong together.
        let sql = "SELECT (SELECT position FROM checkpoints WHERE name = 'seat_maps'), id, status \
                   FROM seats WHERE seat_map_id = ? ORDER BY ordinal";
        let mut as_of = None;
        let mut seats = Vec::new();
        for mut row in self.home().rows(&SEATS, sql, vec![map.as_str().into()]).await? {
            as_of = Some(row.position()?);
            seats.push((row.parse()?, row.word()?));
        }
        Ok(as_of.map(|as_of| SeatSnapshot { as_of, seats }))
    }
}
