//! What may be asked of a seat map, and how it says no.

use serde::{Deserialize, Serialize};

use super::event::{Owner, Plan, ReleaseReason};
use crate::{AttemptId, By, Epoch, LockId, ReservationId, SeatId, Timestamp, UserId};

/// "Choose for me": DOMAIN.md C.4, AutoAssign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pick {
    /// How many seats.
    pub quantity: u32,
    /// Only in this section.
    pub section: Option<String>,
    /// Only of this category.
    pub category: Option<String>,
}

/// Which seats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seats {
    /// These.
    Named(Vec<SeatId>),
    /// The best ones.
    Best(Pick),
    /// Those of the caller's bare lock (only to attach).
    OfLock(LockId),
}

/// What may be asked of a seat map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "fields carry DOMAIN.md's names; each variant's line explains them"
)]
pub enum Command {
    /// Put the map on sale, or change its plan.
    Publish { plan: Plan },
    /// A bare lock.
    Lock { lock_id: LockId, user_id: UserId, seats: Seats, expires_at: Timestamp },
    /// Give a bare lock back.
    ReleaseLock { lock_id: LockId, by: By },
    /// A reservation claims seats.
    Attach {
        reservation_id: ReservationId,
        user_id: UserId,
        seats: Seats,
        expires_at: Timestamp,
        epoch: Epoch,
        attempt: AttemptId,
    },
    /// An attempt at acquiring was refused elsewhere: take its name off the claim.
    Withdraw { reservation_id: ReservationId, attempt: AttemptId },
    /// Hold the claim until later.
    Extend { reservation_id: ReservationId, expires_at: Timestamp, epoch: Epoch },
    /// The claim is paid for.
    Confirm { reservation_id: ReservationId, epoch: Epoch },
    /// A fact of the reservation ends the claim.
    Release { reservation_id: ReservationId, epoch: Epoch, reason: ReleaseReason },
    /// Take the same seats again, all or none, without a deadline.
    Reacquire {
        reservation_id: ReservationId,
        user_id: UserId,
        seat_ids: Vec<SeatId>,
        epoch: Epoch,
    },
    /// Drop what has lapsed, so that nobody is told that it is taken.
    DropLapsed { owner: Owner },
    /// Take seats out of sale.
    Block { seat_ids: Vec<SeatId>, reason: String },
    /// Put them back.
    Unblock { seat_ids: Vec<SeatId> },
}

/// How a seat map says no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum Refusal {
    #[error("there is no such seat map")]
    NotFound,
    #[error("there are no such seats: {}", listed(.0))]
    UnknownSeats(Vec<SeatId>),
    #[error("seats are taken: {}", listed(.0))]
    SeatsTaken(Vec<SeatId>),
    #[error("not enough seats are free for that wish")]
    NoSeats,
    #[error("seats are not for sale: {}", listed(.0))]
    NotForSale(Vec<SeatId>),
    #[error("these seats are not held by you any more")]
    NotHeld,
    #[error("this claim was already given up")]
    StaleEpoch,
    #[error("the deadline has passed")]
    TooLate,
    #[error("seats that would vanish are not free: {}", listed(.0))]
    SeatsInUse(Vec<SeatId>),
    #[error("name at least one and at most {most} seats, each once")]
    SeatCount { most: usize },
    #[error("the plan is not valid: {0}")]
    InvalidPlan(InvalidPlan),
}

/// What is wrong with a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum InvalidPlan {
    #[error("it has no section or no category")]
    Empty,
    #[error("a section or category stands twice")]
    Repeated,
    #[error("a section names a category that is not there")]
    UnknownCategory,
    #[error("a section has no rows or no seats, or there are more than 100,000 seats")]
    Size,
    #[error("a section's name must be 1 to 32 characters of A-Z a-z 0-9 . _")]
    SectionName,
    #[error("a name must have 1 to 200 characters")]
    Name,
    #[error("prices must not be negative and must be of one currency")]
    Price,
    #[error("the item that its seats claim cannot change while seats are taken")]
    Sku,
}

/// Seats as a message names them: the first few, and how many more.
fn listed(seats: &[SeatId]) -> String {
    const NAMED: usize = 10;
    let mut text = seats.iter().take(NAMED).map(SeatId::as_str).collect::<Vec<_>>().join(", ");
    if seats.len() > NAMED {
        text.push_str(&format!(" and {} more", seats.len() - NAMED));
    }
    text
}
