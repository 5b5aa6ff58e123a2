//! `holdfast log bench`: how fast is this disk, and does it keep its word?
//!
//! ```text
//!   producer 1 ─┐
//!   producer 2 ─┼─► the embedded store ──► frame, fdatasync ──► answer ──► `ack <position> <id>`
//!   producer n ─┘    (as `serve` uses it)
//! ```
//!
//! Each producer appends to a stream of its own, guarded by its version, and waits for each answer.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use holdfast_store::embedded::{
    Embedded, LEAST_SEGMENT_BYTES, MOST_SEGMENT_BYTES, Options, Reader,
};
use holdfast_store::{AppendError, EventStore as _, Expected, Filter, Position, StreamAppend};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::super::token::side_path;
use crate::config::{Config, Kind, Value, keys};
use crate::exit::Ending;
use crate::synthetic::{self, Told};

/// How long it runs when nobody says.
const SECONDS: f64 = 5.0;
/// How often a full disk is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(20);

#[derive(Debug, Args)]
pub(in crate::cli) struct BenchArgs {
    /// How many append at the same time; each waits for its answer
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    producers: u32,
    /// Stop after so many appends in all
    #[arg(long, value_name = "N", conflicts_with = "seconds")]
    appends: Option<u64>,
    /// Stop after so long [default: 5]
    #[arg(long, value_name = "S", value_parser = seconds)]
    seconds: Option<f64>,
    /// Length of each event's payload; at least what its own description takes, about 80
    #[arg(long, value_name = "BYTES", default_value = "256", value_parser = bytes)]
    event_bytes: u64,
    /// How many events go into each append
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    events: u32,
    /// How large one file of the log is [default: log.segment_bytes]
    #[arg(long, value_name = "BYTES", value_parser = segment_bytes)]
    segment_bytes: Option<u64>,
    /// Print one line for each answer, at once
    #[arg(long)]
    acks: bool,
    /// When the disk is full, try again for so many seconds before giving up
    #[arg(long, value_name = "S", default_value = "0", value_parser = seconds)]
    full_wait: f64,
    /// Append nothing: compare the log with the lines that earlier runs printed with --acks
    #[arg(long, value_name = "FILE", conflicts_with_all = ["acks", "appends", "seconds"])]
    judge: Vec<PathBuf>,
}

fn bytes(text: &str) -> Result<u64, String> {
    let read = (Kind::Bytes { least: 1 }).read(text)?;
    if let Value::Count(count @ ..=0x40_0000) = read {
        Ok(count)
    } else {
        Err("must be at most 4MiB".into())
    }
}

fn segment_bytes(text: &str) -> Result<u64, String> {
    let read = (Kind::Bytes { least: LEAST_SEGMENT_BYTES }).read(text)?;
    if let Value::Count(count @ ..=MOST_SEGMENT_BYTES) = read {
        Ok(count)
    } else {
        Err("must be at most 1GiB".into())
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    let read = text.parse::<f64>().ok().filter(|s| (0.0..=1e6).contains(s));
    read.ok_or_else(|| "must be a number of seconds, such as 2.5".into())
}

pub(super) async fn run(config: &Config, args: BenchArgs) -> anyhow::Result<()> {
    let directory = crate::cli::log_directory(config)?;
    if !args.judge.is_empty() {
        return judge(directory, &args.judge).await;
    }
    if side_path(config).exists() {
        return refuse(&format!("{} belongs to a server", config.data_dir().display()));
    }
    let wished = args.segment_bytes.unwrap_or_else(|| config.count(&keys::SEGMENT_BYTES));
    let log = open(directory.clone(), wished).await?;
    if has_others(&log).await? {
        log.close().await;
        return refuse(&format!("the log in {} holds other streams", directory.display()));
    }
    let before = log.head();
    let run = Arc::new(Run::new(log, args));
    let began = Instant::now();
    let mut producers = JoinSet::new();
    for number in 0..run.args.producers as usize {
        producers.spawn(run.clone().produce(number));
    }
    let mut first_failure = None;
    while let Some(ended) = producers.join_next().await {
        if let Err(error) = ended? {
            run.stop.store(true, Ordering::Relaxed);
            first_failure.get_or_insert(error);
        }
    }
    let took = began.elapsed();
    let info = run.log.info();
    run.log.close().await;
    crate::cli::print(&format!(
        "{}  {}: {} segments, {:.1} MB, head {} (was {before})\n",
        run.results(took),
        directory.join(holdfast_store::embedded::LOG_DIR).display(),
        info.segments,
        info.bytes as f64 / 1e6,
        info.head,
    ))?;
    match first_failure {
        None => Ok(()),
        Some(AppendError::Unknown(why) | AppendError::Stopped(why)) => {
            Err(Ending::Poisoned(why).into())
        }
        Some(error) => Err(error.into()),
    }
}

fn refuse(why: &str) -> anyhow::Result<()> {
    let what = "the bench only writes where nothing else is: name a new directory by --data-dir";
    Err(Ending::Usage(format!("{why}; {what}")).into())
}

async fn open(directory: PathBuf, segment_bytes: u64) -> anyhow::Result<Embedded> {
    #[expect(clippy::field_reassign_with_default, reason = "its test twins are private")]
    let options = {
        let mut options = Options::default();
        options.segment_bytes = segment_bytes;
        options
    };
    let told = directory.display().to_string();
    let opening = tokio::task::spawn_blocking(move || Embedded::open(directory, options)).await?;
    opening.with_context(|| format!("the log in {told}"))
}

/// Whether somebody else's events are in the log. Its ends tell: nothing but a bench goes on where a
/// bench began.
async fn has_others(log: &Embedded) -> anyhow::Result<bool> {
    for at in [Position::FIRST, log.head()] {
        if at > log.head() || at == Position::ZERO {
            continue;
        }
        let page = log.read_all(at, &Filter::All, 1).await?;
        if page.events.iter().any(|event| event.stream.category() != synthetic::CATEGORY) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// One run: what all producers share.
struct Run {
    log: Embedded,
    args: BenchArgs,
    id: Uuid,
    until: Option<Instant>,
    /// Appends that may still begin.
    left: AtomicU64,
    stop: AtomicBool,
    appended: AtomicU64,
    latencies: Latencies,
}

impl Run {
    fn new(log: Embedded, args: BenchArgs) -> Self {
        let seconds = match (args.appends, args.seconds) {
            (Some(_), _) => None,
            (None, seconds) => Some(Duration::from_secs_f64(seconds.unwrap_or(SECONDS))),
        };
        Self {
            log,
            id: Uuid::now_v7(),
            until: seconds.map(|seconds| Instant::now() + seconds),
            left: AtomicU64::new(args.appends.unwrap_or(u64::MAX)),
            stop: AtomicBool::new(false),
            appended: AtomicU64::new(0),
            latencies: Latencies::new(),
            args,
        }
    }

    /// Whether one more append may begin.
    fn goes_on(&self) -> bool {
        let take = |left: u64| left.checked_sub(1);
        !self.stop.load(Ordering::Relaxed)
            && self.until.is_none_or(|until| Instant::now() < until)
            && self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    async fn produce(self: Arc<Self>, number: usize) -> Result<(), AppendError> {
        let stream = synthetic::stream(self.id, number);
        let bytes = usize::try_from(self.args.event_bytes).expect("a few megabytes");
        let mut expected = Expected::NoStream;
        let mut full_since = None;
        while self.goes_on() {
            let name = Uuid::now_v7();
            let events = synthetic::events(name, self.args.events, bytes);
            let batch = StreamAppend { stream: stream.clone(), expected, events };
            let asked = Instant::now();
            match self.log.append(vec![batch]).await {
                Ok(appended) => {
                    self.told(|| format!("ack {} {name}\n", appended.first));
                    self.latencies.count(asked.elapsed());
                    self.appended.fetch_add(1, Ordering::Relaxed);
                    let version = appended.stream_versions.first();
                    expected = Expected::Exact(*version.expect("one batch, one version"));
                    full_since = None;
                }
                Err(AppendError::Full) => {
                    self.told(|| format!("refused {name}\n"));
                    self.left.fetch_add(1, Ordering::Relaxed);
                    let since: Instant = *full_since.get_or_insert(asked);
                    if since.elapsed().as_secs_f64() >= self.args.full_wait {
                        return Err(AppendError::Full);
                    }
                    tokio::time::sleep(TRY_AGAIN).await;
                }
                Err(error @ AppendError::Unknown(_)) => {
                    self.told(|| format!("unknown {name}\n"));
                    return Err(error);
                }
                Err(
                    error @ (AppendError::Stopped(_)
                    | AppendError::Invalid(_)
                    | AppendError::Conflict { .. }),
                ) => {
                    self.told(|| format!("refused {name}\n"));
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// One line is one write, before anything else is done for this producer.
    fn told(&self, line: impl FnOnce() -> String) {
        if self.args.acks && crate::cli::print(&line()).is_err() {
            // Nobody can be told any more: an oracle that is silent is none.
            self.stop.store(true, Ordering::Relaxed);
        }
    }

    fn results(&self, took: Duration) -> String {
        let Self { args, latencies, .. } = self;
        let appends = self.appended.load(Ordering::Relaxed);
        let events = appends * u64::from(args.events);
        let rate = |count: u64| count as f64 / took.as_secs_f64().max(1e-9);
        let ms = |share: f64| latencies.quantile(share).as_secs_f64() * 1e3;
        format!(
            "{appends} appends of {} x {} bytes by {} producers in {:.2} s\n  \
             {:.0} appends/s, {:.0} events/s, {:.2} MB/s of payload\n  \
             acknowledged after p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, at most {:.2} ms\n",
            args.events,
            args.event_bytes,
            args.producers,
            took.as_secs_f64(),
            rate(appends),
            rate(events),
            rate(events * args.event_bytes) / 1e6,
            ms(0.5),
            ms(0.99),
            ms(0.999),
            ms(1.0),
        )
    }
}

/// How long answers took, counted in steps of about three per cent: bounded however long it runs.
struct Latencies(Vec<AtomicU64>);

impl Latencies {
    /// Steps for each doubling, as a power of two.
    const FINE: u32 = 5;

    fn new() -> Self {
        let steps = (64 - Self::FINE + 1) << Self::FINE;
        Self((0..steps).map(|_| AtomicU64::new(0)).collect())
    }

    fn step(micros: u64) -> usize {
        let shift = (63 - micros.max(1).leading_zeros()).saturating_sub(Self::FINE);
        let fine = usize::try_from(micros >> shift).expect("a few bits");
        ((shift as usize) << Self::FINE) + fine
    }

    /// The longest time that is counted in this step, in microseconds.
    fn longest(step: usize) -> u64 {
        let within = 1_usize << Self::FINE;
        let shift = (step / within).saturating_sub(1) as u32;
        let fine = (step - ((shift as usize) << Self::FINE)) as u64;
        ((fine + 1) << shift) - 1
    }

    fn count(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX >> 1);
        self.0[Self::step(micros)].fetch_add(1, Ordering::Relaxed);
    }

    /// What this share of all answers took at most.
    fn quantile(&self, share: f64) -> Duration {
        let counts: Vec<u64> = self.0.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let wanted = (counts.iter().sum::<u64>() as f64 * share).ceil() as u64;
        let mut seen = 0;
        let step = counts.iter().position(|count| {
            seen += count;
            seen >= wanted.max(1)
        });
        step.map_or(Duration::ZERO, |step| Duration::from_micros(Self::longest(step)))
    }
}

/// Compares the log with what was told.
async fn judge(directory: PathBuf, files: &[PathBuf]) -> anyhow::Result<()> {
    let mut told = Told::default();
    for file in files {
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        told.read(&text);
    }
    let opened = tokio::task::spawn_blocking(move || Reader::open(directory)).await?;
    let findings = synthetic::judge(&opened?, &told).await?;
    crate::cli::print(&format!(
        "{} events in {} appends; told: {} acknowledged, {} refused, {} of unknown outcome\n",
        findings.events,
        findings.appends,
        told.acks.len(),
        told.refused.len(),
        told.unknown.len(),
    ))?;
    for offence in &findings.offences {
        crate::cli::print(&format!("OFFENCE: {offence}\n"))?;
    }
    match findings.offences.len() {
        0 => crate::cli::print("the log holds to all that was told\n"),
        count => Err(Ending::Damaged(format!("the log breaks its word {count} times")).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_told_within_three_per_cent() {
        for micros in (0..2_000).chain([12_345, 1_000_000, 3_600_000_000]) {
            let latencies = Latencies::new();
            latencies.count(Duration::from_micros(micros));
            let told = latencies.quantile(0.5).as_micros() as u64;
            assert!((micros..=micros + micros / 31).contains(&told), "{micros} is told as {told}");
        }
    }

    #[test]
    fn quantiles_are_in_order() {
        let latencies = Latencies::new();
        for micros in 1..=1_000 {
            latencies.count(Duration::from_micros(micros));
        }
        let told = [0.5, 0.99, 1.0].map(|share| latencies.quantile(share).as_micros());
        assert!((500..520).contains(&told[0]) && (990..=1_023).contains(&told[1]), "{told:?}");
        assert!(told[1] <= told[2]);
    }
}
