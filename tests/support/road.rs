//! A house with vehicles that are driven by simulation, on the embedded broker or on Mosquitto.

use std::time::Duration;

use holdfast_domain::VehicleId;
use holdfast_iot::Broker;
use holdfast_iot::simulator::{Simulator, SimulatorConfig, Temper, VehicleSpec, View};
use holdfast_schemas::mqtt::Key;
use serde_json::{Value, json};

use super::catalogue::{accepted, create_item};
use super::mosquitto::Mosquitto;
use super::{House, Person, eventually};

/// Which broker stands between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Between {
    /// The one inside the binary.
    Embedded,
    /// The one for real use, with the files of `iot/mosquitto/`.
    Mosquitto,
}

/// What one vehicle signs in and signs with.
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) key: Key,
}

/// A house, a class `compact` at EUR 60 and vehicles `car-1`, `car-2` … of it on the road.
pub(crate) struct Road {
    pub(crate) house: House,
    pub(crate) cars: Simulator,
    /// The broker, where it is not the house's own.
    pub(crate) mosquitto: Option<Mosquitto>,
}

impl Road {
    /// `count` obedient vehicles, all of them online.
    pub(crate) async fn with(between: Between, count: usize, settings: &[(&str, &str)]) -> Self {
        let mut settings = settings.to_vec();
        let mosquitto = match between {
            Between::Embedded => None,
            Between::Mosquitto => Mosquitto::start(),
        };
        let engine_url = mosquitto.as_ref().map(Mosquitto::engine_url);
        match &engine_url {
            Some(url) => settings.push(("MQTT__BROKER", url)),
            None => settings.push(("MQTT__LISTEN", "127.0.0.1:0")),
        }
        let house = House::start(&settings).await;
        let url = match &mosquitto {
            Some(mosquitto) => format!("mqtt://{}", mosquitto.vehicles()),
            None => house.mqtt().to_owned(),
        };
        let broker = Broker::new(&url, None).expect("a broker's address");
        let admin = house.admin();
        create_item(
            &admin,
            json!({ "sku": "compact", "name": "Compact car", "kind": "VEHICLE_CLASS",
                "price": { "amountMinor": "6000", "currency": "EUR" } }),
        )
        .await;
        let mut specs = Vec::new();
        for number in 1..=count {
            let id = format!("car-{number}");
            register(&admin, &id).await;
            let (line, Credentials { user, password, key }) = credentials(&house, &id);
            if let Some(mosquitto) = &mosquitto {
                mosquitto.admit_lines(&line);
            }
            assert_eq!(user, id, "a vehicle signs in under its own name");
            specs.push(VehicleSpec {
                id: VehicleId::new(id).expect("a name"),
                password,
                key,
                odometer_m: 12_345_000,
                fuel_pct: 82,
                position: (52.52, 13.405),
            });
        }
        let config = SimulatorConfig {
            telemetry_every: Duration::from_millis(200),
            will_delay: Duration::from_secs(1),
            ..SimulatorConfig::new(broker, super::seed())
        };
        let cars = Simulator::start(config, specs);
        let road = Self { house, cars, mosquitto };
        for number in 1..=count {
            road.online(&format!("car-{number}"), true).await;
        }
        road
    }

    /// Waits until Holdfast knows a vehicle to be online, or not.
    pub(crate) async fn online(&self, car: &str, online: bool) {
        let operator = self.house.operator();
        eventually(&format!("{car} online: {online}"), || async {
            (vehicle(&operator, car).await["online"] == online).then_some(())
        })
        .await;
    }

    /// How a car stands, as an onlooker sees it.
    pub(crate) fn car(&self, car: &str) -> View {
        self.cars.view(&VehicleId::new(car).expect("a name")).expect("it is on the road")
    }

    /// How a car behaves from now on.
    pub(crate) async fn temper(&self, car: &str, temper: Temper) {
        self.cars.set_temper(&VehicleId::new(car).expect("a name"), temper).await;
    }

    /// A car drives into a tunnel.
    pub(crate) async fn vanish(&self, car: &str, span: Duration) {
        self.cars.vanish(&VehicleId::new(car).expect("a name"), span).await;
    }
}

/// What Holdfast shows of a vehicle.
pub(crate) async fn vehicle(person: &Person, id: &str) -> Value {
    let query = "query($id: ID!) { vehicle(id: $id) { id vin sku status lock online odometerMetres fuelPercent lastSeen } }";
    person.query(query, json!({ "id": id })).await["vehicle"].clone()
}

/// Waits until a vehicle stands like that.
pub(crate) async fn vehicle_is(person: &Person, id: &str, status: &str) -> Value {
    eventually(&format!("{id} is {status}"), || async {
        let seen = vehicle(person, id).await;
        (seen["status"] == status).then_some(seen)
    })
    .await
}

pub(crate) async fn register(admin: &Person, id: &str) {
    let input = json!({ "id": id, "vin": format!("WVWZZZ1JZ{id:0>8}"), "sku": "compact",
        "odometerMetres": "12345000", "fuelPercent": 82 });
    let fields = "... on Accepted { position } ... on Refused { code message }";
    let result = admin.mutate("registerVehicle", "RegisterVehicleInput", input, fields).await;
    accepted(admin, &result).await;
}

/// What `holdfast vehicle credentials` prints, beside the running server.
pub(crate) fn credentials(house: &House, id: &str) -> (String, Credentials) {
    let output = house.command(&["vehicle", "credentials", id]).output().expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let line: Value = serde_json::from_slice(&output.stdout).expect("one line of JSON");
    let text = |name: &str| line[name].as_str().expect("a text").to_owned();
    let key = Key::from_base64(&text("key")).expect("a key");
    let known = Credentials { user: text("user"), password: text("password"), key };
    (String::from_utf8(output.stdout).expect("a line"), known)
}
