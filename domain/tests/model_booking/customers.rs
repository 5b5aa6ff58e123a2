//! Customers: they acquire pool by pool, place the hold, pay and cancel; after any step they may be gone.

use holdfast_domain::reservation::Status;

use super::Model;
use super::rules::{Wish, has_ended};
use super::scenario::Rule;
use super::world::{Acquire, Pay, World};

impl Model {
    pub(super) fn acquire(
        &mut self,
        world: &mut World,
        who: usize,
        attempt: usize,
        ahead: u8,
    ) -> bool {
        let scenario = self.rules.scenario;
        let first = scenario.first_pool(who) as u8;
        let present = world.bookings[who].attempts[attempt];
        let next = match present {
            Acquire::Done => return false,
            // A retry comes after the first attempt has begun.
            Acquire::Idle if attempt == 1 && world.bookings[who].attempts[0] == Acquire::Idle => {
                return false;
            }
            Acquire::Idle => {
                let deadline = world.now + scenario.hold;
                // The story must end for everybody.
                if deadline + scenario.grace > scenario.last_tick {
                    return false;
                }
                self.hold(world, (who, attempt), first, deadline, ahead)
            }
            Acquire::Holding { pool, deadline } if pool < 2 => {
                self.hold(world, (who, attempt), pool, deadline, ahead)
            }
            Acquire::Holding { pool: _, deadline } => {
                let command = self.rules.wish(Wish::Place { who, deadline });
                let outcome = self.ask(world, who, command, 0);
                match outcome.refusal {
                    None => Acquire::Done,
                    Some(_) => Acquire::Withdrawing { pool: 2 },
                }
            }
            Acquire::Withdrawing { pool } if pool == first => Acquire::Done,
            Acquire::Withdrawing { pool } => {
                let pool = pool - 1;
                let wish = Wish::Withdraw { who, attempt, pool: usize::from(pool) };
                let command = self.rules.wish(wish);
                self.ask(world, who, command, ahead);
                if pool == first { Acquire::Done } else { Acquire::Withdrawing { pool } }
            }
        };
        world.bookings[who].attempts[attempt] = next;
        true
    }

    fn hold(
        &mut self,
        world: &mut World,
        (who, attempt): (usize, usize),
        pool: u8,
        deadline: u8,
        ahead: u8,
    ) -> Acquire {
        let until = deadline + self.rules.scenario.grace;
        let wish = Wish::Hold { who, attempt, pool: usize::from(pool), until };
        let command = self.rules.wish(wish);
        match self.ask(world, who, command, ahead).refusal {
            None => Acquire::Holding { pool: pool + 1, deadline },
            Some(_) if usize::from(pool) == self.rules.scenario.first_pool(who) => Acquire::Done,
            Some(_) => Acquire::Withdrawing { pool },
        }
    }

    pub(super) fn pay(&mut self, world: &mut World, who: usize, ahead: u8) -> bool {
        let scenario = self.rules.scenario;
        let first = scenario.first_pool(who) as u8;
        let first_extends = scenario.without != Some(Rule::ExtendClaimsFirst);
        let present = world.bookings[who].pay;
        let next = match (present, scenario.extension) {
            (Pay::Idle, extension) => {
                let state = self.rules.reservation(world.bookings[who].reservation);
                let open = match state.status {
                    Status::Hold | Status::AwaitingPayment => !state.payment_open,
                    Status::None
                    | Status::Reacquiring
                    | Status::Confirmed
                    | Status::InUse
                    | Status::Completed
                    | Status::HoldFailed
                    | Status::HoldExpired
                    | Status::Cancelled => false,
                };
                if !open || world.bookings[who].payments >= scenario.payments {
                    return false;
                }
                world.bookings[who].payments += 1;
                let extension = extension.map(|ticks| world.now + ticks);
                match extension.filter(|until| until + scenario.grace <= scenario.last_tick) {
                    Some(until) if first_extends => self.extend(world, who, first, until, ahead),
                    Some(until) => {
                        self.request(world, who, Some(until));
                        Pay::Afterwards { pool: first, until }
                    }
                    None => {
                        self.request(world, who, None);
                        Pay::Idle
                    }
                }
            }
            (Pay::Extending { pool, until }, _) if pool < 2 => {
                self.extend(world, who, pool, until, ahead)
            }
            (Pay::Extending { pool: _, until }, _) => {
                self.request(world, who, Some(until));
                Pay::Idle
            }
            (Pay::Plainly, _) => {
                self.request(world, who, None);
                Pay::Idle
            }
            (Pay::Afterwards { pool, until }, _) => {
                self.extend(world, who, pool, until, ahead);
                if pool == 0 { Pay::Afterwards { pool: 1, until } } else { Pay::Idle }
            }
        };
        world.bookings[who].pay = next;
        true
    }

    fn extend(&mut self, world: &mut World, who: usize, pool: u8, until: u8, ahead: u8) -> Pay {
        let until_with_grace = until + self.rules.scenario.grace;
        let wish = Wish::Extend { who, pool: usize::from(pool), until: until_with_grace };
        let command = self.rules.wish(wish);
        match self.ask(world, who, command, ahead).refusal {
            None => Pay::Extending { pool: pool + 1, until },
            Some(_) => Pay::Plainly,
        }
    }

    fn request(&mut self, world: &mut World, who: usize, until: Option<u8>) {
        let command = self.rules.wish(Wish::Request { who, until });
        self.ask(world, who, command, 0);
    }

    pub(super) fn cancel(&mut self, world: &mut World, who: usize) -> bool {
        let state = self.rules.reservation(world.bookings[who].reservation);
        if state.status == Status::None || has_ended(state.status) {
            return false;
        }
        world.bookings[who].may_cancel = false;
        let command = self.rules.wish(Wish::Cancel { who });
        self.ask(world, who, command, 0);
        true
    }
}
