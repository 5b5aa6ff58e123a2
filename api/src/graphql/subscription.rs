//! What can be followed. Everything comes from the one feed of the log, nothing from a poll.

use std::sync::Arc;

use async_graphql::{Context, ID, Result, Subscription};
use futures::Stream;
use futures::stream;
use holdfast_domain::{Decider, SeatMapId, Sku, VehicleId, reservation, vehicle};
use holdfast_schemas::AnyEvent;
use holdfast_store::{Filter, StreamId};

use super::audit::Event;
use super::common::{Asking, error};
use super::item::Availability;
use super::notification::Notification;
use super::reservation::Reservation;
use super::scalars::Position;
use super::seatmap::SeatChange;
use super::vehicle::Vehicle;
use crate::door::{Door, broken, trouble};
use crate::feed::{Fact, Follower};
use crate::names;
use crate::no::{Code, No};
use crate::view::{ReservationView, VehicleView};
use crate::who::Who;

type Answer<T> = Result<T>;

/// Skus of one subscription.
const MOST_SKUS: usize = 100;

pub(crate) struct Subscription;

#[Subscription]
impl Subscription {
    /// Seats of a map that look different; from a position on, or from now on.
    async fn seat_changed(
        &self,
        ctx: &Context<'_>,
        seat_map_id: ID,
        from: Option<Position>,
    ) -> Result<impl Stream<Item = Answer<SeatChange>> + use<>> {
        ctx.passes("Subscription.seatChanged")?;
        let map = SeatMapId::new(seat_map_id.as_str());
        let map = map.map_err(|_| error(No::absent("seat map")))?;
        let door = ctx.door().clone();
        if door.reads.seat_map(&map).await.map_err(|failed| error(trouble(failed)))?.is_none() {
            // Perhaps it was published a moment ago and the rows are on their way: the log knows.
            let loaded = door.engine.load::<holdfast_domain::seatmap::State>(&map).await;
            let loaded = loaded.map_err(|rejection| error(rejection.into()))?;
            loaded.version.ok_or_else(|| error(No::absent("seat map")))?;
        }
        let stream = names::stream_of::<holdfast_domain::seatmap::State>(&map);
        let from = from.map(|from| from.0);
        let follower = door.feed.follow(from, Filter::Stream(StreamId::new(stream)));
        Ok(facts(follower, |fact| async move {
            let change = fact.seats.as_ref();
            Ok(change.and_then(|change| SeatChange::of(change, fact.event.position)))
        }))
    }

    /// A reservation, each time that something has happened to it.
    async fn reservation_changed(
        &self,
        ctx: &Context<'_>,
        id: ID,
    ) -> Result<impl Stream<Item = Answer<Reservation>> + use<>> {
        ctx.passes("Subscription.reservationChanged")?;
        let absent = || error(No::absent("reservation"));
        let id = names::read_reservation(&id).ok_or_else(absent)?;
        let door = ctx.door().clone();
        let stream = StreamId::new(names::stream_of::<reservation::State>(&id));
        // Follow first, then look: what happens in between is in both, and is told once.
        let follower = door.feed.follow(None, Filter::Stream(stream));
        let loaded = door.engine.load::<reservation::State>(&id).await;
        let loaded = loaded.map_err(|rejection| error(rejection.into()))?;
        let owner = loaded.state.user_id.as_ref().ok_or_else(absent)?;
        if !ctx.who().may_see(owner) {
            return Err(absent());
        }
        let start = (follower, loaded.state, loaded.version);
        Ok(stream::try_unfold(start, move |(mut follower, mut state, mut version)| async move {
            loop {
                let fact = next(&mut follower).await?;
                let Some(AnyEvent::Reservation(_, event)) = &fact.what else { continue };
                if version.is_some_and(|version| fact.event.stream_version <= version) {
                    continue;
                }
                state.evolve(event);
                version = Some(fact.event.stream_version);
                let view = ReservationView::of_state(id, &state, fact.event.position);
                if let Some(view) = view {
                    return Ok(Some((Reservation(view), (follower, state, version))));
                }
            }
        }))
    }

    /// The vehicle of a live reservation of yours, each time that it looks different; it ends with the
    /// reservation. Operators and auditors may follow any.
    async fn vehicle_changed(
        &self,
        ctx: &Context<'_>,
        id: ID,
    ) -> Result<impl Stream<Item = Answer<Vehicle>> + use<>> {
        ctx.passes("Subscription.vehicleChanged")?;
        let absent = || error(No::absent("vehicle"));
        let id = VehicleId::new(id.as_str()).map_err(|_| absent())?;
        let (door, who) = (ctx.door().clone(), ctx.who().clone());
        let stream = StreamId::new(names::stream_of::<vehicle::State>(&id));
        // As above: what happens between following and looking is in both, and is told once.
        let follower = door.feed.follow(None, Filter::Stream(stream));
        let loaded = door.engine.load::<vehicle::State>(&id).await;
        let loaded = loaded.map_err(|rejection| error(rejection.into()))?;
        let shown = VehicleView::of_state(id, &loaded.state).ok_or_else(absent)?;
        if !shown.shows_to(&who) {
            return Err(absent());
        }
        let watch = Watch { follower, state: loaded.state, version: loaded.version, shown, who };
        Ok(stream::try_unfold(watch, Watch::next))
    }

    /// What is left of some items, each time that it has changed.
    async fn availability_changed(
        &self,
        ctx: &Context<'_>,
        skus: Vec<ID>,
    ) -> Result<impl Stream<Item = Answer<Availability>> + use<>> {
        ctx.passes("Subscription.availabilityChanged")?;
        if skus.is_empty() || skus.len() > MOST_SKUS {
            return Err(error(No::invalid(format!("name 1 to {MOST_SKUS} skus"))));
        }
        let sku = |id: &ID| Sku::new(id.as_str()).map_err(|_| error(No::absent("item")));
        let skus: Arc<[Sku]> = skus.iter().map(sku).collect::<Answer<Vec<_>>>()?.into();
        let door = ctx.door().clone();
        let category = holdfast_domain::inventory::State::CATEGORY.to_owned();
        let follower = door.feed.follow(None, Filter::Categories(vec![category]));
        Ok(facts(follower, move |fact| {
            let (door, skus) = (door.clone(), skus.clone());
            async move { availability(&door, &skus, &fact).await }
        }))
    }

    /// Your notices as they come.
    async fn notification_added(
        &self,
        ctx: &Context<'_>,
    ) -> Result<impl Stream<Item = Answer<Notification>> + use<>> {
        ctx.passes("Subscription.notificationAdded")?;
        let user = ctx.who().user().cloned();
        let user =
            user.ok_or_else(|| error(No::new(Code::Unauthenticated, "a token is needed")))?;
        let door = ctx.door().clone();
        let category = holdfast_domain::notification::State::CATEGORY.to_owned();
        let follower = door.feed.follow(None, Filter::Categories(vec![category]));
        Ok(facts(follower, move |fact| {
            let (door, user) = (door.clone(), user.clone());
            async move {
                let Some(AnyEvent::Notification(id, event)) = &fact.what else { return Ok(None) };
                let holdfast_domain::notification::Event::Requested { user_id, .. } = event;
                if *user_id != user {
                    return Ok(None);
                }
                door.seen(Some(fact.event.position)).await?;
                Ok(door.notification(&user, id).await?.map(Notification::from))
            }
        }))
    }

    /// READ_AUDIT
    async fn event_recorded(
        &self,
        ctx: &Context<'_>,
        stream: Option<String>,
        from: Option<Position>,
    ) -> Result<impl Stream<Item = Answer<Event>> + use<>> {
        ctx.passes("Subscription.eventRecorded")?;
        let stream = stream.map(|stream| names::read_stream(&stream)).transpose().map_err(error)?;
        let filter = stream.map_or(Filter::All, |stream| Filter::Stream(StreamId::new(stream)));
        let follower = ctx.door().feed.follow(from.map(|from| from.0), filter);
        Ok(facts(follower, |fact| async move {
            Event::of_fact(&fact).map(Some).map_err(|failed| broken(&failed))
        }))
    }
}

/// Somebody who watches a vehicle.
struct Watch {
    follower: Follower,
    state: vehicle::State,
    version: Option<u64>,
    shown: VehicleView,
    who: Who,
}

impl Watch {
    /// How the vehicle looks when it looks different. Whoever loses it sees it once more, as it was left,
    /// and nothing of the next one's rental.
    async fn next(mut self) -> Answer<Option<(Vehicle, Self)>> {
        while self.shown.shows_to(&self.who) {
            let fact = next(&mut self.follower).await?;
            let Some(AnyEvent::Vehicle(id, event)) = &fact.what else { continue };
            if self.version.is_some_and(|version| fact.event.stream_version <= version) {
                continue;
            }
            self.state.evolve(event);
            self.version = Some(fact.event.stream_version);
            match VehicleView::of_state(id.clone(), &self.state) {
                Some(view) if view != self.shown => {
                    self.shown = view.clone();
                    return Ok(Some((Vehicle::from(view), self)));
                }
                Some(_) | None => {}
            }
        }
        Ok(None)
    }
}

async fn next(follower: &mut Follower) -> Answer<Arc<Fact>> {
    follower.next().await.map_err(|stopped| error(No::new(Code::Unavailable, stopped.to_string())))
}

/// What each fact shows; facts that show nothing are passed over.
fn facts<T, F, Fut>(
    follower: Follower,
    show: F,
) -> impl Stream<Item = Answer<T>> + Send + 'static + use<T, F, Fut>
where
    T: Send + 'static,
    F: Fn(Arc<Fact>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = std::result::Result<Option<T>, No>> + Send + 'static,
{
    stream::try_unfold((follower, show), |(mut follower, show)| async move {
        loop {
            let fact = next(&mut follower).await?;
            if let Some(shown) = show(fact).await.map_err(error)? {
                return Ok(Some((shown, (follower, show))));
            }
        }
    })
}

async fn availability(
    door: &Door,
    skus: &[Sku],
    fact: &Fact,
) -> std::result::Result<Option<Availability>, No> {
    let Some(AnyEvent::Inventory(sku, _)) = &fact.what else { return Ok(None) };
    if !skus.contains(sku) {
        return Ok(None);
    }
    door.seen(Some(fact.event.position)).await?;
    Ok(door.reads.availability(sku).await.map_err(trouble)?.map(Availability::from))
}
