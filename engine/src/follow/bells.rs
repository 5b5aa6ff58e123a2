//! Bells for those who wait until something happens in a stream: rung by the follower of the log, so
//! whoever recorded it, this node or another.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use holdfast_store::{RecordedEvent, StreamId};
use tokio::sync::Notify;

/// Who waits for which stream.
#[derive(Default)]
pub(crate) struct Bells {
    waiting: Arc<Mutex<Waiting>>,
}

type Waiting = HashMap<StreamId, Vec<Weak<Bell>>>;

#[derive(Default)]
struct Bell {
    rung: Notify,
    versions: Mutex<HashMap<StreamId, u64>>,
}

/// Somebody who waits.
pub(crate) struct Listener {
    bell: Arc<Bell>,
    streams: Vec<StreamId>,
    waiting: Arc<Mutex<Waiting>>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in &self.streams {
            let Some(bells) = waiting.get_mut(stream) else { continue };
            bells.retain(|bell| !std::ptr::eq(bell.as_ptr(), Arc::as_ptr(&self.bell)));
            if bells.is_empty() {
                waiting.remove(stream);
            }
        }
    }
}

impl Bells {
    /// Waits for these streams from now on.
    pub(crate) fn listen(&self, streams: &[StreamId]) -> Listener {
        let bell = Arc::new(Bell::default());
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in streams {
            let bells = waiting.entry(stream.clone()).or_default();
            bells.push(Arc::downgrade(&bell));
        }
        drop(waiting);
        Listener { bell, streams: streams.to_vec(), waiting: self.waiting.clone() }
    }

    /// How many wait for a stream.
    #[cfg(test)]
    pub(crate) fn waiting_for(&self, stream: &StreamId) -> usize {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.get(stream).map_or(0, Vec::len)
    }

    pub(super) fn ring(&self, events: &[RecordedEvent]) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.is_empty() {
            return;
        }
        for event in events {
            let Some(bells) = waiting.get_mut(&event.stream) else { continue };
            bells.retain(|bell| {
                let Some(bell) = bell.upgrade() else { return false };
                let mut versions = bell.versions.lock().unwrap_or_else(PoisonError::into_inner);
                versions.insert(event.stream.clone(), event.stream_version);
                bell.rung.notify_one();
                true
            });
            if bells.is_empty() {
                waiting.remove(&event.stream);
            }
        }
    }
}

impl Listener {
    /// Until something happened since the last time.
    pub(crate) async fn rung(&self) {
        self.bell.rung.notified().await;
    }

    /// The version that a stream is known to have reached.
    pub(crate) fn version(&self, stream: &StreamId) -> Option<u64> {
        let versions = self.bell.versions.lock().unwrap_or_else(PoisonError::into_inner);
        versions.get(stream).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_gone_away_leaves_nothing_behind() {
        let bells = Bells::default();
        let streams = [StreamId::new("payment-1"), StreamId::new("reservation-1")];
        let (first, second) = (bells.listen(&streams), bells.listen(&streams[..1]));
        drop(first);
        assert_eq!(bells.waiting.lock().expect("no panic").len(), 1);
        drop(second);
        assert!(bells.waiting.lock().expect("no panic").is_empty());
    }
}
