//! How far each projection is: checkpoints, rebuilds under way, events that could not be read.
//!
//! A checkpoint stands in the same database as the rows and changes in the same transaction: rows
//! without their checkpoint would be counted twice after a crash.

use holdfast_store::Position;
use uuid::Uuid;

use crate::projection::Projection;
use crate::tables::{Column, Edition, Row, Stored, Table, TableError, Tx, Value};

/// How a projection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProjectionState {
    /// It follows the log.
    Live,
    /// It has not yet seen all that was there when it began to follow.
    CatchingUp,
    /// It follows the log, and its next edition is being built beside it.
    Rebuilding,
    /// Its database does not take rows (full, damaged); it is tried again and again.
    Stalled,
}

impl ProjectionState {
    /// Its word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "LIVE",
            Self::CatchingUp => "CATCHING_UP",
            Self::Rebuilding => "REBUILDING",
            Self::Stalled => "STALLED",
        }
    }
}

/// How far a projection is, and how it is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectionStatus {
    /// Its name.
    pub name: &'static str,
    /// The version of its tables.
    pub version: u32,
    /// The last event that is in its rows.
    pub position: Position,
    /// How it is doing.
    pub state: ProjectionState,
}

/// An event that could not be read and was left out; the others went on (P10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedEvent {
    /// Which event.
    pub position: Position,
    /// The same.
    pub event_id: Uuid,
    /// Of which stream.
    pub stream: String,
    /// Its stored name.
    pub kind: String,
    /// The version of its shape.
    pub schema_version: u16,
    /// What was wrong.
    pub error: String,
}

/// How far a projection's rows are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Checkpoint {
    pub(crate) name: String,
    pub(crate) version: u32,
    /// Which edition its tables are, from 1; one more after each rebuild.
    pub(crate) generation: u32,
    pub(crate) position: Position,
    /// The event at that position; another one there means that the log is another one.
    pub(crate) event_id: Option<Uuid>,
}

pub(crate) const CHECKPOINTS: Table = Table {
    name: "checkpoints",
    about: "How far the rows of each projection are in the log; changes in the same transaction as the rows.",
    columns: &[
        Column::text("name"),
        Column::int("version"),
        Column::int("generation"),
        Column::int("position"),
        Column::text("event_id").or_null(),
    ],
    key: 1,
    indexes: &[],
};

impl Stored for Checkpoint {
    const TABLE: &'static Table = &CHECKPOINTS;
    type Key = String;

    fn key(&self) -> String {
        self.name.clone()
    }

    fn key_values(name: &String) -> Vec<Value> {
        vec![name.as_str().into()]
    }

    fn values(&self) -> Vec<Value> {
        vec![
            self.name.as_str().into(),
            self.version.into(),
            self.generation.into(),
            self.position.into(),
            Value::show_or_null(self.event_id),
        ]
    }

    fn read(row: &mut Row) -> Result<Self, TableError> {
        Ok(Self {
            name: row.text()?,
            version: row.int()?,
            generation: row.int()?,
            position: row.position()?,
            event_id: row.opt_parse()?,
        })
    }
}

/// A rebuild under way, in this process or another.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RebuildRow {
    pub(crate) name: String,
    /// The edition that is being built.
    pub(crate) generation: u32,
    pub(crate) position: Position,
}

pub(crate) const REBUILDS: Table = Table {
    name: "rebuilds",
    about: "Projections that are being built anew beside, in tables named {table}__{generation}.",
    columns: &[Column::text("name"), Column::int("generation"), Column::int("position")],
    key: 1,
    indexes: &[],
};

impl Stored for RebuildRow {
    const TABLE: &'static Table = &REBUILDS;
    type Key = String;

    fn key(&self) -> String {
        self.name.clone()
    }

    fn key_values(name: &String) -> Vec<Value> {
        vec![name.as_str().into()]
    }

    fn values(&self) -> Vec<Value> {
        vec![self.name.as_str().into(), self.generation.into(), self.position.into()]
    }

    fn read(row: &mut Row) -> Result<Self, TableError> {
        Ok(Self { name: row.text()?, generation: row.int()?, position: row.position()? })
    }
}

pub(crate) const PARKED: Table = Table {
    name: "parked_events",
    about: "Events that could not be read and were left out.",
    columns: &[
        Column::int("position"),
        Column::text("event_id"),
        Column::text("stream"),
        Column::text("kind"),
        Column::int("schema_version"),
        Column::text("error"),
    ],
    key: 1,
    indexes: &[],
};

impl Stored for ParkedEvent {
    const TABLE: &'static Table = &PARKED;
    type Key = u64;

    fn key(&self) -> u64 {
        self.position.0
    }

    fn key_values(position: &u64) -> Vec<Value> {
        vec![(*position).into()]
    }

    fn values(&self) -> Vec<Value> {
        vec![
            self.position.into(),
            Value::show(self.event_id),
            self.stream.as_str().into(),
            self.kind.as_str().into(),
            self.schema_version.into(),
            self.error.as_str().into(),
        ]
    }

    fn read(row: &mut Row) -> Result<Self, TableError> {
        Ok(Self {
            position: row.position()?,
            event_id: row.parse()?,
            stream: row.text()?,
            kind: row.text()?,
            schema_version: row.int()?,
            error: row.text()?,
        })
    }
}

impl Tx {
    /// Empties a projection: its tables are made anew, its checkpoint stands before everything.
    pub(crate) async fn start_again(&mut self, projection: Projection) -> Result<(), TableError> {
        let generation = self.next_generation().await?;
        for table in projection.tables() {
            self.drop_table(table, Edition::Live).await?;
            self.create(table, Edition::Live).await?;
            self.index(table, Edition::Live, generation, |_| true).await?;
        }
        let fresh = Checkpoint {
            name: projection.name().into(),
            version: projection.version(),
            generation,
            position: Position::ZERO,
            event_id: None,
        };
        self.upsert(&CHECKPOINTS, Edition::Live, vec![fresh.values()]).await
    }

    /// The checkpoints of all projections.
    pub(crate) async fn checkpoints(&mut self) -> Result<Vec<Checkpoint>, TableError> {
        let rows = self.rows(&CHECKPOINTS, &CHECKPOINTS.select(), vec![]).await?;
        rows.into_iter().map(|mut row| Checkpoint::read(&mut row)).collect()
    }

    /// The rebuilds under way, in this process or another.
    pub(crate) async fn rebuilds(&mut self) -> Result<Vec<RebuildRow>, TableError> {
        let rows = self.rows(&REBUILDS, &REBUILDS.select(), vec![]).await?;
        rows.into_iter().map(|mut row| RebuildRow::read(&mut row)).collect()
    }

    /// A number that no edition has had: it is part of the names of its tables and indexes.
    pub(crate) async fn next_generation(&mut self) -> Result<u32, TableError> {
        let live = self.checkpoints().await?.into_iter().map(|row| row.generation).max();
        let beside = self.rebuilds().await?.into_iter().map(|row| row.generation).max();
        Ok(live.max(beside).unwrap_or(0) + 1)
    }
}
