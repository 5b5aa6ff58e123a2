//! Holdfast: ties the rooms together. Configuration, wiring, command line, vendor adapters.
//!
//! Nothing is decided here: rules live in `domain/`, acting in `engine/`, answering in
//! `projections/` and `api/`. The binary is [`cli::run`]; the whole-product tests use the parts.

pub mod cli;
pub mod config;
mod demo;
pub mod exit;
mod foreign;
pub mod gateways;
pub mod invariants;
pub mod keys;
mod log;
mod serve;
pub mod synthetic;
mod vehicles;
