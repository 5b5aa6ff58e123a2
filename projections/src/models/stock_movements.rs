//! Stock movements: the ledger of each pool. One row is one event (DOMAIN.md I2).

use holdfast_domain::inventory::{Event, ReleaseReason};
use holdfast_domain::{ReservationId, Sku, Timestamp};
use holdfast_store::Position;
use serde::{Deserialize, Serialize};

use crate::tables::{Column, Edition, Index, Kept, Row, Stored, Table, TableError, Value};
use crate::{Page, PageRequest, QueryError, ReadModels};

/// What moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MovementKind {
    /// More of it is there.
    Received,
    /// Somebody counted again; the quantity may be negative.
    Adjusted,
    /// Claimed by a reservation.
    Reserved,
    /// A claim ended unpaid.
    Released,
    /// Consumed by a paid reservation.
    Sold,
    /// What was sold came back; a rented vehicle too.
    Returned,
    /// A paid claim ended, since its reservation was cancelled or its money went back.
    Cancelled,
}

/// One movement.
#[derive(Clone, Debug, PartialEq)]
pub struct StockMovementRow {
    /// The event that it is.
    pub position: Position,
    /// When.
    pub at: Timestamp,
    /// In which pool.
    pub sku: Sku,
    /// What moved.
    pub kind: MovementKind,
    /// How many.
    pub quantity: i64,
    /// For which reservation, if any.
    pub reservation_id: Option<ReservationId>,
    /// Who asked, `kind:id`.
    pub actor: String,
}

pub(crate) const STOCK_MOVEMENTS: Table = Table {
    name: "stock_movements",
    about: "The ledger of pools. One row is one event of the log.",
    columns: &[
        Column::int("position"),
        Column::time("at"),
        Column::text("sku"),
        Column::text("kind"),
        Column::int("quantity"),
        Column::text("reservation_id").or_null(),
        Column::text("actor"),
    ],
    key: 1,
    indexes: &[Index {
        name: "stock_movements_by_sku",
        columns: &["sku", "position"],
        early: false,
    }],
};

impl Stored for StockMovementRow {
    const TABLE: &'static Table = &STOCK_MOVEMENTS;
    const KEPT: bool = false;
    type Key = u64;

    fn key(&self) -> u64 {
        self.position.0
    }

    fn key_values(position: &u64) -> Vec<Value> {
        vec![(*position).into()]
    }

    fn values(&self) -> Vec<Value> {
        vec![
            self.position.into(),
            self.at.into(),
            self.sku.as_str().into(),
            Value::word(&self.kind),
            self.quantity.into(),
            Value::show_or_null(self.reservation_id),
            self.actor.as_str().into(),
        ]
    }

    fn read(row: &mut Row) -> Result<Self, TableError> {
        Ok(Self {
            position: row.position()?,
            at: row.time()?,
            sku: row.parse()?,
            kind: row.word()?,
            quantity: row.int()?,
            reservation_id: row.opt_parse()?,
            actor: row.text()?,
        })
    }
}

/// The movement that an event is, if it is one: what, how many, for whom.
pub(crate) fn movement(event: &Event) -> Option<(MovementKind, i64, Option<ReservationId>)> {
    match event {
        Event::Received { qty, .. } => Some((MovementKind::Received, i64::from(*qty), None)),
        Event::Adjusted { delta, .. } => Some((MovementKind::Adjusted, *delta, None)),
        Event::Held { reservation_id, qty, .. } | Event::Reacquired { reservation_id, qty, .. } => {
            Some((MovementKind::Reserved, i64::from(*qty), Some(*reservation_id)))
        }
        // A release of nothing only raises the fence.
        Event::Released { qty: 0, .. } => None,
        Event::Released { reservation_id, qty, reason, .. } => {
            let kind = match reason {
                ReleaseReason::Cancelled | ReleaseReason::Refunded => MovementKind::Cancelled,
                ReleaseReason::Expired
                | ReleaseReason::PaymentFailed
                | ReleaseReason::User
                | ReleaseReason::LateRejected
                | ReleaseReason::Oversold
                | ReleaseReason::Refused => MovementKind::Released,
                ReleaseReason::Completed => MovementKind::Returned,
            };
            Some((kind, i64::from(*qty), Some(*reservation_id)))
        }
        Event::Sold { reservation_id, qty } => {
            Some((MovementKind::Sold, i64::from(*qty), Some(*reservation_id)))
        }
        Event::Returned { reservation_id, qty, .. } => {
            Some((MovementKind::Returned, i64::from(*qty), Some(*reservation_id)))
        }
        Event::HoldExtended { .. }
        | Event::Locked { .. }
        | Event::AttemptWithdrawn { .. }
        | Event::Closed
        | Event::Opened
        | Event::OversubscriptionDetected { .. } => None,
    }
}

/// How events change it.
pub(crate) struct StockMovements {
    pub(crate) rows: Kept<StockMovementRow>,
}

impl StockMovements {
    pub(crate) fn new(edition: Edition) -> Self {
        Self { rows: Kept::new(edition) }
    }

    pub(crate) fn apply(
        &mut self,
        sku: &Sku,
        event: &Event,
        at: Timestamp,
        actor: &str,
        position: Position,
    ) {
        if let Some((kind, quantity, reservation_id)) = movement(event) {
            let (sku, actor) = (sku.clone(), actor.to_owned());
            self.rows.put(StockMovementRow {
                position,
                at,
                sku,
                kind,
                quantity,
                reservation_id,
                actor,
            });
        }
    }
}

impl ReadModels {
    /// The movements of one pool or of all, newest first.
    pub async fn stock_movements(
        &self,
        sku: Option<&Sku>,
        page: &PageRequest,
    ) -> Result<Page<StockMovementRow>, QueryError> {
        let after = page.after_number()?.unwrap_or(i64::MAX);
        let mut sql = format!("{} WHERE position < ?", STOCK_MOVEMENTS.select());
        let mut values: Vec<Value> = vec![after.into()];
        if let Some(sku) = sku {
            sql.push_str(" AND sku = ?");
            values.push(sku.as_str().into());
        }
        sql.push_str(" ORDER BY position DESC LIMIT ?");
        values.push(page.limit().into());
        let rows: Vec<StockMovementRow> = self.many(&sql, values).await?;
        Ok(Page::of(rows.into_iter().map(|row| (row.position.to_string(), row)).collect(), page))
    }
}
