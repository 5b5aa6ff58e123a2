//! Vehicles that are not there: each with a connection of its own, on any broker, that obey, dawdle,
//! vanish, come back, repeat themselves and lie about their clock, as a seed has it.
//!
//! ```text
//!   cmd ─► retained? not signed by Holdfast? ─► not a word
//!          seen this id? ─► the same answer again, without acting
//!          after exp? ─► EXPIRED           will not, or cannot? ─► REJECTED, JAMMED
//!          (dawdle) ─► act ─► UNLOCKED or LOCKED, once or more often
//! ```
//!
//! They keep their side of the contract, whatever the seed: that is what makes them useful to test ours.
//! One task each, no threads: a thousand of them fit into a process beside the server.

mod car;
mod driver;
mod temper;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use holdfast_domain::VehicleId;
use holdfast_schemas::mqtt::{Key, Word};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::Broker;

pub use temper::Temper;

/// One vehicle that is to be.
#[derive(Clone, Debug)]
pub struct VehicleSpec {
    /// Its id: user name and client id, too.
    pub id: VehicleId,
    /// Its password at the broker.
    pub password: String,
    /// Its key.
    pub key: Key,
    /// What its odometer shows, in metres.
    pub odometer_m: u64,
    /// What is in its tank, in percent.
    pub fuel_pct: u8,
    /// Where it stands: latitude and longitude in degrees.
    pub position: (f64, f64),
}

/// How they are.
#[derive(Clone, Debug)]
pub struct SimulatorConfig {
    /// Where they connect; each as itself.
    pub broker: Broker,
    /// From which everything follows that they do by chance.
    pub seed: u64,
    /// What they are like.
    pub temper: Temper,
    /// How often each says what its sensors say.
    pub telemetry_every: Duration,
    /// They connect one after another within this time, not all at once.
    pub ramp: Duration,
    /// How long the broker waits before it publishes a will.
    pub will_delay: Duration,
    /// How long the broker keeps commands while a vehicle is away (they expire before).
    pub session: Duration,
}

impl SimulatorConfig {
    /// Obedient vehicles as the contract has them, one message of telemetry a second.
    pub fn new(broker: Broker, seed: u64) -> Self {
        Self {
            broker,
            seed,
            temper: Temper::obedient(),
            telemetry_every: Duration::from_secs(1),
            ramp: Duration::ZERO,
            will_delay: Duration::from_secs(10),
            session: Duration::from_secs(120),
        }
    }
}

/// What a vehicle has done and met with, as an onlooker sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Whether it is connected.
    pub online: bool,
    /// Whether its doors are locked.
    pub locked: bool,
    /// What its actuators did, in order: the command and what it asked. The last 256.
    pub acts: Vec<(Uuid, Word)>,
    /// Commands that came again and were answered without acting.
    pub repeats: u64,
    /// Commands that came after their `exp`.
    pub expired: u64,
    /// Commands that were not signed with its key.
    pub forged: u64,
    /// Commands that were retained.
    pub retained: u64,
    /// What its odometer shows, in metres.
    pub odometer_m: u64,
    /// What is in its tank, in percent.
    pub fuel_pct: u8,
    /// Telemetry messages sent.
    pub telemetry: u64,
    /// How often it has connected.
    pub connections: u64,
}

/// What somebody who stands beside a vehicle may do to it.
#[derive(Debug)]
pub(crate) enum Poke {
    Vanish(Duration),
    Publish { topic: String, payload: Vec<u8>, retain: bool },
    Temper(Temper, oneshot::Sender<()>),
}

pub(crate) type Shown = Arc<Mutex<View>>;

/// Looks at what is shown.
pub(crate) fn shown(view: &Shown) -> MutexGuard<'_, View> {
    view.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Vehicles that are driven; dropped, they vanish.
pub struct Simulator {
    vehicles: BTreeMap<VehicleId, (Shown, mpsc::Sender<Poke>)>,
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Simulator {
    /// Puts vehicles on the road.
    pub fn start(config: SimulatorConfig, specs: impl IntoIterator<Item = VehicleSpec>) -> Self {
        let stop = watch::Sender::new(false);
        let mut tasks = JoinSet::new();
        let mut vehicles = BTreeMap::new();
        let config = Arc::new(config);
        for spec in specs {
            let (poke, pokes) = mpsc::channel(8);
            let view = Shown::default();
            vehicles.insert(spec.id.clone(), (view.clone(), poke));
            let mut hasher = DefaultHasher::new();
            (config.seed, spec.id.as_str()).hash(&mut hasher);
            let seed = hasher.finish();
            tasks.spawn(driver::drive(config.clone(), spec, seed, view, pokes, stop.subscribe()));
        }
        Self { vehicles, tasks, stop }
    }

    /// Their names.
    pub fn ids(&self) -> impl Iterator<Item = &VehicleId> {
        self.vehicles.keys()
    }

    /// How a vehicle stands; none when it is not one of these.
    pub fn view(&self, vehicle: &VehicleId) -> Option<View> {
        self.vehicles.get(vehicle).map(|(view, _)| shown(view).clone())
    }

    /// How many are connected.
    pub fn online(&self) -> usize {
        self.vehicles.values().filter(|(view, _)| shown(view).online).count()
    }

    /// Telemetry messages that all of them have sent.
    pub fn telemetry(&self) -> u64 {
        self.vehicles.values().map(|(view, _)| shown(view).telemetry).sum()
    }

    /// A vehicle drives into a tunnel: its connection is cut without a word, and back after `span`.
    pub async fn vanish(&self, vehicle: &VehicleId, span: Duration) {
        self.poke(vehicle, Poke::Vanish(span)).await;
    }

    /// A vehicle says something that it should not, in its own name.
    pub async fn publish(
        &self,
        vehicle: &VehicleId,
        topic: impl Into<String>,
        payload: impl Into<Vec<u8>>,
        retain: bool,
    ) {
        let (topic, payload) = (topic.into(), payload.into());
        self.poke(vehicle, Poke::Publish { topic, payload, retain }).await;
    }

    /// A vehicle is like this from now on; one that is away, from its return on.
    pub async fn set_temper(&self, vehicle: &VehicleId, temper: Temper) {
        let (changed, change) = oneshot::channel();
        self.poke(vehicle, Poke::Temper(temper, changed)).await;
        if self.view(vehicle).is_some_and(|view| view.online) {
            // A vehicle that has left meanwhile is not waited for.
            let _ = change.await;
        }
    }

    /// Takes them off the road: each says goodbye.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
    }

    async fn poke(&self, vehicle: &VehicleId, poke: Poke) {
        if let Some((_, pokes)) = self.vehicles.get(vehicle) {
            // A vehicle that has stopped minds nothing.
            let _ = pokes.send(poke).await;
        }
    }
}
