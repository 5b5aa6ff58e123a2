//! A small world around one payment: the real payment and reservation, their real processes, and a
//! modelled gateway.
//!
//! Each process performs what it asks for one after another, as a lane of the engine does; timers,
//! webhooks, and whatever was parked or is repeated by an old owner come at any time. A few things go
//! wrong on the way: an answer is lost or late, an ask is parked or done twice, a webhook is lost or
//! comes again, the gateway refuses or lets money lapse.
//!
//! Left out, since no rule may lean on it: the memory of gateway events. Claims are the booking model's
//! business; here, taking everything again succeeds or fails as it likes.

#![allow(clippy::disallowed_types, reason = "tables are looked up, never walked")]

mod few;
pub(crate) mod gateway;
mod judge;
mod steps;
pub(crate) mod without;

use std::collections::HashMap;
use std::rc::Rc;

use holdfast_domain::payment::{self, BackReason, Event, Flow, Refusal, Via};
use holdfast_domain::process::{Ask, Settings};
use holdfast_domain::reservation::{self, CancelReason, Channel, Claim, Line, LineKind, Policies};
use holdfast_domain::{
    By, Currency, Decider, Money, PaymentId, RefundId, ReservationId, Sku, Timestamp, UserId,
    derive,
};

use crate::support::interned::{Interned, Number};
use crate::support::search::Model;
use few::Few;
use gateway::{Intent, Stand};
pub(crate) use without::Without;

/// What the reservation costs, and what an operator gives back of it.
pub(crate) const PRICE: i64 = 4;
pub(crate) const PART: i64 = 1;
/// How many attempts there may be.
const ATTEMPTS: usize = 2;

pub(crate) fn eur(minor: i64) -> Money {
    Money::new(minor, Currency::new("EUR").expect("a currency"))
}

fn reservation_id() -> ReservationId {
    ReservationId(derive(&["a reservation"]))
}

fn payment_id() -> PaymentId {
    reservation_id().payment_id()
}

pub(crate) fn operators_refund() -> RefundId {
    RefundId(derive(&["an operator's refund"]))
}

pub(crate) fn other_refund() -> RefundId {
    RefundId(derive(&["another refund"]))
}

fn customer() -> UserId {
    UserId::new("customer").expect("a name")
}

/// The deadline stands between these two.
fn now(late: bool) -> Timestamp {
    Timestamp::from_secs(if late { 1_000 } else { 10 })
}

fn decide_for_real(
    state: &payment::State,
    command: &payment::Command,
) -> Result<Vec<Event>, Refusal> {
    state.decide(&payment_id(), command, now(false))
}

/// Which world is searched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) flow: Flow,
    pub(crate) policies: Policies,
    /// How many things may go wrong.
    pub(crate) faults: u8,
    /// The rule that is missing, if any.
    pub(crate) without: Option<Without>,
}

/// One state of it. Aggregates, asks and commands stand in tables.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct State {
    payment: Number,
    reservation: Number,
    intents: [Intent; ATTEMPTS],
    /// What the booking process and the payment process have yet to do, first things first.
    lanes: [Few; 2],
    /// Timers, parked asks, late answers: each once, in any order.
    loose: Few,
    /// Webhooks on their way, each once.
    told: Few,
    late: bool,
    faults: u8,
}

const BOOKING: usize = 0;
const PAYMENT: usize = 1;

/// What a command leads to: the next number of the aggregate, and what is asked then.
#[derive(Debug)]
struct Step {
    to: Number,
    /// What answers a refusal, before anything else.
    first: Vec<Number>,
    lanes: [Vec<Number>; 2],
    loose: Vec<Number>,
}

/// What a call comes to, in numbers.
#[derive(Debug)]
struct Come {
    name: Label,
    intent: Intent,
    answer: Vec<Number>,
    told: Vec<Number>,
    fault: bool,
}

/// Shown in a trace; shared, since there is one for every step of the search.
type Label = Rc<str>;

/// What may happen to an intent by itself: what, where it then stands, the webhook, and the faults.
type Turn = (Label, Stand, Number, u8);

/// What happened: what, and how.
#[derive(Clone)]
pub(crate) struct Action(Label, &'static str);

impl std::fmt::Debug for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.0, self.1)
    }
}

pub(crate) struct World {
    setting: Setting,
    payments: Interned<payment::State>,
    reservations: Interned<reservation::State>,
    asks: Interned<Ask>,
    labels: HashMap<Number, Label>,
    paid: HashMap<(Number, Number), Rc<Step>>,
    reserved: HashMap<(Number, Number, bool), Rc<Step>>,
    calls: HashMap<(Number, Intent), Rc<Vec<Come>>>,
    reconciled: HashMap<Number, Rc<Vec<Number>>>,
    turns: HashMap<(u16, Stand), Rc<Vec<Turn>>>,
    wishes: Vec<(Label, Number)>,
    settings: Settings,
}

impl World {
    pub(crate) fn new(setting: Setting) -> Self {
        let mut world = Self {
            setting,
            payments: Interned::default(),
            reservations: Interned::default(),
            asks: Interned::default(),
            labels: HashMap::new(),
            paid: HashMap::new(),
            reserved: HashMap::new(),
            calls: HashMap::new(),
            reconciled: HashMap::new(),
            turns: HashMap::new(),
            wishes: Vec::new(),
            settings: Settings::default(),
        };
        let by = By::Owner(customer());
        let cancel = reservation::Command::Cancel { by, reason: CancelReason::User, refund: None };
        let refund = payment::Command::Refund {
            refund_id: operators_refund(),
            amount: Some(eur(PART)),
            reason: BackReason::Operator,
        };
        world.wishes = vec![
            ("the customer cancels".into(), world.for_reservation(cancel)),
            ("the customer pays again".into(), world.for_reservation(pay(setting.flow))),
            ("an operator refunds".into(), world.for_payment(refund)),
        ];
        world
    }

    fn status(&self, state: &State) -> reservation::Status {
        self.reservations.get(state.reservation).status
    }

    /// What must happen some time.
    fn duties(&mut self, state: &State, out: &mut Vec<(Action, State)>) {
        for lane in [BOOKING, PAYMENT] {
            let Some(ask) = state.lanes[lane].iter().next() else { continue };
            let mut done = *state;
            done.lanes[lane].remove(0);
            if let Some(faults) = done.faults.checked_sub(1) {
                let mut parked = State { faults, ..done };
                parked.loose.add(ask);
                out.push((Action(self.label(ask), " is parked"), parked));
            }
            self.perform(&done, ask, out);
        }
        for (nth, ask) in state.loose.iter().enumerate() {
            let mut done = *state;
            done.loose.remove(nth);
            self.perform(&done, ask, out);
        }
        for (nth, word) in state.told.iter().enumerate() {
            let mut done = *state;
            done.told.remove(nth);
            let label = self.label(word);
            let next = self.tell(&done, word);
            if let Some(faults) = done.faults.checked_sub(1) {
                let mut again = State { faults, ..next };
                again.told.add(word);
                out.push((Action(label.clone(), " (webhook), to come again"), again));
                let lost = State { faults, ..done };
                out.push((Action(label.clone(), " (webhook) is lost"), lost));
            }
            out.push((Action(label, " (webhook)"), next));
        }
        self.reconcile(state, out);
        match self.status(state) {
            reservation::Status::Hold | reservation::Status::AwaitingPayment => {
                if state.late {
                    let epoch = self.reservations.get(state.reservation).claim_epoch;
                    let expire = self.for_reservation(reservation::Command::Expire { epoch });
                    out.push((Action(self.label(expire), ""), self.tell(state, expire)));
                } else {
                    let late = State { late: true, ..*state };
                    out.push((Action("the deadline passes".into(), ""), late));
                }
            }
            reservation::Status::None
            | reservation::Status::Reacquiring
            | reservation::Status::Confirmed
            | reservation::Status::InUse
            | reservation::Status::Completed
            | reservation::Status::HoldFailed
            | reservation::Status::HoldExpired
            | reservation::Status::Cancelled => {}
        }
        out.retain(|(_, next)| next != state);
    }

    /// What people and gateways may do, or not.
    fn whims(&mut self, state: &State, out: &mut Vec<(Action, State)>) {
        for (row, attempt) in (0..ATTEMPTS).zip(1u16..) {
            for (label, stand, word, cost) in self.turns(attempt, state.intents[row].stand).iter() {
                let Some(faults) = state.faults.checked_sub(*cost) else { continue };
                let mut next = State { faults, ..*state };
                next.intents[row].stand = *stand;
                next.told.add(*word);
                out.push((Action(label.clone(), ""), next));
            }
        }
        for (label, wish) in self.wishes.clone() {
            let next = self.tell(state, wish);
            if self.reservations.get(next.reservation).payments.len() <= ATTEMPTS {
                out.push((Action(label, ""), next));
            }
        }
    }

    fn turns(&mut self, attempt: u16, stand: Stand) -> Rc<Vec<Turn>> {
        if let Some(turns) = self.turns.get(&(attempt, stand)) {
            return turns.clone();
        }
        let (paid, word) = match self.setting.flow {
            Flow::Direct => (Stand::Authorized, gateway::authorized(attempt)),
            Flow::Hosted => (Stand::Captured, gateway::succeeded(attempt)),
        };
        let pays = ("is paid", paid, word, 0);
        let is_declined = ("is declined", Stand::Declined, gateway::declined(), 0);
        let lapses = ("lapses", Stand::Cancelled, gateway::cancelled(), 1);
        let turns = match stand {
            Stand::Open => vec![pays, is_declined, lapses],
            Stand::Declined => vec![pays, lapses],
            Stand::Authorized => vec![lapses],
            Stand::None | Stand::Captured | Stand::Cancelled => vec![],
        };
        let turns: Vec<_> = turns
            .into_iter()
            .map(|(what, stand, word, cost)| {
                let label = format!("attempt {attempt} {what}").into();
                (label, stand, self.record(attempt, Via::Webhook, word), cost)
            })
            .collect();
        let turns = Rc::new(turns);
        self.turns.insert((attempt, stand), turns.clone());
        turns
    }
}

fn pay(flow: Flow) -> reservation::Command {
    reservation::Command::RequestPayment {
        by: By::Owner(customer()),
        gateway: "gateway".into(),
        flow,
        extend_to: None,
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    /// The customer holds something and has just begun to pay.
    fn initial(&mut self) -> State {
        let sku = Sku::new("thing").expect("a sku");
        let line = Line {
            line_id: 1,
            kind: LineKind::Stock,
            sku: Some(sku.clone()),
            quantity: 1,
            seat_map_id: None,
            seat_ids: vec![],
            period: None,
            vehicle_id: None,
            unit_price: eur(PRICE),
        };
        let claim = Claim::Inventory { r#ref: sku, quantity: 1, period: None, consumed: true };
        let hold = reservation::Command::PlaceHold {
            user_id: customer(),
            lines: vec![line],
            claims: vec![claim],
            hold_expires_at: Timestamp::from_secs(100),
            absolute_deadline: Timestamp::from_secs(200),
            channel: Channel::Other,
            policies: self.setting.policies,
        };
        let payment = self.payments.number(payment::State::default());
        let reservation = self.reservations.number(reservation::State::default());
        let nothing = State {
            payment,
            reservation,
            intents: [Intent::default(); ATTEMPTS],
            lanes: [Few::default(); 2],
            loose: Few::default(),
            told: Few::default(),
            late: false,
            faults: self.setting.faults,
        };
        let hold = self.for_reservation(hold);
        let held = self.tell(&nothing, hold);
        let pay = self.for_reservation(pay(self.setting.flow));
        self.tell(&held, pay)
    }

    fn successors(&mut self, state: &State, out: &mut Vec<(Action, State)>) {
        self.duties(state, out);
        self.whims(state, out);
        out.retain(|(_, next)| next != state);
    }

    fn check(&mut self, state: &State) -> Result<(), String> {
        self.money(state)?;
        // A world without a rule must come to harm, not just to an untruth.
        if self.setting.without.is_none() {
            self.truth(state)?;
        }
        let is_busy = state.lanes.iter().any(|lane| !lane.is_empty());
        if is_busy || !state.loose.is_empty() || !state.told.is_empty() {
            return Ok(());
        }
        let settled = self.settle(state);
        self.rest(&settled)
    }

    /// Whoever still may do something need not: `check` has judged every state without a duty.
    fn check_at_rest(&mut self, _: &State) -> Result<(), String> {
        Ok(())
    }
}
