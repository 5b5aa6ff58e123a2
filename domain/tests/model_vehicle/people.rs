//! People: they book, pay, unlock (perhaps too early, perhaps twice), drive, lock, cancel, return; at
//! any time, and impatiently.

use std::time::Duration;

use holdfast_domain::process::{Command, rental};
use holdfast_domain::reservation::{
    self, CancelReason, Capture, Channel, Claim, Line, LineKind, Policies, Status,
};
use holdfast_domain::vehicle::{self, LockReason};
use holdfast_domain::{
    AttemptId, By, Currency, Money, Period, ReservationId, UserId, derive, inventory, payment,
};
use uuid::Uuid;

use crate::Without;
use crate::dice::Dice;
use crate::world::{CARS, Happening, World, car_id, class};

pub(crate) struct Person {
    number: usize,
    pub(crate) id: ReservationId,
    begins: Duration,
    /// The car of a walk-up; none: a rental with a period.
    walk_up: Option<usize>,
    booked: bool,
    pub(crate) money_lost: bool,
    /// How many names its presses have.
    presses: u32,
    /// The last press, which an impatient person repeats under the same key.
    last: Option<Uuid>,
}

impl Person {
    pub(crate) fn new(number: usize, dice: &mut Dice) -> Self {
        let walk_up =
            dice.percent(60).then(|| usize::try_from(dice.below(CARS as u64)).expect("small"));
        Self {
            number,
            id: ReservationId(derive(&["person", &number.to_string()])),
            begins: dice.millis(0, 700_000),
            walk_up,
            booked: false,
            money_lost: false,
            presses: 0,
            last: None,
        }
    }

    pub(crate) fn begins(&self) -> Duration {
        self.begins
    }

    pub(crate) fn user(&self) -> UserId {
        UserId::new(format!("user-{}", self.number)).expect("a user")
    }
}

impl World {
    /// The next thing that somebody does, and when the one after that comes.
    pub(crate) fn person(&mut self, number: usize) {
        let wait =
            if self.is_chaos() { self.dice.millis(300, 25_000) } else { Duration::from_secs(30) };
        self.after(wait, Happening::Person(number));
        if !self.is_serving() {
            return;
        }
        if !self.people[number].booked {
            return self.books(number);
        }
        let id = self.people[number].id;
        let status = self.reservations.get(&id).map_or(Status::None, |state| state.status);
        let chaos = self.is_chaos();
        let mood = self.dice.below(100);
        match status {
            Status::None => self.people[number].booked = false,
            Status::Hold => match mood {
                0..15 => self.unlocks(number),
                15..25 if chaos => self.cancels(number),
                _ => self.pays(number),
            },
            Status::AwaitingPayment => self.pays(number),
            Status::Confirmed if chaos => match mood {
                0..3 => self.money_vanishes(number),
                3..70 => self.unlocks(number),
                70..80 => self.locks(number),
                _ => self.cancels(number),
            },
            // Whoever has not come by now gives it up.
            Status::Confirmed => self.cancels(number),
            Status::InUse if chaos => match mood {
                0..30 => self.unlocks(number),
                30..60 => self.locks(number),
                60..65 => self.cancels(number),
                65..85 => {}
                _ => self.brings_back(number),
            },
            Status::InUse => self.brings_back(number),
            // It presses once more, or once more tries what it may not.
            Status::Completed | Status::Cancelled if chaos && mood < 15 => self.unlocks(number),
            Status::Completed
            | Status::Cancelled
            | Status::Reacquiring
            | Status::HoldFailed
            | Status::HoldExpired => {}
        }
    }

    fn books(&mut self, number: usize) {
        if !self.is_chaos() {
            return;
        }
        self.people[number].booked = true;
        let id = self.people[number].id;
        let user_id = self.people[number].user();
        let walk_up = self.people[number].walk_up;
        let attempt = AttemptId(derive(&["attempt", &id.to_string()]));
        let expires_at = self.now.plus(Duration::from_secs(960));
        let from = self.now.plus(self.dice.millis(1_000, 120_000));
        let until = from.plus(self.dice.millis(60_000, 600_000));
        let period = walk_up.is_none().then_some(Period { from, until });
        let hold = inventory::Command::Hold {
            reservation_id: id,
            qty: 1,
            expires_at,
            epoch: 1,
            attempt,
            period,
        };
        let mut claims =
            vec![Claim::Inventory { r#ref: class(), quantity: 1, period, consumed: false }];
        if self.perform(&Command::Inventory(class(), hold)).is_err() {
            return;
        }
        if let Some(car) = walk_up {
            let reserve = vehicle::Command::Reserve {
                reservation_id: id,
                user_id: user_id.clone(),
                epoch: 1,
                expires_at: Some(expires_at),
                attempt,
                period: None,
                confirmed: false,
            };
            if self.order(car, reserve).is_err() {
                let withdraw = inventory::Command::Withdraw { reservation_id: id, attempt };
                let _ = self.perform(&Command::Inventory(class(), withdraw));
                return;
            }
            claims.push(Claim::Vehicle { r#ref: car_id(car) });
        }
        let place = reservation::Command::PlaceHold {
            user_id,
            lines: vec![Line {
                line_id: 1,
                kind: LineKind::Vehicle,
                sku: Some(class()),
                quantity: 1,
                seat_map_id: None,
                seat_ids: vec![],
                period,
                vehicle_id: walk_up.map(car_id),
                unit_price: Money::new(9_000, Currency::new("EUR").expect("a currency")),
            }],
            claims,
            hold_expires_at: self.now.plus(Duration::from_secs(900)),
            absolute_deadline: self.now.plus(Duration::from_secs(7_200)),
            channel: Channel::Other,
            policies: Policies {
                capture: Capture::OnCompletion,
                remote_unlock: true,
                ..Policies::default()
            },
        };
        self.perform(&Command::Reservation(id, place)).expect("a hold");
    }

    fn pays(&mut self, number: usize) {
        let id = self.people[number].id;
        let by = By::Owner(self.people[number].user());
        let request = reservation::Command::RequestPayment {
            by,
            gateway: "sandbox".into(),
            flow: payment::Flow::Direct,
            extend_to: None,
        };
        let _ = self.perform(&Command::Reservation(id, request));
        let payment_id = id.payment_id();
        let paid = reservation::Command::ConfirmPaid { payment_id, attempt: 1 };
        let _ = self.perform(&Command::Reservation(id, paid));
    }

    /// The car that the reservation names, as far as it names one.
    fn car_of(&self, number: usize) -> Option<usize> {
        let state = self.reservations.get(&self.people[number].id)?;
        let id = state.vehicle_id.as_ref()?;
        (0..CARS).find(|car| car_id(*car) == *id)
    }

    /// Some press again what they have pressed: the same key, so the same command.
    fn name(&mut self, number: usize) -> Uuid {
        if let Some(last) = self.people[number].last
            && self.dice.percent(40)
        {
            return last;
        }
        self.people[number].presses += 1;
        let (id, presses) = (self.people[number].id, self.people[number].presses);
        let name = derive(&["press", &id.to_string(), &presses.to_string()]);
        self.people[number].last = Some(name);
        name
    }

    fn unlocks(&mut self, number: usize) {
        let Some(car) = self.car_of(number) else { return };
        let unlock = vehicle::Command::RequestUnlock {
            command_id: self.name(number),
            reservation_id: self.people[number].id,
            by: By::Owner(self.people[number].user()),
            deadline: self.now.plus(Duration::from_secs(20)),
        };
        let _ = self.order(car, unlock);
    }

    fn locks(&mut self, number: usize) {
        let Some(car) = self.car_of(number) else { return };
        self.people[number].presses += 1;
        let (id, presses) = (self.people[number].id, self.people[number].presses);
        let lock = vehicle::Command::RequestLock {
            command_id: derive(&["lock", &id.to_string(), &presses.to_string()]),
            reservation_id: Some(id),
            by: By::Owner(self.people[number].user()),
            deadline: self.now.plus(Duration::from_secs(20)),
            reason: LockReason::User,
        };
        let _ = self.order(car, lock);
    }

    /// As the engine does: the vehicle lets go first (D32).
    fn cancels(&mut self, number: usize) {
        let id = self.people[number].id;
        let state = self.reservations.get(&id).cloned().unwrap_or_default();
        if self.plan.without != Some(Without::OwnEntitlement)
            && let Some(first) = rental::before_cancel(&id, &state)
            && self.perform(&first).is_err()
        {
            self.met.insert("cancel refused by the vehicle");
            return;
        }
        let cancel = reservation::Command::Cancel {
            by: By::Owner(self.people[number].user()),
            reason: CancelReason::User,
            refund: None,
        };
        let _ = self.perform(&Command::Reservation(id, cancel));
    }

    /// Its bank takes the money back: cancelled, whatever the car is doing.
    fn money_vanishes(&mut self, number: usize) {
        let id = self.people[number].id;
        self.people[number].money_lost = true;
        let lost =
            reservation::Command::RecordMoneyLost { payment_id: id.payment_id(), attempt: 1 };
        if self.perform(&Command::Reservation(id, lost)).is_ok() {
            self.met.insert("money lost");
        }
    }

    fn brings_back(&mut self, number: usize) {
        let complete = reservation::Command::Complete {
            by: By::Owner(self.people[number].user()),
            odometer_end_m: 60_000,
            fuel_end_pct: 50,
            location: None,
            without_unlock: None,
        };
        let _ = self.perform(&Command::Reservation(self.people[number].id, complete));
    }
}
