//! One stream: its state in memory and the commands that wait for it, one batch after another.
//!
//! ```text
//!   at rest ──first command──► running ──nobody waits any more──► at rest
//!                               │  ▲
//!                               └──┘ next batch
//! ```
//!
//! Whoever has to decide on two streams at once has the state lent (`both.rs`): meanwhile the slot waits
//! for it, and the commands wait for the slot.
//!
//! A slot whose write failed, or whose outcome is unknown, forgets its state: it held decisions that
//! are perhaps not true.

use std::collections::{HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use holdfast_store::{AppendError, NewEvent, Position, StreamAppend};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::judge::{Decided, Settled};
use super::load::{Hot, Unreached};
use super::memory::{Memory, Recorded};
use super::{Context, House, stream_name};
use crate::Rejection;
use crate::hosted::Hosted;

/// How many may wait for one stream; further customers are told to come back. The house's own
/// commands pass: their number is bounded where they are made.
const WAITING: usize = 4_096;
/// How many commands go into one append.
const BATCH: usize = 256;
/// How often a batch is decided again because somebody else was faster.
pub(super) const TRIES: u32 = 12;

/// A command on its way.
pub(super) struct Order<D: Hosted> {
    pub(super) command: D::Command,
    pub(super) context: Context,
    pub(super) answer: oneshot::Sender<Result<Recording<D>, Failure<D>>>,
}

/// Somebody who wants to see the state.
pub(super) type Look<D> = Box<dyn FnOnce(Result<View<'_, D>, Unreached>) + Send>;

/// What waits for a slot.
pub(super) enum Work<D: Hosted> {
    Order(Order<D>),
    /// Wants to see the state, at least as of that version.
    Look(Option<u64>, Look<D>),
    /// Wants to have the state for a while.
    Lend(oneshot::Sender<Result<Lent<D>, Unreached>>),
}

/// A stream's state in the hands of somebody who decides on two streams at once. Not given back, it is
/// forgotten, and loaded when it is needed again.
pub(super) struct Lent<D: Hosted> {
    pub(super) hot: Box<Hot<D>>,
    back: oneshot::Sender<Box<Hot<D>>>,
}

impl<D: Hosted> Lent<D> {
    /// What it holds must be true.
    pub(super) fn give_back(self) {
        // A slot that is gone needs no state.
        let _ = self.back.send(self.hot);
    }
}

impl<D: Hosted> Work<D> {
    fn is_internal(&self) -> bool {
        match self {
            Self::Order(order) => order.context.internal,
            Self::Look(..) | Self::Lend(_) => false,
        }
    }
}

/// An aggregate as the log has it now.
pub(crate) struct View<'a, D> {
    pub(crate) version: Option<u64>,
    pub(crate) state: &'a D,
    pub(crate) position: Position,
    memory: &'a Memory,
}

impl<D> View<'_, D> {
    /// What that command has recorded here, with the fingerprint of its input.
    pub(crate) fn recorded(&self, command: &Uuid) -> Option<&Recorded> {
        self.memory.get(command)
    }
}

/// What a command has recorded.
#[derive(Debug)]
pub(crate) struct Recording<D: Hosted> {
    /// Its events; empty when it was already so, or when it is replayed.
    pub(crate) events: Vec<D::Event>,
    /// The stream's versions of its first and last event, where it has recorded any.
    pub(crate) versions: Option<(u64, u64)>,
    /// Where it is true: of its last event, else of the stream's last event.
    pub(crate) position: Position,
    /// Whether it had been recorded before.
    pub(crate) replayed: bool,
}

impl<D: Hosted> Recording<D> {
    pub(super) fn replayed(recorded: &Recorded) -> Self {
        Self {
            events: Vec::new(),
            versions: Some((recorded.first, recorded.last)),
            position: recorded.position,
            replayed: true,
        }
    }

    /// The stream's last event stands at `position`.
    pub(super) fn already_so(position: Position) -> Self {
        Self { events: Vec::new(), versions: None, position, replayed: false }
    }
}

/// Why a command was not done.
#[derive(Clone, Debug)]
pub(crate) enum Failure<D: Hosted> {
    /// The rules refuse; true at that position.
    Refused(D::Refusal, Position),
    /// Anything else.
    Rejected(Rejection),
    /// A fault that waiting does not mend.
    Broken(Rejection),
}

/// What is to be answered once the batch is durable.
enum Verdict<D: Hosted> {
    /// Events of the batch, by index.
    Recorded(Vec<D::Event>, usize),
    /// The same command stands in this batch already, at that place.
    Repeated(usize),
    Replayed(Recorded),
    AlreadySo,
    Refused(D::Refusal),
    Rejected(Rejection),
}

pub(crate) struct Slot<D: Hosted> {
    house: Arc<House>,
    id: D::Id,
    inbox: Mutex<Inbox<D>>,
    /// When it was last used: microseconds of the monotonic clock.
    pub(super) used: AtomicU64,
}

struct Inbox<D: Hosted> {
    waiting: VecDeque<Work<D>>,
    running: bool,
    /// The state, while the slot is at rest.
    hot: Option<Box<Hot<D>>>,
}

impl<D: Hosted> Slot<D> {
    pub(super) fn new(house: Arc<House>, id: D::Id) -> Self {
        let inbox = Inbox { waiting: VecDeque::new(), running: false, hot: None };
        Self { house, id, inbox: Mutex::new(inbox), used: AtomicU64::new(0) }
    }

    pub(super) fn is_at_rest(&self) -> bool {
        !self.lock().running
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inbox<D>> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues work, and wakes the slot when it is at rest.
    pub(super) fn take_in(self: &Arc<Self>, work: Work<D>) -> Result<(), Rejection> {
        let mut inbox = self.lock();
        if inbox.waiting.len() >= WAITING && !work.is_internal() {
            let stream = stream_name::<D>(&self.id);
            return Err(Rejection::Unavailable(format!("too many are waiting for {stream}")));
        }
        inbox.waiting.push_back(work);
        if !inbox.running {
            inbox.running = true;
            let hot = inbox.hot.take();
            tokio::spawn(self.clone().run(hot));
        }
        Ok(())
    }

    async fn run(self: Arc<Self>, mut hot: Option<Box<Hot<D>>>) {
        loop {
            let batch: Vec<Work<D>> = {
                let mut inbox = self.lock();
                if inbox.waiting.is_empty() {
                    inbox.hot = hot;
                    inbox.running = false;
                    return;
                }
                let count = inbox.waiting.len().min(BATCH);
                inbox.waiting.drain(..count).collect()
            };
            // A rule that panics must not take the stream down with it: the batch is answered as a
            // fault (its senders are dropped), and the state is loaded again.
            let served = AssertUnwindSafe(self.serve(batch, hot.take())).catch_unwind().await;
            hot = match served {
                Ok(hot) => hot,
                Err(_) => {
                    let stream = stream_name::<D>(&self.id);
                    tracing::error!(%stream, "a decision panicked");
                    // If its state was to blame, it is not to come back from there.
                    self.house.snapshots.forget(&stream).await;
                    None
                }
            };
            // Everybody is answered, and what the state holds is durable.
            if let Some(hot) = &mut hot {
                let House { store, settings, snapshots, .. } = &*self.house;
                let stream = || stream_name::<D>(&self.id);
                snapshots.consider(store, settings.snapshot_every, stream, hot);
            }
        }
    }

    async fn serve(&self, batch: Vec<Work<D>>, hot: Option<Box<Hot<D>>>) -> Option<Box<Hot<D>>> {
        let (mut orders, mut looks, mut lends) = (Vec::new(), Vec::new(), Vec::new());
        let mut wanted = None;
        for work in batch {
            match work {
                Work::Order(order) => orders.push(order),
                Work::Look(at_least, look) => {
                    wanted = wanted.max(at_least);
                    looks.push(look);
                }
                Work::Lend(borrower) => lends.push(borrower),
            }
        }
        let hot = hot.filter(|hot| wanted.is_none() || hot.version >= wanted);
        let hot = if orders.is_empty() { hot } else { self.decide(orders, hot, None).await };
        let mut hot = if looks.is_empty() { hot } else { self.show(looks, hot).await };
        for borrower in lends {
            hot = self.lend(borrower, hot).await;
        }
        hot
    }

    async fn loaded(&self, hot: Option<Box<Hot<D>>>) -> Result<Box<Hot<D>>, Unreached> {
        match hot {
            Some(hot) => Ok(hot),
            None => Hot::load(&self.house, &self.id).await.map(Box::new),
        }
    }

    /// Lends the state out and waits until it comes back, or does not.
    async fn lend(
        &self,
        borrower: oneshot::Sender<Result<Lent<D>, Unreached>>,
        hot: Option<Box<Hot<D>>>,
    ) -> Option<Box<Hot<D>>> {
        let (back, returned) = oneshot::channel();
        let lent = self.loaded(hot).await.map(|hot| Lent { hot, back });
        match borrower.send(lent) {
            Ok(()) => returned.await.ok(),
            // Who has gone away has not touched it.
            Err(unwanted) => unwanted.ok().map(|lent| lent.hot),
        }
    }

    async fn show(&self, looks: Vec<Look<D>>, hot: Option<Box<Hot<D>>>) -> Option<Box<Hot<D>>> {
        match self.loaded(hot).await {
            Ok(hot) => {
                for look in looks {
                    look(Ok(View {
                        version: hot.version,
                        state: &hot.aggregate.0,
                        position: hot.position,
                        memory: &hot.memory,
                    }));
                }
                Some(hot)
            }
            Err(unreached) => {
                for look in looks {
                    look(Err(unreached.clone()));
                }
                None
            }
        }
    }

    /// Decides a batch, appends what it decides, answers. Gives back the state when it is true. After a
    /// try of `unknown` outcome no trouble can promise that nothing was recorded.
    async fn decide(
        &self,
        orders: Vec<Order<D>>,
        mut hot: Option<Box<Hot<D>>>,
        mut unknown: Option<String>,
    ) -> Option<Box<Hot<D>>> {
        let promised = |unknown: &Option<String>, rejection: Rejection| match unknown {
            Some(why) => Rejection::OutcomeUnknown(why.clone()),
            None => rejection,
        };
        for again in 0..TRIES {
            let mut current = match hot.take() {
                Some(hot) => hot,
                None => match Hot::load(&self.house, &self.id).await {
                    Ok(hot) => Box::new(hot),
                    Err(Unreached::Passing(rejection)) => {
                        refuse_all(orders, &promised(&unknown, rejection));
                        return None;
                    }
                    Err(Unreached::Broken(rejection)) => {
                        fail_all(orders, &Failure::Broken(promised(&unknown, rejection)));
                        return None;
                    }
                },
            };
            let (events, verdicts) = self.judge(&mut current, &orders).await;
            if events.is_empty() {
                self.answer(orders, verdicts, &current, None);
                return Some(current);
            }
            let count = events.len() as u64;
            let append = StreamAppend {
                stream: stream_name::<D>(&self.id),
                expected: self.house.expected(current.version),
                events,
            };
            let error = match self.house.store.append(vec![append]).await {
                Ok(appended) => {
                    metrics::counter!("holdfast_appends_total", "aggregate" => D::CATEGORY)
                        .increment(1);
                    metrics::counter!("holdfast_append_events_total", "aggregate" => D::CATEGORY)
                        .increment(count);
                    let last = appended.stream_versions.first().copied().unwrap_or_default();
                    let begin = Begin { version: last + 1 - count, position: appended.first };
                    current.version = Some(last);
                    current.position = appended.last;
                    self.remember(&mut current, &orders, &verdicts, begin);
                    self.answer(orders, verdicts, &current, Some(begin));
                    return Some(current);
                }
                Err(error) => error,
            };
            match error {
                AppendError::Conflict { .. } => {}
                // A server may have lost only the answer: what the stream says then decides.
                AppendError::Unknown(why) if self.house.store.trouble().is_none() => {
                    tracing::warn!(stream = %stream_name::<D>(&self.id), why, "looking an append up");
                    unknown = Some(why);
                }
                AppendError::Unknown(why) => {
                    refuse_all(orders, &Rejection::OutcomeUnknown(why));
                    return None;
                }
                AppendError::Invalid(why) if orders.len() == 1 => {
                    refuse_all(orders, &Rejection::InvalidInput(why));
                    return None;
                }
                // One of them is too large; the others have nothing to do with it.
                AppendError::Invalid(_) => {
                    let mut hot = None;
                    for order in orders {
                        hot = Box::pin(self.decide(vec![order], hot, unknown.clone())).await;
                    }
                    return hot;
                }
                AppendError::Full | AppendError::Stopped(_) => {
                    let rejection = Rejection::Unavailable(error.to_string());
                    refuse_all(orders, &promised(&unknown, rejection));
                    return None;
                }
            }
            metrics::counter!("holdfast_conflicts_total", "aggregate" => D::CATEGORY).increment(1);
            let most = 1u64 << again.min(6);
            let jitter = self.house.chance() % (most + 1);
            tokio::time::sleep(Duration::from_millis(jitter)).await;
        }
        let stream = stream_name::<D>(&self.id);
        let busy =
            Rejection::Unavailable(format!("others were faster at {stream}, again and again"));
        refuse_all(orders, &promised(&unknown, busy));
        None
    }

    /// Judges each command on what the ones before it have decided.
    async fn judge(
        &self,
        hot: &mut Hot<D>,
        orders: &[Order<D>],
    ) -> (Vec<NewEvent>, Vec<Verdict<D>>) {
        let now = self.house.now();
        let mut events = Vec::with_capacity(orders.len());
        let mut verdicts: Vec<Verdict<D>> = Vec::with_capacity(orders.len());
        let mut in_batch: HashMap<Uuid, usize> = HashMap::with_capacity(orders.len());
        for (index, order) in orders.iter().enumerate() {
            let known = in_batch.get(&order.context.command_id).copied();
            let verdict = match self.before(hot, orders, order, known) {
                Some(verdict) => verdict,
                None => {
                    let now = order.context.moment.unwrap_or(now);
                    let Order { command, context, .. } = order;
                    match self.house.decide(&self.id, hot, command, context, now).await {
                        Err(refusal) => Verdict::Refused(refusal),
                        Ok(Decided { facts, .. }) if facts.is_empty() => Verdict::AlreadySo,
                        Ok(Decided { facts, mut stored }) => {
                            let begin = events.len();
                            events.append(&mut stored);
                            Verdict::Recorded(facts, begin)
                        }
                    }
                }
            };
            if let Verdict::Recorded(..) = verdict {
                in_batch.insert(order.context.command_id, index);
            }
            verdicts.push(verdict);
        }
        (events, verdicts)
    }

    /// What is clear before the rules are asked: repeats and guards.
    fn before(
        &self,
        hot: &Hot<D>,
        orders: &[Order<D>],
        order: &Order<D>,
        known: Option<usize>,
    ) -> Option<Verdict<D>> {
        if let Some(index) = known.filter(|_| self.house.protections.command_memory) {
            let same = orders[index].context.fingerprint() == order.context.fingerprint();
            let reused = Verdict::Rejected(Rejection::KeyReused);
            return Some(if same { Verdict::Repeated(index) } else { reused });
        }
        self.house.settled(hot, &order.context).map(|settled| match settled {
            Settled::Recorded(recorded) => Verdict::Replayed(recorded),
            Settled::Rejected(rejection) => Verdict::Rejected(rejection),
        })
    }

    fn remember(
        &self,
        hot: &mut Hot<D>,
        orders: &[Order<D>],
        verdicts: &[Verdict<D>],
        begin: Begin,
    ) {
        for (order, verdict) in orders.iter().zip(verdicts) {
            if let Verdict::Recorded(events, index) = verdict {
                let recorded = begin.recorded(*index, events.len(), order.context.fingerprint());
                hot.memory.add(order.context.command_id, recorded);
            }
        }
    }

    fn answer(
        &self,
        orders: Vec<Order<D>>,
        verdicts: Vec<Verdict<D>>,
        hot: &Hot<D>,
        begin: Option<Begin>,
    ) {
        let as_of = self.house.store.head().max(hot.position);
        let replayed = Recording::replayed;
        // Of each that was recorded, by its place; what is repeated stands behind it.
        let mut known: Vec<Option<Recorded>> = Vec::with_capacity(verdicts.len());
        for (order, verdict) in orders.into_iter().zip(verdicts) {
            let recorded = match &verdict {
                Verdict::Recorded(events, index) => {
                    begin.map(|begin| begin.recorded(*index, events.len(), None))
                }
                Verdict::Repeated(_)
                | Verdict::Replayed(_)
                | Verdict::AlreadySo
                | Verdict::Refused(_)
                | Verdict::Rejected(_) => None,
            };
            known.push(recorded);
            let of = |place: usize| known[place].as_ref().expect("it was recorded");
            let outcome = match verdict {
                Verdict::Recorded(events, _) => {
                    Ok(Recording { events, replayed: false, ..replayed(of(known.len() - 1)) })
                }
                Verdict::Repeated(first) => Ok(replayed(of(first))),
                Verdict::Replayed(recorded) => Ok(replayed(&recorded)),
                Verdict::AlreadySo => Ok(Recording::already_so(hot.position)),
                Verdict::Refused(refusal) => Err(Failure::Refused(refusal, as_of)),
                Verdict::Rejected(rejection) => Err(Failure::Rejected(rejection)),
            };
            // Who has stopped waiting asks again with the same key.
            let _ = order.answer.send(outcome);
        }
    }
}

/// Where an append begins, in its stream and in the log.
#[derive(Clone, Copy)]
pub(super) struct Begin {
    pub(super) version: u64,
    pub(super) position: Position,
}

impl Begin {
    /// What a command has recorded whose events begin at `index` of the append.
    pub(super) fn recorded(
        self,
        index: usize,
        count: usize,
        fingerprint: Option<&str>,
    ) -> Recorded {
        let first = self.version + index as u64;
        let last = first + count as u64 - 1;
        let position = Position(self.position.0 + (index + count) as u64 - 1);
        Recorded { fingerprint: fingerprint.map(Arc::from), first, last, position }
    }
}

fn refuse_all<D: Hosted>(orders: Vec<Order<D>>, rejection: &Rejection) {
    fail_all(orders, &Failure::Rejected(rejection.clone()));
}

fn fail_all<D: Hosted>(orders: Vec<Order<D>>, failure: &Failure<D>) {
    for order in orders {
        // Who has stopped waiting asks again with the same key.
        let _ = order.answer.send(Err(failure.clone()));
    }
}
