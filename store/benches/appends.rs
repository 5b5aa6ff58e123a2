//! Durable guarded appends per second at 1, 8, 64 and 256 producers, beside the upper bound that the
//! machine sets: a bare writer thread with the same queue, a checksum, one write and one `fdatasync`
//! for each batch into a zeroed file, and no checks, no index, no readers. Rounds of both alternate;
//! what is printed are medians.
//!
//! ```sh
//! cargo bench -p holdfast-store --bench appends            # five rounds of a second each
//! HOLDFAST_BENCH_DIR=/mnt/disk HOLDFAST_BENCH_MILLIS=300 HOLDFAST_BENCH_ROUNDS=3 cargo bench …
//! ```

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use holdfast_store::embedded::{Embedded, Options};
use holdfast_store::{EventStore, Expected, Filter, NewEvent, Position, StreamAppend, StreamId};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

const PRODUCERS: [usize; 4] = [1, 8, 64, 256];
const PAYLOAD_BYTES: usize = 256;
const FILE_BYTES: u64 = 64 << 20;

fn main() {
    // Cargo also runs benches as tests: then a glance is enough.
    let measuring = std::env::args().any(|arg| arg == "--bench");
    let number = |name: &str, or: u64| {
        std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(or)
    };
    let millis = number("HOLDFAST_BENCH_MILLIS", if measuring { 1000 } else { 20 });
    let only = number("HOLDFAST_BENCH_PRODUCERS", 0) as usize;
    let rounds = number("HOLDFAST_BENCH_ROUNDS", if measuring { 5 } else { 1 });
    let span = Duration::from_millis(millis);
    let root =
        std::env::var_os("HOLDFAST_BENCH_DIR").unwrap_or_else(|| std::env::temp_dir().into());
    let dir = tempfile::tempdir_in(root).expect("a directory to write to");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");

    println!("fdatasync of 512 B into a zeroed file, p50: {:.0} µs", bare_sync_micros(dir.path()));
    println!(
        "| producers | holdfast appends/s | p50 µs | p99 µs | CPU ns: writer, all | bare writer/s | p50 µs | p99 µs | CPU ns: writer, all | ratio |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for producers in PRODUCERS.into_iter().filter(|p| only == 0 || only == *p) {
        let (mut ours, mut bare) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            let home = dir.path().join(format!("{producers}-{round}"));
            ours.push(runtime.block_on(holdfast(&home, producers, span)));
            bare.push(runtime.block_on(bare_writer(&home, producers, span)));
            std::fs::remove_dir_all(&home).expect("the directory goes");
        }
        let (ours, bare) = (Round::median(ours), Round::median(bare));
        println!(
            "| {producers} | {:.0} | {} | {} | {} | {:.0} | {} | {} | {} | {:.0} % |",
            ours.per_second,
            ours.p50,
            ours.p99,
            ours.cpu,
            bare.per_second,
            bare.p50,
            bare.p99,
            bare.cpu,
            100.0 * ours.per_second / bare.per_second
        );
    }
    if number("HOLDFAST_BENCH_REPLAY", 1) == 0 {
        return;
    }
    runtime.block_on(replay(&dir.path().join("replay"), if measuring { 1_000_000 } else { 1000 }));
}

struct Round {
    per_second: f64,
    p50: u64,
    p99: u64,
    cpu: Cpu,
}

/// What an append costs the processors, in nanoseconds: in the writer's thread, and in all. Unlike the
/// rate it hardly changes when others keep the machine busy.
#[derive(Clone, Copy)]
struct Cpu {
    writer: f64,
    all: f64,
}

impl Cpu {
    /// Used by this process's threads so far; zero where there is no `/proc`.
    fn so_far() -> Self {
        let mut cpu = Self { writer: 0.0, all: 0.0 };
        for task in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
            let read = |name| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
            let nanos = read("schedstat").split(' ').next().and_then(|n| n.parse().ok());
            let nanos: f64 = nanos.unwrap_or_default();
            cpu.all += nanos;
            if read("comm").trim_end().ends_with("-writer") {
                cpu.writer += nanos;
            }
        }
        cpu
    }

    /// Since then, for each of so many appends.
    fn since(then: Self, appends: usize) -> Self {
        let now = Self::so_far();
        let each = |now: f64, then: f64| (now - then) / appends.max(1) as f64;
        Self { writer: each(now.writer, then.writer), all: each(now.all, then.all) }
    }
}

impl std::fmt::Display for Cpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.0}, {:.0}", self.writer, self.all)
    }
}

impl Round {
    fn of(mut latencies: Vec<u64>, took: Duration, before: Cpu) -> Self {
        let cpu = Cpu::since(before, latencies.len());
        latencies.sort_unstable();
        let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
        Self {
            per_second: latencies.len() as f64 / took.as_secs_f64(),
            p50: at(0.5),
            p99: at(0.99),
            cpu,
        }
    }

    fn median(mut rounds: Vec<Self>) -> Self {
        rounds.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
        rounds.swap_remove(rounds.len() / 2)
    }
}

/// Runs `producers` tasks that append one thing after the other until the time is over.
async fn produce<F, Fut>(producers: usize, span: Duration, append: F) -> Round
where
    F: Fn(usize, u64) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send,
{
    let append = Arc::new(append);
    let (before, start) = (Cpu::so_far(), Instant::now());
    let tasks: Vec<_> = (0..producers)
        .map(|producer| {
            let append = Arc::clone(&append);
            tokio::spawn(async move {
                let (mut latencies, mut version) = (Vec::new(), 0);
                while start.elapsed() < span {
                    let begun = Instant::now();
                    append(producer, version).await;
                    latencies.push(begun.elapsed().as_micros() as u64);
                    version += 1;
                }
                latencies
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.expect("a producer"));
    }
    Round::of(latencies, start.elapsed(), before)
}

fn payload() -> Bytes {
    vec![b'x'; PAYLOAD_BYTES].into()
}

fn one(stream: StreamId, version: u64, data: Bytes) -> Vec<StreamAppend> {
    let expected = version.checked_sub(1).map_or(Expected::NoStream, Expected::Exact);
    let event = NewEvent {
        id: Uuid::from_u128(u128::from(version)),
        kind: "bench.happened".to_owned(),
        schema_version: 1,
        metadata: Bytes::from_static(br#"{"actor":"system:bench"}"#),
        data,
    };
    vec![StreamAppend { stream, expected, events: vec![event] }]
}

async fn holdfast(home: &Path, producers: usize, span: Duration) -> Round {
    let store = Arc::new(Embedded::open(home, Options::default()).expect("a log"));
    // The next segment is prepared in the background meanwhile: what is measured is the steady state.
    while !home.join("log/0000000002.seg").exists() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let (data, appender) = (payload(), Arc::clone(&store));
    let streams: Vec<_> = (0..producers).map(|p| StreamId::new(format!("bench-{p}"))).collect();
    let round = produce(producers, span, move |producer, version| {
        let (store, batches) =
            (Arc::clone(&appender), one(streams[producer].clone(), version, data.clone()));
        async move {
            store.append(batches).await.expect("an append");
        }
    })
    .await;
    store.close().await;
    round
}

/// The machine's own bound.
async fn bare_writer(home: &Path, producers: usize, span: Duration) -> Round {
    let file = zeroed(&home.join("bare"), FILE_BYTES);
    let (queue, mut orders) = mpsc::channel::<(Bytes, oneshot::Sender<u64>)>(4096);
    let thread = std::thread::Builder::new().name("bare-writer".into());
    let writer = thread.spawn(move || {
        let (mut at, mut count) = (0, 0);
        while let Some(first) = orders.blocking_recv() {
            let (mut buffer, mut waiting) = (Vec::new(), Vec::new());
            let mut next = Some(first);
            while let Some((data, answer)) = next {
                buffer.extend_from_slice(&data);
                waiting.push(answer);
                next = orders.try_recv().ok();
            }
            buffer.extend_from_slice(&crc32c::crc32c(&buffer).to_le_bytes());
            if at + buffer.len() as u64 > FILE_BYTES {
                at = 0;
            }
            file.write_all_at(&buffer, at).expect("a write");
            file.sync_data().expect("a sync");
            at += buffer.len() as u64;
            for answer in waiting {
                count += 1;
                let _ = answer.send(count);
            }
        }
    });
    let writer = writer.expect("a thread");
    // As many bytes as an event takes in a frame.
    let data = Bytes::from(vec![b'x'; PAYLOAD_BYTES + 90]);
    let round = produce(producers, span, move |_, _| {
        let (queue, data) = (queue.clone(), data.clone());
        async move {
            let (answer, answered) = oneshot::channel();
            queue.send((data, answer)).await.expect("a writer");
            answered.await.expect("an answer");
        }
    })
    .await;
    writer.join().expect("a writer that ends");
    round
}

fn zeroed(path: &Path, bytes: u64) -> File {
    std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
    let file =
        OpenOptions::new().create(true).truncate(true).write(true).open(path).expect("a file");
    let zeros = vec![0; 1 << 20];
    for at in (0..bytes).step_by(zeros.len()) {
        file.write_all_at(&zeros, at).expect("a write");
    }
    file.sync_all().expect("a sync");
    file
}

fn bare_sync_micros(dir: &Path) -> f64 {
    let file = zeroed(&dir.join("sync"), 4 << 20);
    let mut micros: Vec<f64> = (0..2000u64)
        .map(|i| {
            let begun = Instant::now();
            file.write_all_at(&[1; 512], i * 512).expect("a write");
            file.sync_data().expect("a sync");
            begun.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    micros.sort_by(f64::total_cmp);
    micros[micros.len() / 2]
}

/// A follower reads the whole log from the disk: checked, taken apart, handed over.
async fn replay(home: &Path, events: u64) {
    let store = Arc::new(Embedded::open(home, Options::default()).expect("a log"));
    let written = Arc::new(AtomicU64::new(0));
    let writers: Vec<_> = (0..64)
        .map(|w| {
            let (store, written, data) = (Arc::clone(&store), Arc::clone(&written), payload());
            tokio::spawn(async move {
                let stream = StreamId::new(format!("bench-{w}"));
                while written.fetch_add(20, Ordering::Relaxed) < events {
                    let mut batches = one(stream.clone(), 0, data.clone());
                    batches[0].expected = Expected::Any;
                    let event = batches[0].events[0].clone();
                    batches[0].events.resize(20, event);
                    store.append(batches).await.expect("an append");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("a writer");
    }
    store.close().await;
    drop(store);
    let begun = Instant::now();
    let store = Embedded::open(home, Options::default()).expect("a log");
    let (opened, head) = (begun.elapsed(), store.head());
    let begun = Instant::now();
    let (mut from, mut read, mut bytes) = (Position::FIRST, 0usize, 0usize);
    while from <= head {
        let page = store.read_all(from, &Filter::All, 512).await.expect("a page");
        bytes += page.events.iter().map(|e| e.data.len()).sum::<usize>();
        read += page.events.len();
        from = page.next;
    }
    let took = begun.elapsed().as_secs_f64();
    println!(
        "open {head} events: {:.0} ms; replay: {:.0} events/s, {:.0} MB of payload/s",
        opened.as_secs_f64() * 1e3,
        read as f64 / took,
        bytes as f64 / took / 1e6
    );
    drop(store);
    let sequential = bare_read(&home.join("log"));
    println!(
        "bare sequential read and checksum of the same files: {:.0} events/s",
        read as f64 / sequential
    );
}

/// Seconds to read all segments and run the checksum over them.
fn bare_read(log: &Path) -> f64 {
    let begun = Instant::now();
    let mut sum = 0;
    let mut buffer = vec![0; 1 << 20];
    for entry in std::fs::read_dir(log).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|e| e == "seg") {
            let file = File::open(path).expect("a segment");
            let mut at = 0;
            loop {
                let len = file.read_at(&mut buffer, at).expect("a read");
                if len == 0 {
                    break;
                }
                sum = crc32c::crc32c_append(sum, &buffer[..len]);
                at += len as u64;
            }
        }
    }
    std::hint::black_box(sum);
    begun.elapsed().as_secs_f64()
}
