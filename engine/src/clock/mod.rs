//! Time. The wall clock is what people read and what somebody may set; the engine goes by a steady
//! one that is made of it.
//!
//! ```text
//!   wall clock ──┐
//!                ├──► Steady ──► now: never back, no leap before it has lasted
//!   monotonic ───┘       ▲
//!                  last recorded event: never before it
//! ```

mod simulated;
mod steady;
mod system;

pub use simulated::SimClock;
pub use steady::Steady;
pub use system::SystemClock;
