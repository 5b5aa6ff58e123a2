//! `holdfast serve`: opens the parts, ties them together, and ends them in order.
//!
//! ```text
//!   log ─► side file ─► listener ─► sandbox, broker ─► read models ─► engine ─► doors, vehicles   ready
//!    ▲                                                                            │
//!    └─────── closed last ◄── broker ◄── engine ◄── read models ◄── doors ◄───────┘ signal, or a part ended
//! ```
//!
//! Every long-lived part runs in one set; if one ends unexpectedly the house comes down with its name.

mod floor;
mod settings;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use holdfast_api::code::TicketKey;
use holdfast_api::gbfs::{FeedSecret, GbfsConfig};
use holdfast_api::token::{TokenKey, TokenKeys};
use holdfast_api::{ApiConfig, Limits, Ready};
use holdfast_engine::clock::SystemClock;
use holdfast_engine::ports::{Clock, Gateway};
use holdfast_engine::side::Side;
use holdfast_engine::{Died, Engine, Parts, Snapshots, SystemIds};
use holdfast_projections::ReadModels;
use holdfast_store::embedded::Embedded;
use holdfast_store::memory::Memory;
use holdfast_store::{EventStore, Position};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::cli::token::side_file;
use crate::config::{Config, StoreChoice, keys as key};
use crate::exit::{self, Ending};
use crate::gateways::sandbox::{self, FileLedger, Ledger, MemoryLedger, Sandbox};
use crate::vehicles::Garage;

use crate::{demo, keys, log};
pub(crate) use floor::Floor;
use settings::engine_settings;

/// How long what is under way may take after a signal; with the log's own share it is 10 s.
const DRAIN: Duration = Duration::from_secs(8);
/// How long the log may take to write what it was given, after that.
const LOG_DRAIN: Duration = Duration::from_secs(2);
/// What the doors may take of the first. The engine's own share is as long, so that what was written
/// behind still reaches the side file when a request hangs.
const DOORS_DRAIN: Duration = Duration::from_secs(4);
/// How often a stopped store is looked for.
const LOOK: Duration = Duration::from_millis(100);
/// How long after the last moment at which its hold can end a late payment succeeds: expiry is done
/// by then.
const LATE_BY: Duration = Duration::from_secs(3);

/// The store, and what can be asked of the embedded one besides.
struct Store {
    events: Arc<dyn EventStore>,
    embedded: Option<Arc<Embedded>>,
}

impl Store {
    /// Why it takes no appends any more before the next start.
    fn stopped(&self) -> Option<Ending> {
        self.embedded.as_ref()?.stopped().map(Ending::from)
    }

    /// Whoever fails because the store has stopped may have been told so in words only: the store's own
    /// reason is what the process ends for.
    fn blamed(&self, error: anyhow::Error) -> anyhow::Error {
        match self.stopped() {
            Some(ending) if exit::code(&error) == 1 => {
                tracing::error!(error = %exit::told(&error), "stopping");
                ending.into()
            }
            Some(_) | None => error,
        }
    }
}

/// Runs until a signal comes, a part ends, or the store is stopped.
pub(crate) async fn run(config: Config, with_demo: bool) -> anyhow::Result<()> {
    let listen = config.address(&key::HTTP_LISTEN).context("http.listen names an address")?;
    if with_demo && !listen.ip().is_loopback() {
        let why = format!(
            "--demo prints tokens and is only for this machine: {listen} is no loopback address"
        );
        return Err(Ending::Usage(why).into());
    }
    // From the first moment on, so that what happens while starting is counted too.
    holdfast_api::metrics::install();
    many_files();
    let store = open_store(&config).await?;
    let ended = serve(&config, &store, listen, with_demo).await;
    // Before it is closed, which is a reason of its own to take no appends.
    let ended = match ended {
        Ok(()) => store.stopped().map_or(Ok(()), |ending| Err(ending.into())),
        Err(error) => Err(store.blamed(error)),
    };
    if let Some(embedded) = &store.embedded
        && tokio::time::timeout(LOG_DRAIN, embedded.close()).await.is_err()
    {
        tracing::warn!("the log was not closed in time");
    }
    ended
}

/// As many open files as the system lets us have: each vehicle and each page that is open is one.
fn many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) =
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
    {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// Everything above the log.
async fn serve(
    config: &Config,
    store: &Store,
    listen: SocketAddr,
    with_demo: bool,
) -> anyhow::Result<()> {
    let in_memory = store.embedded.is_none();
    // Keys outlive the log even of a store in memory, so that `holdfast token` works beside it.
    let key_file = side_file(config).await?;
    let side = if in_memory { Side::in_memory().await? } else { key_file.clone() };
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("http.listen = {listen} cannot be opened"))?;
    let address = listener.local_addr()?;

    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let sandbox = open_sandbox(config, &key_file, clock.clone(), address, in_memory).await?;
    let garage = Garage::open(config, &key_file, clock.clone()).await?;
    let reads = open_read_models(&config.data_dir(), in_memory).await?;
    refuse_a_log_that_was_set_back(&reads, store.events.head()).await?;
    let parts = Parts {
        store: store.events.clone(),
        clock,
        ids: Arc::new(SystemIds),
        gateways: vec![sandbox.clone() as Arc<dyn Gateway>],
        vehicles: garage.port(),
        side: side.clone(),
        snapshots: open_snapshots(config, in_memory),
        settings: engine_settings(config),
    };
    let (engine, mut running) = Engine::start(parts).await.context("the engine cannot start")?;

    let (mut doors, mut reading) = (Floor::default(), Floor::default());
    let (projecting, stop) = (reads.runner(store.events.clone()), reading.stopping());
    reading.part("read models", async { Ok(projecting.run(stop).await?) });
    let mqtt = garage.url.clone();
    let mut ground = Floor::default();
    garage.open_for(&engine, &mut doors, &mut ground);
    let demo = if with_demo {
        let shown = demo::load(&engine, &key_file).await?;
        tokio::select! {
            seen = reads.wait_for(shown.position, Duration::from_secs(60)) => seen?,
            why = reading.failed() => return Err(why),
            why = running.failed() => return Err(stopped_engine(why)),
        }
        let driven = demo::vehicles::drive(&engine, &key_file, mqtt.as_deref()).await?;
        if let Some(driven) = driven {
            doors.part("demo vehicles", driven.until(doors.stopping()));
        }
        Some(shown)
    } else {
        None
    };

    let api = api_config(config, &key_file, store, sandbox.clone()).await?;
    let limits = Limits { drain: DOORS_DRAIN, ..api.limits.clone() };
    let router = holdfast_api::router(engine.clone(), reads.clone(), api);
    let stop = doors.stopping();
    doors.part(
        "http",
        async move { Ok(holdfast_api::serve(listener, router, &limits, stop).await?) },
    );
    let courier = sandbox.deliver(webhook_door(address), doors.stopping());
    doors.part("sandbox webhooks", async move {
        courier.await;
        Ok(())
    });
    let (embedded, stop) = (store.embedded.clone(), doors.stopping());
    doors.part("store", watch_store(embedded, stop));

    // Damage that was met while starting, by whoever went on without what it could not read.
    if let Some(ending) = store.stopped() {
        return Err(ending.into());
    }
    // Before anybody is told that there is something to stop.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    if let Some(demo) = demo {
        demo.tell();
    }
    let mqtt = mqtt.map_or_else(String::new, |url| format!(" mqtt={url}"));
    crate::cli::print(&format!("holdfast ready http=http://{address}{mqtt}\n"))?;
    tracing::info!(%address, data_dir = %config.data_dir().display(), head = %store.events.head(), "ready");

    let ended = tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        why = doors.failed() => Err(why),
        why = reading.failed() => Err(why),
        why = ground.failed() => Err(why),
        why = running.failed() => Err(stopped_engine(why)),
    };
    match &ended {
        Ok(()) => tracing::info!("stopping"),
        Err(error) => tracing::error!(%error, "stopping"),
    }
    // Doors first, so that nothing new comes in; the read models go on while requests are under way
    // that wait to see what they have written; the log last, by the caller.
    let all_down = async {
        doors.stop().await;
        running.stop().await;
        ground.stop().await;
        reading.stop().await;
        reads.close().await;
        side.close().await;
        if in_memory {
            // Otherwise the side file is the key file.
            key_file.close().await;
        }
    };
    if tokio::time::timeout(DRAIN, all_down).await.is_err() {
        tracing::warn!("not everything ended in time; it goes on after the next start");
    }
    ended
}

fn stopped_engine(why: Died) -> anyhow::Error {
    anyhow::Error::new(why).context("the engine has stopped")
}

/// Ends when the store takes no appends any more; a full disk is waited for.
async fn watch_store(
    embedded: Option<Arc<Embedded>>,
    mut stop: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    loop {
        if let Some(reason) = embedded.as_ref().and_then(|embedded| embedded.stopped()) {
            // Whoever waited has been answered "outcome unknown"; the answers may leave.
            return Err(Ending::from(reason).into());
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
        }
    }
}

async fn open_store(config: &Config) -> anyhow::Result<Store> {
    match config.store() {
        StoreChoice::Embedded { directory } => {
            let embedded = log::open(config, &directory).await?;
            Ok(Store { events: embedded.clone(), embedded: Some(embedded) })
        }
        StoreChoice::Memory => Ok(Store { events: Arc::new(Memory::new()), embedded: None }),
        StoreChoice::NotYet { url, comes_with } => {
            Err(Ending::Usage(format!("--store {url} comes with {comes_with}")).into())
        }
    }
}

async fn open_sandbox(
    config: &Config,
    key_file: &Side,
    clock: Arc<dyn Clock>,
    address: SocketAddr,
    in_memory: bool,
) -> anyhow::Result<Arc<Sandbox>> {
    let configured = config.texts(&key::SANDBOX_SECRETS).iter();
    let mut secrets: Vec<Vec<u8>> = configured.map(|secret| secret.clone().into_bytes()).collect();
    secrets.push(keys::webhook_secret(key_file).await?);
    let public_url = match config.text(&key::HTTP_PUBLIC_URL) {
        "" => format!("http://{address}"),
        url => url.into(),
    };
    let late_after = config.span(&key::SANDBOX_LATE_AFTER);
    let settings = sandbox::Settings {
        public_url,
        late_after: if late_after.is_zero() { after_any_hold(config) } else { late_after },
        tolerance: config.span(&key::WEBHOOK_TOLERANCE),
        secrets,
    };
    let ledger: Arc<dyn Ledger> = if in_memory {
        Arc::new(MemoryLedger)
    } else {
        let path = config.data_dir().join("sandbox").join("ledger.jsonl");
        Arc::new(FileLedger::open(&path)?)
    };
    Ok(Sandbox::open(ledger, clock, settings).await?)
}

/// A payment that begins now finds its hold ended after this long, however young the hold is.
fn after_any_hold(config: &Config) -> Duration {
    config.span(&key::HOLD_TTL).max(config.span(&key::PAYMENT_EXTENSION)) + LATE_BY
}

async fn open_read_models(data_dir: &Path, in_memory: bool) -> anyhow::Result<ReadModels> {
    if in_memory {
        return Ok(ReadModels::in_memory().await?);
    }
    let path = data_dir.join("read.sqlite");
    ReadModels::open(&path).await.with_context(|| format!("{} cannot be opened", path.display()))
}

/// Read models that know more than the log: it was replaced by an older copy, or cut. Whoever was
/// answered for what is gone would not find it, so this is not passed over (fault 20).
async fn refuse_a_log_that_was_set_back(reads: &ReadModels, head: Position) -> anyhow::Result<()> {
    let known = reads.statuses().await?.into_iter().map(|it| it.position).max();
    match known {
        Some(known) if known > head => Err(Ending::Damaged(format!(
            "the log was set back: the read models know it up to position {known}, but it ends at \
             {head}. Look for the newer log (a backup, log/cut-N). If this one is meant: \
             `holdfast rebuild --all`, then start again"
        ))
        .into()),
        Some(_) | None => Ok(()),
    }
}

/// Those of the data directory, unless there is nothing that outlives the process or nobody wants any.
fn open_snapshots(config: &Config, in_memory: bool) -> Snapshots {
    if in_memory || config.count(&key::SNAPSHOT_EVERY) == 0 {
        Snapshots::none()
    } else {
        Snapshots::open(config.data_dir().join("snapshots"))
    }
}

/// What the doors are told.
async fn api_config(
    config: &Config,
    key_file: &Side,
    store: &Store,
    sandbox: Arc<Sandbox>,
) -> anyhow::Result<ApiConfig> {
    let tokens = TokenKeys::new(TokenKey::from_seed(&keys::token_seed(key_file).await?));
    let tickets = TicketKey::from_seed(&keys::ticket_seed(key_file).await?);
    let origins = config.texts(&key::HTTP_ALLOWED_ORIGINS).to_vec();
    let mut trusted_proxies = Vec::new();
    for proxy in config.texts(&key::HTTP_TRUSTED_PROXIES) {
        let parsed = proxy.parse().map_err(|_| {
            Ending::Usage(format!("http.trusted_proxies: {proxy:?} is no IP address"))
        })?;
        trusted_proxies.push(parsed);
    }
    let limits = Limits {
        requests_per_minute_per_address: config.count32(&key::ADDRESS_RATE),
        holds_per_minute: config.count32(&key::HOLD_RATE),
        ..Limits::default()
    };
    let ready = Ready {
        max_lag: config.count(&key::READY_LAG),
        max_dead_letters: config.count(&key::READY_DEAD_LETTERS),
    };
    let reserve = config.count(&key::DISK_RESERVE);
    let embedded = store.embedded.clone();
    let unready = move || {
        let free = embedded.as_ref().and_then(|embedded| embedded.info().free_bytes);
        let short = free.filter(|free| *free < reserve);
        short
            .map(|free| format!("the disk has {free} bytes left, less than ready.disk_reserve"))
            .into_iter()
            .collect()
    };
    let public_url = config.text(&key::HTTP_PUBLIC_URL);
    let gbfs = GbfsConfig {
        secret: FeedSecret::new(keys::feed_secret(key_file).await?),
        public_url: (!public_url.is_empty()).then(|| public_url.to_owned()),
        least_fuel_pct: u8::try_from(config.count(&key::LOW_FUEL)).unwrap_or(u8::MAX),
        ..GbfsConfig::default()
    };
    Ok(ApiConfig {
        limits,
        gbfs,
        sandbox: Some(sandbox.router()),
        cors_origins: origins.clone(),
        ws_origins: origins,
        trusted_proxies,
        ready,
        unready: Some(Arc::new(unready)),
        ..ApiConfig::new(tokens, tickets)
    })
}

/// The door that webhooks come in by: the real one, from this machine.
fn webhook_door(mut address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        let loopback: std::net::IpAddr = match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        };
        address.set_ip(loopback);
    }
    format!("http://{address}/api/v1/payments/webhook/{}", Sandbox::NAME)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    fn config(pairs: &[(&str, &str)]) -> Config {
        let environment = pairs.iter().map(|(name, value)| (name.into(), value.into())).collect();
        Config::load(&Sources { environment, ..Sources::default() }).expect("all is right")
    }

    #[test]
    fn the_defaults_are_the_engine_s_own() {
        assert_eq!(engine_settings(&config(&[])), holdfast_engine::Settings::default());
    }

    #[test]
    fn a_late_payment_comes_after_the_hold_has_ended_whichever_way_it_is_extended() {
        let of = |hold, extension| {
            after_any_hold(&config(&[
                ("HOLDFAST__HOLDS__HOLD_TTL", hold),
                ("HOLDFAST__HOLDS__PAYMENT_EXTENSION", extension),
            ]))
        };
        assert_eq!(of("2s", "0s"), Duration::from_secs(5));
        assert_eq!(of("2s", "4s"), Duration::from_secs(7));
    }

    #[test]
    fn webhooks_find_the_door_of_a_listener_on_every_address() {
        let door = webhook_door(([0, 0, 0, 0], 80).into());
        assert_eq!(door, "http://127.0.0.1:80/api/v1/payments/webhook/sandbox");
    }
}
