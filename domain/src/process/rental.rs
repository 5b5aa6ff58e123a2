//! Rentals: a paid reservation of a vehicle class gets its vehicle, the customer drives it, it comes
//! back. DOMAIN.md C.8.
//!
//! ```text
//!   finalized, with a period ── period.from ──► Assign: the engine picks a vehicle and reserves it
//!                                                  │ none: Cancel(OVERSOLD), alarm
//!   vehicle reserved ──► AssignVehicle ──► VehicleAssigned ── period.until ──► released as NO_SHOW
//!                           │ another one is assigned, or it is over: that vehicle is released
//!   vehicle unlocked ──► StartRental ──► RentalStarted ──► StartTrip
//!                           │ refused: EndTrip, so that it is locked again; alarm
//!   RentalCompleted ──► EndTrip (the vehicle locks itself), final capture, pool and limit are free,
//!                       fuel that is missing is charged
//!   NO_SHOW ──► RecordNoShow ──► final capture, pool and limit are free
//!   out of service while it waits ──► WithdrawVehicle ──► VehicleWithdrawn ──► Assign another
//! ```
//!
//! A vehicle without a period (walk-up) is claimed by the hold, and committed and released with its
//! other claims (`booking`).
//!
//! **Cancelling** goes the other way round (D32): who wants to cancel asks the vehicle first
//! ([`before_cancel`]). It refuses while it is being unlocked or used; if it lets go, nobody can unlock
//! it any more, and the reservation is cancelled: by the same hand, or, if that was stopped in between,
//! on account of the vehicle's fact.
//!
//! Locking, retries, lost connections and alarms about them are the unlock process's (`unlock.rs`). The stories of `tests/rentals.rs` are told on all of it.

use super::{Alarm, Ask, Charge, Command, Fact, Refusal, Settings, TimerKey, What};
use crate::reservation::{self, CancelReason, Claim, Event, State, Status};
use crate::seatmap::ReleaseReason as PoolReason;
use crate::vehicle::{self, ReleaseReason};
use crate::{
    By, Epoch, Money, Period, ReservationId, Sku, Timestamp, UserId, VehicleId, inventory, limit,
    payment,
};

/// What follows from a fact.
pub fn react(fact: &Fact<'_>, settings: &Settings) -> Vec<Ask> {
    match fact.what {
        What::Reservation(id, event, state) => of_a_reservation(id, event, state, settings),
        What::Vehicle(id, event, state) => of_a_vehicle(fact.at, id, event, state),
        What::Payment(..)
        | What::SeatMap(..)
        | What::Inventory(..)
        | What::Limit(..)
        | What::Item(..)
        | What::Ticket(..)
        | What::Notification(..)
        | What::Inspection(..) => vec![],
    }
}

/// Which vehicle a reservation wants just now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wants {
    /// None: it has one, takes one with its hold, is over, or its time has not come.
    Nothing,
    /// One of this class, for this long: `Vehicle.Reserve` it, confirmed, under this epoch.
    One {
        /// The class.
        sku: Sku,
        /// For whom.
        user_id: UserId,
        /// When.
        period: Period,
        /// The epoch of the reservation's claims.
        epoch: Epoch,
    },
    /// Its period went by without one: as if none were free ([`no_vehicle`]).
    TooLate,
}

/// What [`Ask::Assign`] comes to, and a first unlock before it: judged with the reservation's state.
pub fn wants(state: &State, now: Timestamp) -> Wants {
    match state.status {
        Status::Confirmed if state.finalized && state.vehicle_id.is_none() => {}
        Status::None
        | Status::Hold
        | Status::AwaitingPayment
        | Status::Reacquiring
        | Status::Confirmed
        | Status::InUse
        | Status::Completed
        | Status::HoldFailed
        | Status::HoldExpired
        | Status::Cancelled => return Wants::Nothing,
    }
    let Some(line) = state.vehicle_line() else { return Wants::Nothing };
    let (Some(period), Some(sku), Some(user_id)) =
        (line.period, line.sku.clone(), state.user_id.clone())
    else {
        return Wants::Nothing;
    };
    if period.until <= now {
        Wants::TooLate
    } else if now < period.from {
        Wants::Nothing
    } else {
        Wants::One { sku, user_id, period, epoch: state.claim_epoch }
    }
}

/// What follows when there is no vehicle for a reservation whose period has begun.
pub fn no_vehicle(id: &ReservationId) -> Vec<Ask> {
    let cancel = reservation::Command::Cancel {
        by: By::System,
        reason: CancelReason::Oversold,
        refund: None,
    };
    vec![Ask::Do(told(id, cancel)), Ask::Alarm(Alarm::NoVehicle { reservation_id: *id })]
}

/// What must be done before a reservation is cancelled on somebody's wish: its vehicle lets go. Refused
/// while it is being unlocked (UNLOCK_IN_PROGRESS) or used (IN_USE); then nothing is cancelled. None:
/// cancel at once. Whoever asks looks first whether the cancellation itself would be refused.
pub fn before_cancel(id: &ReservationId, state: &State) -> Option<Command> {
    match state.status {
        Status::Hold | Status::AwaitingPayment | Status::Reacquiring | Status::Confirmed => {
            let vehicle_id = state.vehicle_id.as_ref()?;
            Some(released(vehicle_id, id, state.claim_epoch, ReleaseReason::Cancelled))
        }
        Status::None
        | Status::InUse
        | Status::Completed
        | Status::HoldFailed
        | Status::HoldExpired
        | Status::Cancelled => None,
    }
}

fn of_a_reservation(
    id: &ReservationId,
    event: &Event,
    state: &State,
    settings: &Settings,
) -> Vec<Ask> {
    let period = state.vehicle_line().and_then(|line| line.period);
    let no_wake = || period.map(|_| Ask::Forget(TimerKey::Period(*id)));
    match event {
        // Every claim is committed: no claim can be found gone any more.
        Event::Finalized { .. } => period
            .map(|period| {
                let assign = Ask::Assign { reservation_id: *id, epoch: state.claim_epoch };
                wake(id, period.from, assign)
            })
            .into_iter()
            .collect(),
        Event::VehicleAssigned { vehicle_id } => period
            // Who gets the keys from a person is never seen to unlock.
            .filter(|_| state.policies.remote_unlock)
            .map(|period| {
                let reason = ReleaseReason::NoShow;
                let release = released(vehicle_id, id, state.claim_epoch, reason);
                wake(id, period.until, Ask::Do(release))
            })
            .into_iter()
            .collect(),
        Event::VehicleWithdrawn { vehicle_id } => {
            let release = released(vehicle_id, id, state.claim_epoch, ReleaseReason::NotNeeded);
            let assign = Ask::Assign { reservation_id: *id, epoch: state.claim_epoch };
            no_wake().into_iter().chain([Ask::Do(release), assign]).collect()
        }
        Event::RentalStarted { vehicle_id, .. } => {
            let start = vehicle::Command::StartTrip { reservation_id: *id };
            no_wake().into_iter().chain([to(vehicle_id, start)]).collect()
        }
        Event::RentalCompleted { odometer_end_m, fuel_end_pct, .. } => {
            let mut asks = Vec::new();
            asks.extend(state.vehicle_id.as_ref().map(|vehicle_id| {
                let end = vehicle::Command::EndTrip {
                    reservation_id: *id,
                    odometer_m: *odometer_end_m,
                    fuel_pct: *fuel_end_pct,
                    lock: state.policies.remote_unlock,
                };
                to(vehicle_id, end)
            }));
            asks.extend(over(id, state));
            asks.extend(fuel(id, state, *fuel_end_pct, settings));
            asks.extend(no_wake());
            asks
        }
        Event::NoShow { .. } => over(id, state).into_iter().chain(no_wake()).collect(),
        // What the hold has claimed is released with its other claims.
        Event::Cancelled { .. } => {
            let assigned = state.vehicle_id.as_ref().filter(|it| !state.has_claimed(it));
            let release = |it| released(it, id, state.claim_epoch, ReleaseReason::Cancelled);
            no_wake().into_iter().chain(assigned.map(release).map(Ask::Do)).collect()
        }
        Event::HoldCreated { .. }
        | Event::HoldExtended { .. }
        | Event::PaymentRequested { .. }
        | Event::PaymentDeclined { .. }
        | Event::MoneyLost { .. }
        | Event::Confirmed { .. }
        | Event::ClaimsLost { .. }
        | Event::ClaimsRetaken { .. }
        | Event::HoldReleased { .. }
        | Event::HoldExpired { .. }
        | Event::LatePaymentReceived { .. }
        | Event::LatePaymentAccepted { .. }
        | Event::LatePaymentRejected { .. } => vec![],
    }
}

/// The rental is over: its money is taken, unless that had to be done earlier, and its class has one
/// more to give. What else was bought with it stays as it is.
fn over(id: &ReservationId, state: &State) -> Vec<Ask> {
    let (reservation_id, epoch) = (*id, state.claim_epoch);
    let reason = PoolReason::Completed;
    let mut asks = Vec::new();
    if let Some(paid) = state.paid_by {
        let capture = payment::Command::Capture { attempt: paid.attempt };
        asks.push(Ask::Do(Command::Payment(paid.payment_id, capture)));
    }
    let Some(class) = state.vehicle_line().and_then(|line| line.sku.as_ref()) else { return asks };
    asks.extend(state.claims.iter().rev().filter_map(|claim| match claim {
        Claim::Inventory { r#ref, .. } if r#ref == class => Some(Ask::Do(Command::Inventory(
            r#ref.clone(),
            inventory::Command::Release { reservation_id, epoch, reason },
        ))),
        Claim::Limit { r#ref, .. } if r#ref.sku == *class => Some(Ask::Do(Command::Limit(
            r#ref.clone(),
            limit::Command::Release { reservation_id, epoch, reason },
        ))),
        Claim::Inventory { .. }
        | Claim::Limit { .. }
        | Claim::SeatMap { .. }
        | Claim::Vehicle { .. } => None,
    }));
    asks
}

/// What is missing in the tank, as a payment of its own.
fn fuel(id: &ReservationId, state: &State, end_pct: u8, settings: &Settings) -> Option<Ask> {
    let missing = state.fuel_start_pct?.checked_sub(end_pct)?;
    let minor = settings.fuel_charge_minor_per_percent.checked_mul(i64::from(missing))?;
    let amount = Money::new(minor, state.total?.currency);
    (minor > 0).then_some(Ask::Charge(Charge {
        payment_id: id.extra_payment_id("fuel"),
        reservation_id: *id,
        inspection_id: None,
        amount,
        attempt: 1,
    }))
}

fn of_a_vehicle(
    now: Timestamp,
    id: &VehicleId,
    event: &vehicle::Event,
    state: &vehicle::State,
) -> Vec<Ask> {
    use vehicle::Event as E;
    match event {
        E::Reserved { reservation_id, epoch, period: Some(_), confirmed: true, .. } => {
            vec![Ask::Do(is_it_yours(id, reservation_id, *epoch))]
        }
        E::Unlocked { reservation_id, odometer_m, fuel_pct, accepted: true, .. } => {
            let start = reservation::Command::StartRental {
                vehicle_id: id.clone(),
                odometer_start_m: *odometer_m,
                fuel_start_pct: *fuel_pct,
                at: now,
            };
            vec![Ask::Do(told(reservation_id, start))]
        }
        // While it was being unlocked it could not be released: what ended meanwhile is caught up with,
        // also when it is locked again, since it was unlocked too late.
        E::UnlockFailed { reservation_id, .. }
        | E::Unlocked { reservation_id, accepted: false, .. } => {
            let Some(claim) = state.reservation() else { return vec![] };
            if claim.reservation_id != *reservation_id {
                return vec![];
            }
            let mut asks = vec![Ask::Do(is_it_yours(id, reservation_id, claim.epoch))];
            if claim.period.is_some_and(|period| period.until <= now) {
                let reason = ReleaseReason::NoShow;
                asks.push(Ask::Do(released(id, reservation_id, claim.epoch, reason)));
            }
            asks
        }
        E::ReservationReleased { reservation_id, reason, freed: true, .. } => match reason {
            ReleaseReason::NoShow => {
                let no_show = reservation::Command::RecordNoShow { vehicle_id: id.clone() };
                vec![Ask::Do(told(reservation_id, no_show))]
            }
            // Whoever let it go was about to cancel; perhaps it was stopped in between.
            ReleaseReason::Cancelled => {
                let cancel = reservation::Command::Cancel {
                    by: By::System,
                    reason: CancelReason::User,
                    refund: None,
                };
                vec![Ask::Do(told(reservation_id, cancel))]
            }
            ReleaseReason::Expired
            | ReleaseReason::PaymentFailed
            | ReleaseReason::User
            | ReleaseReason::Refunded
            | ReleaseReason::LateRejected
            | ReleaseReason::Oversold
            | ReleaseReason::Completed
            | ReleaseReason::Refused
            | ReleaseReason::NotNeeded => vec![],
        },
        // Whoever waits for it gets another one; whoever drives it keeps it to the end.
        E::OutOfService { .. } => {
            let waits = state.rental() == vehicle::Rental::NonOperational;
            let claim = state.reservation().filter(|claim| waits && claim.confirmed);
            let withdraw = reservation::Command::WithdrawVehicle { vehicle_id: id.clone() };
            claim.map(|claim| Ask::Do(told(&claim.reservation_id, withdraw))).into_iter().collect()
        }
        E::Reserved { .. }
        | E::ReservationReleased { .. }
        | E::Registered { .. }
        | E::ReservationExtended { .. }
        | E::ReservationConfirmed { .. }
        | E::AttemptWithdrawn { .. }
        | E::UnlockRequested { .. }
        | E::LockRequested { .. }
        | E::Locked { .. }
        | E::LockFailed { .. }
        | E::AnswerIgnored { .. }
        | E::LateUnlockCompensated { .. }
        | E::TripStarted { .. }
        | E::TripEnded { .. }
        | E::TelemetrySampled { .. }
        | E::ConnectionLost { .. }
        | E::ConnectionRestored { .. }
        | E::OdometerAnomaly { .. }
        | E::ReturnedToService => vec![],
    }
}

/// What follows when a command that it asked for is refused.
pub fn refused(command: &Command, refusal: &Refusal) -> Vec<Ask> {
    match command {
        Command::Reservation(id, command) => by_the_reservation(id, command, refusal),
        // The vehicle is in use or being unlocked: its next fact decides. Claims, money and limits that
        // are gone already are as they should be.
        Command::Vehicle(..)
        | Command::Payment(..)
        | Command::Inventory(..)
        | Command::Limit(..)
        | Command::SeatMap(..)
        | Command::Item(..)
        | Command::Ticket(..)
        | Command::Notification(..)
        | Command::Inspection(..) => vec![],
    }
}

fn by_the_reservation(
    id: &ReservationId,
    command: &reservation::Command,
    refusal: &Refusal,
) -> Vec<Ask> {
    use reservation::Command as C;
    let Refusal::Reservation(refusal) = refusal else { return vec![] };
    match command {
        // Another vehicle was faster, or nobody wants it any more.
        C::AssignVehicle { vehicle_id, epoch } => {
            vec![Ask::Do(released(vehicle_id, id, *epoch, ReleaseReason::NotNeeded))]
        }
        // Back already, before anybody saw that it had been opened once more: its return ends the trip.
        C::StartRental { .. } if *refusal == reservation::Refusal::Completed => vec![],
        // It stands open for somebody who may not have it: over at once, and it is locked again.
        C::StartRental { vehicle_id, odometer_start_m, fuel_start_pct, .. } => {
            let end = vehicle::Command::EndTrip {
                reservation_id: *id,
                odometer_m: *odometer_start_m,
                fuel_pct: *fuel_start_pct,
                lock: true,
            };
            let (vehicle_id, reservation_id) = (vehicle_id.clone(), *id);
            let alarm = Alarm::UnlockedInVain { vehicle_id: vehicle_id.clone(), reservation_id };
            vec![to(&vehicle_id, end), Ask::Alarm(alarm)]
        }
        // Claimed by the hold, for this vehicle alone: a person has to see to it.
        C::WithdrawVehicle { .. } => {
            vec![Ask::Alarm(Alarm::NoVehicle { reservation_id: *id })]
        }
        C::RecordNoShow { .. }
        | C::Cancel { .. }
        | C::PlaceHold { .. }
        | C::ExtendHold { .. }
        | C::RequestPayment { .. }
        | C::ConfirmPaid { .. }
        | C::PaymentDeclined { .. }
        | C::Expire { .. }
        | C::RecordReacquired { .. }
        | C::RecordClaimLost { .. }
        | C::RecordFinalized { .. }
        | C::RecordMoneyLost { .. }
        | C::Complete { .. } => vec![],
    }
}

fn told(id: &ReservationId, command: reservation::Command) -> Command {
    Command::Reservation(*id, command)
}

fn to(id: &VehicleId, command: vehicle::Command) -> Ask {
    Ask::Do(Command::Vehicle(id.clone(), command))
}

/// Recorded if it has none yet, nothing if it is, refused if it is not.
fn is_it_yours(vehicle_id: &VehicleId, id: &ReservationId, epoch: Epoch) -> Command {
    let vehicle_id = vehicle_id.clone();
    told(id, reservation::Command::AssignVehicle { vehicle_id, epoch })
}

fn released(
    vehicle_id: &VehicleId,
    id: &ReservationId,
    epoch: Epoch,
    reason: ReleaseReason,
) -> Command {
    let release = vehicle::Command::ReleaseReservation { reservation_id: *id, epoch, reason };
    Command::Vehicle(vehicle_id.clone(), release)
}

fn wake(id: &ReservationId, at: Timestamp, then: Ask) -> Ask {
    Ask::Wake { key: TimerKey::Period(*id), at, then: Box::new(then) }
}
