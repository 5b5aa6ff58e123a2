//! The disk fails under `holdfast serve`, at the files of its log: what customers are told, and that
//! all of it holds after the next start. (Syncs that fail are judged in `product`.)

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::Clock;
use crate::strace::{injecting, may_trace};
use crate::support::*;

/// A server in which seats can be locked, started again with injections at all segments of its log:
/// what fails to be kept beside them (the mark) costs nothing.
async fn failing(injection: &str) -> House {
    let mut house = House::start(&[("LOG__SEGMENT_BYTES", "1MiB")]).await;
    publish_hall(&house.admin(), Hall { id: "hall", sku: None, rows: 5, seats: 50 }).await;
    assert_eq!(house.stop().code(), Some(0));
    let files = std::fs::read_dir(house.data().join("log")).expect("the log's directory");
    let files = files.map(|file| file.expect("an entry").path());
    let files: Vec<_> =
        files.filter(|file| file.extension().is_some_and(|it| it == "seg")).collect();
    let record = house.data().with_file_name("record");
    let tracer = injecting(&record, &files, &[injection.to_owned()]);
    // The tracer aside: who ends this process ends the server itself, and no server outlives its test.
    let mut tracer: Vec<&str> = tracer.iter().map(String::as_str).collect();
    tracer.insert(1, "-D");
    house.again_under(&tracer).await
}

/// Locks one seat after the other, each by somebody else; the answers, until nobody answers.
async fn lock(house: &House, seats: std::ops::Range<usize>) -> Vec<Answer> {
    let mut answers = Vec::new();
    for n in seats {
        let person = house.customer(&format!("user-{n}"));
        let seat = format!("A-{}-{}", n / 50 + 1, n % 50 + 1);
        let body = json!({ "seatMapId": "hall", "seatIds": [seat] });
        match person.send(Method::POST, "/api/v1/seats/lock", &format!("k-{n}"), body).await {
            Ok(answer) => answers.push(answer),
            Err(_) => break,
        }
    }
    answers
}

/// Every success is in the log, which breaks no rule.
async fn held(house: &House, answers: &[Answer]) {
    let events = recorded(house).await;
    for answer in answers.iter().filter(|answer| answer.status == 200) {
        let at = answer.position();
        let event = events.get(at as usize - 1).unwrap_or_else(|| panic!("{at} is lost"));
        let lock = answer.text_of("/lockId");
        let data = String::from_utf8_lossy(&event.data).into_owned();
        let id = lock.strip_prefix("lck_").and_then(|id| id.strip_suffix("-hall"));
        let id = id.expect("a lock's id names its map");
        assert!(data.contains(id), "{lock} was told to be at {at}, where {data} is");
    }
    judge_log(house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_for_a_while_refuses_and_then_goes_on() {
    let _clock = Clock::start();
    if !may_trace("a full disk under a server") {
        return;
    }
    // Each frame is three writes: its copy, itself, the copy's header.
    for calls in ["19..25", "20..26"] {
        let house = failing(&format!("pwrite64:error=ENOSPC:when={calls}")).await;
        let answers = lock(&house, 0..60).await;
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        let refused: Vec<&Answer> = answers.iter().filter(|answer| answer.status != 200).collect();
        assert!(!refused.is_empty(), "{statuses:?}");
        for answer in &refused {
            assert!([503, 507].contains(&answer.status), "{}", answer.text);
            assert_eq!(answer.header("content-type"), Some("application/problem+json"));
            assert!(answer.text.contains("the disk is full"), "{}", answer.text);
            assert!(!answer.text.contains("unknown"), "nothing was recorded: {}", answer.text);
        }
        assert_eq!((statuses.first(), statuses.last()), (Some(&200), Some(&200)), "{statuses:?}");
        house.stranger().get("/health/ready").await.expect(200);
        held(&house, &answers).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_write_is_told_as_unknown_and_ends_with_three() {
    let _clock = Clock::start();
    if !may_trace("a failed write under a server") {
        return;
    }
    let mut house = failing("pwrite64:error=EIO:when=20").await;
    let answers = lock(&house, 0..60).await;
    let codes: Vec<&str> =
        answers.iter().map(|answer| answer.body["code"].as_str().unwrap_or("")).collect();
    assert_eq!(house.wait(Duration::from_secs(15)).code(), Some(3), "{}", house.logs());
    assert_eq!(codes.iter().filter(|code| **code == "OUTCOME_UNKNOWN").count(), 1, "{codes:?}");
    let house = house.again().await;
    held(&house, &answers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_at_a_write_or_a_sync_has_lost_nothing_it_told() {
    let _clock = Clock::start();
    if !may_trace("SIGKILL at writes under a server") {
        return;
    }
    for call in ["pwrite64", "fdatasync"] {
        for k in [14, 21] {
            let mut house = failing(&format!("{call}:signal=KILL:when={k}")).await;
            let answers = lock(&house, 0..60).await;
            let status = house.wait(Duration::from_secs(15));
            assert!(
                status.signal() == Some(9) || status.code() == Some(137),
                "{call} {k}: {status}"
            );
            let house = house.again().await;
            held(&house, &answers).await;
        }
    }
}
