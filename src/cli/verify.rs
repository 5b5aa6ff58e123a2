//! `holdfast verify`: is the log what was written, and is what was written right?

use anyhow::Context as _;
use clap::Args;
use holdfast_store::embedded::{Reader, VerifyReport, verify};
use holdfast_store::{EventStore as _, Filter, Position};

use super::progress;
use crate::config::Config;
use crate::exit::Ending;
use crate::invariants::{Checker, Findings};

/// How many events are read at once.
const BATCH: usize = 4_096;

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Only frames, checksums and hashes; not what the events say
    #[arg(long)]
    quick: bool,
}

pub(super) async fn run(config: &Config, args: &VerifyArgs) -> anyhow::Result<()> {
    let directory = super::log_directory(config)?;
    let walked = tokio::task::spawn_blocking({
        let directory = directory.clone();
        move || {
            let bar = progress::bytes("log");
            let report = verify(&directory, &mut |progress| {
                bar.set_length(progress.bytes_total);
                bar.set_position(progress.bytes_done);
            });
            bar.finish_and_clear();
            report
        }
    });
    let report = walked.await?.with_context(|| format!("the log in {}", directory.display()))?;
    super::print(&told(&report))?;
    if let Some(damage) = &report.offence {
        super::print(&format!("DAMAGED: {damage}\n"))?;
        return Err(Ending::Damaged(format!("the log is damaged: {damage}")).into());
    }
    if args.quick {
        return super::print("the log is whole (what its events say was not looked at)\n");
    }
    let reader = tokio::task::spawn_blocking(move || Reader::open(directory)).await??;
    let findings = check(&reader, report.head).await?;
    super::print(&summary(&findings))?;
    if findings.foreign > 0 {
        super::print(&format!(
            "{} of {} events are in streams that are not Holdfast's: they are whole, what they say was \
             not looked at\n",
            findings.foreign, findings.events
        ))?;
    }
    for offence in &findings.offences {
        let place = reader.locate(offence.position);
        let (segment, offset) = place.unwrap_or_else(|| ("?".into(), 0));
        super::print(&format!(
            "OFFENCE: segment {segment}, offset {offset}, position {}: {}\n",
            offence.position, offence.what
        ))?;
    }
    match findings.offences.len() {
        0 => super::print("all is well\n"),
        count => anyhow::bail!("the log is whole, but {count} business invariants are broken"),
    }
}

/// Reads everything up to `head` and judges it.
async fn check(reader: &Reader, head: Position) -> anyhow::Result<Findings> {
    let bar = progress::bar(head.0, "invariants");
    let mut checker = Checker::new();
    let mut next = Position::FIRST;
    while next <= head {
        let page = reader.read_all(next, &Filter::All, BATCH).await?;
        for event in &page.events {
            checker.see(event);
        }
        bar.set_position(page.next.0 - 1);
        next = page.next;
    }
    bar.finish_and_clear();
    Ok(checker.finish())
}

fn told(report: &VerifyReport) -> String {
    let store = report.store_id.map(|id| id.to_string()).unwrap_or_else(|| "none".into());
    let mut text = format!(
        "store {store}: {} segments, {} frames, {} bytes, {} events in {} streams, head {}\n",
        report.segments, report.frames, report.bytes, report.events, report.streams, report.head
    );
    if let Some((segment, offset)) = &report.torn {
        text.push_str(&format!(
            "a write that never ended stands behind the head (segment {segment}, offset {offset}); \
             it was never acknowledged, and the next start cuts it off\n"
        ));
    }
    if let Some((segment, offset)) = &report.mirrored {
        text.push_str(&format!(
            "the frame behind the head (segment {segment}, offset {offset}) is not whole there, but in \
             the mirrored tail; the next start writes it back\n"
        ));
    }
    for (index, why) in &report.wrong_indexes {
        text.push_str(&format!(
            "index {index} is wrong: it will be rebuilt when the log is opened, or that part of it read \
             ({why}); it may be deleted\n"
        ));
    }
    text
}

fn summary(findings: &Findings) -> String {
    let mut text = String::from("reservations:");
    if findings.reservations.is_empty() {
        text.push_str(" none");
    }
    for (status, count) in &findings.reservations {
        text.push_str(&format!(" {status} {count}"));
    }
    text.push_str(&format!(
        "\nseats: {} booked, {} locked; tickets: {} valid\n",
        findings.seats_booked, findings.seats_locked, findings.tickets_valid
    ));
    for (currency, sums) in &findings.money {
        text.push_str(&format!(
            "{currency} (minor units): captured {} = kept {} + refunded {} + under way {}\n",
            sums.captured, sums.kept, sums.refunded, sums.under_way
        ));
    }
    text.push_str(&format!("latest expiry: {} ms\n", findings.latest_expiry.as_millis()));
    text
}
