//! The one writer. Appends wait in a queue; a thread takes all that wait, judges each by what the
//! log (and the appends before it) say, writes what passes as **one** frame, syncs once, shows it to
//! readers, and only then answers.
//!
//! ```text
//!   append ─┐                        ┌─ guard fails: Conflict
//!   append ─┼─► queue ─► writer ─────┤
//!   append ─┘            (thread)    └─► frame ─► write ─► sync ─► publish ─► answers
//! ```

use std::sync::Arc;

use super::disk::DiskLock;
use super::encode::Encoded;
use super::frame::frame_len;
use super::group::{Answer, Answered, Group, Waiting};
use super::indexer::Indexer;
use super::log::{Log, WriteError};
use super::queue::{Consumer, Producers};
use super::scan::Damage;
use super::sync::{oneshot, watch};
use super::twins::{Twin, Twins};
use super::view::{Stopped, Trouble, View};
use crate::{AppendError, Appended, Position, ReadError};

/// What the writer is asked.
pub(crate) enum Order {
    Append(Waiting),
    /// End when all that came before is done.
    Close(oneshot::Sender<()>),
}

pub(crate) struct Writer {
    pub(crate) log: Log,
    pub(crate) view: Arc<View>,
    pub(crate) head: watch::Sender<Position>,
    pub(crate) queue: Consumer<Order>,
    pub(crate) segment_bytes: u64,
    /// Empty between two frames.
    pub(crate) group: Group,
    pub(crate) twins: Twins,
    pub(crate) indexer: Indexer,
    /// Let go last.
    pub(crate) lock: DiskLock,
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
        let Self { log, view, head, mut queue, indexer, lock, .. } = self;
        view.close();
        queue.close();
        while let Some(order) = queue.recv() {
            match order {
                Order::Append(Waiting { append, answer }) => {
                    answer.give(Err(stopped(&view)), Some(append));
                }
                Order::Close(closed) => {
                    let _ = closed.send(());
                }
            }
        }
        // In this order: nothing goes on in the directory when the lock is let go, and whoever waits
        // for the end finds it free.
        drop(log);
        drop(indexer);
        drop(lock);
        drop(head);
        if let Some(closed) = closed {
            let _ = closed.send(());
        }
    }

    /// Serves `first` and what waits behind it with one frame; what does not fit goes back.
    fn serve(&mut self, first: Waiting) {
        let mut group = std::mem::take(&mut self.group);
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
        self.commit(&mut group);
        group.clear();
        self.group = group;
    }

    /// Puts an append into the group, or answers it, or gives it back for the next frame.
    fn take(&mut self, group: &mut Group, mut waiting: Waiting) -> Option<Waiting> {
        // Asked until something is in the frame: beginning a segment may have stopped the store.
        if group.frame.is_empty()
            && let Some(Trouble::Stopped(reason)) = self.view.trouble()
        {
            waiting
                .answer
                .give(Err(AppendError::Stopped(reason.to_string())), Some(waiting.append));
            return None;
        }
        if let Err((refusal, hinges_on_group)) = self.judge(group, &mut waiting.append) {
            if hinges_on_group && !self.twins.on(Twin::RefusalBeforeDurable) {
                group.refused.push((waiting.answer, refusal));
            } else {
                waiting.answer.give(Err(refusal), Some(waiting.append));
            }
            return None;
        }
        let body_len = group.frame.body_len() + waiting.append.len();
        if frame_len(body_len) > self.log.room() {
            if !group.frame.is_empty() {
                return Some(waiting);
            }
            if let Err(refusal) = self.make_room(body_len) {
                waiting.answer.give(Err(refusal), Some(waiting.append));
                return None;
            }
        } else if !group.frame.is_empty() && group.is_full(&waiting.append) {
            return Some(waiting);
        }
        group.push(waiting);
        None
    }

    /// Compares what is expected with what is there, and says at which version each batch starts. A
    /// refusal comes with whether it hinges on what stands in the group.
    fn judge(&self, group: &Group, append: &mut Encoded) -> Result<(), (AppendError, bool)> {
        append.start_anew();
        for at in 0..append.batches.len() {
            let batch = &append.batches[at];
            let actual = match group.version(batch) {
                Some(version) => Some(version),
                None => self
                    .view
                    .version(&batch.stream)
                    .map_err(|error| (self.unread(&error), false))?,
            };
            if !batch.expected.holds(actual) && !self.twins.on(Twin::GuardIgnored) {
                let (stream, expected) = (batch.stream.clone(), batch.expected);
                // The stream may have moved within this group, and another guard of this append too:
                // whatever was not yet durable must not be told.
                let hinges = append.batches.iter().any(|batch| group.version(batch).is_some());
                return Err((AppendError::Conflict { stream, expected, actual }, hinges));
            }
            append.start_at(actual.map_or(0, |version| version + 1));
        }
        Ok(())
    }

    /// What a stream holds cannot be read, so nobody can say whether the append is right.
    fn unread(&self, error: &ReadError) -> AppendError {
        match Damage::told_by(error) {
            Some(damage) => {
                self.view.stop(Stopped::Damaged(damage));
                stopped(&self.view)
            }
            None => AppendError::Stopped(format!(
                "the stream's version cannot be read ({error}); nothing was recorded, try again"
            )),
        }
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
                self.indexer.wake();
                Ok(())
            }
            Err(WriteError::Full) => {
                self.view.set_no_room(Some(self.segment_bytes));
                Err(AppendError::Full)
            }
            Err(WriteError::Failed(reason)) => {
                self.view.stop(Stopped::Failed(reason));
                Err(stopped(&self.view))
            }
        }
    }

    /// Writes the group's frame, shows it, answers.
    fn commit(&mut self, group: &mut Group) {
        if group.frame.is_empty() {
            return;
        }
        #[cfg(test)]
        if self.twins.on(Twin::BatchNotAtomic) {
            return self.commit_apart(group);
        }
        let frame = Arc::new(self.log.finish(&mut group.frame));
        let offset = match self.log.write(&frame) {
            Ok(offset) => offset,
            Err(error) => return self.refuse_all(group, error),
        };
        self.view.set_full(false);
        // Whoever hears of the new head finds it.
        if self.twins.on(Twin::HeadBeforeIndex) {
            self.head.send_replace(Position(frame.last()));
        }
        self.view.add(offset, &frame, true).expect("versions were counted from what is shown");
        self.head.send_replace(Position(frame.last()));
        Self::answer(group, frame.first, frame.recorded_at_micros);
    }

    /// Tells all of a group that they are recorded, from position `first` on.
    fn answer(group: &mut Group, first: u64, recorded_at_micros: i64) {
        let mut next = first;
        for (answer, mut append) in group.answers.drain(..).zip(group.frame.drain()) {
            let first = next;
            next += append.events() as u64;
            let appended = Appended {
                first: Position(first),
                last: Position(next - 1),
                recorded_at_micros,
                stream_versions: append.take_last_versions(),
            };
            answer.give(Ok(appended), Some(append));
        }
        for (answer, refusal) in group.refused.drain(..) {
            answer.give(Err(refusal), None);
        }
    }

    /// [`Twin::BatchNotAtomic`]: a frame for each batch, one after the other.
    #[cfg(test)]
    fn commit_apart(&mut self, group: &mut Group) {
        use super::frame::FrameBuilder;
        let parts: Vec<Encoded> = group.frame.appends().iter().flat_map(Encoded::apart).collect();
        let (first, mut recorded_at) = (self.view.visible() + 1, 0);
        for part in parts {
            if frame_len(part.len()) > self.log.room()
                && let Err(refusal) = self.make_room(part.len())
            {
                return self.refuse_all(group, WriteError::Failed(refusal.to_string()));
            }
            let mut frame = FrameBuilder::default();
            frame.push(part);
            let frame = Arc::new(self.log.finish(&mut frame));
            let offset = match self.log.write(&frame) {
                Ok(offset) => offset,
                Err(error) => return self.refuse_all(group, error),
            };
            recorded_at = frame.recorded_at_micros;
            self.view.add(offset, &frame, true).expect("versions were counted from what is shown");
        }
        self.head.send_replace(Position(self.view.visible()));
        Self::answer(group, first, recorded_at);
    }

    fn refuse_all(&self, group: &mut Group, why: WriteError) {
        let (outcome, later) = match why {
            WriteError::Full => {
                self.view.set_full(true);
                (AppendError::Full, AppendError::Full)
            }
            WriteError::Failed(reason) => {
                self.view.stop(Stopped::Failed(reason.clone()));
                (AppendError::Unknown(reason), stopped(&self.view))
            }
        };
        for (answer, append) in group.answers.drain(..).zip(group.frame.drain()) {
            answer.give(Err(outcome.clone()), Some(append));
        }
        for (answer, _) in group.refused.drain(..) {
            answer.give(Err(later.clone()), None);
        }
    }
}

/// Asks the writer for an append, and waits for the answer.
pub(crate) async fn append(
    queue: &Producers<Order>,
    view: &View,
    append: Encoded,
) -> Result<Appended, AppendError> {
    let (answer, answered) = oneshot::channel();
    let waiting = Waiting { append, answer: Answer(answer) };
    if queue.push(Order::Append(waiting)).await.is_err() {
        return Err(stopped(view));
    }
    match answered.await {
        Ok(Answered { outcome, .. }) => outcome,
        // The writer ended in a panic, and nobody knows how far it came.
        Err(_) => Err(AppendError::Unknown("the writer ended without an answer".to_owned())),
    }
}

pub(crate) fn stopped(view: &View) -> AppendError {
    match view.trouble() {
        Some(Trouble::Stopped(reason)) => AppendError::Stopped(reason.to_string()),
        Some(Trouble::Full | Trouble::NoRoom { .. }) | None => {
            AppendError::Stopped("it is closed".to_owned())
        }
    }
}
