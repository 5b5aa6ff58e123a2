//! Bells for those who wait until something happens in a stream: rung by the follower of the log, so
//! whoever recorded it, this node or another.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use holdfast_store::{RecordedEvent, StreamId};
use tokio::sync::Notify;

/// Who waits for which stream.
#[derive(Default)]
pub(crate) struct Bells {
    waiting: Mutex<HashMap<StreamId, Vec<Weak<Bell>>>>,
}

#[derive(Default)]
struct Bell {
    rung: Notify,
    versions: Mutex<HashMap<StreamId, u64>>,
}

/// Somebody who waits.
pub(crate) struct Listener(Arc<Bell>);

impl Bells {
    /// Waits for these streams from now on.
    pub(crate) fn listen(&self, streams: &[StreamId]) -> Listener {
        let bell = Arc::new(Bell::default());
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in streams {
            let bells = waiting.entry(stream.clone()).or_default();
            bells.retain(|bell| bell.strong_count() > 0);
            bells.push(Arc::downgrade(&bell));
        }
        Listener(bell)
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
        self.0.rung.notified().await;
    }

    /// The version that a stream is known to have reached.
    pub(crate) fn version(&self, stream: &StreamId) -> Option<u64> {
        let versions = self.0.versions.lock().unwrap_or_else(PoisonError::into_inner);
        versions.get(stream).copied()
    }
}
