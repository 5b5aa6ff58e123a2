//! Unlock: commands to vehicles' locks, until each has ended. DOMAIN.md C.8, row of `unlock`.
//!
//! ```text
//!   UnlockRequested, LockRequested (attempt n) ──► send it
//!                 │                  ├──► wake after 5 s ──► RetryCommand(n + 1): the same command again
//!                 │ n = 1            └──── n < 3, before the deadline
//!                 └──► wake at the deadline ──► CommandTimedOut
//!   Unlocked, Locked, …Failed ──► forget the wakes
//!   LockFailed, and nobody may have it open ──► alarm; Secure after 1, 2, 4 … min, until it is locked
//! ```
//!
//! A message is sent on account of a fact and carries the command's id and deadline: sent twice (the
//! engine died after the publish) the vehicle acts once; sent late it refuses. A broker that does not
//! take it is no refusal: the next attempt comes, and at the deadline the command has failed (fault 38).

#[cfg(test)]
mod tests;

use std::time::Duration;

use uuid::Uuid;

use super::{Alarm, Ask, Command, Fact, Refusal, Settings, TimerKey, VehicleCall, What};
use crate::vehicle::{self, CommandKind, Event, IgnoredWhy, State};
use crate::{Timestamp, VehicleId, derive};

/// The longest wait before a vehicle that is not known to be locked is locked again.
const RELOCK_AT_MOST: Duration = Duration::from_secs(3_600);

/// What follows from a fact.
pub fn react(fact: &Fact<'_>, settings: &Settings) -> Vec<Ask> {
    match fact.what {
        What::Vehicle(id, event, state) => vehicle(id, event, state, fact.at, settings),
        What::Reservation(..)
        | What::Payment(..)
        | What::SeatMap(..)
        | What::Inventory(..)
        | What::Limit(..)
        | What::Item(..)
        | What::Ticket(..)
        | What::Notification(..)
        | What::Inspection(..) => vec![],
    }
}

/// What follows when a command that it asked for is refused.
pub fn refused(command: &Command, refusal: &Refusal) -> Vec<Ask> {
    match (command, refusal) {
        // A clock that was set back: the deadline is still to come.
        (
            Command::Vehicle(id, vehicle::Command::CommandTimedOut { command_id }),
            Refusal::Vehicle(vehicle::Refusal::NotDue { until }),
        ) => vec![time_out(id, *command_id, *until)],
        // Out of reach (it is locked as soon as it is back), or not ours any more.
        (
            Command::Reservation(..)
            | Command::Payment(..)
            | Command::SeatMap(..)
            | Command::Inventory(..)
            | Command::Limit(..)
            | Command::Item(..)
            | Command::Ticket(..)
            | Command::Notification(..)
            | Command::Vehicle(..)
            | Command::Inspection(..),
            _,
        ) => vec![],
    }
}

fn vehicle(
    id: &VehicleId,
    event: &Event,
    state: &State,
    at: Timestamp,
    settings: &Settings,
) -> Vec<Ask> {
    let alarm = |alarm| vec![Ask::Alarm(alarm)];
    let vehicle_id = id.clone();
    match event {
        &Event::UnlockRequested {
            command_id,
            reservation_id,
            user_id: _,
            seq,
            at: iat,
            deadline: exp,
            attempt,
        } => {
            let reservation_id = Some(reservation_id);
            let kind = CommandKind::Unlock;
            sent(
                VehicleCall {
                    vehicle_id,
                    kind,
                    command_id,
                    reservation_id,
                    seq,
                    attempt,
                    iat,
                    exp,
                },
                settings,
            )
        }
        &Event::LockRequested {
            command_id,
            reservation_id,
            seq,
            at: iat,
            deadline: exp,
            attempt,
            reason: _,
        } => {
            let kind = CommandKind::Lock;
            let mut asks = sent(
                VehicleCall {
                    vehicle_id,
                    kind,
                    command_id,
                    reservation_id,
                    seq,
                    attempt,
                    iat,
                    exp,
                },
                settings,
            );
            asks.push(Ask::Forget(TimerKey::VehicleLock(id.clone())));
            asks
        }
        Event::Unlocked { command_id, .. } | Event::UnlockFailed { command_id, .. } => {
            over(id, *command_id, settings)
        }
        Event::Locked { command_id, .. } => {
            let mut asks = over(id, *command_id, settings);
            asks.push(Ask::Forget(TimerKey::VehicleLock(id.clone())));
            asks
        }
        Event::LockFailed { command_id, reservation_id: _, code } => {
            let mut asks = over(id, *command_id, settings);
            if state.needs_lock() {
                asks.push(Ask::Alarm(Alarm::VehicleLockFailed { vehicle_id, code: *code }));
                asks.extend(lock_again(id, *command_id, state, at, settings));
            }
            asks
        }
        Event::LateUnlockCompensated { command_id } => {
            alarm(Alarm::VehicleUnlockedByNobody { vehicle_id, command_id: *command_id })
        }
        Event::AnswerIgnored { why, .. } => match why {
            IgnoredWhy::BadMac | IgnoredWhy::UnknownCommand => {
                alarm(Alarm::SpoofedAnswer { vehicle_id })
            }
            IgnoredWhy::Duplicate | IgnoredWhy::Stale | IgnoredWhy::NotEntitled => vec![],
        },
        Event::ConnectionLost { last_seen: _ } => vec![Ask::Wake {
            key: TimerKey::VehicleSilence(vehicle_id.clone()),
            at: at.plus(settings.vehicle_silence),
            then: Box::new(Ask::Alarm(Alarm::VehicleSilent { vehicle_id })),
        }],
        Event::ConnectionRestored { boot: _ } => {
            vec![Ask::Forget(TimerKey::VehicleSilence(vehicle_id))]
        }
        Event::OdometerAnomaly { known_m, told_m, at: _ } => {
            let (known_m, told_m) = (*known_m, *told_m);
            alarm(Alarm::OdometerAnomaly { vehicle_id, known_m, told_m })
        }
        Event::Registered { .. }
        | Event::Reserved { .. }
        | Event::ReservationExtended { .. }
        | Event::ReservationConfirmed { .. }
        | Event::AttemptWithdrawn { .. }
        | Event::ReservationReleased { .. }
        | Event::TripStarted { .. }
        | Event::TripEnded { .. }
        | Event::TelemetrySampled { .. }
        | Event::OutOfService { .. }
        | Event::ReturnedToService => vec![],
    }
}

/// The message, its next attempt, and with the first one the end of all attempts.
fn sent(call: VehicleCall, settings: &Settings) -> Vec<Ask> {
    let VehicleCall { command_id, attempt, iat, exp, .. } = call;
    let id = call.vehicle_id.clone();
    let mut asks = vec![Ask::Vehicle(call)];
    let next = iat.plus(settings.unlock_attempt);
    if attempt < settings.unlock_attempts && next < exp {
        let attempt = attempt + 1;
        let retry = vehicle::Command::RetryCommand { command_id, attempt };
        asks.push(wake(
            TimerKey::VehicleCommand(id.clone(), command_id, attempt),
            next,
            Command::Vehicle(id.clone(), retry),
        ));
    }
    if attempt == 1 {
        asks.push(time_out(&id, command_id, exp));
    }
    asks
}

fn time_out(id: &VehicleId, command_id: Uuid, deadline: Timestamp) -> Ask {
    wake(
        TimerKey::VehicleCommand(id.clone(), command_id, 0),
        deadline,
        Command::Vehicle(id.clone(), vehicle::Command::CommandTimedOut { command_id }),
    )
}

/// It has ended: nothing is sent again.
fn over(id: &VehicleId, command_id: Uuid, settings: &Settings) -> Vec<Ask> {
    (0..=settings.unlock_attempts)
        .filter(|attempt| *attempt != 1)
        .map(|attempt| Ask::Forget(TimerKey::VehicleCommand(id.clone(), command_id, attempt)))
        .collect()
}

/// The next try at a vehicle that nobody may have open and that is not known to be locked: later each
/// time. One that is out of reach is locked when it comes back.
fn lock_again(
    id: &VehicleId,
    ended: Uuid,
    state: &State,
    at: Timestamp,
    settings: &Settings,
) -> Option<Ask> {
    if !state.needs_lock() || state.command().is_some() {
        return None;
    }
    let doublings = state.lock_failures().saturating_sub(1).min(16);
    let wait = settings.relock.saturating_mul(1 << doublings).min(RELOCK_AT_MOST);
    let command_id = derive(&["relock", &ended.to_string()]);
    Some(wake(
        TimerKey::VehicleLock(id.clone()),
        at.plus(wait),
        Command::Vehicle(id.clone(), vehicle::Command::Secure { command_id }),
    ))
}

fn wake(key: TimerKey, at: Timestamp, command: Command) -> Ask {
    Ask::Wake { key, at, then: Box::new(Ask::Do(command)) }
}
