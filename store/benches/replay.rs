//! Reading at speed and at any size.
//!
//! * `replay`: a follower reads a log from the disk (read, checked, taken apart, handed over), beside a
//!   bare sequential read with a checksum of the same files in the same run.
//! * `any size`: a log of millions of events: how long opening takes and what it keeps in memory, how
//!   long it takes to read a stream whose events are spread over all of it.
//!
//! ```sh
//! cargo bench -p holdfast-store --bench replay                        # 1 M events; the second with 1 M
//! HOLDFAST_BENCH_EVENTS=100000 HOLDFAST_BENCH_ANY_SIZE=10000000 HOLDFAST_BENCH_DIR=/mnt/disk cargo bench …
//! ```

#[expect(dead_code, reason = "only the bare read is needed here")]
mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use common::{PAYLOAD_BYTES, bare_read};
use holdfast_store::embedded::{Embedded, Options};
use holdfast_store::{
    Direction, EventStore, Expected, Filter, NewEvent, Position, StreamAppend, StreamId, subscribe,
};
use uuid::Uuid;

/// How many events the stream has that is spread over the whole log.
const SPREAD: u64 = 1000;
const ROUNDS: usize = 5;

fn main() {
    // Cargo also runs benches as tests: then a glance is enough.
    let measuring = std::env::args().any(|arg| arg == "--bench");
    let number = |name: &str, or: u64| {
        std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(or)
    };
    let events = number("HOLDFAST_BENCH_EVENTS", if measuring { 1_000_000 } else { 2000 });
    let any_size = number("HOLDFAST_BENCH_ANY_SIZE", if measuring { 1_000_000 } else { 2000 });
    let root =
        std::env::var_os("HOLDFAST_BENCH_DIR").unwrap_or_else(|| std::env::temp_dir().into());
    let dir = tempfile::tempdir_in(root).expect("a directory to write to");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    if events > 0 {
        runtime.block_on(replay(&dir.path().join("replay"), events));
    }
    if any_size > 0 {
        runtime.block_on(at_size(&dir.path().join("size"), any_size));
    }
}

fn event(n: u64, data: &Bytes) -> NewEvent {
    NewEvent {
        id: Uuid::from_u128(u128::from(n)),
        kind: "bench.happened".to_owned(),
        schema_version: 1,
        metadata: Bytes::from_static(br#"{"actor":"system:bench"}"#),
        data: data.clone(),
    }
}

/// Writes a log: streams of five events each, and one that is spread over all of it.
async fn fill(home: &Path, events: u64) {
    let begun = Instant::now();
    let store = Arc::new(Embedded::open(home, Options::default()).expect("a log"));
    let streams = Arc::new(AtomicU64::new(0));
    let every = (events / SPREAD / 5).max(1);
    let writers: Vec<_> = (0..64)
        .map(|_| {
            let (store, streams) = (Arc::clone(&store), Arc::clone(&streams));
            let data: Bytes = vec![b'x'; PAYLOAD_BYTES].into();
            tokio::spawn(async move {
                loop {
                    let first = streams.fetch_add(4, Ordering::Relaxed);
                    if first * 5 >= events {
                        break;
                    }
                    let mut batches: Vec<_> = (first..first + 4)
                        .map(|s| StreamAppend {
                            stream: StreamId::new(format!("reservation-{s:032x}")),
                            expected: Expected::NoStream,
                            events: (0..5).map(|i| event(s * 8 + i, &data)).collect(),
                        })
                        .collect();
                    if (first..first + 4).any(|s| s % every == 0) {
                        batches.push(StreamAppend {
                            stream: StreamId::new("spread-1"),
                            expected: Expected::Any,
                            events: vec![event(first * 8 + 7, &data)],
                        });
                    }
                    store.append(batches).await.expect("an append");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("a writer");
    }
    let (head, took) = (store.head().0, begun.elapsed().as_secs_f64());
    println!("wrote {head} events in {took:.1} s, {:.0} a second", head as f64 / took);
    store.close().await;
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

async fn replay(home: &Path, events: u64) {
    fill(home, events).await;
    let store: Arc<dyn EventStore> =
        Arc::new(Embedded::open(home, Options::default()).expect("a log"));
    let head = store.head();
    let (mut bare, mut paged, mut followed) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        bare.push(bare_read(&home.join("log")).as_secs_f64());
        // By turns one and the other first.
        for what in [round % 2, (round + 1) % 2] {
            let begun = Instant::now();
            if what == 0 {
                let (mut from, mut bytes) = (Position::FIRST, 0);
                while from <= head {
                    let page = store.read_all(from, &Filter::All, 512).await.expect("a page");
                    bytes += page.events.iter().map(|e| e.data.len()).sum::<usize>();
                    from = page.next;
                }
                assert_eq!(bytes as u64, head.0 * PAYLOAD_BYTES as u64);
                paged.push(begun.elapsed().as_secs_f64());
            } else {
                let mut subscription = subscribe(&store, Position::FIRST, Filter::All);
                let mut seen = 0;
                while seen < head.0 {
                    seen += subscription.next().await.expect("events").len() as u64;
                }
                followed.push(begun.elapsed().as_secs_f64());
            }
        }
    }
    let (bare, paged, followed) = (median(bare), median(paged), median(followed));
    let rate = |seconds: f64| head.0 as f64 / seconds;
    println!("| replay of {head} events of {PAYLOAD_BYTES} B | events/s | of bare |");
    println!("|---|---|---|");
    println!("| bare sequential read and checksum | {:.0} | 100 % |", rate(bare));
    println!("| read_all, pages of 512 | {:.0} | {:.0} % |", rate(paged), 100.0 * bare / paged);
    println!("| subscribe | {:.0} | {:.0} % |", rate(followed), 100.0 * bare / followed);
}

/// Resident memory of this process, in MiB.
fn resident_mib() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    (pages * 4096) >> 20
}

async fn at_size(home: &Path, events: u64) {
    fill(home, events).await;
    let before = resident_mib();
    let open = || {
        let begun = Instant::now();
        let store = Embedded::open(home, Options::default()).expect("a log");
        (store, begun.elapsed().as_secs_f64() * 1e3)
    };
    let (store, opened) = open();
    let info = store.info();
    println!(
        "open: {} events in {} streams, {} segments: {opened:.0} ms, {} MiB more in memory",
        info.head,
        info.streams,
        info.segments,
        resident_mib().saturating_sub(before)
    );
    let spread = StreamId::new("spread-1");
    for (what, direction, from) in
        [("forward", Direction::Forward, 0), ("backward", Direction::Backward, u64::MAX)]
    {
        let (store, _) = open_again(home);
        for warm in ["first", "again"] {
            let begun = Instant::now();
            let read = store.read_stream(&spread, from, direction, usize::MAX).await;
            let count = read.expect("a stream").len();
            let took = begun.elapsed().as_secs_f64() * 1e3;
            println!("{count} events spread over all, {what}, {warm}: {took:.1} ms");
        }
        let begun = Instant::now();
        let newest = store.read_stream(&spread, u64::MAX, Direction::Backward, 1).await;
        assert_eq!(newest.expect("a stream").len(), 1);
        println!("the newest of them: {:.2} ms", begun.elapsed().as_secs_f64() * 1e3);
    }
    let data: Bytes = vec![b'x'; PAYLOAD_BYTES].into();
    for (what, name) in
        [("an old", "reservation-00000000000000000000000000000001"), ("a new", "n-1")]
    {
        let append = StreamAppend {
            stream: StreamId::new(name),
            expected: Expected::Exact(77),
            events: vec![event(1, &data)],
        };
        let begun = Instant::now();
        for _ in 0..200 {
            let refused = store.append(vec![append.clone()]).await;
            assert!(refused.is_err());
        }
        println!(
            "the guard of {what} stream: {:.0} µs",
            begun.elapsed().as_micros() as f64 / 200.0
        );
    }
    println!("{} MiB in memory at the end", resident_mib());
}

/// The store is open already: a reader beside it starts with nothing at hand.
fn open_again(home: &Path) -> (holdfast_store::embedded::Reader, f64) {
    let begun = Instant::now();
    let reader = holdfast_store::embedded::Reader::open(home).expect("a log");
    (reader, begun.elapsed().as_secs_f64() * 1e3)
}
