//! The read models, one file each: its row, its table, how events change it, and what is asked of it.

mod availability;
mod dead_letters;
mod inspections;
mod items;
mod notifications;
mod payments;
mod reservations;
mod seatmaps;
mod stock_movements;
mod tickets;
mod vehicles;

pub(crate) use availability::Availability;
pub(crate) use dead_letters::DeadLetters;
pub(crate) use inspections::Inspections;
pub(crate) use items::Items;
pub(crate) use notifications::Notifications;
pub(crate) use payments::Payments;
pub(crate) use reservations::Reservations;
pub(crate) use seatmaps::SeatMaps;
pub(crate) use stock_movements::StockMovements;
pub(crate) use tickets::Tickets;
pub(crate) use vehicles::Vehicles;

pub use availability::{AvailabilityReason, AvailabilityRow, ClaimState, FreeSpan};
pub use dead_letters::DeadLetterRow;
pub use inspections::InspectionRow;
pub use items::ItemRow;
pub use notifications::NotificationRow;
pub use payments::{NextStep, PaymentRow};
pub use reservations::{RentalRow, ReservationRow, ReturnRow};
pub use seatmaps::{SeatCounts, SeatMapRow, SeatRow, SeatSnapshot, SeatStatus};
pub use stock_movements::{MovementKind, StockMovementRow};
pub use tickets::{TicketRow, TicketStatus};
pub use vehicles::{CommandRow, HolderRow, Location, VehicleRow};

/// Their tables.
pub(crate) mod tables {
    pub(crate) use super::availability::{AVAILABILITY, CLAIMS};
    pub(crate) use super::dead_letters::DEAD_LETTERS;
    pub(crate) use super::inspections::INSPECTIONS;
    pub(crate) use super::items::ITEMS;
    pub(crate) use super::notifications::NOTIFICATIONS;
    pub(crate) use super::payments::PAYMENTS;
    pub(crate) use super::reservations::RESERVATIONS;
    pub(crate) use super::seatmaps::{SEAT_MAPS, SEATS};
    pub(crate) use super::stock_movements::STOCK_MOVEMENTS;
    pub(crate) use super::tickets::TICKETS;
    pub(crate) use super::vehicles::VEHICLES;
}
