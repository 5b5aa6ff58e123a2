//! A queue with a size: when it is full the oldest goes. For telemetry, of which the newest is worth most.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// A queue that drops the oldest.
pub(crate) struct DropOldest<T> {
    inner: Mutex<Inner<T>>,
    filled: Notify,
    most: usize,
    most_bytes: usize,
}

struct Inner<T> {
    items: VecDeque<(T, usize)>,
    bytes: usize,
}

impl<T> DropOldest<T> {
    /// A queue of at most `most` items and `most_bytes` bytes.
    pub(crate) fn new(most: usize, most_bytes: usize) -> Self {
        let inner = Mutex::new(Inner { items: VecDeque::new(), bytes: 0 });
        Self { inner, filled: Notify::new(), most, most_bytes }
    }

    /// Puts an item of `bytes` bytes at the end; says how many of the oldest had to go.
    pub(crate) fn push(&self, item: T, bytes: usize) -> u64 {
        let mut dropped = 0;
        {
            let mut inner = self.lock();
            inner.items.push_back((item, bytes));
            inner.bytes += bytes;
            while inner.items.len() > self.most || inner.bytes > self.most_bytes {
                let Some((_, bytes)) = inner.items.pop_front() else { break };
                inner.bytes -= bytes;
                dropped += 1;
            }
        }
        self.filled.notify_one();
        dropped
    }

    /// Takes up to `most` items; none when there are none.
    pub(crate) fn take(&self, most: usize) -> Vec<T> {
        let mut inner = self.lock();
        let count = most.min(inner.items.len());
        let taken: Vec<(T, usize)> = inner.items.drain(..count).collect();
        inner.bytes -= taken.iter().map(|(_, bytes)| bytes).sum::<usize>();
        taken.into_iter().map(|(item, _)| item).collect()
    }

    /// Returns when there may be something to take.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_when_there_are_too_many_or_too_much() {
        let queue = DropOldest::new(3, 100);
        assert_eq!((1..=5).map(|item| queue.push(item, 10)).sum::<u64>(), 2);
        assert_eq!(queue.take(2), [3, 4]);
        assert_eq!(queue.push(6, 95), 1, "the bytes count too");
        assert_eq!(queue.take(9), [6]);
        assert_eq!(queue.push(7, 200), 1, "what is too large alone does not stay");
        assert!(queue.take(9).is_empty());
        assert_eq!(queue.push(8, 100), 0);
    }
}
