//! Items, stock and seat maps: what operators put on sale.

use holdfast_domain::{By, Decider, SeatId, SeatMapId, Sku, UserId, inventory, item, seatmap};

use super::target;
use crate::dispatch::Context;
use crate::{Caller, Done, Engine, Rejection, Request};

impl Engine {
    /// Puts an item into the catalogue.
    pub async fn create_item(
        &self,
        request: &Request,
        sku: Sku,
        description: item::Description,
    ) -> Result<Done, Rejection> {
        let command = item::Command::Create { description };
        let work = self.one_command::<item::State>(request, sku.clone(), command);
        self.noted(request, target::<item::State>(&sku), work).await
    }

    /// More of an item is there.
    pub async fn receive_stock(
        &self,
        request: &Request,
        sku: Sku,
        qty: u32,
    ) -> Result<Done, Rejection> {
        let command = inventory::Command::Receive { qty, by: user_of(&request.caller) };
        self.stock(request, sku, command).await
    }

    /// Somebody counted again.
    pub async fn adjust_stock(
        &self,
        request: &Request,
        sku: Sku,
        delta: i64,
        reason: String,
    ) -> Result<Done, Rejection> {
        let by = user_of(&request.caller);
        self.stock(request, sku, inventory::Command::Adjust { delta, reason, by }).await
    }

    async fn stock(
        &self,
        request: &Request,
        sku: Sku,
        command: inventory::Command,
    ) -> Result<Done, Rejection> {
        let stream = target::<inventory::State>(&sku);
        let work = async {
            match self.kind_of(&sku).await? {
                // Their total is the number of vehicles in service (DOMAIN.md C.5).
                item::Kind::VehicleClass => Err(Rejection::InvalidInput(
                    "a vehicle class has as many as there are vehicles in service; register one"
                        .into(),
                )),
                item::Kind::Stock | item::Kind::Ticket => {
                    self.one_command::<inventory::State>(request, sku, command).await
                }
            }
        };
        self.noted(request, stream, work).await
    }

    /// Opens or closes the sale of an item.
    pub async fn set_sales(
        &self,
        request: &Request,
        sku: Sku,
        open: bool,
    ) -> Result<Done, Rejection> {
        let stream = target::<inventory::State>(&sku);
        let work = async {
            self.kind_of(&sku).await?;
            let command = inventory::Command::SetSales { open };
            self.one_command::<inventory::State>(request, sku, command).await
        };
        self.noted(request, stream, work).await
    }

    pub(crate) async fn kind_of(&self, sku: &Sku) -> Result<item::Kind, Rejection> {
        let kind = self.look::<item::State, _>(sku, |item| {
            item.description.as_ref().map(|description| description.kind)
        });
        kind.await?.ok_or(Rejection::NotFound("item"))
    }

    /// Puts a seat map on sale, or changes its plan. The item that its seats claim learns of the map
    /// first: a sku belongs to one map at most, and orders find the map by it.
    pub async fn publish_seat_map(
        &self,
        request: &Request,
        id: SeatMapId,
        plan: seatmap::Plan,
    ) -> Result<Done, Rejection> {
        let stream = target::<seatmap::State>(&id);
        let (engine, asked) = (self.clone(), request.clone());
        let work = self.to_its_end(async move {
            let entered = engine.enter(&asked).await?;
            if let Some(row) = &entered.bound {
                return Ok(Done::before(row));
            }
            let sku = plan.sku.clone();
            let command = seatmap::Command::Publish { plan };
            engine.would_be_refused(&id, &command).await?;
            if let Some(sku) = sku {
                engine.attach_to_item(&asked, &sku, &id).await?;
            }
            let context = Context::of(&asked);
            let recording = engine.record::<seatmap::State>(&asked, &id, command, context).await?;
            Ok(Done { position: recording.position, replayed: recording.replayed })
        });
        self.noted(request, stream, work).await
    }

    /// Asks the rules without recording anything, before something else is recorded on account of it.
    async fn would_be_refused(
        &self,
        id: &SeatMapId,
        command: &seatmap::Command,
    ) -> Result<(), Rejection> {
        let (now, asked, map) = (self.now(), command.clone(), id.clone());
        let judged = self.0.dispatch.look::<seatmap::State, _>(id, move |view| {
            view.state
                .decide(&map, &asked, now)
                .map(drop)
                .map_err(|refusal| (refusal, view.position))
        });
        judged.await?.map_err(|(refusal, as_of)| Rejection::Refused {
            refusal: Box::new(refusal.into()),
            target: id.to_string(),
            as_of,
            suggested: Vec::new(),
        })
    }

    async fn attach_to_item(
        &self,
        request: &Request,
        sku: &Sku,
        id: &SeatMapId,
    ) -> Result<(), Rejection> {
        let command = item::Command::AttachSeatMap { seat_map_id: id.clone() };
        let context = Context::step(request, &["item", sku.as_str()]);
        let attached = self.0.dispatch.order::<item::State>(sku, command, context).await;
        attached.map(drop).map_err(|failed| failed.rejection(sku.as_str()))
    }

    /// Takes seats out of sale.
    pub async fn block_seats(
        &self,
        request: &Request,
        id: SeatMapId,
        seat_ids: Vec<SeatId>,
        reason: String,
    ) -> Result<Done, Rejection> {
        let command = seatmap::Command::Block { seat_ids, reason };
        let stream = target::<seatmap::State>(&id);
        self.noted(request, stream, self.one_command::<seatmap::State>(request, id, command)).await
    }

    /// Puts seats back on sale.
    pub async fn unblock_seats(
        &self,
        request: &Request,
        id: SeatMapId,
        seat_ids: Vec<SeatId>,
    ) -> Result<Done, Rejection> {
        let command = seatmap::Command::Unblock { seat_ids };
        let stream = target::<seatmap::State>(&id);
        self.noted(request, stream, self.one_command::<seatmap::State>(request, id, command)).await
    }
}

/// Whose name stands in an operator's events.
pub(super) fn user_of(caller: &Caller) -> UserId {
    match &caller.by {
        By::Owner(user) | By::Operator(user) => user.clone(),
        By::System => caller.user_id.clone(),
    }
}
