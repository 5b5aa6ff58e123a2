//! Accepts connections, hands each to the library, and closes the house.
//!
//! The library has an accept loop of its own. It counts a connection only once it has said who it is, and
//! when the process has no file descriptor left it asks again at once, for ever, and logs each time. This
//! one counts from the first byte, pauses, and ends every connection when it ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mqtt5::broker::client_handler::ClientHandler;
use mqtt5::broker::resource_monitor::{ResourceLimits, ResourceMonitor};
use mqtt5::broker::router::MessageRouter;
use mqtt5::broker::sys_topics::BrokerStats;
use mqtt5::broker::transport::BrokerTransport;
use mqtt5::broker::{
    AuthProvider, BrokerConfig, BrokerEventHandler, DynamicStorage, MemoryBackend, StorageBackend,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::doorman::Doorman;
use super::rules::Rules;
use super::strangers::Strangers;
use super::twin::{Twin, Twins};
use super::{Limits, VehicleAuth};

/// How long nobody is accepted after accepting has failed (no file descriptors, no memory).
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// How long connections may take to end after the goodbye; then they are cut.
const FAREWELL: Duration = Duration::from_millis(1_500);
/// How often a place for another stranger is looked for while there is none.
const PLACE: Duration = Duration::from_millis(5);
/// How often sessions and messages that have lapsed are looked for.
const SWEEP: Duration = Duration::from_secs(60);

pub(super) struct Door {
    listener: TcpListener,
    most: usize,
    strangers: Arc<Strangers>,
    twins: Twins,
    config: Arc<BrokerConfig>,
    router: Arc<MessageRouter>,
    doorman: Arc<dyn AuthProvider>,
    storage: Arc<DynamicStorage>,
    stats: Arc<BrokerStats>,
    monitor: Arc<ResourceMonitor>,
    goodbye: broadcast::Sender<()>,
}

impl Door {
    pub(super) async fn build(
        listener: TcpListener,
        auth: Arc<dyn VehicleAuth>,
        limits: Limits,
        twins: Twins,
    ) -> Result<Self, mqtt5::error::MqttError> {
        let rules: Arc<dyn BrokerEventHandler> = Arc::new(Rules { twins });
        let storage =
            Arc::new(DynamicStorage::Memory(MemoryBackend::with_queue_limits(limits.queue())));
        let router = MessageRouter::with_storage(Arc::clone(&storage))
            .with_fallback_queue_limits(limits.queue())
            .with_event_handler(Arc::clone(&rules))
            .with_retained_limits(limits.retained, limits.packet_bytes);
        router.initialize().await?;
        let strangers = Arc::new(Strangers::new(limits.strangers, limits.patience));
        let doorman = Doorman { auth, strangers: Arc::clone(&strangers), twins };
        let monitor = ResourceMonitor::new(ResourceLimits {
            max_connections: limits.connections,
            max_connections_per_ip: limits.connections,
            max_message_rate_per_client: 0,
            max_bandwidth_per_client: 0,
            ..ResourceLimits::default()
        });
        Ok(Self {
            listener,
            most: limits.connections,
            strangers,
            twins,
            config: Arc::new(limits.config(rules)),
            router: Arc::new(router),
            doorman: Arc::new(doorman),
            storage,
            stats: Arc::new(BrokerStats::new()),
            monitor: Arc::new(monitor),
            goodbye: broadcast::channel(1).0,
        })
    }

    pub(super) fn router(&self) -> Arc<MessageRouter> {
        Arc::clone(&self.router)
    }

    pub(super) async fn run(self, mut stop: oneshot::Receiver<()>) {
        let mut open = JoinSet::new();
        let mut sweep = tokio::time::interval(SWEEP);
        loop {
            let full = self.strangers.full_until();
            tokio::select! {
                // Its sender is dropped to stop: that needs no word.
                _ = &mut stop => break,
                Some(ended) = open.join_next() => told(ended),
                _ = sweep.tick() => self.sweep().await,
                () = wait_briefly(full.unwrap_or_else(Instant::now)), if full.is_some() => {}
                accepted = self.listener.accept(), if full.is_none() => match accepted {
                    Ok((stream, peer)) => self.take_in(stream, peer, &mut open),
                    Err(error) => {
                        tracing::warn!(%error, "MQTT: nobody is accepted for a moment");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        self.close(open).await;
    }

    fn take_in(&self, stream: TcpStream, peer: SocketAddr, open: &mut JoinSet<Outcome>) {
        if open.len() >= self.most {
            metrics::counter!("holdfast_mqtt_refused_total", "what" => "connection").increment(1);
            tracing::warn!(%peer, most = self.most, "MQTT: too many connections, one is closed");
            return;
        }
        // A command waits 40 ms or more for the acknowledgement before it without this.
        if !self.twins.lack(Twin::NoDelay)
            && let Err(error) = stream.set_nodelay(true)
        {
            tracing::warn!(%peer, %error, "MQTT: no TCP_NODELAY: commands will be slow");
        }
        let handler = ClientHandler::new(
            BrokerTransport::tcp(stream),
            peer,
            Arc::clone(&self.config),
            Arc::clone(&self.router),
            Arc::clone(&self.doorman),
            Some(Arc::clone(&self.storage)),
            Arc::clone(&self.stats),
            Arc::clone(&self.monitor),
            self.goodbye.subscribe(),
        );
        let begin = || open.spawn(async move { (peer, handler.run().await) });
        if self.strangers.came(peer, begin) {
            tracing::warn!("MQTT: too many that do not say who they are, the oldest is closed");
        }
    }

    async fn sweep(&self) {
        if let Err(error) = self.storage.cleanup_expired().await {
            tracing::warn!(%error, "MQTT: lapsed messages were not cleaned up");
        }
        self.router.sweep_sessions().await;
    }

    async fn close(self, mut open: JoinSet<Outcome>) {
        drop(self.listener);
        // Nobody listens to it when nobody is connected.
        let _ = self.goodbye.send(());
        let farewell = async { while open.join_next().await.is_some() {} };
        if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
            tracing::info!(left = open.len(), "MQTT: connections that did not end are cut");
        }
        open.shutdown().await;
    }
}

/// Waits for that moment, but not long: a place may become free before.
async fn wait_briefly(until: Instant) {
    tokio::time::sleep_until(until.min(Instant::now() + PLACE)).await;
}

type Outcome = (SocketAddr, mqtt5::error::Result<()>);

/// A connection has ended; how, is of interest only to who looks for it.
fn told(ended: Result<Outcome, tokio::task::JoinError>) {
    match ended {
        Ok((peer, Ok(()))) => tracing::debug!(%peer, "MQTT: connection ended"),
        Ok((peer, Err(error))) => tracing::debug!(%peer, %error, "MQTT: connection ended"),
        Err(error) if error.is_panic() => tracing::error!(%error, "MQTT: a connection's task fell"),
        Err(_) => {}
    }
}
