//! The side that answers: opens the database, waits for positions, runs queries.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use holdfast_store::Position;
use tokio::sync::watch;

use crate::checkpoints::{
    CHECKPOINTS, Checkpoint, PARKED, ParkedEvent, ProjectionState, ProjectionStatus, REBUILDS,
    RebuildRow,
};
use crate::projection::Projection;
use crate::tables::{Edition, Home, Stored, TableError, Value};

/// Why a query was not answered.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The cursor is none that a list of this kind has given: ask without one.
    #[error("{0:?} is not a cursor of this list; start without one")]
    Cursor(String),
    /// The database did not answer.
    #[error("{0}")]
    Table(#[from] TableError),
}

/// What was asked for is not in the read models yet: ask again, or without a least position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the read models are at position {at}, not yet at {wanted}; ask again")]
pub struct Stale {
    /// The position that was wanted.
    pub wanted: Position,
    /// Where the read models are.
    pub at: Position,
}

/// The read models: rows that answer queries, and how far they are. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ReadModels {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    home: Home,
    position: watch::Sender<Position>,
    running: Mutex<RunningState>,
}

/// What the runner says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunningState {
    CatchingUp,
    Following,
    Stalled,
}

impl ReadModels {
    /// The read models in a file. A missing file is made, a damaged one is made anew, and a projection
    /// whose rows are of another version starts again: the [`crate::Runner`] fills them from the log.
    pub async fn open(path: &Path) -> Result<Self, TableError> {
        if marker(path).exists() {
            remove(path);
        }
        match Self::prepare(Home::file(path).await).await {
            Err(TableError::Damaged(error)) => {
                tracing::warn!(path = %path.display(), %error, "read models are damaged and are built anew");
                remove(path);
                Self::prepare(Home::file(path).await).await
            }
            other => other,
        }
    }

    /// Read models that end with the process.
    pub async fn in_memory() -> Result<Self, TableError> {
        Self::prepare(Home::memory().await).await
    }

    async fn prepare(home: Result<Home, TableError>) -> Result<Self, TableError> {
        let home = home?;
        let mut tx = home.write().await?;
        for table in [&CHECKPOINTS, &REBUILDS, &PARKED] {
            tx.create(table, Edition::Live).await?;
        }
        let known = tx.checkpoints().await?;
        let mut least = None;
        for projection in Projection::ALL {
            let known = known.iter().find(|known| known.name == projection.name());
            let position = match known {
                Some(known) if known.version == projection.version() => known.position,
                Some(_) | None => {
                    tx.start_again(projection).await?;
                    Position::ZERO
                }
            };
            least = Some(least.map_or(position, |least: Position| least.min(position)));
        }
        tx.commit().await?;
        let (position, _) = watch::channel(least.unwrap_or_default());
        let running = Mutex::new(RunningState::CatchingUp);
        Ok(Self { inner: Arc::new(Inner { home, position, running }) })
    }

    /// The last event that is in all rows.
    pub fn position(&self) -> Position {
        *self.inner.position.borrow()
    }

    /// Told whenever [`ReadModels::position`] moves.
    pub fn watch(&self) -> watch::Receiver<Position> {
        self.inner.position.subscribe()
    }

    /// Waits until everything up to `position` is in the rows.
    pub async fn wait_for(&self, position: Position, at_most: Duration) -> Result<(), Stale> {
        let mut watch = self.watch();
        let reached = tokio::time::timeout(at_most, watch.wait_for(|at| *at >= position)).await;
        match reached {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Stale { wanted: position, at: self.position() }),
        }
    }

    /// How far each projection is, and how it is doing.
    pub async fn statuses(&self) -> Result<Vec<ProjectionStatus>, QueryError> {
        let checkpoints: Vec<Checkpoint> = self.many(&CHECKPOINTS.select(), vec![]).await?;
        let rebuilds: Vec<RebuildRow> = self.many(&REBUILDS.select(), vec![]).await?;
        let running = *self.inner.running.lock().unwrap_or_else(PoisonError::into_inner);
        let statuses = Projection::ALL.into_iter().map(|projection| {
            let name = projection.name();
            let checkpoint = checkpoints.iter().find(|row| row.name == name);
            let state = match running {
                RunningState::Stalled => ProjectionState::Stalled,
                _ if rebuilds.iter().any(|row| row.name == name) => ProjectionState::Rebuilding,
                RunningState::CatchingUp => ProjectionState::CatchingUp,
                RunningState::Following => ProjectionState::Live,
            };
            ProjectionStatus {
                name,
                version: checkpoint.map_or(projection.version(), |row| row.version),
                position: checkpoint.map_or(Position::ZERO, |row| row.position),
                state,
            }
        });
        Ok(statuses.collect())
    }

    /// Events that could not be read and were left out, oldest first, at most a hundred.
    pub async fn parked_events(&self) -> Result<Vec<ParkedEvent>, QueryError> {
        self.many(&format!("{} ORDER BY position LIMIT 100", PARKED.select()), vec![]).await
    }

    /// How many events could not be read.
    pub async fn parked_count(&self) -> Result<u64, QueryError> {
        self.count("SELECT count(*) FROM parked_events", vec![]).await
    }

    /// Closes the database: waits for queries that run, refuses later ones.
    pub async fn close(&self) {
        self.inner.home.close().await;
    }

    pub(crate) fn home(&self) -> &Home {
        &self.inner.home
    }

    pub(crate) fn moved(&self, position: Position) {
        self.inner.position.send_if_modified(|at| std::mem::replace(at, position) != position);
    }

    pub(crate) fn running(&self, state: RunningState) {
        *self.inner.running.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// Remembers beside the file that it is damaged, so that the next start makes it anew.
    pub(crate) fn mark_damaged(&self) {
        let marked = self.inner.home.path().map(|path| std::fs::write(marker(path), b""));
        if let Some(Err(error)) = marked {
            tracing::error!(%error, "cannot mark the read models as damaged: remove them by hand");
        }
    }

    pub(crate) async fn many<R: Stored>(
        &self,
        sql: &str,
        values: Vec<Value>,
    ) -> Result<Vec<R>, QueryError> {
        let rows = self.home().rows(R::TABLE, sql, values).await?;
        Ok(rows.into_iter().map(|mut row| R::read(&mut row)).collect::<Result<_, _>>()?)
    }

    pub(crate) async fn one<R: Stored>(
        &self,
        sql: &str,
        values: Vec<Value>,
    ) -> Result<Option<R>, QueryError> {
        Ok(self.many(sql, values).await?.into_iter().next())
    }

    pub(crate) async fn count(&self, sql: &str, values: Vec<Value>) -> Result<u64, QueryError> {
        let rows = self.home().rows(&CHECKPOINTS, sql, values).await?;
        Ok(rows.into_iter().next().map(|mut row| row.int()).transpose()?.unwrap_or(0))
    }
}

/// The note beside a file that was found damaged.
fn marker(path: &Path) -> PathBuf {
    beside(path, ".damaged")
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Removes the file with all that belongs to it. What cannot be removed shows when it is opened.
fn remove(path: &Path) {
    for file in [path.to_owned(), beside(path, "-wal"), beside(path, "-shm"), marker(path)] {
        if let Err(error) = std::fs::remove_file(&file)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %file.display(), %error, "cannot remove");
        }
    }
}
