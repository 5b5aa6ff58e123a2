//! The engine as the house sees it: started from its parts, asked by the doors, stopped at the end.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use holdfast_domain::process::{Alarm, Command, GatewayCall, Process};
use holdfast_domain::{PaymentId, ReservationId, Timestamp, reservation};
use holdfast_schemas::StoredEvent;
use holdfast_store::{EventStore, Filter, Position, StreamId};
use tokio::sync::watch;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::Rejection;
use crate::clock::Steady;
use crate::dispatch::{
    AsOf, Context, Dispatch, House, Loaded, command_of, fold, stream_name, stream_of,
};
use crate::follow::Index;
use crate::health::LinkState;
use crate::hosted::Hosted;
use crate::patience::Waiting;
use crate::ports::{Clock, Gateway, Ids, VehicleLink};
use crate::runner::{RunnerError, Worker};
use crate::running::{Died, Running, Tasks};
use crate::settings::{Protections, Settings};
use crate::side::{Side, SideError};
use crate::snapshots::Snapshots;

/// How many alarms are kept for the health page.
const ALARMS: usize = 100;
/// How long an unused token of a payment method is kept.
const TOKENS_LIVE: Duration = Duration::from_secs(24 * 3_600);

/// What an engine is made of.
pub struct Parts {
    /// The log.
    pub store: Arc<dyn EventStore>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// New names.
    pub ids: Arc<dyn Ids>,
    /// Where money comes from.
    pub gateways: Vec<Arc<dyn Gateway>>,
    /// The way to the vehicles.
    pub vehicles: Arc<dyn VehicleLink>,
    /// What stands beside the log.
    pub side: Side,
    /// Where states of long streams are kept, so that they load fast.
    pub snapshots: Snapshots,
    /// Numbers.
    pub settings: Settings,
}

/// The engine. Clones are the same engine.
#[derive(Clone)]
pub struct Engine(pub(crate) Arc<Core>);

/// What the engine's rooms share.
pub(crate) struct Core {
    pub(crate) house: Arc<House>,
    pub(crate) dispatch: Dispatch,
    pub(crate) side: Side,
    pub(crate) index: Index,
    gateways: BTreeMap<&'static str, Arc<dyn Gateway>>,
    pub(crate) vehicles: Arc<dyn VehicleLink>,
    pub(crate) workers: RwLock<Vec<Arc<Worker>>>,
    /// Requests that outlive their askers.
    pub(crate) tasks: Tasks,
    /// What is performed on account of facts.
    pub(crate) lanes: Tasks,
    /// Nothing new is taken up.
    pub(crate) halt: watch::Sender<bool>,
    /// What is under way ends at its next wait.
    pub(crate) stop: watch::Sender<bool>,
    alarms: Mutex<VecDeque<(Timestamp, Alarm)>>,
    stirred: watch::Sender<u64>,
    reconciled: Mutex<Option<Reconciled>>,
    link: Mutex<LinkState>,
}

/// When payments that are not at rest were last asked about, and how many there were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reconciled {
    /// When.
    pub at: Timestamp,
    /// How many.
    pub asked: usize,
}

/// Why the engine does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log cannot be read.
    #[error("{0}")]
    Read(#[from] holdfast_store::ReadError),
    /// The side file does not answer.
    #[error("{0}")]
    Side(#[from] SideError),
    /// A consumer cannot begin.
    #[error("{0}")]
    Runner(#[from] RunnerError),
    /// A part died before it had caught up with the log.
    #[error("{0}")]
    Died(#[from] Died),
    /// The log was rolled back, or the side file belongs to another one.
    #[error(
        "{consumer} has seen position {checkpoint}, but the log ends at {head}: it was set back. Bring \
         the newer log back (a backup, log/cut-N). If this one is meant: `holdfast rebuild --all`, \
         then start again; keep side.sqlite, it holds the signing keys"
    )]
    CheckpointAhead {
        /// Who has seen it.
        consumer: &'static str,
        /// What it has seen.
        checkpoint: Position,
        /// Where the log ends.
        head: Position,
    },
}

impl Engine {
    /// Starts an engine: catches up with the log, then runs processes, timers and reconciliation.
    pub async fn start(parts: Parts) -> Result<(Engine, Running), StartError> {
        Self::start_with(parts, Protections::default(), &Process::ALL).await
    }

    pub(crate) async fn start_with(
        parts: Parts,
        protections: Protections,
        processes: &[Process],
    ) -> Result<(Engine, Running), StartError> {
        let Parts { store, clock, ids, gateways, vehicles, side, snapshots, settings } = parts;
        let snapshots = if settings.snapshot_every == 0 { Snapshots::none() } else { snapshots };
        let floor = last_moment(&*store, settings.clock_jump).await?;
        let jump = if protections.steady_clock { settings.clock_jump } else { Duration::MAX };
        let clock = Steady::new(clock, floor, jump, settings.clock_grace);
        let house = Arc::new(House {
            store,
            clock,
            ids,
            snapshots,
            settings,
            protections,
            waiting: Waiting::default(),
        });
        let followers = ["keys", crate::fleet::CONSUMER];
        for consumer in followers.into_iter().chain(Process::ALL.map(Process::name)) {
            let checkpoint = side.checkpoint(consumer).await?;
            let head = house.store.head();
            if checkpoint > head {
                return Err(StartError::CheckpointAhead { consumer, checkpoint, head });
            }
        }
        let core = Arc::new(Core {
            dispatch: Dispatch::new(house.clone()),
            index: Index::new(house.clone(), side.clone()),
            gateways: gateways.into_iter().map(|gateway| (gateway.name(), gateway)).collect(),
            vehicles,
            workers: RwLock::default(),
            tasks: Tasks::default(),
            lanes: Tasks::default(),
            halt: watch::Sender::new(false),
            stop: watch::Sender::new(false),
            alarms: Mutex::default(),
            stirred: watch::Sender::new(0),
            reconciled: Mutex::default(),
            link: Mutex::default(),
            house,
            side,
        });
        let mut running = Running { core: core.clone(), parts: JoinSet::new() };
        running.begin(processes).await?;
        Ok((Engine(core), running))
    }

    /// An aggregate as the log has it now.
    pub async fn load<D: Hosted>(&self, id: &D::Id) -> Result<Loaded<D>, Rejection> {
        let loaded = self.0.dispatch.look::<D, _>(id, |view| Loaded {
            state: view.state.clone(),
            version: view.version,
            position: view.position,
        });
        loaded.await
    }

    /// An aggregate as the log told it then; none when it had no event yet.
    pub async fn load_as_of<D: Hosted>(
        &self,
        id: &D::Id,
        upto: AsOf,
    ) -> Result<Option<Loaded<D>>, Rejection> {
        fold::<D>(&self.0.house, id, upto).await
    }

    /// Looks at an aggregate as the log has it now, without copying it.
    pub async fn look<D: Hosted, R: Send + 'static>(
        &self,
        id: &D::Id,
        look: impl FnOnce(&D) -> R + Send + 'static,
    ) -> Result<R, Rejection> {
        self.0.dispatch.look::<D, _>(id, |view| look(view.state)).await
    }

    /// Takes one bare command to its stream, as a part of the house does: no key, no cap, nothing else
    /// acquired. No door asks like this; it is what the hot path alone costs (`benches/`).
    #[doc(hidden)]
    pub async fn order(&self, id: Uuid, command: &Command) -> Result<Position, Rejection> {
        let context = Context::system("bench", id, None);
        let done = self.0.dispatch.run(command, context).await;
        done.map_err(|failed| failed.rejection("command"))
    }

    /// The log.
    pub fn store(&self) -> &Arc<dyn EventStore> {
        &self.0.house.store
    }

    /// The moment by which commands are judged.
    pub fn now(&self) -> Timestamp {
        self.0.house.now()
    }

    /// Where states of long streams are kept.
    pub fn snapshots(&self) -> &Snapshots {
        &self.0.house.snapshots
    }

    /// The engine's numbers.
    pub fn settings(&self) -> &Settings {
        &self.0.house.settings
    }

    /// What stands beside the log.
    pub fn side(&self) -> &Side {
        &self.0.side
    }

    /// Waits until everything that follows from the log so far is done, but for what waits for the
    /// clock.
    pub async fn quiet(&self) {
        let mut stirred = self.0.stirred.subscribe();
        loop {
            stirred.borrow_and_update();
            let workers = self.0.workers();
            let head = self.0.house.store.head();
            let seen = self.0.index.position() >= head && self.fleet().position() >= head;
            if seen && workers.iter().all(|worker| worker.is_quiet()) {
                return;
            }
            // The follower of the log stirs nobody: it is looked at again soon.
            let soon = Duration::from_millis(1);
            let stirred = tokio::time::timeout(soon, stirred.changed()).await;
            if matches!(stirred, Ok(Err(_))) {
                return;
            }
        }
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.0
    }
}

impl Core {
    pub(crate) fn now(&self) -> Timestamp {
        self.house.now()
    }

    pub(crate) fn gateway(&self, name: &str) -> Result<&Arc<dyn Gateway>, Rejection> {
        self.gateways.get(name).ok_or_else(|| {
            Rejection::InvalidInput(format!("there is no payment gateway called {name:?}"))
        })
    }

    pub(crate) fn workers(&self) -> Vec<Arc<Worker>> {
        self.workers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn worker(&self, consumer: &str) -> Option<Arc<Worker>> {
        self.workers().into_iter().find(|worker| worker.process.name() == consumer)
    }

    pub(crate) fn stirred(&self) {
        self.stirred.send_modify(|count| *count = count.wrapping_add(1));
    }

    pub(crate) fn alarm(&self, alarm: Alarm) {
        let now = self.now();
        let mut alarms = self.alarms.lock().unwrap_or_else(PoisonError::into_inner);
        if alarms.len() == ALARMS {
            alarms.pop_front();
        }
        alarms.push_back((now, alarm));
    }

    pub(crate) fn alarms(&self) -> Vec<(Timestamp, Alarm)> {
        self.alarms.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    pub(crate) fn link(&self) -> LinkState {
        self.link.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_link(&self, state: LinkState) {
        *self.link.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    pub(crate) fn reconciled(&self) -> Option<Reconciled> {
        *self.reconciled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The customer's token for the attempt that a call creates, with the command that brought it.
    /// That command's id stands in the metadata of the reservation's PaymentRequested.
    pub(crate) async fn method_of(
        &self,
        _: PaymentId,
        attempt: u16,
        call: &GatewayCall,
    ) -> Result<Option<(Uuid, String)>, String> {
        let reservation = match call {
            // On the means of an earlier intent: nobody gave a token for it.
            GatewayCall::Create { again_of: Some(_), .. } => return Ok(None),
            GatewayCall::Create { reservation_id, again_of: None, .. } => *reservation_id,
            GatewayCall::Void { create, gateway_ref: None, .. } => match **create {
                GatewayCall::Create { reservation_id, again_of: None, .. } => reservation_id,
                GatewayCall::Create { again_of: Some(_), .. }
                | GatewayCall::Query { .. }
                | GatewayCall::Capture { .. }
                | GatewayCall::Void { .. }
                | GatewayCall::Refund { .. } => return Ok(None),
            },
            GatewayCall::Void { .. }
            | GatewayCall::Query { .. }
            | GatewayCall::Capture { .. }
            | GatewayCall::Refund { .. } => return Ok(None),
        };
        let Some(command) =
            self.requested_by(reservation, attempt).await.map_err(|e| e.to_string())?
        else {
            return Ok(None);
        };
        let token = self.side.method(command).await.map_err(|error| error.to_string())?;
        Ok(token.map(|token| (command, token)))
    }

    async fn requested_by(
        &self,
        id: ReservationId,
        wanted: u16,
    ) -> Result<Option<Uuid>, Rejection> {
        let stream = stream_name::<reservation::State>(&id);
        let events = stream_of(&self.house, &stream).await?;
        let requested = events.iter().find(|event| {
            let fact = reservation::Event::decode(&event.kind, event.schema_version, &event.data);
            matches!(
                fact,
                Ok(reservation::Event::PaymentRequested { attempt, .. }) if attempt == wanted
            )
        });
        Ok(requested.and_then(command_of))
    }

    pub(crate) async fn forget_method(&self, command_id: Uuid) {
        if let Err(error) = self.side.forget_method(command_id).await {
            // It is let go with the others of its age.
            tracing::error!(%error, "a used token was not deleted yet");
        }
    }

    pub(crate) async fn reconcile(&self) {
        let Some(worker) = self.worker(Process::Payment.name()) else { return };
        let asked = worker.reconcile(worker.open_payments()).await;
        metrics::gauge!("holdfast_open_payments").set(asked as f64);
        let now = self.now();
        *self.reconciled.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Reconciled { at: now, asked });
    }

    pub(crate) async fn sweep(&self) {
        self.dispatch.evict_idle();
        for worker in self.workers() {
            if let Err(error) = worker.sweep().await {
                tracing::error!(%error, "timers were not compared with what is written down");
            }
        }
        let now = self.now();
        let retention = now.minus(self.house.settings.idempotency_retention);
        if let Err(error) = self.side.forget_before(retention, now.minus(TOKENS_LIVE)).await {
            tracing::error!(%error, "old answers and keys were not let go");
        }
    }
}

/// When the last event was recorded. When its store's clock was far ahead of the engine's (somebody
/// had set the wall clock, and it was not believed), the engine's own moment counts.
async fn last_moment(
    store: &dyn EventStore,
    jump: Duration,
) -> Result<Timestamp, holdfast_store::ReadError> {
    let head = store.head();
    if head == Position::ZERO {
        return Ok(Timestamp::default());
    }
    let page = store.read_all(head, &Filter::All, 1).await?;
    let Some(event) = page.events.first() else { return Ok(Timestamp::default()) };
    let recorded = Timestamp::from_micros(event.recorded_at_micros);
    let occurred = holdfast_schemas::Metadata::decode(&event.metadata)
        .map_or(recorded, |metadata| metadata.occurred_at);
    Ok(if recorded.since(occurred) > jump { occurred } else { recorded })
}

/// The streams of a reservation and its payment.
pub(crate) fn streams_of(reservation: &ReservationId, payment: &PaymentId) -> [StreamId; 2] {
    [
        stream_name::<reservation::State>(reservation),
        stream_name::<holdfast_domain::payment::State>(payment),
    ]
}

/// Letters that are not settled, by consumer.
pub(crate) type OpenLetters = BTreeMap<String, HashSet<Uuid>>;
