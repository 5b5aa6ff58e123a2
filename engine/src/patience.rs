//! A disk that gives no answer once may give it the next time: those who follow the log ask again, ever
//! more slowly, and say so meanwhile. What is damaged stays so, and is the caller's.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use holdfast_store::{Position, ReadError, RecordedEvent, Subscription};

use crate::dispatch::House;

/// How long is waited before the log is read again: first, and at the longest.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Who waits for the log's disk just now, and why.
#[derive(Default)]
pub(crate) struct Waiting(Mutex<BTreeMap<&'static str, String>>);

impl Waiting {
    fn note(&self, consumer: &'static str, why: Option<String>) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match why {
            Some(why) => drop(waiting.insert(consumer, why)),
            None => drop(waiting.remove(consumer)),
        }
    }

    /// One sentence for each.
    pub(crate) fn told(&self) -> Vec<String> {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.iter().map(|(consumer, why)| format!("{consumer} cannot read on: {why}")).collect()
    }
}

/// One read that is tried until the disk answers.
pub(crate) struct Patience<'a> {
    house: &'a House,
    consumer: &'static str,
    wait: Duration,
}

impl House {
    /// For one read of `consumer`.
    pub(crate) fn patience(&self, consumer: &'static str) -> Patience<'_> {
        Patience { house: self, consumer, wait: FIRST_WAIT }
    }

    /// The next page of the log. Whoever is to be stopped meanwhile drops this.
    pub(crate) async fn next_page(
        &self,
        consumer: &'static str,
        log: &mut Subscription,
    ) -> Result<(Vec<RecordedEvent>, Position), ReadError> {
        let mut patience = self.patience(consumer);
        loop {
            let read = log.next_page().await;
            if let Some(answer) = patience.answer(read).await {
                return answer;
            }
        }
    }
}

impl Patience<'_> {
    /// What was read; none when it is to be read again, which is when it has waited for that.
    pub(crate) async fn answer<T>(
        &mut self,
        read: Result<T, ReadError>,
    ) -> Option<Result<T, ReadError>> {
        match read {
            Err(ReadError::Io(why)) => {
                let (consumer, wait_ms) = (self.consumer, self.wait.as_millis());
                tracing::error!(consumer, why, wait_ms, "the log was not read; trying again");
                self.house.waiting.note(consumer, Some(why));
                self.house.clock.sleep(self.wait).await;
                self.wait = (self.wait * 2).min(LONGEST_WAIT);
                None
            }
            answer @ (Ok(_) | Err(ReadError::Damaged { .. } | ReadError::Closed)) => Some(answer),
        }
    }
}

impl Drop for Patience<'_> {
    fn drop(&mut self) {
        if self.wait > FIRST_WAIT {
            self.house.waiting.note(self.consumer, None);
        }
    }
}
