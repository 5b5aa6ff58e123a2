//! Two streams, one decision, one append: what must never be half true (a vehicle in the fleet that its
//! class does not count; a cancelled reservation whose vehicle can still be opened).
//!
//! ```text
//!   first's slot ──lent──► judge ──► what of the second? ──lent──► judge ──► one append, guarded by both
//!        ▲                   │ refused: nothing                      │        versions
//!        └──── given back ◄──┴───────────────────────────────────────┴── conflict: load both again
//! ```
//!
//! Both states are held meanwhile, always in the one order of [`HELD_IN_ORDER`], so that no two of these
//! wait for each other. A slot never waits for another by itself.

use std::time::Duration;

use holdfast_store::{AppendError, Appended, Position, StreamAppend};

use super::judge::{Decided, Settled};
use super::load::Hot;
use super::slot::{Begin, Lent, Recording, TRIES};
use super::{Context, Dispatch, Failed, stream_name};
use crate::Rejection;
use crate::hosted::Hosted;

/// The order in which states are held, by category.
const HELD_IN_ORDER: [&str; 3] = ["reservation", "vehicle", "inventory"];

/// One stream's part of a decision.
pub(crate) struct Part<D: Hosted> {
    pub(crate) id: D::Id,
    pub(crate) command: D::Command,
    /// Each part has a command id of its own; the first one's is bound to the key.
    pub(crate) context: Context,
}

/// One stream's part, judged and not yet appended.
struct Judged<D: Hosted> {
    part: Part<D>,
    lent: Lent<D>,
    facts: Vec<D::Event>,
}

impl<D: Hosted> Judged<D> {
    /// It is true: its events begin at `position`.
    fn recorded(self, last: u64, position: Position) -> Recording<D> {
        let Self { part, mut lent, facts } = self;
        let count = facts.len();
        let begin = Begin { version: last + 1 - count as u64, position };
        let recorded = begin.recorded(0, count, part.context.fingerprint());
        let Hot { version, position, memory, .. } = &mut *lent.hot;
        (*version, *position) = (Some(last), recorded.position);
        memory.add(part.context.command_id, recorded.clone());
        lent.give_back();
        Recording { events: facts, replayed: false, ..Recording::replayed(&recorded) }
    }
}

impl Dispatch {
    /// Asks `first`, and, when it decides anything, what `then` makes of its state before that: all of it
    /// is recorded, or nothing. Says what the first has recorded.
    pub(crate) async fn both<A: Hosted, B: Hosted>(
        &self,
        first: Part<A>,
        then: impl Fn(&A) -> Option<Part<B>> + Send + Sync,
    ) -> Result<Recording<A>, Failed> {
        assert!(held::<A>() < held::<B>(), "states are held in one order");
        let Part { id, command, context } = first;
        let mut unknown: Option<String> = None;
        for again in 0..TRIES {
            let tried = self.try_both((&id, &command, &context), &then).await;
            match tried {
                Ok(recording) => return Ok(recording),
                Err(Tried::Failed(failed)) => return Err(promised(unknown, failed)),
                Err(Tried::Again(why)) => unknown = why.or(unknown),
            }
            metrics::counter!("holdfast_conflicts_total", "aggregate" => A::CATEGORY).increment(1);
            let jitter = self.house.chance() % ((1u64 << again.min(6)) + 1);
            tokio::time::sleep(Duration::from_millis(jitter)).await;
        }
        let stream = stream_name::<A>(&id);
        let busy = format!("others were faster at {stream}, again and again");
        Err(promised(unknown, Failed::Rejected(Rejection::Unavailable(busy))))
    }

    async fn try_both<A: Hosted, B: Hosted>(
        &self,
        (id, command, context): (&A::Id, &A::Command, &Context),
        then: &(impl Fn(&A) -> Option<Part<B>> + Send + Sync),
    ) -> Result<Recording<A>, Tried> {
        let mut lent = A::slots(&self.slots).lend(id).await?;
        match self.house.settled(&lent.hot, context) {
            Some(Settled::Recorded(recorded)) => {
                lent.give_back();
                return Ok(Recording::replayed(&recorded));
            }
            Some(Settled::Rejected(rejection)) => {
                lent.give_back();
                return Err(Tried::Failed(Failed::Rejected(rejection)));
            }
            None => {}
        }
        let second = then(&lent.hot.aggregate.0);
        let now = context.moment.unwrap_or_else(|| self.house.now());
        let seen = (lent.hot.version, lent.hot.position);
        let decided = self.house.decide(id, &mut lent.hot, command, context, now).await;
        let Decided { facts, stored } = match decided {
            Ok(decided) => decided,
            Err(refusal) => {
                lent.give_back();
                return Err(self.refused::<A>(refusal, seen.1));
            }
        };
        if facts.is_empty() {
            lent.give_back();
            return Ok(Recording::already_so(seen.1));
        }
        let mut appends = vec![StreamAppend {
            stream: stream_name::<A>(id),
            expected: self.house.expected(seen.0),
            events: stored,
        }];
        let part = Part { id: id.clone(), command: command.clone(), context: context.clone() };
        let first = Judged { part, lent, facts };
        // From here on the first state holds what is perhaps never true: refused, it is dropped.
        let second = match second {
            Some(part) => self.judge_second(part, now, &mut appends).await?,
            None => None,
        };
        let at = |count: usize, from: Position| Position(from.0 + count as u64);
        let Appended { first: from, stream_versions, .. } = self.append_all(appends).await?;
        let behind = at(first.facts.len(), from);
        let mut versions = stream_versions.into_iter();
        let recording = first.recorded(versions.next().unwrap_or_default(), from);
        if let Some(second) = second {
            second.recorded(versions.next().unwrap_or_default(), behind);
        }
        Ok(recording)
    }

    async fn judge_second<B: Hosted>(
        &self,
        part: Part<B>,
        now: holdfast_domain::Timestamp,
        appends: &mut Vec<StreamAppend>,
    ) -> Result<Option<Judged<B>>, Tried> {
        let mut lent = B::slots(&self.slots).lend(&part.id).await?;
        let seen = (lent.hot.version, lent.hot.position);
        let Part { id, command, context } = &part;
        let decided = self.house.decide(id, &mut lent.hot, command, context, now).await;
        match decided {
            Err(refusal) => {
                lent.give_back();
                Err(self.refused::<B>(refusal, seen.1))
            }
            Ok(Decided { facts, .. }) if facts.is_empty() => {
                lent.give_back();
                Ok(None)
            }
            Ok(Decided { facts, stored }) => {
                appends.push(StreamAppend {
                    stream: stream_name::<B>(id),
                    expected: self.house.expected(seen.0),
                    events: stored,
                });
                Ok(Some(Judged { part, lent, facts }))
            }
        }
    }

    async fn append_all(&self, appends: Vec<StreamAppend>) -> Result<Appended, Tried> {
        for append in &appends {
            let aggregate = append.stream.category().to_owned();
            let count = append.events.len() as u64;
            metrics::counter!("holdfast_append_events_total", "aggregate" => aggregate)
                .increment(count);
        }
        if !self.house.protections.one_append {
            return self.append_each(appends).await;
        }
        let no = |rejection| Tried::Failed(Failed::Rejected(rejection));
        self.house.store.append(appends).await.map_err(|error| match error {
            AppendError::Conflict { .. } => Tried::Again(None),
            // A server may have lost only the answer: what the stream says then decides.
            AppendError::Unknown(why) if self.house.store.trouble().is_none() => {
                tracing::warn!(why, "looking an append up");
                Tried::Again(Some(why))
            }
            AppendError::Unknown(why) => no(Rejection::OutcomeUnknown(why)),
            AppendError::Invalid(why) => no(Rejection::InvalidInput(why)),
            AppendError::Full | AppendError::Stopped(_) => {
                no(Rejection::Unavailable(error.to_string()))
            }
        })
    }

    /// The twin: one append after the other.
    async fn append_each(&self, appends: Vec<StreamAppend>) -> Result<Appended, Tried> {
        let mut all: Option<Appended> = None;
        for append in appends {
            let one = self.house.store.append(vec![append]).await;
            let one = one.map_err(|_| Tried::Again(None))?;
            match &mut all {
                Some(all) => all.stream_versions.extend(one.stream_versions),
                None => all = Some(one),
            }
        }
        all.ok_or(Tried::Again(None))
    }

    fn refused<D: Hosted>(&self, refusal: D::Refusal, seen: Position) -> Tried {
        let as_of = self.house.store.head().max(seen);
        Tried::Failed(match D::refusal(refusal) {
            Ok(refusal) => Failed::Refused(refusal, as_of),
            Err(rejection) => Failed::Rejected(rejection),
        })
    }
}

/// Why a try has recorded nothing, as far as is known.
enum Tried {
    Failed(Failed),
    /// Somebody was faster, or nobody knows: then that is why.
    Again(Option<String>),
}

impl From<super::Unreached> for Tried {
    fn from(unreached: super::Unreached) -> Self {
        Self::Failed(unreached.into())
    }
}

/// After a try of unknown outcome no trouble can promise that nothing was recorded.
fn promised(unknown: Option<String>, failed: Failed) -> Failed {
    match (unknown, failed) {
        (None, failed) | (_, failed @ Failed::Refused(..)) => failed,
        (Some(why), Failed::Rejected(_)) => Failed::Rejected(Rejection::OutcomeUnknown(why)),
        (Some(why), Failed::Broken(_)) => Failed::Broken(Rejection::OutcomeUnknown(why)),
    }
}

fn held<D: Hosted>() -> usize {
    let place = HELD_IN_ORDER.iter().position(|category| *category == D::CATEGORY);
    place.expect("only these are decided on together")
}
