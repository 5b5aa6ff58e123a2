//! What a pool answers. DOMAIN.md C.5, cell by cell.

use super::{Command, Event, Refusal, ReleaseReason, State, Units, as_count};
use crate::claim::{self, Commit, No, Release, Retake, Take, Withdraw};
use crate::{AttemptId, Epoch, Period, ReservationId, Timestamp};

impl From<No> for Refusal {
    fn from(no: No) -> Self {
        match no {
            No::NoClaim => Self::NoClaim,
            No::StaleEpoch => Self::StaleEpoch,
            No::TooLate => Self::TooLate,
        }
    }
}

/// Where a claim finds its room.
pub(super) struct Room {
    /// Lapsed claims that must go for it.
    lapsed: Vec<(ReservationId, u32)>,
    /// What is left once it is taken.
    left: u32,
}

impl Room {
    fn releases(&self) -> Vec<Event> {
        let release = |&(reservation_id, qty): &(ReservationId, u32)| Event::Released {
            reservation_id,
            qty,
            reason: ReleaseReason::Expired,
            epoch: None,
        };
        self.lapsed.iter().map(release).collect()
    }
}

impl State {
    pub(super) fn judge(&self, command: &Command, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        match command {
            &Command::Hold { reservation_id, qty, expires_at, epoch, attempt, period } => {
                let units = Units { qty, period };
                self.hold(reservation_id, units, expires_at, epoch, attempt, now)
            }
            Command::Withdraw { reservation_id, attempt } => {
                Ok(self.withdraw(*reservation_id, *attempt))
            }
            &Command::Extend { reservation_id, expires_at, epoch } => {
                self.extend(reservation_id, expires_at, epoch, now)
            }
            &Command::Commit { reservation_id, epoch } => self.commit(reservation_id, epoch),
            &Command::Consume { reservation_id, epoch } => self.consume(reservation_id, epoch),
            &Command::Release { reservation_id, epoch, reason } => {
                Ok(self.release(reservation_id, epoch, reason))
            }
            &Command::Reacquire { reservation_id, qty, epoch, period } => {
                self.reacquire(reservation_id, Units { qty, period }, epoch, now)
            }
            &Command::Return { reservation_id, epoch, reason } => {
                Ok(self.give_back(reservation_id, epoch, reason))
            }
            &Command::DropLapsed { reservation_id } => Ok(self.drop_lapsed(reservation_id, now)),
            Command::Receive { qty, by } => {
                at_least_one(*qty)?;
                self.total_after(i64::from(*qty))?;
                Ok(vec![Event::Received { qty: *qty, by: by.clone() }])
            }
            Command::Adjust { delta: 0, .. } => Ok(vec![]),
            Command::Adjust { delta, reason, by } => {
                let total = self.total_after(*delta)?;
                let reserved = self.always + self.over_time.peak(from_now_on(now));
                let mut events =
                    vec![Event::Adjusted { delta: *delta, reason: reason.clone(), by: by.clone() }];
                if *delta < 0 && reserved > total {
                    events.push(Event::OversubscriptionDetected { by: as_count(reserved - total) });
                }
                Ok(events)
            }
            Command::SetSales { open: true } if self.closed => Ok(vec![Event::Opened]),
            Command::SetSales { open: false } if !self.closed => Ok(vec![Event::Closed]),
            Command::SetSales { .. } => Ok(vec![]),
        }
    }

    fn hold(
        &self,
        reservation_id: ReservationId,
        units: Units,
        expires_at: Timestamp,
        epoch: Epoch,
        attempt: AttemptId,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        self.asks_for_something(units)?;
        if self.sold.contains_key(&reservation_id) {
            return Err(Refusal::StaleEpoch);
        }
        let take = self.claims.take(&reservation_id, epoch, expires_at, attempt, now)?;
        self.same_units(&reservation_id, units)?;
        match take {
            Take::Already => Ok(vec![]),
            Take::Raise { expires_at, attempt } => {
                Ok(vec![Event::HoldExtended { reservation_id, expires_at, epoch, attempt }])
            }
            Take::Anew if self.closed => Err(Refusal::SalesClosed),
            Take::Anew => {
                let Units { qty, period } = units;
                let room = self.room_or_refusal(units, now)?;
                let mut events = room.releases();
                events.push(Event::Held {
                    reservation_id,
                    qty,
                    remaining: room.left,
                    expires_at,
                    epoch,
                    attempt,
                    period,
                });
                Ok(events)
            }
        }
    }

    fn withdraw(&self, reservation_id: ReservationId, attempt: AttemptId) -> Vec<Event> {
        match self.claims.withdraw(&reservation_id, &attempt) {
            Withdraw::Already => vec![],
            Withdraw::Name => vec![Event::AttemptWithdrawn { reservation_id, attempt }],
            Withdraw::Last => {
                vec![self.released(reservation_id, ReleaseReason::Refused, None)]
            }
        }
    }

    fn extend(
        &self,
        reservation_id: ReservationId,
        expires_at: Timestamp,
        epoch: Epoch,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        if self.sold.contains_key(&reservation_id) {
            return Ok(vec![]);
        }
        let later = self.claims.extend(&reservation_id, epoch, expires_at, now)?;
        Ok(later
            .map(|expires_at| Event::HoldExtended {
                reservation_id,
                expires_at,
                epoch,
                attempt: None,
            })
            .into_iter()
            .collect())
    }

    fn commit(&self, reservation_id: ReservationId, epoch: Epoch) -> Result<Vec<Event>, Refusal> {
        if self.sold.contains_key(&reservation_id) {
            return Ok(vec![]);
        }
        match self.claims.commit(&reservation_id, epoch)? {
            Commit::Already => Ok(vec![]),
            Commit::Now => Ok(vec![Event::Locked {
                reservation_id,
                qty: self.claimed(&reservation_id),
                epoch,
            }]),
        }
    }

    fn consume(&self, reservation_id: ReservationId, epoch: Epoch) -> Result<Vec<Event>, Refusal> {
        if self.sold.contains_key(&reservation_id) {
            return Ok(vec![]);
        }
        let overtaken = self.claims.get(&reservation_id).is_some_and(|claim| epoch < claim.epoch);
        if overtaken {
            return Err(Refusal::StaleEpoch);
        }
        let mut events = self.commit(reservation_id, epoch)?;
        events.push(Event::Sold { reservation_id, qty: self.claimed(&reservation_id) });
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

    fn give_back(
        &self,
        reservation_id: ReservationId,
        epoch: Epoch,
        reason: ReleaseReason,
    ) -> Vec<Event> {
        match self.sold.get(&reservation_id) {
            Some(sold) if sold.epoch <= epoch => {
                vec![Event::Returned { reservation_id, qty: sold.qty, epoch }]
            }
            Some(_) | None => self.release(reservation_id, epoch, reason),
        }
    }

    fn reacquire(
        &self,
        reservation_id: ReservationId,
        units: Units,
        epoch: Epoch,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        self.asks_for_something(units)?;
        if self.sold.contains_key(&reservation_id) {
            return Err(Refusal::StaleEpoch);
        }
        let retake = self.claims.retake(&reservation_id, epoch)?;
        self.same_units(&reservation_id, units)?;
        let mut events = match retake {
            Retake::Already => return Ok(vec![]),
            Retake::Bump => vec![],
            // Also while sales are closed: this customer was here before, and has paid.
            Retake::Anew => self.room_or_refusal(units, now)?.releases(),
        };
        let Units { qty, period } = units;
        events.push(Event::Reacquired { reservation_id, qty, epoch, period });
        Ok(events)
    }

    fn drop_lapsed(&self, reservation_id: ReservationId, now: Timestamp) -> Vec<Event> {
        match self.claims.lapsed_claim(&reservation_id, now) {
            Some(_) => vec![self.released(reservation_id, ReleaseReason::Expired, None)],
            None => vec![],
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
        self.claims.get(reservation).map_or(0, |claim| claim.what.qty)
    }

    fn asks_for_something(&self, units: Units) -> Result<(), Refusal> {
        at_least_one(units.qty)?;
        if let Some(period) = units.period {
            period.checked(Period::LONGEST)?;
        }
        Ok(())
    }

    fn same_units(&self, reservation: &ReservationId, units: Units) -> Result<(), Refusal> {
        match self.claims.get(reservation) {
            Some(claim) if claim.what != units => {
                Err(Refusal::OtherQuantity { claimed: claim.what.qty })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn total_after(&self, delta: i64) -> Result<i64, Refusal> {
        let total = self.total.checked_add(delta).ok_or(Refusal::Total)?;
        let fits = total <= i64::from(u32::MAX) && (delta > 0 || total >= 0);
        if fits { Ok(total) } else { Err(Refusal::Total) }
    }

    fn room_or_refusal(&self, units: Units, now: Timestamp) -> Result<Room, Refusal> {
        self.room(units.qty, units.period, now)
            .map_err(|available| Refusal::OutOfStock { requested: units.qty, available })
    }

    /// Looks for room for `qty`; lapsed claims go only as far as they are in the way. Without room:
    /// how many there would be room for.
    pub(super) fn room(
        &self,
        qty: u32,
        period: Option<Period>,
        now: Timestamp,
    ) -> Result<Room, u32> {
        let free = self.total - self.always;
        let wanted = i64::from(qty);
        if !self.over_time.is_empty() {
            return self.room_over_time(wanted, period.unwrap_or(from_now_on(now)), now);
        }
        let missing = u64::try_from(wanted - free).unwrap_or(0);
        match claim::lapsed_for(&self.claims, missing, now, |units| units.qty) {
            Ok(lapsed) => {
                let gained: i64 = lapsed.iter().map(|(_, qty)| i64::from(*qty)).sum();
                Ok(Room { lapsed, left: as_count(free + gained - wanted) })
            }
            Err(gained) => Err(as_count(free.saturating_add_unsigned(gained))),
        }
    }

    /// The same at the busiest moment of a period.
    fn room_over_time(&self, wanted: i64, period: Period, now: Timestamp) -> Result<Room, u32> {
        let mut free = self.total - self.always;
        let mut busy = self.over_time.within(period);
        let mut going = Vec::new();
        let mut lapsed = self.claims.lapsed(now);
        while busy.peak(period) + wanted > free {
            let Some((reservation, claim)) = lapsed.next() else {
                return Err(as_count(free - busy.peak(period)));
            };
            let Units { qty, period: when } = claim.what;
            let in_the_way = match when {
                None => {
                    free += i64::from(qty);
                    true
                }
                Some(when) => overlap(when, period).is_some_and(|shared| {
                    let in_the_way = busy.peak(shared) + wanted > free;
                    if in_the_way {
                        busy.add(shared, -i64::from(qty));
                    }
                    in_the_way
                }),
            };
            if in_the_way {
                going.push((*reservation, qty));
            }
        }
        Ok(Room { lapsed: going, left: as_count(free - busy.peak(period) - wanted) })
    }
}

fn at_least_one(qty: u32) -> Result<(), Refusal> {
    if qty == 0 { Err(Refusal::ZeroQuantity) } else { Ok(()) }
}

/// What a claim without a period must find room in: what is over does not matter any more.
fn from_now_on(now: Timestamp) -> Period {
    Period { from: now, until: Timestamp::from_micros(i64::MAX) }
}

fn overlap(one: Period, other: Period) -> Option<Period> {
    let shared = Period { from: one.from.max(other.from), until: one.until.min(other.until) };
    (shared.from < shared.until).then_some(shared)
}
