//! Lanes: what concerns one vehicle is dealt with in the order in which it came, what concerns different
//! vehicles side by side.

use std::future::Future;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use holdfast_domain::VehicleId;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Lanes of jobs.
pub(crate) struct Lanes<J> {
    lanes: Vec<mpsc::Sender<J>>,
}

impl<J: Send + 'static> Lanes<J> {
    /// `count` lanes of `room` jobs each, walked in `tasks`.
    pub(crate) fn start<W, F>(
        tasks: &mut JoinSet<&'static str>,
        name: &'static str,
        (count, room): (usize, usize),
        work: W,
    ) -> Self
    where
        W: Fn(J) -> F + Clone + Send + 'static,
        F: Future<Output = ()> + Send,
    {
        let lanes = (0..count).map(|_| {
            let (sender, mut jobs) = mpsc::channel(room);
            let work = work.clone();
            tasks.spawn(async move {
                while let Some(job) = jobs.recv().await {
                    work(job).await;
                }
                name
            });
            sender
        });
        Self { lanes: lanes.collect() }
    }

    /// Puts a job behind those of the same vehicle; gives it back when there is no room.
    pub(crate) fn put(&self, vehicle: &VehicleId, job: J) -> Result<(), J> {
        let mut hasher = DefaultHasher::new();
        vehicle.hash(&mut hasher);
        let lane = hasher.finish() % self.lanes.len() as u64;
        self.lanes[lane as usize].try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(job) | mpsc::error::TrySendError::Closed(job) => job,
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[tokio::test]
    async fn jobs_of_a_vehicle_stay_in_order_and_a_full_lane_says_so() {
        let done: Arc<Mutex<Vec<u32>>> = Arc::default();
        let mut tasks = JoinSet::new();
        let seen = done.clone();
        let lanes = Lanes::start(&mut tasks, "test", (4, 3), move |job: u32| {
            let seen = seen.clone();
            async move { seen.lock().unwrap().push(job) }
        });
        let car = VehicleId::new("car-1").unwrap();
        // Nothing runs before this test waits.
        assert_eq!([1, 2, 3].map(|job| lanes.put(&car, job)), [Ok(()); 3]);
        assert_eq!(lanes.put(&car, 4), Err(4));
        drop(lanes);
        while tasks.join_next().await.is_some() {}
        assert_eq!(*done.lock().unwrap(), [1, 2, 3]);
    }
}
