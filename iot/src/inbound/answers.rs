//! Answers to commands: believed only with the vehicle's own `mac`.
//!
//! ```text
//!   cannot be read, says what nobody asks ─► counted
//!   mac wrong ─► counted, recorded as ignored (a few a second), alarm by the process
//!   mac right ─► need not go out again ─► the desk: known? in time? still entitled? is its to judge
//! ```

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use holdfast_domain::VehicleId;
use holdfast_domain::vehicle::IgnoredWhy;
use holdfast_engine::VehicleAnswerIn;
use holdfast_schemas::mqtt::{Answer, Topic, Word};
use tokio::time::Instant;

use super::{Hands, Job};
use crate::backoff::{Backoff, any_seed};
use crate::bucket::Buckets;

/// How much of one vehicle's answers may reach the log, at once and then each span.
pub(super) struct Measure {
    forged: Buckets,
    /// Its own: a vehicle answers a command three or four times, not a thousand.
    own: Buckets,
}

impl Default for Measure {
    fn default() -> Self {
        Self {
            forged: Buckets::new(5, Duration::from_secs(10)),
            own: Buckets::new(100, Duration::from_secs(1)),
        }
    }
}

/// Deals with one answer.
pub(super) async fn answered(hands: Hands, measure: Arc<Measure>, job: Job) {
    if let Topic::Answer(word) = job.topic {
        judge(&hands, &measure, &job, word).await;
    }
    job.acknowledge(&hands);
}

async fn judge(hands: &Hands, measure: &Measure, job: &Job, word: Word) {
    let (vehicle, name) = (&job.vehicle, job.topic.suffix());
    let answer = match Answer::read(&job.publish.payload) {
        Ok(answer) if answer.status.answers(word) => answer,
        Ok(_) => return hands.refuse(name, "wrong-topic"),
        Err(error) => {
            tracing::debug!(%vehicle, %error, "an answer is refused");
            return hands.refuse(name, error.reason());
        }
    };
    let command_id = answer.command_id.id();
    let now = hands.link.0.clock.monotonic();
    if !is_the_vehicles(hands, vehicle, &answer).await {
        hands.link.0.figures.forged.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("holdfast_vehicle_answers_forged_total").increment(1);
        if measure.forged.take(vehicle, now) {
            tracing::warn!(%vehicle, %command_id, "an answer is not signed by its vehicle");
            let (status, why) = (answer.status, IgnoredWhy::BadMac);
            let record = || hands.desk.answer_ignored(vehicle, Some(command_id), status, why);
            hands.insist(vehicle, record).await;
        }
        return;
    }
    if !measure.own.take(vehicle, now) {
        return hands.refuse(name, "too-many");
    }
    // Whatever it says, the vehicle has had the command.
    hands.link.settle(command_id);
    let signals = &answer.signals;
    hands.fleet.heard(vehicle, job.received, |known| {
        known.odometer_m = signals.odometer_m().or(known.odometer_m);
        known.fuel_pct = signals.fuel_pct().or(known.fuel_pct);
    });
    let known = hands.fleet.get(vehicle);
    let told = VehicleAnswerIn {
        kind: word.into(),
        answer: answer.status.into(),
        command_id,
        device_time: answer.device_time.map_or(job.received, |moment| moment.0),
        odometer_m: known.odometer_m,
        fuel_pct: known.fuel_pct,
    };
    let began = Instant::now();
    if hands.insist(vehicle, || hands.desk.answered(vehicle, told.clone())).await {
        metrics::histogram!("holdfast_vehicle_answer_seconds").record(began.elapsed());
    } else {
        hands.refuse(name, "refused");
    }
}

/// Whether the vehicle has signed it; waits while the keys cannot be read.
async fn is_the_vehicles(hands: &Hands, vehicle: &VehicleId, answer: &Answer) -> bool {
    if !hands.link.0.protections.mac {
        return true;
    }
    let (first, longest) = (Duration::from_millis(50), Duration::from_secs(5));
    let mut backoff = Backoff::new(first, longest, any_seed());
    loop {
        match hands.link.0.keys.signs(vehicle, answer).await {
            Ok(signed) => return signed,
            Err(error) => {
                tracing::warn!(%vehicle, %error, "an answer waits for its vehicle's key");
                tokio::time::sleep(backoff.wait()).await;
            }
        }
    }
}
