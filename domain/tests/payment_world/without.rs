//! The world without one of its rules. Each is switched off in the harness: the command, the facts or
//! the asks are changed on their way into or out of the real aggregate and the real processes.

use holdfast_domain::payment::{BackReason, Command, Event, LostWhy, Refusal, Retry, State, Status, Word};
use holdfast_domain::process::{self, Ask, GatewayCall};

use super::{decide_for_real, eur, PRICE};

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
    let status = |attempt: u16| state.attempt(attempt).map_or(Status::None, |row| row.status);
    match (without, command) {
        (Without::AttemptCheck, Command::Record { via, gateway_event_id, word, .. }) => {
            let attempt = state.current().map_or(1, |row| row.attempt);
            let (via, gateway_event_id, word) = (*via, gateway_event_id.clone(), word.clone());
            return decide_for_real(
                state,
                &Command::Record { attempt, via, gateway_event_id, word },
            );
        }
        (Without::VoidOutlivingADecline, Command::Record { attempt, word, .. }) => {
            if status(*attempt) == Status::VoidRequested && matches!(word, Word::Declined { .. }) {
                return Ok(vec![Event::Voided { attempt: *attempt, reason: BackReason::Released }]);
            }
        }
        (Without::AuthorizationOutlivingADecline, Command::Record { attempt, word, .. }) => {
            let reserved =
                matches!(status(*attempt), Status::Authorized | Status::CaptureRequested);
            if reserved && matches!(word, Word::Declined { .. }) {
                return Ok(vec![failed(*attempt)]);
            }
        }
        (Without::FailedVoidsFailing, Command::Record { attempt, word, .. }) => {
            if status(*attempt) == Status::VoidRequested && matches!(word, Word::VoidRefused { .. })
            {
                return Ok(vec![Event::Voided { attempt: *attempt, reason: BackReason::Released }]);
            }
        }
        (Without::CaptureRefusalLosingMoney, Command::Record { attempt, word, .. }) => {
            if refused_for_good(word) && status(*attempt) == Status::CaptureRequested {
                return Ok(vec![failed(*attempt)]);
            }
        }
        (Without::VoidingTheUncapturable, Command::Record { attempt, word, .. }) => {
            if refused_for_good(word) && status(*attempt) == Status::CaptureRequested {
                let (attempt, reason) = (*attempt, BackReason::MoneyLost);
                let why = LostWhy::CaptureRefused;
                return Ok(vec![Event::Voided { attempt, reason }, Event::MoneyLost { attempt, why }]);
            }
        }
        (Without::SparingTheAuthorized, Command::SoftVoid { attempt: None, reason }) => {
            if let Some(row) = state.current()
                && row.status == Status::Authorized
            {
                let (attempt, reason) = (row.attempt, *reason);
                return Ok(vec![Event::VoidRequested { attempt, reason, r#try: 1 }]);
            }
        }
        (Without::RefundingBesideARefund, Command::GiveBack { .. }) => {
            if state.status() == Status::RefundPending {
                return Err(Refusal::NotRefundable { left: eur(0) });
            }
        }
        _ => {}
    }
    let mut facts = decide_for_real(state, command)?;
    match without {
        Without::VoidingTheOldAttempt => facts.retain(|fact| {
            !matches!(fact, Event::VoidRequested { reason: BackReason::Superseded, .. })
        }),
        Without::VoidingTheDeclined => facts.retain(|fact| match fact {
            Event::VoidRequested { attempt, .. } => status(*attempt) != Status::Failed,
            _ => true,
        }),
        Without::NewKeyAfterRefusal => {
            for fact in &mut facts {
                if let Event::VoidRequested { r#try, .. } = fact {
                    *r#try = 1;
                }
            }
        }
        Without::RememberingTheVoid if state.attempts.is_empty() => {
            facts.retain(|fact| !matches!(fact, Event::Closed { .. }));
        }
        Without::LapseLosingMoney => {
            facts.retain(|fact| {
                let lapsed = matches!(fact, Event::MoneyLost { why, .. } if *why != LostWhy::CaptureRefused);
                !lapsed
            });
        }
        Without::SupersedingForGood => {
            for fact in &mut facts {
                if let Event::VoidRequested { reason, .. } = fact
                    && *reason == BackReason::Superseded
                {
                    *reason = BackReason::Released;
                }
            }
        }
        Without::VoidingTheUncaptured => {
            for fact in &mut facts {
                if let Event::VoidRequested { attempt, reason, .. } = fact
                    && status(*attempt) == Status::Authorized
                {
                    *fact = Event::RefundRequested {
                        attempt: *attempt,
                        refund_id: super::other_refund(),
                        amount: eur(PRICE),
                        reason: *reason,
                        r#try: 1,
                    };
                }
            }
        }
        _ => {}
    }
    Ok(facts)
}

fn failed(attempt: u16) -> Event {
    Event::Failed { attempt, code: "no".into(), decline_code: None, retryable: true }
}

fn refused_for_good(word: &Word) -> bool {
    matches!(word, Word::CaptureRefused { retryable: false, .. })
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
