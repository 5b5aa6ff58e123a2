//! The command line: what can be asked for, and how it is explained.
//!
//! Results go to standard output, logs and bars to standard error. [`crate::exit`] has the codes.

mod backup;
mod log;
mod logs;
pub(crate) mod progress;
mod rebuild;
mod repair;
mod replay;
mod simulate;
pub(crate) mod token;
mod vehicle;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, Sources, StoreChoice, keys};
use crate::exit::{self, Ending};

const ABOUT: &str = "\
Holdfast sells finite things exactly once: seats, vehicles, stock.

It is one program with nothing beside it: an append-only log of events, read models, GraphQL and \
REST doors, an MQTT broker for vehicles, and a sandbox payment gateway. Every change is an event in the log; everything else is \
derived from it and can be rebuilt.";

const EXAMPLES: &str = "\
Examples:
  holdfast serve --demo                     try it: a hall, a stadium, products, demo users
  holdfast token --role OPERATOR --user me  an access token for scripts
  holdfast replay reservation-018f…         what happened to one reservation, and why
  holdfast verify                           is the log whole, was nothing sold twice?
  holdfast backup /mnt/backup/holdfast      a copy of the log, beside the running server
  holdfast vehicle credentials car-7        user, password and key for a vehicle, made anew

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 the store is damaged or poisoned,
4 the data directory is in use.

Configuration: one TOML file (--config), and every key as HOLDFAST__SECTION__KEY.
`holdfast config` prints every key with its meaning, its value and where that comes from.";

#[derive(Debug, Parser)]
#[command(name = "holdfast", version, about = ABOUT, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
struct Common {
    /// Read this TOML file; see `holdfast config` for the keys
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where log, read models and keys live [default: ./holdfast-data]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<String>,
    /// Where events are recorded: embedded:DIR, memory: (postgres:// and kurrentdb:// come later)
    #[arg(long, global = true, value_name = "URL")]
    store: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the engine with all its doors
    ///
    /// Needs no arguments: embedded log and read models in ./holdfast-data, HTTP on 127.0.0.1:8080,
    /// embedded MQTT broker on 127.0.0.1:1883, sandbox payment gateway. The first line on standard output
    /// says that it is ready, and where:
    ///
    ///   holdfast ready http=http://127.0.0.1:8080 mqtt=mqtt://127.0.0.1:1883
    ///
    /// SIGTERM and SIGINT finish what is under way (at most 10 s) and end with code 0.
    #[command(after_help = "\
Examples:
  holdfast serve --demo                       a shop to play with; tokens on standard error
  holdfast serve --listen 127.0.0.1:0         any free port; the ready line names it
  HOLDFAST__HOLDS__HOLD_TTL=2s holdfast serve   holds of two seconds, to watch them expire")]
    Serve(ServeArgs),
    /// Print an access token signed with the data directory's key
    ///
    /// Works while a server runs on the directory. Prints the token alone, so that it can be used
    /// in $(…).
    #[command(after_help = "\
Example:
  curl -H \"Authorization: Bearer $(holdfast token --role AUDITOR --user me)\" \\
       http://127.0.0.1:8080/events")]
    Token(token::TokenArgs),
    /// Print events in order, with who asked and what caused them
    ///
    /// Works beside a running server; the log is opened read-only.
    #[command(after_help = "\
Examples:
  holdfast replay                                     the whole log
  holdfast replay seatmap-hall --format jsonl | jq .  one seat map, as JSON lines
  holdfast replay --as-of 2026-11-21T12:00:00Z        what was known at noon
  holdfast replay --follow --format cloudevents       and what comes, as CloudEvents")]
    Replay(replay::ReplayArgs),
    /// Walk every frame, checksum and hash, then the business invariants
    ///
    /// No seat or unit owned twice, claims within capacity, captured = kept + refunded, every hold
    /// ended or in time. Works beside a running server. Names each offence with segment, offset and
    /// position. Ends with code 3 when the log is damaged, with 1 when a business invariant is broken.
    Verify(verify::VerifyArgs),
    /// Say what is damaged, and cut the log there when no better copy is left
    ///
    /// A damaged log does not open: first look for a backup that has more. --cut ends the log before
    /// the first damage, so that a consistent prefix opens again. Nothing is deleted: what is cut off
    /// is kept in log/cut-N. The server has to be stopped (code 4 otherwise). --dry-run ends with code
    /// 3 when there is damage, with 0 when the log is whole.
    #[command(after_help = "\
Examples:
  holdfast repair --dry-run         what is damaged, which events and streams would go
  holdfast repair --cut             the same, then asks; type \"cut\" to do it
  holdfast repair --cut --yes       does not ask; needed where there is no terminal")]
    Repair(repair::RepairArgs),
    /// Copy the log into DIR, beside a running server
    ///
    /// A consistent prefix that holds all that was acknowledged before, and opens like any other log.
    /// Again into the same directory it copies only what is new. Keys (side.sqlite) and read models
    /// are not in it. Damage is told (code 3) and not copied.
    #[command(after_help = "\
Examples:
  holdfast backup /mnt/backup/holdfast                  the first time everything, then what is new
  holdfast verify --data-dir /mnt/backup/holdfast       is it whole?
  cp -r /mnt/backup/holdfast/log holdfast-data/         restore (no log may be there, no server run)")]
    Backup(backup::BackupArgs),
    /// Look after the embedded log itself: what it is made of, how fast its disk is
    #[command(subcommand)]
    Log(log::LogCommand),
    /// Rebuild read models from the log
    ///
    /// Rebuilds beside the rows that are there, then swaps. Nothing of the log is touched. The
    /// directory must not be in use by a server.
    #[command(after_help = "\
Examples:
  holdfast rebuild seat_maps
  holdfast rebuild --all")]
    Rebuild(rebuild::RebuildArgs),
    /// Look after single vehicles
    #[command(subcommand)]
    Vehicle(vehicle::VehicleCommand),
    /// Vehicles that are not there, for trying things out
    #[command(subcommand)]
    Simulate(simulate::SimulateCommand),
    /// Print the effective configuration: every key, its meaning, its value, where it comes from
    ///
    /// Secrets are masked. What is printed is TOML and can be used as a configuration file.
    Config,
}

/// What `serve` takes.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Where HTTP listens; port 0 asks for any free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Load a demo catalogue once and print demo users' tokens; refuses other than loopback listeners
    #[arg(long)]
    demo: bool,
}

/// The whole program.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let config = match Config::load(&sources(&cli)) {
        Ok(config) => config,
        Err(problems) => return exit::end(Err(problems.into())),
    };
    if let StoreChoice::NotYet { url, comes_with } = config.store()
        && !matches!(cli.command, Command::Config)
    {
        let why = format!(
            "--store {url} comes with {comes_with}; this version has embedded: and memory:"
        );
        return exit::end(Err(Ending::Usage(why).into()));
    }
    if let Command::Config = cli.command {
        return exit::end(print(&config.to_string()));
    }
    let serving = matches!(cli.command, Command::Serve(_));
    if let Err(error) = logs::start(&config, serving) {
        return exit::end(Err(error));
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit::end(Err(error.into())),
    };
    let result = runtime.block_on(async {
        match cli.command {
            Command::Serve(args) => crate::serve::run(config, args.demo).await,
            Command::Token(args) => token::run(&config, args).await,
            Command::Replay(args) => replay::run(&config, args).await,
            Command::Verify(args) => verify::run(&config, &args).await,
            Command::Repair(args) => repair::run(&config, args).await,
            Command::Backup(args) => backup::run(&config, args).await,
            Command::Rebuild(args) => rebuild::run(&config, args).await,
            Command::Log(command) => log::run(&config, command).await,
            Command::Vehicle(command) => vehicle::run(&config, command).await,
            Command::Simulate(command) => simulate::run(&config, command).await,
            Command::Config => Ok(()),
        }
    });
    // Whatever still waits for a disk or a socket is not waited for.
    runtime.shutdown_background();
    exit::end(result)
}

fn sources(cli: &Cli) -> Sources {
    let mut flags = Vec::new();
    let mut flag = |name, key, value: &Option<String>| {
        flags.extend(value.clone().map(|value| (name, key, value)));
    };
    flag("--data-dir", &keys::DATA_DIR, &cli.common.data_dir);
    flag("--store", &keys::STORE, &cli.common.store);
    if let Command::Serve(args) = &cli.command {
        flag("--listen", &keys::HTTP_LISTEN, &args.listen);
    }
    Sources { file: cli.common.config.clone(), environment: std::env::vars_os().collect(), flags }
}

/// Prints a result. Whoever has stopped reading (`| head`) is no failure.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        written => Ok(written?),
    }
}

/// Where the embedded log is; other stores have nothing that could be read from outside.
pub(crate) fn log_directory(config: &Config) -> anyhow::Result<PathBuf> {
    match config.store() {
        StoreChoice::Embedded { directory } => Ok(directory),
        StoreChoice::Memory => Err(Ending::Usage(
            "--store memory: has no log that outlives its server; name an embedded: one".into(),
        )
        .into()),
        StoreChoice::NotYet { url, comes_with } => {
            Err(Ending::Usage(format!("--store {url} comes with {comes_with}")).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_put_together_rightly() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_takes_the_common_flags() {
        for command in ["serve", "replay", "verify", "config"] {
            let args =
                ["holdfast", command, "--config", "f", "--data-dir", "d", "--store", "memory:"];
            let cli = Cli::try_parse_from(args).expect(command);
            assert_eq!(sources(&cli).flags.len(), 2, "{command}");
        }
    }
}
