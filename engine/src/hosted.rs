//! Our deciders as `cqrs_es::Aggregate`: one adapter for all of them.
//!
//! cqrs-es's `EventSink` applies an event as it records it, which is just what a batch of commands
//! needs: each command is judged on what the ones before it have decided. Its snapshot and aggregate
//! stores are never used: 0.5.0 applies events twice in them (`EventSink::write` applies, and `commit`
//! applies again). Appending is our own store's work.

use cqrs_es::event_sink::EventSink;
use cqrs_es::{Aggregate, DomainEvent};
use holdfast_domain::{
    Decider, ReservationId, Timestamp, inspection, inventory, item, limit, notification, payment,
    process, reservation, seatmap, ticket, vehicle,
};
use holdfast_schemas::StoredEvent;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Rejection;
use crate::dispatch::{AllSlots, Slots};

/// A decider that the engine can load, dispatch to, and read.
pub trait Hosted:
    Decider<Id: std::str::FromStr, Event: StoredEvent + Serialize + DeserializeOwned>
    + PartialEq
    + Serialize
    + DeserializeOwned
{
    /// Its streams in memory.
    #[doc(hidden)]
    fn slots(all: &AllSlots) -> &Slots<Self>;

    /// The reservation that an event is about; `state` is the state after it.
    fn about(id: &Self::Id, state: &Self, event: &Self::Event) -> Option<ReservationId>;

    /// Its refusal as any refusal.
    fn refusal(refusal: Self::Refusal) -> Result<process::Refusal, Rejection>;
}

/// A command with all that its judgement needs.
#[derive(Clone, Debug)]
pub struct Asked<D: Decider> {
    /// Of which aggregate.
    pub id: D::Id,
    /// What is asked.
    pub command: D::Command,
    /// The moment of the judgement.
    pub now: Timestamp,
}

/// A decider as cqrs-es sees it.
#[derive(Clone, Debug, Default)]
pub struct HostedAggregate<D>(pub D);

/// An event as cqrs-es sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HostedEvent<E>(pub E);

impl<E> DomainEvent for HostedEvent<E>
where
    E: StoredEvent
        + Serialize
        + DeserializeOwned
        + Clone
        + PartialEq
        + std::fmt::Debug
        + Send
        + Sync,
{
    fn event_type(&self) -> String {
        self.0.kind().into()
    }

    fn event_version(&self) -> String {
        self.0.schema_version().to_string()
    }
}

// cqrs-es asks for these two on account of its own snapshots, which are never taken; ours are of the
// state itself (`snapshots/`).
impl<D> Serialize for HostedAggregate<D> {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("cqrs-es takes no snapshots of a hosted aggregate"))
    }
}

impl<'de, D> Deserialize<'de> for HostedAggregate<D> {
    fn deserialize<S: Deserializer<'de>>(_: S) -> Result<Self, S::Error> {
        Err(serde::de::Error::custom("cqrs-es has no snapshot of a hosted aggregate"))
    }
}

impl<D: Hosted> Aggregate for HostedAggregate<D> {
    const TYPE: &'static str = D::CATEGORY;
    type Command = Asked<D>;
    type Event = HostedEvent<D::Event>;
    type Error = D::Refusal;
    type Services = ();

    async fn handle(
        &mut self,
        asked: Asked<D>,
        (): &(),
        sink: &EventSink<Self>,
    ) -> Result<(), D::Refusal> {
        for event in self.0.decide(&asked.id, &asked.command, asked.now)? {
            sink.write(HostedEvent(event), self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: HostedEvent<D::Event>) {
        self.0.evolve(&event.0);
    }
}

macro_rules! hosted {
    ($decider:ty, $field:ident, |$id:ident, $state:ident, $event:ident| $about:expr) => {
        impl Hosted for $decider {
            fn slots(all: &AllSlots) -> &Slots<Self> {
                &all.$field
            }

            fn about($id: &Self::Id, $state: &Self, $event: &Self::Event) -> Option<ReservationId> {
                $about
            }

            fn refusal(refusal: Self::Refusal) -> Result<process::Refusal, Rejection> {
                Ok(refusal.into())
            }
        }
    };
}

hosted!(reservation::State, reservations, |id, _state, _event| Some(*id));
hosted!(payment::State, payments, |_id, state, _event| state.reservation_id);
hosted!(seatmap::State, seat_maps, |_id, _state, event| of_seats(event));
hosted!(inventory::State, pools, |_id, _state, event| of_pool(event));
hosted!(limit::State, limits, |_id, _state, event| of_limit(event));
hosted!(item::State, items, |_id, _state, _event| None);
hosted!(ticket::State, tickets, |_id, _state, event| of_ticket(event));
hosted!(notification::State, notices, |_id, _state, event| of_notice(event));
hosted!(vehicle::State, vehicles, |_id, state, event| of_vehicle(state, event));
hosted!(inspection::State, inspections, |_id, state, _event| state.reservation_id);

fn of_seats(event: &seatmap::Event) -> Option<ReservationId> {
    use seatmap::Event as E;
    match event {
        E::SeatsLocked { reservation_id, .. } => *reservation_id,
        E::SeatsAttached { reservation_id, .. }
        | E::SeatLockExtended { reservation_id, .. }
        | E::SeatsBooked { reservation_id, .. }
        | E::AttemptWithdrawn { reservation_id, .. }
        | E::LockRestored { reservation_id, .. } => Some(*reservation_id),
        E::SeatsReleased { owner, .. } => match owner {
            seatmap::Owner::Reservation(reservation_id) => Some(*reservation_id),
            seatmap::Owner::Lock(_) => None,
        },
        E::Published { .. }
        | E::Changed { .. }
        | E::SeatsBlocked { .. }
        | E::SeatsUnblocked { .. } => None,
    }
}

fn of_pool(event: &inventory::Event) -> Option<ReservationId> {
    use inventory::Event as E;
    match event {
        E::Held { reservation_id, .. }
        | E::HoldExtended { reservation_id, .. }
        | E::Locked { reservation_id, .. }
        | E::Released { reservation_id, .. }
        | E::AttemptWithdrawn { reservation_id, .. }
        | E::Reacquired { reservation_id, .. }
        | E::Sold { reservation_id, .. }
        | E::Returned { reservation_id, .. } => Some(*reservation_id),
        E::Received { .. }
        | E::Adjusted { .. }
        | E::Closed
        | E::Opened
        | E::OversubscriptionDetected { .. } => None,
    }
}

fn of_limit(event: &limit::Event) -> Option<ReservationId> {
    use limit::Event as E;
    match event {
        E::Taken { reservation_id, .. }
        | E::Extended { reservation_id, .. }
        | E::Kept { reservation_id, .. }
        | E::Released { reservation_id, .. }
        | E::AttemptWithdrawn { reservation_id, .. } => Some(*reservation_id),
    }
}

fn of_ticket(event: &ticket::Event) -> Option<ReservationId> {
    use ticket::Event as E;
    match event {
        E::Issued { reservation_id, .. } => Some(*reservation_id),
        E::CheckedIn { .. } | E::Revoked => None,
    }
}

/// What a vehicle tells by itself is about the reservation that has it, and so in its lane.
fn of_vehicle(state: &vehicle::State, event: &vehicle::Event) -> Option<ReservationId> {
    use vehicle::Event as E;
    match event {
        E::Reserved { reservation_id, .. }
        | E::ReservationExtended { reservation_id, .. }
        | E::ReservationConfirmed { reservation_id, .. }
        | E::AttemptWithdrawn { reservation_id, .. }
        | E::ReservationReleased { reservation_id, .. }
        | E::UnlockRequested { reservation_id, .. }
        | E::Unlocked { reservation_id, .. }
        | E::UnlockFailed { reservation_id, .. }
        | E::TripStarted { reservation_id, .. }
        | E::TripEnded { reservation_id, .. } => Some(*reservation_id),
        E::LockRequested { reservation_id, .. }
        | E::Locked { reservation_id, .. }
        | E::LockFailed { reservation_id, .. } => *reservation_id,
        E::AnswerIgnored { .. } | E::LateUnlockCompensated { .. } | E::OdometerAnomaly { .. } => {
            state.reservation().map(|assigned| assigned.reservation_id)
        }
        E::Registered { .. }
        | E::ConnectionLost { .. }
        | E::ConnectionRestored { .. }
        | E::TelemetrySampled { .. }
        | E::OutOfService { .. }
        | E::ReturnedToService => None,
    }
}

fn of_notice(event: &notification::Event) -> Option<ReservationId> {
    match event {
        notification::Event::Requested { reservation_id, .. } => Some(*reservation_id),
    }
}
