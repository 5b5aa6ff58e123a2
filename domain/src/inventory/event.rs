//! What may have happened to a pool. Field names are stored: they never change.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AttemptId, Epoch, Period, ReservationId, Timestamp, UserId};

pub use crate::seatmap::ReleaseReason;

/// What may have happened to a pool. Stored as `inventory.{kebab}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(
    missing_docs,
    reason = "fields carry DOMAIN.md's names; each variant's line explains them"
)]
pub enum Event {
    /// Claimed until `expires_at`; `remaining` is what is left then.
    Held {
        reservation_id: ReservationId,
        qty: u32,
        remaining: u32,
        expires_at: Timestamp,
        epoch: Epoch,
        attempt: AttemptId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        period: Option<Period>,
    },
    /// Held until later, or another attempt holds it too.
    HoldExtended {
        reservation_id: ReservationId,
        expires_at: Timestamp,
        epoch: Epoch,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attempt: Option<AttemptId>,
    },
    /// Committed (S0's InventoryLocked).
    Locked { reservation_id: ReservationId, qty: u32, epoch: Epoch },
    /// Free again; with `qty` 0 it only raises the fence. Without `epoch` it leaves no tombstone.
    Released {
        reservation_id: ReservationId,
        qty: u32,
        reason: ReleaseReason,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        epoch: Option<Epoch>,
    },
    /// One attempt gave up; others still hold the claim.
    AttemptWithdrawn { reservation_id: ReservationId, attempt: AttemptId },
    /// Taken again and committed at once.
    Reacquired {
        reservation_id: ReservationId,
        qty: u32,
        epoch: Epoch,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        period: Option<Period>,
    },
    /// Consumed: the total is less by that.
    Sold { reservation_id: ReservationId, qty: u32 },
    /// What was sold came back: the total is more by that.
    Returned { reservation_id: ReservationId, qty: u32, epoch: Epoch },
    /// More of it is there.
    Received { qty: u32, by: UserId },
    /// Somebody counted again.
    Adjusted { delta: i64, reason: String, by: UserId },
    /// No new claims.
    Closed,
    /// New claims again.
    Opened,
    /// More is claimed than is there, since the total was lowered.
    OversubscriptionDetected { by: u32 },
}
