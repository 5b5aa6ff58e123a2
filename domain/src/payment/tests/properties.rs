//! What holds for any sequence of commands, and for any order of a gateway's words.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::claim::testing::{cases, kept};

const REASONS: [BackReason; 5] = [
    BackReason::Cancelled,
    BackReason::Late,
    BackReason::Oversold,
    BackReason::Duplicate,
    BackReason::Operator,
];

fn any_word() -> impl Strategy<Value = Word> {
    let refund = select(vec!["a", "b"]).prop_map(refund_id);
    // The refund of all that is left has a name of its own.
    let refund = prop_oneof![
        refund,
        (1u16..4).prop_map(|attempt| {
            RefundId(derive(&["refund", &id().to_string(), &attempt.to_string(), "all"]))
        })
    ];
    let minor = select(vec![1, 1_000, 3_500, PRICE]);
    prop_oneof![
        any::<bool>().prop_map(|action| session(action.then_some(Action::ThreeDs))),
        Just(authorized()),
        Just(authorized()),
        Just(succeeded()),
        Just(succeeded()),
        Just(declined()),
        Just(declined()),
        Just(cancelled()),
        Just(Word::Succeeded { gateway_ref: "pi".into(), amount: eur(1), approval_code: None }),
        (any::<bool>(), 1u16..4).prop_map(|(retryable, r#try)| Word::CaptureRefused {
            code: "no".into(),
            retryable,
            r#try
        }),
        (1u16..4).prop_map(|r#try| Word::VoidRefused { code: "no".into(), r#try }),
        (refund.clone(), minor.clone())
            .prop_map(|(refund_id, minor)| Word::Refunded { refund_id, amount: eur(minor) }),
        (refund, 1u16..4).prop_map(|(refund_id, r#try)| Word::RefundRefused {
            refund_id,
            failure: "no".into(),
            r#try
        }),
        minor.prop_map(|minor| Word::Chargeback { amount: eur(minor) }),
    ]
}

fn any_command() -> impl Strategy<Value = Command> {
    let attempt = || 1u16..4;
    let some = || prop_oneof![3 => Just(None), 1 => attempt().prop_map(Some)];
    prop_oneof![
        3 => (attempt(), any::<bool>()).prop_map(|(attempt, hosted)| {
            if hosted { initiate_hosted(attempt) } else { initiate(attempt) }
        }),
        4 => (attempt(), any_word()).prop_map(|(attempt, word)| said(attempt, word)),
        6 => (attempt(), 0..12, any_word())
            .prop_map(|(attempt, event, word)| told(&format!("evt_{event}"), attempt, word)),
        1 => (some(), select(vec![BackReason::Expired, BackReason::Released]))
            .prop_map(|(attempt, reason)| Command::SoftVoid { attempt, reason }),
        1 => (some(), select(REASONS.to_vec()))
            .prop_map(|(attempt, reason)| Command::GiveBack { attempt, reason }),
        2 => attempt().prop_map(capture),
        2 => (attempt(), prop_oneof![
            Just(Retry::Capture),
            Just(Retry::Void),
            select(vec!["a", "b"]).prop_map(|name| Retry::Refund { refund_id: refund_id(name) }),
        ])
            .prop_map(|(attempt, what)| Command::Retry { attempt, what }),
        1 => (select(vec!["a", "b"]), select(vec![None, Some(1_000), Some(3_500)])).prop_map(
            |(name, minor)| Command::Refund {
                refund_id: refund_id(name),
                amount: minor.map(eur),
                reason: BackReason::Operator,
            }
        ),
    ]
}

/// P1, P2 and P3, in every state between two appends.
fn invariants(state: &State) -> Result<(), TestCaseError> {
    let open = |row: &&Attempt| match row.status {
        Status::Pending
        | Status::RequiresAction
        | Status::Authorized
        | Status::CaptureRequested
        | Status::Succeeded
        | Status::Failed => true,
        Status::None
        | Status::VoidRequested
        | Status::Voided
        | Status::RefundPending
        | Status::PartiallyRefunded
        | Status::Refunded
        | Status::Disputed => false,
    };
    for row in &state.attempts {
        let minor = |money: Money| money.amount_minor;
        prop_assert!(minor(row.captured) <= minor(row.authorized), "P1 in {row:?}");
        prop_assert!(minor(row.authorized) <= minor(row.amount), "P1 in {row:?}");
        prop_assert!(minor(row.refunded) <= minor(row.captured), "P2 in {row:?}");
        let asked: i64 = row.refunds.iter().map(|refund| minor(refund.amount)).sum();
        prop_assert!(asked <= minor(row.captured), "P2 in {row:?}");
    }
    prop_assert!(state.attempts.iter().filter(open).count() <= 1, "P3 in {state:?}");
    let older = state.attempts.iter().rev().skip(1);
    prop_assert_eq!(older.filter(open).count(), 0, "P3: older attempts are on their way back");
    Ok(())
}

/// Nothing is called authorized, paid, voided or refunded before the gateway said so (P6: neither is
/// a void that was asked for, or that failed).
fn on_the_gateways_word(command: &Command, fact: &Event) -> bool {
    let said = |fits: fn(&Word) -> bool| {
        if let Command::Record { word, .. } = command { fits(word) } else { false }
    };
    match fact {
        Event::Authorized { .. } => {
            said(|word| matches!(word, Word::Authorized { .. } | Word::Succeeded { .. }))
        }
        Event::Succeeded { .. } => said(|word| matches!(word, Word::Succeeded { .. })),
        Event::Failed { .. } => said(|word| matches!(word, Word::Declined { .. })),
        Event::Voided { .. } => said(|word| matches!(word, Word::Cancelled { .. })),
        Event::RefundSucceeded { .. } => said(|word| matches!(word, Word::Refunded { .. })),
        Event::ChargebackOpened { .. } => said(|word| matches!(word, Word::Chargeback { .. })),
        Event::Initiated { .. }
        | Event::SessionCreated { .. }
        | Event::ActionRequired { .. }
        | Event::CaptureRequested { .. }
        | Event::VoidRequested { .. }
        | Event::VoidFailed { .. }
        | Event::CaptureFailed { .. }
        | Event::RefundRequested { .. }
        | Event::RefundFailed { .. }
        | Event::MoneyLost { .. }
        | Event::Closed { .. }
        | Event::DamageChargeCreated { .. }
        | Event::GatewayEventIgnored { .. } => true,
    }
}

/// Which gateway event a fact applies, if any.
fn applied(fact: &Event) -> Option<&str> {
    if let Event::Authorized { gateway_event_id, .. } | Event::Succeeded { gateway_event_id, .. } =
        fact
    {
        return gateway_event_id.as_deref();
    }
    if let Event::ChargebackOpened { gateway_event_id, .. } = fact {
        return Some(gateway_event_id);
    }
    None
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn whatever_is_asked_the_money_adds_up(
        commands in prop::collection::vec(any_command(), 1..60),
    ) {
        let mut state = State::default();
        let mut applied_before = Vec::new();
        for command in &commands {
            let Ok(facts) = decide(&state, command) else { continue };
            let mut appended = Vec::new();
            for fact in &facts {
                prop_assert!(on_the_gateways_word(command, fact), "{command:?} gave {fact:?}");
                let before = state.clone();
                state.evolve(fact);
                prop_assert_ne!(&before, &state, "{:?} changes nothing", fact);
                appended.extend(applied(fact).map(str::to_owned));
            }
            invariants(&state)?;
            prop_assert_eq!(&kept(&state), &state, "kept and read back");
            // P4: once each, though one append may say two things with it.
            appended.dedup();
            for event_id in appended {
                prop_assert!(!applied_before.contains(&event_id), "{event_id} was applied twice");
                applied_before.push(event_id);
            }
            // Every accepted command can be repeated: it is accepted, and the money stands as before.
            let repeated = decide(&state, command);
            prop_assert!(repeated.is_ok(), "{command:?} repeated: {repeated:?} in {state:?}");
            let mut after = state.clone();
            for fact in repeated.expect("just seen") {
                after.evolve(&fact);
            }
            prop_assert_eq!((&after.attempts, after.closed), (&state.attempts, state.closed));
            prop_assert_eq!(after.version, state.version);
        }
    }
}

/// Where the money of every attempt stands.
fn money(state: &State) -> Vec<(Status, [i64; 4], bool)> {
    let row = |row: &Attempt| {
        let sums = [row.authorized, row.captured, row.refunded, row.disputed];
        let waiting = row.pending_refunds().next().is_some();
        (row.status, sums.map(|money| money.amount_minor), waiting)
    };
    state.attempts.iter().map(row).collect()
}

/// Every order of five words in which each comes twice: how many there are, and every end. Orders that
/// have led to the same state with the same words to come are walked on together.
fn every_order(begin: &State, words: &[Command; 5]) -> (usize, Vec<State>) {
    let mut worlds = BTreeMap::from([([0u8; 5], vec![(begin.clone(), 1)])]);
    for _ in 0..10 {
        let mut next: BTreeMap<[u8; 5], Vec<(State, usize)>> = BTreeMap::new();
        for (told, states) in worlds {
            for (nth, word) in words.iter().enumerate().filter(|(nth, _)| told[*nth] < 2) {
                let mut told = told;
                told[nth] += 1;
                let reached = next.entry(told).or_default();
                for (state, orders) in &states {
                    let mut state = state.clone();
                    for fact in decide(&state, word).expect("a word about a known attempt") {
                        state.evolve(&fact);
                    }
                    // In which order it remembers, and how often it shrugged, is no part of the end.
                    state.seen.make_contiguous().sort_unstable();
                    state.ignored = 0;
                    match reached.iter_mut().find(|(other, _)| *other == state) {
                        Some((_, more)) => *more += orders,
                        None => reached.push((state, *orders)),
                    }
                }
            }
        }
        worlds = next;
    }
    let ends: Vec<(State, usize)> = worlds.into_values().flatten().collect();
    let orders = ends.iter().map(|(_, orders)| orders).sum();
    (orders, ends.into_iter().map(|(end, _)| end).collect())
}

/// Its name, how it begins, what is then said of which attempt, and how it ends.
type History = (&'static str, State, [(u16, Word); 5], Status);

/// P13 of PROMISES.md: 113,400 schedules for each history.
#[test]
fn words_in_any_order_and_twice_reach_the_same_end() {
    let refunded =
        |name: &str, minor| Word::Refunded { refund_id: refund_id(name), amount: eur(minor) };
    let refund = |name: &str, minor| Command::Refund {
        refund_id: refund_id(name),
        amount: Some(eur(minor)),
        reason: BackReason::Operator,
    };
    let no = |r#try| Word::VoidRefused { code: "no".into(), r#try };
    let bank = Word::Chargeback { amount: eur(100) };
    let open = session(Some(Action::Redirect));
    let histories: [History; 5] = [
        (
            "a hosted payment",
            given(&[initiate_hosted(1)]),
            [(1, open.clone()), (1, declined()), (1, authorized()), (1, succeeded()), (1, bank)],
            Status::Disputed,
        ),
        (
            "a second attempt beside the first one's late truth",
            given(&[initiate(1), said(1, declined()), initiate(2)]),
            [
                (1, declined()),
                (1, authorized()),
                (1, succeeded()),
                (2, authorized()),
                (2, succeeded()),
            ],
            Status::Succeeded,
        ),
        (
            "a cancel that the payer overtakes",
            given(&[initiate(1), give_back(BackReason::Cancelled)]),
            [(1, open.clone()), (1, authorized()), (1, declined()), (1, no(1)), (1, succeeded())],
            Status::RefundPending,
        ),
        (
            "a cancel that wins",
            given(&[initiate(1), said(1, authorized()), give_back(BackReason::Cancelled)]),
            [(1, open), (1, authorized()), (1, declined()), (1, no(1)), (1, cancelled())],
            Status::Voided,
        ),
        (
            "two refunds",
            given(&[initiate_hosted(1), said(1, succeeded()), refund("a", 1), refund("b", 2)]),
            [
                (1, refunded("a", 1)),
                (
                    1,
                    Word::RefundRefused {
                        refund_id: refund_id("a"),
                        failure: "no".into(),
                        r#try: 1,
                    },
                ),
                (1, refunded("b", 2)),
                (1, succeeded()),
                (1, declined()),
            ],
            Status::PartiallyRefunded,
        ),
    ];
    for (name, state, words, expected) in histories {
        let mut event = 0;
        let words = words.map(|(attempt, word)| {
            event += 1;
            told(&format!("evt_{event}"), attempt, word)
        });
        let (orders, ends) = every_order(&state, &words);
        assert_eq!(orders, 113_400);
        for end in ends {
            assert_eq!(end.status(), expected, "{name}");
            assert_eq!(money(&end), money(&in_order(&state, &words)), "{name}");
        }
    }
}

fn in_order(begin: &State, words: &[Command; 5]) -> State {
    let mut state = begin.clone();
    for word in words {
        then(&mut state, word);
    }
    state
}
