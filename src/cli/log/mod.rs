//! `holdfast log …`: the log itself, as files.

mod stat;

use clap::Subcommand;

use crate::config::Config;

#[derive(Debug, Subcommand)]
pub(super) enum LogCommand {
    /// What the log is made of: segments, frames, events, bytes, times
    ///
    /// Quick: of each sealed segment only header and seal are read. Works beside a running server,
    /// and on a backup. It is no verification; `holdfast verify` looks at every byte.
    #[command(after_help = "\
Examples:
  holdfast log stat
  holdfast log stat --by category      reads all of it, and counts events and streams
  holdfast log stat --json | jq .segments[-1]")]
    Stat(stat::StatArgs),
}

pub(super) async fn run(config: &Config, command: LogCommand) -> anyhow::Result<()> {
    match command {
        LogCommand::Stat(args) => stat::run(config, args).await,
    }
}
