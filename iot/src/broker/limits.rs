//! How much the embedded broker takes at most, in one place.
//!
//! ```text
//!   bytes ≤ strangers × packet                     who has not said its name yet
//!         + connections × (lane + queue) messages  of what waits for each, and
//!           what waits for a vehicle comes from the engine alone: a few hundred bytes each;
//!           what waits for the engine comes from vehicles: ≤ 16 KiB each (rules.rs)
//! ```

use std::sync::Arc;
use std::time::Duration;

use mqtt5::broker::BrokerConfig;
use mqtt5::broker::storage::QueueLimits;

/// Bounds of the embedded broker.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The longest packet that is read, in bytes; who sends a longer one is disconnected.
    pub packet_bytes: usize,
    /// How many connections there are at once, strangers included; one more is closed at once.
    pub connections: usize,
    /// How many of them may not have said yet who they are.
    pub strangers: usize,
    /// How long one of these may stay silent before it is closed for another.
    pub patience: Duration,
    /// How many messages of QoS 1 may be on their way to one client, and from one that speaks 5.0.
    pub inflight: u16,
    /// How many messages wait in memory for one client that reads slowly, per QoS.
    pub lane: usize,
    /// How many messages wait for a client that is away or behind; the oldest go first.
    pub queued_messages: usize,
    /// The same in bytes.
    pub queued_bytes: usize,
    /// How many retained messages there are; vehicles retain one each.
    pub retained: usize,
    /// How long a client that went away finds its session again, at most.
    pub session: Duration,
    /// How many filters one client subscribes to.
    pub subscriptions: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            packet_bytes: 256 * 1024,
            connections: 4_096,
            strangers: 256,
            patience: Duration::from_secs(1),
            inflight: 64,
            lane: 2_048,
            queued_messages: 1_000,
            queued_bytes: 4 * 1024 * 1024,
            retained: 65_536,
            session: Duration::from_secs(3_600),
            subscriptions: 32,
        }
    }
}

/// How many names a client may give to topics; more only cost memory.
const TOPIC_ALIASES: u16 = 8;

impl Limits {
    /// What the library is told of them. Its listener and its storage settings stay unused: the door
    /// listens, and builds the storage in memory.
    pub(super) fn config(
        &self,
        handler: Arc<dyn mqtt5::broker::BrokerEventHandler>,
    ) -> BrokerConfig {
        let mut config = BrokerConfig::new()
            .with_bind_addresses(Vec::new())
            .with_max_clients(self.connections)
            .with_max_packet_size(self.packet_bytes)
            .with_session_expiry(self.session)
            .with_maximum_qos(1)
            .with_max_subscriptions_per_client(self.subscriptions)
            .with_max_retained_messages(self.retained)
            .with_max_retained_message_size(self.packet_bytes)
            .with_client_channel_capacity(self.lane)
            .with_max_outbound_inflight(self.inflight)
            .with_sys_topics_enabled(false);
        config.topic_alias_maximum = TOPIC_ALIASES;
        config.shared_subscription_available = false;
        config.server_receive_maximum = Some(self.inflight);
        config.event_handler = Some(handler);
        config
    }

    /// What may wait for one client.
    pub(super) fn queue(&self) -> QueueLimits {
        QueueLimits { max_messages: self.queued_messages, max_bytes: self.queued_bytes }
    }
}
