//! What sensors say: every message into raw files for analysts, a few of them into the vehicle's stream.
//!
//! ```text
//!   broker ─► queue (drops the oldest) ─► read ─► newer than the last? ─► raw file
//!                                                        └─► worth a sample? ─► lanes ─► the desk
//! ```
//!
//! It has a connection of its own, so that an answer never waits behind it, neither here nor in the
//! broker's queue. What is lost here is lost: the next message says it better.

mod raw;
mod sampler;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use holdfast_domain::vehicle;
use holdfast_domain::{Timestamp, VehicleId};
use holdfast_schemas::mqtt::{MAX_PAYLOAD_BYTES, Telemetry, Topic};
use raw::RawFiles;
use rumqttc::v5::AsyncClient;
use rumqttc::v5::mqttbytes::v5::{PubAckReason, Publish};
use sampler::Sampler;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::connection::Party;
use crate::desk::{Desk, Trouble};
use crate::fleet::Fleet;
use crate::lanes::Lanes;
use crate::link::Link;
use crate::queue::DropOldest;
use crate::stopping;

/// How many messages wait at most: ten seconds of a fleet of a thousand.
const WAITING: usize = 10_000;
/// How many bytes.
const WAITING_BYTES: usize = 16 << 20;
/// How many are dealt with in one go.
const BATCH: usize = 512;
/// Raw lines are written when there are so many bytes, or after [`TelemetryConfig::flush`].
const WRITE_AT: usize = 64 * 1024;
/// Lanes for samples, and the room in each.
pub(crate) const SAMPLE_LANES: (usize, usize) = (8, 256);
/// Vehicles whose samples are refused are not asked about again for so long.
const STRANGER_FOR: Duration = Duration::from_secs(60);
/// How many vehicles are remembered; then all are forgotten, and sampled anew.
const MOST_VEHICLES: usize = 200_000;

/// What becomes of telemetry.
#[derive(Clone, Debug)]
pub struct TelemetryConfig {
    /// Where raw files are.
    pub dir: PathBuf,
    /// How much they take together, in bytes; the oldest go. 0: no raw files.
    pub total_bytes: u64,
    /// How long one of them gets, in bytes.
    pub file_bytes: u64,
    /// How long a line waits for the file at most.
    pub flush: Duration,
    /// How often a vehicle is sampled when nothing remarkable happens.
    pub sample_every: Duration,
    /// Fuel is low below this, in percent: crossing it is remarkable.
    pub low_fuel_pct: u8,
}

impl TelemetryConfig {
    /// A gigabyte of raw files in `dir`, one sample a minute.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            total_bytes: 1 << 30,
            file_bytes: 64 << 20,
            flush: Duration::from_secs(1),
            sample_every: Duration::from_secs(60),
            low_fuel_pct: 15,
        }
    }
}

/// A message as it came.
pub(crate) struct Raw {
    pub(crate) vehicle: VehicleId,
    pub(crate) topic: Topic,
    pub(crate) payload: Bytes,
    pub(crate) received: Timestamp,
}

impl Raw {
    fn size(&self) -> usize {
        size_of::<Self>() + self.payload.len()
    }
}

/// The way from the sockets to the telemetry task.
#[derive(Clone)]
pub(crate) struct Intake {
    pub(crate) queue: Arc<DropOldest<Raw>>,
    link: Link,
}

impl Intake {
    pub(crate) fn new(link: Link) -> Self {
        Self { queue: Arc::new(DropOldest::new(WAITING, WAITING_BYTES)), link }
    }

    /// Takes a message whose payload is not too long.
    pub(crate) fn take(&self, raw: Raw) {
        let size = raw.size();
        let dropped = self.queue.push(raw, size);
        if dropped > 0 {
            self.link.0.figures.telemetry_dropped.fetch_add(dropped, Ordering::Relaxed);
            metrics::counter!("holdfast_telemetry_dropped_total").increment(dropped);
        }
    }
}

/// The telemetry connection tells what it gets to the queue.
impl Party for Intake {
    fn up(&mut self, _: &AsyncClient) {
        tracing::debug!("the telemetry connection is up");
    }

    fn arrived(&mut self, _: &AsyncClient, publish: Publish) {
        let figures = &self.link.0.figures;
        let topic = std::str::from_utf8(&publish.topic).ok().and_then(Topic::parse);
        let Some((vehicle, Topic::Telemetry)) = topic else {
            return figures.refuse("other", "foreign-topic");
        };
        if publish.payload.len() > MAX_PAYLOAD_BYTES {
            return figures.refuse("tel", "too-long");
        }
        if publish.retain {
            figures.retained.fetch_add(1, Ordering::Relaxed);
            return figures.refuse("tel", "retained");
        }
        let received = self.link.0.clock.wall();
        self.take(Raw { vehicle, topic: Topic::Telemetry, payload: publish.payload, received });
    }

    fn refused(&mut self, _: PubAckReason) {}

    fn down(&mut self, why: &str) {
        tracing::debug!(why, "the telemetry connection is down");
    }
}

/// A sample on its way to the desk.
pub(crate) struct SampleJob {
    pub(crate) vehicle: VehicleId,
    pub(crate) sample: vehicle::Telemetry,
}

/// Takes samples to the desk, and remembers whose are not wanted.
#[derive(Clone)]
pub(crate) struct Courier {
    pub(crate) desk: Arc<dyn Desk>,
    strangers: Arc<std::sync::Mutex<HashMap<VehicleId, Instant>>>,
}

impl Courier {
    pub(crate) fn new(desk: Arc<dyn Desk>) -> Self {
        Self { desk, strangers: Arc::default() }
    }

    pub(crate) async fn carry(self, job: SampleJob) {
        match self.desk.sampled(&job.vehicle, job.sample).await {
            Ok(()) => metrics::counter!("holdfast_telemetry_samples_total").increment(1),
            // The next message says it better.
            Err(Trouble::Passing(why)) => {
                tracing::debug!(vehicle = %job.vehicle, why, "a sample is lost");
            }
            Err(Trouble::Refused(why)) => {
                tracing::debug!(vehicle = %job.vehicle, why, "a sample is refused");
                let mut strangers = self.strangers();
                if strangers.len() >= MOST_VEHICLES {
                    strangers.clear();
                }
                strangers.insert(job.vehicle, Instant::now());
            }
        }
    }

    fn is_stranger(&self, vehicle: &VehicleId) -> bool {
        let mut strangers = self.strangers();
        match strangers.get(vehicle) {
            Some(since) if since.elapsed() < STRANGER_FOR => true,
            Some(_) => {
                strangers.remove(vehicle);
                false
            }
            None => false,
        }
    }

    fn strangers(&self) -> std::sync::MutexGuard<'_, HashMap<VehicleId, Instant>> {
        self.strangers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The telemetry task.
pub(crate) struct Follower {
    config: TelemetryConfig,
    intake: Intake,
    fleet: Arc<Fleet>,
    courier: Courier,
    lanes: Lanes<SampleJob>,
    sampler: Sampler,
    files: Option<RawFiles>,
    lines: Vec<u8>,
}

impl Follower {
    pub(crate) fn new(
        config: TelemetryConfig,
        intake: Intake,
        fleet: Arc<Fleet>,
        courier: Courier,
        lanes: Lanes<SampleJob>,
    ) -> Self {
        let files = (config.total_bytes > 0)
            .then(|| RawFiles::new(&config.dir, config.file_bytes, config.total_bytes));
        let sampler = Sampler::new(config.sample_every, config.low_fuel_pct, MOST_VEHICLES);
        Self { config, intake, fleet, courier, lanes, sampler, files, lines: Vec::new() }
    }

    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut flush = tokio::time::interval(self.config.flush);
        flush.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let stopped = tokio::select! {
                () = self.intake.queue.filled() => false,
                _ = flush.tick() => {
                    self.write().await;
                    false
                }
                () = stopping(&mut stop) => true,
            };
            loop {
                let batch = self.intake.queue.take(BATCH);
                if batch.is_empty() {
                    break;
                }
                for raw in batch {
                    self.deal_with(raw);
                }
                if self.lines.len() >= WRITE_AT {
                    self.write().await;
                }
                // A flood leaves the thread to others, too.
                tokio::task::yield_now().await;
            }
            if stopped {
                return self.write().await;
            }
        }
    }

    fn deal_with(&mut self, raw: Raw) {
        if self.courier.is_stranger(&raw.vehicle) {
            return self.intake.link.0.figures.refuse(raw.topic.suffix(), "stranger");
        }
        if raw.topic == Topic::Telemetry {
            match Telemetry::read(&raw.payload) {
                Ok(telemetry) => self.sample(&raw, &telemetry),
                Err(error) => {
                    tracing::debug!(vehicle = %raw.vehicle, %error, "telemetry is refused");
                    return self.intake.link.0.figures.refuse("tel", error.reason());
                }
            }
        }
        if self.files.is_some() {
            raw::line(&mut self.lines, &raw);
        }
    }

    fn sample(&mut self, raw: &Raw, telemetry: &Telemetry) {
        self.intake.link.0.figures.telemetry.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("holdfast_telemetry_total").increment(1);
        let known = self.fleet.get(&raw.vehicle);
        let signals = &telemetry.signals;
        let place = signals.position_microdeg();
        let sample = vehicle::Telemetry {
            boot: telemetry.boot.or(known.boot).unwrap_or_default(),
            seq: telemetry.seq,
            odometer_m: signals.odometer_m(),
            fuel_pct: signals.fuel_pct(),
            is_locked: signals.is_locked(),
            latitude_udeg: place.map(|(north, _)| north),
            longitude_udeg: place.map(|(_, east)| east),
            speed_kmh: signals.speed_kmh(),
            device_time: telemetry.t.map_or(raw.received, |moment| moment.0),
        };
        let Some(worth) = self.sampler.judge(&raw.vehicle, &sample, raw.received) else {
            metrics::counter!("holdfast_telemetry_old_total").increment(1);
            return;
        };
        self.fleet.heard(&raw.vehicle, raw.received, |known| {
            known.odometer_m = sample.odometer_m.or(known.odometer_m);
            known.fuel_pct = sample.fuel_pct.or(known.fuel_pct);
        });
        let job = SampleJob { vehicle: raw.vehicle.clone(), sample: sample.clone() };
        if worth && self.lanes.put(&raw.vehicle, job).is_ok() {
            self.sampler.sampled(&raw.vehicle, sample, raw.received);
        }
    }

    /// Writes what waits for the file, beside the runtime's threads: a disk may be slow.
    async fn write(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        let Some(mut files) = self.files.take() else { return };
        let lines = std::mem::take(&mut self.lines);
        let now = self.intake.link.0.clock.wall();
        let written = tokio::task::spawn_blocking(move || {
            let outcome = files.append(&lines, now);
            (files, outcome)
        });
        let Ok((files, outcome)) = written.await else { return };
        self.files = Some(files);
        let trouble = outcome.err().map(|error| {
            metrics::counter!("holdfast_telemetry_unwritten_total").increment(1);
            format!("{}: {error}", self.config.dir.display())
        });
        let mut known =
            self.intake.link.0.figures.raw_trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(why), None) = (&trouble, &*known) {
            tracing::warn!(why, "raw telemetry is not written");
        }
        *known = trouble;
    }
}
