//! What booking asks for, fact by fact, and what it says to refusals.

use super::*;
use crate::payment::Flow;
use crate::process::{Process, Refusal, Settings};
use crate::reservation::{
    CancelledBy, Channel, Claim, LatePayment, Line, LineKind, Policies, Status,
};
use crate::seatmap::Owner;
use crate::{
    Currency, Decider, LimitId, LockId, Period, SeatId, SeatMapId, Sku, UserId, VehicleId,
    inventory, limit, seatmap, vehicle,
};

const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

fn id() -> ReservationId {
    ReservationId(derive(&["r"]))
}

fn sku(name: &str) -> Sku {
    Sku::new(name).expect("a sku")
}

fn hall() -> SeatMapId {
    SeatMapId::new("hall").expect("a map")
}

fn ada() -> UserId {
    UserId::new("ada").expect("a user")
}

fn car() -> VehicleId {
    VehicleId::new("car-7").expect("a vehicle")
}

fn seats() -> Vec<SeatId> {
    vec![SeatId::new("A-1-1").expect("a seat")]
}

fn limit_id() -> LimitId {
    LimitId { sku: sku("concert"), user_id: ada() }
}

fn attempt() -> payment::Event {
    payment::Event::Failed { attempt: 1, code: "no".into(), decline_code: None, retryable: false }
}

/// A limit, a quota, goods, a seat and a vehicle, in the order of taking.
fn created() -> Event {
    let price = Money::new(100, Currency::new("EUR").expect("a currency"));
    let line = |kind, name, quantity| Line {
        line_id: 1,
        kind,
        sku: Some(sku(name)),
        quantity,
        seat_map_id: None,
        seat_ids: vec![],
        period: None,
        vehicle_id: None,
        unit_price: price,
    };
    let pool = |name, quantity, consumed| Claim::Inventory {
        r#ref: sku(name),
        quantity,
        period: None::<Period>,
        consumed,
    };
    Event::HoldCreated {
        user_id: ada(),
        lines: vec![
            Line {
                seat_map_id: Some(hall()),
                seat_ids: seats(),
                ..line(LineKind::Seat, "concert", 1)
            },
            line(LineKind::Stock, "poster", 2),
        ],
        total: price.times(3).expect("a total"),
        claims: vec![
            Claim::Limit { r#ref: limit_id(), quantity: 1, max: 4 },
            pool("concert", 1, false),
            pool("poster", 2, true),
            Claim::SeatMap { r#ref: hall(), seat_ids: seats() },
            Claim::Vehicle { r#ref: car() },
        ],
        claim_epoch: 1,
        hold_expires_at: NOW,
        absolute_deadline: NOW,
        channel: Channel::Other,
        policies: Policies::default(),
    }
}

fn requested() -> Event {
    Event::PaymentRequested {
        payment_id: id().payment_id(),
        attempt: 1,
        amount: Money::new(300, Currency::new("EUR").expect("a currency")),
        gateway: "sandbox".into(),
        flow: Flow::Direct,
    }
}

fn confirmed() -> Event {
    Event::Confirmed {
        payment_id: id().payment_id(),
        attempt: 1,
        confirmed_at: NOW,
        claim_epoch: 1,
    }
}

/// What follows from the last event of a history.
fn asked(history: &[Event]) -> Vec<Ask> {
    let mut state = State::default();
    history.iter().for_each(|event| state.evolve(event));
    let last = history.last().expect("an event");
    let what = What::Reservation(&IDS, last, &state);
    Process::Booking.react(&Fact { at: NOW, what }, &Settings::default())
}

static IDS: std::sync::LazyLock<ReservationId> = std::sync::LazyLock::new(id);

fn short(ask: &Ask) -> String {
    match ask {
        Ask::Do(command) => name(command),
        Ask::Steps(steps) => steps.iter().map(name).collect::<Vec<_>>().join(", then "),
        Ask::Wake { key, then, .. } => {
            format!("wake {} {}", kind(&format!("{key:?}")), short(then))
        }
        Ask::Forget(key) => format!("forget {}", kind(&format!("{key:?}"))),
        Ask::Gateway(_) => "gateway".into(),
        Ask::Charge(_) | Ask::Vehicle(_) | Ask::Assign { .. } => panic!("not of booking: {ask:?}"),
        Ask::Alarm(alarm) => format!("alarm {}", kind(&format!("{alarm:?}"))),
    }
}

fn kind(text: &str) -> String {
    text.split([' ', '(', '{']).next().unwrap_or_default().into()
}

/// The command's name, where it goes, its epoch and reason.
fn name(command: &Command) -> String {
    let (place, text) = match command {
        Command::Reservation(_, command) => ("reservation".into(), format!("{command:?}")),
        Command::Payment(_, command) => ("payment".into(), format!("{command:?}")),
        Command::SeatMap(map, command) => (map.to_string(), format!("{command:?}")),
        Command::Inventory(sku, command) => (sku.to_string(), format!("{command:?}")),
        Command::Limit(_, command) => ("limit".into(), format!("{command:?}")),
        Command::Vehicle(vehicle, command) => (vehicle.to_string(), format!("{command:?}")),
        Command::Item(..)
        | Command::Ticket(..)
        | Command::Notification(..)
        | Command::Inspection(..) => {
            panic!("booking asks no {command:?}")
        }
    };
    let field = |name: &str| {
        let found = text.split_once(&format!("{name}: "))?.1;
        Some(found.split([',', ' ', '}']).next().unwrap_or_default().to_owned())
    };
    let parts = [field("epoch"), field("reason"), field("outcome")];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let command = kind(&text);
    if parts.is_empty() {
        format!("{place}.{command}")
    } else {
        format!("{place}.{command}({})", parts.join(" "))
    }
}

#[track_caller]
fn asks(history: &[Event], expected: &[&str]) {
    let found: Vec<String> = asked(history).iter().map(short).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_hold_wakes_at_its_deadline_and_again_when_that_moved() {
    asks(&[created()], &["wake Hold reservation.Expire(1)"]);
    let extended = Event::HoldExtended {
        old_expires_at: NOW,
        new_expires_at: NOW,
        reason: reservation::ExtensionReason::Operator,
    };
    asks(&[created(), extended], &["wake Hold reservation.Expire(1)"]);
    let until = NOW.plus(std::time::Duration::from_secs(9));
    let answer = refused(
        &Command::Reservation(id(), reservation::Command::Expire { epoch: 1 }),
        &Refusal::Reservation(reservation::Refusal::NotDue { until }),
    );
    assert_eq!(answer, [expire_at(&id(), until, 1)]);
}

#[test]
fn a_confirmation_commits_everything_in_order_and_captures() {
    let committed = "concert.Commit(1), then limit.Keep(1), then hall.Confirm(1), then \
                     car-7.ConfirmReservation(1), then poster.Consume(1), then reservation.RecordFinalized(1)";
    let expected = [committed, "payment.Capture", "forget Hold"];
    asks(&[created(), requested(), confirmed()], &expected);
}

#[test]
fn vehicles_are_captured_later() {
    let mut held = created();
    if let Event::HoldCreated { policies, .. } = &mut held {
        policies.capture = Capture::OnCompletion;
    }
    let found: Vec<_> = asked(&[held, requested(), confirmed()]).iter().map(short).collect();
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn a_hold_that_ends_unpaid_voids_softly_and_releases_in_reverse() {
    let expired = Event::HoldExpired { expired_at: NOW, was_status: Status::AwaitingPayment };
    asks(
        &[created(), requested(), expired.clone()],
        &[
            "forget Hold",
            "payment.SoftVoid(Expired)",
            "car-7.ReleaseReservation(1 Expired)",
            "hall.Release(1 Expired)",
            "poster.Release(1 Expired)",
            "concert.Release(1 Expired)",
            "limit.Release(1 Expired)",
        ],
    );
    // Nobody began to pay: there is no payment.
    let unpaid: Vec<_> = asked(&[created(), expired]).iter().map(short).collect();
    assert!(unpaid.iter().all(|ask| !ask.contains("payment.")), "{unpaid:?}");
    let released = Event::HoldReleased { reason: HoldReleaseReason::PaymentFailed };
    let declined: Vec<_> = asked(&[created(), requested(), released]).iter().map(short).collect();
    assert_eq!(declined[1], "payment.SoftVoid(Released)");
    assert_eq!(declined[2], "car-7.ReleaseReservation(1 PaymentFailed)");
    assert_eq!(declined[3], "hall.Release(1 PaymentFailed)");
}

#[test]
fn a_cancellation_gives_back_and_after_a_confirmation_returns_goods() {
    let cancelled = |reason| Event::Cancelled { by: CancelledBy::User, reason, refund: None };
    asks(
        &[created(), requested(), confirmed(), cancelled(CancelReason::User)],
        &[
            "forget Hold",
            "payment.GiveBack(Cancelled)",
            "car-7.ReleaseReservation(1 Cancelled)",
            "hall.Release(1 Cancelled)",
            "poster.Return(1 Cancelled)",
            "concert.Release(1 Cancelled)",
            "limit.Release(1 Cancelled)",
        ],
    );
    let before: Vec<_> =
        asked(&[created(), requested(), cancelled(CancelReason::User)]).iter().map(short).collect();
    assert_eq!(before[4], "poster.Release(1 Cancelled)");
    let oversold: Vec<_> =
        asked(&[created(), requested(), confirmed(), cancelled(CancelReason::Oversold)])
            .iter()
            .map(short)
            .collect();
    assert_eq!(oversold[1], "payment.GiveBack(Oversold)");
    assert_eq!(oversold[2], "car-7.ReleaseReservation(1 Oversold)");
    assert_eq!(oversold[3], "hall.Release(1 Oversold)");
    assert_eq!(oversold.last().map(String::as_str), Some("alarm Oversold"));
    let lost: Vec<_> =
        asked(&[created(), requested(), confirmed(), cancelled(CancelReason::MoneyLost)])
            .iter()
            .map(short)
            .collect();
    assert_eq!(lost.last().map(String::as_str), Some("alarm MoneyLost"));
}

#[test]
fn a_partial_refund_keeps_the_rest_unless_nothing_was_captured() {
    let part = Money::new(100, Currency::new("EUR").expect("a currency"));
    let cancelled = Event::Cancelled {
        by: CancelledBy::Operator,
        reason: CancelReason::Operator,
        refund: Some(part),
    };
    let asked = asked(&[created(), requested(), confirmed(), cancelled]);
    let Ask::Do(refund @ Command::Payment(_, payment::Command::Refund { amount, .. })) = &asked[1]
    else {
        panic!("{asked:?}")
    };
    assert_eq!(*amount, Some(part));
    let nothing = Money::new(0, part.currency);
    let answer =
        refused(refund, &Refusal::Payment(payment::Refusal::NotRefundable { left: nothing }));
    assert_eq!(answer, [give_back(id().payment_id(), None, BackReason::Cancelled)]);
}

#[test]
fn late_money_and_lost_claims_take_everything_again_or_say_that_it_is_refused() {
    let again = "limit.Reacquire(2), then concert.Reacquire(2), then poster.Reacquire(2), then \
                 hall.Reacquire(2), then car-7.Reacquire(2), then reservation.RecordReacquired(2 Taken)";
    let late =
        Event::LatePaymentReceived { payment_id: id().payment_id(), attempt: 1, claim_epoch: 2 };
    asks(&[created(), requested(), late], &[again]);
    let lost = Event::ClaimsLost { claim_epoch: 2 };
    asks(&[created(), requested(), confirmed(), lost.clone()], &[again]);
    let retaken = Event::ClaimsRetaken { claim_epoch: 2 };
    let found = asked(&[created(), requested(), confirmed(), lost, retaken]);
    assert!(short(&found[0]).starts_with("concert.Commit(2)"), "{found:?}");
    assert_eq!(found.len(), 1, "captured once, at the confirmation");
}

#[test]
fn late_money_that_is_rejected_goes_back_and_releases_what_was_never_taken() {
    let rejected = Event::LatePaymentRejected {
        payment_id: id().payment_id(),
        attempt: 1,
        reason: LateReason::Gone,
    };
    asks(
        &[created(), requested(), rejected],
        &[
            "payment.GiveBack(Late)",
            "car-7.ReleaseReservation(1 LateRejected)",
            "hall.Release(1 LateRejected)",
            "poster.Release(1 LateRejected)",
            "concert.Release(1 LateRejected)",
            "limit.Release(1 LateRejected)",
        ],
    );
    // The policy is the reservation's; the process only follows.
    assert_eq!(LatePayment::default(), LatePayment::TryReacquire);
}

#[test]
fn whoever_refuses_a_commitment_or_a_reacquisition_is_told_to_the_reservation_and_nothing_else() {
    let reservation_id = id();
    let no_claim = Refusal::Inventory(inventory::Refusal::NoClaim);
    let lost = ["reservation.RecordClaimLost(3)"];
    let gone = ["reservation.RecordReacquired(3 Refused)"];
    let epoch = 3;
    let pool = |command| Command::Inventory(sku("concert"), command);
    let to_car = |command| Command::Vehicle(car(), command);
    let cases = [
        (pool(inventory::Command::Commit { reservation_id, epoch }), lost),
        (pool(inventory::Command::Consume { reservation_id, epoch }), lost),
        (Command::Limit(limit_id(), limit::Command::Keep { reservation_id, epoch }), lost),
        (Command::SeatMap(hall(), seatmap::Command::Confirm { reservation_id, epoch }), lost),
        (to_car(vehicle::Command::ConfirmReservation { reservation_id, epoch }), lost),
        (
            to_car(vehicle::Command::Reacquire {
                reservation_id,
                user_id: ada(),
                epoch,
                period: None,
            }),
            gone,
        ),
        (pool(inventory::Command::Reacquire { reservation_id, qty: 1, epoch, period: None }), gone),
        (
            Command::Limit(
                limit_id(),
                limit::Command::Reacquire { reservation_id, qty: 1, max: 4, epoch },
            ),
            gone,
        ),
        (
            Command::SeatMap(
                hall(),
                seatmap::Command::Reacquire {
                    reservation_id,
                    user_id: ada(),
                    seat_ids: seats(),
                    epoch,
                },
            ),
            gone,
        ),
    ];
    for (command, expected) in cases {
        let answer: Vec<_> = refused(&command, &no_claim).iter().map(short).collect();
        assert_eq!(answer, expected, "{command:?}");
    }
}

#[test]
fn a_duplicate_payment_goes_back_and_a_paid_one_stays() {
    let payment_id = id().payment_id();
    let confirm =
        Command::Reservation(id(), reservation::Command::ConfirmPaid { payment_id, attempt: 2 });
    let duplicate =
        Refusal::Reservation(reservation::Refusal::DuplicatePayment { payment_id, attempt: 2 });
    let back = give_back(payment_id, Some(2), BackReason::Duplicate);
    assert_eq!(refused(&confirm, &duplicate), [back]);
    let parked = Refusal::Reservation(reservation::Refusal::NotFound);
    assert_eq!(refused(&confirm, &parked), []);
    let void = payment::Command::SoftVoid { attempt: None, reason: BackReason::Expired };
    let paid = Refusal::Payment(payment::Refusal::Paid);
    assert_eq!(refused(&Command::Payment(payment_id, void), &paid), []);
}

#[test]
fn money_that_is_lost_during_a_rental_needs_a_person() {
    let payment_id = id().payment_id();
    let lost = reservation::Command::RecordMoneyLost { payment_id, attempt: 1 };
    let answer = refused(
        &Command::Reservation(id(), lost),
        &Refusal::Reservation(reservation::Refusal::InUse),
    );
    assert_eq!(answer, [Ask::Alarm(Alarm::MoneyLost { reservation_id: id() })]);
}

#[test]
fn the_payments_facts_are_told_to_its_reservation_only() {
    let tell = |event: &payment::Event, kind| {
        let state =
            payment::State { reservation_id: Some(id()), kind, ..payment::State::default() };
        paid(id().payment_id(), event, &state).iter().map(short).collect::<Vec<_>>()
    };
    let voided = payment::Event::Voided { attempt: 1, reason: BackReason::Superseded };
    let lost = payment::Event::MoneyLost { attempt: 1, why: payment::LostWhy::AuthorizationLapsed };
    assert_eq!(tell(&attempt(), Kind::Reservation), ["reservation.PaymentDeclined"]);
    assert_eq!(tell(&voided, Kind::Reservation), ["reservation.PaymentDeclined"]);
    assert_eq!(tell(&lost, Kind::Reservation), ["reservation.RecordMoneyLost"]);
    assert_eq!(tell(&attempt(), Kind::DamageCharge), Vec::<String>::new());
    let succeeded = |kept| payment::Event::Succeeded {
        attempt: 1,
        amount: Money::new(300, Currency::new("EUR").expect("a currency")),
        gateway_ref: "ref".into(),
        via: payment::Via::Webhook,
        gateway_event_id: None,
        kept,
    };
    assert_eq!(tell(&succeeded(true), Kind::Reservation), ["reservation.ConfirmPaid"]);
    // Money that is on its way back confirms nothing.
    assert_eq!(tell(&succeeded(false), Kind::Reservation), Vec::<String>::new());
}

#[test]
fn claims_and_locks_with_a_deadline_are_dropped_then() {
    let lock = LockId(derive(&["lock"]));
    let seats =
        |what: &seatmap::Event| claims::seats(&hall(), what).iter().map(short).collect::<Vec<_>>();
    let locked = |lock_id, reservation_id, expires_at| seatmap::Event::SeatsLocked {
        lock_id,
        reservation_id,
        user_id: ada(),
        seat_ids: self::seats(),
        expires_at,
        epoch: 1,
        attempt: None,
    };
    assert_eq!(seats(&locked(Some(lock), None, Some(NOW))), ["wake SeatLock hall.DropLapsed"]);
    assert_eq!(seats(&locked(None, Some(id()), Some(NOW))), ["wake Seats hall.DropLapsed"]);
    assert_eq!(seats(&locked(None, Some(id()), None)), ["forget Seats"]);
    let released = |reason| seatmap::Event::SeatsReleased {
        owner: Owner::Lock(lock),
        seat_ids: self::seats(),
        reason,
        epoch: None,
    };
    assert_eq!(seats(&released(ReleaseReason::User)), ["forget SeatLock"]);
    // Somebody took one lapsed seat; the others of that lock still wait for the timer.
    assert_eq!(seats(&released(ReleaseReason::Expired)), Vec::<String>::new());
}
