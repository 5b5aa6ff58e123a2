//! What measurements share: rounds and their medians, producers, and what the bare machine can do.
//!
//! Used by `appends.rs` beside it and by `benches/peers/`. The bare figures are the upper bounds that
//! ours are held against: the same queue, bytes, checksum, zeroed file and `fdatasync`, and nothing else.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

/// How long the payload of a measured event is.
pub(crate) const PAYLOAD_BYTES: usize = 256;
/// What the rest of an event takes in a frame: lengths, id, stream, kind, metadata.
const AROUND_BYTES: usize = 90;
/// How long the bare writer's file is; it begins again at its front.
const FILE_BYTES: u64 = 64 << 20;

/// What came of one round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    pub(crate) per_second: f64,
    /// Microseconds.
    pub(crate) p50: f64,
    /// Microseconds.
    pub(crate) p99: f64,
    pub(crate) cpu: Cpu,
}

/// What a piece of work costs the processors, in nanoseconds: in the writer's thread, and in all threads
/// of this process. Unlike the rate it hardly changes when others keep the machine busy.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cpu {
    writer: f64,
    all: f64,
}

impl Cpu {
    /// Used by this process's threads so far; zero where there is no `/proc`.
    pub(crate) fn so_far() -> Self {
        let mut cpu = Self::default();
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

    /// Since then, for each of so many pieces of work.
    pub(crate) fn since(then: Self, count: usize) -> Self {
        let now = Self::so_far();
        let each = |now: f64, then: f64| (now - then) / count.max(1) as f64;
        Self { writer: each(now.writer, then.writer), all: each(now.all, then.all) }
    }
}

impl std::fmt::Display for Cpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.all == 0.0 {
            return f.write_str("–");
        }
        write!(f, "{:.0}, {:.0}", self.writer, self.all)
    }
}

impl Round {
    fn of(mut latencies: Vec<Duration>, took: Duration, before: Cpu) -> Self {
        assert!(!latencies.is_empty(), "nothing was done in a whole round");
        let cpu = Cpu::since(before, latencies.len());
        latencies.sort_unstable();
        let at = |share: f64| {
            let place = ((latencies.len() - 1) as f64 * share) as usize;
            latencies[place].as_secs_f64() * 1e6
        };
        Self {
            per_second: latencies.len() as f64 / took.as_secs_f64(),
            p50: at(0.5),
            p99: at(0.99),
            cpu,
        }
    }

    /// A round that did all of it once, since `before`.
    pub(crate) fn whole(count: u64, took: Duration, before: Cpu) -> Self {
        let micros = took.as_secs_f64() * 1e6;
        let per_second = count as f64 / took.as_secs_f64();
        Self { per_second, p50: micros, p99: micros, cpu: Cpu::since(before, count as usize) }
    }

    /// The round in the middle, by work a second.
    pub(crate) fn median(mut rounds: Vec<Self>) -> Self {
        rounds.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
        rounds.swap_remove(rounds.len() / 2)
    }
}

/// Runs `producers` tasks that do one thing after the other until the time is over. Each is told which
/// producer it is and how much it has done before, and hands on what the last time gave it (a position,
/// say, that the next append is guarded by).
pub(crate) async fn produce<F, Fut, T>(producers: usize, span: Duration, work: F) -> Round
where
    F: Fn(usize, u64, T) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = T> + Send,
    T: Default + Send + 'static,
{
    let work = Arc::new(work);
    let (before, start) = (Cpu::so_far(), Instant::now());
    let tasks: Vec<_> = (0..producers)
        .map(|producer| {
            let work = Arc::clone(&work);
            tokio::spawn(async move {
                let (mut latencies, mut count, mut last) = (Vec::new(), 0, T::default());
                while start.elapsed() < span {
                    let begun = Instant::now();
                    last = work(producer, count, last).await;
                    latencies.push(begun.elapsed());
                    count += 1;
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

/// The machine's own bound of a durable append: one thread gathers what waits, and each batch is one
/// checksum, one write and one sync. No guards, no index, no readers.
pub(crate) async fn bare_writer(home: &Path, producers: usize, span: Duration) -> Round {
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
    let data = Bytes::from(vec![b'x'; PAYLOAD_BYTES + AROUND_BYTES]);
    let round = produce(producers, span, move |_, _, ()| {
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

/// One `fdatasync` after another of 512 bytes each into a zeroed file.
pub(crate) fn bare_syncs(home: &Path, span: Duration) -> Round {
    let file = zeroed(&home.join("sync"), FILE_BYTES);
    let (before, start, mut latencies) = (Cpu::so_far(), Instant::now(), Vec::new());
    while start.elapsed() < span {
        let at = latencies.len() as u64 * 512 % FILE_BYTES;
        let begun = Instant::now();
        file.write_all_at(&[1; 512], at).expect("a write");
        file.sync_data().expect("a sync");
        latencies.push(begun.elapsed());
    }
    Round::of(latencies, start.elapsed(), before)
}

/// A file of that length, all zeros, durable.
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

/// How long it takes to read all that stands in a log's segments, one after another, and run the
/// checksum over it. What is prepared and not yet written is not read: nobody who follows reads it.
pub(crate) fn bare_read(log: &Path) -> Duration {
    let mut buffer = vec![0; 1 << 20];
    let mut read = |file: &File, upto: u64, each: &mut dyn FnMut(&[u8])| {
        let mut at = 0;
        while at < upto {
            let most = buffer.len().min((upto - at) as usize);
            let len = file.read_at(&mut buffer[..most], at).expect("a read");
            assert!(len > 0, "the file is as long as it was");
            each(&buffer[..len]);
            at += len as u64;
        }
    };
    let mut segments: Vec<_> = std::fs::read_dir(log)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "seg"))
        .collect();
    segments.sort();
    let mut files = Vec::new();
    for path in segments {
        let file = File::open(path).expect("a segment");
        let (mut at, mut used) = (0, 0);
        let mut note = |bytes: &[u8]| {
            if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
                used = at + last as u64 + 1;
            }
            at += bytes.len() as u64;
        };
        // The copies of the last frames stand behind: see "The mirrored tail" in FORMAT.md.
        let mut slot_len = [0; 4];
        file.read_exact_at(&mut slot_len, 80).expect("a header page");
        let len = file.metadata().expect("a length").len();
        read(&file, len - 2 * u64::from(u32::from_le_bytes(slot_len)), &mut note);
        files.push((file, used));
    }
    let (begun, mut sum) = (Instant::now(), 0);
    for (file, used) in files {
        read(&file, used, &mut |bytes| sum = crc32c::crc32c_append(sum, bytes));
    }
    std::hint::black_box(sum);
    begun.elapsed()
}
