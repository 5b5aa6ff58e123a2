//! Which telemetry is worth a sample in the vehicle's stream: one a minute, and what is remarkable. The
//! stream judges again, by what it knows; here the engine is spared a thousand questions a second.

use std::collections::HashMap;
use std::time::Duration;

use holdfast_domain::vehicle::Telemetry;
use holdfast_domain::{Timestamp, VehicleId};

use crate::bucket::Buckets;

/// How much a tank gains or loses between two samples, in percent.
const POINTS: u8 = 5;
/// How far it drives between two samples.
const METRES: u64 = 1_000;
/// A vehicle that has said nothing newer for so long may count anew: it was started again and nobody was
/// told.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

/// Twenty remarkable samples at once, and one more each time this has gone by.
const REMARKABLE_EVERY: Duration = Duration::from_secs(6);

/// What a vehicle has said last, and what of it was sampled.
struct Last {
    boot: u64,
    seq: u64,
    heard: Timestamp,
    sampled: Option<(Telemetry, Timestamp)>,
}

/// Judges telemetry.
pub(super) struct Sampler {
    every: Duration,
    low_fuel_pct: u8,
    most: usize,
    vehicles: HashMap<VehicleId, Last>,
    /// How often a vehicle may be remarkable: a door that rattles would fill the log.
    remarkable: Buckets,
}

impl Sampler {
    pub(super) fn new(every: Duration, low_fuel_pct: u8, most: usize) -> Self {
        let remarkable = Buckets::new(20, REMARKABLE_EVERY);
        Self { every, low_fuel_pct, most, vehicles: HashMap::new(), remarkable }
    }

    /// None when it is older than what was heard (D34); otherwise whether it is worth a sample.
    pub(super) fn judge(
        &mut self,
        vehicle: &VehicleId,
        sample: &Telemetry,
        now: Timestamp,
    ) -> Option<bool> {
        if self.vehicles.len() >= self.most && !self.vehicles.contains_key(vehicle) {
            self.vehicles.clear();
        }
        let Some(last) = self.vehicles.get_mut(vehicle) else {
            let last = Last { boot: sample.boot, seq: sample.seq, heard: now, sampled: None };
            self.vehicles.insert(vehicle.clone(), last);
            return Some(true);
        };
        let is_old = (sample.boot, sample.seq) <= (last.boot, last.seq);
        if is_old && now.since(last.heard) < FORGOTTEN_AFTER {
            return None;
        }
        (last.boot, last.seq, last.heard) = (sample.boot, sample.seq, now);
        let Some((before, at)) = &last.sampled else { return Some(true) };
        let is_low = |fuel: u8| fuel <= self.low_fuel_pct;
        let odometer = sample.odometer_m.zip(before.odometer_m);
        let remarkable = (sample.is_locked.is_some() && sample.is_locked != before.is_locked)
            || odometer.is_some_and(|(now, then)| now < then || now - then >= METRES)
            || sample.fuel_pct.zip(before.fuel_pct).is_some_and(|(now, then)| {
                is_low(now) != is_low(then) || now.abs_diff(then) >= POINTS
            });
        let micros = u64::try_from(now.micros()).unwrap_or_default();
        let by_clock = now.since(*at) >= self.every;
        let may = || self.remarkable.take(vehicle, Duration::from_micros(micros));
        Some(by_clock || (remarkable && may()))
    }

    /// It went to the stream.
    pub(super) fn sampled(&mut self, vehicle: &VehicleId, sample: Telemetry, now: Timestamp) {
        if let Some(last) = self.vehicles.get_mut(vehicle) {
            last.sampled = Some((sample, now));
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use super::*;

    fn sample(boot: u64, seq: u64) -> Telemetry {
        let (odometer_m, fuel_pct, is_locked) = (Some(1_000), Some(50), Some(true));
        Telemetry { boot, seq, odometer_m, fuel_pct, is_locked, ..Telemetry::default() }
    }

    fn judge(sampler: &mut Sampler, sample: Telemetry, at_secs: i64) -> Option<bool> {
        let (car, now) = (VehicleId::new("car-1").unwrap(), Timestamp::from_secs(at_secs));
        let worth = sampler.judge(&car, &sample, now);
        if worth == Some(true) {
            sampler.sampled(&car, sample, now);
        }
        worth
    }

    fn sampler() -> Sampler {
        Sampler::new(Duration::from_secs(60), 15, 10)
    }

    #[test]
    fn a_dull_vehicle_is_sampled_once_a_minute() {
        let mut sampler = sampler();
        let worth: Vec<i64> = (0..180)
            .filter(|at| judge(&mut sampler, sample(1, *at as u64), *at) == Some(true))
            .collect();
        assert_eq!(worth, [0, 60, 120]);
    }

    #[test]
    fn telemetry_order_older_messages_are_dropped_and_a_new_boot_counts_anew() {
        let mut sampler = sampler();
        assert_eq!(judge(&mut sampler, sample(1, 10), 0), Some(true));
        assert_eq!(judge(&mut sampler, sample(1, 9), 1), None);
        assert_eq!(judge(&mut sampler, sample(1, 10), 1), None);
        assert_eq!(judge(&mut sampler, sample(1, 11), 1), Some(false));
        assert_eq!(judge(&mut sampler, sample(2, 1), 2), Some(false));
        assert_eq!(judge(&mut sampler, sample(1, 12), 3), None);
        assert_eq!(judge(&mut sampler, sample(0, 1), 70), Some(true), "it never told its boot");
    }

    #[test]
    fn a_door_that_rattles_does_not_fill_the_log() {
        let mut sampler = sampler();
        let rattles = (0..1_000).filter(|seq| {
            let rattling = Telemetry { is_locked: Some(seq % 2 == 0), ..sample(1, *seq) };
            judge(&mut sampler, rattling, 1) == Some(true)
        });
        assert_eq!(rattles.count(), 21, "the first, and twenty remarkable ones");
    }

    #[test]
    fn what_is_remarkable_is_sampled_at_once() {
        let mut sampler = sampler();
        let mut seq = 0;
        let mut next = |change: &dyn Fn(&mut Telemetry)| {
            seq += 1;
            let mut sample = sample(1, seq);
            change(&mut sample);
            judge(&mut sampler, sample, 1)
        };
        assert_eq!(next(&|_| {}), Some(true));
        assert_eq!(next(&|sample| sample.fuel_pct = Some(46)), Some(false));
        assert_eq!(next(&|sample| sample.fuel_pct = Some(16)), Some(true));
        assert_eq!(next(&|sample| sample.fuel_pct = Some(15)), Some(true), "low");
        assert_eq!(next(&|sample| sample.fuel_pct = Some(15)), Some(false));
        assert_eq!(next(&|_| {}), Some(true), "filled");
        assert_eq!(next(&|sample| sample.odometer_m = Some(1_999)), Some(false));
        assert_eq!(next(&|sample| sample.odometer_m = Some(2_000)), Some(true), "a kilometre");
        assert_eq!(next(&|_| {}), Some(true), "and back: an anomaly");
        assert_eq!(next(&|sample| sample.is_locked = Some(false)), Some(true));
        assert_eq!(next(&|sample| sample.is_locked = None), Some(false));
        assert_eq!(next(&|sample| sample.odometer_m = Some(999)), Some(true), "and locked again");
    }
}
