//! What a pool becomes by its facts. Total: it takes whatever has happened.

use super::{Event, Sold, State, Units};
use crate::claim::Claim;

impl State {
    pub(super) fn take_in(&mut self, event: &Event) {
        match event {
            &Event::Held { reservation_id, qty, expires_at, epoch, attempt, period, .. } => {
                let units = Units { qty, period };
                let before =
                    self.claims.held(reservation_id, units, Some(expires_at), epoch, Some(attempt));
                self.uncount(before);
                self.count(units, false);
            }
            &Event::HoldExtended { reservation_id, expires_at, epoch, attempt } => {
                self.claims.raised(reservation_id, expires_at, epoch, attempt);
            }
            &Event::Locked { reservation_id, epoch, .. } => {
                if self.claims.committed(reservation_id, epoch)
                    && let Some(claim) = self.claims.get(&reservation_id)
                {
                    self.held -= u64::from(claim.what.qty);
                    self.committed += u64::from(claim.what.qty);
                }
            }
            &Event::Released { reservation_id, qty, epoch, .. } => {
                if qty > 0 {
                    let before = self.claims.freed(&reservation_id);
                    self.uncount(before);
                }
                if let Some(epoch) = epoch {
                    self.claims.fenced(reservation_id, epoch);
                }
            }
            Event::AttemptWithdrawn { reservation_id, attempt } => {
                self.claims.withdrawn(reservation_id, attempt);
            }
            &Event::Reacquired { reservation_id, qty, epoch, period } => {
                let units = Units { qty, period };
                let before = self.claims.retaken(reservation_id, units, epoch);
                self.uncount(before);
                self.count(units, true);
            }
            &Event::Sold { reservation_id, qty } => {
                let claim = self.claims.freed(&reservation_id);
                let epoch = claim.as_ref().map_or(1, |claim| claim.epoch);
                self.uncount(claim);
                self.sold.insert(reservation_id, Sold { qty, epoch });
                self.total -= i64::from(qty);
            }
            &Event::Returned { reservation_id, qty, epoch } => {
                self.sold.remove(&reservation_id);
                self.total += i64::from(qty);
                self.claims.fenced(reservation_id, epoch);
            }
            Event::Received { qty, .. } => self.change_total(i64::from(*qty)),
            Event::Adjusted { delta, .. } => self.change_total(*delta),
            Event::Closed => self.closed = true,
            Event::Opened => self.closed = false,
            Event::OversubscriptionDetected { by } => self.oversubscribed = *by,
        }
    }

    fn change_total(&mut self, delta: i64) {
        self.total = self.total.saturating_add(delta);
        self.oversubscribed = 0;
    }

    fn count(&mut self, units: Units, committed: bool) {
        match units.period {
            None => self.always += i64::from(units.qty),
            Some(period) => self.over_time.add(period, i64::from(units.qty)),
        }
        *self.counter(committed) += u64::from(units.qty);
    }

    fn uncount(&mut self, claim: Option<Claim<Units>>) {
        let Some(claim) = claim else { return };
        match claim.what.period {
            None => self.always -= i64::from(claim.what.qty),
            Some(period) => self.over_time.add(period, -i64::from(claim.what.qty)),
        }
        *self.counter(claim.is_committed()) -= u64::from(claim.what.qty);
    }

    fn counter(&mut self, committed: bool) -> &mut u64 {
        if committed { &mut self.committed } else { &mut self.held }
    }
}
