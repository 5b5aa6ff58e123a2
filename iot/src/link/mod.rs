//! The way out: commands to vehicles, each with an end after which it goes nowhere.
//!
//! ```text
//!   send ──► ended? ──► sign with the key as it is now ──► outbox ──► connected? ──► broker, QoS 1,
//!              │                                             ▲            │          never retained,
//!              └─► Expired            up again: what is out ─┘            └─► NotConnected   expires
//! ```
//!
//! Nobody waits here for the vehicle: its answer comes in by `inbound` and is judged by its stream. What
//! could not be handed over is tried again by the process that asked, and goes out by itself when the
//! connection is back before its end.

mod outbox;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use holdfast_domain::process::VehicleCall;
use holdfast_domain::{Timestamp, VehicleId};
use holdfast_engine::ports::{Clock, Sent, VehicleLink};
use holdfast_schemas::mqtt::{Command, Topic, Word};
use outbox::{Out, Outbox};
use rumqttc::v5::AsyncClient;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{PubAckReason, PublishProperties};
use uuid::Uuid;

use crate::connection::STOPPED;
use crate::keys::KeyRing;
use crate::{Broker, Inbound, KeySource, TelemetryConfig};

/// How the link is made.
#[derive(Clone, Debug)]
pub struct LinkConfig {
    /// The broker, and as whom it is spoken to.
    pub broker: Broker,
    /// Under which name; the telemetry connection appends `-tel`. Two engines must not have the same.
    pub client_id: String,
    /// How often a silent broker is asked whether it is there; it is given up after twice this. At least
    /// five seconds.
    pub keep_alive: Duration,
    /// How long the broker keeps answers while the engine is away.
    pub session: Duration,
    /// The first and the longest wait between two tries to connect.
    pub waits: (Duration, Duration),
    /// What becomes of telemetry.
    pub telemetry: TelemetryConfig,
    pub(crate) protections: Protections,
}

/// What protects the link. Tests take one away and show that its race then happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Protections {
    /// An answer counts only with the vehicle's `mac`.
    pub(crate) mac: bool,
    /// What is out goes out again only before its end.
    pub(crate) ends: bool,
    /// A message is acknowledged only when it was dealt with.
    pub(crate) acknowledged_when_done: bool,
    /// The word of an older boot about the connection is not believed.
    pub(crate) boots: bool,
    /// A retained message counts only where one may be retained.
    pub(crate) retained: bool,
}

impl Default for Protections {
    fn default() -> Self {
        Self { mac: true, ends: true, acknowledged_when_done: true, boots: true, retained: true }
    }
}

impl LinkConfig {
    /// The usual link. `telemetry_dir` is where raw telemetry is written.
    pub fn new(
        broker: Broker,
        client_id: impl Into<String>,
        telemetry_dir: impl Into<PathBuf>,
    ) -> Self {
        Self {
            broker,
            client_id: client_id.into(),
            keep_alive: Duration::from_secs(5),
            session: Duration::from_secs(3_600),
            waits: (Duration::from_millis(100), Duration::from_secs(5)),
            telemetry: TelemetryConfig::new(telemetry_dir),
            protections: Protections::default(),
        }
    }
}

/// A link and what comes in by it. The link is a port of the engine, so it is there before the engine;
/// what comes in needs the engine, so it runs after.
pub fn prepare(
    config: LinkConfig,
    clock: Arc<dyn Clock>,
    keys: Arc<dyn KeySource>,
) -> (Link, Inbound) {
    let link = Link(Arc::new(Shared {
        keys: KeyRing::new(keys, clock.clone()),
        clock,
        broker: config.broker.to_string(),
        protections: config.protections,
        wire: Mutex::new(Wire { outbox: Outbox::new(config.protections.ends), ..Wire::default() }),
        figures: Figures::default(),
    }));
    (link.clone(), Inbound::new(config, link))
}

/// The link to vehicles. Clones are the same link.
#[derive(Clone)]
pub struct Link(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) keys: KeyRing,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) protections: Protections,
    broker: String,
    wire: Mutex<Wire>,
    pub(crate) figures: Figures,
}

#[derive(Default)]
struct Wire {
    /// While it is up.
    client: Option<AsyncClient>,
    outbox: Outbox,
    /// Since when it has been up, or down.
    since: Option<Timestamp>,
    why_not: Option<String>,
    reconnects: u64,
}

/// What was counted since the start.
#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) refused: AtomicU64,
    pub(crate) forged: AtomicU64,
    pub(crate) retained: AtomicU64,
    pub(crate) telemetry: AtomicU64,
    pub(crate) telemetry_dropped: AtomicU64,
    /// Why raw telemetry is not written, if it is not.
    pub(crate) raw_trouble: Mutex<Option<String>>,
}

impl Figures {
    /// A payload or topic that cannot be read, or is not believed.
    pub(crate) fn refuse(&self, topic: &'static str, why: &'static str) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("holdfast_vehicle_messages_refused_total", "topic" => topic, "why" => why)
            .increment(1);
    }
}

/// How the link is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkHealth {
    /// Which broker, without password.
    pub broker: String,
    /// Whether commands go out.
    pub connected: bool,
    /// Since when that is so.
    pub since: Option<Timestamp>,
    /// Why it is not connected, in the broker's or the system's words.
    pub why_not: Option<String>,
    /// How often it has been up.
    pub connections: u64,
    /// Commands that are out: not answered, not at their end.
    pub commands_out: usize,
    /// Messages that could not be read, were too long, or retained where nothing may be.
    pub refused: u64,
    /// Answers that were not signed by the vehicle.
    pub forged: u64,
    /// Retained messages where nothing may be retained.
    pub retained: u64,
    /// Telemetry messages taken.
    pub telemetry: u64,
    /// Telemetry messages dropped because they came faster than they were dealt with.
    pub telemetry_dropped: u64,
    /// Why raw telemetry is not written, if it is not.
    pub raw_trouble: Option<String>,
}

impl Link {
    /// How the link is doing.
    pub fn health(&self) -> LinkHealth {
        let (wire, figures) = (self.wire(), &self.0.figures);
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LinkHealth {
            broker: self.0.broker.clone(),
            connected: wire.client.is_some(),
            since: wire.since,
            why_not: wire.why_not.clone(),
            connections: wire.reconnects,
            commands_out: wire.outbox.len(),
            refused: count(&figures.refused),
            forged: count(&figures.forged),
            retained: count(&figures.retained),
            telemetry: count(&figures.telemetry),
            telemetry_dropped: count(&figures.telemetry_dropped),
            raw_trouble: figures.raw_trouble.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    async fn handed(&self, call: &VehicleCall) -> Sent {
        // Rounded down: a vehicle that acts up to the last moment of `exp` never acts after the deadline.
        let secs = |moment: Timestamp| moment.micros().div_euclid(1_000_000);
        let (iat, exp) = (secs(call.iat), secs(call.exp));
        if self.0.clock.wall() >= Timestamp::from_secs(exp) {
            return Sent::Expired;
        }
        let vehicle = &call.vehicle_id;
        let key = match self.0.keys.fresh(vehicle).await {
            Ok(Some(key)) => key,
            Ok(None) => {
                return Sent::NotConnected(format!(
                    "{vehicle} has no credentials: make them with `holdfast vehicle credentials {vehicle}`"
                ));
            }
            Err(error) => return Sent::NotConnected(error.to_string()),
        };
        let word = Word::from(call.kind);
        let reservation_ref = call.reservation_id.map(|reservation| reservation.to_string());
        let command =
            Command::signed(word, call.command_id, reservation_ref, call.seq, (iat, exp), &key);
        let mut wire = self.wire();
        let now = self.0.clock.wall();
        let Some(out) = wire.outbox.put(vehicle, command, now) else {
            return Sent::NotConnected("too many commands are out".into());
        };
        match &wire.client {
            Some(client) => publish(client, &out, now),
            None => {
                Sent::NotConnected(wire.why_not.clone().unwrap_or_else(|| "not yet".to_owned()))
            }
        }
    }

    /// A vehicle has answered this command: it need not go out again.
    pub(crate) fn settle(&self, command_id: Uuid) {
        self.wire().outbox.settle(command_id);
    }

    /// A vehicle has come: what is out to it goes out again, since its broker may have forgotten it.
    pub(crate) fn again(&self, vehicle: &VehicleId) {
        let now = self.0.clock.wall();
        let mut wire = self.wire();
        let due = wire.outbox.due_to(vehicle, now);
        if let Some(client) = &wire.client {
            for out in &due {
                publish(client, out, now);
            }
        }
    }

    /// The connection is up: what is out goes out again.
    pub(crate) fn up(&self, client: &AsyncClient) {
        let now = self.0.clock.wall();
        let mut wire = self.wire();
        wire.client = Some(client.clone());
        wire.since = Some(now);
        wire.why_not = None;
        wire.reconnects += 1;
        let due = wire.outbox.due(now);
        for out in &due {
            publish(client, out, now);
        }
        metrics::gauge!("holdfast_mqtt_connected").set(1);
        metrics::counter!("holdfast_mqtt_connections_total").increment(1);
        tracing::info!(broker = %self.0.broker, resent = due.len(), "connected to the MQTT broker");
    }

    /// The connection is lost, or did not come about.
    pub(crate) fn down(&self, why: &str) {
        let now = self.0.clock.wall();
        let mut wire = self.wire();
        let was_up = wire.client.take().is_some();
        if was_up || wire.since.is_none() {
            wire.since = Some(now);
        }
        // Told once, not at each of the tries that follow.
        if why != STOPPED && (was_up || wire.why_not.as_deref() != Some(why)) {
            tracing::warn!(broker = %self.0.broker, why, "no connection to the MQTT broker");
        }
        wire.why_not = Some(why.to_owned());
        metrics::gauge!("holdfast_mqtt_connected").set(0);
    }

    /// The broker does not take a message: its ACL, or its quota.
    pub(crate) fn refused(&self, reason: PubAckReason) {
        metrics::counter!("holdfast_mqtt_refused_total").increment(1);
        tracing::warn!(broker = %self.0.broker, ?reason, "the MQTT broker refuses a command");
    }

    fn wire(&self) -> MutexGuard<'_, Wire> {
        self.0.wire.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn publish(client: &AsyncClient, out: &Out, now: Timestamp) -> Sent {
    // Rounded up, so that it is never 0 while there is time.
    let expiry_secs = out.expiry_secs(now).unwrap_or(1);
    let word = out.command.cmd;
    let properties = PublishProperties {
        payload_format_indicator: Some(1),
        message_expiry_interval: Some(expiry_secs),
        response_topic: Some(Topic::Answer(word).of(&out.vehicle)),
        correlation_data: Some(out.command.command_id.as_str().to_owned().into()),
        content_type: Some("application/json".into()),
        ..PublishProperties::default()
    };
    let topic = Topic::Command(word).of(&out.vehicle);
    let payload = out.command.write();
    match client.try_publish_with_properties(topic, QoS::AtLeastOnce, false, payload, properties) {
        Ok(()) => Sent::Handed,
        Err(_) => Sent::NotConnected("the connection takes no more".into()),
    }
}

#[async_trait]
impl VehicleLink for Link {
    async fn send(&self, call: &VehicleCall) -> Sent {
        let sent = self.handed(call).await;
        let outcome = match &sent {
            Sent::Handed => "handed",
            Sent::NotConnected(why) => {
                tracing::debug!(vehicle = %call.vehicle_id, command_id = %call.command_id, why,
                    "a command has to wait for the broker");
                "not-connected"
            }
            Sent::Expired => "expired",
        };
        metrics::counter!("holdfast_vehicle_commands_total", "outcome" => outcome).increment(1);
        sent
    }
}
