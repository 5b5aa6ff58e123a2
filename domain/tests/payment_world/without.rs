//! The world without one of its rules. Each is switched off in the harness: the command, the facts or
//! the asks are changed on their way into or out of the real aggregate and the real processes.

use holdfast_domain::payment::{
    BackReason, Command, Event, LostWhy, Refusal, Retry, State, Status, Word,
};
use holdfast_domain::process::{self, Ask, GatewayCall};

use super::{PRICE, decide_for_real, eur, other_refund};

/// The rule that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Without {
    /// A new attempt voids the declined one.
    VoidingTheOldAttempt,
    /// A result counts for the attempt that it names.
    AttemptCheck,
    /// "No such intent" is not "voided": the create's key is spent first.
    SpendingTheKey,
    /// A decline does not end a void.
    VoidOutlivingADecline,
    /// A decline does not take an authorization back.
    AuthorizationOutlivingADecline,
    /// A declined intent is voided.
    VoidingTheDeclined,
    /// A refused void is asked for again.
    AskingAgain,
    /// A failed void is not done.
    FailedVoidsFailing,
    /// A refund of unknown outcome keeps its key.
    KeepingTheKey,
    /// What was definitely refused gets a new key.
    NewKeyAfterRefusal,
    /// A void is remembered also when there is no attempt yet.
    RememberingTheVoid,
    /// A capture refused for good is no decline.
    CaptureRefusalLosingMoney,
    /// A lapsed authorization is no decline.
    LapseLosingMoney,
    /// A refused capture leaves an authorization that must be voided.
    VoidingTheUncapturable,
    /// Money that is on its way back confirms nothing.
    ReturningInSilence,
    /// A superseded attempt's money is never kept.
    SupersedingForGood,
    /// The uncaptured is voided, not refunded.
    VoidingTheUncaptured,
    /// An expired hold spares an authorized payment.
    SparingTheAuthorized,
    /// Give back refunds the rest also while a refund is pending.
    RefundingBesideARefund,
}

/// Decides, with the rule switched off.
pub(crate) fn decide(
    without: Option<Without>,
    state: &State,
    command: &Command,
) -> Result<Vec<Event>, Refusal> {
    let Some(without) = without else { return decide_for_real(state, command) };
    if let Some(decided) = instead(without, state, command) {
        return decided;
    }
    let mut facts = decide_for_real(state, command)?;
    facts.retain(|fact| !is_missing(without, state, fact));
    for fact in &mut facts {
        change(without, state, fact);
    }
    Ok(facts)
}

fn status(state: &State, attempt: u16) -> Status {
    state.attempt(attempt).map_or(Status::None, |row| row.status)
}

/// What is decided instead, where the rule would have decided.
fn instead(
    without: Without,
    state: &State,
    command: &Command,
) -> Option<Result<Vec<Event>, Refusal>> {
    if let (Without::RefundingBesideARefund, Command::GiveBack { .. }) = (without, command) {
        return (state.status() == Status::RefundPending)
            .then_some(Err(Refusal::NotRefundable { left: eur(0) }));
    }
    if let (Without::SparingTheAuthorized, Command::SoftVoid { reason, .. }) = (without, command) {
        let row = state.current().filter(|row| row.status == Status::Authorized)?;
        let (attempt, reason) = (row.attempt, *reason);
        return Some(Ok(vec![Event::VoidRequested { attempt, reason, r#try: 1 }]));
    }
    let Command::Record { attempt, word, .. } = command else { return None };
    let attempt = *attempt;
    let is_declined = matches!(word, Word::Declined { .. });
    let failed = Event::Failed { attempt, code: "no".into(), decline_code: None, retryable: true };
    let voided = |reason| Event::Voided { attempt, reason };
    let facts = match (without, status(state, attempt)) {
        (Without::AttemptCheck, _) => {
            let mut latest = command.clone();
            if let (Command::Record { attempt, .. }, Some(row)) = (&mut latest, state.current()) {
                *attempt = row.attempt;
            }
            return Some(decide_for_real(state, &latest));
        }
        (Without::VoidOutlivingADecline, Status::VoidRequested) if is_declined => {
            vec![voided(BackReason::Released)]
        }
        (
            Without::AuthorizationOutlivingADecline,
            Status::Authorized | Status::CaptureRequested,
        ) if is_declined => vec![failed],
        (Without::FailedVoidsFailing, Status::VoidRequested)
            if matches!(word, Word::VoidRefused { .. }) =>
        {
            vec![voided(BackReason::Released)]
        }
        (Without::CaptureRefusalLosingMoney, Status::CaptureRequested)
            if refused_for_good(word) =>
        {
            vec![failed]
        }
        (Without::VoidingTheUncapturable, Status::CaptureRequested) if refused_for_good(word) => {
            let why = LostWhy::CaptureRefused;
            vec![voided(BackReason::MoneyLost), Event::MoneyLost { attempt, why }]
        }
        _ => return None,
    };
    Some(Ok(facts))
}

fn refused_for_good(word: &Word) -> bool {
    matches!(word, Word::CaptureRefused { retryable: false, .. })
}

/// A fact that only the rule would have recorded.
fn is_missing(without: Without, state: &State, fact: &Event) -> bool {
    match (without, fact) {
        (Without::VoidingTheOldAttempt, Event::VoidRequested { reason, .. }) => {
            *reason == BackReason::Superseded
        }
        (Without::VoidingTheDeclined, Event::VoidRequested { attempt, .. }) => {
            status(state, *attempt) == Status::Failed
        }
        (Without::RememberingTheVoid, Event::Closed { .. }) => state.attempts.is_empty(),
        (Without::LapseLosingMoney, Event::MoneyLost { why, .. }) => {
            *why != LostWhy::CaptureRefused
        }
        _ => false,
    }
}

/// A fact that the rule would have recorded otherwise.
fn change(without: Without, state: &State, fact: &mut Event) {
    let Event::VoidRequested { attempt, reason, r#try } = fact else { return };
    if without == Without::NewKeyAfterRefusal {
        *r#try = 1;
    }
    if without == Without::SupersedingForGood && *reason == BackReason::Superseded {
        *reason = BackReason::Released;
    }
    if without == Without::VoidingTheUncaptured && status(state, *attempt) == Status::Authorized {
        *fact = Event::RefundRequested {
            attempt: *attempt,
            refund_id: other_refund(),
            amount: eur(PRICE),
            reason: *reason,
            r#try: 1,
        };
    }
}

/// What the booking process is told, with the rule switched off.
pub(crate) fn shown_to_booking(without: Option<Without>, fact: &Event) -> Event {
    let mut fact = fact.clone();
    if without == Some(Without::ReturningInSilence)
        && let Event::Succeeded { kept, .. } = &mut fact
    {
        *kept = true;
    }
    fact
}

/// Whether an ask is made at all, with the rule switched off.
pub(crate) fn is_asked(without: Option<Without>, ask: &Ask) -> bool {
    let again = |command: &process::Command| {
        let process::Command::Payment(_, command) = command else { return false };
        matches!(command, Command::Retry { what: Retry::Void, .. })
    };
    match (without, ask) {
        (Some(Without::AskingAgain), Ask::Do(command)) => !again(command),
        _ => true,
    }
}

/// The same ask once more, with the rule switched off.
pub(crate) fn once_more(without: Option<Without>, mut ask: Ask) -> Ask {
    if without == Some(Without::KeepingTheKey)
        && let Ask::Gateway(GatewayCall::Refund { r#try, .. }) = &mut ask
    {
        *r#try += 1;
    }
    ask
}
