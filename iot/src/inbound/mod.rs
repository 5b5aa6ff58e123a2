//! The way in: what vehicles say, judged by who may have said it and taken to the desk.
//!
//! ```text
//!   command connection ─► gate (length, topic, retained) ─► lane of the vehicle ─► answer │ presence │
//!                           └─► counted, acknowledged           │                  notice
//!                                                               └─► acknowledged when it was taken
//! ```
//!
//! A message is acknowledged to the broker only when the desk has taken or refused it: what comes while
//! the engine dies is delivered again to the next one. The topic's vehicle is who speaks, since the
//! broker lets each vehicle use its own prefix only; that an answer is the vehicle's is known by its
//! `mac`, whatever the broker lets through.

mod answers;
mod presence;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use holdfast_domain::{Timestamp, VehicleId};
use holdfast_schemas::mqtt::{MAX_PAYLOAD_BYTES, Notice, Topic, Word};
use rumqttc::v5::AsyncClient;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Filter, PubAckReason, Publish, RetainForwardRule};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::backoff::{Backoff, any_seed};
use crate::connection::{Dial, Party, Session, keep};
use crate::desk::{Desk, Trouble};
use crate::fleet::Fleet;
use crate::lanes::Lanes;
use crate::link::{Link, LinkConfig};
use crate::stopping;
use crate::telemetry::{Courier, Follower, Intake, Raw, SAMPLE_LANES};

/// How many QoS 1 messages the broker may have on its way to us.
const RECEIVE: u16 = 1_024;
/// How many of ours may be on their way to it.
const INFLIGHT: u16 = 1_024;
/// Lanes for answers, and the room in each: all that may be on its way fits into one.
const ANSWER_LANES: (usize, usize) = (64, 2 * RECEIVE as usize);
/// How long stopping waits for what is in the lanes.
const DRAIN: Duration = Duration::from_secs(3);
/// Lanes for presence and notices.
const OTHER_LANES: (usize, usize) = (32, 2 * RECEIVE as usize);

/// A part of the way in ended by itself.
#[derive(Debug, thiserror::Error)]
#[error("{0} has ended")]
pub struct InboundError(&'static str);

/// What comes in by a link; runs once there is an engine.
pub struct Inbound {
    config: LinkConfig,
    link: Link,
}

impl Inbound {
    pub(crate) fn new(config: LinkConfig, link: Link) -> Self {
        Self { config, link }
    }

    /// Connects, and takes to `desk` what vehicles say, until `stop`.
    pub async fn run(
        self,
        desk: Arc<dyn Desk>,
        stop: watch::Receiver<bool>,
    ) -> Result<(), InboundError> {
        let Self { config, link } = self;
        let fleet = Arc::new(Fleet::default());
        let mut tasks = JoinSet::new();
        let hands = Hands { link: link.clone(), desk: desk.clone(), fleet: fleet.clone() };
        let measure = Arc::new(answers::Measure::default());
        let flapping = Arc::new(presence::Flapping::default());
        let (taking, noticing) = (hands.clone(), hands);
        let intake = Intake::new(link.clone());
        let answers =
            Lanes::start(&mut tasks, "a lane of answers", ANSWER_LANES, move |job: Job| {
                answers::answered(taking.clone(), measure.clone(), job)
            });
        let notices = intake.clone();
        let others =
            Lanes::start(&mut tasks, "a lane of presence", OTHER_LANES, move |job: Job| {
                other(noticing.clone(), flapping.clone(), notices.clone(), job)
            });
        let courier = Courier::new(desk);
        let carrying = courier.clone();
        let samples = Lanes::start(&mut tasks, "a lane of samples", SAMPLE_LANES, move |job| {
            carrying.clone().carry(job)
        });
        let follower =
            Follower::new(config.telemetry.clone(), intake.clone(), fleet, courier, samples);
        let (dial, telemetry_dial) = dials(&config);
        let gate = Gate { link, answers, others };
        spawn(&mut tasks, "the MQTT link", keep(dial, gate, stop.clone()));
        spawn(&mut tasks, "the telemetry link", keep(telemetry_dial, intake, stop.clone()));
        spawn(&mut tasks, "the telemetry task", follower.run(stop.clone()));
        ended(tasks, stop).await
    }
}

fn spawn(
    tasks: &mut JoinSet<&'static str>,
    name: &'static str,
    part: impl Future<Output = ()> + Send + 'static,
) {
    tasks.spawn(async move {
        part.await;
        name
    });
}

/// Waits until all have ended, which they may only when told to. What a lane still holds then is given a
/// moment; the broker delivers the rest again.
async fn ended(
    mut tasks: JoinSet<&'static str>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), InboundError> {
    let first = tokio::select! {
        () = stopping(&mut stop) => None,
        task = tasks.join_next() => task,
    };
    // Who ends because it was told to may be seen before the word itself.
    let is_told = *stop.borrow() || stop.has_changed().is_err();
    if let (Some(task), false) = (first, is_told) {
        return Err(InboundError(task.unwrap_or("a part of the MQTT link has panicked and")));
    }
    let all = async { while tasks.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(DRAIN, all).await;
    Ok(())
}

/// How the two connections are made.
fn dials(config: &LinkConfig) -> (Dial, Dial) {
    let filter = |topic: Topic, qos| Filter {
        // A retained message shows itself as one also when it is fresh; but for presence, which always is
        // one, and of which only the fresh says that a vehicle has come just now.
        preserve_retain: topic != Topic::Connection,
        retain_forward_rule: RetainForwardRule::OnEverySubscribe,
        ..Filter::new(topic.of_all(), qos)
    };
    let commands = Dial {
        broker: config.broker.clone(),
        client_id: config.client_id.clone(),
        session: Session::Kept(config.session),
        keep_alive: config.keep_alive,
        inflight: INFLIGHT,
        receive: RECEIVE,
        filters: [
            Topic::Answer(Word::Unlock),
            Topic::Answer(Word::Lock),
            Topic::Connection,
            Topic::Notice,
        ]
        .map(|topic| filter(topic, QoS::AtLeastOnce))
        .into(),
        will: None,
        manual_acks: config.protections.acknowledged_when_done,
        waits: config.waits,
    };
    let telemetry = Dial {
        client_id: format!("{}-tel", config.client_id),
        session: Session::Fresh,
        filters: vec![filter(Topic::Telemetry, QoS::AtMostOnce)],
        manual_acks: false,
        ..commands.clone()
    };
    (commands, telemetry)
}

/// A message on its way through a lane.
pub(crate) struct Job {
    vehicle: VehicleId,
    topic: Topic,
    publish: Publish,
    received: Timestamp,
    /// The connection by which it came, and is acknowledged.
    client: AsyncClient,
}

impl Job {
    /// The broker may forget it. If the connection is another by now, it is delivered again.
    fn acknowledge(&self, hands: &Hands) {
        if !hands.link.0.protections.acknowledged_when_done {
            return;
        }
        // A full channel to a broker that is up is no reason to lose it: it comes again after a
        // reconnection, and until then the broker's own limit holds.
        let _ = self.client.try_ack(&self.publish);
    }
}

/// What the lanes work with.
#[derive(Clone)]
pub(crate) struct Hands {
    link: Link,
    desk: Arc<dyn Desk>,
    fleet: Arc<Fleet>,
}

impl Hands {
    fn refuse(&self, topic: &'static str, why: &'static str) {
        self.link.0.figures.refuse(topic, why);
    }

    /// Asks the desk until it takes it or refuses for good: trouble of our own store is waited for.
    async fn insist<F>(&self, vehicle: &VehicleId, mut ask: impl FnMut() -> F) -> bool
    where
        F: Future<Output = Result<(), Trouble>>,
    {
        let (first, longest) = (Duration::from_millis(50), Duration::from_secs(5));
        let mut backoff = Backoff::new(first, longest, any_seed());
        loop {
            match ask().await {
                Ok(()) => return true,
                Err(Trouble::Refused(why)) => {
                    tracing::debug!(%vehicle, why, "a vehicle's word is refused");
                    return false;
                }
                Err(Trouble::Passing(why)) => {
                    tracing::warn!(%vehicle, why, "a vehicle's word waits");
                    tokio::time::sleep(backoff.wait()).await;
                }
            }
        }
    }
}

/// What the command connection tells: sorts, and never waits.
struct Gate {
    link: Link,
    answers: Lanes<Job>,
    others: Lanes<Job>,
}

impl Gate {
    /// Why a message goes no further, or the job that it is.
    fn admit(
        &self,
        client: &AsyncClient,
        publish: &Publish,
    ) -> Result<Job, (&'static str, &'static str)> {
        let topic = std::str::from_utf8(&publish.topic).ok().and_then(Topic::parse);
        let (vehicle, topic) = topic.ok_or(("other", "foreign-topic"))?;
        let name = topic.suffix();
        if publish.payload.len() > MAX_PAYLOAD_BYTES {
            return Err((name, "too-long"));
        }
        let may_be_retained = match topic {
            Topic::Connection => true,
            Topic::Answer(_) | Topic::Notice => false,
            // Not subscribed to: a broker that sends them is confused.
            Topic::Command(_) | Topic::Telemetry => return Err((name, "foreign-topic")),
        };
        if publish.retain && !may_be_retained && self.link.0.protections.retained {
            self.link.0.figures.retained.fetch_add(1, Ordering::Relaxed);
            return Err((name, "retained"));
        }
        let received = self.link.0.clock.wall();
        Ok(Job { vehicle, topic, publish: publish.clone(), received, client: client.clone() })
    }
}

impl Party for Gate {
    fn up(&mut self, client: &AsyncClient) {
        self.link.up(client);
    }

    fn arrived(&mut self, client: &AsyncClient, publish: Publish) {
        let job = match self.admit(client, &publish) {
            Ok(job) => job,
            Err((topic, why)) => {
                self.link.0.figures.refuse(topic, why);
                let _ = client.try_ack(&publish);
                return;
            }
        };
        let lanes = match job.topic {
            Topic::Answer(_) => &self.answers,
            Topic::Command(_) | Topic::Telemetry | Topic::Notice | Topic::Connection => {
                &self.others
            }
        };
        let (vehicle, topic) = (job.vehicle.clone(), job.topic.suffix());
        if lanes.put(&vehicle, job).is_err() {
            // Of QoS 1 only what is there already, after several connections in a row: not acknowledged,
            // it comes again. Of QoS 0 nothing limits what comes.
            self.link.0.figures.refuse(topic, "too-many");
        }
    }

    fn refused(&mut self, reason: PubAckReason) {
        self.link.refused(reason);
    }

    fn down(&mut self, why: &str) {
        self.link.down(why);
    }
}

/// Presence and notices.
async fn other(hands: Hands, flapping: Arc<presence::Flapping>, intake: Intake, job: Job) {
    match job.topic {
        Topic::Connection => presence::told(&hands, &flapping, &job).await,
        Topic::Notice => noticed(&hands, &intake, &job),
        Topic::Command(_) | Topic::Answer(_) | Topic::Telemetry => {}
    }
    job.acknowledge(&hands);
}

/// Doors, tampering, trips: kept with the raw telemetry. Nothing is decided by them, since anybody who
/// has taken over the broker could say so.
fn noticed(hands: &Hands, intake: &Intake, job: &Job) {
    match Notice::read(&job.publish.payload) {
        Ok(notice) => {
            metrics::counter!("holdfast_vehicle_notices_total").increment(1);
            if notice.is_tampering() {
                metrics::counter!("holdfast_vehicle_tampering_total").increment(1);
                tracing::warn!(vehicle = %job.vehicle, event = notice.event, "a vehicle is tampered with");
            }
            intake.take(Raw {
                vehicle: job.vehicle.clone(),
                topic: Topic::Notice,
                payload: job.publish.payload.clone(),
                received: job.received,
            });
        }
        Err(error) => {
            tracing::debug!(vehicle = %job.vehicle, %error, "a notice is refused");
            hands.refuse("evt", error.reason());
        }
    }
}
