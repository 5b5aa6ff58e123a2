//! Recording a hold once everything in it is claimed: what a reservation may contain.

use std::collections::BTreeSet;
use std::time::Duration;

use super::State;
use super::command::{InvalidLines, Refusal};
use super::event::{Channel, Claim, Event, Line, LineKind, Policies, Status};
use crate::{Money, Timestamp, UserId};

/// More lines than this are refused.
pub const MOST_LINES: usize = 50;

/// No hold lives longer than this, however often it is extended: R2.
pub const LONGEST_HOLD: Duration = Duration::from_secs(7_200);

/// What `PlaceHold` asks for.
pub(super) struct Wish<'a> {
    pub user_id: &'a UserId,
    pub lines: &'a [Line],
    pub claims: &'a [Claim],
    pub hold_expires_at: Timestamp,
    pub absolute_deadline: Timestamp,
    pub channel: Channel,
    pub policies: Policies,
}

impl State {
    pub(super) fn place(&self, wish: Wish<'_>, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        match self.status {
            Status::None => {
                let total = total(wish.lines)?;
                within(&wish, now)?;
                Ok(vec![Event::HoldCreated {
                    user_id: wish.user_id.clone(),
                    lines: wish.lines.to_vec(),
                    total,
                    claims: wish.claims.to_vec(),
                    claim_epoch: 1,
                    hold_expires_at: wish.hold_expires_at,
                    absolute_deadline: wish.absolute_deadline,
                    channel: wish.channel,
                    policies: wish.policies,
                }])
            }
            Status::Hold
            | Status::AwaitingPayment
            | Status::Reacquiring
            | Status::Confirmed
            | Status::InUse
            | Status::Completed
            | Status::HoldFailed
            | Status::HoldExpired
            | Status::Cancelled => {
                if self.is_the_same(&wish) {
                    Ok(vec![])
                } else {
                    Err(Refusal::AlreadyExists)
                }
            }
        }
    }

    /// Whether the wish is for what is reserved already. Prices, limits and deadlines are looked up
    /// anew at each try, so a retry that finds them changed still asks for the same.
    fn is_the_same(&self, wish: &Wish<'_>) -> bool {
        let same_line = |(mine, asked): (&Line, &Line)| {
            Line { unit_price: mine.unit_price, ..asked.clone() } == *mine
        };
        self.user_id.as_ref() == Some(wish.user_id)
            && self.lines.len() == wish.lines.len()
            && self.lines.iter().zip(wish.lines).all(same_line)
    }
}

/// R1: the total is the sum of the lines, in one currency.
fn total(lines: &[Line]) -> Result<Money, Refusal> {
    let wrong = |what| Err(Refusal::InvalidLines(what));
    let Some(first) = lines.first() else { return wrong(InvalidLines::None) };
    if lines.len() > MOST_LINES {
        return wrong(InvalidLines::TooMany);
    }
    let mut sum = Money::zero(first.unit_price.currency);
    let mut vehicles = 0;
    let mut seats = BTreeSet::new();
    for line in lines {
        if line.quantity == 0 {
            return wrong(InvalidLines::ZeroQuantity);
        }
        if line.unit_price.currency != sum.currency {
            return wrong(InvalidLines::MixedCurrencies);
        }
        if line.unit_price.amount_minor < 0 {
            return wrong(InvalidLines::Total);
        }
        let price = line.unit_price.times(line.quantity);
        sum = price
            .and_then(|price| sum.plus(price))
            .map_err(|_| Refusal::InvalidLines(InvalidLines::Total))?;
        match line.kind {
            LineKind::Seat => {
                let Some(map) = &line.seat_map_id else { return wrong(InvalidLines::Unnamed) };
                let each_once = line.seat_ids.iter().all(|seat| seats.insert((map, seat)));
                if !each_once || usize::try_from(line.quantity) != Ok(line.seat_ids.len()) {
                    return wrong(InvalidLines::Seats);
                }
            }
            LineKind::Stock | LineKind::Ticket | LineKind::Vehicle => {
                if line.sku.is_none() {
                    return wrong(InvalidLines::Unnamed);
                }
                if !line.seat_ids.is_empty() {
                    return wrong(InvalidLines::Seats);
                }
            }
        }
        if line.kind == LineKind::Vehicle {
            // Unlock and return name only the reservation.
            vehicles += 1;
            if vehicles > 1 || line.quantity > 1 {
                return wrong(InvalidLines::Vehicles);
            }
        }
    }
    Ok(sum)
}

/// R2: hold_expires_at ≤ absolute_deadline ≤ now + 7,200 s; and too late is too late.
fn within(wish: &Wish<'_>, now: Timestamp) -> Result<(), Refusal> {
    if wish.hold_expires_at > wish.absolute_deadline
        || wish.absolute_deadline > now.plus(LONGEST_HOLD)
    {
        Err(Refusal::InvalidLines(InvalidLines::Deadlines))
    } else if now >= wish.hold_expires_at {
        Err(Refusal::HoldExpired { expired_at: wish.hold_expires_at })
    } else {
        Ok(())
    }
}
