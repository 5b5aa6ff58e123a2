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
pub mod notices;
pub mod payment;
pub mod tickets;

use std::time::Duration;

use crate::{
    LimitId, NotificationId, PaymentId, ReservationId, SeatMapId, Sku, TicketId, Timestamp,
    inventory, item, limit, notification, reservation, seatmap, ticket,
};

pub use ask::{Alarm, Ask, Command, GatewayCall, Refusal, TimerKey};

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
}

impl Default for Settings {
    fn default() -> Self {
        let secs = Duration::from_secs;
        Self {
            polls: vec![secs(30), secs(120), secs(600)],
            again: vec![secs(1), secs(5), secs(30), secs(300), secs(3_600)],
            capture_margin: secs(24 * 3_600),
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
}

impl Process {
    /// All of them.
    pub const ALL: [Process; 4] = [Self::Booking, Self::Payment, Self::Tickets, Self::Notices];

    /// The name of its checkpoint, of its dead-letter stream, and a part of its asks' ids. Never changes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Booking => "booking",
            Self::Payment => "payment",
            Self::Tickets => "tickets",
            Self::Notices => "notices",
        }
    }

    /// What follows from a fact.
    pub fn react(self, fact: &Fact<'_>, settings: &Settings) -> Vec<Ask> {
        match self {
            Self::Booking => booking::react(fact),
            Self::Payment => payment::react(fact, settings),
            Self::Tickets => tickets::react(fact),
            Self::Notices => notices::react(fact),
        }
    }

    /// What follows when a command that it asked for is refused.
    pub fn refused(self, command: &Command, refusal: &Refusal) -> Vec<Ask> {
        match self {
            Self::Booking => booking::refused(command, refusal),
            Self::Payment => payment::refused(command, refusal),
            Self::Tickets => tickets::refused(command, refusal),
            Self::Notices => notices::refused(command, refusal),
        }
    }
}
