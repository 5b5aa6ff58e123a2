//! Availability: how many of each pool there are, are held, are committed, are left.
//!
//! A pool has one row of counts and one row for each claim. A claim without a period counts always; a
//! pool that has claims with periods (vehicle classes) is answered from its claims, at the instant at
//! which most of them overlap.
//!
//! What is available changes once in the life of a claim: it is held (S0-10), paying for it only moves it
//! from *held* to *committed* (S0-22), and it comes back with its release (S0-27, S0-33, S0-40).

mod apply;
mod over_time;

use holdfast_domain::{Epoch, Period, ReservationId, Sku, Timestamp};
use holdfast_store::Position;
use serde::{Deserialize, Serialize};

use crate::tables::{Column, Row, Stored, Table, TableError, Value};
use crate::{QueryError, ReadModels};

pub(crate) use apply::Availability;
pub use over_time::FreeSpan;
use over_time::{Level, OverTime};

/// Why there is something, or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AvailabilityReason {
    /// There is enough.
    Ok,
    /// At most a tenth of what there ever was is left.
    Low,
    /// Nothing is left, but something is held only and may come back.
    Reserved,
    /// Nothing is left.
    Gone,
    /// Not for sale at the moment.
    Closed,
}

/// What is left of a pool.
#[derive(Clone, Debug, PartialEq)]
pub struct AvailabilityRow {
    /// Which pool.
    pub sku: Sku,
    /// How many there are; what was sold for good is not there any more.
    pub total: u32,
    /// How many are held, unpaid.
    pub held: u32,
    /// How many are paid for and kept.
    pub committed: u32,
    /// How many a new claim could get.
    pub available: u32,
    /// How many were sold for good.
    pub sold: u32,
    /// Whether new claims are refused.
    pub closed: bool,
    /// Whether at most a tenth is left.
    pub low: bool,
    /// The place in the log up to which this was counted.
    pub as_of: Position,
}

impl AvailabilityRow {
    /// Why there is something, or nothing.
    pub fn reason(&self) -> AvailabilityReason {
        if self.closed {
            AvailabilityReason::Closed
        } else if self.available == 0 && self.held > 0 {
            AvailabilityReason::Reserved
        } else if self.available == 0 {
            AvailabilityReason::Gone
        } else if self.low {
            AvailabilityReason::Low
        } else {
            AvailabilityReason::Ok
        }
    }
}

/// Whether a claim is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ClaimState {
    /// Not yet.
    Held,
    /// It is.
    Committed,
}

/// The counts of a pool, as they are stored.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PoolRow {
    sku: Sku,
    total: i64,
    held: i64,
    committed: i64,
    sold: i64,
    closed: bool,
    /// How many of its claims have a period.
    periods: i64,
    position: Position,
}

impl PoolRow {
    fn new(sku: Sku) -> Self {
        let position = Position::ZERO;
        Self { sku, total: 0, held: 0, committed: 0, sold: 0, closed: false, periods: 0, position }
    }

    fn answer(&self, Level { held, committed }: Level, as_of: Position) -> AvailabilityRow {
        let count = |number: i64| u32::try_from(number.max(0)).unwrap_or(u32::MAX);
        let available = self.total - held - committed;
        AvailabilityRow {
            sku: self.sku.clone(),
            total: count(self.total),
            held: count(held),
            committed: count(committed),
            available: count(available),
            sold: count(self.sold),
            closed: self.closed,
            low: is_low(self.total, self.sold, available),
            as_of,
        }
    }
}

/// Little is left once something was taken and at most a tenth of what there ever was remains.
fn is_low(total: i64, sold: i64, available: i64) -> bool {
    let ever = total + sold;
    available > 0 && available < ever && available * 10 <= ever
}

pub(crate) const AVAILABILITY: Table = Table {
    name: "availability",
    about: "Pools: how many there are, are held, are committed, were sold, are left. One row a sku. For pools over time `available` counts every claim as if it were for always; see claims.",
    columns: &[
        Column::text("sku"),
        Column::int("total"),
        Column::int("held"),
        Column::int("committed"),
        Column::int("sold"),
        Column::flag("closed"),
        Column::int("periods"),
        Column::int("position"),
        // Follow from the others; for those who read the table itself.
        Column::int("available"),
        Column::flag("low"),
    ],
    key: 1,
    indexes: &[],
};

impl Stored for PoolRow {
    const TABLE: &'static Table = &AVAILABILITY;
    type Key = Sku;

    fn key(&self) -> Sku {
        self.sku.clone()
    }

    fn key_values(sku: &Sku) -> Vec<Value> {
        vec![sku.as_str().into()]
    }

    fn values(&self) -> Vec<Value> {
        let available = self.total - self.held - self.committed;
        vec![
            self.sku.as_str().into(),
            self.total.into(),
            self.held.into(),
            self.committed.into(),
            self.sold.into(),
            self.closed.into(),
            self.periods.into(),
            self.position.into(),
            available.max(0).into(),
            is_low(self.total, self.sold, available).into(),
        ]
    }

    fn read(row: &mut Row) -> Result<Self, TableError> {
        Ok(Self {
            sku: row.parse()?,
            total: row.int()?,
            held: row.int()?,
            committed: row.int()?,
            sold: row.int()?,
            closed: row.flag()?,
            periods: row.int()?,
            position: row.position()?,
        })
    }
}

/// What one reservation has claimed of a pool.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ClaimRow {
    sku: Sku,
    reservation_id: ReservationId,
    qty: u32,
    state: ClaimState,
    expires_at: Option<Timestamp>,
    epoch: Epoch,
    period: Option<Period>,
}

pub(crate) const CLAIMS: Table = Table {
    name: "claims",
    about: "What reservations have claimed of pools, with deadline and period. One row a claim.",
    columns: &[
        Column::text("sku"),
        Column::text("reservation_id"),
        Column::int("qty"),
        Column::text("state"),
        Column::time("expires_at").or_null(),
        Column::int("epoch"),
        Column::time("period_from").or_null(),
        Column::time("period_until").or_null(),
    ],
    key: 2,
    indexes: &[],
};

impl Stored for ClaimRow {
    const TABLE: &'static Table = &CLAIMS;
    type Key = (Sku, ReservationId);

    fn key(&self) -> (Sku, ReservationId) {
        (self.sku.clone(), self.reservation_id)
    }

    fn key_values((sku, reservation_id): &(Sku, ReservationId)) -> Vec<Value> {
        vec![sku.as_str().into(), Value::show(reservation_id)]
    }

    fn values(&self) -> Vec<Value> {
        vec![
            self.sku.as_str().into(),
            Value::show(self.reservation_id),
            self.qty.into(),
            match self.state {
                ClaimState::Held => "HELD",
                ClaimState::Committed => "COMMITTED",
            }
            .into(),
            self.expires_at.into(),
            self.epoch.into(),
            self.period.map(|period| period.from).into(),
            self.period.map(|period| period.until).into(),
        ]
    }

    fn read(row: &mut Row) -> Result<Self, TableError> {
        Ok(Self {
            sku: row.parse()?,
            reservation_id: row.parse()?,
            qty: row.int()?,
            state: row.word()?,
            expires_at: row.opt_time()?,
            epoch: row.int()?,
            period: row
                .opt_time()?
                .zip(row.opt_time()?)
                .map(|(from, until)| Period { from, until }),
        })
    }
}

impl ReadModels {
    /// What is left of a pool: what a claim without a period could get.
    pub async fn availability(&self, sku: &Sku) -> Result<Option<AvailabilityRow>, QueryError> {
        self.available(sku, None).await
    }

    /// What is left of a pool for a period: at the instant of it at which most claims overlap.
    pub async fn availability_in(
        &self,
        sku: &Sku,
        period: &Period,
    ) -> Result<Option<AvailabilityRow>, QueryError> {
        self.available(sku, Some(period)).await
    }

    /// What a new claim could get from a moment on, for ever: the spans follow each other without a gap.
    /// Of a pool that is closed it could get nothing. None when there is no such pool.
    pub async fn free_spans(
        &self,
        sku: &Sku,
        from: Timestamp,
    ) -> Result<Option<Vec<FreeSpan>>, QueryError> {
        let Some((pool, _)) = self.pool(sku).await? else { return Ok(None) };
        if pool.closed {
            return Ok(Some(vec![FreeSpan { from, until: None, available: 0 }]));
        }
        let claims = self.claims(sku, None).await?;
        Ok(Some(OverTime::of(&claims).spans(pool.total, from)))
    }

    async fn available(
        &self,
        sku: &Sku,
        period: Option<&Period>,
    ) -> Result<Option<AvailabilityRow>, QueryError> {
        let Some((pool, as_of)) = self.pool(sku).await? else { return Ok(None) };
        if pool.periods == 0 {
            let level = Level { held: pool.held, committed: pool.committed };
            return Ok(Some(pool.answer(level, as_of)));
        }
        let claims = self.claims(sku, period).await?;
        Ok(Some(pool.answer(OverTime::of(&claims).peak(period), as_of)))
    }

    /// A pool, and the place in the log up to which it was counted.
    async fn pool(&self, sku: &Sku) -> Result<Option<(PoolRow, Position)>, QueryError> {
        let sql = format!(
            "SELECT {}, (SELECT position FROM checkpoints WHERE name = 'availability') \
             FROM availability WHERE sku = ?",
            AVAILABILITY.list(),
        );
        let rows = self.home().rows(&AVAILABILITY, &sql, vec![sku.as_str().into()]).await?;
        let Some(mut row) = rows.into_iter().next() else { return Ok(None) };
        let pool = PoolRow::read(&mut row)?;
        let _available: i64 = row.int()?;
        let _low = row.flag()?;
        Ok(Some((pool, row.position()?)))
    }

    /// The claims of a pool, all of them or those that count in a period.
    async fn claims(
        &self,
        sku: &Sku,
        period: Option<&Period>,
    ) -> Result<Vec<ClaimRow>, QueryError> {
        let mut sql = format!("{} WHERE sku = ?", CLAIMS.select());
        let mut values: Vec<Value> = vec![sku.as_str().into()];
        if let Some(period) = period {
            sql.push_str(" AND (period_from IS NULL OR (period_from < ? AND period_until > ?))");
            values.extend([period.until.into(), period.from.into()]);
        }
        self.many(&sql, values).await
    }
}
