//! What a simulated vehicle is like: how likely it is to do what, in per mille, by its own dice.

use std::time::Duration;

use rand::Rng as _;
use rand::rngs::StdRng;

/// What a vehicle is like. Likelihoods are per mille.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Temper {
    /// To take its time before it acts.
    pub dawdles: u32,
    /// How long at most.
    pub dawdle: Duration,
    /// To lose its connection, each time it would send telemetry.
    pub vanishes: u32,
    /// For how long at most.
    pub away: Duration,
    /// To say an answer more than once.
    pub repeats: u32,
    /// To lose an answer that it should have sent; a repeated command brings it out.
    pub loses: u32,
    /// To answer JAMMED.
    pub jams: u32,
    /// To answer REJECTED.
    pub rejects: u32,
    /// By how much its clock is off at most, either way, in what it tells.
    pub skew: Duration,
}

impl Temper {
    /// As one would wish.
    pub const fn obedient() -> Self {
        let none = Duration::ZERO;
        Self {
            dawdles: 0,
            dawdle: none,
            vanishes: 0,
            away: none,
            repeats: 0,
            loses: 0,
            jams: 0,
            rejects: 0,
            skew: none,
        }
    }

    /// As they are in garages, at night, with a battery of ten years.
    pub const fn unreliable() -> Self {
        Self {
            dawdles: 200,
            dawdle: Duration::from_secs(8),
            vanishes: 5,
            away: Duration::from_secs(30),
            repeats: 150,
            loses: 100,
            jams: 20,
            rejects: 10,
            skew: Duration::from_secs(3_600),
        }
    }
}

/// A vehicle's own dice.
pub(super) fn happens(dice: &mut StdRng, per_mille: u32) -> bool {
    per_mille > 0 && dice.random_range(0..1_000) < per_mille
}

/// A span of up to `most`.
pub(super) fn upto(dice: &mut StdRng, most: Duration) -> Duration {
    most.mul_f64(dice.random_range(0.0..=1.0))
}
