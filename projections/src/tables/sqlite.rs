//! The SQLite home: one file, one writer, readers that never wait for it (WAL).

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{
    Arguments as _, ConnectOptions as _, Connection as _, Sqlite, SqliteConnection, SqlitePool,
    Transaction,
};

use super::{Edition, Index, Kind, Row, Stored, Table, TableError, Value};

/// How many queries run at once; more wait for one of them to end.
const READERS: u32 = 4;
/// How long a statement waits for another process that is writing.
const BUSY: Duration = Duration::from_secs(30);
/// Rows of one multi-row statement, most first, so that few different statements are prepared.
const CHUNKS: [usize; 4] = [512, 64, 8, 1];
/// Rows that SQLite's thread may be ahead of the one who reads them: a hall is read in few turns.
const ROWS_AHEAD: usize = 2_048;
/// Prepared statements that a connection remembers: a few for each table and edition.
const STATEMENTS: usize = 512;

/// A database: one connection that writes, some that read.
#[derive(Debug)]
pub(crate) struct Home {
    writer: SqlitePool,
    readers: SqlitePool,
    path: Option<PathBuf>,
}

impl Home {
    /// The database in a file, made if it is not there.
    pub(crate) async fn file(path: &Path) -> Result<Self, TableError> {
        let base = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // In WAL mode a power cut may take the last transactions, rows and checkpoint alike,
            // never a part of one; they follow from the log again.
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(BUSY)
            .statement_cache_capacity(STATEMENTS)
            .row_buffer_size(ROWS_AHEAD)
            .pragma("cache_size", "-65536")
            .pragma("temp_store", "memory")
            .disable_statement_logging();
        let writer = one().connect_with(base.clone()).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(base.pragma("query_only", "on"))
            .await?;
        Ok(Self { writer, readers, path: Some(path.into()) })
    }

    /// A database that ends with this value. One connection has all of it, so here readers do take
    /// turns with the writer.
    pub(crate) async fn memory() -> Result<Self, TableError> {
        let options =
            SqliteConnectOptions::from_str("sqlite::memory:")?.statement_cache_capacity(STATEMENTS);
        let writer = one().connect_with(options).await?;
        Ok(Self { readers: writer.clone(), writer, path: None })
    }

    /// Where it is, unless in memory.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Begins a transaction that writes: waits for its turn first.
    pub(crate) async fn write(&self) -> Result<Tx, TableError> {
        let mut tx = self.write_if_need_be();
        tx.begun().await?;
        Ok(tx)
    }

    /// A transaction that begins with its first statement: as long as there is none, nobody waits.
    pub(crate) fn write_if_need_be(&self) -> Tx {
        Tx { writer: self.writer.clone(), inner: None }
    }

    /// The rows that a query finds; columns are those of `table`, then perhaps computed ones.
    pub(crate) async fn rows(
        &self,
        table: &'static Table,
        sql: &str,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, TableError> {
        let rows = sqlx::query_with(sql, bound(values)).fetch_all(&self.readers).await?;
        Ok(rows.into_iter().map(|row| Row::new(row, table)).collect())
    }

    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// A pool of one connection that is kept for good.
fn one() -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(1)
        .min_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        // SQLite itself rolls back what a full disk has cut short; the library then still counts a
        // transaction as open, and would never begin another: such a connection is made anew.
        .before_acquire(|connection, _| Box::pin(async { Ok(!connection.is_in_transaction()) }))
        // A rebuild and the runner take turns; neither gives up waiting.
        .acquire_timeout(Duration::from_secs(600))
}

/// A transaction that writes. Dropped without [`Tx::commit`], nothing of it has happened.
pub(crate) struct Tx {
    writer: SqlitePool,
    inner: Option<Transaction<'static, Sqlite>>,
}

impl Tx {
    async fn begun(&mut self) -> Result<&mut SqliteConnection, TableError> {
        if self.inner.is_none() {
            self.inner = Some(self.writer.begin_with("BEGIN IMMEDIATE").await?);
        }
        Ok(self.inner.as_mut().expect("it was begun just now"))
    }

    /// Whether it has begun, so that others who write wait for it.
    pub(crate) fn has_begun(&self) -> bool {
        self.inner.is_some()
    }

    pub(crate) async fn commit(self) -> Result<(), TableError> {
        match self.inner {
            Some(inner) => Ok(inner.commit().await?),
            None => Ok(()),
        }
    }

    pub(crate) async fn execute(
        &mut self,
        sql: &str,
        values: Vec<Value>,
    ) -> Result<u64, TableError> {
        let done = sqlx::query_with(sql, bound(values)).execute(self.begun().await?).await?;
        Ok(done.rows_affected())
    }

    pub(crate) async fn rows(
        &mut self,
        table: &'static Table,
        sql: &str,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, TableError> {
        let rows = sqlx::query_with(sql, bound(values)).fetch_all(self.begun().await?).await?;
        Ok(rows.into_iter().map(|row| Row::new(row, table)).collect())
    }

    /// The rows with these keys.
    pub(crate) async fn by_keys<R: Stored>(
        &mut self,
        edition: Edition,
        keys: &[R::Key],
    ) -> Result<Vec<R>, TableError> {
        let table = R::TABLE;
        let names: Vec<&str> = table.key_columns().iter().map(|column| column.name).collect();
        let mut found = Vec::with_capacity(keys.len());
        let head = format!(
            "SELECT {} FROM {} WHERE ({}) IN (VALUES ",
            table.list(),
            edition.name(table),
            names.join(", ")
        );
        let mut statement = Statement::new(head, table.key, ")");
        for chunk in chunked(keys) {
            let sql = statement.of(chunk.len());
            let values = chunk.iter().flat_map(|key| R::key_values(key)).collect();
            for mut row in self.rows(table, sql, values).await? {
                found.push(R::read(&mut row)?);
            }
        }
        Ok(found)
    }

    /// Inserts rows, or replaces those whose key is there.
    pub(crate) async fn upsert(
        &mut self,
        table: &'static Table,
        edition: Edition,
        rows: Vec<Vec<Value>>,
    ) -> Result<(), TableError> {
        let names: Vec<&str> = table.key_columns().iter().map(|column| column.name).collect();
        let others: Vec<String> = table.columns[table.key..]
            .iter()
            .map(|column| format!("{0} = excluded.{0}", column.name))
            .collect();
        let then = if others.is_empty() {
            "NOTHING".to_owned()
        } else {
            format!("UPDATE SET {}", others.join(", "))
        };
        let head = format!("INSERT INTO {} ({}) VALUES ", edition.name(table), table.list());
        let tail = format!(" ON CONFLICT ({}) DO {then}", names.join(", "));
        self.in_pieces(Statement::new(head, table.columns.len(), &tail), rows).await
    }

    /// Deletes the rows with these keys.
    pub(crate) async fn delete(
        &mut self,
        table: &'static Table,
        edition: Edition,
        keys: Vec<Vec<Value>>,
    ) -> Result<(), TableError> {
        let names: Vec<&str> = table.key_columns().iter().map(|column| column.name).collect();
        let head =
            format!("DELETE FROM {} WHERE ({}) IN (VALUES ", edition.name(table), names.join(", "));
        self.in_pieces(Statement::new(head, table.key, ")"), keys).await
    }

    /// Runs a statement for all tuples, many at once.
    async fn in_pieces(
        &mut self,
        mut statement: Statement,
        tuples: Vec<Vec<Value>>,
    ) -> Result<(), TableError> {
        let mut left = tuples.len();
        let mut tuples = tuples.into_iter();
        while let Some(size) = piece(left) {
            let values = tuples.by_ref().take(size).flatten().collect();
            self.execute(statement.of(size), values).await?;
            left -= size;
        }
        Ok(())
    }

    /// Makes a table without indexes, unless it is there.
    pub(crate) async fn create(
        &mut self,
        table: &'static Table,
        edition: Edition,
    ) -> Result<(), TableError> {
        self.execute(&create_table(table, &edition.name(table)), Vec::new()).await.map(drop)
    }

    /// Makes those of a table's indexes that are wanted. Index names are one name space: the
    /// generation keeps those of two editions apart.
    pub(crate) async fn index(
        &mut self,
        table: &'static Table,
        edition: Edition,
        generation: u32,
        wanted: impl Fn(&Index) -> bool,
    ) -> Result<(), TableError> {
        for index in table.indexes.iter().filter(|index| wanted(index)) {
            let name = format!("{}__{generation}", index.name);
            self.execute(&create_index(index, &name, &edition.name(table)), Vec::new()).await?;
        }
        Ok(())
    }

    pub(crate) async fn drop_table(
        &mut self,
        table: &'static Table,
        edition: Edition,
    ) -> Result<(), TableError> {
        let sql = format!("DROP TABLE IF EXISTS {}", edition.name(table));
        self.execute(&sql, Vec::new()).await.map(drop)
    }

    /// The edition that was built beside takes the place of the live one.
    pub(crate) async fn swap(
        &mut self,
        table: &'static Table,
        generation: u32,
    ) -> Result<(), TableError> {
        self.drop_table(table, Edition::Live).await?;
        let beside = Edition::Beside(generation).name(table);
        let sql = format!("ALTER TABLE {beside} RENAME TO {}", table.name);
        self.execute(&sql, Vec::new()).await.map(drop)
    }
}

fn create_table(table: &Table, name: &str) -> String {
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|column| {
            let null = if column.nullable { "" } else { " NOT NULL" };
            format!("    {} {}{null},\n", column.name, type_name(column.kind))
        })
        .collect();
    let key: Vec<&str> = table.key_columns().iter().map(|column| column.name).collect();
    // SQLite keeps the comment: whoever asks the file for its tables reads what they hold.
    format!(
        "CREATE TABLE IF NOT EXISTS {name} (\n    -- {}\n{}    PRIMARY KEY ({})\n\
         ) STRICT, WITHOUT ROWID",
        table.about,
        columns.concat(),
        key.join(", "),
    )
}

fn create_index(index: &Index, name: &str, table: &str) -> String {
    format!("CREATE INDEX IF NOT EXISTS {name} ON {table} ({})", index.columns.join(", "))
}

/// Whether the file itself is no good (not whether the database is busy or full).
pub(super) fn is_damage(error: &sqlx::Error) -> bool {
    const CORRUPT: &str = "11";
    const NOT_A_DATABASE: &str = "26";
    let code = error.as_database_error().and_then(|error| error.code());
    // Extended codes carry the primary one in their low byte.
    code.and_then(|code| code.parse::<u32>().ok())
        .map(|code| (code & 0xff).to_string())
        .is_some_and(|code| code == CORRUPT || code == NOT_A_DATABASE)
}

fn type_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Int | Kind::Bool => "INTEGER",
        Kind::Real => "REAL",
        // Moments are RFC 3339 in UTC with six digits: text that sorts by time and that people read.
        Kind::Text | Kind::Time | Kind::Json => "TEXT",
    }
}

fn bound(values: Vec<Value>) -> SqliteArguments<'static> {
    let mut arguments = SqliteArguments::default();
    arguments.reserve(values.len(), 0);
    for value in values {
        let added = match value {
            Value::Null => arguments.add(None::<i64>),
            Value::Int(number) => arguments.add(number),
            Value::Real(number) => arguments.add(number),
            Value::Bool(flag) => arguments.add(i64::from(flag)),
            Value::Text(text) | Value::Json(text) => arguments.add(text),
            Value::Time(moment) => arguments.add(moment.to_string()),
        };
        added.expect("numbers and texts can always be bound");
    }
    arguments
}

/// A statement over many tuples of values: its text for the number of them that it was last made for.
struct Statement {
    head: String,
    width: usize,
    tail: String,
    count: usize,
    text: String,
}

impl Statement {
    fn new(head: String, width: usize, tail: &str) -> Self {
        Self { head, width, tail: tail.into(), count: 0, text: String::new() }
    }

    /// Its text for that many tuples: `(?,?),(?,?)` between head and tail.
    fn of(&mut self, count: usize) -> &str {
        if self.count != count {
            let tuple = format!("({})", vec!["?"; self.width].join(","));
            self.text = format!("{}{}{}", self.head, vec![tuple; count].join(","), self.tail);
            self.count = count;
        }
        &self.text
    }
}

/// How many of so many are done in the next piece: the lengths are all in [`CHUNKS`].
fn piece(left: usize) -> Option<usize> {
    CHUNKS.into_iter().find(|size| *size <= left)
}

/// Cuts into pieces whose lengths are all in [`CHUNKS`].
fn chunked<T>(items: &[T]) -> impl Iterator<Item = &[T]> {
    let mut rest = items;
    std::iter::from_fn(move || {
        let (piece, after) = rest.split_at(piece(rest.len())?);
        rest = after;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Projection;
    use crate::checkpoints::{CHECKPOINTS, PARKED, REBUILDS};

    /// Analysts read the file itself: what it holds is published, and changes are seen in a review.
    #[test]
    fn the_published_tables_are_those_that_are_made() {
        let mut text = String::from(
            "-- The read models (read.sqlite), for analysts. Derived from the log; never write here.\n\
             -- Moments are RFC 3339 in UTC and sort as text; amounts are in minor units.\n\
             -- Made from the tables of projections/; HOLDFAST_BLESS=1 writes it again.\n",
        );
        let tables = Projection::ALL.into_iter().flat_map(|it| it.tables().iter().copied());
        for table in tables.chain([&CHECKPOINTS, &REBUILDS, &PARKED]) {
            text += &format!("\n{};\n", create_table(table, table.name));
            for index in table.indexes {
                text += &format!("{};\n", create_index(index, index.name, table.name));
            }
        }
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/sql/read-models.sqlite.sql");
        if std::env::var_os("HOLDFAST_BLESS").is_some() {
            std::fs::write(&path, &text).expect("the schemas are there");
        }
        let published = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(published == text, "{} differs; HOLDFAST_BLESS=1 writes:\n{text}", path.display());
    }

    #[test]
    fn pieces_have_few_lengths_and_leave_nothing_out() {
        let items: Vec<u32> = (0..1_100).collect();
        let lengths: Vec<usize> = chunked(&items).map(<[u32]>::len).collect();
        assert_eq!(&lengths[..4], &[512, 512, 64, 8]);
        assert_eq!(chunked(&items).flatten().copied().collect::<Vec<_>>(), items);
    }

    #[tokio::test]
    async fn rows_of_two_key_columns_are_found_by_their_key_not_by_looking_at_all() {
        let home = Home::memory().await.expect("memory");
        let mut tx = home.write().await.expect("memory");
        for projection in Projection::ALL {
            tx.start_again_for_tests(projection).await;
        }
        let plan = "EXPLAIN QUERY PLAN SELECT id FROM seats \
                    WHERE (seat_map_id, id) IN (VALUES (?,?),(?,?))";
        let values = ["hall", "A-1-1", "hall", "A-1-2"].map(Value::from).to_vec();
        let connection = tx.begun().await.expect("memory");
        let rows = sqlx::query_with(plan, bound(values)).fetch_all(connection).await;
        let rows = rows.expect("a plan");
        let plan: Vec<String> = rows.iter().map(|row| sqlx::Row::get(row, "detail")).collect();
        assert!(plan[0].starts_with("SEARCH seats USING PRIMARY KEY"), "{plan:?}");
    }

    impl Tx {
        async fn start_again_for_tests(&mut self, projection: Projection) {
            for table in projection.tables() {
                self.create(table, Edition::Live).await.expect("memory");
            }
        }
    }
}
