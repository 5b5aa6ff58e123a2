//! A reservation: its life cycle, its deadline, its price, and the state of the saga.
//!
//! ```text
//!              RequestPayment            ConfirmPaid            StartRental       Complete
//!   HOLD ──────────────────► AWAITING_PAYMENT ─────► CONFIRMED ──────────► IN_USE ──────► COMPLETED
//!    │                         │    │                 ▲     │
//!    │ deadline       deadline │    │ declined        │     │ Cancel, oversold, money lost
//!    ▼                         │    ▼                 │     ▼
//!   HOLD_EXPIRED ◄─────────────┘  HOLD_FAILED         │   CANCELLED ◄── Cancel, from any hold
//!    │  ▲                          │  ▲               │
//!    │  └───── something is gone ──┼──┤               │
//!    └────── late money ───────────┴──► REACQUIRING ──┘ everything could be taken again
//! ```
//!
//! A rental whose period goes by without anybody coming for it ends as COMPLETED, too (`NoShow`).
//!
//! What each command does in each state is DOMAIN.md C.2, cell by cell: `decide` sends a command to
//! the file that knows it, and that file asks for the status by name. Deadlines are judged when the
//! command comes, so a late timer lets nobody through.

mod command;
mod decide;
mod event;
mod evolve;
mod late;
mod paying;
mod placing;
mod rental;
#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "what a test builds is well formed, and it names only what it looks for"
)]
mod scenarios;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub use command::{Command, InvalidLines, Reacquired, Refusal, StartedBefore};
pub use event::{
    CancelReason, CancelledBy, Capture, Channel, Claim, Event, ExtensionReason, HoldReleaseReason,
    LatePayment, LateReason, Line, LineKind, OnDecline, Policies, Status,
};
pub use placing::{LONGEST_HOLD, MOST_LINES};

use crate::{Epoch, Money, PaymentId, ReservationId, Timestamp, UserId, VehicleId};

/// One attempt at paying, as the reservation remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Attempt {
    /// The charge.
    pub payment_id: PaymentId,
    /// The attempt's number, from 1.
    pub attempt: u16,
}

/// All that is known of a reservation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Where it stands.
    pub status: Status,
    /// Whose it is.
    pub user_id: Option<UserId>,
    /// What it is about.
    #[serde(with = "crate::kept::as_stored")]
    pub lines: Vec<Line>,
    /// The sum of its lines.
    pub total: Option<Money>,
    /// What it has claimed, in the order of taking.
    #[serde(with = "crate::kept::as_stored")]
    pub claims: Vec<Claim>,
    /// What declined, late and authorized money does.
    #[serde(with = "crate::kept::as_stored")]
    pub policies: Policies,
    /// The deadline of a hold; none once confirmed or ended.
    pub hold_expires_at: Option<Timestamp>,
    /// The last deadline that its hold had; kept when the hold ends, to say when it did.
    pub last_deadline: Timestamp,
    /// The deadline that no extension passes.
    pub absolute_deadline: Timestamp,
    /// Whether the one extension at the start of a payment was used.
    pub extension_used: bool,
    /// How often its claims were taken.
    pub claim_epoch: Epoch,
    /// Every attempt that was asked for, oldest first.
    pub payments: Vec<Attempt>,
    /// Whether the last attempt is still open.
    pub payment_open: bool,
    /// The attempt that confirmed it.
    pub paid_by: Option<Attempt>,
    /// Attempts that were decided late: a repeat of them is nothing new.
    pub decided_late: BTreeSet<Attempt>,
    /// Attempts whose money was gone before they decided anything: they never confirm.
    pub lost: BTreeSet<Attempt>,
    /// The late attempt for which everything is being taken again.
    pub late: Option<Attempt>,
    /// Where it goes back to when taking again fails (REACQUIRING).
    pub ended_as: Option<Status>,
    /// Whether confirmed claims were found gone and are being taken again.
    pub claims_lost: bool,
    /// Whether every claim is committed.
    pub finalized: bool,
    /// The vehicle of a rental: claimed by the hold, or assigned when the period begins.
    pub vehicle_id: Option<VehicleId>,
    /// Where the rental's odometer stood at its start, in metres.
    pub odometer_start_m: Option<u64>,
    /// How full the tank was at its start, in percent.
    pub fuel_start_pct: Option<u8>,
    /// When the rental began.
    pub rental_started_at: Option<Timestamp>,
    /// The version that customers see: R6.
    pub version: u32,
}

impl State {
    /// The state of the saga, as S2 names it.
    pub fn saga_state(&self) -> &'static str {
        match self.status {
            Status::None => "NONE",
            Status::Hold if self.has_seats() => "SEATS_LOCKED",
            Status::Hold => "HELD",
            Status::AwaitingPayment => "PAYMENT_PENDING",
            Status::Reacquiring => "FINALIZING",
            Status::Confirmed if self.finalized => "DONE",
            Status::Confirmed => "PAYMENT_COMPLETED",
            Status::InUse | Status::Completed => "DONE",
            Status::HoldFailed | Status::HoldExpired | Status::Cancelled => "COMPENSATED",
        }
    }

    /// Whether it was ever confirmed; what was sold then has to come back when it is cancelled.
    pub fn was_confirmed(&self) -> bool {
        self.paid_by.is_some()
    }

    /// Its line that is a vehicle, if there is one.
    pub fn vehicle_line(&self) -> Option<&Line> {
        self.lines.iter().find(|line| line.kind == LineKind::Vehicle)
    }

    /// Whether it has claimed this very vehicle; one that is assigned to a period later is not claimed
    /// by the hold.
    pub fn has_claimed(&self, vehicle: &VehicleId) -> bool {
        self.claims.iter().any(|claim| match claim {
            Claim::Vehicle { r#ref } => r#ref == vehicle,
            Claim::Limit { .. } | Claim::Inventory { .. } | Claim::SeatMap { .. } => false,
        })
    }

    fn has_seats(&self) -> bool {
        self.lines.iter().any(|line| line.kind == LineKind::Seat)
    }
}

impl crate::Decider for State {
    const CATEGORY: &'static str = "reservation";
    type Id = ReservationId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(
        &self,
        id: &ReservationId,
        command: &Command,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        self.judge(id, command, now)
    }

    fn evolve(&mut self, event: &Event) {
        self.take_in(event);
    }

    fn version(&self) -> u32 {
        self.version
    }
}
