//! Notices: what a customer should hear of. They never hold a booking up.
//!
//! Each is named after its reservation, what it is about, and which time that is (the epoch of its
//! claims, the number of the payment attempt, the command to its vehicle, the inspection), so that a
//! fact that is seen twice tells once.

use super::{Ask, Command, Fact, Refusal, What};
use crate::notification::{self, About, Channel};
use crate::reservation::{Event, HoldReleaseReason, State};
use crate::{Money, NotificationId, ReservationId, UserId, derive, inspection, vehicle};

/// What follows from a fact.
pub fn react(fact: &Fact<'_>) -> Vec<Ask> {
    match fact.what {
        What::Reservation(id, event, state) => reservation(id, event, state),
        What::Vehicle(_, event, state) => of_a_vehicle(event, state),
        What::Inspection(id, event, state) => of_an_inspection(&id.to_string(), event, state),
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
        Event::NoShow { .. } => tell(id, state, About::NoShow, epoch, state.total),
        Event::HoldCreated { .. }
        | Event::HoldExtended { .. }
        | Event::PaymentRequested { .. }
        | Event::VehicleAssigned { .. }
        | Event::VehicleWithdrawn { .. }
        | Event::MoneyLost { .. }
        | Event::ClaimsLost { .. }
        | Event::ClaimsRetaken { .. }
        | Event::Finalized { .. }
        | Event::LatePaymentReceived { .. }
        | Event::RentalStarted { .. }
        | Event::RentalCompleted { .. } => vec![],
    }
}

/// The customer was told that the vehicle did not answer; now it has, and it is theirs (D31).
fn of_a_vehicle(event: &vehicle::Event, state: &vehicle::State) -> Vec<Ask> {
    let vehicle::Event::Unlocked { command_id, reservation_id, late: true, accepted: true, .. } =
        event
    else {
        return vec![];
    };
    let theirs = state.reservation().filter(|claim| claim.reservation_id == *reservation_id);
    let Some(claim) = theirs else { return vec![] };
    let which = command_id.to_string();
    told(reservation_id, claim.user_id, About::LateUnlock, &which, None)
}

fn of_an_inspection(id: &str, event: &inspection::Event, state: &inspection::State) -> Vec<Ask> {
    use inspection::Event as E;
    let (Some(reservation_id), Some(user_id)) = (&state.reservation_id, &state.user_id) else {
        return vec![];
    };
    match event {
        E::DamageAssessed { amount_estimate, .. } => {
            told(reservation_id, user_id, About::DamageAssessed, id, *amount_estimate)
        }
        E::ClaimCharged { amount, .. } => {
            told(reservation_id, user_id, About::DamageCharged, id, Some(*amount))
        }
        E::Submitted { .. }
        | E::ClaimApproved { .. }
        | E::ClaimRejected { .. }
        | E::ClaimDisputed { .. }
        | E::ClaimWaived { .. }
        | E::ChargeFailed { .. } => vec![],
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
    told(id, user_id, about, &which.to_string(), amount)
}

fn told(
    id: &ReservationId,
    user_id: &UserId,
    about: About,
    which: &str,
    amount: Option<Money>,
) -> Vec<Ask> {
    let name = match about {
        About::Confirmed => "confirmed",
        About::PaymentFailed => "payment-failed",
        About::HoldExpired => "hold-expired",
        About::Cancelled => "cancelled",
        About::LatePaymentAccepted => "late-payment-accepted",
        About::LatePaymentRejected => "late-payment-rejected",
        About::LateUnlock => "late-unlock",
        About::NoShow => "no-show",
        About::DamageAssessed => "damage-assessed",
        About::DamageCharged => "damage-charged",
    };
    let notice = derive(&["notice", &id.to_string(), name, which, "in-app"]);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reservation::{
        Attempt, CancelReason, CancelledBy, ExtensionReason, LateReason, Status,
    };
    use crate::{Currency, InspectionId, Timestamp};

    fn heard(event: &Event) -> Vec<(NotificationId, About)> {
        let id = ReservationId(derive(&["r"]));
        let payment_id = id.payment_id();
        let state = State {
            user_id: Some(UserId::new("ada").expect("a user")),
            claim_epoch: 1,
            payments: vec![Attempt { payment_id, attempt: 1 }],
            ..State::default()
        };
        let what = What::Reservation(&id, event, &state);
        let asks = react(&Fact { at: Timestamp::default(), what });
        asks.into_iter()
            .map(|ask| {
                let Ask::Do(Command::Notification(
                    notice,
                    notification::Command::Request { about, channel: Channel::InApp, .. },
                )) = ask
                else {
                    panic!("not a notice: {ask:?}")
                };
                (notice, about)
            })
            .collect()
    }

    #[test]
    fn a_customer_hears_of_each_turn_once() {
        let payment_id = ReservationId(derive(&["r"])).payment_id();
        let attempt = 1;
        let failed = HoldReleaseReason::PaymentFailed;
        let turns = [
            (
                Event::Confirmed {
                    payment_id,
                    attempt,
                    confirmed_at: Timestamp::default(),
                    claim_epoch: 1,
                },
                About::Confirmed,
            ),
            (Event::HoldReleased { reason: failed }, About::PaymentFailed),
            (
                Event::HoldExpired { expired_at: Timestamp::default(), was_status: Status::Hold },
                About::HoldExpired,
            ),
            (
                Event::Cancelled {
                    by: CancelledBy::User,
                    reason: CancelReason::User,
                    refund: None,
                },
                About::Cancelled,
            ),
            (
                Event::LatePaymentAccepted { payment_id, attempt, claim_epoch: 2 },
                About::LatePaymentAccepted,
            ),
            (
                Event::LatePaymentRejected { payment_id, attempt, reason: LateReason::Gone },
                About::LatePaymentRejected,
            ),
            (Event::NoShow { at: Timestamp::default() }, About::NoShow),
        ];
        let mut names = std::collections::BTreeSet::new();
        for (event, expected) in &turns {
            let notices = heard(event);
            assert_eq!(notices.iter().map(|(_, about)| *about).collect::<Vec<_>>(), [*expected]);
            assert_eq!(notices, heard(event), "a fact that is seen twice tells once");
            names.extend(notices.into_iter().map(|(notice, _)| notice));
        }
        assert_eq!(names.len(), turns.len(), "each has its own name");
    }

    #[test]
    fn two_declined_attempts_are_two_notices() {
        let payment_id = ReservationId(derive(&["r"])).payment_id();
        let declined = |attempt| heard(&Event::PaymentDeclined { payment_id, attempt });
        assert_ne!(declined(1), declined(2));
    }

    #[test]
    fn a_customer_hears_of_a_damage_when_it_is_reported_and_when_it_is_charged() {
        let (reservation_id, id) = (ReservationId(derive(&["r"])), InspectionId(derive(&["i"])));
        let user_id = UserId::new("ada").expect("a user");
        let price = Money::new(20_000, Currency::new("EUR").expect("a currency"));
        let state = inspection::State {
            reservation_id: Some(reservation_id),
            user_id: Some(user_id.clone()),
            ..inspection::State::default()
        };
        let assessed = inspection::Event::DamageAssessed {
            claim_id: id.claim_id(),
            reservation_id,
            user_id,
            amount_estimate: Some(price),
            auto_charge: false,
        };
        let payment_id = reservation_id.damage_payment_id(&id);
        let charged = inspection::Event::ClaimCharged { payment_id, amount: price };
        let code = "card_declined".to_owned();
        // What did not work is for a person to look at first.
        let failed = inspection::Event::ChargeFailed { payment_id, attempt: Some(1), code };
        let heard = |event| {
            let what = What::Inspection(&id, event, &state);
            let asks = react(&Fact { at: Timestamp::default(), what });
            let about = |ask: &Ask| {
                let Ask::Do(Command::Notification(_, request)) = ask else {
                    panic!("not a notice: {ask:?}")
                };
                let notification::Command::Request { about, amount, .. } = request;
                (*about, *amount)
            };
            asks.iter().map(about).collect::<Vec<_>>()
        };
        assert_eq!(heard(&assessed), [(About::DamageAssessed, Some(price))]);
        assert_eq!(heard(&charged), [(About::DamageCharged, Some(price))]);
        assert_eq!(heard(&failed), []);
    }

    #[test]
    fn what_a_customer_does_itself_is_not_told() {
        let now = Timestamp::default();
        let extended = Event::HoldExtended {
            old_expires_at: now,
            new_expires_at: now,
            reason: ExtensionReason::PaymentStarted,
        };
        assert_eq!(heard(&extended), []);
        assert_eq!(heard(&Event::Finalized { vehicle_id: None }), []);
    }
}
