//! The disk's lying twin: a directory in memory that forgets what was not synced, tears writes at
//! sector borders, fails when told to and fills up. It is what the log's crash tests run on.
//!
//! ```text
//!   write ──► cache (what readers see) ──sync──► durable (what a power cut leaves)
//!               └── a power cut keeps any subset of its sectors
//! ```
//!
//! Every operation that changes something has a number, from 0 on; faults name such a number.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::disk::{Access, Disk, DiskFile, DiskLock};
use super::format::SECTOR;

/// A directory in memory. Clones are the same directory.
#[derive(Clone, Default)]
pub struct SimDisk(Arc<Mutex<State>>);

/// What goes wrong, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The power goes off at this operation: a write may have reached the disk in part.
    pub cut_at: Option<u64>,
    /// This operation fails with an I/O error, if it is a write; half of it is done.
    pub fail_write_at: Option<u64>,
    /// This operation fails with an I/O error, if it is a sync; what was not durable never will be,
    /// although readers still see it.
    pub fail_sync_at: Option<u64>,
    /// No more than so many bytes fit on the disk.
    pub capacity_bytes: Option<u64>,
    /// Writes into files fail with "disk full", even where space was set aside.
    pub full: bool,
}

/// What a power cut leaves of that which was never synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaves {
    /// Nothing.
    Nothing,
    /// Everything.
    Everything,
    /// Any subset of sectors and any prefix of changes to names, as the seed says.
    Some(u64),
    /// As `Some`, but a write is cut at any byte and nothing behind that is kept.
    Prefix(u64),
}

#[derive(Default)]
struct State {
    files: Vec<Contents>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    name_changes: Vec<NameChange>,
    operations: u64,
    faults: Faults,
    off: bool,
    locked: bool,
}

#[derive(Clone, Default)]
struct Contents {
    cache: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<(u64, Vec<u8>)>,
}

#[derive(Clone)]
enum NameChange {
    Create(String, usize),
    Rename(String, String),
    Remove(String),
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Create(name, file) => {
                names.insert(name.clone(), *file);
            }
            Self::Rename(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            Self::Remove(name) => {
                names.remove(name);
            }
        }
    }
}

fn off() -> io::Error {
    io::Error::other("the power is off")
}

fn overwrite(file: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[offset..end].copy_from_slice(bytes);
}

/// A small generator (splitmix64): the same seed gives the same disk.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides.max(1)
    }
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

    fn change_name(&mut self, change: NameChange) -> io::Result<()> {
        let (_, cut) = self.count()?;
        change.apply(&mut self.names);
        self.name_changes.push(change);
        if cut { Err(off()) } else { Ok(()) }
    }

    fn file(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn used(&self) -> u64 {
        self.names.values().map(|file| self.files[*file].cache.len() as u64).sum()
    }
}

impl SimDisk {
    /// An empty directory that works.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.state().faults = faults;
    }

    /// How many operations there were.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Whether the power has gone off.
    pub fn is_off(&self) -> bool {
        self.state().off
    }

    /// The disk as it is found when the power comes back: synced data, and what `leaves` says of
    /// the rest.
    pub fn after_power_cut(&self, leaves: Leaves) -> SimDisk {
        let state = self.state();
        let mut dice = match leaves {
            Leaves::Nothing | Leaves::Everything => Dice(0),
            Leaves::Some(seed) | Leaves::Prefix(seed) => Dice(seed),
        };
        let kept_changes = match leaves {
            Leaves::Nothing => 0,
            Leaves::Everything => state.name_changes.len(),
            Leaves::Some(_) | Leaves::Prefix(_) => {
                dice.roll(state.name_changes.len() as u64 + 1) as usize
            }
        };
        let mut names = state.durable_names.clone();
        for change in &state.name_changes[..kept_changes] {
            change.apply(&mut names);
        }
        let survive = |file: &Contents, dice: &mut Dice| {
            let mut durable = file.durable.clone();
            for (offset, bytes) in &file.unsynced {
                keep(&mut durable, *offset, bytes, leaves, dice);
            }
            Contents { cache: durable.clone(), durable, unsynced: Vec::new() }
        };
        let files = state.files.iter().map(|file| survive(file, &mut dice)).collect();
        SimDisk(Arc::new(Mutex::new(State {
            files,
            durable_names: names.clone(),
            names,
            ..State::default()
        })))
    }

    /// The disk as it is found after the process alone was killed: all that was written is there,
    /// durable or not.
    pub fn after_kill(&self) -> SimDisk {
        let state = self.state();
        SimDisk(Arc::new(Mutex::new(State {
            files: state.files.clone(),
            names: state.names.clone(),
            durable_names: state.durable_names.clone(),
            name_changes: state.name_changes.clone(),
            ..State::default()
        })))
    }

    /// The bytes of a file, as readers see them.
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state();
        state.names.get(name).map(|file| state.files[*file].cache.clone())
    }

    /// Puts a file there, durably: damage, or a directory made by hand.
    pub fn put(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.state();
        let contents = Contents { cache: bytes.clone(), durable: bytes, unsynced: Vec::new() };
        let file = state.files.len();
        state.files.push(contents);
        state.names.insert(name.to_owned(), file);
        state.durable_names.insert(name.to_owned(), file);
    }

    /// Changes bytes of a file, durably, behind the back of whoever has it open.
    pub fn scribble(&self, name: &str, offset: u64, bytes: &[u8]) {
        let mut state = self.state();
        if let Some(file) = state.names.get(name).copied() {
            overwrite(&mut state.files[file].cache, offset as usize, bytes);
            overwrite(&mut state.files[file].durable, offset as usize, bytes);
        }
    }

    /// Takes a file away, durably.
    pub fn lose(&self, name: &str) {
        let mut state = self.state();
        state.names.remove(name);
        state.durable_names.remove(name);
    }

    /// The names there, in order.
    pub fn names(&self) -> Vec<String> {
        self.state().names.keys().cloned().collect()
    }
}

/// Lets a part of an unsynced write survive.
fn keep(durable: &mut Vec<u8>, offset: u64, bytes: &[u8], leaves: Leaves, dice: &mut Dice) {
    match leaves {
        Leaves::Nothing => {}
        Leaves::Everything => overwrite(durable, offset as usize, bytes),
        Leaves::Prefix(_) => {
            let len = dice.roll(bytes.len() as u64 + 1) as usize;
            overwrite(durable, offset as usize, &bytes[..len]);
        }
        Leaves::Some(_) => {
            let (mut at, end) = (offset, offset + bytes.len() as u64);
            while at < end {
                let border = ((at / SECTOR + 1) * SECTOR).min(end);
                if dice.roll(2) == 0 {
                    let piece = &bytes[(at - offset) as usize..(border - offset) as usize];
                    overwrite(durable, at as usize, piece);
                }
                at = border;
            }
        }
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
        let mut state = self.state();
        if state.names.contains_key(name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let file = state.files.len();
        state.files.push(Contents::default());
        state.change_name(NameChange::Create(name.to_owned(), file))?;
        Ok(Arc::new(SimFile { disk: self.clone(), file }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.file(from)?;
        state.change_name(NameChange::Rename(from.to_owned(), to.to_owned()))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.file(name)?;
        state.change_name(NameChange::Remove(name.to_owned()))
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.state();
        let (number, cut) = state.count()?;
        if cut {
            return Err(off());
        }
        if state.faults.fail_sync_at == Some(number) {
            return Err(io::Error::other("the sync failed"));
        }
        state.name_changes.clear();
        state.durable_names = state.names.clone();
        Ok(())
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

struct SimFile {
    disk: SimDisk,
    file: usize,
}

impl DiskFile for SimFile {
    fn len_bytes(&self) -> io::Result<u64> {
        Ok(self.disk.state().files[self.file].cache.len() as u64)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.state();
        if state.off {
            return Err(off());
        }
        let cache = &state.files[self.file].cache;
        let at = (offset as usize).min(cache.len());
        let len = buf.len().min(cache.len() - at);
        buf[..len].copy_from_slice(&cache[at..at + len]);
        Ok(len)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let (number, cut) = state.count()?;
        let fails = state.faults.fail_write_at == Some(number);
        let len = state.files[self.file].cache.len() as u64;
        let grows = (offset + buf.len() as u64).saturating_sub(len);
        let room = state.faults.capacity_bytes.is_none_or(|all| state.used() + grows <= all);
        let full = state.faults.full || (grows > 0 && !room);
        let part = if fails || full { &buf[..buf.len() / 2] } else { buf };
        if !full || grows == 0 {
            let contents = &mut state.files[self.file];
            overwrite(&mut contents.cache, offset as usize, part);
            contents.unsynced.push((offset, part.to_vec()));
        }
        match (cut, fails, full) {
            (true, ..) => Err(off()),
            (_, true, _) => Err(io::Error::other("the write failed")),
            (.., true) => Err(ErrorKind::StorageFull.into()),
            (false, false, false) => Ok(()),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let (number, cut) = state.count()?;
        if cut {
            return Err(off());
        }
        let fails = state.faults.fail_sync_at == Some(number);
        let contents = &mut state.files[self.file];
        let unsynced = std::mem::take(&mut contents.unsynced);
        if fails {
            return Err(io::Error::other("the sync failed"));
        }
        for (offset, bytes) in unsynced {
            overwrite(&mut contents.durable, offset as usize, &bytes);
        }
        Ok(())
    }
}
