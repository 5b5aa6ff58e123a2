//! What it costs to know, after a crash, that the last acknowledged frame is there: the ways to do it
//! beside one bare write and `fdatasync` into a zeroed file. `store/FORMAT.md` says why it is needed
//! and which way was taken; `benches/README.md` keeps the table ("The mirrored tail").
//!
//! Frames of 400 B (one producer's), 20 KB (64 producers') and 100 KB (256 producers'). All ways
//! take turns in short rounds of one run; what is printed are medians and 99th percentiles over all.
//!
//! ```sh
//! cargo bench -p holdfast-store --bench tail
//! HOLDFAST_BENCH_DIR=/mnt/disk HOLDFAST_BENCH_ROUNDS=20 cargo bench -p holdfast-store --bench tail
//! ```

use std::fs::{File, OpenOptions};
use std::hint::spin_loop;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

use bytes::Bytes;

const FRAMES: [(&str, usize); 3] = [("400 B", 400), ("20 KB", 20_000), ("100 KB", 100_000)];
const FRAMES_A_ROUND: usize = 60;
const FILE_BYTES: u64 = 32 << 20;
/// A slot of the mirror: two of them take turns.
const SLOT_BYTES: u64 = 1 << 20;
/// What is spun before a thread goes to sleep, where a way spins.
const SPIN: Duration = Duration::from_micros(20);

fn main() {
    // Cargo also runs benches as tests: then a glance is enough.
    let measuring = std::env::args().any(|arg| arg == "--bench");
    let rounds = std::env::var("HOLDFAST_BENCH_ROUNDS").ok().and_then(|n| n.parse().ok());
    let rounds: usize = rounds.unwrap_or(if measuring { 20 } else { 1 });
    let root =
        std::env::var_os("HOLDFAST_BENCH_DIR").unwrap_or_else(|| std::env::temp_dir().into());
    let dir = tempfile::tempdir_in(root).expect("a directory to write to");
    let file = |name: &str| Arc::new(zeroed(&dir.path().join(name)));
    let mut main = Main { file: file("main"), at: 0 };
    let other = file("other");

    let mut ways: Vec<(&str, Box<dyn Way>)> = vec![
        ("bare: one write, one sync", Box::new(Bare)),
        ("a: then a watermark, synced", Box::new(Watermark(Arc::clone(&other)))),
        ("b: mirror in parallel, park", Box::new(Beside::new(&other, Parking::new(None)))),
        (
            "b: mirror in parallel, spin, park",
            Box::new(Beside::new(&other, Parking::new(Some(SPIN)))),
        ),
        ("b: mirror in parallel, condvar", Box::new(Beside::new(&other, Condition::default()))),
        ("b: mirror in parallel, channels", Box::new(Channels::new(&other))),
        ("c: copy in the same file, one sync", Box::new(SameFile)),
        ("d: both written, synced in turn", Box::new(InTurn(Arc::clone(&other)))),
    ];
    println!("| frame | way | p50 µs | p99 µs | p50 : bare | frames/s |");
    println!("|---|---|---|---|---|---|");
    for (name, len) in FRAMES {
        let frame = Bytes::from(vec![b'x'; len]);
        let mut took: Vec<Vec<f64>> = vec![Vec::new(); ways.len()];
        for round in 0..rounds {
            for i in 0..ways.len() {
                // Each round begins with another way.
                let i = (i + round) % ways.len();
                for count in 0..FRAMES_A_ROUND as u64 {
                    let at = main.next(len as u64);
                    let begun = Instant::now();
                    ways[i].1.commit(&main.file, at, &frame, count);
                    took[i].push(begun.elapsed().as_secs_f64() * 1e6);
                }
            }
        }
        let mut bare = None;
        for ((way, _), took) in ways.iter().zip(&mut took) {
            let second = took.len() as f64 / took.iter().sum::<f64>() * 1e6;
            took.sort_by(f64::total_cmp);
            let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
            let ratio = at(0.5) / *bare.get_or_insert(at(0.5));
            println!(
                "| {name} | {way} | {:.0} | {:.0} | {ratio:.2} | {second:.0} |",
                at(0.5),
                at(0.99)
            );
        }
    }
}

struct Main {
    file: Arc<File>,
    at: u64,
}

impl Main {
    /// Where the next frame stands: behind the last, as in a log. Half the file is left for (c).
    fn next(&mut self, len: u64) -> u64 {
        if self.at + len > FILE_BYTES / 2 {
            self.at = 0;
        }
        let at = self.at;
        self.at = (at + len).next_multiple_of(8);
        at
    }
}

/// One way to make a frame durable.
trait Way {
    fn commit(&mut self, main: &File, at: u64, frame: &Bytes, count: u64);
}

fn put(file: &File, at: u64, bytes: &[u8]) {
    file.write_all_at(bytes, at).expect("a write");
    file.sync_data().expect("a sync");
}

fn slot(count: u64) -> u64 {
    count % 2 * SLOT_BYTES
}

struct Bare;

impl Way for Bare {
    fn commit(&mut self, main: &File, at: u64, frame: &Bytes, _: u64) {
        put(main, at, frame);
    }
}

struct Watermark(Arc<File>);

impl Way for Watermark {
    fn commit(&mut self, main: &File, at: u64, frame: &Bytes, count: u64) {
        put(main, at, frame);
        put(&self.0, count % 2 * 512, &[b'w'; 64]);
    }
}

struct SameFile;

impl Way for SameFile {
    fn commit(&mut self, main: &File, at: u64, frame: &Bytes, count: u64) {
        main.write_all_at(frame, FILE_BYTES / 2 + slot(count)).expect("a write");
        put(main, at, frame);
    }
}

struct InTurn(Arc<File>);

impl Way for InTurn {
    fn commit(&mut self, main: &File, at: u64, frame: &Bytes, count: u64) {
        main.write_all_at(frame, at).expect("a write");
        put(&self.0, slot(count), frame);
        main.sync_data().expect("a sync");
    }
}

type Job = (Bytes, u64);

/// How a copy is handed to a thread and its end is waited for.
trait HandOver: Send + Sync + 'static {
    fn give(&self, job: Job);
    fn wait_done(&self);
    /// `None` when it is over.
    fn take(&self) -> Option<Job>;
    fn done(&self);
    fn end(&self);
    fn helper(&self, helper: &Thread);
}

struct Beside<H: HandOver> {
    hands: Arc<H>,
    helper: Option<JoinHandle<()>>,
}

impl<H: HandOver> Beside<H> {
    fn new(file: &Arc<File>, hands: H) -> Self {
        let (file, hands) = (Arc::clone(file), Arc::new(hands));
        let theirs = Arc::clone(&hands);
        let helper = std::thread::spawn(move || {
            while let Some((bytes, at)) = theirs.take() {
                put(&file, at, &bytes);
                theirs.done();
            }
        });
        hands.helper(helper.thread());
        Self { hands, helper: Some(helper) }
    }
}

impl<H: HandOver> Way for Beside<H> {
    fn commit(&mut self, main: &File, at: u64, frame: &Bytes, count: u64) {
        self.hands.give((frame.clone(), slot(count)));
        put(main, at, frame);
        self.hands.wait_done();
    }
}

impl<H: HandOver> Drop for Beside<H> {
    fn drop(&mut self) {
        self.hands.end();
        if let Some(helper) = self.helper.take() {
            helper.join().expect("a helper that ends");
        }
    }
}

/// Two counters, and `park`; spins first where told.
struct Parking {
    spin: Option<Duration>,
    job: Mutex<Option<Job>>,
    given: AtomicU64,
    finished: AtomicU64,
    over: AtomicBool,
    taken: AtomicU64,
    main: Thread,
    helper: Mutex<Option<Thread>>,
}

impl Parking {
    fn new(spin: Option<Duration>) -> Self {
        Self {
            spin,
            job: Mutex::default(),
            given: AtomicU64::new(0),
            finished: AtomicU64::new(0),
            over: AtomicBool::new(false),
            taken: AtomicU64::new(0),
            main: std::thread::current(),
            helper: Mutex::default(),
        }
    }

    fn until(&self, holds: impl Fn() -> bool) {
        if let Some(span) = self.spin {
            let begun = Instant::now();
            while !holds() && begun.elapsed() < span {
                spin_loop();
            }
        }
        while !holds() {
            std::thread::park();
        }
    }
}

impl HandOver for Parking {
    fn give(&self, job: Job) {
        *self.job.lock().expect("a lock") = Some(job);
        self.given.fetch_add(1, Ordering::Release);
        if let Some(helper) = &*self.helper.lock().expect("a lock") {
            helper.unpark();
        }
    }

    fn wait_done(&self) {
        let given = self.given.load(Ordering::Relaxed);
        self.until(|| self.finished.load(Ordering::Acquire) == given);
    }

    fn take(&self) -> Option<Job> {
        let next = self.taken.fetch_add(1, Ordering::Relaxed) + 1;
        self.until(|| {
            self.given.load(Ordering::Acquire) == next || self.over.load(Ordering::Acquire)
        });
        self.job.lock().expect("a lock").take()
    }

    fn done(&self) {
        self.finished.fetch_add(1, Ordering::Release);
        self.main.unpark();
    }

    fn end(&self) {
        self.over.store(true, Ordering::Release);
        if let Some(helper) = &*self.helper.lock().expect("a lock") {
            helper.unpark();
        }
    }

    fn helper(&self, helper: &Thread) {
        *self.helper.lock().expect("a lock") = Some(helper.clone());
    }
}

#[derive(Default)]
enum Step {
    #[default]
    Idle,
    Given(Job),
    Working,
    Over,
}

#[derive(Default)]
struct Condition {
    step: Mutex<Step>,
    changed: Condvar,
}

impl Condition {
    fn set(&self, step: Step) {
        *self.step.lock().expect("a lock") = step;
        self.changed.notify_all();
    }
}

impl HandOver for Condition {
    fn give(&self, job: Job) {
        self.set(Step::Given(job));
    }

    fn wait_done(&self) {
        let step = self.step.lock().expect("a lock");
        drop(self.changed.wait_while(step, |step| !matches!(step, Step::Idle)).expect("a lock"));
    }

    fn take(&self) -> Option<Job> {
        let step = self.step.lock().expect("a lock");
        let idle = |step: &mut Step| matches!(step, Step::Idle | Step::Working);
        let mut step = self.changed.wait_while(step, idle).expect("a lock");
        match std::mem::replace(&mut *step, Step::Working) {
            Step::Given(job) => Some(job),
            Step::Over | Step::Idle | Step::Working => None,
        }
    }

    fn done(&self) {
        self.set(Step::Idle);
    }

    fn end(&self) {
        self.set(Step::Over);
    }

    fn helper(&self, _: &Thread) {}
}

struct Channels {
    jobs: Option<mpsc::SyncSender<Job>>,
    done: mpsc::Receiver<()>,
    helper: Option<JoinHandle<()>>,
}

impl Channels {
    fn new(file: &Arc<File>) -> Self {
        let (jobs, todo) = mpsc::sync_channel::<Job>(1);
        let (finished, done) = mpsc::sync_channel(1);
        let file = Arc::clone(file);
        let helper = std::thread::spawn(move || {
            while let Ok((bytes, at)) = todo.recv() {
                put(&file, at, &bytes);
                finished.send(()).expect("who waits is there");
            }
        });
        Self { jobs: Some(jobs), done, helper: Some(helper) }
    }
}

impl Way for Channels {
    fn commit(&mut self, main: &File, at: u64, frame: &Bytes, count: u64) {
        let jobs = self.jobs.as_ref().expect("it is not dropped");
        jobs.send((frame.clone(), slot(count))).expect("the helper is there");
        put(main, at, frame);
        self.done.recv().expect("the helper answers");
    }
}

impl Drop for Channels {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(helper) = self.helper.take() {
            helper.join().expect("a helper that ends");
        }
    }
}

fn zeroed(path: &Path) -> File {
    let file =
        OpenOptions::new().create(true).truncate(true).write(true).open(path).expect("a file");
    let zeros = vec![0; 1 << 20];
    for at in (0..FILE_BYTES).step_by(zeros.len()) {
        file.write_all_at(&zeros, at).expect("a write");
    }
    file.sync_all().expect("a sync");
    file
}
