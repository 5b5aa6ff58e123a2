//! Payments: what each charge came to. A row is the payment's own state, folded from its events.

use holdfast_domain::payment::{Action, Event, Flow, Kind, State, Status};
use holdfast_domain::{InspectionId, Money, PaymentId, ReservationId, Timestamp, UserId};
use holdfast_store::Position;

use crate::projecting::Seen;
use crate::tables::{
    Column, Edition, Index, Kept, Row, Stored, Table, TableError, Tx, Value, word,
};
use crate::{QueryError, ReadModels};

/// What the customer must do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextStep {
    /// `REDIRECT` or `THREE_DS`.
    pub kind: String,
    /// Where.
    pub url: String,
}

/// A payment.
#[derive(Clone, Debug, PartialEq)]
pub struct PaymentRow {
    /// Its name.
    pub id: PaymentId,
    /// For which reservation.
    pub reservation_id: ReservationId,
    /// Whose; absent only when the reservation's own first event could not be read.
    pub user_id: Option<UserId>,
    /// For what: the reservation itself, a damage, or an extra such as fuel.
    pub kind: Kind,
    /// The inspection that found the damage, for a damage's charge.
    pub inspection_id: Option<InspectionId>,
    /// Where its latest attempt stands, as customers see it: never `CAPTURE_REQUESTED`.
    pub status: Status,
    /// The version that customers see.
    pub version: u32,
    /// What was asked for.
    pub amount: Money,
    /// What is or was authorized by the latest attempt.
    pub authorized: Money,
    /// What was captured, all attempts together.
    pub captured: Money,
    /// What went back, all attempts together.
    pub refunded: Money,
    /// Which gateway has the latest attempt.
    pub gateway: String,
    /// How the customer pays it.
    pub flow: Flow,
    /// The gateway's name for it.
    pub gateway_ref: Option<String>,
    /// What the gateway said when it authorized.
    pub approval_code: Option<String>,
    /// The latest attempt's number, from 1.
    pub attempt: u16,
    /// What the customer must do next, if anything.
    pub next_step: Option<NextStep>,
    /// Why it was declined, if it was: the gateway's code.
    pub failure_code: Option<String>,
    /// The bank's word for it.
    pub decline_code: Option<String>,
    /// Whether another attempt may go through.
    pub retryable: Option<bool>,
    /// When its first attempt began.
    pub created_at: Timestamp,
    /// The event that changed it last.
    pub position: Position,
}

pub(crate) const PAYMENTS: Table = Table {
    name: "payments",
    about: "Payments of reservations, damages (DAMAGE_CHARGE) and extras (EXTRA): where the latest attempt stands, and the sums over all attempts.",
    columns: &[
        Column::text("id"),
        Column::text("reservation_id"),
        Column::text("user_id").or_null(),
        Column::text("kind"),
        Column::text("inspection_id").or_null(),
        Column::text("status"),
        Column::int("version"),
        Column::text("currency"),
        Column::int("amount_minor"),
        Column::int("authorized_minor"),
        Column::int("captured_minor"),
        Column::int("refunded_minor"),
        Column::text("gateway"),
        Column::text("flow"),
        Column::text("gateway_ref").or_null(),
        Column::text("approval_code").or_null(),
        Column::int("attempt"),
        Column::text("next_kind").or_null(),
        Column::text("next_url").or_null(),
        Column::text("failure_code").or_null(),
        Column::text("decline_code").or_null(),
        Column::flag("retryable").or_null(),
        Column::time("created_at"),
        Column::int("position"),
    ],
    key: 1,
    indexes: &[
        Index {
            name: "payments_by_reservation",
            columns: &["reservation_id", "created_at"],
            early: false,
        },
        Index { name: "payments_by_status", columns: &["status"], early: false },
        Index { name: "payments_by_inspection", columns: &["inspection_id"], early: false },
    ],
};

impl Stored for PaymentRow {
    const TABLE: &'static Table = &PAYMENTS;
    type Key = PaymentId;

    fn key(&self) -> PaymentId {
        self.id
    }

    fn key_values(id: &PaymentId) -> Vec<Value> {
        vec![Value::show(id)]
    }

    fn values(&self) -> Vec<Value> {
        let next = self.next_step.as_ref();
        vec![
            Value::show(self.id),
            Value::show(self.reservation_id),
            Value::show_or_null(self.user_id.as_ref()),
            Value::word(&self.kind),
            Value::show_or_null(self.inspection_id),
            Value::word(&self.status),
            self.version.into(),
            self.amount.currency.code().into(),
            Value::minor(self.amount),
            Value::minor(self.authorized),
            Value::minor(self.captured),
            Value::minor(self.refunded),
            self.gateway.as_str().into(),
            Value::word(&self.flow),
            self.gateway_ref.clone().into(),
            self.approval_code.clone().into(),
            self.attempt.into(),
            next.map(|next| next.kind.as_str()).into(),
            next.map(|next| next.url.as_str()).into(),
            self.failure_code.clone().into(),
            self.decline_code.clone().into(),
            self.retryable.into(),
            self.created_at.into(),
            self.position.into(),
        ]
    }

    fn read(row: &mut Row) -> Result<Self, TableError> {
        let (id, reservation_id, user_id) = (row.parse()?, row.parse()?, row.opt_parse()?);
        let (kind, inspection_id) = (row.word()?, row.opt_parse()?);
        let (status, version) = (row.word()?, row.int()?);
        let currency = row.currency()?;
        Ok(Self {
            id,
            reservation_id,
            user_id,
            kind,
            inspection_id,
            status,
            version,
            amount: Money::new(row.int()?, currency),
            authorized: Money::new(row.int()?, currency),
            captured: Money::new(row.int()?, currency),
            refunded: Money::new(row.int()?, currency),
            gateway: row.text()?,
            flow: row.word()?,
            gateway_ref: row.opt_text()?,
            approval_code: row.opt_text()?,
            attempt: row.int()?,
            next_step: row
                .opt_text()?
                .zip(row.opt_text()?)
                .map(|(kind, url)| NextStep { kind, url }),
            failure_code: row.opt_text()?,
            decline_code: row.opt_text()?,
            retryable: row.opt_flag()?,
            created_at: row.time()?,
            position: row.position()?,
        })
    }
}

/// How events change it.
pub(crate) struct Payments {
    pub(crate) rows: Kept<PaymentRow>,
}

impl Payments {
    pub(crate) fn new(edition: Edition) -> Self {
        Self { rows: Kept::new(edition) }
    }

    /// `state` is the payment's state just after the event; `user_id` whose reservation it is for.
    pub(crate) async fn apply(
        &mut self,
        tx: &mut Tx,
        id: PaymentId,
        event: &Event,
        state: &State,
        user_id: Option<UserId>,
        seen: Seen,
    ) -> Result<(), TableError> {
        // A payment that was closed before it began has nothing to show.
        let Some((last, reservation_id)) = state.attempts.last().zip(state.reservation_id) else {
            return Ok(());
        };
        let before = self.rows.get(tx, &id).await?;
        let created_at = before.map_or(seen.at, |before| before.created_at);
        let open = matches!(last.status, Status::Pending | Status::RequiresAction);
        let next_step = next_step(event)
            .unwrap_or_else(|| before.and_then(|before| before.next_step.clone()))
            .filter(|_| open);
        let zero = Money::zero(last.amount.currency);
        let decline = last.decline.as_ref();
        self.rows.put(PaymentRow {
            id,
            reservation_id,
            user_id,
            kind: state.kind,
            inspection_id: state.inspection_id,
            status: shown(last.status),
            version: state.version,
            amount: last.amount,
            authorized: last.authorized,
            captured: state.captured().unwrap_or(zero),
            refunded: state.refunded().unwrap_or(zero),
            gateway: last.gateway.clone(),
            flow: last.flow,
            gateway_ref: last.gateway_ref.clone(),
            approval_code: last.approval_code.clone(),
            attempt: last.attempt,
            next_step,
            failure_code: decline.map(|(code, _, _)| code.clone()),
            decline_code: decline.and_then(|(_, code, _)| code.clone()),
            retryable: decline.map(|(_, _, retryable)| *retryable),
            created_at,
            position: seen.position,
        });
        Ok(())
    }
}

/// As customers see it: money that was asked for is still only authorized (DOMAIN.md C.3).
fn shown(status: Status) -> Status {
    if status == Status::CaptureRequested { Status::Authorized } else { status }
}

/// What an event makes the customer do next: `None` when it says nothing about it.
fn next_step(event: &Event) -> Option<Option<NextStep>> {
    match event {
        Event::Initiated { .. } => Some(None),
        Event::ActionRequired { action, url, .. } => {
            Some(Some(NextStep { kind: word(action), url: url.clone() }))
        }
        Event::SessionCreated { redirect_url: Some(url), .. } => {
            Some(Some(NextStep { kind: word(&Action::Redirect), url: url.clone() }))
        }
        Event::SessionCreated { .. }
        | Event::Authorized { .. }
        | Event::CaptureRequested { .. }
        | Event::Succeeded { .. }
        | Event::Failed { .. }
        | Event::VoidRequested { .. }
        | Event::Voided { .. }
        | Event::VoidFailed { .. }
        | Event::CaptureFailed { .. }
        | Event::RefundRequested { .. }
        | Event::RefundSucceeded { .. }
        | Event::RefundFailed { .. }
        | Event::ChargebackOpened { .. }
        | Event::MoneyLost { .. }
        | Event::Closed { .. }
        | Event::DamageChargeCreated { .. }
        | Event::GatewayEventIgnored { .. } => None,
    }
}

impl ReadModels {
    /// One payment.
    pub async fn payment(&self, id: &PaymentId) -> Result<Option<PaymentRow>, QueryError> {
        self.one(&format!("{} WHERE id = ?", PAYMENTS.select()), vec![Value::show(id)]).await
    }

    /// The payments of a reservation, oldest first.
    pub async fn payments_of(&self, id: &ReservationId) -> Result<Vec<PaymentRow>, QueryError> {
        let sql = format!("{} WHERE reservation_id = ? ORDER BY created_at, id", PAYMENTS.select());
        self.many(&sql, vec![Value::show(id)]).await
    }
}
