//! The keys of a data directory. They live in `side.sqlite`, are made by whoever needs them first,
//! and are read by other processes beside a running server.

use anyhow::Context as _;
use holdfast_engine::side::Side;

/// Signs access tokens.
const TOKEN_KEY: &str = "token-key";
/// Signs tickets.
const TICKET_KEY: &str = "ticket-key";
/// Signs the sandbox's webhooks.
const WEBHOOK_SECRET: &str = "webhook:sandbox";
/// Hides which public vehicle is which.
const FEED_SECRET: &str = "gbfs";
/// The engine's own password at the embedded broker.
const MQTT_PASSWORD: &str = "mqtt:engine";

/// The seed of the key that signs access tokens.
pub async fn token_seed(side: &Side) -> anyhow::Result<[u8; 32]> {
    seed(side, TOKEN_KEY).await
}

/// The seed of the key that signs tickets.
pub async fn ticket_seed(side: &Side) -> anyhow::Result<[u8; 32]> {
    seed(side, TICKET_KEY).await
}

/// The sandbox's own webhook secret.
pub async fn webhook_secret(side: &Side) -> anyhow::Result<Vec<u8>> {
    Ok(seed(side, WEBHOOK_SECRET).await?.to_vec())
}

/// From which the public ids of vehicles follow.
pub async fn feed_secret(side: &Side) -> anyhow::Result<[u8; 32]> {
    seed(side, FEED_SECRET).await
}

/// The engine's own password at the embedded broker: 64 hexadecimal digits.
pub async fn mqtt_password(side: &Side) -> anyhow::Result<String> {
    let seed = seed(side, MQTT_PASSWORD).await?;
    Ok(data_encoding::HEXLOWER.encode(&seed))
}

async fn seed(side: &Side, name: &str) -> anyhow::Result<[u8; 32]> {
    // Random bytes are asked for first: a machine that has none makes no key, rather than a weak one.
    let mut fresh = [0; 32];
    getrandom::fill(&mut fresh).context("the system has no random bytes")?;
    let kept = side.secret(name, || fresh.to_vec()).await?;
    kept.try_into()
        .map_err(|_| anyhow::anyhow!("the key {name} in side.sqlite is not 32 bytes long"))
}
