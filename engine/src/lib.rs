//! The machine room: commands are dispatched, processes run, timers fire, the outside is called.
//!
//! ```text
//!   door ──Request──► services ──► acquire ──► dispatch ──► store (only now is anything true)
//!                                                │             │
//!            timers, gateways ◄── runner ◄───────┼─────────────┘ every fact, in order
//!                                   └── asks ────┘
//! ```
//!
//! A decision never comes from a read model: everything here is judged on the log's own state.

mod acquire;
pub mod clock;
mod codes;
mod dispatch;
mod engine;
mod fleet;
mod follow;
mod health;
mod hosted;
mod ids;
pub mod letters;
mod patience;
pub mod ports;
mod rentals;
mod request;
mod runner;
mod running;
mod services;
mod settings;
pub mod side;
mod snapshots;
#[cfg(test)]
mod tests;

pub use codes::refusal_code;
pub use dispatch::{AsOf, Loaded};
pub use engine::{Engine, Parts, Reconciled, StartError};
pub use fleet::{Fleet, FleetVehicle};
pub use follow::IndexError;
pub use health::{ConsumerHealth, Health, LinkState, VehicleHealth};
pub use hosted::{Asked, Hosted, HostedAggregate, HostedEvent};
pub use ids::{SeededIds, SystemIds};
pub use rentals::{
    InspectionAnswer, SubmitInspection, VehicleAnswer, VehicleAnswerIn, VehicleRegistration,
};
pub use request::{
    Caller, CheckIn, Done, LineRequest, LockSeats, Locked, PaymentAnswer, PaymentOutcome,
    Rejection, Request, ReservationAnswer, StartPayment, VehicleFailure,
};
pub use runner::RunnerError;
pub use running::{Died, PartError, Running};
pub use settings::Settings;
pub use snapshots::{SnapshotFigures, Snapshots};
