//! What the vehicle tells by itself: that it is there, and how it is.
//!
//! Most of what it tells is not worth a fact. Kept is a sample a minute, and what crosses a threshold:
//! a kilometre, five points of fuel or the low-fuel line, a door. Everything else goes to the raw file.

use std::time::Duration;

use super::command::{Refusal, Telemetry};
use super::decide::percent;
use super::event::{Event, LockReason};
use super::{Contact, MOST_METRES, Sample, State};
use crate::{Timestamp, VehicleId};

/// How often a sample is kept without a reason.
const EVERY: Duration = Duration::from_secs(60);
/// How far it drives between two samples.
const METRES: u64 = 1_000;
/// By how many points its fuel changes between two samples.
const POINTS: u8 = 5;

impl State {
    pub(super) fn telemetry(
        &self,
        id: &VehicleId,
        told: &Telemetry,
        low_fuel: u8,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        if let Some(fuel) = told.fuel_pct {
            percent(fuel)?;
        }
        if self.is_old(told) {
            return Ok(vec![]);
        }
        let mut events = Vec::new();
        let is_back = self.is_offline() && told.boot > self.boot;
        if is_back {
            events.push(Event::ConnectionRestored { boot: told.boot });
        }
        let odometer_m = told.odometer_m.filter(|m| *m >= self.odometer_m && *m <= MOST_METRES);
        events.extend(self.turned_back(told, now));
        let opened = told.is_locked == Some(false);
        let before = self.sample.as_ref();
        if before.is_none_or(|before| is_worth(before, told, odometer_m, low_fuel, now)) {
            events.push(Event::TelemetrySampled {
                boot: told.boot,
                seq: told.seq,
                odometer_m,
                fuel_pct: told.fuel_pct,
                is_locked: told.is_locked,
                latitude_udeg: told.latitude_udeg,
                longitude_udeg: told.longitude_udeg,
                speed_kmh: told.speed_kmh,
                device_time: told.device_time,
                at: now,
            });
        }
        // Found open, and nobody may have it open; or back at last, and not known to be locked.
        if (opened && self.is_nobodys()) || (is_back && self.needs_lock()) {
            events.extend(self.own_lock_now(id, None, LockReason::Secure, now));
        }
        Ok(events)
    }

    /// D34: an older message tells nothing new. A start that we have not heard of is newer.
    fn is_old(&self, told: &Telemetry) -> bool {
        let before = match &self.sample {
            Some(sample) if sample.boot == self.boot => (self.boot, Some(sample.seq)),
            Some(_) | None => (self.boot, None),
        };
        (told.boot, Some(told.seq)) <= before
    }

    /// V4: it has driven on, whatever it says; told once for each kilometre that it says otherwise.
    fn turned_back(&self, told: &Telemetry, now: Timestamp) -> Option<Event> {
        let told_m = told.odometer_m?;
        let is_back = told_m.saturating_add(METRES) <= self.odometer_m;
        let is_new = self.anomaly.is_none_or(|known| known.abs_diff(told_m) >= METRES);
        let anomaly = Event::OdometerAnomaly { known_m: self.odometer_m, told_m, at: now };
        (is_back && is_new).then_some(anomaly)
    }

    pub(super) fn lost(&self, last_seen: Timestamp, boot: u64, now: Timestamp) -> Vec<Event> {
        match self.contact {
            Contact::Offline => vec![],
            // The Last Will of a connection that another has replaced.
            Contact::Online | Contact::Never if boot < self.boot => vec![],
            Contact::Online | Contact::Never => {
                vec![Event::ConnectionLost { last_seen: last_seen.min(now) }]
            }
        }
    }

    /// D33: a vehicle that was returned out of reach is locked as soon as it is back.
    pub(super) fn restored(&self, id: &VehicleId, boot: u64, now: Timestamp) -> Vec<Event> {
        match self.contact {
            // One that has lost count of its starts is believed once its Last Will has come.
            Contact::Online if boot <= self.boot => vec![],
            Contact::Online | Contact::Offline | Contact::Never => {
                let mut events = vec![Event::ConnectionRestored { boot }];
                if self.needs_lock() {
                    events.extend(self.own_lock_now(id, None, LockReason::Secure, now));
                }
                events
            }
        }
    }
}

fn is_worth(
    before: &Sample,
    told: &Telemetry,
    odometer_m: Option<u64>,
    low_fuel: u8,
    now: Timestamp,
) -> bool {
    let moved = match (before.odometer_m, odometer_m) {
        (Some(then), Some(now)) => now.saturating_sub(then) >= METRES,
        (None, Some(_)) => true,
        (_, None) => false,
    };
    let fuel = match (before.fuel_pct, told.fuel_pct) {
        (Some(then), Some(now)) => {
            then.abs_diff(now) >= POINTS || (then <= low_fuel) != (now <= low_fuel)
        }
        (None, Some(_)) => true,
        (_, None) => false,
    };
    let door = told.is_locked.is_some() && told.is_locked != before.is_locked;
    moved || fuel || door || now.since(before.at) >= EVERY
}
