//! An open file of the simulated disk.

use std::io::{self, ErrorKind};

use super::contents::{Contents, Fate, Write, lengthen, overwrite};
use super::trace::Operation;
use super::{KEPT_SECTORS, REMEMBERED_BYTES, SimDisk, State, off};
use crate::embedded::disk::DiskFile;
use crate::embedded::format::SECTOR;

pub(super) struct SimFile {
    pub(super) disk: SimDisk,
    pub(super) file: usize,
}

/// What becomes of a write.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fortune {
    Done,
    /// The power goes off while it is under way.
    Cut,
    /// It fails after so many bytes.
    Fails(usize, ErrorKind),
    /// There is no room; so many bytes went.
    Full(usize),
}

impl Fortune {
    fn tell(self) -> (io::Result<()>, &'static str) {
        match self {
            Self::Done => (Ok(()), ""),
            Self::Cut => (Err(off()), "the power goes off"),
            Self::Fails(_, ErrorKind::Interrupted) => {
                (Err(ErrorKind::Interrupted.into()), "interrupted")
            }
            Self::Fails(..) => (Err(io::Error::other("the write failed")), "fails"),
            Self::Full(_) => (Err(ErrorKind::StorageFull.into()), "no room"),
        }
    }
}

impl State {
    fn fortune_of_write(&mut self, number: u64, cut: bool, grows: u64, len: usize) -> Fortune {
        if cut {
            return Fortune::Cut;
        }
        if self.faults.fail_write_at == Some(number) {
            return Fortune::Fails(len / 2, ErrorKind::Other);
        }
        let room = self.faults.capacity_bytes.is_none_or(|all| self.used() + grows <= all);
        if grows > 0 && (!room || self.faults.full) {
            return Fortune::Full(0);
        }
        if self.faults.full || self.faults.no_room_at == Some(number) {
            return Fortune::Full(len / 2);
        }
        // A disk that is full mostly stays so for a while.
        let often = self.faults.weather.write_finds_no_room;
        if often > 0 && self.tight && self.dice.roll(2) == 0 || self.dice.often(often) {
            self.tight = true;
            // All but the last byte may have gone, never all: then there was room.
            return Fortune::Full(self.dice.roll(len as u64) as usize);
        }
        self.tight = false;
        if self.dice.often(self.faults.weather.write_fails) {
            let kind =
                if self.dice.roll(4) == 0 { ErrorKind::Interrupted } else { ErrorKind::Other };
            let done = match self.dice.roll(3) {
                0 => 0,
                1 => self.dice.roll(len as u64 + 1) as usize,
                _ => len,
            };
            return Fortune::Fails(done, kind);
        }
        Fortune::Done
    }

    /// Where a write that goes through ends up.
    fn fate(&mut self, file: usize, len: usize) -> Fate {
        let (lost, astray) =
            (self.faults.weather.write_is_lost, self.faults.weather.write_goes_astray);
        if self.dice.often(lost) {
            self.injuries.writes_betrayed += 1;
            return Fate::Lost;
        }
        if len > REMEMBERED_BYTES || !self.dice.often(astray) {
            return Fate::Arrives;
        }
        self.injuries.writes_betrayed += 1;
        let names: Vec<usize> = self.names.seen.values().copied().collect();
        let other = match self.dice.roll(2) {
            0 => file,
            _ => names.get(self.dice.roll(names.len() as u64) as usize).copied().unwrap_or(file),
        };
        let sectors = self.files[other].durable.len() as u64 / SECTOR;
        Fate::Astray { file: other, sector: self.dice.roll(sectors) }
    }

    /// Makes one write durable, as far as its fate lets it.
    fn settle(&mut self, file: usize, write: Write) {
        let Write { offset, bytes, fate } = write;
        match fate {
            Fate::Arrives => {
                self.remember(file, offset, &bytes);
                overwrite(&mut self.files[file].durable, offset, &bytes);
                return;
            }
            Fate::Lost => {}
            Fate::Astray { file: other, sector } => {
                // Whole sectors go; they never make the other file longer.
                let from = offset / SECTOR * SECTOR;
                let cache = &self.files[file].cache;
                let to = (offset + bytes.len() as u64).next_multiple_of(SECTOR);
                let to = (to as usize).min(cache.len());
                let mut block = cache[from as usize..to].to_vec();
                let there = &mut self.files[other];
                let at = (sector * SECTOR) as usize;
                block.truncate(there.durable.len().saturating_sub(at));
                overwrite(&mut there.durable, at as u64, &block);
                if at + block.len() <= there.cache.len() {
                    overwrite(&mut there.cache, at as u64, &block);
                }
            }
        }
        // The length is written elsewhere. Some day the cache forgets its pages, and then readers
        // see what the disk has.
        let end = offset as usize + bytes.len();
        let forgets = self.dice.roll(2) == 0;
        let Contents { cache, durable, .. } = &mut self.files[file];
        lengthen(durable, end);
        if forgets {
            overwrite(cache, offset, &durable[offset as usize..end]);
        }
    }

    /// Remembers what sectors held, so that they can come back.
    fn remember(&mut self, file: usize, offset: u64, bytes: &[u8]) {
        if bytes.len() > REMEMBERED_BYTES {
            return;
        }
        let mut at = offset / SECTOR * SECTOR;
        let durable = &self.files[file].durable;
        while at < offset + bytes.len() as u64 {
            let end = ((at + SECTOR) as usize).min(durable.len());
            if let Some(older) = durable.get(at as usize..end) {
                self.older.push_back((file, at, older.to_vec()));
                if self.older.len() > KEPT_SECTORS {
                    self.older.pop_front();
                }
            }
            at += SECTOR;
        }
    }

    fn traced_at(
        &mut self,
        number: Option<u64>,
        verb: &'static str,
        file: usize,
        (offset, len): (u64, usize),
        outcome: &'static str,
    ) {
        let (name, len) = (self.files[file].name.clone(), len as u64);
        self.trace.operation(Operation { number, verb, name, offset, len, outcome });
    }
}

impl DiskFile for SimFile {
    fn len_bytes(&self) -> io::Result<u64> {
        let state = self.disk.state();
        if state.off { Err(off()) } else { Ok(state.files[self.file].cache.len() as u64) }
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.state();
        if state.off {
            return Err(off());
        }
        state.widest_read = state.widest_read.max(buf.len());
        let weather = state.faults.weather.clone();
        let cache = &state.files[self.file].cache;
        let at = (offset as usize).min(cache.len());
        let mut len = buf.len().min(cache.len() - at);
        buf[..len].copy_from_slice(&cache[at..at + len]);
        if state.dice.often(weather.read_fails) {
            let interrupted = state.dice.roll(3) == 0;
            let outcome = if interrupted { "interrupted" } else { "fails" };
            state.traced_at(None, "read", self.file, (offset, buf.len()), outcome);
            if interrupted {
                return Err(ErrorKind::Interrupted.into());
            }
            state.injuries.reads_failed += 1;
            return Err(io::Error::other("the read failed"));
        }
        if len > 1 && state.dice.often(weather.read_is_short) {
            len = 1 + state.dice.roll(len as u64 - 1) as usize;
        }
        if len > 0 && state.dice.often(weather.read_flips) {
            let (byte, bit) = (state.dice.roll(len as u64) as usize, state.dice.roll(8));
            buf[byte] ^= 1 << bit;
            state.injuries.reads_flipped += 1;
            let place = (offset + byte as u64, 1);
            state.traced_at(None, "read", self.file, place, "returns a wrong bit");
        }
        Ok(len)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state_to_change();
        let (number, cut) = state.count()?;
        let len = state.files[self.file].cache.len() as u64;
        let grows = (offset + buf.len() as u64).saturating_sub(len);
        let fortune = state.fortune_of_write(number, cut, grows, buf.len());
        let (part, fate) = match fortune {
            Fortune::Done => (buf, state.fate(self.file, buf.len())),
            Fortune::Cut => (buf, Fate::Arrives),
            Fortune::Fails(done, _) | Fortune::Full(done) => (&buf[..done], Fate::Arrives),
        };
        let (told, mut outcome) = fortune.tell();
        match fortune {
            Fortune::Done | Fortune::Cut => {}
            Fortune::Fails(..) => state.injuries.writes_failed += 1,
            Fortune::Full(_) => state.injuries.writes_without_room += 1,
        }
        match fate {
            Fate::Arrives => {}
            Fate::Lost => outcome = "will be lost",
            Fate::Astray { .. } => outcome = "will go astray",
        }
        state.traced_at(Some(number), "write", self.file, (offset, buf.len()), outcome);
        if !part.is_empty() {
            let contents = &mut state.files[self.file];
            overwrite(&mut contents.cache, offset, part);
            contents.unsynced.push(Write { offset, bytes: part.to_vec(), fate });
        }
        told
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state_to_change();
        let (number, cut) = state.count()?;
        if cut {
            state.traced_at(Some(number), "sync", self.file, (0, 0), "the power goes off");
            return Err(off());
        }
        let often = state.faults.weather.sync_fails;
        let fails = state.faults.fail_sync_at == Some(number) || state.dice.often(often);
        let outcome = if fails { "fails" } else { "" };
        state.traced_at(Some(number), "sync", self.file, (0, 0), outcome);
        let unsynced = std::mem::take(&mut state.files[self.file].unsynced);
        if fails {
            state.injuries.syncs_failed += 1;
            // By chance some of it has reached the disk before that.
            for write in unsynced {
                if often > 0 && state.dice.roll(3) == 0 {
                    state.settle(self.file, write);
                }
            }
            return Err(io::Error::other("the sync failed"));
        }
        for write in unsynced {
            state.settle(self.file, write);
        }
        Ok(())
    }
}
