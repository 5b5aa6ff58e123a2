//! What cannot be done is put aside, with everything that belongs behind it; an operator has it done
//! again. DOMAIN.md D40, PROMISES.md P10.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use holdfast_domain::process::Ask;
use holdfast_domain::{Timestamp, derive};
use holdfast_store::Filter;
use uuid::Uuid;

use super::{Cause, Worker, fold};
use crate::dispatch::{Context, Failed};
use crate::letters::{self, Letter};

/// What is put aside.
pub(super) struct Trouble {
    pub(super) ask: Option<Ask>,
    pub(super) error: String,
    pub(super) attempts: u32,
    pub(super) first_failed_at: Timestamp,
}

impl Worker {
    /// Which lanes were parked when the log was written last.
    pub(super) async fn load_parked(&self) {
        let consumer = self.process.name().to_owned();
        let lanes = self.core.dispatch.look::<letters::State, _>(&consumer, |view| {
            let of = |letter: &Letter| Some((letter.lane.clone()?, letter.position));
            view.state.letters.values().filter_map(of).collect::<Vec<_>>()
        });
        match lanes.await {
            Ok(lanes) => {
                for (lane, position) in lanes {
                    self.park_lane(&lane, position);
                }
            }
            Err(error) => tracing::error!(%error, "dead letters could not be read"),
        }
    }

    /// Whether what was recorded there in that lane has to wait. What came before the trouble has been
    /// done, and is done again when it is seen again.
    pub(super) fn is_parked(&self, lane: &str, position: u64) -> bool {
        let parked = self.parked.lock().unwrap_or_else(PoisonError::into_inner);
        parked.get(lane).is_some_and(|from| *from <= position)
    }

    fn park_lane(&self, lane: &str, position: u64) {
        let mut parked = self.parked.lock().unwrap_or_else(PoisonError::into_inner);
        let from = parked.entry(lane.to_owned()).or_insert(position);
        *from = position.min(*from);
    }

    /// Puts it aside, durably; with a lane, what comes in that lane later is put behind it. Goes on
    /// until it is recorded, since dropping it is no choice.
    pub(super) async fn park(&self, id: Uuid, cause: &Cause, lane: Option<&str>, trouble: Trouble) {
        let process = self.process.name();
        let error = &trouble.error;
        tracing::error!(process, lane, letter = %id, position = cause.position, error, "parked");
        metrics::counter!("holdfast_dead_letters_total", "consumer" => process).increment(1);
        let command = letters::Command::Park {
            id,
            position: cause.position,
            event_id: cause.event_id,
            ask: trouble.ask.map(Box::new),
            error: trouble.error,
            attempts: trouble.attempts,
            first_failed_at: trouble.first_failed_at,
            lane: lane.map(Into::into),
        };
        let mut wait = self.core.house.settings.retry_base;
        let consumer = process.to_owned();
        loop {
            // A name of its own each time: a letter that failed again is parked again.
            let context = Context::system(
                process,
                self.core.house.ids.fresh(),
                Some(cause.event_id.to_string()),
            );
            let parked =
                self.core.dispatch.order::<letters::State>(&consumer, command.clone(), context);
            match parked.await {
                Ok(_) => break,
                Err(error) => tracing::error!(process, ?error, "a dead letter was not recorded"),
            }
            self.back_off(wait).await;
            wait = (wait * 2).min(Duration::from_secs(60));
        }
        if let Some(lane) = lane {
            self.park_lane(lane, cause.position);
        }
    }

    /// Does a letter again, and, once it is done, those that were put behind it.
    pub(super) async fn redo(self: &Arc<Self>, id: Uuid, letter: &Letter) {
        if !self.redo_one(id, letter).await {
            return;
        }
        let Some(lane) = letter.lane.clone() else { return };
        loop {
            match self.next_behind(&lane).await {
                Ok(None) => break,
                Ok(Some((id, letter))) => {
                    if !self.redo_one(id, &letter).await {
                        return;
                    }
                }
                // What is behind it is not known: the lane stays parked.
                Err(failed) => {
                    tracing::error!(lane, ?failed, "what is parked behind it could not be read");
                    return;
                }
            }
        }
        self.parked.lock().unwrap_or_else(PoisonError::into_inner).remove(&lane);
    }

    async fn next_behind(&self, lane: &str) -> Result<Option<(Uuid, Letter)>, Failed> {
        let consumer = self.process.name().to_owned();
        let first = self.patiently(|| {
            let lane = lane.to_owned();
            self.core.dispatch.try_look::<letters::State, _>(&consumer, move |view| {
                let behind = view.state.letters.iter();
                behind
                    .filter(|(_, letter)| letter.lane.as_ref() == Some(&lane))
                    .min_by_key(|(_, letter)| letter.nth)
                    .map(|(id, letter)| (*id, letter.clone()))
            })
        });
        first.await
    }

    /// True when it is done now.
    async fn redo_one(self: &Arc<Self>, id: Uuid, letter: &Letter) -> bool {
        let cause = Cause {
            position: letter.position,
            event_id: letter.event_id,
            at: self.core.house.now(),
            lane: letter.lane.clone(),
        };
        let first_failed_at = self.core.house.now();
        let again = async {
            match &letter.ask {
                Some(ask) => self.try_ask(ask, id, &cause).await.map_err(|trouble| trouble.text),
                None => self.reread(letter, &cause).await,
            }
        };
        // Parked again, like anything else that failed.
        let done = AssertUnwindSafe(again).catch_unwind().await;
        let done = done.unwrap_or_else(|_| Err("performing it panicked".into()));
        match done {
            Ok(()) => {
                let context = Context::system(
                    self.process.name(),
                    derive(&["settle", &id.to_string(), &first_failed_at.micros().to_string()]),
                    Some(letter.event_id.to_string()),
                );
                let settle = letters::Command::Settle { id };
                let consumer = self.process.name().to_owned();
                let settled = self.patiently(|| {
                    let (settle, context) = (settle.clone(), context.clone());
                    self.core.dispatch.order::<letters::State>(&consumer, settle, context)
                });
                match settled.await {
                    Ok(_) => true,
                    Err(error) => {
                        tracing::error!(letter = %id, ?error, "done, but not recorded as settled");
                        false
                    }
                }
            }
            Err(error) => {
                let ask = letter.ask.as_deref().cloned();
                let attempts = letter.attempts + 1;
                let trouble = Trouble { ask, error, attempts, first_failed_at };
                self.park(id, &cause, letter.lane.as_deref(), trouble).await;
                false
            }
        }
    }

    /// An event that could not be understood is read again, perhaps by a newer program.
    async fn reread(self: &Arc<Self>, letter: &Letter, cause: &Cause) -> Result<(), String> {
        let position = holdfast_store::Position(letter.position);
        let page = self.core.house.store.read_all(position, &Filter::All, 1).await;
        let page = page.map_err(|error| error.to_string())?;
        let Some(event) = page.events.first() else { return Err("the event is not there".into()) };
        let known = fold::understand(&self.core.house, event).await;
        let known = known.map_err(|error| error.to_string())??;
        let at = Timestamp::from_micros(event.recorded_at_micros);
        let asks = known.react(self.process, at, &self.core.house.settings.process);
        for (index, ask) in asks.iter().enumerate() {
            let id = self.ask_id(letter.position, index);
            self.try_ask(ask, id, cause).await.map_err(|trouble| trouble.text)?;
        }
        Ok(())
    }
}

/// As a text for operators.
pub(super) fn told(failed: Failed) -> String {
    match failed {
        Failed::Refused(refusal, _) => refusal.to_string(),
        Failed::Rejected(rejection) | Failed::Broken(rejection) => rejection.to_string(),
    }
}
