//! How it ended.

use holdfast_domain::reservation::Status;
use holdfast_domain::{Timestamp, seatmap};

use super::{Recorded, START, World, sku};

impl World {
    pub(crate) fn ended_confirmed(&self) -> bool {
        self.reservation.status == Status::Confirmed
    }

    /// What happened, for a failure's message.
    pub(crate) fn story(&self) -> String {
        let line = |(at, recorded): &(Timestamp, Recorded)| {
            let what = match recorded {
                Recorded::Reservation(_, event, _) => format!("{event:?}"),
                Recorded::Payment(_, event, _) => format!("{event:?}"),
                other => format!("{other:?}"),
            };
            format!("  {:>5} s  {what}\n", at.since(START).as_secs())
        };
        self.log.iter().map(line).collect()
    }

    /// Either everything is there and paid once, or nothing is.
    pub(crate) fn verdict(&self) -> Result<(), String> {
        let reservation = &self.reservation;
        let id = &self.id;
        let kept = self.gateway.kept();
        let live = self.gateway.may_still_charge();
        let valid = self.tickets.values().filter(|it| it.user_id.is_some() && !it.revoked).count();
        let limit = self.limit.claim(id).is_some();
        let quota = self.pools[&sku("concert")].claim(id).map(|claim| claim.is_committed());
        let poster = self.pools[&sku("poster")].sold(id).is_some();
        let mine = self.map.seats_of(seatmap::Owner::Reservation(*id)).len();
        let expected = match reservation.status {
            Status::Confirmed if reservation.finalized => {
                (9_900, false, 2, true, Some(true), true, 2)
            }
            Status::HoldFailed | Status::HoldExpired | Status::Cancelled => {
                (0, false, 0, false, None, false, 0)
            }
            other => return Err(format!("it hangs in {other:?}")),
        };
        let found = (kept, live, valid, limit, quota, poster, mine);
        if found == expected {
            Ok(())
        } else {
            Err(format!(
                "{:?}: (kept, live, tickets, limit, quota, poster, seats) is {found:?} and not \
                 {expected:?}",
                reservation.status
            ))
        }
    }
}
