//! A clock that a test moves. Nobody ever waits for it: who sleeps wakes when it is moved.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use holdfast_domain::Timestamp;
use tokio::sync::oneshot;

use crate::ports::Clock;

/// A clock that stands still until it is moved. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct SimClock {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    wall: Timestamp,
    monotonic: Duration,
    sleepers: BTreeMap<(Duration, u64), oneshot::Sender<()>>,
    count: u64,
}

impl SimClock {
    /// A clock whose wall shows `wall`.
    pub fn at(wall: Timestamp) -> Self {
        Self {
            inner: Arc::new(Mutex::new(Inner {
                wall,
                monotonic: Duration::ZERO,
                sleepers: BTreeMap::new(),
                count: 0,
            })),
        }
    }

    /// Time goes on by `span`; who slept until then wakes.
    pub fn advance(&self, span: Duration) {
        let woken = {
            let mut inner = self.lock();
            inner.wall = inner.wall.plus(span);
            inner.monotonic += span;
            let upto = (inner.monotonic, u64::MAX);
            let later = inner.sleepers.split_off(&upto);
            std::mem::replace(&mut inner.sleepers, later)
        };
        for (_, sleeper) in woken {
            // Who has stopped waiting does not mind.
            let _ = sleeper.send(());
        }
    }

    /// Somebody sets the wall clock; no time goes by.
    pub fn set_wall(&self, wall: Timestamp) {
        self.lock().wall = wall;
    }

    /// When the next sleeper wakes, counted from now; none when nobody sleeps.
    pub fn next_wake(&self) -> Option<Duration> {
        let mut inner = self.lock();
        inner.sleepers.retain(|_, sleeper| !sleeper.is_closed());
        let now = inner.monotonic;
        inner.sleepers.keys().next().map(|(at, _)| at.saturating_sub(now))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for SimClock {
    fn wall(&self) -> Timestamp {
        self.lock().wall
    }

    fn monotonic(&self) -> Duration {
        self.lock().monotonic
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        if span.is_zero() {
            return Box::pin(std::future::ready(()));
        }
        let (wake, woken) = oneshot::channel();
        {
            let mut inner = self.lock();
            inner.count += 1;
            let key = (inner.monotonic + span, inner.count);
            inner.sleepers.insert(key, wake);
        }
        Box::pin(async move {
            if woken.await.is_err() {
                // The clock is gone: nothing will ever be due again.
                std::future::pending::<()>().await;
            }
        })
    }
}
