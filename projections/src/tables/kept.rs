//! The rows that events touch: read once, changed in memory, written once.
//!
//! ```text
//!   table ──load──► row ──event──► dirty row ──event──► dirty row ──flush──► table
//!                    ▲                                               │
//!                    └────────────── stays, until there are too many ┘
//! ```
//!
//! Rows stay here after the commit, so that the next batch finds them without asking; when there are
//! too many, all of them are let go, since every one can be read again. A batch of live events is
//! flushed with its checkpoint. A rebuild lets dirty rows gather over many batches and writes them in
//! the order of their keys: a row that changes often is written once, one that goes again is never
//! written, and neighbours in the table are written together.

use std::collections::HashMap;
use std::hash::Hash;

use super::sieve::Sieve;
use super::{Edition, Row, Table, TableError, Tx, Value};

/// How many rows of one table are remembered between two batches, unless somebody says otherwise.
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
    /// Whether the row is to be written, or deleted.
    dirty: bool,
    /// Whether the table may hold the row.
    written: bool,
}

/// Rows of one table, as they are after the events seen so far.
pub(crate) struct Kept<R: Stored> {
    edition: Edition,
    slots: HashMap<R::Key, Slot<R>>,
    dirty: Vec<R::Key>,
    absent: Absent,
    /// How many rows are remembered after a flush.
    most: usize,
}

/// What is known of rows that are not here.
enum Absent {
    /// They do not exist: true of a table that is filled from nothing, until there are too many rows.
    None,
    /// Those that the sieve does not know do not exist.
    Sieved(Sieve),
    /// Nothing.
    Unknown,
}

impl<R: Stored> Kept<R> {
    /// Rows of a table that may hold some already.
    pub(crate) fn new(edition: Edition) -> Self {
        let absent = match edition {
            Edition::Live => Absent::Unknown,
            Edition::Beside(_) => Absent::None,
        };
        Self { edition, slots: HashMap::new(), dirty: Vec::new(), absent, most: MOST_ROWS }
    }

    /// Remembers at most so many rows after a flush.
    pub(crate) fn keep_at_most(&mut self, rows: usize) {
        self.most = rows;
    }

    fn may_exist(&self, key: &R::Key) -> bool {
        match &self.absent {
            Absent::None => false,
            Absent::Sieved(sieve) => sieve.may_hold(key),
            Absent::Unknown => true,
        }
    }

    /// Reads those of these rows that are not known yet.
    pub(crate) async fn load(
        &mut self,
        tx: &mut Tx,
        keys: impl IntoIterator<Item = R::Key>,
    ) -> Result<(), TableError> {
        let mut missing: Vec<R::Key> = keys
            .into_iter()
            .filter(|key| !self.slots.contains_key(key) && self.may_exist(key))
            .collect();
        missing.sort_unstable();
        missing.dedup();
        if missing.is_empty() {
            return Ok(());
        }
        let found: Vec<R> = tx.by_keys(self.edition, &missing).await?;
        for key in missing {
            self.slots.insert(key, Slot { row: None, dirty: false, written: false });
        }
        self.learn(found);
        Ok(())
    }

    /// Takes in rows that were just read; what was changed here since is newer and stays.
    pub(crate) fn learn(&mut self, found: Vec<R>) {
        for row in found {
            let absent = Slot { row: None, dirty: false, written: true };
            let slot = self.slots.entry(row.key()).or_insert(absent);
            slot.written = true;
            if !slot.dirty {
                slot.row = Some(row);
            }
        }
    }

    /// Whether what is not here does not exist.
    pub(crate) fn is_complete(&self) -> bool {
        match self.absent {
            Absent::None => true,
            Absent::Sieved(_) | Absent::Unknown => false,
        }
    }

    /// How many rows are to be written.
    pub(crate) fn dirty(&self) -> usize {
        self.dirty.len()
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
        // Put without a look: the table may hold such a row already.
        let written = !self.slots.contains_key(&key) && self.may_exist(&key);
        let absent = Slot { row: None, dirty: false, written };
        let slot = self.slots.entry(key.clone()).or_insert(absent);
        slot.row = row;
        if !slot.dirty {
            slot.dirty = true;
            self.dirty.push(key);
        }
    }

    /// Writes what changed.
    pub(crate) async fn flush(&mut self, tx: &mut Tx) -> Result<(), TableError> {
        self.flush_some(tx, &mut usize::MAX.clone()).await
    }

    /// Writes what changed, in the order of the keys, as far as there is `room` for so many rows, and
    /// takes them from it.
    pub(crate) async fn flush_some(
        &mut self,
        tx: &mut Tx,
        room: &mut usize,
    ) -> Result<(), TableError> {
        if self.dirty.is_empty() || *room == 0 {
            return Ok(());
        }
        // Last first, so that what is written comes off the end; sorted already after the first part.
        self.dirty.sort_unstable_by(|a, b| b.cmp(a));
        let left = self.dirty.len().saturating_sub(*room);
        *room -= self.dirty.len() - left;
        let mut rows = Vec::with_capacity(self.dirty.len() - left);
        let mut gone = Vec::new();
        let complete = self.is_complete();
        for key in self.dirty.drain(left..).rev() {
            let slot = self.slots.get_mut(&key).expect("a dirty row is kept");
            slot.dirty = false;
            if let Some(row) = &slot.row {
                slot.written = true;
                rows.push(row.values());
                continue;
            }
            // What was never written need not be deleted.
            if std::mem::take(&mut slot.written) {
                gone.push(R::key_values(&key));
            }
            if complete {
                self.slots.remove(&key);
            }
        }
        tx.upsert(R::TABLE, self.edition, rows).await?;
        tx.delete(R::TABLE, self.edition, gone).await?;
        if self.dirty.is_empty() {
            self.let_go();
        }
        Ok(())
    }

    /// Lets rows go that stand in the table, when they are too many.
    fn let_go(&mut self) {
        if !R::KEPT {
            self.slots.clear();
            return;
        }
        if self.slots.len() <= self.most {
            return;
        }
        if let Absent::None = self.absent {
            self.absent = Absent::Sieved(Sieve::new());
        }
        if let Absent::Sieved(sieve) = &mut self.absent {
            self.slots
                .iter()
                .filter(|(_, slot)| slot.row.is_some())
                .for_each(|(key, _)| sieve.add(key));
        }
        self.slots.clear();
    }

    /// Forgets everything, also what was not written: the transaction did not happen, or the table is
    /// another one now.
    pub(crate) fn forget(&mut self) {
        self.slots.clear();
        self.dirty.clear();
        self.absent = Absent::Unknown;
    }
}
