//! Bare seat locks (S2): a customer holds seats before there is a reservation.

use holdfast_domain::seatmap::{self, Event, Pick, Seats};
use holdfast_domain::{By, LockId, SeatId, SeatMapId, Timestamp, derive, process};

use super::target;
use crate::dispatch::{Context, Recording};
use crate::{Done, Engine, LockSeats, Locked, Rejection, Request};

impl Engine {
    /// Locks seats for the caller, named ones or the best.
    pub async fn lock_seats(
        &self,
        request: &Request,
        wish: LockSeats,
    ) -> Result<Locked, Rejection> {
        let stream = target::<seatmap::State>(&wish.seat_map_id);
        let (engine, asked) = (self.clone(), request.clone());
        let work = self.to_its_end(async move { engine.lock(&asked, wish).await });
        self.noted(request, stream, work).await
    }

    async fn lock(&self, request: &Request, wish: LockSeats) -> Result<Locked, Rejection> {
        let LockSeats { seat_map_id, seats, suggest } = wish;
        let lock_id = LockId(derive(&[
            "lock",
            &request.caller.actor.to_string(),
            request.operation,
            &request.key,
        ]));
        let entered = self.enter(request).await?;
        if let Some(row) = &entered.bound {
            let done = Done::before(row);
            return self.locked(&seat_map_id, lock_id, Some((row.first, row.last)), done).await;
        }
        self.room_for_one_more(request).await?;
        let command = seatmap::Command::Lock {
            lock_id,
            user_id: request.caller.user_id.clone(),
            seats: seats.clone(),
            expires_at: self.now().plus(self.settings().seat_lock_ttl),
        };
        let context = Context::of(request);
        let recorded = self.record::<seatmap::State>(request, &seat_map_id, command, context).await;
        let recording = match recorded {
            Ok(recording) => recording,
            Err(rejection) if suggest => {
                return Err(self.with_suggestions(rejection, &seat_map_id, &seats).await);
            }
            Err(rejection) => return Err(rejection),
        };
        let Recording { events, versions, position, replayed } = recording;
        let done = Done { position, replayed };
        match events.iter().find_map(lock_of) {
            Some((seat_ids, expires_at)) => {
                Ok(Locked { lock_id, seat_map_id, seat_ids, expires_at, done })
            }
            None => self.locked(&seat_map_id, lock_id, versions, done).await,
        }
    }

    /// The lock as it was recorded, else as it stands.
    async fn locked(
        &self,
        map: &SeatMapId,
        lock_id: LockId,
        versions: Option<(u64, u64)>,
        done: Done,
    ) -> Result<Locked, Rejection> {
        let recorded = match versions {
            Some((first, last)) => {
                let events = self.0.dispatch.events_of::<seatmap::State>(map, first, last).await?;
                events.iter().find_map(lock_of)
            }
            None => {
                let standing = self.look::<seatmap::State, _>(map, move |state| {
                    state.lock(&lock_id).map(|lock| (lock.seats, lock.expires_at))
                });
                standing.await?
            }
        };
        let (seat_ids, expires_at) = recorded.ok_or(Rejection::NotFound("seat lock"))?;
        Ok(Locked { lock_id, seat_map_id: map.clone(), seat_ids, expires_at, done })
    }

    /// Gives a bare lock back. One that is gone, or another's, is not there: nothing is told.
    pub async fn release_seat_lock(
        &self,
        request: &Request,
        id: SeatMapId,
        lock_id: LockId,
    ) -> Result<Done, Rejection> {
        let stream = target::<seatmap::State>(&id);
        let (engine, asked) = (self.clone(), request.clone());
        let work = self.to_its_end(async move {
            let entered = engine.enter(&asked).await?;
            if let Some(row) = &entered.bound {
                return Ok(Done::before(row));
            }
            engine.theirs(&asked, &id, lock_id).await?;
            let by = asked.caller.by.clone();
            let command = seatmap::Command::ReleaseLock { lock_id, by };
            let context = Context::of(&asked);
            let recording = engine.record::<seatmap::State>(&asked, &id, command, context).await?;
            Ok(Done { position: recording.position, replayed: recording.replayed })
        });
        self.noted(request, stream, work).await
    }

    /// Whether there is such a lock that the caller may give back, or it was given back by this request.
    async fn theirs(
        &self,
        request: &Request,
        id: &SeatMapId,
        lock_id: LockId,
    ) -> Result<(), Rejection> {
        let (by, command_id) = (request.caller.by.clone(), request.command_id());
        let known = self.0.dispatch.look::<seatmap::State, _>(id, move |view| {
            let lock = view.state.lock(&lock_id);
            view.recorded(&command_id).is_some()
                || lock.is_some_and(|lock| by.may_act_for(lock.user_id))
        });
        if known.await? { Ok(()) } else { Err(Rejection::NotFound("seat lock")) }
    }

    /// Refuses a customer who holds too much unpaid already (API6:2023; a setting).
    pub(crate) async fn room_for_one_more(&self, request: &Request) -> Result<(), Rejection> {
        let limit = self.settings().live_holds_per_customer;
        match &request.caller.by {
            By::Owner(_) => {}
            By::Operator(_) | By::System => return Ok(()),
        }
        // What was answered before this began must count.
        let soon = std::time::Duration::from_secs(1);
        self.0.index.seen(self.store().head(), soon).await;
        let already = self.0.index.live.count(&request.caller.user_id, self.now());
        if already < limit { Ok(()) } else { Err(Rejection::TooManyHolds { limit, already }) }
    }

    /// Adds seats that could be had instead of those that are taken.
    pub(crate) async fn with_suggestions(
        &self,
        rejection: Rejection,
        map: &SeatMapId,
        wanted: &Seats,
    ) -> Rejection {
        let Rejection::Refused { refusal, target, as_of, .. } = rejection else { return rejection };
        let suggested = match (&*refusal, wanted) {
            (process::Refusal::SeatMap(seatmap::Refusal::SeatsTaken(_)), Seats::Named(seats)) => {
                self.others(map, seats).await
            }
            _ => Vec::new(),
        };
        Rejection::Refused { refusal, target, as_of, suggested }
    }

    /// As many seats together: in the same section if it has them, else anywhere.
    async fn others(&self, map: &SeatMapId, seats: &[SeatId]) -> Vec<SeatId> {
        let quantity = u32::try_from(seats.len()).unwrap_or(u32::MAX);
        let section = seats.first().and_then(|seat| {
            let mut parts = seat.as_str().rsplitn(3, '-');
            parts.nth(2).map(str::to_owned)
        });
        let now = self.now();
        let best = self.look::<seatmap::State, _>(map, move |state| {
            let near = Pick { quantity, section, category: None };
            let anywhere = Pick { section: None, ..near.clone() };
            state.best(&near, now).or_else(|| state.best(&anywhere, now))
        });
        best.await.ok().flatten().unwrap_or_default()
    }
}

fn lock_of(event: &Event) -> Option<(Vec<SeatId>, Timestamp)> {
    match event {
        Event::SeatsLocked { lock_id: Some(_), seat_ids, expires_at: Some(until), .. } => {
            Some((seat_ids.clone(), *until))
        }
        Event::SeatsLocked { .. }
        | Event::Published { .. }
        | Event::Changed { .. }
        | Event::SeatsAttached { .. }
        | Event::SeatLockExtended { .. }
        | Event::SeatsBooked { .. }
        | Event::SeatsReleased { .. }
        | Event::AttemptWithdrawn { .. }
        | Event::LockRestored { .. }
        | Event::SeatsBlocked { .. }
        | Event::SeatsUnblocked { .. } => None,
    }
}
