//! Whether a vehicle is connected, as it says itself and as its Last Will says for it.
//!
//! ```text
//!   {"online":true,"boot":7}   connected in boot 7; 6 is old news
//!   {"online":false,"boot":6}  old news: the will of a connection that 7 has replaced
//!   {"online":false}           whichever was last
//! ```
//!
//! The topic is retained, so that whoever connects to the broker learns how things stand. It has no `mac`:
//! it opens nothing. An offline vehicle is answered for at once, an online one is asked; one that comes
//! back before the end of a command gets it, also when the broker has forgotten both.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use holdfast_domain::{Timestamp, VehicleId};
use holdfast_schemas::mqtt::Connection;

use super::{Hands, Job};
use crate::bucket::Buckets;

/// A vehicle may come and go so often at once,
const CHANGES_AT_ONCE: u32 = 20;
/// and once more each time this has gone by; what it says in between is taken when it has calmed down.
const CHANGE_EVERY: Duration = Duration::from_secs(10);

/// Vehicles whose connection flaps: each change would be a fact for ever (fault 44).
pub(super) struct Flapping {
    changes: Buckets,
    /// The last word of each that has to wait.
    waiting: Mutex<HashMap<VehicleId, Word>>,
}

/// What was said about a connection.
#[derive(Clone, Copy)]
struct Word {
    connection: Connection,
    received: Timestamp,
    /// It was retained: how things stood, not what happens.
    stands: bool,
}

impl Default for Flapping {
    fn default() -> Self {
        Self { changes: Buckets::new(CHANGES_AT_ONCE, CHANGE_EVERY), waiting: Mutex::default() }
    }
}

impl Flapping {
    fn waiting(&self) -> MutexGuard<'_, HashMap<VehicleId, Word>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Deals with one word about a connection.
pub(super) async fn told(hands: &Hands, flapping: &Arc<Flapping>, job: &Job) {
    let vehicle = &job.vehicle;
    // An empty retained message is how a broker is told to forget: it says nothing.
    if job.publish.payload.is_empty() {
        return hands.refuse("state/conn", "empty");
    }
    let connection = match Connection::read(&job.publish.payload) {
        Ok(connection) => connection,
        Err(error) => {
            tracing::debug!(%vehicle, %error, "presence is refused");
            return hands.refuse("state/conn", error.reason());
        }
    };
    let word = Word { connection, received: job.received, stands: job.publish.retain };
    {
        let mut waiting = flapping.waiting();
        if let Some(last) = waiting.get_mut(vehicle) {
            *last = word;
            return hands.refuse("state/conn", "flapping");
        }
        if !flapping.changes.take(vehicle, hands.link.0.clock.monotonic()) {
            waiting.insert(vehicle.clone(), word);
            drop(waiting);
            tracing::warn!(%vehicle, "a vehicle's connection flaps");
            tokio::spawn(calmed(hands.clone(), flapping.clone(), vehicle.clone()));
            return hands.refuse("state/conn", "flapping");
        }
    }
    take(hands, vehicle, word).await;
}

/// Takes the last word of a vehicle that flaps when it has waited.
async fn calmed(hands: Hands, flapping: Arc<Flapping>, vehicle: VehicleId) {
    hands.link.0.clock.sleep(CHANGE_EVERY).await;
    let word = flapping.waiting().remove(&vehicle);
    if let Some(word) = word {
        take(&hands, &vehicle, word).await;
    }
}

async fn take(hands: &Hands, vehicle: &VehicleId, word: Word) {
    let Word { connection, received, stands } = word;
    let known = hands.fleet.get(vehicle);
    let is_old = connection.boot.zip(known.boot).is_some_and(|(told, known)| told < known);
    if is_old && hands.link.0.protections.boots {
        return hands.refuse("state/conn", "old-boot");
    }
    let taken = if connection.online {
        // A vehicle that does not count its boots is always in the same one.
        let boot = connection.boot.unwrap_or_default();
        hands.insist(vehicle, || hands.desk.connected(vehicle, boot)).await
    } else {
        let boot = connection.boot.or(known.boot);
        let last_seen =
            if known.last_seen == Timestamp::default() { received } else { known.last_seen };
        hands.insist(vehicle, || hands.desk.lost(vehicle, boot, last_seen)).await
    };
    if !taken {
        return hands.refuse("state/conn", "refused");
    }
    if connection.online {
        hands.fleet.heard(vehicle, received, |known| {
            known.boot = connection.boot.or(known.boot);
        });
        if !stands {
            hands.link.again(vehicle);
        }
    } else if connection.boot.is_some() {
        // Its word is not a sign of life, but its boot is known from now on.
        hands.fleet.heard(vehicle, known.last_seen, |known| known.boot = connection.boot);
    }
}
