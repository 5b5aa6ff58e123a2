//! Damages and extras: charged later, on the means by which the reservation was paid.

use super::*;

fn damage() -> PaymentId {
    PaymentId(derive(&["a damage"]))
}

fn inspection() -> InspectionId {
    InspectionId(derive(&["an inspection"]))
}

fn means() -> Means {
    Means { gateway: "sandbox".into(), gateway_ref: "pi_rental".into() }
}

fn charge(attempt: u16, minor: i64) -> Command {
    Command::ChargeLater {
        reservation_id: ReservationId(derive(&["a reservation"])),
        inspection_id: Some(inspection()),
        amount: eur(minor),
        attempt,
        means: Some(means()),
        tenant: "hall".into(),
    }
}

fn ask(state: &State, command: &Command) -> Result<Vec<Event>, Refusal> {
    state.decide(&damage(), command, Timestamp::default())
}

fn after(commands: &[Command]) -> State {
    let mut state = State::default();
    for command in commands {
        for event in ask(&state, command).expect("an accepted command") {
            state.evolve(&event);
        }
    }
    state
}

fn paid() -> Word {
    Word::Succeeded { gateway_ref: "pi_damage".into(), amount: eur(PRICE), approval_code: None }
}

// S0-37
#[test]
fn a_damage_is_a_payment_of_its_own_with_its_own_key() {
    let events = ask(&State::default(), &charge(1, PRICE)).expect("accepted");
    assert_eq!(short(&Ok(events.clone())), "DamageChargeCreated, Initiated 1");
    let [
        Event::DamageChargeCreated { inspection_id, gateway_idempotency_key: told, .. },
        Event::Initiated { kind, gateway, gateway_idempotency_key, flow, again_of, .. },
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(InspectionId(*inspection_id), inspection());
    assert_eq!((*kind, *flow, gateway.as_str()), (Kind::DamageCharge, Flow::Direct, "sandbox"));
    assert_eq!(again_of.as_deref(), Some("pi_rental"));
    assert_eq!(
        (told, told),
        (gateway_idempotency_key, &key("hall", &damage(), 1, Operation::Auth, 1))
    );
    let state = after(&[charge(1, PRICE)]);
    assert_eq!(state.inspection_id, Some(inspection()));
}

/// S0-37: asked twice, late, or after its end, it is charged once.
#[test]
fn asked_again_with_its_number_a_charge_is_already_so() {
    let histories: [&[Command]; 4] = [
        &[charge(1, PRICE)],
        &[charge(1, PRICE), said(1, paid())],
        &[charge(1, PRICE), said(1, declined())],
        &[charge(1, PRICE), give_back(BackReason::Operator)],
    ];
    for history in histories {
        let state = after(history);
        assert_eq!(short(&ask(&state, &charge(1, PRICE))), "-", "{:?}", state.status());
        assert_eq!(ask(&state, &charge(1, PRICE + 1)), Err(Refusal::AmountMismatch));
    }
}

#[test]
fn after_a_decline_the_next_number_begins_and_the_declined_intent_is_voided() {
    let declined = after(&[charge(1, PRICE), said(1, declined())]);
    let both = "Initiated 2, VoidRequested 1 SUPERSEDED";
    assert_eq!(short(&ask(&declined, &charge(2, PRICE))), both);
    // For less, as it was approved anew.
    assert_eq!(short(&ask(&declined, &charge(2, 100))), both);
    assert_eq!(short(&ask(&declined, &charge(3, PRICE))), "E:WrongAttempt");
    let state = after(&[charge(1, PRICE)]);
    assert_eq!(short(&ask(&state, &charge(2, PRICE))), "E:InProgress");
    let state = after(&[charge(1, PRICE), said(1, paid())]);
    assert_eq!(short(&ask(&state, &charge(2, PRICE))), "E:AlreadyPaid");
}

#[test]
fn nothing_is_charged_without_means_for_nothing_or_once_it_is_closed() {
    let mut without = charge(1, PRICE);
    if let Command::ChargeLater { means, .. } = &mut without {
        *means = None;
    }
    assert_eq!(ask(&State::default(), &without), Err(Refusal::NoMeans));
    for minor in [0, -1] {
        assert_eq!(ask(&State::default(), &charge(1, minor)), Err(Refusal::AmountMismatch));
    }
    let closed = after(&[give_back(BackReason::Operator)]);
    assert_eq!(ask(&closed, &charge(1, PRICE)), Err(Refusal::Closed));
}

#[test]
fn an_extra_is_one_without_an_inspection() {
    let mut extra = charge(1, PRICE);
    if let Command::ChargeLater { inspection_id, .. } = &mut extra {
        *inspection_id = None;
    }
    assert_eq!(short(&ask(&State::default(), &extra)), "Initiated 1");
    assert_eq!(after(&[extra]).kind, Kind::Extra);
}

/// Whatever became of the money since: the card is the same.
#[test]
fn the_means_are_those_of_the_latest_attempt_that_was_authorized_or_paid() {
    assert_eq!(given(&[initiate(1)]).means(), None);
    assert_eq!(given(&[initiate(1), said(1, declined())]).means(), None);
    let expected = Some(Means { gateway: "sandbox".into(), gateway_ref: "pi_1".into() });
    for history in [
        &[initiate(1), said(1, authorized())][..],
        &[initiate(1), said(1, succeeded())],
        &[initiate(1), said(1, succeeded()), give_back(BackReason::Cancelled)],
        &[
            initiate(1),
            said(1, authorized()),
            give_back(BackReason::Cancelled),
            said(1, cancelled()),
        ],
    ] {
        assert_eq!(given(history).means(), expected);
    }
}
