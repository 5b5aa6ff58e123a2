//! Seats: each has one owner, and only its owner books it or gives it back. S1, S2, S4.

use std::collections::{BTreeMap, HashMap, HashSet};

use holdfast_domain::seatmap::{Event, Owner};
use holdfast_domain::{ReservationId, SeatId, SeatMapId, Timestamp};
use holdfast_store::Position;

use super::holds::Holds;
use super::{End, Findings, Report, Seen};

struct Taken {
    owner: Owner,
    booked: bool,
    /// When it lapses; a booked seat does not.
    expires_at: Option<Timestamp>,
    position: Position,
}

#[derive(Default)]
struct Map {
    taken: BTreeMap<SeatId, Taken>,
    blocked: HashSet<SeatId>,
}

/// Every seat that somebody has.
#[derive(Default)]
pub(super) struct Seats {
    maps: HashMap<SeatMapId, Map>,
}

fn named(owner: Owner) -> String {
    match owner {
        Owner::Lock(id) => format!("lock {id}"),
        Owner::Reservation(id) => format!("reservation {id}"),
    }
}

impl Seats {
    pub(super) fn see(&mut self, seen: Seen, id: &SeatMapId, event: &Event, report: &mut Report) {
        let map = self.maps.entry(id.clone()).or_default();
        let mut wrong = |what: String| report.offence(seen.position, format!("map {id}: {what}"));
        match event {
            Event::Published { .. } => {}
            Event::Changed { removed_seats, .. } => {
                for seat in removed_seats {
                    if let Some(taken) = map.taken.get(seat) {
                        wrong(format!("seat {seat} vanished while {} had it", named(taken.owner)));
                    }
                }
            }
            Event::SeatsLocked { lock_id, reservation_id, seat_ids, expires_at, .. } => {
                let owner = match (reservation_id, lock_id) {
                    (Some(reservation), _) => Owner::Reservation(*reservation),
                    (None, Some(lock)) => Owner::Lock(*lock),
                    (None, None) => return wrong("seats were locked for nobody".into()),
                };
                for seat in seat_ids {
                    if map.blocked.contains(seat) {
                        wrong(format!("seat {seat} is blocked and was locked"));
                    }
                    let new = Taken {
                        owner,
                        booked: false,
                        expires_at: *expires_at,
                        position: seen.position,
                    };
                    if let Some(old) = map.taken.insert(seat.clone(), new)
                        && old.owner != owner
                    {
                        wrong(format!(
                            "seat {seat} was given to {} while {} had it",
                            named(owner),
                            named(old.owner)
                        ));
                    }
                }
            }
            Event::SeatsAttached { lock_id, reservation_id, seat_ids, expires_at, .. } => {
                for seat in seat_ids {
                    match map.taken.get_mut(seat) {
                        Some(taken) if taken.owner == Owner::Lock(*lock_id) => {
                            taken.owner = Owner::Reservation(*reservation_id);
                            taken.expires_at = Some(*expires_at);
                            taken.position = seen.position;
                        }
                        _ => wrong(format!("seat {seat} was not lock {lock_id}'s to hand over")),
                    }
                }
            }
            Event::SeatLockExtended { reservation_id, expires_at, .. } => {
                for taken in map.taken.values_mut() {
                    if taken.owner == Owner::Reservation(*reservation_id) && !taken.booked {
                        taken.expires_at = taken.expires_at.map(|old| old.max(*expires_at));
                    }
                }
            }
            Event::SeatsBooked { reservation_id, seat_ids, .. } => {
                for seat in seat_ids {
                    match map.taken.get_mut(seat) {
                        Some(taken) if taken.owner == Owner::Reservation(*reservation_id) => {
                            taken.booked = true;
                            taken.expires_at = None;
                        }
                        Some(taken) => wrong(format!(
                            "seat {seat} was booked for reservation {reservation_id} while {} had it",
                            named(taken.owner)
                        )),
                        None => wrong(format!(
                            "seat {seat} was booked for reservation {reservation_id}, which had not locked it"
                        )),
                    }
                }
            }
            Event::SeatsReleased { owner, seat_ids, .. } => {
                for seat in seat_ids {
                    match map.taken.get(seat) {
                        Some(taken) if taken.owner == *owner => {
                            map.taken.remove(seat);
                        }
                        Some(taken) => wrong(format!(
                            "seat {seat} was released for {} while {} had it",
                            named(*owner),
                            named(taken.owner)
                        )),
                        None => wrong(format!("seat {seat} was released and nobody had it")),
                    }
                }
            }
            Event::LockRestored { lock_id, reservation_id, seat_ids, expires_at, .. } => {
                for seat in seat_ids {
                    let owner = Owner::Lock(*lock_id);
                    let new = Taken {
                        owner,
                        booked: false,
                        expires_at: Some(*expires_at),
                        position: seen.position,
                    };
                    if let Some(old) = map.taken.insert(seat.clone(), new)
                        && old.owner != Owner::Reservation(*reservation_id)
                    {
                        wrong(format!(
                            "seat {seat} went back to {} while {} had it",
                            named(owner),
                            named(old.owner)
                        ));
                    }
                }
            }
            Event::AttemptWithdrawn { .. } => {}
            Event::SeatsBlocked { seat_ids, .. } => map.blocked.extend(seat_ids.iter().cloned()),
            Event::SeatsUnblocked { seat_ids } => {
                for seat in seat_ids {
                    map.blocked.remove(seat);
                }
            }
        }
    }

    /// The seats of a reservation that are booked.
    fn booked_of(&self, map: &SeatMapId, reservation: ReservationId) -> HashSet<&SeatId> {
        let taken = self.maps.get(map).into_iter().flat_map(|map| &map.taken);
        taken
            .filter(|(_, taken)| taken.booked && taken.owner == Owner::Reservation(reservation))
            .map(|(seat, _)| seat)
            .collect()
    }

    pub(super) fn finish(
        &self,
        end: &End<'_>,
        holds: &Holds,
        report: &mut Report,
        findings: &mut Findings,
    ) {
        for (id, map) in &self.maps {
            for (seat, taken) in &map.taken {
                if taken.booked {
                    findings.seats_booked += 1;
                } else {
                    findings.seats_locked += 1;
                }
                match taken.owner {
                    Owner::Lock(lock) if taken.expires_at.is_some_and(|at| end.overdue(at)) => {
                        report.offence(
                            taken.position,
                            format!(
                                "map {id}: lock {lock} still has seat {seat}, long after its time"
                            ),
                        )
                    }
                    Owner::Lock(_) => {}
                    Owner::Reservation(reservation) => {
                        if let Some(ended) = holds.ended_at(reservation)
                            && end.settled(ended)
                        {
                            report.offence(
                                taken.position,
                                format!(
                                    "map {id}: seat {seat} is still reservation {reservation}'s, which has ended"
                                ),
                            );
                        }
                    }
                }
            }
        }
        for (reservation, map, seats, finalized) in holds.finalized_seats() {
            let booked = self.booked_of(map, reservation);
            for seat in seats.iter().filter(|seat| !booked.contains(seat)) {
                report.offence(
                    finalized,
                    format!(
                        "map {map}: reservation {reservation} is finalized, but seat {seat} is not booked for it"
                    ),
                );
            }
        }
    }
}
