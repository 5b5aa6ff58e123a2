//! Payment gateways: one module per vendor, each an adapter of the engine's port.

pub mod sandbox;
