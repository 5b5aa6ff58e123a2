//! From the lines that a customer asks for to what has to be claimed. Prices, limits and policies are
//! looked up here, in the log's own state, and written into the command: after this nothing is looked
//! up any more. What a line may say is the contract's table; anything else is no valid input.

use std::collections::BTreeMap;

use holdfast_domain::item::{self, Description, Kind};
use holdfast_domain::reservation::{Capture, LatePayment, Line, LineKind, OnDecline, Policies};
use holdfast_domain::seatmap::{self, MOST_SEATS_AT_ONCE, Owner, Pick, Seats};
use holdfast_domain::{
    Decider, LimitId, LockId, Period, ReservationId, SeatId, SeatMapId, Sku, Timestamp, UserId,
    derive, process,
};
use holdfast_store::Position;

use crate::{Engine, LineRequest, Rejection, Request};

/// The most lines of one reservation (CONTRACT.md's limits).
const MOST_LINES: usize = 50;

/// Everything that is to be claimed, in the order of claiming.
pub(super) struct Wish {
    /// Lines without seats; those with seats follow from what is got.
    pub(super) lines: Vec<Line>,
    /// Quantity and maximum.
    pub(super) limits: BTreeMap<LimitId, (u32, u32)>,
    pub(super) pools: BTreeMap<Sku, Pool>,
    pub(super) seats: BTreeMap<SeatMapId, WantedSeats>,
    /// The class of a vehicle that is wanted now; one for a period is assigned when that begins.
    pub(super) vehicle: Option<Sku>,
    pub(super) policies: Policies,
}

/// What is asked of a pool.
pub(super) struct Pool {
    /// How many: one sum, since two lines may share a pool (medusa#16502).
    pub(super) asked: Vec<u32>,
    pub(super) period: Option<Period>,
    pub(super) consumed: bool,
}

/// What is asked of a seat map.
pub(super) struct WantedSeats {
    pub(super) seats: Seats,
    /// The item whose quota they claim.
    pub(super) sku: Option<Sku>,
    /// Whether they were chosen here: then others will do.
    pub(super) chosen: bool,
}

/// One line's part of a map.
#[derive(Clone)]
enum Part {
    Lock(LockId),
    Named(Vec<SeatId>),
    Best(Pick),
}

/// Builds a wish up line by line.
struct Builder<'a> {
    engine: &'a Engine,
    user: UserId,
    lines: Vec<Line>,
    limits: BTreeMap<LimitId, (u32, u32)>,
    pools: BTreeMap<Sku, Pool>,
    parts: BTreeMap<SeatMapId, Vec<Part>>,
    /// The strictest so far; none before the first line.
    policies: Option<(OnDecline, LatePayment)>,
    vehicles: u32,
    vehicle: Option<Sku>,
    remote_unlock: bool,
}

fn invalid<T>(why: &str) -> Result<T, Rejection> {
    Err(Rejection::InvalidInput(why.into()))
}

impl Engine {
    pub(super) async fn wish(
        &self,
        request: &Request,
        id: &ReservationId,
        lines: &[LineRequest],
    ) -> Result<Wish, Rejection> {
        if lines.is_empty() || lines.len() > MOST_LINES {
            return invalid("a reservation has 1 to 50 lines");
        }
        let mut builder = Builder {
            engine: self,
            user: request.caller.user_id.clone(),
            lines: Vec::new(),
            limits: BTreeMap::new(),
            pools: BTreeMap::new(),
            parts: BTreeMap::new(),
            policies: None,
            vehicles: 0,
            vehicle: None,
            remote_unlock: true,
        };
        for line in lines {
            builder.line(line).await?;
        }
        builder.done(id).await
    }
}

impl Builder<'_> {
    async fn line(&mut self, line: &LineRequest) -> Result<(), Rejection> {
        match line {
            LineRequest::Lock { seat_map_id, lock_id } => {
                self.part(seat_map_id, Part::Lock(*lock_id));
            }
            LineRequest::Seats { seat_map_id, seat_ids } => {
                self.part(seat_map_id, Part::Named(seat_ids.clone()));
            }
            LineRequest::Best { seat_map_id, pick } => {
                if pick.quantity == 0 || pick.quantity as usize > MOST_SEATS_AT_ONCE {
                    return invalid("ask for 1 to 50 seats");
                }
                self.part(seat_map_id, Part::Best(pick.clone()));
            }
            LineRequest::Item { sku, quantity, seat_ids, section, period } => {
                let seats = (seat_ids.as_slice(), section.as_ref());
                self.item(sku, *quantity, seats, *period).await?;
            }
        }
        Ok(())
    }

    fn part(&mut self, map: &SeatMapId, part: Part) {
        self.parts.entry(map.clone()).or_default().push(part);
    }

    async fn item(
        &mut self,
        sku: &Sku,
        quantity: u32,
        (seat_ids, section): (&[SeatId], Option<&String>),
        period: Option<Period>,
    ) -> Result<(), Rejection> {
        let (description, map) = self.described(sku).await?;
        if quantity == 0 {
            return invalid("ask for at least one");
        }
        if period.is_some() && description.kind != Kind::VehicleClass {
            return invalid("only vehicles are had for a period");
        }
        if let (Kind::Ticket, Some(map)) = (description.kind, &map) {
            // The map's seats claim the item's quota and limit; the price is the seats'.
            let part = if seat_ids.is_empty() {
                if quantity as usize > MOST_SEATS_AT_ONCE {
                    return invalid("ask for 1 to 50 seats");
                }
                Part::Best(Pick { quantity, section: section.cloned(), category: None })
            } else if seat_ids.len() == quantity as usize {
                Part::Named(seat_ids.to_vec())
            } else {
                return invalid("the quantity must be the number of seats");
            };
            self.part(map, part);
            return Ok(());
        }
        if !seat_ids.is_empty() || section.is_some() {
            return invalid("this item has no seats");
        }
        let (kind, consumed) = match description.kind {
            Kind::Stock => (LineKind::Stock, true),
            Kind::Ticket => (LineKind::Ticket, false),
            Kind::VehicleClass => {
                self.vehicles += 1;
                if self.vehicles > 1 || quantity > 1 {
                    return invalid("at most one vehicle in a reservation");
                }
                self.vehicle = period.is_none().then(|| sku.clone());
                self.remote_unlock = description.remote_unlock;
                (LineKind::Vehicle, false)
            }
        };
        if let Some(period) = period {
            period
                .checked(Period::LONGEST)
                .map_err(|error| Rejection::InvalidInput(error.to_string()))?;
        }
        self.claim(sku, &description, quantity, period, consumed)?;
        self.lines.push(Line {
            line_id: 0,
            kind,
            sku: Some(sku.clone()),
            quantity,
            seat_map_id: None,
            seat_ids: Vec::new(),
            period,
            vehicle_id: None,
            unit_price: description.price,
        });
        Ok(())
    }

    /// An item's description, and the map whose seats claim it.
    async fn described(&self, sku: &Sku) -> Result<(Description, Option<SeatMapId>), Rejection> {
        let item = self.engine.look::<item::State, _>(sku, |item| {
            Some((item.description.clone()?, item.seat_map_id.clone()))
        });
        item.await?.ok_or(Rejection::NotFound("item"))
    }

    /// Adds to what is claimed of an item's pool and of the customer's limit.
    fn claim(
        &mut self,
        sku: &Sku,
        description: &Description,
        quantity: u32,
        period: Option<Period>,
        consumed: bool,
    ) -> Result<(), Rejection> {
        let too_many = || Rejection::InvalidInput("that is more than can be counted".into());
        let summed = self.engine.0.house.protections.summed_lines;
        let pool = self.pools.entry(sku.clone());
        let pool = pool.or_insert_with(|| Pool { asked: Vec::new(), period, consumed });
        let sum = pool.asked.iter().try_fold(quantity, |sum, asked| sum.checked_add(*asked));
        let sum = sum.ok_or_else(too_many)?;
        if summed {
            pool.asked = vec![sum];
        } else {
            pool.asked.push(quantity);
        }
        if let Some(max) = description.max_per_user {
            let limit = LimitId { sku: sku.clone(), user_id: self.user.clone() };
            self.limits.insert(limit, (sum, max));
        }
        self.strictest(description.on_decline, description.late_payment);
        Ok(())
    }

    fn strictest(&mut self, on_decline: OnDecline, late_payment: LatePayment) {
        let so_far = self.policies.unwrap_or((on_decline, late_payment));
        self.policies = Some((so_far.0.max(on_decline), so_far.1.max(late_payment)));
    }

    async fn done(mut self, id: &ReservationId) -> Result<Wish, Rejection> {
        let mut seats = BTreeMap::new();
        for (map, parts) in std::mem::take(&mut self.parts) {
            let found = self.seats_of(id, &map, parts).await?;
            match &found.wanted.sku {
                Some(sku) => {
                    let (description, _) = self.described(sku).await?;
                    self.claim(sku, &description, found.count, None, false)?;
                }
                None => self.strictest(OnDecline::default(), LatePayment::default()),
            }
            seats.insert(map, found.wanted);
        }
        let (on_decline, late_payment) = self.policies.unwrap_or_default();
        let capture = if self.vehicles > 0 { Capture::OnCompletion } else { Capture::OnConfirm };
        Ok(Wish {
            lines: self.lines,
            limits: self.limits,
            pools: self.pools,
            seats,
            vehicle: self.vehicle,
            policies: Policies {
                on_decline,
                late_payment,
                capture,
                remote_unlock: self.remote_unlock,
            },
        })
    }

    /// What all lines of one map ask for together: a reservation has one claim there.
    async fn seats_of(
        &self,
        id: &ReservationId,
        map: &SeatMapId,
        parts: Vec<Part>,
    ) -> Result<Found, Rejection> {
        let (id, user, now) = (*id, self.user.clone(), self.engine.now());
        let found = self.engine.0.dispatch.look::<seatmap::State, _>(map, move |view| {
            together(view.state, &parts, (id, &user), now).map_err(|no| (no, view.position))
        });
        found.await?.map_err(|(no, as_of)| no.rejection(map, as_of))
    }
}

struct Found {
    wanted: WantedSeats,
    count: u32,
}

/// Why the lines of a map cannot be met.
enum No {
    Refused(seatmap::Refusal),
    Missing,
    Invalid(&'static str),
}

impl No {
    fn rejection(self, map: &SeatMapId, as_of: Position) -> Rejection {
        match self {
            Self::Refused(refusal) => Rejection::Refused {
                refusal: Box::new(process::Refusal::SeatMap(refusal)),
                target: map.to_string(),
                as_of,
                suggested: Vec::new(),
            },
            Self::Missing => Rejection::NotFound("seat map"),
            Self::Invalid(why) => Rejection::InvalidInput(why.into()),
        }
    }
}

fn together(
    state: &seatmap::State,
    parts: &[Part],
    (id, user): (ReservationId, &UserId),
    now: Timestamp,
) -> Result<Found, No> {
    let sku = state.plan().ok_or(No::Missing)?.sku.clone();
    let found = |seats, count: usize, chosen| Found {
        wanted: WantedSeats { seats, sku: sku.clone(), chosen },
        count: u32::try_from(count).unwrap_or(u32::MAX),
    };
    // An earlier attempt of the same reservation has taken them already: carry on with those.
    let mine = state.seats_of(Owner::Reservation(id));
    let live_lock = |lock| {
        let lock = state.lock(lock).filter(|lock| lock.user_id == user && now < lock.expires_at);
        lock.map(|lock| lock.seats).ok_or(No::Refused(seatmap::Refusal::NotHeld))
    };
    match parts {
        [Part::Lock(lock)] if mine.is_empty() => {
            let count = live_lock(lock)?.len();
            Ok(found(Seats::OfLock(*lock), count, false))
        }
        [Part::Lock(lock)] => Ok(found(Seats::OfLock(*lock), mine.len(), false)),
        [Part::Named(seats)] => Ok(found(Seats::Named(seats.clone()), seats.len(), false)),
        [Part::Best(pick)] => Ok(found(Seats::Best(pick.clone()), pick.quantity as usize, false)),
        _ if !mine.is_empty() => {
            let count = mine.len();
            Ok(found(Seats::Named(mine), count, false))
        }
        parts => {
            let mut all: Vec<SeatId> = Vec::new();
            // What is named comes first; then seats are chosen among what is left.
            let (best, named): (Vec<&Part>, Vec<&Part>) =
                parts.iter().partition(|part| matches!(part, Part::Best(_)));
            for part in named {
                match part {
                    Part::Lock(lock) => all.extend(live_lock(lock)?),
                    Part::Named(seats) => all.extend(seats.iter().cloned()),
                    Part::Best(_) => {}
                }
            }
            let chosen = !best.is_empty();
            let mut left = state.clone();
            set_aside(&mut left, user, &all, now);
            for part in best {
                let Part::Best(pick) = part else { continue };
                let seats = left.best(pick, now).ok_or(No::Refused(seatmap::Refusal::NoSeats))?;
                set_aside(&mut left, user, &seats, now);
                all.extend(seats);
            }
            let wanted = all.len();
            all.sort();
            all.dedup();
            if all.len() < wanted {
                return Err(No::Invalid("two lines name the same seat; name it once"));
            }
            let count = all.len();
            Ok(found(Seats::Named(all), count, chosen))
        }
    }
}

/// Takes seats out of what can still be chosen, on a copy of the map that nobody else sees.
fn set_aside(state: &mut seatmap::State, user: &UserId, seats: &[SeatId], now: Timestamp) {
    let is_free = |seat: &&SeatId| state.seat(seat).is_some_and(|seat| seat.is_free_at(now));
    let mut free: Vec<SeatId> = seats.iter().filter(is_free).cloned().collect();
    free.sort();
    free.dedup();
    let first = free.first().map_or("", SeatId::as_str).to_owned();
    let command = seatmap::Command::Lock {
        lock_id: LockId(derive(&["set aside", &first])),
        user_id: user.clone(),
        seats: Seats::Named(free),
        expires_at: now.plus(std::time::Duration::from_secs(1)),
    };
    let map = SeatMapId::new("copy").expect("a name");
    // What cannot be set aside is refused when it is really asked for.
    for event in state.decide(&map, &command, now).unwrap_or_default() {
        state.evolve(&event);
    }
}
