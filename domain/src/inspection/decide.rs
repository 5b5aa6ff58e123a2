//! What a report answers.

use super::{
    ClaimStatus, Command, Event, InvalidReport, LONGEST_DESCRIPTION, MOST_PHOTOS, Photo, Refusal,
    State,
};
use crate::{By, InspectionId, Money, PaymentId, UserId};

/// The longest place of a photo.
const LONGEST_URL: usize = 2_048;
/// The longest media type.
const LONGEST_MEDIA_TYPE: usize = 100;

impl State {
    pub(super) fn judge(
        &self,
        id: &InspectionId,
        command: &Command,
    ) -> Result<Vec<Event>, Refusal> {
        if let Command::Submit { .. } = command {
            return self.submit(id, command);
        }
        if !self.exists() {
            return Err(Refusal::NotFound);
        }
        match command {
            Command::Submit { .. } => Ok(vec![]),
            Command::Approve { by, amount } => self.approve(operator(by)?, *amount),
            Command::Reject { by, reason } => self.reject(operator(by)?, reason.clone()),
            Command::Dispute { by, reason } => self.dispute(by, reason.clone()),
            Command::Waive { by, reason } => self.waive(operator(by)?, reason.clone()),
            Command::RecordCharged { payment_id, amount } => Ok(self.charged(*payment_id, *amount)),
            Command::RecordChargeFailed { payment_id, attempt, code } => {
                Ok(self.charge_failed(*payment_id, *attempt, code))
            }
        }
    }

    fn submit(&self, id: &InspectionId, command: &Command) -> Result<Vec<Event>, Refusal> {
        let Command::Submit {
            reservation_id,
            user_id,
            description,
            photos,
            odometer_m,
            estimate,
            auto_charge_limit,
        } = command
        else {
            return Ok(vec![]);
        };
        if self.exists() {
            // The limit may have been set anew since; the report is the same.
            let same = self.reservation_id == Some(*reservation_id)
                && self.user_id.as_ref() == Some(user_id)
                && self.description == *description
                && self.photos == *photos
                && self.odometer_m == *odometer_m
                && self.estimate == *estimate;
            return if same { Ok(vec![]) } else { Err(Refusal::AlreadyExists) };
        }
        valid(description, photos, *estimate).map_err(Refusal::InvalidReport)?;
        let mut events = vec![Event::Submitted {
            reservation_id: *reservation_id,
            user_id: user_id.clone(),
            description: description.clone(),
            photos: photos.clone(),
            odometer_m: *odometer_m,
        }];
        if !description.trim().is_empty() || estimate.is_some() {
            events.push(Event::DamageAssessed {
                claim_id: id.claim_id(),
                reservation_id: *reservation_id,
                user_id: user_id.clone(),
                amount_estimate: *estimate,
                auto_charge: is_within(*estimate, *auto_charge_limit),
            });
        }
        Ok(events)
    }

    fn approve(&self, by: Option<UserId>, amount: Option<Money>) -> Result<Vec<Event>, Refusal> {
        let same = amount.is_none() || amount == self.amount;
        match self.status {
            ClaimStatus::None => Err(Refusal::NoClaim),
            ClaimStatus::Approved | ClaimStatus::Disputed if self.charging && !same => {
                Err(Refusal::ChargeUnderWay)
            }
            ClaimStatus::Approved if self.charging => Ok(vec![]),
            ClaimStatus::Charged if same => Ok(vec![]),
            ClaimStatus::Charged => Err(Refusal::AlreadyCharged),
            ClaimStatus::Disputed if self.charged.is_some() && !same => {
                Err(Refusal::AlreadyCharged)
            }
            // Approved already: its charge failed, and is tried once more.
            ClaimStatus::Pending | ClaimStatus::Approved | ClaimStatus::Disputed => {
                let amount = amount.or(self.amount).or(self.estimate);
                let amount = amount.ok_or(Refusal::NoAmount)?;
                if amount.amount_minor <= 0 {
                    return Err(Refusal::InvalidAmount);
                }
                Ok(vec![Event::ClaimApproved { amount, by }])
            }
            ClaimStatus::Rejected | ClaimStatus::Waived => {
                Err(Refusal::Decided { status: self.status })
            }
        }
    }

    fn reject(&self, by: Option<UserId>, reason: Option<String>) -> Result<Vec<Event>, Refusal> {
        match self.status {
            ClaimStatus::None => Err(Refusal::NoClaim),
            ClaimStatus::Rejected => Ok(vec![]),
            ClaimStatus::Waived => Err(Refusal::Decided { status: self.status }),
            ClaimStatus::Charged => Err(Refusal::AlreadyCharged),
            ClaimStatus::Pending | ClaimStatus::Approved | ClaimStatus::Disputed => {
                if self.charged.is_some() {
                    Err(Refusal::AlreadyCharged)
                } else if self.charging {
                    Err(Refusal::ChargeUnderWay)
                } else {
                    Ok(vec![Event::ClaimRejected { by, reason }])
                }
            }
        }
    }

    fn dispute(&self, by: &By, reason: Option<String>) -> Result<Vec<Event>, Refusal> {
        // Another's report answers as an absent one.
        if !self.user_id.as_ref().is_some_and(|owner| by.may_act_for(owner)) {
            return Err(Refusal::NotFound);
        }
        match self.status {
            ClaimStatus::None => Err(Refusal::NoClaim),
            ClaimStatus::Disputed => Ok(vec![]),
            ClaimStatus::Rejected | ClaimStatus::Waived => {
                Err(Refusal::Decided { status: self.status })
            }
            ClaimStatus::Pending | ClaimStatus::Approved | ClaimStatus::Charged => {
                Ok(vec![Event::ClaimDisputed { by: who(by), reason }])
            }
        }
    }

    fn waive(&self, by: Option<UserId>, reason: Option<String>) -> Result<Vec<Event>, Refusal> {
        match self.status {
            ClaimStatus::None => Err(Refusal::NoClaim),
            ClaimStatus::Waived => Ok(vec![]),
            ClaimStatus::Rejected => Err(Refusal::Decided { status: self.status }),
            // Whatever was charged or is being charged goes back.
            ClaimStatus::Pending
            | ClaimStatus::Approved
            | ClaimStatus::Disputed
            | ClaimStatus::Charged => Ok(vec![Event::ClaimWaived { by, reason }]),
        }
    }

    /// Never refused: money that came for a claim which was given up meanwhile goes back, as that
    /// fact has asked.
    fn charged(&self, payment_id: PaymentId, amount: Money) -> Vec<Event> {
        match self.status {
            ClaimStatus::Pending | ClaimStatus::Approved | ClaimStatus::Disputed
                if self.charged.is_none() =>
            {
                vec![Event::ClaimCharged { payment_id, amount }]
            }
            ClaimStatus::None
            | ClaimStatus::Pending
            | ClaimStatus::Approved
            | ClaimStatus::Rejected
            | ClaimStatus::Charged
            | ClaimStatus::Waived
            | ClaimStatus::Disputed => vec![],
        }
    }

    /// Only the charge that is under way: one that is told twice failed once.
    fn charge_failed(&self, payment_id: PaymentId, attempt: Option<u16>, code: &str) -> Vec<Event> {
        let is_the_present = match attempt {
            Some(attempt) => attempt == self.attempt(),
            None => self.charging,
        };
        match self.status {
            ClaimStatus::Approved | ClaimStatus::Disputed
                if is_the_present && self.charged.is_none() =>
            {
                vec![Event::ChargeFailed { payment_id, attempt, code: code.to_owned() }]
            }
            ClaimStatus::None
            | ClaimStatus::Pending
            | ClaimStatus::Approved
            | ClaimStatus::Rejected
            | ClaimStatus::Charged
            | ClaimStatus::Waived
            | ClaimStatus::Disputed => vec![],
        }
    }
}

/// Who may decide a claim. A customer is told nothing of it by this name.
fn operator(by: &By) -> Result<Option<UserId>, Refusal> {
    match by {
        By::Owner(_) => Err(Refusal::NotFound),
        By::Operator(_) | By::System => Ok(who(by)),
    }
}

fn who(by: &By) -> Option<UserId> {
    match by {
        By::Owner(user) | By::Operator(user) => Some(user.clone()),
        By::System => None,
    }
}

/// Whether so much is charged without asking. No limit, or one of nothing: always ask.
fn is_within(estimate: Option<Money>, limit: Option<Money>) -> bool {
    let (Some(estimate), Some(limit)) = (estimate, limit) else { return false };
    estimate.currency == limit.currency && estimate.amount_minor <= limit.amount_minor
}

fn valid(
    description: &str,
    photos: &[Photo],
    estimate: Option<Money>,
) -> Result<(), InvalidReport> {
    if description.chars().count() > LONGEST_DESCRIPTION {
        Err(InvalidReport::Description)
    } else if photos.len() > MOST_PHOTOS {
        Err(InvalidReport::TooManyPhotos)
    } else if !photos.iter().all(is_photo) {
        Err(InvalidReport::Photo)
    } else if estimate.is_some_and(|estimate| estimate.amount_minor <= 0) {
        Err(InvalidReport::Estimate)
    } else {
        Ok(())
    }
}

fn is_photo(photo: &Photo) -> bool {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let named = photo.sha256.len() == 64 && photo.sha256.bytes().all(hex);
    let typed = photo.media_type.len() <= LONGEST_MEDIA_TYPE
        && photo.media_type.bytes().all(|byte| byte.is_ascii_graphic())
        && photo.media_type.split_once('/').is_some_and(|(a, b)| !a.is_empty() && !b.is_empty());
    named && typed && (1..=LONGEST_URL).contains(&photo.url.len())
}
