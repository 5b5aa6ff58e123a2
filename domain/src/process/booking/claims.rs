//! What a reservation asks of the places where it has claims: commit, take again, release; and the
//! timers that drop claims which nobody came back for.

use crate::process::{Ask, Command, TimerKey};
use crate::reservation::{Claim, State};
use crate::seatmap::{Owner, ReleaseReason};
use crate::{
    Epoch, LimitId, ReservationId, SeatMapId, Sku, Timestamp, VehicleId, inventory, limit, seatmap,
    vehicle,
};

/// Commits every claim: pools, then limits, seats, and a vehicle; last what is consumed by it, since a
/// claim that is found gone before that leaves nothing to be brought back.
pub(super) fn commit(id: &ReservationId, state: &State, epoch: Epoch) -> Vec<Command> {
    let reservation_id = *id;
    let mut pools = Vec::new();
    let mut goods = Vec::new();
    let mut limits = Vec::new();
    let mut maps = Vec::new();
    let mut vehicles = Vec::new();
    for claim in &state.claims {
        match claim {
            Claim::Inventory { r#ref, consumed: true, .. } => goods.push(Command::Inventory(
                r#ref.clone(),
                inventory::Command::Consume { reservation_id, epoch },
            )),
            Claim::Inventory { r#ref, consumed: false, .. } => pools.push(Command::Inventory(
                r#ref.clone(),
                inventory::Command::Commit { reservation_id, epoch },
            )),
            Claim::Limit { r#ref, .. } => limits.push(Command::Limit(
                r#ref.clone(),
                limit::Command::Keep { reservation_id, epoch },
            )),
            Claim::SeatMap { r#ref, .. } => maps.push(Command::SeatMap(
                r#ref.clone(),
                seatmap::Command::Confirm { reservation_id, epoch },
            )),
            Claim::Vehicle { r#ref } => vehicles.push(Command::Vehicle(
                r#ref.clone(),
                vehicle::Command::ConfirmReservation { reservation_id, epoch },
            )),
        }
    }
    pools.append(&mut limits);
    pools.append(&mut maps);
    pools.append(&mut vehicles);
    pools.append(&mut goods);
    pools
}

/// Takes every claim again, in the order in which claims are taken.
pub(super) fn reacquire(id: &ReservationId, state: &State, epoch: Epoch) -> Vec<Command> {
    let reservation_id = *id;
    let again = |claim: &Claim| match claim {
        Claim::Limit { r#ref, quantity, max } => Some(Command::Limit(
            r#ref.clone(),
            limit::Command::Reacquire { reservation_id, qty: *quantity, max: *max, epoch },
        )),
        Claim::Inventory { r#ref, quantity, period, consumed: _ } => Some(Command::Inventory(
            r#ref.clone(),
            inventory::Command::Reacquire {
                reservation_id,
                qty: *quantity,
                epoch,
                period: *period,
            },
        )),
        Claim::SeatMap { r#ref, seat_ids } => {
            let user_id = state.user_id.clone()?;
            let seat_ids = seat_ids.clone();
            Some(Command::SeatMap(
                r#ref.clone(),
                seatmap::Command::Reacquire { reservation_id, user_id, seat_ids, epoch },
            ))
        }
        Claim::Vehicle { r#ref } => {
            let (user_id, period) = (state.user_id.clone()?, None);
            Some(Command::Vehicle(
                r#ref.clone(),
                vehicle::Command::Reacquire { reservation_id, user_id, epoch, period },
            ))
        }
    };
    state.claims.iter().filter_map(again).collect()
}

/// Releases every claim in reverse, each on its own, at the epoch that the reservation has reached.
pub(super) fn release(id: &ReservationId, state: &State, reason: ReleaseReason) -> Vec<Ask> {
    let release = |claim: &Claim| Ask::Do(freed(id, claim, state.claim_epoch, reason));
    state.claims.iter().rev().map(release).collect()
}

/// After a confirmation: as [`release`], and what was consumed comes back.
pub(super) fn give_up(id: &ReservationId, state: &State, reason: ReleaseReason) -> Vec<Ask> {
    let epoch = state.claim_epoch;
    let give_up = |claim: &Claim| match claim {
        Claim::Inventory { r#ref, consumed: true, .. } => Ask::Do(Command::Inventory(
            r#ref.clone(),
            inventory::Command::Return { reservation_id: *id, epoch, reason },
        )),
        Claim::Inventory { .. }
        | Claim::Limit { .. }
        | Claim::SeatMap { .. }
        | Claim::Vehicle { .. } => Ask::Do(freed(id, claim, epoch, reason)),
    };
    state.claims.iter().rev().map(give_up).collect()
}

fn freed(id: &ReservationId, claim: &Claim, epoch: Epoch, reason: ReleaseReason) -> Command {
    let reservation_id = *id;
    match claim {
        Claim::Limit { r#ref, .. } => {
            Command::Limit(r#ref.clone(), limit::Command::Release { reservation_id, epoch, reason })
        }
        Claim::Inventory { r#ref, .. } => Command::Inventory(
            r#ref.clone(),
            inventory::Command::Release { reservation_id, epoch, reason },
        ),
        Claim::SeatMap { r#ref, .. } => Command::SeatMap(
            r#ref.clone(),
            seatmap::Command::Release { reservation_id, epoch, reason },
        ),
        Claim::Vehicle { r#ref } => {
            let reason = reason.into();
            let release = vehicle::Command::ReleaseReservation { reservation_id, epoch, reason };
            Command::Vehicle(r#ref.clone(), release)
        }
    }
}

/// The deadline of a claim in a pool.
pub(super) fn pool(sku: &Sku, event: &inventory::Event) -> Vec<Ask> {
    match event {
        inventory::Event::Held { reservation_id, expires_at, .. }
        | inventory::Event::HoldExtended { reservation_id, expires_at, .. } => {
            let reservation_id = *reservation_id;
            let drop = inventory::Command::DropLapsed { reservation_id };
            wake(
                TimerKey::Pool(sku.clone(), reservation_id),
                *expires_at,
                Command::Inventory(sku.clone(), drop),
            )
        }
        inventory::Event::Locked { reservation_id, .. }
        | inventory::Event::Released { reservation_id, .. }
        | inventory::Event::Reacquired { reservation_id, .. } => {
            vec![Ask::Forget(TimerKey::Pool(sku.clone(), *reservation_id))]
        }
        inventory::Event::AttemptWithdrawn { .. }
        | inventory::Event::Sold { .. }
        | inventory::Event::Returned { .. }
        | inventory::Event::Received { .. }
        | inventory::Event::Adjusted { .. }
        | inventory::Event::Closed
        | inventory::Event::Opened
        | inventory::Event::OversubscriptionDetected { .. } => vec![],
    }
}

/// The deadline of a claim on a limit.
pub(super) fn limit(id: &LimitId, event: &limit::Event) -> Vec<Ask> {
    match event {
        limit::Event::Taken { reservation_id, expires_at, .. }
        | limit::Event::Extended { reservation_id, expires_at, .. } => {
            let reservation_id = *reservation_id;
            let drop = limit::Command::DropLapsed { reservation_id };
            wake(
                TimerKey::Limit(id.clone(), reservation_id),
                *expires_at,
                Command::Limit(id.clone(), drop),
            )
        }
        limit::Event::Kept { reservation_id, .. }
        | limit::Event::Released { reservation_id, .. } => {
            vec![Ask::Forget(TimerKey::Limit(id.clone(), *reservation_id))]
        }
        limit::Event::AttemptWithdrawn { .. } => vec![],
    }
}

/// The deadline of a claim on a vehicle.
pub(super) fn vehicle(id: &VehicleId, event: &vehicle::Event) -> Vec<Ask> {
    use vehicle::Event as E;
    match event {
        E::Reserved { reservation_id, expires_at: Some(expires_at), .. }
        | E::ReservationExtended { reservation_id, expires_at, .. } => {
            let reservation_id = *reservation_id;
            let drop = vehicle::Command::DropLapsed { reservation_id };
            wake(
                TimerKey::Vehicle(id.clone(), reservation_id),
                *expires_at,
                Command::Vehicle(id.clone(), drop),
            )
        }
        E::Reserved { reservation_id, expires_at: None, .. }
        | E::ReservationConfirmed { reservation_id, .. }
        | E::ReservationReleased { reservation_id, .. } => {
            vec![Ask::Forget(TimerKey::Vehicle(id.clone(), *reservation_id))]
        }
        E::Registered { .. }
        | E::AttemptWithdrawn { .. }
        | E::UnlockRequested { .. }
        | E::Unlocked { .. }
        | E::UnlockFailed { .. }
        | E::LockRequested { .. }
        | E::Locked { .. }
        | E::LockFailed { .. }
        | E::AnswerIgnored { .. }
        | E::LateUnlockCompensated { .. }
        | E::ConnectionLost { .. }
        | E::ConnectionRestored { .. }
        | E::TripStarted { .. }
        | E::TripEnded { .. }
        | E::TelemetrySampled { .. }
        | E::OdometerAnomaly { .. }
        | E::OutOfService { .. }
        | E::ReturnedToService => vec![],
    }
}

/// The deadline of a bare lock, or of a reservation's seats.
pub(super) fn seats(map: &SeatMapId, event: &seatmap::Event) -> Vec<Ask> {
    match event {
        seatmap::Event::SeatsLocked {
            reservation_id: Some(reservation_id),
            expires_at: Some(at),
            ..
        } => wake_seats(map, Owner::Reservation(*reservation_id), *at),
        // Taken again for late money: it does not lapse any more.
        seatmap::Event::SeatsLocked {
            reservation_id: Some(reservation_id),
            expires_at: None,
            ..
        } => vec![Ask::Forget(seats_key(map, Owner::Reservation(*reservation_id)))],
        seatmap::Event::SeatsLocked {
            reservation_id: None,
            lock_id: Some(lock_id),
            expires_at: Some(at),
            ..
        } => wake_seats(map, Owner::Lock(*lock_id), *at),
        seatmap::Event::SeatsLocked { reservation_id: None, .. } => vec![],
        seatmap::Event::SeatsAttached { lock_id, reservation_id, expires_at, .. } => {
            let mut asks = vec![Ask::Forget(seats_key(map, Owner::Lock(*lock_id)))];
            asks.extend(wake_seats(map, Owner::Reservation(*reservation_id), *expires_at));
            asks
        }
        seatmap::Event::SeatLockExtended { reservation_id, expires_at, .. } => {
            wake_seats(map, Owner::Reservation(*reservation_id), *expires_at)
        }
        seatmap::Event::LockRestored { lock_id, expires_at, .. } => {
            wake_seats(map, Owner::Lock(*lock_id), *expires_at)
        }
        seatmap::Event::SeatsBooked { reservation_id, .. } => {
            vec![Ask::Forget(seats_key(map, Owner::Reservation(*reservation_id)))]
        }
        // Somebody else needed some of the lapsed seats; the timer drops the rest.
        seatmap::Event::SeatsReleased { reason: ReleaseReason::Expired, .. } => vec![],
        seatmap::Event::SeatsReleased { owner, .. } => vec![Ask::Forget(seats_key(map, *owner))],
        seatmap::Event::Published { .. }
        | seatmap::Event::Changed { .. }
        | seatmap::Event::AttemptWithdrawn { .. }
        | seatmap::Event::SeatsBlocked { .. }
        | seatmap::Event::SeatsUnblocked { .. } => vec![],
    }
}

fn seats_key(map: &SeatMapId, owner: Owner) -> TimerKey {
    match owner {
        Owner::Lock(lock_id) => TimerKey::SeatLock(map.clone(), lock_id),
        Owner::Reservation(reservation_id) => TimerKey::Seats(map.clone(), reservation_id),
    }
}

fn wake_seats(map: &SeatMapId, owner: Owner, at: Timestamp) -> Vec<Ask> {
    let drop = Command::SeatMap(map.clone(), seatmap::Command::DropLapsed { owner });
    wake(seats_key(map, owner), at, drop)
}

fn wake(key: TimerKey, at: Timestamp, command: Command) -> Vec<Ask> {
    vec![Ask::Wake { key, at, then: Box::new(Ask::Do(command)) }]
}
