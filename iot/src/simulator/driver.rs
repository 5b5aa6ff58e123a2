//! Drives one car: keeps its connection, hands it its commands, and does its deeds when they are due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use holdfast_domain::Timestamp;
use holdfast_schemas::mqtt::{Command, Connection, Topic, Word};
use rand::Rng as _;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Filter, LastWill, LastWillProperties, Packet, Publish};
use rumqttc::v5::{AsyncClient, Event, EventLoop};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::car::{Car, Deed};
use super::temper::{happens, upto};
use super::{Poke, Shown, SimulatorConfig, VehicleSpec, shown};
use crate::backoff::Backoff;
use crate::connection::{Dial, Session};
use crate::stopping;

/// Requests that may wait for the socket.
const REQUESTS: usize = 64;
/// QoS 1 messages that may be unacknowledged, either way. Small: it is memory for each of a thousand.
const INFLIGHT: u16 = 16;
/// Deeds that may wait; a vehicle that is asked for more does not do them.
const DEEDS: usize = 256;

/// Something to do at a moment.
struct Due {
    at: Instant,
    number: u64,
    what: What,
}

enum What {
    Send { topic: Topic, payload: Vec<u8> },
    Act(Box<Command>),
    Telemetry,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// What is to be done, soonest first.
#[derive(Default)]
struct Agenda {
    due: BinaryHeap<Reverse<Due>>,
    number: u64,
}

impl Agenda {
    fn add(&mut self, after: Duration, what: What) {
        if self.due.len() < DEEDS {
            self.number += 1;
            self.due.push(Reverse(Due { at: Instant::now() + after, number: self.number, what }));
        }
    }

    fn add_all(&mut self, deeds: Vec<Deed>) {
        for deed in deeds {
            match deed {
                Deed::Send { after, topic, payload } => {
                    self.add(after, What::Send { topic, payload });
                }
                Deed::Act { after, command } => self.add(after, What::Act(command)),
            }
        }
    }

    /// When the next one is due.
    fn next(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse(due)| due.at)
    }

    fn take_due(&mut self) -> Option<What> {
        (self.next()? <= Instant::now()).then(|| self.due.pop().map(|Reverse(due)| due.what))?
    }
}

/// The machine's clock: what a vehicle judges `exp` by.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// How a connection ended.
enum Parted {
    Stopped,
    Lost,
    Vanished(Duration),
}

/// One vehicle, until `stop`.
pub(super) async fn drive(
    config: Arc<SimulatorConfig>,
    spec: VehicleSpec,
    seed: u64,
    view: Shown,
    pokes: mpsc::Receiver<Poke>,
    mut stop: watch::Receiver<bool>,
) {
    let mut car = Car::new(spec, config.temper.clone(), seed, view.clone());
    let begins = upto(&mut car.dice, config.ramp);
    let phase = upto(&mut car.dice, config.telemetry_every);
    let mut agenda = Agenda::default();
    agenda.add(begins + phase, What::Telemetry);
    let mut driver = Driver { config, car, agenda, view, pokes };
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10), seed);
    let mut wait = begins;
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stopping(&mut stop) => return,
        }
        let began = Instant::now();
        let parted = driver.connection(&mut stop).await;
        shown(&driver.view).online = false;
        wait = match parted {
            Parted::Stopped => return,
            Parted::Vanished(span) => span,
            Parted::Lost => {
                if began.elapsed() > Duration::from_secs(5) {
                    backoff.reset();
                }
                backoff.wait()
            }
        };
    }
}

struct Driver {
    config: Arc<SimulatorConfig>,
    car: Car,
    agenda: Agenda,
    view: Shown,
    pokes: mpsc::Receiver<Poke>,
}

impl Driver {
    fn dial(&self, boot: u64) -> Dial {
        let spec = &self.car.spec;
        let will = Connection { online: false, boot: Some(boot), t: None };
        let delay = u32::try_from(self.config.will_delay.as_secs()).unwrap_or(u32::MAX);
        let properties = LastWillProperties {
            delay_interval: Some(delay),
            payload_format_indicator: Some(1),
            message_expiry_interval: None,
            content_type: Some("application/json".into()),
            response_topic: None,
            correlation_data: None,
            user_properties: Vec::new(),
        };
        let topic = Topic::Connection.of(&spec.id);
        let will = LastWill::new(topic, will.write(), QoS::AtLeastOnce, true, Some(properties));
        Dial {
            broker: self.config.broker.clone().as_user(spec.id.as_str(), &spec.password),
            client_id: spec.id.as_str().to_owned(),
            session: Session::Kept(self.config.session),
            keep_alive: Duration::from_secs(30),
            inflight: INFLIGHT,
            receive: INFLIGHT,
            filters: [Topic::Command(Word::Unlock), Topic::Command(Word::Lock)]
                .map(|topic| Filter::new(topic.of(&spec.id), QoS::AtLeastOnce))
                .into(),
            will: Some(will),
            manual_acks: false,
            waits: (Duration::ZERO, Duration::ZERO),
        }
    }

    /// One connection, from dialling to its end.
    async fn connection(&mut self, stop: &mut watch::Receiver<bool>) -> Parted {
        let boot = self.car.boots(now());
        let dial = self.dial(boot);
        let (client, mut eventloop) = AsyncClient::new(dial.options(false), REQUESTS);
        let mut up = false;
        loop {
            // The library is polled to the end of each of its steps: cut short it may lose half a packet.
            let event = {
                let mut poll = pin!(eventloop.poll());
                loop {
                    let due = self.agenda.next();
                    tokio::select! {
                        event = &mut poll => break event,
                        () = until(due), if due.is_some() => {
                            if let Some(span) = self.work(&client, up) {
                                return Parted::Vanished(span);
                            }
                        }
                        poke = self.pokes.recv() => match poke {
                            Some(Poke::Vanish(span)) => return Parted::Vanished(span),
                            Some(Poke::Publish { topic, payload, retain }) => {
                                let qos = QoS::AtLeastOnce;
                                let _ = client.try_publish(topic, qos, retain, payload);
                            }
                            Some(Poke::Temper(temper, changed)) => {
                                self.car.temper = temper;
                                let _ = changed.send(());
                            }
                            None => return Parted::Stopped,
                        },
                        () = stopping(stop) => break Ok(Event::Outgoing(rumqttc::Outgoing::Disconnect)),
                    }
                }
            };
            match event {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    let _ = client.try_subscribe_many(dial.filters.clone());
                }
                Ok(Event::Incoming(Packet::SubAck(_))) => {
                    up = true;
                    self.says(&client, Some(boot), true);
                    let mut view = shown(&self.view);
                    view.online = true;
                    view.connections += 1;
                }
                Ok(Event::Incoming(Packet::Publish(publish))) => self.told(&publish),
                Ok(Event::Outgoing(rumqttc::Outgoing::Disconnect)) => {
                    self.goodbye(&client, eventloop, boot, up).await;
                    return Parted::Stopped;
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(vehicle = %self.car.spec.id, %error, "a simulated vehicle is cut off");
                    return Parted::Lost;
                }
            }
        }
    }

    /// Does what is due; how long it vanishes, if that is what happens.
    fn work(&mut self, client: &AsyncClient, up: bool) -> Option<Duration> {
        while let Some(what) = self.agenda.take_due() {
            match what {
                What::Act(command) => {
                    let deeds = self.car.acted(&command, now());
                    self.agenda.add_all(deeds);
                }
                // While it is not connected nothing is kept: Holdfast asks again.
                What::Send { topic, payload } if up => {
                    let topic = topic.of(&self.car.spec.id);
                    let _ = client.try_publish(topic, QoS::AtLeastOnce, false, payload);
                }
                What::Send { .. } => {}
                What::Telemetry => {
                    self.agenda.add(self.config.telemetry_every, What::Telemetry);
                    if !up {
                        continue;
                    }
                    let (topic, payload) =
                        (Topic::Telemetry.of(&self.car.spec.id), self.car.telemetry(now()));
                    let _ = client.try_publish(topic, QoS::AtMostOnce, false, payload);
                    let Car { temper, dice, .. } = &mut self.car;
                    if happens(dice, temper.vanishes) {
                        let least = temper.away.as_secs_f64() / 10.0;
                        let most = temper.away.as_secs_f64().max(least);
                        return Some(Duration::from_secs_f64(dice.random_range(least..=most)));
                    }
                }
            }
        }
        None
    }

    fn told(&mut self, publish: &Publish) {
        let topic = std::str::from_utf8(&publish.topic).ok().and_then(Topic::parse);
        let Some((vehicle, Topic::Command(word))) = topic else { return };
        if vehicle == self.car.spec.id {
            let deeds = self.car.commanded(word, &publish.payload, publish.retain, now());
            self.agenda.add_all(deeds);
        }
    }

    /// Says whether it is connected.
    fn says(&self, client: &AsyncClient, boot: Option<u64>, online: bool) {
        let connection = Connection { online, boot, t: Some(self.car.told(now())) };
        let topic = Topic::Connection.of(&self.car.spec.id);
        let _ = client.try_publish(topic, QoS::AtLeastOnce, true, connection.write());
    }

    /// Leaves: says that it is offline itself, since a proper goodbye cancels the will.
    async fn goodbye(
        &mut self,
        client: &AsyncClient,
        mut eventloop: EventLoop,
        boot: u64,
        up: bool,
    ) {
        if up {
            self.says(client, Some(boot), false);
        }
        let _ = client.try_disconnect();
        let left = async {
            while !matches!(
                eventloop.poll().await,
                Ok(Event::Outgoing(rumqttc::Outgoing::Disconnect)) | Err(_)
            ) {}
        };
        let _ = tokio::time::timeout(Duration::from_secs(1), left).await;
    }
}

/// Waits until `due`; for ever when nothing is.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
