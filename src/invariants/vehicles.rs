//! Vehicles: one owner at a time, opened only for whoever has paid, closed again when it was opened for
//! nobody, each command answered for or failed, no metres driven backwards. DOMAIN.md V1–V5.

use std::collections::HashMap;

use holdfast_domain::vehicle::{CommandKind, Event};
use holdfast_domain::{Period, ReservationId, Sku, Timestamp, VehicleId};
use holdfast_store::Position;
use uuid::Uuid;

use super::holds::Holds;
use super::pools::Pools;
use super::{End, Report, Seen};

/// Who has it.
struct Owner {
    reservation: ReservationId,
    confirmed: bool,
    period: Option<Period>,
    position: Position,
}

/// The command that has not ended yet.
struct UnderWay {
    id: Uuid,
    kind: CommandKind,
    deadline: Timestamp,
    position: Position,
}

/// A door that stands open.
struct Open {
    /// None: nobody may have it open, and a lock must follow.
    entitled: Option<ReservationId>,
    position: Position,
}

#[derive(Default)]
struct Vehicle {
    sku: Option<Sku>,
    in_service: bool,
    owner: Option<Owner>,
    under_way: Option<UnderWay>,
    open: Option<Open>,
    /// Commands that were ever given, and whether they have opened it.
    given: HashMap<Uuid, bool>,
    odometer_m: u64,
    registered: Position,
}

/// Every vehicle.
#[derive(Default)]
pub(super) struct Vehicles {
    vehicles: HashMap<VehicleId, Vehicle>,
}

impl Vehicles {
    pub(super) fn see(&mut self, seen: Seen, id: &VehicleId, event: &Event, report: &mut Report) {
        let vehicle = self.vehicles.entry(id.clone()).or_default();
        for what in vehicle.take(seen, event) {
            report.offence(seen.position, format!("vehicle {id}: {what}"));
        }
    }

    pub(super) fn finish(&self, end: &End<'_>, holds: &Holds, pools: &Pools, report: &mut Report) {
        let mut in_service: HashMap<&Sku, (i64, Position)> = HashMap::new();
        for (id, vehicle) in &self.vehicles {
            if let Some(sku) = &vehicle.sku {
                let (count, position) = in_service.entry(sku).or_default();
                *count += i64::from(vehicle.in_service);
                *position = vehicle.registered.max(*position);
            }
            for (position, what) in vehicle.left_behind(end, holds) {
                report.offence(position, format!("vehicle {id}: {what}"));
            }
        }
        for (sku, (count, position)) in in_service {
            let total = pools.total(sku);
            if total != count {
                report.offence(
                    position,
                    format!(
                        "pool {sku}: its total is {total}, but {count} vehicles are in service"
                    ),
                );
            }
        }
    }
}

impl Vehicle {
    /// Takes an event in; gives what is wrong with it.
    fn take(&mut self, seen: Seen, event: &Event) -> Vec<String> {
        let mut wrong = Vec::new();
        match event {
            Event::Registered { type_pool, odometer_m, .. } => {
                self.sku = Some(type_pool.clone());
                self.in_service = true;
                self.odometer_m = *odometer_m;
                self.registered = seen.position;
            }
            Event::Reserved { reservation_id, confirmed, period, .. } => {
                if let Some(owner) = &self.owner
                    && owner.reservation != *reservation_id
                {
                    wrong.push(format!(
                        "reserved for {reservation_id}, while reservation {} has it",
                        owner.reservation
                    ));
                }
                self.owner = Some(Owner {
                    reservation: *reservation_id,
                    confirmed: *confirmed,
                    period: *period,
                    position: seen.position,
                });
            }
            Event::ReservationConfirmed { reservation_id, .. } => match &mut self.owner {
                Some(owner) if owner.reservation == *reservation_id => owner.confirmed = true,
                Some(_) | None => {
                    wrong.push(format!("confirmed for {reservation_id}, which does not have it"));
                }
            },
            Event::ReservationReleased { reservation_id, freed, .. } => {
                let has = self.owner.as_ref().is_some_and(|o| o.reservation == *reservation_id);
                if *freed && !has {
                    wrong.push(format!("released by {reservation_id}, which did not have it"));
                }
                if has {
                    self.owner = None;
                }
            }
            Event::UnlockRequested { command_id, reservation_id, deadline, attempt, .. } => {
                let entitled = self.entitles(*reservation_id, seen.at);
                if *attempt == 1 && !entitled {
                    wrong.push(format!(
                        "asked to unlock for {reservation_id}, which has not paid for it, or not for now"
                    ));
                }
                let given = (*command_id, CommandKind::Unlock, *deadline, *attempt);
                wrong.extend(self.give(seen, given));
            }
            Event::LockRequested { command_id, deadline, attempt, .. } => {
                let given = (*command_id, CommandKind::Lock, *deadline, *attempt);
                wrong.extend(self.give(seen, given));
                if let Some(open) = &self.open
                    && open.entitled.is_none()
                {
                    self.open = None;
                }
            }
            Event::Unlocked { command_id, reservation_id, odometer_m, accepted, .. } => {
                wrong.extend(self.drives_on(*odometer_m));
                let entitled = self.entitles(*reservation_id, seen.at);
                if *accepted && !entitled {
                    wrong.push(format!("opened for {reservation_id}, which is not entitled"));
                }
                match self.given.get_mut(command_id) {
                    Some(opened) if *opened && *accepted => {
                        wrong.push(format!("command {command_id} has opened it twice"));
                    }
                    Some(opened) => *opened = true,
                    None => wrong.push(format!("opened by {command_id}, which nobody gave")),
                }
                self.end(*command_id);
                let entitled = accepted.then_some(*reservation_id);
                self.open = Some(Open { entitled, position: seen.position });
            }
            Event::Locked { command_id, .. } => {
                if !self.given.contains_key(command_id) {
                    wrong.push(format!("locked by {command_id}, which nobody gave"));
                }
                self.end(*command_id);
                self.open = None;
            }
            Event::UnlockFailed { command_id, .. } | Event::LockFailed { command_id, .. } => {
                self.end(*command_id);
            }
            Event::TripStarted { reservation_id, odometer_m, .. } => {
                wrong.extend(self.drives_on(*odometer_m));
                if self.owner.as_ref().is_none_or(|o| o.reservation != *reservation_id) {
                    wrong.push(format!("driven by {reservation_id}, which does not have it"));
                }
            }
            // That its customer has no claim any more is a fact of its own.
            Event::TripEnded { odometer_m, .. } => wrong.extend(self.drives_on(*odometer_m)),
            Event::TelemetrySampled { odometer_m, .. } => {
                wrong.extend(odometer_m.and_then(|metres| self.drives_on(metres)));
            }
            Event::OutOfService { .. } => self.in_service = false,
            Event::ReturnedToService => self.in_service = true,
            Event::ReservationExtended { .. }
            | Event::AttemptWithdrawn { .. }
            | Event::AnswerIgnored { .. }
            | Event::LateUnlockCompensated { .. }
            | Event::ConnectionLost { .. }
            | Event::ConnectionRestored { .. }
            | Event::OdometerAnomaly { .. } => {}
        }
        wrong
    }

    /// Whether a reservation may open it at a moment.
    fn entitles(&self, reservation: ReservationId, at: Timestamp) -> bool {
        self.owner.as_ref().is_some_and(|owner| {
            let begun = owner.period.is_none_or(|period| period.from <= at);
            owner.reservation == reservation && owner.confirmed && begun
        })
    }

    /// A command is given, or given again.
    fn give(
        &mut self,
        seen: Seen,
        (id, kind, deadline, attempt): (Uuid, CommandKind, Timestamp, u8),
    ) -> Option<String> {
        let other = self.under_way.as_ref().filter(|under_way| under_way.id != id);
        let wrong = other.map(|other| format!("{id} was given while {} is under way", other.id));
        if attempt == 1 {
            self.given.insert(id, false);
        }
        self.under_way = Some(UnderWay { id, kind, deadline, position: seen.position });
        wrong
    }

    fn end(&mut self, id: Uuid) {
        if self.under_way.as_ref().is_some_and(|under_way| under_way.id == id) {
            self.under_way = None;
        }
    }

    fn drives_on(&mut self, metres: u64) -> Option<String> {
        let before = self.odometer_m;
        self.odometer_m = before.max(metres);
        (metres < before).then(|| format!("its odometer went back from {before} m to {metres} m"))
    }

    /// What must not be when nothing is under way any more.
    fn left_behind(&self, end: &End<'_>, holds: &Holds) -> Vec<(Position, String)> {
        let mut left = Vec::new();
        if let Some(under_way) = &self.under_way
            && end.settled(under_way.deadline)
            && end.overdue(under_way.deadline)
        {
            let kind = match under_way.kind {
                CommandKind::Unlock => "unlock",
                CommandKind::Lock => "lock",
            };
            let (id, until) = (under_way.id, under_way.deadline);
            left.push((under_way.position, format!("the {kind} {id} was to end by {until}")));
        }
        if let Some(open) = &self.open
            && open.entitled.is_none()
            && self.under_way.is_none()
        {
            left.push((open.position, "opened for nobody, and no lock follows".to_owned()));
        }
        if let Some(owner) = &self.owner
            && let Some(ended) = holds.ended_at(owner.reservation)
            && end.settled(ended)
        {
            let reservation = owner.reservation;
            left.push((owner.position, format!("reservation {reservation} has ended and has it")));
        }
        left
    }
}
