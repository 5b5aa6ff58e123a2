//! The seam between read models and databases.
//!
//! A read model says *what* its table holds ([`Table`]) and turns its rows into [`Value`]s and back
//! ([`Stored`]); a *home* knows one database's dialect. Today there is the SQLite home; PostgreSQL
//! gets its own beside it. Above this line every statement is portable SQL with `?` for each bound
//! value: text from outside is only ever bound, and table names are the constants below.
//!
//! ```text
//!   models/*.rs ──Stored──► Kept (rows of a batch, in memory) ──flush──► Tx ──► sqlite.rs
//! ```

mod kept;
mod row;
mod sieve;
mod sqlite;
mod value;

pub(crate) use kept::{Kept, Stored};
pub(crate) use row::Row;
pub(crate) use sqlite::{Home, Tx};
pub(crate) use value::{Value, word};

/// What went wrong with a table.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The database did not do what it was asked: busy, full, gone. The same may go through later.
    #[error("the read models' database answered: {0}")]
    Database(#[source] sqlx::Error),
    /// The file is not what was written. Read models are derived: remove the file, start again.
    #[error("the read models' file is damaged ({0}); restart Holdfast, which builds it anew")]
    Damaged(#[source] sqlx::Error),
    /// A row holds something that its column never held: written by another Holdfast.
    #[error("{table}.{column} holds something unreadable ({why}); rebuild that projection")]
    Unreadable {
        /// Which table.
        table: &'static str,
        /// Which column.
        column: &'static str,
        /// What was found.
        why: String,
    },
}

impl From<sqlx::Error> for TableError {
    fn from(error: sqlx::Error) -> Self {
        if sqlite::is_damage(&error) { Self::Damaged(error) } else { Self::Database(error) }
    }
}

/// What a column holds; each home says how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    Real,
    Bool,
    Text,
    /// A moment; sorts by time.
    Time,
    Json,
}

/// One column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) nullable: bool,
}

impl Column {
    const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, nullable: false }
    }
    pub(crate) const fn int(name: &'static str) -> Self {
        Self::new(name, Kind::Int)
    }
    pub(crate) const fn real(name: &'static str) -> Self {
        Self::new(name, Kind::Real)
    }
    pub(crate) const fn flag(name: &'static str) -> Self {
        Self::new(name, Kind::Bool)
    }
    pub(crate) const fn text(name: &'static str) -> Self {
        Self::new(name, Kind::Text)
    }
    pub(crate) const fn time(name: &'static str) -> Self {
        Self::new(name, Kind::Time)
    }
    pub(crate) const fn json(name: &'static str) -> Self {
        Self::new(name, Kind::Json)
    }
    /// The same column, where nothing may stand too.
    pub(crate) const fn or_null(self) -> Self {
        Self { nullable: true, ..self }
    }
}

/// An index; `early` ones are needed while a table is being filled, the others are made afterwards.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Index {
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [&'static str],
    pub(crate) early: bool,
}

/// A table, whatever the database.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// What it holds, for those who read the database itself.
    pub(crate) about: &'static str,
    pub(crate) columns: &'static [Column],
    /// How many of the first columns are its key.
    pub(crate) key: usize,
    pub(crate) indexes: &'static [Index],
}

impl Table {
    /// Its columns, as a select names them.
    pub(crate) fn list(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|column| column.name).collect();
        names.join(", ")
    }

    /// `SELECT columns FROM table`, to which a query adds its conditions.
    pub(crate) fn select(&self) -> String {
        format!("SELECT {} FROM {}", self.list(), self.name)
    }

    pub(crate) fn key_columns(&self) -> &'static [Column] {
        &self.columns[..self.key]
    }
}

/// Which copy of a table: the one that answers, or one that is being built beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edition {
    Live,
    Beside(u32),
}

impl Edition {
    /// The table's name in this edition.
    pub(crate) fn name(self, table: &Table) -> String {
        match self {
            Self::Live => table.name.into(),
            Self::Beside(generation) => format!("{}__{generation}", table.name),
        }
    }
}
