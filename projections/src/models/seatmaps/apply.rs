//! How events change seat maps: who has which seat from now on, and what a new plan does to the hall.
//!
//! The rules are the domain's (`seatmap::State`); a property test holds the two together. A claim of a
//! reservation has one deadline for all of its seats, and some events name only the reservation, so the
//! seats of those that are seen are remembered by reservation.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use holdfast_domain::seatmap::{Event, Owner, Plan};
use holdfast_domain::{LockId, ReservationId, SeatId, SeatMapId, Timestamp, UserId};
use holdfast_store::Position;

use super::{SEATS, SeatCounts, SeatMapRow, SeatRow, SeatStatus};
use crate::tables::{Edition, Kept, Stored, TableError, Tx, Value};

/// How events change it.
pub(crate) struct SeatMaps {
    edition: Edition,
    pub(crate) maps: Kept<SeatMapRow>,
    pub(crate) seats: Kept<SeatRow>,
    /// The seats of a reservation, since some events name only the reservation.
    owned: HashMap<(SeatMapId, ReservationId), Vec<SeatId>>,
}

/// Where an event happened: on which map, at which place in the log.
struct Place<'m> {
    map: &'m SeatMapId,
    position: Position,
}

impl Place<'_> {
    fn seat(&self, id: SeatId) -> (SeatMapId, SeatId) {
        (self.map.clone(), id)
    }
}

/// How many reservations' seats are remembered.
const MOST_OWNERS: usize = 20_000;

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

    pub(crate) fn keep_at_most(&mut self, rows: usize) {
        self.maps.keep_at_most(rows);
        self.seats.keep_at_most(rows);
    }

    pub(crate) fn dirty(&self) -> usize {
        self.maps.dirty() + self.seats.dirty()
    }

    pub(crate) async fn flush_some(
        &mut self,
        tx: &mut Tx,
        room: &mut usize,
    ) -> Result<(), TableError> {
        self.maps.flush_some(tx, room).await?;
        self.seats.flush_some(tx, room).await?;
        // Only once all seats are in the table can their owners be found there again.
        if self.seats.dirty() == 0 && self.owned.len() > MOST_OWNERS {
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
        let at = &Place { map, position };
        match event {
            Event::Published { plan } | Event::Changed { plan, .. } => {
                return self.arrange(tx, at, plan).await;
            }
            Event::SeatsLocked {
                reservation_id: Some(id), user_id, seat_ids, expires_at, ..
            } => {
                self.attach(tx, at, *id, user_id, seat_ids, *expires_at).await?;
            }
            Event::SeatsLocked { lock_id: Some(lock), user_id, seat_ids, expires_at, .. } => {
                let holder = Holder::Lock(*lock, user_id.clone(), *expires_at);
                self.set(tx, at, seat_ids, &holder).await?;
            }
            Event::SeatsLocked { .. } => {}
            Event::SeatsAttached { reservation_id, user_id, seat_ids, expires_at, .. } => {
                let until = Some(*expires_at);
                self.attach(tx, at, *reservation_id, user_id, seat_ids, until).await?;
            }
            Event::SeatLockExtended { reservation_id, expires_at, .. } => {
                self.raise(tx, at, *reservation_id, *expires_at).await?;
            }
            Event::SeatsBooked { reservation_id, .. } => {
                let seats = self.owned(tx, at, *reservation_id).await?.clone();
                for seat in seats {
                    self.book(tx, at, seat).await?;
                }
            }
            Event::SeatsReleased { owner, seat_ids, .. } => {
                let mut theirs = Vec::with_capacity(seat_ids.len());
                for seat in seat_ids {
                    let row = self.seats.get(tx, &at.seat(seat.clone())).await?;
                    if row.is_some_and(|row| row.owner() == Some(*owner)) {
                        theirs.push(seat.clone());
                    }
                }
                self.set(tx, at, &theirs, &Holder::Nobody).await?;
                if let Owner::Reservation(id) = owner {
                    self.owned(tx, at, *id).await?.retain(|seat| !seat_ids.contains(seat));
                }
            }
            Event::LockRestored { lock_id, reservation_id, user_id, seat_ids, expires_at } => {
                let holder = Holder::Lock(*lock_id, user_id.clone(), Some(*expires_at));
                self.owned(tx, at, *reservation_id).await?.retain(|seat| !seat_ids.contains(seat));
                self.set(tx, at, seat_ids, &holder).await?;
            }
            Event::SeatsBlocked { seat_ids, reason } => {
                let holder = Holder::Blocked(reason.clone());
                self.set(tx, at, seat_ids, &holder).await?;
            }
            Event::SeatsUnblocked { seat_ids } => {
                self.set(tx, at, seat_ids, &Holder::Nobody).await?;
            }
            Event::AttemptWithdrawn { .. } => {}
        }
        if let Some(row) = self.maps.edit(tx, at.map).await? {
            row.position = at.position;
        }
        Ok(())
    }

    /// Seats become a reservation's, beside those that it has; one deadline for all of them.
    async fn attach(
        &mut self,
        tx: &mut Tx,
        at: &Place<'_>,
        id: ReservationId,
        user_id: &UserId,
        seat_ids: &[SeatId],
        until: Option<Timestamp>,
    ) -> Result<(), TableError> {
        let before = self.owned(tx, at, id).await?.clone();
        let deadline = match (until, before.first()) {
            (Some(until), Some(one)) => {
                let row = self.seats.get(tx, &at.seat(one.clone())).await?;
                row.and_then(|row| row.expires_at).map(|at| at.max(until))
            }
            (until, _) => until,
        };
        let holder = Holder::Reservation(id, user_id.clone(), deadline);
        self.set(tx, at, seat_ids, &holder).await?;
        for seat in before.iter().filter(|seat| !seat_ids.contains(seat)) {
            if let Some(row) = self.seats.edit(tx, &at.seat(seat.clone())).await? {
                row.expires_at = deadline;
                row.position = at.position;
            }
        }
        let owned = self.owned(tx, at, id).await?;
        owned.extend(seat_ids.iter().filter(|seat| !before.contains(seat)).cloned());
        Ok(())
    }

    /// A reservation's deadline is raised, never lowered; seats that do not lapse go on not lapsing.
    async fn raise(
        &mut self,
        tx: &mut Tx,
        at: &Place<'_>,
        id: ReservationId,
        until: Timestamp,
    ) -> Result<(), TableError> {
        for seat in self.owned(tx, at, id).await?.clone() {
            if let Some(row) = self.seats.edit(tx, &at.seat(seat)).await? {
                row.expires_at = row.expires_at.map(|at| at.max(until));
                row.position = at.position;
            }
        }
        Ok(())
    }

    async fn book(&mut self, tx: &mut Tx, at: &Place<'_>, seat: SeatId) -> Result<(), TableError> {
        let Some(row) = self.seats.edit(tx, &at.seat(seat)).await? else { return Ok(()) };
        let before = std::mem::replace(&mut row.status, SeatStatus::Booked);
        row.expires_at = None;
        row.position = at.position;
        self.recount(tx, at, before, SeatStatus::Booked).await
    }

    /// Seats get another owner, or none.
    async fn set(
        &mut self,
        tx: &mut Tx,
        at: &Place<'_>,
        seat_ids: &[SeatId],
        holder: &Holder,
    ) -> Result<(), TableError> {
        for seat in seat_ids {
            let Some(row) = self.seats.edit(tx, &at.seat(seat.clone())).await? else {
                continue;
            };
            let before = row.status;
            holder.take(row);
            row.position = at.position;
            let after = row.status;
            self.recount(tx, at, before, after).await?;
        }
        Ok(())
    }

    async fn recount(
        &mut self,
        tx: &mut Tx,
        at: &Place<'_>,
        before: SeatStatus,
        after: SeatStatus,
    ) -> Result<(), TableError> {
        if before != after
            && let Some(row) = self.maps.edit(tx, at.map).await?
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
        at: &Place<'_>,
        id: ReservationId,
    ) -> Result<&mut Vec<SeatId>, TableError> {
        match self.owned.entry((at.map.clone(), id)) {
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
                    let values = vec![Value::show(id), at.map.as_str().into()];
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
        at: &Place<'_>,
        plan: &Plan,
    ) -> Result<(), TableError> {
        self.seats.flush(tx).await?;
        let name = self.edition.name(&SEATS);
        let of_map = || vec![at.map.as_str().into()];
        let mut kept: HashMap<SeatId, SeatRow> = HashMap::new();
        if self.maps.get(tx, at.map).await?.is_some() {
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
                seat_map_id: at.map.clone(),
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
                position: at.position,
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
            id: at.map.clone(),
            name: plan.name.clone(),
            sku: plan.sku.clone(),
            counts,
            plan: plan.clone(),
            position: at.position,
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
