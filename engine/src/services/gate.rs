//! At the gate: somebody shows a ticket.

use holdfast_domain::{TicketId, ticket};

use super::target;
use crate::dispatch::Context;
use crate::{CheckIn, Done, Engine, Rejection, Request};

impl Engine {
    /// Lets the holder of a ticket in; the same nonce again is the same entry.
    pub async fn check_in(
        &self,
        request: &Request,
        check_in: CheckIn,
    ) -> Result<(TicketId, ticket::State, Done), Rejection> {
        let CheckIn { ticket_id, nonce, gate } = check_in;
        let work = async {
            let entered = self.enter(request).await?;
            let done = match &entered.bound {
                Some(row) => Done::before(row),
                None => {
                    let command = ticket::Command::CheckIn { nonce, gate };
                    let context = Context::of(request);
                    let recording =
                        self.record::<ticket::State>(request, &ticket_id, command, context).await?;
                    Done { position: recording.position, replayed: recording.replayed }
                }
            };
            let loaded = self.load::<ticket::State>(&ticket_id).await?;
            Ok((ticket_id, loaded.state, done))
        };
        self.noted(request, target::<ticket::State>(&ticket_id), work).await
    }
}
