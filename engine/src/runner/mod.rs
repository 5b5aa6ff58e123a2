//! The process runner: one worker a process manager. It follows the log, asks the process what
//! follows from each fact, and performs that.
//!
//! ```text
//!   log ──► follow: fold the stream, react ──► asks ──► lane of the reservation ──► perform
//!                                                        one after another            │
//!                                                        others go on              done, or trouble:
//!             checkpoint = lowest unfinished − 1 ◄────────────────────────── retry 3 times, park
//! ```
//!
//! A fact is seen at least once; its asks carry names that follow from its position, so they take
//! effect once. A slow gateway or a poisoned instance holds up its own lane and no other.

mod fold;
mod lanes;
mod parking;
mod perform;
mod progress;
mod timers;
mod vehicles;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use holdfast_domain::process::{Ask, Process};
use holdfast_domain::{Timestamp, derive};
use holdfast_store::{Filter, Position, RecordedEvent, Subscription};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use uuid::Uuid;

use crate::engine::Core;
use crate::letters::Letter;
use crate::side::{SideError, TimerRow};

pub(crate) use perform::Cause;

/// How many facts of one process may be unfinished at a time.
const UNFINISHED: usize = 512;

/// How far apart its progress is written down at the least. What is not written down is done again after
/// a crash, under the same names: longer saves transactions and costs nothing else.
const WRITE_DOWN: Duration = Duration::from_millis(100);

/// One process manager at work.
pub(crate) struct Worker {
    pub(crate) process: Process,
    core: Arc<Core>,
    lanes: Mutex<lanes::Lanes>,
    progress: Mutex<progress::Pending>,
    timers: Mutex<timers::Timers>,
    /// Lanes whose facts from that position on are parked too.
    parked: Mutex<HashMap<String, u64>>,
    /// Told when something was done that is worth writing down.
    changed: Notify,
    room: Arc<Semaphore>,
    /// How many lanes wait for the clock before they try again.
    backing_off: AtomicUsize,
}

/// Something to be performed in a lane.
struct Job {
    work: Work,
    /// Keeps the number of unfinished facts bounded.
    _room: OwnedSemaphorePermit,
}

enum Work {
    /// What follows from a fact.
    Fact { event: Box<RecordedEvent>, asks: Vec<Ask> },
    /// An event that cannot be understood.
    Poison { event: Box<RecordedEvent>, error: String },
    /// A timer is due.
    Fired(Arc<TimerRow>),
    /// An operator wants a letter to be done again.
    Redrive(Uuid, Box<Letter>),
    /// Asked again by reconciliation.
    Again { asks: Vec<Ask>, name: Uuid },
}

/// Why a follower of the log ended.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// The log cannot be read.
    #[error("{0}")]
    Read(#[from] holdfast_store::ReadError),
    /// The side file does not answer.
    #[error("{0}")]
    Side(#[from] SideError),
}

impl Worker {
    pub(crate) async fn load(core: Arc<Core>, process: Process) -> Result<Arc<Self>, RunnerError> {
        let position = core.side.checkpoint(process.name()).await?;
        let rows = core.side.timers(process.name()).await?;
        let open =
            if process == Process::Payment { core.side.open_payments().await? } else { Vec::new() };
        let worker = Arc::new(Self {
            process,
            lanes: Mutex::default(),
            progress: Mutex::new(progress::Pending::new(
                position,
                rows.iter().map(|row| row.key.clone()).collect(),
                open,
                core.house.protections.checkpoint_after_asks,
            )),
            timers: Mutex::new(timers::Timers::load(rows)),
            parked: Mutex::default(),
            changed: Notify::new(),
            room: Arc::new(Semaphore::new(UNFINISHED)),
            backing_off: AtomicUsize::new(0),
            core,
        });
        worker.load_parked().await;
        Ok(worker)
    }

    /// Follows the log until it is stopped.
    pub(crate) async fn follow(
        self: Arc<Self>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), RunnerError> {
        let from = self.progress().looked().next();
        let store = self.core.house.store.clone();
        let mut log = Subscription::new(store, from, wanted(self.process));
        let mut folds = fold::Folds::new(self.core.house.clone());
        loop {
            let (events, upto) = tokio::select! {
                page = self.core.house.next_page(self.process.name(), &mut log) => page?,
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
            };
            for event in events {
                let position = event.position;
                let work = tokio::select! {
                    // Almost never waits for anything, and then nobody is asked whether to stop.
                    biased;
                    work = self.think(&mut folds, event) => work?,
                    _ = stop.wait_for(|stop| *stop) => return Ok(()),
                };
                if let Some((lane, work)) = work {
                    self.progress().begin(position);
                    let submitted = self.submit(lane, work);
                    tokio::select! {
                        () = submitted => {}
                        _ = stop.wait_for(|stop| *stop) => return Ok(()),
                    }
                }
            }
            self.progress().look(upto);
            self.stirred();
        }
    }

    /// What is to be done on account of an event, and in which lane. What is only to be noted is done
    /// when this answers, before the event counts as looked at.
    async fn think(
        &self,
        folds: &mut fold::Folds,
        event: RecordedEvent,
    ) -> Result<Option<(String, Work)>, RunnerError> {
        let settings = &self.core.house.settings.process;
        let mut patience = self.core.house.patience(self.process.name());
        let known = loop {
            // Nothing is kept of a stream that was read half way.
            let read = folds.take_in(&event).await;
            if let Some(answer) = patience.answer(read).await {
                break answer?;
            }
        };
        let understood = match known {
            Ok(known) => {
                if self.process == Process::Payment
                    && let Some((payment, at_rest)) = known.payment_at_rest()
                {
                    self.progress().payment(payment, !at_rest);
                }
                let at = Timestamp::from_micros(event.recorded_at_micros);
                let process = self.process;
                // A rule that panics must not stop the process for everybody else.
                std::panic::catch_unwind(AssertUnwindSafe(|| known.react(process, at, settings)))
                    .map_err(|_| "the process panicked".to_owned())
            }
            Err(error) => Err(error),
        };
        let asks = match understood {
            Ok(asks) if asks.is_empty() => return Ok(None),
            Ok(asks) => asks,
            Err(error) => {
                let lane = lane_of(&event);
                return Ok(Some((lane, Work::Poison { event: Box::new(event), error })));
            }
        };
        let lane = lane_of(&event);
        if self.note(&lane, &event, &asks) {
            return Ok(None);
        }
        Ok(Some((lane, Work::Fact { event: Box::new(event), asks })))
    }

    /// Does here and now what only sets timers and takes them away, where nothing is under way in its
    /// lane: a task of its own would cost several times as much. False when it is to be done there.
    fn note(&self, lane: &str, event: &RecordedEvent, asks: &[Ask]) -> bool {
        if !asks.iter().all(is_note) || self.is_parked(lane, event.position.0) {
            return false;
        }
        // Who comes into that lane meanwhile waits here.
        let lanes = self.lanes();
        if lanes.has(lane) {
            return false;
        }
        for ask in asks {
            match ask {
                Ask::Wake { key, at, then } => self.wake(key, *at, then, Some(lane), event.id),
                Ask::Forget(key) => self.forget(key),
                Ask::Do(_)
                | Ask::Steps(_)
                | Ask::Gateway(_)
                | Ask::Charge(_)
                | Ask::Vehicle(_)
                | Ask::Assign { .. }
                | Ask::Alarm(_) => {}
            }
        }
        true
    }

    /// Puts work into a lane; waits while too much is unfinished.
    async fn submit(self: &Arc<Self>, lane: String, work: Work) {
        let room = self.room.clone().acquire_owned().await.expect("it is never closed");
        self.begin(lane, work, room);
    }

    /// Room for one more job, if there is any just now.
    fn room(&self) -> Option<OwnedSemaphorePermit> {
        self.room.clone().try_acquire_owned().ok()
    }

    fn begin(self: &Arc<Self>, lane: String, work: Work, room: OwnedSemaphorePermit) {
        let job = Job { work, _room: room };
        if self.lanes().push(&lane, job) {
            let worker = self.clone();
            let mut stop = self.core.stop.subscribe();
            self.core.lanes.spawn(async move {
                tokio::select! {
                    () = worker.run_lane(&lane) => {}
                    _ = stop.wait_for(|stop| *stop) => {}
                }
            });
        }
    }

    async fn run_lane(self: &Arc<Self>, lane: &str) {
        while let Some(job) = self.next_job(lane) {
            let position = match &job.work {
                Work::Fact { event, .. } | Work::Poison { event, .. } => Some(event.position),
                Work::Fired(_) | Work::Redrive(..) | Work::Again { .. } => None,
            };
            // Whatever panics, the lane goes on with what comes next. The checkpoint stays before a fact
            // that was neither done nor parked.
            let performed = AssertUnwindSafe(self.perform(lane, &job.work)).catch_unwind().await;
            if performed.is_err() {
                tracing::error!(process = self.process.name(), lane, "performing it panicked");
            }
            if let Some(position) = position.filter(|_| performed.is_ok()) {
                self.progress().finish(position);
            }
            drop(job);
            self.stirred();
        }
    }

    fn next_job(&self, lane: &str) -> Option<Job> {
        self.lanes().pop(lane)
    }

    /// Fires what is due, batch after batch.
    pub(crate) async fn tick(self: Arc<Self>) {
        while self.fire(self.core.house.now()) {
            tokio::task::yield_now().await;
        }
    }

    /// Fires what is due, at most one batch; true when there may be more. It waits for nobody: what
    /// finds no room stays due until the next tick.
    fn fire(self: &Arc<Self>, now: Timestamp) -> bool {
        for _ in 0..self.core.house.settings.expiry_batch {
            let Some(room) = self.room() else { return false };
            let Some(row) = self.timers().due(now, 1).pop() else { return false };
            let late = now.since(row.due).as_secs_f64();
            metrics::histogram!("holdfast_timer_lag_seconds", "process" => self.process.name())
                .record(late);
            self.begin(row.lane.clone(), Work::Fired(row), room);
        }
        true
    }

    /// Compares the timers in memory with what is written down: the safety net under the tick.
    pub(crate) async fn sweep(&self) -> Result<(), SideError> {
        for row in self.core.side.timers(self.process.name()).await? {
            let unwritten = self.progress().changes(&row.key);
            if !unwritten {
                self.timers().restore(row);
            }
        }
        Ok(())
    }

    /// Writes progress down, as long as there is any.
    pub(crate) async fn write_down(
        self: Arc<Self>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), RunnerError> {
        loop {
            let stopped = tokio::select! {
                () = self.changed.notified() => false,
                _ = stop.wait_for(|stop| *stop) => true,
            };
            self.save().await;
            if stopped {
                return Ok(());
            }
            // Many facts share one transaction.
            tokio::time::sleep(WRITE_DOWN).await;
        }
    }

    /// Writes down what is done. What cannot be written is written with the next change.
    pub(crate) async fn save(&self) {
        let Some(change) = self.progress().take() else { return };
        if let Err(error) = self.core.side.save(self.process.name(), &change).await {
            tracing::error!(process = self.process.name(), %error, "progress was not written down");
            self.progress().put_back(change);
            tokio::time::sleep(Duration::from_millis(200)).await;
            self.changed.notify_one();
        }
        let head = self.core.house.store.head();
        let lag = head.0.saturating_sub(self.checkpoint().0);
        metrics::gauge!("holdfast_consumer_lag", "consumer" => self.process.name()).set(lag as f64);
    }

    /// Asks again about every payment that is not at rest.
    pub(crate) async fn reconcile(
        self: &Arc<Self>,
        open: Vec<holdfast_domain::PaymentId>,
    ) -> usize {
        let now = self.core.house.now().micros().to_string();
        let mut asked = 0;
        for payment in open {
            let look = self.core.dispatch.look::<holdfast_domain::payment::State, _>(
                &payment,
                move |view| {
                    let asks = holdfast_domain::process::payment::reconcile(&payment, view.state);
                    (asks, view.state.reservation_id)
                },
            );
            match look.await {
                // At rest by now; the follower crosses it off when it comes to that event.
                Ok((asks, _)) if asks.is_empty() => {}
                Ok((asks, reservation)) => {
                    // It is asked about the next time.
                    let Some(room) = self.room() else { break };
                    asked += 1;
                    let lane = reservation.map_or_else(
                        || format!("payment-{payment}"),
                        |reservation| reservation.to_string(),
                    );
                    let name = derive(&["reconcile", &payment.to_string(), &now]);
                    self.begin(lane, Work::Again { asks, name }, room);
                }
                Err(error) => tracing::warn!(%payment, %error, "not reconciled"),
            }
        }
        asked
    }

    pub(crate) async fn redrive(self: &Arc<Self>, id: Uuid, letter: Letter) {
        let lane = letter.lane.clone().unwrap_or_else(|| id.to_string());
        self.submit(lane, Work::Redrive(id, Box::new(letter))).await;
    }

    /// Payments that are not at rest, as far as this worker has seen.
    pub(crate) fn open_payments(&self) -> Vec<holdfast_domain::PaymentId> {
        self.progress().open_payments()
    }

    /// Everything up to here is done.
    pub(crate) fn checkpoint(&self) -> Position {
        self.progress().checkpoint()
    }

    /// Takes all the room there is, as facts do that wait for something slow.
    #[cfg(test)]
    pub(crate) async fn crowd(&self) -> OwnedSemaphorePermit {
        let all = u32::try_from(UNFINISHED).expect("a few hundred");
        self.room.clone().acquire_many_owned(all).await.expect("it is never closed")
    }

    #[cfg(test)]
    pub(crate) fn looked_at(&self, position: Position) -> bool {
        self.progress().looked() >= position
    }

    /// How many timers wait, and when the first is due.
    pub(crate) fn pending_timers(&self) -> (usize, Option<Timestamp>) {
        let timers = self.timers();
        (timers.len(), timers.next_due())
    }

    /// How many lanes are parked.
    pub(crate) fn parked_lanes(&self) -> usize {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether it has looked at everything and nothing is under way but what waits for the clock.
    pub(crate) fn is_quiet(&self) -> bool {
        self.progress().looked() >= self.core.house.store.head() && self.is_idle()
    }

    /// Whether nothing is under way but what waits for the clock.
    pub(crate) fn is_idle(&self) -> bool {
        let busy = self.lanes().len();
        busy <= self.backing_off.load(Ordering::Acquire)
    }

    fn stirred(&self) {
        self.changed.notify_one();
        self.core.stirred();
    }

    fn progress(&self) -> std::sync::MutexGuard<'_, progress::Pending> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn timers(&self) -> std::sync::MutexGuard<'_, timers::Timers> {
        self.timers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lanes(&self) -> std::sync::MutexGuard<'_, lanes::Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether it is done at once, in memory, and cannot fail.
fn is_note(ask: &Ask) -> bool {
    match ask {
        Ask::Wake { .. } | Ask::Forget(_) => true,
        Ask::Do(_)
        | Ask::Steps(_)
        | Ask::Gateway(_)
        | Ask::Charge(_)
        | Ask::Vehicle(_)
        | Ask::Assign { .. }
        | Ask::Alarm(_) => false,
    }
}

/// The events that a process has something to say about.
fn wanted(process: Process) -> Filter {
    let categories: &[&str] = match process {
        Process::Booking => &["reservation", "payment", "seatmap", "inventory", "limit", "vehicle"],
        Process::Payment => &["payment"],
        Process::Rental => &["reservation", "vehicle", "payment"],
        Process::Unlock => &["vehicle"],
        Process::Damage => &["inspection", "payment"],
        Process::Tickets | Process::Notices => &["reservation"],
    };
    Filter::Categories(categories.iter().map(|name| (*name).into()).collect())
}

/// The reservation that an event is about, else its own stream.
fn lane_of(event: &RecordedEvent) -> String {
    let origin = holdfast_schemas::Origin::decode(&event.metadata);
    let about = origin.as_ref().ok().and_then(holdfast_schemas::Origin::correlation_id);
    about.unwrap_or(event.stream.as_str()).to_owned()
}
