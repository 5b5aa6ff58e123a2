//! The keys of vehicles, as the side file has them.
//!
//! `holdfast vehicle credentials` rotates a key from another process, and nobody tells us. So a key is
//! read anew for every command, and for an answer that the kept one does not fit; an answer that fits
//! the key under which its command has just gone out costs no reading. A kept key is believed for a
//! second at most.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use holdfast_domain::VehicleId;
use holdfast_engine::ports::Clock;
use holdfast_schemas::mqtt::{Answer, Key};

/// How long a kept key is believed.
const BELIEVED: Duration = Duration::from_secs(1);
/// How soon after a reading a forged answer is worth the next one: a flood of them is answered from
/// memory.
const READ_AGAIN_AFTER: Duration = Duration::from_millis(50);
/// How many keys are kept; then all are forgotten.
const MOST_KEPT: usize = 20_000;

/// The key could not be read; it may be later.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the vehicle's key cannot be read: {0}")]
pub struct KeyError(pub String);

/// Where keys are.
#[async_trait]
pub trait KeySource: Send + Sync + 'static {
    /// A vehicle's key as it is now; none when it has no credentials.
    async fn key(&self, vehicle: &VehicleId) -> Result<Option<Key>, KeyError>;
}

/// Keys, read when they must be.
pub(crate) struct KeyRing {
    source: Arc<dyn KeySource>,
    clock: Arc<dyn Clock>,
    kept: Mutex<Kept>,
}

/// Keys, and when each was read, by the monotonic clock.
type Kept = HashMap<VehicleId, (Option<Key>, Duration)>;

impl KeyRing {
    pub(crate) fn new(source: Arc<dyn KeySource>, clock: Arc<dyn Clock>) -> Self {
        Self { source, clock, kept: Mutex::default() }
    }

    /// The key as it is now.
    pub(crate) async fn fresh(&self, vehicle: &VehicleId) -> Result<Option<Key>, KeyError> {
        let key = self.source.key(vehicle).await?;
        let mut kept = self.lock();
        if kept.len() >= MOST_KEPT {
            kept.clear();
        }
        kept.insert(vehicle.clone(), (key.clone(), self.clock.monotonic()));
        Ok(key)
    }

    /// Whether `answer` is signed with the vehicle's key.
    pub(crate) async fn signs(
        &self,
        vehicle: &VehicleId,
        answer: &Answer,
    ) -> Result<bool, KeyError> {
        let signs = |key: &Option<Key>| key.as_ref().is_some_and(|key| key.signs_answer(answer));
        let kept = self.lock().get(vehicle).cloned();
        if let Some((key, read)) = kept {
            let age = self.clock.monotonic().saturating_sub(read);
            if age < BELIEVED && signs(&key) {
                return Ok(true);
            }
            if age < READ_AGAIN_AFTER {
                return Ok(false);
            }
        }
        Ok(signs(&self.fresh(vehicle).await?))
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use holdfast_domain::Timestamp;
    use holdfast_engine::clock::SimClock;
    use holdfast_schemas::mqtt::Status;
    use uuid::Uuid;

    use super::*;

    #[derive(Default)]
    struct Drawer {
        key: Mutex<Option<Key>>,
        read: AtomicU64,
    }

    #[async_trait]
    impl KeySource for Drawer {
        async fn key(&self, _: &VehicleId) -> Result<Option<Key>, KeyError> {
            self.read.fetch_add(1, Ordering::Relaxed);
            Ok(self.key.lock().unwrap().clone())
        }
    }

    fn ring(drawer: &Arc<Drawer>) -> (SimClock, KeyRing) {
        let clock = SimClock::at(Timestamp::from_secs(0));
        (clock.clone(), KeyRing::new(drawer.clone(), Arc::new(clock)))
    }

    fn answer(key: &Key) -> Answer {
        Answer::signed(Status::Unlocked, Uuid::nil().into(), None, 1, key)
    }

    #[tokio::test]
    async fn a_rotated_key_is_in_force_at_the_next_command_and_within_a_second() {
        let drawer = Arc::new(Drawer::default());
        let (clock, ring) = ring(&drawer);
        let car = VehicleId::new("car-1").unwrap();
        let (old, new) = (Key::new([1; 32]), Key::new([2; 32]));
        assert!(!ring.signs(&car, &answer(&old)).await.unwrap(), "no credentials, no answer");
        *drawer.key.lock().unwrap() = Some(old.clone());
        assert_eq!(ring.fresh(&car).await.unwrap(), Some(old.clone()));
        assert!(ring.signs(&car, &answer(&old)).await.unwrap());
        *drawer.key.lock().unwrap() = Some(new.clone());
        assert_eq!(ring.fresh(&car).await.unwrap(), Some(new.clone()));
        assert!(!ring.signs(&car, &answer(&old)).await.unwrap());
        *drawer.key.lock().unwrap() = Some(old.clone());
        clock.advance(BELIEVED);
        assert!(!ring.signs(&car, &answer(&new)).await.unwrap());
        assert!(ring.signs(&car, &answer(&old)).await.unwrap());
    }

    #[tokio::test]
    async fn a_flood_of_forged_answers_is_answered_from_memory() {
        let drawer = Arc::new(Drawer::default());
        *drawer.key.lock().unwrap() = Some(Key::new([1; 32]));
        let (_, ring) = ring(&drawer);
        let car = VehicleId::new("car-1").unwrap();
        for _ in 0..1_000 {
            assert!(!ring.signs(&car, &answer(&Key::new([9; 32]))).await.unwrap());
        }
        assert_eq!(drawer.read.load(Ordering::Relaxed), 1);
    }
}
