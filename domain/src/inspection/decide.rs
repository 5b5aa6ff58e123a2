//! What may be asked when.

use super::State;
use super::command::{Command, Refusal};
use super::event::Event;
use crate::{InspectionId, Timestamp};

impl State {
    pub(super) fn judge(
        &self,
        _: &InspectionId,
        command: &Command,
        _: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        match command {
            Command::Submit { .. }
            | Command::Approve { .. }
            | Command::Reject { .. }
            | Command::Dispute { .. }
            | Command::Waive { .. }
            | Command::RecordCharged { .. }
            | Command::RecordChargeFailed { .. } => Err(Refusal::NotFound),
        }
    }
}
