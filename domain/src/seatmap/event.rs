//! What may have happened to a seat map. Field names are stored: they never change.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AttemptId, Epoch, LockId, Money, ReservationId, SeatId, Sku, Timestamp, UserId};

/// A price class of seats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Category {
    /// Its name.
    pub name: String,
    /// What a seat of it costs.
    pub price: Money,
}

/// A block of seats: rows of equal length.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Section {
    /// Its name, the first part of its seats' ids.
    pub name: String,
    /// The category of its seats.
    pub category: String,
    /// How many rows.
    pub rows: u32,
    /// How many seats in each.
    pub seats_per_row: u32,
}

/// What the hall looks like; every seat follows from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// The hall's name.
    pub name: String,
    /// Quota and limit item that each seat also claims.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<Sku>,
    /// Price classes.
    pub categories: Vec<Category>,
    /// Blocks of seats, nearest the stage first.
    pub sections: Vec<Section>,
}

/// Whose a taken seat is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// A bare lock's.
    Lock(LockId),
    /// A reservation's.
    Reservation(ReservationId),
}

/// Why seats became free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReleaseReason {
    /// Their time was up.
    Expired,
    /// The reservation was cancelled.
    Cancelled,
    /// The payment was declined.
    PaymentFailed,
    /// The customer gave them back.
    User,
    /// The money went back.
    Refunded,
    /// Late money was not taken.
    LateRejected,
    /// It could not be delivered.
    Oversold,
    /// The rental is over.
    Completed,
    /// The acquisition was refused elsewhere.
    Refused,
}

impl ReleaseReason {
    /// Whether it also ends what is paid for. The others end holds only: whatever arrives late, an
    /// expiry never takes away what was sold (DOMAIN.md C.5).
    pub fn ends_commitment(self) -> bool {
        match self {
            Self::Cancelled
            | Self::Refunded
            | Self::LateRejected
            | Self::Oversold
            | Self::Completed => true,
            Self::Expired | Self::PaymentFailed | Self::User | Self::Refused => false,
        }
    }
}

/// What may have happened to a seat map. Stored as `seatmap.{kebab}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(
    missing_docs,
    reason = "fields carry DOMAIN.md's names; each variant's line explains them"
)]
pub enum Event {
    /// The map is on sale.
    Published { plan: Plan },
    /// The plan changed; the removed seats were free.
    Changed { plan: Plan, removed_seats: Vec<SeatId> },
    /// Seats are locked: by a bare lock, or for a reservation (then `lock_id` is absent or its own
    /// finished lock); without `expires_at` they do not lapse.
    SeatsLocked {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lock_id: Option<LockId>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reservation_id: Option<ReservationId>,
        user_id: UserId,
        seat_ids: Vec<SeatId>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Timestamp>,
        epoch: Epoch,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attempt: Option<AttemptId>,
    },
    /// A reservation took a bare lock over; the lock's id is finished.
    SeatsAttached {
        lock_id: LockId,
        reservation_id: ReservationId,
        user_id: UserId,
        seat_ids: Vec<SeatId>,
        expires_at: Timestamp,
        epoch: Epoch,
        attempt: AttemptId,
    },
    /// A reservation's seats are held until later, or another attempt holds them too.
    SeatLockExtended {
        reservation_id: ReservationId,
        expires_at: Timestamp,
        epoch: Epoch,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attempt: Option<AttemptId>,
    },
    /// Seats are sold.
    SeatsBooked { reservation_id: ReservationId, seat_ids: Vec<SeatId>, epoch: Epoch },
    /// Seats are free again; with no seats it only raises the fence. `back_to`: seats that go back to
    /// the bare lock from which a refused acquisition had taken them.
    SeatsReleased {
        owner: Owner,
        seat_ids: Vec<SeatId>,
        reason: ReleaseReason,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        epoch: Option<Epoch>,
    },
    /// One attempt gave up; others still hold the claim.
    AttemptWithdrawn { reservation_id: ReservationId, attempt: AttemptId },
    /// A refused acquisition gave a bare lock back while its time lasts.
    LockRestored {
        lock_id: LockId,
        reservation_id: ReservationId,
        user_id: UserId,
        seat_ids: Vec<SeatId>,
        expires_at: Timestamp,
    },
    /// Seats are not for sale.
    SeatsBlocked { seat_ids: Vec<SeatId>, reason: String },
    /// They are again.
    SeatsUnblocked { seat_ids: Vec<SeatId> },
}
