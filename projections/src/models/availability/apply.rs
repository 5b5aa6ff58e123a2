//! How events change pools and their claims. A batch touches a pool often and writes it once.

use holdfast_domain::inventory::Event;
use holdfast_domain::{ReservationId, Sku};
use holdfast_store::Position;

use super::{ClaimRow, ClaimState, PoolRow};
use crate::tables::{Edition, Kept, Stored, TableError, Tx};

/// How events change it.
pub(crate) struct Availability {
    pub(crate) pools: Kept<PoolRow>,
    pub(crate) claims: Kept<ClaimRow>,
}

impl Availability {
    pub(crate) fn new(edition: Edition) -> Self {
        Self { pools: Kept::new(edition), claims: Kept::new(edition) }
    }

    /// An item is in the catalogue: it has a pool, however empty.
    pub(crate) async fn listed(
        &mut self,
        tx: &mut Tx,
        sku: &Sku,
        position: Position,
    ) -> Result<(), TableError> {
        if self.pools.get(tx, sku).await?.is_none() {
            self.pools.put(PoolRow { position, ..PoolRow::new(sku.clone()) });
        }
        Ok(())
    }

    /// The claim that an event is about, so that a batch can read all of them at once.
    pub(crate) fn touches(sku: &Sku, event: &Event) -> Option<(Sku, ReservationId)> {
        reservation_of(event).map(|reservation| (sku.clone(), reservation))
    }

    pub(crate) async fn apply(
        &mut self,
        tx: &mut Tx,
        sku: &Sku,
        event: &Event,
        position: Position,
    ) -> Result<(), TableError> {
        let claim = match Self::touches(sku, event) {
            Some(key) => self.claims.get(tx, &key).await?.cloned(),
            None => None,
        };
        let pool = match self.pools.edit(tx, sku).await? {
            Some(pool) => pool,
            None => {
                self.pools.put(PoolRow::new(sku.clone()));
                self.pools.edit(tx, sku).await?.expect("it was put just now")
            }
        };
        pool.position = position;
        match event {
            Event::Received { qty, .. } => pool.total += i64::from(*qty),
            Event::Adjusted { delta, .. } => pool.total += delta,
            Event::Closed => pool.closed = true,
            Event::Opened => pool.closed = false,
            Event::Sold { qty, .. } => {
                pool.total -= i64::from(*qty);
                pool.sold += i64::from(*qty);
            }
            Event::Returned { qty, .. } => {
                pool.total += i64::from(*qty);
                pool.sold = (pool.sold - i64::from(*qty)).max(0);
            }
            Event::Held { .. }
            | Event::HoldExtended { .. }
            | Event::Locked { .. }
            | Event::Released { .. }
            | Event::AttemptWithdrawn { .. }
            | Event::Reacquired { .. }
            | Event::OversubscriptionDetected { .. } => {}
        }
        let after = claim_after(sku, claim.as_ref(), event);
        if after != claim {
            pool.count(claim.as_ref(), -1);
            pool.count(after.as_ref(), 1);
            match (after, claim) {
                (Some(after), _) => self.claims.put(after),
                (None, Some(before)) => self.claims.remove(before.key()),
                (None, None) => {}
            }
        }
        Ok(())
    }
}

impl PoolRow {
    /// Counts a claim in or, with −1, out.
    fn count(&mut self, claim: Option<&ClaimRow>, sign: i64) {
        let Some(claim) = claim else { return };
        match claim.state {
            ClaimState::Held => self.held += sign * i64::from(claim.qty),
            ClaimState::Committed => self.committed += sign * i64::from(claim.qty),
        }
        self.periods += if claim.period.is_some() { sign } else { 0 };
    }
}

/// What becomes of a claim by an event about it.
fn claim_after(sku: &Sku, claim: Option<&ClaimRow>, event: &Event) -> Option<ClaimRow> {
    match event {
        Event::Held { reservation_id, qty, expires_at, epoch, period, .. } => Some(ClaimRow {
            sku: sku.clone(),
            reservation_id: *reservation_id,
            qty: *qty,
            state: ClaimState::Held,
            expires_at: Some(*expires_at),
            epoch: *epoch,
            period: *period,
        }),
        // A deadline is raised, never lowered; a claim that does not lapse goes on not lapsing.
        Event::HoldExtended { expires_at, epoch, .. } => claim.map(|claim| ClaimRow {
            expires_at: claim.expires_at.map(|until| until.max(*expires_at)),
            epoch: claim.epoch.max(*epoch),
            ..claim.clone()
        }),
        Event::Locked { epoch, .. } => claim.map(|claim| ClaimRow {
            state: ClaimState::Committed,
            expires_at: None,
            epoch: claim.epoch.max(*epoch),
            ..claim.clone()
        }),
        Event::Reacquired { reservation_id, qty, epoch, period } => Some(ClaimRow {
            sku: sku.clone(),
            reservation_id: *reservation_id,
            qty: *qty,
            state: ClaimState::Committed,
            expires_at: None,
            epoch: *epoch,
            period: *period,
        }),
        // A release of nothing only raises the fence.
        Event::Released { qty: 0, .. } => claim.cloned(),
        Event::Released { .. } | Event::Sold { .. } => None,
        Event::Returned { .. }
        | Event::AttemptWithdrawn { .. }
        | Event::Received { .. }
        | Event::Adjusted { .. }
        | Event::Closed
        | Event::Opened
        | Event::OversubscriptionDetected { .. } => claim.cloned(),
    }
}

/// Whose claim an event changes, if it changes one.
fn reservation_of(event: &Event) -> Option<ReservationId> {
    match event {
        Event::Held { reservation_id, .. }
        | Event::HoldExtended { reservation_id, .. }
        | Event::Locked { reservation_id, .. }
        | Event::Released { reservation_id, .. }
        | Event::Reacquired { reservation_id, .. }
        | Event::Sold { reservation_id, .. } => Some(*reservation_id),
        Event::Returned { .. }
        | Event::AttemptWithdrawn { .. }
        | Event::Received { .. }
        | Event::Adjusted { .. }
        | Event::Closed
        | Event::Opened
        | Event::OversubscriptionDetected { .. } => None,
    }
}
