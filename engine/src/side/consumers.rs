//! How far each follower of the log has come, and what it keeps with that: timers, payments that are
//! not at rest, keys. One transaction each, so that they never tell different stories.

use std::collections::{HashMap, HashSet};

use holdfast_domain::process::Ask;
use holdfast_domain::{PaymentId, Timestamp};
use holdfast_store::Position;
use uuid::Uuid;

use super::{Side, SideError, blob, signed, unsigned};

/// A timer as it is written down.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TimerRow {
    /// Its name within its process; a later one of the same name takes its place.
    pub(crate) key: String,
    /// When.
    pub(crate) due: Timestamp,
    /// In whose lane it fires.
    pub(crate) lane: String,
    /// The event that asked for it.
    pub(crate) event_id: Uuid,
    /// What is asked then.
    pub(crate) ask: Ask,
}

/// What one process has done since it was written down last.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Everything up to here is done.
    pub(crate) position: Position,
    /// Timers by name: set, or gone.
    pub(crate) timers: HashMap<String, Option<TimerRow>>,
    /// Those of them that are not in the file yet.
    pub(crate) new_timers: HashSet<String>,
    /// Payments: not at rest, or at rest.
    pub(crate) payments: HashMap<PaymentId, bool>,
}

/// What a key is bound by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyRow {
    pub(crate) command_id: Uuid,
    pub(crate) fingerprint: String,
    pub(crate) stream: String,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) position: Position,
    pub(crate) at: Timestamp,
}

/// The tables that are made again from the log.
const DERIVED: [&str; 5] = ["checkpoints", "timers", "open_payments", "keys", "fleet"];

impl Side {
    /// How far a follower has come.
    pub(crate) async fn checkpoint(&self, consumer: &str) -> Result<Position, SideError> {
        let row: Option<(i64,)> =
            sqlx::query_as("SELECT position FROM checkpoints WHERE consumer = ?")
                .bind(consumer)
                .fetch_optional(&self.write)
                .await?;
        Ok(Position(row.map_or(0, |(position,)| unsigned(position))))
    }

    /// After the log was set back (an older copy, or cut): takes away what is derived from it, and the
    /// answers that speak of what is gone, all at once. It is made again from the log. Says whether
    /// there was anything that knew more than `head`.
    pub async fn set_back_to(&self, head: Position) -> Result<bool, SideError> {
        let head = i64::try_from(head.0).unwrap_or(i64::MAX);
        let mut tx = self.write.begin().await?;
        let (ahead,): (i64,) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM checkpoints WHERE position > ?1) \
             + (SELECT count(*) FROM answers WHERE position > ?1)",
        )
        .bind(head)
        .fetch_one(&mut *tx)
        .await?;
        if ahead == 0 {
            return Ok(false);
        }
        for table in DERIVED {
            sqlx::query(&format!("DELETE FROM {table}")).execute(&mut *tx).await?;
        }
        sqlx::query("DELETE FROM answers WHERE position > ?").bind(head).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Takes away what is derived from the log.
    #[cfg(test)]
    pub(crate) async fn lose_what_is_derived(&self) {
        for table in DERIVED {
            let sql = format!("DELETE FROM {table}");
            sqlx::query(&sql).execute(&self.write).await.expect("memory");
        }
    }

    /// A process's timers.
    pub(crate) async fn timers(&self, process: &str) -> Result<Vec<TimerRow>, SideError> {
        let rows: Vec<(String, i64, String, String, String)> =
            sqlx::query_as("SELECT key, due, lane, event_id, ask FROM timers WHERE process = ?")
                .bind(process)
                .fetch_all(&self.write)
                .await?;
        let unreadable = |why: String| SideError::Row { table: "timers", why };
        rows.into_iter()
            .map(|(key, due, lane, event_id, ask)| {
                Ok(TimerRow {
                    key,
                    due: Timestamp::from_micros(due),
                    lane,
                    event_id: event_id
                        .parse()
                        .map_err(|e: uuid::Error| unreadable(e.to_string()))?,
                    ask: serde_json::from_str(&ask).map_err(|e| unreadable(e.to_string()))?,
                })
            })
            .collect()
    }

    /// Payments that are not at rest.
    pub(crate) async fn open_payments(&self) -> Result<Vec<PaymentId>, SideError> {
        let rows: Vec<(String,)> =
            sqlx::query_as("SELECT payment_id FROM open_payments").fetch_all(&self.write).await?;
        rows.into_iter()
            .map(|(id,)| {
                id.parse().map_err(|error: uuid::Error| SideError::Row {
                    table: "open_payments",
                    why: error.to_string(),
                })
            })
            .collect()
    }

    /// Writes down how far a process has come, with its timers.
    pub(crate) async fn save(&self, process: &str, progress: &Progress) -> Result<(), SideError> {
        let saved = self.try_save(process, progress).await;
        self.troubles.note(process, &saved);
        saved
    }

    async fn try_save(&self, process: &str, progress: &Progress) -> Result<(), SideError> {
        let mut transaction = self.write.begin().await?;
        for (key, timer) in &progress.timers {
            match timer {
                Some(timer) => {
                    sqlx::query(
                        "INSERT INTO timers (process, key, due, lane, event_id, ask)
                         VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (process, key) DO UPDATE SET
                         due = excluded.due, lane = excluded.lane,
                         event_id = excluded.event_id, ask = excluded.ask",
                    )
                    .bind(process)
                    .bind(key)
                    .bind(timer.due.micros())
                    .bind(&timer.lane)
                    .bind(timer.event_id.to_string())
                    .bind(serde_json::to_string(&timer.ask).expect("asks are plain data"))
                    .execute(&mut *transaction)
                    .await?;
                }
                None => {
                    sqlx::query("DELETE FROM timers WHERE process = ? AND key = ?")
                        .bind(process)
                        .bind(key)
                        .execute(&mut *transaction)
                        .await?;
                }
            }
        }
        for (payment, is_open) in &progress.payments {
            let sql = if *is_open {
                "INSERT INTO open_payments (payment_id) VALUES (?) ON CONFLICT DO NOTHING"
            } else {
                "DELETE FROM open_payments WHERE payment_id = ?"
            };
            sqlx::query(sql).bind(payment.to_string()).execute(&mut *transaction).await?;
        }
        set_checkpoint(&mut transaction, process, progress.position).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Writes down which keys are bound by what, and how far the follower has come.
    pub(crate) async fn save_keys(
        &self,
        consumer: &str,
        keys: &[KeyRow],
        position: Position,
    ) -> Result<(), SideError> {
        let saved = self.try_save_keys(consumer, keys, position).await;
        self.troubles.note(consumer, &saved);
        saved
    }

    async fn try_save_keys(
        &self,
        consumer: &str,
        keys: &[KeyRow],
        position: Position,
    ) -> Result<(), SideError> {
        let mut transaction = self.write.begin().await?;
        for key in keys {
            sqlx::query(
                "INSERT INTO keys (command_id, fingerprint, stream, first, last, position, at)
                 VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (command_id) DO UPDATE SET
                 last = excluded.last, position = excluded.position
                 WHERE excluded.position > keys.position",
            )
            .bind(blob(key.command_id))
            .bind(&key.fingerprint)
            .bind(&key.stream)
            .bind(signed(key.first))
            .bind(signed(key.last))
            .bind(signed(key.position.0))
            .bind(key.at.micros())
            .execute(&mut *transaction)
            .await?;
        }
        set_checkpoint(&mut transaction, consumer, position).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// What a command's key is bound by: what it recorded, and the fingerprint of what was answered.
    pub(crate) async fn key(
        &self,
        command_id: Uuid,
    ) -> Result<(Option<KeyRow>, Option<String>), SideError> {
        type Row = (
            Option<String>,
            Option<String>,
            Option<i64>,
            Option<i64>,
            Option<i64>,
            Option<i64>,
            Option<String>,
        );
        let row: Row = sqlx::query_as(
            "SELECT k.fingerprint, k.stream, k.first, k.last, k.position, k.at, a.fingerprint
             FROM (SELECT ? AS id)
             LEFT JOIN keys k ON k.command_id = id LEFT JOIN answers a ON a.command_id = id",
        )
        .bind(blob(command_id))
        .fetch_one(&self.read)
        .await?;
        let (Some(fingerprint), Some(stream), first, last, position, at, answered) = row else {
            return Ok((None, row.6));
        };
        let number = |value: Option<i64>| unsigned(value.unwrap_or_default());
        let key = KeyRow {
            command_id,
            fingerprint,
            stream,
            first: number(first),
            last: number(last),
            position: Position(number(position)),
            at: Timestamp::from_micros(at.unwrap_or_default()),
        };
        Ok((Some(key), answered))
    }
}

pub(super) async fn set_checkpoint(
    transaction: &mut sqlx::Transaction<'_, sqlx::Sqlite>,
    consumer: &str,
    position: Position,
) -> Result<(), SideError> {
    sqlx::query(
        "INSERT INTO checkpoints (consumer, position) VALUES (?, ?)
         ON CONFLICT (consumer) DO UPDATE SET position = excluded.position",
    )
    .bind(consumer)
    .bind(signed(position.0))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
