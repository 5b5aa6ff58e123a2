//! How far each follower of the log has come, and what it keeps with that: timers, payments that are
//! not at rest, keys. One transaction each, so that they never tell different stories.

use std::collections::HashMap;
use std::sync::Arc;

use holdfast_domain::process::Ask;
use holdfast_domain::{PaymentId, Timestamp};
use holdfast_store::Position;
use uuid::Uuid;

use super::{ByTimer, Side, SideError, TimerName, TimerNames, blob, signed, unsigned};

/// How many rows one statement writes: as many as there are, by these and singly.
const MOST_ROWS: usize = 128;
const SOME_ROWS: usize = 16;

/// A timer as it is written down.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TimerRow {
    /// Its name within its process; a later one of the same name takes its place.
    pub(crate) key: TimerName,
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
    pub(crate) timers: ByTimer<Option<Arc<TimerRow>>>,
    /// Those of them that are not in the file yet.
    pub(crate) new_timers: TimerNames,
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
                    key: key.into(),
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
        // In the order of their keys: neighbours in the table are written one after the other.
        let mut set: Vec<&TimerRow> = progress.timers.values().flatten().map(|it| &**it).collect();
        set.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        for rows in in_statements(&set) {
            let sql = many(
                rows.len(),
                "INSERT INTO timers (process, key, due, lane, event_id, ask) VALUES ",
                "(?, ?, ?, ?, ?, ?)",
                " ON CONFLICT (process, key) DO UPDATE SET due = excluded.due,
                 lane = excluded.lane, event_id = excluded.event_id, ask = excluded.ask",
            );
            let mut insert = sqlx::query(&sql);
            for timer in rows {
                insert = insert
                    .bind(process)
                    .bind(&*timer.key)
                    .bind(timer.due.micros())
                    .bind(&timer.lane)
                    .bind(timer.event_id.to_string())
                    .bind(serde_json::to_string(&timer.ask).expect("asks are plain data"));
            }
            insert.execute(&mut *transaction).await?;
        }
        let gone = progress.timers.iter().filter(|(_, timer)| timer.is_none());
        let mut gone: Vec<&str> = gone.map(|(key, _)| &**key).collect();
        gone.sort_unstable();
        for keys in in_statements(&gone) {
            let start = "DELETE FROM timers WHERE process = ? AND key IN (";
            let sql = many(keys.len(), start, "?", ")");
            let mut delete = sqlx::query(&sql).bind(process);
            for key in keys {
                delete = delete.bind(*key);
            }
            delete.execute(&mut *transaction).await?;
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
        // A key may stand there twice, as far as it was known in each page; the later one counts.
        let mut sorted: Vec<&KeyRow> = keys.iter().collect();
        sorted.sort_by_key(|key| key.command_id);
        for rows in in_statements(&sorted) {
            let sql = many(
                rows.len(),
                "INSERT INTO keys (command_id, fingerprint, stream, first, last, position, at) VALUES ",
                "(?, ?, ?, ?, ?, ?, ?)",
                " ON CONFLICT (command_id) DO UPDATE SET
                 last = excluded.last, position = excluded.position
                 WHERE excluded.position > keys.position",
            );
            let mut insert = sqlx::query(&sql);
            for key in rows {
                insert = insert
                    .bind(blob(key.command_id))
                    .bind(&key.fingerprint)
                    .bind(&key.stream)
                    .bind(signed(key.first))
                    .bind(signed(key.last))
                    .bind(signed(key.position.0))
                    .bind(key.at.micros());
            }
            insert.execute(&mut *transaction).await?;
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

/// Rows by the statement: each statement is a message to the database's thread and one back, which for
/// a row is most of its cost. There are three sizes of a statement, and no more, so that they stay
/// prepared.
fn in_statements<T>(rows: &[T]) -> impl Iterator<Item = &[T]> {
    let many = rows.chunks_exact(MOST_ROWS);
    let few = many.remainder();
    let (some, rest) = few.split_at(few.len() - few.len() % SOME_ROWS);
    many.chain(some.chunks(SOME_ROWS)).chain(rest.chunks(1))
}

/// The text of a statement about so many rows.
fn many(rows: usize, start: &str, row: &str, end: &str) -> String {
    let mut sql = String::with_capacity(start.len() + rows * (row.len() + 1) + end.len());
    sql.push_str(start);
    for nth in 0..rows {
        if nth > 0 {
            sql.push(',');
        }
        sql.push_str(row);
    }
    sql.push_str(end);
    sql
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

#[cfg(test)]
mod tests {
    use holdfast_domain::process::Alarm;

    use super::*;

    #[test]
    fn rows_go_into_statements_of_three_sizes_and_none_is_left_out() {
        for count in [0, 1, 15, 16, 17, 127, 128, 129, 300] {
            let rows: Vec<usize> = (0..count).collect();
            let statements: Vec<&[usize]> = in_statements(&rows).collect();
            assert_eq!(statements.concat(), rows);
            let sizes = [MOST_ROWS, SOME_ROWS, 1];
            assert!(statements.iter().all(|rows| sizes.contains(&rows.len())), "{count}");
        }
    }

    #[tokio::test]
    async fn hundreds_of_timers_and_keys_are_written_and_taken_away_again() {
        let side = Side::in_memory().await.expect("memory");
        let alarm = Alarm::Chargeback { payment_id: PaymentId(Uuid::nil()), attempt: 1 };
        let timer = |n: usize| TimerRow {
            key: format!("pool:{n:03}").into(),
            due: Timestamp::from_secs(i64::try_from(n).expect("small")),
            lane: "lane".into(),
            event_id: Uuid::nil(),
            ask: Ask::Alarm(alarm.clone()),
        };
        let mut progress = Progress { position: Position(300), ..Progress::default() };
        progress.timers = (0..300).map(|n| (timer(n).key, Some(Arc::new(timer(n))))).collect();
        side.save("booking", &progress).await.expect("memory");
        let mut written = side.timers("booking").await.expect("memory");
        written.sort_by_key(|row| row.due);
        assert_eq!(written, (0..300).map(timer).collect::<Vec<_>>());
        progress.timers = (7..300).map(|n| (timer(n).key, None)).collect();
        side.save("booking", &progress).await.expect("memory");
        assert_eq!(side.timers("booking").await.expect("memory").len(), 7);

        let key = |n: u64| KeyRow {
            command_id: Uuid::from_u128(u128::from(n % 200)),
            fingerprint: "f".into(),
            stream: "pool-x".into(),
            first: n % 200,
            last: n,
            position: Position(n + 1),
            at: Timestamp::default(),
        };
        // A hundred of them twice, as a command's events on two pages are.
        let keys: Vec<KeyRow> = (0..300).map(key).collect();
        side.save_keys("keys", &keys, Position(300)).await.expect("memory");
        let (row, _) = side.key(Uuid::from_u128(50)).await.expect("memory");
        assert_eq!(row, Some(KeyRow { last: 250, position: Position(251), ..key(50) }));
    }
}
