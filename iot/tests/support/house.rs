//! One broker, whichever it is: what every test of both asks for.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use holdfast_domain::VehicleId;
use holdfast_iot::broker::{ENGINE, Embedded, Limits, Principal, Running, VehicleAuth};

use super::client::{Client, Dial};
use super::mosquitto::{Mosquitto, line};

/// A free port of this machine alone.
pub(crate) const ANY_PORT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Passwords in memory; real ones live in `side.sqlite`.
#[derive(Default)]
pub(crate) struct Known(Mutex<HashMap<String, Vec<u8>>>);

impl Known {
    /// The engine, and these vehicles, each with [`password`].
    pub(crate) fn with(vehicles: &[&str]) -> Arc<Self> {
        let known = Self::default();
        for user in vehicles.iter().chain([&ENGINE]) {
            known.set(user, &password(user));
        }
        Arc::new(known)
    }

    /// Lets one in, or gives it another password.
    pub(crate) fn set(&self, user: &str, password: &str) {
        let mut known = self.0.lock().expect("no test panics inside");
        known.insert(user.to_owned(), password.as_bytes().to_vec());
    }
}

#[async_trait]
impl VehicleAuth for Known {
    async fn verify(&self, user: &str, password: &[u8]) -> Option<Principal> {
        let known = self.0.lock().expect("no test panics inside");
        known.get(user).filter(|right| *right == password)?;
        Principal::of(user)
    }
}

/// The password of a user in tests.
pub(crate) fn password(user: &str) -> String {
    format!("of-{user}")
}

/// A broker with some vehicles that it lets in.
pub(crate) enum House {
    Embedded(Running, Arc<Known>),
    Mosquitto(Box<Mosquitto>),
}

impl House {
    /// The embedded broker.
    pub(crate) async fn embedded(vehicles: &[&str]) -> Self {
        Self::embedded_within(vehicles, Limits::default()).await
    }

    /// The same with other limits.
    pub(crate) async fn embedded_within(vehicles: &[&str], limits: Limits) -> Self {
        let known = Known::with(vehicles);
        let auth = Arc::clone(&known) as Arc<dyn VehicleAuth>;
        let running = Embedded::start_within(ANY_PORT, auth, limits).await.expect("a free port");
        Self::Embedded(running, known)
    }

    /// Mosquitto; none where it is to be left out.
    pub(crate) fn mosquitto(vehicles: &[&str]) -> Option<Self> {
        let broker = Mosquitto::start()?;
        let lines: String = vehicles.iter().map(|id| line(id, &password(id))).collect();
        broker.admit_lines(&lines);
        Some(Self::Mosquitto(Box::new(broker)))
    }

    /// How a vehicle connects.
    pub(crate) fn dial(&self, vehicle: &str) -> Dial {
        Dial::new(self.vehicles(), vehicle, &password(vehicle))
    }

    /// How the engine connects.
    pub(crate) fn dial_engine(&self) -> Dial {
        match self {
            Self::Embedded(running, _) => Dial::new(running.addr(), ENGINE, &password(ENGINE)),
            Self::Mosquitto(broker) => {
                Dial::new(broker.engine(), ENGINE, &broker.engine_password())
            }
        }
    }

    /// Where vehicles connect.
    pub(crate) fn vehicles(&self) -> SocketAddr {
        match self {
            Self::Embedded(running, _) => running.addr(),
            Self::Mosquitto(broker) => broker.vehicles(),
        }
    }

    /// A vehicle that is connected and hears its commands.
    pub(crate) async fn vehicle(&self, vehicle: &str) -> Client {
        let mut client = self.dial(vehicle).connect().await.expect("it is let in");
        for word in ["unlock", "lock"] {
            assert!(client.subscribe(&topic(vehicle, &format!("cmd/{word}"))).await);
        }
        client
    }

    /// The engine, connected and hearing all vehicles.
    pub(crate) async fn engine(&self) -> Client {
        let mut client = self.dial_engine().connect().await.expect("it is let in");
        for filter in ["rsp/#", "tel", "evt", "state/conn"] {
            assert!(client.subscribe(&topic("+", filter)).await, "{filter}");
        }
        client
    }

    /// Gives a vehicle another password, and cuts it as its owner would.
    pub(crate) async fn rotate(&self, vehicle: &str, new: &str) {
        match self {
            Self::Embedded(running, known) => {
                known.set(vehicle, new);
                running.disconnect(&VehicleId::new(vehicle).expect("a name")).await;
            }
            Self::Mosquitto(broker) => broker.admit(vehicle, new),
        }
    }

    /// Whether it says no to a filter. Mosquitto grants all and delivers what may be heard.
    pub(crate) fn refuses_filters(&self) -> bool {
        matches!(self, Self::Embedded(..))
    }
}

/// A topic, or filter, of one vehicle.
pub(crate) fn topic(vehicle: &str, rest: &str) -> String {
    format!("hf/v1/v/{vehicle}/{rest}")
}
