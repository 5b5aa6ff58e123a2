//! The queue, and the way from an append to those who follow the log, in thousands of orders.
//!
//! [Shuttle](https://docs.rs/shuttle) runs threads and tasks one at a time and chooses, at each lock,
//! each wait and each step named below, who goes on. It finds what no test with real threads finds
//! reliably: a wake-up that comes too early, an answer that overtakes what it speaks of.
//!
//! **Real**: the queue and the writer (both files are compiled here once more, with shuttle's mutex and
//! condition variable), the group, the log, the view, the subscription; the disk is the simulated one.
//! **Steps** at which others may go on: every lock and wait of the queue, every write and sync of the
//! disk (before and after), before and after the head is told.
//! **Taken for granted**: the view's own lock (its sections never wait, so each is one step), tokio's
//! `oneshot` and `watch`, the memory model below the locks (shuttle's is sequentially consistent).
//!
//! Seeds are fixed; `HOLDFAST_SEEDS=100000` tries as many orders. A failure prints its schedule, which
//! `shuttle::replay` repeats.

mod sync {
    pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use std::sync::PoisonError;

    pub(crate) use tokio::sync::oneshot;

    /// Tokio's, with a step before and after the head is told.
    pub(crate) mod watch {
        use super::super::step;

        pub(crate) struct Sender<T>(pub(crate) tokio::sync::watch::Sender<T>);

        impl<T> Sender<T> {
            pub(crate) fn send_replace(&self, value: T) -> T {
                step();
                let old = self.0.send_replace(value);
                step();
                old
            }
        }
    }
}

#[path = "../../queue.rs"]
#[expect(clippy::duplicate_mod, reason = "once more, with shuttle's locks")]
mod queue;
#[path = "../../writer.rs"]
#[expect(clippy::duplicate_mod, reason = "once more, with shuttle's locks")]
mod writer;

mod hand_off;
mod line;
mod stepping;
mod store;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};

use super::super::twins::Twin;
// What the two files name with `super::`, but for what stands here in its place.
use super::super::*;

/// What is tried: with all protections, or with one missing.
type Test = fn(twins::Twins);

const SEED: u64 = 0x0068_6f6c_6466_6173;
/// How many others may push in between, in the second scheduler's orders.
const DEPTH: usize = 4;

/// Lets others go on.
fn step() {
    shuttle::sync::atomic::AtomicBool::new(false).load(Ordering::SeqCst);
}

/// Runs `test` in `orders` orders of each scheduler, or in as many as `HOLDFAST_SEEDS` says.
fn try_orders(orders: u64, test: Test) {
    let orders = super::seeds(orders).end as usize;
    run(RandomScheduler::new_from_seed(SEED, orders), FailurePersistence::Print, test, None);
    run(PctScheduler::new_from_seed(SEED, DEPTH, orders), FailurePersistence::Print, test, None);
}

fn run(
    scheduler: impl Scheduler + 'static,
    failure_persistence: FailurePersistence,
    test: Test,
    missing: Option<Twin>,
) {
    let mut config = Config::new();
    config.stack_size = 256 << 10;
    config.failure_persistence = failure_persistence;
    config.max_steps = MaxSteps::FailAfter(20_000);
    let twins = missing.map(twins::Twins::without).unwrap_or_default();
    Runner::new(scheduler, config).run(move || test(twins));
}

/// Takes a protection away and says what the schedulers find.
#[track_caller]
fn found(missing: Twin, test: Test, what: &str) {
    const BUDGET: usize = 2000;
    let failure = catch_unwind(AssertUnwindSafe(|| {
        let (none, missing) = (FailurePersistence::None, Some(missing));
        run(RandomScheduler::new_from_seed(SEED, BUDGET), none.clone(), test, missing);
        run(PctScheduler::new_from_seed(SEED, DEPTH, BUDGET), none, test, missing);
    }));
    let failure = failure.expect_err("the schedulers find it");
    let said = failure.downcast_ref::<String>().map(String::as_str);
    let said = said.or_else(|| failure.downcast_ref::<&str>().copied()).unwrap_or_default();
    assert!(said.contains(what), "{missing:?} was found by another complaint: {said}");
}
