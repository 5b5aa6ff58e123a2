//! What must hold: in every state, and where a world that is left in peace comes to rest.

use holdfast_domain::payment::{self, Status};
use holdfast_domain::reservation;

use super::gateway::Stand;
use super::{PART, PRICE, State, World, operators_refund};

impl World {
    /// P1 to P3, and no refund twice.
    pub(super) fn money(&self, state: &State) -> Result<(), String> {
        let payment = self.payments.get(state.payment);
        let is_open = |status: Status| {
            matches!(
                status,
                Status::Pending
                    | Status::RequiresAction
                    | Status::Authorized
                    | Status::CaptureRequested
                    | Status::Succeeded
            )
        };
        for (row, intent) in payment.attempts.iter().zip(&state.intents) {
            let asked: i64 = row.refunds.iter().map(|refund| refund.amount.amount_minor).sum();
            let [captured, authorized, amount] =
                [row.captured, row.authorized, row.amount].map(|money| money.amount_minor);
            if captured > authorized || authorized > amount {
                return Err(format!(
                    "P1: more was taken of attempt {} than asked for",
                    row.attempt
                ));
            }
            if asked > captured {
                return Err(format!(
                    "P2: more of attempt {} goes back than was taken",
                    row.attempt
                ));
            }
            if intent.refunds.iter().any(|back| back.done.count_ones() > 1) {
                return Err("one refund was paid back twice".into());
            }
        }
        if payment.attempts.iter().filter(|row| is_open(row.status)).count() > 1 {
            return Err("P3: two attempts are open or paid".into());
        }
        Ok(())
    }

    /// Nothing is called voided, captured or refunded before the gateway said so (P6).
    pub(super) fn truth(&self, state: &State) -> Result<(), String> {
        let payment = self.payments.get(state.payment);
        for (row, intent) in payment.attempts.iter().zip(&state.intents) {
            if row.status == Status::Voided && intent.stand != Stand::Cancelled {
                return Err(format!("attempt {} is called voided", row.attempt));
            }
            if row.is_captured() && intent.stand != Stand::Captured {
                return Err(format!("attempt {} is called paid", row.attempt));
            }
            let back = PRICE - intent.kept(all_of(row));
            if row.refunded.amount_minor > back {
                return Err(format!("attempt {} is called refunded", row.attempt));
            }
        }
        Ok(())
    }

    /// What must hold where nothing has to happen any more.
    pub(super) fn rest(&self, state: &State) -> Result<(), String> {
        let payment = self.payments.get(state.payment);
        let reservation = self.reservations.get(state.reservation);
        let confirmed_by = match reservation.status {
            reservation::Status::Confirmed => reservation.paid_by.map(|paid| paid.attempt),
            reservation::Status::HoldFailed
            | reservation::Status::HoldExpired
            | reservation::Status::Cancelled => None,
            stuck @ (reservation::Status::None
            | reservation::Status::Hold
            | reservation::Status::AwaitingPayment
            | reservation::Status::Reacquiring
            | reservation::Status::InUse
            | reservation::Status::Completed) => return Err(format!("stuck in {stuck:?}")),
        };
        for ((row, attempt), intent) in (0..).zip(1..).zip(&state.intents) {
            let known = payment.attempts.get::<usize>(row);
            let kept = intent.kept(known.map_or(0, all_of));
            if confirmed_by == Some(attempt) {
                let all = known.and_then(|row| {
                    row.refunds.iter().find(|refund| refund.refund_id != operators_refund())
                });
                if intent.stand != Stand::Captured || all.is_some() || kept < PRICE - PART {
                    return Err(format!("confirmed by attempt {attempt} without its money"));
                }
            } else if intent.is_live() {
                return Err(format!("a live intent: attempt {attempt} is {:?}", intent.stand));
            } else if kept != 0 {
                return Err(format!("{kept} of attempt {attempt} is kept for nothing"));
            }
        }
        Ok(())
    }

    /// Where it ends when nobody does anything any more and nothing else goes wrong. Going round in
    /// circles is an end, too: asking for ever is not better than not asking.
    pub(super) fn settle(&mut self, state: &State) -> State {
        let mut before = vec![*state];
        let mut duties = Vec::new();
        loop {
            let last = before.last().expect("it began somewhere");
            duties.clear();
            self.duties(last, &mut duties);
            let faults = last.faults;
            let next = duties.drain(..).find(|(_, next)| next.faults == faults);
            match next {
                Some((_, next)) if !before.contains(&next) => before.push(next),
                Some((_, end)) => return end,
                None => return *last,
            }
        }
    }
}

/// What the refund of all that was left amounts to.
fn all_of(row: &payment::Attempt) -> i64 {
    let all = row.refunds.iter().filter(|refund| refund.refund_id != operators_refund());
    all.map(|refund| refund.amount.amount_minor).sum()
}
