//! What is for sale, and how the customer comes to hold some of it.

use holdfast_domain::process::Command;
use holdfast_domain::reservation::{
    self, Capture, Channel, Claim, LatePayment, Line, LineKind, OnDecline, Policies,
};
use holdfast_domain::seatmap::{self, Category, Plan, Seats, Section};
use holdfast_domain::{AttemptId, Timestamp, UserId, derive, inventory, limit};

use super::{GRACE, HOLD, World, ada, ada_limit, eur, hall, seats, sku};

impl World {
    pub(super) fn furnish(&mut self) {
        let plan = Plan {
            name: "Hall".into(),
            sku: Some(sku("concert")),
            categories: vec![Category { name: "best".into(), price: eur(4_500) }],
            sections: vec![Section {
                name: "A".into(),
                category: "best".into(),
                rows: 1,
                seats_per_row: 2,
            }],
        };
        self.must(Command::SeatMap(hall(), seatmap::Command::Publish { plan }));
        for (name, qty) in [("concert", 2), ("poster", 1)] {
            let by = UserId::new("olga").expect("a user");
            let receive = inventory::Command::Receive { qty, by };
            self.must(Command::Inventory(sku(name), receive));
        }
    }

    /// Limit, pools, seats, then the hold.
    pub(super) fn hold(&mut self) {
        let reservation_id = self.id;
        let attempt = AttemptId(derive(&["attempt"]));
        let deadline = self.now.plus(HOLD);
        let expires_at = deadline.plus(GRACE);
        let epoch = 1;
        self.must(Command::Limit(
            ada_limit(),
            limit::Command::Take { reservation_id, qty: 2, max: 2, expires_at, epoch, attempt },
        ));
        for (name, qty) in [("concert", 2), ("poster", 1)] {
            let period = None;
            self.must(Command::Inventory(
                sku(name),
                inventory::Command::Hold {
                    reservation_id,
                    qty,
                    expires_at,
                    epoch,
                    attempt,
                    period,
                },
            ));
        }
        self.must(Command::SeatMap(
            hall(),
            seatmap::Command::Attach {
                reservation_id,
                user_id: ada(),
                seats: Seats::Named(seats()),
                expires_at,
                epoch,
                attempt,
            },
        ));
        self.must(Command::Reservation(reservation_id, self.place(deadline)));
    }

    fn place(&self, deadline: Timestamp) -> reservation::Command {
        let line = |line_id, kind, name, quantity, price| Line {
            line_id,
            kind,
            sku: Some(sku(name)),
            quantity,
            seat_map_id: None,
            seat_ids: vec![],
            period: None,
            vehicle_id: None,
            unit_price: eur(price),
        };
        let pool = |name, quantity, consumed| Claim::Inventory {
            r#ref: sku(name),
            quantity,
            period: None,
            consumed,
        };
        reservation::Command::PlaceHold {
            user_id: ada(),
            lines: vec![
                Line {
                    seat_map_id: Some(hall()),
                    seat_ids: seats(),
                    ..line(1, LineKind::Seat, "concert", 2, 4_500)
                },
                line(2, LineKind::Stock, "poster", 1, 900),
            ],
            claims: vec![
                Claim::Limit { r#ref: ada_limit(), quantity: 2, max: 2 },
                pool("concert", 2, false),
                pool("poster", 1, true),
                Claim::SeatMap { r#ref: hall(), seat_ids: seats() },
            ],
            hold_expires_at: deadline,
            absolute_deadline: self.now.plus(reservation::LONGEST_HOLD),
            channel: Channel::Other,
            policies: Policies {
                on_decline: if self.customer.keeps_hold {
                    OnDecline::KeepHold
                } else {
                    OnDecline::Release
                },
                late_payment: LatePayment::TryReacquire,
                capture: Capture::OnConfirm,
                remote_unlock: true,
            },
        }
    }
}
