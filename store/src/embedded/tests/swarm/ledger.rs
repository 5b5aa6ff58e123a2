//! What was given to the store, what it answered, what every reader saw; and the judge over it.
//!
//! ```text
//!   attempt ──► recorded   answered with a position, or shown to a reader: it stays, as it is (P1, P4)
//!           ├─► open       no answer, or "unknown": whole or not at all, settled by the next opening (P3)
//!           └─► nothing    refused: it never shows up
//! ```

use std::collections::HashMap;

use uuid::Uuid;

use crate::{
    Appended, Direction, Expected, Filter, Page, Position, RecordedEvent, StreamAppend, StreamId,
};

/// What is known of one append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Open,
    Recorded,
    Nothing,
    /// It was open, and the next opening did not find it.
    Vanished,
}

#[derive(Clone)]
struct Attempt {
    batches: Vec<StreamAppend>,
    outcome: Outcome,
}

/// The history as it must be.
#[derive(Clone, Default)]
pub(crate) struct Ledger {
    attempts: Vec<Attempt>,
    /// By the id of its first event.
    by_first: HashMap<Uuid, usize>,
    /// What is recorded; position `p` stands at `p - 1`.
    log: Vec<RecordedEvent>,
    /// For each event of `log` whether an appender was answered for it.
    acknowledged: Vec<bool>,
    /// For each stream the indices of its events in `log`.
    streams: HashMap<StreamId, Vec<usize>>,
}

pub(crate) type Judged<T = ()> = Result<T, String>;

impl Ledger {
    pub(crate) fn head(&self) -> Position {
        Position(self.log.len() as u64)
    }

    pub(crate) fn version(&self, stream: &StreamId) -> Option<u64> {
        self.streams.get(stream).map(|events| events.len() as u64 - 1)
    }

    /// Whether appends wait for the next opening to find out.
    pub(crate) fn has_open(&self) -> bool {
        self.attempts.iter().any(|a| a.outcome == Outcome::Open)
    }

    /// The streams that have events.
    pub(crate) fn names(&self) -> Vec<StreamId> {
        let mut names: Vec<StreamId> = self.streams.keys().cloned().collect();
        names.sort_unstable();
        names
    }

    /// Notes an append before it is given; its number.
    pub(crate) fn attempt(&mut self, batches: &[StreamAppend]) -> usize {
        self.by_first.insert(batches[0].events[0].id, self.attempts.len());
        self.attempts.push(Attempt { batches: batches.to_vec(), outcome: Outcome::Open });
        self.attempts.len() - 1
    }

    /// P1, P4, P4b: an answer goes on where the log ends, and its guards held there.
    pub(crate) fn acknowledged(&mut self, attempt: usize, answer: &Appended) -> Judged {
        let first = self.head().next();
        if answer.first != first {
            return Err(format!(
                "acknowledged at {}, but the log went on at {first}",
                answer.first
            ));
        }
        let versions = self.record(attempt, answer.recorded_at_micros, true)?;
        if answer.last != self.head() || answer.stream_versions != versions {
            return Err(format!("answered {answer:?}, but it is {versions:?} at {}", self.head()));
        }
        Ok(())
    }

    /// Refused because of what is there: what was told is true. `before` has the versions from
    /// before the group that it went with.
    pub(crate) fn conflict(
        &mut self,
        attempt: usize,
        (stream, expected, actual): (&StreamId, Expected, Option<u64>),
        before: &Ledger,
    ) -> Judged {
        let given = &self.attempts[attempt].batches;
        let Some(batch) = given.iter().find(|batch| batch.stream == *stream) else {
            return Err(format!("a conflict on {stream}, which the append does not name"));
        };
        let possible = before.version(stream)..=self.version(stream);
        if batch.expected != expected || expected.holds(actual) || !possible.contains(&actual) {
            return Err(format!(
                "told that {stream} is at {actual:?} and not as expected ({expected:?}), but it \
                 was at {possible:?} and {:?} was expected",
                batch.expected
            ));
        }
        self.nothing(attempt);
        Ok(())
    }

    /// Refused: it must never show up.
    pub(crate) fn nothing(&mut self, attempt: usize) {
        self.attempts[attempt].outcome = Outcome::Nothing;
    }

    /// Puts an attempt at the end of the log; the versions after it.
    fn record(&mut self, attempt: usize, recorded_at: i64, answered: bool) -> Judged<Vec<u64>> {
        let Attempt { batches, outcome } = &mut self.attempts[attempt];
        *outcome = Outcome::Recorded;
        let mut versions = Vec::with_capacity(batches.len());
        for batch in &*batches {
            let events = self.streams.entry(batch.stream.clone()).or_default();
            let actual = (events.len() as u64).checked_sub(1);
            if !batch.expected.holds(actual) {
                let (stream, expected) = (&batch.stream, batch.expected);
                return Err(format!(
                    "recorded although {stream} was at {actual:?} and {expected:?} was expected"
                ));
            }
            for event in &batch.events {
                events.push(self.log.len());
                self.acknowledged.push(answered);
                self.log.push(RecordedEvent {
                    position: Position(self.log.len() as u64 + 1),
                    stream: batch.stream.clone(),
                    stream_version: events.len() as u64 - 1,
                    recorded_at_micros: recorded_at,
                    id: event.id,
                    kind: event.kind.as_str().into(),
                    schema_version: event.schema_version,
                    metadata: event.metadata.clone(),
                    data: event.data.clone(),
                });
            }
            versions.push(events.len() as u64 - 1);
        }
        Ok(versions)
    }

    /// The whole log as it was found. What is recorded is there as it was; what was open is there
    /// whole or not at all, and settled with that, unless `still_open`.
    pub(crate) fn found(&mut self, all: &[RecordedEvent], still_open: bool) -> Judged {
        self.same(all)?;
        if all.len() < self.log.len() {
            let at = all.len();
            let what =
                if self.acknowledged[at..].contains(&true) { "acknowledged" } else { "shown" };
            return Err(format!("{what} at {} and lost: the log ends at {at}", at + 1));
        }
        while let Some(event) = all.get(self.log.len()) {
            let position = self.log.len() + 1;
            let Some(attempt) = self.by_first.get(&event.id).copied() else {
                return Err(format!(
                    "position {position} was never appended, or is half an append"
                ));
            };
            if self.attempts[attempt].outcome != Outcome::Open {
                let outcome = self.attempts[attempt].outcome;
                return Err(format!(
                    "position {position} is there, but its append was {outcome:?}"
                ));
            }
            let last = self.log.last().map_or(i64::MIN, |last| last.recorded_at_micros);
            if event.recorded_at_micros < last {
                return Err(format!("position {position} was recorded before the one before it"));
            }
            self.record(attempt, event.recorded_at_micros, false)?;
            self.same(all)?;
            if all.len() < self.log.len() {
                return Err(format!("half an append at {position}"));
            }
        }
        if !still_open {
            for attempt in self.attempts.iter_mut().filter(|a| a.outcome == Outcome::Open) {
                attempt.outcome = Outcome::Vanished;
            }
        }
        Ok(())
    }

    /// Forgives what nothing proves yet: an end that is lost, or that is another one which was on its
    /// way there once. It must still be whole appends, each once.
    pub(crate) fn forgive(&mut self, all: &[RecordedEvent]) {
        let same = all.iter().zip(&self.log).take_while(|(found, known)| found == known).count();
        let whole = |log: &[RecordedEvent], at: usize| {
            log.get(at).is_none_or(|event| self.by_first.contains_key(&event.id))
        };
        let cut = (0..=same).rev().find(|at| whole(&self.log, *at)).unwrap_or(0);
        self.cut_to(cut);
        self.reopen();
    }

    /// What was on its way once, and was not found, may still come.
    pub(crate) fn reopen(&mut self) {
        for attempt in self.attempts.iter_mut().filter(|a| a.outcome == Outcome::Vanished) {
            attempt.outcome = Outcome::Open;
        }
    }

    /// The whole log is just what is recorded.
    pub(crate) fn is(&self, all: &[RecordedEvent]) -> Judged {
        self.same(all)?;
        let (found, known) = (all.len(), self.log.len());
        if found == known { Ok(()) } else { Err(format!("{found} events of {known} are there")) }
    }

    /// As [`Ledger::found`], with an end that may be lost.
    pub(crate) fn forgiven(&mut self, all: &[RecordedEvent]) -> Judged {
        self.forgive(all);
        self.found(all, false)
    }

    /// As far as both reach, the log is what it was.
    fn same(&self, all: &[RecordedEvent]) -> Judged {
        match all.iter().zip(&self.log).find(|(found, known)| found != known) {
            None => Ok(()),
            Some((found, known)) => Err(format!(
                "position {} is not what was written: {} of {} at {}, was {} of {} at {}",
                known.position,
                found.id,
                found.stream,
                found.position,
                known.id,
                known.stream,
                known.stream_version,
            )),
        }
    }

    /// Forgets what was lost with leave: the log ends earlier than it did.
    fn cut_to(&mut self, len: usize) {
        for event in self.log.drain(len.min(self.log.len())..) {
            if let Some(attempt) = self.by_first.get(&event.id) {
                self.attempts[*attempt].outcome = Outcome::Vanished;
            }
            if let Some(events) = self.streams.get_mut(&event.stream) {
                events.pop();
            }
        }
        self.streams.retain(|_, events| !events.is_empty());
        self.acknowledged.truncate(self.log.len());
    }

    /// A page of the whole log holds what it says that it looked at, and nothing else.
    pub(crate) fn page(&self, from: Position, filter: &Filter, max: usize, page: &Page) -> Judged {
        let from = from.max(Position::FIRST);
        let head = self.head();
        let ends = from.0.max(head.0 + 1);
        let moves = page.next > from || from > head || max == 0;
        if page.events.len() > max || page.next.0 > ends || page.next < from || !moves {
            return Err(format!(
                "a page from {from} of at most {max} has {} events up to {}, the head is {head}",
                page.events.len(),
                page.next
            ));
        }
        let looked = (from.0 as usize - 1).min(self.log.len())..page.next.0 as usize - 1;
        let looked = looked.start..looked.end.min(self.log.len()).max(looked.start);
        let wanted = self.log[looked].iter().filter(|event| filter.wants(event));
        if page.events.iter().eq(wanted) {
            Ok(())
        } else {
            Err(format!("a page from {from} to {} is not what was written", page.next))
        }
    }

    /// A part of one stream.
    pub(crate) fn stream(
        &self,
        stream: &StreamId,
        from: u64,
        direction: Direction,
        max: usize,
        found: &[RecordedEvent],
    ) -> Judged {
        let events = self.streams.get(stream).map_or(&[][..], Vec::as_slice);
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let expected: Vec<usize> = match direction {
            Direction::Forward => events.iter().skip(from).take(max).copied().collect(),
            Direction::Backward => {
                let upto = from.saturating_add(1).min(events.len());
                events[..upto].iter().rev().take(max).copied().collect()
            }
        };
        if found.iter().eq(expected.iter().map(|at| &self.log[*at])) {
            Ok(())
        } else {
            Err(format!("{stream}, {direction:?} from {from}, is not what was written"))
        }
    }
}
