//! Those who have connected and not yet said who they are. There may be only so many of them: one more
//! closes the oldest, so that somebody who opens connections and stays silent keeps no vehicle out.
//!
//! ```text
//!   accepted ──► stranger ──CONNECT, password right──► known
//!                   │ │
//!                   │ └─ 10 s without CONNECT (the library's) ──► closed
//!                   └─── the oldest of too many ────────────────► closed
//! ```

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;

pub(super) struct Strangers {
    most: usize,
    /// Oldest first. A few hundred at most: looking through them is cheap.
    waiting: Mutex<VecDeque<(SocketAddr, AbortHandle)>>,
}

impl Strangers {
    pub(super) fn new(most: usize) -> Self {
        Self { most: most.max(1), waiting: Mutex::default() }
    }

    /// One more has come, whose handler `begin` starts; true when another had to go for it. Peers'
    /// addresses are unique while their connections are open. The handler starts inside, so that it
    /// cannot become known before it is a stranger and stay one for ever.
    pub(super) fn came(&self, peer: SocketAddr, begin: impl FnOnce() -> AbortHandle) -> bool {
        let mut waiting = self.waiting();
        waiting.retain(|(_, handler)| !handler.is_finished());
        waiting.push_back((peer, begin()));
        if waiting.len() <= self.most {
            return false;
        }
        if let Some((_, oldest)) = waiting.pop_front() {
            oldest.abort();
        }
        true
    }

    /// That one has said who it is.
    pub(super) fn known(&self, peer: SocketAddr) {
        self.waiting().retain(|(other, _)| *other != peer);
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<(SocketAddr, AbortHandle)>> {
        // Whole after every statement: what a panic left behind is still a list of strangers.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
