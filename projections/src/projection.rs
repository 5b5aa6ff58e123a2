//! The projections by name: what each follows, which tables are its, which version it has.

use std::str::FromStr;

use crate::models::tables;
use crate::tables::Table;

/// One projection: rows that are built, rebuilt and swapped together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Projection {
    /// The catalogue.
    Items,
    /// Pools and claims.
    Availability,
    /// Seat maps and seats.
    SeatMaps,
    /// Reservations.
    Reservations,
    /// Payments.
    Payments,
    /// Tickets.
    Tickets,
    /// Notices.
    Notifications,
    /// The ledger of stock.
    StockMovements,
    /// Parked asks.
    DeadLetters,
    /// The fleet.
    Vehicles,
    /// Inspections and damage claims.
    Inspections,
}

/// There is no projection of that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no projection {given:?}; there are {}", Projection::ALL.map(Projection::name).join(", "))]
pub struct UnknownProjection {
    given: String,
}

impl Projection {
    /// All of them, in the order in which a batch passes through them.
    pub const ALL: [Projection; 11] = [
        Self::Items,
        Self::Availability,
        Self::SeatMaps,
        Self::Reservations,
        Self::Payments,
        Self::Tickets,
        Self::Notifications,
        Self::StockMovements,
        Self::DeadLetters,
        Self::Vehicles,
        Self::Inspections,
    ];

    /// Its name, for people and for its checkpoint.
    pub fn name(self) -> &'static str {
        match self {
            Self::Items => "items",
            Self::Availability => "availability",
            Self::SeatMaps => "seat_maps",
            Self::Reservations => "reservations",
            Self::Payments => "payments",
            Self::Tickets => "tickets",
            Self::Notifications => "notifications",
            Self::StockMovements => "stock_movements",
            Self::DeadLetters => "dead_letters",
            Self::Vehicles => "vehicles",
            Self::Inspections => "inspections",
        }
    }

    /// The version of its tables and of what it makes of events. Raise it with either: rows of
    /// another version are dropped when the file is opened, and built again.
    pub fn version(self) -> u32 {
        match self {
            Self::Items
            | Self::Availability
            | Self::SeatMaps
            | Self::Tickets
            | Self::Notifications
            | Self::DeadLetters
            | Self::Vehicles
            | Self::Inspections => 1,
            // 2: how a rental went; what a payment is for; a vehicle that came back is a RETURNED.
            Self::Reservations | Self::Payments | Self::StockMovements => 2,
        }
    }

    /// The categories of the streams that it follows.
    pub fn categories(self) -> &'static [&'static str] {
        match self {
            Self::Items => &["item"],
            Self::Availability => &["item", "inventory"],
            Self::SeatMaps => &["seatmap"],
            Self::Reservations => &["reservation"],
            Self::Payments => &["payment"],
            Self::Tickets => &["ticket"],
            Self::Notifications => &["notification"],
            Self::StockMovements => &["inventory"],
            Self::DeadLetters => &["deadletter"],
            Self::Vehicles => &["vehicle"],
            Self::Inspections => &["inspection"],
        }
    }

    /// Its tables.
    pub(crate) fn tables(self) -> &'static [&'static Table] {
        match self {
            Self::Items => &[&tables::ITEMS],
            Self::Availability => &[&tables::AVAILABILITY, &tables::CLAIMS],
            Self::SeatMaps => &[&tables::SEAT_MAPS, &tables::SEATS],
            Self::Reservations => &[&tables::RESERVATIONS],
            Self::Payments => &[&tables::PAYMENTS],
            Self::Tickets => &[&tables::TICKETS],
            Self::Notifications => &[&tables::NOTIFICATIONS],
            Self::StockMovements => &[&tables::STOCK_MOVEMENTS],
            Self::DeadLetters => &[&tables::DEAD_LETTERS],
            Self::Vehicles => &[&tables::VEHICLES],
            Self::Inspections => &[&tables::INSPECTIONS],
        }
    }
}

impl std::fmt::Display for Projection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Projection {
    type Err = UnknownProjection;
    fn from_str(name: &str) -> Result<Self, UnknownProjection> {
        let found = Self::ALL.into_iter().find(|projection| projection.name() == name);
        found.ok_or_else(|| UnknownProjection { given: name.chars().take(80).collect() })
    }
}
