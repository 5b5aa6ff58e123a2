//! Pools: never more claimed than there is, at any instant. I1.

use std::collections::HashMap;

use holdfast_domain::inventory::Event;
use holdfast_domain::{Period, ReservationId, Sku};
use holdfast_store::Position;

use super::holds::Holds;
use super::{End, Report, Seen};

struct Claim {
    qty: u32,
    committed: bool,
    period: Option<Period>,
    position: Position,
}

#[derive(Default)]
struct Pool {
    total: i64,
    claims: HashMap<ReservationId, Claim>,
    /// What claims without a period add up to.
    always: i64,
    consumed: HashMap<ReservationId, u32>,
}

impl Pool {
    fn put(&mut self, reservation: ReservationId, claim: Claim) {
        if claim.period.is_none() {
            self.always += i64::from(claim.qty);
        }
        if let Some(old) = self.claims.insert(reservation, claim)
            && old.period.is_none()
        {
            self.always -= i64::from(old.qty);
        }
    }

    fn take(&mut self, reservation: &ReservationId) -> Option<Claim> {
        let old = self.claims.remove(reservation)?;
        if old.period.is_none() {
            self.always -= i64::from(old.qty);
        }
        Some(old)
    }

    /// The most that is claimed at any instant of a period; of all time when there is none.
    fn peak(&self, within: Option<Period>) -> i64 {
        let timed: Vec<(&Period, i64)> = self
            .claims
            .values()
            .filter_map(|claim| Some((claim.period.as_ref()?, i64::from(claim.qty))))
            .filter(|(period, _)| within.is_none_or(|within| within.overlaps(period)))
            .collect();
        // Claims only ever begin to overlap where one of them begins.
        let starts = timed.iter().map(|(period, _)| period.from).chain(within.map(|w| w.from));
        let most = starts
            .filter(|at| within.is_none_or(|within| within.contains(*at)))
            .map(|at| timed.iter().filter(|(p, _)| p.contains(at)).map(|(_, qty)| qty).sum())
            .max()
            .unwrap_or(0_i64);
        self.always + most
    }
}

/// Every pool.
#[derive(Default)]
pub(super) struct Pools {
    pools: HashMap<Sku, Pool>,
}

impl Pools {
    pub(super) fn see(&mut self, seen: Seen, sku: &Sku, event: &Event, report: &mut Report) {
        let pool = self.pools.entry(sku.clone()).or_default();
        let mut wrong = |what: String| report.offence(seen.position, format!("pool {sku}: {what}"));
        match event {
            Event::Held { reservation_id, qty, period, .. }
            | Event::Reacquired { reservation_id, qty, period, .. } => {
                let committed = matches!(event, Event::Reacquired { .. });
                let position = seen.position;
                let claim = Claim { qty: *qty, committed, period: *period, position };
                pool.put(*reservation_id, claim);
                let peak = pool.peak(*period);
                if peak > pool.total {
                    wrong(format!(
                        "{peak} are claimed of {} after reservation {reservation_id}'s {qty}",
                        pool.total
                    ));
                }
            }
            Event::HoldExtended { .. } | Event::AttemptWithdrawn { .. } => {}
            Event::Locked { reservation_id, qty, .. } => {
                match pool.claims.get_mut(reservation_id) {
                    Some(claim) if claim.qty == *qty => claim.committed = true,
                    _ => {
                        wrong(format!("{qty} were committed that {reservation_id} had not claimed"))
                    }
                }
            }
            Event::Released { reservation_id, qty, .. } => {
                // With nothing it only raises the fence.
                if *qty > 0 {
                    let freed = pool.take(reservation_id).map(|claim| claim.qty);
                    if freed != Some(*qty) {
                        wrong(format!(
                            "{qty} were released of reservation {reservation_id}, which had claimed {}",
                            freed.unwrap_or(0)
                        ));
                    }
                }
            }
            Event::Sold { reservation_id, qty } => {
                match pool.take(reservation_id) {
                    Some(claim) if claim.committed && claim.qty == *qty => {}
                    _ => wrong(format!("{qty} were sold that {reservation_id} had not committed")),
                }
                pool.total -= i64::from(*qty);
                *pool.consumed.entry(*reservation_id).or_default() += qty;
            }
            Event::Returned { reservation_id, qty, .. } => {
                pool.total += i64::from(*qty);
                match pool.consumed.get_mut(reservation_id) {
                    Some(sold) if *sold >= *qty => *sold -= qty,
                    _ => wrong(format!("{qty} came back that {reservation_id} had not bought")),
                }
            }
            Event::Received { qty, .. } => pool.total += i64::from(*qty),
            Event::Adjusted { delta, .. } => pool.total += delta,
            Event::Closed | Event::Opened | Event::OversubscriptionDetected { .. } => {}
        }
        if pool.total < 0 {
            wrong(format!("the total is {}", pool.total));
        }
    }

    /// How many there are of an item.
    pub(super) fn total(&self, sku: &Sku) -> i64 {
        self.pools.get(sku).map_or(0, |pool| pool.total)
    }

    pub(super) fn finish(&self, end: &End<'_>, holds: &Holds, report: &mut Report) {
        for (sku, pool) in &self.pools {
            for (reservation, claim) in &pool.claims {
                if let Some(ended) = holds.ended_at(*reservation)
                    && end.settled(ended)
                {
                    report.offence(
                        claim.position,
                        format!(
                            "pool {sku}: reservation {reservation} has ended and still claims {}",
                            claim.qty
                        ),
                    );
                }
            }
        }
        for (reservation, sku, quantity, consumed, finalized) in holds.finalized_pools() {
            let Some(pool) = self.pools.get(sku) else { continue };
            let committed = if consumed {
                pool.consumed.get(&reservation).copied().unwrap_or(0)
            } else {
                pool.claims.get(&reservation).filter(|claim| claim.committed).map_or(0, |c| c.qty)
            };
            if committed != quantity {
                report.offence(
                    finalized,
                    format!(
                        "pool {sku}: reservation {reservation} is finalized with {quantity}, but {committed} are committed"
                    ),
                );
            }
        }
    }
}
