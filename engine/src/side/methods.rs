//! Tokens of customers' payment methods: never in an event, never in a log; here until they are used.

use holdfast_domain::Timestamp;
use uuid::Uuid;

use super::{Side, SideError, blob};

impl Side {
    /// Keeps a token under the command that brought it, before that command is recorded.
    pub(crate) async fn put_method(
        &self,
        command_id: Uuid,
        token: &str,
        now: Timestamp,
    ) -> Result<(), SideError> {
        sqlx::query(
            "INSERT INTO payment_methods (command_id, token, at) VALUES (?, ?, ?)
             ON CONFLICT (command_id) DO UPDATE SET token = excluded.token, at = excluded.at",
        )
        .bind(blob(command_id))
        .bind(token)
        .bind(now.micros())
        .execute(&self.write)
        .await?;
        Ok(())
    }

    /// The token that a command brought, unless it was used.
    pub(crate) async fn method(&self, command_id: Uuid) -> Result<Option<String>, SideError> {
        let row: Option<(String,)> =
            sqlx::query_as("SELECT token FROM payment_methods WHERE command_id = ?")
                .bind(blob(command_id))
                .fetch_optional(&self.write)
                .await?;
        Ok(row.map(|(token,)| token))
    }

    /// It was used, or will never be: it is overwritten.
    pub(crate) async fn forget_method(&self, command_id: Uuid) -> Result<(), SideError> {
        sqlx::query("DELETE FROM payment_methods WHERE command_id = ?")
            .bind(blob(command_id))
            .execute(&self.write)
            .await?;
        Ok(())
    }
}
