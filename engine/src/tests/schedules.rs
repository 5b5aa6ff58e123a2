//! Random schedules of a vehicle's day: answers that are lost, late, twice, in another order, forged; a
//! broker that comes and goes; an engine that dies and comes back; customers who repeat, cancel, return.
//! After each step: nobody has the vehicle open who is not entitled to it, unless a lock is on its way.
//! At the end: every command has ended, and nobody's was lost without a word.
//!
//! `HOLDFAST_SEEDS=10000` runs more of them.

use holdfast_domain::ReservationId;
use holdfast_domain::process::VehicleCall;
use holdfast_domain::reservation::Status;
use holdfast_domain::vehicle::{Answer, CommandKind, IgnoredWhy, Rental};

use super::cars::{car, one};
use super::link::Manner;
use super::world::{World, secs};

/// Numbers that follow from a seed (splitmix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// The vehicle itself: it acts once on each command, and refuses what is too old.
#[derive(Default)]
struct Car {
    open: bool,
    acted: Vec<uuid::Uuid>,
    heard: usize,
    /// Answers that are on their way.
    answers: Vec<VehicleCall>,
}

impl Car {
    /// Hears what was sent, some of it not at all.
    fn hear(&mut self, world: &World, chance: &mut Chance) {
        let sent = world.link.sent();
        for call in &sent[self.heard..] {
            if chance.below(4) == 0 || call.exp <= world.engine.now() {
                continue;
            }
            if !self.acted.contains(&call.command_id) {
                self.acted.push(call.command_id);
                self.open = call.kind == CommandKind::Unlock;
            }
            self.answers.push(call.clone());
        }
        self.heard = sent.len();
    }
}

async fn day(seed: u64) {
    let mut world = World::new().await;
    world.fleet_of(&["van"]).await;
    let mut chance = Chance(seed);
    let mut car_itself = Car::default();
    let mut rental: Option<ReservationId> = None;
    for step in 0..40 {
        let told = format!("seed {seed}, step {step}");
        let key = step.to_string();
        match (chance.below(14), rental) {
            (0..=2, None) => {
                if let Ok(made) = world.reserve("ann", &key, one()).await {
                    let paid = world.pay("ann", &format!("pay {key}"), made.id, "approve").await;
                    paid.expect("money");
                    world.quiet().await;
                    rental = Some(made.id);
                }
            }
            (0..=2, Some(id)) => {
                let asked = world.unlocking("ann", &key, id);
                settle(&world).await;
                asked.abort();
            }
            (3, Some(id)) => {
                let gone = world.cancel("ann", &key, id).await.is_ok();
                rental = rental.filter(|_| !gone);
            }
            (4, Some(id)) => {
                let gone = world.give_back("ann", &key, id, step).await.is_ok();
                rental = rental.filter(|_| !gone);
            }
            (5, _) => {
                let forged = world.engine.vehicle_answer_ignored(
                    car("van"),
                    car_itself.acted.last().copied(),
                    "UNLOCKED".into(),
                    IgnoredWhy::BadMac,
                );
                forged.await.expect("kept");
            }
            (6, _) => world.restart().await,
            (7, _) => world.link.behave(Manner::Unconnected),
            (8, _) => world.link.behave(Manner::Silent),
            (9, _) => world.pass(secs(chance.below(40))).await,
            (10, _) => {
                let boot = world.vehicle("van").await.boot();
                let now = world.engine.now();
                world.engine.vehicle_lost(car("van"), boot, now).await.expect("kept");
                world.engine.vehicle_connected(car("van"), boot + 1).await.expect("kept");
            }
            // An answer arrives: any of those on their way, perhaps twice.
            _ if !car_itself.answers.is_empty() => {
                let which = chance.below(car_itself.answers.len() as u64) as usize;
                let call = match chance.below(3) {
                    0 => car_itself.answers[which].clone(),
                    _ => car_itself.answers.remove(which),
                };
                let answer = match call.kind {
                    CommandKind::Unlock => Answer::Unlocked,
                    CommandKind::Lock => Answer::Locked,
                };
                world.answer(&call, answer).await;
            }
            _ => {}
        }
        world.quiet().await;
        car_itself.hear(&world, &mut chance);
        nobody_has_it_open_in_vain(&world, &told).await;
    }
    // Everything heals: the vehicle obeys, and time goes by.
    world.link.behave(Manner::Obedient);
    for call in std::mem::take(&mut car_itself.answers) {
        let answer = match call.kind {
            CommandKind::Unlock => Answer::Unlocked,
            CommandKind::Lock => Answer::Locked,
        };
        world.answer(&call, answer).await;
    }
    world.pass(secs(60)).await;
    world.pass(secs(7_200)).await;
    let van = world.vehicle("van").await;
    assert_eq!(van.command(), None, "seed {seed}: a command never ended");
    let told = format!("seed {seed}, at the end");
    nobody_has_it_open_in_vain(&world, &told).await;
    let asked = world.times("van", "vehicle.unlock-requested").await;
    let ended = world.times("van", "vehicle.unlocked").await
        + world.times("van", "vehicle.unlock-failed").await;
    assert!(asked == 0 || ended > 0, "{told}: lost without a word");
    if let Some(id) = rental {
        let held = van.reservation().map(|claim| claim.reservation_id);
        assert_eq!(held, Some(id), "{told}");
    } else {
        assert_eq!(van.rental(), Rental::Available, "{told}");
    }
    let health = world.engine.health();
    assert!(health.consumers.iter().all(|it| it.dead_letters == 0), "{told}");
}

/// Requests of the background come as far as they can without an answer.
async fn settle(world: &World) {
    for _ in 0..20 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        world.quiet().await;
    }
}

/// What it has said itself counts: it stands open for a rental, or a lock is under way or owed.
async fn nobody_has_it_open_in_vain(world: &World, told: &str) {
    let van = world.vehicle("van").await;
    if van.lock() != holdfast_domain::vehicle::LockState::Unlocked {
        return;
    }
    let claim = van.reservation().filter(|claim| claim.confirmed);
    let entitled = match claim.map(|claim| claim.reservation_id) {
        Some(id) => matches!(world.status(id).await, Status::Confirmed | Status::InUse),
        None => false,
    };
    // No lock is under way, or it would be locking: then one is asked for again later.
    let unlock = world.engine.core().worker("unlock").expect("it runs");
    let later = unlock.pending_timers().1.is_some();
    assert!(entitled || later, "{told}: open for nobody, and nobody sees to it");
}

#[tokio::test]
async fn random_days_of_a_vehicle() {
    let seeds = std::env::var("HOLDFAST_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    for seed in 0..seeds.unwrap_or(25) {
        day(seed).await;
    }
}
