//! The doors, tried from outside: a real TCP listener, the real engine and read models over the store
//! in memory, a gateway that does as the token says, and vehicles that behave as they are told to.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod access;
mod audit;
mod bounds;
mod fleet;
mod garage;
mod gbfs;
mod idem;
mod nulls;
mod schema;
mod sockets;
mod till;
mod walk;
mod world;
