//! Random histories of a seat map beside a naive one, which writes everything on the seats themselves.
//! S1 to S4; what is accepted can be repeated; each fact changes the state.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::tests::adds_up;
use super::{
    Category, Command, Owner, Plan, Refusal, ReleaseReason, SeatStatus, Seats, Section, State,
};
use crate::claim::testing::{ask, at, attempt, cases, kept, reservation, user};
use crate::{By, Currency, LockId, Money, SeatId, SeatMapId, Timestamp};

const SEATS: usize = 6;
const USERS: [&str; 2] = ["anna", "ben"];

/// Everything about a taken seat, on each seat again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tag {
    by: Whose,
    user: usize,
    until: Option<i64>,
    epoch: u32,
    booked: bool,
    /// The bare lock that it was, and until when.
    origin: Option<(u128, i64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Whose {
    Lock(u128),
    Reservation(u128),
}

impl Tag {
    fn due(&self, now: i64) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

#[derive(Clone, Debug, Default)]
struct Naive {
    seats: [Option<Tag>; SEATS],
    blocked: [bool; SEATS],
    names: BTreeMap<u128, BTreeSet<u128>>,
    fence: BTreeMap<u128, u32>,
}

impl Naive {
    fn of(&self, by: Whose) -> Vec<usize> {
        let is = |seat: &usize| self.seats[*seat].is_some_and(|tag| tag.by == by);
        (0..SEATS).filter(is).collect()
    }

    fn tag(&self, by: Whose) -> Option<Tag> {
        self.seats[*self.of(by).first()?]
    }

    fn free(&mut self, by: Whose) {
        self.of(by).into_iter().for_each(|seat| self.seats[seat] = None);
        if let Whose::Reservation(r) = by {
            self.names.remove(&r);
        }
    }

    /// Frees what has lapsed of the wanted seats' owners; false when any is taken or blocked.
    fn make_room(&mut self, seats: &[usize], now: i64, own: impl Fn(&Tag) -> bool) -> bool {
        let fits = seats.iter().all(|seat| {
            !self.blocked[*seat] && self.seats[*seat].is_none_or(|tag| tag.due(now) || own(&tag))
        });
        if fits {
            for seat in seats {
                if let Some(tag) = self.seats[*seat].filter(|tag| tag.due(now) && !own(tag)) {
                    self.free(tag.by);
                }
            }
        }
        fits
    }

    fn last(&self, r: u128) -> u32 {
        self.fence.get(&r).copied().unwrap_or(0)
    }

    fn step(&mut self, step: &Step, now: i64) -> bool {
        match step {
            Step::Lock { lock, user, seats, until } => {
                let by = Whose::Lock(*lock);
                if let Some(tag) = self.tag(by).filter(|tag| !tag.due(now)) {
                    return tag.user == *user && self.of(by) == *seats;
                }
                if *until <= now || !self.make_room(seats, now, |_| false) {
                    return false;
                }
                self.free(by);
                let tag = Tag {
                    by,
                    user: *user,
                    until: Some(*until),
                    epoch: 0,
                    booked: false,
                    origin: None,
                };
                seats.iter().for_each(|seat| self.seats[*seat] = Some(tag));
                true
            }
            Step::ReleaseLock { lock, user } => {
                let by = Whose::Lock(*lock);
                if self.tag(by).is_some_and(|tag| tag.user == *user) {
                    self.free(by);
                }
                true
            }
            Step::Attach { r, user, seats, of_lock, until, epoch, name } => {
                let by = Whose::Reservation(*r);
                if *epoch <= self.last(*r) {
                    return false;
                }
                if let Some(tag) = self.tag(by) {
                    let mine = self.of(by);
                    let came_from = |lock: u128| {
                        let is = |seat: &usize| {
                            self.seats[*seat]
                                .and_then(|tag| tag.origin)
                                .is_some_and(|origin| origin.0 == lock)
                        };
                        mine.iter().any(is)
                    };
                    let same = of_lock.map_or(mine == *seats, came_from) && tag.user == *user;
                    if tag.booked {
                        return same;
                    }
                    if *epoch < tag.epoch || *until <= now || !same {
                        return false;
                    }
                    let Some(before) = tag.until else { return true };
                    let news = self.names.entry(*r).or_default().insert(*name) || *until > before;
                    for seat in mine {
                        let tag = self.seats[seat].as_mut().expect("mine");
                        tag.until = Some(before.max(*until));
                        tag.epoch = if news { *epoch } else { tag.epoch };
                    }
                    return true;
                }
                if *until <= now {
                    return false;
                }
                let seats = match of_lock {
                    None => seats.clone(),
                    Some(lock) => {
                        let by = Whose::Lock(*lock);
                        match self.tag(by) {
                            Some(tag) if tag.user == *user && !tag.due(now) => self.of(by),
                            Some(_) | None => return false,
                        }
                    }
                };
                let own = |tag: &Tag| {
                    matches!(tag.by, Whose::Lock(_)) && tag.user == *user && !tag.due(now)
                };
                if !self.make_room(&seats, now, own) {
                    return false;
                }
                let mut finished = BTreeSet::new();
                for seat in seats {
                    let origin = self.seats[seat].and_then(|tag| match tag.by {
                        Whose::Lock(lock) => Some((lock, tag.until?)),
                        Whose::Reservation(_) => None,
                    });
                    finished.extend(origin.map(|(lock, _)| lock));
                    self.seats[seat] = Some(Tag {
                        by,
                        user: *user,
                        until: Some(*until),
                        epoch: *epoch,
                        booked: false,
                        origin,
                    });
                }
                finished.into_iter().for_each(|lock| self.free(Whose::Lock(lock)));
                self.names.insert(*r, [*name].into());
                true
            }
            Step::Withdraw { r, name } => {
                let by = Whose::Reservation(*r);
                let held = self.tag(by).is_some_and(|tag| !tag.booked);
                let Some(names) = self.names.get_mut(r).filter(|_| held) else { return true };
                if names.remove(name) && names.is_empty() {
                    // A late repeat may have made a new lock of an id that was taken over.
                    let anew: BTreeSet<_> = self.seats.iter().flatten().map(|tag| tag.by).collect();
                    for seat in self.of(by) {
                        let tag = self.seats[seat].expect("its own");
                        let back = tag.origin.filter(|(lock, until)| {
                            now < *until && !anew.contains(&Whose::Lock(*lock))
                        });
                        self.seats[seat] = back.map(|(lock, until)| Tag {
                            by: Whose::Lock(lock),
                            until: Some(until),
                            epoch: 0,
                            origin: None,
                            ..tag
                        });
                    }
                    self.names.remove(r);
                }
                true
            }
            Step::Extend { r, until, epoch } => {
                let Some(tag) = self.tag(Whose::Reservation(*r)) else { return false };
                if tag.booked {
                    return true;
                }
                if tag.epoch != *epoch {
                    return false;
                }
                match tag.until {
                    Some(before) if before < *until && *until <= now => false,
                    Some(before) if before < *until => {
                        for seat in self.of(Whose::Reservation(*r)) {
                            self.seats[seat].as_mut().expect("its own").until = Some(*until);
                        }
                        true
                    }
                    Some(_) | None => true,
                }
            }
            Step::Confirm { r, epoch } => {
                let Some(tag) = self.tag(Whose::Reservation(*r)) else { return false };
                if !tag.booked && tag.epoch != *epoch {
                    return false;
                }
                for seat in self.of(Whose::Reservation(*r)) {
                    let tag = self.seats[seat].as_mut().expect("its own");
                    (tag.booked, tag.until) = (true, None);
                }
                self.names.remove(r);
                true
            }
            Step::Release { r, epoch, reason } => {
                let by = Whose::Reservation(*r);
                let ends = |tag: &Tag| {
                    let final_reason =
                        reason.ends_commitment() && *reason != ReleaseReason::Completed;
                    tag.epoch <= *epoch && (final_reason || !tag.booked)
                };
                if self.tag(by).is_some_and(|tag| ends(&tag)) {
                    self.free(by);
                }
                self.fence.insert(*r, self.last(*r).max(*epoch));
                true
            }
            Step::Reacquire { r, user, seats, epoch } => {
                let by = Whose::Reservation(*r);
                if *epoch <= self.last(*r) {
                    return false;
                }
                if let Some(tag) = self.tag(by) {
                    if tag.booked || (tag.until.is_none() && *epoch <= tag.epoch) {
                        return true;
                    }
                    if *epoch <= tag.epoch {
                        return false;
                    }
                }
                if !self.make_room(seats, now, |tag| tag.by == by) {
                    return false;
                }
                let all: BTreeSet<_> = self.of(by).into_iter().chain(seats.clone()).collect();
                for seat in all {
                    let origin = self.seats[seat].and_then(|tag| tag.origin);
                    self.seats[seat] = Some(Tag {
                        by,
                        user: *user,
                        until: None,
                        epoch: *epoch,
                        booked: false,
                        origin,
                    });
                }
                self.names.remove(r);
                true
            }
            Step::DropLapsed { by } => {
                if self.tag(*by).is_some_and(|tag| tag.due(now)) {
                    self.free(*by);
                }
                true
            }
            Step::Block { seats } => {
                let taken = |seat: &usize| self.seats[*seat].is_some_and(|tag| !tag.due(now));
                if seats.iter().any(taken) {
                    return false;
                }
                for seat in seats {
                    if let Some(tag) = self.seats[*seat] {
                        self.free(tag.by);
                    }
                    self.blocked[*seat] = true;
                }
                true
            }
            Step::Unblock { seats } => {
                seats.iter().for_each(|seat| self.blocked[*seat] = false);
                true
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Lock {
        lock: u128,
        user: usize,
        seats: Vec<usize>,
        until: i64,
    },
    ReleaseLock {
        lock: u128,
        user: usize,
    },
    Attach {
        r: u128,
        user: usize,
        seats: Vec<usize>,
        of_lock: Option<u128>,
        until: i64,
        epoch: u32,
        name: u128,
    },
    Withdraw {
        r: u128,
        name: u128,
    },
    Extend {
        r: u128,
        until: i64,
        epoch: u32,
    },
    Confirm {
        r: u128,
        epoch: u32,
    },
    Release {
        r: u128,
        epoch: u32,
        reason: ReleaseReason,
    },
    Reacquire {
        r: u128,
        user: usize,
        seats: Vec<usize>,
        epoch: u32,
    },
    DropLapsed {
        by: Whose,
    },
    Block {
        seats: Vec<usize>,
    },
    Unblock {
        seats: Vec<usize>,
    },
}

fn seat(index: usize) -> SeatId {
    SeatId::new(format!("S-{}-{}", index / 3 + 1, index % 3 + 1)).expect("a seat's id")
}

fn ids(seats: &[usize]) -> Vec<SeatId> {
    seats.iter().copied().map(seat).collect()
}

fn lock_id(number: u128) -> LockId {
    LockId(uuid::Uuid::from_u128(0x10c0 + number))
}

fn owner(by: Whose) -> Owner {
    match by {
        Whose::Lock(lock) => Owner::Lock(lock_id(lock)),
        Whose::Reservation(r) => Owner::Reservation(reservation(r)),
    }
}

impl Step {
    fn command(&self) -> Command {
        match self {
            Self::Lock { lock, user: who, seats, until } => Command::Lock {
                lock_id: lock_id(*lock),
                user_id: user(USERS[*who]),
                seats: Seats::Named(ids(seats)),
                expires_at: at(*until),
            },
            Self::ReleaseLock { lock, user: who } => {
                Command::ReleaseLock { lock_id: lock_id(*lock), by: By::Owner(user(USERS[*who])) }
            }
            Self::Attach { r, user: who, seats, of_lock, until, epoch, name } => Command::Attach {
                reservation_id: reservation(*r),
                user_id: user(USERS[*who]),
                seats: match of_lock {
                    None => Seats::Named(ids(seats)),
                    Some(lock) => Seats::OfLock(lock_id(*lock)),
                },
                expires_at: at(*until),
                epoch: *epoch,
                attempt: attempt(*name),
            },
            Self::Withdraw { r, name } => {
                Command::Withdraw { reservation_id: reservation(*r), attempt: attempt(*name) }
            }
            Self::Extend { r, until, epoch } => Command::Extend {
                reservation_id: reservation(*r),
                expires_at: at(*until),
                epoch: *epoch,
            },
            Self::Confirm { r, epoch } => {
                Command::Confirm { reservation_id: reservation(*r), epoch: *epoch }
            }
            Self::Release { r, epoch, reason } => {
                Command::Release { reservation_id: reservation(*r), epoch: *epoch, reason: *reason }
            }
            Self::Reacquire { r, user: who, seats, epoch } => Command::Reacquire {
                reservation_id: reservation(*r),
                user_id: user(USERS[*who]),
                seat_ids: ids(seats),
                epoch: *epoch,
            },
            Self::DropLapsed { by } => Command::DropLapsed { owner: owner(*by) },
            Self::Block { seats } => {
                Command::Block { seat_ids: ids(seats), reason: "camera".into() }
            }
            Self::Unblock { seats } => Command::Unblock { seat_ids: ids(seats) },
        }
    }
}

fn some_seats() -> impl Strategy<Value = Vec<usize>> {
    prop::sample::subsequence((0..SEATS).collect::<Vec<_>>(), 1..=3)
}

/// Each reservation mostly asks for the same, as its recorded lines do.
fn wishes() -> impl Strategy<Value = (u128, usize, Vec<usize>)> {
    (0..4usize, prop::option::weighted(0.2, (0..2usize, some_seats()))).prop_map(|(r, odd)| {
        let own = (r % 2, vec![r, r + 1, r + 2]);
        let (who, seats) = odd.unwrap_or(own);
        (u128::try_from(r).expect("small") + 1, who, seats)
    })
}

fn steps() -> impl Strategy<Value = Step> {
    let lock = (1..=3u128, 0..2usize, some_seats(), 1..25i64)
        .prop_map(|(lock, user, seats, until)| Step::Lock { lock, user, seats, until });
    let attach = (wishes(), prop::option::weighted(0.4, 1..=3u128), 1..25i64, 1..=2u32, 1..=2u128)
        .prop_map(|((r, user, seats), of_lock, until, epoch, name)| Step::Attach {
            r,
            user,
            seats,
            of_lock,
            until,
            epoch,
            name,
        });
    let again = (wishes(), 1..=3u32).prop_map(|((r, user, seats), epoch)| Step::Reacquire {
        r,
        user,
        seats,
        epoch,
    });
    let reason = prop::sample::select(vec![
        ReleaseReason::Expired,
        ReleaseReason::Cancelled,
        ReleaseReason::Completed,
        ReleaseReason::LateRejected,
    ]);
    let r = 1..=4u128;
    let whose =
        prop_oneof![(1..=3u128).prop_map(Whose::Lock), (1..=4u128).prop_map(Whose::Reservation)];
    prop_oneof![
        6 => lock,
        8 => attach,
        3 => again,
        2 => (1..=3u128, 0..2usize).prop_map(|(lock, user)| Step::ReleaseLock { lock, user }),
        3 => (r.clone(), 1..=2u128).prop_map(|(r, name)| Step::Withdraw { r, name }),
        2 => (r.clone(), 1..25i64, 1..=2u32)
            .prop_map(|(r, until, epoch)| Step::Extend { r, until, epoch }),
        3 => (r.clone(), 1..=3u32).prop_map(|(r, epoch)| Step::Confirm { r, epoch }),
        3 => (r, 1..=3u32, reason)
            .prop_map(|(r, epoch, reason)| Step::Release { r, epoch, reason }),
        3 => whose.prop_map(|by| Step::DropLapsed { by }),
        1 => some_seats().prop_map(|seats| Step::Block { seats }),
        1 => some_seats().prop_map(|seats| Step::Unblock { seats }),
    ]
}

fn hall() -> State {
    let euro = Currency::new("EUR").expect("a currency");
    let plan = Plan {
        name: "Small hall".into(),
        sku: None,
        categories: vec![Category { name: "A".into(), price: Money::new(4_500, euro) }],
        sections: vec![Section {
            name: "S".into(),
            category: "A".into(),
            rows: 2,
            seats_per_row: 3,
        }],
    };
    let mut state = State::default();
    for event in state.judge(&Command::Publish { plan }, Timestamp::default()).expect("a plan") {
        state.take_in(&event);
    }
    state
}

fn agree(real: &State, naive: &Naive) -> Result<(), TestCaseError> {
    adds_up(real);
    for index in 0..SEATS {
        let view = real.seat(&seat(index)).expect("a seat");
        let expected = match naive.seats[index] {
            None if naive.blocked[index] => (SeatStatus::Blocked, None, None, None),
            None => (SeatStatus::Free, None, None, None),
            Some(tag) => {
                let status = if tag.booked { SeatStatus::Booked } else { SeatStatus::Locked };
                let who = Some(user(USERS[tag.user]));
                (status, Some(owner(tag.by)), who, tag.until.map(at))
            }
        };
        let seen = (view.status, view.owner, view.user_id.cloned(), view.expires_at);
        prop_assert_eq!(seen, expected, "seat {}", index);
    }
    for (r, epoch) in &naive.fence {
        prop_assert_eq!(real.last_epoch(&reservation(*r)), *epoch);
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn a_seat_map_agrees_with_a_naive_one(
        steps in prop::collection::vec((steps(), 0..3i64), 1..40)
    ) {
        let id = SeatMapId::new("hall").expect("a map's id");
        let (mut real, mut naive) = (hall(), Naive::default());
        let mut now = 0;
        for (step, later) in &steps {
            now += later;
            let before = real.clone();
            let answer = ask(&mut real, &id, &step.command(), at(now));
            let expected = naive.step(step, now);
            prop_assert_eq!(answer.is_ok(), expected, "{:?} at {}: {:?}", step, now, &answer);
            if let Err(refusal) = answer {
                // S2: all or nothing, and a refusal names only seats that are really taken.
                prop_assert_eq!(&real, &before);
                if let Refusal::SeatsTaken(taken) = refusal {
                    let free = |id: &SeatId| real.seat(id).is_none_or(|it| it.is_free_at(at(now)));
                    prop_assert!(!taken.is_empty() && !taken.iter().any(free));
                }
            }
            agree(&real, &naive)?;
            prop_assert_eq!(&kept(&real), &real, "kept and read back");
        }
    }
}
