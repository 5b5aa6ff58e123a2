//! The machine room: commands are dispatched, processes run, timers fire, the outside is called.
//!
//! A decision never comes from a read model: everything here is judged on the log's own state.

pub mod clock;
mod codes;
mod dispatch;
mod hosted;
mod ids;
pub mod letters;
pub mod ports;
mod request;
mod settings;
pub mod side;

pub use codes::refusal_code;
pub use dispatch::{AsOf, Loaded};
pub use hosted::{Asked, Hosted, HostedAggregate, HostedEvent};
pub use ids::{SeededIds, SystemIds};
pub use request::{
    Caller, CheckIn, Done, LineRequest, LockSeats, Locked, PaymentAnswer, PaymentOutcome,
    Rejection, Request, ReservationAnswer, StartPayment,
};
pub use settings::Settings;
