//! Inputs of mutations, and what they mean to the engine.

use async_graphql::{Enum, ID, InputObject};
use holdfast_domain::{SeatId, SeatMapId, Sku, item, reservation, seatmap};
use holdfast_engine::{LineRequest, LockSeats, StartPayment};

use super::common::{MoneyInput, PeriodInput};
use super::item::ItemKind;
use crate::names;
use crate::no::No;

/// Seats of one request.
const MOST_SEATS: usize = 50;
/// Lines of one reservation.
const MOST_LINES: usize = 50;

#[derive(InputObject)]
pub(crate) struct AutoAssignInput {
    quantity: i32,
    section: Option<String>,
    category: Option<String>,
}

impl AutoAssignInput {
    fn read(self) -> Result<seatmap::Pick, No> {
        let Self { quantity, section, category } = self;
        Ok(seatmap::Pick { quantity: count(quantity)?, section, category })
    }
}

#[derive(InputObject)]
pub(crate) struct LockSeatsInput {
    pub(crate) idempotency_key: String,
    seat_map_id: ID,
    seat_ids: Option<Vec<ID>>,
    auto_assign: Option<AutoAssignInput>,
    /// Ask for other seats when these are taken.
    suggest: Option<bool>,
}

impl LockSeatsInput {
    pub(crate) fn read(self) -> Result<LockSeats, No> {
        let seats = match (self.seat_ids, self.auto_assign) {
            (Some(seats), None) => seatmap::Seats::Named(seat_ids(&seats)?),
            (None, Some(wish)) => seatmap::Seats::Best(wish.read()?),
            (Some(_), Some(_)) | (None, None) => {
                return Err(No::invalid("name seatIds or ask for autoAssign, one of the two"));
            }
        };
        let seat_map_id = seat_map_id(&self.seat_map_id)?;
        Ok(LockSeats { seat_map_id, seats, suggest: self.suggest.unwrap_or(false) })
    }
}

#[derive(InputObject)]
pub(crate) struct ReservationLineInput {
    sku: Option<ID>,
    quantity: Option<i32>,
    seat_map_id: Option<ID>,
    seat_ids: Option<Vec<ID>>,
    auto_assign: Option<AutoAssignInput>,
    lock_id: Option<ID>,
    period: Option<PeriodInput>,
}

impl ReservationLineInput {
    /// One of the four ways in which the contract lets a line speak; anything else means nothing.
    fn read(self) -> Result<LineRequest, No> {
        let Self { sku, quantity, seat_map_id: map, seat_ids: seats, auto_assign, lock_id, period } =
            self;
        match (lock_id, map, sku) {
            (Some(lock), None, None)
                if quantity.is_none()
                    && seats.is_none()
                    && auto_assign.is_none()
                    && period.is_none() =>
            {
                let lock = names::read_lock(&lock).ok_or_else(|| No::absent("seat lock"))?;
                Ok(LineRequest::Lock { lock_id: lock.0, seat_map_id: lock.1 })
            }
            (None, Some(map), None) if quantity.is_none() && period.is_none() => {
                let seat_map_id = seat_map_id(&map)?;
                match (seats, auto_assign) {
                    (Some(seats), None) => {
                        Ok(LineRequest::Seats { seat_map_id, seat_ids: seat_ids(&seats)? })
                    }
                    (None, Some(wish)) => Ok(LineRequest::Best { seat_map_id, pick: wish.read()? }),
                    (Some(_), Some(_)) | (None, None) => Err(impossible()),
                }
            }
            (None, None, Some(sku)) if seats.is_none() && auto_assign.is_none() => {
                Ok(LineRequest::Item {
                    sku: item_sku(&sku)?,
                    quantity: count(quantity.ok_or_else(impossible)?)?,
                    seat_ids: Vec::new(),
                    section: None,
                    period: period.map(|period| period.read()).transpose()?,
                })
            }
            _ => Err(impossible()),
        }
    }
}

fn impossible() -> No {
    No::invalid(
        "a line names a lockId; or a seatMapId with seatIds or autoAssign; or a sku with a quantity",
    )
}

#[derive(InputObject)]
pub(crate) struct CreateReservationInput {
    pub(crate) idempotency_key: String,
    lines: Vec<ReservationLineInput>,
}

impl CreateReservationInput {
    pub(crate) fn read(self) -> Result<Vec<LineRequest>, No> {
        if self.lines.is_empty() || self.lines.len() > MOST_LINES {
            return Err(No::invalid(format!("a reservation has 1 to {MOST_LINES} lines")));
        }
        self.lines.into_iter().map(ReservationLineInput::read).collect()
    }
}

/// method: a gateway token (sandbox: tok_approve, tok_decline, tok_requires_action, tok_timeout,
/// tok_late). hosted: true asks for a hosted page instead.
#[derive(InputObject)]
pub(crate) struct StartPaymentInput {
    pub(crate) idempotency_key: String,
    reservation_id: ID,
    gateway: Option<String>,
    method: Option<String>,
    hosted: Option<bool>,
    pub(crate) expected_version: Option<i32>,
}

impl StartPaymentInput {
    pub(crate) fn read(self) -> Result<StartPayment, No> {
        Ok(StartPayment {
            reservation_id: reservation_id(&self.reservation_id)?,
            gateway: self.gateway,
            method: self.method,
            hosted: self.hosted.unwrap_or(false),
        })
    }
}

#[derive(InputObject)]
pub(crate) struct ReservationInput {
    pub(crate) idempotency_key: String,
    pub(crate) reservation_id: ID,
    pub(crate) expected_version: Option<i32>,
}

#[derive(InputObject)]
pub(crate) struct ReleaseSeatLockInput {
    pub(crate) idempotency_key: String,
    pub(crate) lock_id: ID,
}

#[derive(InputObject)]
pub(crate) struct ConfirmPaymentInput {
    pub(crate) idempotency_key: String,
    pub(crate) payment_id: ID,
}

#[derive(InputObject)]
pub(crate) struct RefundPaymentInput {
    pub(crate) idempotency_key: String,
    pub(crate) payment_id: ID,
    pub(crate) amount: Option<MoneyInput>,
    pub(crate) reason: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "reservation::OnDecline")]
pub(crate) enum OnDecline {
    Release,
    KeepHold,
}

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "reservation::LatePayment")]
pub(crate) enum LatePayment {
    TryReacquire,
    Refund,
}

#[derive(InputObject)]
pub(crate) struct CreateItemInput {
    pub(crate) idempotency_key: String,
    sku: ID,
    name: String,
    kind: ItemKind,
    category: Option<String>,
    price: MoneyInput,
    max_per_user: Option<i32>,
    on_decline: Option<OnDecline>,
    late_payment: Option<LatePayment>,
    /// false: the rental starts at its return (no remote unlock).
    remote_unlock: Option<bool>,
}

impl CreateItemInput {
    pub(crate) fn read(self) -> Result<(Sku, item::Description), No> {
        let description = item::Description {
            name: self.name,
            kind: self.kind.into(),
            category: self.category,
            price: self.price.read()?,
            max_per_user: self.max_per_user.map(count).transpose()?,
            on_decline: self.on_decline.map(Into::into).unwrap_or_default(),
            late_payment: self.late_payment.map(Into::into).unwrap_or_default(),
            remote_unlock: self.remote_unlock.unwrap_or(true),
        };
        Ok((sku(&self.sku)?, description))
    }
}

#[derive(InputObject)]
pub(crate) struct StockInput {
    pub(crate) idempotency_key: String,
    pub(crate) sku: ID,
    pub(crate) quantity: i32,
    pub(crate) reason: Option<String>,
}

#[derive(InputObject)]
pub(crate) struct SalesInput {
    pub(crate) idempotency_key: String,
    pub(crate) sku: ID,
    pub(crate) open: bool,
}

#[derive(InputObject)]
pub(crate) struct SectionInput {
    name: String,
    category: String,
    rows: i32,
    seats_per_row: i32,
}

#[derive(InputObject)]
pub(crate) struct SeatCategoryInput {
    name: String,
    price: MoneyInput,
}

#[derive(InputObject)]
pub(crate) struct PublishSeatMapInput {
    pub(crate) idempotency_key: String,
    id: ID,
    name: String,
    /// Quota and limit item that each seat also claims.
    sku: Option<ID>,
    categories: Vec<SeatCategoryInput>,
    sections: Vec<SectionInput>,
}

impl PublishSeatMapInput {
    pub(crate) fn read(self) -> Result<(SeatMapId, seatmap::Plan), No> {
        let category = |input: SeatCategoryInput| {
            Ok(seatmap::Category { name: input.name, price: input.price.read()? })
        };
        let section = |input: SectionInput| {
            Ok(seatmap::Section {
                name: input.name,
                category: input.category,
                rows: count(input.rows)?,
                seats_per_row: count(input.seats_per_row)?,
            })
        };
        let plan = seatmap::Plan {
            name: self.name,
            sku: self.sku.as_ref().map(item_sku).transpose()?,
            categories: self.categories.into_iter().map(category).collect::<Result<_, No>>()?,
            sections: self.sections.into_iter().map(section).collect::<Result<_, No>>()?,
        };
        let id = SeatMapId::new(self.id.0).map_err(|error| No::invalid(error.to_string()))?;
        Ok((id, plan))
    }
}

#[derive(InputObject)]
pub(crate) struct SeatsInput {
    pub(crate) idempotency_key: String,
    pub(crate) seat_map_id: ID,
    pub(crate) seat_ids: Vec<ID>,
    pub(crate) reason: Option<String>,
}

#[derive(InputObject)]
pub(crate) struct CheckInTicketInput {
    pub(crate) idempotency_key: String,
    pub(crate) qr_payload: String,
    pub(crate) nonce: String,
    pub(crate) gate: Option<String>,
}

#[derive(InputObject)]
pub(crate) struct RedriveInput {
    pub(crate) idempotency_key: String,
    pub(crate) dead_letter_id: ID,
}

/// A number of things; the rules themselves refuse zero.
pub(crate) fn count(number: i32) -> Result<u32, No> {
    match u32::try_from(number) {
        Ok(number) if number > 0 => Ok(number),
        Ok(_) | Err(_) => Err(No::invalid("a quantity is at least 1")),
    }
}

/// The version that a caller expects.
pub(crate) fn expected(version: Option<i32>) -> Result<Option<u32>, No> {
    let read = version.map(u32::try_from).transpose();
    read.map_err(|_| No::invalid("an expected version is not negative"))
}

/// A sku that is looked for: one that cannot be is absent.
pub(crate) fn item_sku(id: &ID) -> Result<Sku, No> {
    Sku::new(id.as_str()).map_err(|_| No::absent("item"))
}

/// A sku that is given to something new.
pub(crate) fn sku(id: &ID) -> Result<Sku, No> {
    Sku::new(id.as_str()).map_err(|error| No::invalid(error.to_string()))
}

pub(crate) fn seat_map_id(id: &ID) -> Result<SeatMapId, No> {
    SeatMapId::new(id.as_str()).map_err(|_| No::absent("seat map"))
}

pub(crate) fn reservation_id(id: &ID) -> Result<holdfast_domain::ReservationId, No> {
    names::read_reservation(id).ok_or_else(|| No::absent("reservation"))
}

pub(crate) fn payment_id(id: &ID) -> Result<holdfast_domain::PaymentId, No> {
    names::read_payment(id).ok_or_else(|| No::absent("payment"))
}

/// Seats of a customer's wish.
pub(crate) fn seat_ids(ids: &[ID]) -> Result<Vec<SeatId>, No> {
    if ids.len() > MOST_SEATS {
        return Err(No::invalid(format!("name at most {MOST_SEATS} seats")));
    }
    seats_of_any_number(ids)
}

/// Seats of an operator's wish.
pub(crate) fn seats_of_any_number(ids: &[ID]) -> Result<Vec<SeatId>, No> {
    let seat = |id: &ID| SeatId::new(id.as_str()).map_err(|_| No::absent("seat"));
    ids.iter().map(seat).collect()
}
