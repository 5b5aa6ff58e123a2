//! The command line: exit codes, and messages that say what to do.

use std::process::{Command, Output};
use std::time::Duration;

use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::support::*;

fn run(args: &[&str], settings: &[(&str, &str)]) -> Output {
    let directory = tempfile::tempdir().expect("a directory");
    run_in(directory.path(), args, settings)
}

fn run_in(directory: &std::path::Path, args: &[&str], settings: &[(&str, &str)]) -> Output {
    let mut command = Command::new(binary());
    command.args(args).current_dir(directory).envs(settings.iter().copied());
    command.output().expect("the binary runs")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn help_teaches() {
    for command in ["serve", "token", "replay", "verify", "repair", "backup", "rebuild", "config"] {
        let output = run(&[command, "--help"], &[]);
        assert_eq!(output.status.code(), Some(0));
        let help = out(&output);
        for word in ["--config", "--data-dir", "--store"] {
            assert!(help.contains(word), "{command} --help names {word}");
        }
    }
    let help = out(&run(&["--help"], &[]));
    assert!(help.contains("Exit codes") && help.contains("serve --demo"), "{help}");
}

#[test]
fn wrong_usage_ends_with_two() {
    for args in [
        &["juggle"][..],
        &[],
        &["serve", "--listen", "nowhere"],
        &["token", "--role", "KING", "--user", "me"],
        &["token", "--role", "ADMIN", "--user", "two words"],
        &["token", "--role", "ADMIN", "--user", "me", "--ttl", "soon"],
        &["replay", "--as-of", "noon"],
        &["rebuild"],
        &["rebuild", "weather"],
        &["verify", "--store", "memory:"],
        &["repair"],
        &["repair", "--dry-run", "--cut"],
        &["repair", "--dry-run", "--yes"],
        &["backup"],
    ] {
        let output = run(args, &[]);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", err(&output));
        assert!(out(&output).is_empty(), "{args:?} prints nothing on standard output");
    }
}

#[test]
fn every_mistake_in_the_configuration_is_told_at_once_and_nothing_is_opened() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("h.toml"), "[holds]\nhold_ttl = \"1ms\"\ncolour = 1\n")
        .expect("written");
    let settings = [
        ("HOLDFAST__HTTP__LISTN", "x"),
        ("HOLDFAST__LOG__SEGMENT_BYTES", "1"),
        ("HOLDFAST_BIN_X", "y"),
    ];
    let output = run_in(directory.path(), &["serve", "--config", "h.toml"], &settings);
    assert_eq!(output.status.code(), Some(2));
    let text = err(&output);
    for word in ["hold_ttl", "holds.colour", "HTTP__LISTN", "http.listen", "log.segment_bytes"] {
        assert!(text.contains(word), "{word} in {text}");
    }
    assert!(!text.contains("HOLDFAST_BIN_X"));
    assert!(!directory.path().join("holdfast-data").exists(), "nothing was opened");
}

#[test]
fn stores_that_come_later_say_what_brings_them() {
    for (store, word) in [
        ("postgres://me:hush@h/db", "postgres"),
        ("kurrentdb://h:2113", "kurrentdb"),
        ("esdb://h", "kurrentdb"),
    ] {
        let output = run(&["serve", "--store", store], &[]);
        assert_eq!(output.status.code(), Some(2));
        let text = err(&output);
        assert!(text.contains(&format!("feature `{word}`")) && !text.contains("hush"), "{text}");
    }
}

#[test]
fn the_configuration_is_shown_with_its_origins_and_can_be_used_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = [
        ("HOLDFAST__HOLDS__HOLD_TTL", "2s"),
        ("HOLDFAST__SANDBOX__WEBHOOK_SECRETS", "very-secret"),
    ];
    let output = run_in(directory.path(), &["config", "--data-dir", "there"], &settings);
    assert_eq!(output.status.code(), Some(0));
    let text = out(&output);
    assert!(
        text.contains("hold_ttl = \"2s\"") && text.contains("HOLDFAST__HOLDS__HOLD_TTL"),
        "{text}"
    );
    assert!(text.contains("data_dir = \"there\"") && text.contains("--data-dir"), "{text}");
    assert!(!text.contains("very-secret"));
    std::fs::write(directory.path().join("h.toml"), &text).expect("written");
    let again = run_in(directory.path(), &["config", "--config", "h.toml"], &[]);
    assert_eq!(again.status.code(), Some(0), "{}", err(&again));
    assert!(!directory.path().join("there").exists());
}

#[test]
fn a_log_that_is_not_there_cannot_be_read() {
    for command in ["replay", "verify"] {
        let output = run(&[command, "--data-dir", "nowhere"], &[]);
        assert_eq!(output.status.code(), Some(1), "{command}: {}", err(&output));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_in_use_ends_with_four_and_can_be_read_all_the_same() {
    let house = House::start(&[]).await;
    publish_hall(&house.admin(), Hall { id: "hall", sku: None, rows: 1, seats: 5 }).await;
    for args in [&["serve"][..], &["rebuild", "--all"]] {
        let output = house.command(args).output().expect("runs");
        assert_eq!(output.status.code(), Some(4), "{args:?}: {}", err(&output));
    }
    let output = house.command(&["verify"]).output().expect("runs");
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(out(&output).contains("all is well"), "{}", out(&output));
    let replayed = house.command(&["replay", "--format", "jsonl"]).output().expect("runs");
    let told = house.auditor().get("/events").await.expect(200).text;
    assert_eq!(out(&replayed), told, "replay and GET /events print the same lines");

    let token = house.command(&["token", "--role", "SUPER_ADMIN", "--user", "root"]).output();
    let token = out(&token.expect("runs"));
    assert_eq!(token.lines().count(), 1, "the token alone");
    let mut person = house.stranger();
    person.token = Some(token.trim().to_owned());
    person.get("/events").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_told_in_every_format_and_up_to_any_moment() {
    let house = House::start(&[]).await;
    publish_hall(&house.admin(), Hall { id: "hall", sku: None, rows: 1, seats: 5 }).await;
    let ada = house.customer("ada");
    for seat in ["A-1-1", "A-1-2", "A-1-3"] {
        ada.post("/api/v1/seats/lock", json!({ "seatMapId": "hall", "seatIds": [seat] }))
            .await
            .expect(200);
    }
    let replay = |args: &[&str]| {
        let output = house.command(&[&["replay"], args].concat()).output().expect("runs");
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", err(&output));
        out(&output)
    };
    let lines = |text: &str| -> Vec<Value> {
        text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    };
    let all = lines(&replay(&["--format", "jsonl"]));
    assert_eq!(all.len(), 4);
    for field in [
        "id",
        "position",
        "stream",
        "streamVersion",
        "type",
        "schemaVersion",
        "occurredAt",
        "recordedAt",
        "actor",
        "correlationId",
        "causationId",
        "data",
    ] {
        assert!(all[1].get(field).is_some(), "{field} in {}", all[1]);
    }
    assert_eq!(all[1]["actor"], "user:ada");
    assert_eq!(lines(&replay(&["--format", "jsonl", "--from", "3"]))[0]["position"], "3");
    assert_eq!(lines(&replay(&["--format", "jsonl", "--as-of", "2"])).len(), 2);
    let moment = all[2]["recordedAt"].as_str().expect("a moment");
    assert_eq!(lines(&replay(&["--format", "jsonl", "--as-of", moment])).len(), 3);
    let clouds = lines(&replay(&["seatmap-hall", "--format", "cloudevents"]));
    assert_eq!(clouds[1]["type"], "dev.holdfast.seatmap.seats-locked.v1");
    let text = replay(&["seatmap-hall"]);
    assert!(text.contains("seatmap.seats-locked  by user:ada"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_byte_ends_with_three_and_names_its_place() {
    let mut house = House::start(&[]).await;
    publish_hall(&house.admin(), Hall { id: "hall", sku: None, rows: 1, seats: 5 }).await;
    let ada = house.customer("ada");
    for seat in ["A-1-1", "A-1-2", "A-1-3"] {
        ada.post("/api/v1/seats/lock", json!({ "seatMapId": "hall", "seatIds": [seat] }))
            .await
            .expect(200);
    }
    assert_eq!(house.stop().code(), Some(0));
    let segment = house.data().join("log/0000000001.seg");
    let mut bytes = std::fs::read(&segment).expect("the segment");
    let at =
        bytes.windows(7).position(|bytes| bytes == b"A-1-1\"]").expect("the first lock is there");
    bytes[at] ^= 1;
    std::fs::write(&segment, bytes).expect("written");
    for args in [&["serve"][..], &["verify"], &["verify", "--quick"]] {
        let output = house.command(args).output().expect("runs");
        assert_eq!(output.status.code(), Some(3), "{args:?}: {}", err(&output));
        let text = err(&output);
        for word in ["0000000001.seg", "offset", "position 2"] {
            assert!(text.contains(word), "{args:?}: {word} in {text}");
        }
    }
}

/// The disk fails under the real binary: `strace` makes the writer's sixth sync an error.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_is_told_as_unknown_and_ends_with_three() {
    let traced = Command::new("strace").args(["-o", "/dev/null", "true"]).status();
    if !traced.is_ok_and(|status| status.success()) {
        eprintln!("strace is not there, or may not trace: not judged");
        return;
    }
    let settings = [("LOG__SEGMENT_BYTES", "1MiB")];
    let tracer = [
        "strace",
        "-D",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=fdatasync",
        "-e",
        "inject=fdatasync:error=EIO:when=6+",
    ];
    let mut house = House::start_under(&tracer, &settings).await;
    let admin = house.admin();
    let mut told = Vec::new();
    for n in 0..8 {
        let price = json!({ "amountMinor": "1", "currency": "EUR" });
        let input = json!({ "idempotencyKey": format!("k{n}"), "sku": format!("s{n}"), "name": "n",
            "kind": "STOCK", "price": price });
        let query =
            "mutation($input: CreateItemInput!) { createItem(input: $input) { __typename } }";
        let body = json!({ "query": query, "variables": { "input": input } }).to_string();
        let headers = [("content-type", "application/json")];
        let asked = admin.ask(reqwest::Method::POST, "/graphql", &headers, Some(body.into_bytes()));
        let Ok(answer) = asked.await else { break };
        let code = &answer.body["errors"][0]["extensions"]["code"];
        told.push(code.as_str().unwrap_or("Accepted").to_owned());
    }
    assert_eq!(told.first().map(String::as_str), Some("Accepted"), "{told:?}");
    let unknown = told.iter().filter(|code| *code == "OUTCOME_UNKNOWN").count();
    assert_eq!(unknown, 1, "{told:?}");
    let after = told.iter().skip_while(|code| *code != "OUTCOME_UNKNOWN").skip(1);
    assert!(after.clone().all(|code| code == "UNAVAILABLE"), "{told:?}");
    assert_eq!(house.wait(Duration::from_secs(15)).code(), Some(3), "{}", house.logs());
    // A good disk, and what was acknowledged is there.
    let accepted = told.iter().filter(|code| *code == "Accepted").count();
    let house = house.again().await;
    assert!(recorded(&house).await.len() >= accepted);
}

/// A log that is whole, and tells that one seat was given to two.
#[tokio::test(flavor = "multi_thread")]
async fn a_broken_business_rule_is_named_with_its_place_and_ends_with_one() {
    use holdfast_domain::seatmap::Event;
    use holdfast_domain::{LockId, SeatId, UserId, derive};
    use holdfast_schemas::{Actor, Metadata, StoredEvent as _};
    use holdfast_store::embedded::{Embedded, Options};
    use holdfast_store::{EventStore as _, Expected, NewEvent, StreamAppend, StreamId};

    let directory = tempfile::tempdir().expect("a directory");
    let store = Embedded::open(directory.path(), Options::default()).expect("a new log");
    for user in ["ada", "bob"] {
        let event = Event::SeatsLocked {
            lock_id: Some(LockId(derive(&["lock", user]))),
            reservation_id: None,
            user_id: UserId::new(user).expect("a name"),
            seat_ids: vec![SeatId::new("A-1-1").expect("a seat")],
            expires_at: Some("2100-01-01T00:00:00Z".parse().expect("a moment")),
            epoch: 1,
            attempt: None,
        };
        let metadata = Metadata {
            occurred_at: "2026-11-21T12:00:00Z".parse().expect("a moment"),
            command_id: derive(&["command", user]),
            actor: Actor::user(user),
            tenant_id: "main".into(),
            correlation_id: None,
            causation_id: None,
            idempotency_key: None,
            fingerprint: None,
            traceparent: None,
        };
        let event = NewEvent {
            id: derive(&["event", user]),
            kind: event.kind().into(),
            schema_version: event.schema_version(),
            metadata: metadata.encode().into(),
            data: event.encode().into(),
        };
        let stream = StreamId::new("seatmap-hall");
        let batch = StreamAppend { stream, expected: Expected::Any, events: vec![event] };
        store.append(vec![batch]).await.expect("recorded");
    }
    store.close().await;
    let output = run_in(directory.path(), &["verify", "--data-dir", "."], &[]);
    assert_eq!(output.status.code(), Some(1), "{}", err(&output));
    let text = out(&output);
    assert!(text.contains("OFFENCE: segment 0000000001.seg, offset "), "{text}");
    assert!(text.contains("position 2: map hall: seat A-1-1 was given to lock"), "{text}");
    let output = run_in(directory.path(), &["verify", "--quick", "--data-dir", "."], &[]);
    assert_eq!(output.status.code(), Some(0), "the log itself is whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_in_memory_leaves_no_log() {
    let mut house = House::start(&[("STORE", "memory:")]).await;
    publish_hall(&house.admin(), Hall { id: "hall", sku: None, rows: 1, seats: 5 }).await;
    let ada = house.customer("ada");
    let body = json!({ "seatMapId": "hall", "seatIds": ["A-1-1"] });
    let booked = ada.post("/api/v1/bookings", body).await.expect(201);
    let pay = json!({ "order_id": booked.text_of("/bookingId"), "payment_method": "tok_approve" });
    ada.post("/payments/confirm", pay).await.expect(200);
    assert_eq!(house.stop().code(), Some(0));
    assert!(!house.data().join("log").exists() && !house.data().join("read.sqlite").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn read_models_are_rebuilt_from_the_log() {
    let mut house = House::start(&[]).await;
    publish_hall(&house.admin(), Hall { id: "hall", sku: None, rows: 1, seats: 5 }).await;
    let ada = house.customer("ada");
    let body = json!({ "seatMapId": "hall", "seatIds": ["A-1-1"] });
    ada.post("/api/v1/bookings", body).await.expect(201);
    assert_eq!(house.stop().code(), Some(0));
    for args in [&["rebuild", "seat_maps"][..], &["rebuild", "--all"]] {
        let output = house.command(args).output().expect("runs");
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", err(&output));
    }
    // Gone altogether, they come back by themselves.
    for name in ["read.sqlite", "read.sqlite-wal", "read.sqlite-shm"] {
        let _ = std::fs::remove_file(house.data().join(name));
    }
    let house = house.again().await;
    let stranger = house.stranger();
    eventually("the map is there again", || async {
        let query = "{ seatMap(id: \"hall\") { counts { free locked } } }";
        let map = stranger.query(query, json!({})).await;
        (map["seatMap"]["counts"] == json!({ "free": 4, "locked": 1 })).then_some(())
    })
    .await;
}

#[test]
fn a_demo_is_only_shown_to_this_machine() {
    let output = run(&["serve", "--demo", "--listen", "0.0.0.0:0"], &[]);
    assert_eq!(output.status.code(), Some(2), "{}", err(&output));
    assert!(err(&output).contains("loopback"), "{}", err(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_is_loaded_once() {
    let mut house = House::start_with(&[], &["--demo"]).await;
    let stranger = house.stranger();
    let count = async |person: &Person, id: &str| {
        let query = "query($id: ID!) { seatMap(id: $id) { counts { free } } }";
        let counts = person.query(query, json!({ "id": id })).await;
        counts["seatMap"]["counts"]["free"].as_i64()
    };
    eventually("the hall", || async {
        count(&stranger, "hall").await.filter(|free| *free == 2_000)
    })
    .await;
    eventually("the stadium", || async {
        count(&stranger, "stadium").await.filter(|free| *free == 50_000)
    })
    .await;
    let logs = house.logs();
    for user in ["customer@demo", "operator@demo", "auditor@demo", "analyst@demo", "admin@demo"] {
        let line = logs.lines().find(|line| line.starts_with(user)).expect(user);
        let token = line.split_whitespace().last().expect("a token");
        let mut person = house.stranger();
        person.token = Some(token.into());
        let me = person.query("{ me { id } }", json!({})).await;
        assert_eq!(me["me"]["id"], user);
    }
    let before = recorded(&house).await.len();
    assert_eq!(house.stop().code(), Some(0));
    let mut house = house.again().await;
    assert_eq!(recorded(&house).await.len(), before, "the second start loads nothing new");
    assert_eq!(house.stop().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn both_polite_signals_end_with_zero() {
    for signal in ["TERM", "INT"] {
        let mut house = House::start(&[]).await;
        publish_hall(&house.admin(), Hall { id: "hall", sku: None, rows: 1, seats: 5 }).await;
        house.stranger().get("/health/ready").await.expect(200);
        // Somebody watches, and somebody follows the log: neither keeps the server up.
        let mut watching = seats_socket(&house.stranger(), "hall").await;
        watching.next().await.expect("a snapshot");
        let auditor = house.auditor();
        let following = tokio::spawn(async move {
            let follow = auditor.ask(reqwest::Method::GET, "/events?follow=true", &[], None);
            let _ = follow.await;
        });
        tokio::time::sleep(Duration::from_millis(200)).await;
        kill(house.pid(), signal);
        assert_eq!(house.wait(Duration::from_secs(5)).code(), Some(0), "SIG{signal}");
        following.await.expect("the follower is let go");
    }
}
