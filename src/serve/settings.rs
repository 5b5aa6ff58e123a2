//! The engine's numbers, as configured.

use holdfast_domain::process;

use crate::config::{Config, Key, keys as key};

/// The engine's numbers, as configured.
pub(super) fn engine_settings(config: &Config) -> holdfast_engine::Settings {
    let usual = holdfast_engine::Settings::default();
    let batch = config.count(&key::EXPIRY_BATCH);
    holdfast_engine::Settings {
        hold_ttl: config.span(&key::HOLD_TTL),
        seat_lock_ttl: config.span(&key::SEAT_LOCK_TTL),
        payment_extension: config.span(&key::PAYMENT_EXTENSION),
        absolute_cap: config.span(&key::ABSOLUTE_CAP),
        claim_grace: config.span(&key::CLAIM_GRACE),
        tick: config.span(&key::TIMER_TICK),
        sweep: config.span(&key::TIMER_SWEEP),
        expiry_batch: usize::try_from(batch).unwrap_or(usual.expiry_batch),
        retries: config.count32(&key::RETRIES),
        retry_base: config.span(&key::RETRY_BASE),
        clock_jump: config.span(&key::CLOCK_JUMP),
        live_holds_per_customer: config.count32(&key::LIVE_HOLDS),
        default_gateway: config.text(&key::PAYMENT_GATEWAY).into(),
        payment_answer_wait: config.span(&key::ANSWER_WAIT),
        idempotency_retention: config.span(&key::IDEMPOTENCY),
        snapshot_every: config.count(&key::SNAPSHOT_EVERY),
        assign_wait: config.span(&key::ASSIGN_WAIT),
        assign_again: config.span(&key::ASSIGN_AGAIN),
        process: process::Settings {
            polls: config.spans(&key::POLLS).to_vec(),
            again: config.spans(&key::AGAIN).to_vec(),
            capture_margin: config.span(&key::CAPTURE_MARGIN),
            unlock_attempt: config.span(&key::UNLOCK_ATTEMPT),
            unlock_attempts: u8::try_from(config.count(&key::UNLOCK_ATTEMPTS)).unwrap_or(u8::MAX),
            unlock_deadline: config.span(&key::UNLOCK_DEADLINE),
            late_grace: config.span(&key::UNLOCK_LATE_GRACE),
            low_fuel: u8::try_from(config.count(&key::LOW_FUEL)).unwrap_or(u8::MAX),
            relock: config.span(&key::RELOCK),
            vehicle_silence: config.span(&key::VEHICLE_SILENCE),
            auto_charge_limit_minor: minor(config, &key::AUTO_CHARGE),
            fuel_charge_minor_per_percent: minor(config, &key::FUEL_CHARGE),
        },
        ..usual
    }
}

/// An amount in minor units; the key's own bound fits.
fn minor(config: &Config, key: &Key) -> i64 {
    i64::try_from(config.count(key)).unwrap_or(i64::MAX)
}
