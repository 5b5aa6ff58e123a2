//! What must hold in every state, and what must hold once everything that must happen has happened.

use holdfast_domain::payment::Status as Money;
use holdfast_domain::reservation::Status;

use super::Model;
use super::rules::{Rules, at};
use super::world::{Booking, NONE, World};

impl Model {
    /// In each state: a unit has one owner, who has it indeed; and no unit is given out twice.
    pub(crate) fn always(&self, world: &World) -> Result<(), String> {
        let mut owners = 0;
        for who in 0..usize::from(self.rules.scenario.customers) {
            let state = self.rules.reservation(world.bookings[who].reservation);
            if state.status == Status::Confirmed && state.finalized {
                owners += 1;
                for pool in self.rules.scenario.first_pool(who)..2 {
                    if !self.owns(world, who, pool) {
                        return Err(format!("{} is finalized without unit {pool}", name(who)));
                    }
                }
            }
        }
        if owners > 1 {
            return Err("a unit has two finalized owners".into());
        }
        for (number, pool) in world.pools.iter().enumerate() {
            // A car has one claim at most, by its very shape (V1).
            if self.rules.is_car(number) {
                continue;
            }
            let pool = self.rules.pool(*pool);
            let claimed: u64 = pool.claims().map(|(_, claim)| u64::from(claim.what.qty)).sum();
            if claimed > u64::from(pool.total()) {
                return Err(format!("unit {number} is claimed twice"));
            }
        }
        if world.oversold {
            return Err("somebody who paid in time is oversold".into());
        }
        Ok(())
    }

    /// Whether nothing must happen any more; customers may always do something.
    pub(crate) fn is_at_rest(&self, world: &World) -> bool {
        let quiet = |booking: &Booking| {
            let money =
                self.rules.payment(booking.payment).attempts.iter().all(|row| match row.status {
                    Money::VoidRequested | Money::CaptureRequested | Money::RefundPending => false,
                    Money::None
                    | Money::Pending
                    | Money::RequiresAction
                    | Money::Authorized
                    | Money::Succeeded
                    | Money::Failed
                    | Money::Voided
                    | Money::PartiallyRefunded
                    | Money::Refunded
                    | Money::Disputed => true,
                });
            let timer = booking.timer.is_none_or(|(at, _)| at > world.now);
            money
                && timer
                && booking.facts.is_empty()
                && booking.left == NONE
                && booking.parked == NONE
        };
        let lapsed = (0..2).any(|pool| (0..2).any(|who| self.rules.has_lapsed(world, who, pool)));
        world.now == self.rules.scenario.last_tick && !lapsed && world.bookings.iter().all(quiet)
    }

    /// At rest: confirmed with everything and paid, or ended with nothing and unpaid.
    pub(crate) fn at_rest(&self, world: &World) -> Result<(), String> {
        for who in 0..usize::from(self.rules.scenario.customers) {
            let booking = &world.bookings[who];
            let state = self.rules.reservation(booking.reservation);
            match state.status {
                Status::Confirmed if !state.finalized => {
                    return Err(format!("{} is confirmed for ever, not finalized", name(who)));
                }
                Status::Confirmed => self.paid_once(booking, who)?,
                Status::None | Status::HoldFailed | Status::HoldExpired | Status::Cancelled => {
                    self.nothing_left(world, who)?;
                }
                Status::Hold | Status::AwaitingPayment | Status::Reacquiring => {
                    return Err(format!("{} is stuck in {:?}", name(who), state.status));
                }
                Status::InUse | Status::Completed => {
                    return Err("nobody here rents".into());
                }
            }
        }
        Ok(())
    }

    fn paid_once(&self, booking: &Booking, who: usize) -> Result<(), String> {
        let state = self.rules.reservation(booking.reservation);
        for row in &self.rules.payment(booking.payment).attempts {
            let by_this = state.paid_by.is_some_and(|paid| paid.attempt == row.attempt);
            let kept = row.captured.amount_minor - row.refunded.amount_minor;
            let price = state.total.map_or(0, |total| total.amount_minor);
            if by_this && kept != price {
                return Err(format!("{} has it for {kept} instead of {price}", name(who)));
            }
            if !by_this && (kept != 0 || is_live(row.status)) {
                return Err(format!("{} pays twice: attempt {}", name(who), row.attempt));
            }
        }
        Ok(())
    }

    fn nothing_left(&self, world: &World, who: usize) -> Result<(), String> {
        let status = self.rules.reservation(world.bookings[who].reservation).status;
        for number in 0..2 {
            if self.rules.has(world, who, number) {
                return Err(format!("{} is {status:?} and keeps unit {number}", name(who)));
            }
        }
        for row in &self.rules.payment(world.bookings[who].payment).attempts {
            let kept = row.captured.amount_minor - row.refunded.amount_minor;
            if kept != 0 {
                return Err(format!("{} is {status:?} and paid {kept} for nothing", name(who)));
            }
            if is_live(row.status) {
                return Err(format!("{} is {status:?} and may still be charged", name(who)));
            }
        }
        Ok(())
    }

    fn owns(&self, world: &World, who: usize, pool: usize) -> bool {
        let id = &self.rules.ids[who];
        if self.rules.is_car(pool) {
            let claim = self.rules.car(world.pools[pool]).reservation();
            return claim.is_some_and(|claim| claim.reservation_id == *id && claim.confirmed);
        }
        let pool = self.rules.pool(world.pools[pool]);
        pool.sold(id).is_some() || pool.claim(id).is_some_and(|claim| claim.is_committed())
    }
}

impl Rules {
    pub(crate) fn is_car(&self, pool: usize) -> bool {
        self.scenario.vehicle && pool == 1
    }

    /// Whether a customer has claimed or bought a unit.
    fn has(&self, world: &World, who: usize, pool: usize) -> bool {
        let id = &self.ids[who];
        if self.is_car(pool) {
            let claim = self.car(world.pools[pool]).reservation();
            return claim.is_some_and(|claim| claim.reservation_id == *id);
        }
        let pool = self.pool(world.pools[pool]);
        pool.claim(id).is_some() || pool.sold(id).is_some()
    }

    /// Whether a customer's claim on a unit has lapsed and still lies there.
    pub(crate) fn has_lapsed(&self, world: &World, who: usize, pool: usize) -> bool {
        let (id, now) = (&self.ids[who], at(world.now));
        if self.is_car(pool) {
            let claim = self.car(world.pools[pool]).reservation();
            return claim.is_some_and(|claim| {
                claim.reservation_id == *id && claim.expires_at.is_some_and(|until| until <= now)
            });
        }
        self.pool(world.pools[pool]).claim(id).is_some_and(|claim| claim.has_lapsed(now))
    }
}

/// Whether money may still be taken by it.
fn is_live(status: Money) -> bool {
    match status {
        Money::Pending
        | Money::RequiresAction
        | Money::Authorized
        | Money::CaptureRequested
        | Money::VoidRequested
        | Money::Failed => true,
        Money::None
        | Money::Succeeded
        | Money::Voided
        | Money::RefundPending
        | Money::PartiallyRefunded
        | Money::Refunded
        | Money::Disputed => false,
    }
}

fn name(who: usize) -> &'static str {
    if who == 0 { "the first" } else { "the second" }
}
