//! What the tests of pools, limits and seat maps share.

use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::{AttemptId, Decider, ReservationId, Timestamp, UserId};

/// The n-th reservation.
pub(crate) fn reservation(number: u128) -> ReservationId {
    ReservationId(Uuid::from_u128(number))
}

/// The n-th attempt.
pub(crate) fn attempt(number: u128) -> AttemptId {
    AttemptId(Uuid::from_u128(number))
}

/// A customer.
pub(crate) fn user(name: &str) -> UserId {
    UserId::new(name).expect("a user's id")
}

/// So many seconds after the beginning.
pub(crate) fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

/// Asks and takes the answer in. Checks on the way what holds for every answer: each recorded event
/// changes the state, and what was accepted is "already so" when it is asked again.
pub(crate) fn ask<D: Decider + PartialEq>(
    state: &mut D,
    id: &D::Id,
    command: &D::Command,
    now: Timestamp,
) -> Result<Vec<D::Event>, D::Refusal> {
    let events = ask_once(state, id, command, now)?;
    assert_eq!(state.decide(id, command, now), Ok(vec![]), "{command:?} repeated after {events:?}");
    Ok(events)
}

/// The same for what adds up when it is asked again (goods received).
pub(crate) fn ask_once<D: Decider + PartialEq>(
    state: &mut D,
    id: &D::Id,
    command: &D::Command,
    now: Timestamp,
) -> Result<Vec<D::Event>, D::Refusal> {
    let events = state.decide(id, command, now)?;
    for event in &events {
        let before = state.clone();
        state.evolve(event);
        assert!(*state != before, "{event:?} changes nothing");
    }
    Ok(events)
}

/// A state as a snapshot gives it back. It must be the state: whatever follows, follows from it too.
pub(crate) fn kept<D: Serialize + DeserializeOwned>(state: &D) -> D {
    let bytes = postcard::to_stdvec(state).expect("a state can be written down");
    postcard::from_bytes(&bytes).expect("and read back")
}

/// Seeded, so that a failure comes again. How many cases a property is tried with: a few here, more by `HOLDFAST_CASES`.
#[expect(clippy::disallowed_methods, reason = "a test may be told to try more")]
pub(crate) fn cases(few: u32) -> proptest::test_runner::Config {
    let cases = std::env::var("HOLDFAST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(few);
    proptest::test_runner::Config {
        cases,
        rng_seed: proptest::test_runner::RngSeed::Fixed(7),
        failure_persistence: None,
        ..proptest::test_runner::Config::default()
    }
}
