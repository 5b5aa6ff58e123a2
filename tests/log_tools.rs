//! Looking after the log from the command line: `backup`, `repair`, `log stat`, and a server that
//! refuses a log that was set back.

use std::path::Path;
use std::process::Output;

use holdfast_store::embedded::{Embedded, Options};
use holdfast_store::{EventStore as _, Expected, NewEvent, StreamAppend, StreamId};
use serde_json::Value;

use crate::support::*;

fn holdfast(data: &Path, args: &[&str]) -> Output {
    let mut command = std::process::Command::new(binary());
    command.arg("--data-dir").arg(data).args(args).stdin(std::process::Stdio::null());
    command.output().expect("the binary runs")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A log of a hundred events that mean nothing.
async fn log(data: &Path) -> Embedded {
    let store = Embedded::open(data, Options::default()).expect("a new log");
    for n in 0..100u128 {
        let event = NewEvent {
            id: uuid::Uuid::from_u128(n + 1),
            kind: "test.happened".into(),
            schema_version: 1,
            metadata: "{}".into(),
            data: "{}".into(),
        };
        let stream = StreamId::new(format!("test-{}", n % 7));
        let append = StreamAppend { stream, expected: Expected::Any, events: vec![event] };
        store.append(vec![append]).await.expect("recorded");
    }
    store
}

/// Changes one byte in the first frame that holds the event at `position`.
fn damage(data: &Path, position: u64) {
    use std::os::unix::fs::FileExt as _;
    let reader = holdfast_store::embedded::Reader::open(data).expect("it opens");
    let place = reader.locate(holdfast_store::Position(position));
    let (segment, offset) = place.expect("it is there");
    let name = data.join("log").join(segment);
    let file = std::fs::File::options().read(true).write(true).open(name).expect("a segment");
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset + 80).expect("a byte");
    file.write_all_at(&[!byte[0]], offset + 80).expect("another one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_log_is_shown_cut_and_opens_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path();
    let store = log(data).await;
    let busy = holdfast(data, &["repair", "--dry-run"]);
    assert_eq!(busy.status.code(), Some(4), "{}", err(&busy));
    store.close().await;
    let whole = holdfast(data, &["repair", "--dry-run"]);
    assert_eq!(whole.status.code(), Some(0), "{}", err(&whole));
    assert!(out(&whole).contains("nothing to repair"), "{}", out(&whole));

    damage(data, 41);
    let verified = holdfast(data, &["verify", "--quick"]);
    assert_eq!(verified.status.code(), Some(3), "{}", err(&verified));
    let shown = holdfast(data, &["repair", "--dry-run"]);
    assert_eq!(shown.status.code(), Some(3), "{}", err(&shown));
    let text = out(&shown);
    for words in ["position 41", "stays: events [1, 40]", "goes:  events [41, 100]", "log/cut-1"] {
        assert!(text.contains(words), "{words} in {text}");
    }
    assert!(!data.join("log/cut-1").exists(), "nothing was changed");
    let unasked = holdfast(data, &["repair", "--cut"]);
    assert_eq!(unasked.status.code(), Some(2), "without a terminal --yes is needed");

    let cut = holdfast(data, &["repair", "--cut", "--yes"]);
    assert_eq!(cut.status.code(), Some(0), "{}", err(&cut));
    assert!(out(&cut).contains("CUT. events [41, 100] are gone"), "{}", out(&cut));
    assert!(data.join("log/cut-1/cut.json").exists());
    let stat = holdfast(data, &["log", "stat", "--json"]);
    let stat: Value = serde_json::from_slice(&stat.stdout).expect("JSON");
    assert_eq!((&stat["head"], &stat["cut"][0]), (&40.into(), &"cut-1".into()), "{stat}");
    let verified = holdfast(data, &["verify", "--quick"]);
    assert_eq!(verified.status.code(), Some(0), "{}", out(&verified));
}

/// Fault 72, and fault 20: a backup beside the server, restored under read models that know more.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_beside_a_server_is_whole_and_a_log_set_back_to_it_is_refused() {
    let mut house = House::start(&[]).await;
    publish_hall(&house.admin(), Hall { id: "hall", sku: None, rows: 1, seats: 5 }).await;
    let backup = house.data().with_file_name("backup");
    let target = backup.to_str().expect("a path");
    let taken = house.command(&["backup", target]).output().expect("runs");
    assert_eq!(taken.status.code(), Some(0), "{}", err(&taken));
    let note = std::fs::read(backup.join("backup.json")).expect("a note");
    let note: Value = serde_json::from_slice(&note).expect("JSON");
    let held = note["head"].as_u64().expect("a position");
    assert!(out(&taken).contains(&format!("up to position {held}")), "{}", out(&taken));
    let verified = holdfast(&backup, &["verify"]);
    assert_eq!(verified.status.code(), Some(0), "{}", err(&verified));
    let itself = house.data();
    let itself = itself.to_str().expect("a path");
    let refused = house.command(&["backup", itself]).output().expect("runs");
    assert_eq!(refused.status.code(), Some(2), "{}", err(&refused));

    publish_hall(&house.admin(), Hall { id: "more", sku: None, rows: 1, seats: 5 }).await;
    let stranger = house.stranger();
    eventually("the read models know it", || async {
        let query = "{ seatMap(id: \"more\") { counts { free } } }";
        let map = stranger.query(query, serde_json::json!({})).await;
        map["seatMap"]["counts"]["free"].as_i64()
    })
    .await;
    assert_eq!(house.stop().code(), Some(0));
    std::fs::rename(house.data().join("log"), house.data().join("newer")).expect("moved");
    let log = house.data().join("log");
    std::fs::create_dir(&log).expect("made");
    for entry in std::fs::read_dir(backup.join("log")).expect("listed") {
        let entry = entry.expect("an entry");
        std::fs::copy(entry.path(), log.join(entry.file_name())).expect("copied");
    }
    let refused = house.command(&["serve"]).output().expect("runs");
    assert_eq!(refused.status.code(), Some(3), "{}", err(&refused));
    assert!(err(&refused).contains("the log was set back"), "{}", err(&refused));
    let rebuilt = house.command(&["rebuild", "--all"]).output().expect("runs");
    assert_eq!(rebuilt.status.code(), Some(0), "{}", err(&rebuilt));
    let mut house = house.again().await;
    assert_eq!(recorded(&house).await.len() as u64, held);
    assert_eq!(house.stop().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_what_it_is_made_of() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = log(directory.path()).await;
    let text = out(&holdfast(directory.path(), &["log", "stat", "--by", "category"]));
    for words in ["head             100", "streams          7", "0000000001.seg", "open", "100.0 %"]
    {
        assert!(text.contains(words), "{words} in {text}");
    }
    store.close().await;
    let nothing = tempfile::tempdir().expect("a directory");
    let output = holdfast(nothing.path(), &["log", "stat"]);
    assert_eq!(output.status.code(), Some(1), "{}", err(&output));
    assert!(err(&output).contains("no log"), "{}", err(&output));
}

/// `holdfast log bench` writes events of its own: whoever wants to look at such a log may.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_of_somebody_else_s_events_is_read_as_it_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path();
    let bench = holdfast(data, &["log", "bench", "--appends", "20", "--producers", "1"]);
    assert_eq!(bench.status.code(), Some(0), "{}", err(&bench));
    let verified = holdfast(data, &["verify"]);
    assert_eq!(verified.status.code(), Some(0), "{}", err(&verified));
    let text = out(&verified);
    assert!(text.contains("20 of 20 events are in streams that are not Holdfast's"), "{text}");
    assert!(text.contains("all is well"), "{text}");
    for format in ["text", "jsonl", "cloudevents"] {
        let replayed = holdfast(data, &["replay", "--format", format]);
        assert_eq!(replayed.status.code(), Some(0), "{format}: {}", err(&replayed));
        let text = out(&replayed);
        assert_eq!(text.matches("bench.appended").count(), 20, "{text}");
        if format != "text" {
            for line in text.lines() {
                let line: Value = serde_json::from_str(line).expect("JSON");
                assert_eq!(line["data"]["of"], 1, "{line}");
            }
        }
    }
    damage(data, 11);
    for command in ["verify", "replay"] {
        let told = holdfast(data, &[command]);
        assert_eq!(told.status.code(), Some(3), "{command}: {}", err(&told));
        assert!(err(&told).contains("position 11"), "{command}: {}", err(&told));
    }
}

/// Opening reads only the log's end, so damage before it is met by whoever reads there first. A server
/// whose follower did ended with 1, and nobody knew that the log was damaged.
#[tokio::test(flavor = "multi_thread")]
async fn damage_behind_a_seal_ends_every_command_with_three() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path();
    let size = ["--event-bytes", "4096", "--segment-bytes", "1MiB"];
    let bench = [&["log", "bench", "--appends", "600", "--producers", "16"][..], &size].concat();
    let bench = holdfast(data, &bench);
    assert_eq!(bench.status.code(), Some(0), "{}", err(&bench));
    damage(data, 11);
    let backup = data.join("backup");
    let backup = backup.to_str().expect("a path");
    for args in [
        &["serve", "--listen", "127.0.0.1:0"][..],
        &["rebuild", "--all"],
        &["replay"],
        &["verify"],
        &["backup", backup],
        &["repair", "--dry-run"],
    ] {
        let told = holdfast(data, args);
        assert_eq!(told.status.code(), Some(3), "{args:?}: {}", err(&told));
        for word in ["0000000001.seg", "offset", "position"] {
            assert!(err(&told).contains(word), "{args:?}: {word} in {}", err(&told));
        }
    }
}

/// Opening does not read what stands before a seal, so a server gets ready on it; and disks go bad while
/// one runs. Whoever asks for what is damaged gets nothing of it, and the process ends and says why.
#[tokio::test(flavor = "multi_thread")]
async fn damage_that_a_request_meets_is_told_never_served_and_ends_with_three() {
    let directory = std::sync::Arc::new(tempfile::tempdir().expect("a directory"));
    let data = directory.path().join("data");
    // More than is kept in memory: what a server has read when it started it has forgotten.
    let size = ["--event-bytes", "131072", "--segment-bytes", "8MiB"];
    let bench = [&["log", "bench", "--appends", "300", "--producers", "16"][..], &size].concat();
    let bench = holdfast(&data, &bench);
    assert_eq!(bench.status.code(), Some(0), "{}", err(&bench));
    let mut house = House::try_in(directory, &[]).await.expect("nothing is damaged yet");
    let stranger = house.stranger();
    eventually("the read models have seen all", || async {
        // Not "ready": these events mean nothing to it.
        let ready = stranger.get("/health/ready").await;
        (ready.body["read_models"]["lag"] == 0).then_some(())
    })
    .await;
    damage(&data, 11);
    // The answer's head may be on its way when the damage is met: then the answer breaks off.
    if let Ok(answer) = house.auditor().ask(reqwest::Method::GET, "/events", &[], None).await {
        assert!(answer.status >= 500, "{}: {}", answer.status, answer.text);
    }
    assert_eq!(house.wait(PATIENCE).code(), Some(3), "{}", house.logs());
    let logs = house.logs();
    for word in ["0000000001.seg", "offset", "position"] {
        assert!(logs.contains(word), "{word} in {logs}");
    }
    let told = holdfast(&data, &["verify"]);
    assert_eq!(told.status.code(), Some(3), "{}", err(&told));
}
