//! The tracer that stands between the binary and the kernel: it fails system calls, kills at them,
//! and writes down what was asked of the disk.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Whether processes may be traced here. Where they may not be, that is said in a way that no test
/// runner swallows, and only then is nothing judged.
pub(crate) fn may_trace(what_is_skipped: &str) -> bool {
    static MAY: OnceLock<bool> = OnceLock::new();
    let may = *MAY.get_or_init(|| {
        let tried = Command::new("strace").args(["-f", "-qq", "-o", "/dev/null", "true"]).output();
        tried.is_ok_and(|output| output.status.success())
    });
    if !may {
        say(&format!(
            "\n*** NOT JUDGED: {what_is_skipped}: strace is not installed or may not trace here ***"
        ));
    }
    may
}

/// Past the test runner, which keeps what a passing test prints to itself.
pub(crate) fn say(what: &str) {
    let _ = writeln!(std::io::stderr(), "{what}");
}

/// `strace` with injections, which only count and hit calls on `paths` (all, when none are given).
/// What was hit stands in `record`, with the paths of the files.
pub(crate) fn injecting(record: &Path, paths: &[PathBuf], injections: &[String]) -> Vec<String> {
    let calls: Vec<&str> =
        injections.iter().map(|one| one.split(':').next().expect("a call")).collect();
    let mut tracer: Vec<String> =
        ["strace", "-f", "-qq", "-y", "-e", "signal=none", "-s", "0", "-o"].map(Into::into).into();
    // Faster, but signals are lost between the kernel's filter and the call.
    if !injections.iter().any(|one| one.contains("signal=")) {
        tracer.insert(1, "--seccomp-bpf".into());
    }
    tracer.push(record.display().to_string());
    for path in paths {
        tracer.extend(["-P".into(), path.display().to_string()]);
    }
    tracer.extend(["-e".into(), format!("trace={}", calls.join(","))]);
    for injection in injections {
        tracer.extend(["-e".into(), format!("inject={injection}")]);
    }
    tracer
}

/// What was hit: the lines of the record that were tampered with.
pub(crate) fn hits(record: &Path) -> Vec<String> {
    let record = std::fs::read_to_string(record).unwrap_or_default();
    record.lines().filter(|line| line.contains("(INJECTED)")).map(Into::into).collect()
}
