//! Runs of `holdfast log bench --acks`, and what they were told.

use std::fs::File;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use holdfast::synthetic::{Findings, Told, judge};
use holdfast_store::embedded::{Embedded, OpenError, Options, Reader};
use tempfile::TempDir;

use crate::Clock;
use crate::support::binary;

/// No run may hang for longer.
const LONGEST: Duration = Duration::from_secs(60);

/// A number that a variable may enlarge.
pub(crate) fn count(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// How much is done at the same time.
const LANES: usize = 2;

/// Does the work for every item, some at the same time; the sum of what comes of it. The first that
/// panics ends all.
pub(crate) fn in_lanes<T: Sync>(items: &[T], work: impl Fn(&T) -> usize + Sync) -> usize {
    let next = AtomicUsize::new(0);
    let lane = || {
        let mut sum = 0;
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            sum += work(item);
        }
        sum
    };
    std::thread::scope(|scope| {
        let lanes = [(); LANES].map(|()| scope.spawn(lane));
        let joined = lanes.map(|lane| lane.join());
        joined.into_iter().map(|sum| sum.unwrap_or_else(|why| resume_unwind(why))).sum()
    })
}

/// A data directory with a bench's log, and everything that its runs were told.
pub(crate) struct Ground {
    directory: TempDir,
    pub(crate) told: Told,
}

impl Ground {
    pub(crate) fn new() -> Self {
        let directory = TempDir::with_prefix("holdfast-campaign-").expect("a directory");
        Self { directory, told: Told::default() }
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Where the log is.
    pub(crate) fn log(&self) -> PathBuf {
        self.data().join("log")
    }

    fn lines(&self) -> PathBuf {
        self.directory.path().join("told")
    }

    /// What the last run has said on standard error.
    pub(crate) fn errors(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("errors")).unwrap_or_default()
    }

    /// Begins a run, maybe under another program that ends as it ends.
    pub(crate) fn begin(&self, under: &[String], args: &[&str]) -> Run {
        let mut command = match under {
            [] => Command::new(binary()),
            [program, rest @ ..] => {
                let mut command = Command::new(program);
                command.args(rest).arg(binary());
                command
            }
        };
        let file = |path| Stdio::from(File::create(path).expect("a file for what is told"));
        command
            .args(["log", "bench", "--acks", "--segment-bytes", "1MiB", "--data-dir"])
            .arg(self.data())
            .args(args)
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(file(self.lines()))
            .stderr(file(self.directory.path().join("errors")));
        Run { child: command.spawn().expect("the binary starts") }
    }

    /// What a run that has ended was told; returns how many acknowledgements there were.
    pub(crate) fn hear(&mut self) -> usize {
        let text = std::fs::read_to_string(self.lines()).expect("what was told is text");
        let before = self.told.acks.len();
        self.told.read(&text);
        self.told.acks.len() - before
    }

    /// A whole run: how it ended, and how many acknowledgements there were.
    pub(crate) fn run(&mut self, under: &[String], args: &[&str]) -> (ExitStatus, usize) {
        let ended = self.begin(under, args).wait();
        let acks = self.hear();
        (ended, acks)
    }

    /// Judges what is there, as a reader beside the writer sees it.
    pub(crate) fn judge_as_it_is(&self) -> Result<Findings, String> {
        match Reader::open(self.data()) {
            Ok(reader) => self.judged(&reader),
            Err(OpenError::NoLog) if self.told.acks.is_empty() => Ok(Findings::default()),
            Err(error) => Err(format!("the log cannot be read: {error}")),
        }
    }

    /// Opens the log as the next start does, and judges it.
    pub(crate) fn judge_recovered(&self) -> Result<Findings, String> {
        judge_recovered(&self.data(), &self.told)
    }

    fn judged(&self, log: &impl holdfast_store::EventStore) -> Result<Findings, String> {
        judged(log, &self.told)
    }
}

/// Opens the log in a data directory as the next start does, and judges it.
pub(crate) fn judge_recovered(data: &Path, told: &Told) -> Result<Findings, String> {
    #[expect(clippy::field_reassign_with_default, reason = "its test twins are private")]
    let options = {
        let mut options = Options::default();
        options.segment_bytes = 1 << 20;
        options
    };
    let began = Instant::now();
    let log = loop {
        match Embedded::open(data, options.clone()) {
            // Another test's child, between its fork and its exec, still has our lock file open.
            Err(OpenError::InUse) if began.elapsed() < Duration::from_secs(5) => {
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(error) => return Err(format!("it does not open: {error}")),
            Ok(log) => break log,
        }
    };
    judged(&log, told)
}

/// Judges an open log.
pub(crate) fn judged(
    log: &impl holdfast_store::EventStore,
    told: &Told,
) -> Result<Findings, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let findings = runtime.block_on(judge(log, told)).map_err(|error| error.to_string())?;
    match &findings.offences[..] {
        [] => Ok(findings),
        all => Err(format!("{} offences: {}", all.len(), all[..all.len().min(5)].join("\n"))),
    }
}

/// A run that is under way; killed when nobody waits for it any more.
pub(crate) struct Run {
    child: Child,
}

impl Run {
    /// Ends it as a power cut would end the process.
    pub(crate) fn kill9(mut self) {
        self.child.kill().expect("the process can be killed");
        self.child.wait().expect("and is gone");
    }

    /// How it ended.
    pub(crate) fn wait(mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the process can be asked") {
                return status;
            }
            assert!(began.elapsed() < LONGEST, "a run has not ended after {LONGEST:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_bench_is_its_own_judge_and_writes_only_where_nothing_else_is() {
    let _clock = Clock::start();
    let mut ground = Ground::new();
    let (ended, acks) = ground.run(&[], &["--appends", "20", "--producers", "3", "--events", "2"]);
    assert!(ended.success() && acks == 20, "{ended}");
    let bench = |data: &Path, args: &[&str]| {
        let mut command = Command::new(binary());
        let output = command.args(["log", "bench", "--data-dir"]).arg(data).args(args).output();
        let output = output.expect("the binary runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    };
    let lines = ground.lines().display().to_string();
    let (code, said) = bench(&ground.data(), &["--judge", &lines]);
    assert!(code == Some(0) && said.contains("20 acknowledged"), "{said}");
    let mut text = std::fs::read_to_string(&lines).expect("lines");
    text.push_str("ack 7 0193b0b0-0000-7000-8000-000000000000\n");
    std::fs::write(&lines, text).expect("written");
    let (code, said) = bench(&ground.data(), &["--judge", &lines]);
    assert!(code == Some(3) && said.contains("is lost"), "{said}");

    // Somebody else's log, and a server's directory.
    let other = TempDir::with_prefix("holdfast-campaign-").expect("a directory");
    let log = Embedded::open(other.path(), Options::default()).expect("a new log");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let batch = holdfast_store::StreamAppend {
            stream: holdfast_store::StreamId::new("seatmap-hall"),
            expected: holdfast_store::Expected::Any,
            events: holdfast::synthetic::events(uuid::Uuid::nil(), 1, 100),
        };
        holdfast_store::EventStore::append(&log, vec![batch]).await.expect("recorded");
        log.close().await;
    });
    let (code, said) = bench(other.path(), &["--appends", "1"]);
    assert!(code == Some(2) && said.contains("other streams"), "{said}");
    std::fs::write(ground.data().join("side.sqlite"), "").expect("written");
    let (code, said) = bench(&ground.data(), &["--appends", "1"]);
    assert!(code == Some(2) && said.contains("belongs to a server"), "{said}");
}
