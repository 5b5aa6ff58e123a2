//! A payment: money with one gateway, in numbered attempts.

mod command;
mod event;

pub use command::{Command, Refusal, Retry, Word};
pub use event::{Action, BackReason, Event, Flow, IgnoredWhy, Kind, LostWhy, Status, Via};

use crate::{Money, PaymentId, RefundId, ReservationId, Timestamp};

/// One refund of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    /// Its name.
    pub refund_id: RefundId,
    /// How much.
    pub amount: Money,
    /// Why.
    pub reason: BackReason,
    /// Which try of its key is the current one, from 1.
    pub r#try: u16,
    /// Whether the gateway said that it is done.
    pub done: bool,
}

/// One attempt: its own intent and its own keys at the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// What went back.
    pub refunded: Money,
    /// Why it is or was voided.
    pub void_reason: Option<BackReason>,
    /// Which try of the void's key is the current one, from 1; 0 before any.
    pub void_try: u16,
    /// Which try of the capture's key is the current one, from 1; 0 before any.
    pub capture_try: u16,
    /// Its refunds.
    pub refunds: Vec<Refund>,
    /// Why the gateway declined, if it did.
    pub decline: Option<(String, Option<String>, bool)>,
}

/// All that is known of a payment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// What it is for.
    pub reservation_id: Option<ReservationId>,
    /// What kind of charge.
    pub kind: Kind,
    /// Part of its keys.
    pub tenant: String,
    /// Attempts, oldest first; number n stands at n − 1.
    pub attempts: Vec<Attempt>,
    /// Set when no attempt may begin any more.
    pub closed: Option<BackReason>,
    /// Whether lost money let a new attempt start.
    pub money_lost: bool,
    /// Gateway events that were applied or ignored.
    pub seen: std::collections::BTreeSet<String>,
    /// The version that customers see.
    pub version: u32,
}

impl crate::Decider for State {
    const CATEGORY: &'static str = "payment";
    type Id = crate::PaymentId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(
        &self,
        _: &crate::PaymentId,
        _: &Command,
        _: crate::Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        unimplemented!("to be written next")
    }

    fn evolve(&mut self, _: &Event) {
        unimplemented!("to be written next")
    }
}
