//! What a run of `holdfast log bench --acks` was told, and whether the log holds to it.
//!
//! ```text
//!   ack 17 018f…        recorded: at position 17 for ever, whole, all events of the append
//!   refused 018f…       nothing of it was recorded
//!   unknown 018f…       all of it, or nothing
//!   (no line)           the same: it was under way when the process ended
//! ```

use std::collections::{HashMap, HashSet};

use holdfast_store::{EventStore, Filter, Position, ReadError, RecordedEvent};
use uuid::Uuid;

use super::{Part, recognise};

/// How many events are read at once.
const BATCH: usize = 4_096;

/// What the lines said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Acknowledged: by the append, the position of its first event.
    pub acks: HashMap<Uuid, u64>,
    /// Refused.
    pub refused: HashSet<Uuid>,
    /// Of unknown outcome.
    pub unknown: HashSet<Uuid>,
}

impl Told {
    /// Reads lines. A last line without an end was being written when the process ended, and is not
    /// counted; neither are lines of another kind.
    pub fn read(&mut self, text: &str) {
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            let mut words = line.split(' ');
            let (kind, mut next) = (words.next(), || words.next()?.parse::<Uuid>().ok());
            match kind {
                Some("refused") => self.refused.extend(next()),
                Some("unknown") => self.unknown.extend(next()),
                Some("ack") => {
                    let (position, id) = line["ack ".len()..].split_once(' ').unwrap_or_default();
                    if let (Ok(position), Ok(id)) = (position.parse(), id.parse()) {
                        self.acks.insert(id, position);
                    }
                }
                Some(_) | None => {}
            }
        }
    }
}

/// What a judge found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// How many events the log has.
    pub events: u64,
    /// How many whole appends.
    pub appends: u64,
    /// What must not be, in words. Empty: all is well.
    pub offences: Vec<String>,
}

/// Reads the whole log and compares it with what was told: positions dense, every event whole, every
/// append whole and in one piece, what was acknowledged at its position, what was refused absent.
pub async fn judge(log: &impl EventStore, told: &Told) -> Result<Findings, ReadError> {
    let mut judge =
        Judge { told, next: 1, seen: HashSet::new(), open: None, findings: <_>::default() };
    let head = log.head();
    let mut from = Position::FIRST;
    while from <= head {
        let page = log.read_all(from, &Filter::All, BATCH).await?;
        for event in &page.events {
            judge.see(event);
        }
        from = page.next;
    }
    Ok(judge.finish())
}

struct Judge<'a> {
    told: &'a Told,
    /// The next position.
    next: u64,
    /// Appends that were met.
    seen: HashSet<Uuid>,
    /// The append whose events are under way: the last that was seen.
    open: Option<Part>,
    findings: Findings,
}

impl Judge<'_> {
    fn see(&mut self, event: &RecordedEvent) {
        let at = event.position.0;
        if at != self.next {
            self.offence(format!("position {} is missing, {at} follows", self.next));
        }
        self.next = at + 1;
        self.findings.events += 1;
        match recognise(event) {
            Ok(part) => self.part(at, part),
            Err(what) => self.offence(format!("position {at}: {what}")),
        }
    }

    fn part(&mut self, at: u64, part: Part) {
        let Part { append, index, of } = part;
        if index == 0 {
            self.close();
            if !self.seen.insert(append) {
                self.offence(format!("position {at}: append {append} is there twice"));
            }
            if self.told.refused.contains(&append) {
                self.offence(format!("position {at}: append {append} was refused and is there"));
            }
            match self.told.acks.get(&append) {
                Some(told) if *told != at => self
                    .offence(format!("append {append} was acknowledged at {told} and is at {at}")),
                Some(_) | None => {}
            }
        } else if self.open != Some(Part { index: index - 1, ..part }) {
            self.close();
            self.offence(format!("position {at}: event {index} of append {append} stands alone"));
        }
        self.open = Some(part);
        if index + 1 == of {
            self.findings.appends += 1;
            self.open = None;
        }
    }

    /// Nothing may be half.
    fn close(&mut self) {
        if let Some(Part { append, index, of }) = self.open.take() {
            self.offence(format!("append {append} has {} of {of} events", index + 1));
        }
    }

    fn finish(mut self) -> Findings {
        self.close();
        let lost: Vec<_> =
            self.told.acks.iter().filter(|(append, _)| !self.seen.contains(append)).collect();
        for (append, position) in lost {
            let head = self.next - 1;
            self.findings.offences.push(format!(
                "append {append} was acknowledged at {position} and is lost (head {head})"
            ));
        }
        self.findings
    }

    fn offence(&mut self, what: String) {
        self.findings.offences.push(what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{events, stream};
    use holdfast_store::memory::Memory;
    use holdfast_store::{Expected, StreamAppend};

    async fn log(appends: &[(u128, u32)]) -> Memory {
        let log = Memory::new();
        for (name, of) in appends {
            let events = events(Uuid::from_u128(*name), *of, 100);
            put(&log, events).await;
        }
        log
    }

    async fn put(log: &Memory, events: Vec<holdfast_store::NewEvent>) {
        let batch =
            StreamAppend { stream: stream(Uuid::nil(), 0), expected: Expected::Any, events };
        log.append(vec![batch]).await.expect("recorded");
    }

    async fn offences(log: &Memory, lines: &str) -> Vec<String> {
        let mut told = Told::default();
        told.read(lines);
        judge(log, &told).await.expect("memory reads").offences
    }

    fn id(name: u128) -> Uuid {
        Uuid::from_u128(name)
    }

    #[tokio::test]
    async fn what_was_told_is_found() {
        let log = log(&[(1, 1), (2, 3), (3, 1)]).await;
        let lines = format!(
            "ack 1 {}\nack 2 {}\nrefused {}\nunknown {}\nother words\nack 99 {}",
            id(1),
            id(2),
            id(4),
            id(3),
            id(9)
        );
        assert!(offences(&log, &lines).await.is_empty(), "the last line has no end");
    }

    #[tokio::test]
    async fn what_is_lost_moved_refused_or_half_is_named() {
        let log = log(&[(1, 1), (2, 2)]).await;
        for (line, word) in [
            (format!("ack 4 {}\n", id(7)), "is lost"),
            (format!("ack 2 {}\n", id(1)), "and is at 1"),
            (format!("refused {}\n", id(2)), "was refused and is there"),
        ] {
            let found = offences(&log, &line).await;
            assert!(matches!(&found[..], [one] if one.contains(word)), "{found:?}");
        }
        put(&log, vec![events(id(5), 3, 100).remove(0)]).await;
        put(&log, vec![events(id(6), 3, 100).remove(2)]).await;
        put(&log, events(id(1), 1, 100)).await;
        let found = offences(&log, "").await.join("; ");
        for word in ["has 1 of 3 events", "stands alone", "is there twice"] {
            assert!(found.contains(word), "{word} in {found}");
        }
    }
}
