//! What is seen after a rental, and what becomes of the damage.

use holdfast_domain::inspection::{self, Command};
use holdfast_domain::reservation::{self, Status};
use holdfast_domain::{InspectionId, Money, derive};

use super::target;
use crate::dispatch::Context;
use crate::{Done, Engine, InspectionAnswer, Rejection, Request, SubmitInspection};

impl Engine {
    /// Writes down what was seen (S0-34). The same key always makes the same inspection.
    pub async fn submit_inspection(
        &self,
        request: &Request,
        seen: SubmitInspection,
    ) -> Result<InspectionAnswer, Rejection> {
        let id = inspection_of(request);
        let (engine, asked) = (self.clone(), request.clone());
        let work = self.to_its_end(async move {
            let entered = engine.enter(&asked).await?;
            let done = match &entered.bound {
                Some(row) => Done::before(row),
                None => {
                    let command = engine.as_seen(&asked, seen).await?;
                    let context = Context::of(&asked);
                    let recording =
                        engine.record::<inspection::State>(&asked, &id, command, context).await?;
                    Done { position: recording.position, replayed: recording.replayed }
                }
            };
            engine.inspected(id, done).await
        });
        self.noted(request, target::<inspection::State>(&id), work).await
    }

    async fn as_seen(
        &self,
        request: &Request,
        seen: SubmitInspection,
    ) -> Result<Command, Rejection> {
        let SubmitInspection { reservation_id, description, photos, estimate } = seen;
        let state = self.own_reservation(&request.caller.by, &reservation_id).await?;
        match state.status {
            Status::InUse | Status::Completed => {}
            Status::None
            | Status::Hold
            | Status::AwaitingPayment
            | Status::Reacquiring
            | Status::Confirmed
            | Status::HoldFailed
            | Status::HoldExpired
            | Status::Cancelled => {
                return Err(self.refused(reservation::Refusal::NotStarted, &reservation_id));
            }
        }
        let limit = self.settings().process.auto_charge_limit_minor;
        let currency = state.total.map(|total| total.currency).filter(|_| limit > 0);
        Ok(Command::Submit {
            reservation_id,
            user_id: state.user_id.ok_or(Rejection::NotFound("reservation"))?,
            description,
            photos,
            odometer_m: None,
            estimate,
            auto_charge_limit: currency.map(|currency| Money::new(limit, currency)),
        })
    }

    /// An operator has a damage charged, or says that nothing is owed. The doors have checked that it is
    /// one.
    pub async fn decide_damage_claim(
        &self,
        request: &Request,
        id: InspectionId,
        approve: bool,
        amount: Option<Money>,
    ) -> Result<InspectionAnswer, Rejection> {
        let (engine, asked) = (self.clone(), request.clone());
        let work = self.to_its_end(async move {
            let entered = engine.enter(&asked).await?;
            let done = match &entered.bound {
                Some(row) => Done::before(row),
                None => {
                    let by = asked.caller.by.clone();
                    let command = if approve {
                        Command::Approve { by, amount }
                    } else {
                        Command::Reject { by, reason: None }
                    };
                    let context = Context::of(&asked);
                    let recording =
                        engine.record::<inspection::State>(&asked, &id, command, context).await?;
                    Done { position: recording.position, replayed: recording.replayed }
                }
            };
            engine.inspected(id, done).await
        });
        self.noted(request, target::<inspection::State>(&id), work).await
    }

    async fn inspected(&self, id: InspectionId, done: Done) -> Result<InspectionAnswer, Rejection> {
        let state = self.load::<inspection::State>(&id).await?.state;
        Ok(InspectionAnswer { id, state, done })
    }
}

/// The inspection that a request makes.
fn inspection_of(request: &Request) -> InspectionId {
    InspectionId(derive(&[
        "inspection",
        &request.caller.actor.to_string(),
        request.operation,
        &request.key,
    ]))
}
