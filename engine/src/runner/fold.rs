//! The state of an aggregate just after an event, for processes that ask for it. Kept for streams
//! that were seen lately, made again from the store otherwise.

use std::collections::HashMap;
use std::sync::Arc;

use holdfast_domain::process::{Ask, Fact, Process, Settings, What};
use holdfast_domain::{
    InspectionId, PaymentId, ReservationId, Timestamp, VehicleId, inspection, payment, process,
    reservation, vehicle,
};
use holdfast_schemas::{AnyEvent, StoredEvent, decode_any};
use holdfast_store::{Direction, ReadError, RecordedEvent, StreamId};

use crate::dispatch::House;
use crate::hosted::Hosted;

/// How many streams of one kind are kept.
const KEPT: usize = 16_384;
/// How many events are read at once.
const PAGE: usize = 512;

/// States by stream.
pub(super) struct Folds {
    house: Arc<House>,
    reservations: Kept<reservation::State>,
    payments: Kept<payment::State>,
    vehicles: Kept<vehicle::State>,
    inspections: Kept<inspection::State>,
}

/// An event that is understood, with the state that it needs.
pub(super) enum Known {
    Reservation(ReservationId, reservation::Event, reservation::State),
    Payment(PaymentId, payment::Event, payment::State),
    Vehicle(VehicleId, vehicle::Event, vehicle::State),
    Inspection(InspectionId, inspection::Event, inspection::State),
    Other(AnyEvent),
}

impl Known {
    /// What follows from it.
    pub(super) fn react(&self, process: Process, at: Timestamp, settings: &Settings) -> Vec<Ask> {
        let what = match self {
            Self::Reservation(id, event, state) => What::Reservation(id, event, state),
            Self::Payment(id, event, state) => What::Payment(id, event, state),
            Self::Vehicle(id, event, state) => What::Vehicle(id, event, state),
            Self::Inspection(id, event, state) => What::Inspection(id, event, state),
            Self::Other(AnyEvent::SeatMap(id, event)) => What::SeatMap(id, event),
            Self::Other(AnyEvent::Inventory(id, event)) => What::Inventory(id, event),
            Self::Other(AnyEvent::Limit(id, event)) => What::Limit(id, event),
            Self::Other(AnyEvent::Item(id, event)) => What::Item(id, event),
            Self::Other(AnyEvent::Ticket(id, event)) => What::Ticket(id, event),
            Self::Other(AnyEvent::Notification(id, event)) => What::Notification(id, event),
            Self::Other(
                AnyEvent::Reservation(..)
                | AnyEvent::Payment(..)
                | AnyEvent::Vehicle(..)
                | AnyEvent::Inspection(..)
                | AnyEvent::DeadLetter(..),
            ) => return Vec::new(),
        };
        process.react(&Fact { at, what }, settings)
    }

    /// A payment, and whether nothing more is to be asked about it.
    pub(super) fn payment_at_rest(&self) -> Option<(PaymentId, bool)> {
        match self {
            Self::Payment(id, _, state) => {
                Some((*id, process::payment::reconcile(id, state).is_empty()))
            }
            Self::Reservation(..) | Self::Vehicle(..) | Self::Inspection(..) | Self::Other(_) => {
                None
            }
        }
    }
}

impl Folds {
    pub(super) fn new(house: Arc<House>) -> Self {
        Self {
            house,
            reservations: Kept::default(),
            payments: Kept::default(),
            vehicles: Kept::default(),
            inspections: Kept::default(),
        }
    }

    /// Understands an event; the inner error says why it cannot.
    pub(super) async fn take_in(
        &mut self,
        event: &RecordedEvent,
    ) -> Result<Result<Known, String>, ReadError> {
        let any = decode_any(event.stream.as_str(), &event.kind, event.schema_version, &event.data);
        Ok(match any {
            Ok(AnyEvent::Reservation(id, fact)) => {
                let state = self.reservations.after(&self.house, event, &fact).await?;
                state.map(|state| Known::Reservation(id, fact, state))
            }
            Ok(AnyEvent::Payment(id, fact)) => {
                let state = self.payments.after(&self.house, event, &fact).await?;
                state.map(|state| Known::Payment(id, fact, state))
            }
            Ok(AnyEvent::Vehicle(id, fact)) => {
                let state = self.vehicles.after(&self.house, event, &fact).await?;
                state.map(|state| Known::Vehicle(id, fact, state))
            }
            Ok(AnyEvent::Inspection(id, fact)) => {
                let state = self.inspections.after(&self.house, event, &fact).await?;
                state.map(|state| Known::Inspection(id, fact, state))
            }
            Ok(any) => Ok(Known::Other(any)),
            Err(error) => {
                self.reservations.by_stream.remove(&event.stream);
                self.payments.by_stream.remove(&event.stream);
                self.vehicles.by_stream.remove(&event.stream);
                self.inspections.by_stream.remove(&event.stream);
                Err(error.to_string())
            }
        })
    }
}

struct Kept<D> {
    by_stream: HashMap<StreamId, (u64, D)>,
}

impl<D> Default for Kept<D> {
    fn default() -> Self {
        Self { by_stream: HashMap::new() }
    }
}

impl<D: Hosted> Kept<D> {
    /// The state just after an event.
    async fn after(
        &mut self,
        house: &House,
        event: &RecordedEvent,
        fact: &D::Event,
    ) -> Result<Result<D, String>, ReadError> {
        let version = event.stream_version;
        let before = match self.by_stream.remove(&event.stream) {
            Some((known, state)) if known + 1 == version => Some(state),
            Some(_) | None if version == 0 => Some(D::default()),
            Some(_) | None => None,
        };
        let state = match before {
            Some(mut state) => {
                state.evolve(fact);
                state
            }
            None => match read_up_to(house, &event.stream, version).await? {
                Ok(state) => state,
                Err(error) => return Ok(Err(error)),
            },
        };
        if self.by_stream.len() >= KEPT {
            // Who is needed again is made again; keeping account of use would cost every event.
            self.by_stream.clear();
        }
        self.by_stream.insert(event.stream.clone(), (version, state.clone()));
        Ok(Ok(state))
    }
}

async fn read_up_to<D: Hosted>(
    house: &House,
    stream: &StreamId,
    version: u64,
) -> Result<Result<D, String>, ReadError> {
    let mut state = D::default();
    let mut next = 0;
    while next <= version {
        let page = house.store.read_stream(stream, next, Direction::Forward, PAGE).await?;
        if page.is_empty() {
            break;
        }
        for event in &page {
            if event.stream_version > version {
                break;
            }
            match D::Event::decode(&event.kind, event.schema_version, &event.data) {
                Ok(fact) => state.evolve(&fact),
                Err(error) => return Ok(Err(error.to_string())),
            }
            next = event.stream_version + 1;
        }
        if page.last().is_none_or(|last| last.stream_version >= version) {
            break;
        }
    }
    Ok(Ok(state))
}

/// Understands one event without keeping anything: for a letter that is done again.
pub(super) async fn understand(
    house: &Arc<House>,
    event: &RecordedEvent,
) -> Result<Result<Known, String>, ReadError> {
    Folds::new(house.clone()).take_in(event).await
}
