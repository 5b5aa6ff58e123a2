//! The embedded MQTT broker: what lets `serve` unlock a car with nothing else installed.
//!
//! It is `mqtt5`'s broker behind our own door. The library speaks the protocol (5.0 and 3.1.1) and keeps
//! sessions; who may come in, under which name, what each may say and hear, and how much memory all of
//! them together may take is decided here.
//!
//! ```text
//!   vehicle ──TCP──► door.rs ──► strangers.rs ──► mqtt5's handler ──► doorman.rs ──► VehicleAuth
//!                    how many    until they say      the protocol     name, password,  side.sqlite
//!                    at once     who they are                         client id
//!                                                          │
//!                                                          ├─ every publish, every filter ──► fence.rs
//!                                                          └─ retained, too long ───────────► rules.rs
//! ```
//!
//! What it is not for: vehicles that come over a network. It has no TLS, keeps nothing over a restart,
//! and lives and dies with the server. `iot/mosquitto/` sets up Mosquitto, which does all of that.

mod door;
mod doorman;
mod fence;
mod limits;
mod rules;
mod strangers;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests;
mod twin;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use holdfast_domain::VehicleId;
use mqtt5::broker::router::MessageRouter;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub use fence::ENGINE;
pub use limits::Limits;

/// Where the embedded broker listens unless told otherwise: nobody outside this machine reaches it.
pub const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1883);

/// Who stands behind a user name and a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// The engine: speaks to all vehicles and hears all of them.
    Engine,
    /// One vehicle: speaks and hears under its own prefix only.
    Vehicle(VehicleId),
}

/// Knows the passwords. Asked at every connection, so a password that was changed counts at once.
#[async_trait]
pub trait VehicleAuth: Send + Sync + 'static {
    /// Who that is; nobody when the user is unknown, the password is wrong, or neither can be looked up.
    /// The password is compared in constant time.
    async fn verify(&self, user: &str, password: &[u8]) -> Option<Principal>;
}

/// Why the embedded broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken or not this machine's.
    #[error(
        "the embedded MQTT broker cannot listen on {listen}: {source}. If another broker has that \
         address, name it in mqtt.broker and set mqtt.listen = \"\"; else choose another mqtt.listen"
    )]
    Listen {
        /// Where it was to listen.
        listen: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The library's router did not begin.
    #[error("the embedded MQTT broker cannot begin: {0}; set mqtt.listen = \"\" to do without it")]
    Begin(#[from] mqtt5::error::MqttError),
}

/// The embedded broker.
#[derive(Debug)]
pub struct Embedded;

impl Embedded {
    /// Listens on `listen` (port 0: any free one) and lets in whom `auth` knows.
    pub async fn start(
        listen: SocketAddr,
        auth: Arc<dyn VehicleAuth>,
    ) -> Result<Running, StartError> {
        Self::start_within(listen, auth, Limits::default()).await
    }

    /// The same with other limits.
    pub async fn start_within(
        listen: SocketAddr,
        auth: Arc<dyn VehicleAuth>,
        limits: Limits,
    ) -> Result<Running, StartError> {
        Self::start_lacking(listen, auth, limits, twin::Twins::default()).await
    }

    async fn start_lacking(
        listen: SocketAddr,
        auth: Arc<dyn VehicleAuth>,
        limits: Limits,
        twins: twin::Twins,
    ) -> Result<Running, StartError> {
        let failed = |source| StartError::Listen { listen, source };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        if !addr.ip().is_loopback() {
            tracing::warn!(
                %addr,
                "the embedded MQTT broker listens beyond this machine without TLS: passwords and \
                 positions can be read on the way; iot/mosquitto/ sets up a broker with TLS"
            );
        }
        let (stop, stopped) = oneshot::channel();
        let door = door::Door::build(listener, auth, limits, twins).await?;
        let router = door.router();
        let task = tokio::spawn(door.run(stopped));
        tracing::info!(%addr, "embedded MQTT broker");
        Ok(Running { addr, router, stop: Some(stop), task })
    }
}

/// A broker that runs. Dropped, it stops without waiting for anybody.
pub struct Running {
    addr: SocketAddr,
    router: Arc<MessageRouter>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Running {
    /// Where it listens, with the port that it really got.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The same as others write it: `mqtt://127.0.0.1:1883`.
    pub fn url(&self) -> String {
        format!("mqtt://{}", self.addr)
    }

    /// How many have said who they are and are connected.
    pub async fn connected(&self) -> usize {
        self.router.client_count().await
    }

    /// Cuts a vehicle's connection, so that it has to say again who it is: its password was changed.
    pub async fn disconnect(&self, vehicle: &VehicleId) {
        self.router.disconnect_client(vehicle.as_str()).await;
    }

    /// Resolves when the broker has ended without being asked to, which it never should.
    pub async fn ended(&mut self) {
        // Only its end matters here; a panic has been printed by then.
        let _ = (&mut self.task).await;
    }

    /// Takes nobody in any more, says goodbye to those who are there, and ends within two seconds.
    /// The engine's own link is stopped before: else it takes every goodbye for a lost vehicle.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        // It bounds its own farewell; an end by panic is an end too.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("addr", &self.addr).finish_non_exhaustive()
    }
}
