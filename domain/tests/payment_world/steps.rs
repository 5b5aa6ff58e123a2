//! One thing at a time: what the real aggregates decide, what the real processes then ask for, and
//! what comes of an ask. Whatever was decided once is kept in tables, since it is asked for again and
//! again.

use std::rc::Rc;

use holdfast_domain::payment::{self, Via, Word};
use holdfast_domain::process::{self, Ask, Command, Fact, GatewayCall, TimerKey, What};
use holdfast_domain::reservation::{self, Capture};
use holdfast_domain::{Decider, Timestamp};

use super::gateway::{self, Intent, Outcome};
use super::{
    Action, BOOKING, Come, Label, State, Step, World, now, payment_id, reservation_id, without,
};
use crate::support::interned::Number;

impl World {
    pub(super) fn for_payment(&mut self, command: payment::Command) -> Number {
        self.number(Ask::Do(Command::Payment(payment_id(), command)))
    }

    pub(super) fn for_reservation(&mut self, command: reservation::Command) -> Number {
        self.number(Ask::Do(Command::Reservation(reservation_id(), command)))
    }

    fn number(&mut self, ask: Ask) -> Number {
        let label = match &ask {
            Ask::Do(Command::Payment(_, command)) => format!("{command:?}"),
            Ask::Do(Command::Reservation(_, command)) => format!("{command:?}"),
            Ask::Gateway(call) => about(call).1,
            Ask::Steps(_) => "take everything again".into(),
            Ask::Do(_)
            | Ask::Wake { .. }
            | Ask::Forget(_)
            | Ask::Vehicle(_)
            | Ask::Assign { .. }
            | Ask::Charge(_)
            | Ask::Alarm(_) => format!("{ask:?}"),
        };
        let number = self.asks.number(ask);
        self.labels.entry(number).or_insert_with(|| label.into());
        number
    }

    pub(super) fn label(&self, ask: Number) -> Label {
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
                Ask::Do(_)
                | Ask::Forget(_)
                | Ask::Vehicle(_)
                | Ask::Assign { .. }
                | Ask::Charge(_)
                | Ask::Alarm(_) => continue,
            };
            if without::is_asked(self.setting.without, &ask) {
                let number = self.number(ask);
                if is_timer { loose.push(number) } else { lane.push(number) }
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
    pub(super) fn tell(&mut self, state: &State, command: Number) -> State {
        let mut next = *state;
        let step = match self.asks.get(command) {
            Ask::Do(Command::Payment(..)) => {
                let step = self.pay(state.payment, command);
                next.payment = step.to;
                step
            }
            Ask::Do(_)
            | Ask::Steps(_)
            | Ask::Wake { .. }
            | Ask::Forget(_)
            | Ask::Gateway(_)
            | Ask::Vehicle(_)
            | Ask::Assign { .. }
            | Ask::Charge(_)
            | Ask::Alarm(_) => {
                let step = self.reserve(state.reservation, command, state.late);
                next.reservation = step.to;
                step
            }
        };
        for (place, ask) in step.first.iter().enumerate() {
            next.lanes[BOOKING].insert(place, *ask);
        }
        for (lane, asks) in next.lanes.iter_mut().zip(&step.lanes) {
            asks.iter().for_each(|ask| lane.push(*ask));
        }
        for ask in &step.loose {
            next.loose.add(*ask);
        }
        next
    }

    pub(super) fn record(&mut self, attempt: u16, via: Via, mut word: Word) -> Number {
        if let Word::Authorized { authorization_expires_at, .. } = &mut word
            && self.setting.policies.capture == Capture::OnCompletion
        {
            // Only its timer captures it then: at any time.
            *authorization_expires_at = Some(Timestamp::from_secs(1_000_000));
        }
        let gateway_event_id = match via {
            Via::Webhook => {
                let name = format!("{word:?}");
                let kind = name.split([' ', '{']).next().expect("a word");
                Some(format!("evt_{attempt}_{kind}"))
            }
            Via::Sync | Via::Poll => None,
        };
        self.for_payment(payment::Command::Record { attempt, via, gateway_event_id, word })
    }

    /// Everything that one ask may come to; it has been taken from where it waited in `done`.
    pub(super) fn perform(&mut self, done: &State, ask: Number, out: &mut Vec<(Action, State)>) {
        let label = self.label(ask);
        match self.asks.get(ask) {
            Ask::Do(_) => {
                let next = self.tell(done, ask);
                if let Some(faults) = done.faults.checked_sub(1) {
                    let mut again = State { faults, ..next };
                    again.loose.add(ask);
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
                    let command = self.for_reservation(command);
                    out.push((Action(label.clone(), how), self.tell(done, command)));
                }
            }
            Ask::Gateway(_) => self.call(done, ask, out),
            Ask::Wake { .. }
            | Ask::Forget(_)
            | Ask::Vehicle(_)
            | Ask::Assign { .. }
            | Ask::Charge(_)
            | Ask::Alarm(_) => {}
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
            out.push((Action(self.label(ask), " is never answered"), *done));
        }
        for come in comes.iter() {
            let Some(faults) = done.faults.checked_sub(u8::from(come.fault)) else { continue };
            let mut happened = State { faults, ..*done };
            happened.intents[row] = come.intent;
            for word in &come.told {
                happened.told.add(*word);
            }
            let mut answered = happened;
            for record in &come.answer {
                answered = self.tell(&answered, *record);
            }
            if let Some(faults) = happened.faults.checked_sub(1) {
                let lost = State { faults, ..happened };
                let mut late = lost;
                for record in &come.answer {
                    late.loose.add(*record);
                }
                let mut again = State { faults, ..answered };
                again.loose.add(ask);
                out.push((Action(come.name.clone(), ", the answer is lost"), lost));
                out.push((Action(come.name.clone(), ", the answer is late"), late));
                out.push((Action(come.name.clone(), ", to be repeated"), again));
            }
            out.push((Action(come.name.clone(), ""), answered));
        }
    }

    /// The hourly look, when nothing else is under way: each thing that is not known is asked again,
    /// and the answer is recorded at once.
    pub(super) fn reconcile(&mut self, state: &State, out: &mut Vec<(Action, State)>) {
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
                let mut next = State { faults, ..*state };
                next.intents[row] = come.intent;
                for word in &come.told {
                    next.told.add(*word);
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
