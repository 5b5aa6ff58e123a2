//! The disk's lying twin: a directory in memory that forgets what was not synced, in any order,
//! tears writes at sector borders, fails, fills up, loses writes, sends them astray and reads wrong
//! bits. It is what the log's crash tests and the swarm run on.
//!
//! ```text
//!   write ──► cache (what readers see) ──sync──► durable (what a power cut leaves)
//!               └── a power cut keeps any subset of its sectors
//! ```
//!
//! Every operation that changes something has a number, from 0 on; faults name such a number, or
//! come by chance ([`Weather`]). The same seed and the same operations give the same disk.

mod contents;
mod damage;
pub(super) mod dice;
mod faults;
mod file;
mod names;
mod trace;

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::disk::{Access, Disk, DiskFile, DiskLock};
use contents::{Contents, overwrite};
use dice::Dice;
use file::SimFile;
use names::Names;
use trace::{Operation, Trace};

pub use faults::{Faults, Injuries, Leaves, Weather};

/// How many older contents of sectors are remembered.
const KEPT_SECTORS: usize = 64;
/// How many writes that a power cut took are remembered.
const KEPT_GHOSTS: usize = 8;
/// Longer writes than this are not remembered: they fill new files with zeros.
const REMEMBERED_BYTES: usize = 6 << 10;

/// A directory in memory. Clones are the same directory.
#[derive(Clone, Default)]
pub struct SimDisk(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Told when somebody waits at the gate, when it opens, and when the bell is rung.
    moved: Condvar,
}

#[derive(Default)]
struct State {
    files: Vec<Contents>,
    names: Names,
    operations: u64,
    faults: Faults,
    dice: Dice,
    injuries: Injuries,
    /// What sectors held before they were written again: file, offset, bytes.
    older: VecDeque<(usize, u64, Vec<u8>)>,
    /// What would have been written if the power had not gone off.
    ghosts: VecDeque<(usize, u64, Vec<u8>)>,
    trace: Trace,
    off: bool,
    locked: bool,
    gate: Gate,
    /// The last write found no room.
    tight: bool,
    /// The most bytes that somebody wanted to read at once.
    widest_read: usize,
}

/// Where changes wait while a simulation puts more work in the queue.
#[derive(Default)]
struct Gate {
    closed: bool,
    waiting: usize,
    rung: bool,
}

fn off() -> io::Error {
    io::Error::other("the power is off")
}

impl State {
    /// Counts an operation; the power may go off at it.
    fn count(&mut self) -> io::Result<(u64, bool)> {
        if self.off {
            return Err(off());
        }
        let number = self.operations;
        self.operations += 1;
        self.off = self.faults.cut_at == Some(number);
        Ok((number, self.off))
    }

    fn traced(
        &mut self,
        number: Option<u64>,
        verb: &'static str,
        name: &str,
        outcome: &'static str,
    ) {
        let name = name.into();
        self.trace.operation(Operation { number, verb, name, offset: 0, len: 0, outcome });
    }

    /// Changes names, unless the power goes off before that, or the disk will not.
    fn change_names(
        &mut self,
        verb: &'static str,
        name: &str,
        change: impl FnOnce(&mut Self),
    ) -> io::Result<()> {
        let (number, cut) = self.count()?;
        let fails = !cut && self.dice.often(self.faults.weather.name_fails);
        let outcome = match (cut, fails) {
            (true, _) => "the power goes off",
            (false, true) => "fails",
            (false, false) => "",
        };
        self.traced(Some(number), verb, name, outcome);
        if fails {
            self.injuries.names_failed += 1;
            return Err(io::Error::other("the directory cannot be changed"));
        }
        change(self);
        if cut { Err(off()) } else { Ok(()) }
    }

    fn file(&self, name: &str) -> io::Result<usize> {
        self.names.seen.get(name).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn put(&mut self, name: &str, contents: Contents) {
        let file = self.files.len();
        self.files.push(contents);
        self.names.seen.insert(name.to_owned(), file);
        self.names.durable.insert(name.to_owned(), file);
    }

    fn used(&self) -> u64 {
        self.names.seen.values().map(|file| self.files[*file].cache.len() as u64).sum()
    }
}

impl SimDisk {
    /// An empty directory that works.
    pub fn new() -> Self {
        Self::default()
    }

    fn with(state: State) -> Self {
        Self(Arc::new(Shared { state: Mutex::new(state), moved: Condvar::new() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`SimDisk::state`], for those who change something: they wait at the gate.
    fn state_to_change(&self) -> MutexGuard<'_, State> {
        let mut state = self.state();
        if state.gate.closed {
            state.gate.waiting += 1;
            self.0.moved.notify_all();
            while state.gate.closed {
                state = self.0.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            state.gate.waiting -= 1;
        }
        state
    }

    /// Says what goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        let mut state = self.state();
        if faults.weather.seed != state.faults.weather.seed {
            state.dice = Dice::new(faults.weather.seed);
        }
        state.faults = faults;
    }

    /// What goes wrong at present.
    pub fn faults(&self) -> Faults {
        self.state().faults.clone()
    }

    /// How many operations there were.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// What has gone wrong so far.
    pub fn injuries(&self) -> Injuries {
        self.state().injuries
    }

    /// The most bytes that somebody wanted to read at once: whoever believes a length that lies wants
    /// very many.
    pub fn widest_read_bytes(&self) -> usize {
        self.state().widest_read
    }

    /// Whether the power has gone off.
    pub fn is_off(&self) -> bool {
        self.state().off
    }

    /// Puts a remark between the operations of the trace.
    pub fn note(&self, what: impl Into<String>) {
        self.state().trace.note(what.into());
    }

    /// The last 50 operations, a line each, and what was noted between them.
    pub fn trace(&self) -> String {
        self.state().trace.to_string()
    }

    /// A checksum of all operations and notes so far: two runs that did the same have the same.
    pub fn digest(&self) -> u32 {
        self.state().trace.digest()
    }

    /// From now on whoever changes something waits for [`SimDisk::release`]. So a simulation puts
    /// work in a queue while the worker is busy, in the same order each time.
    pub fn hold(&self) {
        let mut state = self.state();
        state.gate.closed = true;
        state.gate.rung = false;
    }

    /// Lets go on who waits.
    pub fn release(&self) {
        self.state().gate.closed = false;
        self.0.moved.notify_all();
    }

    /// Waits until somebody stands at the gate, or the bell is rung.
    pub fn wait_until_held(&self) {
        let mut state = self.state();
        while state.gate.waiting == 0 && !state.gate.rung {
            state = self.0.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether somebody stands at the gate.
    pub fn is_held(&self) -> bool {
        self.state().gate.waiting > 0
    }

    /// Wakes who waits in [`SimDisk::wait_until_held`].
    pub fn ring(&self) {
        self.state().gate.rung = true;
        self.0.moved.notify_all();
    }

    /// The disk as it is found when the power comes back: synced data, and what `leaves` says of
    /// the rest.
    pub fn after_power_cut(&self, leaves: Leaves) -> SimDisk {
        let state = self.state();
        let mut dice = Dice::new(match leaves {
            Leaves::Nothing | Leaves::Everything => 0,
            Leaves::Some(seed) | Leaves::Prefix(seed) => seed,
        });
        let entries = state.names.after_power_cut(leaves, &mut dice);
        let files =
            state.files.iter().map(|file| file.after_power_cut(leaves, &mut dice)).collect();
        // What was lost may still be somewhere, and come back.
        let mut ghosts = state.ghosts.clone();
        for (file, contents) in state.files.iter().enumerate() {
            for write in contents.unsynced.iter().filter(|w| w.bytes.len() <= REMEMBERED_BYTES) {
                ghosts.push_back((file, write.offset, write.bytes.clone()));
            }
        }
        while ghosts.len() > KEPT_GHOSTS {
            ghosts.pop_front();
        }
        let mut trace = state.trace.clone();
        trace.note(format!("the power was off; it left {leaves:?}"));
        Self::with(State {
            files,
            names: Names::durable(entries),
            injuries: state.injuries,
            older: state.older.clone(),
            ghosts,
            trace,
            ..State::default()
        })
    }

    /// The disk as it is found after the process alone was killed: all that was written is there,
    /// durable or not.
    pub fn after_kill(&self) -> SimDisk {
        let state = self.state();
        let mut trace = state.trace.clone();
        trace.note("the process was killed".to_owned());
        Self::with(State {
            files: state.files.clone(),
            names: state.names.clone(),
            injuries: state.injuries,
            older: state.older.clone(),
            ghosts: state.ghosts.clone(),
            trace,
            ..State::default()
        })
    }

    /// The bytes of a file, as readers see them.
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state();
        state.names.seen.get(name).map(|file| state.files[*file].cache.to_vec())
    }

    /// Puts a file there, durably: damage, or a directory made by hand.
    pub fn put(&self, name: &str, bytes: Vec<u8>) {
        self.state().put(name, Contents::new(name, bytes));
    }

    /// Changes bytes of a file, durably, behind the back of whoever has it open.
    pub fn scribble(&self, name: &str, offset: u64, bytes: &[u8]) {
        let mut state = self.state();
        if let Some(file) = state.names.seen.get(name).copied() {
            overwrite(&mut state.files[file].cache, offset, bytes);
            overwrite(&mut state.files[file].durable, offset, bytes);
        }
    }

    /// Takes a file away, durably.
    pub fn lose(&self, name: &str) {
        let mut state = self.state();
        state.names.seen.remove(name);
        state.names.durable.remove(name);
    }

    /// The names there, in order.
    pub fn names(&self) -> Vec<String> {
        self.state().names.seen.keys().cloned().collect()
    }
}

impl Disk for SimDisk {
    fn make_dir(&self) -> io::Result<()> {
        if self.is_off() { Err(off()) } else { Ok(()) }
    }

    fn lock(&self) -> io::Result<Option<DiskLock>> {
        let mut state = self.state();
        if state.off {
            return Err(off());
        }
        if std::mem::replace(&mut state.locked, true) {
            return Ok(None);
        }
        Ok(Some(Box::new(SimLock(self.clone()))))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        if self.is_off() { Err(off()) } else { Ok(self.names()) }
    }

    fn open(&self, name: &str, _access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.state();
        if state.off {
            return Err(off());
        }
        Ok(Arc::new(SimFile { disk: self.clone(), file: state.file(name)? }))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state_to_change();
        if state.names.seen.contains_key(name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let file = state.files.len();
        state.change_names("create", name, |state| {
            state.files.push(Contents::new(name, Vec::new()));
            state.names.create(name, file);
        })?;
        Ok(Arc::new(SimFile { disk: self.clone(), file }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state_to_change();
        let file = state.file(from)?;
        state.change_names("rename", to, |state| {
            state.files[file].name = to.into();
            state.names.rename(from, to, file);
        })
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state_to_change();
        let file = state.file(from)?;
        if state.names.seen.contains_key(to) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        state.change_names("link", to, |state| state.names.create(to, file))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state_to_change();
        state.file(name)?;
        state.change_names("remove", name, |state| state.names.remove(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.state_to_change();
        let (number, cut) = state.count()?;
        let fails = !cut
            && (state.faults.fail_sync_at == Some(number) || {
                let often = state.faults.weather.sync_fails;
                state.dice.often(often)
            });
        let outcome = match (cut, fails) {
            (true, _) => "the power goes off",
            (false, true) => "fails",
            (false, false) => "",
        };
        state.traced(Some(number), "sync", "the directory", outcome);
        match (cut, fails) {
            (true, _) => Err(off()),
            (false, true) => {
                state.injuries.syncs_failed += 1;
                Err(io::Error::other("the sync failed"))
            }
            (false, false) => {
                state.names.sync();
                Ok(())
            }
        }
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let state = self.state();
        Ok(state.faults.capacity_bytes.map_or(u64::MAX, |all| all.saturating_sub(state.used())))
    }
}

struct SimLock(SimDisk);

impl Drop for SimLock {
    fn drop(&mut self) {
        self.0.state().locked = false;
    }
}
