//! The rows that a batch of events touches: read once, changed in memory, written once.
//!
//! Rows stay here after the commit, so that the next batch finds them without asking; when there are
//! too many, all of them are let go, since every one can be read again.

use std::collections::HashMap;
use std::hash::Hash;

use super::{Edition, Row, Table, TableError, Tx, Value};

/// How many rows of one table are remembered between two batches.
const MOST_ROWS: usize = 50_000;

/// A row that a table holds. `values` and `read` follow the order of the table's columns.
pub(crate) trait Stored: Clone + PartialEq + Send + Sync {
    const TABLE: &'static Table;
    type Key: Clone + Ord + Hash + Send + Sync;

    fn key(&self) -> Self::Key;
    fn key_values(key: &Self::Key) -> Vec<Value>;
    fn values(&self) -> Vec<Value>;
    fn read(row: &mut Row) -> Result<Self, TableError>;
}

struct Slot<R> {
    row: Option<R>,
    dirty: bool,
}

/// Rows of one table, as they are after the events seen so far.
pub(crate) struct Kept<R: Stored> {
    slots: HashMap<R::Key, Slot<R>>,
    dirty: Vec<R::Key>,
}

impl<R: Stored> Default for Kept<R> {
    fn default() -> Self {
        Self { slots: HashMap::new(), dirty: Vec::new() }
    }
}

impl<R: Stored> Kept<R> {
    /// Reads those of these rows that are not known yet.
    pub(crate) async fn load(
        &mut self,
        tx: &mut Tx,
        edition: Edition,
        keys: impl IntoIterator<Item = R::Key>,
    ) -> Result<(), TableError> {
        let mut missing: Vec<R::Key> =
            keys.into_iter().filter(|key| !self.slots.contains_key(key)).collect();
        missing.sort_unstable();
        missing.dedup();
        if missing.is_empty() {
            return Ok(());
        }
        let found: Vec<R> = tx.by_keys(edition, &missing).await?;
        for key in missing {
            self.slots.insert(key, Slot { row: None, dirty: false });
        }
        self.learn(found);
        Ok(())
    }

    /// Takes in rows that were just read; what was changed here since is newer and stays.
    pub(crate) fn learn(&mut self, found: Vec<R>) {
        for row in found {
            let slot = self.slots.entry(row.key()).or_insert(Slot { row: None, dirty: false });
            if !slot.dirty {
                slot.row = Some(row);
            }
        }
    }

    /// The row, read if need be.
    pub(crate) async fn get(
        &mut self,
        tx: &mut Tx,
        edition: Edition,
        key: &R::Key,
    ) -> Result<Option<R>, TableError> {
        if !self.slots.contains_key(key) {
            self.load(tx, edition, [key.clone()]).await?;
        }
        Ok(self.slots.get(key).and_then(|slot| slot.row.clone()))
    }

    /// The row, if it is here.
    pub(crate) fn known(&self, key: &R::Key) -> Option<&R> {
        self.slots.get(key).and_then(|slot| slot.row.as_ref())
    }

    /// This is the row now.
    pub(crate) fn put(&mut self, row: R) {
        let key = row.key();
        self.set(key, Some(row));
    }

    /// There is no such row any more.
    pub(crate) fn remove(&mut self, key: R::Key) {
        self.set(key, None);
    }

    fn set(&mut self, key: R::Key, row: Option<R>) {
        let slot = self.slots.entry(key.clone()).or_insert(Slot { row: None, dirty: false });
        slot.row = row;
        if !slot.dirty {
            slot.dirty = true;
            self.dirty.push(key);
        }
    }

    /// Writes what changed.
    pub(crate) async fn flush(&mut self, tx: &mut Tx, edition: Edition) -> Result<(), TableError> {
        if self.dirty.is_empty() {
            return Ok(());
        }
        self.dirty.sort_unstable();
        let mut rows = Vec::with_capacity(self.dirty.len());
        let mut gone = Vec::new();
        for key in self.dirty.drain(..) {
            let slot = self.slots.get_mut(&key).expect("a dirty row is kept");
            slot.dirty = false;
            match &slot.row {
                Some(row) => rows.push(row.values()),
                None => gone.push(R::key_values(&key)),
            }
        }
        tx.upsert(R::TABLE, edition, rows).await?;
        tx.delete(R::TABLE, edition, gone).await?;
        if self.slots.len() > MOST_ROWS {
            self.slots.clear();
        }
        Ok(())
    }

    /// Forgets everything, also what was not written: the transaction did not happen.
    pub(crate) fn forget(&mut self) {
        self.slots.clear();
        self.dirty.clear();
    }
}
