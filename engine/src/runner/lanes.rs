//! Lanes: what concerns one reservation is performed one after another, and nobody waits for another.

use std::collections::{HashMap, VecDeque};

use super::Job;

/// The lanes in which something is under way.
#[derive(Default)]
pub(super) struct Lanes(HashMap<String, VecDeque<Job>>);

impl Lanes {
    /// Queues a job; true when nobody runs that lane yet.
    pub(super) fn push(&mut self, lane: &str, job: Job) -> bool {
        match self.0.get_mut(lane) {
            Some(queue) => {
                queue.push_back(job);
                false
            }
            None => {
                self.0.insert(lane.to_owned(), VecDeque::from([job]));
                true
            }
        }
    }

    /// Whether something is under way there.
    pub(super) fn has(&self, lane: &str) -> bool {
        self.0.contains_key(lane)
    }

    /// How many lanes there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The next job of a lane; the lane is gone when there is none.
    pub(super) fn pop(&mut self, lane: &str) -> Option<Job> {
        let job = self.0.get_mut(lane).and_then(VecDeque::pop_front);
        if job.is_none() {
            self.0.remove(lane);
        }
        job
    }
}
