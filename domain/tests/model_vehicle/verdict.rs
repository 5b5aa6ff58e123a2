//! What must hold, of every fact as it is recorded and of the world at its end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use holdfast_domain::Timestamp;
use holdfast_domain::reservation::Status;
use holdfast_domain::vehicle::{Event, IgnoredWhy, LockReason, Rental};
use uuid::Uuid;

use crate::world::{CARS, World};

/// How long after its deadline a command may be without an end: the engine was away, or busy.
const SLACK: Duration = Duration::from_secs(40);

impl World {
    /// Of a fact just before it is taken in.
    pub(crate) fn judge_fact(&mut self, number: usize, event: &Event) {
        self.note(event);
        let Event::Unlocked { command_id, reservation_id, accepted, .. } = event else { return };
        let turned = |turn: &crate::car::Turn| turn.opened && turn.command_id == *command_id;
        if !self.cars[number].turns.iter().any(turned) {
            self.wrong.push(format!("{command_id}: told as unlocked, and it never was"));
        }
        if !accepted {
            return;
        }
        let has = self.vehicles[number].reservation().filter(|it| it.confirmed);
        if has.map(|it| it.reservation_id) != Some(*reservation_id) {
            self.wrong.push(format!("{command_id}: accepted for one who does not have it"));
        }
        let status = self.reservations.get(reservation_id).map(|state| state.status);
        // Whose money is gone is cancelled without asking the vehicle: then a lock follows.
        let lost =
            self.people.iter().any(|person| person.id == *reservation_id && person.money_lost);
        match status {
            Some(Status::Confirmed | Status::InUse | Status::Completed) => {}
            Some(Status::Cancelled) if lost => {}
            other => {
                self.wrong
                    .push(format!("{command_id}: accepted for a reservation that is {other:?}"));
            }
        }
    }

    fn note(&mut self, event: &Event) {
        let met = match event {
            Event::Unlocked { late: true, accepted: true, .. } => "late and accepted",
            Event::Unlocked { accepted: false, .. } => "late and taken back",
            Event::UnlockFailed { .. } => "unlock failed",
            Event::LockFailed { .. } => "lock failed",
            Event::LockRequested { reason: LockReason::Secure, .. } => "secured",
            Event::LockRequested { reason: LockReason::LateUnlock, .. } => "locked again",
            Event::Locked { late: true, .. } => "locked late",
            Event::UnlockRequested { attempt: 3, .. } => "third attempt",
            Event::AnswerIgnored { why: IgnoredWhy::BadMac, .. } => "forged",
            Event::AnswerIgnored { why: IgnoredWhy::Duplicate, .. } => "duplicate",
            Event::AnswerIgnored { why: IgnoredWhy::UnknownCommand, .. } => "unknown",
            Event::AnswerIgnored { why: IgnoredWhy::Stale, .. } => "stale",
            Event::ConnectionLost { .. } => "connection lost",
            Event::TripEnded { .. } => "returned",
            _ => return,
        };
        self.met.insert(met);
    }

    /// Everything that is wrong at the end.
    pub(crate) fn verdict(&self) -> Result<(), String> {
        if let Some(wrong) = self.wrong.first() {
            return Err(wrong.clone());
        }
        for number in 0..CARS {
            self.judge_turns(number)?;
            self.judge_commands(number)?;
            self.judge_rest(number)?;
        }
        Ok(())
    }

    /// What the locks really did.
    fn judge_turns(&self, number: usize) -> Result<(), String> {
        let asked: BTreeSet<Uuid> = self
            .facts
            .iter()
            .filter(|(_, of, _)| *of == number)
            .filter_map(|(_, _, event)| match event {
                Event::UnlockRequested { command_id, .. } => Some(*command_id),
                _ => None,
            })
            .collect();
        let car = &self.cars[number];
        let mut opened = BTreeMap::<Uuid, u32>::new();
        for (nth, turn) in car.turns.iter().enumerate().filter(|(_, turn)| turn.opened) {
            let id = turn.command_id;
            if !asked.contains(&id) {
                return Err(format!("car {number} opened for {id}, which nobody asked for"));
            }
            let times = opened.entry(id).or_default();
            *times += 1;
            if *times > 1 {
                return Err(format!("car {number} opened twice for {id}"));
            }
            if turn.honest_clock && !turn.in_time {
                return Err(format!("car {number} opened for {id} after its deadline"));
            }
            let locked_later = car.turns[nth..].iter().any(|later| !later.opened);
            if !turn.entitled && !locked_later {
                return Err(format!(
                    "car {number} opened for {id} at {} for somebody who may not, and no lock follows",
                    turn.at
                ));
            }
        }
        Ok(())
    }

    /// No command is lost silently: each has an end, soon after its deadline.
    fn judge_commands(&self, number: usize) -> Result<(), String> {
        let mut open = BTreeMap::<Uuid, Timestamp>::new();
        for (at, _, event) in self.facts.iter().filter(|(_, of, _)| *of == number) {
            match event {
                Event::UnlockRequested { command_id, deadline, attempt: 1, .. }
                | Event::LockRequested { command_id, deadline, attempt: 1, .. } => {
                    open.insert(*command_id, *deadline);
                    if open.len() > 1 {
                        return Err(format!("car {number}: two commands at a time at {at}"));
                    }
                }
                Event::Unlocked { command_id, .. }
                | Event::UnlockFailed { command_id, .. }
                | Event::Locked { command_id, .. }
                | Event::LockFailed { command_id, .. } => {
                    if let Some(deadline) = open.remove(command_id)
                        && *at > deadline.plus(SLACK)
                    {
                        return Err(format!("car {number}: {command_id} ended only at {at}"));
                    }
                }
                _ => {}
            }
        }
        match open.first_key_value() {
            None => Ok(()),
            Some((id, _)) => Err(format!("car {number}: {id} never ended")),
        }
    }

    /// Everybody has gone home: every car is free, locked, and known to be.
    fn judge_rest(&self, number: usize) -> Result<(), String> {
        let state = &self.vehicles[number];
        if self.cars[number].open {
            return Err(format!("car {number} stands open at the end, {:?}", state.rental()));
        }
        if state.rental() != Rental::Available || !state.is_secured() {
            return Err(format!("car {number} is {:?} at the end: {state:?}", state.rental()));
        }
        Ok(())
    }

    /// What happened to the vehicles, for a failure's message.
    pub(crate) fn story(&self) -> String {
        let mut lines: Vec<(Timestamp, String)> = self
            .facts
            .iter()
            .filter(|(_, _, event)| !matches!(event, Event::TelemetrySampled { .. }))
            .map(|(at, number, event)| (*at, format!("{at} car {number}: {event:?}")))
            .collect();
        for car in &self.cars {
            let number = car.number;
            lines.extend(
                car.turns.iter().map(|it| (it.at, format!("{} CAR {number}: {it:?}", it.at))),
            );
        }
        lines.sort();
        lines.into_iter().map(|(_, line)| line + "\n").collect()
    }
}
