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
        let (engine, asked) = (self.clone(), request.clone());
        let work = self.to_its_end(async move {
            let entered = engine.enter(&asked).await?;
            let done = match &entered.bound {
                Some(row) => Done::before(row),
                None => {
                    let command = ticket::Command::CheckIn { nonce, gate };
                    let context = Context::of(&asked);
                    let recording = engine
                        .record::<ticket::State>(&asked, &ticket_id, command, context)
                        .await?;
                    Done { position: recording.position, replayed: recording.replayed }
                }
            };
            let loaded = engine.load::<ticket::State>(&ticket_id).await?;
            Ok((ticket_id, loaded.state, done))
        });
        self.noted(request, target::<ticket::State>(&ticket_id), work).await
    }
}
