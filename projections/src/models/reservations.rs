//! Reservations: a row is the reservation's own state, folded from its events by the domain itself. What
//! the state need not remember for its decisions, how a rental went, is taken from the events.

use holdfast_domain::reservation::{Channel, Event, Line, State, Status};
use holdfast_domain::{Money, PaymentId, ReservationId, Timestamp, UserId, VehicleId};
use holdfast_store::Position;

use crate::projecting::Seen;
use crate::tables::{
    Column, Edition, Index, Kept, Row, Stored, Table, TableError, Tx, Value, word,
};
use crate::{Page, PageRequest, QueryError, ReadModels};

/// How the rental of a vehicle line goes or went. The vehicle is [`ReservationRow::vehicle_id`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RentalRow {
    /// When it began.
    pub started_at: Timestamp,
    /// Where the odometer stood then, in metres.
    pub odometer_start_m: u64,
    /// How full the tank or battery was then, in percent.
    pub fuel_start_pct: u8,
    /// How it ended, if it has.
    pub returned: Option<ReturnRow>,
}

/// How a rental ended (S0-31).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnRow {
    /// When.
    pub at: Timestamp,
    /// Where the odometer stood then, in metres.
    pub odometer_end_m: u64,
    /// How full the tank or battery was then, in percent.
    pub fuel_end_pct: u8,
    /// How far it went, in metres.
    pub distance_m: u64,
    /// How long it took, in seconds.
    pub duration_s: u64,
    /// Where it was left, if anybody said.
    pub location: Option<String>,
}

/// A reservation.
#[derive(Clone, Debug, PartialEq)]
pub struct ReservationRow {
    /// Its name.
    pub id: ReservationId,
    /// Whose.
    pub user_id: UserId,
    /// Where it stands.
    pub status: Status,
    /// Where the saga stands, in the words of S2.
    pub saga_state: String,
    /// The version that customers see: 1 at the hold, 2 when confirmed, 3 when a rental is over (R6).
    pub version: u32,
    /// When it was held.
    pub created_at: Timestamp,
    /// Until when it is held; none once confirmed or ended.
    pub hold_expires_at: Option<Timestamp>,
    /// What no extension passes.
    pub absolute_deadline: Timestamp,
    /// The sum of its lines.
    pub total: Money,
    /// What it is about.
    pub lines: Vec<Line>,
    /// Its charges; see [`ReadModels::payments_of`].
    pub payment_ids: Vec<PaymentId>,
    /// The charge that confirmed it.
    pub paid_by: Option<PaymentId>,
    /// Whether every claim is committed.
    pub finalized: bool,
    /// The vehicle of a vehicle line, once it has one.
    pub vehicle_id: Option<VehicleId>,
    /// How its rental goes or went, once it has begun.
    pub rental: Option<RentalRow>,
    /// Through which door it came.
    pub channel: Channel,
    /// The version of its stream after the event that changed it last.
    pub stream_version: u64,
    /// The event that created it; also its place in lists.
    pub created_position: Position,
    /// The event that changed it last.
    pub position: Position,
}

pub(crate) const RESERVATIONS: Table = Table {
    name: "reservations",
    about: "Reservations as their customers see them, with how a rental went (metres, percent, seconds). One row a reservation; lines as JSON.",
    columns: &[
        Column::text("id"),
        Column::text("user_id"),
        Column::text("status"),
        Column::text("saga_state"),
        Column::int("version"),
        Column::time("created_at"),
        Column::time("hold_expires_at").or_null(),
        Column::time("absolute_deadline"),
        Column::int("total_minor"),
        Column::text("currency"),
        Column::json("lines"),
        Column::json("payment_ids"),
        Column::text("paid_by").or_null(),
        Column::flag("finalized"),
        Column::text("vehicle_id").or_null(),
        Column::time("rental_started_at").or_null(),
        Column::int("odometer_start_m").or_null(),
        Column::int("fuel_start_pct").or_null(),
        Column::time("rental_completed_at").or_null(),
        Column::int("odometer_end_m").or_null(),
        Column::int("fuel_end_pct").or_null(),
        Column::int("distance_m").or_null(),
        Column::int("duration_s").or_null(),
        Column::text("return_location").or_null(),
        Column::text("channel"),
        Column::int("stream_version"),
        Column::int("created_position"),
        Column::int("position"),
    ],
    key: 1,
    indexes: &[
        Index {
            name: "reservations_by_user",
            columns: &["user_id", "status", "created_position"],
            early: false,
        },
        Index {
            name: "reservations_by_status",
            columns: &["status", "created_position"],
            early: false,
        },
        Index { name: "reservations_by_position", columns: &["created_position"], early: false },
        Index {
            name: "reservations_by_vehicle",
            columns: &["vehicle_id", "created_position"],
            early: false,
        },
    ],
};

impl Stored for ReservationRow {
    const TABLE: &'static Table = &RESERVATIONS;
    type Key = ReservationId;

    fn key(&self) -> ReservationId {
        self.id
    }

    fn key_values(id: &ReservationId) -> Vec<Value> {
        vec![Value::show(id)]
    }

    fn values(&self) -> Vec<Value> {
        let rental = self.rental.as_ref();
        let back = rental.and_then(|rental| rental.returned.as_ref());
        vec![
            Value::show(self.id),
            self.user_id.as_str().into(),
            Value::word(&self.status),
            self.saga_state.as_str().into(),
            self.version.into(),
            self.created_at.into(),
            self.hold_expires_at.into(),
            self.absolute_deadline.into(),
            Value::minor(self.total),
            self.total.currency.code().into(),
            Value::json(&self.lines),
            Value::json(&self.payment_ids),
            Value::show_or_null(self.paid_by),
            self.finalized.into(),
            Value::show_or_null(self.vehicle_id.as_ref()),
            rental.map(|it| it.started_at).into(),
            rental.map(|it| it.odometer_start_m).into(),
            rental.map(|it| it.fuel_start_pct).into(),
            back.map(|it| it.at).into(),
            back.map(|it| it.odometer_end_m).into(),
            back.map(|it| it.fuel_end_pct).into(),
            back.map(|it| it.distance_m).into(),
            back.map(|it| it.duration_s).into(),
            back.and_then(|it| it.location.clone()).into(),
            Value::word(&self.channel),
            self.stream_version.into(),
            self.created_position.into(),
            self.position.into(),
        ]
    }

    fn read(row: &mut Row) -> Result<Self, TableError> {
        Ok(Self {
            id: row.parse()?,
            user_id: row.parse()?,
            status: row.word()?,
            saga_state: row.text()?,
            version: row.int()?,
            created_at: row.time()?,
            hold_expires_at: row.opt_time()?,
            absolute_deadline: row.time()?,
            total: row.money()?,
            lines: row.json()?,
            payment_ids: row.json()?,
            paid_by: row.opt_parse()?,
            finalized: row.flag()?,
            vehicle_id: row.opt_parse()?,
            rental: RentalRow::read(row)?,
            channel: row.word()?,
            stream_version: row.int()?,
            created_position: row.position()?,
            position: row.position()?,
        })
    }
}

impl RentalRow {
    fn read(row: &mut Row) -> Result<Option<Self>, TableError> {
        let begun = (row.opt_time()?, row.opt_int()?, row.opt_int()?);
        let ended = (row.opt_time()?, row.opt_int()?, row.opt_int()?, row.opt_int()?);
        let (duration_s, location) = (row.opt_int()?, row.opt_text()?);
        let (Some(started_at), Some(odometer_start_m), Some(fuel_start_pct)) = begun else {
            return Ok(None);
        };
        let returned = match (ended, duration_s) {
            (
                (Some(at), Some(odometer_end_m), Some(fuel_end_pct), Some(distance_m)),
                Some(duration_s),
            ) => Some(ReturnRow {
                at,
                odometer_end_m,
                fuel_end_pct,
                distance_m,
                duration_s,
                location,
            }),
            _ => None,
        };
        Ok(Some(Self { started_at, odometer_start_m, fuel_start_pct, returned }))
    }
}

/// How events change it.
pub(crate) struct Reservations {
    pub(crate) rows: Kept<ReservationRow>,
}

impl Reservations {
    pub(crate) fn new(edition: Edition) -> Self {
        Self { rows: Kept::new(edition) }
    }

    /// `state` is the reservation's state just after the event.
    pub(crate) async fn apply(
        &mut self,
        tx: &mut Tx,
        id: ReservationId,
        event: &Event,
        state: &State,
        seen: Seen,
    ) -> Result<(), TableError> {
        if let Event::HoldCreated { user_id, total, channel, .. } = event {
            self.rows.put(ReservationRow {
                id,
                user_id: user_id.clone(),
                status: state.status,
                saga_state: String::new(),
                version: 0,
                created_at: seen.at,
                hold_expires_at: None,
                absolute_deadline: state.absolute_deadline,
                total: *total,
                lines: state.lines.clone(),
                payment_ids: Vec::new(),
                paid_by: None,
                finalized: false,
                vehicle_id: None,
                rental: None,
                channel: *channel,
                stream_version: 0,
                created_position: seen.position,
                position: seen.position,
            });
        }
        // Without a first event that could be read there is nothing to show.
        let Some(row) = self.rows.edit(tx, &id).await? else { return Ok(()) };
        row.status = state.status;
        if row.saga_state != state.saga_state() {
            row.saga_state = state.saga_state().into();
        }
        row.version = state.version;
        row.hold_expires_at = state.hold_expires_at;
        row.absolute_deadline = state.absolute_deadline;
        row.payment_ids = payment_ids(state);
        row.paid_by = state.paid_by.map(|attempt| attempt.payment_id);
        row.finalized = state.finalized;
        row.vehicle_id = state.vehicle_id.clone().or_else(|| held_vehicle(state));
        row.tell_rental(event);
        row.stream_version = seen.stream_version;
        row.position = seen.position;
        Ok(())
    }
}

impl ReservationRow {
    fn tell_rental(&mut self, event: &Event) {
        if let Event::RentalStarted { odometer_start_m, fuel_start_pct, at, .. } = event {
            self.rental = Some(RentalRow {
                started_at: *at,
                odometer_start_m: *odometer_start_m,
                fuel_start_pct: *fuel_start_pct,
                returned: None,
            });
        }
        let Event::RentalCompleted {
            odometer_end_m,
            fuel_end_pct,
            distance_m,
            duration_s,
            location,
            at,
        } = event
        else {
            return;
        };
        // It is over only after it began.
        let Some(rental) = &mut self.rental else { return };
        rental.returned = Some(ReturnRow {
            at: *at,
            odometer_end_m: *odometer_end_m,
            fuel_end_pct: *fuel_end_pct,
            distance_m: *distance_m,
            duration_s: *duration_s,
            location: location.clone(),
        });
    }
}

/// The vehicle that the hold itself has claimed (S1-01).
fn held_vehicle(state: &State) -> Option<VehicleId> {
    state.lines.iter().find_map(|line| line.vehicle_id.clone())
}

/// The charges of a reservation, each once, in the order in which they were asked for.
fn payment_ids(state: &State) -> Vec<PaymentId> {
    let mut ids: Vec<PaymentId> = Vec::new();
    for attempt in &state.payments {
        if !ids.contains(&attempt.payment_id) {
            ids.push(attempt.payment_id);
        }
    }
    ids
}

impl ReadModels {
    /// One reservation.
    pub async fn reservation(
        &self,
        id: &ReservationId,
    ) -> Result<Option<ReservationRow>, QueryError> {
        self.one(&format!("{} WHERE id = ?", RESERVATIONS.select()), vec![Value::show(id)]).await
    }

    /// The reservations of one user or of all, in one status or any, newest first.
    pub async fn reservations(
        &self,
        user: Option<&UserId>,
        status: Option<Status>,
        page: &PageRequest,
    ) -> Result<Page<ReservationRow>, QueryError> {
        let after = page.after_number()?.unwrap_or(i64::MAX);
        let mut sql = format!("{} WHERE created_position < ?", RESERVATIONS.select());
        let mut values: Vec<Value> = vec![after.into()];
        if let Some(user) = user {
            sql.push_str(" AND user_id = ?");
            values.push(user.as_str().into());
        }
        if let Some(status) = status {
            sql.push_str(" AND status = ?");
            values.push(word(&status).into());
        }
        sql.push_str(" ORDER BY created_position DESC LIMIT ?");
        values.push(page.limit().into());
        let rows: Vec<ReservationRow> = self.many(&sql, values).await?;
        let rows = rows.into_iter().map(|row| (row.created_position.to_string(), row)).collect();
        Ok(Page::of(rows, page))
    }

    /// How many unpaid holds a user has at the moment.
    pub async fn live_holds(&self, user: &UserId) -> Result<u32, QueryError> {
        let sql = "SELECT count(*) FROM reservations \
                   WHERE user_id = ? AND status IN ('HOLD', 'AWAITING_PAYMENT')";
        let count = self.count(sql, vec![user.as_str().into()]).await?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }
}
