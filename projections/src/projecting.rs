//! One batch of events, passed through the projections.
//!
//! ```text
//!   recorded event ──read──► Readable ──► each projection that follows its stream ──► rows in memory
//!                     │                                                         flush ──► tables
//!                     └── cannot be read: parked, the others go on (P10)
//! ```
//!
//! Reading needs nothing but the event, so a rebuild reads ahead while rows are being written.

use std::collections::HashMap;

use holdfast_domain::{
    Decider, ReservationId, Timestamp, UserId, inspection, payment, reservation,
};
use holdfast_schemas::{AnyEvent, DecodeError, Metadata, StoredEvent, decode_any};
use holdfast_store::{Direction, EventStore, Position, ReadError, RecordedEvent, StreamId};

use crate::checkpoints::ParkedEvent;
use crate::folds::Folds;
use crate::models::{
    Availability, DeadLetters, Inspections, Items, Notifications, Payments, Reservations, SeatMaps,
    StockMovements, Tickets, Vehicles,
};
use crate::projection::Projection;
use crate::tables::{Edition, TableError, Tx};

/// How many owners of reservations are remembered.
const MOST_OWNERS: usize = 20_000;

/// Why a batch did not go through. Nothing of it has happened; it may be tried again.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// The tables did not take it.
    #[error("{0}")]
    Table(#[from] TableError),
    /// The log could not be read.
    #[error("{0}")]
    Log(#[from] ReadError),
}

/// Where and when an event was recorded, as rows say it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) position: Position,
    pub(crate) stream_version: u64,
    /// When it was decided.
    pub(crate) at: Timestamp,
}

/// An event that could be read.
pub(crate) struct Readable {
    stream: StreamId,
    event: AnyEvent,
    seen: Seen,
    actor: String,
}

/// A batch of events as they could be read.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) readable: Vec<Readable>,
    pub(crate) parked: Vec<ParkedEvent>,
}

impl Batch {
    /// Reads events; those that cannot be read are told, and parked with the rows.
    pub(crate) fn read<'e>(events: impl IntoIterator<Item = &'e RecordedEvent>) -> Self {
        let events = events.into_iter();
        let mut batch = Self {
            readable: Vec::with_capacity(events.size_hint().1.unwrap_or(0)),
            parked: vec![],
        };
        for event in events {
            match Readable::read(event) {
                Ok(event) => batch.readable.push(event),
                Err(event) => {
                    tracing::error!(
                        position = %event.position, stream = event.stream, kind = event.kind,
                        error = event.error,
                        "an event cannot be read and is left out of the read models",
                    );
                    batch.parked.push(event);
                }
            }
        }
        batch
    }
}

impl Readable {
    /// Reads an event; what cannot be read is told as it is parked.
    pub(crate) fn read(recorded: &RecordedEvent) -> Result<Self, ParkedEvent> {
        Self::decode(recorded).map_err(|error| ParkedEvent {
            position: recorded.position,
            event_id: recorded.id,
            stream: recorded.stream.to_string(),
            kind: recorded.kind.to_string(),
            schema_version: recorded.schema_version,
            error: error.to_string(),
        })
    }

    fn decode(recorded: &RecordedEvent) -> Result<Self, DecodeError> {
        let RecordedEvent { stream, kind, schema_version, data, .. } = recorded;
        let event = decode_any(stream.as_str(), kind, *schema_version, data)?;
        let metadata = Metadata::decode(&recorded.metadata)?;
        let seen = Seen {
            position: recorded.position,
            stream_version: recorded.stream_version,
            at: metadata.occurred_at,
        };
        Ok(Self { stream: stream.clone(), event, seen, actor: metadata.actor.to_string() })
    }

    pub(crate) fn position(&self) -> Position {
        self.seen.position
    }
}

/// The projections of one edition, with what they remember from batch to batch.
pub(crate) struct Projecting {
    items: Items,
    availability: Availability,
    seat_maps: SeatMaps,
    reservations: Reservations,
    payments: Payments,
    tickets: Tickets,
    notifications: Notifications,
    stock_movements: StockMovements,
    dead_letters: DeadLetters,
    vehicles: Vehicles,
    inspections: Inspections,
    reservation_states: Folds<reservation::State>,
    payment_states: Folds<payment::State>,
    inspection_states: Folds<inspection::State>,
    /// Whose each reservation is.
    owners: HashMap<ReservationId, UserId>,
}

impl Projecting {
    pub(crate) fn new(edition: Edition) -> Self {
        Self {
            items: Items::new(edition),
            availability: Availability::new(edition),
            seat_maps: SeatMaps::new(edition),
            reservations: Reservations::new(edition),
            payments: Payments::new(edition),
            tickets: Tickets::new(edition),
            notifications: Notifications::new(edition),
            stock_movements: StockMovements::new(edition),
            dead_letters: DeadLetters::new(edition),
            vehicles: Vehicles::new(edition),
            inspections: Inspections::new(edition),
            reservation_states: Folds::default(),
            payment_states: Folds::default(),
            inspection_states: Folds::default(),
            owners: HashMap::new(),
        }
    }

    /// Remembers at most so many rows of each table after a flush.
    pub(crate) fn keep_at_most(&mut self, rows: usize) {
        self.items.rows.keep_at_most(rows);
        self.availability.pools.keep_at_most(rows);
        self.availability.claims.keep_at_most(rows);
        self.seat_maps.keep_at_most(rows);
        self.reservations.rows.keep_at_most(rows);
        self.payments.rows.keep_at_most(rows);
        self.tickets.rows.keep_at_most(rows);
        self.notifications.rows.keep_at_most(rows);
        self.stock_movements.rows.keep_at_most(rows);
        self.dead_letters.rows.keep_at_most(rows);
        self.vehicles.rows.keep_at_most(rows);
        self.inspections.rows.keep_at_most(rows);
    }

    /// Reads the rows that a batch will touch, many at once.
    pub(crate) async fn prefetch(
        &mut self,
        tx: &mut Tx,
        events: &[Readable],
        wanted: impl Fn(Projection, Position) -> bool,
    ) -> Result<(), TableError> {
        let (mut claims, mut seats, mut vehicles) = (Vec::new(), Vec::new(), Vec::new());
        for event in events {
            match &event.event {
                AnyEvent::Inventory(sku, it)
                    if wanted(Projection::Availability, event.position()) =>
                {
                    claims.extend(Availability::touches(sku, it));
                }
                AnyEvent::SeatMap(map, it) if wanted(Projection::SeatMaps, event.position()) => {
                    seats.extend(SeatMaps::touches(map, it));
                }
                AnyEvent::Vehicle(id, _) if wanted(Projection::Vehicles, event.position()) => {
                    vehicles.push(id.clone());
                }
                AnyEvent::Inventory(..)
                | AnyEvent::SeatMap(..)
                | AnyEvent::Vehicle(..)
                | AnyEvent::Inspection(..)
                | AnyEvent::Reservation(..)
                | AnyEvent::Payment(..)
                | AnyEvent::Limit(..)
                | AnyEvent::Item(..)
                | AnyEvent::Ticket(..)
                | AnyEvent::Notification(..)
                | AnyEvent::DeadLetter(..) => {}
            }
        }
        self.availability.claims.load(tx, claims).await?;
        self.vehicles.rows.load(tx, vehicles).await?;
        self.seat_maps.seats.load(tx, seats).await
    }

    /// Passes one event through those of its projections that want it.
    pub(crate) async fn apply(
        &mut self,
        tx: &mut Tx,
        store: &dyn EventStore,
        readable: &Readable,
        wanted: impl Fn(Projection) -> bool,
    ) -> Result<(), ProjectError> {
        let Readable { stream, event, seen, actor } = readable;
        let position = seen.position;
        let at = (stream, seen.stream_version);
        match event {
            AnyEvent::Item(sku, event) => {
                if wanted(Projection::Items) {
                    self.items.apply(sku, event, position);
                }
                if wanted(Projection::Availability) {
                    self.availability.listed(tx, sku, position).await?;
                }
            }
            AnyEvent::Inventory(sku, event) => {
                if wanted(Projection::Availability) {
                    self.availability.apply(tx, sku, event, position).await?;
                }
                if wanted(Projection::StockMovements) {
                    self.stock_movements.apply(sku, event, seen.at, actor, position);
                }
            }
            AnyEvent::SeatMap(map, event) => {
                if wanted(Projection::SeatMaps) {
                    self.seat_maps.apply(tx, map, event, position).await?;
                }
            }
            AnyEvent::Reservation(id, event) => {
                if wanted(Projection::Reservations) {
                    let state = self.reservation_states.after(store, id, at, event).await?;
                    self.reservations.apply(tx, *id, event, state, *seen).await?;
                }
                if let reservation::Event::HoldCreated { user_id, .. } = event {
                    self.remember_owner(*id, user_id.clone());
                }
            }
            AnyEvent::Payment(id, event) => {
                if wanted(Projection::Payments) {
                    let state = self.payment_states.after(store, id, at, event).await?.clone();
                    let user = match state.reservation_id {
                        Some(reservation) => self.owner(store, reservation, position).await?,
                        None => None,
                    };
                    self.payments.apply(tx, *id, event, &state, user, *seen).await?;
                }
            }
            AnyEvent::Ticket(id, event) => {
                if wanted(Projection::Tickets) {
                    self.tickets.apply(tx, *id, event, seen.at, position).await?;
                }
            }
            AnyEvent::Notification(id, event) => {
                if wanted(Projection::Notifications) {
                    self.notifications.apply(*id, event, seen.at, position);
                }
            }
            AnyEvent::DeadLetter(consumer, event) => {
                if wanted(Projection::DeadLetters) {
                    self.dead_letters.apply(tx, consumer, event, seen.at, position).await?;
                }
            }
            AnyEvent::Vehicle(id, event) => {
                if wanted(Projection::Vehicles) {
                    self.vehicles.apply(tx, id, event, *seen).await?;
                }
            }
            AnyEvent::Inspection(id, event) => {
                if wanted(Projection::Inspections) {
                    let state = self.inspection_states.after(store, id, at, event).await?;
                    self.inspections.apply(tx, *id, event, state, *seen).await?;
                }
            }
            AnyEvent::Limit(..) => {}
        }
        Ok(())
    }

    /// How many rows are to be written.
    pub(crate) fn dirty(&self) -> usize {
        self.items.rows.dirty()
            + self.availability.pools.dirty()
            + self.availability.claims.dirty()
            + self.seat_maps.dirty()
            + self.reservations.rows.dirty()
            + self.payments.rows.dirty()
            + self.tickets.rows.dirty()
            + self.notifications.rows.dirty()
            + self.stock_movements.rows.dirty()
            + self.dead_letters.rows.dirty()
            + self.vehicles.rows.dirty()
            + self.inspections.rows.dirty()
    }

    /// Writes what changed, at most that many rows.
    pub(crate) async fn flush(&mut self, tx: &mut Tx, most: usize) -> Result<(), TableError> {
        let room = &mut { most };
        self.items.rows.flush_some(tx, room).await?;
        self.availability.pools.flush_some(tx, room).await?;
        self.availability.claims.flush_some(tx, room).await?;
        self.seat_maps.flush_some(tx, room).await?;
        self.reservations.rows.flush_some(tx, room).await?;
        self.payments.rows.flush_some(tx, room).await?;
        self.tickets.rows.flush_some(tx, room).await?;
        self.notifications.rows.flush_some(tx, room).await?;
        self.stock_movements.rows.flush_some(tx, room).await?;
        self.dead_letters.rows.flush_some(tx, room).await?;
        self.vehicles.rows.flush_some(tx, room).await?;
        self.inspections.rows.flush_some(tx, room).await
    }

    /// Forgets everything that is not in the tables: the transaction did not happen, or the tables
    /// are others now.
    pub(crate) fn forget(&mut self) {
        self.items.rows.forget();
        self.availability.pools.forget();
        self.availability.claims.forget();
        self.seat_maps.forget();
        self.reservations.rows.forget();
        self.payments.rows.forget();
        self.tickets.rows.forget();
        self.notifications.rows.forget();
        self.stock_movements.rows.forget();
        self.dead_letters.rows.forget();
        self.vehicles.rows.forget();
        self.inspections.rows.forget();
        self.reservation_states.forget();
        self.payment_states.forget();
        self.inspection_states.forget();
        self.owners.clear();
    }

    fn remember_owner(&mut self, reservation: ReservationId, user: UserId) {
        if self.owners.len() > MOST_OWNERS {
            self.owners.clear();
        }
        self.owners.insert(reservation, user);
    }

    /// Whose a reservation is: its first event says it, and it never changes. What the log tells
    /// after `now` is not known yet, however early or late these rows are made.
    async fn owner(
        &mut self,
        store: &dyn EventStore,
        reservation: ReservationId,
        now: Position,
    ) -> Result<Option<UserId>, ReadError> {
        if let Some(user) = self.owners.get(&reservation) {
            return Ok(Some(user.clone()));
        }
        let stream = StreamId::new(format!("{}-{reservation}", reservation::State::CATEGORY));
        let first = store.read_stream(&stream, 0, Direction::Forward, 1).await?;
        let created = first.first().filter(|first| first.position < now).and_then(|first| {
            reservation::Event::decode(&first.kind, first.schema_version, &first.data).ok()
        });
        let Some(reservation::Event::HoldCreated { user_id, .. }) = created else {
            return Ok(None);
        };
        self.remember_owner(reservation, user_id.clone());
        Ok(Some(user_id))
    }
}
