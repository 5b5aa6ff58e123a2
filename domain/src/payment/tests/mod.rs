//! Scenarios: given what happened, when something is asked, then these facts follow. This file holds
//! the words in which the others are written.

mod cells;
mod later;
mod properties;
mod races;

use super::*;
use crate::{Currency, Decider, derive};

pub(super) fn id() -> PaymentId {
    PaymentId(derive(&["a payment"]))
}

pub(super) fn eur(minor: i64) -> Money {
    Money::new(minor, Currency::new("EUR").expect("a currency"))
}

pub(super) fn refund_id(name: &str) -> RefundId {
    RefundId(derive(&["a refund", name]))
}

pub(super) const PRICE: i64 = 4_500;

pub(super) fn initiate(attempt: u16) -> Command {
    Command::Initiate {
        reservation_id: ReservationId(derive(&["a reservation"])),
        kind: Kind::Reservation,
        amount: eur(PRICE),
        gateway: "sandbox".into(),
        attempt,
        flow: Flow::Direct,
        tenant: "hall".into(),
    }
}

pub(super) fn initiate_hosted(attempt: u16) -> Command {
    let mut command = initiate(attempt);
    if let Command::Initiate { flow, .. } = &mut command {
        *flow = Flow::Hosted;
    }
    command
}

/// The answer to our own call.
pub(super) fn said(attempt: u16, word: Word) -> Command {
    Command::Record { attempt, via: Via::Sync, gateway_event_id: None, word }
}

/// What a webhook tells.
pub(super) fn told(event_id: &str, attempt: u16, word: Word) -> Command {
    let gateway_event_id = Some(event_id.to_owned());
    Command::Record { attempt, via: Via::Webhook, gateway_event_id, word }
}

pub(super) fn session(action: Option<Action>) -> Word {
    Word::Session {
        gateway_ref: "pi_1".into(),
        redirect_url: Some("https://pay.example/1".into()),
        expires_at: None,
        action,
    }
}

pub(super) fn authorized() -> Word {
    Word::Authorized {
        gateway_ref: "pi_1".into(),
        approval_code: "ok".into(),
        amount: eur(PRICE),
        authorization_expires_at: None,
    }
}

pub(super) fn succeeded() -> Word {
    Word::Succeeded { gateway_ref: "pi_1".into(), amount: eur(PRICE), approval_code: None }
}

pub(super) fn declined() -> Word {
    Word::Declined { code: "card_declined".into(), decline_code: None, retryable: true }
}

pub(super) fn cancelled() -> Word {
    Word::Cancelled { lost: LostWhy::CancelledByGateway }
}

pub(super) fn give_back(reason: BackReason) -> Command {
    Command::GiveBack { attempt: None, reason }
}

pub(super) fn soft_void(reason: BackReason) -> Command {
    Command::SoftVoid { attempt: None, reason }
}

pub(super) fn capture(attempt: u16) -> Command {
    Command::Capture { attempt }
}

pub(super) fn decide(state: &State, command: &Command) -> Result<Vec<Event>, Refusal> {
    state.decide(&id(), command, Timestamp::from_secs(0))
}

/// The state after these commands, each of which must be accepted.
pub(super) fn given(commands: &[Command]) -> State {
    let mut state = State::default();
    for command in commands {
        then(&mut state, command);
    }
    state
}

/// Has it decided and takes the facts in; tells them in short.
pub(super) fn then(state: &mut State, command: &Command) -> String {
    let facts = decide(state, command);
    let short = short(&facts);
    for fact in facts.unwrap_or_else(|no| panic!("{command:?} is refused: {no} in {state:?}")) {
        state.evolve(&fact);
    }
    short
}

/// What was decided, as a line: `Initiated 2, VoidRequested 1 SUPERSEDED`.
pub(super) fn short(decided: &Result<Vec<Event>, Refusal>) -> String {
    match decided {
        Err(refusal) => format!("E:{refusal:?}").split([' ', '{']).next().expect("a word").into(),
        Ok(facts) if facts.is_empty() => "-".into(),
        Ok(facts) => facts.iter().map(fact).collect::<Vec<_>>().join(", "),
    }
}

fn word_of(value: impl Serialize) -> String {
    let word = serde_json::to_value(value).expect("a word");
    word.as_str().expect("an enum's name").to_owned()
}

fn fact(fact: &Event) -> String {
    match fact {
        Event::Initiated { attempt, .. } => format!("Initiated {attempt}"),
        Event::SessionCreated { attempt, .. } => format!("SessionCreated {attempt}"),
        Event::ActionRequired { attempt, .. } => format!("ActionRequired {attempt}"),
        Event::Authorized { attempt, .. } => format!("Authorized {attempt}"),
        Event::CaptureRequested { attempt, r#try: 1, .. } => format!("CaptureRequested {attempt}"),
        Event::CaptureRequested { attempt, r#try, .. } => {
            format!("CaptureRequested {attempt} try {try}")
        }
        Event::Succeeded { attempt, kept: true, .. } => format!("Succeeded {attempt}"),
        Event::Succeeded { attempt, .. } => format!("Succeeded {attempt} not kept"),
        Event::Failed { attempt, .. } => format!("Failed {attempt}"),
        Event::VoidRequested { attempt, reason, r#try: 1 } => {
            format!("VoidRequested {attempt} {}", word_of(reason))
        }
        Event::VoidRequested { attempt, reason, r#try } => {
            format!("VoidRequested {attempt} {} try {try}", word_of(reason))
        }
        Event::Voided { attempt, reason } => format!("Voided {attempt} {}", word_of(reason)),
        Event::VoidFailed { attempt, .. } => format!("VoidFailed {attempt}"),
        Event::CaptureFailed { attempt, .. } => format!("CaptureFailed {attempt}"),
        Event::RefundRequested { attempt, amount, reason, r#try: 1, .. } => {
            format!("RefundRequested {attempt} {} {}", amount.amount_minor, word_of(reason))
        }
        Event::RefundRequested { attempt, amount, reason, r#try, .. } => {
            let minor = amount.amount_minor;
            format!("RefundRequested {attempt} {minor} {} try {try}", word_of(reason))
        }
        Event::RefundSucceeded { attempt, .. } => format!("RefundSucceeded {attempt}"),
        Event::RefundFailed { attempt, .. } => format!("RefundFailed {attempt}"),
        Event::ChargebackOpened { attempt, .. } => format!("ChargebackOpened {attempt}"),
        Event::MoneyLost { attempt, why } => format!("MoneyLost {attempt} {}", word_of(why)),
        Event::Closed { reason } => format!("Closed {}", word_of(reason)),
        Event::DamageChargeCreated { .. } => "DamageChargeCreated".into(),
        Event::GatewayEventIgnored { attempt, why, .. } => {
            format!("Ignored {attempt} {}", word_of(why))
        }
    }
}
