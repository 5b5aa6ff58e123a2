//! How much one user has taken of one item (S4's `max_per_user`), held and kept together.
//!
//! The claims are those of a pool ([`crate::claim`]); only the question of room is another: the most
//! that one customer may have comes with each command, from the item as it was then. What has lapsed
//! counts until somebody needs its room.

#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::claim::{self, Claim, Commit, Ledger, No, Release, Retake, Take, Withdraw};
use crate::seatmap::ReleaseReason;
use crate::{AttemptId, Epoch, ReservationId, Timestamp};

/// What may have happened to a limit. Stored as `limit.{kebab}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(
    missing_docs,
    reason = "fields carry DOMAIN.md's names; each variant's line explains them"
)]
pub enum Event {
    /// Claimed until `expires_at`.
    Taken {
        reservation_id: ReservationId,
        qty: u32,
        expires_at: Timestamp,
        epoch: Epoch,
        attempt: AttemptId,
    },
    /// Held until later, or another attempt holds it too.
    Extended {
        reservation_id: ReservationId,
        expires_at: Timestamp,
        epoch: Epoch,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attempt: Option<AttemptId>,
    },
    /// Paid for: counts for good. Also a re-acquisition (then with its `qty` and a higher epoch).
    Kept { reservation_id: ReservationId, qty: u32, epoch: Epoch },
    /// Free again; with `qty` 0 it only raises the fence. Without `epoch` it leaves no tombstone.
    Released {
        reservation_id: ReservationId,
        qty: u32,
        reason: ReleaseReason,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        epoch: Option<Epoch>,
    },
    /// One attempt gave up; others still hold the claim.
    AttemptWithdrawn { reservation_id: ReservationId, attempt: AttemptId },
}

/// What may be asked of a limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "fields carry DOMAIN.md's names; each variant's line explains them"
)]
pub enum Command {
    /// Claim `qty` of at most `max`, until `expires_at`.
    Take {
        reservation_id: ReservationId,
        qty: u32,
        max: u32,
        expires_at: Timestamp,
        epoch: Epoch,
        attempt: AttemptId,
    },
    /// An attempt at acquiring was refused elsewhere: take its name off the claim.
    Withdraw { reservation_id: ReservationId, attempt: AttemptId },
    /// Hold the claim until later.
    Extend { reservation_id: ReservationId, expires_at: Timestamp, epoch: Epoch },
    /// The claim is paid for.
    Keep { reservation_id: ReservationId, epoch: Epoch },
    /// A fact of the reservation ends the claim.
    Release { reservation_id: ReservationId, epoch: Epoch, reason: ReleaseReason },
    /// Take the same again and keep it.
    Reacquire { reservation_id: ReservationId, qty: u32, max: u32, epoch: Epoch },
    /// Drop the claim if it has lapsed.
    DropLapsed { reservation_id: ReservationId },
}

/// How a limit says no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum Refusal {
    #[error("at most {max} for each customer; {already} are already held or bought")]
    LimitExceeded { max: u32, already: u32 },
    #[error("this reservation has claimed another quantity")]
    OtherQuantity { claimed: u32 },
    #[error("this reservation has no claim here")]
    NoClaim,
    #[error("this claim was already given up")]
    StaleEpoch,
    #[error("the deadline has passed")]
    TooLate,
    #[error("ask for at least one")]
    ZeroQuantity,
}

/// All that is known of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct State {
    claims: Ledger<u32>,
    taken: u64,
}

impl State {
    /// How much is held and kept, what has lapsed and still lies there included.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// What a reservation has claimed.
    pub fn claim(&self, reservation: &ReservationId) -> Option<&Claim<u32>> {
        self.claims.get(reservation)
    }

    /// Every claim, by reservation.
    pub fn claims(&self) -> impl Iterator<Item = (&ReservationId, &Claim<u32>)> {
        self.claims.iter()
    }

    /// The highest epoch of a reservation that a release has ended here; 0 when there was none.
    pub fn last_epoch(&self, reservation: &ReservationId) -> Epoch {
        self.claims.last_epoch(reservation)
    }

    fn take(&self, asked: Taking, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        let Taking { reservation_id, qty, max, expires_at, epoch, attempt } = asked;
        at_least_one(qty)?;
        let take = self.claims.take(&reservation_id, epoch, expires_at, attempt, now)?;
        self.same_quantity(&reservation_id, qty)?;
        match take {
            Take::Already => Ok(vec![]),
            Take::Raise { expires_at, attempt } => {
                Ok(vec![Event::Extended { reservation_id, expires_at, epoch, attempt }])
            }
            Take::Anew => {
                let mut events = self.room(qty, max, now)?;
                events.push(Event::Taken { reservation_id, qty, expires_at, epoch, attempt });
                Ok(events)
            }
        }
    }

    fn reacquire(
        &self,
        reservation_id: ReservationId,
        qty: u32,
        max: u32,
        epoch: Epoch,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        at_least_one(qty)?;
        let retake = self.claims.retake(&reservation_id, epoch)?;
        self.same_quantity(&reservation_id, qty)?;
        let mut events = match retake {
            Retake::Already => return Ok(vec![]),
            Retake::Bump => vec![],
            Retake::Anew => self.room(qty, max, now)?,
        };
        events.push(Event::Kept { reservation_id, qty, epoch });
        Ok(events)
    }

    fn release(
        &self,
        reservation_id: ReservationId,
        epoch: Epoch,
        reason: ReleaseReason,
    ) -> Vec<Event> {
        match self.claims.release(&reservation_id, epoch, reason.ends_commitment()) {
            Release::Already => vec![],
            Release::Free => vec![self.released(reservation_id, reason, Some(epoch))],
            Release::FenceOnly => {
                vec![Event::Released { reservation_id, qty: 0, reason, epoch: Some(epoch) }]
            }
        }
    }

    fn released(
        &self,
        reservation_id: ReservationId,
        reason: ReleaseReason,
        epoch: Option<Epoch>,
    ) -> Event {
        Event::Released { reservation_id, qty: self.claimed(&reservation_id), reason, epoch }
    }

    fn claimed(&self, reservation: &ReservationId) -> u32 {
        self.claims.get(reservation).map_or(0, |claim| claim.what)
    }

    fn same_quantity(&self, reservation: &ReservationId, qty: u32) -> Result<(), Refusal> {
        match self.claims.get(reservation) {
            Some(claim) if claim.what != qty => Err(Refusal::OtherQuantity { claimed: claim.what }),
            Some(_) | None => Ok(()),
        }
    }

    /// What must be released for `qty` more: lapsed claims, as far as they are in the way.
    fn room(&self, qty: u32, max: u32, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        let missing = (self.taken + u64::from(qty)).saturating_sub(u64::from(max));
        match claim::lapsed_for(&self.claims, missing, now, |qty| *qty) {
            Ok(going) => Ok(going
                .into_iter()
                .map(|(reservation_id, qty)| Event::Released {
                    reservation_id,
                    qty,
                    reason: ReleaseReason::Expired,
                    epoch: None,
                })
                .collect()),
            Err(gained) => {
                let already = u32::try_from(self.taken - gained).unwrap_or(u32::MAX);
                Err(Refusal::LimitExceeded { max, already })
            }
        }
    }
}

/// The fields of [`Command::Take`].
struct Taking {
    reservation_id: ReservationId,
    qty: u32,
    max: u32,
    expires_at: Timestamp,
    epoch: Epoch,
    attempt: AttemptId,
}

fn at_least_one(qty: u32) -> Result<(), Refusal> {
    if qty == 0 { Err(Refusal::ZeroQuantity) } else { Ok(()) }
}

impl From<No> for Refusal {
    fn from(no: No) -> Self {
        match no {
            No::NoClaim => Self::NoClaim,
            No::StaleEpoch => Self::StaleEpoch,
            No::TooLate => Self::TooLate,
        }
    }
}

impl crate::Decider for State {
    const CATEGORY: &'static str = "limit";
    type Id = crate::LimitId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(
        &self,
        _: &crate::LimitId,
        command: &Command,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        match *command {
            Command::Take { reservation_id, qty, max, expires_at, epoch, attempt } => {
                self.take(Taking { reservation_id, qty, max, expires_at, epoch, attempt }, now)
            }
            Command::Withdraw { reservation_id, attempt } => {
                Ok(match self.claims.withdraw(&reservation_id, &attempt) {
                    Withdraw::Already => vec![],
                    Withdraw::Name => vec![Event::AttemptWithdrawn { reservation_id, attempt }],
                    Withdraw::Last => {
                        vec![self.released(reservation_id, ReleaseReason::Refused, None)]
                    }
                })
            }
            Command::Extend { reservation_id, expires_at, epoch } => {
                let later = self.claims.extend(&reservation_id, epoch, expires_at, now)?;
                Ok(later
                    .map(|expires_at| Event::Extended {
                        reservation_id,
                        expires_at,
                        epoch,
                        attempt: None,
                    })
                    .into_iter()
                    .collect())
            }
            Command::Keep { reservation_id, epoch } => {
                match self.claims.commit(&reservation_id, epoch)? {
                    Commit::Already => Ok(vec![]),
                    Commit::Now => {
                        let qty = self.claimed(&reservation_id);
                        Ok(vec![Event::Kept { reservation_id, qty, epoch }])
                    }
                }
            }
            Command::Release { reservation_id, epoch, reason } => {
                Ok(self.release(reservation_id, epoch, reason))
            }
            Command::Reacquire { reservation_id, qty, max, epoch } => {
                self.reacquire(reservation_id, qty, max, epoch, now)
            }
            Command::DropLapsed { reservation_id } => {
                let lapsed = self.claims.lapsed_claim(&reservation_id, now);
                let release = |_| self.released(reservation_id, ReleaseReason::Expired, None);
                Ok(lapsed.map(release).into_iter().collect())
            }
        }
    }

    fn evolve(&mut self, event: &Event) {
        match event {
            &Event::Taken { reservation_id, qty, expires_at, epoch, attempt } => {
                let before =
                    self.claims.held(reservation_id, qty, Some(expires_at), epoch, Some(attempt));
                self.taken -= before.map_or(0, |claim| u64::from(claim.what));
                self.taken += u64::from(qty);
            }
            &Event::Extended { reservation_id, expires_at, epoch, attempt } => {
                self.claims.raised(reservation_id, expires_at, epoch, attempt);
            }
            &Event::Kept { reservation_id, qty, epoch } => {
                let before = self.claims.retaken(reservation_id, qty, epoch);
                self.taken -= before.map_or(0, |claim| u64::from(claim.what));
                self.taken += u64::from(qty);
            }
            &Event::Released { reservation_id, qty, epoch, .. } => {
                if qty > 0 {
                    let before = self.claims.freed(&reservation_id);
                    self.taken -= before.map_or(0, |claim| u64::from(claim.what));
                }
                if let Some(epoch) = epoch {
                    self.claims.fenced(reservation_id, epoch);
                }
            }
            Event::AttemptWithdrawn { reservation_id, attempt } => {
                self.claims.withdrawn(reservation_id, attempt);
            }
        }
    }
}
