//! A modelled gateway: intents, idempotency keys that replay what was answered under them, refusals,
//! and webhooks. It is on nobody's side: it may refuse, lapse, and be paid by a customer at any time.

use holdfast_domain::payment::{LostWhy, Word};
use holdfast_domain::process::GatewayCall;
use holdfast_domain::{AttemptNo, RefundId};

use super::{PART, PRICE, Without, eur, operators_refund};

/// Where one intent stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Stand {
    /// Nothing was created under the attempt's key.
    #[default]
    None,
    /// The customer may pay.
    Open,
    /// Declined, and still payable.
    Declined,
    /// The money is reserved.
    Authorized,
    /// The money is taken.
    Captured,
    /// Nothing can be paid any more.
    Cancelled,
}

/// What was answered to the first call under the create's key; a repeat is answered the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum First {
    #[default]
    Session,
    Authorized,
    Declined,
}

/// Sets of tries, one bit each.
type Tries = u8;

/// One refund of an intent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Back {
    /// Tries whose key replays a refusal.
    pub(crate) refused: Tries,
    /// Tries under whose key money went back.
    pub(crate) done: Tries,
}

/// What the gateway has under one attempt's keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Intent {
    pub(crate) stand: Stand,
    pub(super) first: First,
    pub(super) voids_refused: Tries,
    pub(super) captures_refused: Tries,
    pub(super) captures_refused_for_good: Tries,
    /// The operator's refund, and the one of all that is left.
    pub(crate) refunds: [Back; 2],
}

impl Intent {
    /// Whether somebody could still be charged, or is.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.stand, Stand::Open | Stand::Declined | Stand::Authorized)
    }

    /// What is taken and not given back, when nothing was given back twice.
    pub(crate) fn kept(&self, all: i64) -> i64 {
        let captured = if self.stand == Stand::Captured { PRICE } else { 0 };
        let part = |back: Back, minor| if back.done == 0 { 0 } else { minor };
        captured - part(self.refunds[0], PART) - part(self.refunds[1], all)
    }
}

/// One thing that a call may come to.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) name: &'static str,
    pub(crate) intent: Intent,
    /// What the call is answered.
    pub(crate) answer: Vec<Word>,
    /// What webhooks tell.
    pub(crate) told: Vec<Word>,
    /// Whether the gateway did more harm than it has to.
    pub(crate) fault: bool,
}

pub(crate) fn session(attempt: AttemptNo) -> Word {
    Word::Session {
        gateway_ref: format!("pi_{attempt}"),
        redirect_url: None,
        expires_at: None,
        action: None,
    }
}

pub(crate) fn authorized(attempt: AttemptNo) -> Word {
    Word::Authorized {
        gateway_ref: format!("pi_{attempt}"),
        approval_code: "ok".into(),
        amount: eur(PRICE),
        authorization_expires_at: None,
    }
}

pub(crate) fn succeeded(attempt: AttemptNo) -> Word {
    Word::Succeeded {
        gateway_ref: format!("pi_{attempt}"),
        amount: eur(PRICE),
        approval_code: None,
    }
}

pub(crate) fn declined() -> Word {
    Word::Declined { code: "no".into(), decline_code: None, retryable: true }
}

pub(crate) fn cancelled() -> Word {
    Word::Cancelled { lost: LostWhy::CancelledByGateway }
}

fn nth_refund(refund_id: RefundId) -> usize {
    usize::from(refund_id != operators_refund())
}

fn bit(r#try: u16) -> Tries {
    1u8.checked_shl(u32::from(r#try)).unwrap_or(0)
}

/// What one call may come to, the kindest first. Empty: it is never answered.
pub(crate) fn call(call: &GatewayCall, intent: Intent, without: Option<Without>) -> Vec<Outcome> {
    match call {
        GatewayCall::Create { attempt, flow, .. } => create(*attempt, *flow, intent),
        GatewayCall::Query { attempt, .. } => query(*attempt, intent),
        GatewayCall::Capture { attempt, r#try, .. } => capture(*attempt, *r#try, intent),
        GatewayCall::Void { attempt, gateway_ref, create, r#try, .. } => {
            void(*attempt, *r#try, gateway_ref.is_some(), create, intent, without)
        }
        GatewayCall::Refund { refund_id, amount, r#try, .. } => {
            let word = Word::Refunded { refund_id: *refund_id, amount: *amount };
            refund(*refund_id, *r#try, word, intent)
        }
    }
}

fn outcome(name: &'static str, intent: Intent, answer: Vec<Word>, told: Vec<Word>) -> Outcome {
    Outcome { name, intent, answer, told, fault: false }
}

fn fault(name: &'static str, intent: Intent, answer: Word) -> Outcome {
    Outcome { name, intent, answer: vec![answer], told: vec![], fault: true }
}

fn create(
    attempt: AttemptNo,
    flow: holdfast_domain::payment::Flow,
    intent: Intent,
) -> Vec<Outcome> {
    use holdfast_domain::payment::Flow;
    if intent.stand != Stand::None {
        let answer = match intent.first {
            First::Session => session(attempt),
            First::Authorized => authorized(attempt),
            First::Declined => declined(),
        };
        return vec![outcome("as before", intent, vec![answer], vec![])];
    }
    let open = Intent { stand: Stand::Open, ..intent };
    let mut outcomes = vec![outcome("open", open, vec![session(attempt)], vec![])];
    match flow {
        Flow::Hosted => {}
        Flow::Direct => {
            let yes = Intent { stand: Stand::Authorized, first: First::Authorized, ..intent };
            let no = Intent { stand: Stand::Declined, first: First::Declined, ..intent };
            let word = authorized(attempt);
            outcomes.push(outcome("authorized", yes, vec![word.clone()], vec![word]));
            outcomes.push(outcome("declined", no, vec![declined()], vec![declined()]));
        }
    }
    outcomes
}

/// Asked what became of the attempt.
fn query(attempt: AttemptNo, intent: Intent) -> Vec<Outcome> {
    let mut answer = match intent.stand {
        Stand::None => vec![],
        Stand::Open => vec![session(attempt)],
        Stand::Declined => vec![declined()],
        Stand::Authorized => vec![authorized(attempt)],
        Stand::Captured => vec![succeeded(attempt)],
        Stand::Cancelled => vec![cancelled()],
    };
    if intent.refunds[0].done != 0 {
        answer.push(Word::Refunded { refund_id: operators_refund(), amount: eur(PART) });
    }
    vec![outcome("asked", intent, answer, vec![])]
}

fn capture(attempt: AttemptNo, r#try: u16, intent: Intent) -> Vec<Outcome> {
    let refused = |retryable| Word::CaptureRefused { code: "no".into(), retryable, r#try };
    if intent.captures_refused & bit(r#try) != 0 {
        return vec![outcome("refused as before", intent, vec![refused(true)], vec![])];
    }
    if intent.captures_refused_for_good & bit(r#try) != 0 {
        return vec![outcome("refused as before", intent, vec![refused(false)], vec![])];
    }
    match intent.stand {
        Stand::Authorized => {
            let taken = Intent { stand: Stand::Captured, ..intent };
            let captures_refused = intent.captures_refused | bit(r#try);
            let later = Intent { captures_refused, ..intent };
            let captures_refused_for_good = intent.captures_refused_for_good | bit(r#try);
            let never = Intent { captures_refused_for_good, ..intent };
            let word = succeeded(attempt);
            vec![
                outcome("captured", taken, vec![word.clone()], vec![word]),
                fault("refused", later, refused(true)),
                fault("refused for good", never, refused(false)),
            ]
        }
        Stand::Captured => vec![outcome("already", intent, vec![succeeded(attempt)], vec![])],
        Stand::Cancelled => vec![outcome("cancelled before", intent, vec![cancelled()], vec![])],
        Stand::None | Stand::Open | Stand::Declined => vec![],
    }
}

fn void(
    attempt: AttemptNo,
    r#try: u16,
    has_reference: bool,
    create_call: &GatewayCall,
    intent: Intent,
    without: Option<Without>,
) -> Vec<Outcome> {
    if intent.stand == Stand::None {
        if without == Some(Without::SpendingTheKey) {
            return vec![outcome("no such intent", intent, vec![cancelled()], vec![])];
        }
        assert!(!has_reference, "a reference is known of what exists");
        // The create goes first, under its own key, so that the key is spent.
        return call(create_call, intent, without)
            .into_iter()
            .flat_map(|created| {
                void(attempt, r#try, false, create_call, created.intent, without).into_iter().map(
                    move |mut voided| {
                        voided.told.splice(0..0, created.told.clone());
                        voided
                    },
                )
            })
            .collect();
    }
    let refused = Word::VoidRefused { code: "busy".into(), r#try };
    if intent.voids_refused & bit(r#try) != 0 {
        return vec![outcome("refused as before", intent, vec![refused], vec![])];
    }
    match intent.stand {
        Stand::Open | Stand::Declined | Stand::Authorized => {
            let gone = Intent { stand: Stand::Cancelled, ..intent };
            let later = Intent { voids_refused: intent.voids_refused | bit(r#try), ..intent };
            vec![
                outcome("cancelled", gone, vec![cancelled()], vec![cancelled()]),
                fault("refused", later, refused),
            ]
        }
        // What is paid cannot be cancelled; the adapter tells what it is instead.
        Stand::Captured => vec![outcome("paid", intent, vec![succeeded(attempt)], vec![])],
        Stand::Cancelled => vec![outcome("already", intent, vec![cancelled()], vec![])],
        Stand::None => vec![],
    }
}

fn refund(refund_id: RefundId, r#try: u16, word: Word, intent: Intent) -> Vec<Outcome> {
    let nth = nth_refund(refund_id);
    let back = intent.refunds[nth];
    let failure = Word::RefundRefused { refund_id, failure: "no".into(), r#try };
    if back.refused & bit(r#try) != 0 {
        return vec![outcome("refused as before", intent, vec![failure], vec![])];
    }
    if back.done & bit(r#try) != 0 {
        return vec![outcome("already", intent, vec![word], vec![])];
    }
    let with = |back| {
        let mut intent = intent;
        intent.refunds[nth] = back;
        intent
    };
    if intent.stand != Stand::Captured {
        // There is nothing to give back. After some tries it does not even answer.
        let refused = with(Back { refused: back.refused | bit(r#try), ..back });
        let answer =
            (r#try < 4).then(|| outcome("nothing captured", refused, vec![failure], vec![]));
        return answer.into_iter().collect();
    }
    vec![
        outcome(
            "refunded",
            with(Back { done: back.done | bit(r#try), ..back }),
            vec![word.clone()],
            vec![word],
        ),
        fault("refused", with(Back { refused: back.refused | bit(r#try), ..back }), failure),
    ]
}
