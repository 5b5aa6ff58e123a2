//! What stands beside the log, in one small SQLite file: checkpoints and timers of the processes,
//! answers for repeated keys, refusals, the tokens of payment methods until they are used, keys, how the
//! fleet stands, and by what vehicles and we know each other.
//!
//! | table | truth | written |
//! |---|---|---|
//! | checkpoints, timers, open_payments | derived from the log | with each checkpoint, one transaction |
//! | keys | derived from the log | by the follower, with its checkpoint |
//! | fleet | derived from the log | every second, with its checkpoint |
//! | answers, rejected_commands | convenience | behind the answer, in batches |
//! | payment_methods | short-lived secret | before the request is recorded; deleted once used |
//! | secrets, vehicle_credentials | made once, or rotated | at once |
//!
//! Other processes may read the file beside a running server (write-ahead log).

mod behind;
mod consumers;
mod fleet;
mod methods;
mod timer_name;
mod troubles;
mod vehicles;

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use troubles::Troubles;
use uuid::Uuid;

pub use behind::{RejectedCommand, StoredAnswer};
pub(crate) use consumers::{KeyRow, Progress, TimerRow};
pub(crate) use timer_name::{ByTimer, TimerName, TimerNames};
pub use vehicles::{NewCredentials, VehicleCredentials};

/// Why the side file did not answer.
#[derive(Debug, thiserror::Error)]
pub enum SideError {
    /// SQLite says no: check the disk and the file's permissions, then try again.
    #[error("side.sqlite: {0}")]
    Sql(#[from] sqlx::Error),
    /// A row is not what was written; delete the derived tables, they are made again from the log.
    #[error("side.sqlite, table {table}: a row cannot be read: {why}")]
    Row {
        /// Where.
        table: &'static str,
        /// What was found.
        why: String,
    },
    /// The machine gives no random numbers.
    #[error("no random numbers: {0}")]
    NoChance(String),
}

impl SideError {
    /// Whether the same may go through later: no room, a lock, a disk that fails.
    fn is_passing(&self) -> bool {
        match self {
            Self::Sql(sqlx::Error::Database(error)) => {
                // SQLite's primary result codes: BUSY, LOCKED, IOERR, FULL, CANTOPEN.
                let code = error.code().and_then(|code| code.parse::<i32>().ok());
                code.is_some_and(|code| [5, 6, 10, 13, 14].contains(&(code & 0xff)))
            }
            Self::Sql(sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut) => true,
            Self::Sql(_) | Self::Row { .. } | Self::NoChance(_) => false,
        }
    }
}

/// The side file. Clones are the same file.
#[derive(Clone)]
pub struct Side {
    /// One connection: SQLite has one writer.
    write: SqlitePool,
    read: SqlitePool,
    behind: Arc<behind::Behind>,
    troubles: Arc<Troubles>,
}

impl Side {
    /// Opens the file, and makes it when it is not there.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, SideError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal);
        let write = pool(1).connect_with(tuned(options.clone())).await?;
        make_tables(&write).await?;
        let read = pool(3).connect_with(tuned(options)).await?;
        Ok(Self::over(write, read))
    }

    /// A side file that nothing survives.
    pub async fn in_memory() -> Result<Self, SideError> {
        let options = SqliteConnectOptions::from_str("sqlite::memory:")?;
        let write = pool(1).connect_with(tuned(options)).await?;
        make_tables(&write).await?;
        let read = write.clone();
        Ok(Self::over(write, read))
    }

    fn over(write: SqlitePool, read: SqlitePool) -> Self {
        let troubles = Arc::new(Troubles::default());
        let behind = behind::Behind::start(write.clone(), read.clone(), troubles.clone());
        Self { write, read, behind, troubles }
    }

    /// What could not be written and is tried again, and why: one sentence for each.
    pub(crate) fn troubles(&self) -> Vec<String> {
        self.troubles.told()
    }

    /// A secret that is made once and kept. Whoever comes first makes it, also from another process.
    pub async fn secret(
        &self,
        name: &str,
        make: impl FnOnce() -> Vec<u8>,
    ) -> Result<Vec<u8>, SideError> {
        if let Some(value) = self.secret_if_any(name).await? {
            return Ok(value);
        }
        sqlx::query("INSERT INTO secrets (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING")
            .bind(name)
            .bind(make())
            .execute(&self.write)
            .await?;
        let (value,) = sqlx::query_as("SELECT value FROM secrets WHERE name = ?")
            .bind(name)
            .fetch_one(&self.write)
            .await?;
        Ok(value)
    }

    /// A secret, if it was made.
    pub async fn secret_if_any(&self, name: &str) -> Result<Option<Vec<u8>>, SideError> {
        let found: Option<(Vec<u8>,)> = sqlx::query_as("SELECT value FROM secrets WHERE name = ?")
            .bind(name)
            .fetch_optional(&self.read)
            .await?;
        Ok(found.map(|(value,)| value))
    }

    /// The next long write finds no room. What comes after it does: SQLite forgets the limit with the
    /// connection, which is made anew.
    #[cfg(test)]
    pub(crate) async fn fill_once(&self) {
        let limit = sqlx::query("PRAGMA max_page_count = 1");
        limit.execute(&self.write).await.expect("it is a pragma");
    }

    /// Lets no key be written down any more, or lets them again.
    #[cfg(test)]
    pub(crate) async fn refuse_keys(&self, refuse: bool) {
        let sql = if refuse {
            "CREATE TRIGGER no_keys BEFORE INSERT ON keys BEGIN SELECT RAISE(FAIL, 'full'); END"
        } else {
            "DROP TRIGGER no_keys"
        };
        sqlx::query(sql).execute(&self.write).await.expect("it has that table");
    }

    /// Ends when all that was written behind is in the file; at once while the file takes nothing.
    pub async fn flush(&self) {
        self.behind.flush().await;
    }

    /// Closes the file when all that was written behind is in it, or cannot be.
    pub async fn close(&self) {
        self.flush().await;
        self.read.close().await;
        self.write.close().await;
    }
}

fn pool(connections: u32) -> SqlitePoolOptions {
    // Connections stay: one in memory is the database, and opening files costs answers their time.
    SqlitePoolOptions::new()
        .max_connections(connections)
        .min_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        // SQLite itself rolls back what a full disk has cut short; the library then still counts a
        // transaction as open, and would never begin another: such a connection is made anew.
        .before_acquire(|connection, _| Box::pin(async { Ok(!connection.is_in_transaction()) }))
}

fn tuned(options: SqliteConnectOptions) -> SqliteConnectOptions {
    options
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(Duration::from_secs(5))
        // What is deleted is overwritten: tokens leave no trace in free pages.
        .pragma("secure_delete", "ON")
}

async fn make_tables(pool: &SqlitePool) -> Result<(), SideError> {
    sqlx::raw_sql(include_str!("schema.sql")).execute(pool).await?;
    Ok(())
}

fn blob(id: Uuid) -> Vec<u8> {
    id.as_bytes().to_vec()
}

/// SQLite's integers are signed; positions never come near.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
