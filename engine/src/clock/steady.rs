//! The time that decisions go by.
//!
//! It runs with the monotonic clock and follows the wall clock where that is believable:
//!
//! * small steps forward are taken at once;
//! * a leap forward by more than `jump` raises an alarm and is believed only after it has lasted for
//!   `grace`; meanwhile nothing is due that would not be due anyway, so nothing expires by mistake;
//! * a step back is not followed at all: a hold never lasts longer than its time on the monotonic clock;
//! * it never starts before the last recorded event.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use holdfast_domain::Timestamp;

use crate::ports::Clock;

/// A clock that never goes back and does not leap without reason.
pub struct Steady {
    clock: Arc<dyn Clock>,
    jump: Duration,
    grace: Duration,
    inner: Mutex<Inner>,
}

struct Inner {
    /// What the steady clock showed when the monotonic one showed `at`.
    base: Timestamp,
    at: Duration,
    /// Since when (monotonic) the wall clock has been far ahead.
    leap_since: Option<Duration>,
    /// Whether it is behind: told once, until it is level again.
    behind: bool,
}

impl Steady {
    /// A steady clock over `clock` that starts at the wall's time, or at `floor` when that is later.
    pub fn new(clock: Arc<dyn Clock>, floor: Timestamp, jump: Duration, grace: Duration) -> Self {
        let base = clock.wall().max(floor);
        let at = clock.monotonic();
        let inner = Mutex::new(Inner { base, at, leap_since: None, behind: false });
        Self { clock, jump, grace, inner }
    }

    /// The moment by which commands are judged.
    pub fn now(&self) -> Timestamp {
        let wall = self.clock.wall();
        let monotonic = self.clock.monotonic();
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let run = inner.base.plus(monotonic.saturating_sub(inner.at));
        let ahead = wall.since(run);
        let now = if ahead <= self.jump {
            self.level(&mut inner, wall, run);
            run.max(wall)
        } else {
            match inner.leap_since {
                None => {
                    tracing::error!(%wall, steady = %run, "the wall clock leapt forward; not believed yet");
                    metrics::counter!("holdfast_clock_leaps_total").increment(1);
                    inner.leap_since = Some(monotonic);
                    run
                }
                Some(since) if monotonic.saturating_sub(since) < self.grace => run,
                Some(_) => {
                    tracing::warn!(%wall, steady = %run, "the wall clock's leap has lasted; taken over");
                    inner.leap_since = None;
                    wall
                }
            }
        };
        inner.base = now;
        inner.at = monotonic;
        now
    }

    fn level(&self, inner: &mut Inner, wall: Timestamp, run: Timestamp) {
        if inner.leap_since.take().is_some() {
            tracing::info!(%wall, "the wall clock is back");
        }
        let behind = run.since(wall) > self.jump;
        if behind && !inner.behind {
            tracing::error!(%wall, steady = %run, "the wall clock went back; not followed");
            metrics::counter!("holdfast_clock_steps_back_total").increment(1);
        }
        inner.behind = behind;
    }

    /// What is wrong with the wall clock, if anything is.
    pub fn alarm(&self) -> Option<&'static str> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.leap_since.is_some() {
            Some("the wall clock leapt forward; it is not believed yet")
        } else if inner.behind {
            Some("the wall clock went back; it is not followed")
        } else {
            None
        }
    }

    /// The wall clock as it stands, believed or not: for what others have stamped by theirs.
    pub fn wall(&self) -> Timestamp {
        self.clock.wall()
    }

    /// Waits on the monotonic clock.
    pub fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        self.clock.sleep(span)
    }

    /// The monotonic clock.
    pub fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SimClock;

    const NOON: Timestamp = Timestamp::from_secs(1_795_262_400);

    fn steady(sim: &SimClock, floor: Timestamp) -> Steady {
        let minute = Duration::from_secs(60);
        Steady::new(Arc::new(sim.clone()), floor, minute, minute)
    }

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn it_runs_with_the_clock_and_takes_small_steps_over() {
        let sim = SimClock::at(NOON);
        let steady = steady(&sim, Timestamp::default());
        sim.advance(secs(5));
        assert_eq!(steady.now(), NOON.plus(secs(5)));
        sim.set_wall(NOON.plus(secs(7)));
        assert_eq!(steady.now(), NOON.plus(secs(7)));
        assert_eq!(steady.alarm(), None);
    }

    #[test]
    fn a_leap_forward_is_told_and_believed_only_after_it_has_lasted() {
        let sim = SimClock::at(NOON);
        let steady = steady(&sim, Timestamp::default());
        sim.set_wall(NOON.plus(secs(3_600)));
        assert_eq!(steady.now(), NOON);
        assert!(steady.alarm().is_some());
        sim.advance(secs(59));
        assert_eq!(steady.now(), NOON.plus(secs(59)));
        sim.advance(secs(1));
        assert_eq!(steady.now(), NOON.plus(secs(3_660)));
        assert_eq!(steady.alarm(), None);
    }

    #[test]
    fn a_leap_that_is_taken_back_has_never_been() {
        let sim = SimClock::at(NOON);
        let steady = steady(&sim, Timestamp::default());
        sim.set_wall(NOON.plus(secs(3_600)));
        steady.now();
        sim.set_wall(NOON);
        sim.advance(secs(100));
        assert_eq!(steady.now(), NOON.plus(secs(100)));
        assert_eq!(steady.alarm(), None);
    }

    #[test]
    fn a_step_back_is_not_followed_so_no_hold_lasts_longer() {
        let sim = SimClock::at(NOON);
        let steady = steady(&sim, Timestamp::default());
        sim.set_wall(NOON.minus(secs(3_600)));
        assert_eq!(steady.now(), NOON);
        sim.advance(secs(900));
        assert_eq!(steady.now(), NOON.plus(secs(900)));
        assert!(steady.alarm().is_some());
    }

    #[test]
    fn it_never_starts_before_the_last_recorded_event() {
        let sim = SimClock::at(NOON);
        let steady = steady(&sim, NOON.plus(secs(20)));
        assert_eq!(steady.now(), NOON.plus(secs(20)));
        sim.advance(secs(1));
        assert_eq!(steady.now(), NOON.plus(secs(21)));
    }
}
