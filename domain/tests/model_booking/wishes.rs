//! The commands of customers, and what a gateway may say.

use holdfast_domain::payment::{LostWhy, Status as Money, Via, Word};
use holdfast_domain::process::Command;
use holdfast_domain::reservation::{
    CancelReason, Capture, Channel, Claim, LatePayment, Line, LineKind, OnDecline, Policies,
};
use holdfast_domain::{
    AttemptId, By, Currency, Money as Amount, UserId, derive, inventory, payment, reservation,
    vehicle,
};

use super::actions::Action;
use super::rules::{Rules, Wish, at};
use super::world::N;

impl Rules {
    pub(super) fn command_of(&self, wish: Wish) -> Command {
        let attempt_of = |number: usize| AttemptId(derive(&["attempt", &number.to_string()]));
        let to_pool = |pool: usize, command| Command::Inventory(self.skus[pool].clone(), command);
        let to_car = |command| Command::Vehicle(self.car_id(), command);
        match wish {
            Wish::Hold { who, attempt, pool, until } if self.is_car(pool) => {
                to_car(vehicle::Command::Reserve {
                    reservation_id: self.ids[who],
                    user_id: customer(),
                    epoch: 1,
                    expires_at: Some(at(until)),
                    attempt: attempt_of(attempt),
                    period: None,
                    confirmed: false,
                })
            }
            Wish::Withdraw { who, attempt, pool } if self.is_car(pool) => {
                let (reservation_id, attempt) = (self.ids[who], attempt_of(attempt));
                to_car(vehicle::Command::Withdraw { reservation_id, attempt })
            }
            Wish::Extend { who, pool, until } if self.is_car(pool) => {
                to_car(vehicle::Command::ExtendReservation {
                    reservation_id: self.ids[who],
                    expires_at: at(until),
                    epoch: 1,
                })
            }
            Wish::Drop { who, pool } if self.is_car(pool) => {
                let reservation_id = self.ids[who];
                to_car(vehicle::Command::DropLapsed { reservation_id })
            }
            Wish::Hold { who, attempt, pool, until } => {
                let hold = inventory::Command::Hold {
                    reservation_id: self.ids[who],
                    qty: 1,
                    expires_at: at(until),
                    epoch: 1,
                    attempt: attempt_of(attempt),
                    period: None,
                };
                to_pool(pool, hold)
            }
            Wish::Withdraw { who, attempt, pool } => {
                let (reservation_id, attempt) = (self.ids[who], attempt_of(attempt));
                to_pool(pool, inventory::Command::Withdraw { reservation_id, attempt })
            }
            Wish::Extend { who, pool, until } => {
                let extend = inventory::Command::Extend {
                    reservation_id: self.ids[who],
                    expires_at: at(until),
                    epoch: 1,
                };
                to_pool(pool, extend)
            }
            Wish::Drop { who, pool } => {
                let reservation_id = self.ids[who];
                to_pool(pool, inventory::Command::DropLapsed { reservation_id })
            }
            Wish::Place { who, deadline } => {
                Command::Reservation(self.ids[who], self.place(who, deadline))
            }
            Wish::Request { who, until } => {
                let hosted = self.scenario.hosted;
                let request = reservation::Command::RequestPayment {
                    by: By::Owner(customer()),
                    gateway: "model".into(),
                    flow: if hosted { payment::Flow::Hosted } else { payment::Flow::Direct },
                    extend_to: until.map(at),
                };
                Command::Reservation(self.ids[who], request)
            }
            Wish::Cancel { who } => {
                let cancel = reservation::Command::Cancel {
                    by: By::Owner(customer()),
                    reason: CancelReason::User,
                    refund: None,
                };
                Command::Reservation(self.ids[who], cancel)
            }
        }
    }

    fn place(&self, who: usize, deadline: u8) -> reservation::Command {
        let scenario = self.scenario;
        let kind = if scenario.stock { LineKind::Stock } else { LineKind::Ticket };
        let mut lines = Vec::new();
        let mut claims = Vec::new();
        for (number, pool) in (1..).zip(scenario.first_pool(who)..2) {
            let sku = &self.skus[pool];
            let car = self.is_car(pool).then(|| self.car_id());
            lines.push(Line {
                line_id: number,
                kind: if car.is_some() { LineKind::Vehicle } else { kind },
                sku: Some(sku.clone()),
                quantity: 1,
                seat_map_id: None,
                seat_ids: vec![],
                period: None,
                vehicle_id: car.clone(),
                unit_price: Amount::new(100, Currency::new("EUR").expect("a currency")),
            });
            claims.push(match car {
                Some(car) => Claim::Vehicle { r#ref: car },
                None => Claim::Inventory {
                    r#ref: sku.clone(),
                    quantity: 1,
                    period: None,
                    consumed: scenario.stock,
                },
            });
        }
        let on_decline =
            if scenario.payments > 1 { OnDecline::KeepHold } else { OnDecline::Release };
        reservation::Command::PlaceHold {
            user_id: customer(),
            lines,
            claims,
            hold_expires_at: at(deadline),
            absolute_deadline: at(0).plus(reservation::LONGEST_HOLD),
            channel: Channel::Other,
            policies: Policies {
                on_decline,
                late_payment: LatePayment::TryReacquire,
                capture: Capture::OnConfirm,
                remote_unlock: true,
            },
        }
    }

    /// What the gateway may say now: what its own answers must be, and what payers may do.
    pub(super) fn words_to(&self, who: usize, payment: N) -> Vec<(Action, Command)> {
        let scenario = self.scenario;
        let state = self.payment(payment);
        let amount =
            state.amount().unwrap_or(Amount::zero(Currency::new("EUR").expect("a currency")));
        let gateway_ref = || "ref".to_owned();
        let mut words = Vec::new();
        for row in &state.attempts {
            let attempt = row.attempt;
            let authorized = || {
                let word = Word::Authorized {
                    gateway_ref: gateway_ref(),
                    approval_code: "ok".into(),
                    amount,
                    authorization_expires_at: None,
                };
                (Action::Authorized(who, attempt), attempt, word)
            };
            let succeeded = || {
                let word =
                    Word::Succeeded { gateway_ref: gateway_ref(), amount, approval_code: None };
                (Action::Succeeded(who, attempt), attempt, word)
            };
            let cancelled = || {
                let word = Word::Cancelled { lost: LostWhy::CancelledByGateway };
                (Action::Cancelled(who, attempt), attempt, word)
            };
            let declined = || {
                let word = Word::Declined {
                    code: "card_declined".into(),
                    decline_code: None,
                    retryable: false,
                };
                (Action::Declined(who, attempt), attempt, word)
            };
            let paid = if scenario.hosted { &succeeded as &dyn Fn() -> _ } else { &authorized };
            match row.status {
                Money::Pending | Money::RequiresAction => {
                    words.push(paid());
                    if scenario.decline {
                        words.push(declined());
                    }
                }
                // A declined intent can be paid after all.
                Money::Failed => words.push(paid()),
                Money::Authorized => {
                    if scenario.money_lost {
                        words.push(cancelled());
                    }
                }
                Money::CaptureRequested => {
                    words.push(succeeded());
                    if scenario.money_lost {
                        words.push(cancelled());
                        let word = Word::CaptureRefused {
                            code: "refused".into(),
                            retryable: false,
                            r#try: row.capture_try,
                        };
                        words.push((Action::CaptureRefused(who, attempt), attempt, word));
                    }
                }
                // The payer, or a capture that is under way, may still be faster than the void.
                Money::VoidRequested => {
                    words.push(cancelled());
                    if scenario.hosted || row.capture_try > 0 {
                        words.push(succeeded());
                    }
                }
                Money::RefundPending => {
                    for refund in row.pending_refunds() {
                        let word =
                            Word::Refunded { refund_id: refund.refund_id, amount: refund.amount };
                        words.push((Action::Refunded(who, attempt), attempt, word));
                    }
                }
                Money::None
                | Money::Succeeded
                | Money::Voided
                | Money::PartiallyRefunded
                | Money::Refunded
                | Money::Disputed => {}
            }
        }
        let payment_id = self.payment_id(who);
        let recorded = |(action, attempt, word)| {
            let record = payment::Command::Record {
                attempt,
                via: Via::Webhook,
                gateway_event_id: None,
                word,
            };
            (action, Command::Payment(payment_id, record))
        };
        words.into_iter().map(recorded).collect()
    }
}

fn customer() -> UserId {
    UserId::new("ada").expect("a user")
}
