//! The real binary against the real disk: killed, failed, filled up and damaged from outside, with a
//! record of all that was acknowledged. What the disk might have done is in `store/`'s simulation;
//! here nothing is simulated but the moment.
//!
//! `HOLDFAST_BIN` names another binary to judge (the release one). Each part has a small size for
//! every change and a large one by a variable (CONTRIBUTING.md); seeds are fixed, `HOLDFAST_SEED`
//! tries another. Each part says how long it took.

#[path = "../support/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the doors that these tests do not use")]
mod support;

use std::time::Instant;

mod bench;
mod disk_full;
mod from_outside;
mod inject;
mod inject_serve;
mod kill9;
mod kill9_serve;
mod states;
mod strace;
mod trace;
mod trace_replay;

/// Says at the end of a test how long it took.
struct Clock(Instant);

impl Clock {
    fn start() -> Self {
        Self(Instant::now())
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        // The runner names the thread after the test.
        let thread = std::thread::current();
        let (took, part) = (self.0.elapsed().as_secs_f64(), thread.name().unwrap_or("a part"));
        strace::say(&format!("{took:6.1} s  {part}"));
    }
}
