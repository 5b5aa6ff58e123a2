//! Tickets: what is shown at the gate.

use async_graphql::{ComplexObject, Context, Enum, ID, SimpleObject};
use holdfast_domain::{SeatMapId, Sku, TicketId};
use holdfast_projections::TicketRow;

use super::common::Asking;
use crate::code::{self, Code};
use crate::names;

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "holdfast_projections::TicketStatus")]
pub(crate) enum TicketStatus {
    Valid,
    CheckedIn,
    Revoked,
}

/// qrPayload verifies offline with the published Ed25519 key; qrSvg is the picture.
#[derive(SimpleObject, Clone)]
#[graphql(complex)]
pub(crate) struct Ticket {
    #[graphql(owned)]
    pub(crate) id: ID,
    status: TicketStatus,
    seat_id: Option<ID>,
    sku: Option<ID>,
    #[graphql(skip)]
    raw: TicketId,
    #[graphql(skip)]
    show: (Option<SeatMapId>, Option<Sku>),
}

#[ComplexObject]
impl Ticket {
    async fn qr_payload(&self, ctx: &Context<'_>) -> String {
        self.payload(ctx)
    }

    #[graphql(complexity = 5)]
    async fn qr_svg(&self, ctx: &Context<'_>) -> String {
        code::svg(&self.payload(ctx))
    }
}

impl Ticket {
    fn payload(&self, ctx: &Context<'_>) -> String {
        let event_id = code::event_id(self.show.0.as_ref(), self.show.1.as_ref());
        ctx.door().config.tickets.sign(Code { ticket_id: self.raw, event_id })
    }

    /// The same ticket in another state.
    pub(crate) fn with_status(mut self, status: TicketStatus) -> Self {
        self.status = status;
        self
    }
}

impl From<TicketRow> for Ticket {
    fn from(row: TicketRow) -> Self {
        Self {
            id: names::ticket(&row.id).into(),
            status: row.status.into(),
            seat_id: row.seat_id.map(|seat| ID(seat.into())),
            sku: row.sku.as_ref().map(|sku| sku.as_str().into()),
            raw: row.id,
            show: (row.seat_map_id, row.sku),
        }
    }
}
