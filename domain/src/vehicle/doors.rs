//! Commands to the vehicle's lock, and the trip that goes with it.

use uuid::Uuid;

use super::command::Refusal;
use super::decide::percent;
use super::event::{CommandKind, Event, FailCode, LockReason, ReleaseReason};
use super::{LOCK_WITHIN, MOST_METRES, State, UnderWay, own_lock};
use crate::claim::Claim;
use crate::{By, ReservationId, Timestamp, VehicleId};

/// By how much a customer's reading may fall short of what is known: people read whole kilometres.
const ROUNDING_M: u64 = 1_000;

impl State {
    /// S1-10, D28, D29: only for the customer of a confirmed reservation whose time has come, and only
    /// if the vehicle can be reached.
    pub(super) fn unlock(
        &self,
        command_id: Uuid,
        reservation_id: ReservationId,
        by: &By,
        deadline: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        let claim = self.held_by(&reservation_id).ok_or(Refusal::NotFound)?;
        if !by.may_act_for(&claim.what.user_id) {
            return Err(Refusal::NotFound);
        }
        if !claim.is_committed() {
            return Err(Refusal::NotConfirmed);
        }
        if self.is_known(command_id) {
            return Ok(vec![]);
        }
        if self.trip.is_none() {
            if claim.what.period.is_some_and(|period| now < period.from) {
                return Err(Refusal::NotStarted);
            }
            if claim.what.period.is_some_and(|period| period.until <= now) {
                return Err(Refusal::Completed);
            }
            if self.out_of_service.is_some() && matches!(by, By::Owner(_)) {
                return Err(Refusal::Unavailable);
            }
        }
        match &self.command {
            Some(UnderWay { kind: CommandKind::Unlock, reservation_id: of, .. })
                if *of == Some(reservation_id) =>
            {
                return Ok(vec![]);
            }
            Some(UnderWay { command_id, .. }) => {
                return Err(Refusal::UnlockInProgress { command_id: *command_id });
            }
            None => {}
        }
        self.reachable(deadline, now)?;
        Ok(vec![Event::UnlockRequested {
            command_id,
            reservation_id,
            user_id: Some(claim.what.user_id.clone()),
            seq: self.next_seq(),
            at: now,
            deadline,
            attempt: 1,
        }])
    }

    /// Its customer, an operator, or a process.
    pub(super) fn lock_it(
        &self,
        command_id: Uuid,
        reservation_id: Option<ReservationId>,
        by: &By,
        deadline: Timestamp,
        reason: LockReason,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        match reservation_id {
            Some(of) => {
                let claim = self.held_by(&of).ok_or(Refusal::NotFound)?;
                if !by.may_act_for(&claim.what.user_id) {
                    return Err(Refusal::NotFound);
                }
                if !claim.is_committed() {
                    return Err(Refusal::NotConfirmed);
                }
            }
            None => match by {
                By::Owner(_) => return Err(Refusal::NotFound),
                By::Operator(_) | By::System => {}
            },
        }
        if self.is_known(command_id) {
            return Ok(vec![]);
        }
        match &self.command {
            Some(UnderWay { kind: CommandKind::Lock, .. }) => return Ok(vec![]),
            Some(UnderWay { kind: CommandKind::Unlock, command_id, .. }) => {
                return Err(Refusal::UnlockInProgress { command_id: *command_id });
            }
            None => {}
        }
        self.reachable(deadline, now)?;
        Ok(vec![self.lock_request(command_id, reservation_id, reason, now, deadline)])
    }

    /// Locks what nobody may have open; asked again and again by the unlock process.
    pub(super) fn secure(&self, command_id: Uuid, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        if !self.needs_lock() || self.command.is_some() || self.is_known(command_id) {
            return Ok(vec![]);
        }
        let deadline = now.plus(LOCK_WITHIN);
        self.reachable(deadline, now)?;
        Ok(vec![self.lock_request(command_id, None, LockReason::Secure, now, deadline)])
    }

    /// The next attempt, under the same name and number: the vehicle acts on it once.
    pub(super) fn retry(&self, command_id: Uuid, attempt: u8, now: Timestamp) -> Vec<Event> {
        let Some(command) = self.command.as_ref().filter(|it| it.command_id == command_id) else {
            return vec![];
        };
        if attempt != command.attempt.saturating_add(1) || command.deadline <= now {
            return vec![];
        }
        let (seq, deadline, at) = (command.seq, command.deadline, now);
        vec![match (command.kind, command.reservation_id) {
            (CommandKind::Unlock, Some(reservation_id)) => Event::UnlockRequested {
                command_id,
                reservation_id,
                user_id: self.held_by(&reservation_id).map(|claim| claim.what.user_id.clone()),
                seq,
                at,
                deadline,
                attempt,
            },
            (CommandKind::Unlock, None) => return vec![],
            (CommandKind::Lock, reservation_id) => Event::LockRequested {
                command_id,
                reservation_id,
                seq,
                at,
                deadline,
                attempt,
                reason: command.reason.unwrap_or(LockReason::Secure),
            },
        }]
    }

    /// Silence until the deadline. Nobody knows whether the vehicle has obeyed.
    pub(super) fn timed_out(
        &self,
        id: &VehicleId,
        command_id: Uuid,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        let Some(command) = self.command.as_ref().filter(|it| it.command_id == command_id) else {
            return Ok(vec![]);
        };
        if now < command.deadline {
            return Err(Refusal::NotDue { until: command.deadline });
        }
        let code = if self.is_offline() { FailCode::Offline } else { FailCode::Timeout };
        Ok(self.failed(id, command, code, now))
    }

    /// Nothing came of the command under way; a lock that waits for its end follows.
    pub(super) fn failed(
        &self,
        id: &VehicleId,
        command: &UnderWay,
        code: FailCode,
        now: Timestamp,
    ) -> Vec<Event> {
        let UnderWay { command_id, reservation_id, .. } = *command;
        let mut events = vec![match (command.kind, reservation_id) {
            (CommandKind::Unlock, Some(reservation_id)) => {
                Event::UnlockFailed { command_id, reservation_id, code }
            }
            (CommandKind::Unlock, None) | (CommandKind::Lock, _) => {
                Event::LockFailed { command_id, reservation_id, code }
            }
        }];
        events.extend(self.owed_lock(id, reservation_id, now));
        events
    }

    /// The lock that waits for the end of the command under way, now that it ends.
    pub(super) fn owed_lock(
        &self,
        id: &VehicleId,
        reservation_id: Option<ReservationId>,
        now: Timestamp,
    ) -> Option<Event> {
        self.owed.map(|reason| self.own_lock(id, reservation_id, reason, now))
    }

    /// A lock by the vehicle's own rules, unless a command is under way: then the lock is owed.
    pub(super) fn own_lock_now(
        &self,
        id: &VehicleId,
        reservation_id: Option<ReservationId>,
        reason: LockReason,
        now: Timestamp,
    ) -> Option<Event> {
        self.command.is_none().then(|| self.own_lock(id, reservation_id, reason, now))
    }

    /// A lock by the vehicle's own rules.
    pub(super) fn own_lock(
        &self,
        id: &VehicleId,
        reservation_id: Option<ReservationId>,
        reason: LockReason,
        now: Timestamp,
    ) -> Event {
        let command_id = own_lock(id, self.next_seq());
        self.lock_request(command_id, reservation_id, reason, now, now.plus(LOCK_WITHIN))
    }

    fn lock_request(
        &self,
        command_id: Uuid,
        reservation_id: Option<ReservationId>,
        reason: LockReason,
        at: Timestamp,
        deadline: Timestamp,
    ) -> Event {
        let seq = self.next_seq();
        Event::LockRequested { command_id, reservation_id, seq, at, deadline, attempt: 1, reason }
    }

    /// The rental has begun: by the unlock, or, for vehicles without a remote lock, at their return.
    pub(super) fn start_trip(&self, reservation_id: ReservationId) -> Result<Vec<Event>, Refusal> {
        let claim = self.held_by(&reservation_id).ok_or(Refusal::NotFound)?;
        if !claim.is_committed() {
            return Err(Refusal::NotConfirmed);
        }
        if self.trip.as_ref().is_some_and(|trip| trip.started) {
            return Ok(vec![]);
        }
        let odometer_m = self.trip.as_ref().map_or(self.odometer_m, |trip| trip.odometer_m);
        let fuel_pct = self.fuel_pct.unwrap_or(0);
        Ok(vec![Event::TripStarted { reservation_id, odometer_m, fuel_pct }])
    }

    /// The vehicle is back: free for the next as soon as it is locked. The customer's reading never
    /// turns the odometer back (V4); a claim of less than is known is told to an operator.
    pub(super) fn end_trip(
        &self,
        id: &VehicleId,
        reservation_id: ReservationId,
        odometer_m: u64,
        fuel_pct: u8,
        lock: bool,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        percent(fuel_pct)?;
        let Some(Claim { epoch, .. }) = self.held_by(&reservation_id) else {
            let over = self.claims.last_epoch(&reservation_id) > 0;
            return if over { Ok(vec![]) } else { Err(Refusal::NotFound) };
        };
        let trip = self.trip.as_ref().ok_or(Refusal::NotStarted)?;
        let told_m = odometer_m.min(MOST_METRES);
        let distance_m = told_m.saturating_sub(trip.odometer_m);
        let mut events =
            vec![Event::TripEnded { reservation_id, odometer_m: told_m, fuel_pct, distance_m }];
        if told_m.saturating_add(ROUNDING_M) <= self.odometer_m {
            events.push(Event::OdometerAnomaly { known_m: self.odometer_m, told_m, at: now });
        }
        events.push(super::claims::freed(reservation_id, ReleaseReason::Completed, Some(*epoch)));
        if lock || !self.is_secured() {
            events.extend(self.own_lock_now(id, Some(reservation_id), LockReason::Return, now));
        }
        Ok(events)
    }

    /// The unlock that is under way.
    pub(super) fn unlocking(&self) -> Option<Uuid> {
        let unlock = self.command.as_ref().filter(|command| command.kind == CommandKind::Unlock);
        unlock.map(|command| command.command_id)
    }

    fn is_known(&self, command_id: Uuid) -> bool {
        self.command.as_ref().is_some_and(|command| command.command_id == command_id)
            || self.ended_command(&command_id).is_some()
    }

    fn reachable(&self, deadline: Timestamp, now: Timestamp) -> Result<(), Refusal> {
        if self.is_offline() {
            Err(Refusal::Offline)
        } else if deadline <= now {
            Err(Refusal::TooLate)
        } else {
            Ok(())
        }
    }
}
