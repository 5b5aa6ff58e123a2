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

use holdfast_schemas::mqtt::Connection;

use super::{Hands, Job};

/// Deals with one word about a connection.
pub(super) async fn told(hands: &Hands, job: &Job) {
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
            if known.last_seen == Default::default() { job.received } else { known.last_seen };
        hands.insist(vehicle, || hands.desk.lost(vehicle, boot, last_seen)).await
    };
    if !taken {
        return hands.refuse("state/conn", "refused");
    }
    if connection.online {
        hands.fleet.heard(vehicle, job.received, |known| {
            known.boot = connection.boot.or(known.boot);
        });
        if !job.publish.retain {
            hands.link.again(vehicle);
        }
    } else if connection.boot.is_some() {
        // Its word is not a sign of life, but its boot is known from now on.
        hands.fleet.heard(vehicle, known.last_seen, |known| known.boot = connection.boot);
    }
}
