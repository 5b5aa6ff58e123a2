//! By what a vehicle and we know each other: its password at the broker, of which a hash is kept, and the
//! key under which commands and answers are signed. Both are 256 bits of chance: no guess finds them, so
//! a plain hash will do.
//!
//! Nothing here is derived: a lost file means new credentials for every vehicle.

use holdfast_domain::{Timestamp, VehicleId};
use sha2::{Digest, Sha256};

use super::{Side, SideError};

/// How a stored hash begins.
const SCHEME: &str = "sha256:";

/// What is kept of a vehicle's credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct VehicleCredentials {
    /// `sha256:` and the password's hash in hex.
    pub password_hash: String,
    /// What commands and answers are signed with.
    pub key: [u8; 32],
}

/// New credentials: told once, to whoever builds them into the vehicle.
#[derive(Clone, PartialEq, Eq)]
pub struct NewCredentials {
    /// 43 letters of URL-safe base64.
    pub password: String,
    /// What commands and answers are signed with.
    pub key: [u8; 32],
}

// Secrets do not belong into logs.
impl std::fmt::Debug for VehicleCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VehicleCredentials").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for NewCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewCredentials").finish_non_exhaustive()
    }
}

impl VehicleCredentials {
    /// Whether that is the password. Takes the same time whatever it is.
    pub fn is_password(&self, password: &str) -> bool {
        let (mine, theirs) = (self.password_hash.as_bytes(), hash(password));
        let differences = mine.iter().zip(theirs.as_bytes()).fold(0, |sum, (a, b)| sum | (a ^ b));
        mine.len() == theirs.len() && differences == 0
    }
}

impl Side {
    /// A vehicle's credentials, as they are now; none: nobody has made any.
    pub async fn vehicle_credentials(
        &self,
        id: &VehicleId,
    ) -> Result<Option<VehicleCredentials>, SideError> {
        let row: Option<(String, Vec<u8>)> = sqlx::query_as(
            "SELECT password_hash, key FROM vehicle_credentials WHERE vehicle_id = ?",
        )
        .bind(id.as_str())
        .fetch_optional(&self.read)
        .await?;
        let Some((password_hash, key)) = row else { return Ok(None) };
        let key = key.try_into().map_err(|key: Vec<u8>| SideError::Row {
            table: "vehicle_credentials",
            why: format!("the key of {id} has {} bytes", key.len()),
        })?;
        Ok(Some(VehicleCredentials { password_hash, key }))
    }

    /// Makes new credentials for a vehicle; those that it had are worth nothing from now on.
    pub async fn rotate_vehicle_credentials(
        &self,
        id: &VehicleId,
        now: Timestamp,
    ) -> Result<NewCredentials, SideError> {
        let (password, key) = (chance()?, chance()?);
        let password = data_encoding::BASE64URL_NOPAD.encode(&password);
        sqlx::query(
            "INSERT INTO vehicle_credentials (vehicle_id, password_hash, key, at)
             VALUES (?, ?, ?, ?) ON CONFLICT (vehicle_id) DO UPDATE SET
             password_hash = excluded.password_hash, key = excluded.key, at = excluded.at",
        )
        .bind(id.as_str())
        .bind(hash(&password))
        .bind(key.as_slice())
        .bind(now.micros())
        .execute(&self.write)
        .await?;
        Ok(NewCredentials { password, key })
    }
}

fn hash(password: &str) -> String {
    let hash = Sha256::digest(password.as_bytes());
    format!("{SCHEME}{}", data_encoding::HEXLOWER.encode(&hash))
}

fn chance() -> Result<[u8; 32], SideError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| SideError::NoChance(error.to_string()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn rotated_credentials_count_at_once_also_for_those_who_have_the_file_open() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("side.sqlite");
        let (server, tool) =
            (Side::open(&path).await.expect("new"), Side::open(&path).await.expect("there"));
        let id = VehicleId::new("van-7").expect("a name");
        assert_eq!(server.vehicle_credentials(&id).await.expect("readable"), None);
        let now = Timestamp::from_secs(1);
        let first = tool.rotate_vehicle_credentials(&id, now).await.expect("room");
        let known = server.vehicle_credentials(&id).await.expect("readable").expect("made");
        assert_eq!(known.key, first.key);
        assert!(known.is_password(&first.password) && !known.is_password("guess"));
        assert!(!known.password_hash.contains(&first.password));
        let second = tool.rotate_vehicle_credentials(&id, now).await.expect("room");
        let known = server.vehicle_credentials(&id).await.expect("readable").expect("made");
        assert!(known.is_password(&second.password) && !known.is_password(&first.password));
        assert_ne!(first.key, second.key);
    }
}
