//! The rows that a batch of events touches: read once, changed in memory, written once.
//!
//! Rows stay here after the commit, so that the next batch finds them without asking; when there are
//! too many, all of them are let go, since every one can be read again.

use std::collections::HashMap;
use std::hash::Hash;

use super::{Edition, Row, Table, TableError, Tx, Value};

/// How many rows of one table are remembered between two batches.
const MOST_ROWS: usize = 20_000;

/// A row that a table holds. `values` and `read` follow the order of the table's columns.
pub(crate) trait Stored: Clone + PartialEq + Send + Sync {
    const TABLE: &'static Table;
    /// Whether a row is ever looked at again once it is written.
    const KEPT: bool = true;
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
    edition: Edition,
    slots: HashMap<R::Key, Slot<R>>,
    dirty: Vec<R::Key>,
    /// Whether every row of the table is here, so that what is not here does not exist: true of a
    /// table that is filled from nothing, until there are too many rows.
    complete: bool,
}

impl<R: Stored> Kept<R> {
    /// Rows of a table that may hold some already.
    pub(crate) fn new(edition: Edition) -> Self {
        let complete = match edition {
            Edition::Live => false,
            Edition::Beside(_) => true,
        };
        Self { edition, slots: HashMap::new(), dirty: Vec::new(), complete }
    }

    /// Reads those of these rows that are not known yet.
    pub(crate) async fn load(
        &mut self,
        tx: &mut Tx,
        keys: impl IntoIterator<Item = R::Key>,
    ) -> Result<(), TableError> {
        if self.complete {
            return Ok(());
        }
        let mut missing: Vec<R::Key> =
            keys.into_iter().filter(|key| !self.slots.contains_key(key)).collect();
        missing.sort_unstable();
        missing.dedup();
        if missing.is_empty() {
            return Ok(());
        }
        let found: Vec<R> = tx.by_keys(self.edition, &missing).await?;
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

    /// Whether what is not here does not exist.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    /// The row, read if need be.
    pub(crate) async fn get(
        &mut self,
        tx: &mut Tx,
        key: &R::Key,
    ) -> Result<Option<&R>, TableError> {
        if !self.slots.contains_key(key) {
            self.load(tx, [key.clone()]).await?;
        }
        Ok(self.slots.get(key).and_then(|slot| slot.row.as_ref()))
    }

    /// The row, read if need be, to be changed.
    pub(crate) async fn edit(
        &mut self,
        tx: &mut Tx,
        key: &R::Key,
    ) -> Result<Option<&mut R>, TableError> {
        if !self.slots.contains_key(key) {
            self.load(tx, [key.clone()]).await?;
        }
        let Some(slot) = self.slots.get_mut(key).filter(|slot| slot.row.is_some()) else {
            return Ok(None);
        };
        if !slot.dirty {
            slot.dirty = true;
            self.dirty.push(key.clone());
        }
        Ok(slot.row.as_mut())
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
    pub(crate) async fn flush(&mut self, tx: &mut Tx) -> Result<(), TableError> {
        if self.dirty.is_empty() {
            return Ok(());
        }
        self.dirty.sort_unstable();
        let mut rows = Vec::with_capacity(self.dirty.len());
        let mut gone = Vec::new();
        for key in self.dirty.drain(..) {
            let slot = self.slots.get_mut(&key).expect("a dirty row is kept");
            slot.dirty = false;
            if let Some(row) = &slot.row {
                rows.push(row.values());
                continue;
            }
            gone.push(R::key_values(&key));
            if self.complete {
                self.slots.remove(&key);
            }
        }
        tx.upsert(R::TABLE, self.edition, rows).await?;
        tx.delete(R::TABLE, self.edition, gone).await?;
        if !R::KEPT {
            self.slots.clear();
        } else if self.slots.len() > MOST_ROWS {
            self.slots.clear();
            self.complete = false;
        }
        Ok(())
    }

    /// Forgets everything, also what was not written: the transaction did not happen, or the table is
    /// another one now.
    pub(crate) fn forget(&mut self) {
        self.slots.clear();
        self.dirty.clear();
        self.complete = false;
    }
}
