//! Who may come to the embedded broker, and by which key vehicles sign: what `side.sqlite` says.

use async_trait::async_trait;
use holdfast_domain::VehicleId;
use holdfast_engine::side::Side;
use holdfast_iot::broker::{ENGINE, Principal, VehicleAuth};
use holdfast_iot::{KeyError, KeySource};
use holdfast_schemas::mqtt::Key;

/// The engine's own password, and the vehicles' in the side file.
pub(super) struct Secrets {
    side: Side,
    engine: String,
}

impl Secrets {
    pub(super) fn new(side: Side, engine: String) -> Self {
        Self { side, engine }
    }

    /// The password of [`ENGINE`] at the embedded broker.
    pub(super) fn engine_password(&self) -> &str {
        &self.engine
    }
}

#[async_trait]
impl VehicleAuth for Secrets {
    async fn verify(&self, user: &str, password: &[u8]) -> Option<Principal> {
        if user == ENGINE {
            return same(password, self.engine.as_bytes()).then_some(Principal::Engine);
        }
        let vehicle = VehicleId::new(user).ok()?;
        match self.side.vehicle_credentials(&vehicle).await {
            Ok(Some(known)) => {
                let password = std::str::from_utf8(password).ok()?;
                known.is_password(password).then_some(Principal::Vehicle(vehicle))
            }
            Ok(None) => None,
            Err(error) => {
                tracing::error!(%error, user, "MQTT: nobody is let in while passwords cannot be read");
                None
            }
        }
    }
}

#[async_trait]
impl KeySource for Secrets {
    async fn key(&self, vehicle: &VehicleId) -> Result<Option<Key>, KeyError> {
        let known = self.side.vehicle_credentials(vehicle).await;
        let known = known.map_err(|error| KeyError(error.to_string()))?;
        Ok(known.map(|known| Key::new(known.key)))
    }
}

/// Compared without telling by the time it takes where the difference is.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}
