//! Holdfast: ties the rooms together. Configuration, wiring, command line, vendor adapters.
//!
//! Nothing is decided here: rules live in `domain/`, acting in `engine/`, answering in
//! `projections/` and `api/`. The binary is [`cli::run`]; the whole-product tests use the parts.

pub mod config;
pub mod gateways;
pub mod invariants;
