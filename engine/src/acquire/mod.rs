//! Holding several things at once. Claims are taken one by one in one global order, each with its own
//! deadline; then the reservation is recorded. DOMAIN.md C.1, *Acquisition*.
//!
//! ```text
//!   limits ─► pools, by sku ─► seat maps, by id ─► vehicle ─► PlaceHold ─► held
//!      │           │                │                │            │
//!      └───────────┴── refused ─────┴────────────────┴────────────┘
//!                        │
//!           take this attempt's name off, in reverse order
//! ```
//!
//! One order for everybody: no two acquisitions ever wait for each other in a circle. A crash in
//! between leaves claims that lapse by themselves; the customer's retry has the same reservation id and
//! carries on. A retry may run beside an attempt that is only paused: each has a name of its own.

mod assign;
mod vehicle;
mod wish;

use holdfast_domain::reservation::{self, Channel, Claim, Line, LineKind};
use holdfast_domain::seatmap::{self, Owner, Seats};
use holdfast_domain::{
    AttemptId, LimitId, Money, ReservationId, SeatId, SeatMapId, Sku, Timestamp, VehicleId,
    inventory, limit,
};

use crate::dispatch::{Context, FIRST_EPOCH, Failed};
use crate::{Done, Engine, LineRequest, Rejection, Request};
pub(crate) use assign::Assignment;
use wish::{Pool, Wish};

/// How often seats are chosen anew because somebody took one of them meanwhile.
const CHOICES: usize = 4;

/// A claim that was taken, to be given back when the next one is refused.
enum Taken {
    Limit(LimitId),
    Pool(Sku),
    Seats(SeatMapId),
    Vehicle(VehicleId),
}

/// One run of an acquisition.
struct Attempt<'a> {
    engine: &'a Engine,
    request: &'a Request,
    id: ReservationId,
    name: AttemptId,
    /// The claims' own deadline.
    until: Timestamp,
    taken: Vec<Taken>,
}

impl Engine {
    /// Takes everything that the lines ask for and records the hold, or takes nothing.
    pub(crate) async fn acquire(
        &self,
        request: &Request,
        id: ReservationId,
        lines: Vec<LineRequest>,
        channel: Channel,
    ) -> Result<Done, Rejection> {
        let mut choices = 0;
        loop {
            let wish = self.wish(request, &id, &lines).await?;
            let chosen_here = wish.seats.values().any(|seats| seats.chosen);
            let outcome = self.attempt(request, id, wish, channel).await;
            choices += 1;
            // Seats that were chosen for the customer may be gone; others will do.
            match outcome {
                Err(rejection) if chosen_here && choices < CHOICES && seats_gone(&rejection) => {}
                outcome => return outcome,
            }
        }
    }

    async fn attempt(
        &self,
        request: &Request,
        id: ReservationId,
        wish: Wish,
        channel: Channel,
    ) -> Result<Done, Rejection> {
        let now = self.now();
        let deadline = now.plus(self.settings().hold_ttl);
        let cap = now.plus(self.settings().absolute_cap).max(deadline);
        let name = AttemptId(self.0.house.ids.fresh());
        let until = deadline.plus(self.grace());
        let mut attempt = Attempt { engine: self, request, id, name, until, taken: Vec::new() };
        let taken = attempt.take(wish).await;
        let placed = match taken {
            Ok((lines, claims, policies)) => {
                let command = reservation::Command::PlaceHold {
                    user_id: request.caller.user_id.clone(),
                    lines,
                    claims,
                    hold_expires_at: deadline,
                    absolute_deadline: cap,
                    channel,
                    policies,
                };
                // One moment for both: the hold lasts its time to the microsecond.
                let context = Context::of(request).about(Some(id)).at(now);
                self.record::<reservation::State>(request, &id, command, context).await
            }
            Err(rejection) => Err(rejection),
        };
        match placed {
            Ok(recording) => {
                if recording.replayed {
                    attempt.give_back_another_vehicle().await;
                }
                Ok(Done { position: recording.position, replayed: recording.replayed })
            }
            // It may be held all the same; what is not lapses.
            Err(unknown @ Rejection::OutcomeUnknown(_)) => Err(unknown),
            Err(rejection) => {
                attempt.withdraw().await;
                Err(rejection)
            }
        }
    }
}

type Held = (Vec<Line>, Vec<Claim>, reservation::Policies);

impl Attempt<'_> {
    /// Takes claim by claim; the lines and claims say what was got.
    async fn take(&mut self, wish: Wish) -> Result<Held, Rejection> {
        let Wish { mut lines, limits, pools, seats, vehicle, policies } = wish;
        let mut claims = Vec::new();
        for (limit, (quantity, max)) in limits {
            self.take_limit(&limit, quantity, max).await?;
            claims.push(Claim::Limit { r#ref: limit, quantity, max });
        }
        for (sku, Pool { asked, period, consumed }) in pools {
            // More than one only where a test's twin has taken the summing away.
            for quantity in &asked {
                self.take_pool(&sku, *quantity, period).await?;
            }
            let quantity = asked.iter().sum();
            claims.push(Claim::Inventory { r#ref: sku, quantity, period, consumed });
        }
        for (map, wanted) in seats {
            let got = self.take_seats(&map, wanted.seats).await?;
            let mut seat_ids: Vec<SeatId> = got.iter().map(|(seat, _)| seat.clone()).collect();
            seat_ids.sort();
            lines.extend(by_price(&map, wanted.sku, got));
            claims.push(Claim::SeatMap { r#ref: map, seat_ids });
        }
        if let Some(class) = vehicle {
            let got = self.take_vehicle(&class).await?;
            let line = lines.iter_mut().find(|line| line.kind == LineKind::Vehicle);
            if let Some(line) = line {
                line.vehicle_id = Some(got.clone());
            }
            claims.push(Claim::Vehicle { r#ref: got });
        }
        for (number, line) in (1..).zip(&mut lines) {
            line.line_id = number;
        }
        Ok((lines, claims, policies))
    }

    async fn take_limit(&mut self, id: &LimitId, qty: u32, max: u32) -> Result<(), Rejection> {
        let command = limit::Command::Take {
            reservation_id: self.id,
            qty,
            max,
            expires_at: self.until,
            epoch: FIRST_EPOCH,
            attempt: self.name,
        };
        let context = self.context("limit", &id.to_string());
        let outcome = self.engine.0.dispatch.order::<limit::State>(id, command, context).await;
        self.took(outcome.map(drop), Taken::Limit(id.clone()), id.sku.as_str())
    }

    async fn take_pool(
        &mut self,
        sku: &Sku,
        qty: u32,
        period: Option<holdfast_domain::Period>,
    ) -> Result<(), Rejection> {
        let command = inventory::Command::Hold {
            reservation_id: self.id,
            qty,
            expires_at: self.until,
            epoch: FIRST_EPOCH,
            attempt: self.name,
            period,
        };
        let number = self.taken.len().to_string();
        let context = self.context(&number, sku.as_str());
        let outcome = self.engine.0.dispatch.order::<inventory::State>(sku, command, context).await;
        self.took(outcome.map(drop), Taken::Pool(sku.clone()), sku.as_str())
    }

    /// Attaches seats and says which, with their prices.
    async fn take_seats(
        &mut self,
        map: &SeatMapId,
        seats: Seats,
    ) -> Result<Vec<(SeatId, Money)>, Rejection> {
        let command = seatmap::Command::Attach {
            reservation_id: self.id,
            user_id: self.request.caller.user_id.clone(),
            seats,
            expires_at: self.until,
            epoch: FIRST_EPOCH,
            attempt: self.name,
        };
        let context = self.context("seats", map.as_str());
        let outcome = self.engine.0.dispatch.order::<seatmap::State>(map, command, context).await;
        self.took(outcome.map(drop), Taken::Seats(map.clone()), map.as_str())?;
        let id = self.id;
        let got = self.engine.look::<seatmap::State, _>(map, move |state| {
            let seats = state.seats_of(Owner::Reservation(id));
            seats
                .into_iter()
                .filter_map(|seat| Some((seat.clone(), state.price_of(&seat)?)))
                .collect()
        });
        got.await
    }

    /// A command of this attempt: named after it, so that each attempt leaves its own name.
    fn context(&self, what: &str, which: &str) -> Context {
        let name = self.name.to_string();
        Context::step(self.request, &["claim", &name, what, which]).about(Some(self.id))
    }

    fn took(
        &mut self,
        outcome: Result<(), Failed>,
        taken: Taken,
        target: &str,
    ) -> Result<(), Rejection> {
        match outcome {
            Ok(()) => {
                self.taken.push(taken);
                Ok(())
            }
            Err(refused @ Failed::Refused(..)) => Err(refused.rejection(target)),
            // Perhaps it was taken: then this attempt's name comes off with the others.
            Err(failed @ (Failed::Rejected(_) | Failed::Broken(_))) => {
                self.taken.push(taken);
                Err(failed.rejection(target))
            }
        }
    }

    /// Takes this attempt's name off what it has taken, in reverse order. What cannot be reached now
    /// lapses at its own deadline.
    async fn withdraw(&mut self) {
        if !self.engine.0.house.protections.withdraw {
            return;
        }
        let (reservation_id, attempt) = (self.id, self.name);
        while let Some(taken) = self.taken.pop() {
            let number = self.taken.len().to_string();
            let dispatch = &self.engine.0.dispatch;
            let outcome = match &taken {
                Taken::Limit(id) => {
                    let command = limit::Command::Withdraw { reservation_id, attempt };
                    let context = self.context("withdraw", &format!("{number}/{id}"));
                    dispatch.order::<limit::State>(id, command, context).await.map(drop)
                }
                Taken::Pool(sku) => {
                    let command = inventory::Command::Withdraw { reservation_id, attempt };
                    let context = self.context("withdraw", &format!("{number}/{sku}"));
                    dispatch.order::<inventory::State>(sku, command, context).await.map(drop)
                }
                Taken::Seats(map) => {
                    let command = seatmap::Command::Withdraw { reservation_id, attempt };
                    let context = self.context("withdraw", &format!("{number}/{map}"));
                    dispatch.order::<seatmap::State>(map, command, context).await.map(drop)
                }
                Taken::Vehicle(id) => self.withdraw_vehicle(id, &number).await,
            };
            if let Err(failed) = outcome {
                tracing::warn!(reservation = %reservation_id, ?failed, "a claim is left to lapse");
            }
        }
    }
}

fn seats_gone(rejection: &Rejection) -> bool {
    use holdfast_domain::process::Refusal;
    match rejection {
        Rejection::Refused { refusal, .. } => {
            matches!(**refusal, Refusal::SeatMap(seatmap::Refusal::SeatsTaken(_)))
        }
        Rejection::NotFound(_)
        | Rejection::InvalidInput(_)
        | Rejection::TooManyHolds { .. }
        | Rejection::VersionConflict { .. }
        | Rejection::Vehicle { .. }
        | Rejection::KeyReused
        | Rejection::InFlight
        | Rejection::Unavailable(_)
        | Rejection::OutcomeUnknown(_) => false,
    }
}

/// Seats of one price are one line; the dearest first.
fn by_price(map: &SeatMapId, sku: Option<Sku>, got: Vec<(SeatId, Money)>) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for (seat, price) in got {
        match lines.iter_mut().find(|line| line.unit_price == price) {
            Some(line) => line.seat_ids.push(seat),
            None => lines.push(Line {
                line_id: 0,
                kind: LineKind::Seat,
                sku: sku.clone(),
                quantity: 0,
                seat_map_id: Some(map.clone()),
                seat_ids: vec![seat],
                period: None,
                vehicle_id: None,
                unit_price: price,
            }),
        }
    }
    lines.sort_by_key(|line| std::cmp::Reverse(line.unit_price.amount_minor));
    for line in &mut lines {
        line.seat_ids.sort();
        line.quantity = u32::try_from(line.seat_ids.len()).unwrap_or(u32::MAX);
    }
    lines
}
