//! The entries of a simulated directory: what is seen, what is durable, what lies between.

use std::collections::BTreeMap;

use super::dice::Dice;
use super::faults::Leaves;

/// Names, and the files that they stand for.
pub(crate) type Entries = BTreeMap<String, usize>;

/// The directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    /// What is seen.
    pub(crate) seen: Entries,
    /// What a power cut leaves.
    pub(crate) durable: Entries,
    changes: Vec<Change>,
}

/// An entry that was written, or taken away; a rename is one of each.
#[derive(Clone, Debug)]
struct Change {
    name: String,
    file: Option<usize>,
    /// The second half of a rename.
    goes_with_last: bool,
}

impl Change {
    fn apply(&self, entries: &mut Entries) {
        match self.file {
            Some(file) => entries.insert(self.name.clone(), file),
            None => entries.remove(&self.name),
        };
    }
}

impl Names {
    /// A directory that is durable as it is.
    pub(crate) fn durable(entries: Entries) -> Self {
        Self { seen: entries.clone(), durable: entries, changes: Vec::new() }
    }

    fn change(&mut self, name: &str, file: Option<usize>, goes_with_last: bool) {
        let change = Change { name: name.to_owned(), file, goes_with_last };
        change.apply(&mut self.seen);
        self.changes.push(change);
    }

    pub(crate) fn create(&mut self, name: &str, file: usize) {
        self.change(name, Some(file), false);
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.change(name, None, false);
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str, file: usize) {
        self.change(to, Some(file), false);
        self.change(from, None, true);
    }

    pub(crate) fn sync(&mut self) {
        self.changes.clear();
        self.durable = self.seen.clone();
    }

    /// The entries that are found when the power comes back.
    pub(crate) fn after_power_cut(&self, leaves: Leaves, dice: &mut Dice) -> Entries {
        let mut entries = self.durable.clone();
        let in_order = |entries: &mut Entries, dice: &mut Dice| {
            let mut kept = dice.roll(self.changes.len() as u64 + 1) as usize;
            // A file system with a journal never leaves half a rename.
            while self.changes.get(kept).is_some_and(|change| change.goes_with_last) {
                kept += 1;
            }
            self.changes[..kept].iter().for_each(|change| change.apply(entries));
        };
        match leaves {
            Leaves::Nothing => {}
            Leaves::Everything => self.changes.iter().for_each(|c| c.apply(&mut entries)),
            Leaves::Prefix(_) => in_order(&mut entries, dice),
            Leaves::Some(_) if dice.roll(2) == 0 => in_order(&mut entries, dice),
            // One without a journal leaves any of them, halves of renames too.
            Leaves::Some(_) => {
                for change in &self.changes {
                    if dice.roll(2) == 0 {
                        change.apply(&mut entries);
                    }
                }
            }
        }
        entries
    }
}
