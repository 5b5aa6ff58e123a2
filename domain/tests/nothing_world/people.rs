//! The customer and its bank, and a rival: what they do when their minute comes.

use std::time::Duration;

use holdfast_domain::process::Command;
use holdfast_domain::reservation::{self, CancelReason};
use holdfast_domain::seatmap::{self, Seats};
use holdfast_domain::{By, LockId, UserId, derive, inventory, limit, payment};

use super::{EXTENSION, GRACE, World, ada, ada_limit, hall, minute, seats, sku};

impl World {
    pub(super) fn customers(&mut self) {
        let customer = self.customer.clone();
        let attempts = if customer.keeps_hold { 2 } else { 1 };
        if self.now >= minute(customer.requests_at_minute)
            && self.requested < attempts
            && !self.reservation.payment_open
        {
            self.request_payment();
        }
        if customer.cancels_at_minute.is_some_and(|at| self.now >= minute(at)) && !self.cancelled {
            self.cancelled = true;
            let cancel = reservation::Command::Cancel {
                by: By::Owner(ada()),
                reason: CancelReason::User,
                refund: None,
            };
            let _ = self.perform(&Command::Reservation(self.id, cancel));
        }
        if customer.rival_at_minute.is_some_and(|at| self.now >= minute(at)) && !self.rival_tried {
            self.rival_tried = true;
            let lock = seatmap::Command::Lock {
                lock_id: LockId(derive(&["rival"])),
                user_id: UserId::new("rival").expect("a user"),
                seats: Seats::Named(seats()[..1].to_vec()),
                expires_at: self.now.plus(Duration::from_secs(600)),
            };
            let _ = self.perform(&Command::SeatMap(hall(), lock));
        }
        // The customer's bank: so long after the attempt began.
        let pays = customer.pays_after_minutes.map(|minutes| Duration::from_secs(60 * minutes));
        for word in self.gateway.customer(self.now, pays, customer.declined_first) {
            self.words.push(word);
        }
    }

    /// As the engine does it: claims are extended first; if one cannot be, nothing is extended.
    fn request_payment(&mut self) {
        let reservation_id = self.id;
        let until = self.now.plus(EXTENSION);
        let expires_at = until.plus(GRACE);
        let epoch = 1;
        let mut extend_to = None;
        if self.reservation.hold_expires_at.is_some_and(|deadline| deadline < until) {
            let pool = inventory::Command::Extend { reservation_id, expires_at, epoch };
            let all = [
                Command::Limit(
                    ada_limit(),
                    limit::Command::Extend { reservation_id, expires_at, epoch },
                ),
                Command::Inventory(sku("concert"), pool.clone()),
                Command::Inventory(sku("poster"), pool),
                Command::SeatMap(
                    hall(),
                    seatmap::Command::Extend { reservation_id, expires_at, epoch },
                ),
            ];
            if all.iter().all(|extend| self.perform(extend).is_ok()) {
                extend_to = Some(until);
            }
        }
        let flow = if self.customer.hosted { payment::Flow::Hosted } else { payment::Flow::Direct };
        let request = reservation::Command::RequestPayment {
            by: By::Owner(ada()),
            gateway: "ledger".into(),
            flow,
            extend_to,
        };
        if self.perform(&Command::Reservation(self.id, request)).is_ok() {
            self.requested += 1;
        } else {
            self.requested = u16::MAX;
        }
    }
}
