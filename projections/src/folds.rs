//! The state of each aggregate that events of the batch are about, folded by the domain's own rules.
//!
//! A row that says the same as the aggregate is made from the aggregate's state, so that the rules are
//! written once. States stay in memory from event to event; one that is not here is folded again from
//! its stream, which is short for reservations, payments and inspections; vehicles, whose streams are not,
//! go on from their rows.

use std::collections::HashMap;

use holdfast_domain::Decider;
use holdfast_schemas::StoredEvent;
use holdfast_store::{Direction, EventStore, ReadError, StreamId};

/// How many states are remembered; with more, all are let go and folded again when needed.
const MOST_STATES: usize = 20_000;
/// How many events are read at once.
const PAGE: usize = 256;

/// States of one kind of aggregate, each with the stream version that it awaits.
pub(crate) struct Folds<D: Decider> {
    states: HashMap<D::Id, (u64, D)>,
}

impl<D: Decider> Default for Folds<D> {
    fn default() -> Self {
        Self { states: HashMap::new() }
    }
}

impl<D: Decider<Event: StoredEvent>> Folds<D> {
    /// The state just after `event`, which stands in its stream at that version.
    pub(crate) async fn after(
        &mut self,
        store: &dyn EventStore,
        id: &D::Id,
        (stream, version): (&StreamId, u64),
        event: &D::Event,
    ) -> Result<&D, ReadError> {
        if self.states.len() > MOST_STATES {
            self.states.clear();
        }
        if self.states.get(id).is_none_or(|(awaited, _)| *awaited != version) {
            let before = before(store, stream, version).await?;
            self.states.insert(id.clone(), (version, before));
        }
        let (awaited, state) = self.states.get_mut(id).expect("it was put just now");
        state.evolve(event);
        *awaited = version + 1;
        Ok(state)
    }

    pub(crate) fn forget(&mut self) {
        self.states.clear();
    }
}

/// The state just before an event. What cannot be read is passed over, as it was when it came.
async fn before<D: Decider<Event: StoredEvent>>(
    store: &dyn EventStore,
    stream: &StreamId,
    version: u64,
) -> Result<D, ReadError> {
    let mut state = D::default();
    let mut next = 0;
    while next < version {
        let most = usize::try_from(version - next).unwrap_or(PAGE).min(PAGE);
        let page = store.read_stream(stream, next, Direction::Forward, most).await?;
        let Some(last) = page.last() else { break };
        next = last.stream_version + 1;
        for event in &page {
            if let Ok(event) = D::Event::decode(&event.kind, event.schema_version, &event.data) {
                state.evolve(&event);
            }
        }
    }
    Ok(state)
}
