//! Seat maps: each seat's place, price and owner, and the counts of the hall.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use holdfast_domain::seatmap::{Event, Owner, Plan};
use holdfast_domain::{
    LockId, Money, ReservationId, SeatId, SeatMapId, Sku, Timestamp, UserId,
};
use holdfast_store::Position;
use serde::{Deserialize, Serialize};

use crate::tables::{Column, Edition, Index, Kept, Row, Stored, Table, TableError, Tx, Value};
use crate::{QueryError, ReadModels};

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

/// How events change it.
pub(crate) struct SeatMaps {
    edition: Edition,
    pub(crate) maps: Kept<SeatMapRow>,
    pub(crate) seats: Kept<SeatRow>,
    /// The seats of a reservation, since some events name only the reservation.
    owned: HashMap<(SeatMapId, ReservationId), Vec<SeatId>>,
}

/// How many reservations' seats are remembered.
const MOST_OWNERS: usize = 50_000;

impl SeatMaps {
    pub(crate) fn new(edition: Edition) -> Self {
        let (maps, seats) = (Kept::new(edition), Kept::new(edition));
        Self { edition, maps, seats, owned: HashMap::new() }
    }

    /// The seats that an event names, so that a batch can read all of them at once.
    pub(crate) fn touches<'e>(
        map: &SeatMapId,
        event: &'e Event,
    ) -> impl Iterator<Item = (SeatMapId, SeatId)> + use<'e> {
        let named: &[SeatId] = match event {
            Event::SeatsLocked { seat_ids, .. }
            | Event::SeatsAttached { seat_ids, .. }
            | Event::SeatsBooked { seat_ids, .. }
            | Event::SeatsReleased { seat_ids, .. }
            | Event::LockRestored { seat_ids, .. }
            | Event::SeatsBlocked { seat_ids, .. }
            | Event::SeatsUnblocked { seat_ids } => seat_ids,
            Event::Published { .. }
            | Event::Changed { .. }
            | Event::SeatLockExtended { .. }
            | Event::AttemptWithdrawn { .. } => &[],
        };
        let map = map.clone();
        named.iter().map(move |seat| (map.clone(), seat.clone()))
    }

    pub(crate) async fn flush(&mut self, tx: &mut Tx) -> Result<(), TableError> {
        self.maps.flush(tx).await?;
        self.seats.flush(tx).await?;
        if self.owned.len() > MOST_OWNERS {
            self.owned.clear();
        }
        Ok(())
    }

    pub(crate) fn forget(&mut self) {
        self.maps.forget();
        self.seats.forget();
        self.owned.clear();
    }

    pub(crate) async fn apply(
        &mut self,
        tx: &mut Tx,
        map: &SeatMapId,
        event: &Event,
        position: Position,
    ) -> Result<(), TableError> {
        match event {
            Event::Published { plan } | Event::Changed { plan, .. } => {
                return self.arrange(tx, map, plan, position).await;
            }
            Event::SeatsLocked { reservation_id: Some(id), user_id, seat_ids, expires_at, .. } => {
                self.attach(tx, map, *id, user_id, seat_ids, *expires_at, position).await?;
            }
            Event::SeatsLocked { lock_id: Some(lock), user_id, seat_ids, expires_at, .. } => {
                let holder = Holder::Lock(*lock, user_id.clone(), *expires_at);
                self.set(tx, map, seat_ids, &holder, position).await?;
            }
            Event::SeatsLocked { .. } => {}
            Event::SeatsAttached { reservation_id, user_id, seat_ids, expires_at, .. } => {
                let until = Some(*expires_at);
                self.attach(tx, map, *reservation_id, user_id, seat_ids, until, position).await?;
            }
            Event::SeatLockExtended { reservation_id, expires_at, .. } => {
                self.raise(tx, map, *reservation_id, *expires_at, position).await?;
            }
            Event::SeatsBooked { reservation_id, .. } => {
                let seats = self.owned(tx, map, *reservation_id).await?.clone();
                for seat in seats {
                    self.book(tx, map, seat, position).await?;
                }
            }
            Event::SeatsReleased { owner, seat_ids, .. } => {
                let mut theirs = Vec::with_capacity(seat_ids.len());
                for seat in seat_ids {
                    let row = self.seats.get(tx, &(map.clone(), seat.clone())).await?;
                    if row.is_some_and(|row| row.owner() == Some(*owner)) {
                        theirs.push(seat.clone());
                    }
                }
                self.set(tx, map, &theirs, &Holder::Nobody, position).await?;
                if let Owner::Reservation(id) = owner {
                    self.owned(tx, map, *id).await?.retain(|seat| !seat_ids.contains(seat));
                }
            }
            Event::LockRestored { lock_id, reservation_id, user_id, seat_ids, expires_at } => {
                let holder = Holder::Lock(*lock_id, user_id.clone(), Some(*expires_at));
                self.owned(tx, map, *reservation_id).await?.retain(|seat| !seat_ids.contains(seat));
                self.set(tx, map, seat_ids, &holder, position).await?;
            }
            Event::SeatsBlocked { seat_ids, reason } => {
                let holder = Holder::Blocked(reason.clone());
                self.set(tx, map, seat_ids, &holder, position).await?;
            }
            Event::SeatsUnblocked { seat_ids } => {
                self.set(tx, map, seat_ids, &Holder::Nobody, position).await?;
            }
            Event::AttemptWithdrawn { .. } => {}
        }
        if let Some(row) = self.maps.edit(tx, map).await? {
            row.position = position;
        }
        Ok(())
    }

    /// Seats become a reservation's, beside those that it has; one deadline for all of them.
    async fn attach(
        &mut self,
        tx: &mut Tx,
        map: &SeatMapId,
        id: ReservationId,
        user_id: &UserId,
        seat_ids: &[SeatId],
        until: Option<Timestamp>,
        position: Position,
    ) -> Result<(), TableError> {
        let before = self.owned(tx, map, id).await?.clone();
        let deadline = match (until, before.first()) {
            (Some(until), Some(one)) => {
                let row = self.seats.get(tx, &(map.clone(), one.clone())).await?;
                row.and_then(|row| row.expires_at).map(|at| at.max(until))
            }
            (until, _) => until,
        };
        let holder = Holder::Reservation(id, user_id.clone(), deadline);
        self.set(tx, map, seat_ids, &holder, position).await?;
        for seat in before.iter().filter(|seat| !seat_ids.contains(seat)) {
            if let Some(row) = self.seats.edit(tx, &(map.clone(), seat.clone())).await? {
                row.expires_at = deadline;
                row.position = position;
            }
        }
        let owned = self.owned(tx, map, id).await?;
        owned.extend(seat_ids.iter().filter(|seat| !before.contains(seat)).cloned());
        Ok(())
    }

    /// A reservation's deadline is raised, never lowered; seats that do not lapse go on not lapsing.
    async fn raise(
        &mut self,
        tx: &mut Tx,
        map: &SeatMapId,
        id: ReservationId,
        until: Timestamp,
        position: Position,
    ) -> Result<(), TableError> {
        for seat in self.owned(tx, map, id).await?.clone() {
            if let Some(row) = self.seats.edit(tx, &(map.clone(), seat)).await? {
                row.expires_at = row.expires_at.map(|at| at.max(until));
                row.position = position;
            }
        }
        Ok(())
    }

    async fn book(
        &mut self,
        tx: &mut Tx,
        map: &SeatMapId,
        seat: SeatId,
        position: Position,
    ) -> Result<(), TableError> {
        let Some(row) = self.seats.edit(tx, &(map.clone(), seat)).await? else { return Ok(()) };
        let before = std::mem::replace(&mut row.status, SeatStatus::Booked);
        row.expires_at = None;
        row.position = position;
        self.recount(tx, map, before, SeatStatus::Booked).await
    }

    /// Seats get another owner, or none.
    async fn set(
        &mut self,
        tx: &mut Tx,
        map: &SeatMapId,
        seat_ids: &[SeatId],
        holder: &Holder,
        position: Position,
    ) -> Result<(), TableError> {
        for seat in seat_ids {
            let Some(row) = self.seats.edit(tx, &(map.clone(), seat.clone())).await? else {
                continue;
            };
            let before = row.status;
            holder.take(row);
            row.position = position;
            let after = row.status;
            self.recount(tx, map, before, after).await?;
        }
        Ok(())
    }

    async fn recount(
        &mut self,
        tx: &mut Tx,
        map: &SeatMapId,
        before: SeatStatus,
        after: SeatStatus,
    ) -> Result<(), TableError> {
        if before != after
            && let Some(row) = self.maps.edit(tx, map).await?
        {
            *row.counts.of(before) -= 1;
            *row.counts.of(after) += 1;
        }
        Ok(())
    }

    /// The seats of a reservation.
    async fn owned(
        &mut self,
        tx: &mut Tx,
        map: &SeatMapId,
        id: ReservationId,
    ) -> Result<&mut Vec<SeatId>, TableError> {
        match self.owned.entry((map.clone(), id)) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            // What is in the table is right about this reservation: every event that changed its
            // seats since the last flush would have put it here.
            Entry::Vacant(place) => {
                let mut seats = Vec::new();
                if !self.seats.is_complete() {
                    let sql = format!(
                        "SELECT seat_map_id, id FROM {} \
                         WHERE reservation_id = ? AND seat_map_id = ? ORDER BY id",
                        self.edition.name(&SEATS),
                    );
                    let values = vec![Value::show(id), map.as_str().into()];
                    for mut row in tx.rows(&SEATS, &sql, values).await? {
                        let _map: SeatMapId = row.parse()?;
                        seats.push(row.parse()?);
                    }
                }
                Ok(place.insert(seats))
            }
        }
    }

    /// A new plan: seats that stay keep their owners, the others come and go. Written at once and in
    /// large pieces, since a stadium has 50,000 of them.
    async fn arrange(
        &mut self,
        tx: &mut Tx,
        map: &SeatMapId,
        plan: &Plan,
        position: Position,
    ) -> Result<(), TableError> {
        self.seats.flush(tx).await?;
        let name = self.edition.name(&SEATS);
        let of_map = || vec![map.as_str().into()];
        let mut kept: HashMap<SeatId, SeatRow> = HashMap::new();
        if self.maps.get(tx, map).await?.is_some() {
            let sql = format!(
                "SELECT {} FROM {name} WHERE seat_map_id = ? AND status <> 'FREE'",
                SEATS.list()
            );
            for mut row in tx.rows(&SEATS, &sql, of_map()).await? {
                let row = SeatRow::read(&mut row)?;
                kept.insert(row.id.clone(), row);
            }
            tx.execute(&format!("DELETE FROM {name} WHERE seat_map_id = ?"), of_map()).await?;
        }
        let mut counts = SeatCounts::default();
        let mut rows = Vec::with_capacity(ARRANGED_AT_ONCE);
        for (ordinal, spec) in (0..).zip(plan.seats()) {
            let mut row = SeatRow {
                seat_map_id: map.clone(),
                id: spec.id,
                ordinal,
                label: spec.label,
                section: spec.section,
                row: spec.row.to_string(),
                x: spec.x,
                y: spec.y,
                category: spec.category,
                price: spec.price,
                status: SeatStatus::Free,
                lock_id: None,
                reservation_id: None,
                user_id: None,
                expires_at: None,
                blocked_reason: None,
                position,
            };
            if let Some(before) = kept.remove(&row.id) {
                row = SeatRow {
                    status: before.status,
                    lock_id: before.lock_id,
                    reservation_id: before.reservation_id,
                    user_id: before.user_id,
                    expires_at: before.expires_at,
                    blocked_reason: before.blocked_reason,
                    ..row
                };
            }
            *counts.of(row.status) += 1;
            rows.push(row.values());
            if rows.len() == ARRANGED_AT_ONCE {
                tx.upsert(&SEATS, self.edition, std::mem::take(&mut rows)).await?;
            }
        }
        tx.upsert(&SEATS, self.edition, rows).await?;
        self.seats.forget();
        self.owned.clear();
        self.maps.put(SeatMapRow {
            id: map.clone(),
            name: plan.name.clone(),
            sku: plan.sku.clone(),
            counts,
            plan: plan.clone(),
            position,
            as_of: Position::ZERO,
        });
        Ok(())
    }
}

/// How many seats of a new plan are written at once.
const ARRANGED_AT_ONCE: usize = 2_048;

/// Who has a seat from now on.
enum Holder {
    Nobody,
    Lock(LockId, UserId, Option<Timestamp>),
    Reservation(ReservationId, UserId, Option<Timestamp>),
    Blocked(String),
}

impl Holder {
    fn take(&self, row: &mut SeatRow) {
        row.status = SeatStatus::Locked;
        (row.lock_id, row.reservation_id, row.user_id) = (None, None, None);
        (row.expires_at, row.blocked_reason) = (None, None);
        match self {
            Self::Nobody => row.status = SeatStatus::Free,
            Self::Lock(id, user, until) => {
                row.lock_id = Some(*id);
                row.user_id = Some(user.clone());
                row.expires_at = *until;
            }
            Self::Reservation(id, user, until) => {
                row.reservation_id = Some(*id);
                row.user_id = Some(user.clone());
                row.expires_at = *until;
            }
            Self::Blocked(reason) => {
                row.status = SeatStatus::Blocked;
                row.blocked_reason = Some(reason.clone());
            }
        }
    }
}

impl SeatRow {
    /// The lock or the reservation that has it.
    pub fn owner(&self) -> Option<Owner> {
        let reservation = self.reservation_id.map(Owner::Reservation);
        reservation.or(self.lock_id.map(Owner::Lock))
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
        let sql =
            format!("{} WHERE seat_map_id = ? AND id IN ({marks}) ORDER BY ordinal", SEATS.select());
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
