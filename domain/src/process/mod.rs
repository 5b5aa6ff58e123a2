//! Process managers: what must follow from a fact. Pure functions without a memory of their own: the
//! saga's memory is the aggregate, so it is versioned and replayable like everything else.
//!
//! ```text
//!   fact ──react──► asks ──performed by the engine──► facts …
//!                     │
//!                     └── refused? ──refused──► asks (a command to the reservation, nothing else)
//! ```
//!
//! A fact may be seen twice and late; so every ask may be performed twice and late, and every ask has
//! an answer for "refused".

mod ask;
pub mod booking;
pub mod damage;
pub mod notices;
pub mod payment;
pub mod rental;
pub mod tickets;
pub mod unlock;

use std::time::Duration;

use crate::{
    InspectionId, LimitId, NotificationId, PaymentId, ReservationId, SeatMapId, Sku, TicketId,
    Timestamp, VehicleId, inspection, inventory, item, limit, notification, reservation, seatmap,
    ticket, vehicle,
};

pub use ask::{Alarm, Ask, Charge, Command, GatewayCall, Refusal, TimerKey, VehicleCall};

/// Whose payments they are: a part of the gateway's keys, so that two houses never share one.
pub const TENANT: &str = "default";

/// A recorded event as a process manager sees it.
#[derive(Clone, Copy, Debug)]
pub struct Fact<'a> {
    /// When it was recorded.
    pub at: Timestamp,
    /// What happened, to what.
    pub what: What<'a>,
}

/// What happened, to what; with the state of its own aggregate just after it, where that is asked for.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "one variant an aggregate")]
pub enum What<'a> {
    Reservation(&'a ReservationId, &'a reservation::Event, &'a reservation::State),
    Payment(&'a PaymentId, &'a crate::payment::Event, &'a crate::payment::State),
    SeatMap(&'a SeatMapId, &'a seatmap::Event),
    Inventory(&'a Sku, &'a inventory::Event),
    Limit(&'a LimitId, &'a limit::Event),
    Item(&'a Sku, &'a item::Event),
    Ticket(&'a TicketId, &'a ticket::Event),
    Notification(&'a NotificationId, &'a notification::Event),
    Vehicle(&'a VehicleId, &'a vehicle::Event, &'a vehicle::State),
    Inspection(&'a InspectionId, &'a inspection::Event, &'a inspection::State),
}

/// The numbers that process managers need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// When to ask the gateway about an attempt whose outcome is unknown, after it began.
    pub polls: Vec<Duration>,
    /// When to ask again for a capture, void or refund that was refused for now: the n-th wait, the
    /// last one for ever.
    pub again: Vec<Duration>,
    /// How long before an authorization lapses it is captured at the latest.
    pub capture_margin: Duration,
    /// How long a vehicle may take to answer one attempt.
    pub unlock_attempt: Duration,
    /// How often a command is sent to a vehicle.
    pub unlock_attempts: u8,
    /// How long a vehicle may take to answer, all attempts together.
    pub unlock_deadline: Duration,
    /// How long after that an UNLOCKED still counts.
    pub late_grace: Duration,
    /// How long after a lock that came to nothing it is asked for again; twice as long each time, an
    /// hour at most.
    pub relock: Duration,
    /// How long a vehicle may be silent before somebody hears of it.
    pub vehicle_silence: Duration,
    /// Up to how much a damage is charged without a decision, in minor units; 0: always decided.
    pub auto_charge_limit_minor: i64,
    /// What a missing percent of fuel costs, in minor units; 0: nothing.
    pub fuel_charge_minor_per_percent: i64,
    /// The percentage of fuel below which a vehicle is not given out if another is there.
    pub low_fuel: u8,
}

impl Default for Settings {
    fn default() -> Self {
        let secs = Duration::from_secs;
        Self {
            polls: vec![secs(30), secs(120), secs(600)],
            again: vec![secs(1), secs(5), secs(30), secs(300), secs(3_600)],
            capture_margin: secs(24 * 3_600),
            unlock_attempt: secs(5),
            unlock_attempts: 3,
            unlock_deadline: secs(20),
            late_grace: secs(30),
            relock: secs(60),
            vehicle_silence: secs(24 * 3_600),
            auto_charge_limit_minor: 0,
            fuel_charge_minor_per_percent: 0,
            low_fuel: 15,
        }
    }
}

/// The process managers. Each follows the log on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Process {
    /// From the hold to its end: deadlines, claims, late money.
    Booking,
    /// Calls to the gateway.
    Payment,
    /// Tickets of what is finalized.
    Tickets,
    /// Notices to customers.
    Notices,
    /// From the assignment of a vehicle to its return.
    Rental,
    /// Commands to vehicles' locks.
    Unlock,
    /// Charges for damages.
    Damage,
}

impl Process {
    /// All of them.
    pub const ALL: [Process; 7] = [
        Self::Booking,
        Self::Payment,
        Self::Tickets,
        Self::Notices,
        Self::Rental,
        Self::Unlock,
        Self::Damage,
    ];

    /// The name of its checkpoint, of its dead-letter stream, and a part of its asks' ids. Never changes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Booking => "booking",
            Self::Payment => "payment",
            Self::Tickets => "tickets",
            Self::Notices => "notices",
            Self::Rental => "rental",
            Self::Unlock => "unlock",
            Self::Damage => "damage",
        }
    }

    /// What follows from a fact.
    pub fn react(self, fact: &Fact<'_>, settings: &Settings) -> Vec<Ask> {
        match self {
            Self::Booking => booking::react(fact),
            Self::Payment => payment::react(fact, settings),
            Self::Tickets => tickets::react(fact),
            Self::Notices => notices::react(fact),
            Self::Rental => rental::react(fact, settings),
            Self::Unlock => unlock::react(fact, settings),
            Self::Damage => damage::react(fact),
        }
    }

    /// What follows when a command that it asked for is refused.
    pub fn refused(self, command: &Command, refusal: &Refusal) -> Vec<Ask> {
        match self {
            Self::Booking => booking::refused(command, refusal),
            Self::Payment => payment::refused(command, refusal),
            Self::Tickets => tickets::refused(command, refusal),
            Self::Notices => notices::refused(command, refusal),
            Self::Rental => rental::refused(command, refusal),
            Self::Unlock => unlock::refused(command, refusal),
            Self::Damage => damage::refused(command, refusal),
        }
    }
}
