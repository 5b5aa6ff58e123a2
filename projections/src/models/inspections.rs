//! Inspections: what was found on a vehicle after a rental, and where the claim for it stands (S0-34 to
//! S0-37). A row is the inspection's own state, folded from its few events, with the moments and the
//! gateway's words that the state does not need.

use holdfast_domain::inspection::{ClaimStatus, Event, Photo, State};
use holdfast_domain::{InspectionId, Money, PaymentId, ReservationId, Timestamp, UserId};
use holdfast_store::Position;
use uuid::Uuid;

use crate::projecting::Seen;
use crate::tables::{Column, Edition, Index, Kept, Row, Stored, Table, TableError, Tx, Value};
use crate::{QueryError, ReadModels};

/// An inspection.
#[derive(Clone, Debug, PartialEq)]
pub struct InspectionRow {
    /// Its name.
    pub id: InspectionId,
    /// After which rental.
    pub reservation_id: ReservationId,
    /// Whose rental that was.
    pub user_id: UserId,
    /// What was found.
    pub description: String,
    /// Pictures of it, by their contents.
    pub photos: Vec<Photo>,
    /// Where the odometer stood, in metres, if anybody looked.
    pub odometer_m: Option<u64>,
    /// The claim's name, once there is one.
    pub claim_id: Option<Uuid>,
    /// Where the claim stands.
    pub claim_status: ClaimStatus,
    /// What it was thought to cost.
    pub estimate: Option<Money>,
    /// What was approved or charged.
    pub amount: Option<Money>,
    /// The charge for it, once it was asked for.
    pub payment_id: Option<PaymentId>,
    /// Why the last charge failed, if it did and nothing was decided since.
    pub failure_code: Option<String>,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// When somebody or a rule decided the claim.
    pub decided_at: Option<Timestamp>,
    /// The event that created it; also its place in lists.
    pub created_position: Position,
    /// The event that changed it last.
    pub position: Position,
}

pub(crate) const INSPECTIONS: Table = Table {
    name: "inspections",
    about: "Inspections after rentals, and where the damage claim of each stands. One row an inspection; photos as JSON.",
    columns: &[
        Column::text("id"),
        Column::text("reservation_id"),
        Column::text("user_id"),
        Column::text("description"),
        Column::json("photos"),
        Column::int("odometer_m").or_null(),
        Column::text("claim_id").or_null(),
        Column::text("claim_status"),
        Column::int("estimate_minor").or_null(),
        Column::text("estimate_currency").or_null(),
        Column::int("amount_minor").or_null(),
        Column::text("currency").or_null(),
        Column::text("payment_id").or_null(),
        Column::text("failure_code").or_null(),
        Column::time("submitted_at"),
        Column::time("decided_at").or_null(),
        Column::int("created_position"),
        Column::int("position"),
    ],
    key: 1,
    indexes: &[
        Index {
            name: "inspections_by_reservation",
            columns: &["reservation_id", "created_position"],
            early: false,
        },
        Index {
            name: "inspections_by_claim_status",
            columns: &["claim_status", "created_position"],
            early: false,
        },
    ],
};

impl Stored for InspectionRow {
    const TABLE: &'static Table = &INSPECTIONS;
    type Key = InspectionId;

    fn key(&self) -> InspectionId {
        self.id
    }

    fn key_values(id: &InspectionId) -> Vec<Value> {
        vec![Value::show(id)]
    }

    fn values(&self) -> Vec<Value> {
        let code = |money: Option<Money>| money.map(|money| money.currency.code().to_owned());
        vec![
            Value::show(self.id),
            Value::show(self.reservation_id),
            self.user_id.as_str().into(),
            self.description.as_str().into(),
            Value::json(&self.photos),
            self.odometer_m.into(),
            Value::show_or_null(self.claim_id),
            Value::word(&self.claim_status),
            self.estimate.map(|money| money.amount_minor).into(),
            code(self.estimate).into(),
            self.amount.map(|money| money.amount_minor).into(),
            code(self.amount).into(),
            Value::show_or_null(self.payment_id),
            self.failure_code.clone().into(),
            self.submitted_at.into(),
            self.decided_at.into(),
            self.created_position.into(),
            self.position.into(),
        ]
    }

    fn read(row: &mut Row) -> Result<Self, TableError> {
        Ok(Self {
            id: row.parse()?,
            reservation_id: row.parse()?,
            user_id: row.parse()?,
            description: row.text()?,
            photos: row.json()?,
            odometer_m: row.opt_int()?,
            claim_id: row.opt_parse()?,
            claim_status: row.word()?,
            estimate: row.opt_money()?,
            amount: row.opt_money()?,
            payment_id: row.opt_parse()?,
            failure_code: row.opt_text()?,
            submitted_at: row.time()?,
            decided_at: row.opt_time()?,
            created_position: row.position()?,
            position: row.position()?,
        })
    }
}

/// How events change it.
pub(crate) struct Inspections {
    pub(crate) rows: Kept<InspectionRow>,
}

impl Inspections {
    pub(crate) fn new(edition: Edition) -> Self {
        Self { rows: Kept::new(edition) }
    }

    /// `state` is the inspection's state just after the event.
    pub(crate) async fn apply(
        &mut self,
        tx: &mut Tx,
        id: InspectionId,
        event: &Event,
        state: &State,
        seen: Seen,
    ) -> Result<(), TableError> {
        if let Event::Submitted { reservation_id, user_id, description, photos, odometer_m } = event
        {
            self.rows.put(InspectionRow {
                id,
                reservation_id: *reservation_id,
                user_id: user_id.clone(),
                description: description.clone(),
                photos: photos.clone(),
                odometer_m: *odometer_m,
                claim_id: None,
                claim_status: state.status,
                estimate: None,
                amount: None,
                payment_id: None,
                failure_code: None,
                submitted_at: seen.at,
                decided_at: None,
                created_position: seen.position,
                position: seen.position,
            });
            return Ok(());
        }
        // Without a first event that could be read there is nothing to show.
        let Some(row) = self.rows.edit(tx, &id).await? else { return Ok(()) };
        row.claim_id = state.claim_id;
        row.claim_status = state.status;
        row.estimate = state.estimate;
        row.amount = state.charged.or(state.amount);
        if state.charging {
            row.payment_id = state.payment_id(&id);
        }
        match event {
            Event::Submitted { .. } => {}
            Event::DamageAssessed { auto_charge, .. } => {
                row.decided_at = auto_charge.then_some(seen.at);
            }
            Event::ClaimApproved { .. }
            | Event::ClaimRejected { .. }
            | Event::ClaimDisputed { .. }
            | Event::ClaimWaived { .. } => {
                row.decided_at = Some(seen.at);
                row.failure_code = None;
            }
            Event::ClaimCharged { payment_id, .. } => {
                row.payment_id = Some(*payment_id);
                row.failure_code = None;
            }
            // The claim stays approved: an operator sees to it.
            Event::ChargeFailed { payment_id, code, .. } => {
                row.payment_id = Some(*payment_id);
                row.failure_code = Some(code.clone());
            }
        }
        row.position = seen.position;
        Ok(())
    }
}

impl ReadModels {
    /// One inspection.
    pub async fn inspection(&self, id: &InspectionId) -> Result<Option<InspectionRow>, QueryError> {
        self.one(&format!("{} WHERE id = ?", INSPECTIONS.select()), vec![Value::show(id)]).await
    }

    /// The inspections of a reservation, oldest first.
    pub async fn inspections_of(
        &self,
        id: &ReservationId,
    ) -> Result<Vec<InspectionRow>, QueryError> {
        let sql =
            format!("{} WHERE reservation_id = ? ORDER BY created_position", INSPECTIONS.select());
        self.many(&sql, vec![Value::show(id)]).await
    }
}
