//! What may have happened to an inspection and its damage claim. Field names are stored: they never
//! change.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Money, PaymentId, ReservationId, UserId};

/// A picture, named by its content; the picture itself lies elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Photo {
    /// Of its bytes, 64 hexadecimal digits.
    pub sha256: String,
    /// What kind of file it is.
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
    /// No damage is claimed.
    #[default]
    None,
    /// Somebody has to decide.
    Pending,
    /// The customer is to pay.
    Approved,
    /// There was no damage, or it was there before.
    Rejected,
    /// The customer has paid.
    Charged,
    /// The customer need not pay.
    Waived,
    /// The customer disagrees.
    Disputed,
}

/// What may have happened to an inspection. Stored as `inspection.{kebab}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(
    missing_docs,
    reason = "fields carry DOMAIN.md's names; each variant's line explains them"
)]
pub enum Event {
    /// Somebody looked at the vehicle after a rental.
    Submitted {
        reservation_id: ReservationId,
        user_id: UserId,
        description: String,
        photos: Vec<Photo>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        odometer_m: Option<u64>,
    },
    /// A damage is claimed; `auto_charge`: it is small enough to be charged without a decision.
    DamageAssessed {
        claim_id: Uuid,
        reservation_id: ReservationId,
        user_id: UserId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        amount_estimate: Option<Money>,
        auto_charge: bool,
    },
    /// The customer is to pay that.
    ClaimApproved { amount: Money, by: String },
    /// The customer is to pay nothing.
    ClaimRejected { by: String, reason: String },
    /// The customer disagrees.
    ClaimDisputed { by: String, reason: String },
    /// The customer would have to pay, but need not.
    ClaimWaived { by: String, reason: String },
    /// The customer has paid.
    ClaimCharged { payment_id: PaymentId, amount: Money },
    /// The gateway refused the charge; the claim stays approved.
    ChargeFailed { payment_id: PaymentId, code: String },
}
