//! What may be asked of an inspection, and how it says no.

use serde::{Deserialize, Serialize};

use super::event::{ClaimStatus, Photo};
use crate::{By, Money, PaymentId, ReservationId, UserId};

/// What may be asked of an inspection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "fields carry DOMAIN.md's names; each variant's line explains them"
)]
pub enum Command {
    /// Somebody looked at the vehicle. `auto_charge_limit`: up to which estimate a damage is charged
    /// without a decision; none: always decided.
    Submit {
        reservation_id: ReservationId,
        user_id: UserId,
        description: String,
        photos: Vec<Photo>,
        odometer_m: Option<u64>,
        estimate: Option<Money>,
        auto_charge_limit: Option<Money>,
    },
    /// The customer is to pay `amount`, the estimate when absent.
    Approve { by: By, amount: Option<Money> },
    /// The customer is to pay nothing.
    Reject { by: By, reason: String },
    /// The customer disagrees.
    Dispute { by: By, reason: String },
    /// The customer need not pay after all.
    Waive { by: By, reason: String },
    /// The charge went through.
    RecordCharged { payment_id: PaymentId, amount: Money },
    /// The gateway refused the charge.
    RecordChargeFailed { payment_id: PaymentId, code: String },
}

/// How an inspection says no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum Refusal {
    #[error("there is no such inspection")]
    NotFound,
    #[error("this inspection was already submitted, with other contents")]
    AlreadyExists,
    #[error("the claim is {0:?} already")]
    Decided(ClaimStatus),
    #[error("an amount must be positive and of the estimate's currency")]
    InvalidAmount,
    #[error("{0}")]
    InvalidReport(InvalidReport),
}

/// What is wrong with a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum InvalidReport {
    #[error("a description has at most 4,000 characters")]
    Description,
    #[error("at most 20 photos, each named by 64 hexadecimal digits, its media type and its address")]
    Photos,
    #[error("an estimate must be positive")]
    Estimate,
}
