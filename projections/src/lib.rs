//! What is asked often, ready to be answered: tables that follow the log.
//!
//! Everything here is derived. It may be deleted at any time and is built again from the log; nothing
//! is decided by it, nothing is appended, nobody outside is told anything.
//!
//! ```text
//!   log ──► Runner ──► models/*.rs ──► tables ──commit──► rows + checkpoint ──► readers
//!             │          (one batch, in memory)             (one transaction)
//!             └── Rebuild: the same into other tables beside, then swapped in one transaction
//! ```
//!
//! Whoever wants to see its own change passes the position that its mutation was answered with to
//! [`ReadModels::wait_for`].

mod checkpoints;
mod folds;
mod models;
mod page;
mod projecting;
mod projection;
mod read_models;
mod rebuild;
mod runner;
mod tables;

pub use checkpoints::{ParkedEvent, ProjectionState, ProjectionStatus};
pub use models::{
    AvailabilityReason, AvailabilityRow, ClaimState, CommandRow, DeadLetterRow, FreeSpan,
    HolderRow, InspectionRow, ItemRow, Location, MovementKind, NextStep, NotificationRow,
    PaymentRow, RentalRow, ReservationRow, ReturnRow, SeatCounts, SeatMapRow, SeatRow,
    SeatSnapshot, SeatStatus, StockMovementRow, TicketRow, TicketStatus, VehicleRow,
};
pub use page::{MOST_ROWS, Page, PageRequest, USUAL_ROWS};
pub use projecting::ProjectError;
pub use projection::{Projection, UnknownProjection};
pub use read_models::{QueryError, ReadModels, Stale};
#[doc(hidden)]
pub use rebuild::Bounds;
pub use rebuild::{Progress, RebuildError};
pub use runner::Runner;
pub use tables::TableError;
