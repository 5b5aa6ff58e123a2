//! How the fleet stood when it was written down last.

use std::collections::HashMap;

use holdfast_domain::VehicleId;
use holdfast_store::Position;

use super::consumers::set_checkpoint;
use super::{Side, SideError};
use crate::fleet::{CONSUMER, FleetVehicle};

impl Side {
    /// Every vehicle that was written down.
    pub(crate) async fn fleet(&self) -> Result<Vec<(VehicleId, FleetVehicle)>, SideError> {
        let rows: Vec<(String, String)> =
            sqlx::query_as("SELECT vehicle_id, row FROM fleet").fetch_all(&self.write).await?;
        let unreadable = |why: String| SideError::Row { table: "fleet", why };
        rows.into_iter()
            .map(|(id, row)| {
                let id = VehicleId::new(id).map_err(|error| unreadable(error.to_string()))?;
                let row = serde_json::from_str(&row).map_err(|e| unreadable(e.to_string()))?;
                Ok((id, row))
            })
            .collect()
    }

    /// Writes down what has changed, and up to where all changes are known.
    pub(crate) async fn save_fleet(
        &self,
        vehicles: &HashMap<VehicleId, FleetVehicle>,
        position: Position,
    ) -> Result<(), SideError> {
        let saved = self.try_save_fleet(vehicles, position).await;
        self.troubles.note(CONSUMER, &saved);
        saved
    }

    async fn try_save_fleet(
        &self,
        vehicles: &HashMap<VehicleId, FleetVehicle>,
        position: Position,
    ) -> Result<(), SideError> {
        let mut transaction = self.write.begin().await?;
        for (id, vehicle) in vehicles {
            sqlx::query(
                "INSERT INTO fleet (vehicle_id, row) VALUES (?, ?)
                 ON CONFLICT (vehicle_id) DO UPDATE SET row = excluded.row",
            )
            .bind(id.as_str())
            .bind(serde_json::to_string(vehicle).expect("a row is plain data"))
            .execute(&mut *transaction)
            .await?;
        }
        set_checkpoint(&mut transaction, CONSUMER, position).await?;
        transaction.commit().await?;
        Ok(())
    }
}
