//! Those who follow the log, and a disk that does not answer.

use std::time::Duration;

use holdfast_store::contract::batch;
use holdfast_store::{EventStore, Expected};

use super::world::World;

/// Lets the followers have their turn until `done`.
async fn until(what: &str, done: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if done() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("never: {what}");
}

/// Fault 13 of PROMISES.md, and P19: nobody ends for it, health says it, and all goes on by itself.
#[tokio::test]
async fn followers_wait_for_a_disk_that_does_not_answer() {
    let world = World::new().await;
    world.shirts(3).await;
    world.quiet().await;
    assert_eq!(world.engine.health().read_troubles, Vec::<String>::new());
    world.store.unreadable(true);
    world.log.append(vec![batch("misc-1", Expected::Any, 1)]).await.expect("an append");
    let told = || world.engine.health().read_troubles;
    until("the follower of the keys says it", || told().iter().any(|t| t.starts_with("keys")))
        .await;
    assert!(told()[0].contains("the disk does not answer"), "{:?}", told());
    world.store.unreadable(false);
    world.sim.advance(Duration::from_secs(10));
    until("nobody waits any more", || told().is_empty()).await;
    world.quiet().await;
    let lags: Vec<u64> = world.engine.health().consumers.iter().map(|c| c.lag).collect();
    assert!(lags.iter().all(|lag| *lag == 0), "{lags:?}");
}
