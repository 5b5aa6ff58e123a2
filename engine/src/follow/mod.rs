//! One follower of the whole log that keeps what the doors need at once: which keys are bound, who
//! holds how much, and bells for those who wait for a stream. All of it derived; nothing is decided
//! here.

mod bells;
mod fresh;
mod keys;
mod live;
mod writer;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use holdfast_domain::process::Process;
use holdfast_domain::{Decider, Timestamp};
use holdfast_schemas::{DeadLetterEvent, Origin, StoredEvent};
use holdfast_store::{EventStore, Filter, Position, RecordedEvent, Subscription};
use tokio::sync::{oneshot, watch};

use crate::dispatch::{Dispatch, House};
use crate::engine::OpenLetters;
use crate::fleet::Fleet;
use crate::letters;
use crate::side::{KeyRow, Side, SideError};

pub(crate) use bells::Bells;
pub(crate) use keys::{InFlight, Keys};
pub(crate) use live::LiveHolds;

/// The name of the follower's checkpoint.
const CONSUMER: &str = "keys";

/// What the follower keeps.
pub(crate) struct Index {
    house: Arc<House>,
    side: Side,
    pub(crate) keys: Keys,
    pub(crate) live: LiveHolds,
    pub(crate) bells: Bells,
    pub(crate) fleet: Fleet,
    letters: Mutex<OpenLetters>,
    queue: writer::Queue,
    position: watch::Sender<Position>,
}

impl Index {
    pub(crate) fn new(house: Arc<House>, side: Side) -> Self {
        Self {
            keys: Keys::new(house.clone(), side.clone()),
            house,
            side,
            live: LiveHolds::default(),
            bells: Bells::default(),
            fleet: Fleet::default(),
            letters: Mutex::default(),
            queue: writer::Queue::default(),
            position: watch::Sender::new(Position::ZERO),
        }
    }

    /// Up to where it has seen the log.
    pub(crate) fn position(&self) -> Position {
        *self.position.borrow()
    }

    /// Waits until it has seen the log up to `position`; false when that takes too long.
    pub(crate) async fn seen(&self, position: Position, at_most: Duration) -> bool {
        let mut seen = self.position.subscribe();
        let wait = seen.wait_for(|seen| *seen >= position);
        tokio::time::timeout(at_most, wait).await.is_ok_and(|seen| seen.is_ok())
    }

    /// Dead letters that are not settled, by consumer.
    pub(crate) fn open_letters(&self) -> OpenLetters {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks up which letters were open when the log was written last.
    pub(crate) async fn load_letters(&self, dispatch: &Dispatch) {
        let processes = Process::ALL.iter().map(|process| process.name());
        for consumer in processes.chain([crate::services::WEBHOOKS]) {
            let consumer = consumer.to_owned();
            let open = dispatch.look::<letters::State, _>(&consumer, |view| {
                view.state.letters.keys().copied().collect()
            });
            match open.await {
                Ok(open) => {
                    let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
                    letters.insert(consumer.clone(), open);
                }
                Err(error) => tracing::error!(consumer, %error, "dead letters could not be read"),
            }
        }
    }

    fn note_letter(&self, event: &RecordedEvent) {
        if event.stream.category() != letters::State::CATEGORY {
            return;
        }
        let decoded = DeadLetterEvent::decode(&event.kind, event.schema_version, &event.data);
        let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        let open = letters.entry(event.stream.key().to_owned()).or_default();
        match decoded {
            Ok(DeadLetterEvent::Parked { id, .. }) => drop(open.insert(id)),
            Ok(DeadLetterEvent::Settled { id }) => drop(open.remove(&id)),
            Ok(DeadLetterEvent::Redriven { .. }) | Err(_) => {}
        }
    }

    /// Follows the log until it is stopped. Keys are written down beside it: neither the follower nor a
    /// request that waits for it waits for the side file.
    pub(crate) async fn run(&self, stop: watch::Receiver<bool>) -> Result<(), IndexError> {
        let written = self.side.checkpoint(CONSUMER).await?;
        self.keys.written(written);
        let (following, follower) = oneshot::channel();
        let stopped = stop.clone();
        let follow = async {
            let followed = self.follow(written, stop).await;
            drop(following);
            followed
        };
        tokio::try_join!(follow, self.write(written, follower, stopped))?;
        Ok(())
    }

    async fn follow(
        &self,
        written: Position,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), IndexError> {
        let since = self.house.now().minus(self.house.settings.absolute_cap * 2);
        let recent = first_since(&*self.house.store, since).await?;
        let from = written.next().min(recent);
        let mut log = Subscription::new(self.house.store.clone(), from, Filter::All);
        let mut at = Position(from.0 - 1);
        self.position.send_replace(at);
        loop {
            let (events, upto) = tokio::select! {
                page = self.house.next_page(CONSUMER, &mut log) => page?,
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
            };
            let mut rows: Vec<KeyRow> = Vec::new();
            for event in &events {
                if event.position > written {
                    note_key(event, &mut rows);
                }
                self.live.take_in(event);
                self.note_letter(event);
            }
            self.keys.note(&rows);
            self.queue.offer(at, rows, upto);
            at = upto;
            self.fleet.hear(&events, upto);
            self.position.send_replace(upto);
            self.bells.ring(&events);
        }
    }
}

/// Why the follower ended.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The log cannot be read.
    #[error("{0}")]
    Read(#[from] holdfast_store::ReadError),
    /// The side file cannot be written.
    #[error("{0}")]
    Side(#[from] SideError),
}

/// Events of one command stand side by side; together they are what its key is bound by.
fn note_key(event: &RecordedEvent, rows: &mut Vec<KeyRow>) {
    if !may_name_a_key(&event.metadata) {
        return;
    }
    let Ok(origin) = Origin::decode(&event.metadata) else { return };
    let Some(fingerprint) = origin.fingerprint() else { return };
    let row = KeyRow {
        command_id: origin.command_id,
        fingerprint: fingerprint.to_owned(),
        stream: event.stream.to_string(),
        first: event.stream_version,
        last: event.stream_version,
        position: event.position,
        at: Timestamp::from_micros(event.recorded_at_micros),
    };
    match rows.last_mut().filter(|last| last.command_id == row.command_id) {
        Some(last) => {
            last.last = row.last;
            last.position = row.position;
        }
        None => rows.push(row),
    }
}

/// Whether there can be a fingerprint in it, told without reading it: most events of a hot stream have
/// none.
fn may_name_a_key(metadata: &[u8]) -> bool {
    // With an escape in it the name may be written in another way.
    let may = |text: &str| text.contains("\"fingerprint\"") || text.contains('\\');
    std::str::from_utf8(metadata).is_ok_and(may)
}

/// The position of the first event that was recorded at `since` or later, by halving.
async fn first_since(
    store: &dyn EventStore,
    since: Timestamp,
) -> Result<Position, holdfast_store::ReadError> {
    let (mut low, mut high) = (1, store.head().0 + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let page = store.read_all(Position(middle), &Filter::All, 1).await?;
        match page.events.first() {
            Some(event) if event.recorded_at_micros < since.micros() => low = middle + 1,
            Some(_) | None => high = middle,
        }
    }
    Ok(Position(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_however_its_name_is_written_and_nothing_else_is() {
        assert!(may_name_a_key(br#"{"command_id":"c","fingerprint":"f"}"#));
        assert!(may_name_a_key(br#"{"command_id":"c","\u0066ingerprint":"f"}"#));
        assert!(!may_name_a_key(br#"{"command_id":"c","actor":"user:fingerprint"}"#));
        assert!(!may_name_a_key(b"\xff"), "no JSON either");
    }
}
