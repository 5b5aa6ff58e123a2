//! The business invariants, judged from the log alone: nothing owned twice, no money kept for nothing,
//! every hold ended or in time.
//!
//! This is a second, independent reading of the facts. It shares no line with the aggregates that
//! decided them: a rule that is wrong in both would have to be wrong twice. `holdfast verify` runs it
//! over a log, the whole-product tests over every log that they have made.
//!
//! ```text
//!   event ──► seats    one owner a seat, booked only by its owner
//!         ├─► pools    claims ≤ total, at every instant of a period
//!         ├─► limits   what one user has taken ≤ what it may take
//!         ├─► holds    deadlines, and how each hold ended
//!         ├─► money    captured = kept + given back, by attempt
//!         ├─► tickets  one valid ticket a seat, only of what is finalized
//!         └─► vehicles one owner, opened only for whoever has paid, closed when opened for nobody
//!   finish ──► what must hold when nothing is under way any more
//! ```

mod holds;
mod limits;
mod money;
mod pools;
mod seats;
mod tickets;
mod vehicles;

use std::time::Duration;

use holdfast_domain::Timestamp;
use holdfast_schemas::{AnyEvent, decode_any};
use holdfast_store::{Position, RecordedEvent};

use crate::foreign;

/// How long what has begun may be under way before it counts as forgotten. P7.
const UNDER_WAY: Duration = Duration::from_secs(60);
/// How long after its deadline a hold may still stand open while the server is up. P7.
const OVERDUE: Duration = Duration::from_secs(5);

/// Something that must never be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offence {
    /// The event that shows it.
    pub position: Position,
    /// What is wrong, with all names.
    pub what: String,
}

impl std::fmt::Display for Offence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "position {}: {}", self.position, self.what)
    }
}

/// What was found, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Events that were read.
    pub events: u64,
    /// Those of them that are not Holdfast's, in streams that it gives no name to: nothing is said of them.
    pub foreign: u64,
    /// Everything that must never be.
    pub offences: Vec<Offence>,
    /// Reservations by where they stand.
    pub reservations: std::collections::BTreeMap<&'static str, u64>,
    /// Seats that are sold.
    pub seats_booked: u64,
    /// Seats that are locked.
    pub seats_locked: u64,
    /// Tickets that let somebody in.
    pub tickets_valid: u64,
    /// By currency: captured, kept, given back, on its way back; minor units.
    pub money: std::collections::BTreeMap<&'static str, Sums>,
    /// The longest time between a hold's deadline and its end while the server was up.
    pub latest_expiry: Duration,
}

/// Money of one currency, in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// What the gateways took.
    pub captured: i64,
    /// What is ours.
    pub kept: i64,
    /// What went back.
    pub refunded: i64,
    /// What is neither yet.
    pub under_way: i64,
}

/// Where and when an event stands.
#[derive(Clone, Copy, Debug)]
struct Seen {
    position: Position,
    at: Timestamp,
}

/// Where offences are gathered.
#[derive(Default)]
struct Report(Vec<Offence>);

impl Report {
    fn offence(&mut self, position: Position, what: impl Into<String>) {
        self.0.push(Offence { position, what: what.into() });
    }
}

/// What the rooms of this module may know of the end.
struct End<'a> {
    as_of: Timestamp,
    /// When events were recorded, oldest first.
    moments: &'a [Timestamp],
}

impl End<'_> {
    /// Whether something that began then should be done by now.
    fn settled(&self, since: Timestamp) -> bool {
        self.as_of.since(since) > UNDER_WAY
    }

    /// When the server was first seen at work after a deadline: nobody can be late while it is down.
    fn up_after(&self, deadline: Timestamp) -> Option<Timestamp> {
        let at = self.moments.partition_point(|moment| *moment <= deadline);
        self.moments.get(at).copied()
    }

    /// Whether a deadline was missed although the server was at work.
    fn overdue(&self, deadline: Timestamp) -> bool {
        self.up_after(deadline).is_some_and(|up| self.as_of.since(up) > OVERDUE)
    }
}

/// Reads events in their order; then tells what it has found.
#[derive(Default)]
pub struct Checker {
    report: Report,
    moments: Vec<Timestamp>,
    foreign: u64,
    seats: seats::Seats,
    pools: pools::Pools,
    limits: limits::Limits,
    holds: holds::Holds,
    money: money::Money,
    tickets: tickets::Tickets,
    vehicles: vehicles::Vehicles,
}

impl Checker {
    /// Nothing was read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next event in.
    pub fn see(&mut self, event: &RecordedEvent) {
        let at = Timestamp::from_micros(event.recorded_at_micros);
        let seen = Seen { position: event.position, at };
        self.moments.push(at);
        let decoded =
            decode_any(event.stream.as_str(), &event.kind, event.schema_version, &event.data);
        let report = &mut self.report;
        match decoded {
            Ok(AnyEvent::SeatMap(map, event)) => self.seats.see(seen, &map, &event, report),
            Ok(AnyEvent::Inventory(sku, event)) => self.pools.see(seen, &sku, &event, report),
            Ok(AnyEvent::Limit(limit, event)) => self.limits.see(&limit, &event),
            Ok(AnyEvent::Reservation(id, event)) => {
                self.limits.judge(seen, &event, report);
                self.holds.see(seen, id, &event, report);
            }
            Ok(AnyEvent::Payment(id, event)) => self.money.see(seen, id, &event, report),
            Ok(AnyEvent::Ticket(id, event)) => self.tickets.see(seen, id, &event),
            Ok(AnyEvent::Vehicle(id, event)) => self.vehicles.see(seen, &id, &event, report),
            Ok(
                AnyEvent::Item(..)
                | AnyEvent::Notification(..)
                | AnyEvent::Inspection(..)
                | AnyEvent::DeadLetter(..),
            ) => {}
            Err(_) if foreign::is_foreign(event) => self.foreign += 1,
            Err(error) => report.offence(event.position, error.to_string()),
        }
    }

    /// What was found, judged at the moment of the last event: a server that is stopped is not late.
    pub fn finish(self) -> Findings {
        let as_of = self.moments.last().copied().unwrap_or_default();
        self.finish_at(as_of)
    }

    /// What was found, judged at a moment at which the server is known to have been at work.
    pub fn finish_at(self, as_of: Timestamp) -> Findings {
        let Self {
            mut report,
            moments,
            foreign,
            seats,
            pools,
            limits,
            holds,
            money,
            tickets,
            vehicles,
        } = self;
        let end = End { as_of, moments: &moments };
        let mut findings =
            Findings { events: moments.len() as u64, foreign, ..Findings::default() };
        holds.finish(&end, &mut report, &mut findings);
        seats.finish(&end, &holds, &mut report, &mut findings);
        pools.finish(&end, &holds, &mut report);
        limits.finish(&end, &holds, &mut report);
        money.finish(&end, &holds, &mut report, &mut findings);
        tickets.finish(&end, &holds, &mut report, &mut findings);
        vehicles.finish(&end, &holds, &pools, &mut report);
        report.0.sort_by_key(|offence| offence.position);
        findings.offences = report.0;
        findings
    }
}

#[cfg(test)]
mod tests;
