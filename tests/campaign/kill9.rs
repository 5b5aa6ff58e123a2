//! Kill -9 at any moment of `holdfast log bench`: while it opens, recovers, writes its first frames,
//! rolls from segment to segment. What was acknowledged is there, at its position; nothing is half.
//!
//! `HOLDFAST_KILLS=1000` kills a thousand times; a tenth as often `serve` is killed in `kill9_serve`.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

use crate::Clock;
use crate::bench::{Ground, count, in_lanes};
use crate::support::seed;

/// How often one directory is killed before a new one is taken.
const CYCLES_EACH: u64 = 12;

/// Until when a cycle may run, in milliseconds: into the opening, the first frames, the rolling.
const MOMENTS: [std::ops::Range<u64>; 4] = [0..12, 8..40, 20..120, 0..250];

/// One directory, killed again and again. Returns how many acknowledgements there were.
fn kill_again_and_again(seed: u64, cycles: u64) -> usize {
    let mut random = StdRng::seed_from_u64(seed);
    let mut ground = Ground::new();
    let mut acks = 0;
    for cycle in 0..cycles {
        let pick = |random: &mut StdRng, from: &[&'static str]| *from.choose(random).expect("some");
        let args = [
            "--seconds",
            "30",
            "--producers",
            pick(&mut random, &["1", "4", "32"]),
            "--event-bytes",
            pick(&mut random, &["100", "2000", "20000"]),
            "--events",
            pick(&mut random, &["1", "3"]),
        ];
        let moment = MOMENTS.choose(&mut random).expect("some").clone();
        let run = ground.begin(&[], &args);
        std::thread::sleep(Duration::from_micros(
            random.random_range(moment.start * 1_000..moment.end * 1_000),
        ));
        run.kill9();
        acks += ground.hear();
        let context = format!("seed {seed}, cycle {cycle}, {args:?}: {}", ground.errors());
        if let Err(what) = ground.judge_as_it_is() {
            panic!("{context}: read as it is left: {what}");
        }
        // The others are recovered by the next run of the binary itself, or by the one after that.
        if (random.random_bool(0.2) || cycle + 1 == cycles)
            && let Err(what) = ground.judge_recovered()
        {
            panic!("{context}: after recovery: {what}");
        }
    }
    acks
}

#[test]
fn what_was_acknowledged_survives_kill_9_at_any_moment() {
    let _clock = Clock::start();
    let cycles = count("HOLDFAST_KILLS", 100);
    let seed = seed();
    let grounds: Vec<(u64, u64)> = (0..cycles.div_ceil(CYCLES_EACH))
        .map(|n| (seed.wrapping_mul(1_000) + n, CYCLES_EACH.min(cycles - n * CYCLES_EACH)))
        .collect();
    let acks = in_lanes(&grounds, |(seed, cycles)| kill_again_and_again(*seed, *cycles));
    eprintln!("{cycles} kills, {acks} acknowledgements, none lost");
    assert!(acks as u64 > cycles, "only {acks} acknowledgements in {cycles} runs prove little");
}
