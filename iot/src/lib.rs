//! The link to vehicles: commands out, answers and telemetry in, over any MQTT 5 broker.
//!
//! ```text
//!                       ┌─ link ───── commands, QoS 1, signed, with an end ──────►┐
//!   engine ── ports ───►┤                                                         │ broker ◄──► vehicles
//!          ◄── Desk ────┼─ inbound ── answers, notices, presence: acked when ◄────┤
//!                       │             recorded, one lane per vehicle              │
//!                       └─ telemetry ─ a connection of its own: raw files, ◄──────┘
//!                                      samples for the vehicle's stream
//! ```
//!
//! What is absent on purpose: deciding anything. Whether an answer is late, doubled or of use is judged by
//! the vehicle's own stream; here is only known whether it is the vehicle's, and whether it can be read.

mod backoff;
#[cfg(feature = "embedded-broker")]
pub mod broker;
mod broker_url;
mod bucket;
mod connection;
mod desk;
mod fleet;
mod inbound;
mod keys;
mod lanes;
mod link;
mod queue;
pub mod simulator;
mod telemetry;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests;

pub use broker_url::{Broker, BrokerError};
pub use desk::{Desk, Trouble};
pub use inbound::{Inbound, InboundError};
pub use keys::{KeyError, KeySource};
pub use link::{Link, LinkConfig, LinkHealth, prepare};
pub use telemetry::TelemetryConfig;

/// Returns when the house stops, also when whoever could say so is gone.
pub(crate) async fn stopping(stop: &mut tokio::sync::watch::Receiver<bool>) {
    // The guard must not live across an await.
    let _ = stop.wait_for(|stop| *stop).await.map(|_| ());
}
