//! Dead letters: what a consumer could not do, until somebody has it done again.

use holdfast_domain::Timestamp;
use holdfast_domain::process::Ask;
use holdfast_schemas::DeadLetterEvent;
use holdfast_store::Position;
use uuid::Uuid;

use crate::tables::{Column, Edition, Index, Kept, Row, Stored, Table, TableError, Tx, Value};
use crate::{Page, PageRequest, QueryError, ReadModels};

/// A parked ask.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetterRow {
    /// Its name.
    pub id: Uuid,
    /// Who could not do it.
    pub consumer: String,
    /// The event from which it followed.
    pub event_position: Position,
    /// The same event's id.
    pub event_id: Uuid,
    /// What was asked for, where it was understood.
    pub ask: Option<Ask>,
    /// What went wrong.
    pub error: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it failed first.
    pub first_failed_at: Timestamp,
    /// When it failed last.
    pub last_failed_at: Timestamp,
    /// Which lane (reservation) it was taken out of.
    pub correlation_id: Option<String>,
    /// When somebody asked for it again.
    pub redriven_at: Option<Timestamp>,
    /// Who did.
    pub redriven_by: Option<String>,
    /// When it was done after all.
    pub settled_at: Option<Timestamp>,
    /// The event that parked it; also its place in the list.
    pub position: Position,
}

pub(crate) const DEAD_LETTERS: Table = Table {
    name: "dead_letters",
    about: "What consumers could not do, until it is settled.",
    columns: &[
        Column::text("id"),
        Column::text("consumer"),
        Column::int("event_position"),
        Column::text("event_id"),
        Column::json("ask").or_null(),
        Column::text("error"),
        Column::int("attempts"),
        Column::time("first_failed_at"),
        Column::time("last_failed_at"),
        Column::text("correlation_id").or_null(),
        Column::time("redriven_at").or_null(),
        Column::text("redriven_by").or_null(),
        Column::time("settled_at").or_null(),
        Column::int("position"),
    ],
    key: 1,
    indexes: &[
        Index { name: "dead_letters_by_position", columns: &["position"], early: false },
        Index { name: "dead_letters_open", columns: &["settled_at"], early: false },
    ],
};

impl Stored for DeadLetterRow {
    const TABLE: &'static Table = &DEAD_LETTERS;
    type Key = Uuid;

    fn key(&self) -> Uuid {
        self.id
    }

    fn key_values(id: &Uuid) -> Vec<Value> {
        vec![Value::show(id)]
    }

    fn values(&self) -> Vec<Value> {
        vec![
            Value::show(self.id),
            self.consumer.as_str().into(),
            self.event_position.into(),
            Value::show(self.event_id),
            self.ask.as_ref().map_or(Value::Null, Value::json),
            self.error.as_str().into(),
            self.attempts.into(),
            self.first_failed_at.into(),
            self.last_failed_at.into(),
            self.correlation_id.clone().into(),
            self.redriven_at.into(),
            self.redriven_by.clone().into(),
            self.settled_at.into(),
            self.position.into(),
        ]
    }

    fn read(row: &mut Row) -> Result<Self, TableError> {
        Ok(Self {
            id: row.parse()?,
            consumer: row.text()?,
            event_position: row.position()?,
            event_id: row.parse()?,
            ask: row.opt_json()?,
            error: row.text()?,
            attempts: row.int()?,
            first_failed_at: row.time()?,
            last_failed_at: row.time()?,
            correlation_id: row.opt_text()?,
            redriven_at: row.opt_time()?,
            redriven_by: row.opt_text()?,
            settled_at: row.opt_time()?,
            position: row.position()?,
        })
    }
}

/// How events change it.
pub(crate) struct DeadLetters {
    pub(crate) rows: Kept<DeadLetterRow>,
}

impl DeadLetters {
    pub(crate) fn new(edition: Edition) -> Self {
        Self { rows: Kept::new(edition) }
    }

    pub(crate) async fn apply(
        &mut self,
        tx: &mut Tx,
        consumer: &str,
        event: &DeadLetterEvent,
        at: Timestamp,
        position: Position,
    ) -> Result<(), TableError> {
        match event {
            DeadLetterEvent::Parked {
                id,
                position: event_position,
                event_id,
                ask,
                error,
                attempts,
                first_failed_at,
                last_failed_at,
                correlation_id,
            } => {
                // One that was asked for again and failed again keeps its place in the list.
                let before = self.rows.get(tx, id).await?;
                let position = before.map_or(position, |before| before.position);
                self.rows.put(DeadLetterRow {
                    id: *id,
                    consumer: consumer.into(),
                    event_position: Position(*event_position),
                    event_id: *event_id,
                    ask: ask.as_deref().cloned(),
                    error: error.clone(),
                    attempts: *attempts,
                    first_failed_at: *first_failed_at,
                    last_failed_at: *last_failed_at,
                    correlation_id: correlation_id.clone(),
                    redriven_at: None,
                    redriven_by: None,
                    settled_at: None,
                    position,
                });
            }
            DeadLetterEvent::Redriven { id, by } => {
                if let Some(row) = self.rows.edit(tx, id).await? {
                    row.redriven_at = Some(at);
                    row.redriven_by = Some(by.clone());
                }
            }
            DeadLetterEvent::Settled { id } => {
                if let Some(row) = self.rows.edit(tx, id).await? {
                    row.settled_at = Some(at);
                }
            }
        }
        Ok(())
    }
}

impl ReadModels {
    /// One dead letter.
    pub async fn dead_letter(&self, id: Uuid) -> Result<Option<DeadLetterRow>, QueryError> {
        self.one(&format!("{} WHERE id = ?", DEAD_LETTERS.select()), vec![Value::show(id)]).await
    }

    /// The dead letters of one consumer or of all, newest first.
    pub async fn dead_letters(
        &self,
        consumer: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<DeadLetterRow>, QueryError> {
        let after = page.after_number()?.unwrap_or(i64::MAX);
        let mut sql = format!("{} WHERE position < ?", DEAD_LETTERS.select());
        let mut values: Vec<Value> = vec![after.into()];
        if let Some(consumer) = consumer {
            sql.push_str(" AND consumer = ?");
            values.push(consumer.into());
        }
        sql.push_str(" ORDER BY position DESC LIMIT ?");
        values.push(page.limit().into());
        let rows: Vec<DeadLetterRow> = self.many(&sql, values).await?;
        Ok(Page::of(rows.into_iter().map(|row| (row.position.to_string(), row)).collect(), page))
    }

    /// How many dead letters nobody has settled yet.
    pub async fn open_dead_letters(&self) -> Result<u64, QueryError> {
        self.count("SELECT count(*) FROM dead_letters WHERE settled_at IS NULL", vec![]).await
    }
}
