//! From a claim to its money and back, told twice and late.

use super::*;
use crate::payment::{LostWhy, Means, Status, Via, Word};
use crate::process::{Process, Settings};
use crate::{Currency, Decider, ReservationId, Timestamp, UserId, derive, inspection::ClaimStatus};
use inspection::Command as Inspection;
use payment::Command as Payment;

fn id() -> InspectionId {
    InspectionId(derive(&["an inspection"]))
}

fn rental() -> ReservationId {
    ReservationId(derive(&["a rental"]))
}

fn eur(minor: i64) -> Money {
    Money::new(minor, Currency::new("EUR").expect("a currency"))
}

fn olga() -> By {
    By::Operator(UserId::new("olga").expect("a user"))
}

fn submit(estimate: i64, limit: i64) -> Inspection {
    Inspection::Submit {
        reservation_id: rental(),
        user_id: UserId::new("ada").expect("a user"),
        description: "a dent".into(),
        photos: vec![],
        odometer_m: None,
        estimate: Some(eur(estimate)),
        auto_charge_limit: Some(eur(limit)),
    }
}

fn approve() -> Inspection {
    Inspection::Approve { by: olga(), amount: None }
}

fn waive() -> Inspection {
    Inspection::Waive { by: olga(), reason: None }
}

/// A claim, its payment, and the means that the rental was paid by. Everything asked for is done at
/// once, except for what the gateway says.
#[derive(Default)]
struct World {
    claim: State,
    money: payment::State,
    means: Option<Means>,
    alarms: Vec<Alarm>,
    /// Every ask that was ever made, for an owner who wakes up late.
    asked: Vec<Ask>,
}

impl World {
    fn new() -> Self {
        let means = Means { gateway: "sandbox".into(), gateway_ref: "pi_rental".into() };
        Self { means: Some(means), ..Self::default() }
    }

    fn payment_id() -> PaymentId {
        rental().damage_payment_id(&id())
    }

    fn inspect(&mut self, command: &Inspection) {
        let events = self.claim.decide(&id(), command, Timestamp::default());
        for event in events.expect("an accepted command") {
            self.claim.evolve(&event);
            let state = self.claim.clone();
            let fact =
                Fact { at: Timestamp::default(), what: What::Inspection(&id(), &event, &state) };
            self.follow(&fact);
        }
    }

    fn pay(&mut self, command: &Payment) {
        let decided = self.money.decide(&Self::payment_id(), command, Timestamp::default());
        match decided {
            Ok(events) => {
                for event in events {
                    self.money.evolve(&event);
                    let (state, payment) = (self.money.clone(), Self::payment_id());
                    let what = What::Payment(&payment, &event, &state);
                    self.follow(&Fact { at: Timestamp::default(), what });
                }
            }
            Err(refusal) => {
                let command = Command::Payment(Self::payment_id(), command.clone());
                for ask in Process::Damage.refused(&command, &Refusal::Payment(refusal)) {
                    self.perform(&ask);
                }
            }
        }
    }

    fn follow(&mut self, fact: &Fact<'_>) {
        for process in [Process::Damage, Process::Payment] {
            for ask in process.react(fact, &Settings::default()) {
                self.asked.push(ask.clone());
                self.perform(&ask);
            }
        }
    }

    fn perform(&mut self, ask: &Ask) {
        match ask {
            Ask::Charge(charge) => {
                assert_eq!(
                    (charge.payment_id, charge.reservation_id),
                    (Self::payment_id(), rental())
                );
                let Command::Payment(_, command) = charge.on(self.means.clone()) else {
                    panic!("a payment")
                };
                self.pay(&command);
            }
            Ask::Do(Command::Payment(payment, command)) => {
                assert_eq!(*payment, Self::payment_id());
                self.pay(command);
            }
            Ask::Do(Command::Inspection(inspection, command)) => {
                assert_eq!(*inspection, id());
                self.inspect(command);
            }
            Ask::Alarm(alarm) => self.alarms.push(alarm.clone()),
            Ask::Do(other) => panic!("nobody here asks {other:?}"),
            Ask::Steps(_)
            | Ask::Wake { .. }
            | Ask::Forget(_)
            | Ask::Gateway(_)
            | Ask::Vehicle(_)
            | Ask::Assign { .. } => {}
        }
    }

    fn told(&mut self, attempt: u16, word: Word) {
        self.pay(&Payment::Record { attempt, via: Via::Sync, gateway_event_id: None, word });
    }

    fn approved(&mut self, attempt: u16, minor: i64) {
        let gateway_ref = format!("pi_damage_{attempt}");
        self.told(
            attempt,
            Word::Authorized {
                gateway_ref: gateway_ref.clone(),
                approval_code: "ok".into(),
                amount: eur(minor),
                authorization_expires_at: None,
            },
        );
        self.told(
            attempt,
            Word::Succeeded { gateway_ref, amount: eur(minor), approval_code: None },
        );
    }

    fn declined(&mut self, attempt: u16) {
        let code = "card_declined".into();
        self.told(attempt, Word::Declined { code, decline_code: None, retryable: false });
    }

    fn creates(&self) -> usize {
        let create =
            |ask: &&Ask| matches!(ask, Ask::Gateway(crate::process::GatewayCall::Create { .. }));
        self.asked.iter().filter(create).count()
    }
}

// S0-36, S0-37
#[test]
fn a_small_damage_is_charged_at_once_on_the_means_of_the_rental() {
    let mut world = World::new();
    world.inspect(&submit(20_000, 20_000));
    let row = world.money.current().expect("an attempt").clone();
    assert_eq!((row.again_of.as_deref(), row.amount), (Some("pi_rental"), eur(20_000)));
    assert_eq!((world.money.kind, world.money.inspection_id), (Kind::DamageCharge, Some(id())));
    // Authorized, and nobody has to confirm it: it is captured.
    world.approved(1, 20_000);
    assert_eq!(world.money.status(), Status::Succeeded);
    assert_eq!(
        (world.claim.status, world.claim.charged),
        (ClaimStatus::Charged, Some(eur(20_000)))
    );
    assert_eq!(world.alarms, []);
}

#[test]
fn nothing_is_charged_before_somebody_approves() {
    let mut world = World::new();
    world.inspect(&submit(20_000, 0));
    assert_eq!(world.money, payment::State::default());
    world.inspect(&approve());
    world.approved(1, 20_000);
    assert_eq!(world.claim.status, ClaimStatus::Charged);
}

/// D36, S0-37: whatever is asked again, and however often, is charged once.
#[test]
fn damage_dup() {
    let mut world = World::new();
    world.inspect(&submit(20_000, 20_000));
    let replay = |world: &mut World| {
        for ask in world.asked.clone() {
            world.perform(&ask);
        }
    };
    replay(&mut world);
    world.inspect(&submit(20_000, 20_000));
    world.inspect(&approve());
    world.approved(1, 20_000);
    replay(&mut world);
    assert_eq!((world.money.attempts.len(), world.creates()), (1, 1));
    assert_eq!(world.claim.charged, Some(eur(20_000)));
    assert_eq!(world.alarms, []);
}

/// Its twin: a charge that is named after its ask instead of its claim is begun again when the ask is.
#[test]
fn without_the_name_of_its_claim_a_damage_is_charged_twice() {
    let mut world = World::new();
    world.inspect(&submit(20_000, 20_000));
    let begun = |payment: PaymentId| {
        let Some(Ask::Charge(charge)) = world.asked.first() else { panic!("a charge") };
        let Command::Payment(_, command) = charge.on(world.means.clone()) else { panic!("money") };
        let fresh = payment::State::default();
        fresh.decide(&payment, &command, Timestamp::default()).expect("accepted").len()
    };
    assert_eq!(begun(PaymentId(derive(&["ask", "2"]))), 2, "DamageChargeCreated and Initiated");
}

#[test]
fn a_declined_damage_stays_approved_and_a_person_hears_of_it() {
    let mut world = World::new();
    world.inspect(&submit(20_000, 20_000));
    world.declined(1);
    assert_eq!((world.claim.status, world.claim.charging), (ClaimStatus::Approved, false));
    let code = "card_declined".to_owned();
    assert_eq!(world.alarms, [Alarm::ChargeFailed { payment_id: World::payment_id(), code }]);
    // Told again: once is enough.
    world.declined(1);
    assert_eq!(world.alarms.len(), 1);
    // Approved once more: the next attempt, and the declined intent is closed.
    world.inspect(&approve());
    assert_eq!(world.money.attempts.len(), 2);
    assert_eq!(world.money.attempts[0].status, Status::VoidRequested);
    for ask in world.asked.clone() {
        world.perform(&ask);
    }
    assert_eq!(world.money.attempts.len(), 2, "old asks begin nothing");
    world.approved(2, 20_000);
    assert_eq!(world.claim.status, ClaimStatus::Charged);
}

#[test]
fn an_authorization_that_cannot_be_captured_is_a_failed_charge() {
    let mut world = World::new();
    world.inspect(&submit(20_000, 20_000));
    world.told(
        1,
        Word::Authorized {
            gateway_ref: "pi".into(),
            approval_code: "ok".into(),
            amount: eur(20_000),
            authorization_expires_at: None,
        },
    );
    world.told(1, Word::CaptureRefused { code: "gone".into(), retryable: false, r#try: 1 });
    assert_eq!((world.claim.status, world.claim.failures), (ClaimStatus::Approved, 1));
    world.told(1, Word::Cancelled { lost: LostWhy::CancelledByGateway });
    assert_eq!((world.claim.failures, world.alarms.len()), (1, 1));
}

#[test]
fn a_rental_that_was_paid_by_nothing_leaves_nothing_to_charge_on() {
    let mut world = World { means: None, ..World::default() };
    world.inspect(&submit(20_000, 20_000));
    assert_eq!((world.claim.status, world.claim.charging), (ClaimStatus::Approved, false));
    assert!(matches!(&world.alarms[..], [Alarm::ChargeFailed { code, .. }] if code == "no_means"));
    assert_eq!(world.money, payment::State::default());
}

#[test]
fn what_is_waived_goes_back_or_is_never_charged() {
    let mut paid = World::new();
    paid.inspect(&submit(20_000, 20_000));
    paid.approved(1, 20_000);
    paid.inspect(&waive());
    assert_eq!(paid.money.status(), Status::RefundPending);

    let mut under_way = World::new();
    under_way.inspect(&submit(20_000, 20_000));
    under_way.inspect(&waive());
    assert_eq!(under_way.money.status(), Status::VoidRequested);
    under_way.told(
        1,
        Word::Succeeded { gateway_ref: "pi".into(), amount: eur(20_000), approval_code: None },
    );
    assert_eq!(under_way.money.status(), Status::RefundPending, "money that came all the same");
    assert_eq!((under_way.claim.status, under_way.claim.charged), (ClaimStatus::Waived, None));

    // Waived before the charge began: a late ask finds the payment closed.
    let mut late = World::new();
    late.inspect(&submit(20_000, 0));
    late.inspect(&approve());
    let asks = late.asked.clone();
    late.money = payment::State::default();
    late.inspect(&waive());
    asks.iter().for_each(|ask| late.perform(ask));
    assert_eq!(late.money.attempts, []);
    assert_eq!(late.alarms, [], "nobody waits for it any more");
}

#[test]
fn a_chargeback_disputes_the_claim() {
    let mut world = World::new();
    world.inspect(&submit(20_000, 20_000));
    world.approved(1, 20_000);
    world.told(1, Word::Chargeback { amount: eur(20_000) });
    assert_eq!(world.claim.status, ClaimStatus::Disputed);
}

#[test]
fn an_extra_that_is_declined_is_told_to_a_person() {
    let extra = rental().extra_payment_id("fuel");
    let state = payment::State { kind: Kind::Extra, ..payment::State::default() };
    let declined = payment::Event::Failed {
        attempt: 1,
        code: "card_declined".into(),
        decline_code: None,
        retryable: false,
    };
    let what = What::Payment(&extra, &declined, &state);
    let asks = react(&Fact { at: Timestamp::default(), what });
    let code = "card_declined".to_owned();
    assert_eq!(asks, [Ask::Alarm(Alarm::ChargeFailed { payment_id: extra, code })]);
}

/// S0: the reservation's own money is booking's business, and nothing of a damage is.
#[test]
fn a_declined_damage_touches_no_reservation() {
    for kind in [Kind::DamageCharge, Kind::Extra] {
        let state = payment::State {
            kind,
            reservation_id: Some(rental()),
            inspection_id: Some(id()),
            ..payment::State::default()
        };
        let lost = payment::Event::MoneyLost { attempt: 1, why: LostWhy::CaptureRefused };
        let declined = payment::Event::Failed {
            attempt: 1,
            code: "no".into(),
            decline_code: None,
            retryable: false,
        };
        let voided = payment::Event::Voided { attempt: 1, reason: BackReason::CancelledByGateway };
        for event in [lost, declined, voided] {
            let payment = World::payment_id();
            let what = What::Payment(&payment, &event, &state);
            let fact = Fact { at: Timestamp::default(), what };
            assert_eq!(Process::Booking.react(&fact, &Settings::default()), [], "{event:?}");
        }
    }
}
