//! What may have happened to a report and its claim. Field names are stored: they never change.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Money, PaymentId, ReservationId, UserId};

/// A picture, by its content: the picture itself lies elsewhere.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct Photo {
    /// SHA-256 of its bytes, 64 hex digits in lower case.
    pub sha256: String,
    /// What it is: `image/jpeg`.
    pub media_type: String,
    /// Where it lies.
    pub url: String,
}

/// Where a damage claim stands.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ClaimStatus {
    /// Nothing is claimed.
    #[default]
    None,
    /// An operator has to decide.
    Pending,
    /// It is to be charged.
    Approved,
    /// Nothing is owed.
    Rejected,
    /// It is paid.
    Charged,
    /// Given up; what was paid goes back.
    Waived,
    /// The customer, or its bank, objects.
    Disputed,
}

/// What may have happened. Stored as `inspection.{kebab}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(
    missing_docs,
    reason = "fields carry DOMAIN.md's names; each variant's line explains them"
)]
pub enum Event {
    /// Somebody looked at the vehicle. The odometer in metres.
    Submitted {
        reservation_id: ReservationId,
        user_id: UserId,
        description: String,
        photos: Vec<Photo>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        odometer_m: Option<u64>,
    },
    /// It tells of a damage: a claim begins. `auto_charge`: it is small enough to be charged at once.
    DamageAssessed {
        claim_id: Uuid,
        reservation_id: ReservationId,
        user_id: UserId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        amount_estimate: Option<Money>,
        auto_charge: bool,
    },
    /// It is to be charged; also once more, after a charge that failed.
    ClaimApproved {
        amount: Money,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<UserId>,
    },
    /// Nothing is owed.
    ClaimRejected {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<UserId>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The customer objects, or its bank took the money back (then without `by`).
    ClaimDisputed {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<UserId>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Given up; what was paid goes back.
    ClaimWaived {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<UserId>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// It is paid.
    ClaimCharged { payment_id: PaymentId, amount: Money },
    /// The charge of that number was declined, or none could be made; the claim stays approved.
    ChargeFailed {
        payment_id: PaymentId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attempt: Option<u16>,
        code: String,
    },
}
