//! Waiting until it is known what became of a payment attempt, as the customer will see it.

use std::sync::Arc;

use holdfast_domain::payment::{self, Flow, Status as Paid};
use holdfast_domain::reservation::{self, Status};
use holdfast_domain::{PaymentId, ReservationId};

use crate::engine::streams_of;
use crate::{Done, Engine, PaymentAnswer, PaymentOutcome, Rejection};

/// Which attempt is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Awaited {
    pub(crate) reservation_id: ReservationId,
    pub(crate) payment_id: PaymentId,
    pub(crate) attempt: u16,
}

impl Engine {
    /// Waits until the outcome is known and the reservation has decided, or for the set time. Woken by
    /// the log itself.
    pub(crate) async fn outcome(
        &self,
        awaited: Awaited,
        done: Done,
    ) -> Result<PaymentAnswer, Rejection> {
        let Awaited { reservation_id, payment_id, .. } = awaited;
        let [of_reservation, of_payment] = streams_of(&reservation_id, &payment_id);
        let bell = self.0.index.bells.listen(&[of_reservation.clone(), of_payment.clone()]);
        let mut too_long = self.0.house.clock.sleep(self.settings().payment_answer_wait);
        let mut last = false;
        loop {
            let dispatch = &self.0.dispatch;
            // The reservation first: whatever it has decided, the payment that is read after it shows
            // why. The other way round a decline could be missed in between.
            let reservation = dispatch
                .look_from::<reservation::State, _>(
                    &reservation_id,
                    bell.version(&of_reservation),
                    |view| (view.state.clone(), view.position),
                )
                .await?;
            let payment = dispatch
                .look_from::<payment::State, _>(&payment_id, bell.version(&of_payment), |view| {
                    Arc::new(view.state.clone())
                })
                .await?;
            let (reservation, position) = reservation;
            let known = judge(awaited, &payment, &reservation);
            if known.is_some() || last {
                return Ok(PaymentAnswer {
                    payment_id,
                    payment: Arc::unwrap_or_clone(payment),
                    reservation_id,
                    reservation,
                    outcome: known.unwrap_or(PaymentOutcome::Pending),
                    done: Done { position: done.position.max(position), ..done },
                });
            }
            tokio::select! {
                () = bell.rung() => {}
                () = &mut too_long => last = true,
            }
        }
    }
}

/// What became of an attempt; none while that is open.
fn judge(
    awaited: Awaited,
    payment: &payment::State,
    reservation: &reservation::State,
) -> Option<PaymentOutcome> {
    let row = payment.attempt(awaited.attempt)?;
    let mine = reservation::Attempt { payment_id: awaited.payment_id, attempt: awaited.attempt };
    let still_open = reservation.payment_open && reservation.payments.last() == Some(&mine);
    let declined = row.decline.as_ref().map(|(_, decline_code, retryable)| {
        PaymentOutcome::Declined { decline_code: decline_code.clone(), retryable: *retryable }
    });
    let reservation_waits = match reservation.status {
        Status::AwaitingPayment => still_open,
        Status::Reacquiring => true,
        Status::None
        | Status::Hold
        | Status::Confirmed
        | Status::InUse
        | Status::Completed
        | Status::HoldFailed
        | Status::HoldExpired
        | Status::Cancelled => false,
    };
    let late_decided = reservation.decided_late.contains(&mine)
        || reservation.paid_by == Some(mine)
        || reservation.status == Status::Cancelled;
    match row.status {
        Paid::None => None,
        Paid::Pending | Paid::RequiresAction => match (&row.redirect_url, row.status) {
            (Some(url), _) if still_open => Some(PaymentOutcome::ActionRequired {
                kind: match row.flow {
                    Flow::Hosted => "REDIRECT".into(),
                    Flow::Direct => "THREE_DS".into(),
                },
                url: Some(url.clone()),
            }),
            // The hold has ended meanwhile: nothing more is coming that this answer could wait for.
            _ if !still_open && !reservation_waits => Some(PaymentOutcome::Pending),
            _ => None,
        },
        Paid::Failed => (!reservation_waits).then_some(declined).flatten(),
        Paid::Authorized | Paid::CaptureRequested | Paid::Succeeded => {
            (!reservation_waits && late_decided).then_some(PaymentOutcome::Settled)
        }
        Paid::VoidRequested
        | Paid::Voided
        | Paid::RefundPending
        | Paid::PartiallyRefunded
        | Paid::Refunded
        | Paid::Disputed => {
            (!reservation_waits).then(|| declined.unwrap_or(PaymentOutcome::Settled))
        }
    }
}
