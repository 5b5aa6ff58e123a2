//! What mutations answer: what came of it, or why not, as one union each.

use async_graphql::{SimpleObject, Union};

use super::inspection::Inspection;
use super::payment::{NextAction, Payment};
use super::refusal::{
    HoldExpired, LimitExceeded, OutOfStock, PaymentDeclined, Refused, SeatsTaken, Sorted,
    VehicleUnreachable,
};
use super::reservation::Reservation;
use super::scalars::Position;
use super::seatmap::SeatLock;
use super::ticket::Ticket;
use super::vehicle::Vehicle;

#[derive(SimpleObject)]
pub(crate) struct LockSeatsSuccess {
    pub(crate) lock: SeatLock,
    pub(crate) position: Position,
}

#[derive(Union)]
pub(crate) enum LockSeatsResult {
    Success(LockSeatsSuccess),
    SeatsTaken(SeatsTaken),
    LimitExceeded(LimitExceeded),
    Refused(Refused),
}

#[derive(SimpleObject)]
pub(crate) struct ReservationSuccess {
    pub(crate) reservation: Reservation,
    pub(crate) position: Position,
    pub(crate) replayed: bool,
}

#[derive(Union)]
pub(crate) enum CreateReservationResult {
    Success(ReservationSuccess),
    OutOfStock(OutOfStock),
    SeatsTaken(SeatsTaken),
    LimitExceeded(LimitExceeded),
    Refused(Refused),
}

#[derive(Union)]
pub(crate) enum ReservationResult {
    Success(ReservationSuccess),
    HoldExpired(HoldExpired),
    Refused(Refused),
}

#[derive(SimpleObject)]
pub(crate) struct PaymentSuccess {
    pub(crate) payment: Payment,
    pub(crate) reservation: Reservation,
    pub(crate) next_action: Option<NextAction>,
    pub(crate) position: Position,
    pub(crate) replayed: bool,
}

#[derive(Union)]
#[expect(clippy::large_enum_variant, reason = "one of them exists at a time, for one answer")]
pub(crate) enum PaymentResult {
    Success(PaymentSuccess),
    PaymentDeclined(PaymentDeclined),
    HoldExpired(HoldExpired),
    Refused(Refused),
}

#[derive(SimpleObject)]
pub(crate) struct VehicleCommandSuccess {
    pub(crate) vehicle: Vehicle,
    pub(crate) reservation: Reservation,
    pub(crate) position: Position,
}

#[derive(Union)]
#[expect(clippy::large_enum_variant, reason = "one of them exists at a time, for one answer")]
pub(crate) enum VehicleCommandResult {
    Success(VehicleCommandSuccess),
    VehicleUnreachable(VehicleUnreachable),
    Refused(Refused),
}

#[derive(SimpleObject)]
pub(crate) struct InspectionSuccess {
    pub(crate) inspection: Inspection,
    pub(crate) position: Position,
}

#[derive(Union)]
pub(crate) enum InspectionResult {
    Success(InspectionSuccess),
    Refused(Refused),
}

/// Answer of the operators' mutations.
#[derive(SimpleObject)]
pub(crate) struct Accepted {
    pub(crate) position: Position,
}

#[derive(Union)]
pub(crate) enum OperatorResult {
    Accepted(Accepted),
    Refused(Refused),
}

#[derive(SimpleObject)]
pub(crate) struct CheckInSuccess {
    pub(crate) ticket: Ticket,
    pub(crate) position: Position,
}

#[derive(Union)]
pub(crate) enum CheckInResult {
    Success(CheckInSuccess),
    Refused(Refused),
}

impl From<Sorted> for LockSeatsResult {
    fn from(no: Sorted) -> Self {
        match no {
            Sorted::SeatsTaken(no) => Self::SeatsTaken(no),
            Sorted::LimitExceeded(no) => Self::LimitExceeded(no),
            Sorted::OutOfStock(_)
            | Sorted::HoldExpired(_)
            | Sorted::VehicleUnreachable(_)
            | Sorted::Refused(_) => Self::Refused(no.plain()),
        }
    }
}

impl From<Sorted> for CreateReservationResult {
    fn from(no: Sorted) -> Self {
        match no {
            Sorted::OutOfStock(no) => Self::OutOfStock(no),
            Sorted::SeatsTaken(no) => Self::SeatsTaken(no),
            Sorted::LimitExceeded(no) => Self::LimitExceeded(no),
            Sorted::HoldExpired(_) | Sorted::VehicleUnreachable(_) | Sorted::Refused(_) => {
                Self::Refused(no.plain())
            }
        }
    }
}

impl From<Sorted> for ReservationResult {
    fn from(no: Sorted) -> Self {
        match no {
            Sorted::HoldExpired(no) => Self::HoldExpired(no),
            Sorted::OutOfStock(_)
            | Sorted::SeatsTaken(_)
            | Sorted::LimitExceeded(_)
            | Sorted::VehicleUnreachable(_)
            | Sorted::Refused(_) => Self::Refused(no.plain()),
        }
    }
}

impl From<Sorted> for PaymentResult {
    fn from(no: Sorted) -> Self {
        match no {
            Sorted::HoldExpired(no) => Self::HoldExpired(no),
            Sorted::OutOfStock(_)
            | Sorted::SeatsTaken(_)
            | Sorted::LimitExceeded(_)
            | Sorted::VehicleUnreachable(_)
            | Sorted::Refused(_) => Self::Refused(no.plain()),
        }
    }
}

impl From<Sorted> for VehicleCommandResult {
    fn from(no: Sorted) -> Self {
        match no {
            Sorted::VehicleUnreachable(no) => Self::VehicleUnreachable(no),
            Sorted::OutOfStock(_)
            | Sorted::SeatsTaken(_)
            | Sorted::LimitExceeded(_)
            | Sorted::HoldExpired(_)
            | Sorted::Refused(_) => Self::Refused(no.plain()),
        }
    }
}

impl From<Sorted> for InspectionResult {
    fn from(no: Sorted) -> Self {
        Self::Refused(no.plain())
    }
}

impl From<Sorted> for OperatorResult {
    fn from(no: Sorted) -> Self {
        Self::Refused(no.plain())
    }
}

impl From<Sorted> for CheckInResult {
    fn from(no: Sorted) -> Self {
        Self::Refused(no.plain())
    }
}
