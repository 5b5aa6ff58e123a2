//! Builds projections anew, beside the rows that answer, then swaps.
//!
//! ```text
//!   claim a generation ──► fill {table}__{generation} ──► indexes ──► swap: what came meanwhile, drop,
//!   (row in `rebuilds`)     from the log's first event                rename, checkpoint: one transaction
//!
//!   filling:   read and take apart, ahead ──► change rows in memory ──► many at once, by key, to the table
//!              (a task of its own)            (no transaction)          (small transactions, one by one)
//! ```
//!
//! Nobody reads the new tables before the swap, and a rebuild that was killed begins again from nothing;
//! so rows need not be written with each batch. They gather in memory up to a bound and are written in
//! the order of their keys: each row once instead of once a batch, and each page of the table with all of
//! its neighbours at once.
//!
//! Everything goes through transactions of the one database, so it does not matter whether the server
//! that follows the log runs in this process, in another, or not at all: its runner reads the
//! checkpoints in each of its own transactions, sees that the generation is another one, forgets what it
//! remembered and goes on behind the new rows. Two rebuilds of one projection: the later one takes over,
//! the earlier one is told. A rebuild that was killed leaves tables that the next one drops.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use holdfast_store::{EventStore, Filter, Position, ReadError};
use tokio::sync::mpsc;

use crate::checkpoints::{Checkpoint, REBUILDS, RebuildRow};
use crate::projecting::{Batch, ProjectError, Projecting};
use crate::projection::Projection;
use crate::read_models::ReadModels;
use crate::runner::pass;
use crate::tables::{Edition, Stored, TableError, Tx};

/// How many batches are read ahead of those that are being passed through.
const AHEAD: usize = 16;
/// A breath between two transactions, for a writer in another process, which cannot queue.
const BREATH: Duration = Duration::from_millis(1);

/// What a rebuild may hold in memory, and how long others who write may have to wait for it. The rows
/// that come of it are the same, whatever these are; only tests choose other ones.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How many events are read and passed through the projections at once.
    pub batch: usize,
    /// How many changed rows gather (a few hundred bytes each) before they are written.
    pub gathered: usize,
    /// How many rows one transaction writes: long enough to be fast, short enough that the runner,
    /// which waits for it, stays close to the log.
    pub written: usize,
    /// How many rows of each table stay in memory once they are written.
    pub kept: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { batch: 2_048, gathered: 200_000, written: 8_192, kept: 200_000 }
    }
}

/// How far a rebuild is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Everything up to here is in the new rows.
    pub position: Position,
    /// Where the log ends at the moment.
    pub head: Position,
}

/// Why a rebuild ended early. The rows that answer are as they were.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// Somebody else has begun to rebuild the same projection since; that one goes on.
    #[error("another rebuild of {0} has begun since and goes on in place of this one")]
    Superseded(Projection),
    /// The tables or the log were in the way.
    #[error("{0}")]
    Project(#[from] ProjectError),
}

impl From<TableError> for RebuildError {
    fn from(error: TableError) -> Self {
        Self::Project(error.into())
    }
}
impl From<ReadError> for RebuildError {
    fn from(error: ReadError) -> Self {
        Self::Project(error.into())
    }
}

impl ReadModels {
    /// Builds some projections anew from the log (all: [`Projection::ALL`]), tells how far it is after
    /// each batch, and swaps them in. Old rows answer until then.
    pub async fn rebuild(
        &self,
        store: Arc<dyn EventStore>,
        which: &[Projection],
        progress: impl FnMut(Progress) + Send,
    ) -> Result<Position, RebuildError> {
        self.rebuild_within(Bounds::default(), store, which, progress).await
    }

    /// The same within other bounds.
    #[doc(hidden)]
    pub async fn rebuild_within(
        &self,
        bounds: Bounds,
        store: Arc<dyn EventStore>,
        which: &[Projection],
        mut progress: impl FnMut(Progress) + Send,
    ) -> Result<Position, RebuildError> {
        let which: BTreeSet<Projection> = which.iter().copied().collect();
        let generation = self.begin(&which).await?;
        let edition = Edition::Beside(generation);
        let mut projecting = Projecting::new(edition);
        projecting.keep_at_most(bounds.kept);
        let mut build = Build { reads: self, store, which, generation, projecting, bounds };
        let mut at = Position::ZERO;
        progress(Progress { position: at, head: build.store.head() });
        let mut ahead = build.read_ahead();
        while let Some(read) = ahead.recv().await {
            let (batch, upto) = read.map_err(ProjectError::from)?;
            build.step(batch, upto).await?;
            at = upto;
            progress(Progress { position: at, head: build.store.head() });
        }
        build.write(at).await?;
        build.index().await?;
        let position = build.swap(at).await?;
        progress(Progress { position, head: build.store.head() });
        Ok(position)
    }

    /// Takes the projections over for a rebuild, and makes the tables that it fills.
    async fn begin(&self, which: &BTreeSet<Projection>) -> Result<u32, RebuildError> {
        let mut tx = self.home().write().await?;
        let generation = tx.next_generation().await?;
        for left in tx.rebuilds().await? {
            let Ok(projection) = left.name.parse::<Projection>() else { continue };
            if which.contains(&projection) {
                for table in projection.tables() {
                    tx.drop_table(table, Edition::Beside(left.generation)).await?;
                }
            }
        }
        let edition = Edition::Beside(generation);
        for projection in which {
            for table in projection.tables() {
                tx.create(table, edition).await?;
                tx.index(table, edition, generation, |index| index.early).await?;
            }
        }
        mark(&mut tx, which, generation, Position::ZERO).await?;
        tx.commit().await?;
        Ok(generation)
    }
}

struct Build<'r> {
    reads: &'r ReadModels,
    store: Arc<dyn EventStore>,
    which: BTreeSet<Projection>,
    generation: u32,
    projecting: Projecting,
    bounds: Bounds,
}

impl Build<'_> {
    /// Reads the log to its end in a task of its own, which ends when nobody listens any more.
    fn read_ahead(&self) -> mpsc::Receiver<Result<(Batch, Position), ReadError>> {
        let (ahead, batches) = mpsc::channel(AHEAD);
        let (store, filter, most) = (Arc::clone(&self.store), self.filter(), self.bounds.batch);
        tokio::spawn(async move {
            let mut at = Position::ZERO;
            while at < store.head() {
                let page = store.read_all(at.next(), &filter, most).await;
                let read = page.map(|page| {
                    at = Position(page.next.0 - 1);
                    (Batch::read(&page.events), at)
                });
                let failed = read.is_err();
                if ahead.send(read).await.is_err() || failed {
                    return;
                }
            }
        });
        batches
    }

    /// Takes in the next events, up to a position.
    async fn step(&mut self, batch: Batch, upto: Position) -> Result<(), RebuildError> {
        let rebuilds = self.reads.home().rows(&REBUILDS, &REBUILDS.select(), vec![]).await?;
        let rebuilds: Vec<RebuildRow> = rebuilds
            .into_iter()
            .map(|mut row| RebuildRow::read(&mut row))
            .collect::<Result<_, _>>()?;
        self.are_ours(&rebuilds)?;
        let mut tx = self.reads.home().write_if_need_be();
        if let Err(error) = self.pass(&mut tx, batch).await {
            drop(tx);
            // Who has taken over has dropped the tables.
            self.ours().await?;
            return Err(error);
        }
        let waited_for = tx.has_begun();
        tx.commit().await?;
        if self.projecting.dirty() >= self.bounds.gathered {
            self.write(upto).await?;
        } else if waited_for {
            tokio::time::sleep(BREATH).await;
        }
        Ok(())
    }

    /// Writes the rows that have gathered: those of all events up to a position.
    async fn write(&mut self, upto: Position) -> Result<(), RebuildError> {
        loop {
            let mut tx = self.ours().await?;
            self.projecting.flush(&mut tx, self.bounds.written).await?;
            let done = self.projecting.dirty() == 0;
            if done {
                mark(&mut tx, &self.which, self.generation, upto).await?;
            }
            tx.commit().await?;
            tokio::time::sleep(BREATH).await;
            if done {
                return Ok(());
            }
        }
    }

    async fn pass(&mut self, tx: &mut Tx, batch: Batch) -> Result<(), RebuildError> {
        let which = &self.which;
        let wanted = |projection: Projection, _| which.contains(&projection);
        pass(&mut self.projecting, tx, &*self.store, batch, wanted).await?;
        Ok(())
    }

    /// The indexes that were left out while the tables were being filled.
    async fn index(&mut self) -> Result<(), RebuildError> {
        for projection in self.which.clone() {
            for table in projection.tables() {
                let mut tx = self.ours().await?;
                let edition = Edition::Beside(self.generation);
                tx.index(table, edition, self.generation, |index| !index.early).await?;
                tx.commit().await?;
            }
        }
        Ok(())
    }

    /// Brings the new rows at least as far as the old ones are, and puts them in their place.
    async fn swap(&mut self, mut at: Position) -> Result<Position, RebuildError> {
        let mut tx = self.ours().await?;
        let mut checkpoints = tx.checkpoints().await?;
        checkpoints.retain(|row| row.name.parse().is_ok_and(|it| self.which.contains(&it)));
        let live = checkpoints.iter().map(|row| row.position).max().unwrap_or_default();
        // A live checkpoint beyond this log's head is another log's; the runner deals with that.
        while at < live.min(self.store.head()) {
            let page = self.store.read_all(at.next(), &self.filter(), self.bounds.batch).await?;
            at = Position(page.next.0 - 1);
            self.pass(&mut tx, Batch::read(&page.events)).await?;
        }
        self.projecting.flush(&mut tx, usize::MAX).await?;
        let event_id = self.store.read_all(at.max(Position::FIRST), &Filter::All, 1).await?;
        let event_id = event_id.events.first().filter(|it| it.position == at).map(|it| it.id);
        for projection in &self.which {
            for table in projection.tables() {
                tx.swap(table, self.generation).await?;
            }
        }
        let rows = checkpoints
            .into_iter()
            .map(|row| Checkpoint { generation: self.generation, position: at, event_id, ..row })
            .map(|row| row.values())
            .collect();
        tx.upsert(Checkpoint::TABLE, Edition::Live, rows).await?;
        let done = self.which.iter().map(|it| RebuildRow::key_values(&it.name().into())).collect();
        tx.delete(&REBUILDS, Edition::Live, done).await?;
        tx.commit().await?;
        Ok(at)
    }

    /// A transaction in which these projections are still ours to rebuild.
    async fn ours(&self) -> Result<Tx, RebuildError> {
        let mut tx = self.reads.home().write().await?;
        self.are_ours(&tx.rebuilds().await?)?;
        Ok(tx)
    }

    fn are_ours(&self, rebuilds: &[RebuildRow]) -> Result<(), RebuildError> {
        for projection in &self.which {
            let ours = |row: &RebuildRow| {
                row.name == projection.name() && row.generation == self.generation
            };
            if !rebuilds.iter().any(ours) {
                return Err(RebuildError::Superseded(*projection));
            }
        }
        Ok(())
    }

    /// Streams that none of these projections follows are not even read.
    fn filter(&self) -> Filter {
        let categories: BTreeSet<&str> =
            self.which.iter().flat_map(|projection| projection.categories()).copied().collect();
        Filter::Categories(categories.into_iter().map(Into::into).collect())
    }
}

/// Notes whose the projections are and how far their rebuild is.
async fn mark(
    tx: &mut Tx,
    which: &BTreeSet<Projection>,
    generation: u32,
    position: Position,
) -> Result<(), TableError> {
    let row = |it: &Projection| RebuildRow { name: it.name().into(), generation, position };
    let rows = which.iter().map(|projection| row(projection).values()).collect();
    tx.upsert(&REBUILDS, Edition::Live, rows).await
}
