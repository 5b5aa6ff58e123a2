//! `holdfast token`: an access token for operators, scripts and tests.

use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use holdfast_api::token::{self, Role, TokenKey};
use holdfast_domain::UserId;
use holdfast_engine::clock::SystemClock;
use holdfast_engine::ports::Clock as _;
use holdfast_engine::side::Side;

use crate::config::Config;
use crate::keys;

#[derive(Debug, Args)]
pub(super) struct TokenArgs {
    /// CUSTOMER, OPERATOR, AUDITOR, ANALYST or ADMIN (SUPER_ADMIN means ADMIN)
    #[arg(long, value_parser = role)]
    role: Role,
    /// Whose token it is: 1 to 64 characters of A-Z a-z 0-9 . _ @ : -
    #[arg(long, value_parser = user)]
    user: UserId,
    /// How long it lasts: 30s, 15m, 1h, 7d [default: auth.access_token_ttl, 900s]
    #[arg(long, value_parser = ttl)]
    ttl: Option<Duration>,
}

fn role(text: &str) -> Result<Role, String> {
    Role::from_str(&text.to_ascii_uppercase()).map_err(|error| error.to_string())
}

fn user(text: &str) -> Result<UserId, String> {
    UserId::new(text).map_err(|error| error.to_string())
}

fn ttl(text: &str) -> Result<Duration, String> {
    crate::config::span(text)
        .filter(|span| *span >= Duration::from_secs(1))
        .ok_or_else(|| "must be a duration such as 30s, 15m or 1h, at least 1s".into())
}

/// Where the side file of the data directory is: whatever has one belongs to a server.
pub(crate) fn side_path(config: &Config) -> PathBuf {
    config.data_dir().join("side.sqlite")
}

/// Opens the side file of the data directory, and makes both when they are not there.
pub(crate) async fn side_file(config: &Config) -> anyhow::Result<Side> {
    let directory = config.data_dir();
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("{} cannot be made", directory.display()))?;
    let path = side_path(config);
    Side::open(&path).await.with_context(|| format!("{} cannot be opened", path.display()))
}

pub(super) async fn run(config: &Config, args: TokenArgs) -> anyhow::Result<()> {
    let side = side_file(config).await?;
    let key = TokenKey::from_seed(&keys::token_seed(&side).await?);
    let ttl = args.ttl.unwrap_or_else(|| config.span(&crate::config::keys::ACCESS_TTL));
    let token = token::issue(&key, &args.user, args.role, ttl, SystemClock::new().wall());
    side.close().await;
    super::print(&format!("{token}\n"))
}
