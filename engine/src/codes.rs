//! The one table of refusal codes: what customers, the rejected-command log and GraphQL call each way
//! of saying no. The doors map a code to a status; nobody else names one.

use holdfast_domain::process::Refusal as R;
use holdfast_domain::{
    inspection, inventory, item, limit, notification, payment, reservation, seatmap, ticket,
    vehicle,
};

use crate::{Rejection, VehicleFailure};

impl Rejection {
    /// The code of the contract's `RefusalCode`; besides it `UNAVAILABLE` and `OUTCOME_UNKNOWN`, for
    /// what is no refusal but a trouble.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused { refusal, .. } => refusal_code(refusal),
            Self::NotFound(_) => "NOT_FOUND",
            Self::InvalidInput(_) => "INVALID_INPUT",
            Self::TooManyHolds { .. } => "LIMIT_EXCEEDED",
            Self::VersionConflict { .. } => "VERSION_CONFLICT",
            Self::Vehicle { failure, .. } => match failure {
                VehicleFailure::Offline => "VEHICLE_OFFLINE",
                VehicleFailure::Timeout => "VEHICLE_TIMEOUT",
                VehicleFailure::Jammed | VehicleFailure::Refused => "VEHICLE_UNAVAILABLE",
            },
            Self::KeyReused => "IDEMPOTENCY_KEY_REUSED",
            Self::InFlight => "REQUEST_IN_FLIGHT",
            Self::Unavailable(_) => "UNAVAILABLE",
            Self::OutcomeUnknown(_) => "OUTCOME_UNKNOWN",
        }
    }
}

/// The code of an aggregate's refusal.
pub fn refusal_code(refusal: &R) -> &'static str {
    match refusal {
        R::Reservation(refusal) => of_reservation(refusal),
        R::Payment(refusal) => of_payment(refusal),
        R::SeatMap(refusal) => of_seat_map(refusal),
        R::Inventory(refusal) => of_inventory(refusal),
        R::Limit(refusal) => of_limit(refusal),
        R::Item(refusal) => of_item(refusal),
        R::Ticket(refusal) => of_ticket(refusal),
        R::Notification(notification::Refusal::AlreadyExists) => "VERSION_CONFLICT",
        R::Vehicle(refusal) => of_vehicle(refusal),
        R::Inspection(refusal) => of_inspection(refusal),
    }
}

fn of_reservation(refusal: &reservation::Refusal) -> &'static str {
    use reservation::Refusal as X;
    match refusal {
        X::NotFound => "NOT_FOUND",
        X::AlreadyExists => "IDEMPOTENCY_KEY_REUSED",
        X::InvalidLines(_)
        | X::InvalidFuel(_)
        | X::InvalidRefund
        | X::BeyondCap { .. }
        | X::NoVehicle => "INVALID_INPUT",
        X::HoldExpired { .. } => "HOLD_EXPIRED",
        X::NotDue { .. } => "VERSION_CONFLICT",
        X::AlreadyPaid | X::DuplicatePayment { .. } => "ALREADY_PAID",
        X::PaymentInProgress { .. } | X::Reacquiring => "PAYMENT_IN_PROGRESS",
        X::NotConfirmed => "NOT_CONFIRMED",
        X::NotStarted => "NOT_STARTED",
        X::InUse => "IN_USE",
        X::Completed => "COMPLETED",
        X::Cancelled => "CANCELLED",
        X::OtherVehicle { .. } => "VEHICLE_UNAVAILABLE",
        X::OdometerDecreased { .. } => "ODOMETER_DECREASED",
    }
}

fn of_payment(refusal: &payment::Refusal) -> &'static str {
    use payment::Refusal as X;
    match refusal {
        X::NotFound => "NOT_FOUND",
        X::Closed => "CANCELLED",
        X::InProgress { .. } => "PAYMENT_IN_PROGRESS",
        X::AlreadyPaid | X::Paid => "ALREADY_PAID",
        X::NotAuthorized | X::WrongAttempt { .. } => "NOT_CONFIRMED",
        X::AmountMismatch => "AMOUNT_MISMATCH",
        X::NotRefundable { .. } | X::NoMeans => "INVALID_INPUT",
    }
}

fn of_seat_map(refusal: &seatmap::Refusal) -> &'static str {
    use seatmap::Refusal as X;
    match refusal {
        X::NotFound | X::UnknownSeats(_) => "NOT_FOUND",
        X::SeatsTaken(_) | X::NoSeats | X::SeatsInUse(_) => "SEATS_TAKEN",
        X::NotForSale(_) => "NOT_FOR_SALE",
        X::NotHeld | X::StaleEpoch | X::TooLate => "NOT_HELD",
        X::SeatCount { .. } | X::InvalidPlan(_) => "INVALID_INPUT",
    }
}

fn of_inventory(refusal: &inventory::Refusal) -> &'static str {
    use inventory::Refusal as X;
    match refusal {
        X::OutOfStock { .. } => "OUT_OF_STOCK",
        X::SalesClosed => "SALES_CLOSED",
        X::OtherQuantity { .. } => "IDEMPOTENCY_KEY_REUSED",
        X::NoClaim | X::StaleEpoch | X::TooLate => "NOT_HELD",
        X::ZeroQuantity | X::Total | X::Period(_) => "INVALID_INPUT",
    }
}

fn of_limit(refusal: &limit::Refusal) -> &'static str {
    use limit::Refusal as X;
    match refusal {
        X::LimitExceeded { .. } => "LIMIT_EXCEEDED",
        X::OtherQuantity { .. } => "IDEMPOTENCY_KEY_REUSED",
        X::NoClaim | X::StaleEpoch | X::TooLate => "NOT_HELD",
        X::ZeroQuantity => "INVALID_INPUT",
    }
}

fn of_item(refusal: &item::Refusal) -> &'static str {
    use item::Refusal as X;
    match refusal {
        X::NotFound => "NOT_FOUND",
        X::AlreadyExists => "VERSION_CONFLICT",
        X::InvalidName | X::InvalidPrice | X::InvalidLimit | X::NotATicket | X::OtherSeatMap(_) => {
            "INVALID_INPUT"
        }
    }
}

fn of_ticket(refusal: &ticket::Refusal) -> &'static str {
    use ticket::Refusal as X;
    match refusal {
        X::NotFound => "NOT_FOUND",
        X::AlreadyRedeemed => "ALREADY_REDEEMED",
        X::Revoked => "CANCELLED",
        X::InvalidNonce => "INVALID_INPUT",
    }
}

fn of_vehicle(refusal: &vehicle::Refusal) -> &'static str {
    use vehicle::Refusal as X;
    match refusal {
        X::NotFound => "NOT_FOUND",
        X::AlreadyExists | X::NotDue { .. } => "VERSION_CONFLICT",
        X::InvalidRegistration(_) | X::InvalidFuel(_) => "INVALID_INPUT",
        X::Taken | X::Unavailable => "VEHICLE_UNAVAILABLE",
        X::NotConfirmed => "NOT_CONFIRMED",
        X::NotStarted => "NOT_STARTED",
        X::Completed => "COMPLETED",
        X::InUse => "IN_USE",
        X::Offline => "VEHICLE_OFFLINE",
        X::UnlockInProgress { .. } => "UNLOCK_IN_PROGRESS",
        X::NoClaim | X::StaleEpoch => "NOT_HELD",
        X::TooLate => "VEHICLE_TIMEOUT",
    }
}

fn of_inspection(refusal: &inspection::Refusal) -> &'static str {
    use inspection::Refusal as X;
    match refusal {
        X::NotFound => "NOT_FOUND",
        X::AlreadyExists => "IDEMPOTENCY_KEY_REUSED",
        X::Decided { .. } | X::ChargeUnderWay => "VERSION_CONFLICT",
        X::AlreadyCharged => "ALREADY_PAID",
        X::NoClaim | X::NoAmount | X::InvalidAmount | X::InvalidReport(_) => "INVALID_INPUT",
    }
}
