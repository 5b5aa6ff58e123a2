//! Vehicles, as `serve` has them: a broker, the link to it, and what comes in.
//!
//! ```text
//!   mqtt.broker named ──► the link speaks to that one
//!   else mqtt.listen  ──► the embedded broker, and the link speaks to it
//!   else              ──► no vehicles: commands fail at their deadline, and the log says why
//! ```
//!
//! Passwords and keys live in `side.sqlite`. They are read at each use, so that
//! `holdfast vehicle credentials` counts at once.

mod secrets;
pub(crate) mod simulated;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use holdfast_engine::ports::{Clock, NoLink, VehicleLink};
use holdfast_engine::side::Side;
use holdfast_engine::{Engine, LinkState};
use holdfast_iot::broker::{Embedded, Running};
use holdfast_iot::{Broker, Inbound, Link, LinkConfig, prepare};

use crate::config::{Config, keys as key};
use crate::exit::Ending;
use crate::keys;
use crate::serve::Floor;
use tokio::sync::watch;

use secrets::Secrets;

/// How often the link's state is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// The way to the vehicles, before the engine is there.
pub(crate) struct Garage {
    link: Option<(Link, Inbound)>,
    broker: Option<Running>,
    /// Where vehicles connect, without a password; none where there is no broker.
    pub(crate) url: Option<String>,
}

impl Garage {
    /// Starts the embedded broker, or names the other one.
    pub(crate) async fn open(
        config: &Config,
        key_file: &Side,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        let named = config.text(&key::MQTT_BROKER);
        let secrets =
            Arc::new(Secrets::new(key_file.clone(), keys::mqtt_password(key_file).await?));
        let (broker, running, url) = if !named.is_empty() {
            let ca = config.text(&key::MQTT_CA);
            let ca = (!ca.is_empty()).then(|| {
                std::fs::read(ca).with_context(|| format!("mqtt.ca = {ca} cannot be read"))
            });
            let broker = Broker::new(named, ca.transpose()?.as_deref())
                .map_err(|error| Ending::Usage(format!("mqtt.broker: {error}")))?;
            let url = broker.to_string();
            (broker, None, url)
        } else if let Some(listen) = config.address(&key::MQTT_LISTEN) {
            let running = Embedded::start(listen, secrets.clone()).await?;
            let url = format!("mqtt://{}", running.addr());
            let broker = Broker::new(&url, None).context("an address of our own")?;
            let password = secrets.engine_password().to_owned();
            (broker.as_user(holdfast_iot::broker::ENGINE, password), Some(running), url)
        } else {
            return Ok(Self { link: None, broker: None, url: None });
        };
        let name = config.text(&key::MQTT_CLIENT_ID);
        let mut link = LinkConfig::new(broker, name, config.data_dir().join("telemetry"));
        link.telemetry.total_bytes = config.count(&key::TELEMETRY_BYTES);
        link.telemetry.low_fuel_pct = u8::try_from(config.count(&key::LOW_FUEL)).unwrap_or(100);
        Ok(Self { link: Some(prepare(link, clock, secrets)), broker: running, url: Some(url) })
    }

    /// The port that the engine speaks to vehicles by.
    pub(crate) fn port(&self) -> Arc<dyn VehicleLink> {
        match &self.link {
            Some((link, _)) => Arc::new(link.clone()),
            None => Arc::new(NoLink),
        }
    }

    /// Takes what vehicles say to the engine from now on. `ground` is stopped behind `doors`: a link that
    /// is still there would take every goodbye for a lost vehicle.
    pub(crate) fn open_for(self, engine: &Engine, doors: &mut Floor, ground: &mut Floor) {
        if let Some((link, inbound)) = self.link {
            let (desk, stop) = (Arc::new(engine.clone()), doors.stopping());
            doors.part("vehicles", async move { Ok(inbound.run(desk, stop).await?) });
            doors.part("link state", tell_state(link, engine.clone(), doors.stopping()));
        }
        ground.part("the MQTT broker", keep(self.broker, ground.stopping()));
    }
}

/// Runs the embedded broker, if there is one, until `stop`.
async fn keep(broker: Option<Running>, mut stop: watch::Receiver<bool>) -> anyhow::Result<()> {
    let stopping = async {
        let _ = stop.wait_for(|stop| *stop).await.map(|_| ());
    };
    let Some(mut broker) = broker else {
        stopping.await;
        return Ok(());
    };
    tokio::select! {
        () = broker.ended() => anyhow::bail!("it has ended by itself"),
        () = stopping => {}
    }
    broker.stop().await;
    Ok(())
}

/// Tells the engine how the link is doing, for the health page.
async fn tell_state(
    link: Link,
    engine: Engine,
    mut stop: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    loop {
        let health = link.health();
        engine.set_link_state(if health.connected {
            LinkState::Connected
        } else {
            LinkState::Connecting(health.why_not.unwrap_or_else(|| "not yet".to_owned()))
        });
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
        }
    }
}
