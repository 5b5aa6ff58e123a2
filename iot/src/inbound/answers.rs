//! Answers to commands: believed only with the vehicle's own `mac`.
//!
//! ```text
//!   cannot be read, says what nobody asks ─► counted
//!   mac wrong ─► counted, recorded as ignored (a few a second), alarm by the process
//!   mac right ─► need not go out again ─► the desk: known? in time? still entitled? is its to judge
//! ```

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use holdfast_domain::VehicleId;
use holdfast_domain::vehicle::IgnoredWhy;
use holdfast_engine::VehicleAnswerIn;
use holdfast_schemas::mqtt::{Answer, Topic, Word};
use tokio::time::Instant;

use super::{Hands, Job};
use crate::backoff::{Backoff, any_seed};

/// So many forged answers of one vehicle are recorded at once,
const RECORDED_AT_ONCE: u32 = 5;
/// and one more each time this has gone by: the log is no place for a flood.
const RECORDED_EVERY: Duration = Duration::from_secs(10);
/// How many vehicles are watched so; then all are forgotten.
const MOST_WATCHED: usize = 20_000;

/// Deals with one answer.
pub(super) async fn answered(hands: Hands, ignoring: Arc<Ignoring>, job: Job) {
    if let Topic::Answer(word) = job.topic {
        judge(&hands, &ignoring, &job, word).await;
    }
    job.acknowledge(&hands);
}

async fn judge(hands: &Hands, ignoring: &Ignoring, job: &Job, word: Word) {
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
    if !is_the_vehicles(hands, vehicle, &answer).await {
        hands.link.0.figures.forged.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("holdfast_vehicle_answers_forged_total").increment(1);
        if ignoring.may_record(vehicle, hands.link.0.clock.monotonic()) {
            tracing::warn!(%vehicle, %command_id, "an answer is not signed by its vehicle");
            let (status, why) = (answer.status, IgnoredWhy::BadMac);
            let record = || hands.desk.answer_ignored(vehicle, Some(command_id), status, why);
            hands.insist(vehicle, record).await;
        }
        return;
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

/// How many forged answers may be recorded.
#[derive(Default)]
pub(super) struct Ignoring(Mutex<HashMap<VehicleId, (u32, Duration)>>);

impl Ignoring {
    /// `now` by the monotonic clock.
    fn may_record(&self, vehicle: &VehicleId, now: Duration) -> bool {
        let mut watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if watched.len() >= MOST_WATCHED {
            watched.clear();
        }
        let (left, since) = watched.entry(vehicle.clone()).or_insert((RECORDED_AT_ONCE, now));
        let earned = (now.saturating_sub(*since).as_secs() / RECORDED_EVERY.as_secs()) as u32;
        if earned > 0 {
            *left = left.saturating_add(earned).min(RECORDED_AT_ONCE);
            *since = now;
        }
        let may = *left > 0;
        *left = left.saturating_sub(1);
        may
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_forged_answers_leaves_a_few_records() {
        let ignoring = Ignoring::default();
        let car = VehicleId::new("car-1").unwrap();
        let recorded = |now| (0..100).filter(|_| ignoring.may_record(&car, now)).count();
        assert_eq!(recorded(Duration::ZERO), 5);
        assert_eq!(recorded(RECORDED_EVERY), 1);
        assert_eq!(recorded(RECORDED_EVERY * 100), 5);
        let other = VehicleId::new("car-2").unwrap();
        assert!(ignoring.may_record(&other, Duration::ZERO), "each on its own");
    }
}
