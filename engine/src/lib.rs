//! The machine room: commands are dispatched, processes run, timers fire, the outside is called.
//!
//! A decision never comes from a read model: everything here is judged on the log's own state.

pub mod ports;
mod request;

pub use request::{
    Caller, CheckIn, Done, LineRequest, LockSeats, Locked, PaymentAnswer, PaymentOutcome,
    Rejection, Request, ReservationAnswer, StartPayment,
};
