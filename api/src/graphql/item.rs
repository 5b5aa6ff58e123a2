//! Items of the catalogue and what is left of them.

use async_graphql::{ComplexObject, Context, Enum, ID, SimpleObject};
use holdfast_domain::{Sku, item::Kind};
use holdfast_projections::{AvailabilityRow, ItemRow};

use super::common::{Money, error};
use super::scalars::Position;
use crate::no::No;

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Kind")]
pub(crate) enum ItemKind {
    Stock,
    Ticket,
    VehicleClass,
}

#[derive(SimpleObject, Clone)]
#[graphql(complex)]
pub(crate) struct Item {
    #[graphql(owned)]
    pub(crate) id: ID,
    sku: ID,
    name: String,
    kind: ItemKind,
    category: Option<String>,
    price: Money,
    max_per_user: Option<u32>,
    #[graphql(skip)]
    raw: Sku,
}

#[ComplexObject]
impl Item {
    async fn availability(&self, ctx: &Context<'_>) -> async_graphql::Result<Availability> {
        let loader = ctx.data_unchecked::<super::loaders::Loader>();
        let row = loader.load_one(super::loaders::AvailabilityOf(self.raw.clone())).await;
        let row = row.map_err(|no| error((*no).clone()))?;
        row.map(Availability::from).ok_or_else(|| error(No::absent("pool")))
    }
}

impl From<ItemRow> for Item {
    fn from(row: ItemRow) -> Self {
        let about = row.description;
        Self {
            id: row.sku.as_str().into(),
            sku: row.sku.as_str().into(),
            name: about.name,
            kind: about.kind.into(),
            category: about.category,
            price: about.price.into(),
            max_per_user: about.max_per_user,
            raw: row.sku,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "holdfast_projections::AvailabilityReason")]
pub(crate) enum AvailabilityReason {
    Ok,
    Low,
    Reserved,
    Gone,
    Closed,
}

#[derive(SimpleObject, Clone)]
pub(crate) struct Availability {
    sku: ID,
    total: u32,
    held: u32,
    committed: u32,
    available: u32,
    reason: AvailabilityReason,
    as_of: Position,
}

impl From<AvailabilityRow> for Availability {
    fn from(row: AvailabilityRow) -> Self {
        Self {
            sku: row.sku.as_str().into(),
            total: row.total,
            held: row.held,
            committed: row.committed,
            available: row.available,
            reason: row.reason().into(),
            as_of: row.as_of.into(),
        }
    }
}
