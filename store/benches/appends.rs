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
use std::time::Duration;

use bytes::Bytes;
use common::{PAYLOAD_BYTES, Round, bare_syncs, bare_writer, produce};
use holdfast_store::embedded::{Embedded, Options};
use holdfast_store::{EventStore, Expected, NewEvent, StreamAppend, StreamId};
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
