//! What a report and its claim answer, and what they never do twice.

use super::*;
use crate::claim::testing::kept;
use crate::{By, Currency, Decider, derive};

fn id() -> InspectionId {
    InspectionId(derive(&["an inspection"]))
}

fn rental() -> ReservationId {
    ReservationId(derive(&["a rental"]))
}

fn payment() -> PaymentId {
    rental().damage_payment_id(&id())
}

fn eur(minor: i64) -> Money {
    Money::new(minor, Currency::new("EUR").unwrap())
}

fn olga() -> By {
    By::Operator(UserId::new("olga").unwrap())
}

fn ada() -> By {
    By::Owner(UserId::new("ada").unwrap())
}

fn photo() -> Photo {
    Photo {
        sha256: "0a".repeat(32),
        media_type: "image/jpeg".into(),
        url: "https://photos.example/1".into(),
    }
}

fn submit(estimate: Option<i64>, limit: Option<i64>) -> Command {
    Command::Submit {
        reservation_id: rental(),
        user_id: UserId::new("ada").unwrap(),
        description: "a scratch on the left door".into(),
        photos: vec![photo()],
        odometer_m: Some(52_000),
        estimate: estimate.map(eur),
        auto_charge_limit: limit.map(eur),
    }
}

fn approve(amount: Option<i64>) -> Command {
    Command::Approve { by: olga(), amount: amount.map(eur) }
}

fn reject() -> Command {
    Command::Reject { by: olga(), reason: None }
}

fn waive() -> Command {
    Command::Waive { by: olga(), reason: Some("goodwill".into()) }
}

fn dispute() -> Command {
    Command::Dispute { by: ada(), reason: None }
}

fn charged() -> Command {
    Command::RecordCharged { payment_id: payment(), amount: eur(20_000) }
}

fn failed(attempt: u16) -> Command {
    let code = "card_declined".into();
    Command::RecordChargeFailed { payment_id: payment(), attempt: Some(attempt), code }
}

fn impossible() -> Command {
    let code = "no_means".into();
    Command::RecordChargeFailed { payment_id: payment(), attempt: None, code }
}

fn ask(state: &State, command: &Command) -> Result<Vec<Event>, Refusal> {
    state.decide(&id(), command, Timestamp::default())
}

fn given(commands: &[Command]) -> State {
    let mut state = State::default();
    for command in commands {
        let events = ask(&state, command).unwrap();
        assert!(!events.is_empty(), "{command:?} changes nothing");
        events.iter().for_each(|event| state.evolve(event));
    }
    state
}

fn shown(answer: &Result<Vec<Event>, Refusal>) -> String {
    fn name(value: &impl std::fmt::Debug) -> String {
        let text = format!("{value:?}");
        text.split([' ', '(', '{']).next().unwrap_or_default().to_owned()
    }
    match answer {
        Ok(events) if events.is_empty() => "idem".into(),
        Ok(events) => events.iter().map(name).collect::<Vec<_>>().join(" + "),
        Err(refusal) => format!("E:{}", name(refusal)),
    }
}

#[track_caller]
fn row(state: &State, cells: &[(Command, &str)]) {
    for (command, expected) in cells {
        assert_eq!(shown(&ask(state, command)), *expected, "{:?} × {command:?}", state.status);
    }
}

// S0-35, S0-36
#[test]
fn a_damage_waits_for_a_decision_unless_it_is_small_enough() {
    let asked = given(&[submit(Some(20_000), None)]);
    assert_eq!((asked.status, asked.charging), (ClaimStatus::Pending, false));
    for limit in [0, 19_999] {
        assert_eq!(given(&[submit(Some(20_000), Some(limit))]).status, ClaimStatus::Pending);
    }
    let small = given(&[submit(Some(20_000), Some(20_000))]);
    assert_eq!((small.status, small.amount), (ClaimStatus::Approved, Some(eur(20_000))));
    // Nothing was estimated: a limit says nothing of that.
    assert_eq!(given(&[submit(None, Some(20_000))]).status, ClaimStatus::Pending);
}

#[test]
fn a_report_without_a_damage_claims_nothing() {
    let mut nothing = submit(None, Some(20_000));
    if let Command::Submit { description, .. } = &mut nothing {
        *description = " ".into();
    }
    let state = given(&[nothing]);
    assert_eq!((state.status, state.claim_id), (ClaimStatus::None, None));
    row(&state, &[(approve(Some(1)), "E:NoClaim"), (reject(), "E:NoClaim")]);
}

/// D36: one claim for each report, and one charge.
#[test]
fn damage_dup() {
    let once = given(&[submit(Some(20_000), Some(20_000))]);
    row(
        &once,
        &[
            (submit(Some(20_000), Some(20_000)), "idem"),
            // The limit was changed since: it is the same report.
            (submit(Some(20_000), None), "idem"),
            (submit(Some(30_000), None), "E:AlreadyExists"),
            (approve(None), "idem"),
        ],
    );
    let paid = given(&[submit(Some(20_000), Some(20_000)), charged()]);
    row(
        &paid,
        &[
            (charged(), "idem"),
            (failed(1), "idem"),
            (approve(None), "idem"),
            (approve(Some(20_000)), "idem"),
            (approve(Some(30_000)), "E:AlreadyCharged"),
            (reject(), "E:AlreadyCharged"),
        ],
    );
    assert_eq!(paid.claim_id, Some(id().claim_id()), "its name follows from the report's");
}

#[test]
fn what_does_not_exist_answers_not_found() {
    let none = State::default();
    for command in [approve(Some(1)), reject(), waive(), dispute(), charged(), failed(1)] {
        row(&none, &[(command, "E:NotFound")]);
    }
}

#[test]
fn only_an_operator_decides_and_only_its_customer_disputes() {
    let state = given(&[submit(Some(20_000), None)]);
    let bob = By::Owner(UserId::new("bob").unwrap());
    row(
        &state,
        &[
            (Command::Approve { by: ada(), amount: None }, "E:NotFound"),
            (Command::Reject { by: ada(), reason: None }, "E:NotFound"),
            (Command::Waive { by: ada(), reason: None }, "E:NotFound"),
            (Command::Dispute { by: bob, reason: None }, "E:NotFound"),
            (dispute(), "ClaimDisputed"),
            (approve(None), "ClaimApproved"),
        ],
    );
}

#[test]
fn an_approval_needs_a_positive_amount() {
    let unknown = given(&[submit(None, None)]);
    row(
        &unknown,
        &[
            (approve(None), "E:NoAmount"),
            (approve(Some(0)), "E:InvalidAmount"),
            (approve(Some(-1)), "E:InvalidAmount"),
            (approve(Some(500)), "ClaimApproved"),
        ],
    );
}

#[test]
fn while_it_is_charged_nothing_else_is_decided() {
    let charging = given(&[submit(Some(20_000), None), approve(None)]);
    row(
        &charging,
        &[
            (approve(None), "idem"),
            (approve(Some(1)), "E:ChargeUnderWay"),
            (reject(), "E:ChargeUnderWay"),
            (charged(), "ClaimCharged"),
            (failed(1), "ChargeFailed"),
            (failed(2), "idem"),
            (waive(), "ClaimWaived"),
        ],
    );
}

/// The claim stays approved, and its next charge has the next number: a fact that is seen again
/// names the old one.
#[test]
fn a_charge_that_failed_is_tried_again_when_it_is_approved_again() {
    let mut state = given(&[submit(Some(20_000), None), approve(None), failed(1)]);
    assert_eq!((state.status, state.charging, state.attempt()), (ClaimStatus::Approved, false, 2));
    row(&state, &[(failed(1), "idem"), (reject(), "ClaimRejected")]);
    for event in ask(&state, &approve(Some(10_000))).unwrap() {
        state.evolve(&event);
    }
    assert_eq!((state.amount, state.charging), (Some(eur(10_000)), true));
    row(&state, &[(failed(1), "idem"), (failed(2), "ChargeFailed"), (charged(), "ClaimCharged")]);
    // The money of a declined charge may come after all.
    let late = given(&[submit(Some(20_000), None), approve(None), failed(1), charged()]);
    assert_eq!(late.status, ClaimStatus::Charged);
}

/// Nothing was begun at the gateway, so the next charge has the same number; and what comes of it
/// counts, whatever is told of the first.
#[test]
fn a_charge_that_could_not_be_made_uses_up_no_number() {
    let history = [submit(Some(20_000), None), approve(None), impossible()];
    let state = given(&history);
    assert_eq!((state.status, state.charging, state.attempt()), (ClaimStatus::Approved, false, 1));
    row(
        &state,
        &[(impossible(), "idem"), (failed(1), "ChargeFailed"), (charged(), "ClaimCharged")],
    );
    let again = given(&[&history[..], &[approve(None)]].concat());
    row(&again, &[(impossible(), "ChargeFailed"), (failed(1), "ChargeFailed")]);
}

#[test]
fn a_dispute_is_decided_by_an_operator() {
    let disputed = given(&[submit(Some(20_000), None), dispute()]);
    row(
        &disputed,
        &[
            (dispute(), "idem"),
            (approve(None), "ClaimApproved"),
            (reject(), "ClaimRejected"),
            (waive(), "ClaimWaived"),
        ],
    );
    let paid = [submit(Some(20_000), None), approve(None), charged(), dispute()];
    row(
        &given(&paid),
        &[
            (approve(None), "ClaimApproved"),
            (approve(Some(1)), "E:AlreadyCharged"),
            (reject(), "E:AlreadyCharged"),
            (waive(), "ClaimWaived"),
        ],
    );
    let upheld = given(&[&paid[..], &[approve(None)]].concat());
    assert_eq!((upheld.status, upheld.charging), (ClaimStatus::Charged, false));
}

#[test]
fn what_is_given_up_is_not_charged_any_more() {
    let waived = given(&[submit(Some(20_000), None), approve(None), waive()]);
    row(
        &waived,
        &[
            (charged(), "idem"),
            (failed(1), "idem"),
            (waive(), "idem"),
            (approve(None), "E:Decided"),
            (reject(), "E:Decided"),
            (dispute(), "E:Decided"),
        ],
    );
    let rejected = given(&[submit(Some(20_000), None), reject()]);
    row(&rejected, &[(approve(None), "E:Decided"), (waive(), "E:Decided"), (reject(), "idem")]);
}

#[test]
fn a_report_is_bounded_and_its_photos_are_named_by_their_content() {
    fn wrong(change: impl FnOnce(&mut String, &mut Vec<Photo>, &mut Option<Money>)) -> Refusal {
        let mut command = submit(Some(1), None);
        if let Command::Submit { description, photos, estimate, .. } = &mut command {
            change(description, photos, estimate);
        }
        ask(&State::default(), &command).expect_err("refused")
    }
    use InvalidReport as I;
    let invalid = Refusal::InvalidReport;
    let long = |text: &mut String| *text = "é".repeat(LONGEST_DESCRIPTION + 1);
    assert_eq!(wrong(|text, _, _| long(text)), invalid(I::Description));
    assert_eq!(wrong(|_, all, _| *all = vec![photo(); 21]), invalid(I::TooManyPhotos));
    assert_eq!(wrong(|_, all, _| all[0].sha256 = "0A".repeat(32)), invalid(I::Photo));
    assert_eq!(wrong(|_, all, _| all[0].sha256 = "0a".repeat(31)), invalid(I::Photo));
    assert_eq!(wrong(|_, all, _| all[0].media_type = "image/".into()), invalid(I::Photo));
    assert_eq!(wrong(|_, all, _| all[0].url = String::new()), invalid(I::Photo));
    assert_eq!(wrong(|_, _, estimate| *estimate = Some(eur(0))), invalid(I::Estimate));
}

/// A snapshot is read back as it was written.
#[test]
fn its_state_survives_a_snapshot() {
    let state = given(&[submit(Some(20_000), None), approve(None), failed(1)]);
    assert_eq!(kept(&state), state);
}
