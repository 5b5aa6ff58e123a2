//! What a payment's facts mean. Never refuses: they have happened.

use super::{Attempt, Event, Kind, Refund, SEEN, State, Status};
use crate::{InspectionId, Money};

pub(super) fn evolve(state: &mut State, event: &Event) {
    match event {
        Event::Initiated {
            reservation_id,
            kind,
            amount,
            gateway,
            attempt,
            gateway_idempotency_key,
            flow,
            tenant,
            again_of,
        } => {
            state.reservation_id = Some(*reservation_id);
            state.kind = *kind;
            state.tenant.clone_from(tenant);
            state.money_lost = false;
            state.version = state.version.max(1);
            let nothing = Money::zero(amount.currency);
            state.attempts.push(Attempt {
                attempt: *attempt,
                status: Status::Pending,
                gateway: gateway.clone(),
                flow: *flow,
                key: gateway_idempotency_key.clone(),
                again_of: again_of.clone(),
                gateway_ref: None,
                redirect_url: None,
                approval_code: None,
                authorization_expires_at: None,
                amount: *amount,
                authorized: nothing,
                captured: nothing,
                kept: false,
                refunded: nothing,
                disputed: nothing,
                void_reason: None,
                void_try: 0,
                void_refused: false,
                capture_try: 0,
                capture_refused: false,
                refunds: Vec::new(),
                decline: None,
            });
        }
        Event::SessionCreated { attempt, gateway_ref, redirect_url, .. } => {
            state.change(*attempt, |row| {
                row.gateway_ref = Some(gateway_ref.clone());
                if redirect_url.is_some() {
                    row.redirect_url.clone_from(redirect_url);
                }
            });
        }
        Event::ActionRequired { attempt, url, .. } => state.change(*attempt, |row| {
            row.status = Status::RequiresAction;
            row.redirect_url = Some(url.clone());
        }),
        Event::Authorized {
            attempt,
            gateway_ref,
            approval_code,
            amount,
            authorization_expires_at,
            gateway_event_id,
            ..
        } => {
            state.version += 1;
            state.remember(gateway_event_id.as_deref());
            state.change(*attempt, |row| {
                row.status = Status::Authorized;
                row.gateway_ref = Some(gateway_ref.clone());
                row.approval_code = Some(approval_code.clone());
                row.authorized = *amount;
                row.authorization_expires_at = *authorization_expires_at;
            });
        }
        Event::CaptureRequested { attempt, r#try, .. } => state.change(*attempt, |row| {
            row.status = Status::CaptureRequested;
            row.capture_try = *r#try;
            row.capture_refused = false;
        }),
        Event::CaptureFailed { attempt, .. } => {
            state.change(*attempt, |row| row.capture_refused = true);
        }
        Event::Succeeded { attempt, amount, gateway_ref, gateway_event_id, kept, .. } => {
            state.version += 1;
            state.remember(gateway_event_id.as_deref());
            state.change(*attempt, |row| {
                row.gateway_ref = Some(gateway_ref.clone());
                // What is captured was authorized, whether or not we were told.
                row.authorized = *amount;
                row.captured = *amount;
                row.kept = *kept;
                row.settle();
            });
        }
        Event::Failed { attempt, code, decline_code, retryable } => {
            state.version += 1;
            state.change(*attempt, |row| {
                row.status = Status::Failed;
                row.decline = Some((code.clone(), decline_code.clone(), *retryable));
            });
        }
        Event::VoidRequested { attempt, reason, r#try } => state.change(*attempt, |row| {
            row.status = Status::VoidRequested;
            row.void_reason = Some(*reason);
            if *r#try > row.void_try {
                row.void_refused = false;
            }
            row.void_try = *r#try;
        }),
        Event::VoidFailed { attempt, .. } => state.change(*attempt, |row| row.void_refused = true),
        Event::Voided { attempt, reason } => {
            state.version += 1;
            state.change(*attempt, |row| {
                row.status = Status::Voided;
                row.void_reason = Some(*reason);
            });
        }
        Event::RefundRequested { attempt, refund_id, amount, reason, r#try } => {
            state.change(*attempt, |row| {
                let wanted = Refund {
                    refund_id: *refund_id,
                    amount: *amount,
                    reason: *reason,
                    r#try: *r#try,
                    refused: false,
                    done: false,
                };
                match row.refunds.iter_mut().find(|refund| refund.refund_id == *refund_id) {
                    Some(refund) => *refund = wanted,
                    None => row.refunds.push(wanted),
                }
                row.settle();
            });
        }
        Event::RefundSucceeded { attempt, refund_id, amount } => {
            state.version += 1;
            state.change(*attempt, |row| {
                for refund in &mut row.refunds {
                    refund.done |= refund.refund_id == *refund_id;
                }
                row.refunded.amount_minor =
                    row.refunded.amount_minor.saturating_add(amount.amount_minor);
                row.settle();
            });
        }
        Event::RefundFailed { attempt, refund_id, .. } => state.change(*attempt, |row| {
            for refund in &mut row.refunds {
                refund.refused |= refund.refund_id == *refund_id;
            }
        }),
        Event::ChargebackOpened { attempt, amount, gateway_event_id } => {
            state.remember(Some(gateway_event_id));
            state.change(*attempt, |row| {
                row.disputed.amount_minor =
                    row.disputed.amount_minor.saturating_add(amount.amount_minor);
                // A bank's word that overtook the capture's counts when the capture is known.
                if row.is_captured() {
                    row.settle();
                }
            });
        }
        Event::MoneyLost { .. } => state.money_lost = true,
        Event::Closed { reason } => state.closed = Some(*reason),
        // Its charge begins with the `Initiated` of the same append.
        Event::DamageChargeCreated { inspection_id, .. } => {
            state.kind = Kind::DamageCharge;
            state.inspection_id = Some(InspectionId(*inspection_id));
        }
        Event::GatewayEventIgnored { gateway_event_id, .. } => {
            state.ignored += 1;
            state.remember(Some(gateway_event_id));
        }
    }
}

impl State {
    fn change(&mut self, number: u16, change: impl FnOnce(&mut Attempt)) {
        let row = usize::from(number).checked_sub(1).and_then(|at| self.attempts.get_mut(at));
        if let Some(row) = row {
            change(row);
        }
    }

    fn remember(&mut self, gateway_event_id: Option<&str>) {
        let Some(id) = gateway_event_id else { return };
        if self.seen.iter().any(|seen| seen == id) {
            return;
        }
        if self.seen.len() == SEEN {
            self.seen.pop_front();
        }
        self.seen.push_back(id.to_owned());
    }
}

impl Attempt {
    /// Where captured money stands, told from the sums alone: so the order of words does not matter.
    fn settle(&mut self) {
        let captured = self.captured.amount_minor;
        let refunded = self.refunded.amount_minor;
        self.status = if self.pending_refunds().next().is_some() {
            Status::RefundPending
        } else if self.disputed.amount_minor > 0 {
            Status::Disputed
        } else if refunded >= captured && (refunded > 0 || !self.kept) {
            Status::Refunded
        } else if refunded > 0 {
            Status::PartiallyRefunded
        } else {
            Status::Succeeded
        };
    }
}
