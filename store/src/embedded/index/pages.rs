//! Pages of indexes: where they come from, how they are checked, and the one cache that all segments
//! share. A page is checked when it is read from the disk, never trusted before.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use super::super::files::{Files, Part};
use super::super::format::u32_at;
use super::super::twins::{Twin, Twins};
use super::{PAGE_BODY_LEN, PAGE_LEN, page_hash};

/// An index that cannot be used: it is to be made anew from its segment.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Broken(pub(crate) String);

impl Broken {
    pub(super) fn nonsense() -> Self {
        Self("its content makes no sense".to_owned())
    }
}

/// Where an index is.
#[derive(Clone)]
pub(crate) enum Source {
    /// In its file; the number names it in the cache, and is never given twice.
    File(u64),
    /// In memory: it was made here and could not, or not yet, be written.
    Memory(Bytes),
}

/// The pages that were read last, of all indexes together.
pub(crate) struct Pages {
    cache: Mutex<Cache>,
    twins: Twins,
}

impl Pages {
    /// A cache of at most so many bytes.
    pub(crate) fn new(bytes: usize, twins: Twins) -> Self {
        let limit = bytes / PAGE_LEN;
        Self { cache: Mutex::new(Cache { limit, ..Cache::default() }), twins }
    }

    /// One page of an index, without its checksum.
    pub(super) fn get(
        &self,
        files: &Files,
        segment: u64,
        source: &Source,
        seed: u32,
        page: u32,
    ) -> Result<Bytes, Broken> {
        let name = match source {
            Source::File(name) => *name,
            Source::Memory(bytes) => {
                let at = page as usize * PAGE_LEN;
                let inside = at + PAGE_LEN <= bytes.len();
                return inside
                    .then(|| bytes.slice(at..at + PAGE_BODY_LEN))
                    .ok_or_else(Broken::nonsense);
            }
        };
        let cache = || self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = cache().get((name, page)) {
            return Ok(found);
        }
        let mut read = self.read(files, segment, seed, page, 1)?;
        let body = read.swap_remove(0);
        cache().put((name, page), &body);
        Ok(body)
    }

    /// Some pages in a row, straight from the file.
    pub(super) fn read(
        &self,
        files: &Files,
        segment: u64,
        seed: u32,
        first: u32,
        count: u32,
    ) -> Result<Vec<Bytes>, Broken> {
        let io = |e: std::io::Error| Broken(format!("it cannot be read: {e}"));
        let len = count as usize * PAGE_LEN;
        let at = u64::from(first) * PAGE_LEN as u64;
        let bytes: Bytes = files.read(segment, Part::Index, at, len).map_err(io)?.into();
        if bytes.len() != len {
            return Err(Broken("its file is too short".to_owned()));
        }
        let check = |i: u32| {
            let page = bytes.slice(i as usize * PAGE_LEN..(i as usize + 1) * PAGE_LEN);
            let hash = page_hash(seed, first + i, &page[..PAGE_BODY_LEN]);
            let whole = hash == u32_at(&page, PAGE_BODY_LEN);
            if !whole && !self.twins.on(Twin::IndexChecksumIgnored) {
                return Err(Broken(format!("the checksum of its page {} is wrong", first + i)));
            }
            Ok(page.slice(..PAGE_BODY_LEN))
        };
        (0..count).map(check).collect()
    }
}

type Key = (u64, u32);

/// A clock: a page that was asked for since the hand last passed is passed over once.
#[derive(Default)]
struct Cache {
    limit: usize,
    places: HashMap<Key, usize>,
    held: Vec<Held>,
    hand: usize,
}

struct Held {
    key: Key,
    page: Bytes,
    used: bool,
}

impl Cache {
    fn get(&mut self, key: Key) -> Option<Bytes> {
        let held = &mut self.held[*self.places.get(&key)?];
        held.used = true;
        Some(held.page.clone())
    }

    fn put(&mut self, key: Key, page: &Bytes) {
        if self.limit == 0 || self.places.contains_key(&key) {
            return;
        }
        // Not the slice of a longer read, which would keep all of that.
        let new = Held { key, page: Bytes::copy_from_slice(page), used: false };
        if self.held.len() < self.limit {
            self.places.insert(key, self.held.len());
            self.held.push(new);
            return;
        }
        while std::mem::take(&mut self.held[self.hand].used) {
            self.hand = (self.hand + 1) % self.limit;
        }
        let old = std::mem::replace(&mut self.held[self.hand], new);
        self.places.remove(&old.key);
        self.places.insert(key, self.hand);
        self.hand = (self.hand + 1) % self.limit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_keeps_to_its_limit_and_to_what_is_asked_for() {
        let mut cache = Cache { limit: 4, ..Cache::default() };
        let page = |n: u32| Bytes::from(vec![n as u8; 4]);
        for n in 0..200 {
            cache.put((1, n), &page(n));
            assert_eq!(cache.get((1, 0)), Some(page(0)), "asked for each time");
            assert_eq!(
                (cache.held.len(), cache.places.len()),
                (4.min(n as usize + 1), cache.held.len())
            );
        }
        assert_eq!(cache.get((1, 199)), Some(page(199)));
        assert_eq!(cache.get((2, 0)), None);
    }
}
