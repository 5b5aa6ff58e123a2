//! How a twin does without a rule: a command is rewritten between the process and the aggregate, an event
//! between the aggregate and the log, or an answer to a refusal. The product's own rules are never
//! touched.

use holdfast_domain::process::{Ask, Command, Process, Refusal};
use holdfast_domain::reservation::{self, CancelReason};
use holdfast_domain::seatmap::ReleaseReason;
use holdfast_domain::{By, Sku, inventory, vehicle};

use super::rules::Rules;
use super::scenario::Rule;

impl Rules {
    pub(super) fn answer(&self, command: &Command, refusal: &Refusal) -> Vec<Ask> {
        let answer = Process::Booking.refused(command, refusal);
        if let Command::Vehicle(_, vehicle::Command::ConfirmReservation { .. }) = command
            && self.scenario.without == Some(Rule::CommitHasAnAnswer)
        {
            return vec![];
        }
        let Command::Inventory(sku, command) = command else { return answer };
        match (self.scenario.without, command) {
            (Some(Rule::CommitHasAnAnswer), inventory::Command::Commit { .. }) => vec![],
            // Takes everything again at once, and nobody is told.
            (
                Some(Rule::RecordClaimLost),
                &inventory::Command::Commit { reservation_id, epoch },
            ) => {
                let epoch = epoch + 1;
                if epoch > 2 {
                    return answer;
                }
                let again = |sku: &Sku| {
                    Command::Inventory(
                        sku.clone(),
                        inventory::Command::Reacquire {
                            reservation_id,
                            qty: 1,
                            epoch,
                            period: None,
                        },
                    )
                };
                let mut steps: Vec<_> = self.skus.iter().map(again).collect();
                let vehicle_id = None;
                steps.push(Command::Reservation(
                    reservation_id,
                    reservation::Command::RecordFinalized { epoch: 1, vehicle_id },
                ));
                vec![Ask::Steps(steps)]
            }
            (
                Some(Rule::RecordClaimLost),
                &inventory::Command::Reacquire { reservation_id, .. },
            ) => vec![Ask::Do(Command::Reservation(
                reservation_id,
                reservation::Command::Cancel {
                    by: By::System,
                    reason: CancelReason::Oversold,
                    refund: None,
                },
            ))],
            // Releases at once what it had taken before the refusal.
            (
                Some(Rule::RecordThenRelease),
                &inventory::Command::Reacquire { reservation_id, epoch, .. },
            ) => {
                let reason = ReleaseReason::LateRejected;
                let release = |sku: &Sku| {
                    Ask::Do(Command::Inventory(
                        sku.clone(),
                        inventory::Command::Release { reservation_id, epoch, reason },
                    ))
                };
                let taken = self.skus.iter().take_while(|taken| *taken != sku);
                taken.map(release).chain(answer).collect()
            }
            _ => answer,
        }
    }

    /// Without all-or-none: steps go on past a refusal once claims are taken again.
    pub(super) fn goes_on(&self, command: &Command) -> bool {
        self.scenario.without == Some(Rule::AllOrNone)
            && match command {
                Command::Inventory(_, command) => match command {
                    inventory::Command::Reacquire { .. } => true,
                    inventory::Command::Commit { epoch, .. } => *epoch > 1,
                    _ => false,
                },
                _ => false,
            }
    }

    /// What a twin's pool hears instead.
    pub(super) fn rewrite(&self, pool: &inventory::State, asked: &mut inventory::Command) {
        use inventory::Command as C;
        let Some(without) = self.scenario.without else { return };
        match asked {
            C::Release { reservation_id, epoch, reason }
            | C::Return { reservation_id, epoch, reason } => {
                let Some(claim) = pool.claim(reservation_id) else { return };
                match without {
                    // The reason is a second wall for what is paid; it goes with the epoch.
                    Rule::EpochOnRelease => {
                        *epoch = claim.epoch.max(*epoch);
                        *reason = ReleaseReason::Cancelled;
                    }
                    // Only exactly its epoch: what is older is not meant.
                    Rule::ReleaseOfOlderEpochs if claim.epoch < *epoch => {
                        *reason = ReleaseReason::Expired;
                    }
                    _ => {}
                }
            }
            C::Withdraw { reservation_id, .. } if without == Rule::NamesOfAttempts => {
                // As if the claim had only one name.
                if let Some(claim) = pool.claim(reservation_id)
                    && !claim.is_committed()
                {
                    *asked = C::Release {
                        reservation_id: *reservation_id,
                        epoch: claim.epoch,
                        reason: ReleaseReason::Refused,
                    };
                }
            }
            _ => {}
        }
    }

    /// What a twin's car hears instead.
    pub(super) fn rewrite_for_a_car(&self, car: &vehicle::State, asked: &mut vehicle::Command) {
        use vehicle::Command as C;
        if let C::ReleaseReservation { reservation_id, epoch, reason } = asked
            && self.scenario.without == Some(Rule::EpochOnRelease)
            && let Some(claim) = car.reservation()
            && claim.reservation_id == *reservation_id
        {
            // The reason is a second wall for what is paid; it goes with the epoch.
            *epoch = claim.epoch.max(*epoch);
            *reason = vehicle::ReleaseReason::Cancelled;
        }
    }

    /// Whether a twin's car records it.
    pub(super) fn is_recorded_by_a_car(&self, event: &vehicle::Event) -> bool {
        use vehicle::Event as E;
        let only_fence = matches!(event, E::ReservationReleased { freed: false, .. });
        !(only_fence && self.scenario.without == Some(Rule::TombstoneWithoutClaim))
    }

    /// What a twin's pool records instead.
    pub(super) fn recorded(
        &self,
        pool: &inventory::State,
        event: inventory::Event,
    ) -> Option<inventory::Event> {
        use inventory::Event as E;
        match (self.scenario.without, event) {
            (Some(Rule::TombstoneWithoutClaim), E::Released { qty: 0, .. }) => None,
            (
                Some(Rule::RetryRaisesDeadline),
                E::HoldExtended { reservation_id, expires_at, epoch, attempt: Some(attempt) },
            ) => {
                let known = pool.claim(&reservation_id).and_then(|claim| claim.expires_at());
                let expires_at = known.unwrap_or(expires_at);
                Some(E::HoldExtended { reservation_id, expires_at, epoch, attempt: Some(attempt) })
            }
            // The claim goes and no fence stays, as a withdrawal does.
            (
                Some(Rule::NamesOfAttempts),
                E::Released { reservation_id, qty, reason: ReleaseReason::Refused, .. },
            ) => Some(E::Released {
                reservation_id,
                qty,
                reason: ReleaseReason::Refused,
                epoch: None,
            }),
            (_, event) => Some(event),
        }
    }
}
