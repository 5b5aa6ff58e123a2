//! What a seat map would record without one of its rules.

use super::*;

impl World {
    /// What a map without a certain rule would record before it looks at a command.
    pub(super) fn spoiled_before(
        &self,
        map: &seatmap::State,
        command: &seatmap::Command,
    ) -> Vec<seatmap::Event> {
        let seat = map.seat(&self.seat).expect("the only seat");
        let Some(Owner::Reservation(holder)) = seat.owner else { return vec![] };
        let held = seat.status == SeatStatus::Locked;
        let tab_of = |lock: &LockId| (0..2).find(|tab| lock_id(*tab) == *lock);
        let stolen = match command {
            seatmap::Command::Attach { reservation_id, user_id, .. } => {
                self.without == Without::TheOwnerGuard
                    && *reservation_id != holder
                    && seat.user_id == Some(user_id)
                    && held
            }
            seatmap::Command::ReleaseLock { lock_id, .. } => {
                self.without == Without::InertLockRelease
                    && tab_of(lock_id).is_some_and(|tab| reservation_id(tab) == holder)
                    && held
            }
            seatmap::Command::DropLapsed { owner: Owner::Lock(lock_id) } => {
                self.without == Without::InertLockTimer
                    && tab_of(lock_id).is_some_and(|tab| reservation_id(tab) == holder)
                    && held
            }
            _ => false,
        };
        if !stolen {
            return vec![];
        }
        vec![seatmap::Event::SeatsReleased {
            owner: Owner::Reservation(holder),
            seat_ids: vec![self.seat.clone()],
            reason: ReleaseReason::User,
            epoch: None,
        }]
    }

    /// What a map without a certain rule would record instead.
    pub(super) fn spoiled(
        &self,
        map: &seatmap::State,
        mut event: seatmap::Event,
        now: Timestamp,
    ) -> Option<seatmap::Event> {
        match (&mut event, self.without) {
            (
                seatmap::Event::SeatsAttached { lock_id, expires_at, .. },
                Without::TheReservationsDeadline,
            ) => {
                *expires_at = map.lock(lock_id).expect("attached").expires_at;
            }
            (seatmap::Event::SeatsReleased { seat_ids, epoch, .. }, Without::Tombstones) => {
                if seat_ids.is_empty() {
                    return None;
                }
                *epoch = None;
            }
            (
                seatmap::Event::SeatsLocked { reservation_id: Some(_), expires_at, .. },
                Without::FirmReacquisition,
            ) if expires_at.is_none() => {
                *expires_at = Some(Timestamp::from_micros(now.micros() + 1_000_000));
            }
            (
                seatmap::Event::SeatLockExtended { reservation_id, expires_at, .. },
                Without::RaisedDeadlines,
            ) => {
                let seats = map.seats_of(Owner::Reservation(*reservation_id));
                let seat = map.seat(seats.first()?)?;
                *expires_at = seat.expires_at?;
            }
            _ => {}
        }
        Some(event)
    }
}
