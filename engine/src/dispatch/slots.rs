//! The slots of all streams of one kind: made at the first command, let go when idle.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::load::Unreached;
use super::slot::{Failure, Lent, Look, Order, Recording, Slot, View, Work};
use super::{Context, House};
use crate::Rejection;
use crate::hosted::Hosted;

/// The streams of one kind of aggregate that are in memory.
pub struct Slots<D: Hosted> {
    house: Arc<House>,
    map: Mutex<HashMap<D::Id, Arc<Slot<D>>>>,
}

impl<D: Hosted> Slots<D> {
    pub(super) fn new(house: &Arc<House>) -> Self {
        Self { house: house.clone(), map: Mutex::default() }
    }

    pub(super) async fn order(
        &self,
        id: &D::Id,
        command: D::Command,
        context: Context,
    ) -> Result<Recording<D>, Failure<D>> {
        let (answer, answered) = oneshot::channel();
        let order = Order { command, context, answer };
        self.slot(id).take_in(Work::Order(order)).map_err(Failure::Rejected)?;
        match answered.await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::Broken(fault())),
        }
    }

    pub(super) async fn look<R: Send + 'static>(
        &self,
        id: &D::Id,
        at_least: Option<u64>,
        look: impl FnOnce(View<'_, D>) -> R + Send + 'static,
    ) -> Result<R, Unreached> {
        let (answer, answered) = oneshot::channel();
        let look: Look<D> = Box::new(move |view| {
            // Who has stopped waiting does not mind.
            let _ = answer.send(view.map(look));
        });
        self.slot(id).take_in(Work::Look(at_least, look)).map_err(Unreached::Passing)?;
        answered.await.unwrap_or_else(|_| Err(Unreached::Broken(fault())))
    }

    /// The state, for somebody who decides on two streams at once; nobody else decides there meanwhile.
    pub(super) async fn lend(&self, id: &D::Id) -> Result<Lent<D>, Unreached> {
        let (borrower, lent) = oneshot::channel();
        self.slot(id).take_in(Work::Lend(borrower)).map_err(Unreached::Passing)?;
        lent.await.unwrap_or_else(|_| Err(Unreached::Broken(fault())))
    }

    fn slot(&self, id: &D::Id) -> Arc<Slot<D>> {
        let now = self.house.clock.monotonic().as_micros() as u64;
        let mut map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = match map.get(id) {
            Some(slot) => slot.clone(),
            None => {
                if map.len() >= self.house.settings.hot_streams {
                    make_room(&mut map);
                }
                let slot = Arc::new(Slot::new(self.house.clone(), id.clone()));
                map.insert(id.clone(), slot.clone());
                metrics::gauge!("holdfast_slots", "aggregate" => D::CATEGORY).set(map.len() as f64);
                slot
            }
        };
        slot.used.store(now, Ordering::Relaxed);
        slot
    }

    /// Lets the streams go that nobody has used for the set time.
    pub(super) fn evict_idle(&self) {
        let now = self.house.clock.monotonic();
        let Some(since) = now.checked_sub(self.house.settings.slot_idle) else { return };
        let since = since.as_micros() as u64;
        let mut map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        map.retain(|_, slot| !is_idle(slot) || slot.used.load(Ordering::Relaxed) > since);
        metrics::gauge!("holdfast_slots", "aggregate" => D::CATEGORY).set(map.len() as f64);
    }
}

/// Whether nobody has the slot in hand. To be asked under the map's lock: only there a slot is handed
/// out, so an idle one stays so and no stream ever has two slots.
fn is_idle<D: Hosted>(slot: &Arc<Slot<D>>) -> bool {
    Arc::strong_count(slot) == 1 && slot.is_at_rest()
}

/// Lets the tenth of the idle streams go that was used least lately.
fn make_room<D: Hosted>(map: &mut HashMap<D::Id, Arc<Slot<D>>>) {
    let mut idle: Vec<(u64, D::Id)> = map
        .iter()
        .filter(|(_, slot)| is_idle(slot))
        .map(|(id, slot)| (slot.used.load(Ordering::Relaxed), id.clone()))
        .collect();
    idle.sort_unstable_by_key(|(used, _)| *used);
    for (_, id) in idle.iter().take(map.len() / 10 + 1) {
        map.remove(id);
    }
}

fn fault() -> Rejection {
    Rejection::OutcomeUnknown("a fault in the engine; it was logged".into())
}
