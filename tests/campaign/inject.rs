//! The disk fails under `holdfast log bench`, at the k-th call of each kind: errors, full disks,
//! interruptions, and SIGKILL just before the call is done.
//!
//! ```text
//!   a new directory,  k = 1, 2, 3 …   making the log, the first frames, rolling
//!   one that is used again and again  recovery of what the fault before has left, under the next fault
//! ```
//!
//! strace counts calls for each thread: the one that opens, the writer, those that prepare segments;
//! the first of them that comes to its k-th call is hit. `HOLDFAST_FAULTS=10` takes ten times as many k.

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;

use crate::Clock;
use crate::bench::{Ground, count, in_lanes};
use crate::strace::{hits, injecting, may_trace};

/// What must come of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// The run goes on to its end as if nothing had been.
    GoesOn,
    /// The process is gone.
    Killed,
    /// Where it hit a segment: told, and the process ends with 3 (1 while opening). Elsewhere it may
    /// go on.
    Ends,
    /// Where it hit the writer: refused, and it goes on when there is room again.
    Waits,
}

/// One way to fail.
struct Fault {
    call: &'static str,
    how: &'static str,
    then: Then,
    /// Up to which k.
    until: u64,
}

const FAULTS: [Fault; 18] = [
    Fault { call: "pwrite64", how: "error=EIO", then: Then::Ends, until: 8 },
    Fault { call: "pwrite64", how: "error=EAGAIN", then: Then::Ends, until: 4 },
    Fault { call: "pwrite64", how: "retval=0", then: Then::Ends, until: 4 },
    Fault { call: "pwrite64", how: "error=ENOSPC", then: Then::Waits, until: 8 },
    Fault { call: "pwrite64", how: "signal=KILL", then: Then::Killed, until: 10 },
    Fault { call: "pwrite64", how: "error=EINTR", then: Then::GoesOn, until: 3 },
    Fault { call: "fdatasync", how: "error=EIO", then: Then::Ends, until: 8 },
    Fault { call: "fdatasync", how: "error=ENOSPC", then: Then::Ends, until: 3 },
    Fault { call: "fdatasync", how: "signal=KILL", then: Then::Killed, until: 10 },
    Fault { call: "fdatasync", how: "error=EINTR", then: Then::GoesOn, until: 3 },
    Fault { call: "fsync", how: "error=EIO", then: Then::Ends, until: 4 },
    Fault { call: "fsync", how: "signal=KILL", then: Then::Killed, until: 4 },
    Fault { call: "rename", how: "error=EIO", then: Then::Ends, until: 2 },
    Fault { call: "rename", how: "signal=KILL", then: Then::Killed, until: 2 },
    Fault { call: "unlink", how: "signal=KILL", then: Then::Killed, until: 2 },
    Fault { call: "openat", how: "signal=KILL", then: Then::Killed, until: 6 },
    // The acknowledgement itself: durable, and nobody is told.
    Fault { call: "write", how: "signal=KILL", then: Then::Killed, until: 10 },
    Fault { call: "pread64", how: "error=EIO", then: Then::Ends, until: 4 },
];

/// A frame whose copy cannot be named stands in its segment by then, where readers see it, so it is
/// too late for "refused". It takes a disk that has room for a copy and not for the 64 bytes before it.
const NAMING: &str = "cannot name the copy";

/// A segment and a half.
const ARGS: [&str; 8] =
    ["--producers", "4", "--appends", "180", "--event-bytes", "8000", "--full-wait", "20"];
const APPENDS: usize = 180;

/// Which calls are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    /// All.
    Everything,
    /// Those on this file of the log: the second segment tells of rolling.
    File(&'static str),
    /// Those on the log's directory.
    Directory,
}

impl On {
    fn paths(self, ground: &Ground) -> Vec<PathBuf> {
        match self {
            Self::Everything => Vec::new(),
            Self::File(name) => vec![ground.log().join(name)],
            Self::Directory => vec![ground.log()],
        }
    }
}

/// One run under one fault, and what must hold afterwards. Returns whether it hit.
fn strike(ground: &mut Ground, fault: &Fault, on: On, when: &str) -> bool {
    let record = ground.data().with_file_name("record");
    let injection = format!("{}:{}:when={when}", fault.call, fault.how);
    let tracer = injecting(&record, &on.paths(ground), std::slice::from_ref(&injection));
    let (refused, unknown) = (ground.told.refused.len(), ground.told.unknown.len());
    let (ended, acks) = ground.run(&tracer, &ARGS);
    let refused = ground.told.refused.len() - refused;
    let unknown = ground.told.unknown.len() - unknown;
    let hits = hits(&record);
    let context = format!(
        "{injection} on {on:?}: {ended}, {acks} acknowledged, {refused} refused, {unknown} unknown; \
         hit {hits:?}; {}",
        ground.errors()
    );
    let (code, killed) = (ended.code(), ended.signal() == Some(9) || ended.code() == Some(137));
    // A call that failed on a segment itself; what is being prepared may fail and be made again, and
    // so may an index, which says so.
    let not_indexed = ground.errors().contains("a segment is not indexed yet");
    let on_segment = hits.iter().any(|hit| hit.contains(".seg>")) && !not_indexed;
    let then = match fault.then {
        Then::Killed => Then::Killed,
        _ if hits.is_empty() => Then::GoesOn,
        Then::Waits if ground.errors().contains(NAMING) => Then::Ends,
        Then::GoesOn | Then::Ends | Then::Waits => fault.then,
    };
    match then {
        Then::Killed => assert!(killed || (code == Some(0) && acks == APPENDS), "{context}"),
        Then::GoesOn => assert_eq!((code, acks), (Some(0), APPENDS), "{context}"),
        Then::Ends if code == Some(0) => {
            assert!(!on_segment && acks == APPENDS, "an error was passed over: {context}");
        }
        Then::Ends => {
            assert!(matches!(code, Some(1 | 3)), "{context}");
            // Once it is open, a failed log is a poisoned one.
            assert!(acks == 0 || code == Some(3), "{context}");
        }
        // Making the log needs room; without it there is none.
        Then::Waits if code == Some(1) => assert!(acks == 0 && refused == 0, "{context}"),
        Then::Waits => {
            assert_eq!((code, acks, unknown), (Some(0), APPENDS, 0), "{context}");
        }
    }
    if let Err(what) = ground.judge_as_it_is() {
        panic!("{context}\nread as it is left: {what}");
    }
    !hits.is_empty() || killed
}

/// All k of one fault, on new directories and on one that is used again and again.
fn all(fault: &Fault, larger: u64) -> usize {
    let mut hit = 0;
    let mut used = Ground::new();
    used.run(&[], &ARGS);
    let everything = match fault.call {
        // The loader reads the program itself.
        "pread64" => On::File("0000000001.seg"),
        _ => On::Everything,
    };
    for k in 1..=fault.until * larger {
        // An interruption comes back; everything else happens once.
        let when = match fault.then {
            Then::GoesOn => format!("{k}+3"),
            Then::Waits => format!("{k}..{}", k + 2 * (k % 3)),
            Then::Killed | Then::Ends => k.to_string(),
        };
        let mut fresh = Ground::new();
        hit += usize::from(strike(&mut fresh, fault, everything, &when));
        recovers(&fresh, fault, k);
        hit += usize::from(strike(&mut used, fault, everything, &when));
        if k <= 4 {
            let on = match fault.call {
                "fsync" | "openat" => On::Directory,
                _ => On::File("0000000002.seg"),
            };
            let mut rolling = Ground::new();
            hit += usize::from(strike(&mut rolling, fault, on, &when));
            recovers(&rolling, fault, k);
        }
    }
    recovers(&used, fault, 0);
    hit
}

fn recovers(ground: &Ground, fault: &Fault, k: u64) {
    if let Err(what) = ground.judge_recovered() {
        panic!("{}:{}, k = {k}: after recovery: {what}", fault.call, fault.how);
    }
}

#[test]
fn whatever_call_fails_nothing_acknowledged_is_lost_and_every_failure_is_told() {
    let _clock = Clock::start();
    if !may_trace("failing system calls under the bench") {
        return;
    }
    let larger = count("HOLDFAST_FAULTS", 1);
    in_lanes(&FAULTS, |fault| {
        let hit = all(fault, larger);
        eprintln!("{}:{}: {hit} hits", fault.call, fault.how);
        assert!(hit > 0, "{}:{} never hit", fault.call, fault.how);
        hit
    });
}
