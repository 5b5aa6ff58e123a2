//! What many types share: money, periods, pages, errors, and the request's own data.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_graphql::{Context, ErrorExtensions, InputObject, OutputType, SimpleObject};
use data_encoding::BASE64URL_NOPAD;
use holdfast_engine::Done;
use holdfast_projections::PageRequest;

use super::scalars::DateTime;
use crate::door::Door;
use crate::no::{Code, No};
use crate::who::Who;

/// Minor units as a string, since GraphQL's Int has 32 bits; ISO 4217 currency.
#[derive(SimpleObject, Clone)]
pub(crate) struct Money {
    amount_minor: String,
    currency: String,
    formatted: String,
}

impl From<holdfast_domain::Money> for Money {
    fn from(money: holdfast_domain::Money) -> Self {
        Self {
            amount_minor: money.amount_minor.to_string(),
            currency: money.currency.code().into(),
            formatted: money.to_string(),
        }
    }
}

#[derive(InputObject)]
pub(crate) struct MoneyInput {
    amount_minor: String,
    currency: String,
}

impl MoneyInput {
    pub(crate) fn read(&self) -> Result<holdfast_domain::Money, No> {
        let amount = self.amount_minor.parse();
        let amount =
            amount.map_err(|_| No::invalid("amountMinor is a whole number of minor units"))?;
        let currency = holdfast_domain::Currency::new(&self.currency)
            .map_err(|error| No::invalid(error.to_string()))?;
        Ok(holdfast_domain::Money::new(amount, currency))
    }
}

#[derive(SimpleObject, Clone)]
pub(crate) struct Period {
    from: DateTime,
    until: DateTime,
}

impl From<holdfast_domain::Period> for Period {
    fn from(period: holdfast_domain::Period) -> Self {
        Self { from: period.from.into(), until: period.until.into() }
    }
}

#[derive(InputObject)]
pub(crate) struct PeriodInput {
    from: DateTime,
    until: DateTime,
}

impl PeriodInput {
    pub(crate) fn read(&self) -> Result<holdfast_domain::Period, No> {
        let longest = holdfast_domain::Period::LONGEST;
        holdfast_domain::Period::new(self.from.0, self.until.0, longest)
            .map_err(|error| No::invalid(error.to_string()))
    }
}

#[derive(SimpleObject, Clone, Default)]
pub(crate) struct PageInfo {
    pub(crate) has_next_page: bool,
    pub(crate) has_previous_page: bool,
    pub(crate) start_cursor: Option<String>,
    pub(crate) end_cursor: Option<String>,
}

/// One row of a page.
#[derive(SimpleObject)]
#[graphql(concrete(name = "ItemEdge", params(super::item::Item)))]
#[graphql(concrete(name = "ReservationEdge", params(super::reservation::Reservation)))]
#[graphql(concrete(name = "VehicleEdge", params(super::vehicle::Vehicle)))]
#[graphql(concrete(name = "NotificationEdge", params(super::notification::Notification)))]
#[graphql(concrete(name = "EventEdge", params(super::audit::Event)))]
#[graphql(concrete(name = "RejectedCommandEdge", params(super::audit::RejectedCommand)))]
#[graphql(concrete(name = "DeadLetterEdge", params(super::audit::DeadLetter)))]
#[graphql(concrete(name = "StockMovementEdge", params(super::audit::StockMovement)))]
pub(crate) struct Edge<T: OutputType> {
    cursor: String,
    node: T,
}

/// A page.
#[derive(SimpleObject)]
#[graphql(concrete(name = "ItemConnection", params(super::item::Item)))]
#[graphql(concrete(name = "ReservationConnection", params(super::reservation::Reservation)))]
#[graphql(concrete(name = "VehicleConnection", params(super::vehicle::Vehicle)))]
#[graphql(concrete(name = "NotificationConnection", params(super::notification::Notification)))]
#[graphql(concrete(name = "EventConnection", params(super::audit::Event)))]
#[graphql(concrete(name = "RejectedCommandConnection", params(super::audit::RejectedCommand)))]
#[graphql(concrete(name = "DeadLetterConnection", params(super::audit::DeadLetter)))]
#[graphql(concrete(name = "StockMovementConnection", params(super::audit::StockMovement)))]
pub(crate) struct Connection<T: OutputType>
where
    Edge<T>: OutputType,
{
    edges: Vec<Edge<T>>,
    page_info: PageInfo,
}

impl<T: OutputType> Connection<T>
where
    Edge<T>: OutputType,
{
    /// From rows with the raw text of their cursors.
    pub(crate) fn new(rows: Vec<(String, T)>, has_next: bool, has_previous: bool) -> Self {
        let edges: Vec<_> =
            rows.into_iter().map(|(raw, node)| Edge { cursor: show_cursor(&raw), node }).collect();
        let page_info = PageInfo {
            has_next_page: has_next,
            has_previous_page: has_previous,
            start_cursor: edges.first().map(|edge| edge.cursor.clone()),
            end_cursor: edges.last().map(|edge| edge.cursor.clone()),
        };
        Self { edges, page_info }
    }

    /// A page whose search goes on behind `raw`, though it may have found nothing up to there.
    pub(crate) fn going_on_at(mut self, raw: &str) -> Self {
        self.page_info.has_next_page = true;
        self.page_info.end_cursor = Some(show_cursor(raw));
        self
    }

    pub(crate) fn of<R>(page: holdfast_projections::Page<R>, node: impl Fn(R) -> T) -> Self {
        let rows = page.rows.into_iter().map(|(cursor, row)| (cursor, node(row))).collect();
        Self::new(rows, page.has_next, page.has_previous)
    }
}

/// Cursors are opaque: what is behind them may change.
fn show_cursor(raw: &str) -> String {
    BASE64URL_NOPAD.encode(format!("c1:{raw}").as_bytes())
}

pub(crate) fn read_cursor(cursor: &str) -> Result<String, No> {
    let refuse = || No::invalid("this is not a cursor of this list; start without one");
    let bytes = BASE64URL_NOPAD.decode(cursor.as_bytes()).map_err(|_| refuse())?;
    let text = String::from_utf8(bytes).map_err(|_| refuse())?;
    text.strip_prefix("c1:").map(str::to_owned).ok_or_else(refuse)
}

/// The page that is asked for, within what a page may have.
pub(crate) fn page(
    ctx: &Context<'_>,
    first: Option<i32>,
    after: Option<&str>,
) -> async_graphql::Result<PageRequest> {
    let most = ctx.door().config.limits.page;
    let first = match first {
        None => super::limits::USUAL,
        Some(first) => usize::try_from(first)
            .ok()
            .filter(|first| (1..=most).contains(first))
            .ok_or_else(|| error(No::invalid(format!("first is from 1 to {most}"))))?,
    };
    let after = after.map(read_cursor).transpose().map_err(error)?;
    Ok(PageRequest { first, after })
}

/// What a page costs, for the library.
pub(crate) fn weight(first: Option<i32>, child: usize) -> usize {
    super::limits::page(first.map(i64::from), child)
}

/// The highest position that mutations of this request recorded, for the answer's header.
#[derive(Clone, Debug, Default)]
pub(crate) struct Highest(Arc<(AtomicU64, AtomicBool)>);

impl Highest {
    pub(crate) fn at_least(&self, position: holdfast_store::Position) {
        self.0.0.fetch_max(position.0, Ordering::Relaxed);
    }

    pub(crate) fn note(&self, done: &Done) {
        self.at_least(done.position);
        self.0.1.fetch_or(done.replayed, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> Option<u64> {
        Some(self.0.0.load(Ordering::Relaxed)).filter(|position| *position > 0)
    }

    /// Whether an answer was given before.
    pub(crate) fn replayed(&self) -> bool {
        self.0.1.load(Ordering::Relaxed)
    }
}

/// The request's W3C trace context.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traceparent(pub(crate) Option<String>);

/// What a resolver finds in its context.
pub(crate) trait Asking {
    fn door(&self) -> &Arc<Door>;
    fn who(&self) -> &Who;

    /// Judges the rule of a root field.
    fn passes(&self, field: &str) -> async_graphql::Result<()> {
        self.who().passes_field(field).map_err(error)
    }
}

impl Asking for Context<'_> {
    fn door(&self) -> &Arc<Door> {
        self.data_unchecked::<Arc<Door>>()
    }

    fn who(&self) -> &Who {
        self.data_unchecked::<Who>()
    }
}

/// A no as a top-level error.
pub(crate) fn error(no: No) -> async_graphql::Error {
    async_graphql::Error::new(no.message.clone()).extend_with(|_, extensions| {
        extensions.set("code", no.code.name());
        extensions.set("requestId", crate::problem::request_id());
        if let Some(after) = no.retry_after {
            extensions.set("retryAfterMs", after.as_millis() as u64);
        }
    })
}

/// An enum whose variants are named as the database's or the domain's, or a fault of ours.
pub(crate) fn unknown(what: &str) -> async_graphql::Error {
    error(No::new(Code::Internal, format!("{what} cannot be shown")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_opaque_and_only_ours() {
        let cursor = show_cursor("42");
        assert!(!cursor.contains("42"));
        assert_eq!(read_cursor(&cursor), Ok("42".into()));
        for text in ["", "42", "!!!!", "Yzk6NDI"] {
            assert!(read_cursor(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_large_page_costs_more() {
        assert_eq!(weight(None, 10), 11);
        assert_eq!(weight(Some(100), 10), 51);
        assert_eq!(weight(Some(-1), 10), 11);
    }
}
