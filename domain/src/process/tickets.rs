//! Tickets follow a reservation: given out once it is finalized, worth nothing once it is cancelled.
//!
//! | fact | asks | when refused |
//! |---|---|---|
//! | `ReservationFinalized` | issue one for each seat and each admission | revoked meanwhile: nothing |
//! | `ReservationCancelled`, after that | revoke each | – |

use std::collections::{BTreeMap, BTreeSet};

use super::{Ask, Command, Fact, Refusal, What};
use crate::reservation::{Event, LineKind, State};
use crate::{ReservationId, Sku, ticket};

/// What follows from a fact.
pub fn react(fact: &Fact<'_>) -> Vec<Ask> {
    match fact.what {
        What::Reservation(id, event, state) => reservation(id, event, state),
        What::Payment(..)
        | What::SeatMap(..)
        | What::Inventory(..)
        | What::Limit(..)
        | What::Item(..)
        | What::Ticket(..)
        | What::Notification(..)
        | What::Vehicle(..)
        | What::Inspection(..) => vec![],
    }
}

/// What follows when a command that it asked for is refused.
pub fn refused(_: &Command, _: &Refusal) -> Vec<Ask> {
    // Only Issue can be: its reservation was cancelled meanwhile, and the ticket stays revoked.
    vec![]
}

fn reservation(id: &ReservationId, event: &Event, state: &State) -> Vec<Ask> {
    match event {
        Event::Finalized { .. } => units(id, state)
            .into_iter()
            .map(|(unit, issue)| Ask::Do(Command::Ticket(id.ticket_id(&unit), issue)))
            .collect(),
        Event::Cancelled { .. } if state.finalized => units(id, state)
            .into_iter()
            .map(|(unit, _)| Ask::Do(Command::Ticket(id.ticket_id(&unit), ticket::Command::Revoke)))
            .collect(),
        Event::Cancelled { .. }
        | Event::HoldCreated { .. }
        | Event::HoldExtended { .. }
        | Event::PaymentRequested { .. }
        | Event::PaymentDeclined { .. }
        | Event::MoneyLost { .. }
        | Event::Confirmed { .. }
        | Event::ClaimsLost { .. }
        | Event::ClaimsRetaken { .. }
        | Event::HoldReleased { .. }
        | Event::HoldExpired { .. }
        | Event::LatePaymentReceived { .. }
        | Event::LatePaymentAccepted { .. }
        | Event::LatePaymentRejected { .. }
        | Event::VehicleAssigned { .. }
        | Event::VehicleWithdrawn { .. }
        | Event::NoShow { .. }
        | Event::RentalStarted { .. }
        | Event::RentalCompleted { .. } => vec![],
    }
}

/// Each seat and each admission by its name, with what its ticket says. Admissions of one item are
/// numbered through all its lines, so that no two share a name; nor do seats of two maps that are
/// called the same, so the second one's name tells its map.
fn units(id: &ReservationId, state: &State) -> Vec<(String, ticket::Command)> {
    let Some(user_id) = &state.user_id else { return vec![] };
    let mut counted: BTreeMap<&Sku, u32> = BTreeMap::new();
    let mut seats = BTreeSet::new();
    let mut units = Vec::new();
    for line in &state.lines {
        match line.kind {
            LineKind::Seat => {
                for seat in &line.seat_ids {
                    let unit = match &line.seat_map_id {
                        Some(map) if !seats.insert(seat) => format!("{map}/{seat}"),
                        Some(_) | None => seat.to_string(),
                    };
                    units.push((
                        unit.clone(),
                        ticket::Command::Issue {
                            reservation_id: *id,
                            user_id: user_id.clone(),
                            sku: line.sku.clone(),
                            seat_map_id: line.seat_map_id.clone(),
                            seat_id: Some(seat.clone()),
                            unit,
                        },
                    ));
                }
            }
            LineKind::Ticket => {
                let Some(sku) = &line.sku else { continue };
                let number = counted.entry(sku).or_default();
                for _ in 0..line.quantity {
                    *number += 1;
                    let unit = format!("{sku}#{number}");
                    units.push((
                        unit.clone(),
                        ticket::Command::Issue {
                            reservation_id: *id,
                            user_id: user_id.clone(),
                            sku: Some(sku.clone()),
                            seat_map_id: None,
                            seat_id: None,
                            unit,
                        },
                    ));
                }
            }
            LineKind::Stock | LineKind::Vehicle => {}
        }
    }
    units
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reservation::{CancelReason, CancelledBy, Line};
    use crate::{Currency, Money, SeatId, SeatMapId, Timestamp, UserId, derive};

    fn id() -> ReservationId {
        ReservationId(derive(&["r"]))
    }

    fn line(kind: LineKind, sku: &str, quantity: u32, seats: &[(&str, &str)]) -> Line {
        let map = seats.first().map(|(map, _)| SeatMapId::new(*map).expect("a map"));
        Line {
            line_id: 1,
            kind,
            sku: Some(Sku::new(sku).expect("a sku")),
            quantity,
            seat_map_id: map,
            seat_ids: seats.iter().map(|(_, id)| SeatId::new(*id).expect("a seat")).collect(),
            period: None,
            vehicle_id: None,
            unit_price: Money::zero(Currency::new("EUR").expect("a currency")),
        }
    }

    fn reservation_of(lines: Vec<Line>, finalized: bool) -> State {
        let user_id = Some(UserId::new("ada").expect("a user"));
        State { user_id, lines, finalized, ..State::default() }
    }

    fn asked(event: &Event, state: &State) -> Vec<Ask> {
        let id = id();
        let what = What::Reservation(&id, event, state);
        react(&Fact { at: Timestamp::default(), what })
    }

    fn units_of(asks: &[Ask]) -> Vec<String> {
        let unit = |ask: &Ask| {
            let Ask::Do(Command::Ticket(ticket, ticket::Command::Issue { unit, .. })) = ask else {
                panic!("not an issue: {ask:?}")
            };
            assert_eq!(*ticket, id().ticket_id(unit), "a ticket is named after its unit");
            unit.clone()
        };
        asks.iter().map(unit).collect()
    }

    #[test]
    fn every_seat_and_every_admission_gets_its_own_ticket_and_goods_get_none() {
        let state = reservation_of(
            vec![
                line(LineKind::Seat, "concert", 2, &[("hall", "A-1-1"), ("hall", "A-1-2")]),
                line(LineKind::Seat, "opera", 1, &[("opera", "A-1-1")]),
                line(LineKind::Ticket, "fair", 2, &[]),
                line(LineKind::Stock, "poster", 3, &[]),
                line(LineKind::Ticket, "fair", 1, &[]),
            ],
            true,
        );
        let issued = asked(&Event::Finalized { vehicle_id: None }, &state);
        let units = ["A-1-1", "A-1-2", "opera/A-1-1", "fair#1", "fair#2", "fair#3"];
        assert_eq!(units_of(&issued), units);
    }

    #[test]
    fn a_cancellation_revokes_what_was_issued() {
        let cancelled =
            Event::Cancelled { by: CancelledBy::User, reason: CancelReason::User, refund: None };
        let lines = vec![line(LineKind::Ticket, "fair", 2, &[])];
        let revoked = asked(&cancelled, &reservation_of(lines.clone(), true));
        let revoke = |unit| Ask::Do(Command::Ticket(id().ticket_id(unit), ticket::Command::Revoke));
        assert_eq!(revoked, [revoke("fair#1"), revoke("fair#2")]);
        // Never finalized: there are none.
        assert_eq!(asked(&cancelled, &reservation_of(lines, false)), []);
    }
}
