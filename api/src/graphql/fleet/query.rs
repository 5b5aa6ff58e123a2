//! What can be asked about vehicles. Whose they are not, they are not there.

use async_graphql::{Context, ID, Object};
use holdfast_domain::{Sku, VehicleId};

use crate::door::trouble;
use crate::graphql::common::{Asking, Connection, error, page, weight};
use crate::graphql::inspection::Inspection;
use crate::graphql::query::seen;
use crate::graphql::scalars::Position;
use crate::graphql::vehicle::{Vehicle, VehicleStatus};
use crate::names;
use crate::view::VehicleView;

type Answer<T> = async_graphql::Result<T>;

pub(crate) struct FleetQuery;

#[Object]
impl FleetQuery {
    /// The vehicle of a live reservation of yours; any, for operators and auditors.
    async fn vehicle(
        &self,
        ctx: &Context<'_>,
        id: ID,
        min_position: Option<Position>,
    ) -> Answer<Option<Vehicle>> {
        ctx.passes("Query.vehicle")?;
        seen(ctx, min_position).await?;
        vehicle(ctx, &id).await
    }

    /// The vehicles of your live reservations; the whole fleet, for operators and auditors.
    #[graphql(complexity = "weight(first, child_complexity)")]
    async fn vehicles(
        &self,
        ctx: &Context<'_>,
        sku: Option<ID>,
        status: Option<VehicleStatus>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Answer<Connection<Vehicle>> {
        ctx.passes("Query.vehicles")?;
        let page = page(ctx, first, after.as_deref())?;
        let sku = match sku.map(|sku| Sku::new(sku.as_str())) {
            None => None,
            Some(Ok(sku)) => Some(sku),
            Some(Err(_)) => return Ok(Connection::new(vec![], false, false)),
        };
        let (reads, status) = (&ctx.door().reads, status.map(Into::into));
        let rows = match ctx.door().list_of(ctx.who()) {
            None => reads.vehicles(sku.as_ref(), status, &page).await,
            Some(user) => reads.vehicles_of(user, sku.as_ref(), status, &page).await,
        };
        let rows = rows.map_err(|failed| error(trouble(failed)))?;
        Ok(Connection::of(rows, |row| Vehicle::from(VehicleView::from(row))))
    }

    async fn inspection(&self, ctx: &Context<'_>, id: ID) -> Answer<Option<Inspection>> {
        ctx.passes("Query.inspection")?;
        inspection(ctx, &id).await
    }
}

pub(crate) async fn vehicle(ctx: &Context<'_>, id: &str) -> Answer<Option<Vehicle>> {
    let Ok(id) = VehicleId::new(id) else { return Ok(None) };
    let found = ctx.door().vehicle(ctx.who(), &id).await.map_err(error)?;
    Ok(found.map(Vehicle::from))
}

pub(crate) async fn inspection(ctx: &Context<'_>, id: &str) -> Answer<Option<Inspection>> {
    let Some(id) = names::read_inspection(id) else { return Ok(None) };
    let found = ctx.door().inspection(ctx.who(), &id).await.map_err(error)?;
    Ok(found.map(Inspection::from))
}
