//! Tickets: one that is valid for each seat, and only of reservations that are finalized.

use std::collections::HashMap;

use holdfast_domain::ticket::Event;
use holdfast_domain::{ReservationId, SeatId, SeatMapId, TicketId, Timestamp};
use holdfast_store::Position;

use super::holds::Holds;
use super::{End, Findings, Report, Seen};

struct Issued {
    reservation: ReservationId,
    seat: Option<(SeatMapId, SeatId)>,
    revoked: bool,
    at: Timestamp,
    position: Position,
}

/// Every ticket.
#[derive(Default)]
pub(super) struct Tickets {
    tickets: HashMap<TicketId, Issued>,
}

impl Tickets {
    pub(super) fn see(&mut self, seen: Seen, id: TicketId, event: &Event) {
        match event {
            Event::Issued { reservation_id, seat_map_id, seat_id, .. } => {
                self.tickets.insert(
                    id,
                    Issued {
                        reservation: *reservation_id,
                        seat: seat_map_id.clone().zip(seat_id.clone()),
                        revoked: false,
                        at: seen.at,
                        position: seen.position,
                    },
                );
            }
            Event::CheckedIn { .. } => {}
            Event::Revoked => {
                if let Some(ticket) = self.tickets.get_mut(&id) {
                    ticket.revoked = true;
                    ticket.at = seen.at;
                }
            }
        }
    }

    pub(super) fn finish(
        &self,
        end: &End<'_>,
        holds: &Holds,
        report: &mut Report,
        findings: &mut Findings,
    ) {
        let mut seats: HashMap<&(SeatMapId, SeatId), TicketId> = HashMap::new();
        for (id, ticket) in self.tickets.iter().filter(|(_, ticket)| !ticket.revoked) {
            findings.tickets_valid += 1;
            if !holds.is_finalized(ticket.reservation) {
                report.offence(
                    ticket.position,
                    format!("ticket {id}: reservation {} is not finalized", ticket.reservation),
                );
            }
            if let Some(ended) = holds.ended_at(ticket.reservation)
                && end.settled(ended)
            {
                report.offence(
                    ticket.position,
                    format!(
                        "ticket {id}: valid, although reservation {} has ended",
                        ticket.reservation
                    ),
                );
            }
            if let Some(seat) = &ticket.seat
                && let Some(other) = seats.insert(seat, *id)
                && end.settled(ticket.at)
            {
                report.offence(
                    ticket.position,
                    format!(
                        "tickets {id} and {other} are both valid for seat {} of map {}",
                        seat.1, seat.0
                    ),
                );
            }
        }
    }
}
