//! One simulated file: what readers see, what is durable, and what lies between.

use std::sync::Arc;

use super::dice::Dice;
use super::faults::Leaves;
use crate::embedded::format::SECTOR;

/// Bytes that copies of a disk share until one of them writes.
pub(crate) type Bytes = Arc<Vec<u8>>;

/// The bytes of a file.
#[derive(Clone, Debug)]
pub(crate) struct Contents {
    /// The last name that it had, for the trace.
    pub(crate) name: Arc<str>,
    /// What readers see.
    pub(crate) cache: Bytes,
    /// What a power cut leaves.
    pub(crate) durable: Bytes,
    /// What was written since the last sync, in order.
    pub(crate) unsynced: Vec<Write>,
}

/// A write that is on its way to the disk.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(crate) offset: u64,
    pub(crate) bytes: Vec<u8>,
    pub(crate) fate: Fate,
}

/// Where a write ends up once it is synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Where it should.
    Arrives,
    /// Nowhere: the older content stays.
    Lost,
    /// In this file, this many sectors from its beginning.
    Astray { file: usize, sector: u64 },
}

impl Contents {
    pub(crate) fn new(name: &str, bytes: Vec<u8>) -> Self {
        Self::shared(name, Arc::new(bytes))
    }

    pub(crate) fn shared(name: &str, bytes: Bytes) -> Self {
        Self { name: name.into(), cache: bytes.clone(), durable: bytes, unsynced: Vec::new() }
    }

    /// The file as it is found when the power comes back.
    pub(crate) fn after_power_cut(&self, leaves: Leaves, dice: &mut Dice) -> Self {
        let mut durable = self.durable.clone();
        match leaves {
            Leaves::Nothing => {}
            Leaves::Everything => {
                for Write { offset, bytes, .. } in &self.unsynced {
                    overwrite(&mut durable, *offset, bytes);
                }
            }
            Leaves::Prefix(_) => {
                for Write { offset, bytes, .. } in &self.unsynced {
                    let len = dice.roll(bytes.len() as u64 + 1) as usize;
                    overwrite(&mut durable, *offset, &bytes[..len]);
                }
            }
            Leaves::Some(_) => self.keep_some(&mut durable, dice),
        }
        Self { name: self.name.clone(), cache: durable.clone(), durable, unsynced: Vec::new() }
    }

    /// Lets any subset of sectors survive.
    fn keep_some(&self, durable: &mut Bytes, dice: &mut Dice) {
        if self.unsynced.is_empty() {
            return;
        }
        let writes = self.unsynced.len() as u64;
        let survival = Survival::choose(writes, self.sectors(), dice);
        let last = (self.cache.len() as u64).div_ceil(SECTOR);
        let mut reached = durable.len() as u64;
        for sector in 0..last {
            let (from, to) = (sector * SECTOR, (sector + 1) * SECTOR);
            let touching = |w: &&Write| {
                w.offset < to && w.offset + w.bytes.len() as u64 > from && !w.bytes.is_empty()
            };
            let touched = self.unsynced.iter().filter(touching).count();
            if touched == 0 {
                continue;
            }
            // The sector is left as it was after some of the writes that touched it.
            let kept = survival.kept(sector, touched, self, dice);
            for write in self.unsynced.iter().filter(touching).take(kept) {
                let end = write.offset + write.bytes.len() as u64;
                let (a, b) = (write.offset.max(from), end.min(to));
                let bytes = &write.bytes[(a - write.offset) as usize..(b - write.offset) as usize];
                overwrite(durable, a, bytes);
                reached = reached.max(b);
            }
        }
        // The length may have been written down although the bytes were not.
        if dice.roll(4) == 0 {
            reached = reached.max(self.cache.len() as u64);
        }
        lengthen(durable, reached as usize);
    }

    /// How many sectors its unsynced writes touch, one by one.
    fn sectors(&self) -> u64 {
        self.unsynced
            .iter()
            .map(|w| (w.offset % SECTOR + w.bytes.len() as u64).div_ceil(SECTOR))
            .sum()
    }
}

/// Which sectors of a file come through a power cut.
enum Survival {
    /// Each by itself, so often of eight.
    Each(u64),
    /// All but the n-th that was touched.
    AllBut(u64),
    /// The n-th that was touched.
    Only(u64),
    /// Whole writes, each by itself.
    Writes(Vec<bool>),
    /// Every write before this one, and some of this one.
    Upto(u64),
}

impl Survival {
    fn choose(writes: u64, sectors: u64, dice: &mut Dice) -> Self {
        match dice.roll(7) {
            0 => Self::Each(1),
            1 | 2 => Self::Each(4),
            3 => Self::Each(7),
            4 => {
                let one = dice.roll(sectors);
                if dice.roll(3) == 0 { Self::Only(one) } else { Self::AllBut(one) }
            }
            5 => Self::Writes((0..writes).map(|_| dice.roll(2) == 0).collect()),
            _ => Self::Upto(dice.roll(writes)),
        }
    }

    /// How many of the writes that touch a sector are seen in what is left of it.
    fn kept(&self, sector: u64, touched: usize, contents: &Contents, dice: &mut Dice) -> usize {
        match self {
            Self::Each(eighths) => {
                if dice.roll(8) < *eighths {
                    1 + dice.roll(touched as u64) as usize
                } else {
                    0
                }
            }
            Self::AllBut(one) => touched - usize::from(contents.nth_touched(*one) == Some(sector)),
            Self::Only(one) => {
                if contents.nth_touched(*one) == Some(sector) {
                    touched
                } else {
                    0
                }
            }
            Self::Writes(kept) => {
                let touching = contents.touching(sector);
                touching.iter().rposition(|w| kept[*w]).map_or(0, |at| at + 1)
            }
            Self::Upto(write) => {
                let touching = contents.touching(sector);
                let whole = touching.iter().filter(|w| (**w as u64) < *write).count();
                let torn = touching.contains(&(*write as usize)) && dice.roll(2) == 0;
                whole + usize::from(torn)
            }
        }
    }
}

impl Contents {
    /// The n-th sector that unsynced writes touch.
    fn nth_touched(&self, mut n: u64) -> Option<u64> {
        for write in &self.unsynced {
            let sectors = (write.offset % SECTOR + write.bytes.len() as u64).div_ceil(SECTOR);
            if n < sectors {
                return Some(write.offset / SECTOR + n);
            }
            n -= sectors;
        }
        None
    }

    /// The unsynced writes that touch a sector.
    fn touching(&self, sector: u64) -> Vec<usize> {
        let (from, to) = (sector * SECTOR, (sector + 1) * SECTOR);
        let touches = |w: &Write| {
            w.offset < to && w.offset + w.bytes.len() as u64 > from && !w.bytes.is_empty()
        };
        (0..self.unsynced.len()).filter(|w| touches(&self.unsynced[*w])).collect()
    }
}

/// Writes bytes into a file, which grows with zeros where it must.
pub(crate) fn overwrite(file: &mut Bytes, offset: u64, bytes: &[u8]) {
    let (offset, end) = (offset as usize, offset as usize + bytes.len());
    lengthen(file, end);
    Arc::make_mut(file)[offset..end].copy_from_slice(bytes);
}

/// Makes a file at least so long.
pub(crate) fn lengthen(file: &mut Bytes, len: usize) {
    if file.len() < len {
        Arc::make_mut(file).resize(len, 0);
    }
}
