//! A house of its own for every test: the real binary in a temporary directory, on a free port.

mod catalogue;
mod client;
mod house;
mod judge;
#[path = "../../iot/tests/support/mosquitto.rs"]
pub(crate) mod mosquitto;
mod road;

pub(crate) use catalogue::{Hall, create_item, publish_hall, receive_stock};
pub(crate) use client::{Answer, Person, seats_socket};
pub(crate) use house::{House, binary, kill};
pub(crate) use judge::{Ledger, judge_log, recorded};
pub(crate) use road::{Between, Road, vehicle_is};

use std::future::Future;
use std::time::{Duration, Instant};

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Asks again and again until there is an answer; what is asked must come in the end.
pub(crate) async fn eventually<T, F>(what: &str, mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let began = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain: {what}");
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
}

/// The seed of everything that is chosen at random; `HOLDFAST_SEED` tries another.
pub(crate) fn seed() -> u64 {
    let seed = std::env::var("HOLDFAST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(7);
    eprintln!("HOLDFAST_SEED={seed}");
    seed
}
