//! The engine's running parts: begun in order, watched, stopped.
//!
//! ```text
//!   follower of the log ─► caught up ─► process workers ─► timers, sweep, reconciliation
//! ```

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use holdfast_domain::process::Process;
use tokio::task::{JoinError, JoinSet};

use crate::engine::{Core, StartError};
use crate::follow::IndexError;
use crate::runner::{RunnerError, Worker};

/// How long stopping waits for what is under way.
const DRAIN: Duration = Duration::from_secs(4);

/// The engine's running parts; dropped, they end at once, as in a crash.
pub struct Running {
    pub(crate) core: Arc<Core>,
    pub(crate) parts: JoinSet<(&'static str, Result<(), PartError>)>,
}

/// Why a part of the engine ended by itself. The cause stays in the chain: whoever ends the process
/// for it asks whether the log is damaged.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// The follower of the log that keeps what the doors need.
    #[error("{0}")]
    Index(#[from] IndexError),
    /// A process manager.
    #[error("{0}")]
    Runner(#[from] RunnerError),
}

/// The engine has stopped, since a part of it has died.
#[derive(Debug, thiserror::Error)]
pub enum Died {
    /// It met what it cannot get over.
    #[error("{part}: {why}")]
    Failed {
        /// Which part.
        part: &'static str,
        /// What it met.
        #[source]
        why: PartError,
    },
    /// It ended, although nobody had told it to.
    #[error("{part} has ended")]
    Ended {
        /// Which part.
        part: &'static str,
    },
    /// It panicked: a fault of the program. The log has all that was acknowledged.
    #[error("a part of the engine panicked: {0}")]
    Panicked(#[from] JoinError),
    /// It was never begun.
    #[error("nothing is running")]
    NotBegun,
}

/// Tasks that end by themselves.
#[derive(Default)]
pub(crate) struct Tasks(Mutex<JoinSet<()>>);

impl Tasks {
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut set = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while set.try_join_next().is_some() {}
        set.spawn(task);
    }

    async fn drained(&self) {
        loop {
            let mut set =
                std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
            if set.is_empty() {
                return;
            }
            while set.join_next().await.is_some() {}
        }
    }

    fn abort(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}

impl Running {
    pub(crate) async fn begin(&mut self, processes: &[Process]) -> Result<(), StartError> {
        let core = self.core.clone();
        let head = core.house.store.head();
        let halt = self.core.halt.subscribe();
        let index = core.clone();
        self.part("follower", async move { index.index.run(halt).await });
        let (fleet, halt) = (core.clone(), self.core.halt.subscribe());
        self.part("fleet", async move {
            let Core { index, house, dispatch, side, .. } = &*fleet;
            index.fleet.run(house, dispatch, side, halt).await
        });
        while !core.index.seen(head, Duration::from_millis(50)).await {
            if let Some(ended) = self.parts.try_join_next() {
                return Err(died(ended).into());
            }
        }
        core.index.load_letters(&core.dispatch).await;
        let mut workers = Vec::new();
        for process in processes {
            workers.push(Worker::load(core.clone(), *process).await?);
        }
        *core.workers.write().unwrap_or_else(PoisonError::into_inner) = workers.clone();
        for worker in workers {
            // Each has timers of its own: one that has no room keeps nobody else's waiting.
            let ticking = worker.clone();
            let tick = core.house.settings.tick;
            self.every("timers", tick, move |_| ticking.clone().tick());
            let (follow, write) = (self.core.halt.subscribe(), self.core.halt.subscribe());
            self.part(worker.process.name(), worker.clone().follow(follow));
            self.part("progress", worker.write_down(write));
        }
        self.every("sweep", core.house.settings.sweep, async |core: Arc<Core>| core.sweep().await);
        let reconciling = core.clone();
        core.lanes.spawn(async move {
            reconciling.reconcile().await;
            reconciling.retry_webhooks().await;
        });
        let hourly = core.house.settings.reconcile;
        self.every("reconciliation", hourly, async |core: Arc<Core>| core.reconcile().await);
        Ok(())
    }

    fn part<E: Into<PartError>>(
        &mut self,
        name: &'static str,
        part: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        self.parts.spawn(async move { (name, part.await.map_err(Into::into)) });
    }

    /// Something that is done again and again.
    fn every<F>(
        &mut self,
        name: &'static str,
        span: Duration,
        work: impl Fn(Arc<Core>) -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let core = self.core.clone();
        let mut halt = self.core.halt.subscribe();
        self.part(name, async move {
            loop {
                // The wait begins before the work: a clock that is moved meanwhile is not missed.
                let wait = core.house.clock.sleep(span);
                tokio::select! {
                    () = wait => {}
                    _ = halt.wait_for(|halt| *halt) => return Ok::<(), RunnerError>(()),
                }
                work(core.clone()).await;
            }
        });
    }

    /// Ends when a part of the engine has died, with its name and its cause; never while all is well.
    pub async fn failed(&mut self) -> Died {
        self.parts.join_next().await.map_or(Died::NotBegun, died)
    }

    /// Stops: takes nothing new up, finishes what is under way (10 s at most), writes progress down.
    pub async fn stop(mut self) {
        self.core.halt.send_replace(true);
        let core = self.core.clone();
        let drained = async {
            while self.parts.join_next().await.is_some() {}
            core.tasks.drained().await;
            // Who only waits to try again goes on after the next start.
            while !core.workers().iter().all(|worker| worker.is_idle()) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::warn!("something is still under way; it goes on after the next start");
        }
        core.stop.send_replace(true);
        for worker in core.workers() {
            worker.save().await;
        }
        core.side.flush().await;
    }
}

fn died(ended: Result<(&'static str, Result<(), PartError>), JoinError>) -> Died {
    match ended {
        Ok((part, Err(why))) => Died::Failed { part, why },
        Ok((part, Ok(()))) => Died::Ended { part },
        Err(panicked) => Died::Panicked(panicked),
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.core.halt.send_replace(true);
        self.core.stop.send_replace(true);
        self.core.tasks.abort();
        self.core.lanes.abort();
        // The workers hold the core and the core holds them.
        self.core.workers.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
