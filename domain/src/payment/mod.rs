//! A payment: money with one gateway, in numbered attempts. DOMAIN.md C.3.
//!
//! ```text
//!            ┌─────────────────────── declined ──────────► FAILED ── next attempt: SUPERSEDED ─┐
//!            │                                               │ late truth                      │
//!  PENDING / REQUIRES_ACTION ── authorized ─► AUTHORIZED ◄───┘                                 │
//!            │                                  │    │                                         │
//!            │                          capture │    │ give back                               │
//!            │                                  ▼    │                                         ▼
//!            │             CAPTURE_REQUESTED ───┼────┴──────────────────────────────► VOID_REQUESTED
//!            │                                  │ captured        void ▲                │      │
//!            │                                  ▼                      │       captured │      │ cancelled
//!            └──────── paid ─────────────► SUCCEEDED ◄── soft ─────────┼────────────────┤      ▼
//!                                               │ give back            │      give back │   VOIDED
//!                                               ▼                      │                │
//!                                         REFUND_PENDING ◄─────────────┴────────────────┘
//!                                               │
//!                                               ▼
//!                                 PARTIALLY_REFUNDED / REFUNDED
//! ```
//!
//! Each attempt has its own row, its own intent and its own keys at the gateway; the payment stands
//! where its latest attempt stands. **Belief only rises**: created < declined < authorized < captured
//! or cancelled < refunded. Nothing is called authorized, paid, voided or refunded before the gateway
//! said so: a void that was asked for is VOID_REQUESTED until then, since a payer can still be faster.
//!
//! `decide.rs` judges our own wishes, `begin.rs` those that begin an attempt, `words.rs` what a gateway
//! says, `back.rs` whatever sends money back; `evolve.rs` takes the facts in, `key.rs` names calls so
//! that a gateway does each once.
//!
//! A damage or an extra is a payment of its own, charged on the means of the reservation's
//! (`ChargeLater`): whatever becomes of it, the reservation and its money stay as they are.

mod back;
mod begin;
mod command;
mod decide;
mod event;
mod evolve;
mod key;
#[cfg(test)]
mod tests;
mod words;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

pub use command::{Command, Means, Refusal, Retry, Word};
pub use event::{Action, BackReason, Event, Flow, IgnoredWhy, Kind, LostWhy, Status, Via};
pub use key::{Operation, key};

use crate::{InspectionId, Money, PaymentId, RefundId, ReservationId, Timestamp};

/// How many gateway events a payment remembers. Older ones are told apart by what they say: belief
/// only rises, so that a word from the past changes nothing.
pub const SEEN: usize = 256;

/// One refund of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Refund {
    /// Its name.
    pub refund_id: RefundId,
    /// How much.
    pub amount: Money,
    /// Why.
    pub reason: BackReason,
    /// Which try of its key is the current one, from 1.
    pub r#try: u16,
    /// Whether the gateway refused that try: then, and only then, a next try may begin.
    pub refused: bool,
    /// Whether the gateway said that it is done.
    pub done: bool,
}

/// One attempt: its own intent and its own keys at the gateway.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Attempt {
    /// Its number, from 1.
    pub attempt: u16,
    /// Where it stands.
    pub status: Status,
    /// Which gateway.
    pub gateway: String,
    /// How the customer pays.
    pub flow: Flow,
    /// The key of its create call.
    pub key: String,
    /// The earlier intent on whose means it is charged without the customer, if it is.
    pub again_of: Option<String>,
    /// The gateway's name for it, once known.
    pub gateway_ref: Option<String>,
    /// Where the customer must go, if anywhere.
    pub redirect_url: Option<String>,
    /// What the gateway said when it authorized.
    pub approval_code: Option<String>,
    /// When the authorization lapses.
    pub authorization_expires_at: Option<Timestamp>,
    /// What was asked for.
    pub amount: Money,
    /// What is authorized.
    pub authorized: Money,
    /// What is captured.
    pub captured: Money,
    /// Whether captured money may stay; false when it was on its way back as it came.
    pub kept: bool,
    /// What went back.
    pub refunded: Money,
    /// What the customer's bank took back.
    pub disputed: Money,
    /// Why it is or was voided.
    pub void_reason: Option<BackReason>,
    /// Which try of the void's key is the current one, from 1; 0 before any.
    pub void_try: u16,
    /// Whether the gateway refused that try.
    pub void_refused: bool,
    /// Which try of the capture's key is the current one, from 1; 0 before any.
    pub capture_try: u16,
    /// Whether the gateway refused that try.
    pub capture_refused: bool,
    /// Its refunds.
    pub refunds: Vec<Refund>,
    /// Why the gateway declined, if it did.
    pub decline: Option<(String, Option<String>, bool)>,
}

impl Attempt {
    /// Captured money that is neither back nor on its way back.
    pub fn left(&self) -> Money {
        let asked = self.refunds.iter().map(|refund| refund.amount.amount_minor);
        let gone = asked.fold(self.disputed.amount_minor, i64::saturating_add);
        let left = self.captured.amount_minor.saturating_sub(gone).max(0);
        Money::new(left, self.amount.currency)
    }

    /// Whether the gateway said that it is paid, whatever became of the money since.
    pub fn is_captured(&self) -> bool {
        match self.status {
            Status::Succeeded
            | Status::RefundPending
            | Status::PartiallyRefunded
            | Status::Refunded
            | Status::Disputed => true,
            Status::None
            | Status::Pending
            | Status::RequiresAction
            | Status::Authorized
            | Status::CaptureRequested
            | Status::Failed
            | Status::VoidRequested
            | Status::Voided => false,
        }
    }

    /// Its refunds that the gateway has not yet confirmed.
    pub fn pending_refunds(&self) -> impl Iterator<Item = &Refund> {
        self.refunds.iter().filter(|refund| !refund.done)
    }

    /// One of its refunds.
    pub fn refund(&self, refund_id: RefundId) -> Option<&Refund> {
        self.refunds.iter().find(|refund| refund.refund_id == refund_id)
    }
}

/// All that is known of a payment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct State {
    /// What it is for.
    pub reservation_id: Option<ReservationId>,
    /// What kind of charge.
    pub kind: Kind,
    /// Of which inspection, when a damage is charged.
    pub inspection_id: Option<InspectionId>,
    /// Part of its keys.
    pub tenant: String,
    /// Attempts, oldest first; number n stands at n − 1.
    pub attempts: Vec<Attempt>,
    /// Set when no attempt may begin any more.
    pub closed: Option<BackReason>,
    /// Whether lost money let a new attempt start.
    pub money_lost: bool,
    /// Gateway events that were applied or ignored, the last [`SEEN`] of them, oldest first.
    pub seen: VecDeque<String>,
    /// How many gateway words were recorded as changing nothing.
    pub ignored: u64,
    /// The version that customers see: 1 at first, then one more each time that the gateway's word
    /// changed where the money stands (R6).
    pub version: u32,
}

impl State {
    /// Where it stands: where its latest attempt stands.
    pub fn status(&self) -> Status {
        self.current().map_or(Status::None, |attempt| attempt.status)
    }

    /// Its latest attempt.
    pub fn current(&self) -> Option<&Attempt> {
        self.attempts.last()
    }

    /// The attempt of that number, from 1.
    pub fn attempt(&self, number: u16) -> Option<&Attempt> {
        self.attempts.get(usize::from(number).checked_sub(1)?)
    }

    /// The latest attempt while the customer may still be paying it.
    pub fn open_attempt(&self) -> Option<&Attempt> {
        self.current()
            .filter(|attempt| matches!(attempt.status, Status::Pending | Status::RequiresAction))
    }

    /// By what it was paid, or authorized: the latest attempt that was, whatever became of it since.
    pub fn means(&self) -> Option<Means> {
        let paid = |row: &&Attempt| row.approval_code.is_some() || row.is_captured();
        let row = self.attempts.iter().rev().find(paid)?;
        let gateway_ref = row.gateway_ref.clone()?;
        Some(Means { gateway: row.gateway.clone(), gateway_ref })
    }

    /// What is asked for.
    pub fn amount(&self) -> Option<Money> {
        self.current().map(|attempt| attempt.amount)
    }

    /// The gateway of the latest attempt.
    pub fn gateway(&self) -> Option<&str> {
        self.current().map(|attempt| attempt.gateway.as_str())
    }

    /// What is captured over all attempts.
    pub fn captured(&self) -> Option<Money> {
        self.total(|attempt| attempt.captured)
    }

    /// What went back over all attempts.
    pub fn refunded(&self) -> Option<Money> {
        self.total(|attempt| attempt.refunded)
    }

    fn total(&self, part: fn(&Attempt) -> Money) -> Option<Money> {
        let currency = self.amount()?.currency;
        let minor = self.attempts.iter().map(|attempt| part(attempt).amount_minor);
        Some(Money::new(minor.fold(0, i64::saturating_add), currency))
    }

    fn last(&self) -> u16 {
        self.current().map_or(0, |attempt| attempt.attempt)
    }
}

impl crate::Decider for State {
    const CATEGORY: &'static str = "payment";
    type Id = PaymentId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(
        &self,
        id: &PaymentId,
        command: &Command,
        _: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        decide::decide(self, id, command)
    }

    fn evolve(&mut self, event: &Event) {
        evolve::evolve(self, event);
    }

    fn version(&self) -> u32 {
        self.version
    }
}
