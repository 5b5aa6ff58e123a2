//! What may be asked of a report, and how it says no.

use serde::{Deserialize, Serialize};

use super::event::{ClaimStatus, Photo};
use super::{LONGEST_DESCRIPTION, MOST_PHOTOS};
use crate::{By, Money, PaymentId, ReservationId, UserId};

/// What may be asked of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "fields carry DOMAIN.md's names; each variant's line explains them"
)]
pub enum Command {
    /// Write down what was seen. With a description or an estimate it tells of a damage.
    /// `auto_charge_limit`: up to how much is charged without asking; none: always ask.
    Submit {
        reservation_id: ReservationId,
        user_id: UserId,
        description: String,
        photos: Vec<Photo>,
        odometer_m: Option<u64>,
        estimate: Option<Money>,
        auto_charge_limit: Option<Money>,
    },
    /// An operator has it charged: `amount`, or what was estimated. Once more after a failed charge.
    Approve { by: By, amount: Option<Money> },
    /// An operator decides that nothing is owed.
    Reject { by: By, reason: Option<String> },
    /// The customer objects, or its bank took the money back.
    Dispute { by: By, reason: Option<String> },
    /// An operator gives it up; what was paid goes back.
    Waive { by: By, reason: Option<String> },
    /// The money is there.
    RecordCharged { payment_id: PaymentId, amount: Money },
    /// The charge of that number failed; without a number: it could not be made at all.
    RecordChargeFailed { payment_id: PaymentId, attempt: Option<u16>, code: String },
}

/// How a report says no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum Refusal {
    #[error("there is no such inspection")]
    NotFound,
    #[error("this inspection was already submitted, with other contents")]
    AlreadyExists,
    #[error("{0}")]
    InvalidReport(InvalidReport),
    #[error("this inspection tells of no damage")]
    NoClaim,
    #[error("name an amount: nothing was estimated")]
    NoAmount,
    #[error("an amount must be positive")]
    InvalidAmount,
    #[error("this claim is decided: {status:?}")]
    Decided { status: ClaimStatus },
    #[error("this claim is being charged; wait for its outcome")]
    ChargeUnderWay,
    #[error("this claim is paid; waive it to give the money back")]
    AlreadyCharged,
}

/// What is wrong with a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum InvalidReport {
    #[error("a description has at most {LONGEST_DESCRIPTION} characters")]
    Description,
    #[error("at most {MOST_PHOTOS} photos")]
    TooManyPhotos,
    #[error(
        "a photo has a sha256 of 64 lower-case hex digits, a media type such as image/jpeg and a \
         url of at most 2,048 characters"
    )]
    Photo,
    #[error("an estimate must be positive")]
    Estimate,
}
