//! The rules, and nothing else: what may be sold, held, paid and given back, and when.
//!
//! Everything here is pure and synchronous. An aggregate *decides* (a command on a state gives facts
//! or a refusal) and *evolves* (a fact on a state gives the next state); a process manager *reacts*
//! (a fact gives asks). The moment, the ids, the prices and the deadlines come in with the command;
//! nothing is looked up, so the same history always tells the same story.
//!
//! ```text
//!   command ──decide──► facts ──evolve──► state
//!                         │
//!                         └──react──► asks (commands to other aggregates, gateway calls, wakes)
//! ```
//!
//! What is absent on purpose: clock, randomness, async, disk, network, the order of a hash map.

pub mod claim;
mod ids;
pub mod inspection;
pub mod inventory;
pub mod item;
pub mod kept;
pub mod limit;
mod money;
mod names;
pub mod notification;
pub mod payment;
mod period;
pub mod process;
pub mod reservation;
pub mod seatmap;
pub mod ticket;
mod time;
pub mod vehicle;

pub use ids::{
    AttemptId, InspectionId, LockId, NotificationId, PaymentId, RefundId, ReservationId, TicketId,
    derive,
};
pub use money::{Currency, Money, MoneyError};
pub use names::{LimitId, NameError, SeatId, SeatMapId, Sku, UserId, VehicleId};
pub use period::{Period, PeriodError};
pub use time::{Timestamp, TimestampError};

/// How often the claims of one reservation were taken: 1 at the hold, one more at each re-acquisition.
pub type Epoch = u32;

/// Which payment attempt of a payment, from 1.
pub type AttemptNo = u16;

/// An aggregate: the smallest thing about which one decision at a time is enough.
pub trait Decider: Default + Clone + std::fmt::Debug + Send + Sync + 'static {
    /// The category of its streams: `reservation` in `reservation-018f…`.
    const CATEGORY: &'static str;
    /// What names one of them; its `Display` is the part of the stream's name behind the category.
    type Id: Clone
        + Eq
        + Ord
        + std::hash::Hash
        + std::fmt::Debug
        + std::fmt::Display
        + Send
        + Sync
        + 'static;
    /// What may be asked.
    type Command: Clone + std::fmt::Debug + Send + Sync + 'static;
    /// What may have happened.
    type Event: Clone + PartialEq + std::fmt::Debug + Send + Sync + 'static;
    /// How it says no.
    type Refusal: std::error::Error + Clone + PartialEq + Send + Sync + 'static;

    /// Judges a command at the moment `now`. An empty list means "already so".
    fn decide(
        &self,
        id: &Self::Id,
        command: &Self::Command,
        now: Timestamp,
    ) -> Result<Vec<Self::Event>, Self::Refusal>;

    /// Takes a fact in. Never refuses: it has happened.
    fn evolve(&mut self, event: &Self::Event);

    /// The version that customers see and may guard with `If-Match`; not the stream's version.
    fn version(&self) -> u32 {
        0
    }
}

/// On whose word a customer's command comes; ownership is judged with the state, at the decision.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// A customer: only for what is its own; anything else answers as absent.
    Owner(UserId),
    /// Someone with OPERATE.
    Operator(UserId),
    /// A process manager.
    System,
}

impl By {
    /// Whether this one may act for something that belongs to `owner`.
    pub fn may_act_for(&self, owner: &UserId) -> bool {
        match self {
            Self::Owner(user) => user == owner,
            Self::Operator(_) | Self::System => true,
        }
    }
}
