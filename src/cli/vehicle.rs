//! `holdfast vehicle`: what a vehicle signs in and signs with.

use clap::{Args, Subcommand};
use holdfast_domain::VehicleId;
use holdfast_engine::clock::SystemClock;
use holdfast_engine::ports::Clock as _;
use holdfast_schemas::mqtt::Key;
use serde_json::json;

use super::token::side_file;
use crate::config::Config;

#[derive(Debug, Subcommand)]
pub(super) enum VehicleCommand {
    /// Make (or make anew) the user, password and key of a vehicle; prints them once, as a line of JSON
    ///
    /// Works while a server runs on the directory. What the vehicle had before no longer counts: a
    /// connected vehicle stays connected and its answers are no longer believed. For Mosquitto give the
    /// line to `iot/mosquitto/setup.sh add-vehicle`.
    Credentials(CredentialsArgs),
}

#[derive(Debug, Args)]
pub(super) struct CredentialsArgs {
    /// The vehicle's id: 1 to 64 characters of A-Z a-z 0-9 . _ @ : -
    #[arg(value_parser = vehicle)]
    id: VehicleId,
}

fn vehicle(text: &str) -> Result<VehicleId, String> {
    VehicleId::new(text).map_err(|error| error.to_string())
}

pub(super) async fn run(config: &Config, command: VehicleCommand) -> anyhow::Result<()> {
    let VehicleCommand::Credentials(CredentialsArgs { id }) = command;
    let side = side_file(config).await?;
    let fresh = side.rotate_vehicle_credentials(&id, SystemClock::new().wall()).await?;
    side.close().await;
    let line =
        json!({ "user": id, "password": fresh.password, "key": Key::new(fresh.key).to_base64() });
    super::print(&format!("{line}\n"))
}
