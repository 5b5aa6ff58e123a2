//! Renting vehicles: what can be asked and done about them, beside the rest of the schema.

mod input;
mod mutation;
mod query;

pub(crate) use mutation::FleetMutation;
pub(crate) use query::{FleetQuery, inspection, vehicle};
