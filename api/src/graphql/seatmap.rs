//! Halls, seats, locks, and what changes in them. Never whose a seat is.

use async_graphql::{ComplexObject, Context, Enum, ID, SimpleObject};
use holdfast_projections::SeatMapRow;

use super::common::{Asking, Money, error};
use super::limits;
use super::scalars::{DateTime, Position};
use super::seats::Seats;
use crate::door::trouble;
use crate::{names, seats};

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "holdfast_projections::SeatStatus")]
pub(crate) enum SeatStatus {
    Free,
    Locked,
    Booked,
    Blocked,
}

// What a seat has, for the schema; `seats` writes it.
#[derive(SimpleObject, Clone)]
pub(crate) struct Seat {
    id: ID,
    label: String,
    section: String,
    row: String,
    x: f64,
    y: f64,
    category: String,
    status: SeatStatus,
    price: Money,
}

#[derive(SimpleObject, Clone)]
pub(crate) struct SeatCounts {
    free: u32,
    locked: u32,
    booked: u32,
    blocked: u32,
}

#[derive(SimpleObject, Clone)]
#[graphql(complex)]
pub(crate) struct SeatMap {
    #[graphql(owned)]
    pub(crate) id: ID,
    name: String,
    sku: Option<ID>,
    counts: SeatCounts,
    as_of: Position,
    #[graphql(skip)]
    raw: holdfast_domain::SeatMapId,
}

#[ComplexObject]
impl SeatMap {
    // A hall may have fifty thousand seats: one whole hall to a request, or a few of its sections.
    #[graphql(complexity = "limits::seats(section.is_some()) + child_complexity")]
    async fn seats(
        &self,
        ctx: &Context<'_>,
        section: Option<String>,
    ) -> async_graphql::Result<Seats> {
        let rows = ctx.door().reads.seats(&self.raw, section.as_deref()).await;
        Ok(Seats(rows.map_err(|failed| error(trouble(failed)))?))
    }
}

impl From<SeatMapRow> for SeatMap {
    fn from(row: SeatMapRow) -> Self {
        Self {
            id: row.id.as_str().into(),
            name: row.name,
            sku: row.sku.map(|sku| ID(sku.into())),
            counts: SeatCounts {
                free: row.counts.free,
                locked: row.counts.locked,
                booked: row.counts.booked,
                blocked: row.counts.blocked,
            },
            as_of: row.as_of.into(),
            raw: row.id,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "SeatChangeType")]
#[expect(clippy::enum_variant_names, reason = "the contract's words")]
pub(crate) enum SeatChangeType {
    SeatLocked,
    SeatBooked,
    SeatReleased,
    SeatBlocked,
}

impl From<seats::Kind> for SeatChangeType {
    fn from(kind: seats::Kind) -> Self {
        match kind {
            seats::Kind::Locked => Self::SeatLocked,
            seats::Kind::Booked => Self::SeatBooked,
            seats::Kind::Released => Self::SeatReleased,
            seats::Kind::Blocked => Self::SeatBlocked,
        }
    }
}

#[derive(SimpleObject, Clone)]
pub(crate) struct SeatChange {
    r#type: SeatChangeType,
    seat_map_id: ID,
    seat_ids: Vec<ID>,
    expires_at: Option<DateTime>,
    position: Position,
}

impl SeatChange {
    /// None of a change of the plan: the contract has no type for it, `seatMap` shows it.
    pub(crate) fn of(
        change: &seats::SeatChange,
        position: holdfast_store::Position,
    ) -> Option<Self> {
        match &change.what {
            seats::What::Seats { kind, seat_ids, expires_at, .. } => Some(Self {
                r#type: (*kind).into(),
                seat_map_id: change.seat_map_id.as_str().into(),
                seat_ids: seat_ids.iter().map(|seat| seat.as_str().into()).collect(),
                expires_at: expires_at.map(DateTime),
                position: position.into(),
            }),
            seats::What::Plan => None,
        }
    }
}

#[derive(SimpleObject, Clone)]
pub(crate) struct SeatLock {
    lock_id: ID,
    seat_map_id: ID,
    seat_ids: Vec<ID>,
    expires_at: DateTime,
}

impl From<holdfast_engine::Locked> for SeatLock {
    fn from(lock: holdfast_engine::Locked) -> Self {
        Self {
            lock_id: names::lock(&lock.lock_id, &lock.seat_map_id).into(),
            seat_map_id: lock.seat_map_id.as_str().into(),
            seat_ids: lock.seat_ids.iter().map(|seat| seat.as_str().into()).collect(),
            expires_at: lock.expires_at.into(),
        }
    }
}
