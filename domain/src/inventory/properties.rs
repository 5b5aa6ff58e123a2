//! Random histories of a pool beside a naive one, which knows claims only as a list and looks for room
//! by trying every moment. I1 to I4; what is accepted can be repeated; each fact changes the state.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{Command, Refusal, ReleaseReason, State};
use crate::claim::testing::{ask, ask_once, at, attempt, cases, kept, reservation, user};
use crate::{Period, Sku, Timestamp};

/// Moments at which rentals begin and end; some before the clock's end, so that some are over.
const MOMENTS: std::ops::Range<i64> = 0..16;

#[derive(Clone, Debug)]
struct Claim {
    qty: u32,
    period: Option<(i64, i64)>,
    /// None: committed.
    until: Option<i64>,
    epoch: u32,
    names: BTreeSet<u128>,
}

#[derive(Clone, Debug, Default)]
struct Naive {
    total: i64,
    closed: bool,
    claims: BTreeMap<u128, Claim>,
    sold: BTreeMap<u128, (u32, u32)>,
    fence: BTreeMap<u128, u32>,
}

impl Naive {
    /// Units free at the busiest moment that the claim would share.
    fn free(&self, period: Option<(i64, i64)>, now: i64) -> i64 {
        let (from, until) = period.unwrap_or((now.min(MOMENTS.end), MOMENTS.end + 1));
        (from..until).map(|moment| self.free_at(moment)).min().unwrap_or(self.total)
    }

    fn free_at(&self, moment: i64) -> i64 {
        let counts = |claim: &&Claim| match claim.period {
            None => true,
            Some((from, until)) => from <= moment && moment < until,
        };
        let taken: u32 = self.claims.values().filter(counts).map(|claim| claim.qty).sum();
        self.total - i64::from(taken)
    }

    /// Makes room, or tells how much there would be without what has lapsed.
    fn make_room(&mut self, qty: u32, period: Option<(i64, i64)>, now: i64) -> Result<(), i64> {
        let mut tried = self.clone();
        let mut lapsed: Vec<_> = tried
            .claims
            .iter()
            .filter_map(|(r, claim)| Some((claim.until.filter(|until| *until <= now)?, *r)))
            .collect();
        lapsed.sort_unstable();
        for (_, r) in lapsed {
            let missing = |tried: &Self| i64::from(qty) - tried.free(period, now);
            if missing(&tried) <= 0 {
                break;
            }
            // In the way: it counts at a moment at which room is missing.
            let (from, until) = period.unwrap_or((now.min(MOMENTS.end), MOMENTS.end + 1));
            let short = (from..until).any(|moment| {
                let mut without = tried.clone();
                without.claims.remove(&r);
                tried.free_at(moment) < i64::from(qty)
                    && without.free_at(moment) > tried.free_at(moment)
            });
            if short {
                tried.claims.remove(&r);
            }
        }
        let free = tried.free(period, now);
        if free < i64::from(qty) {
            return Err(free.max(0));
        }
        *self = tried;
        Ok(())
    }

    /// Whether the step is accepted; `Err(Some(n))` when n are left.
    fn step(&mut self, step: &Step, now: i64) -> Result<(), Option<i64>> {
        let fence = |naive: &Self, r| naive.fence.get(&r).copied().unwrap_or(0);
        match *step {
            Step::Hold { r, qty, until, epoch, name, period } => {
                if self.sold.contains_key(&r) || epoch <= fence(self, r) {
                    return Err(None);
                }
                if let Some(claim) = self.claims.get_mut(&r) {
                    let same = (claim.qty, claim.period) == (qty, period);
                    return match claim.until {
                        None if same => Ok(()),
                        Some(before) if same && epoch >= claim.epoch && until > now => {
                            claim.until = Some(before.max(until));
                            let news = claim.names.insert(name) || until > before;
                            claim.epoch = if news { epoch } else { claim.epoch };
                            Ok(())
                        }
                        None | Some(_) => Err(None),
                    };
                }
                if until <= now || self.closed {
                    return Err(None);
                }
                self.make_room(qty, period, now).map_err(Some)?;
                let names = [name].into();
                self.claims.insert(r, Claim { qty, period, until: Some(until), epoch, names });
                Ok(())
            }
            Step::Withdraw { r, name } => {
                let Some(claim) = self.claims.get_mut(&r) else { return Ok(()) };
                if claim.until.is_some() && claim.names.remove(&name) && claim.names.is_empty() {
                    self.claims.remove(&r);
                }
                Ok(())
            }
            Step::Extend { r, until, epoch } => {
                if self.sold.contains_key(&r) {
                    return Ok(());
                }
                let claim = self.claims.get_mut(&r).ok_or(None)?;
                match claim.until {
                    None => Ok(()),
                    Some(_) if claim.epoch != epoch => Err(None),
                    Some(before) if until <= before => Ok(()),
                    Some(_) if until <= now => Err(None),
                    Some(_) => {
                        claim.until = Some(until);
                        Ok(())
                    }
                }
            }
            Step::Commit { r, epoch } => {
                if self.sold.contains_key(&r) {
                    return Ok(());
                }
                let claim = self.claims.get_mut(&r).ok_or(None)?;
                if claim.until.is_some() && claim.epoch != epoch {
                    return Err(None);
                }
                claim.until = None;
                Ok(())
            }
            Step::Consume { r, epoch } => {
                if self.sold.contains_key(&r) {
                    return Ok(());
                }
                let claim = self.claims.get(&r).ok_or(None)?.clone();
                let exact = claim.epoch == epoch || (claim.until.is_none() && claim.epoch < epoch);
                if !exact {
                    return Err(None);
                }
                self.claims.remove(&r);
                self.sold.insert(r, (claim.qty, claim.epoch));
                self.total -= i64::from(claim.qty);
                Ok(())
            }
            Step::Release { r, epoch, reason } | Step::Return { r, epoch, reason } => {
                self.fence.insert(r, epoch.max(fence(self, r)));
                let back = matches!(step, Step::Return { .. });
                if let Some((qty, _)) = self.sold.get(&r).filter(|sold| back && sold.1 <= epoch) {
                    self.total += i64::from(*qty);
                    self.sold.remove(&r);
                }
                let ends = |claim: &Claim| claim.until.is_some() || reason.ends_commitment();
                if self.claims.get(&r).is_some_and(|claim| claim.epoch <= epoch && ends(claim)) {
                    self.claims.remove(&r);
                }
                Ok(())
            }
            Step::Reacquire { r, qty, epoch, period } => {
                if self.sold.contains_key(&r) || epoch <= fence(self, r) {
                    return Err(None);
                }
                if let Some(claim) = self.claims.get_mut(&r) {
                    let same = (claim.qty, claim.period) == (qty, period);
                    let newer = claim.until.is_none() || epoch > claim.epoch;
                    if !same || !newer {
                        return Err(None);
                    }
                    if claim.until.take().is_some() {
                        claim.epoch = epoch;
                    }
                    return Ok(());
                }
                self.make_room(qty, period, now).map_err(Some)?;
                let names = BTreeSet::new();
                self.claims.insert(r, Claim { qty, period, until: None, epoch, names });
                Ok(())
            }
            Step::DropLapsed { r } => {
                let due = |claim: &Claim| claim.until.is_some_and(|until| until <= now);
                if self.claims.get(&r).is_some_and(due) {
                    self.claims.remove(&r);
                }
                Ok(())
            }
            Step::Receive { qty } => {
                self.total += i64::from(qty);
                Ok(())
            }
            Step::Adjust { delta } => {
                if delta < 0 && self.total + delta < 0 {
                    return Err(None);
                }
                self.total += delta;
                Ok(())
            }
            Step::SetSales { open } => {
                self.closed = !open;
                Ok(())
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Hold { r: u128, qty: u32, until: i64, epoch: u32, name: u128, period: Option<(i64, i64)> },
    Withdraw { r: u128, name: u128 },
    Extend { r: u128, until: i64, epoch: u32 },
    Commit { r: u128, epoch: u32 },
    Consume { r: u128, epoch: u32 },
    Release { r: u128, epoch: u32, reason: ReleaseReason },
    Reacquire { r: u128, qty: u32, epoch: u32, period: Option<(i64, i64)> },
    Return { r: u128, epoch: u32, reason: ReleaseReason },
    DropLapsed { r: u128 },
    Receive { qty: u32 },
    Adjust { delta: i64 },
    SetSales { open: bool },
}

impl Step {
    fn command(&self) -> Command {
        let span = |period: Option<(i64, i64)>| {
            period.map(|(from, until)| Period { from: at(from), until: at(until) })
        };
        match *self {
            Self::Hold { r, qty, until, epoch, name, period } => Command::Hold {
                reservation_id: reservation(r),
                qty,
                expires_at: at(until),
                epoch,
                attempt: attempt(name),
                period: span(period),
            },
            Self::Withdraw { r, name } => {
                Command::Withdraw { reservation_id: reservation(r), attempt: attempt(name) }
            }
            Self::Extend { r, until, epoch } => {
                Command::Extend { reservation_id: reservation(r), expires_at: at(until), epoch }
            }
            Self::Commit { r, epoch } => Command::Commit { reservation_id: reservation(r), epoch },
            Self::Consume { r, epoch } => {
                Command::Consume { reservation_id: reservation(r), epoch }
            }
            Self::Release { r, epoch, reason } => {
                Command::Release { reservation_id: reservation(r), epoch, reason }
            }
            Self::Reacquire { r, qty, epoch, period } => Command::Reacquire {
                reservation_id: reservation(r),
                qty,
                epoch,
                period: span(period),
            },
            Self::Return { r, epoch, reason } => {
                Command::Return { reservation_id: reservation(r), epoch, reason }
            }
            Self::DropLapsed { r } => Command::DropLapsed { reservation_id: reservation(r) },
            Self::Receive { qty } => Command::Receive { qty, by: user("olga") },
            Self::Adjust { delta } => {
                Command::Adjust { delta, reason: "count".into(), by: user("olga") }
            }
            Self::SetSales { open } => Command::SetSales { open },
        }
    }
}

fn reasons() -> impl Strategy<Value = ReleaseReason> {
    prop::sample::select(vec![
        ReleaseReason::Expired,
        ReleaseReason::Cancelled,
        ReleaseReason::PaymentFailed,
        ReleaseReason::Completed,
        ReleaseReason::LateRejected,
    ])
}

/// Each reservation always asks for the same, as its recorded lines do; now and then for another.
fn wishes(over_time: bool) -> impl Strategy<Value = (u128, u32, Option<(i64, i64)>)> {
    let odd = (1..=3u32, prop::option::of((MOMENTS, 1..6i64)));
    (1..=5u128, prop::option::weighted(0.05, odd)).prop_map(move |(r, odd)| {
        let number = i64::try_from(r).expect("small");
        let own = (2 * number, 2 * number + 3);
        let (qty, period) = match odd {
            None => (u32::try_from(r % 2).expect("small") + 1, (r > 2).then_some(own)),
            Some((qty, period)) => (qty, period.map(|(from, len)| (from, from + len))),
        };
        let period = period.filter(|_| over_time);
        (r, qty, period.map(|(from, until)| (from, until.min(MOMENTS.end))))
    })
}

fn steps(over_time: bool) -> impl Strategy<Value = Step> {
    let hold = (wishes(over_time), 1..25i64, 1..=2u32, 1..=2u128).prop_map(
        |((r, qty, period), until, epoch, name)| Step::Hold { r, qty, until, epoch, name, period },
    );
    let again = (wishes(over_time), 1..=3u32)
        .prop_map(|((r, qty, period), epoch)| Step::Reacquire { r, qty, epoch, period });
    let id = 1..=5u128;
    let epoch = 1..=3u32;
    prop_oneof![
        8 => hold,
        3 => again,
        2 => (id.clone(), 1..=2u128).prop_map(|(r, name)| Step::Withdraw { r, name }),
        2 => (id.clone(), 1..25i64, 1..=2u32)
            .prop_map(|(r, until, epoch)| Step::Extend { r, until, epoch }),
        3 => (id.clone(), epoch.clone()).prop_map(|(r, epoch)| Step::Commit { r, epoch }),
        2 => (id.clone(), epoch.clone()).prop_map(|(r, epoch)| Step::Consume { r, epoch }),
        3 => (id.clone(), epoch.clone(), reasons())
            .prop_map(|(r, epoch, reason)| Step::Release { r, epoch, reason }),
        2 => (id.clone(), epoch, reasons())
            .prop_map(|(r, epoch, reason)| Step::Return { r, epoch, reason }),
        2 => id.prop_map(|r| Step::DropLapsed { r }),
        1 => (1..=3u32).prop_map(|qty| Step::Receive { qty }),
        1 => (-3..=3i64).prop_map(|delta| Step::Adjust { delta }),
        1 => any::<bool>().prop_map(|open| Step::SetSales { open }),
    ]
}

fn compare(steps: &[(Step, i64)], over_time: bool) -> Result<(), TestCaseError> {
    let id = Sku::new("mug").expect("a sku");
    let (mut real, mut naive) = (State::default(), Naive { total: 4, ..Naive::default() });
    real.evolve_all(&Command::Receive { qty: 4, by: user("olga") });
    let mut now = 0;
    let mut lowered = false;
    for (step, later) in steps {
        now += later;
        let command = step.command();
        let before = real.clone();
        let answer = match step {
            Step::Receive { .. } | Step::Adjust { .. } => {
                lowered |= matches!(step, Step::Adjust { delta } if *delta < 0);
                ask_once(&mut real, &id, &command, at(now))
            }
            Step::Hold { .. }
            | Step::Withdraw { .. }
            | Step::Extend { .. }
            | Step::Commit { .. }
            | Step::Consume { .. }
            | Step::Release { .. }
            | Step::Reacquire { .. }
            | Step::Return { .. }
            | Step::DropLapsed { .. }
            | Step::SetSales { .. } => ask(&mut real, &id, &command, at(now)),
        };
        match (answer, naive.step(step, now)) {
            (Ok(_), Ok(())) => {}
            (Err(Refusal::OutOfStock { available, .. }), Err(Some(free))) => {
                prop_assert_eq!(i64::from(available), free, "{:?} at {}", step, now);
            }
            (Err(refusal), Err(None)) => {
                prop_assert!(!matches!(refusal, Refusal::OutOfStock { .. }), "{:?}", step);
            }
            (answer, naive) => {
                prop_assert!(false, "{step:?} at {now}: {answer:?}, not {naive:?}, in {before:?}");
            }
        }
        agree(&real, &naive, now)?;
        prop_assert_eq!(&kept(&real), &real, "kept and read back");
        // I1, at every moment that is not over. A pool over time may give a walk-up customer what
        // was taken only in the past.
        if !lowered && !over_time {
            prop_assert!(real.reserved() <= real.total());
        }
    }
    Ok(())
}

fn agree(real: &State, naive: &Naive, now: i64) -> Result<(), TestCaseError> {
    prop_assert_eq!(i64::from(real.total()), naive.total.max(0));
    prop_assert_eq!(real.is_open(), !naive.closed);
    let sum = |committed: bool| -> u64 {
        let claims = naive.claims.values().filter(|claim| claim.until.is_none() == committed);
        claims.map(|claim| u64::from(claim.qty)).sum()
    };
    prop_assert_eq!((real.held(), real.committed()), (sum(false), sum(true)));
    let seen: Vec<_> = real
        .claims()
        .map(|(r, claim)| (*r, claim.what.qty, claim.expires_at(), claim.epoch))
        .collect();
    let expected: Vec<_> = naive
        .claims
        .iter()
        .map(|(r, claim)| (reservation(*r), claim.qty, claim.until.map(at), claim.epoch))
        .collect();
    prop_assert_eq!(seen, expected);
    for (from, until) in [(0, MOMENTS.end), (now, now + 1), (3, 7), (9, 10)] {
        let period = Period { from: at(from), until: at(until) };
        let free = naive.free(Some((from, until)), now).max(0);
        prop_assert_eq!(i64::from(real.available_in(period)), free);
    }
    for (r, epoch) in &naive.fence {
        prop_assert_eq!(real.last_epoch(&reservation(*r)), *epoch);
    }
    Ok(())
}

impl State {
    fn evolve_all(&mut self, command: &Command) {
        for event in self.judge(command, Timestamp::default()).expect("accepted") {
            self.take_in(&event);
        }
    }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn a_pool_agrees_with_a_naive_one(
        steps in prop::collection::vec((steps(false), 0..3i64), 1..40)
    ) {
        compare(&steps, false)?;
    }

    #[test]
    fn a_pool_over_time_agrees_with_one_that_tries_every_moment(
        steps in prop::collection::vec((steps(true), 0..2i64), 1..40)
    ) {
        compare(&steps, true)?;
    }
}

#[test]
fn a_hundred_thousand_claims_do_not_slow_a_pool_down() {
    // Counted, not timed: each decision looks at no more claims than it must release.
    let id = Sku::new("mug").expect("a sku");
    let mut state = State::default();
    state.evolve_all(&Command::Receive { qty: 100_000, by: user("olga") });
    for number in 1..=100_000 {
        let hold = Command::Hold {
            reservation_id: reservation(number),
            qty: 1,
            expires_at: at(900),
            epoch: 1,
            attempt: attempt(1),
            period: None,
        };
        for event in crate::Decider::decide(&state, &id, &hold, at(0)).expect("room") {
            state.take_in(&event);
        }
    }
    assert_eq!((state.held(), state.available()), (100_000, 0));
}
