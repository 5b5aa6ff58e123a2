//! Performing what a process asks for: commands, timers, gateway calls, alarms.
//!
//! Names follow from the fact: `uuid5(process, position, index[, step])`, or from a timer's name and
//! its due time. So whatever is performed twice has the same names twice, and takes effect once.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::FutureExt;
use holdfast_domain::payment::{self, Status, Via};
use holdfast_domain::process::{Alarm, Ask, Command, GatewayCall, TimerKey};
use holdfast_domain::{
    PaymentId, ReservationId, Timestamp, derive, inventory, limit, seatmap, vehicle,
};
use uuid::Uuid;

use super::parking::{Trouble, told};
use super::{Work, Worker};
use crate::Rejection;
use crate::dispatch::{Context, Failed, View};
use crate::ports::GatewayAnswer;
use crate::side::{TimerName, TimerRow};

/// Gateways forget keys after a day at the earliest; what is nearly as old is asked for first.
const KEYS_LIVE: Duration = Duration::from_secs(23 * 3_600);

/// The longest wait for a store that takes nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// The fact (or letter) that something is performed for.
#[derive(Clone, Debug)]
pub(crate) struct Cause {
    pub(crate) position: u64,
    pub(crate) event_id: Uuid,
    /// When it was recorded.
    pub(crate) at: Timestamp,
    pub(crate) lane: Option<String>,
}

/// Why it was not done; it may go better the next time.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) text: String,
    /// Whether what comes behind it has to wait. A silent gateway holds nobody up: reconciliation
    /// asks it again, whatever the dead letters say.
    pub(super) parks_lane: bool,
}

impl Worker {
    /// The name of a fact's n-th ask.
    pub(super) fn ask_id(&self, position: u64, index: usize) -> Uuid {
        derive(&["ask", self.process.name(), &position.to_string(), &index.to_string()])
    }

    /// Does a job to its end: done, or parked.
    pub(super) async fn perform(self: &Arc<Self>, lane: &str, work: &Work) {
        match work {
            Work::Fact { event, asks } => {
                let cause = Cause {
                    position: event.position.0,
                    event_id: event.id,
                    at: Timestamp::from_micros(event.recorded_at_micros),
                    lane: Some(lane.to_owned()),
                };
                for (index, ask) in asks.iter().enumerate() {
                    let id = self.ask_id(event.position.0, index);
                    if self.is_parked(lane, event.position.0) {
                        self.park_behind(id, ask, &cause, lane).await;
                    } else {
                        self.insist(id, ask, &cause).await;
                    }
                }
            }
            Work::Poison { event, error } => {
                let position = event.position.0.to_string();
                let id = derive(&["letter", self.process.name(), &position]);
                let cause = Cause {
                    position: event.position.0,
                    event_id: event.id,
                    at: Timestamp::from_micros(event.recorded_at_micros),
                    lane: Some(lane.to_owned()),
                };
                let first_failed_at = self.core.house.now();
                let trouble =
                    Trouble { ask: None, error: error.clone(), attempts: 1, first_failed_at };
                self.park(id, &cause, Some(lane), trouble).await;
            }
            Work::Fired(row) => {
                let due = row.due.micros().to_string();
                let id = derive(&["timer", self.process.name(), &row.key, &due]);
                let cause = Cause {
                    position: 0,
                    event_id: row.event_id,
                    at: row.due,
                    lane: Some(lane.to_owned()),
                };
                self.insist(id, &row.ask, &cause).await;
                if self.timers().done(&row.key, row.due) {
                    self.progress().timer(row.key.clone(), None);
                }
            }
            Work::Redrive(id, letter) => self.redo(*id, letter).await,
            Work::Again { asks, name } => {
                let at = self.core.house.now();
                let lane = Some(lane.to_owned());
                let cause = Cause { position: 0, event_id: *name, at, lane };
                for (index, ask) in asks.iter().enumerate() {
                    let id = derive(&["again", &name.to_string(), &index.to_string()]);
                    if let Err(failure) = self.try_ask(ask, id, &cause).await {
                        // The next reconciliation comes in an hour, whatever happens.
                        tracing::warn!(error = failure.text, "not reconciled yet");
                    }
                }
            }
        }
    }

    async fn park_behind(&self, id: Uuid, ask: &Ask, cause: &Cause, lane: &str) {
        let trouble = Trouble {
            ask: Some(ask.clone()),
            error: "an earlier fact of the same reservation is parked".into(),
            attempts: 0,
            first_failed_at: self.core.house.now(),
        };
        self.park(id, cause, Some(lane), trouble).await;
    }

    /// Tries, waits, tries again; parks what still fails. Trouble of the store is no failure: each try
    /// waits until that is over.
    async fn insist(self: &Arc<Self>, id: Uuid, ask: &Ask, cause: &Cause) {
        let settings = &self.core.house.settings;
        let mut first_failed_at = None;
        let mut attempts = 0;
        loop {
            let tried = AssertUnwindSafe(self.try_ask(ask, id, cause)).catch_unwind().await;
            let panicked =
                |_| Err(Failure { text: "performing it panicked".into(), parks_lane: true });
            let Err(failure) = tried.unwrap_or_else(panicked) else { return };
            attempts += 1;
            let since = *first_failed_at.get_or_insert_with(|| self.core.house.now());
            if attempts > settings.retries {
                // Nobody depends on what only clears away; what has lapsed is free without it.
                let holds_up = failure.parks_lane && !only_clears_away(ask);
                let lane = cause.lane.as_deref().filter(|_| holds_up);
                let trouble = Trouble {
                    ask: Some(ask.clone()),
                    error: failure.text,
                    attempts,
                    first_failed_at: since,
                };
                self.park(id, cause, lane, trouble).await;
                return;
            }
            let wait = settings.retry_base * 2u32.pow(attempts - 1);
            let process = self.process.name();
            tracing::warn!(process, ask = %id, attempts, error = failure.text, "trying again");
            metrics::counter!("holdfast_retries_total", "process" => process).increment(1);
            self.back_off(self.core.house.about(wait)).await;
        }
    }

    /// Asks until the store answers: its trouble is nobody's fault, so it counts as no try and parks
    /// nothing. Ends with the runner at the latest.
    pub(super) async fn patiently<T, F>(&self, mut work: impl FnMut() -> F) -> Result<T, Failed>
    where
        F: Future<Output = Result<T, Failed>>,
    {
        let mut wait = self.core.house.settings.retry_base;
        loop {
            let failed = match work().await {
                Err(failed) if failed.is_passing() => failed,
                outcome => return outcome,
            };
            let process = self.process.name();
            tracing::warn!(process, error = told(failed), "waiting for the store");
            metrics::counter!("holdfast_store_waits_total", "process" => process).increment(1);
            self.back_off(self.core.house.about(wait).min(PATIENCE)).await;
            wait = (wait * 2).min(PATIENCE);
        }
    }

    pub(super) async fn back_off(&self, wait: Duration) {
        let sleep = self.core.house.clock.sleep(wait);
        self.backing_off.fetch_add(1, Ordering::AcqRel);
        self.core.stirred();
        sleep.await;
        self.backing_off.fetch_sub(1, Ordering::AcqRel);
    }

    /// One try.
    pub(super) async fn try_ask(
        self: &Arc<Self>,
        ask: &Ask,
        id: Uuid,
        cause: &Cause,
    ) -> Result<(), Failure> {
        match ask {
            Ask::Do(command) => self.command(command, id, id, cause).await.map(|_| ()),
            Ask::Steps(commands) => {
                for (step, command) in commands.iter().enumerate() {
                    let step_id = derive(&["step", &id.to_string(), &step.to_string()]);
                    if !self.command(command, step_id, id, cause).await? {
                        break;
                    }
                }
                Ok(())
            }
            Ask::Wake { key, at, then } => {
                self.wake(key, *at, then, cause.lane.as_deref(), cause.event_id);
                Ok(())
            }
            Ask::Forget(key) => {
                self.forget(key);
                Ok(())
            }
            Ask::Gateway(call) => self.call(call, id, cause).await,
            Ask::Vehicle(call) => self.send(call).await,
            Ask::Assign { reservation_id, epoch } => {
                self.assign(reservation_id, *epoch, id, cause).await
            }
            Ask::Charge(charge) => self.charge(charge, id, cause).await,
            Ask::Alarm(alarm) => {
                self.alarm(alarm);
                Ok(())
            }
        }
    }

    /// Sets a timer on account of that event.
    pub(super) fn wake(
        &self,
        key: &TimerKey,
        at: Timestamp,
        then: &Ask,
        lane: Option<&str>,
        event_id: Uuid,
    ) {
        let key = TimerName::from(key.to_string());
        let row = Arc::new(TimerRow {
            lane: lane.unwrap_or(&key).to_owned(),
            key: key.clone(),
            due: at,
            event_id,
            ask: then.clone(),
        });
        // The same row in memory and on its way to the file.
        self.progress().timer(key, Some(row.clone()));
        self.timers().set(row);
    }

    /// Takes a timer away.
    pub(super) fn forget(&self, key: &TimerKey) {
        let key = TimerName::from(key.to_string());
        self.timers().forget(&key);
        self.progress().timer(key, None);
    }

    /// One command; false when it was refused, and what then follows is done.
    async fn command(
        self: &Arc<Self>,
        command: &Command,
        id: Uuid,
        ask_id: Uuid,
        cause: &Cause,
    ) -> Result<bool, Failure> {
        let about: Option<ReservationId> = cause.lane.as_ref().and_then(|lane| lane.parse().ok());
        let context = Context::system(self.process.name(), id, Some(cause.event_id.to_string()));
        let context = context.about(about);
        let done = self.patiently(|| self.core.dispatch.run(command, context.clone()));
        match done.await {
            Ok(_) => Ok(true),
            Err(Failed::Refused(refusal, _)) => {
                tracing::debug!(process = self.process.name(), ?command, %refusal, "refused");
                let instead = self.process.refused(command, &refusal);
                for (index, ask) in instead.iter().enumerate() {
                    let id = derive(&["instead", &ask_id.to_string(), &index.to_string()]);
                    Box::pin(self.try_ask(ask, id, cause)).await?;
                }
                Ok(false)
            }
            Err(failed @ (Failed::Rejected(_) | Failed::Broken(_))) => {
                Err(Failure { text: told(failed), parks_lane: true })
            }
        }
    }

    /// Calls the gateway and records what it says.
    async fn call(
        self: &Arc<Self>,
        call: &GatewayCall,
        id: Uuid,
        cause: &Cause,
    ) -> Result<(), Failure> {
        let trouble = |text: String| Failure { text, parks_lane: true };
        let (payment_id, attempt) = about(call);
        let wanted = self.patiently(|| {
            let asked = call.clone();
            let look = move |view: View<'_, payment::State>| is_wanted(view.state, &asked);
            self.core.dispatch.try_look::<payment::State, _>(&payment_id, look)
        });
        if !wanted.await.map_err(|failed| trouble(told(failed)))? {
            return Ok(());
        }
        let call = self.by_age(call, cause);
        let gateway =
            self.core.gateway(gateway_of(&call)).map_err(|error| trouble(error.to_string()))?;
        let method = self.patiently(|| async {
            let method = self.core.method_of(payment_id, attempt, &call).await;
            method.map_err(|why| Failed::Rejected(Rejection::Unavailable(why)))
        });
        let method = method.await.map_err(|failed| trouble(told(failed)))?;
        let token = method.as_ref().map(|(_, token)| token.as_str());
        let started = self.core.house.clock.monotonic();
        let answer = tokio::select! {
            answer = gateway.call(&call, token) => answer,
            () = self.core.house.clock.sleep(self.core.house.settings.gateway_timeout) => {
                GatewayAnswer::Unknown("no answer in time".into())
            }
        };
        let took = self.core.house.clock.monotonic().saturating_sub(started);
        metrics::histogram!("holdfast_gateway_seconds", "gateway" => gateway.name())
            .record(took.as_secs_f64());
        match answer {
            GatewayAnswer::Said(words) => {
                let via =
                    if matches!(call, GatewayCall::Query { .. }) { Via::Poll } else { Via::Sync };
                for word in words {
                    // By its content: a gateway that says something new later is heard again.
                    let content = serde_json::to_string(&word).expect("words are plain data");
                    let word_id = derive(&["word", &id.to_string(), &content]);
                    let record =
                        payment::Command::Record { attempt, via, gateway_event_id: None, word };
                    let command = Command::Payment(payment_id, record);
                    Box::pin(self.command(&command, word_id, word_id, cause)).await?;
                }
                if let Some((command_id, _)) = method {
                    self.core.forget_method(command_id).await;
                }
                Ok(())
            }
            GatewayAnswer::NothingKnown => Ok(()),
            GatewayAnswer::Unknown(why) => match call {
                // Polls find out; the attempt stays what it is (D10).
                GatewayCall::Create { .. } | GatewayCall::Query { .. } => {
                    tracing::warn!(payment = %payment_id, attempt, why, "the gateway's answer is unknown");
                    Ok(())
                }
                GatewayCall::Capture { .. }
                | GatewayCall::Void { .. }
                | GatewayCall::Refund { .. } => Err(Failure { text: why, parks_lane: false }),
            },
        }
    }

    /// A create that is nearly as old as its key lives is not sent again blindly.
    fn by_age(&self, call: &GatewayCall, cause: &Cause) -> GatewayCall {
        let old = self.core.house.now().since(cause.at) > KEYS_LIVE;
        match call {
            GatewayCall::Create { payment_id, attempt, gateway, key, .. } if old => {
                GatewayCall::Query {
                    payment_id: *payment_id,
                    attempt: *attempt,
                    gateway: gateway.clone(),
                    key: key.clone(),
                }
            }
            GatewayCall::Create { .. }
            | GatewayCall::Query { .. }
            | GatewayCall::Capture { .. }
            | GatewayCall::Void { .. }
            | GatewayCall::Refund { .. } => call.clone(),
        }
    }

    fn alarm(&self, alarm: &Alarm) {
        tracing::error!(?alarm, "ALARM");
        let kind = match alarm {
            Alarm::Oversold { .. } => "oversold",
            Alarm::MoneyLost { .. } => "money_lost",
            Alarm::AmountMismatch { .. } => "amount_mismatch",
            Alarm::GatewayRefuses { .. } => "gateway_refuses",
            Alarm::Chargeback { .. } => "chargeback",
            Alarm::VehicleUnlockedByNobody { .. } => "vehicle_unlocked_by_nobody",
            Alarm::VehicleLockFailed { .. } => "vehicle_lock_failed",
            Alarm::NoVehicle { .. } => "no_vehicle",
            Alarm::VehicleSilent { .. } => "vehicle_silent",
            Alarm::SpoofedAnswer { .. } => "spoofed_answer",
            Alarm::UnlockedInVain { .. } => "unlocked_in_vain",
            Alarm::ChargeFailed { .. } => "charge_failed",
            Alarm::OdometerAnomaly { .. } => "odometer_anomaly",
        };
        metrics::counter!("holdfast_alarms_total", "kind" => kind).increment(1);
        self.core.alarm(alarm.clone());
    }
}

/// Whether an ask does no more than drop what has lapsed.
fn only_clears_away(ask: &Ask) -> bool {
    match ask {
        Ask::Do(
            Command::SeatMap(_, seatmap::Command::DropLapsed { .. })
            | Command::Inventory(_, inventory::Command::DropLapsed { .. })
            | Command::Limit(_, limit::Command::DropLapsed { .. })
            | Command::Vehicle(_, vehicle::Command::DropLapsed { .. }),
        ) => true,
        Ask::Wake { then, .. } => only_clears_away(then),
        Ask::Do(_)
        | Ask::Steps(_)
        | Ask::Forget(_)
        | Ask::Gateway(_)
        | Ask::Charge(_)
        | Ask::Vehicle(_)
        | Ask::Assign { .. }
        | Ask::Alarm(_) => false,
    }
}

fn about(call: &GatewayCall) -> (PaymentId, u16) {
    match call {
        GatewayCall::Create { payment_id, attempt, .. }
        | GatewayCall::Query { payment_id, attempt, .. }
        | GatewayCall::Capture { payment_id, attempt, .. }
        | GatewayCall::Void { payment_id, attempt, .. }
        | GatewayCall::Refund { payment_id, attempt, .. } => (*payment_id, *attempt),
    }
}

fn gateway_of(call: &GatewayCall) -> &str {
    match call {
        GatewayCall::Create { gateway, .. }
        | GatewayCall::Query { gateway, .. }
        | GatewayCall::Capture { gateway, .. }
        | GatewayCall::Void { gateway, .. }
        | GatewayCall::Refund { gateway, .. } => gateway,
    }
}

/// Whether a call still serves anything: a fact that is seen again long after is answered by what has
/// become of the payment since.
fn is_wanted(state: &payment::State, call: &GatewayCall) -> bool {
    let (_, attempt) = about(call);
    let Some(row) = state.attempt(attempt) else { return false };
    match call {
        GatewayCall::Create { .. } => row.status == Status::Pending && row.gateway_ref.is_none(),
        GatewayCall::Query { .. } => {
            matches!(
                row.status,
                Status::Pending
                    | Status::RequiresAction
                    | Status::CaptureRequested
                    | Status::VoidRequested
            ) || row.pending_refunds().next().is_some()
        }
        GatewayCall::Capture { r#try, .. } => {
            row.status == Status::CaptureRequested && row.capture_try == *r#try
        }
        GatewayCall::Void { r#try, .. } => {
            row.status == Status::VoidRequested && row.void_try == *r#try
        }
        GatewayCall::Refund { refund_id, r#try, .. } => {
            row.refund(*refund_id).is_some_and(|refund| !refund.done && refund.r#try == *r#try)
        }
    }
}
