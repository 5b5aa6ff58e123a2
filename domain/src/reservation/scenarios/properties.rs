//! What holds after any sequence of commands at any moments: R1–R6, and what makes retries free.

use proptest::prelude::*;

use super::*;
use crate::claim::testing::kept;

fn moment() -> impl Strategy<Value = u64> {
    prop_oneof![0..HOLD_SECS, HOLD_SECS - 2..HOLD_SECS + 3, HOLD_SECS..CAP_SECS + 2_000]
}

fn policies() -> impl Strategy<Value = Policies> {
    any::<[bool; 3]>().prop_map(|[keep, refund, remote_unlock]| Policies {
        on_decline: if keep { OnDecline::KeepHold } else { OnDecline::Release },
        late_payment: if refund { LatePayment::Refund } else { LatePayment::TryReacquire },
        capture: Capture::OnConfirm,
        remote_unlock,
    })
}

fn command() -> impl Strategy<Value = Command> {
    let number = || 1u16..4;
    let epoch = || 1u32..4;
    prop_oneof![
        1 => policies().prop_map(place_with),
        3 => proptest::option::of((0..2 * CAP_SECS).prop_map(at)).prop_map(request_until),
        4 => number().prop_map(confirm),
        2 => number().prop_map(decline),
        1 => number().prop_map(lose_money),
        2 => epoch().prop_map(expire),
        1 => Just(cancel()),
        1 => (0..2 * CAP_SECS).prop_map(extend),
        4 => (epoch(), any::<bool>()).prop_map(|(epoch, taken)| {
            reacquired(epoch, if taken { Reacquired::Taken } else { Reacquired::Refused })
        }),
        2 => epoch().prop_map(lose_claim),
        2 => epoch().prop_map(finalize),
        1 => Just(start()),
        1 => epoch().prop_map(|epoch| assign("car-7", epoch)),
        1 => epoch().prop_map(|epoch| assign("car-8", epoch)),
        1 => Just(withdraw("car-7")),
        1 => Just(no_show("car-7")),
        1 => Just(complete()),
        1 => Just(complete_without_unlock()),
    ]
}

fn is_over(status: Status) -> bool {
    match status {
        Status::HoldFailed | Status::HoldExpired | Status::Cancelled | Status::Completed => true,
        Status::None
        | Status::Hold
        | Status::AwaitingPayment
        | Status::Reacquiring
        | Status::Confirmed
        | Status::InUse => false,
    }
}

/// Whether it moves the customer's version (R6).
fn is_noticed(event: &Event) -> bool {
    matches!(
        event,
        Event::HoldCreated { .. }
            | Event::Confirmed { .. }
            | Event::LatePaymentAccepted { .. }
            | Event::HoldReleased { .. }
            | Event::HoldExpired { .. }
            | Event::Cancelled { .. }
            | Event::RentalCompleted { .. }
    )
}

/// What a repeat of an accepted command may be refused with: asked again, it asks for something new,
/// and the refusal names what the first one did.
fn may_be_refused(command: &Command, refusal: &Refusal) -> bool {
    match command {
        Command::RequestPayment { .. } => matches!(refusal, Refusal::PaymentInProgress { .. }),
        _ => false,
    }
}

fn check(state: &State) {
    let sum: i64 = state
        .lines
        .iter()
        .map(|line| line.unit_price.amount_minor * i64::from(line.quantity))
        .sum();
    if state.status != Status::None {
        assert_eq!(state.total, Some(eur(sum)), "R1");
        assert!(state.absolute_deadline <= at(CAP_SECS), "R2");
    }
    if let Some(deadline) = state.hold_expires_at {
        assert!(deadline <= state.absolute_deadline, "R2");
    }
    match state.status {
        Status::Hold | Status::AwaitingPayment => assert!(state.hold_expires_at.is_some()),
        Status::Confirmed | Status::InUse => assert_eq!(state.hold_expires_at, None, "R4"),
        Status::None
        | Status::Reacquiring
        | Status::Completed
        | Status::HoldFailed
        | Status::HoldExpired
        | Status::Cancelled => assert_eq!(state.hold_expires_at, None),
    }
    assert_eq!(state.status == Status::Reacquiring, state.late.is_some());
    assert_eq!(state.status == Status::Reacquiring, state.ended_as.is_some());
    assert!(!state.claims_lost || state.status == Status::Confirmed);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_sequence_of_commands_keeps_the_rules(
        policies in policies(),
        commands in prop::collection::vec((moment(), command()), 0..30),
    ) {
        let mut state = given(&[(0, place_with(policies))]);
        let mut extensions = 0;
        for (secs, command) in commands {
            let before = state.clone();
            let Ok(events) = ask(&state, secs, &command) else { continue };
            for event in &events {
                let earlier = state.clone();
                state.evolve(event);
                prop_assert_ne!(&earlier, &state, "{:?} changes nothing", event);
                check(&state);
                prop_assert_eq!(&kept(&state), &state, "kept and read back");
                let noticed = u32::from(is_noticed(event));
                prop_assert_eq!(state.version, earlier.version + noticed, "R6: {:?}", event);
                if let Event::HoldExtended { reason: ExtensionReason::PaymentStarted, .. } = event {
                    extensions += 1;
                }
                if is_over(earlier.status) {
                    let about_late_money = matches!(
                        event,
                        Event::LatePaymentReceived { .. }
                            | Event::LatePaymentRejected { .. }
                            | Event::MoneyLost { .. }
                    );
                    prop_assert!(about_late_money, "R5: {:?} × {:?}", earlier.status, event);
                }
            }
            prop_assert!(extensions <= 1, "R3");
            match ask(&state, secs, &command) {
                Ok(again) => prop_assert_eq!(again, vec![], "repeated: {:?} on {:?}", command, before),
                Err(refusal) => prop_assert!(
                    may_be_refused(&command, &refusal),
                    "repeated: {:?} answers {:?}", command, refusal
                ),
            }
        }
    }

    #[test]
    fn no_attempt_is_decided_twice(
        policies in policies(),
        commands in prop::collection::vec((moment(), command()), 0..40),
    ) {
        let mut state = given(&[(0, place_with(policies))]);
        let mut decided = BTreeSet::new();
        for (secs, command) in commands {
            for event in ask(&state, secs, &command).unwrap_or_default() {
                state.evolve(&event);
                let attempt = match &event {
                    Event::Confirmed { attempt, .. } | Event::LatePaymentReceived { attempt, .. } => {
                        Some(*attempt)
                    }
                    Event::LatePaymentRejected { attempt, reason, .. } => match reason {
                        LateReason::Policy | LateReason::Cancelled => Some(*attempt),
                        // What became of a late payment that was received before.
                        LateReason::Gone | LateReason::MoneyLost => None,
                    },
                    _ => None,
                };
                if let Some(attempt) = attempt {
                    prop_assert!(decided.insert(attempt), "{:?} decides attempt {} again", event, attempt);
                }
            }
        }
    }
}
