//! What a consumer could not do is parked as facts of its own, in `deadletter-{consumer}`.

use holdfast_domain::Timestamp;
use holdfast_domain::process::Ask;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What may have happened to a dead letter. Stored as `deadletter.{kebab}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "each variant's line explains its fields")]
pub enum DeadLetterEvent {
    /// An ask failed too often. `id` names the letter; `position` is that of the event it came from.
    Parked {
        id: Uuid,
        position: u64,
        event_id: Uuid,
        /// As the program that parked it understood it: for a redrive by the same program.
        #[schemars(with = "Option<serde_json::Value>")]
        ask: Option<Box<Ask>>,
        error: String,
        attempts: u32,
        first_failed_at: Timestamp,
        last_failed_at: Timestamp,
        /// The lane that it was taken out of.
        correlation_id: Option<String>,
    },
    /// An operator asked for it again.
    Redriven { id: Uuid, by: String },
    /// It was done after all.
    Settled { id: Uuid },
}
