//! What can be asked.

use std::time::{Duration, Instant};

use async_graphql::{Context, ID, Interface, Object, SimpleObject};
use holdfast_domain::{SeatMapId, Sku, UserId, reservation};
use holdfast_engine::AsOf;
use holdfast_store::Position as At;

use super::audit::{DeadLetter, Event, ProjectionStatus, RejectedCommand, StockMovement, Wanted};
use super::common::{Asking, Connection, PeriodInput, error, page, weight};
use super::fleet;
use super::inspection::Inspection;
use super::item::{Availability, Item, ItemKind};
use super::notification::Notification;
use super::payment::Payment;
use super::reservation::{Reservation, ReservationStatus};
use super::scalars::{DateTime, Position};
use super::seatmap::SeatMap;
use super::ticket::Ticket;
use super::vehicle::Vehicle;
use crate::door::{broken, trouble};
use crate::names;
use crate::no::No;
use crate::view::{PaymentView, ReservationView};

type Answer<T> = async_graphql::Result<T>;

/// How long one page of `events` may search; then it hands out what it has, with a cursor to go on.
const SEARCH: Duration = Duration::from_millis(1_500);

#[derive(Interface)]
#[graphql(field(name = "id", ty = "ID"))]
pub(crate) enum Node {
    Item(Item),
    SeatMap(SeatMap),
    Reservation(Reservation),
    Payment(Payment),
    Ticket(Ticket),
    Vehicle(Vehicle),
    Inspection(Inspection),
    Notification(Notification),
    DeadLetter(DeadLetter),
    User(User),
}

#[derive(SimpleObject, Clone)]
pub(crate) struct User {
    #[graphql(owned)]
    pub(crate) id: ID,
    email: Option<String>,
    display_name: Option<String>,
    permissions: Vec<String>,
}

pub(crate) struct ShopQuery;

#[Object]
impl ShopQuery {
    /// Whatever has this id, if you may see it.
    async fn node(&self, ctx: &Context<'_>, id: ID) -> Answer<Option<Node>> {
        ctx.passes("Query.node")?;
        let known = ctx.who().user().is_some();
        let prefix = id.split_once('_').map(|(prefix, _)| prefix);
        if known && names::is_bare(&id) {
            if let Some(found) = reservation(ctx, &id).await? {
                return Ok(Some(Node::Reservation(found)));
            }
            if let Some(found) = payment(ctx, &id).await? {
                return Ok(Some(Node::Payment(found)));
            }
            if let Some(found) = ticket(ctx, &id).await? {
                return Ok(Some(Node::Ticket(found)));
            }
            if let Some(found) = fleet::inspection(ctx, &id).await? {
                return Ok(Some(Node::Inspection(found)));
            }
        }
        Ok(match prefix {
            Some("res") if known => reservation(ctx, &id).await?.map(Node::Reservation),
            Some("pay") if known => payment(ctx, &id).await?.map(Node::Payment),
            Some("tkt") if known => ticket(ctx, &id).await?.map(Node::Ticket),
            Some("ins") if known => fleet::inspection(ctx, &id).await?.map(Node::Inspection),
            Some("ntf") if known => notification(ctx, &id).await?.map(Node::Notification),
            Some("dlq") if ctx.passes("Query.deadLetters").is_ok() => {
                dead_letter(ctx, &id).await?.map(Node::DeadLetter)
            }
            _ => named(ctx, &id).await?,
        })
    }

    /// Whose token this is.
    async fn me(&self, ctx: &Context<'_>) -> Answer<Option<User>> {
        ctx.passes("Query.me")?;
        Ok(me(ctx))
    }

    #[graphql(complexity = "weight(first, child_complexity)")]
    async fn items(
        &self,
        ctx: &Context<'_>,
        category: Option<String>,
        kind: Option<ItemKind>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Answer<Connection<Item>> {
        ctx.passes("Query.items")?;
        let page = page(ctx, first, after.as_deref())?;
        let reads = &ctx.door().reads;
        let rows = reads.items(category.as_deref(), kind.map(Into::into), &page).await;
        Ok(Connection::of(rows.map_err(|failed| error(trouble(failed)))?, Item::from))
    }

    async fn item(&self, ctx: &Context<'_>, sku: ID) -> Answer<Option<Item>> {
        ctx.passes("Query.item")?;
        item(ctx, &sku).await
    }

    /// What is left: now, or at the busiest moment of a period.
    async fn availability(
        &self,
        ctx: &Context<'_>,
        sku: ID,
        period: Option<PeriodInput>,
        min_position: Option<Position>,
    ) -> Answer<Option<Availability>> {
        ctx.passes("Query.availability")?;
        seen(ctx, min_position).await?;
        let Ok(sku) = Sku::new(sku.as_str()) else { return Ok(None) };
        let reads = &ctx.door().reads;
        let row = match period {
            None => reads.availability(&sku).await,
            Some(period) => reads.availability_in(&sku, &period.read().map_err(error)?).await,
        };
        Ok(row.map_err(|failed| error(trouble(failed)))?.map(Availability::from))
    }

    async fn seat_map(
        &self,
        ctx: &Context<'_>,
        id: ID,
        min_position: Option<Position>,
    ) -> Answer<Option<SeatMap>> {
        ctx.passes("Query.seatMap")?;
        seen(ctx, min_position).await?;
        seat_map(ctx, &id).await
    }

    async fn reservation(
        &self,
        ctx: &Context<'_>,
        id: ID,
        min_position: Option<Position>,
    ) -> Answer<Option<Reservation>> {
        ctx.passes("Query.reservation")?;
        seen(ctx, min_position).await?;
        reservation(ctx, &id).await
    }

    /// Your reservations, newest first; everybody's for operators and auditors.
    #[graphql(complexity = "weight(first, child_complexity)")]
    async fn reservations(
        &self,
        ctx: &Context<'_>,
        status: Option<ReservationStatus>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Answer<Connection<Reservation>> {
        ctx.passes("Query.reservations")?;
        let page = page(ctx, first, after.as_deref())?;
        let whose = ctx.door().list_of(ctx.who());
        let status = status.map(ReservationStatus::domain);
        let rows = ctx.door().reads.reservations(whose, status, &page).await;
        let rows = rows.map_err(|failed| error(trouble(failed)))?;
        Ok(Connection::of(rows, |row| Reservation(ReservationView::from(row))))
    }

    async fn payment(
        &self,
        ctx: &Context<'_>,
        id: ID,
        min_position: Option<Position>,
    ) -> Answer<Option<Payment>> {
        ctx.passes("Query.payment")?;
        seen(ctx, min_position).await?;
        payment(ctx, &id).await
    }

    async fn ticket(&self, ctx: &Context<'_>, id: ID) -> Answer<Option<Ticket>> {
        ctx.passes("Query.ticket")?;
        ticket(ctx, &id).await
    }

    /// Your notices, newest first.
    #[graphql(complexity = "weight(first, child_complexity)")]
    async fn notifications(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Answer<Connection<Notification>> {
        ctx.passes("Query.notifications")?;
        let page = page(ctx, first, after.as_deref())?;
        let Some(user) = ctx.who().user() else { return Ok(Connection::new(vec![], false, false)) };
        let rows = ctx.door().reads.notifications(user, &page).await;
        Ok(Connection::of(rows.map_err(|failed| error(trouble(failed)))?, Notification::from))
    }

    /// READ_AUDIT. Oldest first; `from` is inclusive.
    #[graphql(complexity = "weight(first, child_complexity)")]
    #[expect(clippy::too_many_arguments, reason = "the contract's arguments")]
    async fn events(
        &self,
        ctx: &Context<'_>,
        stream: Option<String>,
        correlation_id: Option<String>,
        types: Option<Vec<String>>,
        from: Option<Position>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Answer<Connection<Event>> {
        ctx.passes("Query.events")?;
        let stream = stream.map(|stream| names::read_stream(&stream)).transpose().map_err(error)?;
        let wanted = Wanted { stream, correlation: correlation_id, types };
        wanted.check().map_err(error)?;
        let page = page(ctx, first, after.as_deref())?;
        let from = from.map_or(At::FIRST, |from| from.0.max(At::FIRST));
        let from = match &page.after {
            None => from,
            Some(raw) => from.max(cursor_position(raw).map_err(error)?.next()),
        };
        search(ctx, &wanted, from, page.first, page.after.is_some()).await
    }

    /// READ_AUDIT: the reservation as the log told it at that position or moment.
    async fn reservation_as_of(
        &self,
        ctx: &Context<'_>,
        id: ID,
        position: Option<Position>,
        at: Option<DateTime>,
    ) -> Answer<Option<Reservation>> {
        ctx.passes("Query.reservationAsOf")?;
        let then = match (position, at) {
            (Some(position), None) => AsOf::Position(position.0),
            (None, Some(at)) => AsOf::Time(at.0),
            (Some(_), Some(_)) | (None, None) => {
                return Err(error(No::invalid("name a position or a moment, one of the two")));
            }
        };
        let Some(id) = names::read_reservation(&id) else { return Ok(None) };
        let loaded = ctx.door().engine.load_as_of::<reservation::State>(&id, then).await;
        let loaded = loaded.map_err(|rejection| error(rejection.into()))?;
        Ok(loaded.and_then(|loaded| {
            let view = ReservationView::of_state(id, &loaded.state, loaded.position)?;
            Some(Reservation(ReservationView { then: Some(then), ..view }))
        }))
    }

    /// READ_AUDIT. What was refused, oldest first.
    #[graphql(complexity = "weight(first, child_complexity)")]
    async fn rejected_commands(
        &self,
        ctx: &Context<'_>,
        target: Option<String>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Answer<Connection<RejectedCommand>> {
        ctx.passes("Query.rejectedCommands")?;
        let page = page(ctx, first, after.as_deref())?;
        let number = |raw: &String| raw.parse::<i64>().ok();
        let after = page.after.as_ref().and_then(number);
        let side = ctx.door().engine.side();
        let mut rows = match target {
            None => side.rejected(None, after, page.first + 1).await,
            Some(target) => {
                let mut rows = Vec::new();
                for target in names::read_targets(&target).map_err(error)? {
                    rows.extend(side.rejected(Some(&target), after, page.first + 1).await);
                }
                rows.sort_by_key(|(number, _)| *number);
                rows
            }
        };
        let more = rows.len() > page.first;
        rows.truncate(page.first);
        let rows = rows
            .into_iter()
            .filter_map(|(number, row)| Some((number.to_string(), RejectedCommand::of(row)?)));
        Ok(Connection::new(rows.collect(), more, page.after.is_some()))
    }

    /// READ_AUDIT. What could not be done, newest first.
    #[graphql(complexity = "weight(first, child_complexity)")]
    async fn dead_letters(
        &self,
        ctx: &Context<'_>,
        consumer: Option<String>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Answer<Connection<DeadLetter>> {
        ctx.passes("Query.deadLetters")?;
        let page = page(ctx, first, after.as_deref())?;
        let rows = ctx.door().reads.dead_letters(consumer.as_deref(), &page).await;
        Ok(Connection::of(rows.map_err(|failed| error(trouble(failed)))?, DeadLetter::from))
    }

    /// READ_ANALYTICS. Newest first.
    #[graphql(complexity = "weight(first, child_complexity)")]
    async fn stock_movements(
        &self,
        ctx: &Context<'_>,
        sku: Option<ID>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Answer<Connection<StockMovement>> {
        ctx.passes("Query.stockMovements")?;
        let page = page(ctx, first, after.as_deref())?;
        let sku = match sku.map(|sku| Sku::new(sku.as_str())) {
            None => None,
            Some(Ok(sku)) => Some(sku),
            Some(Err(_)) => return Ok(Connection::new(vec![], false, false)),
        };
        let rows = ctx.door().reads.stock_movements(sku.as_ref(), &page).await;
        Ok(Connection::of(rows.map_err(|failed| error(trouble(failed)))?, StockMovement::from))
    }

    /// READ_ANALYTICS
    async fn projections(&self, ctx: &Context<'_>) -> Answer<Vec<ProjectionStatus>> {
        ctx.passes("Query.projections")?;
        let head = ctx.door().engine.store().head();
        let statuses = ctx.door().reads.statuses().await;
        let statuses = statuses.map_err(|failed| error(trouble(failed)))?;
        Ok(statuses.into_iter().map(|status| ProjectionStatus::of(status, head)).collect())
    }
}

/// Waits for the position that the caller names (a document's queries have waited for the rest).
pub(super) async fn seen(ctx: &Context<'_>, position: Option<Position>) -> Answer<()> {
    let Some(position) = position else { return Ok(()) };
    ctx.door().seen(Some(position.0)).await.map_err(error)
}

fn me(ctx: &Context<'_>) -> Option<User> {
    let crate::who::Who::Known(claims) = ctx.who() else { return None };
    Some(User {
        id: claims.user.as_str().into(),
        email: None,
        display_name: None,
        permissions: claims.role.permissions().iter().map(|p| p.name().into()).collect(),
    })
}

async fn reservation(ctx: &Context<'_>, id: &str) -> Answer<Option<Reservation>> {
    let Some(id) = names::read_reservation(id) else { return Ok(None) };
    let found = ctx.door().reservation(ctx.who(), &id).await.map_err(error)?;
    Ok(found.map(Reservation))
}

async fn payment(ctx: &Context<'_>, id: &str) -> Answer<Option<Payment>> {
    let Some(id) = names::read_payment(id) else { return Ok(None) };
    let row = ctx.door().reads.payment(&id).await.map_err(|failed| error(trouble(failed)))?;
    let visible = |owner: &Option<UserId>| {
        owner.as_ref().map_or(ctx.who().sees_everything(), |owner| ctx.who().may_see(owner))
    };
    let row = row.filter(|row| visible(&row.user_id));
    Ok(row.map(PaymentView::from).map(Payment::from))
}

async fn ticket(ctx: &Context<'_>, id: &str) -> Answer<Option<Ticket>> {
    let Some(id) = names::read_ticket(id) else { return Ok(None) };
    let row = ctx.door().reads.ticket(&id).await.map_err(|failed| error(trouble(failed)))?;
    Ok(row.filter(|row| ctx.who().may_see(&row.user_id)).map(Ticket::from))
}

async fn dead_letter(ctx: &Context<'_>, id: &str) -> Answer<Option<DeadLetter>> {
    let Some(id) = names::read_dead_letter(id) else { return Ok(None) };
    let row = ctx.door().reads.dead_letter(id).await;
    Ok(row.map_err(|failed| error(trouble(failed)))?.map(DeadLetter::from))
}

/// A notice of one's own, found in the inbox (which is what there is to look in).
async fn notification(ctx: &Context<'_>, id: &str) -> Answer<Option<Notification>> {
    let (Some(id), Some(user)) = (names::read_notification(id), ctx.who().user()) else {
        return Ok(None);
    };
    let row = ctx.door().notification(user, &id).await.map_err(error)?;
    Ok(row.map(Notification::from))
}

async fn item(ctx: &Context<'_>, sku: &str) -> Answer<Option<Item>> {
    let Ok(sku) = Sku::new(sku) else { return Ok(None) };
    let row = ctx.door().reads.item(&sku).await.map_err(|failed| error(trouble(failed)))?;
    Ok(row.map(Item::from))
}

async fn seat_map(ctx: &Context<'_>, id: &str) -> Answer<Option<SeatMap>> {
    let Ok(id) = SeatMapId::new(id) else { return Ok(None) };
    let row = ctx.door().reads.seat_map(&id).await.map_err(|failed| error(trouble(failed)))?;
    Ok(row.map(SeatMap::from))
}

/// What people have named themselves: an item, a seat map, a vehicle, the user.
async fn named(ctx: &Context<'_>, id: &str) -> Answer<Option<Node>> {
    if let Some(item) = item(ctx, id).await? {
        return Ok(Some(Node::Item(item)));
    }
    if let Some(map) = seat_map(ctx, id).await? {
        return Ok(Some(Node::SeatMap(map)));
    }
    if let Some(vehicle) = fleet::vehicle(ctx, id).await? {
        return Ok(Some(Node::Vehicle(vehicle)));
    }
    Ok(me(ctx).filter(|user| user.id.as_str() == id).map(Node::User))
}

fn cursor_position(raw: &str) -> Result<At, No> {
    raw.parse()
        .map(At)
        .map_err(|_| No::invalid("this is not a cursor of this list; start without one"))
}

/// Walks the log until the page is full, the log is at its end, or the time is up.
async fn search(
    ctx: &Context<'_>,
    wanted: &Wanted,
    mut from: At,
    first: usize,
    has_previous: bool,
) -> Answer<Connection<Event>> {
    let store = ctx.door().engine.store();
    let (head, filter, began) = (store.head(), wanted.filter(), Instant::now());
    let mut rows = Vec::new();
    while from <= head {
        let page = store.read_all(from, &filter, first.max(256)).await;
        let page = page.map_err(|failed| error(broken(&failed)))?;
        for event in &page.events {
            let event = Event::of(event).map_err(|failed| error(broken(&failed)))?;
            if wanted.wants(&event.0) {
                if rows.len() == first {
                    return Ok(Connection::new(rows, true, has_previous));
                }
                rows.push((event.0.position.to_string(), event));
            }
        }
        from = page.next;
        if began.elapsed() > SEARCH && from <= head {
            let seen = At(from.0 - 1).to_string();
            return Ok(Connection::new(rows, true, has_previous).going_on_at(&seen));
        }
    }
    Ok(Connection::new(rows, false, has_previous))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_of_events_is_a_position() {
        assert_eq!(cursor_position("7"), Ok(At(7)));
        assert!(cursor_position("seven").is_err());
    }
}
