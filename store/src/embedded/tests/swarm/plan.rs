//! What a seed stands for: how large things are, what the world does, and which faults there are.
//! Each seed turns kinds of faults on and off, so that no kind hides behind another (swarm testing).

use super::super::super::sim::dice::Dice;
use super::super::super::sim::{Faults, Weather};

/// The course of one seed.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) segment_bytes: u64,
    /// Bytes of recent frames that stay at hand; 0 sends every read to the disk.
    pub(super) cache_bytes: usize,
    /// Bytes of the indexes of sealed segments that stay in memory.
    pub(super) index_cache_bytes: usize,
    pub(super) lives: u64,
    /// Steps of one life, at most.
    pub(super) steps: u64,
    pub(super) streams: u64,
    /// Bytes of one payload, at most.
    pub(super) payload_bytes: u64,
    /// All appends are of one size, so that one fits exactly where another stood.
    pub(super) even: bool,
    /// How much of each kind of work there is.
    pub(super) work: Work,
    pub(super) kinds: Kinds,
}

/// Shares of the kinds of work.
#[derive(Clone, Debug)]
pub(super) struct Work {
    pub(super) appends: u64,
    pub(super) at_once: u64,
    pub(super) reads: u64,
    pub(super) follows: u64,
    pub(super) beside: u64,
}

/// The kinds of faults, on or off; rates in ten thousand operations.
#[derive(Clone, Debug)]
pub(super) struct Kinds {
    pub(super) power_cuts: bool,
    pub(super) kills: bool,
    /// Crashes come early in a life, that is: while it recovers.
    pub(super) crash_in_recovery: bool,
    /// The disk is too small now and then.
    pub(super) small_disk: bool,
    /// Damage at rest, looked at on copies.
    pub(super) damage: bool,
    pub(super) rates: Weather,
}

impl Plan {
    pub(super) fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed.wrapping_mul(0x5851_f42d_4c95_7f2d) ^ 0x1405_7b7e_f767_814f);
        let rate = |dice: &mut Dice, one_in: u64, rates: &[u32]| {
            if dice.one_in(one_in) { *dice.pick(rates) } else { 0 }
        };
        let betrayal = dice.one_in(6);
        let rates = Weather {
            seed: 0,
            write_fails: rate(&mut dice, 4, &[100, 500]),
            write_finds_no_room: rate(&mut dice, 4, &[500, 4000]),
            sync_fails: rate(&mut dice, 4, &[100, 500]),
            name_fails: rate(&mut dice, 6, &[200, 1000]),
            read_fails: rate(&mut dice, 5, &[100, 500]),
            read_flips: rate(&mut dice, 4, &[200, 1000]),
            read_is_short: rate(&mut dice, 4, &[1000, 5000]),
            write_goes_astray: if betrayal { rate(&mut dice, 2, &[50, 300]) } else { 0 },
            write_is_lost: if betrayal { rate(&mut dice, 2, &[50, 300]) } else { 0 },
        };
        let segment_bytes = *dice.pick(&[6, 8, 8, 12, 16, 32]) << 10;
        Self {
            segment_bytes,
            cache_bytes: *dice.pick(&[0, 1500, 6000, 1 << 20]),
            index_cache_bytes: *dice.pick(&[0, 3_000, 1 << 20]),
            lives: 2 + dice.roll(5),
            steps: *dice.pick(&[4, 10, 20]),
            streams: if dice.one_in(3) { 1 } else { 1 + dice.roll(6) },
            payload_bytes: *dice.pick(&[16, 300, 900, 1500, segment_bytes / 3]),
            even: dice.one_in(3),
            work: Work {
                appends: 1 + dice.roll(6),
                at_once: dice.roll(4),
                reads: dice.roll(3),
                follows: dice.roll(3),
                beside: dice.roll(2),
            },
            kinds: Kinds {
                power_cuts: dice.roll(4) > 0,
                kills: dice.roll(2) > 0,
                crash_in_recovery: dice.roll(3) == 0,
                small_disk: dice.roll(6) == 0,
                damage: dice.roll(2) == 0,
                rates,
            },
        }
    }

    /// What goes wrong in one life. The last one is quiet.
    pub(super) fn faults(&self, life: u64, operations: u64, dice: &mut Dice) -> Faults {
        if life + 1 >= self.lives {
            return Faults::default();
        }
        let crashes = self.kinds.power_cuts || self.kinds.kills;
        let cut_at = (crashes && dice.roll(5) > 0).then(|| {
            let within = if self.kinds.crash_in_recovery && dice.one_in(2) {
                14
            } else {
                6 + 3 * self.steps
            };
            operations + dice.roll(within)
        });
        let weather = if dice.roll(3) > 0 {
            Weather { seed: dice.number(), ..self.kinds.rates.clone() }
        } else {
            Weather::default()
        };
        Faults { cut_at, weather, ..Faults::default() }
    }
}
