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

pub(crate) mod gateway;
pub(crate) mod without;

use std::collections::HashMap;
use std::rc::Rc;

use holdfast_domain::payment::{self, BackReason, Event, Flow, Refusal, Status, Via, Word};
use holdfast_domain::process::{self, Ask, Command, Fact, GatewayCall, Settings, TimerKey, What};
use holdfast_domain::reservation::{self, CancelReason, Channel, Claim, Line, LineKind, Policies};
use holdfast_domain::{
    By, Currency, Decider, Money, PaymentId, RefundId, ReservationId, Sku, Timestamp, UserId,
    derive,
};

use crate::support::interned::{Interned, Number};
use crate::support::search::Model;
use gateway::{Intent, Outcome, Stand};
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
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    payment: Number,
    reservation: Number,
    intents: [Intent; ATTEMPTS],
    /// What the booking process and the payment process have yet to do, first things first.
    lanes: [Vec<Number>; 2],
    /// Timers, parked asks, late answers: each once, in any order.
    loose: Vec<Number>,
    /// Webhooks on their way, each once.
    told: Vec<Number>,
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
    turns: HashMap<(u16, Stand), Rc<Vec<(Label, Stand, Number, u8)>>>,
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
            ("the customer cancels".into(), world.to_reservation(cancel)),
            ("the customer pays again".into(), world.to_reservation(pay(setting.flow))),
            ("an operator refunds".into(), world.to_payment(refund)),
        ];
        world
    }

    fn to_payment(&mut self, command: payment::Command) -> Number {
        self.number(Ask::Do(Command::Payment(payment_id(), command)))
    }

    fn to_reservation(&mut self, command: reservation::Command) -> Number {
        self.number(Ask::Do(Command::Reservation(reservation_id(), command)))
    }

    fn number(&mut self, ask: Ask) -> Number {
        let label = match &ask {
            Ask::Do(Command::Payment(_, command)) => format!("{command:?}"),
            Ask::Do(Command::Reservation(_, command)) => format!("{command:?}"),
            Ask::Gateway(call) => about(call).1,
            Ask::Steps(_) => "take everything again".into(),
            Ask::Do(_) | Ask::Wake { .. } | Ask::Forget(_) | Ask::Alarm(_) => format!("{ask:?}"),
        };
        let number = self.asks.number(ask);
        self.labels.entry(number).or_insert_with(|| label.into());
        number
    }

    fn label(&self, ask: Number) -> Label {
        self.labels[&ask].clone()
    }

    /// What of the asks matters here: calls, and commands to these two.
    fn keep(&mut self, asks: Vec<Ask>, lane: &mut Vec<Number>, loose: &mut Vec<Number>) {
        for ask in asks {
            let (ask, is_timer) = match ask {
                // Reconciliation asks the same; the deadline has a step of its own.
                Ask::Wake { key: TimerKey::Poll(..) | TimerKey::Hold(_), .. } => continue,
                Ask::Wake { then, .. } => (*then, true),
                Ask::Steps(steps) => {
                    let taken = steps.into_iter().next_back();
                    let Some(taken) = taken.filter(is_retaken) else { continue };
                    (Ask::Steps(vec![taken]), false)
                }
                Ask::Do(Command::Payment(..) | Command::Reservation(..)) | Ask::Gateway(_) => {
                    (ask, false)
                }
                Ask::Do(_) | Ask::Forget(_) | Ask::Alarm(_) => continue,
            };
            if without::is_asked(self.setting.without, &ask) {
                let number = self.number(ask);
                if is_timer { add(loose, number) } else { lane.push(number) }
            }
        }
    }

    /// The payment decides.
    fn pay(&mut self, payment: Number, ask: Number) -> Rc<Step> {
        if let Some(step) = self.paid.get(&(payment, ask)) {
            return step.clone();
        }
        let Ask::Do(Command::Payment(id, command)) = self.asks.get(ask).clone() else {
            panic!("a command to the payment")
        };
        let mut state = self.payments.get(payment).clone();
        let (mut first, mut booking, mut calls, mut loose) = (vec![], vec![], vec![], vec![]);
        match without::decide(self.setting.without, &state, &command) {
            Ok(facts) => {
                for fact in facts {
                    state.evolve(&fact);
                    let shown = without::shown_to_booking(self.setting.without, &fact);
                    let fact = Fact { at: now(false), what: What::Payment(&id, &fact, &state) };
                    let asks = process::payment::react(&fact, &self.settings);
                    self.keep(asks, &mut calls, &mut loose);
                    let fact = Fact { at: now(false), what: What::Payment(&id, &shown, &state) };
                    let asks = process::booking::react(&fact);
                    self.keep(asks, &mut booking, &mut loose);
                }
            }
            // Nobody asked for the operator's refund but the operator.
            Err(_) if matches!(command, payment::Command::Refund { .. }) => {}
            Err(refusal) => {
                let command = Command::Payment(id, command);
                let asks = process::booking::refused(&command, &refusal.into());
                self.keep(asks, &mut first, &mut loose);
            }
        }
        forget_what_no_rule_leans_on(&mut state);
        let to = self.payments.number(state);
        let step = Rc::new(Step { to, first, lanes: [booking, calls], loose });
        self.paid.insert((payment, ask), step.clone());
        step
    }

    /// The reservation decides.
    fn reserve(&mut self, reservation: Number, ask: Number, late: bool) -> Rc<Step> {
        if let Some(step) = self.reserved.get(&(reservation, ask, late)) {
            return step.clone();
        }
        let Ask::Do(Command::Reservation(id, command)) = self.asks.get(ask).clone() else {
            panic!("a command to the reservation")
        };
        let mut state = self.reservations.get(reservation).clone();
        let (mut first, mut booking, mut loose) = (vec![], vec![], vec![]);
        match state.decide(&id, &command, now(late)) {
            Ok(facts) => {
                for fact in facts {
                    state.evolve(&fact);
                    let what = What::Reservation(&id, &fact, &state);
                    let asks = process::booking::react(&Fact { at: now(late), what });
                    self.keep(asks, &mut booking, &mut loose);
                }
            }
            Err(refusal) => {
                let command = Command::Reservation(id, command);
                let asks = process::booking::refused(&command, &refusal.into());
                self.keep(asks, &mut first, &mut loose);
            }
        }
        state.version = 0;
        let to = self.reservations.number(state);
        let step = Rc::new(Step { to, first, lanes: [booking, vec![]], loose });
        self.reserved.insert((reservation, ask, late), step.clone());
        step
    }

    /// A command to either of the two is judged, and what it asks for takes its place.
    fn tell(&mut self, state: &State, command: Number) -> State {
        let mut next = state.clone();
        let step = match self.asks.get(command) {
            Ask::Do(Command::Payment(..)) => {
                let step = self.pay(state.payment, command);
                next.payment = step.to;
                step
            }
            _ => {
                let step = self.reserve(state.reservation, command, state.late);
                next.reservation = step.to;
                step
            }
        };
        next.lanes[BOOKING].splice(0..0, step.first.iter().copied());
        for (lane, asks) in next.lanes.iter_mut().zip(&step.lanes) {
            lane.extend_from_slice(asks);
        }
        for ask in &step.loose {
            add(&mut next.loose, *ask);
        }
        next
    }

    fn status(&self, state: &State) -> reservation::Status {
        self.reservations.get(state.reservation).status
    }

    fn record(&mut self, attempt: u16, via: Via, word: Word) -> Number {
        let gateway_event_id = match via {
            Via::Webhook => {
                let name = format!("{word:?}");
                let kind = name.split([' ', '{']).next().expect("a word");
                Some(format!("evt_{attempt}_{kind}"))
            }
            Via::Sync | Via::Poll => None,
        };
        self.to_payment(payment::Command::Record { attempt, via, gateway_event_id, word })
    }

    /// Everything that one ask may come to; it has been taken from where it waited in `done`.
    fn perform(&mut self, done: &State, ask: Number, out: &mut Vec<(Action, State)>) {
        let label = self.label(ask);
        match self.asks.get(ask) {
            Ask::Do(_) => {
                let next = self.tell(done, ask);
                if let Some(faults) = done.faults.checked_sub(1) {
                    let mut again = State { faults, ..next.clone() };
                    add(&mut again.loose, ask);
                    out.push((Action(label.clone(), ", to be repeated"), again));
                }
                out.push((Action(label, ""), next));
            }
            Ask::Steps(steps) => {
                let Some(Command::Reservation(_, taken)) = steps.first().cloned() else { return };
                let reservation::Command::RecordReacquired { epoch, .. } = taken else { return };
                let outcome = reservation::Reacquired::Refused;
                let refused = reservation::Command::RecordReacquired { epoch, outcome };
                for (how, command) in [(": all of it", taken), (": something is gone", refused)] {
                    let command = self.to_reservation(command);
                    out.push((Action(label.clone(), how), self.tell(done, command)));
                }
            }
            Ask::Gateway(_) => self.call(done, ask, out),
            Ask::Wake { .. } | Ask::Forget(_) | Ask::Alarm(_) => {}
        }
    }

    /// What a call may come to, as the intent stands.
    fn comes(&mut self, ask: Number, intent: Intent) -> Rc<Vec<Come>> {
        if let Some(comes) = self.calls.get(&(ask, intent)) {
            return comes.clone();
        }
        let Ask::Gateway(call) = self.asks.get(ask).clone() else { panic!("a call") };
        let (attempt, what) = about(&call);
        let comes: Vec<Come> = gateway::call(&call, intent, self.setting.without)
            .into_iter()
            .map(|Outcome { name, intent, answer, told, fault }| Come {
                name: format!("{what}: {name}").into(),
                intent,
                answer: answer
                    .into_iter()
                    .map(|word| self.record(attempt, Via::Sync, word))
                    .collect(),
                told: told
                    .into_iter()
                    .map(|word| self.record(attempt, Via::Webhook, word))
                    .collect(),
                fault,
            })
            .collect();
        let comes = Rc::new(comes);
        self.calls.insert((ask, intent), comes.clone());
        comes
    }

    fn row_of(&self, ask: Number) -> usize {
        let Ask::Gateway(call) = self.asks.get(ask) else { panic!("a call") };
        usize::from(about(call).0) - 1
    }

    fn call(&mut self, done: &State, ask: Number, out: &mut Vec<(Action, State)>) {
        let row = self.row_of(ask);
        let comes = self.comes(ask, done.intents[row]);
        if comes.is_empty() {
            out.push((Action(self.label(ask), " is never answered"), done.clone()));
        }
        for come in comes.iter() {
            let Some(faults) = done.faults.checked_sub(u8::from(come.fault)) else { continue };
            let mut happened = State { faults, ..done.clone() };
            happened.intents[row] = come.intent;
            for word in &come.told {
                add(&mut happened.told, *word);
            }
            let mut answered = happened.clone();
            for record in &come.answer {
                answered = self.tell(&answered, *record);
            }
            if let Some(faults) = happened.faults.checked_sub(1) {
                let lost = State { faults, ..happened };
                let mut late = lost.clone();
                for record in &come.answer {
                    add(&mut late.loose, *record);
                }
                let mut again = State { faults, ..answered.clone() };
                add(&mut again.loose, ask);
                out.push((Action(come.name.clone(), ", the answer is lost"), lost));
                out.push((Action(come.name.clone(), ", the answer is late"), late));
                out.push((Action(come.name.clone(), ", to be repeated"), again));
            }
            out.push((Action(come.name.clone(), ""), answered));
        }
    }

    /// The hourly look, when nothing else is under way: each thing that is not known is asked again,
    /// and the answer is recorded at once.
    fn reconcile(&mut self, state: &State, out: &mut Vec<(Action, State)>) {
        if state.lanes.iter().any(|lane| !lane.is_empty()) || !state.loose.is_empty() {
            return;
        }
        for ask in self.asked_again(state.payment).iter() {
            if let Ask::Do(_) = self.asks.get(*ask) {
                let next = self.tell(state, *ask);
                out.push((Action(self.label(*ask), " (reconciliation)"), next));
                continue;
            }
            let row = self.row_of(*ask);
            for come in self.comes(*ask, state.intents[row]).iter() {
                let Some(faults) = state.faults.checked_sub(u8::from(come.fault)) else { continue };
                let mut next = State { faults, ..state.clone() };
                next.intents[row] = come.intent;
                for word in &come.told {
                    add(&mut next.told, *word);
                }
                for record in &come.answer {
                    next = self.tell(&next, *record);
                }
                out.push((Action(come.name.clone(), " (reconciliation)"), next));
            }
        }
    }

    fn asked_again(&mut self, payment: Number) -> Rc<Vec<Number>> {
        if let Some(asks) = self.reconciled.get(&payment) {
            return asks.clone();
        }
        let without = self.setting.without;
        let asks = process::payment::reconcile(&payment_id(), self.payments.get(payment));
        let asks: Vec<Number> = asks
            .into_iter()
            .filter(|ask| without::is_asked(without, ask))
            .map(|ask| self.number(without::once_more(without, ask)))
            .collect();
        let asks = Rc::new(asks);
        self.reconciled.insert(payment, asks.clone());
        asks
    }

    /// What must happen some time.
    fn duties(&mut self, state: &State, out: &mut Vec<(Action, State)>) {
        for lane in [BOOKING, PAYMENT] {
            let Some(ask) = state.lanes[lane].first().copied() else { continue };
            let mut done = state.clone();
            done.lanes[lane].remove(0);
            if let Some(faults) = done.faults.checked_sub(1) {
                let mut parked = State { faults, ..done.clone() };
                add(&mut parked.loose, ask);
                out.push((Action(self.label(ask), " is parked"), parked));
            }
            self.perform(&done, ask, out);
        }
        for nth in 0..state.loose.len() {
            let mut done = state.clone();
            let ask = done.loose.remove(nth);
            self.perform(&done, ask, out);
        }
        for (nth, word) in state.told.iter().enumerate() {
            let mut done = state.clone();
            done.told.remove(nth);
            let label = self.label(*word);
            let next = self.tell(&done, *word);
            if let Some(faults) = done.faults.checked_sub(1) {
                let mut again = State { faults, ..next.clone() };
                add(&mut again.told, *word);
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
                    let expire = self.to_reservation(reservation::Command::Expire { epoch });
                    out.push((Action(self.label(expire), ""), self.tell(state, expire)));
                } else {
                    let late = State { late: true, ..state.clone() };
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

    /// Where it ends when nobody does anything any more and nothing else goes wrong. Going round in
    /// circles is an end, too: asking for ever is not better than not asking.
    fn settle(&mut self, state: &State) -> State {
        let mut before = vec![state.clone()];
        let mut duties = Vec::new();
        loop {
            let last = before.last().expect("it began somewhere");
            duties.clear();
            self.duties(&last.clone(), &mut duties);
            let faults = last.faults;
            let next = duties.drain(..).find(|(_, next)| next.faults == faults);
            match next {
                Some((_, next)) if !before.contains(&next) => before.push(next),
                Some((_, end)) => return end,
                None => return last.clone(),
            }
        }
    }

    /// What people and gateways may do, or not.
    fn whims(&mut self, state: &State, out: &mut Vec<(Action, State)>) {
        for (row, attempt) in (0..ATTEMPTS).zip(1u16..) {
            for (label, stand, word, cost) in self.turns(attempt, state.intents[row].stand).iter() {
                let Some(faults) = state.faults.checked_sub(*cost) else { continue };
                let mut next = State { faults, ..state.clone() };
                next.intents[row].stand = *stand;
                add(&mut next.told, *word);
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

    /// What may happen to an intent by itself, what webhook tells of it, and what it costs.
    fn turns(&mut self, attempt: u16, stand: Stand) -> Rc<Vec<(Label, Stand, Number, u8)>> {
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

    /// P1 to P3, and no refund twice.
    fn money(&self, state: &State) -> Result<(), String> {
        let payment = self.payments.get(state.payment);
        let is_open = |status: Status| {
            matches!(
                status,
                Status::Pending
                    | Status::RequiresAction
                    | Status::Authorized
                    | Status::CaptureRequested
                    | Status::Succeeded
            )
        };
        for (row, intent) in payment.attempts.iter().zip(&state.intents) {
            let asked: i64 = row.refunds.iter().map(|refund| refund.amount.amount_minor).sum();
            let [captured, authorized, amount] =
                [row.captured, row.authorized, row.amount].map(|money| money.amount_minor);
            if captured > authorized || authorized > amount {
                return Err(format!(
                    "P1: more was taken of attempt {} than asked for",
                    row.attempt
                ));
            }
            if asked > captured {
                return Err(format!(
                    "P2: more of attempt {} goes back than was taken",
                    row.attempt
                ));
            }
            if intent.refunds.iter().any(|back| back.done.count_ones() > 1) {
                return Err("one refund was paid back twice".into());
            }
        }
        if payment.attempts.iter().filter(|row| is_open(row.status)).count() > 1 {
            return Err("P3: two attempts are open or paid".into());
        }
        Ok(())
    }

    /// Nothing is called voided, captured or refunded before the gateway said so (P6).
    fn truth(&self, state: &State) -> Result<(), String> {
        let payment = self.payments.get(state.payment);
        for (row, intent) in payment.attempts.iter().zip(&state.intents) {
            if row.status == Status::Voided && intent.stand != Stand::Cancelled {
                return Err(format!("attempt {} is called voided", row.attempt));
            }
            if row.is_captured() && intent.stand != Stand::Captured {
                return Err(format!("attempt {} is called paid", row.attempt));
            }
            let back = PRICE - intent.kept(all_of(row));
            if row.refunded.amount_minor > back {
                return Err(format!("attempt {} is called refunded", row.attempt));
            }
        }
        Ok(())
    }

    /// What must hold where nothing has to happen any more.
    fn rest(&self, state: &State) -> Result<(), String> {
        let payment = self.payments.get(state.payment);
        let reservation = self.reservations.get(state.reservation);
        let confirmed_by = match reservation.status {
            reservation::Status::Confirmed => reservation.paid_by.map(|paid| paid.attempt),
            reservation::Status::HoldFailed
            | reservation::Status::HoldExpired
            | reservation::Status::Cancelled => None,
            stuck @ (reservation::Status::None
            | reservation::Status::Hold
            | reservation::Status::AwaitingPayment
            | reservation::Status::Reacquiring
            | reservation::Status::InUse
            | reservation::Status::Completed) => return Err(format!("stuck in {stuck:?}")),
        };
        for ((row, attempt), intent) in (0..).zip(1..).zip(&state.intents) {
            let known = payment.attempts.get::<usize>(row);
            let kept = intent.kept(known.map_or(0, all_of));
            if confirmed_by == Some(attempt) {
                let all = known.and_then(|row| {
                    row.refunds.iter().find(|refund| refund.refund_id != operators_refund())
                });
                if intent.stand != Stand::Captured || all.is_some() || kept < PRICE - PART {
                    return Err(format!("confirmed by attempt {attempt} without its money"));
                }
            } else if intent.is_live() {
                return Err(format!("a live intent: attempt {attempt} is {:?}", intent.stand));
            } else if kept != 0 {
                return Err(format!("{kept} of attempt {attempt} is kept for nothing"));
            }
        }
        Ok(())
    }
}

/// What the refund of all that was left amounts to.
fn all_of(row: &payment::Attempt) -> i64 {
    let all = row.refunds.iter().filter(|refund| refund.refund_id != operators_refund());
    all.map(|refund| refund.amount.amount_minor).sum()
}

fn about(call: &GatewayCall) -> (u16, String) {
    match call {
        GatewayCall::Create { attempt, .. } => (*attempt, format!("create {attempt}")),
        GatewayCall::Query { attempt, .. } => (*attempt, format!("query {attempt}")),
        GatewayCall::Capture { attempt, r#try, .. } => {
            (*attempt, format!("capture {attempt} try {try}"))
        }
        GatewayCall::Void { attempt, r#try, .. } => (*attempt, format!("void {attempt} try {try}")),
        GatewayCall::Refund { attempt, r#try, amount, .. } => {
            (*attempt, format!("refund {amount} of {attempt} try {try}"))
        }
    }
}

fn is_retaken(command: &Command) -> bool {
    let Command::Reservation(_, command) = command else { return false };
    matches!(command, reservation::Command::RecordReacquired { .. })
}

fn forget_what_no_rule_leans_on(state: &mut payment::State) {
    state.seen.clear();
    state.ignored = 0;
    state.version = 0;
    for row in &mut state.attempts {
        row.decline = None;
    }
}

fn add(set: &mut Vec<Number>, number: Number) {
    if let Err(place) = set.binary_search(&number) {
        set.insert(place, number);
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
            lanes: [vec![], vec![]],
            loose: vec![],
            told: vec![],
            late: false,
            faults: self.setting.faults,
        };
        let hold = self.to_reservation(hold);
        let held = self.tell(&nothing, hold);
        let pay = self.to_reservation(pay(self.setting.flow));
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
