//! What somebody found at a vehicle, and the claim for its damage.

use async_graphql::{Enum, ID, SimpleObject};
use holdfast_domain::inspection;

use super::common::Money;
use crate::names;
use crate::view::InspectionView;

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "inspection::ClaimStatus")]
pub(crate) enum ClaimStatus {
    None,
    Pending,
    Approved,
    Rejected,
    Charged,
    Waived,
    Disputed,
}

/// A photo that lies elsewhere, and the hash by which it is known.
#[derive(SimpleObject, Clone)]
pub(crate) struct Photo {
    sha256: String,
    media_type: String,
    url: String,
}

#[derive(SimpleObject, Clone)]
pub(crate) struct Inspection {
    #[graphql(owned)]
    pub(crate) id: ID,
    reservation_id: ID,
    description: String,
    photos: Vec<Photo>,
    claim_status: ClaimStatus,
    /// What the damage costs: decided, else estimated.
    amount: Option<Money>,
    /// The payment with which it was charged.
    payment_id: Option<ID>,
}

impl From<inspection::Photo> for Photo {
    fn from(photo: inspection::Photo) -> Self {
        Self { sha256: photo.sha256, media_type: photo.media_type, url: photo.url }
    }
}

impl From<InspectionView> for Inspection {
    fn from(view: InspectionView) -> Self {
        Self {
            id: names::inspection(&view.id).into(),
            reservation_id: names::reservation(&view.reservation_id).into(),
            description: view.description,
            photos: view.photos.into_iter().map(Photo::from).collect(),
            claim_status: view.claim_status.into(),
            amount: view.amount.map(Money::from),
            payment_id: view.payment_id.map(|id| names::payment(&id).into()),
        }
    }
}
