//! Which keys are bound, and by what. The truth is in the events' metadata; here it is found by the
//! command's id, however old, in whichever stream.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use holdfast_store::{Filter, Position};
use uuid::Uuid;

use super::fresh::{Fresh, Known};
use super::note_key;
use crate::Rejection;
use crate::dispatch::House;
use crate::side::{KeyRow, Side};

/// How many events are read at once where a key may be bound.
const BATCH: usize = 1_024;

/// The keys that are bound: those that are written down, and those that are on their way there.
pub(crate) struct Keys {
    house: Arc<House>,
    side: Side,
    fresh: Mutex<Fresh>,
    in_flight: Arc<Mutex<HashMap<Uuid, String>>>,
}

/// A request that is running; its key is free again when this goes.
pub(crate) struct InFlight {
    running: Arc<Mutex<HashMap<Uuid, String>>>,
    command_id: Uuid,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.remove(&self.command_id);
    }
}

impl Keys {
    pub(super) fn new(house: Arc<House>, side: Side) -> Self {
        Self { house, side, fresh: Mutex::default(), in_flight: Arc::default() }
    }

    /// Lets one request of a key in at a time.
    pub(crate) fn enter(&self, command_id: Uuid, fingerprint: &str) -> Result<InFlight, Rejection> {
        let mut running = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(first) = running.get(&command_id) {
            let same = first == fingerprint;
            return Err(if same { Rejection::InFlight } else { Rejection::KeyReused });
        }
        running.insert(command_id, fingerprint.to_owned());
        Ok(InFlight { running: self.in_flight.clone(), command_id })
    }

    /// What the key of this command has recorded before.
    pub(crate) async fn bound(
        &self,
        command_id: Uuid,
        fingerprint: &str,
    ) -> Result<Option<KeyRow>, Rejection> {
        let known = self.fresh().find(command_id);
        let known = match known {
            Known::Bound(row) => Some(row),
            Known::Perhaps(from, upto) if self.house.protections.evicted_keys => {
                self.in_log(command_id, from, upto).await?
            }
            Known::Perhaps(..) | Known::Unknown => None,
        };
        let (row, answered) = match known {
            Some(row) => (Some(row), None),
            None => self.side.key(command_id).await.map_err(unavailable)?,
        };
        let first = match &row {
            Some(row) => Some(row.fingerprint.clone()),
            None => answered
                .or_else(|| self.side.fresh_answer(command_id).map(|it| it.fingerprint.clone())),
        };
        if first.is_some_and(|first| first != fingerprint) {
            return Err(Rejection::KeyReused);
        }
        Ok(row)
    }

    #[cfg(test)]
    pub(crate) fn is_running(&self, command_id: Uuid) -> bool {
        let running = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        running.contains_key(&command_id)
    }

    /// What was recorded just now, before the follower has come to it.
    pub(crate) fn note(&self, rows: &[KeyRow]) {
        let mut fresh = self.fresh();
        for row in rows {
            fresh.insert(row);
        }
    }

    /// Everything up to there is written down.
    pub(super) fn written(&self, position: Position) {
        self.fresh().written(position);
    }

    /// How many keys are bound in memory alone, as far as they are kept there.
    pub(crate) fn unwritten(&self) -> usize {
        self.fresh().len()
    }

    /// What a key that may be bound there is bound by. Rare: only while the side file has taken nothing
    /// for very long, for repeats of that time and one in many of the others.
    async fn in_log(
        &self,
        command_id: Uuid,
        from: Position,
        upto: Position,
    ) -> Result<Option<KeyRow>, Rejection> {
        let mut next = from;
        let mut rows = Vec::new();
        while next <= upto {
            let page = self.house.store.read_all(next, &Filter::All, BATCH).await;
            let page = page.map_err(|error| Rejection::Unavailable(error.to_string()))?;
            for event in &page.events {
                note_key(event, &mut rows);
            }
            rows.retain(|row| row.command_id == command_id);
            if page.next <= next {
                break;
            }
            next = page.next;
        }
        Ok(rows.into_iter().next())
    }

    /// Keeps fewer rows whole.
    #[cfg(test)]
    pub(crate) fn keep(&self, rows: usize) {
        self.fresh().keep(rows);
    }

    /// Whether some that are not written down are only in the log.
    #[cfg(test)]
    pub(crate) fn evicted_any(&self) -> bool {
        self.fresh().evicted_any()
    }

    fn fresh(&self) -> std::sync::MutexGuard<'_, Fresh> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unavailable(error: crate::side::SideError) -> Rejection {
    Rejection::Unavailable(error.to_string())
}
