//! The queue, and the way from an append to those who follow the log, in thousands of orders.
//!
//! [Shuttle](https://docs.rs/shuttle) runs threads and tasks one at a time and chooses, at each lock,
//! each wait and each step named below, who goes on. It finds what no test with real threads finds
//! reliably: a wake-up that comes too early, an answer that overtakes what it speaks of.
//!
//! **Real**: the queue and the writer (both files are compiled here once more, with shuttle's mutex and
//! condition variable), the group, the log, the view, the subscription; the disk is the simulated one.
//! **Steps** at which others may go on: every lock and wait of the queue, every write and sync of the
//! disk (before and after), before and after the head is told.
//! **Taken for granted**: the view's own lock (its sections never wait, so each is one step), tokio's
//! `oneshot` and `watch`, the memory model below the locks (shuttle's is sequentially consistent).
//!
//! Seeds are fixed; `HOLDFAST_SEEDS=100000` tries as many orders. A failure prints its schedule, which
//! `shuttle::replay` repeats.

mod sync {
    pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use std::sync::PoisonError;

    pub(crate) use tokio::sync::oneshot;

    /// Tokio's, with a step before and after the head is told.
    pub(crate) mod watch {
        use super::super::step;

        pub(crate) struct Sender<T>(pub(crate) tokio::sync::watch::Sender<T>);

        impl<T> Sender<T> {
            pub(crate) fn send_replace(&self, value: T) -> T {
                step();
                let old = self.0.send_replace(value);
                step();
                old
            }
        }
    }
}

#[path = "../queue.rs"]
mod queue;
#[path = "../writer.rs"]
mod writer;

use std::collections::HashSet;
use std::hash::RandomState;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use async_trait::async_trait;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner, future, thread};
use uuid::Uuid;

use super::super::disk::{Access, Disk, DiskFile, DiskLock};
use super::super::encode::Encoded;
use super::super::group::Group;
use super::super::sim::{Leaves, SimDisk};
use super::super::twins::{Twin, Twins};
use super::super::view::View;
// What the two files name with `super::`.
use super::super::{disk, encode, frame, group, log, recovery, twins, view};
use super::tiny;
use crate::contract::{batch, everything};
use crate::{
    AppendError, Appended, Direction, EventStore, Expected, Filter, Page, Position, ReadError,
    RecordedEvent, StreamAppend, StreamId, Subscription,
};
use queue::{Consumer, Producers};
use writer::{Order, Writer};

const SEED: u64 = 0x0068_6f6c_6466_6173;
/// How many others may push in between, in the second scheduler's orders.
const DEPTH: usize = 4;

/// Lets others go on.
fn step() {
    shuttle::sync::atomic::AtomicBool::new(false).load(Ordering::SeqCst);
}

/// Runs `test` in `orders` orders of each scheduler, or in as many as `HOLDFAST_SEEDS` says.
fn try_orders(orders: u64, test: fn(Twins)) {
    let orders = super::seeds(orders).end as usize;
    run(RandomScheduler::new_from_seed(SEED, orders), FailurePersistence::Print, test, None);
    run(PctScheduler::new_from_seed(SEED, DEPTH, orders), FailurePersistence::Print, test, None);
}

fn run(
    scheduler: impl Scheduler + 'static,
    failure_persistence: FailurePersistence,
    test: fn(Twins),
    missing: Option<Twin>,
) {
    let mut config = Config::new();
    config.stack_size = 256 << 10;
    config.failure_persistence = failure_persistence;
    config.max_steps = MaxSteps::FailAfter(20_000);
    let twins = missing.map(Twins::without).unwrap_or_default();
    Runner::new(scheduler, config).run(move || test(twins));
}

/// Takes a protection away and says what the schedulers find.
#[track_caller]
fn found(missing: Twin, test: fn(Twins), what: &str) {
    const BUDGET: usize = 2000;
    let failure = catch_unwind(AssertUnwindSafe(|| {
        let (none, missing) = (FailurePersistence::None, Some(missing));
        run(RandomScheduler::new_from_seed(SEED, BUDGET), none.clone(), test, missing);
        run(PctScheduler::new_from_seed(SEED, DEPTH, BUDGET), none, test, missing);
    }));
    let failure = failure.expect_err("the schedulers find it");
    let said = failure.downcast_ref::<String>().map(String::as_str);
    let said = said.or_else(|| failure.downcast_ref::<&str>().copied()).unwrap_or_default();
    assert!(said.contains(what), "{missing:?} was found by another complaint: {said}");
}

// ---- the queue alone

/// Producers in a line for few places: what they push comes out once each, in each one's order.
fn producers_by_turns(twins: Twins) {
    let (producers, mut consumer) = queue::queue(2, twins);
    let producers = Arc::new(producers);
    for producer in 0..4 {
        let producers = Arc::clone(&producers);
        let push = async move {
            for n in 0..3 {
                producers.push((producer, n)).await.expect("it is not closed");
            }
        };
        drop(future::spawn(push));
    }
    drop(producers);
    let mut next = [0; 4];
    while let Some((producer, n)) = consumer.recv() {
        assert_eq!(n, next[producer], "in order, none lost, none doubled");
        next[producer] += 1;
    }
    assert_eq!(next, [3; 4], "all came out");
}

#[test]
fn what_is_pushed_comes_out_once_and_in_order() {
    try_orders(1500, producers_by_turns);
}

#[test]
fn shuttle_finds_it_when_only_one_producer_is_woken() {
    found(Twin::WakesOneProducer, producers_by_turns, "deadlock");
}

#[test]
fn shuttle_finds_it_when_the_writer_sleeps_without_looking() {
    found(Twin::SleepsWithoutLooking, producers_by_turns, "deadlock");
}

/// Some give up while they wait for a place: what they had is not in the queue, unless they were told
/// that it is, and their place goes to the next.
fn some_give_up(twins: Twins) {
    let (producers, mut consumer) = queue::queue(1, twins);
    let producers = Arc::new(producers);
    let tasks: Vec<_> = (0..5)
        .map(|n| {
            let producers = Arc::clone(&producers);
            future::spawn(async move {
                let push = producers.push(n);
                if n % 2 == 0 {
                    return push.await.is_ok();
                }
                let mut push = Box::pin(push);
                let pushed = futures::poll!(&mut push);
                step();
                pushed == Poll::Ready(Ok(()))
            })
        })
        .collect();
    drop(producers);
    let came: HashSet<i32> = std::iter::from_fn(|| consumer.recv()).collect();
    for (n, task) in (0..).zip(tasks) {
        let pushed = future::block_on(task).expect("a task that ends");
        assert_eq!(came.contains(&n), pushed, "{n} is there when it was said to be");
        assert!(pushed || n % 2 == 1, "who does not give up gets in");
    }
}

#[test]
fn who_gives_up_leaves_nothing_and_holds_up_nobody() {
    try_orders(1500, some_give_up);
}

#[test]
fn shuttle_finds_it_when_a_place_is_not_given_back() {
    found(Twin::PlaceNotGivenBack, some_give_up, "deadlock");
}

/// The consumer closes at some moment: each item either comes out or goes back.
fn closed_at_some_moment(twins: Twins) {
    let (producers, mut consumer) = queue::queue(2, twins);
    let producers = Arc::new(producers);
    let tasks: Vec<_> = (0..5)
        .map(|n| {
            let producers = Arc::clone(&producers);
            future::spawn(async move { producers.push(n).await })
        })
        .collect();
    let mut came = vec![consumer.recv().expect("somebody pushes")];
    consumer.close();
    came.extend(std::iter::from_fn(|| consumer.recv()));
    for (n, task) in (0..).zip(tasks) {
        match future::block_on(task).expect("a task that ends") {
            Ok(()) => assert!(came.contains(&n), "{n} was taken and is lost"),
            Err(back) => assert!(back == n && !came.contains(&n), "{n} was refused and came"),
        }
    }
}

#[test]
fn closing_is_seen_by_all_and_loses_nothing() {
    try_orders(1500, closed_at_some_moment);
}

// ---- from the append to the follower

/// The simulated disk, with a step before and after each operation once it is `awake`.
#[derive(Clone)]
struct Stepping {
    disk: SimDisk,
    awake: Arc<AtomicBool>,
}

struct SteppingFile {
    file: Arc<dyn DiskFile>,
    awake: Arc<AtomicBool>,
}

impl Stepping {
    fn wrap(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(SteppingFile { file, awake: Arc::clone(&self.awake) })
    }

    /// Whether an event would be there after a power cut now: its id stands in what is durable.
    fn is_durable(&self, id: Uuid) -> bool {
        let after = self.disk.after_power_cut(Leaves::Nothing);
        let names = after.list().expect("a list").into_iter();
        names.filter(|name| name.ends_with(".seg")).any(|name| {
            let file = after.open(&name, Access::Read).expect("a segment");
            let mut bytes = vec![0; file.len_bytes().expect("a length") as usize];
            file.read_at(&mut bytes, 0).expect("a read");
            bytes.windows(16).any(|window| window == id.as_bytes())
        })
    }
}

impl SteppingFile {
    fn around<T>(&self, operation: impl FnOnce() -> T) -> T {
        let steps = || self.awake.load(Ordering::Relaxed).then(step);
        steps();
        let result = operation();
        steps();
        result
    }
}

impl Disk for Stepping {
    fn make_dir(&self) -> io::Result<()> {
        self.disk.make_dir()
    }
    fn lock(&self) -> io::Result<Option<DiskLock>> {
        self.disk.lock()
    }
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }
    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(name, access).map(|file| self.wrap(file))
    }
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.create(name).map(|file| self.wrap(file))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }
    fn sync_dir(&self) -> io::Result<()> {
        self.disk.sync_dir()
    }
    fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes()
    }
}

impl DiskFile for SteppingFile {
    fn len_bytes(&self) -> io::Result<u64> {
        self.file.len_bytes()
    }
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.around(|| self.file.write_at(buf, offset))
    }
    fn sync_data(&self) -> io::Result<()> {
        self.around(|| self.file.sync_data())
    }
}

/// What [`super::super::Embedded`] is, with the writer in one of shuttle's threads.
struct Store {
    view: Arc<View>,
    head: tokio::sync::watch::Receiver<Position>,
    queue: Producers<Order>,
    key: RandomState,
    disk: Stepping,
}

impl Store {
    fn open(twins: Twins, places: usize) -> (Arc<Self>, thread::JoinHandle<()>) {
        let mut options = tiny(16 << 10);
        options.lab.twins = twins;
        let disk = Stepping { disk: SimDisk::new(), awake: Arc::default() };
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let recovery::Opened { log, view, lock, .. } =
            recovery::recover(&shared, &options).expect("a new log");
        let (told, head) = tokio::sync::watch::channel(Position::ZERO);
        let (queue, orders): (Producers<Order>, Consumer<Order>) = queue::queue(places, twins);
        let writer = Writer {
            log,
            view: Arc::clone(&view),
            head: sync::watch::Sender(told),
            queue: orders,
            segment_bytes: options.segment_bytes(),
            group: Group::default(),
            twins,
            lock,
        };
        disk.awake.store(true, Ordering::Relaxed);
        let writer = thread::spawn(move || writer.run());
        (Arc::new(Self { view, head, queue, key: RandomState::new(), disk }), writer)
    }

    async fn close(&self) {
        let (done, closed) = tokio::sync::oneshot::channel();
        if self.queue.push(Order::Close(done)).await.is_ok() {
            closed.await.expect("the writer says when it is closed");
        }
    }
}

#[async_trait]
impl EventStore for Store {
    async fn append(&self, batches: Vec<StreamAppend>) -> Result<Appended, AppendError> {
        writer::append(&self.queue, &self.view, Encoded::new(batches, &self.key)).await
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        from: u64,
        direction: Direction,
        max: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.view.read_stream(stream, from, direction, max).await
    }

    async fn read_all(
        &self,
        from: Position,
        filter: &Filter,
        max: usize,
    ) -> Result<Page, ReadError> {
        self.view.read_all(from, filter, max).await
    }

    fn head(&self) -> Position {
        *self.head.borrow()
    }

    fn watch_head(&self) -> tokio::sync::watch::Receiver<Position> {
        let mut head = self.head.clone();
        head.mark_unchanged();
        head
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}

/// Two events for a stream of its own, and one for a stream that all write to.
fn an_append(n: usize, expected: Expected) -> Vec<StreamAppend> {
    vec![batch(&format!("own-{n}"), Expected::NoStream, 2), batch("all-1", expected, 1)]
}

fn ids(batches: &[StreamAppend]) -> Vec<Uuid> {
    batches.iter().flat_map(|batch| &batch.events).map(|event| event.id).collect()
}

/// Follows the log to its end; whatever it is told of is there to be read, once, in order.
async fn follow(store: Arc<Store>) -> Vec<RecordedEvent> {
    let mut log = Subscription::new(store, Position::ZERO, Filter::All);
    let mut seen: Vec<RecordedEvent> = Vec::new();
    loop {
        match log.next_page().await {
            Ok((events, upto)) => {
                assert!(!events.is_empty(), "told of what cannot be read");
                seen.extend(events);
                assert_eq!(upto.0, seen.len() as u64, "no event is missed, none is doubled");
            }
            Err(ReadError::Closed) => return seen,
            Err(other) => panic!("{other}"),
        }
    }
}

/// Appenders who race for one stream, one who gives up, a follower from the start, one who comes later,
/// and the end of it all at some moment.
fn appends_and_followers(twins: Twins) {
    let (store, writer) = Store::open(twins, 2);
    let early = future::spawn(follow(Arc::clone(&store)));
    let racing: Vec<Vec<StreamAppend>> = (0..3).map(|n| an_append(n, Expected::NoStream)).collect();
    let given_up = an_append(9, Expected::Any);
    let given_up_ids = ids(&given_up);
    // Whoever is refused, one of these was faster.
    let appends = racing.iter().chain([&given_up]);
    let candidates: Arc<Vec<Uuid>> = Arc::new(appends.map(|a| a[1].events[0].id).collect());
    let mut racers = Vec::new();
    for append in racing {
        let (store, candidates) = (Arc::clone(&store), Arc::clone(&candidates));
        racers.push(future::spawn(async move {
            let ids = ids(&append);
            let answer = store.append(append).await;
            match &answer {
                Ok(appended) => {
                    assert!(ids.iter().all(|id| store.disk.is_durable(*id)), "answered too early");
                    assert!(store.head() >= appended.last, "answered before it was told");
                    let page = store.read_all(appended.first, &Filter::All, 3).await;
                    let read: Vec<Uuid> =
                        page.expect("a page").events.iter().map(|event| event.id).collect();
                    assert_eq!(read, ids, "what was answered is read");
                }
                Err(AppendError::Conflict { .. }) => {
                    let durable = candidates.iter().any(|id| store.disk.is_durable(*id));
                    assert!(durable, "refused on account of what is not durable");
                }
                Err(AppendError::Stopped(_)) => {}
                Err(other) => panic!("{other}"),
            }
            (ids, answer)
        }));
    }
    let hasty = {
        let store = Arc::clone(&store);
        future::spawn(async move {
            let mut append = Box::pin(store.append(given_up));
            let _ = futures::poll!(&mut append);
            step();
        })
    };
    let late = future::spawn(follow(Arc::clone(&store)));
    let closer = {
        let store = Arc::clone(&store);
        future::spawn(async move { store.close().await })
    };
    let (mut won, mut refused) = (0, 0);
    let answers: Vec<_> =
        racers.into_iter().map(|racer| future::block_on(racer).expect("a racer")).collect();
    for task in [hasty, closer] {
        future::block_on(task).expect("a task that ends");
    }
    writer.join().expect("the writer ends");
    let seen = future::block_on(early).expect("a follower");
    assert_eq!(seen, future::block_on(late).expect("a follower"));
    assert_eq!(seen, future::block_on(everything(&*store)), "followers have seen all there is");
    let all: Vec<Uuid> = seen.iter().map(|event| event.id).collect();
    let mut whole = 0;
    for (ids, answer) in &answers {
        let there = all.windows(3).any(|window| window == ids);
        let some = ids.iter().any(|id| all.contains(id));
        assert_eq!((there, some), (answer.is_ok(), answer.is_ok()), "whole, or not at all");
        whole += usize::from(there);
        match answer {
            Ok(_) => won += 1,
            Err(_) => refused += 1,
        }
    }
    let there = all.windows(3).any(|window| window == given_up_ids);
    assert_eq!(given_up_ids.iter().any(|id| all.contains(id)), there, "given up: whole or absent");
    assert_eq!(all.len(), 3 * (whole + usize::from(there)), "and nothing else");
    assert!(won <= 1 && won + refused == 3, "one expectation holds once");
}

#[test]
fn followers_see_every_append_once_and_answers_are_true() {
    try_orders(1000, appends_and_followers);
}

#[test]
fn shuttle_finds_it_when_the_head_is_told_before_the_index() {
    found(Twin::HeadBeforeIndex, appends_and_followers, "told of what cannot be read");
}

#[test]
fn shuttle_finds_it_when_a_refusal_hinges_on_what_is_not_durable() {
    found(Twin::RefusalBeforeDurable, appends_and_followers, "refused on account");
}

#[test]
fn shuttle_finds_it_when_an_answer_comes_before_the_sync() {
    found(Twin::AckBeforeSync, appends_and_followers, "answered too early");
}

/// The last handle goes instead of a close: what waits is done, the follower hears the end.
fn the_last_handle_goes(twins: Twins) {
    let (store, writer) = Store::open(twins, 1);
    let mut head = store.watch_head();
    let appends: Vec<_> = (0..3)
        .map(|n| {
            let store = Arc::clone(&store);
            future::spawn(async move { store.append(an_append(n, Expected::Any)).await })
        })
        .collect();
    drop(store);
    future::block_on(async { while head.changed().await.is_ok() {} });
    writer.join().expect("the writer ends");
    let appended = appends.into_iter().map(|append| future::block_on(append).expect("a task"));
    let mut firsts: Vec<u64> = appended.map(|a| a.expect("an answer").first.0).collect();
    firsts.sort_unstable();
    assert_eq!((firsts, *head.borrow()), (vec![1, 4, 7], Position(9)));
}

#[test]
fn dropping_the_store_finishes_what_waits() {
    try_orders(1000, the_last_handle_goes);
}
