//! Disks without room under a real server, on small file systems in memory: the log's, that of the read
//! models and the side file, both. Reads go on; what cannot be recorded is refused and says why; when
//! there is room again, the server goes on by itself.
//!
//! Mounting takes root. Where it is not allowed, that is said loudly; `inject` still fills the disk.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;

use crate::Clock;
use crate::strace::say;
use crate::support::*;

/// A small file system, gone with its holder.
struct Small(PathBuf);

impl Small {
    /// Mounts so many MiB at a new directory.
    fn mount(at: PathBuf, mib: u32) -> Option<Self> {
        std::fs::create_dir_all(&at).expect("a directory");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "holdfast-test"])
            .arg(&at)
            .output()
            .is_ok_and(|output| output.status.success());
        if !mounted {
            say("\n*** NOT JUDGED: full disks under a server: mounting is not allowed here ***");
            return None;
        }
        Some(Self(at))
    }

    fn path(&self) -> &Path {
        &self.0
    }

    /// More room.
    fn grow(&self, mib: u32) {
        let options = format!("remount,size={mib}m");
        let status = Command::new("mount").args(["-o", &options]).arg(&self.0).status();
        assert!(status.expect("mount runs").success());
    }

    /// Takes all the room that is left.
    fn fill(&self) -> PathBuf {
        use std::io::Write as _;
        let path = self.0.join("ballast");
        let mut file = std::fs::File::create(&path).expect("a file");
        for len in [1 << 16, 1 << 12] {
            while file.write_all(&vec![1; len]).is_ok() {}
        }
        path
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

const SETTINGS: [(&str, &str); 4] = [
    ("LOG__SEGMENT_BYTES", "1MiB"),
    ("LIMITS__LIVE_HOLDS_PER_CUSTOMER", "100000"),
    ("HOLDS__HOLD_TTL", "1h"),
    ("READY__DISK_RESERVE", "0"),
];

/// Books seat after seat until it is refused, or `at_most` are booked; the positions that were told.
async fn book(house: &House, from: usize, at_most: usize) -> (Vec<u64>, Option<Answer>) {
    let ada = house.customer("ada");
    let mut positions = Vec::new();
    for n in from..from + at_most {
        let seat = format!("A-{}-{}", n / 50 + 1, n % 50 + 1);
        let body = json!({ "seatMapId": "hall", "seatIds": [seat] });
        let sent = ada.send(Method::POST, "/api/v1/bookings", &format!("seat-{n}"), body).await;
        let answer = sent.expect("the server is there");
        if answer.status != 201 {
            return (positions, Some(answer));
        }
        positions.push(answer.position());
    }
    (positions, None)
}

async fn ready(house: &House) -> Answer {
    house.stranger().get("/health/ready").await
}

async fn hall(house: &House) {
    publish_hall(&house.admin(), Hall { id: "hall", sku: None, rows: 50, seats: 50 }).await;
}

/// What was acknowledged is there, and nothing else is wrong.
async fn all_is_there(house: &House, positions: &[u64]) {
    let head = recorded(house).await.last().map_or(0, |event| event.position.0);
    assert!(positions.iter().all(|position| *position <= head), "{positions:?}, head {head}");
    judge_log(house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_without_room_refuses_and_goes_on_by_itself_when_there_is_room() {
    let _clock = Clock::start();
    let elsewhere = TempDir::with_prefix("holdfast-full-").expect("a directory");
    let Some(disk) = Small::mount(elsewhere.path().join("disk"), 12) else { return };
    let store = format!("embedded:{}", disk.path().display());
    let settings = [&SETTINGS[..], &[("STORE", &*store)]].concat();
    let house = House::start(&settings).await;
    hall(&house).await;
    ready(&house).await.expect(200);
    disk.fill();
    let (told, refused) = book(&house, 0, 2_500).await;
    let refused = refused.expect("two segments are soon full, and there is no room for a third");
    assert!([503, 507].contains(&refused.status), "{}", refused.text);
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    assert!(refused.text.contains("full"), "it says why: {}", refused.text);
    // It stays up and answers what it can.
    let why = ready(&house).await.expect(503);
    assert!(why.text.contains("the disk is full"), "{}", why.text);
    house.stranger().get("/health/live").await.expect(200);
    house.stranger().get("/seatmaps/hall").await.expect(200);
    house.auditor().get("/events?from=1").await.expect(200);
    // A repeat of the refused request is decided anew, with the same key, once there is room.
    disk.grow(32);
    let (more, refused) = eventually("appends go on without a restart", || async {
        let (more, refused) = book(&house, told.len(), 50).await;
        (!more.is_empty()).then_some((more, refused))
    })
    .await;
    assert!(refused.is_none(), "{refused:?}");
    eventually("it is ready again", || async { (ready(&house).await.status == 200).then_some(()) })
        .await;
    let head = told.iter().chain(&more).max().expect("booked");
    let events = house.auditor().get("/events?from=1").await.expect(200);
    assert!(events.text.lines().count() as u64 >= *head, "all that was acknowledged is there");
}

/// Fault 11. The writer of the keys once made the follower of the log wait for the full side file, and
/// every booking with it.
#[tokio::test(flavor = "multi_thread")]
async fn read_models_without_room_lag_and_catch_up() {
    let _clock = Clock::start();
    let directory = Arc::new(TempDir::with_prefix("holdfast-test-").expect("a directory"));
    let Some(disk) = Small::mount(directory.path().join("data"), 6) else { return };
    let store = format!("embedded:{}", directory.path().join("log").display());
    let lag = ("READY__MAX_LAG", "20");
    let settings = [&SETTINGS[..], &[("STORE", &*store), lag]].concat();
    let mut house = House::try_in(directory.clone(), &settings).await.expect("it starts");
    hall(&house).await;
    let ballast = disk.fill();
    let began = Instant::now();
    let (mut told, refused) = book(&house, 0, 300).await;
    assert!(refused.is_none(), "writes go on: {refused:?}");
    let took = began.elapsed();
    eprintln!("300 bookings beside a full side file took {took:?}");
    assert!(took < Duration::from_secs(60), "nobody waits for the side file: {took:?}");
    let why = eventually("the lag is shown", || async {
        let answer = ready(&house).await;
        (answer.status == 503).then_some(answer)
    })
    .await;
    for word in ["read models", "keys: not written down, side.sqlite: ", "full"] {
        assert!(why.text.contains(word), "{word} in {}", why.text);
    }
    std::fs::remove_file(ballast).expect("it was there");
    eventually("it has caught up", || async { (ready(&house).await.status == 200).then_some(()) })
        .await;
    let (more, refused) = book(&house, told.len(), 5).await;
    assert!(refused.is_none(), "{refused:?}");
    told.extend(more);
    let last = told.last().expect("booked");
    house.stranger().get(&format!("/seatmaps/hall?min_position={last}")).await.expect(200);
    assert_eq!(house.stop().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_without_room_comes_to_itself() {
    let _clock = Clock::start();
    let directory = Arc::new(TempDir::with_prefix("holdfast-test-").expect("a directory"));
    let Some(disk) = Small::mount(directory.path().join("data"), 12) else { return };
    let house = House::try_in(directory.clone(), &SETTINGS).await.expect("it starts");
    hall(&house).await;
    let (mut told, refused) = book(&house, 0, 20).await;
    assert!(refused.is_none(), "{refused:?}");
    let ballast = disk.fill();
    let (more, refused) = book(&house, 20, 2_400).await;
    told.extend(more);
    let refused = refused.expect("no third segment");
    assert!([503, 507].contains(&refused.status), "{}", refused.text);
    assert!(refused.text.contains("full"), "it says why: {}", refused.text);
    ready(&house).await.expect(503);
    house.stranger().get("/seatmaps/hall").await.expect(200);
    std::fs::remove_file(ballast).expect("it was there");
    let more = eventually("appends go on without a restart", || async {
        let (more, _) = book(&house, told.len(), 5).await;
        (more.len() == 5).then_some(more)
    })
    .await;
    told.extend(more);
    eventually("it is ready again", || async { (ready(&house).await.status == 200).then_some(()) })
        .await;
    all_is_there(&house, &told).await;
    let mut house = house;
    assert_eq!(house.stop().code(), Some(0));
    let house = house.again().await;
    all_is_there(&house, &told).await;
}
