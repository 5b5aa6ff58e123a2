//! What a gateway answers to a capture, a void or a refund. A refusal counts for the try that it names,
//! once: gateways replay refusals by key, and a next try may begin only when this one's is recorded.

use super::super::decide::void;
use super::super::{BackReason, Event, IgnoredWhy, LostWhy, Status};
use super::Heard;
use crate::{Money, RefundId};

impl Heard<'_> {
    pub(super) fn capture_refused(&self, code: &str, retryable: bool, r#try: u16) -> Vec<Event> {
        let row = self.row;
        let current = r#try == row.capture_try && !row.capture_refused;
        if row.status != Status::CaptureRequested || !current {
            return self.stale();
        }
        let attempt = row.attempt;
        let failed = Event::CaptureFailed { attempt, code: code.to_owned(), retryable, r#try };
        if retryable {
            return vec![failed];
        }
        // The authorization still lives, so it is voided: lost is not yet cancelled.
        let lost = Event::MoneyLost { attempt, why: LostWhy::CaptureRefused };
        vec![failed, void(row, BackReason::MoneyLost), lost]
    }

    pub(super) fn void_refused(&self, code: &str, r#try: u16) -> Vec<Event> {
        let row = self.row;
        let current = r#try == row.void_try && !row.void_refused;
        if row.status != Status::VoidRequested || !current {
            return self.stale();
        }
        vec![Event::VoidFailed { attempt: row.attempt, code: code.to_owned(), r#try }]
    }

    pub(super) fn refunded(&self, refund_id: RefundId, amount: Money) -> Vec<Event> {
        match self.row.refund(refund_id) {
            Some(refund) if refund.amount != amount => self.mismatch("refunded", amount),
            Some(refund) if refund.done => Vec::new(),
            Some(_) => {
                vec![Event::RefundSucceeded { attempt: self.row.attempt, refund_id, amount }]
            }
            None => self.ignored(IgnoredWhy::UnknownRef),
        }
    }

    pub(super) fn refund_refused(
        &self,
        refund_id: RefundId,
        failure: &str,
        r#try: u16,
    ) -> Vec<Event> {
        match self.row.refund(refund_id) {
            Some(refund) if !refund.done && !refund.refused && refund.r#try == r#try => {
                let failure = failure.to_owned();
                vec![Event::RefundFailed { attempt: self.row.attempt, refund_id, failure, r#try }]
            }
            Some(_) => self.stale(),
            None => self.ignored(IgnoredWhy::UnknownRef),
        }
    }
}
