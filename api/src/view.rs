//! Reservations and payments as customers see them, from a row or from the log's own state; REST and
//! GraphQL show the same.

mod fleet;

use holdfast_domain::{
    Money, PaymentId, ReservationId, Timestamp, VehicleId, payment,
    reservation::{self, Line, LineKind, Status},
};
use holdfast_engine::{AsOf, PaymentAnswer, ReservationAnswer};
use holdfast_projections::{PaymentRow, ReservationRow};
use holdfast_store::Position;

pub(crate) use fleet::{InspectionView, VehicleView};

/// A reservation as it is shown.
#[derive(Clone, Debug)]
pub(crate) struct ReservationView {
    pub(crate) id: ReservationId,
    pub(crate) status: Status,
    pub(crate) saga_state: String,
    pub(crate) version: u32,
    /// None when it is not at hand: the stream's first event knows it.
    pub(crate) created_at: Option<Timestamp>,
    pub(crate) hold_expires_at: Option<Timestamp>,
    pub(crate) total: Money,
    pub(crate) lines: Vec<Line>,
    /// The vehicle that was assigned to it, with the hold or later.
    pub(crate) vehicle_id: Option<VehicleId>,
    /// At which position this was so: what belongs to it is read no earlier.
    pub(crate) as_of: Position,
    /// Set when it is shown as it was then.
    pub(crate) then: Option<AsOf>,
}

impl ReservationView {
    /// From the log's own state; none of a reservation that there is not.
    pub(crate) fn of_state(
        id: ReservationId,
        state: &reservation::State,
        as_of: Position,
    ) -> Option<Self> {
        Some(Self {
            id,
            status: state.status,
            saga_state: state.saga_state().into(),
            version: state.version,
            created_at: None,
            hold_expires_at: state.hold_expires_at,
            total: state.total?,
            lines: with_vehicle(state.lines.clone(), state.vehicle_id.as_ref()),
            vehicle_id: state.vehicle_id.clone(),
            as_of,
            then: None,
        })
    }

    pub(crate) fn of_answer(answer: &ReservationAnswer) -> Option<Self> {
        Self::of_state(answer.id, &answer.state, answer.done.position)
    }
}

impl From<ReservationRow> for ReservationView {
    fn from(row: ReservationRow) -> Self {
        Self {
            id: row.id,
            status: row.status,
            saga_state: row.saga_state,
            version: row.version,
            created_at: Some(row.created_at),
            hold_expires_at: row.hold_expires_at,
            total: row.total,
            lines: with_vehicle(row.lines, row.vehicle_id.as_ref()),
            vehicle_id: row.vehicle_id,
            as_of: row.position,
            then: None,
        }
    }
}

/// The line of a vehicle names it once it is known, also when it came later than the hold.
fn with_vehicle(mut lines: Vec<Line>, vehicle: Option<&VehicleId>) -> Vec<Line> {
    for line in lines.iter_mut().filter(|line| line.kind == LineKind::Vehicle) {
        line.vehicle_id = vehicle.cloned().or(line.vehicle_id.take());
    }
    lines
}

/// Whether a reservation still has, or may still get, what it is about.
pub(crate) fn is_live(status: Status) -> bool {
    match status {
        Status::Hold
        | Status::AwaitingPayment
        | Status::Reacquiring
        | Status::Confirmed
        | Status::InUse => true,
        Status::None
        | Status::Completed
        | Status::HoldFailed
        | Status::HoldExpired
        | Status::Cancelled => false,
    }
}

/// A payment as it is shown.
#[derive(Clone, Debug)]
pub(crate) struct PaymentView {
    pub(crate) id: PaymentId,
    pub(crate) reservation_id: ReservationId,
    pub(crate) kind: payment::Kind,
    pub(crate) status: payment::Status,
    pub(crate) version: u32,
    pub(crate) amount: Money,
    pub(crate) captured: Money,
    pub(crate) refunded: Money,
    pub(crate) gateway: String,
    pub(crate) approval_code: Option<String>,
    pub(crate) attempt: u16,
    /// Where the customer must go, while there is somewhere to go.
    pub(crate) redirect_url: Option<String>,
}

impl PaymentView {
    /// From the log's own state; none of a payment of which nothing is known.
    pub(crate) fn of_state(id: PaymentId, state: &payment::State) -> Option<Self> {
        let attempt = state.current()?;
        Some(Self {
            id,
            reservation_id: state.reservation_id?,
            kind: state.kind,
            status: shown(state.status()),
            version: state.version,
            amount: attempt.amount,
            captured: state.captured()?,
            refunded: state.refunded()?,
            gateway: attempt.gateway.clone(),
            approval_code: attempt.approval_code.clone(),
            attempt: attempt.attempt,
            redirect_url: state.open_attempt().and_then(|open| open.redirect_url.clone()),
        })
    }

    /// The payment of an answer. One that was asked for and has not begun is PENDING with what the
    /// reservation knows of it.
    pub(crate) fn of_answer(answer: &PaymentAnswer) -> Option<Self> {
        Self::of_state(answer.payment_id, &answer.payment).or_else(|| {
            let total = answer.reservation.total?;
            Some(Self {
                id: answer.payment_id,
                reservation_id: answer.reservation_id,
                kind: payment::Kind::Reservation,
                status: payment::Status::Pending,
                version: 1,
                amount: total,
                captured: Money::zero(total.currency),
                refunded: Money::zero(total.currency),
                gateway: String::new(),
                approval_code: None,
                attempt: answer.reservation.payments.last().map_or(1, |last| last.attempt),
                redirect_url: None,
            })
        })
    }
}

impl From<PaymentRow> for PaymentView {
    fn from(row: PaymentRow) -> Self {
        Self {
            id: row.id,
            reservation_id: row.reservation_id,
            kind: row.kind,
            status: shown(row.status),
            version: row.version,
            amount: row.amount,
            captured: row.captured,
            refunded: row.refunded,
            gateway: row.gateway,
            approval_code: row.approval_code,
            attempt: row.attempt,
            redirect_url: row.next_step.map(|step| step.url),
        }
    }
}

/// A capture under way is shown as AUTHORIZED; a payment that has not begun as PENDING.
fn shown(status: payment::Status) -> payment::Status {
    match status {
        payment::Status::CaptureRequested => payment::Status::Authorized,
        payment::Status::None => payment::Status::Pending,
        payment::Status::Pending
        | payment::Status::RequiresAction
        | payment::Status::Authorized
        | payment::Status::Succeeded
        | payment::Status::Failed
        | payment::Status::VoidRequested
        | payment::Status::Voided
        | payment::Status::RefundPending
        | payment::Status::PartiallyRefunded
        | payment::Status::Refunded
        | payment::Status::Disputed => status,
    }
}

/// The word of a status, as events and answers write it.
pub(crate) fn word(status: &impl serde::Serialize) -> String {
    match serde_json::to_value(status) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(), // a status is a word
    }
}
