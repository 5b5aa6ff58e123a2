//! The demo's vehicles: two classes, twenty-five of them, driven by simulation inside this process. They
//! answer over MQTT as any vehicle would.

use std::time::Duration;

use holdfast_domain::{Sku, VehicleId, vehicle};
use holdfast_engine::side::Side;
use holdfast_engine::{Done, Engine, Rejection, VehicleRegistration};
use holdfast_iot::Broker;
use holdfast_iot::simulator::{Simulator, SimulatorConfig};
use tokio::sync::watch;

use crate::vehicles::simulated::spec;

/// Class, and how many there are of it.
const FLEET: [(&str, usize); 2] = [("compact", 15), ("van", 10)];
/// How often each says what its sensors say.
const TELEMETRY: Duration = Duration::from_secs(5);
/// How long it is waited for that all of them are online, before the demo is told to be ready.
const ARRIVE: Duration = Duration::from_secs(5);

/// Their names, with their classes.
fn names() -> impl Iterator<Item = (String, &'static str)> {
    FLEET.into_iter().flat_map(|(class, count)| {
        (1..=count).map(move |number| (format!("{class}-{number:02}"), class))
    })
}

/// Registers those that are not there yet.
pub(super) async fn register(
    engine: &Engine,
    mut loaded: impl FnMut(Result<Done, Rejection>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for (nth, (name, class)) in names().enumerate() {
        let id = VehicleId::new(name.as_str())?;
        if engine.load::<vehicle::State>(&id).await?.version.is_none() {
            let registration = VehicleRegistration {
                vin: format!("HFDEMO{nth:011}"),
                sku: Sku::new(class)?,
                odometer_m: 12_000_000 + 1_000_000 * nth as u64,
                fuel_pct: Some(60 + (nth % 40) as u8),
            };
            let request = super::request("registerVehicle", &name)?;
            loaded(engine.register_vehicle(&request, id, registration).await)?;
        }
    }
    Ok(())
}

/// Vehicles that are driven.
pub(crate) struct Driven(Simulator);

impl Driven {
    /// Drives until `stop`; then each says goodbye.
    pub(crate) async fn until(self, mut stop: watch::Receiver<bool>) -> anyhow::Result<()> {
        let _ = stop.wait_for(|stop| *stop).await.map(|_| ());
        self.0.stop().await;
        Ok(())
    }
}

/// Puts them on the road, where there is a broker, and waits a moment until they are online.
pub(crate) async fn drive(
    engine: &Engine,
    key_file: &Side,
    broker: Option<&str>,
) -> anyhow::Result<Option<Driven>> {
    let Some(broker) = broker else { return Ok(None) };
    let (mut specs, mut ids) = (Vec::new(), Vec::new());
    for (nth, (name, _)) in names().enumerate() {
        let id = VehicleId::new(name)?;
        let known = engine.load::<vehicle::State>(&id).await?.state;
        specs.push(spec(key_file, id.clone(), Some(&known), nth).await?);
        ids.push(id);
    }
    let config = SimulatorConfig {
        telemetry_every: TELEMETRY,
        ..SimulatorConfig::new(Broker::new(broker, None)?, 7)
    };
    let driven = Simulator::start(config, specs);
    let all_online = async {
        while !ids.iter().all(|id| engine.fleet().get(id).is_some_and(|seen| seen.online)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(ARRIVE, all_online).await.is_err() {
        tracing::warn!("not all demo vehicles are online yet");
    }
    Ok(Some(Driven(driven)))
}
