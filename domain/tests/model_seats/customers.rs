//! What customers do, and the attempts that the engine makes for them.

use super::*;

impl World {
    fn map_command(&self, command: seatmap::Command) -> Command {
        Command::SeatMap(self.map_id.clone(), command)
    }

    fn attach(&self, tab: usize, attempt: usize, by_lock: bool, deadline: u8) -> Command {
        let seats = if by_lock {
            Seats::OfLock(lock_id(tab))
        } else {
            Seats::Named(vec![self.seat.clone()])
        };
        self.map_command(seatmap::Command::Attach {
            reservation_id: reservation_id(tab),
            user_id: self.user(tab),
            seats,
            expires_at: at(deadline + self.grace),
            epoch: 1,
            attempt: attempt_id(tab, attempt),
        })
    }

    fn place_hold(&self, tab: usize, deadline: u8) -> Command {
        let euro = Currency::new("EUR").expect("a currency");
        let seat_ids = vec![self.seat.clone()];
        let place = reservation::Command::PlaceHold {
            user_id: self.user(tab),
            lines: vec![Line {
                line_id: 1,
                kind: LineKind::Seat,
                sku: None,
                quantity: 1,
                seat_map_id: Some(self.map_id.clone()),
                seat_ids: seat_ids.clone(),
                period: None,
                vehicle_id: None,
                unit_price: Money::new(4_500, euro),
            }],
            claims: vec![Claim::SeatMap { r#ref: self.map_id.clone(), seat_ids }],
            hold_expires_at: at(deadline),
            absolute_deadline: at(deadline),
            channel: Channel::Other,
            policies: Policies::default(),
        };
        Command::Reservation(reservation_id(tab), place)
    }

    pub(super) fn customers(&mut self, state: &State, out: &mut Vec<(Action, State)>) {
        let (now, busy) = (state.now, state.now <= self.size.busy_until);
        for tab in 0..2 {
            let it = &state.tabs[tab];
            let mut next = state.clone();
            if busy && !it.locked && self.size.locks[tab] {
                next.tabs[tab].locked = true;
                let lock = self.known(("lock", tab, 0, now), |world| {
                    world.map_command(seatmap::Command::Lock {
                        lock_id: lock_id(tab),
                        user_id: world.user(tab),
                        seats: Seats::Named(vec![world.seat.clone()]),
                        expires_at: at(now + world.size.lock_ttl),
                    })
                });
                if self.ask_map(&mut next, lock).is_ok() {
                    out.push((Action::Lock(tab), next));
                }
            } else if it.locked {
                let release = self.known(("leave", tab, 0, 0), |world| {
                    let by = By::Owner(world.user(tab));
                    world.map_command(seatmap::Command::ReleaseLock { lock_id: lock_id(tab), by })
                });
                if self.ask_map(&mut next, release).is_ok() {
                    out.push((Action::LeavePage(tab), next));
                }
            }
            for attempt in 0..self.size.attempts[tab] {
                self.attempt(state, tab, attempt, out);
            }
            if self.reservations.get(it.state).status == Status::Hold {
                let pay = self.known(("pay", tab, 0, 0), |world| {
                    let pay = reservation::Command::RequestPayment {
                        by: By::Owner(world.user(tab)),
                        gateway: "sandbox".into(),
                        flow: Flow::Direct,
                        extend_to: None,
                    };
                    Command::Reservation(reservation_id(tab), pay)
                });
                let mut next = state.clone();
                if self.ask_reservation(&mut next, tab, pay).is_ok() {
                    out.push((Action::Pay(tab), next));
                }
            }
            if !self.reservations.get(it.state).payments.is_empty() {
                let arrives = self.known(("money", tab, 0, 0), |_| {
                    let payment_id = reservation_id(tab).payment_id();
                    let paid = reservation::Command::ConfirmPaid { payment_id, attempt: 1 };
                    Command::Reservation(reservation_id(tab), paid)
                });
                let mut next = state.clone();
                if self.ask_reservation(&mut next, tab, arrives).is_ok() {
                    out.push((Action::MoneyArrives(tab), next));
                }
            }
            if self.size.cancels[tab] {
                let cancel = self.known(("cancel", tab, 0, 0), |world| {
                    let (by, reason) = (By::Owner(world.user(tab)), CancelReason::User);
                    let cancel = reservation::Command::Cancel { by, reason, refund: None };
                    Command::Reservation(reservation_id(tab), cancel)
                });
                let mut next = state.clone();
                if self.ask_reservation(&mut next, tab, cancel).is_ok() {
                    out.push((Action::Cancel(tab), next));
                }
            }
        }
    }

    fn attempt(
        &mut self,
        state: &State,
        tab: usize,
        attempt: usize,
        out: &mut Vec<(Action, State)>,
    ) {
        let mut to = |model: &mut Self, action, change: &dyn Fn(&mut Self, &mut State) -> bool| {
            let mut next = state.clone();
            if change(model, &mut next) {
                out.push((action, next));
            }
        };
        let it = &state.tabs[tab];
        let set = |next: &mut State, step| next.tabs[tab].attempts[attempt] = step;
        match it.attempts[attempt] {
            Attempt::NotYet => {
                let first = attempt == 0 || it.attempts[0] != Attempt::NotYet;
                if state.now > self.size.busy_until || !first {
                    return;
                }
                let deadline = state.now + self.size.hold;
                let modes = match it.by_lock {
                    Some(mode) => vec![mode],
                    None if it.locked => vec![true, false],
                    None => vec![false],
                };
                for by_lock in modes {
                    to(self, Action::Attach { tab, attempt, by_lock }, &|model, next| {
                        let what = if by_lock { "attach by lock" } else { "attach by name" };
                        let command = model.known((what, tab, attempt, deadline), |world| {
                            world.attach(tab, attempt, by_lock, deadline)
                        });
                        let attached = model.ask_map(next, command).is_ok();
                        next.tabs[tab].by_lock = Some(by_lock);
                        let step =
                            if attached { Attempt::Attached(deadline) } else { Attempt::Over };
                        set(next, step);
                        true
                    });
                }
            }
            Attempt::Attached(deadline) => {
                to(self, Action::PlaceHold { tab, attempt }, &|model, next| {
                    let command = model.known(("place", tab, 0, deadline), |world| {
                        world.place_hold(tab, deadline)
                    });
                    let placed = model.ask_reservation(next, tab, command).is_ok();
                    set(next, if placed { Attempt::Over } else { Attempt::Refused });
                    true
                });
                to(self, Action::RefusedElsewhere { tab, attempt }, &|_, next| {
                    set(next, Attempt::Refused);
                    true
                });
                to(self, Action::Crash { tab, attempt }, &|_, next| {
                    set(next, Attempt::Over);
                    true
                });
            }
            Attempt::Refused => {
                to(self, Action::Withdraw { tab, attempt }, &|model, next| {
                    let withdraw = model.known(("withdraw", tab, attempt, 0), |world| {
                        world.map_command(seatmap::Command::Withdraw {
                            reservation_id: reservation_id(tab),
                            attempt: attempt_id(tab, attempt),
                        })
                    });
                    set(next, Attempt::Over);
                    model.ask_map(next, withdraw).is_ok()
                });
                to(self, Action::Crash { tab, attempt }, &|_, next| {
                    set(next, Attempt::Over);
                    true
                });
            }
            Attempt::Over => {}
        }
    }
}
