//! `holdfast log …`: looking after the embedded log itself.

mod bench;
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
    /// Measure how many durable appends a second this disk does
    ///
    /// Appends synthetic events to the log in --data-dir, through the store that `serve` uses: one
    /// checksum and one sync for each group of appends, and an answer only when it is durable. The
    /// directory has to be new or the bench's own: a log with other streams than `bench-…`, or the
    /// directory of a server, is refused (code 2). What was appended stays there; delete the directory.
    ///
    /// With --acks it is an oracle for pulling plugs: each acknowledgement is told at once, and --judge
    /// compares the log with what was told.
    ///
    ///   ack 17 018f…       recorded at position 17
    ///   refused 018f…      nothing of it was recorded (a full disk)
    ///   unknown 018f…      all of it or nothing (a write or sync has failed; the run ends with code 3)
    #[command(after_help = "\
Examples:
  holdfast log bench --data-dir /mnt/disk/bench                64 producers, 5 seconds, 256 bytes
  holdfast log bench --data-dir /mnt/disk/bench --producers 1  one append after the other
  ssh box holdfast log bench --data-dir /data/bench --acks --seconds 600 > told   …pull the plug…
  holdfast log bench --data-dir /data/bench --judge told       is everything there that was told?")]
    Bench(bench::BenchArgs),
}

pub(super) async fn run(config: &Config, command: LogCommand) -> anyhow::Result<()> {
    match command {
        LogCommand::Stat(args) => stat::run(config, args).await,
        LogCommand::Bench(args) => bench::run(config, args).await,
    }
}
