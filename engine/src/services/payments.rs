//! Paying: a request starts an attempt, the processes do the rest, the answer waits for the outcome.

use holdfast_domain::payment::{self, Flow, Status as Paid, Via};
use holdfast_domain::process::GatewayCall;
use holdfast_domain::reservation::{self, Claim, Status};
use holdfast_domain::{
    By, Money, PaymentId, RefundId, ReservationId, Timestamp, derive, inventory, limit, seatmap,
    vehicle,
};

use super::outcome::Awaited;
use super::{Entered, target};
use crate::dispatch::{Context, Failed};
use crate::ports::GatewayAnswer;
use crate::{Done, Engine, PaymentAnswer, PaymentOutcome, Rejection, Request, StartPayment};

impl Engine {
    /// Starts a payment attempt and waits until its outcome is known, for the set time at most. Its key is
    /// taken until then, or until its asker goes away after it was recorded.
    pub async fn start_payment(
        &self,
        request: &Request,
        wish: StartPayment,
    ) -> Result<PaymentAnswer, Rejection> {
        let id = wish.reservation_id;
        let (engine, begun) = (self.clone(), request.clone());
        let work = async {
            let (_entered, awaited, done) =
                self.to_its_end(async move { engine.begin_payment(&begun, wish).await }).await?;
            self.outcome(awaited, done).await
        };
        self.noted(request, target::<reservation::State>(&id), work).await
    }

    async fn begin_payment(
        &self,
        request: &Request,
        wish: StartPayment,
    ) -> Result<(Entered, Awaited, Done), Rejection> {
        let id = wish.reservation_id;
        let payment_id = id.payment_id();
        let entered = self.enter(request).await?;
        if let Some(row) = &entered.bound {
            let attempt = self.attempt_of(&id, row.first, row.last).await?;
            let awaited = Awaited { reservation_id: id, payment_id, attempt };
            let done = Done::before(row);
            return Ok((entered, awaited, done));
        }
        let gateway = wish.gateway.unwrap_or_else(|| self.settings().default_gateway.clone());
        self.0.gateway(&gateway)?;
        let state = self.own_reservation(&request.caller.by, &id).await?;
        let extend_to = self.extend_claims(request, &id, &state).await?;
        // Without a token the customer pays on the gateway's own page.
        let flow = if wish.hosted || wish.method.is_none() { Flow::Hosted } else { Flow::Direct };
        let command_id = request.command_id();
        let token = wish.method.filter(|_| flow == Flow::Direct);
        if let Some(token) = &token {
            let kept = self.0.side.put_method(command_id, token, self.now()).await;
            kept.map_err(|error| Rejection::Unavailable(error.to_string()))?;
        }
        let by = request.caller.by.clone();
        let command = reservation::Command::RequestPayment { by, gateway, flow, extend_to };
        let context = Context::of(request);
        let recorded = self.record::<reservation::State>(request, &id, command, context).await;
        let recording = match recorded {
            Ok(recording) => recording,
            Err(unknown @ Rejection::OutcomeUnknown(_)) => return Err(unknown),
            Err(rejection) => {
                if token.is_some() {
                    self.0.forget_method(command_id).await;
                }
                return Err(rejection);
            }
        };
        let requested = recording.events.iter().find_map(requested_attempt);
        let attempt = match (requested, recording.versions) {
            (Some(attempt), _) => attempt,
            (None, Some((first, last))) => self.attempt_of(&id, first, last).await?,
            (None, None) => return Err(Rejection::NotFound("payment")),
        };
        let done = Done { position: recording.position, replayed: recording.replayed };
        Ok((entered, Awaited { reservation_id: id, payment_id, attempt }, done))
    }

    async fn attempt_of(
        &self,
        id: &ReservationId,
        first: u64,
        last: u64,
    ) -> Result<u16, Rejection> {
        let events = self.0.dispatch.events_of::<reservation::State>(id, first, last).await?;
        events.iter().find_map(requested_attempt).ok_or(Rejection::NotFound("payment"))
    }

    /// A reservation, for those who may act for its owner; to others it is not there.
    pub(crate) async fn own_reservation(
        &self,
        by: &By,
        id: &ReservationId,
    ) -> Result<reservation::State, Rejection> {
        let state = self.load::<reservation::State>(id).await?.state;
        let mine = state.user_id.as_ref().is_some_and(|owner| by.may_act_for(owner));
        if mine { Ok(state) } else { Err(Rejection::NotFound("reservation")) }
    }

    /// Claims first, then the record: gives the deadline that every claim was extended to, or none when
    /// there is nothing to extend, or one could not be.
    async fn extend_claims(
        &self,
        request: &Request,
        id: &ReservationId,
        state: &reservation::State,
    ) -> Result<Option<Timestamp>, Rejection> {
        let open = match state.status {
            Status::Hold | Status::AwaitingPayment => !state.payment_open,
            Status::None
            | Status::Reacquiring
            | Status::Confirmed
            | Status::InUse
            | Status::Completed
            | Status::HoldFailed
            | Status::HoldExpired
            | Status::Cancelled => false,
        };
        let span = self.settings().payment_extension;
        if !open || state.extension_used || span.is_zero() {
            return Ok(None);
        }
        let wanted = self.now().plus(span).min(state.absolute_deadline);
        if state.hold_expires_at.is_none_or(|deadline| wanted <= deadline) {
            return Ok(None);
        }
        let extended = self.hold_claims_until(request, id, state, wanted).await;
        match extended {
            Ok(()) => Ok(Some(wanted)),
            // The hold still has its own deadline: paying in time needs no extension.
            Err(Failed::Refused(refusal, _)) => {
                tracing::info!(reservation = %id, %refusal, "a claim was not extended");
                Ok(None)
            }
            Err(Failed::Rejected(rejection) | Failed::Broken(rejection)) => Err(rejection),
        }
    }

    /// Extends every claim of a reservation to `deadline` and its grace.
    pub(crate) async fn hold_claims_until(
        &self,
        request: &Request,
        id: &ReservationId,
        state: &reservation::State,
        deadline: Timestamp,
    ) -> Result<(), Failed> {
        let reservation_id = *id;
        let epoch = state.claim_epoch;
        let expires_at = deadline.plus(self.grace());
        let dispatch = &self.0.dispatch;
        for claim in &state.claims {
            match claim {
                Claim::Limit { r#ref, .. } => {
                    let command = limit::Command::Extend { reservation_id, expires_at, epoch };
                    let context = extension(request, &r#ref.to_string(), id, expires_at);
                    dispatch.order::<limit::State>(r#ref, command, context).await.map(drop)?;
                }
                Claim::Inventory { r#ref, .. } => {
                    let command = inventory::Command::Extend { reservation_id, expires_at, epoch };
                    let context = extension(request, r#ref.as_str(), id, expires_at);
                    dispatch.order::<inventory::State>(r#ref, command, context).await.map(drop)?;
                }
                Claim::SeatMap { r#ref, .. } => {
                    let command = seatmap::Command::Extend { reservation_id, expires_at, epoch };
                    let context = extension(request, r#ref.as_str(), id, expires_at);
                    dispatch.order::<seatmap::State>(r#ref, command, context).await.map(drop)?;
                }
                Claim::Vehicle { r#ref } => {
                    let command =
                        vehicle::Command::ExtendReservation { reservation_id, expires_at, epoch };
                    let context = extension(request, r#ref.as_str(), id, expires_at);
                    dispatch.order::<vehicle::State>(r#ref, command, context).await.map(drop)?;
                }
            }
        }
        Ok(())
    }

    /// Asks the gateway what became of a payment, records it, and waits for the outcome.
    pub async fn confirm_payment(
        &self,
        request: &Request,
        payment_id: PaymentId,
    ) -> Result<PaymentAnswer, Rejection> {
        let work = async {
            let _entered = self.enter(request).await?;
            let (awaited, done) = self.own_payment(&request.caller.by, payment_id).await?;
            self.ask_gateway(request, awaited).await?;
            self.outcome(awaited, done).await
        };
        self.noted(request, target::<payment::State>(&payment_id), work).await
    }

    /// A payment's latest attempt, for those who may act for the owner of its reservation.
    async fn own_payment(
        &self,
        by: &By,
        payment_id: PaymentId,
    ) -> Result<(Awaited, Done), Rejection> {
        let missing = || Rejection::NotFound("payment");
        let loaded = self.load::<payment::State>(&payment_id).await?;
        let reservation_id = loaded.state.reservation_id.ok_or_else(missing)?;
        self.own_reservation(by, &reservation_id).await.map_err(|_| missing())?;
        let attempt = loaded.state.current().map(|row| row.attempt).ok_or_else(missing)?;
        let done = Done { position: loaded.position, replayed: false };
        Ok((Awaited { reservation_id, payment_id, attempt }, done))
    }

    async fn ask_gateway(&self, request: &Request, awaited: Awaited) -> Result<(), Rejection> {
        let Awaited { reservation_id, payment_id, attempt } = awaited;
        let open = self.look::<payment::State, _>(&payment_id, move |state| {
            let row = state.attempt(attempt)?;
            let open = matches!(row.status, Paid::Pending | Paid::RequiresAction);
            open.then(|| (row.gateway.clone(), row.key.clone()))
        });
        let Some((gateway, key)) = open.await? else { return Ok(()) };
        let port = self.0.gateway(&gateway)?.clone();
        let call = GatewayCall::Query { payment_id, attempt, gateway, key };
        let answer = tokio::select! {
            answer = port.call(&call, None) => answer,
            () = self.0.house.clock.sleep(self.settings().gateway_timeout) => {
                GatewayAnswer::Unknown("no answer in time".into())
            }
        };
        let words = match answer {
            GatewayAnswer::Said(words) => words,
            GatewayAnswer::NothingKnown | GatewayAnswer::Unknown(_) => return Ok(()),
        };
        for word in words {
            let content = serde_json::to_string(&word).expect("words are plain data");
            let context = Context::step(request, &["word", &content]).about(Some(reservation_id));
            let record =
                payment::Command::Record { attempt, via: Via::Poll, gateway_event_id: None, word };
            let recorded =
                self.0.dispatch.order::<payment::State>(&payment_id, record, context).await;
            recorded.map_err(|failed| failed.rejection(&payment_id.to_string()))?;
        }
        Ok(())
    }

    /// An operator gives captured money back, all that is left or a part.
    pub async fn refund_payment(
        &self,
        request: &Request,
        payment_id: PaymentId,
        amount: Option<Money>,
        reason: Option<String>,
    ) -> Result<PaymentAnswer, Rejection> {
        let (engine, asked) = (self.clone(), request.clone());
        let work = self.to_its_end(async move {
            let entered = engine.enter(&asked).await?;
            let (awaited, _) = engine.own_payment(&asked.caller.by, payment_id).await?;
            let done = match &entered.bound {
                Some(row) => Done::before(row),
                None => {
                    if let Some(reason) = reason {
                        tracing::info!(payment = %payment_id, reason, "a refund was asked for");
                    }
                    let refund_id = RefundId(derive(&["refund", &asked.command_id().to_string()]));
                    let reason = payment::BackReason::Operator;
                    let command = payment::Command::Refund { refund_id, amount, reason };
                    let context = Context::of(&asked).about(Some(awaited.reservation_id));
                    let recording = engine
                        .record::<payment::State>(&asked, &payment_id, command, context)
                        .await?;
                    Done { position: recording.position, replayed: recording.replayed }
                }
            };
            let payment = engine.load::<payment::State>(&payment_id).await?.state;
            let reservation =
                engine.load::<reservation::State>(&awaited.reservation_id).await?.state;
            Ok(PaymentAnswer {
                payment_id,
                payment,
                reservation_id: awaited.reservation_id,
                reservation,
                outcome: PaymentOutcome::Settled,
                done,
            })
        });
        self.noted(request, target::<payment::State>(&payment_id), work).await
    }
}

/// Named by the deadline too: the same request, made again after a refusal, asks for a later one.
fn extension(request: &Request, resource: &str, id: &ReservationId, until: Timestamp) -> Context {
    Context::step(request, &["extend", resource, &until.micros().to_string()]).about(Some(*id))
}

fn requested_attempt(event: &reservation::Event) -> Option<u16> {
    if let reservation::Event::PaymentRequested { attempt, .. } = event {
        Some(*attempt)
    } else {
        None
    }
}
