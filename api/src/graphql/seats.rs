//! The seats of a hall, fifty thousand of them at most, written out in one go.
//!
//! The library makes a future of every field of every element, and holds all of them at once: half a
//! million for one stadium. Nothing of a seat is ever waited for, so the selection is read once and the
//! values are written row by row.

use std::borrow::Cow;

use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{Field, Selection, SelectionSet};
use async_graphql::{
    ContextSelectionSet, Name, OutputType, Positioned, ServerError, ServerResult, Value, registry,
};
use holdfast_projections::SeatRow;

use super::seatmap::{Seat, SeatStatus};

/// `[Seat!]!`
pub(crate) struct Seats(pub(crate) Vec<SeatRow>);

type Typed = Vec<Seat>;

impl OutputType for Seats {
    fn type_name() -> Cow<'static, str> {
        <Typed as OutputType>::type_name()
    }

    fn qualified_type_name() -> String {
        <Typed as OutputType>::qualified_type_name()
    }

    fn create_type_info(registry: &mut registry::Registry) -> String {
        <Typed as OutputType>::create_type_info(registry)
    }

    async fn resolve(
        &self,
        ctx: &ContextSelectionSet<'_>,
        _: &Positioned<Field>,
    ) -> ServerResult<Value> {
        let mut plan = Plan::default();
        plan.read(ctx, &ctx.item.node)?;
        let mut seats = Vec::with_capacity(self.0.len());
        for (n, row) in self.0.iter().enumerate() {
            if n % 1_000 == 999 {
                tokio::task::yield_now().await; // others have requests too
            }
            seats.push(plan.seat(row));
        }
        Ok(Value::List(seats))
    }
}

enum Wanted {
    Typename(&'static str),
    Id,
    Label,
    Section,
    Row,
    X,
    Y,
    Category,
    Status,
    Price(Plan),
    AmountMinor,
    Currency,
    Formatted,
}

/// What is asked of each seat, under which keys.
#[derive(Default)]
struct Plan(IndexMap<Name, Wanted>);

impl Plan {
    fn read(&mut self, ctx: &ContextSelectionSet<'_>, set: &SelectionSet) -> ServerResult<()> {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => self.field(ctx, &field.node, field.pos)?,
                // Seats and money are no interfaces: a fragment that validation let pass applies.
                Selection::InlineFragment(inline) => {
                    self.read(ctx, &inline.node.selection_set.node)?;
                }
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    if let Some(fragment) = ctx.query_env.fragments.get(name) {
                        self.read(ctx, &fragment.node.selection_set.node)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn field(
        &mut self,
        ctx: &ContextSelectionSet<'_>,
        field: &Field,
        pos: async_graphql::Pos,
    ) -> ServerResult<()> {
        let key = field.response_key().node.clone();
        let wanted = match field.name.node.as_str() {
            "__typename" => Wanted::Typename("Seat"),
            "id" => Wanted::Id,
            "label" => Wanted::Label,
            "section" => Wanted::Section,
            "row" => Wanted::Row,
            "x" => Wanted::X,
            "y" => Wanted::Y,
            "category" => Wanted::Category,
            "status" => Wanted::Status,
            "amountMinor" => Wanted::AmountMinor,
            "currency" => Wanted::Currency,
            "formatted" => Wanted::Formatted,
            "price" => {
                let price = self.0.entry(key).or_insert_with(|| Wanted::Price(Plan::default()));
                let Wanted::Price(plan) = price else { return Ok(()) };
                plan.read(ctx, &field.selection_set.node)?;
                for wanted in plan.0.values_mut() {
                    if let Wanted::Typename(name) = wanted {
                        *name = "Money";
                    }
                }
                return Ok(());
            }
            name => {
                return Err(ServerError::new(format!("a seat has no field {name}"), Some(pos)));
            }
        };
        self.0.entry(key).or_insert(wanted);
        Ok(())
    }

    fn seat(&self, row: &SeatRow) -> Value {
        let text = |text: &str| Value::String(text.to_owned());
        let fields = self.0.iter().map(|(key, wanted)| {
            let value = match wanted {
                Wanted::Typename(name) => text(name),
                Wanted::Id => text(row.id.as_str()),
                Wanted::Label => text(&row.label),
                Wanted::Section => text(&row.section),
                Wanted::Row => text(&row.row),
                Wanted::X => Value::from(row.x),
                Wanted::Y => Value::from(row.y),
                Wanted::Category => text(&row.category),
                Wanted::Status => {
                    async_graphql::resolver_utils::enum_value(SeatStatus::from(row.status))
                }
                Wanted::Price(plan) => plan.seat(row),
                Wanted::AmountMinor => Value::String(row.price.amount_minor.to_string()),
                Wanted::Currency => text(row.price.currency.code()),
                Wanted::Formatted => Value::String(row.price.to_string()),
            };
            (key.clone(), value)
        });
        Value::Object(fields.collect())
    }
}
