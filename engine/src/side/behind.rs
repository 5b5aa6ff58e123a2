//! Answers and refusals: visible at once, written to the file behind the customer's back, in batches.
//!
//! Nobody waits for the file. While it takes nothing (a full disk) the batch is tried again and the next
//! writes gather; what then finds no room in memory is counted and not kept. A repeat of such a request
//! is answered from what its key has recorded.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use holdfast_domain::Timestamp;
use holdfast_store::Position;
use sqlx::sqlite::SqlitePool;
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use super::troubles::Troubles;
use super::{Side, SideError, blob, signed, unsigned};

/// How many writes may wait; what comes then is counted and let go.
const WAITING: usize = 8_192;
/// How many writes go into one transaction.
const BATCH: usize = 512;
/// How long is waited before a batch is tried again: first, and at the longest.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// What health calls this.
const ANSWERS: &str = "answers";
/// After how many refusals the oldest are looked for.
const TRIM_EVERY: u32 = 1_024;

/// What a door has answered under a key, to be given again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAnswer {
    /// Hash of operation and input.
    pub fingerprint: String,
    /// HTTP status.
    pub status: u16,
    /// The body as it was sent.
    pub body: String,
    /// Headers that belong to it.
    pub headers: Vec<(String, String)>,
    /// The position at which it is true.
    pub position: u64,
    /// When it was given.
    pub at: Timestamp,
}

/// A command that was refused: kept outside the stream that it was for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedCommand {
    /// When.
    pub at: Timestamp,
    /// Who asked, `kind:id`.
    pub actor: String,
    /// Which operation.
    pub command: String,
    /// What it was for: a stream's name or an item's.
    pub target: String,
    /// Its code ([`crate::Rejection::code`]).
    pub code: String,
    /// What the customer was told.
    pub message: String,
    /// The position at which the refusal was true.
    pub as_of: Position,
}

enum Write {
    Answer(Uuid, Arc<StoredAnswer>),
    Rejected(Box<RejectedCommand>, u32),
    Flush(oneshot::Sender<()>),
}

/// The writer behind, and what it has not written yet.
pub(super) struct Behind {
    queue: mpsc::Sender<Write>,
    /// Answers that are on their way to the file.
    fresh: Arc<Mutex<HashMap<Uuid, Arc<StoredAnswer>>>>,
    /// Whether the file takes nothing just now.
    stuck: watch::Receiver<bool>,
    read: SqlitePool,
}

impl Behind {
    pub(super) fn start(write: SqlitePool, read: SqlitePool, troubles: Arc<Troubles>) -> Arc<Self> {
        let (queue, waiting) = mpsc::channel(WAITING);
        let fresh = Arc::new(Mutex::new(HashMap::new()));
        let (stuck, is_stuck) = watch::channel(false);
        tokio::spawn(run(write, waiting, fresh.clone(), stuck, troubles));
        Arc::new(Self { queue, fresh, stuck: is_stuck, read })
    }

    pub(super) async fn flush(&self) {
        let mut stuck = self.stuck.clone();
        let flushed = async {
            let (done, is_done) = oneshot::channel();
            if self.queue.send(Write::Flush(done)).await.is_ok() {
                // An error means that the writer has ended: then there is nothing to wait for.
                let _ = is_done.await;
            }
        };
        tokio::select! {
            () = flushed => {}
            _ = stuck.wait_for(|stuck| *stuck) => {}
        }
    }
}

impl Side {
    /// An answer that is on its way to the file.
    pub(crate) fn fresh_answer(&self, command_id: Uuid) -> Option<Arc<StoredAnswer>> {
        let fresh = self.behind.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        fresh.get(&command_id).cloned()
    }

    /// What was answered under that command's key.
    pub async fn answer(&self, command_id: Uuid) -> Option<StoredAnswer> {
        if let Some(answer) = self.fresh_answer(command_id) {
            return Some(StoredAnswer::clone(&answer));
        }
        match stored_answer(&self.behind.read, command_id).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::error!(%error, "a stored answer could not be read");
                None
            }
        }
    }

    /// Keeps what was answered; seen by [`Self::answer`] at once. Never makes anybody wait.
    pub fn keep_answer(&self, command_id: Uuid, answer: StoredAnswer) {
        let answer = Arc::new(answer);
        {
            let mut fresh = self.behind.fresh.lock().unwrap_or_else(PoisonError::into_inner);
            fresh.insert(command_id, answer.clone());
        }
        if self.behind.queue.try_send(Write::Answer(command_id, answer)).is_err() {
            let mut fresh = self.behind.fresh.lock().unwrap_or_else(PoisonError::into_inner);
            fresh.remove(&command_id);
            metrics::counter!("holdfast_answers_not_kept_total").increment(1);
        }
    }

    /// Notes a refusal; never makes anybody wait.
    pub fn reject(&self, rejected: RejectedCommand) {
        self.reject_keeping(rejected, 100_000);
    }

    pub(crate) fn reject_keeping(&self, rejected: RejectedCommand, keep: u32) {
        metrics::counter!("holdfast_rejected_total", "code" => rejected.code.clone()).increment(1);
        let write = Write::Rejected(Box::new(rejected), keep);
        if self.behind.queue.try_send(write).is_err() {
            metrics::counter!("holdfast_rejected_not_kept_total").increment(1);
        }
    }

    /// Refusals with their numbers, oldest first, behind number `after`, all or of one target.
    pub async fn rejected(
        &self,
        target: Option<&str>,
        after: Option<i64>,
        limit: usize,
    ) -> Vec<(i64, RejectedCommand)> {
        self.behind.flush().await;
        match rejected_rows(&self.behind.read, target, after.unwrap_or(0), limit).await {
            Ok(rows) => rows,
            Err(error) => {
                tracing::error!(%error, "rejected commands could not be read");
                Vec::new()
            }
        }
    }

    /// Lets answers and keys go that are older than the retention, and tokens that nobody used.
    pub(crate) async fn forget_before(
        &self,
        retention: Timestamp,
        tokens: Timestamp,
    ) -> Result<(), SideError> {
        for (sql, before) in [
            ("DELETE FROM answers WHERE at < ?", retention),
            ("DELETE FROM keys WHERE at < ?", retention),
            ("DELETE FROM payment_methods WHERE at < ?", tokens),
        ] {
            sqlx::query(sql).bind(before.micros()).execute(&self.write).await?;
        }
        Ok(())
    }
}

async fn run(
    pool: SqlitePool,
    mut waiting: mpsc::Receiver<Write>,
    fresh: Arc<Mutex<HashMap<Uuid, Arc<StoredAnswer>>>>,
    stuck: watch::Sender<bool>,
    troubles: Arc<Troubles>,
) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut untrimmed = 0;
    while waiting.recv_many(&mut batch, BATCH).await > 0 {
        let mut wait = FIRST_WAIT;
        loop {
            let written = write(&pool, &batch, &mut untrimmed).await;
            let passing = written.as_ref().err().is_some_and(SideError::is_passing);
            // What stays wrong is not tried again, and is no trouble of the file.
            let noted = if passing { &written } else { &Ok(()) };
            troubles.note(ANSWERS, noted);
            stuck.send_if_modified(|stuck| std::mem::replace(stuck, passing) != passing);
            let Err(error) = written else { break };
            tracing::error!(%error, count = batch.len(), passing, "answers and refusals were not kept");
            if !passing || waiting.is_closed() {
                let answers = batch.iter().filter(|write| matches!(write, Write::Answer(..)));
                metrics::counter!("holdfast_answers_not_kept_total")
                    .increment(answers.count() as u64);
                break;
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
        {
            let mut fresh = fresh.lock().unwrap_or_else(PoisonError::into_inner);
            for write in &batch {
                if let Write::Answer(id, answer) = write
                    && fresh.get(id).is_some_and(|newest| Arc::ptr_eq(newest, answer))
                {
                    fresh.remove(id);
                }
            }
        }
        for write in batch.drain(..) {
            if let Write::Flush(done) = write {
                // Who has stopped waiting does not mind.
                let _ = done.send(());
            }
        }
    }
}

async fn write(pool: &SqlitePool, batch: &[Write], untrimmed: &mut u32) -> Result<(), SideError> {
    let mut transaction = pool.begin().await?;
    let mut keep_last = None;
    for write in batch {
        match write {
            Write::Answer(id, answer) => {
                sqlx::query(
                    "INSERT INTO answers (command_id, fingerprint, status, body, headers, position, at)
                     VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (command_id) DO UPDATE SET
                     fingerprint = excluded.fingerprint, status = excluded.status,
                     body = excluded.body, headers = excluded.headers,
                     position = excluded.position, at = excluded.at",
                )
                .bind(blob(*id))
                .bind(&answer.fingerprint)
                .bind(i64::from(answer.status))
                .bind(&answer.body)
                .bind(serde_json::to_string(&answer.headers).expect("strings make JSON"))
                .bind(signed(answer.position))
                .bind(answer.at.micros())
                .execute(&mut *transaction)
                .await?;
            }
            Write::Rejected(it, keep) => {
                sqlx::query(
                    "INSERT INTO rejected_commands (at, actor, command, target, code, message, as_of)
                     VALUES (?, ?, ?, ?, ?, ?, ?)",
                )
                .bind(it.at.micros())
                .bind(&it.actor)
                .bind(&it.command)
                .bind(&it.target)
                .bind(&it.code)
                .bind(&it.message)
                .bind(signed(it.as_of.0))
                .execute(&mut *transaction)
                .await?;
                *untrimmed += 1;
                if *untrimmed >= TRIM_EVERY.min(*keep) {
                    keep_last = Some(*keep);
                }
            }
            Write::Flush(_) => {}
        }
    }
    if let Some(keep) = keep_last {
        *untrimmed = 0;
        sqlx::query(
            "DELETE FROM rejected_commands
             WHERE id <= (SELECT max(id) FROM rejected_commands) - ?",
        )
        .bind(i64::from(keep))
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await?;
    Ok(())
}

async fn stored_answer(
    pool: &SqlitePool,
    command_id: Uuid,
) -> Result<Option<StoredAnswer>, SideError> {
    let row: Option<(String, i64, String, String, i64, i64)> = sqlx::query_as(
        "SELECT fingerprint, status, body, headers, position, at FROM answers WHERE command_id = ?",
    )
    .bind(blob(command_id))
    .fetch_optional(pool)
    .await?;
    let Some((fingerprint, status, body, headers, position, at)) = row else { return Ok(None) };
    let headers = serde_json::from_str(&headers)
        .map_err(|error| SideError::Row { table: "answers", why: error.to_string() })?;
    Ok(Some(StoredAnswer {
        fingerprint,
        status: u16::try_from(status).unwrap_or(500),
        body,
        headers,
        position: unsigned(position),
        at: Timestamp::from_micros(at),
    }))
}

async fn rejected_rows(
    pool: &SqlitePool,
    target: Option<&str>,
    after: i64,
    limit: usize,
) -> Result<Vec<(i64, RejectedCommand)>, SideError> {
    type Row = (i64, i64, String, String, String, String, String, i64);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT id, at, actor, command, target, code, message, as_of FROM rejected_commands
         WHERE id > ?1 AND (?2 IS NULL OR target = ?2) ORDER BY id LIMIT ?3",
    )
    .bind(after)
    .bind(target)
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(id, at, actor, command, target, code, message, as_of)| {
            let at = Timestamp::from_micros(at);
            let as_of = Position(unsigned(as_of));
            (id, RejectedCommand { at, actor, command, target, code, message, as_of })
        })
        .collect())
}
