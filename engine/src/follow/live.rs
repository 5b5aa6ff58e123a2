//! How much each customer holds and has not paid for: the cap on live holds is judged by it (abuse
//! control, API6:2023). Derived from the log of the last hours, so it needs no table.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use holdfast_domain::{LockId, ReservationId, SeatMapId, Timestamp, UserId, reservation, seatmap};
use holdfast_schemas::{AnyEvent, decode_any};
use holdfast_store::RecordedEvent;

/// The stored names that matter here; nothing else is decoded.
const KINDS: [&str; 13] = [
    "reservation.hold-created",
    "reservation.hold-extended",
    "reservation.confirmed",
    "reservation.hold-released",
    "reservation.hold-expired",
    "reservation.cancelled",
    "reservation.late-payment-received",
    "reservation.late-payment-accepted",
    "reservation.late-payment-rejected",
    "seatmap.seats-locked",
    "seatmap.seats-attached",
    "seatmap.seats-released",
    "seatmap.lock-restored",
];

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Hold {
    Reservation(ReservationId),
    Lock(SeatMapId, LockId),
}

#[derive(Default)]
struct Holds {
    until: HashMap<Hold, (UserId, Timestamp)>,
    of: HashMap<UserId, Vec<Hold>>,
}

/// Who holds what.
#[derive(Default)]
pub(crate) struct LiveHolds(Mutex<Holds>);

impl LiveHolds {
    /// How many unpaid holds and bare locks a customer has.
    pub(crate) fn count(&self, user: &UserId, now: Timestamp) -> u32 {
        let holds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = holds.of.get(user).map_or(&[][..], Vec::as_slice);
        let live = |hold: &&Hold| holds.until.get(*hold).is_some_and(|(_, until)| now < *until);
        u32::try_from(of.iter().filter(live).count()).unwrap_or(u32::MAX)
    }

    pub(super) fn take_in(&self, event: &RecordedEvent) {
        if !KINDS.contains(&event.kind.as_str()) {
            return;
        }
        let decoded =
            decode_any(event.stream.as_str(), &event.kind, event.schema_version, &event.data);
        // What cannot be read here is told by the processes, which park it.
        let Ok(decoded) = decoded else { return };
        let mut holds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match decoded {
            AnyEvent::Reservation(id, event) => holds.reservation(id, event),
            AnyEvent::SeatMap(id, event) => holds.seats(id, event),
            AnyEvent::Payment(..)
            | AnyEvent::Inventory(..)
            | AnyEvent::Limit(..)
            | AnyEvent::Item(..)
            | AnyEvent::Ticket(..)
            | AnyEvent::Notification(..)
            | AnyEvent::Vehicle(..)
            | AnyEvent::Inspection(..)
            | AnyEvent::DeadLetter(..) => {}
        }
    }
}

impl Holds {
    fn reservation(&mut self, id: ReservationId, event: reservation::Event) {
        use reservation::Event as E;
        let hold = Hold::Reservation(id);
        match event {
            E::HoldCreated { user_id, hold_expires_at, .. } => {
                self.add(hold, user_id, hold_expires_at);
            }
            E::HoldExtended { new_expires_at, .. } => {
                if let Some((_, until)) = self.until.get_mut(&hold) {
                    *until = new_expires_at;
                }
            }
            E::Confirmed { .. }
            | E::HoldReleased { .. }
            | E::HoldExpired { .. }
            | E::Cancelled { .. }
            | E::LatePaymentReceived { .. }
            | E::LatePaymentAccepted { .. }
            | E::LatePaymentRejected { .. } => self.remove(&hold),
            E::PaymentRequested { .. }
            | E::PaymentDeclined { .. }
            | E::MoneyLost { .. }
            | E::ClaimsLost { .. }
            | E::ClaimsRetaken { .. }
            | E::Finalized { .. }
            | E::VehicleAssigned { .. }
            | E::VehicleWithdrawn { .. }
            | E::NoShow { .. }
            | E::RentalStarted { .. }
            | E::RentalCompleted { .. } => {}
        }
    }

    fn seats(&mut self, map: SeatMapId, event: seatmap::Event) {
        use seatmap::Event as E;
        match event {
            E::SeatsLocked {
                lock_id: Some(lock),
                reservation_id: None,
                user_id,
                expires_at: Some(until),
                ..
            } => self.add(Hold::Lock(map, lock), user_id, until),
            E::LockRestored { lock_id, user_id, expires_at, .. } => {
                self.add(Hold::Lock(map, lock_id), user_id, expires_at);
            }
            E::SeatsAttached { lock_id, .. } => self.remove(&Hold::Lock(map, lock_id)),
            E::SeatsReleased { owner: seatmap::Owner::Lock(lock), .. } => {
                self.remove(&Hold::Lock(map, lock));
            }
            E::SeatsLocked { .. }
            | E::SeatsReleased { .. }
            | E::Published { .. }
            | E::Changed { .. }
            | E::SeatLockExtended { .. }
            | E::SeatsBooked { .. }
            | E::AttemptWithdrawn { .. }
            | E::SeatsBlocked { .. }
            | E::SeatsUnblocked { .. } => {}
        }
    }

    fn add(&mut self, hold: Hold, user: UserId, until: Timestamp) {
        if self.until.insert(hold.clone(), (user.clone(), until)).is_none() {
            self.of.entry(user).or_default().push(hold);
        }
    }

    fn remove(&mut self, hold: &Hold) {
        let Some((user, _)) = self.until.remove(hold) else { return };
        if let Some(of) = self.of.get_mut(&user) {
            of.retain(|it| it != hold);
            if of.is_empty() {
                self.of.remove(&user);
            }
        }
    }
}
