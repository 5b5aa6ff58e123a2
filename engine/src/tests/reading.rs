//! Those who follow the log, and a disk that does not answer.

use std::time::Duration;

use holdfast_store::contract::batch;
use holdfast_store::{Expected, ReadError};

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

/// The log's owner ends the process with another code for damage: it has to find it among the causes.
#[tokio::test]
async fn damage_is_among_the_causes_of_whoever_ends_for_it() {
    let is_damage = |error: &(dyn std::error::Error + 'static)| {
        let causes = std::iter::successors(Some(error), |cause| cause.source());
        causes
            .filter_map(|cause| cause.downcast_ref())
            .any(|cause: &ReadError| matches!(cause, ReadError::Damaged { offset: 4_096, .. }))
    };
    let mut world = World::new().await;
    world.shirts(3).await;
    world.quiet().await;
    world.store.damage();
    world.log.append(vec![batch("misc-1", Expected::Any, 1)]).await.expect("an append");
    let died = world.died().await;
    assert!(is_damage(&died), "{died:?}");
    let refused = crate::StartError::from(world.died().await);
    assert!(is_damage(&refused), "{refused:?}");
}
