//! The races of DOMAIN.md D, by the names of its table, on the memory store, a clock that is moved by
//! hand, and a bank that keeps books. Every protection has a twin: the same race with that protection
//! taken away, where it must then be seen to happen.

mod bank;
mod cars;
mod link;
mod world;

mod clockwork;
mod crashes;
mod fleet;
mod hosting;
mod keys;
mod latency;
mod money;
mod pools;
mod processes;
mod reading;
mod rentals;
mod snapshots;
mod unlocking;
