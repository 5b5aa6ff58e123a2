//! What follows when something that booking asked for is refused: a command to the reservation, which
//! decides what that means. A refusal that is not named here means nothing: either it cannot happen,
//! or another fact has decided meanwhile.

use super::{expire_at, give_back, told};
use crate::payment::BackReason;
use crate::process::{Alarm, Ask, Command, Refusal};
use crate::reservation::Reacquired;
use crate::{
    Epoch, PaymentId, ReservationId, inventory, limit, payment, reservation, seatmap, vehicle,
};

/// What follows when a command that it asked for is refused.
pub fn refused(command: &Command, refusal: &Refusal) -> Vec<Ask> {
    match command {
        Command::Reservation(id, command) => by_the_reservation(id, command, refusal),
        Command::Payment(id, command) => by_the_payment(*id, command, refusal),
        Command::Inventory(_, command) => by_a_pool(command),
        Command::Limit(_, command) => by_a_limit(command),
        Command::SeatMap(_, command) => by_a_seat_map(command),
        Command::Vehicle(_, command) => by_a_vehicle(command),
        Command::Item(..)
        | Command::Ticket(..)
        | Command::Notification(..)
        | Command::Inspection(..) => vec![],
    }
}

fn by_the_reservation(
    id: &ReservationId,
    command: &reservation::Command,
    refusal: &Refusal,
) -> Vec<Ask> {
    use reservation::Command as C;
    let Refusal::Reservation(refusal) = refusal else { return vec![] };
    match command {
        // The exception: the reservation has decided already, and only this attempt is meant.
        C::ConfirmPaid { payment_id, attempt } => {
            if matches!(refusal, reservation::Refusal::DuplicatePayment { .. }) {
                vec![give_back(*payment_id, Some(*attempt), BackReason::Duplicate)]
            } else {
                vec![]
            }
        }
        C::Expire { epoch } => {
            if let reservation::Refusal::NotDue { until } = refusal {
                vec![expire_at(id, *until, *epoch)]
            } else {
                vec![]
            }
        }
        // The vehicle is out, or back already.
        C::RecordMoneyLost { .. } => {
            if matches!(refusal, reservation::Refusal::InUse | reservation::Refusal::Completed) {
                vec![Ask::Alarm(Alarm::MoneyLost { reservation_id: *id })]
            } else {
                vec![]
            }
        }
        C::PaymentDeclined { .. }
        | C::RecordReacquired { .. }
        | C::RecordClaimLost { .. }
        | C::RecordFinalized { .. }
        | C::AssignVehicle { .. }
        | C::WithdrawVehicle { .. }
        | C::RecordNoShow { .. }
        | C::PlaceHold { .. }
        | C::ExtendHold { .. }
        | C::RequestPayment { .. }
        | C::Cancel { .. }
        | C::StartRental { .. }
        | C::Complete { .. } => vec![],
    }
}

fn by_the_payment(id: PaymentId, command: &payment::Command, refusal: &Refusal) -> Vec<Ask> {
    use payment::Command as C;
    match command {
        // A part was to stay, but nothing of it was captured: then all of it goes back.
        C::Refund { reason, .. } => {
            if matches!(refusal, Refusal::Payment(payment::Refusal::NotRefundable { .. })) {
                vec![give_back(id, None, *reason)]
            } else {
                vec![]
            }
        }
        // In progress, closed or paid: the payment's own facts decide.
        C::Initiate { .. }
        | C::ChargeLater { .. }
        | C::SoftVoid { .. }
        | C::GiveBack { .. }
        | C::Capture { .. }
        | C::Record { .. }
        | C::Retry { .. } => vec![],
    }
}

fn by_a_pool(command: &inventory::Command) -> Vec<Ask> {
    use inventory::Command as C;
    match command {
        C::Commit { reservation_id, epoch } | C::Consume { reservation_id, epoch } => {
            claim_lost(reservation_id, *epoch)
        }
        C::Reacquire { reservation_id, epoch, .. } => not_reacquired(reservation_id, *epoch),
        C::Release { .. }
        | C::Return { .. }
        | C::DropLapsed { .. }
        | C::Hold { .. }
        | C::Withdraw { .. }
        | C::Extend { .. }
        | C::Receive { .. }
        | C::Adjust { .. }
        | C::SetSales { .. } => vec![],
    }
}

fn by_a_limit(command: &limit::Command) -> Vec<Ask> {
    use limit::Command as C;
    match command {
        C::Keep { reservation_id, epoch } => claim_lost(reservation_id, *epoch),
        C::Reacquire { reservation_id, epoch, .. } => not_reacquired(reservation_id, *epoch),
        C::Release { .. }
        | C::DropLapsed { .. }
        | C::Take { .. }
        | C::Withdraw { .. }
        | C::Extend { .. } => vec![],
    }
}

fn by_a_seat_map(command: &seatmap::Command) -> Vec<Ask> {
    use seatmap::Command as C;
    match command {
        C::Confirm { reservation_id, epoch } => claim_lost(reservation_id, *epoch),
        C::Reacquire { reservation_id, epoch, .. } => not_reacquired(reservation_id, *epoch),
        C::Release { .. }
        | C::DropLapsed { .. }
        | C::Publish { .. }
        | C::Lock { .. }
        | C::ReleaseLock { .. }
        | C::Attach { .. }
        | C::Withdraw { .. }
        | C::Extend { .. }
        | C::Block { .. }
        | C::Unblock { .. } => vec![],
    }
}

/// One that is being unlocked or used is let go later: its own facts see to that (`rental`).
fn by_a_vehicle(command: &vehicle::Command) -> Vec<Ask> {
    use vehicle::Command as C;
    match command {
        C::ConfirmReservation { reservation_id, epoch } => claim_lost(reservation_id, *epoch),
        C::Reacquire { reservation_id, epoch, .. } => not_reacquired(reservation_id, *epoch),
        C::ReleaseReservation { .. }
        | C::DropLapsed { .. }
        | C::Register { .. }
        | C::Reserve { .. }
        | C::ExtendReservation { .. }
        | C::Withdraw { .. }
        | C::RequestUnlock { .. }
        | C::RequestLock { .. }
        | C::Secure { .. }
        | C::RetryCommand { .. }
        | C::CommandTimedOut { .. }
        | C::Answer { .. }
        | C::IgnoreAnswer { .. }
        | C::StartTrip { .. }
        | C::EndTrip { .. }
        | C::ReportTelemetry { .. }
        | C::ConnectionLost { .. }
        | C::ConnectionRestored { .. }
        | C::SetOutOfService { .. }
        | C::ReturnToService { .. } => vec![],
    }
}

fn claim_lost(id: &ReservationId, epoch: Epoch) -> Vec<Ask> {
    vec![Ask::Do(told(id, reservation::Command::RecordClaimLost { epoch }))]
}

fn not_reacquired(id: &ReservationId, epoch: Epoch) -> Vec<Ask> {
    let outcome = Reacquired::Refused;
    vec![Ask::Do(told(id, reservation::Command::RecordReacquired { epoch, outcome }))]
}
