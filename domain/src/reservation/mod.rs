//! A reservation: its life cycle, its deadline, its price, and the state of the saga.

mod command;
mod event;

use std::collections::BTreeSet;

pub use command::{Command, InvalidLines, Reacquired, Refusal, StartedBefore};
pub use event::{
    CancelReason, CancelledBy, Capture, Channel, Claim, Event, ExtensionReason, HoldReleaseReason,
    LatePayment, LateReason, Line, LineKind, OnDecline, Policies, Status,
};

use crate::{Epoch, Money, PaymentId, ReservationId, Timestamp, UserId, VehicleId};

/// One attempt at paying, as the reservation remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attempt {
    /// The charge.
    pub payment_id: PaymentId,
    /// The attempt's number, from 1.
    pub attempt: u16,
}

/// All that is known of a reservation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Where it stands.
    pub status: Status,
    /// Whose it is.
    pub user_id: Option<UserId>,
    /// What it is about.
    pub lines: Vec<Line>,
    /// The sum of its lines.
    pub total: Option<Money>,
    /// What it has claimed, in the order of taking.
    pub claims: Vec<Claim>,
    /// What declined, late and authorized money does.
    pub policies: Policies,
    /// The deadline of a hold; none once confirmed or ended.
    pub hold_expires_at: Option<Timestamp>,
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
    /// The late attempt for which everything is being taken again.
    pub late: Option<Attempt>,
    /// Where it goes back to when taking again fails (REACQUIRING).
    pub ended_as: Option<Status>,
    /// Whether confirmed claims were found gone and are being taken again.
    pub claims_lost: bool,
    /// Whether every claim is committed.
    pub finalized: bool,
    /// The vehicle of a rental.
    pub vehicle_id: Option<VehicleId>,
    /// Where the rental's odometer stood at its start, in metres.
    pub odometer_start_m: Option<u64>,
    /// When the rental began.
    pub rental_started_at: Option<Timestamp>,
    /// The version that customers see: R6.
    pub version: u32,
}

impl crate::Decider for State {
    const CATEGORY: &'static str = "reservation";
    type Id = crate::ReservationId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(
        &self,
        _: &crate::ReservationId,
        _: &Command,
        _: crate::Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        unimplemented!("to be written next")
    }

    fn evolve(&mut self, _: &Event) {
        unimplemented!("to be written next")
    }
}
