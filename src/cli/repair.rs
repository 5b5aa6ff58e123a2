//! `holdfast repair`: what to do when the log is damaged and no better copy is left.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;

use clap::Args;
use holdfast_store::embedded::{CutPlan, RepairError, Repaired, repair};

use super::progress;
use crate::config::Config;
use crate::exit::Ending;

/// How many streams are named.
const NAMED: usize = 20;

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["dry_run", "cut"]))]
pub(super) struct RepairArgs {
    /// Say what is damaged, and what --cut would do; change nothing
    #[arg(long)]
    dry_run: bool,
    /// Cut the log at the first damage; all from there on is kept aside in log/cut-N
    #[arg(long)]
    cut: bool,
    /// Do not ask; needed where there is no terminal to ask on
    #[arg(long, requires = "cut", conflicts_with = "dry_run")]
    yes: bool,
}

pub(super) async fn run(config: &Config, args: RepairArgs) -> anyhow::Result<()> {
    let directory = super::log_directory(config)?;
    if args.cut && !args.yes && !std::io::stdin().is_terminal() {
        let why = "--cut takes events away for good and asks first; without a terminal say --yes";
        return Err(Ending::Usage(why.into()).into());
    }
    let repaired = tokio::task::spawn_blocking({
        let directory = directory.clone();
        move || mend(&directory, &args)
    });
    match repaired.await? {
        Ok(Repaired::Whole(report)) => {
            let mut text = format!("the log is whole up to position {}\n", report.head);
            if let Some((segment, offset)) = report.torn {
                let _ = writeln!(
                    text,
                    "a write that never ended stands behind it (segment {segment}, offset {offset}); \
                     the next start keeps it aside and cuts it off"
                );
            }
            if let Some((segment, offset)) = report.mirrored {
                let _ = writeln!(
                    text,
                    "the frame behind it (segment {segment}, offset {offset}) is whole in the mirrored \
                     tail; the next start writes it back"
                );
            }
            text.push_str("nothing to repair\n");
            super::print(&text)
        }
        Ok(Repaired::Left(plan)) => {
            let why = format!("the log is damaged, and was left as it is: {}", plan.damage);
            Err(Ending::Damaged(why).into())
        }
        Ok(Repaired::Cut(plan)) => super::print(&done(&plan, &directory)),
        Err(error @ (RepairError::NothingLeft(_) | RepairError::OnlyLength { .. })) => {
            Err(Ending::Damaged(error.to_string()).into())
        }
        Err(RepairError::Open(error)) => {
            Err(anyhow::Error::from(error).context(format!("the log in {}", directory.display())))
        }
        Err(error @ RepairError::NoRoom { .. }) => Err(error.into()),
    }
}

/// Looks, tells, asks, does. Holds a thread, and the directory's lock.
fn mend(directory: &Path, args: &RepairArgs) -> Result<Repaired, RepairError> {
    let bar = progress::bytes("log");
    let drawn = bar.clone();
    repair(
        directory,
        &mut |progress| {
            bar.set_length(progress.bytes_total);
            bar.set_position(progress.bytes_done);
        },
        &mut |plan| {
            drawn.finish_and_clear();
            // Whoever cannot be shown what goes is not asked.
            super::print(&told(plan)).is_ok() && args.cut && (args.yes || agreed(plan))
        },
    )
}

/// Asks on the terminal; anything but the word itself is a no.
fn agreed(plan: &CutPlan) -> bool {
    eprint!(
        "\nA backup may have more of it (holdfast verify --data-dir BACKUP). \
         Cut off everything from position {} on? Type \"cut\": ",
        plan.lost.first
    );
    let _ = std::io::stderr().flush();
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).is_ok() && line.trim() == "cut"
}

fn told(plan: &CutPlan) -> String {
    let CutPlan { damage, lost, .. } = plan;
    let mut text = format!("DAMAGED: {damage}\n\nstore {}\n", plan.store_id);
    let _ = writeln!(text, "stays: {}", events(1, Some(plan.head.0)));
    let _ = writeln!(text, "goes:  {}", events(lost.first.0, lost.last_known.map(|it| it.0)));
    let _ = writeln!(
        text,
        "       of these {} in {} frames are whole each for itself, and can be read from what is \
         kept aside",
        lost.events, lost.frames
    );
    if !lost.streams.is_empty() {
        let more = if lost.more_streams { "more than " } else { "" };
        let _ = writeln!(text, "       {more}{} streams end earlier:", lost.streams.len());
        for (name, stream) in lost.streams.iter().take(NAMED) {
            let _ = writeln!(
                text,
                "         {name}: {} events from version {} on",
                stream.events, stream.first_version
            );
        }
        if lost.streams.len() > NAMED {
            let _ = writeln!(text, "         … and {} others", lost.streams.len() - NAMED);
        }
    }
    let (segment, offset) = &plan.cut;
    let _ = writeln!(text, "kept aside in log/{}:", plan.directory);
    if plan.rewritten {
        let _ = match offset {
            0 => writeln!(text, "  {segment}, all of it; a blank one takes its place"),
            offset => writeln!(text, "  a copy of {segment}; it ends at offset {offset} then"),
        };
    }
    for name in &plan.moved {
        let _ = writeln!(text, "  {name}");
    }
    text
}

fn events(first: u64, last: Option<u64>) -> String {
    match last {
        Some(last) if last >= first => format!("events [{first}, {last}]"),
        Some(_) => "no event".into(),
        None => format!("whatever stood from position {first} on; nothing of it is known"),
    }
}

fn done(plan: &CutPlan, directory: &Path) -> String {
    let gone = events(plan.lost.first.0, plan.lost.last_known.map(|it| it.0));
    format!(
        "\nCUT. {gone} are gone from this log; it ends at position {}.\n\
         What was cut off is in {}.\n\n\
         What to do now:\n\
         1. Read models, timers and answers may know what is gone; no server starts before:\n\
         \x20  holdfast rebuild --all\n\
         2. Customers, gateways and vehicles may know it too: compare what is kept aside, and what\n\
         \x20  the payment gateway lists, with the log (holdfast replay).\n\
         3. New events take the positions of those that are gone: whoever follows the log from\n\
         \x20  outside has to start again from position {} at the latest.\n\
         4. holdfast verify\n",
        plan.head,
        directory.join("log").join(&plan.directory).display(),
        plan.lost.first
    )
}
