//! `holdfast rebuild`: read models, made again from the log.

use anyhow::Context as _;
use clap::Args;
use holdfast_projections::{Projection, ReadModels};
use holdfast_store::EventStore as _;

use super::{progress, token};
use crate::config::Config;

#[derive(Debug, Args)]
pub(super) struct RebuildArgs {
    /// Which read model: items, availability, seat_maps, reservations, payments, tickets, notifications,
    /// stock_movements, dead_letters
    #[arg(value_parser = projection, required_unless_present = "all", conflicts_with = "all")]
    projection: Option<Projection>,
    /// All of them
    #[arg(long)]
    all: bool,
}

fn projection(text: &str) -> Result<Projection, String> {
    text.parse().map_err(|_| {
        let names: Vec<_> = Projection::ALL.iter().map(|one| one.name()).collect();
        format!("there is no such read model; there are {}", names.join(", "))
    })
}

pub(super) async fn run(config: &Config, args: RebuildArgs) -> anyhow::Result<()> {
    let directory = super::log_directory(config)?;
    // Opened to write, so that no server has the directory meanwhile: two would write the same rows.
    let store = crate::log::open(config, &directory).await?;
    let path = config.data_dir().join("read.sqlite");
    let reads = ReadModels::open(&path)
        .await
        .with_context(|| format!("{} cannot be opened", path.display()))?;
    let which = args.projection.map_or_else(|| Projection::ALL.to_vec(), |one| vec![one]);
    if args.all {
        // What else knows more than a log that was set back: no server would start beside it.
        let side = token::side_file(config).await?;
        let head = store.head();
        if side.set_back_to(head).await? {
            super::print(&format!(
                "the log was set back to position {head}: processes, timers and keys begin again from it\n"
            ))?;
        }
        side.close().await;
    }
    let bar = progress::bar(0, "events");
    let position = reads
        .rebuild(store.clone(), &which, |progress| {
            bar.set_length(progress.head.0);
            bar.set_position(progress.position.0);
        })
        .await?;
    bar.finish_and_clear();
    reads.close().await;
    store.close().await;
    let names: Vec<_> = which.iter().map(|one| one.name()).collect();
    super::print(&format!("rebuilt {} up to position {position}\n", names.join(", ")))
}
