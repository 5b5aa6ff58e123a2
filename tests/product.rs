//! The whole product, judged through its real doors: the real binary, its own directory, a free port.
//!
//! `HOLDFAST_BIN` names another binary to judge (the release one); without it the one that cargo just
//! built is taken. One file for each diagram, and one for each way of being unkind.

#[expect(dead_code, reason = "what only tests/campaign/ uses")]
mod support;

mod bad_input;
mod cli;
mod floor_plan;
mod log_tools;
mod s0_rental;
mod s1_iot;
mod s2_seats;
mod s4_tickets;
mod storm;
mod tour;
