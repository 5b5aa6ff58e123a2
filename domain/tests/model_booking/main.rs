//! Every run of a small world: DOMAIN.md §F, on the real aggregates and the real booking process.
//!
//! Two customers want one unit of each of two pools that have one (or of one pool, and the same car). Acquisition goes claim by claim and
//! may stop anywhere; a retry runs beside a paused attempt; payments extend the hold, are declined,
//! succeed late and are told twice; customers cancel at any time; the process dies between any two
//! asks; a former owner of it wakes up and asks again what it ever asked; dead letters are redriven.
//!
//! The families of the suite are small enough for a minute; `HOLDFAST_MODEL=full` searches the large
//! ones. Each twin does without one rule, and the search must find what breaks.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a twin names the one thing that it changes; a search names what it looks for"
)]

#[path = "../support/mod.rs"]
mod support;

mod actions;
mod checks;
mod customers;
mod families;
mod rules;
mod scenario;
mod twins;
mod wishes;
mod without;
mod world;

use actions::Step;
use rules::Rules;
use scenario::Scenario;
use support::search::{self, Found};
use world::{Booking, World};

/// A scenario with its tables.
pub(crate) struct Model {
    pub(crate) rules: Rules,
}

impl search::Model for Model {
    type State = World;
    type Action = Step;

    fn initial(&mut self) -> World {
        let scenario = self.rules.scenario;
        let (reservation, payment) = self.rules.nothing();
        let booking =
            |may_cancel| Booking { reservation, payment, may_cancel, ..Booking::default() };
        let mut pools = [self.rules.pool_of_one(); 2];
        if scenario.vehicle {
            pools[1] = self.rules.a_car();
        }
        World { pools, bookings: scenario.cancel.map(booking), ..World::default() }
    }

    fn successors(&mut self, world: &World, out: &mut Vec<(Step, World)>) {
        self.all(world, out);
    }

    fn check(&mut self, world: &World) -> Result<(), String> {
        self.always(world)?;
        if self.is_at_rest(world) {
            self.at_rest(world).map_err(|what| format!("at rest: {what}"))?;
        }
        Ok(())
    }

    fn check_at_rest(&mut self, _: &World) -> Result<(), String> {
        // Customers may always do something, so rest is judged in `check`.
        Ok(())
    }
}

/// Searches a family, at most that many states.
pub(crate) fn search(scenario: Scenario, most: usize) -> Found {
    search::search(&mut Model { rules: Rules::new(scenario) }, most)
}
