//! What is done in one life: appends, alone and at once; reads, followers, readers beside. Every
//! answer is judged at once.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use futures::task::ArcWake;
use uuid::Uuid;

use super::super::super::sim::{Faults, SimDisk};
use super::super::super::{Embedded, Reader};
use super::ledger::Judged;
use super::world::{World, everything};
use crate::{
    AppendError, Appended, Direction, EventStore, Expected, Filter, NewEvent, Position, ReadError,
    StreamAppend, StreamId, Subscription,
};

/// What a header, a seal and a little more take of a segment.
const NOT_FOR_PAYLOADS: u64 = 4096 + 80 + 400;

/// Whether a life goes on.
#[derive(PartialEq, Eq)]
enum On {
    Yes,
    No,
}

impl World<'_> {
    /// Lives until the steps are done or the store is over.
    pub(super) fn steps(&mut self, store: &Arc<Embedded>) -> Judged {
        let mut follower = None;
        let mut beside = None;
        let steps = 1 + self.dice.roll(self.plan.steps);
        let work = self.plan.work.clone();
        let shares = [work.appends, work.at_once, work.reads, work.follows, work.beside, 1, 1];
        for _ in 0..steps {
            let mut roll = self.dice.roll(shares.iter().sum());
            let kind = shares.iter().position(|share| match roll.checked_sub(*share) {
                Some(rest) => {
                    roll = rest;
                    false
                }
                None => true,
            });
            let on = match kind.expect("a roll below the sum of the shares") {
                0 => self.append(store)?,
                1 => self.append_at_once(store)?,
                2 => self.read(store)?,
                3 => self.follow(store, &mut follower)?,
                4 => self.look_beside(&mut beside)?,
                5 => self.move_clock(),
                _ => self.change_room(),
            };
            if on == On::No || self.disk.is_off() {
                break;
            }
        }
        // Whoever was refused with a conflict, and whoever reads, saw only what is durable.
        if store.head() != self.ledger.head() {
            return Err(format!("the head is {}, not {}", store.head(), self.ledger.head()));
        }
        if !self.disk.is_off() && self.dice.roll(4) == 0 {
            self.verify()?;
        }
        Ok(())
    }

    fn append(&mut self, store: &Embedded) -> Judged<On> {
        let batches = self.batches();
        self.give(store, vec![batches])
    }

    /// Some appends in one go: the first is on its way to the disk while the others gather.
    fn append_at_once(&mut self, store: &Embedded) -> Judged<On> {
        let count = 2 + self.dice.roll(4);
        let rivals = self.dice.roll(2) == 0;
        let mut appends: Vec<_> = (0..count).map(|_| self.batches()).collect();
        if rivals {
            // All of them want to be the next on one stream.
            let stream = appends[0][0].stream.clone();
            let expected = exactly(self.ledger.version(&stream));
            for append in &mut appends {
                append.truncate(1);
                append[0].stream = stream.clone();
                append[0].expected = expected;
            }
        }
        self.give(store, appends)
    }

    /// Gives appends to the store, and judges its answers.
    fn give(&mut self, store: &Embedded, appends: Vec<Vec<StreamAppend>>) -> Judged<On> {
        let before = self.ledger.clone();
        let numbers: Vec<usize> = appends.iter().map(|a| self.ledger.attempt(a)).collect();
        let lens: Vec<u64> = appends.iter().map(|a| payload_bytes(a)).collect();
        let answers = self.runtime.block_on(at_once(&self.disk, store, appends));
        let mut answered: Vec<_> = numbers.into_iter().zip(lens).zip(answers).collect();
        // In the order in which they came to stand.
        answered.sort_by_key(|(_, answer)| answer.as_ref().map_or(Position(u64::MAX), |a| a.first));
        let mut on = On::Yes;
        for ((attempt, len), answer) in answered {
            match &answer {
                Ok(answer) => self.disk.note(format!("acknowledged at {}", answer.first)),
                Err(error) => self.disk.note(format!("refused: {error}")),
            }
            match answer {
                Ok(answer) => {
                    self.tally.acknowledged += 1;
                    self.ledger.acknowledged(attempt, &answer)?;
                }
                Err(AppendError::Conflict { stream, expected, actual }) => {
                    self.tally.conflicts += 1;
                    self.ledger.conflict(attempt, (&stream, expected, actual), &before)?;
                }
                Err(AppendError::Invalid(why)) => {
                    if len + NOT_FOR_PAYLOADS < self.plan.segment_bytes {
                        return Err(format!("{len} bytes are refused for good: {why}"));
                    }
                    self.ledger.nothing(attempt);
                }
                Err(AppendError::Full) => {
                    self.tally.full += 1;
                    let small = self.disk.faults().capacity_bytes.is_some();
                    if !small && self.since().writes_without_room == 0 {
                        return Err("full, but there is room".to_owned());
                    }
                    self.ledger.nothing(attempt);
                    on = if self.dice.roll(3) == 0 { On::No } else { on };
                }
                Err(AppendError::Unknown(why)) => {
                    self.tally.unknown += 1;
                    let since = self.since();
                    let mut failed = since.writes_failed + since.syncs_failed + since.names_failed;
                    if why.contains("cannot name the copy") {
                        // The frame stood in its segment already when its copy's header found no room.
                        failed += since.writes_without_room;
                    }
                    if why.contains("without an answer") || !self.disk.is_off() && failed == 0 {
                        return Err(format!("unknown without a reason: {why}"));
                    }
                    on = On::No;
                }
                Err(AppendError::Stopped(why)) => {
                    self.tally.stopped += 1;
                    if !self.disk.is_off() && self.since().total() == 0 && !self.betrayed() {
                        return Err(format!("stopped without a reason: {why}"));
                    }
                    self.ledger.nothing(attempt);
                    on = if self.dice.roll(3) == 0 { On::Yes } else { On::No };
                }
            }
        }
        if store.head() != self.ledger.head() {
            return Err(format!("the head is {}, not {}", store.head(), self.ledger.head()));
        }
        Ok(on)
    }

    fn read(&mut self, store: &Embedded) -> Judged<On> {
        let head = self.ledger.head().0;
        let max = self.dice.roll(12) as usize;
        if self.dice.roll(2) == 0 {
            let (from, filter) = (Position(self.dice.roll(head + 3)), self.filter());
            let page = self.runtime.block_on(store.read_all(from, &filter, max));
            return match page {
                Ok(page) => self.ledger.page(from, &filter, max, &page).map(|()| On::Yes),
                Err(error) => self.told(&error),
            };
        }
        let stream = self.stream();
        let from = if self.dice.roll(3) == 0 { u64::MAX } else { self.dice.roll(head + 2) };
        let way = if self.dice.roll(2) == 0 { Direction::Forward } else { Direction::Backward };
        match self.runtime.block_on(store.read_stream(&stream, from, way, max)) {
            Ok(events) => self.ledger.stream(&stream, from, way, max, &events).map(|()| On::Yes),
            Err(error) => self.told(&error),
        }
    }

    /// A read that was not answered had a reason.
    fn told(&self, error: &ReadError) -> Judged<On> {
        let since = self.since();
        let excused = match error {
            ReadError::Damaged { .. } => since.reads_flipped > 0 || self.betrayed(),
            // One event that reads wrong may read well the next time.
            ReadError::Io(_) => since.reads_failed + since.reads_flipped > 0 || self.betrayed(),
            ReadError::Closed => false,
        };
        self.disk.note(format!("a read fails: {error}"));
        let off = self.disk.is_off();
        if excused || off { Ok(On::Yes) } else { Err(format!("a read fails: {error}")) }
    }

    /// One that follows the log sees every event once, in order.
    fn follow(
        &mut self,
        store: &Arc<Embedded>,
        follower: &mut Option<(Subscription, Filter)>,
    ) -> Judged<On> {
        if follower.is_none() || self.dice.roll(6) == 0 {
            let from = Position(self.dice.roll(self.ledger.head().0 + 2));
            let filter = self.filter();
            let store = Arc::clone(store) as Arc<dyn EventStore>;
            *follower = Some((Subscription::new(store, from, filter.clone()), filter));
        }
        let Some((subscription, filter)) = follower else { return Ok(On::Yes) };
        while subscription.position() <= self.ledger.head() {
            let from = subscription.position();
            match self.runtime.block_on(subscription.next_page()) {
                Ok((events, upto)) => {
                    let page = crate::Page { events, next: upto.next() };
                    self.ledger.page(from, filter, usize::MAX, &page)?;
                }
                Err(error) => return self.told(&error),
            }
        }
        Ok(On::Yes)
    }

    /// Somebody who reads beside the store, without its lock.
    fn look_beside(&mut self, reader: &mut Option<Reader>) -> Judged<On> {
        let opened = match reader.take().filter(|_| self.dice.roll(2) == 0) {
            Some(reader) => self.runtime.block_on(reader.refresh()).map(|_| reader),
            None => Reader::open_on(Arc::new(self.disk.clone())),
        };
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => {
                let excused = self.disk.is_off() || self.since().total() > 0 || self.betrayed();
                self.disk.note(format!("a reader beside fails: {error}"));
                return if excused {
                    Ok(On::Yes)
                } else {
                    Err(format!("a reader beside fails: {error}"))
                };
            }
        };
        match self.runtime.block_on(everything(&opened)) {
            // After a failed sync the cache shows what the disk may never get, and says that it did:
            // a reader beside cannot know. Its next life does.
            Ok(all) if self.since().syncs_failed > 0 => self.ledger.clone().found(&all, true)?,
            // It stops where it reads wrong, and looks again later.
            Ok(all)
                if all.len() < self.ledger.head().0 as usize
                    && (self.betrayed() || self.since().reads_flipped > 0) => {}
            Ok(all) => {
                let mut seen = self.ledger.clone();
                seen.found(&all, true)?;
                // What it saw stays, although the store that failed does not show it.
                self.seen_beside = seen.head().max(self.seen_beside);
            }
            Err(error) => return self.told(&error),
        }
        *reader = Some(opened);
        Ok(On::Yes)
    }

    fn move_clock(&mut self) -> On {
        let step = self.dice.roll(5_000_000) as i64;
        let step = if self.dice.roll(4) == 0 { -step } else { step };
        self.now.fetch_add(step, Ordering::Relaxed);
        On::Yes
    }

    /// The disk becomes too small, or large enough again.
    fn change_room(&mut self) -> On {
        if !self.plan.kinds.small_disk {
            return On::Yes;
        }
        let faults = self.disk.faults();
        let small = (self.dice.roll(2) == 0)
            .then(|| self.plan.segment_bytes * (1 + self.dice.roll(4)) + self.dice.roll(9_000));
        let full = self.dice.roll(4) == 0;
        self.disk.note(format!("room: {small:?}, full: {full}"));
        self.disk.set_faults(Faults { capacity_bytes: small, full, ..faults });
        On::Yes
    }

    fn stream(&mut self) -> StreamId {
        let number = self.dice.roll(self.plan.streams);
        StreamId::new(format!("{}-{number}", ["ant", "bee", "cat"][number as usize % 3]))
    }

    fn filter(&mut self) -> Filter {
        match self.dice.roll(5) {
            0 => Filter::Stream(self.stream()),
            1 => Filter::Categories(vec!["bee".to_owned()]),
            2 => Filter::Kinds(vec!["k.1".to_owned()]),
            _ => Filter::All,
        }
    }

    /// An append: one stream or some, guards that hold and guards that do not.
    fn batches(&mut self) -> Vec<StreamAppend> {
        let even = self.plan.even;
        let count = if !even && self.dice.roll(3) == 0 { 1 + self.dice.roll(4) } else { 1 };
        let mut batches: Vec<StreamAppend> = Vec::new();
        for _ in 0..count {
            let stream = self.stream();
            if batches.iter().any(|batch| batch.stream == stream) {
                continue;
            }
            let expected = match self.dice.roll(8) {
                0 => Expected::NoStream,
                1 => Expected::Exact(self.dice.roll(9)),
                2..=4 => exactly(self.ledger.version(&stream)),
                _ => Expected::Any,
            };
            let events = if even { 1 } else { 1 + self.dice.roll(3) };
            let events = (0..events).map(|_| self.event()).collect();
            batches.push(StreamAppend { stream, expected, events });
        }
        batches
    }

    fn event(&mut self) -> NewEvent {
        let len = match self.dice.roll(40) {
            _ if self.plan.even => self.plan.payload_bytes,
            // Too much for any segment, or as good as.
            0 => self.plan.segment_bytes - 4096 - self.dice.roll(400),
            _ => self.dice.roll(self.plan.payload_bytes),
        };
        let mut data: Vec<u8> = Vec::with_capacity(len as usize + 8);
        while (data.len() as u64) < len {
            data.extend_from_slice(&(self.dice.number() | 0x0101_0101_0101_0101).to_le_bytes());
        }
        data.truncate(len as usize);
        NewEvent {
            id: Uuid::from_u64_pair(self.dice.number(), self.dice.number()),
            kind: format!("k.{}", self.dice.roll(3)),
            schema_version: 1 + self.dice.roll(3) as u16,
            metadata: vec![b'm'; if self.plan.even { 7 } else { self.dice.roll(20) } as usize]
                .into(),
            data: data.into(),
        }
    }
}

fn exactly(version: Option<u64>) -> Expected {
    version.map_or(Expected::NoStream, Expected::Exact)
}

fn payload_bytes(append: &[StreamAppend]) -> u64 {
    append.iter().flat_map(|b| &b.events).map(|e| e.data.len() as u64 + 80).sum()
}

/// Rings the disk's bell when an answer comes.
struct Bell(SimDisk);

impl ArcWake for Bell {
    fn wake_by_ref(bell: &Arc<Self>) {
        bell.0.ring();
    }
}

/// Opens the gate whatever happens: nobody may wait there for ever.
struct Release<'a>(&'a SimDisk);

impl Drop for Release<'_> {
    fn drop(&mut self) {
        self.0.release();
    }
}

/// Gives appends one after the other, all of them before the first one that is written has reached
/// the disk: so they gather in the same frames each time.
async fn at_once(
    disk: &SimDisk,
    store: &Embedded,
    appends: Vec<Vec<StreamAppend>>,
) -> Vec<Result<Appended, AppendError>> {
    if let [_] = &appends[..] {
        let mut answers = Vec::new();
        for append in appends {
            answers.push(store.append(append).await);
        }
        return answers;
    }
    let bell = futures::task::waker(Arc::new(Bell(disk.clone())));
    let mut waiting: Vec<_> = appends.into_iter().map(|append| store.append(append)).collect();
    let mut answers: Vec<Option<Result<Appended, AppendError>>> = vec![None; waiting.len()];
    {
        let _release = Release(disk);
        let mut held = false;
        for (append, answer) in waiting.iter_mut().zip(&mut answers) {
            disk.hold();
            match append.as_mut().poll(&mut Context::from_waker(&bell)) {
                Poll::Ready(ready) => *answer = Some(ready),
                // Answered without the disk, or on its way there.
                Poll::Pending if !held => {
                    disk.wait_until_held();
                    held = disk.is_held();
                }
                Poll::Pending => {}
            }
        }
    }
    let mut all = Vec::with_capacity(waiting.len());
    for (append, answer) in waiting.into_iter().zip(answers) {
        all.push(match answer {
            Some(answer) => answer,
            None => append.await,
        });
    }
    all
}
