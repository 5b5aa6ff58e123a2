//! Logs: human text on a terminal, JSON lines otherwise; always on standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::{Config, keys};
use crate::exit::Ending;

/// Starts logging. Commands that only read are quiet unless something is wrong.
pub(super) fn start(config: &Config, serving: bool) -> anyhow::Result<()> {
    let wished = config.text(&keys::LOG_FILTER);
    let wished = if serving || wished != keys::LOG_FILTER.default { wished } else { "warn" };
    let filter = EnvFilter::try_new(wished)
        .map_err(|error| Ending::Usage(format!("{}: {error}", keys::LOG_FILTER.name)))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        builder.with_target(false).compact().init();
    } else {
        builder.json().flatten_event(true).init();
    }
    Ok(())
}
