//! Replay: a follower is handed the whole log, event by event, from the files; beside it the same bytes
//! read one after another and run through the same checksum, and nothing else.
//!
//! Both read from the page cache, where the files are after they were written: what is compared is the
//! work, not the disk.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use holdfast_store::embedded::{Embedded, Options};
use holdfast_store::{
    EventStore, Expected, Filter, NewEvent, Position, StreamAppend, StreamId, subscribe,
};
use uuid::Uuid;

use crate::Plan;
use crate::common::{Cpu, PAYLOAD_BYTES, Round, bare_read};
use crate::report::{Line, Report, Verdict};

/// Streams of the log that is replayed.
const STREAMS: u64 = 1_000;
/// Events of one append while it is filled.
const EACH_APPEND: u64 = 1_000;

pub(crate) async fn run(plan: &Plan, home: &Path, report: &mut Report) {
    let home = home.join("replay");
    std::fs::create_dir_all(&home).expect("a directory");
    fill(&home, plan.events).await;
    report.progress("replay: the log is filled");

    let (mut ours, mut bare, mut opened) = (Vec::new(), Vec::new(), Vec::new());
    // The first round of both warms the page cache and is not counted.
    for number in 0..=plan.rounds {
        let before = Cpu::so_far();
        let read = Round::whole(plan.events, bare_read(&home.join("log")), before);
        let (before, begun) = (Cpu::so_far(), Instant::now());
        let store = Embedded::open(&home, Options::default()).expect("the log");
        let open = Round::whole(plan.events, begun.elapsed(), before);
        let store: Arc<dyn EventStore> = Arc::new(store);
        let before = Cpu::so_far();
        let replay = Round::whole(plan.events, follow(&store, plan.events).await, before);
        drop(store);
        if number > 0 {
            bare.push(read);
            ours.push(replay);
            opened.push(open);
        }
    }
    std::fs::remove_dir_all(&home).expect("the directory goes");
    let (ours, bare) = (Round::median(ours), Round::median(bare));
    let lines = [
        Line::of("Holdfast, handed to a subscriber", ours, None),
        Line::of("sequential read and checksum", bare, Some(ours.per_second / bare.per_second)),
        Line::of("Holdfast, opening the log", Round::median(opened), None),
    ];
    report.table(&format!("Replay of {} events of 256 B", plan.events), "events", &lines);
    let ratio = ours.per_second / bare.per_second;
    report.verdict(Verdict::at_least("replay / sequential read and checksum", ratio, 0.4));
}

async fn follow(store: &Arc<dyn EventStore>, events: u64) -> Duration {
    let begun = Instant::now();
    let mut subscription = subscribe(store, Position::FIRST, Filter::All);
    let (mut count, mut bytes) = (0, 0);
    while count < events {
        for event in subscription.next().await.expect("a page") {
            count += 1;
            bytes += event.data.len();
        }
    }
    let took = begun.elapsed();
    assert_eq!((count, bytes), (events, events as usize * PAYLOAD_BYTES));
    took
}

async fn fill(home: &Path, events: u64) {
    let store = Embedded::open(home, Options::default()).expect("a log");
    let data = Bytes::from(vec![b'x'; PAYLOAD_BYTES]);
    let mut at = 0;
    while at < events {
        let count = EACH_APPEND.min(events - at);
        let batches = (at..at + count)
            .map(|number| StreamAppend {
                stream: StreamId::new(format!("bench-{}", number % STREAMS)),
                expected: Expected::Any,
                events: vec![NewEvent {
                    id: Uuid::from_u128(u128::from(number)),
                    kind: "bench.happened".into(),
                    schema_version: 1,
                    metadata: Bytes::from_static(br#"{"actor":"system:bench"}"#),
                    data: data.clone(),
                }],
            })
            .collect();
        store.append(batches).await.expect("an append");
        at += count;
    }
    store.close().await;
}
