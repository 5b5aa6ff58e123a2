//! Unlock and lock: the customer is answered when the vehicle has answered, and at the first unlock when
//! the rental has begun.
//!
//! ```text
//!   request ─► whose? paid? which vehicle? ─► Vehicle.RequestUnlock ─► the unlock process sends it
//!                                                   │ offline: no                 │
//!                                                   ▼                             ▼
//!   answer ◄── RentalStarted ◄── rental process ◄── Unlocked ◄──────── the vehicle's own word
//!          ◄── VEHICLE_TIMEOUT ◄──────────────── UnlockFailed at the deadline
//! ```
//!
//! The same key again joins the command that is under way, and is told its outcome afterwards; another
//! key's unlock of the same reservation joins it, too. S1-05, D28–D31.

use std::time::Duration;

use holdfast_domain::reservation::{self, Status};
use holdfast_domain::vehicle::{self, CommandKind, CommandOutcome, Event, FailCode, LockReason};
use holdfast_domain::{By, ReservationId, Timestamp, VehicleId, process};
use uuid::Uuid;

use super::{Entered, target};
use crate::acquire::Assignment;
use crate::dispatch::{Context, stream_name};
use crate::{Done, Engine, Rejection, Request, VehicleAnswer, VehicleFailure};

/// How long after a command's deadline its failure may take to be recorded.
const MARGIN: Duration = Duration::from_secs(2);
/// How often a command that others have ended in the same moment is asked for again.
const JOINS: usize = 3;
/// How far behind a command its outcome stands at most.
const OUTCOME_WITHIN: u64 = 1_024;

/// The command whose outcome is waited for.
#[derive(Clone, Debug)]
struct Awaited {
    vehicle_id: VehicleId,
    reservation_id: ReservationId,
    command_id: Uuid,
    deadline: Timestamp,
    /// Where it was recorded, when that is long ago.
    recorded: Option<u64>,
}

impl Engine {
    /// Opens the vehicle of a reservation for its customer. The first time within a period this may
    /// give it its vehicle.
    pub async fn unlock_vehicle(
        &self,
        request: &Request,
        id: ReservationId,
    ) -> Result<VehicleAnswer, Rejection> {
        self.turn(request, id, CommandKind::Unlock).await
    }

    /// Closes it; the rental goes on.
    pub async fn lock_vehicle(
        &self,
        request: &Request,
        id: ReservationId,
    ) -> Result<VehicleAnswer, Rejection> {
        self.turn(request, id, CommandKind::Lock).await
    }

    /// Its key is taken until the outcome is known, or until its asker goes away after the command was
    /// recorded.
    async fn turn(
        &self,
        request: &Request,
        id: ReservationId,
        kind: CommandKind,
    ) -> Result<VehicleAnswer, Rejection> {
        let (engine, begun) = (self.clone(), request.clone());
        let work = async {
            let begin = async move { engine.begin_turn(&begun, id, kind).await };
            let (entered, awaited) = self.to_its_end(begin).await?;
            self.turned(awaited, entered.bound.is_some()).await
        };
        self.noted(request, target::<reservation::State>(&id), work).await
    }

    async fn begin_turn(
        &self,
        request: &Request,
        id: ReservationId,
        kind: CommandKind,
    ) -> Result<(Entered, Awaited), Rejection> {
        let entered = self.enter(request).await?;
        let within = self.settings().process.unlock_deadline;
        if let Some(row) = &entered.bound {
            let stream = holdfast_store::StreamId::new(&row.stream);
            let awaited = Awaited {
                vehicle_id: stream.key().parse().map_err(|_| Rejection::NotFound("vehicle"))?,
                reservation_id: id,
                command_id: request.command_id(),
                deadline: row.at.plus(within),
                recorded: Some(row.first),
            };
            return Ok((entered, awaited));
        }
        let state = self.rental_of(&request.caller.by, &id).await?;
        let vehicle_id = match (kind, &state.vehicle_id) {
            (_, Some(vehicle_id)) => vehicle_id.clone(),
            (CommandKind::Unlock, None) => self.first_vehicle(request, &id).await?,
            (CommandKind::Lock, None) => {
                return Err(self.refused(reservation::Refusal::NotStarted, &id));
            }
        };
        for _ in 0..JOINS {
            let deadline = self.now().plus(within);
            let command = command(request, id, kind, deadline);
            let context = Context::of(request).about(Some(id));
            let recorded = self.record::<vehicle::State>(request, &vehicle_id, command, context);
            let recording = recorded.await.map_err(unreachable_is_offline)?;
            let awaited = |command_id, deadline| Awaited {
                vehicle_id: vehicle_id.clone(),
                reservation_id: id,
                command_id,
                deadline,
                recorded: recording.versions.map(|(first, _)| first),
            };
            if recording.versions.is_some() {
                return Ok((entered, awaited(request.command_id(), deadline)));
            }
            // Nothing new: such a command is under way.
            let under_way = self.look::<vehicle::State, _>(&vehicle_id, move |vehicle| {
                let command = vehicle.command().filter(|command| command.kind == kind);
                command.map(|command| (command.command_id, command.deadline))
            });
            if let Some((command_id, deadline)) = under_way.await? {
                return Ok((entered, awaited(command_id, deadline)));
            }
        }
        Err(Rejection::Unavailable("others are turning this lock just now; ask again".into()))
    }

    /// A reservation whose vehicle may be opened or closed, for those who may act for its owner. One that
    /// was confirmed this moment is waited for until its claims are committed.
    async fn rental_of(
        &self,
        by: &By,
        id: &ReservationId,
    ) -> Result<reservation::State, Rejection> {
        let stream = stream_name::<reservation::State>(id);
        let bell = self.0.index.bells.listen(std::slice::from_ref(&stream));
        let mut too_long = self.0.house.clock.sleep(self.settings().payment_answer_wait);
        loop {
            let look = self.0.dispatch.look_from::<reservation::State, _>(
                id,
                bell.version(&stream),
                |view| view.state.clone(),
            );
            let state = look.await?;
            if !state.user_id.as_ref().is_some_and(|owner| by.may_act_for(owner)) {
                return Err(Rejection::NotFound("reservation"));
            }
            use reservation::Refusal as R;
            let no = match state.status {
                Status::Confirmed if !state.finalized => None,
                Status::Confirmed | Status::InUse => {
                    if state.vehicle_line().is_none() {
                        return Err(self.refused(R::NoVehicle, id));
                    }
                    if !state.policies.remote_unlock {
                        let why = "this vehicle is handed over by a person";
                        return Err(Rejection::InvalidInput(why.into()));
                    }
                    return Ok(state);
                }
                Status::None => Some(R::NotFound),
                // D28
                Status::Hold
                | Status::AwaitingPayment
                | Status::HoldFailed
                | Status::HoldExpired => Some(R::NotConfirmed),
                Status::Reacquiring => Some(R::Reacquiring),
                Status::Completed => Some(R::Completed),
                Status::Cancelled => Some(R::Cancelled),
            };
            if let Some(no) = no {
                return Err(self.refused(no, id));
            }
            tokio::select! {
                () = bell.rung() => {}
                () = &mut too_long => return Err(self.refused(R::NotConfirmed, id)),
            }
        }
    }

    /// The vehicle that a rental gets with its first unlock, when its period has begun.
    async fn first_vehicle(
        &self,
        request: &Request,
        id: &ReservationId,
    ) -> Result<VehicleId, Rejection> {
        let cause = request.command_id().to_string();
        let assigned = self.assign(id, &cause).await;
        match assigned.map_err(|failed| failed.rejection(&id.to_string()))? {
            Assignment::Vehicle(vehicle_id) => Ok(vehicle_id),
            Assignment::Unwanted => {
                let state = self.load::<reservation::State>(id).await?.state;
                // Assigned meanwhile; or its time has not come.
                let early = || self.refused(reservation::Refusal::NotStarted, id);
                state.vehicle_id.ok_or_else(early)
            }
            Assignment::TooLate => Err(self.refused(reservation::Refusal::Completed, id)),
            Assignment::NoneFree => Err(self.refused(vehicle::Refusal::Unavailable, id)),
        }
    }

    pub(super) fn refused(
        &self,
        refusal: impl Into<process::Refusal>,
        id: &ReservationId,
    ) -> Rejection {
        Rejection::Refused {
            refusal: Box::new(refusal.into()),
            target: id.to_string(),
            as_of: self.store().head(),
            suggested: Vec::new(),
        }
    }

    /// Waits until a command has ended, and at an unlock until the rental has begun. Woken by the log
    /// itself.
    async fn turned(&self, awaited: Awaited, replayed: bool) -> Result<VehicleAnswer, Rejection> {
        let Awaited { vehicle_id, reservation_id, command_id, deadline, recorded } = &awaited;
        let of_vehicle = stream_name::<vehicle::State>(vehicle_id);
        let of_reservation = stream_name::<reservation::State>(reservation_id);
        let bell = self.0.index.bells.listen(&[of_vehicle.clone(), of_reservation.clone()]);
        let patience = deadline.since(self.now()) + MARGIN;
        let mut too_long = self.0.house.clock.sleep(patience);
        let mut last = false;
        loop {
            let dispatch = &self.0.dispatch;
            let id = *command_id;
            let look = dispatch.look_from::<vehicle::State, _>(
                vehicle_id,
                bell.version(&of_vehicle),
                move |view| {
                    let under_way = view.state.command().is_some_and(|it| it.command_id == id);
                    (view.state.outcome(&id), under_way)
                },
            );
            let (mut outcome, under_way) = look.await?;
            if let (None, false, Some(from)) = (outcome, under_way, recorded) {
                outcome = self.outcome_in_log(vehicle_id, id, *from).await?;
            }
            match outcome {
                None => {}
                Some(CommandOutcome::Locked { .. }) => return self.stands(awaited, replayed).await,
                Some(CommandOutcome::Unlocked { accepted: true, .. }) => {
                    let look = dispatch.look_from::<reservation::State, _>(
                        reservation_id,
                        bell.version(&of_reservation),
                        |view| view.state.status,
                    );
                    match look.await? {
                        Status::InUse | Status::Completed => {
                            return self.stands(awaited, replayed).await;
                        }
                        Status::Confirmed => {}
                        Status::None
                        | Status::Hold
                        | Status::AwaitingPayment
                        | Status::Reacquiring
                        | Status::HoldFailed
                        | Status::HoldExpired
                        | Status::Cancelled => {
                            let gone = reservation::Refusal::Cancelled;
                            return Err(self.refused(gone, reservation_id));
                        }
                    }
                }
                // Too late for anybody who may have it open: it is being locked again.
                Some(CommandOutcome::Unlocked { accepted: false, .. }) => {
                    return Err(VehicleFailure::Timeout.into());
                }
                Some(CommandOutcome::Failed(code)) => return Err(failure(code).into()),
            }
            if last {
                return Err(match outcome {
                    Some(_) => Rejection::OutcomeUnknown(
                        "the vehicle is open, and the rental is not recorded yet".into(),
                    ),
                    None => VehicleFailure::Timeout.into(),
                });
            }
            tokio::select! {
                () = bell.rung() => {}
                () = &mut too_long => last = true,
            }
        }
    }

    /// The outcome of a command that the vehicle does not remember any more.
    async fn outcome_in_log(
        &self,
        id: &VehicleId,
        command: Uuid,
        from: u64,
    ) -> Result<Option<CommandOutcome>, Rejection> {
        let upto = from.saturating_add(OUTCOME_WITHIN);
        let events = self.0.dispatch.events_of::<vehicle::State>(id, from, upto).await?;
        // The last word counts: a late answer comes behind a failure.
        Ok(events.iter().rev().find_map(|event| outcome_of(event, command)))
    }

    async fn stands(&self, awaited: Awaited, replayed: bool) -> Result<VehicleAnswer, Rejection> {
        let Awaited { vehicle_id, reservation_id, .. } = awaited;
        let vehicle = self.load::<vehicle::State>(&vehicle_id).await?;
        let reservation = self.load::<reservation::State>(&reservation_id).await?;
        Ok(VehicleAnswer {
            vehicle_id,
            vehicle: vehicle.state,
            reservation_id,
            reservation: reservation.state,
            done: Done { position: vehicle.position.max(reservation.position), replayed },
        })
    }
}

fn command(
    request: &Request,
    reservation_id: ReservationId,
    kind: CommandKind,
    deadline: Timestamp,
) -> vehicle::Command {
    let (command_id, by) = (request.command_id(), request.caller.by.clone());
    match kind {
        CommandKind::Unlock => {
            vehicle::Command::RequestUnlock { command_id, reservation_id, by, deadline }
        }
        CommandKind::Lock => vehicle::Command::RequestLock {
            command_id,
            reservation_id: Some(reservation_id),
            reason: match by {
                By::Owner(_) => LockReason::User,
                By::Operator(_) | By::System => LockReason::Operator,
            },
            by,
            deadline,
        },
    }
}

/// D29: what nobody can reach is told at once, with when to ask again.
fn unreachable_is_offline(rejection: Rejection) -> Rejection {
    let offline = process::Refusal::Vehicle(vehicle::Refusal::Offline);
    if let Rejection::Refused { refusal, .. } = &rejection
        && **refusal == offline
    {
        return VehicleFailure::Offline.into();
    }
    rejection
}

fn failure(code: FailCode) -> VehicleFailure {
    match code {
        FailCode::Offline => VehicleFailure::Offline,
        FailCode::Timeout | FailCode::Expired => VehicleFailure::Timeout,
        FailCode::Jammed => VehicleFailure::Jammed,
        FailCode::Rejected => VehicleFailure::Refused,
    }
}

fn outcome_of(event: &Event, command: Uuid) -> Option<CommandOutcome> {
    match event {
        Event::Unlocked { command_id, late, accepted, .. } if *command_id == command => {
            Some(CommandOutcome::Unlocked { late: *late, accepted: *accepted })
        }
        Event::Locked { command_id, late, .. } if *command_id == command => {
            Some(CommandOutcome::Locked { late: *late })
        }
        Event::UnlockFailed { command_id, code, .. }
        | Event::LockFailed { command_id, code, .. }
            if *command_id == command =>
        {
            Some(CommandOutcome::Failed(*code))
        }
        Event::Unlocked { .. }
        | Event::Locked { .. }
        | Event::UnlockFailed { .. }
        | Event::LockFailed { .. }
        | Event::Registered { .. }
        | Event::Reserved { .. }
        | Event::ReservationExtended { .. }
        | Event::ReservationConfirmed { .. }
        | Event::AttemptWithdrawn { .. }
        | Event::ReservationReleased { .. }
        | Event::UnlockRequested { .. }
        | Event::LockRequested { .. }
        | Event::AnswerIgnored { .. }
        | Event::LateUnlockCompensated { .. }
        | Event::ConnectionLost { .. }
        | Event::ConnectionRestored { .. }
        | Event::TripStarted { .. }
        | Event::TripEnded { .. }
        | Event::TelemetrySampled { .. }
        | Event::OdometerAnomaly { .. }
        | Event::OutOfService { .. }
        | Event::ReturnedToService => None,
    }
}
