//! A ticket: the right to enter once, its check-ins, its revocation.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Decider, ReservationId, SeatId, SeatMapId, Sku, TicketId, Timestamp, UserId};

/// What may have happened to a ticket. Stored as `ticket.{kebab}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "each variant's line explains its fields")]
pub enum Event {
    /// It is the customer's. `unit` is the seat's id or `{sku}#{number}`.
    Issued {
        reservation_id: ReservationId,
        user_id: UserId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sku: Option<Sku>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seat_map_id: Option<SeatMapId>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seat_id: Option<SeatId>,
        unit: String,
    },
    /// Somebody entered with it.
    CheckedIn {
        nonce: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gate: Option<String>,
    },
    /// It is worth nothing any more.
    Revoked,
}

/// What may be asked of a ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each variant's line explains its fields")]
pub enum Command {
    /// Give it out.
    Issue {
        reservation_id: ReservationId,
        user_id: UserId,
        sku: Option<Sku>,
        seat_map_id: Option<SeatMapId>,
        seat_id: Option<SeatId>,
        unit: String,
    },
    /// Let somebody in: the same nonce again is the same entry.
    CheckIn { nonce: String, gate: Option<String> },
    /// Its reservation was cancelled. A ticket that comes to be issued later stays revoked.
    Revoke,
}

/// How a ticket says no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum Refusal {
    #[error("there is no such ticket")]
    NotFound,
    #[error("this ticket was already used")]
    AlreadyRedeemed,
    #[error("this ticket was revoked")]
    Revoked,
    #[error("a nonce has 1 to 255 characters")]
    InvalidNonce,
}

/// All that is known of it.
///
/// ```text
///   (none) ──Issue──► issued ──CheckIn──► used
///      │                 │                 │
///      └────Revoke───────┴──────Revoke─────┴──► revoked
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Whose it is; none before it is issued.
    pub user_id: Option<UserId>,
    /// Of which reservation; none before it is issued.
    pub reservation_id: Option<ReservationId>,
    /// The seat's id or `{sku}#{number}`; none before it is issued.
    pub unit: Option<String>,
    /// Whether it is worth nothing any more.
    pub revoked: bool,
    /// The entries that were made with it, by their nonce.
    pub check_ins: BTreeSet<String>,
}

/// The longest nonce.
const NONCE_LEN: usize = 255;

impl Decider for State {
    const CATEGORY: &'static str = "ticket";
    type Id = TicketId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(&self, _: &TicketId, command: &Command, _: Timestamp) -> Result<Vec<Event>, Refusal> {
        match command {
            // Its id follows from its reservation and unit: once issued, it is the same ticket.
            Command::Issue { .. } if self.user_id.is_some() => Ok(vec![]),
            Command::Issue { .. } if self.revoked => Err(Refusal::Revoked),
            Command::Issue { reservation_id, user_id, sku, seat_map_id, seat_id, unit } => {
                Ok(vec![Event::Issued {
                    reservation_id: *reservation_id,
                    user_id: user_id.clone(),
                    sku: sku.clone(),
                    seat_map_id: seat_map_id.clone(),
                    seat_id: seat_id.clone(),
                    unit: unit.clone(),
                }])
            }
            Command::CheckIn { nonce, gate } => {
                if !(1..=NONCE_LEN).contains(&nonce.chars().count()) {
                    Err(Refusal::InvalidNonce)
                } else if self.user_id.is_none() {
                    Err(Refusal::NotFound)
                } else if self.check_ins.contains(nonce) {
                    // The gate asks again about an entry that it made.
                    Ok(vec![])
                } else if self.revoked {
                    Err(Refusal::Revoked)
                } else if !self.check_ins.is_empty() {
                    Err(Refusal::AlreadyRedeemed)
                } else {
                    Ok(vec![Event::CheckedIn { nonce: nonce.clone(), gate: gate.clone() }])
                }
            }
            Command::Revoke if self.revoked => Ok(vec![]),
            Command::Revoke => Ok(vec![Event::Revoked]),
        }
    }

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Issued { reservation_id, user_id, sku: _, seat_map_id: _, seat_id: _, unit } => {
                self.user_id = Some(user_id.clone());
                self.reservation_id = Some(*reservation_id);
                self.unit = Some(unit.clone());
            }
            Event::CheckedIn { nonce, gate: _ } => {
                self.check_ins.insert(nonce.clone());
            }
            Event::Revoked => self.revoked = true,
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "what a test builds is well formed")]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

    fn id() -> TicketId {
        TicketId(crate::derive(&["ticket"]))
    }

    fn issue() -> Command {
        Command::Issue {
            reservation_id: ReservationId(crate::derive(&["r"])),
            user_id: UserId::new("ada").unwrap(),
            sku: None,
            seat_map_id: Some(SeatMapId::new("hall").unwrap()),
            seat_id: Some(SeatId::new("A-1-1").unwrap()),
            unit: "A-1-1".into(),
        }
    }

    fn check_in(nonce: &str) -> Command {
        Command::CheckIn { nonce: nonce.into(), gate: None }
    }

    fn after(commands: &[Command]) -> State {
        let mut state = State::default();
        for command in commands {
            for event in state.decide(&id(), command, NOW).expect("accepted") {
                state.evolve(&event);
            }
        }
        state
    }

    fn ask(state: &State, command: &Command) -> Result<usize, Refusal> {
        state.decide(&id(), command, NOW).map(|events| events.len())
    }

    #[test]
    fn a_ticket_lets_in_once_and_the_same_entry_may_be_asked_again() {
        let used = after(&[issue(), check_in("n1")]);
        assert_eq!(ask(&used, &check_in("n1")), Ok(0));
        assert_eq!(ask(&used, &check_in("n2")), Err(Refusal::AlreadyRedeemed));
    }

    #[test]
    fn a_ticket_that_was_not_issued_lets_nobody_in() {
        assert_eq!(ask(&State::default(), &check_in("n1")), Err(Refusal::NotFound));
    }

    #[test]
    fn a_ticket_that_was_revoked_before_it_was_issued_stays_revoked() {
        let revoked = after(&[Command::Revoke]);
        assert_eq!(ask(&revoked, &issue()), Err(Refusal::Revoked));
        assert_eq!(ask(&revoked, &check_in("n1")), Err(Refusal::NotFound));
    }

    #[test]
    fn a_revoked_ticket_lets_nobody_in_but_admits_an_entry_that_was_made() {
        let state = after(&[issue(), check_in("n1"), Command::Revoke]);
        assert_eq!(ask(&state, &check_in("n1")), Ok(0));
        assert_eq!(ask(&state, &check_in("n2")), Err(Refusal::Revoked));
        assert_eq!(
            ask(&after(&[issue(), Command::Revoke]), &check_in("n1")),
            Err(Refusal::Revoked)
        );
    }

    #[test]
    fn issuing_and_revoking_may_be_repeated() {
        assert_eq!(ask(&after(&[issue()]), &issue()), Ok(0));
        assert_eq!(ask(&after(&[issue(), Command::Revoke]), &Command::Revoke), Ok(0));
    }

    #[test]
    fn a_nonce_is_neither_empty_nor_endless() {
        let issued = after(&[issue()]);
        assert_eq!(ask(&issued, &check_in("")), Err(Refusal::InvalidNonce));
        assert_eq!(ask(&issued, &check_in(&"n".repeat(256))), Err(Refusal::InvalidNonce));
        assert_eq!(ask(&issued, &check_in(&"n".repeat(255))), Ok(1));
    }
}
