//! Durable guarded appends per second at 1, 8, 64 and 256 producers, beside the upper bound that the
//! machine sets: a bare writer thread with the same queue, a checksum, one write and one `fdatasync`
//! for each batch into a zeroed file, and no checks, no index, no readers. Rounds of both alternate;
//! what is printed are medians.
//!
//! ```sh
//! cargo bench -p holdfast-store --bench appends            # five rounds of a second each
//! HOLDFAST_BENCH_DIR=/mnt/disk HOLDFAST_BENCH_MILLIS=300 HOLDFAST_BENCH_ROUNDS=3 cargo bench …
//! ```

#[expect(dead_code, reason = "peers/ needs more of it")]
mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::{PAYLOAD_BYTES, Round, bare_read, bare_syncs, bare_writer, produce};
use holdfast_store::embedded::{Embedded, Options};
use holdfast_store::{EventStore, Expected, Filter, NewEvent, Position, StreamAppend, StreamId};
use uuid::Uuid;

const PRODUCERS: [usize; 4] = [1, 8, 64, 256];

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

    let sync = bare_syncs(dir.path(), span);
    println!("fdatasync of 512 B into a zeroed file, p50: {:.0} µs", sync.p50);
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
            "| {producers} | {:.0} | {:.0} | {:.0} | {} | {:.0} | {:.0} | {:.0} | {} | {:.0} % |",
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
    let round = produce(producers, span, move |producer, version, ()| {
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
        read as f64 / sequential.as_secs_f64()
    );
}
