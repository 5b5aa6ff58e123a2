//! How much one user has taken of one item (S4's `max_per_user`), held and kept together.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::seatmap::ReleaseReason;
use crate::{AttemptId, Epoch, ReservationId, Timestamp};

/// What may have happened to a limit. Stored as `limit.{kebab}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(
    missing_docs,
    reason = "fields carry DOMAIN.md's names; each variant's line explains them"
)]
pub enum Event {
    /// Claimed until `expires_at`.
    Taken {
        reservation_id: ReservationId,
        qty: u32,
        expires_at: Timestamp,
        epoch: Epoch,
        attempt: AttemptId,
    },
    /// Held until later, or another attempt holds it too.
    Extended {
        reservation_id: ReservationId,
        expires_at: Timestamp,
        epoch: Epoch,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attempt: Option<AttemptId>,
    },
    /// Paid for: counts for good. Also a re-acquisition (then with its `qty` and a higher epoch).
    Kept { reservation_id: ReservationId, qty: u32, epoch: Epoch },
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
}

/// What may be asked of a limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "fields carry DOMAIN.md's names; each variant's line explains them"
)]
pub enum Command {
    /// Claim `qty` of at most `max`, until `expires_at`.
    Take {
        reservation_id: ReservationId,
        qty: u32,
        max: u32,
        expires_at: Timestamp,
        epoch: Epoch,
        attempt: AttemptId,
    },
    /// An attempt at acquiring was refused elsewhere: take its name off the claim.
    Withdraw { reservation_id: ReservationId, attempt: AttemptId },
    /// Hold the claim until later.
    Extend { reservation_id: ReservationId, expires_at: Timestamp, epoch: Epoch },
    /// The claim is paid for.
    Keep { reservation_id: ReservationId, epoch: Epoch },
    /// A fact of the reservation ends the claim.
    Release { reservation_id: ReservationId, epoch: Epoch, reason: ReleaseReason },
    /// Take the same again and keep it.
    Reacquire { reservation_id: ReservationId, qty: u32, max: u32, epoch: Epoch },
    /// Drop the claim if it has lapsed.
    DropLapsed { reservation_id: ReservationId },
}

/// How a limit says no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum Refusal {
    #[error("at most {max} for each customer; {already} are already held or bought")]
    LimitExceeded { max: u32, already: u32 },
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
}

/// All that is known of it.
#[derive(Clone, Debug, Default)]
pub struct State {}

impl crate::Decider for State {
    const CATEGORY: &'static str = "limit";
    type Id = crate::LimitId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(
        &self,
        _: &crate::LimitId,
        _: &Command,
        _: crate::Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        unimplemented!("to be written next")
    }

    fn evolve(&mut self, _: &Event) {
        unimplemented!("to be written next")
    }
}
