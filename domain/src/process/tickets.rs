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
        | What::Notification(..) => vec![],
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
