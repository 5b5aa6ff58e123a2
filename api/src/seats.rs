//! What an event of a seat map means for whoever looks at the hall: S2's seat messages.

use axum::extract::ws::Utf8Bytes;
use holdfast_domain::{SeatId, SeatMapId, Timestamp, seatmap};
use holdfast_store::Position;
use serde_json::json;

/// What happened to seats, in the diagram's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Locked,
    Booked,
    Released,
    Blocked,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Locked => "SEAT_LOCKED",
            Self::Booked => "SEAT_BOOKED",
            Self::Released => "SEAT_RELEASED",
            Self::Blocked => "SEAT_BLOCKED",
        }
    }
}

/// Seats that look different now, or a hall that has another plan.
#[derive(Clone, Debug)]
pub(crate) struct SeatChange {
    pub(crate) seat_map_id: SeatMapId,
    pub(crate) what: What,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    /// These seats; `message` is what every open page is sent.
    Seats { kind: Kind, seat_ids: Vec<SeatId>, expires_at: Option<Timestamp>, message: Utf8Bytes },
    /// The plan itself: pages get a new snapshot.
    Plan,
}

impl SeatChange {
    /// What the event changes for a looker-on; none when no seat looks different.
    pub(crate) fn of(map: &SeatMapId, event: &seatmap::Event, at: Position) -> Option<Self> {
        use seatmap::Event as E;
        let (kind, seat_ids, expires_at) = match event {
            E::SeatsLocked { seat_ids, expires_at, .. } => (Kind::Locked, seat_ids, *expires_at),
            E::SeatsBooked { seat_ids, .. } => (Kind::Booked, seat_ids, None),
            E::SeatsReleased { seat_ids, .. } => (Kind::Released, seat_ids, None),
            E::SeatsBlocked { seat_ids, .. } => (Kind::Blocked, seat_ids, None),
            E::SeatsUnblocked { seat_ids } => (Kind::Released, seat_ids, None),
            E::Published { .. } | E::Changed { .. } => {
                return Some(Self { seat_map_id: map.clone(), what: What::Plan });
            }
            // The seats were locked and stay locked; for whom and how long is nobody else's business.
            E::SeatsAttached { .. }
            | E::SeatLockExtended { .. }
            | E::AttemptWithdrawn { .. }
            | E::LockRestored { .. } => return None,
        };
        if seat_ids.is_empty() {
            return None; // a release that only raises the fence
        }
        let mut message = json!({
            "type": kind.name(),
            "seatMapId": map,
            "seatIds": seat_ids,
            "position": at.to_string(),
        });
        if let Some(expires_at) = expires_at {
            message["expiresAt"] = expires_at.to_string().into();
        }
        let message = Utf8Bytes::from(message.to_string());
        let what = What::Seats { kind, seat_ids: seat_ids.clone(), expires_at, message };
        Some(Self { seat_map_id: map.clone(), what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_domain::UserId;

    #[test]
    fn a_message_never_says_whose_the_seats_are() {
        let map = SeatMapId::new("hall").expect("a name");
        let event = seatmap::Event::SeatsLocked {
            lock_id: None,
            reservation_id: None,
            user_id: UserId::new("ada").expect("a name"),
            seat_ids: vec![SeatId::new("A-1-1").expect("a seat")],
            expires_at: Some(Timestamp::from_secs(600)),
            epoch: 1,
            attempt: None,
        };
        let change = SeatChange::of(&map, &event, Position(3)).expect("a change");
        let What::Seats { message, .. } = change.what else { panic!("seats changed") };
        assert!(!message.contains("ada"));
        let message: serde_json::Value = serde_json::from_str(&message).expect("JSON");
        assert_eq!(message["type"], "SEAT_LOCKED");
        assert_eq!(message["seatIds"], json!(["A-1-1"]));
        assert_eq!(message["expiresAt"], "1970-01-01T00:10:00.000000Z");
        assert_eq!(message["position"], "3");
    }
}
