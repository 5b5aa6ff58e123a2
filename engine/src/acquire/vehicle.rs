//! A vehicle that is wanted now: the best of its class that nobody has. Whoever is refused by one asks
//! the next; the pool was asked before, so there is one for each who comes here.

use holdfast_domain::process::Refusal;
use holdfast_domain::{Sku, VehicleId, vehicle};

use super::{Attempt, CHOICES, Taken};
use crate::Rejection;
use crate::dispatch::{FIRST_EPOCH, Failed};

impl Attempt<'_> {
    /// Takes one vehicle of the class, the one that this reservation has already if there is one.
    pub(super) async fn take_vehicle(&mut self, class: &Sku) -> Result<VehicleId, Rejection> {
        let mut refused = None;
        for _ in 0..CHOICES {
            for id in self.engine.candidates(class, &self.id).await? {
                match self.reserve(&id).await {
                    Ok(()) => return Ok(id),
                    Err(Failed::Refused(refusal, as_of)) if is_gone(&refusal) => {
                        refused = Some(as_of);
                    }
                    Err(failed) => {
                        self.took(Err(failed), Taken::Vehicle(id.clone()), id.as_str())?;
                    }
                }
            }
        }
        Err(Rejection::Refused {
            refusal: Box::new(vehicle::Refusal::Unavailable.into()),
            target: class.to_string(),
            as_of: refused.unwrap_or_else(|| self.engine.store().head()),
            suggested: Vec::new(),
        })
    }

    async fn reserve(&mut self, id: &VehicleId) -> Result<(), Failed> {
        let command = vehicle::Command::Reserve {
            reservation_id: self.id,
            user_id: self.request.caller.user_id.clone(),
            epoch: FIRST_EPOCH,
            expires_at: Some(self.until),
            attempt: self.name,
            period: None,
            confirmed: false,
        };
        let context = self.context("vehicle", id.as_str());
        let reserved = self.engine.0.dispatch.order::<vehicle::State>(id, command, context).await;
        reserved?;
        self.taken.push(Taken::Vehicle(id.clone()));
        Ok(())
    }

    pub(super) async fn withdraw_vehicle(
        &self,
        id: &VehicleId,
        number: &str,
    ) -> Result<(), Failed> {
        let (reservation_id, attempt) = (self.id, self.name);
        let command = vehicle::Command::Withdraw { reservation_id, attempt };
        let context = self.context("withdraw", &format!("{number}/{id}"));
        let dispatch = &self.engine.0.dispatch;
        dispatch.order::<vehicle::State>(id, command, context).await.map(drop)
    }

    /// A run beside this one was faster, perhaps with another vehicle: then nobody needs this one.
    pub(super) async fn give_back_another_vehicle(&mut self) {
        let id = self.id;
        for taken in std::mem::take(&mut self.taken) {
            let Taken::Vehicle(vehicle) = taken else { continue };
            let asked = vehicle.clone();
            let claimed = self
                .engine
                .look::<holdfast_domain::reservation::State, _>(&id, move |reservation| {
                    reservation.has_claimed(&asked)
                });
            if claimed.await != Ok(false) {
                continue;
            }
            if let Err(failed) = self.withdraw_vehicle(&vehicle, "another").await {
                tracing::warn!(reservation = %id, %vehicle, ?failed, "it is left to lapse");
            }
        }
    }
}

/// Whether another vehicle will do.
pub(super) fn is_gone(refusal: &Refusal) -> bool {
    use vehicle::Refusal as X;
    let Refusal::Vehicle(refusal) = refusal else { return false };
    match refusal {
        X::Taken | X::Unavailable | X::NotFound | X::StaleEpoch | X::InUse => true,
        X::AlreadyExists
        | X::InvalidRegistration(_)
        | X::NotConfirmed
        | X::NotStarted
        | X::Completed
        | X::Offline
        | X::UnlockInProgress { .. }
        | X::NoClaim
        | X::TooLate
        | X::NotDue { .. }
        | X::InvalidFuel(_) => false,
    }
}
