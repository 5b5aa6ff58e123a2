//! What the vehicle's answers mean: the outcome of the command that they name, or nothing.
//!
//! | the command is | UNLOCKED to an unlock | LOCKED to a lock | JAMMED, REJECTED, EXPIRED |
//! |---|---|---|---|
//! | under way | Unlocked | Locked | failed |
//! | ended so | Duplicate | Duplicate | Duplicate |
//! | failed | late: accepted or compensated (D31) | Locked, late, if it was the last command | Stale |
//! | not known | UnknownCommand | UnknownCommand | UnknownCommand |

use std::time::Duration;

use uuid::Uuid;

use super::command::{Answer, Refusal};
use super::event::{CommandKind, Event, FailCode, IgnoredWhy, LockReason};
use super::{Bolt, CommandOutcome, MOST_METRES, State, UnderWay};
use crate::{ReservationId, Timestamp, VehicleId};

/// How many answers to commands that nobody gave, or that are not signed, are recorded in a minute:
/// whoever forges them must not fill the log.
const FOREIGN_A_MINUTE: usize = 10;
const MINUTE: Duration = Duration::from_secs(60);
/// How much of a foreign status is kept.
const STATUS_LEN: usize = 32;

/// An answer.
pub(super) struct Told {
    pub(super) command_id: Uuid,
    pub(super) answer: Answer,
    pub(super) device_time: Timestamp,
    pub(super) odometer_m: Option<u64>,
    pub(super) fuel_pct: Option<u8>,
    pub(super) grace: Duration,
}

impl State {
    pub(super) fn answer(
        &self,
        id: &VehicleId,
        kind: CommandKind,
        told: &Told,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        let ignore = |why| {
            let status = told.answer.name();
            Ok(self.ignored(Some(told.command_id), status, why, now))
        };
        let current = self.command.as_ref().filter(|it| it.command_id == told.command_id);
        if let Some(command) = current.filter(|command| command.kind == kind) {
            return match (kind, told.answer) {
                (CommandKind::Unlock, Answer::Unlocked) => Ok(self.opened(id, command, told, now)),
                (CommandKind::Lock, Answer::Locked) => Ok(self.closed(id, command, told, now)),
                (CommandKind::Unlock, Answer::Locked) | (CommandKind::Lock, Answer::Unlocked) => {
                    ignore(IgnoredWhy::UnknownCommand)
                }
                (_, Answer::Jammed) => Ok(self.failed(id, command, FailCode::Jammed, now)),
                (_, Answer::Rejected) => Ok(self.failed(id, command, FailCode::Rejected, now)),
                (_, Answer::Expired) => Ok(self.failed(id, command, FailCode::Expired, now)),
            };
        }
        let ended = self.ended_command(&told.command_id).filter(|it| it.command.kind == kind);
        let Some(ended) = ended else { return ignore(IgnoredWhy::UnknownCommand) };
        match (ended.outcome, told.answer) {
            (CommandOutcome::Unlocked { .. }, Answer::Unlocked)
            | (CommandOutcome::Locked { .. }, Answer::Locked)
            | (CommandOutcome::Failed(FailCode::Jammed), Answer::Jammed)
            | (CommandOutcome::Failed(FailCode::Rejected), Answer::Rejected)
            | (CommandOutcome::Failed(FailCode::Expired), Answer::Expired) => {
                ignore(IgnoredWhy::Duplicate)
            }
            (CommandOutcome::Failed(_), Answer::Unlocked) if kind == CommandKind::Unlock => {
                Ok(self.opened(id, &ended.command, told, now))
            }
            // The last thing that it was told to do: whatever happened, it is closed now.
            (CommandOutcome::Failed(_), Answer::Locked)
                if kind == CommandKind::Lock && ended.command.seq == self.seq =>
            {
                Ok(self.closed(id, &ended.command, told, now))
            }
            (
                CommandOutcome::Unlocked { .. }
                | CommandOutcome::Locked { .. }
                | CommandOutcome::Failed(_),
                Answer::Unlocked
                | Answer::Locked
                | Answer::Jammed
                | Answer::Rejected
                | Answer::Expired,
            ) => ignore(IgnoredWhy::Stale),
        }
    }

    /// It says that it is open. In time, or late within the grace while the reservation still entitles,
    /// the customer has it. Else nobody may have it open, and it is locked again (D31).
    fn opened(
        &self,
        id: &VehicleId,
        command: &UnderWay,
        told: &Told,
        now: Timestamp,
    ) -> Vec<Event> {
        let Some(reservation_id) = command.reservation_id else { return vec![] };
        let is_current = self.command.as_ref() == Some(command);
        let in_time = now < command.deadline.plus(told.grace);
        let its_own = self.held_by(&reservation_id).is_some();
        let is_open = self.stands_open(command);
        let accepted = !self.locked_since(command.seq)
            && ((in_time && self.entitles(&reservation_id, now)) || (its_own && is_open));
        if !accepted && !is_current && is_open && !its_own {
            let (why, status) = (IgnoredWhy::NotEntitled, told.answer.name());
            return self.ignored(Some(told.command_id), status, why, now);
        }
        let told_m = told.odometer_m.unwrap_or(0).min(MOST_METRES);
        let known = self.fuel_pct.unwrap_or(0);
        let mut events = vec![Event::Unlocked {
            command_id: command.command_id,
            reservation_id,
            odometer_m: self.odometer_m.max(told_m),
            fuel_pct: told.fuel_pct.filter(|fuel| *fuel <= 100).unwrap_or(known),
            device_time: told.device_time,
            latency_ms: latency(command, now),
            late: !is_current || now >= command.deadline,
            accepted,
        }];
        if accepted {
            return events;
        }
        events.push(Event::LateUnlockCompensated { command_id: command.command_id });
        // While another command is under way the lock waits for its end: it is owed.
        if is_current || self.command.is_none() {
            let reason = LockReason::LateUnlock;
            events.push(self.own_lock(id, Some(reservation_id), reason, now));
        }
        events
    }

    /// It says that it is closed.
    fn closed(
        &self,
        id: &VehicleId,
        command: &UnderWay,
        told: &Told,
        now: Timestamp,
    ) -> Vec<Event> {
        let is_current = self.command.as_ref() == Some(command);
        let mut events = vec![Event::Locked {
            command_id: command.command_id,
            reservation_id: command.reservation_id,
            device_time: told.device_time,
            latency_ms: latency(command, now),
            late: !is_current || now >= command.deadline,
        }];
        events.extend(self.owed_lock(id, command.reservation_id, now));
        events
    }

    /// Kept for the audit: once for each command and why, and of what is foreign only some (V3, D35).
    pub(super) fn ignored(
        &self,
        command_id: Option<Uuid>,
        status: &str,
        why: IgnoredWhy,
        now: Timestamp,
    ) -> Vec<Event> {
        let lately = |at: Timestamp| now.since(at) < MINUTE;
        let known = self.ignored.iter().any(|it| {
            it.command_id == command_id && it.why == why && (command_id.is_some() || lately(it.at))
        });
        let foreign = |why| match why {
            IgnoredWhy::UnknownCommand | IgnoredWhy::BadMac => true,
            IgnoredWhy::Duplicate | IgnoredWhy::Stale | IgnoredWhy::NotEntitled => false,
        };
        let of_late = self.ignored.iter().filter(|it| foreign(it.why) && lately(it.at)).count();
        if known || (foreign(why) && of_late >= FOREIGN_A_MINUTE) {
            return vec![];
        }
        let status = status.chars().filter(|c| !c.is_control()).take(STATUS_LEN).collect();
        vec![Event::AnswerIgnored { command_id, status, why, at: now }]
    }

    /// Whether that reservation's customer may have it open now.
    fn entitles(&self, reservation_id: &ReservationId, now: Timestamp) -> bool {
        self.held_by(reservation_id).is_some_and(|claim| {
            claim.is_committed() && claim.what.period.is_none_or(|period| period.from <= now)
        })
    }

    /// Whether somebody who may has it open, or is opening it by another command than `this`.
    fn stands_open(&self, this: &UnderWay) -> bool {
        let unlocking = self.command.as_ref().filter(|it| *it != this).is_some_and(|command| {
            let of = command.reservation_id.and_then(|id| self.held_by(&id));
            command.kind == CommandKind::Unlock && of.is_some()
        });
        unlocking || (self.trip.is_some() && self.bolt == Bolt::Unlocked)
    }

    /// Whether it was told to lock after that command: the two may have met it in either order.
    fn locked_since(&self, seq: u64) -> bool {
        let locks = |command: &UnderWay| command.kind == CommandKind::Lock && command.seq > seq;
        self.command.as_ref().is_some_and(locks)
            || self.ended.iter().any(|ended| locks(&ended.command))
    }
}

fn latency(command: &UnderWay, now: Timestamp) -> u64 {
    u64::try_from(now.since(command.requested_at).as_millis()).unwrap_or(u64::MAX)
}
