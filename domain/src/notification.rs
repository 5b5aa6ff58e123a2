//! A notice to one person over one channel. Its words are made when it is read, from what it is about.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Decider, Money, NotificationId, ReservationId, Timestamp, UserId};

/// Over what a notice goes. In-app needs no carrier: it is there once it is recorded.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "named as in the contract")]
pub enum Channel {
    Email,
    Push,
    InApp,
}

/// What a notice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(
    missing_docs,
    reason = "each is a fact of the reservation, of its vehicle or of its inspection"
)]
pub enum About {
    Confirmed,
    PaymentFailed,
    HoldExpired,
    Cancelled,
    LatePaymentAccepted,
    LatePaymentRejected,
    LateUnlock,
    NoShow,
    DamageAssessed,
    DamageCharged,
}

/// What may have happened to a notice. Stored as `notification.{kebab}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "each variant's line explains its fields")]
pub enum Event {
    /// It is to reach the user; in-app notices have arrived with this.
    Requested {
        user_id: UserId,
        channel: Channel,
        about: About,
        reservation_id: ReservationId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        amount: Option<Money>,
    },
}

/// What may be asked of a notice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each variant's line explains its fields")]
pub enum Command {
    /// Tell the user.
    Request {
        user_id: UserId,
        channel: Channel,
        about: About,
        reservation_id: ReservationId,
        amount: Option<Money>,
    },
}

/// How a notice says no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The id stands for another notice.
    #[error("this notice is another one")]
    AlreadyExists,
}

/// All that is known of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// What was asked for; none before that.
    #[serde(with = "crate::kept::as_stored")]
    pub requested: Option<Event>,
}

impl Decider for State {
    const CATEGORY: &'static str = "notification";
    type Id = NotificationId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(
        &self,
        _: &NotificationId,
        command: &Command,
        _: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        let Command::Request { user_id, channel, about, reservation_id, amount } = command;
        let asked = Event::Requested {
            user_id: user_id.clone(),
            channel: *channel,
            about: *about,
            reservation_id: *reservation_id,
            amount: *amount,
        };
        match &self.requested {
            None => Ok(vec![asked]),
            Some(requested) if *requested == asked => Ok(vec![]),
            Some(_) => Err(Refusal::AlreadyExists),
        }
    }

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Requested { .. } => self.requested = Some(event.clone()),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "what a test builds is well formed")]
mod tests {
    use super::*;

    fn request(about: About) -> Command {
        Command::Request {
            user_id: UserId::new("ada").unwrap(),
            channel: Channel::InApp,
            about,
            reservation_id: ReservationId(crate::derive(&["r"])),
            amount: None,
        }
    }

    #[test]
    fn a_notice_is_recorded_once_and_its_id_stands_for_no_other() {
        let id = NotificationId(crate::derive(&["n"]));
        let mut state = State::default();
        for event in state.decide(&id, &request(About::Confirmed), Timestamp::default()).unwrap() {
            state.evolve(&event);
        }
        let again = |about| state.decide(&id, &request(about), Timestamp::default());
        assert_eq!(again(About::Confirmed), Ok(vec![]));
        assert_eq!(again(About::Cancelled), Err(Refusal::AlreadyExists));
    }
}
