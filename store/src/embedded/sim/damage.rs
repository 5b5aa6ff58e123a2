//! Damage to a simulated disk at rest: bytes change, blocks come back or stand where others should,
//! files go. All of it is durable, and behind the back of whoever has the disk open.

use std::sync::Arc;

use super::SimDisk;
#[cfg(test)]
use super::contents::Contents;
use super::contents::overwrite;

impl SimDisk {
    /// Flips one bit. False where the file is too short, or not there.
    pub fn flip(&self, name: &str, offset: u64, bit: u8) -> bool {
        match self.contents(name).and_then(|bytes| bytes.get(offset as usize).copied()) {
            Some(byte) => {
                self.scribble(name, offset, &[byte ^ (1 << (bit % 8))]);
                true
            }
            None => false,
        }
    }

    /// As [`SimDisk::put`], of bytes that many disks share.
    #[cfg(test)]
    pub(crate) fn put_shared(&self, name: &str, bytes: &Arc<Vec<u8>>) {
        self.state().put(name, Contents::shared(name, Arc::clone(bytes)));
    }

    /// Cuts a file short.
    pub fn truncate(&self, name: &str, len_bytes: u64) {
        let mut state = self.state();
        if let Some(file) = state.names.seen.get(name).copied() {
            Arc::make_mut(&mut state.files[file].cache).truncate(len_bytes as usize);
            Arc::make_mut(&mut state.files[file].durable).truncate(len_bytes as usize);
        }
    }

    /// Copies bytes of one file over those of another place, as far as both reach.
    pub fn copy_over(&self, (from, from_at): (&str, u64), (to, to_at): (&str, u64), len: u64) {
        let Some(source) = self.contents(from) else { return };
        let room = self.contents(to).map_or(0, |bytes| bytes.len() as u64).saturating_sub(to_at);
        let start = (from_at as usize).min(source.len());
        let end = ((from_at + len.min(room)) as usize).min(source.len());
        self.scribble(to, to_at, &source[start..end]);
    }

    /// Brings an older content of a sector back, the n-th of those that are remembered (counted round);
    /// gives the file's name and the offset.
    pub fn bring_back(&self, n: u64) -> Option<(String, u64)> {
        let older = self.state().older.clone();
        self.put_back(older.get((n % older.len().max(1) as u64) as usize)?)
    }

    /// Lets a write arrive after all that a power cut took, likewise.
    pub fn bring_back_lost(&self, n: u64) -> Option<(String, u64)> {
        let ghosts = self.state().ghosts.clone();
        self.put_back(ghosts.get((n % ghosts.len().max(1) as u64) as usize)?)
    }

    fn put_back(&self, (file, offset, bytes): &(usize, u64, Vec<u8>)) -> Option<(String, u64)> {
        let mut state = self.state();
        let name = state.names.seen.iter().find(|(_, f)| *f == file)?.0.clone();
        let there = &mut state.files[*file];
        let fits = *offset as usize + bytes.len() <= there.durable.len();
        if !fits || there.durable[*offset as usize..][..bytes.len()] == **bytes {
            return None;
        }
        overwrite(&mut there.durable, *offset, bytes);
        overwrite(&mut there.cache, *offset, bytes);
        Some((name, *offset))
    }
}
