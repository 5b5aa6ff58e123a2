//! `holdfast simulate`: vehicles that obey, dawdle, vanish and come back.

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use holdfast_api::token::{self, Role, TokenKey};
use holdfast_domain::{UserId, VehicleId};
use holdfast_engine::clock::SystemClock;
use holdfast_engine::ports::Clock as _;
use holdfast_engine::side::Side;
use holdfast_iot::Broker;
use holdfast_iot::simulator::{Simulator, SimulatorConfig, Temper};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use super::token::side_file;
use crate::config::{Config, keys as key};
use crate::keys;
use crate::vehicles::simulated::spec;

#[derive(Debug, Subcommand)]
pub(super) enum SimulateCommand {
    /// Drive vehicles over MQTT until Ctrl-C: they answer commands, and send telemetry once a second
    ///
    /// They are named PREFIX-1, PREFIX-2 … and get new credentials in the data directory, beside the
    /// server that runs on it. --register puts those on sale that the server does not know.
    #[command(after_help = "\
Examples:
  holdfast simulate vehicles --count 5 --broker mqtt://127.0.0.1:1883 --register compact
  holdfast simulate vehicles --count 1000 --broker mqtts://broker.example:8883 --unreliable")]
    Vehicles(VehiclesArgs),
}

#[derive(Debug, Args)]
pub(super) struct VehiclesArgs {
    /// How many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    count: u32,
    /// Where they connect, each under its own name: mqtt://HOST:PORT or mqtts://…
    #[arg(long, value_name = "URL")]
    broker: String,
    /// They dawdle, vanish, repeat themselves, lose answers, and lie about their clock
    #[arg(long)]
    unreliable: bool,
    /// What their names begin with
    #[arg(long, default_value = "sim")]
    prefix: String,
    /// From which everything follows that they do by chance
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Register them as vehicles of this class (an item of kind VEHICLE_CLASS) with the running server
    #[arg(long, value_name = "SKU")]
    register: Option<String>,
    /// Where that server answers [default: http.listen]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// A file of certificates (PEM) to trust for mqtts, instead of the system's
    #[arg(long, value_name = "FILE")]
    ca: Option<std::path::PathBuf>,
    /// End by itself after so long: 30s, 5m
    #[arg(long = "for", value_name = "SPAN")]
    span: Option<String>,
}

pub(super) async fn run(config: &Config, command: SimulateCommand) -> anyhow::Result<()> {
    let SimulateCommand::Vehicles(args) = command;
    let span = match &args.span {
        Some(text) => Some(crate::config::span(text).context("--for takes 30s, 5m, 1h")?),
        None => None,
    };
    let ca = args.ca.as_ref().map(|path| {
        std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))
    });
    let broker = Broker::new(&args.broker, ca.transpose()?.as_deref())?;
    let ids: Vec<VehicleId> = (1..=args.count)
        .map(|number| VehicleId::new(format!("{}-{number}", args.prefix)))
        .collect::<Result<_, _>>()?;
    let side = side_file(config).await?;
    if let Some(sku) = &args.register {
        register(config, &args, &side, sku, &ids).await?;
    }
    let mut specs = Vec::new();
    for (nth, id) in ids.into_iter().enumerate() {
        specs.push(spec(&side, id, None, nth).await?);
    }
    side.close().await;
    let mut driving = SimulatorConfig::new(broker, args.seed);
    driving.ramp = Duration::from_millis(u64::from(args.count) * 2);
    if args.unreliable {
        driving.temper = Temper::unreliable();
    }
    let vehicles = Simulator::start(driving, specs);
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let over = tokio::time::sleep(span.unwrap_or(Duration::MAX));
    tokio::pin!(over);
    let mut look = tokio::time::interval(Duration::from_secs(5));
    loop {
        tokio::select! {
            _ = look.tick() => eprintln!(
                "{} of {} online, {} telemetry messages",
                vehicles.online(), args.count, vehicles.telemetry()
            ),
            () = &mut over => break,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    vehicles.stop().await;
    Ok(())
}

/// Registers with the server, by its own door; those that it knows stay as they are.
async fn register(
    config: &Config,
    args: &VehiclesArgs,
    side: &Side,
    sku: &str,
    ids: &[VehicleId],
) -> anyhow::Result<()> {
    let server = match (&args.server, config.address(&key::HTTP_LISTEN)) {
        (Some(url), _) => url.trim_end_matches('/').to_owned(),
        (None, Some(address)) => format!("http://{address}"),
        (None, None) => bail!("name the server with --server"),
    };
    let token_key = TokenKey::from_seed(&keys::token_seed(side).await?);
    let (user, ttl) = (UserId::new("simulate")?, Duration::from_secs(3_600));
    let token = token::issue(&token_key, &user, Role::Operator, ttl, SystemClock::new().wall());
    let client = reqwest::Client::new();
    let query = "mutation($input: RegisterVehicleInput!) { registerVehicle(input: $input) { \
        __typename ... on Refused { code message } } }";
    for (nth, id) in ids.iter().enumerate() {
        let input = json!({ "idempotencyKey": format!("simulate:{id}"), "id": id, "sku": sku,
            "vin": format!("HFSIM{nth:012}"), "odometerMetres": "12000000", "fuelPercent": 80 });
        let body = json!({ "query": query, "variables": { "input": input } });
        let asked = client
            .post(format!("{server}/graphql"))
            .bearer_auth(&token)
            .header("content-type", "application/json")
            .body(body.to_string());
        let answer = asked.send().await.with_context(|| format!("{server} does not answer"))?;
        let answer: Value = serde_json::from_str(&answer.text().await?)
            .with_context(|| format!("{server} is no Holdfast server"))?;
        let refused = &answer["data"]["registerVehicle"];
        match refused["code"].as_str() {
            // It is there already: as another run has registered it, or somebody else.
            None | Some("VERSION_CONFLICT" | "IDEMPOTENCY_KEY_REUSED")
                if answer.get("errors").is_none() => {}
            _ => bail!("{id} was not registered: {answer}"),
        }
    }
    Ok(())
}
