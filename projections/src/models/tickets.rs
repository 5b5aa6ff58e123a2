//! Tickets: who may enter where, and who has.

use holdfast_domain::ticket::Event;
use holdfast_domain::{ReservationId, SeatId, SeatMapId, Sku, TicketId, Timestamp, UserId};
use holdfast_store::Position;
use serde::{Deserialize, Serialize};

use crate::tables::{Column, Edition, Index, Kept, Row, Stored, Table, TableError, Tx, Value};
use crate::{QueryError, ReadModels};

/// Whether a ticket lets somebody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TicketStatus {
    /// It does.
    Valid,
    /// Somebody has entered with it.
    CheckedIn,
    /// Its reservation was cancelled.
    Revoked,
}

/// A ticket.
#[derive(Clone, Debug, PartialEq)]
pub struct TicketRow {
    /// Its name.
    pub id: TicketId,
    /// Of which reservation.
    pub reservation_id: ReservationId,
    /// Whose.
    pub user_id: UserId,
    /// For which item, if any.
    pub sku: Option<Sku>,
    /// For a seat of which map, if any.
    pub seat_map_id: Option<SeatMapId>,
    /// For which seat, if any.
    pub seat_id: Option<SeatId>,
    /// The seat's id, or `{sku}#{number}`.
    pub unit: String,
    /// Whether it lets somebody in.
    pub status: TicketStatus,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When somebody entered with it.
    pub checked_in_at: Option<Timestamp>,
    /// At which gate.
    pub gate: Option<String>,
    /// The event that changed it last.
    pub position: Position,
}

pub(crate) const TICKETS: Table = Table {
    name: "tickets",
    about: "Tickets: whose, for what, whether used.",
    columns: &[
        Column::text("id"),
        Column::text("reservation_id"),
        Column::text("user_id"),
        Column::text("sku").or_null(),
        Column::text("seat_map_id").or_null(),
        Column::text("seat_id").or_null(),
        Column::text("unit"),
        Column::text("status"),
        Column::time("issued_at"),
        Column::time("checked_in_at").or_null(),
        Column::text("gate").or_null(),
        Column::int("position"),
    ],
    key: 1,
    indexes: &[
        Index {
            name: "tickets_by_reservation",
            columns: &["reservation_id", "unit"],
            early: false,
        },
        Index { name: "tickets_by_user", columns: &["user_id"], early: false },
    ],
};

impl Stored for TicketRow {
    const TABLE: &'static Table = &TICKETS;
    type Key = TicketId;

    fn key(&self) -> TicketId {
        self.id
    }

    fn key_values(id: &TicketId) -> Vec<Value> {
        vec![Value::show(id)]
    }

    fn values(&self) -> Vec<Value> {
        vec![
            Value::show(self.id),
            Value::show(self.reservation_id),
            self.user_id.as_str().into(),
            Value::show_or_null(self.sku.as_ref()),
            Value::show_or_null(self.seat_map_id.as_ref()),
            Value::show_or_null(self.seat_id.as_ref()),
            self.unit.as_str().into(),
            Value::word(&self.status),
            self.issued_at.into(),
            self.checked_in_at.into(),
            self.gate.clone().into(),
            self.position.into(),
        ]
    }

    fn read(row: &mut Row) -> Result<Self, TableError> {
        Ok(Self {
            id: row.parse()?,
            reservation_id: row.parse()?,
            user_id: row.parse()?,
            sku: row.opt_parse()?,
            seat_map_id: row.opt_parse()?,
            seat_id: row.opt_parse()?,
            unit: row.text()?,
            status: row.word()?,
            issued_at: row.time()?,
            checked_in_at: row.opt_time()?,
            gate: row.opt_text()?,
            position: row.position()?,
        })
    }
}

/// How events change it.
pub(crate) struct Tickets {
    pub(crate) rows: Kept<TicketRow>,
}

impl Tickets {
    pub(crate) fn new(edition: Edition) -> Self {
        Self { rows: Kept::new(edition) }
    }

    pub(crate) async fn apply(
        &mut self,
        tx: &mut Tx,
        id: TicketId,
        event: &Event,
        at: Timestamp,
        position: Position,
    ) -> Result<(), TableError> {
        if let Event::Issued { reservation_id, user_id, sku, seat_map_id, seat_id, unit } = event {
            self.rows.put(TicketRow {
                id,
                reservation_id: *reservation_id,
                user_id: user_id.clone(),
                sku: sku.clone(),
                seat_map_id: seat_map_id.clone(),
                seat_id: seat_id.clone(),
                unit: unit.clone(),
                status: TicketStatus::Valid,
                issued_at: at,
                checked_in_at: None,
                gate: None,
                position,
            });
            return Ok(());
        }
        // Revoked before it was issued: it never will be, and there is nothing to show.
        let Some(row) = self.rows.edit(tx, &id).await? else { return Ok(()) };
        row.position = position;
        match event {
            Event::Issued { .. } => {}
            Event::CheckedIn { gate, .. } => {
                row.checked_in_at = Some(at);
                row.gate.clone_from(gate);
                row.status = TicketStatus::CheckedIn;
            }
            Event::Revoked => row.status = TicketStatus::Revoked,
        }
        Ok(())
    }
}

impl ReadModels {
    /// One ticket.
    pub async fn ticket(&self, id: &TicketId) -> Result<Option<TicketRow>, QueryError> {
        self.one(&format!("{} WHERE id = ?", TICKETS.select()), vec![Value::show(id)]).await
    }

    /// The tickets of a reservation, by seat or unit.
    pub async fn tickets_of(&self, id: &ReservationId) -> Result<Vec<TicketRow>, QueryError> {
        let sql = format!("{} WHERE reservation_id = ? ORDER BY unit", TICKETS.select());
        self.many(&sql, vec![Value::show(id)]).await
    }
}
