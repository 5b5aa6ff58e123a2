//! What tests and benchmarks of the link share: brokers of their own, and clients to speak to them.
//! Other packages include this directory by path (`#[path = "../iot/tests/support/mod.rs"]`).

#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod client;
pub(crate) mod house;
pub(crate) mod mosquitto;
pub(crate) mod raw;
pub(crate) mod road;
