//! What nested lists ask for is gathered and asked once.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::{DataLoader, Loader as Load};
use futures::future::try_join_all;
use holdfast_domain::{ReservationId, Sku, VehicleId};
use holdfast_projections::{AvailabilityRow, PaymentRow, ReadModels, TicketRow, VehicleRow};

use crate::door::trouble;
use crate::no::No;

/// The loader of a request.
pub(crate) type Loader = DataLoader<Rows>;

/// Rows by what they belong to.
pub(crate) struct Rows(pub(crate) ReadModels);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct AvailabilityOf(pub(crate) Sku);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PaymentsOf(pub(crate) ReservationId);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TicketsOf(pub(crate) ReservationId);

impl Load<AvailabilityOf> for Rows {
    type Value = AvailabilityRow;
    type Error = Arc<No>;

    async fn load(
        &self,
        keys: &[AvailabilityOf],
    ) -> Result<HashMap<AvailabilityOf, AvailabilityRow>, Arc<No>> {
        let rows = keys.iter().map(|key| self.0.availability(&key.0));
        let rows = try_join_all(rows).await.map_err(|error| Arc::new(trouble(error)))?;
        Ok(keys.iter().cloned().zip(rows).filter_map(|(key, row)| Some((key, row?))).collect())
    }
}

impl Load<PaymentsOf> for Rows {
    type Value = Vec<PaymentRow>;
    type Error = Arc<No>;

    async fn load(
        &self,
        keys: &[PaymentsOf],
    ) -> Result<HashMap<PaymentsOf, Vec<PaymentRow>>, Arc<No>> {
        let rows = keys.iter().map(|key| self.0.payments_of(&key.0));
        let rows = try_join_all(rows).await.map_err(|error| Arc::new(trouble(error)))?;
        Ok(keys.iter().copied().zip(rows).collect())
    }
}

impl Load<TicketsOf> for Rows {
    type Value = Vec<TicketRow>;
    type Error = Arc<No>;

    async fn load(
        &self,
        keys: &[TicketsOf],
    ) -> Result<HashMap<TicketsOf, Vec<TicketRow>>, Arc<No>> {
        let rows = keys.iter().map(|key| self.0.tickets_of(&key.0));
        let rows = try_join_all(rows).await.map_err(|error| Arc::new(trouble(error)))?;
        Ok(keys.iter().copied().zip(rows).collect())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct VehicleOf(pub(crate) VehicleId);

impl Load<VehicleOf> for Rows {
    type Value = VehicleRow;
    type Error = Arc<No>;

    async fn load(&self, keys: &[VehicleOf]) -> Result<HashMap<VehicleOf, VehicleRow>, Arc<No>> {
        let rows = keys.iter().map(|key| self.0.vehicle(&key.0));
        let rows = try_join_all(rows).await.map_err(|error| Arc::new(trouble(error)))?;
        Ok(keys.iter().cloned().zip(rows).filter_map(|(key, row)| Some((key, row?))).collect())
    }
}
