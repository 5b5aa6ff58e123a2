//! The link to vehicles: commands out, answers and telemetry in, over any MQTT 5 broker.

#[cfg(feature = "embedded-broker")]
pub mod broker;
