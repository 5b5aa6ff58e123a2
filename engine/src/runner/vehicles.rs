//! What processes ask for where vehicles are concerned: a message to one, one for a rental whose period
//! has begun, money for what happened to one.

use std::sync::Arc;

use holdfast_domain::process::{Ask, Charge, TimerKey, VehicleCall, rental};
use holdfast_domain::vehicle::{self, CommandKind};
use holdfast_domain::{Epoch, ReservationId, derive, payment, reservation};
use uuid::Uuid;

use super::Worker;
use super::parking::told;
use super::perform::{Cause, Failure};
use crate::Engine;
use crate::acquire::Assignment;
use crate::dispatch::{Failed, View};
use crate::engine::Core;
use crate::ports::Sent;

fn trouble(failed: Failed) -> Failure {
    Failure { text: told(failed), parks_lane: true }
}

impl Worker {
    /// Sends one attempt of a command, unless that has ended meanwhile or its time is over. A broker that
    /// does not take it is no failure: the next attempt comes by itself, and at its deadline the command
    /// has failed (fault 38). Done again after a crash it is the same message (fault 43).
    pub(super) async fn send(&self, call: &VehicleCall) -> Result<(), Failure> {
        let core = self.core();
        if core.house.protections.wanted_commands {
            let asked = call.clone();
            let wanted = self.patiently(|| {
                let asked = asked.clone();
                let look = move |view: View<'_, vehicle::State>| is_wanted(view.state, &asked);
                core.dispatch.try_look::<vehicle::State, _>(&call.vehicle_id, look)
            });
            if !wanted.await.map_err(trouble)? || call.exp <= core.now() {
                return Ok(());
            }
        }
        // A link that hangs must not hold up what else its reservation needs.
        let too_long = core.house.clock.sleep(core.house.settings.process.unlock_attempt);
        let sent = tokio::select! {
            sent = core.vehicles.send(call) => sent,
            () = too_long => Sent::NotConnected("the link did not answer in time".into()),
        };
        let outcome = match sent {
            Sent::Handed => "handed",
            Sent::Expired => "expired",
            Sent::NotConnected(why) => {
                let (vehicle, command) = (&call.vehicle_id, call.command_id);
                tracing::warn!(%vehicle, %command, why, "not sent");
                "not_connected"
            }
        };
        metrics::counter!("holdfast_vehicle_commands_total", "outcome" => outcome).increment(1);
        Ok(())
    }

    /// Finds a vehicle for a rental whose period has begun. While none is free it looks again, since the
    /// rental before may come back late; then the reservation is cancelled as oversold.
    pub(super) async fn assign(
        self: &Arc<Self>,
        reservation_id: &ReservationId,
        epoch: Epoch,
        id: Uuid,
        cause: &Cause,
    ) -> Result<(), Failure> {
        let engine = Engine(self.core().clone());
        let because = cause.event_id.to_string();
        let assigned = self.patiently(|| engine.assign(reservation_id, &because));
        match assigned.await.map_err(trouble)? {
            Assignment::Vehicle(_) | Assignment::Unwanted => return Ok(()),
            Assignment::TooLate => {}
            Assignment::NoneFree => {
                let (now, settings) = (engine.now(), engine.settings());
                let from = self.patiently(|| {
                    let look = |view: View<'_, reservation::State>| {
                        let line = view.state.vehicle_line();
                        line.and_then(|line| line.period).map(|period| period.from)
                    };
                    engine.0.dispatch.try_look::<reservation::State, _>(reservation_id, look)
                });
                let from = from.await.map_err(trouble)?;
                if from.is_some_and(|from| now < from.plus(settings.assign_wait)) {
                    let again = Ask::Wake {
                        key: TimerKey::Period(*reservation_id),
                        at: now.plus(settings.assign_again),
                        then: Box::new(Ask::Assign { reservation_id: *reservation_id, epoch }),
                    };
                    return Box::pin(self.try_ask(&again, id, cause)).await;
                }
            }
        }
        for (index, ask) in rental::no_vehicle(reservation_id).iter().enumerate() {
            let id = derive(&["instead", &id.to_string(), &index.to_string()]);
            Box::pin(self.try_ask(ask, id, cause)).await?;
        }
        Ok(())
    }

    /// Charges something more on the means by which its reservation was paid.
    pub(super) async fn charge(
        self: &Arc<Self>,
        charge: &Charge,
        id: Uuid,
        cause: &Cause,
    ) -> Result<(), Failure> {
        let paid = charge.reservation_id.payment_id();
        let means = self.patiently(|| {
            let look = |view: View<'_, payment::State>| view.state.means();
            self.core().dispatch.try_look::<payment::State, _>(&paid, look)
        });
        let command = charge.on(means.await.map_err(trouble)?);
        Box::pin(self.try_ask(&Ask::Do(command), id, cause)).await
    }

    fn core(&self) -> &Arc<Core> {
        &self.core
    }
}

/// Whether a message still serves anything: its command is under way, no later attempt was sent, and
/// whoever is to have the vehicle open may have it.
fn is_wanted(state: &vehicle::State, call: &VehicleCall) -> bool {
    let under_way = state.command().is_some_and(|command| {
        command.command_id == call.command_id && command.attempt <= call.attempt
    });
    let entitled = match call.kind {
        CommandKind::Lock => true,
        CommandKind::Unlock => state.reservation().is_some_and(|claim| {
            claim.confirmed && Some(claim.reservation_id) == call.reservation_id
        }),
    };
    under_way && entitled
}
