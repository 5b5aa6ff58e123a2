//! What auditors, operators and analysts read: events, refusals, dead letters, movements, projections.

use async_graphql::{ComplexObject, Context, Enum, ID, Json, Object, SimpleObject};
use holdfast_projections::{DeadLetterRow, ProjectionStatus as Status, StockMovementRow};
use holdfast_schemas::DecodeError;
use holdfast_store::{Filter, RecordedEvent};
use serde_json::Value;

use super::common::{Asking, error, unknown};
use super::refusal::RefusalCode;
use super::scalars::{DateTime, Position};
use crate::door::broken;
use crate::event::EventView;
use crate::feed::Fact;
use crate::names;
use crate::no::{Code, No};

/// One recorded event as an auditor reads it.
pub(crate) struct Event(pub(crate) EventView);

impl Event {
    pub(crate) fn of(event: &RecordedEvent) -> Result<Self, DecodeError> {
        EventView::of(event).map(Self)
    }

    pub(crate) fn of_fact(fact: &Fact) -> Result<Self, DecodeError> {
        EventView::with(&fact.event, &fact.metadata).map(Self)
    }
}

#[Object]
impl Event {
    async fn id(&self) -> ID {
        self.0.id.into()
    }

    async fn position(&self) -> Position {
        self.0.position.into()
    }

    async fn stream(&self) -> &str {
        &self.0.stream
    }

    async fn stream_version(&self) -> u64 {
        self.0.stream_version
    }

    async fn r#type(&self) -> &str {
        &self.0.kind
    }

    async fn schema_version(&self) -> u16 {
        self.0.schema_version
    }

    async fn occurred_at(&self) -> DateTime {
        self.0.occurred_at.into()
    }

    async fn recorded_at(&self) -> DateTime {
        self.0.recorded_at.into()
    }

    async fn actor(&self) -> &str {
        &self.0.actor
    }

    async fn correlation_id(&self) -> Option<&str> {
        self.0.correlation_id.as_deref()
    }

    async fn causation_id(&self) -> Option<&str> {
        self.0.causation_id.as_deref()
    }

    async fn data(&self) -> async_graphql::Result<Json<Value>> {
        serde_json::from_str(self.0.data.get()).map(Json).map_err(|failed| error(broken(&failed)))
    }
}

#[derive(SimpleObject, Clone)]
pub(crate) struct RejectedCommand {
    at: DateTime,
    actor: String,
    command: String,
    target: String,
    code: RefusalCode,
    message: String,
    as_of: Position,
}

impl RejectedCommand {
    /// None of a command that was not refused by a rule but by a trouble.
    pub(crate) fn of(row: holdfast_engine::side::RejectedCommand) -> Option<Self> {
        Some(Self {
            at: row.at.into(),
            actor: row.actor,
            command: row.command,
            target: row.target,
            code: Code::of(&row.code).and_then(RefusalCode::of)?,
            message: row.message,
            as_of: row.as_of.into(),
        })
    }
}

#[derive(SimpleObject, Clone)]
#[graphql(complex)]
pub(crate) struct DeadLetter {
    #[graphql(owned)]
    pub(crate) id: ID,
    consumer: String,
    attempts: u32,
    error: String,
    first_failed_at: DateTime,
    last_failed_at: DateTime,
    redriven_at: Option<DateTime>,
    /// When it was done after all.
    settled_at: Option<DateTime>,
    #[graphql(skip)]
    at: holdfast_store::Position,
}

#[ComplexObject]
impl DeadLetter {
    /// The event that could not be handled.
    async fn event(&self, ctx: &Context<'_>) -> async_graphql::Result<Event> {
        let page = ctx.door().engine.store().read_all(self.at, &Filter::All, 1).await;
        let page = page.map_err(|failed| error(broken(&failed)))?;
        let event = page.events.first().filter(|event| event.position == self.at);
        let event = event.ok_or_else(|| unknown("the event of this letter"))?;
        Event::of(event).map_err(|failed| error(broken(&failed)))
    }
}

impl From<DeadLetterRow> for DeadLetter {
    fn from(row: DeadLetterRow) -> Self {
        Self {
            id: names::dead_letter(&row.id).into(),
            consumer: row.consumer,
            attempts: row.attempts,
            error: row.error,
            first_failed_at: row.first_failed_at.into(),
            last_failed_at: row.last_failed_at.into(),
            redriven_at: row.redriven_at.map(DateTime),
            settled_at: row.settled_at.map(DateTime),
            at: row.event_position,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "holdfast_projections::MovementKind")]
pub(crate) enum MovementKind {
    Received,
    Adjusted,
    Reserved,
    Released,
    Sold,
    Returned,
    Cancelled,
}

#[derive(SimpleObject, Clone)]
pub(crate) struct StockMovement {
    at: DateTime,
    sku: ID,
    kind: MovementKind,
    quantity: i64,
    reservation_id: Option<ID>,
    actor: String,
}

impl From<StockMovementRow> for StockMovement {
    fn from(row: StockMovementRow) -> Self {
        Self {
            at: row.at.into(),
            sku: row.sku.as_str().into(),
            kind: row.kind.into(),
            quantity: row.quantity,
            reservation_id: row.reservation_id.map(|id| names::reservation(&id).into()),
            actor: row.actor,
        }
    }
}

#[derive(SimpleObject, Clone)]
pub(crate) struct ProjectionStatus {
    name: String,
    version: u32,
    position: Position,
    /// How many events it is behind the log.
    lag: u64,
    state: String,
}

impl ProjectionStatus {
    pub(crate) fn of(status: Status, head: holdfast_store::Position) -> Self {
        Self {
            name: status.name.into(),
            version: status.version,
            position: status.position.into(),
            lag: head.0.saturating_sub(status.position.0),
            state: status.state.as_str().into(),
        }
    }
}

/// What `events` looks for.
pub(crate) struct Wanted {
    pub(crate) stream: Option<String>,
    pub(crate) correlation: Option<String>,
    pub(crate) types: Option<Vec<String>>,
}

impl Wanted {
    /// The part of it that the store can tell without looking into an event.
    pub(crate) fn filter(&self) -> Filter {
        match (&self.stream, &self.types) {
            (Some(stream), _) => Filter::Stream(holdfast_store::StreamId::new(stream)),
            (None, Some(types)) => Filter::Kinds(types.clone()),
            (None, None) => Filter::All,
        }
    }

    /// The rest.
    pub(crate) fn wants(&self, event: &EventView) -> bool {
        let types = self.types.as_ref().is_none_or(|types| types.contains(&event.kind));
        let correlated = self.correlation.as_ref().is_none_or(|wanted| {
            event.correlation_id.as_deref() == Some(&*names::read_correlation(wanted))
        });
        types && correlated
    }

    pub(crate) fn check(&self) -> Result<(), No> {
        if self.types.as_ref().is_some_and(|types| types.len() > 100) {
            return Err(No::invalid("name at most 100 types"));
        }
        Ok(())
    }
}
