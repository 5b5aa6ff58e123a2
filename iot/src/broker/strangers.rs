//! Those who have connected and not yet said who they are. There may be only so many of them. When all
//! places are taken, nobody more is accepted until one has said its name or the oldest has been silent
//! too long; then that one is closed. So a fleet that comes back all at once is let in as fast as its
//! passwords are looked up, and somebody who opens connections and stays silent keeps no vehicle out.
//!
//! ```text
//!   accepted ──► stranger ──CONNECT, password right──► known
//!                   │ │
//!                   │ └─ 10 s without CONNECT (the library's) ───────────► closed
//!                   └─── silent too long, and others wait for its place ─► closed
//! ```

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::Instant;

pub(super) struct Strangers {
    most: usize,
    patience: Duration,
    /// Oldest first. A few hundred at most: looking through them is cheap.
    waiting: Mutex<VecDeque<Stranger>>,
}

struct Stranger {
    peer: SocketAddr,
    since: Instant,
    handler: AbortHandle,
}

impl Strangers {
    pub(super) fn new(most: usize, patience: Duration) -> Self {
        Self { most: most.max(1), patience, waiting: Mutex::default() }
    }

    /// Until when nobody is to be accepted; none: there is a place, or one that may be taken away.
    pub(super) fn full_until(&self) -> Option<Instant> {
        let mut waiting = self.waiting();
        waiting.retain(|stranger| !stranger.handler.is_finished());
        let oldest = waiting.front().filter(|_| waiting.len() >= self.most)?;
        let until = oldest.since + self.patience;
        (until > Instant::now()).then_some(until)
    }

    /// One more has come, whose handler `begin` starts; true when another had to go for it. Peers'
    /// addresses are unique while their connections are open. The handler starts inside, so that it
    /// cannot become known before it is a stranger and stay one for ever.
    pub(super) fn came(&self, peer: SocketAddr, begin: impl FnOnce() -> AbortHandle) -> bool {
        let mut waiting = self.waiting();
        waiting.retain(|stranger| !stranger.handler.is_finished());
        waiting.push_back(Stranger { peer, since: Instant::now(), handler: begin() });
        if waiting.len() <= self.most {
            return false;
        }
        if let Some(oldest) = waiting.pop_front() {
            oldest.handler.abort();
        }
        true
    }

    /// That one has said who it is.
    pub(super) fn known(&self, peer: SocketAddr) {
        self.waiting().retain(|stranger| stranger.peer != peer);
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Stranger>> {
        // Whole after every statement: what a panic left behind is still a list of strangers.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
