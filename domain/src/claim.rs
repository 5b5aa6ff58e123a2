//! What a pool, a limit and a seat map remember of a reservation: its claim, and the fence behind it.
//! DOMAIN.md C.5; written once, since all three keep the same rules.
//!
//! ```text
//!            take(e)                     commit(e), exact                release, a fact that ends it
//!   nothing ─────────► Held(e, until …) ─────────────────► Committed(e) ───────────────────────────► nothing
//!                        │  ▲   │                                ▲                               + fence e
//!                        │  └───┘ raise: later deadline,         │
//!                        │        one more attempt's name        │
//!                        │ └──────────── retake(e+1) ────────────┘
//!                        ├── lapsed, or the last attempt withdrew ──► nothing, no fence
//!                        └── release(≥ e) ──────────────────────────► nothing, fence e
//! ```
//!
//! *Epoch.* A reservation takes its claims at epoch 1 and again, after money that came late, at 2, 3 …
//! A release names the epoch whose claims it ends, so one that comes late cannot free what was taken
//! again since.
//!
//! *Fence.* A release leaves the highest epoch that was ended. Taking at that epoch or below is stale:
//! a paused asker cannot bring a claim back to life that nobody would ever release.
//!
//! *Names.* A customer's retry may run beside an attempt that is only paused. Each attempt leaves its
//! name on the claim; whoever is refused elsewhere takes only its own name off, and the claim goes
//! with the last name. It leaves no fence, since the retry may come again.
//!
//! *Deadline.* It is raised and never lowered. A claim past it is free to the next taker, but stays the
//! reservation's own until somebody takes it or the timer drops it.

mod attempts;
mod fence;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{AttemptId, Epoch, ReservationId, Timestamp};
pub use attempts::Attempts;
use fence::Fence;

/// Why a claim cannot be what is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum No {
    /// There is no claim of that epoch.
    #[error("this reservation has no claim here")]
    NoClaim,
    /// A later fact of the reservation has already ended what is asked for.
    #[error("this claim was already given up")]
    StaleEpoch,
    /// The deadline that was asked for has passed.
    #[error("the deadline has passed")]
    TooLate,
}

/// How firmly something is claimed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Standing {
    /// For a while, unpaid.
    Held {
        /// Free to the next taker from then on; without it the claim does not lapse (seats that were
        /// taken again for money that is already there).
        expires_at: Option<Timestamp>,
        /// Which attempts asked for it, sorted.
        attempts: Attempts,
    },
    /// For good, paid.
    Committed,
}

/// What one reservation has claimed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Claim<T> {
    /// What and how much.
    pub what: T,
    /// How firmly.
    pub standing: Standing,
    /// At which epoch it was taken.
    pub epoch: Epoch,
}

impl<T> Claim<T> {
    /// Whether it is paid for.
    pub fn is_committed(&self) -> bool {
        match self.standing {
            Standing::Held { .. } => false,
            Standing::Committed => true,
        }
    }

    /// Until when it is held; none when it does not lapse.
    pub fn expires_at(&self) -> Option<Timestamp> {
        match self.standing {
            Standing::Held { expires_at, .. } => expires_at,
            Standing::Committed => None,
        }
    }

    /// Whether the next taker may have it.
    pub fn has_lapsed(&self, now: Timestamp) -> bool {
        self.expires_at().is_some_and(|until| until <= now)
    }
}

/// What a request to take comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// Nothing is claimed yet: look for room.
    Anew,
    /// It is claimed; the deadline or the names change.
    Raise {
        /// The deadline from now on.
        expires_at: Timestamp,
        /// A name that is not on the claim yet.
        attempt: Option<AttemptId>,
    },
    /// It is claimed just so.
    Already,
}

/// What a request to commit comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    /// The held claim becomes the customer's.
    Now,
    /// It is.
    Already,
}

/// What a request to take again comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retake {
    /// Nothing is claimed: look for room.
    Anew,
    /// The old claim is still there and becomes that of the new epoch.
    Bump,
    /// It is claimed for good.
    Already,
}

/// What a release comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// The claim goes and the fence rises.
    Free,
    /// Nothing goes, the fence rises.
    FenceOnly,
    /// Nothing changes.
    Already,
}

/// What a withdrawal comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withdraw {
    /// It was the last name: the claim goes.
    Last,
    /// Others still hold it.
    Name,
    /// The name is not there.
    Already,
}

/// Everybody's claims on one thing, with the fence. What it says about a request is judged first (the
/// upper half), what it becomes by a fact second (the lower half).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(bound(serialize = "T: Serialize", deserialize = "T: Deserialize<'de>"))]
#[serde(from = "Kept<T>")]
pub struct Ledger<T> {
    #[serde(with = "crate::kept::entries")]
    claims: BTreeMap<ReservationId, Claim<T>>,
    /// Of the claims that lapse.
    #[serde(skip_serializing)]
    deadlines: BTreeSet<(Timestamp, ReservationId)>,
    fence: Fence,
}

/// What a snapshot keeps of a ledger: the rest follows.
#[derive(Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
struct Kept<T> {
    #[serde(with = "crate::kept::entries")]
    claims: BTreeMap<ReservationId, Claim<T>>,
    fence: Fence,
}

impl<T> From<Kept<T>> for Ledger<T> {
    fn from(Kept { claims, fence }: Kept<T>) -> Self {
        let until = |(id, claim): (&ReservationId, &Claim<T>)| Some((claim.expires_at()?, *id));
        let deadlines = claims.iter().filter_map(until).collect();
        Self { claims, deadlines, fence }
    }
}

impl<T> Default for Ledger<T> {
    fn default() -> Self {
        Self { claims: BTreeMap::new(), deadlines: BTreeSet::new(), fence: Fence::default() }
    }
}

impl<T> Ledger<T> {
    /// What a reservation has claimed.
    pub fn get(&self, reservation: &ReservationId) -> Option<&Claim<T>> {
        self.claims.get(reservation)
    }

    /// Everybody's claims, by reservation.
    pub fn iter(&self) -> impl Iterator<Item = (&ReservationId, &Claim<T>)> {
        self.claims.iter()
    }

    /// Claims that the next taker may have, those that lapsed first in front.
    pub fn lapsed(&self, now: Timestamp) -> impl Iterator<Item = (&ReservationId, &Claim<T>)> {
        let last = (now, ReservationId(Uuid::max()));
        self.deadlines
            .range(..=last)
            .filter_map(|(_, reservation)| self.claims.get_key_value(reservation))
    }

    /// The highest epoch that a release has ended; 0 when there was none.
    pub fn last_epoch(&self, reservation: &ReservationId) -> Epoch {
        self.fence.last(reservation)
    }

    /// Judges a request to hold until `expires_at`.
    pub fn take(
        &self,
        reservation: &ReservationId,
        epoch: Epoch,
        expires_at: Timestamp,
        attempt: AttemptId,
        now: Timestamp,
    ) -> Result<Take, No> {
        if epoch <= self.fence.last(reservation) {
            return Err(No::StaleEpoch);
        }
        let claim = match self.claims.get(reservation) {
            Some(claim) if claim.is_committed() => return Ok(Take::Already),
            Some(claim) if epoch < claim.epoch => return Err(No::StaleEpoch),
            claim => claim,
        };
        if expires_at <= now {
            return Err(No::TooLate);
        }
        match claim.map(|claim| &claim.standing) {
            None => Ok(Take::Anew),
            Some(Standing::Held { expires_at: Some(until), attempts }) => {
                let known = attempts.contains(&attempt);
                if known && expires_at <= *until {
                    Ok(Take::Already)
                } else {
                    let expires_at = expires_at.max(*until);
                    Ok(Take::Raise { expires_at, attempt: (!known).then_some(attempt) })
                }
            }
            Some(Standing::Held { expires_at: None, .. } | Standing::Committed) => {
                Ok(Take::Already)
            }
        }
    }

    /// Judges a request to hold for longer: the new deadline, or none when it is late enough already.
    pub fn extend(
        &self,
        reservation: &ReservationId,
        epoch: Epoch,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, No> {
        let claim = self.claims.get(reservation).ok_or(No::NoClaim)?;
        if claim.is_committed() {
            return Ok(None);
        }
        Self::exactly(claim, epoch)?;
        match claim.expires_at() {
            Some(until) if until < expires_at && expires_at <= now => Err(No::TooLate),
            Some(until) if until < expires_at => Ok(Some(expires_at)),
            Some(_) | None => Ok(None),
        }
    }

    /// Judges a commitment. A claim that has lapsed but that nobody took is committed all the same.
    pub fn commit(&self, reservation: &ReservationId, epoch: Epoch) -> Result<Commit, No> {
        let claim = self.claims.get(reservation).ok_or(No::NoClaim)?;
        if claim.is_committed() {
            return Ok(Commit::Already);
        }
        Self::exactly(claim, epoch)?;
        Ok(Commit::Now)
    }

    /// An asker of an older epoch has been overtaken; one of a newer epoch finds nothing of its own.
    fn exactly(claim: &Claim<T>, epoch: Epoch) -> Result<(), No> {
        match epoch.cmp(&claim.epoch) {
            std::cmp::Ordering::Less => Err(No::StaleEpoch),
            std::cmp::Ordering::Equal => Ok(()),
            std::cmp::Ordering::Greater => Err(No::NoClaim),
        }
    }

    /// Judges a request to take again at a higher epoch.
    pub fn retake(&self, reservation: &ReservationId, epoch: Epoch) -> Result<Retake, No> {
        if epoch <= self.fence.last(reservation) {
            return Err(No::StaleEpoch);
        }
        match self.claims.get(reservation) {
            None => Ok(Retake::Anew),
            Some(Claim { standing: Standing::Committed, .. }) => Ok(Retake::Already),
            Some(claim) if claim.expires_at().is_none() && epoch <= claim.epoch => {
                Ok(Retake::Already)
            }
            Some(claim) if epoch <= claim.epoch => Err(No::StaleEpoch),
            Some(_) => Ok(Retake::Bump),
        }
    }

    /// Judges a release that comes from a fact of the reservation. `ends_commitment`: whether its
    /// reason also ends what is paid for. Frees claims of that epoch and older ones.
    pub fn release(
        &self,
        reservation: &ReservationId,
        epoch: Epoch,
        ends_commitment: bool,
    ) -> Release {
        let frees = self.claims.get(reservation).is_some_and(|claim| {
            claim.epoch <= epoch && (ends_commitment || !claim.is_committed())
        });
        if frees {
            Release::Free
        } else if epoch > self.fence.last(reservation) {
            Release::FenceOnly
        } else {
            Release::Already
        }
    }

    /// Judges the withdrawal of one attempt.
    pub fn withdraw(&self, reservation: &ReservationId, attempt: &AttemptId) -> Withdraw {
        match self.claims.get(reservation).map(|claim| &claim.standing) {
            Some(Standing::Held { attempts, .. }) if attempts.contains(attempt) => {
                if attempts.as_slice().len() == 1 { Withdraw::Last } else { Withdraw::Name }
            }
            Some(Standing::Held { .. } | Standing::Committed) | None => Withdraw::Already,
        }
    }

    /// The claim, if the next taker may have it.
    pub fn lapsed_claim(&self, reservation: &ReservationId, now: Timestamp) -> Option<&Claim<T>> {
        self.claims.get(reservation).filter(|claim| claim.has_lapsed(now))
    }

    /// Held from now on. Returns a claim that stood there before.
    pub fn held(
        &mut self,
        reservation: ReservationId,
        what: T,
        expires_at: Option<Timestamp>,
        epoch: Epoch,
        attempt: Option<AttemptId>,
    ) -> Option<Claim<T>> {
        if let Some(deadline) = expires_at {
            self.fence.tick(deadline);
        }
        let attempts = attempt.into_iter().collect();
        self.put(
            reservation,
            Claim { what, standing: Standing::Held { expires_at, attempts }, epoch },
        )
    }

    /// Held until then at the least, also for that attempt.
    pub fn raised(
        &mut self,
        reservation: ReservationId,
        deadline: Timestamp,
        epoch: Epoch,
        attempt: Option<AttemptId>,
    ) {
        self.fence.tick(deadline);
        let Some(claim) = self.claims.get_mut(&reservation) else { return };
        claim.epoch = claim.epoch.max(epoch);
        let Standing::Held { expires_at, attempts } = &mut claim.standing else { return };
        if let Some(until) = expires_at
            && *until < deadline
        {
            self.deadlines.remove(&(*until, reservation));
            self.deadlines.insert((deadline, reservation));
            *until = deadline;
        }
        if let Some(attempt) = attempt {
            attempts.insert(attempt);
        }
    }

    /// Paid for from now on. Returns whether it was not before.
    pub fn committed(&mut self, reservation: ReservationId, epoch: Epoch) -> bool {
        let Some(claim) = self.claims.get_mut(&reservation) else { return false };
        if let Some(until) = claim.expires_at() {
            self.deadlines.remove(&(until, reservation));
        }
        claim.epoch = claim.epoch.max(epoch);
        std::mem::replace(&mut claim.standing, Standing::Committed) != Standing::Committed
    }

    /// Taken again and paid for in one. Returns the claim that it takes the place of.
    pub fn retaken(
        &mut self,
        reservation: ReservationId,
        what: T,
        epoch: Epoch,
    ) -> Option<Claim<T>> {
        self.put(reservation, Claim { what, standing: Standing::Committed, epoch })
    }

    /// One attempt less.
    pub fn withdrawn(&mut self, reservation: &ReservationId, attempt: &AttemptId) {
        if let Some(Claim { standing: Standing::Held { attempts, .. }, .. }) =
            self.claims.get_mut(reservation)
        {
            attempts.remove(attempt);
        }
    }

    /// Gone. Returns what was claimed.
    pub fn freed(&mut self, reservation: &ReservationId) -> Option<Claim<T>> {
        let claim = self.claims.remove(reservation)?;
        if let Some(until) = claim.expires_at() {
            self.deadlines.remove(&(until, *reservation));
        }
        Some(claim)
    }

    /// A moment that a fact tells of: old tombstones go. Only for those whose facts carry moments but
    /// few deadlines; the others' deadlines tell the time.
    pub fn seen(&mut self, moment: Timestamp) {
        self.fence.tick(moment);
    }

    /// Everything up to that epoch was ended.
    pub fn fenced(&mut self, reservation: ReservationId, epoch: Epoch) {
        self.fence.raise(reservation, epoch);
    }

    /// What a reservation has claimed, to be changed.
    pub fn what_mut(&mut self, reservation: &ReservationId) -> Option<&mut T> {
        self.claims.get_mut(reservation).map(|claim| &mut claim.what)
    }

    /// Everything claimed, to be changed.
    pub fn all_what_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.claims.values_mut().map(|claim| &mut claim.what)
    }

    fn put(&mut self, reservation: ReservationId, claim: Claim<T>) -> Option<Claim<T>> {
        let before = self.freed(&reservation);
        if let Some(until) = claim.expires_at() {
            self.deadlines.insert((until, reservation));
        }
        self.claims.insert(reservation, claim);
        before
    }
}

/// Which lapsed claims must go so that `missing` more units are there, those that lapsed first in
/// front; none when that is not enough, then with what all of them would give. Every claim is of at
/// least one unit, so no more than `missing` are looked at, however many have lapsed.
pub(crate) fn lapsed_for<T>(
    ledger: &Ledger<T>,
    missing: u64,
    now: Timestamp,
    units: impl Fn(&T) -> u32,
) -> Result<Vec<(ReservationId, u32)>, u64> {
    let mut gained = 0u64;
    let mut going = Vec::new();
    let mut lapsed = ledger.lapsed(now);
    while gained < missing {
        let Some((reservation, claim)) = lapsed.next() else { return Err(gained) };
        let qty = units(&claim.what);
        gained += u64::from(qty);
        going.push((*reservation, qty));
    }
    Ok(going)
}
