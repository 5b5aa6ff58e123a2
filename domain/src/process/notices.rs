//! Notices: what a customer should hear of. They never hold a booking up.
//!
//! Each is named after its reservation, what it is about, and which time that is (the epoch of its
//! claims or the number of the payment attempt), so that a fact that is seen twice tells once.

use super::{Ask, Command, Fact, Refusal, What};
use crate::notification::{self, About, Channel};
use crate::reservation::{Event, HoldReleaseReason, State};
use crate::{Money, NotificationId, ReservationId, derive};

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
    // A notice that is there already was told.
    vec![]
}

fn reservation(id: &ReservationId, event: &Event, state: &State) -> Vec<Ask> {
    let epoch = state.claim_epoch;
    match event {
        Event::Confirmed { .. } => tell(id, state, About::Confirmed, epoch, state.total),
        Event::HoldReleased { reason } => match reason {
            HoldReleaseReason::PaymentFailed => {
                let attempt = state.payments.last().map_or(0, |last| u32::from(last.attempt));
                tell(id, state, About::PaymentFailed, attempt, None)
            }
            HoldReleaseReason::User | HoldReleaseReason::Operator => {
                tell(id, state, About::Cancelled, epoch, None)
            }
        },
        Event::PaymentDeclined { payment_id: _, attempt } => {
            tell(id, state, About::PaymentFailed, u32::from(*attempt), None)
        }
        Event::HoldExpired { .. } => tell(id, state, About::HoldExpired, epoch, None),
        Event::Cancelled { refund, .. } => {
            let back = refund.or(state.total).filter(|_| state.was_confirmed());
            tell(id, state, About::Cancelled, epoch, back)
        }
        Event::LatePaymentAccepted { attempt, .. } => {
            tell(id, state, About::LatePaymentAccepted, u32::from(*attempt), state.total)
        }
        Event::LatePaymentRejected { attempt, .. } => {
            tell(id, state, About::LatePaymentRejected, u32::from(*attempt), state.total)
        }
        Event::HoldCreated { .. }
        | Event::HoldExtended { .. }
        | Event::PaymentRequested { .. }
        | Event::MoneyLost { .. }
        | Event::ClaimsLost { .. }
        | Event::ClaimsRetaken { .. }
        | Event::Finalized { .. }
        | Event::LatePaymentReceived { .. }
        | Event::RentalStarted { .. }
        | Event::RentalCompleted { .. } => vec![],
    }
}

fn tell(
    id: &ReservationId,
    state: &State,
    about: About,
    which: u32,
    amount: Option<Money>,
) -> Vec<Ask> {
    let Some(user_id) = &state.user_id else { return vec![] };
    let name = match about {
        About::Confirmed => "confirmed",
        About::PaymentFailed => "payment-failed",
        About::HoldExpired => "hold-expired",
        About::Cancelled => "cancelled",
        About::LatePaymentAccepted => "late-payment-accepted",
        About::LatePaymentRejected => "late-payment-rejected",
    };
    let notice = derive(&["notice", &id.to_string(), name, &which.to_string(), "in-app"]);
    vec![Ask::Do(Command::Notification(
        NotificationId(notice),
        notification::Command::Request {
            user_id: user_id.clone(),
            channel: Channel::InApp,
            about,
            reservation_id: *id,
            amount,
        },
    ))]
}
