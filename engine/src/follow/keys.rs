//! Which keys are bound, and by what. The truth is in the events' metadata; here it is found by the
//! command's id, however old, in whichever stream.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use holdfast_store::Position;
use uuid::Uuid;

use crate::Rejection;
use crate::side::{KeyRow, Side};

/// The keys that are bound: those that are written down, and those that are on their way there.
pub(crate) struct Keys {
    side: Side,
    fresh: Mutex<HashMap<Uuid, KeyRow>>,
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
    pub(super) fn new(side: Side) -> Self {
        Self { side, fresh: Mutex::default(), in_flight: Arc::default() }
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
        let fresh = self.fresh().get(&command_id).cloned();
        let (row, answered) = match fresh {
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
            fresh.insert(row.command_id, row.clone());
        }
    }

    /// Everything up to there is written down.
    pub(super) fn written(&self, position: Position) {
        self.fresh().retain(|_, row| row.position > position);
    }

    fn fresh(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, KeyRow>> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unavailable(error: crate::side::SideError) -> Rejection {
    Rejection::Unavailable(error.to_string())
}
