//! What a disk may hold after a power cut: rebuilt from the record of a run, for any moment of it.
//!
//! * What was written before a sync began that has ended is there.
//! * Of later writes each sector of 512 bytes has seen none, all, or the first few that touch it.
//! * The length of a file is one that it had since its last sync.
//! * Names: what was done before a sync of their directory is there; of the rest the first few
//!   changes, in order (a journal), or any of them (no journal at all).
//!
//! What was told is what had begun to be told: the harshest reading.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use holdfast::synthetic::Told;
use rand::Rng as _;
use rand::rngs::StdRng;

use crate::trace::{Inode, Op, Step, Trace};

const SECTOR: usize = 512;

/// A change of names.
#[derive(Clone, Debug)]
enum Name {
    File(PathBuf, Inode),
    Dir(PathBuf),
    Rename(PathBuf, PathBuf),
    Unlink(PathBuf),
}

impl Name {
    fn directory(&self) -> &Path {
        let (Self::File(path, _) | Self::Dir(path) | Self::Rename(path, _) | Self::Unlink(path)) =
            self;
        path.parent().expect("a directory")
    }
}

/// How much of what is not durable has reached the disk.
#[derive(Clone, Copy, Debug)]
enum Luck {
    Nothing,
    Everything,
    Some(f64),
}

impl Luck {
    fn draw(random: &mut StdRng) -> Self {
        match random.random_range(0..6) {
            0 => Self::Nothing,
            1 => Self::Everything,
            _ => Self::Some(random.random_range(0.02..0.98)),
        }
    }

    /// How many of `count` changes, from the first on.
    fn first(self, count: usize, random: &mut StdRng) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Everything => count,
            Self::Some(chance) if random.random_bool(chance) => random.random_range(0..=count),
            Self::Some(_) => 0,
        }
    }
}

/// A disk after a power cut.
#[derive(Debug)]
pub(crate) struct State {
    /// The line of the record at which it came.
    pub(crate) cut: usize,
    /// What had been told by then.
    pub(crate) told: Told,
    directories: Vec<PathBuf>,
    files: BTreeMap<PathBuf, Arc<Vec<u8>>>,
}

impl State {
    /// Writes it into a directory, which stands for the root of the record.
    pub(crate) fn write(&self, root: &Path, into: &Path) {
        let place = |path: &Path| into.join(path.strip_prefix(root).expect("within the root"));
        for directory in &self.directories {
            std::fs::create_dir_all(place(directory)).expect("a directory");
        }
        for (path, bytes) in &self.files {
            std::fs::write(place(path), &**bytes).expect("a file");
        }
    }
}

/// Moments that are worth a cut: when somebody is told, and when a sync ends.
fn interesting(trace: &Trace) -> Vec<usize> {
    let moment = |step: &Step| match step.op {
        Op::Tell { .. } => Some(step.begin + 1),
        Op::SyncFile { .. } | Op::SyncDir { .. } | Op::Rename { .. } | Op::Unlink { .. } => {
            Some(step.end)
        }
        Op::Write { .. } => Some(step.begin + 1),
        Op::SetLen { .. } | Op::Create { .. } | Op::MakeDir { .. } => None,
    };
    trace.steps.iter().filter_map(moment).filter(|cut| *cut <= trace.lines).collect()
}

/// One of the disks that a power cut during this run may leave.
pub(crate) fn draw(trace: &Trace, root: &Path, random: &mut StdRng) -> State {
    let moments = interesting(trace);
    let cut = match random.random_bool(0.7) {
        true => moments[random.random_range(0..moments.len())],
        false => random.random_range(0..=trace.lines),
    };
    let begun: Vec<&Step> = trace.steps.iter().filter(|step| step.begin < cut).collect();
    let mut told = trace.told_before.clone();
    for step in &begun {
        if let Op::Tell { text } = &step.op {
            told.read(text);
        }
    }
    let luck = Luck::draw(random);
    let (directories, names) = names(trace, root, &begun, cut, luck, random);
    let mut contents: HashMap<Inode, Arc<Vec<u8>>> = HashMap::new();
    let mut files = BTreeMap::new();
    for (path, inode) in names {
        let made = contents
            .entry(inode)
            .or_insert_with(|| Arc::new(content(trace, inode, &begun, cut, luck, random)));
        files.insert(path, Arc::clone(made));
    }
    State { cut, told, directories, files }
}

/// Whether a sync that had ended by `cut` began after `end`.
fn synced(begun: &[&Step], cut: usize, end: usize, of: impl Fn(&Op) -> bool) -> bool {
    begun.iter().any(|sync| of(&sync.op) && sync.begin > end && sync.end < cut)
}

/// The names that are there.
fn names(
    trace: &Trace,
    root: &Path,
    begun: &[&Step],
    cut: usize,
    luck: Luck,
    random: &mut StdRng,
) -> (Vec<PathBuf>, Vec<(PathBuf, Inode)>) {
    let mut changes: Vec<(usize, Name)> = begun
        .iter()
        .filter_map(|step| {
            let name = match &step.op {
                Op::Create { path, inode } => Name::File(path.clone(), *inode),
                Op::MakeDir { path } => Name::Dir(path.clone()),
                Op::Rename { from, to } => Name::Rename(from.clone(), to.clone()),
                Op::Unlink { path } => Name::Unlink(path.clone()),
                Op::Write { .. }
                | Op::SetLen { .. }
                | Op::SyncFile { .. }
                | Op::SyncDir { .. }
                | Op::Tell { .. } => return None,
            };
            Some((step.end, name))
        })
        .collect();
    changes.sort_by_key(|(end, _)| *end);
    let durable = |(end, name): &(usize, Name)| {
        synced(
            begun,
            cut,
            *end,
            |op| matches!(op, Op::SyncDir { path } if path == name.directory()),
        )
    };
    let pending = changes.iter().filter(|change| !durable(change)).count();
    let journal = random.random_bool(0.6);
    let mut left = luck.first(pending, random);
    let mut directories = vec![root.to_owned()];
    let mut files: HashMap<PathBuf, Inode> = HashMap::new();
    for (path, inode, _) in &trace.before {
        files.insert(path.clone(), *inode);
        let above = path.ancestors().skip(1).take_while(|up| *up != root);
        directories.extend(above.map(Into::into));
    }
    // Under which name a file would be, had all changes reached the disk: a rename that did, of a
    // file whose making did not, names the file all the same.
    let mut current: HashMap<PathBuf, Inode> = files.clone();
    for change in &changes {
        let kept = durable(change)
            || match (journal, luck) {
                (true, _) => {
                    let kept = left > 0;
                    left = left.saturating_sub(1);
                    kept
                }
                (false, Luck::Nothing) => false,
                (false, Luck::Everything) => true,
                (false, Luck::Some(chance)) => random.random_bool(chance),
            };
        match &change.1 {
            Name::File(path, inode) => {
                current.insert(path.clone(), *inode);
                if kept {
                    files.insert(path.clone(), *inode);
                }
            }
            Name::Dir(path) if kept => directories.push(path.clone()),
            Name::Dir(_) => {}
            Name::Rename(from, to) => {
                let inode = current.remove(from).expect("a file that was there");
                current.insert(to.clone(), inode);
                if kept {
                    files.remove(from);
                    files.insert(to.clone(), inode);
                }
            }
            Name::Unlink(path) => {
                current.remove(path);
                if kept {
                    files.remove(path);
                }
            }
        }
    }
    directories.retain({
        let all = directories.clone();
        move |directory| {
            directory.ancestors().take_while(|up| *up != root).all(|up| all.iter().any(|d| d == up))
        }
    });
    let there = |path: &PathBuf| directories.iter().any(|d| Some(d.as_path()) == path.parent());
    let files = files.into_iter().filter(|(path, _)| there(path)).collect();
    (directories, files)
}

/// What a file holds.
fn content(
    trace: &Trace,
    inode: Inode,
    begun: &[&Step],
    cut: usize,
    luck: Luck,
    random: &mut StdRng,
) -> Vec<u8> {
    let before = trace.before.iter().find(|(_, one, _)| *one == inode);
    let mut bytes = before.map_or_else(Vec::new, |(.., bytes)| bytes.to_vec());
    let changes: Vec<(&Step, bool)> = begun
        .iter()
        .filter(|step| match &step.op {
            Op::Write { inode: one, .. } | Op::SetLen { inode: one, .. } => *one == inode,
            Op::Create { .. }
            | Op::MakeDir { .. }
            | Op::Rename { .. }
            | Op::Unlink { .. }
            | Op::SyncFile { .. }
            | Op::SyncDir { .. }
            | Op::Tell { .. } => false,
        })
        .map(|step| {
            let of = |op: &Op| matches!(op, Op::SyncFile { inode: one } if *one == inode);
            (*step, synced(begun, cut, step.end, of))
        })
        .collect();
    // Writes of one file do not overtake each other's syncs here: the durable ones come first.
    for (step, _) in changes.iter().filter(|(_, durable)| *durable) {
        apply(&mut bytes, &step.op, None);
    }
    let pending: Vec<&Op> =
        changes.iter().filter(|(_, durable)| !durable).map(|(step, _)| &step.op).collect();
    if pending.is_empty() {
        return bytes;
    }
    let mut lengths = vec![bytes.len()];
    for op in &pending {
        let last = *lengths.last().expect("one");
        lengths.push(match op {
            Op::SetLen { len, .. } => *len as usize,
            Op::Write { offset, bytes, .. } => last.max(*offset as usize + bytes.len()),
            Op::Create { .. }
            | Op::MakeDir { .. }
            | Op::Rename { .. }
            | Op::Unlink { .. }
            | Op::SyncFile { .. }
            | Op::SyncDir { .. }
            | Op::Tell { .. } => unreachable!("only changes of content are pending"),
        });
    }
    let longest = *lengths.iter().max().expect("one");
    let len = match lengths[luck.first(pending.len(), random)] {
        // Half way to the next length: blocks are given one after the other.
        len if random.random_bool(0.3) && len < longest => {
            (len + random.random_range(0..=longest - len)).next_multiple_of(SECTOR).min(longest)
        }
        len => len,
    };
    bytes.resize(longest, 0);
    let mut sectors = Vec::new();
    for op in &pending {
        if let Op::Write { offset, bytes, .. } = op {
            let from = *offset as usize / SECTOR;
            sectors.extend(from..(*offset as usize + bytes.len()).div_ceil(SECTOR));
        }
    }
    sectors.sort_unstable();
    sectors.dedup();
    for sector in sectors {
        for op in &pending[..luck.first(pending.len(), random)] {
            apply(&mut bytes, op, Some(sector));
        }
    }
    bytes.truncate(len);
    bytes
}

/// Does a change, to one sector or to the whole file.
fn apply(bytes: &mut Vec<u8>, op: &Op, sector: Option<usize>) {
    match op {
        Op::Write { offset, bytes: new, .. } => {
            let offset = *offset as usize;
            let (from, to) = match sector {
                None => {
                    bytes.resize(bytes.len().max(offset + new.len()), 0);
                    (offset, offset + new.len())
                }
                Some(sector) => {
                    let within = sector * SECTOR..(sector + 1) * SECTOR;
                    (offset.max(within.start), (offset + new.len()).min(within.end))
                }
            };
            if from < to {
                bytes[from..to].copy_from_slice(&new[from - offset..to - offset]);
            }
        }
        Op::SetLen { len, .. } => match sector {
            None => bytes.resize(*len as usize, 0),
            Some(sector) => {
                let end = ((sector + 1) * SECTOR).min(bytes.len());
                let from = (*len as usize).clamp(sector * SECTOR, end);
                bytes[from..end].fill(0);
            }
        },
        Op::Create { .. }
        | Op::MakeDir { .. }
        | Op::Rename { .. }
        | Op::Unlink { .. }
        | Op::SyncFile { .. }
        | Op::SyncDir { .. }
        | Op::Tell { .. } => unreachable!("only changes of content are applied"),
    }
}
