//! Builds projections anew, beside the rows that answer, then swaps.
//!
//! ```text
//!   claim a generation ──► fill {table}__{generation} ──► indexes ──► swap: what came meanwhile, drop,
//!   (row in `rebuilds`)     from the log's first event                rename, checkpoint: one transaction
//! ```
//!
//! Everything goes through transactions of the one database, so it does not matter whether the server
//! that follows the log runs in this process, in another, or not at all: its runner reads the
//! checkpoints in each of its own transactions, sees that the generation is another one, forgets what it
//! remembered and goes on behind the new rows. Two rebuilds of one projection: the later one takes over,
//! the earlier one is told. A rebuild that was killed leaves tables that the next one drops.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use holdfast_store::{EventStore, Filter, Position, ReadError, RecordedEvent};

use crate::checkpoints::{Checkpoint, REBUILDS, RebuildRow};
use crate::projecting::{ProjectError, Projecting};
use crate::projection::Projection;
use crate::read_models::ReadModels;
use crate::runner::pass;
use crate::tables::{Edition, Stored, TableError, Tx};

/// How many events one transaction of a rebuild takes: long enough to be fast, short enough that the
/// runner, which waits for it, stays close to the log.
const BATCH: usize = 2_048;
/// A breath between two transactions, for a writer in another process, which cannot queue.
const BREATH: Duration = Duration::from_millis(1);

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
    #[error(transparent)]
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
    /// each transaction, and swaps them in. Old rows answer until then.
    pub async fn rebuild(
        &self,
        store: Arc<dyn EventStore>,
        which: &[Projection],
        mut progress: impl FnMut(Progress) + Send,
    ) -> Result<Position, RebuildError> {
        let which: BTreeSet<Projection> = which.iter().copied().collect();
        let generation = self.begin(&which).await?;
        let edition = Edition::Beside(generation);
        let mut build =
            Build { reads: self, store, which, generation, projecting: Projecting::new(edition) };
        let mut at = Position::ZERO;
        loop {
            let head = build.store.head();
            progress(Progress { position: at, head });
            if at >= head {
                break;
            }
            at = build.step(at).await?;
            tokio::time::sleep(BREATH).await;
        }
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
}

impl Build<'_> {
    /// Takes in the next events; says up to where.
    async fn step(&mut self, at: Position) -> Result<Position, RebuildError> {
        let page = self.store.read_all(at.next(), &self.filter(), BATCH).await?;
        let upto = Position(page.next.0 - 1);
        let mut tx = self.ours().await?;
        self.pass(&mut tx, &page.events).await?;
        mark(&mut tx, &self.which, self.generation, upto).await?;
        tx.commit().await?;
        Ok(upto)
    }

    async fn pass(&mut self, tx: &mut Tx, events: &[RecordedEvent]) -> Result<(), RebuildError> {
        let which = &self.which;
        let wanted = |projection: Projection, _| which.contains(&projection);
        pass(&mut self.projecting, tx, &*self.store, events, wanted).await?;
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
            let page = self.store.read_all(at.next(), &self.filter(), BATCH).await?;
            at = Position(page.next.0 - 1);
            self.pass(&mut tx, &page.events).await?;
        }
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
        let rebuilds = tx.rebuilds().await?;
        for projection in &self.which {
            let ours = |row: &RebuildRow| {
                row.name == projection.name() && row.generation == self.generation
            };
            if !rebuilds.iter().any(ours) {
                return Err(RebuildError::Superseded(*projection));
            }
        }
        Ok(tx)
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
