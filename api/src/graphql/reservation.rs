//! Reservations, with their payments, tickets and history.

use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use holdfast_domain::reservation::{Line, Status};
use holdfast_domain::{payment, vehicle};
use holdfast_store::{Direction, StreamId};

use super::audit::Event;
use super::common::{Asking, Connection, Money, Period, error, page, unknown, weight};
use super::loaders::{Loader, PaymentsOf, TicketsOf, VehicleOf};
use super::payment::Payment;
use super::scalars::DateTime;
use super::ticket::Ticket;
use super::vehicle::Vehicle;
use crate::door::broken;
use crate::names;
use crate::view::{PaymentView, ReservationView, VehicleView, is_live};
use holdfast_engine::AsOf;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(crate) enum ReservationStatus {
    Hold,
    AwaitingPayment,
    Reacquiring,
    Confirmed,
    InUse,
    Completed,
    HoldFailed,
    HoldExpired,
    Cancelled,
}

impl ReservationStatus {
    fn of(status: Status) -> Option<Self> {
        Some(match status {
            Status::None => return None,
            Status::Hold => Self::Hold,
            Status::AwaitingPayment => Self::AwaitingPayment,
            Status::Reacquiring => Self::Reacquiring,
            Status::Confirmed => Self::Confirmed,
            Status::InUse => Self::InUse,
            Status::Completed => Self::Completed,
            Status::HoldFailed => Self::HoldFailed,
            Status::HoldExpired => Self::HoldExpired,
            Status::Cancelled => Self::Cancelled,
        })
    }

    pub(crate) fn domain(self) -> Status {
        match self {
            Self::Hold => Status::Hold,
            Self::AwaitingPayment => Status::AwaitingPayment,
            Self::Reacquiring => Status::Reacquiring,
            Self::Confirmed => Status::Confirmed,
            Self::InUse => Status::InUse,
            Self::Completed => Status::Completed,
            Self::HoldFailed => Status::HoldFailed,
            Self::HoldExpired => Status::HoldExpired,
            Self::Cancelled => Status::Cancelled,
        }
    }
}

#[derive(SimpleObject, Clone)]
pub(crate) struct ReservationLine {
    sku: Option<ID>,
    quantity: u32,
    seat_map_id: Option<ID>,
    seat_ids: Vec<ID>,
    period: Option<Period>,
    unit_price: Money,
    vehicle_id: Option<ID>,
}

impl From<&Line> for ReservationLine {
    fn from(line: &Line) -> Self {
        Self {
            sku: line.sku.as_ref().map(|sku| sku.as_str().into()),
            quantity: line.quantity,
            seat_map_id: line.seat_map_id.as_ref().map(|map| map.as_str().into()),
            seat_ids: line.seat_ids.iter().map(|seat| seat.as_str().into()).collect(),
            period: line.period.map(Period::from),
            unit_price: line.unit_price.into(),
            vehicle_id: line.vehicle_id.as_ref().map(|vehicle| vehicle.as_str().into()),
        }
    }
}

/// A hold and what becomes of it.
pub(crate) struct Reservation(pub(crate) ReservationView);

#[Object]
impl Reservation {
    pub(crate) async fn id(&self) -> ID {
        names::reservation(&self.0.id).into()
    }

    async fn status(&self) -> async_graphql::Result<ReservationStatus> {
        ReservationStatus::of(self.0.status).ok_or_else(|| unknown("this reservation"))
    }

    async fn version(&self) -> u32 {
        self.0.version
    }

    /// Where the booking stands, in the diagrams' words.
    async fn saga_state(&self) -> &str {
        &self.0.saga_state
    }

    async fn created_at(&self, ctx: &Context<'_>) -> async_graphql::Result<DateTime> {
        match self.0.created_at {
            Some(at) => Ok(at.into()),
            None => ctx.door().created_at(&self.0.id).await.map(DateTime).map_err(error),
        }
    }

    async fn hold_expires_at(&self) -> Option<DateTime> {
        self.0.hold_expires_at.map(DateTime)
    }

    async fn total(&self) -> Money {
        self.0.total.into()
    }

    async fn lines(&self) -> Vec<ReservationLine> {
        self.0.lines.iter().map(ReservationLine::from).collect()
    }

    async fn payments(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<Payment>> {
        if let Some(then) = self.0.then {
            return self.payments_then(ctx, then).await;
        }
        ctx.door().settle(self.0.as_of).await;
        let rows = ctx.data_unchecked::<Loader>().load_one(PaymentsOf(self.0.id)).await;
        let rows = rows.map_err(|no| error((*no).clone()))?.unwrap_or_default();
        Ok(rows.into_iter().map(PaymentView::from).map(Payment::from).collect())
    }

    async fn tickets(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<Ticket>> {
        ctx.door().settle(self.0.as_of).await;
        let rows = ctx.data_unchecked::<Loader>().load_one(TicketsOf(self.0.id)).await;
        let mut rows = rows.map_err(|no| error((*no).clone()))?.unwrap_or_default();
        if let Some(then) = self.0.then {
            rows.retain(|row| match then {
                AsOf::Position(position) => row.position <= position,
                AsOf::Time(at) => row.issued_at <= at,
            });
        }
        Ok(rows.into_iter().map(Ticket::from).collect())
    }

    /// The vehicle that it has at present: none before it is assigned, nor when it was given back. (Which
    /// one it was, `lines` tell.)
    async fn vehicle(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Vehicle>> {
        let Some(id) = self.0.vehicle_id.clone() else { return Ok(None) };
        if let Some(then) = self.0.then {
            let loaded = ctx.door().engine.load_as_of::<vehicle::State>(&id, then).await;
            let loaded = loaded.map_err(|rejection| error(rejection.into()))?;
            let view = loaded.and_then(|loaded| VehicleView::of_state(id, &loaded.state));
            return Ok(view.filter(|view| view.is_of(&self.0.id)).map(Vehicle::from));
        }
        if !is_live(self.0.status) {
            return Ok(None);
        }
        ctx.door().settle(self.0.as_of).await;
        let row = ctx.data_unchecked::<Loader>().load_one(VehicleOf(id)).await;
        let view = row.map_err(|no| error((*no).clone()))?.map(VehicleView::from);
        Ok(view.filter(|view| view.is_of(&self.0.id)).map(Vehicle::from))
    }

    /// What happened to it, oldest first.
    #[graphql(complexity = "weight(first, child_complexity)")]
    async fn timeline(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
    ) -> async_graphql::Result<Connection<Event>> {
        let page = page(ctx, first, after.as_deref())?;
        let from = match &page.after {
            None => 0,
            Some(version) => version.parse::<u64>().map_or(0, |version| version + 1),
        };
        let stream = names::stream_of::<holdfast_domain::reservation::State>(&self.0.id);
        let events = ctx
            .door()
            .engine
            .store()
            .read_stream(&StreamId::new(stream), from, Direction::Forward, page.first + 1)
            .await
            .map_err(|failed| error(broken(&failed)))?;
        let then = self.0.then;
        let mut rows = Vec::new();
        for event in &events {
            let event = Event::of(event).map_err(|failed| error(broken(&failed)))?;
            let told = match then {
                None => true,
                Some(AsOf::Position(position)) => event.0.position <= position,
                Some(AsOf::Time(at)) => event.0.recorded_at <= at,
            };
            if told {
                rows.push((event.0.stream_version.to_string(), event));
            }
        }
        let more = rows.len() > page.first;
        rows.truncate(page.first);
        Ok(Connection::new(rows, more, page.after.is_some()))
    }
}

impl Reservation {
    /// Its payments (its own, and what was charged on top) as the log told them then.
    async fn payments_then(
        &self,
        ctx: &Context<'_>,
        then: AsOf,
    ) -> async_graphql::Result<Vec<Payment>> {
        let rows = ctx.data_unchecked::<Loader>().load_one(PaymentsOf(self.0.id)).await;
        let rows = rows.map_err(|no| error((*no).clone()))?.unwrap_or_default();
        let mut ids = vec![self.0.id.payment_id()];
        ids.extend(rows.into_iter().map(|row| row.id).filter(|id| *id != self.0.id.payment_id()));
        let mut payments = Vec::new();
        for id in ids {
            let loaded = ctx.door().engine.load_as_of::<payment::State>(&id, then).await;
            let loaded = loaded.map_err(|rejection| error(rejection.into()))?;
            let view = loaded.and_then(|loaded| PaymentView::of_state(id, &loaded.state));
            payments.extend(view.map(Payment::from));
        }
        Ok(payments)
    }
}
