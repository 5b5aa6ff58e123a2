//! Somebody else writes into the data directory of a server while it is down: bits flip, sectors turn
//! to zeros, files are cut, emptied, overwritten, deleted. Whatever file it is, the next start tells
//! what is wrong and where, or serves everything that was acknowledged.
//!
//! `HOLDFAST_DAMAGES=1000` damages a thousand directories.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_store::embedded::{OpenError, Reader};
use holdfast_store::{EventStore as _, Filter, Position, ReadError};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::Clock;
use crate::bench::{count, in_lanes};
use crate::support::*;

const SETTINGS: [(&str, &str); 4] = [
    ("LOG__SEGMENT_BYTES", "1MiB"),
    ("LIMITS__LIVE_HOLDS_PER_CUSTOMER", "100000"),
    ("HOLDS__HOLD_TTL", "1h"),
    ("HOLDS__SEAT_LOCK_TTL", "1h"),
];

/// A directory that was served, and what was acknowledged.
struct Served {
    directory: Arc<TempDir>,
    /// By position, the event's id.
    events: Vec<Uuid>,
    /// How many seats are free, locked and booked.
    counts: Value,
}

async fn serve_and_kill() -> Served {
    let directory = Arc::new(TempDir::with_prefix("holdfast-test-").expect("a directory"));
    let mut house = House::try_in(directory.clone(), &SETTINGS).await.expect("it starts");
    publish_hall(&house.admin(), Hall { id: "hall", sku: None, rows: 40, seats: 40 }).await;
    let buyers = (0..20).map(|n| {
        let person = house.customer(&format!("user-{n}"));
        async move {
            let mut last = 0;
            for row in 1..=40 {
                let seats =
                    json!({ "seatMapId": "hall", "seatIds": [format!("A-{row}-{}", n + 1)] });
                let key = format!("{n}-{row}");
                let sent = person.send(Method::POST, "/api/v1/bookings", &key, seats).await;
                last = sent.expect("an answer").expect(201).position();
            }
            last
        }
    });
    let last = futures::future::join_all(buyers).await.into_iter().max().expect("twenty");
    let counts = counts(&house, last).await.expect("the map is there");
    let events = recorded(&house).await.into_iter().map(|event| event.id).collect();
    house.kill9();
    Served { directory, events, counts }
}

async fn counts(house: &House, position: u64) -> Result<Value, String> {
    let query = "query($at: Position) { seatMap(id: \"hall\", minPosition: $at) { counts { free locked booked } } }";
    let answer = house.stranger().graphql(query, json!({ "at": position.to_string() })).await;
    let counts = &answer.body["data"]["seatMap"]["counts"];
    if counts.is_null() { Err(answer.text) } else { Ok(counts.clone()) }
}

/// All files, by their path below the directory.
fn files(directory: &Path, below: &Path, into: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, below, into);
        } else {
            let name = path.strip_prefix(below).expect("below").to_owned();
            into.insert(name, std::fs::read(&path).expect("a file"));
        }
    }
}

/// Damages one file; says how. `None`: it is deleted.
fn damage(bytes: &mut Option<Vec<u8>>, random: &mut StdRng) -> String {
    let kind = random.random_range(0..7);
    let Some(content) = bytes.as_mut().filter(|content| !content.is_empty() && kind < 6) else {
        *bytes = None;
        return "deleted".into();
    };
    // Where something stands: most of a new segment is zeros.
    let used = content.iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 1);
    let at = random.random_range(0..used);
    match kind {
        0 | 1 => {
            let bit = random.random_range(0..8);
            content[at] ^= 1 << bit;
            format!("bit {bit} of byte {at} flipped")
        }
        2 => {
            let from = at / 512 * 512;
            let to = (from + 512).min(content.len());
            content[from..to].fill(0);
            format!("bytes {from} to {to} zeroed")
        }
        3 => {
            let to = (at + random.random_range(1..64)).min(content.len());
            random.fill(&mut content[at..to]);
            format!("bytes {at} to {to} overwritten")
        }
        4 => {
            content.truncate(at);
            format!("cut at {at}")
        }
        _ => {
            content.clear();
            "emptied".into()
        }
    }
}

/// What the log says to somebody who reads all of it: the events, or where it is damaged.
async fn read(data: &Path) -> Result<Vec<Uuid>, String> {
    let data = data.to_owned();
    let reader = tokio::task::spawn_blocking(move || Reader::open(data)).await.expect("read");
    let reader = match reader {
        Ok(reader) => reader,
        Err(OpenError::Damaged(damage)) => return Err(damage.to_string()),
        Err(error) => panic!("the log cannot be read, which is not told as damage: {error}"),
    };
    let (mut events, mut next) = (Vec::new(), Position::FIRST);
    while next <= reader.head() {
        match reader.read_all(next, &Filter::All, 4_096).await {
            Ok(page) => {
                events.extend(page.events.iter().map(|event| event.id));
                next = page.next;
            }
            Err(error @ ReadError::Damaged { .. }) => return Err(error.to_string()),
            Err(error) => panic!("the log cannot be read, which is not told as damage: {error}"),
        }
    }
    Ok(events)
}

/// One damaged directory: what came of it, in a word.
async fn judge(served: &Served, seed: u64) -> String {
    let mut random = StdRng::seed_from_u64(seed);
    let mut all = BTreeMap::new();
    files(served.directory.path(), served.directory.path(), &mut all);
    all.remove(Path::new("stderr.log"));
    let names: Vec<PathBuf> = all.keys().cloned().collect();
    let victim = names.choose(&mut random).expect("files").clone();
    let mut bytes = all.get(&victim).cloned();
    let how = damage(&mut bytes, &mut random);
    let copy = Arc::new(TempDir::with_prefix("holdfast-damaged-").expect("a directory"));
    for (name, old) in &all {
        let path = copy.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        let now = if *name == victim { bytes.as_ref() } else { Some(old) };
        if let Some(now) = now {
            std::fs::write(path, now).expect("written");
        }
    }
    let context = format!("seed {seed}: {}: {how}", victim.display());
    let of_log = victim.starts_with("data/log");
    match House::try_in(copy.clone(), &SETTINGS).await {
        Err(ended) if of_log => {
            assert_eq!(ended.status.code(), Some(3), "{context}: {}", ended.logs);
            for word in ["0000", "offset", "position"] {
                assert!(ended.logs.contains(word), "{context}: {word} in {}", ended.logs);
            }
            format!("{context}: told, not started")
        }
        Err(ended) => {
            let name = victim.file_name().expect("a name").to_string_lossy().into_owned();
            let base = name.trim_end_matches("-wal").trim_end_matches("-shm").to_owned();
            assert!(matches!(ended.status.code(), Some(1 | 3)), "{context}: {}", ended.logs);
            assert!(ended.logs.contains(&base), "{context}: {base} in {}", ended.logs);
            format!("{context}: told, not started")
        }
        Ok(house) => match read(&house.data()).await {
            Err(told) => {
                assert!(of_log && told.contains("position"), "{context}: {told}");
                format!("{context}: told when read")
            }
            Ok(events) => {
                let kept = events.len().min(served.events.len());
                assert!(events[..kept] == served.events[..kept], "{context}: other events");
                assert_eq!(kept, served.events.len(), "{context}: acknowledged events are gone");
                let position = served.events.len() as u64;
                let began = Instant::now();
                let seen = loop {
                    match counts(&house, position).await {
                        Ok(seen) => break Some(seen),
                        Err(_) if began.elapsed() < PATIENCE => {
                            tokio::time::sleep(Duration::from_millis(50)).await;
                        }
                        Err(_) => break None,
                    }
                };
                match seen {
                    Some(seen) => {
                        assert_eq!(seen, served.counts, "{context}: other rows are served");
                        format!("{context}: harmless")
                    }
                    None => {
                        let ready = house.stranger().get("/health/ready").await;
                        assert_eq!(
                            ready.status, 503,
                            "{context}: nothing is served, and all is well"
                        );
                        format!("{context}: told by /health/ready")
                    }
                }
            }
        },
    }
}

#[test]
fn whatever_is_done_to_the_files_is_told_or_does_no_harm() {
    let _clock = Clock::start();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let served = runtime.block_on(serve_and_kill());
    let seed = seed();
    let seeds: Vec<u64> = (0..count("HOLDFAST_DAMAGES", 40)).map(|n| seed * 100_000 + n).collect();
    let judged = in_lanes(&seeds, |seed| {
        let came = runtime.block_on(judge(&served, *seed));
        eprintln!("{came}");
        1
    });
    assert_eq!(judged, seeds.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_is_refused_within_a_second() {
    let _clock = Clock::start();
    let house = House::start(&[]).await;
    for args in [&["serve"][..], &["log", "bench"]] {
        let began = Instant::now();
        let output = house.command(args).output().expect("runs");
        let took = began.elapsed();
        let code = output.status.code();
        // The bench never gets as far as the lock of a server's directory.
        assert_eq!(code, Some(if args[0] == "serve" { 4 } else { 2 }), "{args:?}");
        assert!(took < Duration::from_secs(1), "{args:?} took {took:?}");
    }
}
