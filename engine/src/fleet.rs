//! Which vehicles there are, and how they stand: so that one can be picked without asking all of them.
//!
//! ```text
//!   log ──► follower: that vehicle has changed ──► look at it ──► known ──► rows in the side file
//!                                                                   │
//!            acquisition, assignment: the best first ◄──────────────┘
//! ```
//!
//! Nothing is decided here: whoever picks a vehicle asks it, and goes on with the next when it is taken.
//! All of it is derived; after a start only the vehicles are looked at that have changed since it was
//! written down.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use holdfast_domain::vehicle::{self, Rental};
use holdfast_domain::{Decider, ReservationId, Sku, Timestamp, VehicleId, derive};
use holdfast_store::{Filter, Position, RecordedEvent};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};

use crate::dispatch::{Dispatch, House, View};
use crate::follow::IndexError;
use crate::side::Side;
use crate::{Engine, Rejection};

/// The name of its checkpoint.
pub(crate) const CONSUMER: &str = "fleet";
/// How often it is written down.
const EVERY: Duration = Duration::from_secs(1);
/// The checkpoint is written at the latest after so many positions without a change.
const SPARSE: u64 = 4_096;
/// How many events are read at once after a start.
const PAGE: usize = 4_096;

/// A vehicle, as far as picking one needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetVehicle {
    /// Its class.
    pub sku: Sku,
    /// Where the rental stands.
    pub rental: Rental,
    /// Whether it has said that it is there, and nothing since says that it is gone.
    pub online: bool,
    /// Whether its Last Will says that it is gone.
    pub offline: bool,
    /// Percent of fuel or charge, once it is known.
    pub fuel_pct: Option<u8>,
    /// The reservation that has it.
    pub reservation: Option<ReservationId>,
    /// Until when that holds it, unpaid.
    pub held_until: Option<Timestamp>,
}

impl FleetVehicle {
    fn of(state: &vehicle::State) -> Option<Self> {
        let claim = state.reservation();
        Some(Self {
            sku: state.type_pool()?.clone(),
            rental: state.rental(),
            online: state.is_online(),
            offline: state.is_offline(),
            fuel_pct: state.fuel_pct(),
            reservation: claim.map(|claim| claim.reservation_id),
            held_until: claim.and_then(|claim| claim.expires_at),
        })
    }

    /// How good a choice it is, the best first; none: it cannot be had. DOMAIN.md V6.
    fn rank(&self, low_fuel: u8, now: Timestamp) -> Option<u8> {
        match self.rental {
            Rental::Available => {}
            Rental::Reserved if self.held_until.is_some_and(|until| until <= now) => {}
            Rental::None
            | Rental::Reserved
            | Rental::Stopped
            | Rental::OnTrip
            | Rental::NonOperational
            | Rental::Removed => return None,
        }
        let has_fuel = self.fuel_pct.is_some_and(|fuel| fuel >= low_fuel);
        Some(match (self.online, self.offline, has_fuel) {
            (true, _, true) => 0,
            (true, _, false) => 1,
            (false, false, true) => 2,
            (false, false, false) => 3,
            (false, true, true) => 4,
            (false, true, false) => 5,
        })
    }
}

/// The vehicles of the house. Clones are the same fleet.
#[derive(Clone)]
pub struct Fleet(Arc<Inner>);

struct Inner {
    known: Mutex<Known>,
    changed: Mutex<Changed>,
    unwritten: Mutex<HashMap<VehicleId, FleetVehicle>>,
    woken: Notify,
    /// Up to where all changes are known; zero before it has caught up after a start.
    seen: watch::Sender<Position>,
}

#[derive(Default)]
struct Known {
    vehicles: HashMap<VehicleId, FleetVehicle>,
    of_class: HashMap<Sku, BTreeSet<VehicleId>>,
    online: usize,
}

#[derive(Default)]
struct Changed {
    vehicles: BTreeSet<VehicleId>,
    upto: Position,
}

impl Known {
    /// Says whether that is new.
    fn put(&mut self, id: &VehicleId, vehicle: &FleetVehicle) -> bool {
        let before = self.vehicles.insert(id.clone(), vehicle.clone());
        if before.as_ref() == Some(vehicle) {
            return false;
        }
        self.online += usize::from(vehicle.online);
        self.online -= usize::from(before.as_ref().is_some_and(|before| before.online));
        // A vehicle keeps its class.
        if before.is_none() {
            self.of_class.entry(vehicle.sku.clone()).or_default().insert(id.clone());
        }
        true
    }
}

impl Default for Fleet {
    fn default() -> Self {
        Self(Arc::new(Inner {
            known: Mutex::default(),
            changed: Mutex::default(),
            unwritten: Mutex::default(),
            woken: Notify::new(),
            seen: watch::Sender::new(Position::ZERO),
        }))
    }
}

impl Fleet {
    /// How many vehicles there are.
    pub fn len(&self) -> usize {
        self.known().vehicles.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many are connected.
    pub fn online(&self) -> usize {
        self.known().online
    }

    /// The vehicles of a class, by id.
    pub fn of_class(&self, sku: &Sku) -> Vec<(VehicleId, FleetVehicle)> {
        let known = self.known();
        let ids = known.of_class.get(sku).into_iter().flatten();
        ids.filter_map(|id| Some((id.clone(), known.vehicles.get(id)?.clone()))).collect()
    }

    /// One vehicle.
    pub fn get(&self, id: &VehicleId) -> Option<FleetVehicle> {
        self.known().vehicles.get(id).cloned()
    }

    /// The vehicles of a class that could be had now, the best first. One that the reservation has
    /// already comes before all others. Equally good ones are shuffled by the reservation: the same
    /// one asks in the same order again, and many at once do not all ask for the same.
    pub(crate) fn candidates(
        &self,
        sku: &Sku,
        reservation: &ReservationId,
        low_fuel: u8,
        now: Timestamp,
        own_first: bool,
    ) -> Vec<VehicleId> {
        let asker = reservation.to_string();
        let mut ranked: Vec<(u8, uuid::Uuid, VehicleId)> = {
            let known = self.known();
            let ids = known.of_class.get(sku).into_iter().flatten();
            ids.filter_map(|id| {
                let vehicle = known.vehicles.get(id)?;
                let mine = own_first && vehicle.reservation.as_ref() == Some(reservation);
                let rank = if mine { 0 } else { vehicle.rank(low_fuel, now)? + 1 };
                Some((rank, derive(&[asker.as_str(), id.as_str()]), id.clone()))
            })
            .collect()
        };
        ranked.sort_unstable();
        ranked.into_iter().map(|(_, _, id)| id).collect()
    }

    /// Waits until it has seen the log up to `position`; false when that takes too long.
    pub(crate) async fn seen(&self, position: Position, at_most: Duration) -> bool {
        let mut seen = self.0.seen.subscribe();
        let wait = seen.wait_for(|seen| *seen >= position);
        tokio::time::timeout(at_most, wait).await.is_ok_and(|seen| seen.is_ok())
    }

    /// Up to where it has seen the log; zero before it has caught up after a start.
    pub(crate) fn position(&self) -> Position {
        *self.0.seen.borrow()
    }

    /// What the follower of the log has read. Never waits.
    pub(crate) fn hear(&self, events: &[RecordedEvent], upto: Position) {
        let mut changed = self.changed();
        changed.vehicles.extend(events.iter().filter_map(vehicle_of));
        changed.upto = changed.upto.max(upto);
        drop(changed);
        self.0.woken.notify_one();
    }

    /// Keeps itself up to date, and written down, until it is stopped.
    pub(crate) async fn run(
        &self,
        house: &House,
        dispatch: &Dispatch,
        side: &Side,
        stop: watch::Receiver<bool>,
    ) -> Result<(), IndexError> {
        let written = side.checkpoint(CONSUMER).await?;
        for (id, vehicle) in side.fleet().await? {
            self.known().put(&id, &vehicle);
        }
        tokio::try_join!(
            self.follow(house, dispatch, written, stop.clone()),
            self.write(side, written, stop)
        )?;
        Ok(())
    }

    async fn follow(
        &self,
        house: &House,
        dispatch: &Dispatch,
        written: Position,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), IndexError> {
        tokio::select! {
            caught_up = self.catch_up(house, written) => caught_up?,
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
        }
        loop {
            let changed = std::mem::take(&mut *self.changed());
            for id in &changed.vehicles {
                tokio::select! {
                    () = self.look(dispatch, id) => {}
                    _ = stop.wait_for(|stop| *stop) => return Ok(()),
                }
            }
            self.0.seen.send_if_modified(|seen| {
                let is_new = changed.upto > *seen;
                *seen = changed.upto.max(*seen);
                is_new
            });
            tokio::select! {
                () = self.0.woken.notified() => {}
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
            }
        }
    }

    /// Which vehicles have changed since it was written down, up to where the log ends now.
    async fn catch_up(&self, house: &House, written: Position) -> Result<(), IndexError> {
        let head = house.store.head();
        let vehicles = Filter::Categories(vec![vehicle::State::CATEGORY.into()]);
        let mut patience = house.patience(CONSUMER);
        let mut next = written.next();
        while next <= head {
            let read = house.store.read_all(next, &vehicles, PAGE).await;
            let Some(page) = patience.answer(read).await else { continue };
            let page = page?;
            self.hear(&page.events, Position::ZERO);
            if page.next <= next {
                break;
            }
            next = page.next;
        }
        self.hear(&[], head);
        Ok(())
    }

    /// How a vehicle stands now; what cannot be read stays as it was known, and is told by those who
    /// are refused by it.
    async fn look(&self, dispatch: &Dispatch, id: &VehicleId) {
        let looked = dispatch
            .look::<vehicle::State, _>(id, |view: View<'_, vehicle::State>| {
                FleetVehicle::of(view.state)
            })
            .await;
        match looked {
            Ok(Some(vehicle)) => {
                if self.known().put(id, &vehicle) {
                    self.unwritten().insert(id.clone(), vehicle);
                }
            }
            // A fence that rose before there was a vehicle.
            Ok(None) => {}
            Err(error) => tracing::warn!(vehicle = %id, %error, "the fleet does not know it now"),
        }
    }

    async fn write(
        &self,
        side: &Side,
        mut written: Position,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), IndexError> {
        loop {
            let stopped = tokio::select! {
                () = tokio::time::sleep(EVERY) => false,
                _ = stop.wait_for(|stop| *stop) => true,
            };
            let position = self.position();
            let rows = std::mem::take(&mut *self.unwritten());
            if !rows.is_empty() || position.0 > written.0 + SPARSE {
                match side.save_fleet(&rows, position).await {
                    Ok(()) => written = position,
                    Err(error) => {
                        tracing::error!(%error, "the fleet was not written down; trying again");
                        let mut unwritten = self.unwritten();
                        for (id, vehicle) in rows {
                            unwritten.entry(id).or_insert(vehicle);
                        }
                    }
                }
            }
            if stopped {
                return Ok(());
            }
        }
    }

    fn changed(&self) -> std::sync::MutexGuard<'_, Changed> {
        self.0.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unwritten(&self) -> std::sync::MutexGuard<'_, HashMap<VehicleId, FleetVehicle>> {
        self.0.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// Which vehicles there are, and how they stand.
    pub fn fleet(&self) -> &Fleet {
        &self.0.index.fleet
    }

    /// The vehicles of a class that could be had now, the best first, as of now at the earliest.
    pub(crate) async fn candidates(
        &self,
        sku: &Sku,
        reservation: &ReservationId,
    ) -> Result<Vec<VehicleId>, Rejection> {
        let fleet = self.fleet();
        let soon = Duration::from_secs(2);
        if !fleet.seen(self.store().head(), soon).await && fleet.position() == Position::ZERO {
            let counting = "the fleet is still being looked at; ask again in a moment";
            return Err(Rejection::Unavailable(counting.into()));
        }
        let low_fuel = self.settings().process.low_fuel;
        let own_first = self.0.house.protections.same_vehicle;
        Ok(fleet.candidates(sku, reservation, low_fuel, self.now(), own_first))
    }
}

fn vehicle_of(event: &RecordedEvent) -> Option<VehicleId> {
    if event.stream.category() != vehicle::State::CATEGORY {
        return None;
    }
    event.stream.key().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vehicle(rental: Rental, (online, offline): (bool, bool), fuel: Option<u8>) -> FleetVehicle {
        let sku = Sku::new("compact").expect("a sku");
        let (reservation, held_until) = (None, None);
        FleetVehicle { sku, rental, online, offline, fuel_pct: fuel, reservation, held_until }
    }

    fn id(name: &str) -> VehicleId {
        name.parse().expect("a name")
    }

    fn fleet(vehicles: &[(&str, FleetVehicle)]) -> Fleet {
        let fleet = Fleet::default();
        for (name, vehicle) in vehicles {
            fleet.known().put(&id(name), vehicle);
        }
        fleet
    }

    fn picked(fleet: &Fleet, reservation: &str) -> Vec<String> {
        let reservation = ReservationId(derive(&[reservation]));
        let sku = Sku::new("compact").expect("a sku");
        let now = Timestamp::from_secs(100);
        let picked = fleet.candidates(&sku, &reservation, 15, now, true);
        picked.iter().map(ToString::to_string).collect()
    }

    // V6
    #[test]
    fn vehicles_that_are_there_and_have_fuel_come_first_and_those_out_of_reach_last() {
        const HERE: (bool, bool) = (true, false);
        const GONE: (bool, bool) = (false, true);
        let held = |until| FleetVehicle {
            held_until: Some(Timestamp::from_secs(until)),
            ..vehicle(Rental::Reserved, GONE, Some(10))
        };
        let fleet = fleet(&[
            ("gone", vehicle(Rental::Available, GONE, Some(99))),
            ("never-seen", vehicle(Rental::Available, (false, false), Some(99))),
            ("empty", vehicle(Rental::Available, HERE, Some(14))),
            ("good", vehicle(Rental::Available, HERE, Some(15))),
            ("driven", vehicle(Rental::OnTrip, HERE, Some(99))),
            ("open", vehicle(Rental::NonOperational, HERE, Some(99))),
            ("held", held(101)),
            ("lapsed", held(100)),
        ]);
        assert_eq!(picked(&fleet, "a"), ["good", "empty", "never-seen", "gone", "lapsed"]);
        assert_eq!((fleet.len(), fleet.online()), (8, 4));
    }

    #[test]
    fn many_at_once_do_not_ask_for_the_same_one_and_each_asks_in_the_same_order_again() {
        let good = vehicle(Rental::Available, (true, false), Some(50));
        let names: Vec<String> = (0..20).map(|n| format!("v{n}")).collect();
        let all: Vec<_> = names.iter().map(|name| (name.as_str(), good.clone())).collect();
        let fleet = fleet(&all);
        assert_eq!(picked(&fleet, "a"), picked(&fleet, "a"));
        let first: BTreeSet<String> =
            (0..40).map(|n| picked(&fleet, &n.to_string())[0].clone()).collect();
        assert!(first.len() > 10, "{first:?}");
        let mine = FleetVehicle {
            reservation: Some(ReservationId(derive(&["a"]))),
            ..vehicle(Rental::Reserved, (false, true), None)
        };
        fleet.known().put(&id("v7"), &mine);
        assert_eq!(picked(&fleet, "a")[0], "v7", "it has that one already");
        assert!(!picked(&fleet, "b").contains(&"v7".to_owned()));
    }
}
