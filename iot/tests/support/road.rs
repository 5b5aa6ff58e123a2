//! The whole link over a broker: commands by the engine's port, simulated vehicles, a desk that tells who
//! has answered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use holdfast_domain::process::VehicleCall;
use holdfast_domain::vehicle::{CommandKind, IgnoredWhy, Telemetry};
use holdfast_domain::{Timestamp, VehicleId, derive};
use holdfast_engine::VehicleAnswerIn;
use holdfast_engine::clock::SystemClock;
use holdfast_engine::ports::{Clock as _, Sent, VehicleLink as _};
use holdfast_iot::broker::ENGINE;
use holdfast_iot::simulator::{Simulator, SimulatorConfig, VehicleSpec};
use holdfast_iot::{
    Broker, Desk, InboundError, KeyError, KeySource, Link, LinkConfig, Trouble, prepare,
};
use holdfast_schemas::mqtt::{Key, Status};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::house::{House, password};

/// After this long a test has failed; nothing that works comes near it.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn key(vehicle: &VehicleId) -> Key {
    let (one, other) = (derive(&["1", vehicle.as_str()]), derive(&["2", vehicle.as_str()]));
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(one.as_bytes());
    bytes[16..].copy_from_slice(other.as_bytes());
    Key::new(bytes)
}

struct Drawer;

#[async_trait]
impl KeySource for Drawer {
    async fn key(&self, vehicle: &VehicleId) -> Result<Option<Key>, KeyError> {
        Ok(Some(key(vehicle)))
    }
}

/// Tells whoever waits for an answer.
#[derive(Default)]
pub(crate) struct Counter {
    waiting: Mutex<HashMap<Uuid, oneshot::Sender<VehicleAnswerIn>>>,
    pub(crate) connected: Mutex<HashMap<VehicleId, u64>>,
}

#[async_trait]
impl Desk for Counter {
    async fn answered(&self, _: &VehicleId, answer: VehicleAnswerIn) -> Result<(), Trouble> {
        let waiting = self.waiting.lock().expect("nobody panics").remove(&answer.command_id);
        if let Some(waiting) = waiting {
            // Who has given up does not mind.
            let _ = waiting.send(answer);
        }
        Ok(())
    }

    async fn answer_ignored(
        &self,
        vehicle: &VehicleId,
        _: Option<Uuid>,
        _: Status,
        _: IgnoredWhy,
    ) -> Result<(), Trouble> {
        panic!("{vehicle} is not believed");
    }

    async fn connected(&self, vehicle: &VehicleId, boot: u64) -> Result<(), Trouble> {
        self.connected.lock().expect("nobody panics").insert(vehicle.clone(), boot);
        Ok(())
    }

    async fn lost(&self, vehicle: &VehicleId, _: Option<u64>, _: Timestamp) -> Result<(), Trouble> {
        self.connected.lock().expect("nobody panics").remove(vehicle);
        Ok(())
    }

    async fn sampled(&self, _: &VehicleId, _: Telemetry) -> Result<(), Trouble> {
        Ok(())
    }
}

/// A link that is up.
pub(crate) struct Road {
    pub(crate) link: Link,
    pub(crate) desk: Arc<Counter>,
    task: JoinHandle<Result<(), InboundError>>,
    stop: watch::Sender<bool>,
    clock: SystemClock,
    commands: u64,
    /// Raw telemetry goes here.
    _directory: tempfile::TempDir,
}

impl Road {
    pub(crate) async fn over(house: &House) -> Self {
        let broker = match house {
            House::Embedded(running, _) => {
                let broker = Broker::new(&running.url(), None).expect("a URL");
                broker.as_user(ENGINE, password(ENGINE))
            }
            House::Mosquitto(broker) => Broker::new(&broker.engine_url(), None).expect("a URL"),
        };
        let directory = tempfile::tempdir().expect("a temporary directory");
        let clock = SystemClock::new();
        let config = LinkConfig::new(broker, "holdfast-engine-test", directory.path());
        let (link, inbound) = prepare(config, Arc::new(clock), Arc::new(Drawer));
        let (desk, stop) = (Arc::new(Counter::default()), watch::Sender::new(false));
        let task = tokio::spawn(inbound.run(desk.clone(), stop.subscribe()));
        let road = Self { link, desk, task, stop, clock, commands: 0, _directory: directory };
        road.until("a link", |road| road.link.health().connected).await;
        road
    }

    /// Puts vehicles on it.
    pub(crate) async fn drive(
        &self,
        broker: Broker,
        names: &[&str],
        change: impl FnOnce(&mut SimulatorConfig),
    ) -> Simulator {
        let mut config = SimulatorConfig::new(broker, 1);
        change(&mut config);
        let specs: Vec<VehicleSpec> = names.iter().map(|name| spec(name)).collect();
        let cars = Simulator::start(config, specs);
        self.until("all vehicles", |road| {
            road.desk.connected.lock().expect("nobody panics").len() == names.len()
        })
        .await;
        cars
    }

    /// Asks a vehicle to unlock, and gives its answer.
    pub(crate) async fn unlock(&mut self, vehicle: &str) -> VehicleAnswerIn {
        self.commands += 1;
        let now = self.clock.wall();
        let command_id = derive(&["command", &self.commands.to_string()]);
        let call = VehicleCall {
            vehicle_id: VehicleId::new(vehicle).expect("a name"),
            kind: CommandKind::Unlock,
            command_id,
            reservation_id: None,
            seq: self.commands,
            attempt: 1,
            iat: now,
            exp: now.plus(Duration::from_secs(20)),
        };
        let (tell, told) = oneshot::channel();
        self.desk.waiting.lock().expect("nobody panics").insert(command_id, tell);
        assert_eq!(self.link.send(&call).await, Sent::Handed);
        let told = tokio::time::timeout(PATIENCE, told).await;
        told.expect("an answer in time").expect("nobody forgets")
    }

    /// Waits until something is so that nobody tells of.
    pub(crate) async fn until(&self, what: &str, so: impl Fn(&Self) -> bool) {
        let all = async {
            while !so(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, all).await;
        waited.unwrap_or_else(|_| panic!("no {what}: {:?}", self.link.health()));
    }

    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        self.task.await.expect("it does not panic").expect("it ends when told to");
    }
}

fn spec(name: &str) -> VehicleSpec {
    let id = VehicleId::new(name).expect("a name");
    VehicleSpec {
        password: password(name),
        key: key(&id),
        id,
        odometer_m: 12_345_678,
        fuel_pct: 82,
        position: (52.516, 13.377),
    }
}
