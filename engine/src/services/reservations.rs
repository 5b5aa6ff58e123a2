//! Reservations: making, cancelling and extending them.

use std::time::Duration;

use holdfast_domain::process::{self, rental};
use holdfast_domain::reservation::{self, CancelReason, Channel};
use holdfast_domain::{By, ReservationId, derive, vehicle};

use super::target;
use crate::dispatch::{Context, Failed, Part};
use crate::{Done, Engine, LineRequest, Rejection, Request, ReservationAnswer};

impl Engine {
    /// Holds everything asked for, all or nothing. The same key always makes the same reservation.
    pub async fn create_reservation(
        &self,
        request: &Request,
        lines: Vec<LineRequest>,
        channel: Channel,
    ) -> Result<ReservationAnswer, Rejection> {
        let id = reservation_of(request);
        let (engine, made) = (self.clone(), request.clone());
        let work = self.to_its_end(async move {
            let entered = engine.enter(&made).await?;
            let done = match &entered.bound {
                Some(row) => Done::before(row),
                None => match engine.made_before(&made, &id).await? {
                    Some(done) => done,
                    None => {
                        engine.room_for_one_more(&made).await?;
                        engine.acquire(&made, id, lines, channel).await?
                    }
                },
            };
            engine.answer(id, done).await
        });
        self.noted(request, target::<reservation::State>(&id), work).await
    }

    /// A creation is bound to its key for ever: its stream's first event tells.
    async fn made_before(
        &self,
        request: &Request,
        id: &ReservationId,
    ) -> Result<Option<Done>, Rejection> {
        let command_id = request.command_id();
        let known = self
            .0
            .dispatch
            .look::<reservation::State, _>(id, move |view| view.recorded(&command_id).cloned());
        let Some(recorded) = known.await? else { return Ok(None) };
        if recorded.fingerprint.as_deref() != Some(request.fingerprint.as_str()) {
            return Err(Rejection::KeyReused);
        }
        Ok(Some(Done { position: recorded.position, replayed: true }))
    }

    /// Cancels a reservation; what was paid goes back.
    pub async fn cancel_reservation(
        &self,
        request: &Request,
        id: ReservationId,
    ) -> Result<ReservationAnswer, Rejection> {
        let (engine, asked) = (self.clone(), request.clone());
        let work = self.to_its_end(async move {
            let entered = engine.enter(&asked).await?;
            let done = match &entered.bound {
                Some(row) => Done::before(row),
                None => {
                    let by = asked.caller.by.clone();
                    let reason = match by {
                        By::Owner(_) => CancelReason::User,
                        By::Operator(_) | By::System => CancelReason::Operator,
                    };
                    let command = reservation::Command::Cancel { by, reason, refund: None };
                    engine.cancelled(&asked, id, command).await?
                }
            };
            engine.answer(id, done).await
        });
        self.noted(request, target::<reservation::State>(&id), work).await
    }

    /// The reservation is cancelled and its vehicle lets go, or neither: a vehicle that is being unlocked,
    /// or used, keeps its customer (D32).
    async fn cancelled(
        &self,
        request: &Request,
        id: ReservationId,
        command: reservation::Command,
    ) -> Result<Done, Rejection> {
        let context = Context::of(request);
        let first = Part::<reservation::State> { id, command, context };
        let lets_go = self.0.house.protections.vehicle_lets_go;
        let recording = self
            .record_both::<reservation::State, vehicle::State>(request, first, |state| {
                let before = rental::before_cancel(&id, state).filter(|_| lets_go)?;
                let process::Command::Vehicle(vehicle, command) = before else { return None };
                let context = Context::step(request, &["vehicle", vehicle.as_str()]);
                Some(Part { id: vehicle, command, context: context.about(Some(id)) })
            })
            .await?;
        Ok(Done { position: recording.position, replayed: recording.replayed })
    }

    /// An operator gives a hold its whole time again, up to the cap. Claims first, then the record.
    pub async fn extend_hold(
        &self,
        request: &Request,
        id: ReservationId,
    ) -> Result<ReservationAnswer, Rejection> {
        let (engine, asked) = (self.clone(), request.clone());
        let work = self.to_its_end(async move {
            let entered = engine.enter(&asked).await?;
            let done = match &entered.bound {
                Some(row) => Done::before(row),
                None => engine.extended(&asked, id).await?,
            };
            engine.answer(id, done).await
        });
        self.noted(request, target::<reservation::State>(&id), work).await
    }

    async fn extended(&self, request: &Request, id: ReservationId) -> Result<Done, Rejection> {
        let by = request.caller.by.clone();
        let state = self.own_reservation(&by, &id).await?;
        let now = self.now();
        let new_expires_at = now.plus(self.settings().hold_ttl).min(state.absolute_deadline);
        if state.hold_expires_at.is_some_and(|deadline| now < deadline && deadline < new_expires_at)
        {
            let held = self.hold_claims_until(request, &id, &state, new_expires_at).await;
            held.map_err(|failed: Failed| failed.rejection(&id.to_string()))?;
        }
        let command = reservation::Command::ExtendHold { by, new_expires_at };
        let context = Context::of(request);
        let recording = self.record::<reservation::State>(request, &id, command, context).await?;
        Ok(Done { position: recording.position, replayed: recording.replayed })
    }

    pub(crate) async fn answer(
        &self,
        id: ReservationId,
        done: Done,
    ) -> Result<ReservationAnswer, Rejection> {
        let state = self.load::<reservation::State>(&id).await?.state;
        Ok(ReservationAnswer { id, state, done })
    }

    /// By how much claims outlive their reservation's deadline.
    pub(crate) fn grace(&self) -> Duration {
        if self.0.house.protections.claim_grace {
            self.settings().claim_grace
        } else {
            Duration::ZERO
        }
    }
}

/// The reservation that a request makes: the same key, the same reservation.
pub(crate) fn reservation_of(request: &Request) -> ReservationId {
    ReservationId(derive(&[
        "reservation",
        &request.caller.actor.to_string(),
        request.operation,
        &request.key,
    ]))
}
