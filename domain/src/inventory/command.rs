//! What may be asked of a pool, and how it says no.

use serde::{Deserialize, Serialize};

use super::event::ReleaseReason;
use crate::{AttemptId, Epoch, Period, PeriodError, ReservationId, Timestamp, UserId};

/// What may be asked of a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "fields carry DOMAIN.md's names; each variant's line explains them"
)]
pub enum Command {
    /// Claim `qty` until `expires_at`.
    Hold {
        reservation_id: ReservationId,
        qty: u32,
        expires_at: Timestamp,
        epoch: Epoch,
        attempt: AttemptId,
        period: Option<Period>,
    },
    /// An attempt at acquiring was refused elsewhere: take its name off the claim.
    Withdraw { reservation_id: ReservationId, attempt: AttemptId },
    /// Hold the claim until later.
    Extend { reservation_id: ReservationId, expires_at: Timestamp, epoch: Epoch },
    /// The claim is paid for and kept.
    Commit { reservation_id: ReservationId, epoch: Epoch },
    /// The claim is paid for and consumed: Locked and Sold in one append.
    Consume { reservation_id: ReservationId, epoch: Epoch },
    /// A fact of the reservation ends the claim.
    Release { reservation_id: ReservationId, epoch: Epoch, reason: ReleaseReason },
    /// Take the same again and commit it at once.
    Reacquire { reservation_id: ReservationId, qty: u32, epoch: Epoch, period: Option<Period> },
    /// What was sold comes back (a claim that was not consumed yet is released): raises the fence too.
    Return { reservation_id: ReservationId, epoch: Epoch, reason: ReleaseReason },
    /// Drop the claim if it has lapsed.
    DropLapsed { reservation_id: ReservationId },
    /// More of it is there.
    Receive { qty: u32, by: UserId },
    /// Somebody counted again.
    Adjust { delta: i64, reason: String, by: UserId },
    /// Whether new claims are taken.
    SetSales { open: bool },
}

/// How a pool says no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum Refusal {
    #[error("{requested} were asked for, {available} are left")]
    OutOfStock { requested: u32, available: u32 },
    #[error("sales are closed")]
    SalesClosed,
    #[error("this reservation has claimed another quantity")]
    OtherQuantity { claimed: u32 },
    #[error("this reservation has no claim here")]
    NoClaim,
    #[error("this claim was already given up")]
    StaleEpoch,
    #[error("the deadline has passed")]
    TooLate,
    #[error("ask for at least one")]
    ZeroQuantity,
    #[error("the total would leave the range that can be counted")]
    Total,
    #[error("the period is no period: {0}")]
    Period(PeriodErrorText),
}

/// A [`PeriodError`] that can be stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{0}")]
pub struct PeriodErrorText(pub String);

impl From<PeriodError> for Refusal {
    fn from(error: PeriodError) -> Self {
        Self::Period(PeriodErrorText(error.to_string()))
    }
}
