//! An inspection after a rental, and the damage claim that may come of it. DOMAIN.md C.7.
//!
//! ```text
//!   Submit ──► (no damage)
//!     └──────► PENDING ─approve─► APPROVED ─charged─► CHARGED
//!                │  └─reject─► REJECTED  │ └─ refused: stays, an operator sees it
//!                └──── dispute, waive ───┴──► DISPUTED, WAIVED
//! ```

mod command;
mod decide;
mod event;
mod evolve;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use command::{Command, InvalidReport, Refusal};
pub use event::{ClaimStatus, Event, Photo};

use crate::{InspectionId, Money, PaymentId, ReservationId, Timestamp, UserId};

/// All that is known of an inspection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// After which rental.
    pub reservation_id: Option<ReservationId>,
    /// Whose rental it was.
    pub user_id: Option<UserId>,
    /// What was seen.
    pub description: String,
    /// Pictures.
    pub photos: Vec<Photo>,
    /// The odometer, in metres.
    pub odometer_m: Option<u64>,
    /// The damage claim.
    pub claim_id: Option<Uuid>,
    /// Where the claim stands.
    pub claim_status: ClaimStatus,
    /// What the damage may cost.
    pub estimate: Option<Money>,
    /// What the customer is to pay.
    pub amount: Option<Money>,
    /// The charge that went through.
    pub payment_id: Option<PaymentId>,
    /// Why the last charge did not.
    pub charge_failure: Option<String>,
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
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        self.judge(id, command, now)
    }

    fn evolve(&mut self, event: &Event) {
        self.take_in(event);
    }
}
