//! What the races happen in: a broker, a link, a desk that writes down, vehicles, and an onlooker.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use holdfast_domain::process::VehicleCall;
use holdfast_domain::vehicle::{CommandKind, IgnoredWhy, Telemetry};
use holdfast_domain::{Timestamp, VehicleId};
use holdfast_engine::VehicleAnswerIn;
use holdfast_engine::clock::{SimClock, SystemClock};
use holdfast_engine::ports::{Clock as _, Sent, VehicleLink as _};
use holdfast_schemas::mqtt::{Key, Status};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, Publish};
use rumqttc::v5::{AsyncClient, Event, MqttOptions};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::mosquitto::Mosquitto;
use crate::backoff::any_seed;
use crate::desk::{Desk, Trouble};
use crate::link::Protections;
use crate::simulator::{Simulator, SimulatorConfig, VehicleSpec};
use crate::{Broker, Inbound, KeyError, KeySource, Link, LinkConfig, prepare};

/// After this long without what must come a test has failed; nothing that works comes near it.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn car(number: u32) -> VehicleId {
    VehicleId::new(format!("car-{number}")).unwrap()
}

/// Every vehicle has its own key.
pub(super) fn key(vehicle: &VehicleId) -> Key {
    let mut bytes = [0; 32];
    for (at, byte) in vehicle.as_str().bytes().enumerate() {
        bytes[at % 32] ^= byte.wrapping_add(at as u8);
    }
    Key::new(bytes)
}

struct Drawer;

#[async_trait]
impl KeySource for Drawer {
    async fn key(&self, vehicle: &VehicleId) -> Result<Option<Key>, KeyError> {
        Ok(Some(key(vehicle)))
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Told {
    Answered(VehicleId, VehicleAnswerIn),
    Ignored(VehicleId, Option<Uuid>, Status),
    Connected(VehicleId, u64),
    Lost(VehicleId, Option<u64>),
    Sampled(VehicleId, Telemetry),
}

impl Told {
    fn answer(&self) -> Option<&VehicleAnswerIn> {
        if let Self::Answered(_, answer) = self { Some(answer) } else { None }
    }
}

/// A desk that writes down what it is told.
pub(super) struct Recorder {
    told: Mutex<Vec<Told>>,
    count: watch::Sender<usize>,
    /// Who answers hangs for ever.
    pub(super) hangs: watch::Sender<bool>,
    /// So many times it cannot take an answer.
    pub(super) busy: Mutex<u32>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self {
            told: Mutex::default(),
            count: watch::Sender::new(0),
            hangs: watch::Sender::new(false),
            busy: Mutex::default(),
        }
    }
}

impl Recorder {
    fn write(&self, told: Told) -> Result<(), Trouble> {
        let mut all = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(told);
        self.count.send_replace(all.len());
        Ok(())
    }

    pub(super) fn all(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }

    /// Waits for the first thing told that `find` finds.
    pub(super) async fn until<T>(&self, find: impl Fn(&Told) -> Option<T>) -> T {
        let mut count = self.count.subscribe();
        let found = async {
            loop {
                if let Some(found) = self.all().iter().find_map(&find) {
                    return found;
                }
                count.changed().await.unwrap();
            }
        };
        match tokio::time::timeout(PATIENCE, found).await {
            Ok(found) => found,
            Err(_) => panic!("it was never told; told was {:#?}", self.all()),
        }
    }

    /// Waits for the answer to a command.
    pub(super) async fn answer(&self, command_id: Uuid) -> VehicleAnswerIn {
        let answers = |told: &Told| told.answer().filter(|it| it.command_id == command_id).cloned();
        self.until(answers).await
    }

    pub(super) async fn connected(&self, vehicle: &VehicleId) -> u64 {
        self.until(|told| {
            let Told::Connected(who, boot) = told else { return None };
            (who == vehicle).then_some(*boot)
        })
        .await
    }

    pub(super) fn answers(&self) -> Vec<VehicleAnswerIn> {
        self.all().iter().filter_map(Told::answer).cloned().collect()
    }

    pub(super) fn ignored(&self) -> usize {
        self.all().iter().filter(|told| matches!(told, Told::Ignored(..))).count()
    }
}

#[async_trait]
impl Desk for Recorder {
    async fn answered(&self, vehicle: &VehicleId, answer: VehicleAnswerIn) -> Result<(), Trouble> {
        let mut hangs = self.hangs.subscribe();
        hangs.wait_for(|hangs| !hangs).await.unwrap();
        {
            let mut busy = self.busy.lock().unwrap();
            if *busy > 0 {
                *busy -= 1;
                return Err(Trouble::Passing("the disk is full".into()));
            }
        }
        self.write(Told::Answered(vehicle.clone(), answer))
    }

    async fn answer_ignored(
        &self,
        vehicle: &VehicleId,
        command_id: Option<Uuid>,
        status: Status,
        _: IgnoredWhy,
    ) -> Result<(), Trouble> {
        self.write(Told::Ignored(vehicle.clone(), command_id, status))
    }

    async fn connected(&self, vehicle: &VehicleId, boot: u64) -> Result<(), Trouble> {
        self.write(Told::Connected(vehicle.clone(), boot))
    }

    async fn lost(
        &self,
        vehicle: &VehicleId,
        boot: Option<u64>,
        _: Timestamp,
    ) -> Result<(), Trouble> {
        self.write(Told::Lost(vehicle.clone(), boot))
    }

    async fn sampled(&self, vehicle: &VehicleId, sample: Telemetry) -> Result<(), Trouble> {
        if vehicle.as_str().starts_with("stranger") {
            return Err(Trouble::Refused("no such vehicle".into()));
        }
        self.write(Told::Sampled(vehicle.clone(), sample))
    }
}

/// A running link.
pub(super) struct Running {
    pub(super) link: Link,
    task: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

impl Running {
    fn start(link: Link, inbound: Inbound, desk: Arc<Recorder>) -> Self {
        let stop = watch::Sender::new(false);
        let stopped = stop.subscribe();
        let task = tokio::spawn(async move { inbound.run(desk, stopped).await.unwrap() });
        Self { link, task, stop }
    }

    /// Dies, as a process does: nothing is said any more.
    pub(super) async fn crash(self) {
        self.task.abort();
        // It was aborted: an error is right.
        let _ = self.task.await;
    }

    pub(super) async fn stop(self) {
        self.stop.send_replace(true);
        self.task.await.unwrap();
    }
}

pub(super) struct World {
    pub(super) mosquitto: Mosquitto,
    pub(super) desk: Arc<Recorder>,
    /// The engine's clock; starts with the machine's, by which vehicles go.
    pub(super) clock: SimClock,
    pub(super) dir: tempfile::TempDir,
    seq: u64,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            mosquitto: Mosquitto::start(),
            desk: Arc::default(),
            clock: SimClock::at(SystemClock::new().wall()),
            dir: tempfile::tempdir().unwrap(),
            seq: 0,
        }
    }

    pub(super) fn broker(&self) -> Broker {
        self.mosquitto.broker()
    }

    /// A link that is up.
    pub(super) async fn link(&self) -> Running {
        self.link_without(|_| {}).await
    }

    /// A link that is up, without a protection.
    pub(super) async fn link_without(&self, without: impl FnOnce(&mut Protections)) -> Running {
        let mut config = LinkConfig::new(self.broker(), "holdfast-engine", self.dir.path());
        config.waits = (Duration::from_millis(10), Duration::from_millis(50));
        config.telemetry.flush = Duration::from_millis(50);
        without(&mut config.protections);
        let (link, inbound) = prepare(config, Arc::new(self.clock.clone()), Arc::new(Drawer));
        let running = Running::start(link, inbound, self.desk.clone());
        up(&running.link).await;
        running
    }

    /// Vehicles, all of them connected.
    pub(super) async fn vehicles(
        &self,
        count: u32,
        change: impl FnOnce(&mut SimulatorConfig),
    ) -> Simulator {
        let mut config = SimulatorConfig::new(self.broker(), 1);
        config.telemetry_every = Duration::from_millis(200);
        config.will_delay = Duration::ZERO;
        change(&mut config);
        let specs = (1..=count).map(|number| VehicleSpec {
            id: car(number),
            password: "unused".into(),
            key: key(&car(number)),
            odometer_m: 12_345_678,
            fuel_pct: 82,
            position: (52.516, 13.377),
        });
        let simulator = Simulator::start(config, specs);
        for number in 1..=count {
            self.desk.connected(&car(number)).await;
        }
        simulator
    }

    /// A command to a vehicle that lasts so long from now.
    pub(super) fn call(&mut self, vehicle: &VehicleId, lasts: Duration) -> VehicleCall {
        self.seq += 1;
        let now = self.clock.wall();
        VehicleCall {
            vehicle_id: vehicle.clone(),
            kind: CommandKind::Unlock,
            command_id: Uuid::from_u128(
                0x018f_6c1a_0000_7000_8000_0000_0000_0000 + u128::from(self.seq),
            ),
            reservation_id: None,
            seq: self.seq,
            attempt: 1,
            iat: now,
            exp: now.plus(lasts),
        }
    }

    /// A call that lasts as commands do.
    pub(super) fn unlock(&mut self, vehicle: &VehicleId) -> VehicleCall {
        self.call(vehicle, Duration::from_secs(20))
    }

    pub(super) async fn onlooker(&self, filter: &str) -> Onlooker {
        let name = format!("onlooker-{}", any_seed());
        Onlooker::connect(&self.broker(), &name, filter).await
    }

    /// Somebody comes under another's name, and the broker sends that other one away.
    pub(super) async fn usurp(&self, name: &str) {
        Onlooker::connect(&self.broker(), name, "none").await;
    }
}

/// Waits until a link is up.
pub(super) async fn up(link: &Link) {
    soon(|| link.health().connected).await;
}

/// Waits until something that nobody tells of is so.
pub(super) async fn soon(so: impl Fn() -> bool) {
    let all = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("it never came to be");
}

/// Hands a command over; it must be taken.
pub(super) async fn handed(running: &Running, call: &VehicleCall) {
    assert_eq!(running.link.send(call).await, Sent::Handed);
}

/// Somebody at the broker who hears and says what he likes.
pub(super) struct Onlooker {
    client: AsyncClient,
    heard: mpsc::UnboundedReceiver<Publish>,
    acknowledged: mpsc::UnboundedReceiver<()>,
    task: JoinHandle<()>,
}

impl Onlooker {
    async fn connect(broker: &Broker, name: &str, filter: &str) -> Self {
        let mut options: MqttOptions = broker.options(name);
        // Under another's name it must not end that one's session.
        options.set_clean_start(false);
        options.set_max_packet_size(Some(4 << 20));
        options.set_outgoing_inflight_upper_limit(64);
        let (client, mut eventloop) = AsyncClient::new(options, 1_000);
        client.try_subscribe(filter, QoS::AtLeastOnce).unwrap();
        let (told, heard) = mpsc::unbounded_channel();
        let (acks, acknowledged) = mpsc::unbounded_channel();
        let (ready, subscribed) = tokio::sync::oneshot::channel();
        let mut ready = Some(ready);
        let task = tokio::spawn(async move {
            loop {
                match eventloop.poll().await {
                    Ok(Event::Incoming(Packet::SubAck(_))) => {
                        if let Some(ready) = ready.take() {
                            let _ = ready.send(());
                        }
                    }
                    Ok(Event::Incoming(Packet::Publish(publish))) => {
                        let _ = told.send(publish);
                    }
                    Ok(Event::Incoming(Packet::PubAck(_))) => {
                        let _ = acks.send(());
                    }
                    Ok(_) => {}
                    Err(_) => return,
                }
            }
        });
        subscribed.await.expect("the onlooker subscribes");
        Self { client, heard, acknowledged, task }
    }

    /// The next message that he hears.
    pub(super) async fn hears(&mut self) -> Publish {
        let heard = tokio::time::timeout(PATIENCE, self.heard.recv()).await;
        heard.expect("nothing is heard").expect("the onlooker is connected")
    }

    /// Says something; returns when the broker has it.
    pub(super) async fn says(&mut self, topic: &str, retain: bool, payload: impl Into<Vec<u8>>) {
        let payload: Vec<u8> = payload.into();
        self.client.publish(topic, QoS::AtLeastOnce, retain, payload).await.unwrap();
        let acknowledged = tokio::time::timeout(PATIENCE, self.acknowledged.recv()).await;
        acknowledged.expect("the broker has it").expect("the onlooker is connected");
    }
}

impl Onlooker {
    /// Says something that may be lost; returns at once.
    pub(super) async fn tosses(&mut self, topic: &str, payload: Vec<u8>) {
        self.client.publish(topic, QoS::AtMostOnce, false, payload).await.unwrap();
    }
}

impl Drop for Onlooker {
    fn drop(&mut self) {
        self.task.abort();
    }
}
