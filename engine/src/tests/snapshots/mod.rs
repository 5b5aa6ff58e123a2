//! Snapshots: whatever becomes of one, the state is what the events say. Where that hangs on a
//! protection, a twin without it shows the harm.

mod faults;
mod histories;
mod measure;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast_domain::Timestamp;
use holdfast_schemas::{Actor, Metadata, StoredEvent};
use holdfast_store::memory::Memory;
use holdfast_store::{EventStore, Expected, NewEvent, StreamAppend};
use uuid::Uuid;

use super::world::NOON;
use crate::clock::{SimClock, Steady};
use crate::dispatch::{Hot, House, stream_name};
use crate::hosted::Hosted;
use crate::settings::Protections;
use crate::{SeededIds, Settings, Snapshots};

/// A house without slots: streams are written by hand, loaded, and kept.
pub(super) struct Lab {
    pub(super) house: House,
}

impl Lab {
    pub(super) fn new(store: Arc<dyn EventStore>, snapshots: Snapshots) -> Self {
        Self::with(store, snapshots, Protections::default())
    }

    pub(super) fn with(
        store: Arc<dyn EventStore>,
        snapshots: Snapshots,
        protections: Protections,
    ) -> Self {
        let clock = Arc::new(SimClock::at(NOON));
        let clock = Steady::new(clock, Timestamp::default(), Duration::MAX, Duration::ZERO);
        let ids = Arc::new(SeededIds::new(1));
        let settings = Settings::default();
        Self {
            house: House {
                store,
                clock,
                ids,
                snapshots,
                settings,
                protections,
                waiting: Default::default(),
            },
        }
    }

    /// On the same log, with other snapshots.
    pub(super) fn and(&self, snapshots: Snapshots) -> Self {
        Self::with(self.house.store.clone(), snapshots, self.house.protections)
    }

    pub(super) async fn load<D: Hosted>(&self, id: &D::Id) -> Hot<D> {
        Hot::load(&self.house, id).await.expect("the log is good")
    }

    /// Loads an aggregate and keeps a snapshot of it.
    pub(super) async fn keep<D: Hosted>(&self, id: &D::Id) -> Hot<D> {
        let mut hot = self.load::<D>(id).await;
        let House { store, snapshots, .. } = &self.house;
        snapshots.consider(store, 1, || stream_name::<D>(id), &mut hot);
        snapshots.settled().await;
        hot
    }

    /// Records events, those of `together` neighbours by one command.
    pub(super) async fn record<D: Hosted>(&self, id: &D::Id, events: &[D::Event], together: usize) {
        // More than one page of a load, and less than an append may have.
        for (batch, some) in events.chunks(4_096).enumerate() {
            let new = some.chunks(together).enumerate().flat_map(|(nth, of_one)| {
                let command = Uuid::from_u128(((batch as u128) << 64) | nth as u128);
                of_one.iter().map(move |event| new_event(command, event))
            });
            let append = StreamAppend {
                stream: stream_name::<D>(id),
                expected: Expected::Any,
                events: new.collect(),
            };
            self.house.store.append(vec![append]).await.expect("good events");
        }
    }
}

fn new_event<E: StoredEvent>(command_id: Uuid, event: &E) -> NewEvent {
    let metadata = Metadata {
        occurred_at: NOON,
        command_id,
        actor: Actor::user("ann"),
        tenant_id: "main".into(),
        correlation_id: None,
        causation_id: None,
        idempotency_key: None,
        fingerprint: Some(format!("of {command_id}")),
        traceparent: None,
    };
    NewEvent {
        id: Uuid::new_v5(&command_id, &event.encode()),
        kind: event.kind().into(),
        schema_version: event.schema_version(),
        metadata: Bytes::from(metadata.encode()),
        data: Bytes::from(event.encode()),
    }
}

/// Whether two loads tell the same: state, version, position, and the commands that are remembered.
fn same<D: Hosted>(one: &Hot<D>, other: &Hot<D>) -> bool {
    one.aggregate.0 == other.aggregate.0
        && one.memory == other.memory
        && (one.version, one.position) == (other.version, other.position)
}

fn memory() -> Arc<dyn EventStore> {
    Arc::new(Memory::new())
}
