//! `holdfast log stat`: what the log is made of, as a table or as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use holdfast_domain::Timestamp;
use holdfast_store::embedded::{CopyStat, Counting, IndexStat, LogStat, SegmentStat, stat};
use indicatif::{BinaryBytes, HumanCount};
use serde_json::{Value, json};

use crate::config::Config;

/// How many segments the table shows, from the last; JSON has all.
const SHOWN: usize = 12;

#[derive(Debug, Args)]
pub(in crate::cli) struct StatArgs {
    /// Count events by this, and streams; reads the whole log
    #[arg(long, value_enum, value_name = "WHAT")]
    by: Option<By>,
    /// One JSON object instead of a table; times are microseconds since 1970-01-01 UTC
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum By {
    /// What stands before the first `-` of a stream's name
    Category,
    /// The stored name of the event
    Kind,
}

pub(super) async fn run(config: &Config, args: StatArgs) -> anyhow::Result<()> {
    let directory = crate::cli::log_directory(config)?;
    let counting = if args.by.is_some() { Counting::Everything } else { Counting::Quick };
    let looked = tokio::task::spawn_blocking({
        let directory = directory.clone();
        move || stat(directory, counting)
    });
    let found = looked.await?.with_context(|| format!("the log in {}", directory.display()))?;
    crate::cli::print(&if args.json { as_json(&found) } else { table(&found, args.by) })
}

fn table(log: &LogStat, by: Option<By>) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<16} {value}");
    };
    let events = log.head.0;
    line("store", log.store_id.to_string());
    line("head", HumanCount(events).to_string());
    line(
        "streams",
        match streams(log) {
            Some(streams) => HumanCount(streams).to_string(),
            None => "not counted (--by category counts them, and reads everything)".into(),
        },
    );
    line("first recorded", moment(log.first_recorded_micros));
    line("last recorded", moment(log.last_recorded_micros));
    let per_frame = events as f64 / log.frames.max(1) as f64;
    line("frames", format!("{}, {per_frame:.1} events each", HumanCount(log.frames)));
    let per_event = log.used_bytes / events.max(1);
    line("used", format!("{}, {per_event} bytes an event", BinaryBytes(log.used_bytes)));
    line("files", BinaryBytes(log.file_bytes).to_string());
    line("free on disk", log.free_bytes.map_or("unknown".into(), |it| BinaryBytes(it).to_string()));
    let [first, second] = log.tail.slots.map(copy);
    line("mirrored tail", format!("slots: {first}, {second}; mark: {}", copy(log.tail.mark)));
    for (name, len) in &log.torn {
        line("kept aside", format!("{name}, {len} bytes of a write that never ended"));
    }
    for name in &log.cut {
        line("kept aside", format!("{name}, what a repair has cut off"));
    }
    segments(log, &mut text);
    if let (Some(by), Some(counted)) = (by, &log.counted) {
        let counts = match by {
            By::Category => &counted.by_category,
            By::Kind => &counted.by_kind,
        };
        counted_by(counts, events, &mut text);
    }
    text
}

/// Counted, or by the indexes.
fn streams(log: &LogStat) -> Option<u64> {
    log.counted.as_ref().map(|counted| counted.streams).or(log.streams)
}

fn copy(copy: CopyStat) -> &'static str {
    match copy {
        CopyStat::None => "none",
        CopyStat::Broken => "broken",
        CopyStat::Agrees => "agrees",
        CopyStat::Ahead => "ahead",
        CopyStat::Differs => "differs",
    }
}

fn index(segment: &SegmentStat) -> Option<&'static str> {
    segment.index.map(|index| match index {
        IndexStat::Good => "good",
        IndexStat::Missing => "missing",
        IndexStat::Rebuilt(_) => "will be rebuilt",
    })
}

fn segments(log: &LogStat, text: &mut String) {
    let _ = writeln!(
        text,
        "\n{:<16} {:>14} {:>12} {:>10} {:>11} {:>11}  state",
        "segment", "first", "events", "frames", "used", "file"
    );
    let hidden = log.segments.len().saturating_sub(SHOWN);
    if hidden > 0 {
        let _ = writeln!(text, "… {hidden} earlier ones (--json shows all)");
    }
    for one in &log.segments[hidden..] {
        let _ = writeln!(
            text,
            "{:<16} {:>14} {:>12} {:>10} {:>11} {:>11}  {}",
            one.name,
            HumanCount(one.first.0).to_string(),
            HumanCount(one.events).to_string(),
            HumanCount(one.frames).to_string(),
            BinaryBytes(one.used_bytes).to_string(),
            BinaryBytes(one.file_bytes).to_string(),
            state(one)
        );
    }
    for name in &log.prepared {
        let _ = writeln!(text, "{name:<16} {:>78}", "prepared");
    }
}

fn state(segment: &SegmentStat) -> String {
    let state = match index(segment) {
        Some(index) => format!("sealed, index {index}"),
        None => "open".to_owned(),
    };
    format!("{state}, format {}", segment.version)
}

fn counted_by(counts: &BTreeMap<String, u64>, events: u64, text: &mut String) {
    let mut counts: Vec<_> = counts.iter().collect();
    counts.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), *name));
    let _ = writeln!(text);
    for (name, count) in counts {
        let share = *count as f64 * 100.0 / events.max(1) as f64;
        let _ = writeln!(text, "{name:<40} {:>14} {share:>5.1} %", HumanCount(*count).to_string());
    }
}

fn moment(micros: Option<i64>) -> String {
    micros.map_or_else(|| "never".into(), |micros| Timestamp::from_micros(micros).to_string())
}

fn as_json(log: &LogStat) -> String {
    let segments: Vec<Value> = log
        .segments
        .iter()
        .map(|one| {
            json!({
                "name": one.name, "first": one.first.0, "events": one.events,
                "frames": one.frames, "used_bytes": one.used_bytes,
                "file_bytes": one.file_bytes, "sealed": one.sealed,
                "created_at_micros": one.created_at_micros,
                "version": one.version, "index": index(one),
            })
        })
        .collect();
    let torn: Vec<Value> =
        log.torn.iter().map(|(name, len)| json!({ "name": name, "bytes": len })).collect();
    let mut object = json!({
        "store_id": log.store_id, "head": log.head.0, "frames": log.frames,
        "used_bytes": log.used_bytes, "file_bytes": log.file_bytes,
        "free_bytes": log.free_bytes,
        "first_recorded_micros": log.first_recorded_micros,
        "last_recorded_micros": log.last_recorded_micros,
        "segments": segments, "prepared": log.prepared, "torn": torn, "cut": log.cut,
        "streams": streams(log), "slots": log.tail.slots.map(copy), "mark": copy(log.tail.mark),
    });
    if let Some(counted) = &log.counted {
        object["by_category"] = json!(counted.by_category);
        object["by_kind"] = json!(counted.by_kind);
    }
    format!("{object:#}\n")
}
