//! Follows the log and keeps the rows: one batch, one transaction, rows and checkpoints together.
//!
//! ```text
//!   head moved ──► read what has come ──► BEGIN ─ checkpoints ─ rows ─ checkpoints ─ COMMIT ──► told
//!                                           │
//!                                           └── events up to a projection's checkpoint are skipped
//! ```
//!
//! While one batch is being written the next events gather, so batches grow with the load. What goes
//! wrong is tried again, from the checkpoint, until it goes through: the log is the truth, and nobody
//! decides by these rows.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use holdfast_store::{EventStore, Filter, Position, ReadError, RecordedEvent, Subscription};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::checkpoints::{Checkpoint, PARKED, ParkedEvent};
use crate::projecting::{Batch, ProjectError, Projecting, Readable};
use crate::projection::Projection;
use crate::read_models::{ReadModels, RunningState};
use crate::tables::{Edition, Stored, TableError, Tx};

/// Between two commits under load: fewer, larger batches cost less.
const BETWEEN_COMMITS: Duration = Duration::from_millis(5);
/// How long to wait after the first failure; doubled up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Keeps the rows of all projections.
pub struct Runner {
    reads: ReadModels,
    store: Arc<dyn EventStore>,
    projecting: Projecting,
    /// The generation of each projection's tables that `projecting` remembers rows of.
    generations: HashMap<String, u32>,
    head_at_start: Position,
}

/// Why the runner begins anew from its checkpoints.
enum Again {
    Failed(ProjectError),
    /// A checkpoint stands before what was read: another process has emptied a projection.
    Behind,
}

impl From<ProjectError> for Again {
    fn from(error: ProjectError) -> Self {
        Self::Failed(error)
    }
}
impl From<TableError> for Again {
    fn from(error: TableError) -> Self {
        Self::Failed(error.into())
    }
}

impl ReadModels {
    /// What keeps the rows up to date with a log. There is one at a time for one file.
    pub fn runner(&self, store: Arc<dyn EventStore>) -> Runner {
        Runner {
            reads: self.clone(),
            head_at_start: store.head(),
            store,
            projecting: Projecting::new(Edition::Live),
            generations: HashMap::new(),
        }
    }
}

impl Runner {
    /// Runs until it is told to stop or the log is closed. Trouble with the tables does not end it:
    /// it says so ([`crate::ProjectionState::Stalled`]) and tries again. Damage of the log does: it
    /// stays, however often it is read.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) -> Result<(), ProjectError> {
        let mut wait = FIRST_WAIT;
        loop {
            let trouble = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
                ended = self.follow(&mut wait) => match ended {
                    Again::Failed(ProjectError::Log(ReadError::Closed)) => return Ok(()),
                    Again::Failed(error @ ProjectError::Log(ReadError::Damaged { .. })) => {
                        return Err(error);
                    }
                    Again::Failed(error) => Some(error),
                    Again::Behind => None,
                },
            };
            // A transaction that was on its way has not happened.
            self.projecting.forget();
            let Some(error) = trouble else { continue };
            tracing::error!(%error, wait_ms = wait.as_millis(), "read models stand still");
            metrics::counter!("holdfast_projection_failures_total").increment(1);
            self.reads.running(RunningState::Stalled);
            if let ProjectError::Table(TableError::Damaged(_)) = error {
                self.reads.mark_damaged();
            }
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
                () = tokio::time::sleep(wait) => wait = (wait * 2).min(LONGEST_WAIT),
            }
        }
    }

    /// Brings the rows up to the log's present head, and ends. What [`Runner::run`] does for ever.
    pub async fn catch_up(&mut self) -> Result<Position, ProjectError> {
        let head = self.store.head();
        loop {
            let from = self.settle().await?;
            let mut at = from;
            let again = loop {
                if at >= head {
                    self.caught_up(at);
                    return Ok(at);
                }
                let page = self.store.read_all(at.next(), &Filter::All, BATCH).await?;
                at = Position(page.next.0 - 1);
                if let Err(again) = self.batch(&page.events, at).await {
                    break again;
                }
            };
            self.projecting.forget();
            match again {
                Again::Failed(error) => return Err(error),
                Again::Behind => {}
            }
        }
    }

    /// Follows the log; ends only when something is in the way.
    async fn follow(&mut self, wait: &mut Duration) -> Again {
        match self.try_follow(wait).await {
            Ok(never) => match never {},
            Err(again) => again,
        }
    }

    async fn try_follow(&mut self, wait: &mut Duration) -> Result<std::convert::Infallible, Again> {
        let from = self.settle().await?;
        self.caught_up(from);
        let mut subscription = Subscription::new(Arc::clone(&self.store), from.next(), Filter::All);
        let mut committed: Option<Instant> = None;
        loop {
            let (mut events, mut upto) =
                subscription.next_page().await.map_err(ProjectError::from)?;
            if let Some(last) = committed
                && last.elapsed() < BETWEEN_COMMITS
            {
                tokio::time::sleep_until(last + BETWEEN_COMMITS).await;
            }
            while events.len() < BATCH && self.store.head() > upto {
                let (more, further) = subscription.next_page().await.map_err(ProjectError::from)?;
                events.extend(more);
                upto = further;
            }
            self.batch(&events, upto).await?;
            self.caught_up(upto);
            committed = Some(Instant::now());
            *wait = FIRST_WAIT;
        }
    }

    fn caught_up(&self, position: Position) {
        let caught_up = position >= self.head_at_start;
        let state = if caught_up { RunningState::Following } else { RunningState::CatchingUp };
        self.reads.running(state);
        metrics::gauge!("holdfast_projection_position").set(position.0 as f64);
    }

    /// Makes sure that the checkpoints belong to this log, and finds where to go on. Projections that
    /// stand beyond the log's head or behind another event than it holds there are of another log;
    /// events that can be read by now were parked by an older program: all of these start again.
    async fn settle(&mut self) -> Result<Position, ProjectError> {
        let mut tx = self.reads.home().write().await?;
        let readable_now = self.readable_now(&mut tx).await?;
        let mut least = None;
        for checkpoint in tx.checkpoints().await? {
            let Ok(projection) = checkpoint.name.parse::<Projection>() else { continue };
            let mut position = checkpoint.position;
            if readable_now || !self.is_of_this_log(&checkpoint).await? {
                tracing::warn!(projection = checkpoint.name, %position, "starts again from the log");
                tx.start_again(projection).await?;
                position = Position::ZERO;
            }
            least = Some(least.map_or(position, |least: Position| least.min(position)));
        }
        if readable_now {
            tx.execute("DELETE FROM parked_events", vec![]).await?;
        }
        tx.commit().await?;
        self.projecting.forget();
        let least = least.unwrap_or_default();
        self.reads.moved(least);
        Ok(least)
    }

    async fn is_of_this_log(&self, checkpoint: &Checkpoint) -> Result<bool, ProjectError> {
        let Checkpoint { position, event_id, .. } = checkpoint;
        if *position == Position::ZERO {
            return Ok(true);
        }
        if *position > self.store.head() {
            return Ok(false);
        }
        let page = self.store.read_all(*position, &Filter::All, 1).await?;
        let there = page.events.first().filter(|event| event.position == *position);
        Ok(there.map(|event| event.id) == *event_id)
    }

    async fn readable_now(&self, tx: &mut Tx) -> Result<bool, ProjectError> {
        let sql = format!("{} ORDER BY position LIMIT 100", PARKED.select());
        for mut row in tx.rows(&PARKED, &sql, vec![]).await? {
            let parked = ParkedEvent::read(&mut row)?;
            let page = self.store.read_all(parked.position, &Filter::All, 1).await?;
            if page.events.first().is_some_and(|event| Readable::read(event).is_ok()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes in the events up to a position, all of them or none.
    async fn batch(&mut self, events: &[RecordedEvent], upto: Position) -> Result<(), Again> {
        let mut tx = self.reads.home().write().await?;
        let mut checkpoints = tx.checkpoints().await?;
        self.notice_swaps(&checkpoints);
        let first = events.first().map_or(upto, |event| event.position);
        if checkpoints.iter().any(|checkpoint| checkpoint.position.next() < first) {
            return Err(Again::Behind);
        }
        let at: HashMap<Projection, Position> = checkpoints
            .iter()
            .filter_map(|checkpoint| Some((checkpoint.name.parse().ok()?, checkpoint.position)))
            .collect();
        // Events up to a projection's checkpoint are in its rows already.
        let wanted = |projection: Projection, position: Position| {
            at.get(&projection).is_some_and(|at| *at < position)
        };
        let wanted_by_any = |event: &&RecordedEvent| {
            Projection::ALL.into_iter().any(|projection| wanted(projection, event.position))
        };
        let batch = Batch::read(events.iter().filter(wanted_by_any));
        let parked = batch.parked.len() as u64;
        pass(&mut self.projecting, &mut tx, &*self.store, batch, wanted).await?;
        self.projecting.flush(&mut tx, usize::MAX).await?;
        let last_id = events.last().filter(|event| event.position == upto).map(|event| event.id);
        for checkpoint in checkpoints.iter_mut().filter(|checkpoint| checkpoint.position < upto) {
            checkpoint.position = upto;
            checkpoint.event_id = last_id;
        }
        let rows = checkpoints.iter().map(Stored::values).collect();
        tx.upsert(Checkpoint::TABLE, Edition::Live, rows).await?;
        tx.commit().await?;
        metrics::counter!("holdfast_projection_events_total").increment(events.len() as u64);
        metrics::counter!("holdfast_projection_parked_total").increment(parked);
        let least = checkpoints.iter().map(|checkpoint| checkpoint.position).min();
        self.reads.moved(least.unwrap_or(upto));
        Ok(())
    }

    /// Tables that were swapped since the last batch, by whatever process, hold other rows than those
    /// that are remembered.
    fn notice_swaps(&mut self, checkpoints: &[Checkpoint]) {
        let mut swapped = false;
        for Checkpoint { name, generation, .. } in checkpoints {
            let before = self.generations.insert(name.clone(), *generation);
            swapped |= before.is_some_and(|before| before != *generation);
        }
        if swapped {
            self.projecting.forget();
        }
    }
}

/// How many events one transaction takes at most, or a few more when several pages have come.
pub(crate) const BATCH: usize = 512;

/// Passes events through projections: their rows are changed in memory, and written by a flush.
pub(crate) async fn pass(
    projecting: &mut Projecting,
    tx: &mut Tx,
    store: &dyn EventStore,
    batch: Batch,
    wanted: impl Fn(Projection, Position) -> bool,
) -> Result<(), ProjectError> {
    let parked = batch.parked.iter().map(Stored::values).collect();
    tx.upsert(&PARKED, Edition::Live, parked).await?;
    projecting.prefetch(tx, &batch.readable, &wanted).await?;
    for event in &batch.readable {
        let position = event.position();
        projecting.apply(tx, store, event, |projection| wanted(projection, position)).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
