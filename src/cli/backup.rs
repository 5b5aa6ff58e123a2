//! `holdfast backup`: a copy of the log, beside a running server.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use holdfast_store::embedded::{BackupError, backup};
use indicatif::BinaryBytes;

use super::progress;
use crate::config::Config;
use crate::exit::Ending;

#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    /// Where the backup goes: a new directory, or the one of an earlier backup, which then takes in
    /// what is new
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub(super) async fn run(config: &Config, args: BackupArgs) -> anyhow::Result<()> {
    let (from, to) = (super::log_directory(config)?, args.directory);
    let taken = tokio::task::spawn_blocking({
        let (from, to) = (from.clone(), to.clone());
        move || {
            let bar = progress::bytes("backup");
            let taken = backup(from, to, &mut |progress| {
                bar.set_length(progress.bytes_total);
                bar.set_position(progress.bytes_done);
            });
            bar.finish_and_clear();
            taken
        }
    });
    let report = match taken.await? {
        Ok(report) => report,
        Err(BackupError::Source(error)) => {
            return Err(anyhow::Error::from(error))
                .with_context(|| format!("the log in {}", from.display()));
        }
        Err(
            error @ (BackupError::NotABackup(_)
            | BackupError::Itself(_)
            | BackupError::OtherStore { .. }
            | BackupError::Diverged(_)),
        ) => return Err(Ending::Usage(error.to_string()).into()),
        Err(error @ (BackupError::InUse | BackupError::NoRoom { .. } | BackupError::Io(_))) => {
            return Err(error.into());
        }
    };
    super::print(&format!(
        "backup of store {} up to position {} in {}\n\
         {} segments, {} of them were there already, {} written\n\
         Not in it: keys (side.sqlite; keep them elsewhere, what is erased must not come back) and \
         read models (made anew from the log)\n\
         Check it: holdfast verify --data-dir {}\n",
        report.store_id,
        report.head,
        to.display(),
        report.segments,
        report.kept_segments,
        BinaryBytes(report.written_bytes),
        to.display()
    ))
}
