//! Limits: nobody has taken more of an item than one customer may. I4, S4-03.

use std::collections::HashMap;

use holdfast_domain::limit::Event;
use holdfast_domain::reservation::{self, Claim};
use holdfast_domain::{LimitId, ReservationId};

use super::holds::Holds;
use super::{End, Report, Seen};

/// What every user has taken of every item.
#[derive(Default)]
pub(super) struct Limits {
    taken: HashMap<LimitId, HashMap<ReservationId, u32>>,
}

impl Limits {
    pub(super) fn see(&mut self, id: &LimitId, event: &Event) {
        let taken = self.taken.entry(id.clone()).or_default();
        match event {
            Event::Taken { reservation_id, qty, .. } | Event::Kept { reservation_id, qty, .. } => {
                taken.insert(*reservation_id, *qty);
            }
            Event::Released { reservation_id, qty, .. } if *qty > 0 => {
                taken.remove(reservation_id);
            }
            Event::Released { .. } | Event::Extended { .. } | Event::AttemptWithdrawn { .. } => {}
        }
    }

    /// A hold says which limit stood when it was made.
    pub(super) fn judge(&self, seen: Seen, event: &reservation::Event, report: &mut Report) {
        let reservation::Event::HoldCreated { claims, .. } = event else { return };
        for claim in claims {
            let Claim::Limit { r#ref: id, max, .. } = claim else { continue };
            let taken: u32 = self.taken.get(id).map_or(0, |taken| taken.values().sum());
            if taken > *max {
                report.offence(seen.position, format!("limit {id}: {taken} are taken of {max}"));
            }
        }
    }

    pub(super) fn finish(&self, end: &End<'_>, holds: &Holds, report: &mut Report) {
        for (id, taken) in &self.taken {
            for (reservation, qty) in taken {
                if let Some((ended, position)) = holds.end_of(*reservation)
                    && end.settled(ended)
                {
                    report.offence(
                        position,
                        format!(
                            "limit {id}: reservation {reservation} has ended and still counts {qty}"
                        ),
                    );
                }
            }
        }
    }
}
