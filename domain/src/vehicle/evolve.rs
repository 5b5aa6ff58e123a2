//! What each fact does to the state. Total: a fact has happened, whatever the state looks like.

use std::collections::VecDeque;

use super::event::{Event, FailCode, LockReason};
use super::{
    Bolt, CommandKind, CommandOutcome, Contact, ENDED_KEPT, Ended, Holder, Ignored, Registration,
    Sample, State, Trip, UnderWay,
};
use crate::{ReservationId, Timestamp};

/// How many ignored answers are remembered.
const IGNORED_KEPT: usize = 64;

impl State {
    pub(super) fn take_in(&mut self, event: &Event) {
        match event {
            Event::Registered { vin_ref, type_pool, odometer_m, fuel_pct } => {
                let (vin_ref, type_pool) = (vin_ref.clone(), type_pool.clone());
                self.registration = Some(Registration { vin_ref, type_pool });
                self.odometer_m = self.odometer_m.max(*odometer_m);
                self.fuel_pct = *fuel_pct;
            }
            Event::Reserved {
                reservation_id,
                user_id,
                epoch,
                expires_at,
                attempt,
                period,
                confirmed,
            } => {
                let what = Holder { user_id: user_id.clone(), period: *period };
                if *confirmed {
                    self.claims.retaken(*reservation_id, what, *epoch);
                } else {
                    self.claims.held(*reservation_id, what, *expires_at, *epoch, *attempt);
                }
            }
            Event::ReservationExtended { reservation_id, expires_at, epoch, attempt } => {
                self.claims.raised(*reservation_id, *expires_at, *epoch, *attempt);
            }
            Event::ReservationConfirmed { reservation_id, epoch } => {
                self.claims.committed(*reservation_id, *epoch);
            }
            Event::AttemptWithdrawn { reservation_id, attempt } => {
                self.claims.withdrawn(reservation_id, attempt);
            }
            Event::ReservationReleased { reservation_id, reason: _, epoch, freed } => {
                if *freed && self.claims.freed(reservation_id).is_some() {
                    self.trip = None;
                }
                if let Some(epoch) = epoch {
                    self.claims.fenced(*reservation_id, *epoch);
                }
                self.owe_what_is_open();
            }
            Event::UnlockRequested {
                command_id,
                reservation_id,
                user_id: _,
                seq,
                at,
                deadline,
                attempt,
            } => self.sent(UnderWay {
                command_id: *command_id,
                kind: CommandKind::Unlock,
                reservation_id: Some(*reservation_id),
                seq: *seq,
                attempt: *attempt,
                requested_at: *at,
                deadline: *deadline,
                reason: None,
            }),
            Event::LockRequested {
                command_id,
                reservation_id,
                seq,
                at,
                deadline,
                attempt,
                reason,
            } => {
                if *attempt == 1 {
                    self.owed = None;
                }
                self.sent(UnderWay {
                    command_id: *command_id,
                    kind: CommandKind::Lock,
                    reservation_id: *reservation_id,
                    seq: *seq,
                    attempt: *attempt,
                    requested_at: *at,
                    deadline: *deadline,
                    reason: Some(*reason),
                });
            }
            Event::Unlocked {
                command_id,
                reservation_id,
                odometer_m,
                fuel_pct: _,
                device_time: _,
                latency_ms: _,
                late,
                accepted,
            } => {
                let outcome = CommandOutcome::Unlocked { late: *late, accepted: *accepted };
                self.answered(command_id, outcome);
                self.bolt = Bolt::Unlocked;
                self.doors = None;
                self.odometer_m = self.odometer_m.max(*odometer_m);
                if *accepted && self.trip.is_none() && self.held_by(reservation_id).is_some() {
                    self.trip = Some(Trip { started: false, odometer_m: *odometer_m });
                }
            }
            Event::UnlockFailed { command_id, reservation_id: _, code } => {
                self.answered(command_id, CommandOutcome::Failed(*code));
                self.unsure_after(*code);
            }
            Event::Locked { command_id, .. } => {
                let late = matches!(event, Event::Locked { late: true, .. });
                self.answered(command_id, CommandOutcome::Locked { late });
                // A late unlock came in between: nobody knows which of the two was first.
                self.bolt = if self.owed.is_some() { Bolt::Unknown } else { Bolt::Locked };
                self.doors = None;
                self.lock_failures = 0;
            }
            Event::LockFailed { command_id, reservation_id: _, code } => {
                self.answered(command_id, CommandOutcome::Failed(*code));
                self.unsure_after(*code);
                self.lock_failures = self.lock_failures.saturating_add(1);
            }
            Event::AnswerIgnored { command_id, status: _, why, at } => {
                let ignored = Ignored { command_id: *command_id, why: *why, at: *at };
                push_bounded(&mut self.ignored, ignored, IGNORED_KEPT);
                self.claims.seen(*at);
            }
            Event::LateUnlockCompensated { command_id: _ } => {
                self.owed = Some(LockReason::LateUnlock);
            }
            Event::ConnectionLost { last_seen } => {
                self.contact = Contact::Offline;
                self.seen_at(*last_seen);
            }
            Event::ConnectionRestored { boot } => {
                self.contact = Contact::Online;
                self.boot = *boot;
            }
            Event::TripStarted { reservation_id: _, odometer_m, fuel_pct: _ } => {
                self.trip = Some(Trip { started: true, odometer_m: *odometer_m });
            }
            Event::TripEnded { reservation_id: _, odometer_m, fuel_pct, distance_m: _ } => {
                self.trip = None;
                self.odometer_m = self.odometer_m.max(*odometer_m);
                self.fuel_pct = Some(*fuel_pct);
            }
            Event::TelemetrySampled {
                boot,
                seq,
                odometer_m,
                fuel_pct,
                is_locked,
                latitude_udeg: _,
                longitude_udeg: _,
                speed_kmh: _,
                device_time: _,
                at,
            } => {
                let before = self.sample.take().unwrap_or_default();
                self.odometer_m = self.odometer_m.max(odometer_m.unwrap_or(0));
                self.fuel_pct = fuel_pct.or(self.fuel_pct);
                self.doors = is_locked.or(self.doors);
                self.boot = *boot;
                self.sample = Some(Sample {
                    boot: *boot,
                    seq: *seq,
                    at: *at,
                    odometer_m: odometer_m.or(before.odometer_m),
                    fuel_pct: fuel_pct.or(before.fuel_pct),
                    is_locked: is_locked.or(before.is_locked),
                });
                if self.contact == Contact::Never {
                    self.contact = Contact::Online;
                }
                self.seen_at(*at);
                self.claims.seen(*at);
            }
            Event::OdometerAnomaly { known_m: _, told_m, at: _ } => self.anomaly = Some(*told_m),
            Event::OutOfService { reason } => self.out_of_service = Some(reason.clone()),
            Event::ReturnedToService => self.out_of_service = None,
        }
    }

    fn seen_at(&mut self, at: Timestamp) {
        self.last_seen = Some(self.last_seen.map_or(at, |known| known.max(at)));
    }

    /// A command is on its way; a further attempt of the same keeps the moment of the first.
    fn sent(&mut self, command: UnderWay) {
        self.claims.seen(command.requested_at);
        self.seq = self.seq.max(command.seq);
        let first = self.command.take().filter(|it| it.command_id == command.command_id);
        let requested_at = first.map_or(command.requested_at, |first| first.requested_at);
        self.command = Some(UnderWay { requested_at, ..command });
    }

    /// It has ended, or ended otherwise than was thought.
    fn answered(&mut self, command_id: &uuid::Uuid, outcome: CommandOutcome) {
        if let Some(command) = self.command.take_if(|command| command.command_id == *command_id) {
            push_bounded(&mut self.ended, Ended { command, outcome }, ENDED_KEPT);
        } else if let Some(ended) =
            self.ended.iter_mut().rev().find(|ended| ended.command.command_id == *command_id)
        {
            ended.outcome = outcome;
        }
    }

    /// After silence or a stuck lock nobody knows; a vehicle that says no has done nothing.
    fn unsure_after(&mut self, code: FailCode) {
        match code {
            FailCode::Timeout | FailCode::Offline | FailCode::Jammed => self.bolt = Bolt::Unknown,
            FailCode::Rejected | FailCode::Expired => {}
        }
    }

    /// Somebody left while a command was under way, whose outcome may leave the vehicle open.
    fn owe_what_is_open(&mut self) {
        let unlocking =
            self.command.as_ref().is_some_and(|command| command.kind == CommandKind::Unlock);
        let still = |of: Option<ReservationId>| of.is_some_and(|id| self.held_by(&id).is_some());
        if unlocking && !still(self.command.as_ref().and_then(|command| command.reservation_id)) {
            self.owed = self.owed.or(Some(LockReason::Return));
        }
    }
}

fn push_bounded<T>(queue: &mut VecDeque<T>, item: T, most: usize) {
    if queue.len() == most {
        queue.pop_front();
    }
    queue.push_back(item);
}
