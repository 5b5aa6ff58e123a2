//! The one writer. Appends wait in a queue; a thread takes all that wait, judges each by what the
//! log (and the appends before it) say, writes what passes as **one** frame, syncs once, shows it to
//! readers, and only then answers.
//!
//! ```text
//!   append ─┐                        ┌─ guard fails: Conflict
//!   append ─┼─► queue ─► writer ─────┤
//!   append ─┘            (thread)    └─► frame ─► write ─► sync ─► publish ─► answers
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use super::disk::DiskLock;
use super::frame::{FrameBuilder, frame_len};
use super::log::{Log, WriteError};
use super::queue::Consumer;
use super::sync::{oneshot, watch};
use super::view::{Trouble, View};
use crate::{AppendError, Appended, Position, StreamAppend, StreamId};

/// How many appends wait at most; who comes then waits for a place in the queue.
pub(crate) const QUEUE_APPENDS: usize = 4096;
/// How many bytes one frame takes, unless a single append is longer.
const GROUP_BYTES: usize = 1 << 20;
/// How many appends one frame takes.
const GROUP_APPENDS: usize = 1024;

/// What the writer is asked.
pub(crate) enum Order {
    Append(Waiting),
    /// End when all that came before is done.
    Close(oneshot::Sender<()>),
}

/// An append that waits for its answer.
pub(crate) struct Waiting {
    pub(crate) batches: Vec<StreamAppend>,
    /// What it takes in a frame's body.
    pub(crate) encoded_len: usize,
    pub(crate) answer: Answer,
}

type Answer = oneshot::Sender<Result<Appended, AppendError>>;

pub(crate) struct Writer {
    pub(crate) log: Log,
    pub(crate) view: Arc<View>,
    pub(crate) head: watch::Sender<Position>,
    pub(crate) queue: Consumer<Order>,
    pub(crate) segment_bytes: u64,
    /// Let go last.
    pub(crate) lock: DiskLock,
}

/// A frame on its way, and who waits for it.
struct Group {
    frame: FrameBuilder,
    taken: Vec<Taken>,
    /// Streams that this frame changes, with the version that comes next.
    next_versions: HashMap<StreamId, u64>,
    /// Refused because of what stands in this same frame: told when that is durable.
    refused: Vec<(Answer, AppendError)>,
}

struct Taken {
    answer: Answer,
    first_event: usize,
    events: usize,
    stream_versions: Vec<u64>,
}

impl Writer {
    /// Works until it is closed, or nobody can ask any more.
    pub(crate) fn run(mut self) {
        let closed = loop {
            match self.queue.recv() {
                Some(Order::Append(first)) => self.serve(first),
                Some(Order::Close(closed)) => break Some(closed),
                None => break None,
            }
        };
        let Self { log, view, head, mut queue, lock, .. } = self;
        view.close();
        queue.close();
        while let Some(order) = queue.recv() {
            match order {
                Order::Append(waiting) => answer(waiting.answer, Err(stopped(&view))),
                Order::Close(closed) => {
                    let _ = closed.send(());
                }
            }
        }
        // In this order: nothing goes on in the directory when the lock is let go, and whoever waits
        // for the end finds it free.
        drop(log);
        drop(lock);
        drop(head);
        if let Some(closed) = closed {
            let _ = closed.send(());
        }
    }

    /// Serves `first` and what waits behind it with one frame; what does not fit goes back.
    fn serve(&mut self, first: Waiting) {
        let mut group = Group {
            frame: FrameBuilder::new(frame_len(first.encoded_len)),
            taken: Vec::new(),
            next_versions: HashMap::new(),
            refused: Vec::new(),
        };
        let mut waiting = first;
        loop {
            if let Some(rest) = self.take(&mut group, waiting) {
                self.queue.give_back(Order::Append(rest));
                break;
            }
            match self.queue.try_recv() {
                Some(Order::Append(next)) => waiting = next,
                Some(close @ Order::Close(_)) => {
                    self.queue.give_back(close);
                    break;
                }
                None => break,
            }
        }
        self.commit(group);
    }

    /// Puts an append into the group, or answers it, or gives it back for the next frame.
    fn take(&mut self, group: &mut Group, waiting: Waiting) -> Option<Waiting> {
        // Asked for each: the one before may have stopped the store.
        if let Some(Trouble::Stopped(reason)) = self.view.trouble() {
            answer(waiting.answer, Err(AppendError::Stopped(reason)));
            return None;
        }
        let first_versions = match self.judge(group, &waiting.batches) {
            Ok(first_versions) => first_versions,
            Err((refusal, hinges_on_group)) => {
                if hinges_on_group {
                    group.refused.push((waiting.answer, refusal));
                } else {
                    answer(waiting.answer, Err(refusal));
                }
                return None;
            }
        };
        let len = group.frame.len() + waiting.encoded_len;
        if group.frame.is_empty() {
            if len > self.log.room()
                && let Err(refusal) = self.make_room(waiting.encoded_len)
            {
                answer(waiting.answer, Err(refusal));
                return None;
            }
        } else if len > GROUP_BYTES || len > self.log.room() || group.taken.len() == GROUP_APPENDS {
            return Some(waiting);
        }
        let first_event = group.frame.events();
        group.frame.push(&waiting.batches, &first_versions);
        let mut stream_versions = first_versions;
        for (batch, version) in waiting.batches.into_iter().zip(&mut stream_versions) {
            let next = *version + batch.events.len() as u64;
            group.next_versions.insert(batch.stream, next);
            *version = next - 1;
        }
        let events = group.frame.events() - first_event;
        group.taken.push(Taken { answer: waiting.answer, first_event, events, stream_versions });
        None
    }

    /// Compares what is expected with what is there; the version at which each batch starts.
    fn judge(
        &self,
        group: &Group,
        batches: &[StreamAppend],
    ) -> Result<Vec<u64>, (AppendError, bool)> {
        let mut first_versions = Vec::with_capacity(batches.len());
        for StreamAppend { stream, expected, .. } in batches {
            let pending = group.next_versions.get(stream).map(|next| next - 1);
            let actual = pending.or_else(|| self.view.version(stream));
            if !expected.holds(actual) {
                let (stream, expected) = (stream.clone(), *expected);
                // The stream may have moved within this group, and another guard of this append too:
                // whatever was not yet durable must not be told.
                let hinges = batches.iter().any(|b| group.next_versions.contains_key(&b.stream));
                return Err((AppendError::Conflict { stream, expected, actual }, hinges));
            }
            first_versions.push(actual.map_or(0, |version| version + 1));
        }
        Ok(first_versions)
    }

    /// Rolls to the next segment.
    fn make_room(&mut self, body_len: usize) -> Result<(), AppendError> {
        if !self.log.could_hold(body_len, self.segment_bytes) {
            let segment_bytes = self.segment_bytes;
            let why = format!("{body_len} bytes do not go into a segment of {segment_bytes}");
            return Err(AppendError::Invalid(why));
        }
        match self.log.roll() {
            Ok(segment) => {
                self.view.set_no_room(None);
                self.view.add_segment(segment);
                Ok(())
            }
            Err(WriteError::Full) => {
                self.view.set_no_room(Some(self.segment_bytes));
                Err(AppendError::Full)
            }
            Err(WriteError::Failed(reason)) => {
                self.view.stop(reason);
                Err(stopped(&self.view))
            }
        }
    }

    /// Writes the group's frame, shows it, answers.
    fn commit(&mut self, group: Group) {
        let Group { frame, taken, refused, .. } = group;
        if frame.is_empty() {
            return;
        }
        let frame = Arc::new(self.log.finish(frame));
        let offset = match self.log.write(&frame) {
            Ok(offset) => offset,
            Err(error) => return self.refuse_all(taken, refused, error),
        };
        self.view.set_full(false);
        self.view.add(offset, &frame, true).expect("versions were counted from what is shown");
        self.head.send_replace(Position(frame.last()));
        for Taken { answer: to, first_event, events, stream_versions } in taken {
            let first = frame.first + first_event as u64;
            answer(
                to,
                Ok(Appended {
                    first: Position(first),
                    last: Position(first + events as u64 - 1),
                    recorded_at_micros: frame.recorded_at_micros,
                    stream_versions,
                }),
            );
        }
        for (to, refusal) in refused {
            answer(to, Err(refusal));
        }
    }

    fn refuse_all(&self, taken: Vec<Taken>, refused: Vec<(Answer, AppendError)>, why: WriteError) {
        let (outcome, later) = match why {
            WriteError::Full => {
                self.view.set_full(true);
                (AppendError::Full, AppendError::Full)
            }
            WriteError::Failed(reason) => {
                self.view.stop(reason.clone());
                (AppendError::Unknown(reason), stopped(&self.view))
            }
        };
        for Taken { answer: to, .. } in taken {
            answer(to, Err(outcome.clone()));
        }
        for (to, _) in refused {
            answer(to, Err(later.clone()));
        }
    }
}

/// Whoever no longer waits is not told.
fn answer(to: Answer, result: Result<Appended, AppendError>) {
    let _ = to.send(result);
}

pub(crate) fn stopped(view: &View) -> AppendError {
    match view.trouble() {
        Some(Trouble::Stopped(reason)) => AppendError::Stopped(reason),
        Some(Trouble::Full | Trouble::NoRoom { .. }) | None => {
            AppendError::Stopped("it is closed".to_owned())
        }
    }
}
