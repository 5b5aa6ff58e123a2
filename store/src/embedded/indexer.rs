//! Makes the indexes of sealed segments, behind the writer's back: a thread that is woken at each
//! roll. A simulation, which wants one thing after another, has it done on the spot.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use super::view::View;

/// Ended, with what it was doing, when it is dropped.
pub(crate) struct Indexer {
    view: Arc<View>,
    /// `None` where there is no thread.
    thread: Option<(SyncSender<()>, JoinHandle<()>)>,
}

impl Indexer {
    pub(crate) fn new(view: Arc<View>, in_background: bool) -> Self {
        let mut thread = None;
        if in_background {
            // One that waits is enough: whoever wakes does all there is to do.
            let (wake, woken) = sync_channel(1);
            let works = Arc::clone(&view);
            let builder = std::thread::Builder::new().name("holdfast-index".into());
            let spawned = builder.spawn(move || {
                while woken.recv().is_ok() {
                    works.tidy();
                }
            });
            match spawned {
                Ok(handle) => thread = Some((wake, handle)),
                Err(error) => tracing::warn!(%error, "no thread to index segments"),
            }
        }
        Self { view, thread }
    }

    /// A segment was sealed: its index is to be made, now or soon.
    pub(crate) fn wake(&self) {
        match &self.thread {
            Some((wake, _)) => match wake.try_send(()) {
                Ok(()) | Err(TrySendError::Full(())) => {}
                Err(TrySendError::Disconnected(())) => tracing::error!("no segment is indexed"),
            },
            None => self.view.tidy(),
        }
    }
}

impl Drop for Indexer {
    /// Nothing goes on behind the back of whoever opens the directory next.
    fn drop(&mut self) {
        self.view.archive.stop();
        if let Some((wake, thread)) = self.thread.take() {
            drop(wake);
            if thread.join().is_err() {
                tracing::error!("the thread that indexes segments ended in a panic");
            }
        }
    }
}
