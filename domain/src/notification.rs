//! A notice to one person over one channel. Its words are made when it is read, from what it is about.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Money, ReservationId, UserId};

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
#[expect(missing_docs, reason = "each is a fact of the reservation")]
pub enum About {
    Confirmed,
    PaymentFailed,
    HoldExpired,
    Cancelled,
    LatePaymentAccepted,
    LatePaymentRejected,
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
#[derive(Clone, Debug, Default)]
pub struct State {}

impl crate::Decider for State {
    const CATEGORY: &'static str = "notification";
    type Id = crate::NotificationId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(
        &self,
        _: &crate::NotificationId,
        _: &Command,
        _: crate::Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        unimplemented!("to be written next")
    }

    fn evolve(&mut self, _: &Event) {
        unimplemented!("to be written next")
    }
}
