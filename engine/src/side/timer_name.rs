//! The name of a timer, hashed once: it stands in half a dozen tables, which grow to a million, and each
//! would hash its text again whenever it is asked and whenever it grows.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};
use std::sync::{Arc, LazyLock};

/// Customers have a part in names: nobody outside knows what they are hashed with.
static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// The name of a timer. Clones are the same text.
#[derive(Clone)]
pub(crate) struct TimerName {
    hash: u64,
    text: Arc<str>,
}

/// Something for each timer.
pub(crate) type ByTimer<T> = HashMap<TimerName, T, BuildHasherDefault<AsItIs>>;
/// Some timers.
pub(crate) type TimerNames = HashSet<TimerName, BuildHasherDefault<AsItIs>>;

impl<T: AsRef<str> + Into<Arc<str>>> From<T> for TimerName {
    fn from(text: T) -> Self {
        Self { hash: KEY.hash_one(text.as_ref()), text: text.into() }
    }
}

impl std::ops::Deref for TimerName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl std::fmt::Debug for TimerName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.text.fmt(f)
    }
}

impl PartialEq for TimerName {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.text == other.text
    }
}

impl Eq for TimerName {}

impl PartialOrd for TimerName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for TimerName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}

impl Hash for TimerName {
    fn hash<H: Hasher>(&self, to: &mut H) {
        to.write_u64(self.hash);
    }
}

/// For what brings its hash along.
#[derive(Default)]
pub(crate) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_is_the_same_name_and_another_is_another() {
        let names: TimerNames = (0..1_000).map(|n| format!("pool:{n}").into()).collect();
        assert_eq!(names.len(), 1_000);
        assert!((0..1_000).all(|n| names.contains(&format!("pool:{n}").into())));
        assert!(!names.contains(&"pool:1000".into()));
        assert!(TimerName::from("pool:10") < TimerName::from("pool:2"), "in the order of texts");
    }
}
