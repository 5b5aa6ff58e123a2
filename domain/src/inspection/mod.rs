//! A condition report after a rental, and the claim for the damage that it tells of. DOMAIN.md C.7.
//!
//! ```text
//!                            Approve                  charged
//!   Submit ──► PENDING ─────────────────► APPROVED ───────────► CHARGED ──┐
//!     │           │  │                    ▲  │  │ declined:              │
//!     │           │  │   within the limit │  │  │ stays, a person looks  │ Dispute, from all of these
//!     │           │  └────────────────────┘  │  ▼ and approves again     ▼
//!     │ nothing   │ Reject                   │                        DISPUTED ──► APPROVED
//!     ▼           ▼                          │ Waive, from all of these  │
//!   NONE       REJECTED ◄────────────────────┘──────────► WAIVED ◄───────┘
//! ```
//!
//! One report has at most one claim, whose id follows from the report's (D36): a report that is told
//! twice assesses once, and is charged once. The money itself is a payment of its own (`payment`,
//! DAMAGE_CHARGE); here is written down what is claimed, who decided, and how it ended.

mod command;
mod decide;
mod event;
mod evolve;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "what a test builds is well formed")]
mod tests;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use command::{Command, InvalidReport, Refusal};
pub use event::{ClaimStatus, Event, Photo};

use crate::{InspectionId, Money, PaymentId, ReservationId, Timestamp, UserId};

/// The longest description, in characters.
pub const LONGEST_DESCRIPTION: usize = 4_000;

/// The most photos of one report.
pub const MOST_PHOTOS: usize = 20;

/// All that is known of a report and its claim.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Which rental it is about; none before it is submitted.
    pub reservation_id: Option<ReservationId>,
    /// Whose rental.
    pub user_id: Option<UserId>,
    /// What was seen.
    pub description: String,
    /// Pictures of it.
    pub photos: Vec<Photo>,
    /// Where the odometer stood, in metres.
    pub odometer_m: Option<u64>,
    /// The claim's name, when there is one.
    pub claim_id: Option<Uuid>,
    /// Where the claim stands.
    pub status: ClaimStatus,
    /// What the damage may cost, as it was reported.
    pub estimate: Option<Money>,
    /// What was approved.
    pub amount: Option<Money>,
    /// Whether a charge is under way: asked for, and its outcome not known.
    pub charging: bool,
    /// How many charges failed; the next one has the next number.
    pub failures: u16,
    /// What was charged.
    pub charged: Option<Money>,
}

impl State {
    /// Whether it was submitted.
    pub fn exists(&self) -> bool {
        self.reservation_id.is_some()
    }

    /// The number of the charge that is under way, or would be next, from 1.
    pub fn attempt(&self) -> u16 {
        self.failures.saturating_add(1)
    }

    /// The payment that charges this damage; none before the report is submitted.
    pub fn payment_id(&self, id: &InspectionId) -> Option<PaymentId> {
        self.reservation_id.map(|reservation| reservation.damage_payment_id(id))
    }
}

impl crate::Decider for State {
    const CATEGORY: &'static str = "inspection";
    type Id = InspectionId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(
        &self,
        id: &InspectionId,
        command: &Command,
        _: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        self.judge(id, command)
    }

    fn evolve(&mut self, event: &Event) {
        self.take_in(event);
    }
}
